//! Owns the reading of households, language and the two wishes.
//!
//! Invariant: a number of households that was a date or a range is never taken.

use super::finding::Code;
use super::row::Draft;
use super::survey::Survey;
use super::{cell, wording};
use crate::domain::contact_person::{CONFIRMED_HOUSEHOLDS, Field, USUAL_HOUSEHOLDS, yes_no};
use crate::domain::language;
use crate::domain::plain_text::fold_plain;

/// Reads how many households the person stands for.
pub(super) fn read_households(draft: &mut Draft) {
    let text = draft.text(Field::Households).to_owned();
    if text.is_empty() {
        draft.settle(Field::Households, "1");
        if draft.columns.has(Field::Households) {
            draft.warn(Code::HouseholdsDefault, "Antal hushåll saknas: räknas som 1");
        }
        return;
    }
    if is_date(&text) {
        return draft.ask_for(Code::HouseholdsDate, "Antal hushåll har blivit ett datum");
    }
    let Some((households, was_plain)) = households(&text) else {
        return draft.ask_for(Code::HouseholdsUnclear, format!("Antal hushåll kan inte tolkas: {text}"));
    };
    if !CONFIRMED_HOUSEHOLDS.contains(&households) {
        let message =
            format!("{} hushåll är orimligt mycket. Skriv in antalet igen.", wording::grouped(households.into()));
        return draft.ask_for(Code::HouseholdsRange, message);
    }
    draft.settle(Field::Households, households.to_string());
    if !USUAL_HOUSEHOLDS.contains(&households) {
        let much = if households > *USUAL_HOUSEHOLDS.end() { "mycket" } else { "lite" };
        let message = format!("{} hushåll är ovanligt {much}. Stämmer det?", wording::grouped(households.into()));
        draft.ask(Code::HouseholdsRange, message);
    }
    if !was_plain {
        draft.change(Field::Households, text, households.to_string());
        draft.warn(Code::HouseholdsText, format!("Antal hushåll tolkat som {households}"));
    }
}

/// The number, and whether it stood there as digits alone.
fn households(text: &str) -> Option<(u32, bool)> {
    if let Ok(number) = text.parse::<u32>() {
        return Some((number, true));
    }
    let whole = text.strip_suffix(".0").or_else(|| text.strip_suffix(",0")).unwrap_or(text);
    let digits = whole.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>();
    match digits.as_slice() {
        [number] if !whole.contains('-') => number.parse().ok().map(|number| (number, false)),
        [thousands, rest] if is_grouped(whole, thousands, rest) => {
            format!("{thousands}{rest}").parse().ok().map(|number| (number, false))
        }
        [] => number_word(&fold_plain(text)).map(|number| (number, false)),
        _ => None,
    }
}

/// `1 200` and `1.200`.
fn is_grouped(text: &str, thousands: &str, rest: &str) -> bool {
    rest.len() == 3 && [" ", "."].iter().any(|mark| text == format!("{thousands}{mark}{rest}"))
}

fn number_word(word: &str) -> Option<u32> {
    const WORDS: [&str; 20] = [
        "ett", "tva", "tre", "fyra", "fem", "sex", "sju", "atta", "nio", "tio", "elva", "tolv", "tretton", "fjorton",
        "femton", "sexton", "sjutton", "arton", "nitton", "tjugo",
    ];
    let words: Vec<&str> = word.split(' ').collect();
    (1..).zip(WORDS).find(|(_, known)| words.contains(known)).map(|(number, _)| number)
}

/// `03-apr`, `apr-03`, `2026-04-03`, `3/4`, `2026-04-03 00:00:00`: what spreadsheets make of `3-4`.
fn is_date(text: &str) -> bool {
    const MONTHS: [&str; 15] =
        ["jan", "feb", "mar", "apr", "maj", "may", "jun", "jul", "aug", "sep", "okt", "oct", "nov", "dec", "mars"];
    let plain = text.to_lowercase();
    let parts: Vec<&str> = plain.split(['-', '/', '.', ' ', ':']).filter(|part| !part.is_empty()).collect();
    let is_month = |part: &&str| MONTHS.iter().any(|month| part.starts_with(month));
    let is_number = |part: &&str| part.chars().all(|c| c.is_ascii_digit());
    let numbers = parts.iter().filter(|part| is_number(part)).count();
    match parts.len() {
        2 | 3 if parts.iter().any(is_month) => numbers >= 1,
        2 => numbers == 2 && plain.contains('/'),
        3.. => numbers == parts.len() && plain.contains(['-', '/', '.']),
        _ => false,
    }
}

/// Reads the language; unknown ones become Swedish.
pub(super) fn read_language(draft: &mut Draft) {
    let text = draft.text(Field::Language).to_owned();
    if text.is_empty() {
        return draft.settle(Field::Language, language::DEFAULT);
    }
    match language::code_of(&text) {
        Some(code) => draft.settle(Field::Language, code),
        None => {
            draft.change(Field::Language, text, "svenska");
            draft.settle(Field::Language, language::DEFAULT);
            draft.warn(Code::LanguageDefault, "Okänt språk, svenska används");
        }
    }
}

/// Reads whether the person wants letters and alerts.
pub(super) fn read_wishes(draft: &mut Draft, survey: &Survey) {
    for field in [Field::Letters, Field::Alerts] {
        let text = draft.text(field).to_owned();
        let blank_is_no = survey.blank_is_no.has(field);
        match cell::truth(&text) {
            Some(truth) => {
                draft.settle(field, yes_no(truth.value));
                if !truth.is_plain {
                    tell_wish(draft, field, &text, truth.value);
                }
            }
            None if text.is_empty() && blank_is_no && draft.columns.has(field) => {
                draft.settle(field, yes_no(false));
                draft.given.insert(field);
                tell_wish(draft, field, "", false);
            }
            None if text.is_empty() => draft.settle(field, yes_no(true)),
            None => {
                let message = format!("Ska vara ja eller nej, {}: {text}", field.label());
                draft.ask_for(Code::YesNoUnclear, message);
            }
        }
    }
}

fn tell_wish(draft: &mut Draft, field: Field, text: &str, value: bool) {
    let word = if value { "ja" } else { "nej" };
    draft.change(field, text, word);
    let message =
        if text.is_empty() { format!("Tom ruta tolkad som {word}") } else { format!("”{text}” tolkat som {word}") };
    draft.warn(Code::YesNo, message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register_file::row::{Answer, RowCells};

    fn households_of(text: &str) -> (Vec<String>, String, String) {
        let mut cells = RowCells::default();
        cells.cells[Field::Households] = text.to_owned();
        let mut draft = Draft::new(&cells, &Answer::default());
        read_households(&mut draft);
        (draft.findings.codes(), draft.findings.message(), draft.values[Field::Households].clone())
    }

    #[test]
    fn households_are_read_where_they_can_mean_only_one_thing() {
        for (text, code, message, value) in [
            ("12", "", "", "12"),
            ("200", "", "", "200"),
            ("ca 12", "households_text", "Antal hushåll tolkat som 12", "12"),
            ("12 st", "households_text", "Antal hushåll tolkat som 12", "12"),
            ("~12", "households_text", "Antal hushåll tolkat som 12", "12"),
            ("12,0", "households_text", "Antal hushåll tolkat som 12", "12"),
            ("tolv", "households_text", "Antal hushåll tolkat som 12", "12"),
            ("03-apr", "households_date", "Antal hushåll har blivit ett datum", ""),
            ("apr-03", "households_date", "Antal hushåll har blivit ett datum", ""),
            ("12-mar", "households_date", "Antal hushåll har blivit ett datum", ""),
            ("2026-04-03", "households_date", "Antal hushåll har blivit ett datum", ""),
            ("2026-04-03 00:00:00", "households_date", "Antal hushåll har blivit ett datum", ""),
            ("3/4", "households_date", "Antal hushåll har blivit ett datum", ""),
            ("1200", "households_range", "1 200 hushåll är ovanligt mycket. Stämmer det?", "1200"),
            ("0", "households_range", "0 hushåll är ovanligt lite. Stämmer det?", "0"),
            ("201", "households_range", "201 hushåll är ovanligt mycket. Stämmer det?", "201"),
            ("99999", "households_range", "99 999 hushåll är orimligt mycket. Skriv in antalet igen.", ""),
            ("3-4", "households_unclear", "Antal hushåll kan inte tolkas: 3-4", ""),
            ("-5", "households_unclear", "Antal hushåll kan inte tolkas: -5", ""),
            ("många", "households_unclear", "Antal hushåll kan inte tolkas: många", ""),
        ] {
            let codes = if code.is_empty() { vec![] } else { vec![code.to_owned()] };
            assert_eq!(households_of(text), (codes, message.to_owned(), value.to_owned()), "{text}");
        }
    }
}
