//! Owns who looks at a page: the session cookie becomes a visitor, and cookies are set and taken away.
//!
//! It decides nothing about sessions; `actions::session` does. Invariants: behind TLS every cookie is `__Host-`, `Secure`
//! and `HttpOnly`; a form's token follows from a secret that only this browser has.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::actions::session::{self, Visitor};
use crate::ambient;
use crate::domain::operator::Actor;
use crate::web::Web;
use crate::web::error::Problem;

/// Who is signed in.
const SESSION: &str = "grannpost";
/// What forms of those who are not signed in are protected by.
const STRANGER: &str = "grannpost-form";
/// Light, dark or as the machine has it.
pub const THEME: &str = "grannpost-theme";
/// A browser that somebody has signed in from before.
const KNOWN: &str = "grannpost-known";
/// Sign-in through the identity provider, on its way.
pub const IDENTITY: &str = "grannpost-identity";

/// Why a page is not shown to somebody without a session; the page of faults leads to sign-in then.
pub const NO_SESSION: &str = "auth.session";
/// Why a page is not shown while the session is locked for a change of shift.
pub const LOCKED: &str = "auth.locked";
/// Why a page is not shown before the person has proved again who they are.
pub const UNPROVEN: &str = "auth.proof";

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who, and from which browser.
    pub visitor: Visitor,
    /// What every form of theirs holds.
    pub form_token: String,
    /// The page they look at, with its query; where a form leads back to.
    pub here: String,
}

impl SignedIn {
    /// What they may do.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.visitor.actor
    }
}

impl FromRequestParts<Web> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let signed_in = signed_in(web, parts).await?.ok_or_else(no_session)?;
        match signed_in.visitor.session.state.as_str() {
            "open" => Ok(signed_in),
            "locked" => Err(Problem::new(StatusCode::UNAUTHORIZED, LOCKED, "Sidan är låst för byte av operatör.")),
            _ => Err(no_session()),
        }
    }
}

/// Somebody with a session that is not open: who chooses a password, or who takes over a shift.
#[derive(Debug, Clone)]
pub struct Arriving(pub SignedIn);

impl FromRequestParts<Web> for Arriving {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        signed_in(web, parts).await?.map(Self).ok_or_else(no_session)
    }
}

/// A signed-in person who has proved lately who they are; for administrative acts.
#[derive(Debug, Clone)]
pub struct Proven(pub SignedIn);

impl FromRequestParts<Web> for Proven {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let signed_in = SignedIn::from_request_parts(parts, web).await?;
        require_proof(web, &signed_in)?;
        Ok(Self(signed_in))
    }
}

/// Refuses an administrative act of somebody who has not proved lately who they are.
///
/// # Errors
/// 401 `auth.proof`.
pub fn require_proof(web: &Web, signed_in: &SignedIn) -> Result<(), Problem> {
    if session::needs_proof(&web.desk, &signed_in.visitor) {
        let detail = "Det är ett tag sedan du visade vem du är. Skriv lösenord och kod igen.";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, UNPROVEN, detail));
    }
    Ok(())
}

fn no_session() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, NO_SESSION, "Logga in för att fortsätta.")
}

/// Who a request's cookie says is signed in, also with a session that is not open. Whom a proxy let in it must vouch for
/// on every request: otherwise they have signed out there, or the request has come past it.
///
/// # Errors
/// [`Problem`] when the database cannot be asked.
pub async fn signed_in(web: &Web, parts: &Parts) -> Result<Option<SignedIn>, Problem> {
    let Some(token) = cookie(web, &parts.headers, SESSION) else { return Ok(None) };
    let Some(visitor) = session::visitor_of(&web.desk, &token, !asks_by_itself(parts)).await? else { return Ok(None) };
    if visitor.session.way == "proxy" && vouched_for(web, parts).as_ref() != Some(&visitor.operator.email) {
        return Ok(None);
    }
    let here = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    Ok(Some(SignedIn { visitor, form_token: form_token(&token), here }))
}

/// Whether a page asks this by itself for as long as it is open, with nobody in front of it.
fn asks_by_itself(parts: &Parts) -> bool {
    parts.uri.path() == "/observations/urgent"
}

/// The e-mail, in lower case, of whom a proxy in front vouches for. Only from the proxies that are configured: anybody can
/// send a header.
#[must_use]
pub fn vouched_for(web: &Web, parts: &Parts) -> Option<String> {
    let config = &web.desk.config.sign_in;
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    if config.proxy_header.is_empty() || !config.proxy_addresses.contains(&peer.ip().to_canonical()) {
        return None;
    }
    let mut values = parts.headers.get_all(config.proxy_header.as_str()).iter();
    let value = values.next()?.to_str().ok()?.trim().to_lowercase();
    // Two of them mean that the proxy lets through what a stranger sent.
    (values.next().is_none() && !value.is_empty()).then_some(value)
}

/// A browser that nobody is signed in from, and what protects its forms.
#[derive(Debug, Clone)]
pub struct Stranger {
    secret: String,
    is_new: bool,
}

impl Stranger {
    /// The browser's own secret, or a new one.
    #[must_use]
    pub fn of(web: &Web, headers: &HeaderMap) -> Self {
        let known = cookie(web, headers, STRANGER).filter(|secret| secret.len() == 52);
        Self { is_new: known.is_none(), secret: known.unwrap_or_else(new_secret) }
    }

    /// What its forms hold.
    #[must_use]
    pub fn form_token(&self) -> String {
        form_token(&self.secret)
    }

    /// Gives the browser its secret.
    #[must_use]
    pub fn kept_by(&self, web: &Web, mut response: Response) -> Response {
        if self.is_new {
            set_cookie(web, &mut response, (STRANGER, &self.secret), None);
        }
        response
    }
}

/// A secret of 256 bits for a cookie.
#[must_use]
pub fn new_secret() -> String {
    data_encoding::BASE32_NOPAD.encode(&ambient::random_bytes::<32>()).to_lowercase()
}

/// A digest of the cookie's secret: who sees a form does not see the cookie.
pub(super) fn form_token(secret: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(format!("form:{secret}")))
}

/// Makes the browser signed in.
pub fn sign_in(web: &Web, response: &mut Response, token: &str) {
    set_cookie(web, response, (SESSION, token), None);
}

/// Takes the session cookie away.
pub fn sign_out(web: &Web, response: &mut Response) {
    set_cookie(web, response, (SESSION, ""), Some(0));
}

/// Sets a cookie of this site alone; without an age it goes when the browser closes.
pub fn set_cookie(web: &Web, response: &mut Response, (name, value): (&str, &str), max_age: Option<i64>) {
    let name = cookie_name(web, name);
    let secure = if web.desk.config.server.is_https() { "; Secure" } else { "" };
    let age = max_age.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// The value of one of our cookies.
#[must_use]
pub fn cookie(web: &Web, headers: &HeaderMap, name: &str) -> Option<String> {
    let name = cookie_name(web, name);
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).filter(|value| !value.is_empty())
}

fn cookie_name(web: &Web, name: &str) -> String {
    if web.desk.config.server.is_https() { format!("__Host-{name}") } else { name.to_owned() }
}

/// A browser that somebody has signed in from before: its own name, and a mark for each of those who have.
struct KnownBrowser {
    name: String,
    marks: Vec<String>,
}

impl KnownBrowser {
    /// People who are remembered: those of a shift or two.
    const MOST: usize = 12;

    fn of(web: &Web, headers: &HeaderMap) -> Option<Self> {
        let value = cookie(web, headers, KNOWN)?;
        let mut parts = value.split('.').map(str::to_owned);
        Some(Self { name: parts.next()?, marks: parts.take(Self::MOST).collect() })
    }

    fn mark(web: &Web, name: &str, email: &str) -> String {
        let text = format!("{name} {}", email.trim().to_lowercase());
        let mut mark = web.desk.token_key.fingerprint("known browser", &text);
        mark.truncate(32);
        mark
    }
}

/// The name of the browser, when the person with this e-mail has signed in from it before.
#[must_use]
pub fn known_browser(web: &Web, headers: &HeaderMap, email: &str) -> Option<String> {
    let known = KnownBrowser::of(web, headers)?;
    let mark = KnownBrowser::mark(web, &known.name, email);
    let fits = known.marks.iter().any(|one| bool::from(one.as_bytes().ct_eq(mark.as_bytes())));
    fits.then_some(known.name)
}

/// Remembers that the person with this e-mail has signed in from the browser, for half a year.
pub fn remember_browser(web: &Web, headers: &HeaderMap, response: &mut Response, email: &str) {
    const HALF_A_YEAR: i64 = 182 * 24 * 3600;
    let known = KnownBrowser::of(web, headers);
    let mut known = known.unwrap_or_else(|| KnownBrowser { name: new_secret(), marks: Vec::new() });
    let mark = KnownBrowser::mark(web, &known.name, email);
    known.marks.retain(|one| *one != mark);
    known.marks.insert(0, mark);
    known.marks.truncate(KnownBrowser::MOST);
    let value = format!("{}.{}", known.name, known.marks.join("."));
    set_cookie(web, response, (KNOWN, &value), Some(HALF_A_YEAR));
}

/// A browser in a few words: enough to tell one's own sessions apart, and no more.
#[must_use]
pub fn browser_of(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let find = |known: &[(&'static str, &'static str)]| {
        known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    // Others claim to be Chrome and Safari: they come first.
    let browser = find(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = find(&[
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Mac OS X", "Mac"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} på {system}"),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => "Okänd webbläsare".to_owned(),
    }
}

/// A path of ours to go on to; `/` for anything else.
#[must_use]
pub fn local_path(next: &str) -> &str {
    let is_ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.starts_with("/\\")
        && next.len() <= 1_000
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_ours { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_ours_are_gone_on_to() {
        for path in ["/", "/alerts/new?draft=1", "/a%20b"] {
            assert_eq!(local_path(path), path);
        }
        for path in
            ["", "//example.org", "/\\example.org", "https://example.org", "javascript:alert(1)", "/a\r\nb", "/å"]
        {
            assert_eq!(local_path(path), "/", "{path}");
        }
    }

    #[test]
    fn a_browser_is_named_in_a_few_words() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge på Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1",
                "Safari på iPhone",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox på Linux"),
            ("curl/8", "Okänd webbläsare"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_static(agent));
            assert_eq!(browser_of(&headers), name);
        }
    }
}
