//! Owns the register of daemons and the locks that show which of them live.
//!
//! Invariant: a daemon's lock is free only when its process is gone; then its leases are void.

use std::future::Future;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::timeout;

use super::{Result, Session};
use crate::domain::daemon_role::Roles;

/// A daemon that has worked on this database.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Daemon {
    /// Unique for each start of a process.
    pub id: String,
    /// Key of its PostgreSQL session lock.
    pub lock_key: i64,
}

const REGISTER: &str = "INSERT INTO daemon (id, lock_key, started_at, seen_at, roles)
 VALUES ($1, $2, $3, $3, $4)";

/// Registers a daemon and its roles.
///
/// # Errors
/// [`super::StoreError`].
pub async fn register(session: &mut Session, daemon: &Daemon, roles: Roles, now: i64) -> Result<()> {
    let statement = session.sql(REGISTER).bind(daemon.id.clone()).bind(daemon.lock_key).bind(now);
    session.execute(statement.bind(roles.to_string())).await.map(drop)
}

const RETURN: &str = "UPDATE daemon
 SET ended_at = NULL, seen_at = $2
 WHERE id = $1";

/// Notes that a daemon lives after all: its lock was cut, and another may have taken it for gone.
///
/// # Errors
/// [`super::StoreError`].
pub async fn come_back(session: &mut Session, id: &str, now: i64) -> Result<()> {
    session.execute(session.sql(RETURN).bind(id.to_owned()).bind(now)).await.map(drop)
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

const TURN_HOLDER: &str = "SELECT d.id, d.lock_key
 FROM upkeep_turn t
 JOIN daemon d ON d.id = t.owner
 WHERE t.name = 'upkeep'
   AND t.until_us > {now us}
   AND d.ended_at IS NULL";

/// The daemon whose turn at upkeep it is, if it is anybody's.
///
/// # Errors
/// [`super::StoreError`].
pub async fn turn_holder(session: &mut Session) -> Result<Option<Daemon>> {
    session.one(session.sql(TURN_HOLDER)).await
}

const TAKE_TURN: &str = "INSERT INTO upkeep_turn (name, owner, until_us)
 VALUES ('upkeep', $1, {now us} + $2)
 ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until_us = excluded.until_us
 WHERE upkeep_turn.owner = excluded.owner
   OR upkeep_turn.owner = $3
   OR upkeep_turn.until_us <= {now us}
   OR NOT EXISTS (SELECT 1 FROM daemon d WHERE d.id = upkeep_turn.owner AND d.ended_at IS NULL)";

/// Takes or keeps the turn at upkeep for `span_us` microseconds of the database's clock, unless it is another daemon's.
/// `gone` is a daemon known to be dead. Says whether the turn is ours.
///
/// # Errors
/// [`super::StoreError`].
pub async fn take_turn(session: &mut Session, id: &str, span_us: i64, gone: Option<&str>) -> Result<bool> {
    let statement = session.sql(TAKE_TURN).bind(id.to_owned()).bind(span_us).bind(gone.unwrap_or_default().to_owned());
    Ok(session.execute(statement).await? == 1)
}

/// How long the database may take for an answer on the session of the lock. A machine that lost its power never answers, and what waits
/// for it would hold up all upkeep.
const PATIENCE: Duration = Duration::from_secs(3);

/// The answer, or that the session is lost.
async fn in_time<T>(answer: impl Future<Output = std::result::Result<T, sqlx::Error>>) -> Result<T> {
    let waited = timeout(PATIENCE, answer).await;
    Ok(waited.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))?)
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
        let mut connection = in_time(PgConnection::connect(url)).await?;
        // After a cut the server may hold the old session's lock a little longer: wait for it, but not for ever.
        sqlx::query("SET lock_timeout = '5s'").execute(&mut connection).await?;
        // A machine that lost its power says no good-bye: without this, its lock would be held for two hours.
        for setting in ["idle = 5", "interval = 2", "count = 3"] {
            let setting = AssertSqlSafe(format!("SET tcp_keepalives_{setting}"));
            sqlx::query(setting).execute(&mut connection).await?;
        }
        sqlx::query("SELECT pg_advisory_lock($1)").bind(key).execute(&mut connection).await?;
        Ok(Self { connection })
    }

    /// Whether the session, and with it the lock, still is.
    pub async fn is_alive(&mut self) -> bool {
        matches!(timeout(PATIENCE, self.connection.ping()).await, Ok(Ok(())))
    }

    /// Whether nobody holds the lock `key`.
    ///
    /// # Errors
    /// [`super::StoreError`] when the session is lost; the own lock is lost with it.
    pub async fn is_free(&mut self, key: i64) -> Result<bool> {
        let asked = sqlx::query_as("SELECT pg_try_advisory_lock($1)").bind(key).fetch_one(&mut self.connection);
        let (taken,): (bool,) = in_time(asked).await?;
        if taken {
            in_time(sqlx::query("SELECT pg_advisory_unlock($1)").bind(key).execute(&mut self.connection)).await?;
        }
        Ok(taken)
    }
}
