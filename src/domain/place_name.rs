//! Owns the finding of place names in a text, and whether a named place lies outside the chosen areas.
//!
//! It knows no map: a place is its name and its municipality. Invariant: names are matched as whole words, the longest
//! first, so "Åre" is never found within "Årets" nor "Frösön" within "Frösön Valla".

use std::collections::{HashMap, HashSet};

use super::area::{Area, AreaKind, AreaTree, Place};

/// Something a text names that lies outside the chosen areas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsidePlace {
    /// The name as the tree or the list of places writes it.
    pub name: String,
    /// Code of the area that would take it in.
    pub area_code: String,
    /// Name of that area.
    pub area_name: String,
}

/// The places, watch areas and municipalities named in `text` that lie outside `chosen` (area codes), each name once, in
/// order of appearance.
///
/// A name may stand in the genitive (`Järpens`). In lower case it counts only after a word such as `i` or `mot`, and not
/// when it is also an ordinary word (`hallen`, `söder`). To name the municipality that a chosen watch area lies in is
/// not to name something outside.
#[must_use]
pub fn places_outside(text: &str, tree: &AreaTree, places: &[Place], chosen: &[&str]) -> Vec<OutsidePlace> {
    let words = words(text);
    let names = Names::new(tree, places, &words);
    let mut found: Vec<OutsidePlace> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let Some(named) = names.longest_at(&words, at) else {
            at += 1;
            continue;
        };
        if let Some(outside) = outside(named, tree, chosen)
            && !found.contains(&outside)
        {
            found.push(outside);
        }
        at += named.words.len();
    }
    found
}

/// Where places, watch areas and municipalities are named in `text`, as byte ranges; by the rules of [`places_outside`].
#[must_use]
pub fn places_in(text: &str, tree: &AreaTree, places: &[Place]) -> Vec<(usize, usize)> {
    let words = words(text);
    let names = Names::new(tree, places, &words);
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let length = names.longest_at(&words, at).map_or(0, |named| named.words.len());
        if length > 0 {
            found.push((words[at].start, words[at + length - 1].start + words[at + length - 1].text.len()));
        }
        at += length.max(1);
    }
    found
}

/// Ordinary Swedish words that are names in Jämtland too: a name only with a capital letter.
const ORDINARY_WORDS: [&str; 10] =
    ["backe", "berg", "campus", "hallen", "hede", "kall", "lit", "solliden", "söder", "ås"];

/// Words that a place name in lower case may follow.
const BEFORE_PLACE: [&str; 17] = [
    "i", "på", "vid", "mot", "från", "till", "genom", "kring", "runt", "utanför", "nära", "norr", "söder", "öster",
    "väster", "om", "mellan",
];

struct Word<'a> {
    text: &'a str,
    start: usize,
    lower: String,
    /// Whether only blanks or a hyphen stand between the word before and this one.
    joined: bool,
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut end = 0;
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (c.is_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                let joined = text[end..from].chars().all(|c| c.is_whitespace() || matches!(c, '-' | '\u{2011}'));
                words.push(Word { text: &text[from..at], start: from, lower: text[from..at].to_lowercase(), joined });
                start = None;
                end = at;
            }
            _ => {}
        }
    }
    words
}

/// What a name stands for: areas of the tree or places; several may share a name.
struct Named<'a> {
    name: &'a str,
    words: Vec<String>,
    areas: Vec<&'a Area>,
    places: Vec<&'a Place>,
}

struct Names<'a> {
    names: Vec<Named<'a>>,
    /// Indices into `names` by first word, and by first word with a genitive s for names of one word.
    by_first: HashMap<String, Vec<usize>>,
}

impl<'a> Names<'a> {
    /// The names that may stand in a text of these words: of thousands, those that begin as one of the words does.
    fn new(tree: &'a AreaTree, places: &'a [Place], text: &[Word<'_>]) -> Self {
        let mut beginnings: HashSet<[Option<char>; 2]> = text.iter().map(|word| beginning(&word.lower)).collect();
        // The second letter may be the genitive's, behind a name of one letter.
        beginnings.extend(text.iter().map(|word| [word.lower.chars().next(), None]));
        let may_stand = |name: &str| beginnings.contains(&beginning(name));
        let mut by_words: HashMap<Vec<String>, usize> = HashMap::new();
        let mut names: Vec<Named<'a>> = Vec::new();
        let mut slot = |name: &'a str, names: &mut Vec<Named<'a>>| {
            let words: Vec<String> = words(name).into_iter().map(|word| word.lower).collect();
            *by_words.entry(words.clone()).or_insert_with(|| {
                names.push(Named { name, words, areas: Vec::new(), places: Vec::new() });
                names.len() - 1
            })
        };
        let areas = tree.iter().filter(|area| matches!(area.kind, AreaKind::Municipality | AreaKind::WatchArea));
        for area in areas.filter(|area| may_stand(&area.name)) {
            let at = slot(&area.name, &mut names);
            names[at].areas.push(area);
        }
        for place in places.iter().filter(|place| may_stand(&place.name)) {
            let at = slot(&place.name, &mut names);
            names[at].places.push(place);
        }
        let mut by_first: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, named) in names.iter().enumerate() {
            let Some(first) = named.words.first() else { continue };
            by_first.entry(first.clone()).or_default().push(at);
            if named.words.len() == 1 {
                by_first.entry(format!("{first}s")).or_default().push(at);
            }
        }
        for candidates in by_first.values_mut() {
            candidates.sort_by_key(|&at| std::cmp::Reverse(names[at].words.len()));
        }
        Self { names, by_first }
    }

    fn longest_at(&self, words: &[Word<'_>], at: usize) -> Option<&Named<'a>> {
        let candidates = self.by_first.get(&words[at].lower)?;
        candidates.iter().map(|&name| &self.names[name]).find(|named| {
            words
                .get(at..at + named.words.len())
                .is_some_and(|run| is_named(&named.words, run) && is_meant_as_name(words, at, named.words.len()))
        })
    }
}

/// The first two letters of the first word, in lower case.
fn beginning(text: &str) -> [Option<char>; 2] {
    let word = text.chars().skip_while(|c| !c.is_alphanumeric()).take_while(|c| c.is_alphanumeric());
    let mut lower = word.flat_map(char::to_lowercase);
    [lower.next(), lower.next()]
}

fn is_named(name: &[String], run: &[Word<'_>]) -> bool {
    let last = name.len() - 1;
    name.iter().zip(run).enumerate().all(|(at, (name, word))| {
        let same = word.lower == *name || (at == last && word.lower.strip_suffix('s') == Some(name));
        same && (at == 0 || word.joined)
    })
}

fn is_meant_as_name(words: &[Word<'_>], at: usize, length: usize) -> bool {
    let word = &words[at];
    let is_direction = length == 1
        && matches!(word.lower.as_str(), "norr" | "söder" | "öster" | "väster")
        && words.get(at + 1).is_some_and(|next| next.lower == "om");
    if is_direction {
        return false;
    }
    if word.text.chars().next().is_some_and(char::is_uppercase) {
        return true;
    }
    let is_ordinary = length == 1 && ORDINARY_WORDS.contains(&word.lower.trim_end_matches('s'));
    let after_preposition = at > 0 && BEFORE_PLACE.contains(&words[at - 1].lower.as_str());
    after_preposition && !is_ordinary && !ORDINARY_WORDS.contains(&word.lower.as_str())
}

fn outside(named: &Named<'_>, tree: &AreaTree, chosen: &[&str]) -> Option<OutsidePlace> {
    let is_chosen = |code: &str| chosen.iter().any(|above| tree.is_within(code, above));
    let is_partly_chosen = |code: &str| chosen.iter().any(|below| tree.is_within(below, code));
    if named.areas.iter().any(|area| is_chosen(&area.code) || is_partly_chosen(&area.code)) {
        return None;
    }
    if named.places.iter().any(|place| is_chosen(&place.municipality) || is_place_chosen(place, tree, chosen)) {
        return None;
    }
    let area =
        named.areas.first().copied().or_else(|| named.places.iter().find_map(|place| tree.get(&place.municipality)))?;
    Some(OutsidePlace { name: named.name.to_owned(), area_code: area.code.clone(), area_name: area.name.clone() })
}

/// Whether a chosen leaf in the place's municipality may cover the place: its name begins with the place's, or no leaf's
/// name there does, so that nothing says which of them the place belongs to.
fn is_place_chosen(place: &Place, tree: &AreaTree, chosen: &[&str]) -> bool {
    let belongs = |code: &str| {
        tree.get(code).is_some_and(|area| {
            area.name.strip_prefix(place.name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })
    };
    let mut inside = chosen.iter().filter(|code| tree.is_within(code, &place.municipality)).peekable();
    inside.peek().is_some()
        && (inside.any(|code| belongs(code)) || !tree.children(&place.municipality).any(|leaf| belongs(&leaf.code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> AreaTree {
        let area = |code: &str, name: &str, kind, parent: Option<&str>| Area {
            code: code.into(),
            name: name.into(),
            kind,
            parent: parent.map(Into::into),
        };
        let leaf = |code, name, parent| area(code, name, AreaKind::WatchArea, Some(parent));
        AreaTree::new([
            area("jamtland", "Jämtland", AreaKind::PoliceArea, None),
            area("2321", "Åre", AreaKind::Municipality, Some("jamtland")),
            area("2380", "Östersund", AreaKind::Municipality, Some("jamtland")),
            area("2326", "Berg", AreaKind::Municipality, Some("jamtland")),
            area("2309", "Krokom", AreaKind::Municipality, Some("jamtland")),
            area("ovning", "Övningsgruppen", AreaKind::DrillGroup, Some("jamtland")),
            leaf("2321-are-by", "Åre By", "2321"),
            leaf("2321-jarpen-centrum", "Järpen Centrum", "2321"),
            leaf("2321-kall", "Kall", "2321"),
            leaf("2380-froson-valla", "Frösön Valla", "2380"),
            leaf("2380-soder", "Söder", "2380"),
            leaf("2309-as-sjovik", "Ås Sjövik", "2309"),
        ])
        .unwrap()
    }

    fn places() -> Vec<Place> {
        [
            ("Järpen", "2321"),
            ("Åre", "2321"),
            ("Duved", "2321"),
            ("Frösön", "2380"),
            ("Ås", "2309"),
            ("Storsjö Kapell", "2326"),
        ]
        .map(|(name, municipality)| Place { name: name.into(), municipality: municipality.into() })
        .to_vec()
    }

    fn found(text: &str, chosen: &str) -> String {
        let chosen: Vec<&str> = chosen.split_whitespace().collect();
        let found = places_outside(text, &tree(), &places(), &chosen);
        found.into_iter().map(|o| format!("{} {}", o.name, o.area_code)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn names_outside_the_chosen_areas_are_found_as_whole_words() {
        let table = [
            ("Inbrott i Järpen", "2380", "Järpen 2321"),
            ("Inbrott i Järpen", "2321", ""),
            ("Inbrott i Järpen", "jamtland", ""),
            ("Järpens centrum, Järpen", "2380", "Järpen 2321"),
            ("JÄRPEN: inbrott", "2380", "Järpen 2321"),
            ("inbrott i järpen", "2380", "Järpen 2321"),
            ("Årets inbrott, Årevägen", "2380", ""),
            ("Åres bybor", "2380", "Åre 2321"),
            ("Åre-området", "2380", "Åre 2321"),
            ("Ås kyrka", "2380", "Ås 2309"),
            ("Frösön Valla", "2321", "Frösön Valla 2380-froson-valla"),
            ("Frösön\nvalla", "2321", "Frösön Valla 2380-froson-valla"),
            ("Frösön. Valla", "2321", "Frösön 2380"),
            ("Frösön", "2380-froson-valla", ""),
            ("Frösön", "2380-soder", "Frösön 2380"),
            ("Duved", "2321-are-by", ""),
            ("Östersund", "2380-soder", ""),
            ("Storsjö Kapells kyrka", "2321", "Storsjö Kapell 2326"),
            ("Söder om sjön, han for från söder", "2321", ""),
            ("Ses på Söder", "2321", "Söder 2380-soder"),
            ("vid berg och i kall natt", "2380", ""),
            ("Berg, Krokom och Åre", "2380 2321", "Berg 2326, Krokom 2309"),
            ("Övningsgruppen i Jämtland", "2380", ""),
            ("Ås och Åss kyrkor", "2380", "Ås 2309"),
            ("", "2380", ""),
        ];
        for (text, chosen, expected) in table {
            assert_eq!(found(text, chosen), expected, "{text:?} to {chosen:?}");
        }
    }
}
