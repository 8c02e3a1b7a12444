//! Owns the register as a file: all contact persons, logged as one export.
//!
//! Invariant: reading the file back changes nothing.

use std::io::Write;

use serde_json::json;

use super::contact_person::values_of;
use super::import::allowed;
use super::{ActionError, Desk};
use crate::domain::area::AreaTree;
use crate::domain::operator::Actor;
use crate::register_file::export::Export;
use crate::store::{self, Session};

/// Contact persons read at a time.
const PAGE: i64 = 1_000;

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
    let written = copy(session, &tree, out, &mut persons).await;
    let detail = json!({ "persons": persons });
    desk.audit(session, actor, "register.exported", ("contact_persons", ""), detail).await?;
    written.map(|()| persons)
}

async fn copy<W: Write>(
    session: &mut Session,
    tree: &AreaTree,
    out: W,
    persons: &mut u64,
) -> std::result::Result<(), ExportError> {
    let mut export = Export::new(out, &[])?;
    let mut after = String::new();
    loop {
        let page = store::import::page(session, &after, PAGE).await.map_err(ActionError::from)?;
        let Some(last) = page.last() else { return Ok(export.finish()?) };
        after.clone_from(&last.id);
        for person in &page {
            *persons += 1;
            export.write(&values_of(person, tree), &[])?;
        }
    }
}
