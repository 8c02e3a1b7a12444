//! Owns what is kept of each gateway: its next slot and how it was last seen.

use super::together::Write;
use super::{Result, Session};

/// Slots reserved at a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Reserved {
    /// First slot after those reserved, database time in microseconds.
    pub next_slot_us: i64,
    /// Database time now, in microseconds.
    pub now_us: i64,
    /// Daemons that hand over, this one included.
    pub daemons: i64,
}

/// A debt further ahead than $4 comes from a clock that was set back, and is forgotten.
const RESERVE: &str = "INSERT INTO gateway_pace (gateway, next_slot_us)
 VALUES ($1, {now us} + $2)
 ON CONFLICT (gateway) DO UPDATE SET next_slot_us = $2 + CASE
   WHEN gateway_pace.next_slot_us > {now us} + $4 THEN {now us}
   WHEN gateway_pace.next_slot_us > {now us} - $3 THEN gateway_pace.next_slot_us
   ELSE {now us} - $3 END
 RETURNING next_slot_us, {now us} AS now_us, (
   SELECT CAST(COUNT(*) AS BIGINT)
   FROM daemon d
   WHERE d.ended_at IS NULL
     AND d.roles LIKE '%dispatch%') AS daemons";

/// Reserves `span_us` microseconds of a gateway's time: sums are exact however many daemons reserve, and the debt
/// survives a restart. After a pause, up to `credit_us` of the time that went by unused counts: a burst.
///
/// # Errors
/// [`super::StoreError`].
pub async fn reserve(session: &mut Session, gateway: &str, span_us: i64, credit_us: i64) -> Result<Reserved> {
    // What a few daemons may have reserved at the lowest pace there is.
    let most_debt_us = 10_000_000 + 16 * span_us;
    let statement = session.sql(RESERVE).bind(gateway.to_owned()).bind(span_us).bind(credit_us).bind(most_debt_us);
    let row = session.one(statement).await?;
    Ok(row.expect("an upsert returns its row"))
}

/// How a gateway was last seen.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct GatewayState {
    /// Its name; `mail` for the relay.
    pub gateway: String,
    /// `up`, `down` or `stopped`.
    pub state: String,
    /// Why, as a stable code.
    pub reason: Option<String>,
    /// Since when it is in this state, Unix ms.
    pub since_at: i64,
    /// When it last answered, Unix ms.
    pub last_answer_at: Option<i64>,
    /// When its last receipt came, Unix ms.
    pub last_receipt_at: Option<i64>,
    /// Balance of the account, as text.
    pub balance: Option<String>,
}

const PUT_STATE: &str = "INSERT INTO gateway_state (gateway, state, reason, since_at, last_answer_at, changed_at)
 VALUES ($1, $2, $3, $4, $5, $4)
 ON CONFLICT (gateway) DO UPDATE SET
   since_at = CASE WHEN gateway_state.state = excluded.state THEN gateway_state.since_at ELSE excluded.since_at END,
   state = excluded.state,
   reason = excluded.reason,
   last_answer_at = COALESCE(excluded.last_answer_at, gateway_state.last_answer_at),
   changed_at = excluded.changed_at";

/// Writes how a gateway is seen now.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put_state(
    session: &mut Session,
    gateway: &str,
    (state, reason): (&'static str, Option<&'static str>),
    last_answer_at: Option<i64>,
    now: i64,
) -> Result<()> {
    let statement =
        session.sql(PUT_STATE).bind(gateway.to_owned()).bind(state).bind(reason).bind(now).bind(last_answer_at);
    session.execute(statement).await.map(drop)
}

const PUT_RECEIPT: &str = "UPDATE gateway_state
 SET last_receipt_at = $2, changed_at = $2
 WHERE gateway = $1";

/// Notes that a receipt came from a gateway; to be done together with other writes.
#[must_use]
pub fn receipt_came(gateway: &str, now: i64) -> Write {
    Write::new(PUT_RECEIPT).bind(gateway).bind(now)
}

const PUT_BALANCE: &str = "INSERT INTO gateway_state (gateway, state, since_at, balance, changed_at)
 VALUES ($1, 'up', $3, $2, $3)
 ON CONFLICT (gateway) DO UPDATE SET balance = excluded.balance, changed_at = excluded.changed_at";

/// Writes an account's balance. A gateway that was never called counts as up, as everywhere.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put_balance(session: &mut Session, gateway: &str, balance: String, now: i64) -> Result<()> {
    session.execute(session.sql(PUT_BALANCE).bind(gateway.to_owned()).bind(balance).bind(now)).await.map(drop)
}

const STATES: &str = "SELECT gateway, state, reason, since_at, last_answer_at, last_receipt_at, balance
 FROM gateway_state
 ORDER BY gateway";

/// How every gateway was last seen.
///
/// # Errors
/// [`super::StoreError`].
pub async fn states(session: &mut Session) -> Result<Vec<GatewayState>> {
    session.list(session.sql(STATES)).await
}
