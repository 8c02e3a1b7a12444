//! Owns the lists of the register that are worked off by hand: whom to ring since nothing reaches them, and how it went; and, for
//! administrators, those with a protected identity.
//!
//! Invariants: the list of protected identities holds no name, number or address; a second click on a call notes nothing more.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

use super::actor_names::ActorNames;
use super::administration::{Choosable, areas};
use super::form::{Faults, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::register_words::{PersonRow, Tabs, area_words};
use super::time::{Wall, number};
use super::visit::SignedIn;
use crate::actions::phone_call::{self, Told};
use crate::actions::{ActionError, FieldProblem, register, require};
use crate::domain::operator::Right;
use crate::domain::phone_call::{CallOutcome, LONGEST_NOTE};
use crate::store;
use crate::store::phone_call::PhoneCall;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{Begun, Repeatable, look};

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/register/calls", get(calls))
        .route("/register/calls/{id}", post(note))
        .route("/register/protected", get(protected))
}

/// Which area, and what was done just before.
#[derive(Debug, Default, Deserialize)]
struct AreaQuery {
    #[serde(default)]
    area: String,
    #[serde(default)]
    done: String,
}

/// What can have become of a call, in words.
#[derive(Debug)]
struct OutcomeChoice {
    code: &'static str,
    text: &'static str,
    is_chosen: bool,
}

/// Somebody to ring.
#[derive(Debug)]
struct CallRow {
    person: PersonRow,
    /// How often and when last somebody rang; `None` = nobody has.
    tries: Option<String>,
    /// The last note.
    noted: String,
    /// What the form holds.
    outcomes: Vec<OutcomeChoice>,
    note: String,
    /// Stands in the form, so that the same sent twice is one call.
    key: String,
    /// What is wrong with the outcome and with the note.
    faults: (Option<String>, Option<String>),
}

impl CallRow {
    fn has_faults(&self) -> bool {
        self.faults.0.is_some() || self.faults.1.is_some()
    }
}

/// Those to ring in one area.
#[derive(Debug)]
struct AreaCalls {
    name: String,
    left: String,
    rows: Vec<CallRow>,
}

#[derive(Template)]
#[template(path = "pages/register_calls.html")]
struct CallsPage {
    frame: Frame,
    faults: Faults,
    tabs: Tabs,
    areas: Vec<Choosable>,
    area: String,
    total: String,
    groups: Vec<AreaCalls>,
    longest_note: usize,
}

/// What somebody filled in about a call that something is wrong with.
#[derive(Debug, Default)]
struct Typed {
    id: String,
    outcome: String,
    note: String,
    faults: Vec<FieldProblem>,
}

async fn calls(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<AreaQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let notice = match query.done.as_str() {
        "confirmed" => Some("Sparat: personen är nådd och uppgifterna stämmer."),
        "not_reached" => Some("Sparat: personen är inte nådd och står kvar på listan."),
        _ => None,
    };
    page(&web, (&headers, &who), &query.area, (notice, Typed::default())).await
}

async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    area: &str,
    (notice, typed): (Option<&'static str>, Typed),
) -> Result<Response, Problem> {
    let actor = who.actor();
    let (persons, tree, names) = look!(web, |session| {
        let persons = register::out_of_reach(&web.desk, session, actor, area).await?;
        (persons, store::area::tree(session).await?, ActorNames::load(session).await?)
    })?;
    let frame = Frame::of(web, headers, who, (Section::Register, "Att ringa")).await;
    let frame = frame.with_notice(notice).with_faults(!typed.faults.is_empty());
    let status = if typed.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let total = number(i64::try_from(persons.len()).unwrap_or(i64::MAX));
    let mut groups: Vec<AreaCalls> = Vec::new();
    for (person, calls) in persons {
        let name = area_words(&tree, &person.person.area_code);
        let person = PersonRow::of(&tree, person, frame.now_ms);
        let row = call_row(web, person, (&calls, &names, &frame.wall), &typed);
        match groups.last_mut() {
            Some(group) if group.name == name => group.rows.push(row),
            _ => groups.push(AreaCalls { name, left: String::new(), rows: vec![row] }),
        }
    }
    for group in &mut groups {
        group.left = number(i64::try_from(group.rows.len()).unwrap_or(i64::MAX));
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    let page = CallsPage {
        tabs: Tabs::of(actor, &tree, "calls"),
        areas: areas(&tree, actor, area),
        area: area.to_owned(),
        total,
        groups,
        longest_note: LONGEST_NOTE,
        faults: Faults::new(typed.faults),
        frame,
    };
    show(status, &page)
}

fn call_row(
    web: &Web,
    person: PersonRow,
    (calls, names, wall): (&[PhoneCall], &ActorNames, &Wall),
    typed: &Typed,
) -> CallRow {
    let is_typed = person.id == typed.id;
    let fault = |field: &str| {
        let name = format!("{field}-{}", person.id);
        typed.faults.iter().find(|fault| fault.name == name).map(|fault| fault.detail.clone())
    };
    let choice = |outcome: CallOutcome| OutcomeChoice {
        code: outcome.code(),
        text: outcome_words(outcome),
        is_chosen: is_typed && outcome.code() == typed.outcome,
    };
    CallRow {
        tries: calls.last().map(|last| tries(calls.len(), last, (names, wall))),
        noted: calls.last().map(|last| last.note.clone()).unwrap_or_default(),
        outcomes: CallOutcome::ALL.into_iter().map(choice).collect(),
        note: if is_typed { typed.note.clone() } else { String::new() },
        key: web.desk.id(),
        faults: (fault("outcome"), fault("note")),
        person,
    }
}

/// How often somebody rang, and how it went the last time.
fn tries(count: usize, last: &PhoneCall, (names, wall): (&ActorNames, &Wall)) -> String {
    let times = if count == 1 { "Ringt 1 gång".to_owned() } else { format!("Ringt {count} gånger") };
    let words = CallOutcome::from_code(&last.outcome).map_or("", outcome_words);
    format!("{times}, senast {} av {}: {words}", wall.short(last.called_at), names.of(&last.called_by))
}

/// What became of a call, in words.
#[must_use]
pub fn outcome_words(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Confirmed => "Nådd, uppgifterna stämmer",
        CallOutcome::NewDetails => "Nådd, nya uppgifter",
        CallOutcome::NotReached => "Inte nådd",
        CallOutcome::Ended => "Har slutat",
    }
}

/// Notes how a call went, and leads on to what follows from it.
async fn note(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::ChangeRegister)?;
    let fields = &form.fields;
    let (area, outcome, text) = (fields.text("area"), fields.text("outcome"), fields.text("note"));
    let repeatable = Repeatable::of_form(fields.text("key"), &format!("/register/calls/{id}"))?;
    let body = serde_json::json!([outcome, text]).to_string();
    let turn = repeatable.turn_in_line(&web, actor, body.as_bytes()).await?;
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    match phone_call::note(&web.desk, work.session(), actor, &id, Told { outcome, note: text }).await {
        Ok(outcome) => work.finish_at(&after(&id, outcome, area)).await,
        Err(ActionError::Invalid(problems)) => {
            drop(work);
            let at_person = |problem: FieldProblem| FieldProblem { name: format!("{}-{id}", problem.name), ..problem };
            let faults = problems.into_iter().map(at_person).collect();
            let typed = Typed { outcome: outcome.to_owned(), note: text.to_owned(), faults, id: id.clone() };
            page(&web, (&form.headers, &form.who), area, (None, typed)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Where to go on after a call.
fn after(id: &str, outcome: CallOutcome, area: &str) -> String {
    match outcome {
        CallOutcome::NewDetails => format!("/register/persons/{id}/edit"),
        CallOutcome::Ended => format!("/register/persons/{id}/end"),
        CallOutcome::Confirmed | CallOutcome::NotReached => {
            let query = [("area", area), ("done", outcome.code())];
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            format!("/register/calls?{query}")
        }
    }
}

/// Somebody with a protected identity.
#[derive(Debug)]
struct ProtectedRow {
    id: String,
    area: String,
    changed: String,
    reach: Vec<(&'static str, &'static str)>,
}

#[derive(Template)]
#[template(path = "pages/register_protected.html")]
struct ProtectedPage {
    frame: Frame,
    rows: Vec<ProtectedRow>,
}

async fn protected(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    let (persons, tree) = look!(web, |session| {
        let persons = register::protected(&web.desk, session, who.actor()).await?;
        (persons, store::area::tree(session).await?)
    })?;
    let frame = Frame::of(&web, &headers, &who, (Section::Register, "Skyddade personuppgifter")).await;
    let row = |view: crate::actions::contact_person::PersonView| ProtectedRow {
        area: area_words(&tree, &view.person.area_code),
        changed: frame.wall.short(view.person.updated_at),
        reach: super::register_words::reach(&view.person, frame.now_ms),
        id: view.person.id,
    };
    let rows = persons.into_iter().map(row).collect();
    show(StatusCode::OK, &ProtectedPage { rows, frame })
}
