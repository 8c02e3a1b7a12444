//! Owns what people do with the audit log: take it out as a file, and have its chain walked.
//!
//! Invariant: both are written to the log themselves.

use serde_json::json;

use super::audit_chain::{self, Walked};
use super::{ActionError, Desk, FieldProblem, Result, require};
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::clean_line;
use crate::register_file::export::sheet;
use crate::store::Session;
use crate::store::audit::{self, Filter};

/// Entries read at a time.
const PAGE: i64 = 5_000;
/// Most entries in a file; a spreadsheet opens hardly more.
const MOST: usize = 100_000;
/// Characters of a reason.
const LONGEST_REASON: usize = 300;
/// Headings of the file, as the API names them.
const HEADINGS: [&str; 9] = ["id", "at", "actor", "action", "object_kind", "object_id", "detail", "seq", "hash"];

/// The entries that fit as CSV, newest first, with place and hash of each, so that whoever gets it can check it.
///
/// # Errors
/// [`ActionError::Invalid`] without a reason, or when more entries fit than a file holds.
pub async fn export(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (filter, reason): (&Filter, &str),
) -> Result<Vec<u8>> {
    require(actor, Right::ReadAudit)?;
    let reason = clean_line(reason);
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        let detail = "Skriv varför loggen tas ut, högst 300 tecken.";
        return Err(ActionError::Invalid(vec![FieldProblem::new("reason", "field.required", detail)]));
    }
    let mut entries = Vec::new();
    let mut after = filter.after.clone();
    loop {
        let page = audit::page(session, &Filter { after, ..filter.clone() }, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id.clone();
        entries.extend(page);
        if entries.len() > MOST {
            let detail = "Så många rader ryms inte i en fil. Välj en kortare tid; högst 100 000 rader åt gången.";
            return Err(ActionError::Invalid(vec![FieldProblem::new("from", "audit.too_many", detail)]));
        }
    }
    let rows = entries.iter().map(|entry| {
        [
            entry.id.clone(),
            jiff::Timestamp::from_millisecond(entry.at).unwrap_or_default().to_string(),
            entry.actor.clone(),
            entry.action.clone(),
            entry.object_kind.clone(),
            entry.object_id.clone(),
            entry.detail.clone(),
            entry.seq.map(|seq| seq.to_string()).unwrap_or_default(),
            entry.hash.clone().unwrap_or_default(),
        ]
    });
    let file = sheet(&HEADINGS, rows);
    let detail = json!({ "entries": entries.len(), "reason": reason });
    desk.audit(session, actor, "audit.exported", ("audit", ""), detail).await?;
    Ok(file)
}

/// Walks the whole chain, as `verify` does.
///
/// # Errors
/// [`ActionError::Forbidden`].
pub async fn check(desk: &Desk, session: &mut Session, actor: &Actor) -> Result<Walked> {
    require(actor, Right::ReadAudit)?;
    let walked = audit_chain::walk(session, &desk.config).await?;
    let detail = json!({ "entries": walked.entries, "broken": walked.broken.len() });
    desk.audit(session, actor, "audit.checked", ("audit", ""), detail).await?;
    Ok(walked)
}
