//! Owns the pace of one gateway: slots, with the last second's hand-overs as the hard cap (`docs/adr/0004-pace.md`).
//!
//! It does not know what is handed over. Invariant: never more than rate + burst - 1 hand-overs within any second, and
//! never a slot that the database has not reserved for this daemon.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::store::{self, Store};

/// Slots are reserved for this long at a time: a daemon that dies loses no more.
const CHUNK: Duration = Duration::from_millis(250);
/// A slot that was not used this long after its time is forfeited; otherwise an idle lane would save up more than its burst.
const LATEST: Duration = Duration::from_millis(100);
/// The capped window is a little longer than a second, since a gateway sees arrivals with jitter.
const WINDOW: Duration = Duration::from_millis(1_004);

/// The pacer of one gateway.
#[derive(Debug)]
pub struct Pacer {
    gateway: String,
    store: Store,
    gap: Duration,
    cap: usize,
    /// How far back unused slots count: what a burst after a pause is made of.
    credit: Duration,
    state: Mutex<State>,
    /// Of its own, so that a complaint does not wait behind those who wait for a slot.
    slowness: std::sync::Mutex<Slowness>,
}

#[derive(Debug)]
struct State {
    slots: VecDeque<Instant>,
    recent: VecDeque<Instant>,
    reserving: Option<tokio::task::JoinHandle<Option<Chunk>>>,
}

#[derive(Debug, Clone, Copy)]
struct Slowness {
    /// 1.0 at full pace, more after the gateway said that we are too fast.
    factor: f64,
    slowed_at: Instant,
    /// Slots at hand were reserved at the old pace.
    is_new: bool,
}

#[derive(Debug, Clone, Copy)]
struct Chunk {
    first: Instant,
    slots: u32,
    gap: Duration,
}

impl Pacer {
    /// A pacer for `rate` hand-overs a second, `burst` of them at once after a pause.
    #[must_use]
    pub fn new(gateway: &str, store: Store, rate: f64, burst: u32) -> Self {
        let gap = Duration::from_secs_f64(1.0 / rate).mul_f64(WINDOW.as_secs_f64());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rates are validated to 1..=100000"
        )]
        let cap = (rate.floor() as usize).max(1) + burst as usize - 1;
        let state = State { slots: VecDeque::new(), recent: VecDeque::with_capacity(cap), reserving: None };
        let slowness = Slowness { factor: 1.0, slowed_at: Instant::now(), is_new: false };
        Self {
            gateway: gateway.to_owned(),
            store,
            gap,
            cap,
            credit: gap * burst.saturating_sub(1),
            state: Mutex::new(state),
            slowness: std::sync::Mutex::new(slowness),
        }
    }

    /// Hand-overs within a second at full pace.
    #[must_use]
    pub fn per_second(&self) -> usize {
        self.cap
    }

    /// Waits for the next slot. Callers are served in the order they came.
    pub async fn slot(&self) {
        let mut state = self.state.lock().await;
        loop {
            let slot = self.next_slot(&mut state).await;
            tokio::time::sleep_until(slot).await;
            if let Some(oldest) = self.oldest_in_cap(&state)
                && oldest + WINDOW > Instant::now()
            {
                tokio::time::sleep_until(oldest + WINDOW).await;
            }
            if slot + LATEST + self.credit < Instant::now() && !self.is_within_gap(&state) {
                continue;
            }
            if state.recent.len() >= self.cap {
                state.recent.pop_front();
            }
            state.recent.push_back(Instant::now());
            return;
        }
    }

    /// Takes the pace back by a third, at most once a second; it recovers by itself.
    pub fn slow_down(&self) {
        let mut slowness = self.slowness();
        if slowness.slowed_at.elapsed() > Duration::from_secs(1) || slowness.factor <= 1.0 {
            let factor = (slowness.factor * 1.5).min(50.0);
            *slowness = Slowness { factor, slowed_at: Instant::now(), is_new: true };
        }
    }

    fn slowness(&self) -> std::sync::MutexGuard<'_, Slowness> {
        self.slowness.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn oldest_in_cap(&self, state: &State) -> Option<Instant> {
        (state.recent.len() >= self.cap).then(|| state.recent.front().copied()).flatten()
    }

    /// Low rates have gaps longer than [`LATEST`]; their slots are used late rather than lost.
    fn is_within_gap(&self, state: &State) -> bool {
        state.recent.back().is_none_or(|last| last.elapsed() >= self.gap)
    }

    async fn next_slot(&self, state: &mut State) -> Instant {
        if std::mem::take(&mut self.slowness().is_new) {
            state.slots.clear();
            state.reserving = None;
        }
        if state.slots.len() <= self.slots_per_chunk() as usize / 2 && state.reserving.is_none() {
            state.reserving = Some(self.reserve());
        }
        loop {
            if let Some(slot) = state.slots.pop_front() {
                return slot;
            }
            let reserving = match state.reserving.take() {
                Some(reserving) => reserving,
                None => self.reserve(),
            };
            match reserving.await.ok().flatten() {
                Some(chunk) => state.slots.extend((0..chunk.slots).map(|n| chunk.first + chunk.gap * n)),
                // The database is out of reach: nothing could be stamped or settled either.
                None => tokio::time::sleep(CHUNK).await,
            }
        }
    }

    fn slowed_gap(&self) -> Duration {
        self.gap.mul_f64(self.slowness().factor)
    }

    fn slots_per_chunk(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a quarter of a valid rate")]
        let slots = (CHUNK.as_secs_f64() / self.slowed_gap().as_secs_f64()) as u32;
        slots.max(1)
    }

    fn reserve(&self) -> tokio::task::JoinHandle<Option<Chunk>> {
        let mut slowness = self.slowness();
        if slowness.slowed_at.elapsed() > Duration::from_secs(2) {
            // All the way back within some half a minute without a new complaint.
            slowness.factor = (slowness.factor * 0.97).max(1.0);
        }
        drop(slowness);
        let (slots, gap, credit) = (self.slots_per_chunk(), self.slowed_gap(), self.credit);
        let (store, gateway) = (self.store.clone(), self.gateway.clone());
        tokio::spawn(async move {
            reserve_chunk(&store, &gateway, Chunk { first: Instant::now(), slots, gap }, credit).await
        })
    }
}

/// Reserves the slots of `wanted`, from the first that the database has free.
async fn reserve_chunk(store: &Store, gateway: &str, wanted: Chunk, credit: Duration) -> Option<Chunk> {
    let us = |time: Duration| i64::try_from(time.as_micros()).ok();
    let span_us = us(wanted.gap * wanted.slots)?;
    let mut session = store.begin_dispatch().await.ok()?;
    let reserved = store::gateway::reserve(&mut session, gateway, span_us, us(credit)?).await.ok()?;
    let now = Instant::now();
    session.commit().await.ok()?;
    let ahead_us = reserved.next_slot_us - span_us - reserved.now_us;
    let ahead = Duration::from_micros(ahead_us.unsigned_abs());
    let first = if ahead_us < 0 { now.checked_sub(ahead).unwrap_or(now) } else { now + ahead };
    Some(Chunk { first, ..wanted })
}
