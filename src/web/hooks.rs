//! Owns what gateways call: receipts and incoming SMS.
//!
//! Invariants: every answer has an empty body; 404 for a wrong secret or address, 204 for everything that was taken,
//! duplicates and unknown tokens included; what cannot be stored is not acknowledged, so that it comes again.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Extension, Router};
use subtle::ConstantTimeEq as _;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use super::Web;
use super::limits::source_address;

use crate::inbound::gateway_hook::GatewayHook;

/// Bodies of hooks larger than this are refused: 64 KiB.
const HOOK_LIMIT: usize = 64 * 1024;
/// A call that is not done by then is given up; the gateway brings it again.
const HOOK_PATIENCE: Duration = Duration::from_secs(10);

/// The hooks.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/hooks/sms/{gateway}/{secret}/receipt/{token}", post(receipt))
        .route("/hooks/sms/{gateway}/{secret}/inbound", post(inbound))
        // Refused by its announced length at once, and given up when it comes drop by drop.
        .layer(RequestBodyLimitLayer::new(HOOK_LIMIT))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, HOOK_PATIENCE))
}

async fn receipt(
    State(web): State<Web>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    Path((name, secret, token)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Some(hook) = allowed(&web, (&name, &secret), peer, &headers) else { return StatusCode::NOT_FOUND };
    let Some(token) = web.desk.token_key.decode(&token) else {
        metrics::counter!("grannpost_unknown_receipts_total", "gateway" => name).increment(1);
        return StatusCode::NO_CONTENT;
    };
    let Ok(receipt) = hook.gateway.decode_receipt(&body) else {
        metrics::counter!("grannpost_unreadable_receipts_total", "gateway" => name).increment(1);
        return StatusCode::NO_CONTENT;
    };
    match web.receipts.take(&name, token, receipt).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Incoming SMS are kept as they come, and read afterwards.
async fn inbound(
    State(web): State<Web>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    Path((name, secret)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Some(hook) = allowed(&web, (&name, &secret), peer, &headers) else { return StatusCode::NOT_FOUND };
    match web.incoming.keep(hook, &name, &body).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The gateway behind a call, when name, secret and source address are right.
fn allowed<'a>(
    web: &'a Web,
    (name, secret): (&str, &str),
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: &HeaderMap,
) -> Option<&'a GatewayHook> {
    let hook = web.hooks.get(name)?;
    let expected = hook.config.callback_secret.expose();
    if expected.is_empty() {
        // It speaks over a session and calls nobody.
        return None;
    }
    if !bool::from(secret.as_bytes().ct_eq(expected.as_bytes())) {
        return None;
    }
    if hook.config.callback_addresses.is_empty() {
        return Some(hook);
    }
    let address = source_address(&web.desk.config.server.trusted_proxies, peer?.0.0.ip(), headers);
    hook.config.callback_addresses.contains(&address).then_some(hook)
}
