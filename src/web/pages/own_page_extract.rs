//! Owns all that is held on a contact person, for that person to read or take along (GDPR article 15).
//!
//! It gathers nothing; `actions::extract` does. Invariant: the page shows all that the file holds.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde_json::Value;

use super::frame::show;
use super::own_page_visit::{AtOwnPage, OwnFrame};
use super::time::Wall;
use crate::actions::own_page_view;
use crate::domain::contact_person::Field;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::look;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/min-sida/utdrag", get(page)).route("/min-sida/utdrag.json", get(file))
}

/// What is held of one kind.
#[derive(Debug)]
struct Section {
    heading: &'static str,
    /// Each with its lines: what it is called, and what it says.
    entries: Vec<Vec<(String, String)>>,
}

#[derive(Template)]
#[template(path = "pages/own/extract.html")]
struct ExtractPage {
    own: OwnFrame,
    sections: Vec<Section>,
}

async fn page(State(web): State<Web>, who: AtOwnPage) -> Result<Response, Problem> {
    web.own_page_limits.note_extract(&who.visitor.person.id)?;
    let all = look!(web, |session| own_page_view::extract(&web.desk, session, &who.visitor).await?)?;
    let own = who.frame(&web, ("Allt som finns om mig", "details"));
    let sections = sections(&own.frame.wall, &all);
    show(StatusCode::OK, &ExtractPage { own, sections })
}

async fn file(State(web): State<Web>, who: AtOwnPage) -> Result<Response, Problem> {
    web.own_page_limits.note_extract(&who.visitor.person.id)?;
    let all = look!(web, |session| own_page_view::extract(&web.desk, session, &who.visitor).await?)?;
    let headers = [
        (CONTENT_TYPE, "application/json; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"mina-uppgifter.json\""),
    ];
    Ok((headers, serde_json::to_string_pretty(&all).unwrap_or_default()).into_response())
}

fn sections(wall: &Wall, all: &Value) -> Vec<Section> {
    let Some(parts) = all.as_object() else { return Vec::new() };
    let section = |(name, value): (&String, &Value)| {
        let items: Vec<&Value> = match value {
            Value::Array(items) => items.iter().collect(),
            Value::Null => Vec::new(),
            one => vec![one],
        };
        let entries = items.into_iter().map(|item| lines(wall, item)).filter(|lines| !lines.is_empty()).collect();
        Section { heading: heading(name), entries }
    };
    let mut sections: Vec<Section> = parts.iter().map(section).collect();
    // Who it is comes first; the log, which is long, last.
    sections.sort_by_key(|section| match section.heading {
        "Uppgifter" => 0,
        "Logg" => 2,
        _ => 1,
    });
    sections
}

/// What stands in a value, a line for each thing that is known.
fn lines(wall: &Wall, value: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    add(wall, "", value, &mut lines);
    lines
}

fn add(wall: &Wall, name: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(parts) => {
            for (part, value) in parts {
                let name = match name {
                    "sms" => format!("nej till sms, {}", label(part)),
                    "email" => format!("nej till brev, {}", label(part)),
                    _ => label(part),
                };
                add(wall, if value.is_object() { part } else { &name }, value, lines);
            }
        }
        Value::Array(items) => {
            for item in items {
                add(wall, name, item, lines);
            }
        }
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => {
            let at = text.parse::<Timestamp>().ok().filter(|_| text.ends_with('Z'));
            lines.push((name.to_owned(), at.map_or_else(|| text.clone(), |at| wall.text(at.as_millisecond()))));
        }
        Value::Bool(is_so) => lines.push((name.to_owned(), if *is_so { "ja" } else { "nej" }.to_owned())),
        Value::Number(number) => lines.push((name.to_owned(), number.to_string())),
    }
}

fn heading(name: &str) -> &'static str {
    match name {
        "contact_person" => "Uppgifter",
        "messages" => "Larm och brev till dig",
        "observations" => "Det du har berättat",
        "replies" => "Svar till dig",
        "spread_confirmations" => "Larm du har spridit vidare",
        "channel_health" => "Hur utskick har nått dig",
        "email_unusable" => "E-postadress som inte fungerar",
        "mail" => "E-post från eller om dig",
        "file_rows" => "Rader i importerade filer",
        "own_page_links" => "Länkar till din sida",
        "own_page_sessions" => "Webbläsare du är inne från",
        "deputy" => "Din ersättare",
        "stands_in_for" => "Du är ersättare för",
        "stand_ins" => "Larm till en ersättare",
        "phone_calls" => "När vi har ringt dig",
        "log" => "Logg",
        _ => "Övrigt",
    }
}

/// What a field of the file is called; its own name where there is no Swedish one.
fn label(name: &str) -> String {
    if let Some(field) = Field::ALL.into_iter().find(|field| field.name() == name) {
        return field.label().to_owned();
    }
    let words = match name {
        "id" => "nummer",
        "area" => "områdets kod",
        "paused_until" => "pausad till",
        "at" => "när",
        "source" => "hur",
        "import_id" => "import",
        "created_at" => "skapad",
        "updated_at" => "ändrad",
        "message_id" | "alert_id" => "utskick",
        "kind" => "slag",
        "text" => "text",
        "channel" => "kanal",
        "not_reached" => "inte nådd",
        "delivery_id" => "leverans",
        "state" => "läge",
        "reason" => "orsak",
        "attempts" => "försök",
        "final_at" => "avslutad",
        "sender" => "avsändare",
        "received_at" => "kom in",
        "observation_id" => "iakttagelse",
        "delivered" => "kom fram",
        "undelivered" => "kom inte fram",
        "hard" => "adressen finns inte",
        "soft" => "tillfälligt fel",
        "ours" => "fel hos oss",
        "delivered_at" => "senast framme",
        "undelivered_at" => "senast inte framme",
        "verdict" => "bedömning",
        "code" => "kod",
        "subject" => "ämne",
        "diagnostic" => "serverns ord",
        "imported_at" => "importerad",
        "row" => "rad",
        "action" => "händelse",
        "item" => "innehåll",
        "set_by" => "inskriven av",
        "asked_by" => "begärd av",
        "called_by" => "ringde",
        "outcome" => "hur det gick",
        "used_at" => "använd",
        "seen_at" => "senast här",
        "expires_at" => "gäller till",
        "actor" => "vem",
        other => other,
    };
    words.to_owned()
}
