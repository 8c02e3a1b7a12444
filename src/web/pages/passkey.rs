//! Owns the pages' part of passkeys: the questions that the script fetches, and the forms that carry the answers.
//!
//! Invariant: without the script nothing of this is shown, and every other way in works.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::post;
use axum::{Json, Router};

use super::form::{ArrivingForm, ProvenForm, SignedForm, StrangerForm};
use super::visit::{self, browser_of, local_path};
use crate::actions::passkey::{self, Question};
use crate::actions::sign_in;
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/sign-in/passkey/question", post(ask_stranger))
        .route("/sign-in/passkey", post(sign_in_with))
        .route("/prove/passkey/question", post(ask_visitor))
        .route("/prove/passkey", post(prove))
        .route("/shift/passkey/question", post(ask_next))
        .route("/shift/passkey", post(take_over))
        .route("/account/passkeys/question", post(ask_new))
        .route("/account/passkeys", post(add))
        .route("/account/passkeys/remove", post(remove))
}

async fn ask_stranger(State(web): State<Web>, form: StrangerForm) -> Result<Json<Question>, Problem> {
    web.sign_in_limits.note_network(form.address)?;
    ask(&web).await
}

async fn ask_visitor(State(web): State<Web>, form: SignedForm) -> Result<Json<Question>, Problem> {
    web.sign_in_limits.note_network(form.address)?;
    ask(&web).await
}

async fn ask_next(State(web): State<Web>, form: ArrivingForm) -> Result<Json<Question>, Problem> {
    web.sign_in_limits.note_network(form.address)?;
    ask(&web).await
}

async fn ask(web: &Web) -> Result<Json<Question>, Problem> {
    let mut session = web.desk.store.begin().await?;
    let question = passkey::ask_any(&web.desk, &mut session).await?;
    session.commit().await?;
    Ok(Json(question))
}

async fn sign_in_with(State(web): State<Web>, form: StrangerForm) -> Result<Response, Problem> {
    let answer = (form.fields.text("handle"), form.fields.text("answer"));
    let mut session = web.desk.store.begin().await?;
    let operator = passkey::identify(&web.desk, &mut session, answer).await?;
    let opened = match &operator {
        Some(operator) => Some(passkey::enter(&web.desk, &mut session, operator, &browser_of(&form.headers)).await?),
        None => None,
    };
    session.commit().await?;
    let opened = opened.ok_or_else(refused)?;
    let mut response = Redirect::to(local_path(form.fields.text("next"))).into_response();
    visit::sign_in(&web, &mut response, &opened.token);
    Ok(response)
}

async fn prove(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let answer = (form.fields.text("handle"), form.fields.text("answer"));
    let mut session = web.desk.store.begin().await?;
    let operator = passkey::identify(&web.desk, &mut session, answer).await?;
    let is_right = match &operator {
        Some(operator) => passkey::prove(&web.desk, &mut session, &form.who.visitor, operator).await?,
        None => false,
    };
    session.commit().await?;
    if is_right { Ok(Redirect::to(local_path(form.fields.text("next"))).into_response()) } else { Err(refused()) }
}

async fn take_over(State(web): State<Web>, form: ArrivingForm) -> Result<Response, Problem> {
    let answer = (form.fields.text("handle"), form.fields.text("answer"));
    let visitor = &form.who.visitor;
    if visitor.session.state != "locked" {
        return Err(refused());
    }
    let mut response = Redirect::to(local_path(form.fields.text("next"))).into_response();
    let mut session = web.desk.store.begin().await?;
    let operator = passkey::identify(&web.desk, &mut session, answer).await?;
    if let Some(operator) = &operator
        && !passkey::prove(&web.desk, &mut session, visitor, operator).await?
    {
        let opened = passkey::enter(&web.desk, &mut session, operator, &visitor.session.browser).await?;
        sign_in::hand_over(&web.desk, &mut session, visitor, &opened).await?;
        visit::sign_in(&web, &mut response, &opened.token);
    }
    session.commit().await?;
    if operator.is_some() { Ok(response) } else { Err(refused()) }
}

async fn ask_new(State(web): State<Web>, form: ProvenForm) -> Result<Json<Question>, Problem> {
    let mut session = web.desk.store.begin().await?;
    let question = passkey::ask_new(&web.desk, &mut session, &form.who.visitor).await?;
    session.commit().await?;
    Ok(Json(question))
}

async fn add(State(web): State<Web>, form: ProvenForm) -> Result<Response, Problem> {
    let text = |name: &str| form.fields.text(name);
    let answer = (text("name"), text("handle"), text("answer"));
    let mut session = web.desk.store.begin().await?;
    passkey::add(&web.desk, &mut session, &form.who.visitor, answer).await?;
    session.commit().await?;
    Ok(Redirect::to("/account?done=passkey").into_response())
}

async fn remove(State(web): State<Web>, form: ProvenForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    passkey::remove(&web.desk, &mut session, &form.who.visitor, form.fields.text("id")).await?;
    session.commit().await?;
    Ok(Redirect::to("/account?done=passkey-removed").into_response())
}

fn refused() -> Problem {
    let detail = "Nyckeln godtogs inte. Försök igen, eller logga in med lösenord och kod.";
    Problem::new(StatusCode::FORBIDDEN, "passkey.refused", detail)
}
