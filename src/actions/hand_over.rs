//! Owns handing over a contact person's mission: somebody else takes over area and households, and the record of the one who did it
//! ends as by "Avsluta uppdraget" (ADR 0022).
//!
//! It is one transaction: either both happen or nothing. Invariants: nothing that the one who leaves has said no to follows along, nor
//! does their history; a number or address that has said no itself stays so; nobody becomes a deputy without having been asked.

use serde_json::json;

use super::contact_person::{self, Edit, OptOut, PersonView, erase_row, held};
use super::deputy::{self, Named};
use super::{ActionError, Desk, Result, require};
use crate::domain::area::AreaTree;
use crate::domain::contact_person::{Field, yes_no};
use crate::domain::observation::ObservationState;
use crate::domain::operator::{Actor, Right};
use crate::store::contact_person::ContactPerson as Row;
use crate::store::{self, Session};

/// The tag of what contact persons wish for the register.
const WISH: &str = "register";

/// Who takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Successor {
    /// Somebody of the register, by id, number or e-mail address.
    Existing(String),
    /// Somebody new, with fields as they were typed; area and households of the one who leaves where none are given.
    New(Vec<(Field, String)>),
}

/// What a hand-over did.
#[derive(Debug, Clone)]
pub struct HandedOver {
    /// Who took over.
    pub successor: PersonView,
    /// Whether the successor is new in the register.
    pub is_new: bool,
    /// Households behind the one who left.
    pub households: i64,
    /// Those whose deputy the one who left was: they have none now.
    pub without_deputy: Vec<Named>,
    /// Wishes of the one who left that were open.
    pub wishes: usize,
}

/// Hands a mission over: the successor is added or keeps their record, has area and households of the one who leaves, and the latter's
/// mission ends.
///
/// # Errors
/// [`ActionError::NotFound`] for a person outside the actor's areas, [`ActionError::Invalid`] for a successor who cannot take over,
/// [`ActionError::Conflict`] while a large audience is being frozen, or for staff, who have no area.
pub async fn hand_over(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    id: &str,
    successor: &Successor,
) -> Result<HandedOver> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    let old = held(session, actor, &tree, id).await?;
    let Some(municipality) = tree.municipality_of(&old.area_code).map(|area| area.code.clone()) else {
        let detail =
            "Personen hör inte till någon kommun. Lägg till efterträdaren i registret, och avsluta uppdraget sedan.";
        return Err(ActionError::conflict("contact_person.no_area", detail));
    };
    let watch_area = tree.get(&old.area_code).map(|area| area.name.clone()).unwrap_or_default();
    let chosen = match successor {
        Successor::Existing(typed) => Some(fitting(session, actor, (&tree, &old), typed).await?),
        Successor::New(_) => None,
    };
    let (_, without_deputy) = deputy::named(session, actor, id).await?;
    let wishes = close_wishes(desk, session, actor, id).await?;
    erase_row(desk, session, actor, &old).await?;
    let place = [(Field::Municipality, municipality), (Field::WatchArea, watch_area)];
    let (view, is_new) = match (successor, chosen) {
        (Successor::New(typed), _) => (add(desk, session, actor, (&old, &place), typed).await?, true),
        (Successor::Existing(_), Some(row)) => (enlarge(desk, session, actor, (&old, &place), &row).await?, false),
        (Successor::Existing(_), None) => return Err(ActionError::NotFound),
    };
    let detail =
        json!({ "successor": view.person.id, "is_new": is_new, "households": old.households, "wishes": wishes });
    desk.audit(session, actor, "contact_person.handed_over", ("contact_person", id), detail).await?;
    Ok(HandedOver { successor: view, is_new, households: old.households, without_deputy, wishes })
}

/// The one person who is meant, in the area of the one who leaves.
async fn fitting(session: &mut Session, actor: &Actor, (tree, old): (&AreaTree, &Row), typed: &str) -> Result<Row> {
    let refuse = |code, detail: &str| Err(ActionError::field("existing", code, detail));
    let typed = typed.trim();
    if typed.is_empty() {
        return refuse("field.required", "Skriv mobilnumret eller e-postadressen till den som tar över.");
    }
    let by_id = held(session, actor, tree, typed).await.ok().filter(|row| row.id != old.id);
    let found = match by_id {
        Some(row) => vec![row],
        None => deputy::meant(session, actor, old, typed).await?,
    };
    let row = match found.as_slice() {
        [row] => row.clone(),
        [] => {
            let detail = "Ingen annan i registret har det numret eller den adressen. Rätta det, eller lägg till personen som ny.";
            return refuse("successor.unknown", detail);
        }
        _ => {
            let detail = "Flera i registret har det numret eller den adressen. Skriv det andra av dem.";
            return refuse("successor.several", detail);
        }
    };
    let is_here = row.area_code == old.area_code;
    // Who has no watch area yet can take over one of their own municipality.
    let has_none = tree.municipality_of(&old.area_code).is_some_and(|area| area.code == row.area_code);
    if is_here || has_none {
        return Ok(row);
    }
    let detail = "Den personen är kontaktombud i ett annat område, och kan bara stå i ett. Flytta personen hit först, eller \
                  lägg till någon ny.";
    refuse("successor.elsewhere", detail)
}

/// Somebody new with the area of the one who left; a number or address that has said no comes in with that in place.
async fn add(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (old, place): (&Row, &[(Field, String)]),
    typed: &[(Field, String)],
) -> Result<PersonView> {
    let mut fields = place.to_vec();
    fields.push((Field::Households, old.households.to_string()));
    fields.extend([Field::Alerts, Field::Letters].map(|field| (field, yes_no(true).to_owned())));
    fields.extend(typed.iter().filter(|(_, value)| !value.trim().is_empty()).cloned());
    let view = contact_person::create(desk, session, actor, &Edit { fields, ..Edit::default() }).await?;
    let said_no = said_no(desk, session, &view.person).await?;
    if said_no.is_empty() {
        return Ok(view);
    }
    let edit = Edit { opt_outs: Some(said_no), ..Edit::default() };
    contact_person::update(desk, session, actor, &view.person.id, &edit).await
}

/// What the number and the address of somebody new have said no to before.
async fn said_no(desk: &Desk, session: &mut Session, row: &Row) -> Result<Vec<OptOut>> {
    let mut said = Vec::new();
    for (channel, text) in [("sms", row.mobile.as_ref()), ("email", row.email_key.as_ref())] {
        let Some(text) = text else { continue };
        let fingerprint = desk.token_key.fingerprint(channel, text);
        let why = store::contact_person::suppressed(session, &fingerprint, channel).await?;
        if why.as_deref() == Some("opted_out") {
            said.push(OptOut { channel: channel.to_owned(), source: "suppression".to_owned() });
        }
    }
    Ok(said)
}

/// Somebody of the register with the households of the one who left beside their own.
async fn enlarge(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (old, place): (&Row, &[(Field, String)]),
    row: &Row,
) -> Result<PersonView> {
    let mut fields = if row.area_code == old.area_code { Vec::new() } else { place.to_vec() };
    fields.push((Field::Households, (row.households + old.households).to_string()));
    contact_person::update(desk, session, actor, &row.id, &Edit { fields, ..Edit::default() }).await
}

/// What the person has wished for the register and nobody has done is done with this; says how many wishes that were.
async fn close_wishes(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<usize> {
    let wishes = store::observation_tag::open_of(session, id, WISH).await?;
    for id in &wishes {
        let Some(mut row) = store::observation::get_locked(session, id).await? else { continue };
        let now = desk.now();
        let before = std::mem::replace(&mut row.state, ObservationState::Acted.code().to_owned());
        row.taken_at = row.taken_at.or(Some(now));
        row.archived_at = Some(now);
        row.changed_at = now;
        store::observation::update(session, &row).await?;
        let detail = json!({ "state": [before, row.state], "archived": [false, true] });
        desk.audit(session, actor, "observation.changed", ("observation", &row.id), detail).await?;
    }
    Ok(wishes.len())
}
