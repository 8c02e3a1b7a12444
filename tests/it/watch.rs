//! Stories of those who watch the daemon, and of callers who call too often.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::Answer;
use crate::support::{TestApp, on_both_databases};

/// What `/readyz` says once `done` says so of it; fails after a generous time with the last answer.
async fn ready_when(app: &TestApp, done: impl Fn(&Answer) -> bool) -> Answer {
    let mut last = None;
    for _ in 0..600 {
        let answer = app.api.page("/readyz").await;
        if done(&answer) {
            return answer;
        }
        last = Some(answer);
        app.desk.wakeup.wait(Duration::from_millis(20)).await;
    }
    panic!("it never said so: {last:?}");
}

on_both_databases! {
    async fn the_credit_balance_is_shown_and_a_low_one_is_no_cause_for_503(kind: Kind) {
        let app = TestApp::spawn_with(kind, "sms.gateways.elks.low_balance = 20000.0").await;
        let balance = |answer: &Answer| answer.json["causes"]["gateways"]["balances"][0].clone();
        let ready = ready_when(&app, |answer| balance(answer) != Value::Null).await;
        assert_eq!(balance(&ready), json!({ "gateway": "elks", "balance": 10_000.0, "low": true }));
        assert_eq!(ready.status, 200, "{}", ready.text);
        let metrics = app.api.page("/metrics").await.text;
        assert!(metrics.contains("grannpost_gateway_balance{gateway=\"elks\"} 10000"), "{metrics}");
    }

    async fn a_daemon_that_is_stopping_says_so_while_it_drains(kind: Kind) {
        let mut app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|gateway| gateway.latency_ms = 1_500);
        let alert = json!({ "text": "Röd bil", "areas": ["2326"], "decided_by": "Vakthavande befäl", "undo_seconds": 0 });
        let made = app.api.post("/alerts", alert).await;
        app.alert_when(made.json["id"].as_str().unwrap(), |alert| alert["state"] == "sending").await;
        let stopped = app.begin_stop();
        let ready = ready_when(&app, |answer| answer.status == 503).await;
        assert_eq!(ready.json["causes"], json!({ "stopping": { "ok": false } }));
        assert!(stopped.await.unwrap(), "it ends in time");
    }

    async fn a_key_that_calls_too_often_is_asked_to_wait_and_others_are_not(kind: Kind) {
        let app = TestApp::spawn_with(kind, "server.calls_per_second = 1\nserver.call_burst = 5").await;
        let other = app.api.with_key(&app.key("chief", "").await);
        let mut refused = Vec::new();
        for _ in 0..8 {
            let answer = app.api.get("/areas").await;
            if answer.status != 200 {
                refused.push(answer);
            }
        }
        let last = refused.pop().expect("eight calls are more than a burst of five");
        assert_eq!((last.status.as_u16(), last.json["code"].as_str()), (429, Some("request.too_many")));
        let wait: u64 = last.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=2).contains(&wait), "{wait}");
        assert_eq!(other.get("/areas").await.status, 200);
    }

    async fn guessed_keys_are_slowed_down_and_nobody_is_locked_out(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let guess = app.api.with_key("gp_guess");
        let mut codes = Vec::new();
        for _ in 0..500 {
            codes.push(guess.call(Method::GET, "/areas", None, &[]).await.status.as_u16());
        }
        assert!(codes[..10].iter().all(|code| *code == 401), "{codes:?}");
        assert!(codes.contains(&429), "{codes:?}");
        assert_eq!(app.api.get("/areas").await.status, 200, "a good key from the same address");
    }

    async fn the_figures_of_a_letters_audience_are_told_to_those_who_send_letters(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let wanted = json!({ "areas": ["jamtland"], "channel": "email" });
        let chief = app.api.with_key(&app.key("chief", "").await);
        let told = chief.post("/audiences", wanted.clone()).await;
        assert_eq!(told.status, 200, "{}", told.text);
        let expected = json!({ "contact_persons": 1100, "households": 10050, "by_email": 944, "on_paper": 128, "not_reached": 28 });
        assert_eq!(told.json, expected);
        assert_eq!(app.api.with_key(&app.key("operator", "").await).post("/audiences", wanted).await.status, 403);
        let narrow = app.api.with_key(&app.key("chief", "2321").await);
        assert_eq!(narrow.post("/audiences", json!({ "areas": ["2309"], "channel": "email" })).await.status, 403);
        assert!(chief.post("/audiences", json!({ "areas": ["x"], "channel": "email" })).await.names_field("areas"));
        assert!(chief.post("/audiences", json!({ "areas": ["2321"], "channel": "fax" })).await.names_field("channel"));
    }
}
