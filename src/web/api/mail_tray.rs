//! Owns `/mail-tray`: incoming mail that the program does not understand, on the wire, and its calls.
//!
//! Invariant: a mail's text is what `inbound::mime` reads of it, and nothing of it is fetched.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::List;
use super::time::{shown, shown_option};
use crate::actions::mail_tray::{self, Folder};
use crate::inbound::mime;
use crate::store::inbound_mail::InboundMail;
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::{Page, Params};
use crate::web::error::Problem;
use crate::web::transact::{Repeatable, act, look};

/// Characters of a mail that are shown.
const SHOWN: usize = 20_000;

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(resolve))
}

/// A mail that is nobody's answer.
#[derive(Debug, Serialize, ToSchema)]
struct Mail {
    id: String,
    received_at: String,
    /// Who sent it, as it says itself.
    sender: String,
    subject: String,
    /// `read`, or `unreadable` when it could not be.
    state: String,
    /// What it seems to be, such as `failed`, `complaint`, `automatic` or `unknown`.
    kind: Option<String>,
    /// `proven`, `forged` or `none`: whether it was sent to a return address that we have made.
    token_state: Option<String>,
    /// What a mail server said.
    diagnostic: String,
    /// The delivery it is about, where that is proven.
    delivery_id: Option<String>,
    contact_person_id: Option<String>,
    /// When somebody put it aside.
    resolved_at: Option<String>,
}

impl From<InboundMail> for Mail {
    fn from(mail: InboundMail) -> Self {
        Self {
            id: mail.id,
            received_at: shown(mail.received_at),
            sender: mail.sender,
            subject: mail.subject,
            state: mail.state,
            kind: mail.kind,
            token_state: mail.token_state,
            diagnostic: mail.diagnostic,
            delivery_id: mail.delivery_id.map(|id| id.to_string()),
            contact_person_id: mail.contact_person_id,
            resolved_at: shown_option(mail.handled_at),
        }
    }
}

/// A mail with its text.
#[derive(Debug, Serialize, ToSchema)]
struct OpenMail {
    #[serde(flatten)]
    mail: Mail,
    /// The text for people, at most 20,000 characters.
    text: String,
}

/// What is listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MailQuery {
    /// `tray` (the default): what waits for a person; `automatic`: what machines answered by themselves.
    folder: Option<String>,
    /// How many, at most 1000.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Mail that waits for a person to read it, newest first; the look is logged.
#[utoipa::path(get, path = "/mail-tray", tag = "mail", params(MailQuery),
    responses((status = 200, body = List<Mail>), (status = 422, body = Problem)))]
async fn list(
    State(web): State<Web>,
    Caller(actor): Caller,
    Params(query): Params<MailQuery>,
) -> Result<Json<List<Mail>>, Problem> {
    let limit = Page { limit: query.limit, after: None }.limit()?;
    let folder = match query.folder.as_deref() {
        None | Some("tray") => Folder::Tray,
        Some("automatic") => Folder::Automatic,
        Some(_) => return Err(Problem::field("folder", "field.invalid", "Tillåtna värden: tray, automatic.")),
    };
    let after = query.after.unwrap_or_default();
    let (mails, next) =
        look!(web, |session| mail_tray::page(&web.desk, session, &actor, folder, (&after, limit)).await?)?;
    Ok(Json(List { items: mails.into_iter().map(Mail::from).collect(), next }))
}

/// One mail with its text; the look is logged.
#[utoipa::path(get, path = "/mail-tray/{id}", tag = "mail",
    responses((status = 200, body = OpenMail), (status = 404, body = Problem)))]
async fn get(State(web): State<Web>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Json<OpenMail>, Problem> {
    let (mail, raw) = look!(web, |session| mail_tray::open(&web.desk, session, &actor, &id).await?)?;
    // A hostile mail takes a while to read, and this thread serves others.
    let read = tokio::task::spawn_blocking(move || mime::read(&raw).text).await;
    let text = read.unwrap_or_default().chars().filter(|c| !c.is_control() || *c == '\n').take(SHOWN).collect();
    Ok(Json(OpenMail { mail: mail.into(), text }))
}

/// Puts a mail aside: somebody has dealt with it. Doing it twice changes nothing more.
#[utoipa::path(post, path = "/mail-tray/{id}/resolve", tag = "mail",
    responses((status = 200, body = Mail), (status = 404, body = Problem)))]
async fn resolve(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, b"")?;
    act!(turn, StatusCode::OK, |session| {
        let mail = mail_tray::put_aside(&web.desk, session, &actor, &id).await?;
        Mail::from(mail)
    })
}
