//! Owns the proof of lost answers: what a gateway's own history says of deliveries in doubt.
//!
//! It guesses nothing. Invariants: presence is one row that fits, is held by no other attempt and has no rival; absence
//! needs two complete listings at least [`APART`] apart, both well after the attempt, both showing something that was
//! accepted later; a failed or partial look-up proves nothing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Engine;
use crate::ambient;
use crate::config::{Gateway, ResendInDoubt};
use crate::domain::delivery::DeliveryState;
use crate::provider::{HistoryRow, HistoryWindow, ReceiptState, SmsGateway};
use crate::store::attempt::{AttemptOutcome, Doubted, Ending};
use crate::store::delivery::Step;
use crate::store::settle::Batch;
use crate::store::{self, StoreError};

/// Between two listings that prove an absence together.
const APART: i64 = 3_000;
/// An attempt must have ended its own time-out and this long ago before its absence can be proven.
const SETTLED_AFTER: i64 = 5_000;
/// How far a gateway's clock may be from ours.
const SKEW: SignedDuration = SignedDuration::from_secs(30);
/// Deliveries in doubt looked up at a time.
const BATCH: i64 = 1_000;

/// A gateway whose history can be asked, and its settings.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Its settings.
    pub config: Gateway,
    /// The gateway.
    pub gateway: SmsGateway,
}

/// Looks up what is in doubt at the provider `name` until the engine stops; without a witness nothing can be proven, and
/// only the settings or a person decide.
pub async fn run(engine: Engine, name: String, witness: Option<Witness>) {
    let mut reconciler = Reconciler { engine, name, witness, missing: HashMap::new(), alarmed: HashSet::new() };
    let stop = reconciler.engine.stop.clone();
    while !stop.is_cancelled() {
        let pause = match reconciler.round().await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(code = error.code(), "deliveries in doubt could not be looked up");
                Duration::from_secs(2)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}

struct Reconciler {
    engine: Engine,
    name: String,
    witness: Option<Witness>,
    /// When a complete listing first lacked an attempt, Unix ms.
    missing: HashMap<(i64, i64), i64>,
    alarmed: HashSet<i64>,
}

/// What a listing says of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Present(HistoryRow),
    Lacking,
    Unclear,
}

impl Reconciler {
    /// One look at everything in doubt; says how long to rest.
    async fn round(&mut self) -> Result<Duration, StoreError> {
        let doubted = {
            let mut session = self.engine.store.read_dispatch().await?;
            store::attempt::doubted(&mut session, &self.name, BATCH).await?
        };
        if doubted.is_empty() {
            self.missing.clear();
            self.alarmed.clear();
            return Ok(Duration::from_millis(500));
        }
        let now = self.engine.clock.now_ms();
        if let Some(witness) = self.witness.clone().filter(|witness| witness.config.may_ask_history()) {
            self.prove(&witness, &doubted, now).await?;
        }
        self.give_up_proving(&doubted, now).await?;
        let grace = i64::from(self.engine.config.dispatch.in_doubt_grace_seconds) * 1000;
        let all_old = doubted.iter().all(|doubt| now - doubt.doubted_at > grace.max(60_000));
        Ok(if all_old { Duration::from_secs(30) } else { Duration::from_secs(1) })
    }

    async fn prove(&mut self, witness: &Witness, doubted: &[Doubted], now: i64) -> Result<(), StoreError> {
        let Some(oldest) = doubted.iter().map(|doubt| doubt.stamped_at).min() else { return Ok(()) };
        let from = Timestamp::from_millisecond(oldest).unwrap_or(Timestamp::UNIX_EPOCH) - SKEW;
        let window = HistoryWindow { newer_than: from, older_than: None, to: None };
        let listing = match witness.gateway.list(&window).await {
            Ok(listing) => listing,
            Err(error) => {
                tracing::warn!(gateway = self.name, code = error.code(), "history look-up failed; it proves nothing");
                return Ok(());
            }
        };
        let refs: Vec<String> = listing.rows.iter().map(|row| row.gateway_ref.clone()).collect();
        let held: HashMap<String, i64> = {
            let mut session = self.engine.store.read_dispatch().await?;
            store::attempt::held_refs(&mut session, &self.name, &refs).await?.into_iter().collect()
        };
        let newest_held = held.values().copied().max().unwrap_or(i64::MIN);
        let clocks_agree = clocks_agree(&listing.rows, &held);
        let free: Vec<&HistoryRow> = listing
            .rows
            .iter()
            .filter(|row| !held.contains_key(&row.gateway_ref) && self.is_ours(witness, row))
            .collect();
        let mut present = Vec::new();
        let mut absent = Vec::new();
        for doubt in doubted {
            match verdict(doubt, doubted, &free) {
                Verdict::Present(row) => present.push((doubt, row)),
                // A free row to the same number may be this attempt after all, taken by a clock that we misjudge.
                Verdict::Lacking if free.iter().any(|row| row.to == doubt.address) => {}
                Verdict::Lacking
                    if listing.complete && clocks_agree && self.is_absent(witness, doubt, (newest_held, now)) =>
                {
                    absent.push(doubt);
                }
                Verdict::Lacking | Verdict::Unclear => {}
            }
        }
        self.adopt(&present, now).await?;
        self.queue_again(&absent, "in_doubt.proven_absent", now).await
    }

    /// Whether a row went out under one of our senders: the gateway's, or the number of what can be answered.
    fn is_ours(&self, witness: &Witness, row: &HistoryRow) -> bool {
        row.from == witness.config.sender || row.from == self.engine.config.sms.inbound_reply_to
    }

    /// Whether this is the second complete listing that lacks an attempt, far enough from the first.
    fn is_absent(&mut self, witness: &Witness, doubt: &Doubted, (newest_held, now): (i64, i64)) -> bool {
        let timeout = i64::try_from(witness.config.timeout_seconds * 1000).unwrap_or(i64::MAX / 4);
        let is_settled = now >= doubt.ended_at + timeout + SETTLED_AFTER;
        if !is_settled || newest_held <= doubt.ended_at {
            return false;
        }
        let first = *self.missing.entry((doubt.delivery_id, doubt.number)).or_insert(now);
        now - first >= APART
    }

    /// Takes over the gateway's ids for attempts that it lists.
    async fn adopt(&self, present: &[(&Doubted, HistoryRow)], now: i64) -> Result<(), StoreError> {
        if present.is_empty() {
            return Ok(());
        }
        let mut session = self.engine.store.begin_dispatch().await?;
        let ids: Vec<i64> = present.iter().map(|(doubt, _)| doubt.delivery_id).collect();
        let mut steps = Vec::new();
        let mut endings = Vec::new();
        for held in store::delivery::lock(&mut session, &ids).await? {
            let Some((doubt, row)) = present.iter().find(|(doubt, _)| doubt.delivery_id == held.id) else { continue };
            if held.state() != DeliveryState::InDoubt || held.attempts != doubt.number {
                continue;
            }
            let to = match row.receipt {
                Some(ReceiptState::Delivered) => DeliveryState::Delivered,
                Some(ReceiptState::Failed) => DeliveryState::Undelivered,
                _ => DeliveryState::Accepted,
            };
            let mut step = Step::new(held, to, Some("in_doubt.proven_by_history"));
            step.gateway_ref = Some(row.gateway_ref.clone());
            steps.push(step);
            endings.push(Ending {
                delivery_id: doubt.delivery_id,
                number: doubt.number,
                outcome: AttemptOutcome::Accepted,
                reason: Some("in_doubt.proven_by_history".to_owned()),
                detail: None,
                gateway_ref: Some(row.gateway_ref.clone()),
            });
        }
        self.write(session, steps, endings, now).await
    }

    /// Puts deliveries back in the queue.
    async fn queue_again(&self, doubts: &[&Doubted], reason: &'static str, now: i64) -> Result<(), StoreError> {
        if doubts.is_empty() {
            return Ok(());
        }
        let mut session = self.engine.store.begin_dispatch().await?;
        let ids: Vec<i64> = doubts.iter().map(|doubt| doubt.delivery_id).collect();
        let mut steps = Vec::new();
        let mut endings = Vec::new();
        for held in store::delivery::lock(&mut session, &ids).await? {
            let Some(doubt) = doubts.iter().find(|doubt| doubt.delivery_id == held.id) else { continue };
            if held.state() != DeliveryState::InDoubt || held.attempts != doubt.number {
                continue;
            }
            let mut step = Step::new(held, DeliveryState::Queued, Some(reason));
            step.due_at = Some(now);
            steps.push(step);
            let outcome =
                if reason == "in_doubt.proven_absent" { AttemptOutcome::Absent } else { AttemptOutcome::InDoubt };
            endings.push(Ending {
                delivery_id: doubt.delivery_id,
                number: doubt.number,
                outcome,
                reason: Some(reason.to_owned()),
                detail: None,
                gateway_ref: None,
            });
        }
        self.write(session, steps, endings, now).await?;
        self.engine.wakeup.ring();
        Ok(())
    }

    async fn write(
        &self,
        mut session: store::Session,
        steps: Vec<Step>,
        endings: Vec<Ending>,
        now: i64,
    ) -> Result<(), StoreError> {
        let id = ambient::new_id(&self.engine.clock);
        let batch = Batch { id: &id, actor: "grannpost", action: "deliveries.reconciled", now };
        store::attempt::end(&mut session, &endings, now).await?;
        let changes = store::delivery::apply(&mut session, &batch, steps).await?;
        session.commit().await?;
        crate::telemetry::count_changes(&changes);
        Ok(())
    }

    /// What the time of grace has not proven is sent again where the settings say so, and otherwise left to a person.
    async fn give_up_proving(&mut self, doubted: &[Doubted], now: i64) -> Result<(), StoreError> {
        let grace = i64::from(self.engine.config.dispatch.in_doubt_grace_seconds) * 1000;
        let overdue: Vec<&Doubted> = doubted.iter().filter(|doubt| now - doubt.doubted_at > grace).collect();
        let (resend, ask): (Vec<&Doubted>, Vec<&Doubted>) = overdue
            .into_iter()
            .partition(|doubt| resends(self.engine.config.dispatch.resend_in_doubt, &doubt.message_kind));
        let new: Vec<i64> = ask.iter().map(|doubt| doubt.delivery_id).filter(|id| self.alarmed.insert(*id)).collect();
        if !new.is_empty() {
            tracing::error!(
                gateway = self.name,
                deliveries = new.len(),
                "deliveries stay in doubt; a person must decide"
            );
        }
        self.queue_again(&resend, "in_doubt.resent", now).await
    }
}

/// Whether the settings send this kind of message again when nothing proves what happened.
pub(super) fn resends(setting: ResendInDoubt, kind: &str) -> bool {
    match setting {
        ResendInDoubt::Never => false,
        ResendInDoubt::Letters => kind == "letter",
        ResendInDoubt::Alerts => kind == "alert",
        ResendInDoubt::All => true,
    }
}

/// Whether the gateway's clock is near enough to ours, by the rows whose attempts we know: a window asked by a clock that
/// is far off may miss the row it is asked for.
fn clocks_agree(rows: &[HistoryRow], held: &HashMap<String, i64>) -> bool {
    rows.iter().filter_map(|row| Some((row.created_at, *held.get(&row.gateway_ref)?))).all(
        |(created_at, stamped_at)| {
            let stamped_at = Timestamp::from_millisecond(stamped_at).unwrap_or(Timestamp::UNIX_EPOCH);
            created_at.duration_since(stamped_at).abs() <= SKEW
        },
    )
}

/// What the rows that no attempt holds say of one attempt.
fn verdict(doubt: &Doubted, doubted: &[Doubted], free: &[&HistoryRow]) -> Verdict {
    let fitting: Vec<&&HistoryRow> = free.iter().filter(|row| fits(doubt, row)).collect();
    let [row] = fitting.as_slice() else {
        return if fitting.is_empty() { Verdict::Lacking } else { Verdict::Unclear };
    };
    let has_rival = doubted.iter().any(|other| other.delivery_id != doubt.delivery_id && fits(other, row));
    if has_rival { Verdict::Unclear } else { Verdict::Present((**row).clone()) }
}

/// Whether a history row may be this attempt: same number, taken between its stamp and its end, clocks allowed for.
fn fits(doubt: &Doubted, row: &HistoryRow) -> bool {
    let at = |ms| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    row.to == doubt.address
        && row.created_at >= at(doubt.stamped_at) - SKEW
        && row.created_at <= at(doubt.ended_at) + SKEW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubt(delivery_id: i64, address: &str, stamped_at: i64) -> Doubted {
        Doubted {
            delivery_id,
            number: 1,
            address: address.to_owned(),
            stamped_at,
            ended_at: stamped_at + 1_000,
            doubted_at: stamped_at + 1_000,
            message_kind: "alert".to_owned(),
        }
    }

    fn row(gateway_ref: &str, to: &str, created_ms: i64) -> HistoryRow {
        HistoryRow {
            gateway_ref: gateway_ref.to_owned(),
            to: to.to_owned(),
            from: "+46766860000".to_owned(),
            created_at: Timestamp::from_millisecond(created_ms).unwrap(),
            receipt: None,
        }
    }

    #[test]
    fn one_row_that_fits_and_has_no_rival_is_presence() {
        let doubted = [doubt(1, "+46701740605", 1_000_000)];
        let found = row("s1", "+46701740605", 1_000_500);
        assert_eq!(verdict(&doubted[0], &doubted, &[&found]), Verdict::Present(found.clone()));
    }

    #[test]
    fn a_row_to_another_number_or_outside_the_window_is_none() {
        let doubted = [doubt(1, "+46701740605", 1_000_000)];
        let (other, late) = (row("s1", "+46701740606", 1_000_500), row("s2", "+46701740605", 1_100_000));
        assert_eq!(verdict(&doubted[0], &doubted, &[&other, &late]), Verdict::Lacking);
    }

    #[test]
    fn two_rows_or_two_attempts_that_fit_prove_nothing() {
        let doubted = [doubt(1, "+46701740605", 1_000_000), doubt(2, "+46701740605", 1_000_200)];
        let (a, b) = (row("s1", "+46701740605", 1_000_500), row("s2", "+46701740605", 1_000_600));
        assert_eq!(verdict(&doubted[0], &doubted[..1], &[&a, &b]), Verdict::Unclear);
        assert_eq!(verdict(&doubted[0], &doubted, &[&a]), Verdict::Unclear);
    }

    #[test]
    fn a_gateway_whose_clock_is_far_off_is_noticed_by_the_rows_we_know() {
        let held = HashMap::from([("s1".to_owned(), 1_000_000)]);
        let at = |ms| vec![row("s1", "+46701740605", ms), row("s2", "+46701740606", 5)];
        assert!(clocks_agree(&at(1_020_000), &held));
        assert!(!clocks_agree(&at(1_031_000), &held));
        assert!(!clocks_agree(&at(960_000), &held));
    }

    #[test]
    fn only_the_kinds_named_in_the_settings_are_sent_again() {
        assert!(!resends(ResendInDoubt::Never, "alert"));
        assert!(resends(ResendInDoubt::Letters, "letter"));
        assert!(!resends(ResendInDoubt::Letters, "alert"));
        assert!(resends(ResendInDoubt::All, "alert"));
    }
}
