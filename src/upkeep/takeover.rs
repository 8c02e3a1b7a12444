//! Owns the round in which deputies take over from those who have said nothing (`actions::deputy_takeover`).
//!
//! Invariant: a database that is busy makes it come back a moment later; who waits for a deputy then still does.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::turn::Turn;
use crate::actions::{Desk, deputy_takeover};

/// How often it looks: the time that is set is in minutes.
const EVERY: Duration = Duration::from_secs(5);

/// Starts the rounds, each when it is this daemon's turn; none while no time is set.
pub fn start((desk, turn): (Desk, Turn), stop: CancellationToken, tracker: &TaskTracker) {
    if desk.config.replies.deputy_after_minutes == 0 {
        return;
    }
    tracker.spawn(async move {
        while !stop.is_cancelled() {
            let taken_over = if turn.is_ours() { deputy_takeover::sweep(&desk).await } else { Ok(0) };
            match taken_over {
                Ok(0) => {}
                Ok(persons) => tracing::info!(persons, "deputies took an alert over"),
                Err(error) => tracing::warn!(code = error.code(), "deputies could not take over; trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}
