//! Owns the people who sign in, and their one-time links.

use super::{Result, Session};

/// An operator as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Operator {
    /// UUIDv7.
    pub id: String,
    /// Name.
    pub name: String,
    /// E-mail, lower case.
    pub email: String,
    /// A role's code.
    pub role: String,
    /// The area the role is held for.
    pub area_code: String,
    /// When added, Unix ms.
    pub created_at: i64,
    /// When disabled, Unix ms.
    pub disabled_at: Option<i64>,
}

const INSERT: &str = "INSERT INTO operator (id, name, email, role, area_code, created_at)
 VALUES ($1, $2, $3, $4, $5, $6)";

/// Adds an operator.
///
/// # Errors
/// [`super::StoreError::Conflict`] when the e-mail is taken.
pub async fn insert(session: &mut Session, operator: &Operator) -> Result<()> {
    let o = operator.clone();
    let statement =
        session.sql(INSERT).bind(o.id).bind(o.name).bind(o.email).bind(o.role).bind(o.area_code).bind(o.created_at);
    session.execute(statement).await.map(drop)
}

const LIST: &str = "SELECT id, name, email, role, area_code, created_at, disabled_at
 FROM operator
 ORDER BY id";

/// All operators, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn list(session: &mut Session) -> Result<Vec<Operator>> {
    session.list(session.sql(LIST)).await
}

const BY_ID_OR_EMAIL: &str = "SELECT id, name, email, role, area_code, created_at, disabled_at
 FROM operator
 WHERE id = $1
   OR email = LOWER($1)";

/// The operator with this id or e-mail.
///
/// # Errors
/// [`super::StoreError`].
pub async fn by_id_or_email(session: &mut Session, id_or_email: &str) -> Result<Option<Operator>> {
    session.one(session.sql(BY_ID_OR_EMAIL).bind(id_or_email.to_owned())).await
}

const DISABLE: &str = "UPDATE operator
 SET disabled_at = $2
 WHERE id = $1
   AND disabled_at IS NULL";

/// Disables an operator; says whether it was enabled.
///
/// # Errors
/// [`super::StoreError`].
pub async fn disable(session: &mut Session, id: &str, now: i64) -> Result<bool> {
    Ok(session.execute(session.sql(DISABLE).bind(id.to_owned()).bind(now)).await? > 0)
}

const VOID_LINKS: &str = "DELETE FROM sign_in_link
 WHERE operator_id = $1
   AND used_at IS NULL";

const ADD_LINK: &str = "INSERT INTO sign_in_link (token_hash, operator_id, expires_at)
 VALUES ($1, $2, $3)";

/// Gives an operator a one-time link, by its token's digest; earlier unused ones become void.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put_link(session: &mut Session, operator_id: &str, token_hash: String, expires_at: i64) -> Result<()> {
    session.execute(session.sql(VOID_LINKS).bind(operator_id.to_owned())).await?;
    session
        .execute(session.sql(ADD_LINK).bind(token_hash).bind(operator_id.to_owned()).bind(expires_at))
        .await
        .map(drop)
}
