//! Ours and comparable programs in one table: each comparison in the same round, taking turns, three rounds, medians.
//!
//! It asserts nothing about time. `docs/performance.md` says how to read it and what is not the same work. `make
//! bench-peers` installs the peers; `cargo bench --profile dist --bench peers -- kannel` runs one comparison. `PEERS_SMS`,
//! `PEERS_LETTERS` and `PEERS_ROUNDS` make it smaller, to try it out.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot be made ends loudly")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "../../tests/it/support/api.rs"]
#[expect(dead_code, reason = "the stories call more of it")]
mod api;
#[path = "../../tests/it/support/child.rs"]
#[expect(dead_code, reason = "the stories call more of it")]
mod child;
#[path = "../../tests/it/support/database.rs"]
mod database;
#[path = "../dispatch/scene.rs"]
#[expect(dead_code, reason = "the rounds of ours alone call more of it")]
mod scene;
#[path = "../dispatch/wire.rs"]
mod wire;

mod call_counter;
mod floor;
mod kannel;
mod node;
mod ours;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;

use database::Kind;

/// One comparison: rates a second, one for each round.
struct Row {
    work: &'static str,
    ours: Vec<f64>,
    peer: (&'static str, Vec<f64>),
    floor: String,
    bar: &'static str,
}

type Comparison = fn() -> Pin<Box<dyn Future<Output = Vec<Row>>>>;

/// Every comparison by its name.
const COMPARISONS: &[(&str, Comparison)] = &[
    ("kannel", || Box::pin(with_kannel())),
    ("graphile-worker", || Box::pin(with_graphile_worker())),
    ("nodemailer", || Box::pin(with_nodemailer())),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.starts_with(wanted.as_str()));
    rustls::crypto::ring::default_provider().install_default().expect("nobody was here before");
    sqlx::any::install_default_drivers();
    database::MEASURES.store(true, Ordering::Relaxed);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    println!("| work | ours | peer | ratio | floor | bar |\n|---|---|---|---|---|---|");
    for (_, comparison) in COMPARISONS.iter().filter(|(name, _)| is_wanted(name)) {
        for Row { work, ours, peer: (peer, rates), floor, bar } in runtime.block_on(comparison()) {
            let (our_rate, rate) = (median(ours), median(rates));
            println!("| {work} | {our_rate:.0}/s | {peer} {rate:.0}/s | {:.2} | {floor} | {bar} |", our_rate / rate);
        }
    }
}

/// SMS into an instant gateway, receipts for all coming back meanwhile; SQLite waits for the disk at every commit.
async fn with_kannel() -> Vec<Row> {
    let count = size("PEERS_SMS", 50_000);
    let (mut ours, mut peers, mut http) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds() {
        http.push(floor::http(count).await);
        let peer = kannel::round(count).await;
        eprintln!("kannel {round}: {peer:?}; HTTP alone {:.0}/s", http[round]);
        peers.push(peer);
        ours.push(ours::sms(Kind::Sqlite, count).await);
        eprintln!("ours {round}: {:?}", ours[round]);
    }
    let commits = floor::commits(Kind::Sqlite).await;
    let rate = |seconds: fn(&ours::Sms) -> f64| ours.iter().map(|sms| count as f64 / seconds(sms)).collect();
    let peer = |seconds: fn(&kannel::Sms) -> f64| peers.iter().map(|sms| count as f64 / seconds(sms)).collect();
    let http = format!("HTTP alone {:.0}/s", median(http));
    vec![
        Row {
            work: "SMS to an instant gateway, receipts meanwhile, SQLite: until the last is handed over",
            ours: rate(|sms| sms.handed_over),
            peer: ("Kannel", peer(|sms| sms.at_gateway)),
            floor: http.clone(),
            bar: "≥ 2",
        },
        Row {
            work: "the same, until the last receipt is recorded",
            ours: rate(|sms| sms.reported),
            peer: ("Kannel", peer(|sms| sms.reported)),
            floor: commits,
            bar: "≥ 2",
        },
        Row {
            work: "the same as the first, with the time that freezing takes",
            ours: rate(|sms| sms.frozen + sms.handed_over),
            peer: ("Kannel", peer(|sms| sms.at_gateway)),
            floor: http,
            bar: "–",
        },
    ]
}

/// The same on PostgreSQL, against a durable queue with a handler of a few lines.
async fn with_graphile_worker() -> Vec<Row> {
    let count = size("PEERS_SMS", 50_000);
    let (mut ours, mut inserts, mut posts, mut receipts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds() {
        for (mode, rates) in [("insert", &mut inserts), ("post", &mut posts), ("receipts", &mut receipts)] {
            let jobs = node::graphile_worker(count, mode).await;
            eprintln!("graphile-worker {mode} {round}: {jobs:?}");
            rates.push(count as f64 / jobs.receipts_ms.unwrap_or(jobs.drained_ms) * 1e3);
        }
        ours.push(ours::sms(Kind::Postgres, count).await);
        eprintln!("ours {round}: {:?}", ours[round]);
    }
    let commits = floor::commits(Kind::Postgres).await;
    let rate =
        |seconds: fn(&ours::Sms) -> f64| -> Vec<f64> { ours.iter().map(|sms| count as f64 / seconds(sms)).collect() };
    let row =
        |work, ours, rates, bar| Row { work, ours, peer: ("graphile-worker", rates), floor: commits.clone(), bar };
    vec![
        row(
            "SMS to an instant gateway, receipts meanwhile, PostgreSQL; the peer's handler sends, no receipts",
            rate(|sms| sms.handed_over),
            posts,
            "≥ 1",
        ),
        row("the same; the peer's handler sends nothing and writes a row", rate(|sms| sms.handed_over), inserts, "–"),
        row("the same, until the last receipt is recorded; the peer's too", rate(|sms| sms.reported), receipts, "≥ 1"),
    ]
}

/// Letters into a sink that takes them at once.
async fn with_nodemailer() -> Vec<Row> {
    let count = size("PEERS_LETTERS", 20_000);
    let (mut ours, mut peers, mut source) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds() {
        source.push(floor::smtp_source(count));
        peers.push(count as f64 / node::nodemailer(count).await * 1e3);
        ours.push(count as f64 / ours::letters(count).await);
        eprintln!(
            "round {round}: smtp-source {:.0}/s, nodemailer {:.0}/s, ours {:.0}/s",
            source[round], peers[round], ours[round]
        );
    }
    vec![Row {
        work: "letters of 8 KB, 10 connections, states on disk (SQLite)",
        ours,
        peer: ("nodemailer", peers),
        floor: format!("smtp-source -d {:.0}/s", median(source)),
        bar: "≥ 3",
    }]
}

fn size(name: &str, whole: usize) -> usize {
    std::env::var(name).ok().and_then(|size| size.parse().ok()).unwrap_or(whole)
}

fn rounds() -> usize {
    size("PEERS_ROUNDS", 3)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
