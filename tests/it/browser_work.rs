//! Stories in a real browser beyond alerts: a letter written and sent, the messy register imported with answers, and somebody who
//! tries to get in.

use std::time::Duration;

use crate::browser::{app, signed_in};
use crate::support::browser::PASSWORD;
use crate::support::webdriver::{ENTER, Look, Window};
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
    window.until_says("57").await;
    window.click("#paper").await;
    window.until_says("6").await;
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
