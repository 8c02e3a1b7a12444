//! Owns the first page of the register: searching contact persons, and how well the areas are covered.
//!
//! Invariant: what is searched for is sent in a form and never stands in an address, since it is a name or a number.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::administration::{Choosable, areas};
use super::form::SignedForm;
use super::frame::{Frame, show};
use super::menu::Section;
use super::register_cover::{CoverRow, Gaps, gaps, municipalities};
use super::register_words::{PersonRow, Tabs, area_words, languages, traits};
use super::time::number;
use super::visit::SignedIn;
use crate::actions::register::{self, Wanted};
use crate::domain::area::AreaTree;
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::look;

/// Persons on a page.
const PAGE: i64 = 50;
/// Characters that are looked for.
const LONGEST: usize = 100;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/register", get(open).post(search))
}

/// Facets, which are no personal data, and where the list begins.
#[derive(Debug, Default, Deserialize)]
struct ListQuery {
    #[serde(default)]
    area: String,
    #[serde(default)]
    who: String,
    #[serde(default)]
    language: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    done: String,
}

/// The persons found.
#[derive(Debug)]
struct FoundList {
    rows: Vec<PersonRow>,
    total: String,
    is_more: bool,
    wanted: Wanted,
    next: Option<String>,
    next_href: String,
    is_first: bool,
}

#[derive(Template)]
#[template(path = "pages/register.html")]
struct RegisterPage {
    frame: Frame,
    tabs: Tabs,
    text: String,
    areas: Vec<Choosable>,
    traits: Vec<Choosable>,
    languages: Vec<Choosable>,
    found: Option<FoundList>,
    is_empty: bool,
    total: CoverRow,
    municipalities: Vec<CoverRow>,
    gaps: Gaps,
}

#[derive(Template)]
#[template(path = "pages/parts/register_found.html")]
struct FoundPart {
    frame: Frame,
    list: FoundList,
}

async fn open(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<ListQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let wanted = Wanted { text: String::new(), area: query.area, trait_code: query.who, language: query.language };
    let notice = match query.done.as_str() {
        "ended" => Some("Uppdraget är avslutat och uppgifterna är raderade. En import tar inte tillbaka personen."),
        "protected" => Some("Sparat. Personen har skyddade personuppgifter och visas bara för administratörer."),
        _ => None,
    };
    page(&web, &headers, &who, (wanted, &query.after, notice)).await
}

async fn search(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let text = |name: &str| form.fields.text(name).to_owned();
    let wanted = Wanted {
        text: form.fields.text("q").trim().chars().take(LONGEST).collect(),
        area: text("area"),
        trait_code: text("who"),
        language: text("language"),
    };
    let after = text("after");
    if form.fields.text("part") != "found" {
        return page(&web, &form.headers, &form.who, (wanted, &after, None)).await;
    }
    let (found, tree) = find(&web, &form.who, &wanted, &after).await?;
    let frame = Frame::of(&web, &form.headers, &form.who, (Section::Register, "Register")).await;
    let list = list(&frame, &tree, (wanted, &after), found);
    show(StatusCode::OK, &FoundPart { list, frame })
}

async fn find(web: &Web, who: &SignedIn, wanted: &Wanted, after: &str) -> Result<(register::Found, AreaTree), Problem> {
    look!(web, |session| {
        let found = register::find(&web.desk, session, who.actor(), wanted, (after, PAGE)).await?;
        (found, store::area::tree(session).await?)
    })
}

async fn page(
    web: &Web,
    headers: &HeaderMap,
    who: &SignedIn,
    (wanted, after, notice): (Wanted, &str, Option<&'static str>),
) -> Result<Response, Problem> {
    let actor = who.actor();
    let mut session = web.desk.store.read().await?;
    let cover = register::cover(&web.desk, &mut session, actor).await?;
    let tree = store::area::tree(&mut session).await?;
    drop(session);
    let found = if wanted == Wanted::default() { None } else { Some(find(web, who, &wanted, after).await?.0) };
    let frame = Frame::of(web, headers, who, (Section::Register, "Register")).await.with_notice(notice);
    let page = RegisterPage {
        tabs: Tabs::of(actor, &tree, "search"),
        text: wanted.text.clone(),
        areas: areas_with(&tree, areas(&tree, actor, &wanted.area), &wanted.area),
        traits: traits(&wanted.trait_code),
        languages: languages(&wanted.language),
        is_empty: cover.is_empty(),
        total: CoverRow::of(&tree, &cover, &actor.area),
        municipalities: municipalities(&tree, &cover, &actor.area),
        gaps: gaps(&tree, &cover, &actor.area),
        found: found.map(|found| list(&frame, &tree, (wanted, after), found)),
        frame,
    };
    show(StatusCode::OK, &page)
}

/// A watch area stands in the list to choose from only while it is chosen: there are too many of them.
fn areas_with(tree: &AreaTree, mut all: Vec<Choosable>, chosen: &str) -> Vec<Choosable> {
    if !chosen.is_empty() && all.iter().all(|area| area.code != chosen) && tree.get(chosen).is_some() {
        all.push(Choosable { code: chosen.to_owned(), text: area_words(tree, chosen), is_chosen: true });
    }
    all
}

fn list(frame: &Frame, tree: &AreaTree, (wanted, after): (Wanted, &str), found: register::Found) -> FoundList {
    let next_href = found.next.as_deref().map_or_else(String::new, |next| {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        let fields =
            BTreeMap::from([("area", &wanted.area), ("who", &wanted.trait_code), ("language", &wanted.language)]);
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            text.append_pair(name, value);
        }
        format!("/register?{}", text.append_pair("after", next).finish())
    });
    FoundList {
        rows: found.persons.into_iter().map(|view| PersonRow::of(tree, view, frame.now_ms)).collect(),
        total: match found.is_more {
            true => format!("Över {}", number(found.total)),
            false => number(found.total),
        },
        is_more: found.is_more,
        wanted,
        next: found.next,
        next_href,
        is_first: after.is_empty(),
    }
}
