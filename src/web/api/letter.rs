//! Owns `/letters`: what a letter looks like on the wire, its calls, its preview and its sheets of paper.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, TRANSFER_ENCODING};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::List;
use super::alert::{Reach, Stopped, counts};
use super::delivery::{Delivery, DeliveryPage, list as list_deliveries};
use super::time::{shown, shown_option};
use crate::actions::large_letter;
use crate::actions::letter::{self, LetterChange, NewLetter, Sending};
use crate::actions::letter_review::Pass;
use crate::actions::letter_view::{self, LetterView};
use crate::actions::paper;
use crate::domain::audience::LetterAudience;
use crate::domain::letter::{CopyRecipientFields, LetterFields, SignatureFields};
use crate::domain::operator::Actor;
use crate::render::letter::PRINT_STYLE;
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::{JsonBody, Page, Params};
use crate::web::error::Problem;
use crate::web::transact::{Repeatable, Turn, act, again_when_busy, done, look};

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, revise))
        .routes(routes!(deliveries))
        .routes(routes!(preview))
        .routes(routes!(print))
        .routes(routes!(test))
        .routes(routes!(send))
        .routes(routes!(stop))
        .routes(routes!(printed))
}

/// Who signs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Signature {
    name: String,
    #[serde(default)]
    title: String,
}

impl From<Signature> for SignatureFields {
    fn from(signature: Signature) -> Self {
        Self { name: signature.name, title: signature.title }
    }
}

/// Who gets a copy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CopyRecipient {
    name: String,
    email: String,
}

impl From<CopyRecipient> for CopyRecipientFields {
    fn from(copy: CopyRecipient) -> Self {
        Self { name: copy.name, email: copy.email }
    }
}

/// A letter to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LetterRequest {
    /// Subject and heading, at most 200 characters.
    subject: String,
    /// Body, Markdown, at most 100 000 characters.
    body_markdown: String,
    /// Codes of the areas it goes to.
    areas: Vec<String>,
    /// Diarienummer.
    registry_number: Option<String>,
    /// Must be true when there is no `registry_number`.
    #[serde(default)]
    no_registry_number: bool,
    /// Saknummer.
    subject_code: Option<String>,
    /// `YYYY-MM-DD`; the day it is sent when missing.
    dated: Option<String>,
    /// Who signs.
    signature: Option<Signature>,
    /// Sändlista.
    #[serde(default)]
    copy_recipients: Vec<CopyRecipient>,
    /// RFC 3339; when it shall go once it is sent.
    #[schema(value_type = Option<String>)]
    send_at: Option<jiff::Timestamp>,
}

impl From<LetterRequest> for NewLetter {
    fn from(request: LetterRequest) -> Self {
        Self {
            fields: LetterFields {
                subject: request.subject,
                body_markdown: request.body_markdown,
                registry_number: request.registry_number,
                no_registry_number: request.no_registry_number,
                subject_code: request.subject_code,
                dated: request.dated,
                signature: request.signature.map(Into::into),
                copy_recipients: request.copy_recipients.into_iter().map(Into::into).collect(),
            },
            areas: request.areas,
            send_at: request.send_at,
        }
    }
}

/// What of a draft shall become different; what is missing stays, null empties.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct LetterPatch {
    subject: Option<String>,
    body_markdown: Option<String>,
    areas: Option<Vec<String>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    registry_number: Option<Option<String>>,
    no_registry_number: Option<bool>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    subject_code: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    dated: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Signature>)]
    signature: Option<Option<Signature>>,
    copy_recipients: Option<Vec<CopyRecipient>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    send_at: Option<Option<jiff::Timestamp>>,
    /// The revision that the change was made upon; refused with 409 when it is another by now.
    revision: Option<i64>,
}

/// A field that is there, null or not.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<LetterPatch> for LetterChange {
    fn from(patch: LetterPatch) -> Self {
        Self {
            subject: patch.subject,
            body_markdown: patch.body_markdown,
            areas: patch.areas,
            registry_number: patch.registry_number,
            no_registry_number: patch.no_registry_number,
            subject_code: patch.subject_code,
            dated: patch.dated,
            signature: patch.signature.map(|signature| signature.map(Into::into)),
            copy_recipients: patch.copy_recipients.map(|copies| copies.into_iter().map(Into::into).collect()),
            send_at: patch.send_at,
            expected_revision: patch.revision,
        }
    }
}

/// Whom a letter reaches; persons.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct LetterAudienceShown {
    contact_persons: i64,
    households: i64,
    by_email: i64,
    on_paper: i64,
    not_reached: i64,
}

impl From<LetterAudience> for LetterAudienceShown {
    fn from(audience: LetterAudience) -> Self {
        Self {
            contact_persons: audience.contact_persons,
            households: audience.households,
            by_email: audience.by_email,
            on_paper: audience.on_paper,
            not_reached: audience.not_reached,
        }
    }
}

/// A letter.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Letter {
    id: String,
    state: String,
    revision: i64,
    subject: String,
    body_markdown: String,
    areas: Vec<String>,
    registry_number: Option<String>,
    no_registry_number: bool,
    subject_code: Option<String>,
    dated: Option<String>,
    signature: Option<Signature>,
    copy_recipients: Vec<CopyRecipient>,
    created_at: String,
    send_at: Option<String>,
    sends_at: Option<String>,
    expires_at: Option<String>,
    handed_over_at: Option<String>,
    done_at: Option<String>,
    stopped_at: Option<String>,
    audience: LetterAudienceShown,
    counts: BTreeMap<&'static str, i64>,
    reach: Reach,
}

impl From<LetterView> for Letter {
    fn from(view: LetterView) -> Self {
        let m = view.message;
        let fields = view.letter.fields();
        let copies = fields.copy_recipients.into_iter();
        Self {
            id: m.id,
            state: m.state,
            revision: m.revision,
            subject: fields.subject,
            body_markdown: fields.body_markdown,
            areas: view.areas,
            registry_number: fields.registry_number,
            no_registry_number: fields.no_registry_number,
            subject_code: fields.subject_code,
            dated: fields.dated,
            signature: fields.signature.map(|s| Signature { name: s.name, title: s.title }),
            copy_recipients: copies.map(|copy| CopyRecipient { name: copy.name, email: copy.email }).collect(),
            created_at: shown(m.created_at),
            send_at: shown_option(m.send_at),
            sends_at: shown_option(m.sends_at),
            expires_at: shown_option(m.expires_at),
            handed_over_at: shown_option(m.handed_over_at),
            done_at: shown_option(m.done_at),
            stopped_at: shown_option(m.stopped_at),
            audience: view.audience.into(),
            counts: counts(&view.counts),
            reach: Reach { contact_persons: m.reach_persons, households: m.reach_households },
        }
    }
}

/// Makes a draft.
#[utoipa::path(post, path = "/letters", tag = "letters", request_body = LetterRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Samma nyckel och innehåll ger samma svar")),
    responses((status = 201, body = Letter), (status = 422, body = Problem)))]
async fn create(
    State(web): State<Web>,
    Caller(actor): Caller,
    request: Repeatable,
    body: JsonBody<LetterRequest>,
) -> Result<Response, Problem> {
    let new = NewLetter::from(body.value);
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::CREATED, |session| {
        let view = letter::create(&web.desk, session, &actor, &new).await?;
        Letter::from(view)
    })
}

/// Letters, newest first.
#[utoipa::path(get, path = "/letters", tag = "letters", params(Page), responses((status = 200, body = List<Letter>)))]
async fn list(
    State(web): State<Web>,
    Caller(actor): Caller,
    Params(page): Params<Page>,
) -> Result<Json<List<Letter>>, Problem> {
    let mut session = web.desk.store.read().await?;
    let (views, next) = letter_view::page(&web.desk, &mut session, &actor, (page.after(), page.limit()?)).await?;
    Ok(Json(List { items: views.into_iter().map(Letter::from).collect(), next }))
}

/// One letter.
#[utoipa::path(get, path = "/letters/{id}", tag = "letters",
    responses((status = 200, body = Letter), (status = 404, body = Problem)))]
async fn get(State(web): State<Web>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Json<Letter>, Problem> {
    let mut session = web.desk.store.read().await?;
    Ok(Json(letter_view::get(&web.desk, &mut session, &actor, &id).await?.into()))
}

/// Changes a draft.
#[utoipa::path(patch, path = "/letters/{id}", tag = "letters", request_body = LetterPatch,
    responses((status = 200, body = Letter), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn revise(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<LetterPatch>,
) -> Result<Response, Problem> {
    let change = LetterChange::from(body.value);
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::OK, |session| {
        let view = letter::revise(&web.desk, session, &actor, &id, &change).await?;
        Letter::from(view)
    })
}

/// The deliveries of a letter, by e-mail and on paper.
#[utoipa::path(get, path = "/letters/{id}/deliveries", tag = "letters", params(DeliveryPage),
    responses((status = 200, body = List<Delivery>), (status = 404, body = Problem)))]
async fn deliveries(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(page): Params<DeliveryPage>,
) -> Result<Json<List<Delivery>>, Problem> {
    list_deliveries(&web, &actor, &id, &page).await.map(Json)
}

/// Which form of a preview.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PreviewForm {
    /// `html` (default), `text` or `pdf`.
    format: Option<String>,
}

/// Exactly what is sent, but for the recipient's own unsubscribe link.
#[utoipa::path(get, path = "/letters/{id}/preview", tag = "letters", params(PreviewForm),
    responses((status = 200, body = String, content_type = "text/html"), (status = 404, body = Problem),
        (status = 501, body = Problem)))]
async fn preview(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(form): Params<PreviewForm>,
) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let parts = letter_view::preview(&web.desk, &mut session, &actor, &id).await?;
    match form.format.as_deref().unwrap_or("html") {
        "html" => Ok(html(parts.html, PREVIEW_POLICY)),
        "text" => Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], parts.text).into_response()),
        "pdf" => Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "letter.pdf_not_built",
            "PDF finns inte ännu. Använd html eller text.",
        )),
        _ => Err(Problem::field("format", "field.invalid", "Tillåtna värden: html, text, pdf.")),
    }
}

/// The sheets of those who get the letter on paper, ready to be printed.
#[utoipa::path(get, path = "/letters/{id}/print", tag = "letters",
    responses((status = 200, body = String, content_type = "text/html"), (status = 409, body = Problem)))]
async fn print(State(web): State<Web>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let page = look!(web, |session| paper::print_page(&web.desk, session, &actor, &id).await?)?;
    Ok(sheets(page))
}

/// What a letter shown as mail may do: nothing in it is fetched or run, and its own styles stand inline, as mail programs
/// need them.
pub(in crate::web) const PREVIEW_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox";

/// The sheets of paper as an answer.
pub(in crate::web) fn sheets(page: String) -> Response {
    let hash = data_encoding::BASE64.encode(&Sha256::digest(PRINT_STYLE));
    html(page, &format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'"))
}

/// A document with a policy of its own.
pub(in crate::web) fn html(page: String, policy: &str) -> Response {
    let mut response = ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response();
    if let Ok(policy) = HeaderValue::from_str(policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Where a test goes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TestRequest {
    /// The address; the operator's own when missing.
    email: Option<String>,
}

/// A test on its way.
#[derive(Debug, Serialize, ToSchema)]
struct TestShown {
    message_id: String,
    delivery_id: String,
}

/// Sends the letter as it stands to one address.
#[utoipa::path(post, path = "/letters/{id}/test", tag = "letters", request_body = TestRequest,
    responses((status = 200, body = TestShown), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn test(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    Optional(body): Optional<TestRequest>,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::OK, |session| {
        let sent = letter::test(&web.desk, session, &actor, &id, body.value.email.as_deref()).await?;
        TestShown { message_id: sent.message_id, delivery_id: sent.delivery_id.to_string() }
    })
}

/// How to send.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SendRequest {
    /// Refused with 409 when it is neither the count by e-mail nor that with paper.
    expected_recipients: Option<i64>,
    /// Shorter than the configured undo window.
    undo_seconds: Option<i64>,
    /// Refused with 409 when the letter's revision is another.
    revision: Option<i64>,
}

/// Sends a draft: its audience is frozen now. Where a colleague must approve it, it awaits that instead.
#[utoipa::path(post, path = "/letters/{id}/send", tag = "letters", request_body = SendRequest,
    responses((status = 200, body = Letter), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn send(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    Optional(body): Optional<SendRequest>,
) -> Result<Response, Problem> {
    let sending = Sending {
        expected_recipients: body.value.expected_recipients,
        undo_seconds: body.value.undo_seconds,
        expected_revision: body.value.revision,
    };
    let turn = request.turn(&web, &actor, &body.bytes)?;
    send_by(&web, &actor, &turn, ((&id, sending), &Pass::Own)).await
}

/// Sends a letter by what lets it go, however large its audience.
pub(super) async fn send_by(
    web: &Web,
    actor: &Actor,
    turn: &Turn<'_>,
    ((id, sending), pass): ((&str, Sending), &Pass),
) -> Result<Response, Problem> {
    if large_letter::is_large(&web.desk, id, pass).await? {
        return send_large(web, actor, turn, ((id, sending), pass)).await;
    }
    act!(turn, StatusCode::OK, |session| {
        let view = letter::send(&web.desk, session, actor, (id, sending), pass).await?;
        Letter::from(view)
    })
}

/// Freezes a large audience unseen, and publishes the letter in the transaction that keeps the answer.
async fn send_large(
    web: &Web,
    actor: &Actor,
    turn: &Turn<'_>,
    ((id, sending), pass): ((&str, Sending), &Pass),
) -> Result<Response, Problem> {
    if let Some(response) = turn.earlier().await? {
        return Ok(response);
    }
    let unseen = again_when_busy!({ large_letter::send(&web.desk, actor, (id, sending), pass).await? })?;
    let done = done!(turn, StatusCode::OK, |session| {
        Letter::from(large_letter::publish(&web.desk, session, actor, &unseen).await?)
    });
    if !done.as_ref().is_ok_and(|done| done.is_new) {
        unseen.freezing().undo(&web.desk).await?;
    }
    Ok(done?.response)
}

/// Stops what is left, paper included.
#[utoipa::path(post, path = "/letters/{id}/stop", tag = "letters",
    responses((status = 200, body = Stopped), (status = 404, body = Problem)))]
async fn stop(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &[])?;
    act!(turn, StatusCode::OK, |session| { Stopped::from(letter::stop(&web.desk, session, &actor, &id).await?) })
}

/// How many sheets were noted as printed.
#[derive(Debug, Serialize, ToSchema)]
struct Printed {
    printed: usize,
}

/// Notes that the sheets have been printed and posted.
#[utoipa::path(post, path = "/letters/{id}/printed", tag = "letters",
    responses((status = 200, body = Printed), (status = 409, body = Problem)))]
async fn printed(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &[])?;
    act!(turn, StatusCode::OK, |session| {
        let printed = paper::printed(&web.desk, session, &actor, &id).await?;
        Printed { printed }
    })
}

/// A JSON body that may be left out altogether.
pub(super) struct Optional<T>(pub(super) JsonBody<T>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Optional<T> {
    type Rejection = Problem;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers_mut();
        let is_empty =
            headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0") && !headers.contains_key(TRANSFER_ENCODING);
        if is_empty && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        JsonBody::from_request(request, state).await.map(Self)
    }
}
