//! Owns the record of what the simulated gateway has taken: the judge in every test of loss and duplicates.
//!
//! It is never cleared and never corrected. Invariant: entries stand in the order of acceptance, their wall times rise
//! strictly, and no call costs more the longer the journal is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Notify;

use super::journal_file::JournalFile;

/// One message that the gateway has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedSms {
    /// Position in the journal, from 0.
    pub position: usize,
    /// Its id, as told to the sender.
    pub id: String,
    /// Recipient as sent.
    pub to: String,
    /// Sender as sent.
    pub from: String,
    /// Text as sent.
    pub text: String,
    /// `whendelivered` as sent.
    pub receipt_url: Option<String>,
    /// Whether the history must not tell the text.
    pub dontlog: bool,
    /// Parts charged.
    pub parts: i64,
    /// Wall time of acceptance, Unix microseconds.
    pub arrived_at_us: i64,
    /// The same by the monotonic clock, microseconds since the gateway started.
    pub arrived_after_us: u64,
}

impl AcceptedSms {
    /// Wall time of acceptance.
    #[must_use]
    pub fn arrived_at(&self) -> Timestamp {
        Timestamp::from_microsecond(self.arrived_at_us).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// What is to be entered.
#[derive(Debug, Clone, Default)]
pub(super) struct NewSms {
    pub(super) to: String,
    pub(super) from: String,
    pub(super) text: String,
    pub(super) receipt_url: Option<String>,
    pub(super) dontlog: bool,
    pub(super) parts: i64,
}

/// State as `GET /a1/sms` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SmsState {
    Created,
    Sent,
    Delivered,
    Failed,
}

impl SmsState {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// What a page of the history shall hold.
#[derive(Debug, Clone, Default)]
pub(super) struct PageQuery {
    /// Strictly older than this, Unix microseconds.
    pub(super) older_than_us: Option<i64>,
    /// Strictly newer than this, Unix microseconds.
    pub(super) newer_than_us: Option<i64>,
    pub(super) to: Option<String>,
    pub(super) limit: usize,
}

/// The record of a simulated gateway.
#[derive(Debug)]
pub struct SmsJournal {
    /// Part of every id.
    run: u64,
    started: Instant,
    entries: Mutex<Entries>,
    changed: Notify,
    file: Option<JournalFile>,
}

#[derive(Debug, Default)]
struct Entries {
    all: Vec<(AcceptedSms, SmsState)>,
    by_number: HashMap<String, Vec<usize>>,
}

impl SmsJournal {
    pub(super) fn new(run: u64, file: Option<JournalFile>) -> Self {
        Self { run, started: Instant::now(), entries: Mutex::default(), changed: Notify::new(), file }
    }

    /// How many messages were taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().all.len()
    }

    /// Whether nothing was taken yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every message taken, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<AcceptedSms> {
        self.messages_from(0)
    }

    /// Messages from this position on.
    #[must_use]
    pub fn messages_from(&self, position: usize) -> Vec<AcceptedSms> {
        self.lock().all.iter().skip(position).map(|(sms, _)| sms.clone()).collect()
    }

    /// Waits until at least `count` messages were taken.
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

    /// Pairs of number and text that were taken more than once, with how often.
    #[must_use]
    pub fn duplicates(&self) -> Vec<(String, String, usize)> {
        let entries = self.lock();
        let mut seen: HashMap<(&str, &str), usize> = HashMap::new();
        for (sms, _) in &entries.all {
            *seen.entry((&sms.to, &sms.text)).or_default() += 1;
        }
        let mut repeated: Vec<_> = seen
            .into_iter()
            .filter(|(_, count)| *count > 1)
            .map(|((to, text), count)| (to.to_owned(), text.to_owned(), count))
            .collect();
        repeated.sort();
        repeated
    }

    /// The most messages taken in any stretch of `window`, by the monotonic clock.
    #[must_use]
    pub fn worst_window(&self, window: Duration) -> usize {
        let entries = self.lock();
        let times = entries.all.iter().map(|(sms, _)| sms.arrived_after_us);
        worst_window(&times.collect::<Vec<_>>(), window)
    }

    pub(super) fn enter(&self, new: NewSms, now: Timestamp) -> AcceptedSms {
        let mut entries = self.lock();
        let position = entries.all.len();
        let last_us = entries.all.last().map_or(i64::MIN, |(sms, _)| sms.arrived_at_us);
        let sms = AcceptedSms {
            position,
            id: self.id_of(position),
            to: new.to,
            from: new.from,
            text: new.text,
            receipt_url: new.receipt_url,
            dontlog: new.dontlog,
            parts: new.parts,
            arrived_at_us: now.as_microsecond().max(last_us.saturating_add(1)),
            arrived_after_us: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        entries.by_number.entry(sms.to.clone()).or_default().push(position);
        entries.all.push((sms.clone(), SmsState::Created));
        if let Some(file) = &self.file {
            file.append(&sms);
        }
        drop(entries);
        self.changed.notify_waiters();
        sms
    }

    pub(super) async fn flush(&self) {
        if let Some(file) = &self.file {
            file.flush().await;
        }
    }

    pub(super) fn first_id(&self) -> Option<String> {
        self.lock().all.first().map(|(sms, _)| sms.id.clone())
    }

    pub(super) fn set_state(&self, position: usize, state: SmsState) {
        if let Some((_, current)) = self.lock().all.get_mut(position) {
            *current = state;
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<(AcceptedSms, SmsState)> {
        let position = usize::from_str_radix(id.get(17..)?, 16).ok()?;
        let found = self.lock().all.get(position)?.clone();
        (found.0.id == id).then_some(found)
    }

    /// Newest first, and whether older ones are left.
    pub(super) fn page(&self, query: &PageQuery) -> (Vec<(AcceptedSms, SmsState)>, bool) {
        let entries = self.lock();
        match &query.to {
            None => {
                let older_than = query.older_than_us.unwrap_or(i64::MAX);
                let end = entries.all.partition_point(|(sms, _)| sms.arrived_at_us < older_than);
                take_page(&entries.all, (0..end).rev(), query)
            }
            Some(to) => {
                let positions = entries.by_number.get(to).map(Vec::as_slice).unwrap_or_default();
                take_page(&entries.all, positions.iter().rev().copied(), query)
            }
        }
    }

    fn id_of(&self, position: usize) -> String {
        format!("s{:016x}{position:016x}", self.run)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_page(
    all: &[(AcceptedSms, SmsState)],
    newest_first: impl Iterator<Item = usize>,
    query: &PageQuery,
) -> (Vec<(AcceptedSms, SmsState)>, bool) {
    let mut inside = newest_first
        .map(|position| &all[position])
        .skip_while(|(sms, _)| query.older_than_us.is_some_and(|limit| sms.arrived_at_us >= limit))
        .take_while(|(sms, _)| query.newer_than_us.is_none_or(|limit| sms.arrived_at_us > limit));
    let rows = inside.by_ref().take(query.limit).cloned().collect();
    (rows, inside.next().is_some())
}

/// The most of `times` (microseconds, rising) that lie in any half-open stretch of `window`.
#[must_use]
pub fn worst_window(times: &[u64], window: Duration) -> usize {
    let window = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
    let (mut first, mut worst) = (0, 0);
    for (last, time) in times.iter().enumerate() {
        while time - times[first] >= window {
            first += 1;
        }
        worst = worst.max(last - first + 1);
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(journal: &SmsJournal, to: &str, text: &str, at_us: i64) -> AcceptedSms {
        let new = NewSms { to: to.to_owned(), text: text.to_owned(), ..NewSms::default() };
        journal.enter(new, Timestamp::from_microsecond(at_us).unwrap())
    }

    #[test]
    fn pages_are_newest_first_and_bounds_are_strict() {
        let journal = SmsJournal::new(1, None);
        for n in 0..10 {
            enter(&journal, if n % 2 == 0 { "+461" } else { "+462" }, "x", 100 + n);
        }
        let times = |query: &PageQuery| {
            let (rows, more) = journal.page(query);
            (rows.iter().map(|(sms, _)| sms.arrived_at_us).collect::<Vec<_>>(), more)
        };
        let all = PageQuery { limit: 4, ..PageQuery::default() };
        assert_eq!(times(&all), (vec![109, 108, 107, 106], true));
        let next = PageQuery { older_than_us: Some(106), newer_than_us: Some(103), ..all.clone() };
        assert_eq!(times(&next), (vec![105, 104], false));
        let one_number = PageQuery { to: Some("+462".to_owned()), older_than_us: Some(109), ..all.clone() };
        assert_eq!(times(&one_number), (vec![107, 105, 103, 101], false));
        assert_eq!(times(&PageQuery { to: Some("+463".to_owned()), ..all }), (vec![], false));
    }

    #[test]
    fn times_rise_even_when_the_clock_stands_still_and_ids_find_their_message() {
        let journal = SmsJournal::new(1, None);
        let (first, second) = (enter(&journal, "+461", "x", 100), enter(&journal, "+461", "x", 50));
        assert_eq!((first.arrived_at_us, second.arrived_at_us), (100, 101));
        journal.set_state(1, SmsState::Delivered);
        assert_eq!(journal.find(&second.id), Some((second.clone(), SmsState::Delivered)));
        for id in ["", "s1", "s", &first.id[..32], &SmsJournal::new(2, None).id_of(0), "sååååååååååååååååå"]
        {
            assert_eq!(journal.find(id), None, "{id}");
        }
        assert_eq!(first.id.len(), 33);
    }

    #[test]
    fn duplicates_and_the_worst_window_are_counted() {
        let journal = SmsJournal::new(1, None);
        for (to, text) in [("+461", "a"), ("+461", "b"), ("+462", "a"), ("+461", "a"), ("+461", "a")] {
            enter(&journal, to, text, 0);
        }
        assert_eq!(journal.duplicates(), [("+461".to_owned(), "a".to_owned(), 3)]);
        let second = Duration::from_secs(1);
        assert_eq!(worst_window(&[], second), 0);
        assert_eq!(worst_window(&[5], second), 1);
        assert_eq!(worst_window(&[0, 999_999, 1_000_000, 1_000_001, 2_000_000], second), 3);
        assert_eq!(worst_window(&[0, 1_000_000, 2_000_000], second), 1);
        assert_eq!(journal.worst_window(Duration::from_secs(3_600)), 5);
    }
}
