//! Owns the lists of the register that are worked off by hand: whom to ring since nothing reaches them, and, for
//! administrators, those with a protected identity.
//!
//! Invariant: the list of protected identities holds no name, number or address.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::administration::{Choosable, areas};
use super::frame::{Frame, show};
use super::menu::Section;
use super::register_words::{PersonRow, Tabs, area_words};
use super::time::number;
use super::visit::SignedIn;
use crate::actions::register;
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::look;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/register/calls", get(calls)).route("/register/protected", get(protected))
}

/// Which area.
#[derive(Debug, Default, Deserialize)]
struct AreaQuery {
    #[serde(default)]
    area: String,
}

/// Those to ring in one area.
#[derive(Debug)]
struct AreaCalls {
    name: String,
    rows: Vec<PersonRow>,
}

#[derive(Template)]
#[template(path = "pages/register_calls.html")]
struct CallsPage {
    frame: Frame,
    tabs: Tabs,
    areas: Vec<Choosable>,
    total: String,
    groups: Vec<AreaCalls>,
}

async fn calls(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<AreaQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let actor = who.actor();
    let (persons, tree) = look!(web, |session| {
        let persons = register::out_of_reach(&web.desk, session, actor, &query.area).await?;
        (persons, store::area::tree(session).await?)
    })?;
    let frame = Frame::of(&web, &headers, &who, (Section::Register, "Att ringa")).await;
    let total = number(i64::try_from(persons.len()).unwrap_or(i64::MAX));
    let mut groups: Vec<AreaCalls> = Vec::new();
    for person in persons {
        let name = area_words(&tree, &person.person.area_code);
        let row = PersonRow::of(&tree, person, frame.now_ms);
        match groups.last_mut() {
            Some(group) if group.name == name => group.rows.push(row),
            _ => groups.push(AreaCalls { name, rows: vec![row] }),
        }
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    let page = CallsPage {
        tabs: Tabs::of(actor, &tree, "calls"),
        areas: areas(&tree, actor, &query.area),
        total,
        groups,
        frame,
    };
    show(StatusCode::OK, &page)
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
