//! The inbox as people work with it: answering is having read, what else was answered to the same alert, which answers a list
//! shows, and answers that are ready.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::browser::Page;
use crate::support::child::run;
use crate::support::{TestApp, on_both_databases};

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
        app.advance(Duration::from_secs(1));
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

    async fn the_inbox_is_narrowed_to_a_municipality_and_an_alert_and_the_tabs_keep_it(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "replies.automatic = false").await;
        let old = app.alert(&["2326"], json!({ "text": "Inbrott i Hackås" })).await;
        said(&app, 1, (EVA, "Såg inget")).await;
        app.advance(Duration::from_secs(40 * 24 * 3_600));
        let new = app.alert(&["2326", "2321"], json!({ "text": "Röd skåpbil söks mellan Järpen och Krokom i natt" })).await;
        said(&app, 2, (EVA, "Röd bil")).await;
        said(&app, 3, (NILS, "Blå bil")).await;
        said(&app, 4, (STRANGER, "Vem är ni?")).await;
        let texts = async |query: &str| {
            let listed = app.api.get(&format!("/observations?{query}")).await.json;
            listed["items"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(texts("area=2326").await, ["Röd bil", "Såg inget"]);
        assert_eq!(texts(&format!("area=2326&alert_id={new}")).await, ["Röd bil"]);
        assert_eq!(texts("area=jamtland").await, ["Blå bil", "Röd bil", "Såg inget"], "what is from nowhere is from no area");
        assert!(app.api.get("/observations?area=x").await.names_field("area"));
        let narrow = app.api.with_key(&app.key("officer", "2321").await);
        assert_eq!(narrow.get("/observations?area=2326").await.json["items"], json!([]), "a choice shows nobody more");
        let mut browser = app.signed_in("operator", "").await;
        let inbox = browser.get("/observations").await;
        assert!(inbox.says("Röd skåpbil söks mellan Järpen och Kroko…</option>"), "{}", inbox.html);
        assert!(!inbox.says("Inbrott i Hackås") && inbox.says("<option value=\"2326\">Berg</option>"), "{}", inbox.html);
        let chosen = format!("/observations?list=all&tag=&channel=&area=2326&alert={new}");
        let inbox = browser.get(&chosen).await;
        assert!(inbox.says("Röd bil") && !inbox.says("Blå bil") && !inbox.says("Såg inget"), "{}", inbox.html);
        for kept in ["<option value=\"2326\" selected>", &format!("<option value=\"{new}\" selected>"), "name=\"area\" value=\"2326\""] {
            assert!(inbox.says(kept), "{kept}: {}", inbox.html);
        }
        let links = inbox.links();
        for link in [format!("/observations?list=unanswered&area=2326&alert={new}"), "/observations?list=all".to_owned(), format!("/alerts/{new}")] {
            assert!(links.contains(&link), "{link}: {links:?}");
        }
        assert!(browser.get(&format!("/observations?list=mine&alert={new}")).await.says("Inget i listan passar det du har valt."));
        let inbox = browser.get(&format!("/observations?list=all&alert={old}&area=nowhere")).await;
        assert!(inbox.says("Såg inget") && inbox.says("Det du har valt</option>"), "{}", inbox.html);
        let fields = [("list", "all"), ("area", "2321"), ("reason", "")];
        let refused = browser.submit(&inbox, "/observations/export", &fields).await;
        assert!(refused.status == 422 && refused.says("Blå bil") && !refused.says("Röd bil"), "{}", refused.html);
        let mut officer = app.signed_in("officer", "2321").await;
        let inbox = officer.get(&format!("/observations?list=all&area=2326&alert={new}")).await;
        assert!(inbox.says("Blå bil") && !inbox.says("Röd bil") && !inbox.says("id=\"area\""), "one municipality is no choice: {}", inbox.html);
        assert!(!inbox.links().contains(&format!("/alerts/{new}")), "an officer reads no alerts");
    }

    async fn older_answers_come_with_what_was_chosen(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "replies.automatic = false").await;
        for number in 0..51 {
            app.advance(Duration::from_millis(5));
            app.observation_from(EVA, &format!("Nummer {number}.")).await;
        }
        let mut browser = app.signed_in("operator", "").await;
        let inbox = browser.get("/observations?list=all&area=2326&channel=sms").await;
        assert!(inbox.says("Nummer 50.") && !inbox.says("Nummer 0."), "{}", inbox.html);
        let next = inbox.links().into_iter().find(|link| link.contains("after=")).unwrap();
        assert!(next.starts_with("/observations?list=all&channel=sms&area=2326&after="), "{next}");
        let older = browser.get(&next).await;
        assert!(older.says("Nummer 0.") && !older.says("Nummer 50."), "{}", older.html);
        assert!(older.links().contains(&"/observations?list=all&channel=sms&area=2326".to_owned()), "{:?}", older.links());
    }

    async fn a_ready_answer_is_put_into_the_field_without_scripts_and_sent_only_when_somebody_says_so(kind: Kind) {
        let ready = "replies.templates = [{ name = \"Mer\", text = \"Berätta mer.\" }, { name = \"Ring\", text = \"Ring 112 nu.\" }]";
        let app = TestApp::with_two_persons(kind, &format!("replies.automatic = false\n{ready}")).await;
        said(&app, 1, (EVA, "Röd bil")).await;
        let path = path_of(&app.observations("", 1).await, "Röd bil");
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get(&path).await;
        assert!(page.says("data-ready=\"Berätta mer.\">Mer</button>") && page.says("value=\"Ring\""), "{}", page.html);
        let reply = format!("{path}/reply");
        let in_field = |page: &Page| {
            let (_, rest) = page.html.split_once("<textarea id=\"text\"").unwrap();
            let (_, rest) = rest.split_once('>').unwrap();
            rest.split("</textarea>").next().unwrap().to_owned()
        };
        for (written, name, wanted) in [
            ("", "Mer", "Berätta mer."),
            ("Berätta mer.", "Ring", "Ring 112 nu."),
            (" Hej Eva! ", "Mer", "Hej Eva!\nBerätta mer."),
            ("Hej Eva!", "Borta", "Hej Eva!"),
        ] {
            let page = browser.submit(&page, &reply, &[("text", written), ("kind", "feedback"), ("template", name)]).await;
            assert_eq!((page.status.as_u16(), in_field(&page).as_str()), (200, wanted), "{name}");
            assert!(page.says("value=\"feedback\" checked") && page.says(" tecken · 1 sms"), "{}", page.html);
        }
        assert_eq!(app.gateway.journal().len(), 0, "nothing has been sent");
        let thanks = "Tack, vi har tagit emot ditt meddelande.";
        browser.submit(&page, &reply, &[("key", "k1"), ("text", "Berätta mer."), ("thanks", "yes")]).await;
        assert_eq!(app.texts_to(EVA, 1).await, [thanks]);
        browser.submit(&page, &reply, &[("key", "k2"), ("text", "Berätta mer.")]).await;
        assert_eq!(app.texts_to(EVA, 2).await[1], "Berätta mer.");
    }

    async fn an_alert_without_a_number_for_acute_answers_is_warned_of_where_it_is_written_and_goes_all_the_same(kind: Kind) {
        const WARNS: &str = "inget nummer får sms när ett akut svar ligger och väntar";
        for (settings, is_missing) in [("", true), ("replies.duty_number = \"+46701740650\"", false)] {
            let app = TestApp::with_two_persons(kind, settings).await;
            let mut operator = app.signed_in("operator", "").await;
            let page = operator.get("/alerts/new").await;
            for (kind, number, warns) in
                [("observation", "", is_missing), ("observation", "070-174 06 51", false), ("information", "", false)]
            {
                let fields = [("areas", "2326"), ("text", "Röd skåpbil"), ("kind", kind), ("spread", "households"), ("duty_number", number)];
                let effect = operator.submit(&page, "/alerts/preview", &fields).await;
                assert_eq!((effect.status.as_u16(), effect.says(WARNS)), (200, warns), "{kind} {number}: {}", effect.html);
            }
            let made = app.api.post("/alerts", json!({ "text": "Röd skåpbil", "areas": ["2326"], "decided_by": "Befäl" })).await;
            let warned = made.json["warnings"].as_array().unwrap().iter().any(|one| one["code"] == "alert.no_duty_number");
            assert_eq!((made.status.as_u16(), warned), (201, is_missing), "{}", made.text);
            let health = app.signed_in("admin", "").await.get("/admin/health").await;
            assert_eq!((health.says("Tjänsten är redo."), health.says("Inget nummer får sms")), (true, is_missing), "{}", health.html);
            let config = app.database.folder.path().join("grannpost.toml");
            std::fs::write(&config, app.settings()).unwrap();
            let checked = run(&config, &["check"]);
            let words = String::from_utf8_lossy(&checked.stdout);
            assert_eq!((checked.status.code(), words.contains("VARNING: inget nummer")), (Some(0), is_missing), "{words}");
        }
    }

    async fn the_inbox_says_how_long_half_of_the_answers_took(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "replies.automatic = false").await;
        let mut browser = app.signed_in("operator", "").await;
        said(&app, 1, (EVA, "Röd bil")).await;
        assert!(!browser.get("/observations").await.says("Hälften får svar"), "nothing is answered yet");
        for (count, minutes, (from, text)) in [(1, 7, (EVA, "Röd bil")), (2, 95, (NILS, "Blå bil")), (3, 3_000, (STRANGER, "Grön bil"))] {
            if count > 1 {
                said(&app, count, (from, text)).await;
            }
            let path = path_of(&app.observations("", count).await, text);
            app.advance(Duration::from_secs(minutes * 60));
            let sent = app.api.post(&format!("{path}/reply"), json!({ "text": "Tack." })).await;
            assert_eq!(sent.status, 201, "{}", sent.text);
        }
        let inbox = app.signed_in("operator", "").await.get("/observations").await;
        assert!(inbox.says("Inga iakttagelser väntar på svar. Hälften får svar inom 95 min (senaste 90 dagarna)."), "{}", inbox.html);
        assert!(app.signed_in("operator", "").await.get("/").await.says("Hälften får svar inom 95 min"));
        let narrow = app.signed_in("officer", "2326").await.get("/observations").await;
        assert!(narrow.says("Hälften får svar inom 7 min (senaste 90 dagarna)."), "of one's own areas: {}", narrow.html);
        app.advance(Duration::from_secs(91 * 24 * 3_600));
        assert!(!app.signed_in("operator", "").await.get("/observations").await.says("Hälften får svar"));
    }
}
