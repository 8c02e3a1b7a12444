//! Owns how a request becomes a transaction, and how a repeated request gets the same answer.
//!
//! Invariant: the answer kept for an `Idempotency-Key` is committed together with its effect.

use axum::extract::FromRequestParts;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Web;
use super::error::Problem;
use crate::domain::operator::Actor;
use crate::store::{Session, StoreError, idempotency};

/// Longest `Idempotency-Key`.
const LONGEST_KEY: usize = 255;

/// What makes a request the same as another: its key, method, path and query.
#[derive(Debug, Clone)]
pub struct Repeatable {
    key: Option<String>,
    target: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Repeatable {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let key = match parts.headers.get("idempotency-key") {
            None => None,
            Some(value) => Some(
                value
                    .to_str()
                    .ok()
                    .filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY)
                    .ok_or_else(|| {
                        Problem::field("Idempotency-Key", "idempotency.key", "Nyckeln ska ha 1 till 255 tecken.")
                    })?
                    .to_owned(),
            ),
        };
        Ok(Self { key, target: format!("{} {}", parts.method, parts.uri) })
    }
}

impl Repeatable {
    /// Of a page's form: `key` stands in it, made with the page, so that a second click does nothing more.
    ///
    /// # Errors
    /// [`Problem`] when the form holds no key.
    pub fn of_form(key: &str, target: &str) -> Result<Self, Problem> {
        if key.is_empty() || key.len() > LONGEST_KEY {
            let detail = "Sidan är för gammal. Gå tillbaka, ladda om den och försök igen.";
            return Err(Problem::new(StatusCode::CONFLICT, "idempotency.form", detail));
        }
        Ok(Self { key: Some(format!("page {key}")), target: format!("POST {target}") })
    }
}

/// A request on its way to become one transaction.
#[derive(Debug)]
pub struct Work<'a> {
    web: &'a Web,
    session: Session,
    /// Caller and key, when the answer shall be kept.
    kept_for: Option<(String, String)>,
}

/// What a request turned out to be.
#[derive(Debug)]
pub enum Begun<'a> {
    /// To be done now.
    New(Work<'a>),
    /// Done before, with this answer.
    Earlier(Response),
}

impl<'a> Work<'a> {
    /// Begins the transaction of a request. A second one with the same key waits here until the first has committed.
    ///
    /// # Errors
    /// [`Problem`] when the key was used for another request, or the first is still running.
    pub async fn begin(
        web: &'a Web,
        caller: &Actor,
        (request, body): (&Repeatable, &[u8]),
    ) -> Result<Begun<'a>, Problem> {
        let mut session = web.desk.store.begin().await?;
        let Some(key) = &request.key else { return Ok(Begun::New(Self { web, session, kept_for: None })) };
        let hash = request_hash(&request.target, body);
        let reserved = idempotency::reserve(&mut session, (&caller.id, key), &hash, web.desk.now()).await;
        let earlier = reserved.map_err(|error| match error {
            StoreError::Busy(_) => {
                Problem::new(StatusCode::CONFLICT, "idempotency.running", "Samma begäran behandlas redan.")
            }
            error => error.into(),
        })?;
        match earlier {
            Some(answer) => earlier_answer(&answer, &hash).map(Begun::Earlier),
            None => Ok(Begun::New(Self { web, session, kept_for: Some((caller.id.clone(), key.clone())) })),
        }
    }

    /// Where the action runs.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Commits, with the answer kept for the key, wakes dispatch and answers.
    ///
    /// # Errors
    /// [`Problem`]; nothing was done then.
    pub async fn finish<T: Serialize>(mut self, status: StatusCode, value: &T) -> Result<Response, Problem> {
        let text = serde_json::to_string(value).expect("answers are plain data");
        if let Some((caller, key)) = &self.kept_for {
            let code = i64::from(status.as_u16());
            idempotency::finish(&mut self.session, (caller, key), code, text.clone()).await?;
        }
        self.session.commit().await?;
        self.web.desk.wakeup.ring();
        Ok(json(status, text))
    }
}

impl Work<'_> {
    /// Commits and leads on to a page; a repeated request is led there too.
    ///
    /// # Errors
    /// [`Problem`]; nothing was done then.
    pub async fn finish_at(mut self, page: &str) -> Result<Response, Problem> {
        if let Some((caller, key)) = &self.kept_for {
            let code = i64::from(StatusCode::SEE_OTHER.as_u16());
            idempotency::finish(&mut self.session, (caller, key), code, page.to_owned()).await?;
        }
        self.session.commit().await?;
        self.web.desk.wakeup.ring();
        Ok(Redirect::to(page).into_response())
    }
}

/// Begins the transaction of a request in a handler; leaves the handler when the request was answered before.
macro_rules! begin {
    ($web:expr, $actor:expr, $request:expr, $body:expr) => {
        match $crate::web::transact::Work::begin(&$web, &$actor, (&$request, $body)).await? {
            $crate::web::transact::Begun::New(work) => work,
            $crate::web::transact::Begun::Earlier(response) => return Ok(response),
        }
    };
}
pub(crate) use begin;

fn earlier_answer(answer: &idempotency::Answer, request_hash: &str) -> Result<Response, Problem> {
    if answer.request_hash != request_hash {
        return Err(Problem::field(
            "Idempotency-Key",
            "idempotency.key_reused",
            "Nyckeln har använts till en annan begäran. Använd en ny.",
        ));
    }
    let status = u16::try_from(answer.answer_code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    if status == Some(StatusCode::SEE_OTHER) {
        return Ok(Redirect::to(&answer.answer).into_response());
    }
    Ok(json(status.unwrap_or(StatusCode::OK), answer.answer.clone()))
}

fn json(status: StatusCode, text: String) -> Response {
    if status == StatusCode::NO_CONTENT {
        return status.into_response();
    }
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

fn request_hash(target: &str, body: &[u8]) -> String {
    let mut sha = Sha256::new();
    sha.update(target.as_bytes());
    sha.update([0]);
    sha.update(body);
    data_encoding::HEXLOWER.encode(&sha.finalize())
}
