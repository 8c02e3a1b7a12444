//! Owns incoming SMS: kept raw, once, before they are answered.
//!
//! It does not read them yet. Invariant: the same SMS brought twice is one row.

use sha2::{Digest, Sha256};

use crate::ambient::Clock;
use crate::store::{Result, Store, inbound_sms};

/// Keeps an incoming SMS as it came.
///
/// # Errors
/// [`crate::store::StoreError`]; the gateway must bring it again then.
pub async fn keep(store: &Store, clock: &Clock, gateway: &str, body: &[u8]) -> Result<()> {
    let mut session = store.begin().await?;
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(body));
    let raw = data_encoding::BASE64.encode(body);
    inbound_sms::keep(&mut session, (gateway, &digest), raw, clock.now_ms()).await?;
    session.commit().await
}
