//! Owns answering an observation: a word to who sent it, and what came of it, to one or to all who helped.
//!
//! It hands nothing over itself. Invariants: an SMS is counted and refused by the same rules as an alert's, and holds no link;
//! who helped several times hears of it once; what somebody has answered is read, and never goes back to new.

use serde_json::json;

use super::observation_view::{can_be_answered, seen};
use super::observation_work::changes;
use super::reply::{Addressee, ReplyKind, Word, queue};
use super::{ActionError, Desk, FieldProblem, Result, require};
use crate::domain::delivery::Channel;
use crate::domain::lint;
use crate::domain::observation::{IncomingKind, ObservationState};
use crate::domain::operator::{Actor, Right};
use crate::domain::sms_text::{Segmentation, SmsText};
use crate::store::observation::{Filter, Observation};
use crate::store::{self, Session};

/// Longest answer by mail, in characters.
const LONGEST_MAIL: usize = 10_000;
/// Observations of one alert that are fed back on at once.
const MOST_AT_ONCE: i64 = 5_000;

/// What shall be written.
#[derive(Debug, Clone, Default)]
pub struct NewAnswer {
    /// The text.
    pub text: String,
    /// `answer` (default) or `feedback`.
    pub kind: String,
    /// Whether all who answered the same alert shall have it; for feedback.
    pub to_all: bool,
}

/// What was queued.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The messages it became: one for each channel.
    pub message_ids: Vec<String>,
    /// How many numbers and addresses it goes to.
    pub recipients: usize,
    /// `sms` or `email`: how the sender of this observation gets it.
    pub channel: String,
    /// Length and parts as an SMS.
    pub segmentation: Segmentation,
}

/// Answers an observation of the actor's areas.
///
/// # Errors
/// [`ActionError::Invalid`] for the text; a conflict when the sender cannot be answered.
pub async fn answer(desk: &Desk, session: &mut Session, actor: &Actor, id: &str, new: &NewAnswer) -> Result<Answered> {
    require(actor, Right::WorkInbox)?;
    let tree = store::area::tree(session).await?;
    let row = seen(session, actor, &tree, id).await?;
    let kind = kind_of(new)?;
    let (text, segmentation) = checked(new, &row)?;
    let observations = whom(session, actor, &tree, &row, new).await?;
    let mut message_ids = Vec::new();
    let mut recipients = 0;
    for channel in [Channel::Sms, Channel::Email] {
        let to = addressees(&observations, channel);
        if to.is_empty() {
            continue;
        }
        refuse_without_way_out(desk, channel)?;
        recipients += to.len();
        message_ids.push(queue(desk, session, actor, Word { kind, channel, text: text.as_str() }, &to).await?);
    }
    for observation in observations {
        note(desk, session, actor, observation, kind).await?;
    }
    let detail = json!({ "kind": kind.code(), "recipients": recipients, "messages": message_ids });
    desk.audit(session, actor, "observation.answered", ("observation", &row.id), detail).await?;
    Ok(Answered { message_ids, recipients, channel: row.channel, segmentation })
}

fn kind_of(new: &NewAnswer) -> Result<ReplyKind> {
    let kind = match new.kind.as_str() {
        "" | "answer" => ReplyKind::Answer,
        "feedback" => ReplyKind::Feedback,
        _ => return Err(ActionError::field("kind", "field.invalid", "Tillåtna värden: answer, feedback.")),
    };
    if new.to_all && kind != ReplyKind::Feedback {
        let detail = "Till alla går bara återkoppling (feedback).";
        return Err(ActionError::field("to", "field.invalid", detail));
    }
    Ok(kind)
}

/// The text in its normal form, checked for the channel it goes on.
fn checked(new: &NewAnswer, row: &Observation) -> Result<(SmsText, Segmentation)> {
    let text = SmsText::parse(&new.text).map_err(|error| ActionError::field("text", error.code(), error.detail()))?;
    let segmentation = text.segmentation();
    let by_sms = row.channel == Channel::Sms.code() || new.to_all;
    let mut problems: Vec<FieldProblem> = lint::refusals(&text, &text)
        .into_iter()
        .filter(|finding| by_sms || finding.code != "text.too_long")
        .map(|finding| FieldProblem::new("text", finding.code, finding.detail))
        .collect();
    if by_sms && lint::contains_link(text.as_str()) {
        problems.push(FieldProblem::new("text", "text.link", "Länkar går inte att skicka i sms. Ta bort länken."));
    }
    if text.as_str().chars().count() > LONGEST_MAIL {
        let detail = format!("Svaret får ha högst {LONGEST_MAIL} tecken.");
        problems.push(FieldProblem::new("text", "text.too_long", detail));
    }
    if problems.is_empty() { Ok((text, segmentation)) } else { Err(ActionError::Invalid(problems)) }
}

/// The observations that are answered: this one, or all of its alert that can be.
async fn whom(
    session: &mut Session,
    actor: &Actor,
    tree: &crate::domain::area::AreaTree,
    row: &Observation,
    new: &NewAnswer,
) -> Result<Vec<Observation>> {
    if !new.to_all {
        if !can_be_answered(row) {
            let detail = "Avsändaren går inte att svara: numret är dolt, tekniskt eller raderat.";
            return Err(ActionError::conflict("observation.sender_unreachable", detail));
        }
        return Ok(vec![row.clone()]);
    }
    let Some(alert) = &row.message_id else {
        let detail = "Iakttagelsen hör inte till något larm. Svara bara den som har skickat den.";
        return Err(ActionError::conflict("observation.no_alert", detail));
    };
    let filter =
        Filter { message_id: alert.clone(), kind: IncomingKind::Observation.code().to_owned(), ..Filter::default() };
    let mut rows = store::observation::page(session, &filter, MOST_AT_ONCE).await?;
    rows.retain(|one| super::observation_view::sees(actor, tree, one) && can_be_answered(one));
    if rows.is_empty() {
        let detail = "Ingen av dem som har svarat går att nå.";
        return Err(ActionError::conflict("observation.sender_unreachable", detail));
    }
    Ok(rows)
}

/// Those on one channel, each address once.
fn addressees(observations: &[Observation], channel: Channel) -> Vec<Addressee> {
    let mut to: Vec<Addressee> = Vec::new();
    for one in observations.iter().filter(|one| one.channel == channel.code()) {
        match to.iter_mut().find(|other| other.address == one.sender) {
            Some(known) => known.observations.push(one.id.clone()),
            None => to.push(Addressee {
                address: one.sender.clone(),
                contact_person_id: one.contact_person_id.clone(),
                observations: vec![one.id.clone()],
            }),
        }
    }
    to
}

fn refuse_without_way_out(desk: &Desk, channel: Channel) -> Result<()> {
    let config = &desk.config;
    let is_missing = match channel {
        Channel::Email => config.mail.url.is_empty(),
        Channel::Sms | Channel::Paper => config.sms.route.is_empty(),
    };
    if is_missing {
        let detail = "Det finns ingen tjänst inställd som kan skicka svaret.";
        return Err(ActionError::conflict("reply.no_way_out", detail));
    }
    Ok(())
}

/// Writes down that an observation was answered: who answers has read it, and has it when nobody else had.
async fn note(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    observation: Observation,
    kind: ReplyKind,
) -> Result<()> {
    let now = desk.now();
    let mut row = store::observation::get_locked(session, &observation.id).await?.unwrap_or(observation);
    let before = row.clone();
    row.answered_at = row.answered_at.or(Some(now));
    row.taken_at = row.taken_at.or(Some(now));
    row.owner = row.owner.or_else(|| Some(actor.id.clone()));
    let mut reached = ObservationState::Assessed;
    if kind == ReplyKind::Feedback {
        row.fed_back_at = row.fed_back_at.or(Some(now));
        reached = ObservationState::FedBack;
    }
    if ObservationState::from_code(&row.state).is_none_or(|state| state < reached) {
        row.state = reached.code().to_owned();
    }
    row.changed_at = now;
    store::observation::update(session, &row).await?;
    let detail = changes(&before, &row, None);
    if detail.as_object().is_some_and(|changed| !changed.is_empty()) {
        desk.audit(session, actor, "observation.changed", ("observation", &row.id), detail).await?;
    }
    Ok(())
}
