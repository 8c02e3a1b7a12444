//! Owns the way from characters to rows of cells (RFC 4180, leniently), with the physical line of each.
//!
//! It is our own reader because those we know leave out empty lines, count only LF as a line, or hold a row of any
//! length: here empty lines are rows, CR, LF and CRLF are line ends, and a row that is too long is refused before it is
//! in memory. It does not know what cells mean. Invariant: memory is bounded by [`MAX_ROW_CHARS`].

use super::FileError;
use super::encoding::{Blocks, TextEncoding};

/// Characters of one row.
pub const MAX_ROW_CHARS: usize = 64 * 1024;
/// Columns of one row.
pub const MAX_COLUMNS: usize = 200;

/// Delimiters that are looked for, the likeliest first.
pub const DELIMITERS: [char; 4] = [';', ',', '\t', '|'];

/// One row of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawRow {
    /// Physical line the row begins on, from 1.
    pub line: u64,
    /// The cells, unquoted, otherwise as they stand.
    pub cells: Vec<String>,
}

/// The rows of a file, one after the other.
pub struct Rows<'a> {
    blocks: Blocks<'a>,
    block: Vec<char>,
    at: usize,
    delimiter: char,
    line: u64,
    is_after_cr: bool,
    has_failed: bool,
}

impl<'a> Rows<'a> {
    /// Reads `bytes` from the beginning.
    #[must_use]
    pub fn new(bytes: &'a [u8], encoding: TextEncoding, delimiter: char) -> Self {
        let blocks = Blocks::new(bytes, encoding);
        Self { blocks, block: Vec::new(), at: 0, delimiter, line: 1, is_after_cr: false, has_failed: false }
    }

    fn next_char(&mut self) -> Option<char> {
        loop {
            while self.at == self.block.len() {
                self.block.clear();
                self.at = 0;
                self.block.extend(self.blocks.next_block()?.chars());
            }
            let c = self.block[self.at];
            self.at += 1;
            let is_second_half = c == '\n' && self.is_after_cr;
            self.is_after_cr = c == '\r';
            if is_second_half {
                continue;
            }
            if matches!(c, '\r' | '\n') {
                self.line += 1;
                return Some('\n');
            }
            return Some(c);
        }
    }

    fn read_row(&mut self) -> Result<Option<RawRow>, FileError> {
        let mut row = RowBuilder::new(self.line, self.delimiter);
        while let Some(c) = self.next_char() {
            if row.take(c)? == Taken::End {
                return Ok(Some(row.finish()));
            }
        }
        row.at_end_of_file()
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<RawRow, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let row = self.read_row().transpose();
        self.has_failed = matches!(row, Some(Err(_)));
        row
    }
}

#[derive(PartialEq)]
enum Taken {
    More,
    End,
}

#[derive(PartialEq)]
enum Quote {
    /// Not in a quoted cell.
    Outside,
    /// Within quotation marks.
    Inside,
    /// After a quotation mark within a quoted cell: the end of it, or the first of a pair.
    Perhaps,
}

struct RowBuilder {
    row: RawRow,
    cell: String,
    quote: Quote,
    is_begun: bool,
    chars: usize,
    delimiter: char,
}

impl RowBuilder {
    fn new(line: u64, delimiter: char) -> Self {
        let row = RawRow { line, cells: Vec::new() };
        Self { row, cell: String::new(), quote: Quote::Outside, is_begun: false, chars: 0, delimiter }
    }

    fn take(&mut self, c: char) -> Result<Taken, FileError> {
        self.is_begun = true;
        self.chars += 1;
        if self.chars > MAX_ROW_CHARS {
            return Err(FileError::RowTooLong { line: self.row.line });
        }
        match (&self.quote, c) {
            (Quote::Inside, '"') => self.quote = Quote::Perhaps,
            (Quote::Inside, _) => self.cell.push(c),
            (Quote::Perhaps, '"') => {
                self.cell.push('"');
                self.quote = Quote::Inside;
            }
            (_, '\n') => return Ok(Taken::End),
            (_, _) if c == self.delimiter => self.end_cell()?,
            (Quote::Outside, '"') if self.cell.is_empty() => self.quote = Quote::Inside,
            _ => {
                self.quote = Quote::Outside;
                self.cell.push(c);
            }
        }
        Ok(Taken::More)
    }

    fn end_cell(&mut self) -> Result<(), FileError> {
        self.row.cells.push(std::mem::take(&mut self.cell));
        self.quote = Quote::Outside;
        if self.row.cells.len() >= MAX_COLUMNS {
            return Err(FileError::TooManyColumns { line: self.row.line });
        }
        Ok(())
    }

    fn finish(mut self) -> RawRow {
        self.row.cells.push(self.cell);
        self.row
    }

    fn at_end_of_file(self) -> Result<Option<RawRow>, FileError> {
        match self.quote {
            Quote::Inside => Err(FileError::UnclosedQuote { line: self.row.line }),
            _ if self.is_begun => Ok(Some(self.finish())),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<(u64, Vec<String>)>, FileError> {
        Rows::new(text.as_bytes(), TextEncoding::Utf8, ';').map(|row| row.map(|row| (row.line, row.cells))).collect()
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
        (line, cells.iter().map(|&cell| cell.to_owned()).collect())
    }

    #[test]
    fn quotes_line_breaks_and_doubled_quotes_are_understood() {
        let text = "a;b\r\n\"x;\"\"y\"\"\r\nz\";2\r\n3;\"4\"";
        assert_eq!(rows(text).unwrap(), [row(1, &["a", "b"]), row(2, &["x;\"y\"\nz", "2"]), row(4, &["3", "4"])]);
    }

    #[test]
    fn all_line_ends_count_and_empty_lines_are_rows() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a;b", "", "c;d", ""].join(end);
            assert_eq!(rows(&text).unwrap(), [row(1, &["a", "b"]), row(2, &[""]), row(3, &["c", "d"])]);
        }
    }

    #[test]
    fn stray_quotes_are_kept_as_they_stand() {
        assert_eq!(rows("Sara \"Sassa\" Öberg;1").unwrap(), [row(1, &["Sara \"Sassa\" Öberg", "1"])]);
        assert_eq!(rows("\"Sassa\" Öberg;1").unwrap(), [row(1, &["Sassa Öberg", "1"])]);
    }

    #[test]
    fn what_would_fill_the_memory_is_refused_with_its_line() {
        assert_eq!(rows("a;b\n\"never closed;\n1;2"), Err(FileError::UnclosedQuote { line: 2 }));
        let long = format!("a;b\n{}", "x".repeat(MAX_ROW_CHARS + 1));
        assert_eq!(rows(&long), Err(FileError::RowTooLong { line: 2 }));
        assert_eq!(rows(&";".repeat(10_000)), Err(FileError::TooManyColumns { line: 1 }));
    }
}
