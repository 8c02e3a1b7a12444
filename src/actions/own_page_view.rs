//! Owns what a contact person sees on their own page: alerts of their area, what they have answered, letters they got.
//!
//! It changes nothing. Invariant: only what went to the person, came from them, or went to their own area is shown.

use serde_json::Value;

use super::command::of;
use super::own_page::OwnVisitor;
use super::{ActionError, Desk, Result, extract, letter_view};
use crate::domain::unsubscribe_token;
use crate::store::contact_person::ContactPerson;
use crate::store::extract::ObservationRow;
use crate::store::own_page::{OwnAlert, OwnLetter};
use crate::store::reply::Reply;
use crate::store::{self, Session};

/// Alerts are shown for so long after they went out: 30 days.
const SHOWN_MS: i64 = 30 * 24 * 3_600_000;
/// Alerts shown.
const ALERTS: i64 = 20;
/// Letters shown.
const LETTERS: i64 = 50;

/// An alert with what it is worth now.
#[derive(Debug, Clone)]
pub struct AlertCard {
    /// The alert.
    pub alert: OwnAlert,
    /// Whether it still holds.
    pub is_valid: bool,
}

/// The alerts of the person's area in the last weeks, newest first.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn alerts(desk: &Desk, session: &mut Session, person: &ContactPerson) -> Result<Vec<AlertCard>> {
    let now = desk.now();
    let who = (person.id.as_str(), person.area_code.as_str());
    let rows = store::own_page::alerts(session, who, (now, now - SHOWN_MS), ALERTS).await?;
    let card = |alert: OwnAlert| AlertCard {
        is_valid: alert.expires_at > now && alert.is_ended == 0 && alert.state != "stopped",
        alert,
    };
    Ok(rows.into_iter().map(card).collect())
}

/// One of the alerts that the person is shown.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn alert(desk: &Desk, session: &mut Session, person: &ContactPerson, id: &str) -> Result<AlertCard> {
    let all = alerts(desk, session, person).await?;
    all.into_iter().find(|card| card.alert.id == id).ok_or(ActionError::NotFound)
}

/// Something the person has told us, with what was written back.
#[derive(Debug, Clone)]
pub struct OwnObservation {
    /// What they told.
    pub row: ObservationRow,
    /// What was written back, oldest first.
    pub replies: Vec<Reply>,
}

/// What the person has told us, newest first; words to the program are not among it.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn observations(session: &mut Session, person: &ContactPerson) -> Result<Vec<OwnObservation>> {
    let replies = store::reply::of_person(session, &person.id).await?;
    let rows = store::extract::observations(session, &person.id).await?;
    let with_replies = |row: ObservationRow| OwnObservation {
        replies: replies.iter().filter(|reply| reply.observation_id == row.id).cloned().collect(),
        row,
    };
    Ok(rows.into_iter().rev().filter(|row| row.kind == "observation").map(with_replies).collect())
}

/// The letters the person got, newest first.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn letters(session: &mut Session, person: &ContactPerson) -> Result<Vec<OwnLetter>> {
    Ok(store::own_page::letters(session, &person.id, LETTERS).await?)
}

/// A letter the person got, as text; its unsubscribe link is their own.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn letter(
    desk: &Desk,
    session: &mut Session,
    person: &ContactPerson,
    id: &str,
) -> Result<(OwnLetter, String)> {
    let own = letters(session, person).await?.into_iter().find(|letter| letter.id == id);
    let own = own.ok_or(ActionError::NotFound)?;
    let view = letter_view::load(desk, session, id).await?;
    let link =
        desk.config.server.public_link(&format!("/u/{}", unsubscribe_token::encode(&desk.token_key, &person.id)));
    let parts = letter_view::prepared(desk, &view)?.for_contact_person(&link);
    Ok((own, parts.text))
}

/// All that is held on the visitor; that it was taken out is logged.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn extract(desk: &Desk, session: &mut Session, visitor: &OwnVisitor) -> Result<Value> {
    let tree = store::area::tree(session).await?;
    let messages = store::extract::messages_out(session, &visitor.person.id, desk.now()).await?;
    extract::gather(desk, session, &of(&visitor.person), (&tree, visitor.person.clone(), messages)).await
}
