//! Owns the fourth step of an import: what became of it, the questions that are left, those whom it did not mention, and
//! taking it back.
//!
//! Invariant: what is shown is what was stored, not what was planned.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::actor_names::ActorNames;
use super::form::{Faults, Fields, SignedForm};
use super::frame::{Frame, show};
use super::import_question::{self, Kind, MOST_QUESTIONS, Question, kinds, questions};
use super::menu::Section;
use super::register_import_review::Outcome;
use super::register_words::area_words;
use super::time::number;
use super::visit::SignedIn;
use crate::actions::import::{self, ImportView, ONE_TRANSACTION};
use crate::actions::import_answer::{self, RowAnswer};
use crate::actions::{ActionError, FieldProblem, import_undo, require};
use crate::domain::operator::Right;
use crate::register_file::finding::Action;
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{again_when_busy, look};

/// Persons on a page of those who are missing.
const PAGE: i64 = 100;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/register/imports/{id}", get(open))
        .route("/register/imports/{id}/answers", post(answer))
        .route("/register/imports/{id}/undo", post(undo))
        .route("/register/imports/{id}/missing", get(missing))
}

#[derive(Template)]
#[template(path = "pages/register_import_report.html")]
struct ReportPage {
    frame: Frame,
    faults: Faults,
    id: String,
    at: String,
    by: String,
    rows: String,
    undone: Option<String>,
    outcome: Outcome,
    kinds: Vec<Kind>,
    questions: Vec<Question>,
    more_questions: usize,
    rejects_of: Option<String>,
}

/// What was done just before.
#[derive(Debug, Default, Deserialize)]
struct DoneQuery {
    #[serde(default)]
    done: String,
}

async fn open(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let notice = match query.done.as_str() {
        "stored" => Some("Importen är sparad. Hela importen kan ångras tills något har skickats."),
        "answered" => Some("Svaren är sparade."),
        "undone" => Some("Hela importen är ångrad."),
        _ => None,
    };
    page(&web, (&headers, &who), (&id, notice), (&Fields::default(), &[], &[])).await
}

async fn whole(web: &Web, who: &SignedIn, id: &str) -> Result<ImportView, Problem> {
    let rows = (0, i64::try_from(ONE_TRANSACTION).unwrap_or(i64::MAX));
    Ok(look!(web, |session| import::get(&web.desk, session, who.actor(), id, rows).await?)?.0)
}

async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    (id, notice): (&str, Option<&'static str>),
    (sent, answers, problems): (&Fields, &[RowAnswer], &[FieldProblem]),
) -> Result<Response, Problem> {
    let view = whole(web, who, id).await?;
    let mut session = web.desk.store.read().await?;
    let names = ActorNames::load(&mut session).await?;
    let draft = store::import_draft::of_import(&mut session, id).await?;
    drop(session);
    let Some(import) = view.import.clone() else { return Err(ActionError::NotFound.into()) };
    let frame = Frame::of(web, headers, who, (Section::Register, "Import")).await;
    let is_undone = import.state == "undone";
    let mut asked = if is_undone { Vec::new() } else { questions(&view.items, sent) };
    let faults = Faults::new(import_question::mark(&mut asked, answers, problems));
    let total = usize::try_from(view.count(Action::Ask)).unwrap_or(usize::MAX);
    let has_rejects = view.count(Action::Reject) > 0;
    let own = draft.filter(|draft| has_rejects && draft.created_by == who.actor().id);
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = ReportPage {
        id: id.to_owned(),
        at: frame.wall.text(import.created_at),
        by: names.of(&import.created_by),
        rows: number(import.rows_read),
        undone: import.undone_at.map(|at| frame.wall.text(at)),
        outcome: Outcome::of(&view),
        kinds: kinds(&asked, sent),
        more_questions: if is_undone { 0 } else { total.saturating_sub(MOST_QUESTIONS) },
        questions: asked,
        rejects_of: own.map(|draft| draft.id),
        frame: frame.with_notice(notice).with_faults(!faults.is_empty()),
        faults,
    };
    show(status, &page)
}

async fn answer(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::MoveRegister)?;
    let view = whole(&web, &form.who, &id).await?;
    let answers = import_question::answers(&view.items, &form.fields);
    let problems = again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        match import_answer::answer(&web.desk, &mut session, actor, &id, &answers).await {
            Ok(()) => {
                session.commit().await?;
                Vec::new()
            }
            Err(ActionError::Invalid(problems)) => problems,
            Err(error) => return Err(error.into()),
        }
    })?;
    if problems.is_empty() {
        return Ok(Redirect::to(&format!("/register/imports/{id}?done=answered")).into_response());
    }
    page(&web, (&form.headers, &form.who), (&id, None), (&form.fields, &answers, &problems)).await
}

async fn undo(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        import_undo::undo(&web.desk, &mut session, form.who.actor(), &id).await?;
        session.commit().await?;
    })?;
    Ok(Redirect::to(&format!("/register/imports/{id}?done=undone")).into_response())
}

/// Where the page begins.
#[derive(Debug, Default, Deserialize)]
struct PageQuery {
    #[serde(default)]
    after: String,
}

#[derive(Template)]
#[template(path = "pages/register_import_missing.html")]
struct MissingPage {
    frame: Frame,
    id: String,
    rows: Vec<(String, String, String)>,
    hidden: usize,
    next: Option<String>,
}

async fn missing(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let wanted = (query.after.as_str(), PAGE + 1);
    let (mut persons, tree) = look!(web, |session| {
        let persons = import::missing(&web.desk, session, who.actor(), &id, wanted).await?;
        (persons, store::area::tree(session).await?)
    })?;
    let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let has_more = persons.len() > most;
    persons.truncate(most);
    let next = persons.last().map(|person| person.id.clone()).filter(|_| has_more);
    let before = persons.len();
    persons.retain(|person| person.protected == 0);
    let hidden = before - persons.len();
    let frame = Frame::of(&web, &headers, &who, (Section::Register, "Inte med i filen")).await;
    let row =
        |person: store::contact_person::ContactPerson| (person.id, person.name, area_words(&tree, &person.area_code));
    show(StatusCode::OK, &MissingPage { rows: persons.into_iter().map(row).collect(), hidden, id, next, frame })
}
