//! Owns what people do with an observation: judging, taking, tying and putting away.
//!
//! Answering is `observation_answer`. Invariants: what came in is never changed, only what was made of it; every change is in
//! the log with what it was before.

use serde_json::{Value, json};

use super::contact_person::held;
use super::observation_view::{ObservationThread, load, seen};
use super::{ActionError, Desk, FieldProblem, Result, alert, require};
use crate::domain::observation::{IncomingKind, LONGEST_TAG, MOST_TAGS, ObservationState, tag_code};
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::{clean_line, is_forbidden_control};
use crate::store::observation::Observation;
use crate::store::{self, Session};

/// Longest place, in characters.
const LONGEST_PLACE: usize = 200;

/// What shall be changed; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ObservationEdit {
    /// Code of the new state.
    pub state: Option<String>,
    /// All tags it shall have.
    pub tags: Option<Vec<String>>,
    /// One tag that it shall have (true) or not, whatever else it has.
    pub tag: Option<(String, bool)>,
    /// Who takes it: `me`, an operator's id such as `operator:019…`, or nobody.
    pub owner: Option<Option<String>>,
    /// Where something was seen.
    pub place: Option<String>,
    /// When, Unix ms.
    pub seen_at: Option<Option<i64>>,
    /// Whether it is put away.
    pub archived: Option<bool>,
    /// The person an unknown sender turned out to be.
    pub contact_person_id: Option<Option<String>>,
    /// The alert it belongs to.
    pub alert_id: Option<Option<String>>,
    /// Code of the kind it really is, such as `observation` for what was taken for a command.
    pub kind: Option<String>,
}

/// Changes an observation of the actor's areas.
///
/// # Errors
/// [`ActionError`]; nothing is changed then.
pub async fn update(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    id: &str,
    edit: &ObservationEdit,
) -> Result<ObservationThread> {
    require(actor, Right::WorkInbox)?;
    let tree = store::area::tree(session).await?;
    let row = seen(session, actor, &tree, id).await?;
    let mut row = store::observation::get_locked(session, &row.id).await?.ok_or(ActionError::NotFound)?;
    let before = row.clone();
    let mut problems = Vec::new();
    judge(&mut row, edit, desk.now(), &mut problems);
    let tags = wanted_tags(session, &row.id, edit).await?;
    let tags = tags.map(|tags| checked_tags(&tags, &mut problems));
    if let Some(owner) = &edit.owner {
        take(session, actor, &mut row, owner.as_deref(), &mut problems).await?;
    }
    if let Some(person) = &edit.contact_person_id {
        tie_to_person(session, actor, &mut row, person.as_deref(), &mut problems).await?;
    }
    if let Some(alert) = &edit.alert_id {
        tie_to_alert(session, (actor, &mut row), alert.as_deref(), &mut problems).await?;
    }
    if !problems.is_empty() {
        return Err(ActionError::Invalid(problems));
    }
    if row.taken_at.is_none() && (row.owner.is_some() || row.state != before.state || row.archived_at.is_some()) {
        row.taken_at = Some(desk.now());
    }
    row.changed_at = desk.now();
    store::observation::update(session, &row).await?;
    if let Some(tags) = &tags {
        store::observation_tag::set(session, &row.id, tags).await?;
    }
    let detail = changes(&before, &row, tags.as_deref());
    desk.audit(session, actor, "observation.changed", ("observation", &row.id), detail).await?;
    load(desk, session, actor, (&tree, row)).await
}

/// What needs no look at anything else.
fn judge(row: &mut Observation, edit: &ObservationEdit, now: i64, problems: &mut Vec<FieldProblem>) {
    if let Some(code) = &edit.state {
        match ObservationState::from_code(code) {
            Some(state) => row.state = state.code().to_owned(),
            None => {
                let allowed = ObservationState::ALL.map(ObservationState::code).join(", ");
                problems.push(FieldProblem::new("state", "field.invalid", format!("Tillåtna värden: {allowed}.")));
            }
        }
    }
    if let Some(code) = &edit.kind {
        match IncomingKind::from_code(code) {
            Some(kind) => row.kind = kind.code().to_owned(),
            None => {
                let allowed = IncomingKind::ALL.map(IncomingKind::code).join(", ");
                problems.push(FieldProblem::new("kind", "field.invalid", format!("Tillåtna värden: {allowed}.")));
            }
        }
    }
    if let Some(place) = &edit.place {
        row.place = clean_line(place);
        if row.place.chars().count() > LONGEST_PLACE || place.chars().any(is_forbidden_control) {
            problems.push(FieldProblem::new("place", "field.invalid", "Högst 200 tecken och inga styrtecken."));
        }
    }
    if let Some(seen_at) = edit.seen_at {
        row.seen_at = seen_at;
        if seen_at.is_some_and(|at| at > now) {
            problems.push(FieldProblem::new("seen_at", "field.invalid", "Välj en tid som har varit."));
        }
    }
    if let Some(archived) = edit.archived {
        row.archived_at = archived.then(|| row.archived_at.unwrap_or(now));
    }
}

/// All tags that it shall have; `None` when they stay.
async fn wanted_tags(session: &mut Session, id: &str, edit: &ObservationEdit) -> Result<Option<Vec<String>>> {
    let Some((tag, is_set)) = &edit.tag else { return Ok(edit.tags.clone()) };
    let mut tags = match &edit.tags {
        Some(tags) => tags.clone(),
        None => {
            store::observation_tag::of_observations(session, &[id]).await?.into_iter().map(|(_, tag)| tag).collect()
        }
    };
    let tag = tag_code(tag);
    tags.retain(|other| *other != tag);
    if *is_set {
        tags.push(tag);
    }
    Ok(Some(tags))
}

/// Tags as they are stored, each once.
fn checked_tags(tags: &[String], problems: &mut Vec<FieldProblem>) -> Vec<String> {
    let mut checked: Vec<String> = tags.iter().map(|tag| tag_code(tag)).collect();
    checked.sort();
    checked.dedup();
    let is_wrong = |tag: &String| tag.is_empty() || tag.chars().count() > LONGEST_TAG;
    if checked.len() > MOST_TAGS || checked.iter().any(is_wrong) {
        let detail = format!("Högst {MOST_TAGS} etiketter med 1 till {LONGEST_TAG} tecken.");
        problems.push(FieldProblem::new("tags", "field.invalid", detail));
    }
    checked
}

async fn take(
    session: &mut Session,
    actor: &Actor,
    row: &mut Observation,
    owner: Option<&str>,
    problems: &mut Vec<FieldProblem>,
) -> Result<()> {
    row.owner = match owner {
        None | Some("") => None,
        Some("me") => Some(actor.id.clone()),
        Some(other) if Some(other) == row.owner.as_deref() || other == actor.id => Some(other.to_owned()),
        Some(other) => {
            let id = other.strip_prefix("operator:").unwrap_or_default();
            let found = store::operator::by_id_or_email(session, id).await?;
            if found.is_none_or(|operator| operator.disabled_at.is_some() || operator.id != id) {
                let detail = "Ange me, en inloggad persons id (operator:…) eller null.";
                problems.push(FieldProblem::new("owner", "field.unknown", detail));
            }
            Some(other.to_owned())
        }
    };
    Ok(())
}

async fn tie_to_person(
    session: &mut Session,
    actor: &Actor,
    row: &mut Observation,
    person: Option<&str>,
    problems: &mut Vec<FieldProblem>,
) -> Result<()> {
    let Some(id) = person else {
        (row.contact_person_id, row.area_code) = (None, None);
        return Ok(());
    };
    let tree = store::area::tree(session).await?;
    match held(session, actor, &tree, id).await {
        Ok(person) => (row.contact_person_id, row.area_code) = (Some(person.id), Some(person.area_code)),
        Err(ActionError::NotFound) => {
            problems.push(FieldProblem::new("contact_person_id", "field.unknown", "Kontaktombudet finns inte."));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

async fn tie_to_alert(
    session: &mut Session,
    (actor, row): (&Actor, &mut Observation),
    alert: Option<&str>,
    problems: &mut Vec<FieldProblem>,
) -> Result<()> {
    let Some(id) = alert else {
        row.alternative_id = row.message_id.take();
        return Ok(());
    };
    let tree = store::area::tree(session).await?;
    if let Err(ActionError::NotFound) = alert::found(session, actor, &tree, id).await {
        problems.push(FieldProblem::new("alert_id", "field.unknown", "Larmet finns inte."));
        return Ok(());
    }
    // The one it was tied to stays at hand.
    if row.message_id.as_deref() != Some(id) {
        row.alternative_id = row.message_id.replace(id.to_owned());
        row.message_kind = Some("alert".to_owned());
    }
    Ok(())
}

/// What changed, for the log: codes and ids, no text.
pub(super) fn changes(before: &Observation, after: &Observation, tags: Option<&[String]>) -> Value {
    let mut detail = serde_json::Map::new();
    let mut note = |name: &str, old: Value, new: Value| {
        if old != new {
            detail.insert(name.to_owned(), json!([old, new]));
        }
    };
    note("state", json!(before.state), json!(after.state));
    note("kind", json!(before.kind), json!(after.kind));
    note("owner", json!(before.owner), json!(after.owner));
    note("contact_person", json!(before.contact_person_id), json!(after.contact_person_id));
    note("message", json!(before.message_id), json!(after.message_id));
    note("archived", json!(before.archived_at.is_some()), json!(after.archived_at.is_some()));
    note("place", json!(!before.place.is_empty()), json!(!after.place.is_empty()));
    note("seen_at", json!(before.seen_at), json!(after.seen_at));
    if let Some(tags) = tags {
        detail.insert("tags".to_owned(), json!(tags.len()));
    }
    Value::Object(detail)
}
