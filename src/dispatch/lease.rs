//! Owns the leases this daemon has in hand: which deliveries, until when, and their renewal.
//!
//! Invariant: a hand-over begins only before the moment until which the database has promised the lease.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Engine;

/// Deliveries in hand and until when each may be handed over.
#[derive(Debug, Default)]
pub struct Leases {
    until: Mutex<HashMap<i64, Instant>>,
}

impl Leases {
    /// Notes deliveries claimed at `claimed_at` for `lease`.
    pub fn take(&self, ids: impl IntoIterator<Item = i64>, claimed_at: Instant, lease: Duration) {
        let mut until = self.lock();
        until.extend(ids.into_iter().map(|id| (id, claimed_at + lease)));
    }

    /// Notes that deliveries have left our hands.
    pub fn drop_all(&self, ids: impl IntoIterator<Item = i64>) {
        let mut until = self.lock();
        for id in ids {
            until.remove(&id);
        }
    }

    /// Whether the lease of a delivery surely still holds.
    #[must_use]
    pub fn holds(&self, id: i64) -> bool {
        self.lock().get(&id).is_some_and(|until| Instant::now() < *until)
    }

    /// Whether nothing is in hand.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn ids(&self) -> Vec<i64> {
        self.lock().keys().copied().collect()
    }

    fn extend(&self, ids: &[i64], from: Instant, lease: Duration) {
        let mut until = self.lock();
        for id in ids {
            until.entry(*id).and_modify(|until| *until = (*until).max(from + lease));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i64, Instant>> {
        self.until.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Renews every lease in hand three times within its length, until the engine has stopped and nothing is in hand.
pub(super) async fn run(engine: Engine) {
    let period = engine.lease() / 3;
    loop {
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            () = engine.stop.cancelled() => {
                if engine.leases.is_empty() {
                    return;
                }
                tokio::time::sleep(period.min(Duration::from_millis(100))).await;
            }
        }
        if let Err(error) = renew(&engine).await {
            tracing::warn!(code = error.code(), "leases could not be renewed");
        }
    }
}

async fn renew(engine: &Engine) -> crate::store::Result<()> {
    let ids = engine.leases.ids();
    if ids.is_empty() {
        return Ok(());
    }
    let from = Instant::now();
    let until = engine.clock.now_ms() + i64::from(engine.config.dispatch.lease_seconds) * 1000;
    let mut session = engine.store.begin_dispatch().await?;
    let renewed = crate::store::delivery::renew(&mut session, &engine.owner, &ids, until).await?;
    session.commit().await?;
    engine.leases.extend(&renewed, from, engine.lease());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_until_its_end_and_no_longer_once_dropped() {
        let leases = Leases::default();
        let now = Instant::now();
        leases.take([1, 2], now, Duration::from_secs(60));
        leases.take([3], now, Duration::ZERO);
        assert!(leases.holds(1));
        assert!(!leases.holds(3), "its time is over");
        leases.drop_all([1]);
        assert!(!leases.holds(1));
        assert!(!leases.holds(9), "never taken");
    }
}
