//! Owns the round that reminds chiefs of letters (`actions::letter_reminder`).
//!
//! Invariant: it is in no hurry, and a database that is busy makes it come back later.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::actions::{Desk, letter_reminder};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(300);

/// Starts the rounds.
pub fn start(desk: Desk, stop: CancellationToken, tracker: &TaskTracker) {
    tracker.spawn(async move {
        while !stop.is_cancelled() {
            match letter_reminder::remind(&desk).await {
                Ok(0) => {}
                Ok(told) => tracing::info!(told, "chiefs were reminded of the next letter"),
                Err(error) => tracing::warn!(code = error.code(), "chiefs could not be reminded; trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}
