//! Owns the change of shift: the page is locked, and the next person goes on where the one before stood.
//!
//! What was drafted stays where it is, since the page that it was drafted on is gone back to. Invariant: while it is
//! locked nothing is shown of what stood there.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use super::form::{ArrivingForm, Faults, SignedForm};
use super::frame::{Frame, show};
use super::proof::NextQuery;
use super::sign_in::{attempt_of, checked, too_many, wrong};
use super::visit::{self, Arriving, SignedIn, local_path};
use crate::actions::{passkey, session, sign_in};
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/shift", get(ask).post(take)).route("/shift/lock", post(lock))
}

#[derive(Template)]
#[template(path = "pages/shift.html")]
struct ShiftPage<'a> {
    frame: Frame,
    faults: Faults,
    name: &'a str,
    email: &'a str,
    next: &'a str,
    has_passkeys: bool,
}

async fn lock(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    session::lock(&web.desk, &mut session, &form.who.visitor).await?;
    session.commit().await?;
    let next: String = url::form_urlencoded::byte_serialize(local_path(form.fields.text("next")).as_bytes()).collect();
    Ok(Redirect::to(&format!("/shift?next={next}")).into_response())
}

async fn ask(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<NextQuery>,
    Arriving(who): Arriving,
) -> Result<Response, Problem> {
    if who.visitor.session.state == "open" {
        return Ok(Redirect::to(local_path(&query.next)).into_response());
    }
    page(&web, &headers, &who, (&query.next, "", StatusCode::OK, Faults::default()))
}

fn page(
    web: &Web,
    headers: &HeaderMap,
    who: &SignedIn,
    (next, email, status, faults): (&str, &str, StatusCode, Faults),
) -> Result<Response, Problem> {
    let frame = Frame::of_stranger(web, headers, &who.form_token, "Byt operatör").with_faults(!faults.is_empty());
    let name = who.visitor.operator.name.as_str();
    let has_passkeys = passkey::is_available(&web.desk.config);
    show(status, &ShiftPage { frame, faults, name, email, next: local_path(next), has_passkeys })
}

async fn take(State(web): State<Web>, form: ArrivingForm) -> Result<Response, Problem> {
    let (fields, who) = (&form.fields, &form.who);
    let (attempt, next) = (attempt_of(fields), local_path(fields.text("next")));
    if who.visitor.session.state != "locked" {
        return Ok(Redirect::to(next).into_response());
    }
    let again = |status, faults| page(&web, &form.headers, who, (next, attempt.email, status, faults));
    let checked = match checked(&web, (&form.headers, form.address), attempt).await {
        Ok(checked) => checked,
        Err(problem) => {
            let Some(wait) = problem.retry_after() else { return Err(problem) };
            return again(StatusCode::TOO_MANY_REQUESTS, too_many(wait));
        }
    };
    let is_same = attempt.email.trim().eq_ignore_ascii_case(&who.visitor.operator.email);
    let mut session = web.desk.store.begin().await?;
    let mut response = Redirect::to(next).into_response();
    let is_right = if is_same {
        sign_in::prove(&web.desk, &mut session, &who.visitor, (&checked, attempt.code)).await?
    } else {
        let opened = sign_in::take_over(&web.desk, &mut session, &who.visitor, (&checked, attempt.code)).await?;
        if let Some(opened) = &opened {
            visit::sign_in(&web, &mut response, &opened.token);
            visit::remember_browser(&web, &form.headers, &mut response, attempt.email);
        }
        opened.is_some()
    };
    session.commit().await?;
    if is_right { Ok(response) } else { again(StatusCode::UNPROCESSABLE_ENTITY, wrong()) }
}
