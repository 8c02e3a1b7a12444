//! Owns the record of letters the sink has taken: envelope, raw message, and counts.
//!
//! Invariant: entries stand in the order of acceptance; in count-only mode only the count is kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Notify;

use super::super::journal_file::JournalFile;

/// One letter that the sink has taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReceivedMail {
    /// Envelope sender.
    pub from: String,
    /// Parameters of MAIL, as sent.
    pub from_parameters: String,
    /// Envelope recipient; the sink refuses a second one, as every letter has one.
    pub to: String,
    /// Parameters of RCPT, as sent.
    pub to_parameters: String,
    /// The message with its dots undoubled.
    #[serde(serialize_with = "as_text")]
    pub message: Vec<u8>,
    /// `Message-ID` without angle brackets; empty when there is none.
    pub message_id: String,
    /// Whether it came inside TLS.
    pub encrypted: bool,
    /// Who had logged in.
    pub login: Option<String>,
    /// Number of the connection, from 0.
    pub connection: u64,
    /// Wall time of acceptance, Unix milliseconds.
    pub arrived_at_ms: i64,
    /// The same by the monotonic clock, microseconds since the sink started.
    pub arrived_after_us: u64,
}

fn as_text<S: serde::Serializer>(message: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(message))
}

/// The record of a mail sink.
#[derive(Debug)]
pub struct MailJournal {
    started: Instant,
    count: AtomicUsize,
    letters: Mutex<Vec<ReceivedMail>>,
    changed: Notify,
    file: Option<JournalFile>,
}

impl MailJournal {
    pub(super) fn new(file: Option<JournalFile>) -> Self {
        Self {
            started: Instant::now(),
            count: AtomicUsize::new(0),
            letters: Mutex::default(),
            changed: Notify::new(),
            file,
        }
    }

    /// How many letters were taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether nothing was taken yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every letter taken and kept, in order.
    #[must_use]
    pub fn letters(&self) -> Vec<ReceivedMail> {
        self.lock().clone()
    }

    /// Waits until at least `count` letters were taken.
    pub async fn wait_for(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.len() >= count {
                return;
            }
            changed.await;
        }
    }

    /// Pairs of recipient and Message-ID that were taken more than once, with how often.
    #[must_use]
    pub fn duplicates(&self) -> Vec<(String, String, usize)> {
        let letters = self.lock();
        let mut seen: HashMap<(&str, &str), usize> = HashMap::new();
        for letter in letters.iter() {
            *seen.entry((&letter.to, &letter.message_id)).or_default() += 1;
        }
        let mut repeated: Vec<_> = seen
            .into_iter()
            .filter(|(_, count)| *count > 1)
            .map(|((to, id), count)| (to.to_owned(), id.to_owned(), count))
            .collect();
        repeated.sort();
        repeated
    }

    pub(super) async fn flush(&self) {
        if let Some(file) = &self.file {
            file.flush().await;
        }
    }

    /// Enters a letter; `None` only counts it.
    pub(super) fn enter(&self, letter: Option<ReceivedMail>, now: Timestamp) {
        if let Some(mut letter) = letter {
            letter.message_id = read_message_id(&letter.message);
            letter.arrived_at_ms = now.as_millisecond();
            letter.arrived_after_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
            let mut letters = self.lock();
            if let Some(file) = &self.file {
                file.append(&letter);
            }
            letters.push(letter);
        }
        self.count.fetch_add(1, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ReceivedMail>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_message_id(message: &[u8]) -> String {
    for line in message.split(|byte| *byte == b'\n') {
        if line.is_empty() || line == b"\r" {
            break;
        }
        let name = "message-id:";
        if line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name.as_bytes()) {
            let value = String::from_utf8_lossy(&line[name.len()..]);
            return value.trim().trim_matches(['<', '>']).to_owned();
        }
    }
    String::new()
}
