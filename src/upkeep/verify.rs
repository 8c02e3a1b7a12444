//! Owns `verify`: the six things that must hold (contract section 6), checked from the rows alone.
//!
//! It changes nothing. Invariant: a check that cannot be made is reported as broken, never as fine.

use std::path::Path;

use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

use super::seal::signed_bytes;
use crate::ambient::Clock;
use crate::config::Config;
use crate::store::audit::{self, GENESIS, Head};
use crate::store::verify as rows;
use crate::store::{Session, Store, StoreError};

/// Entries of the chain read at a time.
const PAGE: i64 = 5_000;

/// One invariant and what breaks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its number in the contract.
    pub number: u8,
    /// What it says, in Swedish.
    pub what: &'static str,
    /// What breaks it; ids only.
    pub broken: Vec<String>,
}

/// Checks all six.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn run(store: &Store, config: &Config, clock: &Clock) -> Result<Vec<Check>, StoreError> {
    let mut session = store.read().await?;
    let grace = i64::from(config.dispatch.lease_seconds).max(5) * 1000;
    let mut chain = chain(&mut session, config).await?;
    chain.extend(all(&mut session, &rows::LOGGED).await?);
    chain.extend(rows::unknown_batches(&mut session).await?);
    let check = |number, what, broken| Check { number, what, broken };
    Ok(vec![
        check(1, "Varje person täcks av en leverans per kanal", all(&mut session, &rows::COVERED_ONCE).await?),
        check(2, "Siffrorna är lika med raderna", all(&mut session, &rows::COUNTS_EQUAL_ROWS).await?),
        check(
            3,
            "Inget försök efter sluttid, stopp eller avregistrering eller före godkännande",
            all(&mut session, &rows::NO_ATTEMPT_TOO_LATE_OR_EARLY).await?,
        ),
        check(4, "Historiken går bara framåt", all(&mut session, &rows::HISTORY_IS_MONOTONE).await?),
        check(5, "Loggkedjan är hel och har allt", chain),
        check(6, "Inget lån är äldre än sin tid", rows::overdue_leases(&mut session, clock.now_ms() - grace).await?),
    ])
}

async fn all(session: &mut Session, statements: &[&'static str]) -> Result<Vec<String>, StoreError> {
    let mut broken = Vec::new();
    for statement in statements {
        broken.extend(rows::lines(session, statement).await?);
    }
    Ok(broken)
}

/// Walks the chain from its beginning, compares batches with their digests and heads with their anchors.
async fn chain(session: &mut Session, config: &Config) -> Result<Vec<String>, StoreError> {
    let key = super::seal::known_key(session, config).await?;
    let anchors = config.audit.anchor().map(|file| read_anchors(&file, key.as_ref()));
    let (mut anchors, mut broken) = match anchors {
        None => (Vec::new(), Vec::new()),
        Some(Ok(anchors)) => (anchors, Vec::new()),
        Some(Err(problem)) => (Vec::new(), vec![problem]),
    };
    let mut at = Head { seq: 0, hash: GENESIS.to_owned() };
    loop {
        let entries = audit::sealed_after(session, at.seq, PAGE).await?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            let (seq, hash) = (entry.seq.unwrap_or(0), entry.hash.clone().unwrap_or_default());
            if seq != at.seq + 1 {
                broken.push(format!("log entry {}: missing", at.seq + 1));
            }
            if entry.chained(&at.hash, seq) != hash {
                broken.push(format!("log entry {seq}: changed, or what stood before it was"));
            }
            broken.extend(batch(session, &entry).await?);
            anchors.retain(|anchor| {
                if anchor.seq == seq && anchor.hash != hash {
                    broken.push(format!("log entry {seq}: differs from its anchor"));
                }
                anchor.seq != seq
            });
            at = Head { seq, hash };
        }
    }
    broken.extend(anchors.iter().map(|anchor| format!("log entry {}: anchored, but not in the log", anchor.seq)));
    broken.truncate(usize::try_from(rows::MOST).unwrap_or(100));
    Ok(broken)
}

/// Whether a settled batch still has the rows its digest was made of.
async fn batch(session: &mut Session, entry: &audit::Stored) -> Result<Option<String>, StoreError> {
    if entry.object_kind != "deliveries" {
        return Ok(None);
    }
    let detail: serde_json::Value = serde_json::from_str(&entry.detail).unwrap_or_default();
    let Some(digest) = detail["digest"].as_str() else { return Ok(None) };
    let (changes, now) = rows::batch_digest(session, &entry.id).await?;
    let is_whole = now == digest && detail["changes"].as_u64() == Some(changes as u64);
    Ok((!is_whole).then(|| format!("batch {}: its changes are not those that were settled", entry.id)))
}

/// The heads in the anchor file; a line whose signature is wrong is a problem of its own.
fn read_anchors(file: &Path, key: Option<&VerifyingKey>) -> Result<Vec<Head>, String> {
    // A pipe to a log host cannot be read back; whoever keeps the log compares there.
    if std::fs::metadata(file).is_ok_and(|file| !file.is_file()) {
        return Ok(Vec::new());
    }
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return Err(format!("anchor file {}: {error}", file.display())),
    };
    text.lines()
        .enumerate()
        .map(|(at, line)| {
            key.and_then(|key| read_anchor(line, key))
                .ok_or_else(|| format!("anchor file line {}: not signed by us", at + 1))
        })
        .collect()
}

fn read_anchor(line: &str, key: &VerifyingKey) -> Option<Head> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let bytes = |name: &str| data_encoding::BASE64.decode(value[name].as_str()?.as_bytes()).ok();
    // The key in the line only helps an outsider: a head counts when our own key signed it.
    let signature = Signature::from_bytes(&bytes("signature")?.try_into().ok()?);
    let head = Head { seq: value["seq"].as_i64()?, hash: value["hash"].as_str()?.to_owned() };
    key.verify(&signed_bytes(&head, value["at"].as_i64()?), &signature).ok()?;
    Some(head)
}
