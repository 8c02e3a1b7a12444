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
    async fn the_session_is_a_cookie_that_no_script_reads_and_no_other_site_sends(kind: Kind) {
        let site = "server.public_url = \"https://grannsamverkan.example.org\"";
        for (more, wanted) in [("", "grannpost-own="), (site, "__Host-grannpost-own=")] {
            let (app, _) = TestApp::with_eva(kind, more).await;
            let mut eva = app.browser();
            let path = app.link_of(&mut eva, EVA, 1).await;
            let page = eva.get(&path).await;
            let jar: Vec<String> = eva.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
            let request = client.post(format!("{}{path}", app.api.base())).form(&[("form_token", page.form_token())]);
            let entered = request.header("cookie", jar.join("; ")).header("sec-fetch-site", "same-origin").send().await.unwrap();
            assert_eq!(entered.status(), 303);
            let cookies = entered.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap().to_owned());
            let session = cookies.into_iter().find(|cookie| cookie.starts_with(wanted)).unwrap_or_else(|| panic!("no {wanted}"));
            let flags: Vec<&str> = session.split("; ").skip(1).collect();
            for flag in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=7776000"] {
                assert!(flags.contains(&flag), "{flag}: {flags:?}");
            }
            assert_eq!(flags.contains(&"Secure"), !more.is_empty(), "{flags:?}");
            // What a __Host- name promises: no other host of the domain can have set it.
            assert!(!flags.iter().any(|flag| flag.starts_with("Domain")), "{flags:?}");
        }
    }

    async fn an_operator_ends_all_that_lets_anybody_into_a_persons_page(kind: Kind) {
        let (app, id) = TestApp::with_eva(kind, "").await;
        let mut phone = app.at_own_page(EVA).await;
        let mut chief = app.signed_in("chief", "").await;
        let page = chief.get(&format!("/register/persons/{id}")).await;
        let done = chief.submit(&page, &format!("/register/persons/{id}/own-page-end"), &[]).await;
        assert!(done.says("inloggningar på egen sida är avslutade"), "{}", done.html);
        assert!(phone.get("/min-sida").await.says("Skicka länken"), "the phone is out at once");
        let ended = app.api.post(&format!("/contact-persons/{id}/end-own-page"), json!({})).await;
        assert_eq!((ended.status.as_u16(), &ended.json["ended"]), (200, &json!(0)));
        let log = app.database.texts("SELECT detail FROM audit WHERE action = 'own_page.all_closed'").await;
        assert_eq!(log.len(), 1, "{log:?}");
    }

    async fn all_that_is_held_can_be_asked_for_often_but_not_without_end(kind: Kind) {
        let (app, _) = TestApp::with_eva(kind, "").await;
        let mut eva = app.at_own_page(EVA).await;
        let mut answers = Vec::new();
        for _ in 0..15 {
            answers.push(eva.get("/min-sida/utdrag.json").await.status.as_u16());
        }
        assert_eq!(answers[..10], [200; 10]);
        assert!(answers.contains(&429), "{answers:?}");
        assert_eq!(eva.get("/min-sida").await.status, 200, "the page itself goes on");
    }

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
