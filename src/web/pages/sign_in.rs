//! Owns the ways in and out: the one-time link, e-mail with password and code, signing out.
//!
//! It checks nothing itself; `actions::sign_in` does. Invariants: a GET uses nothing up; whatever was wrong is answered in
//! the same words.

use std::net::IpAddr;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::form::{ArrivingForm, Faults, Fields, StrangerForm};
use super::frame::{Frame, show};
use super::identity;
use super::visit::{self, SignedIn, Stranger, browser_of, local_path, vouched_for};
use crate::actions::passkey;
use crate::actions::session::{self, Opened};
use crate::actions::sign_in::{self, Attempt, Checked};
use crate::actions::sign_in_elsewhere::with_proxy;
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/sign-in", get(ask).post(check))
        .route("/sign-in/{token}", get(look_at_link).post(use_link))
        .route("/sign-out", post(sign_out))
        .route("/session/keep", get(keep))
}

#[derive(Template)]
#[template(path = "pages/sign_in.html")]
struct SignInPage<'a> {
    frame: Frame,
    faults: Faults,
    email: &'a str,
    next: &'a str,
    ways: Ways,
    notice: &'a str,
}

/// The ways in that there are.
#[derive(Debug)]
struct Ways {
    has_passwords: bool,
    has_passkeys: bool,
    /// Where the identity provider is asked, and what the button says.
    elsewhere: Option<(String, String)>,
    /// Whether a proxy in front lets people in.
    has_proxy: bool,
}

impl Ways {
    fn of(web: &Web, next: &str) -> Self {
        let config = &web.desk.config.sign_in;
        let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let elsewhere = web.identity.is_some();
        Self {
            has_passwords: config.passwords,
            has_passkeys: passkey::is_available(&web.desk.config),
            elsewhere: elsewhere.then(|| (format!("/sign-in/oidc?next={next}"), config.oidc_name.clone())),
            has_proxy: !config.proxy_header.is_empty(),
        }
    }
}

/// What the page of sign-in may be asked with.
#[derive(Debug, Default, Deserialize)]
struct AskQuery {
    #[serde(default)]
    next: String,
    #[serde(default)]
    done: String,
}

async fn ask(State(web): State<Web>, parts: Parts, Query(query): Query<AskQuery>) -> Result<Response, Problem> {
    let (headers, next) = (&parts.headers, local_path(&query.next));
    let here = visit::signed_in(&web, &parts).await?;
    if here.is_some_and(|who| who.visitor.session.state == "open") {
        return Ok(Redirect::to(next).into_response());
    }
    let is_leaving = query.done == "signed-out";
    if let Some(email) = vouched_for(&web, &parts).filter(|_| !is_leaving) {
        return enter_by_proxy(&web, headers, (&email, next)).await;
    }
    let stranger = Stranger::of(&web, headers);
    let page = SignInPage {
        frame: Frame::of_stranger(&web, headers, &stranger.form_token(), "Logga in"),
        faults: Faults::default(),
        email: "",
        next,
        ways: Ways::of(&web, next),
        notice: match query.done.as_str() {
            "signed-out" => "Du är utloggad.",
            _ if next != "/" => "Logga in för att komma till sidan.",
            _ => "",
        },
    };
    Ok(stranger.kept_by(&web, show(StatusCode::OK, &page)?))
}

/// Lets in whom a proxy in front vouches for.
async fn enter_by_proxy(web: &Web, headers: &HeaderMap, (email, next): (&str, &str)) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    let opened = with_proxy(&web.desk, &mut session, email, &browser_of(headers)).await?;
    session.commit().await?;
    let opened = opened.ok_or_else(identity::unknown)?;
    let mut response = Redirect::to(next).into_response();
    visit::sign_in(web, &mut response, &opened.token);
    Ok(response)
}

async fn check(State(web): State<Web>, form: StrangerForm) -> Result<Response, Problem> {
    let fields = &form.fields;
    let attempt = attempt_of(fields);
    let next = local_path(fields.text("next"));
    let (status, faults, wait) = match try_to_sign_in(&web, &form, attempt).await {
        Ok(Some(opened)) => {
            let mut response = Redirect::to(next).into_response();
            visit::sign_in(&web, &mut response, &opened.token);
            visit::remember_browser(&web, &form.headers, &mut response, attempt.email);
            return Ok(response);
        }
        Ok(None) => (StatusCode::UNPROCESSABLE_ENTITY, wrong(), None),
        Err(problem) => {
            let Some(wait) = problem.retry_after() else { return Err(problem) };
            (StatusCode::TOO_MANY_REQUESTS, too_many(wait), Some(wait))
        }
    };
    let page = SignInPage {
        frame: Frame::of_stranger(&web, &form.headers, &form.stranger.form_token(), "Logga in").with_faults(true),
        faults,
        email: attempt.email,
        next,
        ways: Ways::of(&web, next),
        notice: "",
    };
    let mut response = show(status, &page)?;
    if let Some(wait) = wait {
        response.headers_mut().insert(RETRY_AFTER, wait.into());
    }
    Ok(response)
}

async fn try_to_sign_in(web: &Web, form: &StrangerForm, attempt: Attempt<'_>) -> Result<Option<Opened>, Problem> {
    let checked = checked(web, (&form.headers, form.address), attempt).await?;
    let browser = browser_of(&form.headers);
    let mut session = web.desk.store.begin().await?;
    let opened = sign_in::with_password(&web.desk, &mut session, &checked, (attempt.code, &browser)).await?;
    session.commit().await?;
    Ok(opened)
}

/// What a form says that somebody typed.
pub(super) fn attempt_of(fields: &Fields) -> Attempt<'_> {
    Attempt { email: fields.text("email"), password: fields.text("password"), code: fields.text("code") }
}

/// Checks a password at the pace that tries are allowed.
pub(super) async fn checked(
    web: &Web,
    (headers, address): (&HeaderMap, IpAddr),
    attempt: Attempt<'_>,
) -> Result<Checked, Problem> {
    let account = web.desk.token_key.fingerprint("account", &attempt.email.trim().to_lowercase());
    let known = visit::known_browser(web, headers, attempt.email);
    web.sign_in_limits.note_try(&account, address, known.as_deref())?;
    let _turn = web.sign_in_limits.turn_to_hash().await;
    Ok(sign_in::check_password(&web.desk, attempt).await?)
}

/// What is said to whoever tries too often.
pub(super) fn too_many(seconds: u64) -> Faults {
    let detail = format!("Det har blivit för många försök. Vänta {seconds} s och försök igen.");
    Faults::one("email", "session.too_many", &detail)
}

/// One answer for everything that can be wrong.
pub(super) fn wrong() -> Faults {
    let detail = "Uppgifterna stämmer inte. Kontrollera e-post och lösenord, och skriv koden som appen visar just nu. \
                  En kod går bara att använda en gång.";
    Faults::one("email", "session.refused", detail)
}

#[derive(Template)]
#[template(path = "pages/link.html")]
struct LinkPage<'a> {
    frame: Frame,
    name: Option<&'a str>,
    enters: bool,
}

async fn look_at_link(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let view = sign_in::look(&web.desk, &mut session, &token).await?;
    drop(session);
    let stranger = Stranger::of(&web, &headers);
    let status = if view.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let page = LinkPage {
        frame: Frame::of_stranger(&web, &headers, &stranger.form_token(), "Inloggningslänk"),
        name: view.as_ref().map(|view| view.operator.name.as_str()),
        enters: view.as_ref().is_some_and(|view| view.enters),
    };
    Ok(stranger.kept_by(&web, show(status, &page)?))
}

async fn use_link(State(web): State<Web>, Path(token): Path<String>, form: StrangerForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    let opened = sign_in::use_link(&web.desk, &mut session, &token, &browser_of(&form.headers)).await?;
    session.commit().await?;
    let Some(opened) = opened else {
        let frame = Frame::of_stranger(&web, &form.headers, &form.stranger.form_token(), "Inloggningslänk");
        return show(StatusCode::NOT_FOUND, &LinkPage { frame, name: None, enters: false });
    };
    let to = if opened.session.state == "open" { "/" } else { "/enrol" };
    let mut response = Redirect::to(to).into_response();
    visit::sign_in(&web, &mut response, &opened.token);
    Ok(response)
}

async fn sign_out(State(web): State<Web>, form: ArrivingForm) -> Result<Response, Problem> {
    let visitor = &form.who.visitor;
    let mut session = web.desk.store.begin().await?;
    session::end(&web.desk, &mut session, visitor, &visitor.session.id).await?;
    session.commit().await?;
    let mut response = Redirect::to("/sign-in?done=signed-out").into_response();
    visit::sign_out(&web, &mut response);
    Ok(response)
}

/// Keeps a session alive; asking for any page does.
async fn keep(_: SignedIn) -> StatusCode {
    StatusCode::NO_CONTENT
}
