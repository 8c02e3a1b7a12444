//! Owns writing out what is sealed of a large audience, and letting it go: block by block, in the order of hand-over.
//!
//! It does not seal anything (`actions::freezing`). Invariants: a block becomes rows in the transaction that deletes it, once,
//! whichever daemon is at it; rows of a message that may go have their time at once, those of one that was stopped end with it.

use std::time::Instant;

use super::freezing::{NEVER, PieceSize};
use super::message::stop_written;
use super::{ActionError, Result};
use crate::ambient::Clock;
use crate::domain::coverage::POSITIONS;
use crate::domain::message::MessageState;
use crate::store::coverage::{Freeze, add_deliveries, add_recipients};
use crate::store::freezing::Unfinished;
use crate::store::sealed_audience::Opened;
use crate::store::{self, Session, Store, StoreError, sealed_audience};

/// Deliveries that are made due in the transaction that lets a message go.
const FIRST_DUE: i64 = 2_000;
/// Who stops deliveries that were sealed when their message was stopped.
const PROGRAM: &str = "grannpost";

/// Writes out the first block of a message that was frozen in pieces, or makes its first deliveries due, in the transaction that
/// lets it go; upkeep goes on with the rest. `false` when it was not frozen in pieces.
pub(super) async fn release_first(session: &mut Session, clock: &Clock, message_id: &str) -> Result<bool> {
    Ok(step(session, clock, message_id, FIRST_DUE).await? != Step::Nothing)
}

/// Writes out all that is sealed, and makes all deliveries due that may go, of messages that were frozen in pieces; what is more
/// urgent first. `goes_on` is asked before each piece, and whoever comes next begins where this one ended; `is_due` is told when
/// there may be more to claim. A message that cannot be written out holds up no other.
///
/// # Errors
/// [`StoreError`], of a database that is out of reach.
pub async fn write_out_all(
    store: &Store,
    clock: &Clock,
    goes_on: impl Fn() -> bool,
    is_due: impl Fn(),
) -> std::result::Result<(), StoreError> {
    let mut size = PieceSize::new(store, u32::MAX);
    let mut has_begun = false;
    let mut given_up: Vec<String> = Vec::new();
    while goes_on() {
        let unfinished = {
            let mut session = store.read().await?;
            store::freezing::unfinished(&mut session).await?
        };
        let Some(message_id) = unfinished.into_iter().find(|id| !given_up.contains(id)) else { return Ok(()) };
        let begun = Instant::now();
        match one_step(store, clock, &message_id, size.limit()).await {
            Ok(Step::Released) => size.took(begun.elapsed()),
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
    }
    Ok(())
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
    /// A block became rows.
    WroteOut,
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
        return Ok(Step::WroteOut);
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
