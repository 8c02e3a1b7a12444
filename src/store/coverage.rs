//! Owns writing a frozen audience: its deliveries and the persons they cover, whole or in pieces.
//!
//! It decides neither who is covered nor in which order (`domain::coverage`). Invariant: ids are the message's number and the
//! position, so that writing an audience twice fails instead of doubling it.

use std::borrow::Cow;

use serde::Serialize;

use super::{Result, Session, json, sealed_audience};
use crate::domain::audience::AlertAudience;
use crate::domain::coverage::{Coverage, FIRST_TAKEOVER, NotReached, POSITIONS, PlannedDelivery, PlannedRecipient};

/// Rows written by one statement.
const ROWS: usize = 2_000;
/// Deleting a block takes about as long as deleting so many rows.
const BLOCKS_FOR_ROWS: i64 = 50;
/// When paper expires: never. It lies until somebody prints it or stops the letter.
const NEVER: i64 = 253_402_300_799_000;

/// What the frozen deliveries of one message have in common.
#[derive(Debug, Clone)]
pub struct Freeze<'a> {
    /// The message.
    pub message_id: &'a str,
    /// Its number; delivery ids are made of it.
    pub number: i64,
    /// Order among messages.
    pub priority: i64,
    /// When hand-over may begin, Unix ms.
    pub due_at: i64,
    /// When it must have happened, Unix ms.
    pub expires_at: i64,
    /// Now, Unix ms.
    pub now: i64,
}

/// The ids before the first and of the last delivery that a message of this number can have.
#[must_use]
pub fn ids_of(number: i64) -> (i64, i64) {
    (number * POSITIONS, (number + 1) * POSITIONS - 1)
}

/// Rows on their way into the database, as one text: made before the transaction that writes them.
#[derive(Debug)]
pub struct Rows {
    json: String,
}

#[derive(Serialize)]
struct DeliveryRow<'a> {
    id: i64,
    channel: &'static str,
    address: Cow<'a, str>,
    person: Option<Cow<'a, str>>,
    area: Option<&'a str>,
    persons: i64,
    households: i64,
    place: i64,
}

/// Deliveries of the message with this number.
pub fn delivery_rows<'a>(number: i64, deliveries: impl Iterator<Item = PlannedDelivery<'a>>) -> Rows {
    let row = |delivery: PlannedDelivery<'a>| DeliveryRow {
        id: number * POSITIONS + delivery.position,
        channel: delivery.channel.code(),
        address: delivery.address,
        person: delivery.contact_person_id,
        area: delivery.area_code,
        persons: delivery.persons,
        households: delivery.households,
        place: delivery.place,
    };
    Rows { json: json(&deliveries.map(row).collect::<Vec<_>>()) }
}

const ADD_DELIVERIES: &str =
    "INSERT INTO delivery (id, message_id, channel, address, contact_person_id, area_code, persons, households, state,
   priority, due_at, place, expires_at, queued_at)
 SELECT v.id, $2, v.channel, v.address, v.person, v.area, v.persons, v.households, 'queued',
   $3, $4, v.place, CASE WHEN v.channel = 'paper' THEN $5 ELSE $6 END, $7
 FROM {rows $1: id BIGINT, channel TEXT, address TEXT, person TEXT, area TEXT, persons BIGINT, households BIGINT, place BIGINT}";

/// Adds deliveries; says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_deliveries(session: &mut Session, freeze: &Freeze<'_>, rows: &Rows) -> Result<u64> {
    let statement = session
        .sql(ADD_DELIVERIES)
        .bind(rows.json.clone())
        .bind(freeze.message_id.to_owned())
        .bind(freeze.priority)
        .bind(freeze.due_at)
        .bind(NEVER)
        .bind(freeze.expires_at)
        .bind(freeze.now);
    session.execute(statement).await
}

#[derive(Serialize)]
struct RecipientRow<'a> {
    person: Cow<'a, str>,
    channel: &'static str,
    delivery: Option<i64>,
    area: &'a str,
    households: i64,
    why: Option<&'static str>,
}

/// Persons frozen into the message with this number.
pub fn recipient_rows<'a>(number: i64, recipients: impl Iterator<Item = PlannedRecipient<'a>>) -> Rows {
    let row = |recipient: PlannedRecipient<'a>| RecipientRow {
        person: recipient.contact_person_id,
        channel: recipient.channel.code(),
        delivery: recipient.position.map(|position| number * POSITIONS + position),
        area: recipient.area_code,
        households: recipient.households,
        why: recipient.not_reached.map(NotReached::code),
    };
    Rows { json: json(&recipients.map(row).collect::<Vec<_>>()) }
}

const ADD_RECIPIENTS: &str =
    "INSERT INTO message_recipient (message_id, contact_person_id, channel, delivery_id, area_code, households, not_reached)
 SELECT $2, v.person, v.channel, v.delivery, v.area, v.households, v.why
 FROM {rows $1: person TEXT, channel TEXT, delivery BIGINT, area TEXT, households BIGINT, why TEXT}";

/// Adds the persons frozen into a message, whose deliveries must be there; says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_recipients(session: &mut Session, message_id: &str, rows: &Rows) -> Result<u64> {
    session.execute(session.sql(ADD_RECIPIENTS).bind(rows.json.clone()).bind(message_id.to_owned())).await
}

/// Writes an audience in the transaction of `session`. Returns the number of deliveries.
///
/// # Errors
/// [`super::StoreError`].
pub async fn write(session: &mut Session, freeze: &Freeze<'_>, coverage: &Coverage) -> Result<u64> {
    let mut deliveries = coverage.deliveries().peekable();
    while deliveries.peek().is_some() {
        let rows = delivery_rows(freeze.number, deliveries.by_ref().take(ROWS));
        add_deliveries(session, freeze, &rows).await?;
    }
    let mut recipients = coverage.recipients().peekable();
    while recipients.peek().is_some() {
        let rows = recipient_rows(freeze.number, recipients.by_ref().take(ROWS));
        add_recipients(session, freeze.message_id, &rows).await?;
    }
    Ok(coverage.len() as u64)
}

const FOLLOW_UP: &str = "INSERT INTO delivery (id, message_id, channel, address, contact_person_id, area_code,
   persons, households, state, priority, due_at, place, expires_at, queued_at, waits_for)
 SELECT d.id + $1, $2, d.channel, d.address, d.contact_person_id, d.area_code,
   d.persons, d.households, 'queued', $3, $4, d.place, $5, $6, d.id
 FROM delivery d
 WHERE d.message_id = $7
   AND d.id > $8
   AND d.id <= $9
   AND (d.state IN ('accepted', 'in_doubt', 'delivered', 'unconfirmed')
     OR (d.state = 'sending' AND d.stamped_at IS NOT NULL)
     OR (d.state = 'failed' AND d.reason = 'in_doubt.given_up'))
   AND d.address NOT LIKE 'disposed-%'
   AND ($10 = 0 OR (NOT EXISTS (
     SELECT 1
     FROM message_recipient r
     JOIN spread_confirmation s ON s.message_id = d.message_id AND s.contact_person_id = r.contact_person_id
     WHERE r.delivery_id = d.id)
   AND NOT EXISTS (
     SELECT 1
     FROM stand_in t
     JOIN spread_confirmation s ON s.message_id = d.message_id AND s.contact_person_id = t.contact_person_id
     WHERE t.delivery_id = d.id)))";

const FOLLOW_UP_STAND_INS: &str =
    "INSERT INTO stand_in (message_id, stands_for, contact_person_id, delivery_id, created_at)
 SELECT $1, s.stands_for, s.contact_person_id, d.id, d.queued_at
 FROM delivery d
 JOIN stand_in s ON s.delivery_id = d.waits_for
 WHERE d.message_id = $1
   AND d.id > $2
   AND d.id <= $3";

const FOLLOW_UP_RECIPIENTS: &str =
    "INSERT INTO message_recipient (message_id, contact_person_id, channel, delivery_id, area_code, households)
 SELECT $1, r.contact_person_id, r.channel, d.id, r.area_code, r.households
 FROM delivery d
 JOIN message_recipient r ON r.delivery_id = d.waits_for
 WHERE d.message_id = $1
   AND d.id > $2
   AND d.id <= $3";

/// The message a follow-up follows.
#[derive(Debug, Clone, Copy)]
pub struct First<'a> {
    /// Its id.
    pub message_id: &'a str,
    /// Its number.
    pub number: i64,
    /// Whether only those are meant who have not said that they passed it on.
    pub silent_only: bool,
}

/// Freezes a follow-up to exactly those whose phone may have the first message, among its deliveries after the id `after`
/// to `until`; each delivery keeps its position, and waits for a hand-over of the first to the same phone that is under
/// way. Returns the number of deliveries.
///
/// # Errors
/// [`super::StoreError`].
pub async fn follow_up(
    session: &mut Session,
    freeze: &Freeze<'_>,
    first: First<'_>,
    (after, until): (i64, i64),
) -> Result<u64> {
    let shift = (freeze.number - first.number) * POSITIONS;
    let statement = session
        .sql(FOLLOW_UP)
        .bind(shift)
        .bind(freeze.message_id.to_owned())
        .bind(freeze.priority)
        .bind(freeze.due_at)
        .bind(freeze.expires_at)
        .bind(freeze.now)
        .bind(first.message_id.to_owned())
        .bind(after)
        .bind(until)
        .bind(i64::from(first.silent_only));
    let deliveries = session.execute(statement).await?;
    let statement =
        session.sql(FOLLOW_UP_RECIPIENTS).bind(freeze.message_id.to_owned()).bind(after + shift).bind(until + shift);
    session.execute(statement).await?;
    let statement =
        session.sql(FOLLOW_UP_STAND_INS).bind(freeze.message_id.to_owned()).bind(after + shift).bind(until + shift);
    session.execute(statement).await?;
    Ok(deliveries)
}

const FOLLOW_UP_TAKEOVERS: &str = "INSERT INTO delivery (id, message_id, channel, address, area_code,
   persons, households, state, priority, due_at, place, expires_at, queued_at, waits_for)
 SELECT $1 + d.id % $2, $3, d.channel, d.address, d.area_code,
   0, 0, 'queued', $4, $5, d.place, $6, $7, d.id
 FROM delivery d
 WHERE d.id IN (SELECT s.delivery_id FROM stand_in s WHERE s.message_id = $8)
   AND d.message_id <> $8
   AND (d.state IN ('accepted', 'in_doubt', 'delivered', 'unconfirmed')
     OR (d.state = 'sending' AND d.stamped_at IS NOT NULL)
     OR (d.state = 'failed' AND d.reason = 'in_doubt.given_up'))
   AND d.address NOT LIKE 'disposed-%'
   AND ($9 = 0 OR NOT EXISTS (
     SELECT 1
     FROM stand_in s
     JOIN spread_confirmation c ON c.message_id = s.message_id AND c.contact_person_id = s.contact_person_id
     WHERE s.delivery_id = d.id
       AND s.message_id = $8))";

/// Freezes a follow-up to those deputies, too, who took the first message over and whose phone may have it. Returns the number
/// of deliveries.
///
/// # Errors
/// [`super::StoreError`].
pub async fn follow_up_takeovers(session: &mut Session, freeze: &Freeze<'_>, first: First<'_>) -> Result<u64> {
    let (before, last) = ids_of(freeze.number);
    let statement = session
        .sql(FOLLOW_UP_TAKEOVERS)
        .bind(before)
        .bind(POSITIONS)
        .bind(freeze.message_id.to_owned())
        .bind(freeze.priority)
        .bind(freeze.due_at)
        .bind(freeze.expires_at)
        .bind(freeze.now)
        .bind(first.message_id.to_owned())
        .bind(i64::from(first.silent_only));
    let deliveries = session.execute(statement).await?;
    let statement = session
        .sql(FOLLOW_UP_STAND_INS)
        .bind(freeze.message_id.to_owned())
        .bind(before + FIRST_TAKEOVER - 1)
        .bind(last);
    session.execute(statement).await?;
    Ok(deliveries)
}

const COUNT_TAKEOVERS: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS deliveries
 FROM delivery d
 WHERE d.id IN (SELECT s.delivery_id FROM stand_in s WHERE s.message_id = $1)
   AND d.message_id <> $1
   AND (d.state IN ('accepted', 'in_doubt', 'delivered', 'unconfirmed')
     OR (d.state = 'sending' AND d.stamped_at IS NOT NULL)
     OR (d.state = 'failed' AND d.reason = 'in_doubt.given_up'))
   AND ($2 = 0 OR NOT EXISTS (
     SELECT 1
     FROM stand_in s
     JOIN spread_confirmation c ON c.message_id = s.message_id AND c.contact_person_id = s.contact_person_id
     WHERE s.delivery_id = d.id
       AND s.message_id = $1))";

/// How many [`follow_up_takeovers`] would freeze.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_takeovers(session: &mut Session, first: &str, silent_only: bool) -> Result<i64> {
    let statement = session.sql(COUNT_TAKEOVERS).bind(first.to_owned()).bind(i64::from(silent_only));
    let row: Option<(i64,)> = session.one(statement).await?;
    Ok(row.unwrap_or_default().0)
}

const PIECE_END: &str = "SELECT MAX(q.id) AS id
 FROM (SELECT d.id
   FROM delivery d
   WHERE d.message_id = $1
     AND d.id > $2
   ORDER BY d.id
   LIMIT $3) q";

/// The last of the next `limit` deliveries of a message after the id `after`; `None` when there is none.
///
/// # Errors
/// [`super::StoreError`].
pub async fn piece_end(session: &mut Session, message_id: &str, after: i64, limit: i64) -> Result<Option<i64>> {
    let statement = session.sql(PIECE_END).bind(message_id.to_owned()).bind(after).bind(limit);
    let row: Option<(Option<i64>,)> = session.one(statement).await?;
    Ok(row.and_then(|(id,)| id))
}

const THAW_RECIPIENTS: &str = "DELETE FROM message_recipient
 WHERE message_id = $1
   AND contact_person_id IN (
     SELECT r.contact_person_id
     FROM message_recipient r
     WHERE r.message_id = $1
     ORDER BY r.contact_person_id
     LIMIT $2)";

const THAW_DELIVERIES: &str = "DELETE FROM delivery
 WHERE id IN (
   SELECT d.id
   FROM delivery d
   WHERE d.message_id = $1
   ORDER BY d.id
   LIMIT $2)";

/// Takes back up to about `limit` rows of a frozen audience, before anything of it was due: the message is edited and frozen
/// anew, or was never shown. Returns how many rows or blocks; 0 when nothing is left.
///
/// # Errors
/// [`super::StoreError`].
pub async fn thaw(session: &mut Session, message_id: &str, limit: i64) -> Result<u64> {
    let blocks = sealed_audience::thaw(session, message_id, limit / BLOCKS_FOR_ROWS + 1).await?;
    if blocks > 0 {
        return Ok(blocks);
    }
    let statement = session.sql(THAW_RECIPIENTS).bind(message_id.to_owned()).bind(limit);
    let recipients = session.execute(statement).await?;
    if recipients > 0 {
        return Ok(recipients);
    }
    session.execute(session.sql(THAW_DELIVERIES).bind(message_id.to_owned()).bind(limit)).await
}

const FROZEN_COUNTS: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS contact_persons,
   CAST(COALESCE(SUM(households), 0) AS BIGINT) AS households,
   CAST(COALESCE(SUM(CASE WHEN delivery_id IS NOT NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS reached,
   CAST(COALESCE(SUM(CASE WHEN delivery_id IS NOT NULL THEN households ELSE 0 END), 0) AS BIGINT) AS households_reached
 FROM message_recipient
 WHERE message_id = $1";

#[derive(sqlx::FromRow)]
struct FrozenCounts {
    contact_persons: i64,
    households: i64,
    reached: i64,
    households_reached: i64,
}

/// The audience of an alert as it was frozen.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count(session: &mut Session, message_id: &str) -> Result<AlertAudience> {
    let counts: Option<FrozenCounts> = session.one(session.sql(FROZEN_COUNTS).bind(message_id.to_owned())).await?;
    let counts = counts.expect("an aggregate returns a row");
    Ok(AlertAudience {
        contact_persons: counts.contact_persons,
        households: counts.households,
        by_sms: counts.reached,
        households_by_sms: counts.households_reached,
        not_reached: counts.contact_persons - counts.reached,
    })
}
