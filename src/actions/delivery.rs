//! Owns what people do to single deliveries: looking at them, and deciding about those in doubt.

use super::{ActionError, Desk, Result, holds_areas, require};
use crate::domain::delivery::DeliveryState;
use crate::domain::operator::{Actor, Right};
use crate::store::attempt::Attempt;
use crate::store::delivery::{Delivery, Event, Locked, Step, Which};
use crate::store::receipt::Receipt;
use crate::store::settle::Batch;
use crate::store::{self, Session};

/// What a person decides about a delivery in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InDoubtDecision {
    /// Hand it over again, at the risk of a second copy.
    Resend,
    /// Leave it.
    GiveUp,
}

impl InDoubtDecision {
    /// The decision with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "resend" => Some(Self::Resend),
            "give_up" => Some(Self::GiveUp),
            _ => None,
        }
    }
}

/// A delivery with everything that happened to it.
#[derive(Debug, Clone)]
pub struct DeliveryView {
    /// The delivery.
    pub delivery: Delivery,
    /// Its attempts in order.
    pub attempts: Vec<Attempt>,
    /// Its changes in order.
    pub events: Vec<Event>,
    /// Reports on it in order.
    pub receipts: Vec<Receipt>,
    /// Ids of contact persons whose deputy it goes to, if any.
    pub stands_in_for: Vec<String>,
}

/// A delivery of the actor's areas. The look is logged, since it shows a person's address.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn get(desk: &Desk, session: &mut Session, actor: &Actor, id: i64) -> Result<DeliveryView> {
    require(actor, Right::ReadDeliveries)?;
    let delivery = store::delivery::get(session, id).await?.ok_or(ActionError::NotFound)?;
    check_message(session, actor, &delivery.message_id, false).await?;
    let view = DeliveryView {
        attempts: store::attempt::of_delivery(session, id).await?,
        events: store::delivery::events(session, id).await?,
        receipts: store::receipt::of_delivery(session, id).await?,
        stands_in_for: store::deputy::of_delivery(session, id).await?,
        delivery,
    };
    let detail = serde_json::json!({ "persons": 1 });
    desk.audit(session, actor, "delivery.read", ("delivery", &id.to_string()), detail).await?;
    Ok(view)
}

/// A page of a message's deliveries in the order of hand-over; logged, since it shows addresses.
///
/// # Errors
/// [`ActionError`].
pub async fn page(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (message_id, state): (&str, &str),
    (after, limit): (i64, i64),
) -> Result<(Vec<Delivery>, Option<i64>)> {
    require(actor, Right::ReadDeliveries)?;
    check_message(session, actor, message_id, false).await?;
    if !state.is_empty() && DeliveryState::from_code(state).is_none() {
        let allowed: Vec<&str> = DeliveryState::ALL.into_iter().map(DeliveryState::code).collect();
        return Err(ActionError::field("state", "field.invalid", format!("Tillåtna värden: {}.", allowed.join(", "))));
    }
    let mut rows = store::delivery::page(session, message_id, state, after, limit + 1).await?;
    let has_more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let detail = serde_json::json!({ "persons": rows.len() });
    desk.audit(session, actor, "deliveries.read", ("message", message_id), detail).await?;
    let next = rows.last().map(|row| row.id).filter(|_| has_more);
    Ok((rows, next))
}

/// Decides about one delivery in doubt.
///
/// # Errors
/// [`ActionError::Conflict`] when it is not in doubt any more.
pub async fn resolve(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    id: i64,
    decision: InDoubtDecision,
) -> Result<DeliveryView> {
    let held = store::delivery::lock(session, &[id]).await?.pop().ok_or(ActionError::NotFound)?;
    check_message(session, actor, &held.message_id, true).await?;
    if held.state() != DeliveryState::InDoubt {
        return Err(ActionError::conflict("delivery.not_in_doubt", "Leveransen är inte osäker längre."));
    }
    decide(desk, session, actor, vec![held], decision).await?;
    get(desk, session, actor, id).await
}

/// Decides about everything in doubt of one message; says how many.
///
/// # Errors
/// [`ActionError`].
pub async fn resolve_all(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    message_id: &str,
    decision: InDoubtDecision,
) -> Result<usize> {
    require(actor, Right::ReadDeliveries)?;
    check_message(session, actor, message_id, true).await?;
    let mut decided = 0;
    loop {
        let held = store::delivery::lock_set(session, Which::InDoubtOf(message_id), 5_000).await?;
        if held.is_empty() {
            break;
        }
        decided += decide(desk, session, actor, held, decision).await?;
    }
    let detail = serde_json::json!({ "deliveries": decided, "as": format!("{decision:?}") });
    desk.audit(session, actor, "deliveries.in_doubt_decided", ("message", message_id), detail).await?;
    Ok(decided)
}

async fn decide(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    held: Vec<Locked>,
    decision: InDoubtDecision,
) -> Result<usize> {
    let now = desk.now();
    let steps = held.into_iter().map(|held| step(held, decision, now)).collect();
    let batch_id = desk.id();
    let batch = Batch { id: &batch_id, actor: &actor.id, action: "deliveries.in_doubt_resolved", now };
    let changes = store::delivery::apply(session, &batch, steps).await?;
    crate::telemetry::count_changes(&changes);
    Ok(changes.len())
}

fn step(held: Locked, decision: InDoubtDecision, now: i64) -> Step {
    let has_expired = held.expires_at <= now;
    match decision {
        InDoubtDecision::GiveUp => Step::new(held, DeliveryState::Failed, Some("in_doubt.given_up")),
        InDoubtDecision::Resend if has_expired => Step::new(held, DeliveryState::Expired, Some("message.expired")),
        InDoubtDecision::Resend => {
            let mut step = Step::new(held, DeliveryState::Queued, Some("in_doubt.resent"));
            step.due_at = Some(now);
            step
        }
    }
}

/// Refuses a message outside the actor's areas, and one of a kind that the actor may not read (or send, to decide).
async fn check_message(session: &mut Session, actor: &Actor, message_id: &str, decides: bool) -> Result<()> {
    let message = store::message::get(session, message_id).await?.ok_or(ActionError::NotFound)?;
    let tree = store::area::tree(session).await?;
    if let Some(area) = store::reply::area_of(session, message_id).await? {
        let is_within = if area.is_empty() {
            tree.root().is_none_or(|root| root.code == actor.area)
        } else {
            tree.is_within(&area, &actor.area)
        };
        return if is_within { require(actor, Right::WorkInbox) } else { Err(ActionError::NotFound) };
    }
    // What follows an alert by another way, such as to deputies, is the alert's.
    let alert = message.follows.as_deref().filter(|_| message.kind == "test");
    let areas = store::message::chosen_areas(session, alert.unwrap_or(message_id)).await?;
    if !holds_areas(actor, &tree, &areas) {
        return Err(ActionError::NotFound);
    }
    let kind = if alert.is_some() { "alert" } else { message.kind.as_str() };
    let right = match (kind, decides) {
        ("alert", false) => Right::ReadAlerts,
        ("alert", true) => Right::SendAlerts,
        (_, false) => Right::ReadLetters,
        (_, true) => Right::SendLetters,
    };
    require(actor, right)
}
