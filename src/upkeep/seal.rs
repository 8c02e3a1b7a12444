//! Owns sealing the audit log into its chain, and anchoring the chain's head outside the database.
//!
//! Invariant: an anchor is written only after its head is committed.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use super::Upkeep;
use crate::ambient;
use crate::config::Config;
use crate::store::audit::Head;
use crate::store::{self, Session, StoreError};

const BATCH: i64 = 5_000;

/// Seals what is unsealed and anchors the new head.
pub(super) async fn round(upkeep: Upkeep) -> Result<(), StoreError> {
    let mut session = upkeep.store.begin().await?;
    let Some(head) = store::audit::seal(&mut session, BATCH).await? else { return Ok(()) };
    let key = signing_key(&mut session, &upkeep.config).await?;
    session.commit().await?;
    if let Some(file) = upkeep.config.audit.anchor() {
        let now = upkeep.clock.now_ms();
        let written = tokio::task::spawn_blocking(move || anchor(&file, &key, &head, now)).await;
        if let Ok(Err(error)) = written {
            tracing::error!(%error, "the audit anchor could not be written");
        }
    }
    Ok(())
}

/// The key heads are signed with: the configured one, or one made once and kept in the database.
///
/// # Errors
/// [`StoreError`].
pub async fn signing_key(session: &mut Session, config: &Config) -> Result<SigningKey, StoreError> {
    let configured = config.audit.signing_key.expose();
    let text = if configured.is_empty() {
        let new = data_encoding::BASE64.encode(&ambient::random_bytes::<32>());
        store::setting::get_or_set(session, store::setting::AUDIT_KEY, new).await?
    } else {
        configured.to_owned()
    };
    from_seed(&text).ok_or_else(|| StoreError::Schema("audit.signing_key is not base64 of 32 bytes".to_owned()))
}

/// The key that our heads can be checked with; `None` when nothing was ever signed.
///
/// # Errors
/// [`StoreError`].
pub async fn known_key(session: &mut Session, config: &Config) -> Result<Option<VerifyingKey>, StoreError> {
    let configured = config.audit.signing_key.expose();
    let text = if configured.is_empty() {
        store::setting::get(session, store::setting::AUDIT_KEY).await?.unwrap_or_default()
    } else {
        configured.to_owned()
    };
    Ok(from_seed(&text).map(|key| key.verifying_key()))
}

fn from_seed(text: &str) -> Option<SigningKey> {
    let seed: [u8; 32] = data_encoding::BASE64.decode(text.trim().as_bytes()).ok()?.try_into().ok()?;
    Some(SigningKey::from_bytes(&seed))
}

/// The bytes of a head that are signed.
#[must_use]
pub fn signed_bytes(head: &Head, at: i64) -> Vec<u8> {
    format!("grannpost audit head\n{}\n{}\n{at}\n", head.seq, head.hash).into_bytes()
}

fn anchor(file: &Path, key: &SigningKey, head: &Head, now: i64) -> std::io::Result<()> {
    let signature = data_encoding::BASE64.encode(&key.sign(&signed_bytes(head, now)).to_bytes());
    let public = data_encoding::BASE64.encode(key.verifying_key().as_bytes());
    let line =
        serde_json::json!({ "seq": head.seq, "hash": head.hash, "at": now, "key": public, "signature": signature });
    // A named pipe that nobody reads would hold the sealer for ever; without blocking it is an error that is logged.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut file = std::fs::File::options().create(true).append(true).custom_flags(nonblocking).open(file)?;
    writeln!(file, "{line}")
}
