//! Several daemons on one database: the work is shared, the gateway's pace is kept in sum, and one that dies, freezes or comes
//! back does no harm. Counted in the gateway's journal.

use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use grannpost::ambient::Clock;
use grannpost::app::{self, Daemon};
use grannpost::config;
use grannpost::domain::daemon_role::Roles;
use grannpost::simulator::{AcceptedSms, HistoryMode, ReceiptPlan};
use serde_json::{Value, json};

use crate::support::child::{self, BINARY, ServeProcess};
use crate::support::faults::{Draw, is_full, seeds, sized, tell};
use crate::support::fleet::{Fleet, RECIPIENTS, assert_each_once};
use crate::support::{Database, Kind, SECRET, TestApp};

/// Deaths and births in one dispatch.
const CHANGES: usize = 6;
const SHORT: &str = "dispatch.lease_seconds = 3\ndispatch.in_doubt_grace_seconds = 1\n";

/// How late this machine wakes whoever sleeps: what no daemon can do anything about.
struct Lateness(tokio::task::JoinHandle<()>, Arc<AtomicU64>);

impl Lateness {
    fn watch() -> Self {
        let worst = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&worst);
        let watching = tokio::spawn(async move {
            loop {
                let begun = Instant::now();
                tokio::time::sleep(Duration::from_millis(5)).await;
                let late = begun.elapsed().saturating_sub(Duration::from_millis(5));
                seen.fetch_max(u64::try_from(late.as_micros()).unwrap(), Ordering::Relaxed);
            }
        });
        Self(watching, worst)
    }

    fn end(self) -> Duration {
        self.0.abort();
        Duration::from_micros(self.1.load(Ordering::Relaxed))
    }
}

/// Daemons come and go while an alert is handed over, by a seed.
async fn come_and_go(daemons: usize, seed: u64) -> (usize, Duration) {
    let rate: u64 = sized(100, 50);
    let database = Database::new(Kind::Postgres);
    let mut fleet = Fleet::set(&database.url, u32::try_from(rate).unwrap(), SHORT).await;
    for _ in 0..daemons {
        fleet.start_whole();
    }
    let id = fleet.alert(&["jamtland"]).await;
    let lateness = Lateness::watch();
    let mut draw = Draw::new(seed);
    for change in 1..=CHANGES {
        fleet.gateway.journal().wait_for(RECIPIENTS * change / (CHANGES + 1)).await;
        let at = draw.below(fleet.members.len());
        match draw.below(3) {
            0 if fleet.members.len() > 1 => fleet.kill(at),
            1 if fleet.members.len() > 1 => fleet.terminate(at),
            _ => fleet.start_whole(),
        }
    }
    let done = fleet.alert_when(&id, |alert| alert["state"] == "done").await;
    let why = format!("{daemons} daemons, seed {seed}");
    assert_each_once(&fleet, &done, RECIPIENTS, &why);
    let shares = database
        .texts("SELECT CAST(COUNT(*) AS TEXT) FROM attempt WHERE outcome = 'accepted' GROUP BY owner ORDER BY COUNT(*)")
        .await;
    assert!(shares.len() >= 2, "{why}: one daemon did it all: {shares:?}");
    // A machine that wakes its sleepers late pushes hand-overs together on their way: as late as here, there and back.
    let window = Duration::from_secs(1).saturating_sub(2 * lateness.end()).max(Duration::from_millis(500));
    let worst = fleet.gateway.journal().worst_window(window);
    assert!(worst <= usize::try_from(rate).unwrap(), "{why}: {worst} hand-overs within {window:?} at {rate}/s");
    let within = fleet.gateway.journal().worst_window(Duration::from_secs(1));
    (within, window)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_that_come_and_go_share_the_work_and_keep_the_pace_in_sum() {
    let seeds = seeds(1, 3);
    let (mut worst, mut held) = (0, Duration::from_secs(1));
    for seed in seeds.clone() {
        let (within, window) = come_and_go(2, seed).await;
        (worst, held) = (worst.max(within), held.min(window));
    }
    tell(
        "A6",
        "PostgreSQL, 2 daemons",
        &seeds,
        &format!("0 lost, 0 twice; pace held in any {held:.2?}, at most {worst} in a second"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_daemons_that_come_and_go_share_the_work_and_keep_the_pace_in_sum() {
    let seeds = seeds(1, 2);
    let (mut worst, mut held) = (0, Duration::from_secs(1));
    for seed in seeds.clone() {
        let (within, window) = come_and_go(8, 1_000 + seed).await;
        (worst, held) = (worst.max(within), held.min(window));
    }
    tell(
        "A6",
        "PostgreSQL, 8 daemons",
        &seeds,
        &format!("0 lost, 0 twice; pace held in any {held:.2?}, at most {worst} in a second"),
    );
}

/// How long the gateway takes to answer while one is frozen.
const ANSWER_MS: u64 = 300;
/// Calls at once, as `config/default.toml` has it.
const CALLS: usize = 16;

/// Attempts without an outcome in the database, as number and daemon: of a daemon that is frozen they stay so.
const OPEN_ATTEMPTS: &str = "SELECT d.address || ' ' || a.owner FROM attempt a
 JOIN delivery d ON d.id = a.delivery_id WHERE a.outcome IS NULL OR a.outcome = 'in_doubt'";
const ATTEMPTS_IN_DOUBT: &str = "SELECT d.address || ' ' || a.owner FROM attempt a
 JOIN delivery d ON d.id = a.delivery_id AND d.attempts = a.number WHERE d.state = 'in_doubt'";
const WHY_IN_DOUBT: &str =
    "SELECT COALESCE(a.outcome, '') || ' ' || COALESCE(a.reason, '') || ' ' || CAST(COUNT(*) AS TEXT)
 FROM attempt a JOIN delivery d ON d.id = a.delivery_id AND d.attempts = a.number WHERE d.state = 'in_doubt'
 GROUP BY a.outcome, a.reason";

/// What a frozen daemon has left in doubt.
#[derive(Debug, Default)]
struct LeftInDoubt {
    /// While it was frozen: the gateway had not answered, or had not been called.
    without_answer: usize,
    /// While it was frozen: answers that were on their way to the disk.
    answered: usize,
    /// When it had gone on, and what it knew was written.
    for_good: usize,
}

/// One of two is frozen with calls under way, for longer than its leases hold; the other goes on alone. What the frozen one knows of
/// its calls ends the doubt when it goes on.
async fn freeze_and_thaw(seed: u64, (settings, frozen_for): (&str, Duration)) -> LeftInDoubt {
    let database = Database::new(Kind::Postgres);
    let mut fleet = Fleet::set(&database.url, 200, settings).await;
    // Nothing but the answer itself can tell what became of a call: no receipt, no history.
    fleet.gateway.change(|gateway| {
        gateway.latency_ms = ANSWER_MS;
        gateway.receipts = ReceiptPlan::silent();
        gateway.history = HistoryMode::Code(404);
    });
    fleet.start_whole();
    fleet.start_whole();
    let id = fleet.alert(&["jamtland"]).await;
    let stop_at = 100 + Draw::new(seed).below(400);
    fleet.gateway.journal().wait_for(stop_at).await;
    fleet.members[0].signal("STOP");
    let answers_until = (Clock::System.now() - Duration::from_millis(ANSWER_MS)).as_microsecond();
    // The database may still be at what it was told last.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let open: HashSet<String> = database.texts(OPEN_ATTEMPTS).await.into_iter().collect();
    // The other takes over the frozen one's leases once they have run out, and what was stamped is in doubt.
    let mut frozen = fleet.members.remove(0);
    let other = fleet.members[0].base.clone();
    let mut api = fleet.api.clone();
    api.move_to(other);
    let begun = Instant::now();
    loop {
        let counts = api.get(&format!("/alerts/{id}")).await.json["counts"].take();
        let is_handed_over = counts["queued"] == 0 && counts["sending"] == 0;
        if is_handed_over && begun.elapsed() > frozen_for {
            break;
        }
        assert!(begun.elapsed() < frozen_for + Duration::from_secs(60), "seed {seed}: nobody rescued: {counts}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let in_doubt = database.texts(ATTEMPTS_IN_DOUBT).await;
    let foreign: Vec<&String> = in_doubt.iter().filter(|attempt| !open.contains(*attempt)).collect();
    assert!(foreign.is_empty(), "seed {seed}: in doubt, and not open when it was frozen: {foreign:?}");
    let numbers: HashSet<&str> = in_doubt.iter().filter_map(|attempt| Some(attempt.split_once(' ')?.0)).collect();
    let sent = fleet.gateway.journal().messages();
    let had_answer = |sms: &&AcceptedSms| sms.arrived_at_us <= answers_until && numbers.contains(&*sms.to);
    let answered = sent.iter().filter(had_answer).count();
    frozen.signal("CONT");
    let late = late_answers(&mut frozen).await;
    fleet.members.insert(0, frozen);
    // Its calls may have run out of time while it was frozen; of everything else it knows what became of it.
    let done = fleet
        .alert_when(&id, |alert| {
            let counts = &alert["counts"];
            counts["queued"] == 0 && counts["sending"] == 0 && counts["in_doubt"].as_u64() <= Some(CALLS as u64)
        })
        .await;
    assert!(late > 0, "seed {seed}: no answer of the frozen one came after its lease was taken over");
    let for_good = usize::try_from(done["counts"]["in_doubt"].as_u64().unwrap()).unwrap();
    let left = LeftInDoubt { without_answer: in_doubt.len() - answered, answered, for_good };
    let why = || database.texts(WHY_IN_DOUBT);
    assert!(left.for_good <= CALLS, "seed {seed}: {left:?}, {:?}", why().await);
    // Calls and those stamped for the next ones; and as many answers that were on their way to the disk (ADR 0025).
    assert!(left.without_answer <= 2 * CALLS && left.answered <= 2 * CALLS, "seed {seed}: {left:?}");
    assert_each_once(&fleet, &done, RECIPIENTS, &format!("seed {seed}"));
    left
}

/// How many answers of a daemon came after its lease was taken over, once there are any.
async fn late_answers(daemon: &mut ServeProcess) -> u64 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..200 {
        let metrics = client.get(format!("{}/metrics", daemon.base)).send().await.unwrap().text().await.unwrap();
        let late = metrics.lines().find_map(|line| line.strip_prefix("grannpost_late_answers_total "));
        if let Some(late) = late {
            return late.parse().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_frozen_for_longer_than_its_lease_sends_nothing_twice_and_its_late_answers_end_the_doubt() {
    let seeds = seeds(1, 10);
    let mut worst = LeftInDoubt::default();
    for seed in seeds.clone() {
        let left = freeze_and_thaw(seed, (SHORT, Duration::from_secs(6))).await;
        worst.without_answer = worst.without_answer.max(left.without_answer);
        worst.answered = worst.answered.max(left.answered);
        worst.for_good = worst.for_good.max(left.for_good);
    }
    let told = |left: &LeftInDoubt| {
        format!(
            "0 lost, 0 twice, in doubt at most {} without an answer and {} not on disk yet while it was frozen, {} afterwards",
            left.without_answer, left.answered, left.for_good
        )
    };
    tell("A5", "PostgreSQL", &seeds, &told(&worst));
    if is_full() {
        let minute = freeze_and_thaw(seeds.start, ("", Duration::from_secs(60))).await;
        let figure = format!("a minute, leases as they are set: {}", told(&minute));
        tell("A5", "PostgreSQL", &(seeds.start..seeds.start + 1), &figure);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_was_frozen_alone_loses_nothing_and_leaves_only_its_calls_in_doubt() {
    let seeds = seeds(1, 5);
    let mut worst = 0;
    for seed in seeds.clone() {
        let database = Database::new(Kind::Sqlite);
        let mut fleet = Fleet::set(&database.url, 200, SHORT).await;
        fleet.gateway.change(|gateway| {
            gateway.latency_ms = ANSWER_MS;
            gateway.receipts = ReceiptPlan::silent();
            gateway.history = HistoryMode::Code(404);
        });
        fleet.start_whole();
        let id = fleet.alert(&["jamtland"]).await;
        let stop_at = 100 + Draw::new(2_000 + seed).below(400);
        fleet.gateway.journal().wait_for(stop_at).await;
        fleet.members[0].signal("STOP");
        tokio::time::sleep(Duration::from_secs(6)).await;
        fleet.members[0].signal("CONT");
        let done = fleet
            .alert_when(&id, |alert| {
                let counts = &alert["counts"];
                counts["queued"] == 0 && counts["sending"] == 0 && counts["in_doubt"].as_u64() <= Some(CALLS as u64)
            })
            .await;
        let in_doubt = usize::try_from(done["counts"]["in_doubt"].as_u64().unwrap()).unwrap();
        assert!(in_doubt <= CALLS, "seed {seed}: {in_doubt}, {:?}", database.texts(WHY_IN_DOUBT).await);
        assert_each_once(&fleet, &done, RECIPIENTS, &format!("seed {seed}"));
        worst = worst.max(in_doubt);
    }
    tell("A5", "SQLite, alone", &seeds, &format!("0 lost, 0 twice, in doubt at most {worst}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_daemon_holds_up_neither_upkeep_nor_the_others_rows() {
    let database = Database::new(Kind::Postgres);
    let mut fleet = Fleet::set(&database.url, 2000, SHORT).await;
    fleet.start_whole();
    fleet.gateway.change(|gateway| gateway.latency_ms = 0);
    let first = fleet.alert(&["2326"]).await;
    fleet.alert_when(&first, |alert| alert["state"] == "done").await;
    fleet.start_whole();
    // The first has the turn at upkeep: it was alone.
    fleet.members[0].signal("STOP");
    let frozen = fleet.members.remove(0);
    let mut api = fleet.api.clone();
    api.move_to(fleet.members[0].base.clone());
    let wanted =
        json!({ "text": "Blå bil söks", "areas": ["2321"], "decided_by": "Vakthavande befäl", "undo_seconds": 0 });
    let id = api.post("/alerts", wanted).await.json["id"].as_str().unwrap().to_owned();
    let entries =
        || async { database.texts("SELECT CAST(COUNT(*) AS TEXT) FROM audit WHERE seq IS NULL").await.remove(0) };
    let begun = Instant::now();
    while api.get(&format!("/alerts/{id}")).await.json["state"] != "handed_over" || entries().await != "0" {
        assert!(begun.elapsed() < Duration::from_secs(20), "unsealed: {}\n{}", entries().await, fleet.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    frozen.signal("CONT");
    fleet.members.push(frozen);
    fleet.alert_when(&id, |alert| alert["state"] == "done").await;
    assert_eq!(fleet.verify(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_one_sqlite_file_says_why_it_cannot_and_the_first_goes_on() {
    let database = Database::new(Kind::Sqlite);
    let mut fleet = Fleet::set(&database.url, 500, SHORT).await;
    fleet.start_whole();
    let id = fleet.alert(&["jamtland"]).await;
    fleet.gateway.journal().wait_for(50).await;
    let second = child::run(&fleet.config(), &["serve"]);
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another grannpost daemon runs on this SQLite database"), "{said}");
    let done = fleet.alert_when(&id, |alert| alert["state"] == "done").await;
    assert_each_once(&fleet, &done, RECIPIENTS, "the first");
    tell("A6", "SQLite", &(0..1), "the second refuses, the first goes on");
}

#[test]
fn an_unknown_role_is_refused_with_those_that_are_allowed() {
    for (roles, word) in [("web,mail", "mail"), ("", "no role")] {
        let output = Command::new(BINARY).args(["serve", "--roles", roles]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
        assert!(said.contains(word) && said.contains("web, dispatch, inbound and upkeep"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_shared_out_among_processes_and_each_serves_what_is_its() {
    let database = Database::new(Kind::Postgres);
    let mut fleet = Fleet::set(&database.url, 2000, SHORT).await;
    let web = fleet.start("web").base.clone();
    let inbound = fleet.start("inbound").base.clone();
    let dispatch = fleet.start("dispatch").base.clone();
    let upkeep = fleet.start("upkeep").base.clone();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (base, roles) in [(&web, "web"), (&inbound, "inbound"), (&dispatch, "dispatch"), (&upkeep, "upkeep")] {
        let ready: Value = client.get(format!("{base}/readyz")).send().await.unwrap().json().await.unwrap();
        assert_eq!(ready["roles"], json!([roles]), "{ready}");
        let status = client.get(format!("{base}/api/v1/areas")).send().await.unwrap().status();
        assert_eq!(status, if roles == "web" { 401 } else { 404 }, "the API at {roles}");
        let hook = client.post(format!("{base}/hooks/sms/elks/wrong/inbound")).send().await.unwrap();
        assert_eq!((hook.status().as_u16(), hook.text().await.unwrap().as_str()), (404, ""), "{roles}");
    }
    let id = fleet.alert(&["2326"]).await;
    let done = fleet.alert_when(&id, |alert| alert["state"] == "done").await;
    assert!(done["counts"]["delivered"].as_i64().unwrap() > 0, "{}", done["counts"]);
    // What comes in is taken at either, and made something of by the one whose work that is.
    let person = fleet.gateway.journal().messages().remove(0).to.replace('+', "%2B");
    for (at, base) in [&web, &inbound].into_iter().enumerate() {
        let form = format!("direction=incoming&id=s{at}&from={person}&to=%2B46766860000&message=Bil+{at}");
        let request = client.post(format!("{base}/hooks/sms/elks/{SECRET}/inbound"));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        assert_eq!(request.send().await.unwrap().status(), 204);
    }
    let begun = Instant::now();
    while fleet.api.get("/observations").await.json["items"].as_array().unwrap().len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", fleet.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_hears_of_a_change_on_whichever_daemon_it_hangs() {
    let database = Database::new(Kind::Postgres);
    let mut fleet = Fleet::set(&database.url, 2000, SHORT).await;
    fleet.start_whole();
    fleet.start_whole();
    let mut streams = Vec::new();
    for member in &fleet.members {
        let mut api = fleet.api.clone();
        api.move_to(member.base.clone());
        streams.push(api.events().await);
    }
    let id = fleet.alert(&["2326"]).await;
    for events in &mut streams {
        events.until_told(&[&id, "\"state\":\"done\""]).await;
    }
}

/// A second daemon within this process, on the database of the first.
async fn beside(app: &TestApp, roles: &str) -> (Daemon, grannpost::actions::Desk) {
    let config = Arc::new(config::from_toml(&[&app.settings()]).unwrap());
    let desk = app::open(config, app.clock.clone(), true).await.unwrap();
    let daemon = Daemon::start_as(&desk, Roles::parse(roles).unwrap()).await.unwrap();
    (daemon, desk)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_daemon_makes_due_wakes_the_others_also_after_their_connection_was_cut() {
    const LONG: Duration = Duration::from_secs(20);
    let app = TestApp::spawn_at(Kind::Postgres, "", Clock::System).await;
    let (other, desk) = beside(&app, "web").await;
    for is_cut in [false, true] {
        if is_cut {
            app.database
                .texts(
                    "SELECT CAST(pg_terminate_backend(pid) AS TEXT) FROM pg_stat_activity
                     WHERE datname = current_database() AND query LIKE 'LISTEN%'",
                )
                .await;
        }
        let ringing = tokio::spawn({
            let wakeup = app.desk.wakeup.clone();
            async move {
                loop {
                    wakeup.ring();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
        let begun = Instant::now();
        desk.wakeup.wait(LONG).await;
        ringing.abort();
        assert!(begun.elapsed() < LONG, "it was never woken; cut before: {is_cut}");
    }
    // Right without any wake-up too: what the first is told to send, the other may hand over at its next look.
    assert!(other.stop().await);
    assert!(!is_full() || app.verify().await.is_empty());
}
