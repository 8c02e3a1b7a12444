//! Owns situations: patterns of alerts that administrators keep and operators fill in.
//!
//! What comes out is a text like any other; it is checked and counted where every alert is. Invariant: a version that was
//! used is never changed, and every change is in the log.

use super::{ActionError, Desk, FieldProblem, Result, require};
use crate::domain::alert::{AlertKind, LONGEST_VALIDITY_MINUTES};
use crate::domain::mix_up;
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::{clean_line, clean_lines};
use crate::domain::situation::{Pattern, Slot};
use crate::store::situation::Situation;
use crate::store::{self, Session};

/// Longest name, in characters.
const LONGEST_NAME: usize = 60;
/// Longest pattern, in characters.
const LONGEST_PATTERN: usize = 2_000;

/// What an administrator writes.
#[derive(Debug, Clone, Default)]
pub struct NewSituation {
    /// What people call it.
    pub name: String,
    /// Code of an [`AlertKind`].
    pub kind: String,
    /// How long such an alert is valid.
    pub minutes: String,
    /// As [`Pattern::parse`] reads it.
    pub pattern: String,
}

/// A slot with what was typed in it.
#[derive(Debug, Clone)]
pub struct FilledSlot {
    /// Its name as a field: `slot-0` and so on.
    pub field: String,
    /// The slot.
    pub slot: Slot,
    /// As typed.
    pub value: String,
}

/// A situation with what was typed in its slots.
#[derive(Debug, Clone)]
pub struct FilledSituation {
    /// The situation.
    pub situation: Situation,
    /// Its slots.
    pub slots: Vec<FilledSlot>,
    /// The text that it becomes.
    pub text: String,
    /// What is missing: `slot-0` and so on.
    pub problems: Vec<FieldProblem>,
}

/// The situations in use, by name.
///
/// # Errors
/// [`ActionError`] when the actor does not send alerts.
pub async fn list(session: &mut Session, actor: &Actor) -> Result<Vec<Situation>> {
    require(actor, Right::SendAlerts)?;
    Ok(store::situation::list(session).await?)
}

/// A situation in use.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub async fn get(session: &mut Session, actor: &Actor, id: &str) -> Result<Situation> {
    require(actor, Right::SendAlerts)?;
    store::situation::get(session, id).await?.ok_or(ActionError::NotFound)
}

/// A situation with `values` in its slots; without values, with what its slots begin with. `None` when it is no longer in use.
///
/// # Errors
/// [`ActionError`].
pub async fn fill(
    session: &mut Session,
    actor: &Actor,
    id: &str,
    values: Option<&[String]>,
) -> Result<Option<FilledSituation>> {
    require(actor, Right::SendAlerts)?;
    let Some(situation) = store::situation::get(session, id).await? else { return Ok(None) };
    // Checked when it was written; one that an older program wrote otherwise is as good as none.
    let Ok(pattern) = Pattern::parse(&situation.pattern) else { return Ok(None) };
    let presets: Vec<String> = pattern.slots().iter().map(|slot| slot.preset.clone()).collect();
    let values = values.unwrap_or(&presets);
    let (text, missing) = pattern.fill(values);
    let slots: Vec<FilledSlot> = pattern
        .slots()
        .iter()
        .enumerate()
        .map(|(place, slot)| FilledSlot {
            field: format!("slot-{place}"),
            slot: slot.clone(),
            value: values.get(place).cloned().unwrap_or_default(),
        })
        .collect();
    let problems = missing
        .into_iter()
        .map(|place| {
            let detail = format!("Fyll i ”{}”.", slots[place].slot.label);
            FieldProblem::new(&slots[place].field, "field.required", detail)
        })
        .collect();
    Ok(Some(FilledSituation { situation, slots, text, problems }))
}

/// The name of another situation that what stands in the slots speaks of: the wrong one was chosen, perhaps.
///
/// # Errors
/// [`ActionError`].
pub async fn meant_instead(
    session: &mut Session,
    actor: &Actor,
    (id, values): (&str, &[String]),
) -> Result<Option<String>> {
    let known = list(session, actor).await?;
    let Some(own) = known.iter().find(|one| one.id == id) else { return Ok(None) };
    let names = known.iter().map(|one| one.name.as_str());
    Ok(mix_up::other_situation(values, &own.name, names).map(str::to_owned))
}

/// Adds a situation.
///
/// # Errors
/// [`ActionError::Invalid`] with what is wrong.
pub async fn add(desk: &Desk, session: &mut Session, actor: &Actor, new: &NewSituation) -> Result<Situation> {
    require(actor, Right::Administer)?;
    let situation = checked(desk, actor, (desk.id(), 1), new)?;
    store::situation::insert(session, &situation).await?;
    written(desk, session, actor, "situation.added", &situation).await?;
    Ok(situation)
}

/// Writes a new version of a situation, in the place of `version`.
///
/// # Errors
/// [`ActionError::Conflict`] when somebody else has changed it meanwhile.
pub async fn revise(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (id, version): (&str, i64),
    new: &NewSituation,
) -> Result<Situation> {
    require(actor, Right::Administer)?;
    let situation = checked(desk, actor, (id.to_owned(), version + 1), new)?;
    take_out(session, id, version).await?;
    store::situation::insert(session, &situation).await?;
    written(desk, session, actor, "situation.revised", &situation).await?;
    Ok(situation)
}

/// Takes a situation out of use.
///
/// # Errors
/// [`ActionError::Conflict`] when somebody else has changed it meanwhile.
pub async fn retire(desk: &Desk, session: &mut Session, actor: &Actor, (id, version): (&str, i64)) -> Result<()> {
    require(actor, Right::Administer)?;
    take_out(session, id, version).await?;
    let detail = serde_json::json!({ "version": version });
    desk.audit(session, actor, "situation.retired", ("situation", id), detail).await
}

async fn take_out(session: &mut Session, id: &str, version: i64) -> Result<()> {
    if store::situation::retire(session, id, version).await? {
        return Ok(());
    }
    let detail = "Mallen har ändrats eller tagits bort av någon annan. Öppna den igen.";
    Err(ActionError::conflict("situation.changed", detail))
}

async fn written(desk: &Desk, session: &mut Session, actor: &Actor, action: &str, made: &Situation) -> Result<()> {
    let detail = serde_json::json!({ "version": made.version, "name": made.name });
    desk.audit(session, actor, action, ("situation", &made.id), detail).await
}

fn checked(desk: &Desk, actor: &Actor, (id, version): (String, i64), new: &NewSituation) -> Result<Situation> {
    let mut problems = Vec::new();
    let name = clean_line(&new.name);
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        let detail = format!("Ge mallen ett namn på högst {LONGEST_NAME} tecken.");
        problems.push(FieldProblem::new("name", "field.required", detail));
    }
    if AlertKind::from_code(&new.kind).is_none() {
        problems.push(FieldProblem::new(
            "kind",
            "field.invalid",
            "Välj om larmet ber om iakttagelser eller informerar.",
        ));
    }
    let minutes = new.minutes.trim().parse().ok().filter(|minutes| (1..=LONGEST_VALIDITY_MINUTES).contains(minutes));
    if minutes.is_none() {
        let detail = format!("Skriv hur länge larmet gäller: 1 till {LONGEST_VALIDITY_MINUTES} minuter.");
        problems.push(FieldProblem::new("minutes", "field.invalid", detail));
    }
    let pattern = clean_lines(&new.pattern);
    if pattern.chars().count() > LONGEST_PATTERN {
        let detail = format!("Mallens text får ha högst {LONGEST_PATTERN} tecken.");
        problems.push(FieldProblem::new("pattern", "field.too_long", detail));
    } else if let Err(error) = Pattern::parse(&pattern) {
        problems.push(FieldProblem::new("pattern", error.code(), error.detail()));
    }
    if !problems.is_empty() {
        return Err(ActionError::Invalid(problems));
    }
    Ok(Situation {
        id,
        version,
        name,
        kind: new.kind.clone(),
        minutes: minutes.unwrap_or(1),
        pattern,
        created_by: actor.id.clone(),
        created_at: desk.now(),
    })
}
