//! Owns taking deliveries out of the queue: the claim, and where in the queue the next one begins.
//!
//! Invariant: a claim that gets less than it asked for has looked through the whole queue.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Result, Session};
use crate::domain::delivery::Channel;

/// At least so long a lane's claims go on where the one before ended.
const ONWARD: Duration = Duration::from_secs(1);
/// A look from the beginning takes no more of a lane's time than one part in so many.
const SHARE_OF_LOOKS: u32 = 10;
/// Before every place in the queue.
const BEGINNING: Place = (i64::MIN, i64::MIN, i64::MIN);

/// A delivery's place in the queue of its lane and priority: when it is due, its coverage rank, its id.
type Place = (i64, i64, i64);

/// A delivery that a daemon has leased; fields in the order that [`claim`] returns columns in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Claimed {
    /// The delivery.
    pub id: i64,
    /// Its message.
    pub message_id: String,
    /// Where it goes.
    pub address: String,
    /// The person it is for; `None` for copies and tests.
    pub contact_person_id: Option<String>,
    /// Fencing number of this lease.
    pub lease_fence: i64,
    /// Attempts before this one.
    pub attempts: i64,
    /// Order among messages.
    pub priority: i64,
    /// When it was due, Unix ms.
    pub due_at: i64,
    /// Coverage rank within its message.
    pub place: i64,
    /// When it must be handed over, Unix ms.
    pub expires_at: i64,
}

const CLAIM: &str = "WITH c AS MATERIALIZED (
   SELECT d.id
   FROM delivery d
   WHERE d.state = 'queued'
     AND d.channel = $1
     AND d.priority = $2
     AND d.due_at <= $3
     AND (d.due_at, d.place, d.id) > ($7, $8, $9)
     AND NOT EXISTS (SELECT 1 FROM setting s WHERE s.name = 'paused')
     AND (d.waits_for IS NULL
       OR NOT EXISTS (SELECT 1 FROM delivery w WHERE w.id = d.waits_for AND w.state IN ('queued', 'sending')))
   ORDER BY d.due_at, d.place, d.id
   LIMIT $4
   {skip locked})
 UPDATE delivery
 SET state = 'sending', lease_owner = $5, lease_fence = lease_fence + 1, lease_until_at = $6, stamped_at = NULL
 WHERE id IN (SELECT id FROM c)
 RETURNING {packed id, message_id, address, contact_person_id, lease_fence, attempts, priority, due_at, place, expires_at}";

/// What a claim asks for.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    /// The lane.
    pub channel: Channel,
    /// One of [`crate::domain::message::priority::ALL`].
    pub priority: i64,
    /// At most so many.
    pub limit: usize,
    /// The daemon.
    pub owner: &'a str,
    /// Until when it holds them unless it renews, Unix ms.
    pub lease_until: i64,
    /// Unix ms.
    pub now: i64,
}

/// Where the next claims of a lane begin: behind what the last one got, and now and then at the beginning for what came back.
///
/// While somebody's snapshot is open PostgreSQL keeps the index entries of all that was claimed since, and a claim from the beginning
/// reads past each of them (<https://www.postgresql.org/docs/current/mvcc.html>). Whoever has to take a claim back begins anew.
#[derive(Debug, Default)]
pub struct Front(HashMap<i64, Onward>);

/// Where the next claim of a priority begins.
#[derive(Debug)]
struct Onward {
    behind: Place,
    until: Instant,
}

impl Front {
    /// Behind which place a claim may begin, if it need not look from the beginning.
    fn onward(&self, priority: i64, now: Instant) -> Option<Place> {
        self.0.get(&priority).filter(|onward| now < onward.until).map(|onward| onward.behind)
    }

    /// Notes a claim that got all it asked for, the last of it at `behind`; `look` is how long a look from the beginning took, if
    /// there was one.
    fn filled(&mut self, priority: i64, behind: Place, now: Instant, look: Option<Duration>) {
        let looked = |look: Duration| now + ONWARD.max(look * SHARE_OF_LOOKS);
        let until = look.map(looked).or_else(|| self.0.get(&priority).map(|onward| onward.until)).unwrap_or(now);
        self.0.insert(priority, Onward { behind, until });
    }

    /// Notes a claim that found no more.
    fn ran_dry(&mut self, priority: i64) {
        self.0.remove(&priority);
    }
}

/// Leases queued deliveries that are due, in the order of hand-over. None while paused.
///
/// What came back to the queue before `front` is found a second later, or as soon as there is nothing behind it.
///
/// # Errors
/// [`super::StoreError`]; `front` must not be used again then.
pub async fn claim(session: &mut Session, front: &mut Front, claim: &Claim<'_>) -> Result<Vec<Claimed>> {
    let begun = Instant::now();
    let mut claimed = match front.onward(claim.priority, begun) {
        Some(behind) => lease(session, claim, behind, claim.limit).await?,
        None => Vec::new(),
    };
    let mut look = None;
    if claimed.len() < claim.limit {
        let begun = Instant::now();
        claimed.extend(lease(session, claim, BEGINNING, claim.limit - claimed.len()).await?);
        look = Some(begun.elapsed());
    }
    claimed.sort_unstable_by_key(place);
    match claimed.last() {
        Some(last) if claimed.len() == claim.limit => front.filled(claim.priority, place(last), Instant::now(), look),
        _ => front.ran_dry(claim.priority),
    }
    Ok(claimed)
}

fn place(row: &Claimed) -> Place {
    (row.due_at, row.place, row.id)
}

async fn lease(session: &mut Session, claim: &Claim<'_>, behind: Place, limit: usize) -> Result<Vec<Claimed>> {
    let statement = session
        .sql(CLAIM)
        .bind(claim.channel.code())
        .bind(claim.priority)
        .bind(claim.now)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(claim.owner.to_owned())
        .bind(claim.lease_until)
        .bind(behind.0)
        .bind(behind.1)
        .bind(behind.2);
    session.unpack(statement).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALERT: i64 = 1;

    #[test]
    fn claims_go_on_where_the_last_one_ended_until_it_is_time_to_look_from_the_beginning() {
        let (mut front, begun) = (Front::default(), Instant::now());
        assert_eq!(front.onward(ALERT, begun), None);
        front.filled(ALERT, (7, 0, 3), begun, Some(Duration::from_millis(2)));
        front.filled(ALERT, (7, 0, 9), begun + ONWARD / 2, None);
        assert_eq!(front.onward(ALERT, begun + ONWARD / 2), Some((7, 0, 9)));
        assert_eq!(front.onward(ALERT + 1, begun), None, "every priority has its own");
        assert_eq!(front.onward(ALERT, begun + ONWARD), None, "what came back is looked for");
    }

    #[test]
    fn a_look_that_takes_long_comes_seldom() {
        let (mut front, begun) = (Front::default(), Instant::now());
        front.filled(ALERT, (7, 0, 3), begun, Some(Duration::from_millis(300)));
        assert_eq!(front.onward(ALERT, begun + Duration::from_millis(2_999)), Some((7, 0, 3)));
        assert_eq!(front.onward(ALERT, begun + Duration::from_secs(3)), None);
    }

    #[test]
    fn a_queue_that_ran_dry_is_looked_through_from_the_beginning() {
        let (mut front, begun) = (Front::default(), Instant::now());
        front.filled(ALERT, (7, 0, 3), begun, Some(Duration::ZERO));
        front.ran_dry(ALERT);
        assert_eq!(front.onward(ALERT, begun), None);
    }
}
