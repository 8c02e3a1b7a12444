//! Owns carrying the bell between daemons: what one makes due, the others need not wait for their next look to find.
//!
//! Invariant: right without it. A ring that is lost costs a poll's length, and nothing else.

use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::Upkeep;
use crate::store::{StoreError, bell};

/// Between two rings that are carried on: those in between are one.
const GAP: Duration = Duration::from_millis(20);
/// After a connection could not be had.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Starts telling the others and hearing them. With SQLite there are no others.
pub fn start(upkeep: &Upkeep, tracker: &TaskTracker) {
    if upkeep.store.has_one_writer() {
        return;
    }
    let (telling, hearing) = (upkeep.clone(), upkeep.clone());
    tracker.spawn(async move {
        let stop = telling.stop.clone();
        stop.run_until_cancelled(tell(telling)).await;
    });
    tracker.spawn(async move {
        let stop = hearing.stop.clone();
        stop.run_until_cancelled(hear(hearing)).await;
    });
}

async fn tell(upkeep: Upkeep) {
    loop {
        upkeep.wakeup.rung().await;
        if let Err(error) = ring(&upkeep).await {
            tracing::debug!(code = error.code(), "the other daemons could not be woken; they look by themselves");
        }
        tokio::time::sleep(GAP).await;
    }
}

async fn ring(upkeep: &Upkeep) -> Result<(), StoreError> {
    let mut session = upkeep.store.begin().await?;
    bell::ring(&mut session, &upkeep.owner).await?;
    session.commit().await
}

async fn hear(upkeep: Upkeep) {
    loop {
        if let Err(error) = hear_until_cut(&upkeep).await {
            tracing::warn!(code = error.code(), "the other daemons cannot be heard; trying again");
        }
        tokio::time::sleep(AFTER_FAILURE).await;
    }
}

async fn hear_until_cut(upkeep: &Upkeep) -> Result<(), StoreError> {
    let mut listener = bell::Listener::start(upkeep.config.database.url.expose()).await?;
    // Whatever was rung before we listened.
    upkeep.wakeup.ring_here();
    while let Some(from) = listener.next().await? {
        if *from != *upkeep.owner {
            upkeep.wakeup.ring_here();
        }
    }
    Ok(())
}
