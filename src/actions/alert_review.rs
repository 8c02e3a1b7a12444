//! Owns the second pair of eyes: approving, returning, and sending without when it cannot wait.
//!
//! Invariant: an approval is bound to one revision, its content and its audience, and never given by who wrote it.

use super::alert;
use super::alert_view::{self, AlertView};
use super::freezing::NEVER;
use super::message::{add_act, reason_to_skip, refuse_own};
use super::unsealing::release_first;
use super::{ActionError, Desk, Result, notice, require};
use crate::domain::message::MessageState;
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::clean_line;
use crate::store::message::Message;
use crate::store::{self, Session};

/// Approves a revision; the alert goes after its undo window.
///
/// # Errors
/// [`ActionError`].
pub async fn approve(desk: &Desk, session: &mut Session, actor: &Actor, id: &str, revision: i64) -> Result<AlertView> {
    let message = awaiting(session, actor, id, Some(revision)).await?;
    refuse_own(session, actor, &message, "alert.own_revision").await?;
    release(desk, session, actor, message, ("approved", "")).await?;
    desk.audit(session, actor, "alert.approved", ("alert", id), serde_json::json!({ "revision": revision })).await?;
    alert_view::load(desk, session, id).await
}

/// Returns a revision to who wrote it.
///
/// # Errors
/// [`ActionError`].
pub async fn return_(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (id, revision): (&str, i64),
    reason: &str,
) -> Result<AlertView> {
    let message = awaiting(session, actor, id, Some(revision)).await?;
    refuse_own(session, actor, &message, "alert.own_revision").await?;
    let now = desk.now();
    store::message::set_state(session, &message, MessageState::Draft, now).await?;
    add_act(session, actor, &message, ("returned", &clean_line(reason)), now).await?;
    desk.audit(session, actor, "alert.returned", ("alert", id), serde_json::json!({ "revision": revision })).await?;
    alert_view::load(desk, session, id).await
}

/// Sends an alert that awaits approval without one. The administrators are told.
///
/// # Errors
/// [`ActionError`].
pub async fn send_unreviewed(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    id: &str,
    reason: &str,
) -> Result<AlertView> {
    require(actor, Right::SendAlerts)?;
    let reason = reason_to_skip(reason)?;
    let message = awaiting(session, actor, id, None).await?;
    let revision = message.revision;
    release(desk, session, actor, message, ("unreviewed", &reason)).await?;
    let text = unreviewed_text(desk, actor, id, &reason);
    notice::to_administrators(desk, session, actor, ("Larm skickat utan granskning", &text)).await?;
    let detail = serde_json::json!({ "revision": revision, "report_to": "admin" });
    desk.audit(session, actor, "alert.sent_unreviewed", ("alert", id), detail).await?;
    tracing::warn!(alert = id, actor = actor.id, "an alert was sent without the review it needed");
    alert_view::load(desk, session, id).await
}

/// What administrators are told; neither the alert's text nor anybody who gets it.
fn unreviewed_text(desk: &Desk, actor: &Actor, id: &str, reason: &str) -> String {
    let at = desk.clock.now().to_zoned(desk.config.server.zone()).strftime("%Y-%m-%d kl. %H.%M");
    format!(
        "Ett larm som väntade på granskning har skickats utan den.\n\nLarm: {id}\nSkickat av: {} (roll {})\nTid: {at}\n\
         Skäl: {reason}\n\nTitta på larmet i grannpost och följ upp med den som skickade det.\n\n\
         Det här brevet är skrivet av grannpost och går till alla administratörer.\n",
        actor.id,
        actor.role.code(),
    )
}

/// The alert, when it awaits approval in this revision.
async fn awaiting(session: &mut Session, actor: &Actor, id: &str, revision: Option<i64>) -> Result<Message> {
    if revision.is_some() {
        require(actor, Right::Approve)?;
    }
    let tree = store::area::tree(session).await?;
    let message = alert::locked(session, actor, &tree, id).await?;
    if message.state() != MessageState::AwaitingApproval {
        return Err(ActionError::conflict("alert.not_awaiting_approval", "Larmet väntar inte på granskning."));
    }
    if revision.is_some_and(|revision| revision != message.revision) {
        let detail = format!("Larmet har ändrats. Granska version {}.", message.revision);
        return Err(ActionError::conflict("alert.revision_changed", detail));
    }
    Ok(message)
}

/// Lets an alert go.
async fn release(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    mut message: Message,
    (act, reason): (&'static str, &str),
) -> Result<()> {
    let now = desk.now();
    if message.expires_at.unwrap_or(NEVER) <= now {
        return Err(ActionError::conflict("alert.expired", "Larmets sluttid har gått ut. Gör en ny version."));
    }
    let sends_at = message.send_at.unwrap_or(now).max(now + message.undo_seconds * 1000);
    message.sends_at = Some(sends_at);
    store::message::set_state(session, &message, MessageState::Queued, now).await?;
    if !release_first(session, &desk.clock, &message.id).await? {
        store::delivery::reschedule(session, &message.id, sends_at).await?;
    }
    add_act(session, actor, &message, (act, reason), now).await
}
