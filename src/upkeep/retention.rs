//! Owns the round that disposes of what has been kept long enough (`actions::retention`), once a day.
//!
//! Invariant: it is in no hurry; a database that is busy makes it come back later, and it goes on where it was.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::turn::Turn;
use crate::actions::{Desk, retention};

/// How often it looks: what becomes due does so at midnight.
const EVERY: Duration = Duration::from_secs(3_600);

/// How often a daemon whose turn it is not looks whether it is.
const AWAITING_TURN: Duration = Duration::from_secs(60);

/// Starts the rounds, each when it is this daemon's turn.
pub fn start((desk, turn): (Desk, Turn), stop: CancellationToken, tracker: &TaskTracker) {
    tracker.spawn(async move {
        while !stop.is_cancelled() {
            let removed = if turn.is_ours() {
                retention::run(&desk, || turn.is_ours() && !stop.is_cancelled()).await
            } else {
                Ok(Vec::new())
            };
            match removed {
                Ok(removed) => {
                    for (rule, things) in removed {
                        tracing::info!(rule = rule.code(), things, "kept long enough, and disposed of");
                    }
                }
                Err(error) => tracing::warn!(code = error.code(), "could not dispose of what is old; trying again"),
            }
            let rest = if turn.is_ours() { EVERY } else { AWAITING_TURN };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}
