//! Owns the page on which somebody who came by a link chooses a password and ties an app to it.
//!
//! Invariant: the recovery codes are shown once.

use std::fmt::Write as _;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use qrcodegen::{QrCode, QrCodeEcc};

use super::form::{ArrivingForm, Faults};
use super::frame::{Frame, show};
use super::visit::{self, Arriving, SignedIn};
use crate::actions::ActionError;
use crate::actions::sign_in::{self, Choice};
use crate::domain::one_time_code;
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/enrol", get(ask).post(take))
}

/// A QR code as an SVG path.
#[derive(Debug)]
struct QrPath {
    /// Modules on a side, with the quiet zone of four around.
    size: i32,
    /// One square for every dark module.
    path: String,
}

#[derive(Template)]
#[template(path = "pages/enrol.html")]
struct EnrolPage<'a> {
    frame: Frame,
    faults: Faults,
    email: &'a str,
    secret: String,
    qr: Option<QrPath>,
}

async fn ask(State(web): State<Web>, headers: HeaderMap, Arriving(who): Arriving) -> Result<Response, Problem> {
    if who.visitor.session.state == "open" {
        return Ok(Redirect::to("/").into_response());
    }
    page(&web, &headers, &who, Faults::default()).await
}

async fn page(web: &Web, headers: &HeaderMap, who: &SignedIn, faults: Faults) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let credential = sign_in::enrolment(&mut session, &who.visitor).await?;
    drop(session);
    let email = who.visitor.operator.email.as_str();
    let address = one_time_code::app_address(&credential.totp_secret, email);
    let frame = Frame::of_stranger(web, headers, &who.form_token, "Välj lösenord");
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = EnrolPage {
        frame: frame.with_faults(!faults.is_empty()),
        faults,
        email,
        secret: in_fours(&credential.totp_secret),
        qr: address.and_then(|address| qr(&address)),
    };
    show(status, &page)
}

async fn take(State(web): State<Web>, form: ArrivingForm) -> Result<Response, Problem> {
    let (fields, who) = (&form.fields, &form.who);
    if who.visitor.session.state == "open" {
        return Ok(Redirect::to("/").into_response());
    }
    let choice = Choice { password: fields.text("password"), repeated: fields.text("repeated") };
    let done = async {
        let _turn = web.sign_in_limits.turn_to_hash().await;
        let hash = sign_in::hash_choice(&who.visitor, choice).await?;
        let mut session = web.desk.store.begin().await?;
        let done = sign_in::enrol(&web.desk, &mut session, &who.visitor, (hash, fields.text("code"))).await?;
        session.commit().await?;
        Ok(done)
    };
    match done.await {
        Ok((opened, codes)) => {
            let frame = Frame::of_stranger(&web, &form.headers, &who.form_token, "Dina reservkoder");
            let mut response = show(StatusCode::OK, &CodesPage { frame, codes: &codes, is_first: true })?;
            visit::sign_in(&web, &mut response, &opened.token);
            visit::remember_browser(&web, &form.headers, &mut response, &who.visitor.operator.email);
            Ok(response)
        }
        Err(ActionError::Invalid(faults)) => page(&web, &form.headers, who, Faults::new(faults)).await,
        Err(error) => Err(error.into()),
    }
}

/// The page that shows recovery codes, once.
#[derive(Template)]
#[template(path = "pages/codes.html")]
pub(super) struct CodesPage<'a> {
    /// What stands around it.
    pub frame: Frame,
    /// The codes.
    pub codes: &'a [String],
    /// Whether the person has just arrived.
    pub is_first: bool,
}

fn in_fours(secret: &str) -> String {
    let letters: Vec<char> = secret.chars().collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

fn qr(text: &str) -> Option<QrPath> {
    const QUIET: i32 = 4;
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            let _ = write!(path, "M{},{}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    Some(QrPath { size: code.size() + 2 * QUIET, path })
}
