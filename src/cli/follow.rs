//! Owns what a verb does about something that is sent while the database is away: it finds out whether it was saved, and looks again.
//!
//! Invariant: a verb never ends leaving open whether anything will be sent without saying so.

use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{Failure, Outcome, complain};
use crate::actions::{ActionError, Desk};
use crate::domain::message::MessageState;
use crate::store::{self, Session, StoreError};

/// Between two looks at a database that is away.
const AGAIN: Duration = Duration::from_secs(1);
/// A commit that reached the database before its answer was lost is done within this.
const DONE_WITHIN: Duration = Duration::from_secs(5);
/// How long a database may be away before the verb gives up finding out.
const BACK_WITHIN: Duration = Duration::from_secs(120);

/// Commits what sends the message `id`. When the answer to the commit is lost, asks the database whether it is there.
///
/// # Errors
/// [`Failure`], which says that nothing is sent or that this is not known.
pub(super) async fn commit(desk: &Desk, session: Session, id: &str) -> Outcome {
    let Err(error) = session.commit().await else { return Ok(()) };
    if !error.is_passing() {
        return Err(error.into());
    }
    complain("databasen svarade inte när utskicket sparades; tar reda på om det är sparat");
    let asked_at = Instant::now();
    let mut missing_since: Option<Instant> = None;
    while asked_at.elapsed() < BACK_WITHIN {
        match is_on_its_way(desk, id).await {
            Ok(true) => return Ok(()),
            Ok(false) => {
                if missing_since.get_or_insert_with(Instant::now).elapsed() >= DONE_WITHIN {
                    let error = anyhow::Error::from(error);
                    return Err(Failure::Failed(error.context("inget är sparat och inget är skickat; försök igen")));
                }
            }
            Err(away) if away.is_passing() => missing_since = None,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(AGAIN).await;
    }
    Err(Failure::Failed(anyhow!(
        "databasen svarar inte, och det är inte känt om {id} är sparat; leta efter det bland utskicken innan du skickar igen"
    )))
}

async fn is_on_its_way(desk: &Desk, id: &str) -> Result<bool, StoreError> {
    let message = store::message::get(&mut desk.store.read().await?, id).await?;
    Ok(message.is_some_and(|message| message.state() != MessageState::Draft))
}

/// Looks until the database answers. Says once, on standard error, that it does not, and that the message `id` is saved.
///
/// # Errors
/// [`Failure`], but for a database that is away.
pub(super) async fn look<T>(id: &str, look: impl AsyncFn() -> Result<T, ActionError>) -> Result<T, Failure> {
    let mut is_said = false;
    loop {
        match look().await {
            Err(ActionError::Store(error)) if error.is_passing() => {
                if !std::mem::replace(&mut is_said, true) {
                    complain(&format!("databasen svarar inte just nu; {id} är sparat och följs vidare när den svarar"));
                }
                tokio::time::sleep(AGAIN).await;
            }
            found => return Ok(found?),
        }
    }
}

/// The message `id` is saved, and this process cannot send it.
pub(super) fn unsent(error: anyhow::Error, id: &str) -> Failure {
    Failure::Failed(
        error.context(format!("{id} är sparat och skickas när tjänsten körs; här gick den inte att starta")),
    )
}
