//! Owns the second pair of eyes on a letter: asking for it, returning, and what lets a letter go.
//!
//! Whoever approves sends: the audience is frozen then and not before. Invariant: an approval is bound to one revision and
//! never given by who wrote it; any change takes the letter back to a draft.

use super::letter::{self, Sending, expect_recipients, expect_revision, locked_draft};
use super::letter_view::{self, LetterView};
use super::message::{add_act, reason_to_skip, refuse_own};
use super::{ActionError, Desk, Result, notice, require};
use crate::config::alerts::Approval;
use crate::domain::audience::LetterAudience;
use crate::domain::message::MessageState;
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::clean_line;
use crate::store::message::Message;
use crate::store::{self, Session};

/// What lets a letter go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Pass {
    /// The sender's own right; not enough where the settings want a colleague.
    #[default]
    Own,
    /// Who sends it is the colleague, and approves it by that.
    Approved,
    /// It cannot wait, for this reason; see [`Pass::unreviewed`].
    Unreviewed(String),
}

impl Pass {
    /// That a letter cannot wait, and why.
    ///
    /// # Errors
    /// [`ActionError::Invalid`] when no reason is given.
    pub fn unreviewed(reason: &str) -> Result<Self> {
        reason_to_skip(reason).map(Self::Unreviewed)
    }

    /// What the log calls a sending by it.
    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::Own => "letter.sent",
            Self::Approved => "letter.approved",
            Self::Unreviewed(_) => "letter.sent_unreviewed",
        }
    }
}

/// Whether a letter to this audience must be approved before it goes.
#[must_use]
pub fn is_needed(desk: &Desk, audience: LetterAudience) -> bool {
    desk.config.letters.approval.is_needed_for(audience.by_email + audience.on_paper)
}

/// Whether the letter `id` must be approved before it goes.
pub(super) async fn comes_first(desk: &Desk, session: &mut Session, id: &str) -> Result<bool> {
    if desk.config.letters.approval == Approval::Never {
        return Ok(false);
    }
    let areas = store::message::chosen_areas(session, id).await?;
    let codes = store::area::tree(session).await?.subtree(areas.iter().map(String::as_str));
    let audience = store::audience::count_letter(session, codes.iter().map(String::as_str), desk.now()).await?;
    Ok(is_needed(desk, audience))
}

/// Hands a draft in, so that a colleague reads it and sends it.
///
/// # Errors
/// [`ActionError`]; it is a draft then.
pub async fn request(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (id, sending): (&str, Sending),
) -> Result<LetterView> {
    require(actor, Right::SendLetters)?;
    let tree = store::area::tree(session).await?;
    let message = locked_draft(session, actor, &tree, id).await?;
    if message.state() == MessageState::AwaitingApproval {
        return Err(awaits());
    }
    expect_revision(&message, sending.expected_revision)?;
    let audience = letter_view::load(desk, session, id).await?.audience;
    expect_recipients(desk, sending.expected_recipients, audience)?;
    store::message::set_state(session, &message, MessageState::AwaitingApproval, desk.now()).await?;
    let detail = serde_json::json!({ "revision": message.revision, "content_hash": message.content_hash });
    desk.audit(session, actor, "letter.review_requested", ("letter", id), detail).await?;
    letter_view::load(desk, session, id).await
}

/// Returns a revision to who wrote it.
///
/// # Errors
/// [`ActionError`].
pub async fn return_(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (id, revision): (&str, i64),
    reason: &str,
) -> Result<LetterView> {
    require(actor, Right::SendLetters)?;
    let tree = store::area::tree(session).await?;
    let message = letter::locked(session, actor, &tree, id).await?;
    check_pass(session, actor, &message, &Pass::Approved).await?;
    expect_revision(&message, Some(revision))?;
    let now = desk.now();
    store::message::set_state(session, &message, MessageState::Draft, now).await?;
    add_act(session, actor, &message, ("returned", &clean_line(reason)), now).await?;
    desk.audit(session, actor, "letter.returned", ("letter", id), serde_json::json!({ "revision": revision })).await?;
    letter_view::load(desk, session, id).await
}

/// Refuses a pass that does not fit where the letter stands.
pub(super) async fn check_pass(session: &mut Session, actor: &Actor, message: &Message, pass: &Pass) -> Result<()> {
    let is_awaiting = message.state() == MessageState::AwaitingApproval;
    match pass {
        Pass::Own if is_awaiting => Err(awaits()),
        Pass::Own => Ok(()),
        _ if !is_awaiting => {
            Err(ActionError::conflict("letter.not_awaiting_approval", "Brevet väntar inte på granskning."))
        }
        Pass::Approved => {
            require(actor, Right::Approve)?;
            refuse_own(session, actor, message, "letter.own_revision").await
        }
        Pass::Unreviewed(_) => Ok(()),
    }
}

/// Refuses to let a letter go by one's own right where a colleague is wanted.
pub(super) fn require_pass(desk: &Desk, pass: &Pass, audience: LetterAudience) -> Result<()> {
    if *pass == Pass::Own && is_needed(desk, audience) {
        let detail = "Så många mottagare kräver att en kollega granskar brevet först. Lämna det till granskning.";
        return Err(ActionError::conflict("letter.needs_approval", detail));
    }
    Ok(())
}

/// Writes down by what a letter was let go. The administrators are told when that was not a review.
pub(super) async fn note_pass(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    message: &Message,
    pass: &Pass,
) -> Result<()> {
    match pass {
        Pass::Own => Ok(()),
        Pass::Approved => add_act(session, actor, message, ("approved", ""), desk.now()).await,
        Pass::Unreviewed(reason) => {
            add_act(session, actor, message, ("unreviewed", reason), desk.now()).await?;
            let text = unreviewed_text(desk, actor, &message.id, reason);
            notice::to_administrators(desk, session, actor, ("Brev skickat utan granskning", &text)).await?;
            tracing::warn!(letter = message.id, actor = actor.id, "a letter was sent without the review it awaited");
            Ok(())
        }
    }
}

fn awaits() -> ActionError {
    let detail = "Brevet väntar på granskning. En kollega kan godkänna det, eller så ändrar du det och lämnar in igen.";
    ActionError::conflict("letter.awaiting_approval", detail)
}

/// What administrators are told; neither the letter's text nor anybody who gets it.
fn unreviewed_text(desk: &Desk, actor: &Actor, id: &str, reason: &str) -> String {
    let at = desk.clock.now().to_zoned(desk.config.server.zone()).strftime("%Y-%m-%d kl. %H.%M");
    format!(
        "Ett brev som väntade på granskning har skickats utan den.\n\nBrev: {id}\nSkickat av: {} (roll {})\nTid: {at}\n\
         Skäl: {reason}\n\nTitta på brevet i grannpost och följ upp med den som skickade det.\n\n\
         Det här brevet är skrivet av grannpost och går till alla administratörer.\n",
        actor.id,
        actor.role.code(),
    )
}
