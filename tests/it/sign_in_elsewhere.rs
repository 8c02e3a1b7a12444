//! Stories of those who sign in by the authority's own means: its identity provider, or a proxy in front.

use std::time::Duration;

use crate::support::browser::{Browser, PASSWORD, Page};
use crate::support::identity_provider::{IdentityProvider, LIES, Lie};
use crate::support::{Kind, TestApp, on_both_databases, root};
use grannpost::actions::operator;
use grannpost::ambient::Clock;

const MINUTE: Duration = Duration::from_secs(60);

async fn with_provider(kind: Kind) -> (TestApp, IdentityProvider) {
    let clock = Clock::fake("2026-11-20T01:31:00Z".parse().unwrap());
    let provider = IdentityProvider::start(&clock).await;
    let app = TestApp::spawn_at(kind, &provider.settings(), clock).await;
    (app, provider)
}

/// Goes to the provider, signs in there and comes back.
async fn through(browser: &mut Browser, provider: &IdentityProvider, from: &str) -> Page {
    let question = browser.step(from).await;
    assert_eq!(question.status, 303, "{}", question.html);
    let back = provider.answer(question.headers["location"].to_str().unwrap());
    browser.get(&back).await
}

on_both_databases! {
    async fn whom_the_provider_vouches_for_gets_in_and_is_known_by_subject_afterwards(kind: Kind) {
        let (app, provider) = with_provider(kind).await;
        app.invite("Kim Ek", "operator", "2321").await;
        let mut browser = app.browser();
        let page = browser.get("/decisions").await;
        let way = page.links().into_iter().find(|link| link.starts_with("/sign-in/oidc")).unwrap();
        let page = through(&mut browser, &provider, &way).await;
        assert_eq!(page.path, "/decisions");
        assert!(page.says("Kim Ek"), "{}", page.html);
        assert!(!browser.cookies.contains_key("grannpost-identity"), "the question is answered");

        provider.change(|plan| plan.email = Some("kim.gift@example.org".into()));
        assert_eq!(through(&mut app.browser(), &provider, "/sign-in/oidc").await.path, "/", "a new name is the same person");
        provider.change(|plan| (plan.subject, plan.email) = ("s-2".into(), Some("kim.ek@example.org".into())));
        let page = through(&mut app.browser(), &provider, "/sign-in/oidc").await;
        assert_eq!(page.status, 403, "another person with an address that was used before");
        assert!(page.says("Du har inget konto här"), "{}", page.html);
    }

    async fn a_provider_that_lies_lets_nobody_in_whatever_the_lie(kind: Kind) {
        let (app, provider) = with_provider(kind).await;
        app.invite("Kim Ek", "operator", "").await;
        for lie in LIES {
            provider.change(|plan| plan.lie = if lie == Lie::IssuerInDiscovery { Lie::None } else { lie });
            let mut browser = app.browser();
            let question = browser.step("/sign-in/oidc").await;
            let back = provider.answer(question.headers["location"].to_str().unwrap());
            provider.change(|plan| plan.lie = lie);
            let page = browser.get(&back).await;
            let expected = if lie == Lie::IssuerInDiscovery { 502 } else { 403 };
            assert_eq!(page.status, expected, "{lie:?} {}", page.html);
            assert!(browser.get("/").await.path.starts_with("/sign-in"), "{lie:?}");
        }
        provider.change(|plan| plan.lie = Lie::None);
        assert_eq!(through(&mut app.browser(), &provider, "/sign-in/oidc").await.path, "/", "and the truth does");
    }

    async fn an_answer_counts_once_in_the_browser_that_asked_and_in_time(kind: Kind) {
        let (app, provider) = with_provider(kind).await;
        app.invite("Kim Ek", "operator", "").await;
        let mut browser = app.browser();
        let question = browser.step("/sign-in/oidc").await;
        let back = provider.answer(question.headers["location"].to_str().unwrap());
        assert_eq!(app.browser().get(&back).await.status, 403, "another browser");
        let asked = browser.cookies.clone();
        let forged = back.split_once("&state=").unwrap().0.to_owned() + "&state=guessed";
        assert_eq!(browser.get(&forged).await.status, 403, "another state");
        browser.cookies = asked.clone();
        assert_eq!(browser.get(&back).await.path, "/");
        let mut again = app.browser();
        again.cookies = asked;
        assert_eq!(again.get(&back).await.status, 403, "a code is good once");
        let mut slow = app.browser();
        let question = slow.step("/sign-in/oidc").await;
        let back = provider.answer(question.headers["location"].to_str().unwrap());
        app.advance(MINUTE * 11);
        assert_eq!(slow.get(&back).await.status, 403, "eleven minutes later");
        for nonsense in ["/sign-in/oidc/back", "/sign-in/oidc/back?error=access_denied&state=x", "/sign-in/oidc/back?code=%00"] {
            assert!(matches!(app.browser().get(nonsense).await.status.as_u16(), 400 | 403), "{nonsense}");
        }
    }

    async fn an_address_that_is_not_verified_ties_nobody(kind: Kind) {
        let (app, provider) = with_provider(kind).await;
        app.invite("Kim Ek", "operator", "").await;
        for verified in [None, Some(false)] {
            provider.change(|plan| plan.email_verified = verified);
            assert_eq!(through(&mut app.browser(), &provider, "/sign-in/oidc").await.status, 403, "{verified:?}");
        }
        provider.change(|plan| (plan.email, plan.email_verified) = (None, None));
        assert_eq!(through(&mut app.browser(), &provider, "/sign-in/oidc").await.status, 403);
    }

    async fn somebody_shut_out_here_does_not_come_in_from_there(kind: Kind) {
        let (app, provider) = with_provider(kind).await;
        let (email, _) = app.invite("Kim Ek", "operator", "").await;
        let mut browser = app.browser();
        through(&mut browser, &provider, "/sign-in/oidc").await;
        let mut session = app.desk.store.begin().await.unwrap();
        operator::disable(&app.desk, &mut session, &root(), &email).await.unwrap();
        session.commit().await.unwrap();
        assert!(browser.get("/").await.path.starts_with("/sign-in"));
        assert_eq!(through(&mut app.browser(), &provider, "/sign-in/oidc").await.status, 403);
    }

    async fn an_administrator_proves_again_at_the_provider_who_they_are(kind: Kind) {
        let (app, provider) = with_provider(kind).await;
        app.invite("Kim Ek", "admin", "").await;
        let mut browser = app.browser();
        through(&mut browser, &provider, "/sign-in/oidc").await;
        app.advance(MINUTE * 16);
        let asked = browser.get("/admin/operators/new").await;
        assert!(asked.path.starts_with("/prove"), "{}", asked.html);
        let way = asked.links().into_iter().find(|link| link.starts_with("/sign-in/oidc?again=1")).unwrap();
        let question = browser.step(&way).await;
        let location = question.headers["location"].to_str().unwrap();
        assert!(location.contains("prompt=login") && location.contains("max_age=0"), "{location}");
        assert_eq!(browser.get(&provider.answer(location)).await.status, 403, "it does not say that they did");
        provider.change(|plan| plan.proved_ago = Some(3_600));
        assert_eq!(through(&mut browser, &provider, &way).await.status, 403, "an hour ago");
        provider.change(|plan| (plan.subject, plan.proved_ago) = ("s-9".into(), Some(5)));
        assert_eq!(through(&mut browser, &provider, &way).await.status, 403, "somebody else");
        provider.change(|plan| plan.subject = "s-1".into());
        assert_eq!(through(&mut browser, &provider, &way).await.path, "/admin/operators/new");
    }

    async fn a_provider_that_is_away_is_told_and_passwords_still_work(kind: Kind) {
        let app = TestApp::spawn_with(kind, "sign_in.oidc_issuer = \"http://127.0.0.1:1\"\nsign_in.oidc_client_id = \"x\"\nsign_in.oidc_client_secret = \"y\"").await;
        let page = app.browser().get("/sign-in/oidc").await;
        assert_eq!(page.status, 502);
        assert!(page.says("Organisationens inloggning svarar inte"), "{}", page.html);
        let account = app.enrolled("Kim Ek", "operator", "").await;
        let code = app.next_code(&account.secret);
        assert_eq!(app.sign_in(&mut app.browser(), (&account.email, PASSWORD, &code)).await.path, "/");
    }

    async fn a_proxy_in_front_is_believed_from_its_own_address_only(kind: Kind) {
        let settings = "sign_in.proxy_header = \"X-Remote-User\"\nsign_in.proxy_addresses = [\"ADDRESS\"]\n";
        let header = |email: &str| vec![("x-remote-user".to_owned(), email.to_owned())];
        let app = TestApp::spawn_with(kind, &settings.replace("ADDRESS", "192.0.2.1")).await;
        app.invite("Kim Ek", "operator", "").await;
        let mut liar = app.browser();
        liar.headers = header("kim.ek@example.org");
        assert_eq!(liar.get("/").await.path, "/sign-in", "anybody can send a header");
        liar.headers.push(("x-forwarded-for".into(), "192.0.2.1".into()));
        assert_eq!(liar.get("/").await.path, "/sign-in", "and this one too");

        let app = TestApp::spawn_with(kind, &settings.replace("ADDRESS", "127.0.0.1")).await;
        app.invite("Kim Ek", "operator", "").await;
        app.invite("Eva Ek", "admin", "").await;
        let mut browser = app.browser();
        browser.headers = header("Kim.Ek@example.org");
        let page = browser.get("/decisions").await;
        assert_eq!(page.path, "/decisions");
        assert!(page.says("Kim Ek"), "{}", page.html);
        browser.headers = header("eva.ek@example.org");
        let page = browser.get("/decisions").await;
        assert!(page.says("Eva Ek") && page.path == "/decisions", "another person at the proxy is another here: {}", page.html);
        browser.headers.clear();
        assert!(browser.get("/").await.path.starts_with("/sign-in"), "past the proxy the cookie is worth nothing");
        browser.headers = [header("kim.ek@example.org"), header("eva.ek@example.org")].concat();
        assert!(browser.get("/").await.path.starts_with("/sign-in"), "two names are none");
        browser.headers = header("nobody@example.org");
        let page = browser.get("/").await;
        assert_eq!((page.status.as_u16(), page.says("Du har inget konto här")), (403, true), "{}", page.html);
        browser.headers = header("eva.ek@example.org");
        let page = browser.get("/admin/operators/new").await;
        assert_eq!(page.status, 200, "the proxy vouches for every request");
        let page = browser.submit(&page, "/sign-out", &[]).await;
        assert_eq!(page.path, "/sign-in?done=signed-out", "and does not let in again at once: {}", page.html);
    }
}
