//! Owns the round that disposes of what has been kept long enough (`actions::retention`), once a day.
//!
//! Invariant: it is in no hurry; a database that is busy makes it come back later, and it goes on where it was.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::actions::{Desk, retention};

/// How often it looks: what becomes due does so at midnight.
const EVERY: Duration = Duration::from_secs(3_600);

/// Starts the rounds.
pub fn start(desk: Desk, stop: CancellationToken, tracker: &TaskTracker) {
    tracker.spawn(async move {
        while !stop.is_cancelled() {
            match retention::run(&desk).await {
                Ok(removed) => {
                    for (rule, things) in removed {
                        tracing::info!(rule = rule.code(), things, "kept long enough, and disposed of");
                    }
                }
                Err(error) => tracing::warn!(code = error.code(), "could not dispose of what is old; trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}
