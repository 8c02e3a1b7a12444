//! Owns letting in those whom the authority's own sign-in vouches for: its identity provider, or a proxy in front.
//!
//! It does not ask them; `inbound::identity` and `web` do. Invariant: nobody gets in who is not an operator already, and
//! whoever the provider once knew an operator as stays that operator's and nobody else's.

use serde_json::json;

use super::session::{self, Opened, Opening, Visitor};
use super::{Desk, Result};
use crate::domain::operator::{Actor, Identity, Role};
use crate::store::operator::Operator;
use crate::store::{self, Session};

/// Opens a session for whom the identity provider vouches for; `None` when they are no operator.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn with_identity(
    desk: &Desk,
    session: &mut Session,
    identity: &Identity,
    browser: &str,
) -> Result<Option<Opened>> {
    let Some(operator) = operator_of(desk, session, identity).await? else {
        refuse(desk, session, "oidc").await?;
        return Ok(None);
    };
    session::open(desk, session, &operator, Opening { way: "oidc", state: "open", browser }).await.map(Some)
}

/// The operator behind an identity: by what the provider knows them as, or the first time by their e-mail.
async fn operator_of(desk: &Desk, session: &mut Session, identity: &Identity) -> Result<Option<Operator>> {
    if let Some(known) = store::operator::by_subject(session, &identity.subject).await? {
        return Ok(Some(known).filter(|operator| operator.disabled_at.is_none()));
    }
    let Some(email) = &identity.email else { return Ok(None) };
    let Some(operator) = enabled(session, email).await?.filter(|operator| operator.subject.is_none()) else {
        return Ok(None);
    };
    if !store::operator::set_subject(session, &operator.id, &identity.subject).await? {
        return Ok(None);
    }
    let actor = session::actor_of(&operator);
    let object = ("operator", operator.id.as_str());
    if let Some(actor) = actor {
        desk.audit(session, &actor, "operator.subject_tied", object, json!({})).await?;
    }
    Ok(Some(operator))
}

/// Opens a session for whom a proxy in front vouches for, by e-mail; `None` when they are no operator.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn with_proxy(desk: &Desk, session: &mut Session, email: &str, browser: &str) -> Result<Option<Opened>> {
    let Some(operator) = enabled(session, email).await? else {
        refuse(desk, session, "proxy").await?;
        return Ok(None);
    };
    session::open(desk, session, &operator, Opening { way: "proxy", state: "open", browser }).await.map(Some)
}

/// Notes that the visitor has proved again to the identity provider who they are; says whether it was them.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn prove_with_identity(
    desk: &Desk,
    session: &mut Session,
    visitor: &Visitor,
    identity: &Identity,
) -> Result<bool> {
    let is_same = visitor.operator.subject.as_deref() == Some(&identity.subject);
    if is_same {
        store::sign_in_session::prove(session, &visitor.session.id, desk.now()).await?;
        let object = ("session", visitor.session.id.as_str());
        desk.audit(session, &visitor.actor, "session.proved", object, json!({ "way": "oidc" })).await?;
    }
    Ok(is_same)
}

async fn enabled(session: &mut Session, email: &str) -> Result<Option<Operator>> {
    let email = email.trim().to_lowercase();
    let operator = store::operator::by_id_or_email(session, &email).await?;
    Ok(operator.filter(|operator| operator.disabled_at.is_none() && operator.email == email))
}

async fn refuse(desk: &Desk, session: &mut Session, way: &str) -> Result<()> {
    let nobody = Actor { id: "nobody".to_owned(), role: Role::Auditor, area: String::new(), is_key: false };
    desk.audit(session, &nobody, "session.refused", ("operator", ""), json!({ "way": way })).await
}
