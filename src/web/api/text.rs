//! Owns `/texts/sms`: how long a text is and what should be looked at, nothing stored.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::actions::alert_view;
use crate::actions::require;
use crate::domain::area::AreaTree;
use crate::domain::operator::Right;
use crate::domain::sms_text::{self, Segmentation, SmsText};
use crate::domain::{lint, sms_text::SmsTextError};
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::JsonBody;
use crate::web::error::Problem;

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(measure))
}

/// Length and parts of a text.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sms {
    encoding: &'static str,
    units: usize,
    parts: usize,
    offending: Vec<Offending>,
}

impl Sms {
    /// Of a segmentation, with the characters that spoil the alphabet.
    #[must_use]
    pub fn new(segmentation: &Segmentation, offending: Vec<Offending>) -> Self {
        Self { encoding: segmentation.encoding.code(), units: segmentation.units, parts: segmentation.parts, offending }
    }
}

/// A character outside the GSM 7-bit alphabet.
#[derive(Debug, Serialize, ToSchema)]
pub struct Offending {
    index: usize,
    char: String,
    name: String,
    replacement: Option<String>,
}

impl From<sms_text::Offending> for Offending {
    fn from(offending: sms_text::Offending) -> Self {
        Self {
            index: offending.index,
            char: offending.character.to_string(),
            name: offending.name,
            replacement: offending.replacement,
        }
    }
}

/// Something to look at.
#[derive(Debug, Serialize, ToSchema)]
pub struct Warning {
    code: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    area_code: Option<String>,
}

impl From<alert_view::Warning> for Warning {
    fn from(warning: alert_view::Warning) -> Self {
        Self { code: warning.code, detail: warning.detail, area_code: warning.area_code }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TextRequest {
    text: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Measured {
    sms: Sms,
    warnings: Vec<Warning>,
}

/// Measures a text as it stands, without a frame.
#[utoipa::path(post, path = "/texts/sms", tag = "texts", request_body = TextRequest,
    responses((status = 200, body = Measured), (status = 422, body = Problem)))]
async fn measure(Caller(actor): Caller, body: JsonBody<TextRequest>) -> Result<Json<Measured>, Problem> {
    require(&actor, Right::ReadAreas)?;
    let text = SmsText::parse(&body.value.text)
        .map_err(|error: SmsTextError| Problem::field("text", error.code(), &error.detail()))?;
    let segmentation = text.segmentation();
    let findings =
        lint::refusals(&text, &text).into_iter().chain(lint::warnings(&text, &text, &AreaTree::default(), &[], &[]));
    let warnings = findings.map(alert_view::Warning::from).map(Warning::from).collect();
    let offending = segmentation.offending.iter().cloned().map(Offending::from).collect();
    Ok(Json(Measured { sms: Sms::new(&segmentation, offending), warnings }))
}
