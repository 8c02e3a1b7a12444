//! Owns what people answer to an alert, as its page shows it while they do.
//!
//! Who sent what is on the page of the observation. Invariant: what comes is counted, and put in only when somebody asks for
//! it, so that nothing jumps.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::frame::show;
use super::observation_words::state_words;
use super::time::{Wall, number};
use super::visit::SignedIn;
use crate::actions::{alert_view, observation_view};
use crate::domain::observation::{FOCUS_AREAS, tag_name};
use crate::domain::operator::Right;
use crate::store;
use crate::store::observation::Observation;
use crate::web::Web;
use crate::web::error::Problem;

/// Answers shown beside an alert; the inbox has them all.
const SHOWN: usize = 20;
/// New ones that are counted.
const COUNTED: i64 = 200;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/alerts/{id}/answers", get(whole)).route("/alerts/{id}/answers/new", get(new))
}

/// An answer in a few words.
#[derive(Debug)]
pub struct AnswerRow {
    /// Its id.
    pub id: String,
    /// The text.
    pub text: String,
    /// From which area, in words.
    pub area: String,
    /// When it came.
    pub at: String,
    /// For the pill.
    pub pill: (&'static str, &'static str),
    /// Whether it may be urgent.
    pub is_urgent: bool,
    /// Names of its tags.
    pub tags: Vec<String>,
    /// Focus areas it is not marked with, by code and name.
    pub choices: Vec<(&'static str, &'static str)>,
}

/// What people have answered to an alert.
#[derive(Debug, Default)]
pub struct Answers {
    /// The alert.
    pub alert: String,
    /// What every form holds.
    pub form_token: String,
    /// Whether they were fetched by who asked for the new ones, who then goes on with the newest.
    pub is_fetched: bool,
    /// Whether who looks works with them.
    pub may_work: bool,
    /// The newest.
    pub rows: Vec<AnswerRow>,
    /// Id of the newest; empty without any.
    pub newest: String,
    /// Whether there are more than are shown.
    pub has_more: bool,
    /// New ones, in words; empty when there is none.
    pub new: String,
}

#[derive(Template)]
#[template(path = "pages/parts/alert_answers.html")]
struct WholePart {
    answers: Answers,
}

#[derive(Template)]
#[template(path = "pages/parts/alert_answers_new.html")]
struct NewPart {
    answers: Answers,
}

impl Answers {
    /// Those to the alert `id`.
    ///
    /// # Errors
    /// [`Problem`].
    pub async fn load(web: &Web, who: &SignedIn, id: &str, wall: &Wall) -> Result<Self, Problem> {
        let mut session = web.desk.store.read().await?;
        let limit = i64::try_from(SHOWN + 1).unwrap_or(COUNTED);
        let mut rows = observation_view::about(&mut session, who.actor(), id, limit).await?;
        let tree = store::area::tree(&mut session).await?;
        let has_more = rows.len() > SHOWN;
        rows.truncate(SHOWN);
        let mut tags = BTreeMap::<String, Vec<String>>::new();
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        for (id, tag) in store::observation_tag::of_observations(&mut session, &ids).await? {
            tags.entry(id).or_default().push(tag);
        }
        drop(session);
        let area =
            |row: &Observation| row.area_code.as_deref().and_then(|code| tree.get(code)).map(|area| area.name.clone());
        let newest = rows.first().map(|row| row.id.clone()).unwrap_or_default();
        let rows = rows.into_iter().map(|row| {
            let tags = tags.remove(&row.id).unwrap_or_default();
            AnswerRow {
                area: area(&row).unwrap_or_else(|| "okänt område".to_owned()),
                at: wall.short(row.received_at),
                pill: state_words(&row.state),
                is_urgent: row.is_urgent == 1,
                choices: FOCUS_AREAS.into_iter().filter(|(code, _)| tags.iter().all(|tag| tag != code)).collect(),
                tags: tags.iter().map(|tag| tag_name(tag).to_owned()).collect(),
                id: row.id,
                text: row.text,
            }
        });
        Ok(Self {
            alert: id.to_owned(),
            form_token: who.form_token.clone(),
            may_work: who.actor().role.may(Right::WorkInbox),
            rows: rows.collect(),
            newest,
            has_more,
            ..Self::default()
        })
    }
}

async fn whole(State(web): State<Web>, Path(id): Path<String>, who: SignedIn) -> Result<Response, Problem> {
    seen(&web, &who, &id).await?;
    let wall = Wall::new(web.desk.config.server.zone(), web.desk.now());
    let answers = Answers { is_fetched: true, ..Answers::load(&web, &who, &id, &wall).await? };
    show(StatusCode::OK, &WholePart { answers })
}

/// What the page has.
#[derive(Debug, Default, Deserialize)]
struct NewQuery {
    #[serde(default)]
    after: String,
}

async fn new(
    State(web): State<Web>,
    Path(id): Path<String>,
    Query(query): Query<NewQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    seen(&web, &who, &id).await?;
    let mut session = web.desk.store.read().await?;
    let rows = observation_view::about(&mut session, who.actor(), &id, COUNTED).await?;
    drop(session);
    let count = rows.iter().take_while(|row| row.id > query.after).count();
    let new = match count {
        0 => String::new(),
        1 => "1 nytt svar".to_owned(),
        n => format!("{} nya svar", number(i64::try_from(n).unwrap_or(COUNTED))),
    };
    let may_work = who.actor().role.may(Right::WorkInbox);
    let answers = Answers { alert: id, may_work, newest: query.after, new, ..Answers::default() };
    show(StatusCode::OK, &NewPart { answers })
}

/// Refuses who may not see the alert.
async fn seen(web: &Web, who: &SignedIn, id: &str) -> Result<(), Problem> {
    let mut session = web.desk.store.read().await?;
    alert_view::get(&web.desk, &mut session, who.actor(), id).await?;
    Ok(())
}
