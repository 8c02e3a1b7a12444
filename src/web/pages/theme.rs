//! Owns the choice of light or dark, kept by the browser alone.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::post;

use super::form::SignedForm;
use super::visit::{THEME, local_path, set_cookie};
use crate::web::Web;

/// A year in seconds.
const YEAR: i64 = 365 * 24 * 3600;

/// The route.
pub fn router() -> Router<Web> {
    Router::new().route("/theme", post(choose))
}

async fn choose(State(web): State<Web>, form: SignedForm) -> Response {
    let mut response = Redirect::to(local_path(form.fields.text("next"))).into_response();
    match form.fields.text("theme") {
        theme @ ("light" | "dark") => set_cookie(&web, &mut response, (THEME, theme), Some(YEAR)),
        _ => set_cookie(&web, &mut response, (THEME, ""), Some(0)),
    }
    response
}
