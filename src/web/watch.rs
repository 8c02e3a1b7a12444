//! Owns watching: health, readiness and metrics.

use std::path::Path;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Web;
use crate::store::{self, setting};

/// Less free disk than this is a cause for 503: 50 MiB.
const LEAST_DISK: u64 = 50 * 1024 * 1024;

/// The watching pages.
pub fn router() -> Router<Web> {
    Router::new().route("/healthz", get(health)).route("/readyz", get(ready)).route("/metrics", get(metrics))
}

async fn health() -> &'static str {
    "ok\n"
}

async fn metrics(State(web): State<Web>) -> Response {
    web.metrics.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], web.metrics.render()).into_response()
}

async fn ready(State(web): State<Web>) -> Response {
    if web.stop.is_cancelled() {
        let causes = json!({ "stopping": { "ok": false } });
        let body = json!({ "ready": false, "roles": web.roles.names(), "causes": causes });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    }
    let causes = causes(&web).await;
    let is_ready = causes.as_object().is_some_and(|causes| causes.values().all(|cause| cause["ok"] == true));
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": is_ready, "roles": web.roles.names(), "causes": causes }))).into_response()
}

/// What may stand in the way, by name: each says whether it is `ok`, and more about itself.
pub async fn causes(web: &Web) -> Value {
    let disk = disk(web);
    match database(web).await {
        Ok((migrations, gateways, paused)) => {
            json!({ "database": { "ok": true }, "migrations": migrations, "gateways": gateways, "disk": disk, "paused": paused })
        }
        Err(error) => json!({ "database": { "ok": false, "detail": error.code() }, "disk": disk }),
    }
}

async fn database(web: &Web) -> store::Result<(Value, Value, Value)> {
    let pending = web.desk.store.migrations().await?.iter().filter(|migration| !migration.applied).count();
    let mut session = web.desk.store.read().await?;
    let states = store::gateway::states(&mut session).await?;
    let paused = setting::get(&mut session, setting::PAUSED).await?;
    Ok((
        json!({ "ok": pending == 0, "pending": pending }),
        gateways(web, &states),
        json!({ "ok": paused.is_none(), "reason": paused }),
    ))
}

/// Which ways out are down, and which gateway carries: the first on the route that is up. Alerts go as long as one is, so a
/// reserve that carries is no cause for 503.
fn gateways(web: &Web, states: &[store::gateway::GatewayState]) -> Value {
    // One that was renamed or taken off the route says nothing about whether alerts can go.
    let route = &web.desk.config.sms.route;
    let is_down = |name: &str| states.iter().any(|state| state.gateway == name && state.state != "up");
    let is_used = |name: &str| route.iter().any(|used| used == name) || name == crate::config::mail::RELAY;
    let down: Vec<Value> = states
        .iter()
        .filter(|gateway| gateway.state != "up" && is_used(&gateway.gateway))
        .map(|gateway| json!({ "gateway": gateway.gateway, "state": gateway.state, "reason": gateway.reason }))
        .collect();
    let carrying = route.iter().find(|name| !is_down(name));
    let ok = (carrying.is_some() || route.is_empty()) && !is_down(crate::config::mail::RELAY);
    json!({ "ok": ok, "down": down, "carrying": carrying, "balances": balances(web, states) })
}

/// What is left at each gateway; a low balance is no cause for 503, since everything still goes.
fn balances(web: &Web, states: &[store::gateway::GatewayState]) -> Vec<Value> {
    let known = states.iter().filter_map(|state| {
        let gateway = web.desk.config.sms.gateways.get(&state.gateway)?;
        let amount: f64 = state.balance.as_ref()?.parse().ok()?;
        Some(json!({ "gateway": state.gateway, "balance": amount, "low": amount < gateway.low_balance }))
    });
    known.collect()
}

fn disk(web: &Web) -> Value {
    let file = web.desk.config.database.sqlite_file();
    let folder = file.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    match rustix::fs::statvfs(folder.unwrap_or(Path::new("."))) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            json!({ "ok": free >= LEAST_DISK, "free_bytes": free })
        }
        Err(error) => json!({ "ok": false, "detail": error.to_string() }),
    }
}
