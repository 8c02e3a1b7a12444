//! Owns that the words of names catch up with the register.
//!
//! Invariant: each piece is a short transaction, so that no alert waits for a large import's words.

use std::time::Duration;

use super::Upkeep;
use crate::store::{StoreError, freezing, register_word, sealed_audience};

/// Records at once.
const PIECE: i64 = 250;
/// Rest between two pieces, in which others come to write.
const BREATH: Duration = Duration::from_millis(20);

/// Writes the words of everybody whose are behind. They wait while a large audience is frozen or written out: two that write
/// piece after piece leave nothing between them to anybody else.
pub(super) async fn round(upkeep: Upkeep) -> Result<(), StoreError> {
    while !upkeep.stop.is_cancelled() {
        let mut session = upkeep.store.read().await?;
        if !register_word::is_behind(&mut session).await?
            || freezing::is_writing(&mut session, "").await?
            || sealed_audience::is_left(&mut session, "").await?
        {
            return Ok(());
        }
        drop(session);
        let mut session = upkeep.store.begin().await?;
        let behind = register_word::behind(&mut session, PIECE).await?;
        register_word::catch_up(&mut session, &behind).await?;
        session.commit().await?;
        tokio::time::sleep(BREATH).await;
    }
    Ok(())
}
