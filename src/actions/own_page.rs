//! Owns the way in to a contact person's own page: a link by e-mail, once, and the session that it opens.
//!
//! It has nothing to do with the sessions of operators. Invariants: a link goes to the address in the register and nowhere
//! else; link and session end by age, by use, and with the person's record.

use serde_json::json;

use super::command::of;
use super::contact_person::held;
use super::key::digest;
use super::{ActionError, Desk, Result, message, require};
use crate::ambient;
use crate::domain::coverage::{POSITIONS, PlannedDelivery};
use crate::domain::delivery::{Channel, DeliveryState};
use crate::domain::email_address;
use crate::domain::operator::{Actor, Right};
use crate::domain::own_page_token::{self, PLACE};
use crate::store::contact_person::ContactPerson;
use crate::store::coverage::{Freeze, add_deliveries, delivery_rows};
use crate::store::own_page::{OwnPageLink, OwnPageSession};
use crate::store::{self, Session};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// How long a link works: half an hour.
pub const LINK_MS: i64 = 30 * MINUTE_MS;
/// How long a browser is remembered: 90 days.
pub const SESSION_MS: i64 = 90 * 24 * HOUR_MS;
/// Links to one person in an hour, whoever asks: nobody's mailbox is flooded through us.
const LINKS_AN_HOUR: usize = 5;

/// A contact person who looks at their own page.
#[derive(Debug, Clone)]
pub struct OwnVisitor {
    /// Who.
    pub person: ContactPerson,
    /// From which browser.
    pub session: OwnPageSession,
}

/// Sends a link to whoever in the register has this e-mail address; says how many. Who asks is not to learn the number.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn ask(desk: &Desk, session: &mut Session, email: &str) -> Result<usize> {
    let persons = store::contact_person::by_email_key(session, &email_address::key(email.trim())).await?;
    let mut sent = 0;
    for person in persons {
        sent += usize::from(queue(desk, session, &of(&person), &person).await?);
    }
    Ok(sent)
}

/// Sends a link to a person of the register.
///
/// # Errors
/// [`ActionError::NotFound`]; a conflict without e-mail address, and when the person has got several just now.
pub async fn send(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<()> {
    require(actor, Right::ReadRegister)?;
    let tree = store::area::tree(session).await?;
    let person = held(session, actor, &tree, id).await?;
    if person.email.is_none() || desk.config.mail.url.is_empty() {
        let detail = "Länken går bara med e-post, och det saknas här. Lägg till en e-postadress först.";
        return Err(ActionError::conflict("own_page.no_email", detail));
    }
    if !queue(desk, session, actor, &person).await? {
        let detail = "Personen har redan fått flera länkar den senaste timmen. Vänta en stund.";
        return Err(ActionError::conflict("own_page.too_many", detail));
    }
    Ok(())
}

/// Queues the mail with a link; `false` when none is sent.
async fn queue(desk: &Desk, session: &mut Session, actor: &Actor, person: &ContactPerson) -> Result<bool> {
    let now = desk.now();
    let Some(email) = person.email.as_deref().filter(|_| !desk.config.mail.url.is_empty()) else { return Ok(false) };
    if store::own_page::links(session, &person.id, now - HOUR_MS).await?.len() >= LINKS_AN_HOUR {
        return Ok(false);
    }
    let number = store::setting::next_message_number(session).await?;
    let expires_at = now + LINK_MS;
    let message = message::own(desk, actor, number, (mail_text(desk), expires_at));
    store::message::insert(session, &message).await?;
    let freeze = Freeze { message_id: &message.id, number, priority: message.priority, due_at: now, expires_at, now };
    // Nobody's opt-out or pause is asked: the person wants to come in, perhaps to end just that.
    let planned = PlannedDelivery {
        position: 1,
        channel: Channel::Email,
        address: email.into(),
        contact_person_id: None,
        area_code: None,
        persons: 0,
        households: 0,
        place: 1,
    };
    let deliveries = add_deliveries(session, &freeze, &delivery_rows(number, std::iter::once(planned))).await?;
    store::settle::start_counting(session, &message.id, DeliveryState::Queued, deliveries).await?;
    let delivery_id = number * POSITIONS + 1;
    let link = OwnPageLink {
        token_hash: digest(&own_page_token::encode(&desk.token_key, delivery_id)),
        contact_person_id: person.id.clone(),
        delivery_id,
        asked_by: actor.id.clone(),
        created_at: now,
        expires_at,
        used_at: None,
    };
    store::own_page::insert_link(session, &link).await?;
    let object = ("own_page_link", message.id.as_str());
    desk.audit(session, actor, "own_page.link_sent", object, json!({ "contact_person": person.id })).await?;
    Ok(true)
}

/// Subject on the first line, then the text.
fn mail_text(desk: &Desk) -> String {
    let list = &desk.config.letters.list_name;
    format!(
        "Länk till din egen sida i {list}\nHej!\n\nHär är länken till din egen sida i {list}. Den gäller i 30 minuter och \
         går att använda en gång.\n\n{PLACE}\n\nSkicka inte länken vidare: den som har den kommer in på din sida. Har du inte \
         bett om den behöver du inte göra något.\n\nPågår brott: ring 112.\n"
    )
}

/// Whose page a link opens, while it works; uses nothing up.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn look(desk: &Desk, session: &mut Session, token: &str) -> Result<Option<ContactPerson>> {
    if !own_page_token::is_ours(&desk.token_key, token) {
        return Ok(None);
    }
    let link = store::own_page::link(session, &digest(token)).await?;
    let Some(link) = link.filter(|link| link.used_at.is_none() && link.expires_at > desk.now()) else {
        return Ok(None);
    };
    let Some(person) = person_of(session, &link.contact_person_id).await? else { return Ok(None) };
    // It went to an address that is not the person's any more, or never was.
    let went_to = store::own_page::sent_to(session, &link).await?.map(|address| email_address::key(&address));
    Ok(Some(person).filter(|person| went_to.is_some() && went_to == person.email_key))
}

/// Uses a link up and opens a session; the token for the cookie, or `None` when the link does not work.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn use_link(desk: &Desk, session: &mut Session, token: &str) -> Result<Option<String>> {
    let Some(person) = look(desk, session, token).await? else { return Ok(None) };
    let now = desk.now();
    if !store::own_page::use_link(session, &digest(token), now).await? {
        return Ok(None);
    }
    let secret = data_encoding::BASE32_NOPAD.encode(&ambient::random_bytes::<32>()).to_lowercase();
    let row = OwnPageSession {
        id: desk.id(),
        token_hash: digest(&secret),
        contact_person_id: person.id.clone(),
        created_at: now,
        seen_at: now,
        expires_at: now + SESSION_MS,
        email_key: person.email_key.clone().unwrap_or_default(),
    };
    store::own_page::insert(session, &row).await?;
    let object = ("contact_person", person.id.as_str());
    desk.audit(session, &of(&person), "own_page.opened", object, json!({ "session": row.id })).await?;
    Ok(Some(secret))
}

/// Who holds the token of a cookie; `None` when the session has ended or the person is gone.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn visitor_of(desk: &Desk, token: &str) -> Result<Option<OwnVisitor>> {
    if token.len() > 100 {
        return Ok(None);
    }
    let mut session = desk.store.read().await?;
    let row = store::own_page::by_token(&mut session, &digest(token)).await?;
    let now = desk.now();
    let Some(row) = row.filter(|row| row.expires_at > now) else { return Ok(None) };
    let Some(person) = person_of(&mut session, &row.contact_person_id).await? else { return Ok(None) };
    // Whoever came by an address that is not the person's any more is a stranger.
    if person.email_key.as_deref() != Some(row.email_key.as_str()) {
        return Ok(None);
    }
    drop(session);
    if now - row.seen_at > HOUR_MS
        && let Err(error) = touch(desk, &row, &person).await
    {
        tracing::warn!(code = error.code(), "that an own page was looked at could not be written down");
    }
    Ok(Some(OwnVisitor { person, session: row }))
}

/// Notes, once an hour, that somebody looked at their own page.
async fn touch(desk: &Desk, row: &OwnPageSession, person: &ContactPerson) -> Result<()> {
    let mut session = desk.store.begin().await?;
    if store::own_page::touch(&mut session, &row.id, desk.now()).await? {
        let object = ("contact_person", person.id.as_str());
        desk.audit(&mut session, &of(person), "own_page.read", object, json!({ "session": row.id })).await?;
    }
    Ok(session.commit().await?)
}

/// Ends the session that the visitor looks from.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn end(desk: &Desk, session: &mut Session, visitor: &OwnVisitor) -> Result<()> {
    store::own_page::end(session, &visitor.session.id).await?;
    let object = ("contact_person", visitor.person.id.as_str());
    desk.audit(session, &of(&visitor.person), "own_page.closed", object, json!({ "session": visitor.session.id })).await
}

/// Ends whatever lets anybody into a person's page, sessions and links that nobody has used: a lost phone, or a mailbox that others
/// read. Says how many sessions there were. The person may ask for a new link at once.
///
/// # Errors
/// [`ActionError::NotFound`] for a person outside the actor's areas.
pub async fn end_all(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<usize> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    held(session, actor, &tree, id).await?;
    let now = desk.now();
    let sessions = store::own_page::of_person(session, id).await?;
    for one in &sessions {
        store::own_page::end(session, &one.id).await?;
    }
    let links = store::own_page::links(session, id, now - HOUR_MS).await?;
    let mut unused = 0;
    for link in links.iter().filter(|link| link.used_at.is_none() && link.expires_at > now) {
        unused += usize::from(store::own_page::use_link(session, &link.token_hash, now).await?);
    }
    if sessions.len() + unused > 0 {
        let detail = json!({ "sessions": sessions.len(), "links": unused });
        desk.audit(session, actor, "own_page.all_closed", ("contact_person", id), detail).await?;
    }
    Ok(sessions.len())
}

async fn person_of(session: &mut Session, id: &str) -> Result<Option<ContactPerson>> {
    Ok(store::contact_person::get(session, id).await?.filter(|person| person.erased_at.is_none()))
}

/// The person as nobody but themselves sees it: first name and one letter, so that a link in wrong hands tells little.
#[must_use]
pub fn short_name(name: &str) -> String {
    let mut words = name.split_whitespace();
    let first = words.next().unwrap_or_default();
    match words.next_back().and_then(|last| last.chars().next()) {
        Some(letter) => format!("{first} {letter}"),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn a_name_is_shown_with_one_letter_of_the_last() {
        for (name, short) in
            [("Britt Rosén", "Britt R"), ("Britt-Marie von Ahn", "Britt-Marie A"), ("Britt", "Britt"), ("", "")]
        {
            assert_eq!(short_name(name), short);
        }
    }
}
