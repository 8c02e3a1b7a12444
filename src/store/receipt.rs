//! Owns the receipt table: delivery reports as they came, each word once for each attempt.

use serde::Serialize;

use super::{Result, Session, json};

/// A report to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewReceipt {
    /// The delivery it is about.
    pub delivery_id: i64,
    /// Which attempt.
    pub attempt: i64,
    /// The gateway's word.
    pub word: String,
    /// Which gateway.
    pub gateway: String,
    /// The gateway's id.
    pub gateway_ref: String,
    /// Its meaning as a code, `None` for a word we do not know.
    pub state: Option<String>,
}

const STORE: &str = "INSERT INTO receipt (delivery_id, attempt, word, gateway, gateway_ref, state, received_at)
 SELECT v.delivery_id, v.attempt, v.word, v.gateway, v.gateway_ref, v.state, $2
 FROM {rows $1: delivery_id BIGINT, attempt BIGINT, word TEXT, gateway TEXT, gateway_ref TEXT, state TEXT}
 WHERE v.delivery_id IN (SELECT d.id FROM delivery d WHERE d.id = v.delivery_id)
 ON CONFLICT (delivery_id, attempt, word) DO NOTHING
 RETURNING delivery_id, attempt, word";

/// Stores reports on deliveries that exist; returns those that are new as (delivery, attempt, word).
///
/// # Errors
/// [`super::StoreError`].
pub async fn store(session: &mut Session, receipts: &[NewReceipt], now: i64) -> Result<Vec<(i64, i64, String)>> {
    session.list(session.sql(STORE).bind(json(&receipts)).bind(now)).await
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
