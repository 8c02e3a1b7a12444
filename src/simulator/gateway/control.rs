//! Owns the control API of the simulated gateway, for tests that run it as a process of its own.
//!
//! It asks for no password: the simulator listens on loopback. Invariant: everything a handle can do here can be done over
//! HTTP, and nothing under `/control` is part of what 46elks offers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::behaviour::{Answer, Fate, GatewayBehaviour};
use super::receipts::{self, InboundMessage};
use super::{GatewayState, lock};

type Gateway = State<Arc<GatewayState>>;

pub(super) fn routes() -> Router<Arc<GatewayState>> {
    Router::new()
        .route("/control/journal", get(summary))
        .route("/control/messages", get(messages))
        .route("/control/callbacks", get(callbacks))
        .route("/control/behaviour", put(set_behaviour).get(behaviour))
        .route("/control/answers", post(answer_next))
        .route("/control/inbound", post(inbound))
        .route("/control/reports", post(report))
}

/// How many, how fast, and what came twice.
async fn summary(State(gateway): Gateway) -> Json<Value> {
    let duplicates = gateway.journal.duplicates();
    Json(json!({
        "accepted": gateway.journal.len(),
        "calls": gateway.calls.load(Ordering::Relaxed),
        "history_calls": gateway.history_calls.load(Ordering::Relaxed),
        "duplicates": duplicates.len(),
        "worst_second": gateway.journal.worst_window(Duration::from_secs(1)),
    }))
}

/// Messages from `?from=` on.
async fn messages(State(gateway): Gateway, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let from = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "from")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    Json(gateway.journal.messages_from(from)).into_response()
}

async fn callbacks(State(gateway): Gateway) -> Response {
    Json(gateway.callbacks.records()).into_response()
}

async fn behaviour(State(gateway): Gateway) -> Response {
    Json(gateway.behaviour().as_ref()).into_response()
}

/// Sets the keys that are given and leaves the others.
async fn set_behaviour(State(gateway): Gateway, body: Bytes) -> Response {
    let current = serde_json::to_value(gateway.behaviour().as_ref());
    let (Ok(mut whole), Ok(Value::Object(given))) = (current, serde_json::from_slice(&body)) else {
        return refuse("not a JSON object");
    };
    for (key, value) in given {
        whole[key] = value;
    }
    match serde_json::from_value::<GatewayBehaviour>(whole) {
        Ok(behaviour) => {
            gateway.change(|current| *current = behaviour);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => refuse(&error.to_string()),
    }
}

async fn answer_next(State(gateway): Gateway, body: Bytes) -> Response {
    match read::<Vec<Answer>>(&body) {
        Ok(answers) => {
            lock(&gateway.next_answers).extend(answers);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => refuse(&refusal),
    }
}

async fn inbound(State(gateway): Gateway, body: Bytes) -> Response {
    match read::<InboundMessage>(&body) {
        Ok(message) => Json(receipts::post_inbound(&gateway, message).await).into_response(),
        Err(refusal) => refuse(&refusal),
    }
}

#[derive(Deserialize)]
struct ReportOrder {
    id: String,
    fate: Fate,
}

async fn report(State(gateway): Gateway, body: Bytes) -> Response {
    match read::<ReportOrder>(&body) {
        Ok(order) => Json(receipts::report(&gateway, &order.id, order.fate).await).into_response(),
        Err(refusal) => refuse(&refusal),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn refuse(problem: &str) -> Response {
    super::api::plain(422, problem)
}
