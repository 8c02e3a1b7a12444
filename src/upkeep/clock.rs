//! Owns the watch over the wall clock: a jump pauses dispatch, since times decide what is due and what has expired.
//!
//! A jump is wall time behind the newest stored, or drifting more than a minute from the monotonic clock while running.
//! Being switched off is none.

use std::sync::Mutex;
use std::time::Instant;

use super::Upkeep;
use crate::ambient::Clock;
use crate::store::setting::{NEWEST_AT, PAUSED};
use crate::store::{self, StoreError};

const MOST_DRIFT_MS: i64 = 60_000;

/// The clocks as they stood at the last look.
#[derive(Debug)]
pub struct Watch {
    last: Mutex<(i64, Instant)>,
}

impl Watch {
    /// Begins watching.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self { last: Mutex::new((clock.now_ms(), Instant::now())) }
    }

    /// Compares the clocks and pauses dispatch when they disagree.
    pub(super) async fn round(&self, upkeep: &Upkeep) -> Result<(), StoreError> {
        if upkeep.clock.is_fake() {
            return Ok(());
        }
        let now = upkeep.clock.now_ms();
        let drift = {
            let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let monotonic = i64::try_from(last.1.elapsed().as_millis()).unwrap_or(i64::MAX);
            let drift = now - last.0 - monotonic;
            *last = (now, Instant::now());
            drift
        };
        check(upkeep, now, drift).await
    }
}

/// Looks at the newest stored time before anything is dispatched.
///
/// # Errors
/// [`StoreError`].
pub async fn check_at_start(upkeep: &Upkeep) -> Result<(), StoreError> {
    if upkeep.clock.is_fake() { Ok(()) } else { check(upkeep, upkeep.clock.now_ms(), 0).await }
}

async fn check(upkeep: &Upkeep, now: i64, drift: i64) -> Result<(), StoreError> {
    let mut session = upkeep.store.begin().await?;
    let newest = store::setting::get(&mut session, NEWEST_AT).await?;
    let newest: i64 = newest.and_then(|at| at.parse().ok()).unwrap_or(0);
    if now + MOST_DRIFT_MS < newest || drift.abs() > MOST_DRIFT_MS {
        tracing::error!(behind_ms = newest - now, drift_ms = drift, "the clock has jumped; dispatch is paused");
        store::setting::get_or_set(&mut session, PAUSED, "clock_jumped".to_owned()).await?;
        // From here on the new time counts; an operator resumes when it is right.
        store::setting::set(&mut session, NEWEST_AT, now.to_string()).await?;
    } else if now > newest {
        store::setting::set(&mut session, NEWEST_AT, now.to_string()).await?;
    }
    session.commit().await
}
