//! Owns writing a frozen audience: its deliveries and the persons they cover, whole or in pieces.
//!
//! It decides neither who is covered nor in which order (`domain::coverage`). Invariant: ids are the message's number and the
//! position, so that writing an audience twice fails instead of doubling it.

use super::{Result, Session};
use crate::domain::audience::AlertAudience;
use crate::domain::coverage::{Coverage, NotReached, POSITIONS, PlannedDelivery, PlannedRecipient};

/// Rows written by one statement, as its mark says; what is left over is filled up with NULL.
const ROWS: usize = 250;
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

const ADD_DELIVERIES: &str =
    "INSERT INTO delivery (id, message_id, channel, address, contact_person_id, area_code, persons, households, state,
   priority, due_at, place, expires_at, queued_at)
 WITH v (id, channel, address, person, area, persons, households, place) AS ({values 250 of 8 after $6})
 SELECT v.id, $1, v.channel, v.address, v.person, v.area, v.persons, v.households, 'queued',
   $2, $3, v.place, CASE WHEN v.channel = 'paper' THEN $4 ELSE $5 END, $6
 FROM v
 WHERE v.id IS NOT NULL";

/// Adds deliveries; says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_deliveries(
    session: &mut Session,
    freeze: &Freeze<'_>,
    deliveries: &[PlannedDelivery<'_>],
) -> Result<u64> {
    let mut added = 0;
    for some in deliveries.chunks(ROWS) {
        let mut statement = session
            .sql(ADD_DELIVERIES)
            .bind(freeze.message_id.to_owned())
            .bind(freeze.priority)
            .bind(freeze.due_at)
            .bind(NEVER)
            .bind(freeze.expires_at)
            .bind(freeze.now);
        for row in some.iter().map(Some).chain(std::iter::repeat(None)).take(ROWS) {
            statement = statement
                .bind(row.map(|row| freeze.number * POSITIONS + row.position))
                .bind(row.map(|row| row.channel.code()))
                .bind(row.map(|row| row.address.to_owned()))
                .bind(row.and_then(|row| row.contact_person_id.map(str::to_owned)))
                .bind(row.and_then(|row| row.area_code.map(str::to_owned)))
                .bind(row.map(|row| row.persons))
                .bind(row.map(|row| row.households))
                .bind(row.map(|row| row.place));
        }
        added += session.execute(statement).await?;
    }
    Ok(added)
}

const ADD_RECIPIENTS: &str =
    "INSERT INTO message_recipient (message_id, contact_person_id, channel, delivery_id, area_code, households, not_reached)
 WITH v (person, channel, delivery, area, households, why) AS ({values 250 of 6 after $1})
 SELECT $1, v.person, v.channel, v.delivery, v.area, v.households, v.why
 FROM v
 WHERE v.person IS NOT NULL";

/// Adds the persons frozen into a message, whose deliveries must be there; says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_recipients(
    session: &mut Session,
    freeze: &Freeze<'_>,
    recipients: &[PlannedRecipient<'_>],
) -> Result<u64> {
    let mut added = 0;
    for some in recipients.chunks(ROWS) {
        let mut statement = session.sql(ADD_RECIPIENTS).bind(freeze.message_id.to_owned());
        for row in some.iter().map(Some).chain(std::iter::repeat(None)).take(ROWS) {
            let position = row.and_then(|row| row.position);
            statement = statement
                .bind(row.map(|row| row.contact_person_id.to_owned()))
                .bind(row.map(|row| row.channel.code()))
                .bind(position.map(|position| freeze.number * POSITIONS + position))
                .bind(row.map(|row| row.area_code.to_owned()))
                .bind(row.map(|row| row.households))
                .bind(row.and_then(|row| row.not_reached).map(NotReached::code));
        }
        added += session.execute(statement).await?;
    }
    Ok(added)
}

/// Writes an audience in the transaction of `session`. Returns the number of deliveries.
///
/// # Errors
/// [`super::StoreError`].
pub async fn write(session: &mut Session, freeze: &Freeze<'_>, coverage: &Coverage) -> Result<u64> {
    let deliveries: Vec<_> = coverage.deliveries().collect();
    let added = add_deliveries(session, freeze, &deliveries).await?;
    let recipients: Vec<_> = coverage.recipients().collect();
    add_recipients(session, freeze, &recipients).await?;
    Ok(added)
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
     OR (d.state = 'failed' AND d.reason = 'in_doubt.given_up'))";

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
        .bind(until);
    let deliveries = session.execute(statement).await?;
    let statement =
        session.sql(FOLLOW_UP_RECIPIENTS).bind(freeze.message_id.to_owned()).bind(after + shift).bind(until + shift);
    session.execute(statement).await?;
    Ok(deliveries)
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
/// anew, or was never shown. Returns how many; 0 when nothing is left.
///
/// # Errors
/// [`super::StoreError`].
pub async fn thaw(session: &mut Session, message_id: &str, limit: i64) -> Result<u64> {
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
