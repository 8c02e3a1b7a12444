//! Owns alerts that are being written: saved while one types, so that a closed page or a change of shift loses nothing.
//!
//! Saves are not logged one by one; beginning a draft, taking it over and throwing it away are. Invariants: two who write in
//! one draft never overwrite each other unseen, and a draft that is gone does not come back with a late save.

use serde_json::json;

use super::{ActionError, Desk, Result, holds_areas, require};
use crate::domain::area::AreaTree;
use crate::domain::operator::{Actor, Right};
use crate::store::alert_draft::AlertDraft;
use crate::store::{self, Session};

/// How long a draft is kept that nobody writes to: a week, in milliseconds.
const KEPT_MS: i64 = 7 * 24 * 3_600_000;
/// Most bytes of a draft's fields.
const LONGEST: usize = 64 * 1024;
/// Drafts in a list.
const MOST: i64 = 50;

/// What is to be saved.
#[derive(Debug, Clone, Copy)]
pub struct Saving<'a> {
    /// The draft and the revision that the page showed; `None` for a new one.
    pub of: Option<(&'a str, i64)>,
    /// The page's fields, JSON.
    pub form: &'a str,
    /// The areas among them.
    pub areas: &'a [String],
    /// Whether what somebody else has written since is written over.
    pub takes_over: bool,
}

/// How a save went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// It is kept.
    Kept {
        /// The draft.
        id: String,
        /// Its newest revision.
        revision: i64,
    },
    /// Somebody has written since the page showed it; nothing was changed.
    Theirs(AlertDraft),
    /// It was sent or thrown away meanwhile; nothing was kept.
    Gone,
}

/// Saves what somebody has written so far.
///
/// # Errors
/// [`ActionError::Forbidden`] for areas that are not the actor's, [`ActionError::Invalid`] for more than 64 KiB.
pub async fn save(desk: &Desk, session: &mut Session, actor: &Actor, saving: Saving<'_>) -> Result<Saved> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    let known: Vec<String> = saving.areas.iter().filter(|code| tree.get(code).is_some()).cloned().collect();
    if !holds_areas(actor, &tree, &known) {
        return Err(ActionError::Forbidden);
    }
    if saving.form.len() > LONGEST {
        return Err(ActionError::field("text", "field.too_long", "Texten är för lång för att sparas."));
    }
    let Some((id, revision)) = saving.of else { return begin(desk, session, actor, saving.form).await };
    let Some(draft) = store::alert_draft::get(session, id).await?.filter(|draft| may_see(&tree, actor, draft)) else {
        return Ok(Saved::Gone);
    };
    let over = if saving.takes_over { draft.revision } else { revision };
    let now = (actor.id.as_str(), desk.now());
    if !store::alert_draft::write(session, (id, over), saving.form.to_owned(), now).await? {
        return Ok(Saved::Theirs(draft));
    }
    if saving.takes_over {
        desk.audit(session, actor, "alert_draft.taken_over", ("alert_draft", id), json!({})).await?;
    }
    Ok(Saved::Kept { id: id.to_owned(), revision: over + 1 })
}

async fn begin(desk: &Desk, session: &mut Session, actor: &Actor, form: &str) -> Result<Saved> {
    let now = desk.now();
    store::alert_draft::remove_old(session, now - KEPT_MS).await?;
    let draft = AlertDraft {
        id: desk.id(),
        form: form.to_owned(),
        revision: 1,
        area_code: actor.area.clone(),
        created_by: actor.id.clone(),
        created_at: now,
        written_by: actor.id.clone(),
        written_at: now,
    };
    store::alert_draft::insert(session, &draft).await?;
    desk.audit(session, actor, "alert_draft.begun", ("alert_draft", &draft.id), json!({})).await?;
    Ok(Saved::Kept { id: draft.id, revision: 1 })
}

/// Whoever answers for the area of who began it goes on with it.
fn may_see(tree: &AreaTree, actor: &Actor, draft: &AlertDraft) -> bool {
    tree.is_within(&draft.area_code, &actor.area)
}

/// A draft to go on with.
///
/// # Errors
/// [`ActionError::NotFound`] when it is gone or another area's.
pub async fn open(session: &mut Session, actor: &Actor, id: &str) -> Result<AlertDraft> {
    require(actor, Right::SendAlerts)?;
    let tree = store::area::tree(session).await?;
    let draft = store::alert_draft::get(session, id).await?;
    draft.filter(|draft| may_see(&tree, actor, draft)).ok_or(ActionError::NotFound)
}

/// Drafts that the actor may go on with, the one written to last first; none for those who send no alerts.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn list(session: &mut Session, actor: &Actor) -> Result<Vec<AlertDraft>> {
    if !actor.role.may(Right::SendAlerts) {
        return Ok(Vec::new());
    }
    let tree = store::area::tree(session).await?;
    let mut drafts = store::alert_draft::list(session, MOST).await?;
    drafts.retain(|draft| may_see(&tree, actor, draft));
    Ok(drafts)
}

/// Throws a draft away.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn discard(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<()> {
    open(session, actor, id).await?;
    store::alert_draft::remove(session, id).await?;
    desk.audit(session, actor, "alert_draft.discarded", ("alert_draft", id), json!({})).await
}

/// Removes a draft in the transaction that makes what it became. That is logged by itself. Without an id there is none.
///
/// # Errors
/// [`ActionError::Conflict`] when somebody else has sent it or thrown it away: two who went on with one draft must not both
/// send it.
pub async fn became(session: &mut Session, id: &str) -> Result<()> {
    if id.is_empty() || store::alert_draft::remove(session, id).await? {
        return Ok(());
    }
    let detail =
        "Någon annan har redan skickat eller slängt det här utkastet. Titta under Pågående innan du skickar det igen.";
    Err(ActionError::conflict("alert_draft.gone", detail))
}
