//! Owns register files between the upload and the import, in pieces of text.
//!
//! Invariant: a draft without all its pieces has 0 of them on record, and nobody opens it.

use super::{Result, Session};

/// A file that was uploaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct ImportDraft {
    /// UUIDv7.
    pub id: String,
    /// Who uploaded it.
    pub created_by: String,
    /// Pieces; 0 until all have come.
    pub parts: i64,
    /// What was set instead of what was found, JSON.
    pub overrides: String,
    /// The import it became.
    pub import_id: Option<String>,
    /// Unix ms.
    pub created_at: i64,
}

const PUT: &str = "INSERT INTO import_draft (id, created_by, parts, overrides, import_id, created_at)
 VALUES ($1, $2, $3, $4, $5, $6)
 ON CONFLICT (id) DO UPDATE SET parts = excluded.parts, overrides = excluded.overrides, import_id = excluded.import_id";

/// Adds a draft, or writes what changes of one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put(session: &mut Session, draft: &ImportDraft) -> Result<()> {
    let d = draft.clone();
    let statement = session
        .sql(PUT)
        .bind(d.id)
        .bind(d.created_by)
        .bind(d.parts)
        .bind(d.overrides)
        .bind(d.import_id)
        .bind(d.created_at);
    session.execute(statement).await.map(drop)
}

const GET: &str = "SELECT *
 FROM import_draft
 WHERE id = $1
   AND parts > 0";

/// The draft with this id, if all of it has come.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, id: &str) -> Result<Option<ImportDraft>> {
    session.one(session.sql(GET).bind(id.to_owned())).await
}

const OF_IMPORT: &str = "SELECT *
 FROM import_draft
 WHERE import_id = $1
   AND parts > 0";

/// The draft that an import was made of, as long as it is kept.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_import(session: &mut Session, import_id: &str) -> Result<Option<ImportDraft>> {
    session.one(session.sql(OF_IMPORT).bind(import_id.to_owned())).await
}

const ADD_PART: &str = "INSERT INTO import_draft_part (draft_id, number, content)
 VALUES ($1, $2, $3)";

/// Adds a piece.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_part(session: &mut Session, draft_id: &str, (number, content): (i64, String)) -> Result<()> {
    let statement = session.sql(ADD_PART).bind(draft_id.to_owned()).bind(number).bind(content);
    session.execute(statement).await.map(drop)
}

const PART: &str = "SELECT content
 FROM import_draft_part
 WHERE draft_id = $1
   AND number = $2";

/// One piece.
///
/// # Errors
/// [`super::StoreError`].
pub async fn part(session: &mut Session, draft_id: &str, number: i64) -> Result<Option<String>> {
    let row: Option<(String,)> = session.one(session.sql(PART).bind(draft_id.to_owned()).bind(number)).await?;
    Ok(row.map(|(content,)| content))
}

const FORGET_PARTS: &str = "DELETE FROM import_draft_part
 WHERE draft_id IN (SELECT d.id FROM import_draft d WHERE d.created_at < $1)";

const FORGET: &str = "DELETE FROM import_draft
 WHERE created_at < $1";

/// Removes the drafts made before a time; says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget(session: &mut Session, before: i64) -> Result<u64> {
    session.execute(session.sql(FORGET_PARTS).bind(before)).await?;
    session.execute(session.sql(FORGET).bind(before)).await
}

const REMOVE_PARTS: &str = "DELETE FROM import_draft_part
 WHERE draft_id = $1";

const REMOVE: &str = "DELETE FROM import_draft
 WHERE id = $1";

/// Removes one draft.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(session: &mut Session, id: &str) -> Result<()> {
    session.execute(session.sql(REMOVE_PARTS).bind(id.to_owned())).await?;
    session.execute(session.sql(REMOVE).bind(id.to_owned())).await.map(drop)
}
