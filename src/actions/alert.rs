//! Owns making, changing and stopping alerts.
//!
//! It does not hand anything over. Invariants: an audience is frozen in the transaction that makes the alert, is never
//! empty and never silently everybody; whoever decided stands in the ledger.

use jiff::Timestamp;

use super::alert_text::{Draft, audit_detail, compose};
use super::alert_view::{self, AlertView};
use super::alert_watch::Watch;
use super::freezing::refuse_under_way;
use super::message::{self, Stopped, add_written, area_problems, area_rows, freeze, undo_seconds};
use super::{ActionError, Desk, FieldProblem, Result, alert_email, deputy, deputy_takeover, holds_areas, require};
use crate::domain::alert::{AlertKind, LONGEST_VALIDITY_MINUTES, Spread};
use crate::domain::area::{AreaKind, AreaTree};
use crate::domain::audience::AlertAudience;
use crate::domain::coverage::{Coverage, Crowd};
use crate::domain::delivery::DeliveryState;
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::{clean_line, is_forbidden_control};
use crate::domain::sms_text::SmsText;
use crate::store::alert::AlertRow;
use crate::store::audience::Asked;
use crate::store::message::Message;
use crate::store::{self, Session};

/// How far ahead an alert may be timed: 30 days.
const FARTHEST_AHEAD_MS: i64 = 30 * 24 * 3600 * 1000;
const LONGEST_DECIDED_BY: usize = 200;

/// An alert as somebody wants it, not checked yet.
#[derive(Debug, Clone, Default)]
pub struct NewAlert {
    /// What was typed.
    pub text: String,
    /// Area codes.
    pub areas: Vec<String>,
    /// Who decided, by function.
    pub decided_by: String,
    /// `observation` (default) or `information`.
    pub kind: Option<String>,
    /// `households` or `contact_person_only` (default).
    pub spread: Option<String>,
    /// Validity; the configured one when missing.
    pub expires_in_minutes: Option<i64>,
    /// When it shall go; at once when missing.
    pub send_at: Option<Timestamp>,
    /// A shorter undo window than the configured one.
    pub undo_seconds: Option<i64>,
    /// Whether it is a drill.
    pub drill: bool,
    /// How many the sender believes get an SMS.
    pub expected_recipients: Option<i64>,
    /// Who watches the replies, by function; the configured ones when missing.
    pub watched_by: Option<String>,
    /// Number that is told when an acute reply waits; the configured one when missing.
    pub duty_number: Option<String>,
}

/// An alert whose fields are valid.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub text: SmsText,
    pub areas: Vec<String>,
    pub decided_by: String,
    pub kind: AlertKind,
    pub spread: Spread,
    pub expires_in_minutes: i64,
    pub send_at: Option<i64>,
    pub undo_seconds: i64,
    pub drill: bool,
    pub watch: Watch,
}

/// Makes an alert and freezes its audience; it goes after the undo window, or waits for approval where the settings say so.
/// For a large audience see [`super::large_alert`].
///
/// # Errors
/// [`ActionError`]; nothing is made then.
pub async fn create(desk: &Desk, session: &mut Session, actor: &Actor, new: &NewAlert) -> Result<AlertView> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    let checked = check(desk, actor, &tree, new)?;
    let number = store::setting::next_message_number(session).await?;
    let crowd = crowd(desk, session, &tree, &checked).await?;
    let audience = crowd.alert_audience();
    let draft =
        Draft { id: desk.id(), number, revision: 1, at: desk.now(), checked: &checked, audience, follows: None };
    let message = compose(desk, actor, draft)?;
    expect_recipients(new.expected_recipients, audience)?;
    store::message::insert(session, &message).await?;
    write_revision(session, actor, &tree, (&message, &checked)).await?;
    let mut deliveries =
        store::coverage::write(session, &freeze(&message, desk.now()), &Coverage::of(crowd, &[])).await?;
    deliveries += deputy::freeze(desk, session, &message).await?;
    store::settle::start_counting(session, &message.id, DeliveryState::Queued, deliveries).await?;
    log_created(desk, session, actor, (&message, &checked, audience)).await?;
    alert_view::load(desk, session, &message.id).await
}

/// An alert as it would be made now, with nothing frozen. Whoever shows it rolls the transaction back.
///
/// # Errors
/// As [`create`].
pub async fn preview(desk: &Desk, session: &mut Session, actor: &Actor, new: &NewAlert) -> Result<AlertView> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    let checked = check(desk, actor, &tree, new)?;
    let number = store::setting::next_message_number(session).await?;
    let audience = count(desk, session, &tree, &checked.areas).await?;
    let draft =
        Draft { id: desk.id(), number, revision: 1, at: desk.now(), checked: &checked, audience, follows: None };
    let message = compose(desk, actor, draft)?;
    expect_recipients(new.expected_recipients, audience)?;
    store::message::insert(session, &message).await?;
    write_revision(session, actor, &tree, (&message, &checked)).await?;
    alert_view::load(desk, session, &message.id).await
}

/// Writes the decision behind a new alert, and the audit row.
pub(super) async fn log_created(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (message, checked, audience): (&Message, &Checked, AlertAudience),
) -> Result<()> {
    store::decision::insert(
        session,
        &store::decision::Decision {
            id: desk.id(),
            outcome: "sent".to_owned(),
            decided_by: checked.decided_by.clone(),
            reason: String::new(),
            areas: serde_json::json!(checked.areas).to_string(),
            message_id: Some(message.id.clone()),
            created_by: actor.id.clone(),
            created_at: desk.now(),
        },
    )
    .await?;
    let detail = audit_detail(message, checked, audience);
    desk.audit(session, actor, "alert.created", ("alert", &message.id), detail).await
}

/// Writes a new revision of an alert that was returned or awaits approval; an approval given before is void.
///
/// # Errors
/// [`ActionError`]; the alert is as it was then.
pub async fn revise(desk: &Desk, session: &mut Session, actor: &Actor, id: &str, new: &NewAlert) -> Result<AlertView> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    let before = editable(session, actor, &tree, id).await?;
    let checked = check(desk, actor, &tree, new)?;
    let crowd = crowd(desk, session, &tree, &checked).await?;
    let audience = crowd.alert_audience();
    let draft = Draft {
        id: before.id,
        number: before.number,
        revision: before.revision + 1,
        at: desk.now(),
        checked: &checked,
        audience,
        follows: None,
    };
    let message = compose(desk, actor, draft)?;
    expect_recipients(new.expected_recipients, audience)?;
    while store::coverage::thaw(session, id, i64::MAX).await? > 0 {}
    store::freezing::end(session, id).await?;
    store::deputy::clear(session, id).await?;
    store::message::clear_counts(session, id).await?;
    store::message::revise(session, &message).await?;
    write_revision(session, actor, &tree, (&message, &checked)).await?;
    let mut deliveries =
        store::coverage::write(session, &freeze(&message, desk.now()), &Coverage::of(crowd, &[])).await?;
    deliveries += deputy::freeze(desk, session, &message).await?;
    store::settle::start_counting(session, id, DeliveryState::Queued, deliveries).await?;
    let detail = audit_detail(&message, &checked, audience);
    desk.audit(session, actor, "alert.revised", ("alert", id), detail).await?;
    alert_view::load(desk, session, id).await
}

/// Stops what is left of an alert.
///
/// # Errors
/// [`ActionError`].
pub async fn stop(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<Stopped> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    let message = found(session, actor, &tree, id).await?;
    refuse_under_way(session, id).await?;
    let stopped = message::stop(desk, session, actor, message).await?;
    alert_email::stop_rest(desk, session, actor, id).await?;
    deputy_takeover::stop_rest(desk, session, actor, id).await?;
    Ok(stopped)
}

/// An alert of the actor's areas.
pub(super) async fn found(session: &mut Session, actor: &Actor, tree: &AreaTree, id: &str) -> Result<Message> {
    let message = store::message::get(session, id).await?.filter(|message| message.kind == "alert");
    let message = message.ok_or(ActionError::NotFound)?;
    let areas = store::message::chosen_areas(session, id).await?;
    if holds_areas(actor, tree, &areas) { Ok(message) } else { Err(ActionError::NotFound) }
}

/// An alert of the actor's areas, its row held; not while its audience is being frozen.
pub(super) async fn locked(session: &mut Session, actor: &Actor, tree: &AreaTree, id: &str) -> Result<Message> {
    found(session, actor, tree, id).await?;
    let message = store::message::get_locked(session, id).await?.ok_or(ActionError::NotFound)?;
    refuse_under_way(session, id).await?;
    Ok(message)
}

/// An alert that may still be changed, its row held.
pub(super) async fn editable(session: &mut Session, actor: &Actor, tree: &AreaTree, id: &str) -> Result<Message> {
    let message = locked(session, actor, tree, id).await?;
    if message.state().is_editable() {
        return Ok(message);
    }
    Err(ActionError::conflict(
        "alert.not_editable",
        "Larmet är redan på väg. Skicka en rättelse eller ny information i stället.",
    ))
}

/// Whom an alert to `areas` would reach now.
///
/// # Errors
/// [`ActionError`] when an area is unknown, missing or not the actor's.
pub async fn audience(desk: &Desk, session: &mut Session, actor: &Actor, areas: &[String]) -> Result<AlertAudience> {
    require(actor, Right::ReadAreas)?;
    let tree = store::area::tree(session).await?;
    let problems = area_problems(&tree, areas, "alert.audience_empty");
    if !problems.is_empty() {
        return Err(ActionError::Invalid(problems));
    }
    if !holds_areas(actor, &tree, areas) {
        return Err(ActionError::Forbidden);
    }
    count(desk, session, &tree, areas).await
}

pub(super) async fn count(
    desk: &Desk,
    session: &mut Session,
    tree: &AreaTree,
    areas: &[String],
) -> Result<AlertAudience> {
    let codes = tree.subtree(areas.iter().map(String::as_str));
    Ok(store::audience::count_sms(session, codes.iter().map(String::as_str), desk.now()).await?)
}

/// Everybody in the areas of an alert.
async fn crowd(desk: &Desk, session: &mut Session, tree: &AreaTree, checked: &Checked) -> Result<Crowd> {
    let areas_json = area_rows(tree, &checked.areas);
    let asked = Asked { areas_json: &areas_json, now: desk.now() };
    Ok(store::audience::sms_crowd(session, asked).await?)
}

/// Checks every field and reports all that is wrong at once.
pub(super) fn check(desk: &Desk, actor: &Actor, tree: &AreaTree, new: &NewAlert) -> Result<Checked> {
    let mut problems = area_problems(tree, &new.areas, "alert.audience_empty");
    let text = SmsText::parse(&new.text).unwrap_or_else(|error| {
        problems.push(FieldProblem::new("text", error.code(), error.detail()));
        SmsText::default()
    });
    let decided_by = clean_line(&new.decided_by);
    if decided_by.is_empty() {
        problems.push(FieldProblem::new("decided_by", "field.required", "Ange vem som har beslutat."));
    } else if decided_by.chars().count() > LONGEST_DECIDED_BY || new.decided_by.chars().any(is_forbidden_control) {
        problems.push(FieldProblem::new("decided_by", "field.invalid", "Högst 200 tecken och inga styrtecken."));
    }
    let kind = choice(&mut problems, "kind", new.kind.as_deref(), (AlertKind::from_code, AlertKind::Observation));
    let spread = choice(&mut problems, "spread", new.spread.as_deref(), (Spread::from_code, Spread::ContactPersonOnly));
    let expires_in_minutes = new.expires_in_minutes.unwrap_or(i64::from(desk.config.alerts.expires_in_minutes));
    if !(1..=LONGEST_VALIDITY_MINUTES).contains(&expires_in_minutes) {
        problems.push(FieldProblem::new(
            "expires_in_minutes",
            "alert.validity",
            "Välj en sluttid 1 till 10080 minuter framåt.",
        ));
    }
    let send_at = new.send_at.map(Timestamp::as_millisecond);
    if send_at.is_some_and(|at| at <= desk.now() || at > desk.now() + FARTHEST_AHEAD_MS) {
        problems.push(FieldProblem::new("send_at", "alert.send_at", "Välj en tid framåt, högst 30 dagar."));
    }
    let undo_seconds = undo_seconds(actor, desk.config.alerts.undo_seconds, new.undo_seconds, "alert.undo_seconds")
        .unwrap_or_else(|problem| {
            problems.push(problem);
            0
        });
    let watch = Watch::of(desk, kind, new, &mut problems);
    if !problems.is_empty() {
        return Err(ActionError::Invalid(problems));
    }
    if !holds_areas(actor, tree, &new.areas) {
        return Err(ActionError::Forbidden);
    }
    check_drill(actor, tree, new)?;
    let mut areas = new.areas.clone();
    areas.sort_unstable();
    areas.dedup();
    Ok(Checked {
        text,
        areas,
        decided_by,
        kind,
        spread,
        expires_in_minutes,
        send_at,
        undo_seconds,
        drill: new.drill,
        watch,
    })
}

/// A value out of a closed list.
fn choice<T>(
    problems: &mut Vec<FieldProblem>,
    name: &str,
    code: Option<&str>,
    (from_code, default): (fn(&str) -> Option<T>, T),
) -> T {
    match code.map(from_code) {
        None => default,
        Some(Some(value)) => value,
        Some(None) => {
            let allowed = if name == "kind" { "observation, information" } else { "households, contact_person_only" };
            problems.push(FieldProblem::new(name, "field.invalid", format!("Tillåtna värden: {allowed}.")));
            default
        }
    }
}

fn check_drill(actor: &Actor, tree: &AreaTree, new: &NewAlert) -> Result<()> {
    let is_drill_group = |code: &String| tree.get(code).is_some_and(|area| area.kind == AreaKind::DrillGroup);
    if new.drill && !actor.role.may(Right::Administer) && !new.areas.iter().all(is_drill_group) {
        let detail = "En övning går bara till övningsgrupper. Till kontaktombud får bara administratörer öva.";
        return Err(ActionError::field("areas", "alert.drill_areas", detail));
    }
    Ok(())
}

pub(super) fn expect_recipients(expected: Option<i64>, audience: AlertAudience) -> Result<()> {
    match expected {
        Some(expected) if expected != audience.by_sms => Err(ActionError::conflict(
            "alert.audience_changed",
            format!(
                "{} kontaktombud skulle få sms, inte {expected}. Kontrollera områdena och skicka igen.",
                audience.by_sms
            ),
        )),
        _ if audience.by_sms == 0 => {
            Err(ActionError::field("areas", "alert.audience_empty", "Ingen i de valda områdena kan få sms."))
        }
        _ => Ok(()),
    }
}

/// Writes what belongs to one revision: own fields, areas, who wrote it.
pub(super) async fn write_revision(
    session: &mut Session,
    actor: &Actor,
    tree: &AreaTree,
    (message, checked): (&Message, &Checked),
) -> Result<()> {
    put_own_fields(session, message, checked).await?;
    let codes = tree.subtree(checked.areas.iter().map(String::as_str));
    let areas = codes.iter().map(|code| (code.as_str(), checked.areas.contains(code)));
    store::message::set_areas(session, &message.id, areas).await?;
    add_written(session, actor, message).await
}

pub(super) async fn put_own_fields(session: &mut Session, message: &Message, checked: &Checked) -> Result<()> {
    let row = AlertRow {
        message_id: message.id.clone(),
        text: checked.text.as_str().to_owned(),
        kind: checked.kind.code().to_owned(),
        spread: checked.spread.code().to_owned(),
        decided_by: checked.decided_by.clone(),
        drill: i64::from(checked.drill),
        expires_in_minutes: checked.expires_in_minutes,
        watched_by: checked.watch.watched_by.clone(),
        duty_number: checked.watch.duty_number.clone(),
    };
    Ok(store::alert::put(session, &row).await?)
}
