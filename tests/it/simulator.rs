//! The simulated gateway as others see it: callbacks over real HTTP, the control API, the journal on disk.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use grannpost::provider::{ReceiptState, SmsGateway};
use grannpost::simulator::{AcceptedSms, Fate, GatewayOptions, InboundMessage, ReceiptPlan, SimulatedGateway};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::elks_gateway::{simulated, wall_clock};

/// Somebody who takes callbacks, with the statuses it answers next (204 after that).
#[derive(Debug, Clone, Default)]
struct Receiver {
    bodies: Arc<Mutex<Vec<String>>>,
    next: Arc<Mutex<Vec<StatusCode>>>,
    changed: Arc<Notify>,
}

impl Receiver {
    async fn start(&self) -> String {
        async fn take(State(receiver): State<Receiver>, body: String) -> (StatusCode, &'static str) {
            receiver.bodies.lock().unwrap().push(body);
            receiver.changed.notify_waiters();
            let code = receiver.next.lock().unwrap().pop().unwrap_or(StatusCode::NO_CONTENT);
            (code, if code == StatusCode::NO_CONTENT { "" } else { "OK" })
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks/x", listener.local_addr().unwrap());
        let app = Router::new().route("/hooks/x", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn words(&self) -> Vec<String> {
        let word = |body: &String| body.split("status=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        self.bodies.lock().unwrap().iter().map(word).collect()
    }
}

async fn send(simulated: &SimulatedGateway, receipt_url: &str) -> reqwest::Response {
    let form = [
        ("from", "+46766860000"),
        ("to", "+46701740605"),
        ("message", "Hej på dig"),
        ("whendelivered", receipt_url),
        ("dontlog", "message"),
    ];
    client()
        .post(format!("{}/a1/sms", simulated.base_url()))
        .basic_auth("simulator", Some("simulator"))
        .form(&form)
        .send()
        .await
        .unwrap()
}

fn client() -> reqwest::Client {
    grannpost::provider::http::install_tls_provider();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn with_plan(plan: ReceiptPlan) -> (SimulatedGateway, Receiver, String) {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let simulated = simulated().await;
    simulated.change(|behaviour| behaviour.receipts = plan);
    (simulated, receiver, url)
}

#[tokio::test]
async fn a_report_says_delivered_and_when_and_can_be_read_by_the_provider() {
    let (simulated, receiver, url) = with_plan(ReceiptPlan::at_once()).await;
    send(&simulated, &url).await;
    simulated.wait_for_callbacks(1).await;
    let body = receiver.bodies.lock().unwrap()[0].clone();
    let config = "[sms.gateways.elks]\nkind = \"46elks\"\nsender = \"Polisen\"\ncallback_secret = \"0123456789abcdef0123456789abcdef\"";
    let config = grannpost::config::from_toml(&[config]).unwrap();
    let receipt =
        SmsGateway::new("elks", &config.sms.gateways["elks"], "").unwrap().decode_receipt(body.as_bytes()).unwrap();
    assert_eq!(receipt.gateway_ref, simulated.journal().messages()[0].id);
    assert_eq!(receipt.state, Some(ReceiptState::Delivered));
    assert!(receipt.delivered_at.is_some());
    assert!(simulated.callbacks()[0].is_taken() && simulated.callbacks()[0].empty_body);
}

#[tokio::test]
async fn reports_come_as_planned_in_number_and_order() {
    let at_once = ReceiptPlan::at_once;
    let cases = [
        (ReceiptPlan { sent_first: true, ..at_once() }, vec!["sent", "delivered"]),
        (ReceiptPlan { reversed: true, ..at_once() }, vec!["delivered", "sent"]),
        (ReceiptPlan { copies: 3, ..at_once() }, vec!["delivered"; 3]),
        (ReceiptPlan { unknown_ids: true, ..at_once() }, vec!["delivered"; 2]),
        (ReceiptPlan { delivered: 0.0, failed: 1.0, ..at_once() }, vec!["failed"]),
        (ReceiptPlan { delivered: 0.0, sent_only: 1.0, ..at_once() }, vec!["sent"]),
        (
            ReceiptPlan { fate_by_number: [("+46701740605".to_owned(), Fate::Failed)].into(), ..at_once() },
            vec!["failed"],
        ),
    ];
    for (plan, expected) in cases {
        let (simulated, receiver, url) = with_plan(plan.clone()).await;
        send(&simulated, &url).await;
        simulated.wait_for_callbacks(expected.len()).await;
        assert_eq!(receiver.words(), expected, "{plan:?}");
    }
}

#[tokio::test]
async fn an_early_report_is_there_before_the_answer() {
    let (simulated, receiver, url) = with_plan(ReceiptPlan { early: true, ..ReceiptPlan::at_once() }).await;
    let answer: Value = serde_json::from_str(&send(&simulated, &url).await.text().await.unwrap()).unwrap();
    assert_eq!(receiver.words(), ["delivered"]);
    assert!(receiver.bodies.lock().unwrap()[0].contains(answer["id"].as_str().unwrap()));
    assert_eq!(answer.get("message"), None);
}

#[tokio::test]
async fn a_report_that_is_not_taken_is_brought_again_and_an_answer_with_a_body_is_seen() {
    let (simulated, receiver, url) = with_plan(ReceiptPlan::at_once()).await;
    simulated.change(|behaviour| behaviour.callback_retries_ms = vec![1, 1, 1]);
    *receiver.next.lock().unwrap() = vec![StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR];
    send(&simulated, &url).await;
    simulated.wait_for_callbacks(1).await;
    let record = simulated.callbacks().remove(0);
    assert_eq!((record.tries, record.code, record.empty_body), (3, Some(200), false));
    send(&simulated, "http://127.0.0.1:9/nobody").await;
    simulated.wait_for_callbacks(2).await;
    let record = simulated.callbacks().remove(1);
    assert_eq!((record.tries, record.code, record.is_taken()), (4, None, false));
}

#[tokio::test]
async fn an_incoming_sms_is_posted_as_a_form_and_twice_with_the_same_id_when_told_to() {
    let (simulated, receiver, url) = with_plan(ReceiptPlan::silent()).await;
    simulated.change(|behaviour| behaviour.sms_url = Some(url));
    let message = InboundMessage {
        id: "s77".to_owned(),
        from: "+46701740605".to_owned(),
        to: "+46766860000".to_owned(),
        text: "Såg en bil & en släpkärra 🚗".to_owned(),
    };
    for _ in 0..2 {
        assert!(simulated.post_inbound(message.clone()).await.is_taken());
    }
    let bodies = receiver.bodies.lock().unwrap().clone();
    let sms = grannpost::provider::elks::decode_inbound(bodies[0].as_bytes()).unwrap();
    assert_eq!((sms.gateway_ref, sms.from, sms.text), (message.id, message.from, message.text));
    assert!(bodies.len() == 2 && bodies[1].contains("id=s77") && sms.created_at.is_some());
}

#[tokio::test]
async fn the_control_api_does_what_the_handle_does() {
    let simulated = simulated().await;
    let control = |path: &str| format!("{}/control/{path}", simulated.base_url());
    let set = |body: Value| client().put(control("behaviour")).body(body.to_string()).send();
    assert_eq!(
        set(json!({"answer": {"accept": false, "reply": {"plain_text": {"code": 503, "text": ""}}}}))
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(send(&simulated, "").await.status(), 503);
    assert_eq!(set(json!({"answer": {"accept": true, "reply": "proper"}})).await.unwrap().status(), 204);
    assert_eq!(set(json!({"latency": 5})).await.unwrap().status(), 422);
    assert_eq!(client().put(control("behaviour")).body("[]").send().await.unwrap().status(), 422);
    let next = json!([{"accept": false, "reply": {"plain_text": {"code": 418, "text": ""}}}]);
    assert_eq!(client().post(control("answers")).body(next.to_string()).send().await.unwrap().status(), 204);
    let codes =
        [send(&simulated, "").await.status(), send(&simulated, "").await.status(), send(&simulated, "").await.status()];
    assert_eq!(codes.map(|code| code.as_u16()), [418, 200, 200]);
    let get = async |path: &str| -> Value {
        serde_json::from_str(&client().get(control(path)).send().await.unwrap().text().await.unwrap()).unwrap()
    };
    let summary = get("journal").await;
    assert_eq!((&summary["accepted"], &summary["calls"], &summary["duplicates"]), (&json!(2), &json!(4), &json!(1)));
    assert_eq!(summary["worst_second"], json!(2));
    assert_eq!(get("messages?from=1").await.as_array().unwrap().len(), 1);
    assert_eq!(get("behaviour").await["cost_per_part"], json!(5_200));
}

#[tokio::test]
async fn the_journal_on_disk_has_every_message_and_outlives_a_shut_down_with_calls_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sms.jsonl");
    let mut options = GatewayOptions::new(wall_clock());
    options.journal_file = Some(path.clone());
    options.behaviour.receipts = ReceiptPlan::silent();
    let simulated = SimulatedGateway::start("127.0.0.1:0".parse().unwrap(), options.clone()).await.unwrap();
    let address = simulated.address();
    send(&simulated, "").await;
    simulated.change(|behaviour| behaviour.latency_ms = 60_000);
    let pending = tokio::spawn({
        let url = format!("{}/a1/sms", simulated.base_url());
        let form = [("from", "Polisen"), ("to", "+46701740606"), ("message", "x")];
        async move { client().post(url).basic_auth("simulator", Some("simulator")).form(&form).send().await }
    });
    simulated.journal().wait_for(2).await;
    simulated.shut_down().await;
    assert!(pending.await.unwrap().is_err());
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["to"], &lines[1]["to"]), (&json!("+46701740605"), &json!("+46701740606")));
    let again = SimulatedGateway::start(address, options).await.unwrap();
    send(&again, "").await;
    again.shut_down().await;
    let text = std::fs::read_to_string(&path).unwrap();
    let ids: std::collections::HashSet<String> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].to_string()).collect();
    assert_eq!((text.lines().count(), ids.len()), (3, 3));
}

#[tokio::test]
async fn a_sender_that_only_knows_get_is_taken_in_and_reported_to_like_any_other() {
    let (simulated, receiver, url) = with_plan(ReceiptPlan::at_once()).await;
    let ask = |password: &'static str, to: &'static str| {
        let query = [
            ("username", "simulator"),
            ("password", password),
            ("from", "+46766860000"),
            ("to", to),
            ("message", "Hej på dig"),
            ("whendelivered", url.as_str()),
        ];
        client().get(format!("{}/plain/sms", simulated.base_url())).query(&query).send()
    };
    assert_eq!(ask("wrong", "+46701740605").await.unwrap().status(), 401);
    assert_eq!(ask("simulator", "0701740605").await.unwrap().status(), 400);
    let answer = ask("simulator", "+46701740605").await.unwrap().text().await.unwrap();
    simulated.wait_for_callbacks(1).await;
    let taken = simulated.journal().messages();
    assert_eq!((taken.len(), taken[0].text.as_str(), answer), (1, "Hej på dig", format!("OK {}", taken[0].id)));
    assert_eq!(receiver.words(), ["delivered"]);
}

#[tokio::test]
async fn times_of_the_journal_rise_so_that_paces_can_be_judged() {
    let simulated = simulated().await;
    for _ in 0..20 {
        send(&simulated, "").await;
    }
    let messages: Vec<AcceptedSms> = simulated.journal().messages();
    assert!(messages.windows(2).all(|pair| pair[0].arrived_at_us < pair[1].arrived_at_us));
    assert!(messages.windows(2).all(|pair| pair[0].arrived_after_us <= pair[1].arrived_after_us));
    assert_eq!(simulated.journal().worst_window(Duration::from_secs(60)), 20);
}
