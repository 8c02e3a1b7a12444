//! Owns the recognition of Swedish personal numbers in free text, so that none is stored or sent.
//!
//! It does not keep or normalise them: nothing in the product has a field for one. Invariant: what it recognises has a
//! date that exists and a check digit that fits.

/// Whether `text` holds a personal number or coordination number (day + 60): `YYMMDD-NNNN` with or without century
/// and separator (folkbokföringslagen 1991:481 18 §; check digit by the Luhn algorithm).
#[must_use]
pub fn contains_personal_number(text: &str) -> bool {
    let chars: Vec<char> = text.chars().filter(|c| !is_invisible(*c)).collect();
    (0..chars.len())
        .filter(|&at| chars[at].is_ascii_digit() && (at == 0 || !chars[at - 1].is_ascii_digit()))
        .any(|at| begins_with_number(&chars[at..]))
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

fn begins_with_number(chars: &[char]) -> bool {
    let first = digits(chars);
    let rest = &chars[first.len()..];
    match first.len() {
        10 => !is_like_mobile(&first) && is_number(&first),
        12 => has_century(&first) && is_number(&first[2..]),
        6 | 8 => {
            let last = digits(after_separator(rest));
            let all: Vec<u8> = first.iter().chain(&last).copied().collect();
            last.len() == 4 && (first.len() == 6 || has_century(&first)) && is_number(&all[all.len() - 10..])
        }
        _ => false,
    }
}

fn digits(chars: &[char]) -> Vec<u8> {
    chars.iter().map_while(|c| c.to_digit(10)).filter_map(|digit| u8::try_from(digit).ok()).collect()
}

/// What follows one hyphen, plus or dash with at most one blank on each side, or a lone blank.
fn after_separator(chars: &[char]) -> &[char] {
    let is_blank = |c: &char| matches!(c, ' ' | '\u{a0}' | '\t');
    let skip = |chars: &'_ [char], is: &dyn Fn(&char) -> bool| usize::from(chars.first().is_some_and(is));
    let mut at = skip(chars, &is_blank);
    at += skip(&chars[at..], &|c| matches!(c, '-' | '+' | '‐' | '\u{2011}' | '–' | '−'));
    at += skip(&chars[at..], &is_blank);
    &chars[at..]
}

fn has_century(digits: &[u8]) -> bool {
    matches!(digits, [1, 8 | 9, ..] | [2, 0, ..])
}

/// `0701740605`: as a number it would have the 74th day, so only a coordination number can be meant, and a mobile
/// number is what people write.
fn is_like_mobile(digits: &[u8]) -> bool {
    digits.starts_with(&[0, 7, 0]) && digits[4] > 3
}

fn is_number(ten: &[u8]) -> bool {
    let two = |at: usize| u32::from(ten[at]) * 10 + u32::from(ten[at + 1]);
    let (year, month, day) = (two(0), two(2), two(4));
    let day = if day > 60 { day - 60 } else { day };
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    (1..=longest).contains(&day) && luhn(ten) == 0
}

fn luhn(ten: &[u8]) -> u32 {
    let sum: u32 = ten
        .iter()
        .enumerate()
        .map(|(at, &digit)| {
            let product = u32::from(digit) * if at % 2 == 0 { 2 } else { 1 };
            product / 10 + product % 10
        })
        .sum();
    sum % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_numbers_are_recognised_however_they_are_written() {
        for text in [
            "811218-9876",
            "19811218-9876",
            "198112189876",
            "8112189876",
            "811218+9876",
            "811218 9876",
            "811218 - 9876",
            "811218–9876",
            "81\u{200b}1218-9876",
            "Han (811218-9876) sågs",
            "701063-2391",
            "000229-0005",
        ] {
            assert!(contains_personal_number(text), "{text}");
        }
    }

    #[test]
    fn other_figures_are_let_through() {
        for text in [
            "811218-9875",
            "811318-9876",
            "810229-0008",
            "070-174 06 05",
            "0701740605",
            "0701743003",
            "5000-K123456-26",
            "20261120 0231",
            "11414",
            "8112189876543",
            "20/11 kl. 02.31",
            "",
        ] {
            assert!(!contains_personal_number(text), "{text}");
        }
    }
}
