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

/// Sets the pace of letters to more than can be.
pub const LETTERS_AT_ONCE: &str =
    "rate_per_second = 1000000\nper_domain_per_second = 1000000\nconcurrency = 10\nmessages_per_connection = 1000000\n";
/// Paragraphs of a letter of 9 KB as sent. Of 8 KB it cannot be: markup and what stands below every letter are 8.
pub const PARAGRAPHS: usize = 2;

/// What letters are made of.
const LETTER_PARAGRAPH: &str = "Under hösten har flera förråd i området fått besök. Lås och märk det ni är rädda om, och ring 112 vid pågående brott.\n\n";

/// A million SMS take a good while.
const LONGEST_ROUND: Duration = Duration::from_secs(1_800);

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
    /// With the behaviour given as JSON (`simulator/behaviour.rs`). Letters are counted, not kept.
    pub fn start(behaviour: &Value) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut child = Command::new(BINARY)
            .args(["simulate", "--gateway", &behaviour.to_string(), "--mail", r#"{"count_only":true}"#])
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

    /// How many it took and what came twice.
    pub async fn journal(&self) -> Value {
        self.get("journal").await
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
    daemon: ServeProcess,
    /// The database from inside, for rounds that measure one statement.
    pub desk: Desk,
    database: Database,
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
        Self::set_with(plan, "").await
    }

    /// The same with more lines at the end of the settings, which is within `[mail]`.
    pub async fn set_with(plan: &Plan, more: &str) -> Self {
        let gateway = Gateway::start(&plan.behaviour);
        let database = Database::new(plan.kind);
        let text = settings(plan, &database.url, &gateway, free_port()) + more;
        let file = database.folder.path().join("grannpost.toml");
        std::fs::write(&file, &text).unwrap();
        let desk = app::open(Arc::new(config::from_toml(&[&text]).unwrap()), Clock::System, true).await.unwrap();
        fill(&database, plan.persons).await;
        let key = admin_key(&desk).await;
        let daemon = ServeProcess::start(&file);
        let api = Api::new(daemon.base.clone(), key);
        Self { gateway, api, daemon, desk, database }
    }

    /// Another daemon of the same kind on the same database and gateway.
    pub fn another_daemon(&self, plan: &Plan) -> ServeProcess {
        let file = self.database.folder.path().join("another.toml");
        std::fs::write(&file, settings(plan, &self.database.url, &self.gateway, free_port())).unwrap();
        ServeProcess::start(&file)
    }

    /// An alert to everybody; its id.
    pub async fn alert(&self, text: &str, undo_seconds: u32) -> String {
        self.alert_to(EVERYBODY, text, undo_seconds).await
    }

    /// An alert to an area; its id.
    pub async fn alert_to(&self, area: &str, text: &str, undo_seconds: u32) -> String {
        let body =
            json!({ "text": text, "areas": [area], "decided_by": "Vakthavande befäl", "undo_seconds": undo_seconds });
        let made = self.api.post("/alerts", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["id"].as_str().unwrap().to_owned()
    }

    /// A letter of so many paragraphs to everybody, on its way after a second; its id.
    pub async fn letter(&self, paragraphs: usize) -> String {
        let body = LETTER_PARAGRAPH.repeat(paragraphs);
        let body = json!({ "subject": "Läget i höst", "body_markdown": body, "areas": [EVERYBODY], "no_registry_number": true });
        let made = self.api.post("/letters", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.json["id"].as_str().unwrap().to_owned();
        let sent = self.api.post(&format!("/letters/{id}/send"), json!({ "undo_seconds": 1 })).await;
        assert_eq!(sent.status, 200, "{}", sent.text);
        id
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
        self.when(&format!("/alerts/{id}"), done).await
    }

    /// What stands at a path of the API once `done` says so of it.
    pub async fn when(&self, path: &str, done: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let shown = self.api.get(path).await.json;
            if done(&shown) {
                return shown;
            }
            assert!(begun.elapsed() < LONGEST_ROUND, "the round never ended: {}", shown["counts"]);
            // Seldom, since each look costs the daemon time that it is measured with.
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// What the gateway would have told and we would have written had everybody of a message been handed over: so that
    /// receipts can come for all without a dispatch before them.
    pub async fn pretend_accepted(&self, message: &str) {
        self.written_out().await;
        const ACCEPTED: &str = "
            INSERT INTO attempt (delivery_id, number, gateway, owner, stamped_at, ended_at, outcome, gateway_ref)
              SELECT id, 1, 'elks', 'bench', queued_at, queued_at, 'accepted', 's' || CAST(id AS TEXT) FROM delivery WHERE message_id = 'M';
            INSERT INTO delivery_event (delivery_id, version, at, from_state, to_state, batch)
              SELECT id, version + 1, queued_at, 'queued', 'accepted', 'bench' FROM delivery WHERE message_id = 'M';
            UPDATE delivery SET state = 'accepted', version = version + 1, attempts = 1, gateway = 'elks', parts = 1,
                gateway_ref = 's' || CAST(id AS TEXT), stamped_at = queued_at, accepted_at = queued_at WHERE message_id = 'M';
            DELETE FROM message_count WHERE message_id = 'M';
            INSERT INTO message_count (message_id, state, deliveries)
              SELECT message_id, state, COUNT(*) FROM delivery WHERE message_id = 'M' GROUP BY message_id, state;";
        self.execute(&ACCEPTED.replace("'M'", &format!("'{message}'"))).await;
        self.tidy().await;
    }

    /// As if the register had just been imported: the words of its names are still to be written.
    pub async fn forget_words(&self) {
        self.execute("UPDATE contact_person SET word_key = ''").await;
    }

    /// Waits until everybody of a large audience is a row.
    pub async fn written_out(&self) {
        while self.numbers("SELECT COUNT(*) FROM freezing").await[0] > 0 {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Statements past the store.
    pub async fn execute(&self, sql: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }

    /// The first column of every row, past the store.
    pub async fn numbers(&self, sql: &str) -> Vec<i64> {
        let mut connection = self.connection().await;
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap()
    }

    /// How large the database is, bytes.
    pub async fn size_of_database(&self) -> i64 {
        let of = match self.database.url.starts_with("postgres") {
            true => "SELECT pg_database_size(current_database())",
            false => "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
        };
        self.numbers(of).await[0]
    }

    /// A connection of its own, past the store.
    pub async fn connection(&self) -> sqlx::AnyConnection {
        sqlx::AnyConnection::connect(&self.database.url).await.unwrap()
    }

    /// What a database does by itself a while after so much was written to it.
    pub async fn tidy(&self) {
        let statements = match self.database.url.starts_with("postgres") {
            true => ["VACUUM (ANALYZE) delivery", "VACUUM (ANALYZE) attempt", "CHECKPOINT"].as_slice(),
            false => &["PRAGMA wal_checkpoint(TRUNCATE)"],
        };
        for statement in statements {
            self.execute(statement).await;
        }
    }

    /// A figure of the daemon's memory as the kernel tells it, such as `VmHWM` (the most so far) or `VmRSS`; MiB.
    pub fn memory_mib(&self, name: &str) -> f64 {
        let told = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.pid())).unwrap();
        let line = told.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kib: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap();
        kib / 1024.0
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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

/// Fills the register, as if upkeep had written the words of all names: a register is imported once, and alerts go for years.
/// The numbers are too long to be anybody's.
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
               word_key, created_at, updated_at)
             WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {persons} - 1)
             SELECT '0190a5e2-7c1b-7def-8123-0000' || CAST(10000000 + i AS TEXT), 'Förnamn' || CAST(i % 1000 AS TEXT) || ' Efternamn' || CAST(i / 1000 AS TEXT),
               '+4670174' || CAST(1000000 + i AS TEXT), 'k' || CAST(i AS TEXT) || '@example.org',
               'k' || CAST(i AS TEXT) || '@example.org', 'Bygatan ' || CAST(i AS TEXT), 'w' || CAST(i % {areas} AS TEXT),
               3 + i % 30, 'förnamn' || CAST(i % 1000 AS TEXT) || ' efternamn' || CAST(i / 1000 AS TEXT),
               'förnamn' || CAST(i % 1000 AS TEXT) || ' efternamn' || CAST(i / 1000 AS TEXT) || ' w' || CAST(i % {areas} AS TEXT), 0, 0
             FROM n"
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
