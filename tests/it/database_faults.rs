//! A PostgreSQL that restarts, is lost, or is busy with something else, in mid-dispatch (`docs/faults.md`, D5 to D7).

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::child::{self, BINARY};
use crate::support::cluster::Cluster;
use crate::support::faults::{Draw, seeds, tell};
use crate::support::fleet::{Fleet, RECIPIENTS, assert_each_once};
use crate::support::proxy::{LostCommit, Proxy};
use crate::support::{Api, Database, Kind};

const SHORT: &str = "dispatch.lease_seconds = 3\ndispatch.in_doubt_grace_seconds = 1\n";

/// Reads and writes by the API until told to stop; gives the status codes that were neither right nor 503, and how many were.
struct Callers {
    until: Arc<AtomicBool>,
    calling: JoinHandle<(Vec<String>, usize)>,
}

impl Callers {
    fn start(api: Api, id: String) -> Self {
        let until = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&until);
        let calling = tokio::spawn(async move {
            let (mut wrong, mut away) = (Vec::new(), 0);
            while !stop.load(Ordering::Relaxed) {
                let read = api.get(&format!("/alerts/{id}")).await;
                let decision = json!({ "areas": ["2326"], "decided_by": "Befäl", "reason": "För osäkert" });
                let written = api.post("/decisions", decision).await;
                for (answer, right) in [(read, 200), (written, 201)] {
                    match answer.status.as_u16() {
                        503 if answer.headers.contains_key("retry-after") => away += 1,
                        code if code == right => {}
                        _ => wrong.push(format!("{} {}", answer.status, answer.text)),
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (wrong, away)
        });
        Self { until, calling }
    }

    async fn end(self) -> (Vec<String>, usize) {
        self.until.store(true, Ordering::Relaxed);
        self.calling.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_postgresql_in_mid_dispatch_loses_nobody_and_is_told_as_503() {
    let seeds = seeds(1, 3);
    let mut slowest = Duration::ZERO;
    for seed in seeds.clone() {
        let cluster = Cluster::start();
        let mut fleet = Fleet::set(&cluster.url(), 150, SHORT).await;
        fleet.start_whole();
        let id = fleet.alert(&["jamtland"]).await;
        let callers = Callers::start(fleet.api.clone(), id.clone());
        let mut draw = Draw::new(seed);
        for (mode, from) in [("fast", 100), ("immediate", 450)] {
            fleet.gateway.journal().wait_for(from + draw.below(200)).await;
            cluster.restart(mode);
            let (back, before) = (Instant::now(), fleet.gateway.journal().len());
            fleet.gateway.journal().wait_for(before + 20).await;
            slowest = slowest.max(back.elapsed());
        }
        let done = fleet.alert_when(&id, |alert| alert["state"] == "done").await;
        let (wrong, away) = callers.end().await;
        assert_eq!(wrong, Vec::<String>::new(), "seed {seed}: besides {away} times 503\n{}", fleet.logs());
        assert!(away > 0, "seed {seed}: while it was away callers were told so");
        assert_each_once(&fleet, &done, RECIPIENTS, &format!("seed {seed}"));
        assert!(slowest <= Duration::from_secs(10), "seed {seed}: went on after {slowest:?}");
    }
    tell("D5", "PostgreSQL", &seeds, &format!("0 lost, 0 twice, goes on within {slowest:.1?}, 503 and no 500"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_lost_is_followed_by_its_standby_with_everything_that_was_acknowledged() {
    let seeds = seeds(1, 3);
    let mut slowest = Duration::ZERO;
    for seed in seeds.clone() {
        let primary = Cluster::start();
        let standby = primary.standby();
        let address = Proxy::start(vec![primary.socket()]).await;
        let url = format!("postgres://postgres@{}/grannpost?sslmode=disable", address.address);
        let mut fleet = Fleet::set(&url, 150, SHORT).await;
        fleet.start_whole();
        fleet.start_whole();
        let mut acknowledged = vec![fleet.alert_saying("Första", &["2326"]).await];
        let id = fleet.alert(&["jamtland"]).await;
        acknowledged.push(id.clone());
        let callers = Callers::start(fleet.api.clone(), id.clone());
        fleet.gateway.journal().wait_for(250 + Draw::new(seed).below(400)).await;
        acknowledged.push(fleet.alert_saying("Sista", &["2303"]).await);
        primary.lose();
        address.cut();
        standby.promote();
        address.point_to(vec![standby.socket()]);
        let (back, before) = (Instant::now(), fleet.gateway.journal().len());
        fleet.gateway.journal().wait_for(before + 20).await;
        slowest = slowest.max(back.elapsed());
        for id in &acknowledged {
            let done = fleet.alert_when(id, |alert| alert["state"] == "done").await;
            assert_eq!(done["state"], "done", "seed {seed}: {done}\n{}", fleet.logs());
        }
        let (wrong, _) = callers.end().await;
        assert_eq!(wrong, Vec::<String>::new(), "seed {seed}\n{}", fleet.logs());
        assert_eq!(fleet.gateway.journal().duplicates(), [], "seed {seed}");
        assert_eq!(fleet.verify(), "", "seed {seed}");
        assert!(slowest <= Duration::from_secs(10), "seed {seed}: went on after {slowest:?}");
    }
    tell("D6", "PostgreSQL, synchronous", &seeds, &format!("0 lost, 0 twice, goes on within {slowest:.1?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stamp_whose_commit_is_not_answered_is_taken_back_and_leaves_nobody_in_doubt() {
    // What is written when attempts are opened: an attempt that ends says more behind its number.
    const AN_OPENED_ATTEMPT: &str = "\"number\":1}";
    let seeds = seeds(1, 3);
    let mut taken_back = 0;
    for seed in seeds.clone() {
        let cluster = Cluster::start();
        let way = Proxy::start(vec![cluster.socket()]).await;
        let url = format!("postgres://postgres@{}/grannpost?sslmode=disable", way.address);
        let mut fleet = Fleet::set(&url, 150, "dispatch.lease_seconds = 60\n").await;
        fleet.start_whole();
        let id = fleet.alert(&["jamtland"]).await;
        let mut draw = Draw::new(seed);
        for round in 1..=20 {
            fleet.gateway.journal().wait_for(round * 40 + draw.below(30)).await;
            let how = if round % 2 == 0 { LostCommit::Done } else { LostCommit::NotDone };
            way.lose_a_commit(AN_OPENED_ATTEMPT, how);
            while !way.has_lost_it() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let done = fleet.alert_when(&id, |alert| alert["state"] == "done").await;
        assert_each_once(&fleet, &done, RECIPIENTS, &format!("seed {seed}"));
        assert_eq!(done["counts"]["in_doubt"], json!(0), "seed {seed}: {}", fleet.logs());
        let not_sent = "SELECT COUNT(*) FROM attempt WHERE outcome = 'not_sent' AND reason = 'dispatch.stamp_failed'";
        let here: u64 = cluster.sql(not_sent).parse().unwrap();
        assert!(here >= 10, "seed {seed}: ten stamps were on disk, and {here} deliveries were taken back");
        assert_eq!(cluster.sql("SELECT COUNT(*) FROM attempt WHERE ended_at IS NULL"), "0", "seed {seed}");
        taken_back += here;
    }
    tell("D6", "PostgreSQL", &seeds, &format!("0 lost, 0 twice, 0 in doubt, {taken_back} stamps taken back"));
}

/// A fleet without daemons behind a way to the database that can be cut, and the verb that sends an alert to everybody.
async fn alert_by_the_verb() -> (Cluster, Proxy, Fleet, Command) {
    let cluster = Cluster::start();
    let way = Proxy::start(vec![cluster.socket()]).await;
    let url = format!("postgres://postgres@{}/grannpost?sslmode=disable", way.address);
    let fleet = Fleet::set(&url, 150, SHORT).await;
    let mut verb = Command::new(BINARY);
    verb.args(["alert", "--area", "jamtland", "--text", "Röd skåpbil söks", "--decided-by", "Befäl", "--yes"])
        .arg("--config")
        .arg(fleet.config())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    (cluster, way, fleet, verb)
}

/// A verb that runs; killed when dropped.
struct Verb(Child);

impl Verb {
    /// The exit code, `None` when it never ends, and what was said of the database.
    async fn ended(mut self) -> (Option<i32>, Vec<String>) {
        tokio::task::spawn_blocking(move || {
            let status = child::ended(&mut self.0, Duration::from_secs(120));
            let mut text = String::new();
            self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            let said = text.lines().filter_map(|line| line.strip_prefix("grannpost: ")).map(str::to_owned);
            (status.and_then(|status| status.code()), said.collect())
        })
        .await
        .unwrap()
    }
}

impl Drop for Verb {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verb_alert_says_that_the_database_is_away_and_follows_to_the_end() {
    let (cluster, way, fleet, mut verb) = alert_by_the_verb().await;
    let verb = Verb(verb.spawn().unwrap());
    fleet.gateway.journal().wait_for(300).await;
    way.point_to(Vec::new());
    way.cut();
    tokio::time::sleep(Duration::from_secs(4)).await;
    way.point_to(vec![cluster.socket()]);
    let (code, said) = verb.ended().await;
    let [away] = said.as_slice() else { panic!("said once: {said:?}") };
    assert!(away.contains("är sparat och följs vidare när den svarar"), "{away}");
    let journal = fleet.gateway.journal();
    assert_eq!((code, journal.len(), journal.duplicates()), (Some(0), RECIPIENTS, Vec::new()), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verb_alert_finds_out_what_became_of_a_commit_that_was_not_answered() {
    for (how, code, reached) in [(LostCommit::Done, 0, RECIPIENTS), (LostCommit::NotDone, 1, 0)] {
        let (cluster, way, fleet, mut verb) = alert_by_the_verb().await;
        way.lose_a_commit("INSERT INTO alert", how);
        let (ended, said) = Verb(verb.spawn().unwrap()).ended().await;
        assert!(way.has_lost_it(), "{said:?}");
        assert!(said[0].contains("tar reda på om det är sparat"), "{said:?}");
        let is_nothing_sent = said.iter().any(|line| line.starts_with("inget är skickat; försök igen"));
        let journal = fleet.gateway.journal();
        assert_eq!((ended, is_nothing_sent), (Some(code), how == LostCommit::NotDone), "{said:?}");
        assert_eq!((journal.len(), journal.duplicates()), (reached, Vec::new()), "{how:?}");
        let alerts = cluster.sql("SELECT COUNT(*) FROM alert");
        assert_eq!(alerts, if how == LostCommit::Done { "1" } else { "0" });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verb_alert_waits_for_a_commit_that_nobody_sees_yet_rather_than_say_that_nothing_is_sent() {
    let (cluster, way, fleet, mut verb) = alert_by_the_verb().await;
    // As when a commit waits for a standby.
    cluster.sql(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(9); RETURN NULL; END'",
    );
    cluster.sql(
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON alert DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    let verb = Verb(verb.spawn().unwrap());
    let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'PgSleep'";
    let asked_at = Instant::now();
    while cluster.sql(waits) == "0" {
        assert!(asked_at.elapsed() < Duration::from_secs(60), "the alert is never committed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    way.cut();
    let (code, said) = verb.ended().await;
    assert!(said[0].contains("tar reda på om det är sparat"), "{said:?}");
    let journal = fleet.gateway.journal();
    assert_eq!((code, journal.len(), journal.duplicates()), (Some(0), RECIPIENTS, Vec::new()), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_requests_that_take_every_connection_hold_no_alert_up() {
    let database = Database::new(Kind::Postgres);
    let mut fleet = Fleet::set(&database.url, 2000, SHORT).await;
    fleet.start_whole();
    let wanted = json!({ "text": "Röd bil", "areas": ["jamtland"], "decided_by": "Befäl", "undo_seconds": 3 });
    let made = fleet.api.post("/alerts", wanted).await;
    let id = made.json["id"].as_str().unwrap().to_owned();
    // Whoever wants to read the ledger waits for somebody who holds it, as behind a slow query.
    let holder = tokio::spawn(async move {
        database.execute("LOCK TABLE decision IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(12)").await;
        database
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut waiting = Vec::new();
    for _ in 0..40 {
        let api = fleet.api.clone();
        waiting.push(tokio::spawn(async move { api.try_get("/decisions").await.map(|answer| answer.status.as_u16()) }));
    }
    let due: jiff::Timestamp = made.json["sends_at"].as_str().unwrap().parse().unwrap();
    fleet.gateway.journal().wait_for(RECIPIENTS).await;
    assert!(!holder.is_finished(), "the ledger is held still");
    let first = fleet.gateway.journal().messages().remove(0).arrived_at();
    let late = first.as_millisecond() - due.as_millisecond();
    assert!(late <= 1_000, "the first SMS {late} ms after its time");
    let mut codes = Vec::new();
    for one in waiting {
        codes.extend(one.await.unwrap());
    }
    assert!(codes.contains(&503) && codes.iter().all(|code| [200, 503].contains(code)), "{codes:?}");
    let _database = holder.await.unwrap();
    let done = fleet.alert_when(&id, |alert| alert["state"] == "done").await;
    assert_each_once(&fleet, &done, RECIPIENTS, "after slow queries");
    tell("D7", "PostgreSQL", &(0..1), &format!("first SMS {late} ms after its time, 503 for those who wait"));
}
