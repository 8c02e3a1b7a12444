//! Owns what alerts and letters have in common when somebody makes, sends or stops one.
//!
//! It knows neither texts nor how a message is shown. Invariant: a stop ends every delivery that has not passed the gate, and
//! nothing else.

use sha2::{Digest as _, Sha256};

use super::freezing::NEVER;
use super::{ActionError, Desk, FieldProblem, Result};
use crate::ambient::{self, Clock};
use crate::domain::area::AreaTree;
use crate::domain::delivery::DeliveryState;
use crate::domain::message::{MessageState, priority};
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::clean_line;
use crate::store::coverage::Freeze;
use crate::store::delivery::{Step, Which};
use crate::store::message::{Message, Review};
use crate::store::settle::Batch;
use crate::store::{self, Session, StoreError};

/// SHA-256 of a message's content in hexadecimal: what an approval is bound to.
pub(super) fn content_hash(content: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(content))
}

/// A message of kind `test`: a text of its own, neither alert nor letter, that is due at once and goes with the priority of
/// alerts. An e-mail's first line is its subject.
pub(super) fn own(desk: &Desk, actor: &Actor, number: i64, (body, expires_at): (String, i64)) -> Message {
    let now = desk.now();
    Message {
        id: desk.id(),
        number,
        kind: "test".to_owned(),
        state: MessageState::Queued.code().to_owned(),
        priority: priority::ALERT,
        revision: 1,
        content_hash: content_hash(&body),
        body,
        numeric_sender: 0,
        audience: "{}".to_owned(),
        reach_persons: 0,
        reach_households: 0,
        follows: None,
        follow_up_kind: None,
        send_at: None,
        sends_at: Some(now),
        undo_seconds: 0,
        expires_at: Some(expires_at),
        stopped_at: None,
        handed_over_at: None,
        done_at: None,
        created_by: actor.id.clone(),
        created_at: now,
        changed_at: now,
    }
}

/// What a stop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Deliveries that will not go.
    pub stopped: i64,
    /// Deliveries whose hand-over stamp is set; they go, or have gone.
    pub already_handed_over: i64,
}

/// Stops what is left of a message, and says so in the log.
pub(super) async fn stop(desk: &Desk, session: &mut Session, actor: &Actor, message: Message) -> Result<Stopped> {
    let (id, kind) = (message.id.clone(), message.kind.clone());
    let stopped = stop_rest(desk, session, actor, message).await?;
    let already_handed_over = store::delivery::count_stamped(session, &id).await?;
    let detail = serde_json::json!({ "stopped": stopped, "already_handed_over": already_handed_over });
    desk.audit(session, actor, &format!("{kind}.stopped"), (&kind, &id), detail).await?;
    Ok(Stopped { stopped, already_handed_over })
}

/// Stops every delivery of a message that has not passed the gate; says how many.
pub(super) async fn stop_rest(desk: &Desk, session: &mut Session, actor: &Actor, mut message: Message) -> Result<i64> {
    if !message.state().can_be_stopped() {
        return Ok(0);
    }
    // What is sealed still is written out as stopped, by upkeep: nobody writes it out until this is committed.
    let sealed = match store::freezing::take_step(session, &message.id).await? {
        Some(_) => store::sealed_audience::count(session, &message.id).await?,
        None => 0,
    };
    // Deliveries before their message, as everywhere: a dispatch under way and a stop must not wait for each other.
    // What comes back to the queue meanwhile is refused at the gate, which asks the message.
    let stopped = sealed + stop_written(session, &desk.clock, &actor.id, &message.id).await?;
    message.stopped_at = Some(desk.now());
    store::message::set_state(session, &message, MessageState::Stopped, desk.now()).await?;
    Ok(stopped)
}

/// Stops every delivery of a message that is written and has not passed the gate; says how many.
pub(super) async fn stop_written(
    session: &mut Session,
    clock: &Clock,
    actor_id: &str,
    message_id: &str,
) -> std::result::Result<i64, StoreError> {
    let mut stopped = 0;
    loop {
        let held = store::delivery::lock_set(session, Which::Unstamped(message_id), 5_000).await?;
        if held.is_empty() {
            return Ok(stopped);
        }
        let steps: Vec<Step> =
            held.into_iter().map(|held| Step::new(held, DeliveryState::Stopped, Some("message.stopped"))).collect();
        let batch_id = ambient::new_id(clock);
        let batch = Batch { id: &batch_id, actor: actor_id, action: "deliveries.stopped", now: clock.now_ms() };
        let changes = store::delivery::apply(session, &batch, steps).await?;
        crate::telemetry::count_changes(&changes);
        stopped += i64::try_from(changes.len()).unwrap_or(i64::MAX);
    }
}

/// What is wrong with the areas somebody named; `missing` is the code when there are none.
pub(super) fn area_problems(tree: &AreaTree, areas: &[String], missing: &'static str) -> Vec<FieldProblem> {
    if areas.is_empty() {
        return vec![FieldProblem::new("areas", missing, "Välj minst ett område.")];
    }
    if areas.iter().all(|code| tree.get(code).is_some()) {
        return Vec::new();
    }
    let detail = "Ett av områdena finns inte. Koderna står under /api/v1/areas.";
    vec![FieldProblem::new("areas", "area.unknown", detail)]
}

/// Areas with all below them, as a statement takes them.
pub(super) fn area_rows(tree: &AreaTree, areas: &[String]) -> String {
    let codes = tree.subtree(areas.iter().map(String::as_str));
    store::area::codes_json(codes.iter().map(String::as_str))
}

/// The undo window in seconds: the configured one, or a shorter one for administrators and keys. `code` names the problem
/// with any other.
pub(super) fn undo_seconds(
    actor: &Actor,
    configured: u32,
    wanted: Option<i64>,
    code: &'static str,
) -> std::result::Result<i64, FieldProblem> {
    let configured = i64::from(configured);
    let may_shorten = actor.is_key || actor.role.may(Right::Administer);
    match wanted {
        None => Ok(configured),
        Some(wanted) if (0..=configured).contains(&wanted) && (may_shorten || wanted == configured) => Ok(wanted),
        Some(_) => {
            let detail = format!("Ångertiden är {configured} s. Bara administratörer och nycklar får korta den.");
            Err(FieldProblem::new("undo_seconds", code, detail))
        }
    }
}

/// What the deliveries of a message have in common.
pub(super) fn freeze(message: &Message, now: i64) -> Freeze<'_> {
    Freeze {
        message_id: &message.id,
        number: message.number,
        priority: message.priority,
        due_at: message.sends_at.unwrap_or(NEVER),
        expires_at: message.expires_at.unwrap_or(NEVER),
        now,
    }
}

/// Notes who wrote a revision.
pub(super) async fn add_written(session: &mut Session, actor: &Actor, message: &Message) -> Result<()> {
    add_act(session, actor, message, ("written", ""), message.changed_at).await
}

/// Notes an act upon the revision that stands, with the reason for it.
pub(super) async fn add_act(
    session: &mut Session,
    actor: &Actor,
    message: &Message,
    (act, reason): (&str, &str),
    at: i64,
) -> Result<()> {
    let review = Review {
        revision: message.revision,
        act: act.to_owned(),
        actor: actor.id.clone(),
        content_hash: message.content_hash.clone(),
        reason: reason.to_owned(),
        at,
    };
    Ok(store::message::add_review(session, &message.id, &review).await?)
}

/// Refuses an approval or return by who wrote the revision; `code` names it.
pub(super) async fn refuse_own(
    session: &mut Session,
    actor: &Actor,
    message: &Message,
    code: &'static str,
) -> Result<()> {
    let reviews = store::message::reviews(session, &message.id).await?;
    let wrote =
        |review: &Review| review.act == "written" && review.revision == message.revision && review.actor == actor.id;
    if reviews.iter().any(wrote) {
        let detail = "Den som har skrivit en version får inte granska den.".to_owned();
        return Err(ActionError::NotYou { code, detail });
    }
    Ok(())
}

/// Why a review cannot wait, in one line.
pub(super) fn reason_to_skip(reason: &str) -> Result<String> {
    let reason = clean_line(reason);
    if reason.is_empty() || reason.chars().count() > 1_000 {
        return Err(ActionError::field(
            "reason",
            "field.required",
            "Ange varför granskningen inte kan vänta, högst 1 000 tecken.",
        ));
    }
    Ok(reason)
}
