//! Owns what the program itself writes to those who work with it.
//!
//! It goes the way of every message, so that its outcome is known like any other's. Invariants: it is queued in the
//! transaction of what it tells; it holds no text of an alert and no contact person.

use super::{Desk, Result};
use crate::domain::coverage::{Coverage, Crowd};
use crate::domain::delivery::DeliveryState;
use crate::domain::message::{MessageState, priority};
use crate::domain::operator::{Actor, Role};
use crate::store::coverage::Freeze;
use crate::store::message::Message;
use crate::store::{self, Session};

/// An administrator reads it at the latest after a weekend: 72 hours.
const LASTS_MS: i64 = 72 * 3600 * 1000;

/// Queues an e-mail to every enabled administrator. Without mail, or without administrators who sign in, the log has to do.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn to_administrators(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (subject, text): (&str, &str),
) -> Result<()> {
    let operators = store::operator::list(session).await?;
    let admins = operators.iter().filter(|o| o.role == Role::Admin.code() && o.disabled_at.is_none());
    let addresses: Vec<&str> = admins.map(|admin| admin.email.as_str()).collect();
    if desk.config.mail.url.is_empty() || addresses.is_empty() {
        tracing::warn!("there is no administrator who could be told by e-mail");
        return Ok(());
    }
    to(desk, session, actor, (&addresses, subject, text)).await
}

/// Queues an e-mail from the program to these addresses.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn to(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (addresses, subject, text): (&[&str], &str, &str),
) -> Result<()> {
    let message = message(desk, actor, store::setting::next_message_number(session).await?, (subject, text));
    store::message::insert(session, &message).await?;
    let freeze = Freeze {
        message_id: &message.id,
        number: message.number,
        priority: message.priority,
        due_at: message.created_at,
        expires_at: message.created_at + LASTS_MS,
        now: message.created_at,
    };
    let coverage = Coverage::of(Crowd::default(), addresses);
    let deliveries = store::coverage::write(session, &freeze, &coverage).await?;
    store::settle::start_counting(session, &message.id, DeliveryState::Queued, deliveries).await?;
    let detail = serde_json::json!({ "recipients": deliveries });
    desk.audit(session, actor, "notice.queued", ("notice", &message.id), detail).await
}

/// A message of kind `test` with a text of its own: first line the subject, the rest what is read.
fn message(desk: &Desk, actor: &Actor, number: i64, (subject, text): (&str, &str)) -> Message {
    let now = desk.now();
    let body = format!("{subject}\n{text}");
    Message {
        id: desk.id(),
        number,
        kind: "test".to_owned(),
        state: MessageState::Queued.code().to_owned(),
        priority: priority::ALERT,
        revision: 1,
        content_hash: store::settle::digest_of_lines([body.as_str()].into_iter()),
        body,
        numeric_sender: 0,
        audience: "{}".to_owned(),
        reach_persons: 0,
        reach_households: 0,
        follows: None,
        follow_up_kind: None,
        send_at: None,
        sends_at: Some(now),
        undo_seconds: 0,
        expires_at: Some(now + LASTS_MS),
        stopped_at: None,
        handed_over_at: None,
        done_at: None,
        created_by: actor.id.clone(),
        created_at: now,
        changed_at: now,
    }
}
