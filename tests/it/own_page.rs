//! The contact person's own page: the way in by e-mail, what is seen and done there, and that nobody else gets in.

use std::time::Duration;

use crate::support::browser::{Browser, Page};
use crate::support::webdriver::{Look, Window};
use crate::support::{Kind, TestApp, free_port, on_both_databases};
use mail_parser::MessageParser;
use serde_json::{Value, json};

const EVA: &str = "eva@example.org";
const NILS: &str = "nils@example.org";
const HOUR: Duration = Duration::from_secs(3_600);

impl TestApp {
    /// Eva Ek in Hackås (2326) with four households and Nils Nord in Duved (2321) with three.
    async fn with_neighbours(kind: Kind, more: &str) -> Self {
        let app = Self::spawn_with(kind, more).await;
        for (name, mobile, email, municipality, area, households) in [
            ("Eva Ek", "+46701740601", EVA, "2326", "Hackås", 4),
            ("Nils Nord", "+46701740609", NILS, "2321", "Duved", 3),
        ] {
            let body = json!({ "name": name, "mobile": mobile, "municipality": municipality, "watch_area": area,
                "households": households, "email": email });
            assert_eq!(app.api.post("/contact-persons", body).await.status, 201);
        }
        app
    }

    async fn one(&self, name: &str) -> Value {
        self.api.get(&format!("/contact-persons?q={name}")).await.json["items"][0].clone()
    }

    /// The text of the mails that came to an address, once they are so many.
    async fn mails_to(&self, address: &str, count: usize) -> Vec<String> {
        let mut found = Vec::new();
        for _ in 0..600 {
            found = self.mail.journal().letters().into_iter().filter(|mail| mail.to == address).collect();
            if found.len() >= count {
                break;
            }
            self.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        assert_eq!(found.len(), count);
        let text = |message: &[u8]| MessageParser::default().parse(message).unwrap().body_text(0).unwrap().into_owned();
        found.iter().map(|mail| text(&mail.message)).collect()
    }

    /// Asks for a link and gives the path that the mail holds; `nth` mail to the address.
    pub async fn link_of(&self, browser: &mut Browser, email: &str, nth: usize) -> String {
        let page = browser.get("/min-sida").await;
        let page = browser.submit(&page, "/min-sida/lank", &[("email", email)]).await;
        assert_eq!(page.status, 200, "{}", page.html);
        path_in(&self.mails_to(&email.trim().to_lowercase(), nth).await[nth - 1])
    }

    /// A browser that the person with this address has come in from.
    pub async fn at_own_page(&self, email: &str) -> Browser {
        let mut browser = self.browser();
        let path = self.link_of(&mut browser, email, 1).await;
        let page = browser.get(&path).await;
        let page = browser.submit(&page, &path, &[]).await;
        assert_eq!((page.status.as_u16(), page.path.as_str()), (200, "/min-sida"), "{}", page.html);
        browser
    }

    async fn alert_to(&self, area: &str, more: Value) -> String {
        let mut body = json!({ "text": "Röd skåpbil söks i Hackås", "areas": [area], "decided_by": "Befäl",
            "spread": "households", "undo_seconds": 0 });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = self.api.post("/alerts", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.json["id"].as_str().unwrap().to_owned();
        self.alert_when(&id, |alert| alert["state"] == "done").await;
        id
    }

    async fn acts_of(&self, id: &str) -> Vec<String> {
        self.database
            .texts(&format!("SELECT action FROM audit WHERE actor = 'contact_person:{id}' ORDER BY action"))
            .await
    }
}

fn path_in(mail: &str) -> String {
    let (_, rest) = mail.split_once("/min-sida/lank/").unwrap_or_else(|| panic!("no link in {mail}"));
    format!("/min-sida/lank/{}", rest.split_whitespace().next().unwrap())
}

fn key_of(page: &Page) -> String {
    page.after("name=\"form_key\" value=\"").unwrap()
}

on_both_databases! {
    async fn a_link_in_an_email_opens_the_page_once(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let mut browser = app.browser();
        let path = app.link_of(&mut browser, "  EVA@Example.org ", 1).await;
        assert!(path.split_once('-').unwrap().1.len() >= 32, "128 bits: {path}");
        let token = path.rsplit('/').next().unwrap().to_owned();
        for table in ["SELECT token_hash FROM own_page_link", "SELECT body FROM message", "SELECT detail FROM audit"] {
            assert!(app.database.texts(table).await.iter().all(|text| !text.contains(&token)), "{table} holds the token");
        }
        for _ in 0..3 {
            let page = browser.get(&path).await;
            assert!(page.says("Fortsätt som Eva E"), "a scanner uses nothing up: {}", page.html);
        }
        let page = browser.get(&path).await;
        let page = browser.submit(&page, &path, &[]).await;
        assert_eq!((page.path.as_str(), page.says("Larm i ditt område")), ("/min-sida", true), "{}", page.html);
        let mut second = app.browser();
        let page = second.get(&path).await;
        assert_eq!((page.status.as_u16(), page.says("Länken fungerar inte längre")), (404, true));
        let page = second.get("/min-sida").await;
        let page = second.submit(&page, &path, &[]).await;
        assert_eq!((page.status.as_u16(), second.cookies.contains_key("grannpost-own")), (404, false), "once");
        let held = app.database.texts("SELECT token_hash FROM own_page_session").await;
        assert!(held.len() == 1 && held[0] != browser.cookies["grannpost-own"], "{held:?}");
        app.advance(HOUR * 24 * 89);
        assert!(browser.get("/min-sida").await.says("Larm i ditt område"));
        app.advance(HOUR * 24 * 2);
        assert!(browser.get("/min-sida").await.says("Skicka länken"), "90 days");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_link_is_too_old_after_half_an_hour_and_a_made_up_one_is_none(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let mut browser = app.browser();
        let path = app.link_of(&mut browser, EVA, 1).await;
        app.advance(Duration::from_secs(1_801));
        let page = browser.get(&path).await;
        assert_eq!(page.status, 404);
        let page = browser.get("/min-sida").await;
        assert_eq!(browser.submit(&page, &path, &[]).await.status, 404);
        let other = grannpost::domain::own_page_token::encode(&app.desk.token_key, 1);
        for made_up in ["/min-sida/lank/1-00000000000000000000000000000000", &format!("/min-sida/lank/{other}"), "/min-sida/lank/x"] {
            assert_eq!(browser.get(made_up).await.status, 404, "{made_up}");
            assert_eq!(browser.submit(&page, made_up, &[]).await.status, 404, "{made_up}");
        }
        assert_eq!(app.database.texts("SELECT id FROM own_page_session").await, Vec::<String>::new());
    }

    async fn who_asks_for_a_link_learns_nothing_about_the_register(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let mut answers = Vec::new();
        for email in [EVA, "stranger@example.org"] {
            let mut browser = app.browser();
            let page = browser.get("/min-sida").await;
            let token = page.form_token();
            let page = browser.submit(&page, "/min-sida/lank", &[("email", email)]).await;
            let headers: Vec<String> = page.headers.keys().map(ToString::to_string).collect();
            answers.push((page.status, headers, page.html.replace(&token, "")));
        }
        assert_eq!(answers[0], answers[1]);
        let mut browser = app.browser();
        let page = browser.get("/min-sida").await;
        let statuses = |page: Page| page.status.as_u16();
        for email in [NILS, "other-stranger@example.org"] {
            let mut all = Vec::new();
            for _ in 0..5 {
                all.push(statuses(browser.submit(&page, "/min-sida/lank", &[("email", email)]).await));
            }
            assert_eq!(all, [200, 200, 200, 429, 429], "{email}: as slow for one as for the other");
        }
        let page = browser.submit(&page, "/min-sida/lank", &[("email", "inte en adress")]).await;
        assert!(page.status == 422 && page.says("Skriv en e-postadress"), "{}", page.html);
        app.mails_to(NILS, 3).await;
        let written = app.mail.journal().letters();
        assert!(written.iter().all(|mail| mail.to == EVA || mail.to == NILS), "nobody else is written to");
    }

    async fn one_source_that_asks_for_many_is_slowed(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let mut browser = app.browser();
        let page = browser.get("/min-sida").await;
        let mut taken = 0;
        for n in 0..30 {
            let email = format!("guess{n}@example.org");
            let answer = browser.submit(&page, "/min-sida/lank", &[("email", &email)]).await;
            taken += usize::from(answer.status == 200);
            if answer.status == 429 {
                assert!(answer.says("Vänta lite") && answer.headers.contains_key("retry-after"), "{}", answer.html);
            }
        }
        assert!((20..22).contains(&taken), "{taken}");
    }

    async fn neither_session_opens_the_other_pages(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let mut eva = app.at_own_page(EVA).await;
        for path in ["/", "/register", "/observations", "/alerts/new"] {
            assert!(eva.get(path).await.path.starts_with("/sign-in"), "{path}");
        }
        assert_eq!(app.api.with_key(&eva.cookies["grannpost-own"]).get("/alerts").await.status, 401);
        let mut admin = app.signed_in("admin", "").await;
        for path in ["/min-sida/svar", "/min-sida/brev", "/min-sida/uppgifter", "/min-sida/utdrag", "/min-sida/utdrag.json", "/min-sida/avsluta"] {
            let page = admin.get(path).await;
            assert!(page.path == "/min-sida" && page.says("Skicka länken"), "{path} {}", page.html);
        }
        let page = admin.get("/account").await;
        for path in crate::pages::OWN_PAGE_POSTS {
            assert_eq!(admin.submit(&page, path, &[]).await.status, 401, "{path}");
            assert_eq!(eva.post_raw(path, &[("x", "y")], &[("sec-fetch-site", "same-origin")]).await.status, 403, "{path} without token");
            let token = eva.get("/min-sida").await.form_token();
            assert_eq!(eva.post_raw(path, &[("form_token", &token)], &[("sec-fetch-site", "cross-site")]).await.status, 403, "{path}");
        }
        assert_eq!(app.one("Eva").await["name"], "Eva Ek", "nothing was done");
    }

    async fn an_alert_of_the_area_is_shown_passed_on_and_counted(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let mut eva = app.at_own_page(EVA).await;
        assert!(eva.get("/min-sida").await.says("Inget larm i ditt område just nu."));
        let alert = app.alert_to("2326", json!({})).await;
        app.alert_to("2321", json!({ "text": "Bara i Åre" })).await;
        let page = eva.get("/min-sida").await;
        assert!(page.says("Röd skåpbil söks i Hackås") && page.says("Gäller till kl. 06.31"), "{}", page.html);
        assert!(!page.says("Bara i Åre"), "another area");
        assert!(page.says("sms:?&amp;body=Fr%C3%A5n%20polisen%20via%20grannsamverkan"), "{}", page.html);
        let poster = eva.get(&format!("/min-sida/anslag/{alert}")).await;
        assert!(poster.says("Information från polisen") && poster.says("Röd skåpbil"), "{}", poster.html);
        let wrong = eva.submit(&page, "/min-sida/spridit", &[("alert", &alert), ("households", "många")]).await;
        assert!(wrong.status == 422 && wrong.says("Ange antal hushåll med siffror"), "{}", wrong.html);
        for (households, reach) in [("", 4), ("11", 11)] {
            let page = eva.submit(&page, "/min-sida/spridit", &[("alert", &alert), ("households", households)]).await;
            assert!(page.status == 200 && page.says("Tack!"), "{}", page.html);
            let spread = app.database.texts("SELECT CAST(households AS TEXT) || ' ' || source FROM spread_confirmation").await;
            assert_eq!(spread, [format!("{reach} page")]);
        }
        let mut nils = app.at_own_page(NILS).await;
        let page = nils.get("/min-sida").await;
        let refused = nils.submit(&page, "/min-sida/spridit", &[("alert", &alert), ("households", "5")]).await;
        assert_eq!(refused.status, 404, "an alert of another area");
        app.advance(HOUR * 5);
        let page = eva.get("/min-sida").await;
        assert!(page.says("Gäller inte längre") && page.says("<s class=\"lines\">Röd skåpbil"), "{}", page.html);
        assert_eq!(eva.get(&format!("/min-sida/anslag/{alert}")).await.status, 404, "no poster of what is over");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn what_is_not_to_be_spread_cannot_be_and_an_all_clear_ends_it(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let mut eva = app.at_own_page(EVA).await;
        let alert = app.alert_to("2326", json!({ "spread": "contact_person_only" })).await;
        let page = eva.get("/min-sida").await;
        assert!(page.says("Sprid inte vidare.") && !page.says("Jag har spridit det vidare"), "{}", page.html);
        let refused = eva.submit(&page, "/min-sida/spridit", &[("alert", &alert), ("households", "5")]).await;
        assert_eq!(refused.status, 409, "{}", refused.html);
        let ended = app.api.post(&format!("/alerts/{alert}/follow-ups"), json!({ "kind": "all_clear", "text": "Bilen är funnen", "decided_by": "Befäl", "undo_seconds": 0 })).await;
        assert_eq!(ended.status, 201, "{}", ended.text);
        let id = ended.json["id"].as_str().unwrap().to_owned();
        app.alert_when(&id, |alert| alert["state"] == "done").await;
        let page = eva.get("/min-sida").await;
        assert!(page.says("Larmet är avslutat") && page.says("Bilen är funnen") && page.says("Gäller inte längre"), "{}", page.html);
    }

    async fn an_observation_goes_the_way_of_all_and_its_answer_comes_back(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let alert = app.alert_to("2326", json!({})).await;
        let mut eva = app.at_own_page(EVA).await;
        let page = eva.get("/min-sida").await;
        assert!(page.html.find("Pågår det nu? Ring").unwrap() < page.html.find("Vad har du sett?").unwrap());
        let empty = eva.submit(&page, "/min-sida/iakttagelse", &[("text", "  "), ("place", "Vid macken"), ("form_key", "k0")]).await;
        assert!(empty.status == 422 && empty.says("Skriv vad du har sett.") && empty.says("value=\"Vid macken\""), "{}", empty.html);
        let key = key_of(&page);
        let fields = [("text", "Han är här med kniv <script>alert(1)</script>"), ("place", "Vid macken"), ("about", alert.as_str()), ("form_key", key.as_str())];
        for _ in 0..2 {
            let page = eva.submit(&page, "/min-sida/iakttagelse", &fields).await;
            assert!(page.status == 200 && page.says("Ring 112 direkt"), "{}", page.html);
        }
        let all = app.api.get("/observations?channel=page").await.json;
        assert_eq!(all["items"].as_array().unwrap().len(), 1, "sent twice it is one: {all:#}");
        let one = &all["items"][0];
        assert_eq!((&one["channel"], &one["alert_id"], &one["place"]), (&json!("page"), &json!(alert), &json!("Vid macken")));
        assert_eq!((&one["contact_person_id"], &one["sender"], &one["urgent"]), (&app.one("Eva").await["id"], &json!(EVA), &json!(true)));
        let mut officer = app.signed_in("officer", "").await;
        assert!(officer.get("/observations").await.says("Ett svar kan vara akut"), "the banner");
        let shown = officer.get(&format!("/observations/{}", one["id"].as_str().unwrap())).await;
        assert!(shown.says("text på egen sida") && !shown.html.contains("<script>alert"), "{}", shown.html);
        let mine = eva.get("/min-sida/svar").await;
        assert!(mine.says("&#60;script&#62;") && mine.says("Inget svar än") && !mine.html.contains("<script>alert"), "{}", mine.html);
        let path = format!("/observations/{}/reply", one["id"].as_str().unwrap());
        let answered = app.api.post(&path, json!({ "text": "Tack, vi är på väg" })).await;
        assert!(answered.status.as_u16() < 300, "{}", answered.text);
        let mine = eva.get("/min-sida/svar").await;
        assert!(mine.says("Tack, vi är på väg") && !mine.says("Svar från polisen om grannsamverkan"), "{}", mine.html);
        let mails = app.mails_to(EVA, 2).await;
        assert!(mails[1].contains("Tack, vi är på väg") && !mails[1].contains("/min-sida/lank/"), "{mails:?}");
        let page = eva.get("/min-sida").await;
        let key = key_of(&page);
        eva.submit(&page, "/min-sida/iakttagelse", &[("text", "STOP"), ("form_key", &key)]).await;
        let eva_now = app.one("Eva").await;
        assert_eq!(eva_now["opt_outs"], json!([]), "what somebody writes here is no command");
        assert_eq!(app.api.get("/observations?channel=email").await.json["items"], json!([]));
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_person_changes_their_own_details_and_nobody_elses(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let mut eva = app.at_own_page(EVA).await;
        let page = eva.get("/min-sida/uppgifter").await;
        assert!(page.says("Hackås") && page.says("070-174 06 01"), "{}", page.html);
        let wrong = eva.submit(&page, "/min-sida/uppgifter", &[("households", "x"), ("language", "sv"), ("letters", "yes")]).await;
        assert!(wrong.status == 422 && wrong.title().starts_with("Fel: "), "{}", wrong.html);
        let wrong = eva.submit(&page, "/min-sida/uppgifter", &[("households", "4"), ("language", "klingon")]).await;
        assert_eq!(wrong.status, 422);
        let changed = eva.submit(&page, "/min-sida/uppgifter", &[("households", "12"), ("language", "en"), ("letters", "yes")]).await;
        assert!(changed.says("Dina uppgifter är sparade."), "{}", changed.html);
        let now = app.one("Eva").await;
        assert_eq!((&now["households"], &now["language"], &now["opt_outs"][0]["channel"]), (&json!(12), &json!("en"), &json!("sms")));
        assert!(eva.get("/min-sida").await.says("Du får inga larm med sms"));
        eva.submit(&page, "/min-sida/uppgifter", &[("households", "12"), ("language", "en"), ("letters", "yes"), ("alerts", "yes")]).await;
        assert_eq!(app.one("Eva").await["opt_outs"], json!([]));
        for (until, status) in [("2026-11-19", 422), ("2029-01-01", 422), ("snart", 422), ("2026-12-03", 200)] {
            assert_eq!(eva.submit(&page, "/min-sida/paus", &[("until", until)]).await.status, status, "{until}");
        }
        assert_eq!(app.one("Eva").await["paused_until"], "2026-12-03T23:00:00Z");
        let resumed = eva.submit(&page, "/min-sida/paus", &[("end", "yes")]).await;
        assert!(resumed.says("Pausen är borttagen"), "{}", resumed.html);
        assert_eq!(app.one("Eva").await["paused_until"], Value::Null);
        assert_eq!(app.one("Nils").await["households"], 3);
        let page = eva.get("/min-sida/uppgifter").await;
        let key = key_of(&page);
        let fields = [("wish", "hand_over"), ("who", "Siv Sund 070-174 06 33"), ("form_key", key.as_str())];
        assert!(eva.submit(&page, "/min-sida/ersattare", &fields).await.says("Ingenting är ändrat än"));
        let asked = app.api.get("/observations").await.json;
        assert_eq!((&asked["items"][0]["tags"], &asked["items"][0]["alert_id"]), (&json!(["register"]), &Value::Null), "{asked:#}");
        assert!(asked["items"][0]["text"].as_str().unwrap().contains("lämna över uppdraget till: Siv Sund"));
        let acts = app.acts_of(now["id"].as_str().unwrap()).await;
        let wanted = ["contact_person.changed", "contact_person.changed", "contact_person.paused", "contact_person.resumed",
            "observation.received", "own_page.link_sent", "own_page.opened"];
        assert_eq!(acts, wanted);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn letters_and_all_that_is_held_can_be_read(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let letter = json!({ "subject": "Höstbrev", "body_markdown": "Hej **alla** i Berg", "areas": ["2326"], "registry_number": "A378.812/2016",
            "signature": { "name": "Anna Hedin", "title": "Tf områdeschef" } });
        let made = app.api.post("/letters", letter).await;
        let id = made.json["id"].as_str().unwrap().to_owned();
        app.api.post(&format!("/letters/{id}/send"), json!({ "undo_seconds": 0 })).await;
        let mail = app.mails_to(EVA, 1).await.remove(0);
        let foot = format!("Din egen sida med larm, svar och uppgifter: {}/min-sida", app.api.base());
        assert!(mail.contains(&foot), "{mail}");
        let mut eva = app.browser();
        let path = app.link_of(&mut eva, EVA, 2).await;
        let page = eva.get(&path).await;
        eva.submit(&page, &path, &[]).await;
        let list = app.page_until(&mut eva, "/min-sida/brev", "Höstbrev").await;
        let shown = eva.get(&list.links().into_iter().find(|link| link.starts_with("/min-sida/brev/")).unwrap()).await;
        assert!(shown.says("alla i Berg") && shown.says("A378.812/2016"), "{}", shown.html);
        let mut nils = app.at_own_page(NILS).await;
        assert!(nils.get("/min-sida/brev").await.says("Inget brev har skickats till dig än"));
        assert_eq!(nils.get(&format!("/min-sida/brev/{id}")).await.status, 404);
        let file = eva.get("/min-sida/utdrag.json").await;
        assert_eq!(file.headers["content-type"], "application/json; charset=utf-8");
        let all: Value = serde_json::from_str(&file.html).unwrap();
        assert_eq!((&all["contact_person"]["fields"]["name"], &all["own_page_sessions"].as_array().unwrap().len()), (&json!("Eva Ek"), &1));
        assert!(all["own_page_links"][0]["used_at"].is_string() && !file.html.contains("Nils"), "{all:#}");
        let read = eva.get("/min-sida/utdrag").await;
        assert!(read.says("Allt som finns om mig") && read.says("Eva Ek") && read.says("antal hushåll"), "{}", read.html);
        let logged = app.database.texts("SELECT actor FROM audit WHERE action = 'contact_person.extracted'").await;
        assert!(logged.len() == 2 && logged.iter().all(|actor| actor.starts_with("contact_person:")), "{logged:?}");
    }

    async fn who_leaves_is_erased_and_every_browser_is_out(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let mut phone = app.at_own_page(EVA).await;
        let mut computer = app.browser();
        let path = app.link_of(&mut computer, EVA, 2).await;
        let page = computer.get(&path).await;
        computer.submit(&page, &path, &[]).await;
        let open = app.link_of(&mut app.browser(), EVA, 3).await;
        let page = phone.get("/min-sida/avsluta").await;
        assert!(page.says("Dina uppgifter raderas"), "{}", page.html);
        let page = phone.submit(&page, "/min-sida/avsluta", &[]).await;
        assert!(page.status == 200 && page.says("Uppdraget är avslutat"), "{}", page.html);
        assert!(!phone.cookies.contains_key("grannpost-own"));
        assert!(computer.get("/min-sida").await.says("Skicka länken"), "the other browser is out, too");
        assert_eq!(app.browser().get(&open).await.status, 404, "and a link on its way opens nothing");
        for query in ["SELECT token_hash FROM own_page_session", "SELECT token_hash FROM own_page_link",
            "SELECT address FROM delivery WHERE address LIKE 'eva%'", "SELECT email FROM contact_person WHERE email LIKE 'eva%'"] {
            assert_eq!(app.database.texts(query).await, Vec::<String>::new(), "{query}");
        }
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn logging_out_ends_the_session_of_that_browser(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let mut eva = app.at_own_page(EVA).await;
        let mut copy = eva.clone();
        let page = eva.get("/min-sida/uppgifter").await;
        let out = eva.submit(&page, "/min-sida/ut", &[]).await;
        assert!(out.says("Skicka länken") && !eva.cookies.contains_key("grannpost-own"), "{}", out.html);
        assert!(copy.get("/min-sida").await.says("Skicka länken"), "a kept cookie lets nobody in");
        let lost = copy.submit(&page, "/min-sida/iakttagelse", &[("text", "En lång text om en röd bil vid macken"), ("form_key", "k")]).await;
        assert!(lost.status == 401 && lost.says("Du behöver en ny länk") && lost.says("röd bil vid macken"), "{}", lost.html);
    }

    async fn operators_send_a_link_from_the_register(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let id = app.one("Eva").await["id"].as_str().unwrap().to_owned();
        let mut operator = app.signed_in("operator", "").await;
        let page = operator.get(&format!("/register/persons/{id}")).await;
        assert!(page.says("Skicka länk till egen sida"), "{}", page.html);
        let sent = operator.submit(&page, &format!("/register/persons/{id}/own-page-link"), &[]).await;
        assert!(sent.says("Länken är på väg med e-post"), "{}", sent.html);
        let path = path_in(&app.mails_to(EVA, 1).await[0]);
        assert!(app.browser().get(&path).await.says("Fortsätt som Eva E"));
        for _ in 0..4 {
            operator.submit(&page, &format!("/register/persons/{id}/own-page-link"), &[]).await;
        }
        let refused = operator.submit(&page, &format!("/register/persons/{id}/own-page-link"), &[]).await;
        assert!(refused.status == 409 && refused.says("flera länkar"), "{}", refused.html);
        let mut other = app.signed_in("operator", "2321").await;
        let page = other.get("/account").await;
        assert_eq!(other.submit(&page, &format!("/register/persons/{id}/own-page-link"), &[]).await.status, 404, "another area");
        let asked_by = app.database.texts("SELECT asked_by FROM own_page_link").await;
        assert!(asked_by.len() == 5 && asked_by.iter().all(|who| who.starts_with("operator:")), "{asked_by:?}");
    }

    async fn a_deputy_gets_the_alert_of_who_is_paused_and_nobody_is_counted_twice(kind: Kind) {
        let app = TestApp::with_neighbours(kind, "").await;
        let siv = json!({ "name": "Siv Sund", "mobile": "+46701740602", "municipality": "2326", "watch_area": "Hackås" });
        assert_eq!(app.api.post("/contact-persons", siv).await.status, 201);
        let eva = app.one("Eva").await["id"].as_str().unwrap().to_owned();
        let paused = app.api.patch(&format!("/contact-persons/{eva}"), json!({ "paused_until": "2026-12-01T00:00:00Z" })).await;
        assert_eq!(paused.status, 200, "{}", paused.text);
        let mut chief = app.signed_in("chief", "").await;
        let path = format!("/register/persons/{eva}");
        let page = chief.get(&path).await;
        for (typed, words) in [("070-174 06 44", "Ingen annan i registret"), ("070-174 06 01", "Ingen annan i registret")] {
            let wrong = chief.submit(&page, &format!("{path}/deputy"), &[("deputy", typed)]).await;
            assert!(wrong.status == 422 && wrong.says(words), "{typed} {}", wrong.html);
        }
        let set = chief.submit(&page, &format!("{path}/deputy"), &[("deputy", "070-174 06 09")]).await;
        assert!(set.says("Ersättaren är sparad") && set.says("Nils Nord"), "{}", set.html);
        let mut operator = app.signed_in("operator", "").await;
        let page = operator.get("/alerts/new").await;
        let fields = [("areas", "2326"), ("text", "Röd bil"), ("kind", "observation"), ("spread", "households"), ("validity", "240"), ("decided_by", "Vakthavande befäl")];
        let asks = operator.submit(&page, "/alerts/confirm", &fields).await;
        assert!(asks.says("1 ersättare får sms i stället"), "{}", asks.html);
        let id = app.alert_to("2326", json!({ "expected_recipients": 1 })).await;
        let alert = app.api.get(&format!("/alerts/{id}")).await.json;
        assert_eq!((&alert["audience"]["contact_persons"], &alert["audience"]["by_sms"], &alert["audience"]["not_reached"]), (&json!(2), &json!(1), &json!(1)));
        assert_eq!((&alert["counts"]["delivered"], &alert["reach"]["contact_persons"]), (&json!(2), &json!(1)), "{alert:#}");
        let got = |number: &str| app.gateway.journal().messages().iter().filter(|sms| sms.to == number).count();
        assert_eq!((got("+46701740609"), got("+46701740601"), got("+46701740602")), (1, 0, 1));
        let rows = app.api.get(&format!("/alerts/{id}/deliveries")).await.json;
        let of_nils = rows["items"].as_array().unwrap().iter().find(|row| row["address"] == "+46701740609").unwrap();
        assert_eq!((&of_nils["stands_in_for"], &of_nils["contact_person_id"]), (&json!([eva]), &Value::Null));
        let mut nils = app.at_own_page(NILS).await;
        assert!(nils.get("/min-sida").await.says("Röd skåpbil söks i Hackås"));
        let ended = app.api.post(&format!("/alerts/{id}/follow-ups"), json!({ "kind": "all_clear", "text": "Slut", "undo_seconds": 0 })).await;
        let ended = ended.json["id"].as_str().unwrap().to_owned();
        app.alert_when(&ended, |alert| alert["state"] == "done").await;
        assert_eq!((got("+46701740609"), got("+46701740602")), (2, 2), "who has it hears that it is over");
        app.advance(HOUR);
        let both = app.api.post("/alerts", json!({ "text": "Blå bil", "areas": ["2326", "2321"], "decided_by": "Befäl", "undo_seconds": 0 })).await;
        let both = both.json["id"].as_str().unwrap().to_owned();
        app.alert_when(&both, |alert| alert["state"] == "done").await;
        assert_eq!(got("+46701740609"), 3, "one number, one SMS");
        let late = app.api.post("/alerts", json!({ "text": "Grön bil", "areas": ["2326"], "decided_by": "Befäl" })).await;
        let late = late.json["id"].as_str().unwrap().to_owned();
        let id_of_nils = app.one("Nils").await["id"].as_str().unwrap().to_owned();
        app.api.patch(&format!("/contact-persons/{id_of_nils}"), json!({ "opt_outs": [{ "channel": "sms", "source": "ringde" }] })).await;
        app.advance(Duration::from_secs(11));
        let late = app.alert_when(&late, |alert| alert["state"] == "done").await;
        assert_eq!((&late["counts"]["suppressed"], &late["counts"]["delivered"]), (&json!(1), &json!(1)), "{late:#}");
        assert_eq!(got("+46701740609"), 3, "who says no after the freezing gets nothing");
        let page = nils.get("/min-sida/uppgifter").await;
        assert!(page.says("Du är ersättare för <strong>Eva E</strong>"), "{}", page.html);
        assert_eq!(nils.submit(&page, "/min-sida/ersattare/nej", &[("for", &id_of_nils)]).await.status, 404);
        let page = nils.submit(&page, "/min-sida/ersattare/nej", &[("for", &eva)]).await;
        assert!(page.says("du är inte ersättare längre"), "{}", page.html);
        assert!(chief.get(&path).await.says("Ingen ersättare."));
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn the_page_is_on_the_public_address_and_the_console_is_not(kind: Kind) {
        let port = free_port();
        let more = format!("server.public_listen = \"127.0.0.1:{port}\"\nserver.public_url = \"https://grannsamverkan.example.org\"");
        let app = TestApp::with_neighbours(kind, &more).await;
        let mut eva = Browser::new(&format!("http://127.0.0.1:{port}"));
        let path = app.link_of(&mut eva, EVA, 1).await;
        let page = eva.get(&path).await;
        let page = eva.submit(&page, &path, &[]).await;
        assert!(page.says("Larm i ditt område"), "{}", page.html);
        assert!(eva.cookies.contains_key("__Host-grannpost-own"), "{:?}", eva.cookies.keys());
        let page = eva.get("/min-sida/uppgifter").await;
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && page.headers["cache-control"] == "no-store", "{policy}");
        let css = page.after("rel=\"stylesheet\" href=\"").unwrap();
        assert_eq!(eva.get(&css).await.status, 200);
        for path in ["/", "/sign-in", "/register", "/api/v1/alerts", "/metrics"] {
            assert_eq!(eva.get(path).await.status, 404, "{path}");
        }
        assert_eq!(eva.get("/min-sida/brev/none").await.status, 404);
        assert!(app.browser().get("/min-sida").await.status == 404, "nor is it on the console's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_the_page_is_read_and_an_alert_passed_on() {
    let app = TestApp::with_neighbours(Kind::Sqlite, "").await;
    app.alert_to("2326", json!({})).await;
    let mut browser = app.browser();
    let path = app.link_of(&mut browser, EVA, 1).await;
    let window = Window::open_as(&app, Look { width: 320, height: 640, ..Look::default() }).await;
    window.go(&path).await;
    window.press("Fortsätt som Eva E").await;
    window.until_says("Röd skåpbil söks i Hackås").await;
    window.find_shown("[data-copies]").await;
    let mut pictures = vec![("own-page-320", window.picture().await)];
    window.press("Jag har spridit det vidare").await;
    window.until_says("Det är sparat").await;
    window.fill("#text", "Röd bil stod vid macken").await;
    window.press("Skicka till polisen").await;
    window.until_says("Din iakttagelse har kommit in").await;
    window.go("/min-sida/svar").await;
    window.until_says("Röd bil stod vid macken").await;
    window.resize(1_280, 900).await;
    window.go("/min-sida").await;
    pictures.push(("own-page", window.picture().await));
    if let Ok(folder) = std::env::var("SCREENSHOTS") {
        for (name, picture) in pictures {
            std::fs::write(format!("{folder}/{name}.png"), picture).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_the_page_does_the_same() {
    let app = TestApp::with_neighbours(Kind::Sqlite, "").await;
    app.alert_to("2326", json!({})).await;
    let mut browser = app.browser();
    let path = app.link_of(&mut browser, EVA, 1).await;
    let window = Window::open_as(&app, Look { scripts: false, ..Look::default() }).await;
    window.go(&path).await;
    window.press("Fortsätt som Eva E").await;
    window.until_says("Text att skicka vidare").await;
    window.press("Jag har spridit det vidare").await;
    window.until_says("har nått 4 hushåll").await;
}
