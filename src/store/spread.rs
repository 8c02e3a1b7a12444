//! Owns the words of contact persons that they have passed an alert on, and the households these add up to.
//!
//! Invariant: one word per person and alert; a later one replaces it.

use super::{Result, Session};

const CONFIRM: &str =
    "INSERT INTO spread_confirmation (message_id, contact_person_id, households, source, confirmed_at)
 VALUES ($1, $2, $3, $4, $5)
 ON CONFLICT (message_id, contact_person_id) DO UPDATE SET households = excluded.households, source = excluded.source,
   confirmed_at = excluded.confirmed_at";

/// Notes that a person has passed an alert on to so many households.
///
/// # Errors
/// [`super::StoreError`].
pub async fn confirm(
    session: &mut Session,
    (message_id, contact_person_id): (&str, &str),
    (households, source): (i64, &'static str),
    now: i64,
) -> Result<()> {
    let statement = session
        .sql(CONFIRM)
        .bind(message_id.to_owned())
        .bind(contact_person_id.to_owned())
        .bind(households)
        .bind(source)
        .bind(now);
    session.execute(statement).await.map(drop)
}

/// How far an alert was passed on, by those who say so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct SpreadReach {
    /// Persons who have confirmed.
    pub contact_persons: i64,
    /// Households they have reached.
    pub households: i64,
    /// Those of the persons whom the alert went to: not deputies, nor who has it from the own page only.
    pub recipients: i64,
}

const REACH: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS contact_persons,
   CAST(COALESCE(SUM(s.households), 0) AS BIGINT) AS households, CAST(COUNT(r.delivery_id) AS BIGINT) AS recipients
 FROM spread_confirmation s
 LEFT JOIN message_recipient r ON r.message_id = s.message_id AND r.contact_person_id = s.contact_person_id AND r.channel = 'sms'
 WHERE s.message_id = $1";

/// How far an alert was passed on.
///
/// # Errors
/// [`super::StoreError`].
pub async fn reach(session: &mut Session, message_id: &str) -> Result<SpreadReach> {
    Ok(session.one(session.sql(REACH).bind(message_id.to_owned())).await?.unwrap_or_default())
}

const OF_PERSON: &str = "SELECT s.message_id, s.households, s.source, s.confirmed_at
 FROM spread_confirmation s
 WHERE s.contact_person_id = $1
 ORDER BY s.confirmed_at, s.message_id";

/// A person's word about one alert.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Confirmation {
    /// The alert.
    pub message_id: String,
    /// Households.
    pub households: i64,
    /// `sms`, `email` or `page`.
    pub source: String,
    /// Unix ms.
    pub confirmed_at: i64,
}

/// What a person has confirmed, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_person(session: &mut Session, contact_person_id: &str) -> Result<Vec<Confirmation>> {
    session.list(session.sql(OF_PERSON).bind(contact_person_id.to_owned())).await
}

const SILENT: &str = "SELECT CAST(COUNT(DISTINCT d.id) AS BIGINT) AS silent
 FROM delivery d
 WHERE d.message_id = $1
   AND (d.state IN ('accepted', 'in_doubt', 'delivered', 'unconfirmed')
     OR (d.state = 'sending' AND d.stamped_at IS NOT NULL)
     OR (d.state = 'failed' AND d.reason = 'in_doubt.given_up'))
   AND NOT EXISTS (
     SELECT 1
     FROM message_recipient r
     JOIN spread_confirmation s ON s.message_id = $1 AND s.contact_person_id = r.contact_person_id
     WHERE r.delivery_id = d.id)";

/// How many phones may have an alert whose persons have not said that they passed it on.
///
/// # Errors
/// [`super::StoreError`].
pub async fn silent(session: &mut Session, message_id: &str) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(SILENT).bind(message_id.to_owned())).await?;
    Ok(row.map_or(0, |(silent,)| silent))
}
