//! Owns the lock that shows this daemon lives, and the look at the locks of others.
//!
//! Invariant: the lock is free as soon as the process is gone, however it went; then its leases are void at once.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::store::daemon::{self, Daemon, LockSession};
use crate::store::{Store, StoreError};

/// A daemon's lock.
#[derive(Debug)]
pub enum Presence {
    /// A lock on a file beside the SQLite database: only one daemon at a time.
    File(File),
    /// A PostgreSQL session lock; the others' can be looked at.
    Session(LockSession),
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
        owner: &Daemon,
        now: i64,
    ) -> Result<Self, PresenceError> {
        let presence = match sqlite_file {
            Some(file) => Self::File(lock_file(file)?),
            None => Self::Session(LockSession::hold(url, owner.lock_key).await?),
        };
        let mut session = store.begin().await?;
        daemon::register(&mut session, owner, now).await?;
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
            Self::Session(session) => session.is_free(other.lock_key).await,
        }
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
