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

use super::form::{Faults, Fields};
use super::frame::{self, Frame, Urgent, show};
use super::menu::Section;
use super::observation_words::{ObservationRow, beginning, row};
use super::time::{Wall, number};
use super::visit::SignedIn;
use crate::actions::observation_view;
use crate::domain::area::{Area, AreaKind, AreaTree};
use crate::domain::observation::{FOCUS_AREAS, tag_code, tag_name};
use crate::domain::operator::{Actor, Right};
use crate::store;
use crate::store::alert::Answered;
use crate::store::observation::Filter;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::look;

/// Observations on a page.
const PAGE: i64 = 50;
/// Characters of an alert's text in the list to choose from.
const ALERT_TEXT: usize = 40;

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
    name: &'static str,
    href: String,
    is_current: bool,
}

/// A municipality or an alert to choose.
#[derive(Debug)]
struct Choice {
    code: String,
    name: String,
    is_chosen: bool,
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
    tags: Vec<(String, String)>,
    /// Focus areas that a number key each sets, by code and name.
    focus_areas: &'static [(&'static str, &'static str)],
    /// Id of who looks.
    me: String,
    /// The actor's municipalities; none where they have no more than one.
    municipalities: Vec<Choice>,
    alerts: Vec<Choice>,
    /// Codes and ids of what is chosen.
    query: InboxQuery,
    /// The alert that is chosen, where who looks may see its page.
    alert_page: Option<String>,
    /// The same list without anything chosen, where something is.
    all: Option<String>,
    /// Addresses of this page, the list's first page and its next.
    here: String,
    first: Option<String>,
    next: Option<String>,
    figures: String,
    reason: String,
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
    area: String,
    #[serde(default)]
    alert: String,
    #[serde(default)]
    after: String,
}

impl InboxQuery {
    /// The first page of the list that a form on it names, with what was chosen there.
    #[must_use]
    pub fn of_form(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).to_owned();
        Self {
            list: text("list"),
            tag: text("tag"),
            channel: text("channel"),
            area: text("area"),
            alert: text("alert"),
            after: String::new(),
        }
    }

    /// The address of a list with what is chosen, after this id.
    fn address(&self, list: &str, after: &str) -> String {
        let chosen = [("tag", &self.tag), ("channel", &self.channel), ("area", &self.area), ("alert", &self.alert)];
        let chosen = chosen.into_iter().map(|(name, value)| (name, value.as_str()));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("list", list);
        query.extend_pairs(chosen.chain([("after", after)]).filter(|(_, value)| !value.is_empty()));
        format!("/observations?{}", query.finish())
    }

    /// The same, without what nobody can choose.
    fn known(&self, list: &'static str, municipalities: &[Choice]) -> Self {
        let is_channel = matches!(self.channel.as_str(), "sms" | "email" | "page");
        let is_mine = municipalities.iter().any(|one| one.code == self.area);
        Self {
            list: list.to_owned(),
            tag: tag_code(&self.tag),
            channel: if is_channel { self.channel.clone() } else { String::new() },
            area: if is_mine { self.area.clone() } else { String::new() },
            ..self.clone()
        }
    }

    fn filter(&self, actor_id: &str) -> Filter {
        let mut filter = Filter {
            kind: "observation".to_owned(),
            tag: self.tag.clone(),
            channel: self.channel.clone(),
            message_id: self.alert.clone(),
            after: self.after.clone(),
            archived: Some(false),
            ..Filter::default()
        };
        match self.list.as_str() {
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
    let ((mut views, next), query, choices, figures, known) = look!(web, |session| {
        let tree = store::area::tree(session).await?;
        let municipalities = municipalities(&tree, actor, &query.area);
        let query = query.known(list, &municipalities);
        let filter = query.filter(&actor.id);
        let page = observation_view::page(&web.desk, session, actor, (&filter, query.area.as_str()), PAGE).await?;
        let alerts = observation_view::answered_alerts(&web.desk, session, actor).await?;
        let figures = observation_view::figures(&web.desk, session, actor).await?;
        (page, query, (municipalities, alerts), figures, store::observation_tag::known(session).await?)
    })?;
    if list == "done" {
        views.retain(|view| view.observation.kind != "observation");
    }
    let frame = Frame::of(web, headers, who, (Section::Inbox, "Inkorg")).await;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let own = known.into_iter().filter(|tag| FOCUS_AREAS.iter().all(|(code, _)| code != tag));
    let (municipalities, alerts) = choices;
    let is_chosen = [&query.tag, &query.channel, &query.area, &query.alert].into_iter().any(|one| !one.is_empty());
    let page = InboxPage {
        tabs: LISTS
            .iter()
            .map(|(code, name, _)| ListTab { name, href: query.address(code, ""), is_current: *code == list })
            .collect(),
        list,
        empty: if is_chosen { "Inget i listan passar det du har valt." } else { empty },
        rows: views.iter().map(|view| row(&frame.wall, frame.now_ms, view)).collect(),
        tags: FOCUS_AREAS
            .iter()
            .map(|(code, _)| (*code).to_owned())
            .chain(own)
            .map(|code| (code.clone(), tag_name(&code).to_owned()))
            .collect(),
        focus_areas: &FOCUS_AREAS,
        me: actor.id.clone(),
        municipalities,
        alerts: alert_choices(&alerts, &query.alert, &frame.wall),
        alert_page: Some(&query.alert)
            .filter(|id| !id.is_empty() && actor.role.may(Right::ReadAlerts))
            .map(|id| format!("/alerts/{id}")),
        all: is_chosen.then(|| InboxQuery::default().address(list, "")),
        here: query.address(list, &query.after),
        first: (!query.after.is_empty()).then(|| query.address(list, "")),
        next: next.map(|after| query.address(list, &after)),
        figures: figures_words(&figures),
        reason,
        query,
        frame: frame.with_faults(!faults.is_empty()),
        faults,
    };
    show(status, &page)
}

/// The actor's municipalities by name, where there is a choice.
fn municipalities(tree: &AreaTree, actor: &Actor, chosen: &str) -> Vec<Choice> {
    let mine = |area: &&Area| area.kind == AreaKind::Municipality && tree.is_within(&area.code, &actor.area);
    let choice =
        |area: &Area| Choice { code: area.code.clone(), name: area.name.clone(), is_chosen: area.code == chosen };
    let mut found: Vec<Choice> = tree.iter().filter(mine).map(choice).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if found.len() > 1 { found } else { Vec::new() }
}

/// The alerts to choose from, and the one that is chosen also when it is older.
fn alert_choices(alerts: &[Answered], chosen: &str, wall: &Wall) -> Vec<Choice> {
    let choice = |alert: &Answered| Choice {
        code: alert.id.clone(),
        name: format!("{} {}", wall.short(alert.created_at), beginning(&alert.text, ALERT_TEXT)),
        is_chosen: alert.id == chosen,
    };
    let mut choices: Vec<Choice> = alerts.iter().map(choice).collect();
    if !chosen.is_empty() && choices.iter().all(|one| !one.is_chosen) {
        choices.push(Choice { code: chosen.to_owned(), name: "Det du har valt".to_owned(), is_chosen: true });
    }
    choices
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
