//! Stories of those who look after the installation from its pages, and after their own account.

use std::time::Duration;

use crate::support::browser::PASSWORD;
use crate::support::{TestApp, on_both_databases};
use grannpost::store::setting;
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);

on_both_databases! {
    async fn an_administrator_lets_somebody_in_changes_them_and_shuts_them_out(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/admin/operators/new").await;
        let bad = [("name", ""), ("email", "ingen adress"), ("role", "king"), ("area", "atlantis")];
        let refused = admin.submit(&page, "/admin/operators/new", &bad).await;
        assert_eq!((refused.status.as_u16(), refused.says("Det finns ett problem")), (422, true), "{}", refused.html);
        let good = [("name", "Eva Ek"), ("email", "Eva.Ek@example.org"), ("role", "operator"), ("area", "2321")];
        let made = admin.submit(&page, "/admin/operators/new", &good).await;
        assert_eq!(made.status, 200, "{}", made.html);
        let link = made.secret();
        let path = link.split_once("/sign-in/").map(|(_, token)| format!("/sign-in/{token}")).unwrap();
        let taken = admin.submit(&page, "/admin/operators/new", &good).await;
        assert!(taken.status == 422 && taken.says("används redan"), "{}", taken.html);

        let mut eva = app.browser();
        let page = eva.get(&path).await;
        let page = eva.submit(&page, &path, &[]).await;
        let code = app.code(&page.secret());
        eva.submit(&page, "/enrol", &[("password", PASSWORD), ("repeated", PASSWORD), ("code", &code)]).await;
        assert!(eva.get("/account").await.says("Åre"));
        assert_eq!(eva.get("/audit").await.status, 403);

        let list = admin.get("/admin/operators").await;
        assert!(list.says("eva.ek@example.org"), "{}", list.html);
        let id = id_of(&app, "eva.ek@example.org").await;
        let one = admin.get(&format!("/admin/operators/{id}")).await;
        assert!(one.says("Eva Ek") && one.says("Valt"), "{}", one.html);
        let changed = admin.submit(&one, &format!("/admin/operators/{id}/change"), &[("role", "auditor"), ("area", "jamtland")]).await;
        assert!(changed.says("Ändringen är sparad"), "{}", changed.html);
        assert_eq!(eva.get("/audit").await.status, 200, "at once, in the same session");
        let shut = admin.submit(&one, &format!("/admin/operators/{id}/disable"), &[]).await;
        assert!(shut.says("utloggad överallt"), "{}", shut.html);
        assert_eq!(eva.get("/").await.path, "/sign-in");
        let again = admin.submit(&one, &format!("/admin/operators/{id}/enable"), &[]).await;
        assert!(again.says("Inloggningslänk till Eva Ek"), "{}", again.html);
    }

    async fn the_last_administrator_of_everything_stays(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut admin = app.signed_in("admin", "").await;
        let list = admin.get("/admin/operators").await;
        let id = id_of(&app, "kim-admin").await;
        for (act, fields) in [("disable", vec![]), ("change", vec![("role", "chief"), ("area", "jamtland")]), ("change", vec![("role", "admin"), ("area", "2321")])] {
            let refused = admin.submit(&list, &format!("/admin/operators/{id}/{act}"), &fields).await;
            assert_eq!(refused.status, 409, "{act}");
            assert!(refused.says("Den sista administratören"), "{}", refused.html);
        }
    }

    async fn an_administrator_of_a_part_gives_away_that_part_only(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.signed_in("admin", "").await;
        let mut part = app.signed_in("admin", "2321").await;
        let list = part.get("/admin/operators").await;
        assert_eq!(list.html.matches("<tr>").count(), 2, "the heading and themselves: {}", list.html);
        let page = part.get("/admin/operators/new").await;
        assert!(page.says("Åre") && !page.says("Krokom"), "{}", page.html);
        for area in ["jamtland", "2309", ""] {
            let fields = [("name", "Eva"), ("email", "eva@example.org"), ("role", "admin"), ("area", area)];
            assert_eq!(part.submit(&page, "/admin/operators/new", &fields).await.status, 403, "{area}");
            let fields = [("name", "larm"), ("role", "admin"), ("area", area)];
            assert_eq!(part.submit(&page, "/admin/keys/new", &fields).await.status, 403, "{area}");
        }
        for path in ["/admin/pause", "/admin/resume"] {
            assert_eq!(part.submit(&page, path, &[("reason", "stopp")]).await.status, 403, "it concerns everybody");
        }
        let mut session = app.desk.store.read().await.unwrap();
        let other = grannpost::store::operator::list(&mut session).await.unwrap();
        let other = other.into_iter().find(|one| one.area_code == "jamtland").unwrap().id;
        let key = grannpost::store::api_key::list(&mut session).await.unwrap().remove(0).id;
        drop(session);
        assert_eq!(part.get(&format!("/admin/operators/{other}")).await.status, 404);
        assert_eq!(part.submit(&page, &format!("/admin/operators/{other}/disable"), &[]).await.status, 404);
        assert_eq!(part.submit(&page, &format!("/admin/keys/{key}/revoke"), &[]).await.status, 404);
    }

    async fn a_key_is_shown_once_works_and_is_revoked(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/admin/keys/new").await;
        let made = admin.submit(&page, "/admin/keys/new", &[("name", "ledningscentralen"), ("role", "operator"), ("area", "2321")]).await;
        let secret = made.secret();
        assert!(secret.starts_with("gp_"), "{}", made.html);
        let api = app.api.with_key(&secret);
        assert_eq!(api.get("/areas").await.status, 200);
        let list = admin.get("/admin/keys").await;
        assert!(list.says("ledningscentralen") && !list.says(&secret), "{}", list.html);
        let mut session = app.desk.store.read().await.unwrap();
        let keys = grannpost::store::api_key::list(&mut session).await.unwrap();
        drop(session);
        let id = keys.into_iter().find(|key| key.name == "ledningscentralen").unwrap().id;
        let path = format!("/admin/keys/{id}/revoke");
        let ask = admin.get(&path).await;
        assert!(ask.says("Spärra nyckeln ledningscentralen?"), "{}", ask.html);
        assert_eq!(api.get("/areas").await.status, 200, "asking revokes nothing");
        assert_eq!(admin.submit(&ask, &path, &[]).await.path, "/admin/keys");
        assert_eq!(api.get("/areas").await.status, 401);
        assert_eq!(admin.get(&path).await.status, 404);
    }

    async fn everything_is_paused_with_a_reason_that_others_read_and_started_again(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let (mut admin, mut operator) = (app.signed_in("admin", "").await, app.signed_in("operator", "").await);
        let page = admin.get("/admin/gateways").await;
        assert!(page.says("elks") && page.says("simulator"), "{}", page.html);
        assert_eq!(admin.submit(&page, "/admin/pause", &[("reason", "  ")]).await.status, 422);
        let paused = admin.submit(&page, "/admin/pause", &[("reason", "Dubbla sms hos en operatör")]).await;
        assert!(paused.says("Alla utskick är pausade."), "{}", paused.html);
        let start = operator.get("/").await;
        assert!(start.says("Dubbla sms hos en operatör") && start.says("En administratör kan"), "{}", start.html);
        assert_eq!(app.api.page("/readyz").await.status, 503);
        let ask = admin.get("/admin/resume").await;
        assert!(ask.says("Dubbla sms hos en operatör"), "{}", ask.html);
        let resumed = admin.submit(&ask, "/admin/resume", &[]).await;
        assert!(resumed.says("Utskicken går igen."), "{}", resumed.html);
        let left = setting::get(&mut app.desk.store.read().await.unwrap(), setting::PAUSED).await.unwrap();
        assert_eq!(left, None);
    }

    async fn an_administrative_act_asks_again_who_one_is_and_sending_does_not(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let account = app.enrolled("Kim Ek", "admin", "").await;
        let mut browser = account.browser.clone();
        let form = browser.get("/admin/operators/new").await;
        assert_eq!((form.status.as_u16(), form.path.as_str()), (200, "/admin/operators/new"));
        app.advance(MINUTE * 16);
        let fields = [("name", "Eva Ek"), ("email", "eva@example.org"), ("role", "operator"), ("area", "2321")];
        let late = browser.submit(&form, "/admin/operators/new", &fields).await;
        assert_eq!(late.status, 401);
        assert!(late.says("Visa vem du är igen"), "{}", late.html);
        let asked = browser.get("/admin/operators/new").await;
        assert_eq!(asked.path, "/prove?next=%2Fadmin%2Foperators%2Fnew");
        let wrong = browser.submit(&asked, "/prove", &[("password", PASSWORD), ("code", "000000"), ("next", "/admin/operators/new")]).await;
        assert_eq!((wrong.status.as_u16(), wrong.says("stämmer inte")), (422, true));
        let code = app.next_code(&account.secret);
        let proved = browser.submit(&asked, "/prove", &[("password", PASSWORD), ("code", &code), ("next", "/admin/operators/new")]).await;
        assert_eq!(proved.path, "/admin/operators/new", "{}", proved.html);
        assert_eq!(browser.submit(&proved, "/admin/operators/new", &fields).await.status, 200);
        app.advance(MINUTE * 60);
        for path in ["/", "/admin/operators", "/admin/gateways", "/audit", "/decisions", "/account"] {
            assert_eq!(browser.get(path).await.path, path, "looking asks for nothing");
        }
        let page = browser.get("/admin/gateways").await;
        let paused = browser.submit(&page, "/admin/pause", &[("reason", "Något är fel")]).await;
        assert_eq!(paused.status, 200, "stopping asks for nothing either");
        assert_eq!(browser.get("/admin/resume").await.path, "/prove?next=%2Fadmin%2Fresume");
    }

    async fn ones_own_sessions_are_listed_and_ended_and_nobody_elses(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let account = app.enrolled("Kim Ek", "operator", "").await;
        let mut here = account.browser.clone();
        let mut there = app.browser();
        there.headers.push(("user-agent".into(), "Mozilla/5.0 (iPhone) Safari/604".into()));
        let code = app.next_code(&account.secret);
        app.sign_in(&mut there, (&account.email, PASSWORD, &code)).await;
        let page = here.get("/account").await;
        assert!(page.says("Safari på iPhone") && page.says("Den här"), "{}", page.html);
        let id = page.after("name=\"id\" value=\"").unwrap();
        let mut eva = app.enrolled("Eva Ek", "operator", "").await.browser;
        let own = eva.get("/account").await;
        assert_eq!(eva.submit(&own, "/account/sessions/end", &[("id", &id)]).await.status, 404, "not Eva's");
        assert_eq!(there.get("/").await.path, "/");
        let ended = here.submit(&page, "/account/sessions/end", &[("id", &id)]).await;
        assert!(ended.says("Inloggningen är avslutad.") && !ended.says("Safari på iPhone"), "{}", ended.html);
        assert_eq!(there.get("/").await.path, "/sign-in");
    }

    async fn a_changed_password_ends_the_other_sessions_and_the_old_one_is_void(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let account = app.enrolled("Kim Ek", "operator", "").await;
        let (mut here, mut there) = (account.browser.clone(), app.browser());
        let code = app.next_code(&account.secret);
        app.sign_in(&mut there, (&account.email, PASSWORD, &code)).await;
        let page = here.get("/account/password").await;
        let new = "sju nya ord utan sammanhang";
        let code = app.next_code(&account.secret);
        let wrong = [("current", "fel lösenord"), ("code", code.as_str()), ("password", new), ("repeated", new)];
        assert_eq!(here.submit(&page, "/account/password", &wrong).await.status, 422);
        let right = [("current", PASSWORD), ("code", code.as_str()), ("password", new), ("repeated", new)];
        let before = here.cookies["grannpost"].clone();
        let changed = here.submit(&page, "/account/password", &right).await;
        assert!(changed.says("Lösenordet är bytt."), "{}", changed.html);
        assert_ne!(here.cookies["grannpost"], before, "under a new token");
        assert_eq!(there.get("/").await.path, "/sign-in");
        let code = app.next_code(&account.secret);
        assert_eq!(app.sign_in(&mut there, (&account.email, PASSWORD, &code)).await.status, 422);
        assert_eq!(app.sign_in(&mut there, (&account.email, new, &code)).await.path, "/");
        let codes = here.submit(&changed, "/account/recovery-codes", &[]).await;
        assert_eq!(codes.list("class=\"codes\"").len(), 10, "{}", codes.html);
        let old = account.recovery_codes[0].as_str();
        assert_eq!(app.sign_in(&mut app.browser(), (&account.email, new, old)).await.status, 422, "earlier codes are void");
    }

    async fn a_shift_changes_hands_on_the_page_where_it_stood_and_the_log_shows_both(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let (kim, eva) = (app.enrolled("Kim Ek", "operator", "").await, app.enrolled("Eva Ek", "operator", "").await);
        let mut browser = kim.browser.clone();
        let page = browser.get("/decisions?after=x").await;
        let locked = browser.submit(&page, "/shift/lock", &[("next", "/decisions?after=x")]).await;
        assert_eq!(locked.path, "/shift?next=%2Fdecisions%3Fafter%3Dx");
        assert!(locked.says("Kim Ek har låst sidan"), "{}", locked.html);
        for path in ["/", "/account", "/decisions"] {
            assert!(browser.get(path).await.path.starts_with("/shift"), "{path} shows nothing while it is locked");
        }
        let next = ("next", "/decisions?after=x");
        let wrong = browser.submit(&locked, "/shift", &[("email", &eva.email), ("password", PASSWORD), ("code", "000000"), next]).await;
        assert_eq!(wrong.status, 422);
        let code = app.next_code(&eva.secret);
        let taken = browser.submit(&locked, "/shift", &[("email", &eva.email), ("password", PASSWORD), ("code", &code), next]).await;
        assert_eq!(taken.path, "/decisions?after=x");
        assert!(taken.says("Eva Ek"), "{}", taken.html);
        assert_eq!(kim.browser.clone().get("/").await.path, "/sign-in", "Kim's session has ended");
        let log = app.api.get("/audit?action=session.shift_changed").await;
        let entry = &log.json["items"][0];
        assert_ne!(entry["actor"], entry["detail"]["from"], "{}", log.text);
        assert!(entry["detail"]["from"].as_str().unwrap().starts_with("operator:"), "{}", log.text);

        let locked = browser.submit(&taken, "/shift/lock", &[("next", "/")]).await;
        let code = app.next_code(&eva.secret);
        let back = browser.submit(&locked, "/shift", &[("email", &eva.email), ("password", PASSWORD), ("code", &code), ("next", "/")]).await;
        assert_eq!((back.path.as_str(), back.says("Eva Ek")), ("/", true), "the same person comes back");
    }

    async fn decisions_and_the_log_are_read_in_words_and_filtered(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let decided = json!({ "decided_by": "Vakthavande befäl", "reason": "Skulle störa insatsen", "areas": ["2321", "2309"] });
        assert_eq!(app.api.post("/decisions", decided).await.status, 201);
        let mut auditor = app.signed_in("auditor", "").await;
        let page = auditor.get("/decisions").await;
        for text in ["Vakthavande befäl", "Skulle störa insatsen", "Åre, Krokom", "Inte skickat", "Nyckeln test"] {
            assert!(page.says(text), "{text}: {}", page.html);
        }
        let page = auditor.get("/audit").await;
        assert!(page.says("Beslut att inte skicka") && page.says("Inloggning"), "{}", page.html);
        let page = auditor.get("/audit?action=decision.not_sent&from=2026-11-20&until=2026-11-20").await;
        let (_, table) = page.html.split_once("<tbody>").unwrap();
        assert_eq!(table.matches("<tr>").count(), 1, "{table}");
        let page = auditor.get("/audit?until=2026-11-19").await;
        assert!(page.says("Ingen rad i loggen passar"), "{}", page.html);
    }

    async fn a_long_log_is_read_page_by_page(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut auditor = app.signed_in("auditor", "").await;
        for _ in 0..130 {
            app.api.get("/contact-persons?q=ek").await;
        }
        let page = auditor.get("/audit?action=contact_persons.searched").await;
        let (_, table) = page.html.split_once("<tbody>").unwrap();
        assert_eq!(table.matches("<tr>").count(), 100);
        let older = page.links().into_iter().find(|link| link.contains("after=")).unwrap();
        let page = auditor.get(&older).await;
        let (_, table) = page.html.split_once("<tbody>").unwrap();
        assert_eq!(table.matches("<tr>").count(), 30, "{older}");
    }

    async fn an_administrator_tries_the_way_out_with_a_text_to_themselves(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/admin/gateways").await;
        let key = page.after("name=\"key\" value=\"").unwrap();
        let landline = admin.submit(&page, "/admin/gateways/test", &[("key", &key), ("number", "063-15 00 00")]).await;
        assert!(landline.status == 422 && landline.says("kan inte få sms"), "{}", landline.html);
        let fields = [("key", key.as_str()), ("number", "070-174 06 33")];
        let sent = admin.submit(&page, "/admin/gateways/test", &fields).await;
        assert!(sent.says("Provet"), "{}", sent.html);
        let again = admin.submit(&page, "/admin/gateways/test", &fields).await;
        assert_eq!(again.path, sent.path, "a second click sends nothing more");
        app.gateway.journal().wait_for(1).await;
        assert!(app.gateway.journal().messages()[0].text.starts_with("Prov av sms-tjänsten 2026-11-20 kl. 02.31."));
        app.page_until(&mut admin, &sent.path, "Provet är levererat till telefonen.").await;
        let other = app.signed_in("admin", "2321").await.get(&sent.path).await;
        assert!(!other.says("Provet är levererat"), "it is somebody else's");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn the_log_is_checked_and_taken_out_on_its_page(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut auditor = app.signed_in("auditor", "").await;
        app.api.post("/decisions", json!({ "decided_by": "=HYPERLINK(1)", "reason": "För osäkert", "areas": ["2326"] })).await;
        app.page_until(&mut auditor, "/audit", "Senast låsta rad är nr").await;
        let page = auditor.get("/audit?action=decision.not_sent").await;
        let whole = auditor.submit(&page, "/audit/check", &[]).await;
        assert!(whole.says("Kedjan är hel."), "{}", whole.html);
        let no_reason = auditor.submit(&page, "/audit/export", &[("action", "decision.not_sent")]).await;
        assert!(no_reason.status == 422 && no_reason.says("Skriv varför"), "{}", no_reason.html);
        let fields = [("action", "decision.not_sent"), ("reason", "Tillsyn")];
        let file = auditor.submit(&page, "/audit/export", &fields).await;
        assert_eq!(file.headers["content-disposition"], "attachment; filename=\"logg.csv\"");
        assert_eq!(file.html.lines().count(), 2, "headings and the one that fits: {}", file.html);
        assert!(file.html.starts_with("\u{feff}id,at,actor,action,") && file.html.contains(",decision.not_sent,"));
        assert!(auditor.get("/audit").await.says("Loggen uttagen"));
        app.database.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 1").await;
        let broken = auditor.submit(&page, "/audit/check", &[]).await;
        assert!(broken.says("Kedjan är bruten.") && broken.says("log entry 1:"), "{}", broken.html);
    }

    async fn the_health_page_says_what_readyz_says(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/admin/health").await;
        assert!(page.says("Tjänsten är redo.") && page.says("Alla svarar") && page.says("MiB ledigt"), "{}", page.html);
        let mut session = app.desk.store.begin().await.unwrap();
        setting::set(&mut session, setting::PAUSED, "restored".to_owned()).await.unwrap();
        session.commit().await.unwrap();
        let page = admin.get("/admin/health").await;
        assert!(page.says("Tjänsten är inte redo.") && page.says("återläst från en säkerhetskopia"), "{}", page.html);
    }

    async fn the_accessibility_statement_is_open_to_everybody(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let page = app.browser().get("/tillganglighet").await;
        assert!(page.status == 200 && page.says("delvis förenlig") && page.says("Digg"), "{}", page.html);
        assert!(app.browser().get("/sign-in").await.html.contains("href=\"/tillganglighet\""));
    }

    async fn dark_or_light_is_chosen_and_night_is_dark_for_those_who_send(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut operator = app.signed_in("operator", "").await;
        let page = operator.get("/").await;
        assert!(page.says("data-theme=\"dark\""), "half past two at night");
        let page = operator.submit(&page, "/theme", &[("theme", "light"), ("next", "/account")]).await;
        assert!(page.path == "/account" && page.says("data-theme=\"light\""), "{}", page.html);
        let page = operator.submit(&page, "/theme", &[("theme", "auto"), ("next", "/account")]).await;
        assert!(page.says("data-theme=\"dark\""));
        app.advance(MINUTE * 220);
        assert!(operator.get("/").await.says("data-theme=\"auto\""), "after six");
        assert!(app.signed_in("chief", "").await.get("/").await.says("data-theme=\"auto\""));
    }
}

/// The id of the operator whose e-mail begins like this.
async fn id_of(app: &TestApp, email: &str) -> String {
    let mut session = app.desk.store.read().await.unwrap();
    let all = grannpost::store::operator::list(&mut session).await.unwrap();
    all.into_iter().find(|one| one.email.starts_with(email)).unwrap().id
}
