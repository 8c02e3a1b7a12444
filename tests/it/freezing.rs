//! Stories of audiences too large for one transaction: sealed in pieces, seen and sent only when the last is written, and
//! then written out block by block.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use grannpost::actions::alert::{self, NewAlert};
use grannpost::actions::large_alert::{self, UnseenAlert};
use grannpost::actions::letter_review::Pass;
use grannpost::actions::{ActionError, large_letter, unsealing};
use grannpost::domain::daemon_role::Roles;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::child::{self, ServeProcess};
use crate::support::{Answer, Database, TestApp, on_both_databases, root};

/// The longest that what must come may take, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// Small enough that the sample register takes a dozen pieces.
const PIECES: &str = "database.rows_at_once = 90\nreplies.duty_number = \"+46701744000\"\n";

fn alert(areas: &[&str], undo_seconds: i64) -> Value {
    json!({ "text": "Röd skåpbil söks efter inbrott i kväll", "areas": areas, "decided_by": "Vakthavande befäl", "undo_seconds": undo_seconds })
}

fn to_everybody() -> NewAlert {
    NewAlert {
        text: "Röd skåpbil söks efter inbrott i kväll".into(),
        areas: vec!["jamtland".into()],
        decided_by: "Vakthavande befäl".into(),
        undo_seconds: Some(0),
        ..NewAlert::default()
    }
}

fn id(answer: &Answer) -> String {
    answer.json["id"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned()
}

impl TestApp {
    /// Everything frozen into a message, one line each, without what differs between two messages.
    async fn frozen(&self, message_id: &str) -> [Vec<String>; 2] {
        let deliveries = format!(
            "SELECT CAST(d.id - m.number * 10000000 AS TEXT) || ' ' || d.channel || ' ' || d.address || ' ' || d.contact_person_id || ' ' ||
               d.area_code || ' ' || CAST(d.persons AS TEXT) || ' ' || CAST(d.households AS TEXT) || ' ' || CAST(d.place AS TEXT)
             FROM delivery d JOIN message m ON m.id = d.message_id WHERE m.id = '{message_id}' ORDER BY d.id"
        );
        let recipients = format!(
            "SELECT r.contact_person_id || ' ' || r.channel || ' ' || COALESCE(CAST(r.delivery_id - m.number * 10000000 AS TEXT), r.not_reached)
               || ' ' || r.area_code || ' ' || CAST(r.households AS TEXT)
             FROM message_recipient r JOIN message m ON m.id = r.message_id WHERE m.id = '{message_id}' ORDER BY r.contact_person_id"
        );
        [self.database.texts(&deliveries).await, self.database.texts(&recipients).await]
    }

    async fn publish(&self, unseen: &UnseenAlert) -> Result<String, ActionError> {
        let mut session = self.desk.store.begin().await.unwrap();
        let view = large_alert::publish(&self.desk, &mut session, &root(), unseen).await?;
        session.commit().await.unwrap();
        self.desk.wakeup.ring();
        Ok(view.message.id)
    }

    /// Deliveries that are sealed.
    async fn sealed(&self) -> i64 {
        sealed(&self.database).await
    }

    /// Waits until so many deliveries are sealed. Without a pause: it must not be missed.
    async fn until_sealed(&self, is_enough: impl Fn(i64) -> bool) {
        let begun = Instant::now();
        loop {
            let deliveries = self.sealed().await;
            if is_enough(deliveries) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{deliveries} deliveries are sealed");
        }
    }

    /// Waits until a table is empty.
    async fn until_no(&self, table: &str) {
        self.until(&format!("no row of {table}"), async || self.rows(table).await == 0).await;
    }

    /// Waits until everybody of every audience is a row.
    async fn written_out(&self) {
        self.until_no("sealed_audience").await;
    }

    /// Writes out so many blocks, as upkeep would.
    async fn write_out(&self, blocks: usize) {
        let left = AtomicUsize::new(blocks);
        let goes_on = || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        unsealing::write_out_all(&self.desk.store, &self.desk.clock, f64::INFINITY, goes_on, || ()).await.unwrap();
    }

    async fn rows(&self, table: &str) -> i64 {
        rows(&self.database, table).await
    }

    /// Lets the time of a lease go by, and waits until upkeep has taken back what died.
    async fn outlive_a_lease(&self) {
        self.advance(Duration::from_secs(31));
        self.until_no("freezing").await;
    }
}

async fn sealed(database: &Database) -> i64 {
    database.texts("SELECT CAST(COALESCE(SUM(deliveries), 0) AS TEXT) FROM sealed_audience").await[0].parse().unwrap()
}

async fn rows(database: &Database, table: &str) -> i64 {
    database.texts(&format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table}")).await[0].parse().unwrap()
}

on_both_databases! {
    async fn what_is_frozen_in_pieces_is_what_one_transaction_freezes(kind: Kind) {
        let app = TestApp::spawn_with(kind, PIECES).await;
        app.load_sample().await;
        let mut session = app.desk.store.begin().await.unwrap();
        let whole = alert::create(&app.desk, &mut session, &root(), &NewAlert { undo_seconds: None, ..to_everybody() }).await.unwrap();
        session.commit().await.unwrap();
        let made = app.api.post("/alerts", alert(&["jamtland"], 10)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        assert_eq!(made.json["counts"]["queued"], 1030);
        let expected = json!({ "contact_persons": 1100, "households": 10050, "by_sms": 1030 });
        for name in ["contact_persons", "households", "by_sms"] {
            assert_eq!(made.json["audience"][name], expected[name]);
        }
        app.written_out().await;
        let [deliveries, recipients] = app.frozen(&id(&made)).await;
        let [whole_deliveries, whole_recipients] = app.frozen(&whole.message.id).await;
        assert_eq!((deliveries.len(), recipients.len()), (1030, 1100));
        assert_eq!(deliveries, whole_deliveries);
        assert_eq!(recipients, whole_recipients);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn nothing_is_shown_or_handed_over_before_the_last_piece_and_another_alert_goes_meanwhile(kind: Kind) {
        let app = TestApp::spawn_with(kind, PIECES).await;
        app.load_sample().await;
        let unseen = large_alert::create(&app.desk, &root(), &to_everybody()).await.unwrap();
        assert_eq!((app.sealed().await, app.rows("delivery").await), (1030, 0), "all of it is sealed");
        assert_eq!(app.api.get("/alerts").await.json["items"], json!([]));
        assert_eq!(app.verify().await, Vec::<String>::new());
        let other = app.api.post("/alerts", alert(&["2326"], 0)).await;
        assert_eq!(other.json["warnings"], json!([]), "not even that the same text was sent: it was not");
        let by_sms = other.json["audience"]["by_sms"].as_i64().unwrap();
        app.advance(Duration::from_secs(20));
        app.alert_when(&id(&other), |alert| alert["state"] == "done").await;
        assert_eq!(app.gateway.journal().len() as i64, by_sms, "only the other alert went");
        let person = app.api.get("/contact-persons?limit=1").await.json["items"][0]["id"].as_str().unwrap().to_owned();
        let erased = app.api.delete(&format!("/contact-persons/{person}")).await;
        assert_eq!((erased.status.as_u16(), &erased.json["code"]), (409, &json!("contact_person.freezing")));
        let published = app.publish(&unseen).await.unwrap();
        app.alert_when(&published, |alert| alert["state"] == "done" && alert["counts"]["delivered"] == 1030).await;
        assert_eq!(app.gateway.journal().len() as i64, by_sms + 1030);
        assert_eq!(app.rows("freezing").await, 0, "all have become due");
        assert_eq!(app.api.delete(&format!("/contact-persons/{person}")).await.status, 204);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_freezing_that_died_leaves_nothing_and_can_be_made_anew(kind: Kind) {
        let app = TestApp::spawn_with(kind, PIECES).await;
        app.load_sample().await;
        let unseen = large_alert::create(&app.desk, &root(), &to_everybody()).await.unwrap();
        app.outlive_a_lease().await;
        for table in ["sealed_audience", "delivery", "message_recipient", "message", "alert", "message_area", "message_review", "message_count"] {
            assert_eq!(app.rows(table).await, 0, "{table}");
        }
        let late = app.publish(&unseen).await.unwrap_err();
        assert_eq!(late.code(), "message.freezing_undone", "who comes back too late publishes nothing");
        assert_eq!(app.verify().await, Vec::<String>::new());
        let made = app.api.post("/alerts", alert(&["2321", "2309"], 0)).await;
        let done = app.alert_when(&id(&made), |alert| alert["state"] == "done").await;
        assert_eq!(done["counts"]["delivered"], 240);
        assert_eq!(app.gateway.journal().duplicates(), []);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_large_alert_that_is_refused_leaves_nothing(kind: Kind) {
        let app = TestApp::spawn_with(kind, PIECES).await;
        app.load_sample().await;
        let mut wanted = alert(&["jamtland"], 0);
        wanted["expected_recipients"] = json!(1029);
        let refused = app.api.post("/alerts", wanted).await;
        assert_eq!((refused.status.as_u16(), &refused.json["code"]), (409, &json!("alert.audience_changed")));
        let operator = app.api.with_key(&app.key("operator", "2321").await);
        assert_eq!(operator.post("/alerts", alert(&["jamtland"], 0)).await.status, 403);
        let mut wordless = alert(&["jamtland"], 0);
        wordless["text"] = json!("");
        assert!(app.api.post("/alerts", wordless).await.names_field("text"));
        for table in ["message", "delivery", "message_recipient", "sealed_audience", "freezing", "decision"] {
            assert_eq!(app.rows(table).await, 0, "{table}");
        }
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn the_same_key_gives_the_same_answer_also_for_a_large_alert(kind: Kind) {
        let app = TestApp::spawn_with(kind, PIECES).await;
        app.load_sample().await;
        let call = |body: Value| {
            let api = app.api.clone();
            async move { api.call(Method::POST, "/alerts", Some(body), &[("idempotency-key", "natt-1")]).await }
        };
        let at_once: Vec<_> = (0..5).map(|_| tokio::spawn(call(alert(&["jamtland"], 10)))).collect();
        let mut answers = Vec::new();
        for answer in at_once {
            answers.push(answer.await.unwrap());
        }
        assert!(answers.iter().all(|answer| answer.status == 201 || answer.json["code"] == "idempotency.running"));
        let first = answers.iter().find(|answer| answer.status == 201).unwrap();
        assert_eq!(call(alert(&["jamtland"], 10)).await.text, first.text);
        assert_eq!(call(alert(&["2326"], 10)).await.status, 422);
        assert_eq!(app.api.get("/alerts").await.json["items"].as_array().unwrap().len(), 1);
        app.written_out().await;
        assert_eq!((app.rows("message").await, app.rows("delivery").await), (1, 1030));
    }

    async fn a_large_alert_that_awaits_approval_is_revised_and_goes_when_it_is_approved(kind: Kind) {
        let app = TestApp::spawn_with(kind, &format!("{PIECES}alerts.approval = \"always\"")).await;
        app.load_sample().await;
        let made = app.api.post("/alerts", alert(&["jamtland"], 0)).await;
        assert_eq!(made.json["state"], "awaiting_approval", "{}", made.text);
        let path = format!("/alerts/{}", id(&made));
        let mut fewer = alert(&["2321", "2309"], 0);
        fewer["text"] = json!("Blå skåpbil söks");
        let revised = app.api.patch(&path, fewer).await;
        assert_eq!((revised.status.as_u16(), &revised.json["audience"]["by_sms"]), (200, &json!(240)), "{}", revised.text);
        assert_eq!((&revised.json["revision"], &revised.json["counts"]["queued"]), (&json!(2), &json!(240)));
        app.written_out().await;
        assert_eq!((app.rows("delivery").await, app.rows("message_recipient").await), (240, 255), "while it waits, too");
        app.advance(Duration::from_secs(60));
        assert_eq!(app.gateway.journal().len(), 0);
        let chief = app.api.with_key(&app.key("chief", "").await);
        assert_eq!(chief.post(&format!("{path}/approve"), json!({ "revision": 2 })).await.json["state"], "queued");
        let done = app.alert_when(&id(&made), |alert| alert["state"] == "done").await;
        assert_eq!(done["counts"]["delivered"], 240);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_revision_that_died_leaves_a_draft_that_cannot_be_approved(kind: Kind) {
        let app = TestApp::spawn_with(kind, &format!("{PIECES}alerts.approval = \"always\"")).await;
        app.load_sample().await;
        let made = app.api.post("/alerts", alert(&["jamtland"], 0)).await;
        let path = format!("/alerts/{}", id(&made));
        large_alert::revise(&app.desk, &root(), &id(&made), &to_everybody()).await.unwrap();
        let chief = app.api.with_key(&app.key("chief", "").await);
        for (call, body) in [("approve", json!({ "revision": 1 })), ("stop", json!({}))] {
            let refused = chief.post(&format!("{path}/{call}"), body).await;
            assert_ne!(refused.status, 200, "{call}: {}", refused.text);
        }
        let refused = app.api.patch(&path, alert(&["jamtland"], 0)).await;
        assert_eq!((refused.status.as_u16(), &refused.json["code"]), (409, &json!("message.freezing")));
        app.outlive_a_lease().await;
        let left = app.api.get(&path).await.json;
        assert_eq!((&left["state"], &left["counts"]["queued"]), (&json!("draft"), &json!(0)));
        assert_eq!(app.rows("delivery").await, 0);
        assert_eq!(app.verify().await, Vec::<String>::new());
        assert_eq!(app.api.patch(&path, alert(&["jamtland"], 0)).await.json["counts"]["queued"], 1030);
        chief.post(&format!("{path}/approve"), json!({ "revision": 2 })).await;
        app.alert_when(&id(&made), |alert| alert["state"] == "done").await;
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_large_alert_is_stopped_exactly_and_followed_up_to_those_who_may_have_it(kind: Kind) {
        let app = TestApp::spawn_with(kind, &format!("{PIECES}sms.gateways.elks.rate_per_second = 200")).await;
        app.load_sample().await;
        let made = app.api.post("/alerts", alert(&["jamtland"], 0)).await;
        app.gateway.journal().wait_for(100).await;
        let closing = json!({ "kind": "all_clear", "text": "Bilen är funnen", "undo_seconds": 0 });
        let closed = app.api.post(&format!("/alerts/{}/follow-ups", id(&made)), closing).await;
        assert_eq!(closed.status, 201, "{}", closed.text);
        let second = app.alert_when(&id(&closed), |alert| alert["state"] == "done").await;
        app.written_out().await;
        let first = app.alert_when(&id(&made), |alert| alert["counts"]["sending"] == 0).await;
        assert_eq!((&first["state"], &first["counts"]["queued"]), (&json!("stopped"), &json!(0)), "{first:#}");
        let sent = app.gateway.journal().messages();
        let got = |text: &Value| -> std::collections::BTreeSet<String> {
            sent.iter().filter(|sms| *text == sms.text).map(|sms| sms.to.clone()).collect()
        };
        assert_eq!(got(&first["sms_text"]), got(&second["sms_text"]));
        assert_eq!(first["counts"]["stopped"].as_i64().unwrap(), 1030 - got(&first["sms_text"]).len() as i64);
        assert_eq!(app.gateway.journal().duplicates(), []);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_large_letter_is_the_draft_it_was_until_its_last_piece(kind: Kind) {
        let app = TestApp::spawn_with(kind, PIECES).await;
        app.load_sample().await;
        let body = json!({ "subject": "Läget i höst", "body_markdown": "Lås.", "areas": ["2321", "2309"], "no_registry_number": true,
            "copy_recipients": [{ "name": "Kommunen", "email": "kommun@example.org" }] });
        let made = app.api.post("/letters", body).await;
        let path = format!("/letters/{}", id(&made));
        let sending = grannpost::actions::letter::Sending { undo_seconds: Some(0), ..Default::default() };
        large_letter::send(&app.desk, &root(), (&id(&made), sending), &Pass::Own).await.unwrap();
        let meanwhile = app.api.get(&path).await.json;
        assert_eq!((&meanwhile["state"], &meanwhile["counts"]["queued"]), (&json!("draft"), &json!(0)));
        assert_eq!(app.api.get(&format!("{path}/deliveries")).await.json["items"], json!([]));
        let refused = app.api.post(&format!("{path}/send"), json!({ "undo_seconds": 0 })).await;
        assert_eq!((refused.status.as_u16(), &refused.json["code"]), (409, &json!("message.freezing")));
        assert_eq!(app.verify().await, Vec::<String>::new());
        app.outlive_a_lease().await;
        assert_eq!((app.rows("delivery").await, app.sealed().await), (0, 0));
        assert_eq!(app.api.get(&path).await.json, made.json, "it is the draft it was");
        let sent = app.api.post(&format!("{path}/send"), json!({ "undo_seconds": 0 })).await;
        assert_eq!(sent.status, 200, "{}", sent.text);
        let figure = |name: &str| sent.json["audience"][name].as_i64().unwrap();
        assert_eq!(figure("by_email") + figure("on_paper") + figure("not_reached"), 255);
        app.mail.journal().wait_for(usize::try_from(figure("by_email") + 1).unwrap()).await;
        let all = figure("by_email") + 1;
        app.until("all are taken", async || app.api.get(&path).await.json["counts"]["accepted"] == all).await;
        assert_eq!(app.api.get(&path).await.json["counts"]["queued"], figure("on_paper"), "the sheets wait for a printer");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn the_accounts_are_true_while_blocks_are_left_and_what_needs_every_row_waits(kind: Kind) {
        let mut app = TestApp::spawn_with(kind, PIECES).await;
        app.load_sample().await;
        app.restart_as(Roles::parse("web").unwrap()).await;
        let made = app.api.post("/alerts", alert(&["jamtland"], 0)).await;
        let path = format!("/alerts/{}", id(&made));
        assert_eq!((app.rows("delivery").await, app.sealed().await), (90, 940), "the first block can go at once");
        let person = app.api.get("/contact-persons?limit=1").await.json["items"][0]["id"].as_str().unwrap().to_owned();
        for blocks in [0, 1, 4] {
            app.write_out(blocks).await;
            assert_eq!(app.verify().await, Vec::<String>::new());
            let shown = app.api.get(&path).await.json;
            assert_eq!((&shown["counts"]["queued"], &shown["audience"]["by_sms"]), (&json!(1030), &json!(1030)));
            let erased = app.api.delete(&format!("/contact-persons/{person}")).await;
            assert_eq!((erased.status.as_u16(), &erased.json["code"]), (409, &json!("contact_person.freezing")));
        }
        assert_eq!(app.sealed().await, 940 - 5 * 90);
        let nobody = app.api.post(&format!("{path}/follow-ups"), json!({ "kind": "update", "text": "Mer", "undo_seconds": 0 })).await;
        assert_eq!(nobody.json["code"], "alert.nobody_has_it", "what is sealed has not gone: {}", nobody.text);
        app.restart().await;
        app.alert_when(&id(&made), |alert| alert["counts"]["delivered"] == 1030).await;
        app.written_out().await;
        assert_eq!(app.gateway.journal().duplicates(), []);
        assert_eq!(app.api.delete(&format!("/contact-persons/{person}")).await.status, 204);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_large_alert_stopped_while_blocks_are_left_ends_with_all_of_them(kind: Kind) {
        let mut app = TestApp::spawn_with(kind, PIECES).await;
        app.load_sample().await;
        app.restart_as(Roles::parse("web").unwrap()).await;
        let made = app.api.post("/alerts", alert(&["jamtland"], 0)).await;
        let path = format!("/alerts/{}", id(&made));
        app.write_out(3).await;
        let stopped = app.api.post(&format!("{path}/stop"), json!({})).await;
        assert_eq!((&stopped.json["stopped"], &stopped.json["already_handed_over"]), (&json!(1030), &json!(0)), "{}", stopped.text);
        assert_eq!(app.sealed().await, 1030 - 4 * 90, "they are written out later");
        assert_eq!(app.verify().await, Vec::<String>::new());
        app.write_out(2).await;
        assert_eq!(app.verify().await, Vec::<String>::new());
        app.restart().await;
        let shown = app.alert_when(&id(&made), |alert| alert["counts"]["stopped"] == 1030).await;
        assert_eq!((&shown["state"], &shown["counts"]["queued"]), (&json!("stopped"), &json!(0)));
        app.written_out().await;
        assert_eq!((app.rows("message_recipient").await, app.rows("delivery_event").await), (1100, 1030));
        assert_eq!(app.gateway.journal().len(), 0);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_alert_revised_approved_and_sent_while_blocks_are_left_reaches_everybody_once(kind: Kind) {
        let mut app = TestApp::spawn_with(kind, &format!("{PIECES}alerts.approval = \"always\"")).await;
        app.load_sample().await;
        app.restart_as(Roles::parse("web").unwrap()).await;
        let made = app.api.post("/alerts", alert(&["jamtland"], 0)).await;
        let path = format!("/alerts/{}", id(&made));
        app.write_out(3).await;
        assert_eq!((app.rows("delivery").await, app.sealed().await), (270, 760), "while it awaits approval");
        let mut fewer = alert(&["2380", "2321"], 0);
        fewer["text"] = json!("Blå skåpbil söks");
        let revised = app.api.patch(&path, fewer).await;
        let by_sms = revised.json["audience"]["by_sms"].as_i64().unwrap_or_else(|| panic!("{}", revised.text));
        assert_eq!((app.rows("delivery").await, app.sealed().await), (0, by_sms), "what was before is gone");
        app.write_out(2).await;
        let chief = app.api.with_key(&app.key("chief", "").await);
        assert_eq!(chief.post(&format!("{path}/approve"), json!({ "revision": 2 })).await.json["state"], "queued");
        assert_eq!(app.verify().await, Vec::<String>::new());
        app.restart().await;
        app.alert_when(&id(&made), |alert| alert["state"] == "done" && alert["counts"]["delivered"] == by_sms).await;
        app.written_out().await;
        assert_eq!(app.gateway.journal().len() as i64, by_sms);
        assert_eq!(app.gateway.journal().duplicates(), []);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_large_alert_is_stopped_while_its_audience_is_being_written_out(kind: Kind) {
        let mut app = TestApp::spawn_with(kind, "database.rows_at_once = 5\n").await;
        app.load_sample().await;
        app.restart_as(Roles::parse("web").unwrap()).await;
        for left in [1_000, 700, 300] {
            let made = app.api.post("/alerts", alert(&["jamtland"], 0)).await;
            let (store, clock) = (app.desk.store.clone(), app.desk.clock.clone());
            let writer = tokio::spawn(async move { unsealing::write_out_all(&store, &clock, f64::INFINITY, || true, || ()).await });
            app.until_sealed(|deliveries| deliveries <= left || writer.is_finished()).await;
            let stopped = app.api.post(&format!("/alerts/{}/stop", id(&made)), json!({})).await;
            assert_eq!(stopped.json["stopped"], 1030, "{}", stopped.text);
            writer.await.unwrap().unwrap();
            let shown = app.api.get(&format!("/alerts/{}", id(&made))).await.json;
            assert_eq!((&shown["counts"]["stopped"], &shown["counts"]["queued"]), (&json!(1030), &json!(0)));
        }
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn what_may_not_go_or_cannot_be_read_holds_up_no_other_audience(kind: Kind) {
        let mut app = TestApp::spawn_with(kind, PIECES).await;
        app.load_sample().await;
        app.restart_as(Roles::parse("web").unwrap()).await;
        let left = async |app: &TestApp, id: &str| {
            let sql = format!("SELECT CAST(COUNT(*) AS TEXT) FROM sealed_audience WHERE message_id = '{id}'");
            app.database.texts(&sql).await[0].clone()
        };
        let mut made = Vec::new();
        for text in ["Röd skåpbil söks", "Blå skåpbil söks", "Vit skåpbil söks"] {
            let mut new = alert(&["jamtland"], 0);
            new["text"] = json!(text);
            made.push(id(&app.api.post("/alerts", new).await));
        }
        let [stopped, unreadable, goes] = made.as_slice() else { unreachable!() };
        assert_eq!(app.api.post(&format!("/alerts/{stopped}/stop"), json!({})).await.status, 200);
        app.database.execute(&format!("UPDATE sealed_audience SET content = '{{' WHERE message_id = '{unreadable}'")).await;
        let before = (left(&app, stopped).await, left(&app, unreadable).await);
        app.write_out(3).await;
        assert_eq!((left(&app, stopped).await, left(&app, unreadable).await), before, "what may go is written out first");
        app.write_out(100).await;
        assert_eq!((left(&app, stopped).await.as_str(), left(&app, goes).await.as_str()), ("0", "0"));
        assert_eq!(left(&app, unreadable).await, before.1);
    }

    async fn sheets_are_not_printed_before_everybody_stands_on_one(kind: Kind) {
        let mut app = TestApp::spawn_with(kind, PIECES).await;
        app.load_sample().await;
        app.restart_as(Roles::parse("web").unwrap()).await;
        let body = json!({ "subject": "Läget i höst", "body_markdown": "Lås.", "areas": ["jamtland"], "no_registry_number": true });
        let made = app.api.post("/letters", body).await;
        let path = format!("/letters/{}", id(&made));
        let sent = app.api.post(&format!("{path}/send"), json!({ "undo_seconds": 0 })).await;
        assert_eq!((&sent.json["audience"]["by_email"], &sent.json["audience"]["on_paper"]), (&json!(944), &json!(128)), "{}", sent.text);
        let early = app.api.post(&format!("{path}/printed"), json!({})).await;
        assert_eq!((early.status.as_u16(), &early.json["code"]), (409, &json!("message.unsealing")));
        app.write_out(100).await;
        assert_eq!(app.api.post(&format!("{path}/printed"), json!({})).await.status, 200);
        assert_eq!(app.api.get(&path).await.json["counts"]["unconfirmed"], 128);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn two_daemons_that_write_out_one_audience_write_each_block_once(kind: Kind) {
        let mut app = TestApp::spawn_with(kind, "database.rows_at_once = 5\n").await;
        app.load_sample().await;
        app.restart_as(Roles::parse("web").unwrap()).await;
        let made = app.api.post("/alerts", alert(&["jamtland"], 0)).await;
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let (store, clock) = (app.desk.store.clone(), app.desk.clock.clone());
                tokio::spawn(async move { unsealing::write_out_all(&store, &clock, f64::INFINITY, || true, || ()).await })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        assert_eq!((app.rows("delivery").await, app.rows("message_recipient").await, app.rows("freezing").await), (1030, 1100, 0));
        assert_eq!(app.verify().await, Vec::<String>::new());
        app.restart().await;
        app.alert_when(&id(&made), |alert| alert["counts"]["delivered"] == 1030).await;
        assert_eq!(app.gateway.journal().duplicates(), []);
    }

    async fn a_daemon_killed_while_it_writes_an_audience_out_goes_on_at_its_next_start(kind: Kind) {
        let mut app = TestApp::spawn_with(kind, "database.rows_at_once = 5\ndispatch.lease_seconds = 1\n").await;
        app.load_sample().await;
        app.stop().await;
        let config = app.config_file();
        let mut daemon = ServeProcess::start(&config);
        app.api.move_to(daemon.base.clone());
        // What is handed over as the daemon dies is another story.
        assert!(child::run(&config, &["pause"]).status.success());
        let made = app.api.post("/alerts", alert(&["jamtland"], 0)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        for left in [900, 500, 100] {
            app.until_sealed(|deliveries| deliveries <= left).await;
            daemon.kill();
            daemon = ServeProcess::start(&config);
        }
        assert!(child::run(&config, &["resume"]).status.success());
        app.api.move_to(daemon.base.clone());
        app.alert_when(&id(&made), |alert| alert["state"] == "done" && alert["counts"]["delivered"] == 1030).await;
        assert_eq!(app.gateway.journal().duplicates(), []);
        app.until_no("freezing").await;
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        let verified = child::run(&config, &["verify"]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    }

    async fn a_daemon_killed_while_it_freezes_leaves_nothing_that_is_sent(kind: Kind) {
        let mut app = TestApp::spawn_with(kind, "database.rows_at_once = 1\ndispatch.lease_seconds = 1\n").await;
        app.load_sample().await;
        app.stop().await;
        let config = app.config_file();
        for at in [1, 150, 400] {
            let daemon = ServeProcess::start(&config);
            app.api.move_to(daemon.base.clone());
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = client.post(format!("{}/api/v1/alerts", daemon.base)).bearer_auth(app.api.key());
            let asked = tokio::spawn(request.json(&alert(&["jamtland"], 0)).send());
            app.until_sealed(|deliveries| deliveries >= at || asked.is_finished()).await;
            daemon.kill();
            let answer = asked.await.unwrap();
            assert!(answer.is_err(), "somebody was told what became of it: {answer:?}");
        }
        let daemon = ServeProcess::start(&config);
        app.api.move_to(daemon.base.clone());
        app.until_no("freezing").await;
        assert_eq!((app.rows("message").await, app.rows("delivery").await, app.sealed().await), (0, 0, 0));
        assert_eq!(app.gateway.journal().len(), 0);
        let made = app.api.post("/alerts", alert(&["2326"], 0)).await;
        let by_sms = made.json["audience"]["by_sms"].as_i64().unwrap();
        app.gateway.journal().wait_for(usize::try_from(by_sms).unwrap()).await;
        app.alert_when(&id(&made), |alert| alert["state"] == "done").await;
        assert_eq!(app.gateway.journal().duplicates(), []);
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        let verified = child::run(&config, &["verify"]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    }
}
