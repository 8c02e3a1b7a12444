//! Owns follow-ups: the alert that closes, corrects or adds to another.
//!
//! Invariants: it goes to exactly those whose phone may have the first; one that closes stops the rest of the first in
//! the same transaction and can never be overtaken by it.

use super::alert::{self, Checked};
use super::alert_view::{self, AlertView};
use super::{ActionError, Desk, Result, require};
use crate::domain::alert::{AlertKind, Spread};
use crate::domain::audience::AlertAudience;
use crate::domain::delivery::DeliveryState;
use crate::domain::message::FollowUpKind;
use crate::domain::operator::{Actor, Right};
use crate::domain::sms_text::SmsText;
use crate::render::sms::{FRAME_ALL_CLEAR, FRAME_CORRECTION, FRAME_UPDATE};
use crate::store::message::Message;
use crate::store::{self, Session};

/// A follow-up as somebody wants it.
#[derive(Debug, Clone, Default)]
pub struct NewFollowUp {
    /// `all_clear`, `correction` or `update`.
    pub kind: String,
    /// What was typed.
    pub text: String,
    /// Who decided; the first one's when missing.
    pub decided_by: Option<String>,
    /// Validity; the configured one when missing.
    pub expires_in_minutes: Option<i64>,
    /// A shorter undo window.
    pub undo_seconds: Option<i64>,
}

/// What a follow-up follows.
#[derive(Debug, Clone)]
pub(super) struct Following {
    pub first: String,
    pub first_at: i64,
    pub kind: FollowUpKind,
}

impl Following {
    pub(super) fn frame(&self) -> &'static str {
        match self.kind {
            FollowUpKind::AllClear => FRAME_ALL_CLEAR,
            FollowUpKind::Correction => FRAME_CORRECTION,
            FollowUpKind::Update => FRAME_UPDATE,
        }
    }
}

/// Makes a follow-up of the alert `first_id`.
///
/// # Errors
/// [`ActionError`]; nothing is made or stopped then.
pub async fn create(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    first_id: &str,
    new: &NewFollowUp,
) -> Result<AlertView> {
    require(actor, Right::SendAlerts)?;
    let kind = FollowUpKind::from_code(&new.kind).ok_or_else(|| {
        ActionError::field("kind", "field.invalid", "Tillåtna värden: all_clear, correction, update.")
    })?;
    let tree = store::area::tree(session).await?;
    let first = alert::found(session, actor, &tree, first_id).await?;
    let checked = check(desk, session, actor, (&first, new)).await?;
    if kind.closes() {
        alert::stop_rest(desk, session, actor, first.clone()).await?;
    }
    let following = Following { first: first.id.clone(), first_at: first.created_at, kind };
    let number = store::setting::next_message_number(session).await?;
    let id = desk.id();
    // The row must stand before its deliveries, and its audience is known only after them.
    let ids = (id.clone(), number, 1);
    let mut message = alert::compose(desk, actor, ids.clone(), &checked, AlertAudience::default(), Some(&following))?;
    store::message::insert(session, &message).await?;
    alert::put_own_fields(session, &message, &checked).await?;
    store::message::set_areas(session, &id, checked.areas.iter().map(|code| (code.as_str(), true))).await?;
    let deliveries = store::audience::freeze_follow_up(session, &first.id, &alert::freeze(desk, &message)).await?;
    if deliveries == 0 {
        return Err(ActionError::conflict(
            "alert.nobody_has_it",
            "Ingen telefon kan ha fått det första larmet. Stoppa det i stället.",
        ));
    }
    let audience = store::audience::count_frozen(session, &id).await?;
    message = alert::compose(desk, actor, ids, &checked, audience, Some(&following))?;
    store::message::revise(session, &message).await?;
    store::delivery::reschedule(session, &id, message.sends_at.unwrap_or(alert::NEVER)).await?;
    store::settle::start_counting(session, &id, DeliveryState::Queued, deliveries).await?;
    alert::add_written(session, actor, &message).await?;
    let mut detail = alert::audit_detail(&message, &checked, audience);
    detail["follows"] = serde_json::json!(first.id);
    detail["kind"] = serde_json::json!(kind.code());
    desk.audit(session, actor, "alert.followed_up", ("alert", &id), detail).await?;
    alert_view::load(desk, session, &id).await
}

/// What a follow-up would be, before it is made.
#[derive(Debug, Clone)]
pub struct FollowUpPreview {
    /// The text as phones would get it.
    pub sms: SmsText,
    /// How many phones may have the first.
    pub recipients: i64,
}

/// What a follow-up of the alert `first_id` would be. An unfinished one is shown as far as it goes.
///
/// # Errors
/// [`ActionError`].
pub async fn preview(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    first_id: &str,
    new: &NewFollowUp,
) -> Result<FollowUpPreview> {
    require(actor, Right::SendAlerts)?;
    let kind = FollowUpKind::from_code(&new.kind).ok_or(ActionError::NotFound)?;
    let tree = store::area::tree(session).await?;
    let first = alert::found(session, actor, &tree, first_id).await?;
    let decided_by = new.decided_by.clone().filter(|text| !text.trim().is_empty()).unwrap_or_else(|| "?".to_owned());
    let new = NewFollowUp { decided_by: Some(decided_by), ..new.clone() };
    let checked = check(desk, session, actor, (&first, &new)).await?;
    let following = Following { first: first.id.clone(), first_at: first.created_at, kind };
    let until = desk.now() + checked.expires_in_minutes * 60_000;
    Ok(FollowUpPreview {
        sms: alert::in_frame(desk, &checked, (desk.now(), until), Some(&following))?,
        recipients: store::audience::count_follow_up(session, first_id).await?,
    })
}

/// The follow-up's fields, with what it takes over from the first.
async fn check(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (first, new): (&Message, &NewFollowUp),
) -> Result<Checked> {
    let own = store::alert::get(session, &first.id).await?.ok_or(ActionError::NotFound)?;
    let tree = store::area::tree(session).await?;
    let wanted = alert::NewAlert {
        text: new.text.clone(),
        areas: store::message::chosen_areas(session, &first.id).await?,
        decided_by: new.decided_by.clone().unwrap_or(own.decided_by),
        kind: Some(AlertKind::from_code(&own.kind).unwrap_or(AlertKind::Observation).code().to_owned()),
        spread: Some(Spread::from_code(&own.spread).unwrap_or(Spread::ContactPersonOnly).code().to_owned()),
        expires_in_minutes: new.expires_in_minutes,
        send_at: None,
        undo_seconds: new.undo_seconds,
        // The first has passed the rule of who may drill where; the mark goes with it.
        drill: false,
        expected_recipients: None,
    };
    let mut checked = alert::check(desk, actor, &tree, &wanted)?;
    checked.drill = own.drill == 1;
    Ok(checked)
}
