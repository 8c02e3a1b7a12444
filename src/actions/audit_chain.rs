//! Owns the chain of the audit log: the key its heads are signed with, and walking it from its beginning.
//!
//! Sealing and anchoring it is upkeep's. Invariant: a walk changes nothing, and what it cannot read is reported as broken.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ed25519_dalek::{Signature, SigningKey, Verifier as _, VerifyingKey};

use crate::ambient;
use crate::config::Config;
use crate::store::audit::{self, GENESIS, Head};
use crate::store::settle::BatchDigest;
use crate::store::verify as rows;
use crate::store::{self, Session, StoreError};

/// Rows read at a time.
const PAGE: i64 = 5_000;

/// Batches whose rows are looked for in one walk through the history of deliveries, which is in no order of batches: what they take in
/// memory (300 octets each) against how often the history is read.
const BATCHES_AT_ONCE: usize = 50_000;

/// What a walk along the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    /// Sealed entries that were read.
    pub entries: u64,
    /// Heads that were compared with what an anchor outside the database says.
    pub anchors: usize,
    /// What is wrong; ids and places only, at most as many as `verify` names.
    pub broken: Vec<String>,
}

/// Walks the chain from its beginning, compares batches with their digests and heads with their anchors.
///
/// # Errors
/// [`StoreError`].
pub async fn walk(session: &mut Session, config: &Config) -> Result<Walked, StoreError> {
    let key = known_key(session, config).await?;
    let anchors = config.audit.anchor().map(|file| read_anchors(&file, key.as_ref()));
    let (mut anchors, mut broken) = match anchors {
        None => (Vec::new(), Vec::new()),
        Some(Ok(anchors)) => (anchors, Vec::new()),
        Some(Err(problem)) => (Vec::new(), vec![problem]),
    };
    let anchored = anchors.len();
    let mut entries_read = 0;
    let mut batches = HashMap::new();
    let mut at = Head { seq: 0, hash: GENESIS.to_owned() };
    loop {
        let entries = audit::sealed_after(session, at.seq, PAGE).await?;
        if entries.is_empty() {
            break;
        }
        entries_read += entries.len() as u64;
        for entry in entries {
            let (seq, hash) = (entry.seq.unwrap_or(0), entry.hash.clone().unwrap_or_default());
            if seq != at.seq + 1 {
                broken.push(format!("log entry {}: missing", at.seq + 1));
            }
            if entry.chained(&at.hash, seq) != hash {
                broken.push(format!("log entry {seq}: changed, or what stood before it was"));
            }
            batches.extend(Settled::of(&entry).map(|settled| (entry.id.clone(), settled)));
            anchors.retain(|anchor| {
                if anchor.seq == seq && anchor.hash != hash {
                    broken.push(format!("log entry {seq}: differs from its anchor"));
                }
                anchor.seq != seq
            });
            at = Head { seq, hash };
        }
        if batches.len() >= BATCHES_AT_ONCE {
            broken.extend(compare(session, std::mem::take(&mut batches)).await?);
        }
    }
    broken.extend(compare(session, batches).await?);
    broken.extend(anchors.iter().map(|anchor| format!("log entry {}: anchored, but not in the log", anchor.seq)));
    broken.truncate(usize::try_from(rows::MOST).unwrap_or(100));
    Ok(Walked { entries: entries_read, anchors: anchored, broken })
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

/// A batch of changes as the log has it, and as its rows are found.
struct Settled {
    changes: Option<u64>,
    digest: String,
    found: BatchDigest,
}

impl Settled {
    fn of(entry: &audit::Stored) -> Option<Self> {
        if entry.object_kind != "deliveries" {
            return None;
        }
        let detail: serde_json::Value = serde_json::from_str(&entry.detail).unwrap_or_default();
        let digest = detail["digest"].as_str()?.to_owned();
        Some(Self { changes: detail["changes"].as_u64(), digest, found: BatchDigest::default() })
    }

    fn is_whole(&self) -> bool {
        let (changes, digest) = self.found.clone().finish();
        digest == self.digest && self.changes == Some(changes)
    }
}

/// Reads the history of all deliveries and says which of `batches` do not have the rows any more that their digests were made of.
async fn compare(session: &mut Session, mut batches: HashMap<String, Settled>) -> Result<Vec<String>, StoreError> {
    let mut at = (i64::MIN, 0);
    while !batches.is_empty() {
        // In order of delivery and version, which is the order within each batch's digest.
        let events = rows::events_after(session, at, PAGE).await?;
        let Some(last) = events.last() else { break };
        at = (last.delivery_id, last.version);
        for event in &events {
            if let Some(settled) = batches.get_mut(&event.batch) {
                let id = (event.delivery_id, event.version);
                settled.found.add(id, &event.from_state, &event.to_state, event.reason.as_deref());
            }
        }
    }
    let broken = batches.into_iter().filter_map(|(id, settled)| (!settled.is_whole()).then_some(id));
    let mut broken: Vec<String> =
        broken.map(|id| format!("batch {id}: its changes are not those that were settled")).collect();
    broken.sort_unstable();
    Ok(broken)
}

/// Opens the file, or the named pipe to a log host, that heads are anchored in; `is_new` makes a file that is not there.
///
/// # Errors
/// Whatever the system says. A named pipe that nobody reads would hold the sealer for ever; here it is an error (`ENXIO`, open(2)).
pub fn open_anchors(file: &Path, is_new: bool) -> io::Result<File> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    File::options().create(is_new).append(true).custom_flags(nonblocking).open(file)
}

/// Whether heads can be anchored in `file`. Does not make it: it would belong to whoever asks, not to the daemon.
///
/// # Errors
/// Whatever the system says of the file or, when there is none yet, of its folder.
pub fn can_anchor(file: &Path) -> io::Result<()> {
    match open_anchors(file, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(rustix::fs::access(folder, rustix::fs::Access::WRITE_OK)?)
        }
        opened => opened.map(drop),
    }
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
