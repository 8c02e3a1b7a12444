//! Owns `/alerts`: what an alert looks like on the wire, and its calls.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::List;
use super::text::{Offending, Sms, Warning};
use super::time::{shown, shown_option};
use crate::actions::alert::{self, NewAlert};
use crate::actions::alert_review;
use crate::actions::alert_view::{self, AlertView};
use crate::actions::delivery::{self, InDoubtDecision};
use crate::actions::follow_up::{self, NewFollowUp};
use crate::actions::large_alert::{self, UnseenAlert};
use crate::domain::audience::AlertAudience;
use crate::domain::delivery::DeliveryState;
use crate::domain::message::Counts;
use crate::domain::operator::Actor;
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::{JsonBody, Page, Params};
use crate::web::error::Problem;
use crate::web::transact::{Repeatable, Turn, act, again_when_busy, done};

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, revise))
        .routes(routes!(approve))
        .routes(routes!(return_))
        .routes(routes!(send_unreviewed))
        .routes(routes!(stop))
        .routes(routes!(follow_up))
        .routes(routes!(in_doubt))
}

/// An alert to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AlertRequest {
    /// What shall be said, without the frame.
    text: String,
    /// Codes of the areas it goes to.
    areas: Vec<String>,
    /// Who decided, by function.
    decided_by: String,
    /// `observation` (default) or `information`.
    kind: Option<String>,
    /// `households` or `contact_person_only` (default).
    spread: Option<String>,
    /// Validity, 1 to 10080.
    expires_in_minutes: Option<i64>,
    /// RFC 3339; at once when missing.
    #[schema(value_type = Option<String>)]
    send_at: Option<jiff::Timestamp>,
    /// Shorter than the configured undo window.
    undo_seconds: Option<i64>,
    /// A drill goes to drill groups only.
    #[serde(default)]
    drill: bool,
    /// Refused with 409 when the count differs.
    expected_recipients: Option<i64>,
    /// Who watches the replies, by function; the configured ones when missing. For `observation` only.
    watched_by: Option<String>,
    /// Number that gets a text when an acute reply waits; the configured one when missing. For `observation` only.
    duty_number: Option<String>,
}

impl From<&AlertRequest> for NewAlert {
    fn from(request: &AlertRequest) -> Self {
        Self {
            text: request.text.clone(),
            areas: request.areas.clone(),
            decided_by: request.decided_by.clone(),
            kind: request.kind.clone(),
            spread: request.spread.clone(),
            expires_in_minutes: request.expires_in_minutes,
            send_at: request.send_at,
            undo_seconds: request.undo_seconds,
            drill: request.drill,
            expected_recipients: request.expected_recipients,
            watched_by: request.watched_by.clone(),
            duty_number: request.duty_number.clone(),
        }
    }
}

/// Whom an alert reaches; persons.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Audience {
    contact_persons: i64,
    households: i64,
    by_sms: i64,
    households_by_sms: i64,
    not_reached: i64,
}

impl From<AlertAudience> for Audience {
    fn from(audience: AlertAudience) -> Self {
        Self {
            contact_persons: audience.contact_persons,
            households: audience.households,
            by_sms: audience.by_sms,
            households_by_sms: audience.households_by_sms,
            not_reached: audience.not_reached,
        }
    }
}

/// Persons with a delivered delivery, and the households behind them.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Reach {
    /// Persons.
    pub contact_persons: i64,
    /// Households.
    pub households: i64,
}

/// How far an alert was passed on, by those who say so.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct SpreadReach {
    /// Persons who have said that they passed it on.
    contact_persons: i64,
    /// Households they say it has reached.
    households: i64,
    /// Persons who have it, may spread it and have not said so.
    silent: i64,
}

/// An alert.
#[derive(Debug, Serialize, ToSchema)]
struct Alert {
    id: String,
    state: String,
    revision: i64,
    kind: String,
    spread: String,
    drill: bool,
    text: String,
    sms_text: String,
    areas: Vec<String>,
    decided_by: String,
    /// Who watches the replies; `null` when nobody was named or none are asked for.
    watched_by: Option<String>,
    /// Number that gets a text when an acute reply waits.
    duty_number: Option<String>,
    follows: Option<String>,
    follow_up_kind: Option<String>,
    created_at: String,
    sends_at: Option<String>,
    expires_at: Option<String>,
    handed_over_at: Option<String>,
    done_at: Option<String>,
    stopped_at: Option<String>,
    audience: Audience,
    sms: Sms,
    warnings: Vec<Warning>,
    counts: BTreeMap<&'static str, i64>,
    reach: Reach,
    spread_reach: SpreadReach,
    reviews: Vec<Review>,
}

/// An act upon a revision.
#[derive(Debug, Serialize, ToSchema)]
struct Review {
    revision: i64,
    act: String,
    actor: String,
    reason: String,
    at: String,
}

/// Deliveries by state, every state named.
pub(super) fn counts(counts: &Counts) -> BTreeMap<&'static str, i64> {
    DeliveryState::ALL.into_iter().map(|state| (state.code(), counts.get(state))).collect()
}

impl From<AlertView> for Alert {
    fn from(view: AlertView) -> Self {
        let m = view.message;
        let offending: Vec<Offending> = view.offending.into_iter().map(Offending::from).collect();
        Self {
            sms: Sms::new(&view.segmentation, offending),
            id: m.id,
            state: m.state,
            revision: m.revision,
            kind: view.alert.kind,
            spread: view.alert.spread,
            drill: view.alert.drill == 1,
            text: view.alert.text,
            sms_text: m.body,
            areas: view.areas,
            decided_by: view.alert.decided_by,
            watched_by: Some(view.alert.watched_by).filter(|who| !who.is_empty()),
            duty_number: Some(view.alert.duty_number).filter(|number| !number.is_empty()),
            follows: m.follows,
            follow_up_kind: m.follow_up_kind,
            created_at: shown(m.created_at),
            sends_at: shown_option(m.sends_at),
            expires_at: shown_option(m.expires_at),
            handed_over_at: shown_option(m.handed_over_at),
            done_at: shown_option(m.done_at),
            stopped_at: shown_option(m.stopped_at),
            audience: view.audience.into(),
            warnings: view.warnings.into_iter().map(Warning::from).collect(),
            counts: counts(&view.counts),
            reach: Reach { contact_persons: m.reach_persons, households: m.reach_households },
            spread_reach: SpreadReach {
                contact_persons: view.spread_reach.contact_persons,
                households: view.spread_reach.households,
                silent: view.silent,
            },
            reviews: view
                .reviews
                .into_iter()
                .map(|r| Review { revision: r.revision, act: r.act, actor: r.actor, reason: r.reason, at: shown(r.at) })
                .collect(),
        }
    }
}

/// Makes an alert.
#[utoipa::path(post, path = "/alerts", tag = "alerts", request_body = AlertRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Samma nyckel och innehåll ger samma svar")),
    responses((status = 201, body = Alert), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(web): State<Web>,
    Caller(actor): Caller,
    request: Repeatable,
    body: JsonBody<AlertRequest>,
) -> Result<Response, Problem> {
    let new = NewAlert::from(&body.value);
    let turn = request.turn(&web, &actor, &body.bytes)?;
    if large_alert::is_large(&web.desk, &new.areas).await? {
        if let Some(response) = turn.earlier().await? {
            return Ok(response);
        }
        let unseen = again_when_busy!({ large_alert::create(&web.desk, &actor, &new).await? })?;
        return publish(&web, &actor, (&turn, StatusCode::CREATED), &unseen).await;
    }
    act!(turn, StatusCode::CREATED, |session| {
        let view = alert::create(&web.desk, session, &actor, &new).await?;
        Alert::from(view)
    })
}

/// Lets an alert with a large audience be seen, in the transaction that keeps the answer; takes it back when it may not.
async fn publish(
    web: &Web,
    actor: &Actor,
    (turn, status): (&Turn<'_>, StatusCode),
    unseen: &UnseenAlert,
) -> Result<Response, Problem> {
    let done =
        done!(turn, status, |session| { Alert::from(large_alert::publish(&web.desk, session, actor, unseen).await?) });
    if !done.as_ref().is_ok_and(|done| done.is_new) {
        unseen.freezing().undo(&web.desk).await?;
    }
    Ok(done?.response)
}

/// Alerts, newest first.
#[utoipa::path(get, path = "/alerts", tag = "alerts", params(Page), responses((status = 200, body = List<Alert>)))]
async fn list(
    State(web): State<Web>,
    Caller(actor): Caller,
    Params(page): Params<Page>,
) -> Result<Json<List<Alert>>, Problem> {
    let mut session = web.desk.store.read().await?;
    let (views, next) = alert_view::page(&web.desk, &mut session, &actor, (page.after(), page.limit()?)).await?;
    Ok(Json(List { items: views.into_iter().map(Alert::from).collect(), next }))
}

/// One alert.
#[utoipa::path(get, path = "/alerts/{id}", tag = "alerts", responses((status = 200, body = Alert), (status = 404, body = Problem)))]
async fn get(State(web): State<Web>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Json<Alert>, Problem> {
    let mut session = web.desk.store.read().await?;
    Ok(Json(alert_view::get(&web.desk, &mut session, &actor, &id).await?.into()))
}

/// Writes a new revision of an alert that awaits approval or was returned; an approval given before is void.
#[utoipa::path(patch, path = "/alerts/{id}", tag = "alerts", request_body = AlertRequest,
    responses((status = 200, body = Alert), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn revise(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<AlertRequest>,
) -> Result<Response, Problem> {
    let new = NewAlert::from(&body.value);
    let turn = request.turn(&web, &actor, &body.bytes)?;
    if large_alert::has_large_audience(&web.desk, &id).await? || large_alert::is_large(&web.desk, &new.areas).await? {
        if let Some(response) = turn.earlier().await? {
            return Ok(response);
        }
        let unseen = again_when_busy!({ large_alert::revise(&web.desk, &actor, &id, &new).await? })?;
        return publish(&web, &actor, (&turn, StatusCode::OK), &unseen).await;
    }
    act!(turn, StatusCode::OK, |session| {
        let view = alert::revise(&web.desk, session, &actor, &id, &new).await?;
        Alert::from(view)
    })
}

/// Which revision, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReviewRequest {
    revision: i64,
    #[serde(default)]
    reason: String,
}

/// Approves a revision.
#[utoipa::path(post, path = "/alerts/{id}/approve", tag = "alerts", request_body = ReviewRequest,
    responses((status = 200, body = Alert), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn approve(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<ReviewRequest>,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::OK, |session| {
        let view = alert_review::approve(&web.desk, session, &actor, &id, body.value.revision).await?;
        Alert::from(view)
    })
}

/// Returns a revision to who wrote it.
#[utoipa::path(post, path = "/alerts/{id}/return", tag = "alerts", request_body = ReviewRequest,
    responses((status = 200, body = Alert), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn return_(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<ReviewRequest>,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::OK, |session| {
        let revision = body.value.revision;
        let view = alert_review::return_(&web.desk, session, &actor, (&id, revision), &body.value.reason).await?;
        Alert::from(view)
    })
}

/// Why it cannot wait.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReasonRequest {
    reason: String,
}

/// Sends an alert that awaits approval without one; the administrators are told.
#[utoipa::path(post, path = "/alerts/{id}/send-unreviewed", tag = "alerts", request_body = ReasonRequest,
    responses((status = 200, body = Alert), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn send_unreviewed(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<ReasonRequest>,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::OK, |session| {
        let view = alert_review::send_unreviewed(&web.desk, session, &actor, &id, &body.value.reason).await?;
        Alert::from(view)
    })
}

/// What a stop did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stopped {
    stopped: i64,
    already_handed_over: i64,
}

impl From<crate::actions::message::Stopped> for Stopped {
    fn from(done: crate::actions::message::Stopped) -> Self {
        Self { stopped: done.stopped, already_handed_over: done.already_handed_over }
    }
}

/// Stops what is left.
#[utoipa::path(post, path = "/alerts/{id}/stop", tag = "alerts", responses((status = 200, body = Stopped), (status = 404, body = Problem)))]
async fn stop(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &[])?;
    act!(turn, StatusCode::OK, |session| { Stopped::from(alert::stop(&web.desk, session, &actor, &id).await?) })
}

/// A follow-up to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FollowUpRequest {
    /// `all_clear`, `correction` or `update`.
    kind: String,
    /// What shall be said, without the frame.
    text: String,
    /// Who decided; the first one's when missing.
    decided_by: Option<String>,
    /// Validity.
    expires_in_minutes: Option<i64>,
    /// Shorter than the configured undo window.
    undo_seconds: Option<i64>,
    /// `silent`: only to those who have not said that they passed the first on; for `update`.
    only: Option<String>,
}

/// Makes a follow-up to those whose phone may have the first.
#[utoipa::path(post, path = "/alerts/{id}/follow-ups", tag = "alerts", request_body = FollowUpRequest,
    responses((status = 201, body = Alert), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn follow_up(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<FollowUpRequest>,
) -> Result<Response, Problem> {
    let wanted = &body.value;
    if wanted.only.as_deref().is_some_and(|only| only != "silent") {
        return Err(Problem::field("only", "field.invalid", "Tillåtna värden: silent."));
    }
    let new = NewFollowUp {
        silent_only: wanted.only.is_some(),
        kind: wanted.kind.clone(),
        text: wanted.text.clone(),
        decided_by: wanted.decided_by.clone(),
        expires_in_minutes: wanted.expires_in_minutes,
        undo_seconds: wanted.undo_seconds,
    };
    let turn = request.turn(&web, &actor, &body.bytes)?;
    if large_alert::has_large_audience(&web.desk, &id).await? {
        if let Some(response) = turn.earlier().await? {
            return Ok(response);
        }
        let unseen = again_when_busy!({ large_alert::follow_up(&web.desk, &actor, &id, &new).await? })?;
        return publish(&web, &actor, (&turn, StatusCode::CREATED), &unseen).await;
    }
    act!(turn, StatusCode::CREATED, |session| {
        let view = follow_up::create(&web.desk, session, &actor, &id, &new).await?;
        Alert::from(view)
    })
}

/// What shall become of deliveries in doubt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InDoubtRequest {
    /// `resend` or `give_up`.
    #[serde(rename = "as")]
    pub decision: String,
}

impl InDoubtRequest {
    pub(super) fn decision(&self) -> Result<InDoubtDecision, Problem> {
        InDoubtDecision::from_code(&self.decision)
            .ok_or_else(|| Problem::field("as", "field.invalid", "Tillåtna värden: resend, give_up."))
    }
}

/// How many were decided about.
#[derive(Debug, Serialize, ToSchema)]
struct Decided {
    resolved: usize,
}

/// Decides about all deliveries in doubt.
#[utoipa::path(post, path = "/alerts/{id}/in-doubt", tag = "alerts", request_body = InDoubtRequest,
    responses((status = 200, body = Decided), (status = 422, body = Problem)))]
async fn in_doubt(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<InDoubtRequest>,
) -> Result<Response, Problem> {
    let decision = body.value.decision()?;
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::OK, |session| {
        let resolved = delivery::resolve_all(&web.desk, session, &actor, &id, decision).await?;
        Decided { resolved }
    })
}
