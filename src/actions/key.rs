//! Owns API keys: making, listing and revoking them, and who is behind one.
//!
//! Invariant: a key is shown once; only its digest is kept.

use sha2::{Digest, Sha256};

use super::{ActionError, Desk, FieldProblem, Result, require};
use crate::ambient;
use crate::domain::operator::{Actor, Right, Role};
use crate::domain::plain_text::clean_line;
use crate::store::api_key::ApiKey;
use crate::store::{self, Session, Store};

/// What every key begins with, so that a leaked one is recognised.
pub const PREFIX: &str = "gp_";
/// `last_used_at` is written at most this often: a minute.
const TOUCH_EVERY_MS: i64 = 60_000;

/// A key that has just been made.
pub struct NewKey {
    /// Its record.
    pub key: ApiKey,
    /// The key itself, to be shown once.
    pub secret: String,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Makes a key for a role in an area (empty = the whole police area).
///
/// # Errors
/// [`ActionError`].
pub async fn add(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (name, role, area): (&str, &str, &str),
) -> Result<NewKey> {
    require(actor, Right::Administer)?;
    let name = checked_name(name)?;
    let (role, area) = role_and_area(session, role, area).await?;
    require_area(session, actor, &area).await?;
    let secret =
        format!("{PREFIX}{}", data_encoding::BASE32_NOPAD.encode(&ambient::random_bytes::<32>()).to_lowercase());
    let key = ApiKey {
        id: desk.id(),
        name,
        key_hash: digest(&secret),
        role: role.code().to_owned(),
        area_code: area,
        created_at: desk.now(),
        last_used_at: None,
        revoked_at: None,
    };
    store::api_key::insert(session, &key).await?;
    let detail = serde_json::json!({ "role": key.role, "area": key.area_code });
    desk.audit(session, actor, "key.added", ("key", &key.id), detail).await?;
    Ok(NewKey { key, secret })
}

/// Revokes the keys with this id or name, at once.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no live one.
pub async fn revoke(desk: &Desk, session: &mut Session, actor: &Actor, id_or_name: &str) -> Result<()> {
    let keys = list(session, actor).await?.into_iter();
    let named: Vec<ApiKey> =
        keys.filter(|key| key.revoked_at.is_none() && (key.id == id_or_name || key.name == id_or_name)).collect();
    if named.is_empty() {
        return Err(ActionError::NotFound);
    }
    for key in &named {
        store::api_key::revoke(session, &key.id, desk.now()).await?;
    }
    desk.audit(session, actor, "key.revoked", ("key", id_or_name), serde_json::json!({})).await
}

/// The keys that the actor has the care of, oldest first.
///
/// # Errors
/// [`ActionError`].
pub async fn list(session: &mut Session, actor: &Actor) -> Result<Vec<ApiKey>> {
    require(actor, Right::Administer)?;
    let tree = store::area::tree(session).await?;
    let mut keys = store::api_key::list(session).await?;
    keys.retain(|key| tree.is_within(&key.area_code, &actor.area));
    Ok(keys)
}

/// Who is behind a key; `None` when there is no such live key.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn actor_of(desk: &Desk, secret: &str) -> Result<Option<Actor>> {
    if !secret.starts_with(PREFIX) || secret.len() > 100 {
        return Ok(None);
    }
    let mut session = desk.store.read().await?;
    let Some(key) = store::api_key::by_hash(&mut session, &digest(secret)).await? else { return Ok(None) };
    drop(session);
    let now = desk.now();
    if key.last_used_at.is_none_or(|at| now - at > TOUCH_EVERY_MS) {
        note_use(desk.store.clone(), key.id.clone(), now);
    }
    let Some(role) = Role::from_code(&key.role) else { return Ok(None) };
    Ok(Some(Actor { id: format!("key:{}", key.id), role, area: key.area_code, is_key: true }))
}

/// Writes down when a key was used. Nobody waits for that: who only reads gets an answer also while nothing can be written.
fn note_use(store: Store, id: String, now: i64) {
    tokio::spawn(async move {
        let noted = async {
            let mut session = store.begin().await?;
            store::api_key::touch(&mut session, &id, now).await?;
            session.commit().await
        };
        if let Err(error) = noted.await {
            tracing::debug!(code = error.code(), "when a key was used could not be written down");
        }
    });
}

pub(super) fn digest(secret: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(secret.as_bytes()))
}

pub(super) fn checked_name(name: &str) -> Result<String> {
    let name = clean_line(name);
    if name.is_empty() || name.chars().count() > 200 {
        return Err(ActionError::field("name", "field.required", "Ange ett namn på högst 200 tecken."));
    }
    Ok(name)
}

/// Refuses to give away what one does not hold.
pub(super) async fn require_area(session: &mut Session, actor: &Actor, area: &str) -> Result<()> {
    let tree = store::area::tree(session).await?;
    if tree.is_within(area, &actor.area) { Ok(()) } else { Err(ActionError::Forbidden) }
}

/// Checks a role and an area; an empty area is the whole police area.
pub(super) async fn role_and_area(session: &mut Session, role: &str, area: &str) -> Result<(Role, String)> {
    let tree = store::area::tree(session).await?;
    let mut problems = Vec::new();
    let role = Role::from_code(role);
    if role.is_none() {
        let allowed: Vec<&str> = Role::ALL.into_iter().map(Role::code).collect();
        problems.push(FieldProblem::new("role", "field.invalid", format!("Tillåtna roller: {}.", allowed.join(", "))));
    }
    let area = if area.is_empty() {
        tree.root().map(|area| area.code.clone())
    } else {
        tree.get(area).map(|area| area.code.clone())
    };
    if area.is_none() {
        problems.push(FieldProblem::new("area", "area.unknown", "Området finns inte."));
    }
    match (role, area) {
        (Some(role), Some(area)) => Ok((role, area)),
        _ => Err(ActionError::Invalid(problems)),
    }
}
