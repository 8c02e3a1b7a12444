//! Owns taking incoming mail in: spooled as it comes, then kept raw, once, before whoever brought it is told so.
//!
//! It does not read it (`mail_reader`). Invariants: what is told to be taken is on disk; a mail takes the same little memory
//! however long it is; the same octets to the same recipient are one mail.

use std::io::{Read as _, Seek as _, Write as _};

use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::ambient::{self, Clock};
use crate::store::inbound_mail::{self, NewMail};
use crate::store::{Store, StoreError};

/// Octets of one stored piece.
pub const PIECE: usize = 384 * 1024;
/// A mail as long as this is spooled in memory, a longer one in a temporary file.
const IN_MEMORY: usize = 256 * 1024;
/// Characters of an envelope recipient.
const RECIPIENT: usize = 320;

/// The mail is not kept; it must be brought again.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// It could not be read or spooled.
    #[error("the mail could not be spooled")]
    Spool(#[from] std::io::Error),
    /// The database could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotKept {
    /// Stable code, safe to log.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Spool(_) => "mail.not_spooled",
            Self::Store(error) => error.code(),
        }
    }
}

/// A mail on its way in.
#[derive(Debug)]
pub struct Spool {
    file: SpooledTempFile,
    digest: Sha256,
    kept: u64,
    octets: u64,
    most: u64,
    recipient: String,
}

impl Spool {
    /// An empty spool for a mail to `recipient` of which at most `most` octets are kept.
    #[must_use]
    pub fn new(recipient: &str, most: u64) -> Self {
        let recipient: String = recipient.chars().filter(|c| !c.is_control()).take(RECIPIENT).collect();
        let mut digest = Sha256::new();
        digest.update(recipient.to_lowercase().as_bytes());
        digest.update([0]);
        Self { file: SpooledTempFile::new(IN_MEMORY), digest, kept: 0, octets: 0, most, recipient }
    }

    /// Adds octets; what is too many is counted and not kept.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn add(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.digest.update(octets);
        self.octets += octets.len() as u64;
        let room = usize::try_from(self.most - self.kept).unwrap_or(usize::MAX);
        let taken = &octets[..octets.len().min(room)];
        self.file.write_all(taken)?;
        self.kept += taken.len() as u64;
        Ok(())
    }

    /// Adds all that a reader gives.
    ///
    /// # Errors
    /// When it cannot be read or spooled.
    pub async fn add_all(&mut self, mut from: impl AsyncRead + Unpin) -> std::io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer).await? {
                0 => return Ok(()),
                count => self.add(&buffer[..count])?,
            }
        }
    }

    /// Keeps the mail; says whether it is new. Once this has returned, it is on disk.
    ///
    /// # Errors
    /// [`NotKept`]; nothing is kept then.
    pub async fn keep(mut self, store: &Store, clock: &Clock, source: &'static str) -> Result<bool, NotKept> {
        self.file.rewind()?;
        let mail = NewMail {
            id: ambient::new_id(clock),
            digest: data_encoding::HEXLOWER.encode(&self.digest.finalize()),
            recipient: self.recipient,
            source,
            octets: i64::try_from(self.octets).unwrap_or(i64::MAX),
            is_cut: self.kept < self.octets,
            received_at: clock.now_ms(),
        };
        let mut session = store.begin().await?;
        let is_new = inbound_mail::keep(&mut session, &mail).await?;
        let mut piece = vec![0; if is_new { PIECE } else { 0 }];
        for number in 0.. {
            let filled = fill(&mut self.file, &mut piece)?;
            if filled == 0 {
                break;
            }
            let content = data_encoding::BASE64.encode(&piece[..filled]);
            inbound_mail::add_part(&mut session, &mail.id, (number, content)).await?;
        }
        session.commit().await?;
        Ok(is_new)
    }
}

fn fill(file: &mut SpooledTempFile, piece: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match file.read(&mut piece[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
