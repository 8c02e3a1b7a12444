//! Owns the answers of a colleague who reviews an alert, and sending without one.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::post;

use super::alert_live;
use super::form::{Faults, SignedForm};
use crate::actions::{ActionError, alert_review};
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/alerts/{id}/approve", post(approve))
        .route("/alerts/{id}/return", post(return_))
        .route("/alerts/{id}/send-unreviewed", post(send_unreviewed))
}

/// Which revision the page showed; 0 is none.
fn revision(form: &SignedForm) -> i64 {
    form.fields.text("revision").parse().unwrap_or(0)
}

async fn approve(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    alert_review::approve(&web.desk, &mut session, form.who.actor(), &id, revision(&form)).await?;
    session.commit().await?;
    web.desk.wakeup.ring();
    Ok(Redirect::to(&format!("/alerts/{id}")).into_response())
}

async fn return_(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    let (actor, reason) = (form.who.actor(), form.fields.text("reason"));
    alert_review::return_(&web.desk, &mut session, actor, (&id, revision(&form)), reason).await?;
    session.commit().await?;
    Ok(Redirect::to(&format!("/alerts/{id}")).into_response())
}

async fn send_unreviewed(
    State(web): State<Web>,
    Path(id): Path<String>,
    form: SignedForm,
) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    let reason = form.fields.text("reason");
    match alert_review::send_unreviewed(&web.desk, &mut session, form.who.actor(), &id, reason).await {
        Ok(_) => {
            session.commit().await?;
            web.desk.wakeup.ring();
            Ok(Redirect::to(&format!("/alerts/{id}")).into_response())
        }
        Err(ActionError::Invalid(problems)) => {
            drop(session);
            alert_live::page(&web, (&form.headers, &form.who), &id, Faults::new(problems)).await
        }
        Err(error) => Err(error.into()),
    }
}
