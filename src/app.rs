//! Owns the wiring: configuration becomes parts, parts become a daemon.
//!
//! It holds no rule. Invariant: this is the only place where the rings meet.

mod opt_outs;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::actions::Desk;
use crate::ambient::{self, Clock, Wakeup};
use crate::config::{Config, Receipts};
use crate::dispatch::carrier::Carrier as _;
use crate::dispatch::mail::{self, MailCarrier};
use crate::dispatch::outlet::Outlet;
use crate::dispatch::pace::Pacer;
use crate::dispatch::reconcile::Witness;
use crate::dispatch::sms::SmsCarrier;
use crate::dispatch::{self, Engine, binding};
use crate::domain::daemon_role::Roles;
use crate::domain::delivery_token::TokenKey;
use crate::inbound::gateway_hook::GatewayHook;
use crate::inbound::identity::IdentityDesk;
use crate::inbound::poll::{self, Poll};
use crate::inbound::receipt::ReceiptDesk;
use crate::inbound::smpp::{LastTexts, SmppDesk};
use crate::inbound::sms::{SmsDesk, SmsReader};
use crate::inbound::{mail_reader, mailbox};
use crate::provider::SmsGateway;
use crate::provider::smtp::MailRelay;
use crate::store::daemon::Daemon as DaemonRow;
use crate::store::{self, Store};
use crate::upkeep::presence::{Presence, PresenceError};
use crate::upkeep::{self, Upkeep};

use crate::web::limits::Limits;
use crate::web::transact::UnderWay;
use crate::web::{self, Shared, Web};

/// How long work in flight may take to settle when the daemon stops.
const DRAIN: Duration = Duration::from_secs(25);

/// Opens the database, applies migrations unless `migrate` is false, and brings the area tree up to date.
///
/// # Errors
/// When the database cannot be reached, is newer than this program, or has migrations pending that may not be applied.
pub async fn open(config: Arc<Config>, clock: Clock, migrate: bool) -> anyhow::Result<Desk> {
    crate::provider::http::install_tls_provider();
    let store = Store::open(config.database.url.expose(), config.database.max_connections).await?;
    if migrate {
        store.migrate().await?;
    } else if store.migrations().await?.iter().any(|migration| !migration.applied) {
        anyhow::bail!("migrations are pending; run grannpost migrate, or serve without --no-migrate");
    }
    let store = opt_outs::open(&config, store, &clock).await?;
    let (tree, places) = config.region.tree()?;
    let mut session = store.begin().await?;
    let mut areas: Vec<_> = tree.iter().collect();
    // Parents first: an area refers to the one above.
    areas.sort_by_key(|area| area.kind);
    for area in areas {
        store::area::put(&mut session, area, clock.now_ms()).await?;
    }
    let new_key = data_encoding::BASE64.encode(&ambient::random_bytes::<32>());
    let key = store::setting::get_or_set(&mut session, store::setting::TOKEN_KEY, new_key).await?;
    session.commit().await?;
    let key: [u8; 32] = data_encoding::BASE64
        .decode(key.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .context("the token key in the database is damaged")?;
    Ok(Desk {
        store,
        clock,
        config,
        token_key: Arc::new(TokenKey::new(key)),
        wakeup: Wakeup::default(),
        places: Arc::new(places),
        lately: Arc::default(),
    })
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    engine: Engine,
    web: Web,
    servers: TaskTracker,
    /// Cancelled once everything in flight has settled: until then receipts are taken in and questions answered.
    closing: CancellationToken,
    address: Option<SocketAddr>,
    roles: Roles,
    /// Sessions that end once everything in flight has settled.
    gateways: BTreeMap<String, SmsGateway>,
}

impl Daemon {
    /// A daemon with every role.
    ///
    /// # Errors
    /// As [`Daemon::start_as`].
    pub async fn start(desk: &Desk) -> anyhow::Result<Self> {
        Self::start_as(desk, Roles::ALL).await
    }

    /// Takes the daemon's lock and starts what its roles ask for; pages and hooks are served from [`Daemon::listen`] on.
    ///
    /// # Errors
    /// [`PresenceError::Taken`] inside when another daemon has the SQLite database; a gateway that cannot be set up.
    pub async fn start_as(desk: &Desk, roles: Roles) -> anyhow::Result<Self> {
        let config = &desk.config;
        let owner = DaemonRow {
            id: ambient::new_id(&desk.clock),
            lock_key: i64::from_be_bytes(ambient::random_bytes::<8>()) & i64::MAX,
        };
        let file = config.database.sqlite_file();
        let at = (config.database.url.expose(), file.as_deref());
        let presence = Presence::take(&desk.store, at, (&owner, roles), desk.clock.now_ms()).await?;
        let engine = engine(desk, &owner.id);
        let gateways = gateways(config)?;
        let upkeep = upkeep(&engine);
        upkeep::clock::check_at_start(&upkeep).await?;
        upkeep.start(&engine.tracker, presence, roles.upkeep);
        if roles.upkeep {
            let in_turn = || (desk.clone(), upkeep.turn.clone());
            upkeep::reminder::start(in_turn(), engine.stop.clone(), &engine.tracker);
            upkeep::channel_health::start(in_turn(), engine.stop.clone(), &engine.tracker);
            upkeep::retention::start(in_turn(), engine.stop.clone(), &engine.tracker);
            upkeep::duty::start(in_turn(), engine.stop.clone(), &engine.tracker);
            upkeep::takeover::start(in_turn(), engine.stop.clone(), &engine.tracker);
            upkeep::alert_email::start(in_turn(), engine.stop.clone(), &engine.tracker);
        }
        let receipts = ReceiptDesk::start(desk.store.clone(), desk.clock.clone());
        let hooks = Arc::new(hooks(config, &gateways));
        let kept = Wakeup::default();
        let incoming = SmsDesk::start(desk.store.clone(), desk.clock.clone(), kept.clone());
        if roles.dispatch {
            start_sessions(desk, &engine, &gateways, (&receipts, &incoming, &hooks));
            engine.start_leases();
            start_sms(&engine, &gateways);
            start_mail(&engine)?;
        }
        if roles.inbound {
            start_polls(&engine, &gateways, &receipts);
            start_reading(desk, &engine, SmsReader { desk: desk.clone(), hooks: Arc::clone(&hooks), kept });
        }
        let web = Web::from(Shared {
            desk: desk.clone(),
            receipts,
            incoming,
            hooks,
            limits: Arc::new(Limits::new(&config.server)),
            sign_in_limits: Arc::default(),
            own_page_limits: Arc::default(),
            identity: IdentityDesk::new(config)?.map(Arc::new),
            under_way: UnderWay::default(),
            metrics: crate::telemetry::init_metrics(),
            roles,
            stop: engine.stop.clone(),
        });
        let closing = CancellationToken::new();
        Ok(Self { engine, web, servers: TaskTracker::new(), closing, address: None, roles, gateways })
    }

    /// Serves on the configured addresses what its roles ask for: pages, API and hooks, or hooks alone, and always the pages for
    /// those who watch.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub async fn listen(&mut self) -> anyhow::Result<SocketAddr> {
        let server = self.web.desk.config.server.clone();
        let listener = bind(&server.listen).await?;
        let address = listener.local_addr()?;
        self.address = Some(address);
        let web = || self.web.clone();
        let has_strangers = self.roles.web || self.roles.inbound;
        if has_strangers && !server.public_listen.is_empty() {
            self.serve(listener, if self.roles.web { web::console(web()) } else { web::watched(web()) });
            let public = bind(&server.public_listen).await?;
            self.serve(public, if self.roles.web { web::public(web()) } else { web::hooks(web()) });
        } else if self.roles.web {
            self.serve(listener, web::whole(web()));
        } else if self.roles.inbound {
            self.serve(listener, web::hooks(web()));
        } else {
            self.serve(listener, web::watched(web()));
        }
        Ok(address)
    }

    fn serve(&self, listener: TcpListener, router: axum::Router) {
        let closing = self.closing.clone();
        self.servers.spawn(async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            let server = axum::serve(listener, service).with_graceful_shutdown(closing.cancelled_owned());
            if let Err(error) = server.await {
                tracing::error!(%error, "a listener ended");
            }
        });
    }

    /// The address that pages and API are served on.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What actions work with.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.web.desk
    }

    /// Stops claiming, settles what is in flight, answers what is being answered. Says whether all of it ended in time.
    pub async fn stop(self) -> bool {
        let drained = self.engine.drain(DRAIN).await;
        for gateway in self.gateways.values() {
            gateway.close().await;
        }
        self.closing.cancel();
        self.servers.close();
        let served = tokio::time::timeout(Duration::from_secs(3), self.servers.wait()).await.is_ok();
        if drained && let Err(error) = self.say_good_bye().await {
            tracing::warn!(%error, "the daemon could not say good-bye; the next one finds its lock free");
        }
        self.engine.store.close().await;
        drained && served
    }

    async fn say_good_bye(&self) -> store::Result<()> {
        let mut session = self.engine.store.begin().await?;
        store::daemon::end(&mut session, &self.engine.owner, self.engine.clock.now_ms()).await?;
        session.commit().await
    }
}

/// Whether the error of [`Daemon::start`] says that another daemon has the database.
#[must_use]
pub fn is_taken(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(PresenceError::Taken(_)))
}

async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

fn engine(desk: &Desk, owner: &str) -> Engine {
    Engine {
        store: desk.store.clone(),
        clock: desk.clock.clone(),
        config: Arc::clone(&desk.config),
        token_key: Arc::clone(&desk.token_key),
        owner: Arc::from(owner),
        wakeup: desk.wakeup.clone(),
        leases: Arc::default(),
        stop: CancellationToken::new(),
        tracker: TaskTracker::new(),
    }
}

fn upkeep(engine: &Engine) -> Upkeep {
    Upkeep {
        store: engine.store.clone(),
        clock: engine.clock.clone(),
        config: Arc::clone(&engine.config),
        owner: Arc::clone(&engine.owner),
        wakeup: engine.wakeup.clone(),
        turn: upkeep::turn::Turn::default(),
        stop: engine.stop.clone(),
    }
}

/// The gateways whose incoming SMS this configuration can read.
///
/// # Errors
/// When a gateway cannot be set up.
pub fn gateway_hooks(config: &Config) -> anyhow::Result<BTreeMap<String, GatewayHook>> {
    Ok(hooks(config, &gateways(config)?))
}

fn gateways(config: &Config) -> anyhow::Result<BTreeMap<String, SmsGateway>> {
    config
        .sms
        .gateways
        .iter()
        .map(|(name, gateway)| Ok((name.clone(), SmsGateway::new(name, gateway, &config.server.egress_proxy)?)))
        .collect()
}

fn hooks(config: &Config, gateways: &BTreeMap<String, SmsGateway>) -> BTreeMap<String, GatewayHook> {
    let hook = |name: &String, gateway: &SmsGateway| GatewayHook {
        config: config.sms.gateways[name].clone(),
        gateway: gateway.clone(),
    };
    gateways.iter().map(|(name, gateway)| (name.clone(), hook(name, gateway))).collect()
}

/// Starts the SMS lane over the route, and the proof of lost answers at each of its gateways.
fn start_sms(engine: &Engine, gateways: &BTreeMap<String, SmsGateway>) {
    let mut outlets = Vec::new();
    for name in &engine.config.sms.route {
        let config = engine.config.sms.gateways[name].clone();
        let gateway = gateways[name].clone();
        let pacer = Pacer::new(name, engine.store.clone(), config.rate_per_second, config.burst);
        let carrier = SmsCarrier::new(engine, name, &config, gateway.clone());
        outlets.push(Arc::new(Outlet::new(carrier, pacer, config.concurrency)));
        if gateway.has_balance() {
            let balance = dispatch::balance::run(engine.clone(), name.clone(), config.clone(), gateway.clone());
            engine.tracker.spawn(balance);
        }
    }
    let has_alternative = outlets.len() > 1;
    // Also with those that left the route: their receipts come over a session.
    for (name, gateway) in gateways {
        if let SmsGateway::Smpp(smpp) = gateway {
            let outlet = outlets.iter().find(|outlet| outlet.carrier().name() == name).cloned();
            engine.tracker.spawn(binding::run(engine.clone(), smpp.clone(), outlet, has_alternative));
        }
    }
    engine.start_lane(outlets);
    // Also for gateways that were taken off the route: what is in doubt there still has to be proven.
    for (name, gateway) in gateways {
        let witness = Witness { config: engine.config.sms.gateways[name].clone(), gateway: gateway.clone() };
        engine.tracker.spawn(dispatch::reconcile::run(engine.clone(), name.clone(), Some(witness)));
    }
}

/// Starts taking in what comes over sessions, before there are any.
fn start_sessions(
    desk: &Desk,
    engine: &Engine,
    gateways: &BTreeMap<String, SmsGateway>,
    (receipts, sms, hooks): (&ReceiptDesk, &SmsDesk, &BTreeMap<String, GatewayHook>),
) {
    for (name, gateway) in gateways {
        let SmsGateway::Smpp(smpp) = gateway else { continue };
        let Some(news) = smpp.news() else { continue };
        let taking_in = SmppDesk {
            store: desk.store.clone(),
            clock: desk.clock.clone(),
            token_key: Arc::clone(&desk.token_key),
            name: name.clone(),
            hook: hooks[name].clone(),
            receipts: receipts.clone(),
            sms: sms.clone(),
            stored: Wakeup::default(),
            last_texts: LastTexts::default(),
        };
        engine.tracker.spawn(taking_in.clone().work(engine.stop.clone()));
        tokio::spawn(taking_in.take_in(news));
    }
}

/// Starts reading what is kept of SMS and mail, and following the mailbox.
fn start_reading(desk: &Desk, engine: &Engine, reader: SmsReader) {
    engine.tracker.spawn(reader.run(engine.stop.clone()));
    engine.tracker.spawn(mail_reader::run(desk.clone(), engine.stop.clone()));
    if let Some(address) = desk.config.mail_in.mailbox() {
        engine.tracker.spawn(mailbox::run(desk.clone(), address, engine.stop.clone()));
    }
}

/// Starts asking those gateways for receipts that do not bring them, also one that has left the route meanwhile.
fn start_polls(engine: &Engine, gateways: &BTreeMap<String, SmsGateway>, receipts: &ReceiptDesk) {
    let polled = gateways.iter().filter(|(name, _)| engine.config.sms.gateways[*name].receipts == Receipts::Poll);
    for (_, gateway) in polled {
        let poll = Poll {
            store: engine.store.clone(),
            clock: engine.clock.clone(),
            gateway: gateway.clone(),
            receipts: receipts.clone(),
        };
        engine.tracker.spawn(poll::run(poll, engine.stop.clone()));
    }
}

/// Starts the e-mail lane; without a relay letters wait for one until they expire.
fn start_mail(engine: &Engine) -> anyhow::Result<()> {
    let config = &engine.config.mail;
    if config.url.is_empty() {
        return Ok(());
    }
    let relay = MailRelay::new(config, &engine.config.server.egress_proxy)?;
    let pacer = Pacer::new(mail::NAME, engine.store.clone(), config.rate_per_second, config.burst);
    let outlet = Outlet::new(MailCarrier::new(engine, relay), pacer, config.concurrency);
    engine.start_lane(vec![Arc::new(outlet)]);
    engine.tracker.spawn(dispatch::reconcile::run(engine.clone(), mail::NAME.to_owned(), None));
    Ok(())
}
