//! Owns the pages about API keys: which there are, making one, revoking one.
//!
//! Invariant: a key is shown once, as the answer to the form that made it.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

use super::administration::{Choosable, area_name, areas, roles};
use super::form::{Faults, ProvenForm};
use super::frame::{Frame, role_name, show};
use super::menu::Section;
use super::visit::{Proven, SignedIn};
use crate::actions::{ActionError, key, require};
use crate::domain::operator::{Right, Role};
use crate::store;
use crate::store::api_key::ApiKey;
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/admin/keys", get(list))
        .route("/admin/keys/new", get(ask).post(add))
        .route("/admin/keys/{id}/revoke", get(ask_revoke).post(revoke))
}

/// A key in the list.
#[derive(Debug)]
struct KeyRow {
    id: String,
    name: String,
    role: String,
    area: String,
    created: String,
    used: String,
    revoked: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/keys.html")]
struct KeysPage {
    frame: Frame,
    rows: Vec<KeyRow>,
}

async fn list(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let keys = key::list(&mut session, who.actor()).await?;
    let tree = store::area::tree(&mut session).await?;
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Administration, "API-nycklar")).await;
    let row = |one: ApiKey| KeyRow {
        role: Role::from_code(&one.role).map_or_else(|| one.role.clone(), |role| role_name(role).to_owned()),
        area: area_name(&tree, &one.area_code),
        created: frame.wall.short(one.created_at),
        used: one.last_used_at.map_or_else(|| "Aldrig".to_owned(), |at| frame.wall.short(at)),
        revoked: one.revoked_at.map(|at| frame.wall.short(at)),
        id: one.id,
        name: one.name,
    };
    let (mut rows, revoked): (Vec<_>, Vec<_>) = keys.into_iter().map(row).partition(|row| row.revoked.is_none());
    rows.extend(revoked);
    show(StatusCode::OK, &KeysPage { rows, frame })
}

#[derive(Template)]
#[template(path = "pages/key_new.html")]
struct NewKeyPage<'a> {
    frame: Frame,
    faults: Faults,
    name: &'a str,
    roles: Vec<Choosable>,
    areas: Vec<Choosable>,
}

async fn ask(State(web): State<Web>, headers: HeaderMap, Proven(who): Proven) -> Result<Response, Problem> {
    new_page(&web, &headers, &who, (("", Role::Operator.code(), ""), Faults::default())).await
}

async fn new_page(
    web: &Web,
    headers: &HeaderMap,
    who: &SignedIn,
    ((name, role, area), faults): ((&str, &str, &str), Faults),
) -> Result<Response, Problem> {
    require(who.actor(), Right::Administer)?;
    let mut session = web.desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    drop(session);
    let frame = Frame::of(web, headers, who, (Section::Administration, "Skapa API-nyckel")).await;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = NewKeyPage {
        frame: frame.with_width("narrow").with_faults(!faults.is_empty()),
        faults,
        name,
        roles: roles(role),
        areas: areas(&tree, who.actor(), area),
    };
    show(status, &page)
}

#[derive(Template)]
#[template(path = "pages/key_made.html")]
struct KeyMadePage<'a> {
    frame: Frame,
    name: &'a str,
    secret: &'a str,
}

async fn add(State(web): State<Web>, form: ProvenForm) -> Result<Response, Problem> {
    let fields = &form.fields;
    let wanted = (fields.text("name"), fields.text("role"), fields.text("area"));
    let mut session = web.desk.store.begin().await?;
    let made = match key::add(&web.desk, &mut session, form.who.actor(), wanted).await {
        Ok(made) => made,
        Err(ActionError::Invalid(faults)) => {
            drop(session);
            return new_page(&web, &form.headers, &form.who, (wanted, Faults::new(faults))).await;
        }
        Err(error) => return Err(error.into()),
    };
    session.commit().await?;
    let frame = Frame::of(&web, &form.headers, &form.who, (Section::Administration, "Ny API-nyckel")).await;
    let page = KeyMadePage { frame: frame.with_width("narrow"), name: &made.key.name, secret: &made.secret };
    show(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "pages/key_revoke.html")]
struct RevokePage {
    frame: Frame,
    id: String,
    name: String,
    used: Option<String>,
}

async fn ask_revoke(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Proven(who): Proven,
) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let keys = key::list(&mut session, who.actor()).await?;
    drop(session);
    let found = keys.into_iter().find(|key| key.id == id && key.revoked_at.is_none()).ok_or(ActionError::NotFound)?;
    let frame = Frame::of(&web, &headers, &who, (Section::Administration, "Spärra API-nyckel")).await;
    let used = found.last_used_at.map(|at| frame.wall.text(at));
    show(StatusCode::OK, &RevokePage { frame: frame.with_width("narrow"), id, name: found.name, used })
}

async fn revoke(State(web): State<Web>, Path(id): Path<String>, form: ProvenForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    key::revoke(&web.desk, &mut session, form.who.actor(), &id).await?;
    session.commit().await?;
    Ok(Redirect::to("/admin/keys").into_response())
}
