//! Owns whose turn at upkeep it is: of several daemons one at a time rescues, expires, seals and reminds.
//!
//! A turn is a few seconds of the database's clock, and is renewed while its daemon lives. A lock would do, but that of a
//! frozen daemon is never free. Invariant: right without it, since every round is idempotent; a turn only saves work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::presence::Presence;
use super::{Upkeep, rescue};
use crate::store::{StoreError, daemon};

/// A daemon that says nothing for so long has lost its turn.
const SPAN: Duration = Duration::from_secs(3);

/// Until when it is this daemon's turn.
#[derive(Debug, Clone, Default)]
pub struct Turn(Arc<Mutex<Option<Instant>>>);

impl Turn {
    /// Whether it is this daemon's turn.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// Keeps the lock that shows this daemon lives; whoever found it free meanwhile is told otherwise.
pub(super) async fn keep_presence(upkeep: &Upkeep, presence: &mut Presence) -> Result<(), StoreError> {
    if presence.keep().await? {
        let mut session = upkeep.store.begin().await?;
        daemon::come_back(&mut session, &upkeep.owner, upkeep.clock.now_ms()).await?;
        session.commit().await?;
    }
    Ok(())
}

/// Takes or keeps the turn, if it can be had, and rescues what dead daemons held.
pub(super) async fn round(upkeep: &Upkeep, presence: &mut Presence) -> Result<(), StoreError> {
    keep_presence(upkeep, presence).await?;
    let asked = Instant::now();
    let is_ours = matches!(presence, Presence::File(_)) || take(upkeep, presence).await?;
    upkeep.turn.set(is_ours.then(|| asked + SPAN));
    if is_ours { rescue::round(upkeep, presence).await } else { Ok(()) }
}

async fn take(upkeep: &Upkeep, presence: &mut Presence) -> Result<bool, StoreError> {
    let holder = daemon::turn_holder(&mut upkeep.store.read().await?).await?;
    let mut gone = None;
    if let Some(holder) = holder.filter(|holder| *holder.id != *upkeep.owner) {
        if !presence.is_gone(&holder).await? {
            return Ok(false);
        }
        gone = Some(holder.id);
    }
    let span_us = i64::try_from(SPAN.as_micros()).unwrap_or(i64::MAX);
    let mut session = upkeep.store.begin().await?;
    let is_ours = daemon::take_turn(&mut session, &upkeep.owner, span_us, gone.as_deref()).await?;
    session.commit().await?;
    Ok(is_ours)
}
