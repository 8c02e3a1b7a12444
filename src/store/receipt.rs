//! Owns the receipt table: delivery reports as they came, each word once for each attempt; and which ones are awaited.

use std::borrow::Cow;

use serde::Serialize;

use super::together::Write;
use super::{Result, Session, json};

/// A report to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewReceipt<'a> {
    /// The delivery it is about.
    pub delivery_id: i64,
    /// Which attempt.
    pub attempt: i64,
    /// The gateway's word.
    pub word: Cow<'a, str>,
    /// Which gateway.
    pub gateway: &'a str,
    /// The gateway's id.
    pub gateway_ref: &'a str,
    /// Its meaning as a code, `None` for a word we do not know.
    pub state: Option<&'static str>,
}

const STORE: &str = "INSERT INTO receipt (delivery_id, attempt, word, gateway, gateway_ref, state, received_at)
 SELECT v.delivery_id, v.attempt, v.word, v.gateway, v.gateway_ref, v.state, $2
 FROM {rows $1: delivery_id BIGINT, attempt BIGINT, word TEXT, gateway TEXT, gateway_ref TEXT, state TEXT}
 WHERE v.delivery_id IN (SELECT d.id FROM delivery d WHERE d.id = v.delivery_id)
 ON CONFLICT (delivery_id, attempt, word) DO NOTHING";

/// Stores reports on deliveries that exist. What came before stays as it came.
#[must_use]
pub fn store(receipts: &[NewReceipt<'_>], now: i64) -> Write {
    Write::new(STORE).bind(json(&receipts)).bind(now)
}

/// A report as shown.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Receipt {
    /// Which attempt.
    pub attempt: i64,
    /// The gateway's word.
    pub word: String,
    /// The gateway's id.
    pub gateway_ref: String,
    /// When it came, Unix ms.
    pub received_at: i64,
}

const OF_DELIVERY: &str = "SELECT attempt, word, gateway_ref, received_at
 FROM receipt
 WHERE delivery_id = $1
 ORDER BY received_at, word";

/// All reports on a delivery, in the order they came.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_delivery(session: &mut Session, delivery_id: i64) -> Result<Vec<Receipt>> {
    session.list(session.sql(OF_DELIVERY).bind(delivery_id)).await
}

const AWAITED_SINCE: &str = "SELECT MIN(stamped_at) AS oldest_at, MAX(stamped_at) AS newest_at
 FROM delivery
 WHERE state = 'accepted'
   AND channel = 'sms'
   AND gateway = $1";

/// When the oldest and the newest delivery that await a receipt from a gateway were handed over, Unix ms.
///
/// # Errors
/// [`super::StoreError`].
pub async fn awaited_since(session: &mut Session, gateway: &str) -> Result<Option<(i64, i64)>> {
    let row: Option<(Option<i64>, Option<i64>)> =
        session.one(session.sql(AWAITED_SINCE).bind(gateway.to_owned())).await?;
    Ok(row.and_then(|(oldest_at, newest_at)| oldest_at.zip(newest_at)))
}

/// A delivery that awaits a receipt.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Awaited {
    /// The gateway's id.
    pub gateway_ref: String,
    /// The delivery.
    pub delivery_id: i64,
    /// The attempt that was accepted.
    pub attempt: i64,
}

#[derive(Serialize)]
struct RefRow<'a> {
    gateway_ref: &'a str,
}

const AWAITED: &str = "SELECT gateway_ref, id AS delivery_id, attempts AS attempt
 FROM delivery
 WHERE gateway = $2
   AND gateway_ref IN (SELECT v.gateway_ref FROM {rows $1: gateway_ref TEXT})
   AND state = 'accepted'";

/// Which of these ids of a gateway belong to a delivery that awaits a receipt.
///
/// # Errors
/// [`super::StoreError`].
pub async fn awaited<'a>(
    session: &mut Session,
    gateway: &str,
    refs: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Awaited>> {
    let rows: Vec<RefRow<'_>> = refs.into_iter().map(|gateway_ref| RefRow { gateway_ref }).collect();
    session.list(session.sql(AWAITED).bind(json(&rows)).bind(gateway.to_owned())).await
}
