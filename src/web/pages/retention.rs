//! Owns the page about what is disposed of (gallring): the rules, the decisions they rest on, and what each would remove today.
//!
//! It removes nothing. Invariant: no person is shown.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::frame::{Frame, show};
use super::menu::Section;
use super::time::number;
use super::visit::SignedIn;
use crate::actions::retention::{self, MOST_COUNTED, Standing};
use crate::domain::retention::Rule;
use crate::web::Web;
use crate::web::error::Problem;

/// The route.
pub fn router() -> Router<Web> {
    Router::new().route("/admin/retention", get(look))
}

/// A rule in words.
#[derive(Debug)]
struct RuleRow {
    name: &'static str,
    what: &'static str,
    key: String,
    /// The decision; empty when the rule is off.
    decision: String,
    term: String,
    waiting: String,
}

#[derive(Template)]
#[template(path = "pages/retention.html")]
struct RetentionPage {
    frame: Frame,
    rules: Vec<RuleRow>,
}

async fn look(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let standings = retention::look(&web.desk, &mut session, who.actor()).await?;
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Administration, "Gallring")).await;
    show(StatusCode::OK, &RetentionPage { frame, rules: standings.into_iter().map(row).collect() })
}

fn row(standing: Standing) -> RuleRow {
    let (name, what) = words(standing.rule);
    let days = number(i64::from(standing.days));
    RuleRow {
        name,
        what,
        key: format!("retention.{}.decision", standing.rule.code()),
        term: match standing.from_year_end {
            true => format!("{days} dagar efter kalenderårets slut"),
            false => format!("{days} dagar"),
        },
        waiting: match standing.waiting {
            MOST_COUNTED.. => format!("minst {}", number(MOST_COUNTED)),
            waiting => number(waiting),
        },
        decision: standing.decision,
    }
}

/// What a rule is called, and what it takes away.
#[must_use]
pub fn words(rule: Rule) -> (&'static str, &'static str) {
    match rule {
        Rule::Observations => {
            ("Svar och iakttagelser", "Text, avsändare, plats, taggar, sms och mejl som de kom, och vad vi svarade.")
        }
        Rule::Recipients => (
            "Mottagare av utskick",
            "Nummer, adresser, vilka personer det var och vad sms-tjänst och e-postservrar sa. Antal och lägen blir kvar.",
        ),
        Rule::Imports => ("Importerade filer", "Vad som stod i filernas rader. Registret påverkas inte."),
        Rule::Calls => (
            "Anteckningar om samtal",
            "Vad som antecknades när vi ringde dem som inget når. Att vi ringde, och hur det gick, blir kvar.",
        ),
        Rule::Mail => ("Övrig inkommande post", "Studsar, automatsvar och post som ingen förstod."),
    }
}
