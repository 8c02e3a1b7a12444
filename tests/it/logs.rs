//! What the built binary writes at its most talkative: no number, name, address, text, key or secret.

use std::sync::Arc;
use std::time::Duration;

use grannpost::actions::key;
use grannpost::ambient::Clock;
use grannpost::simulator::{
    Answer as GatewayAnswer, GatewayOptions, InboundMessage, MailSink, MailSinkOptions, ReceiptPlan, Reply,
    SimulatedGateway,
};
use grannpost::{app, config};
use serde_json::json;

use crate::support::child::{ServeProcess, log_file};
use crate::support::register::load_sample;
use crate::support::{Api, Database, SECRET, on_both_databases, root, settings};

const TEXT: &str = "Hemliga texten om röd skåpbil";
const SUBJECT: &str = "Hemliga rubriken";
const BODY: &str = "Hemliga brödtexten";

/// Everything of the sample register that must not be found: numbers in two notations, names, addresses.
fn secrets_of_the_register() -> Vec<String> {
    let mut reader = csv::Reader::from_path("data/register-sample.csv").unwrap();
    let headings = reader.headers().unwrap().clone();
    let mut found = Vec::new();
    for record in reader.records() {
        for (name, value) in headings.iter().zip(&record.unwrap()) {
            let is_personal = ["name", "mobile", "phone2", "email", "email2", "address"].contains(&name);
            if !is_personal || value.len() < 6 {
                continue;
            }
            found.push(value.to_owned());
            let digits: String = value.chars().filter(char::is_ascii_digit).collect();
            if digits.len() > 8 {
                found.push(digits.trim_start_matches("46").trim_start_matches('0').to_owned());
            }
        }
    }
    assert!(found.len() > 3_000);
    found
}

on_both_databases! {
    async fn neither_logs_nor_metrics_hold_personal_data_or_secrets(kind: Kind) {
        let wall = Arc::new(|| Clock::System.now());
        let any = "127.0.0.1:0".parse().unwrap();
        let gateway = SimulatedGateway::start(any, GatewayOptions::new(wall.clone())).await.unwrap();
        let mail = MailSink::start(any, MailSinkOptions::new(wall)).await.unwrap();
        let database = Database::new(kind);
        let more = "log.format = \"json\"\nlog.filter = \"grannpost=trace\"\ndispatch.in_doubt_grace_seconds = 1\n";
        let text = format!("{}{more}", settings(&database.url, &gateway.base_url(), &mail.url()));
        let file = database.folder.path().join("grannpost.toml");
        std::fs::write(&file, &text).unwrap();
        let desk = app::open(Arc::new(config::from_toml(&[&text]).unwrap()), Clock::System, true).await.unwrap();
        load_sample(&desk).await;
        let mut session = desk.store.begin().await.unwrap();
        let key = key::add(&desk, &mut session, &root(), ("log", "admin", "")).await.unwrap().secret;
        session.commit().await.unwrap();
        desk.store.close().await;

        let daemon = ServeProcess::start(&file);
        let api = Api::new(daemon.base.clone(), key.clone());
        make_trouble(&api, &gateway).await;
        let metrics = reqwest::get(format!("{}/metrics", daemon.base)).await.unwrap().text().await.unwrap();
        assert!(metrics.contains("grannpost_deliveries_total"), "{metrics}");
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        let log = std::fs::read_to_string(log_file(&file)).unwrap();
        assert!(log.lines().count() > 0, "at least its end is logged");
        for line in log.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object()), "no JSON: {line}");
        }

        let mut secrets = secrets_of_the_register();
        secrets.extend([TEXT, SUBJECT, BODY, SECRET, "Hemlig Handling", "hemlig@example.org", "701740699", "766860000"].map(str::to_owned));
        secrets.extend([key, "simulator:simulator".to_owned(), data_encoding::BASE64.encode(b"simulator:simulator")]);
        for (what, written) in [("the log", &log), ("the metrics", &metrics)] {
            for secret in &secrets {
                let at = written.find(secret.as_str());
                let shown = at.map(|at| written[..at].lines().last().unwrap_or_default().to_owned());
                assert_eq!(shown, None, "{what} holds {secret:?}");
            }
        }
    }
}

/// Alerts and letters that succeed, fail and get lost, input that is refused, calls with wrong keys and secrets.
async fn make_trouble(api: &Api, gateway: &SimulatedGateway) {
    gateway.change(|gateway| {
        gateway.receipts =
            ReceiptPlan { delivered: 0.5, failed: 0.5, delay_ms: 0, spacing_ms: 0, ..ReceiptPlan::default() };
    });
    gateway.answer_next([
        GatewayAnswer::refuse(400, "Invalid to number +46701740699"),
        GatewayAnswer::refuse(503, "Hemlig Handling"),
        GatewayAnswer::refuse(429, "701740699"),
        GatewayAnswer::accept_then(Reply::Reset),
    ]);
    let alert = json!({ "text": TEXT, "areas": ["2326"], "decided_by": "Hemlig Handling", "undo_seconds": 0 });
    let made = api.post("/alerts", alert.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let letter = json!({ "subject": SUBJECT, "body_markdown": BODY, "areas": ["2326"], "no_registry_number": true,
        "copy_recipients": [{ "name": "Hemlig Handling", "email": "hemlig@example.org" }] });
    let written = api.post("/letters", letter).await;
    assert_eq!(written.status, 201, "{}", written.text);
    let sent = api
        .post(&format!("/letters/{}/send", written.json["id"].as_str().unwrap()), json!({ "undo_seconds": 0 }))
        .await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    let person = json!({ "name": "Hemlig Handling", "mobile": "070-174 06 99", "email": "hemlig@example.org",
        "municipality": "2326", "watch_area": "Hackås" });
    let person = api.post("/contact-persons", person).await;
    assert_eq!(person.status, 201, "{}", person.text);
    let path = format!("/contact-persons/{}", person.json["id"].as_str().unwrap());
    for wrong in [
        json!({ "mobile": "hemlig@example.org" }),
        json!({ "name": ["Hemlig Handling"] }),
        json!({ "hemlig@example.org": 1 }),
    ] {
        assert_eq!(api.patch(&path, wrong).await.status, 422);
    }
    api.get("/contact-persons?q=hemlig@example.org&limit=Hemlig%20Handling").await;
    api.get("/contact-persons?q=0701740699").await;
    api.get("/alerts/hemlig@example.org").await;
    api.with_key("gp_hemlig@example.org").get("/alerts").await;
    let csv = "namn;mobil;kommun\nHemlig Handling;070-174 06 99;2326\nHemlig Handling;701740699x;Hemlig Handling\n";
    api.send_bytes(reqwest::Method::POST, "/api/v1/imports", "text/csv", csv.into()).await;
    let inbound =
        InboundMessage { id: "i1".into(), from: "+46701740699".into(), to: "+46766860000".into(), text: TEXT.into() };
    gateway.post_inbound(inbound).await;
    let hook = |path: String, body: &str| {
        let body = body.as_bytes().to_vec();
        let api = api.clone();
        async move { api.send_bytes(reqwest::Method::POST, &path, "application/x-www-form-urlencoded", body).await }
    };
    hook(format!("/hooks/sms/elks/{SECRET}/inbound"), "from=%2B46701740699&message=Hemliga+texten").await;
    hook(format!("/hooks/sms/elks/{SECRET}/receipt/unknown"), "id=701740699&status=delivered").await;
    hook("/hooks/sms/elks/wrong-hemlig@example.org/inbound".to_owned(), "from=%2B46701740699").await;
    assert_eq!(api.delete(&path).await.status, 204);
    let id = made.json["id"].as_str().unwrap();
    for _ in 0..600 {
        if api.get(&format!("/alerts/{id}")).await.json["state"] == "done" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the alert is never done");
}
