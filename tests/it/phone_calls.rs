//! The list "Att ringa": whoever rings says how it went, person by person, until nobody is left.

use std::time::Duration;

use grannpost::actions::retention;
use grannpost::domain::retention::Rule;
use serde_json::{Value, json};

use crate::support::browser::{Browser, Page};
use crate::support::{TestApp, on_both_databases};

const LIST: &str = "/register/calls";

impl TestApp {
    async fn put_down(&self, person: Value) -> String {
        let answer = self.api.post("/contact-persons", person).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json["id"].as_str().unwrap().to_owned()
    }

    /// Somebody whose number an alert did not arrive at and whose letters come back, with no other way to them.
    async fn lost(&self, name: &str, mobile: &str) -> String {
        let person = json!({ "name": name, "mobile": mobile, "email": format!("{mobile}@example.org"), "municipality": "2326",
            "watch_area": "Hackås" });
        let id = self.put_down(person).await;
        let now = self.clock.now_ms();
        self.database
            .execute(&format!(
                "UPDATE contact_person SET mobile_doubtful = mobile, mobile_doubtful_at = {now}, email_unusable = email, \
                 email_unusable_at = {now}, email_unusable_reason = 'bounce.hard' WHERE id = '{id}'"
            ))
            .await;
        id
    }
}

/// What stands in the form of one person.
fn key_of(page: &Page, id: &str) -> String {
    let (_, form) = page.html.split_once(&format!("action=\"{LIST}/{id}\"")).expect("the person is on the list");
    let (_, rest) = form.split_once("name=\"key\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Says how a call went, as the form does.
async fn say(browser: &mut Browser, page: &Page, id: &str, outcome: &str, note: &str) -> Page {
    let key = key_of(page, id);
    let fields = [("key", key.as_str()), ("area", "2326"), ("outcome", outcome), ("note", note)];
    browser.submit(page, &format!("{LIST}/{id}"), &fields).await
}

on_both_databases! {
    async fn whoever_rings_says_how_it_went_and_the_list_is_worked_off(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let eva = app.lost("Eva Ek", "+46701740601").await;
        let nils = app.lost("Nils Nord", "+46701740609").await;
        let mut chief = app.signed_in("chief", "2326").await;
        let list = chief.get(LIST).await;
        assert!(list.says("2 att ringa eller besöka") && list.says("Berg, Hackås <span class=\"quiet small\">2 kvar"), "{}", list.html);

        let tried = say(&mut chief, &list, &eva, "not_reached", "Telefonsvarare").await;
        assert!(tried.path == format!("{LIST}?area=2326&done=not_reached") && tried.says("står kvar på listan"), "{} {}", tried.path, tried.html);
        assert!(tried.says("Ringt 1 gång, senast 02:31 av Kim chief: Inte nådd") && tried.says("”Telefonsvarare”"), "{}", tried.html);
        // A second click on the same page is the same call.
        say(&mut chief, &list, &eva, "not_reached", "Telefonsvarare").await;
        app.advance(Duration::from_secs(3600));
        let list = chief.get(LIST).await;
        let again = say(&mut chief, &list, &eva, "not_reached", "").await;
        assert!(again.says("Ringt 2 gånger, senast 03:31"), "{}", again.html);
        let person = chief.get(&format!("/register/persons/{eva}")).await;
        assert!(person.says("<h2>Samtal</h2>") && person.says("Inte nådd. ”Telefonsvarare”"), "{}", person.html);

        let reached = say(&mut chief, &again, &eva, "confirmed", "").await;
        assert!(reached.says("uppgifterna stämmer") && !reached.says("Eva Ek") && reached.says("1 kvar"), "{}", reached.html);
        let person = chief.get(&format!("/register/persons/{eva}")).await;
        assert!(!person.says("numret är tveksamt") && !person.says("e-posten fungerar inte"), "{}", person.html);

        let edit = say(&mut chief, &reached, &nils, "new_details", "Nytt nummer").await;
        assert_eq!(edit.path, format!("/register/persons/{nils}/edit"), "{}", edit.html);
        let moved = json!({ "mobile": "070-174 06 33", "email": "nils.nord@example.org" });
        assert_eq!(app.api.patch(&format!("/contact-persons/{nils}"), moved).await.status, 200);
        assert!(chief.get(LIST).await.says("Just nu går alla att nå"));

        // What is wrong anew brings her back, and what was tried before has been seen to.
        app.advance(Duration::from_secs(60));
        app.database.execute(&format!("UPDATE contact_person SET mobile_doubtful = mobile, mobile_doubtful_at = {} WHERE id = '{eva}'", app.clock.now_ms())).await;
        let back = chief.get(LIST).await;
        assert!(back.says("Eva Ek") && !back.says("Ringt "), "{}", back.html);
        let end = say(&mut chief, &back, &eva, "ended", "Flyttat").await;
        assert_eq!(end.path, format!("/register/persons/{eva}/end"), "{}", end.html);
        let log = app.api.get("/audit?action=contact_person.called").await;
        assert_eq!(log.json["items"].as_array().unwrap().len(), 5, "{}", log.text);
        assert!(!log.text.contains("Telefonsvarare"), "no note stands in the log");
        chief.submit(&end, &format!("/register/persons/{eva}/end"), &[]).await;
        let calls = app.database.texts("SELECT contact_person_id FROM phone_call").await;
        assert_eq!(calls, [nils], "the calls went with her");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn who_has_neither_number_nor_address_is_done_with_until_something_changes(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let person = json!({ "name": "Siv Sund", "phone2": "0687-100 20", "municipality": "2326", "watch_area": "Hackås" });
        let siv = app.put_down(person).await;
        let mut chief = app.signed_in("chief", "").await;
        let list = chief.get(LIST).await;
        assert!(list.says("varken mobil eller e-post"), "{}", list.html);
        app.advance(Duration::from_secs(1));
        let done = say(&mut chief, &list, &siv, "confirmed", "Har bara fast telefon").await;
        assert!(done.says("Just nu går alla att nå"), "{}", done.html);
        app.advance(Duration::from_secs(1));
        assert_eq!(app.api.patch(&format!("/contact-persons/{siv}"), json!({ "note": "Flyttar i vår" })).await.status, 200);
        assert!(chief.get(LIST).await.says("Siv Sund"), "her record has changed");
    }

    async fn what_is_wrong_with_a_call_is_said_at_its_person_and_nothing_typed_is_lost(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let eva = app.lost("Eva Ek", "+46701740601").await;
        let mut chief = app.signed_in("chief", "").await;
        let list = chief.get(LIST).await;
        let long = "x".repeat(201);
        let refused = say(&mut chief, &list, &eva, "", &long).await;
        assert_eq!(refused.status, 422);
        let at = |field: &str| format!("href=\"#{field}-{eva}\"");
        let typed = format!("value=\"{long}\"");
        for words in [at("outcome"), at("note"), "Välj hur samtalet gick.".to_owned(), "högst 200 tecken".to_owned(), typed] {
            assert!(refused.says(&words), "{words} {}", refused.html);
        }
        assert!(refused.title().starts_with("Fel: "), "{}", refused.title());
        assert_eq!(app.database.texts("SELECT id FROM phone_call").await, [""; 0]);

        let mut operator = app.signed_in("operator", "").await;
        let seen = operator.get(LIST).await;
        assert!(seen.says("Eva Ek") && !seen.says("Hur gick det?"), "who may not change the register reads: {}", seen.html);
        let key = key_of(&list, &eva);
        let fields = [("key", key.as_str()), ("outcome", "confirmed"), ("note", "")];
        assert_eq!(operator.submit(&seen, &format!("{LIST}/{eva}"), &fields).await.status, 403);
        let mut elsewhere = app.signed_in("chief", "2321").await;
        let seen = elsewhere.get(LIST).await;
        assert_eq!(elsewhere.submit(&seen, &format!("{LIST}/{eva}"), &fields).await.status, 404);
    }

    async fn a_note_is_the_persons_to_read_and_goes_when_its_time_is_over(kind: Kind) {
        let app = TestApp::spawn_with(kind, "retention.calls.decision = \"Beslut 2026-5\"").await;
        let eva = app.lost("Eva Ek", "+46701740601").await;
        let mut chief = app.signed_in("chief", "").await;
        let list = chief.get(LIST).await;
        say(&mut chief, &list, &eva, "not_reached", "Bortrest till maj").await;
        let mut session = app.desk.store.begin().await.unwrap();
        let extract = grannpost::actions::extract::of_person(&app.desk, &mut session, &crate::support::root(), &eva).await.unwrap();
        drop(session);
        let call = &extract["phone_calls"][0];
        assert_eq!((&call["outcome"], &call["note"]), (&json!("not_reached"), &json!("Bortrest till maj")), "{extract:#}");
        app.advance(Duration::from_secs(366 * 24 * 3600));
        let removed = retention::run(&app.desk, || true).await.unwrap();
        assert_eq!(removed, [(Rule::Calls, 1)]);
        assert_eq!(retention::run(&app.desk, || true).await.unwrap(), []);
        assert_eq!(app.database.texts("SELECT outcome || note FROM phone_call").await, ["not_reached"]);
    }
}
