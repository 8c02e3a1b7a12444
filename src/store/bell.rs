//! Owns carrying wake-ups between daemons by PostgreSQL's LISTEN and NOTIFY.
//!
//! It says that something changed, never what. Invariant: nothing depends on a wake-up arriving; whoever waits looks again
//! by itself.

use sqlx::postgres::PgListener;

use super::{Dialect, Result, Session};

/// The one channel there is.
const CHANNEL: &str = "grannpost_wakeup";

// A function and not the statement NOTIFY, which takes no bound values; its result has no type that the driver reads.
const RING: &str = "SELECT CAST(pg_notify($1, $2) AS TEXT) AS rung";

/// Tells every daemon that listens that the daemon `from` has made something due, when the transaction is committed.
/// With SQLite there is nobody to tell.
///
/// # Errors
/// [`super::StoreError`].
pub async fn ring(session: &mut Session, from: &str) -> Result<()> {
    if session.dialect == Dialect::Sqlite {
        return Ok(());
    }
    session.rows(session.sql(RING).bind(CHANNEL).bind(from.to_owned())).await.map(drop)
}

/// A connection of its own that hears the others.
#[derive(Debug)]
pub struct Listener {
    inner: PgListener,
}

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn start(url: &str) -> Result<Self> {
        let mut inner = PgListener::connect(url).await?;
        // What was told while the connection was away is lost; whoever asks next has looked by itself meanwhile.
        inner.eager_reconnect(false);
        inner.listen(CHANNEL).await?;
        Ok(Self { inner })
    }

    /// Waits for the next ring; says which daemon rang, `None` when the connection was lost and anything may have been missed.
    ///
    /// # Errors
    /// [`super::StoreError`] when the connection is lost and cannot be had again.
    pub async fn next(&mut self) -> Result<Option<String>> {
        Ok(self.inner.try_recv().await?.map(|told| told.payload().to_owned()))
    }
}
