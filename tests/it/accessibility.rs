//! What every page must be, seen by a real browser: free of faults that axe finds in either theme, and never wider than a phone.

use std::time::Duration;

use crate::browser::{app, app_with, sent, signed_in};
use crate::support::Kind;
use crate::support::browser::PASSWORD;
use crate::support::webdriver::{ENTER, Look, Window};
use grannpost::domain::delivery::Channel;
use grannpost::simulator::ReceiptPlan;
use serde_json::json;

/// What is wrong with a page as it stands, in both themes and as narrow as a phone, is added to `found`.
async fn look_through(window: &Window, name: &str, found: &mut Vec<String>) {
    window.until("h1").await;
    for theme in ["light", "dark"] {
        window.show_in(theme).await;
        found.extend(window.violations().await.into_iter().map(|line| format!("{name}, {theme}: {line}")));
    }
    window.resize(320, 640).await;
    let script = "const wide = document.documentElement.scrollWidth; if (wide <= 320) return ''; \
        return [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > 320 && \
        !one.closest('.table-wrap, svg, .only-read')).slice(0, 3).map((one) => one.outerHTML.slice(0, 80)).join(' | ') || String(wide)";
    let wide = window.run(script, json!([])).await;
    if wide != "" {
        found.push(format!("{name} is wider than 320 px: {wide}"));
    }
    window.resize(1_280, 900).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_on_the_pages_of_administration_and_of_oneself() {
    let app = app(2_000).await;
    let window = signed_in(&app, "admin", Look::default()).await;
    let mut found = Vec::new();
    let pages = [
        "/",
        "/alerts",
        "/alerts/new",
        "/alerts/new?drill=yes",
        "/decisions",
        "/audit",
        "/account",
        "/account/password",
        "/admin/operators",
        "/admin/operators/new",
        "/admin/keys",
        "/admin/keys/new",
        "/admin/gateways",
        "/admin/health",
        "/admin/retention",
        "/tillganglighet",
        "/admin/resume",
        "/nowhere",
    ];
    for page in pages {
        window.go(page).await;
        look_through(&window, page, &mut found).await;
    }
    let observation = app.observation_from("+46701740699", "Han är här med kniv, ABC123 kl. 02.15").await;
    for page in
        ["/", "/observations", "/observations?list=unknown", &format!("/observations/{observation}?person=berg")]
    {
        window.go(page).await;
        look_through(&window, page, &mut found).await;
    }
    window.click("#keys > summary").await;
    look_through(&window, "an observation with its keys", &mut found).await;
    let by_mail = app.observation_by(Channel::Email, "nils@example.org", "Röd bil\n\nDen stod vid macken.").await;
    for (observation, name) in [(&observation, "an answered observation"), (&by_mail, "an answered mail")] {
        for kind in ["answer", "feedback"] {
            let reply = json!({ "text": "Tack, vi åker dit.", "kind": kind });
            let sent = app.api.post(&format!("/observations/{observation}/reply"), reply).await;
            assert_eq!(sent.status, 201, "{}", sent.text);
        }
        window.go(&format!("/observations/{observation}")).await;
        window.until(".answered + .answered").await;
        look_through(&window, name, &mut found).await;
    }
    window.press("Fråga efter mer").await;
    look_through(&window, "an observation with a ready answer", &mut found).await;
    window.go("/observations?list=all&area=2321&alert=x&channel=sms").await;
    look_through(&window, "the inbox narrowed", &mut found).await;
    window.press("Ljud vid akuta svar").await;
    window.until("[data-sound] button:nth-child(2):not([hidden])").await;
    look_through(&window, "a page with sound on", &mut found).await;
    window.go("/admin/operators").await;
    window.click("main td a, main th a").await;
    look_through(&window, "one operator", &mut found).await;
    window.go("/admin/keys/new").await;
    window.click("main button[type=submit]").await;
    look_through(&window, "a key that lacks its name", &mut found).await;
    // As it stands after a restore, with what must be done again and what could not be.
    let mut session = app.desk.store.begin().await.unwrap();
    grannpost::store::backup::mark_restored(&mut session, app.clock.now_ms()).await.unwrap();
    session.commit().await.unwrap();
    for page in ["/", "/admin/resume"] {
        window.go(page).await;
        look_through(&window, &format!("{page} of a restored database"), &mut found).await;
    }
    window.click("main button[type=submit]").await;
    look_through(&window, "what came of resuming a restored database", &mut found).await;
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_on_the_pages_of_register_and_letters() {
    let app = app(2_000).await;
    let window = signed_in(&app, "admin", Look::default()).await;
    let mut found = Vec::new();
    let pages = [
        "/register",
        "/register?who=all",
        "/register/coverage",
        "/register/duplicates",
        "/register/calls",
        "/register/mail",
        "/register/export",
        "/register/import",
        "/register/persons/new",
        "/letters",
        "/letters/new",
    ];
    for page in pages {
        window.go(page).await;
        look_through(&window, page, &mut found).await;
    }
    let mail = app.strange_mail("Vem är ni? Hälsningar från någon").await;
    window.go(&format!("/register/mail/{mail}")).await;
    window.until_says("Vem är ni?").await;
    look_through(&window, "an opened mail", &mut found).await;
    window.go("/register/mail").await;
    look_through(&window, "a tray with a mail", &mut found).await;
    window.go("/register").await;
    window.fill("#q", "järpen").await;
    window.click("#found a[href^='/register/persons/']").await;
    window.until_path("/register/persons/").await;
    look_through(&window, "one person", &mut found).await;
    let person = window.path().await;
    window.go(&format!("{person}/end")).await;
    look_through(&window, "a person who leaves", &mut found).await;
    window.go(&format!("{person}/hand-over")).await;
    look_through(&window, "a mission to be handed over", &mut found).await;
    window.press("Visa vad som händer").await;
    window.until_says("Det finns ett problem").await;
    look_through(&window, "a mission without a successor", &mut found).await;
    window.fill("#name", "Siv Sund").await;
    window.press("Visa vad som händer").await;
    window.until_says("Siv Sund läggs till").await;
    look_through(&window, "what handing over would do", &mut found).await;
    window.go("/register/calls").await;
    window.press("Hur gick det?").await;
    look_through(&window, "how a call went", &mut found).await;
    let twin =
        json!({ "name": "Siv Grönlund", "mobile": "070-174 50 24", "municipality": "2326", "watch_area": "Hackås" });
    for _ in 0..2 {
        assert_eq!(app.api.post("/contact-persons", twin.clone()).await.status, 201);
    }
    window.go("/register/duplicates").await;
    look_through(&window, "a pair", &mut found).await;
    window.click("main table a[href^='/register/duplicates/']").await;
    window.until_path("/register/duplicates/").await;
    look_through(&window, "two records side by side", &mut found).await;
    window.go("/register/import").await;
    let file = std::fs::canonicalize("tests/data/register-messy.csv").unwrap();
    window.fill("#file", file.to_str().unwrap()).await;
    window.press("Läs in filen").await;
    window.until_says("60 rader").await;
    look_through(&window, "how a file is read", &mut found).await;
    window.press("Förhandsgranska").await;
    window.until_says("Behöver svar 21").await;
    look_through(&window, "what a file would change", &mut found).await;
    window.click("#store").await;
    window.until_path("/register/imports/").await;
    look_through(&window, "what a file changed", &mut found).await;
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_on_the_ways_in() {
    let app = app(2_000).await;
    let mut found = Vec::new();
    let window = Window::open(&app).await;
    window.go("/sign-in").await;
    let spoil =
        "document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"/x\" width=\"900\" height=\"9\">')";
    window.run(spoil, json!([])).await;
    look_through(&window, "spoilt", &mut found).await;
    assert!(found.len() == 3 && found[0].contains("image-alt") && found[2].contains("320 px"), "{found:#?}");
    found.clear();
    window.go("/sign-in").await;
    look_through(&window, "sign-in", &mut found).await;
    window.fill("#email", "kim@example.org").await;
    window.fill("#password", "fel lösenord helt och hållet").await;
    window.fill("#code", "123456").await;
    window.keys(ENTER).await;
    window.until(".fault-summary:focus").await;
    look_through(&window, "sign-in refused", &mut found).await;
    let (_, link) = app.invite("Eva Ek", "operator", "").await;
    window.go(&link).await;
    look_through(&window, "one-time link", &mut found).await;
    window.click("main button[type=submit]").await;
    window.until_path("/enrol").await;
    look_through(&window, "enrolment", &mut found).await;
    let secret = window.run("return document.querySelector('.secret').textContent", json!([])).await;
    window.fill("#password", PASSWORD).await;
    window.fill("#repeated", PASSWORD).await;
    window.fill("#code", &app.code(&secret.as_str().unwrap().replace(' ', ""))).await;
    window.keys(ENTER).await;
    window.until(".codes").await;
    look_through(&window, "recovery codes", &mut found).await;
    window.go("/").await;
    window.press("Byt operatör").await;
    window.until_path("/shift").await;
    look_through(&window, "change of shift", &mut found).await;
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_on_a_contact_persons_own_pages() {
    let app = app(2_000).await;
    let person = app.api.get("/contact-persons?q=example&limit=200").await.json;
    let person = person["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["email"] != json!(null) && one["mobile"] != json!(null));
    let person = person.unwrap();
    let municipality = person["municipality"].as_str().unwrap();
    let alert = json!({ "text": "Röd skåpbil söks", "areas": [municipality], "decided_by": "Befäl", "spread": "households", "undo_seconds": 0 });
    let id = app.api.post("/alerts", alert).await.json["id"].as_str().unwrap().to_owned();
    app.alert_when(&id, |alert| alert["counts"]["queued"] == 0).await;
    let mut found = Vec::new();
    let stranger = Window::open(&app).await;
    for page in ["/min-sida", "/min-sida/lank/x"] {
        stranger.go(page).await;
        look_through(&stranger, page, &mut found).await;
    }
    let browser = app.at_own_page(person["email"].as_str().unwrap()).await;
    let window = Window::of(&app, &browser, Look::default()).await;
    let poster = format!("/min-sida/anslag/{id}");
    let pages = [
        "/min-sida",
        &poster,
        "/min-sida/svar",
        "/min-sida/brev",
        "/min-sida/uppgifter",
        "/min-sida/utdrag",
        "/min-sida/avsluta",
        "/min-sida/brev/x",
    ];
    for page in pages {
        window.go(page).await;
        look_through(&window, page, &mut found).await;
    }
    window.go("/min-sida/uppgifter").await;
    window.fill("#households", "många").await;
    window.click("form[action='/min-sida/uppgifter'] button").await;
    window.until(".fault-summary:focus").await;
    look_through(&window, "wrong details", &mut found).await;
    window.go("/min-sida").await;
    window.fill("#text", "Röd bil").await;
    window.press("Skicka till polisen").await;
    window.until_says("har kommit in").await;
    window.go("/min-sida/svar").await;
    look_through(&window, "told", &mut found).await;
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_on_an_alert_in_any_state() {
    let app = app(40).await;
    app.gateway.change(|behaviour| {
        behaviour.receipts = ReceiptPlan { delivered: 0.6, failed: 0.4, ..ReceiptPlan::default() };
    });
    let window = signed_in(&app, "operator", Look::default()).await;
    let mut found = Vec::new();
    window.go("/alerts/new").await;
    window.press("Granska och bekräfta").await;
    window.until(".fault-summary:focus").await;
    look_through(&window, "composer with faults", &mut found).await;
    window.go("/alerts/new").await;
    window.click("#area-2380").await;
    window.fill("#text", "Skåpbil ”Volvo” söks i Järpen").await;
    window.until_says("är inte valt").await;
    look_through(&window, "composer with warnings", &mut found).await;
    window.click("#spread-only").await;
    window.click("#decided-1").await;
    window.press("Granska och bekräfta").await;
    window.until("#proof").await;
    look_through(&window, "confirmation of a wide alert", &mut found).await;
    window.click(".button--send").await;
    window.until("#proof-fault").await;
    look_through(&window, "confirmation refused", &mut found).await;
    let id = sent(&window).await;
    look_through(&window, "alert that can be undone", &mut found).await;
    app.advance(Duration::from_secs(11));
    window.until_says("Skickas").await;
    look_through(&window, "alert under way", &mut found).await;
    app.alert_when(&id, |alert| alert["state"] == "done").await;
    window.until_says("Inte framme").await;
    look_through(&window, "alert that is done", &mut found).await;
    let number = app.gateway.journal().messages().remove(0).to;
    app.observation_from(&number, "Han är här med kniv").await;
    window.go(&format!("/alerts/{id}")).await;
    window.until("#answers select").await;
    look_through(&window, "alert that was answered", &mut found).await;
    for page in ["/calls", "/follow-up?kind=all_clear", "/follow-up?kind=update"] {
        window.go(&format!("/alerts/{id}{page}")).await;
        look_through(&window, page, &mut found).await;
    }
    sent(&window).await;
    window.click("#stop").await;
    window.until_says("240 stoppades").await;
    look_through(&window, "alert that was stopped", &mut found).await;
    window.go("/alerts").await;
    look_through(&window, "list of alerts", &mut found).await;
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_while_a_colleague_reviews() {
    let app = app_with(Kind::Sqlite, 2_000, "alerts.approval = \"always\"").await;
    let author = signed_in(&app, "operator", Look::default()).await;
    let mut found = Vec::new();
    let id = sent(&author).await;
    look_through(&author, "author of what awaits approval", &mut found).await;
    author.press("Kan inte vänta").await;
    author.click("#unreviewed").await;
    author.until("#reason-fault").await;
    look_through(&author, "break-glass without a reason", &mut found).await;
    let colleague = signed_in(&app, "chief", Look::default()).await;
    colleague.go(&format!("/alerts/{id}")).await;
    look_through(&colleague, "colleague", &mut found).await;
    colleague.fill("#return-reason", "Skriv var").await;
    colleague.click("#return").await;
    colleague.until_says("skickade tillbaka det").await;
    author.go(&format!("/alerts/{id}")).await;
    look_through(&author, "returned", &mut found).await;
    assert_eq!(found, Vec::<String>::new());
}
