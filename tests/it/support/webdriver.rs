//! Chromium, driven by WebDriver: one chromedriver for each test process, one window for each story.
//!
//! The protocol is JSON over HTTP, so the client of the other stories is all it takes. A window is closed when dropped, and
//! everything ends with the test process. Nothing sleeps: the driver itself waits for what a story looks for.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::TestApp;
use super::browser::Browser;

/// How long a story waits for what shall come.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest that the driver itself may take over anything: one that hangs would hold up all that come after.
const DRIVER_PATIENCE: Duration = Duration::from_secs(180);
/// How the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub const TAB: &str = "\u{E004}";
pub const ENTER: &str = "\u{E007}";
pub const SPACE: &str = " ";
pub const ESCAPE: &str = "\u{E00C}";
/// Control is held until [`RELEASE`].
pub const CONTROL: &str = "\u{E009}";
pub const RELEASE: &str = "\u{E000}";

/// What a window is like.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub width: u32,
    pub height: u32,
    /// Whether pages may run scripts.
    pub scripts: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { width: 1_280, height: 900, scripts: true }
    }
}

/// One window of a browser of its own; closed when dropped.
#[derive(Debug)]
pub struct Window {
    client: Client,
    session: String,
    /// Address of the app.
    base: String,
    /// Whether its pages may run scripts.
    scripts: bool,
}

/// The driver of this test process.
#[derive(Debug)]
struct Driver {
    port: u16,
    /// Ends the driver when its standard input closes, which happens when this process ends, however it ends.
    _keeper: Child,
}

fn driver() -> &'static Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(|| {
        // Browsers outlive their driver when it is killed.
        let script = "chromedriver --port=0 2>/dev/null & driver=$!; cat >/dev/null; kill $(cat /proc/$driver/task/*/children) $driver";
        let mut sh = Command::new("sh");
        let mut keeper = sh.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(keeper.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = said.find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
        let port = port.expect("chromedriver is installed: make test installs it");
        // It ends when nobody listens to it any more.
        std::thread::spawn(move || said.for_each(drop));
        Driver { port, _keeper: keeper }
    })
}

impl Window {
    /// A window of 1,280 × 900 that runs scripts.
    pub async fn open(app: &TestApp) -> Self {
        Self::open_as(app, Look::default()).await
    }

    /// A window like `look`.
    pub async fn open_as(app: &TestApp, look: Look) -> Self {
        Self::open_at(app.api.base(), look).await
    }

    /// A window for the app at an address.
    pub async fn open_at(base: &str, look: Look) -> Self {
        let mut options = json!({ "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-proxy-server",
            "--disable-background-networking", "--disable-lcd-text", "--lang=sv", format!("--window-size={},{}", look.width, look.height)
        ]});
        if !look.scripts {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "timeouts": { "implicit": u64::try_from(PATIENCE.as_millis()).unwrap(), "script": 60_000, "pageLoad": 60_000 }
        }}});
        let client = Client::builder().no_proxy().timeout(DRIVER_PATIENCE).build().unwrap();
        let port = driver().port;
        let begun = client.post(format!("http://127.0.0.1:{port}/session")).json(&wanted).send().await.unwrap();
        let begun: Value = begun.json().await.unwrap();
        let id = begun["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {begun:#}"));
        let window = Self { client, session: format!("/session/{id}"), base: base.to_owned(), scripts: look.scripts };
        window.resize(look.width, look.height).await;
        window
    }

    /// A window that the owner of a browser's cookies looks at.
    pub async fn of(app: &TestApp, browser: &Browser, look: Look) -> Self {
        let window = Self::open_as(app, look).await;
        window.go("/healthz").await;
        for (name, value) in &browser.cookies {
            window
                .command(Method::POST, "/cookie", json!({ "cookie": { "name": name, "value": value, "path": "/" } }))
                .await;
        }
        window
    }

    /// Makes the page's view so large; a real window would never be narrower than 500 px.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command(
            Method::POST,
            "/goog/cdp/execute",
            json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": metrics }),
        )
        .await;
    }

    /// Shows the page in the `light` or `dark` theme.
    pub async fn show_in(&self, theme: &str) {
        self.run("document.documentElement.dataset.theme = arguments[0]", json!([theme])).await;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        let wanted = json!({ "cmd": "Emulation.setEmulatedMedia", "params": features });
        self.command(Method::POST, "/goog/cdp/execute", wanted).await;
    }

    /// Opens a page of the app.
    pub async fn go(&self, path: &str) {
        self.command(Method::POST, "/url", json!({ "url": format!("{}{path}", self.base) })).await;
    }

    /// Path and query of the page.
    pub async fn path(&self) -> String {
        let url = self.command(Method::GET, "/url", Value::Null).await;
        let url = url.as_str().unwrap();
        url.strip_prefix(&self.base).unwrap_or(url).to_owned()
    }

    /// The page's title.
    pub async fn title(&self) -> String {
        self.command(Method::GET, "/title", Value::Null).await.as_str().unwrap().to_owned()
    }

    /// Waits until the page's path begins so.
    pub async fn until_path(&self, begin: &str) -> String {
        let begun = Instant::now();
        loop {
            let path = self.path().await;
            if path.starts_with(begin) {
                return path;
            }
            assert!(begun.elapsed() < PATIENCE, "still at {path}, not {begin}: {}", self.text().await);
        }
    }

    /// Waits until something fits the CSS selector.
    pub async fn until(&self, css: &str) -> String {
        self.find("css selector", css).await
    }

    /// Waits until the page shows this.
    pub async fn until_says(&self, text: &str) {
        self.find("xpath", &format!("//main[contains(normalize-space(.), {})]", quoted(text))).await;
    }

    /// Waits until what fits the CSS selector is not hidden.
    pub async fn find_shown(&self, css: &str) {
        self.until(&format!("{css}:not([hidden])")).await;
    }

    /// What the page shows, without its markup.
    pub async fn text(&self) -> String {
        let begun = Instant::now();
        loop {
            let body = self.find("css selector", "body").await;
            match self.tried(Method::GET, &format!("/element/{body}/text"), Value::Null).await {
                Ok(text) => return text.as_str().unwrap().to_owned(),
                Err(problem) => assert!(begun.elapsed() < PATIENCE, "the page cannot be read: {problem}"),
            }
        }
    }

    /// Clicks what fits the CSS selector as soon as it can be clicked.
    pub async fn click(&self, css: &str) {
        self.act("css selector", css, "click", &json!({})).await;
    }

    /// Clicks the link or button that is called so.
    pub async fn press(&self, name: &str) {
        let name = quoted(name);
        self.act("xpath", &format!("//main//*[self::a or self::button or self::summary][not(@aria-hidden)][contains(normalize-space(.), {name})] | //nav//*[self::a or self::button][contains(normalize-space(.), {name})]"), "click", &json!({})).await;
    }

    /// Clicks twice as fast as one can.
    pub async fn double_click(&self, css: &str) {
        let element = self.find("css selector", css).await;
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", json!([css])).await;
        let press = [json!({"type": "pointerDown", "button": 0}), json!({"type": "pointerUp", "button": 0})];
        let mut steps =
            vec![json!({"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": { ELEMENT: element }})];
        steps.extend(press.iter().chain(&press).cloned());
        let mouse = json!({ "type": "pointer", "id": "mouse", "actions": steps });
        self.command(Method::POST, "/actions", json!({ "actions": [mouse] })).await;
    }

    /// Types into what fits the CSS selector.
    pub async fn fill(&self, css: &str, text: &str) {
        self.act("css selector", css, "value", &json!({ "text": text })).await;
    }

    /// Types into what has the focus.
    pub async fn keys(&self, text: &str) {
        let active = self.command(Method::GET, "/element/active", Value::Null).await;
        let active = active[ELEMENT].as_str().unwrap().to_owned();
        self.command(Method::POST, &format!("/element/{active}/value"), json!({ "text": text })).await;
    }

    /// Presses Tab until what fits the CSS selector has the focus.
    pub async fn tab_to(&self, css: &str) {
        for _ in 0..80 {
            self.keys(TAB).await;
            if self.run("return document.activeElement.matches(arguments[0])", json!([css])).await == true {
                return;
            }
        }
        panic!("the keyboard never came to {css}: {}", self.text().await);
    }

    /// Goes back one page.
    pub async fn back(&self) {
        self.command(Method::POST, "/back", json!({})).await;
    }

    /// What a script answers.
    pub async fn run(&self, script: &str, arguments: Value) -> Value {
        self.command(Method::POST, "/execute/sync", json!({ "script": script, "args": arguments })).await
    }

    /// What a script answers by its last argument, once it does.
    pub async fn answer(&self, script: &str, arguments: Value) -> Value {
        self.command(Method::POST, "/execute/async", json!({ "script": script, "args": arguments })).await
    }

    /// Runs a script in every page from now on, before the page's own.
    pub async fn run_first(&self, script: &str) {
        let wanted = json!({ "cmd": "Page.addScriptToEvaluateOnNewDocument", "params": { "source": script } });
        self.command(Method::POST, "/goog/cdp/execute", wanted).await;
    }

    /// Lets no page ask by itself every five seconds from now on: what it shows was pushed.
    pub async fn only_pushed(&self) {
        let script = "const every = window.setInterval; \
            window.setInterval = (act, time, ...more) => time === 5000 ? 0 : every(act, time, ...more);";
        self.run_first(script).await;
    }

    /// Adds a security key that is there and agrees to everything.
    pub async fn add_security_key(&self) {
        let key = json!({ "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserConsenting": true, "isUserVerified": true });
        self.command(Method::POST, "/webauthn/authenticator", key).await;
    }

    /// What axe finds wrong with the page, one line each; empty when nothing is.
    pub async fn violations(&self) -> Vec<String> {
        let axe = std::fs::read_to_string("web/node_modules/axe-core/axe.min.js").expect("make test fetches axe-core");
        self.run(&axe, json!([])).await;
        let script = "const done = arguments[0]; const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']; \
            axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] }) \
            .then((found) => done(found.violations.flatMap((rule) => rule.nodes.map((node) => \
            `${rule.id} at ${node.target}: ${node.failureSummary}`))), (error) => done([`axe failed: ${error}`]));";
        let found = self.command(Method::POST, "/execute/async", json!({ "script": script, "args": [] })).await;
        found.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    }

    /// A picture of what the window shows, as PNG, no wider than 960 px.
    pub async fn picture(&self) -> Vec<u8> {
        let size = self.run("return [innerWidth, innerHeight, scrollX, scrollY]", json!([])).await;
        let scale = (960.0 / size[0].as_f64().unwrap()).min(1.0);
        let clip = json!({ "x": size[2], "y": size[3], "width": size[0], "height": size[1], "scale": scale });
        let wanted = json!({ "cmd": "Page.captureScreenshot", "params": { "format": "png", "clip": clip } });
        let picture = self.command(Method::POST, "/goog/cdp/execute", wanted).await;
        data_encoding::BASE64.decode(picture["data"].as_str().unwrap().as_bytes()).unwrap()
    }

    /// Does something to an element, again while it is covered, was replaced, or cannot be used yet, and when the page moved beneath
    /// the pointer, so that a click landed beside it.
    async fn act(&self, using: &str, what: &str, act: &str, body: &Value) {
        let begun = Instant::now();
        loop {
            let element = self.find(using, what).await;
            let is_watched = act == "click" && self.scripts;
            if is_watched {
                self.aim(&element).await;
            }
            let problem = match self.tried(Method::POST, &format!("/element/{element}/{act}"), body.clone()).await {
                Ok(_) if is_watched && self.has_missed().await => "the click landed beside it".to_owned(),
                Ok(_) => return,
                Err(problem) => problem,
            };
            assert!(begun.elapsed() < PATIENCE, "{act} {what}: {problem}\n{}", self.text().await);
        }
    }

    /// Notes on the page that an element is about to be clicked, until it is.
    async fn aim(&self, element: &str) {
        // The driver chooses the entry of a list without a click on it.
        let script = "if (arguments[0].matches('option')) return; window.aimedAt = arguments[0]; \
            arguments[0].addEventListener('click', () => delete window.aimedAt, { capture: true, once: true })";
        let body = json!({ "script": script, "args": [{ ELEMENT: element }] });
        // An element that is gone by now says so when it is clicked.
        let _ = self.tried(Method::POST, "/execute/sync", body).await;
    }

    /// Whether what was aimed at still waits for its click. A page that has been left knows nothing of it.
    async fn has_missed(&self) -> bool {
        let body = json!({ "script": "return window.aimedAt !== undefined", "args": [] });
        self.tried(Method::POST, "/execute/sync", body).await.is_ok_and(|missed| missed == true)
    }

    async fn find(&self, using: &str, what: &str) -> String {
        let begun = Instant::now();
        loop {
            match self.tried(Method::POST, "/element", json!({ "using": using, "value": what })).await {
                Ok(element) => return element[ELEMENT].as_str().unwrap().to_owned(),
                // A page that is left meanwhile cuts the driver's own wait short; what is looked for may stand on the next one.
                Err(_) if begun.elapsed() < PATIENCE => {}
                Err(_) if what == "body" => panic!("there is no page"),
                Err(problem) => {
                    let text = Box::pin(self.text()).await;
                    panic!("{what} never came at {}: {problem}\n{text}", self.path().await)
                }
            }
        }
    }

    async fn command(&self, method: Method, path: &str, body: Value) -> Value {
        self.tried(method, path, body).await.unwrap_or_else(|problem| panic!("{path}: {problem}"))
    }

    async fn tried(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:{}{}{path}", driver().port, self.session);
        let mut request = self.client.request(method, url);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        match answer["value"].get("error") {
            Some(error) if answer["value"]["message"].is_string() => {
                let mut problem = error.to_string();
                let message = answer["value"]["message"].as_str().unwrap();
                write!(problem, ": {}", message.lines().next().unwrap_or_default()).unwrap();
                Err(problem)
            }
            _ => Ok(answer["value"].clone()),
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let port = driver().port;
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return };
        let head = format!("DELETE {} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n", self.session);
        if stream.write_all(head.as_bytes()).is_ok() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = stream.read(&mut [0; 64]);
        }
    }
}

/// A text in XPath.
fn quoted(text: &str) -> String {
    assert!(!text.contains('"'), "{text}");
    format!("\"{text}\"")
}
