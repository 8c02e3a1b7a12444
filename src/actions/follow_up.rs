//! Owns follow-ups: the alert that closes, corrects or adds to another.
//!
//! Invariants: it goes to exactly those whose phone may have the first, deputies who took it over among them; one that closes stops the rest of the first in
//! the same transaction and can never be overtaken by it.

use super::alert::{self, Checked};
use super::alert_text::{Draft, audit_detail, compose, in_frame};
use super::alert_view::{self, AlertView};
use super::freezing::{NEVER, refuse_under_way};
use super::{ActionError, Desk, Result, alert_email, deputy_takeover, message, require};
use crate::domain::alert::{AlertKind, Spread};
use crate::domain::audience::AlertAudience;
use crate::domain::delivery::DeliveryState;
use crate::domain::message::FollowUpKind;
use crate::domain::operator::{Actor, Right};
use crate::domain::sms_text::SmsText;
use crate::render::sms::{FRAME_ALL_CLEAR, FRAME_CORRECTION, FRAME_UPDATE};
use crate::store::coverage::First;
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
    /// Whether only those get it who have not said that they passed the first on; for `update`.
    pub silent_only: bool,
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
    let (first, following, checked) = begin(desk, session, actor, (first_id, new)).await?;
    let number = store::setting::next_message_number(session).await?;
    let (id, at) = (desk.id(), desk.now());
    let draft = |audience| Draft {
        id: id.clone(),
        number,
        revision: 1,
        at,
        checked: &checked,
        audience,
        follows: Some(&following),
    };
    // The row must stand before its deliveries, and its audience is known only after them.
    let mut message = compose(desk, actor, draft(AlertAudience::default()))?;
    store::message::insert(session, &message).await?;
    let first = First { message_id: &first.id, number: first.number, silent_only: new.silent_only };
    let whole = store::coverage::ids_of(first.number);
    let mut deliveries = store::coverage::follow_up(session, &message::freeze(&message, at), first, whole).await?;
    deliveries += store::coverage::follow_up_takeovers(session, &message::freeze(&message, at), first).await?;
    refuse_nobody(deliveries)?;
    let audience = store::coverage::count(session, &id).await?;
    message = compose(desk, actor, draft(audience))?;
    store::message::revise(session, &message).await?;
    store::delivery::reschedule(session, &id, message.sends_at.unwrap_or(NEVER)).await?;
    store::settle::start_counting(session, &id, DeliveryState::Queued, deliveries).await?;
    write(session, actor, (&message, &checked)).await?;
    log(desk, session, actor, (&message, &checked, audience), &following).await?;
    alert_view::load(desk, session, &id).await
}

/// Checks a follow-up; one that closes stops the rest of the first.
pub(super) async fn begin(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (first_id, new): (&str, &NewFollowUp),
) -> Result<(Message, Following, Checked)> {
    require(actor, Right::SendAlerts)?;
    let kind = FollowUpKind::from_code(&new.kind).ok_or_else(|| {
        ActionError::field("kind", "field.invalid", "Tillåtna värden: all_clear, correction, update.")
    })?;
    if new.silent_only && kind.closes() {
        let detail = "Det som avslutar eller rättar går till alla. Välj kind update.";
        return Err(ActionError::field("only", "field.invalid", detail));
    }
    let tree = store::area::tree(session).await?;
    let first = alert::found(session, actor, &tree, first_id).await?;
    refuse_under_way(session, first_id).await?;
    let checked = check(desk, session, actor, (&first, new)).await?;
    if kind.closes() {
        message::stop_rest(desk, session, actor, first.clone()).await?;
        alert_email::stop_rest(desk, session, actor, &first.id).await?;
        deputy_takeover::stop_rest(desk, session, actor, &first.id).await?;
    }
    let following = Following { first: first.id.clone(), first_at: first.created_at, kind };
    Ok((first, following, checked))
}

/// Refuses a follow-up that nobody would get.
pub(super) fn refuse_nobody(deliveries: u64) -> Result<()> {
    if deliveries > 0 {
        return Ok(());
    }
    Err(ActionError::conflict(
        "alert.nobody_has_it",
        "Ingen telefon kan ha fått det första larmet. Stoppa det i stället.",
    ))
}

/// Writes what belongs to a follow-up beyond its audience. Its areas are those of the first as they were named: who gets it
/// does not follow from them.
pub(super) async fn write(
    session: &mut Session,
    actor: &Actor,
    (message, checked): (&Message, &Checked),
) -> Result<()> {
    alert::put_own_fields(session, message, checked).await?;
    let areas = checked.areas.iter().map(|code| (code.as_str(), true));
    store::message::set_areas(session, &message.id, areas).await?;
    message::add_written(session, actor, message).await
}

/// Writes the audit row of a new follow-up.
pub(super) async fn log(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (message, checked, audience): (&Message, &Checked, AlertAudience),
    following: &Following,
) -> Result<()> {
    let mut detail = audit_detail(message, checked, audience);
    detail["follows"] = serde_json::json!(following.first);
    detail["kind"] = serde_json::json!(following.kind.code());
    desk.audit(session, actor, "alert.followed_up", ("alert", &message.id), detail).await
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
    let deputies = store::coverage::count_takeovers(session, first_id, new.silent_only).await?;
    Ok(FollowUpPreview {
        sms: in_frame(desk, &checked, (desk.now(), until), Some(&following))?,
        recipients: deputies
            + match new.silent_only {
                true => store::spread::silent(session, first_id).await?,
                false => store::audience::count_follow_up(session, first_id).await?,
            },
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
        watched_by: Some(own.watched_by),
        duty_number: Some(own.duty_number),
    };
    let mut checked = alert::check(desk, actor, &tree, &wanted)?;
    checked.drill = own.drill == 1;
    Ok(checked)
}
