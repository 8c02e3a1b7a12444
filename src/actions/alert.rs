//! Owns making, changing and stopping alerts.
//!
//! It does not hand anything over. Invariants: an audience is frozen in the transaction that makes the alert, is never
//! empty and never silently everybody; whoever decided stands in the ledger.

use jiff::Timestamp;

use super::alert_view::{self, AlertView};
use super::{ActionError, Desk, FieldProblem, Result, holds_areas, require};
use crate::config::RegistrationNumbers;
use crate::domain::alert::{AlertKind, LONGEST_VALIDITY_MINUTES, Spread};
use crate::domain::area::{AreaKind, AreaTree};
use crate::domain::audience::AlertAudience;
use crate::domain::delivery::DeliveryState;
use crate::domain::lint;
use crate::domain::message::{MessageState, priority};
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::{clean_line, is_forbidden_control};
use crate::domain::sms_text::SmsText;
use crate::render::sms::{Framing, alert_text};
use crate::store::alert::AlertRow;
use crate::store::audience::Freeze;
use crate::store::delivery::{Step, Which};
use crate::store::message::{Message, Review};
use crate::store::settle::Batch;
use crate::store::{self, Session};

/// When deliveries that await approval are due: never.
pub(super) const NEVER: i64 = i64::MAX / 4;
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
}

/// Makes an alert and freezes its audience; it goes after the undo window, or waits for approval where the settings say so.
///
/// # Errors
/// [`ActionError`]; nothing is made then.
pub async fn create(desk: &Desk, session: &mut Session, actor: &Actor, new: &NewAlert) -> Result<AlertView> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    let checked = check(desk, actor, &tree, new)?;
    let id = desk.id();
    let number = store::setting::next_message_number(session).await?;
    let audience = count(desk, session, &tree, &checked.areas).await?;
    let message = compose(desk, actor, (id.clone(), number, 1), &checked, audience, None)?;
    expect_recipients(new.expected_recipients, audience)?;
    store::message::insert(session, &message).await?;
    write_revision(desk, session, actor, &tree, (&message, &checked)).await?;
    store::decision::insert(
        session,
        &store::decision::Decision {
            id: desk.id(),
            outcome: "sent".to_owned(),
            decided_by: checked.decided_by.clone(),
            reason: String::new(),
            areas: serde_json::json!(checked.areas).to_string(),
            message_id: Some(id.clone()),
            created_by: actor.id.clone(),
            created_at: desk.now(),
        },
    )
    .await?;
    let detail = audit_detail(&message, &checked, audience);
    desk.audit(session, actor, "alert.created", ("alert", &id), detail).await?;
    alert_view::load(desk, session, &id).await
}

/// Writes a new revision of an alert that was returned or awaits approval; an approval given before is void.
///
/// # Errors
/// [`ActionError`]; the alert is as it was then.
pub async fn revise(desk: &Desk, session: &mut Session, actor: &Actor, id: &str, new: &NewAlert) -> Result<AlertView> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    let before = locked(session, actor, &tree, id).await?;
    if !before.state().is_editable() {
        return Err(ActionError::conflict(
            "alert.not_editable",
            "Larmet är redan på väg. Skicka en rättelse eller ny information i stället.",
        ));
    }
    let checked = check(desk, actor, &tree, new)?;
    let audience = count(desk, session, &tree, &checked.areas).await?;
    let mut message =
        compose(desk, actor, (id.to_owned(), before.number, before.revision + 1), &checked, audience, None)?;
    message.created_at = before.created_at;
    expect_recipients(new.expected_recipients, audience)?;
    store::audience::thaw(session, id).await?;
    store::message::clear_counts(session, id).await?;
    store::message::revise(session, &message).await?;
    write_revision(desk, session, actor, &tree, (&message, &checked)).await?;
    let detail = audit_detail(&message, &checked, audience);
    desk.audit(session, actor, "alert.revised", ("alert", id), detail).await?;
    alert_view::load(desk, session, id).await
}

/// What a stop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Deliveries that will not go.
    pub stopped: i64,
    /// Deliveries whose hand-over stamp is set; they go, or have gone.
    pub already_handed_over: i64,
}

/// Stops what is left of a message.
///
/// # Errors
/// [`ActionError`].
pub async fn stop(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<Stopped> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    let message = found(session, actor, &tree, id).await?;
    let stopped = stop_rest(desk, session, actor, message).await?;
    let already_handed_over = store::delivery::count_stamped(session, id).await?;
    let detail = serde_json::json!({ "stopped": stopped, "already_handed_over": already_handed_over });
    desk.audit(session, actor, "alert.stopped", ("alert", id), detail).await?;
    Ok(Stopped { stopped, already_handed_over })
}

/// Stops every delivery of a message that has not passed the gate; says how many.
pub(super) async fn stop_rest(desk: &Desk, session: &mut Session, actor: &Actor, mut message: Message) -> Result<i64> {
    if !message.state().can_be_stopped() {
        return Ok(0);
    }
    let now = desk.now();
    let mut stopped = 0;
    // Deliveries before their message, as everywhere: a dispatch under way and a stop must not wait for each other.
    // What comes back to the queue meanwhile is refused at the gate, which asks the message.
    loop {
        let held = store::delivery::lock_set(session, Which::Unstamped(&message.id), 5_000).await?;
        if held.is_empty() {
            break;
        }
        let steps: Vec<Step> =
            held.into_iter().map(|held| Step::new(held, DeliveryState::Stopped, Some("message.stopped"))).collect();
        let batch_id = desk.id();
        let batch = Batch { id: &batch_id, actor: &actor.id, action: "deliveries.stopped", now };
        let changes = store::delivery::apply(session, &batch, steps).await?;
        crate::telemetry::count_changes(&changes);
        stopped += i64::try_from(changes.len()).unwrap_or(i64::MAX);
    }
    message.stopped_at = Some(desk.now());
    store::message::set_state(session, &message, MessageState::Stopped, desk.now()).await?;
    Ok(stopped)
}

/// An alert of the actor's areas.
pub(super) async fn found(session: &mut Session, actor: &Actor, tree: &AreaTree, id: &str) -> Result<Message> {
    let message = store::message::get(session, id).await?.filter(|message| message.kind == "alert");
    let message = message.ok_or(ActionError::NotFound)?;
    let areas = store::message::chosen_areas(session, id).await?;
    if holds_areas(actor, tree, &areas) { Ok(message) } else { Err(ActionError::NotFound) }
}

/// An alert of the actor's areas, its row held.
pub(super) async fn locked(session: &mut Session, actor: &Actor, tree: &AreaTree, id: &str) -> Result<Message> {
    found(session, actor, tree, id).await?;
    store::message::get_locked(session, id).await?.ok_or(ActionError::NotFound)
}

/// Whom an alert to `areas` would reach now.
///
/// # Errors
/// [`ActionError`] when an area is unknown, missing or not the actor's.
pub async fn audience(desk: &Desk, session: &mut Session, actor: &Actor, areas: &[String]) -> Result<AlertAudience> {
    require(actor, Right::ReadAreas)?;
    let tree = store::area::tree(session).await?;
    let problems = area_problems(&tree, areas);
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

/// Checks every field and reports all that is wrong at once.
pub(super) fn check(desk: &Desk, actor: &Actor, tree: &AreaTree, new: &NewAlert) -> Result<Checked> {
    let mut problems = area_problems(tree, &new.areas);
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
    let undo_seconds = undo_seconds(desk, actor, new.undo_seconds, &mut problems);
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
    Ok(Checked { text, areas, decided_by, kind, spread, expires_in_minutes, send_at, undo_seconds, drill: new.drill })
}

pub(super) fn area_problems(tree: &AreaTree, areas: &[String]) -> Vec<FieldProblem> {
    if areas.is_empty() {
        return vec![FieldProblem::new("areas", "alert.audience_empty", "Välj minst ett område.")];
    }
    areas
        .iter()
        .filter(|code| tree.get(code).is_none())
        .map(|_| {
            FieldProblem::new("areas", "area.unknown", "Ett av områdena finns inte. Koderna står under /api/v1/areas.")
        })
        .take(1)
        .collect()
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

/// The undo window: the configured one, or a shorter one for administrators and keys.
fn undo_seconds(desk: &Desk, actor: &Actor, wanted: Option<i64>, problems: &mut Vec<FieldProblem>) -> i64 {
    let configured = i64::from(desk.config.alerts.undo_seconds);
    let may_shorten = actor.is_key || actor.role.may(Right::Administer);
    match wanted {
        None => configured,
        Some(wanted) if (0..=configured).contains(&wanted) && (may_shorten || wanted == configured) => wanted,
        Some(_) => {
            let detail = format!("Ångertiden är {configured} s. Bara administratörer och nycklar får korta den.");
            problems.push(FieldProblem::new("undo_seconds", "alert.undo_seconds", detail));
            configured
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

/// The message an alert becomes, with its text in the frame. `follows` is the first one's id, kind and text frame.
pub(super) fn compose(
    desk: &Desk,
    actor: &Actor,
    (id, number, revision): (String, i64, i64),
    checked: &Checked,
    audience: AlertAudience,
    follow_up: Option<&super::follow_up::Following>,
) -> Result<Message> {
    let now = desk.now();
    let starts = checked.send_at.unwrap_or(now);
    let expires_at = starts + checked.expires_in_minutes * 60_000;
    let body = framed(desk, checked, (now, expires_at), follow_up)?;
    let closes = follow_up.is_some_and(|following| following.kind.closes());
    let awaits = !closes && !checked.drill && desk.config.alerts.approval.is_needed_for(audience.by_sms);
    let state = if awaits { MessageState::AwaitingApproval } else { MessageState::Queued };
    let sends_at = (!awaits).then(|| starts.max(now + checked.undo_seconds * 1000));
    Ok(Message {
        id,
        number,
        kind: "alert".to_owned(),
        state: state.code().to_owned(),
        priority: if closes { priority::CLOSING } else { priority::ALERT },
        revision,
        content_hash: content_hash(&body, &checked.areas, audience),
        body,
        numeric_sender: i64::from(checked.kind == AlertKind::Observation),
        audience: alert_view::audience_json(audience).to_string(),
        reach_persons: 0,
        reach_households: 0,
        follows: follow_up.map(|following| following.first.clone()),
        follow_up_kind: follow_up.map(|following| following.kind.code().to_owned()),
        send_at: checked.send_at,
        sends_at,
        undo_seconds: checked.undo_seconds,
        expires_at: Some(expires_at),
        stopped_at: None,
        handed_over_at: None,
        done_at: None,
        created_by: actor.id.clone(),
        created_at: now,
        changed_at: now,
    })
}

/// The text as phones get it, refused when it may not go out.
fn framed(
    desk: &Desk,
    checked: &Checked,
    times: (i64, i64),
    follow_up: Option<&super::follow_up::Following>,
) -> Result<String> {
    let sms = in_frame(desk, checked, times, follow_up)?;
    let refusals = refusals(desk, checked, &sms);
    if refusals.is_empty() { Ok(sms.as_str().to_owned()) } else { Err(ActionError::Invalid(refusals)) }
}

/// The text in the frame of its kind; `(now, until)` in Unix ms.
pub(super) fn in_frame(
    desk: &Desk,
    checked: &Checked,
    (now, until): (i64, i64),
    follow_up: Option<&super::follow_up::Following>,
) -> Result<SmsText> {
    let at = |ms| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let frame = match (follow_up, checked.kind) {
        (Some(following), _) => following.frame(),
        (None, AlertKind::Observation) => &desk.config.alerts.frame_observation,
        (None, AlertKind::Information) => &desk.config.alerts.frame_information,
    };
    let framing = Framing {
        frame,
        zone: &desk.config.server.zone(),
        sent: at(now),
        until: at(until),
        original: follow_up.map(|following| at(following.first_at)),
        contact_person_only: checked.spread == Spread::ContactPersonOnly,
        drill: checked.drill,
    };
    let body = alert_text(&framing, checked.text.as_str());
    SmsText::parse(&body).map_err(|error| ActionError::field("text", error.code(), error.detail()))
}

/// Why the text may not go out.
pub(super) fn refusals(desk: &Desk, checked: &Checked, framed: &SmsText) -> Vec<FieldProblem> {
    let problem = |finding: lint::Finding| FieldProblem::new("text", finding.code, finding.detail);
    let mut refusals: Vec<FieldProblem> = lint::refusals(&checked.text, framed).into_iter().map(problem).collect();
    if desk.config.alerts.registration_numbers == RegistrationNumbers::Refuse {
        refusals.extend(
            lint::warnings(&checked.text, framed, &AreaTree::default(), &[], &[])
                .into_iter()
                .filter(|finding| finding.code == lint::REGISTRATION_NUMBER)
                .map(problem),
        );
    }
    refusals
}

/// What an approval is bound to: the text as sent, the areas and the audience.
fn content_hash(body: &str, areas: &[String], audience: AlertAudience) -> String {
    let content = serde_json::json!([body, areas, alert_view::audience_json(audience)]).to_string();
    store::settle::digest_of_lines([content.as_str()].into_iter())
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

/// Writes what belongs to one revision: own fields, areas, frozen audience, counters, who wrote it.
async fn write_revision(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    tree: &AreaTree,
    (message, checked): (&Message, &Checked),
) -> Result<()> {
    put_own_fields(session, message, checked).await?;
    let codes = tree.subtree(checked.areas.iter().map(String::as_str));
    let areas = codes.iter().map(|code| (code.as_str(), checked.areas.contains(code)));
    store::message::set_areas(session, &message.id, areas).await?;
    let areas_json = store::area::codes_json(codes.iter().map(String::as_str));
    let deliveries = store::audience::freeze_sms(session, &areas_json, &freeze(desk, message)).await?;
    store::settle::start_counting(session, &message.id, DeliveryState::Queued, deliveries).await?;
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
    };
    Ok(store::alert::put(session, &row).await?)
}

pub(super) fn freeze<'a>(desk: &Desk, message: &'a Message) -> Freeze<'a> {
    Freeze {
        message_id: &message.id,
        number: message.number,
        priority: message.priority,
        due_at: message.sends_at.unwrap_or(NEVER),
        expires_at: message.expires_at.unwrap_or(NEVER),
        now: desk.now(),
    }
}

pub(super) async fn add_written(session: &mut Session, actor: &Actor, message: &Message) -> Result<()> {
    let review = Review {
        revision: message.revision,
        act: "written".to_owned(),
        actor: actor.id.clone(),
        content_hash: message.content_hash.clone(),
        reason: String::new(),
        at: message.changed_at,
    };
    Ok(store::message::add_review(session, &message.id, &review).await?)
}

pub(super) fn audit_detail(message: &Message, checked: &Checked, audience: AlertAudience) -> serde_json::Value {
    serde_json::json!({
        "areas": checked.areas,
        "revision": message.revision,
        "content_hash": message.content_hash,
        "recipients": audience.by_sms,
        "drill": checked.drill,
        "decided_by": checked.decided_by,
    })
}
