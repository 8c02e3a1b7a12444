//! Owns what any cell may be, whatever its column: clean text, a placeholder, a spreadsheet's error, a formula, yes or no.
//!
//! It does not know what a field means. Invariant: a formula is never evaluated, only recognised.

use super::mojibake;
use crate::domain::plain_text::{clean_line, clean_lines, fold, fold_plain, is_forbidden_control};

/// A cell made readable.
#[derive(Debug, Default)]
pub(super) struct CleanCell {
    /// The text as it would be stored.
    pub text: String,
    /// Whether wrongly decoded text was repaired.
    pub was_mojibake: bool,
    /// Whether control characters were taken away.
    pub had_control: bool,
    /// Whether a leading quote says that the rest is text and nothing else, as our own export writes it.
    pub is_literal: bool,
}

/// Makes a cell readable: encoding repaired, NFC, blanks folded, control characters gone.
pub(super) fn clean(raw: &str, has_lines: bool) -> CleanCell {
    let repaired = mojibake::repaired(raw);
    let text = repaired.as_deref().unwrap_or(raw);
    let had_control = text.chars().any(is_forbidden_control);
    let is_literal = has_text_mark(text);
    let text = if is_literal { &text[1..] } else { text };
    let text = if has_lines { clean_lines(text) } else { clean_line(text) };
    CleanCell { text, was_mojibake: repaired.is_some(), had_control, is_literal }
}

/// Characters that make a spreadsheet take a cell for a formula (OWASP ASVS 5.0.0, 1.2.10), and the quote itself.
pub(super) fn is_formula_start(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\0')
}

/// Whether `text` begins with the quote by which [`super::export`] keeps formulas from being one.
fn has_text_mark(text: &str) -> bool {
    text.strip_prefix('\'').is_some_and(|rest| rest.trim_start_matches('\'').starts_with(is_formula_start))
}

/// Whether people write this for "nothing".
pub(super) fn is_placeholder(text: &str) -> bool {
    const WORDS: [&str; 36] = [
        "saknas",
        "saknar",
        "finns ej",
        "finns inte",
        "finns inget",
        "ingen",
        "inget",
        "inga",
        "ej",
        "nej",
        "okand",
        "okant",
        "vet ej",
        "vet inte",
        "n a",
        "na",
        "null",
        "none",
        "nil",
        "tom",
        "tomt",
        "x",
        "xx",
        "xxx",
        "har ej",
        "har inte",
        "har ingen",
        "har inget",
        "ej angivet",
        "ej angiven",
        "uppgift saknas",
        "ingen uppgift",
        "missing",
        "unknown",
        "ingen mobil",
        "ingen epost",
    ];
    let word = fold_plain(text);
    let is_marks = !text.is_empty() && text.chars().all(|c| !c.is_alphanumeric() && c != '#');
    let is_word = !text.starts_with('#') && WORDS.contains(&word.as_str());
    is_marks || is_word || (text.len() > 1 && text.chars().all(|c| c == '0')) || text == "0"
}

/// Whether this is an error value of a spreadsheet, in any of its languages: `#SAKNAS!`, `#N/A`, `#REF!`.
pub(super) fn is_cell_error(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|word| {
        let is_word = |c: char| c.is_uppercase() || matches!(c, '/' | '0' | '!' | '?' | ' ' | '_');
        word.chars().count() >= 2 && word.chars().all(is_word) && word.chars().any(char::is_alphabetic)
    })
}

/// A column too narrow for its number shows `########`, and that is what some programs save.
pub(super) fn is_overflow(text: &str) -> bool {
    text.len() >= 2 && text.chars().all(|c| c == '#')
}

/// A formula.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Formula {
    /// The text it would have shown, as far as that can be told without evaluating it.
    pub shown: Option<String>,
}

/// Whether the cell holds a formula: `=…`, `@SUM(…)`, `+SUM(…)`, `-2+3+cmd|' /C calc'!A0`.
pub(super) fn formula(text: &str) -> Option<Formula> {
    let mut chars = text.chars();
    let first = chars.next()?;
    let rest = chars.as_str();
    let is_call = || {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '_')).collect();
        name.chars().any(char::is_alphabetic) && rest[name.len()..].starts_with('(')
    };
    let is_remote = || rest.contains('|') && rest.contains('!');
    let is_formula = match first {
        '=' => !rest.trim_matches('=').is_empty(),
        '@' | '+' | '-' => is_call() || is_remote(),
        _ => false,
    };
    is_formula.then(|| Formula { shown: last_literal(text) })
}

/// The last text in quotation marks: the display text of `HYPERLINK`, the value of `="0701…"`.
fn last_literal(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('"').collect();
    let inside = parts.iter().skip(1).step_by(2).take(parts.len().saturating_sub(1).div_ceil(2));
    inside.map(|part| clean_line(part)).rfind(|part| !part.is_empty())
}

/// Letters that were lost before the file came here: U+FFFD, or `?` beside a letter in a name.
pub(super) fn has_lost_letter(text: &str, is_name: bool) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let is_letter = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphabetic());
    chars.iter().enumerate().any(|(at, c)| match c {
        '\u{fffd}' => true,
        '?' if is_name => is_letter(at.checked_sub(1)) || is_letter(Some(at + 1)),
        '?' => is_letter(at.checked_sub(1)) && is_letter(Some(at + 1)),
        _ => false,
    })
}

/// Yes or no as somebody wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Truth {
    /// Yes.
    pub value: bool,
    /// Whether it was written as `ja`, `nej`, `yes` or `no`.
    pub is_plain: bool,
}

/// Reads yes or no; `None` when it is neither, or empty.
pub(super) fn truth(text: &str) -> Option<Truth> {
    const YES: [&str; 12] = ["j", "y", "x", "xx", "sant", "true", "t", "1", "on", "pa", "ok", "jadå"];
    const NO: [&str; 9] = ["n", "falskt", "false", "f", "0", "off", "av", "ej", "inte"];
    let word = fold(text);
    match word.as_str() {
        "ja" | "yes" => return Some(Truth { value: true, is_plain: true }),
        "nej" | "no" => return Some(Truth { value: false, is_plain: true }),
        "" if text.contains(['✓', '✔', '☑', '√']) => return Some(Truth { value: true, is_plain: false }),
        "" if matches!(text.trim(), "-" | "–" | "☐" | "✗" | "✘") => {
            return Some(Truth { value: false, is_plain: false });
        }
        _ => {}
    }
    let plain = fold_plain(text);
    let begins = |start: &str| plain.split(' ').next() == Some(start);
    if YES.contains(&plain.as_str()) || begins("ja") {
        Some(Truth { value: true, is_plain: false })
    } else if NO.contains(&plain.as_str()) || begins("nej") {
        Some(Truth { value: false, is_plain: false })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_nothing_in_many_ways() {
        for text in ["saknas", "-", "–", "?", "Finns ej", "n/a", "0", "000", "...", "Okänd", "x"] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["Anna", "070-174 50 01", "10", "#SAKNAS!", "Ejder", "Nejlikan"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn spreadsheet_errors_are_known_by_their_form() {
        for text in ["#SAKNAS!", "#N/A", "#REF!", "#VÄRDEFEL!", "#DIVISION/0!", "#NAMN?", "#NULL!"] {
            assert!(is_cell_error(text), "{text}");
        }
        for text in ["#1", "# 4 tr", "#grannsamverkan", "########", "SAKNAS!"] {
            assert!(!is_cell_error(text), "{text}");
        }
        assert!(is_overflow("########"));
    }

    #[test]
    fn formulas_are_recognised_and_their_text_is_offered() {
        let shown = |text: &str| formula(text).map(|formula| formula.shown);
        for (text, expected) in [
            ("=HYPERLINK(\"https://example.org/x\";\"Nils Frisk\")", Some("Nils Frisk")),
            ("=\"0701745001\"", Some("0701745001")),
            ("=A1+1", None),
            ("@SUM(1+1)*cmd|' /C calc'!A0", None),
            ("+SUM(1)", None),
            ("-2+3+cmd|' /C calc'!A0", None),
        ] {
            assert_eq!(shown(text), Some(expected.map(str::to_owned)), "{text}");
        }
        for text in ["+46701745007", "- ring först", "@hemma", "-", "+46(0)70-174 50 03", "==="] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn our_own_text_mark_is_taken_off_and_believed() {
        for (raw, text, is_literal) in [
            ("'=1+1", "=1+1", true),
            ("'+47 99 95 00 14", "+47 99 95 00 14", true),
            ("''=1", "'=1", true),
            ("'t Hooft", "'t Hooft", false),
            ("=1+1", "=1+1", false),
        ] {
            let cell = clean(raw, false);
            assert_eq!((cell.text.as_str(), cell.is_literal), (text, is_literal), "{raw}");
        }
    }

    #[test]
    fn lost_letters_are_seen_in_names_and_not_in_questions() {
        for (text, is_name, expected) in [
            ("R?ta Kazlauskien?", true, true),
            ("G\u{fffd}ran", true, true),
            ("Ring först, varför?", false, false),
            ("Sk?nsk granne", false, true),
            ("Anna", true, false),
        ] {
            assert_eq!(has_lost_letter(text, is_name), expected, "{text}");
        }
    }

    #[test]
    fn yes_and_no_have_many_forms() {
        let read = |text: &str| truth(text).map(|truth| (truth.value, truth.is_plain));
        for (text, expected) in [
            ("Ja", Some((true, true))),
            ("YES", Some((true, true))),
            ("nej", Some((false, true))),
            ("J", Some((true, false))),
            ("X", Some((true, false))),
            ("SANT", Some((true, false))),
            ("FALSKT", Some((false, false))),
            ("nej tack", Some((false, false))),
            ("✓", Some((true, false))),
            ("-", Some((false, false))),
            ("kanske", None),
            ("", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
