//! Owns the report of one alert on one page, to print and file.
//!
//! It is the live page's words at rest, with the counts over time and the log. Invariant: it says what is unknown.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::actor_names::ActorNames;
use super::alert_live::Live;
use super::audit_words::words;
use super::frame::{Frame, show};
use super::menu::Section;
use super::time::number;
use super::visit::SignedIn;
use crate::actions::alert_report::{self, AlertReport};
use crate::domain::delivery::DeliveryState;
use crate::domain::operator::Right;
use crate::store;
use crate::store::audit::Stored;
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/alerts/{id}/report", get(look))
}

/// The counts at a time, in words.
#[derive(Debug)]
struct TallyRow {
    by: String,
    accepted: String,
    delivered: String,
    not_delivered: String,
}

/// An entry of the log.
#[derive(Debug)]
struct LogRow {
    at: String,
    what: String,
    who: String,
    seq: String,
}

#[derive(Template)]
#[template(path = "pages/alert_report.html")]
struct ReportPage {
    frame: Frame,
    live: Live,
    text: String,
    decided_by: String,
    asks: bool,
    may_spread: bool,
    is_drill: bool,
    watch: (String, String),
    not_reached: String,
    unknown: String,
    tallies: Vec<TallyRow>,
    /// When they were counted, where that is a while ago.
    tallied_at: Option<String>,
    log: Vec<LogRow>,
    /// Place and hash of the log's head.
    head: Option<(i64, String)>,
    made: (String, String),
    may_read_log: bool,
}

async fn look(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let report = alert_report::get(&web.desk, &mut session, who.actor(), &id).await?;
    let tree = store::area::tree(&mut session).await?;
    let names = ActorNames::load(&mut session).await?;
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Alerts, "Händelserapport")).await;
    let live = Live::of(&report.figures, (&tree, &names), &frame, &who);
    let view = &report.figures.view;
    let counts = &view.counts;
    let unknown = [DeliveryState::Accepted, DeliveryState::InDoubt, DeliveryState::Unconfirmed];
    let page = ReportPage {
        text: view.message.body.clone(),
        decided_by: view.alert.decided_by.clone(),
        asks: view.alert.kind == "observation",
        may_spread: view.alert.spread == "households",
        is_drill: view.alert.drill == 1,
        watch: (view.alert.watched_by.clone(), crate::domain::phone::display(&view.alert.duty_number)),
        not_reached: number(view.audience.not_reached),
        unknown: number(unknown.into_iter().map(|state| counts.get(state)).sum()),
        tallies: tallies(&report, &frame),
        tallied_at: Some(report.tallied_at).filter(|at| *at < report.made_at).map(|at| frame.wall.clock(at)),
        log: log(&report, &names, &frame),
        head: report.head.map(|head| (head.seq, head.hash)),
        made: (frame.wall.short(report.made_at), names.of(&who.actor().id)),
        may_read_log: who.actor().role.may(Right::ReadAudit),
        frame,
        live,
    };
    show(StatusCode::OK, &page)
}

fn tallies(report: &AlertReport, frame: &Frame) -> Vec<TallyRow> {
    let row = |tally: &alert_report::Tally| TallyRow {
        by: frame.wall.short(tally.by),
        accepted: number(tally.accepted),
        delivered: number(tally.delivered),
        not_delivered: number(tally.not_delivered),
    };
    report.tallies.iter().map(row).collect()
}

/// What was done to the alert, one line each.
fn log(report: &AlertReport, names: &ActorNames, frame: &Frame) -> Vec<LogRow> {
    let row = |entry: &Stored| LogRow {
        at: frame.wall.short(entry.at),
        what: Some(words(&entry.action)).filter(|words| !words.is_empty()).unwrap_or(&entry.action).to_owned(),
        who: names.of(&entry.actor),
        seq: entry.seq.map_or_else(|| "–".to_owned(), |seq| seq.to_string()),
    };
    report.entries.iter().map(row).collect()
}
