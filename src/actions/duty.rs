//! Owns telling the duty number of urgent answers that nobody has taken in time.
//!
//! Invariants: each is told of once; the SMS holds neither what was written nor by whom.

use super::automatic_answer::local;
use super::reply::{Addressee, ReplyKind, Word, program, queue};
use super::{Desk, Result};
use crate::domain::delivery::Channel;
use crate::store;
use crate::store::observation::Observation;

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
    if rules.duty_number.is_empty() {
        return Ok(0);
    }
    let now = desk.now();
    let window = (now - OLDEST_MS, now - i64::from(rules.duty_after_seconds) * 1000);
    if store::observation::untaken(&mut desk.store.read().await?, window, true, 1).await?.is_empty() {
        return Ok(0);
    }
    let mut session = desk.store.begin().await?;
    let mut waiting = Vec::new();
    for one in store::observation::untaken(&mut session, window, true, MOST).await? {
        // Another daemon may have told of it, or somebody taken it, while we waited for the row.
        let held = store::observation::get_locked(&mut session, &one.id).await?;
        waiting.extend(held.filter(|one| one.duty_told_at.is_none() && one.taken_at.is_none()));
    }
    let Some(oldest) = waiting.first() else { return Ok(0) };
    let tree = store::area::tree(&mut session).await?;
    let area = oldest.area_code.as_deref().and_then(|code| tree.get(code)).map(|area| area.name.clone());
    let text = text(desk, &waiting, area.as_deref());
    let to = Addressee {
        address: rules.duty_number.clone(),
        contact_person_id: None,
        observations: waiting.iter().map(|one| one.id.clone()).collect(),
    };
    let word = Word { kind: ReplyKind::Duty, channel: Channel::Sms, text: &text };
    queue(desk, &mut session, &program(), word, &[to]).await?;
    for mut one in waiting.iter().cloned() {
        one.duty_told_at = Some(now);
        one.changed_at = now;
        store::observation::update(&mut session, &one).await?;
    }
    session.commit().await?;
    desk.wakeup.ring();
    Ok(waiting.len())
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
