//! Several daemons as processes on one database, a balancer before them that API and hooks go through, and one gateway.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grannpost::actions::key;
use grannpost::ambient::Clock;
use grannpost::simulator::{GatewayOptions, SimulatedGateway};
use grannpost::{app, config};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::child::{self, ServeProcess};
use super::proxy::{Proxy, Target};
use super::register::load_sample;
use super::{Api, root, settings};

/// SMS of an alert to the whole sample register.
pub const RECIPIENTS: usize = 1030;

/// The daemons that live, in the order they were started.
pub struct Fleet {
    pub gateway: SimulatedGateway,
    pub members: Vec<ServeProcess>,
    pub api: Api,
    balancer: Proxy,
    text: String,
    folder: TempDir,
    started: usize,
}

impl Fleet {
    /// Fills the database at `url`; starts no daemon yet. `rate` is the gateway's, hand-overs a second.
    pub async fn set(url: &str, rate: u32, more: &str) -> Self {
        let wall = Arc::new(|| Clock::System.now());
        let gateway = SimulatedGateway::start("127.0.0.1:0".parse().unwrap(), GatewayOptions::new(wall)).await.unwrap();
        gateway.change(|gateway| gateway.latency_ms = 20);
        let balancer = Proxy::start(Vec::new()).await;
        let base = format!("http://{}", balancer.address);
        let given = settings(url, &gateway.base_url(), "");
        let own = given.lines().filter(|line| !line.starts_with("server.") && !line.starts_with("mail.url"));
        let text = format!(
            "server.listen = \"127.0.0.1:0\"\nserver.public_url = \"{base}\"\n{}\ndatabase.max_connections = 4\n{more}\n",
            own.collect::<Vec<_>>().join("\n")
        )
        .replacen("rate_per_second = 2000", &format!("rate_per_second = {rate}"), 1);
        let desk = app::open(Arc::new(config::from_toml(&[&text]).unwrap()), Clock::System, true).await.unwrap();
        load_sample(&desk).await;
        let mut session = desk.store.begin().await.unwrap();
        let key = key::add(&desk, &mut session, &root(), ("fleet", "admin", "")).await.unwrap().secret;
        session.commit().await.unwrap();
        desk.store.close().await;
        let folder = TempDir::new().unwrap();
        Self { gateway, members: Vec::new(), api: Api::new(base, key), balancer, text, folder, started: 0 }
    }

    /// Starts a daemon with these roles; the balancer leads to it when it serves the API.
    pub fn start(&mut self, roles: &str) -> &ServeProcess {
        self.started += 1;
        let config = self.folder.path().join(format!("daemon-{}.toml", self.started));
        std::fs::write(&config, &self.text).unwrap();
        self.members.push(ServeProcess::start_with(&config, &["--roles", roles]));
        self.lead();
        self.members.last().unwrap()
    }

    /// A daemon with every role.
    pub fn start_whole(&mut self) {
        self.start("web,dispatch,inbound,upkeep");
    }

    /// kill -9 of one.
    pub fn kill(&mut self, at: usize) {
        let member = self.members.remove(at);
        self.lead();
        member.kill();
    }

    /// SIGTERM to one, which drains and ends well.
    pub fn terminate(&mut self, at: usize) {
        let member = self.members.remove(at);
        self.lead();
        assert_eq!(member.signal_and_wait("TERM"), Some(0));
    }

    /// An alert without undo window; its id.
    pub async fn alert(&self, areas: &[&str]) -> String {
        self.alert_saying("Röd skåpbil söks", areas).await
    }

    /// The same with a text of its own: the journal tells messages to one number apart by their text.
    pub async fn alert_saying(&self, text: &str, areas: &[&str]) -> String {
        let wanted = json!({ "text": text, "areas": areas, "decided_by": "Vakthavande befäl", "undo_seconds": 0 });
        let made = self.api.post("/alerts", wanted).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["id"].as_str().unwrap().to_owned()
    }

    /// The alert once `done` says so of it, whatever becomes of single calls; its last state when that takes too long.
    pub async fn alert_when(&self, id: &str, done: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(90);
        let mut last = Value::Null;
        while Instant::now() < deadline && !done(&last) {
            if let Some(answer) = self.api.try_get(&format!("/alerts/{id}")).await
                && answer.status == 200
            {
                last = answer.json;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        last
    }

    /// What `verify` finds broken, empty when all is well.
    pub fn verify(&self) -> String {
        let output = child::run(&self.config(), &["verify"]);
        if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stdout).into_owned() }
    }

    /// A configuration file of this fleet.
    pub fn config(&self) -> PathBuf {
        let config = self.folder.path().join("verb.toml");
        std::fs::write(&config, &self.text).unwrap();
        config
    }

    /// What the daemons have logged.
    pub fn logs(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
        let logs = files.filter(|file| file.extension().is_some_and(|extension| extension == "log"));
        logs.map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }

    fn lead(&self) {
        let address = |member: &ServeProcess| Target::Tcp(member.base.trim_start_matches("http://").to_owned());
        let serving = self.members.iter().filter(|member| member.roles.contains("web"));
        self.balancer.point_to(serving.map(address).collect());
    }
}

/// What has become of all: none lost, none twice; the figures of the alert otherwise.
pub fn assert_each_once(fleet: &Fleet, alert: &Value, recipients: usize, why: &str) {
    let count = |state: &str| alert["counts"][state].as_i64().unwrap_or(0);
    let known = count("delivered") + count("accepted") + count("in_doubt");
    assert_eq!(known, i64::try_from(recipients).unwrap(), "{why}: {}\n{}", alert["counts"], fleet.logs());
    assert_eq!(fleet.gateway.journal().duplicates(), [], "{why}");
    assert_eq!(fleet.verify(), "", "{why}");
}
