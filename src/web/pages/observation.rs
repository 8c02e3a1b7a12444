//! Owns the page of one observation: what was written, by whom, what has become of it, and the forms to work with it.
//!
//! It decides nothing; `actions::observation_work` and `observation_answer` do. Invariant: the text is shown as it came, with
//! marks and without links.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use jiff::civil::DateTime;
use serde::Deserialize;

use super::actor_names::ActorNames;
use super::alert_effect::{Phone, phone};
use super::form::{Faults, Fields, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::observation_words::{
    ObservationRow, Piece, address_words, delivery_words, from_words, kind_note, pieces, reply_words, row, state_words,
};
use super::visit::{SignedIn, local_path};
use crate::actions::contact_person;
use crate::actions::observation_answer::{self, NewAnswer};
use crate::actions::observation_view::{self, ObservationThread, ObservationView, can_be_answered};
use crate::actions::observation_work::{self, ObservationEdit};
use crate::actions::{ActionError, FieldProblem, require};
use crate::config::AnswerTemplate;
use crate::domain::observation::{FOCUS_AREAS, ObservationState};
use crate::domain::operator::Right;
use crate::domain::sms_text::SmsText;
use crate::store::{self, Session};
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{Begun, Repeatable, look};

/// Persons offered for an unknown sender.
const PERSONS: i64 = 10;
/// Others' answers to the same alert that are shown; the inbox has them all.
const BESIDE: usize = 10;
/// What can be answered with one press.
const THANKS: &str = "Tack, vi har tagit emot ditt meddelande.";

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/observations/{id}", get(see).post(judge))
        .route("/observations/{id}/take", post(take))
        .route("/observations/{id}/tag", post(tag))
        .route("/observations/{id}/archive", post(archive))
        .route("/observations/{id}/tie", post(tie))
        .route("/observations/{id}/reply", post(reply))
}

/// A word of ours.
#[derive(Debug)]
struct ReplyShown {
    what: &'static str,
    text: String,
    by: String,
    at: String,
    pill: (&'static str, &'static str),
}

/// An alert that an observation belongs to, or may.
#[derive(Debug)]
struct AlertShown {
    id: String,
    text: String,
    at: String,
    may_read: bool,
}

/// A choice with whether it is made.
#[derive(Debug)]
struct Choice {
    code: String,
    name: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "pages/observation.html")]
struct ObservationPage {
    frame: Frame,
    faults: Faults,
    id: String,
    heading: String,
    address: String,
    households: i64,
    person: Option<String>,
    is_unknown: bool,
    /// Whether it is a wish for the register that who looks may fulfil.
    may_hand_over: bool,
    pill: (&'static str, &'static str),
    note: &'static str,
    is_urgent: bool,
    is_archived: bool,
    pieces: Vec<Piece>,
    parts: usize,
    at: String,
    channel: &'static str,
    /// How it came, in words.
    came_as: &'static str,
    answer_by: Option<(String, bool)>,
    owner: Option<String>,
    is_mine: bool,
    alert: Option<AlertShown>,
    alternative: Option<AlertShown>,
    states: Vec<Choice>,
    tags: Vec<Choice>,
    own_tags: String,
    place: String,
    seen_at: String,
    replies: Vec<ReplyShown>,
    others: Vec<ObservationRow>,
    /// What others have answered to the same alert.
    beside: Vec<ObservationRow>,
    can_answer: bool,
    /// Answers that are ready to be used.
    templates: Vec<AnswerTemplate>,
    text: String,
    kind: String,
    phone: Option<Phone>,
    may_find: bool,
    query: String,
    found: Option<Vec<Choice>>,
    key: String,
}

/// What an answer would be on a phone, while it is typed.
#[derive(Template)]
#[template(path = "pages/parts/reply_phone.html")]
struct PhonePart {
    phone: Option<Phone>,
}

/// What is looked for, for an unknown sender.
#[derive(Debug, Default, Deserialize)]
struct FindQuery {
    #[serde(default)]
    person: String,
}

/// What was typed and could not be taken yet.
#[derive(Debug, Default)]
struct Typed {
    text: String,
    kind: String,
    phone: Option<Phone>,
    query: String,
    faults: Faults,
}

async fn see(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<FindQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let typed = Typed { query: query.person, ..Typed::default() };
    page(&web, (&headers, &who), &id, typed).await
}

async fn page(web: &Web, (headers, who): (&HeaderMap, &SignedIn), id: &str, typed: Typed) -> Result<Response, Problem> {
    let actor = who.actor();
    let may_find = actor.role.may(Right::ReadRegister);
    let (thread, beside, alerts, names, found) = look!(web, |session| {
        let thread = observation_view::get(&web.desk, session, actor, id).await?;
        let beside = observation_view::beside(&web.desk, session, actor, &thread, BESIDE).await?;
        let of = &thread.view.observation;
        let alerts = [
            alert_of(session, of.message_id.as_deref(), actor.role.may(Right::ReadAlerts)).await?,
            alert_of(session, of.alternative_id.as_deref(), actor.role.may(Right::ReadAlerts)).await?,
        ];
        let found = match may_find && !typed.query.trim().is_empty() {
            true => {
                let page = ("", PERSONS);
                Some(contact_person::search(&web.desk, session, actor, &typed.query, page).await?.0)
            }
            false => None,
        };
        (thread, beside, alerts, ActorNames::load(session).await?, found)
    })?;
    let frame = Frame::of(web, headers, who, (Section::Inbox, "Iakttagelse")).await;
    let status = if typed.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let found = found.map(|views| {
        let choice = |view: contact_person::PersonView| Choice {
            code: view.person.id,
            name: format!("{}, {}", view.person.name, view.watch_area),
            is_chosen: false,
        };
        views.into_iter().map(choice).collect()
    });
    let may_change = actor.role.may(Right::ChangeRegister);
    let templates = &web.desk.config.replies.templates;
    let (key, actor_id) = (web.desk.id(), actor.id.as_str());
    let shown = Shown { thread, beside, alerts, names, found, may_find, may_change, templates, key, actor_id };
    show(status, &shown.page(frame, typed))
}

async fn alert_of(session: &mut Session, id: Option<&str>, may_read: bool) -> Result<Option<AlertShown>, Problem> {
    let Some(id) = id else { return Ok(None) };
    let Some(message) = store::message::get(session, id).await? else { return Ok(None) };
    let alert = store::alert::get(session, id).await?;
    Ok(Some(AlertShown {
        id: message.id,
        may_read: may_read && alert.is_some(),
        text: alert.map_or_else(|| "ett brev".to_owned(), |alert| alert.text),
        at: message.created_at.to_string(),
    }))
}

/// What a page is made of.
struct Shown<'a> {
    thread: ObservationThread,
    beside: Vec<ObservationView>,
    alerts: [Option<AlertShown>; 2],
    names: ActorNames,
    found: Option<Vec<Choice>>,
    may_find: bool,
    templates: &'a [AnswerTemplate],
    may_change: bool,
    key: String,
    actor_id: &'a str,
}

impl Shown<'_> {
    fn page(self, frame: Frame, typed: Typed) -> ObservationPage {
        let view = &self.thread.view;
        let o = &view.observation;
        let wall = &frame.wall;
        let [alert, alternative] = self.alerts.map(|alert| alert.map(|alert| with_time(alert, wall)));
        let own: Vec<&str> = view.tags.iter().map(String::as_str).filter(|tag| !is_focus_area(tag)).collect();
        let waits = o.kind == "observation" && o.answered_at.is_none();
        ObservationPage {
            id: o.id.clone(),
            heading: from_words(view),
            address: address_words(view),
            households: view.sender.households,
            person: o.contact_person_id.clone().filter(|_| self.may_find && !view.sender.is_withheld),
            is_unknown: o.contact_person_id.is_none(),
            may_hand_over: self.may_change && view.tags.iter().any(|tag| tag == "register"),
            pill: state_words(&o.state),
            note: kind_note(&o.kind),
            is_urgent: o.is_urgent == 1,
            is_archived: o.archived_at.is_some(),
            pieces: pieces(&o.text, &self.thread.marks),
            parts: view.parts,
            at: wall.text(o.received_at),
            channel: if o.channel == "sms" { "sms" } else { "e-post" },
            came_as: match o.came_by() {
                "page" => "text på egen sida",
                "sms" => "sms",
                _ => "e-post",
            },
            answer_by: o.answer_by_at.filter(|_| waits).map(|at| (wall.text(at), at <= frame.now_ms)),
            owner: o.owner.as_ref().map(|owner| self.names.of(owner)),
            is_mine: o.owner.as_deref() == Some(self.actor_id),
            alert,
            alternative,
            states: states(&o.state),
            tags: focus_areas(&view.tags),
            own_tags: own.join(", "),
            place: o.place.clone(),
            seen_at: o
                .seen_at
                .map(|at| wall.fields(at))
                .map_or_else(String::new, |(date, time)| format!("{date}T{time}")),
            replies: view.replies.iter().map(|reply| reply_shown(reply, &frame, &self.names)).collect(),
            others: self.thread.others.iter().map(|other| row(wall, frame.now_ms, other)).collect(),
            beside: self.beside.iter().map(|other| row(wall, frame.now_ms, other)).collect(),
            can_answer: !view.sender.is_withheld && can_be_answered(o),
            templates: self.templates.to_vec(),
            text: typed.text,
            kind: typed.kind,
            phone: typed.phone,
            may_find: self.may_find,
            query: typed.query,
            found: self.found,
            key: self.key,
            frame: frame.with_faults(!typed.faults.is_empty()),
            faults: typed.faults,
        }
    }
}

fn with_time(alert: AlertShown, wall: &super::time::Wall) -> AlertShown {
    AlertShown { at: wall.text(alert.at.parse().unwrap_or(0)), ..alert }
}

fn reply_shown(reply: &store::reply::Reply, frame: &Frame, names: &ActorNames) -> ReplyShown {
    // The first line of a mail is its subject.
    let text = match reply.channel.as_str() {
        "email" => reply.body.split_once('\n').map_or(reply.body.as_str(), |(_, text)| text),
        _ => &reply.body,
    };
    ReplyShown {
        what: reply_words(&reply.kind),
        text: text.to_owned(),
        by: names.of(&reply.created_by),
        at: frame.wall.text(reply.created_at),
        pill: delivery_words(&reply.state),
    }
}

fn is_focus_area(tag: &str) -> bool {
    FOCUS_AREAS.iter().any(|(code, _)| *code == tag)
}

fn states(current: &str) -> Vec<Choice> {
    let choice = |state: ObservationState| Choice {
        code: state.code().to_owned(),
        name: state_words(state.code()).1.to_owned(),
        is_chosen: state.code() == current,
    };
    ObservationState::ALL.map(choice).into_iter().collect()
}

fn focus_areas(tags: &[String]) -> Vec<Choice> {
    let choice = |(code, name): &(&str, &str)| Choice {
        code: (*code).to_owned(),
        name: (*name).to_owned(),
        is_chosen: tags.iter().any(|tag| tag == code),
    };
    FOCUS_AREAS.iter().map(choice).collect()
}

async fn judge(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let fields = &form.fields;
    let mut tags = fields.all("tags");
    tags.extend(fields.text("own_tags").split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned));
    let edit = seen_at(&web, fields).map(|seen_at| ObservationEdit {
        state: fields.filled("state").map(str::to_owned),
        tags: Some(tags),
        place: Some(fields.text("place").to_owned()),
        seen_at: Some(seen_at),
        ..ObservationEdit::default()
    });
    match edit {
        Ok(edit) => change(&web, &id, form, edit).await,
        Err(problem) => {
            let typed = Typed { faults: Faults::new(vec![problem]), ..Typed::default() };
            page(&web, (&form.headers, &form.who), &id, typed).await
        }
    }
}

/// When something was seen, as a field of local date and time has it.
fn seen_at(web: &Web, fields: &Fields) -> Result<Option<i64>, FieldProblem> {
    let Some(text) = fields.filled("seen_at") else { return Ok(None) };
    let zone = web.desk.config.server.zone();
    let at = text.parse::<DateTime>().ok().and_then(|at| at.to_zoned(zone).ok());
    at.map(|at| Some(at.timestamp().as_millisecond()))
        .ok_or_else(|| FieldProblem::new("seen_at", "field.invalid", "Skriv datum och tid, som 2026-11-20 02:15."))
}

async fn take(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let owner = match form.fields.text("as") {
        "nobody" => None,
        "" => Some("me".to_owned()),
        other => Some(other.to_owned()),
    };
    change(&web, &id, form, ObservationEdit { owner: Some(owner), ..ObservationEdit::default() }).await
}

/// One tag more, or one less.
async fn tag(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let tag = Some((form.fields.text("tag").to_owned(), form.fields.text("as") != "no"));
    change(&web, &id, form, ObservationEdit { tag, ..ObservationEdit::default() }).await
}

async fn archive(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let archived = Some(form.fields.text("as") != "no");
    change(&web, &id, form, ObservationEdit { archived, ..ObservationEdit::default() }).await
}

/// To another alert, to a person, or what was taken for a command to the observations.
async fn tie(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let text = |name: &str| form.fields.filled(name).map(str::to_owned);
    let edit = ObservationEdit {
        alert_id: text("alert").map(Some),
        contact_person_id: text("contact_person").map(Some),
        kind: text("kind"),
        ..ObservationEdit::default()
    };
    change(&web, &id, form, edit).await
}

async fn change(web: &Web, id: &str, form: SignedForm, edit: ObservationEdit) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    match observation_work::update(&web.desk, &mut session, form.who.actor(), id, &edit).await {
        Ok(_) => session.commit().await?,
        Err(ActionError::Invalid(problems)) => {
            drop(session);
            let typed = Typed { faults: Faults::new(problems), ..Typed::default() };
            return page(web, (&form.headers, &form.who), id, typed).await;
        }
        Err(error) => return Err(error.into()),
    }
    let here = format!("/observations/{id}");
    Ok(Redirect::to(form.fields.filled("next").map_or(&here, local_path)).into_response())
}

async fn reply(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::WorkInbox)?;
    let (kind, to_all) = match form.fields.text("kind") {
        "feedback_all" => ("feedback", true),
        "feedback" => ("feedback", false),
        _ => ("answer", false),
    };
    let written = form.fields.text("text");
    let ready = form.fields.all("template").pop();
    let text = match &ready {
        Some(name) => with_ready(written, name, &web.desk.config.replies.templates),
        None if form.fields.has("thanks") => THANKS.to_owned(),
        None => written.to_owned(),
    };
    let new = NewAnswer { text, kind: kind.to_owned(), to_all };
    let typed = |faults: Vec<FieldProblem>| Typed {
        phone: SmsText::parse(&new.text).ok().filter(|sms| !sms.is_empty()).map(|sms| phone(&sms)),
        text: new.text.clone(),
        kind: form.fields.text("kind").to_owned(),
        faults: Faults::new(faults),
        ..Typed::default()
    };
    if form.fields.has("part") {
        return show(StatusCode::OK, &PhonePart { phone: typed(Vec::new()).phone });
    }
    if form.fields.has("look") || ready.is_some() {
        return page(&web, (&form.headers, &form.who), &id, typed(Vec::new())).await;
    }
    let repeatable = Repeatable::of_form(form.fields.text("key"), &format!("/observations/{id}/reply"))?;
    let body = serde_json::json!([new.text, new.kind, new.to_all]).to_string();
    let turn = repeatable.turn_in_line(&web, actor, body.as_bytes()).await?;
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    match observation_answer::answer(&web.desk, work.session(), actor, &id, &new).await {
        Ok(_) => work.finish_at(&format!("/observations/{id}")).await,
        Err(ActionError::Invalid(problems)) => {
            drop(work);
            page(&web, (&form.headers, &form.who), &id, typed(problems)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// What stands in the field once a ready answer is put there: instead of another such, after what somebody has written.
fn with_ready(written: &str, name: &str, templates: &[AnswerTemplate]) -> String {
    let Some(chosen) = templates.iter().find(|one| one.name == name) else { return written.to_owned() };
    let own = written.trim();
    if own.is_empty() || templates.iter().any(|one| one.text.trim() == own) {
        return chosen.text.clone();
    }
    format!("{own}\n{}", chosen.text)
}
