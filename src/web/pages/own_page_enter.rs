//! Owns the way in to an own page: asking for a link, the page behind it, and the way out.
//!
//! Invariants: what is answered to who asks for a link says nothing about the register, in words or in time; a GET uses
//! nothing up, since mail scanners follow links.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use super::form::{Faults, StrangerForm};
use super::frame::show;
use super::own_page_visit::{OwnForm, OwnFrame, Source, let_in, let_out};
use super::visit::Stranger;
use crate::actions::own_page;
use crate::domain::email_address::EmailAddress;
use crate::domain::own_page_token::OWN_PAGE;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::again_when_busy;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/min-sida/lank", post(ask))
        .route("/min-sida/lank/{token}", get(look).post(enter))
        .route("/min-sida/ut", post(leave))
}

#[derive(Template)]
#[template(path = "pages/own/ask.html")]
struct AskPage<'a> {
    own: OwnFrame,
    faults: Faults,
    email: &'a str,
    /// Whether a link was asked for just now.
    was_asked: bool,
    has_mail: bool,
}

/// The page where links are asked for.
///
/// # Errors
/// [`Problem`].
pub fn ask_page(web: &Web, headers: &HeaderMap) -> Result<Response, Problem> {
    let stranger = Stranger::of(web, headers);
    let page = page(web, &stranger, ("", false), Faults::default());
    Ok(stranger.kept_by(web, show(StatusCode::OK, &page)?))
}

fn page<'a>(web: &Web, stranger: &Stranger, (email, was_asked): (&'a str, bool), faults: Faults) -> AskPage<'a> {
    let title = if was_asked { "Titta i din e-post" } else { "Din egen sida" };
    let own = OwnFrame::of_stranger(web, stranger, title).saying(None, !faults.is_empty());
    AskPage { own, faults, email, was_asked, has_mail: !web.desk.config.mail.url.is_empty() }
}

async fn ask(State(web): State<Web>, form: StrangerForm) -> Result<Response, Problem> {
    let email = form.fields.text("email").trim();
    if EmailAddress::parse(email).is_err() {
        let detail = "Skriv en e-postadress, till exempel namn@example.se.";
        let faults = Faults::one("email", "field.invalid", detail);
        return show(StatusCode::UNPROCESSABLE_ENTITY, &page(&web, &form.stranger, (email, false), faults));
    }
    let fingerprint = web.desk.token_key.fingerprint("own page", &email.to_lowercase());
    web.own_page_limits.note_asking(&fingerprint, form.address)?;
    // In the background: how long it takes would tell whether the address is known.
    tokio::spawn(send(web.clone(), email.to_owned()));
    show(StatusCode::OK, &page(&web, &form.stranger, (email, true), Faults::default()))
}

async fn send(web: Web, email: String) {
    let sent: Result<usize, Problem> = again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        let sent = own_page::ask(&web.desk, &mut session, &email).await?;
        session.commit().await?;
        sent
    });
    match sent {
        Ok(0) => {}
        Ok(_) => web.desk.wakeup.ring(),
        Err(problem) => tracing::warn!(code = problem.code(), "a link to an own page could not be sent"),
    }
}

#[derive(Template)]
#[template(path = "pages/own/link.html")]
struct LinkPage {
    own: OwnFrame,
    /// Whose page it opens; `None` for a link that does not work.
    name: Option<String>,
}

async fn look(
    State(web): State<Web>,
    headers: HeaderMap,
    Source(address): Source,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    web.own_page_limits.note_link(address)?;
    let mut session = web.desk.store.read().await?;
    let person = own_page::look(&web.desk, &mut session, &token).await?;
    drop(session);
    let stranger = Stranger::of(&web, &headers);
    let name = person.map(|person| own_page::short_name(&person.name));
    Ok(stranger.kept_by(&web, link_page(&web, &stranger, name)?))
}

fn link_page(web: &Web, stranger: &Stranger, name: Option<String>) -> Result<Response, Problem> {
    let status = if name.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let title = if name.is_some() { "Din egen sida" } else { "Länken fungerar inte längre" };
    show(status, &LinkPage { own: OwnFrame::of_stranger(web, stranger, title), name })
}

async fn enter(State(web): State<Web>, Path(token): Path<String>, form: StrangerForm) -> Result<Response, Problem> {
    web.own_page_limits.note_link(form.address)?;
    let secret = again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        let secret = own_page::use_link(&web.desk, &mut session, &token).await?;
        session.commit().await?;
        secret
    })?;
    let Some(secret) = secret else { return link_page(&web, &form.stranger, None) };
    let mut response = Redirect::to(OWN_PAGE).into_response();
    let_in(&web, &mut response, &secret);
    Ok(response)
}

async fn leave(State(web): State<Web>, form: OwnForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        own_page::end(&web.desk, &mut session, &form.who.visitor).await?;
        session.commit().await?;
    })?;
    let mut response = Redirect::to(OWN_PAGE).into_response();
    let_out(&web, &mut response);
    Ok(response)
}
