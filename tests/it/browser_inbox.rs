//! Stories in a real browser of those who answer: a ready answer, answers marked on the page of their alert, and the tone for
//! acute ones.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::{app, app_with, sent, signed_in};
use crate::support::webdriver::{Look, Window};
use crate::support::{Kind, TestApp};

const EVA: &str = "+46701740697";
const QUIET: &str = "replies.automatic = false";

/// What the browser's own means for sound are asked to begin, and how often htmx has put something in, stand at the root of the
/// page.
const COUNT: &str = "{ const count = (name) => { const { dataset } = document.documentElement; dataset[name] = Number(dataset[name] ?? 0) + 1; }; \
    const Real = window.AudioContext; \
    window.AudioContext = class extends Real { createOscillator() { const made = super.createOscillator(); \
    const start = made.start.bind(made); made.start = (...at) => { start(...at); count('tones'); }; return made; } }; \
    document.addEventListener('htmx:after:swap', (event) => event.target.closest?.('[data-urgent]') && count('swaps')); }";

/// What was counted so far.
async fn counted(window: &Window, name: &str) -> u64 {
    let found = window.run("return Number(document.documentElement.dataset[arguments[0]] ?? 0)", json!([name])).await;
    found.as_u64().unwrap()
}

/// Lets the banner be looked at twice more, as it is every five seconds.
async fn looked_at_again(window: &Window) {
    let look = "return htmx.ajax('GET', '/observations/urgent', { source: '[data-urgent]', target: '[data-urgent]', swap: 'innerMorph' }).then(() => null)";
    let before = counted(window, "swaps").await;
    for _ in 0..2 {
        window.run(look, json!([])).await;
    }
    assert!(counted(window, "swaps").await >= before + 2);
}

/// An answer that may be acute, a second after the one before.
async fn acute(app: &TestApp, number: usize) {
    app.advance(Duration::from_secs(1));
    app.observation_from(EVA, &format!("Han är här med kniv, nummer {number}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_acute_answer_sounds_once_where_somebody_has_asked_for_it() {
    let app = app_with(Kind::Sqlite, 2_000, QUIET).await;
    let window = signed_in(&app, "operator", Look::default()).await;
    window.run_first(COUNT).await;
    window.go("/observations").await;
    window.until("[data-sound]:not([hidden]) button:nth-child(2)[hidden]").await;
    acute(&app, 1).await;
    window.until_says("Ett svar kan vara akut").await;
    looked_at_again(&window).await;
    assert_eq!(counted(&window, "tones").await, 0, "it is off until somebody wants it");
    window.press("Ljud vid akuta svar: av").await;
    window.until("[data-sound] button:nth-child(2):not([hidden])").await;
    window.press("Prova ljudet").await;
    window.until("html[data-tones='1']").await;
    assert_eq!(window.violations().await, Vec::<String>::new());
    acute(&app, 2).await;
    window.until_says("2 svar kan vara akuta").await;
    window.until("html[data-tones='2']").await;
    assert!(window.title().await.starts_with("(2) "), "sound is never alone");
    looked_at_again(&window).await;
    assert_eq!(counted(&window, "tones").await, 2, "the old one is not told of again, nor the new one");
    window.go("/").await;
    window.until_says("2 svar kan vara akuta").await;
    looked_at_again(&window).await;
    assert_eq!(counted(&window, "tones").await, 0, "another page tells nothing again");
    // No browser lets sound out of a page that nobody has touched, and the page says so.
    window.until("[data-sound] [role=status]:not(:empty)").await;
    window.click("h1").await;
    window.until("[data-sound] [role=status]:empty").await;
    acute(&app, 3).await;
    acute(&app, 4).await;
    window.until_says("4 svar kan vara akuta").await;
    window.until("html[data-tones='2']").await;
    window.press("Ljud vid akuta svar: på").await;
    window.until("[data-sound] button:nth-child(2)[hidden]").await;
    window.go("/").await;
    acute(&app, 5).await;
    window.until_says("5 svar kan vara akuta").await;
    looked_at_again(&window).await;
    assert_eq!(counted(&window, "tones").await, 0, "it stays off");
    let without = signed_in(&app, "operator", Look { scripts: false, ..Look::default() }).await;
    without.go("/").await;
    without.until("[data-sound][hidden]").await;
    let chief = signed_in(&app, "chief", Look::default()).await;
    chief.go("/").await;
    chief.until("html[data-scripts]").await;
    assert!(!chief.text().await.contains("Ljud vid akuta svar"), "who does not work in the inbox hears nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_answer_is_put_into_the_field_and_counted_and_the_page_stays() {
    let app = app_with(Kind::Sqlite, 2_000, QUIET).await;
    let path = format!("/observations/{}", app.observation_from(EVA, "Röd bil").await);
    let window = signed_in(&app, "operator", Look::default()).await;
    let typed = async || window.run("return document.querySelector('#text').value", json!([])).await;
    window.go(&path).await;
    window.until("html[data-scripts]").await;
    window.click("#tag-traffic").await;
    window.press("Vi tar det vidare").await;
    window.until("#text:focus").await;
    window.until_says("113 tecken · 1 sms").await;
    window.press("Be personen ringa 112").await;
    let text = typed().await;
    assert!(text.as_str().unwrap().starts_with("Det du skriver om"), "one instead of the other: {text}");
    window.run("document.querySelector('#text').value = 'Hej Eva!'", json!([])).await;
    window.press("Fråga efter mer").await;
    let text = typed().await;
    assert!(text.as_str().unwrap().starts_with("Hej Eva!\nTack för ditt svar."), "after what was written: {text}");
    window.until("#tag-traffic:checked").await;
    assert_eq!(window.path().await, path);
    assert_eq!(app.gateway.journal().len(), 0);
    window.click("#send").await;
    window.until("main .pill--info").await;
    assert_eq!(app.api.get(&path).await.json["state"], "assessed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_marked_on_the_page_of_its_alert_and_nothing_moves_while_others_come() {
    let app = app_with(Kind::Sqlite, 2_000, QUIET).await;
    let window = signed_in(&app, "operator", Look::default()).await;
    let id = sent(&window).await;
    app.advance(Duration::from_secs(30));
    app.alert_when(&id, |alert| alert["counts"]["queued"] == 0 && alert["counts"]["sending"] == 0).await;
    let numbers: Vec<String> = app.gateway.journal().messages().into_iter().map(|sms| sms.to).take(3).collect();
    let observation = app.observation_from(&numbers[0], "Röd bil vid macken").await;
    window.go(&format!("/alerts/{id}")).await;
    let select = format!("#tag-{observation}");
    window.click(&format!("{select} option[value='traffic']")).await;
    window.until(&format!("{select}:focus")).await;
    let top = async || {
        window.run("return document.querySelector(arguments[0]).getBoundingClientRect().top", json!([select])).await
    };
    let before = top().await;
    app.advance(Duration::from_secs(1));
    app.observation_from(&numbers[1], "Blå bil i Duved").await;
    window.until_says("1 nytt svar").await;
    assert_eq!(top().await, before, "nothing jumps");
    window.until(&format!("{select}:focus")).await;
    assert_eq!(window.run("return document.activeElement.value", json!([])).await, "traffic");
    window.click(&format!("form:has({select}) button")).await;
    window.until_path(&format!("/alerts/{id}#answer-{observation}")).await;
    window.until(&format!("#answer-{observation}:focus")).await;
    window.until("#answers li .pill:not([class*='--'])").await;
    assert_eq!(app.api.get(&format!("/observations/{observation}")).await.json["tags"], json!(["traffic"]));
    window.until_says("Blå bil i Duved").await;
    let options = "return [...document.querySelectorAll(`${arguments[0]} option`)].map((one) => one.value)";
    assert_eq!(window.run(options, json!([select])).await, json!(["visibility", "youth_drugs", "violence", "theft"]));
    app.advance(Duration::from_secs(1));
    let newest = app.observation_from(&numbers[2], "Grön bil").await;
    window.until_says("1 nytt svar").await;
    window.run("scrollTo(0, 0)", json!([])).await;
    window.click("#new-answers").await;
    window.until(&format!("#answer-{newest}:focus")).await;
    assert_eq!(window.violations().await, Vec::<String>::new());
    window.click(&format!("#answers li:has({select}) a[href$='#text']")).await;
    window.until_path(&format!("/observations/{observation}#text")).await;
    window.until("#text:focus").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_marked_on_the_page_of_its_alert_without_scripts() {
    let app = app(2_000).await;
    let alert = json!({ "text": "Röd skåpbil söks", "areas": ["2321"], "decided_by": "Befäl", "undo_seconds": 0 });
    let made = app.api.post("/alerts", alert).await;
    let id = made.json["id"].as_str().unwrap().to_owned();
    app.alert_when(&id, |alert| alert["state"] == "done").await;
    let number = app.gateway.journal().messages().remove(0).to;
    let observation = app.observation_from(&number, "Röd bil vid macken").await;
    let window = signed_in(&app, "operator", Look { scripts: false, ..Look::default() }).await;
    window.go(&format!("/alerts/{id}")).await;
    window.click(&format!("#tag-{observation} option[value='theft']")).await;
    window.click(&format!("form:has(#tag-{observation}) button")).await;
    window.until("#answers li .pill:not([class*='--'])").await;
    assert!(window.path().await.starts_with(&format!("/alerts/{id}")));
    assert_eq!(app.api.get(&format!("/observations/{observation}")).await.json["tags"], json!(["theft"]));
    let tags: Value = app.api.get(&format!("/observations?alert_id={id}&tag=theft")).await.json;
    assert_eq!(tags["items"][0]["id"], observation.as_str());
}
