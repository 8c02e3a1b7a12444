//! Owns what an observation is: its states, its tags, and what stands out in its text.
//!
//! It does not know who sent it or which alert it answers. Invariant: what stands out is a hint for whoever reads; no state
//! and no right follows from it.

use jiff::civil::Weekday;
use jiff::{Span, Timestamp, Zoned};

use super::lint;
use super::plain_text::fold;
use super::sms_text::SmsText;

/// How far an observation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObservationState {
    /// It has come in; nobody has judged it.
    Received,
    /// Somebody has read and judged it.
    Assessed,
    /// Something was done because of it.
    Acted,
    /// Whoever sent it has heard what came of it.
    FedBack,
}

impl ObservationState {
    /// All states, in order.
    pub const ALL: [Self; 4] = [Self::Received, Self::Assessed, Self::Acted, Self::FedBack];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Assessed => "assessed",
            Self::Acted => "acted",
            Self::FedBack => "fed_back",
        }
    }

    /// The state with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

/// What came in, by what has to be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IncomingKind {
    /// For people to read and answer.
    Observation,
    /// STOP, START, PAUS: done by the program.
    Command,
    /// A word that the information was passed on.
    Spread,
    /// Sent by a machine.
    Automatic,
}

impl IncomingKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Observation, Self::Command, Self::Spread, Self::Automatic];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Observation => "observation",
            Self::Command => "command",
            Self::Spread => "spread",
            Self::Automatic => "automatic",
        }
    }

    /// The kind with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// The five focus areas, offered first as tags, with their codes.
pub const FOCUS_AREAS: [(&str, &str); 5] = [
    ("visibility", "Synlighet"),
    ("traffic", "Trafik"),
    ("youth_drugs", "Ungdomar/narkotika"),
    ("violence", "Våld i offentlig miljö"),
    ("theft", "Tillgreppsbrott"),
];

/// Longest tag, in characters.
pub const LONGEST_TAG: usize = 40;
/// Most tags of one observation.
pub const MOST_TAGS: usize = 20;
/// Longest text that is kept of one answer, in characters: a mail of several pages.
pub const LONGEST_TEXT: usize = 20_000;

/// What a tag is called: the Swedish name of a focus area, or the tag itself.
#[must_use]
pub fn tag_name(tag: &str) -> &str {
    FOCUS_AREAS.iter().find(|(code, _)| *code == tag).map_or(tag, |(_, name)| name)
}

/// A tag as it is stored: the code of a focus area when it is called by code or name, else as written.
#[must_use]
pub fn tag_code(text: &str) -> String {
    let line = super::plain_text::clean_line(text);
    let folded = fold(&line);
    let known = FOCUS_AREAS.iter().find(|(code, name)| *code == line.to_lowercase() || fold(name) == folded);
    known.map_or(line, |(code, _)| (*code).to_owned())
}

/// What stands out in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// A vehicle's registration number.
    RegistrationNumber,
    /// A time of day.
    Time,
    /// A place of the area.
    Place,
    /// A word that means now.
    Urgent,
}

impl MarkKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::RegistrationNumber => "registration_number",
            Self::Time => "time",
            Self::Place => "place",
            Self::Urgent => "urgent",
        }
    }
}

/// A piece of a text that stands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Why.
    pub kind: MarkKind,
    /// First byte.
    pub start: usize,
    /// First byte after it.
    pub end: usize,
}

/// What stands out in `text`: registration numbers, times, `places` (byte ranges, found elsewhere) and words that mean now.
/// Sorted and without overlaps; a word that means now goes before the others.
#[must_use]
pub fn marks(text: &str, places: &[(usize, usize)], urgent_words: &[String]) -> Vec<Mark> {
    let mark = |kind| move |(start, end): (usize, usize)| Mark { kind, start, end };
    let mut found: Vec<Mark> = urgent_ranges(text, urgent_words).into_iter().map(mark(MarkKind::Urgent)).collect();
    let later = lint::registration_numbers(text).into_iter().map(mark(MarkKind::RegistrationNumber));
    let later = later.chain(times(text).into_iter().map(mark(MarkKind::Time)));
    for one in later.chain(places.iter().copied().map(mark(MarkKind::Place))) {
        if found.iter().all(|other| one.end <= other.start || one.start >= other.end) {
            found.push(one);
        }
    }
    found.sort_by_key(|one| one.start);
    found
}

/// Whether a text holds a word or phrase that means now.
#[must_use]
pub fn is_urgent(text: &str, urgent_words: &[String]) -> bool {
    !urgent_ranges(text, urgent_words).is_empty()
}

/// A word of a text, with where it stands.
struct Word {
    lower: String,
    start: usize,
    end: usize,
}

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (c.is_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                words.push(Word { lower: text[from..at].to_lowercase(), start: from, end: at });
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// Endings that a Swedish noun may take: knife, the knife, knives, the knives, and the same in the genitive.
const ENDINGS: [&str; 12] = ["", "s", "n", "en", "et", "ar", "er", "arna", "erna", "or", "orna", "ens"];

fn urgent_ranges(text: &str, urgent_words: &[String]) -> Vec<(usize, usize)> {
    let words = words(text);
    let phrases: Vec<Vec<String>> =
        urgent_words.iter().map(|phrase| self::words(phrase).into_iter().map(|word| word.lower).collect()).collect();
    let mut found: Vec<(usize, usize)> = Vec::new();
    for at in 0..words.len() {
        let longest = phrases.iter().filter(|phrase| begins_with(&words[at..], phrase)).map(Vec::len).max();
        if let Some(length) = longest
            && found.last().is_none_or(|(_, end)| *end <= words[at].start)
        {
            found.push((words[at].start, words[at + length - 1].end));
        }
    }
    found
}

fn begins_with(words: &[Word], phrase: &[String]) -> bool {
    let Some((last, before)) = phrase.split_last() else { return false };
    let Some(run) = words.get(..phrase.len()) else { return false };
    let same = before.iter().zip(run).all(|(wanted, word)| word.lower == *wanted);
    // In a phrase the last word stands as it is; a single word may be bent.
    let fits = run[phrase.len() - 1].lower.strip_prefix(last.as_str()).is_some_and(|ending| {
        ending.is_empty() || (before.is_empty() && last.chars().count() >= 4 && ENDINGS.contains(&ending))
    });
    same && fits
}

/// Times of day: `14.30`, `02:15`, `kl. 3`, `klockan 23`.
fn times(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let words = words(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let word = &words[at];
        let after_clock = at > 0 && matches!(words[at - 1].lower.as_str(), "kl" | "klockan" | "klocka");
        let hour = number_up_to(&word.lower, 23);
        let next = words.get(at + 1).filter(|next| {
            next.start == word.end + 1 && matches!(bytes[word.end], b'.' | b':') && next.lower.len() == 2
        });
        let minute = next.and_then(|next| number_up_to(&next.lower, 59));
        // 12.50.30 is no time of day, nor is 3.14.15.
        let goes_on = words
            .get(at + 2)
            .is_some_and(|third| next.is_some_and(|next| third.start == next.end + 1 && bytes[next.end] == b'.'));
        match (hour, minute, next) {
            (Some(_), Some(_), Some(next)) if !goes_on => {
                found.push((if after_clock { words[at - 1].start } else { word.start }, next.end));
                at += 2;
                continue;
            }
            (Some(_), None, _) if after_clock => found.push((words[at - 1].start, word.end)),
            _ if after_clock && word.lower.len() == 4 && is_clock(&word.lower) => {
                found.push((words[at - 1].start, word.end));
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn number_up_to(text: &str, most: u32) -> Option<u32> {
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number <= most)
}

fn is_clock(text: &str) -> bool {
    text.is_char_boundary(2) && number_up_to(&text[..2], 23).is_some() && number_up_to(&text[2..], 59).is_some()
}

/// Whether a text is as long as a part of a longer SMS: then what follows from the same phone may be its rest.
#[must_use]
pub fn fills_a_part(text: &str) -> bool {
    let Ok(sms) = SmsText::parse(text) else { return false };
    let length = sms.segmentation();
    let part = length.encoding.part_limit();
    // A blank at the cut is lost when a text is cleaned, and an escape pair is never split.
    length.units + 2 >= part && length.units <= length.encoding.single_limit()
}

/// Whether `sender` is a name or a short code: nobody reads what is sent there.
#[must_use]
pub fn is_automatic_sender(sender: &str) -> bool {
    let digits = sender.chars().filter(char::is_ascii_digit).count();
    sender.chars().any(char::is_alphabetic) || digits < 7
}

/// When what came at `received` should be answered at the latest: the same time of day so many working days later. Saturdays
/// and Sundays do not count; holidays do, so that it never depends on a calendar nobody keeps.
#[must_use]
pub fn answer_by(received: Zoned, days: u32) -> Timestamp {
    let mut at = received;
    let mut left = days;
    while left > 0 {
        let Ok(next) = at.checked_add(Span::new().days(1)) else { break };
        at = next;
        if !matches!(at.weekday(), Weekday::Saturday | Weekday::Sunday) {
            left -= 1;
        }
    }
    at.timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urgent() -> Vec<String> {
        ["kniv", "han är här", "skott", "pågår nu"].map(str::to_owned).to_vec()
    }

    #[test]
    fn words_that_mean_now_are_found_bent_and_in_any_case() {
        for text in ["Han har KNIV", "kniven syns", "två knivar!", "HAN ÄR HÄR nu", "Hörde skott", "det pågår  nu"]
        {
            assert!(is_urgent(text, &urgent()), "{text}");
        }
        for text in ["Bor i Knivsta", "skottkärra borta", "han är härlig", "inget nytt", "", "här är han"] {
            assert!(!is_urgent(text, &urgent()), "{text}");
        }
    }

    #[test]
    fn what_stands_out_is_marked_where_it_stands() {
        let text = "Såg ABC 123 i Duved kl. 02.15, han är här";
        let place = text.find("Duved").map(|at| (at, at + 5)).unwrap();
        let found: Vec<(&str, &str)> = marks(text, &[place], &urgent())
            .into_iter()
            .map(|mark| (mark.kind.code(), &text[mark.start..mark.end]))
            .collect();
        let wanted =
            [("registration_number", "ABC 123"), ("place", "Duved"), ("time", "kl. 02.15"), ("urgent", "han är här")];
        assert_eq!(found, wanted);
    }

    #[test]
    fn times_of_day_are_told_from_other_numbers() {
        for (text, wanted) in [
            ("kl 3 i natt", &["kl 3"][..]),
            ("14:30 eller 15.45", &["14:30", "15.45"]),
            ("klockan 23", &["klockan 23"]),
            ("kl 0215", &["kl 0215"]),
            ("112 och 3 bilar, 12.50.30, 99.99", &[]),
        ] {
            let found: Vec<&str> = times(text).into_iter().map(|(start, end)| &text[start..end]).collect();
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn a_part_of_a_long_sms_is_known_by_its_length() {
        assert!(fills_a_part(&"a".repeat(153)));
        assert!(fills_a_part(&"a".repeat(160)));
        assert!(fills_a_part(&"ж".repeat(67)));
        assert!(!fills_a_part(&"a".repeat(161)));
        assert!(!fills_a_part(&"a".repeat(100)));
        assert!(!fills_a_part("Hej"));
    }

    #[test]
    fn an_answer_is_due_in_working_days() {
        let zone = jiff::tz::TimeZone::get("Europe/Stockholm").unwrap();
        let friday: Timestamp = "2026-11-20T01:31:00Z".parse().unwrap();
        for (days, wanted) in [(1, "2026-11-23T01:31:00Z"), (5, "2026-11-27T01:31:00Z"), (6, "2026-11-30T01:31:00Z")] {
            assert_eq!(answer_by(friday.to_zoned(zone.clone()), days).to_string(), wanted);
        }
    }

    #[test]
    fn names_and_short_codes_are_nobody_to_answer() {
        for sender in ["Polisen", "72456", "GOOGLE", "", "INFO112"] {
            assert!(is_automatic_sender(sender), "{sender}");
        }
        for sender in ["+46701740601", "+4799950014", "0701740601"] {
            assert!(!is_automatic_sender(sender), "{sender}");
        }
    }

    #[test]
    fn a_focus_area_is_known_by_code_and_by_name() {
        for (text, code) in [("Trafik", "traffic"), ("theft", "theft"), ("våld i offentlig miljö", "violence")] {
            assert_eq!(tag_code(text), code);
        }
        assert_eq!(tag_code("  egen   etikett "), "egen etikett");
        assert_eq!(tag_name("traffic"), "Trafik");
    }
}
