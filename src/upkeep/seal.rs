//! Owns sealing the audit log into its chain, and anchoring the chain's head outside the database.
//!
//! Invariant: an anchor is written only after its head is committed.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};

use super::Upkeep;
use crate::actions::audit_chain::{signed_bytes, signing_key};
use crate::store::audit::Head;
use crate::store::{self, StoreError};

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
