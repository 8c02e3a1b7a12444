//! The whole dispatch, measured from outside: the built daemon and a simulated gateway as processes of their own, spoken
//! to over HTTP, counted in the gateway's journal and in the states on disk.
//!
//! It asserts nothing about time: it prints one table, and `docs/performance.md` says how to read it. `cargo bench --profile
//! dist --bench dispatch -- pace first` runs the rows whose names begin so, with `sqlite` or `postgres` besides on that database only.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot be made ends loudly")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people"
)]

#[path = "../../tests/it/support/api.rs"]
#[expect(dead_code, reason = "the stories call more of it")]
mod api;
#[path = "../../tests/it/support/child.rs"]
#[expect(dead_code, reason = "the stories call more of it")]
mod child;
#[path = "../../tests/it/support/database.rs"]
mod database;

mod answers;
mod large;
mod pages;
mod rounds;
mod scene;
mod several;
mod wire;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;

use database::Kind;

/// One line of the table.
struct Line {
    work: String,
    database: &'static str,
    ours: String,
    floor: String,
    ratio: String,
    bar: &'static str,
}

type Round = fn(Kind) -> Pin<Box<dyn Future<Output = Vec<Line>>>>;

/// Every round by its name.
const ROUNDS: &[(&str, Round)] = &[
    ("first", |kind| Box::pin(rounds::first_sms(kind))),
    ("slow-gateway", |kind| Box::pin(rounds::slow_gateway(kind))),
    ("pace-10", |kind| Box::pin(rounds::pace(kind, 10))),
    ("pace-100", |kind| Box::pin(rounds::pace(kind, 100))),
    ("pace-1000", |kind| Box::pin(rounds::pace(kind, 1_000))),
    ("pace-5000", |kind| Box::pin(rounds::pace(kind, 5_000))),
    ("instant", |kind| Box::pin(rounds::instant_gateway(kind))),
    ("receipts", |kind| Box::pin(answers::receipts(kind, 64))),
    ("receipts-128", |kind| Box::pin(answers::receipts(kind, 128))),
    ("replies", |kind| Box::pin(answers::replies(kind))),
    ("letters", |kind| Box::pin(answers::letters(kind))),
    ("claim", |kind| Box::pin(rounds::claim(kind))),
    ("claim-old-snapshot", |kind| Box::pin(large::claim_under_an_old_snapshot(kind))),
    ("claim-10m", |kind| Box::pin(large::claim_of_ten_millions(kind))),
    ("freeze", |kind| Box::pin(rounds::freeze(kind))),
    ("counts", |kind| Box::pin(large::counts(kind))),
    ("memory", |kind| Box::pin(large::memory(kind))),
    ("alert-first", |kind| Box::pin(large::alert_first(kind))),
    ("sum", |kind| Box::pin(several::pace_in_sum(kind))),
    ("million", |kind| Box::pin(several::million(kind))),
    ("pages", |kind| Box::pin(pages::pages(kind))),
    ("search", |kind| Box::pin(pages::search(kind))),
];

/// A round's size: what it is in the table, or the share of it that `BENCH_SHARE` says, to try a round out.
fn scaled(whole: usize) -> usize {
    let share: f64 = std::env::var("BENCH_SHARE").ok().and_then(|share| share.parse().ok()).unwrap_or(1.0);
    (whole as f64 * share) as usize
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let (databases, wanted): (Vec<String>, Vec<String>) =
        wanted.into_iter().partition(|word| word == "sqlite" || word == "postgres");
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.starts_with(wanted.as_str()));
    let is_on = |kind: Kind| databases.is_empty() || databases.contains(&format!("{kind:?}").to_lowercase());
    rustls::crypto::ring::default_provider().install_default().expect("nobody was here before");
    database::MEASURES.store(true, Ordering::Relaxed);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    println!("| work | database | ours | floor | ratio | bar |\n|---|---|---|---|---|---|");
    for (name, round) in ROUNDS.iter().filter(|(name, _)| is_wanted(name)) {
        for kind in [Kind::Sqlite, Kind::Postgres].into_iter().filter(|kind| is_on(*kind)) {
            eprintln!("{name} on {kind:?} …");
            for line in runtime.block_on(round(kind)) {
                let Line { work, database, ours, floor, ratio, bar } = line;
                println!("| {work} | {database} | {ours} | {floor} | {ratio} | {bar} |");
            }
        }
    }
}
