//! Faults of a gateway met by the whole dispatch, and receipts that come in strange ways (`docs/faults.md`, B and C). What each
//! single answer means stands in `elks_gateway`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grannpost::actions::pause;
use grannpost::ambient::Clock;
use grannpost::simulator::{
    Answer, GatewayOptions, HistoryMode, RateLimit, ReceiptPlan, Reply, Rubbish, Share, SimulatedGateway,
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::faults::{seeds, sized, tell};
use crate::support::proxy::{Proxy, Target};
use crate::support::{Kind, SECRET, TestApp, on_both_databases, root};

const FORM: &str = "application/x-www-form-urlencoded";

/// An app in real time, since waits after failures are part of the story.
async fn app(kind: Kind, more: &str) -> TestApp {
    let more = format!("dispatch.in_doubt_grace_seconds = 1\n{more}");
    let app = TestApp::spawn_at(kind, &more, Clock::System).await;
    app.load_sample().await;
    app
}

fn body(areas: &[&str]) -> Value {
    json!({ "text": "Röd skåpbil söks", "areas": areas, "decided_by": "Vakthavande befäl", "undo_seconds": 0 })
}

/// Sends; gives the id and how many SMS it is.
async fn send(app: &TestApp, areas: &[&str]) -> (String, i64) {
    let made = app.api.post("/alerts", body(areas)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    (made.json["id"].as_str().unwrap().to_owned(), made.json["audience"]["by_sms"].as_i64().unwrap())
}

/// The alert once `done` says so of it, however long the waits after failures are.
async fn until(app: &TestApp, id: &str, done: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut last = Value::Null;
    while Instant::now() < deadline {
        last = app.api.get(&format!("/alerts/{id}")).await.json;
        if done(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the alert never came there: {last:#}");
}

async fn assert_whole(app: &TestApp, done: &Value, by_sms: i64) {
    assert_eq!(done["counts"]["delivered"], by_sms, "{}", done["counts"]);
    assert_eq!(app.gateway.journal().duplicates(), []);
    assert_eq!(app.verify().await, Vec::<String>::new());
}

/// Whether `/readyz` calls the gateway down or stopped, and why.
async fn state_of_gateway(app: &TestApp) -> Value {
    app.api.page("/readyz").await.json["causes"]["gateways"]["down"][0].clone()
}

/// One receipt, posted as the gateway does; the code and how long it took.
async fn report(client: &Client, url: &str, id: &str, state: &str) -> (u16, Duration) {
    let begun = Instant::now();
    let form = format!("id={id}&status={state}&delivered=2026-11-20T01%3A31%3A05");
    let answer = client.post(url).header("content-type", FORM).body(form).send().await.unwrap();
    (answer.status().as_u16(), begun.elapsed())
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

on_both_databases! {
    async fn answers_lost_in_every_way_end_known_and_nobody_gets_it_twice(kind: Kind) {
        let seeds = seeds(1, 3);
        let mut slowest = Duration::ZERO;
        for _ in seeds.clone() {
            let app = app(kind, "").await;
            let share = |answer: Answer| Share { share: 0.05, answer };
            app.gateway.change(|gateway| {
                gateway.shares = vec![
                    share(Answer::accept_then(Reply::Reset)),
                    share(Answer::accept_then(Reply::Close)),
                    share(Answer::accept_then(Reply::Silence)),
                    share(Answer::accept_then(Reply::TrickleBody(400))),
                    share(Answer::accept_then(Reply::Rubbish(Rubbish::Huge))),
                    share(Answer::drop_then(Reply::Rubbish(Rubbish::Html))),
                    share(Answer::drop_then(Reply::Reset)),
                ];
                gateway.receipts = ReceiptPlan { delivered: 0.5, ..gateway.receipts.clone() };
            });
            let begun = Instant::now();
            let (id, by_sms) = send(&app, &["2321", "2309"]).await;
            let known = |alert: &Value| ["queued", "sending", "in_doubt"].iter().all(|state| alert["counts"][*state] == 0);
            // What never reached the gateway is sent again once it is proven absent; that may be lost in turn.
            let at = until(&app, &id, |alert| known(alert) || begun.elapsed() > Duration::from_secs(25)).await;
            app.gateway.change(|gateway| gateway.shares.clear());
            let done = until(&app, &id, known).await;
            let open = at["counts"]["in_doubt"].clone();
            slowest = slowest.max(begun.elapsed());
            assert!(begun.elapsed() < Duration::from_secs(120), "{open} were in doubt: {done}");
            assert_eq!(app.gateway.journal().len(), usize::try_from(by_sms).unwrap());
            assert_eq!(app.gateway.journal().duplicates(), []);
            assert_eq!(app.verify().await, Vec::<String>::new());
        }
        tell("B1 B5 B6", &format!("{kind:?}"), &seeds, &format!("0 lost, 0 twice, all known after {slowest:.0?}"));
    }

    async fn a_gateway_that_asks_to_wait_is_waited_for(kind: Kind) {
        let app = app(kind, "sms.gateways.elks.concurrency = 1").await;
        let reply = Reply::PlainText { code: 429, text: "slower".into(), retry_after: Some("3".into()) };
        app.gateway.answer_next([Answer { accept: false, reply }]);
        let begun = Instant::now();
        let (id, by_sms) = send(&app, &["2326"]).await;
        app.gateway.journal().wait_for(1).await;
        let waited = begun.elapsed();
        assert!(waited > Duration::from_millis(2_700) && waited < Duration::from_millis(4_500), "{waited:?}");
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        assert_whole(&app, &done, by_sms).await;
        tell("B2", &format!("{kind:?}"), &(0..1), &format!("asked for 3 s, waited {waited:.1?}"));
    }

    async fn a_gateway_that_is_slower_than_we_were_told_gets_everything_once(kind: Kind) {
        for wish in [Some("1"), None, Some("in a while")] {
            let app = app(kind, "").await;
            let limit = RateLimit { per_second: 40, retry_after: wish.map(str::to_owned) };
            app.gateway.change(|gateway| gateway.rate_limit = Some(limit));
            let begun = Instant::now();
            let (id, by_sms) = send(&app, &["2326"]).await;
            let done = until(&app, &id, |alert| alert["state"] == "done").await;
            assert_whole(&app, &done, by_sms).await;
            let refused = app.gateway.calls() - u64::try_from(by_sms).unwrap();
            let seconds = begun.elapsed().as_secs_f64();
            // What was under way when it first said so, and about one try a second after that.
            assert!(refused as f64 <= 64.0 + 16.0 * seconds, "{wish:?}: {refused} refused within {seconds:.0} s");
            tell("B2", &format!("{kind:?}"), &(0..1), &format!("{wish:?}: {by_sms} SMS in {seconds:.1} s, {refused} refused"));
        }
    }

    async fn a_gateway_that_is_away_is_probed_and_everything_goes_when_it_is_back(kind: Kind) {
        let away = Duration::from_secs(sized(3, 60));
        let app = app(kind, "").await;
        let (id, by_sms) = send(&app, &["2321", "2309"]).await;
        app.gateway.journal().wait_for(50).await;
        app.gateway.change(|gateway| gateway.answer = Answer::refuse(421, "try later"));
        app.until("it is down", async || state_of_gateway(&app).await["state"] == "down").await;
        let (begun, calls) = (Instant::now(), app.gateway.calls());
        tokio::time::sleep(away).await;
        let tried = app.gateway.calls() - calls;
        let seen = state_of_gateway(&app).await;
        assert_eq!(seen["state"], "down", "{seen}");
        // Those under way, and a probe a second, the first of them at once.
        assert!(tried <= 16 + 1 + begun.elapsed().as_secs(), "{tried} calls while it was away");
        app.gateway.change(|gateway| gateway.answer = Answer::default());
        let back = Instant::now();
        let before = app.gateway.journal().len();
        app.gateway.journal().wait_for(before + 10).await;
        let recovered = back.elapsed();
        assert!(recovered < Duration::from_secs(60), "{recovered:?}");
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        assert_whole(&app, &done, by_sms).await;
        tell("B3", &format!("{kind:?}"), &(0..1), &format!("away {away:?}: {tried} calls meanwhile, back after {recovered:.1?}"));
    }

    async fn an_account_that_is_shut_stops_the_lane_after_three_calls_and_one_word_opens_it(kind: Kind) {
        for (code, text) in [(401, "unauthorized"), (403, "Not enough credits")] {
            let app = app(kind, "").await;
            app.gateway.change(|gateway| gateway.answer = Answer::refuse(code, text));
            let (id, by_sms) = send(&app, &["2326"]).await;
            until(&app, &id, |alert| alert["counts"]["queued"] == by_sms && alert["counts"]["sending"] == 0).await;
            let begun = Instant::now();
            while state_of_gateway(&app).await["state"] != "stopped" {
                assert!(begun.elapsed() < Duration::from_secs(10), "{}", state_of_gateway(&app).await);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(app.gateway.calls() <= 3, "{code}: {} calls", app.gateway.calls());
            app.gateway.change(|gateway| gateway.answer = Answer::default());
            let mut session = app.desk.store.begin().await.unwrap();
            pause::resume(&app.desk, &mut session, &root()).await.unwrap();
            session.commit().await.unwrap();
            let done = until(&app, &id, |alert| alert["state"] == "done").await;
            assert_whole(&app, &done, by_sms).await;
        }
        tell("B7", &format!("{kind:?}"), &(0..2), "stopped within 3 calls, queue kept, resumed by one action");
    }

    async fn one_number_that_is_refused_fails_alone(kind: Kind) {
        let app = app(kind, "").await;
        let first = app.api.get("/contact-persons?limit=1000").await;
        let items = first.json["items"].as_array().unwrap();
        let poison = items.iter().find(|person| ["Berg", "2326"].contains(&person["municipality"].as_str().unwrap()) && person["mobile"].is_string());
        let number = poison.map(|person| person["mobile"].as_str().unwrap().to_owned());
        let number = number.unwrap_or_else(|| panic!("somebody in 2326 has a mobile: {}", items[0]));
        app.gateway.change(|gateway| {
            gateway.answer_by_number.insert(number.clone(), Answer::refuse(400, "Invalid to number"));
        });
        let (id, by_sms) = send(&app, &["2326"]).await;
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        assert_eq!((&done["counts"]["failed"], &done["counts"]["delivered"]), (&json!(1), &json!(by_sms - 1)));
        assert_eq!(app.gateway.calls(), u64::try_from(by_sms).unwrap(), "each was tried once");
        tell("B8", &format!("{kind:?}"), &(0..1), "1 failed, the others on time");
    }

    async fn a_gateway_that_dies_in_mid_alert_is_followed_by_the_next_but_not_for_what_is_in_doubt(kind: Kind) {
        let seeds = seeds(1, 3);
        let mut slowest = Duration::ZERO;
        for seed in seeds.clone() {
            let wall = Arc::new(|| Clock::System.now());
            let first = SimulatedGateway::start("127.0.0.1:0".parse().unwrap(), GatewayOptions::new(wall)).await.unwrap();
            first.change(|gateway| {
                gateway.latency_ms = 200;
                gateway.receipts = ReceiptPlan::silent();
                gateway.history = HistoryMode::Silence;
            });
            let way = Proxy::start(vec![Target::Tcp(first.address().to_string())]).await;
            let more = format!(
                "sms.route = [\"first\", \"elks\"]
                 sms.gateways.first.kind = \"46elks\"
                 sms.gateways.first.base_url = \"{}\"
                 sms.gateways.first.username = \"simulator\"
                 sms.gateways.first.password = \"simulator\"
                 sms.gateways.first.sender = \"+46766860000\"
                 sms.gateways.first.callback_secret = \"{SECRET}\"
                 sms.gateways.first.simulator = true
                 sms.gateways.first.rate_per_second = 200
                 sms.gateways.first.timeout_seconds = 2",
                format_args!("http://{}", way.address)
            );
            let app = app(kind, &more).await;
            let (id, by_sms) = send(&app, &["jamtland"]).await;
            first.journal().wait_for(60 + usize::try_from(seed).unwrap() * 37).await;
            drop(way);
            let died = Instant::now();
            app.gateway.journal().wait_for(1).await;
            slowest = slowest.max(died.elapsed());
            let settled = |alert: &Value| {
                alert["counts"]["queued"] == 0 && alert["counts"]["sending"] == 0 && app.gateway.journal().len() > 500
            };
            let done = until(&app, &id, settled).await;
            let by_first: HashSet<String> = first.journal().messages().into_iter().map(|sms| sms.to).collect();
            let by_second: HashSet<String> = app.gateway.journal().messages().into_iter().map(|sms| sms.to).collect();
            let twice: Vec<_> = by_first.intersection(&by_second).collect();
            assert!(twice.is_empty(), "through both: {}", twice.len());
            let in_doubt = usize::try_from(done["counts"]["in_doubt"].as_i64().unwrap()).unwrap();
            let reached = by_first.union(&by_second).count();
            assert!(reached + in_doubt >= usize::try_from(by_sms).unwrap(), "{reached} and {in_doubt} in doubt: {done}");
            assert!(slowest < Duration::from_secs(60), "{slowest:?}");
            assert_eq!(app.verify().await, Vec::<String>::new());
        }
        tell("B9", &format!("{kind:?}"), &seeds, &format!("0 twice, the next one took over within {slowest:.1?}"));
    }

    async fn a_gateway_that_dies_and_comes_back_takes_the_alert_over_again_and_nobody_gets_it_twice(kind: Kind) {
        let wall = Arc::new(|| Clock::System.now());
        let first = SimulatedGateway::start("127.0.0.1:0".parse().unwrap(), GatewayOptions::new(wall)).await.unwrap();
        first.change(|gateway| gateway.latency_ms = 50);
        let to_first = || vec![Target::Tcp(first.address().to_string())];
        let way = Proxy::start(to_first()).await;
        // Programs in this process share their metrics, so the gateway has a name that no other story has.
        let name = format!("first_{kind:?}").to_lowercase();
        let more = format!(
            "sms.route = [\"{name}\", \"elks\"]
             sms.gateways.elks.rate_per_second = 60
             sms.gateways.{name}.kind = \"46elks\"
             sms.gateways.{name}.base_url = \"http://{}\"
             sms.gateways.{name}.username = \"simulator\"
             sms.gateways.{name}.password = \"simulator\"
             sms.gateways.{name}.sender = \"+46766860000\"
             sms.gateways.{name}.callback_secret = \"{SECRET}\"
             sms.gateways.{name}.simulator = true
             sms.gateways.{name}.rate_per_second = 100
             sms.gateways.{name}.timeout_seconds = 2",
            way.address
        );
        let app = app(kind, &more).await;
        let carrying = |answer: &crate::support::Answer| answer.json["causes"]["gateways"]["carrying"].clone();
        let (id, by_sms) = send(&app, &["jamtland"]).await;
        first.journal().wait_for(100).await;
        let carries = async |value: u8| {
            let metrics = app.api.page("/metrics").await.text;
            assert!(metrics.contains(&format!("grannpost_gateway_carries{{gateway=\"{name}\"}} {value}")), "{metrics}");
        };
        carries(1).await;
        let address = way.address;
        drop(way);
        let died = Instant::now();
        app.gateway.journal().wait_for(60).await;
        let over = died.elapsed();
        let ready = app.api.page("/readyz").await;
        assert_eq!((ready.status.as_u16(), carrying(&ready)), (200, json!("elks")), "alerts go: {}", ready.text);
        assert_eq!(ready.json["causes"]["gateways"]["down"][0]["gateway"], name.as_str(), "{}", ready.text);
        carries(0).await;
        let (before, doubted) = (first.journal().len(), app.api.get(&format!("/alerts/{id}")).await.json);
        let back = Proxy::start_at(address, to_first()).await;
        let returned = Instant::now();
        first.journal().wait_for(before + 50).await;
        let took_back = returned.elapsed();
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        assert_eq!(done["counts"]["delivered"], by_sms, "receipts of both are taken in: {}", done["counts"]);
        let mut numbers: Vec<String> = first.journal().messages().into_iter().map(|sms| sms.to).collect();
        numbers.extend(app.gateway.journal().messages().into_iter().map(|sms| sms.to));
        assert_eq!(numbers.len(), usize::try_from(by_sms).unwrap(), "both together: everybody once");
        assert_eq!(numbers.into_iter().collect::<HashSet<_>>().len(), usize::try_from(by_sms).unwrap());
        assert_eq!(app.verify().await, Vec::<String>::new());
        drop(back);
        let doubt = &doubted["counts"]["in_doubt"];
        tell("B9", &format!("{kind:?}"), &(0..1), &format!("over after {over:.1?}, {doubt} in doubt and proven, back after {took_back:.1?}"));
    }

    async fn receipts_three_times_over_all_at_once_are_taken_quickly_and_count_once(kind: Kind) {
        let app = app(kind, "").await;
        app.gateway.change(|gateway| gateway.receipts = ReceiptPlan::silent());
        let (id, by_sms) = send(&app, &["jamtland"]).await;
        until(&app, &id, |alert| alert["counts"]["accepted"] == by_sms).await;
        let sent = Arc::new(app.gateway.journal().messages());
        let begun = Instant::now();
        let workers: Vec<_> = (0..24)
            .map(|worker| {
                let (sent, client) = (Arc::clone(&sent), client());
                tokio::spawn(async move {
                    let mut took = Vec::new();
                    for at in (worker..3 * sent.len()).step_by(24) {
                        let sms = &sent[at % sent.len()];
                        let (code, time) = report(&client, sms.receipt_url.as_ref().unwrap(), &sms.id, "delivered").await;
                        assert_eq!(code, 204);
                        took.push(time);
                    }
                    took
                })
            })
            .collect();
        let mut took = Vec::new();
        for worker in workers {
            took.extend(worker.await.unwrap());
        }
        took.sort_unstable();
        let (p99, all) = (took[took.len() * 99 / 100], begun.elapsed());
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        assert_whole(&app, &done, by_sms).await;
        let rows = app.database.texts("SELECT CAST(COUNT(*) AS TEXT) FROM receipt").await.remove(0);
        assert_eq!(rows, by_sms.to_string(), "one row for each, however often it was told");
        tell("C1", &format!("{kind:?}"), &(0..1), &format!("{} receipts in {all:.1?}, p99 {p99:.0?}", took.len()));
    }

    async fn tokens_nobody_has_made_change_nothing_and_leave_nothing_behind(kind: Kind) {
        let app = app(kind, "").await;
        let tries = usize::try_from(sized(2_000, 20_000)).unwrap();
        let base = format!("{}/hooks/sms/elks/{SECRET}/receipt", app.api.base());
        let begun = Instant::now();
        let workers: Vec<_> = (0..16)
            .map(|worker| {
                let (base, client) = (base.clone(), client());
                tokio::spawn(async move {
                    for at in (worker..tries).step_by(16) {
                        let token = data_encoding::BASE64URL_NOPAD.encode(&u64::try_from(at).unwrap().to_be_bytes());
                        assert_eq!(report(&client, &format!("{base}/{token}"), "s1", "delivered").await.0, 204);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        let rows = app.database.texts("SELECT CAST(COUNT(*) AS TEXT) FROM receipt").await;
        assert_eq!(rows, ["0"], "nothing is kept of them");
        let took = begun.elapsed();
        tell("C3", &format!("{kind:?}"), &(0..1), &format!("{tries} wrong tokens in {took:.1?}, no row, 204 each"));
    }

    async fn what_is_reported_after_the_end_is_kept_and_moves_nothing(kind: Kind) {
        let app = app(kind, "").await;
        app.gateway.change(|gateway| gateway.receipts = ReceiptPlan::silent());
        let (id, by_sms) = send(&app, &["2326"]).await;
        until(&app, &id, |alert| alert["counts"]["accepted"] == by_sms).await;
        let client = client();
        let sms = app.gateway.journal().messages().remove(0);
        let url = sms.receipt_url.unwrap();
        for state in ["delivered", "failed", "sent", "rejected", "created"] {
            assert_eq!(report(&client, &url, &sms.id, state).await.0, 204, "{state}");
        }
        let alert = app.api.get(&format!("/alerts/{id}")).await.json;
        assert_eq!((&alert["counts"]["delivered"], &alert["counts"]["undelivered"]), (&json!(1), &json!(0)), "{alert}");
        let words = app.database.texts("SELECT word FROM receipt ORDER BY word").await;
        assert_eq!(words, ["created", "delivered", "failed", "rejected", "sent"], "each word is kept as it came");
        assert_eq!(app.verify().await, Vec::<String>::new());
        tell("C5", &format!("{kind:?}"), &(0..1), "never goes back, every word kept");
    }

    async fn a_receipt_that_comes_days_late_or_for_somebody_erased_changes_no_state_and_brings_nobody_back(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|gateway| gateway.receipts = ReceiptPlan::silent());
        let (id, by_sms) = send(&app, &["2326"]).await;
        app.alert_when(&id, |alert| alert["counts"]["accepted"] == by_sms).await;
        let rows = app.api.get(&format!("/alerts/{id}/deliveries?limit=1000")).await.json;
        let of = |number: &str| {
            let mut rows = rows["items"].as_array().unwrap().iter();
            rows.find(|row| row["address"] == number).unwrap()["contact_person_id"].as_str().unwrap().to_owned()
        };
        let sent = app.gateway.journal().messages();
        let erased = of(&sent[0].to);
        assert_eq!(app.api.delete(&format!("/contact-persons/{erased}")).await.status, 204);
        let client = client();
        assert_eq!(report(&client, sent[0].receipt_url.as_ref().unwrap(), &sent[0].id, "delivered").await.0, 204);
        assert_eq!(app.api.get(&format!("/contact-persons?q={}", sent[0].to.replace('+', "%2B"))).await.json["items"], json!([]));
        app.advance(Duration::from_secs(8 * 86_400));
        app.alert_when(&id, |alert| alert["state"] == "done").await;
        assert_eq!(report(&client, sent[1].receipt_url.as_ref().unwrap(), &sent[1].id, "delivered").await.0, 204);
        let done = app.api.get(&format!("/alerts/{id}")).await.json;
        assert_eq!(done["counts"]["unconfirmed"], by_sms - 1, "final is final: {done}");
        assert_eq!(app.verify().await, Vec::<String>::new());
        tell("C4", &format!("{kind:?}"), &(0..1), "recorded, no state moved, nobody came back");
    }

    async fn what_expired_while_the_gateway_was_away_is_never_sent(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|gateway| gateway.answer = Answer::refuse(421, "try later"));
        let mut wanted = body(&["2326"]);
        wanted["expires_in_minutes"] = json!(15);
        let made = app.api.post("/alerts", wanted).await;
        let (id, by_sms) = (made.json["id"].as_str().unwrap().to_owned(), made.json["audience"]["by_sms"].as_i64().unwrap());
        app.until("a call", async || app.gateway.calls() > 0).await;
        app.advance(Duration::from_secs(16 * 60));
        let done = app.alert_when(&id, |alert| alert["state"] == "done").await;
        assert_eq!(done["counts"]["expired"], by_sms, "{done}");
        app.gateway.change(|gateway| gateway.answer = Answer::default());
        app.advance(Duration::from_secs(60));
        assert_eq!(app.gateway.journal().len(), 0);
        assert_eq!(app.verify().await, Vec::<String>::new());
        tell("E2", &format!("{kind:?}"), &(0..1), &format!("{by_sms} expired, 0 sent"));
    }

    async fn a_report_that_is_played_again_by_somebody_else_has_no_more_effect(kind: Kind) {
        let app = app(kind, "").await;
        let (id, by_sms) = send(&app, &["2326"]).await;
        let done = until(&app, &id, |alert| alert["state"] == "done").await;
        assert_whole(&app, &done, by_sms).await;
        let (client, sms) = (client(), app.gateway.journal().messages().remove(0));
        for method in [Method::POST, Method::POST, Method::GET] {
            let request = client.request(method, sms.receipt_url.as_ref().unwrap()).header("content-type", FORM);
            let answer = request.body(format!("id={}&status=failed", sms.id)).send().await.unwrap();
            assert_eq!(answer.bytes().await.unwrap().len(), 0);
        }
        let after = app.api.get(&format!("/alerts/{id}")).await.json;
        assert_eq!(after["counts"], done["counts"]);
        assert_eq!(app.verify().await, Vec::<String>::new());
        tell("C6", &format!("{kind:?}"), &(0..1), "no effect");
    }
}
