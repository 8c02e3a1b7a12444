//! Owns what a contact person does on their own page: passing on, telling what they have seen, changing their details, leaving.
//!
//! Invariants: a person changes nobody's record but their own; who shall take over is asked by people before anything changes.

use jiff::Timestamp;
use serde_json::json;

use super::command::of;
use super::contact_person::{OptOut, erase_row, opt_out, opt_outs_of};
use super::own_page_view::{alert, alerts};
use super::{ActionError, Desk, FieldProblem, Result, observation};
use crate::domain::contact_person::CONFIRMED_HOUSEHOLDS;
use crate::domain::delivery::Channel;
use crate::domain::language;
use crate::domain::plain_text::clean_line;
use crate::store::contact_person::ContactPerson;
use crate::store::{self, Session};

/// Longest text of an observation from the page, in characters.
const LONGEST_OBSERVATION: usize = 4_000;
/// Longest place, in characters.
const LONGEST_PLACE: usize = 200;
/// A pause ends at the latest after so many days.
const LONGEST_PAUSE_DAYS: i64 = 366;
/// How an opt-out on the page is written down.
const SOURCE: &str = "own_page";

/// Notes that the person has passed an alert on to so many households (as typed; empty = their own number). Says to how many.
///
/// # Errors
/// [`ActionError`].
pub async fn spread(
    desk: &Desk,
    session: &mut Session,
    person: &ContactPerson,
    (alert_id, households): (&str, &str),
) -> Result<i64> {
    let card = alert(desk, session, person, alert_id).await?;
    if card.alert.spread != "households" {
        let detail = "Det här larmet är bara för kontaktombud och ska inte spridas.";
        return Err(ActionError::conflict("own_page.not_to_spread", detail));
    }
    let households = households_of(households, Some(person.households))?;
    // A follow-up counts as the alert it follows, as everywhere.
    let first = card.alert.follows.unwrap_or(card.alert.id);
    store::spread::confirm(session, (&first, &person.id), (households, "page"), desk.now()).await?;
    let detail = json!({ "alert": first, "households": households });
    desk.audit(session, &of(person), "alert.spread_confirmed", ("alert", &first), detail).await?;
    Ok(households)
}

fn households_of(text: &str, default: Option<i64>) -> Result<i64> {
    let typed = text.split_whitespace().collect::<String>();
    let number = match (typed.as_str(), default) {
        ("", Some(own)) => Some(own),
        (typed, _) => typed.parse::<u32>().ok().filter(|n| CONFIRMED_HOUSEHOLDS.contains(n)).map(i64::from),
    };
    let most = CONFIRMED_HOUSEHOLDS.end();
    number.ok_or_else(|| {
        let detail = format!("Ange antal hushåll med siffror, från 0 till {most}.");
        ActionError::field("households", "field.invalid", &detail)
    })
}

/// What a person tells on their page.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// What they have seen.
    pub text: &'a str,
    /// Where.
    pub place: &'a str,
    /// The alert it is about; empty = whichever fits.
    pub alert: &'a str,
    /// Stands in the form, so that the same sent twice is one.
    pub form_key: &'a str,
}

/// Takes in what a person has seen, the way of all answers. Says whether it may be urgent.
///
/// # Errors
/// [`ActionError`].
pub async fn observe(desk: &Desk, session: &mut Session, person: &ContactPerson, told: Told<'_>) -> Result<bool> {
    let mut problems = Vec::new();
    let text = told.text.trim();
    if text.is_empty() {
        problems.push(FieldProblem::new("text", "field.required", "Skriv vad du har sett."));
    }
    if text.chars().count() > LONGEST_OBSERVATION {
        problems.push(FieldProblem::new("text", "field.too_long", "Skriv högst 4 000 tecken."));
    }
    let place = clean_line(told.place);
    if place.chars().count() > LONGEST_PLACE {
        problems.push(FieldProblem::new("place", "field.too_long", "Skriv platsen med högst 200 tecken."));
    }
    if told.form_key.is_empty() || told.form_key.len() > 100 {
        problems.push(FieldProblem::new("text", "field.invalid", "Sidan är för gammal. Skicka en gång till."));
    }
    if !problems.is_empty() {
        return Err(ActionError::Invalid(problems));
    }
    let about = alerts(desk, session, person).await?.into_iter().find(|card| card.alert.id == told.alert);
    let incoming = incoming(desk, person, (text, place), told.form_key, about.map(|card| card.alert));
    let received = observation::receive(desk, session, &incoming).await?;
    Ok(received.observation.is_urgent == 1)
}

/// As an answer that came on the channel where the person can be answered.
fn incoming(
    desk: &Desk,
    person: &ContactPerson,
    (text, place): (&str, String),
    form_key: &str,
    about: Option<store::own_page::OwnAlert>,
) -> observation::Incoming {
    let (channel, sender) = match (&person.email, &person.mobile) {
        (None, Some(mobile)) => (Channel::Sms, mobile.clone()),
        (email, _) => (Channel::Email, email.clone().unwrap_or_default()),
    };
    observation::Incoming {
        channel,
        sender,
        reference: format!("page:{}:{form_key}", person.id),
        text: text.to_owned(),
        sent_at: None,
        received_at: desk.now(),
        contact_person_id: Some(person.id.clone()),
        message_id: about.map(|alert| alert.follows.unwrap_or(alert.id)),
        is_automatic: false,
        is_fetched: false,
        via_page: Some(place),
    }
}

/// What a person may change of their record.
#[derive(Debug, Clone, Copy)]
pub struct Details<'a> {
    /// Number of households, as typed.
    pub households: &'a str,
    /// Code of the language they want letters in.
    pub language: &'a str,
    /// Whether they want alerts by SMS.
    pub alerts: bool,
    /// Whether they want letters.
    pub letters: bool,
}

/// Changes the person's own details.
///
/// # Errors
/// [`ActionError`].
pub async fn change(desk: &Desk, session: &mut Session, person: &ContactPerson, details: Details<'_>) -> Result<()> {
    let person = &fresh(session, &person.id).await?;
    let households = households_of(details.households, None)?;
    let Some(language) = language::code_of(details.language) else {
        return Err(ActionError::field("language", "field.invalid", "Välj ett av språken i listan."));
    };
    let now = desk.now();
    let mut row = person.clone();
    row.households = households;
    language.clone_into(&mut row.language);
    let mut opt_outs = opt_outs_of(&row);
    for (channel, is_wanted, flag) in
        [("sms", details.alerts, &mut row.alerts), ("email", details.letters, &mut row.letters)]
    {
        let has_said_no = opt_outs.iter().any(|out| out.channel == channel);
        if is_wanted {
            *flag = 1;
            opt_outs.retain(|out| out.channel != channel);
        } else if !has_said_no && *flag == 1 {
            opt_outs.push(OptOut { channel: channel.to_owned(), source: SOURCE.to_owned() });
        }
    }
    opt_out(desk, session, &mut row, &opt_outs).await?;
    let changed: Vec<&str> = [
        ("households", row.households != person.households),
        ("language", row.language != person.language),
        ("alerts", (row.alerts, row.alerts_opt_out_at) != (person.alerts, person.alerts_opt_out_at)),
        ("letters", (row.letters, row.letters_opt_out_at) != (person.letters, person.letters_opt_out_at)),
    ]
    .into_iter()
    .filter_map(|(name, is_changed)| is_changed.then_some(name))
    .collect();
    write(
        desk,
        session,
        ContactPerson { updated_at: now, ..row },
        "contact_person.changed",
        json!({ "fields": changed }),
    )
    .await
}

/// Pauses all that is sent to the person until a time, or ends the pause.
///
/// # Errors
/// [`ActionError`].
pub async fn pause(desk: &Desk, session: &mut Session, person: &ContactPerson, until: Option<Timestamp>) -> Result<()> {
    let person = &fresh(session, &person.id).await?;
    let now = desk.now();
    let until = until.map(Timestamp::as_millisecond);
    if until.is_some_and(|until| until <= now || until > now + LONGEST_PAUSE_DAYS * 24 * 3_600_000) {
        return Err(ActionError::field("until", "field.invalid", "Ange en dag framåt i tiden, högst ett år bort."));
    }
    let row = ContactPerson { paused_until_at: until, updated_at: now, ..person.clone() };
    let action = if until.is_some() { "contact_person.paused" } else { "contact_person.resumed" };
    write(desk, session, row, action, json!({ "source": SOURCE })).await
}

/// Asks those who keep the register for somebody who stands in or takes over. Nothing changes before they have asked that
/// person.
///
/// # Errors
/// [`ActionError`].
pub async fn propose(
    desk: &Desk,
    session: &mut Session,
    person: &ContactPerson,
    (takes_over, who, form_key): (bool, &str, &str),
) -> Result<()> {
    let who = who.trim();
    if who.is_empty() || who.chars().count() > 500 {
        let detail = "Skriv namn och telefonnummer, högst 500 tecken.";
        return Err(ActionError::field("who", "field.required", detail));
    }
    if form_key.is_empty() || form_key.len() > 100 {
        return Err(ActionError::field("who", "field.invalid", "Sidan är för gammal. Skicka en gång till."));
    }
    let wish = if takes_over { "vill lämna över uppdraget till" } else { "föreslår som ersättare" };
    let text = format!("Kontaktombudet {wish}: {who}\n\nFråga personen innan registret ändras.");
    let incoming = incoming(desk, person, (&text, String::new()), form_key, None);
    let received = observation::receive(desk, session, &incoming).await?;
    // It is a matter for the register, and answers no alert, whatever is open.
    let mut row = received.observation;
    if received.is_new {
        (row.message_id, row.message_kind, row.alternative_id, row.is_urgent) = (None, None, None, 0);
        store::observation::update(session, &row).await?;
        store::observation_tag::set(session, &row.id, &["register".to_owned()]).await?;
    }
    Ok(())
}

/// Ends the assignment: the person is erased, and every way in with them.
///
/// # Errors
/// [`ActionError`]; a conflict while a large audience is being frozen.
pub async fn leave(desk: &Desk, session: &mut Session, person: &ContactPerson) -> Result<()> {
    let person = fresh(session, &person.id).await?;
    erase_row(desk, session, &of(&person), &person).await
}

/// The record as it stands in this transaction.
async fn fresh(session: &mut Session, id: &str) -> Result<ContactPerson> {
    let person = store::contact_person::get_locked(session, id).await?.filter(|person| person.erased_at.is_none());
    person.ok_or(ActionError::NotFound)
}

async fn write(
    desk: &Desk,
    session: &mut Session,
    row: ContactPerson,
    action: &str,
    detail: serde_json::Value,
) -> Result<()> {
    store::contact_person::put(session, &row).await?;
    desk.audit(session, &of(&row), action, ("contact_person", &row.id), detail).await
}
