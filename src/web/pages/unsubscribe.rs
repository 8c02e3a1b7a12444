//! Owns the page behind the unsubscribe link of a letter (RFC 8058): GET shows a button, POST ends letters.
//!
//! Invariants: the token alone says who; no cookie and no redirect; alerts by SMS are never touched.

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::{STYLE, page_response};
use crate::actions::unsubscribe::{self, Subscription};
use crate::actions::{ActionError, Desk};
use crate::web::Web;

/// A one-click POST is one short line; more than 16 KiB is refused.
const BODY_LIMIT: usize = 16 * 1024;

/// The route, below `/u/` as letters name it.
pub fn router() -> Router<Web> {
    Router::new().route("/u/{token}", get(look).post(end)).layer(DefaultBodyLimit::max(BODY_LIMIT))
}

async fn look(State(web): State<Web>, Path(token): Path<String>) -> Response {
    let found = async {
        let mut session = web.desk.store.read().await?;
        unsubscribe::look(&web.desk, &mut session, &token).await
    };
    answer(&web.desk, found.await, false)
}

async fn end(State(web): State<Web>, Path(token): Path<String>) -> Response {
    let ended = async {
        let mut session = web.desk.store.begin().await?;
        let ended = unsubscribe::end(&web.desk, &mut session, &token).await?;
        session.commit().await?;
        Ok(ended)
    };
    answer(&web.desk, ended.await, true)
}

#[derive(Template)]
#[template(path = "pages/unsubscribe.html")]
struct UnsubscribePage<'a> {
    style: &'a str,
    list_name: &'a str,
    contact: &'a str,
    heading: &'a str,
    paragraphs: &'a [&'a str],
    has_button: bool,
}

fn answer(desk: &Desk, found: Result<Option<Subscription>, ActionError>, was_asked: bool) -> Response {
    const SMS_GOES_ON: &str = "Det gäller bara brev. Sms från polisen kommer som förut.";
    let (status, heading, paragraphs, has_button): (_, _, &[&str], _) = match found {
        Ok(Some(Subscription::Active)) => (
            StatusCode::OK,
            "Vill du sluta få brev?",
            &["Tryck på knappen så får du inga fler brev.", SMS_GOES_ON],
            true,
        ),
        Ok(Some(Subscription::Ended)) if was_asked => (
            StatusCode::OK,
            "Du får inga fler brev",
            &["Klart. Vi skickar inga fler brev till dig.", SMS_GOES_ON],
            false,
        ),
        Ok(Some(Subscription::Ended)) => (
            StatusCode::OK,
            "Du får inga brev",
            &["Breven till dig är redan avslutade.", SMS_GOES_ON, "Skriv till oss om du vill ha brev igen."],
            false,
        ),
        Ok(Some(Subscription::Preview)) => (
            StatusCode::OK,
            "Länken hör till en förhandsvisning",
            &["I brevet som skickas har varje mottagare en egen länk. Den här gör ingenting."],
            false,
        ),
        Ok(None) => (
            StatusCode::NOT_FOUND,
            "Länken känns inte igen",
            &["Kontrollera att hela länken kom med, eller svara på brevet och skriv att du inte vill ha fler."],
            false,
        ),
        Err(error) => {
            tracing::warn!(code = error.code(), "the unsubscribe page could not reach the database");
            let paragraphs: &[&str] = &["Något gick fel hos oss. Ingenting är ändrat. Försök igen om en stund."];
            (StatusCode::SERVICE_UNAVAILABLE, "Försök igen om en stund", paragraphs, false)
        }
    };
    let page = UnsubscribePage {
        style: STYLE,
        list_name: &desk.config.letters.list_name,
        contact: desk.config.mail.contact_address(),
        heading,
        paragraphs,
        has_button,
    };
    page_response(status, page.render().unwrap_or_default())
}
