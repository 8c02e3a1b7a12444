//! Owns the pages where administrators keep situations: the patterns that operators fill in.
//!
//! It reads no pattern itself (`domain::situation`). Invariant: what is changed is the version that stood on the page.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use super::form::{Faults, Fields, ProvenForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::visit::{Proven, SignedIn};
use crate::actions::situation::{self, NewSituation};
use crate::actions::{ActionError, require};
use crate::domain::operator::Right;
use crate::domain::situation::Pattern;
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/admin/situations", get(list))
        .route("/admin/situations/new", get(ask).post(add))
        .route("/admin/situations/{id}", get(look).post(change))
        .route("/admin/situations/{id}/retire", post(retire))
}

/// A situation in the list.
#[derive(Debug)]
struct SituationRow {
    id: String,
    name: String,
    asks: bool,
    minutes: i64,
    slots: String,
    version: i64,
}

#[derive(Template)]
#[template(path = "pages/situations.html")]
struct SituationsPage {
    frame: Frame,
    rows: Vec<SituationRow>,
}

async fn list(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    require(who.actor(), Right::Administer)?;
    let mut session = web.desk.store.read().await?;
    let situations = situation::list(&mut session, who.actor()).await?;
    drop(session);
    let slots = |pattern: &str| {
        let pattern = Pattern::parse(pattern).ok();
        let labels = pattern.iter().flat_map(|pattern| pattern.slots()).map(|slot| slot.label.as_str());
        labels.collect::<Vec<_>>().join(" · ")
    };
    let rows = situations
        .into_iter()
        .map(|one| SituationRow {
            slots: slots(&one.pattern),
            asks: one.kind == "observation",
            id: one.id,
            name: one.name,
            minutes: one.minutes,
            version: one.version,
        })
        .collect();
    let frame = Frame::of(&web, &headers, &who, (Section::Administration, "Mallar")).await;
    show(StatusCode::OK, &SituationsPage { rows, frame })
}

#[derive(Template)]
#[template(path = "pages/situation.html")]
struct SituationPage {
    frame: Frame,
    faults: Faults,
    /// Id and version of the one that is changed.
    changes: Option<(String, i64)>,
    form: NewSituation,
}

/// What the page of a new one, or of one that is changed, shows.
type Shown = (Option<(String, i64)>, NewSituation, Faults);

async fn ask(State(web): State<Web>, headers: HeaderMap, Proven(who): Proven) -> Result<Response, Problem> {
    let form = NewSituation { kind: "observation".to_owned(), minutes: "240".to_owned(), ..NewSituation::default() };
    page(&web, (&headers, &who), (None, form, Faults::default())).await
}

async fn look(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Proven(who): Proven,
) -> Result<Response, Problem> {
    require(who.actor(), Right::Administer)?;
    let mut session = web.desk.store.read().await?;
    let one = situation::get(&mut session, who.actor(), &id).await?;
    drop(session);
    let form = NewSituation { name: one.name, kind: one.kind, minutes: one.minutes.to_string(), pattern: one.pattern };
    page(&web, (&headers, &who), (Some((one.id, one.version)), form, Faults::default())).await
}

async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    (changes, form, faults): Shown,
) -> Result<Response, Problem> {
    require(who.actor(), Right::Administer)?;
    let title = if changes.is_some() { "Ändra mall" } else { "Ny mall" };
    let frame = Frame::of(web, headers, who, (Section::Administration, title)).await;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = frame.with_width("narrow").with_faults(!faults.is_empty());
    show(status, &SituationPage { frame, faults, changes, form })
}

fn typed(fields: &Fields) -> NewSituation {
    let text = |name: &str| fields.text(name).to_owned();
    NewSituation { name: text("name"), kind: text("kind"), minutes: text("minutes"), pattern: text("pattern") }
}

async fn add(State(web): State<Web>, form: ProvenForm) -> Result<Response, Problem> {
    let new = typed(&form.fields);
    let mut session = web.desk.store.begin().await?;
    match situation::add(&web.desk, &mut session, form.who.actor(), &new).await {
        Ok(_) => session.commit().await?,
        Err(ActionError::Invalid(faults)) => {
            drop(session);
            return page(&web, (&form.headers, &form.who), (None, new, Faults::new(faults))).await;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Redirect::to("/admin/situations").into_response())
}

async fn change(State(web): State<Web>, Path(id): Path<String>, form: ProvenForm) -> Result<Response, Problem> {
    let new = typed(&form.fields);
    let version = version_of(&form.fields);
    let mut session = web.desk.store.begin().await?;
    match situation::revise(&web.desk, &mut session, form.who.actor(), (&id, version), &new).await {
        Ok(_) => session.commit().await?,
        Err(ActionError::Invalid(faults)) => {
            drop(session);
            let shown = (Some((id, version)), new, Faults::new(faults));
            return page(&web, (&form.headers, &form.who), shown).await;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Redirect::to("/admin/situations").into_response())
}

async fn retire(State(web): State<Web>, Path(id): Path<String>, form: ProvenForm) -> Result<Response, Problem> {
    let version = version_of(&form.fields);
    let mut session = web.desk.store.begin().await?;
    situation::retire(&web.desk, &mut session, form.who.actor(), (&id, version)).await?;
    session.commit().await?;
    Ok(Redirect::to("/admin/situations").into_response())
}

/// The version that stood on the page; 0 is none.
fn version_of(fields: &Fields) -> i64 {
    fields.text("version").parse().unwrap_or(0)
}
