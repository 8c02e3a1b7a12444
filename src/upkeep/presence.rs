//! Owns the lock that shows this daemon lives, and the look at the locks of others.
//!
//! Invariants: the lock is free as soon as the process is gone, however it went; then its leases are void at once. Nobody
//! is taken for gone in the moments after a cut that may have cut everybody.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Secret;
use crate::domain::daemon_role::Roles;
use crate::store::daemon::{self, Daemon, LockSession};
use crate::store::{Store, StoreError};

/// After our own lock was cut, others are given this long to hold theirs again, as after a restart of PostgreSQL.
const GRACE: Duration = Duration::from_secs(4);

/// A daemon's lock.
#[derive(Debug)]
pub enum Presence {
    /// A lock on a file beside the SQLite database: only one daemon at a time.
    File(File),
    /// A PostgreSQL session lock; the others' can be looked at.
    Session {
        /// The session; `None` after it was cut, until it is opened again.
        session: Option<LockSession>,
        /// Where it is opened.
        url: Secret,
        /// The lock's key.
        key: i64,
        /// From when on a free lock says that its daemon is gone.
        judges_from: Instant,
    },
}

/// Why a daemon may not start.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// Another daemon runs on this SQLite database.
    #[error("another grannpost daemon runs on this SQLite database (lock file {0}); several daemons need PostgreSQL")]
    Taken(PathBuf),
    /// The lock file cannot be made.
    #[error("the lock file {path} cannot be opened: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Presence {
    /// Takes this daemon's lock and registers it.
    ///
    /// # Errors
    /// [`PresenceError::Taken`] when another daemon has the SQLite database.
    pub async fn take(
        store: &Store,
        (url, sqlite_file): (&str, Option<&Path>),
        (owner, roles): (&Daemon, Roles),
        now: i64,
    ) -> Result<Self, PresenceError> {
        let presence = match sqlite_file {
            Some(file) => Self::File(lock_file(file)?),
            None => Self::Session {
                session: Some(LockSession::hold(url, owner.lock_key).await?),
                url: Secret::new(url.to_owned()),
                key: owner.lock_key,
                judges_from: Instant::now(),
            },
        };
        let mut session = store.begin().await?;
        daemon::register(&mut session, owner, roles, now).await?;
        session.commit().await?;
        Ok(presence)
    }

    /// Whether the daemon `other` is gone.
    ///
    /// # Errors
    /// [`StoreError`] when its lock could not be looked at.
    pub async fn is_gone(&mut self, other: &Daemon) -> Result<bool, StoreError> {
        match self {
            // We hold the only lock there is.
            Self::File(_) => Ok(true),
            Self::Session { session, judges_from, .. } => {
                let Some(open) = session.as_mut().filter(|_| Instant::now() >= *judges_from) else { return Ok(false) };
                let free = open.is_free(other.lock_key).await;
                if free.is_err() {
                    *session = None;
                }
                free
            }
        }
    }

    /// Looks whether the lock's session still lives, and opens it again after it was cut, as by a restart of PostgreSQL; says
    /// whether it was. Meanwhile another daemon may have taken this one for dead and voided its leases; their fencing numbers
    /// keep that harmless.
    ///
    /// # Errors
    /// [`StoreError`] when PostgreSQL does not let it.
    pub async fn keep(&mut self) -> Result<bool, StoreError> {
        let Self::Session { session, url, key, judges_from } = self else { return Ok(false) };
        if let Some(open) = session {
            if open.is_alive().await {
                return Ok(false);
            }
            *session = None;
        }
        *judges_from = Instant::now() + GRACE;
        *session = Some(LockSession::hold(url.expose(), *key).await?);
        *judges_from = Instant::now() + GRACE;
        tracing::warn!("the daemon's lock was cut and is held again");
        Ok(true)
    }
}

fn lock_file(database: &Path) -> Result<File, PresenceError> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let file = open.map_err(|error| PresenceError::File { path: path.clone(), error })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(PresenceError::Taken(path)),
        Err(std::fs::TryLockError::Error(error)) => Err(PresenceError::File { path, error }),
    }
}
