//! Owns that deputies take an alert over from those who have not said in time that they passed it on.
//!
//! It is a message of its own that follows the alert and is neither alert nor letter; its deliveries cover nobody. Invariants:
//! nobody is stood in for twice, no number gets an alert twice, and an alert that is over is not sent any more.

use serde_json::json;

use super::deputy::{calls, rows, stand_ins, without_taken};
use super::message;
use super::reply::program;
use super::{Desk, Result};
use crate::domain::coverage::{FIRST_TAKEOVER, POSITIONS};
use crate::domain::delivery::DeliveryState;
use crate::domain::operator::Actor;
use crate::store::coverage::add_deliveries;
use crate::store::deputy::Absence;
use crate::store::message::Message;
use crate::store::{self, Session};

/// Sends what has waited too long to deputies; says for how many persons. Nothing while `replies.deputy_after_minutes` is 0.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn sweep(desk: &Desk) -> Result<usize> {
    let after = i64::from(desk.config.replies.deputy_after_minutes) * 60_000;
    if after == 0 {
        return Ok(0);
    }
    let now = desk.now();
    let at = (now, now - after);
    let under_way = {
        let mut session = desk.store.read().await?;
        let mut found = Vec::new();
        for id in store::deputy::under_way(&mut session, at).await? {
            if !overdue(&mut session, &id, at).await?.is_empty() {
                found.push(id);
            }
        }
        found
    };
    let mut persons = 0;
    for id in under_way {
        let mut session = desk.store.begin().await?;
        persons += take_over(desk, &mut session, &id, at).await?;
        session.commit().await?;
    }
    if persons > 0 {
        desk.wakeup.ring();
    }
    Ok(persons)
}

/// Stops what has not gone to deputies yet: the alert was stopped, corrected or is over.
pub(super) async fn stop_rest(desk: &Desk, session: &mut Session, actor: &Actor, alert_id: &str) -> Result<()> {
    // A takeover under way is waited for; one that comes later sees what is being done here. After the alert's deliveries, as
    // everywhere.
    store::message::hold(session, alert_id).await?;
    for takeover in store::deputy::takeovers(session, alert_id).await? {
        if let Some(message) = store::message::get(session, &takeover.id).await? {
            message::stop_rest(desk, session, actor, message).await?;
        }
    }
    Ok(())
}

async fn overdue(session: &mut Session, id: &str, at: (i64, i64)) -> Result<Vec<Absence>> {
    let absences = store::deputy::overdue(session, id, at).await?;
    without_taken(session, id, absences).await
}

async fn take_over(desk: &Desk, session: &mut Session, id: &str, at: (i64, i64)) -> Result<usize> {
    // Locks the alert: whoever comes second, or after one that closes it, finds nothing left.
    let Some(first) = store::message::get_locked(session, id).await? else { return Ok(0) };
    if !store::deputy::under_way(session, at).await?.contains(&first.id) {
        return Ok(0);
    }
    // A deputy may be sealed still, to whom it goes without this.
    if store::sealed_audience::is_left(session, id).await? {
        return Ok(0);
    }
    let absences = overdue(session, id, at).await?;
    if absences.is_empty() {
        return Ok(0);
    }
    let sent: i64 = store::deputy::takeovers(session, id).await?.iter().map(|one| one.deliveries).sum();
    let calls = calls(&absences, FIRST_TAKEOVER + sent..POSITIONS);
    let message = message_of(desk, session, &first).await?;
    store::message::insert(session, &message).await?;
    let freeze = message::freeze(&message, message.created_at);
    let deliveries = add_deliveries(session, &freeze, &rows(message.number, &calls)).await?;
    let stand_ins = stand_ins(message.number, &calls);
    // Of the alert, not of this message: that is what the deputies have, answer and have passed on.
    store::deputy::add(session, id, &stand_ins, message.created_at).await?;
    store::settle::start_counting(session, &message.id, DeliveryState::Queued, deliveries).await?;
    let detail = json!({ "alert": id, "persons": stand_ins.len(), "deputies": deliveries });
    let object = ("alert_takeover", message.id.as_str());
    desk.audit(session, &program(), "alert.deputies_took_over", object, detail).await?;
    Ok(stand_ins.len())
}

/// A message with the text of `first`, as long as it holds.
async fn message_of(desk: &Desk, session: &mut Session, first: &Message) -> Result<Message> {
    let number = store::setting::next_message_number(session).await?;
    let body = (first.body.clone(), first.expires_at.unwrap_or_else(|| desk.now()));
    let own = message::own(desk, &program(), number, body);
    Ok(Message { follows: Some(first.id.clone()), numeric_sender: first.numeric_sender, ..own })
}
