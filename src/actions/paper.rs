//! Owns letters on paper: the sheets to print, and that they have been printed.
//!
//! Invariant: nobody who has left, paused or moved since the letter was sent gets a sheet.

use super::letter::locked;
use super::letter_view::{self, LetterView};
use super::unsealing::refuse_unfinished;
use super::{ActionError, Desk, Result, require};
use crate::domain::delivery::DeliveryState;
use crate::domain::operator::{Actor, Right};
use crate::render::letter::PaperRecipient;
use crate::store::delivery::{Locked, Step};
use crate::store::settle::Batch;
use crate::store::{self, Session};

/// The page with a sheet for everybody who gets the letter on paper; those printed before are in it again, so that a
/// jammed printer costs nothing. Logged, since it shows names and addresses.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such letter; [`ActionError::Conflict`] while it is a draft.
pub async fn print_page(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<String> {
    require(actor, Right::SendLetters)?;
    let view: LetterView = letter_view::get(desk, session, actor, id).await?;
    refuse_draft(&view)?;
    refuse_unfinished(session, id).await?;
    let sheets: Vec<PaperRecipient> = store::letter::paper(session, id, desk.now())
        .await?
        .into_iter()
        .filter(|delivery| delivery.wanted == 1)
        .map(|delivery| recipient(&delivery.address))
        .collect();
    let detail = serde_json::json!({ "persons": sheets.len() });
    desk.audit(session, actor, "letter.print_page_read", ("letter", id), detail).await?;
    Ok(letter_view::prepared(desk, &view)?.print_page(&sheets))
}

/// Notes that the sheets have been printed and posted; says how many. Who does not want the letter any more is
/// suppressed.
///
/// # Errors
/// [`ActionError`].
pub async fn printed(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<usize> {
    require(actor, Right::SendLetters)?;
    let tree = store::area::tree(session).await?;
    locked(session, actor, &tree, id).await?;
    let view = letter_view::load(desk, session, id).await?;
    refuse_draft(&view)?;
    refuse_undo_window(desk, &view)?;
    refuse_unfinished(session, id).await?;
    let waiting = store::letter::paper(session, id, desk.now()).await?;
    let (wanted, unwanted): (Vec<_>, Vec<_>) =
        waiting.into_iter().filter(|delivery| delivery.state == "queued").partition(|delivery| delivery.wanted == 1);
    let ids = |deliveries: &[store::letter::PaperDelivery]| deliveries.iter().map(|row| row.id).collect::<Vec<_>>();
    move_all(desk, session, actor, &ids(&unwanted), (DeliveryState::Suppressed, Some("contact_person.not_wanted")))
        .await?;
    // The post takes it, and will never say what became of it.
    move_all(desk, session, actor, &ids(&wanted), (DeliveryState::Accepted, None)).await?;
    let printed =
        move_all(desk, session, actor, &ids(&wanted), (DeliveryState::Unconfirmed, Some("paper.printed"))).await?;
    desk.audit(session, actor, "letter.printed", ("letter", id), serde_json::json!({ "sheets": printed })).await?;
    Ok(printed)
}

fn refuse_draft(view: &LetterView) -> Result<()> {
    if view.message.state().is_editable() {
        return Err(ActionError::conflict(
            "letter.not_sent",
            "Skicka brevet först. Då blir det klart vilka som får det på papper.",
        ));
    }
    Ok(())
}

/// Sheets that have been posted cannot be stopped, so none is while the letter still can.
fn refuse_undo_window(desk: &Desk, view: &LetterView) -> Result<()> {
    if view.message.stopped_at.is_none() && view.message.sends_at.is_some_and(|at| at > desk.now()) {
        return Err(ActionError::conflict(
            "letter.not_gone",
            "Brevet har inte gått i väg än och kan fortfarande ångras. Vänta med att posta pappersbreven tills det har gått.",
        ));
    }
    Ok(())
}

fn recipient(address: &str) -> PaperRecipient {
    let mut lines = address.split('\n').map(str::to_owned);
    PaperRecipient { name: lines.next().unwrap_or_default(), lines: lines.collect() }
}

async fn move_all(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    ids: &[i64],
    (to, reason): (DeliveryState, Option<&str>),
) -> Result<usize> {
    if ids.is_empty() {
        return Ok(0);
    }
    let held: Vec<Locked> = store::delivery::lock(session, ids).await?;
    let steps = held.into_iter().map(|held| Step::new(held, to, reason)).collect();
    let batch_id = desk.id();
    let batch = Batch { id: &batch_id, actor: &actor.id, action: "deliveries.printed", now: desk.now() };
    Ok(store::delivery::apply(session, &batch, steps).await?.len())
}
