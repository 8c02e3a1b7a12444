//! Owns what becomes of leases nobody holds any more: back to the queue, or in doubt.
//!
//! Invariant: without the hand-over stamp a delivery surely was not sent; with it nobody knows.

use super::Upkeep;
use super::presence::Presence;
use crate::ambient;
use crate::domain::delivery::DeliveryState;
use crate::store::attempt::{AttemptOutcome, Ending};
use crate::store::daemon;
use crate::store::delivery::{self, Step, Which};
use crate::store::settle::Batch;
use crate::store::{Session, StoreError};

/// No daemon has this id: only leases that ran out by time are meant.
const NOBODY: &str = "-";

/// Rescues what dead daemons held, and leases that ran out by time.
pub(super) async fn round(upkeep: &Upkeep, presence: &mut Presence) -> Result<(), StoreError> {
    let others = {
        let mut session = upkeep.store.read().await?;
        daemon::others(&mut session, &upkeep.owner).await?
    };
    // Leases that ran out by time need no lock to be looked at.
    rescue(upkeep, NOBODY).await?;
    for other in others {
        if presence.is_gone(&other).await? {
            tracing::warn!(daemon = other.id, "a daemon is gone; its leases are void");
            rescue(upkeep, &other.id).await?;
            let mut session = upkeep.store.begin().await?;
            daemon::end(&mut session, &other.id, upkeep.clock.now_ms()).await?;
            session.commit().await?;
        }
    }
    Ok(())
}

async fn rescue(upkeep: &Upkeep, owner: &str) -> Result<(), StoreError> {
    let now = upkeep.clock.now_ms();
    let mut session = upkeep.store.begin().await?;
    let released = delivery::release_dead(&mut session, owner, now).await?;
    let doubted = doubt(upkeep, &mut session, owner, now).await?;
    session.commit().await?;
    if released + doubted > 0 {
        tracing::warn!(released, in_doubt = doubted, "leases were rescued");
        upkeep.wakeup.ring();
    }
    Ok(())
}

async fn doubt(upkeep: &Upkeep, session: &mut Session, owner: &str, now: i64) -> Result<u64, StoreError> {
    let mut doubted = 0;
    loop {
        let held = delivery::lock_set(session, Which::StampedByDead(owner, now), 5_000).await?;
        if held.is_empty() {
            return Ok(doubted);
        }
        let endings: Vec<Ending> = held
            .iter()
            .map(|held| Ending {
                delivery_id: held.id,
                number: held.attempts,
                outcome: AttemptOutcome::InDoubt,
                reason: Some("dispatch.daemon_gone".to_owned()),
                detail: None,
                gateway_ref: None,
            })
            .collect();
        crate::store::attempt::end(session, &endings, now).await?;
        let steps = held
            .into_iter()
            .map(|held| Step::new(held, DeliveryState::InDoubt, Some("dispatch.daemon_gone")))
            .collect();
        let id = ambient::new_id(&upkeep.clock);
        let batch = Batch { id: &id, actor: "grannpost", action: "deliveries.rescued", now };
        let changes = delivery::apply(session, &batch, steps).await?;
        crate::telemetry::count_changes(&changes);
        doubted += changes.len() as u64;
    }
}
