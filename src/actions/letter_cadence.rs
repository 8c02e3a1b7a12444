//! Owns how the actor's municipalities stand to our goal for letters.
//!
//! It sends nothing and reminds nobody. Invariant: only a letter to a municipality as a whole counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Desk, Result, require};
use crate::domain::area::AreaKind;
use crate::domain::letter_cadence::{Standing, days_since, standing};
use crate::domain::operator::{Actor, Right};
use crate::store::{self, Session};

/// How one municipality stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AreaCadence {
    /// Its code.
    pub code: String,
    /// What it is called.
    pub name: String,
    /// Days since the last letter; `None` when there was none.
    pub days: Option<i64>,
    /// When the next one goes, if one is timed, Unix ms.
    pub planned_at: Option<i64>,
    /// How that stands to the goal.
    pub standing: Standing,
}

/// The municipalities that the actor has charge of, by code.
///
/// # Errors
/// [`super::ActionError::Forbidden`].
pub async fn of_areas(desk: &Desk, session: &mut Session, actor: &Actor) -> Result<Vec<AreaCadence>> {
    require(actor, Right::ReadLetters)?;
    let tree = store::area::tree(session).await?;
    let sent: BTreeMap<String, i64> = store::letter::last_sent(session).await?.into_iter().collect();
    let planned: BTreeMap<String, i64> = store::letter::next_planned(session).await?.into_iter().collect();
    let today = local_date(desk, desk.now());
    let goal = desk.config.letters.goal_every_days;
    let mine =
        tree.iter().filter(|area| area.kind == AreaKind::Municipality && tree.is_within(&area.code, &actor.area));
    Ok(mine
        .map(|area| {
            let days = sent.get(&area.code).map(|at| days_since(local_date(desk, *at), today));
            AreaCadence {
                code: area.code.clone(),
                name: area.name.clone(),
                days,
                planned_at: planned.get(&area.code).copied(),
                standing: standing(days, goal),
            }
        })
        .collect())
}

fn local_date(desk: &Desk, at: i64) -> Date {
    let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(desk.config.server.zone()).date()
}
