//! Owns trying the way out: one SMS to a number that an administrator gives, along the way of every alert.
//!
//! Invariants: it goes to one number, says that it is a test, and its outcome is known like any other delivery's.

use super::{ActionError, Desk, FieldProblem, Result, message, require};
use crate::domain::coverage::PlannedDelivery;
use crate::domain::delivery::{Channel, DeliveryState};
use crate::domain::operator::{Actor, Right};
use crate::domain::phone::PhoneNumber;
use crate::store::coverage::{Freeze, delivery_rows};
use crate::store::{self, Session};

/// A test that does not leave within ten minutes says enough.
const LASTS_MS: i64 = 10 * 60 * 1000;

/// How a test went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// State of its delivery.
    pub state: DeliveryState,
    /// Why it did not arrive, as the gateway said it.
    pub reason: Option<String>,
}

/// Queues a test to a number in any notation; gives the id of its message.
///
/// # Errors
/// [`ActionError::Invalid`] for what is no mobile, [`ActionError::Forbidden`].
pub async fn send(desk: &Desk, session: &mut Session, actor: &Actor, number: &str) -> Result<String> {
    require(actor, Right::Administer)?;
    let number = mobile(number)?;
    let now = desk.now();
    let time = now_in_words(desk);
    let body = format!("Prov av sms-tjänsten {time}. Du behöver inte göra något.");
    let number_of_message = store::setting::next_message_number(session).await?;
    let message = message::own(desk, actor, number_of_message, (body, now + LASTS_MS));
    store::message::insert(session, &message).await?;
    let freeze = Freeze {
        message_id: &message.id,
        number: message.number,
        priority: message.priority,
        due_at: now,
        expires_at: now + LASTS_MS,
        now,
    };
    let only = PlannedDelivery {
        position: 1,
        channel: Channel::Sms,
        address: number.e164().into(),
        contact_person_id: None,
        area_code: None,
        persons: 0,
        households: 0,
        place: 1,
    };
    store::coverage::add_deliveries(session, &freeze, &delivery_rows(message.number, std::iter::once(only))).await?;
    store::settle::start_counting(session, &message.id, DeliveryState::Queued, 1).await?;
    desk.audit(session, actor, "gateway.tested", ("test", &message.id), serde_json::json!({})).await?;
    Ok(message.id)
}

/// How the test with this message id went; `None` when it is not the actor's.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn outcome(session: &mut Session, actor: &Actor, id: &str) -> Result<Option<Tested>> {
    let message = store::message::get(session, id).await?;
    if !message.is_some_and(|message| message.kind == "test" && message.created_by == actor.id) {
        return Ok(None);
    }
    let rows = store::delivery::page(session, id, "", 0, 1).await?;
    let tested = |row: store::delivery::Delivery| {
        Some(Tested { state: DeliveryState::from_code(&row.state)?, reason: row.detail.or(row.reason) })
    };
    Ok(rows.into_iter().next().and_then(tested))
}

fn mobile(text: &str) -> Result<PhoneNumber> {
    let wrong =
        |code: &'static str, detail: &str| ActionError::Invalid(vec![FieldProblem::new("number", code, detail)]);
    let number = PhoneNumber::parse(text).map_err(|error| wrong(error.code(), error.detail()))?;
    match number.can_get_sms() {
        true => Ok(number),
        false => Err(wrong("phone.no_sms", "Numret kan inte få sms. Skriv ett mobilnummer.")),
    }
}

fn now_in_words(desk: &Desk) -> String {
    let now = jiff::Timestamp::from_millisecond(desk.now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let local = now.to_zoned(desk.config.server.zone());
    format!("{} kl. {:02}.{:02}", local.date(), local.hour(), local.minute())
}
