//! Owns the accessibility statement that the law asks for (2018:1937, 13 §), open to everybody and linked from every footer.
//!
//! Invariant: it claims what the tests show and no more, and says where to turn.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::{STYLE, page_response};
use crate::web::Web;

/// The route.
pub fn router() -> Router<Web> {
    Router::new().route("/tillganglighet", get(look))
}

#[derive(Template)]
#[template(path = "pages/accessibility.html")]
struct AccessibilityPage<'a> {
    style: &'a str,
    list_name: &'a str,
    contact: &'a str,
}

async fn look(State(web): State<Web>) -> Response {
    let config = &web.desk.config;
    let page = AccessibilityPage {
        style: STYLE,
        list_name: &config.letters.list_name,
        contact: config.mail.contact_address(),
    };
    page_response(StatusCode::OK, page.render().unwrap_or_default())
}
