//! Owns the first page: what is the case now, what waits for whoever looks, and what stands in the way.
//!
//! It changes nothing. Invariant: what somebody else waits for stands before everything but a pause.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::actor_names::ActorNames;
use super::alert_areas::in_words;
use super::alert_draft::DraftRow;
use super::alert_list::state_words;
use super::frame::{Frame, show};
use super::gateway::{self, GatewayRow, pause_reason};
use super::letter_effect::PAPER_LEFT;
use super::letter_list::{CadenceRow, cadence_rows};
use super::menu::Section;
use super::observation_list::figures_words;
use super::time::number;
use super::visit::SignedIn;
use crate::actions::alert_view::{self, AlertView};
use crate::actions::work_list::{self, WorkItem};
use crate::actions::{alert_draft, letter_cadence, observation_view};
use crate::domain::area::AreaTree;
use crate::domain::delivery::DeliveryState;
use crate::domain::message::{Counts, MessageState};
use crate::domain::operator::Right;
use crate::store::{self, setting};
use crate::web::Web;
use crate::web::error::Problem;

/// Latest alerts shown.
const ALERTS: i64 = 5;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/", get(start))
}

/// An alert or letter in a few words.
#[derive(Debug)]
struct Row {
    href: String,
    kind: &'static str,
    title: String,
    areas: String,
    at: String,
    code: &'static str,
    state: &'static str,
    done: String,
    is_drill: bool,
}

#[derive(Template)]
#[template(path = "pages/start.html")]
struct StartPage {
    frame: Frame,
    paused: Option<String>,
    may_resume: bool,
    may_read: bool,
    reads_messages: bool,
    may_alert: bool,
    reads_alerts: bool,
    to_review: Vec<Row>,
    own_drafts: Vec<Row>,
    begun: Vec<DraftRow>,
    under_way: Vec<Row>,
    latest: Vec<Row>,
    cadence: Vec<CadenceRow>,
    goal: u32,
    gateways: Vec<GatewayRow>,
    /// How the inbox stands, for who works in it.
    inbox: Option<String>,
}

async fn start(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    let actor = who.actor();
    let may = |right| actor.role.may(right);
    let reads_alerts = may(Right::ReadAlerts);
    let mut session = web.desk.store.read().await?;
    let paused = setting::get(&mut session, setting::PAUSED).await?;
    let tree = store::area::tree(&mut session).await?;
    let work = work_list::of(&mut session, actor).await?;
    let latest = match reads_alerts {
        true => alert_view::page(&web.desk, &mut session, actor, ("", ALERTS)).await?.0,
        false => Vec::new(),
    };
    let cadence = match may(Right::ReadLetters) {
        true => letter_cadence::of_areas(&web.desk, &mut session, actor).await?,
        false => Vec::new(),
    };
    let inbox = match may(Right::WorkInbox) {
        true => Some(figures_words(&observation_view::figures(&web.desk, &mut session, actor).await?)),
        false => None,
    };
    let states = store::gateway::states(&mut session).await?;
    let drafts = alert_draft::list(&mut session, actor).await?;
    let names = ActorNames::load(&mut session).await?;
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Start, "Läget nu")).await;
    let rows = |items: &[WorkItem]| -> Vec<Row> { items.iter().map(|item| of_item(&frame, &tree, item)).collect() };
    let page = StartPage {
        paused: paused.map(|reason| pause_reason(&reason)),
        may_resume: may(Right::Administer) && tree.root().is_some_and(|root| root.code == actor.area),
        may_read: reads_alerts || may(Right::ReadLetters) || inbox.is_some(),
        reads_messages: reads_alerts || may(Right::ReadLetters),
        inbox,
        may_alert: may(Right::SendAlerts),
        reads_alerts,
        to_review: rows(&work.to_review),
        own_drafts: rows(&work.own_drafts),
        begun: super::alert_draft::rows(&drafts, (&tree, &names, &frame.wall)),
        under_way: rows(&work.under_way),
        latest: latest.iter().map(|view| of_alert(&frame, &tree, view)).collect(),
        cadence: cadence_rows(cadence, &frame.wall),
        goal: web.desk.config.letters.goal_every_days,
        gateways: gateway::rows(&web.desk.config, &states, &frame.wall),
        frame,
    };
    show(StatusCode::OK, &page)
}

fn of_item(frame: &Frame, tree: &AreaTree, item: &WorkItem) -> Row {
    let message = &item.message;
    let is_alert = message.kind == "alert";
    let (code, state) = match message.state() {
        MessageState::Draft if !is_alert => ("", "Utkast"),
        MessageState::Queued if message.sends_at.is_some_and(|at| at - frame.now_ms > 120_000) => {
            ("info", "Tidsinställt")
        }
        _ if item.waits_for_paper_only => PAPER_LEFT,
        state => state_words(state),
    };
    Row {
        href: format!("/{}/{}", if is_alert { "alerts" } else { "letters" }, message.id),
        kind: if is_alert { "Sms" } else { "Brev" },
        title: item.title.clone(),
        areas: in_words(tree, &item.areas),
        at: frame.wall.short(message.sends_at.unwrap_or(message.changed_at)),
        code,
        state,
        done: done(&item.counts, is_alert),
        is_drill: item.is_drill,
    }
}

fn of_alert(frame: &Frame, tree: &AreaTree, view: &AlertView) -> Row {
    let (code, state) = state_words(view.message.state());
    Row {
        href: format!("/alerts/{}", view.message.id),
        kind: "Sms",
        title: view.alert.text.clone(),
        areas: in_words(tree, &view.areas),
        at: frame.wall.short(view.message.created_at),
        code,
        state,
        done: done(&view.counts, true),
        is_drill: view.alert.drill != 0,
    }
}

/// How far a message has come. A phone says that it has an SMS; a mail or a letter on paper is only known to have been sent.
fn done(counts: &Counts, is_alert: bool) -> String {
    if counts.total() == 0 {
        return String::new();
    }
    let (n, words) = match is_alert {
        true => (counts.get(DeliveryState::Delivered), "levererade"),
        false => (counts.total() - counts.waiting(), "klara"),
    };
    format!("{} av {} {words}", number(n), number(counts.total()))
}
