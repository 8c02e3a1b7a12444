//! Owns reading the register as a whole: searching it with facets, how well areas are covered, who may stand twice, whom
//! nothing reaches, and all that is shown of one person.
//!
//! It changes nothing. Invariants: every look at persons is logged, by how many; people with a protected identity stand
//! in no list.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::contact_person::{self, PersonView, Typed, areas_below, view};
use super::register_word::{self, Narrowed};
use super::{ActionError, Desk, Result, lately, require};
use crate::domain::area::AreaTree;
use crate::domain::operator::{Actor, Right};
use crate::store::contact_person::ContactPerson as Row;
use crate::store::extract::MessageRow;
use crate::store::phone_call::PhoneCall;
use crate::store::register::{AreaCover, Find, Pair};
use crate::store::{self, Session};

/// How long the cover of a large register holds, in milliseconds.
const COVER_HOLDS_MS: i64 = 10_000;
/// Those who fit a search are counted no further: nobody reads so many names.
const MOST_COUNTED: i64 = 10_000;
/// Pairs shown at once.
const MOST_PAIRS: i64 = 100;
/// Persons on a list of those whom nothing reaches.
const MOST_UNREACHED: i64 = 2_000;
/// What persons can be filtered by.
pub const TRAITS: [&str; 9] =
    ["sms", "email", "none", "unreachable", "email_unusable", "mobile_doubtful", "alone", "paused", "opted_out"];

/// What is looked for; what is empty is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A part of a name, a number, an e-mail address or an area's name.
    pub text: String,
    /// Code of an area.
    pub area: String,
    /// One of [`TRAITS`].
    pub trait_code: String,
    /// Language tag.
    pub language: String,
}

/// A page of those who fit.
#[derive(Debug, Clone)]
pub struct Found {
    /// They, in order of name.
    pub persons: Vec<PersonView>,
    /// How many fit.
    pub total: i64,
    /// Whether more fit than that.
    pub is_more: bool,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A page of the contact persons that fit, in order of name; the look is logged.
///
/// # Errors
/// [`ActionError::NotFound`] for an area that is not the actor's.
pub async fn find(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    wanted: &Wanted,
    (after, limit): (&str, i64),
) -> Result<Found> {
    require(actor, Right::ReadRegister)?;
    let tree = store::area::tree(session).await?;
    let typed = Typed::of(&wanted.text, &tree);
    let areas_json = areas_of(&tree, actor, &wanted.area)?;
    let is_everywhere = wanted.area.is_empty() && contact_person::is_root(&tree, &actor.area);
    let within = (areas_json.as_str(), is_everywhere);
    let narrowed = register_word::narrow(desk, session, &typed, within, register_word::MOST_TYPED).await?;
    let is_filtered = !wanted.trait_code.is_empty() || !wanted.language.is_empty();
    let (among, is_cut) = match narrowed {
        Narrowed::Whole => (None, false),
        Narrowed::Few(ids) => (Some(ids), false),
        // Who is filtered out among some says nothing of the others.
        Narrowed::Many(_) if is_filtered => (None, false),
        Narrowed::Many(ids) => (Some(ids), true),
    };
    let find = Find {
        among,
        words: typed.words,
        email: typed.email,
        named_json: typed.named_json,
        number: typed.number,
        areas_json,
        language: wanted.language.clone(),
        trait_code: wanted.trait_code.clone(),
        now: desk.now(),
    };
    let mut rows = store::register::page(session, &find, (after, limit + 1)).await?;
    let has_more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    // A few who fit are counted already; the whole register is not read twice for them.
    let total = match has_more || !after.is_empty() {
        true => store::register::count(session, &find, MOST_COUNTED + 1).await?,
        false => i64::try_from(rows.len()).unwrap_or(i64::MAX),
    };
    let is_more = is_cut || total > MOST_COUNTED;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = rows.last().map(|row| row.id.clone()).filter(|_| has_more);
    let detail = json!({ "persons": rows.len() });
    desk.audit(session, actor, "contact_persons.searched", ("contact_persons", ""), detail).await?;
    let total = total.min(MOST_COUNTED);
    Ok(Found { persons: rows.into_iter().map(|row| view(&tree, row)).collect(), total, is_more, next })
}

/// How well the actor's areas are covered, by code; areas that nobody is in are left out. No person is read.
///
/// # Errors
/// [`ActionError::Forbidden`].
pub async fn cover(desk: &Desk, session: &mut Session, actor: &Actor) -> Result<Arc<BTreeMap<String, AreaCover>>> {
    require(actor, Right::ReadRegister)?;
    let now = desk.now();
    if let Some(known) = desk.lately.cover.get(&actor.area, now, COVER_HOLDS_MS) {
        if known.is_old {
            let (store, area) = (desk.store.clone(), actor.area.clone());
            let counting = async move { count_cover(&mut store.read().await?, &area, now).await };
            lately::count_beside(desk, |lately| &lately.cover, &actor.area, counting);
        }
        return Ok(known.value);
    }
    let cover = Arc::new(count_cover(session, &actor.area, now).await?);
    if cover.values().map(|row| row.contact_persons).sum::<i64>() > i64::from(desk.config.database.rows_at_once) {
        desk.lately.cover.keep(&actor.area, now, Arc::clone(&cover));
    }
    Ok(cover)
}

async fn count_cover(session: &mut Session, area: &str, now: i64) -> Result<BTreeMap<String, AreaCover>> {
    let tree = store::area::tree(session).await?;
    // Who goes to a drill is staff, and covers nothing.
    let areas = tree.subtree([area]);
    let areas = store::area::codes_json(areas.iter().map(String::as_str));
    let rows = store::register::cover(session, areas, now).await?;
    Ok(rows.into_iter().map(|row| (row.area_code.clone(), row)).collect())
}

/// One contact person with everything they were sent, the oldest first; the look is logged.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn person(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    id: &str,
) -> Result<(PersonView, Vec<MessageRow>)> {
    require(actor, Right::ReadDeliveries)?;
    let person = contact_person::get(desk, session, actor, id).await?;
    let messages = store::extract::messages(session, id).await?;
    Ok((person, messages))
}

/// Pairs of records that may be of one person, the likeliest first; the look is logged.
///
/// # Errors
/// [`ActionError::Forbidden`].
pub async fn pairs(desk: &Desk, session: &mut Session, actor: &Actor) -> Result<Vec<(Pair, PersonView, PersonView)>> {
    require(actor, Right::ReadRegister)?;
    let tree = store::area::tree(session).await?;
    let mut found = Vec::new();
    for pair in store::register::pairs(session, areas_below(&tree, &actor.area), MOST_PAIRS).await? {
        let first = store::contact_person::get(session, &pair.first_id).await?;
        let second = store::contact_person::get(session, &pair.second_id).await?;
        if let (Some(first), Some(second)) = (first, second) {
            found.push((pair, view(&tree, first), view(&tree, second)));
        }
    }
    let detail = json!({ "persons": found.len() * 2 });
    desk.audit(session, actor, "contact_persons.pairs_read", ("contact_persons", ""), detail).await?;
    Ok(found)
}

/// Those whom nothing reaches, and those whose letters come back or whose number is doubtful, in order of area, each with the calls
/// since one last confirmed what the register says; the look is logged.
///
/// # Errors
/// [`ActionError::NotFound`] for an area that is not the actor's.
pub async fn out_of_reach(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    area: &str,
) -> Result<Vec<(PersonView, Vec<PhoneCall>)>> {
    require(actor, Right::ReadRegister)?;
    let tree = store::area::tree(session).await?;
    let rows = store::register::out_of_reach(session, areas_of(&tree, actor, area)?, MOST_UNREACHED).await?;
    let detail = json!({ "persons": rows.len() });
    desk.audit(session, actor, "contact_persons.call_list_read", ("contact_persons", ""), detail).await?;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let mut calls: BTreeMap<String, Vec<PhoneCall>> = BTreeMap::new();
    for call in store::phone_call::since_confirmed(session, &ids).await? {
        calls.entry(call.contact_person_id.clone()).or_default().push(call);
    }
    let with_calls = |row: Row| {
        let calls = calls.remove(&row.id).unwrap_or_default();
        (view(&tree, row), calls)
    };
    Ok(rows.into_iter().map(with_calls).collect())
}

/// Contact persons with a protected identity; the look is logged.
///
/// # Errors
/// [`ActionError::Forbidden`] for everybody but administrators.
pub async fn protected(desk: &Desk, session: &mut Session, actor: &Actor) -> Result<Vec<PersonView>> {
    require(actor, Right::Administer)?;
    let tree = store::area::tree(session).await?;
    let rows = store::register::protected(session, areas_below(&tree, &actor.area), MOST_UNREACHED).await?;
    let detail = json!({ "persons": rows.len() });
    desk.audit(session, actor, "contact_persons.protected_read", ("contact_persons", ""), detail).await?;
    Ok(rows.into_iter().map(|row| view(&tree, row)).collect())
}

/// The areas within `area`, or all that the actor has; as JSON rows.
fn areas_of(tree: &AreaTree, actor: &Actor, area: &str) -> Result<String> {
    match area {
        "" => Ok(areas_below(tree, &actor.area)),
        code if tree.is_within(code, &actor.area) => Ok(areas_below(tree, code)),
        _ => Err(ActionError::NotFound),
    }
}
