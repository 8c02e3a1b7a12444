//! Owns the first page: what is the case now.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::frame::{Frame, show};
use super::menu::Section;
use super::visit::SignedIn;
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/", get(start))
}

#[derive(Template)]
#[template(path = "pages/start.html")]
struct StartPage {
    frame: Frame,
}

async fn start(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    let frame = Frame::of(&web, &headers, &who, (Section::Start, "Läget nu")).await;
    show(StatusCode::OK, &StartPage { frame })
}
