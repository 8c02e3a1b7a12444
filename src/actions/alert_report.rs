//! Owns the report of one alert, to print and file: how deliveries went over time, and the log that proves it.
//!
//! It holds no contact person. Invariant: everything in it is on disk; what is not known is said to be unknown.

use std::sync::Arc;

use super::alert_figures::{self, AlertFigures};
use super::{Desk, Result, lately};
use crate::domain::delivery::DeliveryState;
use crate::domain::operator::Actor;
use crate::store::alert::Passed;
use crate::store::audit::{Filter, Head, Stored};
use crate::store::{self, Session};

/// How long the counts over time of a large alert hold, in milliseconds.
const HOLDS_MS: i64 = 5_000;
/// Most entries of the log; an alert has some ten.
const MOST_ENTRIES: i64 = 400;
/// Minutes after the beginning at which the counts are shown.
const MINUTES: [i64; 6] = [1, 2, 5, 15, 60, 240];

/// How many had come so far by a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// By the end of this minute, Unix ms.
    pub by: i64,
    /// Handed over to the gateway.
    pub accepted: i64,
    /// Delivered.
    pub delivered: i64,
    /// Known not to have arrived.
    pub not_delivered: i64,
}

/// The report of one alert.
#[derive(Debug, Clone)]
pub struct AlertReport {
    /// The alert with its figures.
    pub figures: AlertFigures,
    /// How it went over time.
    pub tallies: Vec<Tally>,
    /// When that was counted, Unix ms; now unless the audience is large.
    pub tallied_at: i64,
    /// What the log says about it, in order.
    pub entries: Vec<Stored>,
    /// The log's head when the report was made.
    pub head: Option<Head>,
    /// When it was made, Unix ms.
    pub made_at: i64,
}

/// The report of an alert of the actor's areas.
///
/// # Errors
/// [`super::ActionError::NotFound`] when there is none.
pub async fn get(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<AlertReport> {
    let figures = alert_figures::get(desk, session, actor, id).await?;
    let filter = Filter { object_id: id.to_owned(), until: i64::MAX, ..Filter::default() };
    let mut entries = store::audit::page(session, &filter, MOST_ENTRIES).await?;
    entries.reverse();
    let (tallied_at, passed) = passed(desk, session, &figures).await?;
    Ok(AlertReport {
        tallies: tallies(&passed),
        tallied_at,
        head: store::audit::head(session).await?,
        made_at: desk.now(),
        figures,
        entries,
    })
}

async fn passed(desk: &Desk, session: &mut Session, figures: &AlertFigures) -> Result<(i64, Arc<Vec<Passed>>)> {
    let (id, now) = (figures.view.message.id.as_str(), desk.now());
    if let Some(known) = desk.lately.passed.get(id, now, HOLDS_MS) {
        if known.is_old {
            let (store, id) = (desk.store.clone(), id.to_owned());
            let counting = async move { Ok(store::alert::passed_by_minute(&mut store.read().await?, &id).await?) };
            lately::count_beside(desk, |lately| &lately.passed, &figures.view.message.id, counting);
        }
        return Ok((known.at, known.value));
    }
    let passed = Arc::new(store::alert::passed_by_minute(session, id).await?);
    if alert_figures::is_large(desk, &figures.view) {
        desk.lately.passed.keep(id, now, Arc::clone(&passed));
    }
    Ok((now, passed))
}

/// The counts at some minutes after the first, and at the last in which anything happened.
fn tallies(passed: &[Passed]) -> Vec<Tally> {
    let (Some(first), Some(last)) = (passed.first(), passed.last()) else { return Vec::new() };
    let mut minutes: Vec<i64> = MINUTES.iter().map(|after| first.minute + after - 1).collect();
    minutes.retain(|minute| *minute < last.minute);
    minutes.push(last.minute);
    minutes.into_iter().map(|minute| tally(passed, minute)).collect()
}

fn tally(passed: &[Passed], minute: i64) -> Tally {
    let sum = |states: &[DeliveryState]| {
        let fits = |one: &&Passed| one.minute <= minute && states.iter().any(|state| state.code() == one.state);
        passed.iter().filter(fits).map(|one| one.deliveries).sum()
    };
    Tally {
        by: (minute + 1) * 60_000,
        accepted: sum(&[DeliveryState::Accepted]),
        delivered: sum(&[DeliveryState::Delivered]),
        not_delivered: sum(&[DeliveryState::Undelivered, DeliveryState::Failed]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(minute: i64, state: DeliveryState, deliveries: i64) -> Passed {
        Passed { minute, state: state.code().to_owned(), deliveries }
    }

    #[test]
    fn counts_add_up_minute_by_minute_and_end_with_the_last() {
        use DeliveryState as S;
        let rows = [
            passed(100, S::Accepted, 200),
            passed(100, S::Delivered, 50),
            passed(101, S::Accepted, 40),
            passed(103, S::Delivered, 170),
            passed(130, S::Undelivered, 20),
        ];
        let shown: Vec<_> =
            tallies(&rows).iter().map(|t| (t.by / 60_000, t.accepted, t.delivered, t.not_delivered)).collect();
        assert_eq!(
            shown,
            [(101, 200, 50, 0), (102, 240, 50, 0), (105, 240, 220, 0), (115, 240, 220, 0), (131, 240, 220, 20)]
        );
        assert_eq!(tallies(&[]), []);
    }
}
