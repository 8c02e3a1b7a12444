//! Owns figures that were counted lately and still hold for whoever looks next.
//!
//! Only what reads every row of a large register or message is kept here, and only for seconds. Figures that have become old are
//! shown once more, with their time, while one task counts anew beside the look. Invariant: nothing that is sent or stored is
//! decided by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::alert_figures::SlowFigures;
use super::census::Census;
use super::{Desk, Result};
use crate::store::alert::Passed;
use crate::store::queue::QueueDepth;
use crate::store::register::AreaCover;

/// Values kept of one kind.
const MOST: usize = 64;
/// How many times longer than they hold figures may be shown while they are counted anew.
const TIMES_OLD: i64 = 3;

/// Everything that is kept.
#[derive(Debug, Default)]
pub struct Lately {
    /// The whole register, under the empty key.
    pub census: Kept<Census>,
    /// How areas are covered, by the area looked at.
    pub cover: Kept<BTreeMap<String, AreaCover>>,
    /// What reads every delivery of an alert, by its id.
    pub figures: Kept<SlowFigures>,
    /// How the deliveries of an alert passed from state to state, by its id.
    pub passed: Kept<Vec<Passed>>,
    /// What waits in each lane, under the empty key.
    pub depths: Kept<Vec<QueueDepth>>,
}

/// Values by key, each with when it was counted.
#[derive(Debug)]
pub struct Kept<T> {
    values: Mutex<BTreeMap<String, (i64, Arc<T>)>>,
    counting: Mutex<BTreeSet<String>>,
}

/// A value that was counted lately.
#[derive(Debug)]
pub struct Known<T> {
    /// When, Unix ms.
    pub at: i64,
    /// What was counted.
    pub value: Arc<T>,
    /// Whether it should be counted anew.
    pub is_old: bool,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { values: Mutex::default(), counting: Mutex::default() }
    }
}

impl<T> Kept<T> {
    /// The value of `key`, unless it is too old to be shown; `holds_ms` is how long it need not be counted anew. Times are Unix ms.
    pub fn get(&self, key: &str, now: i64, holds_ms: i64) -> Option<Known<T>> {
        let values = locked(&self.values);
        let (at, value) = values.get(key).filter(|(at, _)| (0..holds_ms * TIMES_OLD).contains(&(now - at)))?;
        Some(Known { at: *at, value: Arc::clone(value), is_old: now - at >= holds_ms })
    }

    /// Keeps what was counted at `now`, Unix ms.
    pub fn keep(&self, key: &str, now: i64, value: Arc<T>) {
        let mut values = locked(&self.values);
        if values.len() >= MOST {
            values.clear();
        }
        values.insert(key.to_owned(), (now, value));
    }
}

/// Counts anew beside the look that found old figures, unless somebody does so already. What fails is counted by the next look.
pub(super) fn count_beside<T: Send + Sync + 'static>(
    desk: &Desk,
    kept: fn(&Lately) -> &Kept<T>,
    key: &str,
    counting: impl Future<Output = Result<T>> + Send + 'static,
) {
    let (lately, clock, key) = (Arc::clone(&desk.lately), desk.clock.clone(), key.to_owned());
    if !locked(&kept(&lately).counting).insert(key.clone()) {
        return;
    }
    tokio::spawn(async move {
        let turn = Turn { lately, kept, key };
        let began_at = clock.now_ms();
        match counting.await {
            Ok(value) => kept(&turn.lately).keep(&turn.key, began_at, Arc::new(value)),
            Err(error) => tracing::warn!(code = error.code(), "figures could not be counted anew"),
        }
    });
}

/// Whose turn it is to count; given back also when the counting is broken off.
struct Turn<T> {
    lately: Arc<Lately>,
    kept: fn(&Lately) -> &Kept<T>,
    key: String,
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        locked(&(self.kept)(&self.lately).counting).remove(&self.key);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
