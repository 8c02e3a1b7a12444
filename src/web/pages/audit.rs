//! Owns the page of the audit log: newest first, with a filter.
//!
//! It changes nothing and checks nothing: that the chain is unbroken is proven by `grannpost verify`.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use jiff::civil::Date;
use serde::Deserialize;

use super::actor_names::ActorNames;
use super::administration::Choosable;
use super::audit_words::{ACTIONS, words};
use super::frame::{Frame, show};
use super::menu::Section;
use super::visit::SignedIn;
use crate::actions::require;
use crate::domain::operator::Right;
use crate::store::audit::{self, Filter, Head, Stored};
use crate::web::Web;
use crate::web::error::Problem;

/// Entries on a page.
const PAGE: i64 = 100;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/audit", get(list))
}

/// An entry in the list.
#[derive(Debug)]
struct EntryRow {
    at: String,
    actor: String,
    action: String,
    words: &'static str,
    object: String,
    detail: Vec<(String, String)>,
    seq: Option<i64>,
}

#[derive(Template)]
#[template(path = "pages/audit.html")]
struct AuditPage {
    frame: Frame,
    rows: Vec<EntryRow>,
    actors: Vec<Choosable>,
    actions: Vec<Choosable>,
    object: String,
    from: String,
    until: String,
    is_filtered: bool,
    older: Option<String>,
    head: Option<Head>,
}

/// What is looked for; dates as `2026-11-20`.
#[derive(Debug, Default, Deserialize)]
struct AuditQuery {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    object: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    after: String,
}

async fn list(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<AuditQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    require(who.actor(), Right::ReadAudit)?;
    let mut session = web.desk.store.read().await?;
    let mut entries = audit::page(&mut session, &filter(&web, &query), PAGE + 1).await?;
    let names = ActorNames::load(&mut session).await?;
    let head = audit::head(&mut session).await?;
    drop(session);
    let has_more = entries.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    entries.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    let last = entries.last().map(|entry| entry.id.clone()).filter(|_| has_more);
    let frame = Frame::of(&web, &headers, &who, (Section::Audit, "Logg")).await;
    let page = AuditPage {
        rows: entries.into_iter().map(|entry| row(&frame, &names, entry)).collect(),
        actors: actors(&names, &query.actor),
        actions: ACTIONS.iter().map(|(code, text)| choosable(code, text, &query.action)).collect(),
        is_filtered: [&query.actor, &query.action, &query.object, &query.from, &query.until]
            .iter()
            .any(|text| !text.is_empty()),
        older: last.map(|last| address(&query, &last)),
        object: query.object,
        from: query.from,
        until: query.until,
        head,
        frame,
    };
    show(StatusCode::OK, &page)
}

/// Days are those of the wall clock here; the last one is in it.
fn filter(web: &Web, query: &AuditQuery) -> Filter {
    let zone = web.desk.config.server.zone();
    let midnight = |date: Date| date.to_zoned(zone.clone()).ok().map(|time| time.timestamp().as_millisecond());
    let date = |text: &str| text.trim().parse::<Date>().ok();
    Filter {
        actor: query.actor.trim().to_owned(),
        action: query.action.trim().to_owned(),
        object_id: query.object.trim().to_owned(),
        from: date(&query.from).and_then(midnight).unwrap_or(i64::MIN / 2),
        until: date(&query.until).and_then(|date| date.tomorrow().ok()).and_then(midnight).unwrap_or(i64::MAX / 2),
        after: query.after.clone(),
    }
}

fn row(frame: &Frame, names: &ActorNames, entry: Stored) -> EntryRow {
    let detail: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&entry.detail).unwrap_or_default();
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        value => value.to_string(),
    };
    EntryRow {
        at: frame.wall.short(entry.at),
        actor: names.of(&entry.actor),
        words: words(&entry.action),
        object: format!("{} {}", entry.object_kind, entry.object_id).trim().to_owned(),
        detail: detail
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, text(value)))
            .collect(),
        seq: entry.seq,
        action: entry.action,
    }
}

fn choosable(code: &str, text: &str, chosen: &str) -> Choosable {
    Choosable { code: code.to_owned(), text: text.to_owned(), is_chosen: code == chosen }
}

fn actors(names: &ActorNames, chosen: &str) -> Vec<Choosable> {
    let own = [("cli", "Kommandoraden"), ("grannpost", "Tjänsten själv"), ("nobody", "Ingen inloggad")];
    let mut all: Vec<Choosable> = names.iter().map(|(id, name)| choosable(id, name, chosen)).collect();
    all.sort_by(|a, b| a.text.cmp(&b.text));
    all.extend(own.iter().map(|(id, name)| choosable(id, name, chosen)));
    all
}

fn address(query: &AuditQuery, after: &str) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    let fields = [
        ("actor", &query.actor),
        ("action", &query.action),
        ("object", &query.object),
        ("from", &query.from),
        ("until", &query.until),
    ];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        text.append_pair(name, value);
    }
    format!("/audit?{}", text.append_pair("after", after).finish())
}
