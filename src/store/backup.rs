//! Owns copying the database while it is in use, and what is said of a copy.
//!
//! Invariant: a copy that fails its check is not left lying as if it were good.

use super::{Dialect, Result, Session, Store, StoreError, setting};

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Contents {
    /// Contact persons.
    pub contact_persons: i64,
    /// Messages.
    pub messages: i64,
    /// Deliveries that still wait to be handed over.
    pub waiting: i64,
    /// Deliveries whose outcome is open or unknown.
    pub open: i64,
}

const CONTENTS: &str = "SELECT
   (SELECT CAST(COUNT(*) AS BIGINT) FROM contact_person WHERE erased_at IS NULL) AS contact_persons,
   (SELECT CAST(COUNT(*) AS BIGINT) FROM message) AS messages,
   (SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE state IN ('queued', 'sending'))
     + (SELECT CAST(COALESCE(SUM(deliveries), 0) AS BIGINT) FROM sealed_audience) AS waiting,
   (SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE state IN ('accepted', 'in_doubt')) AS open";

/// What the database holds.
///
/// # Errors
/// [`StoreError`].
pub async fn contents(session: &mut Session) -> Result<Contents> {
    let contents = session.one(session.sql(CONTENTS)).await?;
    Ok(contents.expect("a row of figures"))
}

const COPY: &str = "VACUUM INTO $1";

/// Copies an SQLite database into a new file, as it stands at one moment, while others go on writing.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Schema`] for PostgreSQL, which has its own tools.
pub async fn copy_to(store: &Store, file: &str) -> Result<()> {
    if store.dialect() == Dialect::Postgres {
        return Err(StoreError::Schema("a PostgreSQL database is copied with pg_dump".to_owned()));
    }
    let mut session = store.read().await?;
    session.execute(session.sql(COPY).bind(file.to_owned())).await.map(drop)
}

const CHECK: &str = "PRAGMA integrity_check";

/// Whether an SQLite file is whole.
///
/// # Errors
/// [`StoreError::Schema`] with SQLite's words when it is not.
pub async fn check(store: &Store) -> Result<()> {
    if store.dialect() == Dialect::Postgres {
        return Err(StoreError::Schema("a PostgreSQL database checks itself".to_owned()));
    }
    let mut session = store.read().await?;
    let found: Option<(String,)> = session.one(session.sql(CHECK)).await?;
    match found {
        Some((words,)) if words == "ok" => Ok(()),
        other => Err(StoreError::Schema(format!("the copy is damaged: {}", other.unwrap_or_default().0))),
    }
}

const FORGET_SESSIONS: &str = "DELETE FROM sign_in_session";

const FORGET_LINKS: &str = "DELETE FROM sign_in_link
 WHERE used_at IS NULL";

/// Pauses a database that has just been restored: what waits in it may have gone since the copy was made. Sessions that have
/// ended since and links that were used since must not come back to life.
///
/// # Errors
/// [`StoreError`].
pub async fn pause_restored(store: &Store, now: i64) -> Result<Contents> {
    let mut session = store.begin().await?;
    mark_restored(&mut session, now).await?;
    session.execute(session.sql(FORGET_SESSIONS)).await?;
    session.execute(session.sql(FORGET_LINKS)).await?;
    let contents = contents(&mut session).await?;
    session.commit().await?;
    Ok(contents)
}

/// Not further back than this is asked what was said since a copy whose age nobody knows: 30 days.
const LONGEST_AGO_MS: i64 = 30 * 24 * 3_600_000;

/// Pauses, and notes that what was said since the copy has to be done again before the pause ends.
///
/// # Errors
/// [`StoreError`].
pub async fn mark_restored(session: &mut Session, now: i64) -> Result<()> {
    let newest = setting::get(session, setting::NEWEST_AT).await?.and_then(|at| at.parse::<i64>().ok());
    let since = newest.unwrap_or(now - LONGEST_AGO_MS);
    setting::set(session, setting::PAUSED, "restored".to_owned()).await?;
    setting::set(session, setting::RESTORED_SINCE, since.to_string()).await
}
