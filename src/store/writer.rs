//! Owns the one connection that writes to SQLite, handed from one transaction to the next in the order in which they asked.
//!
//! A pool asks a connection whether it still lives each time that it is given back, and the writer stands still meanwhile: with the
//! small transactions of a dispatch that is a good part of its time. Short transactions that come one after the other are committed
//! together, for the disk takes as long for one as for five (ADR 0021). Invariants: who is told that a transaction is committed is
//! told so after the disk has it; what was not committed is rolled back before the next transaction begins, and takes nobody else's
//! with it unnoticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{AnyConnection, Connection as _, Executor as _};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::dialect::Dialect;
use super::{PATIENCE, Result, StoreError, WRITERS_CACHE_KIB, prepare_connection};

/// The connection, and who waits for it.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    url: Arc<str>,
    seat: Arc<Mutex<Seat>>,
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Seat {
    connection: Option<AnyConnection>,
    is_closed: bool,
    /// Who did their part of the transaction that is open, and waits for its commit.
    left: Vec<oneshot::Sender<Result<()>>>,
}

/// How long a transaction holds the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Some milliseconds: it may be committed together with others of that kind, and waits for them.
    Short,
    /// Nobody knows: nobody waits for its commit with theirs.
    Any,
}

/// How many wait for the connection.
#[derive(Debug, Default)]
struct Queue {
    short: AtomicUsize,
    any: AtomicUsize,
}

impl Queue {
    fn of(&self, length: Length) -> &AtomicUsize {
        match length {
            Length::Short => &self.short,
            Length::Any => &self.any,
        }
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A transaction on the connection, or a part of one. Dropped before its commit, it is rolled back.
#[derive(Debug)]
pub(super) struct Turn {
    writer: Writer,
    length: Length,
    /// `None` when it has ended.
    seat: Option<OwnedMutexGuard<Seat>>,
}

impl Writer {
    /// A writer that is connected already, so that a database that cannot be opened is known at once.
    pub(super) async fn open(url: &str) -> Result<Self> {
        let writer = Self { url: url.into(), seat: Arc::default(), queue: Arc::default() };
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
    pub(super) async fn begin(&self, length: Length) -> Result<Turn> {
        let place = Place::take(self.queue.of(length));
        let seat = Arc::clone(&self.seat).lock_owned();
        let mut seat = tokio::time::timeout(PATIENCE, seat).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        drop(place);
        if length == Length::Any {
            seat = committed(seat).await?;
        }
        self.connect(&mut seat).await?;
        // From here on what goes wrong, or is given up half-way, is rolled back.
        let mut turn = Turn { writer: self.clone(), length, seat: Some(seat) };
        let begin = turn.beginning();
        turn.connection().execute(begin).await?;
        Ok(turn)
    }

    /// The connection outside of a transaction, for what makes its own.
    pub(super) async fn alone<T>(&self, run: impl AsyncFnOnce(&mut AnyConnection) -> T) -> Result<T> {
        let mut seat = committed(Arc::clone(&self.seat).lock_owned().await).await?;
        Ok(run(self.connect(&mut seat).await?).await)
    }

    /// Closes the connection, after the transactions that wait for it.
    pub(super) async fn close(&self) {
        let Ok(mut seat) = committed(Arc::clone(&self.seat).lock_owned().await).await else { return };
        seat.is_closed = true;
        if let Some(connection) = seat.connection.take() {
            let _ = connection.close().await;
        }
    }

    /// Whether somebody comes next whose transaction can be committed with one that ends now.
    fn goes_on(&self) -> bool {
        self.queue.short.load(Ordering::Relaxed) > 0 && self.queue.any.load(Ordering::Relaxed) == 0
    }
}

impl Turn {
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        let seat = self.seat.as_mut().expect("a turn has its seat until it ends");
        seat.connection.as_mut().expect("a turn begins on a connection")
    }

    /// How many parts of the open transaction are done.
    fn parts_before(&self) -> usize {
        self.seat.as_ref().map_or(0, |seat| seat.left.len())
    }

    /// Each part of a transaction after the first has a savepoint, of another name than the one before it: rolling back to it can then
    /// never undo what another did. The first has none, for SQLite keeps a copy of every page that is written after one.
    fn beginning(&self) -> &'static str {
        match (self.length, self.parts_before()) {
            (Length::Any, _) => Dialect::Sqlite.begin_write(),
            (Length::Short, 0) => "BEGIN IMMEDIATE",
            (Length::Short, 1) => "SAVEPOINT turn_1",
            (Length::Short, parts) if parts % 2 == 1 => "RELEASE turn_0; SAVEPOINT turn_1",
            (Length::Short, _) => "RELEASE turn_1; SAVEPOINT turn_0",
        }
    }

    /// Commits, or leaves it to whoever comes next and waits for that.
    pub(super) async fn commit(mut self) -> Result<()> {
        let is_first = self.parts_before() == 0;
        let goes_on = self.length == Length::Short && self.writer.goes_on();
        if !goes_on && is_first {
            self.connection().execute("COMMIT").await?;
            self.seat = None;
            return Ok(());
        }
        let (sender, committed) = oneshot::channel();
        let Some(mut seat) = self.seat.take() else { return Ok(()) };
        seat.left.push(sender);
        if !goes_on {
            tokio::spawn(async move { seat.commit().await });
        } else {
            drop(seat);
            if is_first {
                // Behind those who wait now. It finds nothing to do when one of them had nobody behind.
                let seat = Arc::clone(&self.writer.seat).lock_owned();
                tokio::spawn(async move { seat.await.commit().await });
            }
        }
        committed.await.map_err(|_| given_up())?
    }
}

/// The seat once everybody who left it is committed. The commit goes on when nobody waits for it any more.
async fn committed(mut seat: OwnedMutexGuard<Seat>) -> Result<OwnedMutexGuard<Seat>> {
    if seat.left.is_empty() {
        return Ok(seat);
    }
    let commit = tokio::spawn(async move {
        seat.commit().await;
        seat
    });
    commit.await.map_err(|_| given_up())
}

fn given_up() -> StoreError {
    sqlx::Error::PoolClosed.into()
}

impl Seat {
    /// Commits for everybody who left, and tells them.
    async fn commit(&mut self) {
        if self.left.is_empty() {
            return;
        }
        let done = match self.connection.as_mut() {
            Some(connection) => connection.execute("COMMIT").await.map(drop).map_err(StoreError::from),
            None => Err(given_up()),
        };
        if done.is_err() {
            self.roll_back().await;
        }
        self.tell(&done);
    }

    fn tell(&mut self, done: &Result<()>) {
        for waiting in self.left.drain(..) {
            let _ = waiting.send(done.as_ref().copied().map_err(StoreError::again));
        }
    }

    /// SQLite ends a transaction by itself when its commit fails, as on a full disk, and then has nothing to roll back; whatever else
    /// is wrong with a connection, a new one does not have.
    async fn roll_back(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        if connection.execute("ROLLBACK").await.is_err() {
            self.connection = None;
        }
    }

    /// Undoes the part of one who gave up, and nobody else's. The savepoint is not there when that part had not begun, or when SQLite
    /// has rolled back all of the transaction: then it is lost for everybody.
    async fn undo_part(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        let undo = match self.left.len() {
            1 => "ROLLBACK TO turn_1; RELEASE turn_1",
            parts if parts % 2 == 0 => "ROLLBACK TO turn_0; RELEASE turn_0; SAVEPOINT turn_1",
            _ => "ROLLBACK TO turn_1; RELEASE turn_1; SAVEPOINT turn_0",
        };
        if connection.execute(undo).await.is_err() {
            self.roll_back().await;
            // That there was no savepoint says nothing about what went wrong; what was lost can be done again.
            self.tell(&Err(given_up()));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(mut seat) = self.seat.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                if seat.left.is_empty() {
                    seat.roll_back().await;
                } else {
                    seat.undo_part().await;
                }
            })),
            // Nobody is left to wait for it: closing rolls back, too.
            Err(_) => seat.connection = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    struct Scene {
        writer: Writer,
        url: String,
        _folder: tempfile::TempDir,
    }

    impl Scene {
        async fn set() -> Self {
            sqlx::any::install_default_drivers();
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}?mode=rwc", folder.path().join("writer.db").display());
            let writer = Writer::open(&url).await.unwrap();
            writer
                .alone(async |connection| connection.execute("CREATE TABLE t (n INTEGER)").await)
                .await
                .unwrap()
                .unwrap();
            Self { writer, url, _folder: folder }
        }

        async fn short(&self) -> Turn {
            self.writer.begin(Length::Short).await.unwrap()
        }

        /// Somebody who waits for their turn.
        async fn next(&self, length: Length) -> JoinHandle<Result<Turn>> {
            let writer = self.writer.clone();
            let before = self.writer.queue.of(length).load(Ordering::Relaxed);
            let next = tokio::spawn(async move { writer.begin(length).await });
            while self.writer.queue.of(length).load(Ordering::Relaxed) == before {
                tokio::task::yield_now().await;
            }
            next
        }

        /// One who has written 1 and waits for the commit, and the next, whose turn it is.
        async fn one_left(&self) -> (JoinHandle<Result<()>>, Turn) {
            let mut first = self.short().await;
            write(&mut first, "INSERT INTO t VALUES (1)").await;
            let next = self.next(Length::Short).await;
            let first = tokio::spawn(first.commit());
            (first, next.await.unwrap().unwrap())
        }

        /// What is on disk for everybody.
        async fn numbers(&self) -> Vec<i64> {
            let mut connection = AnyConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar("SELECT n FROM t ORDER BY n").fetch_all(&mut connection).await.unwrap()
        }
    }

    async fn write(turn: &mut Turn, statement: &'static str) {
        turn.connection().execute(statement).await.unwrap();
    }

    #[tokio::test]
    async fn short_ones_are_committed_together_and_told_so_only_then() {
        let scene = Scene::set().await;
        let (first, mut second) = scene.one_left().await;
        write(&mut second, "INSERT INTO t VALUES (2)").await;
        assert_eq!(scene.numbers().await, [0; 0], "nothing is on disk yet");
        assert!(!first.is_finished());
        second.commit().await.unwrap();
        assert_eq!(scene.numbers().await, [1, 2]);
        first.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn one_who_gives_up_takes_nobody_along() {
        let scene = Scene::set().await;
        let (first, mut second) = scene.one_left().await;
        write(&mut second, "INSERT INTO t VALUES (2)").await;
        let next = scene.next(Length::Short).await;
        drop(second);
        let mut third = next.await.unwrap().unwrap();
        write(&mut third, "INSERT INTO t VALUES (3)").await;
        third.commit().await.unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(scene.numbers().await, [1, 3]);
    }

    #[tokio::test]
    async fn what_sqlite_has_rolled_back_is_lost_for_all_and_all_are_told() {
        let scene = Scene::set().await;
        let (first, mut second) = scene.one_left().await;
        // As SQLite does by itself on a full disk.
        write(&mut second, "ROLLBACK").await;
        assert!(second.commit().await.is_err());
        assert!(first.await.unwrap().is_err());
        let mut third = scene.short().await;
        write(&mut third, "INSERT INTO t VALUES (3)").await;
        third.commit().await.unwrap();
        assert_eq!(scene.numbers().await, [3]);
    }

    #[tokio::test]
    async fn one_who_left_is_committed_though_the_next_never_comes() {
        let scene = Scene::set().await;
        let mut first = scene.short().await;
        write(&mut first, "INSERT INTO t VALUES (1)").await;
        let next = scene.next(Length::Short).await;
        next.abort();
        first.commit().await.unwrap();
        assert_eq!(scene.numbers().await, [1]);
    }

    #[tokio::test]
    async fn nobody_waits_for_one_who_may_take_long() {
        let scene = Scene::set().await;
        let mut first = scene.short().await;
        write(&mut first, "INSERT INTO t VALUES (1)").await;
        let (short, any) = (scene.next(Length::Short).await, scene.next(Length::Any).await);
        first.commit().await.unwrap();
        assert_eq!(scene.numbers().await, [1]);
        drop(short.await.unwrap());
        drop(any.await.unwrap());
    }

    #[tokio::test]
    async fn a_hundred_at_once_are_all_on_disk() {
        let scene = Scene::set().await;
        let all = (0..100).map(|_| {
            let writer = scene.writer.clone();
            tokio::spawn(async move {
                let mut turn = writer.begin(Length::Short).await.unwrap();
                write(&mut turn, "INSERT INTO t SELECT COUNT(*) FROM t").await;
                turn.commit().await.unwrap();
            })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        assert_eq!(scene.numbers().await, (0..100).collect::<Vec<i64>>());
    }
}
