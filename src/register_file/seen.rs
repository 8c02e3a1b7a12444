//! Owns what is remembered of the rows already planned: enough to tell a repeated person from a new one.
//!
//! Invariant: per row it keeps the values once, packed, and six numbers; nothing grows with anything but rows.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::known::{MatchKeys, brings_nothing_new, is_elsewhere, is_probably_same};
use crate::domain::contact_person::{Field, Values};
use crate::domain::email_address;

const SEPARATOR: char = '\u{1f}';

/// The rows seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    rows: Vec<SeenRow>,
    by_raw: HashMap<u64, u64>,
    by_number: HashMap<u64, u32>,
    by_number_and_name: HashMap<u64, u32>,
    by_email: HashMap<u64, u32>,
    by_email_and_name: HashMap<u64, u32>,
    by_person: HashMap<u64, u32>,
}

/// An earlier row.
#[derive(Debug)]
pub(super) struct SeenRow {
    /// Its number.
    pub row: u64,
    packed: Box<str>,
}

impl SeenRow {
    /// Its values.
    pub fn values(&self) -> Values {
        let mut values = Values::default();
        for (field, text) in Field::ALL.into_iter().zip(self.packed.split(SEPARATOR)) {
            text.clone_into(&mut values[field]);
        }
        values
    }
}

impl Seen {
    /// The earlier row with exactly these cells.
    pub fn with_same_cells(&self, cells: &Values) -> Option<u64> {
        self.by_raw.get(&raw_hash(cells)).copied()
    }

    /// Remembers the cells of a row.
    pub fn remember_cells(&mut self, row: u64, cells: &Values) {
        self.by_raw.entry(raw_hash(cells)).or_insert(row);
    }

    /// Remembers who a row is about.
    pub fn remember(&mut self, row: u64, keys: &MatchKeys, values: &Values) {
        let Ok(at) = u32::try_from(self.rows.len()) else { return };
        let packed = Field::ALL.map(|field| values[field].replace(SEPARATOR, " ")).join(&SEPARATOR.to_string());
        self.rows.push(SeenRow { row, packed: packed.into() });
        let name = &keys.name;
        for number in &keys.numbers {
            self.by_number_and_name.entry(hash(&[number, name])).or_insert(at);
        }
        for email in &keys.emails {
            self.by_email_and_name.entry(hash(&[email, name])).or_insert(at);
        }
        if !values[Field::Mobile].is_empty() {
            self.by_number.entry(hash(&[&values[Field::Mobile]])).or_insert(at);
        }
        if !values[Field::Email].is_empty() {
            self.by_email.entry(hash(&[&email_address::key(&values[Field::Email])])).or_insert(at);
        }
        if let Some(person) = keys.person() {
            self.by_person.entry(hash(&[&person])).or_insert(at);
        }
    }

    /// The earlier row about the same person; see `Known::same_person`.
    pub fn same_person(&self, keys: &MatchKeys, values: &Values) -> Option<&SeenRow> {
        let name = &keys.name;
        let numbers = keys.numbers.iter().filter_map(|number| self.by_number_and_name.get(&hash(&[number, name])));
        let emails = keys.emails.iter().filter_map(|email| self.by_email_and_name.get(&hash(&[email, name])));
        let mut by_contact = numbers.chain(emails).map(|at| &self.rows[*at as usize]);
        let by_contact = by_contact.find(|row| !is_elsewhere(values, &row.values()));
        by_contact.or_else(|| self.at_home(keys).filter(|row| brings_nothing_new(values, &row.values())))
    }

    /// The earlier row that is probably about the same person; see `Known::probable_person`.
    pub fn probable_person(&self, keys: &MatchKeys, values: &Values) -> Option<&SeenRow> {
        let is_alike = |row: &&SeenRow| is_probably_same(&row.values()[Field::Name], &values[Field::Name]);
        let sharing = || [self.with_mobile(&values[Field::Mobile]), self.with_email(&values[Field::Email])];
        self.at_home(keys).or_else(|| sharing().into_iter().flatten().find(is_alike))
    }

    /// The first earlier row with this mobile.
    pub fn with_mobile(&self, mobile: &str) -> Option<&SeenRow> {
        self.by_number.get(&hash(&[mobile])).map(|at| &self.rows[*at as usize])
    }

    /// The first earlier row with this e-mail address.
    pub fn with_email(&self, email: &str) -> Option<&SeenRow> {
        self.by_email.get(&hash(&[&email_address::key(email)])).map(|at| &self.rows[*at as usize])
    }

    fn at_home(&self, keys: &MatchKeys) -> Option<&SeenRow> {
        let key = keys.person()?;
        self.by_person.get(&hash(&[&key])).map(|at| &self.rows[*at as usize])
    }
}

fn raw_hash(cells: &Values) -> u64 {
    let cells: Vec<&str> = Field::ALL.iter().map(|field| cells[*field].trim()).collect();
    hash(&cells)
}

fn hash(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}
