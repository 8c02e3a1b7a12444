//! Owns disposing of what has been kept long enough, by the rules of the configuration, and saying what that would be.
//!
//! Invariants: a rule without a decision removes nothing; every removal is logged with its rule, decision and number; a second run
//! finds nothing more.

use serde_json::json;

use super::reply::program;
use super::{Desk, Result, require};
use crate::domain::operator::{Actor, Right};
use crate::domain::retention::{Rule, cutoff};
use crate::store::{self, Session};

/// Things disposed of in one transaction.
const PIECE: i64 = 200;
/// What waits is counted no further.
pub const MOST_COUNTED: i64 = 10_000;

/// How a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The rule.
    pub rule: Rule,
    /// The decision it rests on; empty when it is off.
    pub decision: String,
    /// Days that its things are kept.
    pub days: u32,
    /// Whether from the end of the calendar year.
    pub from_year_end: bool,
    /// What came before this time has been kept long enough, Unix ms.
    pub before: i64,
    /// How many things that is, counted to [`MOST_COUNTED`]; also where the rule is off.
    pub waiting: i64,
}

/// How every rule stands: the dry run.
///
/// # Errors
/// [`super::ActionError::Forbidden`] for everybody but administrators.
pub async fn look(desk: &Desk, session: &mut Session, actor: &Actor) -> Result<Vec<Standing>> {
    require(actor, Right::Administer)?;
    let mut standings = Vec::new();
    for rule in Rule::ALL {
        let term = desk.config.retention.term(rule);
        let before = before(desk, rule);
        let waiting = store::retention::due(session, rule, before, MOST_COUNTED).await?.len();
        standings.push(Standing {
            rule,
            decision: term.decision.trim().to_owned(),
            days: term.days,
            from_year_end: term.from_year_end,
            before,
            waiting: i64::try_from(waiting).unwrap_or(i64::MAX),
        });
    }
    Ok(standings)
}

/// Disposes of all that has been kept long enough under rules that rest on a decision, for as long as it `goes_on`, which is asked
/// between short transactions; says how many things of each rule.
///
/// # Errors
/// [`super::ActionError::Store`]; what was disposed of before stays so and is logged.
pub async fn run(desk: &Desk, goes_on: impl Fn() -> bool) -> Result<Vec<(Rule, i64)>> {
    let mut removed = Vec::new();
    for rule in Rule::ALL {
        let term = desk.config.retention.term(rule);
        if term.decision.trim().is_empty() {
            continue;
        }
        let before = before(desk, rule);
        let mut of_rule = 0;
        while goes_on() {
            let gone = piece(desk, (rule, before), &goes_on).await?;
            let Some(gone) = gone else { break };
            of_rule += gone;
        }
        if of_rule > 0 {
            removed.push((rule, of_rule));
        }
    }
    Ok(removed)
}

/// Some things, or one message; nothing when nothing is left.
async fn piece(desk: &Desk, (rule, before): (Rule, i64), goes_on: impl Fn() -> bool) -> Result<Option<i64>> {
    // A message may have many recipients: one at a time.
    let limit = if rule == Rule::Recipients { 1 } else { PIECE };
    let ids = store::retention::due(&mut desk.store.read().await?, rule, before, limit).await?;
    if ids.is_empty() {
        return Ok(None);
    }
    if rule == Rule::Recipients && !recipients_of(desk, &ids[0], goes_on).await? {
        return Ok(None);
    }
    let mut session = desk.store.begin().await?;
    store::retention::dispose(&mut session, rule, &ids, desk.now()).await?;
    let gone = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let decision = desk.config.retention.term(rule).decision.trim();
    let detail = json!({ "decision": decision, "before": before, "removed": gone });
    desk.audit(&mut session, &program(), "retention.removed", ("retention", rule.code()), detail).await?;
    session.commit().await?;
    Ok(Some(gone))
}

/// The recipients of a message, each piece in a transaction of its own; says whether all are gone.
async fn recipients_of(desk: &Desk, message_id: &str, goes_on: impl Fn() -> bool) -> Result<bool> {
    let mut after = 0;
    while goes_on() {
        let mut session = desk.store.begin().await?;
        let last = store::retention::dispose_recipients(&mut session, message_id, after).await?;
        session.commit().await?;
        let Some(last) = last else { return Ok(true) };
        after = last;
    }
    Ok(false)
}

fn before(desk: &Desk, rule: Rule) -> i64 {
    let term = desk.config.retention.term(rule);
    cutoff(desk.clock.now(), &desk.config.server.zone(), (term.days, term.from_year_end))
}
