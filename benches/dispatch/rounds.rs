//! The rounds: each measures one claim that the project makes about its speed.

use std::time::{Duration, Instant};

use grannpost::domain::delivery::Channel;
use grannpost::domain::message::priority;
use grannpost::simulator::worst_window;
use grannpost::store;
use grannpost::store::claim::{Claim, Front};
use serde_json::{Value, json};

use super::Line;
use super::database::Kind;
use super::scene::{Plan, Scene, is_handed_over, unix_ms};

const SECOND: Duration = Duration::from_secs(1);

/// What the table calls a database.
pub fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => "SQLite",
        Kind::Postgres => "PostgreSQL",
    }
}

/// A gateway that sends no receipts.
pub fn silent(latency_ms: u64) -> Value {
    json!({ "latency_ms": latency_ms, "receipts": { "delivered": 0.0 } })
}

/// The middle one.
pub fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("no measurement is NaN"));
    values[values.len() / 2]
}

/// Ten alerts one after the other: from the end of the undo window to the first arrival at the gateway.
pub async fn first_sms(kind: Kind) -> Vec<Line> {
    const ROUNDS: usize = 10;
    let scene = Scene::set(&Plan { kind, persons: 100, behaviour: silent(0), rate: 1_000, concurrency: 16 }).await;
    let mut waits = Vec::new();
    for round in 0..ROUNDS {
        let before = scene.gateway.arrivals().await.len();
        let id = scene.alert(&format!("Röd skåpbil söks, omgång {round}"), 1).await;
        let alert = scene.alert_when(&id, is_handed_over).await;
        let first_us = scene.gateway.arrivals().await[before].1;
        waits.push(first_us / 1_000 - unix_ms(&alert["sends_at"]));
    }
    let worst = waits.iter().max().copied().unwrap_or_default();
    vec![Line {
        work: "first SMS after the undo window".to_owned(),
        database: name(kind),
        ours: format!("{} ms, worst of {ROUNDS} {worst} ms", median(waits)),
        floor: "0 ms".to_owned(),
        ratio: "–".to_owned(),
        bar: "≤ 100 ms",
    }]
}

/// 1,100 SMS into a gateway that takes 50 ms for each, 20 in flight, until every state is on disk.
pub async fn slow_gateway(kind: Kind) -> Vec<Line> {
    const RECIPIENTS: usize = 1_100;
    const FLOOR_MS: i64 = 1_100 / 20 * 50;
    let plan = Plan { kind, persons: RECIPIENTS, behaviour: silent(50), rate: 5_000, concurrency: 20 };
    let scene = Scene::set(&plan).await;
    let mut times = Vec::new();
    for round in 0..5 {
        let id = scene.alert(&format!("Röd skåpbil söks, omgång {round}"), 1).await;
        let alert = scene.alert_when(&id, is_handed_over).await;
        assert_eq!(alert["counts"]["accepted"], json!(RECIPIENTS));
        times.push(unix_ms(&alert["handed_over_at"]) - unix_ms(&alert["sends_at"]));
    }
    let ours = median(times);
    vec![Line {
        work: "1,100 SMS, gateway 50 ms, 20 in flight".to_owned(),
        database: name(kind),
        ours: format!("{ours} ms"),
        floor: format!("{FLOOR_MS} ms"),
        ratio: format!("{:.3}", ours as f64 / FLOOR_MS as f64),
        bar: "≤ 1.05",
    }]
}

/// Ten seconds at a rate: how much of it was used, and the worst second the gateway saw.
pub async fn pace(kind: Kind, rate: u32) -> Vec<Line> {
    let persons = rate as usize * 23 / 2;
    let scene = Scene::set(&Plan { kind, persons, behaviour: silent(0), rate, concurrency: 64 }).await;
    let id = scene.alert("Röd skåpbil söks", 1).await;
    scene.alert_when(&id, is_handed_over).await;
    let times: Vec<u64> = scene.gateway.arrivals().await.into_iter().map(|(after_us, _)| after_us).collect();
    assert_eq!(times.len(), persons, "everybody once");
    tell_by_tenth(rate, &times);
    vec![pace_line((format!("pace {rate}/s for 10 s"), kind), rate, &times, "0.99–1.00, worst second ≤ +0")]
}

/// Says beside the table what is missing of each tenth of a second, so that one sees whether pace is lost at once or all along.
fn tell_by_tenth(rate: u32, times: &[u64]) {
    let missing = (0..100).map(|tenth| {
        let arrived = times.iter().filter(|time| (**time - times[0]) / 100_000 == tenth).count();
        (i64::from(rate / 10) - arrived as i64).to_string()
    });
    eprintln!("missing of {} in each tenth of a second: {}", rate / 10, missing.collect::<Vec<_>>().join(" "));
}

/// How much of a rate was used in the first ten seconds, and the fullest second, by arrivals in microseconds.
pub fn pace_line((work, kind): (String, Kind), rate: u32, times: &[u64], bar: &'static str) -> Line {
    let within = times.iter().filter(|time| **time - times[0] < 10_000_000).count();
    let worst = worst_window(times, SECOND);
    Line {
        work,
        database: name(kind),
        ours: format!("{:.1}/s, worst second {:+}", within as f64 / 10.0, worst as i64 - i64::from(rate)),
        floor: format!("{rate}/s"),
        ratio: format!("{:.3}", within as f64 / (10.0 * f64::from(rate))),
        bar,
    }
}

/// 50,000 SMS into a gateway that answers at once, receipts for all coming back meanwhile, until all of it is on disk.
pub async fn instant_gateway(kind: Kind) -> Vec<Line> {
    const RECIPIENTS: usize = 50_000;
    let behaviour = json!({ "receipts": { "delay_ms": 300 } });
    let scene = Scene::set(&Plan { kind, persons: RECIPIENTS, behaviour, rate: 100_000, concurrency: 256 }).await;
    let id = scene.alert("Röd skåpbil söks", 1).await;
    let alert = scene.alert_when(&id, |alert| alert["state"] == "done").await;
    assert_eq!(alert["counts"]["delivered"], json!(RECIPIENTS));
    assert_eq!(scene.gateway.journal().await["duplicates"], json!(0));
    let times = scene.gateway.arrivals().await;
    let sent_us = times[times.len() - 1].0 - times[0].0;
    let begun = unix_ms(&alert["sends_at"]);
    let settled = unix_ms(&alert["handed_over_at"]) - begun;
    vec![Line {
        work: "50,000 SMS, instant gateway, receipts meanwhile".to_owned(),
        database: name(kind),
        ours: format!(
            "{:.0}/s at the gateway, {:.0}/s settled on disk",
            RECIPIENTS as f64 / (sent_us as f64 / 1e6),
            RECIPIENTS as f64 / (settled as f64 / 1e3)
        ),
        floor: "–".to_owned(),
        ratio: "–".to_owned(),
        bar: "a peer's in the same round",
    }]
}

/// One claim of 100 with more and more rows waiting.
pub async fn claim(kind: Kind) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut base = None;
    for waiting in [10_000, 1_000_000] {
        let scene = Scene::set(&Plan { kind, persons: waiting, behaviour: silent(0), rate: 1, concurrency: 1 }).await;
        scene.alert_tomorrow("Röd skåpbil söks").await;
        scene.written_out().await;
        let ours = claim_time(&scene).await;
        let base = *base.get_or_insert(ours);
        lines.push(Line {
            work: format!("claim of 100 with {waiting} waiting"),
            database: name(kind),
            ours: format!("{:.2} ms", ours * 1e3),
            floor: format!("{:.2} ms", base * 1e3),
            ratio: format!("{:.2}", ours / base),
            bar: "flat within 1.5",
        });
    }
    lines
}

/// The median of 50 claims of 100, seconds.
pub async fn claim_time(scene: &Scene) -> f64 {
    median(claim_times(scene, 50).await)
}

/// So many claims of 100 one after the other, seconds each.
pub async fn claim_times(scene: &Scene, claims: usize) -> Vec<f64> {
    let (mut times, mut front) = (Vec::new(), Front::default());
    for _ in 0..claims {
        let begun = Instant::now();
        let mut session = scene.desk.store.begin_dispatch().await.unwrap();
        let claim = Claim {
            channel: Channel::Sms,
            priority: priority::ALERT,
            limit: 100,
            owner: "bench",
            lease_until: i64::MAX / 4,
            now: i64::MAX / 4,
        };
        let claimed = store::claim::claim(&mut session, &mut front, &claim).await.unwrap();
        session.commit().await.unwrap();
        assert_eq!(claimed.len(), 100);
        times.push(begun.elapsed().as_secs_f64());
    }
    times
}

/// Freezing an audience, by the time its `POST /alerts` takes; and a claim of another alert meanwhile.
pub async fn freeze(kind: Kind) -> Vec<Line> {
    let mut lines = Vec::new();
    for (persons, rounds, bar) in [(1_100, 10, "≤ 50 ms"), (1_000_000, 1, "≤ 4,000 ms on SQLite, claim ≤ 100 ms")]
    {
        let scene = Scene::set(&Plan { kind, persons, behaviour: silent(0), rate: 1, concurrency: 1 }).await;
        let mut times = Vec::new();
        let mut slowest_claim = Duration::ZERO;
        for round in 0..rounds {
            let text = format!("Röd skåpbil söks, omgång {round}");
            let begun = Instant::now();
            let frozen = scene.alert_tomorrow(&text);
            tokio::pin!(frozen);
            loop {
                tokio::select! {
                    _ = &mut frozen => break,
                    claim = time_of_an_empty_claim(&scene) => slowest_claim = slowest_claim.max(claim),
                }
            }
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        lines.push(Line {
            work: format!("freeze {persons} through the API"),
            database: name(kind),
            ours: format!(
                "{:.0} ms, slowest claim meanwhile {:.0} ms",
                median(times),
                slowest_claim.as_secs_f64() * 1e3
            ),
            floor: "–".to_owned(),
            ratio: "–".to_owned(),
            bar,
        });
    }
    lines
}

/// A claim on the lane that nothing waits in: it meets the same locks as one that finds something.
async fn time_of_an_empty_claim(scene: &Scene) -> Duration {
    tokio::time::sleep(Duration::from_millis(5)).await;
    let begun = Instant::now();
    let mut session = scene.desk.store.begin_dispatch().await.unwrap();
    let claim = Claim {
        channel: Channel::Email,
        priority: priority::ALERT,
        limit: 100,
        owner: "bench",
        lease_until: i64::MAX / 4,
        now: i64::MAX / 4,
    };
    store::claim::claim(&mut session, &mut Front::default(), &claim).await.unwrap();
    session.commit().await.unwrap();
    begun.elapsed()
}
