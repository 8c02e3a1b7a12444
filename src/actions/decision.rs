//! Owns the decision ledger: what was considered and not sent is written down beside what was.

use super::{ActionError, Desk, FieldProblem, Result, holds_areas, require};
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::clean_line;
use crate::store::decision::Decision;
use crate::store::{self, Session};

/// An alert that was considered and not sent.
#[derive(Debug, Clone, Default)]
pub struct NotSent {
    /// Who decided, by function.
    pub decided_by: String,
    /// Why not.
    pub reason: String,
    /// Which areas it would have gone to.
    pub areas: Vec<String>,
}

/// Writes down that an alert was considered and not sent.
///
/// # Errors
/// [`ActionError`].
pub async fn not_sent(desk: &Desk, session: &mut Session, actor: &Actor, new: &NotSent) -> Result<Decision> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    let (decided_by, reason) = (clean_line(&new.decided_by), clean_line(&new.reason));
    let mut problems = Vec::new();
    for (name, text, detail) in [
        ("decided_by", &decided_by, "Ange vem som har beslutat."),
        ("reason", &reason, "Ange varför det inte skickades."),
    ] {
        if text.is_empty() || text.chars().count() > 1_000 {
            problems.push(FieldProblem::new(name, "field.required", detail));
        }
    }
    if new.areas.iter().any(|code| tree.get(code).is_none()) {
        problems.push(FieldProblem::new("areas", "area.unknown", "Ett av områdena finns inte."));
    }
    if !problems.is_empty() {
        return Err(ActionError::Invalid(problems));
    }
    if !holds_areas(actor, &tree, &new.areas) {
        return Err(ActionError::Forbidden);
    }
    let decision = Decision {
        id: desk.id(),
        outcome: "not_sent".to_owned(),
        decided_by,
        reason,
        areas: serde_json::json!(new.areas).to_string(),
        message_id: None,
        created_by: actor.id.clone(),
        created_at: desk.now(),
    };
    store::decision::insert(session, &decision).await?;
    let detail = serde_json::json!({ "areas": new.areas });
    desk.audit(session, actor, "decision.not_sent", ("decision", &decision.id), detail).await?;
    Ok(decision)
}

/// A page of the ledger, newest first.
///
/// # Errors
/// [`ActionError`].
pub async fn page(
    session: &mut Session,
    actor: &Actor,
    after: &str,
    limit: i64,
) -> Result<(Vec<Decision>, Option<String>)> {
    require(actor, Right::ReadAlerts)?;
    let tree = store::area::tree(session).await?;
    let mut decisions = store::decision::page(session, after, limit + 1).await?;
    let has_more = decisions.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    decisions.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = decisions.last().map(|decision| decision.id.clone()).filter(|_| has_more);
    decisions.retain(|decision| {
        let areas: Vec<String> = serde_json::from_str(&decision.areas).unwrap_or_default();
        holds_areas(actor, &tree, &areas)
    });
    Ok((decisions, next))
}
