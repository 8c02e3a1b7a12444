//! Owns planning rows against the register: looking up whom the rows may be about, and making areas and records of
//! what is to be stored.
//!
//! It does not decide; `register_file` does. Invariant: what is made is marked with the import that made it.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};

use super::contact_person::{fill, values_of};
use super::{Desk, Result};
use crate::domain::area::{AreaKind, AreaTree, watch_area_code};
use crate::domain::contact_person::{ContactPerson, Field, Values};
use crate::domain::plain_text::fold;
use crate::register_file::finding::Change;
use crate::register_file::geography::{Geography, WatchArea};
use crate::register_file::known::{Known, KnownPerson, MatchKeys};
use crate::register_file::planner::{PlannedRow, Planner, PreparedRow};
use crate::register_file::row::{FieldSet, RowCells};
use crate::store::contact_person::ContactPerson as Row;
use crate::store::import::{FieldChange, Item, LookUp};
use crate::store::{self, Session};

/// What the register knows of the region.
///
/// # Errors
/// [`super::ActionError::Store`].
pub(super) async fn geography(desk: &Desk, session: &mut Session, tree: &AreaTree) -> Result<Geography> {
    let watch_areas = tree
        .iter()
        .filter(|area| area.kind == AreaKind::WatchArea)
        .filter_map(|area| Some(WatchArea { name: area.name.clone(), municipality: area.parent.clone()? }));
    let postcodes = store::import::postcodes(session).await?;
    Ok(Geography::new(tree, &desk.places, watch_areas, postcodes))
}

/// Decides about prepared rows.
///
/// # Errors
/// [`super::ActionError::Store`].
pub(super) async fn plan(
    desk: &Desk,
    session: &mut Session,
    tree: &AreaTree,
    planner: &mut Planner<'_>,
    prepared: Vec<PreparedRow>,
) -> Result<Vec<PlannedRow>> {
    let known = look_up(desk, session, tree, prepared.iter().map(PreparedRow::keys)).await?;
    Ok(prepared.into_iter().map(|row| planner.plan(row, &known)).collect())
}

/// Whom rows with these keys may be about.
///
/// # Errors
/// [`super::ActionError::Store`].
pub(super) async fn look_up<'a>(
    desk: &Desk,
    session: &mut Session,
    tree: &AreaTree,
    keys: impl Iterator<Item = &'a MatchKeys>,
) -> Result<Known> {
    let mut find = LookUp::default();
    let mut fingerprints: HashMap<String, String> = HashMap::new();
    for keys in keys {
        find.numbers.extend(keys.numbers.iter().cloned());
        find.emails.extend(keys.emails.iter().cloned());
        if !keys.name.is_empty() {
            find.names.push((keys.name.clone(), keys.address.clone()));
        }
        for (channel, text) in keys.fingerprinted() {
            fingerprints.insert(desk.token_key.fingerprint(channel, &text), text);
        }
    }
    let mut persons: Vec<KnownPerson> = Vec::new();
    let mut seen = HashSet::new();
    for row in store::import::matching(session, &find).await? {
        if seen.insert(row.id.clone()) {
            persons.push(KnownPerson {
                values: values_of(&row, tree),
                opted_out_of_sms: row.alerts_opt_out_at.is_some(),
                opted_out_of_email: row.letters_opt_out_at.is_some(),
                id: row.id,
            });
        }
    }
    let asked: Vec<String> = fingerprints.keys().cloned().collect();
    let suppressed = store::import::suppressed(session, &asked).await?;
    let suppressed = suppressed.into_iter().filter_map(|(fingerprint, _)| fingerprints.remove(&fingerprint)).collect();
    Ok(Known::new(persons, suppressed))
}

/// The watch areas, with those an import makes.
#[derive(Debug)]
pub(super) struct Areas {
    codes: BTreeSet<String>,
    by_name: HashMap<(String, String), String>,
}

impl Areas {
    /// Those of the tree.
    pub fn of(tree: &AreaTree) -> Self {
        let leaves = tree.iter().filter(|area| area.kind == AreaKind::WatchArea);
        let by_name =
            leaves.filter_map(|area| Some(((area.parent.clone()?, fold(&area.name)), area.code.clone()))).collect();
        Self { codes: tree.iter().map(|area| area.code.clone()).collect(), by_name }
    }

    /// The code of the person's watch area; made when it is missing.
    ///
    /// # Errors
    /// [`super::ActionError::Store`].
    pub async fn code_of(
        &mut self,
        session: &mut Session,
        person: &ContactPerson,
        (import_id, now): (&str, i64),
    ) -> Result<String> {
        let key = (person.municipality.clone(), fold(&person.watch_area));
        if let Some(code) = self.by_name.get(&key) {
            return Ok(code.clone());
        }
        let plain = watch_area_code(&person.municipality, &person.watch_area);
        let code = (1..)
            .map(|n| if n == 1 { plain.clone() } else { format!("{plain}-{n}") })
            .find(|code| !self.codes.contains(code))
            .expect("a free number exists");
        let area = (code.as_str(), person.watch_area.as_str(), person.municipality.as_str());
        store::import::add_area(session, area, import_id, now).await?;
        self.codes.insert(code.clone());
        self.by_name.insert(key, code.clone());
        Ok(code)
    }
}

/// A record of a person that an import adds, not published yet.
pub(super) fn record(desk: &Desk, person: &ContactPerson, area_code: &str, import_id: &str) -> Row {
    let now = desk.now();
    let mut row = Row {
        id: desk.id(),
        import_id: Some(import_id.to_owned()),
        created_at: now,
        erased_at: Some(store::import::UNPUBLISHED),
        ..Row::default()
    };
    fill(&mut row, person, area_code, now);
    row
}

/// What is shown of a planned row.
pub(super) fn item(planned: &PlannedRow) -> Item {
    let fields = Field::ALL.into_iter().filter(|field| !planned.values[*field].is_empty());
    Item {
        codes: planned.codes.clone(),
        message: planned.message.clone(),
        messages: planned.messages.clone(),
        fields: fields.map(|field| (field.name().to_owned(), planned.values[field].clone())).collect(),
        changes: planned.changes.iter().map(field_change).collect(),
        offers: planned.offers.iter().map(|(field, value)| (field.name().to_owned(), value.clone())).collect(),
        answered: false,
    }
}

/// A change as it is stored.
pub(super) fn field_change(change: &Change) -> FieldChange {
    FieldChange { name: change.field.name().to_owned(), before: change.before.clone(), after: change.after.clone() }
}

/// The cells of a row that waits, as JSON.
pub(super) fn cells_json(cells: &RowCells) -> Value {
    let filled = Field::ALL.into_iter().filter(|field| !cells.cells[*field].is_empty());
    let texts: serde_json::Map<String, Value> =
        filled.map(|field| (field.name().to_owned(), json!(cells.cells[field]))).collect();
    let columns: Vec<&str> = cells.columns.iter().map(Field::name).collect();
    json!({ "cells": texts, "columns": columns, "wrong_width": cells.wrong_width })
}

/// The cells that [`cells_json`] has written.
pub(super) fn cells_of(json: &str, (row, line): (u64, u64)) -> RowCells {
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    let mut cells = Values::default();
    for field in Field::ALL {
        value["cells"][field.name()].as_str().unwrap_or_default().clone_into(&mut cells[field]);
    }
    let columns = value["columns"].as_array().into_iter().flatten();
    let columns = FieldSet::of(columns.filter_map(|name| Field::from_name(name.as_str()?)));
    let width = |at: usize| value["wrong_width"][at].as_u64().and_then(|width| usize::try_from(width).ok());
    RowCells { row, line, cells, columns, wrong_width: width(0).zip(width(1)) }
}

/// The fields of this set as JSON, and back.
pub(super) fn field_names(fields: FieldSet) -> Vec<&'static str> {
    fields.iter().map(Field::name).collect()
}
