//! Passing an alert on from the own page in a browser: copied, handed to another app, printed, and what is said when that fails.

use serde_json::json;

use crate::support::webdriver::{Look, Window};
use crate::support::{Kind, TestApp};

/// Apps of a telephone: they take a text, or refuse it.
const APPS: &str = "window.taken = [];
    const take = (how) => async (what) => {
      if (window.refuses) throw new DOMException('no', window.refuses);
      window.taken.push([how, what.text ?? what]);
    };
    Object.defineProperty(navigator, 'share', { value: take('shared') });
    Object.defineProperty(navigator, 'clipboard', { value: { writeText: take('copied') } });
    window.print = () => { window.taken.push(['printed', location.pathname]); };";

impl Window {
    /// What apps and printer have taken, once it is so much.
    async fn until_taken(&self, count: u64) -> serde_json::Value {
        let script = "const [count, done] = arguments; const look = () => window.taken.length >= count ? done(window.taken) : setTimeout(look, 20); look();";
        self.answer(script, json!([count])).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_copied_handed_to_another_app_and_printed() {
    let app = TestApp::with_two_persons(Kind::Sqlite, "").await;
    let id = app.alert(&["2326"], json!({ "spread": "households" })).await;
    let browser = app.at_own_page("2326@example.org").await;
    let window = Window::of(&app, &browser, Look { width: 320, height: 640, ..Look::default() }).await;
    window.run_first(APPS).await;
    window.go("/min-sida").await;
    window.find_shown("[data-shares]").await;
    let text = window.run("return document.querySelector('textarea[readonly]').value", json!([])).await;
    assert!(text.as_str().unwrap().contains("Röd skåpbil söks"), "{text}");
    window.click("[data-copies]").await;
    window.until_says("Texten är kopierad.").await;
    window.click("[data-shares]").await;
    assert_eq!(window.until_taken(2).await, json!([["copied", text], ["shared", text]]));

    // Who closes the list of apps has not failed; who may not copy is told what to do instead.
    window.run("window.refuses = 'AbortError'", json!([])).await;
    window.click("[data-shares]").await;
    window.until_says("Texten är kopierad.").await;
    window.run("window.refuses = 'NotAllowedError'", json!([])).await;
    window.click("[data-copies]").await;
    window.until_says("Det gick inte. Markera texten och kopiera den.").await;
    let marked = "const text = document.querySelector('textarea[readonly]'); return text.selectionEnd - text.selectionStart === text.value.length";
    assert_eq!(window.run(marked, json!([])).await, true, "it is marked already");

    window.press("Skriv ut anslag").await;
    let poster = window.until_path("/min-sida/anslag/").await;
    assert_eq!(poster, format!("/min-sida/anslag/{id}"));
    window.press("Skriv ut").await;
    assert_eq!(window.until_taken(1).await, json!([["printed", poster]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_cannot_hand_on_shows_no_button_for_it() {
    let app = TestApp::with_two_persons(Kind::Sqlite, "").await;
    app.alert(&["2326"], json!({ "spread": "households" })).await;
    let browser = app.at_own_page("2326@example.org").await;
    let window = Window::of(&app, &browser, Look::default()).await;
    window.run_first("Object.defineProperty(navigator, 'share', { value: undefined });").await;
    window.go("/min-sida").await;
    window.find_shown("[data-copies]").await;
    let is_hidden = "return document.querySelector('[data-shares]').hidden";
    assert_eq!(window.run(is_hidden, json!([])).await, true);
}
