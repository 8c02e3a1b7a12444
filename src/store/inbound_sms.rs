//! Owns incoming SMS as they came, base64 of the hook's body.

use super::{Result, Session};

const KEEP: &str = "INSERT INTO inbound_sms (gateway, digest, raw, received_at)
 VALUES ($1, $2, $3, $4)
 ON CONFLICT (gateway, digest) DO NOTHING";

/// Keeps an incoming SMS; the same bytes again are no second one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn keep(session: &mut Session, (gateway, digest): (&str, &str), raw: String, now: i64) -> Result<()> {
    let statement = session.sql(KEEP).bind(gateway.to_owned()).bind(digest.to_owned()).bind(raw).bind(now);
    session.execute(statement).await.map(drop)
}
