//! Owns telling the duty number of urgent answers that nobody has taken in time.
//!
//! Invariants: each is told of once; the SMS holds neither what was written nor by whom.

use std::collections::BTreeMap;

use super::automatic_answer::local;
use super::reply::{Addressee, ReplyKind, Word, program, queue};
use super::{Desk, Result};
use crate::domain::delivery::Channel;
use crate::store::observation::Observation;
use crate::store::{self, Session};

/// Answers older than this are not told of any more: a daemon that was away for a day must not wake anybody for them.
const OLDEST_MS: i64 = 2 * 3_600_000;
/// Answers told of in one SMS.
const MOST: i64 = 200;

/// Tells of what has waited too long; says of how many.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn tell(desk: &Desk) -> Result<usize> {
    let rules = &desk.config.replies;
    let now = desk.now();
    let window = (now - OLDEST_MS, now - i64::from(rules.duty_after_seconds) * 1000);
    let mut session = desk.store.read().await?;
    let waiting = store::observation::untaken(&mut session, window, true, MOST).await?;
    if by_number(desk, &mut session, waiting).await?.is_empty() {
        return Ok(0);
    }
    drop(session);
    let mut session = desk.store.begin().await?;
    let mut waiting = Vec::new();
    for one in store::observation::untaken(&mut session, window, true, MOST).await? {
        // Another daemon may have told of it, or somebody taken it, while we waited for the row.
        let held = store::observation::get_locked(&mut session, &one.id).await?;
        waiting.extend(held.filter(|one| one.duty_told_at.is_none() && one.taken_at.is_none()));
    }
    let mut told = 0;
    for (number, waiting) in by_number(desk, &mut session, waiting).await? {
        told += waiting.len();
        tell_one(desk, &mut session, number, waiting).await?;
    }
    session.commit().await?;
    if told > 0 {
        desk.wakeup.ring();
    }
    Ok(told)
}

/// What waits, by the number that is told: the alert's own, else the configured one. What has none is left out.
async fn by_number(
    desk: &Desk,
    session: &mut Session,
    waiting: Vec<Observation>,
) -> Result<BTreeMap<String, Vec<Observation>>> {
    let mut numbers: BTreeMap<String, Vec<Observation>> = BTreeMap::new();
    for one in waiting {
        let alert = match &one.message_id {
            Some(id) => store::alert::get(session, id).await?,
            None => None,
        };
        let own = alert.map(|alert| alert.duty_number).filter(|number| !number.is_empty());
        let number = own.unwrap_or_else(|| desk.config.replies.duty_number.clone());
        if !number.is_empty() {
            numbers.entry(number).or_default().push(one);
        }
    }
    Ok(numbers)
}

async fn tell_one(desk: &Desk, session: &mut Session, number: String, waiting: Vec<Observation>) -> Result<()> {
    let tree = store::area::tree(session).await?;
    let area = waiting.first().and_then(|oldest| oldest.area_code.as_deref());
    let area = area.and_then(|code| tree.get(code)).map(|area| area.name.clone());
    let text = text(desk, &waiting, area.as_deref());
    let to = Addressee {
        address: number,
        contact_person_id: None,
        observations: waiting.iter().map(|one| one.id.clone()).collect(),
    };
    let word = Word { kind: ReplyKind::Duty, channel: Channel::Sms, text: &text };
    queue(desk, session, &program(), word, &[to]).await?;
    let now = desk.now();
    for mut one in waiting {
        one.duty_told_at = Some(now);
        one.changed_at = now;
        store::observation::update(session, &one).await?;
    }
    Ok(())
}

fn text(desk: &Desk, waiting: &[Observation], area: Option<&str>) -> String {
    let since = waiting.first().map_or_else(|| desk.now(), |one| one.received_at);
    let since = local(desk, since).strftime("kl. %H.%M").to_string();
    let whence = area.map_or_else(|| "okänt nummer".to_owned(), |area| format!("området {area}"));
    match waiting.len() {
        1 => format!(
            "Grannsamverkan: ett svar som kan vara akut, från {whence}, väntar sedan {since}. Ingen har tagit det. Öppna inkorgen."
        ),
        n => format!(
            "Grannsamverkan: {n} svar som kan vara akuta väntar, det äldsta sedan {since} från {whence}. Ingen har tagit dem. Öppna inkorgen."
        ),
    }
}
