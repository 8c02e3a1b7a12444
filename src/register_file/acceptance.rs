//! The sixty rows of the messy register against their expected outcomes, in a register that lives in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;

use super::finding::Action;
use super::geography::{Geography, WatchArea};
use super::known::{Known, KnownPerson, MatchKeys};
use super::planner::{PlannedRow, Planner};
use super::survey::{Overrides, Survey};
use crate::config::region::Region;
use crate::domain::area::{AreaTree, Place};
use crate::domain::contact_person::{Field, Values};

const SAMPLE: &[u8] = include_bytes!("../../data/register-sample.csv");
const MESSY: &[u8] = include_bytes!("../../tests/data/register-messy.csv");
const MESSY_CP1252: &[u8] = include_bytes!("../../tests/data/register-messy-cp1252.csv");
const EXPECTED: &str = include_str!("../../tests/data/register-messy-expected.csv");

/// A register in memory, with the look-ups a store would have.
#[derive(Default)]
pub(super) struct Register {
    persons: BTreeMap<String, KnownPerson>,
    suppressed: HashSet<String>,
    by_key: HashMap<String, Vec<String>>,
}

fn region() -> &'static (AreaTree, Vec<Place>) {
    static REGION: OnceLock<(AreaTree, Vec<Place>)> = OnceLock::new();
    REGION.get_or_init(|| Region { areas: String::new() }.tree().unwrap())
}

fn key_texts(keys: &MatchKeys) -> impl Iterator<Item = String> + '_ {
    keys.numbers.iter().chain(&keys.emails).chain(&keys.person).cloned()
}

impl Register {
    pub(super) fn with_sample() -> Self {
        let mut register = Self::default();
        let rows = register.import(SAMPLE);
        assert!(rows.iter().all(|row| row.action == Action::New), "the sample needs no remark");
        register
    }

    fn geography(&self, tree: &AreaTree, places: &[Place]) -> Geography {
        let areas = self.persons.values().map(|person| WatchArea {
            name: person.values[Field::WatchArea].clone(),
            municipality: tree
                .iter()
                .find(|area| area.name == person.values[Field::Municipality] && area.code.len() == 4)
                .unwrap()
                .code
                .clone(),
        });
        let postcodes =
            self.persons.values().map(|p| (p.values[Field::Postcode].clone(), p.values[Field::Place].clone()));
        Geography::new(tree, places, areas.collect::<Vec<_>>(), postcodes.collect::<Vec<_>>())
    }

    fn known(&self, keys: &[MatchKeys]) -> Known {
        let ids: HashSet<&String> =
            keys.iter().flat_map(key_texts).filter_map(|key| self.by_key.get(&key)).flatten().collect();
        let persons = ids.into_iter().map(|id| self.persons[id].clone()).collect();
        Known::new(persons, self.suppressed.clone())
    }

    pub(super) fn plan(&self, bytes: &[u8]) -> Vec<PlannedRow> {
        let (tree, places) = region();
        let survey = Survey::of(bytes, &Overrides::default()).unwrap();
        let mut planner = Planner::new(tree, survey.clone(), self.geography(tree, places));
        let rows: Vec<_> = survey.rows_of(bytes).map(Result::unwrap).collect();
        let mut planned = Vec::new();
        for chunk in rows.chunks(1_000) {
            let prepared: Vec<_> = chunk.iter().map(|(number, row)| planner.prepare(*number, row)).collect();
            let keys: Vec<_> = prepared.iter().map(|row| row.keys().clone()).collect();
            let known = self.known(&keys);
            planned.extend(prepared.into_iter().map(|row| planner.plan(row, &known)));
        }
        planned
    }

    pub(super) fn import(&mut self, bytes: &[u8]) -> Vec<PlannedRow> {
        let rows = self.plan(bytes);
        for row in &rows {
            self.store(row);
        }
        rows
    }

    fn store(&mut self, row: &PlannedRow) {
        let (tree, _) = region();
        let Some(person) = &row.person else { return };
        let id = row.known_id.clone().unwrap_or_else(|| format!("{:06}", self.persons.len()));
        let values = person.values(tree);
        for key in key_texts(&MatchKeys::of(&values)) {
            let ids = self.by_key.entry(key).or_default();
            if !ids.contains(&id) {
                ids.push(id.clone());
            }
        }
        let before = self.persons.remove(&id).unwrap_or_default();
        self.persons.insert(id.clone(), KnownPerson { id, values, ..before });
    }

    /// Answers a row with yes and `fields`, and stores the outcome.
    fn answer(&mut self, row: &PlannedRow, fields: &[(Field, &str)]) -> PlannedRow {
        let (tree, places) = region();
        let survey = Survey::without_file(super::heading::Headings::default());
        let mut planner = Planner::new(tree, survey, self.geography(tree, places));
        let fields: Vec<_> = fields.iter().map(|(field, text)| (*field, (*text).to_owned())).collect();
        let prepared = planner.prepare_answered(row.cells.clone(), &fields);
        let known = self.known(std::slice::from_ref(prepared.keys()));
        let planned = planner.plan(prepared, &known);
        self.store(&planned);
        planned
    }
}

fn counts(rows: &[PlannedRow]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.action.code()).or_default() += 1;
    }
    counts
}

/// Expected outcomes as they are read from the file: row, line, action, mobile, email, codes, message.
fn expected(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn outcome(row: &PlannedRow) -> Vec<String> {
    vec![
        row.row.to_string(),
        row.line.to_string(),
        row.action.code().to_owned(),
        row.values[Field::Mobile].clone(),
        row.values[Field::Email].clone(),
        row.codes.join(";"),
        row.message.clone(),
    ]
}

#[test]
fn the_sample_is_a_whole_register() {
    let register = Register::with_sample();
    let households: u32 = register.persons.values().map(|p| p.values[Field::Households].parse::<u32>().unwrap()).sum();
    let areas: HashSet<_> =
        register.persons.values().map(|p| (&p.values[Field::Municipality], &p.values[Field::WatchArea])).collect();
    assert_eq!((register.persons.len(), households, areas.len()), (1_100, 10_050, 163));
}

#[test]
fn every_row_of_the_messy_register_has_its_expected_outcome() {
    let rows = Register::with_sample().plan(MESSY);
    let expected = expected(EXPECTED);
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(outcome(row), expected);
    }
}

#[test]
fn the_windows_1252_copy_differs_only_where_letters_are_lost() {
    let rows = Register::with_sample().plan(MESSY_CP1252);
    for (row, mut expected) in rows.iter().zip(expected(EXPECTED)) {
        let mut outcome = outcome(row);
        if row.row == 28 {
            assert_eq!(outcome[2], "ask");
            assert_eq!(outcome[5], "two_emails;lost_letter");
            outcome.truncate(5);
            expected.truncate(5);
            expected[2] = "ask".into();
        }
        assert_eq!(outcome, expected);
    }
}

#[test]
fn a_second_run_adds_and_changes_nothing() {
    let mut register = Register::with_sample();
    let first = counts(&register.import(MESSY));
    assert_eq!(register.persons.len(), 1_132);
    let expected =
        [("ask", 21), ("dup", 1), ("new", 12), ("reject", 1), ("same", 1), ("skip", 3), ("update", 1), ("warn", 20)];
    assert_eq!(first, BTreeMap::from(expected));
    let second = counts(&register.import(MESSY));
    assert_eq!(second, BTreeMap::from([("ask", 21), ("dup", 1), ("reject", 1), ("same", 34), ("skip", 3)]));
    assert!(register.import(SAMPLE).iter().filter(|row| row.action != Action::Same).all(|row| row.row == 3));
}

#[test]
fn other_encodings_and_line_ends_give_the_same_outcome() {
    use unicode_normalization::UnicodeNormalization;
    let text = std::str::from_utf8(MESSY).unwrap().trim_start_matches('\u{feff}');
    let register = Register::with_sample();
    let plain: Vec<_> = register.plan(MESSY).iter().map(outcome).collect();
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let tabbed = {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(b';').from_reader(text.as_bytes());
        let mut writer = csv::WriterBuilder::new().flexible(true).delimiter(b'\t').from_writer(Vec::new());
        reader.records().for_each(|record| writer.write_record(&record.unwrap()).unwrap());
        writer.into_inner().unwrap()
    };
    for (name, bytes) in [
        ("without mark", text.as_bytes().to_vec()),
        ("NFD", text.nfd().collect::<String>().into_bytes()),
        ("UTF-16LE", utf16(&format!("\u{feff}{text}"), u16::to_le_bytes)),
        ("UTF-16BE without mark", utf16(text, u16::to_be_bytes)),
        ("Mac line ends", text.replace("\r\n", "\r").into_bytes()),
        ("Unix line ends", text.replace("\r\n", "\n").into_bytes()),
        ("tabs", tabbed),
    ] {
        let rows: Vec<_> = register.plan(&bytes).iter().map(outcome).collect();
        assert_eq!(rows, plain, "{name}");
    }
}
