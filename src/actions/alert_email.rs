//! Owns writing an alert by e-mail to those whose phone is known not to have it: when an operator asks for it, or by itself after a
//! while.
//!
//! Invariants: nobody gets it twice, nobody who may have the SMS gets it, and an alert that is over is not sent any more. What goes by
//! itself goes neither during a pause nor for an alert that was out before one: a database that was copied back does not know to
//! whom it has written since.

use super::reply::program;
use super::unsealing::refuse_unfinished;
use super::{ActionError, Desk, Result, alert, message, require};
use crate::domain::coverage::{Candidate, Coverage, Crowd};
use crate::domain::delivery::{Channel, DeliveryState};
use crate::domain::message::MessageState;
use crate::domain::operator::{Actor, Right};
use crate::store::alert_email::Reader;
use crate::store::coverage::Freeze;
use crate::store::message::Message;
use crate::store::setting::{PAUSED, RESUMED_AT};
use crate::store::{self, Session};

/// What follows the text of the alert.
const WHY: &str = "Vi skickar det här med e-post eftersom sms:et inte har nått din telefon. Har du bytt nummer? Svara på det här \
                   brevet med ditt nya.";

/// Queues the e-mails; says how many persons are written to.
///
/// # Errors
/// [`ActionError::NotFound`] for another area's alert, [`ActionError::Conflict`] when the alert is over, nobody is left to
/// write to, or no mail relay is configured.
pub async fn send(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<i64> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    // Locks the alert: whoever comes second finds nobody left.
    let first = alert::locked(session, actor, &tree, id).await?;
    let is_out = matches!(first.state(), MessageState::HandedOver | MessageState::Done) && first.stopped_at.is_none();
    let following = store::alert::following(session, id).await?;
    if !is_out || following.iter().any(|one| one.closes()) {
        let detail = "Utskicket är inte ute, eller har rättats eller avslutats. Det skickas inte med e-post.";
        return Err(ActionError::conflict("alert.not_out", detail));
    }
    refuse_unfinished(session, id).await?;
    let now = desk.now();
    if first.expires_at.unwrap_or(now) <= now {
        return Err(ActionError::conflict(
            "alert.over",
            "Utskicket har slutat gälla. Skicka ny information i stället.",
        ));
    }
    if desk.config.mail.url.is_empty() {
        return Err(ActionError::conflict("mail.not_configured", "Ingen e-postserver är inställd."));
    }
    let readers = store::alert_email::readers(session, id, now).await?;
    if readers.is_empty() {
        let detail = "Det finns ingen kvar att skriva till. De kan redan ha fått e-post.";
        return Err(ActionError::conflict("alert.nobody_by_email", detail));
    }
    write(desk, session, actor, (first, &readers)).await
}

/// Writes to those of alerts that are out of whom it has been known for a while that their phone has nothing; says to how many persons.
/// Nothing while `alerts.email_instead_after_seconds` is 0. Who turns up later is written to in a later round: all who are known
/// then, so that there is at most one message in that time. Who has an alert by e-mail only hears in the same way of what follows it.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn sweep(desk: &Desk) -> Result<i64> {
    let now = desk.now();
    let Some(until) = waited_since(desk, now) else { return Ok(0) };
    let mut session = desk.store.read().await?;
    let mut due = Vec::new();
    for id in out(&mut session, now).await? {
        if store::alert_email::is_due(&mut session, &id, (now, until)).await? {
            due.push(id);
        }
    }
    drop(session);
    let mut persons = 0;
    for id in due {
        let mut session = desk.store.begin().await?;
        persons += send_by_itself(desk, &mut session, &id, now).await?;
        session.commit().await?;
    }
    if persons > 0 {
        desk.wakeup.ring();
    }
    Ok(persons)
}

/// Whether those whose phone has nothing of this alert will be written to without anybody asking for it.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn goes_by_itself(desk: &Desk, session: &mut Session, id: &str) -> Result<bool> {
    let now = desk.now();
    match waited_since(desk, now) {
        Some(_) => Ok(out(session, now).await?.iter().any(|one| one == id)),
        None => Ok(false),
    }
}

/// The latest time at which it must have been known that a phone has nothing; `None` when nothing goes by itself.
fn waited_since(desk: &Desk, now: i64) -> Option<i64> {
    let seconds = i64::from(desk.config.alerts.email_instead_after_seconds);
    (seconds > 0 && !desk.config.mail.url.is_empty()).then(|| now - seconds * 1_000)
}

/// Alerts of which something may go by itself at `now`, Unix ms.
async fn out(session: &mut Session, now: i64) -> Result<Vec<String>> {
    if store::setting::get(session, PAUSED).await?.is_some() {
        return Ok(Vec::new());
    }
    let resumed = store::setting::get(session, RESUMED_AT).await?.and_then(|at| at.parse().ok()).unwrap_or(0);
    Ok(store::alert_email::out(session, now, resumed).await?)
}

async fn send_by_itself(desk: &Desk, session: &mut Session, id: &str, now: i64) -> Result<i64> {
    // Locks the alert: after an operator, another daemon or a correction, what was seen before is looked at again.
    let Some(first) = store::message::get_locked(session, id).await? else { return Ok(0) };
    let is_out = out(session, now).await?.contains(&first.id);
    if !is_out || store::sealed_audience::is_left(session, id).await? {
        return Ok(0);
    }
    let readers = store::alert_email::readers(session, id, now).await?;
    if readers.is_empty() {
        return Ok(0);
    }
    write(desk, session, &program(), (first, &readers)).await
}

/// Queues the e-mails of an alert to these; says to how many persons.
async fn write(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (first, readers): (Message, &[Reader]),
) -> Result<i64> {
    let now = desk.now();
    let expires_at = first.expires_at.unwrap_or(now);
    let persons = i64::try_from(readers.len()).unwrap_or(i64::MAX);
    let mut crowd = Crowd::default();
    for reader in readers {
        crowd.push(&Candidate {
            contact_person_id: &reader.contact_person_id,
            area_code: &reader.area_code,
            households: reader.households,
            channel: Channel::Email,
            address: Ok(&reader.email),
        });
    }
    let number = store::setting::next_message_number(session).await?;
    let body = format!("Information från polisen till kontaktombud\n{}\n\n{WHY}\n", first.body);
    let message = Message { follows: Some(first.id), ..message::own(desk, actor, number, (body, expires_at)) };
    store::message::insert(session, &message).await?;
    let freeze = Freeze {
        message_id: &message.id,
        number: message.number,
        priority: message.priority,
        due_at: now,
        expires_at,
        now,
    };
    let deliveries = store::coverage::write(session, &freeze, &Coverage::of(crowd, &[])).await?;
    store::settle::start_counting(session, &message.id, DeliveryState::Queued, deliveries).await?;
    let detail = serde_json::json!({ "persons": persons, "alert": message.follows });
    desk.audit(session, actor, "alert.sent_by_email", ("alert_email", &message.id), detail).await?;
    Ok(persons)
}

/// Stops e-mails that have not gone yet, since an operator wants to; says how many. Doing it twice changes nothing more.
///
/// # Errors
/// [`ActionError::NotFound`] for another area's alert.
pub async fn stop(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<i64> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    alert::locked(session, actor, &tree, id).await?;
    let waiting: i64 = store::alert_email::sent(session, id).await?.iter().map(|sent| sent.counts.waiting()).sum();
    if waiting > 0 {
        stop_rest(desk, session, actor, id).await?;
        desk.audit(session, actor, "alert.emails_stopped", ("alert", id), serde_json::json!({})).await?;
    }
    Ok(waiting)
}

/// Stops e-mails that have not gone yet: the alert they came from was corrected or is over.
///
/// # Errors
/// [`ActionError::Store`].
pub(super) async fn stop_rest(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<()> {
    // E-mails that are being written are waited for; who would write some later sees what is being done here.
    store::message::hold(session, id).await?;
    for sent in store::alert_email::sent(session, id).await? {
        if let Some(message) = store::message::get(session, &sent.id).await? {
            message::stop_rest(desk, session, actor, message).await?;
        }
    }
    Ok(())
}
