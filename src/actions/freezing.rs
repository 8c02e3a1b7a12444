//! Owns freezing an audience that is too large for one transaction: sealed in blocks that nobody sees, published in one.
//!
//! It knows neither alerts nor letters, and does not write the blocks out (`actions::unsealing`). Invariants: nothing is shown or
//! due before the last piece; a freezing that is not worked on for a lease's time is taken back by upkeep, and who comes back to it
//! then writes nothing more.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{ActionError, Desk, Result, deputy};
use crate::ambient::{self, Clock};
use crate::domain::coverage::{Coverage, FIRST_DEPUTY, FIRST_TAKEOVER};
use crate::store::coverage::{First, Freeze};
use crate::store::deputy::Absence;
use crate::store::freezing::{Dead, Undo};
use crate::store::sealed_audience::{BLOCK, Block, block_of_deputies};
use crate::store::{self, Session, Store, StoreError, sealed_audience};

/// Rows of the first piece; from then on as many as the time for a piece allows.
const FIRST_PIECE: usize = 2_000;
const SMALLEST_PIECE: usize = 500;
const LARGEST_PIECE: usize = 5_000;
/// Blocks of the first piece, and of the largest.
const FIRST_BLOCKS: usize = 4;
const MOST_BLOCKS: usize = 24;
/// How long a piece may hold the one writer of SQLite: whoever sends something else meanwhile waits no longer.
const PIECE_TIME: Duration = Duration::from_millis(40);
/// How long a piece may take where others write beside it.
const PIECE_TIME_BESIDE_OTHERS: Duration = Duration::from_millis(500);

/// How long SQLite's one writer is left to others between pieces. Another program that waits for it looks every 25 ms, and
/// never gets it from one that takes it again at once.
const REST: Duration = Duration::from_millis(27);
/// How long pieces may take between two rests. Whoever waits within this program comes between any two of them.
const LONGEST_WITHOUT_REST: Duration = Duration::from_millis(30);

/// How often a piece is tried again that meets others in the database.
const TRIES: usize = 5;

/// When deliveries of a message that may not go yet are due: never.
pub(super) const NEVER: i64 = i64::MAX / 4;

/// A message that is being frozen in pieces.
#[derive(Debug)]
pub struct Freezing {
    dead: Dead,
    fence: String,
}

impl Freezing {
    /// Marks a message in the transaction of `session`; its pieces come after the commit.
    pub(super) async fn begin(desk: &Desk, session: &mut Session, message_id: &str, undo: Undo) -> Result<Self> {
        let freezing = Self { dead: Dead { message_id: message_id.to_owned(), undo }, fence: desk.id() };
        let mark = (freezing.fence.as_str(), desk.now());
        let is_ours = store::freezing::begin(session, message_id, undo, mark).await?;
        if is_ours { Ok(freezing) } else { Err(under_way()) }
    }

    /// Seals an audience in pieces, and behind it deliveries to the deputies of `absences`; `freeze` says when they expire.
    /// Returns the number of deliveries.
    pub(super) async fn seal(
        &self,
        desk: &Desk,
        freeze: &Freeze<'_>,
        coverage: &Coverage,
        absences: &[Absence],
    ) -> Result<u64> {
        let block = (desk.config.database.rows_at_once as usize).clamp(1, BLOCK);
        let calls = deputy::calls(absences, FIRST_DEPUTY..FIRST_TAKEOVER);
        let deputies = calls
            .chunks(block)
            .map(|calls| block_of_deputies(deputy::planned(calls), deputy::stand_ins(freeze.number, calls)));
        let mut blocks = sealed_audience::blocks(coverage, block).chain(deputies);
        let mut size = PieceSize::of_blocks(&desk.store);
        let (mut written, mut next) = (0, piece_of(&mut blocks, size.rows).await);
        while !next.is_empty() {
            let piece = Piece::Blocks(freeze, i64::try_from(written).unwrap_or(i64::MAX), next);
            // While one is written, and the writer is left to others before it, the next is made.
            let rows = size.rows;
            let (done, made) = tokio::join!(self.write_piece(desk, &mut size, &piece), piece_of(&mut blocks, rows));
            written += done?;
            next = made;
        }
        Ok((coverage.len() + calls.len()) as u64)
    }

    /// Writes the audience of a follow-up in pieces. Returns the number of deliveries.
    pub(super) async fn write_follow_up(&self, desk: &Desk, freeze: &Freeze<'_>, first: First<'_>) -> Result<u64> {
        let mut size = PieceSize::new(&desk.store, desk.config.database.rows_at_once);
        let (mut after, mut deliveries) = (store::coverage::ids_of(first.number).0, 0);
        loop {
            let mut session = desk.store.read().await?;
            let end = store::coverage::piece_end(&mut session, first.message_id, after, size.limit()).await?;
            drop(session);
            let Some(until) = end else { break };
            let piece = Piece::FollowUp(freeze, first, (after, until));
            deliveries += self.write_piece(desk, &mut size, &piece).await?;
            after = until;
        }
        Ok(deliveries + self.write_piece(desk, &mut size, &Piece::Takeovers(freeze, first)).await?)
    }

    /// Takes back in pieces the audience that the message had before.
    pub(super) async fn thaw(&self, desk: &Desk) -> Result<()> {
        let mut size = PieceSize::new(&desk.store, desk.config.database.rows_at_once);
        loop {
            let piece = Piece::Thaw(size.limit());
            if self.write_piece(desk, &mut size, &piece).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Writes a piece in a transaction of its own, again when it meets others. Returns the number of rows.
    async fn write_piece(&self, desk: &Desk, size: &mut PieceSize, piece: &Piece<'_>) -> Result<u64> {
        for _ in 0..TRIES {
            match self.try_piece(desk, size, piece).await {
                Err(ActionError::Store(StoreError::Busy(_))) => tokio::time::sleep(PIECE_TIME).await,
                done => return done,
            }
        }
        self.try_piece(desk, size, piece).await
    }

    async fn try_piece(&self, desk: &Desk, size: &mut PieceSize, piece: &Piece<'_>) -> Result<u64> {
        size.rest_when_due(&desk.store).await;
        let mut session = desk.store.begin().await?;
        let begun = Instant::now();
        let (message_id, now) = (&self.dead.message_id, desk.now());
        if !store::freezing::hold(&mut session, message_id, &self.fence, now).await? {
            return Err(taken_over());
        }
        let rows = match piece {
            Piece::Blocks(freeze, first, blocks) => sealed_audience::add(&mut session, freeze, *first, blocks).await?,
            Piece::FollowUp(freeze, first, range) => {
                store::coverage::follow_up(&mut session, freeze, *first, *range).await?
            }
            Piece::Takeovers(freeze, first) => {
                store::coverage::follow_up_takeovers(&mut session, freeze, *first).await?
            }
            Piece::Thaw(limit) => store::coverage::thaw(&mut session, message_id, *limit).await?,
        };
        session.commit().await?;
        match piece {
            Piece::Blocks(_, _, blocks) => size.took_for(begun.elapsed(), blocks.len()),
            _ => size.took(begun.elapsed()),
        }
        Ok(rows)
    }

    /// Lets the message, whose number this is, be seen; in the transaction that writes everything else about it.
    pub(super) async fn publish(&self, session: &mut Session, number: i64) -> Result<()> {
        let is_ours = store::freezing::publish(session, &self.dead.message_id, &self.fence, number).await?;
        if is_ours { Ok(()) } else { Err(taken_over()) }
    }

    /// Takes the freezing back, unless upkeep has.
    ///
    /// # Errors
    /// [`ActionError::Store`]; upkeep does it then.
    pub async fn undo(&self, desk: &Desk) -> Result<()> {
        Ok(take_back(&desk.store, &desk.clock, &self.dead, &self.fence).await?)
    }

    /// `done`, after taking the freezing back if it went wrong.
    pub(super) async fn or_undo<T>(&self, desk: &Desk, done: Result<T>) -> Result<T> {
        if done.is_err()
            && let Err(error) = self.undo(desk).await
        {
            tracing::warn!(code = error.code(), "a freezing could not be taken back; upkeep does it");
        }
        done
    }
}

/// The next so many blocks.
async fn piece_of(blocks: &mut impl Iterator<Item = Block>, rows: usize) -> Vec<Block> {
    let mut piece = Vec::new();
    while piece.len() < rows
        && let Some(block) = blocks.next()
    {
        piece.push(block);
        // A block takes a millisecond or two to make.
        tokio::task::yield_now().await;
    }
    piece
}

/// What one transaction of a freezing does.
#[derive(Debug)]
enum Piece<'a> {
    Blocks(&'a Freeze<'a>, i64, Vec<Block>),
    FollowUp(&'a Freeze<'a>, First<'a>, (i64, i64)),
    Takeovers(&'a Freeze<'a>, First<'a>),
    Thaw(i64),
}

/// Refuses to touch a message while its audience is being frozen.
pub(super) async fn refuse_under_way(session: &mut Session, message_id: &str) -> Result<()> {
    if store::freezing::is_writing(session, message_id).await? { Err(under_way()) } else { Ok(()) }
}

/// Whether people stand somewhere in an audience that is being frozen or written out: their addresses, too.
pub(super) async fn holds_people(session: &mut Session) -> Result<bool> {
    Ok(store::freezing::is_writing(session, "").await? || sealed_audience::is_left(session, "").await?)
}

/// Takes back what nobody has worked on since `before` (Unix ms).
///
/// # Errors
/// [`StoreError`].
pub async fn undo_dead(store: &Store, clock: &Clock, before: i64) -> std::result::Result<(), StoreError> {
    let dead = {
        let mut session = store.read().await?;
        store::freezing::dead(&mut session, before).await?
    };
    for dead in dead {
        let fence = ambient::new_id(clock);
        let mut session = store.begin().await?;
        let mark = (fence.as_str(), clock.now_ms());
        let is_ours = store::freezing::take_over(&mut session, &dead.message_id, before, mark).await?;
        session.commit().await?;
        if is_ours {
            tracing::warn!(message = dead.message_id, "a freezing has died; it is taken back");
            take_back(store, clock, &dead, &fence).await?;
        }
    }
    Ok(())
}

async fn take_back(store: &Store, clock: &Clock, dead: &Dead, fence: &str) -> std::result::Result<(), StoreError> {
    let mut size = PieceSize::new(store, u32::MAX);
    loop {
        size.rest(store).await;
        let mut session = store.begin().await?;
        let begun = Instant::now();
        let now = clock.now_ms();
        if !store::freezing::hold(&mut session, &dead.message_id, fence, now).await? {
            return Ok(());
        }
        if store::coverage::thaw(&mut session, &dead.message_id, size.limit()).await? == 0 {
            store::freezing::undo(&mut session, dead, now).await?;
            let entry = store::audit::Entry {
                id: &ambient::new_id(clock),
                at: now,
                actor: "grannpost",
                action: "message.freezing_undone",
                object_kind: "message",
                object_id: &dead.message_id,
                detail: json!({ "left": dead.undo.code() }),
            };
            store::audit::append(&mut session, &entry).await?;
            return session.commit().await;
        }
        session.commit().await?;
        size.took(begun.elapsed());
    }
}

fn under_way() -> ActionError {
    ActionError::conflict("message.freezing", "Mottagarna låses just nu. Vänta några sekunder och försök igen.")
}

fn taken_over() -> ActionError {
    let detail = "Det tog för lång tid att låsa mottagarna, och ingenting är skickat. Försök igen.";
    ActionError::conflict("message.freezing_undone", detail)
}

/// How many rows, or blocks, a piece has: as many as can be written in the time for one.
#[derive(Debug)]
pub(super) struct PieceSize {
    rows: usize,
    least: usize,
    most: usize,
    time: Duration,
    without_rest: Duration,
}

impl PieceSize {
    pub(super) fn new(store: &Store, rows_at_once: u32) -> Self {
        let most = (rows_at_once as usize).min(LARGEST_PIECE);
        Self::between(FIRST_PIECE.min(most), SMALLEST_PIECE.min(most)..=most, piece_time(store))
    }

    fn of_blocks(store: &Store) -> Self {
        Self::between(FIRST_BLOCKS, 1..=MOST_BLOCKS, piece_time(store))
    }

    fn between(rows: usize, bounds: RangeInclusive<usize>, time: Duration) -> Self {
        Self { rows, least: *bounds.start(), most: *bounds.end(), time, without_rest: Duration::ZERO }
    }

    pub(super) fn limit(&self) -> i64 {
        i64::try_from(self.rows).unwrap_or(i64::MAX)
    }

    /// Leaves the writer to others for a moment.
    pub(super) async fn rest(&self, store: &Store) {
        if store.has_one_writer() {
            tokio::time::sleep(REST).await;
        } else {
            tokio::task::yield_now().await;
        }
    }

    /// The same when the pieces since the last time took long enough.
    async fn rest_when_due(&mut self, store: &Store) {
        if self.without_rest >= LONGEST_WITHOUT_REST {
            self.without_rest = Duration::ZERO;
            self.rest(store).await;
        }
    }

    /// Takes in how long the last piece took.
    pub(super) fn took(&mut self, time: Duration) {
        self.took_for(time, self.rows);
    }

    /// The same of a piece of so many rows: the one after it was made before its time was known. A piece grows by half at most: its
    /// cost does not grow evenly.
    fn took_for(&mut self, time: Duration, rows: usize) {
        self.without_rest += time;
        let next = if time > self.time { rows / 2 } else { rows + rows.div_ceil(2) };
        if time > self.time || time < self.time / 2 {
            self.rows = next.clamp(self.least, self.most);
        }
    }
}

fn piece_time(store: &Store) -> Duration {
    if store.has_one_writer() { PIECE_TIME } else { PIECE_TIME_BESIDE_OTHERS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_grows_while_it_is_quick_and_shrinks_when_it_is_slow() {
        let mut size = PieceSize::between(1_000, 500..=3_000, PIECE_TIME);
        let after: Vec<usize> = [5, 5, 5, 30, 90, 90, 90, 5]
            .into_iter()
            .map(|ms| {
                size.took(Duration::from_millis(ms));
                size.rows
            })
            .collect();
        assert_eq!(after, [1_500, 2_250, 3_000, 3_000, 1_500, 750, 500, 750]);
    }

    #[test]
    fn a_piece_never_becomes_empty() {
        let mut size = PieceSize::between(1, 1..=1, PIECE_TIME);
        for time in [Duration::from_secs(1), Duration::ZERO] {
            size.took(time);
            assert_eq!(size.rows, 1);
        }
    }
}
