//! Owns the way to the authority's identity provider and back.
//!
//! Invariant: a GET that comes back opens a session only for the browser that left, which holds the cookie it was given.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

use super::visit::{self, IDENTITY, browser_of, local_path};
use crate::actions::sign_in_elsewhere::{prove_with_identity, with_identity};
use crate::inbound::identity::{Arrival, IdentityError};
use crate::web::Web;
use crate::web::error::Problem;

/// The cookie is kept as long as a question is good: ten minutes.
const MAX_AGE: i64 = 600;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/sign-in/oidc", get(depart)).route("/sign-in/oidc/back", get(arrive))
}

#[derive(Debug, Default, Deserialize)]
struct DepartQuery {
    #[serde(default)]
    next: String,
    #[serde(default)]
    again: String,
}

async fn depart(State(web): State<Web>, Query(query): Query<DepartQuery>) -> Result<Response, Problem> {
    let desk = web.identity.as_ref().ok_or_else(no_provider)?;
    let next = local_path(&query.next);
    let departure = desk.depart(next, !query.again.is_empty(), web.desk.now()).await.map_err(|error| {
        tracing::warn!(code = error.code(), "the identity provider could not be asked");
        unreachable()
    })?;
    let mut response = Redirect::to(&departure.url).into_response();
    visit::set_cookie(&web, &mut response, (IDENTITY, &departure.kept), Some(MAX_AGE));
    Ok(response)
}

#[derive(Debug, Default, Deserialize)]
struct BackQuery {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
}

async fn arrive(State(web): State<Web>, parts: Parts, Query(query): Query<BackQuery>) -> Response {
    let mut response = match arrived(&web, &parts, &query).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    // What was asked is answered, in whatever way.
    visit::set_cookie(&web, &mut response, (IDENTITY, ""), Some(0));
    response
}

async fn arrived(web: &Web, parts: &Parts, query: &BackQuery) -> Result<Response, Problem> {
    let desk = web.identity.as_ref().ok_or_else(no_provider)?;
    let kept = visit::cookie(web, &parts.headers, IDENTITY).ok_or_else(refused)?;
    let answer = (query.code.as_str(), query.state.as_str());
    let arrival = desk.arrive(&kept, answer, web.desk.now()).await.map_err(|error| {
        tracing::warn!(code = error.code(), "an answer of the identity provider was not taken");
        match error {
            IdentityError::Unreachable(_) => unreachable(),
            IdentityError::Refused(_) => refused(),
        }
    })?;
    if arrival.again {
        return proved(web, parts, &arrival).await;
    }
    open(web, &parts.headers, &arrival).await
}

async fn open(web: &Web, headers: &HeaderMap, arrival: &Arrival) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    let opened = with_identity(&web.desk, &mut session, &arrival.identity, &browser_of(headers)).await?;
    session.commit().await?;
    let opened = opened.ok_or_else(unknown)?;
    let mut response = Redirect::to(local_path(&arrival.next)).into_response();
    visit::sign_in(web, &mut response, &opened.token);
    Ok(response)
}

async fn proved(web: &Web, parts: &Parts, arrival: &Arrival) -> Result<Response, Problem> {
    let who = visit::signed_in(web, parts).await?.ok_or_else(refused)?;
    let mut session = web.desk.store.begin().await?;
    let is_same = prove_with_identity(&web.desk, &mut session, &who.visitor, &arrival.identity).await?;
    session.commit().await?;
    if is_same { Ok(Redirect::to(local_path(&arrival.next)).into_response()) } else { Err(refused()) }
}

fn no_provider() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "Det finns inget på den adressen.")
}

fn unreachable() -> Problem {
    let detail = "Organisationens inloggning svarar inte. Logga in på ett annat sätt, eller försök igen om en stund.";
    Problem::new(StatusCode::BAD_GATEWAY, "identity.unreachable", detail)
}

fn refused() -> Problem {
    let detail = "Svaret från organisationens inloggning gick inte att lita på. Försök igen från början.";
    Problem::new(StatusCode::FORBIDDEN, "identity.refused", detail)
}

/// Somebody whom the authority knows, and who is no operator here.
pub(super) fn unknown() -> Problem {
    let detail = "Organisationens inloggning känner dig, men du är inte tillagd här. Be en administratör lägga till dig \
                  med samma e-postadress.";
    Problem::new(StatusCode::FORBIDDEN, "identity.unknown", detail)
}
