//! Owns what gateways call: receipts and incoming SMS.
//!
//! Invariants: every answer has an empty body; 404 for a wrong secret or address, 204 for everything that was taken,
//! duplicates and unknown tokens included; what cannot be stored is not acknowledged, so that it comes again.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{any, post};
use futures_util::StreamExt as _;
use subtle::ConstantTimeEq as _;
use tower::ServiceBuilder;
use tower::util::MapResponseLayer;
use tower_http::catch_panic::CatchPanicLayer;

use super::limits::{emptied, source_address};
use super::{Web, error, leftover};

use crate::inbound::gateway_hook::GatewayHook;

/// Bodies of hooks larger than this are refused: 64 KiB.
const HOOK_LIMIT: usize = 64 * 1024;
/// A call that is not done by then is given up; the gateway brings it again.
const HOOK_PATIENCE: Duration = Duration::from_secs(10);

/// The hooks. A gateway calls for every SMS, and axum copies each layer for each call, so they have few (`docs/performance.md`).
pub fn router() -> Router<Web> {
    Router::new()
        .route("/hooks/sms/{gateway}/{secret}/receipt/{token}", post(receipt))
        .route("/hooks/sms/{gateway}/{secret}/inbound", post(inbound))
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(
            ServiceBuilder::new().layer(MapResponseLayer::new(emptied)).layer(CatchPanicLayer::custom(error::panicked)),
        )
}

/// Every other address below `/hooks`.
pub fn nothing_else() -> Router<Web> {
    ["/hooks", "/hooks/", "/hooks/{*rest}"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, any(async || StatusCode::NOT_FOUND)))
}

async fn receipt(
    State(web): State<Web>,
    Path((name, secret, token)): Path<(String, String, String)>,
    request: Request,
) -> StatusCode {
    in_time(async {
        let (hook, body) = read(&web, (&name, &secret), request).await?;
        let Some(token) = web.desk.token_key.decode(&token) else {
            metrics::counter!("grannpost_unknown_receipts_total", "gateway" => name).increment(1);
            return Ok(());
        };
        let Ok(receipt) = hook.gateway.decode_receipt(&body) else {
            metrics::counter!("grannpost_unreadable_receipts_total", "gateway" => name).increment(1);
            return Ok(());
        };
        web.receipts.take(&name, token, receipt).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    })
    .await
}

/// Incoming SMS are kept as they come, and read afterwards.
async fn inbound(State(web): State<Web>, Path((name, secret)): Path<(String, String)>, request: Request) -> StatusCode {
    in_time(async {
        let (hook, body) = read(&web, (&name, &secret), request).await?;
        web.incoming.keep(hook, &name, &body).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    })
    .await
}

async fn in_time(call: impl Future<Output = Result<(), StatusCode>>) -> StatusCode {
    match tokio::time::timeout(HOOK_PATIENCE, call).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT,
        Ok(Err(status)) => status,
        Err(_) => StatusCode::REQUEST_TIMEOUT,
    }
}

/// The gateway behind a call and what it says; of a call that is refused the rest is read and forgotten.
async fn read<'a>(
    web: &'a Web,
    caller: (&str, &str),
    request: Request,
) -> Result<(&'a GatewayHook, Vec<u8>), StatusCode> {
    let (parts, body) = request.into_parts();
    // What is announced as too long is not waited for.
    let is_too_long = body.size_hint().lower() > HOOK_LIMIT as u64;
    let mut frames = body.into_data_stream();
    let Some(hook) = allowed(web, caller, &parts) else {
        leftover::forget(frames).await;
        return Err(StatusCode::NOT_FOUND);
    };
    if is_too_long {
        leftover::forget(frames).await;
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut read = Vec::new();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        if read.len() + frame.len() > HOOK_LIMIT {
            leftover::forget(frames).await;
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        read.extend_from_slice(&frame);
    }
    Ok((hook, read))
}

/// The gateway behind a call, when name, secret and source address are right.
fn allowed<'a>(web: &'a Web, (name, secret): (&str, &str), parts: &Parts) -> Option<&'a GatewayHook> {
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
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let address = source_address(&web.desk.config.server.trusted_proxies, peer.ip(), &parts.headers);
    hook.config.callback_addresses.contains(&address).then_some(hook)
}
