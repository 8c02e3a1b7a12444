//! Owns what the button of the page that asks does: the alert is made, and its page comes.
//!
//! It holds no rule. Invariants: a second click makes nothing more; what cannot be done comes back with why, and with all that was
//! typed.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use jiff::Timestamp;

use super::alert_compose::{ask, compose, in_order};
use super::alert_form::AlertForm;
use super::form::{Faults, SignedForm};
use crate::actions::alert::NewAlert;
use crate::actions::large_alert::UnseenAlert;
use crate::actions::{FieldProblem, alert_confirmation, alert_draft, large_alert, require};
use crate::domain::operator::{Actor, Right};
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{Begun, Repeatable, Turn, again_when_busy};

/// The route.
pub fn router() -> Router<Web> {
    Router::new().route("/alerts/send", post(send))
}

async fn send(State(web): State<Web>, sent: SignedForm) -> Result<Response, Problem> {
    require(sent.who.actor(), Right::SendAlerts)?;
    let form = AlertForm::read(&sent.fields);
    let now = Timestamp::from_millisecond(web.desk.now()).unwrap_or(Timestamp::UNIX_EPOCH);
    let (mut new, problems) = form.wanted(&web.desk.config.server.zone(), now);
    if !problems.is_empty() {
        return ask(&web, &sent, form, Vec::new()).await;
    }
    new.expected_recipients = sent.fields.filled("expected").and_then(|text| text.parse().ok());
    match made(&web, &sent, &form, &new).await {
        Ok(response) => Ok(response),
        Err(problem) => refused(&web, &sent, form, problem).await,
    }
}

async fn made(web: &Web, sent: &SignedForm, form: &AlertForm, new: &NewAlert) -> Result<Response, Problem> {
    let actor = sent.who.actor();
    let repeatable = Repeatable::of_form(sent.fields.text("key"), "/alerts/send")?;
    let body = serde_json::json!([
        form.areas,
        form.text,
        form.kind,
        form.spread,
        form.decision_maker(),
        form.validity,
        form.until_ms,
        form.send_at_ms,
        form.is_drill,
        form.revises
    ])
    .to_string();
    let turn = repeatable.turn_in_line(web, actor, body.as_bytes()).await?;
    let revises = Some(form.revises.as_str()).filter(|id| !id.is_empty());
    let was_large = match revises {
        Some(id) => large_alert::has_large_audience(&web.desk, id).await?,
        None => false,
    };
    let typed = sent.fields.text("proof");
    if was_large || large_alert::is_large(&web.desk, &new.areas).await? {
        return made_large(web, (actor, &turn), (revises, new, typed), &form.draft).await;
    }
    again_when_busy!({
        match turn.begin().await? {
            Begun::Earlier(response) => response,
            Begun::New(mut work) => {
                let wanted = (revises, new, typed);
                let made = alert_confirmation::create(&web.desk, work.session(), actor, wanted).await?;
                alert_draft::became(work.session(), &form.draft).await?;
                work.finish_at(&format!("/alerts/{}", made.message.id)).await?
            }
        }
    })
}

/// Freezes a large audience unseen, and publishes the alert in the transaction that keeps the answer.
async fn made_large(
    web: &Web,
    (actor, turn): (&Actor, &Turn<'_>),
    (revises, new, typed): (Option<&str>, &NewAlert, &str),
    draft: &str,
) -> Result<Response, Problem> {
    if let Some(response) = turn.earlier().await? {
        return Ok(response);
    }
    alert_confirmation::require_proof(&web.desk, &new.areas, typed).await?;
    let unseen = again_when_busy!({
        match revises {
            Some(id) => large_alert::revise(&web.desk, actor, id, new).await?,
            None => large_alert::create(&web.desk, actor, new).await?,
        }
    })?;
    publish(web, (actor, turn), &unseen, draft).await
}

/// Lets an alert with a large audience be seen, in the transaction that keeps the answer; takes it back when it may not.
///
/// # Errors
/// [`Problem`].
pub(super) async fn publish(
    web: &Web,
    (actor, turn): (&Actor, &Turn<'_>),
    unseen: &UnseenAlert,
    draft: &str,
) -> Result<Response, Problem> {
    let done = again_when_busy!({
        match turn.begin().await? {
            Begun::Earlier(response) => (response, false),
            Begun::New(mut work) => {
                let made = large_alert::publish(&web.desk, work.session(), actor, unseen).await?;
                alert_draft::became(work.session(), draft).await?;
                (work.finish_at(&format!("/alerts/{}", made.message.id)).await?, true)
            }
        }
    });
    if !done.as_ref().is_ok_and(|(_, is_new)| *is_new) {
        unseen.freezing().undo(&web.desk).await?;
    }
    Ok(done?.0)
}

/// What was asked for again, with why it was not done.
async fn refused(web: &Web, sent: &SignedForm, form: AlertForm, problem: Problem) -> Result<Response, Problem> {
    if problem.code() == "alert.audience_changed" {
        let changed = FieldProblem::new("recipients", "alert.audience_changed", problem.detail());
        return ask(web, sent, form, vec![changed]).await;
    }
    if problem.code() == "alert_draft.gone" {
        // What was written is kept as a text of its own, to be sent on purpose or not at all.
        let form = AlertForm { draft: String::new(), draft_revision: 0, send_at_ms: None, until_ms: None, ..form };
        let faults = Faults::one("text", "alert_draft.gone", problem.detail());
        return compose(web, (&sent.headers, &sent.who), form, faults).await;
    }
    if problem.code() != "validation.failed" {
        return Err(problem);
    }
    let problems: Vec<FieldProblem> = problem.fields().map(on_page).collect();
    if problems.iter().all(|problem| problem.name == "proof") {
        return ask(web, sent, form, problems).await;
    }
    let form = AlertForm { send_at_ms: None, until_ms: None, ..form };
    compose(web, (&sent.headers, &sent.who), form, Faults::new(in_order(problems))).await
}

/// Names of fields as the page has them.
fn on_page((name, detail): (&str, &str)) -> FieldProblem {
    let name = match name {
        "expires_in_minutes" => "until",
        "send_at" => "send_time",
        name => name,
    };
    FieldProblem::new(name, "field.invalid", detail)
}
