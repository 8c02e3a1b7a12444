//! Owns answers to the questions of an import.
//!
//! Yes means yes to what was asked: the row comes in as it was offered, with the operator's own values put in. No means
//! that nothing is stored; of somebody who has asked to leave, a fingerprint. Invariants: a row is answered once; a
//! question that an answer brings up is asked, never assumed.

use std::collections::BTreeSet;

use serde_json::json;

use super::import::{allowed, change_person, parsed, stored_row};
use super::import_plan::{self, Areas, cells_of, geography, look_up, record};
use super::{ActionError, Desk, FieldProblem, Result};
use crate::domain::area::AreaTree;
use crate::domain::contact_person::{CONFIRMED_HOUSEHOLDS, Field, Values, validate};
use crate::domain::operator::Actor;
use crate::register_file::finding::{Action, Code};
use crate::register_file::geography::Geography;
use crate::register_file::planner::Planner;
use crate::register_file::row::{Answer, FieldSet, RowCells};
use crate::register_file::survey::Survey;
use crate::store::contact_person::ContactPerson as Row;
use crate::store::import::{Import, ImportRow, Item};
use crate::store::{self, Session};

/// What a file says of somebody's wish to leave.
const SOURCE: &str = "register_file";

/// An answer to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowAnswer {
    /// The row's number.
    pub row: i64,
    /// Import it, or leave it out.
    pub import: bool,
    /// Values put in place of the row's.
    pub fields: Vec<(Field, String)>,
}

/// Answers rows of an import; all of the answers hold, or none.
///
/// # Errors
/// [`ActionError::Invalid`] for a row that is not waiting or a value that cannot be stored.
pub async fn answer(desk: &Desk, session: &mut Session, actor: &Actor, id: &str, answers: &[RowAnswer]) -> Result<()> {
    let tree = allowed(session, actor).await?;
    let import = store::import::get(session, id).await?.filter(|import| import.state != "running");
    let import = import.ok_or(ActionError::NotFound)?;
    if import.state == "undone" {
        return Err(ActionError::conflict("import.undone", "Importen är ångrad och kan inte besvaras."));
    }
    check(answers, &tree)?;
    let mut asking = Asking {
        desk,
        geography: geography(desk, session, &tree).await?,
        areas: Areas::of(&tree),
        tree: &tree,
        import: &import,
    };
    for (at, answer) in answers.iter().enumerate() {
        let waiting = store::import::row(session, id, answer.row).await?;
        let Some(row) = waiting.filter(|row| row.action == Action::Ask.code()) else {
            let name = format!("answers.{at}.row");
            return Err(ActionError::field(name, "import.not_asked", "Raden väntar inte på svar."));
        };
        if answer.import {
            asking.yes(session, row, answer).await?;
        } else {
            asking.no(session, row).await?;
        }
    }
    let detail = json!({ "answers": answers.len() });
    desk.audit(session, actor, "import.answered", ("import", id), detail).await
}

/// Refuses a row answered twice, and values that no contact person may have.
fn check(answers: &[RowAnswer], tree: &AreaTree) -> Result<()> {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for (at, answer) in answers.iter().enumerate() {
        if !seen.insert(answer.row) {
            problems.push(FieldProblem::new(format!("answers.{at}.row"), "import.twice", "Raden besvaras två gånger."));
        }
        let mut values = Values::default();
        for (field, value) in &answer.fields {
            values[*field].clone_from(value);
        }
        let errors = validate(&values, tree, &CONFIRMED_HOUSEHOLDS).err().unwrap_or_default();
        let given = |field: Field| answer.fields.iter().any(|(given, value)| *given == field && !value.is_empty());
        for error in errors.into_iter().filter(|error| given(error.field)) {
            let name = format!("answers.{at}.fields.{}", error.field.name());
            problems.push(FieldProblem::new(name, error.code, error.detail));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(ActionError::Invalid(problems)) }
}

/// What every answer of a call works with.
struct Asking<'a> {
    desk: &'a Desk,
    tree: &'a AreaTree,
    geography: Geography,
    areas: Areas,
    import: &'a Import,
}

impl Asking<'_> {
    async fn yes(&mut self, session: &mut Session, row: ImportRow, answer: &RowAnswer) -> Result<()> {
        let item: Item = serde_json::from_str(&row.item).unwrap_or_default();
        let cells = waiting_cells(&row);
        let mut planner = self.planner();
        let asked = item.codes.iter().filter_map(|code| Code::from_written(code)).collect();
        let prepared = planner.prepare_answered(cells, &Answer { asked, fields: answer.fields.clone() });
        let planned = import_plan::plan(self.desk, session, self.tree, &mut planner, vec![prepared]).await?;
        let planned = planned.into_iter().next().expect("one row in gives one row out");
        let mut id = planned.known_id.clone();
        if let (Action::New | Action::Warn, Some(person)) = (planned.action, &planned.person) {
            let area = self.areas.code_of(session, person, (&self.import.id, self.desk.now())).await?;
            let mut record = record(self.desk, person, &area, &self.import.id);
            record.erased_at = None;
            self.keep_opt_outs(session, &mut record).await?;
            store::contact_person::put(session, &record).await?;
            id = Some(record.id);
        }
        let mut stored = stored_row(&planned, id);
        if planned.action == Action::Update {
            let changes = parsed(stored.updates.as_deref());
            change_person(self.desk, session, (self.tree, &mut self.areas, &self.import.id), &stored, &changes).await?;
        }
        stored.item = marked_answered(&stored.item);
        Ok(store::import::put_row(session, &self.import.id, &stored).await?)
    }

    /// Nothing is stored. Who has asked to leave is remembered by fingerprint, and left alone if in the register.
    async fn no(&self, session: &mut Session, row: ImportRow) -> Result<()> {
        let item: Item = serde_json::from_str(&row.item).unwrap_or_default();
        if item.codes.iter().any(|code| code == Code::OptedOut.as_str()) {
            self.remember_leaving(session, &row).await?;
        }
        let kept = Item { codes: item.codes, message: item.message, answered: true, ..Item::default() };
        let row = ImportRow {
            action: Action::Skip.code().to_owned(),
            item: serde_json::to_string(&kept).unwrap_or_default(),
            cells: None,
            ..row
        };
        Ok(store::import::put_row(session, &self.import.id, &row).await?)
    }

    async fn remember_leaving(&self, session: &mut Session, row: &ImportRow) -> Result<()> {
        let planner = self.planner();
        let asked = vec![Code::OptedOut, Code::ProtectedIdentity];
        let prepared = planner.prepare_answered(waiting_cells(row), &Answer { asked, fields: Vec::new() });
        let keys = prepared.keys();
        let now = self.desk.now();
        for (channel, text) in keys.fingerprinted() {
            let fingerprint = self.desk.token_key.fingerprint(channel, &text);
            store::contact_person::suppress(session, (fingerprint, channel), "opted_out", now).await?;
        }
        let known = look_up(self.desk, session, self.tree, std::iter::once(keys)).await?;
        let Some(same) = known.same_person(keys, prepared.values()) else { return Ok(()) };
        let Some(mut person) = store::contact_person::get(session, &same.id).await? else { return Ok(()) };
        for (at, source) in [
            (&mut person.alerts_opt_out_at, &mut person.alerts_opt_out_source),
            (&mut person.letters_opt_out_at, &mut person.letters_opt_out_source),
        ] {
            if at.is_none() {
                *at = Some(now);
                *source = Some(SOURCE.to_owned());
            }
        }
        person.updated_at = now;
        Ok(store::contact_person::put(session, &person).await?)
    }

    /// A person whose number or address is on the suppression list comes in with the opt-out in place.
    async fn keep_opt_outs(&self, session: &mut Session, row: &mut Row) -> Result<()> {
        let now = self.desk.now();
        let opt_outs = [
            ("sms", row.mobile.clone(), &mut row.alerts_opt_out_at, &mut row.alerts_opt_out_source),
            ("email", row.email_key.clone(), &mut row.letters_opt_out_at, &mut row.letters_opt_out_source),
        ];
        for (channel, text, at, source) in opt_outs {
            let Some(text) = text else { continue };
            let fingerprint = self.desk.token_key.fingerprint(channel, &text);
            if store::contact_person::suppressed(session, &fingerprint, channel).await?.is_some() {
                *at = Some(now);
                *source = Some("suppression".to_owned());
            }
        }
        Ok(())
    }

    fn planner(&self) -> Planner<'_> {
        let file: serde_json::Value = serde_json::from_str(&self.import.file).unwrap_or_default();
        let names = file["empty_means_no"].as_array().into_iter().flatten();
        let blank_is_no = FieldSet::of(names.filter_map(|name| Field::from_name(name.as_str()?)));
        Planner::new(self.tree, Survey::without_file(blank_is_no), self.geography.clone())
    }
}

fn waiting_cells(row: &ImportRow) -> RowCells {
    let at = |n: i64| u64::try_from(n).unwrap_or(0);
    cells_of(row.cells.as_deref().unwrap_or_default(), (at(row.number), at(row.line)))
}

fn marked_answered(item: &str) -> String {
    let mut item: Item = serde_json::from_str(item).unwrap_or_default();
    item.answered = true;
    serde_json::to_string(&item).unwrap_or_default()
}
