//! Owns ringing those whom nothing reaches: what became of each call, and what follows from it.
//!
//! Who is to be rung is `actions::register::out_of_reach`. Invariants: a call changes no number and no address; it takes marks off
//! those that are right, and every call is kept with who rang and when.

use serde_json::json;

use super::contact_person::held;
use super::{ActionError, Desk, FieldProblem, Result, channel_health, require};
use crate::domain::operator::{Actor, Right};
use crate::domain::phone_call::{CallOutcome, LONGEST_NOTE};
use crate::domain::plain_text::{clean_line, is_forbidden_control};
use crate::store::phone_call::PhoneCall;
use crate::store::{self, Session};

/// What somebody says of a call, as typed.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Code of a [`CallOutcome`].
    pub outcome: &'a str,
    /// A note; may be empty.
    pub note: &'a str,
}

/// Writes down what became of ringing a person. One who says that all is right loses the marks on number and address.
///
/// # Errors
/// [`ActionError::NotFound`] for a person outside the actor's areas, [`ActionError::Invalid`] without an outcome or with a note that is
/// too long.
pub async fn note(desk: &Desk, session: &mut Session, actor: &Actor, id: &str, told: Told<'_>) -> Result<CallOutcome> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    held(session, actor, &tree, id).await?;
    let mut problems = Vec::new();
    let outcome = CallOutcome::from_code(told.outcome);
    if outcome.is_none() {
        problems.push(FieldProblem::new("outcome", "field.required", "Välj hur samtalet gick."));
    }
    let note = clean_line(told.note);
    if note.chars().count() > LONGEST_NOTE || told.note.chars().any(is_forbidden_control) {
        let detail = format!("Skriv en anteckning på högst {LONGEST_NOTE} tecken, utan styrtecken.");
        problems.push(FieldProblem::new("note", "field.too_long", detail));
    }
    let Some(outcome) = outcome.filter(|_| problems.is_empty()) else {
        return Err(ActionError::Invalid(problems));
    };
    if outcome == CallOutcome::Confirmed {
        channel_health::trust_mobile(desk, session, actor, id).await?;
        channel_health::use_again(desk, session, actor, id).await?;
    }
    let call = PhoneCall {
        id: desk.id(),
        contact_person_id: id.to_owned(),
        outcome: outcome.code().to_owned(),
        note,
        called_by: actor.id.clone(),
        called_at: desk.now(),
    };
    store::phone_call::insert(session, &call).await?;
    let detail = json!({ "outcome": outcome.code() });
    desk.audit(session, actor, "contact_person.called", ("contact_person", id), detail).await?;
    Ok(outcome)
}
