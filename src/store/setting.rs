//! Owns the few values that belong to the database as a whole: its keys and whether it is paused.

use super::{Result, Session};

/// Set while nothing may be handed over; the value says why.
pub const PAUSED: &str = "paused";
/// Set from a restore until what was said since the copy has been done again; the newest time the copy knew, Unix ms.
pub const RESTORED_SINCE: &str = "restored_since";
/// Set while opt-outs are not noted for a journal; when that began, Unix ms.
pub const UNJOURNALLED_SINCE: &str = "opt_outs_unjournalled_since";
/// Base64 of the key that delivery tokens are signed with.
pub const TOKEN_KEY: &str = "token_key";
/// Base64 of the Ed25519 seed that audit heads are signed with, when none is configured.
pub const AUDIT_KEY: &str = "audit_key";
/// The newest wall time any daemon has seen, Unix ms; a clock behind it has jumped.
pub const NEWEST_AT: &str = "newest_at";
/// When a checked copy of the database was last made, Unix ms.
pub const BACKED_UP_AT: &str = "backed_up_at";
/// Up to which change of an alert its undelivered SMS have been added up, Unix ms.
pub const WEIGHED_AT: &str = "sms_weighed_at";
/// The last letters that chiefs were reminded of, JSON by municipality.
pub const LETTERS_REMINDED: &str = "letters_reminded";
/// When an operator last asked stopped gateways to be tried again, Unix ms.
pub const RESUMED_AT: &str = "resumed_at";

const GET: &str = "SELECT value
 FROM setting
 WHERE name = $1";

/// The value of `name`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, name: &'static str) -> Result<Option<String>> {
    let row: Option<(String,)> = session.one(session.sql(GET).bind(name)).await?;
    Ok(row.map(|(value,)| value))
}

const SET: &str = "INSERT INTO setting (name, value)
 VALUES ($1, $2)
 ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// Sets `name`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set(session: &mut Session, name: &'static str, value: String) -> Result<()> {
    session.execute(session.sql(SET).bind(name).bind(value)).await.map(drop)
}

const SET_ONCE: &str = "INSERT INTO setting (name, value)
 VALUES ($1, $2)
 ON CONFLICT (name) DO NOTHING";

/// Sets `name` unless it is set, and gives the value that holds.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get_or_set(session: &mut Session, name: &'static str, value: String) -> Result<String> {
    session.execute(session.sql(SET_ONCE).bind(name).bind(value.clone())).await?;
    Ok(get(session, name).await?.unwrap_or(value))
}

const CLEAR: &str = "DELETE FROM setting
 WHERE name = $1";

/// Removes `name`; says whether it was set.
///
/// # Errors
/// [`super::StoreError`].
pub async fn clear(session: &mut Session, name: &'static str) -> Result<bool> {
    Ok(session.execute(session.sql(CLEAR).bind(name)).await? > 0)
}

const NEXT_NUMBER: &str = "INSERT INTO setting (name, value)
 VALUES ('message_number', '1')
 ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(setting.value AS BIGINT) + 1 AS TEXT)
 RETURNING CAST(value AS BIGINT) AS number";

/// The next message number, counted from 1; its row is held until the transaction ends, so numbers follow commits.
///
/// # Errors
/// [`super::StoreError`].
pub async fn next_message_number(session: &mut Session) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(NEXT_NUMBER)).await?;
    Ok(row.expect("an upsert returns its row").0)
}
