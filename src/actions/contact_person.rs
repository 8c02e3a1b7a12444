//! Owns single contact persons: adding, changing, finding and erasing them.
//!
//! It does not import files. Invariants: fields are checked by `domain::contact_person`, the same as for an import; every
//! look at persons is logged; erasing leaves a pseudonym and keeps the address from coming back.

use jiff::Timestamp;

use super::register_word::{self, Narrowed};
use super::{ActionError, Desk, FieldProblem, Result, require};
use crate::domain::area::{Area, AreaKind, AreaTree, watch_area_code};
use crate::domain::contact_person::{
    CONFIRMED_HOUSEHOLDS, ContactPerson, Field, FieldError, Values, municipality_code, validate, yes_no,
};
use crate::domain::operator::{Actor, Right};
use crate::domain::phone;
use crate::domain::plain_text::fold;
use crate::store::contact_person::{ContactPerson as Row, Search};
use crate::store::register_word::Begins;
use crate::store::{self, Session};

/// An opt-out from one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOut {
    /// `sms` or `email`.
    pub channel: String,
    /// How it was said.
    pub source: String,
}

/// What shall be changed; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// New values by field.
    pub fields: Vec<(Field, String)>,
    /// Nothing is sent before this time; `Some(None)` ends a pause.
    pub paused_until: Option<Option<Timestamp>>,
    /// The opt-outs that hold from now on.
    pub opt_outs: Option<Vec<OptOut>>,
}

/// A contact person as shown, with the area's names.
#[derive(Debug, Clone)]
pub struct PersonView {
    /// The record.
    pub person: Row,
    /// Code of the municipality.
    pub municipality: String,
    /// Name of the watch area.
    pub watch_area: String,
    /// What the caller should know, as (code, Swedish words).
    pub warnings: Vec<(&'static str, String)>,
}

/// Adds a contact person.
///
/// # Errors
/// [`ActionError`].
pub async fn create(desk: &Desk, session: &mut Session, actor: &Actor, edit: &Edit) -> Result<PersonView> {
    require(actor, Right::ChangeRegister)?;
    let mut values = Values::default();
    for (field, value) in &edit.fields {
        values[*field].clone_from(value);
    }
    let now = desk.now();
    let row = Row { id: desk.id(), created_at: now, ..Row::default() };
    let view = write(desk, session, actor, (row, &values), edit).await?;
    desk.audit(session, actor, "contact_person.added", ("contact_person", &view.person.id), serde_json::json!({}))
        .await?;
    Ok(view)
}

/// Changes a contact person.
///
/// # Errors
/// [`ActionError`].
pub async fn update(desk: &Desk, session: &mut Session, actor: &Actor, id: &str, edit: &Edit) -> Result<PersonView> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    let row = held(session, actor, &tree, id).await?;
    let mut values = values_of(&row, &tree);
    for (field, value) in &edit.fields {
        values[*field].clone_from(value);
    }
    let changed: Vec<&str> = edit.fields.iter().map(|(field, _)| field.name()).collect();
    let view = write(desk, session, actor, (row, &values), edit).await?;
    let detail = serde_json::json!({ "fields": changed, "opt_outs": edit.opt_outs.is_some(), "pause": edit.paused_until.is_some() });
    desk.audit(session, actor, "contact_person.changed", ("contact_person", id), detail).await?;
    Ok(view)
}

/// One contact person of the actor's areas; the look is logged.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn get(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<PersonView> {
    require(actor, Right::ReadRegister)?;
    let tree = store::area::tree(session).await?;
    let row = held(session, actor, &tree, id).await?;
    desk.audit(session, actor, "contact_person.read", ("contact_person", id), serde_json::json!({ "persons": 1 }))
        .await?;
    Ok(view(&tree, row))
}

/// A page of contact persons that match `query` (name, number in any notation, e-mail or area); the look is logged.
///
/// # Errors
/// [`ActionError`].
pub async fn search(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    query: &str,
    (after, limit): (&str, i64),
) -> Result<(Vec<PersonView>, Option<String>)> {
    require(actor, Right::ReadRegister)?;
    let tree = store::area::tree(session).await?;
    let typed = Typed::of(query, &tree);
    let areas_json = areas_below(&tree, &actor.area);
    let within = (areas_json.as_str(), is_root(&tree, &actor.area));
    let among = match register_word::narrow(desk, session, &typed, within, register_word::MOST_CALLED).await? {
        Narrowed::Few(ids) => Some(ids),
        // So many fit that a page of them is soon found.
        Narrowed::Whole | Narrowed::Many(_) => None,
    };
    let find = Search {
        among,
        words: typed.words,
        email: typed.email,
        named_json: typed.named_json,
        number: typed.number,
        areas_json,
        after: after.to_owned(),
    };
    let mut rows = store::contact_person::search(session, &find, limit + 1).await?;
    let has_more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = rows.last().map(|row| row.id.clone()).filter(|_| has_more);
    if !actor.role.may(Right::Administer) {
        rows.retain(|row| row.protected == 0);
    }
    let detail = serde_json::json!({ "persons": rows.len() });
    desk.audit(session, actor, "contact_persons.searched", ("contact_persons", ""), detail).await?;
    Ok((rows.into_iter().map(|row| view(&tree, row)).collect(), next))
}

/// What somebody typed to search for, as the store looks for it.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    /// Pattern of a name.
    pub words: String,
    /// Pattern of an e-mail address.
    pub email: String,
    /// Pattern of a number.
    pub number: String,
    /// Areas that are named, as JSON rows.
    pub named_json: String,
    /// How a word, a number or an address begins.
    pub begins: Begins,
}

impl Typed {
    /// Reads `query`: a part of a name, of a number in any notation, of an e-mail address or of a watch area's name; or a
    /// municipality's whole name.
    #[must_use]
    pub fn of(query: &str, tree: &AreaTree) -> Self {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let words = fold(query);
        let is_named = |area: &Area| match area.kind {
            AreaKind::Municipality => fold(&area.name) == words || area.code == words,
            _ => fold(&area.name).contains(&words) || fold(&area.code).contains(&words),
        };
        let named =
            tree.iter().filter(|area| !words.is_empty() && is_leaf_or_municipality(area.kind) && is_named(area));
        let named = tree.subtree(named.map(|area| area.code.as_str()));
        let number = phone::search_digits(query);
        let (word, whole) = begin_of(&words);
        let begins = Begins {
            word,
            whole,
            email: query.trim().to_lowercase(),
            number: number.as_deref().map_or_else(String::new, |digits| match digits.starts_with("46") {
                true => format!("+{digits}"),
                false => format!("+46{digits}"),
            }),
        };
        Self {
            begins,
            words: if words.is_empty() { String::new() } else { format!("%{}%", escaped(&words)) },
            email: format!("%{}%", escaped(&query.trim().to_lowercase())),
            number: number.map(|digits| format!("%{digits}%")).unwrap_or_default(),
            named_json: store::area::codes_json(named.iter().map(String::as_str)),
        }
    }
}

/// The word that a search begins with, and those that a name must hold whole: the last one typed may be half a word, and is no help
/// while it is a letter or two.
fn begin_of(words: &str) -> (String, Vec<String>) {
    let mut typed: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let last = typed.pop().unwrap_or_default();
    if last.chars().count() >= 3 || typed.is_empty() {
        return (last, typed);
    }
    typed.sort_by_key(|word| word.chars().count());
    (typed.pop().unwrap_or_default(), typed)
}

fn is_leaf_or_municipality(kind: AreaKind) -> bool {
    kind.is_leaf() || kind == AreaKind::Municipality
}

/// The areas within `area`, drill groups among them, as JSON rows: the register holds staff beside contact persons.
#[must_use]
pub fn areas_below(tree: &AreaTree, area: &str) -> String {
    let within = tree.iter().filter(|one| tree.is_within(&one.code, area));
    store::area::codes_json(within.map(|one| one.code.as_str()))
}

/// Whether `area` is all there is.
#[must_use]
pub fn is_root(tree: &AreaTree, area: &str) -> bool {
    tree.root().is_some_and(|root| root.code == area)
}

/// Says no for a person to `channel` (`sms` or `email`) with how it was said, or takes that back with `None`.
///
/// # Errors
/// [`ActionError`].
pub async fn opt_out_of(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    id: &str,
    (channel, source): (&str, Option<&str>),
) -> Result<PersonView> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    let row = held(session, actor, &tree, id).await?;
    let mut opt_outs = opt_outs_of(&row);
    let already = opt_outs.iter().position(|out| out.channel == channel);
    match (already, source.map(str::trim)) {
        (_, Some("")) => return Err(ActionError::field("source", "field.required", "Ange hur personen har sagt nej.")),
        (None, Some(source)) if source.chars().count() > 200 || source.chars().any(char::is_control) => {
            return Err(ActionError::field("source", "field.invalid", "Skriv högst 200 tecken på en rad."));
        }
        (None, Some(source)) => opt_outs.push(OptOut { channel: channel.to_owned(), source: source.to_owned() }),
        (Some(at), None) => drop(opt_outs.remove(at)),
        // Said before: the first word and its time stay.
        (Some(_), Some(_)) => {
            let again = (channel == "sms", channel == "email");
            store::opt_out::note_repeated(session, id, desk.now(), again).await?;
        }
        (None, None) => {}
    }
    update(desk, session, actor, id, &Edit { opt_outs: Some(opt_outs), ..Edit::default() }).await
}

/// The opt-outs that stand in a record.
pub(super) fn opt_outs_of(row: &Row) -> Vec<OptOut> {
    let sms = row.alerts_opt_out_at.map(|_| ("sms", row.alerts_opt_out_source.clone()));
    let email = row.letters_opt_out_at.map(|_| ("email", row.letters_opt_out_source.clone()));
    let opt_out = |(channel, source): (&str, Option<String>)| OptOut {
        channel: channel.to_owned(),
        source: source.unwrap_or_default(),
    };
    [sms, email].into_iter().flatten().map(opt_out).collect()
}

/// Erases a contact person: a pseudonym is left for statistics, and keyed digests keep the addresses from coming back.
///
/// # Errors
/// [`ActionError::NotFound`]; a conflict while an audience is being frozen in pieces, which may hold the person's address.
pub async fn erase(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<()> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    let row = held(session, actor, &tree, id).await?;
    erase_row(desk, session, actor, &row).await
}

/// Erases a person whom the actor may erase.
pub(super) async fn erase_row(desk: &Desk, session: &mut Session, actor: &Actor, row: &Row) -> Result<()> {
    let id = row.id.as_str();
    if super::freezing::holds_people(session).await? {
        let detail = "Mottagarna av ett stort utskick låses just nu. Vänta några sekunder och försök igen.";
        return Err(ActionError::conflict("contact_person.freezing", detail));
    }
    let now = desk.now();
    for (channel, text) in fingerprinted(row) {
        let fingerprint = desk.token_key.fingerprint(channel, &text);
        store::contact_person::suppress(session, (fingerprint, channel), "erased", now).await?;
    }
    store::contact_person::erase(session, row, None, now).await?;
    store::observation::pseudonymise(session, id).await?;
    store::import::forget_person(session, id).await?;
    desk.audit(session, actor, "contact_person.erased", ("contact_person", id), serde_json::json!({})).await
}

/// What is remembered of a person as keyed digests: `(channel, text)`.
#[must_use]
pub fn fingerprinted(row: &Row) -> Vec<(&'static str, String)> {
    let mobile = row.mobile.clone().map(|mobile| ("sms", mobile));
    let email = row.email_key.clone().map(|email| ("email", email));
    let person = (!row.address_key.is_empty()).then(|| ("person", format!("{}\n{}", row.name_key, row.address_key)));
    [mobile, email, person].into_iter().flatten().collect()
}

/// A person of the actor's areas; one with a protected identity is there for administrators only.
pub(super) async fn held(session: &mut Session, actor: &Actor, tree: &AreaTree, id: &str) -> Result<Row> {
    store::contact_person::get_locked(session, id)
        .await?
        .filter(|row| row.erased_at.is_none() && tree.is_within(&row.area_code, &actor.area))
        .filter(|row| row.protected == 0 || actor.role.may(Right::Administer))
        .ok_or(ActionError::NotFound)
}

/// Checks and writes a person's fields.
pub(super) async fn write(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (mut row, values): (Row, &Values),
    edit: &Edit,
) -> Result<PersonView> {
    let tree = store::area::tree(session).await?;
    let person = validate(values, &tree, &CONFIRMED_HOUSEHOLDS).map_err(problems)?;
    if !tree.is_within(&person.municipality, &actor.area) && !tree.is_within(&actor.area, &person.municipality) {
        return Err(ActionError::Forbidden);
    }
    let area = place_in_tree(desk, session, &tree, (&person.municipality, &person.watch_area)).await?;
    let now = desk.now();
    fill(&mut row, &person, &area, now);
    if let Some(until) = edit.paused_until {
        row.paused_until_at = until.map(Timestamp::as_millisecond);
    }
    if let Some(opt_outs) = &edit.opt_outs {
        opt_out(desk, session, &mut row, opt_outs).await?;
    }
    store::contact_person::put(session, &row).await?;
    let tree = store::area::tree(session).await?;
    let mut view = view(&tree, row);
    view.warnings = shared_number(session, &view.person).await?;
    Ok(view)
}

fn problems(errors: Vec<FieldError>) -> ActionError {
    ActionError::Invalid(
        errors.into_iter().map(|error| FieldProblem::new(error.field.name(), error.code, error.detail)).collect(),
    )
}

/// The code of the watch area `name` in a municipality; made when missing.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn place_in_tree(
    desk: &Desk,
    session: &mut Session,
    tree: &AreaTree,
    (municipality, name): (&str, &str),
) -> Result<String> {
    let folded = fold(name);
    if let Some(area) = tree.children(municipality).find(|area| fold(&area.name) == folded) {
        return Ok(area.code.clone());
    }
    let plain = watch_area_code(municipality, name);
    let code = (1..)
        .map(|n| if n == 1 { plain.clone() } else { format!("{plain}-{n}") })
        .find(|code| tree.get(code).is_none())
        .expect("a free number exists");
    let area = Area { code, name: name.to_owned(), kind: AreaKind::WatchArea, parent: Some(municipality.to_owned()) };
    store::area::put(session, &area, desk.now()).await?;
    Ok(area.code)
}

/// Puts valid fields into a record.
pub fn fill(row: &mut Row, person: &ContactPerson, area_code: &str, now: i64) {
    row.name.clone_from(&person.name);
    row.mobile = person.mobile.as_ref().map(|number| number.e164().to_owned());
    row.phone2 = person.phone2.as_ref().map(|number| number.e164().to_owned());
    row.email = person.email.as_ref().map(|email| email.as_str().to_owned());
    row.email2 = person.email2.as_ref().map(|email| email.as_str().to_owned());
    row.address.clone_from(&person.address);
    row.postcode.clone_from(&person.postcode);
    row.place.clone_from(&person.place);
    row.area_code = area_code.to_owned();
    row.households = i64::from(person.households);
    row.language.clone_from(&person.language);
    row.letters = i64::from(person.letters);
    row.alerts = i64::from(person.alerts);
    row.note.clone_from(&person.note);
    row.protected = i64::from(person.protected_identity);
    row.name_key = fold(&person.name);
    row.email_key = person.email.as_ref().map(crate::domain::email_address::EmailAddress::key);
    row.address_key = fold(&person.address);
    row.updated_at = now;
}

/// Puts the opt-outs that hold from now on into a record, and remembers their addresses by digest.
pub(super) async fn opt_out(desk: &Desk, session: &mut Session, row: &mut Row, opt_outs: &[OptOut]) -> Result<()> {
    let now = desk.now();
    let source_of = |channel: &str| opt_outs.iter().find(|out| out.channel == channel).map(|out| out.source.clone());
    if let Some(unknown) = opt_outs.iter().find(|out| !matches!(out.channel.as_str(), "sms" | "email")) {
        let _ = unknown;
        return Err(ActionError::field("opt_outs", "field.invalid", "Tillåtna kanaler: sms, email."));
    }
    for (channel, at, source) in [
        ("sms", &mut row.alerts_opt_out_at, &mut row.alerts_opt_out_source),
        ("email", &mut row.letters_opt_out_at, &mut row.letters_opt_out_source),
    ] {
        *source = source_of(channel);
        *at = source.is_some().then(|| at.unwrap_or(now));
    }
    let out =
        [(row.alerts_opt_out_at, "sms", row.mobile.clone()), (row.letters_opt_out_at, "email", row.email_key.clone())];
    for (at, channel, text) in out {
        let Some(text) = text else { continue };
        let fingerprint = desk.token_key.fingerprint(channel, &text);
        match at {
            Some(_) => store::contact_person::suppress(session, (fingerprint, channel), "opted_out", now).await?,
            None => store::contact_person::unsuppress(session, (&fingerprint, channel), now).await?,
        }
    }
    Ok(())
}

async fn shared_number(session: &mut Session, row: &Row) -> Result<Vec<(&'static str, String)>> {
    let Some(mobile) = &row.mobile else { return Ok(Vec::new()) };
    let others = store::contact_person::by_mobile(session, mobile).await?;
    let is_shared = others.iter().any(|other| other.id != row.id);
    let warning =
        ("contact_person.shared_number", "Någon annan har samma mobilnummer: de får ett sms tillsammans.".to_owned());
    Ok(if is_shared { vec![warning] } else { Vec::new() })
}

/// A record with the names of its area.
pub(super) fn view(tree: &AreaTree, person: Row) -> PersonView {
    let municipality = tree.municipality_of(&person.area_code).map(|area| area.code.clone()).unwrap_or_default();
    let watch_area = tree.get(&person.area_code).map(|area| area.name.clone()).unwrap_or_default();
    PersonView { person, municipality, watch_area, warnings: Vec::new() }
}

/// A record's fields as text, for checking and comparing them.
#[must_use]
pub fn values_of(row: &Row, tree: &AreaTree) -> Values {
    let mut values = Values::default();
    let municipality = tree.municipality_of(&row.area_code).map(|area| area.name.clone()).unwrap_or_default();
    debug_assert!(municipality.is_empty() || municipality_code(&municipality, tree).is_some());
    for (field, value) in [
        (Field::Name, row.name.clone()),
        (Field::Mobile, row.mobile.clone().unwrap_or_default()),
        (Field::Phone2, row.phone2.clone().unwrap_or_default()),
        (Field::Email, row.email.clone().unwrap_or_default()),
        (Field::Email2, row.email2.clone().unwrap_or_default()),
        (Field::Address, row.address.clone()),
        (Field::Postcode, row.postcode.clone()),
        (Field::Place, row.place.clone()),
        (Field::Municipality, municipality),
        (Field::WatchArea, tree.get(&row.area_code).map(|area| area.name.clone()).unwrap_or_default()),
        (Field::Households, row.households.to_string()),
        (Field::Language, row.language.clone()),
        (Field::Letters, yes_no(row.letters == 1).to_owned()),
        (Field::Alerts, yes_no(row.alerts == 1).to_owned()),
        (Field::Note, row.note.clone()),
        (Field::ProtectedIdentity, yes_no(row.protected == 1).to_owned()),
    ] {
        values[field] = value;
    }
    values
}
