//! Owns the pages about those who sign in: who they are, adding one, another role or area, a new link, shutting out.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::administration::{Choosable, area_name, areas, roles};
use super::form::{Faults, ProvenForm};
use super::frame::{Frame, role_name, show};
use super::menu::Section;
use super::visit::{Proven, SignedIn};
use crate::actions::operator::{self, Invited, NewOperator};
use crate::actions::{ActionError, require};
use crate::domain::operator::{Right, Role};
use crate::store;
use crate::store::operator::Operator;
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/admin/operators", get(list))
        .route("/admin/operators/new", get(ask).post(add))
        .route("/admin/operators/{id}", get(look))
        .route("/admin/operators/{id}/change", post(change))
        .route("/admin/operators/{id}/reset", post(reset))
        .route("/admin/operators/{id}/disable", post(disable))
        .route("/admin/operators/{id}/enable", post(enable))
}

/// An operator in the list.
#[derive(Debug)]
struct OperatorRow {
    id: String,
    name: String,
    email: String,
    role: String,
    area: String,
    signed_in: String,
    is_disabled: bool,
}

#[derive(Template)]
#[template(path = "pages/operators.html")]
struct OperatorsPage {
    frame: Frame,
    rows: Vec<OperatorRow>,
}

async fn list(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let operators = operator::list(&mut session, who.actor()).await?;
    let tree = store::area::tree(&mut session).await?;
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Administration, "Handläggare")).await;
    let row = |one: Operator| OperatorRow {
        role: role_of(&one),
        area: area_name(&tree, &one.area_code),
        signed_in: one.last_signed_in_at.map_or_else(|| "Aldrig".to_owned(), |at| frame.wall.short(at)),
        is_disabled: one.disabled_at.is_some(),
        id: one.id,
        name: one.name,
        email: one.email,
    };
    let rows = operators.into_iter().map(row).collect();
    show(StatusCode::OK, &OperatorsPage { rows, frame })
}

fn role_of(operator: &Operator) -> String {
    Role::from_code(&operator.role).map_or_else(|| operator.role.clone(), |role| role_name(role).to_owned())
}

#[derive(Template)]
#[template(path = "pages/operator_new.html")]
struct NewOperatorPage<'a> {
    frame: Frame,
    faults: Faults,
    name: &'a str,
    email: &'a str,
    roles: Vec<Choosable>,
    areas: Vec<Choosable>,
}

async fn ask(State(web): State<Web>, headers: HeaderMap, Proven(who): Proven) -> Result<Response, Problem> {
    let new = NewOperator { role: Role::Operator.code().to_owned(), ..NewOperator::default() };
    new_page(&web, &headers, &who, (&new, Faults::default())).await
}

async fn new_page(
    web: &Web,
    headers: &HeaderMap,
    who: &SignedIn,
    (new, faults): (&NewOperator, Faults),
) -> Result<Response, Problem> {
    require(who.actor(), Right::Administer)?;
    let mut session = web.desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    drop(session);
    let frame = Frame::of(web, headers, who, (Section::Administration, "Lägg till handläggare")).await;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = NewOperatorPage {
        frame: frame.with_width("narrow").with_faults(!faults.is_empty()),
        faults,
        name: &new.name,
        email: &new.email,
        roles: roles(&new.role),
        areas: areas(&tree, who.actor(), &new.area),
    };
    show(status, &page)
}

#[derive(Template)]
#[template(path = "pages/operator_link.html")]
struct OperatorLinkPage<'a> {
    frame: Frame,
    name: &'a str,
    link: &'a str,
}

async fn add(State(web): State<Web>, form: ProvenForm) -> Result<Response, Problem> {
    let text = |name: &str| form.fields.text(name).to_owned();
    let new = NewOperator { name: text("name"), email: text("email"), role: text("role"), area: text("area") };
    let mut session = web.desk.store.begin().await?;
    let invited = match operator::add(&web.desk, &mut session, form.who.actor(), &new).await {
        Ok(invited) => invited,
        Err(ActionError::Invalid(faults)) => {
            drop(session);
            return new_page(&web, &form.headers, &form.who, (&new, Faults::new(faults))).await;
        }
        Err(ActionError::Conflict { code, detail }) => {
            drop(session);
            let faults = Faults::one("email", code, &detail);
            return new_page(&web, &form.headers, &form.who, (&new, faults)).await;
        }
        Err(error) => return Err(error.into()),
    };
    session.commit().await?;
    link_page(&web, &form, &invited).await
}

/// The link is shown once: it is the answer to the form, and not kept.
async fn link_page(web: &Web, form: &ProvenForm, invited: &Invited) -> Result<Response, Problem> {
    let frame = Frame::of(web, &form.headers, &form.who, (Section::Administration, "Inloggningslänk")).await;
    let page =
        OperatorLinkPage { frame: frame.with_width("narrow"), name: &invited.operator.name, link: &invited.link };
    show(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "pages/operator.html")]
struct OperatorPage {
    frame: Frame,
    id: String,
    name: String,
    email: String,
    role: String,
    area: String,
    created: String,
    signed_in: String,
    disabled: Option<String>,
    sessions: usize,
    has_password: bool,
    roles: Vec<Choosable>,
    areas: Vec<Choosable>,
}

/// What was done just before.
#[derive(Debug, Default, Deserialize)]
struct DoneQuery {
    #[serde(default)]
    done: String,
}

async fn look(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
    Proven(who): Proven,
) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let one = operator::get(&mut session, who.actor(), &id).await?;
    let tree = store::area::tree(&mut session).await?;
    let sessions = store::sign_in_session::of_operator(&mut session, &one.id).await?.len();
    let credential = store::credential::get(&mut session, &one.id).await?;
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Administration, &one.name)).await;
    let frame = frame.with_notice(match query.done.as_str() {
        "changed" => Some("Ändringen är sparad och gäller redan."),
        "disabled" => Some("Handläggaren är avstängd och utloggad överallt."),
        _ => None,
    });
    let page = OperatorPage {
        role: role_of(&one),
        area: area_name(&tree, &one.area_code),
        created: frame.wall.short(one.created_at),
        signed_in: one.last_signed_in_at.map_or_else(|| "Aldrig".to_owned(), |at| frame.wall.short(at)),
        disabled: one.disabled_at.map(|at| frame.wall.text(at)),
        sessions,
        has_password: credential.is_some_and(|credential| credential.confirmed_at.is_some()),
        roles: roles(&one.role),
        areas: areas(&tree, who.actor(), &one.area_code),
        id: one.id,
        name: one.name,
        email: one.email,
        frame,
    };
    show(StatusCode::OK, &page)
}

async fn change(State(web): State<Web>, Path(id): Path<String>, form: ProvenForm) -> Result<Response, Problem> {
    let to = (id.as_str(), form.fields.text("role"), form.fields.text("area"));
    let mut session = web.desk.store.begin().await?;
    operator::change(&web.desk, &mut session, form.who.actor(), to).await?;
    session.commit().await?;
    Ok(Redirect::to(&format!("/admin/operators/{id}?done=changed")).into_response())
}

async fn reset(State(web): State<Web>, Path(id): Path<String>, form: ProvenForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    let invited = operator::reset(&web.desk, &mut session, form.who.actor(), &id).await?;
    session.commit().await?;
    link_page(&web, &form, &invited).await
}

async fn disable(State(web): State<Web>, Path(id): Path<String>, form: ProvenForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    operator::disable(&web.desk, &mut session, form.who.actor(), &id).await?;
    session.commit().await?;
    Ok(Redirect::to(&format!("/admin/operators/{id}?done=disabled")).into_response())
}

async fn enable(State(web): State<Web>, Path(id): Path<String>, form: ProvenForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    let invited = operator::enable(&web.desk, &mut session, form.who.actor(), &id).await?;
    session.commit().await?;
    link_page(&web, &form, &invited).await
}
