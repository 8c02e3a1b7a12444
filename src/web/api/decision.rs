//! Owns `/decisions`: the ledger of alerts sent, and considered but not sent.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::List;
use super::time::shown;
use crate::actions::decision::{self, NotSent};
use crate::store::decision::Decision as Row;
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::{JsonBody, Page, Params};
use crate::web::error::Problem;
use crate::web::transact::{Repeatable, act};

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(list, create))
}

/// A decision.
#[derive(Debug, Serialize, ToSchema)]
struct Decision {
    id: String,
    outcome: String,
    decided_by: String,
    reason: String,
    areas: Vec<String>,
    alert_id: Option<String>,
    created_by: String,
    created_at: String,
}

impl From<Row> for Decision {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            outcome: row.outcome,
            decided_by: row.decided_by,
            reason: row.reason,
            areas: serde_json::from_str(&row.areas).unwrap_or_default(),
            alert_id: row.message_id,
            created_by: row.created_by,
            created_at: shown(row.created_at),
        }
    }
}

/// The ledger, newest first.
#[utoipa::path(get, path = "/decisions", tag = "decisions", params(Page), responses((status = 200, body = List<Decision>)))]
async fn list(
    State(web): State<Web>,
    Caller(actor): Caller,
    Params(page): Params<Page>,
) -> Result<Json<List<Decision>>, Problem> {
    let limit = page.limit()?;
    let mut session = web.desk.store.read().await?;
    let (rows, next) = decision::page(&mut session, &actor, page.after(), limit).await?;
    Ok(Json(List { items: rows.into_iter().map(Decision::from).collect(), next }))
}

/// An alert that was considered and not sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DecisionRequest {
    /// Who decided, by function.
    decided_by: String,
    /// Why it was not sent.
    reason: String,
    /// Where it would have gone.
    #[serde(default)]
    areas: Vec<String>,
    /// Always `not_sent`; what is sent is written down by itself.
    outcome: Option<String>,
}

/// Writes down that an alert was considered and not sent.
#[utoipa::path(post, path = "/decisions", tag = "decisions", request_body = DecisionRequest,
    responses((status = 201, body = Decision), (status = 422, body = Problem)))]
async fn create(
    State(web): State<Web>,
    Caller(actor): Caller,
    request: Repeatable,
    body: JsonBody<DecisionRequest>,
) -> Result<Response, Problem> {
    let wanted = &body.value;
    if wanted.outcome.as_deref().is_some_and(|outcome| outcome != "not_sent") {
        return Err(Problem::field(
            "outcome",
            "field.invalid",
            "Tillåtna värden: not_sent. Det som skickas skrivs in av sig självt.",
        ));
    }
    let new =
        NotSent { decided_by: wanted.decided_by.clone(), reason: wanted.reason.clone(), areas: wanted.areas.clone() };
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::CREATED, |session| {
        let view = decision::not_sent(&web.desk, session, &actor, &new).await?;
        Decision::from(view)
    })
}
