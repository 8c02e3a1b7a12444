//! Owns sealing the audit log into its chain, and anchoring the chain's head outside the database.
//!
//! Invariant: an anchor is written only after its head is committed.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use tokio::sync::Mutex;

use super::Upkeep;
use crate::actions::audit_chain::{open_anchors, signed_bytes, signing_key};
use crate::store::audit::Head;
use crate::store::{self, StoreError};

const BATCH: i64 = 5_000;
/// Between two times that it is said that anchors cannot be written, which each round would say anew.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Seals the log, and anchors its newest head as soon as that can be done.
#[derive(Debug, Default)]
pub(super) struct Sealer {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The newest head, while it is not anchored.
    head: Option<Head>,
    /// When it was last said that this cannot be done.
    said_at: Option<Instant>,
}

impl Sealer {
    /// Seals what is unsealed and anchors the new head.
    pub(super) async fn round(&self, upkeep: &Upkeep) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock().await;
        let mut session = upkeep.store.begin().await?;
        let sealed = store::audit::seal(&mut session, BATCH).await?;
        if sealed.is_none() && waiting.head.is_none() {
            return Ok(());
        }
        let key = signing_key(&mut session, &upkeep.config).await?;
        session.commit().await?;
        waiting.head = sealed.or(waiting.head.take());
        let (Some(file), Some(head)) = (upkeep.config.audit.anchor(), waiting.head.clone()) else {
            waiting.head = None;
            return Ok(());
        };
        let now = upkeep.clock.now_ms();
        let written = tokio::task::spawn_blocking(move || anchor(&file, &key, &head, now)).await;
        waiting.note(written.unwrap_or_else(|ended| Err(std::io::Error::other(ended))));
        Ok(())
    }
}

impl Waiting {
    fn note(&mut self, written: std::io::Result<()>) {
        match written {
            Ok(()) => *self = Self::default(),
            Err(_) if self.said_at.is_some_and(|at| at.elapsed() < SAID_EVERY) => {}
            Err(error) => {
                tracing::error!(%error, "the audit anchor could not be written");
                self.said_at = Some(Instant::now());
            }
        }
    }
}

fn anchor(file: &Path, key: &SigningKey, head: &Head, now: i64) -> std::io::Result<()> {
    let signature = data_encoding::BASE64.encode(&key.sign(&signed_bytes(head, now)).to_bytes());
    let public = data_encoding::BASE64.encode(key.verifying_key().as_bytes());
    let line =
        serde_json::json!({ "seq": head.seq, "hash": head.hash, "at": now, "key": public, "signature": signature });
    // At once: half a line would be found by every `verify` from then on.
    let line = format!("{line}\n");
    let mut file = open_anchors(file, true)?;
    file.write_all(line.as_bytes())
}
