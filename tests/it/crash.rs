//! kill -9 of the built binary at any moment of a dispatch, counted in the gateway's journal and never in our own database.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grannpost::actions::key;
use grannpost::ambient::Clock;
use grannpost::simulator::{GatewayOptions, SimulatedGateway};
use grannpost::{app, config};
use serde_json::{Value, json};

use crate::support::child::{self, ServeProcess};
use crate::support::register::load_sample;
use crate::support::{Api, Database, Kind, SECRET, on_both_databases, root, settings};

/// Kills in one dispatch.
const KILLS: usize = 3;
const RECIPIENTS: usize = 1030;

/// A configuration file, a filled register, a key and a gateway that outlives every daemon.
struct Scene {
    gateway: SimulatedGateway,
    config: PathBuf,
    key: String,
    _database: Database,
}

impl Scene {
    async fn set(kind: Kind, seed: u64, more: &str) -> Self {
        let wall = Arc::new(|| Clock::System.now());
        let options = GatewayOptions { seed, ..GatewayOptions::new(wall) };
        let gateway = SimulatedGateway::start("127.0.0.1:0".parse().unwrap(), options).await.unwrap();
        gateway.change(|gateway| gateway.latency_ms = 20);
        let database = Database::new(kind);
        let text = format!("{}{more}", settings(&database.url, &gateway.base_url(), "smtp://127.0.0.1:1"));
        let config = database.folder.path().join("grannpost.toml");
        std::fs::write(&config, &text).unwrap();
        let desk = app::open(Arc::new(config::from_toml(&[&text]).unwrap()), Clock::System, true).await.unwrap();
        load_sample(&desk).await;
        let mut session = desk.store.begin().await.unwrap();
        let key = key::add(&desk, &mut session, &root(), ("crash", "admin", "")).await.unwrap().secret;
        session.commit().await.unwrap();
        desk.store.close().await;
        Self { gateway, config, key, _database: database }
    }

    fn api(&self, daemon: &ServeProcess) -> Api {
        Api::new(daemon.base.clone(), self.key.clone())
    }
}

/// A small generator, so that a seed replays its run.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap()
}

fn seeds() -> u64 {
    std::env::var("GRANNPOST_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1)
}

async fn kill_at_random(kind: Kind, seed: u64, more: &str) {
    let scene = Scene::set(kind, seed, more).await;
    let mut draw = seed.wrapping_add(0x9e37_79b9);
    let mut daemon = ServeProcess::start(&scene.config);
    let wanted = json!({ "text": "Röd skåpbil söks", "areas": ["jamtland"], "decided_by": "Vakthavande befäl", "undo_seconds": 0 });
    let made = scene.api(&daemon).post("/alerts", wanted).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json["id"].as_str().unwrap().to_owned();
    let mut slowest = Duration::ZERO;
    for kill in 0..KILLS {
        let at = (RECIPIENTS * kill / KILLS + next(&mut draw) % (RECIPIENTS / KILLS)).max(1);
        scene.gateway.journal().wait_for(at).await;
        daemon.kill();
        let before = scene.gateway.journal().len();
        let started = Instant::now();
        daemon = ServeProcess::start(&scene.config);
        if before < RECIPIENTS - 50 {
            scene.gateway.journal().wait_for(before + 1).await;
            slowest = slowest.max(started.elapsed());
        }
    }
    let done = settled(&scene, &daemon, &id).await;
    let lost = RECIPIENTS as i64
        - done["counts"]["delivered"].as_i64().unwrap()
        - done["counts"]["in_doubt"].as_i64().unwrap();
    assert_eq!(lost, 0, "seed {seed}: {}", done["counts"]);
    assert_eq!(scene.gateway.journal().duplicates(), [], "seed {seed}");
    assert!(slowest < Duration::from_secs(5), "seed {seed}: resumed after {slowest:?}");
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    let verified = child::run(&scene.config, &["verify"]);
    assert!(verified.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&verified.stdout));
    eprintln!(
        "kill -9: seed {seed} {kind:?}: {KILLS} kills, 0 lost, 0 twice, resumed within {slowest:?}, {}",
        done["counts"]
    );
}

/// The alert, once nothing of it changes any more: all delivered, or in doubt with nothing left that could prove it.
async fn settled(scene: &Scene, daemon: &ServeProcess, id: &str) -> Value {
    let api = scene.api(daemon);
    let mut last = Value::Null;
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        last = api.get(&format!("/alerts/{id}")).await.json;
        if last["state"] == "done" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    last
}

/// Brings an SMS as a gateway does: again and again until it is taken.
async fn bring(base: &std::sync::Mutex<String>, client: &reqwest::Client, number: usize) {
    let form = format!(
        "direction=incoming&id=s{number:04}&from=%2B46701743{number:03}&to=%2B46766860000&message=R%C3%B6d+bil+{number}"
    );
    for _ in 0..600 {
        let at = format!("{}/hooks/sms/elks/{SECRET}/inbound", base.lock().unwrap().clone());
        let request = client.post(at).header("content-type", "application/x-www-form-urlencoded").body(form.clone());
        if request.send().await.is_ok_and(|answer| answer.status() == 204) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("SMS {number} was never taken");
}

/// Answers that come while the daemon is killed again and again: each is kept, made something of and answered once.
async fn answers_and_kills(kind: Kind) {
    const ANSWERS: usize = 300;
    let scene = Scene::set(kind, 7, "dispatch.lease_seconds = 1\ndispatch.in_doubt_grace_seconds = 1\n").await;
    let mut daemon = ServeProcess::start(&scene.config);
    let base = Arc::new(std::sync::Mutex::new(daemon.base.clone()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let bringing: Vec<_> = (0..ANSWERS)
        .map(|number| {
            let (base, client) = (Arc::clone(&base), client.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(10 * number as u64)).await;
                bring(&base, &client, number).await;
            })
        })
        .collect();
    for at in [20, 90, 180] {
        scene.gateway.journal().wait_for(at).await;
        daemon.kill();
        daemon = ServeProcess::start(&scene.config);
        base.lock().unwrap().clone_from(&daemon.base);
    }
    for one in bringing {
        one.await.unwrap();
    }
    let api = scene.api(&daemon);
    let mut texts = Vec::new();
    for _ in 0..240 {
        let page = api.get("/observations?limit=1000").await.json;
        let items = page["items"].as_array().unwrap();
        texts = items.iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let replies =
            items.iter().filter(|one| one["replies"].as_array().is_some_and(|replies| replies.len() == 1)).count();
        if texts.len() == ANSWERS && replies == ANSWERS && scene.gateway.journal().len() >= ANSWERS - 10 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    texts.sort();
    let mut wanted: Vec<String> = (0..ANSWERS).map(|number| format!("Röd bil {number}")).collect();
    wanted.sort();
    assert_eq!(texts, wanted, "each exactly once");
    assert_eq!(scene.gateway.journal().duplicates(), [], "nobody is answered twice");
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    let verified = child::run(&scene.config, &["verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

on_both_databases! {
    async fn answers_that_come_while_the_daemon_is_killed_are_kept_and_answered_once(kind: Kind) {
        answers_and_kills(kind).await;
    }

    async fn a_daemon_killed_in_mid_dispatch_loses_nobody_and_sends_to_nobody_twice(kind: Kind) {
        for seed in 0..seeds() {
            kill_at_random(kind, seed, "dispatch.lease_seconds = 1\ndispatch.in_doubt_grace_seconds = 1\n").await;
        }
    }

    async fn the_same_holds_with_the_default_lease_and_grace(kind: Kind) {
        for seed in 100..100 + seeds() {
            kill_at_random(kind, seed, "").await;
        }
    }
}
