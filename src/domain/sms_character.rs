//! Owns the Swedish names and plain equals of characters outside the GSM 7-bit alphabet.
//!
//! It does not know which characters are in the alphabet (`sms_text`). Invariant: a letter never has a replacement,
//! since it may be part of somebody's name or of a place, and every replacement is in the alphabet.

/// What a character is called and what can stand in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Character {
    /// Swedish name.
    pub name: String,
    /// Plain equal; empty for characters that show nothing.
    pub replacement: Option<&'static str>,
}

/// The name and plain equal of `c`.
#[must_use]
pub fn describe(c: char) -> Character {
    if let Some((name, replacement)) = punctuation(c).or_else(|| blank(c)).or_else(|| invisible(c)) {
        return Character { name: name.to_owned(), replacement: Some(replacement) };
    }
    let name = match c {
        _ if is_emoji(c) => "emoji".to_owned(),
        '°' => "gradtecken".to_owned(),
        '½' | '¼' | '¾' => "bråktecken".to_owned(),
        '×' => "multiplikationstecken".to_owned(),
        _ if c.is_alphabetic() => format!("bokstaven {c}"),
        _ => format!("tecknet U+{:04X}", u32::from(c)),
    };
    Character { name, replacement: None }
}

fn punctuation(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        '”' | '“' | '„' | '‟' | '«' | '»' => ("typografiskt citattecken", "\""),
        '’' | '‘' | '‚' | '‛' | '‹' | '›' => ("typografiskt enkelt citattecken", "'"),
        '″' => ("sekundtecken", "\""),
        '′' => ("minuttecken", "'"),
        '´' => ("akut accent", "'"),
        '`' => ("grav accent", "'"),
        '–' => ("tankstreck", "-"),
        '—' | '―' => ("långt tankstreck", "-"),
        '‐' => ("bindestreck", "-"),
        '\u{2011}' => ("hårt bindestreck", "-"),
        '‒' => ("sifferstreck", "-"),
        '−' => ("minustecken", "-"),
        '…' => ("uteslutningstecken", "..."),
        '•' | '·' | '‣' | '▪' => ("punkttecken", "-"),
        _ => return None,
    })
}

fn blank(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        '\t' => ("tabb", " "),
        '\u{a0}' => ("hårt mellanslag", " "),
        '\u{202f}' => ("smalt hårt mellanslag", " "),
        '\u{2028}' | '\u{2029}' => ("radbrytning av annat slag", "\n"),
        '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => ("mellanslag av annan bredd", " "),
        _ => return None,
    })
}

fn invisible(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        '\u{ad}' => ("mjukt bindestreck", ""),
        '\u{200b}' => ("nollbrett mellanslag", ""),
        '\u{200c}' | '\u{200d}' | '\u{2060}' => ("nollbrett fogtecken", ""),
        '\u{feff}' => ("byteordningsmärke", ""),
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            ("osynligt riktningstecken", "")
        }
        '\u{fe00}'..='\u{fe0f}' => ("osynligt variationstecken", ""),
        _ => return None,
    })
}

/// Whether `c` lies in the blocks of pictures: Miscellaneous Symbols to Symbols and Pictographs Extended-A.
fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}' | '\u{231a}'..='\u{231b}'
        | '\u{23e9}'..='\u{23fa}' | '\u{20e3}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sms_text::gsm7_code;

    #[test]
    fn what_people_paste_has_a_name_and_a_plain_equal() {
        let table = [
            ('”', "typografiskt citattecken", Some("\"")),
            ('’', "typografiskt enkelt citattecken", Some("'")),
            ('–', "tankstreck", Some("-")),
            ('—', "långt tankstreck", Some("-")),
            ('…', "uteslutningstecken", Some("...")),
            ('\u{a0}', "hårt mellanslag", Some(" ")),
            ('\u{2009}', "mellanslag av annan bredd", Some(" ")),
            ('\t', "tabb", Some(" ")),
            ('\u{200b}', "nollbrett mellanslag", Some("")),
            ('\u{feff}', "byteordningsmärke", Some("")),
            ('\u{202e}', "osynligt riktningstecken", Some("")),
            ('😀', "emoji", None),
            ('á', "bokstaven á", None),
            ('š', "bokstaven š", None),
            ('Ï', "bokstaven Ï", None),
            ('ł', "bokstaven ł", None),
            ('°', "gradtecken", None),
            ('→', "tecknet U+2192", None),
            ('\u{301}', "tecknet U+0301", None),
        ];
        for (c, name, replacement) in table {
            assert_eq!(describe(c), Character { name: name.to_owned(), replacement }, "{c:?}");
        }
    }

    #[test]
    fn no_letter_is_replaced_and_every_replacement_is_in_the_alphabet() {
        for c in ('\0'..='\u{ffff}').filter(|&c| gsm7_code(c).is_none()) {
            let Some(replacement) = describe(c).replacement else { continue };
            assert!(!c.is_alphanumeric(), "{c:?}");
            assert!(replacement.chars().all(|r| gsm7_code(r).is_some()), "{c:?}");
        }
    }
}
