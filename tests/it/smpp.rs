//! SMS through an SMPP gateway, npm's `smpp`, alone and as the reserve of the first one: what goes out, what comes back, and what
//! happens when it refuses, throttles, breaks off or comes too early.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use grannpost::actions::pause;
use grannpost::ambient::Clock;
use grannpost::simulator::Answer;
use serde_json::{Value, json};

use crate::crash::{RECIPIENTS, Scene};
use crate::support::child::{self, ServeProcess};
use crate::support::faults::{Draw, seeds, tell};
use crate::support::smpp::SmppServer;
use crate::support::{Kind, TestApp, on_both_databases, root};

const TEXT: &str = "Röd skåpbil söks vid Åre, böter 500 €";
const LONG: &str = "Š i Ŋ: röd skåpbil söks vid Åre, kör mot Östersund och vidare. ";

/// An app in real time whose alerts go through an SMPP gateway alone.
async fn app(kind: Kind, server: &SmppServer, more: &str) -> TestApp {
    let more =
        format!("sms.route = [\"second\"]\ndispatch.in_doubt_grace_seconds = 1\n{}\n{more}", server.settings("second"));
    let app = TestApp::spawn_at(kind, &more, Clock::System).await;
    app.load_sample().await;
    app
}

async fn send(app: &TestApp, text: &str, areas: &[&str]) -> (String, i64) {
    let wanted = json!({ "text": text, "areas": areas, "decided_by": "Vakthavande befäl", "undo_seconds": 0 });
    let made = app.api.post("/alerts", wanted).await;
    assert_eq!(made.status, 201, "{}", made.text);
    (made.json["id"].as_str().unwrap().to_owned(), made.json["audience"]["by_sms"].as_i64().unwrap())
}

/// The alert once `done` says so of it.
async fn until(app: &TestApp, id: &str, done: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut last = Value::Null;
    while Instant::now() < deadline {
        last = app.api.get(&format!("/alerts/{id}")).await.json;
        if done(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the alert never came there: {}", last["counts"]);
}

async fn readiness(app: &TestApp) -> Value {
    app.api.page("/readyz").await.json["causes"]["gateways"].clone()
}

async fn ready_when(app: &TestApp, done: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done(&readiness(app).await) {
        assert!(Instant::now() < deadline, "{}", readiness(app).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn numbers(server: &SmppServer) -> HashSet<String> {
    server.journal().iter().map(|part| part["to"].as_str().unwrap().to_owned()).collect()
}

fn whole(counts: &Value, by_sms: i64) {
    assert_eq!(counts["delivered"], by_sms, "{counts}");
}

on_both_databases! {
    async fn an_alert_goes_in_the_default_alphabet_and_its_receipts_come_back(kind: Kind) {
        let server = SmppServer::start();
        let app = app(kind, &server, "").await;
        let (id, by_sms) = send(&app, TEXT, &["2326"]).await;
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        whole(&done["counts"], by_sms);
        let journal = server.journal();
        assert_eq!((journal.len() as i64, server.duplicates()), (by_sms, Vec::new()));
        for sms in &journal {
            assert_eq!(sms["text"], done["sms_text"], "every character as it was shown");
            assert_eq!((&sms["coding"], &sms["esm_class"], &sms["registered"]), (&json!(0), &json!(0), &json!(1)));
            assert_eq!((&sms["source"], &sms["destination"]), (&json!([1, 1]), &json!([1, 1])));
            assert_eq!((&sms["from"], sms["validity"].as_str().unwrap().len()), (&json!("46766860000"), 16));
            assert!(sms["validity"].as_str().unwrap() > "000000035900000R", "four hours, but for a moment: {sms}");
        }
        let deliveries = app.api.get(&format!("/alerts/{id}/deliveries")).await.json;
        let one = &deliveries["items"][0];
        assert_eq!((&one["gateway"], &one["parts"]), (&json!("second"), &json!(1)));
        assert!(journal.iter().any(|sms| one["gateway_ref"].as_str() == Some(sms["id"].to_string().as_str())), "{one}");
        let hook = format!("{}/hooks/sms/second//inbound", app.api.base());
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().post(hook).body("from=x").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404, "it calls nobody");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_long_text_goes_in_parts_and_has_arrived_when_all_of_them_have(kind: Kind) {
        let server = SmppServer::start();
        server.behave(json!({ "receipts": "parameters" }));
        let app = app(kind, &server, "").await;
        let (id, by_sms) = send(&app, &LONG.repeat(2), &["2326"]).await;
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        whole(&done["counts"], by_sms);
        let journal = server.journal();
        let parts = done["sms"]["parts"].as_u64().unwrap();
        assert!(parts >= 3 && done["sms"]["encoding"] == "UCS-2", "{}", done["sms"]);
        assert_eq!(journal.len() as u64, parts * by_sms as u64, "as many as were counted and priced");
        assert_eq!(server.duplicates(), Vec::<String>::new());
        for number in numbers(&server) {
            let mut own: Vec<&Value> = journal.iter().filter(|part| part["to"] == number).collect();
            own.sort_by_key(|part| part["part"].as_u64());
            let text: String = own.iter().map(|part| part["text"].as_str().unwrap()).collect();
            assert_eq!(text, done["sms_text"].as_str().unwrap());
            assert!(own.iter().all(|part| part["reference"] == own[0]["reference"] && part["coding"] == 8 && part["esm_class"] == 64));
        }
        server.behave(json!({ "fail_part": 2 }));
        let (id, by_sms) = send(&app, &LONG.repeat(2), &["2303"]).await;
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        assert_eq!(done["counts"]["undelivered"], by_sms, "a text with a hole has not arrived: {}", done["counts"]);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_gateway_that_is_too_busy_is_waited_for_and_nobody_is_given_up(kind: Kind) {
        for code in [0x58, 0x14] {
            let server = SmppServer::start();
            server.behave(json!({ "throttle_next": 5, "throttle_code": code }));
            let app = app(kind, &server, "").await;
            let (id, by_sms) = send(&app, TEXT, &["2326"]).await;
            let done = until(&app, &id, |alert| alert["state"] == "done").await;
            whole(&done["counts"], by_sms);
            assert_eq!(server.duplicates(), Vec::<String>::new());
        }
    }

    async fn one_number_that_is_refused_fails_alone_and_a_refused_sender_stops_everything(kind: Kind) {
        let server = SmppServer::start();
        let app = app(kind, &server, "").await;
        let people = app.api.get("/contact-persons?limit=1000").await.json;
        let mut people = people["items"].as_array().unwrap().iter();
        let number = people.find(|one| one["mobile"].is_string() && ["Berg", "2326"].contains(&one["municipality"].as_str().unwrap()));
        let number = number.unwrap()["mobile"].as_str().unwrap();
        server.behave(json!({ "refuse_numbers": { number: 0x0b } }));
        let (id, by_sms) = send(&app, TEXT, &["2326"]).await;
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        assert_eq!((&done["counts"]["failed"], &done["counts"]["delivered"]), (&json!(1), &json!(by_sms - 1)));
        server.behave(json!({ "refuse_code": 0x0a }));
        let (id, by_sms) = send(&app, TEXT, &["2303"]).await;
        ready_when(&app, |gateways| gateways["down"][0]["state"] == "stopped").await;
        let alert = until(&app, &id, |alert| alert["counts"]["sending"] == 0).await;
        assert_eq!(alert["counts"]["queued"], by_sms, "the queue is kept: {}", alert["counts"]);
        assert_eq!(readiness(&app).await["down"][0]["reason"], "gateway.sender_refused");
    }

    async fn a_bind_that_is_refused_stops_the_lane_and_a_new_one_opens_it(kind: Kind) {
        let server = SmppServer::start();
        server.behave(json!({ "bind_code": 0x0e }));
        let app = app(kind, &server, "").await;
        let (id, by_sms) = send(&app, TEXT, &["2326"]).await;
        ready_when(&app, |gateways| gateways["down"][0]["reason"] == "gateway.bind_refused").await;
        assert_eq!(app.api.get(&format!("/alerts/{id}")).await.json["counts"]["queued"], by_sms);
        let binds = server.binds();
        assert!(binds <= 3, "an account is not tried until it is locked: {binds}");
        server.behave(json!({ "bind_code": 0 }));
        let mut session = app.desk.store.begin().await.unwrap();
        pause::resume(&app.desk, &mut session, &root()).await.unwrap();
        session.commit().await.unwrap();
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        whole(&done["counts"], by_sms);
        assert_eq!(server.duplicates(), Vec::<String>::new());
    }

    async fn a_connection_that_breaks_in_mid_window_leaves_doubt_that_receipts_resolve_and_nobody_gets_it_twice(kind: Kind) {
        for receipts in ["text", "none"] {
            let server = SmppServer::start();
            server.behave(json!({ "drop_after": 20, "drop_window": 8, "receipts": receipts, "latency_ms": 20 }));
            let app = app(kind, &server, "").await;
            let (id, by_sms) = send(&app, TEXT, &["2321", "2309"]).await;
            let over = |counts: &Value| counts["queued"] == 0 && counts["sending"] == 0;
            if receipts == "none" {
                let alert = until(&app, &id, |alert| over(&alert["counts"]) && alert["counts"]["in_doubt"] != 0).await;
                let in_doubt = alert["counts"]["in_doubt"].as_i64().unwrap();
                assert!((8..=32).contains(&in_doubt), "{}", alert["counts"]);
                assert_eq!(alert["counts"]["accepted"].as_i64().unwrap() + in_doubt, by_sms, "{}", alert["counts"]);
                let taken = server.journal().len();
                // Longer than the grace: nothing proves them, and nothing sends them again.
                tokio::time::sleep(Duration::from_secs(3)).await;
                assert_eq!(server.journal().len(), taken);
            } else {
                let is_over = |alert: &Value| over(&alert["counts"]) && alert["counts"]["delivered"] == server.journal().len();
                let done = until(&app, &id, is_over).await;
                // What was written into the breaking connection and never arrived stays for a person.
                let in_doubt = done["counts"]["in_doubt"].as_i64().unwrap();
                assert!(in_doubt <= 8, "{}", done["counts"]);
                assert_eq!(done["counts"]["delivered"].as_i64().unwrap() + in_doubt, by_sms, "{}", done["counts"]);
                let proven = app.database.texts("SELECT reason FROM attempt WHERE reason = 'attempt.proven_by_receipt'").await;
                assert!(proven.len() >= 8, "{}", proven.len());
            }
            assert_eq!(server.duplicates(), Vec::<String>::new());
            assert_eq!(app.verify().await, Vec::<String>::new());
        }
        tell("B1", &format!("{kind:?}"), &(0..1), "SMPP broken off in mid window: 0 twice, receipts resolve the doubt");
    }

    async fn ids_in_hexadecimal_and_decimal_are_one_id_where_the_setting_says_so(kind: Kind) {
        for (answer, receipt, setting) in [("hex", "dec", "decimal"), ("dec", "hex", "hexadecimal"), ("hex", "dec", "as_given")] {
            let server = SmppServer::start();
            server.behave(json!({ "answer_ids": answer, "receipt_ids": receipt }));
            let app = app(kind, &server, &format!("sms.gateways.second.receipt_ids = \"{setting}\"")).await;
            let (id, by_sms) = send(&app, TEXT, &["2326"]).await;
            if setting == "as_given" {
                until(&app, &id, |alert| alert["counts"]["accepted"] == by_sms).await;
                let kept = "SELECT CAST(COUNT(*) AS TEXT) FROM part_receipt";
                for _ in 0..200 {
                    if app.database.texts(kept).await == [by_sms.to_string()] {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(25)).await;
                }
                assert_eq!(app.database.texts(kept).await, [by_sms.to_string()], "kept, and proof of nothing");
                assert_eq!(app.api.get(&format!("/alerts/{id}")).await.json["counts"]["accepted"], by_sms);
            } else {
                let done = until(&app, &id, |alert| alert["state"] == "done").await;
                whole(&done["counts"], by_sms);
            }
        }
    }

    async fn receipts_that_come_before_the_answer_wait_for_it(kind: Kind) {
        let server = SmppServer::start();
        server.behave(json!({ "receipt_first": true }));
        let app = app(kind, &server, "").await;
        let (id, by_sms) = send(&app, TEXT, &["2326", "2303"]).await;
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        whole(&done["counts"], by_sms);
        assert_eq!(app.database.texts("SELECT gateway_ref FROM part_receipt").await, Vec::<String>::new(), "none is left over");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_answer_that_comes_too_late_proves_the_hand_over_all_the_same(kind: Kind) {
        let server = SmppServer::start();
        server.behave(json!({ "receipts": "none" }));
        let app = app(kind, &server, "sms.gateways.second.concurrency = 64").await;
        let (id, before) = send(&app, TEXT, &["2303"]).await;
        until(&app, &id, |alert| alert["counts"]["accepted"] == before).await;
        server.behave(json!({ "late_ms": 2_500 }));
        let (id, by_sms) = send(&app, TEXT, &["2326"]).await;
        until(&app, &id, |alert| alert["counts"]["in_doubt"] != 0).await;
        let alert = until(&app, &id, |alert| alert["counts"]["accepted"] == by_sms).await;
        assert_eq!(alert["counts"]["in_doubt"], 0);
        assert_eq!((server.journal().len() as i64, server.duplicates()), (before + by_sms, Vec::new()));
    }

    async fn what_comes_in_over_the_session_is_taken_in_like_any_other_sms(kind: Kind) {
        let server = SmppServer::start();
        let app = TestApp::with_two_persons(kind, &server.settings("second")).await;
        let eva = "+46701740601";
        server.bring(&[(eva, 0, 0, b"STOP"), (eva, 0, 0, b"STOP")]);
        app.observations("&kind=command", 1).await;
        let opted_out = async || app.api.get("/contact-persons?q=Eva").await.json["items"][0]["opt_outs"].clone();
        assert_eq!(opted_out().await[0]["channel"], "sms");
        server.bring(&[(eva, 0, 0, b"START")]);
        app.observations("&kind=command", 2).await;
        assert_eq!(opted_out().await, json!([]));
        server.bring(&[(eva, 0, 0, b"STOP")]);
        app.observations("&kind=command", 3).await;
        assert_eq!(opted_out().await[0]["channel"], "sms", "said again after something else, it is no copy of the first");
        let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
        let part = |number: u8, text: &str| [[5, 0, 3, 77, 3, number].as_slice(), utf16(text).as_slice()].concat();
        let parts = [part(3, "Åre."), part(1, "Såg bilen Š"), part(2, " vid kyrkan i ")];
        let nils = "+46701740609";
        server.bring(&[(nils, 0x40, 8, &parts[0]), (nils, 0x40, 8, &parts[1]), (nils, 0x40, 8, &parts[2])]);
        let observations = app.observations("", 1).await;
        assert_eq!(observations[0]["text"], "Såg bilen Š vid kyrkan i Åre.");
        assert_eq!(observations[0]["channel"], "sms");
        server.bring(&[(nils, 0, 4, &[0, 1, 2]), (nils, 0, 0, &[0x0e, 0x7b, 0x1b, 0x65])]);
        let observations = app.observations("", 2).await;
        assert!(observations.iter().any(|one| one["text"] == "Åä€"), "{observations:?}");
        let left = app.database.texts("SELECT whole FROM inbound_sms_part").await;
        assert_eq!(left, Vec::<String>::new());
    }

    async fn the_reserve_carries_while_the_first_is_away_and_gives_it_back(kind: Kind) {
        let server = SmppServer::start();
        server.behave(json!({ "latency_ms": 10 }));
        let more = format!(
            "sms.route = [\"elks\", \"second\"]\nsms.gateways.elks.rate_per_second = 200\n{}",
            server.settings("second").replace("rate_per_second = 2000", "rate_per_second = 60")
        );
        let app = TestApp::spawn_at(kind, &more, Clock::System).await;
        app.load_sample().await;
        let (id, by_sms) = send(&app, TEXT, &["jamtland"]).await;
        app.gateway.journal().wait_for(150).await;
        app.gateway.change(|gateway| gateway.answer = Answer::refuse(421, "try later"));
        server.wait_for(40).await;
        ready_when(&app, |gateways| gateways["ok"] == true && gateways["carrying"] == "second").await;
        server.cut();
        server.wait_for(100).await;
        app.gateway.change(|gateway| gateway.answer = Answer::default());
        let before = app.gateway.journal().len();
        app.gateway.journal().wait_for(before + 50).await;
        ready_when(&app, |gateways| gateways["carrying"] == "elks").await;
        let taken = || app.gateway.journal().len() + server.journal().len();
        let is_over = |alert: &Value| {
            let waits = ["queued", "sending", "accepted"].iter().any(|state| alert["counts"][*state] != 0);
            !waits && alert["counts"]["delivered"] == taken()
        };
        let done = until(&app, &id, is_over).await;
        // What was written into the connection that was cut and never arrived goes through neither: a person decides.
        let in_doubt = done["counts"]["in_doubt"].as_i64().unwrap();
        assert!(in_doubt <= 16, "{}", done["counts"]);
        let by_first: HashSet<String> = app.gateway.journal().messages().into_iter().map(|sms| sms.to).collect();
        let by_second = numbers(&server);
        assert_eq!(by_first.intersection(&by_second).count(), 0, "nobody through both");
        assert_eq!((by_first.len() + by_second.len()) as i64 + in_doubt, by_sms, "{}", done["counts"]);
        assert_eq!((app.gateway.journal().duplicates().len(), server.duplicates().len()), (0, 0));
        assert_eq!(app.verify().await, Vec::<String>::new());
        let (first, second) = (by_first.len(), by_second.len());
        tell("B9", &format!("{kind:?}"), &(0..1), &format!("46elks {first}, SMPP {second} with its session cut once, 0 twice"));
    }

    async fn a_daemon_killed_in_mid_dispatch_over_smpp_loses_nobody_and_sends_to_nobody_twice(kind: Kind) {
        let seeds = seeds(1, 4);
        for seed in seeds.clone() {
            let server = SmppServer::start();
            server.behave(json!({ "latency_ms": 40 }));
            let more = format!(
                "dispatch.lease_seconds = 1\ndispatch.in_doubt_grace_seconds = 1\n{}",
                server.settings("second")
            );
            let scene = Scene::set(kind, seed, &more).await;
            let written = std::fs::read_to_string(&scene.config).unwrap();
            std::fs::write(&scene.config, written.replace("sms.route = [\"elks\"]", "sms.route = [\"second\"]")).unwrap();
            let mut daemon = ServeProcess::start(&scene.config);
            let wanted = json!({ "text": TEXT, "areas": ["jamtland"], "decided_by": "Befäl", "undo_seconds": 0 });
            let made = scene.api(&daemon).post("/alerts", wanted).await;
            assert_eq!(made.status, 201, "{}", made.text);
            let id = made.json["id"].as_str().unwrap().to_owned();
            let mut draw = Draw::new(seed);
            for kill in 0..2 {
                server.wait_for(RECIPIENTS * kill / 2 + 20 + draw.below(RECIPIENTS / 3)).await;
                daemon.kill();
                daemon = ServeProcess::start(&scene.config);
            }
            let api = scene.api(&daemon);
            let deadline = Instant::now() + Duration::from_secs(60);
            let counts = loop {
                let counts = api.get(&format!("/alerts/{id}")).await.json["counts"].clone();
                let is_over = ["queued", "sending", "accepted"].iter().all(|state| counts[*state] == 0);
                // What the gateway took is proven by its receipts; what it never saw stays for a person.
                if is_over && counts["delivered"] == server.journal().len() {
                    break counts;
                }
                assert!(Instant::now() < deadline, "seed {seed}: {} taken, {counts}", server.journal().len());
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            assert_eq!(server.duplicates(), Vec::<String>::new(), "seed {seed}");
            let in_doubt = counts["in_doubt"].as_u64().unwrap();
            assert_eq!(counts["delivered"].as_u64().unwrap() + in_doubt, RECIPIENTS as u64, "seed {seed}: {counts}");
            assert!(in_doubt <= 2 * 2 * 16, "seed {seed}: {in_doubt} in doubt");
            assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
            let verified = child::run(&scene.config, &["verify"]);
            assert!(verified.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&verified.stdout));
        }
        tell("A2", &format!("{kind:?}"), &seeds, "SMPP: 2 kills each, 0 lost, 0 twice");
    }
}
