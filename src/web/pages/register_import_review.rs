//! Owns the third step of an import: what the file would do, row by row, with an answer to each question; and doing it.
//!
//! Invariant: nothing is stored before somebody has seen this page and pressed its button.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use super::form::{Faults, Fields, SignedForm};
use super::frame::{Frame, show};
use super::import_question::{self, Kind, MOST_QUESTIONS, Question, Told, kinds, questions, told};
use super::menu::Section;
use super::register_import::{Read, file_words, read};
use super::time::number;
use super::visit::SignedIn;
use crate::actions::import::{self, ImportView, RegisterFile};
use crate::actions::import_answer::{self, RowAnswer};
use crate::actions::{ActionError, FieldProblem, import_draft, require};
use crate::domain::operator::Right;
use crate::register_file::export::write_rejects;
use crate::register_file::finding::Action;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{Begun, Repeatable};

/// Rows of a kind that are shown.
const MOST_TOLD: usize = 200;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/register/import/{id}/preview", get(preview))
        .route("/register/import/{id}/store", post(store))
        .route("/register/import/{id}/rejected.csv", get(rejected))
}

/// Rows by what is done with them, in words.
#[derive(Debug)]
pub struct Outcome {
    /// Label and number, in the order in which they are read.
    pub counts: Vec<(&'static str, String)>,
    /// Fields that change of people in the register.
    pub changed: Vec<Told>,
    /// New people something is remarked of.
    pub warned: Vec<Told>,
    /// Rows that cannot be imported.
    pub rejected: Vec<Told>,
    /// Rows that are nobody, or the same as another.
    pub skipped: Vec<Told>,
    /// Contact persons in no row, in words; empty when there are none.
    pub missing: String,
}

impl Outcome {
    /// Of an import, or of what one would do.
    #[must_use]
    pub fn of(view: &ImportView) -> Self {
        let count = |action| i64::try_from(view.count(action)).unwrap_or(i64::MAX);
        let counts = [
            ("Nya", count(Action::New) + count(Action::Warn)),
            (Action::Update.label(), count(Action::Update)),
            (Action::Same.label(), count(Action::Same)),
            (Action::Ask.label(), count(Action::Ask)),
            (Action::Reject.label(), count(Action::Reject)),
            (Action::Skip.label(), count(Action::Skip)),
            (Action::Dup.label(), count(Action::Dup)),
        ];
        let told = |actions: &[Action]| told(&view.items, actions, MOST_TOLD);
        let missing = i64::try_from(view.missing.unwrap_or(0)).unwrap_or(i64::MAX);
        Self {
            counts: counts.map(|(label, n)| (label, number(n))).into_iter().collect(),
            changed: told(&[Action::Update]),
            warned: told(&[Action::Warn]),
            rejected: told(&[Action::Reject]),
            skipped: told(&[Action::Skip, Action::Dup]),
            missing: if missing == 0 { String::new() } else { number(missing) },
        }
    }
}

#[derive(Template)]
#[template(path = "pages/register_import_review.html")]
struct ReviewPage {
    frame: Frame,
    faults: Faults,
    id: String,
    key: String,
    found: String,
    outcome: Outcome,
    kinds: Vec<Kind>,
    questions: Vec<Question>,
    more_questions: usize,
    taken: String,
    is_large: bool,
}

async fn preview(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let found = read(&web, &who, &id).await?;
    if found.survey.is_err() || found.opened.draft.import_id.is_some() {
        return Ok(onward(&id, &found));
    }
    page(&web, (&headers, &who), (&id, &found), (&Fields::default(), &[], &[])).await
}

/// A file that cannot be read yet is read again; one that is imported has a report.
fn onward(id: &str, found: &Read) -> Response {
    match &found.opened.draft.import_id {
        Some(import) => Redirect::to(&format!("/register/imports/{import}")).into_response(),
        None => Redirect::to(&format!("/register/import/{id}")).into_response(),
    }
}

async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    (id, found): (&str, &Read),
    (sent, answers, problems): (&Fields, &[RowAnswer], &[FieldProblem]),
) -> Result<Response, Problem> {
    let Ok(survey) = &found.survey else { return Ok(onward(id, found)) };
    let file = RegisterFile { bytes: &found.opened.bytes, survey };
    let view = import::preview(&web.desk, who.actor(), file, &|_| {}).await?;
    let mut questions = questions(&view.items, sent);
    let faults = Faults::new(import_question::mark(&mut questions, answers, problems));
    let asked = usize::try_from(view.count(Action::Ask)).unwrap_or(usize::MAX);
    let taken = view.count(Action::New) + view.count(Action::Warn) + view.count(Action::Update);
    let frame = Frame::of(web, headers, who, (Section::Register, "Importera: förhandsgranska")).await;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = ReviewPage {
        id: id.to_owned(),
        key: web.desk.id(),
        found: file_words(survey),
        kinds: kinds(&questions, sent),
        more_questions: asked.saturating_sub(MOST_QUESTIONS),
        taken: number(i64::try_from(taken).unwrap_or(i64::MAX)),
        outcome: Outcome::of(&view),
        is_large: file.is_large(),
        questions,
        frame: frame.with_faults(!faults.is_empty()),
        faults,
    };
    show(status, &page)
}

async fn store(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::MoveRegister)?;
    let repeatable = Repeatable::of_form(form.fields.text("key"), &format!("/register/import/{id}/store"))?;
    let sent: Vec<(&str, &str)> = form.fields.iter().filter(|(name, _)| *name != "form_token").collect();
    let turn = repeatable.turn_in_line(&web, actor, serde_json::json!(sent).to_string().as_bytes()).await?;
    if let Some(response) = turn.earlier().await? {
        return Ok(response);
    }
    let found = read(&web, &form.who, &id).await?;
    let (Ok(survey), None) = (&found.survey, &found.opened.draft.import_id) else { return Ok(onward(&id, &found)) };
    let file = RegisterFile { bytes: &found.opened.bytes, survey };
    let unseen =
        if file.is_large() { Some(import::write_unseen(&web.desk, actor, file, &|_| {}).await?) } else { None };
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    let mut answers = Vec::new();
    let made = async {
        let session = work.session();
        let view = match unseen.clone() {
            Some(unseen) => import::publish(&web.desk, session, actor, unseen).await?,
            None => import::store(&web.desk, session, actor, file, &|_| {}).await?,
        };
        let import_id = view.import.as_ref().map(|import| import.id.clone()).unwrap_or_default();
        answers = import_question::answers(&view.items, &form.fields);
        if !answers.is_empty() {
            import_answer::answer(&web.desk, session, actor, &import_id, &answers).await?;
        }
        import_draft::became(session, actor, (&id, &import_id)).await?;
        Ok::<_, ActionError>(import_id)
    }
    .await;
    let problem = match made {
        Ok(import_id) => return work.finish_at(&format!("/register/imports/{import_id}?done=stored")).await,
        Err(error) => error,
    };
    drop(work);
    if let Some((import, _)) = &unseen {
        import::discard(&web.desk, &import.id).await?;
    }
    match problem {
        ActionError::Invalid(problems) => {
            page(&web, (&form.headers, &form.who), (&id, &found), (&form.fields, &answers, &problems)).await
        }
        error => Err(error.into()),
    }
}

async fn rejected(State(web): State<Web>, Path(id): Path<String>, who: SignedIn) -> Result<Response, Problem> {
    let found = read(&web, &who, &id).await?;
    let Ok(survey) = &found.survey else { return Ok(onward(&id, &found)) };
    let file = RegisterFile { bytes: &found.opened.bytes, survey };
    let view = import::preview(&web.desk, who.actor(), file, &|_| {}).await?;
    let mut text = Vec::new();
    write_rejects(&mut text, &view.rejected).map_err(|_| Problem::internal("import.rejects"))?;
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"avvisade-rader.csv\""),
    ];
    Ok((headers, text).into_response())
}
