//! Owns one carrier with what limits it: its pace, its circuit and how many hand-overs may be under way.
//!
//! Deliveries are stamped ahead of their call, so that no call slot stands empty while a commit is under way. Invariants: at
//! most `concurrency` calls at once; at most twice that many deliveries are stamped and have no answer, and at most four times as many
//! are not settled, which bounds what a crash can leave in doubt; no more stand stamped before the pacer than a quarter of a second
//! lets through.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::POLL;
use super::carrier::Carrier;
use super::circuit::{Allowance, Circuit};
use super::pace::Pacer;

/// Deliveries stamped and without an answer, for each call at once: one calls, one is being stamped or waits for its slot. Where a
/// gateway answers at once, both may wait.
const UNANSWERED_PER_CALL: usize = 2;
/// Deliveries stamped and not yet settled, for each call at once: beside those, the ones whose answer is on its way to the disk. With
/// two there was none to call while PostgreSQL wrote (ADR 0025).
const UNSETTLED_PER_CALL: usize = 4;

/// One carrier and its limits.
#[derive(Debug)]
pub struct Outlet<C> {
    carrier: C,
    pacer: Pacer,
    circuit: Circuit,
    concurrency: usize,
    most_before_pacer: usize,
    calls: Arc<Semaphore>,
    before_pacer: Arc<Semaphore>,
    unanswered: Arc<Semaphore>,
    unsettled: Arc<Semaphore>,
}

/// Whether a lane may go through an outlet now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It may.
    Open,
    /// It asked for a moment's rest: it is waited for.
    Held(Instant),
    /// It has to prove itself first: only where nobody else is open.
    Trying,
    /// It may not before this time.
    NotBefore(Instant),
    /// A person must act first.
    Stopped,
}

/// The right to stamp one delivery. Its parts are given back one by one: past the pacer, after the answer, after settling.
#[derive(Debug)]
pub struct Permit {
    /// Until the pacer has let it through.
    pub before_pacer: OwnedSemaphorePermit,
    /// Until the answer has come.
    pub unanswered: OwnedSemaphorePermit,
    /// Until the answer is on disk.
    pub unsettled: OwnedSemaphorePermit,
}

impl<C: Carrier> Outlet<C> {
    /// An outlet for `concurrency` hand-overs at once.
    #[must_use]
    pub fn new(carrier: C, pacer: Pacer, concurrency: u32) -> Self {
        let concurrency = concurrency.max(1) as usize;
        let most_before_pacer = (pacer.per_second() / 4).clamp(1, concurrency * UNANSWERED_PER_CALL);
        Self {
            carrier,
            pacer,
            circuit: Circuit::default(),
            concurrency,
            most_before_pacer,
            calls: Arc::new(Semaphore::new(concurrency)),
            before_pacer: Arc::new(Semaphore::new(most_before_pacer)),
            unanswered: Arc::new(Semaphore::new(concurrency * UNANSWERED_PER_CALL)),
            unsettled: Arc::new(Semaphore::new(concurrency * UNSETTLED_PER_CALL)),
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

    /// How many deliveries can be stamped at once when nothing is under way.
    #[must_use]
    pub fn first_batch(&self) -> usize {
        self.most_before_pacer
    }

    /// How many deliveries a lane has in hand at most: about a second's worth.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.pacer.per_second().clamp(1, 1_000)
    }

    /// Whether a lane with others to choose from may go this way.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        if let Some(until) = self.circuit.held_briefly() {
            return Readiness::Held(until);
        }
        match self.circuit.allowance() {
            Allowance::Calls(_) if self.circuit.is_sure() => Readiness::Open,
            Allowance::Calls(most) if self.circuit.is_returning() && self.under_way() < most => Readiness::Open,
            Allowance::Calls(_) => Readiness::Trying,
            Allowance::NotBefore(until) => Readiness::NotBefore(until),
            Allowance::None => Readiness::Stopped,
        }
    }

    fn under_way(&self) -> usize {
        self.concurrency * UNANSWERED_PER_CALL - self.unanswered.available_permits()
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

    /// Waits for one of the `concurrency` calls at once.
    pub async fn call_slot(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.calls).acquire_owned().await.expect("nobody closes the semaphore")
    }

    /// Waits for the right to stamp: not for every single one that gets free, but until a quarter of what may stand before
    /// the pacer is, so that stamping goes in batches and yet is done before the calls run dry. Empty when the circuit closed the way meanwhile.
    pub async fn acquire(&self) -> Vec<Permit> {
        while let Allowance::Calls(most) = self.circuit.allowance() {
            let under_way = self.under_way();
            if under_way >= most {
                self.circuit.changed(POLL).await;
                continue;
            }
            return self.acquire_up_to(most.saturating_sub(under_way)).await.unwrap_or_default();
        }
        Vec::new()
    }

    async fn acquire_up_to(&self, most: usize) -> Option<Vec<Permit>> {
        // Always in this order, so that two waiters never hold what the other needs.
        let mut unsettled = Some(Arc::clone(&self.unsettled).acquire_owned().await.ok()?);
        let mut unanswered = Some(Arc::clone(&self.unanswered).acquire_owned().await.ok()?);
        let batch = u32::try_from(self.most_before_pacer.div_ceil(4)).unwrap_or(u32::MAX);
        let mut free = Arc::clone(&self.before_pacer).acquire_many_owned(batch).await.ok()?;
        while let Ok(one_more) = Arc::clone(&self.before_pacer).try_acquire_owned() {
            free.merge(one_more);
        }
        let mut permits = Vec::new();
        while permits.len() < most {
            let next = |held: &mut Option<OwnedSemaphorePermit>, from: &Arc<Semaphore>| {
                held.take().or_else(|| Arc::clone(from).try_acquire_owned().ok())
            };
            let Some(unsettled) = next(&mut unsettled, &self.unsettled) else { break };
            let Some(unanswered) = next(&mut unanswered, &self.unanswered) else { break };
            let Some(before_pacer) = free.split(1) else { break };
            permits.push(Permit { before_pacer, unanswered, unsettled });
        }
        Some(permits)
    }
}
