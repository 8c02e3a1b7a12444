//! Owns what pages load beside themselves: style, scripts and icon, compiled in and served under names made of their content.
//!
//! Invariant: a name's content never changes, so browsers may keep it for ever.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::web::Web;

// Without comments and blanks, by `build.rs`.
const CSS: &str = include_str!(concat!(env!("OUT_DIR"), "/app.css"));
const JS: &str = include_str!(concat!(env!("OUT_DIR"), "/app.js"));
const ANSWER: &str = include_str!(concat!(env!("OUT_DIR"), "/answer.js"));
const PASSKEY: &str = include_str!(concat!(env!("OUT_DIR"), "/passkey.js"));
const KEYS: &str = include_str!(concat!(env!("OUT_DIR"), "/keys.js"));
const SOUND: &str = include_str!(concat!(env!("OUT_DIR"), "/sound.js"));
/// The style of contact persons' own pages, which browsers of 2014 understand.
const OWN_CSS: &str = include_str!(concat!(env!("OUT_DIR"), "/own.css"));
/// The script of contact persons' own pages.
const OWN_JS: &str = include_str!(concat!(env!("OUT_DIR"), "/own.js"));
/// htmx with its extension for server-sent events, from npm; `build.rs` says what to do when they are not there (ADR 0016).
const HTMX: &str = concat!(
    include_str!("../../../web/node_modules/htmx.org/dist/htmx.min.js"),
    "\n",
    include_str!("../../../web/node_modules/htmx.org/dist/ext/hx-sse.min.js")
);
const ICON: &str = include_str!("../../../web/icon.svg");

/// Paths of what every page loads.
#[derive(Debug)]
pub struct Assets {
    /// Style.
    pub css: String,
    /// Our script, an ES module.
    pub js: String,
    /// The module of pages with ready answers.
    pub answer: String,
    /// The module of forms that a passkey answers.
    pub passkey: String,
    /// The module of pages with shortcuts of their own.
    pub keys: String,
    /// The module of the tone for acute answers.
    pub sound: String,
    /// The library that fetches, morphs and listens.
    pub htmx: String,
    /// The style of contact persons' own pages.
    pub own_css: String,
    /// The script of contact persons' own pages, an ES module.
    pub own: String,
    /// Icon.
    pub icon: String,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    css: path("app", CSS, "css"),
    js: path("app", JS, "js"),
    answer: path("answer", ANSWER, "js"),
    passkey: path("passkey", PASSKEY, "js"),
    keys: path("keys", KEYS, "js"),
    sound: path("sound", SOUND, "js"),
    htmx: path("htmx", HTMX, "js"),
    own_css: path("own", OWN_CSS, "css"),
    own: path("own", OWN_JS, "js"),
    icon: path("icon", ICON, "svg"),
});

/// Paths of what every page loads.
#[must_use]
pub fn assets() -> &'static Assets {
    &ASSETS
}

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/assets/{name}", get(serve)).route("/favicon.ico", get(icon))
}

async fn serve(Path(name): Path<String>) -> Response {
    let assets = assets();
    let (kind, content) = match format!("/assets/{name}") {
        path if path == assets.css => ("text/css; charset=utf-8", CSS),
        path if path == assets.js => ("text/javascript; charset=utf-8", JS),
        path if path == assets.answer => ("text/javascript; charset=utf-8", ANSWER),
        path if path == assets.passkey => ("text/javascript; charset=utf-8", PASSKEY),
        path if path == assets.keys => ("text/javascript; charset=utf-8", KEYS),
        path if path == assets.sound => ("text/javascript; charset=utf-8", SOUND),
        path if path == assets.own_css => ("text/css; charset=utf-8", OWN_CSS),
        path if path == assets.own => ("text/javascript; charset=utf-8", OWN_JS),
        path if path == assets.htmx => ("text/javascript; charset=utf-8", HTMX),
        path if path == assets.icon => ("image/svg+xml", ICON),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")], content).into_response()
}

async fn icon() -> Response {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "public, max-age=86400")], ICON).into_response()
}

fn path(name: &str, content: &str, kind: &str) -> String {
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(content)[..8]);
    format!("/assets/{name}.{hash}.{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_of_every_page_stays_under_eight_kilobytes() {
        assert!(JS.contains("data-compose") && JS.len() < 8_000, "{} octets", JS.len());
    }
}
