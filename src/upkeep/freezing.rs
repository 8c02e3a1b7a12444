//! Owns what is left of freezing in pieces when nobody is at it: taking back what has died, writing out what is sealed,
//! and letting go what may.

use super::Upkeep;
use crate::actions::{freezing, unsealing};
use crate::store::StoreError;

/// Writes out what is sealed and makes deliveries due that may go; then takes back freezings that nobody has worked on for a lease's
/// time, which nobody waits for.
pub(super) async fn round(upkeep: Upkeep) -> Result<(), StoreError> {
    let lease_ms = i64::from(upkeep.config.dispatch.lease_seconds) * 1000;
    let goes_on = || upkeep.turn.is_ours() && !upkeep.stop.is_cancelled();
    let pace = upkeep.config.hand_overs_per_second();
    unsealing::write_out_all(&upkeep.store, &upkeep.clock, pace, goes_on, || upkeep.wakeup.ring()).await?;
    freezing::undo_dead(&upkeep.store, &upkeep.clock, upkeep.clock.now_ms() - lease_ms).await
}
