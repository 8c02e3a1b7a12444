//! Owns who gets a message: counting an audience and freezing it as deliveries.
//!
//! It does not know texts. Invariant: what is counted and what is frozen use the same conditions, word for word.

use super::area::codes_json;
use super::{Result, Session};
use crate::domain::audience::AlertAudience;

/// A contact person who can get an alert at `$2`.
macro_rules! can_get_sms {
    () => {
        "p.alerts = 1 AND p.mobile IS NOT NULL AND p.alerts_opt_out_at IS NULL
     AND (p.paused_until_at IS NULL OR p.paused_until_at <= $2)"
    };
}

const COUNT_SMS: &str = concat!(
    "SELECT CAST(COUNT(*) AS BIGINT) AS contact_persons,
   CAST(COALESCE(SUM(p.households), 0) AS BIGINT) AS households,
   CAST(COALESCE(SUM(CASE WHEN ",
    can_get_sms!(),
    " THEN 1 ELSE 0 END), 0) AS BIGINT) AS by_sms,
   CAST(COALESCE(SUM(CASE WHEN ",
    can_get_sms!(),
    " THEN p.households ELSE 0 END), 0) AS BIGINT) AS households_by_sms
 FROM contact_person p
 WHERE p.erased_at IS NULL
   AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})"
);

#[derive(sqlx::FromRow)]
struct SmsCounts {
    contact_persons: i64,
    households: i64,
    by_sms: i64,
    households_by_sms: i64,
}

/// Whom an alert to these areas (with all below them, expanded by the caller) would reach at `now`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_sms<'a>(
    session: &mut Session,
    areas: impl IntoIterator<Item = &'a str>,
    now: i64,
) -> Result<AlertAudience> {
    let statement = session.sql(COUNT_SMS).bind(codes_json(areas)).bind(now);
    let counts: Option<SmsCounts> = session.one(statement).await?;
    let counts = counts.expect("an aggregate returns a row");
    Ok(AlertAudience {
        contact_persons: counts.contact_persons,
        households: counts.households,
        by_sms: counts.by_sms,
        households_by_sms: counts.households_by_sms,
        not_reached: counts.contact_persons - counts.by_sms,
    })
}

const NOT_REACHED: &str = concat!(
    "SELECT CASE WHEN p.mobile IS NULL THEN 'no_mobile'
     WHEN p.alerts_opt_out_at IS NOT NULL THEN 'opted_out'
     WHEN p.alerts = 0 THEN 'alerts_off'
     ELSE 'paused' END AS reason,
   CAST(COUNT(*) AS BIGINT) AS contact_persons
 FROM contact_person p
 WHERE p.erased_at IS NULL
   AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})
   AND NOT (",
    can_get_sms!(),
    ")
 GROUP BY 1
 ORDER BY 1"
);

/// Why persons in these areas (with all below them, expanded by the caller) would not get an alert at `now`, and how many:
/// `no_mobile`, `opted_out`, `alerts_off` or `paused`, as it is kept when an audience is frozen.
///
/// # Errors
/// [`super::StoreError`].
pub async fn not_reached<'a>(
    session: &mut Session,
    areas: impl IntoIterator<Item = &'a str>,
    now: i64,
) -> Result<Vec<(String, i64)>> {
    session.list(session.sql(NOT_REACHED).bind(codes_json(areas)).bind(now)).await
}

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

/// Delivery ids of one message span this many.
pub const IDS_PER_MESSAGE: i64 = 10_000_000;

const FREEZE_SMS: &str = concat!(
    "WITH audience AS (
   SELECT p.id, p.mobile AS address, p.area_code, p.households
   FROM contact_person p
   WHERE p.erased_at IS NULL
     AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})
     AND ",
    can_get_sms!(),
    "),
 addressed AS (
   SELECT address, MIN(id) AS contact_person_id, MIN(area_code) AS area_code,
     CAST(COUNT(*) AS BIGINT) AS persons, CAST(SUM(households) AS BIGINT) AS households
   FROM audience
   GROUP BY address),
 ranked AS (
   SELECT address, contact_person_id, area_code, persons, households,
     ROW_NUMBER() OVER (PARTITION BY area_code ORDER BY households DESC, contact_person_id) AS place
   FROM addressed)
 INSERT INTO delivery (id, message_id, channel, address, contact_person_id, area_code, persons, households,
   state, priority, due_at, place, expires_at, queued_at)
 SELECT $3 + ROW_NUMBER() OVER (ORDER BY place, households DESC, contact_person_id),
   $4, 'sms', address, contact_person_id, area_code, persons, households,
   'queued', $5, $6, place, $7, $8
 FROM ranked"
);

const FREEZE_RECIPIENTS: &str = concat!(
    "INSERT INTO message_recipient (message_id, contact_person_id, channel, delivery_id, area_code, households, not_reached)
 SELECT $3, p.id, 'sms', d.id, p.area_code, p.households,
   CASE WHEN d.id IS NOT NULL THEN NULL
     WHEN p.mobile IS NULL THEN 'no_mobile'
     WHEN p.alerts_opt_out_at IS NOT NULL THEN 'opted_out'
     WHEN p.alerts = 0 THEN 'alerts_off'
     ELSE 'paused' END
 FROM contact_person p
 LEFT JOIN delivery d ON d.message_id = $3 AND d.channel = 'sms' AND d.address = p.mobile
   AND ",
    can_get_sms!(),
    "
 WHERE p.erased_at IS NULL
   AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})"
);

/// Freezes the audience of an alert: one delivery for each number, each person covered by one. Coverage first:
/// one per watch area, those with most households before others, then the second of each, and so on.
/// Returns the number of deliveries.
///
/// # Errors
/// [`super::StoreError`].
pub async fn freeze_sms(session: &mut Session, areas_json: &str, freeze: &Freeze<'_>) -> Result<u64> {
    let statement = session
        .sql(FREEZE_SMS)
        .bind(areas_json.to_owned())
        .bind(freeze.now)
        .bind(freeze.number * IDS_PER_MESSAGE)
        .bind(freeze.message_id.to_owned())
        .bind(freeze.priority)
        .bind(freeze.due_at)
        .bind(freeze.expires_at)
        .bind(freeze.now);
    let deliveries = session.execute(statement).await?;
    let statement =
        session.sql(FREEZE_RECIPIENTS).bind(areas_json.to_owned()).bind(freeze.now).bind(freeze.message_id.to_owned());
    session.execute(statement).await?;
    Ok(deliveries)
}

const COUNT_FOLLOW_UP: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS deliveries
 FROM delivery d
 WHERE d.message_id = $1
   AND (d.state IN ('accepted', 'in_doubt', 'delivered', 'unconfirmed')
     OR (d.state = 'sending' AND d.stamped_at IS NOT NULL)
     OR (d.state = 'failed' AND d.reason = 'in_doubt.given_up'))";

/// How many phones may have message `first`: whom a follow-up would go to now.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_follow_up(session: &mut Session, first: &str) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(COUNT_FOLLOW_UP).bind(first.to_owned())).await?;
    Ok(row.unwrap_or_default().0)
}

const FREEZE_FOLLOW_UP: &str = "INSERT INTO delivery (id, message_id, channel, address, contact_person_id, area_code,
   persons, households, state, priority, due_at, place, expires_at, queued_at, waits_for)
 SELECT $1 + ROW_NUMBER() OVER (ORDER BY d.id),
   $2, d.channel, d.address, d.contact_person_id, d.area_code,
   d.persons, d.households, 'queued', $3, $4, d.place, $5, $6, d.id
 FROM delivery d
 WHERE d.message_id = $7
   AND (d.state IN ('accepted', 'in_doubt', 'delivered', 'unconfirmed')
     OR (d.state = 'sending' AND d.stamped_at IS NOT NULL)
     OR (d.state = 'failed' AND d.reason = 'in_doubt.given_up'))";

const FREEZE_FOLLOW_UP_RECIPIENTS: &str =
    "INSERT INTO message_recipient (message_id, contact_person_id, channel, delivery_id, area_code, households)
 SELECT $1, r.contact_person_id, r.channel, d.id, r.area_code, r.households
 FROM delivery d
 JOIN message_recipient r ON r.delivery_id = d.waits_for
 WHERE d.message_id = $1";

/// Freezes a follow-up to exactly those whose phone may have message `first`; each delivery waits for a hand-over
/// of the first to the same phone that is under way. Returns the number of deliveries.
///
/// # Errors
/// [`super::StoreError`].
pub async fn freeze_follow_up(session: &mut Session, first: &str, freeze: &Freeze<'_>) -> Result<u64> {
    let statement = session
        .sql(FREEZE_FOLLOW_UP)
        .bind(freeze.number * IDS_PER_MESSAGE)
        .bind(freeze.message_id.to_owned())
        .bind(freeze.priority)
        .bind(freeze.due_at)
        .bind(freeze.expires_at)
        .bind(freeze.now)
        .bind(first.to_owned());
    let deliveries = session.execute(statement).await?;
    session.execute(session.sql(FREEZE_FOLLOW_UP_RECIPIENTS).bind(freeze.message_id.to_owned())).await?;
    Ok(deliveries)
}

const THAW_RECIPIENTS: &str = "DELETE FROM message_recipient
 WHERE message_id = $1";

const THAW_DELIVERIES: &str = "DELETE FROM delivery
 WHERE message_id = $1";

/// Takes back a frozen audience, before anything was approved or due: the message is edited and frozen anew.
///
/// # Errors
/// [`super::StoreError`].
pub async fn thaw(session: &mut Session, message_id: &str) -> Result<()> {
    session.execute(session.sql(THAW_RECIPIENTS).bind(message_id.to_owned())).await?;
    session.execute(session.sql(THAW_DELIVERIES).bind(message_id.to_owned())).await.map(drop)
}

const FROZEN_COUNTS: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS contact_persons,
   CAST(COALESCE(SUM(households), 0) AS BIGINT) AS households,
   CAST(COALESCE(SUM(CASE WHEN delivery_id IS NOT NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS by_sms,
   CAST(COALESCE(SUM(CASE WHEN delivery_id IS NOT NULL THEN households ELSE 0 END), 0) AS BIGINT) AS households_by_sms
 FROM message_recipient
 WHERE message_id = $1";

/// The audience of a message as it was frozen.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_frozen(session: &mut Session, message_id: &str) -> Result<AlertAudience> {
    let counts: Option<SmsCounts> = session.one(session.sql(FROZEN_COUNTS).bind(message_id.to_owned())).await?;
    let counts = counts.expect("an aggregate returns a row");
    Ok(AlertAudience {
        contact_persons: counts.contact_persons,
        households: counts.households,
        by_sms: counts.by_sms,
        households_by_sms: counts.households_by_sms,
        not_reached: counts.contact_persons - counts.by_sms,
    })
}
