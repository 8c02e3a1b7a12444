//! Owns the gate: the one conditional update after which a delivery counts as handed over.
//!
//! It sends nothing. Invariant: a delivery is stamped only while its lease is ours and it is not stopped, expired,
//! suppressed, paused, written still, or behind the hand-over of a message it follows.

use serde::{Deserialize, Serialize};

use super::claim::Claimed;
use super::delivery::{self, Step, ids_json};
use super::settle::{Batch, Change};
use super::{Result, Session, attempt, json};
use crate::domain::delivery::{Channel, DeliveryState};

/// A condition on a person `p`, its recipient row `r` and message `m`: may still get this message at `$3`.
/// A scalar subquery, since PostgreSQL answers `EXISTS` here by hashing all recipients there are. NULL when not.
macro_rules! may_still_get_it {
    ($of_channel:literal) => {
        concat!(
            "1 = (
     SELECT 1
     FROM message_recipient r
     JOIN contact_person p ON p.id = r.contact_person_id
     JOIN message m ON m.id = r.message_id
     WHERE r.delivery_id = delivery.id
       AND p.erased_at IS NULL
       AND (p.paused_until_at IS NULL OR p.paused_until_at <= $3)
       AND (m.follows IS NOT NULL OR EXISTS (
         SELECT 1 FROM message_area a WHERE a.message_id = m.id AND a.area_code = p.area_code))
       AND ",
            $of_channel,
            "
     LIMIT 1)"
        )
    };
}

macro_rules! sms_person {
    () => {
        may_still_get_it!("p.alerts = 1 AND p.alerts_opt_out_at IS NULL AND p.mobile = delivery.address")
    };
}

macro_rules! email_person {
    () => {
        may_still_get_it!(
            "LOWER(p.email) = LOWER(delivery.address)
       AND (p.email_unusable IS NULL OR p.email_unusable <> p.email)
       AND CASE WHEN m.kind = 'letter' THEN p.letters = 1 AND p.letters_opt_out_at IS NULL
         ELSE p.alerts = 1 AND p.alerts_opt_out_at IS NULL END"
        )
    };
}

/// Whether letters come back from the address of a delivery.
macro_rules! email_unusable {
    () => {
        "EXISTS (
       SELECT 1
       FROM message_recipient r
       JOIN contact_person p ON p.id = r.contact_person_id
       WHERE r.delivery_id = delivery.id
         AND LOWER(p.email) = LOWER(delivery.address)
         AND p.email_unusable = p.email)"
    };
}

/// Whether a delivery goes to deputies none of whom wants it any more at `$3`: it covers no person, and has no recipient row. Two with
/// one telephone are two, and one who has said no does not speak for the other.
macro_rules! deputy_refuses {
    () => {
        "(EXISTS (SELECT 1 FROM stand_in s WHERE s.delivery_id = delivery.id) AND NOT EXISTS (
       SELECT 1
       FROM stand_in s
       JOIN contact_person p ON p.id = s.contact_person_id
       WHERE s.delivery_id = delivery.id
         AND p.erased_at IS NULL
         AND p.alerts = 1
         AND p.alerts_opt_out_at IS NULL
         AND (p.paused_until_at IS NULL OR p.paused_until_at <= $3)
         AND p.mobile = delivery.address))"
    };
}

// Who holds a lease is sending. `COALESCE`, and no word of the state, keep the indexes of leased rows out of the plan: by
// them, every lease in hand would be put to the questions below before it is known to be one of `$1`.
macro_rules! stamp {
    ($person:expr, $no_deputy:expr) => {
        concat!(
            "UPDATE delivery {by id}
 SET stamped_at = $3, attempts = attempts + 1, gateway = $4
 FROM {rows $1: id BIGINT, fence BIGINT}
 WHERE delivery.id = v.id
   AND delivery.lease_fence = v.fence
   AND COALESCE(delivery.lease_owner, '') = $2
   AND delivery.stamped_at IS NULL
   AND delivery.expires_at > $3
   AND delivery.lease_until_at > $3
   AND NOT EXISTS (SELECT 1 FROM setting s WHERE s.name = 'paused')
   AND NOT EXISTS (SELECT 1 FROM message m WHERE m.id = delivery.message_id
     AND (m.stopped_at IS NOT NULL OR m.state IN ('draft', 'awaiting_approval')))
   AND (delivery.waits_for IS NULL
     OR 1 = (SELECT 1 FROM delivery w WHERE w.id = delivery.waits_for
       AND (w.state IN ('accepted', 'in_doubt', 'delivered', 'undelivered', 'unconfirmed')
         OR (w.state = 'failed' AND w.reason = 'in_doubt.given_up'))))
   AND ((delivery.contact_person_id IS NULL AND NOT ",
            $no_deputy,
            ") OR ",
            $person,
            ")
 RETURNING {packed delivery.id, delivery.message_id, delivery.attempts, delivery.lease_fence}"
        )
    };
}

const STAMP_SMS: &str = stamp!(sms_person!(), deputy_refuses!());
const STAMP_EMAIL: &str = stamp!(email_person!(), "1 = 0");

macro_rules! refused {
    ($person:expr, $unusable:expr, $no_deputy:expr) => {
        concat!(
            "SELECT delivery.id,
   CASE WHEN delivery.expires_at <= $3 THEN 'expired'
     WHEN EXISTS (SELECT 1 FROM message m WHERE m.id = delivery.message_id AND m.stopped_at IS NOT NULL) THEN 'stopped'
     WHEN EXISTS (SELECT 1 FROM setting s WHERE s.name = 'paused') THEN 'released'
     WHEN delivery.waits_for IS NOT NULL AND EXISTS (
       SELECT 1 FROM delivery w WHERE w.id = delivery.waits_for AND w.state IN ('queued', 'sending')) THEN 'released'
     WHEN delivery.waits_for IS NOT NULL AND EXISTS (
       SELECT 1 FROM delivery w WHERE w.id = delivery.waits_for
         AND (w.state IN ('stopped', 'expired', 'suppressed')
           OR (w.state = 'failed' AND w.reason <> 'in_doubt.given_up'))) THEN 'first_not_handed_over'
     WHEN delivery.contact_person_id IS NULL AND ",
            $no_deputy,
            " THEN 'not_wanted'
     WHEN delivery.contact_person_id IS NOT NULL AND NOT COALESCE(",
            $person,
            ", false) THEN CASE WHEN ",
            $unusable,
            " THEN 'unusable' ELSE 'not_wanted' END
     ELSE 'released' END AS why
 FROM delivery {by id}
 JOIN {rows $1: id BIGINT, fence BIGINT} ON delivery.id = v.id AND delivery.lease_fence = v.fence
 WHERE COALESCE(delivery.lease_owner, '') = $2
   AND delivery.stamped_at IS NULL"
        )
    };
}

const REFUSED_SMS: &str = refused!(sms_person!(), "false", deputy_refuses!());
const REFUSED_EMAIL: &str = refused!(email_person!(), email_unusable!(), "1 = 0");

/// A delivery that may, and now shall, be handed over; fields in the order that [`stamp`] returns columns in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stamped {
    /// The delivery.
    pub id: i64,
    /// Its message.
    pub message_id: String,
    /// The attempt's number, counted from 1.
    pub attempts: i64,
    /// Fencing number of the lease that passed the gate: an older claim of the same delivery did not.
    pub lease_fence: i64,
}

#[derive(sqlx::FromRow)]
struct Refused {
    id: i64,
    why: String,
}

#[derive(Serialize)]
struct LeaseRow {
    id: i64,
    fence: i64,
}

/// Who stamps, for which lane and gateway.
#[derive(Debug, Clone)]
pub struct Gate<'a> {
    /// The lane.
    pub channel: Channel,
    /// The daemon.
    pub owner: &'a str,
    /// The gateway the attempt goes through.
    pub gateway: &'a str,
    /// Unix ms.
    pub now: i64,
}

/// Stamps what may be handed over and opens its attempt. What is expired or not wanted any more becomes final here;
/// what must wait goes back to the queue.
///
/// # Errors
/// [`super::StoreError`].
pub async fn stamp(
    session: &mut Session,
    gate: &Gate<'_>,
    batch_id: &str,
    rows: &[Claimed],
) -> Result<(Vec<Stamped>, Vec<Change>)> {
    let (stamp, refused) = match gate.channel {
        Channel::Email => (STAMP_EMAIL, REFUSED_EMAIL),
        Channel::Sms | Channel::Paper => (STAMP_SMS, REFUSED_SMS),
    };
    let mut leases: Vec<_> = rows.iter().map(|row| LeaseRow { id: row.id, fence: row.lease_fence }).collect();
    leases.sort_unstable_by_key(|lease| lease.id);
    let leases = json(&leases);
    let bound = |session: &Session, sql: &'static str| {
        session.sql(sql).bind(leases.clone()).bind(gate.owner.to_owned()).bind(gate.now)
    };
    let stamped: Vec<Stamped> = session.unpack(bound(session, stamp).bind(gate.gateway.to_owned())).await?;
    attempt::open(session, gate, &stamped).await?;
    if stamped.len() < rows.len() {
        let refused: Vec<Refused> = session.list(bound(session, refused)).await?;
        return Ok((stamped, refuse(session, gate, batch_id, &refused).await?));
    }
    Ok((stamped, Vec::new()))
}

/// Ends or releases deliveries that did not pass the gate.
async fn refuse(session: &mut Session, gate: &Gate<'_>, batch_id: &str, refused: &[Refused]) -> Result<Vec<Change>> {
    let released: Vec<i64> = refused.iter().filter(|row| row.why == "released").map(|row| row.id).collect();
    delivery::release(session, gate.owner, &released, gate.now + 200).await?;
    let ended: Vec<i64> = refused.iter().filter(|row| row.why != "released").map(|row| row.id).collect();
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let steps = delivery::lock(session, &ended)
        .await?
        .into_iter()
        .map(|held| {
            let why = refused.iter().find(|row| row.id == held.id).map_or("not_wanted", |row| row.why.as_str());
            match why {
                "stopped" => Step::new(held, DeliveryState::Stopped, Some("message.stopped")),
                "expired" => Step::new(held, DeliveryState::Expired, Some("message.expired")),
                "first_not_handed_over" => {
                    Step::new(held, DeliveryState::Suppressed, Some("follow_up.first_not_handed_over"))
                }
                "unusable" => Step::new(held, DeliveryState::Suppressed, Some("address.unusable")),
                _ => Step::new(held, DeliveryState::Suppressed, Some("contact_person.not_wanted")),
            }
        })
        .collect();
    let batch = Batch { id: batch_id, actor: "grannpost", action: "deliveries.refused_at_gate", now: gate.now };
    delivery::apply(session, &batch, steps).await
}

const SUPPRESS_FILTER: &str = "SELECT id
 FROM delivery {by id}
 WHERE id IN (SELECT v.id FROM {rows $1: id BIGINT})
   AND lease_owner = $2
   AND state = 'sending'
   AND stamped_at IS NULL";

/// Ends leased deliveries whose address cannot be used, such as a fictitious number at a live gateway.
///
/// # Errors
/// [`super::StoreError`].
pub async fn suppress(
    session: &mut Session,
    gate: &Gate<'_>,
    batch_id: &str,
    ids: &[i64],
    reason: &str,
) -> Result<Vec<Change>> {
    let statement = session.sql(SUPPRESS_FILTER).bind(ids_json(ids)).bind(gate.owner.to_owned());
    let ours: Vec<(i64,)> = session.list(statement).await?;
    let ours: Vec<i64> = ours.into_iter().map(|(id,)| id).collect();
    let steps = delivery::lock(session, &ours)
        .await?
        .into_iter()
        .map(|held| Step::new(held, DeliveryState::Suppressed, Some(reason)))
        .collect();
    let batch = Batch { id: batch_id, actor: "grannpost", action: "deliveries.refused_at_gate", now: gate.now };
    delivery::apply(session, &batch, steps).await
}
