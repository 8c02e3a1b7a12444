//! Owns what must happen by itself: rescue of what a dead daemon held, expiry, the audit seal, the clock's honesty.
//!
//! Of several daemons one at a time does it (`turn`). Invariant: each round is idempotent; two daemons doing it at once do no
//! harm.

pub mod alert_email;
pub mod bell;
pub mod channel_health;
pub mod clock;
pub mod duty;
pub mod expire;
pub mod freezing;
pub mod gauge;
pub mod opt_out_journal;
pub mod presence;
pub mod register_word;
pub mod reminder;
pub mod rescue;
pub mod retention;
pub mod seal;
pub mod takeover;
pub mod turn;
pub mod verify;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    /// Whether it is this daemon's turn at what one does at a time.
    pub turn: turn::Turn,
    /// Cancelled when the daemon stops.
    pub stop: CancellationToken,
}

impl Upkeep {
    /// Starts what every daemon does, whatever its roles: it shows that it lives, watches its own clock, hears the others,
    /// keeps its journal of opt-outs and sets its own gauges. `takes_turns` says whether it also takes its turn at the rest.
    pub fn start(&self, tracker: &TaskTracker, presence: presence::Presence, takes_turns: bool) {
        let presence = Arc::new(tokio::sync::Mutex::new(presence));
        let upkeep = self.clone();
        tracker.spawn(self.clone().every(Duration::from_secs(1), "rescue", move || {
            let (upkeep, presence) = (upkeep.clone(), Arc::clone(&presence));
            async move {
                let presence = &mut *presence.lock().await;
                if takes_turns {
                    turn::round(&upkeep, presence).await
                } else {
                    turn::keep_presence(&upkeep, presence).await
                }
            }
        }));
        if takes_turns {
            self.start_in_turn(tracker);
        }
        let watch = Arc::new(clock::Watch::new(&self.clock));
        let upkeep = self.clone();
        tracker.spawn(self.clone().every(Duration::from_secs(5), "clock", move || {
            let (upkeep, watch) = (upkeep.clone(), Arc::clone(&watch));
            async move { watch.round(&upkeep).await }
        }));
        let upkeep = self.clone();
        tracker.spawn(self.clone().every(Duration::from_secs(2), "gauge", move || gauge::round(upkeep.clone())));
        let upkeep = self.clone();
        let words = move || opt_out_journal::round(upkeep.clone());
        tracker.spawn(self.clone().every(Duration::from_secs(1), "opt_outs", words));
        bell::start(self, tracker);
    }

    fn start_in_turn(&self, tracker: &TaskTracker) {
        let each = Duration::from_millis(500);
        let upkeep = self.clone();
        tracker.spawn(self.clone().every(each, "expire", move || upkeep.in_turn(expire::round(upkeep.clone()))));
        let upkeep = self.clone();
        tracker.spawn(self.clone().every(each, "freezing", move || upkeep.in_turn(freezing::round(upkeep.clone()))));
        let upkeep = self.clone();
        let sealer = Arc::new(seal::Sealer::default());
        let sealed = move || {
            let (upkeep, sealer) = (upkeep.clone(), Arc::clone(&sealer));
            upkeep.clone().in_turn(async move { sealer.round(&upkeep).await })
        };
        tracker.spawn(self.clone().every(each, "seal", sealed));
        let upkeep = self.clone();
        let words = move || upkeep.in_turn(register_word::round(upkeep.clone()));
        tracker.spawn(self.clone().every(Duration::from_secs(1), "register_word", words));
    }

    /// A round that waits for this daemon's turn.
    fn in_turn<F: Future<Output = Result<(), StoreError>>>(
        &self,
        round: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let turn = self.turn.clone();
        async move { if turn.is_ours() { round.await } else { Ok(()) } }
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
