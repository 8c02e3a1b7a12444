//! Owns figures that were counted lately and still hold for whoever looks next.
//!
//! Only what reads every row of a large register or message is kept here, and only for seconds. Invariant: nothing that is sent
//! or stored is decided by it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::alert_figures::SlowFigures;
use super::census::Census;
use crate::store::register::AreaCover;

/// Values kept of one kind.
const MOST: usize = 64;

/// Everything that is kept.
#[derive(Debug, Default)]
pub struct Lately {
    /// The whole register, under the empty key.
    pub census: Kept<Census>,
    /// How areas are covered, by the area looked at.
    pub cover: Kept<BTreeMap<String, AreaCover>>,
    /// What reads every delivery of an alert, by its id.
    pub figures: Kept<SlowFigures>,
}

/// Values by key, each with when it was counted.
#[derive(Debug)]
pub struct Kept<T> {
    values: Mutex<BTreeMap<String, (i64, Arc<T>)>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { values: Mutex::default() }
    }
}

impl<T> Kept<T> {
    /// The value of `key` and when it was counted, unless that is longer ago than `holds_ms`; Unix ms.
    pub fn get(&self, key: &str, now: i64, holds_ms: i64) -> Option<(i64, Arc<T>)> {
        let values = self.values();
        let (at, value) = values.get(key).filter(|(at, _)| (0..holds_ms).contains(&(now - at)))?;
        Some((*at, Arc::clone(value)))
    }

    /// Keeps what was counted at `now`, Unix ms.
    pub fn keep(&self, key: &str, now: i64, value: Arc<T>) {
        let mut values = self.values();
        if values.len() >= MOST {
            values.clear();
        }
        values.insert(key.to_owned(), (now, value));
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<String, (i64, Arc<T>)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
