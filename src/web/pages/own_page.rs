//! Owns the first page of a contact person: the alerts of their area, passing them on, and telling what they have seen.
//!
//! Invariants: what no longer holds says so; everything works without scripts.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use serde::Deserialize;

use super::form::{Faults, Fields};
use super::frame::show;
use super::own_page_enter::ask_page;
use super::own_page_visit::{AtOwnPage, OwnForm, OwnFrame, as_own_page, at_own_page};
use super::time::{Wall, number};
use super::{own_page_details, own_page_enter, own_page_extract, own_page_letters, visit};
use crate::actions::ActionError;
use crate::actions::own_page_act::{self, Told};
use crate::actions::own_page_view::{self, AlertCard};
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::again_when_busy;

/// All own pages, with faults as pages of theirs.
pub fn all(web: &Web) -> Router<Web> {
    router()
        .merge(own_page_enter::router())
        .merge(own_page_details::router())
        .merge(own_page_extract::router())
        .merge(own_page_letters::router())
        .layer(middleware::from_fn_with_state(web.clone(), as_own_page))
}

fn router() -> Router<Web> {
    Router::new()
        .route("/min-sida", get(first))
        .route("/min-sida/spridit", post(spread))
        .route("/min-sida/iakttagelse", post(observe))
        .route("/min-sida/anslag/{id}", get(poster))
}

/// An alert as the person sees it.
#[derive(Debug)]
pub(super) struct Card {
    id: String,
    heading: String,
    text: String,
    until: String,
    is_valid: bool,
    is_drill: bool,
    asks: bool,
    /// Whether passing it on is counted; an ending is passed on, too, but not counted anew.
    counts: bool,
    /// The text to pass on; `None` where it may not be.
    to_pass_on: Option<String>,
    /// The same as the body of an SMS, ready for an address.
    sms_body: String,
    /// Households the person says it has reached.
    spread_to: Option<String>,
}

impl Card {
    pub(super) fn of(wall: &Wall, card: AlertCard) -> Self {
        let alert = card.alert;
        let (at, until) = (wall.text(alert.sends_at), wall.text(alert.expires_at));
        let what = match alert.follow_up_kind.as_deref() {
            Some("all_clear") => "Larmet är avslutat",
            Some("correction") => "Rättelse",
            Some("update") => "Ny information",
            _ => "Larm från polisen",
        };
        let passes_on = alert.spread == "households" && card.is_valid && alert.drill == 0;
        let text = format!(
            "Från polisen via grannsamverkan, {at}: {} Gäller till {until}. Pågår brott: ring 112.",
            with_stop(&alert.text)
        );
        Self {
            heading: format!("{what} {at}"),
            until,
            is_valid: card.is_valid,
            is_drill: alert.drill == 1,
            asks: alert.kind == "observation" && alert.follow_up_kind.as_deref() != Some("all_clear"),
            counts: matches!(alert.follow_up_kind.as_deref(), None | Some("update")),
            sms_body: percent_encoded(&text),
            to_pass_on: passes_on.then_some(text),
            spread_to: alert.spread_households.map(number),
            text: alert.text,
            id: alert.id,
        }
    }
}

/// The text with a full stop where it has no end.
fn with_stop(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// As RFC 3986 wants a query; telephones take no `+` for a blank.
fn percent_encoded(text: &str) -> String {
    let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    form.replace('+', "%20")
}

#[derive(Template)]
#[template(path = "pages/own/first.html")]
struct FirstPage<'a> {
    own: OwnFrame,
    faults: Faults,
    cards: Vec<Card>,
    old: Vec<Card>,
    households: i64,
    paused_until: Option<String>,
    no_sms: bool,
    form_key: String,
    typed: &'a Fields,
}

/// What was done just before.
#[derive(Debug, Default, Deserialize)]
struct DoneQuery {
    #[serde(default)]
    done: String,
}

async fn first(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<DoneQuery>,
) -> Result<Response, Problem> {
    let Some(who) = at_own_page(&web, &headers).await? else { return ask_page(&web, &headers) };
    let notice = match query.done.as_str() {
        "spread" => Some("Tack! Det är sparat att du har spridit larmet vidare."),
        "told" => Some("Tack! Din iakttagelse har kommit in till polisen. Pågår det nu: ring 112."),
        "urgent" => {
            Some("Din iakttagelse har kommit in, men ingen kanske läser den genast. Händer det nu? Ring 112 direkt.")
        }
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
    let alerts = own_page_view::alerts(&web.desk, &mut session, who.person()).await?;
    drop(session);
    let own = who.frame(web, ("Min sida", "first")).saying(notice, !faults.is_empty());
    let (wall, now) = (&own.frame.wall, own.frame.now_ms);
    let (cards, old): (Vec<Card>, Vec<Card>) =
        alerts.into_iter().map(|card| Card::of(wall, card)).partition(|card| card.is_valid);
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let person = who.person();
    let page = FirstPage {
        cards,
        old,
        households: person.households,
        paused_until: person.paused_until_at.filter(|until| *until > now).map(|until| wall.text(until)),
        no_sms: person.mobile.is_none() || person.alerts == 0 || person.alerts_opt_out_at.is_some(),
        form_key: visit::new_secret(),
        typed,
        faults,
        own,
    };
    show(status, &page)
}

async fn spread(State(web): State<Web>, form: OwnForm) -> Result<Response, Problem> {
    let alert = form.fields.text("alert");
    let households = form.fields.text("households");
    let done = again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        match own_page_act::spread(&web.desk, &mut session, form.who.person(), (alert, households)).await {
            Ok(_) => session.commit().await.map(|()| Vec::new())?,
            Err(ActionError::Invalid(problems)) => problems,
            Err(error) => return Err(error.into()),
        }
    })?;
    if done.is_empty() {
        return Ok(Redirect::to("/min-sida?done=spread").into_response());
    }
    let at_alert = |mut problem: crate::actions::FieldProblem| {
        problem.name = format!("households-{alert}");
        problem
    };
    let faults = Faults::new(done.into_iter().map(at_alert).collect());
    page(&web, &form.who, (None, faults), &form.fields).await
}

async fn observe(State(web): State<Web>, form: OwnForm) -> Result<Response, Problem> {
    let fields = &form.fields;
    let told = Told {
        text: fields.text("text"),
        place: fields.text("place"),
        alert: fields.text("about"),
        form_key: fields.text("form_key"),
    };
    let mut faults = Vec::new();
    let is_urgent = again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        match own_page_act::observe(&web.desk, &mut session, form.who.person(), told).await {
            Ok(is_urgent) => session.commit().await.map(|()| is_urgent)?,
            Err(ActionError::Invalid(problems)) => {
                faults = problems;
                false
            }
            Err(error) => return Err(error.into()),
        }
    })?;
    if !faults.is_empty() {
        return page(&web, &form.who, (None, Faults::new(faults)), fields).await;
    }
    web.desk.wakeup.ring();
    let done = if is_urgent { "urgent" } else { "told" };
    Ok(Redirect::to(&format!("/min-sida?done={done}")).into_response())
}

#[derive(Template)]
#[template(path = "pages/own/poster.html")]
struct PosterPage {
    own: OwnFrame,
    card: Card,
}

async fn poster(State(web): State<Web>, Path(id): Path<String>, who: AtOwnPage) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let card = own_page_view::alert(&web.desk, &mut session, who.person(), &id).await?;
    drop(session);
    let own = who.frame(&web, ("Anslag", "first"));
    let card = Card::of(&own.frame.wall, card);
    if card.to_pass_on.is_none() {
        return Err(ActionError::NotFound.into());
    }
    show(StatusCode::OK, &PosterPage { own, card })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_the_body_of_an_sms_that_telephones_read() {
        assert_eq!(percent_encoded("Åre & 1+1\n"), "%C3%85re%20%26%201%2B1%0A");
        assert_eq!(with_stop("Röd bil"), "Röd bil.");
        assert_eq!(with_stop("Vart? "), "Vart?");
    }
}
