//! How fast pages answer while a dispatch runs, with a register of one region and one of the size of several.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use grannpost::actions::operator::{self, NewOperator};
use grannpost::domain::operator::{Actor, Role};
use grannpost::store::register_word;
use reqwest::{Client, RequestBuilder};
use serde_json::json;

use super::Line;
use super::database::Kind;
use super::rounds::name;
use super::scene::{EVERYBODY, Plan, Scene};

/// Times that each page is asked for.
const TIMES: usize = 40;

/// A browser with somebody signed in.
struct Visitor {
    client: Client,
    base: String,
    cookies: BTreeMap<String, String>,
    token: String,
}

impl Visitor {
    /// An administrator who has come by a one-time link.
    async fn signed_in(scene: &Scene) -> Self {
        let actor = Actor { id: "bench".to_owned(), role: Role::Admin, area: "jamtland".to_owned(), is_key: true };
        let new = NewOperator {
            name: "Kim Ek".into(),
            email: "kim@example.org".into(),
            role: "admin".into(),
            area: String::new(),
        };
        let mut session = scene.desk.store.begin().await.unwrap();
        let invited = operator::add(&scene.desk, &mut session, &actor, &new).await.unwrap();
        let link = operator::demo_link(&scene.desk, &mut session, &actor, &invited.operator).await.unwrap();
        session.commit().await.unwrap();
        let path = format!("/sign-in/{}", link.split_once("/sign-in/").unwrap().1);
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let base = scene.api.base().to_owned();
        let mut visitor = Self { client, base, cookies: BTreeMap::new(), token: String::new() };
        let page = visitor.asked(visitor.client.get(format!("{}{path}", visitor.base))).await;
        visitor.token = token_of(&page);
        visitor.asked(visitor.form(&path, &[])).await;
        let page = visitor.asked(visitor.client.get(format!("{}/account", visitor.base))).await;
        visitor.token = token_of(&page);
        visitor
    }

    fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let mut all = vec![("form_token", self.token.as_str())];
        all.extend(fields);
        self.client.post(format!("{}{path}", self.base)).header("sec-fetch-site", "same-origin").form(&all)
    }

    /// Sends a request and reads the whole answer.
    async fn asked(&mut self, request: RequestBuilder) -> String {
        let jar = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = request.header("cookie", jar).header("accept", "text/html");
        let response = request.send().await.unwrap();
        assert!(!response.status().is_client_error() && !response.status().is_server_error(), "{}", response.status());
        for cookie in response.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        response.text().await.unwrap()
    }
}

fn token_of(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"form_token\" value=\"").expect("a form stands on the page");
    rest.split('"').next().unwrap().to_owned()
}

/// Every page of an operator's work, asked for while an alert to everybody goes out.
pub async fn pages(kind: Kind) -> Vec<Line> {
    let mut lines = Vec::new();
    for (persons, bar) in [(1_100, "p95 ≤ 50 ms"), (200_000, "p95 ≤ 150 ms")] {
        let behaviour = json!({ "receipts": { "delay_ms": 300 } });
        let scene = Scene::set(&Plan { kind, persons, behaviour, rate: 20, concurrency: 8 }).await;
        until_words_are_there(&scene, kind, persons).await;
        let id = scene.alert("Röd skåpbil söks", 1).await;
        let begun = Instant::now();
        scene.alert_when(&id, |alert| alert["state"] == "sending").await;
        eprintln!("{persons} persons: the alert is on its way after {:?}", begun.elapsed());
        let mut visitor = Visitor::signed_in(&scene).await;
        let mut worst = (String::new(), Duration::ZERO);
        for (path, fields) in addresses(&id) {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, *value)).collect();
            let mut times = Vec::new();
            for _ in 0..TIMES {
                let request = match fields.is_empty() {
                    true => visitor.client.get(format!("{}{path}", visitor.base)),
                    false => visitor.form(&path, &fields),
                };
                let asked = Instant::now();
                visitor.asked(request).await;
                times.push(asked.elapsed());
            }
            times.sort_unstable();
            let p95 = times[TIMES * 95 / 100];
            let shown = path.replace(&id, "{id}");
            eprintln!("  {shown}: p50 {:.1} ms, p95 {:.1} ms", ms(times[TIMES / 2]), ms(p95));
            if p95 > worst.1 {
                worst = (shown, p95);
            }
        }
        lines.push(Line {
            work: format!("pages, {persons} persons, while an alert goes out"),
            database: name(kind),
            ours: format!("p95 of the slowest ({}) {:.0} ms", worst.0, ms(worst.1)),
            floor: "–".to_owned(),
            ratio: "–".to_owned(),
            bar,
        });
    }
    lines
}

/// A name, a number, an address and an area of a thousand typed letter by letter into the search of a register of a million.
pub async fn search(kind: Kind) -> Vec<Line> {
    const PERSONS: usize = 1_000_000;
    let behaviour = json!({ "receipts": { "delivered": 0.0 } });
    let scene = Scene::set(&Plan { kind, persons: PERSONS, behaviour, rate: 20, concurrency: 8 }).await;
    until_words_are_there(&scene, kind, PERSONS).await;
    let mut visitor = Visitor::signed_in(&scene).await;
    let mut times = Vec::new();
    for typed in [
        "förnamn734 efternamn512",
        "efternamn901",
        "070-174 1734 512",
        "k734512@example.org",
        "område 734",
        "nobody at all",
    ] {
        for (at, letter) in typed.char_indices() {
            let text = &typed[..at + letter.len_utf8()];
            let request = visitor.form("/register", &[("q", text), ("part", "found")]);
            let asked = Instant::now();
            visitor.asked(request).await;
            times.push((asked.elapsed(), text));
        }
    }
    times.sort_unstable();
    let p95 = times[times.len() * 95 / 100];
    let slowest = times[times.len() - 1];
    eprintln!("  the slowest: {slowest:?}; p95: {p95:?}; p50 {:?}", times[times.len() / 2]);
    vec![Line {
        work: format!("search as you type, {PERSONS} persons"),
        database: name(kind),
        ours: format!("p95 {:.0} ms, slowest {:.0} ms", ms(p95.0), ms(slowest.0)),
        floor: "–".to_owned(),
        ratio: "–".to_owned(),
        bar: "p95 ≤ 30 ms",
    }]
}

/// A register is imported once, and searched for years: upkeep has written the words of all names.
async fn until_words_are_there(scene: &Scene, kind: Kind, persons: usize) {
    scene.forget_words().await;
    let begun = Instant::now();
    while register_word::is_behind(&mut scene.desk.store.read().await.unwrap()).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    eprintln!("{persons} persons: their words are there after {:?}", begun.elapsed());
    // What PostgreSQL does by itself within a minute of such a change.
    if kind == Kind::Postgres {
        scene.execute("VACUUM (ANALYZE) contact_person").await;
        scene.execute("VACUUM (ANALYZE) contact_person_word").await;
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

type Fields = &'static [(&'static str, &'static str)];

fn addresses(id: &str) -> Vec<(String, Fields)> {
    const COMPOSED: Fields = &[
        ("areas", EVERYBODY),
        ("text", "Inbrott i Järpen. Röd skåpbil mot Åre."),
        ("kind", "observation"),
        ("spread", "households"),
        ("validity", "240"),
        ("decided_by", "other"),
        ("decided_by_other", "RLC-befäl"),
    ];
    let get = |path: &str| (path.to_owned(), [].as_slice());
    vec![
        get("/"),
        get("/alerts"),
        get(&format!("/alerts/{id}")),
        get(&format!("/alerts/{id}/live")),
        get(&format!("/alerts/{id}/report")),
        get("/alerts/new"),
        ("/alerts/preview".to_owned(), COMPOSED),
        ("/alerts/confirm".to_owned(), COMPOSED),
        get("/letters"),
        get("/letters/new"),
        get("/register"),
        get("/register/coverage"),
        ("/register".to_owned(), &[("q", "ombud 77")]),
        ("/register".to_owned(), &[("q", "070-174 10")]),
        get("/decisions"),
        get("/audit"),
        get("/admin/gateways"),
        get("/admin/health"),
    ]
}
