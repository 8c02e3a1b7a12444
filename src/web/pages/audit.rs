//! Owns the page of the audit log: newest first, with a filter.
//!
//! It only shows: taking the log out and walking its chain are `actions::audit_log`.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use jiff::civil::Date;
use serde::Deserialize;

use super::actor_names::ActorNames;
use super::administration::Choosable;
use super::audit_words::{ACTIONS, words};
use super::form::{Faults, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::visit::SignedIn;
use crate::actions::audit_chain::Walked;
use crate::actions::{ActionError, audit_log, require};
use crate::domain::operator::Right;
use crate::store::audit::{self, Filter, Head, Stored};
use crate::web::Web;
use crate::web::error::Problem;

/// Entries on a page.
const PAGE: i64 = 100;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/audit", get(list)).route("/audit/export", post(export)).route("/audit/check", post(check))
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
    faults: Faults,
    reason: String,
    walked: Option<Walked>,
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
    page(&web, (&headers, &who), query, Shown::default()).await
}

/// What the page shows beside the entries.
#[derive(Debug, Default)]
struct Shown {
    faults: Faults,
    reason: String,
    walked: Option<Walked>,
}

async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    query: AuditQuery,
    shown: Shown,
) -> Result<Response, Problem> {
    require(who.actor(), Right::ReadAudit)?;
    let mut session = web.desk.store.read().await?;
    let mut entries = audit::page(&mut session, &filter(web, &query), PAGE + 1).await?;
    let names = ActorNames::load(&mut session).await?;
    let head = audit::head(&mut session).await?;
    drop(session);
    let has_more = entries.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    entries.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    let last = entries.last().map(|entry| entry.id.clone()).filter(|_| has_more);
    let frame = Frame::of(web, headers, who, (Section::Audit, "Logg")).await;
    let status = if shown.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
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
        frame: frame.with_faults(!shown.faults.is_empty()),
        faults: shown.faults,
        reason: shown.reason,
        walked: shown.walked,
    };
    show(status, &page)
}

fn asked(form: &SignedForm) -> AuditQuery {
    let text = |name: &str| form.fields.text(name).to_owned();
    AuditQuery {
        actor: text("actor"),
        action: text("action"),
        object: text("object"),
        from: text("from"),
        until: text("until"),
        after: String::new(),
    }
}

async fn export(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let query = asked(&form);
    let reason = form.fields.text("reason");
    let mut session = web.desk.store.begin().await?;
    match audit_log::export(&web.desk, &mut session, form.who.actor(), (&filter(&web, &query), reason)).await {
        Ok(file) => {
            session.commit().await?;
            let name = "attachment; filename=\"logg.csv\"";
            Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, name)], file).into_response())
        }
        Err(ActionError::Invalid(problems)) => {
            drop(session);
            let shown = Shown { faults: Faults::new(problems), reason: reason.to_owned(), walked: None };
            page(&web, (&form.headers, &form.who), query, shown).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn check(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    let walked = audit_log::check(&web.desk, &mut session, form.who.actor()).await?;
    session.commit().await?;
    let shown = Shown { walked: Some(walked), ..Shown::default() };
    page(&web, (&form.headers, &form.who), asked(&form), shown).await
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
