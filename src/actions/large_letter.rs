//! Owns letters whose audience is too large for one transaction: written unseen, published in one.
//!
//! It does the same as `actions::letter`, which holds the rules. Invariant: until [`publish`] is committed the letter is
//! the draft it was, and nobody gets it.

use super::freezing::{Freezing, NEVER};
use super::letter::{self, Outgoing, Sending};
use super::letter_review::{self, Pass};
use super::letter_view::{self, LetterView};
use super::unsealing::release_first;
use super::{Desk, Result, message};
use crate::domain::audience::LetterAudience;
use crate::domain::coverage::Coverage;
use crate::domain::delivery::DeliveryState;
use crate::domain::operator::Actor;
use crate::store::audience::Asked;
use crate::store::coverage::Freeze;
use crate::store::freezing::Undo;
use crate::store::{self, Session};

/// A letter whose audience is frozen and that is a draft still.
#[derive(Debug)]
pub struct UnseenLetter {
    freezing: Freezing,
    outgoing: Outgoing,
    pass: Pass,
    expires_at: i64,
    audience: LetterAudience,
    deliveries: u64,
}

impl UnseenLetter {
    /// What is taken back when it cannot be published.
    #[must_use]
    pub fn freezing(&self) -> &Freezing {
        &self.freezing
    }
}

/// Whether the letter `id` is to be sent from here. One that a colleague looks at first is not, however large.
///
/// # Errors
/// [`super::ActionError`].
pub async fn is_large(desk: &Desk, id: &str, pass: &Pass) -> Result<bool> {
    let areas = {
        let mut session = desk.store.read().await?;
        if *pass == Pass::Own && letter_review::comes_first(desk, &mut session, id).await? {
            return Ok(false);
        }
        store::message::chosen_areas(&mut session, id).await?
    };
    super::large_alert::is_large(desk, &areas).await
}

/// Freezes the audience of a draft, which nobody sees.
///
/// # Errors
/// [`super::ActionError`]; what was written is taken back.
pub async fn send(desk: &Desk, actor: &Actor, (id, sending): (&str, Sending), pass: &Pass) -> Result<UnseenLetter> {
    let mut session = desk.store.begin().await?;
    let outgoing = letter::check_sending(desk, &mut session, actor, (id, sending), pass).await?;
    let freezing = Freezing::begin(desk, &mut session, id, Undo::Keep).await?;
    session.commit().await?;
    let now = desk.now();
    let expires_at = outgoing.message.send_at.unwrap_or(now).max(now) + letter::give_up_ms(desk);
    let frozen = freeze(desk, &freezing, (&outgoing, expires_at), sending).await;
    let (deliveries, audience) = freezing.or_undo(desk, frozen).await?;
    let passes = letter_review::require_pass(desk, pass, audience);
    freezing.or_undo(desk, passes).await?;
    Ok(UnseenLetter { freezing, outgoing, pass: pass.clone(), expires_at, audience, deliveries })
}

/// Lets a letter be seen as sent, and go.
///
/// # Errors
/// [`super::ActionError`]; the caller takes its freezing back then.
pub async fn publish(desk: &Desk, session: &mut Session, actor: &Actor, unseen: &UnseenLetter) -> Result<LetterView> {
    let UnseenLetter { freezing, outgoing, pass, expires_at, audience, deliveries } = unseen;
    let id = outgoing.message.id.as_str();
    freezing.publish(session, outgoing.message.number).await?;
    let message = letter::write_sent(desk, session, outgoing, *audience, Some(*expires_at)).await?;
    store::settle::start_counting(session, id, DeliveryState::Queued, *deliveries).await?;
    letter::log_sent(desk, session, actor, (&message, outgoing, *audience), pass).await?;
    release_first(session, &desk.clock, id).await?;
    letter_view::load(desk, session, id).await
}

async fn freeze(
    desk: &Desk,
    freezing: &Freezing,
    (outgoing, expires_at): (&Outgoing, i64),
    sending: Sending,
) -> Result<(u64, LetterAudience)> {
    let now = desk.now();
    let crowd = {
        let mut sessions = desk.store.read_at_once().await?;
        let asked = Asked { areas_json: &outgoing.areas_json, now };
        store::audience::large_letter_crowd(&mut sessions, asked).await?
    };
    let audience = crowd.letter_audience();
    letter::expect_recipients(desk, sending.expected_recipients, audience)?;
    let copies: Vec<String> = outgoing.copies().into_iter().map(str::to_owned).collect();
    // Sorting a million people would hold up what else this thread serves.
    let coverage = tokio::task::spawn_blocking(move || {
        let copies: Vec<&str> = copies.iter().map(String::as_str).collect();
        Coverage::of(crowd, &copies)
    })
    .await
    .expect("ordering people does not panic");
    let freeze = Freeze { due_at: NEVER, expires_at, ..message::freeze(&outgoing.message, now) };
    Ok((freezing.seal(desk, &freeze, &coverage, &[]).await?, audience))
}
