//! Owns what must happen by itself: rescue of what a dead daemon held, expiry, the audit seal, the clock's honesty.
//!
//! Invariant: each round is idempotent; two daemons doing it at once do no harm.

pub mod clock;
pub mod duty;
pub mod expire;
pub mod freezing;
pub mod gauge;
pub mod presence;
pub mod register_word;
pub mod reminder;
pub mod rescue;
pub mod retention;
pub mod seal;
pub mod verify;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ambient::{Clock, Wakeup};
use crate::config::Config;
use crate::store::{Store, StoreError};

/// What upkeep works with.
#[derive(Debug, Clone)]
pub struct Upkeep {
    /// The database.
    pub store: Store,
    /// Wall clock.
    pub clock: Clock,
    /// Settings.
    pub config: Arc<Config>,
    /// This daemon's id.
    pub owner: Arc<str>,
    /// Rung when something became due.
    pub wakeup: Wakeup,
    /// Cancelled when the daemon stops.
    pub stop: CancellationToken,
}

impl Upkeep {
    /// Starts every round.
    pub fn start(&self, tracker: &tokio_util::task::TaskTracker, presence: presence::Presence) {
        let presence = Arc::new(tokio::sync::Mutex::new(presence));
        let upkeep = self.clone();
        tracker.spawn(self.clone().every(Duration::from_secs(1), "rescue", move || {
            let (upkeep, presence) = (upkeep.clone(), Arc::clone(&presence));
            async move { rescue::round(&upkeep, &mut *presence.lock().await).await }
        }));
        let upkeep = self.clone();
        tracker.spawn(self.clone().every(Duration::from_millis(500), "expire", move || expire::round(upkeep.clone())));
        let upkeep = self.clone();
        let each = Duration::from_millis(500);
        tracker.spawn(self.clone().every(each, "freezing", move || freezing::round(upkeep.clone())));
        let upkeep = self.clone();
        tracker.spawn(self.clone().every(Duration::from_millis(500), "seal", move || seal::round(upkeep.clone())));
        let watch = Arc::new(clock::Watch::new(&self.clock));
        let upkeep = self.clone();
        tracker.spawn(self.clone().every(Duration::from_secs(5), "clock", move || {
            let (upkeep, watch) = (upkeep.clone(), Arc::clone(&watch));
            async move { watch.round(&upkeep).await }
        }));
        let upkeep = self.clone();
        let each = Duration::from_secs(1);
        tracker.spawn(self.clone().every(each, "register_word", move || register_word::round(upkeep.clone())));
        let upkeep = self.clone();
        tracker.spawn(self.clone().every(Duration::from_secs(2), "gauge", move || gauge::round(upkeep.clone())));
    }

    async fn every<F, Fut>(self, period: Duration, name: &'static str, round: F)
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(), StoreError>>,
    {
        while !self.stop.is_cancelled() {
            if let Err(error) = round().await {
                tracing::warn!(round = name, code = error.code(), "upkeep could not do its round; trying again");
            }
            tokio::select! {
                () = tokio::time::sleep(period) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}
