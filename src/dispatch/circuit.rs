//! Owns the health of one provider as the engine sees it: up, down with probes, or stopped until a person acts.
//!
//! It decides no delivery's fate. Invariants: a provider that has not answered yet gets at most three calls at once,
//! one that is down gets one probe at a time, one that refuses our account gets none. Where another provider can take over, a
//! probe is a question about the account and no delivery: who is not reached meanwhile is reached by the other.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::carrier::Carrier;
use super::outlet::Outlet;
use super::retry::BackOff;
use super::{Engine, POLL};
use crate::provider::smpp::BIND_REFUSED;
use crate::provider::{Accepted, HandOverError};
use crate::store;

/// Failures in a row that open the circuit.
const FAILURES: u32 = 5;
/// Calls at once until the first answer.
const UNPROVEN_CALLS: usize = 3;
const PROBES: BackOff = BackOff { first: Duration::from_secs(1), most: Duration::from_secs(15) };
/// After a provider that had answered a question swallowed the delivery it got next, while another one carries: each such try
/// costs somebody an alert that nobody can be sure of.
const SACRIFICES: BackOff = BackOff { first: Duration::from_secs(30), most: Duration::from_secs(600) };
/// A provider that has answered a question is shown as up once it has taken something, or nothing came for this long.
const SHOWN_BACK: Duration = Duration::from_secs(5);
/// A provider that asks for no more than this is waited for, also where another could take over.
const BRIEF: Duration = Duration::from_secs(5);

/// The circuit of one provider.
#[derive(Debug, Default)]
pub struct Circuit {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    failures: u32,
    openings: u32,
    reason: Option<&'static str>,
    hold_until: Option<Instant>,
    answered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    /// Not answered yet since start or resume.
    #[default]
    Unproven,
    /// Answered a question after having been down; one call at a time until it has taken something.
    Returning(Instant),
    Up,
    /// No calls until then, one probe after.
    Down(Instant),
    Stopped,
}

/// What a circuit allows now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// So many calls at once.
    Calls(usize),
    /// None before this time.
    NotBefore(Instant),
    /// None until a person acts.
    None,
}

impl Circuit {
    /// What is allowed now.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        let state = self.lock();
        if let Some(until) = state.hold_until.filter(|until| *until > Instant::now()) {
            return Allowance::NotBefore(until);
        }
        match state.mode {
            Mode::Up => Allowance::Calls(usize::MAX),
            Mode::Unproven => Allowance::Calls(UNPROVEN_CALLS),
            Mode::Returning(_) => Allowance::Calls(1),
            Mode::Down(until) if until > Instant::now() => Allowance::NotBefore(until),
            Mode::Down(_) => Allowance::Calls(1),
            Mode::Stopped => Allowance::None,
        }
    }

    /// Takes in what came of a call. `has_alternative` says whether another provider could take over: only then does a
    /// series of lost answers count against this one.
    pub fn note(&self, outcome: &Result<Accepted, HandOverError>, has_alternative: bool) {
        let mut state = self.lock();
        let before = state.mode;
        match outcome {
            Ok(_) | Err(HandOverError::Rejected { .. } | HandOverError::Retry { provider_down: false, .. }) => {
                *state = State { mode: Mode::Up, answered: true, ..State::default() };
            }
            Err(HandOverError::Throttled { after, .. }) => {
                let wait =
                    after.unwrap_or(Duration::from_secs(1)).clamp(Duration::from_secs(1), Duration::from_secs(600));
                state.hold_until = Some(Instant::now() + wait);
                state.answered = true;
            }
            Err(HandOverError::Misconfigured { reason }) => {
                state.mode = Mode::Stopped;
                state.reason = Some(reason.code);
            }
            Err(HandOverError::Retry { provider_down: true, after, reason }) => {
                state.fail(reason.code, *after, has_alternative);
            }
            Err(HandOverError::InDoubt { reason }) if has_alternative => {
                let back_off = if matches!(state.mode, Mode::Returning(_)) { SACRIFICES } else { PROBES };
                state.fail(reason.code, None, true);
                state.rest(back_off);
            }
            Err(HandOverError::InDoubt { .. }) => {}
        }
        let now = state.mode;
        drop(state);
        if before != now {
            log_change(before, now);
        }
        self.changed.notify_waiters();
    }

    /// Whether calls may go as if nothing had been.
    pub(super) fn is_sure(&self) -> bool {
        matches!(self.lock().mode, Mode::Up | Mode::Unproven)
    }

    /// Whether it has answered a question after having been down, and nothing else yet.
    pub(super) fn is_returning(&self) -> bool {
        matches!(self.lock().mode, Mode::Returning(_))
    }

    /// Until when it asked us to wait, when that is so short that nobody else need take over.
    pub(super) fn held_briefly(&self) -> Option<Instant> {
        let state = self.lock();
        let now = Instant::now();
        state
            .hold_until
            .filter(|until| matches!(state.mode, Mode::Up | Mode::Unproven) && *until > now && *until - now <= BRIEF)
    }

    /// Whether it is down and may be asked now.
    fn is_due(&self) -> bool {
        matches!(self.lock().mode, Mode::Down(until) if until <= Instant::now())
    }

    /// Notes that it answers, as far as a question or a new session tells. What it refused stays refused, but for a session.
    pub(super) fn reached(&self) {
        let mut state = self.lock();
        match state.mode {
            Mode::Down(_) => (state.mode, state.failures) = (Mode::Returning(Instant::now()), 0),
            Mode::Stopped if state.reason == Some(BIND_REFUSED) => *state = State::default(),
            _ => return,
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Notes that it did not answer a question.
    fn still_away(&self) {
        let mut state = self.lock();
        let reason = state.reason.unwrap_or("gateway.unreachable");
        state.fail(reason, None, true);
    }

    /// Lets a stopped or open circuit try again at once.
    pub fn reset(&self) {
        *self.lock() = State::default();
        self.changed.notify_waiters();
    }

    /// Waits until something changed, at most `limit`.
    pub async fn changed(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.changed.notified()).await;
    }

    /// `(state, reason, answered since last asked)` as kept in the database.
    fn shown(&self) -> (&'static str, Option<&'static str>, bool) {
        let mut state = self.lock();
        let answered = std::mem::take(&mut state.answered);
        match state.mode {
            Mode::Returning(since) if since.elapsed() < SHOWN_BACK => ("down", state.reason, answered),
            Mode::Up | Mode::Unproven | Mode::Returning(_) => ("up", None, answered),
            Mode::Down(_) => ("down", state.reason, answered),
            Mode::Stopped => ("stopped", state.reason, answered),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn fail(&mut self, reason: &'static str, after: Option<Duration>, has_alternative: bool) {
        if self.mode == Mode::Stopped {
            return;
        }
        self.failures += 1;
        self.reason = Some(reason);
        let is_probe = matches!(self.mode, Mode::Down(until) if until <= Instant::now())
            || matches!(self.mode, Mode::Returning(_));
        // What has never answered gets no more than its first calls, where another can take over.
        let most = if has_alternative && self.mode == Mode::Unproven { UNPROVEN_CALLS as u32 } else { FAILURES };
        let opens = self.failures >= most && !matches!(self.mode, Mode::Down(_));
        if opens || is_probe {
            self.openings += 1;
            let wait = PROBES.wait(i64::from(self.openings), crate::ambient::random_fraction());
            self.mode = Mode::Down(Instant::now() + after.unwrap_or(wait).min(Duration::from_secs(60)));
        }
    }

    /// Waits longer than usual before the next question.
    fn rest(&mut self, back_off: BackOff) {
        if matches!(self.mode, Mode::Down(_)) {
            let wait = back_off.wait(i64::from(self.openings), crate::ambient::random_fraction());
            self.mode = Mode::Down(Instant::now() + wait);
        }
    }
}

fn log_change(before: Mode, now: Mode) {
    match (before, now) {
        (Mode::Up | Mode::Unproven, Mode::Down(_)) => {
            tracing::error!("provider is down; probing until it answers")
        }
        (_, Mode::Stopped) => tracing::error!("provider refuses our account or settings; stopped until resumed"),
        (Mode::Down(_) | Mode::Returning(_), Mode::Up) => tracing::info!("provider answers again"),
        _ => {}
    }
}

/// Writes the provider's state to the database when it changes and every few seconds, and resumes it when asked.
pub(super) async fn publish<C: Carrier>(engine: Engine, outlet: Arc<Outlet<C>>) {
    let mut shown = None;
    let mut written = Instant::now();
    let mut resumed_at = engine.clock.now_ms();
    while !engine.stop.is_cancelled() {
        let now = outlet.circuit().shown();
        let is_due = written.elapsed() > Duration::from_secs(5) && now.2;
        if shown != Some((now.0, now.1)) || is_due {
            match put(&engine, outlet.carrier().name(), now).await {
                Ok(()) => (shown, written) = (Some((now.0, now.1)), Instant::now()),
                Err(error) => tracing::warn!(code = error.code(), "gateway state could not be written"),
            }
            metrics::gauge!("grannpost_gateway_up", "gateway" => outlet.carrier().name().to_owned())
                .set(if now.0 == "up" { 1.0 } else { 0.0 });
        }
        if let Ok(true) = was_resumed(&engine, &mut resumed_at).await {
            outlet.circuit().reset();
        }
        // A change is noted with every answer there is: once in a while is enough.
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = engine.stop.cancelled() => {}
        }
    }
}

/// Asks a provider that is down, where another carries meanwhile, whether it answers again.
pub(super) async fn watch_for_return<C: Carrier>(engine: Engine, outlet: Arc<Outlet<C>>) {
    while !engine.stop.is_cancelled() {
        if outlet.circuit().is_due() {
            match engine.stop.run_until_cancelled(outlet.carrier().answers()).await {
                Some(true) => outlet.circuit().reached(),
                Some(false) => outlet.circuit().still_away(),
                None => return,
            }
        }
        let _ = engine.stop.run_until_cancelled(tokio::time::sleep(POLL)).await;
    }
}

async fn put(
    engine: &Engine,
    gateway: &str,
    (state, reason, answered): (&'static str, Option<&'static str>, bool),
) -> store::Result<()> {
    let now = engine.clock.now_ms();
    let mut session = engine.store.begin_dispatch().await?;
    store::gateway::put_state(&mut session, gateway, (state, reason), answered.then_some(now), now).await?;
    session.commit().await
}

async fn was_resumed(engine: &Engine, seen: &mut i64) -> store::Result<bool> {
    let mut session = engine.store.read_dispatch().await?;
    let at = store::setting::get(&mut session, store::setting::RESUMED_AT).await?;
    let at: i64 = at.and_then(|at| at.parse().ok()).unwrap_or(0);
    let is_new = at > *seen;
    *seen = at.max(*seen);
    Ok(is_new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Reason;

    fn down() -> Result<Accepted, HandOverError> {
        Err(HandOverError::Retry { after: None, reason: Reason::new("gateway.unreachable"), provider_down: true })
    }

    #[test]
    fn a_provider_that_has_not_answered_yet_gets_three_calls_and_then_all() {
        let circuit = Circuit::default();
        assert_eq!(circuit.allowance(), Allowance::Calls(3));
        circuit.note(&Ok(Accepted::default()), false);
        assert_eq!(circuit.allowance(), Allowance::Calls(usize::MAX));
    }

    #[test]
    fn five_failures_in_a_row_open_the_circuit_and_one_success_closes_it() {
        let circuit = Circuit::default();
        circuit.note(&Ok(Accepted::default()), false);
        for _ in 0..4 {
            circuit.note(&down(), false);
        }
        assert_eq!(circuit.allowance(), Allowance::Calls(usize::MAX));
        circuit.note(&down(), false);
        assert!(matches!(circuit.allowance(), Allowance::NotBefore(_)));
        circuit.note(&Ok(Accepted::default()), false);
        assert_eq!(circuit.allowance(), Allowance::Calls(usize::MAX));
    }

    #[test]
    fn a_refused_account_stops_the_provider_until_a_person_resumes_it() {
        let circuit = Circuit::default();
        circuit.note(&Err(HandOverError::Misconfigured { reason: Reason::new("gateway.unauthorized") }), false);
        assert_eq!(circuit.allowance(), Allowance::None);
        circuit.note(&down(), false);
        assert_eq!(circuit.allowance(), Allowance::None);
        circuit.reset();
        assert_eq!(circuit.allowance(), Allowance::Calls(3));
    }

    #[test]
    fn lost_answers_count_against_a_provider_only_when_another_could_take_over() {
        let doubt = Err(HandOverError::InDoubt { reason: Reason::new("gateway.timeout") });
        let (alone, with_other) = (Circuit::default(), Circuit::default());
        for _ in 0..6 {
            alone.note(&doubt, false);
            with_other.note(&doubt, true);
        }
        assert!(matches!(alone.allowance(), Allowance::Calls(_)));
        assert!(matches!(with_other.allowance(), Allowance::NotBefore(_)));
    }

    #[test]
    fn a_provider_that_answers_a_question_again_gets_one_delivery_at_a_time_until_it_has_taken_one() {
        let circuit = Circuit::default();
        for _ in 0..3 {
            circuit.note(&down(), true);
        }
        assert!(matches!(circuit.allowance(), Allowance::NotBefore(_)), "three are enough where another can take over");
        circuit.reached();
        assert_eq!(circuit.allowance(), Allowance::Calls(1));
        assert!(circuit.is_returning() && !circuit.is_sure());
        circuit.note(&Ok(Accepted::default()), true);
        assert!(circuit.is_sure());
        assert_eq!(circuit.allowance(), Allowance::Calls(usize::MAX));
    }

    #[test]
    fn a_provider_that_swallows_what_it_gets_after_its_return_rests_longer() {
        let circuit = Circuit::default();
        for _ in 0..3 {
            circuit.note(&down(), true);
        }
        circuit.reached();
        circuit.note(&Err(HandOverError::InDoubt { reason: Reason::new("gateway.timeout") }), true);
        let Allowance::NotBefore(until) = circuit.allowance() else { panic!("one is enough") };
        assert!(until > Instant::now() + Duration::from_secs(14));
    }

    #[test]
    fn a_new_session_opens_what_a_refused_bind_stopped_and_nothing_else() {
        for (code, opens) in [(BIND_REFUSED, true), ("gateway.sender_refused", false)] {
            let circuit = Circuit::default();
            circuit.note(&Err(HandOverError::Misconfigured { reason: Reason::new(code) }), true);
            circuit.reached();
            assert_eq!(circuit.is_sure(), opens, "{code}");
        }
    }

    #[test]
    fn a_short_wait_is_no_reason_to_go_elsewhere_and_a_long_one_is() {
        for (seconds, is_brief) in [(1, true), (30, false)] {
            let circuit = Circuit::default();
            let after = Some(Duration::from_secs(seconds));
            circuit.note(&Err(HandOverError::Throttled { after, reason: Reason::new("gateway.throttled") }), true);
            assert_eq!(circuit.held_briefly().is_some(), is_brief, "{seconds} s");
        }
    }

    #[test]
    fn a_wish_to_slow_down_is_obeyed_for_as_long_as_it_says() {
        let circuit = Circuit::default();
        let slow =
            HandOverError::Throttled { after: Some(Duration::from_secs(30)), reason: Reason::new("gateway.throttled") };
        circuit.note(&Err(slow), false);
        let Allowance::NotBefore(until) = circuit.allowance() else { panic!("must wait") };
        assert!(until > Instant::now() + Duration::from_secs(28));
    }
}
