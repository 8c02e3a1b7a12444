//! Owns the way from the stamp to the answer: the calls of one outlet, begun in the order of the stamps, each in a task of its own.
//!
//! If every delivery waited for its turn by itself, neighbours would change places as the processors get to them, and a watch area
//! could be reached twice before another is reached. Invariant: what is queued is settled, also when the engine stops.

use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use super::Engine;
use super::carrier::{Carrier, Parcel};
use super::outlet::{Outlet, Permit};
use super::pace::Slot;
use super::settle::{Outcome, Settlement};
use crate::domain::delivery_token::DeliveryToken;
use crate::provider::HandOverError;
use crate::store::claim::Claimed;

/// Calls the carrier of one outlet. Ends when the last clone is gone and all that was queued is settled.
#[derive(Debug)]
pub(super) struct Caller<C> {
    line: Arc<Line<C>>,
    /// The permits bound how many wait here.
    queue: mpsc::UnboundedSender<(Claimed, Permit)>,
}

/// What the calls of one outlet share.
#[derive(Debug)]
struct Line<C> {
    engine: Engine,
    outlet: Arc<Outlet<C>>,
    settle: mpsc::Sender<Settlement>,
    has_alternative: bool,
}

impl<C> Clone for Caller<C> {
    fn clone(&self) -> Self {
        Self { line: Arc::clone(&self.line), queue: self.queue.clone() }
    }
}

impl<C: Carrier> Caller<C> {
    /// Starts the caller of an outlet; `has_alternative` says whether another one could take over.
    pub(super) fn start(
        engine: &Engine,
        outlet: Arc<Outlet<C>>,
        settle: &mpsc::Sender<Settlement>,
        has_alternative: bool,
    ) -> Self {
        let (queue, queued) = mpsc::unbounded_channel();
        let line = Arc::new(Line { engine: engine.clone(), outlet, settle: settle.clone(), has_alternative });
        engine.tracker.spawn(call_in_turn(Arc::clone(&line), queued));
        Self { line, queue }
    }

    /// Whom it calls.
    pub(super) fn outlet(&self) -> &Outlet<C> {
        &self.line.outlet
    }

    /// Queues a stamped delivery for its call, behind those queued before it; one whose recipient's side may not be bothered yet,
    /// when it may.
    pub(super) fn queue(&self, row: Claimed, permit: Permit) {
        if self.outlet().carrier().ready_for(&row.address).now_or_never().is_some() {
            self.enter(row, permit);
            return;
        }
        let caller = self.clone();
        self.line.engine.tracker.spawn(async move {
            caller.outlet().carrier().ready_for(&row.address).await;
            caller.enter(row, permit);
        });
    }

    fn enter(&self, row: Claimed, permit: Permit) {
        self.queue.send((row, permit)).expect("the other end is open as long as this one");
    }
}

/// Begins one call after the other, each when there is room for it and the pace allows it.
async fn call_in_turn<C: Carrier>(line: Arc<Line<C>>, mut queued: mpsc::UnboundedReceiver<(Claimed, Permit)>) {
    while let Some((row, Permit { before_pacer, unanswered, unsettled })) = queued.recv().await {
        let call = line.outlet.call_slot().await;
        let slot = line.outlet.pacer().slot().await;
        drop(before_pacer);
        let calling = Arc::clone(&line);
        line.engine.tracker.spawn(async move {
            let outcome = match calling.too_late(&row) {
                None => calling.call(&row, &slot).await,
                Some(why) => Outcome::NotSent(why),
            };
            drop((call, unanswered));
            // The settler ends only after every hand-over, so the answer always finds it.
            let _ = calling.settle.send(Settlement::of(&row, outcome, unsettled)).await;
        });
    }
}

impl<C: Carrier> Line<C> {
    /// Why a stamped delivery must not go after all, if so: it waited for its turn since.
    fn too_late(&self, row: &Claimed) -> Option<&'static str> {
        if !self.engine.leases.holds(row.id) {
            Some("dispatch.lease_ran_out")
        } else if row.expires_at <= self.engine.clock.now_ms() {
            Some("message.expired")
        } else if self.outlet.is_open().is_err() {
            Some("gateway.not_called")
        } else {
            None
        }
    }

    async fn call(&self, row: &Claimed, slot: &Slot) -> Outcome {
        let attempt = row.attempts + 1;
        let parcel = Parcel {
            token: DeliveryToken { delivery_id: row.id, attempt },
            message_id: row.message_id.clone(),
            address: row.address.clone(),
            contact_person_id: row.contact_person_id.clone(),
            expires_at: row.expires_at,
        };
        let begun = Instant::now();
        let answer = self.outlet.carrier().hand_over(&parcel, self.outlet.pacer()).await;
        self.outlet.pacer().answered(slot);
        metrics::histogram!("grannpost_handover_seconds", "gateway" => self.outlet.carrier().name().to_owned())
            .record(begun.elapsed().as_secs_f64());
        self.outlet.circuit().note(&answer, self.has_alternative);
        if let Err(HandOverError::Throttled { .. }) = &answer {
            self.outlet.pacer().slow_down();
        }
        Outcome::Answered { answer, back_off: self.outlet.carrier().back_off(attempt) }
    }
}
