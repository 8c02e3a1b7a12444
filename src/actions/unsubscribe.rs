//! Owns the way out of letters that every letter carries: a link that names one person.
//!
//! Invariant: it ends letters and nothing else; done twice it answers as the first time.

use super::{Desk, Result};
use crate::domain::operator::{Actor, Role};
use crate::domain::unsubscribe_token;
use crate::store::{self, Session};

/// What the holder of a link sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription {
    /// Letters come.
    Active,
    /// Letters have been ended.
    Ended,
    /// The link of a preview or test: there is nobody behind it.
    Preview,
}

/// What a link stands for; changes nothing. `None` for a link that we have not made or whose person is gone.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn look(desk: &Desk, session: &mut Session, token: &str) -> Result<Option<Subscription>> {
    if token == unsubscribe_token::PREVIEW {
        return Ok(Some(Subscription::Preview));
    }
    let Some(id) = unsubscribe_token::decode(&desk.token_key, token) else { return Ok(None) };
    let person = store::contact_person::get(session, id).await?.filter(|person| person.erased_at.is_none());
    Ok(person.map(|person| match person.letters_opt_out_at {
        Some(_) => Subscription::Ended,
        None => Subscription::Active,
    }))
}

/// Ends letters to the person a link names. `None` as for [`look`].
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn end(desk: &Desk, session: &mut Session, token: &str) -> Result<Option<Subscription>> {
    let before = look(desk, session, token).await?;
    let id = match (before, unsubscribe_token::decode(&desk.token_key, token)) {
        (Some(Subscription::Active), Some(id)) => id,
        (Some(Subscription::Ended), Some(id)) => {
            store::opt_out::note_repeated(session, id, desk.now(), (false, true)).await?;
            return Ok(before);
        }
        _ => return Ok(before),
    };
    write(desk, session, id, "letter_link").await?;
    Ok(Some(Subscription::Ended))
}

/// Ends letters to a person whose provider told us that they do not want them (RFC 5965).
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn end_by_complaint(desk: &Desk, session: &mut Session, contact_person_id: &str) -> Result<()> {
    write(desk, session, contact_person_id, "complaint").await
}

async fn write(desk: &Desk, session: &mut Session, id: &str, source: &'static str) -> Result<()> {
    if store::letter::opt_out(session, id, source, desk.now()).await? {
        let person = store::contact_person::get(session, id).await?;
        if let Some(email) = person.and_then(|person| person.email_key) {
            let fingerprint = desk.token_key.fingerprint("email", &email);
            store::contact_person::suppress(session, (fingerprint, "email"), "opted_out", desk.now()).await?;
        }
        let actor =
            Actor { id: format!("contact_person:{id}"), role: Role::Officer, area: String::new(), is_key: false };
        let detail = serde_json::json!({ "channel": "email", "source": source });
        desk.audit(session, &actor, "contact_person.letters_ended", ("contact_person", id), detail).await?;
    }
    Ok(())
}
