//! Owns the people who sign in: adding, disabling, and the one-time link that begins it.

use super::key::{checked_name, digest, require_area, role_and_area};
use super::{ActionError, Desk, Result, require};
use crate::ambient;
use crate::config::Environment;
use crate::domain::email_address::EmailAddress;
use crate::domain::operator::{Actor, Right};
use crate::store::operator::{Link, Operator};
use crate::store::{self, Session, StoreError};

/// A one-time link is good for three days.
const LINK_LASTS_MS: i64 = 3 * 24 * 3600 * 1000;

/// An operator and the link that lets them in once.
pub struct Invited {
    /// The operator.
    pub operator: Operator,
    /// The link, to be shown once.
    pub link: String,
}

impl std::fmt::Debug for Invited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invited").field("operator", &self.operator.id).finish_non_exhaustive()
    }
}

/// Who shall sign in.
#[derive(Debug, Clone, Default)]
pub struct NewOperator {
    /// Name.
    pub name: String,
    /// E-mail.
    pub email: String,
    /// A role's code.
    pub role: String,
    /// Area code; empty = the whole police area.
    pub area: String,
}

/// Adds an operator.
///
/// # Errors
/// [`ActionError`].
pub async fn add(desk: &Desk, session: &mut Session, actor: &Actor, new: &NewOperator) -> Result<Invited> {
    require(actor, Right::Administer)?;
    let email =
        EmailAddress::parse(&new.email).map_err(|error| ActionError::field("email", error.code(), error.detail()))?;
    let (role, area_code) = role_and_area(session, &new.role, &new.area).await?;
    require_area(session, actor, &area_code).await?;
    let operator = Operator {
        id: desk.id(),
        name: checked_name(&new.name)?,
        email: email.key(),
        role: role.code().to_owned(),
        area_code,
        created_at: desk.now(),
        disabled_at: None,
        subject: None,
        last_signed_in_at: None,
    };
    store::operator::insert(session, &operator).await.map_err(|error| match error {
        StoreError::Conflict(_) => {
            ActionError::conflict("operator.email_taken", "E-postadressen används redan av en handläggare.")
        }
        error => error.into(),
    })?;
    let detail = serde_json::json!({ "role": operator.role, "area": operator.area_code });
    desk.audit(session, actor, "operator.added", ("operator", &operator.id), detail).await?;
    let link = new_link(desk, session, &operator, "enrol").await?;
    Ok(Invited { operator, link })
}

/// A link that leads straight in, without password and code. Only where nothing that is sent reaches anybody.
///
/// # Errors
/// [`ActionError::Forbidden`] anywhere else.
pub async fn demo_link(desk: &Desk, session: &mut Session, actor: &Actor, operator: &Operator) -> Result<String> {
    require(actor, Right::Administer)?;
    if desk.config.environment() != Environment::Demo {
        return Err(ActionError::Forbidden);
    }
    desk.audit(session, actor, "operator.demo_link", ("operator", &operator.id), serde_json::json!({})).await?;
    new_link(desk, session, operator, "enter").await
}

/// Disables an operator, at once: their sessions end and their links are void.
///
/// # Errors
/// [`ActionError`]; the last administrator stays.
pub async fn disable(desk: &Desk, session: &mut Session, actor: &Actor, id_or_email: &str) -> Result<Operator> {
    let operator = get(session, actor, id_or_email).await?;
    require_another_admin(session, &operator).await?;
    store::operator::disable(session, &operator.id, desk.now()).await?;
    end_access(session, &operator.id).await?;
    desk.audit(session, actor, "operator.disabled", ("operator", &operator.id), serde_json::json!({})).await?;
    Ok(operator)
}

/// Lets a disabled operator in again: with a new link, since what they signed in with before is void.
///
/// # Errors
/// [`ActionError`].
pub async fn enable(desk: &Desk, session: &mut Session, actor: &Actor, id_or_email: &str) -> Result<Invited> {
    let operator = get(session, actor, id_or_email).await?;
    if !store::operator::enable(session, &operator.id).await? {
        return Err(ActionError::conflict("operator.enabled", "Handläggaren är inte avstängd."));
    }
    store::credential::remove(session, &operator.id).await?;
    desk.audit(session, actor, "operator.enabled", ("operator", &operator.id), serde_json::json!({})).await?;
    let link = new_link(desk, session, &operator, "enrol").await?;
    Ok(Invited { operator, link })
}

/// Gives an operator another role or area, at once.
///
/// # Errors
/// [`ActionError`]; the last administrator of everything stays one.
pub async fn change(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (id, role, area): (&str, &str, &str),
) -> Result<()> {
    let operator = get(session, actor, id).await?;
    let (role, area_code) = role_and_area(session, role, area).await?;
    require_area(session, actor, &area_code).await?;
    if role.code() != operator.role || area_code != operator.area_code {
        require_another_admin(session, &operator).await?;
    }
    store::operator::change(session, &operator.id, role.code(), &area_code).await?;
    let detail = serde_json::json!({
        "role": role.code(), "area": area_code, "role_before": operator.role, "area_before": operator.area_code
    });
    desk.audit(session, actor, "operator.changed", ("operator", &operator.id), detail).await
}

/// The operators that the actor has the care of, oldest first.
///
/// # Errors
/// [`ActionError`].
pub async fn list(session: &mut Session, actor: &Actor) -> Result<Vec<Operator>> {
    require(actor, Right::Administer)?;
    let tree = store::area::tree(session).await?;
    let mut operators = store::operator::list(session).await?;
    operators.retain(|operator| tree.is_within(&operator.area_code, &actor.area));
    Ok(operators)
}

/// One of them.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such one in the actor's areas.
pub async fn get(session: &mut Session, actor: &Actor, id_or_email: &str) -> Result<Operator> {
    require(actor, Right::Administer)?;
    let operator = store::operator::by_id_or_email(session, id_or_email).await?.ok_or(ActionError::NotFound)?;
    let tree = store::area::tree(session).await?;
    if tree.is_within(&operator.area_code, &actor.area) { Ok(operator) } else { Err(ActionError::NotFound) }
}

/// Nobody is left who could let others in when the last administrator of the whole area goes.
async fn require_another_admin(session: &mut Session, operator: &Operator) -> Result<()> {
    let tree = store::area::tree(session).await?;
    let is_admin_of_all = |one: &Operator| {
        one.role == "admin" && one.disabled_at.is_none() && tree.root().is_some_and(|root| root.code == one.area_code)
    };
    let others = store::operator::list(session).await?;
    let has_another = others.iter().any(|other| other.id != operator.id && is_admin_of_all(other));
    if is_admin_of_all(operator) && !has_another {
        let detail = "Den sista administratören för hela området måste finnas kvar. Lägg till en till först.";
        return Err(ActionError::conflict("operator.last_admin", detail));
    }
    Ok(())
}

/// Gives an operator a new one-time link. What they signed in with before is void at once, and their sessions end.
///
/// # Errors
/// [`ActionError`].
pub async fn reset(desk: &Desk, session: &mut Session, actor: &Actor, id_or_email: &str) -> Result<Invited> {
    let operator = get(session, actor, id_or_email).await?;
    if operator.disabled_at.is_some() {
        return Err(ActionError::conflict("operator.disabled", "Handläggaren är avstängd."));
    }
    end_access(session, &operator.id).await?;
    store::credential::remove(session, &operator.id).await?;
    desk.audit(session, actor, "operator.reset", ("operator", &operator.id), serde_json::json!({})).await?;
    let link = new_link(desk, session, &operator, "enrol").await?;
    Ok(Invited { operator, link })
}

async fn end_access(session: &mut Session, operator_id: &str) -> Result<()> {
    store::sign_in_session::end_others(session, operator_id, "").await?;
    Ok(store::operator::void_links(session, operator_id).await?)
}

async fn new_link(desk: &Desk, session: &mut Session, operator: &Operator, purpose: &str) -> Result<String> {
    let token = data_encoding::BASE32_NOPAD.encode(&ambient::random_bytes::<32>()).to_lowercase();
    let link = Link {
        token_hash: digest(&token),
        operator_id: operator.id.clone(),
        purpose: purpose.to_owned(),
        expires_at: desk.now() + LINK_LASTS_MS,
        used_at: None,
    };
    store::operator::put_link(session, &link).await?;
    Ok(desk.config.server.public_link(&format!("/sign-in/{token}")))
}
