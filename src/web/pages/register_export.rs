//! Owns taking the register out as a file: which columns, and why.
//!
//! Invariant: nobody takes it out without a reason, and without having proved lately who they are.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::administration::Choosable;
use super::form::{Faults, ProvenForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::register_words::{Tabs, capitalised};
use super::visit::{Proven, SignedIn};
use crate::actions::export::{self, ExportError, Wish};
use crate::actions::{ActionError, FieldProblem, require};
use crate::domain::contact_person::Field;
use crate::domain::operator::Right;
use crate::register_file::export::COLUMNS;
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::again_when_busy;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/register/export", get(ask).post(write))
}

#[derive(Template)]
#[template(path = "pages/register_export.html")]
struct ExportPage {
    frame: Frame,
    tabs: Tabs,
    faults: Faults,
    columns: Vec<Choosable>,
    reason: String,
    with_protected: bool,
}

async fn ask(State(web): State<Web>, headers: HeaderMap, Proven(who): Proven) -> Result<Response, Problem> {
    // What goes out is as little as the task needs: notes and second addresses have to be asked for.
    let left_out = [Field::Note, Field::Phone2, Field::Email2, Field::ProtectedIdentity];
    let columns = COLUMNS.into_iter().filter(|field| !left_out.contains(field)).collect();
    page(&web, (&headers, &who), Wish { columns, ..Wish::default() }, Faults::default()).await
}

async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    wish: Wish,
    faults: Faults,
) -> Result<Response, Problem> {
    require(who.actor(), Right::MoveRegister)?;
    let mut session = web.desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    drop(session);
    let tabs = Tabs::of(who.actor(), &tree, "export");
    if !tabs.may_move {
        return Err(ActionError::Forbidden.into());
    }
    let frame = Frame::of(web, headers, who, (Section::Register, "Exportera")).await;
    let choosable = |field: Field| Choosable {
        code: field.name().to_owned(),
        text: capitalised(field.label()),
        is_chosen: wish.columns.contains(&field),
    };
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = ExportPage {
        tabs,
        columns: COLUMNS.map(choosable).into_iter().collect(),
        reason: wish.reason,
        with_protected: wish.with_protected,
        frame: frame.with_faults(!faults.is_empty()),
        faults,
    };
    show(status, &page)
}

async fn write(State(web): State<Web>, form: ProvenForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::MoveRegister)?;
    let chosen = form.fields.all("columns");
    let wish = Wish {
        columns: COLUMNS.into_iter().filter(|field| chosen.iter().any(|name| name == field.name())).collect(),
        reason: form.fields.text("reason").to_owned(),
        with_protected: form.fields.has("with_protected"),
    };
    let mut problems: Vec<FieldProblem> = Vec::new();
    let file = again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        let mut file = Vec::new();
        match export::write_chosen(&web.desk, &mut session, actor, &mut file, &wish).await {
            Ok(_) => session.commit().await?,
            Err(ExportError::Action(ActionError::Invalid(found))) => problems = found,
            Err(ExportError::Action(error)) => return Err(error.into()),
            Err(error @ ExportError::Write(_)) => return Err(Problem::internal(error.code())),
        }
        file
    })?;
    if !problems.is_empty() {
        return page(&web, (&form.headers, &form.who), wish, Faults::new(problems)).await;
    }
    let headers =
        [(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"kontaktombud.csv\"")];
    Ok((headers, file).into_response())
}
