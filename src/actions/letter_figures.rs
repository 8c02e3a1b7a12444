//! Owns the figures of a letter beyond its counts: its reviews, and how its deliveries stand by channel and reason.
//!
//! Invariant: no address and no name stands here.

use super::letter_view::{self, LetterView};
use super::{Desk, Result};
use crate::domain::delivery::{Channel, DeliveryState};
use crate::domain::message::MessageState;
use crate::domain::operator::Actor;
use crate::store::letter::Standing;
use crate::store::message::{Message, Review};
use crate::store::{self, Session};

/// A letter with its figures.
#[derive(Debug, Clone)]
pub struct LetterFigures {
    /// The letter.
    pub view: LetterView,
    /// All acts upon it, in order.
    pub reviews: Vec<Review>,
    /// Deliveries that stand alike.
    pub standings: Vec<Standing>,
}

impl LetterFigures {
    /// Deliveries on `channel` in one of `states`.
    #[must_use]
    pub fn count(&self, channel: Channel, states: &[DeliveryState]) -> i64 {
        let fits = |one: &&Standing| {
            one.channel == channel.code() && states.iter().any(|state| state.code() == one.state.as_str())
        };
        self.standings.iter().filter(fits).map(|one| one.deliveries).sum()
    }
}

/// A letter of the actor's areas with its figures.
///
/// # Errors
/// [`super::ActionError::NotFound`] when there is none.
pub async fn get(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<LetterFigures> {
    let view = letter_view::get(desk, session, actor, id).await?;
    Ok(LetterFigures {
        reviews: store::message::reviews(session, id).await?,
        standings: store::letter::standings(session, id).await?,
        view,
    })
}

/// Whether all that a letter on its way still waits for is a printer.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn waits_for_paper_only(session: &mut Session, message: &Message) -> Result<bool> {
    if message.kind != "letter" || message.state() != MessageState::Sending {
        return Ok(false);
    }
    let waits = |one: &Standing| DeliveryState::from_code(&one.state).is_some_and(DeliveryState::waits);
    let standings = store::letter::standings(session, &message.id).await?;
    Ok(standings.iter().filter(|one| waits(one)).all(|one| one.channel == Channel::Paper.code()))
}

/// How a test that the actor sent stands, by its message's id; `None` when it is not theirs.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn test(session: &mut Session, actor: &Actor, id: &str) -> Result<Option<Standing>> {
    let message = store::message::get(session, id).await?;
    if !message.is_some_and(|message| message.kind == "test" && message.created_by == actor.id) {
        return Ok(None);
    }
    Ok(store::letter::standings(session, id).await?.pop())
}
