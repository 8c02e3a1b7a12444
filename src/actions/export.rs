//! Owns the register as a file: all contact persons, logged as one export.
//!
//! Invariant: reading the file back changes nothing.

use std::io::Write;

use serde_json::json;

use super::contact_person::values_of;
use super::import::allowed;
use super::{ActionError, Desk, FieldProblem};
use crate::domain::area::AreaTree;
use crate::domain::contact_person::Field;
use crate::domain::operator::Actor;
use crate::domain::personal_number::contains_personal_number;
use crate::domain::plain_text::clean_line;
use crate::register_file::export::{COLUMNS, Export};
use crate::store::{self, Session};

/// Contact persons read at a time.
const PAGE: i64 = 1_000;
/// Characters of a reason.
const LONGEST_REASON: usize = 300;

/// Why an export was not done.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It may not be done, or the database refused.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// The file cannot be written.
    #[error("the file cannot be written: {0}")]
    Write(#[from] std::io::Error),
}

impl ExportError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Action(error) => error.code(),
            Self::Write(_) => "export.write",
        }
    }
}

/// Writes all contact persons as CSV to `out`; says how many. What was read is logged, also when it could not be written.
///
/// # Errors
/// [`ExportError`].
pub async fn write<W: Write>(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    out: W,
) -> std::result::Result<u64, ExportError> {
    let tree = allowed(session, actor).await?;
    let mut persons = 0;
    let all = Wish { columns: COLUMNS.to_vec(), reason: String::new(), with_protected: true };
    let written = copy(session, (&tree, &all), out, &mut persons).await;
    let detail = json!({ "persons": persons });
    desk.audit(session, actor, "register.exported", ("contact_persons", ""), detail).await?;
    written.map(|()| persons)
}

/// What somebody wants of the register, and why.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The columns, in order.
    pub columns: Vec<Field>,
    /// Why; stands in the log.
    pub reason: String,
    /// Whether people with a protected identity are in it.
    pub with_protected: bool,
}

/// Writes what is wished for as CSV to `out`; says how many persons. Columns and reason are logged.
///
/// # Errors
/// [`ActionError::Invalid`] without columns or reason; [`ExportError`].
pub async fn write_chosen<W: Write>(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    out: W,
    wish: &Wish,
) -> std::result::Result<u64, ExportError> {
    let tree = allowed(session, actor).await?;
    check(wish)?;
    let mut persons = 0;
    let written = copy(session, (&tree, wish), out, &mut persons).await;
    let columns: Vec<&str> = wish.columns.iter().map(|field| field.name()).collect();
    let detail = json!({
        "persons": persons, "columns": columns, "reason": clean_line(&wish.reason), "with_protected": wish.with_protected,
    });
    desk.audit(session, actor, "register.exported", ("contact_persons", ""), detail).await?;
    written.map(|()| persons)
}

fn check(wish: &Wish) -> std::result::Result<(), ActionError> {
    let mut problems = Vec::new();
    if wish.columns.is_empty() {
        problems.push(FieldProblem::new("columns", "field.required", "Välj minst en kolumn."));
    }
    let reason = clean_line(&wish.reason);
    if reason.is_empty() {
        problems.push(FieldProblem::new("reason", "field.required", "Ange varför registret exporteras."));
    } else if reason.chars().count() > LONGEST_REASON {
        problems.push(FieldProblem::new("reason", "field.too_long", "Skriv högst 300 tecken."));
    } else if contains_personal_number(&reason) {
        problems.push(FieldProblem::new("reason", "field.personal_number", "Personnummer får inte stå i loggen."));
    }
    if problems.is_empty() { Ok(()) } else { Err(ActionError::Invalid(problems)) }
}

async fn copy<W: Write>(
    session: &mut Session,
    (tree, wish): (&AreaTree, &Wish),
    out: W,
    persons: &mut u64,
) -> std::result::Result<(), ExportError> {
    let mut export = Export::of_columns(out, wish.columns.clone(), &[])?;
    let mut after = String::new();
    loop {
        let page = store::import::page(session, &after, PAGE).await.map_err(ActionError::from)?;
        let Some(last) = page.last() else { return Ok(export.finish()?) };
        after.clone_from(&last.id);
        for person in page.iter().filter(|person| wish.with_protected || person.protected == 0) {
            *persons += 1;
            export.write(&values_of(person, tree), &[])?;
        }
    }
}
