//! Owns the reading of the name: missing, turned round, in capitals, two people.
//!
//! Invariant: a name is changed only in order and case, and that is shown.

use super::cell;
use super::finding::Code;
use super::row::Draft;
use crate::domain::contact_person::Field;

/// Words within a surname that keep their small letters.
const PARTICLES: [&str; 16] =
    ["af", "av", "von", "van", "de", "den", "der", "del", "della", "di", "du", "la", "le", "ter", "ten", "zu"];

/// Whether the row has no name at all.
pub(super) fn is_missing(draft: &Draft) -> bool {
    let name = draft.text(Field::Name);
    let is_marks = name.chars().all(|c| !c.is_alphanumeric());
    name.is_empty() || (is_marks && !draft.literal.has(Field::Name)) || cell::is_cell_error(name)
}

/// Reads the name.
pub(super) fn read(draft: &mut Draft) {
    let text = draft.text(Field::Name).to_owned();
    if draft.literal.has(Field::Name) {
        return draft.settle(Field::Name, text);
    }
    if holds_two_people(&text) {
        draft.is_withheld |= !draft.confirms(Code::TwoPeople);
        draft.settle(Field::Name, text);
        return draft.ask(Code::TwoPeople, "Två personer i samma rad?");
    }
    let turned = turned_round(&text);
    let was_turned = turned.is_some();
    let ordered = turned.unwrap_or_else(|| text.clone());
    let cased = in_normal_case(&ordered);
    if was_turned {
        draft.warn(Code::NameOrder, format!("Namnet vändes: {cased}"));
    } else if cased != text {
        draft.warn(Code::NameCase, format!("Namnet skrevs om: {cased}"));
    }
    if cased != text {
        draft.change(Field::Name, text, cased.as_str());
    }
    draft.settle(Field::Name, cased);
}

/// `Anna & Jan-Olov Hedlund`, `Anna Hedlund och Per Ström`, `Anna/Jan Hedlund`.
fn holds_two_people(name: &str) -> bool {
    let words: Vec<String> = name.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let is_joint =
        |word: &String| matches!(word.as_str(), "&" | "+" | "/" | "och" | "o" | "o." | "and" | "samt" | "och/eller");
    let between = words.len() >= 3 && words[1..words.len() - 1].iter().any(is_joint);
    let joined = |mark: char| {
        name.split_once(mark).is_some_and(|(left, right)| {
            left.trim_end().ends_with(char::is_alphabetic) && right.trim_start().starts_with(char::is_alphabetic)
        })
    };
    between || joined('&') || joined('/') || joined('+') || is_list_of_names(name)
}

/// `Anna Hedlund, Jan Hedlund`: two words on both sides cannot be surname and first name.
fn is_list_of_names(name: &str) -> bool {
    let parts: Vec<usize> = name.split([',', ';']).map(|part| part.split_whitespace().count()).collect();
    matches!(parts.as_slice(), [left, right] if *left >= 2 && *right >= 2)
        && !is_shouted(name)
        && !starts_with_particle(name)
}

/// The name when it stands as surname, comma, first name.
fn turned_round(name: &str) -> Option<String> {
    let (surname, first) = name.split_once(',')?;
    let (surname, first) = (surname.trim(), first.trim());
    let starts_large =
        |part: &str| part.split_whitespace().all(|word| word.chars().next().is_some_and(char::is_uppercase));
    let is_surname = surname.split_whitespace().count() == 1 || starts_with_particle(surname) || is_shouted(surname);
    let is_first =
        !first.is_empty() && !first.contains(',') && starts_large(first) && first.split_whitespace().count() <= 3;
    (is_surname && is_first && !surname.is_empty()).then(|| format!("{first} {surname}"))
}

fn starts_with_particle(name: &str) -> bool {
    name.split_whitespace().next().is_some_and(|word| PARTICLES.contains(&word.to_lowercase().as_str()))
}

fn is_shouted(name: &str) -> bool {
    name.chars().filter(|c| c.is_alphabetic()).count() >= 3 && !name.chars().any(char::is_lowercase)
}

/// Names in capitals or small letters throughout are set in normal case; the others stay.
fn in_normal_case(name: &str) -> String {
    let is_small = name.chars().any(char::is_alphabetic) && !name.chars().any(char::is_uppercase);
    if !is_shouted(name) && !is_small {
        return name.to_owned();
    }
    let lower = name.to_lowercase();
    let words = lower
        .split(' ')
        .enumerate()
        .map(|(at, word)| if at > 0 && PARTICLES.contains(&word) { word.to_owned() } else { capitalised_parts(word) });
    words.collect::<Vec<_>>().join(" ")
}

/// `gun-britt` to `Gun-Britt`, `o’hara` to `O’Hara`.
pub(super) fn capitalised_parts(word: &str) -> String {
    let mut at_start = true;
    let mut text = String::with_capacity(word.len());
    for c in word.chars() {
        if at_start {
            text.extend(c.to_uppercase());
        } else {
            text.push(c);
        }
        at_start = !c.is_alphabetic();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register_file::row::{Answer, RowCells};

    fn read_cell(name: &str) -> Draft {
        let mut cells = RowCells::default();
        cells.cells[Field::Name] = name.to_owned();
        let mut draft = Draft::new(&cells, &Answer::default());
        read(&mut draft);
        draft
    }

    #[test]
    fn names_turned_round_or_in_capitals_are_put_right() {
        for (text, name, codes) in [
            ("SÖDERSTRÖM, GUN-BRITT", "Gun-Britt Söderström", vec!["name_order"]),
            ("Söderström, Gun-Britt", "Gun-Britt Söderström", vec!["name_order"]),
            ("von Essen, Carl", "Carl von Essen", vec!["name_order"]),
            ("ANNA HEDIN", "Anna Hedin", vec!["name_case"]),
            ("anna hedin", "Anna Hedin", vec!["name_case"]),
            ("LIAM O’HARA", "Liam O’Hara", vec!["name_case"]),
            ("PIETER VAN DEN BERGH", "Pieter van den Bergh", vec!["name_case"]),
            ("Sara \"Sassa\" Öberg", "Sara \"Sassa\" Öberg", vec![]),
            ("Anna Hedin, ordförande", "Anna Hedin, ordförande", vec![]),
            ("Marijke de Groot", "Marijke de Groot", vec![]),
            ("Åsa Myhr", "Åsa Myhr", vec![]),
            ("Bo", "Bo", vec![]),
        ] {
            let draft = read_cell(text);
            assert_eq!(draft.values[Field::Name], name);
            assert_eq!(draft.findings.codes(), codes, "{text}");
        }
    }

    #[test]
    fn couples_are_asked_about() {
        for text in [
            "Anna & Jan-Olov Hedlund",
            "Anna och Jan-Olov Hedlund",
            "Anna Hedlund och Per Ström",
            "Anna/Jan Hedlund",
            "Anna + Jan Hedlund",
            "Anna&Jan Hedlund",
            "Anna o Jan Hedlund",
            "Anna Hedlund, Jan Hedlund",
        ] {
            let draft = read_cell(text);
            assert_eq!(draft.findings.message(), "Två personer i samma rad?", "{text}");
            assert!(draft.is_withheld);
        }
    }

    #[test]
    fn marks_and_errors_are_no_name() {
        let is_missing = |name: &str| {
            let mut cells = RowCells::default();
            cells.cells[Field::Name] = name.to_owned();
            super::is_missing(&Draft::new(&cells, &Answer::default()))
        };
        assert!(["", " ", "-", "?", "#N/A"].into_iter().all(is_missing));
        assert!(!["Tom", "Bo", "O"].into_iter().any(is_missing));
    }
}
