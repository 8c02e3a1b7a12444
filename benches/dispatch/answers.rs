//! Rounds of what comes back from gateways, and of letters, which need none to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use grannpost::domain::delivery_token::DeliveryToken;
use serde_json::json;
use tokio::task::JoinSet;

use super::Line;
use super::database::Kind;
use super::rounds::{name, silent};
use super::scene::{LETTERS_AT_ONCE, PARAGRAPHS, Plan, Scene, is_handed_over, unix_ms};
use super::wire::Caller;

/// Connections that bring receipts.
const CONNECTIONS: usize = 64;
/// Receipts for 200,000 that were accepted, brought over 64 connections as fast as they are taken. Each is answered after
/// its commit, so the last answer is the last one on disk.
pub async fn receipts(kind: Kind) -> Vec<Line> {
    let count = super::scaled(200_000);
    let scene = Scene::set(&Plan { kind, persons: count, behaviour: silent(0), rate: 1, concurrency: 1 }).await;
    let id = scene.alert_tomorrow("Röd skåpbil söks").await;
    scene.pretend_accepted(&id).await;
    let ids = scene.numbers("SELECT id FROM delivery ORDER BY id").await;
    assert_eq!(ids.len(), count);
    let authority = scene.api.base().strip_prefix("http://").unwrap().to_owned();
    let requests: Arc<Vec<String>> = Arc::new(ids.iter().map(|id| request(&scene, &authority, *id)).collect());
    let mut callers = JoinSet::new();
    let begun = Instant::now();
    for first in 0..CONNECTIONS {
        let (requests, authority) = (Arc::clone(&requests), authority.clone());
        callers.spawn(async move {
            let mut caller = Caller::connect(&authority).await;
            let mut times = Vec::with_capacity(requests.len() / CONNECTIONS + 1);
            for request in requests.iter().skip(first).step_by(CONNECTIONS) {
                let asked = Instant::now();
                assert_eq!(caller.call(request).await, 204);
                times.push(asked.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = callers.join_all().await.concat();
    let took = begun.elapsed();
    let delivered = scene.numbers("SELECT COUNT(*) FROM delivery WHERE state = 'delivered'").await;
    assert_eq!(delivered, [count as i64], "every receipt is on disk");
    times.sort_unstable();
    let ms = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
    vec![Line {
        work: format!("{count} receipts alone, {CONNECTIONS} connections"),
        database: name(kind),
        ours: format!(
            "{:.0}/s on disk, hook p50 {:.1} ms, p99 {:.1} ms",
            count as f64 / took.as_secs_f64(),
            ms(50),
            ms(99)
        ),
        floor: "–".to_owned(),
        ratio: "–".to_owned(),
        bar: "≥ 20,000/s, p99 ≤ 20 ms",
    }]
}

/// 20,000 letters of 8 KB over 10 connections into a sink, until every state is on disk.
pub async fn letters(kind: Kind) -> Vec<Line> {
    let count = super::scaled(20_000);
    let plan = Plan { kind, persons: count, behaviour: json!({}), rate: 1, concurrency: 1 };
    let scene = Scene::set_with(&plan, LETTERS_AT_ONCE).await;
    let id = scene.letter(PARAGRAPHS).await;
    let letter = scene.when(&format!("/letters/{id}"), is_handed_over).await;
    assert_eq!(letter["counts"]["accepted"], json!(count));
    let took = unix_ms(&letter["handed_over_at"]) - unix_ms(&letter["sends_at"]);
    vec![Line {
        work: format!("{count} letters of 8 KB, 10 connections"),
        database: name(kind),
        ours: format!("{:.0}/s, states on disk", count as f64 / (took as f64 / 1e3)),
        floor: "–".to_owned(),
        ratio: "–".to_owned(),
        bar: "a peer's in the same round",
    }]
}

fn request(scene: &Scene, authority: &str, delivery_id: i64) -> String {
    let token = scene.desk.token_key.encode(DeliveryToken { delivery_id, attempt: 1 });
    let form = format!("id=s{delivery_id}&status=delivered&delivered=2026-11-20T02%3A31%3A04");
    format!(
        "POST /hooks/sms/elks/0123456789abcdef0123456789abcdef/receipt/{token} HTTP/1.1\r\nHost: {authority}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
}
