//! Owns the one mapping of errors to HTTP: problem documents (RFC 9457).
//!
//! Invariant: a 5xx answer carries an id to look up in the log, never a cause.

use std::any::Any;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::actions::ActionError;
use crate::store::StoreError;

/// A problem document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// URI of the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// Short words for the HTTP code.
    title: &'static str,
    /// HTTP code.
    status: u16,
    /// What is wrong and what is allowed, in Swedish.
    detail: String,
    /// Stable code such as `alert.audience_empty`.
    code: String,
    /// For 422: what is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldProblem>,
    /// For 5xx: what to look for in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Seconds to wait, for the header `Retry-After`.
    #[serde(skip)]
    retry_after: Option<u64>,
    /// What somebody typed into a form that was not taken, for showing it again on a page.
    #[serde(skip)]
    kept: Vec<(String, String)>,
    /// Whether others were met in the database, so that the same may succeed at once.
    #[serde(skip)]
    is_busy: bool,
}

/// One wrong field.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldProblem {
    /// The field.
    name: String,
    /// Stable code.
    code: String,
    /// What is wrong and what is allowed, in Swedish.
    detail: String,
}

impl Problem {
    /// A problem without fields.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, detail: &str) -> Self {
        Self {
            kind: format!("urn:grannpost:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.to_owned(),
            code: code.to_owned(),
            fields: Vec::new(),
            request_id: None,
            retry_after: None,
            kept: Vec::new(),
            is_busy: false,
        }
    }

    /// Whether others were met in the database, so that the same may succeed at once.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Calls come too fast; `wait` until the next one.
    #[must_use]
    pub fn too_many(wait: std::time::Duration) -> Self {
        let detail = "För många anrop på kort tid. Vänta och försök igen.";
        Self {
            // Rounded up: a caller who waits that long is let through.
            retry_after: Some(wait.as_secs() + 1),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "request.too_many", detail)
        }
    }

    /// A problem with one field.
    #[must_use]
    pub fn field(name: &str, code: &str, detail: &str) -> Self {
        let field = FieldProblem { name: name.to_owned(), code: code.to_owned(), detail: detail.to_owned() };
        Self {
            fields: vec![field],
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation.failed", "Rätta uppgifterna och försök igen.")
        }
    }

    /// The same with what somebody typed, so that it can be shown again.
    #[must_use]
    pub fn with_kept(mut self, kept: Vec<(String, String)>) -> Self {
        self.kept = kept;
        self
    }

    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// HTTP code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What is wrong and what is allowed, in Swedish.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Name of each wrong field and what is wrong with it.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (field.name.as_str(), field.detail.as_str()))
    }

    /// What somebody typed.
    #[must_use]
    pub fn kept(&self) -> &[(String, String)] {
        &self.kept
    }

    /// What to look for in the log.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Seconds to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// A fault of ours; the log says more under the id that the answer carries.
    #[must_use]
    pub fn internal(code: &'static str) -> Self {
        let request_id = uuid::Uuid::from_bytes(crate::ambient::random_bytes()).to_string();
        tracing::error!(request_id, code, "a request failed");
        Self {
            request_id: Some(request_id),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Något gick fel hos oss. Försök igen.")
        }
    }
}

impl From<ActionError> for Problem {
    fn from(error: ActionError) -> Self {
        let code = error.code();
        match error {
            ActionError::Forbidden => Self::new(
                StatusCode::FORBIDDEN,
                code,
                "Behörigheten räcker inte. Be en administratör om rätt roll för området.",
            ),
            ActionError::NotYou { detail, .. } => Self::new(StatusCode::FORBIDDEN, code, &detail),
            ActionError::NotFound => Self::new(StatusCode::NOT_FOUND, code, "Det finns inget sådant i dina områden."),
            ActionError::Conflict { detail, .. } => Self::new(StatusCode::CONFLICT, code, &detail),
            ActionError::Invalid(fields) => Self {
                fields: fields
                    .into_iter()
                    .map(|field| FieldProblem { name: field.name, code: field.code.to_owned(), detail: field.detail })
                    .collect(),
                ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, "Rätta uppgifterna och försök igen.")
            },
            ActionError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = error.code();
        match error {
            StoreError::Busy(_) | StoreError::Unavailable(_) => {
                tracing::warn!(code, "a request could not reach the database");
                let detail = "Databasen svarar inte just nu. Försök igen om några sekunder.";
                let is_busy = matches!(error, StoreError::Busy(_));
                Self { is_busy, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail) }
            }
            StoreError::Full(_) => {
                tracing::error!(code, "the database cannot be written to");
                Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    code,
                    "Databasen går inte att skriva till. Disken kan vara full.",
                )
            }
            StoreError::Conflict(_) | StoreError::Schema(_) | StoreError::Fault(_) => Self::internal(code),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let retry_after = self.retry_after;
        let mut response = (status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        // Whoever asked for a page gets it as one.
        response.extensions_mut().insert(self);
        response
    }
}

/// No such path.
pub async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "Det finns inget på den adressen.")
}

/// A path that exists, called the wrong way.
pub async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "request.method", "Adressen kan inte anropas på det sättet.")
}

/// A handler panicked; what it was doing was rolled back.
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::internal("panic").into_response()
}
