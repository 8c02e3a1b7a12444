//! Owns the page of a letter's sheets of paper: how many there are, printing them, and that they have been posted.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use super::form::SignedForm;
use super::frame::{Frame, show};
use super::menu::Section;
use super::time::number;
use super::visit::SignedIn;
use crate::actions::letter_figures;
use crate::actions::{paper, require};
use crate::domain::delivery::{Channel, DeliveryState as S};
use crate::domain::operator::Right;
use crate::web::Web;
use crate::web::api::letter::sheets;
use crate::web::error::Problem;
use crate::web::transact::look;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/letters/{id}/paper", get(page))
        .route("/letters/{id}/print", get(print))
        .route("/letters/{id}/printed", post(printed))
}

#[derive(Template)]
#[template(path = "pages/letter_paper.html")]
struct PaperPage {
    frame: Frame,
    id: String,
    subject: String,
    is_draft: bool,
    waiting: i64,
    to_print: String,
    printed: Option<String>,
    may_print_in: String,
}

async fn page(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    require(who.actor(), Right::SendLetters)?;
    let mut session = web.desk.store.read().await?;
    let figures = letter_figures::get(&web.desk, &mut session, who.actor(), &id).await?;
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Letters, "Brev på papper")).await;
    let waiting = figures.count(Channel::Paper, &[S::Queued]);
    let printed = figures.count(Channel::Paper, &[S::Accepted, S::Unconfirmed]);
    let message = &figures.view.message;
    let page = PaperPage {
        subject: figures.view.letter.subject.clone(),
        is_draft: message.state().is_editable(),
        may_print_in: message
            .sends_at
            .filter(|at| *at > frame.now_ms)
            .map_or_else(String::new, |at| frame.wall.text(at)),
        to_print: number(waiting),
        printed: Some(printed).filter(|n| *n > 0).map(number),
        waiting,
        frame,
        id,
    };
    show(StatusCode::OK, &page)
}

async fn print(State(web): State<Web>, Path(id): Path<String>, who: SignedIn) -> Result<Response, Problem> {
    let actor = who.actor();
    let page = look!(web, |session| paper::print_page(&web.desk, session, actor, &id).await?)?;
    Ok(sheets(page))
}

async fn printed(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    paper::printed(&web.desk, &mut session, form.who.actor(), &id).await?;
    session.commit().await?;
    Ok(Redirect::to(&format!("/letters/{id}/paper")).into_response())
}
