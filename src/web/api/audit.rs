//! Owns `/audit`: the log, newest first.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::List;
use super::time::shown;
use crate::actions::require;
use crate::domain::operator::Right;
use crate::store::audit::{self, Filter};
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::{Page, Params};
use crate::web::error::Problem;

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What is looked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only this actor.
    actor: Option<String>,
    /// Only this action, such as `alert.created`.
    action: Option<String>,
    /// Only this object.
    object: Option<String>,
    /// From this time on, RFC 3339.
    #[param(value_type = Option<String>)]
    from: Option<jiff::Timestamp>,
    /// Before this time, RFC 3339.
    #[param(value_type = Option<String>)]
    until: Option<jiff::Timestamp>,
    /// How many, 1 to 1000; 100 when missing.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// An entry of the log.
#[derive(Debug, Serialize, ToSchema)]
struct Entry {
    id: String,
    at: String,
    actor: String,
    action: String,
    object_kind: String,
    object_id: String,
    #[schema(value_type = Object)]
    detail: serde_json::Value,
    seq: Option<i64>,
    hash: Option<String>,
}

/// The log, newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery), responses((status = 200, body = List<Entry>)))]
async fn list(
    State(web): State<Web>,
    Caller(actor): Caller,
    Params(query): Params<AuditQuery>,
) -> Result<Json<List<Entry>>, Problem> {
    require(&actor, Right::ReadAudit)?;
    let limit = Page { limit: query.limit, after: None }.limit()?;
    let filter = Filter {
        actor: query.actor.unwrap_or_default(),
        action: query.action.unwrap_or_default(),
        object_id: query.object.unwrap_or_default(),
        from: query.from.map_or(i64::MIN / 2, jiff::Timestamp::as_millisecond),
        until: query.until.map_or(i64::MAX / 2, jiff::Timestamp::as_millisecond),
        after: query.after.unwrap_or_default(),
    };
    let mut session = web.desk.store.read().await?;
    let mut rows = audit::page(&mut session, &filter, limit + 1).await?;
    let has_more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = rows.last().map(|row| row.id.clone()).filter(|_| has_more);
    let items = rows
        .into_iter()
        .map(|row| Entry {
            id: row.id,
            at: shown(row.at),
            actor: row.actor,
            action: row.action,
            object_kind: row.object_kind,
            object_id: row.object_id,
            detail: serde_json::from_str(&row.detail).unwrap_or_default(),
            seq: row.seq,
            hash: row.hash,
        })
        .collect();
    Ok(Json(List { items, next }))
}
