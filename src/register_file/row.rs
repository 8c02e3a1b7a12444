//! Owns one row on its way: its cells by field, what they were read as, and what was found.
//!
//! It does not know other rows or the register. Invariant: a field is either settled in `values`, or empty there.

use super::finding::{Change, Code, Finding, Findings, Weight};
use super::heading::{Column, Headings};
use super::table::RawRow;
use super::{cell, note_cell};
use crate::domain::contact_person::{Field, Values};

/// Which fields something is true of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldSet(u32);

impl FieldSet {
    /// Adds a field.
    pub fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u32;
    }

    /// A set of these fields.
    #[must_use]
    pub fn of(fields: impl IntoIterator<Item = Field>) -> Self {
        let mut set = Self::default();
        fields.into_iter().for_each(|field| set.insert(field));
        set
    }

    /// Takes a field away.
    pub fn remove(&mut self, field: Field) {
        self.0 &= !(1 << field as u32);
    }

    /// The fields in the set.
    pub fn iter(self) -> impl Iterator<Item = Field> {
        Field::ALL.into_iter().filter(move |field| self.has(*field))
    }

    /// Whether the field is in the set.
    #[must_use]
    pub fn has(self, field: Field) -> bool {
        self.0 & (1 << field as u32) != 0
    }
}

/// The cells of a row by field, as they stood in the file; what is kept of a row that waits for an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowCells {
    /// Number of the row, from 1 after the heading.
    pub row: u64,
    /// Physical line it begins on.
    pub line: u64,
    /// The cells.
    pub cells: Values,
    /// Fields the file has a column for.
    pub columns: FieldSet,
    /// How many cells it has, where that is not how many were expected.
    pub wrong_width: Option<(usize, usize)>,
}

impl RowCells {
    /// Sorts the cells of `raw` to their fields.
    #[must_use]
    pub fn of(row: u64, raw: &RawRow, headings: &Headings) -> Self {
        let mut cells = Values::default();
        let mut columns = FieldSet::default();
        let at = |column| headings.position(column).and_then(|at| raw.cells.get(at)).map(String::as_str);
        for field in Field::ALL {
            if headings.has(field) {
                columns.insert(field);
                cells[field] = at(Column::Field(field)).unwrap_or_default().to_owned();
            }
        }
        if let (false, Some(first)) = (headings.has(Field::Name), at(Column::FirstName)) {
            cells[Field::Name] = format!("{first} {}", at(Column::LastName).unwrap_or_default()).trim().to_owned();
            columns.insert(Field::Name);
        }
        Self { row, line: raw.line, cells, columns, wrong_width: wrong_width(raw, headings) }
    }

    /// Whether every cell is blank.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        Field::ALL.iter().all(|field| self.cells[*field].trim().is_empty())
    }
}

/// Cells beyond the headings count when they hold something; missing ones when more is missing than notes and second
/// numbers, which programs leave out at the end of a row.
fn wrong_width(raw: &RawRow, headings: &Headings) -> Option<(usize, usize)> {
    let expected = headings.columns.len();
    let extra = raw.cells.iter().skip(expected).any(|cell| !cell.trim().is_empty());
    let is_dispensable =
        |column| matches!(column, None | Some(Column::Field(Field::Note | Field::Phone2 | Field::Email2)));
    let missing = headings.columns.iter().skip(raw.cells.len()).any(|found| !is_dispensable(found.column));
    (extra || missing).then_some((raw.cells.len(), expected))
}

/// What an operator has answered about a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// What was asked and is answered with yes.
    pub asked: Vec<Code>,
    /// Fields put in place of the row's cells.
    pub fields: Vec<(Field, String)>,
}

/// A row being read.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub row: u64,
    pub line: u64,
    /// The cells made readable; empty where they mean nothing.
    pub texts: Values,
    /// What they were read as: canonical values.
    pub values: Values,
    pub findings: Findings,
    pub changes: Vec<Change>,
    /// Repaired values that are offered, not applied.
    pub offers: Vec<(Field, String)>,
    /// Fields the file has a column for.
    pub columns: FieldSet,
    /// Fields the row says something about; the others leave the register as it is.
    pub given: FieldSet,
    /// Fields whose text is nothing but text.
    pub literal: FieldSet,
    /// Fields that an operator has answered.
    pub answered: FieldSet,
    /// Fields emptied because a question about them is open.
    pub open: FieldSet,
    /// Whether the person's data are protected.
    pub is_protected: bool,
    /// What an operator was asked about the row and has said yes to.
    pub confirmed: Vec<Code>,
    /// Whether it is open who the person is, or whether the person may be stored: contact details are not shown.
    pub is_withheld: bool,
    /// Whether alerts were switched off because nothing can receive them.
    pub alerts_switched_off: bool,
    /// Country of a foreign mobile.
    pub foreign_country: Option<String>,
}

impl Draft {
    /// Takes over the cells, made readable. `answers` replace them.
    pub fn new(cells: &RowCells, answer: &Answer) -> Self {
        let confirmed = answer.asked.clone();
        let mut draft = Self { row: cells.row, line: cells.line, columns: cells.columns, confirmed, ..Self::default() };
        for field in Field::ALL {
            let answered = answer.fields.iter().find(|(answered, _)| *answered == field);
            if answered.is_some() {
                draft.answered.insert(field);
                draft.columns.insert(field);
            }
            draft.take_cell(field, answered.map_or(&cells.cells[field], |(_, text)| text));
        }
        draft
    }

    fn take_cell(&mut self, field: Field, raw: &str) {
        let cell = cell::clean(raw, field.has_lines());
        if cell.was_mojibake {
            self.warn(
                Code::Mojibake,
                format!("Teckenkodning rättad: {}", note_cell::without_personal_numbers(&cell.text)),
            );
            self.change(field, raw.to_owned(), cell.text.clone());
        }
        if cell.had_control {
            self.warn(Code::ControlCharacter, "Styrtecken borttagna");
        }
        if cell.is_literal {
            self.literal.insert(field);
        }
        if !cell.text.is_empty() {
            self.given.insert(field);
        }
        self.texts[field] = cell.text;
    }

    /// The readable text of a cell.
    pub fn text(&self, field: Field) -> &str {
        &self.texts[field]
    }

    /// Makes a cell count as empty.
    pub fn clear(&mut self, field: Field) {
        self.texts[field].clear();
        self.given.remove(field);
    }

    /// Settles a field.
    pub fn settle(&mut self, field: Field, value: impl Into<String>) {
        self.values[field] = value.into();
    }

    /// An automatic change of a field that the operator sees before and after.
    pub fn change(&mut self, field: Field, before: impl Into<String>, after: impl Into<String>) {
        self.changes.push(Change { field, before: before.into(), after: after.into() });
    }

    pub fn tell(&mut self, code: Code, argument: impl Into<String>, message: impl Into<String>) {
        self.find(code, argument.into(), message.into(), Weight::Told);
    }

    pub fn warn(&mut self, code: Code, message: impl Into<String>) {
        self.find(code, String::new(), message.into(), Weight::Warn);
    }

    /// As [`Draft::warn`], with an argument to the code.
    pub fn warn_about(&mut self, code: Code, argument: impl Into<String>, message: impl Into<String>) {
        self.find(code, argument.into(), message.into(), Weight::Warn);
    }

    /// A question that an operator answers with yes or no: yes lets the row in as it was offered.
    pub fn ask(&mut self, code: Code, message: impl Into<String>) {
        self.ask_about(code, String::new(), message);
    }

    /// As [`Draft::ask`], with an argument to the code.
    pub fn ask_about(&mut self, code: Code, argument: impl Into<String>, message: impl Into<String>) {
        let weight = if self.confirms(code) { Weight::Told } else { Weight::Ask };
        self.find(code, argument.into(), message.into(), weight);
    }

    /// Whether an operator has said yes to this question.
    pub fn confirms(&self, code: Code) -> bool {
        self.confirmed.contains(&code)
    }

    /// Asks whether `value` was meant; an operator's yes settles it.
    pub fn ask_whether(&mut self, code: Code, field: Field, value: &str) {
        self.ask(code, format!("Menade du {value}?"));
        if self.confirms(code) {
            self.settle(field, value);
        } else {
            self.offers.push((field, value.to_owned()));
        }
    }

    /// A question that needs a value: yes alone is no answer.
    pub fn ask_for(&mut self, code: Code, message: impl Into<String>) {
        self.find(code, String::new(), message.into(), Weight::Ask);
    }

    /// As [`Draft::ask_for`], about the fields named.
    pub fn ask_for_fields(&mut self, code: Code, fields: impl Into<String>, message: impl Into<String>) {
        self.find(code, fields.into(), message.into(), Weight::Ask);
    }

    fn find(&mut self, code: Code, argument: String, message: String, weight: Weight) {
        self.findings.add(Finding { code, argument, message, weight });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(headings: &str, row: &str) -> RowCells {
        let split = |line: &str| line.split(';').map(str::to_owned).collect::<Vec<_>>();
        RowCells::of(1, &RawRow { line: 2, cells: split(row) }, &Headings::of(&split(headings)))
    }

    #[test]
    fn first_name_and_surname_make_the_name() {
        assert_eq!(cells("Förnamn;Efternamn;Ort", "Anna;Hedin;Sveg").cells[Field::Name], "Anna Hedin");
    }

    #[test]
    fn only_columns_that_matter_are_missed() {
        let headings = "Namn;Mobil;Kommun;Anteckning";
        for (row, expected) in [
            ("a;b;c;d", None),
            ("a;b;c;d;;", None),
            ("a;b;c", None),
            ("a;b", Some((2, 4))),
            ("a;b;c;d;;e", Some((6, 4))),
        ] {
            assert_eq!(cells(headings, row).wrong_width, expected, "{row}");
        }
    }
}
