//! Our side of each comparison: the built daemon with a fresh database, as in the rounds of ours alone.

use std::time::Instant;

use serde_json::json;

use super::database::Kind;
use super::scene::{Plan, Scene, is_handed_over, unix_ms};

/// Seconds.
#[derive(Debug)]
pub struct Sms {
    /// `POST /alerts`: the audience resolved, every delivery written.
    pub frozen: f64,
    /// From the time it was to go until the last one was handed over and its state on disk.
    pub handed_over: f64,
    /// From then until the last receipt was on disk.
    pub reported: f64,
}

/// One alert to so many.
pub async fn sms(kind: Kind, count: usize) -> Sms {
    let behaviour = json!({ "receipts": { "delay_ms": 300 } });
    let scene = Scene::set(&Plan { kind, persons: count, behaviour, rate: 100_000, concurrency: 64 }).await;
    let begun = Instant::now();
    let id = scene.alert("Röd skåpbil söks", 1).await;
    let frozen = begun.elapsed().as_secs_f64();
    let alert = scene.alert_when(&id, |alert| alert["state"] == "done").await;
    assert_eq!(alert["counts"]["delivered"], json!(count));
    let journal = scene.gateway.journal().await;
    assert_eq!((&journal["accepted"], &journal["duplicates"]), (&json!(count), &json!(0)));
    let last_receipt = scene.numbers("SELECT MAX(final_at) FROM delivery").await[0];
    let sends_at = unix_ms(&alert["sends_at"]);
    let seconds = |at: i64| (at - sends_at) as f64 / 1e3;
    Sms { frozen, handed_over: seconds(unix_ms(&alert["handed_over_at"])), reported: seconds(last_receipt) }
}

/// One letter to so many: seconds from the time it was to go until the last one was handed over and its state on disk.
pub async fn letters(count: usize) -> f64 {
    let plan = Plan { kind: Kind::Sqlite, persons: count, behaviour: json!({}), rate: 1, concurrency: 1 };
    let scene = Scene::set_with(&plan, super::scene::LETTERS_AT_ONCE).await;
    let id = scene.letter(super::scene::PARAGRAPHS).await;
    let letter = scene.when(&format!("/letters/{id}"), is_handed_over).await;
    assert_eq!(letter["counts"]["accepted"], json!(count));
    (unix_ms(&letter["handed_over_at"]) - unix_ms(&letter["sends_at"])) as f64 / 1e3
}
