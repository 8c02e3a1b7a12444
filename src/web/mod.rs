//! Owns HTTP: the API, the hooks, the watching pages and the public pages.
//!
//! It holds no rule of its own; it parses, calls an action and shows what came. Invariant: every answer below `/hooks/`
//! has an empty body, whatever happens.

pub mod api;
pub mod auth;
pub mod body;
pub mod error;
pub mod hooks;
pub mod leftover;
pub mod limits;
pub mod own_page_limits;
pub mod pages;
pub mod sign_in_limits;
pub mod transact;
pub mod watch;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tower::util::MapResponseLayer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::actions::Desk;
use crate::domain::daemon_role::Roles;
use crate::inbound::gateway_hook::GatewayHook;
use crate::inbound::identity::IdentityDesk;
use crate::inbound::receipt::ReceiptDesk;
use crate::inbound::sms::SmsDesk;

use limits::Limits;
use own_page_limits::OwnPageLimits;
use sign_in_limits::SignInLimits;
use transact::UnderWay;

/// Bodies larger than this are refused: 1 MiB.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// What every handler has at hand. Each layer of each request has its own, so that it is one pointer.
#[derive(Debug, Clone)]
pub struct Web(Arc<Shared>);

impl From<Shared> for Web {
    fn from(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for Web {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What all handlers share.
#[derive(Debug)]
pub struct Shared {
    /// What actions work with.
    pub desk: Desk,
    /// Where receipts are handed in.
    pub receipts: ReceiptDesk,
    /// Where incoming SMS are handed in.
    pub incoming: SmsDesk,
    /// Gateways that may call hooks, by name.
    pub hooks: Arc<BTreeMap<String, GatewayHook>>,
    /// How often one may call.
    pub limits: Arc<Limits>,
    /// How often one may try to sign in.
    pub sign_in_limits: Arc<SignInLimits>,
    /// How often one may ask for a link to an own page, and tell something there.
    pub own_page_limits: Arc<OwnPageLimits>,
    /// The authority's identity provider, if there is one.
    pub identity: Option<Arc<IdentityDesk>>,
    /// Requests with a key that are being answered.
    pub under_way: UnderWay,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// What this daemon does.
    pub roles: Roles,
    /// Cancelled when the daemon stops; streams end then.
    pub stop: CancellationToken,
}

/// Everything an operator or another system of ours uses.
pub fn console(web: Web) -> Router {
    finish(with_fault_pages(console_routes(), &web), web)
}

/// What strangers may reach: hooks and public pages.
pub fn public(web: Web) -> Router {
    let router = pages::public(&web)
        .merge(pages::assets::router())
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed);
    finish(guarded(router).merge(hooks::router()), web)
}

/// Both on one address.
pub fn whole(web: Web) -> Router {
    finish(with_fault_pages(console_routes().merge(pages::public(&web)), &web).merge(hooks::router()), web)
}

/// Hooks alone, and the watching pages: a daemon that takes in what comes and shows no pages.
pub fn hooks(web: Web) -> Router {
    let router = watch::router().fallback(error::not_found).method_not_allowed_fallback(error::method_not_allowed);
    finish(guarded(router).merge(hooks::router()), web)
}

/// The watching pages alone.
pub fn watched(web: Web) -> Router {
    let router = watch::router().fallback(error::not_found).method_not_allowed_fallback(error::method_not_allowed);
    finish(guarded(router), web)
}

fn console_routes() -> Router<Web> {
    Router::new().merge(api::router()).merge(watch::router()).merge(pages::console())
}

/// Whoever asks for a page gets what went wrong as one, whichever layer said so.
fn with_fault_pages(router: Router<Web>, web: &Web) -> Router<Web> {
    guarded(router.fallback(error::not_found).method_not_allowed_fallback(error::method_not_allowed))
        .layer(middleware::from_fn_with_state(web.clone(), pages::fault::as_page))
}

fn guarded(router: Router<Web>) -> Router<Web> {
    router
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn(limits::refuse_nul))
        .layer(middleware::from_fn(leftover::read_to_end))
        .layer(CatchPanicLayer::custom(error::panicked))
}

fn finish(router: Router<Web>, web: Web) -> Router {
    router.merge(hooks::nothing_else()).layer(MapResponseLayer::new(limits::with_security_headers)).with_state(web)
}
