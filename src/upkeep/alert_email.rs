//! Owns the round that writes alerts by e-mail to those whom no SMS reached (`actions::alert_email`).
//!
//! Invariant: a database that is busy makes it come back a moment later; who was to be written to then still is.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::turn::Turn;
use crate::actions::{Desk, alert_email};

/// How often it looks at most.
const SELDOM: Duration = Duration::from_secs(15);
/// It rests for so many times as long as it looked: it reads every delivery of an alert that is out, which may be a million.
const RESTS: u32 = 20;

/// Starts the rounds, each when it is this daemon's turn; none while no time is set.
pub fn start((desk, turn): (Desk, Turn), stop: CancellationToken, tracker: &TaskTracker) {
    let after = desk.config.alerts.email_instead_after_seconds;
    if after == 0 {
        return;
    }
    // A tenth of the time that is set, so that it is kept about.
    let every = Duration::from_millis(u64::from(after) * 100).min(SELDOM);
    tracker.spawn(async move {
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let written = if turn.is_ours() { alert_email::sweep(&desk).await } else { Ok(0) };
            match written {
                Ok(0) => {}
                Ok(persons) => tracing::info!(persons, "an alert went by e-mail to those whom no SMS reached"),
                Err(error) => {
                    tracing::warn!(code = error.code(), "an alert did not go by e-mail by itself; trying again")
                }
            }
            tokio::select! {
                () = tokio::time::sleep(every.max(begun.elapsed() * RESTS)) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}
