//! Owns what waits to be handed over, as somebody looks at it.
//!
//! Invariant: a long queue is counted at most once in five seconds, beside the look that found the count old.

use std::sync::Arc;

use super::{Desk, Result, lately};
use crate::store::Session;
use crate::store::queue::{self, QueueDepth};

/// How long the count of a long queue holds, in milliseconds.
const HOLDS_MS: i64 = 5_000;

/// What is due and waits in each lane.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn depths(desk: &Desk, session: &mut Session) -> Result<Arc<Vec<QueueDepth>>> {
    let now = desk.now();
    if let Some(known) = desk.lately.depths.get("", now, HOLDS_MS) {
        if known.is_old {
            let store = desk.store.clone();
            let counting = async move { Ok(queue::depths(&mut store.read().await?, now).await?) };
            lately::count_beside(desk, |lately| &lately.depths, "", counting);
        }
        return Ok(known.value);
    }
    let depths = Arc::new(queue::depths(session, now).await?);
    if depths.iter().map(|depth| depth.deliveries).sum::<i64>() > i64::from(desk.config.database.rows_at_once) {
        desk.lately.depths.keep("", now, Arc::clone(&depths));
    }
    Ok(depths)
}
