//! Owns the register counted by area: who is there, whom an alert would reach, and why not the others.
//!
//! A large register is counted at most once in ten seconds, for everybody who looks, and beside the look; an alert that is made counts its own
//! audience anew. Invariant: figures of the same moment add up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Desk, Result, lately};
use crate::domain::audience::{AlertAudience, Population};
use crate::store::audience::CensusRow;
use crate::store::{self, Session};

/// How long the count of a large register holds, in milliseconds.
const HOLDS_MS: i64 = 10_000;

/// The register counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    areas: BTreeMap<String, Vec<CensusRow>>,
    total: i64,
}

/// The register as it is, or as it was a few seconds ago when it is large.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn of(desk: &Desk, session: &mut Session) -> Result<Arc<Census>> {
    let now = desk.now();
    if let Some(known) = desk.lately.census.get("", now, HOLDS_MS) {
        if known.is_old {
            let store = desk.store.clone();
            let counting = async move { count(&mut store.read().await?, now).await };
            lately::count_beside(desk, |lately| &lately.census, "", counting);
        }
        return Ok(known.value);
    }
    let census = Arc::new(count(session, now).await?);
    if census.total > i64::from(desk.config.database.rows_at_once) {
        desk.lately.census.keep("", now, Arc::clone(&census));
    }
    Ok(census)
}

async fn count(session: &mut Session, now: i64) -> Result<Census> {
    let mut census = Census::default();
    for row in store::audience::census(session, now).await? {
        census.total += row.contact_persons;
        census.areas.entry(row.area_code.clone()).or_default().push(row);
    }
    Ok(census)
}

impl Census {
    /// Persons and households of each area itself, without what lies below it.
    #[must_use]
    pub fn populations(&self) -> BTreeMap<String, Population> {
        let of = |rows: &Vec<CensusRow>| {
            let audience = audience(rows.iter());
            Population {
                contact_persons: audience.contact_persons,
                households: audience.households,
                by_sms: audience.by_sms,
            }
        };
        self.areas.iter().map(|(code, rows)| (code.clone(), of(rows))).collect()
    }

    /// Whom an alert to these areas (with all below them, expanded by the caller) would reach.
    #[must_use]
    pub fn audience(&self, codes: &[&str]) -> AlertAudience {
        audience(self.rows(codes))
    }

    /// Why persons in these areas would not get it, and how many.
    #[must_use]
    pub fn not_reached(&self, codes: &[&str]) -> Vec<(String, i64)> {
        let mut reasons: BTreeMap<&str, i64> = BTreeMap::new();
        for row in self.rows(codes) {
            if let Some(why) = &row.why {
                *reasons.entry(why).or_default() += row.contact_persons;
            }
        }
        reasons.into_iter().map(|(why, persons)| (why.to_owned(), persons)).collect()
    }

    fn rows<'a>(&'a self, codes: &'a [&str]) -> impl Iterator<Item = &'a CensusRow> {
        codes.iter().filter_map(|code| self.areas.get(*code)).flatten()
    }
}

fn audience<'a>(rows: impl Iterator<Item = &'a CensusRow>) -> AlertAudience {
    rows.fold(AlertAudience::default(), |mut sum, row| {
        sum.contact_persons += row.contact_persons;
        sum.households += row.households;
        if row.why.is_some() {
            sum.not_reached += row.contact_persons;
        } else {
            sum.by_sms += row.contact_persons;
            sum.households_by_sms += row.households;
        }
        sum
    })
}
