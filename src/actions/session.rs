//! Owns the sessions of those who are signed in: opening, recognising, locking and ending them.
//!
//! It does not check who somebody is; `sign_in` does. Invariants: the token is shown once and kept as a digest; a session
//! ends by idleness, by age, and with its operator's access.

use serde_json::json;

use super::key::digest;
use super::{ActionError, Desk, Result};
use crate::ambient;
use crate::config::Environment;
use crate::domain::operator::{Actor, Role};
use crate::store::operator::Operator;
use crate::store::sign_in_session::SignInSession;
use crate::store::{self, Session};

/// `seen_at` is written at most this often: a minute.
const TOUCH_EVERY_MS: i64 = 60_000;
const MINUTE_MS: i64 = 60_000;

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who.
    pub operator: Operator,
    /// From which browser.
    pub session: SignInSession,
    /// What they may do.
    pub actor: Actor,
}

/// How a session comes to be.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// `link`, `password`, `proxy`, `oidc` or `demo`.
    pub way: &'static str,
    /// `enrolling` or `open`.
    pub state: &'static str,
    /// The browser in a few words.
    pub browser: &'a str,
}

/// A session that has just been opened.
pub struct Opened {
    /// What the cookie holds.
    pub token: String,
    /// The session.
    pub session: SignInSession,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("session", &self.session.id).finish_non_exhaustive()
    }
}

/// Opens a session with a new token, and writes down that it was.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn open(desk: &Desk, session: &mut Session, operator: &Operator, opening: Opening<'_>) -> Result<Opened> {
    let now = desk.now();
    let token = data_encoding::BASE32_NOPAD.encode(&ambient::random_bytes::<32>()).to_lowercase();
    let row = SignInSession {
        id: desk.id(),
        token_hash: digest(&token),
        operator_id: operator.id.clone(),
        way: opening.way.to_owned(),
        state: opening.state.to_owned(),
        browser: opening.browser.to_owned(),
        created_at: now,
        seen_at: now,
        proved_at: now,
        expires_at: now + i64::from(desk.config.sign_in.absolute_hours) * 60 * MINUTE_MS,
    };
    store::sign_in_session::insert(session, &row).await?;
    let action = if opening.state == "open" { "session.opened" } else { "session.enrolment_begun" };
    let actor = actor_of(operator).ok_or(ActionError::Forbidden)?;
    desk.audit(session, &actor, action, ("session", &row.id), json!({ "way": row.way })).await?;
    if opening.state == "open" {
        store::operator::note_sign_in(session, &operator.id, now).await?;
    }
    Ok(Opened { token, session: row })
}

/// Who holds the token; `None` when the session has ended, or its operator's access has. What a page asks by itself is no use
/// of the session, and does not keep it alive.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn visitor_of(desk: &Desk, token: &str, is_used: bool) -> Result<Option<Visitor>> {
    if token.len() > 100 {
        return Ok(None);
    }
    let mut session = desk.store.read().await?;
    let Some(row) = store::sign_in_session::by_token(&mut session, &digest(token)).await? else { return Ok(None) };
    let now = desk.now();
    if now >= ends_at(desk, &row) {
        return Ok(None);
    }
    let operator = store::operator::by_id_or_email(&mut session, &row.operator_id).await?;
    drop(session);
    let Some(operator) = operator.filter(|operator| operator.disabled_at.is_none()) else { return Ok(None) };
    let Some(actor) = actor_of(&operator) else { return Ok(None) };
    if is_used && now - row.seen_at > TOUCH_EVERY_MS {
        touch(desk, &row, now).await;
    }
    Ok(Some(Visitor { operator, session: row, actor }))
}

/// A page is shown also when that it was seen cannot be written down.
async fn touch(desk: &Desk, row: &SignInSession, now: i64) {
    let written = async {
        let mut session = desk.store.begin().await?;
        store::sign_in_session::touch(&mut session, &row.id, now).await?;
        session.commit().await
    };
    if let Err(error) = written.await {
        tracing::warn!(code = error.code(), "that a session was used could not be written down");
    }
}

/// When a session ends unless it is used again, Unix ms.
#[must_use]
pub fn ends_at(desk: &Desk, row: &SignInSession) -> i64 {
    let idle = i64::from(desk.config.sign_in.idle_minutes) * MINUTE_MS;
    row.expires_at.min(row.seen_at + idle)
}

/// Whether the person must prove again who they are before an administrative act. Sending never asks.
#[must_use]
pub fn needs_proof(desk: &Desk, visitor: &Visitor) -> bool {
    let is_demo = visitor.session.way == "demo" && desk.config.environment() == Environment::Demo;
    let fresh = i64::from(desk.config.sign_in.proof_minutes) * MINUTE_MS;
    // A proxy vouches for the person on every request; it has no way to be asked again.
    !is_demo && visitor.session.way != "proxy" && desk.now() - visitor.session.proved_at > fresh
}

/// Ends one of the visitor's own sessions.
///
/// # Errors
/// [`ActionError::NotFound`] when it is not theirs or has ended.
pub async fn end(desk: &Desk, session: &mut Session, visitor: &Visitor, id: &str) -> Result<()> {
    if !store::sign_in_session::end(session, id, &visitor.operator.id).await? {
        return Err(ActionError::NotFound);
    }
    desk.audit(session, &visitor.actor, "session.ended", ("session", id), json!({})).await
}

/// Ends all of the visitor's sessions but the one they look from; says how many.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn end_others(desk: &Desk, session: &mut Session, visitor: &Visitor) -> Result<u64> {
    let ended = store::sign_in_session::end_others(session, &visitor.operator.id, &visitor.session.id).await?;
    let object = ("operator", visitor.operator.id.as_str());
    desk.audit(session, &visitor.actor, "session.others_ended", object, json!({ "sessions": ended })).await?;
    Ok(ended)
}

/// Locks the session for a change of shift: nothing is shown until somebody has proved who they are.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn lock(desk: &Desk, session: &mut Session, visitor: &Visitor) -> Result<()> {
    if store::sign_in_session::lock(session, &visitor.session.id).await? {
        let object = ("session", visitor.session.id.as_str());
        desk.audit(session, &visitor.actor, "session.locked", object, json!({})).await?;
    }
    Ok(())
}

/// What an operator may do; `None` for a role that this program does not know.
pub(super) fn actor_of(operator: &Operator) -> Option<Actor> {
    let role = Role::from_code(&operator.role)?;
    Some(Actor { id: format!("operator:{}", operator.id), role, area: operator.area_code.clone(), is_key: false })
}
