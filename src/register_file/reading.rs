//! Owns the reading of one row: whether it is a person at all, whether it may be read on, and all its cells in order.
//!
//! It does not compare rows. Invariant: of a row that may not be stored as it is nothing but the name is read.

use super::finding::{Action, Code, Findings};
use super::geography::{self, Geography};
use super::heading::Headings;
use super::row::{Draft, RowCells};
use super::survey::Survey;
use super::table::RawRow;
use super::{cell, email_cell, name_cell, note_cell, number_cell, small_cells};
use crate::domain::contact_person::Field;
use crate::domain::plain_text::fold_plain;

/// What a row turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A person, to be compared with others.
    Person,
    /// A person about whom nothing is compared, because it is open whether or what may be stored.
    Held,
    /// Decided.
    Final(Action),
}

/// What the row is instead of a person, if so.
pub(super) fn no_person(raw: &RawRow, cells: &RowCells, headings: &Headings) -> Option<(Code, &'static str)> {
    if raw.cells.iter().all(|text| cell::clean(text, false).text.is_empty()) {
        Some((Code::BlankRow, "Tom rad"))
    } else if headings.is_repeated_in(&raw.cells) {
        Some((Code::RepeatedHeader, "Upprepad rubrikrad"))
    } else if is_total(raw, cells) {
        Some((Code::TotalRow, "Summarad"))
    } else {
        None
    }
}

/// Reads all cells of a row.
pub(super) fn read(draft: &mut Draft, cells: &RowCells, (survey, geography): (&Survey, &Geography)) -> Verdict {
    if let Some(held) = hold(draft) {
        return held;
    }
    note_cell::cut_personal_numbers(draft);
    empty_what_means_nothing(draft);
    if name_cell::is_missing(draft) && !draft.open.has(Field::Name) {
        draft.findings = Findings::default();
        draft.is_withheld = true;
        draft.tell(Code::NoName, "", "Namn saknas");
        return Verdict::Final(Action::Reject);
    }
    if let Some((found, expected)) = cells.wrong_width {
        let code = if found > expected { Code::TooManyColumns } else { Code::TooFewColumns };
        draft.ask(code, format!("Raden har {found} kolumner, {expected} väntades"));
    }
    if !draft.open.has(Field::Name) {
        name_cell::read(draft);
    }
    draft.settle(Field::Address, draft.text(Field::Address).to_owned());
    draft.settle(Field::ProtectedIdentity, if draft.is_protected { "yes" } else { "no" });
    small_cells::read_wishes(draft, survey);
    small_cells::read_language(draft);
    small_cells::read_households(draft);
    note_cell::read(draft);
    number_cell::read(draft);
    email_cell::read(draft, survey);
    geography::read(draft, geography, survey);
    number_cell::tell_unreachable(draft);
    Verdict::Person
}

/// Holds rows about people who may not be stored as they are. After an operator's yes they are read on.
fn hold(draft: &mut Draft) -> Option<Verdict> {
    if note_cell::says_protected(draft) {
        if !draft.confirms(Code::ProtectedIdentity) {
            return Some(held(
                draft,
                Code::ProtectedIdentity,
                "Skyddade personuppgifter: bara administratör kan gå vidare",
            ));
        }
        draft.is_protected = true;
        note_cell::clear_protected_words(draft);
    }
    if note_cell::says_opted_out(draft) {
        if !draft.confirms(Code::OptedOut) {
            return Some(held(draft, Code::OptedOut, "Har tackat nej. Ska personen spärras?"));
        }
        for wish in [Field::Letters, Field::Alerts] {
            if !draft.answered.has(wish) {
                draft.texts[wish] = "nej".to_owned();
            }
        }
    }
    None
}

/// Nothing but the name is shown, nothing else is said.
fn held(draft: &mut Draft, code: Code, question: &str) -> Verdict {
    let name = draft.text(Field::Name).to_owned();
    draft.findings = Findings::default();
    draft.changes.clear();
    draft.is_withheld = true;
    draft.settle(Field::Name, note_cell::without_personal_numbers(&name));
    draft.ask(code, question);
    Verdict::Held
}

/// Placeholders, spreadsheet errors and formulas are no values.
fn empty_what_means_nothing(draft: &mut Draft) {
    for field in Field::ALL {
        let text = draft.text(field).to_owned();
        if text.is_empty() || draft.literal.has(field) {
            continue;
        }
        if let Some(formula) = cell::formula(&text) {
            take_formula(draft, field, formula.shown);
        } else if field != Field::Name && cell::is_cell_error(&text) {
            draft.change(field, text.as_str(), "");
            draft.warn(Code::CellError, format!("”{text}” tolkat som tomt"));
            draft.clear(field);
        } else if may_be_placeholder(field, &text) {
            draft.change(field, text.as_str(), "");
            draft.warn(Code::Placeholder, format!("”{text}” tolkat som tomt"));
            draft.clear(field);
        }
        let is_name =
            matches!(field, Field::Name | Field::Address | Field::Place | Field::Municipality | Field::WatchArea);
        if cell::has_lost_letter(draft.text(field), is_name) {
            let message = format!("Bokstäver har gått förlorade: {text}. Skriv in texten igen.");
            draft.ask(Code::LostLetter, message);
        }
    }
}

fn may_be_placeholder(field: Field, text: &str) -> bool {
    let has_no_nothing =
        matches!(field, Field::Name | Field::Letters | Field::Alerts | Field::Note | Field::ProtectedIdentity);
    let is_count = field == Field::Households && text.chars().all(|c| c == '0');
    let is_language = field == Field::Language && text.chars().any(char::is_alphabetic);
    !has_no_nothing && !is_count && !is_language && cell::is_placeholder(text)
}

fn take_formula(draft: &mut Draft, field: Field, shown: Option<String>) {
    let message = match &shown {
        Some(shown) => format!("Cellen innehåller en formel. Menade du {shown}?"),
        None => "Cellen innehåller en formel. Skriv in värdet i stället.".to_owned(),
    };
    match shown {
        Some(shown) if draft.confirms(Code::Formula) => {
            draft.ask(Code::Formula, message);
            draft.texts[field] = shown;
        }
        shown => {
            draft.ask_for(Code::Formula, message);
            draft.clear(field);
            draft.open.insert(field);
            draft.is_withheld |= field == Field::Name;
            draft.offers.extend(shown.map(|shown| (field, shown)));
        }
    }
}

/// A line of totals: it says so first, and has nothing to reach a person by.
fn is_total(raw: &RawRow, cells: &RowCells) -> bool {
    const WORDS: [&str; 10] =
        ["summa", "summering", "totalt", "total", "totalsumma", "delsumma", "sum", "s a", "antal", "grand total"];
    let says_total = |text: &str| {
        let text = fold_plain(text);
        WORDS.iter().any(|word| text == *word || text.strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')))
    };
    let first = raw.cells.iter().find(|text| !text.trim().is_empty());
    let contacts = [Field::Mobile, Field::Phone2, Field::Email, Field::Email2, Field::Address, Field::Postcode];
    let has_contact = contacts.iter().any(|field| {
        let text = cells.cells[*field].trim();
        // A total of the column "mobile" is a short number.
        !text.is_empty() && (text.len() > 6 || text.chars().any(|c| !c.is_ascii_digit()))
    });
    first.is_some_and(|text| says_total(text)) && !has_contact
}
