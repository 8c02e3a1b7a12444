//! Stories of letters, through the API and a mail sink over real SMTP.

use std::collections::HashSet;
use std::time::Duration;

use grannpost::simulator::{AfterDot, ReceivedMail};
use mail_parser::{Message, MessageParser, MimeHeaders};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, on_both_databases};

fn letter(areas: &[&str]) -> Value {
    json!({
        "subject": "Höstens inbrott, läget & råd",
        "body_markdown": "Vi har *inte* glömt dig.\n\n# Läget\n\n- lås\n- ring 112\n\nLäs [mer](https://polisen.se/x).",
        "areas": areas,
        "registry_number": "A378.812/2016",
        "subject_code": "742",
        "signature": { "name": "Anna Hedin", "title": "Tf områdeschef" },
        "copy_recipients": [],
    })
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

fn parsed(mail: &ReceivedMail) -> Message<'_> {
    MessageParser::default().parse(&mail.message).unwrap()
}

fn unsubscribe_path(mail: &ReceivedMail) -> String {
    let message = parsed(mail);
    let header = message.header_raw("List-Unsubscribe").unwrap().to_owned();
    let from = header.find("/u/").unwrap();
    header[from..].split('>').next().unwrap().to_owned()
}

impl TestApp {
    /// Makes a draft and sends it without an undo window.
    async fn send_letter(&self, letter: Value) -> Value {
        let made = self.api.post("/letters", letter).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let path = format!("/letters/{}/send", id(&made.json));
        let sent = self.api.post(&path, json!({ "undo_seconds": 0 })).await;
        assert_eq!(sent.status, 200, "{}", sent.text);
        sent.json
    }

    /// The letter, once `done` says so of it; fails after a generous time with the last state.
    async fn letter_when(&self, id: &str, done: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.api.get(&format!("/letters/{id}")).await.json;
            if done(&last) {
                return last;
            }
            self.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        panic!("the letter never came there: {last:#}");
    }

    async fn add_person(&self, fields: Value) -> String {
        let mut person = json!({ "municipality": "2321", "watch_area": "Duved", "households": 5 });
        person.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let made = self.api.post("/contact-persons", person).await;
        assert_eq!(made.status, 201, "{}", made.text);
        id(&made.json)
    }

    async fn add_reader(&self, name: &str, email: &str) -> String {
        self.add_person(json!({ "name": name, "email": email })).await
    }

    async fn add_paper_reader(&self, name: &str) -> String {
        let address = json!({ "name": name, "address": "Skolvägen 3", "postcode": "837 71", "place": "Duved" });
        self.add_person(address).await
    }
}

on_both_databases! {
    async fn a_letter_to_the_whole_area_goes_to_944_by_mail_and_128_on_paper(kind: Kind) {
        let app = TestApp::spawn_with(kind, "mail.concurrency = 20").await;
        app.load_sample().await;
        let made = app.api.post("/letters", letter(&["jamtland"])).await;
        let expected = json!({ "contact_persons": 1100, "households": 10050, "by_email": 944, "on_paper": 128, "not_reached": 28 });
        assert_eq!(made.json["audience"], expected, "{}", made.text);
        assert_eq!(made.json["state"], "draft");
        let path = format!("/letters/{}", id(&made.json));
        let sending = json!({ "undo_seconds": 0, "expected_recipients": 944 });
        let sent = app.api.post(&format!("{path}/send"), sending).await;
        assert_eq!((sent.status.as_u16(), &sent.json["audience"]), (200, &expected), "{}", sent.text);
        app.mail.journal().wait_for(944).await;
        let mailed = app.letter_when(&id(&made.json), |letter| letter["counts"]["accepted"] == 944).await;
        assert_eq!((&mailed["state"], &mailed["counts"]["queued"]), (&json!("sending"), &json!(128)));
        assert_eq!(app.mail.journal().len(), 944);
        assert_eq!(app.mail.journal().duplicates(), []);

        let paper = app.api.get(&format!("{path}/print")).await;
        assert_eq!(paper.text.matches("<address>").count(), 128);
        let printed = app.api.post(&format!("{path}/printed"), json!({})).await;
        assert_eq!(printed.json, json!({ "printed": 128 }), "{}", printed.text);
        let rows = app.api.get(&format!("{path}/deliveries?state=unconfirmed&limit=1000")).await;
        let rows = rows.json["items"].as_array().unwrap().clone();
        assert!(rows.len() == 128 && rows.iter().all(|row| row["channel"] == "paper"));
        assert_eq!(app.letter_when(&id(&made.json), |_| true).await["state"], "handed_over");
        let mut session = app.desk.store.read().await.unwrap();
        let last = grannpost::store::letter::last_sent(&mut session).await.unwrap();
        drop(session);
        assert_eq!(last.len(), 8, "every municipality has had a letter");
        app.advance(Duration::from_secs(121 * 3600));
        app.letter_when(&id(&made.json), |letter| letter["state"] == "done").await;
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_letter_that_needs_approval_awaits_it_and_goes_by_a_colleague_only(kind: Kind) {
        let app = TestApp::spawn_with(kind, "letters.approval = { above = 1 }").await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        let mut one = letter(&["2321"]);
        one["copy_recipients"] = json!([]);
        let sent = app.send_letter(one.clone()).await;
        assert_eq!(sent["state"], "queued", "one recipient needs none");
        app.add_reader("Bo Ek", "bo.ek@example.org").await;
        let handed_in = app.send_letter(one).await;
        assert_eq!(handed_in["state"], "awaiting_approval");
        let path = format!("/letters/{}", id(&handed_in));
        let own = app.api.post(&format!("{path}/approve"), json!({ "revision": 1 })).await;
        assert_eq!((own.status.as_u16(), &own.json["code"]), (403, &json!("letter.own_revision")), "{}", own.text);
        let twice = app.api.post(&format!("{path}/send"), json!({})).await;
        assert_eq!((twice.status.as_u16(), &twice.json["code"]), (409, &json!("letter.awaiting_approval")));
        let stale = app.api.patch(&path, json!({ "subject": "Nytt", "revision": 7 })).await;
        assert_eq!((stale.status.as_u16(), &stale.json["code"]), (409, &json!("letter.revision_changed")));
        let changed = app.api.patch(&path, json!({ "subject": "Nytt", "revision": 1 })).await;
        assert_eq!((&changed.json["state"], &changed.json["revision"]), (&json!("draft"), &json!(2)), "{}", changed.text);
        let asked = app.api.post(&format!("{path}/request-approval"), json!({ "revision": 2 })).await;
        assert_eq!(asked.json["state"], "awaiting_approval", "{}", asked.text);
        let colleague = app.api.with_key(&app.key("chief", "").await);
        let old = colleague.post(&format!("{path}/approve"), json!({ "revision": 1 })).await;
        assert_eq!((old.status.as_u16(), &old.json["code"]), (409, &json!("letter.revision_changed")));
        let returned = colleague.post(&format!("{path}/return"), json!({ "revision": 2, "reason": "Skriv var" })).await;
        assert_eq!(returned.json["state"], "draft", "{}", returned.text);
        app.api.post(&format!("{path}/request-approval"), json!({})).await;
        let approved = colleague.post(&format!("{path}/approve"), json!({ "revision": 2, "expected_recipients": 2 })).await;
        assert_eq!((approved.status.as_u16(), &approved.json["state"]), (200, &json!("queued")), "{}", approved.text);
        app.advance(Duration::from_secs(61));
        app.mail.journal().wait_for(3).await;
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn what_arrives_is_the_preview_but_for_the_readers_own_link(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        let sent = app.send_letter(letter(&["2321"])).await;
        let path = format!("/letters/{}/preview", id(&sent));
        app.mail.journal().wait_for(1).await;
        let mails = app.mail.journal().letters();
        let message = parsed(&mails[0]);
        let own = format!("{}{}", app.api.base(), unsubscribe_path(&mails[0]));
        let shared = |text: &str| text.replace("\r\n", "\n").replace(&own, &format!("{}/u/forhandsvisning", app.api.base()));
        let html = app.api.get(&format!("{path}?format=html")).await;
        assert!(html.headers["content-type"].to_str().unwrap().starts_with("text/html"));
        assert_eq!(shared(&message.body_html(0).unwrap()).trim_end(), html.text.trim_end());
        let text = app.api.get(&format!("{path}?format=text")).await;
        assert_eq!(shared(&message.body_text(0).unwrap()).trim_end(), text.text.trim_end());
        for part in ["Höstens inbrott, läget & råd", "Datum: 20 november 2026", "Diarienummer: A378.812/2016", "Saknummer: 742", "- ring 112", "mer (https://polisen.se/x)", "Tf områdeschef"] {
            assert!(text.text.contains(part), "{part}");
        }
        let pdf = app.api.get(&format!("{path}?format=pdf")).await;
        assert_eq!((pdf.status.as_u16(), &pdf.json["code"]), (501, &json!("letter.pdf_not_built")));
        assert!(app.api.get(&format!("{path}?format=docx")).await.names_field("format"));
    }

    async fn every_mail_has_its_own_envelope_and_the_headers_of_a_list(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        app.add_reader("Bo Ek", "bo.ek@räksmörgås.example.org").await;
        let sent = app.send_letter(letter(&["2321"])).await;
        app.letter_when(&id(&sent), |letter| letter["state"] == "handed_over").await;
        let mails = app.mail.journal().letters();
        let different = |of: fn(&ReceivedMail) -> String| mails.iter().map(of).collect::<HashSet<_>>().len();
        assert_eq!(different(|mail| mail.from.clone()), 2);
        assert_eq!(different(|mail| mail.message_id.clone()), 2);
        assert_eq!(different(unsubscribe_path), 2);
        for mail in &mails {
            let message = parsed(mail);
            assert!(mail.from.starts_with("bounce+") && mail.from.ends_with("@bounces.example.org"), "{}", mail.from);
            assert_eq!(message.subject(), Some("Höstens inbrott, läget & råd"));
            assert_eq!(message.from().unwrap().first().unwrap().name(), Some("Polisområde Jämtland"));
            assert_eq!(message.to().unwrap().iter().count(), 1);
            assert_eq!(message.header_raw("List-Unsubscribe-Post").unwrap().trim(), "List-Unsubscribe=One-Click");
            assert!(message.header_raw("List-Id").unwrap().contains("<grannsamverkan.example.org>"));
            assert!(message.header_raw("Date").unwrap().trim().ends_with("+0100"));
            let types: Vec<_> = message.parts.iter().map(|part| part.content_type().unwrap().subtype().unwrap()).collect();
            assert_eq!(types, ["alternative", "plain", "html"]);
            assert!(!String::from_utf8_lossy(&mail.message).contains("Bcc"));
        }
        assert!(mails.iter().any(|mail| mail.to == "bo.ek@xn--rksmrgs-5wao1o.example.org"));
    }

    async fn a_draft_says_what_is_wrong_with_it_and_can_be_changed_until_it_is_sent(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        let mut wrong = letter(&[]);
        wrong["registry_number"] = Value::Null;
        wrong["subject"] = json!("x\r\nBcc: y@example.org");
        wrong["copy_recipients"] = json!([{ "name": "Kommunen", "email": "kommunen" }]);
        wrong["dated"] = json!("20/11");
        let refused = app.api.post("/letters", wrong).await;
        for field in ["areas", "subject", "registry_number", "copy_recipients[0].email", "dated"] {
            assert!(refused.names_field(field), "{field}: {}", refused.text);
        }
        assert_eq!(app.api.get("/letters").await.json["items"], json!([]));

        let made = app.api.post("/letters", letter(&["2321"])).await;
        let path = format!("/letters/{}", id(&made.json));
        let none = app.api.patch(&path, json!({ "registry_number": null })).await;
        assert!(none.names_field("registry_number"), "{}", none.text);
        let change = json!({ "registry_number": null, "no_registry_number": true, "subject": "Ny rubrik", "signature": null });
        let changed = app.api.patch(&path, change).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        assert_eq!(changed.json["revision"], 2);
        assert_eq!((&changed.json["subject"], &changed.json["signature"]), (&json!("Ny rubrik"), &Value::Null));
        assert_eq!(changed.json["body_markdown"], made.json["body_markdown"]);
        assert_eq!(app.api.post(&format!("{path}/printed"), json!({})).await.json["code"], "letter.not_sent");
        let other = app.api.post(&format!("{path}/send"), json!({ "expected_recipients": 7 })).await;
        assert_eq!((other.status.as_u16(), &other.json["code"]), (409, &json!("letter.audience_changed")));
        assert_eq!(app.api.post(&format!("{path}/send"), json!({ "undo_seconds": 0 })).await.status, 200);
        let late = app.api.patch(&path, json!({ "subject": "För sent" })).await;
        assert_eq!((late.status.as_u16(), &late.json["code"]), (409, &json!("letter.not_a_draft")));
        assert_eq!(app.api.post(&format!("{path}/send"), json!({})).await.status, 409);
    }

    async fn a_letter_to_nobody_is_refused(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_person(json!({ "name": "Anna Ek", "mobile": "070-174 06 05" })).await;
        let made = app.api.post("/letters", letter(&["2321"])).await;
        assert_eq!(made.json["audience"]["not_reached"], 1);
        let sent = app.api.post(&format!("/letters/{}/send", id(&made.json)), json!({ "undo_seconds": 0 })).await;
        assert!(sent.names_field("areas"), "{}", sent.text);
        assert_eq!(app.letter_when(&id(&made.json), |_| true).await["state"], "draft");
    }

    async fn a_letter_taken_back_within_the_undo_window_reaches_nobody(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        app.add_paper_reader("Bo Ek").await;
        let made = app.api.post("/letters", letter(&["2321"])).await;
        let path = format!("/letters/{}", id(&made.json));
        let sent = app.api.post(&format!("{path}/send"), json!({})).await;
        assert_eq!(sent.json["sends_at"], "2026-11-20T01:32:00Z");
        app.advance(Duration::from_secs(59));
        let early = app.api.post(&format!("{path}/printed"), json!({})).await;
        assert_eq!((early.status.as_u16(), &early.json["code"]), (409, &json!("letter.not_gone")), "what is posted cannot be undone");
        let stopped = app.api.post(&format!("{path}/stop"), json!({})).await;
        assert_eq!(stopped.json, json!({ "stopped": 2, "already_handed_over": 0 }));
        app.advance(Duration::from_secs(3600));
        let after = app.letter_when(&id(&made.json), |letter| letter["state"] == "stopped").await;
        assert_eq!(after["counts"]["stopped"], 2);
        assert_eq!(app.api.post(&format!("{path}/printed"), json!({})).await.json, json!({ "printed": 0 }));
        assert!(app.mail.journal().is_empty());
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_timed_letter_goes_at_its_time_with_the_date_of_that_day(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        let mut timed = letter(&["2321"]);
        timed["send_at"] = json!("2026-11-23T06:00:00Z");
        let sent = app.send_letter(timed.clone()).await;
        assert_eq!((&sent["state"], &sent["sends_at"]), (&json!("queued"), &json!("2026-11-23T06:00:00Z")));
        assert_eq!(sent["dated"], "2026-11-23");
        assert!(app.mail.journal().is_empty());
        app.advance(Duration::from_secs(77 * 3600));
        app.mail.journal().wait_for(1).await;
        let mails = app.mail.journal().letters();
        assert!(parsed(&mails[0]).body_text(0).unwrap().contains("Datum: 23 november 2026"));
        timed["send_at"] = json!("2026-11-20T01:00:00Z");
        assert!(app.api.post("/letters", timed).await.names_field("send_at"));
    }

    async fn nothing_goes_in_quiet_hours(kind: Kind) {
        let app = TestApp::spawn_with(kind, "letters.quiet_hours = \"21:00-07:00\"").await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        let sent = app.send_letter(letter(&["2321"])).await;
        // 06.59 local time, then 07.00.
        app.advance(Duration::from_secs(4 * 3600 + 28 * 60));
        let waiting = app.letter_when(&id(&sent), |letter| letter["state"] == "queued").await;
        assert_eq!(waiting["counts"]["queued"], 1);
        assert!(app.mail.journal().is_empty());
        app.advance(Duration::from_secs(60));
        app.letter_when(&id(&sent), |letter| letter["state"] == "handed_over").await;
        assert_eq!(app.mail.journal().len(), 1);
    }

    async fn a_greylisted_letter_comes_through_later_with_the_same_message_id(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        app.mail.change(|sink| sink.greylist = 2);
        let sent = app.send_letter(letter(&["2321"])).await;
        for attempts in 1..=2 {
            let path = format!("/letters/{}/deliveries", id(&sent));
            app.letter_when(&id(&sent), |letter| letter["counts"]["queued"] == 1 && letter["state"] == "sending").await;
            app.until("the next attempt", async || app.api.get(&path).await.json["items"][0]["attempts"] == attempts).await;
            app.letter_when(&id(&sent), |letter| letter["counts"]["sending"] == 0).await;
            app.advance(Duration::from_secs(600));
        }
        app.letter_when(&id(&sent), |letter| letter["state"] == "handed_over").await;
        assert_eq!(app.mail.journal().len(), 1);
        assert!(app.mail.journal().letters()[0].message_id.ends_with("@example.org"));
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_refused_address_fails_alone(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        app.add_reader("Bo Ek", "bo.ek@example.org").await;
        app.mail.change(|sink| {
            sink.rcpt_by_address.insert("bo.ek@example.org".to_owned(), "550 5.1.1 No such person".to_owned());
        });
        let sent = app.send_letter(letter(&["2321"])).await;
        let after = app.letter_when(&id(&sent), |letter| letter["state"] == "handed_over").await;
        assert_eq!((&after["counts"]["accepted"], &after["counts"]["failed"]), (&json!(1), &json!(1)));
        let rows = app.api.get(&format!("/letters/{}/deliveries?state=failed", id(&sent))).await;
        assert!(rows.json["items"][0]["detail"].as_str().unwrap().contains("5.1.1"), "{}", rows.text);
    }

    async fn a_letter_that_no_relay_takes_is_given_up_after_its_time(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        app.mail.change(|sink| sink.rcpt = Some("451 4.7.1 Later".to_owned()));
        let sent = app.send_letter(letter(&["2321"])).await;
        app.letter_when(&id(&sent), |letter| letter["state"] == "sending" && letter["counts"]["queued"] == 1).await;
        app.advance(Duration::from_secs(72 * 3600));
        let after = app.letter_when(&id(&sent), |letter| letter["state"] == "done").await;
        assert_eq!(after["counts"]["failed"].as_i64().unwrap() + after["counts"]["expired"].as_i64().unwrap(), 1);
        assert!(app.mail.journal().is_empty());
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_letter_whose_last_answer_is_lost_is_in_doubt_and_not_sent_twice(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        app.mail.change(|sink| sink.after_dot = AfterDot::Reset);
        let sent = app.send_letter(letter(&["2321"])).await;
        app.letter_when(&id(&sent), |letter| letter["counts"]["in_doubt"] == 1).await;
        app.advance(Duration::from_secs(3600));
        app.letter_when(&id(&sent), |letter| letter["counts"]["in_doubt"] == 1).await;
        assert_eq!(app.mail.journal().len(), 1);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn the_way_out_is_a_button_for_people_and_one_click_for_mail_programs(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let anna = app.add_person(json!({ "name": "Anna Ek", "email": "anna.ek@example.org", "mobile": "070-174 06 05" })).await;
        app.add_reader("Bo Ek", "bo.ek@example.org").await;
        app.send_letter(letter(&["2321"])).await;
        app.mail.journal().wait_for(2).await;
        let mails = app.mail.journal().letters();
        let to_anna = mails.iter().find(|mail| mail.to == "anna.ek@example.org").unwrap();
        let path = unsubscribe_path(to_anna);
        let person = format!("/contact-persons/{anna}");
        for method in [Method::GET, Method::HEAD] {
            let looked = app.api.send_bytes(method, &path, "text/plain", Vec::new()).await;
            assert_eq!(looked.status, 200);
            assert!(looked.headers.get("set-cookie").is_none());
        }
        let looked = app.api.send_bytes(Method::GET, &path, "text/plain", Vec::new()).await;
        assert!(looked.text.contains("<button") && looked.text.contains("lang=\"sv\""), "{}", looked.text);
        assert_eq!(app.api.get(&person).await.json["opt_outs"], json!([]), "a look changes nothing");

        for _ in 0..2 {
            let form = ("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click".to_vec());
            let ended = app.api.send_bytes(Method::POST, &path, form.0, form.1).await;
            assert_eq!(ended.status, 200, "no redirect, and the same answer every time");
            assert!(ended.headers.get("set-cookie").is_none() && !ended.text.contains("<button"));
        }
        let opt_outs = app.api.get(&person).await.json["opt_outs"].clone();
        assert_eq!(opt_outs.as_array().unwrap().len(), 1);
        assert_eq!(opt_outs[0]["source"], "letter_link");
        let alerts = app.api.post("/audiences", json!({ "areas": ["2321"], "channel": "sms" })).await;
        assert_eq!(alerts.json["by_sms"], 1, "alerts are untouched: {}", alerts.text);
        let next = app.send_letter(letter(&["2321"])).await;
        assert_eq!((&next["audience"]["by_email"], &next["audience"]["not_reached"]), (&json!(1), &json!(1)));
        for wrong in ["/u/x", "/u/forhandsvisningen", &path[..path.len() - 1], &format!("{path}0")] {
            let refused = app.api.send_bytes(Method::POST, wrong, "text/plain", Vec::new()).await;
            assert_eq!(refused.status, 404, "{wrong}");
        }
        let preview = app.api.send_bytes(Method::POST, "/u/forhandsvisning", "text/plain", Vec::new()).await;
        assert_eq!(preview.status, 200);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn who_leaves_after_the_letter_was_sent_and_before_it_goes_does_not_get_it(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let anna = app.add_reader("Anna Ek", "anna.ek@example.org").await;
        let bo = app.add_paper_reader("Bo Ek").await;
        app.add_paper_reader("Cecilia Ek").await;
        let made = app.api.post("/letters", letter(&["2321"])).await;
        let path = format!("/letters/{}", id(&made.json));
        app.api.post(&format!("{path}/send"), json!({})).await;
        for person in [anna, bo] {
            assert_eq!(app.api.patch(&format!("/contact-persons/{person}"), json!({ "letters": false })).await.status, 200);
        }
        app.advance(Duration::from_secs(60));
        app.letter_when(&id(&made.json), |letter| letter["counts"]["suppressed"] == 1).await;
        let paper = app.api.get(&format!("{path}/print")).await;
        assert!(!paper.text.contains("Bo Ek") && paper.text.contains("Cecilia Ek"));
        assert_eq!(app.api.post(&format!("{path}/printed"), json!({})).await.json, json!({ "printed": 1 }));
        let after = app.letter_when(&id(&made.json), |letter| letter["state"] == "done").await;
        assert_eq!((&after["counts"]["suppressed"], &after["counts"]["unconfirmed"]), (&json!(2), &json!(1)));
        assert!(app.mail.journal().is_empty());
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn one_address_gets_one_mail_however_often_it_stands(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "ek@example.org").await;
        app.add_reader("Bo Ek", "Ek@example.org").await;
        let mut copied = letter(&["2321"]);
        copied["copy_recipients"] = json!([
            { "name": "Familjen Ek", "email": "EK@example.org" },
            { "name": "Åre kommun", "email": "kommun@example.org" },
            { "name": "Åre kommun igen", "email": "Kommun@example.org" },
        ]);
        let sent = app.send_letter(copied).await;
        assert_eq!(sent["audience"]["by_email"], 2);
        let after = app.letter_when(&id(&sent), |letter| letter["state"] == "handed_over").await;
        assert_eq!(after["counts"]["accepted"], 2);
        let mails = app.mail.journal().letters();
        let copy = mails.iter().find(|mail| mail.to == "kommun@example.org").unwrap();
        let message = parsed(copy);
        assert!(message.header_raw("List-Unsubscribe").is_none());
        assert!(message.body_text(0).unwrap().contains("du står på sändlistan"));
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_test_goes_to_one_address_and_leaves_the_draft_alone(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        let made = app.api.post("/letters", letter(&["2321"])).await;
        let path = format!("/letters/{}/test", id(&made.json));
        assert!(app.api.post(&path, json!({})).await.names_field("email"), "a key has no address of its own");
        let tested = app.api.post(&path, json!({ "email": "chef@example.org" })).await;
        assert_eq!(tested.status, 200, "{}", tested.text);
        app.mail.journal().wait_for(1).await;
        let mails = app.mail.journal().letters();
        assert_eq!((mails.len(), mails[0].to.as_str()), (1, "chef@example.org"));
        assert!(parsed(&mails[0]).body_text(0).unwrap().contains("/u/forhandsvisning"));
        assert_eq!(app.letter_when(&id(&made.json), |_| true).await["state"], "draft");
        assert_eq!(app.api.get("/letters").await.json["items"].as_array().unwrap().len(), 1);
        let delivery = format!("/deliveries/{}", tested.json["delivery_id"].as_str().unwrap());
        app.until("the mail is taken", async || app.api.get(&delivery).await.json["state"] == "accepted").await;
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn letters_are_written_by_chiefs_for_their_own_areas(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        let operator = app.api.with_key(&app.key("operator", "jamtland").await);
        assert_eq!(operator.post("/letters", letter(&["2321"])).await.status, 403);
        let chief = app.api.with_key(&app.key("chief", "2321").await);
        assert_eq!(chief.post("/letters", letter(&["jamtland"])).await.status, 403);
        let made = chief.post("/letters", letter(&["2321"])).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let elsewhere = app.api.with_key(&app.key("chief", "2380").await);
        let path = format!("/letters/{}", id(&made.json));
        assert_eq!(elsewhere.get(&path).await.status, 404);
        assert_eq!(elsewhere.get(&format!("{path}/preview")).await.status, 404);
        assert_eq!(elsewhere.get(&format!("{path}/deliveries")).await.status, 404);
        assert_eq!(elsewhere.get(&format!("{path}/print")).await.status, 404);
        assert_eq!(elsewhere.get("/letters").await.json["items"], json!([]));
        for act in ["send", "stop", "printed", "test"] {
            let body = if act == "test" { json!({ "email": "x@example.org" }) } else { json!({}) };
            assert_eq!(elsewhere.post(&format!("{path}/{act}"), body).await.status, 404, "{act}");
        }
        let auditor = app.api.with_key(&app.key("auditor", "jamtland").await);
        assert_eq!(auditor.get(&path).await.status, 200);
        assert_eq!(auditor.get(&format!("{path}/print")).await.status, 403);
        assert_eq!(auditor.patch(&path, json!({ "subject": "x" })).await.status, 403);
    }

    async fn hostile_strings_are_refused_by_field_or_arrive_inertly(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_reader("Anna Ek", "anna.ek@example.org").await;
        let hostile = [
            "<script>alert(1)</script>", "{{ subject }}", "{subject}{content}{footer}", "'; DROP TABLE letter; --", "\u{202e}bakvänt",
            "=cmd|' /C calc'!A0", "😀\u{200b}\u{feff}", "../../etc/passwd", "%s%n", "a\nb", "a\0b", "\u{1b}[31m", "\u{ffff}",
        ];
        let mut arrived = 0;
        for text in hostile {
            for field in ["subject", "body_markdown", "registry_number", "subject_code"] {
                let mut wanted = letter(&["2321"]);
                wanted[field] = json!(text);
                let made = app.api.post("/letters", wanted).await;
                assert!(made.status == 201 || made.names_field(field), "{field} {text:?}: {}", made.text);
                if made.status != 201 {
                    continue;
                }
                let preview = app.api.get(&format!("/letters/{}/preview", id(&made.json))).await;
                assert!(preview.status == 200 && !preview.text.contains("<script"), "{field} {text:?}");
                let sent = app.api.post(&format!("/letters/{}/send", id(&made.json)), json!({ "undo_seconds": 0 })).await;
                assert_eq!(sent.status, 200, "{}", sent.text);
                arrived += 1;
            }
        }
        app.mail.journal().wait_for(arrived).await;
        for mail in app.mail.journal().letters() {
            let message = parsed(&mail);
            assert_eq!(message.headers().iter().filter(|header| header.name().eq_ignore_ascii_case("to")).count(), 1);
            assert!(!message.body_html(0).unwrap().contains("<script"));
        }
    }
}
