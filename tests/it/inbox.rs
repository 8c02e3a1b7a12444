//! The inbox as people work with it: answering is having read, what else was answered to the same alert, which answers a list
//! shows, and answers that are ready.

use serde_json::{Value, json};

use crate::support::{Kind, TestApp, on_both_databases};

const EVA: &str = "+46701740601";
const NILS: &str = "+46701740609";
const STRANGER: &str = "+46701740699";

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
}
