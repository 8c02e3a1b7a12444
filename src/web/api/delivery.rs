//! Owns `/deliveries` and the deliveries of an alert.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::List;
use super::alert::InDoubtRequest;
use super::time::{shown, shown_option};
use crate::actions::delivery::{self, DeliveryView};
use crate::store;
use crate::store::delivery::Delivery as Row;
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::{JsonBody, Params};
use crate::web::error::Problem;
use crate::web::transact::{Repeatable, act, look};

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(of_alert)).routes(routes!(get)).routes(routes!(resolve))
}

/// A delivery: one message on its way to one address.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delivery {
    id: String,
    message_id: String,
    contact_person_id: Option<String>,
    channel: String,
    address: String,
    state: String,
    reason: Option<String>,
    detail: Option<String>,
    attempts: i64,
    gateway: Option<String>,
    gateway_ref: Option<String>,
    parts: Option<i64>,
    area: Option<String>,
    queued_at: String,
    accepted_at: Option<String>,
    final_at: Option<String>,
    /// Contact persons whose deputy this goes to; it covers none of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stands_in_for: Vec<String>,
}

impl From<Row> for Delivery {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.to_string(),
            message_id: row.message_id,
            contact_person_id: row.contact_person_id,
            channel: row.channel,
            address: row.address,
            state: row.state,
            reason: row.reason,
            detail: row.detail,
            attempts: row.attempts,
            gateway: row.gateway,
            gateway_ref: row.gateway_ref,
            parts: row.parts,
            area: row.area_code,
            queued_at: shown(row.queued_at),
            accepted_at: shown_option(row.accepted_at),
            final_at: shown_option(row.final_at),
            stands_in_for: Vec::new(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Attempt {
    number: i64,
    gateway: String,
    stamped_at: String,
    ended_at: Option<String>,
    outcome: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    gateway_ref: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Event {
    at: String,
    from: String,
    to: String,
    reason: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Receipt {
    attempt: i64,
    word: String,
    gateway_ref: String,
    received_at: String,
}

/// A delivery with everything that happened to it. `attempts` counts them; `attempt_list` shows them.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryDetail {
    id: String,
    message_id: String,
    contact_person_id: Option<String>,
    channel: String,
    address: String,
    state: String,
    reason: Option<String>,
    detail: Option<String>,
    gateway: Option<String>,
    gateway_ref: Option<String>,
    parts: Option<i64>,
    area: Option<String>,
    queued_at: String,
    accepted_at: Option<String>,
    final_at: Option<String>,
    attempts: Vec<Attempt>,
    events: Vec<Event>,
    receipts: Vec<Receipt>,
    /// Contact persons whose deputy this goes to; it covers none of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stands_in_for: Vec<String>,
}

impl From<DeliveryView> for DeliveryDetail {
    fn from(view: DeliveryView) -> Self {
        let row = Delivery::from(view.delivery);
        Self {
            id: row.id,
            message_id: row.message_id,
            contact_person_id: row.contact_person_id,
            channel: row.channel,
            address: row.address,
            state: row.state,
            reason: row.reason,
            detail: row.detail,
            gateway: row.gateway,
            gateway_ref: row.gateway_ref,
            parts: row.parts,
            area: row.area,
            queued_at: row.queued_at,
            accepted_at: row.accepted_at,
            final_at: row.final_at,
            stands_in_for: view.stands_in_for,
            attempts: view
                .attempts
                .into_iter()
                .map(|attempt| Attempt {
                    number: attempt.number,
                    gateway: attempt.gateway,
                    stamped_at: shown(attempt.stamped_at),
                    ended_at: shown_option(attempt.ended_at),
                    outcome: attempt.outcome,
                    reason: attempt.reason,
                    detail: attempt.detail,
                    gateway_ref: attempt.gateway_ref,
                })
                .collect(),
            events: view
                .events
                .into_iter()
                .map(|event| Event {
                    at: shown(event.at),
                    from: event.from_state,
                    to: event.to_state,
                    reason: event.reason,
                })
                .collect(),
            receipts: view
                .receipts
                .into_iter()
                .map(|receipt| Receipt {
                    attempt: receipt.attempt,
                    word: receipt.word,
                    gateway_ref: receipt.gateway_ref,
                    received_at: shown(receipt.received_at),
                })
                .collect(),
        }
    }
}

/// Paging and filter of deliveries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveryPage {
    /// Only this state.
    state: Option<String>,
    /// How many, 1 to 1000; 100 when missing.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// The deliveries of an alert, in the order of hand-over.
#[utoipa::path(get, path = "/alerts/{id}/deliveries", tag = "alerts", params(DeliveryPage),
    responses((status = 200, body = List<Delivery>), (status = 404, body = Problem)))]
async fn of_alert(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(page): Params<DeliveryPage>,
) -> Result<Json<List<Delivery>>, Problem> {
    list(&web, &actor, &id, &page).await.map(Json)
}

/// A page of any message's deliveries.
pub(super) async fn list(
    web: &Web,
    actor: &crate::domain::operator::Actor,
    message_id: &str,
    page: &DeliveryPage,
) -> Result<List<Delivery>, Problem> {
    let limit = match page.limit.unwrap_or(100) {
        limit @ 1..=1000 => limit,
        _ => return Err(Problem::field("limit", "field.invalid", "Välj 1 till 1000.")),
    };
    let after = page.after.as_deref().unwrap_or_default();
    let after: i64 = if after.is_empty() {
        0
    } else {
        after.parse().map_err(|_| Problem::field("after", "field.invalid", "Ange next från sidan före."))?
    };
    let state = page.state.as_deref().unwrap_or_default();
    let (of, page) = ((message_id, state), (after, limit));
    let ((rows, next), stand_ins) = look!(web, |session| {
        let page = delivery::page(&web.desk, session, actor, of, page).await?;
        (page, store::deputy::of_message(session, message_id).await?)
    })?;
    let with_absent = |row: Row| {
        let absent = stand_ins.iter().filter(|one| one.delivery_id == row.id).map(|one| one.stands_for.clone());
        let stands_in_for = absent.collect();
        Delivery { stands_in_for, ..Delivery::from(row) }
    };
    Ok(List { items: rows.into_iter().map(with_absent).collect(), next: next.map(|id| id.to_string()) })
}

/// One delivery with its attempts, events and receipts.
#[utoipa::path(get, path = "/deliveries/{id}", tag = "deliveries",
    responses((status = 200, body = DeliveryDetail), (status = 404, body = Problem)))]
async fn get(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<DeliveryDetail>, Problem> {
    let id = parse_id(&id)?;
    let view = look!(web, |session| delivery::get(&web.desk, session, &actor, id).await?)?;
    Ok(Json(view.into()))
}

/// Decides about a delivery in doubt.
#[utoipa::path(post, path = "/deliveries/{id}/resolve", tag = "deliveries", request_body = InDoubtRequest,
    responses((status = 200, body = DeliveryDetail), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn resolve(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<InDoubtRequest>,
) -> Result<Response, Problem> {
    let (id, decision) = (parse_id(&id)?, body.value.decision()?);
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::OK, |session| {
        let view = delivery::resolve(&web.desk, session, &actor, id, decision).await?;
        DeliveryDetail::from(view)
    })
}

fn parse_id(id: &str) -> Result<i64, Problem> {
    id.parse().map_err(|_| crate::actions::ActionError::NotFound.into())
}
