//! Stories of alerts, through the API and a gateway over real HTTP.

use std::collections::HashSet;
use std::time::Duration;

use grannpost::actions::operator::{self, NewOperator};
use grannpost::simulator::{Answer as GatewayAnswer, Fate, HistoryMode, ReceiptPlan, Reply};
use serde_json::{Value, json};

use crate::support::{TestApp, on_both_databases, root};

fn alert(areas: &[&str]) -> Value {
    json!({ "text": "Röd skåpbil söks efter inbrott i kväll", "areas": areas, "decided_by": "Vakthavande befäl", "undo_seconds": 0 })
}

on_both_databases! {
    async fn an_alert_to_two_municipalities_reaches_every_phone_once(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let made = app.api.post("/alerts", alert(&["2321", "2309"])).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let expected = json!({ "contact_persons": 255, "households": 2144, "by_sms": 240, "households_by_sms": 1996, "not_reached": 15 });
        assert_eq!(made.json["audience"], expected);
        let done = app.alert_when(made.json["id"].as_str().unwrap(), |alert| alert["state"] == "done").await;
        assert_eq!(done["counts"]["delivered"], 240);
        assert_eq!(done["reach"], json!({ "contact_persons": 240, "households": 1996 }));
        assert_eq!(app.gateway.journal().len(), 240);
        assert_eq!(app.gateway.journal().duplicates(), []);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn every_watch_area_is_reached_before_any_is_reached_twice(kind: Kind) {
        let app = TestApp::spawn_with(kind, "sms.gateways.elks.concurrency = 1").await;
        app.load_sample().await;
        let made = app.api.post("/alerts", alert(&["jamtland"])).await;
        assert_eq!(made.json["audience"]["by_sms"], 1030);
        app.gateway.journal().wait_for(162).await;
        let deliveries = app.api.get(&format!("/alerts/{}/deliveries?limit=1000", made.json["id"].as_str().unwrap())).await;
        let area_of: std::collections::HashMap<&str, &str> = deliveries.json["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["address"].as_str().unwrap(), row["area"].as_str().unwrap()))
            .collect();
        let sent = app.gateway.journal().messages();
        let first: HashSet<&str> = sent[..162].iter().map(|sms| area_of[sms.to.as_str()]).collect();
        assert_eq!(first.len(), 162, "the first 162 hand-overs go to 162 areas");
    }

    async fn a_stop_in_mid_flight_counts_exactly(kind: Kind) {
        let app = TestApp::spawn_with(kind, "sms.gateways.elks.rate_per_second = 50").await;
        app.load_sample().await;
        let made = app.api.post("/alerts", alert(&["jamtland"])).await;
        let id = made.json["id"].as_str().unwrap();
        app.gateway.journal().wait_for(20).await;
        let stopped = app.api.post(&format!("/alerts/{id}/stop"), json!({})).await;
        assert_eq!(stopped.status, 200, "{}", stopped.text);
        let handed_over = usize::try_from(stopped.json["already_handed_over"].as_i64().unwrap()).unwrap();
        assert_eq!(stopped.json["stopped"].as_i64().unwrap() + stopped.json["already_handed_over"].as_i64().unwrap(), 1030);
        let after = app.alert_when(id, |alert| alert["counts"]["sending"] == 0 && alert["counts"]["accepted"] == 0).await;
        assert_eq!(after["state"], "stopped");
        assert_eq!(after["counts"]["queued"], 0);
        assert_eq!(app.gateway.journal().len(), handed_over);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_lost_answer_is_proven_by_the_history_and_nobody_gets_it_twice(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|gateway| {
            gateway.answer = GatewayAnswer::accept_then(Reply::Reset);
            gateway.receipts = ReceiptPlan::silent();
        });
        let made = app.api.post("/alerts", alert(&["2321"])).await;
        let by_sms = made.json["audience"]["by_sms"].as_i64().unwrap();
        let done = app.alert_when(made.json["id"].as_str().unwrap(), |alert| alert["counts"]["accepted"] == by_sms).await;
        assert_eq!(done["counts"]["in_doubt"], 0);
        assert_eq!(app.gateway.journal().duplicates(), []);
        assert_eq!(app.gateway.journal().len() as i64, by_sms);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn what_a_gateway_without_history_swallowed_stays_in_doubt_until_a_person_decides(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|gateway| {
            gateway.history = HistoryMode::Code(404);
            gateway.receipts = ReceiptPlan::silent();
        });
        app.gateway.answer_next([GatewayAnswer::accept_then(Reply::Reset)]);
        let made = app.api.post("/alerts", alert(&["2326"])).await;
        let id = made.json["id"].as_str().unwrap();
        app.alert_when(id, |alert| alert["state"] == "handed_over").await;
        app.advance(Duration::from_secs(600));
        let shown = app.alert_when(id, |alert| alert["counts"]["in_doubt"] == 1).await;
        assert_eq!(shown["state"], "handed_over");
        let given_up = app.api.post(&format!("/alerts/{id}/in-doubt"), json!({ "as": "give_up" })).await;
        assert_eq!(given_up.json, json!({ "resolved": 1 }));
        assert_eq!(app.gateway.journal().duplicates(), []);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_receipt_with_the_attempts_token_proves_a_lost_answer(kind: Kind) {
        let app = TestApp::spawn_with(kind, "sms.gateways.elks.history = false").await;
        app.load_sample().await;
        app.gateway.change(|gateway| gateway.answer = GatewayAnswer::accept_then(Reply::Reset));
        let made = app.api.post("/alerts", alert(&["2326"])).await;
        let by_sms = made.json["audience"]["by_sms"].as_i64().unwrap();
        let done = app.alert_when(made.json["id"].as_str().unwrap(), |alert| alert["state"] == "done").await;
        assert_eq!(done["counts"]["delivered"], by_sms);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn receipts_early_doubled_reversed_and_unknown_give_the_same_states(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|gateway| {
            gateway.receipts = ReceiptPlan {
                delivered: 0.5, failed: 0.5, early: true, copies: 3, reversed: true, sent_first: true, unknown_ids: true,
                delay_ms: 0, spacing_ms: 0, ..ReceiptPlan::default()
            };
        });
        let made = app.api.post("/alerts", alert(&["2321", "2309"])).await;
        let done = app.alert_when(made.json["id"].as_str().unwrap(), |alert| alert["state"] == "done").await;
        let delivered = done["counts"]["delivered"].as_i64().unwrap();
        let undelivered = done["counts"]["undelivered"].as_i64().unwrap();
        assert_eq!(delivered + undelivered, 240);
        assert!(delivered > 60 && undelivered > 60, "{delivered} {undelivered}");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_follow_up_goes_to_exactly_those_who_may_have_the_first(kind: Kind) {
        let app = TestApp::spawn_with(kind, "sms.gateways.elks.rate_per_second = 40").await;
        app.load_sample().await;
        app.gateway.change(|gateway| {
            gateway.receipts = ReceiptPlan::silent();
            gateway.answer_by_number.insert("+46701743168".into(), GatewayAnswer::refuse(400, "Invalid to number"));
        });
        let made = app.api.post("/alerts", alert(&["2303"])).await;
        app.gateway.journal().wait_for(10).await;
        let id = made.json["id"].as_str().unwrap();
        let closed = app
            .api
            .post(&format!("/alerts/{id}/follow-ups"), json!({ "kind": "all_clear", "text": "Bilen är funnen", "undo_seconds": 0 }))
            .await;
        assert_eq!(closed.status, 201, "{}", closed.text);
        let second = app.alert_when(closed.json["id"].as_str().unwrap(), |alert| alert["state"] == "handed_over").await;
        let first = app.alert_when(id, |alert| alert["counts"]["sending"] == 0).await;
        assert_eq!(first["state"], "stopped");
        let sent = app.gateway.journal().messages();
        let closing = second["sms_text"].as_str().unwrap();
        let got = |text: &str| -> HashSet<String> { sent.iter().filter(|sms| sms.text == text).map(|sms| sms.to.clone()).collect() };
        assert_eq!(got(first["sms_text"].as_str().unwrap()), got(closing));
        for to in got(closing) {
            let order: Vec<bool> = sent.iter().filter(|sms| sms.to == to).map(|sms| sms.text == closing).collect();
            assert_eq!(order, [false, true], "the first comes before what closes it");
        }
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_alert_that_needs_approval_waits_for_a_colleague(kind: Kind) {
        let app = TestApp::spawn_with(kind, "alerts.approval = { above = 100 }").await;
        app.load_sample().await;
        let made = app.api.post("/alerts", alert(&["2321", "2309"])).await;
        assert_eq!(made.json["state"], "awaiting_approval");
        let id = made.json["id"].as_str().unwrap();
        let own = app.api.post(&format!("/alerts/{id}/approve"), json!({ "revision": 1 })).await;
        assert_eq!((own.status.as_u16(), own.json["code"].as_str()), (403, Some("alert.own_revision")));
        let chief = app.api.with_key(&app.key("chief", "").await);
        let wrong = chief.post(&format!("/alerts/{id}/approve"), json!({ "revision": 2 })).await;
        assert_eq!((wrong.status.as_u16(), wrong.json["code"].as_str()), (409, Some("alert.revision_changed")));
        assert_eq!(app.gateway.journal().len(), 0);
        let approved = chief.post(&format!("/alerts/{id}/approve"), json!({ "revision": 1 })).await;
        assert_eq!(approved.json["state"], "queued", "{}", approved.text);
        app.alert_when(id, |alert| alert["state"] == "done").await;
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_alert_that_expired_while_it_awaited_approval_can_be_written_anew(kind: Kind) {
        let app = TestApp::spawn_with(kind, "alerts.approval = \"always\"").await;
        app.load_sample().await;
        let made = app.api.post("/alerts", alert(&["2326"])).await;
        let id = made.json["id"].as_str().unwrap();
        app.advance(Duration::from_secs(5 * 3600));
        let chief = app.api.with_key(&app.key("chief", "").await);
        let late = chief.post(&format!("/alerts/{id}/approve"), json!({ "revision": 1 })).await;
        assert_eq!((late.status.as_u16(), late.json["code"].as_str()), (409, Some("alert.expired")));
        let revised = app.api.patch(&format!("/alerts/{id}"), alert(&["2326"])).await;
        assert_eq!((revised.status.as_u16(), revised.json["revision"].as_i64()), (200, Some(2)), "{}", revised.text);
        chief.post(&format!("/alerts/{id}/approve"), json!({ "revision": 2 })).await;
        app.alert_when(id, |alert| alert["state"] == "done").await;
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_opt_out_between_freezing_and_hand_over_is_obeyed(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut wanted = alert(&["2326"]);
        wanted["undo_seconds"] = json!(10);
        let made = app.api.post("/alerts", wanted).await;
        let id = made.json["id"].as_str().unwrap();
        let delivery = app.api.get(&format!("/alerts/{id}/deliveries?limit=1")).await.json["items"][0].clone();
        let person = delivery["contact_person_id"].as_str().unwrap();
        let out = json!({ "opt_outs": [{ "channel": "sms", "source": "telefon" }] });
        assert_eq!(app.api.patch(&format!("/contact-persons/{person}"), out).await.status, 200);
        app.advance(Duration::from_secs(11));
        let done = app.alert_when(id, |alert| alert["state"] == "done").await;
        assert_eq!(done["counts"]["suppressed"], 1);
        let number = delivery["address"].as_str().unwrap();
        assert!(app.gateway.journal().messages().iter().all(|sms| sms.to != number));
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_alert_that_is_not_handed_over_in_time_expires(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|gateway| gateway.answer = GatewayAnswer::refuse(503, "later"));
        let mut wanted = alert(&["2326"]);
        wanted["expires_in_minutes"] = json!(15);
        let made = app.api.post("/alerts", wanted).await;
        let id = made.json["id"].as_str().unwrap();
        app.advance(Duration::from_secs(16 * 60));
        let done = app.alert_when(id, |alert| alert["state"] == "done").await;
        assert_eq!(done["counts"]["expired"], made.json["audience"]["by_sms"]);
        assert_eq!(app.gateway.journal().len(), 0);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn the_same_key_and_body_ten_times_at_once_make_one_alert(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let calls = (0..10).map(|_| {
            let api = app.api.clone();
            tokio::spawn(async move {
                api.call(reqwest::Method::POST, "/alerts", Some(alert(&["2326"])), &[("idempotency-key", "natt-1")]).await
            })
        });
        let mut ids = HashSet::new();
        for call in calls.collect::<Vec<_>>() {
            let answer = call.await.unwrap();
            assert!(answer.status == 201 || answer.status == 409, "{}", answer.text);
            ids.extend(answer.json["id"].as_str().map(str::to_owned));
        }
        assert_eq!(ids.len(), 1);
        let other = app
            .api
            .call(reqwest::Method::POST, "/alerts", Some(alert(&["2321"])), &[("idempotency-key", "natt-1")])
            .await;
        assert_eq!((other.status.as_u16(), other.json["code"].as_str()), (422, Some("validation.failed")));
        assert_eq!(app.api.get("/alerts").await.json["items"].as_array().unwrap().len(), 1);
    }

    async fn a_daemon_that_is_stopped_in_mid_flight_goes_on_after_its_restart(kind: Kind) {
        let mut app = TestApp::spawn_with(kind, "sms.gateways.elks.rate_per_second = 100").await;
        app.load_sample().await;
        let made = app.api.post("/alerts", alert(&["2321", "2309"])).await;
        app.gateway.journal().wait_for(30).await;
        app.restart().await;
        let id = made.json["id"].as_str().unwrap();
        let done = app.alert_when(id, |alert| alert["state"] == "done").await;
        assert_eq!(done["counts"]["delivered"], 240);
        assert_eq!(app.gateway.journal().duplicates(), []);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_receipt_window_that_closes_leaves_the_delivery_unconfirmed(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|gateway| gateway.receipts = ReceiptPlan::silent());
        let made = app.api.post("/alerts", alert(&["2326"])).await;
        let id = made.json["id"].as_str().unwrap();
        app.alert_when(id, |alert| alert["state"] == "handed_over").await;
        app.advance(Duration::from_secs(25 * 3600));
        let done = app.alert_when(id, |alert| alert["state"] == "done").await;
        assert_eq!(done["counts"]["unconfirmed"], made.json["audience"]["by_sms"]);
        let late = app.gateway.journal().messages()[0].clone();
        app.gateway.report(&late.id, Fate::Delivered).await;
        let after = app.api.get(&format!("/alerts/{id}")).await.json;
        assert_eq!(after["counts"], done["counts"], "a final state is never left");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn receipts_that_are_polled_lead_to_done_without_any_callback(kind: Kind) {
        let app = TestApp::spawn_with(kind, "sms.gateways.elks.receipts = \"poll\"").await;
        app.load_sample().await;
        app.gateway.change(|gateway| {
            gateway.receipts = ReceiptPlan { delivered: 0.5, failed: 0.5, delay_ms: 0, ..ReceiptPlan::default() };
        });
        let made = app.api.post("/alerts", alert(&["2321", "2309"])).await;
        let done = app.alert_when(made.json["id"].as_str().unwrap(), |alert| alert["state"] == "done").await;
        let delivered = done["counts"]["delivered"].as_i64().unwrap();
        assert_eq!(delivered + done["counts"]["undelivered"].as_i64().unwrap(), 240);
        assert_eq!(done["reach"]["contact_persons"], delivered);
        let sent = app.gateway.journal().messages();
        assert!(sent.len() == 240 && sent.iter().all(|sms| sms.receipt_url.is_none()), "nobody was asked to call us");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_observation_goes_from_a_number_also_where_the_sender_is_a_text(kind: Kind) {
        let settings = "sms.gateways.elks.sender = \"Polisen\"\nsms.inbound_reply_to = \"+46766861111\"";
        let app = TestApp::spawn_with(kind, settings).await;
        app.load_sample().await;
        // The answer is lost, so the history must know the number as ours too.
        app.gateway.change(|gateway| gateway.receipts = ReceiptPlan::silent());
        app.gateway.answer_next([GatewayAnswer::accept_then(Reply::Reset)]);
        for (kind, sender) in [("observation", "+46766861111"), ("information", "Polisen")] {
            let before = app.gateway.journal().len();
            let mut wanted = alert(&["2326"]);
            wanted["kind"] = json!(kind);
            let made = app.api.post("/alerts", wanted).await;
            let by_sms = made.json["audience"]["by_sms"].as_i64().unwrap();
            app.alert_when(made.json["id"].as_str().unwrap(), |alert| alert["counts"]["accepted"] == by_sms).await;
            let sent = app.gateway.journal().messages_from(before);
            assert!(!sent.is_empty() && sent.iter().all(|sms| sms.from == sender), "{kind}");
        }
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn sending_without_review_is_told_to_every_administrator_also_at_night(kind: Kind) {
        let settings = "alerts.approval = \"always\"\nletters.quiet_hours = \"21:00-07:00\"";
        let app = TestApp::spawn_with(kind, settings).await;
        app.load_sample().await;
        let mut session = app.desk.store.begin().await.unwrap();
        for (name, role) in [("a", "admin"), ("b", "admin"), ("gone", "admin"), ("c", "chief")] {
            let email = format!("{name}@example.org");
            let new = NewOperator { name: name.into(), email: email.clone(), role: role.into(), area: String::new() };
            operator::add(&app.desk, &mut session, &root(), &new).await.unwrap();
            if name == "gone" {
                operator::disable(&app.desk, &mut session, &root(), &email).await.unwrap();
            }
        }
        session.commit().await.unwrap();
        let made = app.api.post("/alerts", alert(&["2326"])).await;
        let id = made.json["id"].as_str().unwrap();
        let reason = json!({ "reason": "Gärningsmannen är kvar <b>nu</b>" });
        let sent = app.api.post(&format!("/alerts/{id}/send-unreviewed"), reason).await;
        assert_eq!(sent.status, 200, "{}", sent.text);
        app.mail.journal().wait_for(2).await;
        let mails = app.mail.journal().letters();
        let mut to: Vec<String> = mails.iter().map(|mail| mail.to.clone()).collect();
        to.sort();
        assert_eq!(to, ["a@example.org", "b@example.org"]);
        let mail = mail_parser::MessageParser::default().parse(&mails[0].message).unwrap();
        let text = mail.body_text(0).unwrap();
        assert_eq!(mail.subject(), Some("Larm skickat utan granskning"));
        assert_eq!(mail.header("Auto-Submitted").and_then(|value| value.as_text()), Some("auto-generated"));
        for told in [id, "roll admin", "2026-11-20 kl. 02.31", "Skäl: Gärningsmannen är kvar <b>nu</b>"] {
            assert!(text.contains(told), "{told} is missing in {text}");
        }
        assert!(!text.contains("skåpbil"), "the alert's text stays out of it: {text}");
        app.advance(Duration::from_secs(11));
        app.alert_when(id, |alert| alert["state"] == "done").await;
        assert_eq!(app.verify().await, Vec::<String>::new());
    }
}
