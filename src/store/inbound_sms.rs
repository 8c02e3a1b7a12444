//! Owns incoming SMS as they came, base64 of the hook's body, and which of them have been read.
//!
//! Invariant: what is not marked as read is read again, after a crash too.

use serde::Serialize;

use std::collections::BTreeSet;

use super::{Result, Session, json};

/// An SMS on its way to the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewSms {
    /// The gateway.
    pub gateway: String,
    /// What it is known by: digest of the gateway's id, or of the whole body where there is none.
    pub digest: String,
    /// Base64 of the body.
    pub raw: String,
}

const KEEP: &str = "INSERT INTO inbound_sms (gateway, digest, raw, received_at)
 SELECT v.gateway, v.digest, v.raw, $2
 FROM {rows $1: gateway TEXT, digest TEXT, raw TEXT}
 WHERE 1 = 1
 ON CONFLICT (gateway, digest) DO NOTHING";

/// Keeps incoming SMS, each known by its digest once among them; says how many were new.
///
/// # Errors
/// [`super::StoreError`].
pub async fn keep(session: &mut Session, sms: &[NewSms], now: i64) -> Result<u64> {
    session.execute(session.sql(KEEP).bind(json(&sms)).bind(now)).await
}

/// An SMS out of a gateway's history, on its way to the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FetchedSms {
    /// The gateway.
    pub gateway: String,
    /// What it is known by, as for one that a hook brought.
    pub digest: String,
    /// Base64 of the body that a hook would have brought.
    pub raw: String,
    /// When the gateway got it, Unix ms.
    pub received_at: i64,
}

const KEEP_FETCHED: &str = "INSERT INTO inbound_sms (gateway, digest, raw, received_at, fetched)
 SELECT v.gateway, v.digest, v.raw, v.received_at, 1
 FROM {rows $1: gateway TEXT, digest TEXT, raw TEXT, received_at BIGINT}
 WHERE 1 = 1
 ON CONFLICT (gateway, digest) DO NOTHING";

/// Keeps SMS that a gateway's history holds; says how many had not been here.
///
/// # Errors
/// [`super::StoreError`].
pub async fn keep_fetched(session: &mut Session, sms: &[FetchedSms]) -> Result<u64> {
    session.execute(session.sql(KEEP_FETCHED).bind(json(&sms))).await
}

const FETCHED_UNREAD: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS n
 FROM inbound_sms
 WHERE read_at IS NULL
   AND fetched = 1";

/// How many fetched SMS wait to be read.
///
/// # Errors
/// [`super::StoreError`].
pub async fn fetched_unread(session: &mut Session) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(FETCHED_UNREAD)).await?;
    Ok(row.map_or(0, |(n,)| n))
}

/// An SMS that waits to be read.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct UnreadSms {
    /// The gateway.
    pub gateway: String,
    /// What it is known by.
    pub digest: String,
    /// Base64 of the body.
    pub raw: String,
    /// When it came, Unix ms.
    pub received_at: i64,
    /// Readings that failed.
    pub tries: i64,
    /// 1 when it was fetched from the gateway's history after a restore.
    pub fetched: i64,
}

const UNREAD: &str = "SELECT gateway, digest, raw, received_at, tries, fetched
 FROM inbound_sms
 WHERE read_at IS NULL
   AND gateway IN (SELECT v.name FROM {rows $2: name TEXT})
 ORDER BY tries, received_at, digest
 LIMIT $1
 {skip locked}";

#[derive(serde::Serialize)]
struct NameRow<'a> {
    name: &'a str,
}

/// Names of gateways as statements take them.
pub fn names<'a>(gateways: impl IntoIterator<Item = &'a str>) -> String {
    super::json(&gateways.into_iter().map(|name| NameRow { name }).collect::<Vec<_>>())
}

/// SMS from these gateways ([`names`]) that wait to be read, the oldest first; those that have failed come after the others. Held until the transaction ends.
///
/// # Errors
/// [`super::StoreError`].
pub async fn unread(session: &mut Session, limit: i64, gateways: String) -> Result<Vec<UnreadSms>> {
    session.list(session.sql(UNREAD).bind(limit).bind(gateways)).await
}

const IS_UNREAD: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS n
 FROM (SELECT 1 FROM inbound_sms WHERE read_at IS NULL LIMIT 1) q";

/// Whether anything waits to be read; takes no lock.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_any_unread(session: &mut Session) -> Result<bool> {
    let row: Option<(i64,)> = session.one(session.sql(IS_UNREAD)).await?;
    Ok(row.is_some_and(|(n,)| n > 0))
}

const HOLD: &str = "SELECT CAST({one at a time $1} AS TEXT) AS held";

/// Holds up other daemons that read what the same senders sent, until the transaction ends: parts of one long SMS must meet. `keys` are
/// numbers made of the senders; in one order, so that two daemons never wait for each other.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hold(session: &mut Session, keys: &BTreeSet<i64>) -> Result<()> {
    for key in keys {
        let _held: Option<(String,)> = session.one(session.sql(HOLD).bind(*key)).await?;
    }
    Ok(())
}

const MARK_READ: &str = "UPDATE inbound_sms
 SET read_at = $3, observation_id = $4
 WHERE gateway = $1
   AND digest = $2";

/// Marks an SMS as read, with what was made of it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn mark_read(
    session: &mut Session,
    (gateway, digest): (&str, &str),
    observation_id: Option<&str>,
    now: i64,
) -> Result<()> {
    let statement = session
        .sql(MARK_READ)
        .bind(gateway.to_owned())
        .bind(digest.to_owned())
        .bind(now)
        .bind(observation_id.map(str::to_owned));
    session.execute(statement).await.map(drop)
}

const COUNT_TRY: &str = "UPDATE inbound_sms
 SET tries = tries + 1
 WHERE gateway = $1
   AND digest = $2";

/// Counts a reading that failed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_try(session: &mut Session, (gateway, digest): (&str, &str)) -> Result<()> {
    session.execute(session.sql(COUNT_TRY).bind(gateway.to_owned()).bind(digest.to_owned())).await.map(drop)
}
