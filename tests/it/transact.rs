//! Stories of requests that meet others: repeated with the same key, at once, or in a database that is busy.

use grannpost::store::{idempotency, setting};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Kind, TestApp, on_both_databases};

fn alert() -> Value {
    json!({ "text": "Röd skåpbil söks", "areas": ["2326"], "decided_by": "Vakthavande befäl" })
}

impl TestApp {
    /// Begins to make an alert with this key.
    fn make_alert(&self, key: &'static str) -> tokio::task::JoinHandle<Answer> {
        let api = self.api.clone();
        tokio::spawn(async move { api.call(Method::POST, "/alerts", Some(alert()), &[("idempotency-key", key)]).await })
    }
}

on_both_databases! {
    async fn a_second_request_is_told_that_the_first_with_its_key_is_still_running(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        // Whoever makes a message waits for its number, and on SQLite for the writer.
        let mut holder = app.desk.store.begin().await.unwrap();
        setting::next_message_number(&mut holder).await.unwrap();
        let (mut one, mut other) = (app.make_alert("natt-1"), app.make_alert("natt-1"));
        let (second, first) = tokio::select! {
            answer = &mut one => (answer.unwrap(), other),
            answer = &mut other => (answer.unwrap(), one),
        };
        assert_eq!((second.status.as_u16(), &second.json["code"]), (409, &json!("idempotency.running")), "{}", second.text);
        assert!(!first.is_finished());
        drop(holder);
        let first = first.await.unwrap();
        assert_eq!(first.status, 201, "{}", first.text);
        assert_eq!(app.make_alert("natt-1").await.unwrap().text, first.text, "the key is free again, and its answer kept");
        assert_eq!(app.api.get("/alerts").await.json["items"].as_array().unwrap().len(), 1);
    }

    async fn a_key_is_free_again_when_its_request_was_refused(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let call = |body: Value| {
            let api = app.api.clone();
            async move { api.call(Method::POST, "/alerts", Some(body), &[("idempotency-key", "natt-2")]).await }
        };
        let mut nowhere = alert();
        nowhere["areas"] = json!(["9999"]);
        assert_eq!(call(nowhere).await.status, 422);
        assert_eq!(call(alert()).await.status, 201);
    }
}

/// Only PostgreSQL has deadlocks: SQLite has one writer, and waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_the_victim_of_a_deadlock_is_done_again() {
    let app = TestApp::spawn(Kind::Postgres).await;
    app.load_sample().await;
    let caller = format!("key:{}", app.database.texts("SELECT id FROM api_key").await[0]);
    let mut other = app.desk.store.begin().await.unwrap();
    setting::next_message_number(&mut other).await.unwrap();
    let request = app.make_alert("natt-3");
    // The request has its key and waits for the number; who has the number now waits for the key. The one who began to wait
    // first looks for a ring first, finds it, and is the victim.
    let waiting =
        "SELECT 'waits' FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    app.until("the request waits", async || !app.database.texts(waiting).await.is_empty()).await;
    let reserved = idempotency::reserve(&mut other, (&caller, "natt-3"), "another", 0).await;
    assert!(reserved.is_ok_and(|earlier| earlier.is_none()), "the request was the victim");
    drop(other);
    let made = request.await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(app.api.get("/alerts").await.json["items"].as_array().unwrap().len(), 1);
}
