//! Owns the register as a file: all contact persons, logged as one export.
//!
//! Invariant: reading the file back changes nothing.

use std::io::Write;

use serde_json::json;

use super::contact_person::values_of;
use super::import::allowed;
use super::{Desk, Result};
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
    Action(#[from] super::ActionError),
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

/// Writes all contact persons as CSV to `out`; says how many.
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
    let mut export = Export::new(out, &[])?;
    let mut after = String::new();
    let mut persons = 0;
    loop {
        let page = store::import::page(session, &after, PAGE).await.map_err(super::ActionError::from)?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        for person in &page {
            export.write(&values_of(person, &tree), &[])?;
            persons += 1;
        }
    }
    export.finish()?;
    log(desk, session, actor, persons).await?;
    Ok(persons)
}

async fn log(desk: &Desk, session: &mut Session, actor: &Actor, persons: u64) -> Result<()> {
    desk.audit(session, actor, "register.exported", ("contact_persons", ""), json!({ "persons": persons })).await
}
