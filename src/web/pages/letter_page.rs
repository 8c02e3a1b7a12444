//! Owns the page of one letter: a draft with its preview and what can be done with it, or a letter on its way and done; and
//! the letter itself as it is sent.
//!
//! It computes nothing that is not shown. Invariant: what is shown as the letter comes from the renderer that sends it, and
//! nothing in it can run.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use super::actor_names::ActorNames;
use super::alert_areas::in_words;
use super::form::Faults;
use super::frame::{Frame, show};
use super::letter_effect::{LetterEffect, state_words};
use super::letter_live::{LetterLive, failure_words};
use super::menu::Section;
use super::visit::SignedIn;
use crate::actions::letter_figures::{self, LetterFigures};
use crate::actions::letter_view::LetterView;
use crate::actions::{letter_review, letter_view};
use crate::domain::delivery::DeliveryState;
use crate::domain::message::MessageState;
use crate::domain::operator::{Actor, Right};
use crate::store::letter::Standing;
use crate::store::{self, Session};
use crate::web::Web;
use crate::web::api::letter::{PREVIEW_POLICY, html};
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/letters/{id}", get(look))
        .route("/letters/{id}/live", get(live))
        .route("/letters/{id}/mail", get(mail))
        .route("/letters/{id}/text", get(text))
}

/// The head of a letter in words.
#[derive(Debug)]
pub struct Head {
    /// Its id.
    pub id: String,
    /// Heading.
    pub subject: String,
    /// Where it goes, in words.
    pub areas: String,
    /// Date, or when it gets one.
    pub dated: String,
    /// Diarienummer, or that there is none.
    pub registry_number: String,
    /// Saknummer.
    pub subject_code: Option<String>,
    /// Who signs.
    pub signature: String,
    /// Who gets a copy.
    pub copies: Vec<String>,
    /// Where answers go.
    pub replies_to: String,
    /// Which revision.
    pub revision: i64,
    /// When it is timed to go, in words.
    pub goes_at: Option<String>,
    /// The same day and time as fields have them.
    pub goes_on: (String, String),
}

impl Head {
    /// In words.
    #[must_use]
    pub fn of(web: &Web, frame: &Frame, view: &LetterView, areas: String) -> Self {
        let fields = view.letter.fields();
        let none = || "Ingen".to_owned();
        // What was timed and not sent in time goes at once.
        let send_at = view.message.send_at.filter(|at| *at > frame.now_ms);
        Self {
            id: view.message.id.clone(),
            subject: fields.subject,
            areas,
            dated: fields.dated.unwrap_or_else(|| "Dagen då brevet skickas".to_owned()),
            registry_number: fields.registry_number.unwrap_or_else(|| "Inget diarienummer".to_owned()),
            subject_code: fields.subject_code,
            signature: fields.signature.map_or_else(none, |one| match one.title.as_str() {
                "" => one.name,
                title => format!("{}, {title}", one.name),
            }),
            copies: fields.copy_recipients.into_iter().map(|copy| format!("{} ({})", copy.name, copy.email)).collect(),
            replies_to: web.desk.config.mail.contact_address().to_owned(),
            revision: view.message.revision,
            goes_at: send_at.map(|at| frame.wall.text(at)),
            goes_on: send_at.map(|at| frame.wall.fields(at)).unwrap_or_default(),
        }
    }
}

/// A review as far as it has come.
#[derive(Debug)]
struct ReviewShown {
    written_by: String,
    is_own: bool,
    may_review: bool,
}

#[derive(Template)]
#[template(path = "pages/letter_draft.html")]
struct DraftPage {
    frame: Frame,
    faults: Faults,
    head: Head,
    effect: LetterEffect,
    pill: (&'static str, &'static str),
    text: String,
    may_write: bool,
    needs_approval: bool,
    review: Option<ReviewShown>,
    returned: Option<String>,
    changed: String,
    tested: Option<(&'static str, String)>,
    times: TimesTyped,
    key: String,
}

/// Day and time for the letter to go, as typed.
#[derive(Debug, Clone, Default)]
pub struct TimesTyped {
    /// `2026-11-24`.
    pub day: String,
    /// `09:00`.
    pub time: String,
}

#[derive(Template)]
#[template(path = "pages/letter.html")]
struct LetterPage {
    frame: Frame,
    head: Head,
    live: LetterLive,
    text: String,
    may_write: bool,
}

#[derive(Template)]
#[template(path = "pages/letter_live.html")]
struct LivePart {
    frame: Frame,
    live: LetterLive,
}

/// Which test was just sent.
#[derive(Debug, Default, Deserialize)]
struct LookQuery {
    #[serde(default)]
    test: String,
}

async fn look(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<LookQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let asked = Asked { test: query.test, ..Asked::default() };
    page(&web, (&headers, &who), &id, asked).await
}

/// What a page of a letter is shown with.
#[derive(Debug, Default)]
pub struct Asked {
    /// What is wrong with a form on it.
    pub faults: Faults,
    /// The message of a test that was just sent.
    pub test: String,
    /// Day and time as typed.
    pub times: Option<TimesTyped>,
}

/// The page of a letter.
///
/// # Errors
/// [`Problem`].
pub async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    id: &str,
    asked: Asked,
) -> Result<Response, Problem> {
    let actor = who.actor();
    let mut session = web.desk.store.read().await?;
    let figures = letter_figures::get(&web.desk, &mut session, actor, id).await?;
    let text = letter_view::preview(&web.desk, &mut session, actor, id).await?.text;
    let tree = store::area::tree(&mut session).await?;
    let names = ActorNames::load(&mut session).await?;
    let tested = tested(&mut session, actor, &asked.test).await?;
    drop(session);
    let frame = Frame::of(web, headers, who, (Section::Letters, &figures.view.letter.subject)).await;
    let head = Head::of(web, &frame, &figures.view, in_words(&tree, &figures.view.areas));
    let may_write = actor.role.may(Right::SendLetters);
    if !figures.view.message.state().is_editable() {
        let live = LetterLive::of(web, &figures, (&frame, &names), may_write);
        return show(StatusCode::OK, &LetterPage { frame, head, live, text, may_write });
    }
    let status = if asked.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let (day, time) = head.goes_on.clone();
    let page = DraftPage {
        effect: LetterEffect::of(figures.view.audience),
        pill: state_words(&figures.view, frame.now_ms),
        needs_approval: letter_review::is_needed(&web.desk, figures.view.audience),
        review: review(&figures, &names, actor),
        returned: returned(&figures, &names),
        changed: changed(&figures, &names, &frame),
        times: asked.times.unwrap_or(TimesTyped { day, time }),
        frame: frame.with_faults(!asked.faults.is_empty()),
        faults: asked.faults,
        key: web.desk.id(),
        head,
        text,
        may_write,
        tested,
    };
    show(status, &page)
}

async fn live(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let figures = letter_figures::get(&web.desk, &mut session, who.actor(), &id).await?;
    let names = ActorNames::load(&mut session).await?;
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Letters, "Brev")).await;
    let may_write = who.actor().role.may(Right::SendLetters);
    let live = LetterLive::of(&web, &figures, (&frame, &names), may_write);
    show(StatusCode::OK, &LivePart { frame, live })
}

async fn mail(State(web): State<Web>, Path(id): Path<String>, who: SignedIn) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let parts = letter_view::preview(&web.desk, &mut session, who.actor(), &id).await?;
    Ok(html(parts.html, PREVIEW_POLICY))
}

async fn text(State(web): State<Web>, Path(id): Path<String>, who: SignedIn) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let parts = letter_view::preview(&web.desk, &mut session, who.actor(), &id).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], parts.text).into_response())
}

/// How a test stands, for a notice: its style and its words.
async fn tested(session: &mut Session, actor: &Actor, test: &str) -> Result<Option<(&'static str, String)>, Problem> {
    if test.is_empty() {
        return Ok(None);
    }
    Ok(letter_figures::test(session, actor, test).await?.map(|standing| test_words(&standing)))
}

fn test_words(standing: &Standing) -> (&'static str, String) {
    use DeliveryState as S;
    match DeliveryState::from_code(&standing.state) {
        Some(S::Queued | S::Sending) => ("", "Provet är på väg till din e-post.".to_owned()),
        Some(S::Accepted | S::Delivered | S::Unconfirmed) => {
            ("ok", "Provet är skickat till din e-post. Läs det där innan du skickar brevet.".to_owned())
        }
        Some(S::InDoubt) => ("warn", "E-postservern svarade inte. Provet kan ha kommit fram.".to_owned()),
        _ => {
            let (words, _) = failure_words(standing);
            ("bad", format!("Provet kom inte fram: {words}."))
        }
    }
}

fn review(figures: &LetterFigures, names: &ActorNames, actor: &Actor) -> Option<ReviewShown> {
    let message = &figures.view.message;
    if message.state() != MessageState::AwaitingApproval {
        return None;
    }
    let mut reviews = figures.reviews.iter().rev();
    let written = reviews.find(|review| review.act == "written" && review.revision == message.revision)?;
    let is_own = written.actor == actor.id;
    let may_review = !is_own && actor.role.may(Right::Approve) && actor.role.may(Right::SendLetters);
    Some(ReviewShown { written_by: names.of(&written.actor), is_own, may_review })
}

fn returned(figures: &LetterFigures, names: &ActorNames) -> Option<String> {
    let message = &figures.view.message;
    let last = figures.reviews.last().filter(|review| review.act == "returned")?;
    let reason = if last.reason.is_empty() { "utan skäl" } else { &last.reason };
    let is_shown = message.state() == MessageState::Draft;
    is_shown.then(|| format!("{} skickade tillbaka det: {reason}", names.of(&last.actor)))
}

fn changed(figures: &LetterFigures, names: &ActorNames, frame: &Frame) -> String {
    let written = figures.reviews.iter().rev().find(|review| review.act == "written");
    written.map_or_else(String::new, |review| {
        format!("Sparat av {} {}, version {}", names.of(&review.actor), frame.wall.text(review.at), review.revision)
    })
}
