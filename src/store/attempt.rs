//! Owns the attempt table: one row for each time a delivery passed the gate.

use serde::Serialize;

use super::stamp::{Gate, Stamped};
use super::together::Write;
use super::{Result, Session, json};

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The provider took it.
    Accepted,
    /// The provider refused it for good.
    Rejected,
    /// Surely not taken; to be tried again.
    Retry,
    /// May have been taken.
    InDoubt,
    /// Nothing was sent: the lease had run out, or the daemon stopped first.
    NotSent,
    /// Proven later not to have been taken.
    Absent,
}

impl AttemptOutcome {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Retry => "retry",
            Self::InDoubt => "in_doubt",
            Self::NotSent => "not_sent",
            Self::Absent => "absent",
        }
    }
}

/// An attempt as shown.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Attempt {
    /// Counted from 1.
    pub number: i64,
    /// Through which gateway.
    pub gateway: String,
    /// When it passed the gate, Unix ms.
    pub stamped_at: i64,
    /// When its outcome was known, Unix ms.
    pub ended_at: Option<i64>,
    /// An [`AttemptOutcome`]'s code.
    pub outcome: Option<String>,
    /// Why, as a stable code.
    pub reason: Option<String>,
    /// The provider's words.
    pub detail: Option<String>,
    /// The gateway's id.
    pub gateway_ref: Option<String>,
}

#[derive(Serialize)]
struct OpenRow {
    id: i64,
    number: i64,
}

const OPEN: &str = "INSERT INTO attempt (delivery_id, number, gateway, owner, stamped_at)
 SELECT v.id, v.number, $2, $3, $4
 FROM {rows $1: id BIGINT, number BIGINT}";

/// Opens the attempts of stamped deliveries.
pub(super) async fn open(session: &mut Session, gate: &Gate<'_>, stamped: &[Stamped]) -> Result<()> {
    if stamped.is_empty() {
        return Ok(());
    }
    let rows = json(&stamped.iter().map(|row| OpenRow { id: row.id, number: row.attempts }).collect::<Vec<_>>());
    let statement =
        session.sql(OPEN).bind(rows).bind(gate.gateway.to_owned()).bind(gate.owner.to_owned()).bind(gate.now);
    session.execute(statement).await.map(drop)
}

/// The end of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The delivery.
    pub delivery_id: i64,
    /// Which attempt.
    pub number: i64,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Why, as a stable code.
    pub reason: Option<String>,
    /// The provider's words.
    pub detail: Option<String>,
    /// The gateway's id.
    pub gateway_ref: Option<String>,
}

#[derive(Serialize)]
struct EndRow<'a> {
    id: i64,
    number: i64,
    outcome: &'static str,
    reason: Option<&'a str>,
    detail: Option<&'a str>,
    gateway_ref: Option<&'a str>,
}

const END: &str = "UPDATE attempt
 SET ended_at = COALESCE(attempt.ended_at, $2),
   outcome = v.outcome,
   reason = v.reason,
   detail = v.detail,
   gateway_ref = COALESCE(v.gateway_ref, attempt.gateway_ref)
 FROM {rows $1: id BIGINT, number BIGINT, outcome TEXT, reason TEXT, detail TEXT, gateway_ref TEXT}
 WHERE attempt.delivery_id = v.id
   AND attempt.number = v.number";

/// Writes how attempts ended; the time of the first ending stays.
///
/// # Errors
/// [`super::StoreError`].
pub async fn end(session: &mut Session, endings: &[Ending], now: i64) -> Result<()> {
    session.write_together(ended(endings, now).into_iter().collect()).await
}

/// What [`end`] does, to be done together with other writes; `None` when nothing ended.
pub(crate) fn ended(endings: &[Ending], now: i64) -> Option<Write> {
    if endings.is_empty() {
        return None;
    }
    let rows: Vec<EndRow<'_>> = endings
        .iter()
        .map(|ending| EndRow {
            id: ending.delivery_id,
            number: ending.number,
            outcome: ending.outcome.code(),
            reason: ending.reason.as_deref(),
            detail: ending.detail.as_deref(),
            gateway_ref: ending.gateway_ref.as_deref(),
        })
        .collect();
    Some(Write::new(END).bind(json(&rows)).bind(now))
}

const OF_DELIVERY: &str = "SELECT number, gateway, stamped_at, ended_at, outcome, reason, detail, gateway_ref
 FROM attempt
 WHERE delivery_id = $1
 ORDER BY number";

/// All attempts of a delivery, in order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_delivery(session: &mut Session, delivery_id: i64) -> Result<Vec<Attempt>> {
    session.list(session.sql(OF_DELIVERY).bind(delivery_id)).await
}

/// An attempt whose outcome is unknown, with what its look-up needs.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Doubted {
    /// The delivery.
    pub delivery_id: i64,
    /// Which attempt.
    pub number: i64,
    /// Recipient.
    pub address: String,
    /// When it passed the gate, Unix ms.
    pub stamped_at: i64,
    /// When its answer was lost or its daemon found dead, Unix ms.
    pub ended_at: i64,
    /// Since when the delivery is in doubt, Unix ms.
    pub doubted_at: i64,
    /// `alert`, `letter` or `test`.
    pub message_kind: String,
}

const DOUBTED: &str = "SELECT d.id AS delivery_id, a.number, d.address, a.stamped_at,
   COALESCE(a.ended_at, d.doubted_at, a.stamped_at) AS ended_at, COALESCE(d.doubted_at, a.stamped_at) AS doubted_at,
   m.kind AS message_kind
 FROM delivery d
 JOIN attempt a ON a.delivery_id = d.id AND a.number = d.attempts
 JOIN message m ON m.id = d.message_id
 WHERE d.state = 'in_doubt'
   AND d.gateway = $1
 ORDER BY a.stamped_at
 LIMIT $2";

/// Attempts in doubt at one gateway, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn doubted(session: &mut Session, gateway: &str, limit: i64) -> Result<Vec<Doubted>> {
    session.list(session.sql(DOUBTED).bind(gateway.to_owned()).bind(limit)).await
}

#[derive(Serialize)]
struct RefRow<'a> {
    gateway_ref: &'a str,
}

const HELD_REFS: &str = "SELECT a.gateway_ref, a.stamped_at
 FROM delivery d
 JOIN attempt a ON a.delivery_id = d.id AND a.gateway_ref = d.gateway_ref
 WHERE d.gateway = $2
   AND d.gateway_ref IN (SELECT v.gateway_ref FROM {rows $1: gateway_ref TEXT})";

/// Which of these gateway ids belong to an attempt already, and when that attempt passed the gate (Unix ms).
///
/// # Errors
/// [`super::StoreError`].
pub async fn held_refs(session: &mut Session, gateway: &str, refs: &[String]) -> Result<Vec<(String, i64)>> {
    let rows = json(&refs.iter().map(|gateway_ref| RefRow { gateway_ref }).collect::<Vec<_>>());
    session.list(session.sql(HELD_REFS).bind(rows).bind(gateway.to_owned())).await
}
