//! Owns the page of one contact person: fields, wishes, what has reached them; pausing, saying no, and the end.
//!
//! It changes no field; `register_form` does. Invariant: every look at the page is logged by the action it calls.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use super::form::{Faults, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::register_calls::outcome_words;
use super::register_words::{address_line, area_words, is_email_lost, is_mobile_doubtful, language_name, reach};
use super::time::{Wall, number};
use super::visit::SignedIn;
use crate::actions::contact_person::{self, Edit, PersonView};
use crate::actions::deputy::Named;
use crate::actions::{ActionError, FieldProblem, channel_health, deputy, own_page, register, require};
use crate::domain::coverage::NotReached;
use crate::domain::delivery::DeliveryState;
use crate::domain::operator::Right;
use crate::domain::phone;
use crate::domain::phone_call::CallOutcome;
use crate::store;
use crate::store::channel_health::ChannelHealth;
use crate::store::contact_person::ContactPerson;
use crate::store::extract::MessageRow;
use crate::store::phone_call::PhoneCall;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{again_when_busy, look};

/// Messages shown.
const HISTORY: usize = 50;
/// Calls shown.
const MOST_CALLS: usize = 5;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/register/persons/{id}", get(open))
        .route("/register/persons/{id}/pause", post(pause))
        .route("/register/persons/{id}/opt-out", post(opt_out))
        .route("/register/persons/{id}/email-usable", post(email_usable))
        .route("/register/persons/{id}/number-trusted", post(number_trusted))
        .route("/register/persons/{id}/deputy", post(set_deputy))
        .route("/register/persons/{id}/own-page-link", post(own_page_link))
        .route("/register/persons/{id}/own-page-end", post(end_own_page))
        .route("/register/persons/{id}/end", get(ask_end).post(end))
}

/// One way to reach a person, in words.
#[derive(Debug)]
struct Way {
    /// `sms` or `email`.
    code: &'static str,
    /// What goes that way.
    name: &'static str,
    /// Number or address; empty when there is none.
    address: String,
    /// Whether they want it.
    is_wanted: bool,
    /// Since when and how they have said no.
    no: Option<String>,
    /// The last that is known to have arrived.
    proof: String,
    /// The last that did not, when that is later.
    failure: Option<String>,
    /// How often something came through, and how often not.
    tally: Option<String>,
    /// That the address or number does not work, since when and why.
    lost: Option<String>,
    /// What is wrong with what was filled in.
    fault: Option<String>,
}

/// A message to the person.
#[derive(Debug)]
struct HistoryRow {
    at: String,
    kind: &'static str,
    href: Option<String>,
    channel: &'static str,
    pill: &'static str,
    words: String,
}

#[derive(Template)]
#[template(path = "pages/register_person.html")]
struct PersonPage {
    frame: Frame,
    faults: Faults,
    may_change: bool,
    id: String,
    name: String,
    pills: Vec<(&'static str, &'static str)>,
    is_protected: bool,
    address: String,
    area: String,
    phone2: String,
    email2: String,
    households: String,
    language: String,
    note: String,
    added: String,
    changed: String,
    ways: Vec<Way>,
    paused_until: Option<String>,
    shares_number: bool,
    has_email: bool,
    /// Who stands in: path and name.
    deputy: Option<Named>,
    /// For whom the person stands in: path and name.
    stands_for: Vec<Named>,
    /// How calls to the person went, the last first: when, how, and a note.
    calls: Vec<(String, &'static str, String)>,
    history: Vec<HistoryRow>,
    older: usize,
}

/// What was done just before.
#[derive(Debug, Default, Deserialize)]
struct DoneQuery {
    #[serde(default)]
    done: String,
}

async fn open(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let notice = match query.done.as_str() {
        "added" => Some("Kontaktombudet är tillagt."),
        "changed" => Some("Ändringen är sparad."),
        "paused" => Some("Pausen är sparad. Inget skickas under tiden."),
        "resumed" => Some("Pausen är borttagen."),
        "opted_out" => Some("Sparat: personen har sagt nej. En import ändrar inte det."),
        "opted_in" => Some("Sparat: personen vill ha utskick igen."),
        "usable" => Some("Sparat: brev går till e-postadressen igen."),
        "trusted" => Some("Sparat: numret fungerar."),
        "link_sent" => Some("Länken är på väg med e-post. Den gäller i 30 minuter."),
        "own_page_ended" => Some("Personens inloggningar på egen sida är avslutade."),
        "deputy" => Some("Ersättaren är sparad."),
        "took_over" => Some("Uppdraget är överlämnat hit. Uppgifterna om den som lämnade det är raderade."),
        "merged" => Some("Posterna är sammanslagna till den här."),
        _ => None,
    };
    page(&web, (&headers, &who), &id, (notice, Faults::default())).await
}

async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    id: &str,
    (notice, faults): (Option<&'static str>, Faults),
) -> Result<Response, Problem> {
    let (view, messages, tree, others, (health, calls), (deputy, stands_for)) = look!(web, |session| {
        let (view, messages) = register::person(&web.desk, session, who.actor(), id).await?;
        let others = match &view.person.mobile {
            Some(mobile) => store::contact_person::by_mobile(session, mobile).await?.len(),
            None => 0,
        };
        let health = channel_health::of_person(session, id).await?;
        let known = (health, store::phone_call::of_person(session, id).await?);
        let deputies = deputy::named(session, who.actor(), id).await?;
        (view, messages, store::area::tree(session).await?, others, known, deputies)
    })?;
    let frame = Frame::of(web, headers, who, (Section::Register, "Kontaktombud")).await;
    let frame = frame.with_notice(notice).with_faults(!faults.is_empty());
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let wall = &frame.wall;
    let now = frame.now_ms;
    let PersonView { person, .. } = view;
    let shown = messages.iter().rev().take(HISTORY);
    let page = PersonPage {
        may_change: who.actor().role.may(Right::ChangeRegister),
        pills: reach(&person, now),
        is_protected: person.protected == 1,
        address: address_line(&person),
        area: area_words(&tree, &person.area_code),
        phone2: person.phone2.as_deref().map(phone::display).unwrap_or_default(),
        email2: person.email2.clone().unwrap_or_default(),
        households: number(person.households),
        language: language_name(&person.language),
        added: wall.short(person.created_at),
        changed: wall.short(person.updated_at),
        ways: ways(wall, &person, (&messages, &health), &faults),
        paused_until: person.paused_until_at.filter(|until| *until > now).map(|until| wall.text(until)),
        shares_number: others > 1,
        has_email: person.email.is_some(),
        deputy,
        stands_for,
        calls: calls.into_iter().rev().take(MOST_CALLS).map(|call| call_words(wall, call)).collect(),
        history: shown.map(|row| history(wall, row)).collect(),
        older: messages.len().saturating_sub(HISTORY),
        id: person.id,
        name: person.name,
        note: person.note,
        faults,
        frame,
    };
    show(status, &page)
}

fn ways(
    wall: &Wall,
    person: &ContactPerson,
    (messages, health): (&[MessageRow], &[ChannelHealth]),
    faults: &Faults,
) -> Vec<Way> {
    let no = |at: Option<i64>, source: &Option<String>| {
        at.map(|at| format!("{}, {}", wall.short(at), source_words(source.as_deref().unwrap_or_default())))
    };
    vec![
        Way {
            code: "sms",
            name: "Sms",
            address: person.mobile.as_deref().map(phone::display).unwrap_or_default(),
            is_wanted: person.alerts == 1,
            no: no(person.alerts_opt_out_at, &person.alerts_opt_out_source),
            proof: proof(wall, messages, "sms"),
            failure: failure(wall, messages, "sms"),
            tally: tally(health, "sms"),
            lost: doubt(wall, person),
            fault: faults.of("source-sms").map(str::to_owned),
        },
        Way {
            code: "email",
            name: "Brev med e-post",
            address: person.email.clone().unwrap_or_default(),
            is_wanted: person.letters == 1,
            no: no(person.letters_opt_out_at, &person.letters_opt_out_source),
            proof: proof(wall, messages, "email"),
            failure: failure(wall, messages, "email"),
            tally: tally(health, "email"),
            lost: lost(wall, person),
            fault: faults.of("source-email").map(str::to_owned),
        },
    ]
}

/// When something last ended so on a channel.
fn last(messages: &[MessageRow], channel: &str, states: &[DeliveryState]) -> Option<i64> {
    let of_channel = messages.iter().filter(|row| row.channel == channel);
    let ended = of_channel.filter(|row| {
        row.state.as_deref().and_then(DeliveryState::from_code).is_some_and(|state| states.contains(&state))
    });
    ended.filter_map(|row| row.final_at).max()
}

fn proof(wall: &Wall, messages: &[MessageRow], channel: &str) -> String {
    match (last(messages, channel, &[DeliveryState::Delivered]), channel) {
        (Some(at), "sms") => format!("sms levererat {}", wall.short(at)),
        (Some(at), _) => format!("e-post levererad {}", wall.short(at)),
        // A relay takes a letter and says no more: that none came back is all there is to know.
        (None, "email") => match last(messages, channel, &[DeliveryState::Unconfirmed]) {
            Some(at) => format!("e-post skickad {}, ingen studs", wall.short(at)),
            None => "inget levererat än".to_owned(),
        },
        (None, _) => "inget levererat än".to_owned(),
    }
}

fn failure(wall: &Wall, messages: &[MessageRow], channel: &str) -> Option<String> {
    let failed = last(messages, channel, &[DeliveryState::Undelivered, DeliveryState::Failed])?;
    let later = last(messages, channel, &[DeliveryState::Delivered]).is_none_or(|delivered| delivered < failed);
    later.then(|| format!("det senaste kom inte fram, {}", wall.short(failed)))
}

/// What came through and what did not, added up.
fn tally(health: &[ChannelHealth], channel: &str) -> Option<String> {
    let health = health.iter().find(|health| health.channel == channel).filter(|health| health.undelivered > 0)?;
    let mut words = format!("{} kom fram, {} kom inte fram", health.delivered, health.undelivered);
    for (count, why) in
        [(health.hard, "adressen finns inte"), (health.soft, "tillfälligt fel"), (health.ours, "fel hos oss")]
    {
        if count > 0 {
            words.push_str(&format!("; {why}: {count}"));
        }
    }
    Some(words)
}

/// Since when letters do not reach the address, and what happens to them.
fn lost(wall: &Wall, person: &ContactPerson) -> Option<String> {
    let at = person.email_unusable_at.filter(|_| is_email_lost(person))?;
    let why = match person.email_unusable_reason.as_deref() {
        Some("bounce.soft") => "brev kommer tillbaka gång på gång",
        _ => "adressen finns inte, enligt mottagarens server",
    };
    let has_address = !person.address.is_empty() && !person.place.is_empty();
    let then = if has_address { "Brev går på papper." } else { "Ring och fråga efter en ny adress." };
    Some(format!("sedan {}: {why}. {then}", wall.short(at)))
}

/// Since when the number is doubtful, and what to do about it.
fn doubt(wall: &Wall, person: &ContactPerson) -> Option<String> {
    let at = person.mobile_doubtful_at.filter(|_| is_mobile_doubtful(person))?;
    Some(format!(
        "flaggat {}: ett sms kom inte fram. Sms går dit ändå. Ring och fråga om numret är rätt.",
        wall.short(at)
    ))
}

/// How somebody has said no, in words; what an operator wrote stays as it is.
fn source_words(source: &str) -> &str {
    match source {
        "letter_link" => "med länken i ett brev",
        "complaint" => "anmälde ett brev som skräppost",
        "register_file" => "stod i en importerad fil",
        "suppression" => "stod på spärrlistan",
        "journal" => "ur journalen, efter en återläsning",
        "" => "okänt hur",
        other => other,
    }
}

fn call_words(wall: &Wall, call: PhoneCall) -> (String, &'static str, String) {
    let words = CallOutcome::from_code(&call.outcome).map_or("", outcome_words);
    (wall.short(call.called_at), words, call.note)
}

fn history(wall: &Wall, row: &MessageRow) -> HistoryRow {
    let state = row.state.as_deref().and_then(DeliveryState::from_code);
    let (pill, words) = match (state, row.not_reached.as_deref().and_then(NotReached::from_code)) {
        (Some(state), _) => (state_pill(state), state_words(state).to_owned()),
        (None, Some(why)) => ("", format!("Inte skickat: {}", why_words(why))),
        (None, None) => ("", "Inte skickat".to_owned()),
    };
    HistoryRow {
        at: wall.short(row.final_at.unwrap_or(row.created_at)),
        kind: match row.kind.as_str() {
            "alert" => "Sms-utskick",
            "letter" => "Brev",
            _ => "Prov",
        },
        href: (row.kind == "alert").then(|| format!("/alerts/{}", row.message_id)),
        channel: match row.channel.as_str() {
            "sms" => "sms",
            "email" => "e-post",
            _ => "papper",
        },
        pill,
        words,
    }
}

/// The state of a delivery as people read it.
#[must_use]
pub fn state_words(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Queued | DeliveryState::Sending => "Väntar",
        DeliveryState::Accepted => "På väg",
        DeliveryState::InDoubt => "Osäkert",
        DeliveryState::Delivered => "Levererat",
        DeliveryState::Undelivered | DeliveryState::Failed => "Inte levererat",
        DeliveryState::Expired => "För sent, inte skickat",
        DeliveryState::Stopped => "Stoppat",
        DeliveryState::Suppressed => "Vill inte ha eller pausat",
        DeliveryState::Unconfirmed => "Inget besked",
    }
}

fn state_pill(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Delivered => "ok",
        DeliveryState::Undelivered | DeliveryState::Failed | DeliveryState::Expired => "bad",
        DeliveryState::InDoubt | DeliveryState::Unconfirmed => "warn",
        DeliveryState::Queued | DeliveryState::Sending | DeliveryState::Accepted => "info",
        DeliveryState::Stopped | DeliveryState::Suppressed => "",
    }
}

fn why_words(why: NotReached) -> &'static str {
    match why {
        NotReached::NoMobile => "hade inget mobilnummer",
        NotReached::NoAddress => "hade ingen adress",
        NotReached::EmailUnusable => "hade en e-postadress som inte fungerar, och ingen postadress",
        NotReached::OptedOut => "hade sagt nej",
        NotReached::AlertsOff => "ville inte ha sms",
        NotReached::LettersOff => "ville inte ha brev",
        NotReached::Paused => "var pausad",
    }
}

async fn pause(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::ChangeRegister)?;
    let (until, done) = if form.fields.has("end") {
        (None, "resumed")
    } else {
        match last_day(&web, form.fields.text("until")) {
            Some(until) => (Some(until), "paused"),
            None => {
                let detail = "Ange en dag framåt i tiden som sista dag för pausen.";
                let faults = Faults::one("until", "field.invalid", detail);
                return page(&web, (&form.headers, &form.who), &id, (None, faults)).await;
            }
        }
    };
    let edit = Edit { paused_until: Some(until), ..Edit::default() };
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        contact_person::update(&web.desk, &mut session, actor, &id, &edit).await?;
        session.commit().await?;
    })?;
    Ok(Redirect::to(&format!("/register/persons/{id}?done={done}")).into_response())
}

/// The end of a day by the wall clock, when it has not passed yet.
fn last_day(web: &Web, text: &str) -> Option<Timestamp> {
    let day: Date = text.trim().parse().ok()?;
    let end = day.tomorrow().ok()?.to_zoned(web.desk.config.server.zone()).ok()?.timestamp();
    (end.as_millisecond() > web.desk.now()).then_some(end)
}

async fn opt_out(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    let channel = form.fields.text("channel");
    let is_back = form.fields.has("back");
    let source = (!is_back).then(|| form.fields.text("source"));
    let done = again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        let changed = contact_person::opt_out_of(&web.desk, &mut session, actor, &id, (channel, source)).await;
        match changed {
            Ok(_) => {
                session.commit().await?;
                Vec::new()
            }
            Err(ActionError::Invalid(problems)) => problems,
            Err(error) => return Err(error.into()),
        }
    })?;
    if done.is_empty() {
        let done = if is_back { "opted_in" } else { "opted_out" };
        return Ok(Redirect::to(&format!("/register/persons/{id}?done={done}")).into_response());
    }
    let at_field = |problem: FieldProblem| match problem.name.as_str() {
        "source" => FieldProblem { name: format!("source-{channel}"), ..problem },
        _ => problem,
    };
    let faults = Faults::new(done.into_iter().map(at_field).collect());
    page(&web, (&form.headers, &form.who), &id, (None, faults)).await
}

async fn email_usable(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        channel_health::use_again(&web.desk, &mut session, form.who.actor(), &id).await?;
        session.commit().await?;
    })?;
    Ok(Redirect::to(&format!("/register/persons/{id}?done=usable")).into_response())
}

async fn number_trusted(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        channel_health::trust_mobile(&web.desk, &mut session, form.who.actor(), &id).await?;
        session.commit().await?;
    })?;
    Ok(Redirect::to(&format!("/register/persons/{id}?done=trusted")).into_response())
}

async fn set_deputy(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let typed = if form.fields.has("remove") { "" } else { form.fields.text("deputy") };
    let faults = again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        match deputy::set(&web.desk, &mut session, form.who.actor(), &id, typed).await {
            Ok(()) => session.commit().await.map(|()| Vec::new())?,
            Err(ActionError::Invalid(problems)) => problems,
            Err(error) => return Err(error.into()),
        }
    })?;
    if !faults.is_empty() {
        return page(&web, (&form.headers, &form.who), &id, (None, Faults::new(faults))).await;
    }
    Ok(Redirect::to(&format!("/register/persons/{id}?done=deputy")).into_response())
}

async fn own_page_link(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        own_page::send(&web.desk, &mut session, form.who.actor(), &id).await?;
        session.commit().await?;
    })?;
    web.desk.wakeup.ring();
    Ok(Redirect::to(&format!("/register/persons/{id}?done=link_sent")).into_response())
}

async fn end_own_page(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        own_page::end_all(&web.desk, &mut session, form.who.actor(), &id).await?;
        session.commit().await?;
    })?;
    Ok(Redirect::to(&format!("/register/persons/{id}?done=own_page_ended")).into_response())
}

#[derive(Template)]
#[template(path = "pages/register_end.html")]
struct EndPage {
    frame: Frame,
    id: String,
    name: String,
    area: String,
}

async fn ask_end(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    require(who.actor(), Right::ChangeRegister)?;
    let (view, tree) = look!(web, |session| {
        let view = contact_person::get(&web.desk, session, who.actor(), &id).await?;
        (view, store::area::tree(session).await?)
    })?;
    let frame = Frame::of(&web, &headers, &who, (Section::Register, "Avsluta uppdraget")).await;
    let area = area_words(&tree, &view.person.area_code);
    show(StatusCode::OK, &EndPage { frame: frame.with_width("narrow"), id, name: view.person.name, area })
}

async fn end(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        contact_person::erase(&web.desk, &mut session, form.who.actor(), &id).await?;
        session.commit().await?;
    })?;
    Ok(Redirect::to("/register?done=ended").into_response())
}
