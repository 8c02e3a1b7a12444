//! Owns `/observations`: what contact persons answer, on the wire, and its calls.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::List;
use super::text::{Offending, Sms};
use super::time::{shown, shown_option};
use crate::actions::observation_answer::{self, Answered, NewAnswer};
use crate::actions::observation_view::{self, ObservationThread, ObservationView};
use crate::actions::observation_work::{self, ObservationEdit};
use crate::domain::delivery::Channel;
use crate::domain::observation::{IncomingKind, Mark, ObservationState};
use crate::store::observation::Filter;
use crate::store::reply::Reply as ReplyRow;
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::{JsonBody, Page, Params};
use crate::web::error::Problem;
use crate::web::transact::{Repeatable, act, look};

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, update)).routes(routes!(reply))
}

/// What a contact person, or somebody unknown, has answered.
#[derive(Debug, Serialize, ToSchema)]
struct Observation {
    id: String,
    /// `received`, `assessed`, `acted` or `fed_back`.
    state: String,
    /// `observation`, or `command`, `spread`, `automatic` for what the program has dealt with.
    kind: String,
    tags: Vec<String>,
    /// Null for a sender that nobody knows.
    contact_person_id: Option<String>,
    /// The alert it answers.
    alert_id: Option<String>,
    /// The letter it answers.
    letter_id: Option<String>,
    /// The other alert that fitted.
    alternative_alert_id: Option<String>,
    /// `sms`, `email`, or `page` for what was left at the sender's own page.
    channel: String,
    /// Number or address it came from; empty when personal data are protected.
    sender: String,
    /// Name of the sender, if known.
    sender_name: Option<String>,
    /// Code of the area it counts for.
    area: Option<String>,
    text: String,
    /// How many SMS it came in.
    parts: usize,
    /// Who has taken it.
    owner: Option<String>,
    place: String,
    seen_at: Option<String>,
    /// Whether it holds words that mean that something is happening now.
    urgent: bool,
    received_at: String,
    taken_at: Option<String>,
    answer_by: Option<String>,
    answered_at: Option<String>,
    fed_back_at: Option<String>,
    archived_at: Option<String>,
    changed_at: String,
    /// What we wrote back, oldest first.
    replies: Vec<Reply>,
}

/// A word of ours.
#[derive(Debug, Serialize, ToSchema)]
struct Reply {
    message_id: String,
    delivery_id: String,
    /// `answer`, `feedback`, `automatic`, `confirmation` or `duty`.
    kind: String,
    channel: String,
    text: String,
    /// State of its delivery.
    state: String,
    created_by: String,
    created_at: String,
}

impl From<ReplyRow> for Reply {
    fn from(row: ReplyRow) -> Self {
        Self {
            message_id: row.message_id,
            delivery_id: row.delivery_id.to_string(),
            kind: row.kind,
            channel: row.channel,
            text: row.body,
            state: row.state,
            created_by: row.created_by,
            created_at: shown(row.created_at),
        }
    }
}

impl From<ObservationView> for Observation {
    fn from(view: ObservationView) -> Self {
        let o = view.observation;
        let is_letter = o.message_kind.as_deref() == Some("letter");
        let is_alert = o.message_kind.as_deref() == Some("alert");
        let channel = o.came_by().to_owned();
        Self {
            id: o.id,
            state: o.state,
            kind: o.kind,
            tags: view.tags,
            contact_person_id: o.contact_person_id,
            alert_id: o.message_id.clone().filter(|_| is_alert),
            letter_id: o.message_id.filter(|_| is_letter),
            alternative_alert_id: o.alternative_id,
            channel,
            sender: view.sender.address,
            sender_name: Some(view.sender.name).filter(|name| !name.is_empty()),
            area: o.area_code,
            text: o.text,
            parts: view.parts,
            owner: o.owner,
            place: o.place,
            seen_at: shown_option(o.seen_at),
            urgent: o.is_urgent == 1,
            received_at: shown(o.received_at),
            taken_at: shown_option(o.taken_at),
            answer_by: shown_option(o.answer_by_at),
            answered_at: shown_option(o.answered_at),
            fed_back_at: shown_option(o.fed_back_at),
            archived_at: shown_option(o.archived_at),
            changed_at: shown(o.changed_at),
            replies: view.replies.into_iter().map(Reply::from).collect(),
        }
    }
}

/// Something that stands out in the text.
#[derive(Debug, Serialize, ToSchema)]
struct MarkEntry {
    /// `registration_number`, `time`, `place` or `urgent`.
    kind: &'static str,
    /// Position in Unicode characters from 0.
    index: usize,
    text: String,
}

fn mark_entry(text: &str, mark: &Mark) -> MarkEntry {
    MarkEntry {
        kind: mark.kind.code(),
        index: text[..mark.start].chars().count(),
        text: text[mark.start..mark.end].to_owned(),
    }
}

/// An observation with what was said around it.
#[derive(Debug, Serialize, ToSchema)]
struct Thread {
    #[serde(flatten)]
    observation: Observation,
    /// What stands out in the text.
    marks: Vec<MarkEntry>,
    /// What else the same sender has sent, newest first.
    others: Vec<Observation>,
}

impl From<ObservationThread> for Thread {
    fn from(thread: ObservationThread) -> Self {
        let text = &thread.view.observation.text;
        let marks = thread.marks.iter().map(|mark| mark_entry(text, mark)).collect();
        Self {
            marks,
            others: thread.others.into_iter().map(Observation::from).collect(),
            observation: thread.view.into(),
        }
    }
}

/// Which observations.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ObservationQuery {
    /// `received`, `assessed`, `acted` or `fed_back`.
    state: Option<String>,
    /// A focus area's code or another tag.
    tag: Option<String>,
    /// `sms`, `email`, or `page` for what was left at the sender's own page.
    channel: Option<String>,
    /// Code of an area: only what came from there, such as from a municipality.
    area: Option<String>,
    /// `observation` (default), `command`, `spread`, `automatic` or `all`.
    kind: Option<String>,
    /// The alert or letter they answer.
    alert_id: Option<String>,
    /// Who sent them.
    contact_person_id: Option<String>,
    /// Who has taken them: an actor's id or `me`.
    owner: Option<String>,
    /// Only those that no person has answered.
    unanswered: Option<bool>,
    /// Only urgent ones.
    urgent: Option<bool>,
    /// Only those of senders nobody knows.
    unknown: Option<bool>,
    /// Only those put away, or only the others.
    archived: Option<bool>,
    /// How many, 1 to 1000; 100 when missing.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
}

impl ObservationQuery {
    fn filter(self, actor_id: &str) -> Result<Filter, Problem> {
        let one_of = |name: &str, value: &Option<String>, allowed: &[&str]| match value {
            Some(value) if !allowed.contains(&value.as_str()) => {
                Err(Problem::field(name, "field.invalid", &format!("Tillåtna värden: {}.", allowed.join(", "))))
            }
            _ => Ok(()),
        };
        one_of("state", &self.state, &ObservationState::ALL.map(ObservationState::code))?;
        one_of("channel", &self.channel, &[Channel::Sms.code(), Channel::Email.code(), "page"])?;
        let mut kinds = IncomingKind::ALL.map(IncomingKind::code).to_vec();
        kinds.push("all");
        one_of("kind", &self.kind, &kinds)?;
        let kind = self.kind.unwrap_or_else(|| IncomingKind::Observation.code().to_owned());
        Ok(Filter {
            areas_json: String::new(),
            kind: if kind == "all" { String::new() } else { kind },
            state: self.state.unwrap_or_default(),
            tag: self.tag.map(|tag| crate::domain::observation::tag_code(&tag)).unwrap_or_default(),
            channel: self.channel.unwrap_or_default(),
            message_id: self.alert_id.unwrap_or_default(),
            owner: self.owner.map(|owner| if owner == "me" { actor_id.to_owned() } else { owner }).unwrap_or_default(),
            contact_person_id: self.contact_person_id.unwrap_or_default(),
            unanswered: self.unanswered.unwrap_or_default(),
            urgent: self.urgent.unwrap_or_default(),
            unknown: self.unknown.unwrap_or_default(),
            archived: self.archived,
            after: self.after.unwrap_or_default(),
        })
    }
}

/// Observations, newest first. Those of unknown senders are for who holds the whole police area.
#[utoipa::path(get, path = "/observations", tag = "observations", params(ObservationQuery),
    responses((status = 200, body = List<Observation>), (status = 422, body = Problem)))]
async fn list(
    State(web): State<Web>,
    Caller(actor): Caller,
    Params(query): Params<ObservationQuery>,
) -> Result<Json<List<Observation>>, Problem> {
    let limit = Page { limit: query.limit, after: None }.limit()?;
    let area = query.area.clone().unwrap_or_default();
    let filter = query.filter(&actor.id)?;
    let (views, next) = look!(web, |session| {
        observation_view::page(&web.desk, session, &actor, (&filter, area.as_str()), limit).await?
    })?;
    Ok(Json(List { items: views.into_iter().map(Observation::from).collect(), next }))
}

/// One observation with what was said around it.
#[utoipa::path(get, path = "/observations/{id}", tag = "observations",
    responses((status = 200, body = Thread), (status = 404, body = Problem)))]
async fn get(State(web): State<Web>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Json<Thread>, Problem> {
    let thread = look!(web, |session| observation_view::get(&web.desk, session, &actor, &id).await?)?;
    Ok(Json(thread.into()))
}

/// A field that was sent, null among its values.
fn sent<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// What shall be changed; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ObservationRequest {
    /// `received`, `assessed`, `acted` or `fed_back`.
    state: Option<String>,
    /// All tags it shall have: codes or names of focus areas, and others.
    tags: Option<Vec<String>>,
    /// `me`, an operator's id, or null.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>)]
    owner: Option<Option<String>>,
    /// Where something was seen.
    place: Option<String>,
    /// When; RFC 3339 or null.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>)]
    seen_at: Option<Option<jiff::Timestamp>>,
    /// Whether it is put away.
    archived: Option<bool>,
    /// The person an unknown sender turned out to be.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>)]
    contact_person_id: Option<Option<String>>,
    /// The alert it belongs to.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>)]
    alert_id: Option<Option<String>>,
    /// What it really is, such as `observation` for what was taken for a command.
    kind: Option<String>,
}

impl From<&ObservationRequest> for ObservationEdit {
    fn from(request: &ObservationRequest) -> Self {
        Self {
            state: request.state.clone(),
            tags: request.tags.clone(),
            tag: None,
            owner: request.owner.clone(),
            place: request.place.clone(),
            seen_at: request.seen_at.map(|at| at.map(jiff::Timestamp::as_millisecond)),
            archived: request.archived,
            contact_person_id: request.contact_person_id.clone(),
            alert_id: request.alert_id.clone(),
            kind: request.kind.clone(),
        }
    }
}

/// Judges, takes, ties or puts away an observation.
#[utoipa::path(patch, path = "/observations/{id}", tag = "observations", request_body = ObservationRequest,
    responses((status = 200, body = Thread), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn update(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<ObservationRequest>,
) -> Result<Response, Problem> {
    let edit = ObservationEdit::from(&body.value);
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::OK, |session| {
        let thread = observation_work::update(&web.desk, session, &actor, &id, &edit).await?;
        Thread::from(thread)
    })
}

/// What shall be written to the sender.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplyRequest {
    /// The text; goes by the channel the observation came on.
    text: String,
    /// `answer` (default), or `feedback`: what came of it.
    kind: Option<String>,
    /// `one` (default), or `all` who answered the same alert; for feedback.
    to: Option<String>,
}

/// What was queued.
#[derive(Debug, Serialize, ToSchema)]
struct Queued {
    /// The messages it became: one for each channel.
    message_ids: Vec<String>,
    /// How many numbers and addresses it goes to.
    recipients: usize,
    /// How the sender of this observation gets it.
    channel: String,
    /// Length and parts, counted as an alert's are.
    sms: Sms,
}

impl From<Answered> for Queued {
    fn from(answered: Answered) -> Self {
        let offending = answered.segmentation.offending.iter().cloned().map(Offending::from).collect();
        Self {
            sms: Sms::new(&answered.segmentation, offending),
            message_ids: answered.message_ids,
            recipients: answered.recipients,
            channel: answered.channel,
        }
    }
}

/// Answers the sender, or tells what came of it, by the pace and with the outcome of every message. What was `received` becomes
/// `assessed` (`fed_back` by feedback), and what nobody had taken is the caller's; no state goes back.
#[utoipa::path(post, path = "/observations/{id}/reply", tag = "observations", request_body = ReplyRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Samma nyckel och innehåll ger samma svar")),
    responses((status = 201, body = Queued), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn reply(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<ReplyRequest>,
) -> Result<Response, Problem> {
    let wanted = &body.value;
    let to_all = match wanted.to.as_deref() {
        None | Some("one") => false,
        Some("all") => true,
        Some(_) => return Err(Problem::field("to", "field.invalid", "Tillåtna värden: one, all.")),
    };
    let new = NewAnswer { text: wanted.text.clone(), kind: wanted.kind.clone().unwrap_or_default(), to_all };
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::CREATED, |session| {
        let answered = observation_answer::answer(&web.desk, session, &actor, &id, &new).await?;
        Queued::from(answered)
    })
}
