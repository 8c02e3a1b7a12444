//! Owns a letter as it is shown: everything of it put together, and its preview.
//!
//! Invariant: a preview comes from the same renderer as what is sent, with the same letterhead and date.

use jiff::Timestamp;

use super::{ActionError, Desk, Result, holds_areas, require};
use crate::domain::audience::LetterAudience;
use crate::domain::letter::Letter;
use crate::domain::message::Counts;
use crate::domain::operator::{Actor, Right};
use crate::domain::own_page_token::OWN_PAGE;
use crate::domain::unsubscribe_token;
use crate::render::letter::{LetterParts, Letterhead, PreparedLetter, prepare};
use crate::store::letter::LetterRow;
use crate::store::message::Message;
use crate::store::{self, Session};

/// A letter as it is shown.
#[derive(Debug, Clone)]
pub struct LetterView {
    /// What it shares with alerts.
    pub message: Message,
    /// Its own fields.
    pub letter: LetterRow,
    /// The areas named by the sender.
    pub areas: Vec<String>,
    /// The audience: as frozen, or as it would be now while the letter is written or reviewed.
    pub audience: LetterAudience,
    /// Deliveries by state.
    pub counts: Counts,
}

/// A letter of the actor's areas.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub async fn get(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<LetterView> {
    require(actor, Right::ReadLetters)?;
    let view = load(desk, session, id).await?;
    let tree = store::area::tree(session).await?;
    if holds_areas(actor, &tree, &view.areas) { Ok(view) } else { Err(ActionError::NotFound) }
}

/// A page of the actor's letters, newest first, after the id `after`.
///
/// # Errors
/// [`ActionError`].
pub async fn page(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (after, limit): (&str, i64),
) -> Result<(Vec<LetterView>, Option<String>)> {
    require(actor, Right::ReadLetters)?;
    let tree = store::area::tree(session).await?;
    let messages = store::message::page(session, "letter", after, limit + 1).await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let next = (messages.len() > wanted).then(|| messages[wanted - 1].id.clone());
    let mut views = Vec::new();
    for message in messages.iter().take(wanted) {
        let view = load(desk, session, &message.id).await?;
        if holds_areas(actor, &tree, &view.areas) {
            views.push(view);
        }
    }
    Ok((views, next))
}

/// The parts of a letter as a contact person gets them, with a link in the place of the unsubscribe link that does
/// nothing.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn preview(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<LetterParts> {
    let view = get(desk, session, actor, id).await?;
    let prepared = prepared(desk, &view)?;
    let link = desk.config.server.public_link(&format!("/u/{}", unsubscribe_token::PREVIEW));
    Ok(prepared.for_contact_person(&link))
}

/// The letter rendered, but for the recipients' own parts.
pub(super) fn prepared(desk: &Desk, view: &LetterView) -> Result<PreparedLetter> {
    let letter = Letter::parse(&view.letter.fields()).map_err(|_| ActionError::NotFound)?;
    let sends_at = view.message.sends_at.or(view.message.send_at).unwrap_or(desk.now());
    let at = Timestamp::from_millisecond(sends_at).unwrap_or(Timestamp::UNIX_EPOCH);
    let letterhead = Letterhead {
        sender: desk.config.mail.sender_name().to_owned(),
        list_name: desk.config.letters.list_name.clone(),
        contact: desk.config.mail.contact_address().to_owned(),
        own_page: desk.config.server.public_link(OWN_PAGE),
    };
    Ok(prepare(&letter, &letterhead, at.to_zoned(desk.config.server.zone()).date()))
}

/// Puts a letter together.
pub(super) async fn load(desk: &Desk, session: &mut Session, id: &str) -> Result<LetterView> {
    let message = store::message::get(session, id).await?.filter(|message| message.kind == "letter");
    let message = message.ok_or(ActionError::NotFound)?;
    let letter = store::letter::get(session, id).await?.ok_or(ActionError::NotFound)?;
    let areas = store::message::chosen_areas(session, id).await?;
    let audience = if message.state().is_editable() {
        let codes = store::area::tree(session).await?.subtree(areas.iter().map(String::as_str));
        store::audience::count_letter(session, codes.iter().map(String::as_str), desk.now()).await?
    } else {
        audience_of(&message.audience)
    };
    let counts = store::message::counts(session, id).await?;
    Ok(LetterView { message, letter, areas, audience, counts })
}

/// Audience figures as stored with a message.
pub(super) fn audience_json(audience: LetterAudience) -> serde_json::Value {
    serde_json::json!({
        "contact_persons": audience.contact_persons,
        "households": audience.households,
        "by_email": audience.by_email,
        "on_paper": audience.on_paper,
        "not_reached": audience.not_reached,
    })
}

fn audience_of(json: &str) -> LetterAudience {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let figure = |name: &str| value[name].as_i64().unwrap_or(0);
    LetterAudience {
        contact_persons: figure("contact_persons"),
        households: figure("households"),
        by_email: figure("by_email"),
        on_paper: figure("on_paper"),
        not_reached: figure("not_reached"),
    }
}
