//! Owns what a verb does about something that is sent while the database is away: it finds out whether it was saved, and looks again.
//!
//! Invariant: once a commit has been asked for, a verb that fails says that nothing is sent, that it is saved, or that this is not known.

use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{Failure, Outcome, complain};
use crate::actions::{ActionError, Desk};
use crate::domain::message::MessageState;
use crate::store::message::{self, Message};
use crate::store::{Session, StoreError};

/// Between two looks at a database that is away.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a database may be away before the verb gives up finding out.
const BACK_WITHIN: Duration = Duration::from_secs(120);

/// Commits what sends the message `id`. When the answer to the commit is lost, asks the database whether it is there.
///
/// # Errors
/// [`Failure`], which says that nothing is sent or that this is not known.
pub(super) async fn commit(desk: &Desk, mut session: Session, id: &str) -> Outcome {
    let nothing = |error: StoreError| failed(error.into(), "inget är skickat; försök igen");
    let message = message::get(&mut session, id).await?.ok_or(ActionError::NotFound)?;
    let lost = match session.commit().await {
        Ok(()) => return Ok(()),
        Err(error @ StoreError::Unavailable(_)) => error,
        Err(error) => return Err(nothing(error)),
    };
    complain("databasen svarade inte när utskicket sparades; tar reda på om det är sparat");
    let asked_at = Instant::now();
    loop {
        match is_on_its_way(desk, &message).await {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(nothing(lost)),
            Err(error) if !error.is_passing() || asked_at.elapsed() > BACK_WITHIN => {
                let unknown =
                    format!("det är inte känt om {id} är sparat; leta efter det bland utskicken innan du skickar igen");
                return Err(failed(error.into(), &unknown));
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Whether the commit was done. A commit that nobody sees yet may still be under way, waiting for a standby, say: so a row with
/// its key is written, which waits for it, and taken back.
async fn is_on_its_way(desk: &Desk, message: &Message) -> Result<bool, StoreError> {
    let mut session = desk.store.begin().await?;
    match message::insert(&mut session, message).await {
        Ok(()) => return Ok(false),
        Err(StoreError::Conflict(_)) => drop(session),
        Err(error) => return Err(error),
    }
    // One whose audience is large has had its row from the beginning.
    let mut session = desk.store.begin().await?;
    let found = message::get_locked(&mut session, &message.id).await?;
    Ok(found.is_some_and(|found| found.state() != MessageState::Draft))
}

/// Looks until the database answers. Says once, on standard error, that it does not, and that the message `id` is saved.
///
/// # Errors
/// [`Failure`], but for a database that is away; it says that the message is saved.
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
            Ok(found) => return Ok(found),
            Err(error) => return Err(failed(error.into(), &format!("{id} är sparat, men går inte att följa"))),
        }
    }
}

/// The message `id` is saved, and this process cannot send it.
pub(super) fn not_started(error: anyhow::Error, id: &str) -> Failure {
    failed(error, &format!("{id} är sparat, men tjänsten gick inte att starta här"))
}

fn failed(error: anyhow::Error, what: &str) -> Failure {
    Failure::Failed(anyhow!("{what} ({error:#})"))
}
