//! A scene for one round: a fresh durable database with a register of the wanted size, a gateway and a daemon.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use grannpost::actions::{Desk, key};
use grannpost::ambient::Clock;
use grannpost::domain::operator::{Actor, Role};
use grannpost::{app, config};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _};

use super::api::Api;
use super::child::{BINARY, ServeProcess};
use super::database::{Database, Kind};

/// Contact persons of a watch area, as in the sample register.
const PERSONS_IN_AREA: usize = 7;
/// Areas stay few enough for a message to name them, however large the register.
const MOST_AREAS: usize = 1_000;

/// The municipality that everybody of a scene lives in.
pub const EVERYBODY: &str = "2321";

/// A gateway that takes whatever comes, as a process of its own.
pub struct Gateway {
    child: Child,
    /// Where it answers.
    pub base: String,
    /// Where its mail sink answers.
    pub mail: String,
    http: reqwest::Client,
}

impl Gateway {
    /// With the behaviour given as JSON (`simulator/behaviour.rs`).
    pub fn start(behaviour: &Value) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut child = Command::new(BINARY)
            .args(["simulate", "--gateway", &behaviour.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self { child, base: text("gateway"), mail: text("mail"), http }
    }

    /// Arrivals in order: microseconds since the gateway started, and Unix microseconds.
    pub async fn arrivals(&self) -> Vec<(u64, i64)> {
        let rows: Vec<Value> = self.get("messages").await;
        let times = |row: &Value| (row["arrived_after_us"].as_u64().unwrap(), row["arrived_at_us"].as_i64().unwrap());
        rows.iter().map(times).collect()
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, what: &str) -> T {
        let answer = self.http.get(format!("{}/control/{what}", self.base)).send().await.unwrap();
        answer.json().await.unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a round needs.
pub struct Scene {
    pub gateway: Gateway,
    pub api: Api,
    _daemon: ServeProcess,
    /// The database from inside, for rounds that measure one statement.
    pub desk: Desk,
    _database: Database,
}

/// How a scene is set.
pub struct Plan {
    pub kind: Kind,
    /// Contact persons, all reached by SMS.
    pub persons: usize,
    /// What the gateway does.
    pub behaviour: Value,
    pub rate: u32,
    pub concurrency: u32,
}

impl Scene {
    /// Sets the scene; everything is idle afterwards.
    pub async fn set(plan: &Plan) -> Self {
        let gateway = Gateway::start(&plan.behaviour);
        let database = Database::new(plan.kind);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = settings(plan, &database.url, &gateway, port);
        let file = database.folder.path().join("grannpost.toml");
        std::fs::write(&file, &text).unwrap();
        let desk = app::open(Arc::new(config::from_toml(&[&text]).unwrap()), Clock::System, true).await.unwrap();
        fill(&database, plan.persons).await;
        let key = admin_key(&desk).await;
        let daemon = ServeProcess::start(&file);
        let api = Api::new(daemon.base.clone(), key);
        Self { gateway, api, _daemon: daemon, desk, _database: database }
    }

    /// An alert to everybody; its id.
    pub async fn alert(&self, text: &str, undo_seconds: u32) -> String {
        let body = json!({ "text": text, "areas": [EVERYBODY], "decided_by": "Vakthavande befäl", "undo_seconds": undo_seconds });
        let made = self.api.post("/alerts", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["id"].as_str().unwrap().to_owned()
    }

    /// An alert to everybody that waits until tomorrow; its id.
    pub async fn alert_tomorrow(&self, text: &str) -> String {
        let tomorrow = self.desk.clock.now() + jiff::SignedDuration::from_hours(24);
        let body = json!({ "text": text, "areas": [EVERYBODY], "decided_by": "Vakthavande befäl", "send_at": tomorrow.to_string() });
        let made = self.api.post("/alerts", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["id"].as_str().unwrap().to_owned()
    }

    /// The alert once `done` says so of it.
    pub async fn alert_when(&self, id: &str, done: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let alert = self.api.get(&format!("/alerts/{id}")).await.json;
            if done(&alert) {
                return alert;
            }
            assert!(begun.elapsed() < Duration::from_secs(300), "the round never ended: {}", alert["counts"]);
            // Seldom, since each look costs the daemon time that it is measured with.
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

/// Whether nothing waits any more.
pub fn is_handed_over(alert: &Value) -> bool {
    !alert["handed_over_at"].is_null()
}

/// A time of the API, Unix ms.
pub fn unix_ms(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn settings(plan: &Plan, database: &str, gateway: &Gateway, port: u16) -> String {
    let mut text = format!(
        r#"
server.listen = "127.0.0.1:{port}"
server.public_url = "http://127.0.0.1:{port}"
server.calls_per_second = 100000
server.call_burst = 100000
database.url = "{database}"
sms.route = ["elks"]
alerts.undo_seconds = 1
[sms.gateways.elks]
kind = "46elks"
base_url = "{}"
username = "simulator"
password = "simulator"
sender = "+46766860000"
callback_secret = "0123456789abcdef0123456789abcdef"
simulator = true
timeout_seconds = 10
"#,
        gateway.base
    );
    let _ = write!(text, "rate_per_second = {}\nconcurrency = {}\n", plan.rate, plan.concurrency);
    let _ = write!(text, "[mail]\nurl = \"{}\"\n", gateway.mail);
    text
}

/// Fills the register. The numbers are too long to be anybody's.
pub async fn fill(database: &Database, persons: usize) {
    let areas = persons.div_ceil(PERSONS_IN_AREA).clamp(1, MOST_AREAS);
    let statements = [
        format!(
            "INSERT INTO area (code, name, kind, parent, created_at)
             WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {areas} - 1)
             SELECT 'w' || CAST(i AS TEXT), 'Område ' || CAST(i AS TEXT), 'watch_area', '{EVERYBODY}', 0 FROM n"
        ),
        format!(
            "INSERT INTO contact_person (id, name, mobile, email, email_key, address, area_code, households, name_key,
               created_at, updated_at)
             WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {persons} - 1)
             SELECT 'p' || CAST(10000000 + i AS TEXT), 'Förnamn' || CAST(i % 1000 AS TEXT) || ' Efternamn' || CAST(i / 1000 AS TEXT),
               '+4670174' || CAST(1000000 + i AS TEXT), 'k' || CAST(i AS TEXT) || '@example.org',
               'k' || CAST(i AS TEXT) || '@example.org', 'Bygatan ' || CAST(i AS TEXT), 'w' || CAST(i % {areas} AS TEXT),
               3 + i % 30, 'förnamn' || CAST(i % 1000 AS TEXT) || ' efternamn' || CAST(i / 1000 AS TEXT), 0, 0 FROM n"
        ),
    ];
    let mut connection = sqlx::AnyConnection::connect(&database.url).await.unwrap();
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    // What PostgreSQL does by itself within a minute.
    if database.url.starts_with("postgres") {
        sqlx::raw_sql("ANALYZE contact_person; ANALYZE area;").execute(&mut connection).await.unwrap();
    }
}

async fn admin_key(desk: &Desk) -> String {
    let actor = Actor { id: "bench".to_owned(), role: Role::Admin, area: "jamtland".to_owned(), is_key: true };
    let mut session = desk.store.begin().await.unwrap();
    let new = key::add(desk, &mut session, &actor, ("bench", "admin", "")).await.unwrap();
    session.commit().await.unwrap();
    new.secret
}
