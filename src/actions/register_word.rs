//! Owns narrowing a search of a large register down to those who may fit, by how words, numbers and addresses begin.
//!
//! A register that is not large is searched as it is, parts within words too. It does not say who fits. Invariant: nobody who fits by
//! how something begins is left out, unless [`Narrowed::Many`] says so.

use serde_json::json;

use super::contact_person::Typed;
use super::{Desk, Result};
use crate::store::Session;
use crate::store::register_word::{self, Within};

/// Records that are looked at one by one at every key; beyond that somebody has to type more.
pub const MOST_TYPED: i64 = 400;
/// Records that are looked at one by one for a call of the API.
pub const MOST_CALLED: i64 = 2_000;

/// Where a search has to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Narrowed {
    /// Everywhere: the register is small, or nothing was typed.
    Whole,
    /// Among these records, as JSON rows.
    Few(String),
    /// More than asked for may fit; these are some of them, as JSON rows.
    Many(String),
}

/// Narrows what was typed to at most `most` records, within the areas of `areas_json`, which need not be asked for when those are all there are.
///
/// # Errors
/// [`super::ActionError::Store`].
pub async fn narrow(
    desk: &Desk,
    session: &mut Session,
    typed: &Typed,
    (areas_json, is_everywhere): (&str, bool),
    most: i64,
) -> Result<Narrowed> {
    let is_typed = !typed.words.is_empty() || !typed.number.is_empty();
    if !is_typed || !register_word::is_larger(session, i64::from(desk.config.database.rows_at_once)).await? {
        return Ok(Narrowed::Whole);
    }
    let within = Within { areas_json, is_everywhere, named_json: &typed.named_json };
    let (ids, is_many) = register_word::candidates(session, &typed.begins, within, most).await?;
    let rows: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
    let rows = json!(rows).to_string();
    Ok(if is_many { Narrowed::Many(rows) } else { Narrowed::Few(rows) })
}
