//! Owns who calls: the API key of a request becomes an actor.
//!
//! A key that calls too often is asked to wait (`limits`). Invariant: no handler below `/api/v1` runs without one.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::Web;
use super::error::Problem;
use super::limits::source_address;
use crate::actions::key;
use crate::domain::operator::Actor;

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller(pub Actor);

impl FromRequestParts<Web> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let refused = || {
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "auth.key",
                "Ange en giltig API-nyckel: Authorization: Bearer NYCKEL.",
            )
        };
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(refused)?;
        let (scheme, secret) = header.split_once(' ').ok_or_else(refused)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(refused());
        }
        let actor = key::actor_of(&web.desk, secret.trim()).await?;
        let Some(actor) = actor else {
            if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
                let trusted = &web.desk.config.server.trusted_proxies;
                web.limits.note_wrong_key(source_address(trusted, peer.ip(), &parts.headers))?;
            }
            return Err(refused());
        };
        web.limits.note_call(&actor.id)?;
        Ok(Self(actor))
    }
}
