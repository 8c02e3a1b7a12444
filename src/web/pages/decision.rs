//! Owns the page of the decision ledger: what was sent, and what was considered and not sent.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::actor_names::ActorNames;
use super::administration::area_name;
use super::frame::{Frame, show};
use super::menu::Section;
use super::visit::SignedIn;
use crate::actions::decision;
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;

/// Decisions on a page.
const PAGE: i64 = 50;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/decisions", get(list))
}

/// A decision in the list.
#[derive(Debug)]
struct DecisionRow {
    at: String,
    is_sent: bool,
    decided_by: String,
    areas: String,
    reason: String,
    written_by: String,
}

#[derive(Template)]
#[template(path = "pages/decisions.html")]
struct DecisionsPage {
    frame: Frame,
    rows: Vec<DecisionRow>,
    next: Option<String>,
    is_first: bool,
}

/// Where the page begins.
#[derive(Debug, Default, Deserialize)]
struct PageQuery {
    #[serde(default)]
    after: String,
}

async fn list(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<PageQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let (decisions, next) = decision::page(&mut session, who.actor(), &query.after, PAGE).await?;
    let names = ActorNames::load(&mut session).await?;
    let tree = store::area::tree(&mut session).await?;
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Decisions, "Beslut")).await;
    let row = |one: store::decision::Decision| {
        let codes: Vec<String> = serde_json::from_str(&one.areas).unwrap_or_default();
        DecisionRow {
            at: frame.wall.short(one.created_at),
            is_sent: one.outcome == "sent",
            areas: codes.iter().map(|code| area_name(&tree, code)).collect::<Vec<_>>().join(", "),
            written_by: names.of(&one.created_by),
            decided_by: one.decided_by,
            reason: one.reason,
        }
    };
    let rows = decisions.into_iter().map(row).collect();
    show(StatusCode::OK, &DecisionsPage { rows, next, is_first: query.after.is_empty(), frame })
}
