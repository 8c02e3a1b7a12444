//! Owns all SQL: one file per noun, each statement a constant beside its function.
//!
//! It decides nothing; actions and the engine do. Invariants: a write goes through [`Store::begin`], times are
//! bound values, and `dialect` is the only module that knows which database this is.

pub mod advance;
pub mod alert;
pub mod alert_draft;
pub mod alert_email;
pub mod api_key;
pub mod area;
pub mod attempt;
pub mod audience;
pub mod audit;
pub mod backup;
pub mod bell;
pub mod channel_health;
pub mod claim;
pub mod contact_person;
pub mod coverage;
pub mod credential;
pub mod daemon;
pub mod decision;
pub mod delivery;
pub mod deputy;
pub mod dialect;
pub mod extract;
pub mod freezing;
pub mod gateway;
pub mod idempotency;
pub mod import;
pub mod import_draft;
pub mod inbound_mail;
pub mod inbound_sms;
pub mod letter;
pub mod message;
pub mod observation;
pub mod observation_tag;
pub mod operator;
pub mod opt_out;
pub mod opt_out_journal;
pub mod own_page;
pub mod passkey;
pub mod phone_call;
pub mod queue;
pub mod receipt;
pub mod register;
pub mod register_word;
pub mod reply;
pub mod retention;
pub mod sealed_audience;
pub mod setting;
pub mod settle;
pub mod sign_in_session;
pub mod situation;
pub mod sms_part;
pub mod spread;
pub mod stamp;
pub mod together;
pub mod verify;
mod writer;

use std::time::Duration;

use serde::de::DeserializeOwned;
use sqlx::any::{AnyArguments, AnyPoolOptions, AnyRow};
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor, FromRow, SqlSafeStr as _, Transaction,
};

use crate::domain::opt_out_journal::JournalKey;

pub use dialect::Dialect;
pub use opt_out_journal::Journal;
use writer::{Length, Turn, Writer};

/// The database: connections for writing, reading and dispatch, so that none starves another.
#[derive(Debug, Clone)]
pub struct Store {
    dialect: Dialect,
    write: WriteSide,
    read: AnyPool,
    journal: Journal,
}

/// How long one waits for a connection, or for those before it.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long a connection for dispatch may lie idle without being asked whether it lives.
const LONGEST_WITHOUT_PROOF: Duration = Duration::from_secs(1);

/// What writes.
#[derive(Debug, Clone)]
enum WriteSide {
    /// SQLite has one writer, whoever it is.
    One(Writer),
    /// PostgreSQL has many, and some are kept for dispatch.
    Many { pool: AnyPool, dispatch: AnyPool },
}

/// What went wrong in the database, by what a caller does about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Locked or deadlocked: the same call may be made again.
    #[error("the database is busy")]
    Busy(#[source] sqlx::Error),
    /// Out of reach, or no connection was free in time.
    #[error("the database is out of reach")]
    Unavailable(#[source] sqlx::Error),
    /// Disk full or read-only: nothing can be written.
    #[error("the database cannot be written to: disk full or read-only")]
    Full(#[source] sqlx::Error),
    /// A row with that key exists.
    #[error("a row with that key exists")]
    Conflict(#[source] sqlx::Error),
    /// The schema is newer than this program, or a migration that ran was changed.
    #[error("{0}")]
    Schema(String),
    /// Anything else: a fault in the program or a damaged database.
    #[error("the database refused a statement")]
    Fault(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code()).map(|code| code.to_string());
        let unique = error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation);
        match (&error, code.as_deref()) {
            (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_), _) => {
                Self::Unavailable(error)
            }
            _ if unique => Self::Conflict(error),
            (_, Some(code)) => match outage(code) {
                Some(Outage::Busy) => Self::Busy(error),
                Some(Outage::Unavailable) => Self::Unavailable(error),
                Some(Outage::Full) => Self::Full(error),
                None => Self::Fault(error),
            },
            _ => Self::Fault(error),
        }
    }
}

/// What passes by itself or is mended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    Busy,
    Unavailable,
    Full,
}

/// What a code of the database says; `None` when it is no outage. PostgreSQL's codes have five characters, SQLite's fewer.
fn outage(code: &str) -> Option<Outage> {
    if code.len() < 5 {
        // An extended code has the primary one in its lowest byte: BUSY, LOCKED; FULL, READONLY, IOERR, CANTOPEN.
        return match code.parse::<u32>().ok()? & 0xff {
            5 | 6 => Some(Outage::Busy),
            8 | 10 | 13 | 14 => Some(Outage::Full),
            _ => None,
        };
    }
    match code {
        // Deadlock, serialisation, lock time-out.
        "40P01" | "40001" | "55P03" => Some(Outage::Busy),
        // Disk full, and a read or write that failed.
        "53100" | "58030" => Some(Outage::Full),
        // A standby that is not yet promoted; a statement or a rest that took too long; out of memory or connections.
        "25006" | "25P03" | "57014" | "53200" | "53300" => Some(Outage::Unavailable),
        // Shutting down, crashed, starting up; the connection.
        _ if code.starts_with("57P") || code.starts_with("08") => Some(Outage::Unavailable),
        _ => None,
    }
}

impl StoreError {
    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Unavailable(_) | Self::Full(_))
    }

    /// Stable code, safe to log.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy(_) => "database.busy",
            Self::Unavailable(_) => "database.unavailable",
            Self::Full(_) => "database.full",
            Self::Conflict(_) => "database.conflict",
            Self::Schema(_) => "database.schema",
            Self::Fault(_) => "database.fault",
        }
    }

    /// The same for another whom it concerns, too.
    fn again(&self) -> Self {
        let source = || sqlx::Error::Protocol(self.to_string());
        match self {
            Self::Busy(_) => Self::Busy(source()),
            Self::Unavailable(_) => Self::Unavailable(source()),
            Self::Full(_) => Self::Full(source()),
            Self::Conflict(_) => Self::Conflict(source()),
            Self::Schema(why) => Self::Schema(why.clone()),
            Self::Fault(_) => Self::Fault(source()),
        }
    }
}

/// Result of a store function.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A connection that statements run on: a write transaction or a read.
#[derive(Debug)]
pub struct Session {
    inner: Inner,
    dialect: Dialect,
    journal: Journal,
    /// Lines for the journal of opt-outs that belong to this transaction.
    noted: Vec<String>,
}

#[derive(Debug)]
enum Inner {
    Turn(Turn),
    Write(Transaction<'static, Any>),
    Read(PoolConnection<Any>),
}

/// A statement whose marks have been replaced, with its arguments.
pub(crate) type Statement = sqlx::query::Query<'static, Any, AnyArguments>;

impl Session {
    /// The connection.
    pub(crate) fn conn(&mut self) -> &mut AnyConnection {
        match &mut self.inner {
            Inner::Turn(turn) => turn.connection(),
            Inner::Write(transaction) => transaction,
            Inner::Read(connection) => connection,
        }
    }

    /// Prepares `sql` with its marks replaced.
    pub(crate) fn sql(&self, sql: &'static str) -> Statement {
        if sql.contains('{') { sqlx::query(AssertSqlSafe(self.dialect.expand(sql))) } else { sqlx::query(sql) }
    }

    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64> {
        Ok(statement.execute(self.conn()).await?.rows_affected())
    }

    pub(crate) async fn rows(&mut self, statement: Statement) -> Result<Vec<AnyRow>> {
        Ok(statement.fetch_all(self.conn()).await?)
    }

    /// The rows of `statement`, decoded.
    pub(crate) async fn list<T: for<'r> FromRow<'r, AnyRow>>(&mut self, statement: Statement) -> Result<Vec<T>> {
        let rows = self.rows(statement).await?;
        Ok(rows.iter().map(T::from_row).collect::<std::result::Result<_, _>>()?)
    }

    /// The rows of `statement`, each of one `{packed …}` column, decoded.
    pub(crate) async fn unpack<T: DeserializeOwned>(&mut self, statement: Statement) -> Result<Vec<T>> {
        let rows: Vec<(String,)> = self.list(statement).await?;
        let unpacked = rows.iter().map(|(packed,)| serde_json::from_str(packed)).collect::<std::result::Result<_, _>>();
        Ok(unpacked.map_err(|error| sqlx::Error::Decode(error.into()))?)
    }

    /// The first row of `statement`, decoded.
    pub(crate) async fn one<T: for<'r> FromRow<'r, AnyRow>>(&mut self, statement: Statement) -> Result<Option<T>> {
        let row = self.row(statement).await?;
        Ok(row.as_ref().map(T::from_row).transpose()?)
    }

    pub(crate) async fn row(&mut self, statement: Statement) -> Result<Option<AnyRow>> {
        Ok(statement.fetch_optional(self.conn()).await?)
    }

    /// The key of the journal of opt-outs, where one is kept.
    pub(crate) fn journal_key(&self) -> Option<&JournalKey> {
        self.journal.open().map(|journal| journal.key())
    }

    /// Makes the transaction's writes durable; a read has nothing to commit. Words about consent are in the journal when this ends, or
    /// wait for a disk that takes them.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is written then.
    pub async fn commit(self) -> Result<()> {
        match self.inner {
            Inner::Turn(turn) => turn.commit().await?,
            Inner::Write(transaction) => transaction.commit().await?,
            Inner::Read(_) => return Ok(()),
        }
        if let Some(journal) = self.journal.open().filter(|_| !self.noted.is_empty()) {
            journal.write(self.noted).await;
        }
        Ok(())
    }
}

impl Store {
    /// Opens the database; an SQLite file that does not exist is made.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be reached.
    pub async fn open(url: &str, max_connections: u32) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let dialect = Dialect::of_url(url);
        let url = connect_url(dialect, url);
        let pool = |connections: u32| {
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(PATIENCE)
                .idle_timeout(Duration::from_secs(600))
                .test_before_acquire(dialect == Dialect::Postgres)
                .after_connect(move |connection, _| {
                    Box::pin(prepare_connection(dialect, connection, READERS_CACHE_KIB))
                })
        };
        let write = match dialect {
            Dialect::Sqlite => WriteSide::One(Writer::open(&url).await?),
            Dialect::Postgres => WriteSide::Many {
                pool: pool(max_connections).connect(&url).await?,
                // Asked whether it lives only after a rest: what one that died just now refuses, the engine does again.
                dispatch: pool(max_connections.min(6))
                    .test_before_acquire(false)
                    .before_acquire(|connection, meta| {
                        Box::pin(
                            async move { Ok(meta.idle_for < LONGEST_WITHOUT_PROOF || connection.ping().await.is_ok()) },
                        )
                    })
                    .after_connect(|connection, _| Box::pin(prepare_for_dispatch(connection)))
                    .connect_lazy(&url)?,
            },
        };
        let read = pool(max_connections).connect_lazy(&url)?;
        Ok(Self { dialect, write, read, journal: Journal::Off })
    }

    /// The same database with its journal of opt-outs.
    #[must_use]
    pub fn with_journal(self, journal: Journal) -> Self {
        Self { journal, ..self }
    }

    /// The journal of opt-outs.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    fn session(&self, inner: Inner) -> Session {
        Session { inner, dialect: self.dialect, journal: self.journal.clone(), noted: Vec::new() }
    }

    /// Begins a write.
    ///
    /// # Errors
    /// [`StoreError`] when no connection or no lock was to be had.
    pub async fn begin(&self) -> Result<Session> {
        let inner = match &self.write {
            WriteSide::One(writer) => Inner::Turn(writer.begin(Length::Any).await?),
            WriteSide::Many { pool, .. } => Inner::Write(pool.begin_with(self.dialect.begin_write()).await?),
        };
        Ok(self.session(inner))
    }

    /// Begins a short write on the connections kept for dispatch. On SQLite it may be committed together with others.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn begin_dispatch(&self) -> Result<Session> {
        match &self.write {
            WriteSide::One(writer) => Ok(self.session(Inner::Turn(writer.begin(Length::Short).await?))),
            WriteSide::Many { dispatch, .. } => {
                let begun = dispatch.begin_with(self.dialect.begin_write());
                let transaction = tokio::time::timeout(PATIENCE, begun).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
                Ok(self.session(Inner::Write(transaction?)))
            }
        }
    }

    /// A connection for reading.
    ///
    /// # Errors
    /// [`StoreError`] when no connection was to be had.
    pub async fn read(&self) -> Result<Session> {
        Ok(self.session(Inner::Read(self.read.acquire().await?)))
    }

    /// A connection for reading, and a second when one is idle: nobody waits for a second who holds a first.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn read_at_once(&self) -> Result<Vec<Session>> {
        let connections = [Some(self.read.acquire().await?), self.read.try_acquire()];
        Ok(connections.into_iter().flatten().map(|one| self.session(Inner::Read(one))).collect())
    }

    /// A connection for reading what a hand-over needs, which no request takes away.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn read_dispatch(&self) -> Result<Session> {
        // With SQLite dispatch shares the one connection that writes, and a read would wait for every write.
        let pool = match &self.write {
            WriteSide::One(_) => &self.read,
            WriteSide::Many { dispatch, .. } => dispatch,
        };
        Ok(self.session(Inner::Read(pool.acquire().await?)))
    }

    /// Whether writers wait for each other, whatever they write: a long transaction holds up everybody then.
    #[must_use]
    pub fn has_one_writer(&self) -> bool {
        self.dialect == Dialect::Sqlite
    }

    /// Which database this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Applies pending migrations and says how many there were.
    ///
    /// # Errors
    /// [`StoreError::Schema`] when the database is newer than this program; it is left as it is.
    pub async fn migrate(&self) -> Result<usize> {
        let pending = self.migrations().await?.iter().filter(|migration| !migration.applied).count();
        let migrator = migrations_of(self.dialect);
        match &self.write {
            WriteSide::One(writer) => writer.alone(async |connection| migrator.run(connection).await).await?,
            WriteSide::Many { pool, .. } => migrator.run(pool).await,
        }
        .map_err(schema_error)?;
        Ok(pending)
    }

    /// The migrations this program knows, and which are applied.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub async fn migrations(&self) -> Result<Vec<Migration>> {
        let mut session = self.read().await?;
        let known = match session.dialect {
            Dialect::Sqlite => {
                "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM sqlite_master WHERE name = '_sqlx_migrations'"
            }
            Dialect::Postgres => {
                "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM pg_tables WHERE tablename = '_sqlx_migrations' AND schemaname = current_schema()"
            }
        };
        let exists: (i64,) = sqlx::query_as(known).fetch_one(session.conn()).await?;
        let applied: Vec<(i64,)> = if exists.0 == 0 {
            Vec::new()
        } else {
            sqlx::query_as("SELECT version FROM _sqlx_migrations ORDER BY version").fetch_all(session.conn()).await?
        };
        if let Some((newer,)) = applied.iter().find(|(version,)| !MIGRATIONS.version_exists(*version)) {
            return Err(StoreError::Schema(format!(
                "the database has migration {newer}, which this program does not know: it was written by a newer version"
            )));
        }
        Ok(MIGRATIONS
            .iter()
            .map(|migration| Migration {
                version: migration.version,
                description: migration.description.to_string(),
                applied: applied.iter().any(|(version,)| *version == migration.version),
            })
            .collect())
    }

    /// Closes all connections; SQLite then leaves one file behind.
    pub async fn close(&self) {
        self.read.close().await;
        match &self.write {
            WriteSide::One(writer) => writer.close().await,
            WriteSide::Many { pool, dispatch } => {
                dispatch.close().await;
                pool.close().await;
            }
        }
    }
}

/// One step of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub description: String,
    /// Whether the database has it.
    pub applied: bool,
}

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The migrations with the marks of `dialect` replaced; their checksums are those of the files, and so the same on both.
fn migrations_of(dialect: Dialect) -> Migrator {
    let expanded = |migration: &sqlx::migrate::Migration| sqlx::migrate::Migration {
        sql: AssertSqlSafe(dialect.expand_schema(migration.sql.as_str())).into_sql_str(),
        ..migration.clone()
    };
    Migrator { migrations: MIGRATIONS.iter().map(expanded).collect(), ..Migrator::DEFAULT }
}

fn schema_error(error: sqlx::migrate::MigrateError) -> StoreError {
    match error {
        sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
            error.into()
        }
        other => StoreError::Schema(other.to_string()),
    }
}

/// The URL as the driver wants it: an SQLite file is made when missing.
fn connect_url(dialect: Dialect, url: &str) -> String {
    if dialect == Dialect::Postgres || url.contains("mode=") {
        return url.to_owned();
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}mode=rwc")
}

/// What the one connection that writes keeps of an SQLite file.
const WRITERS_CACHE_KIB: u32 = 16_000;
/// What each connection that reads keeps of it: there are many, and the system keeps the file in memory for all of them.
const READERS_CACHE_KIB: u32 = 1_000;

async fn prepare_connection(
    dialect: Dialect,
    connection: &mut AnyConnection,
    cache_kib: u32,
) -> std::result::Result<(), sqlx::Error> {
    let settings = match dialect {
        Dialect::Sqlite => format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; \
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{cache_kib}; \
             PRAGMA wal_autocheckpoint = 4000;"
        ),
        // Statements are short and many: compiling one takes longer than running it. A daemon that is frozen within a
        // transaction must not hold its rows against the others.
        Dialect::Postgres => {
            "SET lock_timeout = '5s'; SET statement_timeout = '60s'; SET TIME ZONE 'UTC'; SET jit = off; \
             SET idle_in_transaction_session_timeout = '10s';"
                .to_owned()
        }
    };
    connection.execute(sqlx::raw_sql(AssertSqlSafe(settings))).await.map(drop)
}

/// Plans by key, made anew for each call: one made before an alert was frozen thinks the table empty.
async fn prepare_for_dispatch(connection: &mut AnyConnection) -> std::result::Result<(), sqlx::Error> {
    prepare_connection(Dialect::Postgres, connection, 0).await?;
    let settings = "SET enable_seqscan = off; SET plan_cache_mode = force_custom_plan; \
                    SET idle_in_transaction_session_timeout = '3s';";
    connection.execute(sqlx::raw_sql(settings)).await.map(drop)
}

/// `value` as the JSON text that a `{rows …}` mark reads.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("rows of plain texts and numbers always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_say_what_passes() {
        for code in ["5", "6", "261", "517", "262", "773", "40P01", "40001", "55P03"] {
            assert_eq!(outage(code), Some(Outage::Busy), "{code}");
        }
        for code in ["13", "8", "10", "14", "778", "1034", "1032", "4874", "53100", "58030"] {
            assert_eq!(outage(code), Some(Outage::Full), "{code}");
        }
        for code in ["57P01", "57P02", "57P03", "57P05", "57014", "53300", "08006", "08001", "25006", "25P03"] {
            assert_eq!(outage(code), Some(Outage::Unavailable), "{code}");
        }
        for code in ["1", "11", "19", "787", "42P01", "22021", "XX001"] {
            assert_eq!(outage(code), None, "{code}");
        }
    }
}
