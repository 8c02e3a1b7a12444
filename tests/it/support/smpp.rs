//! An SMPP server of the test's own: npm's `smpp` (`tests/smpp/server.js`) in a process by itself, which is told what to do wrong
//! and keeps a journal that outlives it.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A running SMPP server; ends when dropped.
#[derive(Debug)]
pub struct SmppServer {
    running: Mutex<Option<Running>>,
    folder: TempDir,
    port: u16,
}

#[derive(Debug)]
struct Running {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl SmppServer {
    /// Starts it and waits until it listens.
    pub fn start() -> Self {
        let folder = TempDir::with_prefix("grannpost-smpp-").unwrap();
        let server = Self { running: Mutex::new(None), folder, port: super::free_port() };
        server.start_again();
        server
    }

    /// Starts it on its port again, with the journal it has.
    pub fn start_again(&self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smpp/server.js");
        let mut child = Command::new("node")
            .arg(script)
            .arg(self.journal_file())
            .arg(self.port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is installed (make setup-test)");
        let orders = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("listening {}", self.port), "npm ci in tests/smpp (make setup-test)");
        *self.running.lock().unwrap() = Some(Running { child, orders, answers });
    }

    /// kill -9.
    pub fn kill(&self) {
        if let Some(mut running) = self.running.lock().unwrap().take() {
            running.child.kill().unwrap();
            running.child.wait().unwrap();
        }
    }

    /// Changes what it does; see `server.js`.
    pub fn behave(&self, behaviour: Value) {
        self.order(json!({ "behaviour": behaviour }));
    }

    /// Breaks every connection.
    pub fn cut(&self) {
        self.order(json!({ "cut": true }));
    }

    /// Brings incoming SMS: sender, esm_class, data_coding and octets.
    pub fn bring(&self, sms: &[(&str, u8, u8, &[u8])]) {
        let deliver: Vec<Value> = sms
            .iter()
            .map(|(from, class, coding, octets)| {
                json!({ "source_addr": from.trim_start_matches('+'), "destination_addr": "46766860000",
                    "esm_class": class, "data_coding": coding, "short_message": data_encoding::HEXLOWER.encode(octets) })
            })
            .collect();
        self.order(json!({ "deliver": deliver }));
    }

    fn order(&self, order: Value) {
        let mut running = self.running.lock().unwrap();
        let running = running.as_mut().expect("it runs");
        writeln!(running.orders, "{order}").unwrap();
        let mut line = String::new();
        running.answers.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ok");
    }

    /// Settings of a gateway of this name that speaks to it.
    pub fn settings(&self, name: &str) -> String {
        format!(
            "sms.gateways.{name}.kind = \"smpp\"
             sms.gateways.{name}.url = \"smpp://127.0.0.1:{}\"
             sms.gateways.{name}.system_id = \"grannpost\"
             sms.gateways.{name}.password = \"hemligt\"
             sms.gateways.{name}.sender = \"+46766860000\"
             sms.gateways.{name}.simulator = true
             sms.gateways.{name}.rate_per_second = 2000
             sms.gateways.{name}.timeout_seconds = 2
             sms.gateways.{name}.enquire_link_seconds = 1
             ",
            self.port
        )
    }

    /// What it has taken, part by part.
    pub fn journal(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["to"].is_string()).collect()
    }

    /// How often somebody tried to bind.
    pub fn binds(&self) -> usize {
        self.lines().iter().filter(|line| line["bind"].is_string()).count()
    }

    /// Numbers that have been handed the same part more than once.
    pub fn duplicates(&self) -> Vec<String> {
        let mut seen: HashMap<(String, i64), u32> = HashMap::new();
        for part in self.journal() {
            *seen.entry((part["to"].as_str().unwrap().to_owned(), part["part"].as_i64().unwrap())).or_default() += 1;
        }
        seen.into_iter().filter(|(_, times)| *times > 1).map(|((number, _), _)| number).collect()
    }

    /// Waits until it has taken so many parts.
    pub async fn wait_for(&self, parts: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.journal().len() < parts {
            assert!(Instant::now() < deadline, "{} of {parts} parts", self.journal().len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn lines(&self) -> Vec<Value> {
        let journal = std::fs::read_to_string(self.journal_file()).unwrap_or_default();
        // The last line may be half written.
        journal.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn journal_file(&self) -> PathBuf {
        self.folder.path().join("journal")
    }
}

impl Drop for SmppServer {
    fn drop(&mut self) {
        self.kill();
    }
}
