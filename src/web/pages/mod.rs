//! Owns the pages for people outside: they need no sign-in and set no cookies.
//!
//! Invariant: a GET changes nothing, since programs follow links before people do.

pub mod unsubscribe;

use axum::Router;

use super::Web;

/// The public pages.
pub fn router() -> Router<Web> {
    unsubscribe::router()
}
