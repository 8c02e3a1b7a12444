//! kill -9 of the built binary at any moment of a dispatch, counted in the gateway's journal and never in our own database.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grannpost::actions::key;
use grannpost::ambient::Clock;
use grannpost::simulator::{GatewayOptions, HistoryMode, SimulatedGateway};
use grannpost::{app, config};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::child::{self, ServeProcess};
use crate::support::faults::{Draw, seeds, tell};
use crate::support::register::load_sample;
use crate::support::{Api, Database, Kind, SECRET, on_both_databases, root, settings};

/// Kills in one dispatch.
const KILLS: usize = 3;
/// What killed daemons had stamped and not handed over: twice the calls at once, for each kill.
const MOST_IN_DOUBT: usize = 2 * 16 * KILLS;
const SHORT: &str = "dispatch.lease_seconds = 1\ndispatch.in_doubt_grace_seconds = 1\n";
pub(crate) const RECIPIENTS: usize = 1030;

/// A configuration file, a filled register, a key and a gateway that outlives every daemon.
pub(crate) struct Scene {
    pub(crate) gateway: SimulatedGateway,
    pub(crate) config: PathBuf,
    key: String,
    pub(crate) database: Database,
}

impl Scene {
    pub(crate) async fn set(kind: Kind, seed: u64, more: &str) -> Self {
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
        Self { gateway, config, key, database }
    }

    pub(crate) fn api(&self, daemon: &ServeProcess) -> Api {
        Api::new(daemon.base.clone(), self.key.clone())
    }
}

/// Kills a daemon in mid-dispatch again and again; gives how long the slowest took to go on, and how many ended in doubt.
async fn kill_at_random(kind: Kind, seed: u64, more: &str, history: HistoryMode) -> (Duration, i64) {
    let scene = Scene::set(kind, seed, more).await;
    scene.gateway.change(|gateway| gateway.history = history.clone());
    let mut draw = Draw::new(seed);
    let mut daemon = ServeProcess::start(&scene.config);
    let wanted = json!({ "text": "Röd skåpbil söks", "areas": ["jamtland"], "decided_by": "Vakthavande befäl", "undo_seconds": 0 });
    let made = scene.api(&daemon).post("/alerts", wanted).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json["id"].as_str().unwrap().to_owned();
    let mut slowest = Duration::ZERO;
    for kill in 0..KILLS {
        let at = (RECIPIENTS * kill / KILLS + draw.below(RECIPIENTS / KILLS)).clamp(1, RECIPIENTS - MOST_IN_DOUBT);
        scene.gateway.journal().wait_for(at).await;
        daemon.kill();
        let before = scene.gateway.journal().len();
        let started = Instant::now();
        daemon = ServeProcess::start(&scene.config);
        // What the killed ones leave in doubt never comes.
        if before < RECIPIENTS - MOST_IN_DOUBT {
            scene.gateway.journal().wait_for(before + 1).await;
            slowest = slowest.max(started.elapsed());
        }
    }
    let has_proof = history == HistoryMode::On;
    let done = settled_when(&scene, &daemon, &id, |alert| {
        let open = if has_proof { "in_doubt" } else { "queued" };
        ["queued", "sending", "accepted", open].iter().all(|state| alert["counts"][*state] == 0)
    })
    .await;
    let lost = RECIPIENTS as i64
        - done["counts"]["delivered"].as_i64().unwrap()
        - done["counts"]["in_doubt"].as_i64().unwrap();
    assert_eq!(lost, 0, "seed {seed}: {}", done["counts"]);
    assert_eq!(scene.gateway.journal().duplicates(), [], "seed {seed}");
    assert!(slowest < Duration::from_secs(5), "seed {seed}: resumed after {slowest:?}");
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    let verified = child::run(&scene.config, &["verify"]);
    assert!(verified.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&verified.stdout));
    let in_doubt = done["counts"]["in_doubt"].as_i64().unwrap();
    assert!(in_doubt <= MOST_IN_DOUBT as i64, "seed {seed}: {in_doubt} in doubt");
    (slowest, in_doubt)
}

async fn kill_with_seeds(row: &str, kind: Kind, more: &str, history: HistoryMode) {
    let seeds = seeds(1, 6);
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    for seed in seeds.clone() {
        let (took, in_doubt) = kill_at_random(kind, seed, more, history.clone()).await;
        (slowest, most) = (slowest.max(took), most.max(in_doubt));
    }
    let figure = format!("{KILLS} kills each, 0 lost, 0 twice, goes on within {slowest:.1?}, at most {most} in doubt");
    tell(row, &format!("{kind:?}"), &seeds, &figure);
}

/// A request that makes an alert is cut off by kill -9 at some moment and made again with its key.
async fn kill_between_effect_and_answer(kind: Kind) {
    let seeds = seeds(3, 15);
    let scene = Scene::set(kind, 0, "").await;
    let at = Clock::System.now().checked_add(jiff::SignedDuration::from_hours(20)).unwrap().to_string();
    let wanted = json!({ "text": "Röd skåpbil söks", "areas": ["2326"], "decided_by": "Befäl", "send_at": at });
    for seed in seeds.clone() {
        let daemon = ServeProcess::start(&scene.config);
        let key = format!("key-{seed}");
        let call = |api: Api, wanted: Value, key: String| async move {
            api.try_call(Method::POST, "/alerts", Some(wanted), &[("idempotency-key", &key)]).await
        };
        let first = tokio::spawn(call(scene.api(&daemon), wanted.clone(), key.clone()));
        tokio::time::sleep(Duration::from_millis(Draw::new(seed).below(120) as u64)).await;
        daemon.kill();
        let first = first.await.unwrap();
        let daemon = ServeProcess::start(&scene.config);
        let again = call(scene.api(&daemon), wanted.clone(), key).await.expect("an answer");
        assert_eq!(again.status, 201, "seed {seed}: {}", again.text);
        if let Some(first) = first {
            assert_eq!(first.json["id"], again.json["id"], "seed {seed}");
        }
        let alerts = scene.api(&daemon).get("/alerts?limit=1000").await.json;
        let made = usize::try_from(seed - seeds.start).unwrap() + 1;
        assert_eq!(alerts["items"].as_array().unwrap().len(), made, "seed {seed}: one for each key");
        daemon.kill();
    }
    tell("G6", &format!("{kind:?}"), &seeds, "one effect for each key, the same answer");
}

/// SIGTERM at some part of a dispatch: what is under way is settled, nothing new is begun, and the next daemon goes on.
async fn terminate_at(kind: Kind, percent: usize) -> Duration {
    let scene = Scene::set(kind, 0, "dispatch.lease_seconds = 3\n").await;
    scene.gateway.change(|gateway| gateway.latency_ms = 100);
    let daemon = ServeProcess::start(&scene.config);
    let wanted = json!({ "text": "Röd skåpbil söks", "areas": ["jamtland"], "decided_by": "Befäl", "undo_seconds": 0 });
    let made = scene.api(&daemon).post("/alerts", wanted).await;
    let id = made.json["id"].as_str().unwrap().to_owned();
    scene.gateway.journal().wait_for(RECIPIENTS * percent / 100).await;
    let begun = Instant::now();
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0), "at {percent} per cent");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "at {percent} per cent: {took:?}");
    let left =
        scene.database.texts("SELECT CAST(COUNT(*) AS TEXT) FROM delivery WHERE state IN ('sending', 'in_doubt')");
    assert_eq!(left.await, ["0"], "at {percent} per cent: everything was settled or given back");
    let daemon = ServeProcess::start(&scene.config);
    let done = settled(&scene, &daemon, &id).await;
    assert_eq!(done["counts"]["delivered"], RECIPIENTS, "{}", done["counts"]);
    assert_eq!(scene.gateway.journal().duplicates(), []);
    took
}

/// A copy made in mid-dispatch, put in place elsewhere after the rest was sent: paused, and nothing goes twice.
async fn restore_in_mid_dispatch(kind: Kind) {
    let scene = Scene::set(kind, 0, "dispatch.lease_seconds = 1\ndispatch.in_doubt_grace_seconds = 1\n").await;
    let daemon = ServeProcess::start(&scene.config);
    let wanted = json!({ "text": "Röd skåpbil söks", "areas": ["jamtland"], "decided_by": "Befäl", "undo_seconds": 0 });
    let made = scene.api(&daemon).post("/alerts", wanted).await;
    let id = made.json["id"].as_str().unwrap().to_owned();
    scene.gateway.journal().wait_for(300).await;
    let copy = scene.database.folder.path().join("copy");
    let backed_up = child::run(&scene.config, &["backup", copy.to_str().unwrap()]);
    assert!(backed_up.status.success(), "{}", String::from_utf8_lossy(&backed_up.stderr));
    settled(&scene, &daemon, &id).await;
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    let restored = child::run(&scene.config, &["restore", copy.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let before = scene.gateway.journal().len();
    let daemon = ServeProcess::start(&scene.config);
    let alert = scene.api(&daemon).get(&format!("/alerts/{id}")).await.json;
    assert!(alert["counts"]["delivered"].as_i64().unwrap() < RECIPIENTS as i64, "it is the old state: {alert}");
    // Longer than a poll, a lease and the grace together: nothing goes while it is paused.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(scene.gateway.journal().len(), before, "restored is paused");
    assert_eq!(scene.gateway.journal().duplicates(), []);
    daemon.kill();
    tell("G9", &format!("{kind:?}"), &(0..1), "restored paused, nothing sent again");
}

/// The alert, once nothing of it changes any more: all delivered, or in doubt with nothing left that could prove it.
async fn settled(scene: &Scene, daemon: &ServeProcess, id: &str) -> Value {
    settled_when(scene, daemon, id, |alert| alert["state"] == "done").await
}

async fn settled_when(scene: &Scene, daemon: &ServeProcess, id: &str, done: impl Fn(&Value) -> bool) -> Value {
    let api = scene.api(daemon);
    let mut last = Value::Null;
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        last = api.get(&format!("/alerts/{id}")).await.json;
        if done(&last) {
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
        kill_with_seeds("A1", kind, SHORT, HistoryMode::On).await;
    }

    async fn the_same_holds_with_the_default_lease_and_grace(kind: Kind) {
        kill_with_seeds("A1 default lease", kind, "", HistoryMode::On).await;
    }

    async fn where_the_gateway_has_no_history_what_was_under_way_is_shown_in_doubt_and_nothing_goes_twice(kind: Kind) {
        kill_with_seeds("A2", kind, SHORT, HistoryMode::Code(404)).await;
    }

    async fn a_daemon_told_to_end_settles_what_is_under_way_and_the_next_goes_on(kind: Kind) {
        let mut slowest = Duration::ZERO;
        for percent in [10, 50, 90] {
            slowest = slowest.max(terminate_at(kind, percent).await);
        }
        tell("A4", &format!("{kind:?}"), &(0..3), &format!("0 lost, 0 twice, exit 0 within {slowest:.1?}"));
    }

    async fn a_request_cut_off_between_effect_and_answer_has_one_effect_when_it_comes_again(kind: Kind) {
        kill_between_effect_and_answer(kind).await;
    }

    async fn a_copy_made_in_mid_dispatch_is_restored_paused_and_sends_nothing_again(kind: Kind) {
        restore_in_mid_dispatch(kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_daemon_that_drains_at_once() {
    let scene = Scene::set(Kind::Sqlite, 0, "").await;
    // A call that lasts for longer than a daemon drains, however late this machine is with the rest.
    let text = std::fs::read_to_string(&scene.config).unwrap();
    std::fs::write(&scene.config, text.replace("timeout_seconds = 2", "timeout_seconds = 60")).unwrap();
    scene.gateway.change(|gateway| gateway.latency_ms = 50_000);
    let mut daemon = ServeProcess::start(&scene.config);
    let wanted = json!({ "text": "Röd skåpbil söks", "areas": ["2326"], "decided_by": "Befäl", "undo_seconds": 0 });
    assert_eq!(scene.api(&daemon).post("/alerts", wanted).await.status, 201);
    while scene.gateway.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    daemon.signal("TERM");
    let stopping = |answer: reqwest::Result<reqwest::Response>| answer.is_ok_and(|answer| answer.status() == 503);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    while !stopping(client.get(format!("{}/readyz", daemon.base)).send().await) {
        assert!(!daemon.has_ended(), "it ended by itself and never said that it was stopping");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let begun = Instant::now();
    assert_eq!(daemon.signal_and_wait("TERM"), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}
