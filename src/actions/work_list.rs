//! Owns what stands before somebody when they begin: what is on its way, what a colleague waits for, what they have begun.
//!
//! It changes nothing. Invariant: only what the actor may open stands here.

use super::letter_figures::waits_for_paper_only;
use super::{Result, holds_areas};
use crate::domain::area::AreaTree;
use crate::domain::message::{Counts, MessageState};
use crate::domain::operator::{Actor, Right};
use crate::store::message::{Message, Review};
use crate::store::{self, Session};

/// Messages looked at of each kind; more than anybody has on their hands at once.
const MOST: i64 = 200;

/// An alert or letter in the list.
#[derive(Debug, Clone)]
pub struct WorkItem {
    /// What alerts and letters share.
    pub message: Message,
    /// An alert's text or a letter's heading.
    pub title: String,
    /// The areas named by the sender.
    pub areas: Vec<String>,
    /// Deliveries by state.
    pub counts: Counts,
    /// Whether it is a drill.
    pub is_drill: bool,
    /// Whether all that it still waits for is a printer.
    pub waits_for_paper_only: bool,
}

/// What stands before somebody, newest first.
#[derive(Debug, Clone, Default)]
pub struct WorkList {
    /// What a colleague wrote and the actor may approve.
    pub to_review: Vec<WorkItem>,
    /// Drafts that the actor wrote last, those that came back among them.
    pub own_drafts: Vec<WorkItem>,
    /// What is on its way.
    pub under_way: Vec<WorkItem>,
}

/// What stands before the actor.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn of(session: &mut Session, actor: &Actor) -> Result<WorkList> {
    let tree = store::area::tree(session).await?;
    let mut list = WorkList::default();
    for (kind, reads, sends) in
        [("alert", Right::ReadAlerts, Right::SendAlerts), ("letter", Right::ReadLetters, Right::SendLetters)]
    {
        if !actor.role.may(reads) {
            continue;
        }
        // Who may not send letters may not review them; alerts are reviewed by whoever has that right.
        let may_review = actor.role.may(Right::Approve) && (kind == "alert" || actor.role.may(sends));
        for message in store::message::unfinished(session, kind, MOST).await? {
            let Some(item) = item(session, (actor, &tree), message).await? else { continue };
            sort_in(session, actor, (item, may_review), &mut list).await?;
        }
    }
    Ok(list)
}

/// A message with what the list says of it; `None` outside the actor's areas.
async fn item(session: &mut Session, (actor, tree): (&Actor, &AreaTree), message: Message) -> Result<Option<WorkItem>> {
    let areas = store::message::chosen_areas(session, &message.id).await?;
    if !holds_areas(actor, tree, &areas) {
        return Ok(None);
    }
    let (title, is_drill) = if message.kind == "alert" {
        let alert = store::alert::get(session, &message.id).await?;
        alert.map_or_else(|| (String::new(), false), |alert| (alert.text, alert.drill == 1))
    } else {
        (store::letter::get(session, &message.id).await?.map_or_else(String::new, |letter| letter.subject), false)
    };
    let counts = store::message::counts(session, &message.id).await?;
    let waits_for_paper_only = waits_for_paper_only(session, &message).await?;
    Ok(Some(WorkItem { message, title, areas, counts, is_drill, waits_for_paper_only }))
}

/// Puts an item where it belongs, if anywhere.
async fn sort_in(
    session: &mut Session,
    actor: &Actor,
    (item, may_review): (WorkItem, bool),
    list: &mut WorkList,
) -> Result<()> {
    match item.message.state() {
        MessageState::Queued | MessageState::Sending => list.under_way.push(item),
        // A letter that has gone out waits for days for what may come back; nobody does.
        MessageState::HandedOver if item.message.kind == "alert" => list.under_way.push(item),
        MessageState::AwaitingApproval if may_review && !wrote(session, actor, &item.message).await? => {
            list.to_review.push(item);
        }
        MessageState::Draft if wrote(session, actor, &item.message).await? => list.own_drafts.push(item),
        _ => {}
    }
    Ok(())
}

/// Whether the actor wrote the revision that stands.
async fn wrote(session: &mut Session, actor: &Actor, message: &Message) -> Result<bool> {
    let reviews: Vec<Review> = store::message::reviews(session, &message.id).await?;
    let is_own =
        |review: &Review| review.act == "written" && review.revision == message.revision && review.actor == actor.id;
    Ok(reviews.iter().any(is_own))
}
