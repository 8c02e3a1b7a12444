//! Owns the register of daemons and the locks that show which of them live.
//!
//! Invariant: a daemon's lock is free only when its process is gone; then its leases are void.

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::{Result, Session};

/// A daemon that has worked on this database.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Daemon {
    /// Unique for each start of a process.
    pub id: String,
    /// Key of its PostgreSQL session lock.
    pub lock_key: i64,
}

const REGISTER: &str = "INSERT INTO daemon (id, lock_key, started_at, seen_at)
 VALUES ($1, $2, $3, $3)";

/// Registers a daemon.
///
/// # Errors
/// [`super::StoreError`].
pub async fn register(session: &mut Session, daemon: &Daemon, now: i64) -> Result<()> {
    session.execute(session.sql(REGISTER).bind(daemon.id.clone()).bind(daemon.lock_key).bind(now)).await.map(drop)
}

const OTHERS: &str = "SELECT id, lock_key
 FROM daemon
 WHERE ended_at IS NULL
   AND id <> $1
 ORDER BY id";

/// Daemons that have not said good-bye, but for `own_id`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn others(session: &mut Session, own_id: &str) -> Result<Vec<Daemon>> {
    session.list(session.sql(OTHERS).bind(own_id.to_owned())).await
}

const END: &str = "UPDATE daemon
 SET ended_at = $2
 WHERE id = $1
   AND ended_at IS NULL";

/// Notes that a daemon is gone.
///
/// # Errors
/// [`super::StoreError`].
pub async fn end(session: &mut Session, id: &str, now: i64) -> Result<()> {
    session.execute(session.sql(END).bind(id.to_owned()).bind(now)).await.map(drop)
}

/// A PostgreSQL session that holds a daemon's lock for as long as it lives, and looks at the locks of others.
#[derive(Debug)]
pub struct LockSession {
    connection: PgConnection,
}

impl LockSession {
    /// Opens a session of its own and takes the lock `key`.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn hold(url: &str, key: i64) -> Result<Self> {
        let mut connection = PgConnection::connect(url).await?;
        // After a cut the server may hold the old session's lock a little longer: wait for it, but not for ever.
        sqlx::query("SET lock_timeout = '5s'").execute(&mut connection).await?;
        sqlx::query("SELECT pg_advisory_lock($1)").bind(key).execute(&mut connection).await?;
        Ok(Self { connection })
    }

    /// Whether nobody holds the lock `key`.
    ///
    /// # Errors
    /// [`super::StoreError`] when the session is lost; the own lock is lost with it.
    pub async fn is_free(&mut self, key: i64) -> Result<bool> {
        let (taken,): (bool,) =
            sqlx::query_as("SELECT pg_try_advisory_lock($1)").bind(key).fetch_one(&mut self.connection).await?;
        if taken {
            sqlx::query("SELECT pg_advisory_unlock($1)").bind(key).execute(&mut self.connection).await?;
        }
        Ok(taken)
    }
}
