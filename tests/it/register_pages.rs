//! Stories of the register through its pages: searching, changing, pausing, merging, ending, and who sees whom.

use crate::support::browser::{Browser, Page};
use crate::support::{TestApp, on_both_databases};
use serde_json::{Value, json};

/// Searches as the form does.
async fn search(browser: &mut Browser, fields: &[(&str, &str)]) -> Page {
    let page = browser.get("/register").await;
    let found = browser.submit(&page, "/register", fields).await;
    assert_eq!((found.status.as_u16(), found.path.as_str()), (200, "/register"), "{}", found.html);
    found
}

/// A person made through the API.
async fn made(app: &TestApp, person: Value) -> String {
    let answer = app.api.post("/contact-persons", person).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json["id"].as_str().unwrap().to_owned()
}

fn filled<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("name", "Åsa Öberg"),
        ("mobile", "070-174 50 21"),
        ("email", "asa.oberg@example.org"),
        ("municipality", "2321"),
        ("watch_area", "Duved By"),
        ("households", "7"),
        ("language", "sma"),
        ("alerts", "yes"),
        ("letters", "yes"),
    ];
    for (name, value) in more {
        match fields.iter_mut().find(|(known, _)| known == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    fields
}

on_both_databases! {
    async fn a_person_is_found_by_name_number_mail_and_area_without_scripts(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let id = made(&app, json!({ "name": "Åsa Öberg", "mobile": "+46701745021", "email": "Asa.Oberg@example.org", "municipality": "2321", "watch_area": "Ödebyn" })).await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/register").await;
        assert!(page.says("1\u{202f}101") && page.says("<h2>Täckning</h2>") && !page.says("Åsa Öberg"), "nobody is shown unasked: {}", page.html);
        for text in ["åsa öb", "0701745021", "070-174 50 21", "+46 70 174 50 21", "0046701745021", "45021", "ASA.OBERG@", "ödeby"] {
            let found = search(&mut browser, &[("q", text)]).await;
            assert!(found.says(&format!("/register/persons/{id}")), "{text}: {}", found.html);
            assert!(found.says("1 kontaktombud passar"), "{text}: {}", found.html);
        }
        let found = search(&mut browser, &[("q", "finns inte alls")]).await;
        assert!(found.says("Ingen passar.") && found.says("value=\"finns inte alls\""), "{}", found.html);
        let part = search(&mut browser, &[("q", "åsa öb"), ("part", "found")]).await;
        assert!(part.html.starts_with("<p class=\"strong\" data-total>1 kontaktombud passar."), "{}", part.html);
        for path in ["/register?q=Åsa", "/register?name=Åsa"] {
            assert!(!browser.get(path).await.says("Åsa Öberg"), "{path}: nobody is found by an address");
        }
    }

    async fn a_large_register_is_searched_by_how_words_numbers_and_addresses_begin(kind: Kind) {
        let app = TestApp::spawn_with(kind, "database.rows_at_once = 50").await;
        app.load_sample().await;
        let anna = made(&app, json!({ "name": "Anna Åsa Järvsjö-Ek", "mobile": "070-174 50 24", "email": "asa.jarvsjo@example.org", "municipality": "2326", "watch_area": "Hackås" })).await;
        let mut chief = app.signed_in("chief", "").await;
        for behind in [true, false] {
            for text in ["järvs", "ek", "anna åsa", "åsa järvsjö", "JÄRVSJÖ-EK", "070-174 50 24", "+4670174502", "asa.jar"] {
                let found = search(&mut chief, &[("q", text)]).await;
                assert!(found.says(&anna), "{text}: {}", found.html);
                let listed = app.api.get(&format!("/contact-persons?limit=1000&q={}", url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>())).await;
                assert!(listed.text.contains(&anna), "{text}: {}", listed.text);
            }
            assert!(search(&mut chief, &[("q", "hackås")]).await.says("Järvsjö"), "by area");
            assert!(search(&mut chief, &[("q", "järvs"), ("area", "2321")]).await.says("Ingen passar."));
            assert!(search(&mut chief, &[("q", "järvs"), ("who", "sms")]).await.says(&anna));
            assert!(search(&mut chief, &[("q", "järvs"), ("who", "opted_out")]).await.says("Ingen passar."));
            if behind {
                app.database.until_none("SELECT id FROM contact_person WHERE word_key <> name_key || ' ' || area_code").await;
            }
        }
        assert!(search(&mut chief, &[("q", "")]).await.status == 200);
    }

    async fn facets_narrow_the_list_and_pages_follow_in_order_of_name(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        for (query, total) in [
            ("who=all", "1\u{202f}100"), ("who=sms", "1\u{202f}030"), ("area=2321", "115"), ("who=none", ""), ("who=unreachable", "5"), ("language=sma", ""),
        ] {
            let page = browser.get(&format!("/register?{query}")).await;
            assert!(page.says(&format!("{total} kontaktombud passar")), "{query}: {}", page.html);
        }
        let mut seen = Vec::new();
        let mut path = "/register?area=2326".to_owned();
        for _ in 0..3 {
            let page = browser.get(&path).await;
            let found = page.html.split("data-found ").nth(1).unwrap().to_owned();
            seen.extend(found.split("/register/persons/").skip(1).map(|rest| rest.split('<').next().unwrap().split('>').nth(1).unwrap().to_owned()));
            let Some(next) = page.links().into_iter().find(|link| link.contains("after=")) else { break };
            path = next;
        }
        assert_eq!(seen.len(), 65, "all of Berg, each once");
        let mut ordered = seen.clone();
        ordered.sort_by_key(|name| name.to_lowercase());
        assert_eq!(ordered.first(), seen.first());
        let found = search(&mut browser, &[("q", "an"), ("area", "2380")]).await;
        let after = found.after("name=\"after\" value=\"").unwrap();
        let more = search(&mut browser, &[("q", "an"), ("area", "2380"), ("after", &after)]).await;
        assert!(more.says("kontaktombud passar") && !more.says(&format!("/register/persons/{after}")), "{}", more.html);
    }

    async fn coverage_adds_up_and_shows_who_hangs_on_one_person(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        made(&app, json!({ "name": "Ensam Person", "mobile": "070-174 50 22", "municipality": "2321", "watch_area": "Ensamdalen" })).await;
        let mut browser = app.signed_in("chief", "").await;
        let page = browser.get("/register").await;
        assert!(page.says("1\u{202f}101 kontaktombud uppger att de når 10\u{202f}051 hushåll. 1\u{202f}031 nås av sms"), "{}", page.html);
        assert!(page.says("<strong>5</strong> saknar både mobil och e-post"), "{}", page.html);
        let page = browser.get("/register/coverage?area=2321&show=weak").await;
        assert!(page.says(">Ensamdalen</a>") && page.says("sårbart"), "{}", page.html);
        let calls = browser.get("/register/calls").await;
        assert!(calls.says("5 att ringa eller besöka"), "{}", calls.html);
        assert_eq!(browser.get("/register/coverage?area=atlantis").await.status, 404);
    }

    async fn a_person_is_added_once_changed_paused_and_says_no(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut chief = app.signed_in("chief", "").await;
        let form = chief.get("/register/persons/new").await;
        let key = form.after("name=\"key\" value=\"").unwrap();
        let bad = filled(&[("name", " "), ("mobile", "070-17"), ("households", "tolv"), ("municipality", ""), ("key", &key)]);
        let refused = chief.submit(&form, "/register/persons/new", &bad).await;
        assert_eq!(refused.status, 422);
        assert!(refused.title().starts_with("Fel: ") && refused.says("href=\"#name\"") && refused.says("value=\"070-17\""), "{}", refused.html);
        let unknown = chief.submit(&form, "/register/persons/new", &filled(&[("key", &key)])).await;
        assert!(unknown.status == 422 && unknown.says("Området finns inte i kommunen") && unknown.says("Skapa området"), "{}", unknown.html);
        let good = filled(&[("key", &key), ("make_area", "yes"), ("note", "Nyckel hos grannen\nhund")]);
        let person = chief.submit(&form, "/register/persons/new", &good).await;
        assert!(person.says("Kontaktombudet är tillagt.") && person.says("070-174 50 21") && person.says("Sydsamiska") && person.says("Åre, Duved By"), "{}", person.html);
        let again = chief.submit(&form, "/register/persons/new", &good).await;
        assert_eq!(again.path, person.path, "a second click makes nobody more");
        let path = person.path.split('?').next().unwrap().to_owned();

        let form = chief.get(&format!("{path}/edit")).await;
        assert!(form.says("value=\"070-174 50 21\"") && form.says("Nyckel hos grannen"), "{}", form.html);
        let changed = chief.submit(&form, &format!("{path}/edit"), &filled(&[("households", "9")])).await;
        assert!(changed.says("Ändringen är sparad.") && changed.says("9 enligt egen uppgift"), "{}", changed.html);

        let bad = chief.submit(&changed, &format!("{path}/pause"), &[("until", "2026-11-01")]).await;
        assert!(bad.status == 422 && bad.says("Ange en dag framåt"), "{}", bad.html);
        let paused = chief.submit(&changed, &format!("{path}/pause"), &[("until", "2026-11-30")]).await;
        assert!(paused.says("Pausad till 1 dec kl. 00.00"), "{}", paused.html);
        let ended = chief.submit(&changed, &format!("{path}/pause"), &[("end", "yes"), ("until", "")]).await;
        assert!(ended.says("Pausen är borttagen.") && !ended.says("Pausad till"), "{}", ended.html);

        let bad = chief.submit(&changed, &format!("{path}/opt-out"), &[("channel", "sms"), ("source", " ")]).await;
        assert!(bad.status == 422 && bad.says("href=\"#source-sms\""), "{}", bad.html);
        let said = chief.submit(&changed, &format!("{path}/opt-out"), &[("channel", "sms"), ("source", "ringde hit")]).await;
        assert!(said.says("02:31, ringde hit") && said.says("har sagt nej"), "{}", said.html);
        let mail = chief.submit(&changed, &format!("{path}/opt-out"), &[("channel", "email"), ("source", "mejlade")]).await;
        assert!(mail.says("ringde hit") && mail.says("mejlade"), "each channel by itself: {}", mail.html);
        let back = chief.submit(&changed, &format!("{path}/opt-out"), &[("channel", "sms"), ("back", "yes")]).await;
        assert!(!back.says("ringde hit") && back.says("mejlade"), "{}", back.html);
        assert_eq!(chief.submit(&changed, &format!("{path}/opt-out"), &[("channel", "pigeon"), ("source", "x")]).await.status, 422);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_person_shows_what_reached_them_last_on_each_channel(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let id = made(&app, json!({ "name": "Eva Ek", "mobile": "070-174 06 01", "municipality": "2326", "watch_area": "Hackås" })).await;
        let alert = json!({ "text": "Röd skåpbil söks. Ring 112.", "areas": ["2326"], "decided_by": "RLC-befäl", "undo_seconds": 0 });
        let alert = app.api.post("/alerts", alert).await.json["id"].as_str().unwrap().to_owned();
        app.alert_when(&alert, |alert| alert["state"] == "done").await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get(&format!("/register/persons/{id}")).await;
        assert!(page.says("sms levererat 02:31") && page.says(&format!("href=\"/alerts/{alert}\"")) && page.says("inget levererat än"), "{}", page.html);
        assert!(!page.says("Avsluta uppdraget") && !page.says("Ändra</a>"), "an operator changes nothing: {}", page.html);
    }

    async fn who_has_ended_is_erased_and_no_import_brings_them_back(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let person = json!({ "name": "Eva Ek", "mobile": "070-174 06 01", "email": "eva.ek@example.org", "address": "Skolvägen 3", "municipality": "2326", "watch_area": "Hackås" });
        let id = made(&app, person).await;
        let mut chief = app.signed_in("chief", "").await;
        let ask = chief.get(&format!("/register/persons/{id}/end")).await;
        assert!(ask.says("Avsluta uppdraget för Eva Ek?"), "{}", ask.html);
        assert_eq!(chief.get(&format!("/register/persons/{id}")).await.status, 200, "asking erases nothing");
        let ended = chief.submit(&ask, &format!("/register/persons/{id}/end"), &[]).await;
        assert!(ended.says("Uppdraget är avslutat"), "{}", ended.html);
        assert_eq!(chief.get(&format!("/register/persons/{id}")).await.status, 404);
        let csv = "name,mobile,municipality,watch_area\nEva Ek,070-174 06 01,2326,Hackås\n";
        let import = app.api.send_bytes(reqwest::Method::POST, "/api/v1/imports", "text/csv", csv.into()).await;
        assert_eq!(import.json["counts"]["ask"], 1, "{}", import.text);
    }

    async fn a_protected_person_is_for_administrators_and_in_no_list(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let id = made(&app, json!({ "name": "Hemlig Handling", "mobile": "070-174 50 23", "address": "Gömda gatan 1", "municipality": "2326", "watch_area": "Hackås", "protected_identity": true })).await;
        let mut admin = app.signed_in("admin", "").await;
        let mut chief = app.signed_in("chief", "").await;
        for browser in [&mut admin, &mut chief] {
            for text in ["hemlig", "0701745023"] {
                let found = search(browser, &[("q", text)]).await;
                assert!(found.says("Ingen passar.") && !found.says("Hemlig Handling"), "{}", found.html);
            }
        }
        for path in [format!("/register/persons/{id}"), format!("/register/persons/{id}/edit"), format!("/register/persons/{id}/end")] {
            assert_eq!(chief.get(&path).await.status, 404, "{path}");
            assert_eq!(admin.get(&path).await.status, 200, "{path}");
        }
        let page = chief.get("/register").await;
        for act in ["edit", "pause", "opt-out", "end"] {
            let fields = filled(&[("watch_area", "Hackås"), ("municipality", "2326"), ("channel", "sms"), ("source", "x"), ("until", "2026-12-01")]);
            assert_eq!(chief.submit(&page, &format!("/register/persons/{id}/{act}"), &fields).await.status, 404, "{act}");
        }
        let list = admin.get("/register/protected").await;
        assert!(list.says(&id) && !list.says("Hemlig") && !list.says("Gömda") && !list.says("50 23"), "{}", list.html);
        let form = chief.get("/register/persons/new").await;
        let key = form.after("name=\"key\" value=\"").unwrap();
        let hidden = filled(&[("key", &key), ("make_area", "yes"), ("protected_identity", "yes")]);
        let made = chief.submit(&form, "/register/persons/new", &hidden).await;
        assert!(made.says("visas bara för administratörer"), "{}", made.html);
    }

    async fn two_records_become_one_field_by_field_and_a_no_is_kept(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let first = made(&app, json!({ "name": "Siv Grönlund", "mobile": "070-174 50 24", "municipality": "2326", "watch_area": "Hackås", "households": 3, "note": "gammal" })).await;
        app.advance(std::time::Duration::from_secs(60));
        let second = made(&app, json!({ "name": "Siv Grönlund", "mobile": "070-174 50 24", "email": "siv@example.org", "municipality": "2326", "watch_area": "Hackås", "households": 8,
            "opt_outs": [{ "channel": "email", "source": "mejlade" }] })).await;
        made(&app, json!({ "name": "Bo Grönlund", "mobile": "070-174 50 24", "municipality": "2326", "watch_area": "Hackås" })).await;
        let mut chief = app.signed_in("chief", "").await;
        let list = chief.get("/register/duplicates").await;
        assert!(list.says("Samma namn och mobil") && !list.says("Bo Grönlund"), "a couple is no duplicate: {}", list.html);
        let path = format!("/register/duplicates/{second}/{first}");
        let ask = chief.get(&path).await;
        assert!(ask.says("Den ena har sagt nej till brev.") && ask.says(&format!("action=\"/register/duplicates/{first}/{second}\"")), "{}", ask.html);
        let key = ask.after("name=\"key\" value=\"").unwrap();
        let fields = [("key", key.as_str()), ("email", "second"), ("households", "second"), ("note", "first")];
        let merged = chief.submit(&ask, &path, &fields).await;
        assert!(merged.path.starts_with(&format!("/register/persons/{first}")), "the older one stays: {} {}", merged.path, merged.html);
        assert!(merged.says("8 enligt egen uppgift") && merged.says("siv@example.org") && merged.says("mejlade") && merged.says("gammal"), "{}", merged.html);
        assert_eq!(chief.submit(&ask, &path, &fields).await.path, merged.path, "a second click shows the same");
        assert_eq!(chief.get(&format!("/register/persons/{second}")).await.status, 404);
        assert!(chief.get("/register/duplicates").await.says("Just nu finns inga"));
        let csv = "name,mobile,municipality,watch_area,households\nSiv Grönlund,070-174 50 24,2326,Hackås,8\n";
        let import = app.api.send_bytes(reqwest::Method::POST, "/api/v1/imports?dry_run=true", "text/csv", csv.into()).await;
        assert_eq!(import.json["counts"]["ask"], 0, "who was merged away is not blocked: {}", import.text);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn who_is_found_to_be_two_persons_is_not_asked_about_again(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let person = json!({ "name": "Siv Grönlund", "mobile": "070-174 50 24", "municipality": "2326", "watch_area": "Hackås" });
        let (first, second) = (made(&app, person.clone()).await, made(&app, person.clone()).await);
        let mut chief = app.signed_in("chief", "").await;
        let list = chief.get("/register/duplicates").await;
        // Made in the same millisecond, either may come first.
        let path = format!("/register/duplicates/{}/{}/different", (&first).min(&second), (&first).max(&second));
        assert!(list.says("Inte samma person") && list.says(&path), "{}", list.html);
        let after = chief.submit(&list, &path, &[]).await;
        assert!(after.path == "/register/duplicates" && after.says("Just nu finns inga"), "{} {}", after.path, after.html);
        chief.submit(&list, &path, &[]).await;
        let log = app.api.get("/audit?action=contact_person.told_apart").await;
        assert_eq!(log.json["items"].as_array().unwrap().len(), 1, "said twice is said once: {}", log.text);
        let third = made(&app, person).await;
        assert!(chief.get("/register/duplicates").await.says(&third), "another record is another question");
        assert_eq!(chief.submit(&list, &format!("/register/duplicates/{first}/{first}/different"), &[]).await.status, 404);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn nothing_is_merged_while_an_alert_is_on_its_way(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let person = json!({ "name": "Siv Grönlund", "mobile": "070-174 50 24", "municipality": "2326", "watch_area": "Hackås" });
        let (first, second) = (made(&app, person.clone()).await, made(&app, person).await);
        let alert = json!({ "text": "Röd skåpbil söks. Ring 112.", "areas": ["2326"], "decided_by": "RLC-befäl" });
        assert_eq!(app.api.post("/alerts", alert).await.status, 201);
        let mut chief = app.signed_in("chief", "").await;
        let path = format!("/register/duplicates/{first}/{second}");
        let ask = chief.get(&path).await;
        let key = ask.after("name=\"key\" value=\"").unwrap();
        let refused = chief.submit(&ask, &path, &[("key", &key)]).await;
        assert!(refused.status == 409 && refused.says("Ett utskick är på väg"), "{}", refused.html);
    }

    async fn who_has_one_area_sees_and_changes_only_what_lies_in_it(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let there = made(&app, json!({ "name": "Krokoms Kalle", "mobile": "070-174 50 25", "municipality": "2309", "watch_area": "Ås" })).await;
        let here = made(&app, json!({ "name": "Åre Anna", "mobile": "070-174 50 26", "municipality": "2321", "watch_area": "Duved" })).await;
        let mut chief = app.signed_in("chief", "2321").await;
        let page = chief.get("/register").await;
        assert!(page.says("Visa alla 116") && !page.says("Krokom"), "{}", page.html);
        assert!(search(&mut chief, &[("q", "krokoms kalle")]).await.says("Ingen passar."));
        assert!(search(&mut chief, &[("q", "åre anna")]).await.says(&here));
        for path in ["/register?area=2309".to_owned(), "/register/coverage?area=2309".to_owned(), "/register/calls?area=2309".to_owned(), format!("/register/persons/{there}"), format!("/register/duplicates/{here}/{there}")] {
            assert_eq!(chief.get(&path).await.status, 404, "{path}");
        }
        let form = chief.get("/register/persons/new").await;
        assert!(form.says("<option value=\"2321\">Åre") && !form.says("Krokom"), "{}", form.html);
        let key = form.after("name=\"key\" value=\"").unwrap();
        let fields = filled(&[("municipality", "2309"), ("watch_area", "Ås"), ("key", &key)]);
        assert_eq!(chief.submit(&form, "/register/persons/new", &fields).await.status, 403);
        assert_eq!(chief.submit(&form, &format!("/register/persons/{there}/end"), &[]).await.status, 404);
    }

    async fn no_form_of_the_register_is_taken_from_another_site_or_without_its_token(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let id = made(&app, json!({ "name": "Eva Ek", "municipality": "2326", "watch_area": "Hackås" })).await;
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/register").await;
        let token = page.form_token();
        for path in ["/register".to_owned(), "/register/persons/new".to_owned(), format!("/register/persons/{id}/edit"), format!("/register/persons/{id}/end"), format!("/register/persons/{id}/pause"), format!("/register/persons/{id}/opt-out")] {
            let foreign = admin.post_raw(&path, &[("form_token", token.as_str())], &[("sec-fetch-site", "cross-site")]).await;
            assert_eq!(foreign.status, 403, "{path}");
            let bare = admin.post_raw(&path, &[("q", "x")], &[("sec-fetch-site", "same-origin")]).await;
            assert_eq!(bare.status, 403, "{path}");
        }
        assert_eq!(admin.get(&format!("/register/persons/{id}")).await.status, 200);
    }
}
