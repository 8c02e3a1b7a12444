//! Owns what is worth saying about an alert's text before it goes out: warnings, and the few reasons to refuse it.
//!
//! It changes nothing in the text and decides nothing about registration numbers (a setting does). Invariant: no
//! finding repeats what it found beyond names of places, so findings may be shown and stored.

use super::area::{AreaTree, Place};
use super::personal_number::contains_personal_number;
use super::place_name::places_outside;
use super::sms_text::{MAX_PARTS, SmsText};

/// One thing found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable code such as `text.link`.
    pub code: &'static str,
    /// What was found and what to do, in Swedish.
    pub detail: String,
    /// For `text.place_outside_audience`: code of the area that would take the place in.
    pub area_code: Option<String>,
}

impl Finding {
    pub(super) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), area_code: None }
    }
}

/// Code of the finding that a setting may turn off or into a refusal.
pub const REGISTRATION_NUMBER: &str = "text.registration_number";

/// Why the text of an alert cannot be sent: `text.empty`, `text.personal_number`, `text.too_long`.
///
/// `typed` is what the author wrote and `framed` what would go out.
#[must_use]
pub fn refusals(typed: &SmsText, framed: &SmsText) -> Vec<Finding> {
    let mut findings = Vec::new();
    if typed.as_str().trim().is_empty() {
        findings.push(Finding::new("text.empty", "Skriv en text."));
    }
    if contains_personal_number(typed.as_str()) {
        findings.push(Finding::new(
            "text.personal_number",
            "Texten innehåller ett personnummer. Ta bort det: personnummer får inte skickas i sms.",
        ));
    }
    let parts = framed.segmentation().parts;
    if parts > MAX_PARTS {
        findings.push(Finding::new(
            "text.too_long",
            format!("Texten blir {parts} sms per person. Korta den: högst {MAX_PARTS} går att skicka."),
        ));
    }
    findings
}

/// What the author should know: `text.no_112`, `text.link`, `text.phone_number`, [`REGISTRATION_NUMBER`] and
/// `text.place_outside_audience` (one for each place). `chosen` holds the codes of the chosen areas; when it is empty
/// the places are not looked at.
///
/// Whether 112 is named is asked of `framed`, what would go out; everything else of `typed`.
#[must_use]
pub fn warnings(typed: &SmsText, framed: &SmsText, tree: &AreaTree, places: &[Place], chosen: &[&str]) -> Vec<Finding> {
    let text = typed.as_str();
    let mut findings = Vec::new();
    if !names_112(framed.as_str()) {
        findings.push(Finding::new("text.no_112", "Texten säger inte att man ska ringa 112 om brott pågår."));
    }
    if contains_link(text) {
        findings.push(Finding::new(
            "text.link",
            "Texten innehåller en länk. Länkar i sms lär mottagaren att lita på bedragares sms. Ta bort den.",
        ));
    }
    if contains_phone_number(text) {
        findings.push(Finding::new(
            "text.phone_number",
            "Texten innehåller ett telefonnummer. Kontrollera att det får spridas, eller hänvisa till 112 eller 114 14.",
        ));
    }
    if contains_registration_number(text) {
        findings.push(Finding::new(
            REGISTRATION_NUMBER,
            "Texten innehåller ett registreringsnummer. Ta bort det om det inte måste spridas.",
        ));
    }
    if !chosen.is_empty() {
        findings.extend(outside_places(text, tree, places, chosen));
    }
    findings
}

fn outside_places(text: &str, tree: &AreaTree, places: &[Place], chosen: &[&str]) -> Vec<Finding> {
    places_outside(text, tree, places, chosen)
        .into_iter()
        .map(|outside| Finding {
            code: "text.place_outside_audience",
            detail: format!("Texten nämner {}, men {} är inte valt.", outside.name, outside.area_name),
            area_code: Some(outside.area_code),
        })
        .collect()
}

fn names_112(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| word == "112")
}

/// Endings of addresses that are taken for links without `http` or `www`.
const TOP_DOMAINS: [&str; 16] =
    ["se", "nu", "com", "org", "net", "eu", "info", "io", "me", "ly", "no", "fi", "dk", "de", "app", "link"];

/// Whether a text holds a link, with or without `http`.
#[must_use]
pub fn contains_link(text: &str) -> bool {
    text.split(char::is_whitespace).any(|word| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/');
        let lower = word.to_lowercase();
        lower.contains("://") || lower.starts_with("www.") || is_domain(word)
    })
}

/// `polisen.se`, `x.example.com/p`, but neither `bl.a.` nor a sentence whose space is missing (`området.Se`).
fn is_domain(word: &str) -> bool {
    let host = word.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let Some((name, top)) = host.rsplit_once('.') else { return false };
    TOP_DOMAINS.contains(&top)
        && name.split('.').all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'))
}

/// Digits of the shortest and longest telephone number that is warned for, trunk prefix included.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Groups of digits with single separators that begin with 0 or +, long enough to be a number. 112 and 114 14 are not.
fn contains_phone_number(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (0..chars.len()).any(|at| {
        let begins = chars[at] == '0' || (chars[at] == '+' && chars.get(at + 1).is_some_and(char::is_ascii_digit));
        let fresh = at == 0 || !(chars[at - 1].is_alphanumeric() || chars[at - 1] == '+');
        begins && fresh && PHONE_DIGITS.contains(&phone_digits(&chars[at..]))
    })
}

fn phone_digits(chars: &[char]) -> usize {
    let mut digits = 0;
    let mut separators = 0;
    for &c in chars.iter().skip_while(|c| **c == '+') {
        match c {
            '0'..='9' if digits <= *PHONE_DIGITS.end() => {
                digits += 1;
                separators = 0;
            }
            ' ' | '\u{a0}' | '-' | '–' | '/' | '(' | ')' if separators < 2 => separators += 1,
            _ => break,
        }
    }
    digits
}

/// Swedish vehicle registration numbers, ABC123 and ABC12D, written together in any case or, in capitals, with a blank
/// or hyphen between.
fn contains_registration_number(text: &str) -> bool {
    !registration_numbers(text).is_empty()
}

/// Where registration numbers stand in `text`, as byte ranges.
#[must_use]
pub fn registration_numbers(text: &str) -> Vec<(usize, usize)> {
    let (at, chars): (Vec<usize>, Vec<char>) = text.char_indices().unzip();
    let mut found = Vec::new();
    let mut from = 0;
    while from < chars.len() {
        let fresh = from == 0 || !chars[from - 1].is_alphanumeric();
        if fresh && begins_with_registration_number(&chars[from..]) {
            let length = if chars[from + 3].is_ascii_digit() { 6 } else { 7 };
            found.push((at[from], at.get(from + length).copied().unwrap_or(text.len())));
            from += length;
        } else {
            from += 1;
        }
    }
    found
}

fn begins_with_registration_number(chars: &[char]) -> bool {
    let Some((letters, rest)) = chars.split_at_checked(3) else { return false };
    let is_letter = |c: &char| c.is_ascii_alphabetic() && !matches!(c.to_ascii_uppercase(), 'I' | 'Q' | 'V');
    let separated = rest.first().is_some_and(|c| matches!(c, ' ' | '\u{a0}' | '-'));
    if !letters.iter().all(is_letter) || (separated && !letters.iter().all(char::is_ascii_uppercase)) {
        return false;
    }
    let number = &rest[usize::from(separated)..];
    let Some((&[a, b, last], after)) = number.split_first_chunk::<3>() else { return false };
    let last_fits = last.is_ascii_digit() || (is_letter(&last) && !last.eq_ignore_ascii_case(&'O'));
    let is_112 = separated && [a, b, last] == ['1', '1', '2'];
    a.is_ascii_digit()
        && b.is_ascii_digit()
        && last_fits
        && !is_112
        && !after.first().is_some_and(|c| c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::area::{Area, AreaKind};

    fn tree() -> AreaTree {
        let area = |code: &str, name: &str, kind, parent: Option<&str>| Area {
            code: code.into(),
            name: name.into(),
            kind,
            parent: parent.map(Into::into),
        };
        AreaTree::new([
            area("jamtland", "Jämtland", AreaKind::PoliceArea, None),
            area("2321", "Åre", AreaKind::Municipality, Some("jamtland")),
            area("2380", "Östersund", AreaKind::Municipality, Some("jamtland")),
        ])
        .unwrap()
    }

    fn codes(typed: &str) -> Vec<&'static str> {
        let text = SmsText::parse(typed).unwrap();
        let framed = SmsText::parse(&format!("{typed} Ring 112.")).unwrap();
        let places = [Place { name: "Järpen".into(), municipality: "2321".into() }];
        warnings(&text, &framed, &tree(), &places, &["2380"]).into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn texts_get_the_warnings_they_deserve() {
        let table: [(&str, &[&str]); 40] = [
            ("Inbrott. Grå skåpbil kl. 02.31-03.00, 20/11 2026.", &[]),
            ("Läs mer på https://polisen.se/x", &["text.link"]),
            ("Se www.polisen.se.", &["text.link"]),
            ("Se polisen.se", &["text.link"]),
            ("Se (polisen.se/a).", &["text.link"]),
            ("Mejla tips@polisen.se", &["text.link"]),
            ("bit.ly/abc", &["text.link"]),
            ("Stäng bl.a. dörren. T.ex. i området.Se upp", &[]),
            ("Ring 070-174 06 05", &["text.phone_number"]),
            ("Ring +46 70 174 06 05", &["text.phone_number"]),
            ("Ring 0046701740605", &["text.phone_number"]),
            ("Ring 063-12 34 56", &["text.phone_number"]),
            ("Ring +46 (0)70-174 06 05.", &["text.phone_number"]),
            ("Ring 112 eller 114 14, 11414", &[]),
            ("Kl. 02.31 0 skador", &[]),
            ("Ärende 5000-K123456-26", &[]),
            ("Bil ABC123", &["text.registration_number"]),
            ("Bil abc123.", &["text.registration_number"]),
            ("Bil ABC 12D", &["text.registration_number"]),
            ("Bil ABC-123", &["text.registration_number"]),
            ("Bil AbC12d", &["text.registration_number"]),
            ("Bil abc 123, väg 321, bil 100", &[]),
            ("TEL 112", &[]),
            ("Bil ABC12O", &[]),
            ("Bil AIC123", &[]),
            ("Bil ABC1234", &[]),
            ("Bil XABC123", &[]),
            ("E45, E14, R1200GS", &[]),
            ("Inbrott i Järpen", &["text.place_outside_audience"]),
            ("Inbrott i Östersund", &[]),
            ("Inbrott i Åre, skåpbil ABC123", &["text.registration_number", "text.place_outside_audience"]),
            ("+", &[]),
            ("0", &[]),
            (".se", &[]),
            ("..se", &[]),
            ("://", &[]),
            ("070", &[]),
            ("070174", &[]),
            ("ABC", &[]),
            ("ABC1", &[]),
        ];
        for (typed, expected) in table {
            assert_eq!(codes(typed), expected, "{typed}");
        }
    }

    #[test]
    fn the_frame_may_be_what_names_112() {
        let warned = |framed: &str| {
            let framed = SmsText::parse(framed).unwrap();
            !warnings(&SmsText::default(), &framed, &tree(), &[], &[]).is_empty()
        };
        assert!(warned("Inbrott. 1120 hushåll, 0112"));
        assert!(!warned("Pågår brott: ring 112."));
    }

    #[test]
    fn the_place_check_says_which_area_to_add() {
        let text = SmsText::parse("112 i Järpen").unwrap();
        let places = [Place { name: "Järpen".into(), municipality: "2321".into() }];
        let found = warnings(&text, &text, &tree(), &places, &["2380"]);
        assert_eq!(found[0].detail, "Texten nämner Järpen, men Åre är inte valt.");
        assert_eq!(found[0].area_code.as_deref(), Some("2321"));
        assert!(
            warnings(&text, &text, &tree(), &places, &[]).is_empty(),
            "without areas there is nothing to compare with"
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_its_reason() {
        let refused = |typed: &str| {
            let text = SmsText::parse(typed).unwrap();
            refusals(&text, &text).into_iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        assert_eq!(refused(" \n"), ["text.empty"]);
        assert_eq!(refused("Sök 811218-9876"), ["text.personal_number"]);
        assert_eq!(refused(&"a".repeat(6 * 153)), [""; 0]);
        assert_eq!(refused(&"a".repeat(6 * 153 + 1)), ["text.too_long"]);
        assert_eq!(refused("Inbrott"), [""; 0]);
    }
}
