//! Owns the page that is shown instead of another: not found, not allowed, signed out, gone wrong.
//!
//! It decides nothing; it puts a problem into words for whoever reads pages. Invariant: a browser never gets a bare problem
//! document, and an API caller never gets a page.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::frame::{Frame, role_name, show};
use super::menu::Section;
use super::visit::{self, SignedIn, Stranger};
use crate::domain::operator::Role;
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;

#[derive(Template)]
#[template(path = "pages/fault.html")]
struct FaultPage<'a> {
    frame: Frame,
    heading: &'a str,
    paragraphs: Vec<String>,
    kept: &'a [(String, String)],
    ways: Vec<(String, &'static str)>,
    request_id: Option<&'a str>,
}

/// Shows a problem as a page to whoever asked for one.
pub async fn as_page(State(web): State<Web>, request: Request, next: Next) -> Response {
    let is_page = asks_for_page(&request);
    let method = request.method().clone();
    let here = request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let (parts, body) = request.into_parts();
    let mut response = next.run(Request::from_parts(parts.clone(), body)).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    if let Some(to) = detour(&problem, &method, &here) {
        return Redirect::to(&to).into_response();
    }
    if !is_page {
        return response;
    }
    page(&web, &parts, &problem).await.unwrap_or(response)
}

fn asks_for_page(request: &Request) -> bool {
    let path = request.uri().path();
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepts.contains("text/html") && !path.starts_with("/api/") && !path.starts_with("/hooks")
}

/// Where somebody has to go first; they come back by themselves. What was typed would be lost, so a form is not led away.
fn detour(problem: &Problem, method: &Method, here: &str) -> Option<String> {
    let next: String = url::form_urlencoded::byte_serialize(here.as_bytes()).collect();
    match problem.code() {
        visit::LOCKED => Some(format!("/shift?next={next}")),
        visit::NO_SESSION if method == Method::GET && here == "/" => Some("/sign-in".to_owned()),
        visit::NO_SESSION if method == Method::GET => Some(format!("/sign-in?next={next}")),
        visit::UNPROVEN if method == Method::GET => Some(format!("/prove?next={next}")),
        _ => None,
    }
}

async fn page(web: &Web, parts: &Parts, problem: &Problem) -> Option<Response> {
    let headers = &parts.headers;
    let who = visit::signed_in(web, parts).await.ok().flatten();
    let who = who.filter(|who| who.visitor.session.state == "open");
    let (heading, mut paragraphs) = words(problem);
    if problem.code() == "auth.forbidden"
        && let Some(who) = &who
    {
        paragraphs = whom_to_ask(web, who).await;
    }
    let frame = match &who {
        Some(who) => Frame::of(web, headers, who, (Section::None, heading)).await.with_width("narrow"),
        None => Frame::of_stranger(web, headers, &Stranger::of(web, headers).form_token(), heading),
    };
    let page = FaultPage {
        frame,
        heading,
        paragraphs,
        kept: problem.kept(),
        ways: ways(problem, who.is_some()),
        request_id: problem.request_id(),
    };
    let mut response = show(problem.status(), &page).ok()?;
    if let Some(seconds) = problem.retry_after() {
        response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds.into());
    }
    Some(response)
}

fn words(problem: &Problem) -> (&'static str, Vec<String>) {
    let detail = problem.detail().to_owned();
    match (problem.code(), problem.status()) {
        (visit::NO_SESSION, _) => (
            "Du är inte inloggad längre",
            vec!["Din inloggning har gått ut eller avslutats. Ingenting av det du skickade är gjort.".to_owned()],
        ),
        (visit::UNPROVEN, _) => {
            ("Visa vem du är igen", vec![detail, "Ingenting av det du skickade är gjort.".to_owned()])
        }
        ("request.form_token" | "request.cross_site", _) => {
            ("Formuläret togs inte emot", vec![detail, "Ingenting är gjort.".to_owned()])
        }
        ("identity.unknown", _) => ("Du har inget konto här", vec![detail]),
        ("passkey.refused", _) => ("Nyckeln godtogs inte", vec![detail]),
        ("identity.refused", _) => ("Inloggningen godtogs inte", vec![detail]),
        ("identity.unreachable", _) => ("Inloggningstjänsten svarar inte", vec![detail]),
        (_, StatusCode::NOT_FOUND) => (
            "Sidan finns inte",
            vec!["Kontrollera adressen. Det som hör till ett område du inte har hand om visas inte heller.".to_owned()],
        ),
        (_, StatusCode::FORBIDDEN) => ("Du har inte behörighet", vec![detail]),
        (_, StatusCode::CONFLICT) => ("Något har ändrats", vec![detail]),
        (_, StatusCode::TOO_MANY_REQUESTS) => ("Vänta lite", vec![detail]),
        (_, StatusCode::PAYLOAD_TOO_LARGE) => ("Det blev för stort", vec![detail]),
        (_, status) if status.is_server_error() => {
            ("Något gick fel hos oss", vec![detail, "Pågående utskick fortsätter ändå.".to_owned()])
        }
        _ => {
            let fields = problem.fields().map(|(_, detail)| detail.to_owned());
            ("Det gick inte", std::iter::once(detail.clone()).chain(fields).collect())
        }
    }
}

fn ways(problem: &Problem, is_signed_in: bool) -> Vec<(String, &'static str)> {
    match problem.code() {
        visit::UNPROVEN => vec![("/prove".to_owned(), "Skriv lösenord och kod"), ("/".to_owned(), "Till Läget nu")],
        _ if is_signed_in => vec![("/".to_owned(), "Till Läget nu")],
        _ => vec![("/sign-in".to_owned(), "Logga in")],
    }
}

/// Which role one has, and who can give another.
async fn whom_to_ask(web: &Web, who: &SignedIn) -> Vec<String> {
    let role = role_name(who.visitor.actor.role);
    let mut text = vec![format!("Din roll är {role}, och den räcker inte för det här.")];
    let admins = async {
        let mut session = web.desk.store.read().await?;
        store::operator::list(&mut session).await
    };
    let names: Vec<String> = admins
        .await
        .unwrap_or_default()
        .into_iter()
        .filter(|operator| operator.role == Role::Admin.code() && operator.disabled_at.is_none())
        .map(|operator| operator.name)
        .collect();
    text.push(if names.is_empty() {
        "Be en administratör om rätt roll.".to_owned()
    } else {
        format!("Rätt roll kan du få av: {}.", names.join(", "))
    });
    text
}
