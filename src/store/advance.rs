//! Owns the two steps that nearly every delivery makes, taken by its gateway and delivered: one statement for many.
//!
//! Whatever else happens to a delivery goes through `delivery::apply`. Invariant: each statement moves a delivery only out of the one
//! state that its step begins in, which the state machine allows; the caller owes `settle::record` for what changed.

use serde::{Deserialize, Serialize};

use super::delivery::ids_json;
use super::settle::Change;
use super::together::Write;
use super::{Dialect, Result, Session, json};
use crate::domain::delivery::DeliveryState;

const HOLD: &str = "SELECT d.id
 FROM delivery d {by id}
 WHERE d.id IN (SELECT v.id FROM {rows $1: id BIGINT})
 ORDER BY d.id
 {for update}";

/// Holds deliveries that are about to change, in order of id so that two callers never wait for each other in a ring. Where one
/// writes at a time they are held already, and nothing is asked.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hold(session: &mut Session, ids: &[i64]) -> Result<()> {
    if session.dialect == Dialect::Sqlite {
        return Ok(());
    }
    session.rows(session.sql(HOLD).bind(ids_json(ids))).await.map(drop)
}

/// The answer of a gateway that took a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken<'a> {
    /// The delivery.
    pub id: i64,
    /// Fencing number of the lease it was handed over under.
    pub fence: i64,
    /// The gateway's id.
    pub gateway_ref: Option<&'a str>,
    /// SMS parts the gateway counted.
    pub parts: Option<i64>,
}

// `COALESCE` keeps the indexes of leased and of accepted rows out of PostgreSQL's plans: it would read all of them for every call.
const TAKE: &str = "UPDATE delivery {by id}
 SET state = 'accepted',
   reason = NULL,
   detail = NULL,
   gateway_ref = COALESCE(v.gateway_ref, delivery.gateway_ref),
   parts = COALESCE(v.parts, delivery.parts),
   accepted_at = COALESCE(delivery.accepted_at, $3),
   doubted_at = NULL,
   final_at = NULL,
   lease_owner = NULL,
   lease_until_at = NULL,
   version = delivery.version + 1
 FROM {rows $1: id BIGINT, fence BIGINT, gateway_ref TEXT, parts BIGINT}
 WHERE delivery.id = v.id
   AND delivery.lease_fence = v.fence
   AND COALESCE(delivery.state, '') = 'sending'
   AND COALESCE(delivery.lease_owner, '') = $2
   AND delivery.stamped_at IS NOT NULL
 RETURNING {packed delivery.id, delivery.lease_fence, delivery.message_id, delivery.channel, delivery.version, delivery.persons,
   delivery.households}";

/// Writes down what gateways took from `owner`, whose leases still stand. Returns what changed with the fencing numbers; who is
/// missing there must be looked at.
///
/// # Errors
/// [`super::StoreError`].
pub async fn take(session: &mut Session, (owner, now): (&str, i64), taken: &[Taken<'_>]) -> Result<Vec<(i64, Change)>> {
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let statement = session.sql(TAKE).bind(json(&taken)).bind(owner.to_owned()).bind(now);
    let moved: Vec<Moved> = session.unpack(statement).await?;
    Ok(moved.into_iter().map(|row| row.change(DeliveryState::Sending, DeliveryState::Accepted)).collect())
}

/// A report that a delivery arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Arrived<'a> {
    /// The delivery.
    pub id: i64,
    /// The attempt that the report is about.
    pub attempt: i64,
    /// The gateway's id.
    pub gateway_ref: &'a str,
}

const ARRIVE: &str = "UPDATE delivery {by id}
 SET state = 'delivered',
   reason = NULL,
   detail = NULL,
   accepted_at = COALESCE(delivery.accepted_at, $2),
   doubted_at = NULL,
   final_at = $2,
   version = delivery.version + 1
 FROM {rows $1: id BIGINT, attempt BIGINT, gateway_ref TEXT}
 WHERE delivery.id = v.id
   AND COALESCE(delivery.state, '') = 'accepted'
   AND delivery.attempts >= v.attempt
   AND delivery.gateway_ref = v.gateway_ref
 RETURNING {packed delivery.id, delivery.lease_fence, delivery.message_id, delivery.channel, delivery.version, delivery.persons,
   delivery.households}";

/// Does `writes`, and writes down what arrived of that which gateways had taken under the id that the report names, one report for
/// each delivery. Returns what changed; who is missing there must be looked at.
///
/// # Errors
/// [`super::StoreError`].
pub async fn arrive(
    session: &mut Session,
    now: i64,
    arrived: &[Arrived<'_>],
    mut writes: Vec<Write>,
) -> Result<Vec<Change>> {
    if arrived.is_empty() {
        session.write_together(writes).await?;
        return Ok(Vec::new());
    }
    writes.push(Write::new(ARRIVE).bind(json(&arrived)).bind(now));
    let moved: Vec<Moved> = session.unpack_together(writes).await?;
    Ok(moved.into_iter().map(|row| row.change(DeliveryState::Accepted, DeliveryState::Delivered).1).collect())
}

/// A delivery as it is after its step, in the order of the columns that are returned.
#[derive(Deserialize)]
struct Moved {
    id: i64,
    lease_fence: i64,
    message_id: String,
    channel: String,
    version: i64,
    persons: i64,
    households: i64,
}

impl Moved {
    /// What changed, with the fencing number.
    fn change(self, from: DeliveryState, to: DeliveryState) -> (i64, Change) {
        let change = Change {
            delivery_id: self.id,
            message_id: self.message_id,
            channel: self.channel,
            version: self.version,
            from,
            to,
            reason: None,
            persons: self.persons,
            households: self.households,
        };
        (self.lease_fence, change)
    }
}
