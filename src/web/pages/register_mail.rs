//! Owns the pages of incoming mail that the program does not understand: the list, one mail as text, putting it aside.
//!
//! Invariant: a mail is shown as text, never as HTML, and nothing of it is fetched.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::form::SignedForm;
use super::frame::{Frame, show};
use super::menu::Section;
use super::register_words::Tabs;
use super::time::Wall;
use super::visit::SignedIn;
use crate::actions::mail_tray::{self, Folder};
use crate::inbound::mime;
use crate::store;
use crate::store::inbound_mail::InboundMail;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{again_when_busy, look};

/// Characters of a mail that are shown.
const SHOWN: usize = 20_000;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/register/mail", get(list))
        .route("/register/mail/{id}", get(open))
        .route("/register/mail/{id}/done", post(done))
}

/// A mail in the list.
#[derive(Debug)]
struct MailRow {
    id: String,
    at: String,
    sender: String,
    subject: String,
    why: &'static str,
    person: Option<String>,
}

impl MailRow {
    fn of(wall: &Wall, mail: InboundMail) -> Self {
        let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        Self {
            why: why(&mail),
            at: wall.short(mail.received_at),
            sender: or(mail.sender, "okänd avsändare"),
            subject: or(mail.subject, "utan ämne"),
            person: mail.contact_person_id,
            id: mail.id,
        }
    }
}

/// Why somebody has to read it.
fn why(mail: &InboundMail) -> &'static str {
    match (mail.state.as_str(), mail.kind.as_deref(), mail.token_state.as_deref()) {
        ("unreadable", ..) => "Gick inte att läsa",
        (_, _, Some("forged")) => "Studs med en adress som inte är vår",
        (_, Some("failed"), Some("proven")) => "Brevet kom tillbaka, okänt varför",
        (_, Some("failed" | "delayed" | "delivered" | "relayed"), _) => "Studs som inte hör till något brev",
        (_, Some("complaint"), _) => "Anmälan som inte hör till något brev",
        (_, Some("automatic"), _) => "Automatiskt svar",
        _ => "Från ett program, okänt vad",
    }
}

#[derive(Template)]
#[template(path = "pages/register_mail.html")]
struct ListPage {
    frame: Frame,
    tabs: Tabs,
    is_automatic: bool,
    rows: Vec<MailRow>,
}

/// Which folder.
#[derive(Debug, Default, Deserialize)]
struct FolderQuery {
    #[serde(default)]
    folder: String,
}

async fn list(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<FolderQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let folder = Folder::from_code(&query.folder);
    let (mails, tree) = look!(web, |session| {
        let mails = mail_tray::list(&web.desk, session, who.actor(), folder).await?;
        (mails, store::area::tree(session).await?)
    })?;
    let frame = Frame::of(&web, &headers, &who, (Section::Register, "Post att läsa")).await;
    let rows = mails.into_iter().map(|mail| MailRow::of(&frame.wall, mail)).collect();
    let is_automatic = folder == Folder::Automatic;
    show(StatusCode::OK, &ListPage { tabs: Tabs::of(who.actor(), &tree, "mail"), is_automatic, rows, frame })
}

#[derive(Template)]
#[template(path = "pages/register_mail_open.html")]
struct MailPage {
    frame: Frame,
    row: MailRow,
    diagnostic: String,
    text: String,
    is_handled: bool,
    is_automatic: bool,
}

async fn open(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let (mail, raw) = look!(web, |session| mail_tray::open(&web.desk, session, who.actor(), &id).await?)?;
    // A hostile mail takes a while to read, and this thread serves others.
    let read = tokio::task::spawn_blocking(move || mime::read(&raw).text).await;
    let frame = Frame::of(&web, &headers, &who, (Section::Register, "Post att läsa")).await;
    let page = MailPage {
        diagnostic: mail.diagnostic.clone(),
        text: read.unwrap_or_default().chars().filter(|c| !c.is_control() || *c == '\n').take(SHOWN).collect(),
        is_handled: mail.handled_at.is_some(),
        is_automatic: mail.folder.as_deref() == Some(Folder::Automatic.code()),
        row: MailRow::of(&frame.wall, mail),
        frame,
    };
    show(StatusCode::OK, &page)
}

async fn done(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        mail_tray::put_aside(&web.desk, &mut session, form.who.actor(), &id).await?;
        session.commit().await?;
    })?;
    Ok(Redirect::to("/register/mail").into_response())
}
