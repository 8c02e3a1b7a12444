//! Owns the list of alerts: those on their way or still valid first, then those before.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::alert_areas::in_words;
use super::frame::{Frame, show};
use super::menu::Section;
use super::time::{Wall, number};
use super::visit::SignedIn;
use crate::actions::alert_view::{self, AlertView};
use crate::domain::area::AreaTree;
use crate::domain::delivery::DeliveryState;
use crate::domain::message::MessageState;
use crate::domain::operator::Right;
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;

/// Alerts on a page.
const PAGE: i64 = 50;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/alerts", get(list))
}

/// An alert in the list.
#[derive(Debug)]
struct AlertRow {
    id: String,
    text: String,
    areas: String,
    at: String,
    code: &'static str,
    state: &'static str,
    delivered: String,
    total: String,
    until: String,
    is_drill: bool,
    is_follow_up: bool,
}

#[derive(Template)]
#[template(path = "pages/alerts.html")]
struct AlertsPage {
    frame: Frame,
    under_way: Vec<AlertRow>,
    before: Vec<AlertRow>,
    may_send: bool,
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
    let (views, next) = alert_view::page(&web.desk, &mut session, who.actor(), (&query.after, PAGE)).await?;
    let tree = store::area::tree(&mut session).await?;
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Alerts, "Pågående sms-utskick")).await;
    let is_alive = |view: &&AlertView| {
        let is_valid = view.message.expires_at.is_some_and(|at| at > frame.now_ms);
        match view.message.state() {
            MessageState::Stopped => false,
            MessageState::Done => is_valid,
            _ => true,
        }
    };
    let (alive, rest): (Vec<&AlertView>, Vec<&AlertView>) = views.iter().partition(is_alive);
    let rows = |views: Vec<&AlertView>| views.into_iter().map(|view| row(&frame.wall, &tree, view)).collect();
    let page = AlertsPage {
        under_way: rows(alive),
        before: rows(rest),
        may_send: who.actor().role.may(Right::SendAlerts),
        next,
        is_first: query.after.is_empty(),
        frame,
    };
    show(StatusCode::OK, &page)
}

fn row(wall: &Wall, tree: &AreaTree, view: &AlertView) -> AlertRow {
    let (code, state) = state_words(view.message.state());
    AlertRow {
        id: view.message.id.clone(),
        text: view.alert.text.clone(),
        areas: in_words(tree, &view.areas),
        at: wall.short(view.message.created_at),
        code,
        state,
        delivered: number(view.counts.get(DeliveryState::Delivered)),
        total: number(view.counts.total()),
        until: view.message.expires_at.map_or_else(String::new, |at| wall.short(at)),
        is_drill: view.alert.drill == 1,
        is_follow_up: view.message.follows.is_some(),
    }
}

/// The state of an alert for a pill: its style and its words.
#[must_use]
pub fn state_words(state: MessageState) -> (&'static str, &'static str) {
    match state {
        MessageState::Draft => ("warn", "Tillbakaskickat"),
        MessageState::AwaitingApproval => ("warn", "Granskas av kollega"),
        MessageState::Queued => ("info", "Väntar"),
        MessageState::Sending => ("info", "Skickas"),
        MessageState::HandedOver => ("info", "Allt utskickat"),
        MessageState::Done => ("ok", "Klart"),
        MessageState::Stopped => ("bad", "Stoppat"),
    }
}
