//! Stories of those who sign in with a security key, and of keys that answer wrongly.

use std::time::Duration;

use crate::support::browser::{Account, Browser, PASSWORD, Page};
use crate::support::security_key::SecurityKey;
use crate::support::{Kind, TestApp, on_both_databases, root};
use grannpost::actions::operator;
use serde_json::Value;

const HOST: &str = "post.example.org";
/// What is wrong with a key.
type Fault = fn(&mut SecurityKey);

const MINUTE: Duration = Duration::from_secs(60);

async fn app_behind_tls(kind: Kind) -> TestApp {
    TestApp::spawn_with(kind, &format!("server.public_url = \"https://{HOST}\"")).await
}

/// What the script fetches: the handle and the options.
async fn question(browser: &mut Browser, page: &Page, path: &str) -> (String, Value) {
    let answer = browser.submit(page, path, &[]).await;
    assert_eq!(answer.status, 200, "{path} {}", answer.html);
    let json: Value = serde_json::from_str(&answer.html).unwrap();
    (json["handle"].as_str().unwrap().to_owned(), json["options"].clone())
}

async fn with_key(app: &TestApp, name: &str, number: u8) -> (Account, SecurityKey) {
    let account = app.enrolled(name, "admin", "").await;
    let (mut browser, mut key) = (account.browser.clone(), SecurityKey::new(number, HOST));
    let page = browser.get("/account").await;
    let (handle, options) = question(&mut browser, &page, "/account/passkeys/question").await;
    let answer = key.create(&options);
    let fields = [("name", "Blå nyckel"), ("handle", handle.as_str()), ("answer", answer.as_str())];
    let added = browser.submit(&page, "/account/passkeys", &fields).await;
    assert!(added.says("Passkeyn är tillagd.") && added.says("Blå nyckel"), "{}", added.html);
    (account, key)
}

/// Signs in with a key from a fresh browser.
async fn enter(app: &TestApp, key: &mut SecurityKey) -> (Browser, Page) {
    let mut browser = app.browser();
    let page = browser.get("/sign-in?next=%2Faccount").await;
    let (handle, options) = question(&mut browser, &page, "/sign-in/passkey/question").await;
    let answer = key.get(&options);
    let fields = [("next", "/account"), ("handle", handle.as_str()), ("answer", answer.as_str())];
    let page = browser.submit(&page, "/sign-in/passkey", &fields).await;
    (browser, page)
}

on_both_databases! {
    async fn a_key_lets_its_owner_in_until_it_is_removed(kind: Kind) {
        let app = app_behind_tls(kind).await;
        let (_, mut key) = with_key(&app, "Kim Ek", 7).await;
        let (mut browser, page) = enter(&app, &mut key).await;
        assert_eq!(page.path, "/account", "{}", page.html);
        assert!(page.says("Kim Ek") && page.says("Passkey"), "{}", page.html);
        let id = page.html.split("action=\"/account/passkeys/remove\"").nth(1).unwrap();
        let id = id.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let removed = browser.submit(&page, "/account/passkeys/remove", &[("id", &id)]).await;
        assert!(removed.says("Passkeyn är borttagen."), "{}", removed.html);
        assert_eq!(enter(&app, &mut key).await.1.status, 403);
    }

    async fn a_key_that_answers_wrongly_lets_nobody_in(kind: Kind) {
        let app = app_behind_tls(kind).await;
        let (_, good) = with_key(&app, "Kim Ek", 7).await;
        let wrong: [(&str, Fault); 5] = [
            ("a copy of our pages", |key| key.origin = "https://post.example.net".into()),
            ("plain HTTP", |key| key.origin = format!("http://{HOST}")),
            ("another site's credential", |key| key.host = "post.example.net".into()),
            ("nobody showed a finger", |key| key.verifies_owner = false),
            ("another key under the same id", |key| {
                let mut other = SecurityKey::new(9, HOST);
                std::mem::swap(&mut other, key);
                key.take_name_of(&other);
            }),
        ];
        for (what, change) in wrong {
            let mut key = good.clone();
            change(&mut key);
            let (mut browser, page) = enter(&app, &mut key).await;
            assert_eq!(page.status, 403, "{what}: {}", page.html);
            assert!(browser.get("/").await.path.starts_with("/sign-in"), "{what}");
        }
        let mut stranger = SecurityKey::new(8, HOST);
        stranger.take_name_of(&good);
        stranger.forget_id();
        assert_eq!(enter(&app, &mut stranger).await.1.status, 403, "a key that nobody has added");
        let mut key = good.clone();
        key.counter = 41;
        assert_eq!(enter(&app, &mut key).await.1.path, "/account");
        let mut copy = good.clone();
        copy.counter = 12;
        assert_eq!(enter(&app, &mut copy).await.1.status, 403, "a copy made earlier counts backwards");
    }

    async fn an_answer_counts_once_for_its_own_question_and_in_time(kind: Kind) {
        let app = app_behind_tls(kind).await;
        let (account, mut key) = with_key(&app, "Kim Ek", 7).await;
        let mut browser = app.browser();
        let page = browser.get("/sign-in").await;
        let (first, options) = question(&mut browser, &page, "/sign-in/passkey/question").await;
        let (second, _) = question(&mut browser, &page, "/sign-in/passkey/question").await;
        let answer = key.get(&options);
        let with = |handle: &str| [("handle", handle.to_owned()), ("answer", answer.clone())];
        let send = async |browser: &mut Browser, handle: &str| {
            let fields = with(handle);
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            browser.submit(&page, "/sign-in/passkey", &fields).await.status.as_u16()
        };
        assert_eq!(send(&mut browser, &second).await, 403, "the answer to another question");
        assert_eq!(send(&mut browser, "guessed").await, 403);
        assert_eq!(send(&mut browser.clone(), &first).await, 200);
        assert_eq!(send(&mut browser, &first).await, 403, "once more");
        let (late, options) = question(&mut browser, &page, "/sign-in/passkey/question").await;
        let answer = key.get(&options);
        app.advance(MINUTE * 6);
        let fields = [("handle", late.as_str()), ("answer", answer.as_str())];
        assert_eq!(browser.submit(&page, "/sign-in/passkey", &fields).await.status, 403, "six minutes later");
        for nonsense in ["", "{}", "[1]", "{\"id\":\"\"}"] {
            let (handle, _) = question(&mut browser, &page, "/sign-in/passkey/question").await;
            let fields = [("handle", handle.as_str()), ("answer", nonsense)];
            assert_eq!(browser.submit(&page, "/sign-in/passkey", &fields).await.status, 403, "{nonsense}");
        }
        app.invite("Eva Ek", "admin", "").await;
        app.signed_in("admin", "").await;
        let mut session = app.desk.store.begin().await.unwrap();
        operator::disable(&app.desk, &mut session, &root(), &account.email).await.unwrap();
        session.commit().await.unwrap();
        assert_eq!(enter(&app, &mut key).await.1.status, 403, "somebody who was shut out");
    }

    async fn a_key_proves_who_one_is_and_takes_over_a_shift(kind: Kind) {
        let app = app_behind_tls(kind).await;
        let (_, mut kims) = with_key(&app, "Kim Ek", 7).await;
        let (_, mut evas) = with_key(&app, "Eva Ek", 8).await;
        let (mut browser, _) = enter(&app, &mut kims).await;
        app.advance(MINUTE * 16);
        let asked = browser.get("/admin/operators/new").await;
        assert!(asked.path.starts_with("/prove") && asked.says("/prove/passkey"), "{}", asked.html);
        for (key, expected) in [(&mut evas, "403 /prove/passkey"), (&mut kims, "200 /admin/operators/new")] {
            let (handle, options) = question(&mut browser, &asked, "/prove/passkey/question").await;
            let answer = key.get(&options);
            let fields = [("next", "/admin/operators/new"), ("handle", handle.as_str()), ("answer", answer.as_str())];
            let page = browser.submit(&asked, "/prove/passkey", &fields).await;
            assert_eq!(format!("{} {}", page.status.as_u16(), page.path), expected);
        }
        for name in ["Eva Ek", "Eva Ek", "Kim Ek"] {
            let key = if name == "Eva Ek" { &mut evas } else { &mut kims };
            let page = browser.get("/decisions").await;
            let locked = browser.submit(&page, "/shift/lock", &[("next", "/decisions")]).await;
            assert!(locked.path.starts_with("/shift"), "{}", locked.html);
            let (handle, options) = question(&mut browser, &locked, "/shift/passkey/question").await;
            let answer = key.get(&options);
            let fields = [("next", "/decisions"), ("handle", handle.as_str()), ("answer", answer.as_str())];
            let page = browser.submit(&locked, "/shift/passkey", &fields).await;
            assert!(page.path == "/decisions" && page.says(name), "{name} {}", page.html);
        }
    }

    async fn a_reset_voids_the_keys_and_ones_own_question_is_ones_own(kind: Kind) {
        let app = app_behind_tls(kind).await;
        let (account, mut key) = with_key(&app, "Kim Ek", 7).await;
        let (eva, _) = with_key(&app, "Eva Ek", 8).await;
        let (mut kims, mut evas) = (account.browser.clone(), eva.browser.clone());
        let (page, evas_page) = (kims.get("/account").await, evas.get("/account").await);
        let (handle, options) = question(&mut kims, &page, "/account/passkeys/question").await;
        let answer = SecurityKey::new(9, HOST).create(&options);
        let fields = [("name", "x"), ("handle", handle.as_str()), ("answer", answer.as_str())];
        assert_eq!(evas.submit(&evas_page, "/account/passkeys", &fields).await.status, 422, "Kim's question");
        let (handle, options) = question(&mut evas, &evas_page, "/account/passkeys/question").await;
        let answer = key.clone().create(&options);
        let fields = [("name", "x"), ("handle", handle.as_str()), ("answer", answer.as_str())];
        assert_eq!(evas.submit(&evas_page, "/account/passkeys", &fields).await.status, 409, "Kim's key");
        let mut session = app.desk.store.begin().await.unwrap();
        operator::reset(&app.desk, &mut session, &root(), &account.email).await.unwrap();
        session.commit().await.unwrap();
        assert_eq!(enter(&app, &mut key).await.1.status, 403);
    }

    async fn without_a_host_name_there_are_no_passkeys(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let account = app.enrolled("Kim Ek", "operator", "").await;
        let mut browser = app.browser();
        let page = browser.get("/sign-in").await;
        assert!(!page.says("passkey"), "{}", page.html);
        assert_eq!(browser.submit(&page, "/sign-in/passkey/question", &[]).await.status, 404);
        let code = app.next_code(&account.secret);
        assert_eq!(app.sign_in(&mut browser, (&account.email, PASSWORD, &code)).await.path, "/");
    }
}
