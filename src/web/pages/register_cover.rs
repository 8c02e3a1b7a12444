//! Owns how well areas are covered: persons, households, who is reached and why others are not, area by area.
//!
//! It reads no person. Invariant: the rows of a table add up to the row of the area above.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::frame::{Frame, show};
use super::menu::Section;
use super::register_words::area_words;
use super::time::number;
use super::visit::SignedIn;
use crate::actions::ActionError;
use crate::actions::register;
use crate::domain::area::{Area, AreaKind, AreaTree};
use crate::store;
use crate::store::register::AreaCover;
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/register/coverage", get(open))
}

/// An area and all below it, in words.
#[derive(Debug)]
pub struct CoverRow {
    /// Code.
    pub code: String,
    /// Name.
    pub name: String,
    /// Contact persons.
    pub persons: String,
    /// Households they state.
    pub households: String,
    /// Persons reached by SMS.
    pub by_sms: String,
    /// Households behind those.
    pub households_by_sms: String,
    /// Persons reached by e-mail.
    pub by_email: String,
    /// Persons whom an SMS does not reach.
    pub not_by_sms: String,
    /// Why not.
    pub reasons: String,
    /// Whether nobody is there, in an area that somebody should be in.
    pub is_bare: bool,
    /// Whether everything hangs on one person.
    pub is_fragile: bool,
    /// Watch areas below it with nobody or one person.
    pub weak: usize,
}

impl CoverRow {
    /// The row of the area `code`.
    #[must_use]
    pub fn of(tree: &AreaTree, cover: &BTreeMap<String, AreaCover>, code: &str) -> Self {
        let within = tree.subtree([code]);
        let sum = sum(within.iter().filter_map(|code| cover.get(code)));
        let leaves = within.iter().filter_map(|code| tree.get(code)).filter(|area| area.kind == AreaKind::WatchArea);
        let weak = leaves.filter(|area| area.code != code && persons_in(cover, area) < 2).count();
        let is_leaf = tree.get(code).is_some_and(|area| area.kind.is_leaf());
        Self {
            code: code.to_owned(),
            name: tree.get(code).map_or_else(|| code.to_owned(), |area| area.name.clone()),
            persons: number(sum.contact_persons),
            households: number(sum.households),
            by_sms: number(sum.by_sms),
            households_by_sms: number(sum.households_by_sms),
            by_email: number(sum.by_email),
            not_by_sms: number(sum.contact_persons - sum.by_sms),
            reasons: reasons(&sum),
            is_bare: sum.contact_persons == 0,
            is_fragile: is_leaf && sum.contact_persons == 1,
            weak,
        }
    }
}

fn persons_in(cover: &BTreeMap<String, AreaCover>, area: &Area) -> i64 {
    cover.get(&area.code).map_or(0, |one| one.contact_persons)
}

fn sum<'a>(rows: impl Iterator<Item = &'a AreaCover>) -> AreaCover {
    rows.fold(AreaCover::default(), |sum, row| AreaCover {
        area_code: String::new(),
        contact_persons: sum.contact_persons + row.contact_persons,
        households: sum.households + row.households,
        by_sms: sum.by_sms + row.by_sms,
        households_by_sms: sum.households_by_sms + row.households_by_sms,
        by_email: sum.by_email + row.by_email,
        no_mobile: sum.no_mobile + row.no_mobile,
        unwilling: sum.unwilling + row.unwilling,
        paused: sum.paused + row.paused,
        out_of_reach: sum.out_of_reach + row.out_of_reach,
        protected: sum.protected + row.protected,
    })
}

fn reasons(sum: &AreaCover) -> String {
    let parts = [(sum.no_mobile, "utan mobil"), (sum.unwilling, "vill inte ha sms"), (sum.paused, "pausade")];
    let told: Vec<String> =
        parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("{} {words}", number(n))).collect();
    told.join(", ")
}

/// The municipalities within `area`, in order of name; none when it is one itself or lies in one.
#[must_use]
pub fn municipalities(tree: &AreaTree, cover: &BTreeMap<String, AreaCover>, area: &str) -> Vec<CoverRow> {
    let within = tree.iter().filter(|one| one.kind == AreaKind::Municipality && tree.is_within(&one.code, area));
    let mut rows: Vec<CoverRow> = within.map(|one| CoverRow::of(tree, cover, &one.code)).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// What is missing in the register, as counts in words; zero is an empty text.
#[derive(Debug)]
pub struct Gaps {
    /// Persons without number and e-mail.
    pub out_of_reach: String,
    /// Watch areas with one person only.
    pub fragile: String,
    /// Watch areas with nobody.
    pub bare: String,
    /// Protected identities.
    pub protected: String,
}

/// What is missing within `area`.
#[must_use]
pub fn gaps(tree: &AreaTree, cover: &BTreeMap<String, AreaCover>, area: &str) -> Gaps {
    let within = tree.subtree([area]);
    let all = sum(within.iter().filter_map(|code| cover.get(code)));
    let leaves = within.iter().filter_map(|code| tree.get(code)).filter(|area| area.kind == AreaKind::WatchArea);
    let counts: Vec<i64> = leaves.map(|area| persons_in(cover, area)).collect();
    let told = |n: usize| if n == 0 { String::new() } else { number(i64::try_from(n).unwrap_or(i64::MAX)) };
    let told_of = |n: i64| if n == 0 { String::new() } else { number(n) };
    Gaps {
        out_of_reach: told_of(all.out_of_reach),
        fragile: told(counts.iter().filter(|n| **n == 1).count()),
        bare: told(counts.iter().filter(|n| **n == 0).count()),
        protected: told_of(all.protected),
    }
}

/// Which areas are shown.
#[derive(Debug, Default, Deserialize)]
struct CoverQuery {
    #[serde(default)]
    area: String,
    #[serde(default)]
    show: String,
}

#[derive(Template)]
#[template(path = "pages/register_cover.html")]
struct CoverPage {
    frame: Frame,
    is_weak_only: bool,
    total: CoverRow,
    rows: Vec<CoverRow>,
}

async fn open(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<CoverQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let actor = who.actor();
    let mut session = web.desk.store.read().await?;
    let cover = register::cover(&web.desk, &mut session, actor).await?;
    let tree = store::area::tree(&mut session).await?;
    drop(session);
    let area = if query.area.is_empty() { actor.area.clone() } else { query.area };
    if !tree.is_within(&area, &actor.area) {
        return Err(ActionError::NotFound.into());
    }
    let is_weak_only = query.show == "weak";
    let is_in_one = tree.municipality_of(&area).is_some();
    let name = |one: &Area| if is_in_one { one.name.clone() } else { area_words(&tree, &one.code) };
    let mut rows: Vec<CoverRow> = tree
        .subtree([area.as_str()])
        .iter()
        .filter_map(|code| tree.get(code))
        .filter(|one| one.kind == AreaKind::WatchArea || cover.contains_key(&one.code))
        .filter(|one| !is_weak_only || persons_in(&cover, one) < 2)
        .map(|one| CoverRow { name: name(one), ..CoverRow::of(&tree, &cover, &one.code) })
        .collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let total = CoverRow::of(&tree, &cover, &area);
    let title = format!("Täckning i {}", total.name);
    let frame = Frame::of(&web, &headers, &who, (Section::Register, &title)).await;
    show(StatusCode::OK, &CoverPage { is_weak_only, total, rows, frame })
}
