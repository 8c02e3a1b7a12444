//! Owns one carrier with what limits it: its pace, its circuit and how many hand-overs may be under way.
//!
//! Invariants: at most `concurrency` hand-overs at once; at most twice that many are not yet settled, which bounds what a
//! crash can leave in doubt; no more stand stamped before the pacer than a quarter of a second lets through.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::POLL;
use super::carrier::Carrier;
use super::circuit::{Allowance, Circuit};
use super::pace::Pacer;

/// One carrier and its limits.
#[derive(Debug)]
pub struct Outlet<C> {
    carrier: C,
    pacer: Pacer,
    circuit: Circuit,
    concurrency: usize,
    calls: Arc<Semaphore>,
    before_pacer: Arc<Semaphore>,
    unsettled: Arc<Semaphore>,
}

/// The right to one hand-over. Its parts are given back one by one: past the pacer, after the answer, after settling.
#[derive(Debug)]
pub struct Permit {
    /// Until the pacer has let it through.
    pub before_pacer: OwnedSemaphorePermit,
    /// Until the answer has come.
    pub call: OwnedSemaphorePermit,
    /// Until the answer is on disk.
    pub unsettled: OwnedSemaphorePermit,
}

impl<C: Carrier> Outlet<C> {
    /// An outlet for `concurrency` hand-overs at once.
    #[must_use]
    pub fn new(carrier: C, pacer: Pacer, concurrency: u32) -> Self {
        let concurrency = concurrency.max(1) as usize;
        let before_pacer = (pacer.per_second() / 4).clamp(1, concurrency);
        Self {
            carrier,
            pacer,
            circuit: Circuit::default(),
            concurrency,
            calls: Arc::new(Semaphore::new(concurrency)),
            before_pacer: Arc::new(Semaphore::new(before_pacer)),
            unsettled: Arc::new(Semaphore::new(concurrency * 2)),
        }
    }

    /// The carrier.
    pub fn carrier(&self) -> &C {
        &self.carrier
    }

    /// The pacer.
    pub fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    /// The circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// How many deliveries one claim takes: about a second's worth.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.pacer.per_second().clamp(1, 1_000)
    }

    /// Until when nothing may be called, `Ok(())` when something may.
    ///
    /// # Errors
    /// The time to look again, or `None` when a person must act first.
    pub fn is_open(&self) -> Result<(), Option<Instant>> {
        match self.circuit.allowance() {
            Allowance::Calls(_) => Ok(()),
            Allowance::NotBefore(until) => Err(Some(until)),
            Allowance::None => Err(None),
        }
    }

    /// Waits for the right to at least one hand-over and takes as many as are free. Empty when the circuit closed the way
    /// meanwhile.
    pub async fn acquire(&self) -> Vec<Permit> {
        while let Allowance::Calls(most) = self.circuit.allowance() {
            let under_way = self.concurrency - self.calls.available_permits();
            if under_way >= most {
                self.circuit.changed(POLL).await;
                continue;
            }
            let Some(first) = self.acquire_one().await else { break };
            let mut permits = vec![first];
            while permits.len() < most.saturating_sub(under_way) {
                let Some(next) = self.try_acquire() else { break };
                permits.push(next);
            }
            return permits;
        }
        Vec::new()
    }

    async fn acquire_one(&self) -> Option<Permit> {
        // Always in this order, so that two waiters never hold what the other needs.
        let unsettled = Arc::clone(&self.unsettled).acquire_owned().await.ok()?;
        let call = Arc::clone(&self.calls).acquire_owned().await.ok()?;
        let before_pacer = Arc::clone(&self.before_pacer).acquire_owned().await.ok()?;
        Some(Permit { before_pacer, call, unsettled })
    }

    fn try_acquire(&self) -> Option<Permit> {
        let unsettled = Arc::clone(&self.unsettled).try_acquire_owned().ok()?;
        let call = Arc::clone(&self.calls).try_acquire_owned().ok()?;
        let before_pacer = Arc::clone(&self.before_pacer).try_acquire_owned().ok()?;
        Some(Permit { before_pacer, call, unsettled })
    }
}
