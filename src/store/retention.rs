//! Owns taking what is personal out of rows that have been kept long enough.
//!
//! It does not know how long that is (`domain::retention`). Invariants: rows, states, counts and times stay, so that no figure of the
//! past and no invariant of `verify` changes; whatever has gone is marked, and a second run finds nothing.

use serde_json::json;

use super::{Result, Session};
use crate::domain::retention::Rule;

/// Rows of a large message that one statement touches.
const ROWS: i64 = 1_000;

/// Messages that are over: nothing of them can still move.
macro_rules! over {
    () => {
        "m.disposed_at IS NULL
   AND m.created_at < $1
   AND m.state IN ('handed_over', 'done', 'stopped')
   AND COALESCE(m.done_at, m.stopped_at, m.handed_over_at, m.created_at) < $1
   AND NOT EXISTS (SELECT 1 FROM message_count c
     WHERE c.message_id = m.id AND c.state IN ('queued', 'sending', 'accepted', 'in_doubt') AND c.deliveries > 0)"
    };
}

const DUE_OBSERVATIONS: &str = "SELECT o.id
 FROM observation o
 WHERE o.disposed_at IS NULL
   AND o.received_at < $1
   AND (o.kind <> 'observation' OR EXISTS (SELECT 1 FROM observation f
     WHERE f.id = COALESCE(o.part_of, o.id)
       AND (f.state = 'fed_back' OR f.answered_at IS NOT NULL OR f.archived_at IS NOT NULL)))
   AND NOT EXISTS (SELECT 1 FROM reply r
     JOIN delivery d ON d.message_id = r.message_id
     WHERE r.observation_id = o.id AND d.state IN ('queued', 'sending', 'accepted', 'in_doubt'))
 ORDER BY o.received_at
 LIMIT $2";
const DUE_MESSAGES: &str = concat!("SELECT m.id FROM message m WHERE ", over!(), " ORDER BY m.created_at LIMIT $2");
const DUE_IMPORTS: &str = "SELECT i.id
 FROM import i
 WHERE i.disposed_at IS NULL
   AND i.created_at < $1
   AND i.state <> 'running'
 ORDER BY i.created_at
 LIMIT $2";
const DUE_MAIL: &str = "SELECT i.id
 FROM inbound_mail i
 WHERE i.disposed_at IS NULL
   AND i.received_at < $1
   AND i.observation_id IS NULL
   AND i.state <> 'new'
   AND (i.folder IS NULL OR i.folder <> 'tray' OR i.handled_at IS NOT NULL)
 ORDER BY i.received_at
 LIMIT $2";

const DUE_CALLS: &str = "SELECT c.id
 FROM phone_call c
 WHERE c.disposed_at IS NULL
   AND c.called_at < $1
 ORDER BY c.called_at
 LIMIT $2";

/// Ids of at most `limit` things of a rule that came before `before`, Unix ms, the oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn due(session: &mut Session, rule: Rule, before: i64, limit: i64) -> Result<Vec<String>> {
    let statement = match rule {
        Rule::Observations => DUE_OBSERVATIONS,
        Rule::Recipients => DUE_MESSAGES,
        Rule::Imports => DUE_IMPORTS,
        Rule::Mail => DUE_MAIL,
        Rule::Calls => DUE_CALLS,
    };
    let rows: Vec<(String,)> = session.list(session.sql(statement).bind(before).bind(limit)).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Takes out what is personal, and marks that it is gone; `ids` are from [`due`]. The recipients of a message have gone before, by
/// [`dispose_recipients`].
///
/// # Errors
/// [`super::StoreError`].
pub async fn dispose(session: &mut Session, rule: Rule, ids: &[String], now: i64) -> Result<()> {
    let rows: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
    let rows = json!(rows).to_string();
    match rule {
        Rule::Observations => every(session, &OBSERVATIONS, &rows, now).await,
        Rule::Mail => every(session, &MAIL, &rows, now).await,
        Rule::Calls => every(session, &CALLS, &rows, now).await,
        Rule::Imports => {
            for id in ids {
                super::import::forget_rows(session, id).await?;
            }
            every(session, &IMPORTS, &rows, now).await
        }
        Rule::Recipients => {
            for id in ids {
                dispose_rest(session, id).await?;
            }
            every(session, &MESSAGES, &rows, now).await
        }
    }
}

/// Each statement has the ids as `$1` and the time as `$2`.
async fn every(session: &mut Session, statements: &[&'static str], rows: &str, now: i64) -> Result<()> {
    for statement in statements {
        session.execute(session.sql(statement).bind(rows.to_owned()).bind(now)).await?;
    }
    Ok(())
}

const OBSERVATIONS: [&str; 8] = [
    "UPDATE inbound_sms
 SET raw = ''
 WHERE $2 > 0 AND observation_id IN (SELECT v.id FROM {rows $1: id TEXT})",
    "DELETE FROM inbound_mail_part
 WHERE $2 > 0 AND mail_id IN (SELECT i.id FROM inbound_mail i WHERE i.observation_id IN (SELECT v.id FROM {rows $1: id TEXT}))",
    "UPDATE inbound_mail
 SET sender = '', subject = '', diagnostic = '', recipient = '', contact_person_id = NULL, disposed_at = $2
 WHERE observation_id IN (SELECT v.id FROM {rows $1: id TEXT})",
    "UPDATE delivery
 SET address = 'disposed-' || CAST(id AS TEXT), contact_person_id = NULL, detail = NULL
 WHERE $2 > 0 AND id IN (SELECT r.delivery_id FROM reply r WHERE r.observation_id IN (SELECT v.id FROM {rows $1: id TEXT}))",
    "UPDATE reply
 SET contact_person_id = NULL
 WHERE $2 > 0 AND observation_id IN (SELECT v.id FROM {rows $1: id TEXT})",
    "DELETE FROM observation_tag
 WHERE $2 > 0 AND observation_id IN (SELECT v.id FROM {rows $1: id TEXT})",
    "UPDATE observation
 SET sender = 'disposed-' || id, reference = 'disposed-' || id, text = '', place = '', contact_person_id = NULL, disposed_at = $2
 WHERE id IN (SELECT v.id FROM {rows $1: id TEXT})",
    // One word may answer many: it goes with the last of them.
    "UPDATE message
 SET body = ''
 WHERE $2 > 0
   AND id IN (SELECT r.message_id FROM reply r WHERE r.observation_id IN (SELECT v.id FROM {rows $1: id TEXT}))
   AND NOT EXISTS (SELECT 1 FROM reply l
     JOIN observation o ON o.id = l.observation_id
     WHERE l.message_id = message.id AND o.disposed_at IS NULL)",
];

const MAIL: [&str; 2] = [
    "DELETE FROM inbound_mail_part
 WHERE $2 > 0 AND mail_id IN (SELECT v.id FROM {rows $1: id TEXT})",
    "UPDATE inbound_mail
 SET sender = '', subject = '', diagnostic = '', recipient = '', contact_person_id = NULL, disposed_at = $2
 WHERE id IN (SELECT v.id FROM {rows $1: id TEXT})",
];

const CALLS: [&str; 1] = ["UPDATE phone_call
 SET note = '', disposed_at = $2
 WHERE id IN (SELECT v.id FROM {rows $1: id TEXT})"];

const IMPORTS: [&str; 1] = ["UPDATE import
 SET disposed_at = $2
 WHERE id IN (SELECT v.id FROM {rows $1: id TEXT})"];

const MESSAGES: [&str; 1] = ["UPDATE message
 SET disposed_at = $2
 WHERE id IN (SELECT v.id FROM {rows $1: id TEXT})"];

const PIECE: &str = "SELECT d.id
 FROM delivery d
 WHERE d.message_id = $1
   AND d.id > $2
 ORDER BY d.id
 LIMIT $3";

const ATTEMPTS: &str = "UPDATE attempt
 SET detail = NULL, gateway_ref = NULL
 WHERE delivery_id IN (SELECT v.id FROM {rows $1: id BIGINT})";

const RECEIPTS: &str = "UPDATE receipt
 SET gateway_ref = ''
 WHERE delivery_id IN (SELECT v.id FROM {rows $1: id BIGINT})";

const RECIPIENTS: &str = "DELETE FROM message_recipient
 WHERE delivery_id IN (SELECT v.id FROM {rows $1: id BIGINT})";

const DELIVERIES: &str = "UPDATE delivery
 SET address = 'disposed-' || CAST(id AS TEXT), contact_person_id = NULL, detail = NULL, gateway_ref = NULL
 WHERE id IN (SELECT v.id FROM {rows $1: id BIGINT})";

const NOT_REACHED: &str = "DELETE FROM message_recipient
 WHERE message_id = $1
   AND delivery_id IS NULL";

const SPREAD: &str = "SELECT contact_person_id
 FROM spread_confirmation
 WHERE message_id = $1
   AND contact_person_id NOT LIKE 'disposed-%'
 ORDER BY confirmed_at, contact_person_id";

const SPREAD_UNNAMED: &str = "UPDATE spread_confirmation
 SET contact_person_id = v.unnamed
 FROM {rows $2: id TEXT, unnamed TEXT}
 WHERE message_id = $1
   AND contact_person_id = v.id";

/// Takes the next piece of a message's recipients out, after the delivery `after`; says the last of them, or nothing when there was
/// none.
///
/// # Errors
/// [`super::StoreError`].
pub async fn dispose_recipients(session: &mut Session, message_id: &str, after: i64) -> Result<Option<i64>> {
    let statement = session.sql(PIECE).bind(message_id.to_owned()).bind(after).bind(ROWS);
    let piece: Vec<(i64,)> = session.list(statement).await?;
    let Some((last,)) = piece.last() else { return Ok(None) };
    let rows = json!(piece.iter().map(|(id,)| json!({ "id": id })).collect::<Vec<_>>()).to_string();
    for statement in [ATTEMPTS, RECEIPTS, RECIPIENTS, DELIVERIES] {
        session.execute(session.sql(statement).bind(rows.clone())).await?;
    }
    Ok(Some(*last))
}

/// What names people of a message beside its deliveries.
async fn dispose_rest(session: &mut Session, message_id: &str) -> Result<()> {
    super::deputy::clear(session, message_id).await?;
    session.execute(session.sql(NOT_REACHED).bind(message_id.to_owned())).await?;
    let spread: Vec<(String,)> = session.list(session.sql(SPREAD).bind(message_id.to_owned())).await?;
    let unnamed = |(at, (id,)): (usize, &(String,))| json!({ "id": id, "unnamed": format!("disposed-{at}") });
    let rows: Vec<_> = spread.iter().enumerate().map(unnamed).collect();
    if !rows.is_empty() {
        let statement = session.sql(SPREAD_UNNAMED).bind(message_id.to_owned()).bind(json!(rows).to_string());
        session.execute(statement).await?;
    }
    Ok(())
}
