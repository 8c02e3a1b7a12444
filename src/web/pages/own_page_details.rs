//! Owns the details of a contact person on their own page: households, language, wishes, pause, who stands in, and the end.
//!
//! Invariant: the end is asked about on a page of its own, and says what is lost.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use super::administration::Choosable;
use super::form::{Faults, Fields};
use super::frame::show;
use super::own_page_visit::{AtOwnPage, OwnForm, OwnFrame, let_out};
use super::register_words::{address_line, area_words, languages};
use super::visit;
use crate::actions::own_page_act::{self, Details};
use crate::actions::{ActionError, deputy};
use crate::domain::phone;
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::again_when_busy;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/min-sida/uppgifter", get(look).post(change))
        .route("/min-sida/paus", post(pause))
        .route("/min-sida/ersattare", post(propose))
        .route("/min-sida/ersattare/nej", post(decline))
        .route("/min-sida/avsluta", get(ask_end).post(end))
}

#[derive(Template)]
#[template(path = "pages/own/details.html")]
struct DetailsPage<'a> {
    own: OwnFrame,
    faults: Faults,
    name: String,
    area: String,
    address: String,
    mobile: String,
    email: String,
    households: String,
    languages: Vec<Choosable>,
    wants_alerts: bool,
    wants_letters: bool,
    paused_until: Option<String>,
    /// Who stands in.
    deputy: Option<String>,
    /// For whom the person stands in: id and name.
    stands_for: Vec<(String, String)>,
    form_key: String,
    typed: &'a Fields,
}

/// What was done just before.
#[derive(Debug, Default, Deserialize)]
struct DoneQuery {
    #[serde(default)]
    done: String,
}

async fn look(State(web): State<Web>, Query(query): Query<DoneQuery>, who: AtOwnPage) -> Result<Response, Problem> {
    let notice = match query.done.as_str() {
        "changed" => Some("Dina uppgifter är sparade."),
        "paused" => Some("Pausen är sparad. Inget skickas till dig under tiden."),
        "resumed" => Some("Pausen är borttagen. Du får utskick igen."),
        "declined" => Some("Sparat: du är inte ersättare längre."),
        "proposed" => Some("Tack! Vi hör av oss. Ingenting är ändrat än."),
        _ => None,
    };
    page(&web, &who, (notice, Faults::default()), &Fields::default()).await
}

async fn page(
    web: &Web,
    who: &AtOwnPage,
    (notice, faults): (Option<&'static str>, Faults),
    typed: &Fields,
) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    let (deputy, stands_for) = deputy::own_named(&mut session, &who.person().id).await?;
    drop(session);
    let own = who.frame(web, ("Mina uppgifter", "details")).saying(notice, !faults.is_empty());
    let person = who.person();
    let paused = person.paused_until_at.filter(|until| *until > own.frame.now_ms);
    let is_typed = typed.has("households");
    let page = DetailsPage {
        name: person.name.clone(),
        area: area_words(&tree, &person.area_code),
        address: address_line(person),
        mobile: person.mobile.as_deref().map(phone::display).unwrap_or_default(),
        email: person.email.clone().unwrap_or_default(),
        households: if is_typed { typed.text("households").to_owned() } else { person.households.to_string() },
        languages: languages(if is_typed { typed.text("language") } else { &person.language }),
        wants_alerts: if is_typed {
            typed.has("alerts")
        } else {
            person.alerts == 1 && person.alerts_opt_out_at.is_none()
        },
        wants_letters: if is_typed {
            typed.has("letters")
        } else {
            person.letters == 1 && person.letters_opt_out_at.is_none()
        },
        paused_until: paused.map(|until| own.frame.wall.text(until)),
        deputy,
        stands_for,
        form_key: visit::new_secret(),
        typed,
        faults,
        own,
    };
    let status = if page.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    show(status, &page)
}

/// Does something in a transaction; leads on, or shows the page again with what was wrong.
macro_rules! do_or_show {
    ($web:expr, $form:expr, $done:expr, |$session:ident, $person:ident| $action:expr) => {{
        let faults = again_when_busy!({
            let mut session = $web.desk.store.begin().await?;
            let done = {
                let ($session, $person) = (&mut session, $form.who.person());
                $action
            };
            match done {
                Ok(()) => session.commit().await.map(|()| Vec::new())?,
                Err(ActionError::Invalid(problems)) => problems,
                Err(error) => return Err(error.into()),
            }
        })?;
        if !faults.is_empty() {
            return page(&$web, &$form.who, (None, Faults::new(faults)), &$form.fields).await;
        }
        Ok(Redirect::to(&format!("/min-sida/uppgifter?done={}", $done)).into_response())
    }};
}

async fn change(State(web): State<Web>, form: OwnForm) -> Result<Response, Problem> {
    let details = Details {
        households: form.fields.text("households"),
        language: form.fields.text("language"),
        alerts: form.fields.has("alerts"),
        letters: form.fields.has("letters"),
    };
    do_or_show!(web, form, "changed", |session, person| {
        own_page_act::change(&web.desk, session, person, details).await
    })
}

async fn pause(State(web): State<Web>, form: OwnForm) -> Result<Response, Problem> {
    let ends = form.fields.has("end");
    let until = if ends { None } else { Some(end_of(&web, form.fields.text("until"))) };
    let done = if ends { "resumed" } else { "paused" };
    do_or_show!(web, form, done, |session, person| own_page_act::pause(&web.desk, session, person, until).await)
}

/// The end of a day by the wall clock; the beginning of time, which no pause can end at, for what is no day.
fn end_of(web: &Web, text: &str) -> Timestamp {
    let day: Option<Date> = text.trim().parse().ok();
    let next = day.and_then(|day| day.tomorrow().ok());
    let end = next.and_then(|day| day.to_zoned(web.desk.config.server.zone()).ok());
    end.map_or(Timestamp::UNIX_EPOCH, |end| end.timestamp())
}

async fn propose(State(web): State<Web>, form: OwnForm) -> Result<Response, Problem> {
    let fields = &form.fields;
    let wish = (fields.text("wish") == "hand_over", fields.text("who"), fields.text("form_key"));
    do_or_show!(web, form, "proposed", |session, person| {
        own_page_act::propose(&web.desk, session, person, wish).await
    })
}

async fn decline(State(web): State<Web>, form: OwnForm) -> Result<Response, Problem> {
    let stands_for = form.fields.text("for");
    do_or_show!(web, form, "declined", |session, person| deputy::decline(&web.desk, session, person, stands_for).await)
}

#[derive(Template)]
#[template(path = "pages/own/end.html")]
struct EndPage {
    own: OwnFrame,
}

async fn ask_end(State(web): State<Web>, who: AtOwnPage) -> Result<Response, Problem> {
    show(StatusCode::OK, &EndPage { own: who.frame(&web, ("Avsluta uppdraget", "details")) })
}

#[derive(Template)]
#[template(path = "pages/own/ended.html")]
struct EndedPage {
    own: OwnFrame,
}

async fn end(State(web): State<Web>, form: OwnForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        own_page_act::leave(&web.desk, &mut session, form.who.person()).await?;
        session.commit().await?;
    })?;
    let mut own = form.who.frame(&web, ("Uppdraget är avslutat", ""));
    own.name = None;
    let mut response = show(StatusCode::OK, &EndedPage { own })?;
    let_out(&web, &mut response);
    Ok(response)
}
