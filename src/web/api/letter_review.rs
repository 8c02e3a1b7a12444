//! Owns the calls of a letter's review: asking for it, approving, returning, and sending without.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::letter::{Letter, Optional, send_by};
use crate::actions::letter::Sending;
use crate::actions::letter_review::{self, Pass};
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::JsonBody;
use crate::web::error::Problem;
use crate::web::transact::{Repeatable, act};

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(request_approval))
        .routes(routes!(approve))
        .routes(routes!(return_))
        .routes(routes!(send_unreviewed))
}

/// What is handed in.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RequestApprovalRequest {
    /// Refused with 409 when it is neither the count by e-mail nor that with paper.
    expected_recipients: Option<i64>,
    /// Refused with 409 when the letter's revision is another.
    revision: Option<i64>,
}

/// Hands a draft in, so that a colleague reads it and sends it.
#[utoipa::path(post, path = "/letters/{id}/request-approval", tag = "letters", request_body = RequestApprovalRequest,
    responses((status = 200, body = Letter), (status = 409, body = Problem)))]
async fn request_approval(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    Optional(body): Optional<RequestApprovalRequest>,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &body.bytes)?;
    let sending = Sending {
        expected_recipients: body.value.expected_recipients,
        expected_revision: body.value.revision,
        undo_seconds: None,
    };
    act!(turn, StatusCode::OK, |session| {
        Letter::from(letter_review::request(&web.desk, session, &actor, (&id, sending)).await?)
    })
}

/// Which revision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApproveRequest {
    /// The revision that was read.
    revision: i64,
    /// Refused with 409 when it is neither the count by e-mail nor that with paper.
    expected_recipients: Option<i64>,
}

/// Approves a letter that awaits it, and sends it: its audience is frozen now.
#[utoipa::path(post, path = "/letters/{id}/approve", tag = "letters", request_body = ApproveRequest,
    responses((status = 200, body = Letter), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn approve(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<ApproveRequest>,
) -> Result<Response, Problem> {
    let sending = Sending {
        expected_recipients: body.value.expected_recipients,
        expected_revision: Some(body.value.revision),
        undo_seconds: None,
    };
    let turn = request.turn(&web, &actor, &body.bytes)?;
    send_by(&web, &actor, &turn, ((&id, sending), &Pass::Approved)).await
}

/// Why it goes back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReturnRequest {
    /// The revision that was read.
    revision: i64,
    /// What is to be changed.
    #[serde(default)]
    reason: String,
}

/// Returns a letter to who wrote it.
#[utoipa::path(post, path = "/letters/{id}/return", tag = "letters", request_body = ReturnRequest,
    responses((status = 200, body = Letter), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn return_(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<ReturnRequest>,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &body.bytes)?;
    let ReturnRequest { revision, reason } = &body.value;
    act!(turn, StatusCode::OK, |session| {
        Letter::from(letter_review::return_(&web.desk, session, &actor, (&id, *revision), reason).await?)
    })
}

/// Why it cannot wait.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UnreviewedRequest {
    reason: String,
}

/// Sends a letter that awaits approval without one; the administrators are told.
#[utoipa::path(post, path = "/letters/{id}/send-unreviewed", tag = "letters", request_body = UnreviewedRequest,
    responses((status = 200, body = Letter), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn send_unreviewed(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<UnreviewedRequest>,
) -> Result<Response, Problem> {
    let pass = Pass::unreviewed(&body.value.reason)?;
    let turn = request.turn(&web, &actor, &body.bytes)?;
    send_by(&web, &actor, &turn, ((&id, Sending::default()), &pass)).await
}
