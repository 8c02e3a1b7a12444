//! Owns the round that reminds chiefs of letters (`actions::letter_reminder`).
//!
//! Invariant: it is in no hurry, and a database that is busy makes it come back later.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::turn::Turn;
use crate::actions::{Desk, letter_reminder};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(300);
/// How often a daemon whose turn it is not looks whether it is.
const AWAITING_TURN: Duration = Duration::from_secs(1);

/// Starts the rounds, each when it is this daemon's turn.
pub fn start((desk, turn): (Desk, Turn), stop: CancellationToken, tracker: &TaskTracker) {
    tracker.spawn(async move {
        while !stop.is_cancelled() {
            let told = if turn.is_ours() { letter_reminder::remind(&desk).await } else { Ok(0) };
            match told {
                Ok(0) => {}
                Ok(told) => tracing::info!(told, "chiefs were reminded of the next letter"),
                Err(error) => tracing::warn!(code = error.code(), "chiefs could not be reminded; trying again"),
            }
            let rest = if turn.is_ours() { EVERY } else { AWAITING_TURN };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}
