//! Stories in a real browser beyond alerts: a letter written and sent, the messy register imported with answers, the inbox worked
//! through by keyboard, and somebody who tries to get in.

use std::time::Duration;

use crate::browser::{app, signed_in};
use crate::support::browser::PASSWORD;
use crate::support::webdriver::{CONTROL, ENTER, Look, RELEASE, Window};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_written_looked_at_tried_confirmed_and_sent() {
    let app = app(2_000).await;
    let window = signed_in(&app, "chief", Look::default()).await;
    window.go("/letters").await;
    window.press("Nytt brev").await;
    window.until_path("/letters/new").await;
    window.press("Spara och förhandsgranska").await;
    window.until(".fault-summary:focus").await;
    window.until_says("Det finns ett problem").await;
    window.fill("#subject", "Höstens inbrott").await;
    window.fill("#body_markdown", "Hej!\n\n## Läget\n\n- Lås båten.\n- Ring **112** när det händer.").await;
    window.fill("#registry_number", "A378.812/2016").await;
    window.fill("#signature_name", "Anna Hedin").await;
    window.fill("#signature_title", "Tf områdeschef").await;
    window.click("#area-2326").await;
    window.until(".figure__number").await;
    window.until_says("57får det med e-post").await;
    window.press("Spara och förhandsgranska").await;
    let path = window.until_path("/letters/0").await;
    window.until("iframe[src$='/mail']").await;
    window.click("#test").await;
    window.until_says("Provet").await;
    app.mail.journal().wait_for(1).await;
    window.click("#confirm").await;
    window.until("h1:focus").await;
    window.until_says("57 kontaktombud med e-post och 6 på papper").await;
    window.click("#send").await;
    assert_eq!(window.until_path(&path).await, path);
    window.until("[data-undo]").await;
    app.advance(Duration::from_secs(61));
    app.mail.journal().wait_for(1 + 57).await;
    window.until_says("57av 57 skickade med e-post").await;
    window.click("#paper").await;
    window.until_says("6 brev, ett på varje ark").await;
    assert_eq!(app.verify().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_messy_register_is_imported_with_answers_and_taken_back() {
    let app = app(2_000).await;
    let window = signed_in(&app, "admin", Look::default()).await;
    let file = std::fs::canonicalize("tests/data/register-messy.csv").unwrap();
    window.go("/register/import").await;
    window.fill("#file", file.to_str().unwrap()).await;
    window.press("Läs in filen").await;
    window.until_says("UTF-8 med BOM, semikolon, 60 rader").await;
    window.press("Förhandsgranska").await;
    window.until_says("Nya 32 · Ändrade 1 · Oförändrade 1 · Behöver svar 21").await;
    window.click("#answer-8-import").await;
    window.run("document.querySelector(\"input[name='field.8.mobile']\").value = ''", json!([])).await;
    window.fill("input[name='field.8.mobile']", "070-174 50 08").await;
    window.click("#answer-11-import").await;
    window.click("#store").await;
    window.until_says("Importen är sparad.").await;
    window.until_says("Nya 34").await;
    assert_eq!(app.api.get("/contact-persons?q=0701745011").await.json["items"].as_array().unwrap().len(), 1);
    window.press("Ångra hela importen").await;
    window.until_says("Hela importen är ångrad.").await;
    assert_eq!(app.api.get("/contact-persons?q=0701745011").await.json["items"].as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_is_slowed_down_and_the_right_person_still_comes_in() {
    let app = app(2_000).await;
    let account = app.enrolled("Kim Ek", "operator", "").await;
    let thief = Window::open(&app).await;
    let tried = async |window: &Window, email: &str, password: &str, code: &str| {
        window
            .run("for (const id of ['email', 'password', 'code']) document.getElementById(id).value = ''", json!([]))
            .await;
        window.fill("#email", email).await;
        window.fill("#password", password).await;
        window.fill("#code", code).await;
        window.keys(ENTER).await;
    };
    thief.go("/sign-in").await;
    let mut said = Vec::new();
    for email in [account.email.as_str(), "nobody@example.org"] {
        tried(&thief, email, "gissat lösenord igen", "123456").await;
        thief.until(".fault-summary:focus").await;
        said.push(thief.run("return document.querySelector('.fault-summary').innerText", json!([])).await);
    }
    assert_eq!(said[0], said[1], "nothing tells which address exists");
    let mut page = String::new();
    for guess in 0..60 {
        tried(&thief, &account.email, "gissat lösenord igen", &format!("{guess:06}")).await;
        thief.until(".fault-summary:focus").await;
        page = thief.run("return document.documentElement.outerHTML", json!([])).await.as_str().unwrap().to_owned();
        if page.contains("för många försök") {
            break;
        }
    }
    assert!(page.contains("Det har blivit för många försök. Vänta"), "{page}");
    assert!(!page.contains("gissat lösenord"), "what was typed as password never stands on a page");
    // Kim has signed in from their own browser before: the guesses of others do not lock it out.
    let owner = Window::of(&app, &account.browser, Look::default()).await;
    owner.go("/").await;
    owner.until_says("Läget nu").await;
    owner.press("Logga ut").await;
    owner.until("#email").await;
    tried(&owner, &account.email, PASSWORD, &app.next_code(&account.secret)).await;
    owner.until_says("Läget nu").await;
}

/// Three answers, the newest first.
async fn three_answers(app: &crate::support::TestApp) -> Vec<String> {
    let mut ids = Vec::new();
    for (number, text) in [("+46701740697", "Blå bil"), ("+46701740698", "Röd bil"), ("+46701740699", "Ingen bil")] {
        app.advance(Duration::from_secs(1));
        ids.insert(0, app.observation_from(number, text).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_is_worked_through_by_keyboard_and_what_was_done_is_undone() {
    let app = app(2_000).await;
    let ids = three_answers(&app).await;
    let [newest, middle, oldest] = [0, 1, 2].map(|at| format!("[data-row='{}']", ids[at]));
    let observation = async || app.api.get(&format!("/observations/{}", ids[1])).await.json;
    let window = signed_in(&app, "operator", Look::default()).await;
    window.go("/observations").await;
    window.until("#keys:not([hidden])").await;
    window.keys("a").await;
    window.until_says("Gå till ett svar först").await;
    for (key, focused) in
        [("j", &newest), ("k", &newest), ("j", &middle), ("j", &oldest), ("j", &oldest), ("k", &middle)]
    {
        window.keys(key).await;
        window.until(&format!("{focused} a:focus")).await;
    }
    window.keys(&format!("{CONTROL}e{RELEASE}")).await;
    window.keys("a").await;
    window.until(&format!("{middle}[data-take^='operator:'][data-archive='no'] a:focus")).await;
    window.until_says("tagen av dig.").await;
    assert!(observation().await["owner"].as_str().unwrap().starts_with("operator:"));
    window.keys("2").await;
    window.until(&format!("{middle}[data-tag='traffic'] a:focus")).await;
    assert_eq!(observation().await["tags"], json!(["traffic"]));
    window.until_says("märkt Trafik.").await;
    window.keys("z").await;
    window.until(&format!("{middle}[data-tag=''] a:focus")).await;
    assert_eq!(observation().await["tags"], json!([]));
    window.until_says("ångrat.").await;
    window.keys("e").await;
    window.until(&format!("main:not(:has({middle})) {oldest} a:focus")).await;
    window.until_says("undanlagd.").await;
    assert!(observation().await["archived_at"].is_string());
    assert_eq!(window.violations().await, Vec::<String>::new());
    window.keys("z").await;
    window.until(&format!("{middle} a:focus")).await;
    assert!(observation().await["archived_at"].is_null());
    window.keys("t").await;
    window.until("#tag-visibility:focus").await;
    window.go("/observations").await;
    window.keys("j").await;
    window.keys("j").await;
    window.keys(ENTER).await;
    window.until_path(&format!("/observations/{}", ids[1])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_act_on_an_answer_but_not_in_a_field_and_not_when_they_are_turned_off() {
    let app = app(2_000).await;
    let ids = three_answers(&app).await;
    let window = signed_in(&app, "operator", Look::default()).await;
    let path = format!("/observations/{}", ids[0]);
    let typed = async || window.run("return document.querySelector('#text').value", json!([])).await;
    window.go(&path).await;
    window.until("#keys:not([hidden])").await;
    window.keys("r").await;
    window.until("#text:focus").await;
    window.keys("ae1zr?").await;
    assert_eq!(typed().await, "ae1zr?");
    window.until("[data-recount][hidden]").await;
    window.until_says("6 tecken · 1 sms").await;
    window.keys(&"€".repeat(155)).await;
    window.until_says("316 tecken · 3 sms").await;
    window.until("#tag-visibility:not(:checked)").await;
    let before = app.api.get(&path).await.json;
    assert!(before["owner"].is_null() && before["archived_at"].is_null(), "{before:#}");
    window.run("document.activeElement.blur()", json!([])).await;
    window.keys("1").await;
    window.until("#tag-visibility:checked").await;
    window.keys("?").await;
    window.until("#keys[open]").await;
    window.keys("a").await;
    window.until_says("Lämna den ifrån dig").await;
    window.keys("e").await;
    window.until_says("Ta fram igen").await;
    window.click("#keys > summary").await;
    window.click("#keys-on").await;
    window.go("/observations").await;
    window.until("#keys:not([hidden]) #keys-on:not(:checked)").await;
    window.keys("j").await;
    assert_eq!(window.run("return document.activeElement === document.body", json!([])).await, true);
    let without = signed_in(&app, "operator", Look { scripts: false, ..Look::default() }).await;
    for page in ["/observations", &path] {
        without.go(page).await;
        without.until("#keys[hidden]").await;
        assert!(!without.text().await.contains("Kortkommandon"), "nothing is promised that does not work");
    }
}
