//! Owns deputies: who stands in for whom, and that an alert goes to them while somebody is away or silent.
//!
//! It does not know when a deputy takes over later (`actions::deputy_takeover`). Somebody away counts as not reached, also when
//! their deputy got the alert; somebody silent still gets their own: the accounts stay those of persons, and the deputy's
//! delivery covers nobody. Invariants: a deputy is another person of the register, who may say no; no number gets
//! an alert twice; a deputy of a deputy is never used.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::json;

use super::command::of;
use super::contact_person::held;
use super::message::freeze as freeze_of;
use super::own_page::short_name;
use super::{ActionError, Desk, Result, require};
use crate::domain::area::AreaTree;
use crate::domain::coverage::{Coverage, FIRST_DEPUTY, FIRST_TAKEOVER, NotReached, POSITIONS, PlannedDelivery};
use crate::domain::delivery::Channel;
use crate::domain::email_address;
use crate::domain::operator::{Actor, Right};
use crate::domain::phone::PhoneNumber;
use crate::store::contact_person::ContactPerson;
use crate::store::coverage::{Rows, add_deliveries, delivery_rows};
use crate::store::deputy::{Absence, StandIn};
use crate::store::message::Message;
use crate::store::{self, Session};

/// Writes down that the person with this number or e-mail address stands in for another; empty = nobody does. Whoever does
/// it has asked both.
///
/// # Errors
/// [`ActionError::Invalid`] when there is no such person in the actor's areas, or several.
pub async fn set(desk: &Desk, session: &mut Session, actor: &Actor, id: &str, typed: &str) -> Result<()> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    let person = held(session, actor, &tree, id).await?;
    let deputy = match typed.trim() {
        "" => None,
        typed => Some(found(session, actor, &person, typed).await?),
    };
    store::deputy::set(session, id, deputy.as_deref(), (&actor.id, desk.now())).await?;
    let action = if deputy.is_some() { "contact_person.deputy_set" } else { "contact_person.deputy_removed" };
    desk.audit(session, actor, action, ("contact_person", id), json!({ "deputy": deputy })).await
}

/// Everybody in the actor's areas but `person` who has this number or e-mail address.
pub(super) async fn meant(
    session: &mut Session,
    actor: &Actor,
    person: &ContactPerson,
    typed: &str,
) -> Result<Vec<ContactPerson>> {
    let tree = store::area::tree(session).await?;
    let persons = match PhoneNumber::parse(typed) {
        Ok(number) => store::contact_person::by_mobile(session, number.e164()).await?,
        Err(_) => store::contact_person::by_email_key(session, &email_address::key(typed)).await?,
    };
    let mut fitting = Vec::new();
    for one in persons.into_iter().filter(|one| one.id != person.id) {
        fitting.extend(held(session, actor, &tree, &one.id).await.ok());
    }
    Ok(fitting)
}

async fn found(session: &mut Session, actor: &Actor, person: &ContactPerson, typed: &str) -> Result<String> {
    let fitting = meant(session, actor, person, typed).await?;
    match fitting.as_slice() {
        [deputy] if deputy.mobile.is_none() => Err(ActionError::field(
            "deputy",
            "deputy.no_mobile",
            "Personen har inget mobilnummer och kan inte få larm. Välj någon annan.",
        )),
        [deputy] => Ok(deputy.id.clone()),
        [] => Err(ActionError::field(
            "deputy",
            "deputy.unknown",
            "Ingen annan i registret har det numret eller den adressen. Lägg till personen först.",
        )),
        _ => Err(ActionError::field(
            "deputy",
            "deputy.several",
            "Flera i registret har det numret eller den adressen. Skriv det andra av dem.",
        )),
    }
}

/// Somebody named beside a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Their record; `None` when the actor may not see it.
    pub id: Option<String>,
    /// Their name, or that it is not shown.
    pub name: String,
}

/// What stands instead of a name that is not shown.
const HIDDEN: &str = "någon vars uppgifter inte visas här";

/// Who stands in for a person, and for whom they stand in, as the actor may see them.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn named(session: &mut Session, actor: &Actor, id: &str) -> Result<(Option<Named>, Vec<Named>)> {
    let tree = store::area::tree(session).await?;
    let mut others = Vec::new();
    for (other, _) in store::deputy::stands_for(session, id).await? {
        others.push(seen(session, actor, &tree, &other).await?);
    }
    match store::deputy::of(session, id).await? {
        Some(deputy) => Ok((Some(seen(session, actor, &tree, &deputy.contact_person_id).await?), others)),
        None => Ok((None, others)),
    }
}

async fn seen(session: &mut Session, actor: &Actor, tree: &AreaTree, id: &str) -> Result<Named> {
    match held(session, actor, tree, id).await {
        Ok(row) => Ok(Named { id: Some(row.id), name: row.name }),
        Err(ActionError::NotFound) => Ok(Named { id: None, name: HIDDEN.to_owned() }),
        Err(error) => Err(error),
    }
}

/// The same for the person themselves: first name and a letter, and nothing of protected identities. The ids are of those for whom they
/// stand in.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn own_named(session: &mut Session, id: &str) -> Result<(Option<String>, Vec<(String, String)>)> {
    let mut others = Vec::new();
    for (other, _) in store::deputy::stands_for(session, id).await? {
        let name = own_name(session, &other).await?;
        others.push((other, name));
    }
    match store::deputy::of(session, id).await? {
        Some(deputy) => Ok((Some(own_name(session, &deputy.contact_person_id).await?), others)),
        None => Ok((None, others)),
    }
}

async fn own_name(session: &mut Session, id: &str) -> Result<String> {
    let person = store::contact_person::get(session, id).await?.filter(|person| person.protected == 0);
    Ok(person.map_or_else(|| HIDDEN.to_owned(), |person| short_name(&person.name)))
}

/// A deputy says no to standing in for somebody.
///
/// # Errors
/// [`ActionError::NotFound`] when they do not.
pub async fn decline(desk: &Desk, session: &mut Session, deputy: &ContactPerson, stands_for: &str) -> Result<()> {
    let all = store::deputy::stands_for(session, &deputy.id).await?;
    if !all.iter().any(|(id, _)| id == stands_for) {
        return Err(ActionError::NotFound);
    }
    let actor = of(deputy);
    store::deputy::set(session, stands_for, None, (&actor.id, desk.now())).await?;
    let object = ("contact_person", stands_for);
    desk.audit(session, &actor, "contact_person.deputy_declined", object, json!({ "deputy": deputy.id })).await
}

/// Adds a delivery to each deputy of those of a frozen audience who are paused or silent, unless their number has one already;
/// says how many.
pub(super) async fn freeze(desk: &Desk, session: &mut Session, message: &Message) -> Result<u64> {
    let absences = store::deputy::absences(session, &message.id, desk.now()).await?;
    let absences = without_taken(session, &message.id, absences).await?;
    if absences.is_empty() {
        return Ok(0);
    }
    let calls = calls(&absences, FIRST_DEPUTY..FIRST_TAKEOVER);
    let rows = rows(message.number, &calls);
    let deliveries = add_deliveries(session, &freeze_of(message, desk.now()), &rows).await?;
    store::deputy::add(session, &message.id, &stand_ins(message.number, &calls), desk.now()).await?;
    Ok(deliveries)
}

/// Those of `away` who are in an audience, paused or reached, and whose deputy's number is not in it.
pub(super) fn among(mut away: Vec<Absence>, coverage: &Coverage) -> Vec<Absence> {
    let stood_for: Vec<String> = away.iter().map(|one| one.stands_for.clone()).collect();
    let found = coverage.find(stood_for.iter().map(String::as_str));
    away.retain(|one| matches!(found.get(one.stands_for.as_str()), Some(None | Some(NotReached::Paused))));
    if !away.is_empty() {
        let taken = coverage.numbers_among(away.iter().map(|absence| absence.mobile.as_str()));
        away.retain(|absence| !taken.contains(&absence.mobile));
    }
    away
}

/// Leaves out those whose deputy's number has the alert or will.
pub(super) async fn without_taken(
    session: &mut Session,
    message_id: &str,
    mut absences: Vec<Absence>,
) -> Result<Vec<Absence>> {
    if !absences.is_empty() {
        let numbers = absences.iter().map(|absence| absence.mobile.as_str());
        let taken = store::deputy::taken(session, message_id, numbers).await?;
        let taken: BTreeSet<&str> = taken.iter().map(String::as_str).collect();
        absences.retain(|absence| !taken.contains(absence.mobile.as_str()));
    }
    Ok(absences)
}

/// A number that an alert goes to in place of, or beside, some persons.
#[derive(Debug)]
pub(super) struct Call<'a> {
    position: i64,
    number: &'a str,
    absences: Vec<&'a Absence>,
}

/// One call for each number, at these positions within its message.
pub(super) fn calls(absences: &[Absence], positions: Range<i64>) -> Vec<Call<'_>> {
    let mut by_number: BTreeMap<&str, Vec<&Absence>> = BTreeMap::new();
    for absence in absences {
        by_number.entry(&absence.mobile).or_default().push(absence);
    }
    let call = |(position, (number, absences))| Call { position, number, absences };
    positions.zip(by_number).map(call).collect()
}

/// The deliveries of these calls, as rows.
pub(super) fn rows(message_number: i64, calls: &[Call<'_>]) -> Rows {
    delivery_rows(message_number, planned(calls))
}

/// The deliveries of these calls.
pub(super) fn planned<'a>(calls: &'a [Call<'_>]) -> impl Iterator<Item = PlannedDelivery<'a>> {
    calls.iter().map(|call| PlannedDelivery {
        position: call.position,
        channel: Channel::Sms,
        address: call.number.into(),
        contact_person_id: None,
        area_code: call.absences.first().map(|absence| absence.area_code.as_str()),
        persons: 0,
        households: 0,
        // In the first round: where one is away there may be nobody else.
        place: 1,
    })
}

/// For whom these calls are.
pub(super) fn stand_ins(message_number: i64, calls: &[Call<'_>]) -> Vec<StandIn> {
    let of = |call: &Call<'_>| {
        let delivery_id = message_number * POSITIONS + call.position;
        let stand_in = |absence: &&Absence| StandIn {
            stands_for: absence.stands_for.clone(),
            contact_person_id: absence.contact_person_id.clone(),
            delivery_id,
        };
        call.absences.iter().map(stand_in).collect::<Vec<_>>()
    };
    calls.iter().flat_map(of).collect()
}
