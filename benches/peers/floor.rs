//! What the parts can do with nothing of ours or of a peer's around them.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{AnyConnection, Connection as _};
use tokio::task::JoinSet;

use super::call_counter::CallCounter;
use super::database::{Database, Kind};
use super::scene::Gateway;
use super::wire::Caller;

/// SMS a second from 20 connections straight into the gateway, receipts coming back to something that only counts them.
pub async fn http(count: usize) -> f64 {
    const CONNECTIONS: usize = 20;
    let gateway = Gateway::start(&json!({ "receipts": { "delay_ms": 300 } }));
    let authority = gateway.base.strip_prefix("http://").unwrap().to_owned();
    let told = CallCounter::start().await;
    let mut callers = JoinSet::new();
    let begun = Instant::now();
    for first in 0..CONNECTIONS {
        let (authority, told) = (authority.clone(), told.authority.clone());
        callers.spawn(async move {
            let mut caller = Caller::connect(&authority).await;
            for number in (first..count).step_by(CONNECTIONS) {
                let form = format!(
                    "from=%2B46766860000&to=%2B4670174{}&message=Polisen+R%C3%B6d+sk%C3%A5pbil&whendelivered=http%3A%2F%2F{told}%2F",
                    1_000_000 + number
                );
                let request = format!(
                    "POST /a1/sms HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Basic c2ltdWxhdG9yOnNpbXVsYXRvcg==\r\n\
                     Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
                    form.len()
                );
                assert_eq!(caller.call(&request).await, 200);
            }
        });
    }
    callers.join_all().await;
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    assert!(told.wait_for(count).await, "every receipt came");
    rate
}

/// Rows of one column that a single connection commits in a second, one and a hundred at a time.
pub async fn commits(kind: Kind) -> String {
    const TIME: Duration = Duration::from_secs(2);
    let database = Database::new(kind);
    let url = match kind {
        Kind::Sqlite => format!("{}?mode=rwc", database.url),
        Kind::Postgres => database.url.clone(),
    };
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    if kind == Kind::Sqlite {
        sqlx::raw_sql("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").execute(&mut connection).await.unwrap();
    }
    sqlx::raw_sql("CREATE TABLE floor (state TEXT NOT NULL)").execute(&mut connection).await.unwrap();
    let mut rates = Vec::new();
    for (rows, statement) in [
        (1, "INSERT INTO floor (state) VALUES ('accepted')"),
        (
            100,
            "INSERT INTO floor (state) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
             SELECT 'accepted' FROM n",
        ),
    ] {
        let (begun, mut done) = (Instant::now(), 0);
        while begun.elapsed() < TIME {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
            done += rows;
        }
        rates.push(f64::from(done) / begun.elapsed().as_secs_f64());
    }
    connection.close().await.unwrap();
    format!("rows committed by 1: {:.0}/s, by 100: {:.0}/s", rates[0], rates[1])
}

/// Letters a second by Postfix's load generator over ten connections that are kept.
pub fn smtp_source(count: usize) -> f64 {
    let gateway = Gateway::start(&json!({}));
    let (begun, count_text) = (Instant::now(), count.to_string());
    let status = Command::new("/usr/sbin/smtp-source")
        .args(["-d", "-l", "8192", "-s", "10", "-m", &count_text, "-f", "a@example.org", "-t", "b@example.org"])
        .arg(gateway.mail.strip_prefix("smtp://").unwrap())
        .stdout(Stdio::null())
        .status()
        .expect("Postfix's tools are installed: make bench-peers installs them");
    assert!(status.success());
    count as f64 / begun.elapsed().as_secs_f64()
}
