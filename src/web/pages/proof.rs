//! Owns the page on which somebody who is signed in proves again who they are, before an administrative act.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

use super::form::{Faults, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::sign_in::{checked, too_many};
use super::visit::{SignedIn, local_path};
use crate::actions::passkey;
use crate::actions::sign_in::{self, Attempt};
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/prove", get(ask).post(take))
}

/// Where to go on to.
#[derive(Debug, Default, Deserialize)]
pub(super) struct NextQuery {
    /// A path of ours.
    #[serde(default)]
    pub next: String,
}

#[derive(Template)]
#[template(path = "pages/proof.html")]
struct ProofPage<'a> {
    frame: Frame,
    faults: Faults,
    email: &'a str,
    next: &'a str,
    /// Where somebody proves it who did not sign in here.
    elsewhere: Option<String>,
    has_passkeys: bool,
}

async fn ask(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<NextQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    page(&web, &headers, &who, (&query.next, StatusCode::OK, Faults::default())).await
}

async fn page(
    web: &Web,
    headers: &HeaderMap,
    who: &SignedIn,
    (next, status, faults): (&str, StatusCode, Faults),
) -> Result<Response, Problem> {
    let frame = Frame::of(web, headers, who, (Section::None, "Visa vem du är")).await.with_width("narrow");
    let email = &who.visitor.operator.email;
    let next = local_path(next);
    let target: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let is_elsewhere = who.visitor.session.way == "oidc";
    let page = ProofPage {
        frame: frame.with_faults(!faults.is_empty()),
        faults,
        email,
        next,
        has_passkeys: passkey::is_available(&web.desk.config),
        elsewhere: is_elsewhere.then(|| format!("/sign-in/oidc?again=1&next={target}")),
    };
    show(status, &page)
}

async fn take(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let (fields, who) = (&form.fields, &form.who);
    let next = local_path(fields.text("next"));
    let email = who.visitor.operator.email.as_str();
    let attempt = Attempt { email, password: fields.text("password"), code: fields.text("code") };
    let checked = match checked(&web, (&form.headers, form.address), attempt).await {
        Ok(checked) => checked,
        Err(problem) => {
            let Some(wait) = problem.retry_after() else { return Err(problem) };
            return page(&web, &form.headers, who, (next, StatusCode::TOO_MANY_REQUESTS, too_many(wait))).await;
        }
    };
    let mut session = web.desk.store.begin().await?;
    let is_right = sign_in::prove(&web.desk, &mut session, &who.visitor, (&checked, attempt.code)).await?;
    session.commit().await?;
    if is_right {
        return Ok(Redirect::to(next).into_response());
    }
    let detail = "Lösenordet eller koden stämmer inte. En kod går bara att använda en gång.";
    let faults = Faults::one("password", "session.refused", detail);
    page(&web, &form.headers, who, (next, StatusCode::UNPROCESSABLE_ENTITY, faults)).await
}
