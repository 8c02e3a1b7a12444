//! Owns what is the person's own: where they are signed in, their password and recovery codes, light or dark.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::enrol::CodesPage;
use super::form::{Faults, ProvenForm, SignedForm};
use super::frame::{Frame, role_name, show};
use super::menu::Section;
use super::sign_in::{checked, too_many};
use super::visit::{self, SignedIn};
use crate::actions::sign_in::{self, Attempt, Choice};
use crate::actions::{ActionError, passkey, session};
use crate::store;
use crate::store::sign_in_session::SignInSession;
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/account", get(look))
        .route("/account/sessions/end", post(end))
        .route("/account/sessions/end-others", post(end_others))
        .route("/account/password", get(ask_password).post(change_password))
        .route("/account/recovery-codes", post(renew_codes))
}

/// A session as its owner sees it.
#[derive(Debug)]
struct SessionRow {
    id: String,
    browser: String,
    way: &'static str,
    created: String,
    seen: String,
    is_here: bool,
}

#[derive(Template)]
#[template(path = "pages/account.html")]
struct AccountPage<'a> {
    frame: Frame,
    name: &'a str,
    email: &'a str,
    role: &'static str,
    area: String,
    sessions: Vec<SessionRow>,
    has_password: bool,
    codes_left: i64,
    has_passkeys: bool,
    passkeys: Vec<PasskeyRow>,
}

/// A passkey as its owner sees it.
#[derive(Debug)]
struct PasskeyRow {
    id: String,
    name: String,
    created: String,
    used: String,
}

/// What was done just before.
#[derive(Debug, Default, Deserialize)]
struct DoneQuery {
    #[serde(default)]
    done: String,
}

async fn look(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<DoneQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let operator = &who.visitor.operator;
    let mut session = web.desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    let sessions = store::sign_in_session::of_operator(&mut session, &operator.id).await?;
    let credential = store::credential::get(&mut session, &operator.id).await?;
    let codes_left = store::credential::recovery_codes_left(&mut session, &operator.id).await?;
    let passkeys = store::passkey::of_operator(&mut session, &operator.id).await?;
    drop(session);
    let frame = Frame::of(&web, &headers, &who, (Section::Account, "Mitt konto")).await;
    let frame = frame.with_notice(match query.done.as_str() {
        "password" => Some("Lösenordet är bytt. Dina andra inloggningar är avslutade."),
        "passkey" => Some("Passkeyn är tillagd. Du kan logga in med den nästa gång."),
        "passkey-removed" => Some("Passkeyn är borttagen."),
        "ended" => Some("Inloggningen är avslutad."),
        "others" => Some("Alla andra inloggningar är avslutade."),
        _ => None,
    });
    let live = sessions.into_iter().filter(|row| session::ends_at(&web.desk, row) > web.desk.now());
    let page = AccountPage {
        name: &operator.name,
        email: &operator.email,
        role: role_name(who.visitor.actor.role),
        area: tree.get(&operator.area_code).map_or_else(String::new, |area| area.name.clone()),
        sessions: live.map(|row| session_row(&frame, &who, row)).collect(),
        has_password: credential.is_some_and(|credential| credential.confirmed_at.is_some()),
        codes_left,
        has_passkeys: passkey::is_available(&web.desk.config),
        passkeys: passkeys.into_iter().map(|one| passkey_row(&frame, one)).collect(),
        frame,
    };
    show(StatusCode::OK, &page)
}

fn passkey_row(frame: &Frame, one: store::passkey::Passkey) -> PasskeyRow {
    PasskeyRow {
        created: frame.wall.short(one.created_at),
        used: one.last_used_at.map_or_else(|| "Aldrig".to_owned(), |at| frame.wall.short(at)),
        id: one.id,
        name: one.name,
    }
}

fn session_row(frame: &Frame, who: &SignedIn, row: SignInSession) -> SessionRow {
    SessionRow {
        way: match row.way.as_str() {
            "password" => "Lösenord och kod",
            "passkey" => "Passkey",
            "proxy" | "oidc" => "Organisationens inloggning",
            _ => "Inloggningslänk",
        },
        created: frame.wall.short(row.created_at),
        seen: frame.wall.short(row.seen_at),
        is_here: row.id == who.visitor.session.id,
        browser: row.browser,
        id: row.id,
    }
}

async fn end(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    session::end(&web.desk, &mut session, &form.who.visitor, form.fields.text("id")).await?;
    session.commit().await?;
    Ok(Redirect::to("/account?done=ended").into_response())
}

async fn end_others(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    session::end_others(&web.desk, &mut session, &form.who.visitor).await?;
    session.commit().await?;
    Ok(Redirect::to("/account?done=others").into_response())
}

#[derive(Template)]
#[template(path = "pages/password.html")]
struct PasswordPage<'a> {
    frame: Frame,
    faults: Faults,
    email: &'a str,
}

async fn ask_password(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    password_page(&web, &headers, &who, (StatusCode::OK, Faults::default())).await
}

async fn password_page(
    web: &Web,
    headers: &HeaderMap,
    who: &SignedIn,
    (status, faults): (StatusCode, Faults),
) -> Result<Response, Problem> {
    let frame = Frame::of(web, headers, who, (Section::Account, "Byt lösenord")).await.with_width("narrow");
    let email = &who.visitor.operator.email;
    show(status, &PasswordPage { frame: frame.with_faults(!faults.is_empty()), faults, email })
}

async fn change_password(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let (fields, who) = (&form.fields, &form.who);
    let email = who.visitor.operator.email.as_str();
    let attempt = Attempt { email, password: fields.text("current"), code: fields.text("code") };
    let choice = Choice { password: fields.text("password"), repeated: fields.text("repeated") };
    let hash = {
        let _turn = web.sign_in_limits.turn_to_hash().await;
        sign_in::hash_choice(&who.visitor, choice).await
    };
    let hash = match hash {
        Ok(hash) => hash,
        Err(ActionError::Invalid(faults)) => {
            let faults = Faults::new(faults);
            return password_page(&web, &form.headers, who, (StatusCode::UNPROCESSABLE_ENTITY, faults)).await;
        }
        Err(error) => return Err(error.into()),
    };
    let checked = match checked(&web, (&form.headers, form.address), attempt).await {
        Ok(checked) => checked,
        Err(problem) => {
            let Some(wait) = problem.retry_after() else { return Err(problem) };
            let wait = too_many(wait);
            return password_page(&web, &form.headers, who, (StatusCode::TOO_MANY_REQUESTS, wait)).await;
        }
    };
    let mut session = web.desk.store.begin().await?;
    let by = (&checked, attempt.code, hash);
    let opened = sign_in::change_password(&web.desk, &mut session, &who.visitor, by).await?;
    session.commit().await?;
    let Some(opened) = opened else {
        let detail = "Det nuvarande lösenordet eller koden stämmer inte. En kod går bara att använda en gång.";
        let faults = Faults::one("current", "session.refused", detail);
        return password_page(&web, &form.headers, who, (StatusCode::UNPROCESSABLE_ENTITY, faults)).await;
    };
    let mut response = Redirect::to("/account?done=password").into_response();
    visit::sign_in(&web, &mut response, &opened.token);
    Ok(response)
}

async fn renew_codes(State(web): State<Web>, form: ProvenForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    let codes = sign_in::renew_recovery_codes(&web.desk, &mut session, &form.who.visitor).await?;
    session.commit().await?;
    let frame = Frame::of(&web, &form.headers, &form.who, (Section::Account, "Dina reservkoder")).await;
    show(StatusCode::OK, &CodesPage { frame, codes: &codes, is_first: false })
}
