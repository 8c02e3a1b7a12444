//! Owns what an alert would be before it is made: its text as phones would get it, whom it would reach and whom not,
//! what it would cost and when it would be done.
//!
//! It stores nothing and refuses nothing but other people's areas: an unfinished alert is shown as far as it goes.
//! Invariant: everything is counted by the same code that makes alerts.

use super::alert::{self, Checked, NewAlert};
use super::alert_text::{in_frame, refusals};
use super::alert_view::Warning;
use super::alert_watch::{self, Watch};
use super::{ActionError, Desk, FieldProblem, Result, census, holds_areas, require};
use crate::config::RegistrationNumbers;
use crate::domain::alert::{AlertKind, Spread};
use crate::domain::area::AreaTree;
use crate::domain::audience::AlertAudience;
use crate::domain::lint;
use crate::domain::mix_up::{self, Meant};
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::clean_line;
use crate::domain::sms_text::{Offending, SmsText};
use crate::store::alert::AlertRow;
use crate::store::deputy::DeputyCount;
use crate::store::message::Message;
use crate::store::{self, Session};

/// How long a delivered SMS proves that a number works: 90 days, in milliseconds.
const PROOF_MS: i64 = 90 * 24 * 3_600_000;
/// Audiences above this are not asked person by person while somebody types.
const MOST_PROVEN: i64 = 2_000;

/// An alert that would still be valid in the chosen areas.
#[derive(Debug, Clone)]
pub struct Alive {
    /// What it shares with letters.
    pub message: Message,
    /// Its own fields.
    pub alert: AlertRow,
    /// The areas it was sent to.
    pub areas: Vec<String>,
}

/// What an alert would be.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The text as phones would get it.
    pub sms: SmsText,
    /// Whether anything was typed.
    pub has_text: bool,
    /// Characters of the typed text that spoil the short alphabet.
    pub offending: Vec<Offending>,
    /// What the author should know.
    pub warnings: Vec<Warning>,
    /// What stands in the way of sending it.
    pub problems: Vec<FieldProblem>,
    /// Whom it would reach.
    pub audience: AlertAudience,
    /// Why some would not be reached, and how many: `no_mobile`, `opted_out`, `alerts_off`, `paused`.
    pub not_reached: Vec<(String, i64)>,
    /// How many deputies get it.
    pub deputies: DeputyCount,
    /// How many of those reached have been proven to get SMS in the last 90 days; `None` for audiences too large to ask.
    pub proven: Option<i64>,
    /// SEK, by the first gateway on the route.
    pub cost: f64,
    /// Seconds that hand-over takes at the first gateway's pace.
    pub seconds: f64,
    /// When it would end, Unix ms.
    pub expires_at: i64,
    /// When hand-over would begin, Unix ms.
    pub sends_at: i64,
    /// Whether a colleague must approve it.
    pub needs_approval: bool,
    /// Alerts that are still valid in the chosen areas.
    pub alive: Vec<Alive>,
}

/// What `new` would be if it were made now.
///
/// # Errors
/// [`ActionError`] when the actor may not send alerts, or not to these areas.
pub async fn preview(desk: &Desk, session: &mut Session, actor: &Actor, new: &NewAlert) -> Result<Preview> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    let areas: Vec<String> = new.areas.iter().filter(|code| tree.get(code).is_some()).cloned().collect();
    if !holds_areas(actor, &tree, &areas) {
        return Err(ActionError::Forbidden);
    }
    let mut problems = match alert::check(desk, actor, &tree, new) {
        Err(ActionError::Invalid(problems)) => problems,
        Err(error) => return Err(error),
        Ok(_) => Vec::new(),
    };
    let checked = as_far_as_it_goes(desk, new, areas);
    let now = desk.now();
    let starts = checked.send_at.unwrap_or(now);
    let expires_at = starts + checked.expires_in_minutes * 60_000;
    let sms = in_frame(desk, &checked, (now, expires_at), None)?;
    for problem in refusals(desk, &checked, &sms) {
        if !problems.iter().any(|known| known.name == problem.name) {
            problems.push(problem);
        }
    }
    let codes = tree.subtree(checked.areas.iter().map(String::as_str));
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let census = census::of(desk, session).await?;
    let audience = census.audience(&codes);
    if audience.by_sms == 0 && !checked.areas.is_empty() {
        problems.push(FieldProblem::new(
            "areas",
            "alert.audience_empty",
            "Ingen i de valda områdena kan få sms. Välj fler områden.",
        ));
    }
    let (cost, seconds) = price(desk, audience.by_sms, sms.segmentation().parts);
    Ok(Preview {
        has_text: !checked.text.is_empty(),
        offending: checked.text.segmentation().offending,
        warnings: warnings(desk, session, &tree, (&checked, &sms)).await?,
        not_reached: census.not_reached(&codes),
        deputies: store::deputy::count(session, &store::area::codes_json(codes.iter().copied()), now).await?,
        proven: match (1..=MOST_PROVEN).contains(&audience.by_sms) {
            true => {
                let spans = (now, now - PROOF_MS);
                Some(store::audience::proven(session, codes.iter().copied(), spans).await?)
            }
            false => None,
        },
        alive: alive(session, &codes, now).await?,
        needs_approval: !checked.drill && desk.config.alerts.approval.is_needed_for(audience.by_sms),
        sends_at: starts.max(now + checked.undo_seconds * 1000),
        sms,
        problems,
        audience,
        cost,
        seconds,
        expires_at,
    })
}

/// Fields that are wrong or missing get what an alert has without them.
fn as_far_as_it_goes(desk: &Desk, new: &NewAlert, areas: Vec<String>) -> Checked {
    let alerts = &desk.config.alerts;
    let kind = new.kind.as_deref().and_then(AlertKind::from_code).unwrap_or(AlertKind::Observation);
    Checked {
        watch: Watch::of(desk, kind, new, &mut Vec::new()),
        text: SmsText::parse(&new.text).unwrap_or_default(),
        areas,
        decided_by: clean_line(&new.decided_by),
        kind,
        spread: new.spread.as_deref().and_then(Spread::from_code).unwrap_or(Spread::Households),
        expires_in_minutes: new.expires_in_minutes.unwrap_or(i64::from(alerts.expires_in_minutes)).clamp(1, 20_160),
        send_at: new.send_at.map(jiff::Timestamp::as_millisecond),
        undo_seconds: i64::from(alerts.undo_seconds),
        drill: new.drill,
    }
}

/// SEK and seconds for so many texts of so many parts.
fn price(desk: &Desk, recipients: i64, parts: usize) -> (f64, f64) {
    let sms = &desk.config.sms;
    let Some(gateway) = sms.route.first().and_then(|name| sms.gateways.get(name)) else { return (0.0, 0.0) };
    let recipients = f64::from(i32::try_from(recipients).unwrap_or(i32::MAX));
    let parts = f64::from(u32::try_from(parts).unwrap_or(u32::MAX));
    (recipients * parts * gateway.cost_per_part, recipients / gateway.rate_per_second.max(0.001))
}

async fn warnings(
    desk: &Desk,
    session: &mut Session,
    tree: &AreaTree,
    (checked, sms): (&Checked, &SmsText),
) -> Result<Vec<Warning>> {
    if checked.text.is_empty() {
        return Ok(Vec::new());
    }
    let chosen: Vec<&str> = checked.areas.iter().map(String::as_str).collect();
    let mut warnings: Vec<Warning> =
        lint::warnings(&checked.text, sms, tree, &desk.places, &chosen).into_iter().map(Warning::from).collect();
    if desk.config.alerts.registration_numbers == RegistrationNumbers::Allow {
        warnings.retain(|warning| warning.code != lint::REGISTRATION_NUMBER);
    }
    let meant = Meant { is_drill: checked.drill, asks_for_replies: checked.kind == AlertKind::Observation };
    warnings.extend(mix_up::mix_ups(checked.text.as_str(), meant).into_iter().map(Warning::from));
    let Watch { watched_by, duty_number } = &checked.watch;
    warnings.extend(alert_watch::warnings(desk, meant.asks_for_replies, watched_by, duty_number));
    let codes = tree.subtree(chosen.iter().copied());
    let alive = store::alert::alive(session, codes.iter().map(String::as_str), desk.now()).await?;
    for message in alive.iter().filter(|message| message.created_at > desk.now() - super::alert_view::TWIN_WINDOW_MS) {
        let row = store::alert::get(session, &message.id).await?;
        if row.is_some_and(|row| row.text == checked.text.as_str()) {
            warnings.push(Warning {
                code: "alert.same_text_recently",
                detail: "Samma text har gått till samma område de senaste 15 minuterna.".to_owned(),
                area_code: None,
            });
            break;
        }
    }
    Ok(warnings)
}

async fn alive(session: &mut Session, codes: &[&str], now: i64) -> Result<Vec<Alive>> {
    let mut found = Vec::new();
    for message in store::alert::alive(session, codes.iter().copied(), now).await? {
        let Some(alert) = store::alert::get(session, &message.id).await? else { continue };
        let areas = store::message::chosen_areas(session, &message.id).await?;
        found.push(Alive { message, alert, areas });
    }
    Ok(found)
}
