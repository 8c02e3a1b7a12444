//! Owns observations as they are shown: in lists, one by one, and with all that was said around them.
//!
//! Invariants: who holds an area sees what came from it; what came from nobody known is for those who hold the whole police
//! area; every look is logged.

use std::collections::{BTreeMap, BTreeSet};

use super::contact_person::areas_below;
use super::{ActionError, Desk, Result, require};
use crate::domain::area::AreaTree;
use crate::domain::delivery::Channel;
use crate::domain::observation::{self, IncomingKind, Mark};
use crate::domain::operator::{Actor, Right};
use crate::domain::place_name::places_in;
use crate::store::alert::Answered;
use crate::store::observation::{Figures, Filter, Observation, Sender};
use crate::store::reply::Reply;
use crate::store::{self, Session};

/// Observations of one person shown beside each other.
const THREAD: i64 = 50;
/// Alerts whose answers can be chosen alone: so many, made within so many days.
const CHOOSABLE: i64 = 50;
const CHOOSABLE_FOR_DAYS: i64 = 30;
/// The median time to an answer is over so many days.
const MEDIAN_OVER_DAYS: i64 = 90;

/// Who sent an observation, as far as the one who looks may know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SenderView {
    /// Number or address; empty for a protected identity.
    pub address: String,
    /// Name; empty for an unknown sender.
    pub name: String,
    /// Watch area's name.
    pub area: String,
    /// Households behind the person.
    pub households: i64,
    /// Whether personal data are protected, and withheld here.
    pub is_withheld: bool,
}

/// An observation as shown.
#[derive(Debug, Clone)]
pub struct ObservationView {
    /// The record; its text is that of all its parts.
    pub observation: Observation,
    /// How many SMS it came in.
    pub parts: usize,
    /// Its tags.
    pub tags: Vec<String>,
    /// Who sent it.
    pub sender: SenderView,
    /// What we wrote back, oldest first.
    pub replies: Vec<Reply>,
}

/// An observation with all that was said around it.
#[derive(Debug, Clone)]
pub struct ObservationThread {
    /// The observation.
    pub view: ObservationView,
    /// What stands out in its text.
    pub marks: Vec<Mark>,
    /// What else the same sender has sent, newest first.
    pub others: Vec<ObservationView>,
}

/// A page of observations, newest first, from all the actor's areas or, where `area` is a code, from those of them that lie within
/// it; the look is logged.
///
/// # Errors
/// [`ActionError`], such as for an area that does not exist.
pub async fn page(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (filter, area): (&Filter, &str),
    limit: i64,
) -> Result<(Vec<ObservationView>, Option<String>)> {
    require(actor, Right::WorkInbox)?;
    let tree = store::area::tree(session).await?;
    let areas_json = match area {
        "" => areas_of(&tree, actor),
        area if tree.get(area).is_none() => {
            return Err(ActionError::field("area", "field.unknown", "Området finns inte."));
        }
        area => {
            let within = tree.iter().map(|one| one.code.as_str()).filter(|code| tree.is_within(code, area));
            store::area::codes_json(within.filter(|code| tree.is_within(code, &actor.area)))
        }
    };
    let filter = Filter { areas_json, ..filter.clone() };
    let mut rows = store::observation::page(session, &filter, limit + 1).await?;
    let has_more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = rows.last().map(|row| row.id.clone()).filter(|_| has_more);
    let views = views(session, actor, &tree, rows).await?;
    if !views.is_empty() {
        let detail = serde_json::json!({ "persons": views.len() });
        desk.audit(session, actor, "observations.read", ("observations", ""), detail).await?;
    }
    Ok((views, next))
}

/// One observation of the actor's areas with what was said around it; the look is logged.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn get(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<ObservationThread> {
    require(actor, Right::WorkInbox)?;
    let tree = store::area::tree(session).await?;
    let row = seen(session, actor, &tree, id).await?;
    let thread = load(desk, session, actor, (&tree, row)).await?;
    let detail = serde_json::json!({ "persons": 1 });
    desk.audit(session, actor, "observation.read", ("observation", id), detail).await?;
    Ok(thread)
}

/// The newest alerts of the last 30 days with an answer from the actor's areas.
///
/// # Errors
/// [`ActionError`].
pub async fn answered_alerts(desk: &Desk, session: &mut Session, actor: &Actor) -> Result<Vec<Answered>> {
    require(actor, Right::WorkInbox)?;
    let tree = store::area::tree(session).await?;
    let since = desk.now() - CHOOSABLE_FOR_DAYS * 24 * 3_600_000;
    Ok(store::alert::answered(session, &areas_of(&tree, actor), since, CHOOSABLE).await?)
}

/// How the inbox of the actor's areas stands.
///
/// # Errors
/// [`ActionError`].
pub async fn figures(desk: &Desk, session: &mut Session, actor: &Actor) -> Result<Figures> {
    require(actor, Right::WorkInbox)?;
    let tree = store::area::tree(session).await?;
    let now = desk.now();
    let since = now - MEDIAN_OVER_DAYS * 24 * 3_600_000;
    Ok(store::observation::figures(session, &areas_of(&tree, actor), (now, since)).await?)
}

/// The urgent answers of the actor's areas that nobody has taken, oldest first; those of the last day.
///
/// # Errors
/// [`ActionError::Store`]; nothing for who does not work in the inbox.
pub async fn untaken(desk: &Desk, session: &mut Session, actor: &Actor) -> Result<Vec<Observation>> {
    if !actor.role.may(Right::WorkInbox) {
        return Ok(Vec::new());
    }
    let now = desk.now();
    let mut rows = store::observation::untaken(session, (now - 24 * 3_600_000, now), false, 100).await?;
    if rows.is_empty() {
        return Ok(rows);
    }
    let tree = store::area::tree(session).await?;
    rows.retain(|row| sees(actor, &tree, row));
    Ok(rows)
}

/// The newest observations about an alert, of the actor's areas; their senders are not in them.
///
/// # Errors
/// [`ActionError::Store`]; nothing for who does not work in the inbox.
pub async fn about(session: &mut Session, actor: &Actor, alert_id: &str, limit: i64) -> Result<Vec<Observation>> {
    if !actor.role.may(Right::WorkInbox) {
        return Ok(Vec::new());
    }
    let tree = store::area::tree(session).await?;
    let filter = Filter {
        areas_json: areas_of(&tree, actor),
        message_id: alert_id.to_owned(),
        kind: IncomingKind::Observation.code().to_owned(),
        ..Filter::default()
    };
    let mut rows = store::observation::page(session, &filter, limit).await?;
    for row in &mut rows {
        row.sender = String::new();
    }
    Ok(rows)
}

/// The newest answers to the same alert, of the actor's areas, at most `limit`; the observation itself and what stands in its
/// thread is not among them. The look is logged.
///
/// # Errors
/// [`ActionError`].
pub async fn beside(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    thread: &ObservationThread,
    limit: usize,
) -> Result<Vec<ObservationView>> {
    require(actor, Right::WorkInbox)?;
    let own = &thread.view.observation;
    let is_alert = own.message_kind.as_deref() == Some("alert");
    let Some(alert) = own.message_id.clone().filter(|_| is_alert) else { return Ok(Vec::new()) };
    let tree = store::area::tree(session).await?;
    let others = thread.others.iter().map(|other| other.observation.id.as_str());
    let shown: BTreeSet<&str> = others.chain([own.id.as_str()]).collect();
    let filter = Filter {
        areas_json: areas_of(&tree, actor),
        message_id: alert,
        kind: IncomingKind::Observation.code().to_owned(),
        ..Filter::default()
    };
    let most = i64::try_from(limit + shown.len()).unwrap_or(i64::MAX);
    let mut rows = store::observation::page(session, &filter, most).await?;
    rows.retain(|row| !shown.contains(row.id.as_str()));
    rows.truncate(limit);
    let views = views(session, actor, &tree, rows).await?;
    if !views.is_empty() {
        let detail = serde_json::json!({ "persons": views.len() });
        desk.audit(session, actor, "observations.read", ("observations", ""), detail).await?;
    }
    Ok(views)
}

/// Puts an observation together with what was said around it.
pub(super) async fn load(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (tree, row): (&AreaTree, Observation),
) -> Result<ObservationThread> {
    let thread = store::observation::thread(session, &row, THREAD).await?;
    let id = row.id.clone();
    let others: Vec<Observation> = thread.into_iter().filter(|one| one.id != id && sees(actor, tree, one)).collect();
    let rows = std::iter::once(row).chain(others).collect();
    let mut views = views(session, actor, tree, rows).await?;
    let view = views.remove(0);
    let text = &view.observation.text;
    let places = places_in(text, tree, &desk.places);
    let marks = observation::marks(text, &places, &desk.config.replies.urgent_words);
    Ok(ObservationThread { view, marks, others: views })
}

/// An observation that the actor may see; a part stands for its whole.
pub(super) async fn seen(session: &mut Session, actor: &Actor, tree: &AreaTree, id: &str) -> Result<Observation> {
    let row = store::observation::get(session, id).await?.ok_or(ActionError::NotFound)?;
    let row = match &row.part_of {
        Some(first) => store::observation::get(session, first).await?.ok_or(ActionError::NotFound)?,
        None => row,
    };
    if sees(actor, tree, &row) { Ok(row) } else { Err(ActionError::NotFound) }
}

/// Whether an observation is of the actor's areas.
#[must_use]
pub fn sees(actor: &Actor, tree: &AreaTree, observation: &Observation) -> bool {
    match &observation.area_code {
        Some(code) => tree.is_within(code, &actor.area),
        None => holds_all(actor, tree),
    }
}

fn holds_all(actor: &Actor, tree: &AreaTree) -> bool {
    tree.root().is_none_or(|root| root.code == actor.area)
}

/// The actor's areas as JSON rows; empty for the whole police area.
fn areas_of(tree: &AreaTree, actor: &Actor) -> String {
    if holds_all(actor, tree) { String::new() } else { areas_below(tree, &actor.area) }
}

/// Rows with their parts, tags, senders and answers.
pub(super) async fn views(
    session: &mut Session,
    actor: &Actor,
    tree: &AreaTree,
    rows: Vec<Observation>,
) -> Result<Vec<ObservationView>> {
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let mut parts: BTreeMap<String, Vec<Observation>> = BTreeMap::new();
    for part in store::observation::parts(session, &ids).await? {
        parts.entry(part.part_of.clone().unwrap_or_default()).or_default().push(part);
    }
    let mut tags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, tag) in store::observation_tag::of_observations(session, &ids).await? {
        tags.entry(id).or_default().push(tag);
    }
    let mut replies: BTreeMap<String, Vec<Reply>> = BTreeMap::new();
    for reply in store::reply::of_observations(session, &ids).await? {
        replies.entry(reply.observation_id.clone()).or_default().push(reply);
    }
    let persons: Vec<&str> = rows.iter().filter_map(|row| row.contact_person_id.as_deref()).collect();
    let persons = store::observation::senders(session, &persons).await?;
    let persons: BTreeMap<String, Sender> = persons.into_iter().map(|person| (person.id.clone(), person)).collect();
    let mut views = Vec::with_capacity(rows.len());
    for mut row in rows {
        let sender = sender(actor, tree, (&row, &persons));
        let further = parts.remove(&row.id).unwrap_or_default();
        let count = further.len() + 1;
        row.text = joined(&row, further);
        if sender.is_withheld {
            row.sender = String::new();
        }
        views.push(ObservationView {
            tags: tags.remove(&row.id).unwrap_or_default(),
            replies: replies.remove(&row.id).unwrap_or_default(),
            parts: count,
            sender,
            observation: row,
        });
    }
    Ok(views)
}

/// The text of an observation and its further parts, in the order they were written.
fn joined(first: &Observation, further: Vec<Observation>) -> String {
    if further.is_empty() {
        return first.text.clone();
    }
    let mut all = further;
    all.push(first.clone());
    // Gateways tell the second at best: of what was sent in one, the rest comes after the full parts.
    all.sort_by_key(|part| {
        let sent_at = part.sent_at.unwrap_or(part.received_at) / 1_000;
        (sent_at, !observation::fills_a_part(&part.text), part.received_at, part.id.clone())
    });
    all.iter().map(|part| part.text.as_str()).collect()
}

/// Who sent an observation, as far as the actor may know.
fn sender(actor: &Actor, tree: &AreaTree, (row, persons): (&Observation, &BTreeMap<String, Sender>)) -> SenderView {
    let area = row.area_code.as_deref().and_then(|code| tree.get(code)).map(|area| area.name.clone());
    let view = SenderView { address: row.sender.clone(), area: area.unwrap_or_default(), ..SenderView::default() };
    let Some(person) = row.contact_person_id.as_ref().and_then(|id| persons.get(id)) else { return view };
    if person.protected == 1 && !actor.role.may(Right::Administer) {
        return SenderView { address: String::new(), is_withheld: true, ..view };
    }
    let address = if person.erased_at.is_some() { String::new() } else { view.address };
    SenderView { address, name: person.name.clone(), households: person.households, ..view }
}

/// Whether somebody can be answered there.
#[must_use]
pub fn can_be_answered(observation: &Observation) -> bool {
    let is_known = !observation.sender.is_empty()
        && !["erased-", "disposed-"].iter().any(|mark| observation.sender.starts_with(mark));
    let is_person = observation.kind != IncomingKind::Automatic.code();
    let is_number =
        observation.channel != Channel::Sms.code() || !observation::is_automatic_sender(&observation.sender);
    is_known && is_person && is_number
}
