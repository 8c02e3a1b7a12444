//! Stories in a real browser: an alert by mouse, by keyboard and without scripts, what people do wrong with one, a passkey; how
//! light the first view is; and the pictures of the README.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::browser::{Account, PASSWORD};
use crate::support::webdriver::{CONTROL, ENTER, ESCAPE, Look, RELEASE, SPACE, TAB, Window};
use crate::support::{Kind, TestApp, free_port};
use grannpost::simulator::ReceiptPlan;
use serde_json::json;

/// What every story writes.
const TEXT: &str = "Röd skåpbil söks i Järpen";

/// An app with the sample register whose gateway takes this many a second.
pub async fn app(rate: u32) -> TestApp {
    app_with(Kind::Sqlite, rate, "").await
}

pub async fn app_with(kind: Kind, rate: u32, more: &str) -> TestApp {
    let app = TestApp::spawn_with(kind, &format!("sms.gateways.elks.rate_per_second = {rate}\n{more}")).await;
    app.load_sample().await;
    app
}

pub async fn signed_in(app: &TestApp, role: &str, look: Look) -> Window {
    let browser = app.signed_in(role, "").await;
    Window::of(app, &browser, look).await
}

/// Writes an alert to Krokom and Åre with the mouse and comes to the page that asks.
async fn composed(window: &Window) {
    window.go("/alerts/new").await;
    window.click("#area-2321").await;
    window.click("#area-2309").await;
    window.fill("#text", TEXT).await;
    window.click("#spread-households").await;
    window.click("#decided-1").await;
    window.press("Granska och bekräfta").await;
    window.until_says("Bekräfta och skicka").await;
}

/// Sends one and stands on its page.
pub async fn sent(window: &Window) -> String {
    composed(window).await;
    window.click(".button--send").await;
    let path = window.until_path("/alerts/0").await;
    path.strip_prefix("/alerts/").unwrap().to_owned()
}

/// How many alerts there are.
async fn alerts(app: &TestApp) -> usize {
    app.api.get("/alerts").await.json["items"].as_array().unwrap().len()
}

/// What an operator does, counted: a click, a key, a typed word.
#[derive(Debug)]
struct Counted<'a> {
    window: &'a Window,
    acts: AtomicU32,
}

impl Counted<'_> {
    fn count(&self, acts: usize) {
        self.acts.fetch_add(u32::try_from(acts).unwrap(), Ordering::Relaxed);
    }

    async fn press(&self, name: &str) {
        self.count(1);
        self.window.press(name).await;
    }

    async fn click(&self, css: &str) {
        self.count(1);
        self.window.click(css).await;
    }

    async fn words(&self, words: &str) {
        self.count(words.split(' ').count());
        self.window.keys(words).await;
    }

    async fn key(&self, key: &str) {
        self.count(1);
        self.window.keys(key).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_goes_from_sign_in_to_delivered_in_twelve_actions() {
    let app = app_with(Kind::Postgres, 2_000, "").await;
    let account = app.enrolled("Kim Ek", "operator", "").await;
    let window = Window::open(&app).await;
    window.go("/").await;
    window.fill("#email", &account.email).await;
    window.fill("#password", PASSWORD).await;
    window.fill("#code", &app.next_code(&account.secret)).await;
    window.press("Logga in").await;
    window.until_says("Läget nu").await;
    let operator = Counted { window: &window, acts: AtomicU32::new(0) };
    window.press("Nytt sms-utskick").await;
    window.until("#filter:focus").await;
    // The composer is open: from here to what is sent.
    operator.press("Inbrott").await;
    window.until("input[name=slot]").await;
    window.until("#filter:focus").await;
    operator.words("åre, krokom").await;
    operator.key(ENTER).await;
    operator.click("input[name=slot]").await;
    operator.words("Järpen").await;
    operator.key(TAB).await;
    operator.words("skåpbil").await;
    operator.click("#spread-households").await;
    operator.click("#decided-1").await;
    window.until_says("240").await;
    window.until_says("Inbrott har nyss skett vid Järpen").await;
    operator.key(&format!("{CONTROL}{ENTER}{RELEASE}")).await;
    operator.press("Skicka sms till 240 i Krokom och Åre").await;
    let acts = operator.acts.load(Ordering::Relaxed);
    assert!(acts <= 12, "{acts} actions");
    let path = window.until_path("/alerts/0").await;
    window.until_says("Går i väg om").await;
    assert_eq!(app.gateway.journal().len(), 0, "nothing has left while it can be undone");
    app.advance(Duration::from_secs(11));
    window.until_says("Klart").await;
    window.until_says("kontaktombud nådda av 240 sms").await;
    assert_eq!(window.path().await, path, "the figures came by themselves");
    assert_eq!(app.gateway.journal().len(), 240);
    assert_eq!(app.verify().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_sent_and_undone_by_keyboard_only() {
    let app = app(2_000).await;
    let account = app.enrolled("Kim Ek", "operator", "").await;
    let window = Window::open(&app).await;
    window.go("/").await;
    window.until("#email:focus").await;
    window.keys(&account.email).await;
    window.tab_to("#password").await;
    window.keys(PASSWORD).await;
    window.tab_to("#code").await;
    window.keys(&app.next_code(&account.secret)).await;
    window.keys(ENTER).await;
    window.until_says("Läget nu").await;
    window.tab_to("nav a[href='/alerts/new']").await;
    window.keys(ENTER).await;
    for place in ["åre", "krokom"] {
        window.until("#filter:focus").await;
        window.keys(place).await;
        window.keys(ENTER).await;
    }
    window.tab_to("#text").await;
    window.keys(TEXT).await;
    window.tab_to("#spread-households").await;
    window.keys(SPACE).await;
    window.tab_to("#decided-1").await;
    window.keys(SPACE).await;
    window.keys(&format!("{CONTROL}{ENTER}{RELEASE}")).await;
    window.until("h1:focus").await;
    window.until_says("Bekräfta och skicka").await;
    window.tab_to(".button--send").await;
    window.keys(ENTER).await;
    window.until_says("Går i väg om").await;
    window.keys(ESCAPE).await;
    window.until_says("240 stoppades. 0 var redan lämnade").await;
    window.tab_to("a[href^='/alerts/new?from=']").await;
    window.keys(ENTER).await;
    window.until_path("/alerts/new?from=").await;
    window.keys(&format!("{CONTROL}{ENTER}{RELEASE}")).await;
    window.until_says("Bekräfta och skicka").await;
    window.tab_to(".button--send").await;
    window.keys(ENTER).await;
    window.until_says("Går i väg om").await;
    app.advance(Duration::from_secs(11));
    window.until_says("Klart").await;
    assert_eq!(app.gateway.journal().len(), 240);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_sent_with_scripts_off() {
    let app = app(2_000).await;
    let window = signed_in(&app, "operator", Look { scripts: false, ..Look::default() }).await;
    window.go("/alerts/new").await;
    window.until("html:not([data-scripts])").await;
    window.press("Granska och bekräfta").await;
    window.until_says("Välj minst ett område").await;
    window.click("#area-2321").await;
    window.click("#area-2309").await;
    window.fill("#text", TEXT).await;
    window.press("Räkna om").await;
    window.until_says("15 nås inte").await;
    window.click("#spread-households").await;
    window.click("#decided-1").await;
    window.press("Granska och bekräfta").await;
    window.press("Skicka sms till 240 i Krokom och Åre").await;
    let path = window.until_path("/alerts/0").await;
    window.until_says("Går i väg om").await;
    app.advance(Duration::from_secs(11));
    app.alert_when(path.strip_prefix("/alerts/").unwrap(), |alert| alert["state"] == "done").await;
    // The page comes anew by itself every five seconds.
    window.until_says("Klart").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_is_kept_and_the_next_shift_goes_on_with_it() {
    let app = app(2_000).await;
    let kim = app.enrolled("Kim Ek", "operator", "").await;
    let eva = app.enrolled("Eva Ek", "operator", "").await;
    let window = Window::open(&app).await;
    let sign_in = async |account: &Account| {
        window.fill("#email", &account.email).await;
        window.fill("#password", PASSWORD).await;
        window.fill("#code", &app.next_code(&account.secret)).await;
    };
    window.go("/sign-in?next=%2Falerts%2Fnew").await;
    sign_in(&kim).await;
    window.press("Logga in").await;
    window.until("#filter:focus").await;
    window.keys("åre").await;
    window.keys(ENTER).await;
    window.fill("#text", TEXT).await;
    window.until_says("Utkastet sparades").await;
    window.until_path("/alerts/new?draft=").await;
    window.press("Byt operatör").await;
    window.until_path("/shift").await;
    window.run("document.querySelector('#email').value = ''", json!([])).await;
    sign_in(&eva).await;
    window.keys(ENTER).await;
    window.until_path("/alerts/new?draft=").await;
    window.until_says("Kim Ek skrev i utkastet").await;
    window.until("#area-2321:checked").await;
    assert_eq!(window.run("return document.querySelector('#text').value", json!([])).await, TEXT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_click_and_the_way_back_send_nothing_more() {
    let app = app(2_000).await;
    let window = signed_in(&app, "operator", Look::default()).await;
    composed(&window).await;
    window.double_click(".button--send").await;
    let path = window.until_path("/alerts/0").await;
    assert_eq!(alerts(&app).await, 1);
    window.back().await;
    if window.run("return Boolean(document.querySelector('.button--send'))", json!([])).await == true {
        window.press("Skicka sms till 240").await;
        assert_eq!(window.until_path("/alerts/0").await, path, "it was the same alert");
    }
    assert_eq!(alerts(&app).await, 1);
    // Whoever only wants to change something finds everything as it was written.
    composed(&window).await;
    window.press("Tillbaka och ändra").await;
    window.until("#area-2321:checked").await;
    window.until("#spread-households:checked").await;
    assert_eq!(window.run("return document.querySelector('#text').value", json!([])).await, TEXT);
    assert_eq!(alerts(&app).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_closed_while_an_alert_goes_changes_nothing() {
    let app = app(60).await;
    let window = signed_in(&app, "operator", Look::default()).await;
    let id = sent(&window).await;
    app.advance(Duration::from_secs(11));
    window.until_says("Skickas").await;
    drop(window);
    assert!(app.gateway.journal().len() < 240, "it was closed while it went");
    app.alert_when(&id, |alert| alert["state"] == "done").await;
    assert_eq!(app.gateway.journal().len(), 240);
    assert_eq!(app.verify().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_effect_and_the_page_says_how_many_had_gone() {
    let app = app(30).await;
    let window = signed_in(&app, "operator", Look::default()).await;
    let id = sent(&window).await;
    app.advance(Duration::from_secs(11));
    window.press("Stoppa utskicket").await;
    window.until_says("Stoppat").await;
    let alert = app.alert_when(&id, |alert| alert["counts"]["sending"] == 0 && alert["counts"]["queued"] == 0).await;
    let stopped = alert["counts"]["stopped"].as_u64().unwrap();
    assert!(stopped > 0, "{alert:#}");
    window.until_says(&format!("{stopped} stoppades.")).await;
    assert_eq!(app.gateway.journal().len() as u64 + stopped, 240);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colleague_approves_and_the_authors_page_hears_of_it() {
    let app = app_with(Kind::Sqlite, 2_000, "alerts.approval = \"always\"").await;
    let author = signed_in(&app, "operator", Look::default()).await;
    let id = sent(&author).await;
    author.until_says("kan inte godkänna det").await;
    let colleague = signed_in(&app, "chief", Look::default()).await;
    colleague.go(&format!("/alerts/{id}")).await;
    colleague.press("Godkänn: sms till 240 i Krokom och Åre").await;
    colleague.until_says("Går i väg om").await;
    author.until_says("Går i väg om").await;
    app.advance(Duration::from_secs(11));
    author.until_says("Klart").await;
    colleague.until_says("Klart").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_stays_beside_its_field_while_the_page_goes_on() {
    let app = app_with(Kind::Sqlite, 2_000, "alerts.approval = \"always\"").await;
    let window = signed_in(&app, "operator", Look::default()).await;
    sent(&window).await;
    window.press("Kan inte vänta").await;
    window.click("#unreviewed").await;
    window.until("#reason-fault").await;
    window.run("document.querySelector('[data-part=figures] h2').id = 'as-it-was'", json!([])).await;
    window.until("[data-part=figures] h2:not(#as-it-was)").await;
    assert_eq!(window.run("return document.querySelectorAll('#reason-fault').length", json!([])).await, 1);
    window.fill("#reason", "Han är kvar på platsen").await;
    window.click("#unreviewed").await;
    window.until_says("Går i väg om").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_pushed_to_the_page() {
    // The page also looks when the time to undo is over.
    let app = app_with(Kind::Sqlite, 2_000, "alerts.undo_seconds = 120").await;
    let window = signed_in(&app, "operator", Look::default()).await;
    window.only_pushed().await;
    for _ in 0..3 {
        let id = sent(&window).await;
        window.until_says("Går i väg om").await;
        app.advance(Duration::from_millis(1));
        assert_eq!(app.api.post(&format!("/alerts/{id}/stop"), json!({})).await.status, 200);
        window.until_says("240 stoppades").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_counted_on_the_page_of_its_alert_and_put_in_when_somebody_asks() {
    let app = app_with(Kind::Sqlite, 2_000, "replies.automatic = false").await;
    let window = signed_in(&app, "operator", Look::default()).await;
    window.only_pushed().await;
    let id = sent(&window).await;
    window.until_says("Inga svar ännu").await;
    app.advance(Duration::from_secs(30));
    app.alert_when(&id, |alert| alert["counts"]["queued"] == 0 && alert["counts"]["sending"] == 0).await;
    let number = app.gateway.journal().messages().remove(0).to;
    app.observation_from(&number, "Röd skåpbil vid macken, han är här").await;
    window.until_says("1 nytt svar").await;
    assert!(!window.text().await.contains("vid macken"), "nothing jumps");
    window.click("#new-answers").await;
    window.until_says("Röd skåpbil vid macken").await;
    window.click("#answers li a").await;
    window.until_path("/observations/").await;
    window.until_says("Ett svar kan vara akut").await;
    window.click("#take").await;
    window.until_says("Lämna den ifrån dig").await;
    assert!(!window.text().await.contains("Ett svar kan vara akut"), "it is taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_meanwhile_is_not_approved_unseen() {
    let app = app_with(Kind::Sqlite, 2_000, "alerts.approval = \"always\"").await;
    let author = signed_in(&app, "operator", Look::default()).await;
    let id = sent(&author).await;
    let colleague = signed_in(&app, "chief", Look { scripts: false, ..Look::default() }).await;
    colleague.go(&format!("/alerts/{id}")).await;
    let shown = app.api.get(&format!("/alerts/{id}")).await.json["revision"].clone();
    author.go(&format!("/alerts/new?revise={id}")).await;
    author.fill("#text", ", mot Åre").await;
    author.press("Granska och bekräfta").await;
    author.click(".button--send").await;
    author.until_path(&format!("/alerts/{id}")).await;
    colleague.press("Godkänn: sms till 240").await;
    colleague.until("h1").await;
    let alert = app.api.get(&format!("/alerts/{id}")).await.json;
    assert_eq!(alert["state"], "awaiting_approval", "{}", colleague.text().await);
    assert_ne!(alert["revision"], shown);
    assert_eq!(app.gateway.journal().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_of_the_server_is_said_aloud_and_never_looks_like_done() {
    let mut app = app(2_000).await;
    let window = signed_in(&app, "operator", Look::default()).await;
    sent(&window).await;
    assert!(app.begin_stop().await.unwrap());
    window.find_shown("[data-lost]").await;
    let text = window.text().await;
    assert!(text.contains("Ingen kontakt med servern sedan") && !text.contains("Klart"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_moves_under_the_hand_while_an_alert_is_typed() {
    let app = app(2_000).await;
    let window = signed_in(&app, "operator", Look::default()).await;
    window.go("/alerts/new").await;
    window.until("#text").await;
    let places = "return ['#text', '#spread-households', '#validity-4'].map((choice) =>
        Math.round(document.querySelector(choice).getBoundingClientRect().top + scrollY))";
    let before = window.run(places, json!([])).await;
    window.fill("#text", "Skåpbil söks").await;
    window.until_says("1 sms").await;
    window.until_says("Utkastet sparades").await;
    assert_eq!(window.run(places, json!([])).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_and_map_follow_what_is_chosen_and_typed() {
    let app = app(2_000).await;
    let window = signed_in(&app, "operator", Look::default()).await;
    window.go("/alerts/new").await;
    window.until_says("Inga områden valda").await;
    window.click("[data-map='2321'] .map__area").await;
    window.until("#area-2321:checked").await;
    window.until("[data-map='2321'][data-chosen='all']").await;
    window.until_says("kontaktombud får sms").await;
    window.fill("#text", "Skåpbil ”Volvo” söks").await;
    window.until_says("typografiskt citattecken").await;
    window.press("Byt").await;
    window.until("[data-effect]:not(:has(.spoiler))").await;
    assert_eq!(window.run("return document.querySelector('#text').value", json!([])).await, "Skåpbil \"Volvo\" söks");
    window.fill("#text", " i Föllinge").await;
    window.until_says("är inte valt").await;
    window.press("Lägg till området").await;
    window.until_says("2 områden").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_added_and_lets_its_owner_in() {
    let port = free_port();
    let base = format!("http://localhost:{port}");
    let own = format!("server.listen = \"127.0.0.1:{port}\"\nserver.public_url = \"{base}\"");
    let app = TestApp::spawn_with(Kind::Sqlite, &own).await;
    let account = app.enrolled("Kim Ek", "operator", "").await;
    let window = Window::open_at(&base, Look::default()).await;
    window.add_security_key().await;
    window.go("/sign-in?next=%2Faccount").await;
    window.fill("#email", &account.email).await;
    window.fill("#password", PASSWORD).await;
    window.fill("#code", &app.next_code(&account.secret)).await;
    window.click("form[action='/sign-in'] .button:not(.button--quiet)").await;
    window.fill("#passkey-name", "Blå nyckel").await;
    window.press("Lägg till passkey").await;
    window.until_says("Passkeyn är tillagd.").await;
    window.press("Logga ut").await;
    window.press("Logga in med passkey").await;
    window.until_says("Läget nu").await;
}

/// Bytes that gzip makes of something.
fn packed(content: &[u8]) -> usize {
    let mut gzip = Command::new("gzip").arg("-9c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let content = content.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&content).unwrap());
    let length = gzip.wait_with_output().unwrap().stdout.len();
    writer.join().unwrap();
    length
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_view_is_light() {
    let app = app(2_000).await;
    let mut browser = app.signed_in("operator", "").await;
    let page = browser.get("/alerts/new").await;
    let mut sum = packed(page.html.as_bytes());
    let addresses = page.html.split('"').filter(|part| part.starts_with("/assets/"));
    for address in addresses.collect::<std::collections::BTreeSet<_>>() {
        let asset = browser.get(address).await;
        assert_eq!(asset.status, 200, "{address}");
        sum += packed(asset.html.as_bytes());
        if address.contains("/app.") && address.ends_with("js") {
            assert!(packed(asset.html.as_bytes()) < 8_000, "our own script has grown");
        }
    }
    assert!((20_000..=60_000).contains(&sum), "{sum} bytes");
}

/// Writes a picture where `make screenshots` wants it, and holds its size.
async fn picture(window: &Window, name: &str) {
    let picture = window.picture().await;
    if let Ok(folder) = std::env::var("SCREENSHOTS") {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(format!("{folder}/{name}.png"), &picture).unwrap();
    }
    assert!(picture.starts_with(b"\x89PNG") && picture.len() < 150_000, "{name}: {} bytes", picture.len());
}

/// The same page in both themes, and as narrow as a phone.
async fn pictures_of(window: &Window, name: &str) {
    for theme in ["light", "dark"] {
        window.show_in(theme).await;
        picture(window, &format!("{name}-{theme}")).await;
    }
    window.resize(320, 720).await;
    window.show_in("light").await;
    picture(window, &format!("{name}-320")).await;
    window.resize(1_280, 900).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_the_pages_are_small() {
    let app = app(40).await;
    app.gateway.change(|behaviour| {
        behaviour.receipts = ReceiptPlan { delivered: 0.95, failed: 0.05, ..ReceiptPlan::default() };
    });
    let window = signed_in(&app, "operator", Look::default()).await;
    window.go("/alerts/new").await;
    window.click("#area-2321").await;
    window.click("#area-2309").await;
    window.fill("#text", "Inbrott pågår vid Stormyren i Järpen. Röd skåpbil kör mot Åre.").await;
    window.click("#spread-households").await;
    window.click("#decided-1").await;
    window.until_says("15 nås inte").await;
    window.run("scrollTo(0, 0); document.activeElement.blur()", json!([])).await;
    pictures_of(&window, "composer").await;
    window.press("Granska och bekräfta").await;
    window.until_says("Bekräfta och skicka").await;
    pictures_of(&window, "confirm").await;
    window.press("Skicka sms till 240").await;
    window.until_says("Går i väg om").await;
    app.advance(Duration::from_secs(11));
    let percent = "return Number(document.querySelector('[data-part=figures]').dataset.percent)";
    let begun = Instant::now();
    while window.run(percent, json!([])).await.as_f64().unwrap() < 40.0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the page stands still");
        app.advance(Duration::from_millis(20));
    }
    window.run("scrollTo(0, 0)", json!([])).await;
    pictures_of(&window, "live").await;
}
