//! Owns what a page's form sends: its fields, and the proof that it was our page that sent them.
//!
//! Invariant: no handler sees a field of a form that came from another site or without its token.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq as _;

use super::visit::{Arriving, Proven, SignedIn, Stranger};
use crate::actions::FieldProblem;
use crate::web::Web;
use crate::web::body::read_whole;
use crate::web::error::Problem;
use crate::web::limits::address_of;

/// How long a form may take to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// The hidden field that holds the token.
const TOKEN: &str = "form_token";
/// Fields that are never shown again.
const SECRET: [&str; 7] = [TOKEN, "current", "password", "repeated", "code", "handle", "answer"];

/// The fields of a form, in order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The field's text as typed; empty when it was not sent.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The field's text without blanks around it; `None` when nothing is left.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<&str> {
        Some(self.text(name).trim()).filter(|text| !text.is_empty())
    }

    /// Every value of a field that may be sent several times, such as checkboxes.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    /// Whether a checkbox or button was sent.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// These.
    #[must_use]
    pub(super) fn of(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    /// Every field, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// 422 for NUL.
    pub(super) fn parse(bytes: &Bytes) -> Result<Self, Problem> {
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(bytes)
            .map(|(name, value)| (name.into_owned(), value.replace("\r\n", "\n")))
            .collect();
        if let Some((name, _)) = fields.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(Problem::field(&name.replace('\0', ""), "field.nul", "NUL-tecken är inte tillåtna."));
        }
        Ok(Self(fields))
    }

    /// Refuses fields that do not hold the token of the page.
    ///
    /// # Errors
    /// 403 `request.form_token`.
    pub(super) fn check_token(&self, expected: &str) -> Result<(), Problem> {
        if bool::from(self.text(TOKEN).as_bytes().ct_eq(expected.as_bytes())) {
            return Ok(());
        }
        let detail = "Formuläret hör till en tidigare inloggning. Ladda om sidan och försök igen.";
        Err(Problem::new(StatusCode::FORBIDDEN, "request.form_token", detail).with_kept(self.shown()))
    }

    /// What was typed, for showing it again when nothing else can be done.
    #[must_use]
    pub fn shown(&self) -> Vec<(String, String)> {
        let is_shown = |(name, value): &&(String, String)| !SECRET.contains(&name.as_str()) && value.len() > 20;
        self.0.iter().filter(is_shown).cloned().collect()
    }
}

/// A form of somebody who is signed in.
#[derive(Debug)]
pub struct SignedForm {
    /// Who sent it.
    pub who: SignedIn,
    /// Its fields.
    pub fields: Fields,
    /// The request's headers.
    pub headers: HeaderMap,
    /// Where it came from.
    pub address: IpAddr,
}

impl FromRequest<Web> for SignedForm {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        let (mut parts, fields) = read(request, web).await?;
        let found = SignedIn::from_request_parts(&mut parts, web).await;
        let who = found.map_err(|problem| problem.with_kept(fields.shown()))?;
        fields.check_token(&who.form_token)?;
        Ok(Self { who, fields, address: address_of(web, &parts), headers: parts.headers })
    }
}

/// A form for an administrative act.
#[derive(Debug)]
pub struct ProvenForm {
    /// Who sent it.
    pub who: SignedIn,
    /// Its fields.
    pub fields: Fields,
    /// The request's headers.
    pub headers: HeaderMap,
    /// Where it came from.
    pub address: IpAddr,
}

impl FromRequest<Web> for ProvenForm {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        let (mut parts, fields) = read(request, web).await?;
        let found = Proven::from_request_parts(&mut parts, web).await;
        let Proven(who) = found.map_err(|problem| problem.with_kept(fields.shown()))?;
        fields.check_token(&who.form_token)?;
        Ok(Self { who, fields, address: address_of(web, &parts), headers: parts.headers })
    }
}

/// A form of somebody whose session is not open: who chooses a password, or takes over a shift.
#[derive(Debug)]
pub struct ArrivingForm {
    /// Who sent it.
    pub who: SignedIn,
    /// Its fields.
    pub fields: Fields,
    /// The request's headers.
    pub headers: HeaderMap,
    /// Where it came from.
    pub address: IpAddr,
}

impl FromRequest<Web> for ArrivingForm {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        let (mut parts, fields) = read(request, web).await?;
        let Arriving(who) = Arriving::from_request_parts(&mut parts, web).await?;
        fields.check_token(&who.form_token)?;
        Ok(Self { who, fields, address: address_of(web, &parts), headers: parts.headers })
    }
}

/// A form of somebody who is not signed in.
#[derive(Debug)]
pub struct StrangerForm {
    /// The browser.
    pub stranger: Stranger,
    /// Its fields.
    pub fields: Fields,
    /// The request's headers.
    pub headers: HeaderMap,
    /// Where it came from.
    pub address: IpAddr,
}

impl FromRequest<Web> for StrangerForm {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        let (parts, fields) = read(request, web).await?;
        let stranger = Stranger::of(web, &parts.headers);
        fields.check_token(&stranger.form_token())?;
        Ok(Self { stranger, fields, address: address_of(web, &parts), headers: parts.headers })
    }
}

pub(super) async fn read(request: Request, web: &Web) -> Result<(axum::http::request::Parts, Fields), Problem> {
    require_our_page(web, request.headers())?;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        let detail = "Skicka ett formulär: application/x-www-form-urlencoded.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request.type", detail));
    }
    let (parts, body) = request.into_parts();
    let bytes = read_whole(Request::from_parts(parts.clone(), body), web, PATIENCE).await?;
    Ok((parts, Fields::parse(&bytes)?))
}

/// Refuses what a browser says comes from another site (Fetch Metadata, or `Origin` where that is missing), and what says
/// nothing: every browser does.
///
/// # Errors
/// 403 `request.cross_site`.
pub fn require_our_page(web: &Web, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_ours = match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        // No referrer is told, so that the origin of our own forms may be `null`; the token decides then.
        (None, Some("null")) => true,
        (None, Some(origin)) => is_our_origin(web, origin, text(HOST.as_str())),
        (None, None) => false,
    };
    if is_ours {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "request.cross_site", "Formuläret kom inte från den här webbplatsen."))
}

fn is_our_origin(web: &Web, origin: &str, host: Option<&str>) -> bool {
    let public = url::Url::parse(&web.desk.config.server.public_url).ok();
    let is_public = public.is_some_and(|url| url.origin().ascii_serialization() == origin);
    let is_host = host.is_some_and(|host| origin.split_once("://").is_some_and(|(_, rest)| rest == host));
    is_public || is_host
}

/// What is wrong with a form, for the list on top of the page and beside each field.
#[derive(Debug, Clone, Default)]
pub struct Faults(Vec<FieldProblem>);

impl Faults {
    /// These.
    #[must_use]
    pub fn new(faults: Vec<FieldProblem>) -> Self {
        Self(faults)
    }

    /// One.
    #[must_use]
    pub fn one(name: &str, code: &'static str, detail: &str) -> Self {
        Self(vec![FieldProblem::new(name, code, detail)])
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[FieldProblem] {
        &self.0
    }

    /// What is wrong with one field.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|fault| fault.name == name).map(|fault| fault.detail.as_str())
    }
}
