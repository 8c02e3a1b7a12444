//! Owns stopping and starting all hand-overs, alerts included.

use super::{ActionError, Desk, Result, require};
use crate::domain::operator::{Actor, Right};
use crate::store::setting::{PAUSED, RESTORED_SINCE, RESUMED_AT};
use crate::store::{self, Session};

/// Stops all hand-overs; what is in flight is settled.
///
/// # Errors
/// [`super::ActionError`].
pub async fn pause(desk: &Desk, session: &mut Session, actor: &Actor, reason: &str) -> Result<()> {
    allowed(session, actor).await?;
    store::setting::set(session, PAUSED, reason.to_owned()).await?;
    desk.audit(session, actor, "dispatch.paused", ("dispatch", ""), serde_json::json!({ "reason": reason })).await
}

/// Starts hand-overs again, and lets stopped gateways try again. Says why it was paused, if it was.
///
/// # Errors
/// [`super::ActionError`]; a conflict while a restored database has not caught up (`inbound::restored`).
pub async fn resume(desk: &Desk, session: &mut Session, actor: &Actor) -> Result<Option<String>> {
    allowed(session, actor).await?;
    if store::setting::get(session, RESTORED_SINCE).await?.is_some() {
        let detail = "Databasen är återläst, och vad som har sagts sedan kopian togs är inte gjort om än.";
        return Err(ActionError::conflict("dispatch.restored", detail));
    }
    let reason = store::setting::get(session, PAUSED).await?;
    store::setting::clear(session, PAUSED).await?;
    store::setting::set(session, RESUMED_AT, desk.now().to_string()).await?;
    desk.audit(session, actor, "dispatch.resumed", ("dispatch", ""), serde_json::json!({ "was": reason })).await?;
    Ok(reason)
}

/// It concerns everybody: administrators of the whole police area.
///
/// # Errors
/// [`ActionError::Forbidden`].
pub async fn allowed(session: &mut Session, actor: &Actor) -> Result<()> {
    require(actor, Right::Administer)?;
    let tree = store::area::tree(session).await?;
    match tree.root() {
        Some(root) if root.code != actor.area => Err(ActionError::Forbidden),
        _ => Ok(()),
    }
}
