//! Rounds of what comes back from gateways, and of letters, which need none to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use grannpost::domain::delivery_token::DeliveryToken;
use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;

use super::Line;
use super::database::Kind;
use super::rounds::{name, silent};
use super::scene::{LETTERS_AT_ONCE, PARAGRAPHS, Plan, Scene, is_handed_over, unix_ms};
use super::wire::Caller;

/// Replies that come while an alert goes out to as many.
const REPLIES: usize = 1_100;
/// The time they come in, evenly.
const REPLIES_TAKE: Duration = Duration::from_secs(10);
/// Connections that bring replies: enough that a slow answer never holds up the next reply.
const REPLY_CONNECTIONS: usize = 32;
/// Between two looks at what became of the replies.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A reply that has become nothing after this is lost.
const LONGEST_READING: Duration = Duration::from_secs(120);

/// Receipts for 200,000 that were accepted, in the order in which they were handed over, brought over `connections` as fast as they
/// are taken. Each is answered after its commit, so the last answer is the last one on disk.
pub async fn receipts(kind: Kind, connections: usize) -> Vec<Line> {
    let count = super::scaled(200_000);
    let scene = Scene::set(&Plan { kind, persons: count, behaviour: silent(0), rate: 1, concurrency: 1 }).await;
    let id = scene.alert_tomorrow("Röd skåpbil söks").await;
    scene.pretend_accepted(&id).await;
    let ids = scene.numbers("SELECT id FROM delivery ORDER BY id").await;
    assert_eq!(ids.len(), count);
    let authority = scene.api.base().strip_prefix("http://").unwrap().to_owned();
    let requests: Arc<Vec<String>> = Arc::new(ids.iter().map(|id| request(&scene, &authority, *id)).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..connections {
        let (requests, next, authority) = (Arc::clone(&requests), Arc::clone(&next), authority.clone());
        callers.spawn(async move {
            let mut caller = Caller::connect(&authority).await;
            let mut times = Vec::new();
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
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
        work: format!("{count} receipts alone, {connections} connections"),
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

/// 1,100 replies in ten seconds while an alert goes out to 1,100 with receipts, and the same alert without a reply.
pub async fn replies(kind: Kind) -> Vec<Line> {
    let alone = alert_with_receipts(&replied_to(kind).await).await;
    let scene = replied_to(kind).await;
    let begin = async {
        while scene.gateway.arrivals().await.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let begun = Instant::now();
        tokio::join!(bring_replies(&scene, begun), see_observations(&scene, begun))
    };
    let (with_replies, (brought, seen)) = tokio::join!(alert_with_receipts(&scene), begin);
    let stored = scene.numbers("SELECT COUNT(*) FROM inbound_sms WHERE observation_id IS NOT NULL").await;
    let all = scene.numbers("SELECT COUNT(*) FROM inbound_sms").await;
    assert_eq!((stored[0], all[0]), (REPLIES as i64, REPLIES as i64), "every reply is stored once");
    let observations = scene.numbers("SELECT COUNT(*) FROM observation").await;
    assert_eq!((observations[0], seen.len()), (REPLIES as i64, REPLIES), "and became one observation");
    let lag = |reply: &Brought| seen[&reply.number].saturating_sub(reply.answered_after);
    let longest = brought.iter().map(lag).max().unwrap_or_default();
    let mut times: Vec<Duration> = brought.iter().map(|reply| reply.took).collect();
    times.sort_unstable();
    let ms = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
    vec![Line {
        work: format!("{REPLIES} replies in 10 s while an alert to {REPLIES} goes out"),
        database: name(kind),
        ours: format!(
            "hook p50 {:.1} ms, p99 {:.1} ms; an observation at most {:.0} ms later; alert {with_replies:.1}/s",
            ms(50),
            ms(99),
            longest.as_secs_f64() * 1e3
        ),
        floor: format!("{alone:.1}/s without replies"),
        ratio: format!("{:.3}", with_replies / alone),
        bar: "–",
    }]
}

/// Automatic answers are off: all that the gateway takes is the alert.
async fn replied_to(kind: Kind) -> Scene {
    let behaviour = json!({ "receipts": { "delay_ms": 300 } });
    let plan = Plan { kind, persons: REPLIES, behaviour, rate: 100, concurrency: 16 };
    Scene::set_with(&plan, "[replies]\nautomatic = false\n").await
}

/// Sends the alert until every receipt is there; SMS a second between the first and the last arrival.
async fn alert_with_receipts(scene: &Scene) -> f64 {
    let id = scene.alert("Röd skåpbil söks", 1).await;
    let alert = scene.alert_when(&id, |alert| alert["state"] == "done").await;
    assert_eq!(alert["counts"]["delivered"], json!(REPLIES));
    let times = scene.gateway.arrivals().await;
    assert_eq!(times.len(), REPLIES, "everybody once");
    REPLIES as f64 / ((times[times.len() - 1].0 - times[0].0) as f64 / 1e6)
}

/// A reply that was taken.
struct Brought {
    number: i64,
    /// From when it was due, so that one which had to wait for its connection counts as it was.
    took: Duration,
    /// Since the first was due.
    answered_after: Duration,
}

async fn bring_replies(scene: &Scene, begun: Instant) -> Vec<Brought> {
    let authority = scene.api.base().strip_prefix("http://").unwrap().to_owned();
    let mut callers = JoinSet::new();
    for first in 0..REPLY_CONNECTIONS {
        let authority = authority.clone();
        callers.spawn(async move {
            let mut caller = Caller::connect(&authority).await;
            let mut brought = Vec::new();
            for number in (first..REPLIES).step_by(REPLY_CONNECTIONS) {
                let due = begun + REPLIES_TAKE.mul_f64(number as f64 / REPLIES as f64);
                tokio::time::sleep_until(due.into()).await;
                assert_eq!(caller.call(&reply(&authority, number)).await, 204);
                let (took, answered_after) = (due.elapsed(), begun.elapsed());
                brought.push(Brought { number: number as i64, took, answered_after });
            }
            brought
        });
    }
    callers.join_all().await.into_iter().flatten().collect()
}

/// When each reply was first seen as an observation, since `begun`; looked for past the store.
async fn see_observations(scene: &Scene, begun: Instant) -> BTreeMap<i64, Duration> {
    // A reference is the gateway's name and its id: elks:s17.
    const NUMBERS: &str = "SELECT CAST(SUBSTR(reference, 7) AS BIGINT) FROM observation";
    let mut connection = scene.connection().await;
    let mut seen = BTreeMap::new();
    while seen.len() < REPLIES {
        assert!(begun.elapsed() < LONGEST_READING, "only {} replies became observations", seen.len());
        tokio::time::sleep(LOOK_EVERY).await;
        let there: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(NUMBERS)).fetch_all(&mut connection).await.unwrap();
        let after = begun.elapsed();
        for number in there {
            seen.entry(number).or_insert(after);
        }
    }
    seen
}

/// From the contact person of this number in the register (`scene::fill`).
fn reply(authority: &str, number: usize) -> String {
    let form = format!(
        "direction=incoming&id=s{number}&from=%2B4670174{}&to=%2B46766860000&message=Svar+{number}",
        1_000_000 + number
    );
    format!(
        "POST /hooks/sms/elks/0123456789abcdef0123456789abcdef/inbound HTTP/1.1\r\nHost: {authority}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
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
