//! Owns the hand-over of deliveries: claim, stamp, pace, hand over, settle, and the proof of lost answers.
//!
//! It knows ids, states and providers, not alerts or letters. Invariants: no transaction is open across a call to a
//! provider; what passed the gate is settled once, by the daemon that holds its lease (`docs/architecture.md`, walkthrough 1).

pub mod balance;
pub mod binding;
pub mod caller;
pub mod carrier;
pub mod circuit;
pub mod lane;
pub mod lease;
pub mod mail;
pub mod outlet;
pub mod pace;
pub mod reconcile;
pub mod retry;
pub mod settle;
pub mod sms;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ambient::{Clock, Wakeup};
use crate::config::Config;
use crate::domain::delivery_token::TokenKey;
use crate::store::Store;
use carrier::Carrier;
use lane::Lane;
use lease::Leases;
use outlet::Outlet;

/// What every part of the engine shares.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The database.
    pub store: Store,
    /// Wall clock.
    pub clock: Clock,
    /// Settings.
    pub config: Arc<Config>,
    /// Key of delivery tokens.
    pub token_key: Arc<TokenKey>,
    /// This daemon's id, unique for each start.
    pub owner: Arc<str>,
    /// Rung when something became due; nothing depends on it.
    pub wakeup: Wakeup,
    /// Leases in hand.
    pub leases: Arc<Leases>,
    /// Cancelled when no new work shall be begun.
    pub stop: CancellationToken,
    /// Everything that must end before the process does.
    pub tracker: TaskTracker,
}

/// How often a lane looks for work when nothing wakes it.
pub const POLL: Duration = Duration::from_millis(250);

impl Engine {
    /// How long a lease lasts without renewal.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(u64::from(self.config.dispatch.lease_seconds))
    }

    /// Starts the renewal of leases.
    pub fn start_leases(&self) {
        self.tracker.spawn(lease::run(self.clone()));
    }

    /// Starts a lane that hands over through `outlets`, in order of preference.
    pub fn start_lane<C: Carrier>(&self, outlets: Vec<Arc<Outlet<C>>>) {
        if outlets.is_empty() {
            return;
        }
        let settle = settle::start(self);
        let has_alternative = outlets.len() > 1;
        for outlet in &outlets {
            self.tracker.spawn(circuit::publish(self.clone(), Arc::clone(outlet)));
            if has_alternative {
                self.tracker.spawn(circuit::watch_for_return(self.clone(), Arc::clone(outlet)));
            }
        }
        self.tracker.spawn(Lane::new(self.clone(), outlets, settle).run());
    }

    /// Stops claiming, waits for work in flight to settle, at most `grace`. Says whether everything ended in time.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}
