//! Owns the register as a file: CSV that spreadsheets open without evaluating anything, and that import reads back.
//!
//! Invariant: no cell begins with a character that makes a spreadsheet take it for a formula (OWASP ASVS 5.0.0, 1.2.10);
//! reading the file back gives the same values.

use std::io::{self, Write};

use super::cell::is_formula_start;
use crate::domain::contact_person::{Field, Values};
use crate::domain::phone;

/// The columns, in order: those of the sample register, then what it has no room for.
pub const COLUMNS: [Field; 16] = [
    Field::Name,
    Field::Mobile,
    Field::Email,
    Field::Address,
    Field::Postcode,
    Field::Place,
    Field::Municipality,
    Field::WatchArea,
    Field::Households,
    Field::Language,
    Field::Letters,
    Field::Alerts,
    Field::Note,
    Field::Phone2,
    Field::Email2,
    Field::ProtectedIdentity,
];

/// Writes register files: UTF-8 with byte order mark, comma, CRLF, quotes as RFC 4180 asks.
pub struct Export<W: Write> {
    csv: csv::Writer<W>,
    columns: Vec<Field>,
}

impl<W: Write> Export<W> {
    /// Writes the byte order mark and the headings, and those of `more` columns.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn new(out: W, more: &[&str]) -> io::Result<Self> {
        Self::of_columns(out, COLUMNS.to_vec(), more)
    }

    /// The same with these columns only.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn of_columns(mut out: W, columns: Vec<Field>, more: &[&str]) -> io::Result<Self> {
        out.write_all("\u{feff}".as_bytes())?;
        let csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        let mut export = Self { csv, columns };
        export.csv.write_record(export.columns.iter().map(|field| field.name()).chain(more.iter().copied()))?;
        Ok(export)
    }

    /// Writes one person, and what the `more` columns hold.
    ///
    /// # Errors
    /// When the file cannot be written, or `more` has not as many values as there are headings.
    pub fn write(&mut self, values: &Values, more: &[&str]) -> io::Result<()> {
        let cells = self.columns.iter().map(|field| text_of(*field, &values[*field]));
        self.csv.write_record(cells.chain(more.iter().map(|text| safe(text))))?;
        Ok(())
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.csv.flush()
    }
}

/// Writes rows that could not be imported, as they stood, with the reason in the last column.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_rejects<W: Write>(mut out: W, rows: &[(Values, String)]) -> io::Result<()> {
    out.write_all("\u{feff}".as_bytes())?;
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    csv.write_record(COLUMNS.iter().map(|field| field.name()).chain(["reason"]))?;
    for (cells, reason) in rows {
        let texts = COLUMNS.iter().map(|field| safe(&cells[*field]));
        csv.write_record(texts.chain([reason.clone()]))?;
    }
    csv.flush()
}

/// Any rows as a file, with the same guard.
pub fn sheet<const N: usize>(headings: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> Vec<u8> {
    let mut out = "\u{feff}".as_bytes().to_vec();
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(&mut out);
    let mut write = |cells: &[String]| csv.write_record(cells).expect("memory takes rows of one length");
    write(&headings.map(str::to_owned));
    for row in rows {
        write(&row.map(|cell| safe(&cell)));
    }
    drop(csv);
    out
}

/// A cell that no spreadsheet evaluates: a leading quote keeps it text.
#[must_use]
pub fn safe(text: &str) -> String {
    let first = text.trim_start_matches('\'').chars().next();
    if first.is_some_and(is_formula_start) { format!("'{text}") } else { text.to_owned() }
}

fn text_of(field: Field, value: &str) -> String {
    match field {
        Field::Mobile | Field::Phone2 if !value.is_empty() => safe(&phone::display(value)),
        _ => safe(value),
    }
}
