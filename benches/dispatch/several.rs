//! Rounds with two daemons on one database, and a message to a million.

use std::time::Duration;

use serde_json::json;

use super::Line;
use super::database::Kind;
use super::rounds::{name, pace_line, silent};
use super::scene::{Plan, Scene, is_handed_over, unix_ms};

/// Ten seconds at a rate that two daemons share, one of which is killed in the middle and another started.
pub async fn pace_in_sum(kind: Kind) -> Vec<Line> {
    let mut lines = Vec::new();
    for rate in [100_u32, 1_000].into_iter().filter(|_| kind == Kind::Postgres) {
        let persons = rate as usize * 23 / 2;
        let plan = Plan { kind, persons, behaviour: silent(0), rate, concurrency: 64 };
        let scene = Scene::set(&plan).await;
        let another = scene.another_daemon(&plan);
        let id = scene.alert("Röd skåpbil söks", 1).await;
        scene.alert_when(&id, |alert| alert["state"] == "sending").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        another.kill();
        let _another = scene.another_daemon(&plan);
        scene.alert_when(&id, is_handed_over).await;
        let times: Vec<u64> = scene.gateway.arrivals().await.into_iter().map(|(after_us, _)| after_us).collect();
        assert_eq!(scene.gateway.journal().await["duplicates"], json!(0));
        let work = format!("pace {rate}/s in sum of two daemons, one killed and started in the middle");
        lines.push(pace_line((work, kind), rate, &times, "worst second ≤ +0"));
    }
    lines
}

/// A million SMS to an instant gateway, receipts for all coming back meanwhile: one daemon on SQLite, two on PostgreSQL.
pub async fn million(kind: Kind) -> Vec<Line> {
    let persons = super::scaled(1_000_000);
    let behaviour = json!({ "receipts": { "delay_ms": 300 } });
    let plan = Plan { kind, persons, behaviour, rate: 100_000, concurrency: 128 };
    let scene = Scene::set(&plan).await;
    let _another = (kind == Kind::Postgres).then(|| scene.another_daemon(&plan));
    let id = scene.alert("Röd skåpbil söks", 1).await;
    let alert = scene.alert_when(&id, |alert| alert["state"] == "done").await;
    assert_eq!(alert["counts"]["delivered"], json!(persons));
    assert_eq!(scene.gateway.journal().await["duplicates"], json!(0));
    let took = |until: &str| (unix_ms(&alert[until]) - unix_ms(&alert["sends_at"])) as f64 / 1e3;
    let (handed_over, done) = (took("handed_over_at"), took("done_at"));
    vec![Line {
        work: format!("{persons} SMS, receipts for all, {} daemon(s)", if kind == Kind::Postgres { 2 } else { 1 }),
        database: name(kind),
        ours: format!(
            "{handed_over:.0} s, {:.0}/s; the last receipt after {done:.0} s; database {:.1} GB, a daemon at most {:.0} MiB",
            persons as f64 / handed_over,
            scene.size_of_database().await as f64 / 1e9,
            scene.memory_mib("VmHWM"),
        ),
        floor: "–".to_owned(),
        ratio: "–".to_owned(),
        bar: "–",
    }]
}
