//! Owns the reading of the two phone columns: one number, two numbers, a damaged one.
//!
//! What a single number is belongs to `domain::phone`. Invariant: only a number that can get SMS is settled as mobile.

use super::finding::Code;
use super::row::Draft;
use super::{cell, wording};
use crate::domain::contact_person::Field;
use crate::domain::phone::{Line, PhoneError, PhoneNumber, Repair};

/// Reads mobile and second number.
pub(super) fn read(draft: &mut Draft) {
    read_second(draft);
    let text = draft.text(Field::Mobile).to_owned();
    if text.is_empty() {
        return;
    }
    if cell::is_overflow(&text) {
        return ask_destroyed(draft, None);
    }
    let text = without_label(&text);
    match PhoneNumber::read(text) {
        Ok(read) => {
            tell_repair(draft, read.repair, &read.number);
            settle_one(draft, &read.number);
        }
        Err(PhoneError::Empty) => draft.clear(Field::Mobile),
        Err(error) => match split(text) {
            Some(numbers) => settle_several(draft, &numbers),
            None => ask_about(draft, text, error),
        },
    }
}

/// Says that nobody can be reached but on paper, and switches alerts off, where that is a change.
pub(super) fn tell_unreachable(draft: &mut Draft) {
    let is_empty = |field| draft.text(field).is_empty();
    let contacts = [Field::Mobile, Field::Phone2, Field::Email, Field::Email2];
    let has_any = contacts.into_iter().any(|field| !is_empty(field) || draft.open.has(field));
    if !has_any && draft.values[Field::Alerts] == "yes" {
        switch_alerts_off(draft);
        draft.warn(Code::Unreachable, "Nås bara per brev");
    }
}

fn read_second(draft: &mut Draft) {
    let text = draft.text(Field::Phone2).to_owned();
    match PhoneNumber::parse(without_label(&text)) {
        Ok(number) => draft.settle(Field::Phone2, number.e164()),
        Err(PhoneError::Empty) => draft.clear(Field::Phone2),
        Err(error) => draft.ask(code_of(error), format!("Telefon 2: {}", error.detail())),
    }
}

fn tell_repair(draft: &mut Draft, repair: Option<Repair>, number: &PhoneNumber) {
    let Some(repair) = repair else { return };
    let before = draft.text(Field::Mobile).to_owned();
    draft.change(Field::Mobile, before, number.display());
    match repair {
        Repair::LeadingZero => {
            draft.warn(Code::LeadingZero, format!("Inledande nolla tillagd: {}", number.display()));
        }
        Repair::PlusAdded => {
            let country_code: String = if number.is_swedish() {
                "+46".to_owned()
            } else {
                number.display().split(' ').next().unwrap_or_default().to_owned()
            };
            draft.warn(Code::PlusAdded, format!("Landsprefix tolkat som {country_code}"));
        }
    }
}

fn settle_one(draft: &mut Draft, number: &PhoneNumber) {
    if number.can_get_sms() {
        return settle_mobile(draft, number);
    }
    let second = PhoneNumber::parse(&draft.values[Field::Phone2]).ok();
    match second {
        Some(second) if second.can_get_sms() => settle_pair(draft, &second, number),
        Some(second) if second != *number => {
            draft.ask(Code::Landline, "Två fasta telefoner: vilken ska sparas?");
        }
        _ => {
            let message = match number.line() {
                Line::Service => "Numret är inget mobilnummer: kan inte få sms",
                _ => "Fast telefon: kan inte få sms",
            };
            let before = draft.text(Field::Mobile).to_owned();
            draft.change(Field::Phone2, before, number.display());
            settle_second(draft, number);
            draft.warn(Code::Landline, message);
            switch_alerts_off(draft);
        }
    }
}

fn settle_several(draft: &mut Draft, numbers: &[PhoneNumber]) {
    let mobile = numbers.iter().find(|number| number.can_get_sms());
    let others: Vec<&PhoneNumber> = numbers.iter().filter(|number| Some(*number) != mobile).collect();
    let has_room = draft.text(Field::Phone2).is_empty();
    match (mobile, others.as_slice()) {
        (Some(mobile), []) => settle_mobile(draft, mobile),
        (Some(mobile), [other]) if has_room => settle_pair(draft, mobile, other),
        (None, [only]) => settle_one(draft, only),
        _ => {
            let shown: Vec<String> = numbers.iter().map(PhoneNumber::display).collect();
            let shown = wording::listed(&shown, "eller");
            draft.ask_for(Code::TwoNumbers, format!("Flera nummer i samma cell. Vilket gäller: {shown}?"));
        }
    }
}

fn settle_pair(draft: &mut Draft, mobile: &PhoneNumber, other: &PhoneNumber) {
    let before = draft.text(Field::Mobile).to_owned();
    draft.change(Field::Mobile, before, mobile.display());
    draft.change(Field::Phone2, "", other.display());
    settle_mobile(draft, mobile);
    settle_second(draft, other);
    let used = if other.can_get_sms() { mobile.display() } else { "mobilen".to_owned() };
    draft.warn(Code::TwoNumbers, format!("Två nummer: {used} används, {} sparas som telefon 2", other.display()));
}

fn settle_mobile(draft: &mut Draft, number: &PhoneNumber) {
    draft.settle(Field::Mobile, number.e164());
    if !number.is_swedish() {
        draft.foreign_country = Some(number.country());
    }
}

fn settle_second(draft: &mut Draft, number: &PhoneNumber) {
    draft.settle(Field::Phone2, number.e164());
    draft.given.insert(Field::Phone2);
}

fn switch_alerts_off(draft: &mut Draft) {
    if draft.values[Field::Alerts] == "yes" {
        draft.change(Field::Alerts, "ja", "nej");
        draft.settle(Field::Alerts, "no");
        draft.alerts_switched_off = true;
    }
}

fn ask_about(draft: &mut Draft, text: &str, error: PhoneError) {
    match error {
        PhoneError::Destroyed => ask_destroyed(draft, whole_of_decimal(text)),
        PhoneError::Letters => match repaired(text) {
            Some(number) => offer(draft, Code::LetterInNumber, &number),
            None => draft.ask(Code::LetterInNumber, error.detail()),
        },
        PhoneError::Invalid => match PhoneNumber::parse(&format!("0{text}")) {
            Ok(number) if !text.starts_with(['0', '+']) => offer(draft, Code::NumberInvalid, &number),
            _ => draft.ask(Code::NumberInvalid, error.detail()),
        },
        _ => draft.ask(code_of(error), error.detail()),
    }
}

fn code_of(error: PhoneError) -> Code {
    match error {
        PhoneError::Destroyed => Code::NumberDestroyed,
        PhoneError::Letters => Code::LetterInNumber,
        PhoneError::TooShort => Code::TooShort,
        PhoneError::TooLong => Code::TooLong,
        PhoneError::Empty | PhoneError::Invalid => Code::NumberInvalid,
    }
}

fn ask_destroyed(draft: &mut Draft, whole: Option<PhoneNumber>) {
    match whole {
        Some(number) => offer(draft, Code::NumberDestroyed, &number),
        None => draft.ask(Code::NumberDestroyed, PhoneError::Destroyed.detail()),
    }
}

fn offer(draft: &mut Draft, code: Code, number: &PhoneNumber) {
    draft.ask(code, format!("Menade du {}?", number.display()));
    if draft.confirms(code) {
        settle_one(draft, number);
    } else {
        draft.offers.push((Field::Mobile, number.display()));
    }
}

/// `0701740605.0`: no digit is lost.
fn whole_of_decimal(text: &str) -> Option<PhoneNumber> {
    let (whole, _) = text.split_once(['.', ','])?;
    if text.contains(['e', 'E']) {
        return None;
    }
    PhoneNumber::parse(whole).ok()
}

/// `Mob:`, `Tfn`, `Hem` before the number say nothing that the column does not.
fn without_label(text: &str) -> &str {
    const LABELS: [&str; 11] =
        ["mobil", "mobiltel", "mobilnr", "mob", "telefon", "tel", "tfn", "hem", "bostad", "arb", "sms"];
    let end = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    let is_label = LABELS.contains(&text[..end].to_lowercase().as_str());
    if is_label && !text[end..].starts_with("://") { text[end..].trim_start_matches(['.', ':', ' ']) } else { text }
}

/// The number with letters that look like digits put right, or with words around it left out.
fn repaired(text: &str) -> Option<PhoneNumber> {
    let digit_like: String = text
        .chars()
        .map(|c| match c {
            'O' | 'o' => '0',
            'l' | 'I' | 'i' | '|' => '1',
            'S' => '5',
            'B' => '8',
            'Z' => '2',
            _ => c,
        })
        .collect();
    let digits_only = || text.chars().filter(|c| !c.is_alphabetic() && !"':;,=\"*#".contains(*c)).collect::<String>();
    PhoneNumber::parse(&digit_like).or_else(|_| PhoneNumber::parse(&digits_only())).ok()
}

/// The numbers in a cell that holds more than one.
fn split(text: &str) -> Option<Vec<PhoneNumber>> {
    let mut marked = format!(" {text} ");
    for word in [" och ", " eller ", " el ", " el. ", " samt ", " alt ", " alt. "] {
        marked = marked.replace(word, " ; ");
    }
    split_marked(marked.trim(), 0)
}

fn split_marked(text: &str, depth: usize) -> Option<Vec<PhoneNumber>> {
    if depth > 4 {
        return None;
    }
    let is_edge = |c: char| !c.is_ascii_digit() && !matches!(c, '+' | '(');
    let gaps = text.char_indices().filter(|(_, c)| !c.is_ascii_digit() && *c != '-');
    for (at, c) in gaps {
        let (left, right) =
            (text[..at].trim_end_matches(is_edge), text[at + c.len_utf8()..].trim_start_matches(is_edge));
        let Ok(first) = PhoneNumber::parse(without_label(left)) else { continue };
        let right = without_label(right);
        if let Ok(second) = PhoneNumber::parse(right) {
            return Some(vec![first, second]);
        }
        if let Some(rest) = split_marked(right, depth + 1) {
            return Some(std::iter::once(first).chain(rest).collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register_file::row::{Answer, RowCells};

    fn read_cells(mobile: &str, phone2: &str) -> Draft {
        let mut cells = RowCells::default();
        cells.cells[Field::Mobile] = mobile.to_owned();
        cells.cells[Field::Phone2] = phone2.to_owned();
        let mut draft = Draft::new(&cells, &Answer::default());
        draft.settle(Field::Alerts, "yes");
        read(&mut draft);
        draft
    }

    #[test]
    fn damaged_numbers_are_asked_about_and_never_guessed() {
        for (text, code, message) in [
            ("4,67017E+10", "number_destroyed", "Numret har förstörts av kalkylprogrammet. Skriv in det igen."),
            ("7.01740605E+8", "number_destroyed", "Numret har förstörts av kalkylprogrammet. Skriv in det igen."),
            ("########", "number_destroyed", "Numret har förstörts av kalkylprogrammet. Skriv in det igen."),
            ("0701740605.0", "number_destroyed", "Menade du 070-174 06 05?"),
            ("O70-174 5O 11", "letter_in_number", "Menade du 070-174 50 11?"),
            ("07O-l74 50 11", "letter_in_number", "Menade du 070-174 50 11?"),
            ("070-1740605 (Anna)", "letter_in_number", "Menade du 070-174 06 05?"),
            ("ring på dagtid", "letter_in_number", "Numret innehåller annat än siffror. Skriv in det igen."),
            ("070-174 50", "too_short", "Mobilnumret har för få siffror"),
            ("070-174 50 066", "too_long", "Mobilnumret har för många siffror"),
            ("071-174 50 06", "number_invalid", "Det finns inget sådant nummer"),
            ("980319212", "number_invalid", "Menade du 0980-31 92 12?"),
        ] {
            let draft = read_cells(text, "");
            assert_eq!(
                (draft.findings.codes(), draft.findings.message()),
                (vec![code.into()], message.into()),
                "{text}"
            );
            assert_eq!(draft.values[Field::Mobile], "", "{text}");
        }
    }

    #[test]
    fn two_numbers_in_a_cell_are_both_kept() {
        for (text, mobile, second, message) in [
            (
                "070-174 50 12 / 0980-31 92 12",
                "+46701745012",
                "+46980319212",
                "Två nummer: mobilen används, 0980-31 92 12 sparas som telefon 2",
            ),
            (
                "0980-31 92 12, 070-174 50 12",
                "+46701745012",
                "+46980319212",
                "Två nummer: mobilen används, 0980-31 92 12 sparas som telefon 2",
            ),
            (
                "0701745012;0701745013",
                "+46701745012",
                "+46701745013",
                "Två nummer: 070-174 50 12 används, 070-174 50 13 sparas som telefon 2",
            ),
            (
                "070-174 50 12 eller 070-174 50 13",
                "+46701745012",
                "+46701745013",
                "Två nummer: 070-174 50 12 används, 070-174 50 13 sparas som telefon 2",
            ),
            (
                "070-174 50 12 070-174 50 13",
                "+46701745012",
                "+46701745013",
                "Två nummer: 070-174 50 12 används, 070-174 50 13 sparas som telefon 2",
            ),
            (
                "mob 070-174 50 12, hem 0980-31 92 12",
                "+46701745012",
                "+46980319212",
                "Två nummer: mobilen används, 0980-31 92 12 sparas som telefon 2",
            ),
        ] {
            let draft = read_cells(text, "");
            assert_eq!(draft.findings.message(), message, "{text}");
            assert_eq!((draft.values[Field::Mobile].as_str(), draft.values[Field::Phone2].as_str()), (mobile, second));
        }
        let three = read_cells("070-174 50 12, 070-174 50 13, 070-174 50 14", "");
        assert_eq!(three.findings.codes(), ["two_numbers"]);
        assert_eq!(three.values[Field::Mobile], "");
    }

    #[test]
    fn a_fixed_line_is_kept_as_the_second_number_and_alerts_are_off() {
        let draft = read_cells("0980-31 92 13", "");
        assert_eq!(draft.findings.message(), "Fast telefon: kan inte få sms");
        assert_eq!((draft.values[Field::Mobile].as_str(), draft.values[Field::Phone2].as_str()), ("", "+46980319213"));
        assert_eq!(draft.values[Field::Alerts], "no");
        let swapped = read_cells("0980-31 92 13", "070-174 50 12");
        assert_eq!(swapped.findings.codes(), ["two_numbers"]);
        assert_eq!(swapped.values[Field::Mobile], "+46701745012");
    }

    #[test]
    fn what_is_put_right_is_shown() {
        for (text, code, message) in [
            ("701745006", "leading_zero", "Inledande nolla tillagd: 070-174 50 06"),
            ("46701745009", "plus_added", "Landsprefix tolkat som +46"),
            ("4799950014", "plus_added", "Landsprefix tolkat som +47"),
        ] {
            let draft = read_cells(text, "");
            assert_eq!(
                (draft.findings.codes(), draft.findings.message()),
                (vec![code.into()], message.into()),
                "{text}"
            );
        }
        assert!(read_cells("Mob: 070-174 50 06", "").findings.codes().is_empty());
    }
}
