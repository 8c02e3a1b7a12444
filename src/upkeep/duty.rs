//! Owns the round that tells the duty number of urgent answers nobody has taken (`actions::duty`).
//!
//! Invariant: a database that is busy makes it come back a moment later; what it has to tell waits.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::actions::{Desk, duty};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);

/// Starts the rounds.
pub fn start(desk: Desk, stop: CancellationToken, tracker: &TaskTracker) {
    tracker.spawn(async move {
        while !stop.is_cancelled() {
            match duty::tell(&desk).await {
                Ok(0) => {}
                Ok(told) => {
                    tracing::warn!(answers = told, "the duty number was told of urgent answers that nobody has taken")
                }
                Err(error) => tracing::warn!(code = error.code(), "the duty number could not be told; trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}
