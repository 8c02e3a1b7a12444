//! Owns the message an alert becomes: its text in the frame of its kind, its times, what an approval is bound to.
//!
//! It writes nothing. Invariant: what may not go out is refused here, with the field named.

use jiff::Timestamp;

use super::alert::Checked;
use super::follow_up::Following;
use super::{ActionError, Desk, FieldProblem, Result, alert_view};
use crate::config::RegistrationNumbers;
use crate::domain::alert::{AlertKind, Spread};
use crate::domain::area::AreaTree;
use crate::domain::audience::AlertAudience;
use crate::domain::lint;
use crate::domain::message::{MessageState, priority};
use crate::domain::operator::Actor;
use crate::domain::sms_text::SmsText;
use crate::render::sms::{Framing, alert_text};
use crate::store::message::Message;

/// An alert on its way to become a message.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub id: String,
    pub number: i64,
    pub revision: i64,
    /// The time its text names, Unix ms.
    pub at: i64,
    pub checked: &'a Checked,
    pub audience: AlertAudience,
    pub follows: Option<&'a Following>,
}

/// The message an alert becomes, with its text in the frame.
pub(super) fn compose(desk: &Desk, actor: &Actor, draft: Draft<'_>) -> Result<Message> {
    let Draft { checked, audience, follows, at, .. } = draft;
    let starts = checked.send_at.unwrap_or(at);
    let expires_at = starts + checked.expires_in_minutes * 60_000;
    let body = framed(desk, checked, (at, expires_at), follows)?;
    let closes = follows.is_some_and(|following| following.kind.closes());
    let awaits = !closes && !checked.drill && desk.config.alerts.approval.is_needed_for(audience.by_sms);
    let state = if awaits { MessageState::AwaitingApproval } else { MessageState::Queued };
    // Freezing takes its time: the undo window begins when it is done.
    let sends_at = (!awaits).then(|| starts.max(desk.now() + checked.undo_seconds * 1000));
    Ok(Message {
        id: draft.id,
        number: draft.number,
        kind: "alert".to_owned(),
        state: state.code().to_owned(),
        priority: if closes { priority::CLOSING } else { priority::ALERT },
        revision: draft.revision,
        content_hash: content_hash(&body, &checked.areas, audience),
        body,
        numeric_sender: i64::from(checked.kind == AlertKind::Observation),
        audience: alert_view::audience_json(audience).to_string(),
        reach_persons: 0,
        reach_households: 0,
        follows: follows.map(|following| following.first.clone()),
        follow_up_kind: follows.map(|following| following.kind.code().to_owned()),
        send_at: checked.send_at,
        sends_at,
        undo_seconds: checked.undo_seconds,
        expires_at: Some(expires_at),
        stopped_at: None,
        handed_over_at: None,
        done_at: None,
        created_by: actor.id.clone(),
        created_at: at,
        changed_at: desk.now(),
    })
}

/// The text as phones get it, refused when it may not go out.
fn framed(desk: &Desk, checked: &Checked, times: (i64, i64), follow_up: Option<&Following>) -> Result<String> {
    let sms = in_frame(desk, checked, times, follow_up)?;
    let refusals = refusals(desk, checked, &sms);
    if refusals.is_empty() { Ok(sms.as_str().to_owned()) } else { Err(ActionError::Invalid(refusals)) }
}

/// The text in the frame of its kind; `(now, until)` in Unix ms.
pub(super) fn in_frame(
    desk: &Desk,
    checked: &Checked,
    (now, until): (i64, i64),
    follow_up: Option<&Following>,
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
    super::message::content_hash(&content)
}

pub(super) fn audit_detail(message: &Message, checked: &Checked, audience: AlertAudience) -> serde_json::Value {
    serde_json::json!({
        "areas": checked.areas,
        "revision": message.revision,
        "content_hash": message.content_hash,
        "recipients": audience.by_sms,
        "drill": checked.drill,
        "decided_by": checked.decided_by,
        "watched_by": checked.watch.watched_by,
    })
}
