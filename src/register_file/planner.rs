//! Owns the decision: what is to be done with each row, given the file so far and what the register knows.
//!
//! It does not look anything up and stores nothing. A caller feeds rows in chunks: [`Planner::prepare`] each, look the
//! [`PreparedRow::keys`] of the chunk up, then [`Planner::plan`] each in order. Invariant: a row that is to be stored has
//! a [`ContactPerson`] that passed validation; a row of any other action has none.

use super::finding::{Action, Change, Code, Findings, Weight};
use super::geography::{self, Geography};
use super::known::{Known, KnownPerson, MatchKeys};
use super::merging::{Outcome, fold_into, update};
use super::note_cell;
use super::reading::{self, Verdict};
use super::row::{Answer, Draft, RowCells};
use super::seen::{Seen, SeenRow};
use super::survey::Survey;
use super::table::RawRow;
use crate::domain::area::AreaTree;
use crate::domain::contact_person::{CONFIRMED_HOUSEHOLDS, ContactPerson, Field, Values, validate};

/// Plans the rows of one file, in order.
pub struct Planner<'a> {
    tree: &'a AreaTree,
    survey: Survey,
    geography: Geography,
    seen: Seen,
}

/// A row that is read, and not yet compared with others.
#[derive(Debug, Clone)]
pub struct PreparedRow {
    draft: Draft,
    cells: RowCells,
    verdict: Verdict,
    keys: MatchKeys,
}

/// What is to be done with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRow {
    /// Number of the row, from 1 after the heading.
    pub row: u64,
    /// Physical line it begins on.
    pub line: u64,
    /// What is to be done.
    pub action: Action,
    /// Why, in the order of `Code`.
    pub codes: Vec<String>,
    /// What the operator is told first; may be empty.
    pub message: String,
    /// Everything the operator is told.
    pub messages: Vec<String>,
    /// The values as they may be shown: canonical, and without contact details where these are withheld.
    pub values: Values,
    /// Fields changed, by the importer or in the register.
    pub changes: Vec<Change>,
    /// Those of the changes that concern the register.
    pub updates: Vec<Change>,
    /// Repaired values that are offered; a field may have several.
    pub offers: Vec<(Field, String)>,
    /// What is to be stored with `new`, `warn` and `update`.
    pub person: Option<ContactPerson>,
    /// The person in the register that the row is.
    pub known_id: Option<String>,
    /// The row as it stood, to be planned again when it is answered. Personal numbers are cut out.
    pub cells: RowCells,
}

impl PreparedRow {
    /// What the register must be asked for.
    #[must_use]
    pub fn keys(&self) -> &MatchKeys {
        &self.keys
    }

    /// The values as they were read, also those that may not be shown.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.draft.values
    }
}

impl<'a> Planner<'a> {
    /// A planner for the file that was surveyed.
    #[must_use]
    pub fn new(tree: &'a AreaTree, survey: Survey, geography: Geography) -> Self {
        Self { tree, survey, geography, seen: Seen::default() }
    }

    /// What the first reading found out.
    #[must_use]
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Reads a row.
    #[must_use]
    pub fn prepare(&self, row: u64, raw: &RawRow) -> PreparedRow {
        let cells = RowCells::of(row, raw, &self.survey.headings);
        match reading::no_person(raw, &cells, &self.survey.headings) {
            Some((code, message)) => {
                let mut draft = Draft { row, line: raw.line, ..Draft::default() };
                draft.tell(code, "", message);
                let keys = MatchKeys::default();
                PreparedRow { draft, cells, verdict: Verdict::Final(Action::Skip), keys }
            }
            None => self.prepare_cells(cells, &Answer::default()),
        }
    }

    /// Reads a row again about which an operator has answered. Questions that were not asked before are still asked.
    #[must_use]
    pub fn prepare_answered(&self, cells: RowCells, answer: &Answer) -> PreparedRow {
        self.prepare_cells(cells, answer)
    }

    /// Decides about a row, given what `known` of the register its keys have found.
    pub fn plan(&mut self, prepared: PreparedRow, known: &Known) -> PlannedRow {
        let PreparedRow { mut draft, cells, verdict, .. } = prepared;
        if let Verdict::Final(action) = verdict {
            return planned(draft, cells, action);
        }
        if let Some(row) = self.seen.with_same_cells(&cells.cells) {
            draft.findings = Findings::default();
            draft.tell(Code::Duplicate, row.to_string(), format!("Samma som rad {row}"));
            return planned(draft, cells, Action::Dup);
        }
        self.seen.remember_cells(cells.row, &cells.cells);
        if verdict == Verdict::Held {
            return planned(draft, cells, Action::Ask);
        }
        geography::read_area(&mut draft, &self.geography);
        // The watch area may be part of the keys, and is settled only now.
        let keys = MatchKeys::of(&draft.values);
        let outcome = self.compare(&mut draft, &keys, known);
        if outcome != Outcome::Repeated {
            self.seen.remember(draft.row, &keys, &draft.values);
        }
        let planned = self.conclude(draft, cells, outcome);
        if let Some(person) = &planned.person {
            let values = person.values(self.tree);
            self.geography.make_area(&values[Field::Municipality], &values[Field::WatchArea]);
        }
        planned
    }

    fn prepare_cells(&self, mut cells: RowCells, answer: &Answer) -> PreparedRow {
        let mut draft = Draft::new(&cells, answer);
        for field in Field::ALL {
            cells.cells[field] = note_cell::without_personal_numbers(&cells.cells[field]);
        }
        let verdict = reading::read(&mut draft, &cells, (&self.survey, &self.geography));
        let keys = if verdict == Verdict::Person { MatchKeys::of(&draft.values) } else { MatchKeys::default() };
        PreparedRow { draft, cells, verdict, keys }
    }

    /// Compares a row with the rows before it and with the register.
    fn compare(&self, draft: &mut Draft, keys: &MatchKeys, known: &Known) -> Outcome {
        if draft.values[Field::Name].is_empty() {
            return Outcome::Fresh(None);
        }
        let is_in_register = known.same_person(keys, &draft.values).is_some();
        if known.is_suppressed(keys) && !is_in_register && !draft.confirms(Code::OptedOut) {
            draft.is_withheld = true;
            draft.ask(Code::OptedOut, "Har tackat nej tidigare och är spärrad. Ska personen läggas in igen?");
            return Outcome::Fresh(None);
        }
        if let Some(earlier) = self.seen.same_person(keys, &draft.values) {
            return fold_into(draft, earlier);
        }
        if let Some(person) = known.same_person(keys, &draft.values) {
            return Outcome::Fresh(Some(Box::new(update(draft, person))));
        }
        if let Some(person) = known.probable_person(keys, &draft.values) {
            let name = &person.values[Field::Name];
            draft.ask_about(
                Code::PossibleDuplicate,
                "register",
                format!("Troligen samma person som {name} i registret. Slå ihop?"),
            );
            let merged = draft.confirms(Code::PossibleDuplicate).then(|| Box::new(update(draft, person)));
            return Outcome::Fresh(merged);
        }
        if let Some(earlier) = self.seen.probable_person(keys, &draft.values) {
            let row = earlier.row;
            draft.ask_about(
                Code::PossibleDuplicate,
                row.to_string(),
                format!("Troligen samma person som rad {row}. Slå ihop?"),
            );
            return Outcome::Fresh(None);
        }
        self.tell_shared(draft, known);
        Outcome::Fresh(None)
    }

    fn tell_shared(&self, draft: &mut Draft, known: &Known) {
        let in_row = |row: &SeenRow| (row.row.to_string(), row.values()[Field::Name].clone());
        let in_register = |person: &KnownPerson| ("register".to_owned(), person.values[Field::Name].clone());
        let mobile = draft.values[Field::Mobile].clone();
        let other = self.seen.with_mobile(&mobile).map(in_row).or_else(|| known.with_mobile(&mobile).map(in_register));
        if let (Some((argument, name)), false) = (other, mobile.is_empty()) {
            draft.warn_about(Code::SharedNumber, argument, format!("Delar mobil med {name}: får ett sms tillsammans"));
        }
        let email = draft.values[Field::Email].clone();
        let other = self.seen.with_email(&email).map(in_row).or_else(|| known.with_email(&email).map(in_register));
        if let (Some((argument, name)), false) = (other, email.is_empty()) {
            draft.warn_about(Code::SharedEmail, argument, format!("Delar e-post med {name}"));
        }
    }

    fn conclude(&self, mut draft: Draft, cells: RowCells, outcome: Outcome) -> PlannedRow {
        let Outcome::Fresh(update) = outcome else {
            let action = if draft.findings.weight() == Some(Weight::Ask) { Action::Ask } else { Action::Dup };
            return planned(draft, cells, action);
        };
        let to_store = update.as_ref().map_or(&draft.values, |update| &update.merged);
        let mut person = None;
        if draft.findings.weight() != Some(Weight::Ask) {
            match validate(to_store, self.tree, &CONFIRMED_HOUSEHOLDS) {
                Ok(valid) => person = Some(valid),
                Err(errors) => {
                    let fields: Vec<&str> = errors.iter().map(|error| error.field.name()).collect();
                    let message = errors
                        .first()
                        .map_or_else(String::new, |error| format!("{}: {}", error.field.label(), error.detail));
                    draft.ask_for_fields(Code::Invalid, fields.join(","), message);
                }
            }
        }
        let action = match (draft.findings.weight(), &update) {
            (Some(Weight::Ask), _) => Action::Ask,
            (_, Some(update)) if update.changes.is_empty() => Action::Same,
            (_, Some(_)) => Action::Update,
            (Some(Weight::Warn), None) => Action::Warn,
            _ => Action::New,
        };
        let known_id = update.as_ref().map(|update| update.id.clone());
        let mut updates = Vec::new();
        if let Some(update) = update {
            draft.values = update.merged;
            draft.changes.extend(update.changes.iter().cloned());
            updates = update.changes;
        }
        let person = person.filter(|_| action != Action::Same);
        PlannedRow { person, known_id, updates, ..planned(draft, cells, action) }
    }
}

fn planned(draft: Draft, cells: RowCells, action: Action) -> PlannedRow {
    let mut row = PlannedRow {
        row: draft.row,
        line: draft.line,
        action,
        codes: draft.findings.codes(),
        message: draft.findings.message(),
        messages: draft.findings.messages(),
        values: draft.values,
        changes: draft.changes,
        updates: Vec::new(),
        offers: draft.offers,
        person: None,
        known_id: None,
        cells,
    };
    if draft.is_withheld {
        let contacts = [Field::Mobile, Field::Phone2, Field::Email, Field::Email2];
        for field in contacts {
            row.values[field].clear();
        }
        row.changes.retain(|change| !contacts.contains(&change.field));
        row.offers.retain(|(field, _)| !contacts.contains(field));
    }
    row
}
