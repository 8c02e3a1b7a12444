//! Owns how a request becomes a transaction, and how a repeated request gets the same answer.
//!
//! Invariants: the answer kept for an `Idempotency-Key` is committed together with its effect; an action that is done again
//! was rolled back before.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Web;
use super::error::Problem;
use crate::ambient;
use crate::domain::operator::Actor;
use crate::store::{Session, StoreError, idempotency};

/// Longest `Idempotency-Key`.
const LONGEST_KEY: usize = 255;
/// How long a request that meets others in the database is tried: a caller waits for no more than a lock and this.
const PATIENCE: Duration = Duration::from_secs(3);
const BREATH: Duration = Duration::from_millis(20);

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

/// Keys whose first request is being answered by this process, each with its caller.
#[derive(Debug, Clone, Default)]
pub struct UnderWay(Arc<Mutex<HashSet<(String, String)>>>);

impl UnderWay {
    fn take(&self, caller: &str, key: &str) -> Option<Held> {
        let held = (caller.to_owned(), key.to_owned());
        self.lock().insert(held.clone()).then(|| Held { under_way: self.clone(), held })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A caller's key, given back when the request has been answered.
#[derive(Debug)]
struct Held {
    under_way: UnderWay,
    held: (String, String),
}

impl Drop for Held {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.held);
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

    /// The request's turn, unless one with the same key is being answered.
    ///
    /// # Errors
    /// [`Problem`] 409.
    pub fn turn<'a>(&self, web: &'a Web, caller: &Actor, body: &[u8]) -> Result<Turn<'a>, Problem> {
        let held = match &self.key {
            None => None,
            Some(key) => Some(web.under_way.take(&caller.id, key).ok_or_else(running)?),
        };
        Ok(Turn { web, request_hash: request_hash(&self.target, body), held })
    }

    /// The request's turn, after one with the same key: a second click on a page shows what the first one made.
    ///
    /// # Errors
    /// [`Problem`] 409 when the first is not answered in [`PATIENCE`].
    pub async fn turn_in_line<'a>(&self, web: &'a Web, caller: &Actor, body: &[u8]) -> Result<Turn<'a>, Problem> {
        let begun = Instant::now();
        loop {
            match self.turn(web, caller, body) {
                Err(_) if begun.elapsed() < PATIENCE => tokio::time::sleep(BREATH).await,
                turn => return turn,
            }
        }
    }
}

/// How long a request is tried again that meets others in the database: a deadlock, a serialisation failure, a lock that was
/// held too long.
#[derive(Debug)]
pub struct Patience {
    begun: Instant,
}

impl Default for Patience {
    fn default() -> Self {
        Self { begun: Instant::now() }
    }
}

impl Patience {
    /// Whether to try again after `problem`, after a short wait.
    pub async fn is_left(&self, problem: &Problem) -> bool {
        if !problem.is_busy() || self.begun.elapsed() > PATIENCE {
            return false;
        }
        tracing::info!("a request met others in the database and is done again");
        tokio::time::sleep(BREATH.mul_f64(1.0 + ambient::random_fraction())).await;
        true
    }
}

/// Does something again from its beginning while it meets others in the database. A macro, since the future of an async
/// closure that borrows is not known to be `Send`.
macro_rules! again_when_busy {
    ($attempt:block) => {{
        let patience = $crate::web::transact::Patience::default();
        loop {
            let attempt: Result<_, $crate::web::error::Problem> = async { Ok($attempt) }.await;
            match attempt {
                Err(problem) if patience.is_left(&problem).await => {}
                done => break done,
            }
        }
    }};
}
pub(crate) use again_when_busy;

/// A request on its way to become a transaction.
#[derive(Debug)]
pub struct Turn<'a> {
    web: &'a Web,
    request_hash: String,
    held: Option<Held>,
}

/// What a request turned out to be.
#[derive(Debug)]
pub enum Begun<'a> {
    /// To be done now.
    New(Work<'a>),
    /// Done before, with this answer.
    Earlier(Response),
}

/// A request's transaction.
#[derive(Debug)]
pub struct Work<'a> {
    turn: &'a Turn<'a>,
    session: Session,
}

/// What became of a request.
#[derive(Debug)]
pub struct Done {
    /// The answer.
    pub response: Response,
    /// Whether it was done now, and not before.
    pub is_new: bool,
}

impl<'a> Turn<'a> {
    /// The answer that was given before, if so: asked before work that is not one transaction.
    ///
    /// # Errors
    /// As [`Turn::begin`].
    pub async fn earlier(&'a self) -> Result<Option<Response>, Problem> {
        match again_when_busy!({ self.begin().await? })? {
            Begun::Earlier(response) => Ok(Some(response)),
            Begun::New(_) => Ok(None),
        }
    }

    /// Begins the request's transaction. Another daemon's request with the same key is waited for, as long as a lock is.
    ///
    /// # Errors
    /// [`Problem`] when the key was used for another request, or that one is still running.
    pub async fn begin(&'a self) -> Result<Begun<'a>, Problem> {
        let mut session = self.web.desk.store.begin().await?;
        let Some(Held { held: (caller, key), .. }) = &self.held else {
            return Ok(Begun::New(Work { turn: self, session }));
        };
        let reserved = idempotency::reserve(&mut session, (caller, key), &self.request_hash, self.web.desk.now()).await;
        let earlier = reserved.map_err(|error| match error {
            StoreError::Busy(_) => running(),
            error => error.into(),
        })?;
        match earlier {
            Some(answer) => earlier_answer(&answer, &self.request_hash).map(Begun::Earlier),
            None => Ok(Begun::New(Work { turn: self, session })),
        }
    }
}

impl Work<'_> {
    /// Where the action runs.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Commits, with the answer kept for the key, wakes dispatch and answers.
    ///
    /// # Errors
    /// [`Problem`]; nothing was done then.
    pub async fn finish<T: Serialize>(mut self, status: StatusCode, value: &T) -> Result<Done, Problem> {
        let text = serde_json::to_string(value).expect("answers are plain data");
        if let Some(Held { held: (caller, key), .. }) = &self.turn.held {
            let code = i64::from(status.as_u16());
            idempotency::finish(&mut self.session, (caller, key), code, text.clone()).await?;
        }
        self.session.commit().await?;
        self.turn.web.desk.wakeup.ring();
        Ok(Done { response: json(status, text), is_new: true })
    }

    /// Commits and leads on to a page; a repeated request is led there too.
    ///
    /// # Errors
    /// [`Problem`]; nothing was done then.
    pub async fn finish_at(mut self, page: &str) -> Result<Response, Problem> {
        if let Some(Held { held: (caller, key), .. }) = &self.turn.held {
            let code = i64::from(StatusCode::SEE_OTHER.as_u16());
            idempotency::finish(&mut self.session, (caller, key), code, page.to_owned()).await?;
        }
        self.session.commit().await?;
        self.turn.web.desk.wakeup.ring();
        Ok(Redirect::to(page).into_response())
    }
}

/// Does the request of a turn in a transaction that also keeps its answer; gives a [`Done`].
macro_rules! done {
    ($turn:expr, $status:expr, |$session:ident| $action:block) => {
        $crate::web::transact::again_when_busy!({
            match $turn.begin().await? {
                $crate::web::transact::Begun::Earlier(response) => {
                    $crate::web::transact::Done { response, is_new: false }
                }
                $crate::web::transact::Begun::New(mut work) => {
                    let value = {
                        let $session = work.session();
                        $action
                    };
                    work.finish($status, &value).await?
                }
            }
        })
    };
}
pub(crate) use done;

/// Does the request of a turn in a transaction that also keeps its answer, and answers.
macro_rules! act {
    ($turn:expr, $status:expr, |$session:ident| $action:block) => {
        $crate::web::transact::done!($turn, $status, |$session| $action).map(|done| done.response)
    };
}
pub(crate) use act;

/// Looks at something in a transaction of its own, since the look is logged.
macro_rules! look {
    ($web:expr, |$session:ident| $look:expr) => {
        $crate::web::transact::again_when_busy!({
            let mut session = $web.desk.store.begin().await?;
            let seen = {
                let $session = &mut session;
                $look
            };
            session.commit().await?;
            seen
        })
    };
}
pub(crate) use look;

fn running() -> Problem {
    Problem::new(StatusCode::CONFLICT, "idempotency.running", "Samma begäran behandlas redan.")
}

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
