//! Owns the list of letters, and how long ago each area had its last one.
//!
//! It writes nothing. Invariant: what somebody must do something about stands first.

use std::collections::BTreeSet;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::alert_areas::{in_words, sorted};
use super::frame::{Frame, show};
use super::letter_effect::{PAPER_LEFT, state_words};
use super::menu::Section;
use super::time::{Wall, number};
use super::visit::SignedIn;
use crate::actions::letter_cadence::{self, AreaCadence};
use crate::actions::letter_figures::waits_for_paper_only;
use crate::actions::letter_view::{self, LetterView};
use crate::domain::area::AreaTree;
use crate::domain::letter_cadence::Standing;
use crate::domain::message::MessageState;
use crate::domain::operator::Right;
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;

/// Letters on a page.
const PAGE: i64 = 20;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/letters", get(list))
}

/// A letter in the list.
#[derive(Debug)]
struct LetterRow {
    id: String,
    subject: String,
    registry_number: String,
    areas: String,
    at: String,
    code: &'static str,
    state: &'static str,
    reach: String,
}

/// How one area stands, in words.
#[derive(Debug)]
pub struct CadenceRow {
    /// What it is called.
    pub name: String,
    /// How long ago the last letter went.
    pub days: String,
    /// Style of how it stands.
    pub code: &'static str,
    /// How it stands; empty without a goal.
    pub standing: String,
    /// When the next one goes.
    pub planned: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/letters.html")]
struct LettersPage {
    frame: Frame,
    cadence: Vec<CadenceRow>,
    goal: u32,
    drafts: Vec<LetterRow>,
    under_way: Vec<LetterRow>,
    before: Vec<LetterRow>,
    may_write: bool,
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
    let (views, next) = letter_view::page(&web.desk, &mut session, who.actor(), (&query.after, PAGE)).await?;
    let cadence = letter_cadence::of_areas(&web.desk, &mut session, who.actor()).await?;
    let tree = store::area::tree(&mut session).await?;
    let mut paper_left = BTreeSet::new();
    for view in &views {
        if waits_for_paper_only(&mut session, &view.message).await? {
            paper_left.insert(view.message.id.clone());
        }
    }
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Letters, "Brev")).await;
    let rows = |which: fn(MessageState) -> bool| -> Vec<LetterRow> {
        let fits = views.iter().filter(|view| which(view.message.state()));
        fits.map(|view| row(&frame, &tree, (view, paper_left.contains(&view.message.id)))).collect()
    };
    let page = LettersPage {
        drafts: rows(MessageState::is_editable),
        under_way: rows(|state| matches!(state, MessageState::Queued | MessageState::Sending)),
        before: rows(|state| matches!(state, MessageState::HandedOver | MessageState::Done | MessageState::Stopped)),
        cadence: cadence_rows(cadence, &frame.wall),
        goal: web.desk.config.letters.goal_every_days,
        may_write: who.actor().role.may(Right::SendLetters),
        next,
        is_first: query.after.is_empty(),
        frame,
    };
    show(StatusCode::OK, &page)
}

fn row(frame: &Frame, tree: &AreaTree, (view, is_paper_left): (&LetterView, bool)) -> LetterRow {
    let (code, state) = if is_paper_left { PAPER_LEFT } else { state_words(view, frame.now_ms) };
    let (message, audience) = (&view.message, view.audience);
    LetterRow {
        id: message.id.clone(),
        subject: view.letter.subject.clone(),
        registry_number: view.letter.registry_number.clone().unwrap_or_else(|| "Inget".to_owned()),
        areas: in_words(tree, &view.areas),
        at: frame.wall.short(message.sends_at.or(message.send_at).unwrap_or(message.changed_at)),
        code,
        state,
        reach: format!("{} e-post, {} papper", number(audience.by_email), number(audience.on_paper)),
    }
}

/// The areas in words, those first that have waited longest.
#[must_use]
pub fn cadence_rows(mut areas: Vec<AreaCadence>, wall: &Wall) -> Vec<CadenceRow> {
    areas.sort_by_key(|area| (std::cmp::Reverse(area.days.unwrap_or(i64::MAX)), sorted(&area.name)));
    areas.into_iter().map(|area| cadence_row(area, wall)).collect()
}

fn cadence_row(area: AreaCadence, wall: &Wall) -> CadenceRow {
    let days = match area.days {
        None => "Inget brev har skickats än".to_owned(),
        Some(0) => "Brev i dag".to_owned(),
        Some(1) => "1 dag sedan senaste brevet".to_owned(),
        Some(days) => format!("{} dagar sedan senaste brevet", number(days)),
    };
    let (code, standing) = match area.standing {
        Standing::NoGoal => ("", String::new()),
        Standing::Never => ("warn", "Inget brev än".to_owned()),
        Standing::InTime { left } => ("ok", format!("I tid, {} dagar kvar", number(left))),
        Standing::Near { left: 0 } => ("warn", "Snart dags: i dag".to_owned()),
        Standing::Near { left: 1 } => ("warn", "Snart dags: i morgon".to_owned()),
        Standing::Near { left } => ("warn", format!("Snart dags: {left} dagar kvar")),
        Standing::Late { by: 1 } => ("bad", "Brevet är 1 dag försenat".to_owned()),
        Standing::Late { by } => ("bad", format!("Brevet är {} dagar försenat", number(by))),
    };
    CadenceRow {
        name: area.name,
        days,
        code,
        standing,
        planned: area.planned_at.map(|at| format!("Nästa går {}", wall.text(at))),
    }
}
