//! Owns the mark that a message is being frozen in pieces, or is written out and let go in pieces afterwards.
//!
//! Invariants: while the mark says `writing`, nothing of the freezing is shown or due; whoever works on it proves with the
//! fence that nobody has taken it over.

use super::coverage::{ids_of, piece_end};
use super::{Result, Session};
use crate::domain::message::MessageState;

/// What is left of a message when its freezing dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// Nothing: it was never shown.
    Remove,
    /// A draft: the audience it had is gone.
    ToDraft,
    /// The message as it was; it had no audience before.
    Keep,
}

impl Undo {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::ToDraft => "to_draft",
            Self::Keep => "keep",
        }
    }

    fn from_code(code: &str) -> Self {
        match code {
            "remove" => Self::Remove,
            "to_draft" => Self::ToDraft,
            _ => Self::Keep,
        }
    }
}

const BEGIN: &str = "INSERT INTO freezing (message_id, stage, undo, fence, seen_at, released_id)
 VALUES ($1, 'writing', $2, $3, $4, 0)
 ON CONFLICT (message_id) DO UPDATE SET stage = 'writing', undo = excluded.undo, fence = excluded.fence,
   seen_at = excluded.seen_at
 WHERE freezing.stage = 'releasing'";

/// Marks a message as being frozen; `false` when it is already.
///
/// # Errors
/// [`super::StoreError`].
pub async fn begin(session: &mut Session, message_id: &str, undo: Undo, (fence, now): (&str, i64)) -> Result<bool> {
    let statement = session.sql(BEGIN).bind(message_id.to_owned()).bind(undo.code()).bind(fence.to_owned()).bind(now);
    Ok(session.execute(statement).await? > 0)
}

const HOLD: &str = "UPDATE freezing
 SET seen_at = $3
 WHERE message_id = $1
   AND fence = $2
   AND stage = 'writing'";

/// Notes that a freezing is worked on, and holds it until the transaction ends; `false` when somebody has taken it over.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hold(session: &mut Session, message_id: &str, fence: &str, now: i64) -> Result<bool> {
    let statement = session.sql(HOLD).bind(message_id.to_owned()).bind(fence.to_owned()).bind(now);
    Ok(session.execute(statement).await? > 0)
}

const IS_WRITING: &str = "SELECT message_id
 FROM freezing
 WHERE stage = 'writing'
   AND ($1 = '' OR message_id = $1)
 LIMIT 1";

/// Whether a message is being frozen; with an empty id, whether any is.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_writing(session: &mut Session, message_id: &str) -> Result<bool> {
    let row: Option<(String,)> = session.one(session.sql(IS_WRITING).bind(message_id.to_owned())).await?;
    Ok(row.is_some())
}

/// A freezing that nobody works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// The message.
    pub message_id: String,
    /// What is to be left of it.
    pub undo: Undo,
}

const DEAD: &str = "SELECT message_id, undo
 FROM freezing
 WHERE stage = 'writing'
   AND seen_at < $1
 ORDER BY message_id";

/// Freezings that nobody has worked on since `before` (Unix ms).
///
/// # Errors
/// [`super::StoreError`].
pub async fn dead(session: &mut Session, before: i64) -> Result<Vec<Dead>> {
    let rows: Vec<(String, String)> = session.list(session.sql(DEAD).bind(before)).await?;
    Ok(rows.into_iter().map(|(message_id, undo)| Dead { message_id, undo: Undo::from_code(&undo) }).collect())
}

const TAKE_OVER: &str = "UPDATE freezing
 SET fence = $3, seen_at = $4
 WHERE message_id = $1
   AND stage = 'writing'
   AND seen_at < $2";

/// Takes a freezing over that nobody has worked on since `before`; `false` when somebody else did.
///
/// # Errors
/// [`super::StoreError`].
pub async fn take_over(
    session: &mut Session,
    message_id: &str,
    before: i64,
    (fence, now): (&str, i64),
) -> Result<bool> {
    let statement = session.sql(TAKE_OVER).bind(message_id.to_owned()).bind(before).bind(fence.to_owned()).bind(now);
    Ok(session.execute(statement).await? > 0)
}

const TO_DRAFT: &str = "UPDATE message
 SET state = 'draft', sends_at = NULL, audience = $2, changed_at = $3
 WHERE id = $1";

/// An audience that says nothing; bound, because a brace in a statement is a mark.
const NOTHING: &str = "{}";

const REMOVE: [&str; 5] = [
    "DELETE FROM message_area WHERE message_id = $1",
    "DELETE FROM alert WHERE message_id = $1",
    "DELETE FROM message_review WHERE message_id = $1",
    "DELETE FROM freezing WHERE message_id = $1",
    "DELETE FROM message WHERE id = $1",
];

/// Ends a freezing whose rows have been taken back, leaving of its message what shall be left.
///
/// # Errors
/// [`super::StoreError`].
pub async fn undo(session: &mut Session, dead: &Dead, now: i64) -> Result<()> {
    super::deputy::clear(session, &dead.message_id).await?;
    match dead.undo {
        Undo::Keep => end(session, &dead.message_id).await,
        Undo::ToDraft => {
            super::message::clear_counts(session, &dead.message_id).await?;
            let statement = session.sql(TO_DRAFT).bind(dead.message_id.clone()).bind(NOTHING).bind(now);
            session.execute(statement).await?;
            end(session, &dead.message_id).await
        }
        Undo::Remove => {
            for statement in REMOVE {
                session.execute(session.sql(statement).bind(dead.message_id.clone())).await?;
            }
            Ok(())
        }
    }
}

const END: &str = "DELETE FROM freezing
 WHERE message_id = $1";

/// Ends the freezing of a message: all of it is written, and has its time.
///
/// # Errors
/// [`super::StoreError`].
pub async fn end(session: &mut Session, message_id: &str) -> Result<()> {
    session.execute(session.sql(END).bind(message_id.to_owned())).await.map(drop)
}

const PUBLISH: &str = "UPDATE freezing
 SET stage = 'releasing', released_id = $3
 WHERE message_id = $1
   AND fence = $2
   AND stage = 'writing'";

/// Lets a message of this number be seen, all of it; what is sealed is written out and what is written becomes due afterwards. `false` when somebody has
/// taken the freezing over.
///
/// # Errors
/// [`super::StoreError`].
pub async fn publish(session: &mut Session, message_id: &str, fence: &str, number: i64) -> Result<bool> {
    let before_first = ids_of(number).0;
    let statement = session.sql(PUBLISH).bind(message_id.to_owned()).bind(fence.to_owned()).bind(before_first);
    Ok(session.execute(statement).await? > 0)
}

const UNFINISHED: &str = "SELECT f.message_id
 FROM freezing f
 JOIN message m ON m.id = f.message_id
 WHERE f.stage = 'releasing'
   AND (m.state NOT IN ('draft', 'awaiting_approval')
     OR EXISTS (SELECT 1 FROM sealed_audience s WHERE s.message_id = f.message_id))
 ORDER BY CASE WHEN m.state IN ('draft', 'awaiting_approval', 'stopped') THEN 1 ELSE 0 END, m.priority, m.sends_at, f.message_id
 LIMIT 100";

/// The messages that were frozen in pieces and are not all written out yet, or may go and are not all due: what may go first, and of
/// that the most urgent.
///
/// # Errors
/// [`super::StoreError`].
pub async fn unfinished(session: &mut Session) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = session.list(session.sql(UNFINISHED)).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// A message as it stands while it is written out, held by [`take_step`].
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Unfinished {
    /// Its number.
    pub number: i64,
    /// Order among messages.
    pub priority: i64,
    /// A [`crate::domain::message::MessageState`]'s code.
    pub state: String,
    /// When its hand-over may begin, Unix ms; `None` while it may not go.
    pub sends_at: Option<i64>,
    /// Its deliveries up to this id have their time.
    pub released_id: i64,
}

impl Unfinished {
    /// The state.
    #[must_use]
    pub fn state(&self) -> MessageState {
        MessageState::from_code(&self.state).expect("the table's CHECK allows these states only")
    }

    /// When its deliveries are due, Unix ms; `None` while it is written or reviewed.
    #[must_use]
    pub fn due_at(&self) -> Option<i64> {
        self.sends_at.filter(|_| !self.state().is_editable())
    }
}

const KEEP_MESSAGE: &str = "SELECT id
 FROM message
 WHERE id = $1
 {key share}";

const HOLD_STEP: &str = "UPDATE freezing
 SET released_id = released_id
 WHERE message_id = $1
   AND stage = 'releasing'";

const STEP: &str = "SELECT m.number, m.priority, m.state, m.sends_at, f.released_id
 FROM freezing f
 JOIN message m ON m.id = f.message_id
 WHERE f.message_id = $1
   AND f.stage = 'releasing'";

/// Holds a message that was frozen in pieces until the transaction ends, so that one at a time writes it out or stops it;
/// `None` when it was not, or all of it is done.
///
/// # Errors
/// [`super::StoreError`].
pub async fn take_step(session: &mut Session, message_id: &str) -> Result<Option<Unfinished>> {
    // The message before its freezing, as an approval has them; a delivery that is written refers to it.
    session.row(session.sql(KEEP_MESSAGE).bind(message_id.to_owned())).await?;
    if session.execute(session.sql(HOLD_STEP).bind(message_id.to_owned())).await? == 0 {
        return Ok(None);
    }
    session.one(session.sql(STEP).bind(message_id.to_owned())).await
}

const ADVANCE: &str = "UPDATE freezing
 SET released_id = $2
 WHERE message_id = $1";

/// Notes that the deliveries of a message up to this id have their time.
///
/// # Errors
/// [`super::StoreError`].
pub async fn advance(session: &mut Session, message_id: &str, released_id: i64) -> Result<()> {
    session.execute(session.sql(ADVANCE).bind(message_id.to_owned()).bind(released_id)).await.map(drop)
}

const RELEASE: &str = "WITH c AS MATERIALIZED (
   SELECT d.id
   FROM delivery d
   WHERE d.message_id = $1
     AND d.id > $2
     AND d.id <= $3
     AND d.state = 'queued'
   ORDER BY d.id
   {for update})
 UPDATE delivery
 SET due_at = $4
 WHERE id IN (SELECT id FROM c)";

/// Makes the next `limit` deliveries of a message that is held due at `due_at`, in the order of hand-over; `false` when all
/// that are written have their time.
///
/// # Errors
/// [`super::StoreError`].
pub async fn release(session: &mut Session, message_id: &str, (after, due_at): (i64, i64), limit: i64) -> Result<bool> {
    let Some(until) = piece_end(session, message_id, after, limit).await? else { return Ok(false) };
    advance(session, message_id, until).await?;
    let statement = session.sql(RELEASE).bind(message_id.to_owned()).bind(after).bind(until).bind(due_at);
    session.execute(statement).await?;
    Ok(true)
}
