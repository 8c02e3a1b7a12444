//! Owns the automatic answer to an SMS: that it has come in, and that 112 is for what happens now.
//!
//! It never says that somebody has read anything. Invariants: at most one per sender and alert; none to what a machine sent,
//! to a sender that cannot be answered, or into a loop.

use jiff::Timestamp;

use super::reply::{self, Addressee, ReplyKind, Word, program};
use super::{Desk, Result};
use crate::domain::delivery::Channel;
use crate::domain::observation::{IncomingKind, is_automatic_sender};
use crate::domain::phone::PhoneNumber;
use crate::domain::plain_text::fold;
use crate::store::observation::Observation;
use crate::store::{self, Session};

/// More than this a sender does not get from the program in a day, whatever it sends.
pub(super) const MOST_A_DAY: i64 = 5;
const DAY_MS: i64 = 24 * 3_600_000;
/// What came longer ago than this, and is read only now, is not answered by itself: an hour.
const LATE_MS: i64 = 3_600_000;
/// The same text so many times within [`ECHO_MS`] is a machine's.
const ECHOES: usize = 3;
const ECHO_MS: i64 = 10 * 60_000;

/// Answers an observation by itself, where that is wanted and safe.
pub(super) async fn give(desk: &Desk, session: &mut Session, observation: &Observation) -> Result<()> {
    let rules = &desk.config.replies;
    let is_for_us = observation.kind == IncomingKind::Observation.code() && observation.channel == Channel::Sms.code();
    let is_late = desk.now() - observation.received_at > LATE_MS;
    if !rules.automatic || !is_for_us || is_late || observation.part_of.is_some() || !is_a_phone(&observation.sender) {
        return Ok(());
    }
    let at = local(desk, observation.received_at);
    let is_watched = rules.staffed().is_some_and(|hours| hours.contains(at.time()));
    if is_watched && observation.is_urgent == 0 {
        return Ok(());
    }
    if fold(&observation.text) == fold(&rules.automatic_text) || is_echo(session, observation).await? {
        return Ok(());
    }
    let about = match &observation.message_id {
        Some(id) => id.clone(),
        None => format!("day:{}", at.date()),
    };
    if !is_first(desk, session, ("sms", &observation.sender), &about).await? {
        return Ok(());
    }
    say(desk, session, observation, (ReplyKind::Automatic, &rules.automatic_text)).await
}

/// Whether somebody holds a phone there: not a name, a short code or a service that costs.
pub(super) fn is_a_phone(sender: &str) -> bool {
    !is_automatic_sender(sender) && PhoneNumber::parse(sender).is_ok_and(|number| number.can_get_sms())
}

/// Whether the program may write to a sender about something: once, and of each sort only so often a day, so that a day's answers to
/// what somebody has seen leave their STOP confirmed.
pub(super) async fn is_first(
    desk: &Desk,
    session: &mut Session,
    (sort, sender): (&str, &str),
    about: &str,
) -> Result<bool> {
    let fingerprint = desk.token_key.fingerprint(sort, sender);
    let now = desk.now();
    if store::reply::automatic_since(session, &fingerprint, now - DAY_MS).await? >= MOST_A_DAY {
        return Ok(false);
    }
    Ok(store::reply::note_automatic(session, (&fingerprint, about), now).await?)
}

/// Writes to the sender of an observation by SMS, in the program's name.
pub(super) async fn say(
    desk: &Desk,
    session: &mut Session,
    observation: &Observation,
    (kind, text): (ReplyKind, &str),
) -> Result<()> {
    let to = Addressee {
        address: observation.sender.clone(),
        contact_person_id: observation.contact_person_id.clone(),
        observations: vec![observation.id.clone()],
    };
    let word = Word { kind, channel: Channel::Sms, text };
    reply::queue(desk, session, &program(), word, &[to]).await.map(drop)
}

/// Whether the sender repeats itself as only a machine does.
async fn is_echo(session: &mut Session, observation: &Observation) -> Result<bool> {
    let window = (observation.received_at - ECHO_MS, observation.received_at);
    let sender = (Channel::Sms.code(), observation.sender.as_str());
    let near = store::observation::of_sender(session, sender, window).await?;
    Ok(near.iter().filter(|one| one.text == observation.text).count() >= ECHOES)
}

/// A time as people here read it off the clock.
pub(super) fn local(desk: &Desk, at: i64) -> jiff::Zoned {
    Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(desk.config.server.zone())
}
