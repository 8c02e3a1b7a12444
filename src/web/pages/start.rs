//! Owns the first page: what is the case now, and what stands in the way.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::administration::area_name;
use super::frame::{Frame, show};
use super::gateway::pause_reason;
use super::menu::Section;
use super::time::number;
use super::visit::SignedIn;
use crate::actions::alert_view::{self, AlertView};
use crate::domain::area::AreaTree;
use crate::domain::delivery::DeliveryState;
use crate::domain::message::MessageState;
use crate::domain::operator::Right;
use crate::store::{self, setting};
use crate::web::Web;
use crate::web::error::Problem;

/// Alerts shown.
const ALERTS: i64 = 10;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/", get(start))
}

/// An alert in a few words.
#[derive(Debug)]
struct AlertRow {
    text: String,
    areas: String,
    at: String,
    code: &'static str,
    state: &'static str,
    delivered: String,
    total: String,
    is_drill: bool,
}

#[derive(Template)]
#[template(path = "pages/start.html")]
struct StartPage {
    frame: Frame,
    paused: Option<String>,
    may_resume: bool,
    may_read: bool,
    alerts: Vec<AlertRow>,
}

async fn start(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    let actor = who.actor();
    let may_read = actor.role.may(Right::ReadAlerts);
    let mut session = web.desk.store.read().await?;
    let paused = setting::get(&mut session, setting::PAUSED).await?;
    let tree = store::area::tree(&mut session).await?;
    let alerts =
        if may_read { alert_view::page(&web.desk, &mut session, actor, ("", ALERTS)).await?.0 } else { Vec::new() };
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Start, "Läget nu")).await;
    let page = StartPage {
        paused: paused.map(|reason| pause_reason(&reason)),
        may_resume: actor.role.may(Right::Administer) && tree.root().is_some_and(|root| root.code == actor.area),
        may_read,
        alerts: alerts.iter().map(|view| row(&frame, &tree, view)).collect(),
        frame,
    };
    show(StatusCode::OK, &page)
}

fn row(frame: &Frame, tree: &AreaTree, view: &AlertView) -> AlertRow {
    let (code, state) = match view.message.state() {
        MessageState::Draft => ("", "Utkast"),
        MessageState::AwaitingApproval => ("warn", "Väntar på granskning"),
        MessageState::Queued => ("info", "Väntar"),
        MessageState::Sending => ("info", "Skickas"),
        MessageState::HandedOver => ("info", "Allt utskickat"),
        MessageState::Done => ("ok", "Klart"),
        MessageState::Stopped => ("bad", "Stoppat"),
    };
    AlertRow {
        text: view.alert.text.clone(),
        areas: view.areas.iter().map(|code| area_name(tree, code)).collect::<Vec<_>>().join(", "),
        at: frame.wall.short(view.message.created_at),
        code,
        state,
        delivered: number(view.counts.get(DeliveryState::Delivered)),
        total: number(view.counts.total()),
        is_drill: view.alert.drill != 0,
    }
}
