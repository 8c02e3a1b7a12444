//! Owns the delivery table: leasing, moving and reading deliveries.
//!
//! It does not decide what happens next. Invariant: every change of a recorded state goes through [`apply`], which
//! asks the state machine and writes history and counters with it, or is one of the two of [`super::advance`].

use serde::Serialize;

use super::settle::{self, Batch, Change};
use super::{Result, Session, json};
use crate::domain::delivery::{Channel, DeliveryState};

/// An update of rows that nobody in this transaction holds yet. They are held in order of their id first, so that two
/// callers never wait for each other in a ring; what others hold is about to change anyway, and is left alone.
macro_rules! update_unheld {
    ($of:literal, $set:literal) => {
        concat!(
            "WITH held AS MATERIALIZED (\n   SELECT d.id\n   FROM delivery d ",
            $of,
            "\n   ORDER BY d.id\n   {skip locked})\n UPDATE delivery\n SET ",
            $set,
            "\n WHERE id IN (SELECT id FROM held)"
        )
    };
}

const RENEW: &str = concat!(
    update_unheld!(
        "{by id}
   WHERE d.id IN (SELECT v.id FROM {rows $1: id BIGINT})
     AND d.state = 'sending'
     AND d.lease_owner = $2",
        "lease_until_at = $3"
    ),
    "\n RETURNING id"
);

/// Renews the leases that a daemon has in hand; says which. One that somebody else is changing at this moment is left as it is.
///
/// # Errors
/// [`super::StoreError`].
pub async fn renew(session: &mut Session, owner: &str, ids: &[i64], lease_until: i64) -> Result<Vec<i64>> {
    let statement = session.sql(RENEW).bind(ids_json(ids)).bind(owner.to_owned()).bind(lease_until);
    let renewed: Vec<(i64,)> = session.list(statement).await?;
    Ok(renewed.into_iter().map(|(id,)| id).collect())
}

const RELEASE: &str = update_unheld!(
    "{by id}
   WHERE d.id IN (SELECT v.id FROM {rows $1: id BIGINT})
     AND d.state = 'sending'
     AND d.lease_owner = $2
     AND d.stamped_at IS NULL",
    "state = 'queued', lease_owner = NULL, lease_until_at = NULL, due_at = CASE WHEN due_at > $3 THEN due_at ELSE $3 END"
);

/// Gives back leases of deliveries that were never stamped; they are due again at `due_at` at the earliest.
///
/// # Errors
/// [`super::StoreError`].
pub async fn release(session: &mut Session, owner: &str, ids: &[i64], due_at: i64) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    session.execute(session.sql(RELEASE).bind(ids_json(ids)).bind(owner.to_owned()).bind(due_at)).await
}

const RELEASE_DEAD: &str = update_unheld!(
    "{by index delivery_sending}
   WHERE d.state = 'sending'
     AND d.stamped_at IS NULL
     AND (d.lease_owner = $1 OR d.lease_until_at < $2)",
    "state = 'queued', lease_owner = NULL, lease_until_at = NULL"
);

/// Puts unstamped deliveries of a dead daemon, and those whose lease ran out before `now`, back in the queue.
///
/// # Errors
/// [`super::StoreError`].
pub async fn release_dead(session: &mut Session, owner: &str, now: i64) -> Result<u64> {
    session.execute(session.sql(RELEASE_DEAD).bind(owner.to_owned()).bind(now)).await
}

/// A delivery whose row is held, with what decides about its next state.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Locked {
    /// The delivery.
    pub id: i64,
    /// Its message.
    pub message_id: String,
    /// `sms`, `email` or `paper`.
    pub channel: String,
    /// Where it goes.
    pub address: String,
    /// A [`DeliveryState`]'s code.
    pub state: String,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// Its count of changes.
    pub version: i64,
    /// Persons it covers.
    pub persons: i64,
    /// Households behind them.
    pub households: i64,
    /// Attempts so far.
    pub attempts: i64,
    /// When it must be handed over, Unix ms.
    pub expires_at: i64,
    /// The daemon that holds its lease.
    pub lease_owner: Option<String>,
    /// Fencing number of the lease.
    pub lease_fence: i64,
    /// When its hand-over was stamped, Unix ms.
    pub stamped_at: Option<i64>,
    /// Since when its outcome is unknown, Unix ms.
    pub doubted_at: Option<i64>,
    /// Through which gateway it went.
    pub gateway: Option<String>,
    /// The gateway's id.
    pub gateway_ref: Option<String>,
    /// When its message was stopped, Unix ms.
    pub message_stopped_at: Option<i64>,
}

impl Locked {
    /// The state.
    #[must_use]
    pub fn state(&self) -> DeliveryState {
        DeliveryState::from_code(&self.state).expect("the table's CHECK allows these states only")
    }
}

macro_rules! select_locked {
    () => {
        "SELECT d.id, d.message_id, d.channel, d.address, d.state, d.reason, d.version, d.persons, d.households, d.attempts,
   d.expires_at, d.lease_owner, d.lease_fence, d.stamped_at, d.doubted_at, d.gateway, d.gateway_ref,
   (SELECT m.stopped_at FROM message m WHERE m.id = d.message_id) AS message_stopped_at
 FROM delivery d"
    };
}

const LOCK: &str = concat!(
    select_locked!(),
    " {by id}
 WHERE d.id IN (SELECT v.id FROM {rows $1: id BIGINT})
 ORDER BY d.id
 {for update}"
);

/// Holds these deliveries, in order of id so that two callers never wait for each other in a ring.
///
/// # Errors
/// [`super::StoreError`].
pub async fn lock(session: &mut Session, ids: &[i64]) -> Result<Vec<Locked>> {
    session.list(session.sql(LOCK).bind(ids_json(ids))).await
}

/// Which deliveries a set-wise change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// Queued and past their expiry at this time; not those of a message that is still written or reviewed.
    Expired(i64),
    /// Accepted on this channel before this time.
    AcceptedBefore(Channel, i64),
    /// Waiting and unstamped, of this message.
    Unstamped(&'a str),
    /// In doubt, of this message.
    InDoubtOf(&'a str),
    /// Stamped by this daemon, which is dead, or with a lease that ran out before this time.
    StampedByDead(&'a str, i64),
}

/// Those that come first in the order of an index, then held in order of id. In one step PostgreSQL, for which every table is new at
/// some time, would read deliveries in order of id until it has enough of them, and there are none.
macro_rules! lock_first {
    ($index:literal, $condition:literal, $order:literal) => {
        concat!(
            "WITH found AS MATERIALIZED (\n   SELECT d.id\n   FROM delivery d {by index ",
            $index,
            "}\n   WHERE ",
            $condition,
            "\n   ORDER BY ",
            $order,
            "\n   LIMIT $2)\n ",
            select_locked!(),
            " {by id}\n WHERE d.id IN (SELECT id FROM found)\n   AND ",
            $condition,
            "\n ORDER BY d.id\n {for update}"
        )
    };
}

const LOCK_EXPIRED: &str = lock_first!(
    "delivery_expiry",
    "d.state = 'queued' AND d.expires_at <= $1
     AND NOT EXISTS (SELECT 1 FROM message m WHERE m.id = d.message_id AND m.state IN ('draft', 'awaiting_approval'))",
    "d.expires_at"
);
const LOCK_ACCEPTED: &str = lock_first!(
    "delivery_accepted",
    "d.state = 'accepted' AND d.channel = $3 AND d.accepted_at <= $1",
    "d.accepted_at"
);
const LOCK_UNSTAMPED: &str = concat!(
    select_locked!(),
    "
 WHERE d.message_id = $1 AND d.state IN ('queued', 'sending') AND d.stamped_at IS NULL
 ORDER BY d.id LIMIT $2 {for update}"
);
const LOCK_IN_DOUBT_OF: &str = concat!(
    select_locked!(),
    "
 WHERE d.message_id = $1 AND d.state = 'in_doubt'
 ORDER BY d.id LIMIT $2 {for update}"
);
const LOCK_STAMPED_BY_DEAD: &str = concat!(
    select_locked!(),
    " {by index delivery_sending}
 WHERE d.state = 'sending' AND d.stamped_at IS NOT NULL AND (d.lease_owner = $1 OR d.lease_until_at < $3)
 ORDER BY d.id LIMIT $2 {for update}"
);

/// Holds up to `limit` deliveries of a set.
///
/// # Errors
/// [`super::StoreError`].
pub async fn lock_set(session: &mut Session, which: Which<'_>, limit: i64) -> Result<Vec<Locked>> {
    let statement = match which {
        Which::Expired(now) => session.sql(LOCK_EXPIRED).bind(now).bind(limit),
        Which::AcceptedBefore(channel, at) => session.sql(LOCK_ACCEPTED).bind(at).bind(limit).bind(channel.code()),
        Which::Unstamped(message) => session.sql(LOCK_UNSTAMPED).bind(message.to_owned()).bind(limit),
        Which::InDoubtOf(message) => session.sql(LOCK_IN_DOUBT_OF).bind(message.to_owned()).bind(limit),
        Which::StampedByDead(owner, now) => {
            session.sql(LOCK_STAMPED_BY_DEAD).bind(owner.to_owned()).bind(limit).bind(now)
        }
    };
    session.list(statement).await
}

/// Where a held delivery shall go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The delivery as it was held.
    pub delivery: Locked,
    /// Its next state.
    pub to: DeliveryState,
    /// Why, as a stable code.
    pub reason: Option<String>,
    /// The provider's words; personal data may stand in them.
    pub detail: Option<String>,
    /// The gateway's id, when it is known now.
    pub gateway_ref: Option<String>,
    /// SMS parts the gateway counted.
    pub parts: Option<i64>,
    /// For `queued`: when it is due again, Unix ms.
    pub due_at: Option<i64>,
}

impl Step {
    /// A step to `to` with a reason and nothing else.
    #[must_use]
    pub fn new(delivery: Locked, to: DeliveryState, reason: Option<&str>) -> Self {
        Self {
            delivery,
            to,
            reason: reason.map(str::to_owned),
            detail: None,
            gateway_ref: None,
            parts: None,
            due_at: None,
        }
    }
}

#[derive(Serialize)]
struct StepRow<'a> {
    id: i64,
    state: &'static str,
    reason: Option<&'a str>,
    detail: Option<&'a str>,
    gateway_ref: Option<&'a str>,
    parts: Option<i64>,
    due_at: Option<i64>,
    is_final: i64,
}

const APPLY: &str = "UPDATE delivery {by id}
 SET state = v.state,
   reason = v.reason,
   detail = v.detail,
   gateway_ref = COALESCE(v.gateway_ref, delivery.gateway_ref),
   parts = COALESCE(v.parts, delivery.parts),
   due_at = COALESCE(v.due_at, delivery.due_at),
   stamped_at = CASE WHEN v.state = 'queued' THEN NULL ELSE delivery.stamped_at END,
   accepted_at = CASE WHEN v.state IN ('accepted', 'delivered', 'undelivered')
     THEN COALESCE(delivery.accepted_at, $2) ELSE delivery.accepted_at END,
   doubted_at = CASE WHEN v.state = 'in_doubt' THEN $2 ELSE NULL END,
   final_at = CASE WHEN v.is_final = 1 THEN $2 ELSE NULL END,
   lease_owner = NULL,
   lease_until_at = NULL,
   version = delivery.version + 1
 FROM {rows $1: id BIGINT, state TEXT, reason TEXT, detail TEXT, gateway_ref TEXT, parts BIGINT, due_at BIGINT, is_final BIGINT}
 WHERE delivery.id = v.id";

/// Moves held deliveries, with history, counters, message state and audit entry. A step that the state machine does
/// not allow is left out. A delivery whose message was stopped does not go back to the queue but ends as stopped.
/// Returns what changed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn apply(session: &mut Session, batch: &Batch<'_>, steps: Vec<Step>) -> Result<Vec<Change>> {
    let changes = walk(session, batch.now, steps).await?;
    settle::record(session, batch, &changes).await?;
    Ok(changes)
}

/// As [`apply`], and the caller owes [`settle::record`] for what changed, once for its transaction: counters are held last.
///
/// # Errors
/// [`super::StoreError`].
pub async fn walk(session: &mut Session, now: i64, steps: Vec<Step>) -> Result<Vec<Change>> {
    let steps: Vec<Step> =
        steps.into_iter().map(stopped_stays_stopped).filter(|step| step.delivery.state().may_become(step.to)).collect();
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<StepRow<'_>> = steps
        .iter()
        .map(|step| StepRow {
            id: step.delivery.id,
            state: step.to.code(),
            reason: step.reason.as_deref(),
            detail: step.detail.as_deref(),
            gateway_ref: step.gateway_ref.as_deref(),
            parts: step.parts,
            due_at: step.due_at,
            is_final: i64::from(step.to.is_final()),
        })
        .collect();
    session.execute(session.sql(APPLY).bind(json(&rows)).bind(now)).await?;
    let changes = steps
        .into_iter()
        .map(|step| Change {
            from: step.delivery.state(),
            delivery_id: step.delivery.id,
            message_id: step.delivery.message_id,
            channel: step.delivery.channel,
            version: step.delivery.version + 1,
            to: step.to,
            reason: step.reason,
            persons: step.delivery.persons,
            households: step.delivery.households,
        })
        .collect();
    Ok(changes)
}

fn stopped_stays_stopped(mut step: Step) -> Step {
    if step.to == DeliveryState::Queued && step.delivery.message_stopped_at.is_some() {
        step.to = DeliveryState::Stopped;
        step.reason = Some("message.stopped".to_owned());
    }
    step
}

const RESCHEDULE: &str = "UPDATE delivery
 SET due_at = $2
 WHERE message_id = $1
   AND state = 'queued'";

/// Sets when the queued deliveries of a message are due, Unix ms.
///
/// # Errors
/// [`super::StoreError`].
pub async fn reschedule(session: &mut Session, message_id: &str, due_at: i64) -> Result<u64> {
    session.execute(session.sql(RESCHEDULE).bind(message_id.to_owned()).bind(due_at)).await
}

const COUNT_STAMPED: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS deliveries
 FROM delivery
 WHERE message_id = $1
   AND stamped_at IS NOT NULL";

/// How many deliveries of a message have passed the gate.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_stamped(session: &mut Session, message_id: &str) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(COUNT_STAMPED).bind(message_id.to_owned())).await?;
    Ok(row.unwrap_or_default().0)
}

/// A delivery as shown.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Delivery {
    /// Its id.
    pub id: i64,
    /// Its message.
    pub message_id: String,
    /// The person it is for.
    pub contact_person_id: Option<String>,
    /// `sms`, `email` or `paper`.
    pub channel: String,
    /// Where it goes.
    pub address: String,
    /// A [`DeliveryState`]'s code.
    pub state: String,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// The provider's words.
    pub detail: Option<String>,
    /// Attempts so far.
    pub attempts: i64,
    /// Through which gateway.
    pub gateway: Option<String>,
    /// The gateway's id.
    pub gateway_ref: Option<String>,
    /// SMS parts the gateway counted.
    pub parts: Option<i64>,
    /// When it was frozen, Unix ms.
    pub queued_at: i64,
    /// When the gateway took it, Unix ms.
    pub accepted_at: Option<i64>,
    /// When it became final, Unix ms.
    pub final_at: Option<i64>,
    /// The area it counts for.
    pub area_code: Option<String>,
}

macro_rules! select_delivery {
    () => {
        "SELECT id, message_id, contact_person_id, channel, address, state, reason, detail, attempts, gateway, gateway_ref,
   parts, queued_at, accepted_at, final_at, area_code
 FROM delivery"
    };
}

const GET: &str = concat!(
    select_delivery!(),
    "
 WHERE id = $1
   AND NOT EXISTS (SELECT 1 FROM freezing f WHERE f.message_id = delivery.message_id AND f.stage = 'writing')"
);

/// The delivery with this id; those of a message that is being frozen are not there yet.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, id: i64) -> Result<Option<Delivery>> {
    session.one(session.sql(GET).bind(id)).await
}

const PAGE: &str = concat!(
    select_delivery!(),
    "
 WHERE message_id = $1
   AND id > $2
   AND ($3 = '' OR state = $3)
   AND NOT EXISTS (SELECT 1 FROM freezing f WHERE f.message_id = $1 AND f.stage = 'writing')
 ORDER BY id
 LIMIT $4"
);

/// A page of a message's deliveries in the order of hand-over, after id `after`; `state` empty = all.
///
/// # Errors
/// [`super::StoreError`].
pub async fn page(
    session: &mut Session,
    message_id: &str,
    state: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<Delivery>> {
    let statement = session.sql(PAGE).bind(message_id.to_owned()).bind(after).bind(state.to_owned()).bind(limit);
    session.list(statement).await
}

/// One recorded change of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Event {
    /// The delivery's count of changes.
    pub version: i64,
    /// Unix ms.
    pub at: i64,
    /// Where it was.
    pub from_state: String,
    /// Where it went.
    pub to_state: String,
    /// Why.
    pub reason: Option<String>,
}

const EVENTS: &str = "SELECT version, at, from_state, to_state, reason
 FROM delivery_event
 WHERE delivery_id = $1
 ORDER BY version";

/// All recorded changes of a delivery, in order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn events(session: &mut Session, id: i64) -> Result<Vec<Event>> {
    session.list(session.sql(EVENTS).bind(id)).await
}

#[derive(Serialize)]
struct Id {
    id: i64,
}

/// Ids as the rows of a `{rows $n: id BIGINT}` mark.
pub(crate) fn ids_json(ids: &[i64]) -> String {
    let mut ids: Vec<Id> = ids.iter().map(|id| Id { id: *id }).collect();
    ids.sort_unstable_by_key(|row| row.id);
    json(&ids)
}
