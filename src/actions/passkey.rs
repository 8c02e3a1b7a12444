//! Owns passkeys (WebAuthn): adding, removing, and knowing somebody by one.
//!
//! A passkey stands for password and code together: the key asks its owner for a finger or a PIN itself. It is bound to our
//! host name, so that a copy of our pages gets nothing out of it. Invariant: a question is answered once, within five minutes.

use serde::Serialize;
use serde_json::json;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, DiscoverableKey, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Url, Uuid, Webauthn, WebauthnBuilder,
};

use super::key::{checked_name, digest};
use super::session::{self, Opened, Opening, Visitor};
use super::{ActionError, Desk, Result};
use crate::ambient;
use crate::config::Config;
use crate::domain::operator::{Actor, Role};
use crate::store::operator::Operator;
use crate::store::{self, Session, StoreError};

/// A question is good for five minutes.
const LASTS_MS: i64 = 5 * 60 * 1000;
/// Passkeys that one operator may have.
const MOST: usize = 10;

/// What a browser asks a key.
#[derive(Debug, Serialize)]
pub struct Question {
    /// Given back with the answer.
    pub handle: String,
    /// Options of `navigator.credentials`.
    pub options: serde_json::Value,
}

/// Whether keys can be used: they want a host name, and TLS unless it is this machine.
#[must_use]
pub fn is_available(config: &Config) -> bool {
    config.sign_in.passwords && relying_party(config).is_some()
}

fn relying_party(config: &Config) -> Option<Webauthn> {
    let url = Url::parse(&config.server.public_url).ok()?;
    let host = url.domain()?.to_owned();
    let is_secure = url.scheme() == "https" || host == "localhost";
    let builder = WebauthnBuilder::new(&host, &url).ok().filter(|_| is_secure)?;
    builder.rp_name("grannpost").build().ok()
}

/// Asks a new key of the visitor's to make itself known.
///
/// # Errors
/// [`ActionError`].
pub async fn ask_new(desk: &Desk, session: &mut Session, visitor: &Visitor) -> Result<Question> {
    let party = relying_party(&desk.config).ok_or(ActionError::NotFound)?;
    let known = store::passkey::of_operator(session, &visitor.operator.id).await?;
    if known.len() >= MOST {
        let detail = "Du har redan tio passkeys. Ta bort en först.";
        return Err(ActionError::conflict("passkey.too_many", detail));
    }
    let ids = known.iter().filter_map(|one| read(&one.data)).map(|key| key.cred_id().clone()).collect();
    let id = Uuid::parse_str(&visitor.operator.id).map_err(|_| ActionError::NotFound)?;
    let (email, name) = (&visitor.operator.email, &visitor.operator.name);
    let (options, state) =
        party.start_passkey_registration(id, email, name, Some(ids)).map_err(|_| ActionError::NotFound)?;
    keep(desk, session, (Some(&visitor.operator.id), &state), &options).await
}

/// Adds the key that answered.
///
/// # Errors
/// [`ActionError::Invalid`] when the answer does not hold.
pub async fn add(
    desk: &Desk,
    session: &mut Session,
    visitor: &Visitor,
    (name, handle, answer): (&str, &str, &str),
) -> Result<()> {
    let refused = || ActionError::field("passkey", "passkey.refused", "Nyckeln gick inte att lägga till. Försök igen.");
    let name = checked_name(name)?;
    let party = relying_party(&desk.config).ok_or(ActionError::NotFound)?;
    let question = take(desk, session, handle).await?.ok_or_else(refused)?;
    if question.operator_id.as_deref() != Some(visitor.operator.id.as_str()) {
        return Err(refused());
    }
    let state: PasskeyRegistration = serde_json::from_str(&question.state).map_err(|_| refused())?;
    let answer: RegisterPublicKeyCredential = serde_json::from_str(answer).map_err(|_| refused())?;
    let key = party.finish_passkey_registration(&answer, &state).map_err(|_| refused())?;
    let row = store::passkey::Passkey {
        id: data_encoding::BASE64URL_NOPAD.encode(key.cred_id()),
        operator_id: visitor.operator.id.clone(),
        name,
        data: written(&key),
        created_at: desk.now(),
        last_used_at: None,
    };
    store::passkey::insert(session, &row).await.map_err(|error| match error {
        StoreError::Conflict(_) => ActionError::conflict("passkey.taken", "Nyckeln används redan."),
        error => error.into(),
    })?;
    let object = ("operator", visitor.operator.id.as_str());
    desk.audit(session, &visitor.actor, "passkey.added", object, json!({ "passkey": row.id })).await
}

/// Removes one of the visitor's keys.
///
/// # Errors
/// [`ActionError::NotFound`] when it is not theirs.
pub async fn remove(desk: &Desk, session: &mut Session, visitor: &Visitor, id: &str) -> Result<()> {
    if !store::passkey::remove(session, id, &visitor.operator.id).await? {
        return Err(ActionError::NotFound);
    }
    let object = ("operator", visitor.operator.id.as_str());
    desk.audit(session, &visitor.actor, "passkey.removed", object, json!({ "passkey": id })).await
}

/// Asks whichever key there is; it does not say whose it waits for.
///
/// # Errors
/// [`ActionError`].
pub async fn ask_any(desk: &Desk, session: &mut Session) -> Result<Question> {
    let party = relying_party(&desk.config).ok_or(ActionError::NotFound)?;
    let (options, state) = party.start_discoverable_authentication().map_err(|_| ActionError::NotFound)?;
    keep(desk, session, (None, &state), &options).await
}

/// Who has answered with their key; `None` when the answer does not hold, which the log tells.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn identify(desk: &Desk, session: &mut Session, (handle, answer): (&str, &str)) -> Result<Option<Operator>> {
    let found = answered(desk, session, handle, answer).await?;
    if found.is_none() {
        let nobody = Actor { id: "nobody".to_owned(), role: Role::Auditor, area: String::new(), is_key: false };
        let detail = json!({ "way": "passkey" });
        desk.audit(session, &nobody, "session.refused", ("operator", ""), detail).await?;
    }
    Ok(found)
}

async fn answered(desk: &Desk, session: &mut Session, handle: &str, answer: &str) -> Result<Option<Operator>> {
    let Some(party) = relying_party(&desk.config).filter(|_| desk.config.sign_in.passwords) else { return Ok(None) };
    let question = take(desk, session, handle).await?.filter(|question| question.operator_id.is_none());
    let state = question.and_then(|one| serde_json::from_str::<DiscoverableAuthentication>(&one.state).ok());
    let Some((state, answer)) = state.zip(serde_json::from_str::<PublicKeyCredential>(answer).ok()) else {
        return Ok(None);
    };
    let Ok((owner, id)) = party.identify_discoverable_authentication(&answer) else { return Ok(None) };
    let id = data_encoding::BASE64URL_NOPAD.encode(id);
    let Some(row) = store::passkey::get(session, &id).await?.filter(|row| row.operator_id == owner.to_string()) else {
        return Ok(None);
    };
    let Some(mut key) = read(&row.data) else { return Ok(None) };
    let held = party.finish_discoverable_authentication_v2(&answer, state, DiscoverableKey::from(&key));
    let Ok(held) = held else { return Ok(None) };
    key.update_credential(&held);
    store::passkey::note_use(session, &row.id, written(&key), desk.now()).await?;
    let operator = store::operator::by_id_or_email(session, &row.operator_id).await?;
    Ok(operator.filter(|operator| operator.disabled_at.is_none()))
}

/// Opens a session for whom a key has been answered for.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn enter(desk: &Desk, session: &mut Session, operator: &Operator, browser: &str) -> Result<Opened> {
    session::open(desk, session, operator, Opening { way: "passkey", state: "open", browser }).await
}

/// Notes that the visitor has proved again who they are, if `operator` is them; says whether.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn prove(desk: &Desk, session: &mut Session, visitor: &Visitor, operator: &Operator) -> Result<bool> {
    let is_same = operator.id == visitor.operator.id;
    if is_same {
        store::sign_in_session::prove(session, &visitor.session.id, desk.now()).await?;
        let object = ("session", visitor.session.id.as_str());
        desk.audit(session, &visitor.actor, "session.proved", object, json!({ "way": "passkey" })).await?;
    }
    Ok(is_same)
}

/// Keeps what the answer will be held against, under the digest of a handle.
async fn keep(
    desk: &Desk,
    session: &mut Session,
    (operator_id, state): (Option<&String>, &impl Serialize),
    options: &impl Serialize,
) -> Result<Question> {
    let handle = data_encoding::BASE32_NOPAD.encode(&ambient::random_bytes::<32>()).to_lowercase();
    let question = store::passkey::Question {
        handle_hash: digest(&handle),
        operator_id: operator_id.cloned(),
        state: written(state),
        created_at: desk.now(),
    };
    store::passkey::ask(session, &question).await?;
    Ok(Question { handle, options: serde_json::to_value(options).expect("options are plain data") })
}

async fn take(desk: &Desk, session: &mut Session, handle: &str) -> Result<Option<store::passkey::Question>> {
    Ok(store::passkey::take_question(session, &digest(handle), desk.now() - LASTS_MS).await?)
}

fn read(data: &str) -> Option<Passkey> {
    serde_json::from_str(data).ok()
}

fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("keys and their states are plain data")
}
