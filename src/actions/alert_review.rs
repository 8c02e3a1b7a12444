//! Owns the second pair of eyes: approving, returning, and sending without when it cannot wait.
//!
//! Invariant: an approval is bound to one revision, its content and its audience, and never given by who wrote it.

use super::alert;
use super::alert_view::{self, AlertView};
use super::freezing::{NEVER, release_first};
use super::{ActionError, Desk, Result, notice, require};
use crate::domain::message::MessageState;
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::clean_line;
use crate::store::message::{Message, Review};
use crate::store::{self, Session};

/// Approves a revision; the alert goes after its undo window.
///
/// # Errors
/// [`ActionError`].
pub async fn approve(desk: &Desk, session: &mut Session, actor: &Actor, id: &str, revision: i64) -> Result<AlertView> {
    let message = awaiting(session, actor, id, Some(revision)).await?;
    refuse_own(session, actor, &message).await?;
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
    refuse_own(session, actor, &message).await?;
    let now = desk.now();
    store::message::set_state(session, &message, MessageState::Draft, now).await?;
    add(session, actor, &message, ("returned", &clean_line(reason)), now).await?;
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
    let reason = clean_line(reason);
    if reason.is_empty() || reason.chars().count() > 1_000 {
        return Err(ActionError::field(
            "reason",
            "field.required",
            "Ange varför granskningen inte kan vänta, högst 1 000 tecken.",
        ));
    }
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

async fn refuse_own(session: &mut Session, actor: &Actor, message: &Message) -> Result<()> {
    let reviews = store::message::reviews(session, &message.id).await?;
    let wrote =
        |review: &Review| review.act == "written" && review.revision == message.revision && review.actor == actor.id;
    if reviews.iter().any(wrote) {
        return Err(ActionError::NotYou {
            code: "alert.own_revision",
            detail: "Den som har skrivit en version får inte granska den.".to_owned(),
        });
    }
    Ok(())
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
    if !release_first(session, &message.id).await? {
        store::delivery::reschedule(session, &message.id, sends_at).await?;
    }
    add(session, actor, &message, (act, reason), now).await
}

async fn add(
    session: &mut Session,
    actor: &Actor,
    message: &Message,
    (act, reason): (&str, &str),
    at: i64,
) -> Result<()> {
    let review = Review {
        revision: message.revision,
        act: act.to_owned(),
        actor: actor.id.clone(),
        content_hash: message.content_hash.clone(),
        reason: reason.to_owned(),
        at,
    };
    Ok(store::message::add_review(session, &message.id, &review).await?)
}
