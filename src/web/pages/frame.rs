//! Owns what stands around every page: the band that says whether it is live, clock, lamp of the gateway, who is signed in,
//! the menu.
//!
//! It holds no content. Invariant: a page is also shown when what stands around it cannot be found out.

use askama::Template;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::assets::{Assets, assets};
use super::menu::{self, Entry, Section};
use super::time::Wall;
use super::visit::{self, SignedIn};
use crate::actions::{observation_view, session};
use crate::config::Environment;
use crate::domain::operator::{Actor, Right, Role};
use crate::store::{self, gateway::GatewayState, setting};
use crate::web::Web;
use crate::web::error::Problem;

/// What an installation, or a page, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Band {
    /// What is sent reaches people.
    Live,
    /// Practice.
    Drill,
    /// Nothing reaches anybody.
    Demo,
}

impl Band {
    /// For style.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Drill => "drill",
            Self::Demo => "demo",
        }
    }

    /// For people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Live => "Skarpt läge",
            Self::Drill => "ÖVNING",
            Self::Demo => "Demo: inget når någon",
        }
    }
}

/// How the way out is, in one line.
#[derive(Debug, Clone)]
pub struct Lamp {
    /// `ok`, `warn` or `bad`.
    pub code: &'static str,
    /// What is the case.
    pub text: String,
    /// When the gateway last answered, Unix ms, where that belongs after the text.
    pub answered_at: Option<i64>,
    /// How long ago that was.
    pub ago: String,
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub struct Who {
    /// Name.
    pub name: String,
    /// Role, in Swedish.
    pub role: &'static str,
    /// Whether another person can take over here.
    pub can_change_shift: bool,
}

/// Urgent answers that nobody has taken.
#[derive(Debug, Clone, Default)]
pub struct Urgent {
    /// How many.
    pub count: usize,
    /// What is the case; empty when there is none.
    pub words: String,
    /// Where the oldest is.
    pub href: String,
    /// Their ids, with blanks between.
    pub ids: String,
}

/// What stands around a page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Title of the page.
    pub title: String,
    /// Whether something is wrong with what was sent; the title says so.
    pub has_faults: bool,
    /// What this is.
    pub band: Band,
    /// Unix ms.
    pub now_ms: i64,
    /// IANA name.
    pub zone: String,
    /// `02:31:07`.
    pub clock: String,
    /// How the way out is; only for those who are signed in.
    pub lamp: Option<Lamp>,
    /// Who is signed in.
    pub who: Option<Who>,
    /// The menu.
    pub menu: Vec<Entry>,
    /// Whether the page is about the person themselves.
    pub is_account: bool,
    /// `light`, `dark` or `auto`.
    pub theme: &'static str,
    /// The other theme, and the words that offer it.
    pub other_theme: (&'static str, &'static str),
    /// `wide`, `narrow` or empty.
    pub width: &'static str,
    /// What every form holds.
    pub form_token: String,
    /// Path and query of the page.
    pub here: String,
    /// When the session ends unless it is used, Unix ms.
    pub ends_at: Option<i64>,
    /// Urgent answers that nobody has taken; `None` for who does not work in the inbox.
    pub urgent: Option<Urgent>,
    /// What was done just before.
    pub notice: Option<&'static str>,
    /// Whose installation it is.
    pub organisation: String,
    /// Whom to ask.
    pub contact: String,
    /// What the page loads.
    pub assets: &'static Assets,
    /// Times as this page writes them.
    pub wall: Wall,
}

impl Frame {
    /// What stands around a page of somebody who is signed in.
    pub async fn of(web: &Web, headers: &HeaderMap, who: &SignedIn, (section, title): (Section, &str)) -> Self {
        let visitor = &who.visitor;
        let mut frame = Self::bare(web, title, &who.form_token);
        let role = visitor.actor.role;
        frame.lamp = Some(lamp(web, &frame.wall).await);
        frame.who = Some(Who {
            name: visitor.operator.name.clone(),
            role: role_name(role),
            can_change_shift: web.desk.config.sign_in.passwords
                && matches!(visitor.session.way.as_str(), "password" | "passkey"),
        });
        frame.urgent = urgent(web, &visitor.actor, &frame.wall).await;
        frame.menu = menu::entries(role, section);
        frame.is_account = section == Section::Account;
        frame.ends_at = Some(session::ends_at(&web.desk, &visitor.session));
        frame.here.clone_from(&who.here);
        frame.set_theme(web, headers, role == Role::Operator);
        frame
    }

    /// What stands around a page that nobody needs to be signed in for.
    #[must_use]
    pub fn of_stranger(web: &Web, headers: &HeaderMap, form_token: &str, title: &str) -> Self {
        let mut frame = Self::bare(web, title, form_token);
        frame.width = "narrow";
        frame.set_theme(web, headers, false);
        frame
    }

    fn bare(web: &Web, title: &str, form_token: &str) -> Self {
        let config = &web.desk.config;
        let now_ms = web.desk.now();
        let wall = Wall::new(config.server.zone(), now_ms);
        Self {
            title: title.to_owned(),
            has_faults: false,
            band: match config.environment() {
                Environment::Auto | Environment::Live => Band::Live,
                Environment::Drill => Band::Drill,
                Environment::Demo => Band::Demo,
            },
            now_ms,
            zone: config.server.time_zone.clone(),
            clock: wall.clock(now_ms),
            lamp: None,
            who: None,
            menu: Vec::new(),
            is_account: false,
            theme: "auto",
            other_theme: ("dark", "Mörkt tema"),
            width: "",
            form_token: form_token.to_owned(),
            here: "/".to_owned(),
            ends_at: None,
            urgent: None,
            notice: None,
            organisation: config.letters.list_name.clone(),
            contact: config.mail.contact_address().to_owned(),
            assets: assets(),
            wall,
        }
    }

    /// The same with `wide` or `narrow` content.
    #[must_use]
    pub fn with_width(mut self, width: &'static str) -> Self {
        self.width = width;
        self
    }

    /// The same with a word about what was done.
    #[must_use]
    pub fn with_notice(mut self, notice: Option<&'static str>) -> Self {
        self.notice = notice;
        self
    }

    /// The same for a form that something is wrong with.
    #[must_use]
    pub fn with_faults(mut self, has_faults: bool) -> Self {
        self.has_faults = has_faults;
        self
    }

    /// The same looking like practice, for a page whose alert is a drill.
    #[must_use]
    pub fn as_drill(mut self, is_drill: bool) -> Self {
        if is_drill {
            self.band = Band::Drill;
        }
        self
    }

    /// What somebody chose, or dark at night for those who sit in the command centre.
    fn set_theme(&mut self, web: &Web, headers: &HeaderMap, is_operator: bool) {
        let is_night = !(6..21).contains(&self.wall.hour());
        self.theme = match visit::cookie(web, headers, visit::THEME).as_deref() {
            Some("light") => "light",
            Some("dark") => "dark",
            _ if is_operator && is_night => "dark",
            _ => "auto",
        };
        self.other_theme = if self.theme == "dark" { ("light", "Ljust tema") } else { ("dark", "Mörkt tema") };
    }
}

/// A page as an answer.
///
/// # Errors
/// A fault of ours when the template cannot be rendered.
pub fn show(status: StatusCode, page: &impl Template) -> Result<Response, Problem> {
    let html = page.render().map_err(|_| Problem::internal("page.template"))?;
    Ok((status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

/// A role as people call it.
#[must_use]
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Operator => "Operatör",
        Role::Chief => "Områdeschef",
        Role::Officer => "Kommunpolis",
        Role::Admin => "Administratör",
        Role::Auditor => "Revisor",
    }
}

/// The urgent answers that wait for somebody; `None` for who does not work in the inbox, or when it cannot be found out.
pub async fn urgent(web: &Web, actor: &Actor, wall: &Wall) -> Option<Urgent> {
    if !actor.role.may(Right::WorkInbox) {
        return None;
    }
    let mut session = web.desk.store.read().await.ok()?;
    let waiting = observation_view::untaken(&web.desk, &mut session, actor).await.ok()?;
    let Some(oldest) = waiting.first() else { return Some(Urgent::default()) };
    let since = wall.text(oldest.received_at);
    let words = match waiting.len() {
        1 => format!("Ett svar kan vara akut. Ingen har tagit det sedan {since}."),
        n => format!("{n} svar kan vara akuta. Ingen har tagit det äldsta sedan {since}."),
    };
    let ids = waiting.iter().map(|one| one.id.as_str()).collect::<Vec<_>>().join(" ");
    Some(Urgent { count: waiting.len(), words, href: format!("/observations/{}", oldest.id), ids })
}

async fn lamp(web: &Web, wall: &Wall) -> Lamp {
    let found = async {
        let mut session = web.desk.store.read().await?;
        let paused = setting::get(&mut session, setting::PAUSED).await?;
        Ok::<_, store::StoreError>((paused, store::gateway::states(&mut session).await?))
    };
    let plain = |code, text: &str| Lamp { code, text: text.to_owned(), answered_at: None, ago: String::new() };
    match found.await {
        Err(_) => plain("bad", "Databasen svarar inte"),
        Ok((Some(_), _)) => plain("warn", "Alla utskick är pausade"),
        Ok((None, states)) => gateway_lamp(&web.desk.config.sms.route, &states, wall),
    }
}

/// The lamp of the gateways on the route, in words that say which.
fn gateway_lamp(route: &[String], states: &[GatewayState], wall: &Wall) -> Lamp {
    let plain = |code, text: String| Lamp { code, text, answered_at: None, ago: String::new() };
    if route.is_empty() {
        return plain("bad", "Ingen sms-tjänst är inställd".to_owned());
    }
    let state_of = |name: &String| states.iter().find(|state| state.gateway == *name);
    let is_down = |name: &&String| state_of(name).is_some_and(|state| state.state != "up");
    let down: Vec<&String> = route.iter().filter(is_down).collect();
    let first_down_since = down.iter().filter_map(|name| state_of(name)).map(|state| state.since_at).min();
    match (first_down_since, down.len() == route.len()) {
        (Some(since), true) => plain("bad", format!("Sms-tjänsten svarar inte sedan {}", wall.text(since))),
        (Some(_), false) => plain("warn", "En sms-tjänst svarar inte, reserven används".to_owned()),
        (None, _) => match route.iter().filter_map(state_of).filter_map(|state| state.last_answer_at).max() {
            Some(at) => Lamp {
                code: "ok",
                text: "Sms-tjänsten svarade för".to_owned(),
                answered_at: Some(at),
                ago: wall.ago(at),
            },
            None => plain("ok", "Sms-tjänsten är redo".to_owned()),
        },
    }
}
