//! What stories need: the real app on a free port with a fresh database, a clock that tests move, and the simulator.

pub mod api;
pub mod browser;
pub mod child;
pub mod cluster;
pub mod database;
pub mod dovecot;
pub mod faults;
pub mod fleet;
pub mod identity_provider;
pub mod openapi;
pub mod postfix;
pub mod proxy;
pub mod register;
pub mod security_key;
pub mod smpp;
pub mod sql;
pub mod things;
pub mod webdriver;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use grannpost::actions::Desk;
use grannpost::actions::key;
use grannpost::ambient::Clock;
use grannpost::app::{self, Daemon};
use grannpost::config;
use grannpost::domain::daemon_role::Roles;
use grannpost::domain::operator::{Actor, Role};
use grannpost::simulator::{GatewayOptions, MailSink, MailSinkOptions, SimulatedGateway};
use serde_json::Value;

pub use api::{Answer, Api};
pub use database::{Database, Kind};

/// The callback secret of the simulated gateway.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A running grannpost with a gateway and a mail sink of its own.
pub struct TestApp {
    pub api: Api,
    pub gateway: SimulatedGateway,
    pub mail: MailSink,
    pub clock: Clock,
    pub desk: Desk,
    pub database: Database,
    daemon: Option<Daemon>,
    settings: [String; 2],
}

impl TestApp {
    /// With the settings that most stories want: no undo window, a fast gateway.
    pub async fn spawn(kind: Kind) -> Self {
        Self::spawn_with(kind, "").await
    }

    /// With more settings, as TOML.
    pub async fn spawn_with(kind: Kind, more: &str) -> Self {
        Self::spawn_at(kind, more, Clock::fake("2026-11-20T01:31:00Z".parse().unwrap())).await
    }

    /// With more settings and a clock that others follow too.
    pub async fn spawn_at(kind: Kind, more: &str, clock: Clock) -> Self {
        let wall = {
            let clock = clock.clone();
            Arc::new(move || clock.now())
        };
        let any = "127.0.0.1:0".parse().unwrap();
        let gateway = SimulatedGateway::start(any, GatewayOptions::new(wall.clone())).await.unwrap();
        let mail = MailSink::start(any, MailSinkOptions::new(wall)).await.unwrap();
        let database = Database::new(kind);
        let settings = [settings(&database.url, &gateway.base_url(), &mail.url()), more.to_owned()];
        let (daemon, desk) = start(&settings, &clock, Roles::ALL).await;
        let key = admin_key(&desk).await;
        let api = Api::new(format!("http://{}", daemon.address().unwrap()), key);
        Self { api, gateway, mail, clock, desk, database, daemon: Some(daemon), settings }
    }

    /// Moves the clock and lets everything that became due happen.
    pub fn advance(&self, time: Duration) {
        self.clock.advance_ms(i64::try_from(time.as_millis()).unwrap());
        self.desk.wakeup.ring();
    }

    /// Stops the daemon as SIGTERM would and starts another on the same database and address.
    pub async fn restart(&mut self) {
        self.restart_as(Roles::ALL).await;
    }

    /// The same, and the other does only some of the work.
    pub async fn restart_as(&mut self, roles: Roles) {
        assert!(self.daemon.take().unwrap().stop().await, "the daemon ends in time");
        let (daemon, desk) = start(&self.settings, &self.clock, roles).await;
        self.api.move_to(format!("http://{}", daemon.address().unwrap()));
        (self.daemon, self.desk) = (Some(daemon), desk);
    }

    /// The whole configuration of this app, for a process that shall use the same database.
    pub fn settings(&self) -> String {
        self.settings.concat()
    }

    /// Begins to stop the daemon as SIGTERM would; the answer is whether it ended in time.
    pub fn begin_stop(&mut self) -> tokio::task::JoinHandle<bool> {
        tokio::spawn(self.daemon.take().unwrap().stop())
    }

    /// A key for a role in an area.
    pub async fn key(&self, role: &str, area: &str) -> String {
        let mut session = self.desk.store.begin().await.unwrap();
        let new = key::add(&self.desk, &mut session, &root(), (role, role, area)).await.unwrap();
        session.commit().await.unwrap();
        new.secret
    }

    /// Waits until `done` says so; fails after a generous time with what it waited for.
    pub async fn until(&self, what: &str, done: impl AsyncFn() -> bool) {
        for _ in 0..1_200 {
            if done().await {
                return;
            }
            self.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        panic!("it never came: {what}");
    }

    /// The alert, once `done` says so of it; fails after a generous time with the last state.
    pub async fn alert_when(&self, id: &str, done: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.api.get(&format!("/alerts/{id}")).await.json;
            if done(&last) {
                return last;
            }
            self.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        panic!("the alert never came there: {last:#}");
    }

    /// What `grannpost verify` says is broken; empty when all is well.
    pub async fn verify(&self) -> Vec<String> {
        let report = grannpost::upkeep::verify::run(&self.desk.store, &self.desk.config, &self.desk.clock).await;
        report.unwrap().into_iter().flat_map(|check| check.broken).collect()
    }
}

async fn start(settings: &[String; 2], clock: &Clock, roles: Roles) -> (Daemon, Desk) {
    let config = Arc::new(config::from_toml(&[&settings[0], &settings[1]]).unwrap());
    let desk = app::open(config, clock.clone(), true).await.unwrap();
    let mut daemon = Daemon::start_as(&desk, roles).await.unwrap();
    daemon.listen().await.unwrap();
    (daemon, desk)
}

/// The actor behind everything that is set up.
pub fn root() -> Actor {
    Actor { id: "test".to_owned(), role: Role::Admin, area: "jamtland".to_owned(), is_key: true }
}

async fn admin_key(desk: &Desk) -> String {
    let mut session = desk.store.begin().await.unwrap();
    let new = key::add(desk, &mut session, &root(), ("test", "admin", "")).await.unwrap();
    session.commit().await.unwrap();
    new.secret
}

/// A port for a server that is started later. It lies below those that the system gives to connections going out, which would
/// take it meanwhile, and is given once. Test programs that run beside each other begin far apart.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = std::process::id().wrapping_mul(7_919) % 20_000;
    loop {
        let port = 12_000 + (begin + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % 20_000;
        let port = u16::try_from(port).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub fn settings(database: &str, gateway: &str, mail: &str) -> String {
    let port = free_port();
    format!(
        r#"
server.listen = "127.0.0.1:{port}"
server.public_url = "http://127.0.0.1:{port}"
database.url = "{database}"
sms.route = ["elks"]
sms.gateways.elks.kind = "46elks"
sms.gateways.elks.base_url = "{gateway}"
sms.gateways.elks.username = "simulator"
sms.gateways.elks.password = "simulator"
sms.gateways.elks.sender = "+46766860000"
sms.gateways.elks.callback_secret = "{SECRET}"
sms.gateways.elks.simulator = true
sms.gateways.elks.rate_per_second = 2000
sms.gateways.elks.timeout_seconds = 2
mail.url = "{mail}"
mail.rate_per_second = 2000
mail.per_domain_per_second = 2000
alerts.undo_seconds = 10
alerts.email_instead_after_seconds = 0
"#
    )
}

/// Makes each story a test on SQLite and one on PostgreSQL.
macro_rules! on_both_databases {
    ($($(#[$attribute:meta])* async fn $name:ident($kind:ident: Kind) $body:block)*) => {
        $(async fn $name($kind: $crate::support::Kind) $body)*

        mod sqlite {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name($crate::support::Kind::Sqlite).await; })*
        }

        mod postgres {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name($crate::support::Kind::Postgres).await; })*
        }
    };
}
pub(crate) use on_both_databases;
