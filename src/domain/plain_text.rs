//! Owns what "the same text" means: the stored form of a line or of several lines, and the folded forms that are
//! compared.
//!
//! It does not judge content. Invariant: cleaning twice gives what cleaning once gave.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// One line as it is stored: NFC (UAX 15), no control or invisible characters, blanks folded and trimmed.
#[must_use]
pub fn clean_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(is_blank) {
        let is_shown = |c: &char| !is_invisible(*c) && !c.is_control();
        let gap = line.len();
        if gap > 0 {
            line.push(' ');
        }
        let start = line.len();
        if word.is_ascii() {
            line.extend(word.chars().filter(is_shown));
        } else {
            line.extend(word.chars().filter(is_shown).nfc());
        }
        if line.len() == start {
            line.truncate(gap);
        }
    }
    line
}

/// Several lines as they are stored: each cleaned as by [`clean_line`], LF between them, empty ones left out at both
/// ends.
#[must_use]
pub fn clean_lines(text: &str) -> String {
    let lines: Vec<String> = text.replace("\r\n", "\n").split(['\n', '\r']).map(clean_line).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Whether `c` is a control character that no field may hold: all of them but tab, LF and CR, which count as blanks.
#[must_use]
pub fn is_forbidden_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r')
}

/// Whether `c` has no width or only turns the direction of text (bidi marks, zero-width space, byte order mark).
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The form in which names and addresses are compared: lower case, hyphens and punctuation as blanks, blanks folded.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut push = |c: char| match (c.is_alphanumeric(), folded.ends_with(' ')) {
        (true, _) => folded.push(c),
        (false, false) if !folded.is_empty() => folded.push(' '),
        _ => {}
    };
    if text.is_ascii() {
        text.chars().for_each(|c| push(c.to_ascii_lowercase()));
    } else {
        text.nfc().flat_map(char::to_lowercase).for_each(push);
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// [`fold`] without diacritics: å and ä become a, ö and ø become o, é becomes e.
#[must_use]
pub fn fold_plain(text: &str) -> String {
    without_diacritics(&fold(text))
}

/// `text` with its letters' diacritics taken off; ø, æ, ß, đ and ł become o, ae, ss, d and l.
#[must_use]
pub fn without_diacritics(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.nfd().filter(|c| !is_combining_mark(*c)) {
        match c {
            'ø' => plain.push('o'),
            'Ø' => plain.push('O'),
            'æ' => plain.push_str("ae"),
            'Æ' => plain.push_str("Ae"),
            'ß' => plain.push_str("ss"),
            'đ' => plain.push('d'),
            'ł' => plain.push('l'),
            _ => plain.push(c),
        }
    }
    plain
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_composed_folded_and_trimmed() {
        for (raw, clean) in [
            ("  Ingela   Bäckman ", "Ingela Bäckman"),
            ("A\u{30a}ke\u{a0}Fa\u{308}ltström \t ", "Åke Fältström"),
            ("An\u{200b}na\u{202e} He\u{0}din\u{1b}", "Anna Hedin"),
            ("rad ett\r\nrad två", "rad ett rad två"),
            ("", ""),
        ] {
            assert_eq!(clean_line(raw), clean);
            assert_eq!(clean_line(clean), clean);
        }
        assert_eq!(clean_lines("\n Fäbodvägen 58 \r\n  c/o  Västigård\r\r"), "Fäbodvägen 58\nc/o Västigård");
    }

    #[test]
    fn folding_lets_case_hyphens_and_diacritics_go() {
        assert_eq!(fold("KARL-ERIK  Fahlén"), fold("Karl Erik fahlén"));
        assert_ne!(fold("Åkergren"), fold("Akergren"));
        assert_eq!(fold_plain("Bjørn Åkergrén"), "bjorn akergren");
    }
}
