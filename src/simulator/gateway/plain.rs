//! Owns the plain interface of the simulated gateway: `GET /plain/sms` with everything in the query, answered by a line
//! of text, as many other gateways have it.
//!
//! It is there so that a program that does not speak 46elks' API can be measured against the same gateway: the message is
//! taken, journalled and reported on as any other. It plays no faults and charges nothing. Invariant: no form is taken here
//! that `POST /a1/sms` would not read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{GatewayState, api, receipts};

pub(super) fn routes() -> Router<Arc<GatewayState>> {
    Router::new().route("/plain/sms", get(send))
}

/// `username`, `password`, `from`, `to`, `message`, `whendelivered`; answered `OK ID`.
async fn send(State(gateway): State<Arc<GatewayState>>, RawQuery(query): RawQuery) -> Response {
    gateway.calls.fetch_add(1, Ordering::Relaxed);
    let query = query.unwrap_or_default();
    let given = |key: &str| url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == key);
    let is = |key: &str, expected: &str| given(key).is_some_and(|(_, value)| value == expected);
    if !is("username", &gateway.options.username) || !is("password", &gateway.options.password) {
        return api::plain(401, "Wrong username or password");
    }
    let form = match api::read_form(query.as_bytes()) {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let behaviour = gateway.behaviour();
    let sms = gateway.journal.enter(form.sms, (gateway.options.wall_clock)());
    receipts::plan(&gateway, &behaviour, &sms).await;
    (StatusCode::OK, format!("OK {}", sms.id)).into_response()
}
