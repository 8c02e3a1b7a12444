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
const PAUSE: [&str; 5] = ["paus", "pausa", "pause", "pausera", "bortrest"];
const SPREAD: [&str; 8] =
    ["spritt", "spridit", "sprid", "spridd", "spridet", "vidarebefordrat", "vidarebefordrad", "informerat"];
/// Words that add nothing to a command.
const FILLERS: [&str; 27] = [
    "tack", "tackar", "nu", "snalla", "sms", "mig", "mej", "jag", "vill", "har", "er", "ert", "for", "mer", "fler",
    "inga", "att", "fa", "med", "i", "till", "hej", "mvh", "detta", "den", "det", "igen",
];
const LETTERS: [&str; 6] = ["brev", "breven", "mejl", "mail", "epost", "nyhetsbrev"];
const ALERTS: [&str; 4] = ["larm", "larmen", "sms", "smsen"];
const ALL: [&str; 3] = ["allt", "alla", "alltihop"];
const YES: [&str; 5] = ["ja", "japp", "jada", "klart", "gjort"];
const HOUSEHOLDS: [&str; 10] =
    ["hushall", "hushallen", "hus", "familjer", "grannar", "st", "stycken", "personer", "hush", "hushal"];

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
    if SPREAD.contains(verb) || (may_confirm && *verb == "sprit") {
        return spread(rest).map(Command::Spread);
    }
    if YES.contains(verb)
        && let Some(at) = rest.iter().position(|word| SPREAD.contains(word))
    {
        return spread(&rest[at + 1..]).map(Command::Spread);
    }
    if PAUSE.contains(verb) {
        return pause(rest).map(Command::Pause);
    }
    if STOP.contains(verb) {
        return scope(rest, &words[..first]).map(Command::Stop);
    }
    if START.contains(verb) {
        return scope(rest, &words[..first]).map(Command::Start);
    }
    if let Some(stopped) = scope_first(&words) {
        return Some(stopped);
    }
    if may_confirm { confirmation(&words[first..]) } else { None }
}

fn is_filler(word: &str) -> bool {
    FILLERS.contains(&word)
}

/// `STOP`, `STOP BREV`, `STOP SMS`, `STOP ALLT`, with words that add nothing.
fn scope(rest: &[&str], before: &[&str]) -> Option<Scope> {
    let mut scope = Scope::OfChannel;
    for word in rest {
        let named = named_scope(word);
        match named {
            Some(named) if scope == Scope::OfChannel || scope == named => scope = named,
            // "sms och brev"
            Some(_) => scope = Scope::All,
            None if is_filler(word) || matches!(*word, "och" | "utskick" | "utskicken" | "prenumeration") => {}
            None if STOP.contains(word) || START.contains(word) => {}
            None => return None,
        }
    }
    (before.len() <= 3).then_some(scope)
}

fn named_scope(word: &str) -> Option<Scope> {
    if LETTERS.contains(&word) {
        Some(Scope::Letters)
    } else if ALERTS.contains(&word) {
        Some(Scope::Alerts)
    } else if ALL.contains(&word) {
        Some(Scope::All)
    } else {
        None
    }
}

/// `BREV STOP`, `SMS STOPP`.
fn scope_first(words: &[&str]) -> Option<Command> {
    let [object, verb] = words else { return None };
    let scope = named_scope(object)?;
    if STOP.contains(verb) {
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
    let mut unit = 1;
    for word in rest {
        if let Some(count) = count(word) {
            if number.replace(count).is_some() {
                return None;
            }
            continue;
        }
        match *word {
            "dag" | "dagar" | "dar" | "d" | "dygn" => {}
            "vecka" | "veckor" | "v" => unit = 7,
            "manad" | "manader" | "man" => unit = 30,
            word if is_filler(word) => {}
            _ => return None,
        }
    }
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
        let known = HOUSEHOLDS.contains(word)
            || is_filler(word)
            || ALL.contains(word)
            || matches!(
                *word,
                "vidare" | "ca" | "cirka" | "alla" | "ut" | "informationen" | "meddelandet" | "ja" | "mina"
            );
        if !known {
            return None;
        }
    }
    Some(number)
}

/// `JA`, `1`, `14`, `Ja 14`, `14 hushåll`, `Ja spritt till 14`.
fn confirmation(words: &[&str]) -> Option<Command> {
    let (first, rest) = words.split_first()?;
    if YES.contains(first) {
        return spread(rest).map(Command::Spread);
    }
    let number: u32 = first.parse().ok().filter(|number| *number <= 10_000)?;
    if rest.iter().any(|word| !HOUSEHOLDS.contains(word)) || number == 112 {
        return None;
    }
    // A bare 1 is "yes" to many who have answered other texts; one household is as good as none told.
    Some(Command::Spread((number != 1 || !rest.is_empty()).then_some(number)))
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
        for text in ["paus 0", "paus 4000 dagar", "paus 3 4", "paus till jul"] {
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
        ] {
            assert_eq!(command(text, true), Some(Command::Spread(number)), "{text:?}");
            assert_eq!(command(text, false).is_some(), text.contains("spritt"), "{text:?}");
        }
        for text in ["Ja, jag såg bilen", "14 män", "20001", "ja men nej"] {
            assert_eq!(command(text, true), None, "{text:?}");
        }
    }
}
