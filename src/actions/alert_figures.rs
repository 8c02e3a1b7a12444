//! Owns the figures of an alert on its way beyond its counts: how deliveries ended, which areas nobody was reached in,
//! what followed, and whom to call instead.
//!
//! Invariant: whoever sees persons' numbers here is written to the log.

use std::sync::Arc;

use super::alert_view::{self, AlertView};
use super::{ActionError, Desk, Result, alert_email, holds_areas, lately, require};
use crate::domain::operator::{Actor, Right};
use crate::store::alert::{Ending, Unreached};
use crate::store::alert_email::Sent;
use crate::store::deputy::Takeover;
use crate::store::message::Message;
use crate::store::{self, Session};

/// How long the figures of a large alert hold, in milliseconds.
const HOLDS_MS: i64 = 5_000;
/// Most persons on a call list.
const MOST_CALLS: i64 = 2_000;

/// An alert on its way.
#[derive(Debug, Clone)]
pub struct AlertFigures {
    /// The alert.
    pub view: AlertView,
    /// What reads every delivery.
    pub slow: Arc<SlowFigures>,
    /// When that was counted, Unix ms; now unless the audience is large.
    pub counted_at: i64,
    /// What followed it, in order.
    pub following: Vec<Message>,
    /// What was written to such persons, in order.
    pub emails: Vec<Sent>,
    /// After how many seconds what can go by e-mail goes by itself; `None` = it does not.
    pub by_itself_after: Option<u32>,
    /// The messages by which deputies took it over, in order.
    pub takeovers: Vec<Takeover>,
    /// The one that it follows.
    pub first: Option<Message>,
}

/// Figures that read every delivery of an alert. Of a large one they are counted at most once in five seconds, for everybody who
/// looks, and beside the look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlowFigures {
    /// How deliveries ended that are not known to have arrived.
    pub endings: Vec<Ending>,
    /// Codes of areas in which nobody was reached and nobody can be any more, with the households there.
    pub unreached_areas: Vec<(String, i64)>,
    /// Persons whose phone surely has nothing and who can be written to.
    pub by_email: i64,
    /// Persons whose number it did not arrive at and is not marked as doubtful yet.
    pub doubtable: i64,
}

/// An alert of the actor's areas with its figures.
///
/// # Errors
/// [`super::ActionError::NotFound`] when there is none.
pub async fn get(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<AlertFigures> {
    let view = alert_view::get(desk, session, actor, id).await?;
    let first = match &view.message.follows {
        Some(first) => store::message::get(session, first).await?,
        None => None,
    };
    let (counted_at, slow) = slow(desk, session, &view).await?;
    let by_itself = slow.by_email > 0 && alert_email::goes_by_itself(desk, session, id).await?;
    Ok(AlertFigures {
        slow,
        counted_at,
        following: store::alert::following(session, id).await?,
        emails: store::alert_email::sent(session, id).await?,
        by_itself_after: by_itself.then_some(desk.config.alerts.email_instead_after_seconds),
        takeovers: store::deputy::takeovers(session, id).await?,
        first,
        view,
    })
}

async fn slow(desk: &Desk, session: &mut Session, view: &AlertView) -> Result<(i64, Arc<SlowFigures>)> {
    let (id, now) = (view.message.id.as_str(), desk.now());
    let may_write = view.message.expires_at.is_some_and(|at| at > now) && !desk.config.mail.url.is_empty();
    if let Some(known) = desk.lately.figures.get(id, now, HOLDS_MS) {
        if known.is_old {
            let (store, id) = (desk.store.clone(), id.to_owned());
            let counting = async move { count(&mut store.read().await?, &id, may_write.then_some(now)).await };
            lately::count_beside(desk, |lately| &lately.figures, &view.message.id, counting);
        }
        return Ok((known.at, known.value));
    }
    let figures = Arc::new(count(session, id, may_write.then_some(now)).await?);
    if is_large(desk, view) {
        desk.lately.figures.keep(id, now, Arc::clone(&figures));
    }
    Ok((now, figures))
}

/// Whether an alert has so many deliveries that they are not read at every look.
pub(super) fn is_large(desk: &Desk, view: &AlertView) -> bool {
    view.audience.contact_persons > i64::from(desk.config.database.rows_at_once)
}

/// `writes_at` is now, Unix ms, where persons may be written to.
async fn count(session: &mut Session, id: &str, writes_at: Option<i64>) -> Result<SlowFigures> {
    Ok(SlowFigures {
        endings: store::alert::endings(session, id).await?,
        unreached_areas: store::alert::unreached_areas(session, id).await?,
        by_email: match writes_at {
            Some(now) => store::alert_email::count(session, id, now).await?,
            None => 0,
        },
        doubtable: store::channel_health::count_doubtable(session, id).await?,
    })
}

/// Whom to call since the alert has not reached their phone; logged, since it shows numbers.
///
/// # Errors
/// [`super::ActionError::NotFound`] when there is no such alert.
pub async fn call_list(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<Vec<Unreached>> {
    require(actor, Right::ReadDeliveries)?;
    require(actor, Right::ReadRegister)?;
    let tree = store::area::tree(session).await?;
    let message = store::message::get(session, id).await?.filter(|message| message.kind == "alert");
    let areas = store::message::chosen_areas(session, id).await?;
    if message.is_none() || !holds_areas(actor, &tree, &areas) {
        return Err(ActionError::NotFound);
    }
    let rows = store::alert::unreached(session, id, MOST_CALLS).await?;
    let detail = serde_json::json!({ "persons": rows.len() });
    desk.audit(session, actor, "alert.call_list_read", ("alert", id), detail).await?;
    Ok(rows)
}
