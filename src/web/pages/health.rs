//! Owns the health page: what `/readyz` says, in words, with what to do about it.
//!
//! It measures nothing itself. Invariant: the page and `/readyz` never say different things.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;

use super::frame::{Frame, show};
use super::gateway::pause_reason;
use super::menu::Section;
use super::time::number;
use super::visit::SignedIn;
use crate::actions::{require, waiting};
use crate::domain::delivery::Channel;
use crate::domain::operator::Right;
use crate::store::queue::QueueDepth;
use crate::store::{self, setting};
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::watch;

/// A copy older than this is said aloud: two days, in milliseconds.
const OLD_COPY_MS: i64 = 48 * 3_600_000;
/// Something that has been due for so long is late: a minute, in milliseconds.
const LATE_MS: i64 = 60_000;

/// The route.
pub fn router() -> Router<Web> {
    Router::new().route("/admin/health", get(look))
}

/// One thing and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    name: &'static str,
    /// `ok`, `warn` or `bad`.
    code: &'static str,
    state: String,
    advice: &'static str,
}

#[derive(Template)]
#[template(path = "pages/health.html")]
struct HealthPage {
    frame: Frame,
    is_ready: bool,
    parts: Vec<Part>,
    version: &'static str,
}

async fn look(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    require(who.actor(), Right::Administer)?;
    let causes = watch::causes(&web).await;
    let is_ready = causes.as_object().is_some_and(|causes| causes.values().all(|cause| cause["ok"] == true));
    let mut session = web.desk.store.read().await?;
    let depths = waiting::depths(&web.desk, &mut session).await?;
    let (in_doubt, overdue) = store::queue::open_figures(&mut session, web.desk.now()).await?;
    let copied = setting::get(&mut session, setting::BACKED_UP_AT).await?.and_then(|at| at.parse().ok());
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Administration, "Hälsa")).await;
    let mut parts = ready_parts(&causes);
    parts.extend([Channel::Sms, Channel::Email].map(|channel| queue(&frame, channel, &depths)));
    parts.push(doubt(in_doubt, overdue));
    parts.push(duty(!web.desk.config.replies.duty_number.is_empty()));
    if web.desk.config.database.sqlite_file().is_some() {
        parts.push(copy(&frame, copied));
    }
    show(StatusCode::OK, &HealthPage { frame, is_ready, parts, version: env!("CARGO_PKG_VERSION") })
}

/// A cause's key, its name, what to do about it, and its state in words.
type Known = (&'static str, &'static str, &'static str, fn(&Value) -> String);

/// What `/readyz` names, in its order of importance.
fn ready_parts(causes: &Value) -> Vec<Part> {
    let known: [Known; 5] = [
        ("database", "Databas", "Se loggen och databasens egen.", |_| "Svarar".to_owned()),
        ("migrations", "Databasens form", "Kör grannpost migrate.", |cause| match cause["pending"].as_u64() {
            Some(0) | None => "Som programmet väntar sig".to_owned(),
            Some(pending) => format!("{pending} ändringar är inte gjorda"),
        }),
        ("gateways", "Sms-tjänst och e-post", "Se fliken Sms-tjänst och paus.", gateways),
        ("disk", "Diskutrymme", "Frigör utrymme innan disken är full.", |cause| {
            let mebibytes = cause["free_bytes"].as_u64().unwrap_or(0) / (1024 * 1024);
            format!("{} MiB ledigt", number(i64::try_from(mebibytes).unwrap_or(i64::MAX)))
        }),
        ("paused", "Utskick", "Släpp på utskicken på fliken Sms-tjänst och paus.", |cause| {
            cause["reason"]
                .as_str()
                .map_or_else(|| "Går".to_owned(), |reason| format!("Pausade: {}", pause_reason(reason)))
        }),
    ];
    let part = |(key, name, advice, words): Known| {
        let cause = causes.get(key)?;
        let is_ok = cause["ok"] == true;
        let state = match cause["detail"].as_str() {
            Some(detail) => format!("Svarar inte ({detail})"),
            None => words(cause),
        };
        Some(Part { name, code: if is_ok { "ok" } else { "bad" }, state, advice: if is_ok { "" } else { advice } })
    };
    known.into_iter().filter_map(part).collect()
}

fn gateways(cause: &Value) -> String {
    let down = cause["down"].as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<&str> = down.iter().filter_map(|one| one["gateway"].as_str()).collect();
    match cause["carrying"].as_str() {
        _ if names.is_empty() => "Alla svarar".to_owned(),
        Some(carrying) if cause["ok"] == true => format!("Svarar inte: {}. {carrying} används.", names.join(", ")),
        _ => format!("Svarar inte: {}", names.join(", ")),
    }
}

/// How much is due and how long the first has been.
fn queue(frame: &Frame, channel: Channel, depths: &[QueueDepth]) -> Part {
    let own = || depths.iter().filter(|depth| depth.channel == channel.code());
    let waiting: i64 = own().map(|depth| depth.deliveries).sum();
    let oldest = own().filter_map(|depth| depth.oldest_at).min();
    let is_late = oldest.is_some_and(|at| frame.now_ms - at > LATE_MS);
    Part {
        name: if channel == Channel::Sms { "Sms som väntar" } else { "Brev som väntar" },
        code: if is_late { "warn" } else { "ok" },
        state: match oldest {
            Some(at) => format!("{}, det äldsta sedan {}", number(waiting), frame.wall.text(at)),
            None => "Inga".to_owned(),
        },
        advice: if is_late {
            "Stora utskick tar tid. Går det inte framåt, se fliken Sms-tjänst och paus."
        } else {
            ""
        },
    }
}

fn doubt(in_doubt: i64, overdue: i64) -> Part {
    let state = match (in_doubt, overdue) {
        (0, 0) => "Inga".to_owned(),
        (in_doubt, 0) => format!("{} vars svar försvann", number(in_doubt)),
        (in_doubt, overdue) => {
            format!("{} vars svar försvann, {} som ingen tjänst längre håller i", number(in_doubt), number(overdue))
        }
    };
    let is_ok = in_doubt == 0 && overdue == 0;
    let advice = if is_ok { "" } else { "De reds ut av sig själva, eller avgörs på utskickets sida." };
    Part { name: "Osäkra leveranser", code: if is_ok { "ok" } else { "warn" }, state, advice }
}

/// Whether anybody is told of an acute answer that nobody takes.
fn duty(has_number: bool) -> Part {
    let (code, state, advice) = match has_number {
        true => ("ok", "Går som sms till ett nummer", ""),
        false => (
            "warn",
            "Inget nummer får sms",
            "Ange replies.duty_number. Annars når ett akut svar bara den som har inkorgen öppen.",
        ),
    };
    Part { name: "Akuta svar som ingen tar", code, state: state.to_owned(), advice }
}

fn copy(frame: &Frame, copied: Option<i64>) -> Part {
    let is_old = copied.is_none_or(|at| frame.now_ms - at > OLD_COPY_MS);
    Part {
        name: "Säkerhetskopia",
        code: if is_old { "warn" } else { "ok" },
        state: copied.map_or_else(
            || "Ingen är gjord med grannpost backup".to_owned(),
            |at| format!("Gjord och kontrollerad {}", frame.wall.text(at)),
        ),
        advice: if is_old { "Kör grannpost backup varje natt, eller kopiera löpande på annat sätt." } else { "" },
    }
}
