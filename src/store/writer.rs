//! Owns the one connection that writes to SQLite, handed from one transaction to the next in the order in which they asked.
//!
//! A pool asks a connection whether it still lives each time that it is given back, and the writer stands still meanwhile: with the
//! small transactions of a dispatch that is a good part of its time. Invariant: what was not committed is rolled back before the
//! next transaction begins.

use std::sync::Arc;

use sqlx::{AnyConnection, Connection as _, Executor as _};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::dialect::Dialect;
use super::{PATIENCE, Result, WRITERS_CACHE_KIB, prepare_connection};

/// The connection, and who waits for it.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    url: Arc<str>,
    seat: Arc<Mutex<Seat>>,
}

#[derive(Debug, Default)]
struct Seat {
    connection: Option<AnyConnection>,
    is_closed: bool,
}

/// A transaction on the connection. Dropped before its commit, it is rolled back.
#[derive(Debug)]
pub(super) struct Turn {
    /// `None` when it has ended.
    seat: Option<OwnedMutexGuard<Seat>>,
}

impl Writer {
    /// A writer that is connected already, so that a database that cannot be opened is known at once.
    pub(super) async fn open(url: &str) -> Result<Self> {
        let writer = Self { url: url.into(), seat: Arc::default() };
        writer.connect(&mut *writer.seat.lock().await).await?;
        Ok(writer)
    }

    async fn connect<'a>(&self, seat: &'a mut Seat) -> std::result::Result<&'a mut AnyConnection, sqlx::Error> {
        if seat.is_closed {
            return Err(sqlx::Error::PoolClosed);
        }
        let connection = match seat.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = AnyConnection::connect(&self.url).await?;
                prepare_connection(Dialect::Sqlite, &mut connection, WRITERS_CACHE_KIB).await?;
                connection
            }
        };
        Ok(seat.connection.insert(connection))
    }

    /// Begins a transaction, which holds the database's lock for writing.
    pub(super) async fn begin(&self) -> Result<Turn> {
        let seat = Arc::clone(&self.seat).lock_owned();
        let mut seat = tokio::time::timeout(PATIENCE, seat).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        self.connect(&mut seat).await?;
        // From here on what goes wrong, or is given up half-way, is rolled back.
        let mut turn = Turn { seat: Some(seat) };
        turn.connection().execute(Dialect::Sqlite.begin_write()).await?;
        Ok(turn)
    }

    /// The connection outside of a transaction, for what makes its own.
    pub(super) async fn alone<T>(&self, run: impl AsyncFnOnce(&mut AnyConnection) -> T) -> Result<T> {
        let mut seat = self.seat.lock().await;
        Ok(run(self.connect(&mut seat).await?).await)
    }

    /// Closes the connection, after the transactions that wait for it.
    pub(super) async fn close(&self) {
        let mut seat = self.seat.lock().await;
        seat.is_closed = true;
        if let Some(connection) = seat.connection.take() {
            let _ = connection.close().await;
        }
    }
}

impl Turn {
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        let seat = self.seat.as_mut().expect("a turn has its seat until it ends");
        seat.connection.as_mut().expect("a turn begins on a connection")
    }

    pub(super) async fn commit(mut self) -> Result<()> {
        self.connection().execute("COMMIT").await?;
        self.seat = None;
        Ok(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(seat) = self.seat.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(roll_back(seat))),
            // Nobody is left to wait for it: closing rolls back, too.
            Err(_) => forget(seat),
        }
    }
}

/// SQLite ends a transaction by itself when its commit fails, as on a full disk, and then has nothing to roll back; whatever else is
/// wrong with a connection, a new one does not have.
async fn roll_back(mut seat: OwnedMutexGuard<Seat>) {
    let Some(connection) = seat.connection.as_mut() else { return };
    if connection.execute("ROLLBACK").await.is_err() {
        forget(seat);
    }
}

fn forget(mut seat: OwnedMutexGuard<Seat>) {
    seat.connection = None;
}
