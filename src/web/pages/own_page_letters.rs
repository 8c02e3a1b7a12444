//! Owns what a contact person can read again: the letters they got, and what they have told with the answers to it.
//!
//! Invariant: texts that people wrote are shown as text.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::frame::show;
use super::own_page_visit::{AtOwnPage, OwnFrame};
use super::time::Wall;
use crate::actions::own_page_view::{self, OwnObservation};
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/min-sida/svar", get(answers))
        .route("/min-sida/brev", get(letters))
        .route("/min-sida/brev/{id}", get(letter))
}

/// Something the person has told, as shown.
#[derive(Debug)]
struct Told {
    at: String,
    how: &'static str,
    text: String,
    place: String,
    pill: (&'static str, &'static str),
    answers: Vec<(String, String)>,
}

impl Told {
    fn of(wall: &Wall, observation: OwnObservation) -> Self {
        let row = observation.row;
        let answers = observation.replies.iter().map(|reply| {
            // The first line of a mail of the program's own is its subject.
            let text = match reply.channel.as_str() {
                "email" => reply.body.split_once('\n').map_or(reply.body.as_str(), |(_, text)| text),
                _ => reply.body.as_str(),
            };
            (wall.text(reply.created_at), text.to_owned())
        });
        Self {
            answers: answers.collect(),
            at: wall.text(row.received_at),
            how: match row.channel.as_str() {
                "page" => "här på sidan",
                "sms" => "med sms",
                _ => "med e-post",
            },
            pill: match row.state.as_str() {
                "received" => ("", "Har kommit in"),
                "assessed" => ("info", "Läst och bedömd"),
                "acted" => ("info", "Har lett till en åtgärd"),
                _ => ("ok", "Återkopplad"),
            },
            text: row.text,
            place: row.place,
        }
    }
}

#[derive(Template)]
#[template(path = "pages/own/answers.html")]
struct AnswersPage {
    own: OwnFrame,
    told: Vec<Told>,
}

async fn answers(State(web): State<Web>, who: AtOwnPage) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let rows = own_page_view::observations(&mut session, who.person()).await?;
    drop(session);
    let own = who.frame(&web, ("Mina iakttagelser", "answers"));
    let told = rows.into_iter().map(|row| Told::of(&own.frame.wall, row)).collect();
    show(StatusCode::OK, &AnswersPage { own, told })
}

#[derive(Template)]
#[template(path = "pages/own/letters.html")]
struct LettersPage {
    own: OwnFrame,
    /// Path, subject, when and how.
    letters: Vec<(String, String, String)>,
}

async fn letters(State(web): State<Web>, who: AtOwnPage) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let rows = own_page_view::letters(&mut session, who.person()).await?;
    drop(session);
    let own = who.frame(&web, ("Brev till mig", "letters"));
    let line = |letter: crate::store::own_page::OwnLetter| {
        let how = if letter.channel == "paper" { "på papper" } else { "med e-post" };
        let when = format!("{} {how}", own.frame.wall.short(letter.sends_at));
        (format!("/min-sida/brev/{}", letter.id), letter.subject, when)
    };
    let letters = rows.into_iter().map(line).collect();
    show(StatusCode::OK, &LettersPage { own, letters })
}

#[derive(Template)]
#[template(path = "pages/own/letter.html")]
struct LetterPage {
    own: OwnFrame,
    subject: String,
    text: String,
}

async fn letter(State(web): State<Web>, Path(id): Path<String>, who: AtOwnPage) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let (letter, text) = own_page_view::letter(&web.desk, &mut session, who.person(), &id).await?;
    drop(session);
    show(StatusCode::OK, &LetterPage { own: who.frame(&web, ("Brev", "letters")), subject: letter.subject, text })
}
