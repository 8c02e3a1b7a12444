//! Owns the words with which people steer what they get: STOP, START, PAUS and SPRITT, however they write them.
//!
//! It does nothing with them. Invariant: a command is the whole message; a word in a sentence is never one.

use super::plain_text::fold_plain;

/// What a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What the channel carries: alerts for an SMS, letters for a mail.
    OfChannel,
    /// Alerts.
    Alerts,
    /// Letters.
    Letters,
    /// Both.
    All,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Nothing more of this.
    Stop(Scope),
    /// This again.
    Start(Scope),
    /// Nothing for so many days.
    Pause(u32),
    /// The information has been passed on, to so many households if a number is told.
    Spread(Option<u32>),
}

/// Longest pause that can be asked for by a word: a year.
pub const LONGEST_PAUSE_DAYS: u32 = 366;
/// Days of a pause when none are told.
const USUAL_PAUSE_DAYS: u32 = 14;
/// Longest message that may be a command, in characters.
const LONGEST_COMMAND: usize = 80;

const STOP: [&str; 16] = [
    "stop",
    "stopp",
    "stoppa",
    "stoppp",
    "sluta",
    "slut",
    "avsluta",
    "avslut",
    "avregistrera",
    "avregistrering",
    "avreg",
    "avanmal",
    "avanmala",
    "avprenumerera",
    "unsubscribe",
    "quit",
];
const START: [&str; 5] = ["start", "starta", "borja", "ateruppta", "unstop"];
const PAUSE: [&str; 4] = ["paus", "pausa", "pause", "pausera"];
const SPREAD: [&str; 8] =
    ["spritt", "spridit", "sprid", "spridd", "spridet", "vidarebefordrat", "vidarebefordrad", "informerat"];
/// Words that may stand before a command, and tell nothing.
const FILLERS: [&str; 27] = [
    "tack", "tackar", "nu", "snalla", "sms", "mig", "mej", "jag", "vill", "har", "er", "ert", "for", "mer", "fler",
    "inga", "att", "fa", "med", "i", "till", "hej", "mvh", "detta", "den", "det", "igen",
];
/// Words before STOP, START and PAUS, where "det" or "har" would make a sentence of it.
const LEADS: [&str; 6] = ["hej", "jag", "vill", "snalla", "tack", "tackar"];
/// Words after STOP and START.
const COURTESIES: [&str; 9] = ["tack", "tackar", "nu", "snalla", "mvh", "sms", "mig", "mej", "igen"];
/// Words after JA and after a number: anything more may be an answer to what we asked.
const THANKS: [&str; 4] = ["tack", "tackar", "mvh", "snalla"];
/// Words after PAUS, beside how long.
const PAUSE_FILLERS: [&str; 7] = ["tack", "tackar", "snalla", "mvh", "i", "mig", "sms"];
/// Words after SPRITT, beside to how many.
const SPREAD_FILLERS: [&str; 23] = [
    "tack",
    "tackar",
    "nu",
    "snalla",
    "sms",
    "for",
    "med",
    "i",
    "till",
    "hej",
    "mvh",
    "detta",
    "den",
    "det",
    "igen",
    "vidare",
    "ca",
    "cirka",
    "ut",
    "informationen",
    "meddelandet",
    "ja",
    "mina",
];
/// Verbs that are called out about what is seen: with anything more, only about what we send.
const CALLED_OUT: [&str; 2] = ["stoppa", "slut"];
const LETTERS: [&str; 6] = ["brev", "breven", "mejl", "mail", "epost", "nyhetsbrev"];
const ALERTS: [&str; 4] = ["larm", "larmen", "sms", "smsen"];
const ALL: [&str; 3] = ["allt", "alla", "alltihop"];
const YES: [&str; 5] = ["ja", "japp", "jada", "klart", "gjort"];
const HOUSEHOLDS: [&str; 11] =
    ["hushall", "hushallen", "hush", "hushal", "hh", "hus", "familjer", "grannar", "st", "stycken", "personer"];
/// The households that a number may be of where no SPRITT says so: three houses or persons may be what somebody saw.
const HOUSEHOLDS_ONLY: [&str; 5] = ["hushall", "hushallen", "hush", "hushal", "hh"];
const SENT: [&str; 3] = ["utskick", "utskicken", "prenumeration"];
/// The number of the emergency call is never one of households.
const EMERGENCY: u32 = 112;

/// Reads a whole message as a command. `may_confirm` says whether something is waiting to be confirmed as passed on: only
/// then are JA and a bare number words about that.
#[must_use]
pub fn command(text: &str, may_confirm: bool) -> Option<Command> {
    if text.chars().count() > LONGEST_COMMAND || text.contains('?') {
        return None;
    }
    // E-post and e post are one word; an apostrophe or quotation mark is punctuation like any other.
    let folded = fold_plain(text).replace("e post", "epost").replace("skickat vidare", "vidarebefordrat");
    let words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
    let first = words.iter().position(|word| !is_filler(word) || *word == "sms")?;
    let (verb, rest) = words[first..].split_first()?;
    if SPREAD.contains(verb) {
        return spread(rest).map(Command::Spread);
    }
    if YES.contains(verb)
        && let Some(at) = rest.iter().position(|word| SPREAD.contains(word))
        && rest[..at].iter().all(|word| is_filler(word))
    {
        return spread(&rest[at + 1..]).map(Command::Spread);
    }
    let is_led_in = words[..first].len() <= 3 && words[..first].iter().all(|word| LEADS.contains(word));
    if PAUSE.contains(verb) {
        return pause(rest).filter(|_| is_led_in).map(Command::Pause);
    }
    if STOP.contains(verb) {
        return scope((verb, rest), &STOP).filter(|_| is_led_in).map(Command::Stop);
    }
    if START.contains(verb) {
        return scope((verb, rest), &START).filter(|_| is_led_in).map(Command::Start);
    }
    if let Some(stopped) = scope_first(&words) {
        return Some(stopped);
    }
    if may_confirm { confirmation(&words) } else { None }
}

fn is_filler(word: &str) -> bool {
    FILLERS.contains(&word)
}

/// `STOP`, `STOP BREV`, `STOP SMS`, `STOP ALLT`, with words that add nothing. "Stoppa alla!" is no word to us.
fn scope((verb, rest): (&str, &[&str]), verbs: &[&str]) -> Option<Scope> {
    if let ["allt" | "alltihop"] = rest {
        return Some(Scope::All);
    }
    let (mut scope, mut is_all, mut has_object) = (None, false, false);
    for word in rest {
        match named_scope(word) {
            // "sms och brev"
            Some(named) => scope = Some(scope.filter(|before| *before != named).map_or(named, |_| Scope::All)),
            None if ALL.contains(word) => is_all = true,
            None if SENT.contains(word) => has_object = true,
            None if *word == "och" || COURTESIES.contains(word) || verbs.contains(word) => {}
            None => return None,
        }
    }
    has_object |= scope.is_some();
    if !has_object && (is_all || (CALLED_OUT.contains(&verb) && !rest.is_empty())) {
        return None;
    }
    Some(scope.unwrap_or(if is_all { Scope::All } else { Scope::OfChannel }))
}

fn named_scope(word: &str) -> Option<Scope> {
    if LETTERS.contains(&word) {
        Some(Scope::Letters)
    } else if ALERTS.contains(&word) {
        Some(Scope::Alerts)
    } else {
        None
    }
}

/// `BREV STOP`, `SMS STOPP`.
fn scope_first(words: &[&str]) -> Option<Command> {
    let [object, verb] = words else { return None };
    let scope = named_scope(object)?;
    if STOP.contains(verb) && !CALLED_OUT.contains(verb) {
        Some(Command::Stop(scope))
    } else if START.contains(verb) {
        Some(Command::Start(scope))
    } else {
        None
    }
}

/// `PAUS`, `PAUS 14`, `PAUS 14 dagar`, `PAUS 2 veckor`, `PAUS en månad`.
fn pause(rest: &[&str]) -> Option<u32> {
    let mut number = None;
    let mut unit = None;
    for word in rest {
        if let Some(count) = count(word) {
            // "vecka 32" is a date, not a length.
            if number.replace(count).is_some() || unit.is_some() {
                return None;
            }
            continue;
        }
        let days = match *word {
            "dag" | "dagar" | "dar" | "d" | "dygn" => 1,
            "vecka" | "veckor" | "v" => 7,
            "manad" | "manader" | "man" => 30,
            word if PAUSE_FILLERS.contains(&word) => continue,
            _ => return None,
        };
        if unit.replace(days).is_some() {
            return None;
        }
    }
    let unit = unit.unwrap_or(1);
    let days = match number {
        None if unit == 1 => USUAL_PAUSE_DAYS,
        None => unit,
        Some(number) => number.checked_mul(unit)?,
    };
    (1..=LONGEST_PAUSE_DAYS).contains(&days).then_some(days)
}

/// `SPRITT`, `SPRITT 14`, `Spritt till 14 hushåll`, `Spridit till alla`.
fn spread(rest: &[&str]) -> Option<Option<u32>> {
    let mut number = None;
    for word in rest {
        if let Some(count) = word.parse().ok().filter(|count| *count <= 10_000) {
            if number.replace(count).is_some() {
                return None;
            }
            continue;
        }
        let known =
            HOUSEHOLDS.contains(word) || *word == "personer" || SPREAD_FILLERS.contains(word) || ALL.contains(word);
        if !known {
            return None;
        }
    }
    Some(number)
}

/// `JA`, `1`, `14`, `Ja 14`, `14 hushåll`, and nothing more: what else begins so is an answer for a person.
fn confirmation(words: &[&str]) -> Option<Command> {
    let first = words.iter().position(|word| !matches!(*word, "hej" | "tack" | "tackar"))?;
    let (verb, rest) = words[first..].split_first()?;
    let is_yes = YES.contains(verb) || *verb == "sprit";
    let (number, rest) = match rest.split_first() {
        _ if !is_yes => (Some(households(verb)?), rest),
        Some((second, after)) if households(second).is_some() => (households(second), after),
        _ => (None, rest),
    };
    let has_unit = number.is_some() && rest.first().is_some_and(|word| HOUSEHOLDS_ONLY.contains(word));
    if !rest[usize::from(has_unit)..].iter().all(|word| THANKS.contains(word)) {
        return None;
    }
    // A bare 1 is "yes" to many who have answered other texts; one household is as good as none told.
    Some(Command::Spread(number.filter(|number| *number != 1 || is_yes || has_unit)))
}

fn households(word: &str) -> Option<u32> {
    word.parse().ok().filter(|number| *number <= 10_000 && *number != EMERGENCY)
}

fn count(word: &str) -> Option<u32> {
    const NUMBERS: [(&str, u32); 14] = [
        ("en", 1),
        ("ett", 1),
        ("tva", 2),
        ("tre", 3),
        ("fyra", 4),
        ("fem", 5),
        ("sex", 6),
        ("sju", 7),
        ("atta", 8),
        ("nio", 9),
        ("tio", 10),
        ("tolv", 12),
        ("fjorton", 14),
        ("trettio", 30),
    ];
    word.parse().ok().or_else(|| NUMBERS.iter().find(|(name, _)| *name == word).map(|(_, number)| *number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_known_however_it_is_written() {
        for text in [
            "STOP",
            "stop",
            "Stop",
            "stopp",
            "STOPP!",
            "stop!",
            "Stop.",
            " stop ",
            "\"STOP\"",
            "”stop”",
            "'Stopp'",
            "SLUTA",
            "sluta.",
            "Avsluta",
            "AVSLUT",
            "avregistrera",
            "Avregistrera mig",
            "avregistrera mig tack",
            "Avregistrering",
            "stoppa",
            "STOP STOP",
            "Stop tack",
            "stopp nu",
            "s t o p".replace(' ', "").as_str(),
            "Jag vill avsluta",
            "Unsubscribe",
            "Avanmäl",
            "avanmäla mig",
            "STOP\n",
            "stop :)",
            "*STOP*",
            "Sluta!!!",
            "stop🛑",
            "Avreg.",
        ] {
            assert_eq!(command(text, false), Some(Command::Stop(Scope::OfChannel)), "{text:?}");
        }
    }

    #[test]
    fn a_stop_says_what_it_is_about() {
        for (text, scope) in [
            ("STOP BREV", Scope::Letters),
            ("stoppa breven", Scope::Letters),
            ("avsluta e-post", Scope::Letters),
            ("Stop mejl!", Scope::Letters),
            ("brev stop", Scope::Letters),
            ("STOP SMS", Scope::Alerts),
            ("STOPP LARM", Scope::Alerts),
            ("stop allt", Scope::All),
            ("stoppa sms och brev", Scope::All),
            ("STOPP ALLA UTSKICK", Scope::All),
            ("Stopp allt!", Scope::All),
            ("stoppa allt", Scope::All),
            ("stoppa alla sms", Scope::Alerts),
            ("Stoppa utskick", Scope::OfChannel),
            ("Stopp allt, sms och brev", Scope::All),
            ("Hej, jag vill avsluta sms", Scope::Alerts),
            ("stopp nu snälla", Scope::OfChannel),
            ("stopp igen", Scope::OfChannel),
        ] {
            assert_eq!(command(text, false), Some(Command::Stop(scope)), "{text:?}");
        }
    }

    #[test]
    fn a_word_in_a_sentence_is_no_command() {
        for text in [
            "Bilen stod stilla vid stopskylten",
            "Stop, jag såg bilen vid macken",
            "Han vägrade stop",
            "Stoppa bilen ABC123",
            "Kan ni sluta?",
            "sluta aldrig leta",
            "Slutade titta kl 3",
            "Busshållplats stop Åre",
            "STOP?",
            "Stopp! Jag har den",
            "Stoppa den!",
            "Stoppa alla!",
            "Stopp alla",
            "Allt stopp",
            "Stopp, jag ser bilen",
            "Stoppa honom nu",
            "Stoppa nu!",
            "Jag har stopp",
            "Larm slut",
            "Slut nu",
            "Stopp start",
            "Starta den",
            "Bortrest",
            "Bortrest till den 2",
            "Bortrest till den 2:a",
            "Ja, det har jag",
            "Ja den har jag",
            "Ja jag såg den",
            "2 personer",
            "Ja, 2 personer nu",
            "3 st",
            "Ja, i hus 14",
            "1 man sprang",
            "2 hus",
            "Ja 3 grannar",
            "Jag har 2",
            "Den 14",
            "Till 14",
            "Ja 112",
            "Ja men grannen har informerat",
            "Jag har informerat er",
            "Sprit, 2 personer",
            "En paus i snöandet, såg två män",
            "Start av moped hördes",
            "14 personer vid sjön",
            "112",
            "",
            " ",
            "!",
            "Spritt språngande galet, två bilar i diket vid E14",
            "Spridit ut sig över tre hus, de letar",
        ] {
            assert_eq!(command(text, true), None, "{text:?}");
        }
    }

    #[test]
    fn a_start_and_a_pause_are_known() {
        for (text, wanted) in [
            ("START", Command::Start(Scope::OfChannel)),
            ("starta!", Command::Start(Scope::OfChannel)),
            ("Start brev", Command::Start(Scope::Letters)),
            ("börja igen", Command::Start(Scope::OfChannel)),
            ("PAUS 14 dagar", Command::Pause(14)),
            ("paus 14", Command::Pause(14)),
            ("Pausa i två veckor", Command::Pause(14)),
            ("pausa en månad", Command::Pause(30)),
            ("PAUS", Command::Pause(14)),
            ("paus 3 d", Command::Pause(3)),
            ("Paus 1 vecka tack", Command::Pause(7)),
        ] {
            assert_eq!(command(text, false), Some(wanted), "{text:?}");
        }
        for text in
            ["paus 0", "paus 4000 dagar", "paus 3 4", "paus till jul", "paus till den 2", "paus v 32", "paus vecka 32"]
        {
            assert_eq!(command(text, false), None, "{text:?}");
        }
    }

    #[test]
    fn that_it_was_passed_on_is_known_with_and_without_a_number() {
        for (text, number) in [
            ("SPRITT 14", Some(14)),
            ("spritt", None),
            ("Spritt till 14 hushåll", Some(14)),
            ("Har spridit till alla", None),
            ("jag har spridit det vidare", None),
            ("Spridit till ca 12 grannar", Some(12)),
            ("sprid 3", Some(3)),
            ("SPRITT 0", Some(0)),
            ("Spritt till 14 personer", Some(14)),
            ("Spritt i 3 hus", Some(3)),
            ("Spritt 5 st", Some(5)),
            ("Ja, jag har spridit till 14 hushåll", Some(14)),
        ] {
            assert_eq!(command(text, false), Some(Command::Spread(number)), "{text:?}");
        }
    }

    #[test]
    fn a_bare_yes_or_number_counts_only_while_something_waits_for_it() {
        for (text, number) in [
            ("JA", None),
            ("ja!", None),
            ("Ja tack", None),
            ("1", None),
            ("14", Some(14)),
            ("Ja 14", Some(14)),
            ("14 hushåll", Some(14)),
            ("Ja, spritt till 14", Some(14)),
            ("Klart", None),
            ("1 tack", None),
            ("Hej! Ja tack", None),
            ("Ja, 14 hh", Some(14)),
            ("14 hushåll tack", Some(14)),
            ("1 hushåll", Some(1)),
            ("Ja 1", Some(1)),
            ("sprit 14", Some(14)),
        ] {
            assert_eq!(command(text, true), Some(Command::Spread(number)), "{text:?}");
            assert_eq!(command(text, false).is_some(), text.contains("spritt"), "{text:?}");
        }
        for text in ["Ja, jag såg bilen", "14 män", "20001", "ja men nej"] {
            assert_eq!(command(text, true), None, "{text:?}");
        }
    }
}
