//! Owns who looks at an own page: the cookie becomes a contact person, forms are checked, faults become pages of theirs.
//!
//! Operators and contact persons have different cookies, and neither lets in where the other does. Invariant: no handler of
//! an own page sees a person without their cookie, nor a form without its token.

use std::net::IpAddr;

use askama::Template;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::form::{Fields, read};
use super::frame::{Frame, show};
use super::visit::{self, Stranger, set_cookie};
use crate::actions::own_page::{self, OwnVisitor, SESSION_MS};
use crate::domain::own_page_token::OWN_PAGE;
use crate::store::contact_person::ContactPerson;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::limits::address_of;

/// Whose own page it is.
const COOKIE: &str = "grannpost-own";
/// Why an own page is not shown to somebody without a session.
const NO_SESSION: &str = "own_page.session";

/// A contact person at their own page.
#[derive(Debug, Clone)]
pub struct AtOwnPage {
    /// Who, and from which browser.
    pub visitor: OwnVisitor,
    form_token: String,
}

impl AtOwnPage {
    /// Who.
    #[must_use]
    pub fn person(&self) -> &ContactPerson {
        &self.visitor.person
    }

    /// What stands around a page of theirs; `current` is the tab it stands under.
    #[must_use]
    pub fn frame(&self, web: &Web, (title, current): (&str, &'static str)) -> OwnFrame {
        let frame = Frame::of_stranger(web, &HeaderMap::new(), &self.form_token, title);
        OwnFrame { frame, name: Some(own_page::short_name(&self.visitor.person.name)), current }
    }
}

/// What stands around an own page.
#[derive(Debug, Clone)]
pub struct OwnFrame {
    /// What every page has.
    pub frame: Frame,
    /// Whose page it is; `None` before somebody has come in.
    pub name: Option<String>,
    /// The tab it stands under.
    pub current: &'static str,
}

impl OwnFrame {
    /// What stands around a page that nobody needs to have come in for.
    #[must_use]
    pub fn of_stranger(web: &Web, stranger: &Stranger, title: &str) -> Self {
        let frame = Frame::of_stranger(web, &HeaderMap::new(), &stranger.form_token(), title);
        Self { frame, name: None, current: "" }
    }

    /// The same with a word about what was done, or about something wrong.
    #[must_use]
    pub fn saying(mut self, notice: Option<&'static str>, has_faults: bool) -> Self {
        self.frame = self.frame.with_notice(notice).with_faults(has_faults);
        self
    }
}

/// Whose cookie a request carries, if anybody's.
///
/// # Errors
/// [`Problem`] when the database cannot be asked.
pub async fn at_own_page(web: &Web, headers: &HeaderMap) -> Result<Option<AtOwnPage>, Problem> {
    let Some(token) = visit::cookie(web, headers, COOKIE) else { return Ok(None) };
    let visitor = own_page::visitor_of(&web.desk, &token).await?;
    Ok(visitor.map(|visitor| AtOwnPage { visitor, form_token: visit::form_token(&token) }))
}

impl FromRequestParts<Web> for AtOwnPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let detail = "Du behöver en ny länk för att komma in på din sida.";
        let here = at_own_page(web, &parts.headers).await?;
        here.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, NO_SESSION, detail))
    }
}

/// Makes the browser a contact person's, for as long as the session lasts.
pub fn let_in(web: &Web, response: &mut Response, token: &str) {
    set_cookie(web, response, (COOKIE, token), Some(SESSION_MS / 1_000));
}

/// Takes the cookie away.
pub fn let_out(web: &Web, response: &mut Response) {
    set_cookie(web, response, (COOKIE, ""), Some(0));
}

/// A form of a contact person.
#[derive(Debug)]
pub struct OwnForm {
    /// Who sent it.
    pub who: AtOwnPage,
    /// Its fields.
    pub fields: Fields,
}

impl FromRequest<Web> for OwnForm {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        let (mut parts, fields) = read(request, web).await?;
        let found = AtOwnPage::from_request_parts(&mut parts, web).await;
        let who = found.map_err(|problem| problem.with_kept(fields.shown()))?;
        fields.check_token(&who.form_token)?;
        let within_pace = web.own_page_limits.note_act(&who.visitor.person.id);
        within_pace.map_err(|problem| problem.with_kept(fields.shown()))?;
        Ok(Self { who, fields })
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source(pub IpAddr);

impl FromRequestParts<Web> for Source {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Self::Rejection> {
        Ok(Self(address_of(web, parts)))
    }
}

#[derive(Template)]
#[template(path = "pages/own/fault.html")]
struct FaultPage<'a> {
    own: OwnFrame,
    heading: &'static str,
    detail: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    kept: &'a [(String, String)],
    request_id: Option<&'a str>,
}

/// Shows what went wrong on an own page as one; whoever has not come in is led to where links are asked for.
pub async fn as_own_page(State(web): State<Web>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let headers = request.headers().clone();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    if problem.code() == NO_SESSION && method == Method::GET {
        return Redirect::to(OWN_PAGE).into_response();
    }
    page(&web, &headers, &problem).await.unwrap_or(response)
}

async fn page(web: &Web, headers: &HeaderMap, problem: &Problem) -> Option<Response> {
    let heading = heading(problem);
    let own = match at_own_page(web, headers).await.ok().flatten() {
        Some(here) => here.frame(web, (heading, "")),
        None => OwnFrame::of_stranger(web, &Stranger::of(web, headers), heading),
    };
    let fault = FaultPage {
        own,
        heading,
        detail: match problem.status() {
            StatusCode::NOT_FOUND => "Det du letar efter finns inte, eller visas inte längre.",
            _ => problem.detail(),
        },
        fields: problem.fields().collect(),
        kept: problem.kept(),
        request_id: problem.request_id(),
    };
    let mut response = show(problem.status(), &fault).ok()?;
    if let Some(seconds) = problem.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Some(response)
}

fn heading(problem: &Problem) -> &'static str {
    match (problem.code(), problem.status()) {
        (NO_SESSION, _) => "Du behöver en ny länk",
        ("request.form_token" | "request.cross_site", _) => "Formuläret togs inte emot",
        (_, StatusCode::NOT_FOUND) => "Sidan finns inte",
        (_, StatusCode::TOO_MANY_REQUESTS) => "Vänta lite",
        (_, status) if status.is_server_error() => "Något gick fel hos oss",
        _ => "Det gick inte",
    }
}
