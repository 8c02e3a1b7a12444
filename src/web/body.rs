//! Owns reading requests: JSON bodies and query parameters, with errors that name the field.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Problem;

/// How long a JSON body of at most 1 MiB may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A JSON body.
#[derive(Debug)]
pub struct JsonBody<T> {
    /// What was sent.
    pub value: T,
    /// Its bytes, for comparing repeated requests.
    pub bytes: Bytes,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "request.type",
                "Skicka JSON med Content-Type: application/json.",
            ));
        }
        let bytes = read_whole(request, state, PATIENCE).await?;
        Ok(Self { value: parse(&bytes)?, bytes })
    }
}

/// Reads a whole body, if it comes within `patience` in all: drop by drop is no way to hold a connection.
pub(super) async fn read_whole<S: Send + Sync>(
    request: Request,
    state: &S,
    patience: Duration,
) -> Result<Bytes, Problem> {
    match tokio::time::timeout(patience, Bytes::from_request(request, state)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request.too_large",
            "Innehållet är för stort. Gränsen är 1 MiB, för importer 64 MiB.",
        )),
        Ok(Err(_)) => {
            Err(Problem::new(StatusCode::BAD_REQUEST, "request.unreadable", "Innehållet gick inte att läsa."))
        }
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request.too_slow", "Innehållet kom inte fram i tid.")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let value: Value = serde_json::from_slice(bytes).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "request.json", "Innehållet är inte giltig JSON i UTF-8.")
    })?;
    if let Some(path) = nul_in(&value, "") {
        return Err(Problem::field(&path, "field.nul", "NUL-tecken är inte tillåtna."));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let name = if path == "." { missing_field(&error.inner().to_string()) } else { path };
        Problem::field(&name, "field.invalid", &format!("Fel typ, okänt eller saknat fält: {}.", error.inner()))
    })
}

/// The field that serde calls missing or unknown.
fn missing_field(message: &str) -> String {
    message.split('`').nth(1).unwrap_or("body").to_owned()
}

fn nul_in(value: &Value, path: &str) -> Option<String> {
    let child = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::String(text) if text.contains('\0') => Some(path.to_owned()),
        Value::Array(items) => items.iter().enumerate().find_map(|(at, item)| nul_in(item, &child(&at.to_string()))),
        Value::Object(fields) => {
            fields.iter().find_map(
                |(name, item)| {
                    if name.contains('\0') { Some(path.to_owned()) } else { nul_in(item, &child(name)) }
                },
            )
        }
        _ => None,
    }
}

/// Query parameters.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::from_request_parts(parts, state).await.map(|query| Self(query.0)).map_err(
            |rejection| {
                let text = rejection.body_text();
                let name = text.split(": ").nth(1).unwrap_or("query").to_owned();
                Problem::field(&name, "field.invalid", "Parametern har fel form.")
            },
        )
    }
}

/// Paging parameters of a list.
#[derive(Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// How many, 1 to 1000; 100 when missing.
    pub limit: Option<i64>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

impl Page {
    /// The limit, checked.
    ///
    /// # Errors
    /// [`Problem`] when it is outside 1 to 1000.
    pub fn limit(&self) -> Result<i64, Problem> {
        match self.limit.unwrap_or(100) {
            limit @ 1..=1000 => Ok(limit),
            _ => Err(Problem::field("limit", "field.invalid", "Välj 1 till 1000.")),
        }
    }

    /// Where the page begins; empty for the first.
    #[must_use]
    pub fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }
}
