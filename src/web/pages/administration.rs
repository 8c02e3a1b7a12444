//! Owns what the pages of administration share: their tabs, and the areas and roles to choose from.

use axum::Router;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

use super::frame::role_name;
use super::visit::SignedIn;
use crate::actions::require;
use crate::domain::area::{AreaKind, AreaTree};
use crate::domain::operator::{Actor, Right, Role};
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/admin", get(first))
}

async fn first(who: SignedIn) -> Result<Response, Problem> {
    require(who.actor(), Right::Administer)?;
    Ok(Redirect::to("/admin/operators").into_response())
}

/// Something to choose in a list.
#[derive(Debug, Clone)]
pub struct Choosable {
    /// What is sent.
    pub code: String,
    /// What it says.
    pub text: String,
    /// Whether it is chosen.
    pub is_chosen: bool,
}

/// Every role, with what it may do in a few words.
#[must_use]
pub fn roles(chosen: &str) -> Vec<Choosable> {
    let what = |role| match role {
        Role::Operator => "skickar sms och följer dem",
        Role::Chief => "brev, granskning, register",
        Role::Officer => "svar från kontaktombud",
        Role::Admin => "allt, även vem som kommer in",
        Role::Auditor => "läser logg, beslut och rapporter",
    };
    let choosable = |role: Role| Choosable {
        code: role.code().to_owned(),
        text: format!("{}: {}", role_name(role), what(role)),
        is_chosen: role.code() == chosen,
    };
    Role::ALL.into_iter().map(choosable).collect()
}

/// The areas that the actor may give somebody: their own and those below, down to municipalities.
#[must_use]
pub fn areas(tree: &AreaTree, actor: &Actor, chosen: &str) -> Vec<Choosable> {
    let mut found = Vec::new();
    add_area(tree, &actor.area, (0, chosen), &mut found);
    found
}

fn add_area(tree: &AreaTree, code: &str, (depth, chosen): (usize, &str), into: &mut Vec<Choosable>) {
    let Some(area) = tree.get(code) else { return };
    if matches!(area.kind, AreaKind::WatchArea | AreaKind::DrillGroup) && depth > 0 {
        return;
    }
    // A list shows no tree: what lies below is moved in.
    let text = format!("{}{}", "\u{2003}".repeat(depth), area.name);
    into.push(Choosable { code: code.to_owned(), text, is_chosen: code == chosen });
    for below in tree.children(code) {
        add_area(tree, &below.code, (depth + 1, chosen), into);
    }
}

/// What an area is called; its code when it is not known.
#[must_use]
pub fn area_name(tree: &AreaTree, code: &str) -> String {
    tree.get(code).map_or_else(|| code.to_owned(), |area| area.name.clone())
}
