//! Owns the first page, and what a sign-in link shows until there are pages to sign in to.
//!
//! Invariant: it reads no token, so nothing is used up and nothing is told about one.

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::{STYLE, page_response};
use crate::web::Web;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/", get(start)).route("/sign-in/{token}", get(start))
}

#[derive(Template)]
#[template(path = "pages/start.html")]
struct StartPage<'a> {
    style: &'a str,
}

async fn start() -> Response {
    page_response(StatusCode::OK, StartPage { style: STYLE }.render().unwrap_or_default())
}
