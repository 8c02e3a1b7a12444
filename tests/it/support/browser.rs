//! A browser in a few lines: cookies, redirects, and forms filled in as they stand on the page.

use std::collections::BTreeMap;

use grannpost::actions::operator::{self, NewOperator};
use reqwest::{Client, Method, RequestBuilder, StatusCode};

use super::{TestApp, root};

/// One browser with its cookies.
#[derive(Debug, Clone)]
pub struct Browser {
    client: Client,
    base: String,
    pub cookies: BTreeMap<String, String>,
    /// Headers that every request carries, such as those of a proxy in front.
    pub headers: Vec<(String, String)>,
}

/// A page as it came, after redirects.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    /// Path and query it came from in the end.
    pub path: String,
    pub html: String,
}

impl Browser {
    pub fn new(base: &str) -> Self {
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, base: base.to_owned(), cookies: BTreeMap::new(), headers: Vec::new() }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        let request = self.client.request(Method::GET, self.at(path));
        self.follow(request, path).await
    }

    /// Asks for a page and stays where it leads to another.
    pub async fn step(&mut self, path: &str) -> Page {
        let request = self.client.request(Method::GET, self.at(path));
        self.once(request, path).await
    }

    /// Posts fields, with what a browser says about a form of its own site and the token of the page `from`.
    pub async fn submit(&mut self, from: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let token = from.form_token();
        let with_token: Vec<(&str, &str)> =
            std::iter::once(("form_token", token.as_str())).chain(fields.iter().copied()).collect();
        self.post_raw(action, &with_token, &[("sec-fetch-site", "same-origin")]).await
    }

    /// Posts exactly these fields and headers.
    pub async fn post_raw(&mut self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
        let mut request = self.client.request(Method::POST, self.at(path)).form(fields);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.follow(request, path).await
    }

    /// Sends a file as a form with `multipart/form-data` does, with the token of the page `from`.
    pub async fn upload(&mut self, from: &Page, path: &str, file: &[u8]) -> Page {
        let token = from.form_token();
        let mut body = format!(
            "--XyZ\r\nContent-Disposition: form-data; name=\"form_token\"\r\n\r\n{token}\r\n--XyZ\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"kontaktombud.csv\"\r\nContent-Type: text/csv\r\n\r\n"
        )
        .into_bytes();
        body.extend(file);
        body.extend(b"\r\n--XyZ--\r\n");
        let request = self.client.request(Method::POST, self.at(path)).body(body);
        let request = request.header("content-type", "multipart/form-data; boundary=XyZ");
        self.follow(request.header("sec-fetch-site", "same-origin"), path).await
    }

    fn at(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) }
    }

    async fn follow(&mut self, request: RequestBuilder, path: &str) -> Page {
        let mut page = self.once(request, path).await;
        for _ in 0..5 {
            if page.status != StatusCode::SEE_OTHER {
                return page;
            }
            let to = page.headers["location"].to_str().unwrap().to_owned();
            page = self.once(self.client.request(Method::GET, self.at(&to)), &to).await;
        }
        panic!("led round in circles: {page:?}");
    }

    /// One request, without going where it leads.
    pub async fn once(&mut self, request: RequestBuilder, path: &str) -> Page {
        let jar = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut request = request.header("accept", "text/html,*/*;q=0.8").header("cookie", jar);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() || cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Page { status, headers, path: path.to_owned(), html: response.text().await.unwrap() }
    }
}

impl Page {
    /// What the page's forms are protected by.
    pub fn form_token(&self) -> String {
        self.after("name=\"form_token\" value=\"").unwrap_or_default()
    }

    /// The text between `mark` and the next quotation mark.
    pub fn after(&self, mark: &str) -> Option<String> {
        let (_, rest) = self.html.split_once(mark)?;
        Some(rest.split('"').next().unwrap().to_owned())
    }

    /// Every address that the page links to, in order.
    pub fn links(&self) -> Vec<String> {
        let links = self.html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        links.map(|link| link.replace("&#38;", "&")).collect()
    }

    /// Whether the page says this, entities resolved.
    pub fn says(&self, text: &str) -> bool {
        self.html.contains(text) || self.html.contains(&text.replace('&', "&#38;"))
    }

    /// What stands between the marks of the first such element, without marks inside it.
    pub fn title(&self) -> String {
        let (_, rest) = self.html.split_once("<title>").unwrap_or_default();
        rest.split("</title>").next().unwrap().to_owned()
    }
}

impl TestApp {
    /// A browser that nobody is signed in from.
    pub fn browser(&self) -> Browser {
        Browser::new(self.api.base())
    }

    /// Opens a page again and again until it says this.
    pub async fn page_until(&self, browser: &mut Browser, path: &str, text: &str) -> Page {
        let mut last = browser.get(path).await;
        for _ in 0..600 {
            if last.says(text) {
                return last;
            }
            self.desk.wakeup.wait(std::time::Duration::from_millis(50)).await;
            last = browser.get(path).await;
        }
        panic!("the page never said {text}: {}", last.html);
    }

    /// An operator's e-mail and the path of a one-time link that lets them choose a password.
    pub async fn invite(&self, name: &str, role: &str, area: &str) -> (String, String) {
        let email = format!("{}@example.org", name.to_lowercase().replace(' ', "."));
        let new = NewOperator { name: name.into(), email: email.clone(), role: role.into(), area: area.into() };
        let mut session = self.desk.store.begin().await.unwrap();
        let invited = operator::add(&self.desk, &mut session, &root(), &new).await.unwrap();
        session.commit().await.unwrap();
        (email, path_of(&invited.link))
    }

    /// A browser that a new operator with this role is signed in from, by the demo's straight way.
    pub async fn signed_in(&self, role: &str, area: &str) -> Browser {
        let new = NewOperator {
            name: format!("Kim {role}"),
            email: format!("kim-{role}-{}@example.org", self.desk.id()),
            role: role.into(),
            area: area.into(),
        };
        let mut session = self.desk.store.begin().await.unwrap();
        let invited = operator::add(&self.desk, &mut session, &root(), &new).await.unwrap();
        let link = operator::demo_link(&self.desk, &mut session, &root(), &invited.operator).await.unwrap();
        session.commit().await.unwrap();
        let mut browser = self.browser();
        let path = path_of(&link);
        let page = browser.get(&path).await;
        let page = browser.submit(&page, &path, &[]).await;
        assert_eq!(page.path, "/", "{}", page.html);
        browser
    }
}

fn path_of(link: &str) -> String {
    let (_, rest) = link.split_once("://").unwrap();
    rest[rest.find('/').unwrap()..].to_owned()
}

/// An operator with password and code, and a browser they are signed in from.
#[derive(Debug, Clone)]
pub struct Account {
    pub email: String,
    /// Secret of the codes.
    pub secret: String,
    pub recovery_codes: Vec<String>,
    pub browser: Browser,
}

/// What every account here signs in with.
pub const PASSWORD: &str = "lampa kvarn brosme tallrik";

impl TestApp {
    /// An operator who has come by their link and chosen password and app.
    pub async fn enrolled(&self, name: &str, role: &str, area: &str) -> Account {
        let (email, link) = self.invite(name, role, area).await;
        let mut browser = self.browser();
        let page = browser.get(&link).await;
        let page = browser.submit(&page, &link, &[]).await;
        assert_eq!(page.path, "/enrol", "{}", page.html);
        let secret = page.secret();
        let code = self.code(&secret);
        let fields = [("password", PASSWORD), ("repeated", PASSWORD), ("code", code.as_str())];
        let page = browser.submit(&page, "/enrol", &fields).await;
        assert_eq!(page.status, 200, "{}", page.html);
        let recovery_codes = page.list("class=\"codes\"");
        assert_eq!(recovery_codes.len(), 10);
        Account { email, secret, recovery_codes, browser }
    }

    /// The code that an app shows, after waiting for one that was not used.
    pub fn next_code(&self, secret: &str) -> String {
        self.advance(std::time::Duration::from_secs(30));
        self.code(secret)
    }

    /// The code that an app shows now.
    pub fn code(&self, secret: &str) -> String {
        grannpost::domain::one_time_code::code_at(secret, self.clock.now_ms()).unwrap()
    }

    /// Fills in the page of sign-in, from wherever it leads.
    pub async fn sign_in(&self, browser: &mut Browser, (email, password, code): (&str, &str, &str)) -> Page {
        let page = browser.get("/sign-in").await;
        browser.submit(&page, "/sign-in", &[("email", email), ("password", password), ("code", code)]).await
    }
}

impl Page {
    /// The key that the page of enrolment shows.
    pub fn secret(&self) -> String {
        let (_, rest) = self.html.split_once("<p class=\"secret\">").unwrap();
        rest.split('<').next().unwrap().replace(' ', "")
    }

    /// The items of the list behind `mark`.
    pub fn list(&self, mark: &str) -> Vec<String> {
        let (_, rest) = self.html.split_once(mark).unwrap();
        let list = rest.split("</ul>").next().unwrap();
        list.split("<li>").skip(1).map(|item| item.split('<').next().unwrap().to_owned()).collect()
    }
}
