//! Owns the pace of one gateway: slots, with the last second's hand-overs as the hard cap (`docs/adr/0004-pace.md`).
//!
//! It does not know what is handed over. Invariant: never more than rate + burst - 1 hand-overs within any second, and
//! never a slot that the database has not reserved for this daemon.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::store::gateway::Reserved;
use crate::store::{self, Store};

/// Slots are reserved for this long at a time: a daemon that dies loses no more.
const CHUNK: Duration = Duration::from_millis(250);
/// A slot that was not used this long after its time is forfeited; otherwise an idle lane would save up more than its burst.
const LATEST: Duration = Duration::from_millis(100);
/// The capped window is a little longer than a second, since a gateway sees arrivals with jitter.
const WINDOW: Duration = Duration::from_millis(1_004);
/// With other daemons at the same gateway nobody sees the hand-overs of all, and the slots alone hold the sum: they lie further
/// apart, and lateness may be no more than what that leaves.
const WINDOW_WITH_OTHERS: Duration = Duration::from_millis(1_030);
const LATEST_WITH_OTHERS: Duration = Duration::from_millis(10);
/// A hand-over whose answer was late may have arrived late, by at most this much; a gateway that is slow by itself costs no more pace.
const MOST_LATE: Duration = Duration::from_millis(8);

/// The pacer of one gateway.
#[derive(Debug)]
pub struct Pacer {
    gateway: String,
    store: Store,
    /// Between two slots of a daemon alone.
    gap: Duration,
    /// Whether other daemons hand over too, as far as the last reservation tells.
    is_shared: Arc<AtomicBool>,
    database_clock: Arc<std::sync::Mutex<DatabaseClock>>,
    cap: usize,
    /// How far back unused slots count: what a burst after a pause is made of.
    credit: Duration,
    state: Mutex<State>,
    /// Of its own, so that answers do not wait behind those who wait for a slot.
    recent: std::sync::Mutex<Recent>,
    /// Of its own, so that a complaint does not wait behind those who wait for a slot.
    slowness: std::sync::Mutex<Slowness>,
}

#[derive(Debug)]
struct State {
    slots: VecDeque<Instant>,
    reserving: Option<tokio::task::JoinHandle<Option<Chunk>>>,
}

/// When the last hand-overs, as many as the cap, arrived at the latest as far as we know.
#[derive(Debug)]
struct Recent {
    arrivals: VecDeque<Instant>,
    /// Hand-overs that have left `arrivals` at its front.
    forgotten: u64,
    /// The shortest of the latest round trips.
    quickest: Option<Duration>,
}

/// A hand-over that has taken its slot.
#[derive(Debug)]
#[must_use = "the pacer wants to know when its answer came"]
pub struct Slot {
    number: u64,
    taken_at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Slowness {
    /// 1.0 at full pace, more after the gateway said that we are too fast.
    factor: f64,
    slowed_at: Instant,
    /// Slots at hand were reserved at the old pace.
    is_new: bool,
}

/// The database's clock as seen from here. An answer that was late on its way says only that the clock is not ahead of what it
/// says, so the quickest answers count: slots of several daemons would be pushed together otherwise.
#[derive(Debug, Default)]
struct DatabaseClock {
    /// A moment here, and what the database's clock showed then, in microseconds.
    known: Option<(Instant, i64)>,
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
        let state = State { slots: VecDeque::new(), reserving: None };
        let recent = Recent { arrivals: VecDeque::with_capacity(cap), forgotten: 0, quickest: None };
        let slowness = Slowness { factor: 1.0, slowed_at: Instant::now(), is_new: false };
        Self {
            gateway: gateway.to_owned(),
            // Until the database has said how many there are, there may be others.
            is_shared: Arc::new(AtomicBool::new(!store.has_one_writer())),
            database_clock: Arc::default(),
            store,
            gap,
            cap,
            credit: gap * burst.saturating_sub(1),
            state: Mutex::new(state),
            recent: std::sync::Mutex::new(recent),
            slowness: std::sync::Mutex::new(slowness),
        }
    }

    /// Hand-overs within a second at full pace.
    #[must_use]
    pub fn per_second(&self) -> usize {
        self.cap
    }

    /// Waits for the next slot. Callers are served in the order they came.
    pub async fn slot(&self) -> Slot {
        let mut state = self.state.lock().await;
        loop {
            let slot = self.next_slot(&mut state).await;
            tokio::time::sleep_until(slot).await;
            while let Some(until) = self.full_until() {
                tokio::time::sleep_until(until).await;
            }
            if self.is_forfeited(slot) {
                continue;
            }
            return self.recent().begin(self.cap, Instant::now());
        }
    }

    /// Notes that the answer to a hand-over has come, and with it how late the gateway may have seen the hand-over.
    pub fn answered(&self, slot: &Slot) {
        self.recent().answered(slot, Instant::now());
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

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn full_until(&self) -> Option<Instant> {
        self.recent().is_full_until(self.cap, Instant::now())
    }

    fn is_forfeited(&self, slot: Instant) -> bool {
        if self.is_shared.load(Ordering::Relaxed) {
            return slot + LATEST_WITH_OTHERS + self.credit < Instant::now();
        }
        slot + LATEST + self.credit < Instant::now() && !self.is_within_gap()
    }

    /// Low rates have gaps longer than [`LATEST`]; their slots are used late rather than lost.
    fn is_within_gap(&self) -> bool {
        self.recent().arrivals.back().is_none_or(|last| last.elapsed() >= self.gap)
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
        let is_shared = self.is_shared.load(Ordering::Relaxed);
        let stretch = if is_shared { WINDOW_WITH_OTHERS.as_secs_f64() / WINDOW.as_secs_f64() } else { 1.0 };
        self.gap.mul_f64(self.slowness().factor * stretch)
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
        let (store, gateway, is_shared) = (self.store.clone(), self.gateway.clone(), Arc::clone(&self.is_shared));
        let clock = Arc::clone(&self.database_clock);
        tokio::spawn(async move {
            let span = gap * slots;
            let (reserved, answered) = reserve_span(&store, &gateway, span, credit).await?;
            is_shared.store(reserved.daemons > 1 && !store.has_one_writer(), Ordering::Relaxed);
            let mut clock = clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            clock.saw(reserved.now_us, answered);
            let first = clock.instant_of(reserved.next_slot_us).unwrap_or(answered);
            Some(Chunk { first: first.checked_sub(span).unwrap_or(first), slots, gap })
        })
    }
}

impl Recent {
    /// Until when the window has no room, if it has none.
    fn is_full_until(&self, cap: usize, now: Instant) -> Option<Instant> {
        let oldest = self.arrivals.front().filter(|_| self.arrivals.len() >= cap)?;
        Some(*oldest + WINDOW).filter(|until| *until > now)
    }

    fn begin(&mut self, cap: usize, taken_at: Instant) -> Slot {
        if self.arrivals.len() >= cap {
            self.arrivals.pop_front();
            self.forgotten += 1;
        }
        self.arrivals.push_back(taken_at);
        Slot { number: self.forgotten + self.arrivals.len() as u64 - 1, taken_at }
    }

    fn answered(&mut self, slot: &Slot, now: Instant) {
        let round_trip = now.saturating_duration_since(slot.taken_at);
        // Creeps up, so that a gateway that got slower is not taken for late for ever.
        let quickest = self.quickest.map_or(round_trip, |quickest| round_trip.min(quickest.mul_f64(1.01)));
        self.quickest = Some(quickest);
        let place = slot.number.checked_sub(self.forgotten).and_then(|place| usize::try_from(place).ok());
        if let Some(arrival) = place.and_then(|place| self.arrivals.get_mut(place)) {
            *arrival = slot.taken_at + (round_trip - quickest).min(MOST_LATE);
        }
    }
}

impl DatabaseClock {
    /// Notes that an answer which came at `answered` had read `now_us`.
    fn saw(&mut self, now_us: i64, answered: Instant) {
        let Some(expected) = self.instant_of(now_us) else {
            self.known = Some((answered, now_us));
            return;
        };
        let late = answered.saturating_duration_since(expected);
        let is_set_anew = late > Duration::from_secs(1);
        if late.is_zero() || is_set_anew {
            self.known = Some((answered, now_us));
        } else if let Some((at, _)) = &mut self.known {
            // Clocks drift; no drift is faster than this at four answers a second.
            *at += late.min(Duration::from_micros(50));
        }
    }

    /// When the database's clock shows, or showed, `us`.
    fn instant_of(&self, us: i64) -> Option<Instant> {
        let (at, known_us) = self.known?;
        let away = Duration::from_micros((us - known_us).unsigned_abs());
        if us >= known_us { at.checked_add(away) } else { at.checked_sub(away) }
    }
}

/// Reserves `span` of a gateway's time, from the first that the database has free; says also when the answer came.
async fn reserve_span(store: &Store, gateway: &str, span: Duration, credit: Duration) -> Option<(Reserved, Instant)> {
    let us = |time: Duration| i64::try_from(time.as_micros()).ok();
    let mut session = store.begin_dispatch().await.ok()?;
    let reserved = store::gateway::reserve(&mut session, gateway, us(span)?, us(credit)?).await.ok()?;
    let answered = Instant::now();
    session.commit().await.ok()?;
    Some((reserved, answered))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: usize = 2;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn recent() -> Recent {
        Recent { arrivals: VecDeque::new(), forgotten: 0, quickest: None }
    }

    fn hand_over(recent: &mut Recent, at: Instant, round_trip_ms: u64) {
        let slot = recent.begin(CAP, at);
        recent.answered(&slot, at + ms(round_trip_ms));
    }

    #[test]
    fn the_databases_clock_is_read_from_its_quickest_answers() {
        let (mut clock, begun) = (DatabaseClock::default(), Instant::now());
        clock.saw(1_000_000, begun + ms(40));
        clock.saw(2_000_000, begun + ms(1_001));
        clock.saw(3_000_000, begun + ms(2_090));
        let seen = clock.instant_of(4_000_000).unwrap() - begun;
        assert!(seen >= ms(3_001) && seen < ms(3_002), "late answers do not move it: {seen:?}");
        clock.saw(1_000_000, begun + ms(4_000));
        assert_eq!(clock.instant_of(1_500_000), Some(begun + ms(4_500)), "a clock that was set back is believed");
    }

    #[test]
    fn the_window_opens_a_little_more_than_a_second_after_its_oldest_hand_over() {
        let (mut recent, begun) = (recent(), Instant::now());
        hand_over(&mut recent, begun, 5);
        assert_eq!(recent.is_full_until(CAP, begun), None, "one more has room");
        hand_over(&mut recent, begun + ms(3), 5);
        assert_eq!(recent.is_full_until(CAP, begun + ms(3)), Some(begun + WINDOW));
        assert_eq!(recent.is_full_until(CAP, begun + WINDOW), None);
    }

    #[test]
    fn a_hand_over_whose_answer_was_late_counts_as_arrived_late_but_not_by_much() {
        let (mut recent, begun) = (recent(), Instant::now());
        hand_over(&mut recent, begun, 5);
        hand_over(&mut recent, begun + ms(10), 9);
        hand_over(&mut recent, begun + ms(20), 900);
        let late = recent.is_full_until(CAP, begun + ms(20)).unwrap() - begun - WINDOW;
        assert!(late > ms(13) && late < ms(15), "4 ms later than the quickest: {late:?}");
        hand_over(&mut recent, begun + ms(30), 5);
        assert_eq!(recent.is_full_until(CAP, begun + ms(30)), Some(begun + ms(20) + MOST_LATE + WINDOW));
    }

    #[test]
    fn an_answer_after_its_hand_over_has_left_the_window_changes_nothing() {
        let (mut recent, begun) = (recent(), Instant::now());
        let slot = recent.begin(CAP, begun);
        hand_over(&mut recent, begun, 5);
        hand_over(&mut recent, begun, 5);
        recent.answered(&slot, begun + ms(7));
        assert_eq!(recent.arrivals, [begun, begun]);
    }
}
