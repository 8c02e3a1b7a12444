//! Owns what an answer means for a delivery, and writes many answers in one transaction.
//!
//! Invariants: an answer is kept in memory until it is on disk, however long the database is away; an answer for a lease
//! that was taken over moves its delivery only out of the doubt that its own attempt is in (ADR 0027).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{Engine, POLL};
use crate::ambient;
use crate::domain::delivery::DeliveryState;
use crate::provider::{Accepted, HandOverError};
use crate::store::advance::Taken;
use crate::store::attempt::{AttemptOutcome, Ending};
use crate::store::claim::Claimed;
use crate::store::delivery::{Locked, Step};
use crate::store::settle::{Batch, Change};
use crate::store::{self, Session, StoreError};

/// Why nothing was sent: whether the stamp is on disk is not known.
pub(super) const STAMP_FAILED: &str = "dispatch.stamp_failed";
/// Answers written in one transaction.
const BATCH: usize = 500;

/// What came of one stamped delivery.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The provider answered, or its answer was lost.
    Answered {
        /// What it said.
        answer: Result<Accepted, HandOverError>,
        /// How long to wait if it is to be tried again.
        back_off: Duration,
    },
    /// Nothing was sent; why.
    NotSent(&'static str),
}

/// One outcome on its way to the database.
#[derive(Debug)]
pub(super) struct Settlement {
    delivery_id: i64,
    fence: i64,
    attempt: i64,
    outcome: Outcome,
    /// Given back once it is on disk.
    _unsettled: OwnedSemaphorePermit,
}

impl Settlement {
    pub(super) fn of(row: &Claimed, outcome: Outcome, unsettled: OwnedSemaphorePermit) -> Self {
        Self { delivery_id: row.id, fence: row.lease_fence, attempt: row.attempts + 1, outcome, _unsettled: unsettled }
    }

    /// Whether the attempt surely is the one that this lease opened. One whose stamp failed may have been opened by another lease.
    fn was_stamped(&self) -> bool {
        !matches!(self.outcome, Outcome::NotSent(STAMP_FAILED))
    }
}

/// Starts a settler; it ends when every sender is gone and everything is on disk.
pub(super) fn start(engine: &Engine) -> mpsc::Sender<Settlement> {
    let (sender, receiver) = mpsc::channel(4 * BATCH);
    engine.tracker.spawn(run(engine.clone(), receiver));
    sender
}

async fn run(engine: Engine, mut receiver: mpsc::Receiver<Settlement>) {
    let mut waiting = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut waiting, BATCH).await > 0 {
        while let Err(error) = write(&engine, &mut waiting, &mut receiver).await {
            tracing::warn!(code = error.code(), answers = waiting.len(), "answers could not be written; trying again");
            tokio::time::sleep(POLL).await;
        }
        engine.leases.drop_all(waiting.iter().map(|settlement| settlement.delivery_id));
        waiting.clear();
    }
}

async fn write(
    engine: &Engine,
    settlements: &mut Vec<Settlement>,
    more: &mut mpsc::Receiver<Settlement>,
) -> Result<(), StoreError> {
    let id = ambient::new_id(&engine.clock);
    let mut session = engine.store.begin_dispatch().await?;
    // What came while we waited for the database goes with it.
    while settlements.len() < BATCH
        && let Ok(settlement) = more.try_recv()
    {
        settlements.push(settlement);
    }
    let ids: Vec<i64> = settlements.iter().map(|settlement| settlement.delivery_id).collect();
    store::advance::hold(&mut session, &ids).await?;
    // Read only now: who held the rows before us has written a later time than when we began to wait for them.
    let now = engine.clock.now_ms();
    let batch = Batch { id: &id, actor: "grannpost", action: "deliveries.settled", now };
    let taken: Vec<Taken<'_>> = settlements.iter().filter_map(taken).collect();
    let taken = store::advance::take(&mut session, (&engine.owner, now), &taken).await?;
    let moved: HashSet<(i64, i64)> = taken.iter().map(|(fence, change)| (change.delivery_id, *fence)).collect();
    let (mut endings, rest): (Vec<Ending>, Vec<&Settlement>) =
        settlements.iter().fold((Vec::new(), Vec::new()), |(mut ended, mut rest), settlement| {
            match moved.contains(&(settlement.delivery_id, settlement.fence)) {
                true => ended.push(ending(settlement)),
                false => rest.push(settlement),
            }
            (ended, rest)
        });
    let (steps, late) = look_at(engine, &mut session, &rest, (&mut endings, now)).await?;
    let mut changes: Vec<Change> = taken.into_iter().map(|(_, change)| change).collect();
    changes.extend(store::delivery::walk(&mut session, now, steps).await?);
    let ended = store::attempt::ended(&endings, now).into_iter().collect();
    store::settle::record_with(&mut session, &batch, &changes, ended).await?;
    session.commit().await?;
    crate::telemetry::count_changes(&changes);
    tell_late(&late);
    Ok(())
}

/// Tells of answers that came after their lease was taken over; once they are on disk, for what fails is written again.
fn tell_late(deliveries: &[i64]) {
    for delivery in deliveries {
        tracing::warn!(delivery, "an answer came after its lease was taken over");
        metrics::counter!("grannpost_late_answers_total").increment(1);
    }
}

/// What becomes of the deliveries that were not simply taken, or whose lease may not be ours any more; and those whose lease was not.
/// A late answer knows what became of its attempt: it proves what rescue could only doubt.
async fn look_at(
    engine: &Engine,
    session: &mut Session,
    settlements: &[&Settlement],
    (endings, now): (&mut Vec<Ending>, i64),
) -> Result<(Vec<Step>, Vec<i64>), StoreError> {
    if settlements.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let ids: Vec<i64> = settlements.iter().map(|settlement| settlement.delivery_id).collect();
    let locked: HashMap<i64, Locked> =
        store::delivery::lock(session, &ids).await?.into_iter().map(|held| (held.id, held)).collect();
    let mut steps = Vec::with_capacity(settlements.len());
    let (mut unstamped, mut late) = (Vec::new(), Vec::new());
    for settlement in settlements {
        let Some(held) = locked.get(&settlement.delivery_id) else { continue };
        let is_ours = held.state() == DeliveryState::Sending
            && held.lease_owner.as_deref() == Some(&*engine.owner)
            && held.lease_fence == settlement.fence;
        if is_ours && held.stamped_at.is_none() {
            unstamped.push(held.id);
            continue;
        }
        if is_ours {
            endings.push(ending(settlement));
            steps.push(step(settlement, held.clone(), now));
            continue;
        }
        let is_same_lease = held.lease_fence == settlement.fence;
        if is_same_lease || settlement.was_stamped() {
            endings.push(ending(settlement));
        }
        if is_same_lease && held.state() == DeliveryState::InDoubt && held.attempts == settlement.attempt {
            steps.push(proven(step(settlement, held.clone(), now)));
        }
        if held.state() != DeliveryState::Delivered && held.state() != DeliveryState::Accepted {
            late.push(held.id);
        }
    }
    store::delivery::release(session, &engine.owner, &unstamped, 0).await?;
    Ok((steps, late))
}

fn taken(settlement: &Settlement) -> Option<Taken<'_>> {
    let Outcome::Answered { answer: Ok(accepted), .. } = &settlement.outcome else { return None };
    Some(Taken {
        id: settlement.delivery_id,
        fence: settlement.fence,
        gateway_ref: accepted.gateway_ref.as_deref(),
        parts: accepted.parts,
    })
}

/// The step that a late answer makes out of doubt; none where the answer itself was lost.
fn proven(mut step: Step) -> Step {
    if step.to == DeliveryState::Accepted {
        step.reason = Some("in_doubt.proven_by_answer".to_owned());
    }
    step
}

/// The next state of a delivery, by the answer to the attempt that it is at.
fn step(settlement: &Settlement, held: Locked, now: i64) -> Step {
    use DeliveryState as S;
    let due = |wait: Duration| Some(now + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 4));
    let mut step = Step::new(held, S::Queued, None);
    match &settlement.outcome {
        Outcome::NotSent(why) => {
            step.reason = Some((*why).to_owned());
            step.due_at = Some(now);
        }
        Outcome::Answered { answer: Ok(accepted), .. } => {
            step.to = S::Accepted;
            step.gateway_ref.clone_from(&accepted.gateway_ref);
            step.parts = accepted.parts;
        }
        Outcome::Answered { answer: Err(error), back_off } => {
            step.reason = Some(error.reason().code.to_owned());
            step.detail.clone_from(&error.reason().detail);
            match error {
                HandOverError::Retry { after, .. } => step.due_at = due(after.unwrap_or(*back_off)),
                HandOverError::Throttled { .. } | HandOverError::Misconfigured { .. } => step.due_at = Some(now),
                HandOverError::Rejected { .. } => step.to = S::Failed,
                HandOverError::InDoubt { .. } => step.to = S::InDoubt,
            }
        }
    }
    step
}

fn ending(settlement: &Settlement) -> Ending {
    let (outcome, reason, detail, gateway_ref) = match &settlement.outcome {
        Outcome::NotSent(why) => (AttemptOutcome::NotSent, Some((*why).to_owned()), None, None),
        Outcome::Answered { answer: Ok(accepted), .. } => {
            (AttemptOutcome::Accepted, None, None, accepted.gateway_ref.clone())
        }
        Outcome::Answered { answer: Err(error), .. } => {
            let outcome = match error {
                HandOverError::Rejected { .. } => AttemptOutcome::Rejected,
                HandOverError::InDoubt { .. } => AttemptOutcome::InDoubt,
                _ => AttemptOutcome::Retry,
            };
            (outcome, Some(error.reason().code.to_owned()), error.reason().detail.clone(), None)
        }
    };
    Ending { delivery_id: settlement.delivery_id, number: settlement.attempt, outcome, reason, detail, gateway_ref }
}
