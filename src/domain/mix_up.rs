//! Owns what tired people mix up in an alert: a drill and the real thing, one situation and another, a gap that was never
//! filled in, a question that nobody is asked to answer, an end that is a day late.
//!
//! It refuses nothing: each finding is said before the alert goes. Invariant: a text that only tells what has happened, where and
//! what to do gives none.

use super::lint::Finding;
use super::plain_text::fold;

/// Longer than this is seldom what somebody means who gives a time of day: twelve hours, in minutes.
const LONG_MINUTES: i64 = 12 * 60;
/// Letters of a word that tell it, whatever its ending.
const STEM: usize = 6;
/// Shorter words of a situation's name tell nothing.
const SHORTEST: usize = 4;

/// What the alert is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meant {
    /// Whether it is a drill.
    pub is_drill: bool,
    /// Whether recipients are asked to answer.
    pub asks_for_replies: bool,
}

/// What the text says against what the alert is meant to be: `text.drill_word`, `text.live_word`, `text.gap`,
/// `text.asks_without_reply`.
#[must_use]
pub fn mix_ups(text: &str, meant: Meant) -> Vec<Finding> {
    let folded = fold(text);
    let words: Vec<&str> = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| has_phrase(&words, phrase));
    let mut found = Vec::new();
    let denies = says(&["ingen övning", "inte en övning", "inte övning", "skarpt läge", "på riktigt"]);
    let names_drill =
        words.iter().any(|word| word.starts_with("övning") || matches!(*word, "övar" | "provlarm" | "testlarm"));
    if meant.is_drill && denies {
        found.push(Finding::new("text.live_word", "Texten säger att det är på riktigt, men det här är en övning."));
    }
    if !meant.is_drill && names_drill {
        let detail = match denies {
            true => "Texten nämner övning. Den som läser snabbt kan tro att det är en. Skriv utan ordet.",
            false => "Texten säger övning, men det här går ut på riktigt. Ska det vara en övning, välj Öva i stället.",
        };
        found.push(Finding::new("text.drill_word", detail));
    }
    if has_gap(text) {
        found.push(Finding::new("text.gap", "Texten har en lucka som inte är ifylld."));
    }
    if !meant.asks_for_replies
        && says(&["har du sett", "har ni sett", "svara", "hör av dig", "hör av er", "skriv till oss"])
    {
        found.push(Finding::new(
            "text.asks_without_reply",
            "Texten ber om svar, men utskicket är bara information och säger inte hur man svarar.",
        ));
    }
    found
}

/// Says it when an alert that ends at a time of day would be valid for longer than half a day: `alert.long_validity`.
#[must_use]
pub fn long_validity(minutes: i64) -> Option<Finding> {
    let (hours, rest) = (minutes / 60, minutes % 60);
    let detail = format!("Utskicket gäller i {hours} h {rest} min. Är det rätt dag?");
    (minutes > LONG_MINUTES).then(|| Finding::new("alert.long_validity", detail))
}

/// The other situation whose whole name what was filled in speaks of, if any; `own` is the name of the chosen one.
#[must_use]
pub fn other_situation<'a>(filled: &[String], own: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(&filled.join(" "));
    let words: Vec<&str> = folded.split(|c: char| !c.is_alphanumeric()).collect();
    names.into_iter().filter(|name| *name != own).find(|name| {
        let stems = stems(name);
        !stems.is_empty() && stems.iter().all(|stem| words.iter().any(|word| word.starts_with(stem.as_str())))
    })
}

fn stems(name: &str) -> Vec<String> {
    let folded = fold(name);
    let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() >= SHORTEST);
    words.map(|word| word.chars().take(STEM).collect()).collect()
}

fn has_phrase(words: &[&str], phrase: &str) -> bool {
    let wanted: Vec<&str> = phrase.split(' ').collect();
    words.windows(wanted.len()).any(|window| window == wanted)
}

/// `___`, `XXX`, `???`, `[plats]`, `{Plats}`, `<plats>`: what templates leave behind.
fn has_gap(text: &str) -> bool {
    let runs = ["___", "XXX", "xxx", "???", "…………"];
    let pairs = [('[', ']'), ('{', '}'), ('<', '>')];
    runs.iter().any(|run| text.contains(run))
        || pairs.iter().any(|(open, close)| {
            text.split_once(*open).is_some_and(|(_, rest)| {
                rest.split_once(*close).is_some_and(|(inside, _)| {
                    !inside.trim().is_empty() && inside.chars().count() <= 40 && inside.chars().any(char::is_alphabetic)
                })
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_text_says_is_held_against_what_the_alert_is() {
        let live = Meant { is_drill: false, asks_for_replies: true };
        let drill = Meant { is_drill: true, ..live };
        let information = Meant { asks_for_replies: false, ..live };
        let table: [(&str, Meant, &[&str]); 18] = [
            ("Inbrott i Järpen. Röd skåpbil mot Åre. Håll avstånd.", live, &[]),
            ("Inbrott i Järpen. Röd skåpbil mot Åre. Håll avstånd.", information, &[]),
            ("Övningen börjar nu", live, &["text.drill_word"]),
            ("ÖVNING ÖVNING", live, &["text.drill_word"]),
            ("Vi övar i natt", live, &["text.drill_word"]),
            ("Detta är ingen övning", live, &["text.drill_word"]),
            ("Detta är ingen övning", drill, &["text.live_word"]),
            ("Skarpt läge!", drill, &["text.live_word"]),
            ("Larmövning i gruppen", drill, &[]),
            ("Sök vid ___", live, &["text.gap"]),
            ("Sök vid XXX", live, &["text.gap"]),
            ("Sök vid [plats]", live, &["text.gap"]),
            ("Sök vid {Plats}", live, &["text.gap"]),
            ("Sök <plats>", live, &["text.gap"]),
            ("Bil [2] {} <3>, frågor?", live, &[]),
            ("Har du sett bilen?", information, &["text.asks_without_reply"]),
            ("Har du sett bilen?", live, &[]),
            ("Försvarare är inte svarare", information, &[]),
        ];
        for (text, meant, expected) in table {
            let codes: Vec<_> = mix_ups(text, meant).into_iter().map(|finding| finding.code).collect();
            assert_eq!(codes, expected, "{text} {meant:?}");
        }
    }

    #[test]
    fn a_situation_is_told_from_another_by_every_word_of_its_name() {
        let names = ["Inbrott", "Misstänkt fordon", "Försvunnen person", "Bedrägerier i området"];
        let other = |own: &str, filled: &str| other_situation(&[filled.to_owned()], own, names).map(str::to_owned);
        assert_eq!(other("Inbrott", "en person, misstänkt för stöld"), None);
        assert_eq!(other("Inbrott", "en person är försvunnen"), Some("Försvunnen person".to_owned()));
        assert_eq!(other("Inbrott", "de misstänkta fordonen"), Some("Misstänkt fordon".to_owned()));
        assert_eq!(other("Misstänkt fordon", "inbrottet i natt"), Some("Inbrott".to_owned()));
        assert_eq!(other("Inbrott", "inbrottet i natt"), None);
    }

    #[test]
    fn half_a_day_is_long_for_a_time_of_day() {
        assert_eq!(long_validity(LONG_MINUTES), None);
        assert!(long_validity(22 * 60 + 29).unwrap().detail.contains("22 h 29 min"));
    }
}
