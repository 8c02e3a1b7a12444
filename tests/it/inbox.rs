//! The inbox as people work with it: answering is having read, what else was answered to the same alert, which answers a list
//! shows, and answers that are ready.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Kind, TestApp, on_both_databases};

const EVA: &str = "+46701740601";
const NILS: &str = "+46701740609";
const STRANGER: &str = "+46701740699";

/// Brings an answer a second after the one before and waits until there are so many: they stand in the order they came.
async fn said(app: &TestApp, count: usize, (from, text): (&str, &str)) {
    app.advance(Duration::from_secs(1));
    app.sms(&format!("said{count}"), from, text).await;
    app.observations("", count).await;
}

/// Path of the one with this text.
fn path_of(all: &[Value], text: &str) -> String {
    let one = all.iter().find(|one| one["text"] == text).unwrap_or_else(|| panic!("no {text} in {all:#?}"));
    format!("/observations/{}", one["id"].as_str().unwrap())
}

on_both_databases! {
    async fn whoever_answers_has_read_it_and_the_program_has_not(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        app.alert(&["2326", "2321"], json!({})).await;
        for (id, from, text) in [("s1", EVA, "Röd bil"), ("s2", NILS, "Blå bil"), ("s3", STRANGER, "Grön bil")] {
            app.sms(id, from, text).await;
        }
        let all = app.observations("", 3).await;
        let [eva, nils, stranger] = ["Röd bil", "Blå bil", "Grön bil"].map(|text| path_of(&all, text));
        app.texts_to(EVA, 2).await;
        app.texts_to(STRANGER, 1).await;
        let new = app.observations("&state=received", 3).await;
        assert!(new.iter().all(|one| one["owner"].is_null() && one["taken_at"].is_null()), "{new:#?}");
        let reply = async |path: &str, kind: &str| {
            let sent = app.api.post(&format!("{path}/reply"), json!({ "text": "Tack.", "kind": kind })).await;
            assert_eq!(sent.status, 201, "{}", sent.text);
            app.api.get(path).await.json
        };
        let answered = reply(&eva, "answer").await;
        assert_eq!(answered["state"], "assessed");
        assert!(answered["owner"].is_string() && answered["taken_at"].is_string(), "{answered:#}");
        assert_eq!(app.api.patch(&eva, json!({ "state": "acted" })).await.status, 200);
        assert_eq!(reply(&eva, "answer").await["state"], "acted", "what is further stays so");
        let log = app.api.get(&format!("/audit?action=observation.changed&object={}", &eva["/observations/".len()..])).await.json;
        let log: Vec<&Value> = log["items"].as_array().unwrap().iter().map(|entry| &entry["detail"]).collect();
        assert_eq!(log.len(), 2, "an answer that changes nothing is no change: {log:#?}");
        assert_eq!((&log[0]["state"], &log[0]["owner"]), (&json!(["assessed", "acted"]), &Value::Null));
        assert_eq!((&log[1]["state"], &log[1]["owner"]), (&json!(["received", "assessed"]), &json!([null, answered["owner"]])));
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get(&nils).await;
        let page = browser.submit(&page, &format!("{nils}/reply"), &[("key", "k1"), ("text", "Vi kommer")]).await;
        assert!(page.says("pill--info\">Bedömd") && page.says("Lämna den ifrån dig"), "{}", page.html);
        let taken = app.api.patch(&stranger, json!({ "owner": "me" })).await.json;
        assert_eq!((&taken["state"], taken["owner"].is_string()), (&json!("received"), true));
        let new = browser.get("/observations?list=new").await;
        assert!(new.says("Grön bil") && !new.says("Röd bil") && !new.says("Blå bil"), "{}", new.html);
        let fields = [("key", "k2"), ("text", "Den är funnen"), ("kind", "feedback")];
        let page = browser.submit(&page, &format!("{stranger}/reply"), &fields).await;
        assert!(page.says("pill--ok\">Återkopplad"), "{}", page.html);
        let fed_back = reply(&stranger, "answer").await;
        assert_eq!((&fed_back["state"], &fed_back["owner"]), (&json!("fed_back"), &taken["owner"]), "no state goes back, and it is whose it was");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn what_others_answered_to_the_same_alert_stands_beside_it(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "replies.automatic = false").await;
        said(&app, 1, (NILS, "Om något annat")).await;
        let alert = app.alert(&["2326", "2321"], json!({})).await;
        said(&app, 2, (EVA, "Röd bil")).await;
        said(&app, 3, (NILS, "Blå bil")).await;
        said(&app, 4, (EVA, "Den åkte norrut")).await;
        let all = app.observations("", 4).await;
        let [eva, nils] = ["Röd bil", "Blå bil"].map(|text| path_of(&all, text));
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get(&eva).await;
        let (own, beside) = page.html.split_once("Andra svar på samma utskick").unwrap_or_else(|| panic!("{}", page.html));
        assert!(own.contains("Tidigare från samma avsändare") && own.contains("Den åkte norrut"), "{own}");
        assert!(beside.contains("Nils Nord, Duved") && beside.contains("Blå bil"), "{beside}");
        assert!(!beside.contains("Den åkte norrut") && !beside.contains("Om något annat"), "once each, and of this alert: {beside}");
        let link = format!("/observations?list=all&alert={alert}");
        assert!(page.html.contains(&link.replace('&', "&amp;")), "{}", page.html);
        let inbox = browser.get(&link).await;
        for text in ["Röd bil", "Blå bil", "Den åkte norrut"] {
            assert!(inbox.says(text), "{text}: {}", inbox.html);
        }
        assert!(!inbox.says("Om något annat"), "{}", inbox.html);
        let page = browser.get(&nils).await;
        let (own, beside) = page.html.split_once("Andra svar på samma utskick").unwrap();
        assert!(own.contains("Om något annat") && beside.find("Den åkte norrut") < beside.find("Röd bil"), "newest first: {beside}");
        for number in 0..9 {
            said(&app, 5 + number, (EVA, &format!("Nummer {number}"))).await;
        }
        let page = browser.get(&nils).await;
        assert!(page.says("Nummer 0") && page.says("Den åkte norrut") && !page.says("Röd bil"), "ten at most: {}", page.html);
        let mut narrow = app.signed_in("officer", "2321").await;
        let page = narrow.get(&nils).await;
        assert!(page.says("Blå bil") && !page.says("Den åkte norrut") && !page.says("Eva Ek"), "{}", page.html);
        assert!(!page.says("Andra svar på samma utskick"), "{}", page.html);
    }
}
