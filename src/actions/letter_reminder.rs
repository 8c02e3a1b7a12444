//! Owns the reminder that the next letter is soon due by our own goal: one e-mail to the chiefs in charge, before it is late.
//!
//! Without a goal nobody is reminded. Invariant: one reminder for each municipality and last letter, also with several daemons.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::letter_cadence::{self, AreaCadence};
use super::{Desk, Result, notice};
use crate::domain::area::AreaTree;
use crate::domain::letter_cadence::Standing;
use crate::domain::operator::{Actor, Role};
use crate::store::operator::Operator;
use crate::store::{self, Session, setting};

/// Local hours in which chiefs are reminded: nothing is so urgent that it must come at night.
const HOURS: std::ops::Range<i8> = 8..20;

/// The last letter that each municipality was reminded of, Unix ms, by code.
type Reminded = BTreeMap<String, i64>;

/// Reminds chiefs of the municipalities whose next letter is near and not planned; says how many were written to.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn remind(desk: &Desk) -> Result<usize> {
    let now = Timestamp::from_millisecond(desk.now()).unwrap_or(Timestamp::UNIX_EPOCH);
    let hour = now.to_zoned(desk.config.server.zone()).hour();
    if desk.config.letters.goal_every_days == 0 || desk.config.mail.url.is_empty() || !HOURS.contains(&hour) {
        return Ok(0);
    }
    let mut session = desk.store.read().await?;
    let (near, _) = near(desk, &mut session).await?;
    drop(session);
    if near.is_empty() {
        return Ok(0);
    }
    let mut session = desk.store.begin().await?;
    // Holds the other daemons until this one has committed: they find nobody left to remind.
    setting::next_message_number(&mut session).await?;
    let (near, reminded) = self::near(desk, &mut session).await?;
    let told = tell(desk, &mut session, &near).await?;
    setting::set(&mut session, setting::LETTERS_REMINDED, serde_json::json!(reminded).to_string()).await?;
    session.commit().await?;
    desk.wakeup.ring();
    Ok(told)
}

/// Municipalities to remind of, and what will have been reminded of then.
async fn near(desk: &Desk, session: &mut Session) -> Result<(Vec<AreaCadence>, Reminded)> {
    let tree = store::area::tree(session).await?;
    let sent: BTreeMap<String, i64> = store::letter::last_sent(session).await?.into_iter().collect();
    let known = setting::get(session, setting::LETTERS_REMINDED).await?.unwrap_or_default();
    let mut reminded: Reminded = serde_json::from_str(&known).unwrap_or_default();
    let mut near = letter_cadence::of_areas(desk, session, &itself(&tree)).await?;
    near.retain(|area| {
        let is_new = sent.get(&area.code).is_some_and(|at| reminded.get(&area.code) != Some(at));
        is_new && area.planned_at.is_none() && matches!(area.standing, Standing::Near { .. })
    });
    reminded.extend(near.iter().filter_map(|area| Some((area.code.clone(), *sent.get(&area.code)?))));
    Ok((near, reminded))
}

/// One e-mail to each chief who has any of these in their care; to administrators where nobody has.
async fn tell(desk: &Desk, session: &mut Session, near: &[AreaCadence]) -> Result<usize> {
    let tree = store::area::tree(session).await?;
    let operators = store::operator::list(session).await?;
    let enabled = |role: Role| operators.iter().filter(move |one| one.role == role.code() && one.disabled_at.is_none());
    let mut told = 0;
    let mut left: Vec<&AreaCadence> = near.iter().collect();
    for chief in enabled(Role::Chief) {
        let own: Vec<&AreaCadence> = near.iter().filter(|area| tree.is_within(&area.code, &chief.area_code)).collect();
        if !own.is_empty() {
            left.retain(|area| !own.contains(area));
            told += write(desk, session, (&tree, chief), &own).await?;
        }
    }
    for admin in enabled(Role::Admin).filter(|_| !left.is_empty()) {
        told += write(desk, session, (&tree, admin), &left).await?;
    }
    Ok(told)
}

async fn write(
    desk: &Desk,
    session: &mut Session,
    (tree, whom): (&AreaTree, &Operator),
    near: &[&AreaCadence],
) -> Result<usize> {
    let line = |area: &&AreaCadence| {
        let left = match area.standing {
            Standing::Near { left: 0 } => "i dag är sista dagen".to_owned(),
            Standing::Near { left: 1 } => "1 dag kvar".to_owned(),
            Standing::Near { left } => format!("{left} dagar kvar"),
            _ => String::new(),
        };
        format!("{}: {} dagar sedan senaste brevet, {left}.", area.name, area.days.unwrap_or_default())
    };
    let text = format!(
        "Vårt mål är ett brev minst var {}:e dag. Inget nytt brev är planerat till:\n\n{}\n\nSkriv brevet här: {}\n",
        desk.config.letters.goal_every_days,
        near.iter().map(line).collect::<Vec<_>>().join("\n"),
        desk.config.server.public_link("/letters/new")
    );
    notice::to(desk, session, &itself(tree), (&[&whom.email], "Snart dags för nästa brev", &text)).await?;
    Ok(1)
}

/// Who acts when nobody does.
fn itself(tree: &AreaTree) -> Actor {
    let area = tree.root().map(|root| root.code.clone()).unwrap_or_default();
    Actor { id: "grannpost".to_owned(), role: Role::Admin, area, is_key: true }
}
