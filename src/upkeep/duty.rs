//! Owns the round that tells the duty number of urgent answers nobody has taken (`actions::duty`).
//!
//! Invariant: a database that is busy makes it come back a moment later; what it has to tell waits.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::turn::Turn;
use crate::actions::{Desk, duty};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);

/// Starts the rounds, each when it is this daemon's turn.
pub fn start((desk, turn): (Desk, Turn), stop: CancellationToken, tracker: &TaskTracker) {
    tracker.spawn(async move {
        while !stop.is_cancelled() {
            let told = if turn.is_ours() { duty::tell(&desk).await } else { Ok(0) };
            match told {
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
