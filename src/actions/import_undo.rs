//! Owns taking back a whole import.
//!
//! It is possible until something was sent to anybody in it. Invariant: a field that was changed again since the import
//! keeps its newer value, and an opt-out is never taken back.

use serde_json::json;

use super::contact_person::values_of;
use super::import::{allowed, change_person, parsed};
use super::import_plan::Areas;
use super::{ActionError, Desk, Result};
use crate::domain::area::AreaTree;
use crate::domain::contact_person::Field;
use crate::domain::operator::Actor;
use crate::register_file::finding::Action;
use crate::store::import::{FieldChange, Import, ImportRow};
use crate::store::{self, Session};

/// Takes an import back: its people and watch areas go, fields it changed get their old values.
///
/// # Errors
/// [`ActionError::Conflict`] when something was sent to anybody in it.
pub async fn undo(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<()> {
    let tree = allowed(session, actor).await?;
    let import = store::import::get(session, id).await?.filter(|import| import.state != "running");
    let import = import.ok_or(ActionError::NotFound)?;
    if import.state == "undone" {
        return Ok(());
    }
    if store::import::sent(session, &import).await? > 0 {
        return Err(ActionError::conflict(
            "import.sent",
            "Något har redan skickats till personer i importen. Ändra eller radera dem en och en.",
        ));
    }
    restore(desk, session, &tree, &import).await?;
    let removed = store::import::remove_made(session, id).await?;
    store::import::forget_rows(session, id).await?;
    let now = desk.now();
    let undone = Import { state: "undone".to_owned(), seen_at: now, undone_at: Some(now), ..import };
    store::import::put(session, &undone).await?;
    desk.audit(session, actor, "import.undone", ("import", id), json!({ "persons": removed })).await
}

async fn restore(desk: &Desk, session: &mut Session, tree: &AreaTree, import: &Import) -> Result<()> {
    let mut areas = Areas::of(tree);
    let mut after = 0;
    loop {
        let rows = store::import::rows(session, &import.id, Action::Update.code(), (after, 500)).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.number;
        for row in &rows {
            let changes = still_standing(session, tree, row).await?;
            change_person(desk, session, (tree, &mut areas, &import.id), row, &changes).await?;
        }
    }
}

/// The changes of a row turned round, as far as nobody has changed the fields since.
async fn still_standing(session: &mut Session, tree: &AreaTree, row: &ImportRow) -> Result<Vec<FieldChange>> {
    let Some(id) = &row.contact_person_id else { return Ok(Vec::new()) };
    let Some(person) = store::contact_person::get(session, id).await? else { return Ok(Vec::new()) };
    let now = values_of(&person, tree);
    let changes = parsed(row.updates.as_deref()).into_iter();
    let standing =
        changes.filter(|change| Field::from_name(&change.name).is_some_and(|field| now[field] == change.after));
    Ok(standing.map(|change| FieldChange { before: change.after, after: change.before, ..change }).collect())
}
