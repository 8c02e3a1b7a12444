//! Owns seeing to it that every word about consent comes into the journal outside the database, also after a crash or a full disk.
//!
//! Invariant: a line is marked as written only when it is; one that is written twice is read once.

use super::Upkeep;
use crate::store::opt_out::{self, Noted};
use crate::store::{self, StoreError};

/// Lines written at once.
const BATCH: i64 = 500;
/// Another process may be writing a line that is younger than this.
const OTHERS_MS: i64 = 5_000;

/// Marks what this daemon has written, and writes what nobody has.
pub(super) async fn round(upkeep: Upkeep) -> Result<(), StoreError> {
    let Some(journal) = upkeep.store.journal().open() else { return Ok(()) };
    let waiting = opt_out::waiting(&mut upkeep.store.read().await?, BATCH).await?;
    let now = upkeep.clock.now_ms();
    let mut written = journal.written();
    let is_left = |noted: &&Noted| !written.contains(&noted.mac) && now - noted.noted_at > OTHERS_MS;
    let left: Vec<Noted> = waiting.iter().filter(is_left).cloned().collect();
    if !left.is_empty() && journal.write(left.iter().map(|noted| noted.line.clone()).collect()).await {
        written.extend(left.into_iter().map(|noted| noted.mac));
    }
    let unsettled = waiting.iter().filter(|noted| !written.contains(&noted.mac)).count();
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    metrics::gauge!("grannpost_opt_outs_unjournalled").set(unsettled as f64);
    let macs: Vec<String> = waiting.into_iter().map(|noted| noted.mac).filter(|mac| written.contains(mac)).collect();
    if macs.is_empty() {
        return Ok(());
    }
    let mut session = upkeep.store.begin().await?;
    opt_out::settle(&mut session, &macs, now).await?;
    session.commit().await?;
    journal.settled(&macs);
    store::Result::Ok(())
}
