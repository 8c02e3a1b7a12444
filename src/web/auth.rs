//! Owns who calls: the API key of a request becomes an actor.
//!
//! Invariant: no handler below `/api/v1` runs without one.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::Web;
use super::error::Problem;
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
        actor.map(Self).ok_or_else(refused)
    }
}
