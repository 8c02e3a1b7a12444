//! Owns how a change of deliveries is written: history, counters, the message's state and the audit entry, together.
//!
//! It does not decide changes. Invariant: no delivery's recorded state changes anywhere without passing
//! [`record`] in the same transaction, so counts shown always equal rows.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::together::Write;
use super::{Result, Session, audit, json, message};
use crate::domain::delivery::DeliveryState;
use crate::domain::message::{Counts, MessageState};

/// One delivery that has just changed its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The delivery.
    pub delivery_id: i64,
    /// Its message.
    pub message_id: String,
    /// `sms`, `email` or `paper`.
    pub channel: String,
    /// Its count of changes, this one included.
    pub version: i64,
    /// Where it was.
    pub from: DeliveryState,
    /// Where it is.
    pub to: DeliveryState,
    /// Why, as a stable code.
    pub reason: Option<String>,
    /// Persons it covers.
    pub persons: i64,
    /// Households behind them.
    pub households: i64,
}

/// Who made a batch of changes, and when.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    /// Id of the batch and of its audit entry.
    pub id: &'a str,
    /// Stable id of the actor.
    pub actor: &'a str,
    /// Audit action such as `deliveries.settled`.
    pub action: &'static str,
    /// Unix ms.
    pub now: i64,
}

#[derive(Serialize)]
struct EventRow<'a> {
    delivery_id: i64,
    version: i64,
    from_state: &'static str,
    to_state: &'static str,
    reason: Option<&'a str>,
}

const INSERT_EVENTS: &str = "INSERT INTO delivery_event (delivery_id, version, at, from_state, to_state, reason, batch)
 SELECT v.delivery_id, v.version, $2, v.from_state, v.to_state, v.reason, $3
 FROM {rows $1: delivery_id BIGINT, version BIGINT, from_state TEXT, to_state TEXT, reason TEXT}";

/// Writes history, counters, message states and one audit entry for `changes`, and tells which messages changed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn record(session: &mut Session, batch: &Batch<'_>, changes: &[Change]) -> Result<()> {
    record_with(session, batch, changes, Vec::new()).await
}

/// As [`record`], with other writes in the same round.
///
/// # Errors
/// [`super::StoreError`].
pub(crate) async fn record_with(
    session: &mut Session,
    batch: &Batch<'_>,
    changes: &[Change],
    mut writes: Vec<Write>,
) -> Result<()> {
    if changes.is_empty() {
        return session.write_together(writes).await;
    }
    let rows: Vec<EventRow<'_>> = changes.iter().map(event_row).collect();
    writes.push(Write::new(INSERT_EVENTS).bind(json(&rows)).bind(batch.now).bind(batch.id));
    let entry = audit::Entry {
        id: batch.id,
        at: batch.now,
        actor: batch.actor,
        action: batch.action,
        object_kind: "deliveries",
        object_id: "",
        detail: serde_json::json!({ "changes": changes.len(), "digest": digest(&rows) }),
    };
    writes.push(audit::write(&entry));
    writes.push(Write::new(ADD_COUNTS).bind(json(&count_rows(changes))));
    let moved: Vec<Moved> = session.list_together(writes).await?;
    for (message_id, reached) in reach(changes) {
        let left = moved.iter().filter(|moved| moved.message_id == message_id && moved.deliveries > 0);
        let left: Vec<DeliveryState> = left.filter_map(|moved| DeliveryState::from_code(&moved.state)).collect();
        refresh_where(session, (message_id, &left), reached, batch.now).await?;
    }
    Ok(())
}

fn event_row(change: &Change) -> EventRow<'_> {
    EventRow {
        delivery_id: change.delivery_id,
        version: change.version,
        from_state: change.from.code(),
        to_state: change.to.code(),
        reason: change.reason.as_deref(),
    }
}

/// SHA-256 over a batch's events in order of delivery and version: what `verify` computes again from the rows.
#[derive(Debug, Clone, Default)]
pub struct BatchDigest {
    sha: Sha256,
    changes: u64,
}

impl BatchDigest {
    /// Adds the next event.
    pub fn add(&mut self, (delivery_id, version): (i64, i64), from: &str, to: &str, reason: Option<&str>) {
        self.sha.update(format!("{delivery_id} {version} {from} {to} {}\n", reason.unwrap_or("-")));
        self.changes += 1;
    }

    /// How many events there were, and the digest in hexadecimal.
    #[must_use]
    pub fn finish(self) -> (u64, String) {
        (self.changes, data_encoding::HEXLOWER.encode(&self.sha.finalize()))
    }
}

fn digest(rows: &[EventRow<'_>]) -> String {
    let mut rows: Vec<&EventRow<'_>> = rows.iter().collect();
    rows.sort_unstable_by_key(|row| (row.delivery_id, row.version));
    let mut digest = BatchDigest::default();
    for row in rows {
        digest.add((row.delivery_id, row.version), row.from_state, row.to_state, row.reason);
    }
    digest.finish().1
}

#[derive(Serialize)]
struct CountRow<'a> {
    message_id: &'a str,
    state: &'static str,
    deliveries: i64,
}

const ADD_COUNTS: &str = "INSERT INTO message_count (message_id, state, deliveries)
 SELECT v.message_id, v.state, v.deliveries
 FROM {rows $1: message_id TEXT, state TEXT, deliveries BIGINT}
 WHERE true
 ON CONFLICT (message_id, state) DO UPDATE SET deliveries = message_count.deliveries + excluded.deliveries
 RETURNING message_id, state, deliveries";

/// A counter that has just moved.
#[derive(sqlx::FromRow)]
struct Moved {
    message_id: String,
    state: String,
    deliveries: i64,
}

/// How the counters move. They are the hot rows of a dispatch: always in the same order.
fn count_rows(changes: &[Change]) -> Vec<CountRow<'_>> {
    let mut moved: BTreeMap<(&str, DeliveryState), i64> = BTreeMap::new();
    for change in changes {
        *moved.entry((&change.message_id, counted_as(change.from))).or_default() -= 1;
        *moved.entry((&change.message_id, counted_as(change.to))).or_default() += 1;
    }
    moved
        .into_iter()
        .filter(|(_, deliveries)| *deliveries != 0)
        .map(|((message_id, state), deliveries)| CountRow { message_id, state: state.code(), deliveries })
        .collect()
}

/// The messages that changed, in order, with the persons and households that were reached.
fn reach(changes: &[Change]) -> BTreeMap<&str, (i64, i64)> {
    let mut reach: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for change in changes {
        let reached = reach.entry(&change.message_id).or_default();
        if change.to == DeliveryState::Delivered {
            reached.0 += change.persons;
            reached.1 += change.households;
        }
    }
    reach
}

/// A leased delivery counts as queued: leases come and go too often for a counter.
fn counted_as(state: DeliveryState) -> DeliveryState {
    if state == DeliveryState::Sending { DeliveryState::Queued } else { state }
}

/// Sets the counters of a message that has just been frozen.
///
/// # Errors
/// [`super::StoreError`].
pub async fn start_counting(
    session: &mut Session,
    message_id: &str,
    state: DeliveryState,
    deliveries: u64,
) -> Result<()> {
    let deliveries = i64::try_from(deliveries).unwrap_or(i64::MAX);
    let rows = json(&[CountRow { message_id, state: state.code(), deliveries }]);
    session.execute(session.sql(ADD_COUNTS).bind(rows)).await.map(drop)
}

/// Adds persons and households reached, and brings the state of a message in dispatch in line with its counts.
///
/// # Errors
/// [`super::StoreError`].
pub async fn refresh(session: &mut Session, message_id: &str, reached: (i64, i64), now: i64) -> Result<()> {
    refresh_where(session, (message_id, &[]), reached, now).await
}

/// As [`refresh`], of a message that has deliveries left in each of the states `left`.
async fn refresh_where(
    session: &mut Session,
    (message_id, left): (&str, &[DeliveryState]),
    reached: (i64, i64),
    now: i64,
) -> Result<()> {
    let Some(progress) = message::add_reach(session, message_id, reached, now).await? else { return Ok(()) };
    let Some(shown) = MessageState::from_code(&progress.state) else { return Ok(()) };
    // Nearly every batch: while some wait, or none does and some are open, nothing about the message is new.
    let is_as_before = match shown {
        MessageState::Sending => left.iter().any(|state| state.waits()),
        MessageState::HandedOver => {
            left.iter().any(|state| !state.is_final()) && left.iter().all(|state| !state.waits())
        }
        _ => false,
    };
    if is_as_before {
        return Ok(());
    }
    // Counted only now that the message is held: who held it before has counted to the end.
    let counts: Counts = message::counters(session, message_id).await?;
    let (is_handed_over, is_done) = (counts.waiting() == 0, counts.open() == 0);
    let state = match (shown, counts.message_state()) {
        (MessageState::Draft | MessageState::AwaitingApproval | MessageState::Stopped, _) => shown,
        // Back to queued is not a way: something was handed over or tried.
        (MessageState::Sending, MessageState::Queued) => MessageState::Sending,
        (_, state) => state,
    };
    let is_news = state != shown
        || (is_handed_over && progress.handed_over_at.is_none())
        || (is_done && progress.done_at.is_none());
    if is_news {
        message::set_progress(session, message_id, state, (is_handed_over, is_done, now)).await?;
    }
    Ok(())
}
