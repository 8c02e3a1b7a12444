//! Owns telephone numbers: any human notation to E.164 (ITU-T), what kind of line it is, and how it is shown.
//!
//! It repairs only what cannot mean anything else and says so; it never guesses. Invariant: a [`PhoneNumber`] is valid
//! by libphonenumber's metadata, and its text is E.164.

use rlibphonenumber::enums::Region;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, ValidationError};
use unicode_normalization::UnicodeNormalization;

use super::plain_text::is_invisible;

/// A valid telephone number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhoneNumber {
    e164: String,
    line: Line,
}

/// What kind of line a number belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// A mobile, or a foreign number whose country does not tell mobiles from fixed lines: SMS can be tried.
    Mobile,
    /// A fixed line: no SMS.
    Fixed,
    /// Freephone, shared cost, premium, company-wide, personal number, pager: no SMS, and no person.
    Service,
}

/// A number that was read, and what had to be put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadNumber {
    /// The number.
    pub number: PhoneNumber,
    /// What was put right, if anything.
    pub repair: Option<Repair>,
}

/// What was put right in a number, each of which can mean nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Nine digits that begin with 7: the leading zero was lost.
    LeadingZero,
    /// The country's digits without plus: `46701740605`.
    PlusAdded,
}

/// Why a text is no telephone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// Nothing there.
    #[error("the number is empty")]
    Empty,
    /// Scientific notation or a decimal: digits are lost for good.
    #[error("a spreadsheet has destroyed the number")]
    Destroyed,
    /// Letters or other characters among the digits.
    #[error("the number holds letters")]
    Letters,
    /// Digits are missing.
    #[error("the number is too short")]
    TooShort,
    /// Too many digits, or two numbers.
    #[error("the number is too long")]
    TooLong,
    /// The length could be right; no such number exists.
    #[error("there is no such number")]
    Invalid,
}

impl PhoneError {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "phone.empty",
            Self::Destroyed => "phone.destroyed",
            Self::Letters => "phone.letters",
            Self::TooShort => "phone.too_short",
            Self::TooLong => "phone.too_long",
            Self::Invalid => "phone.invalid",
        }
    }

    /// What is wrong, in Swedish.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::Empty => "Numret saknas",
            Self::Destroyed => "Numret har förstörts av kalkylprogrammet. Skriv in det igen.",
            Self::Letters => "Numret innehåller annat än siffror. Skriv in det igen.",
            Self::TooShort => "Mobilnumret har för få siffror",
            Self::TooLong => "Mobilnumret har för många siffror",
            Self::Invalid => "Det finns inget sådant nummer",
        }
    }
}

impl PhoneNumber {
    /// Reads a number in any human notation; numbers without country belong to Sweden.
    ///
    /// # Errors
    /// [`PhoneError`] says why the text is no number.
    pub fn parse(text: &str) -> Result<Self, PhoneError> {
        Self::read(text).map(|read| read.number)
    }

    /// As [`PhoneNumber::parse`], and says what was put right.
    ///
    /// # Errors
    /// [`PhoneError`] says why the text is no number.
    pub fn read(text: &str) -> Result<ReadNumber, PhoneError> {
        let dialled = Dialled::of(text)?;
        let found = |number| Ok(ReadNumber { number, repair: None });
        match dialled {
            Dialled::International(digits) => Self::from_digits(&digits).and_then(found),
            Dialled::National(digits) => Self::from_digits(&format!("46{digits}")).and_then(found),
            Dialled::Bare(digits) => Self::from_bare(&digits),
        }
    }

    /// E.164, such as `+46701740605`: the stored form.
    #[must_use]
    pub fn e164(&self) -> &str {
        &self.e164
    }

    /// What kind of line it is.
    #[must_use]
    pub fn line(&self) -> Line {
        self.line
    }

    /// Whether an SMS can be sent to it.
    #[must_use]
    pub fn can_get_sms(&self) -> bool {
        self.line == Line::Mobile
    }

    /// Whether it has Sweden's country code.
    #[must_use]
    pub fn is_swedish(&self) -> bool {
        self.e164.starts_with("+46")
    }

    /// The name of the number's country in Swedish, or its country code such as `+971` where we have no name.
    #[must_use]
    pub fn country(&self) -> String {
        let Ok(number) = PHONE_NUMBER_UTIL.parse(&self.e164, None::<Region>) else { return String::new() };
        let name = number.get_region_code().and_then(|region| swedish_name(&region.to_string()));
        name.map_or_else(|| format!("+{}", number.country_code), str::to_owned)
    }

    /// As people in Sweden write it: `070-174 50 06`, `+47 99 95 00 14`.
    #[must_use]
    pub fn display(&self) -> String {
        display(&self.e164)
    }

    fn from_bare(digits: &str) -> Result<ReadNumber, PhoneError> {
        if digits.len() == 9 && digits.starts_with('7') {
            let number = Self::from_digits(&format!("46{digits}"))?;
            return Ok(ReadNumber { number, repair: Some(Repair::LeadingZero) });
        }
        match Self::from_digits(digits) {
            Ok(number) if digits.len() >= 10 => Ok(ReadNumber { number, repair: Some(Repair::PlusAdded) }),
            _ if digits.len() < 8 => Err(PhoneError::TooShort),
            _ if digits.len() > 12 => Err(PhoneError::TooLong),
            Ok(_) => Err(PhoneError::Invalid),
            Err(error) => Err(error),
        }
    }

    /// `digits` begin with the country code. A trunk zero after Sweden's is dropped, as no Swedish number has one.
    fn from_digits(digits: &str) -> Result<Self, PhoneError> {
        let digits = match digits.strip_prefix("46") {
            Some(rest) => format!("46{}", rest.trim_start_matches('0')),
            None => digits.to_owned(),
        };
        let number =
            PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None::<Region>).map_err(|_| wrong_length(&digits))?;
        if !number.is_valid() {
            return Err(match number.is_possible_with_reason() {
                Err(ValidationError::TooShort) => PhoneError::TooShort,
                Err(ValidationError::TooLong) => PhoneError::TooLong,
                _ => wrong_length(&digits),
            });
        }
        let line = match number.get_type() {
            PhoneNumberType::Mobile | PhoneNumberType::FixedLineOrMobile => Line::Mobile,
            PhoneNumberType::FixedLine | PhoneNumberType::VoIP => Line::Fixed,
            _ => Line::Service,
        };
        Ok(Self { e164: number.format_as(PhoneNumberFormat::E164).into_owned(), line })
    }
}

/// The stored form `e164` as people in Sweden write it; text that is no number is given back as it is.
#[must_use]
pub fn display(e164: &str) -> String {
    let Ok(number) = PHONE_NUMBER_UTIL.parse(e164, None::<Region>) else { return e164.to_owned() };
    let format = if number.country_code == 46 { PhoneNumberFormat::National } else { PhoneNumberFormat::International };
    number.format_as(format).into_owned()
}

/// Whether `e164` lies in a range that is nobody's: 070-174 06 05–06 99 (set aside by PTS for fiction),
/// 070-174 30 00–39 99 and 070-174 50 00–50 99 (`data/README.md`). Only a simulated gateway may have them.
#[must_use]
pub fn is_fictitious(e164: &str) -> bool {
    let Some(line) = e164.strip_prefix("+4670174").filter(|line| line.len() == 4) else { return false };
    let Ok(line) = line.parse::<u32>() else { return false };
    matches!(line, 605..=699 | 3000..=3999 | 5000..=5099)
}

/// The digits to look for inside stored numbers when somebody types (a part of) a number in any notation; `None` when
/// the text is no number: letters, or fewer than three digits.
#[must_use]
pub fn search_digits(query: &str) -> Option<String> {
    let digits = match Dialled::of(query).ok()? {
        Dialled::International(digits) => match digits.strip_prefix("46") {
            Some(rest) => format!("46{}", rest.trim_start_matches('0')),
            None => digits,
        },
        Dialled::National(digits) => format!("46{digits}"),
        Dialled::Bare(digits) => digits,
    };
    (digits.len() >= 3).then_some(digits)
}

/// Digits as dialled, without separators.
enum Dialled {
    /// After `+` or `00`.
    International(String),
    /// After a single leading zero, which is left out.
    National(String),
    /// Neither.
    Bare(String),
}

impl Dialled {
    fn of(text: &str) -> Result<Self, PhoneError> {
        let text: String = text.nfkc().filter(|c| !is_invisible(*c)).collect();
        let text = without_scheme(text.trim());
        if is_spreadsheet_number(text) {
            return Err(PhoneError::Destroyed);
        }
        let (international, rest) = match text.strip_prefix('+').or_else(|| text.strip_prefix("(+")) {
            Some(rest) => (true, rest.replacen("(0)", "", 1)),
            None => (false, text.replacen("(0)", "0", 1)),
        };
        let mut digits = String::new();
        for c in rest.chars() {
            match c {
                '0'..='9' => digits.push(c),
                _ if is_separator(c) => {}
                _ => return Err(PhoneError::Letters),
            }
        }
        if digits.is_empty() {
            return Err(PhoneError::Empty);
        }
        Ok(match (international, digits.strip_prefix("00"), digits.strip_prefix('0')) {
            (true, _, _) => Self::International(digits),
            (_, Some(rest), _) => Self::International(rest.to_owned()),
            (_, _, Some(rest)) => Self::National(rest.to_owned()),
            _ => Self::Bare(digits),
        })
    }
}

fn without_scheme(text: &str) -> &str {
    ["tel:", "sms:", "callto:"]
        .iter()
        .find_map(|scheme| text.get(..scheme.len()).filter(|head| head.eq_ignore_ascii_case(scheme)))
        .map_or(text, |scheme| text[scheme.len()..].trim_start())
}

/// `7.01740605E+8`, `4,67017E+10`, `0701740605.0`.
fn is_spreadsheet_number(text: &str) -> bool {
    let is_digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let is_decimal = |part: &str| match part.split_once(['.', ',']) {
        Some((whole, fraction)) => is_digits(whole) && is_digits(fraction),
        None => is_digits(part),
    };
    if let Some((mantissa, exponent)) = text.split_once(['e', 'E']) {
        return is_decimal(mantissa) && is_digits(exponent.trim_start_matches(['+', '-']));
    }
    text.split_once(['.', ',']).is_some_and(|(whole, fraction)| {
        whole.len() > 7 && is_digits(whole) && !fraction.is_empty() && fraction.chars().all(|c| c == '0')
    })
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '‐' | '\u{2011}' | '–' | '—' | '−' | '.' | '/' | '(' | ')')
}

/// Why a number with the digits of country and subscriber does not exist: its length where a length can be told.
fn wrong_length(digits: &str) -> PhoneError {
    let Some(national) = digits.strip_prefix("46") else {
        return match digits.len() {
            0..8 => PhoneError::TooShort,
            8..=15 => PhoneError::Invalid,
            _ => PhoneError::TooLong,
        };
    };
    let is_mobile = national.starts_with('7') && national[1..].starts_with(['0', '2', '3', '6', '9']);
    let shortest = if is_mobile { 9 } else { 7 };
    match national.len() {
        short if short < shortest => PhoneError::TooShort,
        long if long > 9 => PhoneError::TooLong,
        _ => PhoneError::Invalid,
    }
}

/// The country's name in Swedish by ISO 3166-1 alpha-2 code: Europe, and where people of the region come from.
fn swedish_name(region: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 62] = [
        ("SE", "Sverige"),
        ("NO", "Norge"),
        ("SJ", "Svalbard"),
        ("FI", "Finland"),
        ("AX", "Åland"),
        ("DK", "Danmark"),
        ("IS", "Island"),
        ("FO", "Färöarna"),
        ("GL", "Grönland"),
        ("EE", "Estland"),
        ("LV", "Lettland"),
        ("LT", "Litauen"),
        ("PL", "Polen"),
        ("DE", "Tyskland"),
        ("NL", "Nederländerna"),
        ("BE", "Belgien"),
        ("LU", "Luxemburg"),
        ("FR", "Frankrike"),
        ("GB", "Storbritannien"),
        ("IE", "Irland"),
        ("CH", "Schweiz"),
        ("AT", "Österrike"),
        ("CZ", "Tjeckien"),
        ("SK", "Slovakien"),
        ("HU", "Ungern"),
        ("RO", "Rumänien"),
        ("BG", "Bulgarien"),
        ("GR", "Grekland"),
        ("TR", "Turkiet"),
        ("CY", "Cypern"),
        ("MT", "Malta"),
        ("IT", "Italien"),
        ("ES", "Spanien"),
        ("PT", "Portugal"),
        ("SI", "Slovenien"),
        ("HR", "Kroatien"),
        ("BA", "Bosnien och Hercegovina"),
        ("RS", "Serbien"),
        ("ME", "Montenegro"),
        ("MK", "Nordmakedonien"),
        ("AL", "Albanien"),
        ("XK", "Kosovo"),
        ("UA", "Ukraina"),
        ("BY", "Belarus"),
        ("MD", "Moldavien"),
        ("RU", "Ryssland"),
        ("GE", "Georgien"),
        ("US", "USA"),
        ("CA", "Kanada"),
        ("AU", "Australien"),
        ("NZ", "Nya Zeeland"),
        ("TH", "Thailand"),
        ("IN", "Indien"),
        ("IQ", "Irak"),
        ("IR", "Iran"),
        ("SY", "Syrien"),
        ("LB", "Libanon"),
        ("ER", "Eritrea"),
        ("ET", "Etiopien"),
        ("SO", "Somalia"),
        ("AF", "Afghanistan"),
        ("CN", "Kina"),
    ];
    NAMES.iter().find(|(code, _)| *code == region).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_human_notation_gives_the_same_number() {
        for text in [
            "070-174 50 06",
            "0701745006",
            "+46701745006",
            "+46 70 174 50 06",
            "+46 (0)70-174 50 06",
            "+46(0)701745006",
            "+46 070 174 50 06",
            "0046 70 174 50 06",
            "0046(0)70-1745006",
            "070–174 50 06",
            "070.174.50.06",
            "070/174 50 06",
            "(070) 174 50 06",
            "(0)70 174 50 06",
            "tel:070.174.50.06",
            "TEL: +46-70-174-50-06",
            "\u{a0}070\u{a0}174 50 06 \t ",
            "\u{200e}070-174 50 06",
            "０７０-１７４ ５０ ０６",
            "070\u{2011}174\u{2009}50\u{202f}06",
        ] {
            let read = PhoneNumber::read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((read.number.e164(), read.repair), ("+46701745006", None), "{text}");
        }
    }

    #[test]
    fn what_can_mean_only_one_thing_is_put_right_and_told() {
        for (text, e164, repair) in [
            ("701745006", "+46701745006", Repair::LeadingZero),
            ("70-174 50 06", "+46701745006", Repair::LeadingZero),
            ("46701745009", "+46701745009", Repair::PlusAdded),
            ("46 (0)70-174 50 09", "+46701745009", Repair::PlusAdded),
            ("4799950014", "+4799950014", Repair::PlusAdded),
        ] {
            let read = PhoneNumber::read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((read.number.e164(), read.repair), (e164, Some(repair)), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_reason() {
        for (text, error) in [
            ("", PhoneError::Empty),
            ("  - ", PhoneError::Empty),
            ("+", PhoneError::Empty),
            ("4,67017E+10", PhoneError::Destroyed),
            ("7.01740605E+8", PhoneError::Destroyed),
            ("7,01745E8", PhoneError::Destroyed),
            ("0701740605.0", PhoneError::Destroyed),
            ("070123456a", PhoneError::Letters),
            ("O70-174 5O 11", PhoneError::Letters),
            ("070-1740605 (Anna)", PhoneError::Letters),
            ("070-174 06 05 ankn 12", PhoneError::Letters),
            ("='0701740605'", PhoneError::Letters),
            ("070-174 50", PhoneError::TooShort),
            ("701745", PhoneError::TooShort),
            ("174 50 06", PhoneError::TooShort),
            ("0980-31", PhoneError::TooShort),
            ("112", PhoneError::TooShort),
            ("070-174 50 066", PhoneError::TooLong),
            ("070-174 50 12 / 0980-31 92 12", PhoneError::TooLong),
            ("071-174 50 06", PhoneError::Invalid),
            ("980319212", PhoneError::Invalid),
            ("+999 123 456 78", PhoneError::Invalid),
            ("\u{0}", PhoneError::Letters),
        ] {
            assert_eq!(PhoneNumber::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn only_mobiles_can_get_sms() {
        for (text, line) in [
            ("070-174 06 05", Line::Mobile),
            ("+47 999 50 014", Line::Mobile),
            ("+45 20 12 34 56", Line::Mobile),
            ("0980-31 92 13", Line::Fixed),
            ("077-112 34 56", Line::Service),
            ("010-456 78 90", Line::Service),
            ("075-123 45 67", Line::Service),
            ("074-912 34 56", Line::Service),
        ] {
            assert_eq!(PhoneNumber::parse(text).map(|number| number.line()), Ok(line), "{text}");
        }
    }

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        for (text, shown, country) in [
            ("+46701745006", "070-174 50 06", "Sverige"),
            ("0980319212", "0980-31 92 12", "Sverige"),
            ("0047 999 50 014", "+47 99 95 00 14", "Norge"),
            ("+358 47 555 0016", "+358 47 5550016", "Finland"),
        ] {
            let number = PhoneNumber::parse(text).unwrap();
            assert_eq!((number.display().as_str(), number.country().as_str()), (shown, country));
        }
        assert_eq!(display("inget"), "inget");
    }

    #[test]
    fn the_fictitious_ranges_end_where_they_are_said_to() {
        for (e164, expected) in [
            ("+46701740604", false),
            ("+46701740605", true),
            ("+46701740699", true),
            ("+46701740700", false),
            ("+46701742999", false),
            ("+46701743000", true),
            ("+46701743999", true),
            ("+46701744000", false),
            ("+46701744999", false),
            ("+46701745000", true),
            ("+46701745099", true),
            ("+46701745100", false),
            ("+4670174500", false),
            ("+467017450000", false),
            ("+4799950014", false),
        ] {
            assert_eq!(is_fictitious(e164), expected, "{e164}");
        }
    }

    #[test]
    fn a_search_finds_a_number_in_any_notation_and_in_part() {
        for (query, digits) in [
            ("070-174 50 06", Some("46701745006")),
            ("+46 (0)70-174", Some("4670174")),
            ("0046 70 174", Some("4670174")),
            ("174 50 06", Some("1745006")),
            ("07", Some("467")),
            ("50", None),
            ("Anna", None),
            ("Storgatan 1", None),
            ("", None),
        ] {
            assert_eq!(search_digits(query).as_deref(), digits, "{query}");
        }
    }
}
