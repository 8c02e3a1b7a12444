//! Owns an alert as it is shown: everything of it put together.

use std::collections::BTreeSet;

use super::{ActionError, Desk, Result, alert_watch, holds_areas, require};
use crate::config::RegistrationNumbers;
use crate::domain::alert::{AlertKind, Spread};
use crate::domain::area::AreaTree;
use crate::domain::audience::AlertAudience;
use crate::domain::lint;
use crate::domain::message::Counts;
use crate::domain::mix_up::{self, Meant};
use crate::domain::operator::{Actor, Right};
use crate::domain::sms_text::{Offending, Segmentation, SmsText};
use crate::store::alert::AlertRow;
use crate::store::message::{Message, Review};
use crate::store::spread::SpreadReach;
use crate::store::{self, Session};

/// Identical texts to the same areas within this time are warned for: 15 minutes.
pub(super) const TWIN_WINDOW_MS: i64 = 15 * 60 * 1000;

/// Something the author should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable code such as `text.no_112`.
    pub code: &'static str,
    /// What to look at, in Swedish.
    pub detail: String,
    /// The area it is about, for the place check.
    pub area_code: Option<String>,
}

impl From<lint::Finding> for Warning {
    fn from(finding: lint::Finding) -> Self {
        Self { code: finding.code, detail: finding.detail, area_code: finding.area_code }
    }
}

/// An alert as it is shown.
#[derive(Debug, Clone)]
pub struct AlertView {
    /// What it shares with letters.
    pub message: Message,
    /// Its own fields.
    pub alert: AlertRow,
    /// The areas named by the sender.
    pub areas: Vec<String>,
    /// The audience as frozen.
    pub audience: AlertAudience,
    /// Deliveries by state.
    pub counts: Counts,
    /// Length and parts of the text as sent.
    pub segmentation: Segmentation,
    /// Characters of the typed text that spoil the short alphabet.
    pub offending: Vec<Offending>,
    /// What the author should know.
    pub warnings: Vec<Warning>,
    /// Who wrote, approved and returned what.
    pub reviews: Vec<Review>,
    /// How far it was passed on.
    pub spread_reach: SpreadReach,
    /// Persons who have it, may spread it and have not said that they did.
    pub silent: i64,
}

/// An alert of the actor's areas.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub async fn get(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<AlertView> {
    require(actor, Right::ReadAlerts)?;
    let tree = store::area::tree(session).await?;
    let view = load_in(desk, session, &tree, id).await?;
    if holds_areas(actor, &tree, &view.areas) { Ok(view) } else { Err(ActionError::NotFound) }
}

/// A page of the actor's alerts, newest first, after the id `after`.
///
/// # Errors
/// [`ActionError`].
pub async fn page(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (after, limit): (&str, i64),
) -> Result<(Vec<AlertView>, Option<String>)> {
    require(actor, Right::ReadAlerts)?;
    let tree = store::area::tree(session).await?;
    let messages = store::message::page(session, "alert", after, limit + 1).await?;
    let has_more = messages.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    let mut views = Vec::new();
    let mut last = None;
    for message in messages.into_iter().take(usize::try_from(limit).unwrap_or(0)) {
        last = Some(message.id.clone());
        let view = load_in(desk, session, &tree, &message.id).await?;
        if holds_areas(actor, &tree, &view.areas) {
            views.push(view);
        }
    }
    Ok((views, last.filter(|_| has_more)))
}

/// Puts an alert together.
pub(super) async fn load(desk: &Desk, session: &mut Session, id: &str) -> Result<AlertView> {
    let tree = store::area::tree(session).await?;
    load_in(desk, session, &tree, id).await
}

async fn load_in(desk: &Desk, session: &mut Session, tree: &AreaTree, id: &str) -> Result<AlertView> {
    let message = store::message::get(session, id).await?.filter(|message| message.kind == "alert");
    let message = message.ok_or(ActionError::NotFound)?;
    let alert = store::alert::get(session, id).await?.ok_or(ActionError::NotFound)?;
    let areas = store::message::chosen_areas(session, id).await?;
    let counts = store::message::counts(session, id).await?;
    let sms = SmsText::parse(&message.body).unwrap_or_default();
    let typed = SmsText::parse(&alert.text).unwrap_or_default();
    let warnings = warnings(desk, session, (tree, &message, &alert, &areas), (&typed, &sms)).await?;
    let spread_reach = store::spread::reach(session, id).await?;
    let may_spread = alert.spread == Spread::Households.code();
    Ok(AlertView {
        silent: if may_spread { (message.reach_persons - spread_reach.recipients).max(0) } else { 0 },
        spread_reach,
        audience: audience_of(&message.audience),
        segmentation: sms.segmentation(),
        offending: typed.segmentation().offending,
        warnings,
        reviews: store::message::reviews(session, id).await?,
        message,
        alert,
        areas,
        counts,
    })
}

async fn warnings(
    desk: &Desk,
    session: &mut Session,
    (tree, message, alert, areas): (&AreaTree, &Message, &AlertRow, &[String]),
    (typed, sms): (&SmsText, &SmsText),
) -> Result<Vec<Warning>> {
    let chosen: BTreeSet<&str> = areas.iter().map(String::as_str).collect();
    let chosen: Vec<&str> = chosen.into_iter().collect();
    let mut warnings: Vec<Warning> =
        lint::warnings(typed, sms, tree, &desk.places, &chosen).into_iter().map(Warning::from).collect();
    if desk.config.alerts.registration_numbers == RegistrationNumbers::Allow {
        warnings.retain(|warning| warning.code != lint::REGISTRATION_NUMBER);
    }
    let meant = Meant { is_drill: alert.drill == 1, asks_for_replies: alert.kind == AlertKind::Observation.code() };
    warnings.extend(mix_up::mix_ups(&alert.text, meant).into_iter().map(Warning::from));
    let AlertRow { watched_by, duty_number, .. } = alert;
    warnings.extend(alert_watch::warnings(desk, meant.asks_for_replies, watched_by, duty_number));
    let since = message.created_at - TWIN_WINDOW_MS;
    let twin = store::alert::recent_twin(session, &message.id, &alert.text, since).await?;
    if twin.is_some_and(|twin| twin.created_at <= message.created_at) {
        warnings.push(Warning {
            code: "alert.same_text_recently",
            detail: "Samma text har gått till samma område de senaste 15 minuterna.".to_owned(),
            area_code: None,
        });
    }
    Ok(warnings)
}

/// Audience figures as stored with a message.
pub(super) fn audience_json(audience: AlertAudience) -> serde_json::Value {
    serde_json::json!({
        "contact_persons": audience.contact_persons,
        "households": audience.households,
        "by_sms": audience.by_sms,
        "households_by_sms": audience.households_by_sms,
        "not_reached": audience.not_reached,
    })
}

/// The audience as frozen.
pub(super) fn audience_of(json: &str) -> AlertAudience {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let figure = |name: &str| value[name].as_i64().unwrap_or(0);
    AlertAudience {
        contact_persons: figure("contact_persons"),
        households: figure("households"),
        by_sms: figure("by_sms"),
        households_by_sms: figure("households_by_sms"),
        not_reached: figure("not_reached"),
    }
}
