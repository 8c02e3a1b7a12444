//! Owns the audit log and its hash chain.
//!
//! It does not decide what is logged. Invariants: entries are only added; a sealed entry's hash covers its content and
//! the hash before it, so that a change, removal or reordering is found (ADR 0003).

use sha2::{Digest, Sha256};

use super::together::Write;
use super::{Result, Session};

/// An entry to be added.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// UUIDv7.
    pub id: &'a str,
    /// Unix ms.
    pub at: i64,
    /// Stable id of who did it.
    pub actor: &'a str,
    /// What was done, such as `alert.created`.
    pub action: &'a str,
    /// What kind of thing it was done to.
    pub object_kind: &'a str,
    /// The thing's id; empty when there is none.
    pub object_id: &'a str,
    /// More about it; no names, numbers, addresses or texts.
    pub detail: serde_json::Value,
}

/// An entry as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Stored {
    /// UUIDv7.
    pub id: String,
    /// Unix ms.
    pub at: i64,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// What kind of thing it was done to.
    pub object_kind: String,
    /// The thing's id.
    pub object_id: String,
    /// More about it, JSON.
    pub detail: String,
    /// Place in the chain, counted from 1; `None` until sealed.
    pub seq: Option<i64>,
    /// Hash of this entry and the one before, hex; `None` until sealed.
    pub hash: Option<String>,
}

/// Hash before the first entry.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Stored {
    /// SHA-256 over the hash before and every field, each with its length in front so that none can flow into another.
    #[must_use]
    pub fn chained(&self, previous: &str, seq: i64) -> String {
        let mut sha = Sha256::new();
        let numbers = (seq.to_string(), self.at.to_string());
        for field in [
            previous,
            &numbers.0,
            &self.id,
            &numbers.1,
            &self.actor,
            &self.action,
            &self.object_kind,
            &self.object_id,
            &self.detail,
        ] {
            sha.update((field.len() as u64).to_be_bytes());
            sha.update(field.as_bytes());
        }
        data_encoding::HEXLOWER.encode(&sha.finalize())
    }
}

const APPEND: &str = "INSERT INTO audit (id, at, actor, action, object_kind, object_id, detail)
 VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// Adds an entry; it is sealed into the chain within a second.
///
/// # Errors
/// [`super::StoreError`].
pub async fn append(session: &mut Session, entry: &Entry<'_>) -> Result<()> {
    session.write_together(vec![write(entry)]).await
}

/// What [`append`] does, to be done together with other writes.
pub(super) fn write(entry: &Entry<'_>) -> Write {
    Write::new(APPEND)
        .bind(entry.id)
        .bind(entry.at)
        .bind(entry.actor)
        .bind(entry.action)
        .bind(entry.object_kind)
        .bind(entry.object_id)
        .bind(entry.detail.to_string())
}

/// The last sealed entry.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Head {
    /// Its place.
    pub seq: i64,
    /// Its hash, hex.
    pub hash: String,
}

const HEAD: &str = "SELECT seq, hash
 FROM audit
 WHERE seq IS NOT NULL
 ORDER BY seq DESC
 LIMIT 1";

/// The last sealed entry, `None` when nothing is sealed yet.
///
/// # Errors
/// [`super::StoreError`].
pub async fn head(session: &mut Session) -> Result<Option<Head>> {
    session.one(session.sql(HEAD)).await
}

const UNSEALED: &str = "SELECT id, at, actor, action, object_kind, object_id, detail, seq, hash
 FROM audit
 WHERE seq IS NULL
 ORDER BY id
 LIMIT $1
 {skip locked}";

const SEAL: &str = "UPDATE audit
 SET seq = v.seq, hash = v.hash
 FROM {rows $1: id TEXT, seq BIGINT, hash TEXT}
 WHERE audit.id = v.id
   AND audit.seq IS NULL";

#[derive(serde::Serialize)]
struct SealRow {
    id: String,
    seq: i64,
    hash: String,
}

/// Seals up to `limit` entries into the chain and gives the new head; `None` when there was nothing to seal. Two sealers
/// cannot both succeed: places are unique.
///
/// # Errors
/// [`super::StoreError`].
pub async fn seal(session: &mut Session, limit: i64) -> Result<Option<Head>> {
    let unsealed: Vec<Stored> = session.list(session.sql(UNSEALED).bind(limit)).await?;
    if unsealed.is_empty() {
        return Ok(None);
    }
    let mut at = head(session).await?.unwrap_or(Head { seq: 0, hash: GENESIS.to_owned() });
    let mut rows = Vec::with_capacity(unsealed.len());
    for entry in unsealed {
        let seq = at.seq + 1;
        let hash = entry.chained(&at.hash, seq);
        rows.push(SealRow { id: entry.id, seq, hash: hash.clone() });
        at = Head { seq, hash };
    }
    session.execute(session.sql(SEAL).bind(super::json(&rows))).await?;
    Ok(Some(at))
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this actor; empty = all.
    pub actor: String,
    /// Only this action; empty = all.
    pub action: String,
    /// Only this object; empty = all.
    pub object_id: String,
    /// From this time on, Unix ms.
    pub from: i64,
    /// Before this time, Unix ms.
    pub until: i64,
    /// After this entry (older); empty = from the newest.
    pub after: String,
}

const PAGE: &str = "SELECT id, at, actor, action, object_kind, object_id, detail, seq, hash
 FROM audit
 WHERE ($1 = '' OR actor = $1)
   AND ($2 = '' OR action = $2)
   AND ($3 = '' OR object_id = $3)
   AND at >= $4
   AND at < $5
   AND id < $6
 ORDER BY id DESC
 LIMIT $7";

/// A page of entries, newest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn page(session: &mut Session, filter: &Filter, limit: i64) -> Result<Vec<Stored>> {
    let after = if filter.after.is_empty() { "g".to_owned() } else { filter.after.clone() };
    let statement = session
        .sql(PAGE)
        .bind(filter.actor.clone())
        .bind(filter.action.clone())
        .bind(filter.object_id.clone())
        .bind(filter.from)
        .bind(filter.until)
        .bind(after)
        .bind(limit);
    session.list(statement).await
}

const SEALED_AFTER: &str = "SELECT id, at, actor, action, object_kind, object_id, detail, seq, hash
 FROM audit
 WHERE seq > $1
 ORDER BY seq
 LIMIT $2";

/// Sealed entries after place `seq`, in order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn sealed_after(session: &mut Session, seq: i64, limit: i64) -> Result<Vec<Stored>> {
    session.list(session.sql(SEALED_AFTER).bind(seq).bind(limit)).await
}
