//! Owns what became of ringing persons whom nothing reaches.
//!
//! Invariant: a call goes with its person, and its note when it has been kept long enough.

use super::observation::ids_json;
use super::{Result, Session};

/// A call to a person.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PhoneCall {
    /// UUIDv7.
    pub id: String,
    /// Who was rung.
    pub contact_person_id: String,
    /// Code of a `CallOutcome`.
    pub outcome: String,
    /// What whoever rang wrote about it.
    pub note: String,
    /// Who rang, an actor's id.
    pub called_by: String,
    /// When, Unix ms.
    pub called_at: i64,
}

const INSERT: &str = "INSERT INTO phone_call (id, contact_person_id, outcome, note, called_by, called_at, disposed_at)
 VALUES ($1, $2, $3, $4, $5, $6, NULL)";

/// Writes a call down.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(session: &mut Session, call: &PhoneCall) -> Result<()> {
    let c = call.clone();
    let statement = session
        .sql(INSERT)
        .bind(c.id)
        .bind(c.contact_person_id)
        .bind(c.outcome)
        .bind(c.note)
        .bind(c.called_by)
        .bind(c.called_at);
    session.execute(statement).await.map(drop)
}

const OF_PERSON: &str = "SELECT id, contact_person_id, outcome, note, called_by, called_at
 FROM phone_call
 WHERE contact_person_id = $1
 ORDER BY called_at, id";

/// Every call to a person, in order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_person(session: &mut Session, contact_person_id: &str) -> Result<Vec<PhoneCall>> {
    session.list(session.sql(OF_PERSON).bind(contact_person_id.to_owned())).await
}

const SINCE_CONFIRMED: &str = "SELECT c.id, c.contact_person_id, c.outcome, c.note, c.called_by, c.called_at
 FROM phone_call c
 WHERE c.contact_person_id IN (SELECT v.id FROM {rows $1: id TEXT})
   AND NOT EXISTS (
     SELECT 1
     FROM phone_call f
     WHERE f.contact_person_id = c.contact_person_id
       AND f.outcome = 'confirmed'
       AND f.called_at >= c.called_at)
 ORDER BY c.called_at, c.id";

/// The calls to these persons after the last that confirmed what the register says of them, in order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn since_confirmed(session: &mut Session, ids: &[&str]) -> Result<Vec<PhoneCall>> {
    session.list(session.sql(SINCE_CONFIRMED).bind(ids_json(ids))).await
}

const HAND_OVER: &str = "UPDATE phone_call
 SET contact_person_id = $2
 WHERE contact_person_id = $1";

/// Gives the calls of a record that goes (`from`) to the one that stays.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hand_over(session: &mut Session, from: &str, to: &str) -> Result<()> {
    session.execute(session.sql(HAND_OVER).bind(from.to_owned()).bind(to.to_owned())).await.map(drop)
}

const ERASE: &str = "DELETE FROM phone_call
 WHERE contact_person_id = $1";

/// Removes the calls to a person.
///
/// # Errors
/// [`super::StoreError`].
pub async fn erase(session: &mut Session, contact_person_id: &str) -> Result<()> {
    session.execute(session.sql(ERASE).bind(contact_person_id.to_owned())).await.map(drop)
}
