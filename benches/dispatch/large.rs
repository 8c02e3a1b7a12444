//! Rounds in which very much waits, or one message is very large.

use std::time::{Duration, Instant};

use grannpost::store;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _};

use super::Line;
use super::database::Kind;
use super::rounds::{claim_time, claim_times, median, name, silent};
use super::scene::{LETTERS_AT_ONCE, Plan, Scene, is_handed_over, unix_ms};

/// A claim of 100 with ten million waiting: a frozen alert of 10,000, and then rows like its own put behind them.
pub async fn claim_of_ten_millions(kind: Kind) -> Vec<Line> {
    const FROZEN: usize = 10_000;
    const PIECE: usize = 500_000;
    let all = super::scaled(9_990_000);
    let scene = Scene::set(&Plan { kind, persons: FROZEN, behaviour: silent(0), rate: 1, concurrency: 1 }).await;
    let id = scene.alert_tomorrow("Röd skåpbil söks").await;
    scene.written_out().await;
    let base = claim_time(&scene).await;
    let begun = Instant::now();
    // Their ids and addresses go on from 1 to FROZEN, which the frozen ones have.
    for first in (FROZEN + 1..all).step_by(PIECE) {
        let last = (first + PIECE).min(all) - 1;
        let piece = format!(
            "INSERT INTO delivery (id, message_id, channel, address, persons, households, state, priority, due_at, place,
               expires_at, queued_at)
             WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
             SELECT d.id / 10000000 * 10000000 + n.i, d.message_id, 'sms', '+46702' || CAST(100000000 + n.i AS TEXT), 1, 3, 'queued',
               d.priority, d.due_at, n.i, d.expires_at, d.queued_at
             FROM n CROSS JOIN (SELECT * FROM delivery WHERE message_id = '{id}' ORDER BY id DESC LIMIT 1) d"
        );
        scene.execute(&piece).await;
    }
    eprintln!("{all} rows are there after {:?}", begun.elapsed());
    scene.tidy().await;
    let ours = claim_time(&scene).await;
    vec![Line {
        work: format!("claim of 100 with {} waiting", scene.numbers(WAITING).await[0]),
        database: name(kind),
        ours: format!("{:.2} ms", ours * 1e3),
        floor: format!("{:.2} ms with {FROZEN}", base * 1e3),
        ratio: format!("{:.2}", ours / base),
        bar: "flat within 1.5",
    }]
}

const WAITING: &str = "SELECT COUNT(*) FROM delivery WHERE state = 'queued'";

/// 150,000 rows are claimed while somebody else's transaction keeps PostgreSQL from clearing what becomes of them.
pub async fn claim_under_an_old_snapshot(kind: Kind) -> Vec<Line> {
    const AT_EACH_END: usize = 100;
    let claims = super::scaled(1_500).max(AT_EACH_END);
    if kind == Kind::Sqlite {
        return Vec::new();
    }
    let plan = Plan { kind, persons: claims * 100 + 10_000, behaviour: silent(0), rate: 1, concurrency: 1 };
    let scene = Scene::set(&plan).await;
    scene.alert_tomorrow("Röd skåpbil söks").await;
    scene.written_out().await;
    scene.tidy().await;
    let mut other = scene.connection().await;
    for statement in ["BEGIN ISOLATION LEVEL REPEATABLE READ", WAITING] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut other).await.unwrap();
    }
    let times = claim_times(&scene, claims).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let _ = other.close().await;
    let (first, last) = (median(times[..AT_EACH_END].to_vec()), median(times[claims - AT_EACH_END..].to_vec()));
    vec![Line {
        work: format!("claim of 100 under an old open snapshot, after {} were claimed", claims * 100),
        database: name(kind),
        ours: format!("{:.2} ms", last * 1e3),
        floor: format!("{:.2} ms, the first ones", first * 1e3),
        ratio: format!("{:.2}", last / first),
        bar: "flat within 1.5",
    }]
}

/// What one look at a message of a million costs: its counts from the store, and the whole of it through the API.
pub async fn counts(kind: Kind) -> Vec<Line> {
    const TIMES: usize = 100;
    let persons = super::scaled(1_000_000);
    let scene = Scene::set(&Plan { kind, persons, behaviour: silent(0), rate: 1, concurrency: 1 }).await;
    let id = scene.alert_tomorrow("Röd skåpbil söks").await;
    scene.pretend_accepted(&id).await;
    let (mut of_store, mut of_api) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let begun = Instant::now();
        store::message::counts(&mut scene.desk.store.read().await.unwrap(), &id).await.unwrap();
        of_store.push(begun.elapsed().as_secs_f64() * 1e3);
        let begun = Instant::now();
        let alert = scene.api.get(&format!("/alerts/{id}")).await.json;
        of_api.push(begun.elapsed().as_secs_f64() * 1e3);
        assert_eq!(alert["counts"]["accepted"], json!(persons));
    }
    let line = |what: &str, mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        Line {
            work: format!("counts of a message of {persons}, {what}"),
            database: name(kind),
            ours: format!("p50 {:.1} ms, p95 {:.1} ms", times[TIMES / 2], times[TIMES * 95 / 100]),
            floor: "–".to_owned(),
            ratio: "–".to_owned(),
            bar: "≤ 5 ms",
        }
    };
    vec![line("from the store", of_store), line("GET /alerts/{id}", of_api)]
}

/// The daemon's memory while a message of a million is frozen and handed over for a while, receipts coming back.
pub async fn memory(kind: Kind) -> Vec<Line> {
    const HANDING_OVER: Duration = Duration::from_secs(40);
    let persons = super::scaled(1_000_000);
    let behaviour = json!({ "receipts": { "delay_ms": 300 } });
    let scene = Scene::set(&Plan { kind, persons, behaviour, rate: 100_000, concurrency: 64 }).await;
    let idle = scene.memory_mib("VmRSS");
    let id = scene.alert("Röd skåpbil söks", 1).await;
    let frozen = scene.memory_mib("VmHWM");
    scene.alert_when(&id, |alert| alert["state"] == "sending").await;
    tokio::time::sleep(HANDING_OVER).await;
    let counts = scene.api.get(&format!("/alerts/{id}")).await.json["counts"].clone();
    eprintln!("memory after {HANDING_OVER:?}: {counts}");
    vec![Line {
        work: format!("memory, {persons} deliveries in one message, frozen and handed over for a while"),
        database: name(kind),
        ours: format!("at most {:.0} MiB ({frozen:.0} MiB when it was frozen)", scene.memory_mib("VmHWM")),
        floor: format!("{idle:.0} MiB idle"),
        ratio: "–".to_owned(),
        bar: "≤ 150 MB",
    }]
}

/// Alerts issued while 500,000 letters wait and go out as fast as they can.
pub async fn alert_first(kind: Kind) -> Vec<Line> {
    const ROUNDS: usize = 10;
    let persons = super::scaled(500_000);
    let plan = Plan { kind, persons, behaviour: silent(0), rate: 1_000, concurrency: 16 };
    let scene = Scene::set_with(&plan, LETTERS_AT_ONCE).await;
    let letter = format!("/letters/{}", scene.letter(1).await);
    scene.when(&letter, |letter| letter["counts"]["accepted"].as_i64().is_some_and(|n| n > 0)).await;
    let mut waits = Vec::new();
    for round in 0..ROUNDS {
        let before = scene.gateway.arrivals().await.len();
        let id = scene.alert_to("w0", &format!("Röd skåpbil söks, omgång {round}"), 1).await;
        let alert = scene.alert_when(&id, is_handed_over).await;
        waits.push(scene.gateway.arrivals().await[before].1 / 1_000 - unix_ms(&alert["sends_at"]));
    }
    let shown = scene.api.get(&letter).await.json;
    let waiting = shown["counts"]["queued"].as_i64().unwrap();
    assert!(waiting > 0, "letters waited to the end of the round");
    eprintln!("alert-first: {} letters were handed over meanwhile, {waiting} wait", shown["counts"]["accepted"]);
    let worst = waits.iter().max().copied().unwrap_or_default();
    vec![Line {
        work: format!("first SMS of an alert while {persons} letters wait and are handed over"),
        database: name(kind),
        ours: format!("{} ms, worst of {ROUNDS} {worst} ms", median(waits)),
        floor: "0 ms".to_owned(),
        ratio: "–".to_owned(),
        bar: "≤ 150 ms",
    }]
}
