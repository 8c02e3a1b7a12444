//! Stories of signing in and out, and of those who should not get in.

use std::time::Duration;

use crate::support::browser::PASSWORD;
use crate::support::{TestApp, on_both_databases, root};
use grannpost::actions::operator;
use reqwest::Method;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

on_both_databases! {
    async fn a_link_is_used_up_by_the_button_and_not_by_looking(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let (_, link) = app.invite("Kim Ek", "operator", "").await;
        let mut scanner = app.browser();
        for _ in 0..3 {
            let page = scanner.get(&link).await;
            assert_eq!(page.status, 200);
            assert!(page.says("Välkommen, Kim Ek"), "{}", page.html);
        }
        let mut browser = app.browser();
        let page = browser.get(&link).await;
        let page = browser.submit(&page, &link, &[]).await;
        assert_eq!(page.path, "/enrol");
        let again = scanner.get(&link).await;
        assert_eq!(again.status, 404);
        assert!(again.says("Länken fungerar inte"), "{}", again.html);
    }

    async fn a_link_that_is_too_old_or_of_somebody_shut_out_is_no_good(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let (_, old) = app.invite("Kim Ek", "operator", "").await;
        app.advance(HOUR * 73);
        let (email, link) = app.invite("Eva Ek", "operator", "").await;
        let mut session = app.desk.store.begin().await.unwrap();
        operator::disable(&app.desk, &mut session, &root(), &email).await.unwrap();
        session.commit().await.unwrap();
        let mut browser = app.browser();
        for path in [old.as_str(), link.as_str(), "/sign-in/guessed"] {
            let page = browser.get(path).await;
            assert_eq!(page.status, 404, "{path}");
            let form = browser.get("/sign-in").await;
            let page = browser.submit(&form, path, &[]).await;
            assert_eq!(page.status, 404, "{path}");
        }
    }

    async fn a_new_operator_chooses_password_and_app_and_signs_in_with_them(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let account = app.enrolled("Kim Ek", "operator", "2321").await;
        let mut browser = account.browser.clone();
        let page = browser.get("/").await;
        assert!(page.says("Kim Ek") && page.says("Operatör"), "{}", page.html);
        let page = browser.submit(&page, "/sign-out", &[]).await;
        assert_eq!((page.path.as_str(), page.says("Du är utloggad.")), ("/sign-in?done=signed-out", true));
        assert_eq!(browser.get("/").await.path, "/sign-in");
        assert_eq!(account.browser.clone().get("/").await.path, "/sign-in", "the session has ended, not only the cookie");

        let code = app.next_code(&account.secret);
        let page = app.sign_in(&mut browser, (&account.email.to_uppercase(), PASSWORD, &code)).await;
        assert_eq!(page.path, "/", "{}", page.html);
        let mut other = app.browser();
        let page = app.sign_in(&mut other, (&account.email, PASSWORD, &code)).await;
        assert_eq!(page.status, 422, "a code works once");
        let recovery = account.recovery_codes[3].to_uppercase();
        assert_eq!(app.sign_in(&mut other, (&account.email, PASSWORD, &recovery)).await.path, "/");
        let mut third = app.browser();
        assert_eq!(app.sign_in(&mut third, (&account.email, PASSWORD, &recovery)).await.status, 422, "and so does a recovery code");
    }

    async fn a_weak_or_mistyped_choice_is_told_at_the_field_and_the_link_is_not_lost(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let (_, link) = app.invite("Kim Ek", "operator", "").await;
        let mut browser = app.browser();
        let page = browser.get(&link).await;
        let page = browser.submit(&page, &link, &[]).await;
        let (secret, good) = (page.secret(), app.code(&page.secret()));
        let good = good.as_str();
        for (password, repeated, code, says) in [
            ("kort", "kort", good, "för kort"),
            ("grannsamverkan2026", "grannsamverkan2026", good, "lätt att gissa"),
            (PASSWORD, "något helt annat", good, "inte lika"),
            (PASSWORD, PASSWORD, "000000", "Koden stämmer inte"),
        ] {
            let fields = [("password", password), ("repeated", repeated), ("code", code)];
            let page = browser.submit(&page, "/enrol", &fields).await;
            assert_eq!(page.status, 422, "{says}");
            assert!(page.says(says) && page.title().starts_with("Fel: "), "{says}: {}", page.html);
            assert!(!page.html.contains(password) || password == "kort", "a password is not shown again");
        }
        let page = browser.get("/enrol").await;
        assert_eq!(page.secret(), secret, "the app that was tied goes on working");
        let done = browser.submit(&page, "/enrol", &[("password", PASSWORD), ("repeated", PASSWORD), ("code", good)]).await;
        assert!(done.says("Dina reservkoder"), "{}", done.html);
    }

    async fn whoever_is_not_signed_in_is_led_to_sign_in_and_back(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let account = app.enrolled("Kim Ek", "admin", "").await;
        let mut browser = app.browser();
        let page = browser.get("/audit?actor=cli").await;
        assert_eq!((page.status.as_u16(), page.path.as_str(), page.title().as_str()),
            (200, "/sign-in?next=%2Faudit%3Factor%3Dcli", "Logga in – grannpost"));
        let next = page.after("name=\"next\" value=\"").unwrap();
        assert_eq!(next, "/audit?actor=cli");
        let code = app.next_code(&account.secret);
        let fields = [("email", account.email.as_str()), ("password", PASSWORD), ("code", &code), ("next", &next)];
        assert_eq!(browser.submit(&page, "/sign-in", &fields).await.path, "/audit?actor=cli");
    }

    async fn nobody_is_led_to_another_site(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let account = app.enrolled("Kim Ek", "operator", "").await;
        for next in ["https://example.org/", "//example.org", "/\\example.org", "javascript:alert(1)"] {
            let mut browser = app.browser();
            let page = browser.get("/sign-in").await;
            let code = app.next_code(&account.secret);
            let fields = [("email", account.email.as_str()), ("password", PASSWORD), ("code", &code), ("next", next)];
            assert_eq!(browser.submit(&page, "/sign-in", &fields).await.path, "/", "{next}");
        }
    }

    async fn whether_an_address_is_known_cannot_be_told(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let account = app.enrolled("Kim Ek", "operator", "").await;
        let (invited, _) = app.invite("Eva Ek", "operator", "").await;
        let code = app.next_code(&account.secret);
        let mut answers = Vec::new();
        for (email, password, code) in [
            ("nobody@example.org", PASSWORD, "123456"),
            (account.email.as_str(), "fel lösenord här", code.as_str()),
            (account.email.as_str(), PASSWORD, "000000"),
            (invited.as_str(), "", ""),
        ] {
            let page = app.sign_in(&mut app.browser(), (email, password, code)).await;
            assert_eq!(page.status, 422);
            let plain = page.html.replace(email, "EMAIL");
            let (_, body) = plain.split_once("<main").unwrap();
            answers.push(body.replace(&page.form_token(), "TOKEN"));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
        assert_eq!(app.sign_in(&mut app.browser(), (&account.email, PASSWORD, &code)).await.path, "/", "a code is not used up by a wrong password");
    }

    async fn a_session_ends_by_idleness_by_age_and_with_access(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let account = app.enrolled("Kim Ek", "operator", "").await;
        let mut idle = account.browser.clone();
        app.advance(MINUTE * 239);
        assert_eq!(idle.get("/").await.path, "/");
        app.advance(MINUTE * 239);
        assert_eq!(idle.get("/").await.path, "/", "it was used meanwhile");
        app.advance(MINUTE * 241);
        assert_eq!(idle.get("/").await.path, "/sign-in");

        let code = app.next_code(&account.secret);
        let mut busy = app.browser();
        app.sign_in(&mut busy, (&account.email, PASSWORD, &code)).await;
        for _ in 0..11 {
            app.advance(HOUR);
            assert_eq!(busy.get("/").await.path, "/");
        }
        app.advance(HOUR);
        assert_eq!(busy.get("/").await.path, "/sign-in", "twelve hours are enough");

        let code = app.next_code(&account.secret);
        let mut browser = app.browser();
        app.sign_in(&mut browser, (&account.email, PASSWORD, &code)).await;
        let mut session = app.desk.store.begin().await.unwrap();
        operator::disable(&app.desk, &mut session, &root(), &account.email).await.unwrap();
        session.commit().await.unwrap();
        assert_eq!(browser.get("/").await.path, "/sign-in", "at once");
        let code = app.next_code(&account.secret);
        assert_eq!(app.sign_in(&mut app.browser(), (&account.email, PASSWORD, &code)).await.status, 422);
    }

    async fn a_reset_voids_password_app_codes_and_sessions(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let account = app.enrolled("Kim Ek", "operator", "").await;
        let mut session = app.desk.store.begin().await.unwrap();
        operator::reset(&app.desk, &mut session, &root(), &account.email).await.unwrap();
        session.commit().await.unwrap();
        assert_eq!(account.browser.clone().get("/").await.path, "/sign-in");
        for code in [app.next_code(&account.secret), account.recovery_codes[0].clone()] {
            assert_eq!(app.sign_in(&mut app.browser(), (&account.email, PASSWORD, &code)).await.status, 422);
        }
    }

    async fn guesses_are_slowed_and_the_person_gets_in_from_elsewhere(kind: Kind) {
        let app = TestApp::spawn_with(kind, "server.trusted_proxies = [\"127.0.0.1\"]").await;
        let account = app.enrolled("Kim Ek", "operator", "").await;
        let from = |address: &str| {
            let mut browser = app.browser();
            browser.headers.push(("x-forwarded-for".into(), address.into()));
            browser
        };
        let mut guesser = from("192.0.2.1");
        let page = guesser.get("/sign-in").await;
        let mut codes = Vec::new();
        for n in 0..100 {
            let guess = format!("gissning nummer {n}");
            let fields = [("email", account.email.as_str()), ("password", &guess), ("code", "123456")];
            let answer = guesser.submit(&page, "/sign-in", &fields).await;
            codes.push(answer.status.as_u16());
            if answer.status == 429 {
                assert!(answer.says("för många försök") && answer.headers.contains_key("retry-after"), "{}", answer.html);
            }
        }
        let tried = codes.iter().filter(|code| **code == 422).count();
        assert!((8..20).contains(&tried), "{codes:?}");
        let code = app.next_code(&account.secret);
        assert_eq!(app.sign_in(&mut from("198.51.100.7"), (&account.email, PASSWORD, &code)).await.path, "/");
        let code = app.next_code(&account.secret);
        let mut known = account.browser.clone();
        let page = known.get("/").await;
        known.submit(&page, "/sign-out", &[]).await;
        known.headers.push(("x-forwarded-for".into(), "192.0.2.1".into()));
        assert_eq!(app.sign_in(&mut known, (&account.email, PASSWORD, &code)).await.path, "/", "their own browser beside the guesser");
    }

    async fn cookies_are_bound_to_the_host_behind_tls_and_plain_without(kind: Kind) {
        for (url, prefix, secure) in [("https://post.example.org", "__Host-", true), ("http://post.example.org", "", false)] {
            let app = TestApp::spawn_with(kind, &format!("server.public_url = \"{url}\"")).await;
            let browser = app.signed_in("operator", "").await;
            assert!(browser.cookies.contains_key(&format!("{prefix}grannpost")), "{:?}", browser.cookies);
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let answer = client.get(format!("{}/sign-in", app.api.base())).send().await.unwrap();
            let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
            assert!(cookie.starts_with(&format!("{prefix}grannpost-form=")), "{cookie}");
            for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax"] {
                assert!(cookie.contains(part), "{cookie}");
            }
            assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
            assert!(!cookie.contains("Domain"), "{cookie}");
        }
    }

    async fn a_form_of_another_site_or_without_its_token_is_refused(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut browser = app.signed_in("admin", "").await;
        let page = browser.get("/account").await;
        let token = page.form_token();
        let good = [("form_token", token.as_str()), ("theme", "dark"), ("next", "/account")];
        let origin = app.api.base().to_owned();
        for (fields, headers, expected) in [
            (&good[..], vec![("sec-fetch-site", "same-origin")], 200),
            (&good[..], vec![("origin", origin.as_str())], 200),
            (&good[..], vec![("origin", "null")], 200),
            (&good[..], vec![("sec-fetch-site", "cross-site")], 403),
            (&good[..], vec![("sec-fetch-site", "same-site")], 403),
            (&good[..], vec![("sec-fetch-site", "cross-site"), ("origin", origin.as_str())], 403),
            (&good[..], vec![("origin", "https://example.org")], 403),
            (&good[..], vec![], 403),
            (&good[1..], vec![("sec-fetch-site", "same-origin")], 403),
        ] {
            let answer = browser.post_raw("/theme", fields, &headers).await;
            assert_eq!(answer.status, expected, "{headers:?} {}", answer.html);
        }
        let other = app.signed_in("admin", "").await.get("/account").await.form_token();
        let answer = browser.post_raw("/theme", &[("form_token", &other), ("theme", "dark")], &[("sec-fetch-site", "same-origin")]).await;
        assert_eq!(answer.status, 403, "another's token");
        let before = browser.cookies.clone();
        let mut stranger = app.browser();
        let answer = stranger.post_raw("/sign-in", &[("email", "a@example.org")], &[("sec-fetch-site", "same-origin")]).await;
        assert_eq!(answer.status, 403, "nor is the form of sign-in taken without one");
        assert_eq!(before, browser.cookies);
    }

    async fn every_post_of_the_console_asks_for_a_token_and_an_origin(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut browser = app.signed_in("admin", "").await;
        let own = crate::pages::POSTS.iter().map(|(path, _)| *path);
        for path in own.chain(["/sign-in", "/sign-in/abc", "/enrol", "/shift"]) {
            let answer = browser.post_raw(path, &[("x", "y")], &[("sec-fetch-site", "same-origin")]).await;
            assert_eq!(answer.status, 403, "{path} without a token");
            let answer = browser.post_raw(path, &[("x", "y")], &[]).await;
            assert_eq!(answer.status, 403, "{path} without an origin");
        }
    }

    async fn a_form_that_comes_after_the_session_has_ended_shows_what_was_typed(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut browser = app.signed_in("admin", "").await;
        let page = browser.get("/admin/gateways").await;
        app.advance(HOUR * 13);
        let reason = "Sms-tjänsten skickar dubbelt & <b>konstigt</b>";
        let answer = browser.submit(&page, "/admin/pause", &[("reason", reason)]).await;
        assert_eq!(answer.status, 401);
        assert!(answer.says("Du är inte inloggad längre") && answer.says("dubbelt &#38; &#60;b&#62;konstigt"), "{}", answer.html);
        assert_eq!(grannpost::store::setting::get(&mut app.desk.store.read().await.unwrap(), grannpost::store::setting::PAUSED).await.unwrap(), None);
    }

    async fn the_demos_straight_way_in_is_shut_where_people_are_reached(kind: Kind) {
        let app = TestApp::spawn_with(kind, "server.environment = \"live\"").await;
        let (email, _) = app.invite("Kim Ek", "admin", "").await;
        let mut session = app.desk.store.begin().await.unwrap();
        let kim = grannpost::store::operator::by_id_or_email(&mut session, &email).await.unwrap().unwrap();
        let refused = operator::demo_link(&app.desk, &mut session, &root(), &kim).await;
        assert!(matches!(refused, Err(grannpost::actions::ActionError::Forbidden)), "{refused:?}");
    }

    async fn a_page_says_who_shall_not_guess_it_and_a_program_gets_a_problem(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut browser = app.signed_in("operator", "2321").await;
        let page = browser.get("/nowhere").await;
        assert_eq!((page.status.as_u16(), page.headers["content-type"].to_str().unwrap()), (404, "text/html; charset=utf-8"));
        assert!(page.says("Sidan finns inte"), "{}", page.html);
        let page = browser.get("/admin/operators").await;
        assert_eq!(page.status, 403);
        assert!(page.says("Din roll är Operatör"), "{}", page.html);
        let answer = app.api.call(Method::GET, "/nowhere", None, &[("accept", "text/html")]).await;
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
}
