//! Owns `/events`: a stream of what changes, resumable by `Last-Event-ID`.
//!
//! An event's id is the time of the change, so that it means the same on every daemon. A change may be told twice, never
//! not at all.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio_stream::Stream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alert::counts;
use super::time::{shown, shown_option};
use crate::actions::observation_view::sees;
use crate::actions::{holds_areas, require};
use crate::domain::area::AreaTree;
use crate::domain::operator::{Actor, Right};
use crate::store::{self, Session, StoreError};
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::error::Problem;
use crate::web::pages::visit::{self, SignedIn};

/// At most four looks a second; what changes in between is told once.
const LOOK: Duration = Duration::from_millis(250);
/// Changes that were committed a little after their own time are found again within this: 5 s.
const LATE_MS: i64 = 5_000;
/// Observations looked at in one look: more than can change within [`LATE_MS`].
const BURST: i64 = 20_000;
/// A page's stream ends after this, so that the browser comes again and its session is looked at: 2 min.
const SESSION_LOOK: Duration = Duration::from_secs(120);

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// Server-sent events: `message` with state and counts, `observation` with what has come in or changed (without its text),
/// `gateway` with its state. Who does not read alerts gets no `message`, who does not work in the inbox no `observation`.
#[utoipa::path(get, path = "/events", tag = "events",
    responses((status = 200, content_type = "text/event-stream", body = String)))]
async fn stream(State(web): State<Web>, watcher: Watcher, headers: HeaderMap) -> Result<Response, Problem> {
    if !watcher.actor.role.may(Right::WorkInbox) {
        require(&watcher.actor, Right::ReadAlerts)?;
    }
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let since = resumed.unwrap_or_else(|| web.desk.now());
    let mut response = Sse::new(changes(web, watcher, since))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response();
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    headers.insert("cache-control", axum::http::HeaderValue::from_static("no-store, no-transform"));
    Ok(response)
}

/// Who watches: a key, or somebody who is signed in and looks at a page.
struct Watcher {
    actor: Actor,
    ends_after: Duration,
}

impl FromRequestParts<Web> for Watcher {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            match SignedIn::from_request_parts(parts, web).await {
                Ok(who) => return Ok(Self { actor: who.visitor.actor, ends_after: SESSION_LOOK }),
                Err(problem) if problem.code() != visit::NO_SESSION => return Err(problem),
                Err(_) => {}
            }
        }
        let Caller(actor) = Caller::from_request_parts(parts, web).await?;
        Ok(Self { actor, ends_after: Duration::MAX })
    }
}

fn changes(web: Web, watcher: Watcher, since: i64) -> impl Stream<Item = Result<Event, Infallible>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        let begun = Instant::now();
        let mut teller = Teller { web, actor: watcher.actor, since, told: HashMap::new() };
        while begun.elapsed() < watcher.ends_after {
            let events = match teller.look().await {
                Ok(events) => events,
                Err(error) => {
                    tracing::warn!(code = error.code(), "a stream could not look for changes");
                    Vec::new()
                }
            };
            for event in events {
                if sender.send(Ok(event)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = sender.closed() => return,
                () = teller.web.stop.cancelled() => return,
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}

/// What one stream tells.
struct Teller {
    web: Web,
    actor: Actor,
    since: i64,
    /// What it told last, of each thing.
    told: HashMap<String, String>,
}

impl Teller {
    async fn look(&mut self) -> Result<Vec<Event>, StoreError> {
        let mut session = self.web.desk.store.read().await?;
        let tree = store::area::tree(&mut session).await?;
        let mut events = Vec::new();
        let since = self.since - LATE_MS;
        if self.actor.role.may(Right::ReadAlerts) {
            self.messages(&mut session, (&tree, since), &mut events).await?;
        }
        if self.actor.role.may(Right::WorkInbox) {
            self.observations(&mut session, (&tree, since), &mut events).await?;
        }
        for gateway in store::gateway::states(&mut session).await? {
            let data = json!({ "gateway": gateway.gateway, "state": gateway.state, "reason": gateway.reason,
                "since": shown(gateway.since_at) });
            events.extend(self.news(format!("gateway {}", gateway.gateway), ("gateway", self.since), &data));
        }
        Ok(events)
    }

    /// The event that tells of `data`, unless this stream has told just that of it. Times do not say what is new: two changes may have
    /// the same, and of two that waited for each other the later may have the earlier one.
    fn news(&mut self, what: String, (kind, id): (&str, i64), data: &Value) -> Option<Event> {
        let data = data.to_string();
        let event = Event::default().event(kind).id(id.to_string()).data(&data);
        (self.told.insert(what, data.clone()) != Some(data)).then_some(event)
    }

    async fn messages(
        &mut self,
        session: &mut Session,
        (tree, since): (&AreaTree, i64),
        events: &mut Vec<Event>,
    ) -> Result<(), StoreError> {
        for message in store::message::changed_since(session, since, 1_000).await? {
            self.since = self.since.max(message.changed_at);
            let areas = store::message::chosen_areas(session, &message.id).await?;
            if !holds_areas(&self.actor, tree, &areas) {
                continue;
            }
            let figures = counts(&store::message::counts(session, &message.id).await?);
            let data = json!({
                "id": message.id, "kind": message.kind, "state": message.state, "counts": figures,
                "reach": { "contact_persons": message.reach_persons, "households": message.reach_households },
                "handed_over_at": shown_option(message.handed_over_at), "at": shown(message.changed_at),
            });
            events.extend(self.news(format!("message {}", message.id), ("message", message.changed_at), &data));
        }
        Ok(())
    }

    async fn observations(
        &mut self,
        session: &mut Session,
        (tree, since): (&AreaTree, i64),
        events: &mut Vec<Event>,
    ) -> Result<(), StoreError> {
        for one in store::observation::changed_since(session, since, BURST).await? {
            self.since = self.since.max(one.changed_at);
            if !sees(&self.actor, tree, &one) {
                continue;
            }
            let is_alert = one.message_kind.as_deref() == Some("alert");
            let data = json!({
                "id": one.id, "kind": one.kind, "state": one.state, "channel": one.channel,
                "alert_id": one.message_id.filter(|_| is_alert), "contact_person_id": one.contact_person_id,
                "urgent": one.is_urgent == 1, "owner": one.owner, "received_at": shown(one.received_at),
                "at": shown(one.changed_at),
            });
            events.extend(self.news(format!("observation {}", one.id), ("observation", one.changed_at), &data));
        }
        Ok(())
    }
}
