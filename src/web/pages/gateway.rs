//! Owns the page about the ways out: how each gateway and the mail relay is, a test to oneself, pausing everything and
//! starting it again.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::form::{Faults, ProvenForm, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::time::{Wall, number};
use super::visit::SignedIn;
use crate::actions::gateway_test::{self, Tested};
use crate::actions::{ActionError, pause, require};
use crate::config::{Config, mail};
use crate::domain::delivery::DeliveryState;
use crate::domain::operator::Right;
use crate::domain::plain_text::clean_line;
use crate::inbound::restored::{self, Without};
use crate::store::gateway::GatewayState;
use crate::store::{self, setting};
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{Begun, Repeatable};

/// Longest reason for a pause.
const LONGEST_REASON: usize = 200;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/admin/gateways", get(look))
        .route("/admin/gateways/test", post(test))
        .route("/admin/pause", post(pause))
        .route("/admin/resume", get(ask_resume).post(resume))
}

/// A way out as people see it.
#[derive(Debug)]
pub struct GatewayRow {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub what: String,
    /// Where it stands in the order of use.
    pub order: String,
    /// `ok`, `warn` or `bad`.
    pub code: &'static str,
    /// How it is.
    pub state: String,
    /// When it last answered.
    pub answered: String,
    /// When a receipt last came.
    pub receipt: String,
    /// Pace and cost.
    pub pace: String,
    /// What is left on the account.
    pub balance: Option<String>,
    /// Whether that is little.
    pub is_low: bool,
}

#[derive(Template)]
#[template(path = "pages/gateways.html")]
struct GatewaysPage {
    frame: Frame,
    faults: Faults,
    rows: Vec<GatewayRow>,
    paused: Option<String>,
    may_pause: bool,
    number: String,
    tested: Option<(&'static str, String)>,
    key: String,
}

/// What was done just before.
#[derive(Debug, Default, Deserialize)]
struct DoneQuery {
    #[serde(default)]
    done: String,
    /// Message id of a test.
    #[serde(default)]
    test: String,
}

/// What the page shows beside the gateways.
#[derive(Debug, Default)]
struct Shown<'a> {
    done: &'a str,
    test: &'a str,
    number: &'a str,
    faults: Faults,
}

async fn look(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<DoneQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    page(&web, &headers, &who, Shown { done: &query.done, test: &query.test, ..Shown::default() }).await
}

async fn page(
    web: &Web,
    headers: &HeaderMap,
    who: &SignedIn,
    Shown { done, test, number, faults }: Shown<'_>,
) -> Result<Response, Problem> {
    require(who.actor(), Right::Administer)?;
    let mut session = web.desk.store.read().await?;
    let states = store::gateway::states(&mut session).await?;
    let paused = setting::get(&mut session, setting::PAUSED).await?;
    let tree = store::area::tree(&mut session).await?;
    let tested = match test {
        "" => None,
        id => gateway_test::outcome(&mut session, who.actor(), id).await?.map(test_words),
    };
    drop(session);
    let frame = Frame::of(web, headers, who, (Section::Administration, "Sms-tjänst och paus")).await;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let notice = match done {
        "paused" => Some("Alla utskick är pausade."),
        "resumed" => Some("Utskicken går igen."),
        _ => None,
    };
    let tested = tested.or_else(|| caught_up_words(done));
    let page = GatewaysPage {
        rows: rows(&web.desk.config, &states, &frame.wall),
        frame: frame.with_notice(notice).with_faults(!faults.is_empty()),
        faults,
        paused: paused.map(|reason| pause_reason(&reason)),
        number: number.to_owned(),
        tested,
        key: web.desk.id(),
        may_pause: tree.root().is_some_and(|root| root.code == who.actor().area),
    };
    show(status, &page)
}

/// Every gateway and the relay, those on the route first.
#[must_use]
pub fn rows(config: &Config, states: &[GatewayState], wall: &Wall) -> Vec<GatewayRow> {
    let on_route = config.sms.route.iter();
    let others = config.sms.gateways.keys().filter(|name| !config.sms.route.contains(name));
    let mut rows: Vec<GatewayRow> = on_route
        .chain(others)
        .filter_map(|name| {
            let gateway = config.sms.gateways.get(name)?;
            let place = config.sms.route.iter().position(|one| one == name);
            let known = states.iter().find(|state| state.gateway == *name);
            let balance = known.and_then(|state| state.balance.clone());
            let amount = balance.as_ref().and_then(|text| text.parse::<f64>().ok());
            Some(GatewayRow {
                what: format!(
                    "Sms, avsändare {}{}",
                    gateway.sender,
                    if gateway.simulator { ", simulator" } else { "" }
                ),
                order: match place {
                    Some(0) => "Används först".to_owned(),
                    Some(place) => format!("Reserv {place}"),
                    None => "Används inte".to_owned(),
                },
                pace: format!(
                    "{} per sekund, {} kr per sms-del",
                    gateway.rate_per_second,
                    swedish(gateway.cost_per_part)
                ),
                balance: amount.map(|amount| format!("{} kvar på kontot", swedish(amount))),
                is_low: amount.is_some_and(|amount| amount < gateway.low_balance),
                ..row(name, known, wall)
            })
        })
        .collect();
    if !config.mail.url.is_empty() {
        let known = states.iter().find(|state| state.gateway == mail::RELAY);
        rows.push(GatewayRow {
            what: "Brev med e-post".to_owned(),
            order: "E-postserver".to_owned(),
            pace: format!("{} per sekund", config.mail.rate_per_second),
            ..row("E-post", known, wall)
        });
    }
    rows
}

fn row(name: &str, known: Option<&GatewayState>, wall: &Wall) -> GatewayRow {
    let (code, state) = match known {
        None => ("ok", "Har inte använts än".to_owned()),
        Some(known) if known.state == "up" => ("ok", "Svarar".to_owned()),
        Some(known) => {
            let what = if known.state == "stopped" { "Stoppad" } else { "Svarar inte" };
            let reason = known.reason.as_deref().map_or_else(String::new, |reason| format!(" ({reason})"));
            ("bad", format!("{what} sedan {}{reason}", wall.text(known.since_at)))
        }
    };
    let time = |at: Option<i64>| at.map_or_else(|| "Aldrig".to_owned(), |at| wall.short(at));
    GatewayRow {
        name: name.to_owned(),
        what: String::new(),
        order: String::new(),
        code,
        state,
        answered: time(known.and_then(|known| known.last_answer_at)),
        receipt: time(known.and_then(|known| known.last_receipt_at)),
        pace: String::new(),
        balance: None,
        is_low: false,
    }
}

/// `0,52`, `10 000`.
fn swedish(amount: f64) -> String {
    let text = format!("{amount:.2}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, "00"));
    let whole = number(whole.parse().unwrap_or(0));
    if part == "00" { whole } else { format!("{whole},{part}") }
}

/// Why everything is paused, in words.
#[must_use]
pub fn pause_reason(reason: &str) -> String {
    match reason {
        "restored" => {
            "Databasen är återläst från en säkerhetskopia. Kontrollera vad som redan kan ha skickats innan du \
                       släpper på utskicken."
                .to_owned()
        }
        "clock_jumped" => {
            "Datorns klocka hoppade. Kontrollera att den går rätt innan du släpper på utskicken.".to_owned()
        }
        "cli" => "Pausad från kommandoraden.".to_owned(),
        reason => reason.to_owned(),
    }
}

async fn pause(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let reason = clean_line(form.fields.text("reason"));
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        let detail = "Skriv varför utskicken ska pausas, högst 200 tecken.";
        let faults = Faults::one("reason", "field.required", detail);
        return page(&web, &form.headers, &form.who, Shown { faults, ..Shown::default() }).await;
    }
    let mut session = web.desk.store.begin().await?;
    pause::pause(&web.desk, &mut session, form.who.actor(), &reason).await?;
    session.commit().await?;
    Ok(Redirect::to("/admin/gateways?done=paused").into_response())
}

/// Queues one SMS to the number typed. A second click shows what the first one made.
async fn test(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::Administer)?;
    let number = form.fields.text("number");
    let repeatable = Repeatable::of_form(form.fields.text("key"), "/admin/gateways/test")?;
    let turn = repeatable.turn_in_line(&web, actor, number.as_bytes()).await?;
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    match gateway_test::send(&web.desk, work.session(), actor, number).await {
        Ok(id) => {
            let response = work.finish_at(&format!("/admin/gateways?test={id}")).await;
            web.desk.wakeup.ring();
            response
        }
        Err(ActionError::Invalid(problems)) => {
            drop(work);
            let shown = Shown { number, faults: Faults::new(problems), ..Shown::default() };
            page(&web, &form.headers, &form.who, shown).await
        }
        Err(error) => Err(error.into()),
    }
}

/// How a test stands: kind of notice, and the words.
fn test_words(tested: Tested) -> (&'static str, String) {
    let reason = tested.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    match tested.state {
        DeliveryState::Queued | DeliveryState::Sending => {
            ("", "Provet väntar på att lämnas till sms-tjänsten. Ladda om sidan för att se hur det går.".to_owned())
        }
        DeliveryState::Accepted => {
            ("", "Sms-tjänsten har tagit emot provet. Besked om det är levererat har inte kommit än.".to_owned())
        }
        DeliveryState::Delivered => ("notice--ok", "Provet är levererat till telefonen.".to_owned()),
        DeliveryState::InDoubt => (
            "notice--warn",
            "Sms-tjänsten tog kanske emot provet, men svaret kom aldrig fram. Vi frågar den.".to_owned(),
        ),
        _ => ("notice--warn", format!("Provet kom inte fram{reason}.")),
    }
}

/// What was done again before a restored database went on.
fn caught_up_words(done: &str) -> Option<(&'static str, String)> {
    let counts: Vec<u32> = done.strip_prefix("caught_up-")?.split('-').filter_map(|count| count.parse().ok()).collect();
    let [opt_outs, erased, unasked, spoiled] = counts[..] else { return None };
    let opt_outs = if opt_outs == 1 { "1 avanmälning".to_owned() } else { format!("{opt_outs} avanmälningar") };
    let erased = if erased == 1 { "1 radering".to_owned() } else { format!("{erased} raderingar") };
    let mut words = format!("Utskicken går igen. {opt_outs} och {erased} från tiden efter kopian är gjorda om.");
    if unasked > 0 {
        words += " Alla sms-tjänster har inte kunnat frågas om sms som kom efter kopian: ett STOPP kan saknas. Loggen säger vilka.";
    }
    if spoiled > 0 {
        words += &format!(" {spoiled} rader i journalen över avanmälningar gick inte att läsa.");
    }
    Some((if unasked + spoiled > 0 { "notice--warn" } else { "notice--ok" }, words))
}

#[derive(Template)]
#[template(path = "pages/resume.html")]
struct ResumePage {
    frame: Frame,
    paused: Option<String>,
    is_restored: bool,
}

async fn ask_resume(
    State(web): State<Web>,
    headers: HeaderMap,
    super::visit::Proven(who): super::visit::Proven,
) -> Result<Response, Problem> {
    require(who.actor(), Right::Administer)?;
    let mut session = web.desk.store.read().await?;
    let paused = setting::get(&mut session, setting::PAUSED).await?;
    let is_restored = setting::get(&mut session, setting::RESTORED_SINCE).await?.is_some();
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Administration, "Släpp på utskicken")).await;
    let paused = paused.map(|reason| pause_reason(&reason));
    show(StatusCode::OK, &ResumePage { frame: frame.with_width("narrow"), paused, is_restored })
}

async fn resume(State(web): State<Web>, form: ProvenForm) -> Result<Response, Problem> {
    let is_ticked = |name: &str| form.fields.text(name) == "yes";
    let without = Without { journal: is_ticked("without_journal"), history: is_ticked("without_history") };
    let caught_up = restored::catch_up(&web.desk, &web.hooks, form.who.actor(), without).await?;
    let mut session = web.desk.store.begin().await?;
    pause::resume(&web.desk, &mut session, form.who.actor()).await?;
    session.commit().await?;
    web.desk.wakeup.ring();
    let done = caught_up.map_or_else(
        || "resumed".to_owned(),
        |caught_up| {
            let (redone, unasked) = (caught_up.redone, caught_up.unasked.len());
            format!("caught_up-{}-{}-{unasked}-{}", redone.opt_outs, redone.erased, caught_up.spoiled)
        },
    );
    Ok(Redirect::to(&format!("/admin/gateways?done={done}")).into_response())
}
