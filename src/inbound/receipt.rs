//! Owns delivery reports: taken in together, stored first, matched then, never moving a state back.
//!
//! Many calls of the hook that come at once are written in one transaction; each is answered only after the commit.

use std::collections::{HashMap, HashSet};

use tokio::sync::{mpsc, oneshot};

use crate::ambient::{self, Clock};
use crate::domain::delivery::DeliveryState;
use crate::domain::delivery_token::DeliveryToken;
use crate::provider::{Receipt, ReceiptState};
use crate::store::advance::Arrived;
use crate::store::attempt::{AttemptOutcome, Ending};
use crate::store::delivery::{Locked, Step};
use crate::store::receipt::NewReceipt;
use crate::store::settle::{Batch, Change};
use crate::store::{self, Session, Store, StoreError};

/// Reports written in one transaction.
const BATCH: usize = 1_000;

/// A report on its way to the database.
struct Incoming {
    gateway: String,
    token: DeliveryToken,
    receipt: Receipt,
    stored: oneshot::Sender<Result<(), Unstored>>,
}

/// The report is not stored; the gateway must bring it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the report could not be stored")]
pub struct Unstored;

/// Where the hook hands reports in.
#[derive(Debug, Clone)]
pub struct ReceiptDesk {
    sender: mpsc::Sender<Incoming>,
}

impl ReceiptDesk {
    /// Starts taking reports in; ends when every desk is gone.
    #[must_use]
    pub fn start(store: Store, clock: Clock) -> Self {
        let (sender, receiver) = mpsc::channel(4 * BATCH);
        tokio::spawn(run(store, clock, receiver));
        Self { sender }
    }

    /// Stores a report on the attempt that `token` names and moves its delivery.
    ///
    /// # Errors
    /// [`Unstored`] when the database could not take it.
    pub async fn take(&self, gateway: &str, token: DeliveryToken, receipt: Receipt) -> Result<(), Unstored> {
        let (stored, done) = oneshot::channel();
        let incoming = Incoming { gateway: gateway.to_owned(), token, receipt, stored };
        self.sender.send(incoming).await.map_err(|_| Unstored)?;
        done.await.map_err(|_| Unstored)?
    }

    /// As [`ReceiptDesk::take`], for many reports of one gateway at once.
    ///
    /// # Errors
    /// [`Unstored`] when any of them could not be stored.
    pub async fn take_all(
        &self,
        gateway: &str,
        reports: impl IntoIterator<Item = (DeliveryToken, Receipt)>,
    ) -> Result<(), Unstored> {
        let mut waiting = Vec::new();
        for (token, receipt) in reports {
            let (stored, done) = oneshot::channel();
            let incoming = Incoming { gateway: gateway.to_owned(), token, receipt, stored };
            self.sender.send(incoming).await.map_err(|_| Unstored)?;
            waiting.push(done);
        }
        for done in waiting {
            done.await.map_err(|_| Unstored)??;
        }
        Ok(())
    }
}

async fn run(store: Store, clock: Clock, mut receiver: mpsc::Receiver<Incoming>) {
    let mut waiting = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut waiting, BATCH).await > 0 {
        let written = write(&store, &clock, &mut waiting, &mut receiver).await;
        if let Err(error) = &written {
            tracing::warn!(
                code = error.code(),
                receipts = waiting.len(),
                "receipts could not be stored; the gateway brings them again"
            );
        }
        for incoming in waiting.drain(..) {
            let _ = incoming.stored.send(written.as_ref().map(|_| ()).map_err(|_| Unstored));
        }
    }
}

async fn write(
    store: &Store,
    clock: &Clock,
    incoming: &mut Vec<Incoming>,
    more: &mut mpsc::Receiver<Incoming>,
) -> Result<(), StoreError> {
    let mut session = store.begin_dispatch().await?;
    // What came while we waited for the database goes with it.
    while incoming.len() < BATCH
        && let Ok(report) = more.try_recv()
    {
        incoming.push(report);
    }
    let received_at = clock.now_ms();
    let rounds = rounds(incoming);
    let mut rows: Vec<NewReceipt<'_>> = rounds.iter().flatten().map(|report| row(report)).collect();
    rows.sort_unstable_by(|a, b| (a.delivery_id, a.attempt, &a.word).cmp(&(b.delivery_id, b.attempt, &b.word)));
    let ids: Vec<i64> = rows.iter().map(|row| row.delivery_id).collect();
    store::advance::hold(&mut session, &ids).await?;
    // Read only now: who held the rows before us has written a later time than when we began to wait for them.
    let now = clock.now_ms();
    let arrived: Vec<Arrived<'_>> = arrivals(&rounds).into_iter().map(arrived).collect();
    let kept = vec![store::receipt::store(&rows, received_at)];
    let mut changes = store::advance::arrive(&mut session, now, &arrived, kept).await?;
    let moved: HashSet<i64> = changes.iter().map(|change| change.delivery_id).collect();
    changes.extend(look_at(&mut session, (&rounds, &moved), now).await?);
    let id = ambient::new_id(clock);
    let batch = Batch { id: &id, actor: "grannpost", action: "deliveries.receipts", now };
    let came = incoming.first().map(|first| store::gateway::receipt_came(&first.gateway, now)).into_iter().collect();
    store::settle::record_with(&mut session, &batch, &changes, came).await?;
    session.commit().await?;
    crate::telemetry::count_changes(&changes);
    Ok(())
}

/// Applies what is left when those in `moved` have arrived. Several reports on one delivery are applied one after the other, the
/// furthest last, so that none is lost.
async fn look_at(
    session: &mut Session,
    (rounds, moved): (&[Vec<&Incoming>], &HashSet<i64>),
    now: i64,
) -> Result<Vec<Change>, StoreError> {
    let is_left = |report: &&&Incoming| !moved.contains(&report.token.delivery_id);
    let ids: Vec<i64> = rounds.iter().flatten().filter(is_left).map(|report| report.token.delivery_id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut held: HashMap<i64, Locked> =
        store::delivery::lock(session, &ids).await?.into_iter().map(|held| (held.id, held)).collect();
    let mut all = Vec::new();
    for round in rounds {
        let mut steps = Vec::new();
        let mut endings = Vec::new();
        for report in round.iter().filter(is_left) {
            let Some(delivery) = held.get(&report.token.delivery_id) else { continue };
            let Some(step) = step(delivery, report) else { continue };
            // Its own answer may still be under way, or lost with the daemon: the report is the proof that stays.
            if delivery.state() != DeliveryState::Accepted {
                endings.push(proven(report));
            }
            steps.push(step);
        }
        store::attempt::end(session, &endings, now).await?;
        let changes = store::delivery::walk(session, now, steps).await?;
        for change in &changes {
            if let Some(delivery) = held.get_mut(&change.delivery_id) {
                change.to.code().clone_into(&mut delivery.state);
                delivery.version = change.version;
            }
        }
        all.extend(changes);
    }
    Ok(all)
}

/// The reports on deliveries that have only this one, and say that they arrived.
fn arrivals<'a>(rounds: &[Vec<&'a Incoming>]) -> Vec<&'a Incoming> {
    let again: HashSet<i64> = rounds.iter().skip(1).flatten().map(|report| report.token.delivery_id).collect();
    let is_one = |report: &&&Incoming| {
        report.receipt.state == Some(ReceiptState::Delivered) && !again.contains(&report.token.delivery_id)
    };
    rounds.first().into_iter().flatten().filter(is_one).copied().collect()
}

fn arrived(report: &Incoming) -> Arrived<'_> {
    Arrived { id: report.token.delivery_id, attempt: report.token.attempt, gateway_ref: &report.receipt.gateway_ref }
}

fn row(incoming: &Incoming) -> NewReceipt<'_> {
    NewReceipt {
        delivery_id: incoming.token.delivery_id,
        attempt: incoming.token.attempt,
        word: incoming.receipt.word.as_str().into(),
        gateway: &incoming.gateway,
        gateway_ref: &incoming.receipt.gateway_ref,
        state: incoming.receipt.state.map(word),
    }
}

fn word(state: ReceiptState) -> &'static str {
    match state {
        ReceiptState::Sent => "sent",
        ReceiptState::Delivered => "delivered",
        ReceiptState::Failed => "failed",
    }
}

/// Reports in rounds: at most one for each delivery in a round, in the order they came. The same word twice for one attempt is one
/// report. One that came in an earlier batch moves nothing that it did not move then: no state that a report leads to leads back, and
/// attempts only grow.
fn rounds(incoming: &[Incoming]) -> Vec<Vec<&Incoming>> {
    let mut seen: HashSet<(i64, i64, &str)> = HashSet::new();
    let mut depth: HashMap<i64, usize> = HashMap::new();
    let mut rounds: Vec<Vec<&Incoming>> = Vec::new();
    for report in incoming {
        if !seen.insert((report.token.delivery_id, report.token.attempt, report.receipt.word.as_str())) {
            continue;
        }
        let at = depth.entry(report.token.delivery_id).or_default();
        if rounds.len() <= *at {
            rounds.push(Vec::new());
        }
        rounds[*at].push(report);
        *at += 1;
    }
    rounds
}

/// Where a report moves a delivery, if anywhere. A report carries the attempt's token, so it also proves that the
/// gateway took that attempt, whatever we knew before.
fn step(delivery: &Locked, report: &Incoming) -> Option<Step> {
    let to = match report.receipt.state? {
        ReceiptState::Sent => DeliveryState::Accepted,
        ReceiptState::Delivered => DeliveryState::Delivered,
        // An earlier attempt that failed says nothing about the one under way.
        ReceiptState::Failed if report.token.attempt < delivery.attempts => return None,
        ReceiptState::Failed => DeliveryState::Undelivered,
    };
    if !delivery.state().may_become(to) || report.token.attempt > delivery.attempts {
        return None;
    }
    let reason = match to {
        DeliveryState::Undelivered => Some("receipt.failed"),
        _ => None,
    };
    let mut step = Step::new(delivery.clone(), to, reason);
    step.gateway_ref = Some(report.receipt.gateway_ref.clone());
    Some(step)
}

fn proven(report: &Incoming) -> Ending {
    Ending {
        delivery_id: report.token.delivery_id,
        number: report.token.attempt,
        outcome: AttemptOutcome::Accepted,
        reason: Some("attempt.proven_by_receipt".to_owned()),
        detail: None,
        gateway_ref: Some(report.receipt.gateway_ref.clone()),
    }
}
