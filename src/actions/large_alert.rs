//! Owns alerts whose audience is too large for one transaction: written unseen, published in one.
//!
//! It does the same as `actions::alert` and `actions::follow_up`, which hold the rules. Invariants: what comes out is what
//! they would have made; nobody sees or gets anything of an alert before [`publish`] is committed.

use super::alert::{self, Checked, NewAlert, expect_recipients};
use super::alert_text::{Draft, audit_detail, compose};
use super::alert_view::{self, AlertView};
use super::follow_up::{self, Following, NewFollowUp};
use super::freezing::{Freezing, NEVER};
use super::message::area_rows;
use super::unsealing::release_first;
use super::{ActionError, Desk, Result, deputy, require};
use crate::domain::audience::AlertAudience;
use crate::domain::coverage::Coverage;
use crate::domain::delivery::DeliveryState;
use crate::domain::message::MessageState;
use crate::domain::operator::{Actor, Right};
use crate::store::audience::Asked;
use crate::store::coverage::{First, Freeze};
use crate::store::freezing::Undo;
use crate::store::message::Message;
use crate::store::{self, Session};

/// An alert whose audience is frozen and that nobody sees yet.
#[derive(Debug)]
pub struct UnseenAlert {
    freezing: Freezing,
    message: Message,
    checked: Checked,
    audience: AlertAudience,
    deliveries: u64,
    made: Made,
}

#[derive(Debug)]
enum Made {
    New,
    Revised,
    FollowUp(Following),
}

impl UnseenAlert {
    /// What is taken back when it cannot be published.
    #[must_use]
    pub fn freezing(&self) -> &Freezing {
        &self.freezing
    }
}

/// Whether an alert to these areas is to be made here.
///
/// # Errors
/// [`ActionError`].
pub async fn is_large(desk: &Desk, areas: &[String]) -> Result<bool> {
    let mut session = desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    let codes = tree.subtree(areas.iter().map(String::as_str));
    let limit = i64::from(desk.config.database.rows_at_once);
    Ok(store::audience::is_larger_than(&mut session, codes.iter().map(String::as_str), limit).await?)
}

/// Whether a change of, or a follow-up to, the alert `id` is to be made here.
///
/// # Errors
/// [`ActionError`].
pub async fn has_large_audience(desk: &Desk, id: &str) -> Result<bool> {
    let mut session = desk.store.read().await?;
    let Some(message) = store::message::get(&mut session, id).await? else { return Ok(false) };
    let frozen = alert_view::audience_of(&message.audience).contact_persons;
    Ok(frozen > i64::from(desk.config.database.rows_at_once))
}

/// Makes an alert that nobody sees.
///
/// # Errors
/// [`ActionError`]; what was written is taken back.
pub async fn create(desk: &Desk, actor: &Actor, new: &NewAlert) -> Result<UnseenAlert> {
    require(actor, Right::SendAlerts)?;
    let mut session = desk.store.begin().await?;
    let tree = store::area::tree(&mut session).await?;
    let checked = alert::check(desk, actor, &tree, new)?;
    let number = store::setting::next_message_number(&mut session).await?;
    let ids = (desk.id(), number, 1);
    let message = insert_unseen(desk, &mut session, actor, (ids, &checked, None)).await?;
    let areas_json = area_rows(&tree, &checked.areas);
    let freezing = Freezing::begin(desk, &mut session, &message.id, Undo::Remove).await?;
    session.commit().await?;
    let unseen =
        UnseenAlert { freezing, message, checked, audience: AlertAudience::default(), deliveries: 0, made: Made::New };
    freeze(desk, unseen, &areas_json, new.expected_recipients).await
}

/// Writes a new revision of an alert, whose audience was large or becomes so. Meanwhile it can neither be approved nor
/// stopped; if it dies, the alert is a draft without an audience.
///
/// # Errors
/// [`ActionError`]; what was written is taken back.
pub async fn revise(desk: &Desk, actor: &Actor, id: &str, new: &NewAlert) -> Result<UnseenAlert> {
    require(actor, Right::SendAlerts)?;
    let mut session = desk.store.begin().await?;
    let tree = store::area::tree(&mut session).await?;
    let before = alert::editable(&mut session, actor, &tree, id).await?;
    let checked = alert::check(desk, actor, &tree, new)?;
    let ids = (before.id, before.number, before.revision + 1);
    let message = draft(desk, actor, (ids, &checked, None))?;
    let areas_json = area_rows(&tree, &checked.areas);
    let freezing = Freezing::begin(desk, &mut session, id, Undo::ToDraft).await?;
    store::deputy::clear(&mut session, id).await?;
    session.commit().await?;
    let thawed = freezing.thaw(desk).await;
    freezing.or_undo(desk, thawed).await?;
    let unseen = UnseenAlert {
        freezing,
        message,
        checked,
        audience: AlertAudience::default(),
        deliveries: 0,
        made: Made::Revised,
    };
    freeze(desk, unseen, &areas_json, new.expected_recipients).await
}

/// Makes a follow-up that nobody sees. One that closes has stopped the rest of the first before its own audience is
/// frozen, and the first stays stopped whatever becomes of it.
///
/// # Errors
/// [`ActionError`]; what was written is taken back.
pub async fn follow_up(desk: &Desk, actor: &Actor, first_id: &str, new: &NewFollowUp) -> Result<UnseenAlert> {
    let mut session = desk.store.begin().await?;
    let (first, following, checked) = follow_up::begin(desk, &mut session, actor, (first_id, new)).await?;
    let number = store::setting::next_message_number(&mut session).await?;
    let ids = (desk.id(), number, 1);
    let message = insert_unseen(desk, &mut session, actor, (ids, &checked, Some(&following))).await?;
    let freezing = Freezing::begin(desk, &mut session, &message.id, Undo::Remove).await?;
    session.commit().await?;
    let frozen = freeze_follow_up(desk, &freezing, (&message, &first), new.silent_only).await;
    let (deliveries, audience) = freezing.or_undo(desk, frozen).await?;
    Ok(UnseenAlert { freezing, message, checked, audience, deliveries, made: Made::FollowUp(following) })
}

/// Lets an alert be seen, and go.
///
/// # Errors
/// [`ActionError`]; the caller takes its freezing back then.
pub async fn publish(desk: &Desk, session: &mut Session, actor: &Actor, unseen: &UnseenAlert) -> Result<AlertView> {
    let UnseenAlert { freezing, message, checked, audience, made, .. } = unseen;
    let id = message.id.as_str();
    if message.expires_at.unwrap_or(NEVER) <= desk.now() {
        return Err(ActionError::conflict("alert.expired", "Larmets sluttid har gått ut. Gör en ny version."));
    }
    let follows = if let Made::FollowUp(following) = made { Some(following) } else { None };
    let draft = Draft {
        id: id.to_owned(),
        number: message.number,
        revision: message.revision,
        at: message.created_at,
        checked,
        audience: *audience,
        follows,
    };
    let message = compose(desk, actor, draft)?;
    freezing.publish(session, message.number).await?;
    store::message::clear_counts(session, id).await?;
    store::message::revise(session, &message).await?;
    store::settle::start_counting(session, id, DeliveryState::Queued, unseen.deliveries).await?;
    let tree = store::area::tree(session).await?;
    match made {
        Made::New => {
            alert::write_revision(session, actor, &tree, (&message, checked)).await?;
            alert::log_created(desk, session, actor, (&message, checked, *audience)).await?;
        }
        Made::Revised => {
            alert::write_revision(session, actor, &tree, (&message, checked)).await?;
            let detail = audit_detail(&message, checked, *audience);
            desk.audit(session, actor, "alert.revised", ("alert", id), detail).await?;
        }
        Made::FollowUp(following) => {
            follow_up::write(session, actor, (&message, checked)).await?;
            follow_up::log(desk, session, actor, (&message, checked, *audience), following).await?;
        }
    }
    if message.state() == MessageState::Queued {
        release_first(session, &desk.clock, id).await?;
    }
    alert_view::load(desk, session, id).await
}

/// A message as it is before its audience is known: it may not go.
fn draft(
    desk: &Desk,
    actor: &Actor,
    ((id, number, revision), checked, follows): ((String, i64, i64), &Checked, Option<&Following>),
) -> Result<Message> {
    let audience = AlertAudience::default();
    let draft = Draft { id, number, revision, at: desk.now(), checked, audience, follows };
    let message = compose(desk, actor, draft)?;
    Ok(Message { state: MessageState::Draft.code().to_owned(), sends_at: None, ..message })
}

async fn insert_unseen(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    what: ((String, i64, i64), &Checked, Option<&Following>),
) -> Result<Message> {
    let checked = what.1;
    let message = draft(desk, actor, what)?;
    store::message::insert(session, &message).await?;
    alert::put_own_fields(session, &message, checked).await?;
    Ok(message)
}

async fn freeze(desk: &Desk, mut unseen: UnseenAlert, areas_json: &str, expected: Option<i64>) -> Result<UnseenAlert> {
    let frozen = freeze_areas(desk, (&unseen.freezing, &unseen.message), areas_json, expected).await;
    (unseen.deliveries, unseen.audience) = unseen.freezing.or_undo(desk, frozen).await?;
    Ok(unseen)
}

async fn freeze_areas(
    desk: &Desk,
    (freezing, message): (&Freezing, &Message),
    areas_json: &str,
    expected: Option<i64>,
) -> Result<(u64, AlertAudience)> {
    let mut sessions = desk.store.read_at_once().await?;
    let asked = Asked { areas_json, now: message.created_at };
    let crowd = store::audience::large_sms_crowd(&mut sessions, asked).await?;
    sessions.truncate(1);
    let audience = crowd.alert_audience();
    expect_recipients(expected, audience)?;
    // Sorting a million people would hold up what else this thread serves.
    let ordering = tokio::task::spawn_blocking(move || Coverage::of(crowd, &[]));
    let away = store::deputy::away(&mut sessions[0], areas_json, message.created_at).await?;
    drop(sessions);
    let coverage = ordering.await.expect("ordering people does not panic");
    let absences = deputy::among(away, &coverage);
    Ok((freezing.seal(desk, &not_due(message), &coverage, &absences).await?, audience))
}

async fn freeze_follow_up(
    desk: &Desk,
    freezing: &Freezing,
    (message, first): (&Message, &Message),
    silent_only: bool,
) -> Result<(u64, AlertAudience)> {
    let first = First { message_id: &first.id, number: first.number, silent_only };
    let deliveries = freezing.write_follow_up(desk, &not_due(message), first).await?;
    follow_up::refuse_nobody(deliveries)?;
    let mut session = desk.store.read().await?;
    Ok((deliveries, store::coverage::count(&mut session, &message.id).await?))
}

fn not_due(message: &Message) -> Freeze<'_> {
    Freeze { due_at: NEVER, ..super::message::freeze(message, message.created_at) }
}
