//! Deputies: who takes over from whom when somebody is silent, at once or after a set time, and that nobody gets anything twice.

use std::time::Duration;

use grannpost::actions::deputy_takeover;
use grannpost::simulator::Fate;
use serde_json::{Value, json};

use crate::support::{Kind, TestApp, on_both_databases};

const EVA: &str = "+46701740601";
const NILS: &str = "+46701740609";
const SIV: &str = "+46701740602";
const HALF_AN_HOUR: &str = "replies.deputy_after_minutes = 30\nreplies.automatic = false";
const MINUTE: Duration = Duration::from_secs(60);

impl TestApp {
    /// Eva in Hackås (2326), whose deputy is Nils in Duved (2321).
    async fn with_a_deputy(kind: Kind, more: &str) -> (Self, String) {
        let app = Self::with_two_persons(kind, more).await;
        let eva = app.stands_in(NILS, "Eva").await;
        (app, eva)
    }

    /// Makes whoever has this number the deputy of somebody, whose id it gives.
    async fn stands_in(&self, number: &str, name: &str) -> String {
        let found = self.api.get(&format!("/contact-persons?q={name}")).await.json;
        let id = found["items"][0]["id"].as_str().unwrap().to_owned();
        let mut chief = self.signed_in("chief", "").await;
        let path = format!("/register/persons/{id}");
        let page = chief.get(&path).await;
        let set = chief.submit(&page, &format!("{path}/deputy"), &[("deputy", number)]).await;
        assert!(set.says("Ersättaren är sparad"), "{}", set.html);
        id
    }

    fn texts_at(&self, number: &str) -> Vec<String> {
        let messages = self.gateway.journal().messages();
        messages.into_iter().filter(|sms| sms.to == number).map(|sms| sms.text).collect()
    }

    /// The texts that came to a number, once they are so many.
    async fn until_texts_at(&self, number: &str, count: usize) -> Vec<String> {
        for _ in 0..600 {
            if self.texts_at(number).len() >= count {
                break;
            }
            self.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        let texts = self.texts_at(number);
        assert_eq!(texts.len(), count, "{number}: {texts:?}");
        texts
    }

    async fn follow_up(&self, id: &str, kind: &str) -> Value {
        let body = json!({ "kind": kind, "text": "Bilen är funnen", "undo_seconds": 0 });
        let made = self.api.post(&format!("/alerts/{id}/follow-ups"), body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        self.alert_when(made.json["id"].as_str().unwrap(), |alert| alert["state"] == "done").await
    }

    /// What goes to this number does not arrive.
    fn gives_up(&self, number: &str) {
        self.gateway.change(|gateway| {
            gateway.receipts.fate_by_number.insert(number.to_owned(), Fate::Failed);
        });
    }
}

fn to_households() -> Value {
    json!({ "spread": "households" })
}

on_both_databases! {
    async fn a_deputy_takes_over_once_from_who_does_not_say_that_it_is_passed_on(kind: Kind) {
        let (app, eva) = TestApp::with_a_deputy(kind, HALF_AN_HOUR).await;
        let id = app.alert(&["2326"], to_households()).await;
        app.advance(MINUTE * 29);
        assert_eq!(deputy_takeover::sweep(&app.desk).await.unwrap(), 0, "not yet");
        app.advance(MINUTE * 2);
        let texts = app.until_texts_at(NILS, 1).await;
        assert_eq!(texts, app.texts_at(EVA), "what she got");
        assert_eq!(deputy_takeover::sweep(&app.desk).await.unwrap(), 0, "once");
        let alert = app.api.get(&format!("/alerts/{id}")).await.json;
        assert_eq!((&alert["counts"]["delivered"], &alert["reach"]["contact_persons"]), (&json!(1), &json!(1)), "{alert:#}");
        let delivery = app.database.texts("SELECT CAST(delivery_id AS TEXT) FROM stand_in").await.remove(0);
        let shown = app.api.get(&format!("/deliveries/{delivery}")).await;
        assert_eq!((&shown.json["stands_in_for"], &shown.json["address"]), (&json!([eva]), &json!(NILS)), "{}", shown.text);
        let elsewhere = app.api.with_key(&app.key("operator", "2321").await);
        assert_eq!(elsewhere.get(&format!("/deliveries/{delivery}")).await.status, 404, "it is the alert's");
        let mut operator = app.signed_in("operator", "").await;
        let page = operator.get(&format!("/alerts/{id}")).await;
        assert!(page.says("Ersättare tog över för 1") && !page.says("E-post i stället"), "{}", page.html);
        let logged = app.database.texts("SELECT detail FROM audit WHERE action = 'alert.deputies_took_over'").await;
        assert!(logged.len() == 1 && logged[0].contains(&id), "{logged:?}");
        let mut nils = app.at_own_page("2321@example.org").await;
        assert!(nils.get("/min-sida").await.says("Röd skåpbil söks"));
        app.sms("s1", NILS, "SPRITT 5").await;
        let spread = app.alert_when(&id, |alert| alert["spread_reach"]["households"] == 5).await;
        let reach = json!({ "contact_persons": 1, "households": 5, "silent": 1 });
        assert_eq!(spread["spread_reach"], reach, "the deputy's word is about the alert, and she still says nothing");
        let reminded = app.api.post(&format!("/alerts/{id}/follow-ups"), json!({ "kind": "update", "text": "Sprid det vidare", "only": "silent", "undo_seconds": 0 })).await;
        assert_eq!(reminded.status, 201, "{}", reminded.text);
        app.until_texts_at(EVA, 2).await;
        let ended = app.follow_up(&id, "all_clear").await;
        assert_eq!((&ended["counts"]["delivered"], &ended["audience"]["contact_persons"]), (&json!(2), &json!(1)), "{ended:#}");
        assert!(app.until_texts_at(NILS, 2).await[1].contains("Bilen är funnen"), "who has it hears that it is over");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn nobody_takes_over_what_is_passed_on_over_not_to_be_spread_or_known_already(kind: Kind) {
        let (app, _) = TestApp::with_a_deputy(kind, HALF_AN_HOUR).await;
        app.alert(&["2326"], json!({ "text": "Sprids inte" })).await;
        app.alert(&["2326"], json!({ "text": "För sent", "spread": "households", "expires_in_minutes": 20 })).await;
        let over = app.alert(&["2326"], json!({ "text": "Slut", "spread": "households" })).await;
        app.follow_up(&over, "all_clear").await;
        let wrong = app.alert(&["2326"], json!({ "text": "Fel", "spread": "households" })).await;
        app.follow_up(&wrong, "correction").await;
        app.alert(&["2326", "2321"], json!({ "text": "Till båda", "spread": "households" })).await;
        // Of two alerts the newer one is meant.
        app.advance(MINUTE);
        let passed_on = app.alert(&["2326"], json!({ "text": "Spritt", "spread": "households" })).await;
        app.sms("s1", EVA, "SPRITT 4").await;
        app.alert_when(&passed_on, |alert| alert["spread_reach"]["households"] == 4).await;
        app.advance(MINUTE * 31);
        assert_eq!(deputy_takeover::sweep(&app.desk).await.unwrap(), 0);
        assert_eq!(app.until_texts_at(NILS, 1).await.len(), 1, "the one that went to both");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_deputy_who_is_away_or_wants_nothing_does_not_take_over(kind: Kind) {
        let (app, _) = TestApp::with_a_deputy(kind, HALF_AN_HOUR).await;
        let found = app.api.get("/contact-persons?q=Nils").await.json;
        let nils = format!("/contact-persons/{}", found["items"][0]["id"].as_str().unwrap());
        app.api.patch(&nils, json!({ "paused_until": "2026-12-01T00:00:00Z" })).await;
        app.alert(&["2326"], to_households()).await;
        app.advance(MINUTE * 31);
        assert_eq!(deputy_takeover::sweep(&app.desk).await.unwrap(), 0);
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/admin/gateways").await;
        admin.submit(&page, "/admin/pause", &[("reason", "Något är fel")]).await;
        let back = app.api.patch(&nils, json!({ "paused_until": null })).await;
        assert_eq!(back.status, 200, "{}", back.text);
        let (first, second) = tokio::join!(deputy_takeover::sweep(&app.desk), deputy_takeover::sweep(&app.desk));
        assert!(first.is_ok() && second.is_ok(), "two at once do no harm");
        let rows = "SELECT d.state FROM stand_in s JOIN delivery d ON d.id = s.delivery_id";
        assert_eq!(app.database.texts(rows).await, ["queued"], "back again, he takes over once");
        app.api.patch(&nils, json!({ "opt_outs": [{ "channel": "sms", "source": "ringde" }] })).await;
        let page = admin.get("/admin/resume").await;
        admin.submit(&page, "/admin/resume", &[]).await;
        for _ in 0..600 {
            if app.database.texts(rows).await == ["suppressed"] {
                break;
            }
            app.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        assert_eq!(app.database.texts(rows).await, ["suppressed"]);
        assert_eq!(app.texts_at(NILS), Vec::<String>::new(), "his no counts until the last moment");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn what_has_not_gone_to_a_deputy_is_stopped_by_a_correction(kind: Kind) {
        let (app, _) = TestApp::with_a_deputy(kind, HALF_AN_HOUR).await;
        let id = app.alert(&["2326"], to_households()).await;
        app.advance(MINUTE * 29);
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/admin/gateways").await;
        admin.submit(&page, "/admin/pause", &[("reason", "Något är fel")]).await;
        app.advance(MINUTE * 2);
        deputy_takeover::sweep(&app.desk).await.unwrap();
        let rows = "SELECT d.state FROM stand_in s JOIN delivery d ON d.id = s.delivery_id";
        assert_eq!(app.database.texts(rows).await, ["queued"]);
        let body = json!({ "kind": "correction", "text": "Det var en blå bil", "undo_seconds": 0 });
        let made = app.api.post(&format!("/alerts/{id}/follow-ups"), body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        assert_eq!(app.database.texts(rows).await, ["stopped"]);
        let page = admin.get("/admin/resume").await;
        admin.submit(&page, "/admin/resume", &[]).await;
        app.alert_when(made.json["id"].as_str().unwrap(), |alert| alert["state"] == "done").await;
        assert_eq!((app.texts_at(EVA).len(), app.texts_at(NILS).len()), (2, 0), "who has nothing hears nothing");
        assert_eq!(deputy_takeover::sweep(&app.desk).await.unwrap(), 0);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn whom_two_alerts_did_not_reach_gets_the_third_together_with_the_deputy(kind: Kind) {
        let (app, eva) = TestApp::with_a_deputy(kind, "").await;
        app.gives_up(EVA);
        for text in ["Första", "Andra"] {
            app.alert(&["2326"], json!({ "text": text })).await;
        }
        assert_eq!(app.texts_at(NILS), Vec::<String>::new(), "once may be chance");
        let mut operator = app.signed_in("operator", "").await;
        let page = operator.get("/alerts/new").await;
        let fields = [("areas", "2326"), ("text", "Röd bil"), ("kind", "observation"), ("spread", "households"), ("validity", "240"), ("decided_by", "Vakthavande befäl")];
        let asks = operator.submit(&page, "/alerts/confirm", &fields).await;
        assert!(asks.says("1 ersättare får också sms") && !asks.says("får sms i stället"), "{}", asks.html);
        app.gateway.change(|gateway| gateway.receipts.fate_by_number.clear());
        let id = app.alert(&["2326"], json!({ "text": "Tredje", "expected_recipients": 1 })).await;
        assert_eq!((app.texts_at(EVA).len(), app.texts_at(NILS).len()), (3, 1));
        let alert = app.api.get(&format!("/alerts/{id}")).await.json;
        assert_eq!((&alert["audience"]["by_sms"], &alert["audience"]["not_reached"]), (&json!(1), &json!(0)));
        assert_eq!((&alert["counts"]["delivered"], &alert["reach"]["contact_persons"]), (&json!(2), &json!(1)), "{alert:#}");
        let rows = app.api.get(&format!("/alerts/{id}/deliveries")).await.json;
        let of_nils = rows["items"].as_array().unwrap().iter().find(|row| row["address"] == NILS).unwrap();
        let shown = app.api.get(&format!("/deliveries/{}", of_nils["id"].as_str().unwrap())).await.json;
        assert_eq!((&of_nils["stands_in_for"], &shown["stands_in_for"]), (&json!([eva]), &json!([eva])));
        app.alert(&["2326"], json!({ "text": "Fjärde" })).await;
        assert_eq!((app.texts_at(EVA).len(), app.texts_at(NILS).len()), (4, 1), "the third arrived: she is back");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_area_in_which_a_deputy_got_the_alert_is_not_shown_as_one_where_nobody_did(kind: Kind) {
        let (app, _) = TestApp::with_a_deputy(kind, "").await;
        app.gives_up(EVA);
        let alone = app.alert(&["2326"], json!({ "text": "Första" })).await;
        app.alert(&["2326"], json!({ "text": "Andra" })).await;
        let through_nils = app.alert(&["2326"], json!({ "text": "Tredje" })).await;
        assert_eq!((app.texts_at(EVA).len(), app.texts_at(NILS).len()), (3, 1));
        let mut operator = app.signed_in("operator", "").await;
        let report = operator.get(&format!("/alerts/{alone}/report")).await;
        assert!(report.says("Områden där ingen nåddes"), "{}", report.html);
        let report = operator.get(&format!("/alerts/{through_nils}/report")).await;
        assert!(!report.says("Områden där ingen nåddes"), "{}", report.html);
        app.gives_up(NILS);
        let nobody = app.alert(&["2326"], json!({ "text": "Fjärde" })).await;
        let report = operator.get(&format!("/alerts/{nobody}/report")).await;
        assert!(report.says("Områden där ingen nåddes"), "the deputy did not get it either: {}", report.html);
    }

    async fn of_two_deputies_with_one_telephone_the_one_who_said_no_does_not_speak_for_the_other(kind: Kind) {
        let (app, _) = TestApp::with_a_deputy(kind, HALF_AN_HOUR).await;
        for (name, mobile, municipality, email) in
            [("Siv Sund", SIV, "2326", "siv@example.org"), ("Per Persson", NILS, "2321", "per@example.org")]
        {
            let body = json!({ "name": name, "mobile": mobile, "municipality": municipality, "watch_area": "Duved", "email": email });
            assert_eq!(app.api.post("/contact-persons", body).await.status, 201);
        }
        app.stands_in("per@example.org", "Siv").await;
        app.alert(&["2326"], to_households()).await;
        app.advance(MINUTE * 29);
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/admin/gateways").await;
        admin.submit(&page, "/admin/pause", &[("reason", "Något är fel")]).await;
        app.advance(MINUTE * 2);
        deputy_takeover::sweep(&app.desk).await.unwrap();
        let rows = "SELECT d.state FROM delivery d WHERE d.id IN (SELECT s.delivery_id FROM stand_in s)";
        assert_eq!(app.database.texts(rows).await, ["queued"], "one telephone, one SMS");
        let found = app.api.get("/contact-persons?q=Nils").await.json;
        let nils = format!("/contact-persons/{}", found["items"][0]["id"].as_str().unwrap());
        app.api.patch(&nils, json!({ "opt_outs": [{ "channel": "sms", "source": "ringde" }] })).await;
        let page = admin.get("/admin/resume").await;
        admin.submit(&page, "/admin/resume", &[]).await;
        app.until_texts_at(NILS, 1).await;
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn whose_number_is_doubtful_has_the_deputy_beside_them_at_once(kind: Kind) {
        let (app, eva) = TestApp::with_a_deputy(kind, "").await;
        app.gives_up(EVA);
        let id = app.alert(&["2326"], json!({ "text": "Första" })).await;
        let mut operator = app.signed_in("operator", "").await;
        let page = operator.get(&format!("/alerts/{id}")).await;
        operator.submit(&page, &format!("/alerts/{id}/doubt-numbers"), &[]).await;
        app.alert(&["2326"], json!({ "text": "Andra" })).await;
        assert_eq!((app.texts_at(EVA).len(), app.texts_at(NILS).len()), (2, 1));
        app.api.patch(&format!("/contact-persons/{eva}"), json!({ "mobile": "+46701740611" })).await;
        app.alert(&["2326"], json!({ "text": "Tredje" })).await;
        assert_eq!((app.texts_at("+46701740611").len(), app.texts_at(NILS).len()), (1, 1), "another number is trusted");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_audience_frozen_in_pieces_has_deputies_and_so_have_its_follow_ups(kind: Kind) {
        let more = format!("{HALF_AN_HOUR}\ndatabase.rows_at_once = 1");
        let (app, eva) = TestApp::with_a_deputy(kind, &more).await;
        for (name, mobile, municipality, area) in [("Siv Sund", SIV, "2326", "Hackås"), ("Per Persson", "+46701740603", "2321", "Duved")] {
            let body = json!({ "name": name, "mobile": mobile, "municipality": municipality, "watch_area": area });
            assert_eq!(app.api.post("/contact-persons", body).await.status, 201);
        }
        app.stands_in("+46701740603", "Siv").await;
        app.api.patch(&format!("/contact-persons/{eva}"), json!({ "paused_until": "2026-12-01T00:00:00Z" })).await;
        let id = app.alert(&["2326"], json!({ "spread": "households", "expected_recipients": 1 })).await;
        let alert = app.api.get(&format!("/alerts/{id}")).await.json;
        assert_eq!((&alert["counts"]["delivered"], &alert["reach"]["contact_persons"]), (&json!(2), &json!(1)), "{alert:#}");
        let got = |number: &str| app.texts_at(number).len();
        assert_eq!((got(EVA), got(NILS), got(SIV)), (0, 1, 1));
        app.advance(MINUTE * 31);
        app.until_texts_at("+46701740603", 1).await;
        let ended = app.follow_up(&id, "all_clear").await;
        assert_eq!(ended["counts"]["delivered"], 3, "{ended:#}");
        assert_eq!((got(EVA), got(NILS), got(SIV), got("+46701740603")), (0, 2, 2, 2));
        assert_eq!(app.verify().await, Vec::<String>::new());
    }
}
