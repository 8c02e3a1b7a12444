//! Owns what `verify` reads: for each invariant the rows that break it.
//!
//! Statements give a line of ids for every broken row, at most [`MOST`]; no row means that the invariant holds.

use super::{Result, Session};

/// Broken rows shown for each statement.
pub const MOST: i64 = 100;

/// Persons of a message that no delivery covers, deliveries that cover nobody, and addresses with more than one. A message
/// that is being frozen in pieces is not complete before the last.
/// What is sealed is written out by somebody, and brings deliveries that nobody has seen.
pub const COVERED_ONCE: [&str; 7] = [
    "SELECT 'message ' || s.message_id || ': block ' || CAST(s.block AS TEXT) || ' is left, and nobody writes it out' AS line
 FROM sealed_audience s
 WHERE NOT EXISTS (SELECT 1 FROM freezing f WHERE f.message_id = s.message_id)
 LIMIT $1",
    "SELECT 'message ' || r.message_id || ': person ' || r.contact_person_id || ' has a delivery of another message or channel' AS line
 FROM message_recipient r
 JOIN delivery d ON d.id = r.delivery_id
 WHERE d.message_id <> r.message_id
   OR d.channel <> r.channel
 LIMIT $1",
    "SELECT 'delivery ' || CAST(d.id AS TEXT) || ': covers ' || CAST(d.persons AS TEXT) || ' persons, but ' ||
   CAST((SELECT COUNT(*) FROM message_recipient r WHERE r.delivery_id = d.id) AS TEXT) || ' are written down' AS line
 FROM delivery d
 WHERE d.contact_person_id IS NOT NULL
   AND d.persons <> (SELECT COUNT(*) FROM message_recipient r WHERE r.delivery_id = d.id)
   AND NOT EXISTS (SELECT 1 FROM freezing f WHERE f.message_id = d.message_id AND f.stage = 'writing')
 LIMIT $1",
    "SELECT 'message ' || r.message_id || ': person ' || r.contact_person_id || ' has no delivery, and no reason why' AS line
 FROM message_recipient r
 WHERE r.delivery_id IS NULL
   AND r.not_reached IS NULL
 LIMIT $1",
    "SELECT 'delivery ' || CAST(MAX(d.id) AS TEXT) || ': not the only one of its message to its address' AS line
 FROM delivery d
 GROUP BY d.message_id, d.channel, CASE WHEN d.channel = 'email' THEN LOWER(d.address) ELSE d.address END
 HAVING COUNT(*) > 1
 LIMIT $1",
    "SELECT 'message ' || r.message_id || ': delivery ' || CAST(r.delivery_id AS TEXT) || ' of person ' || r.contact_person_id || ' is not there' AS line
 FROM message_recipient r
 WHERE r.delivery_id IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = r.delivery_id)
 LIMIT $1",
    "SELECT 'delivery ' || CAST(d.id AS TEXT) || ': its message is not there' AS line
 FROM delivery d
 WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.id = d.message_id)
 LIMIT $1",
];

/// Deliveries of `c.message_id` that count as `c.state`. A leased one counts as queued, and so do those that are sealed.
macro_rules! counted {
    () => {
        "((SELECT COUNT(*) FROM delivery d WHERE d.message_id = c.message_id
     AND CASE WHEN d.state = 'sending' THEN 'queued' ELSE d.state END = c.state)
   + CASE WHEN c.state = 'queued' THEN (SELECT COALESCE(SUM(s.deliveries), 0) FROM sealed_audience s
     WHERE s.message_id = c.message_id) ELSE 0 END)"
    };
}

/// Counters that differ from rows.
pub const COUNTS_EQUAL_ROWS: [&str; 3] = [
    concat!(
        "SELECT 'message ' || c.message_id || ': counter of ' || c.state || ' is ' || CAST(c.deliveries AS TEXT) || ', rows are ' ||
   CAST(",
        counted!(),
        " AS TEXT) AS line
 FROM message_count c
 WHERE c.deliveries <> ",
        counted!(),
        "
   AND NOT EXISTS (SELECT 1 FROM freezing f WHERE f.message_id = c.message_id AND f.stage = 'writing')
 LIMIT $1"
    ),
    "SELECT 'message ' || d.message_id || ': no counter of ' || d.state AS line
 FROM delivery d
 WHERE d.state <> 'sending'
   AND NOT EXISTS (SELECT 1 FROM message_count c WHERE c.message_id = d.message_id AND c.state = d.state)
   AND NOT EXISTS (SELECT 1 FROM freezing f WHERE f.message_id = d.message_id AND f.stage = 'writing')
 GROUP BY d.message_id, d.state
 LIMIT $1",
    "SELECT 'message ' || m.id || ': reach is ' || CAST(m.reach_persons AS TEXT) || ' persons, rows say otherwise' AS line
 FROM message m
 LEFT JOIN (
   SELECT message_id, SUM(persons) AS persons, SUM(households) AS households
   FROM delivery
   WHERE state = 'delivered'
   GROUP BY message_id) d ON d.message_id = m.id
 WHERE m.reach_persons <> COALESCE(d.persons, 0)
   OR m.reach_households <> COALESCE(d.households, 0)
 LIMIT $1",
];

/// Attempts that should not have been made.
pub const NO_ATTEMPT_TOO_LATE_OR_EARLY: [&str; 4] = [
    "SELECT 'delivery ' || CAST(a.delivery_id AS TEXT) || ': attempt ' || CAST(a.number AS TEXT) || ' after expiry' AS line
 FROM attempt a
 JOIN delivery d ON d.id = a.delivery_id
 WHERE a.stamped_at >= d.expires_at
 LIMIT $1",
    "SELECT 'delivery ' || CAST(a.delivery_id AS TEXT) || ': attempt ' || CAST(a.number AS TEXT) || ' after the stop' AS line
 FROM attempt a
 JOIN delivery d ON d.id = a.delivery_id
 JOIN message m ON m.id = d.message_id
 WHERE a.stamped_at > m.stopped_at
 LIMIT $1",
    "SELECT 'delivery ' || CAST(a.delivery_id AS TEXT) || ': attempt ' || CAST(a.number AS TEXT) || ' before its time or approval' AS line
 FROM attempt a
 JOIN delivery d ON d.id = a.delivery_id
 JOIN message m ON m.id = d.message_id
 WHERE m.sends_at IS NULL
   OR a.stamped_at < m.sends_at
 LIMIT $1",
    "SELECT 'delivery ' || CAST(a.delivery_id AS TEXT) || ': attempt ' || CAST(a.number AS TEXT) || ' after the opt-out' AS line
 FROM attempt a
 JOIN delivery d ON d.id = a.delivery_id
 JOIN message m ON m.id = d.message_id
 WHERE d.contact_person_id IS NOT NULL
   AND NOT EXISTS (
     SELECT 1
     FROM message_recipient r
     JOIN contact_person p ON p.id = r.contact_person_id
     WHERE r.delivery_id = d.id
       AND (CASE WHEN m.kind = 'letter' THEN p.letters_opt_out_at ELSE p.alerts_opt_out_at END IS NULL
         OR CASE WHEN m.kind = 'letter' THEN p.letters_opt_out_at ELSE p.alerts_opt_out_at END >= a.stamped_at)
       AND (p.erased_at IS NULL OR p.erased_at >= a.stamped_at))
 LIMIT $1",
];

/// Histories that leave a final state, skip a step or do not end where the delivery stands.
pub const HISTORY_IS_MONOTONE: [&str; 6] = [
    "SELECT 'delivery ' || CAST(e.delivery_id AS TEXT) || ': left the final state ' || e.from_state AS line
 FROM delivery_event e
 WHERE e.from_state IN ('delivered', 'undelivered', 'failed', 'expired', 'stopped', 'suppressed', 'unconfirmed')
   OR (e.from_state = 'accepted' AND e.to_state NOT IN ('delivered', 'undelivered', 'unconfirmed'))
 LIMIT $1",
    "SELECT 'delivery ' || CAST(d.id AS TEXT) || ': ' || CAST(d.version AS TEXT) || ' changes, but not as many are written down' AS line
 FROM delivery d
 WHERE d.version <> (SELECT COUNT(*) FROM delivery_event e WHERE e.delivery_id = d.id)
   OR (d.version > 0 AND NOT EXISTS (SELECT 1 FROM delivery_event e WHERE e.delivery_id = d.id AND e.version = d.version))
 LIMIT $1",
    "SELECT 'delivery ' || CAST(e.delivery_id AS TEXT) || ': change ' || CAST(e.version AS TEXT) || ' does not begin where the one before ended' AS line
 FROM delivery_event e
 JOIN delivery_event b ON b.delivery_id = e.delivery_id AND b.version = e.version - 1
 WHERE b.to_state <> CASE WHEN e.from_state = 'sending' THEN 'queued' ELSE e.from_state END
   OR e.at < b.at
 LIMIT $1",
    "SELECT 'delivery ' || CAST(d.id AS TEXT) || ': stands at ' || d.state || ', but its history ends at ' || e.to_state AS line
 FROM delivery d
 JOIN delivery_event e ON e.delivery_id = d.id AND e.version = d.version
 WHERE e.to_state <> CASE WHEN d.state = 'sending' THEN 'queued' ELSE d.state END
 LIMIT $1",
    "SELECT 'delivery ' || CAST(e.delivery_id AS TEXT) || ': is not there, but its change ' || CAST(e.version AS TEXT) || ' is' AS line
 FROM delivery_event e
 WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = e.delivery_id)
 LIMIT $1",
    "SELECT 'delivery ' || CAST(a.delivery_id AS TEXT) || ': is not there, but its attempt ' || CAST(a.number AS TEXT) || ' is' AS line
 FROM attempt a
 WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = a.delivery_id)
 LIMIT $1",
];

/// Things that should stand in the audit log and do not.
pub const LOGGED: [&str; 2] = [
    "SELECT 'message ' || m.id || ': not in the log' AS line
 FROM message m
 WHERE NOT EXISTS (SELECT 1 FROM audit a WHERE a.object_id = m.id)
   AND NOT EXISTS (SELECT 1 FROM freezing f WHERE f.message_id = m.id AND f.stage = 'writing')
 LIMIT $1",
    "SELECT 'decision ' || d.id || ': not in the log' AS line
 FROM decision d
 WHERE NOT EXISTS (SELECT 1 FROM audit a WHERE a.object_id = d.id OR a.object_id = d.message_id)
 LIMIT $1",
];

const OVERDUE_LEASES: &str =
    "SELECT 'delivery ' || CAST(d.id AS TEXT) || ': its lease ran out and nobody rescued it' AS line
 FROM delivery d
 WHERE d.state = 'sending'
   AND d.lease_until_at < $2
 LIMIT $1";

/// The lines of one statement.
///
/// # Errors
/// [`super::StoreError`].
pub async fn lines(session: &mut Session, sql: &'static str) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = session.list(session.sql(sql).bind(MOST)).await?;
    Ok(rows.into_iter().map(|(line,)| line).collect())
}

/// Leases that ran out before `before` (Unix ms).
///
/// # Errors
/// [`super::StoreError`].
pub async fn overdue_leases(session: &mut Session, before: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = session.list(session.sql(OVERDUE_LEASES).bind(MOST).bind(before)).await?;
    Ok(rows.into_iter().map(|(line,)| line).collect())
}

/// A step of a delivery, with the batch that it was settled in.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Event {
    /// The delivery.
    pub delivery_id: i64,
    /// The delivery's version after it.
    pub version: i64,
    /// Code of the state before.
    pub from_state: String,
    /// Code of the state after.
    pub to_state: String,
    /// Why, as a code.
    pub reason: Option<String>,
    /// The audit entry that it was settled with.
    pub batch: String,
}

const EVENTS_AFTER: &str = "SELECT delivery_id, version, from_state, to_state, reason, batch
 FROM delivery_event
 WHERE (delivery_id, version) > ($1, $2)
 ORDER BY delivery_id, version
 LIMIT $3";

/// The steps of all deliveries in order of delivery and version, at most `limit` of those after a delivery's version.
///
/// # Errors
/// [`super::StoreError`].
pub async fn events_after(session: &mut Session, (delivery_id, version): (i64, i64), limit: i64) -> Result<Vec<Event>> {
    session.list(session.sql(EVENTS_AFTER).bind(delivery_id).bind(version).bind(limit)).await
}

const UNKNOWN_BATCHES: &str = "SELECT 'batch ' || e.batch || ': not in the log' AS line
 FROM delivery_event e
 WHERE NOT EXISTS (SELECT 1 FROM audit a WHERE a.id = e.batch)
 GROUP BY e.batch
 LIMIT $1";

/// Batches of changes that the log does not know.
///
/// # Errors
/// [`super::StoreError`].
pub async fn unknown_batches(session: &mut Session) -> Result<Vec<String>> {
    lines(session, UNKNOWN_BATCHES).await
}
