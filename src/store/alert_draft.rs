//! Owns alerts that are being written: the fields of the page as they stood when they were last saved.
//!
//! It does not know what the fields mean. Invariant: a save over what somebody else has written since changes nothing.

use super::{Result, Session};

/// An alert that somebody has begun.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AlertDraft {
    /// Its id.
    pub id: String,
    /// The fields of the page, JSON.
    pub form: String,
    /// Counted from 1, one more for every save.
    pub revision: i64,
    /// The area of whoever began it.
    pub area_code: String,
    /// Who began it.
    pub created_by: String,
    /// When, Unix ms.
    pub created_at: i64,
    /// Who wrote last.
    pub written_by: String,
    /// When, Unix ms.
    pub written_at: i64,
}

const INSERT: &str =
    "INSERT INTO alert_draft (id, form, revision, area_code, created_by, created_at, written_by, written_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Adds a draft.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(session: &mut Session, draft: &AlertDraft) -> Result<()> {
    let statement = session
        .sql(INSERT)
        .bind(draft.id.clone())
        .bind(draft.form.clone())
        .bind(draft.revision)
        .bind(draft.area_code.clone())
        .bind(draft.created_by.clone())
        .bind(draft.created_at)
        .bind(draft.written_by.clone())
        .bind(draft.written_at);
    session.execute(statement).await.map(drop)
}

const WRITE: &str = "UPDATE alert_draft
 SET form = $3, revision = revision + 1, written_by = $4, written_at = $5
 WHERE id = $1
   AND revision = $2";

/// Writes `form` over revision `revision`; says whether that was still the newest.
///
/// # Errors
/// [`super::StoreError`].
pub async fn write(
    session: &mut Session,
    (id, revision): (&str, i64),
    form: String,
    (by, at): (&str, i64),
) -> Result<bool> {
    let statement = session.sql(WRITE).bind(id.to_owned()).bind(revision).bind(form).bind(by.to_owned()).bind(at);
    Ok(session.execute(statement).await? > 0)
}

const GET: &str = "SELECT *
 FROM alert_draft
 WHERE id = $1";

/// The draft `id`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, id: &str) -> Result<Option<AlertDraft>> {
    session.one(session.sql(GET).bind(id.to_owned())).await
}

const LIST: &str = "SELECT *
 FROM alert_draft
 ORDER BY written_at DESC, id
 LIMIT $1";

/// The drafts written to last.
///
/// # Errors
/// [`super::StoreError`].
pub async fn list(session: &mut Session, limit: i64) -> Result<Vec<AlertDraft>> {
    session.list(session.sql(LIST).bind(limit)).await
}

const REMOVE: &str = "DELETE FROM alert_draft
 WHERE id = $1";

/// Removes a draft; says whether it was there.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(session: &mut Session, id: &str) -> Result<bool> {
    Ok(session.execute(session.sql(REMOVE).bind(id.to_owned())).await? > 0)
}

const REMOVE_OLD: &str = "DELETE FROM alert_draft
 WHERE written_at < $1";

/// Removes drafts that nobody has written to since `before`, Unix ms; says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove_old(session: &mut Session, before: i64) -> Result<u64> {
    session.execute(session.sql(REMOVE_OLD).bind(before)).await
}
