//! Owns taking in what people answer, whatever channel it came on: who sent it, which alert it is about, and what the program
//! does about it by itself.
//!
//! What people do with observations is in `observation_work`. Invariants: an answer is kept whoever sent it and whatever it
//! says; the same answer brought twice is taken in once, with all that follows from it.

use super::reply::program;
use super::{Desk, Result, automatic_answer, command};
use crate::domain::delivery::Channel;
use crate::domain::email_address;
use crate::domain::observation::{self, IncomingKind, LONGEST_TEXT, ObservationState};
use crate::domain::operator::Actor;
use crate::domain::phone::PhoneNumber;
use crate::domain::plain_text::is_forbidden_control;
use crate::domain::reply::{self, Command};
use crate::store::contact_person::ContactPerson;
use crate::store::observation::{Observation, OpenAlert};
use crate::store::{self, Session};

/// Parts of one long SMS come within this: a minute.
const PARTS_WITHIN_MS: i64 = 60_000;
/// A gateway's clock may run behind ours by so much.
const SKEW_MS: i64 = 5_000;

/// An answer as it came, on any channel.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// SMS or e-mail.
    pub channel: Channel,
    /// Number or address it came from.
    pub sender: String,
    /// The provider's id of it, unique on its channel.
    pub reference: String,
    /// What was written; of a mail, without what it quotes.
    pub text: String,
    /// When it was sent, by the provider's clock, Unix ms.
    pub sent_at: Option<i64>,
    /// When it came, Unix ms.
    pub received_at: i64,
    /// Who sent it, where something proves it, such as the delivery that is answered.
    pub contact_person_id: Option<String>,
    /// The alert or letter it answers, where something proves it.
    pub message_id: Option<String>,
    /// Whether a machine sent it: it is filed apart, and never answered.
    pub is_automatic: bool,
    /// Whether it was fetched from a gateway's history after a restore: done as of when it came, and never answered by itself.
    pub is_fetched: bool,
    /// Where something was seen, if it was left at the sender's own page: no word of it is a command then.
    pub via_page: Option<String>,
}

/// An answer that was taken in.
#[derive(Debug, Clone)]
pub struct Received {
    /// As it is kept.
    pub observation: Observation,
    /// Whether it is new; `false` when it had come before, and nothing was done.
    pub is_new: bool,
}

/// Takes an answer in, and does what follows by itself: commands, confirmations of spreading, the automatic answer.
///
/// # Errors
/// [`super::ActionError::Store`]; nothing is kept then.
pub async fn receive(desk: &Desk, session: &mut Session, incoming: &Incoming) -> Result<Received> {
    let channel = incoming.channel.code();
    if let Some(observation) = store::observation::by_reference(session, channel, &incoming.reference).await? {
        return Ok(Received { observation, is_new: false });
    }
    let sender = canonical_sender(incoming);
    let persons = persons_of(session, incoming, &sender).await?;
    let alerts = open_alerts(desk, session, incoming, &persons).await?;
    let text = kept_text(&incoming.text);
    // A sender's address on a mail is what anybody may write there: only a proven one is obeyed.
    let is_proven = incoming.channel == Channel::Sms || incoming.contact_person_id.is_some();
    let may_command = is_proven && !incoming.is_automatic && incoming.via_page.is_none();
    let command = if may_command { read_command(&text, &persons, &alerts) } else { None };
    let kind = match command {
        _ if incoming.is_automatic => IncomingKind::Automatic,
        None => IncomingKind::Observation,
        Some(Command::Spread(_)) => IncomingKind::Spread,
        Some(_) => IncomingKind::Command,
    };
    let mut observation = Observation {
        id: desk.id(),
        // A blank at the cut of a long SMS belongs to it.
        text: if observation::fills_a_part(&text) { text } else { text.trim().to_owned() },
        channel: channel.to_owned(),
        reference: incoming.reference.clone(),
        sender,
        kind: kind.code().to_owned(),
        state: state_of(kind).code().to_owned(),
        sent_at: incoming.sent_at,
        received_at: incoming.received_at,
        changed_at: desk.now(),
        place: incoming.via_page.clone().unwrap_or_default(),
        via_page: i64::from(incoming.via_page.is_some()),
        ..Observation::default()
    };
    belong(session, &mut observation, incoming, (&persons, &alerts, kind)).await?;
    if kind == IncomingKind::Observation {
        weigh(desk, session, &mut observation, &incoming.text).await?;
        // The duty number has been told of it by the database that is gone.
        observation.is_urgent &= i64::from(!incoming.is_fetched);
    }
    if !store::observation::insert(session, &observation).await? {
        // Another daemon has just taken it in.
        let known = store::observation::by_reference(session, channel, &incoming.reference).await?;
        return Ok(Received { observation: known.unwrap_or(observation), is_new: false });
    }
    log(desk, session, &observation).await?;
    match command {
        Some(command) => {
            let asked =
                command::Asked { observation: &observation, persons: &persons, is_fetched: incoming.is_fetched };
            command::obey(desk, session, asked, command).await?;
        }
        None if incoming.is_fetched => {}
        None => automatic_answer::give(desk, session, &observation).await?,
    }
    metrics::counter!("grannpost_observations_total", "channel" => channel, "kind" => kind.code()).increment(1);
    Ok(Received { observation, is_new: true })
}

/// What a machine did is done; what a person wrote has only come in.
fn state_of(kind: IncomingKind) -> ObservationState {
    match kind {
        IncomingKind::Observation => ObservationState::Received,
        IncomingKind::Command | IncomingKind::Spread | IncomingKind::Automatic => ObservationState::FedBack,
    }
}

/// The sender as numbers and addresses are stored; what is neither stays as it came.
fn canonical_sender(incoming: &Incoming) -> String {
    let sender = incoming.sender.trim();
    match incoming.channel {
        Channel::Sms => PhoneNumber::parse(sender).map_or_else(|_| sender.to_owned(), |n| n.e164().to_owned()),
        Channel::Email | Channel::Paper => email_address::key(sender),
    }
}

/// The text that is kept: no control characters, no more than can be read.
fn kept_text(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| !is_forbidden_control(*c)).take(LONGEST_TEXT).collect()
}

/// Whose the sender is; several persons may share a number.
async fn persons_of(session: &mut Session, incoming: &Incoming, sender: &str) -> Result<Vec<ContactPerson>> {
    if let Some(id) = &incoming.contact_person_id {
        let person = store::contact_person::get(session, id).await?.filter(|person| person.erased_at.is_none());
        if let Some(person) = person {
            return Ok(vec![person]);
        }
    }
    if incoming.channel == Channel::Email {
        return Ok(store::contact_person::by_email_key(session, sender).await?);
    }
    let persons = store::contact_person::by_mobile(session, sender).await?;
    if persons.is_empty() { Ok(store::contact_person::by_phone2(session, sender).await?) } else { Ok(persons) }
}

/// The alerts an answer may belong to, the likeliest first, a follow-up as the alert it follows.
async fn open_alerts(
    desk: &Desk,
    session: &mut Session,
    incoming: &Incoming,
    persons: &[ContactPerson],
) -> Result<Vec<OpenAlert>> {
    if incoming.message_id.is_some() {
        return Ok(Vec::new());
    }
    let at = incoming.received_at;
    let since = at - i64::from(desk.config.replies.window_hours) * 3_600_000;
    let mut open: Vec<OpenAlert> = Vec::new();
    for person in persons {
        let found = store::observation::open_alerts(session, (&person.id, &person.area_code), (at + SKEW_MS, since));
        open.extend(found.await?);
    }
    // On the phone before in the area, valid before ended, asking before informing, new before old.
    open.sort_by_key(|alert| {
        let rank = (alert.has_it == 1, alert.expires_at > at, alert.kind == "observation", alert.created_at);
        (std::cmp::Reverse(rank), alert.id.clone())
    });
    let mut roots: Vec<OpenAlert> = Vec::new();
    for mut alert in open {
        while let Some(first) = alert.follows.take() {
            let Some(message) = store::message::get(session, &first).await? else { break };
            (alert.id, alert.follows) = (message.id, message.follows);
        }
        if roots.iter().all(|other| other.id != alert.id) {
            roots.push(alert);
        }
    }
    Ok(roots)
}

/// A command, where the whole message is one. That something was spread is one only about an alert that may be spread:
/// about any other, a person has to see it.
fn read_command(text: &str, persons: &[ContactPerson], alerts: &[OpenAlert]) -> Option<Command> {
    // The likeliest alert only: an older one that may be spread must not hide that another was.
    let may_confirm = !persons.is_empty() && alerts.first().is_some_and(|alert| alert.spread == "households");
    let command = reply::command(text, may_confirm)?;
    (may_confirm || !matches!(command, Command::Spread(_))).then_some(command)
}

/// Ties an answer to its person, area and alert.
async fn belong(
    session: &mut Session,
    observation: &mut Observation,
    incoming: &Incoming,
    (persons, alerts, kind): (&[ContactPerson], &[OpenAlert], IncomingKind),
) -> Result<()> {
    if let Some(person) = persons.first() {
        observation.contact_person_id = Some(person.id.clone());
        observation.area_code = Some(person.area_code.clone());
    }
    let fits = |alert: &&OpenAlert| kind != IncomingKind::Spread || alert.spread == "households";
    let mut fitting = alerts.iter().filter(fits).map(|alert| alert.id.clone());
    observation.message_id = incoming.message_id.clone().or_else(|| fitting.next());
    observation.alternative_id = fitting.next();
    if let Some(id) = &observation.message_id {
        let message = store::message::get(session, id).await?;
        observation.message_kind = message.map(|message| message.kind);
        if observation.message_kind.is_none() {
            observation.message_id = None;
        }
    }
    Ok(())
}

/// Whether an observation is a part of a longer one, is urgent, and when it should be answered.
async fn weigh(desk: &Desk, session: &mut Session, observation: &mut Observation, as_it_came: &str) -> Result<()> {
    let words = &desk.config.replies.urgent_words;
    observation.is_urgent = i64::from(observation::is_urgent(&observation.text, words));
    let received = jiff::Timestamp::from_millisecond(observation.received_at).unwrap_or_default();
    let zone = desk.config.server.zone();
    let days = desk.config.replies.answer_within_days;
    observation.answer_by_at = Some(observation::answer_by(received.to_zoned(zone), days).as_millisecond());
    let Some(mut first) = first_part(session, observation).await? else { return Ok(()) };
    observation.part_of = Some(first.id.clone());
    observation.text = kept_text(as_it_came);
    observation.answer_by_at = None;
    let joined = format!("{}{}", first.text, observation.text);
    if first.is_urgent == 0 && observation::is_urgent(&joined, words) {
        first.is_urgent = 1;
    }
    // Urgent is the whole; its parts are not taken one by one.
    observation.is_urgent = 0;
    first.changed_at = desk.now();
    Ok(store::observation::update(session, &first).await?)
}

/// The first part of the long SMS that this is a part of, if it is one. Parts may come in any order: either is as long as a
/// part can be.
async fn first_part(session: &mut Session, of: &Observation) -> Result<Option<Observation>> {
    if of.channel != Channel::Sms.code() || of.via_page == 1 {
        return Ok(None);
    }
    let window = (of.received_at - PARTS_WITHIN_MS, of.received_at + PARTS_WITHIN_MS);
    let near = store::observation::of_sender(session, (Channel::Sms.code(), &of.sender), window).await?;
    let near: Vec<Observation> = near
        .into_iter()
        .filter(|one| one.kind == IncomingKind::Observation.code() && one.archived_at.is_none() && one.via_page == 0)
        .collect();
    let Some(last) = near.last() else { return Ok(None) };
    if !observation::fills_a_part(&last.text) && !observation::fills_a_part(&of.text) {
        return Ok(None);
    }
    let first = last.part_of.clone().unwrap_or_else(|| last.id.clone());
    Ok(store::observation::get_locked(session, &first).await?)
}

async fn log(desk: &Desk, session: &mut Session, observation: &Observation) -> Result<()> {
    let actor = Actor {
        id: observation
            .contact_person_id
            .as_ref()
            .map_or_else(|| "unknown_sender".to_owned(), |id| format!("contact_person:{id}")),
        ..program()
    };
    let detail = serde_json::json!({
        "channel": observation.channel,
        "kind": observation.kind,
        "message": observation.message_id,
        "urgent": observation.is_urgent == 1,
    });
    desk.audit(session, &actor, "observation.received", ("observation", &observation.id), detail).await
}
