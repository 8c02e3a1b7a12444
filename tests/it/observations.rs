//! What contact persons answer by SMS, through the gateway's hook, until somebody has seen it and it was answered.

use std::time::Duration;

use grannpost::simulator::InboundMessage;
use serde_json::{Value, json};

use crate::support::{Kind, SECRET, TestApp, on_both_databases};

const EVA: &str = "+46701740601";
const NILS: &str = "+46701740609";
const STRANGER: &str = "+46701740699";

impl TestApp {
    /// Eva in Hackås (2326) with four households and Nils in Duved (2321) with three, and a gateway that brings SMS.
    pub async fn with_two_persons(kind: Kind, more: &str) -> Self {
        let app = Self::spawn_with(kind, more).await;
        let inbound = format!("{}/hooks/sms/elks/{SECRET}/inbound", app.api.base());
        app.gateway.change(|gateway| gateway.sms_url = Some(inbound));
        for (name, mobile, municipality, area, households) in
            [("Eva Ek", EVA, "2326", "Hackås", 4), ("Nils Nord", NILS, "2321", "Duved", 3)]
        {
            let body = json!({ "name": name, "mobile": mobile, "municipality": municipality, "watch_area": area,
                "households": households, "email": format!("{}@example.org", municipality) });
            assert_eq!(app.api.post("/contact-persons", body).await.status, 201);
        }
        app
    }

    pub async fn sms(&self, id: &str, from: &str, text: &str) {
        let message = InboundMessage { id: id.into(), from: from.into(), to: "+46766860000".into(), text: text.into() };
        let brought = self.gateway.post_inbound(message).await;
        assert_eq!((brought.code, brought.empty_body), (Some(204), true), "{id}");
    }

    /// Sends an alert to these areas and waits until the phones have it.
    pub async fn alert(&self, areas: &[&str], more: Value) -> String {
        let mut body = json!({ "text": "Röd skåpbil söks", "areas": areas, "decided_by": "Befäl", "undo_seconds": 0 });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = self.api.post("/alerts", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.json["id"].as_str().unwrap().to_owned();
        self.alert_when(&id, |alert| alert["state"] == "done").await;
        id
    }

    /// The list at `path`, once it holds so many.
    pub async fn observations(&self, query: &str, count: usize) -> Vec<Value> {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.api.get(&format!("/observations?limit=1000{query}")).await.json;
            if last["items"].as_array().is_some_and(|items| items.len() == count) {
                return last["items"].as_array().unwrap().clone();
            }
            self.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        panic!("not {count} observations: {last:#}");
    }

    /// What the gateway was handed for a number, once it is so many.
    pub async fn texts_to(&self, number: &str, count: usize) -> Vec<String> {
        let mut found = Vec::new();
        for _ in 0..600 {
            found = self
                .gateway
                .journal()
                .messages()
                .into_iter()
                .filter(|sms| sms.to == number)
                .map(|sms| sms.text)
                .collect();
            if found.len() >= count {
                break;
            }
            self.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        assert_eq!(found.len(), count, "{found:?}");
        found
    }

    async fn person(&self, name: &str) -> Value {
        let found = self.api.get(&format!("/contact-persons?q={name}")).await;
        found.json["items"][0].clone()
    }
}

on_both_databases! {
    async fn an_alert_that_asks_names_who_watches_and_its_own_number_is_told(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "replies.watched_by = \"\"").await;
        let body = |more: Value| {
            let mut body = json!({ "text": "Röd skåpbil söks", "areas": ["2326"], "decided_by": "Befäl", "undo_seconds": 0 });
            for (name, value) in more.as_object().unwrap() {
                body[name] = value.clone();
            }
            body
        };
        let warns = |alert: &Value| alert["warnings"].as_array().unwrap().iter().any(|one| one["code"] == "alert.nobody_watches");
        let nobody = app.api.post("/alerts", body(json!({}))).await;
        assert!(warns(&nobody.json) && nobody.json["watched_by"].is_null(), "{}", nobody.text);
        let informs = app.api.post("/alerts", body(json!({ "kind": "information", "watched_by": "RLC" }))).await;
        assert!(!warns(&informs.json) && informs.json["watched_by"].is_null(), "{}", informs.text);
        for wrong in ["112", "063-15 00 00", "abc"] {
            let refused = app.api.post("/alerts", body(json!({ "duty_number": wrong }))).await;
            assert!(refused.status == 422 && refused.names_field("duty_number"), "{wrong} {}", refused.text);
        }
        app.advance(Duration::from_secs(3_600));
        let named = json!({ "text": "Inbrott i Hackås", "watched_by": "Vakthavande befäl", "duty_number": "070-174 06 50" });
        let id = app.alert(&["2326"], named).await;
        let alert = app.api.get(&format!("/alerts/{id}")).await.json;
        assert_eq!((&alert["watched_by"], &alert["duty_number"]), (&json!("Vakthavande befäl"), &json!("+46701740650")));
        assert!(!warns(&alert), "{alert:#}");
        let update = json!({ "kind": "update", "text": "Blå skåpbil", "undo_seconds": 0 });
        let update = app.api.post(&format!("/alerts/{id}/follow-ups"), update).await;
        assert_eq!(update.json["watched_by"], "Vakthavande befäl", "{}", update.text);
        app.sms("s1", EVA, "Han är här med kniv").await;
        app.observations("", 1).await;
        app.advance(Duration::from_secs(61));
        let told = app.texts_to("+46701740650", 1).await;
        assert!(told[0].contains("kan vara akut") && !told[0].contains("kniv"), "{told:?}");
        let mut operator = app.signed_in("operator", "").await;
        for (path, text) in [("", "Svaren läses av: Vakthavande befäl"), ("/report", "Akuta svar: 070-174 06 50")] {
            let page = operator.get(&format!("/alerts/{id}{path}")).await;
            assert!(page.says(text), "{path} {}", page.html);
        }
        let page = operator.get("/alerts/new").await;
        assert!(page.says("Svaren läses av ingen än"), "{}", page.html);
        let mut fields = [("areas", "2326"), ("text", "Grön bil"), ("kind", "observation"), ("spread", "households"), ("decided_by", "Vakthavande befäl"),
            ("validity", "240"), ("watched_by", ""), ("duty_number", "")];
        let asks = operator.submit(&page, "/alerts/confirm", &fields).await;
        assert!(asks.says("ingen är utsedd") && asks.says("ingen är utsedd att läsa svaren"), "{}", asks.html);
        (fields[6].1, fields[7].1) = ("Insatsledaren", "070-174 06 51");
        let asks = operator.submit(&page, "/alerts/confirm", &fields).await;
        assert!(asks.says("Insatsledaren. Akuta svar: 070-174 06 51."), "{}", asks.html);
        assert!(asks.says("name=\"watched_by\" value=\"Insatsledaren\""), "{}", asks.html);
        fields[7].1 = "abc";
        let wrong = operator.submit(&page, "/alerts/confirm", &fields).await;
        assert!(wrong.status == 422 && wrong.says("Ange ett mobilnummer som kan få sms"), "{}", wrong.html);
    }

    async fn an_answer_is_tied_to_its_person_and_alert_and_kept_once(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        let alert = app.alert(&["2326"], json!({})).await;
        for _ in 0..3 {
            app.sms("s1", EVA, "Såg ABC 123 i Hackås kl. 02.15").await;
        }
        app.sms("s2", STRANGER, "Vem är detta?").await;
        app.sms("s3", "Telia", "Du har ett missat samtal").await;
        let all = app.observations("", 3).await;
        let of = |text: &str| all.iter().find(|one| one["text"].as_str().unwrap().contains(text)).unwrap();
        let eva = of("ABC 123");
        assert_eq!((&eva["alert_id"], &eva["channel"], &eva["state"]), (&json!(alert), &json!("sms"), &json!("received")));
        assert_eq!((&eva["contact_person_id"], &eva["sender"]), (&app.person("Eva").await["id"], &json!(EVA)));
        assert_eq!((&eva["received_at"], &eva["answer_by"]), (&json!("2026-11-20T01:31:00Z"), &json!("2026-11-27T01:31:00Z")));
        for unknown in ["Vem", "missat"] {
            assert_eq!((&of(unknown)["contact_person_id"], &of(unknown)["alert_id"]), (&Value::Null, &Value::Null));
        }
        assert_eq!(app.observations("&unknown=true", 2).await.len(), 2);
        let one = app.api.get(&format!("/observations/{}", eva["id"].as_str().unwrap())).await.json;
        let marks: Vec<(&str, &str)> = one["marks"].as_array().unwrap().iter()
            .map(|mark| (mark["kind"].as_str().unwrap(), mark["text"].as_str().unwrap())).collect();
        assert_eq!(marks, [("registration_number", "ABC 123"), ("place", "Hackås"), ("time", "kl. 02.15")]);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn of_two_alerts_the_likeliest_is_chosen_and_the_other_is_offered(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        let asks = app.alert(&["2326"], json!({ "text": "Inbrott i Hackås" })).await;
        app.advance(Duration::from_secs(60));
        let informs = app.alert(&["2326"], json!({ "kind": "information" })).await;
        app.sms("s1", EVA, "Jag såg en bil").await;
        let one = app.observations("", 1).await.remove(0);
        assert_eq!((&one["alert_id"], &one["alternative_alert_id"]), (&json!(asks), &json!(informs)));
        let path = format!("/observations/{}", one["id"].as_str().unwrap());
        let moved = app.api.patch(&path, json!({ "alert_id": informs })).await.json;
        assert_eq!((&moved["alert_id"], &moved["alternative_alert_id"]), (&json!(informs), &json!(asks)));
        app.sms("s2", NILS, "Allt lugnt i Duved").await;
        let nils = app.observations("", 2).await.into_iter().find(|one| one["text"] == "Allt lugnt i Duved").unwrap();
        assert_eq!(nils["alert_id"], Value::Null, "no alert went to Duved");
        app.advance(Duration::from_secs(60));
        app.api.post(&format!("/alerts/{asks}/follow-ups"), json!({ "kind": "all_clear", "text": "Gripen", "undo_seconds": 0 })).await;
        app.texts_to(EVA, 4).await;
        app.sms("s3", EVA, "Bra jobbat").await;
        let last = app.observations("", 3).await.into_iter().find(|one| one["text"] == "Bra jobbat").unwrap();
        assert_eq!(last["alert_id"], json!(asks), "an answer to a follow-up belongs to the alert it follows");
        app.advance(Duration::from_secs(40 * 3600));
        app.sms("s4", EVA, "Hej igen").await;
        let late = app.observations("", 4).await.into_iter().find(|one| one["text"] == "Hej igen").unwrap();
        assert_eq!(late["alert_id"], Value::Null, "the window is closed");
    }

    async fn the_parts_of_a_long_sms_are_one_text_in_the_inbox(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "replies.automatic = false").await;
        let (first, rest) = ("Jag såg två män ".repeat(10), "vid bommen, en har kniv");
        let first: String = first.chars().take(153).collect();
        app.sms("s1", EVA, &first).await;
        app.observations("", 1).await;
        app.sms("s2", EVA, rest).await;
        app.sms("s3", NILS, "Kort").await;
        let mut all = app.observations("", 2).await;
        for _ in 0..100 {
            if all.iter().any(|one| one["parts"] == 2) {
                break;
            }
            app.desk.wakeup.wait(Duration::from_millis(50)).await;
            all = app.observations("", 2).await;
        }
        let long = all.iter().find(|one| one["parts"] == 2).unwrap();
        assert_eq!(long["text"], json!(format!("{first}{rest}")));
        assert_eq!(long["urgent"], true, "a word in any part counts");
    }

    async fn a_stop_ends_alerts_with_source_and_time_and_is_confirmed_once(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        for (id, text) in [("s1", "Stopp!"), ("s1", "Stopp!"), ("s2", "STOP"), ("s3", "sluta")] {
            app.sms(id, EVA, text).await;
        }
        app.observations("&kind=command", 3).await;
        let confirmations = app.texts_to(EVA, 1).await;
        assert!(confirmations[0].contains("inga fler sms") && !confirmations[0].contains("http"), "{confirmations:?}");
        let eva = app.person("Eva").await;
        assert_eq!(eva["opt_outs"], json!([{ "channel": "sms", "source": "sms", "at": "2026-11-20T01:31:00Z" }]));
        let audience = app.api.post("/audiences", json!({ "areas": ["2326"], "channel": "sms" })).await.json;
        assert_eq!(audience["by_sms"], 0);
        app.sms("s4", EVA, "Start").await;
        assert!(app.texts_to(EVA, 2).await[1].contains("igen"));
        assert_eq!(app.person("Eva").await["opt_outs"], json!([]));
        app.sms("s5", EVA, "STOP BREV").await;
        app.texts_to(EVA, 3).await;
        assert_eq!(app.person("Eva").await["opt_outs"][0]["channel"], "email");
        app.sms("s6", EVA, "Stopp, där är bilen!").await;
        assert_eq!(app.observations("", 1).await[0]["text"], "Stopp, där är bilen!", "a word in a sentence is no command");
        app.sms("s7", STRANGER, "STOP").await;
        assert!(app.texts_to(STRANGER, 1).await[0].contains("inga fler"));
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_pause_by_sms_holds_everything_back_for_a_while(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        app.sms("s1", EVA, "PAUS 14 dagar").await;
        assert!(app.texts_to(EVA, 1).await[0].contains("4/12"));
        assert_eq!(app.person("Eva").await["paused_until"], "2026-12-04T01:31:00Z");
        app.sms("s2", EVA, "paus 14").await;
        app.observations("&kind=command", 2).await;
        app.sms("s3", EVA, "START").await;
        app.texts_to(EVA, 2).await;
        assert_eq!(app.person("Eva").await["paused_until"], Value::Null);
    }

    async fn what_was_passed_on_is_counted_in_households(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        let alert = app.alert(&["2326", "2321"], json!({ "spread": "households" })).await;
        app.sms("s1", EVA, "SPRITT 14").await;
        app.sms("s2", NILS, "Ja!").await;
        app.observations("&kind=spread", 2).await;
        let shown = app.api.get(&format!("/alerts/{alert}")).await.json;
        assert_eq!(shown["spread_reach"], json!({ "contact_persons": 2, "households": 17, "silent": 0 }));
        app.sms("s3", EVA, "Spritt till 20 hushåll").await;
        app.observations("&kind=spread", 3).await;
        let shown = app.api.get(&format!("/alerts/{alert}")).await.json;
        assert_eq!(shown["spread_reach"]["households"], 23, "the last word counts");
        assert_eq!(app.texts_to(EVA, 1).await.len(), 1, "only the alert: nobody is thanked by a machine for that");
        app.advance(Duration::from_secs(48 * 3600));
        app.alert(&["2326"], json!({ "spread": "contact_person_only" })).await;
        app.sms("s4", EVA, "Spritt till 3").await;
        let seen = app.observations("", 1).await.remove(0);
        assert_eq!(seen["text"], "Spritt till 3", "what should not have been spread is for a person to see");
    }

    async fn those_who_are_silent_about_spreading_are_reminded_and_nobody_else(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        let alert = app.alert(&["2326", "2321"], json!({ "spread": "households" })).await;
        app.sms("s1", EVA, "SPRITT").await;
        app.observations("&kind=spread", 1).await;
        let shown = app.api.get(&format!("/alerts/{alert}")).await.json;
        assert_eq!(shown["spread_reach"], json!({ "contact_persons": 1, "households": 4, "silent": 1 }));
        let body = json!({ "kind": "update", "text": "Svara SPRITT och antal hushåll.", "only": "silent", "undo_seconds": 0 });
        let made = app.api.post(&format!("/alerts/{alert}/follow-ups"), body.clone()).await;
        assert_eq!((made.status.as_u16(), &made.json["audience"]["by_sms"]), (201, &json!(1)), "{}", made.text);
        app.texts_to(NILS, 2).await;
        assert_eq!(app.texts_to(EVA, 1).await.len(), 1);
        app.sms("s2", NILS, "1").await;
        app.observations("&kind=spread", 2).await;
        let none = app.api.post(&format!("/alerts/{alert}/follow-ups"), body).await;
        assert_eq!(none.status, 409, "{}", none.text);
        let wrong = app.api.post(&format!("/alerts/{alert}/follow-ups"), json!({ "kind": "all_clear", "text": "x", "only": "silent" })).await;
        assert!(wrong.names_field("only"), "what closes an alert goes to everybody: {}", wrong.text);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn the_automatic_answer_comes_once_per_person_and_alert_and_never_to_a_machine(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        app.alert(&["2326"], json!({})).await;
        for (id, text) in [("s1", "Såg en bil"), ("s2", "Den åkte norrut"), ("s3", "Nu är den borta")] {
            app.sms(id, EVA, text).await;
        }
        app.sms("s4", "Telia", "Hej").await;
        app.sms("s5", "72456", "Hej").await;
        app.observations("", 5).await;
        let texts = app.texts_to(EVA, 2).await;
        assert_eq!(texts[1], "Ditt svar har kommit in till polisen. Pågår brott: ring 112.");
        // A machine at the other end that answers every SMS, and one that echoes ours.
        for id in 0..12 {
            app.sms(&format!("loop{id}"), STRANGER, "Jag är på semester").await;
            app.sms(&format!("echo{id}"), NILS, &texts[1]).await;
        }
        app.observations("", 29).await;
        assert_eq!(app.texts_to(STRANGER, 1).await.len(), 1);
        assert_eq!(app.texts_to(NILS, 0).await.len(), 0);
        assert_eq!(app.gateway.journal().messages().iter().filter(|sms| sms.to == "Telia" || sms.to == "72456").count(), 0);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_stop_is_confirmed_also_after_a_day_of_automatic_answers(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        // Six alerts, and five automatic answers, which is as many as there are in a day.
        for number in 0..6 {
            app.alert(&["2326"], json!({ "text": format!("Röd skåpbil söks, nummer {number}") })).await;
            app.texts_to(EVA, 2 * number + 1).await;
            app.advance(Duration::from_secs(60));
            app.sms(&format!("s{number}"), EVA, &format!("Såg den, nummer {number}")).await;
            app.observations("", number + 1).await;
            app.texts_to(EVA, (2 * number + 2).min(11)).await;
        }
        app.sms("stop", EVA, "STOP").await;
        let texts = app.texts_to(EVA, 12).await;
        assert!(texts[11].contains("START"), "{texts:?}");
    }

    async fn in_staffed_hours_only_urgent_words_are_answered_by_the_program(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "replies.staffed_hours = \"00:00-06:00\"").await;
        app.sms("s1", EVA, "Såg en bil").await;
        app.observations("", 1).await;
        app.sms("s2", NILS, "Han är här med kniv").await;
        app.texts_to(NILS, 1).await;
        assert_eq!(app.texts_to(EVA, 0).await.len(), 0);
    }

    async fn an_urgent_answer_that_nobody_takes_goes_to_the_duty_number_once(kind: Kind) {
        let app = TestApp::with_two_persons(kind, &format!("replies.duty_number = \"{STRANGER}\"\nreplies.automatic = false")).await;
        app.sms("s1", EVA, "Han är här med kniv").await;
        app.sms("s2", NILS, "Hörde skott").await;
        let urgent = app.observations("&urgent=true", 2).await;
        let nils = urgent.iter().find(|one| one["text"] == "Hörde skott").unwrap();
        let path = format!("/observations/{}", nils["id"].as_str().unwrap());
        assert_eq!(app.api.patch(&path, json!({ "owner": "me" })).await.status, 200);
        app.advance(Duration::from_secs(59));
        app.desk.wakeup.wait(Duration::from_millis(1500)).await;
        assert_eq!(app.texts_to(STRANGER, 0).await.len(), 0, "a minute is not over");
        app.advance(Duration::from_secs(2));
        let told = app.texts_to(STRANGER, 1).await;
        assert!(told[0].contains("Hackås") && told[0].contains("kl. 02.31"), "{told:?}");
        assert!(!told[0].contains("kniv") && !told[0].contains("http"), "{told:?}");
        app.advance(Duration::from_secs(120));
        app.desk.wakeup.wait(Duration::from_millis(2500)).await;
        assert_eq!(app.texts_to(STRANGER, 1).await.len(), 1, "once, and not of what was taken");
    }

    async fn an_observation_is_judged_answered_and_fed_back(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "replies.automatic = false").await;
        let alert = app.alert(&["2326", "2321"], json!({})).await;
        app.sms("s1", EVA, "Röd bil").await;
        app.sms("s2", NILS, "Också röd bil").await;
        app.sms("s3", EVA, "Den åkte").await;
        let all = app.observations("&unanswered=true", 3).await;
        let eva = all.iter().find(|one| one["text"] == "Röd bil").unwrap()["id"].as_str().unwrap().to_owned();
        let path = format!("/observations/{eva}");
        let edit = json!({ "state": "assessed", "tags": ["Trafik", "egen"], "owner": "me", "place": "Macken", "seen_at": "2026-11-20T01:00:00Z" });
        let changed = app.api.patch(&path, edit).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        assert_eq!(changed.json["tags"], json!(["egen", "traffic"]));
        assert_eq!((&changed.json["state"], &changed.json["place"]), (&json!("assessed"), &json!("Macken")));
        assert_eq!(app.observations("&tag=traffic&state=assessed&owner=me", 1).await[0]["id"], eva);
        for (wrong, field) in [
            (json!({ "state": "done" }), "state"), (json!({ "tags": [""] }), "tags"), (json!({ "owner": "operator:x" }), "owner"),
            (json!({ "contact_person_id": "x" }), "contact_person_id"), (json!({ "alert_id": "x" }), "alert_id"),
        ] {
            assert!(app.api.patch(&path, wrong.clone()).await.names_field(field), "{wrong}");
        }
        let reply = format!("{path}/reply");
        for (wrong, field) in [
            (json!({ "text": "" }), "text"), (json!({ "text": "Se https://polisen.se" }), "text"),
            (json!({ "text": "x".repeat(2000) }), "text"), (json!({ "text": "19121212-1212" }), "text"),
            (json!({ "text": "x", "kind": "z" }), "kind"), (json!({ "text": "x", "to": "all" }), "to"),
        ] {
            assert!(app.api.post(&reply, wrong.clone()).await.names_field(field), "{wrong}");
        }
        app.advance(Duration::from_secs(600));
        let sent = app.api.post(&reply, json!({ "text": "Tack, vi åker dit." })).await;
        assert_eq!((sent.status.as_u16(), &sent.json["sms"]["parts"]), (201, &json!(1)), "{}", sent.text);
        assert_eq!(app.texts_to(EVA, 2).await[1], "Tack, vi åker dit.");
        let message = app.gateway.journal().messages().pop().unwrap();
        assert_eq!(message.from, "+46766860000", "it can be answered");
        assert_eq!(app.observations("&unanswered=true", 2).await.len(), 2);
        let all_who_helped = json!({ "text": "Bilen är funnen. Tack!", "kind": "feedback", "to": "all" });
        let sent = app.api.post(&reply, all_who_helped).await;
        assert_eq!((sent.status.as_u16(), &sent.json["recipients"]), (201, &json!(2)), "{}", sent.text);
        assert_eq!(app.texts_to(EVA, 3).await.len(), 3, "who wrote twice hears once");
        app.texts_to(NILS, 2).await;
        let done = app.observations(&format!("&state=fed_back&alert_id={alert}"), 3).await;
        assert!(done.iter().all(|one| one["fed_back_at"].is_string()), "{done:?}");
        let thread = app.api.get(&path).await.json;
        let kinds: Vec<&str> = thread["replies"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
        assert_eq!((kinds, thread["others"].as_array().unwrap().len()), (vec!["answer", "feedback"], 1));
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_observation_is_seen_by_those_of_its_area(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        app.sms("s1", EVA, "Från Hackås").await;
        app.sms("s2", STRANGER, "Från ingenstans").await;
        let all = app.observations("", 2).await;
        for (role, area, wanted) in
            [("operator", "2326", &["Från Hackås"][..]), ("officer", "2321", &[]), ("officer", "jamtland", &["Från Hackås", "Från ingenstans"])]
        {
            let there = app.api.with_key(&app.key(role, area).await);
            let mut seen: Vec<String> = there.get("/observations").await.json["items"].as_array().unwrap().iter()
                .map(|one| one["text"].as_str().unwrap().to_owned()).collect();
            seen.sort();
            assert_eq!(seen, wanted, "{role} {area}");
            for one in &all {
                let may = wanted.contains(&one["text"].as_str().unwrap());
                let path = format!("/observations/{}", one["id"].as_str().unwrap());
                assert_eq!(there.get(&path).await.status, if may { 200 } else { 404 }, "{role} {area}");
                assert_eq!(there.patch(&path, json!({ "place": "x" })).await.status, if may { 200 } else { 404 });
            }
        }
    }

    async fn an_unknown_sender_is_tied_to_a_person_by_hand(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        app.sms("s1", STRANGER, "Det är Eva, jag har nytt nummer").await;
        let one = app.observations("&unknown=true", 1).await.remove(0);
        let eva = app.person("Eva").await;
        let path = format!("/observations/{}", one["id"].as_str().unwrap());
        let tied = app.api.patch(&path, json!({ "contact_person_id": eva["id"] })).await;
        assert_eq!((&tied.json["contact_person_id"], &tied.json["area"]), (&eva["id"], &eva["area"]), "{}", tied.text);
        app.observations("&unknown=true", 0).await;
    }

    async fn erasing_a_person_takes_the_number_out_of_what_they_sent(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        app.sms("s1", EVA, "Röd bil").await;
        app.texts_to(EVA, 1).await;
        let eva = app.person("Eva").await["id"].as_str().unwrap().to_owned();
        let mut session = app.desk.store.begin().await.unwrap();
        let extract = grannpost::actions::extract::of_person(&app.desk, &mut session, &crate::support::root(), &eva).await.unwrap();
        session.commit().await.unwrap();
        assert_eq!(extract["observations"][0]["text"], "Röd bil");
        assert_eq!(extract["observations"][0]["sender"], EVA);
        assert_eq!(extract["replies"][0]["kind"], "automatic");
        assert_eq!(app.api.delete(&format!("/contact-persons/{eva}")).await.status, 204);
        let one = app.observations("", 1).await.remove(0);
        assert_eq!((&one["text"], &one["sender"]), (&json!("Röd bil"), &json!("")), "the text is kept, the sender is not");
        let number = EVA.trim_start_matches('+');
        for sql in [
            "SELECT sender FROM observation", "SELECT raw FROM inbound_sms", "SELECT address FROM delivery",
            "SELECT COALESCE(text, '') FROM observation",
        ] {
            let found = app.database.texts(sql).await;
            let raw: Vec<String> = found.iter().map(|text| {
                let decoded = data_encoding::BASE64.decode(text.as_bytes()).unwrap_or_default();
                format!("{text} {}", String::from_utf8_lossy(&decoded))
            }).collect();
            assert!(raw.iter().all(|text| !text.contains(number)), "{sql}: {raw:?}");
        }
        assert_eq!(app.api.post(&format!("/observations/{}/reply", one["id"].as_str().unwrap()), json!({ "text": "Hej" })).await.status, 409);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn new_observations_are_told_as_they_come_without_their_text(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "replies.automatic = false").await;
        let key = app.key("officer", "2326").await;
        let mut events = app.api.with_key(&key).events().await;
        app.sms("s1", NILS, "Från Duved").await;
        app.sms("s2", EVA, "Röd bil vid macken").await;
        let heard = events.until_told(&["event: observation"]).await;
        assert!(!heard.contains("macken") && !heard.contains("4670174"), "{heard}");
        let eva = app.observations("", 2).await.into_iter().find(|one| one["text"] == "Röd bil vid macken").unwrap();
        assert!(heard.contains(eva["id"].as_str().unwrap()), "{heard}");
        assert!(!heard.contains("event: message"), "an officer reads no alerts: {heard}");
    }

    async fn the_inbox_is_worked_with_on_pages_without_scripts(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "replies.automatic = false").await;
        let alert = app.alert(&["2326", "2321"], json!({ "spread": "households" })).await;
        app.sms("s1", EVA, "Han är här, ABC 123").await;
        app.sms("s2", STRANGER, "Vem är ni?").await;
        app.sms("s3", NILS, "SPRITT 5").await;
        let all = app.observations("&kind=all", 3).await;
        let id = |text: &str| all.iter().find(|one| one["text"] == text).unwrap()["id"].as_str().unwrap().to_owned();
        let (eva, stranger) = (id("Han är här, ABC 123"), id("Vem är ni?"));
        let mut browser = app.signed_in("operator", "").await;
        let start = browser.get("/").await;
        assert!(start.html.contains("Ett svar kan vara akut") && start.html.contains("2 iakttagelser väntar på svar"), "{}", start.html);
        let inbox = browser.get("/observations").await;
        for words in ["Inkorg", "Eva Ek, Hackås", "Kan vara akut", "Okänd: 070-174 06 99", "Svara senast"] {
            assert!(inbox.html.contains(words), "{words}: {}", inbox.html);
        }
        assert!(!inbox.html.contains("SPRITT"));
        assert!(browser.get("/observations?list=done").await.html.contains("Säger sig ha spridit vidare"));
        let live = browser.get(&format!("/alerts/{alert}")).await;
        for words in ["Han är här, ABC 123", "hushåll har fått veta, enligt 1 kontaktombud", "Påminn 1 som inte"] {
            assert!(live.html.contains(words), "{words}: {}", live.html);
        }
        let new = browser.get(&format!("/alerts/{alert}/answers/new?after=0")).await;
        assert!(new.html.contains("1 nytt svar"), "{}", new.html);
        let path = format!("/observations/{eva}");
        let page = browser.get(&path).await;
        assert!(page.html.contains("<mark title=\"registreringsnummer\">ABC 123</mark>"), "{}", page.html);
        let page = browser.submit(&page, &format!("{path}/take"), &[]).await;
        assert!(page.html.contains("Lämna den ifrån dig") && !page.html.contains("Ett svar kan vara akut"), "{}", page.html);
        let fields = [("state", "acted"), ("tags", "traffic"), ("own_tags", "e14, natt"), ("place", "Macken"), ("seen_at", "2026-11-20T02:15")];
        let page = browser.submit(&page, &path, &fields).await;
        let kept = app.api.get(&path).await.json;
        assert_eq!((&kept["state"], &kept["tags"]), (&json!("acted"), &json!(["e14", "natt", "traffic"])));
        assert_eq!((&kept["place"], &kept["seen_at"]), (&json!("Macken"), &json!("2026-11-20T01:15:00Z")));
        let tag = [("tag", "Våld i offentlig miljö"), ("next", "/observations?list=mine")];
        let inbox = browser.submit(&page, &format!("{path}/tag"), &tag).await;
        assert!(inbox.html.contains("data-tag=\"traffic violence\""), "{}", inbox.html);
        assert_eq!(app.api.get(&path).await.json["tags"], json!(["e14", "natt", "traffic", "violence"]));
        let page = browser.submit(&page, &format!("{path}/tag"), &[("tag", "violence"), ("as", "no")]).await;
        assert_eq!(app.api.get(&path).await.json["tags"], json!(["e14", "natt", "traffic"]));
        let nobody = browser.submit(&page, &format!("{path}/take"), &[("as", "operator:nobody")]).await;
        assert_eq!(nobody.status, 422, "{}", nobody.html);
        let wrong = browser.submit(&page, &path, &[("seen_at", "i går")]).await;
        assert!(wrong.status == 422 && wrong.html.contains("Skriv datum och tid"), "{}", wrong.html);
        let look = browser.submit(&page, &format!("{path}/reply"), &[("text", "Vi kommer €"), ("look", "yes")]).await;
        assert!(look.html.contains("12 tecken · 1 sms"), "{}", look.html);
        let empty = browser.submit(&page, &format!("{path}/reply"), &[("key", "k0"), ("text", " ")]).await;
        assert!(empty.status == 422 && empty.html.contains("Skriv en text"), "{}", empty.html);
        for _ in 0..2 {
            let page = browser.submit(&page, &format!("{path}/reply"), &[("key", "k1"), ("text", "Vi kommer")]).await;
            assert!(page.status == 200 && page.html.contains("Vi kommer"), "{}", page.html);
        }
        assert_eq!(app.texts_to(EVA, 2).await[1], "Vi kommer", "a second press sends nothing more");
        let page = browser.get(&format!("/observations/{stranger}?person=Nils")).await;
        let nils = app.person("Nils").await["id"].as_str().unwrap().to_owned();
        assert!(page.html.contains("Koppla till Nils Nord, Duved"), "{}", page.html);
        let page = browser.submit(&page, &format!("/observations/{stranger}/tie"), &[("contact_person", &nils)]).await;
        assert!(page.html.contains("Nils Nord, Duved") && !page.html.contains("Koppla till kontaktombud"), "{}", page.html);
        let page = browser.submit(&page, &format!("/observations/{stranger}/archive"), &[]).await;
        assert!(page.html.contains("Ta fram igen"));
        assert!(!browser.get("/observations?list=all").await.html.contains("Svara senast"));
        let remind = browser.get(&format!("/alerts/{alert}/follow-up?kind=update&only=silent")).await;
        assert!(remind.html.contains("till de 1 telefoner") && remind.html.contains("Svara SPRITT"), "{}", remind.html);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn eleven_hundred_answers_in_a_burst_are_kept_once_and_hold_no_alert_up(kind: Kind) {
        let app = TestApp::spawn_with(kind, "sms.gateways.elks.rate_per_second = 200").await;
        app.load_sample().await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/hooks/sms/elks/{SECRET}/inbound", app.api.base());
        let mut numbers = app.database.texts("SELECT DISTINCT mobile FROM contact_person WHERE mobile IS NOT NULL ORDER BY mobile").await;
        numbers.extend((0..1_100).map(|number| format!("+4670174{}", 3_000 + number)));
        numbers.truncate(1_100);
        let body = json!({ "text": "Röd skåpbil söks", "areas": ["jamtland"], "decided_by": "Befäl", "undo_seconds": 0 });
        let made = app.api.post("/alerts", body).await;
        let id = made.json["id"].as_str().unwrap().to_owned();
        let brought: Vec<_> = numbers.iter().enumerate().flat_map(|(at, number)| {
            // Every tenth comes twice, as a gateway brings what it is not sure of.
            std::iter::repeat_n((at, number.clone()), if at % 10 == 0 { 2 } else { 1 })
        }).map(|(at, number)| {
            let form = format!("direction=incoming&id=s{at}&from={}&to=%2B46766860000&message=Svar+{at}", number.replace('+', "%2B"));
            let request = client.post(&url).header("content-type", "application/x-www-form-urlencoded").body(form);
            tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
        }).collect();
        for one in brought {
            assert_eq!(one.await.unwrap(), 204);
        }
        app.alert_when(&id, |alert| alert["state"] == "done").await;
        let first = app.api.get("/observations?limit=1000").await.json;
        let mut texts = std::collections::BTreeSet::new();
        for _ in 0..600 {
            texts = app.database.texts("SELECT text FROM observation").await.into_iter().collect();
            if texts.len() == 1_100 {
                break;
            }
            app.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        assert_eq!((texts.len(), app.database.texts("SELECT text FROM observation").await.len()), (1_100, 1_100), "{}", first["items"].as_array().unwrap().len());
        let messages = app.gateway.journal().messages();
        let last = messages.iter().rposition(|sms| sms.text.contains("Röd skåpbil")).unwrap();
        let early = messages[..last].iter().filter(|sms| !sms.text.contains("Röd skåpbil")).count();
        assert!(early <= 50, "{early} automatic answers went before the alert was out");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }
}
