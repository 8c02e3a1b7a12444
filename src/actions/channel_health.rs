//! Owns what follows for an address when letters come back from it or alerts do not arrive at a number, and what an operator can
//! do about it.
//!
//! Invariants: what was wrong with us marks nobody; a mark changes how a person is reached (on paper, by telephone) and
//! removes nobody; every mark is logged with its person.

use serde_json::json;

use super::contact_person::held;
use super::reply::program;
use super::{Desk, Result, alert, require};
use crate::domain::bounce::Verdict;
use crate::domain::email_address;
use crate::domain::operator::{Actor, Right};
use crate::store::channel_health::ChannelHealth;
use crate::store::delivery::Locked;
use crate::store::setting::WEIGHED_AT;
use crate::store::{self, Session};

/// Changed messages that are looked at in one round.
const MOST_WEIGHED: i64 = 50;
/// Deliveries that are looked at together: a transaction of a few milliseconds.
const PIECE: i64 = 500;
const DAY_MS: i64 = 24 * 3_600_000;

/// Weighs a letter that came back together with those before it. Its report is kept already.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn weigh(desk: &Desk, session: &mut Session, delivery: &Locked, verdict: Verdict) -> Result<()> {
    let rules = &desk.config.mail_in;
    let address = email_address::key(&delivery.address);
    let (needed, since, reason) = match verdict {
        Verdict::Hard => (rules.hard_bounces, 0, "bounce.hard"),
        Verdict::Soft if rules.soft_bounces > 0 => {
            (rules.soft_bounces, desk.now() - i64::from(rules.soft_days) * DAY_MS, "bounce.soft")
        }
        Verdict::Soft | Verdict::Ours | Verdict::Unclear => return Ok(()),
    };
    let back = store::channel_health::count_back(session, &address, verdict.code(), since).await?;
    if back < i64::from(needed) {
        return Ok(());
    }
    for person in store::channel_health::mark(session, &address, reason, desk.now()).await? {
        let detail = json!({ "reason": reason, "letters": back, "delivery_id": delivery.id.to_string() });
        desk.audit(session, &program(), "contact_person.email_unusable", ("contact_person", &person), detail).await?;
    }
    Ok(())
}

/// How each way to a person works.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn of_person(session: &mut Session, contact_person_id: &str) -> Result<Vec<ChannelHealth>> {
    Ok(store::channel_health::of_person(session, contact_person_id).await?)
}

/// Marks the numbers that an alert is known not to have arrived at as doubtful: their persons are to be rung, and alerts still go
/// there. Says how many persons that is about.
///
/// # Errors
/// [`super::ActionError::NotFound`] when there is no such alert in the actor's areas.
pub async fn doubt_mobiles(desk: &Desk, session: &mut Session, actor: &Actor, alert_id: &str) -> Result<usize> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    alert::locked(session, actor, &tree, alert_id).await?;
    let (mut after, mut marked) = (0, 0);
    loop {
        let persons = store::channel_health::undelivered(session, alert_id, (after, PIECE)).await?;
        let Some(last) = persons.last() else { break };
        after = last.delivery_id;
        marked += store::channel_health::doubt_mobiles(session, alert_id, &persons, desk.now()).await?.len();
    }
    if marked > 0 {
        let detail = json!({ "persons": marked });
        desk.audit(session, actor, "alert.numbers_doubted", ("alert", alert_id), detail).await?;
    }
    Ok(marked)
}

/// Adds up what alerts that changed lately told of numbers: one that several SMS in a row did not arrive at becomes doubtful, and one
/// that an SMS has arrived at is trusted again. Returns how many persons became doubtful.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn weigh_alerts(desk: &Desk) -> Result<usize> {
    let in_a_row = i64::from(desk.config.sms.doubtful_after);
    if in_a_row == 0 {
        return Ok(0);
    }
    let mut session = desk.store.read().await?;
    let since = store::setting::get(&mut session, WEIGHED_AT).await?.and_then(|at| at.parse().ok()).unwrap_or(0);
    let changed = store::message::changed_since(&mut session, since + 1, MOST_WEIGHED).await?;
    drop(session);
    let mut doubtful = 0;
    for message in changed {
        if message.kind == "alert" {
            doubtful += weigh_alert(desk, &message.id, in_a_row).await?;
        }
        let mut session = desk.store.begin().await?;
        if message.kind == "alert" {
            store::channel_health::trust_proven(&mut session, &message.id).await?;
        }
        store::setting::set(&mut session, WEIGHED_AT, message.changed_at.to_string()).await?;
        session.commit().await?;
    }
    Ok(doubtful)
}

/// Marks the numbers that an alert did not arrive at, nor those before it; read beside those who write, and marked a few at a time.
async fn weigh_alert(desk: &Desk, alert_id: &str, in_a_row: i64) -> Result<usize> {
    let (mut after, mut doubtful) = (0, 0);
    loop {
        let persons = {
            let mut session = desk.store.read().await?;
            store::channel_health::undelivered(&mut session, alert_id, (after, PIECE)).await?
        };
        let Some(last) = persons.last() else { return Ok(doubtful) };
        after = last.delivery_id;
        let mut session = desk.store.begin().await?;
        let marked = store::channel_health::doubt_repeated(&mut session, alert_id, &persons, (in_a_row, desk.now()));
        let marked = marked.await?.len();
        if marked > 0 {
            let detail = json!({ "persons": marked, "in_a_row": in_a_row });
            desk.audit(&mut session, &program(), "alert.numbers_doubted", ("alert", alert_id), detail).await?;
        }
        session.commit().await?;
        doubtful += marked;
    }
}

/// Takes the mark from a person's number: somebody knows that it is right.
///
/// # Errors
/// [`super::ActionError::NotFound`] for a person outside the actor's areas.
pub async fn trust_mobile(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<()> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    held(session, actor, &tree, id).await?;
    if store::channel_health::trust_mobile(session, id, desk.now()).await? {
        desk.audit(session, actor, "contact_person.mobile_trusted", ("contact_person", id), json!({})).await?;
    }
    Ok(())
}

/// Takes the mark from a person's e-mail address: somebody knows that it works again.
///
/// # Errors
/// [`super::ActionError::NotFound`] for a person outside the actor's areas.
pub async fn use_again(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<()> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    held(session, actor, &tree, id).await?;
    if store::channel_health::clear(session, id, desk.now()).await? {
        desk.audit(session, actor, "contact_person.email_usable", ("contact_person", id), json!({})).await?;
    }
    Ok(())
}
