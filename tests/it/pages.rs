//! Every page of the console: who may see it, what it is sent with, and that hostile strings lie still on it.

use std::collections::BTreeSet;

use crate::support::browser::Browser;
use crate::support::{TestApp, on_both_databases, root};
use grannpost::actions::operator::{self, NewOperator};
use serde_json::json;

const ALL: [&str; 5] = ["operator", "chief", "officer", "admin", "auditor"];
const READS_REGISTER: [&str; 3] = ["operator", "chief", "admin"];
const READS_ALERTS: [&str; 4] = ["operator", "chief", "admin", "auditor"];
const READS_LETTERS: [&str; 3] = ["chief", "admin", "auditor"];
const WORKS_INBOX: [&str; 3] = ["operator", "officer", "admin"];
const WRITES_LETTERS: [&str; 2] = ["chief", "admin"];

/// Every GET of the console that stands in a menu or behind it, and the roles that may see it; others get 403. `{id}` is an
/// operator, `{key}` a key.
const PAGES: &[(&str, &[&str])] = &[
    ("/", &ALL),
    ("/account", &ALL),
    ("/account/password", &ALL),
    ("/prove", &ALL),
    ("/decisions", &READS_ALERTS),
    ("/alerts", &READS_ALERTS),
    ("/alerts/new", &["operator", "admin"]),
    ("/alerts/{id}", &READS_ALERTS),
    ("/alerts/{id}/follow-up", &["operator", "admin"]),
    ("/alerts/{id}/calls", &["operator", "chief", "admin"]),
    ("/alerts/{id}/report", &READS_ALERTS),
    ("/observations", &WORKS_INBOX),
    ("/observations/{id}", &WORKS_INBOX),
    ("/letters", &READS_LETTERS),
    ("/letters/new", &WRITES_LETTERS),
    ("/letters/{id}", &READS_LETTERS),
    ("/letters/{id}/edit", &WRITES_LETTERS),
    ("/letters/{id}/confirm", &WRITES_LETTERS),
    ("/letters/{id}/paper", &WRITES_LETTERS),
    ("/register", &READS_REGISTER),
    ("/register/calls", &READS_REGISTER),
    ("/register/coverage", &READS_REGISTER),
    ("/register/duplicates", &READS_REGISTER),
    ("/register/duplicates/{id}/{other}", &["chief", "admin"]),
    ("/register/protected", &["admin"]),
    ("/register/mail", &["chief", "admin"]),
    ("/register/mail/{id}", &["chief", "admin"]),
    ("/register/import", &["admin"]),
    ("/register/import/{id}", &["admin"]),
    ("/register/import/{id}/preview", &["admin"]),
    ("/register/imports/{id}", &["admin"]),
    ("/register/imports/{id}/missing", &["admin"]),
    ("/register/export", &["admin"]),
    ("/register/persons/new", &["chief", "admin"]),
    ("/register/persons/{id}", &READS_REGISTER),
    ("/register/persons/{id}/edit", &["chief", "admin"]),
    ("/register/persons/{id}/end", &["chief", "admin"]),
    ("/register/persons/{id}/hand-over", &["chief", "admin"]),
    ("/audit", &["admin", "auditor"]),
    ("/admin/operators", &["admin"]),
    ("/admin/operators/new", &["admin"]),
    ("/admin/operators/{id}", &["admin"]),
    ("/admin/keys", &["admin"]),
    ("/admin/keys/new", &["admin"]),
    ("/admin/keys/{id}/revoke", &["admin"]),
    ("/admin/gateways", &["admin"]),
    ("/admin/health", &["admin"]),
    ("/admin/retention", &["admin"]),
    ("/admin/situations", &["admin"]),
    ("/admin/situations/new", &["admin"]),
    ("/admin/situations/{id}", &["admin"]),
    ("/admin/resume", &["admin"]),
];

/// GETs that lead elsewhere, answer without a page or need no sign-in.
const OTHERS: &[&str] = &[
    "/admin",
    "/enrol",
    "/shift",
    "/sign-in",
    "/sign-in/{token}",
    "/sign-in/oidc",
    "/sign-in/oidc/back",
    "/session/keep",
    "/assets/{name}",
    "/favicon.ico",
    "/alerts/{id}/live",
    "/alerts/{id}/answers",
    "/alerts/{id}/answers/new",
    "/observations/urgent",
    "/letters/{id}/live",
    "/letters/{id}/mail",
    "/letters/{id}/text",
    "/letters/{id}/print",
    "/register/import/{id}/rejected.csv",
    "/tillganglighet",
    "/u/{token}",
    "/min-sida",
    "/min-sida/lank/{token}",
    "/min-sida/anslag/{id}",
    "/min-sida/svar",
    "/min-sida/brev",
    "/min-sida/brev/{id}",
    "/min-sida/uppgifter",
    "/min-sida/avsluta",
    "/min-sida/utdrag",
    "/min-sida/utdrag.json",
];

/// Every POST of the console, and the roles that may do it; others get 403. Those of one's own are everybody's.
pub const POSTS: &[(&str, &[&str])] = &[
    ("/sign-out", &ALL),
    ("/shift/lock", &ALL),
    ("/theme", &ALL),
    ("/prove", &ALL),
    ("/account/sessions/end", &ALL),
    ("/account/sessions/end-others", &ALL),
    ("/account/password", &ALL),
    ("/account/recovery-codes", &ALL),
    ("/account/passkeys", &ALL),
    ("/account/passkeys/question", &ALL),
    ("/account/passkeys/remove", &ALL),
    ("/prove/passkey/question", &ALL),
    ("/alerts/new", &["operator", "admin"]),
    ("/alerts/preview", &["operator", "admin"]),
    ("/alerts/draft", &["operator", "admin"]),
    ("/alerts/draft/keep", &["operator", "admin"]),
    ("/alerts/draft/discard", &["operator", "admin"]),
    ("/alerts/confirm", &["operator", "admin"]),
    ("/alerts/send", &["operator", "admin"]),
    ("/alerts/considered", &["operator", "admin"]),
    ("/alerts/{id}/stop", &["operator", "admin"]),
    ("/alerts/{id}/email", &["operator", "admin"]),
    ("/alerts/{id}/email/stop", &["operator", "admin"]),
    ("/alerts/{id}/doubt-numbers", &["operator", "admin"]),
    ("/alerts/{id}/in-doubt", &["operator", "admin"]),
    ("/alerts/{id}/approve", &["operator", "chief", "admin"]),
    ("/alerts/{id}/return", &["operator", "chief", "admin"]),
    ("/alerts/{id}/send-unreviewed", &["operator", "admin"]),
    ("/alerts/{id}/follow-up", &["operator", "admin"]),
    ("/observations/export", &WORKS_INBOX),
    ("/observations/{id}", &WORKS_INBOX),
    ("/observations/{id}/take", &WORKS_INBOX),
    ("/observations/{id}/tag", &WORKS_INBOX),
    ("/observations/{id}/archive", &WORKS_INBOX),
    ("/observations/{id}/tie", &WORKS_INBOX),
    ("/observations/{id}/reply", &WORKS_INBOX),
    ("/admin/situations/new", &["admin"]),
    ("/admin/situations/{id}", &["admin"]),
    ("/admin/situations/{id}/retire", &["admin"]),
    ("/letters/new", &WRITES_LETTERS),
    ("/letters/audience", &WRITES_LETTERS),
    ("/letters/{id}/edit", &WRITES_LETTERS),
    ("/letters/{id}/test", &WRITES_LETTERS),
    ("/letters/{id}/schedule", &WRITES_LETTERS),
    ("/letters/{id}/send", &WRITES_LETTERS),
    ("/letters/{id}/stop", &WRITES_LETTERS),
    ("/letters/{id}/in-doubt", &WRITES_LETTERS),
    ("/letters/{id}/request-approval", &WRITES_LETTERS),
    ("/letters/{id}/approve", &WRITES_LETTERS),
    ("/letters/{id}/return", &WRITES_LETTERS),
    ("/letters/{id}/send-unreviewed", &WRITES_LETTERS),
    ("/letters/{id}/printed", &WRITES_LETTERS),
    ("/register", &READS_REGISTER),
    ("/register/duplicates/{id}/{other}", &["chief", "admin"]),
    ("/register/duplicates/{id}/{other}/different", &["chief", "admin"]),
    ("/register/persons/{id}/number-trusted", &["chief", "admin"]),
    ("/register/persons/{id}/email-usable", &["chief", "admin"]),
    ("/register/mail/{id}/done", &["chief", "admin"]),
    ("/register/import", &["admin"]),
    ("/register/import/{id}", &["admin"]),
    ("/register/import/{id}/drop", &["admin"]),
    ("/register/import/{id}/store", &["admin"]),
    ("/register/imports/{id}/answers", &["admin"]),
    ("/register/imports/{id}/undo", &["admin"]),
    ("/register/export", &["admin"]),
    ("/register/persons/new", &["chief", "admin"]),
    ("/register/persons/{id}/edit", &["chief", "admin"]),
    ("/register/persons/{id}/pause", &["chief", "admin"]),
    ("/register/persons/{id}/opt-out", &["chief", "admin"]),
    ("/register/persons/{id}/end", &["chief", "admin"]),
    ("/register/persons/{id}/hand-over", &["chief", "admin"]),
    ("/register/persons/{id}/hand-over/preview", &["chief", "admin"]),
    ("/register/calls/{id}", &["chief", "admin"]),
    ("/register/persons/{id}/own-page-link", &READS_REGISTER),
    ("/register/persons/{id}/own-page-end", &["chief", "admin"]),
    ("/register/persons/{id}/deputy", &["chief", "admin"]),
    ("/admin/operators/new", &["admin"]),
    ("/admin/operators/{id}/change", &["admin"]),
    ("/admin/operators/{id}/reset", &["admin"]),
    ("/admin/operators/{id}/disable", &["admin"]),
    ("/admin/operators/{id}/enable", &["admin"]),
    ("/admin/keys/new", &["admin"]),
    ("/admin/keys/{id}/revoke", &["admin"]),
    ("/admin/gateways/test", &["admin"]),
    ("/audit/check", &["admin", "auditor"]),
    ("/audit/export", &["admin", "auditor"]),
    ("/admin/pause", &["admin"]),
    ("/admin/resume", &["admin"]),
];

/// POSTs of those who are not signed in, or not yet.
const STRANGERS_POSTS: &[&str] = &[
    "/sign-in",
    "/sign-in/{token}",
    "/sign-in/passkey",
    "/sign-in/passkey/question",
    "/enrol",
    "/shift",
    "/shift/passkey",
    "/shift/passkey/question",
    "/u/{token}",
    "/min-sida/lank",
    "/min-sida/lank/{token}",
];

/// POSTs of contact persons: no operator's session counts there.
pub const OWN_PAGE_POSTS: &[&str] = &[
    "/min-sida/spridit",
    "/min-sida/iakttagelse",
    "/min-sida/uppgifter",
    "/min-sida/paus",
    "/min-sida/ersattare",
    "/min-sida/ersattare/nej",
    "/min-sida/avsluta",
    "/min-sida/ut",
];

/// A key that answers wrongly is refused, whoever holds it.
const OF_KEYS: &[&str] = &["/prove/passkey"];

/// Paths of the routers in `src/web/pages`, by method.
fn routes(method: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("src/web/pages").unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for route in text.split(".route(").skip(1) {
            let literal = route.trim_start().strip_prefix('"').expect("a path stands where it is routed");
            let (path, rest) = literal.split_once('"').unwrap();
            let handlers = rest.split(".route(").next().unwrap().split(";\n").next().unwrap();
            let handlers = handlers.split("\n}").next().unwrap();
            if handlers.contains(&format!("{method}(")) {
                found.insert(path.to_owned());
            }
        }
    }
    found
}

/// A place for every id: an operator's for operators, a key's for keys.
async fn at(app: &TestApp, path: &str, draft: &str) -> String {
    let mut session = app.desk.store.read().await.unwrap();
    let id = if path.contains("/alerts/") {
        let alerts = grannpost::store::message::page(&mut session, "alert", "", 1).await.unwrap();
        alerts.first().map_or_else(|| "none".to_owned(), |alert| alert.id.clone())
    } else if path.contains("/observations/") {
        let filter = grannpost::store::observation::Filter::default();
        let observations = grannpost::store::observation::page(&mut session, &filter, 1).await.unwrap();
        observations.first().map_or_else(|| "none".to_owned(), |observation| observation.id.clone())
    } else if path.contains("/situations/") {
        grannpost::store::situation::list(&mut session).await.unwrap()[0].id.clone()
    } else if path.contains("/letters/") {
        let letters = grannpost::store::message::page(&mut session, "letter", "", 1).await.unwrap();
        letters.first().map_or_else(|| "none".to_owned(), |letter| letter.id.clone())
    } else if path.contains("/imports/") {
        let imports = grannpost::store::import::latest(&mut session, 1).await.unwrap();
        imports.first().map_or_else(|| "none".to_owned(), |import| import.id.clone())
    } else if path.contains("/import/") {
        draft.to_owned()
    } else if path.contains("/register/mail/") {
        let mails = grannpost::store::inbound_mail::page(&mut session, "tray", ("", 1)).await.unwrap();
        mails.first().map_or_else(|| "none".to_owned(), |mail| mail.id.clone())
    } else if path.contains("/register/") {
        let persons = grannpost::store::import::page(&mut session, "", 1).await.unwrap();
        persons.first().map_or_else(|| "none".to_owned(), |person| person.id.clone())
    } else if path.contains("/keys/") {
        grannpost::store::api_key::list(&mut session).await.unwrap().pop().unwrap().id
    } else {
        // Not oneself where there is somebody else: ids of one moment stand in no order.
        let operators = grannpost::store::operator::list(&mut session).await.unwrap();
        let invited = operators.iter().rfind(|operator| operator.name.starts_with("Eva "));
        invited.or(operators.last()).unwrap().id.clone()
    };
    path.replace("{id}", &id).replace("{other}", &other_person(&mut session, &id).await)
}

/// A file that somebody has uploaded and not imported yet: theirs alone.
async fn draft(browser: &mut Browser, name: &str) -> String {
    let csv = format!("Namn;Kommun;Område\n\"{}\";2326;Hackås\n;2326;Hackås\n", name.replace('"', "\"\""));
    let page = browser.get("/register/import").await;
    let page = browser.upload(&page, "/register/import", csv.as_bytes()).await;
    page.path.rsplit('/').next().unwrap().to_owned()
}

/// A contact person who is not the one with this id.
async fn other_person(session: &mut grannpost::store::Session, id: &str) -> String {
    let persons = grannpost::store::import::page(session, "", 10).await.unwrap();
    persons.into_iter().map(|person| person.id).find(|other| other != id).unwrap_or_else(|| "none".to_owned())
}

/// What no page may hold: anything that the policy would stop, or that an attacker wrote.
fn assert_inert(path: &str, html: &str) {
    let lower = html.to_lowercase();
    for bad in ["<style", " style=", " onerror=\"", " onclick=", " onload=", "javascript:", "<script>", "<img src=x"] {
        assert!(!lower.contains(bad), "{path} holds {bad}: {html}");
    }
    let scripts: Vec<&str> = lower.split("<script").skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
    let by_address = scripts.iter().all(|script| script.contains(" src=\"/assets/"));
    assert!(scripts.len() == 2 && by_address, "{path}: htmx and our own, by their addresses: {scripts:?}");
}

#[test]
fn every_route_of_the_pages_stands_in_the_tables() {
    let listed = |tables: &[BTreeSet<String>]| tables.iter().flatten().cloned().collect::<BTreeSet<String>>();
    let names = |table: &[(&str, &[&str])]| table.iter().map(|(path, _)| (*path).to_owned()).collect::<BTreeSet<_>>();
    let plain = |table: &[&str]| table.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(routes("get"), listed(&[names(PAGES), plain(OTHERS)]));
    assert_eq!(routes("post"), listed(&[names(POSTS), plain(STRANGERS_POSTS), plain(OWN_PAGE_POSTS), plain(OF_KEYS)]));
}

on_both_databases! {
    async fn every_role_sees_the_pages_that_the_table_says_and_no_other(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.things().await;
        for role in ALL {
            let mut browser = app.signed_in(role, "").await;
            let draft = draft(&mut browser, "Nils Nord").await;
            for (path, may) in PAGES {
                let page = browser.get(&at(&app, path, &draft).await).await;
                let expected = if may.contains(&role) { 200 } else { 403 };
                assert_eq!(page.status, expected, "{role} {path} {}", page.html);
                assert_inert(path, &page.html);
                let headers = &page.headers;
                let policy = headers["content-security-policy"].to_str().unwrap();
                assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{path}: {policy}");
                assert_eq!(headers["cache-control"], "no-store", "{path}");
                assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
                assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
            }
        }
    }

    async fn every_role_does_what_the_table_says_and_nothing_else(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        for role in ALL {
            for (path, may) in POSTS {
                let mut browser = app.signed_in(role, "").await;
                app.invite(&format!("Eva {} {role}", app.desk.id()), "chief", "").await;
                app.key("chief", "").await;
                let page = browser.get("/account").await;
                let answer = browser.submit(&page, &at(&app, path, "none").await, &[("role", "chief")]).await;
                let is_refused = answer.status == 403;
                assert_eq!(is_refused, !may.contains(&role), "{role} {path} {} {}", answer.status, answer.html);
            }
        }
    }

    async fn nobody_sees_a_page_without_signing_in(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.invite("Kim Ek", "admin", "").await;
        for (path, _) in PAGES {
            let page = app.browser().get(&at(&app, path, "none").await).await;
            assert!(page.path.starts_with("/sign-in"), "{path} {}", page.html);
        }
    }

    async fn hostile_strings_lie_still_on_every_page(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.things().await;
        let hostile = "<script>alert(1)</script>\"><img src=x onerror=\"alert(1)\">{{7*7}}'\u{202e}";
        let mut session = app.desk.store.begin().await.unwrap();
        let new = NewOperator { name: hostile.into(), email: "o'ek@example.org".into(), role: "admin".into(), area: String::new() };
        let invited = operator::add(&app.desk, &mut session, &root(), &new).await.unwrap();
        let link = operator::demo_link(&app.desk, &mut session, &root(), &invited.operator).await.unwrap();
        grannpost::actions::key::add(&app.desk, &mut session, &root(), (hostile, "admin", "")).await.unwrap();
        grannpost::actions::pause::pause(&app.desk, &mut session, &root(), hostile).await.unwrap();
        session.commit().await.unwrap();
        let decided = json!({ "decided_by": hostile, "reason": hostile, "areas": ["2326"] });
        assert_eq!(app.api.post("/decisions", decided).await.status, 201);
        let person = json!({ "name": hostile, "municipality": "2326", "watch_area": "Hackås <b>", "address": hostile, "place": hostile,
            "note": hostile, "mobile": "070-174 06 33", "opt_outs": [{ "channel": "sms", "source": "<img src=x onerror=\"alert(1)\">" }] });
        for _ in 0..2 {
            let made = app.api.post("/contact-persons", person.clone()).await;
            assert_eq!(made.status, 201, "{}", made.text);
        }
        let alert = json!({ "text": hostile, "areas": ["2326"], "decided_by": hostile });
        let made = app.api.post("/alerts", alert).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let observation = app.observation_from("070-174 06 33", hostile).await;
        let edit = json!({ "tags": ["<img src=x>"], "place": hostile });
        let changed = app.api.patch(&format!("/observations/{observation}"), edit).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        let plain: String = hostile.chars().filter(|c| *c != '\u{202e}').take(90).collect();
        let letter = json!({ "subject": hostile, "body_markdown": hostile, "areas": ["2326"], "registry_number": plain,
            "subject_code": plain, "signature": { "name": plain, "title": plain },
            "copy_recipients": [{ "name": plain, "email": "bo@example.org" }] });
        let made = app.api.post("/letters", letter).await;
        assert_eq!(made.status, 201, "{}", made.text);
        app.strange_mail(hostile).await;
        let path = link.split_once("/sign-in/").unwrap().1;
        let path = format!("/sign-in/{path}");
        let mut browser = app.browser();
        let page = browser.get(&path).await;
        assert_inert(&path, &page.html);
        browser.submit(&page, &path, &[]).await;
        let draft = draft(&mut browser, hostile).await;
        for (path, _) in PAGES {
            let page = browser.get(&at(&app, path, &draft).await).await;
            assert_eq!(page.status, 200, "{path}");
            assert_inert(path, &page.html);
        }
        let next = url_of("/audit?actor=\"><script>alert(1)</script>&object=\"><script>&from=x&until=9999-12-31&after=\"");
        let page = browser.get(&next).await;
        assert_inert("/audit", &page.html);
        for path in ["/register?who=all", "/register?who=\"><script>x</script>&language=\"><script>x</script>", "/register/coverage?show=\"><script>x</script>"] {
            assert_inert(path, &browser.get(&url_of(path)).await.html);
        }
        let page = browser.get("/register").await;
        let page = browser.submit(&page, "/register", &[("q", hostile), ("who", hostile), ("language", hostile)]).await;
        assert_inert("/register", &page.html);
        let page = app.browser().get(&url_of("/sign-in?next=/\"><script>alert(1)</script>")).await;
        assert_inert("/sign-in", &page.html);
    }

    async fn style_and_script_are_kept_for_ever_under_names_of_their_content(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut browser = app.browser();
        let page = browser.get("/sign-in").await;
        for (mark, kind) in [("rel=\"stylesheet\" href=\"", "text/css; charset=utf-8"), ("src=\"", "text/javascript; charset=utf-8")] {
            let path = page.after(mark).unwrap();
            let asset = browser.get(&path).await;
            assert_eq!((asset.status.as_u16(), asset.headers["content-type"].to_str().unwrap()), (200, kind));
            assert_eq!(asset.headers["cache-control"], "public, max-age=31536000, immutable");
        }
        assert_eq!(browser.get("/assets/app.0000000000000000.css").await.status, 404);
    }
}

fn url_of(path: &str) -> String {
    path.replace('"', "%22").replace('<', "%3C").replace('>', "%3E")
}
