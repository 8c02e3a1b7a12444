//! Owns the parts of SMS at gateways that take each part by itself: those they took, receipts about parts, and parts that came in.
//!
//! It moves no delivery. Invariant: a receipt stays until what it says is on its delivery; one about an id that nobody knows stays
//! until [`forget`].

use serde::Serialize;

use super::delivery::ids_json;
use super::{Result, Session, json};

/// A part that a gateway has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewPart {
    /// The gateway's id for it.
    pub gateway_ref: String,
    /// The delivery it belongs to.
    pub delivery_id: i64,
    /// Which attempt.
    pub attempt: i64,
    /// Which part, from 1.
    pub part: i64,
    /// How many there are.
    pub parts: i64,
    /// Keyed digest of the number.
    pub addressee: String,
}

// A gateway that counts anew gives an id again: the newest part has it then.
const PUT: &str = "INSERT INTO sms_part (gateway, gateway_ref, delivery_id, attempt, part, parts, addressee, taken_at)
 SELECT $2, v.gateway_ref, v.delivery_id, v.attempt, v.part, v.parts, v.addressee, $3
 FROM {rows $1: gateway_ref TEXT, delivery_id BIGINT, attempt BIGINT, part BIGINT, parts BIGINT, addressee TEXT}
 WHERE 1 = 1
 ON CONFLICT (gateway, gateway_ref) DO UPDATE SET
   delivery_id = excluded.delivery_id,
   attempt = excluded.attempt,
   part = excluded.part,
   parts = excluded.parts,
   addressee = excluded.addressee,
   state = CASE WHEN sms_part.delivery_id = excluded.delivery_id AND sms_part.attempt = excluded.attempt
     THEN sms_part.state END,
   taken_at = excluded.taken_at";

/// Notes parts that a gateway has taken, each id once among them.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put(session: &mut Session, gateway: &str, parts: &[NewPart], now: i64) -> Result<()> {
    session.execute(session.sql(PUT).bind(json(&parts)).bind(gateway.to_owned()).bind(now)).await.map(drop)
}

/// A receipt about a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewReport {
    /// The gateway's id for the part.
    pub gateway_ref: String,
    /// The gateway's word.
    pub word: String,
    /// `sent`, `delivered` or `failed`; `None` for a word that says nothing.
    pub state: Option<&'static str>,
    /// Keyed digest of the number.
    pub addressee: String,
}

const KEEP: &str = "INSERT INTO part_receipt (gateway, gateway_ref, word, state, addressee, received_at)
 SELECT $2, v.gateway_ref, v.word, v.state, v.addressee, $3
 FROM {rows $1: gateway_ref TEXT, word TEXT, state TEXT, addressee TEXT}
 WHERE 1 = 1
 ON CONFLICT (gateway, gateway_ref, word) DO NOTHING";

/// Keeps receipts, each word about an id once.
///
/// # Errors
/// [`super::StoreError`].
pub async fn keep_reports(session: &mut Session, gateway: &str, reports: &[NewReport], now: i64) -> Result<()> {
    session.execute(session.sql(KEEP).bind(json(&reports)).bind(gateway.to_owned()).bind(now)).await.map(drop)
}

/// A receipt whose part is known.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Matched {
    /// The gateway's id for the part.
    pub gateway_ref: String,
    /// The gateway's word.
    pub word: String,
    /// `sent`, `delivered` or `failed`; `None` for a word that says nothing.
    pub state: Option<String>,
    /// The delivery.
    pub delivery_id: i64,
    /// Which attempt.
    pub attempt: i64,
    /// Which part.
    pub part: i64,
    /// How many there are.
    pub parts: i64,
}

const MATCHED: &str = "SELECT r.gateway_ref, r.word, r.state, p.delivery_id, p.attempt, p.part, p.parts
 FROM part_receipt r
 JOIN sms_part p ON p.gateway = r.gateway AND p.gateway_ref = r.gateway_ref
 WHERE r.gateway = $1
 ORDER BY r.received_at, r.gateway_ref, r.word
 LIMIT $2";

/// Receipts whose part is known, the oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn matched(session: &mut Session, gateway: &str, limit: i64) -> Result<Vec<Matched>> {
    session.list(session.sql(MATCHED).bind(gateway.to_owned()).bind(limit)).await
}

#[derive(Serialize)]
struct StateRow<'a> {
    gateway_ref: &'a str,
    state: &'a str,
}

const NOTE: &str = "UPDATE sms_part
 SET state = v.state
 FROM {rows $1: gateway_ref TEXT, state TEXT}
 WHERE sms_part.gateway = $2
   AND sms_part.gateway_ref = v.gateway_ref
   AND sms_part.state IS NULL";

/// Notes what finally became of parts (`delivered` or `failed`); the first word stays. Each id once among them.
///
/// # Errors
/// [`super::StoreError`].
pub async fn note_states(session: &mut Session, gateway: &str, states: &[(&str, &str)]) -> Result<()> {
    let rows: Vec<StateRow<'_>> = states.iter().map(|&(gateway_ref, state)| StateRow { gateway_ref, state }).collect();
    session.execute(session.sql(NOTE).bind(json(&rows)).bind(gateway.to_owned())).await.map(drop)
}

/// How the parts of one attempt stand.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Standing {
    /// The delivery.
    pub delivery_id: i64,
    /// Which attempt.
    pub attempt: i64,
    /// How many parts it has.
    pub parts: i64,
    /// Of how many the gateway's id is known.
    pub known: i64,
    /// How many have arrived.
    pub delivered: i64,
    /// How many will not.
    pub failed: i64,
    /// The id of the first part, where it is known.
    pub first_ref: Option<String>,
}

#[derive(Serialize)]
struct IdRow {
    id: i64,
}

const STANDING: &str = "SELECT delivery_id, attempt, MAX(parts) AS parts, CAST(COUNT(*) AS BIGINT) AS known,
   CAST(SUM(CASE WHEN state = 'delivered' THEN 1 ELSE 0 END) AS BIGINT) AS delivered,
   CAST(SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS BIGINT) AS failed,
   MIN(CASE WHEN part = 1 THEN gateway_ref END) AS first_ref
 FROM sms_part
 WHERE delivery_id IN (SELECT v.id FROM {rows $1: id BIGINT})
 GROUP BY delivery_id, attempt
 ORDER BY delivery_id, attempt";

/// How the parts of these deliveries stand, attempt by attempt.
///
/// # Errors
/// [`super::StoreError`].
pub async fn standing(session: &mut Session, deliveries: &[i64]) -> Result<Vec<Standing>> {
    let rows: Vec<IdRow> = deliveries.iter().map(|&id| IdRow { id }).collect();
    session.list(session.sql(STANDING).bind(json(&rows))).await
}

#[derive(Serialize)]
struct WordRow<'a> {
    gateway_ref: &'a str,
    word: &'a str,
}

const DROP_REPORTS: &str = "DELETE FROM part_receipt
 WHERE gateway = $2
   AND (gateway_ref, word) IN (SELECT v.gateway_ref, v.word FROM {rows $1: gateway_ref TEXT, word TEXT})";

/// Removes receipts whose word is on their delivery.
///
/// # Errors
/// [`super::StoreError`].
pub async fn drop_reports(session: &mut Session, gateway: &str, reports: &[(&str, &str)]) -> Result<()> {
    let rows: Vec<WordRow<'_>> = reports.iter().map(|&(gateway_ref, word)| WordRow { gateway_ref, word }).collect();
    session.execute(session.sql(DROP_REPORTS).bind(json(&rows)).bind(gateway.to_owned())).await.map(drop)
}

/// A receipt about an id that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Loose {
    /// The gateway's id.
    pub gateway_ref: String,
    /// Keyed digest of the number.
    pub addressee: String,
    /// When its first word came, Unix ms.
    pub received_at: i64,
}

#[derive(Serialize)]
struct AddresseeRow<'a> {
    addressee: &'a str,
}

fn addressee_rows(addressees: &[String]) -> String {
    json(&addressees.iter().map(|addressee| AddresseeRow { addressee }).collect::<Vec<_>>())
}

const LOOSE: &str = "SELECT r.gateway_ref, r.addressee, MIN(r.received_at) AS received_at
 FROM part_receipt r
 WHERE r.gateway = $2
   AND r.addressee IN (SELECT v.addressee FROM {rows $1: addressee TEXT})
   AND NOT EXISTS (SELECT 1 FROM sms_part p WHERE p.gateway = r.gateway AND p.gateway_ref = r.gateway_ref)
 GROUP BY r.gateway_ref, r.addressee
 ORDER BY MIN(r.received_at), r.gateway_ref";

/// Ids that nobody knows, in receipts about these numbers (keyed digests), the oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn loose(session: &mut Session, gateway: &str, addressees: &[String]) -> Result<Vec<Loose>> {
    session.list(session.sql(LOOSE).bind(addressee_rows(addressees)).bind(gateway.to_owned())).await
}

const UNREPORTED: &str = "SELECT DISTINCT p.addressee, p.delivery_id
 FROM sms_part p
 WHERE p.gateway = $2
   AND p.addressee IN (SELECT v.addressee FROM {rows $1: addressee TEXT})
   AND p.state IS NULL
   AND p.taken_at >= $3";

/// Deliveries to these numbers (keyed digests) with a part taken since `since` that no final receipt has come for, as
/// (digest, delivery).
///
/// # Errors
/// [`super::StoreError`].
pub async fn unreported(
    session: &mut Session,
    gateway: &str,
    addressees: &[String],
    since: i64,
) -> Result<Vec<(String, i64)>> {
    let statement = session.sql(UNREPORTED).bind(addressee_rows(addressees)).bind(gateway.to_owned()).bind(since);
    session.list(statement).await
}

const COUNT_LOOSE: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS n
 FROM part_receipt r
 WHERE r.gateway = $1
   AND r.received_at < $2
   AND NOT EXISTS (SELECT 1 FROM sms_part p WHERE p.gateway = r.gateway AND p.gateway_ref = r.gateway_ref)";

/// How many receipts about ids that nobody knows came before `before`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_loose(session: &mut Session, gateway: &str, before: i64) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(COUNT_LOOSE).bind(gateway.to_owned()).bind(before)).await?;
    Ok(row.map_or(0, |(n,)| n))
}

const FORGET: [&str; 2] =
    ["DELETE FROM sms_part WHERE taken_at < $1", "DELETE FROM part_receipt WHERE received_at < $1"];

/// Removes parts taken and receipts kept before `before`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget(session: &mut Session, before: i64) -> Result<()> {
    for statement in FORGET {
        session.execute(session.sql(statement).bind(before)).await?;
    }
    Ok(())
}

/// A part of an incoming SMS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct InboundPart {
    /// Digest of sender, reference and number of parts.
    pub whole: String,
    /// Which part, from 1.
    pub part: i64,
    /// How many there are.
    pub parts: i64,
    /// Who sent it.
    pub sender: String,
    /// Our number.
    pub recipient: String,
    /// How its characters are coded.
    pub coding: i64,
    /// Base64 of its octets.
    pub body: String,
    /// When it came, Unix ms.
    pub received_at: i64,
}

const KEEP_INBOUND: &str = "INSERT INTO inbound_sms_part
   (gateway, whole, part, parts, sender, recipient, coding, body, received_at)
 SELECT $2, v.whole, v.part, v.parts, v.sender, v.recipient, v.coding, v.body, v.received_at
 FROM {rows $1: whole TEXT, part BIGINT, parts BIGINT, sender TEXT, recipient TEXT, coding BIGINT, body TEXT, received_at BIGINT}
 WHERE 1 = 1
 ON CONFLICT (gateway, whole, part) DO NOTHING";

/// Keeps parts of incoming SMS, each once among them.
///
/// # Errors
/// [`super::StoreError`].
pub async fn keep_inbound(session: &mut Session, gateway: &str, parts: &[InboundPart]) -> Result<()> {
    session.execute(session.sql(KEEP_INBOUND).bind(json(&parts)).bind(gateway.to_owned())).await.map(drop)
}

const JOINABLE: &str = "SELECT p.whole, p.part, p.parts, p.sender, p.recipient, p.coding, p.body, p.received_at
 FROM inbound_sms_part p
 WHERE p.gateway = $1
   AND p.whole IN (
     SELECT q.whole
     FROM inbound_sms_part q
     WHERE q.gateway = $1
     GROUP BY q.whole
     HAVING COUNT(*) >= MAX(q.parts) OR MIN(q.received_at) < $2)
 ORDER BY p.whole, p.part";

/// The parts of incoming SMS that are complete, or whose first part came before `before`, whole by whole in order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn joinable(session: &mut Session, gateway: &str, before: i64) -> Result<Vec<InboundPart>> {
    session.list(session.sql(JOINABLE).bind(gateway.to_owned()).bind(before)).await
}

const DROP_INBOUND: &str = "DELETE FROM inbound_sms_part
 WHERE gateway = $1
   AND whole = $2
   AND part IN (SELECT v.id FROM {rows $3: id BIGINT})";

/// Removes parts of an incoming SMS that is kept as a whole, and not one that came since.
///
/// # Errors
/// [`super::StoreError`].
pub async fn drop_inbound(session: &mut Session, gateway: &str, whole: &str, parts: &[i64]) -> Result<()> {
    let statement = session.sql(DROP_INBOUND).bind(gateway.to_owned()).bind(whole.to_owned()).bind(ids_json(parts));
    session.execute(statement).await.map(drop)
}
