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
    /// Who they are to the authority's identity provider; `None` until they came through it.
    pub subject: Option<String>,
    /// When they last signed in, Unix ms.
    pub last_signed_in_at: Option<i64>,
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

const LIST: &str = "SELECT id, name, email, role, area_code, created_at, disabled_at, subject, last_signed_in_at
 FROM operator
 ORDER BY id";

/// All operators, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn list(session: &mut Session) -> Result<Vec<Operator>> {
    session.list(session.sql(LIST)).await
}

const BY_ID_OR_EMAIL: &str =
    "SELECT id, name, email, role, area_code, created_at, disabled_at, subject, last_signed_in_at
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

const ENABLE: &str = "UPDATE operator
 SET disabled_at = NULL
 WHERE id = $1
   AND disabled_at IS NOT NULL";

/// Lets a disabled operator in again; says whether they were disabled.
///
/// # Errors
/// [`super::StoreError`].
pub async fn enable(session: &mut Session, id: &str) -> Result<bool> {
    Ok(session.execute(session.sql(ENABLE).bind(id.to_owned())).await? > 0)
}

const VOID_LINKS: &str = "DELETE FROM sign_in_link
 WHERE operator_id = $1
   AND used_at IS NULL";

const ADD_LINK: &str = "INSERT INTO sign_in_link (token_hash, operator_id, purpose, expires_at)
 VALUES ($1, $2, $3, $4)";

/// A one-time link as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Link {
    /// SHA-256 of its token, hex.
    pub token_hash: String,
    /// Whom it lets in.
    pub operator_id: String,
    /// `enrol`: to choose password and code; `enter`: straight in.
    pub purpose: String,
    /// Until when it is good, Unix ms.
    pub expires_at: i64,
    /// When it was used, Unix ms.
    pub used_at: Option<i64>,
}

/// Gives an operator a one-time link; earlier unused ones become void.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put_link(session: &mut Session, link: &Link) -> Result<()> {
    void_links(session, &link.operator_id).await?;
    let l = link.clone();
    let statement = session.sql(ADD_LINK).bind(l.token_hash).bind(l.operator_id).bind(l.purpose).bind(l.expires_at);
    session.execute(statement).await.map(drop)
}

/// Makes an operator's unused links void.
///
/// # Errors
/// [`super::StoreError`].
pub async fn void_links(session: &mut Session, operator_id: &str) -> Result<()> {
    session.execute(session.sql(VOID_LINKS).bind(operator_id.to_owned())).await.map(drop)
}

const LINK: &str = "SELECT token_hash, operator_id, purpose, expires_at, used_at
 FROM sign_in_link
 WHERE token_hash = $1";

/// The link with this token's digest, also one that was used or is too old.
///
/// # Errors
/// [`super::StoreError`].
pub async fn link(session: &mut Session, token_hash: &str) -> Result<Option<Link>> {
    session.one(session.sql(LINK).bind(token_hash.to_owned())).await
}

const USE_LINK: &str = "UPDATE sign_in_link
 SET used_at = $2
 WHERE token_hash = $1
   AND used_at IS NULL
   AND expires_at > $2";

/// Uses a link up; `false` when it was used before or is too old.
///
/// # Errors
/// [`super::StoreError`].
pub async fn use_link(session: &mut Session, token_hash: &str, now: i64) -> Result<bool> {
    Ok(session.execute(session.sql(USE_LINK).bind(token_hash.to_owned()).bind(now)).await? > 0)
}

const CHANGE: &str = "UPDATE operator
 SET role = $2, area_code = $3
 WHERE id = $1";

/// Gives an operator another role or area.
///
/// # Errors
/// [`super::StoreError`].
pub async fn change(session: &mut Session, id: &str, role: &'static str, area_code: &str) -> Result<()> {
    let statement = session.sql(CHANGE).bind(id.to_owned()).bind(role).bind(area_code.to_owned());
    session.execute(statement).await.map(drop)
}

const NOTE_SIGN_IN: &str = "UPDATE operator
 SET last_signed_in_at = $2
 WHERE id = $1";

/// Notes that an operator signed in.
///
/// # Errors
/// [`super::StoreError`].
pub async fn note_sign_in(session: &mut Session, id: &str, now: i64) -> Result<()> {
    session.execute(session.sql(NOTE_SIGN_IN).bind(id.to_owned()).bind(now)).await.map(drop)
}

const BY_SUBJECT: &str = "SELECT id, name, email, role, area_code, created_at, disabled_at, subject, last_signed_in_at
 FROM operator
 WHERE subject = $1";

/// The operator whom the identity provider knows by this.
///
/// # Errors
/// [`super::StoreError`].
pub async fn by_subject(session: &mut Session, subject: &str) -> Result<Option<Operator>> {
    session.one(session.sql(BY_SUBJECT).bind(subject.to_owned())).await
}

const SET_SUBJECT: &str = "UPDATE operator
 SET subject = $2
 WHERE id = $1
   AND subject IS NULL";

/// Ties an operator to whom the identity provider knows; `false` when they are tied already.
///
/// # Errors
/// [`super::StoreError::Conflict`] when another operator is tied to it.
pub async fn set_subject(session: &mut Session, id: &str, subject: &str) -> Result<bool> {
    Ok(session.execute(session.sql(SET_SUBJECT).bind(id.to_owned()).bind(subject.to_owned())).await? > 0)
}
