//! Owns what the program itself writes to those who work with it.
//!
//! It goes the way of every message, so that its outcome is known like any other's. Invariants: it is queued in the
//! transaction of what it tells; it holds no text of an alert and no contact person.

use super::{Desk, Result, message};
use crate::domain::coverage::{Coverage, Crowd};
use crate::domain::delivery::DeliveryState;
use crate::domain::operator::{Actor, Role};
use crate::store::coverage::Freeze;
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
    let number = store::setting::next_message_number(session).await?;
    let message = message::own(desk, actor, number, (format!("{subject}\n{text}"), desk.now() + LASTS_MS));
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
