//! Owns the first reading of a file: encoding, delimiter, headings, how many rows, and what only the file as a whole
//! tells (which mail domains, which place goes with which postcode, what an empty yes/no cell means).
//!
//! It does not judge rows. Invariant: memory is bounded, whatever the file holds.

use std::collections::HashMap;

use super::FileError;
use super::cell;
use super::encoding::{FoundEncoding, TextEncoding, detect};
use super::heading::{Column, HEADING_ROWS, Headings};
use super::row::FieldSet;
use super::table::{DELIMITERS, RawRow, Rows};
use crate::domain::contact_person::Field;
use crate::domain::plain_text::{clean_line, fold_plain};

/// Different domains and postcodes that are counted; those that come later are not.
const MAX_COUNTED: usize = 20_000;

/// What an operator may set instead of what is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Encoding.
    pub encoding: Option<TextEncoding>,
    /// Delimiter.
    pub delimiter: Option<char>,
    /// Whether the first row is no heading row but one of the register.
    pub without_headings: bool,
    /// What each column holds, in order; columns beyond the list keep what was found.
    pub columns: Vec<Option<Column>>,
}

/// What the first reading found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Encoding and byte order mark.
    pub encoding: FoundEncoding,
    /// Delimiter between cells.
    pub delimiter: char,
    /// Columns.
    pub headings: Headings,
    /// Rows above and including the heading row.
    pub skipped_rows: usize,
    /// Rows after the heading.
    pub rows: u64,
    /// How often each mail domain occurs.
    domains: HashMap<String, u32>,
    /// The places that occur with each five-digit postcode, folded.
    postcodes: HashMap<String, Vec<String>>,
    /// Yes/no columns in which an empty cell means no: other cells say yes, none says no.
    pub blank_is_no: FieldSet,
}

impl Survey {
    /// Reads the whole of `bytes` once.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be read as a register.
    pub fn of(bytes: &[u8], overrides: &Overrides) -> Result<Self, FileError> {
        let mut encoding = detect(bytes)?;
        if let Some(chosen) = overrides.encoding {
            encoding.encoding = chosen;
        }
        let (delimiter, skipped_rows, mut headings) = match overrides.without_headings {
            true => guess_columns(bytes, encoding.encoding, overrides.delimiter)?,
            false => find_headings(bytes, encoding.encoding, overrides.delimiter)?,
        };
        for (found, chosen) in headings.columns.iter_mut().zip(&overrides.columns) {
            found.column = *chosen;
        }
        let mut survey = Self {
            encoding,
            delimiter,
            headings,
            skipped_rows,
            rows: 0,
            domains: HashMap::new(),
            postcodes: HashMap::new(),
            blank_is_no: FieldSet::default(),
        };
        survey.count_rows(bytes)?;
        Ok(survey)
    }

    /// A survey of nothing, for a row that is planned without its file; `blank_is_no` is what the file's survey said.
    #[must_use]
    pub fn without_file(blank_is_no: FieldSet) -> Self {
        Self {
            encoding: FoundEncoding { encoding: TextEncoding::Utf8, bom: false },
            delimiter: ';',
            headings: Headings::default(),
            skipped_rows: 0,
            rows: 0,
            domains: HashMap::new(),
            postcodes: HashMap::new(),
            blank_is_no,
        }
    }

    /// The rows after the heading, numbered from 1.
    pub fn rows_of<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = Result<(u64, RawRow), FileError>> + use<'a> {
        let rows = Rows::new(bytes, self.encoding.encoding, self.delimiter).skip(self.skipped_rows);
        (1..).zip(rows).map(|(number, row)| row.map(|row| (number, row)))
    }

    /// How often a mail domain, in lower case, occurs.
    pub(super) fn domain_count(&self, domain: &str) -> u32 {
        self.domains.get(domain).copied().unwrap_or(0)
    }

    /// All mail domains with their counts.
    pub(super) fn domains(&self) -> impl Iterator<Item = (&str, u32)> {
        self.domains.iter().map(|(domain, count)| (domain.as_str(), *count))
    }

    /// Whether the folded `place` occurs with the five-digit `postcode`.
    pub(super) fn has_place(&self, postcode: &str, place: &str) -> bool {
        self.postcodes.get(postcode).is_some_and(|places| places.iter().any(|known| known == place))
    }

    fn count_rows(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let position = |field| self.headings.position(Column::Field(field));
        let (email, postcode, place) = (position(Field::Email), position(Field::Postcode), position(Field::Place));
        let mut letters = YesNoColumn::new(position(Field::Letters));
        let mut alerts = YesNoColumn::new(position(Field::Alerts));
        for row in self.rows_of(bytes) {
            let (number, row) = row?;
            self.rows = number;
            let text = |column: Option<usize>| column.and_then(|at| row.cells.get(at)).map_or("", String::as_str);
            self.count_domains(text(email));
            self.count_place(text(postcode), text(place));
            letters.count(&row);
            alerts.count(&row);
        }
        for (field, column) in [(Field::Letters, letters), (Field::Alerts, alerts)] {
            if column.blank_is_no() {
                self.blank_is_no.insert(field);
            }
        }
        Ok(())
    }

    fn count_domains(&mut self, cell: &str) {
        for part in cell.split([';', ' ', '<', '>', '/']) {
            let Some((_, domain)) = part.rsplit_once('@') else { continue };
            let domain = clean_line(domain).to_lowercase();
            if self.domains.contains_key(&domain) || self.domains.len() < MAX_COUNTED {
                *self.domains.entry(domain).or_default() += 1;
            }
        }
    }

    fn count_place(&mut self, postcode: &str, place: &str) {
        let postcode: String = postcode.chars().filter(char::is_ascii_digit).collect();
        let place = fold_plain(place);
        if postcode.len() != 5 || place.is_empty() || place.len() > 100 {
            return;
        }
        if !self.postcodes.contains_key(&postcode) && self.postcodes.len() >= MAX_COUNTED {
            return;
        }
        let places = self.postcodes.entry(postcode).or_default();
        if places.len() < 8 && !places.contains(&place) {
            places.push(place);
        }
    }
}

/// What a yes/no column holds in the whole file.
struct YesNoColumn {
    position: Option<usize>,
    yes: u64,
    no: u64,
    blank: u64,
}

impl YesNoColumn {
    fn new(position: Option<usize>) -> Self {
        Self { position, yes: 0, no: 0, blank: 0 }
    }

    fn count(&mut self, row: &RawRow) {
        let Some(text) = self.position.and_then(|at| row.cells.get(at)) else { return };
        if row.cells.iter().all(|cell| cell.trim().is_empty()) {
            return;
        }
        match cell::truth(text) {
            _ if text.trim().is_empty() => self.blank += 1,
            Some(truth) if truth.value => self.yes += 1,
            Some(_) => self.no += 1,
            None => {}
        }
    }

    fn blank_is_no(&self) -> bool {
        self.yes > 0 && self.no == 0 && self.blank > 0
    }
}

/// The delimiter with which the most columns are understood, the rows up to and including the headings, and these.
fn find_headings(
    bytes: &[u8],
    encoding: TextEncoding,
    delimiter: Option<char>,
) -> Result<(char, usize, Headings), FileError> {
    let candidates = delimiter.map_or_else(|| DELIMITERS.to_vec(), |chosen| vec![chosen]);
    let mut best: Option<(char, usize, Headings)> = None;
    let mut failure = FileError::NoHeadings;
    for delimiter in candidates {
        for (at, row) in Rows::new(bytes, encoding, delimiter).take(HEADING_ROWS).enumerate() {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    failure = error;
                    break;
                }
            };
            let headings = Headings::of(&row.cells);
            let is_better = best.as_ref().is_none_or(|(_, _, found)| headings.understood() > found.understood());
            if headings.is_register() && is_better {
                best = Some((delimiter, at + 1, headings));
            }
        }
    }
    best.ok_or(failure)
}

/// The delimiter that makes the most columns of the first rows, how many rows stand above the register, and what is known of
/// the columns.
fn guess_columns(
    bytes: &[u8],
    encoding: TextEncoding,
    delimiter: Option<char>,
) -> Result<(char, usize, Headings), FileError> {
    let candidates = delimiter.map_or_else(|| DELIMITERS.to_vec(), |chosen| vec![chosen]);
    let mut best: Option<(char, usize, Headings)> = None;
    let mut failure = FileError::NoHeadings;
    for delimiter in candidates {
        let rows: Result<Vec<RawRow>, FileError> = Rows::new(bytes, encoding, delimiter).take(HEADING_ROWS).collect();
        let mut rows: Vec<Vec<String>> = match rows {
            Ok(rows) => rows.into_iter().map(|row| row.cells).collect(),
            Err(error) => {
                failure = error;
                continue;
            }
        };
        let is_mark = |row: &Vec<String>| row.first().is_some_and(|cell| cell.to_ascii_lowercase().starts_with("sep="));
        let skipped = usize::from(rows.first().is_some_and(is_mark));
        rows.drain(..skipped);
        let headings = Headings::guessed(&rows);
        let is_better = best.as_ref().is_none_or(|(_, _, found)| headings.columns.len() > found.columns.len());
        if headings.columns.len() >= 2 && is_better {
            best = Some((delimiter, skipped, headings));
        }
    }
    best.ok_or(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(text: &str) -> Result<Survey, FileError> {
        Survey::of(text.as_bytes(), &Overrides::default())
    }

    #[test]
    fn delimiter_and_headings_are_found_below_titles() {
        for (text, delimiter, skipped) in [
            ("Namn;Mobil;Ort\na;b;c\n", ';', 1),
            ("name,mobile,place\na,b,c\n", ',', 1),
            ("Namn\tMobil\tOrt\na\tb\tc\n", '\t', 1),
            ("Namn|Mobil|Ort\na|b|c\n", '|', 1),
            ("sep=;\nKontaktombud 2026, Jämtland;;\n\nNamn;Mobil;Ort\na;b;c\n", ';', 4),
        ] {
            let found = survey(text).unwrap();
            assert_eq!((found.delimiter, found.skipped_rows, found.rows), (delimiter, skipped, 1), "{text}");
        }
        assert_eq!(survey("a;b;c\n1;2;3\n"), Err(FileError::NoHeadings));
    }

    #[test]
    fn an_operator_may_choose_otherwise() {
        let overrides = Overrides {
            encoding: Some(TextEncoding::Macintosh),
            delimiter: Some(','),
            columns: vec![None, Some(Column::Field(Field::Name))],
            ..Overrides::default()
        };
        let found = Survey::of("Namn,Ort,Mobil\nx,Anna,1\n".as_bytes(), &overrides).unwrap();
        assert_eq!(found.encoding.encoding, TextEncoding::Macintosh);
        assert_eq!(found.headings.position(Column::Field(Field::Name)), Some(1));
        assert!(found.headings.has(Field::Mobile));
    }

    #[test]
    fn a_file_without_headings_keeps_its_first_row_and_shows_what_it_knows() {
        let text = "sep=;\nAnna Hedin;070-174 06 05;anna@example.org;Åre\nBo Ek;070-174 06 06;;Åre\n";
        assert_eq!(survey(text), Err(FileError::NoHeadings));
        let overrides = Overrides { without_headings: true, ..Overrides::default() };
        let found = Survey::of(text.as_bytes(), &overrides).unwrap();
        assert_eq!((found.delimiter, found.skipped_rows, found.rows), (';', 1, 2));
        let columns: Vec<Option<Column>> = found.headings.columns.iter().map(|column| column.column).collect();
        assert_eq!(columns, [None, Some(Column::Field(Field::Mobile)), Some(Column::Field(Field::Email)), None]);
    }

    #[test]
    fn an_empty_cell_means_no_only_where_others_are_crossed() {
        let crossed = survey("Namn;SMS;Brev\na;x;ja\nb;;nej\nc;X;\n").unwrap();
        assert!(crossed.blank_is_no.has(Field::Alerts));
        assert!(!crossed.blank_is_no.has(Field::Letters));
    }
}
