//! Owns doing what a contact person asks for with one word: STOP, START, PAUS, SPRITT.
//!
//! How such words are written is `domain::reply`. Invariants: an opt-out is written down with source and time; what changed is
//! confirmed once, by SMS; a word that changes nothing is kept and not answered.

use serde_json::json;

use super::automatic_answer::{is_a_phone, is_first, local, say};
use super::contact_person::fingerprinted;
use super::reply::{ReplyKind, program};
use super::{Desk, Result};
use crate::domain::delivery::Channel;
use crate::domain::operator::Actor;
use crate::domain::reply::{Command, Scope};
use crate::store::contact_person::ContactPerson;
use crate::store::observation::Observation;
use crate::store::{self, Session};

const DAY_MS: i64 = 24 * 3_600_000;

/// What a command is about, once the channel it came on is known.
#[derive(Debug, Clone, Copy)]
struct Reach {
    alerts: bool,
    letters: bool,
}

impl Reach {
    fn of(scope: Scope, channel: &str) -> Self {
        let by_sms = channel == Channel::Sms.code();
        match scope {
            Scope::OfChannel => Self { alerts: by_sms, letters: !by_sms },
            Scope::Alerts => Self { alerts: true, letters: false },
            Scope::Letters => Self { alerts: false, letters: true },
            Scope::All => Self { alerts: true, letters: true },
        }
    }

    /// What it is called in a confirmation.
    fn words(self) -> &'static str {
        match (self.alerts, self.letters) {
            (true, true) => "sms eller brev",
            (false, _) => "brev",
            (true, false) => "sms",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// What came.
    pub(super) observation: &'a Observation,
    /// Everybody with the sender's number.
    pub(super) persons: &'a [ContactPerson],
    /// Whether it was fetched from the gateway's history after a restore.
    pub(super) is_fetched: bool,
}

impl Asked<'_> {
    /// When it holds from: what was said before a restore must not undo what was said later.
    fn at(&self, desk: &Desk) -> i64 {
        if self.is_fetched { self.observation.received_at.min(desk.now()) } else { desk.now() }
    }
}

/// Does what a command asks for, for everybody with the sender's number.
pub(super) async fn obey(desk: &Desk, session: &mut Session, asked: Asked<'_>, command: Command) -> Result<()> {
    let Asked { observation, persons, is_fetched } = asked;
    let confirmation = match command {
        Command::Stop(scope) => {
            let reach = Reach::of(scope, &observation.channel);
            stop(desk, session, asked, reach).await?.then(|| {
                let again = if reach.alerts { "START" } else { "START BREV" };
                format!(
                    "Du får inga fler {} om grannsamverkan från polisen. Skriv {again} om du ändrar dig.",
                    reach.words()
                )
            })
        }
        Command::Start(scope) => {
            let reach = Reach::of(scope, &observation.channel);
            start(desk, session, asked, reach).await?.then(|| {
                let what = reach.words().replace("eller", "och");
                format!("Du får {what} om grannsamverkan från polisen igen. Skriv STOP för att avsluta.")
            })
        }
        Command::Pause(days) => pause(desk, session, asked, days).await?.map(|until| {
            let until = local(desk, until);
            format!(
                "Du får inga sms eller brev om grannsamverkan förrän {}/{}. Skriv START för att få dem igen.",
                until.day(),
                until.month()
            )
        }),
        Command::Spread(households) => {
            spread(desk, session, (observation, persons), households).await?;
            None
        }
    };
    match confirmation {
        Some(text) if !is_fetched => confirm(desk, session, observation, &text).await,
        Some(_) | None => Ok(()),
    }
}

async fn confirm(desk: &Desk, session: &mut Session, observation: &Observation, text: &str) -> Result<()> {
    if observation.channel != Channel::Sms.code() || !is_a_phone(&observation.sender) {
        return Ok(());
    }
    let about = format!("command:{}", observation.id);
    if !is_first(desk, session, ("command", &observation.sender), &about).await? {
        return Ok(());
    }
    say(desk, session, observation, (ReplyKind::Confirmation, text)).await
}

/// The source that is written down with an opt-out.
fn source_of(observation: &Observation) -> String {
    if observation.channel == Channel::Sms.code() { "sms".to_owned() } else { "email".to_owned() }
}

/// Ends alerts or letters; says whether anything changed.
async fn stop(desk: &Desk, session: &mut Session, asked: Asked<'_>, reach: Reach) -> Result<bool> {
    let Asked { observation, persons, .. } = asked;
    if persons.is_empty() {
        return stop_unknown(desk, session, observation).await;
    }
    let now = asked.at(desk);
    let mut changed = false;
    for person in persons {
        let mut row = person.clone();
        if reach.alerts && row.alerts_opt_out_at.is_none() {
            (row.alerts_opt_out_at, row.alerts_opt_out_source) = (Some(now), Some(source_of(observation)));
        }
        if reach.letters && row.letters_opt_out_at.is_none() {
            (row.letters_opt_out_at, row.letters_opt_out_source) = (Some(now), Some(source_of(observation)));
        }
        let again =
            (reach.alerts && person.alerts_opt_out_at.is_some(), reach.letters && person.letters_opt_out_at.is_some());
        store::opt_out::note_repeated(session, &person.id, now, again).await?;
        if row == *person {
            continue;
        }
        changed = true;
        put(session, row, now).await?;
        for (channel, text) in wanted(person, reach) {
            let fingerprint = desk.token_key.fingerprint(channel, &text);
            store::contact_person::suppress(session, (fingerprint, channel), "opted_out", now).await?;
        }
        log(desk, session, person, "contact_person.opted_out", reach, observation).await?;
    }
    Ok(changed)
}

/// A number that nobody in the register has: it must not come back with an import.
async fn stop_unknown(desk: &Desk, session: &mut Session, observation: &Observation) -> Result<bool> {
    let channel = if observation.channel == Channel::Sms.code() { "sms" } else { "email" };
    let fingerprint = desk.token_key.fingerprint(channel, &observation.sender);
    let is_new = store::contact_person::suppressed(session, &fingerprint, channel).await?.is_none();
    store::contact_person::suppress(session, (fingerprint, channel), "opted_out", desk.now()).await?;
    Ok(is_new)
}

/// Brings alerts or letters back, and ends a pause; says whether anything changed.
async fn start(desk: &Desk, session: &mut Session, asked: Asked<'_>, reach: Reach) -> Result<bool> {
    let Asked { observation, persons, .. } = asked;
    let now = asked.at(desk);
    let mut changed = false;
    if persons.is_empty() {
        let channel = if observation.channel == Channel::Sms.code() { "sms" } else { "email" };
        let fingerprint = desk.token_key.fingerprint(channel, &observation.sender);
        changed = store::contact_person::suppressed(session, &fingerprint, channel).await?.is_some();
        store::contact_person::unsuppress(session, (&fingerprint, channel), now).await?;
    }
    // One that was fetched from a gateway's history may be older than what was said since.
    let has_said_no_since = |person: &&ContactPerson| {
        (reach.alerts && person.alerts_opt_out_at.is_some_and(|at| at > now))
            || (reach.letters && person.letters_opt_out_at.is_some_and(|at| at > now))
    };
    for person in persons.iter().filter(|person| !has_said_no_since(person)) {
        let mut row = person.clone();
        row.paused_until_at = row.paused_until_at.filter(|until| *until <= now);
        if reach.alerts {
            (row.alerts, row.alerts_opt_out_at, row.alerts_opt_out_source) = (1, None, None);
        }
        if reach.letters {
            (row.letters, row.letters_opt_out_at, row.letters_opt_out_source) = (1, None, None);
        }
        for (channel, text) in wanted(person, reach) {
            let fingerprint = desk.token_key.fingerprint(channel, &text);
            store::contact_person::unsuppress(session, (&fingerprint, channel), now).await?;
        }
        if row == *person {
            continue;
        }
        changed = true;
        put(session, row, now).await?;
        log(desk, session, person, "contact_person.opted_in", reach, observation).await?;
    }
    Ok(changed)
}

/// The addresses that a command is about: `(channel, text)`.
fn wanted(person: &ContactPerson, reach: Reach) -> Vec<(&'static str, String)> {
    let is_wanted = |channel: &str| (reach.alerts && channel == "sms") || (reach.letters && channel == "email");
    fingerprinted(person).into_iter().filter(|(channel, _)| is_wanted(channel)).collect()
}

/// Pauses everything for so many days; says until when if anything changed.
async fn pause(desk: &Desk, session: &mut Session, asked: Asked<'_>, days: u32) -> Result<Option<i64>> {
    let persons = asked.persons;
    let now = asked.at(desk);
    let until = now + i64::from(days) * DAY_MS;
    let mut changed = false;
    for person in persons {
        if person.paused_until_at.is_some_and(|at| at / DAY_MS == until / DAY_MS) {
            continue;
        }
        changed = true;
        put(session, ContactPerson { paused_until_at: Some(until), ..person.clone() }, now).await?;
        let actor = of(person);
        let object = ("contact_person", person.id.as_str());
        desk.audit(session, &actor, "contact_person.paused", object, json!({ "days": days })).await?;
    }
    Ok(changed.then_some(until))
}

/// Notes that an alert was passed on. Of those with one number, the first speaks for all.
async fn spread(
    desk: &Desk,
    session: &mut Session,
    (observation, persons): (&Observation, &[ContactPerson]),
    households: Option<u32>,
) -> Result<()> {
    let (Some(alert), Some(person)) = (&observation.message_id, persons.first()) else { return Ok(()) };
    let households = households.map_or(person.households, i64::from);
    let source = if observation.channel == Channel::Sms.code() { "sms" } else { "email" };
    let now = desk.now();
    store::spread::confirm(session, (alert, &person.id), (households, source), now).await?;
    let detail = json!({ "alert": alert, "households": households });
    desk.audit(session, &of(person), "alert.spread_confirmed", ("alert", alert), detail).await
}

async fn put(session: &mut Session, mut row: ContactPerson, now: i64) -> Result<()> {
    row.updated_at = now;
    Ok(store::contact_person::put(session, &row).await?)
}

/// The person as the one who acts.
pub(super) fn of(person: &ContactPerson) -> Actor {
    Actor { id: format!("contact_person:{}", person.id), ..program() }
}

async fn log(
    desk: &Desk,
    session: &mut Session,
    person: &ContactPerson,
    action: &str,
    reach: Reach,
    observation: &Observation,
) -> Result<()> {
    let detail = json!({ "alerts": reach.alerts, "letters": reach.letters, "source": source_of(observation) });
    desk.audit(session, &of(person), action, ("contact_person", &person.id), detail).await
}
