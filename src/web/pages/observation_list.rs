//! Owns the inbox: what people have answered, by what somebody has to do with it.
//!
//! It changes nothing but the log of who looked. Invariant: what is urgent and untaken stands above every list.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::form::Faults;
use super::frame::{self, Frame, Urgent, show};
use super::menu::Section;
use super::observation_words::{ObservationRow, row};
use super::time::{Wall, number};
use super::visit::SignedIn;
use crate::actions::observation_view;
use crate::domain::observation::{FOCUS_AREAS, tag_code, tag_name};
use crate::store::observation::Filter;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::look;

/// Observations on a page.
const PAGE: i64 = 50;

/// The lists: code, name, what stands there when it is empty.
const LISTS: [(&str, &str, &str); 7] = [
    ("new", "Nya", "Inga nya iakttagelser."),
    ("mine", "Mina", "Du har inte tagit någon iakttagelse."),
    ("unanswered", "Obesvarade", "Alla iakttagelser är besvarade."),
    ("urgent", "Akuta", "Inget svar har ord som betyder att något pågår."),
    ("unknown", "Okänt nummer", "Alla svar kommer från kända personer."),
    ("all", "Alla", "Här visas det som kontaktombuden svarar. Inget har kommit än."),
    ("done", "Skött av tjänsten", "Här visas STOP, PAUS, SPRITT och automatiska svar. Inget har kommit än."),
];

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/observations", get(list)).route("/observations/urgent", get(urgent))
}

/// A list to choose.
#[derive(Debug)]
struct ListTab {
    code: &'static str,
    name: &'static str,
    is_current: bool,
}

#[derive(Template)]
#[template(path = "pages/observations.html")]
struct InboxPage {
    frame: Frame,
    faults: Faults,
    tabs: Vec<ListTab>,
    list: &'static str,
    empty: &'static str,
    rows: Vec<ObservationRow>,
    tag: String,
    tags: Vec<(String, String)>,
    /// Focus areas that a number key each sets, by code and name.
    focus_areas: &'static [(&'static str, &'static str)],
    /// Id of who looks.
    me: String,
    channel: String,
    alert: String,
    figures: String,
    reason: String,
    next: Option<String>,
    is_first: bool,
}

/// Which list, and what of it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct InboxQuery {
    #[serde(default)]
    list: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    alert: String,
    #[serde(default)]
    after: String,
}

impl InboxQuery {
    /// The first page of a list.
    #[must_use]
    pub fn of_list(list: &str) -> Self {
        Self { list: list.to_owned(), ..Self::default() }
    }

    fn filter(&self, list: &str, actor_id: &str) -> Filter {
        let mut filter = Filter {
            kind: "observation".to_owned(),
            tag: tag_code(&self.tag),
            channel: if matches!(self.channel.as_str(), "sms" | "email" | "page") {
                self.channel.clone()
            } else {
                String::new()
            },
            message_id: self.alert.clone(),
            after: self.after.clone(),
            archived: Some(false),
            ..Filter::default()
        };
        match list {
            "new" => filter.state = "received".to_owned(),
            "mine" => filter.owner = actor_id.to_owned(),
            "unanswered" => filter.unanswered = true,
            "urgent" => filter.urgent = true,
            "unknown" => filter.unknown = true,
            "done" => (filter.kind, filter.archived) = (String::new(), None),
            _ => filter.archived = None,
        }
        filter
    }
}

async fn list(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<InboxQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    page(&web, (&headers, &who), &query, (String::new(), Faults::default())).await
}

/// The inbox, with what is wrong with a form on it.
///
/// # Errors
/// [`Problem`].
pub async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    query: &InboxQuery,
    (reason, faults): (String, Faults),
) -> Result<Response, Problem> {
    let actor = who.actor();
    let (list, _, empty) = *LISTS.iter().find(|(code, ..)| *code == query.list).unwrap_or(&LISTS[0]);
    let filter = query.filter(list, &actor.id);
    let ((mut views, next), figures, known) = look!(web, |session| {
        let page = observation_view::page(&web.desk, session, actor, &filter, PAGE).await?;
        let figures = observation_view::figures(&web.desk, session, actor).await?;
        (page, figures, crate::store::observation_tag::known(session).await?)
    })?;
    if list == "done" {
        views.retain(|view| view.observation.kind != "observation");
    }
    let frame = Frame::of(web, headers, who, (Section::Inbox, "Inkorg")).await;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let own = known.into_iter().filter(|tag| FOCUS_AREAS.iter().all(|(code, _)| code != tag));
    let page = InboxPage {
        tabs: LISTS.iter().map(|(code, name, _)| ListTab { code, name, is_current: *code == list }).collect(),
        list,
        empty,
        rows: views.iter().map(|view| row(&frame.wall, frame.now_ms, view)).collect(),
        tag: filter.tag,
        tags: FOCUS_AREAS
            .iter()
            .map(|(code, _)| (*code).to_owned())
            .chain(own)
            .map(|code| (code.clone(), tag_name(&code).to_owned()))
            .collect(),
        focus_areas: &FOCUS_AREAS,
        me: actor.id.clone(),
        channel: filter.channel,
        alert: filter.message_id,
        figures: figures_words(&figures),
        reason,
        next,
        is_first: query.after.is_empty(),
        frame: frame.with_faults(!faults.is_empty()),
        faults,
    };
    show(status, &page)
}

/// How the inbox stands, in one line.
#[must_use]
pub fn figures_words(figures: &crate::store::observation::Figures) -> String {
    let mut words = match figures.unanswered {
        0 => "Inga iakttagelser väntar på svar.".to_owned(),
        1 => "1 iakttagelse väntar på svar.".to_owned(),
        n => format!("{} iakttagelser väntar på svar.", number(n)),
    };
    if figures.overdue > 0 {
        words.push_str(&format!(" {} har väntat för länge.", number(figures.overdue)));
    }
    if let Some(wait) = figures.median_wait_ms {
        words.push_str(&format!(" Hälften får svar inom {} (senaste 90 dagarna).", wait_words(wait)));
    }
    words
}

fn wait_words(ms: i64) -> String {
    match (ms + 59_999) / 60_000 {
        minutes @ 0..=119 => format!("{} min", minutes.max(1)),
        minutes @ 120..=2_879 => format!("{} h", minutes / 60),
        minutes => format!("{} dygn", minutes / 1_440),
    }
}

#[derive(Template)]
#[template(path = "pages/parts/urgent.html")]
struct UrgentPart {
    urgent: Urgent,
}

/// What stands above every page; a page asks for it by itself.
async fn urgent(State(web): State<Web>, who: SignedIn) -> Result<Response, Problem> {
    let wall = Wall::new(web.desk.config.server.zone(), web.desk.now());
    let urgent = frame::urgent(&web, who.actor(), &wall).await.unwrap_or_default();
    show(StatusCode::OK, &UrgentPart { urgent })
}
