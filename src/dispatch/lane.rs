//! Owns one lane: the loop that claims deliveries of one channel, takes them through the gate and queues them for their call.
//!
//! The next deliveries are claimed while those in hand are stamped. Invariants: no more is in hand than about a second of the lane's
//! pace; what could not be stamped or handed over goes back to the queue; a lane in trouble holds no other.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::caller::Caller;
use super::carrier::Carrier;
use super::outlet::{Outlet, Permit, Readiness};
use super::settle::{Outcome, STAMP_FAILED, Settlement};
use super::{Engine, POLL};
use crate::ambient;
use crate::store::claim::{Claim, Claimed, Front};
use crate::store::stamp::{Gate, Stamped};
use crate::store::{self, StoreError};

/// A claim under way: what it gets, and where the next one begins.
type Claiming = JoinHandle<Result<(Vec<Claimed>, Front), StoreError>>;

/// The loop of one channel.
pub(super) struct Lane<C> {
    engine: Engine,
    /// One for each outlet on the route.
    callers: Vec<Caller<C>>,
    settle: mpsc::Sender<Settlement>,
    buffer: VecDeque<Claimed>,
    /// A claim that runs beside the stamping.
    refill: Option<Claiming>,
    /// Where the next claim begins; the beginning, after one that failed.
    front: Front,
    /// Whether the last claim got something, so that there may be more.
    has_more: bool,
    begun: HashSet<String>,
    /// Rounds in a row that found something due and could not claim it.
    idle_rounds: u32,
    /// The outlet that the last delivery went through.
    carried_by: Option<String>,
}

impl<C: Carrier> Lane<C> {
    pub(super) fn new(engine: Engine, outlets: Vec<Arc<Outlet<C>>>, settle: mpsc::Sender<Settlement>) -> Self {
        let has_alternative = outlets.len() > 1;
        let callers =
            outlets.into_iter().map(|outlet| Caller::start(&engine, outlet, &settle, has_alternative)).collect();
        Self {
            engine,
            callers,
            settle,
            buffer: VecDeque::new(),
            refill: None,
            front: Front::default(),
            has_more: false,
            begun: HashSet::new(),
            idle_rounds: 0,
            carried_by: None,
        }
    }

    /// Runs until the engine stops, then gives back what was not stamped.
    pub(super) async fn run(mut self) {
        let stop = self.engine.stop.clone();
        while !stop.is_cancelled() {
            // A round is never cut short: between stamp and hand-over nothing may be dropped.
            match self.step().await {
                Ok(Next::Again) => {}
                Ok(Next::Wait(limit)) => tokio::select! {
                    () = self.engine.wakeup.wait(limit) => {}
                    () = stop.cancelled() => {}
                },
                Err(error) => {
                    tracing::warn!(code = error.code(), "dispatch cannot reach the database; trying again");
                    tokio::time::sleep(POLL).await;
                }
            }
        }
        self.release().await;
    }

    /// One round: find an open outlet, have something to hand over, take it through the gate.
    async fn step(&mut self) -> Result<Next, StoreError> {
        let caller = match self.open_caller() {
            Ok(caller) => caller.clone(),
            Err(until) => {
                self.release().await;
                let wait = until.map_or(POLL, |until| until.saturating_duration_since(Instant::now()));
                return Ok(Next::Wait(wait.min(POLL)));
            }
        };
        let outlet = caller.outlet();
        let priorities = outlet.carrier().priorities_at(self.engine.clock.now());
        if self.buffer.iter().any(|row| !priorities.contains(&row.priority)) {
            self.release().await;
        }
        if self.buffer.is_empty() {
            self.claim(outlet, priorities).await?;
        }
        if self.buffer.is_empty() {
            return self.until_due(outlet, priorities).await.map(Next::Wait);
        }
        self.idle_rounds = 0;
        let permits = tokio::select! {
            permits = outlet.acquire() => permits,
            () = self.engine.stop.cancelled() => return Ok(Next::Again),
        };
        if permits.len() > self.buffer.len() {
            self.claim(outlet, priorities).await?;
        }
        let rows: Vec<Claimed> = self.buffer.drain(..permits.len().min(self.buffer.len())).collect();
        if self.has_more && self.refill.is_none() && self.buffer.len() <= outlet.batch() / 2 {
            self.refill = Some(self.begin_claim(outlet, priorities, outlet.batch() - self.buffer.len()));
        }
        if !rows.is_empty() {
            self.pass_gate(&caller, rows, permits).await?;
        }
        Ok(Next::Again)
    }

    /// The caller of the first outlet on the route that may be called, one that has to prove itself only where there is no other; otherwise
    /// when to look again.
    fn open_caller(&self) -> Result<&Caller<C>, Option<Instant>> {
        let mut soonest: Option<Instant> = None;
        let mut trying = None;
        for caller in &self.callers {
            match caller.outlet().readiness() {
                Readiness::Open => return Ok(caller),
                Readiness::Held(until) => return Err(Some(until)),
                Readiness::Trying => trying = trying.or(Some(caller)),
                Readiness::NotBefore(until) => soonest = Some(soonest.map_or(until, |at| at.min(until))),
                Readiness::Stopped => {}
            }
        }
        trying.ok_or(soonest)
    }

    /// Tells whoever watches which outlet carries now.
    fn note_carrier(&mut self, outlet: &Outlet<C>) {
        let name = outlet.carrier().name();
        if self.carried_by.as_deref() == Some(name) {
            return;
        }
        if self.callers.len() > 1 {
            tracing::info!(gateway = name, "deliveries go through this gateway now");
        }
        for other in self.callers.iter().map(|caller| caller.outlet().carrier().name()) {
            let carries = if other == name { 1.0 } else { 0.0 };
            metrics::gauge!("grannpost_gateway_carries", "gateway" => other.to_owned()).set(carries);
        }
        self.carried_by = Some(name.to_owned());
    }

    /// Puts the next deliveries in hand: those of the claim that is under way, else as many as can be stamped at once.
    async fn claim(&mut self, outlet: &Outlet<C>, priorities: &'static [i64]) -> Result<(), StoreError> {
        let room = outlet.first_batch().saturating_sub(self.buffer.len());
        let claim = match self.refill.take() {
            Some(claim) => claim,
            None => self.begin_claim(outlet, priorities, room),
        };
        let (claimed, front) = ended(claim).await?;
        self.front = front;
        self.has_more = !claimed.is_empty();
        self.buffer.extend(claimed);
        self.buffer.make_contiguous().sort_by_key(|row| (row.priority, row.due_at, row.place, row.id));
        Ok(())
    }

    /// Begins to lease `room` deliveries of what is due, most urgent first.
    fn begin_claim(&mut self, outlet: &Outlet<C>, priorities: &'static [i64], room: usize) -> Claiming {
        let (engine, channel) = (self.engine.clone(), outlet.carrier().channel());
        let mut front = std::mem::take(&mut self.front);
        self.engine.tracker.spawn(async move {
            let claimed_at = Instant::now();
            let now = engine.clock.now_ms();
            let mut session = engine.store.begin_dispatch().await?;
            let mut claimed = Vec::new();
            for &priority in priorities {
                let room = room.saturating_sub(claimed.len());
                if room == 0 {
                    break;
                }
                let claim = Claim {
                    channel,
                    priority,
                    limit: room,
                    owner: &engine.owner,
                    lease_until: now + i64::from(engine.config.dispatch.lease_seconds) * 1000,
                    now,
                };
                claimed.extend(store::claim::claim(&mut session, &mut front, &claim).await?);
            }
            session.commit().await?;
            engine.leases.take(claimed.iter().map(|row| row.id), claimed_at, engine.lease());
            Ok((claimed, front))
        })
    }

    /// How long until something is due, at most a poll's length. What is due and was not claimed waits for something else:
    /// it is looked at soon, in case it became due a moment ago, and then less and less often.
    async fn until_due(&mut self, outlet: &Outlet<C>, priorities: &[i64]) -> Result<Duration, StoreError> {
        let mut session = self.engine.store.read_dispatch().await?;
        let mut next: Option<i64> = None;
        for &priority in priorities {
            let due = store::queue::next_due(&mut session, outlet.carrier().channel(), priority).await?;
            next = [next, due].into_iter().flatten().min();
        }
        let wait = next.map_or(i64::MAX, |due| due - self.engine.clock.now_ms());
        if let Ok(wait @ 1..) = u64::try_from(wait) {
            self.idle_rounds = 0;
            return Ok(Duration::from_millis(wait).min(POLL));
        }
        self.idle_rounds = (self.idle_rounds + 1).min(8);
        Ok(Duration::from_millis(1 << self.idle_rounds).min(POLL))
    }

    /// Stamps rows and queues them for their call. Whatever goes wrong here, nothing was sent yet.
    async fn pass_gate(
        &mut self,
        caller: &Caller<C>,
        rows: Vec<Claimed>,
        permits: Vec<Permit>,
    ) -> Result<(), StoreError> {
        let outlet = caller.outlet();
        let stamped = match self.stamp(outlet, &rows).await {
            Ok(stamped) => stamped,
            Err(error) => {
                for (row, permit) in rows.into_iter().zip(permits) {
                    let settlement = Settlement::of(&row, Outcome::NotSent(STAMP_FAILED), permit.unsettled);
                    let _ = self.settle.send(settlement).await;
                }
                return Err(error);
            }
        };
        // By lease and not by delivery: one whose lease ran out and was claimed again may stand here twice.
        let passed: HashSet<(i64, i64)> = stamped.iter().map(|row| (row.id, row.lease_fence)).collect();
        let ids: HashSet<i64> = stamped.iter().map(|row| row.id).collect();
        self.engine.leases.drop_all(rows.iter().map(|row| row.id).filter(|id| !ids.contains(id)));
        self.begun.extend(stamped.iter().map(|row| row.message_id.clone()));
        if !passed.is_empty() {
            self.note_carrier(outlet);
        }
        let mut permits = permits.into_iter();
        for row in rows.into_iter().filter(|row| passed.contains(&(row.id, row.lease_fence))) {
            let permit = permits.next().expect("as many permits as rows");
            caller.queue(row, permit);
        }
        Ok(())
    }

    async fn stamp(&mut self, outlet: &Outlet<C>, rows: &[Claimed]) -> Result<Vec<Stamped>, StoreError> {
        let gate = Gate {
            channel: outlet.carrier().channel(),
            owner: &self.engine.owner,
            gateway: outlet.carrier().name(),
            now: self.engine.clock.now_ms(),
        };
        let mut session = self.engine.store.begin_dispatch().await?;
        let mut refused: Vec<(&'static str, i64)> =
            rows.iter().filter_map(|row| outlet.carrier().refuses(&row.address).map(|why| (why, row.id))).collect();
        refused.sort_unstable();
        let mut changes = Vec::new();
        for group in refused.chunk_by(|a, b| a.0 == b.0) {
            let ids: Vec<i64> = group.iter().map(|(_, id)| *id).collect();
            let batch = ambient::new_id(&self.engine.clock);
            changes.extend(store::stamp::suppress(&mut session, &gate, &batch, &ids, group[0].0).await?);
        }
        let batch = ambient::new_id(&self.engine.clock);
        let (stamped, refused_at_gate) = store::stamp::stamp(&mut session, &gate, &batch, rows).await?;
        changes.extend(refused_at_gate);
        let new: HashSet<&str> =
            stamped.iter().map(|row| row.message_id.as_str()).filter(|id| !self.begun.contains(*id)).collect();
        for message_id in new {
            store::message::begin_sending(&mut session, message_id, gate.now).await?;
        }
        session.commit().await?;
        crate::telemetry::count_changes(&changes);
        Ok(stamped)
    }

    /// Gives back what is claimed but not stamped.
    async fn release(&mut self) {
        if let Some(claim) = self.refill.take() {
            match ended(claim).await {
                Ok((claimed, _)) => self.buffer.extend(claimed),
                Err(error) => tracing::warn!(code = error.code(), "a claim failed while its lane was closed"),
            }
        }
        // What goes back lies before it.
        self.front = Front::default();
        if self.buffer.is_empty() {
            return;
        }
        let ids: Vec<i64> = self.buffer.drain(..).map(|row| row.id).collect();
        self.engine.leases.drop_all(ids.iter().copied());
        let released = async {
            let mut session = self.engine.store.begin_dispatch().await?;
            store::delivery::release(&mut session, &self.engine.owner, &ids, 0).await?;
            session.commit().await
        };
        if let Err(error) = released.await {
            tracing::warn!(code = error.code(), "leases could not be given back; they run out by themselves");
        }
    }
}

/// What a claim got. It is never aborted, so that nothing is leased that nobody has in hand.
async fn ended(claim: Claiming) -> Result<(Vec<Claimed>, Front), StoreError> {
    claim.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

/// What the loop does next.
enum Next {
    Again,
    Wait(Duration),
}
