//! Owns register files: CSV of any make in, rows to changes and questions, and CSV out.
//!
//! It does not know the database: the caller looks up who is in the register and stores what the planner says.
//! A file is read twice as a stream: [`survey`] finds out encoding, delimiter, headings and what the file as a whole
//! tells (which domains and places occur); [`planner`] then says of every row what is to be done. Invariant: every row
//! after the heading gets exactly one action, and nothing is changed in silence that a person could miss.

pub mod encoding;
pub mod export;
pub mod finding;
pub mod geography;
pub mod heading;
pub mod known;
pub mod planner;
pub mod row;
pub mod survey;
pub mod table;

mod cell;
mod email_cell;
mod merging;
mod mojibake;
mod name_cell;
mod note_cell;
mod number_cell;
mod reading;
mod seen;
mod small_cells;
mod spelling;
mod wording;

/// Why a file cannot be read at all. Rows that cannot be used are no errors: they get an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Nothing there.
    #[error("the file is empty")]
    Empty,
    /// A workbook, a PDF or another format that is no text.
    #[error("the file is no text file")]
    NotText,
    /// No row that holds headings we know.
    #[error("no heading row was found")]
    NoHeadings,
    /// One row is longer than [`table::MAX_ROW_CHARS`].
    #[error("the row that begins on line {line} is too long")]
    RowTooLong {
        /// Physical line the row begins on.
        line: u64,
    },
    /// One row has more than [`table::MAX_COLUMNS`] columns.
    #[error("the row on line {line} has too many columns")]
    TooManyColumns {
        /// Physical line the row begins on.
        line: u64,
    },
    /// A quoted cell never ends.
    #[error("a quotation mark on line {line} is never closed")]
    UnclosedQuote {
        /// Physical line the row begins on.
        line: u64,
    },
}

impl FileError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "import.empty",
            Self::NotText => "import.not_text",
            Self::NoHeadings => "import.no_headings",
            Self::RowTooLong { .. } => "import.row_too_long",
            Self::TooManyColumns { .. } => "import.too_many_columns",
            Self::UnclosedQuote { .. } => "import.unclosed_quote",
        }
    }

    /// Whether another encoding or delimiter may make a register of it.
    #[must_use]
    pub fn may_be_set_right(&self) -> bool {
        !matches!(self, Self::Empty | Self::NotText)
    }

    /// What is wrong and what to do, in Swedish.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Empty => "Filen är tom".to_owned(),
            Self::NotText => "Filen är ingen textfil. Spara den som CSV i kalkylprogrammet och försök igen.".to_owned(),
            Self::NoHeadings => {
                "Filen har ingen rubrikrad. Ge första raden rubriker som Namn, Mobil, E-post, Kommun och Område, eller säg \
                 själv vad varje kolumn är."
                    .to_owned()
            }
            Self::RowTooLong { line } => {
                format!("Raden som börjar på rad {line} är för lång. Saknas ett citattecken?")
            }
            Self::TooManyColumns { line } => {
                format!("Rad {line} har fler än {} kolumner", table::MAX_COLUMNS)
            }
            Self::UnclosedQuote { line } => {
                format!("Ett citattecken på rad {line} avslutas aldrig")
            }
        }
    }
}

#[cfg(test)]
mod acceptance;
#[cfg(test)]
mod variations;
