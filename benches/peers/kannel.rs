//! Kannel, from Debian: bearerbox and smsbox with a configuration of their own, the simulated gateway as its only SMSC.
//!
//! Kannel hands over by `GET` to `/plain/sms` of the gateway, which reports to the address that Kannel gives it, as it does
//! to us. A report is recorded when Kannel has told the sender of the SMS of it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grannpost::ambient::Clock;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::call_counter::CallCounter;
use super::scene::Gateway;
use super::wire::Caller;

/// Connections over which SMS are handed in, one request for each.
const CONNECTIONS: usize = 20;

/// Seconds from the first request.
#[derive(Debug)]
pub struct Sms {
    /// Until the last was at the gateway.
    pub at_gateway: f64,
    /// Until the sender was told of the last report.
    pub reported: f64,
}

/// So many SMS.
pub async fn round(count: usize) -> Sms {
    let gateway = Gateway::start(&json!({ "receipts": { "delay_ms": 300 } }));
    let kannel = Kannel::start(&gateway).await;
    let told = CallCounter::start().await;
    // One before, so that everything is connected.
    hand_in(&kannel.submit, &told.authority, 0..1).await;
    assert!(told.wait_for(1).await, "Kannel works");
    let (begun, begun_at) = (Instant::now(), Clock::System.now());
    hand_in(&kannel.submit, &told.authority, 1..count + 1).await;
    eprintln!("Kannel has accepted all after {:?}", begun.elapsed());
    let all_told = told.wait_for(count + 1).await;
    let reported = begun.elapsed().as_secs_f64();
    assert!(all_told, "every report came");
    let journal = gateway.journal().await;
    assert_eq!((&journal["accepted"], &journal["duplicates"]), (&json!(count + 1), &json!(0)));
    let last_us = gateway.arrivals().await[count].1;
    Sms { at_gateway: (last_us - begun_at.as_microsecond()) as f64 / 1e6, reported }
}

async fn hand_in(submit: &str, told: &str, numbers: std::ops::Range<usize>) {
    let mut callers = JoinSet::new();
    for first in 0..CONNECTIONS.min(numbers.len()) {
        let (submit, told, numbers) = (submit.to_owned(), told.replace(':', "%3A"), numbers.clone());
        callers.spawn(async move {
            let mut caller = Caller::connect(&submit).await;
            for number in numbers.skip(first).step_by(CONNECTIONS) {
                let request = format!(
                    "GET /cgi-bin/sendsms?username=bench&password=bench&from=%2B46766860000&to=%2B4670174{}&charset=UTF-8\
                     &text=Polisen+20%2F11+kl.+02.31%3A+R%C3%B6d+sk%C3%A5pbil+s%C3%B6ks+G%C3%A4ller+till+kl.+06.31.\
                     &dlr-mask=1&dlr-url=http%3A%2F%2F{told}%2F{number} HTTP/1.1\r\nHost: {submit}\r\n\r\n",
                    1_000_000 + number
                );
                assert_eq!(caller.call(&request).await, 202);
            }
        });
    }
    callers.join_all().await;
}

struct Kannel {
    boxes: Vec<Child>,
    /// Where SMS are handed in.
    submit: String,
    _folder: TempDir,
}

impl Kannel {
    async fn start(gateway: &Gateway) -> Self {
        let folder = TempDir::new().unwrap();
        let [admin, inner, reports, submit] = [(); 4].map(|()| free_port());
        let settings = format!(
            r#"
group = core
admin-port = {admin}
admin-password = bench
smsbox-port = {inner}
box-allow-ip = 127.0.0.1
log-level = 4
store-type = file
store-location = "{folder}/store"
dlr-storage = internal

group = smsc
smsc = http
smsc-id = gateway
system-type = generic
port = {reports}
connect-allow-ip = 127.0.0.1
send-url = "{gateway}/plain/sms?username=simulator&password=simulator&from=%P&to=%p&message=%b&whendelivered=http%3A%2F%2F127.0.0.1%3A{reports}%2F%3Fdlr-mid%3D%I%26dlr-mask%3D1"
status-success-regex = "OK"
max-pending-submits = 64

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {submit}
log-level = 4

group = sendsms-user
username = bench
password = bench
max-messages = 1
"#,
            folder = folder.path().display(),
            gateway = gateway.base
        );
        let file = folder.path().join("kannel.conf");
        std::fs::write(&file, settings).unwrap();
        let mut boxes = Vec::new();
        for (program, port) in [("bearerbox", inner), ("smsbox", submit)] {
            let mut command = Command::new(format!("/usr/sbin/{program}"));
            command.args(["-v", "4"]).arg(&file).current_dir(folder.path());
            let started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            boxes.push(started.expect("Kannel is installed: make bench-peers installs it"));
            until_it_listens(port).await;
        }
        Self { boxes, submit: format!("127.0.0.1:{submit}"), _folder: folder }
    }
}

impl Drop for Kannel {
    fn drop(&mut self) {
        for program in &mut self.boxes {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

async fn until_it_listens(port: u16) {
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing listens on {port}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
