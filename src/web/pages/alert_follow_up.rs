//! Owns the page of a follow-up: the word that an alert is no longer valid, a correction, or more of what is known.
//!
//! It goes to exactly those whose phone may have the first; `actions::follow_up` knows who. Invariant: a second click makes
//! nothing more.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::alert_areas::in_words;
use super::alert_effect::{Phone, phone};
use super::form::{Faults, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::time::number;
use super::visit::SignedIn;
use crate::actions::follow_up::{self, FollowUpPreview, NewFollowUp};
use crate::actions::{ActionError, alert_view, require};
use crate::domain::operator::Right;
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{Begun, Repeatable};

/// The kinds: code, heading, what the button does, the text it begins with.
const KINDS: [(&str, &str, &str, &str); 3] = [
    ("all_clear", "Gäller inte längre", "Skicka besked om att det inte gäller längre", "Tack för hjälpen."),
    ("correction", "Rättelse", "Skicka rättelse", ""),
    ("update", "Ny information", "Skicka ny information", ""),
];

/// What a reminder to those who are silent about spreading begins with.
const REMINDER: &str = "Har du spritt det vidare? Svara SPRITT och antal hushåll.";

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/alerts/{id}/follow-up", get(blank).post(send))
}

#[derive(Template)]
#[template(path = "pages/alert_follow_up.html")]
struct FollowUpPage {
    frame: Frame,
    faults: Faults,
    id: String,
    kind: &'static str,
    heading: &'static str,
    does: &'static str,
    text: String,
    decided_by: String,
    first_text: String,
    areas: String,
    recipients: String,
    closes: bool,
    is_drill: bool,
    silent_only: bool,
    phone: Phone,
    key: String,
}

/// Which kind.
#[derive(Debug, Default, Deserialize)]
struct KindQuery {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    only: String,
}

async fn blank(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<KindQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let kind = KINDS.iter().find(|(code, ..)| *code == query.kind).unwrap_or(&KINDS[2]);
    let silent_only = query.only == "silent" && kind.0 == "update";
    let text = if silent_only { REMINDER } else { kind.3 };
    let new = NewFollowUp { kind: kind.0.to_owned(), text: text.to_owned(), silent_only, ..NewFollowUp::default() };
    page(&web, (&headers, &who), &id, (new, Faults::default())).await
}

async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    id: &str,
    (new, faults): (NewFollowUp, Faults),
) -> Result<Response, Problem> {
    require(who.actor(), Right::SendAlerts)?;
    let mut session = web.desk.store.read().await?;
    let first = alert_view::get(&web.desk, &mut session, who.actor(), id).await?;
    let tree = store::area::tree(&mut session).await?;
    let shown = match follow_up::preview(&web.desk, &mut session, who.actor(), id, &new).await {
        Err(ActionError::Invalid(_)) => {
            FollowUpPreview { sms: crate::domain::sms_text::SmsText::default(), recipients: 0 }
        }
        other => other?,
    };
    drop(session);
    let (kind, heading, does, _) = *KINDS.iter().find(|(code, ..)| *code == new.kind).unwrap_or(&KINDS[2]);
    let frame = Frame::of(web, headers, who, (Section::Alerts, heading)).await;
    let is_drill = first.alert.drill == 1;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = FollowUpPage {
        frame: frame.as_drill(is_drill).with_faults(!faults.is_empty()),
        faults,
        id: id.to_owned(),
        kind,
        heading,
        does,
        text: new.text,
        decided_by: new.decided_by.unwrap_or(first.alert.decided_by),
        first_text: first.alert.text,
        areas: in_words(&tree, &first.areas),
        recipients: number(shown.recipients),
        closes: kind != "update",
        silent_only: new.silent_only,
        is_drill,
        phone: phone(&shown.sms),
        key: web.desk.id(),
    };
    show(status, &page)
}

async fn send(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::SendAlerts)?;
    let text = |name: &str| form.fields.text(name).to_owned();
    let new = NewFollowUp {
        kind: text("kind"),
        text: text("text"),
        decided_by: Some(text("decided_by")),
        silent_only: text("only") == "silent",
        ..NewFollowUp::default()
    };
    if form.fields.has("look") {
        return page(&web, (&form.headers, &form.who), &id, (new, Faults::default())).await;
    }
    let repeatable = Repeatable::of_form(form.fields.text("key"), &format!("/alerts/{id}/follow-up"))?;
    let body = serde_json::json!([new.kind, new.text, new.decided_by, new.silent_only]).to_string();
    let turn = repeatable.turn_in_line(&web, actor, body.as_bytes()).await?;
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    match follow_up::create(&web.desk, work.session(), actor, &id, &new).await {
        Ok(made) => work.finish_at(&format!("/alerts/{}", made.message.id)).await,
        Err(ActionError::Invalid(problems)) if problems.iter().all(|problem| problem.name != "kind") => {
            drop(work);
            page(&web, (&form.headers, &form.who), &id, (new, Faults::new(problems))).await
        }
        Err(error) => Err(error.into()),
    }
}
