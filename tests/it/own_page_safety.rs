//! What the own page of a contact person must not give away: what is not out, and the page itself to whoever has an address that is not
//! theirs any more.

use serde_json::json;

use crate::support::{Kind, TestApp, on_both_databases};

const EVA: &str = "eva@example.org";

impl TestApp {
    async fn with_eva(kind: Kind, more: &str) -> (Self, String) {
        let app = Self::spawn_with(kind, more).await;
        let eva = json!({ "name": "Eva Ek", "mobile": "+46701740601", "email": EVA, "municipality": "2326", "watch_area": "Hackås" });
        let id = app.api.post("/contact-persons", eva).await.json["id"].as_str().unwrap().to_owned();
        (app, id)
    }
}

on_both_databases! {
    async fn what_is_not_approved_timed_or_taken_back_is_nobodys_to_read(kind: Kind) {
        let (app, _) = TestApp::with_eva(kind, "alerts.approval = \"always\"").await;
        let mut eva = app.at_own_page(EVA).await;
        let alert = |text: &str| json!({ "text": text, "areas": ["2326"], "decided_by": "Befäl" });
        let waiting = app.api.post("/alerts", alert("Hemlig spaning i Hackås")).await;
        assert_eq!((waiting.status.as_u16(), &waiting.json["state"]), (201, &json!("awaiting_approval")), "{}", waiting.text);
        for path in ["/min-sida", "/min-sida/utdrag", "/min-sida/utdrag.json"] {
            let page = eva.get(path).await;
            assert!(page.status == 200 && !page.says("Hemlig spaning"), "{path}: {}", page.html);
        }
        let other = app.api.with_key(&app.key("operator", "").await);
        let path = format!("/alerts/{}", waiting.json["id"].as_str().unwrap());
        assert_eq!(other.post(&format!("{path}/approve"), json!({ "revision": 1 })).await.status, 200);
        app.advance(std::time::Duration::from_secs(11));
        app.alert_when(waiting.json["id"].as_str().unwrap(), |alert| alert["state"] == "done").await;
        assert!(eva.get("/min-sida/utdrag").await.says("Hemlig spaning"), "what went out is the person's to read");
    }

    async fn an_address_that_is_corrected_lets_nobody_in_any_more(kind: Kind) {
        let (app, id) = TestApp::with_eva(kind, "").await;
        let mut stranger = app.at_own_page(EVA).await;
        assert!(stranger.get("/min-sida").await.says("Larm i ditt område"));
        let corrected = app.api.patch(&format!("/contact-persons/{id}"), json!({ "email": "eva.ek@example.org" })).await;
        assert_eq!(corrected.status, 200, "{}", corrected.text);
        for path in ["/min-sida", "/min-sida/utdrag", "/min-sida/uppgifter"] {
            let page = stranger.get(path).await;
            assert!(!page.says("Eva Ek") && !page.says("Larm i ditt område"), "{path}: {}", page.html);
        }
        let mut eva = app.at_own_page("eva.ek@example.org").await;
        assert!(eva.get("/min-sida").await.says("Larm i ditt område"), "the right address does");
    }
}
