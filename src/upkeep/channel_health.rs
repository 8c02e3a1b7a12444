//! Owns the round that adds up what alerts told of numbers (`actions::channel_health`).
//!
//! Invariant: it is in no hurry; what it missed it finds in the next round.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::turn::Turn;
use crate::actions::{Desk, channel_health};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);

/// Starts the rounds, each when it is this daemon's turn.
pub fn start((desk, turn): (Desk, Turn), stop: CancellationToken, tracker: &TaskTracker) {
    tracker.spawn(async move {
        while !stop.is_cancelled() {
            let weighed = if turn.is_ours() { channel_health::weigh_alerts(&desk).await } else { Ok(0) };
            match weighed {
                Ok(0) => {}
                Ok(persons) => tracing::info!(persons, "numbers that several SMS did not arrive at are to be rung"),
                Err(error) => {
                    tracing::warn!(code = error.code(), "what alerts told of numbers was not added up; trying again")
                }
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}
