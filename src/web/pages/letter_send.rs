//! Owns the way of a letter out of a draft: a test to oneself, its time, the page that asks, sending, and its review.
//!
//! It decides nothing; `actions::letter` and `actions::letter_review` do. Invariant: what was read is what is sent: the page's
//! revision and count go with every press, and a second press sends nothing more.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use jiff::civil::{Date, Time};

use super::alert_areas::in_words;
use super::form::{Faults, SignedForm};
use super::frame::{Frame, show};
use super::letter_effect::LetterEffect;
use super::letter_page::{self, Asked, Head, TimesTyped};
use super::menu::Section;
use super::visit::SignedIn;
use crate::actions::delivery::{self, InDoubtDecision};
use crate::actions::letter::{self, LetterChange, Sending};
use crate::actions::letter_review::{self, Pass};
use crate::actions::{FieldProblem, large_letter, letter_view, require};
use crate::domain::message::MessageState;
use crate::domain::operator::{Actor, Right};
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{Begun, Repeatable, Turn, again_when_busy};

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/letters/{id}/test", post(test))
        .route("/letters/{id}/schedule", post(schedule))
        .route("/letters/{id}/confirm", get(confirm))
        .route("/letters/{id}/send", post(send))
        .route("/letters/{id}/stop", post(stop))
        .route("/letters/{id}/in-doubt", post(in_doubt))
        .route("/letters/{id}/request-approval", post(request_approval))
        .route("/letters/{id}/approve", post(approve))
        .route("/letters/{id}/return", post(return_))
        .route("/letters/{id}/send-unreviewed", post(send_unreviewed))
}

#[derive(Template)]
#[template(path = "pages/letter_confirm.html")]
struct ConfirmPage {
    frame: Frame,
    faults: Faults,
    head: Head,
    effect: LetterEffect,
    needs_approval: bool,
    undo_seconds: u32,
    quiet_hours: String,
    key: String,
}

async fn test(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::SendLetters)?;
    let turn = turn(&web, &form, (&id, "test")).await?;
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    match letter::test(&web.desk, work.session(), actor, &id, None).await {
        Ok(sent) => work.finish_at(&format!("/letters/{id}?test={}", sent.message_id)).await,
        Err(error) => {
            drop(work);
            refused(&web, &form, &id, error.into()).await
        }
    }
}

async fn schedule(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::SendLetters)?;
    let text = |name: &str| form.fields.text(name).trim().to_owned();
    let times = TimesTyped { day: text("day"), time: text("time") };
    let is_cleared = form.fields.has("clear");
    let send_at = match moment(&web, &times) {
        _ if is_cleared => None,
        Ok(at) => Some(at),
        Err(problem) => {
            let asked = Asked { faults: Faults::new(vec![problem]), times: Some(times), ..Asked::default() };
            return letter_page::page(&web, (&form.headers, &form.who), &id, asked).await;
        }
    };
    let turn = turn(&web, &form, (&id, "schedule")).await?;
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    let expected_revision = sending(&form).expected_revision;
    let change = LetterChange { send_at: Some(send_at), expected_revision, ..LetterChange::default() };
    let next = if is_cleared { format!("/letters/{id}") } else { format!("/letters/{id}/confirm") };
    match letter::revise(&web.desk, work.session(), actor, &id, &change).await {
        Ok(_) => work.finish_at(&next).await,
        Err(error) => {
            drop(work);
            let faults = Faults::new(on_page(error.into())?);
            let asked = Asked { faults, times: Some(times), ..Asked::default() };
            letter_page::page(&web, (&form.headers, &form.who), &id, asked).await
        }
    }
}

/// The moment that day and time name here.
fn moment(web: &Web, times: &TimesTyped) -> Result<Timestamp, FieldProblem> {
    let wrong = |name: &str, detail: &str| FieldProblem::new(name, "field.invalid", detail);
    let day: Date = times.day.parse().map_err(|_| wrong("day", "Välj dag, till exempel 2026-11-24."))?;
    let (hour, minute) = times.time.split_once([':', '.']).unwrap_or_default();
    let time = hour.parse().ok().zip(minute.parse().ok()).and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok());
    let time = time.ok_or_else(|| wrong("time", "Skriv tiden så här: 09.00."))?;
    let zoned = day.to_datetime(time).to_zoned(web.desk.config.server.zone());
    zoned.map(|at| at.timestamp()).map_err(|_| wrong("day", "Välj en annan dag."))
}

async fn confirm(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    ask(&web, (&headers, &who), &id, Faults::default()).await
}

/// The page that asks, with what has changed since it was asked before.
async fn ask(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    id: &str,
    faults: Faults,
) -> Result<Response, Problem> {
    require(who.actor(), Right::SendLetters)?;
    let mut session = web.desk.store.read().await?;
    let view = letter_view::get(&web.desk, &mut session, who.actor(), id).await?;
    let tree = store::area::tree(&mut session).await?;
    drop(session);
    if view.message.state() != MessageState::Draft {
        return Ok(Redirect::to(&format!("/letters/{id}")).into_response());
    }
    let frame = Frame::of(web, headers, who, (Section::Letters, "Bekräfta och skicka")).await;
    let letters = &web.desk.config.letters;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
    let page = ConfirmPage {
        head: Head::of(web, &frame, &view, in_words(&tree, &view.areas)),
        effect: LetterEffect::of(view.audience),
        needs_approval: letter_review::is_needed(&web.desk, view.audience),
        undo_seconds: letters.undo_seconds,
        quiet_hours: letters.quiet_hours.clone(),
        key: web.desk.id(),
        frame: frame.with_faults(!faults.is_empty()),
        faults,
    };
    show(status, &page)
}

async fn send(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    require(form.who.actor(), Right::SendLetters)?;
    match send_by(&web, &form, (&id, "send"), &Pass::Own).await {
        Err(problem) if problem.status() == StatusCode::CONFLICT || problem.code() == "validation.failed" => {
            let faults = Faults::new(on_page(problem)?);
            ask(&web, (&form.headers, &form.who), &id, faults).await
        }
        done => done,
    }
}

async fn approve(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    require(form.who.actor(), Right::Approve)?;
    require(form.who.actor(), Right::SendLetters)?;
    match send_by(&web, &form, (&id, "approve"), &Pass::Approved).await {
        Err(problem) => refused(&web, &form, &id, problem).await,
        done => done,
    }
}

async fn send_unreviewed(
    State(web): State<Web>,
    Path(id): Path<String>,
    form: SignedForm,
) -> Result<Response, Problem> {
    require(form.who.actor(), Right::SendLetters)?;
    let sent = match Pass::unreviewed(form.fields.text("reason")) {
        Ok(pass) => send_by(&web, &form, (&id, "send-unreviewed"), &pass).await,
        Err(error) => Err(error.into()),
    };
    match sent {
        Err(problem) => refused(&web, &form, &id, problem).await,
        done => done,
    }
}

/// Sends a letter by what lets it go, however large its audience, and leads to its page.
async fn send_by(web: &Web, form: &SignedForm, (id, act): (&str, &str), pass: &Pass) -> Result<Response, Problem> {
    let actor = form.who.actor();
    let sending = sending(form);
    let next = format!("/letters/{id}");
    let turn = turn(web, form, (id, act)).await?;
    if large_letter::is_large(&web.desk, id, pass).await? {
        return send_large(web, (actor, &turn), (id, sending), pass).await;
    }
    again_when_busy!({
        match turn.begin().await? {
            Begun::Earlier(response) => response,
            Begun::New(mut work) => {
                letter::send(&web.desk, work.session(), actor, (id, sending), pass).await?;
                work.finish_at(&next).await?
            }
        }
    })
}

/// Freezes a large audience unseen, and publishes the letter in the transaction that keeps the answer.
async fn send_large(
    web: &Web,
    (actor, turn): (&Actor, &Turn<'_>),
    (id, sending): (&str, Sending),
    pass: &Pass,
) -> Result<Response, Problem> {
    if let Some(response) = turn.earlier().await? {
        return Ok(response);
    }
    let next = format!("/letters/{id}");
    let unseen = again_when_busy!({ large_letter::send(&web.desk, actor, (id, sending), pass).await? })?;
    let done = again_when_busy!({
        match turn.begin().await? {
            Begun::Earlier(response) => (response, false),
            Begun::New(mut work) => {
                large_letter::publish(&web.desk, work.session(), actor, &unseen).await?;
                (work.finish_at(&next).await?, true)
            }
        }
    });
    if !done.as_ref().is_ok_and(|(_, is_new)| *is_new) {
        unseen.freezing().undo(&web.desk).await?;
    }
    Ok(done?.0)
}

async fn request_approval(
    State(web): State<Web>,
    Path(id): Path<String>,
    form: SignedForm,
) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::SendLetters)?;
    let turn = turn(&web, &form, (&id, "request-approval")).await?;
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    match letter_review::request(&web.desk, work.session(), actor, (&id, sending(&form))).await {
        Ok(_) => work.finish_at(&format!("/letters/{id}")).await,
        Err(error) => {
            drop(work);
            refused(&web, &form, &id, error.into()).await
        }
    }
}

async fn return_(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::SendLetters)?;
    let (revision, reason) = (sending(&form).expected_revision.unwrap_or(0), form.fields.text("reason"));
    let mut session = web.desk.store.begin().await?;
    match letter_review::return_(&web.desk, &mut session, actor, (&id, revision), reason).await {
        Ok(_) => {
            session.commit().await?;
            Ok(Redirect::to(&format!("/letters/{id}")).into_response())
        }
        Err(error) => {
            drop(session);
            refused(&web, &form, &id, error.into()).await
        }
    }
}

async fn stop(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    letter::stop(&web.desk, &mut session, form.who.actor(), &id).await?;
    session.commit().await?;
    web.desk.wakeup.ring();
    Ok(Redirect::to(&format!("/letters/{id}")).into_response())
}

async fn in_doubt(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::SendLetters)?;
    let decision = InDoubtDecision::from_code(form.fields.text("as"))
        .ok_or_else(|| Problem::field("as", "field.invalid", "Välj att skicka igen eller att låta bli."))?;
    let mut session = web.desk.store.begin().await?;
    delivery::resolve_all(&web.desk, &mut session, actor, &id, decision).await?;
    session.commit().await?;
    web.desk.wakeup.ring();
    Ok(Redirect::to(&format!("/letters/{id}")).into_response())
}

/// What the page that was read showed.
fn sending(form: &SignedForm) -> Sending {
    let n = |name: &str| form.fields.filled(name).and_then(|text| text.parse().ok());
    Sending { expected_recipients: n("expected"), undo_seconds: None, expected_revision: n("revision") }
}

/// The turn of a press on the letter's page.
async fn turn<'a>(web: &'a Web, form: &SignedForm, (id, act): (&str, &str)) -> Result<Turn<'a>, Problem> {
    let repeatable = Repeatable::of_form(form.fields.text("key"), &format!("/letters/{id}/{act}"))?;
    let fields: Vec<(&str, &str)> = form.fields.iter().filter(|(name, _)| *name != "form_token").collect();
    repeatable.turn_in_line(web, form.who.actor(), serde_json::json!(fields).to_string().as_bytes()).await
}

/// The letter's page again, with why nothing was done.
async fn refused(web: &Web, form: &SignedForm, id: &str, problem: Problem) -> Result<Response, Problem> {
    let faults = Faults::new(on_page(problem)?);
    letter_page::page(web, (&form.headers, &form.who), id, Asked { faults, ..Asked::default() }).await
}

/// What is wrong as the page has its fields; what is not for the one who reads to mend goes on as it is.
fn on_page(problem: Problem) -> Result<Vec<FieldProblem>, Problem> {
    if problem.status() == StatusCode::CONFLICT && problem.code().starts_with("letter.") {
        return Ok(vec![FieldProblem::new("letter", "letter.conflict", problem.detail())]);
    }
    if problem.code() != "validation.failed" {
        return Err(problem);
    }
    let fields = problem.fields().map(|(name, detail)| {
        let name = match name {
            "send_at" => "day",
            "areas" => "letter",
            name => name,
        };
        FieldProblem::new(name, "field.invalid", detail)
    });
    Ok(fields.collect())
}
