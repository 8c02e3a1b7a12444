//! Owns what a text is as an SMS: its normal form, its alphabet, its length and where it is cut into parts.
//!
//! It does not judge what the text says (`lint`) and adds nothing to it (`render::sms`).
//! Invariant: an [`SmsText`] is in NFC, its only control characters are LF, tab and form feed, and no line of it
//! ends in a blank.
//!
//! Sources: 3GPP TS 23.038 6.2.1 (alphabets), TS 23.040 9.2.3.24.1 (parts with an 8-bit reference).

use unicode_normalization::UnicodeNormalization;

use super::sms_character::{Character, describe};

/// The GSM 7-bit default alphabet: the character at each position (3GPP TS 23.038 6.2.1).
///
/// Position 0x1B is the escape to [`EXTENSION`] and stands here as U+001B, which no [`SmsText`] holds.
pub const DEFAULT_ALPHABET: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// The default extension table: what may follow the escape, each pair counting as two units (TS 23.038 6.2.1.1).
pub const EXTENSION: [(char, u8); 10] = [
    ('\u{c}', 0x0a),
    ('^', 0x14),
    ('{', 0x28),
    ('}', 0x29),
    ('\\', 0x2f),
    ('[', 0x3c),
    ('~', 0x3d),
    (']', 0x3e),
    ('|', 0x40),
    ('€', 0x65),
];

/// Parts an alert may have at most; a product limit well below what gateways and phones take.
pub const MAX_PARTS: usize = 6;

/// Occurrences listed in [`Segmentation::offending`] at most. A text that can be sent has at most 402 characters
/// outside the alphabet, so only texts that are refused anyway are listed in part.
pub const MAX_OFFENDING: usize = 1000;

/// Code value of the highest character of the default alphabet, Ω.
const HIGHEST: usize = 0x3a9;
const ABSENT: u8 = 0xff;
const CODES: [u8; HIGHEST + 1] = codes();

/// How a text goes over the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// GSM 7-bit default alphabet with its extension table; a unit is a septet.
    Gsm7,
    /// UCS-2, in practice UTF-16BE; a unit is two octets.
    Ucs2,
}

impl Encoding {
    /// The name the API and pages show.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Gsm7 => "GSM-7",
            Self::Ucs2 => "UCS-2",
        }
    }

    /// Units that fit in an SMS of one part.
    #[must_use]
    pub fn single_limit(self) -> usize {
        match self {
            Self::Gsm7 => 160,
            Self::Ucs2 => 70,
        }
    }

    /// Units that fit in each part of several, after the header of six octets.
    #[must_use]
    pub fn part_limit(self) -> usize {
        match self {
            Self::Gsm7 => 153,
            Self::Ucs2 => 67,
        }
    }

    fn units(self, c: char) -> usize {
        match self {
            Self::Gsm7 => gsm7_code(c).map_or(1, |code| if code.escaped { 2 } else { 1 }),
            Self::Ucs2 => c.len_utf16(),
        }
    }
}

/// The place of a character in the GSM 7-bit alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gsm7Code {
    /// Whether the escape 0x1B stands before it.
    pub escaped: bool,
    /// The septet.
    pub septet: u8,
}

/// The place of `c` in the GSM 7-bit default alphabet or its extension, `None` when it is in neither.
#[must_use]
pub fn gsm7_code(c: char) -> Option<Gsm7Code> {
    if let Some(&septet) = CODES.get(c as usize)
        && septet != ABSENT
    {
        return Some(Gsm7Code { escaped: false, septet });
    }
    EXTENSION.iter().find(|(known, _)| *known == c).map(|&(_, septet)| Gsm7Code { escaped: true, septet })
}

/// Why a text cannot be an SMS at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SmsTextError {
    /// A control character that phones and gateways must not see, such as NUL or ESC.
    #[error("control character U+{:04X} at {index}", u32::from(*.character))]
    ControlCharacter {
        /// Position in Unicode characters from 0, in the text as it was given.
        index: usize,
        /// The character.
        character: char,
    },
}

impl SmsTextError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ControlCharacter { .. } => "text.control_character",
        }
    }

    /// What is wrong, in Swedish.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::ControlCharacter { index, character } => format!(
                "Texten innehåller ett styrtecken (U+{:04X}) på plats {}. Ta bort det.",
                u32::from(*character),
                index + 1
            ),
        }
    }
}

/// A text in its normal form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SmsText(String);

/// What a text becomes on its way to a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segmentation {
    /// The alphabet the whole text needs.
    pub encoding: Encoding,
    /// Septets or 16-bit units of the whole text, headers not counted.
    pub units: usize,
    /// Parts as they are packed: an escape pair or surrogate pair that does not fit begins the next part, so this can
    /// be more than `units` divided by the part's length. 0 for an empty text.
    pub parts: usize,
    /// Every occurrence of a character that forces UCS-2, in order, at most [`MAX_OFFENDING`].
    pub offending: Vec<Offending>,
}

/// One occurrence of a character outside the GSM 7-bit alphabet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offending {
    /// Position in Unicode characters from 0, in the normalised text.
    pub index: usize,
    /// The character.
    pub character: char,
    /// What it is called in Swedish.
    pub name: String,
    /// What says the same inside the alphabet; `None` for letters, which are never replaced, and all else without a
    /// plain equal. Empty for characters that show nothing.
    pub replacement: Option<String>,
}

impl SmsText {
    /// Brings a text into its normal form: NFC; CR LF and CR become LF; trailing blanks are cut.
    ///
    /// Trailing blanks are spaces of any width and tabs at the end of each line, and at the end of the text line
    /// breaks as well. Blanks at the beginning are kept: they may be meant. Form feed is kept, since it is a character
    /// of the extension table, and so is tab, which is reported as offending with a space as its replacement.
    ///
    /// # Errors
    /// [`SmsTextError::ControlCharacter`] for any other control character (C0, DEL, C1).
    pub fn parse(text: &str) -> Result<Self, SmsTextError> {
        if let Some((index, character)) = text.chars().enumerate().find(|&(_, c)| is_refused(c)) {
            return Err(SmsTextError::ControlCharacter { index, character });
        }
        let mut normal = String::with_capacity(text.len());
        let mut rest = text.nfc().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\r' => {
                    rest.next_if_eq(&'\n');
                    end_line(&mut normal);
                }
                '\n' => end_line(&mut normal),
                _ => normal.push(c),
            }
        }
        normal.truncate(normal.trim_end_matches(|c| c == '\n' || is_blank(c)).len());
        Ok(Self(normal))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is left of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Alphabet, length, parts and what spoils the alphabet. Linear in the text; meant to run at every key press.
    #[must_use]
    pub fn segmentation(&self) -> Segmentation {
        let encoding = self.encoding();
        let (units, starts) = pack(&self.0, encoding);
        let offending = if encoding == Encoding::Gsm7 { Vec::new() } else { offending(&self.0) };
        Segmentation { encoding, units, parts: starts.len(), offending }
    }

    /// The text of each part, in order; joined they are the text.
    #[must_use]
    pub fn part_texts(&self) -> Vec<&str> {
        let (_, starts) = pack(&self.0, self.encoding());
        let ends = starts.iter().skip(1).copied().chain([self.0.len()]);
        starts.iter().zip(ends).map(|(&start, end)| &self.0[start..end]).collect()
    }

    fn encoding(&self) -> Encoding {
        if self.0.chars().all(|c| gsm7_code(c).is_some()) { Encoding::Gsm7 } else { Encoding::Ucs2 }
    }
}

fn is_refused(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}')
}

/// Whitespace within a line; form feed is no blank, it counts as the character it is.
fn is_blank(c: char) -> bool {
    c == '\t' || (c.is_whitespace() && !c.is_control())
}

fn end_line(text: &mut String) {
    text.truncate(text.trim_end_matches(is_blank).len());
    text.push('\n');
}

/// The units of `text` and the byte offset at which each part begins.
fn pack(text: &str, encoding: Encoding) -> (usize, Vec<usize>) {
    let units: usize = text.chars().map(|c| encoding.units(c)).sum();
    if units == 0 {
        return (0, Vec::new());
    }
    if units <= encoding.single_limit() {
        return (units, vec![0]);
    }
    let mut starts = vec![0];
    let mut filled = 0;
    for (offset, c) in text.char_indices() {
        let width = encoding.units(c);
        if filled + width > encoding.part_limit() {
            starts.push(offset);
            filled = 0;
        }
        filled += width;
    }
    (units, starts)
}

fn offending(text: &str) -> Vec<Offending> {
    text.chars()
        .enumerate()
        .filter(|&(_, c)| gsm7_code(c).is_none())
        .take(MAX_OFFENDING)
        .map(|(index, character)| {
            let Character { name, replacement } = describe(character);
            Offending { index, character, name, replacement: replacement.map(str::to_owned) }
        })
        .collect()
}

const fn codes() -> [u8; HIGHEST + 1] {
    let mut codes = [ABSENT; HIGHEST + 1];
    let mut position = 0;
    while position < DEFAULT_ALPHABET.len() {
        if position != 0x1b {
            codes[DEFAULT_ALPHABET[position] as usize] = position as u8;
        }
        position += 1;
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> SmsText {
        SmsText::parse(text).unwrap()
    }

    fn measured(given: &str) -> (&'static str, usize, usize) {
        let Segmentation { encoding, units, parts, .. } = text(given).segmentation();
        (encoding.code(), units, parts)
    }

    #[test]
    fn the_alphabet_has_the_code_values_of_the_standard() {
        let values = [
            ('@', 0x00),
            ('$', 0x02),
            ('_', 0x11),
            ('¤', 0x24),
            ('¡', 0x40),
            ('Ä', 0x5b),
            ('Ö', 0x5c),
            ('Ñ', 0x5d),
            ('Ü', 0x5e),
            ('§', 0x5f),
            ('¿', 0x60),
            ('ä', 0x7b),
            ('ö', 0x7c),
            ('ñ', 0x7d),
            ('ü', 0x7e),
            ('à', 0x7f),
            ('Å', 0x0e),
            ('å', 0x0f),
            ('É', 0x1f),
            ('é', 0x05),
            ('Ç', 0x09),
            ('\n', 0x0a),
            (' ', 0x20),
            ('0', 0x30),
            ('A', 0x41),
            ('z', 0x7a),
            ('Ω', 0x15),
        ];
        for (c, septet) in values {
            assert_eq!(gsm7_code(c), Some(Gsm7Code { escaped: false, septet }), "{c}");
        }
        for (c, septet) in EXTENSION {
            assert_eq!(gsm7_code(c), Some(Gsm7Code { escaped: true, septet }), "{c:?}");
        }
    }

    #[test]
    fn the_default_alphabet_holds_127_different_characters_besides_the_escape() {
        let mut all: Vec<char> = DEFAULT_ALPHABET.into_iter().filter(|&c| gsm7_code(c).is_some()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 127);
        assert_eq!(gsm7_code('\u{1b}'), None);
        for c in "’‘”“–—…\u{a0}\t`´áíóúêïëçšžđŋŧčł".chars() {
            assert_eq!(gsm7_code(c), None, "{c}");
        }
    }

    #[test]
    fn parts_change_exactly_at_the_limits() {
        let table = [
            ("a", 0, ("GSM-7", 0, 0)),
            ("a", 160, ("GSM-7", 160, 1)),
            ("a", 161, ("GSM-7", 161, 2)),
            ("a", 306, ("GSM-7", 306, 2)),
            ("a", 307, ("GSM-7", 307, 3)),
            ("a", 459, ("GSM-7", 459, 3)),
            ("a", 460, ("GSM-7", 460, 4)),
            ("å", 160, ("GSM-7", 160, 1)),
            ("€", 80, ("GSM-7", 160, 1)),
            ("€", 81, ("GSM-7", 162, 2)),
            ("\u{c}", 80, ("GSM-7", 160, 1)),
            ("š", 70, ("UCS-2", 70, 1)),
            ("š", 71, ("UCS-2", 71, 2)),
            ("š", 134, ("UCS-2", 134, 2)),
            ("š", 135, ("UCS-2", 135, 3)),
            ("š", 201, ("UCS-2", 201, 3)),
            ("š", 202, ("UCS-2", 202, 4)),
            ("🚗", 35, ("UCS-2", 70, 1)),
            ("🚗", 36, ("UCS-2", 72, 2)),
        ];
        for (unit, times, expected) in table {
            assert_eq!(measured(&unit.repeat(times)), expected, "{unit} x {times}");
        }
    }

    #[test]
    fn an_escape_pair_is_never_split() {
        let given = format!("{}€{}", "a".repeat(152), "b".repeat(152));
        assert_eq!(measured(&given), ("GSM-7", 306, 3));
        let whole = text(&given);
        let parts = whole.part_texts();
        assert_eq!(parts.iter().map(|part| part.chars().count()).collect::<Vec<_>>(), [152, 152, 1]);
        assert!(parts[1].starts_with('€'));
        assert_eq!(parts.concat(), given);
    }

    #[test]
    fn a_surrogate_pair_is_never_split() {
        let given = format!("{}🚗{}", "š".repeat(66), "š".repeat(66));
        assert_eq!(measured(&given), ("UCS-2", 134, 3));
        assert!(text(&given).part_texts()[1].starts_with('🚗'));
    }

    #[test]
    fn texts_are_brought_into_one_form() {
        let table = [
            ("A\u{30a}re a\u{308}r o\u{308}ppet", "Åre är öppet"),
            ("rad 1\r\nrad 2\rrad 3\n\nrad 5", "rad 1\nrad 2\nrad 3\n\nrad 5"),
            ("slut \u{a0}\t\r\n \n", "slut"),
            ("rad 1 \t\u{a0}\nrad 2", "rad 1\nrad 2"),
            ("  indrag", "  indrag"),
            ("sida\u{c}", "sida\u{c}"),
            (" \r\n\t", ""),
            ("\r\r\n\n.", "\n\n\n."),
        ];
        for (given, expected) in table {
            assert_eq!(text(given).as_str(), expected, "{given:?}");
        }
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for given in ["a \r\r\n b\u{30a} \n", "\u{1100}\u{1161}\u{11a8} ", "x\t\r"] {
            let once = text(given);
            assert_eq!(text(once.as_str()), once);
        }
    }

    #[test]
    fn control_characters_are_refused_with_their_place() {
        for (given, index) in
            [("a\0", 1), ("\u{1b}[0m", 0), ("åä\u{7}", 2), ("\u{b}", 0), ("x\u{7f}", 1), ("\u{85}", 0)]
        {
            let SmsTextError::ControlCharacter { index: found, .. } = SmsText::parse(given).unwrap_err();
            assert_eq!(found, index, "{given:?}");
        }
        assert_eq!(
            SmsText::parse("a\0").unwrap_err().detail(),
            "Texten innehåller ett styrtecken (U+0000) på plats 2. Ta bort det."
        );
    }

    #[test]
    fn every_offending_character_is_listed_with_its_place_in_the_normal_form() {
        // The NFD å before the quote shifts a count made on the text as given.
        let found = text("Vi sa\u{30a}g en ”skum” Š🚗").segmentation().offending;
        let short: Vec<_> =
            found.iter().map(|o| (o.index, o.character, o.name.as_str(), o.replacement.as_deref())).collect();
        assert_eq!(
            short,
            [
                (10, '”', "typografiskt citattecken", Some("\"")),
                (15, '”', "typografiskt citattecken", Some("\"")),
                (17, 'Š', "bokstaven Š", None),
                (18, '🚗', "emoji", None),
            ]
        );
        assert!(text("Plain åäö {€}").segmentation().offending.is_empty());
    }

    #[test]
    fn a_flood_of_offending_characters_is_listed_in_part() {
        let found = text(&"…".repeat(MAX_OFFENDING * 3)).segmentation();
        assert_eq!(found.offending.len(), MAX_OFFENDING);
        assert_eq!(found.units, MAX_OFFENDING * 3);
    }
}
