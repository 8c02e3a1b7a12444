//! Owns who somebody is: the one-time link, password and code, and proving it again.
//!
//! It does not count tries; `web::limits` does. Invariants: whether an address is known cannot be told from an answer or
//! its time; a link, a code and a recovery code work once.

use serde_json::json;

use super::key::digest;
use super::session::{self, Opened, Opening, Visitor};
use super::{ActionError, Desk, Result};
use crate::ambient;
use crate::config::Environment;
use crate::domain::operator::{Actor, Role};
use crate::domain::{one_time_code, password};
use crate::store::credential::Credential;
use crate::store::operator::Operator;
use crate::store::{self, Session};

/// What somebody typed to sign in.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// E-mail.
    pub email: &'a str,
    /// Password.
    pub password: &'a str,
    /// A code from the app, or a recovery code.
    pub code: &'a str,
}

impl std::fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attempt(***)")
    }
}

/// What a one-time link is good for.
#[derive(Debug, Clone)]
pub struct LinkView {
    /// Whose it is.
    pub operator: Operator,
    /// Whether it leads straight in.
    pub enters: bool,
}

/// Looks at a link without using it; `None` when it is not good, for whatever reason.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn look(desk: &Desk, session: &mut Session, token: &str) -> Result<Option<LinkView>> {
    let Some(link) = store::operator::link(session, &digest(token)).await? else { return Ok(None) };
    if link.used_at.is_some() || link.expires_at <= desk.now() {
        return Ok(None);
    }
    let operator = store::operator::by_id_or_email(session, &link.operator_id).await?;
    let enters = link.purpose == "enter";
    if enters && desk.config.environment() != Environment::Demo {
        return Ok(None);
    }
    Ok(operator.filter(|operator| operator.disabled_at.is_none()).map(|operator| LinkView { operator, enters }))
}

/// Uses a link up and opens a session: straight in, or to choose password and code.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn use_link(desk: &Desk, session: &mut Session, token: &str, browser: &str) -> Result<Option<Opened>> {
    let Some(view) = look(desk, session, token).await? else { return Ok(None) };
    if !store::operator::use_link(session, &digest(token), desk.now()).await? {
        return Ok(None);
    }
    let opening = if view.enters {
        Opening { way: "demo", state: "open", browser }
    } else {
        let credential = Credential {
            operator_id: view.operator.id.clone(),
            password_hash: String::new(),
            totp_secret: one_time_code::new_secret(ambient::random_bytes()),
            totp_step: 0,
            confirmed_at: None,
            changed_at: desk.now(),
        };
        store::credential::put(session, &credential).await?;
        Opening { way: "link", state: "enrolling", browser }
    };
    session::open(desk, session, &view.operator, opening).await.map(Some)
}

/// What was found about an attempt before its transaction: hashing is slow and must not hold one.
#[derive(Debug)]
pub struct Checked {
    operator: Option<Operator>,
    credential: Option<Credential>,
    password_fits: bool,
}

/// Checks the password of an attempt.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn check_password(desk: &Desk, attempt: Attempt<'_>) -> Result<Checked> {
    let mut session = desk.store.read().await?;
    let operator = store::operator::by_id_or_email(&mut session, attempt.email.trim()).await?;
    let operator = operator.filter(|o| o.disabled_at.is_none() && o.email == attempt.email.trim().to_lowercase());
    let id = operator.as_ref().map_or("", |operator| operator.id.as_str());
    let credential = store::credential::get(&mut session, id).await?;
    drop(session);
    let credential = credential.filter(|credential| credential.confirmed_at.is_some());
    let hash = credential.as_ref().map(|credential| credential.password_hash.clone());
    let password_fits = is_right(attempt.password.to_owned(), hash).await;
    Ok(Checked { operator, credential, password_fits })
}

async fn is_right(typed: String, hash: Option<String>) -> bool {
    tokio::task::spawn_blocking(move || password::is_right(&typed, hash.as_deref())).await.unwrap_or(false)
}

/// Opens a session when password and code are right; `None` otherwise, and the log says that somebody tried. The try is
/// written down in the same way whether the address is known or not.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn with_password(
    desk: &Desk,
    session: &mut Session,
    checked: &Checked,
    (code, browser): (&str, &str),
) -> Result<Option<Opened>> {
    if !desk.config.sign_in.passwords || !is_proven(desk, session, checked, code).await? {
        let id = checked.operator.as_ref().map_or("", |operator| operator.id.as_str());
        desk.audit(session, &stranger(), "session.refused", ("operator", id), json!({})).await?;
        return Ok(None);
    }
    let Some(operator) = &checked.operator else { return Ok(None) };
    session::open(desk, session, operator, Opening { way: "password", state: "open", browser }).await.map(Some)
}

/// Whether the password was right and the code is, and the code is used up by that.
async fn is_proven(desk: &Desk, session: &mut Session, checked: &Checked, code: &str) -> Result<bool> {
    let Some(credential) = checked.credential.as_ref().filter(|_| checked.password_fits) else { return Ok(false) };
    let id = &credential.operator_id;
    if let Some(step) = one_time_code::matching_step(&credential.totp_secret, code, desk.now()) {
        return Ok(store::credential::use_step(session, id, step).await?);
    }
    let Some(recovery) = one_time_code::read_recovery_code(code) else { return Ok(false) };
    let is_good = store::credential::use_recovery_code(session, id, &digest(&recovery), desk.now()).await?;
    if is_good {
        let left = store::credential::recovery_codes_left(session, id).await?;
        desk.audit(session, &stranger(), "recovery_code.used", ("operator", id), json!({ "left": left })).await?;
    }
    Ok(is_good)
}

/// Proves again who the visitor is; says whether it was them.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn prove(
    desk: &Desk,
    session: &mut Session,
    visitor: &Visitor,
    (checked, code): (&Checked, &str),
) -> Result<bool> {
    let is_same = checked.operator.as_ref().is_some_and(|operator| operator.id == visitor.operator.id);
    let fits = is_same && is_proven(desk, session, checked, code).await?;
    let object = ("session", visitor.session.id.as_str());
    if !fits {
        desk.audit(session, &stranger(), "session.refused", object, json!({})).await?;
        return Ok(false);
    }
    store::sign_in_session::prove(session, &visitor.session.id, desk.now()).await?;
    desk.audit(session, &visitor.actor, "session.proved", object, json!({})).await?;
    Ok(true)
}

/// Hands a locked session's browser over to the next person, whose own session it becomes; the log shows both.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn take_over(
    desk: &Desk,
    session: &mut Session,
    visitor: &Visitor,
    (checked, code): (&Checked, &str),
) -> Result<Option<Opened>> {
    let browser = visitor.session.browser.as_str();
    let Some(opened) = with_password(desk, session, checked, (code, browser)).await? else { return Ok(None) };
    hand_over(desk, session, visitor, &opened).await?;
    Ok(Some(opened))
}

/// Ends the session of whoever goes and writes down who comes.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn hand_over(desk: &Desk, session: &mut Session, visitor: &Visitor, opened: &Opened) -> Result<()> {
    store::sign_in_session::end(session, &visitor.session.id, &visitor.operator.id).await?;
    let next = Actor { id: format!("operator:{}", opened.session.operator_id), ..visitor.actor.clone() };
    let detail = json!({ "from": visitor.actor.id, "session": visitor.session.id });
    desk.audit(session, &next, "session.shift_changed", ("session", &opened.session.id), detail).await
}

/// Whom the log names while nobody is signed in.
fn stranger() -> Actor {
    Actor { id: "nobody".to_owned(), role: Role::Auditor, area: String::new(), is_key: false }
}

/// What somebody chose to sign in with.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    /// The new password.
    pub password: &'a str,
    /// The same once more.
    pub repeated: &'a str,
}

impl std::fmt::Debug for Choice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Choice(***)")
    }
}

/// Checks a new password and hashes it.
///
/// # Errors
/// [`ActionError::Invalid`] names the field.
pub async fn hash_choice(visitor: &Visitor, choice: Choice<'_>) -> Result<String> {
    let about = [visitor.operator.name.as_str(), visitor.operator.email.as_str()];
    password::check_new(choice.password, &about)
        .map_err(|error| ActionError::field("password", error.code(), error.detail()))?;
    if choice.password != choice.repeated {
        let detail = "Lösenorden är inte lika. Skriv samma lösenord i båda fälten.";
        return Err(ActionError::field("repeated", "password.not_repeated", detail));
    }
    let typed = choice.password.to_owned();
    let salt = ambient::random_bytes();
    let hash = tokio::task::spawn_blocking(move || password::hash(&typed, salt)).await;
    Ok(hash.expect("hashing neither panics nor is cancelled"))
}

/// The secret that the visitor's app shall have, while they enrol.
///
/// # Errors
/// [`ActionError::NotFound`] when they do not.
pub async fn enrolment(session: &mut Session, visitor: &Visitor) -> Result<Credential> {
    if visitor.session.state != "enrolling" {
        return Err(ActionError::NotFound);
    }
    store::credential::get(session, &visitor.operator.id).await?.ok_or(ActionError::NotFound)
}

/// Takes the chosen password and the first code; opens a session under a new token. Gives the recovery codes, to be shown
/// once.
///
/// # Errors
/// [`ActionError::Invalid`] when the code is wrong.
pub async fn enrol(
    desk: &Desk,
    session: &mut Session,
    visitor: &Visitor,
    (password_hash, code): (String, &str),
) -> Result<(Opened, Vec<String>)> {
    let mut credential = enrolment(session, visitor).await?;
    let Some(step) = one_time_code::matching_step(&credential.totp_secret, code, desk.now()) else {
        let detail =
            "Koden stämmer inte. Skriv de sex siffror som appen visar just nu. Klockan i telefonen måste gå rätt.";
        return Err(ActionError::field("code", "code.wrong", detail));
    };
    credential = Credential {
        password_hash,
        totp_step: step,
        confirmed_at: Some(desk.now()),
        changed_at: desk.now(),
        ..credential
    };
    store::credential::put(session, &credential).await?;
    let codes = new_recovery_codes(session, &visitor.operator.id).await?;
    desk.audit(session, &visitor.actor, "credential.chosen", ("operator", &visitor.operator.id), json!({})).await?;
    store::sign_in_session::end_others(session, &visitor.operator.id, "").await?;
    let opening = Opening { way: "password", state: "open", browser: &visitor.session.browser };
    let opened = session::open(desk, session, &visitor.operator, opening).await?;
    Ok((opened, codes))
}

/// Changes the visitor's password. All their sessions end, and this browser goes on under a new token; `None` when the old
/// password or the code was wrong.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn change_password(
    desk: &Desk,
    session: &mut Session,
    visitor: &Visitor,
    (checked, code, password_hash): (&Checked, &str, String),
) -> Result<Option<Opened>> {
    if !prove(desk, session, visitor, (checked, code)).await? {
        return Ok(None);
    }
    let id = &visitor.operator.id;
    let credential = store::credential::get(session, id).await?.ok_or(ActionError::NotFound)?;
    let changed = Credential { password_hash, changed_at: desk.now(), ..credential };
    store::credential::put(session, &changed).await?;
    store::sign_in_session::end_others(session, id, "").await?;
    desk.audit(session, &visitor.actor, "credential.password_changed", ("operator", id), json!({})).await?;
    let opening = Opening { way: "password", state: "open", browser: &visitor.session.browser };
    session::open(desk, session, &visitor.operator, opening).await.map(Some)
}

/// Gives the visitor new recovery codes, to be shown once; earlier ones become void.
///
/// # Errors
/// [`ActionError::NotFound`] for somebody who does not sign in with a password.
pub async fn renew_recovery_codes(desk: &Desk, session: &mut Session, visitor: &Visitor) -> Result<Vec<String>> {
    let id = &visitor.operator.id;
    let credential = store::credential::get(session, id).await?;
    credential.filter(|credential| credential.confirmed_at.is_some()).ok_or(ActionError::NotFound)?;
    desk.audit(session, &visitor.actor, "recovery_code.renewed", ("operator", id), json!({})).await?;
    new_recovery_codes(session, id).await
}

async fn new_recovery_codes(session: &mut Session, operator_id: &str) -> Result<Vec<String>> {
    let codes: Vec<String> = std::iter::repeat_with(|| one_time_code::recovery_code(ambient::random_bytes()))
        .take(one_time_code::RECOVERY_CODES)
        .collect();
    let hashes: Vec<String> =
        codes.iter().filter_map(|code| one_time_code::read_recovery_code(code)).map(|code| digest(&code)).collect();
    store::credential::put_recovery_codes(session, operator_id, &hashes).await?;
    Ok(codes)
}
