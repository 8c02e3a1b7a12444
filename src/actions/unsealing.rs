//! Owns writing out what is sealed of a large audience, and letting it go: block by block, in the order of hand-over.
//!
//! It does not seal anything (`actions::freezing`). Invariants: a block becomes rows in the transaction that deletes it, once,
//! whichever daemon is at it; rows of a message that may go have their time at once, those of one that was stopped end with it.

use std::time::{Duration, Instant};

use super::freezing::{NEVER, PieceSize};
use super::message::stop_written;
use super::{ActionError, Result};
use crate::ambient::Clock;
use crate::domain::coverage::POSITIONS;
use crate::domain::message::MessageState;
use crate::store::coverage::{Freeze, add_deliveries, add_recipients};
use crate::store::freezing::Unfinished;
use crate::store::sealed_audience::{BLOCK, Opened};
use crate::store::{self, Session, Store, StoreError, sealed_audience};

/// Deliveries that are made due in the transaction that lets a message go.
const FIRST_DUE: i64 = 2_000;
/// What is written out of a message that goes out is so far ahead of its hand-overs before writing makes room for them.
const AHEAD: Duration = Duration::from_secs(3);
/// It rests at most so many times as long as a block took.
const MOST_RESTS: u32 = 3;
/// Who stops deliveries that were sealed when their message was stopped.
const PROGRAM: &str = "grannpost";

/// Writes out the first block of a message that was frozen in pieces, or makes its first deliveries due, in the transaction that
/// lets it go; upkeep goes on with the rest. `false` when it was not frozen in pieces.
pub(super) async fn release_first(session: &mut Session, clock: &Clock, message_id: &str) -> Result<bool> {
    Ok(step(session, clock, message_id, FIRST_DUE).await? != Step::Nothing)
}

/// Writes out all that is sealed, and makes all deliveries due that may go, of messages that were frozen in pieces; what is more
/// urgent first, and of what goes out no faster than need be while it is far ahead of `pace`, the most hand-overs in a second.
/// `goes_on` is asked before each piece, and whoever comes next begins where this one ended; `is_due` is told when there may be
/// more to claim. A message that cannot be written out holds up no other.
///
/// # Errors
/// [`StoreError`], of a database that is out of reach.
pub async fn write_out_all(
    store: &Store,
    clock: &Clock,
    pace: f64,
    goes_on: impl Fn() -> bool,
    is_due: impl Fn(),
) -> std::result::Result<(), StoreError> {
    let mut lead = Lead::new(pace);
    let mut size = PieceSize::new(store, u32::MAX);
    let mut has_begun = false;
    let mut given_up: Vec<String> = Vec::new();
    while goes_on() {
        let unfinished = {
            let mut session = store.read().await?;
            store::freezing::unfinished(&mut session).await?
        };
        let Some(message_id) = unfinished.into_iter().find(|id| !given_up.contains(id)) else { return Ok(()) };
        let (begun, mut rest) = (Instant::now(), Duration::ZERO);
        match one_step(store, clock, &message_id, size.limit()).await {
            Ok(Step::Released) => size.took(begun.elapsed()),
            Ok(Step::WroteOut { goes_out }) => {
                lead.wrote_block(&message_id, goes_out, begun);
                rest = lead.rest(begun.elapsed(), Instant::now());
            }
            Ok(_) => {}
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => {
                tracing::error!(code = error.code(), message = message_id, "an audience cannot be written out");
                given_up.push(message_id);
            }
        }
        // Once is enough: whoever hands over comes back for more by itself.
        if !has_begun {
            is_due();
        }
        has_begun = true;
        size.rest(store).await;
        tokio::time::sleep(rest).await;
    }
    Ok(())
}

/// How far ahead of its hand-overs a message is written out.
#[derive(Debug)]
struct Lead {
    /// The most hand-overs in a second.
    pace: f64,
    message_id: String,
    rows: f64,
    /// Since when it goes out.
    since: Option<Instant>,
}

impl Lead {
    fn new(pace: f64) -> Self {
        Self { pace, message_id: String::new(), rows: 0.0, since: None }
    }

    /// Notes a block that was begun at `begun`, and whether its message goes out.
    fn wrote_block(&mut self, message_id: &str, goes_out: bool, begun: Instant) {
        if self.message_id != message_id {
            *self = Self { message_id: message_id.to_owned(), ..Self::new(self.pace) };
        }
        self.rows += BLOCK as f64;
        self.since = self.since.or(goes_out.then_some(begun));
    }

    /// How long hand-overs can do without the next block, after one that took `took`. Where none have begun there is no need to rest.
    fn rest(&self, took: Duration, now: Instant) -> Duration {
        let Some(since) = self.since else { return Duration::ZERO };
        let needed = self.pace * (now - since + AHEAD).as_secs_f64();
        let spare = (self.rows - needed).max(0.0) / self.pace;
        Duration::from_secs_f64(spare).min(took * MOST_RESTS)
    }
}

async fn one_step(store: &Store, clock: &Clock, message_id: &str, limit: i64) -> std::result::Result<Step, StoreError> {
    let mut session = store.begin().await?;
    let done = step(&mut session, clock, message_id, limit).await?;
    session.commit().await?;
    Ok(done)
}

/// Refuses what needs every delivery of a message as a row while some are sealed still.
pub(super) async fn refuse_unfinished(session: &mut Session, message_id: &str) -> Result<()> {
    if sealed_audience::is_left(session, message_id).await? {
        let detail = "Mottagarna skrivs fortfarande in. Vänta några sekunder och försök igen.";
        return Err(ActionError::conflict("message.unsealing", detail));
    }
    Ok(())
}

/// What one transaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The message is done with, or was never frozen in pieces.
    Nothing,
    /// Deliveries that were written became due.
    Released,
    /// A block became rows, of a message whose hand-over has begun or not.
    WroteOut {
        /// It has.
        goes_out: bool,
    },
    /// The last was done before: it is ended.
    Ended,
}

async fn step(
    session: &mut Session,
    clock: &Clock,
    message_id: &str,
    limit: i64,
) -> std::result::Result<Step, StoreError> {
    let Some(message) = store::freezing::take_step(session, message_id).await? else { return Ok(Step::Nothing) };
    let is_stopped = message.state() == MessageState::Stopped;
    let due_at = message.due_at().filter(|_| !is_stopped);
    if let Some(due_at) = due_at
        && store::freezing::release(session, message_id, (message.released_id, due_at), limit).await?
    {
        return Ok(Step::Released);
    }
    if let Some(block) = sealed_audience::next(session, message_id, message.number).await? {
        // Held by the step: nobody else can have deleted it.
        sealed_audience::remove(session, message_id, block.number).await?;
        write_out(session, (message_id, &message), due_at, &block).await?;
        if is_stopped {
            stop_written(session, clock, PROGRAM, message_id).await?;
        }
        return Ok(Step::WroteOut { goes_out: due_at.is_some_and(|at| at <= clock.now_ms()) });
    }
    if !message.state().is_editable() {
        store::freezing::end(session, message_id).await?;
    }
    Ok(Step::Ended)
}

async fn write_out(
    session: &mut Session,
    (message_id, message): (&str, &Unfinished),
    due_at: Option<i64>,
    block: &Opened,
) -> std::result::Result<(), StoreError> {
    let freeze = Freeze {
        message_id,
        number: message.number,
        priority: message.priority,
        due_at: due_at.unwrap_or(NEVER),
        expires_at: block.expires_at,
        now: block.queued_at,
    };
    add_deliveries(session, &freeze, &block.deliveries).await?;
    add_recipients(session, message_id, &block.recipients).await?;
    if !block.stand_ins.is_empty() {
        store::deputy::add(session, message_id, &block.stand_ins, block.queued_at).await?;
    }
    match (due_at, block.last_position) {
        (Some(_), Some(last)) => store::freezing::advance(session, message_id, message.number * POSITIONS + last).await,
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_is_written_at_once_until_it_is_far_ahead_and_then_as_fast_as_it_is_handed_over() {
        let (mut lead, begun, took) = (Lead::new(100.0), Instant::now(), Duration::from_secs(60));
        lead.wrote_block("m1", true, begun);
        assert_eq!(lead.rest(took, begun), Duration::from_secs(7), "1,000 rows, 10 s of hand-overs");
        assert_eq!(lead.rest(took, begun + Duration::from_secs(4)), Duration::from_secs(3));
        assert_eq!(lead.rest(took, begun + Duration::from_secs(8)), Duration::ZERO);
        assert_eq!(lead.rest(Duration::from_secs(1), begun), Duration::from_secs(3), "and never for long");
        lead.wrote_block("m2", true, begun + Duration::from_secs(8));
        assert_eq!(lead.rest(took, begun + Duration::from_secs(8)), Duration::from_secs(7), "the next begins anew");
    }

    #[test]
    fn what_was_written_before_it_goes_out_is_ahead_too() {
        let (mut lead, begun, took) = (Lead::new(100.0), Instant::now(), Duration::from_secs(60));
        lead.wrote_block("m1", false, begun);
        assert_eq!(lead.rest(took, begun + took), Duration::ZERO, "nobody is in its way");
        lead.wrote_block("m1", true, begun + took);
        assert_eq!(lead.rest(took, begun + took), Duration::from_secs(17));
    }

    #[test]
    fn a_pace_without_end_is_never_far_behind() {
        let (mut lead, begun) = (Lead::new(f64::INFINITY), Instant::now());
        lead.wrote_block("m1", true, begun);
        assert_eq!(lead.rest(Duration::from_secs(1), begun), Duration::ZERO);
    }
}
