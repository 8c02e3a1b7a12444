//! Owns the pages: those for people outside, who need no sign-in and get no cookies, and the console of those who sign in.
//!
//! Invariants: a GET changes nothing, since programs follow links before people do; no rule lives in a page, every one of
//! them calls the same actions as the API.

pub mod accessibility;
pub mod account;
pub mod actor_names;
pub mod administration;
pub mod alert_answers;
pub mod alert_areas;
pub mod alert_calls;
pub mod alert_compose;
pub mod alert_draft;
pub mod alert_effect;
pub mod alert_follow_up;
pub mod alert_form;
pub mod alert_list;
pub mod alert_live;
pub mod alert_map;
pub mod alert_report;
pub mod alert_review;
pub mod alert_send;
pub mod alert_situation;
pub mod assets;
pub mod audit;
pub mod audit_words;
pub mod decision;
pub mod enrol;
pub mod fault;
pub mod form;
pub mod frame;
pub mod gateway;
pub mod health;
pub mod identity;
pub mod import_question;
pub mod key;
pub mod letter_edit;
pub mod letter_effect;
pub mod letter_form;
pub mod letter_list;
pub mod letter_live;
pub mod letter_page;
pub mod letter_paper;
pub mod letter_send;
pub mod menu;
pub mod observation;
pub mod observation_export;
pub mod observation_list;
pub mod observation_words;
pub mod operator;
pub mod own_page;
pub mod own_page_details;
pub mod own_page_enter;
pub mod own_page_extract;
pub mod own_page_letters;
pub mod own_page_visit;
pub mod passkey;
pub mod proof;
pub mod register;
pub mod register_calls;
pub mod register_cover;
pub mod register_export;
pub mod register_form;
pub mod register_hand_over;
pub mod register_import;
pub mod register_import_report;
pub mod register_import_review;
pub mod register_mail;
pub mod register_merge;
pub mod register_person;
pub mod register_words;
pub mod retention;
pub mod shift;
pub mod sign_in;
pub mod situation;
pub mod start;
pub mod theme;
pub mod time;
pub mod unsubscribe;
pub mod upload;
pub mod visit;

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::Web;

/// The style of the public pages; it stands in them, and the policy allows it by its hash.
const STYLE: &str = include_str!("../../../templates/pages/public.css");

/// The public pages.
pub fn public(web: &Web) -> Router<Web> {
    unsubscribe::router().merge(accessibility::router()).merge(own_page::all(web))
}

/// The pages of those who sign in.
pub fn console() -> Router<Web> {
    let ways_in = sign_in::router()
        .merge(identity::router())
        .merge(passkey::router())
        .merge(enrol::router())
        .merge(proof::router())
        .merge(shift::router());
    let own = account::router().merge(theme::router());
    let administration = administration::router()
        .merge(operator::router())
        .merge(key::router())
        .merge(gateway::router())
        .merge(health::router())
        .merge(retention::router())
        .merge(situation::router());
    let work = start::router().merge(decision::router()).merge(audit::router());
    let alerts = alert_compose::router()
        .merge(alert_draft::router())
        .merge(alert_send::router())
        .merge(alert_list::router())
        .merge(alert_live::router())
        .merge(alert_review::router())
        .merge(alert_follow_up::router())
        .merge(alert_answers::router())
        .merge(alert_calls::router())
        .merge(alert_report::router());
    let letters = letter_list::router()
        .merge(letter_edit::router())
        .merge(letter_page::router())
        .merge(letter_send::router())
        .merge(letter_paper::router());
    let persons = register::router()
        .merge(register_calls::router())
        .merge(register_cover::router())
        .merge(register_export::router())
        .merge(register_form::router())
        .merge(register_hand_over::router())
        .merge(register_import::router())
        .merge(register_import_report::router())
        .merge(register_import_review::router())
        .merge(register_mail::router())
        .merge(register_merge::router())
        .merge(register_person::router());
    let inbox = observation_list::router().merge(observation::router()).merge(observation_export::router());
    assets::router()
        .merge(ways_in)
        .merge(own)
        .merge(administration)
        .merge(work)
        .merge(alerts)
        .merge(letters)
        .merge(inbox)
        .merge(persons)
}

fn page_response(status: StatusCode, page: String) -> Response {
    let mut response = (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response();
    let hash = data_encoding::BASE64.encode(&Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}
