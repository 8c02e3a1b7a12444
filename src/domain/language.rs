//! Owns the languages a contact person can be noted with: ISO 639 codes and the names people write for them.
//!
//! It does not translate anything. Invariant: a stored language is one of [`CODES`].

use super::plain_text::fold_plain;

/// The language assumed where none is known.
pub const DEFAULT: &str = "sv";

/// Every language that can be noted: ISO 639-1 code, or 639-3 where there is none; then its names, folded.
pub const CODES: [(&str, &[&str]); 62] = [
    ("sv", &["svenska", "swedish", "swe", "svensk", "se sv", "sv se"]),
    ("nb", &["norska", "norsk", "bokmal", "norwegian", "no", "nor", "nob", "norska bokmal", "norsk bokmal"]),
    ("nn", &["nynorska", "nynorsk", "nno"]),
    ("da", &["danska", "dansk", "danish", "dan"]),
    ("fi", &["finska", "suomi", "finnish", "fin"]),
    ("is", &["islandska", "icelandic", "isl"]),
    ("sma", &["sydsamiska", "south sami", "southern sami", "aarjelsaemien", "aarjelsaemien giele"]),
    ("se", &["nordsamiska", "north sami", "northern sami", "davvisamegiella", "sme", "samiska", "sami"]),
    ("smj", &["lulesamiska", "lule sami"]),
    ("fit", &["meankieli", "tornedalsfinska"]),
    ("rom", &["romani", "romani chib", "romska"]),
    ("yi", &["jiddisch", "yiddish"]),
    ("en", &["engelska", "english", "eng", "en gb", "en us"]),
    ("de", &["tyska", "deutsch", "german", "ger", "deu"]),
    ("nl", &["nederlandska", "hollandska", "nederlands", "dutch"]),
    ("fr", &["franska", "francais", "french", "fra"]),
    ("es", &["spanska", "espanol", "spanish", "spa"]),
    ("pt", &["portugisiska", "portugues", "portuguese"]),
    ("it", &["italienska", "italiano", "italian"]),
    ("el", &["grekiska", "greek"]),
    ("tr", &["turkiska", "turkce", "turkish"]),
    ("ku", &["kurdiska", "kurdish", "kurmandji", "kurmanji"]),
    ("ckb", &["sorani"]),
    ("ar", &["arabiska", "arabic", "ara"]),
    ("fa", &["persiska", "farsi", "persian"]),
    ("prs", &["dari"]),
    ("ps", &["pashto"]),
    ("ur", &["urdu"]),
    ("hi", &["hindi"]),
    ("bn", &["bengali"]),
    ("pa", &["punjabi"]),
    ("ta", &["tamil"]),
    ("so", &["somaliska", "somali", "soomaali"]),
    ("ti", &["tigrinja", "tigrinska", "tigrinya"]),
    ("am", &["amhariska", "amharic"]),
    ("om", &["oromo"]),
    ("sw", &["swahili"]),
    ("uk", &["ukrainska", "ukrainian", "ukr"]),
    ("ru", &["ryska", "russian", "rus"]),
    ("be", &["belarusiska", "vitryska"]),
    ("pl", &["polska", "polski", "polish"]),
    ("cs", &["tjeckiska", "czech"]),
    ("sk", &["slovakiska", "slovak"]),
    ("hu", &["ungerska", "magyar", "hungarian"]),
    ("ro", &["rumanska", "romanian"]),
    ("bg", &["bulgariska", "bulgarian"]),
    ("bs", &["bosniska", "bosnian"]),
    ("hr", &["kroatiska", "croatian"]),
    ("sr", &["serbiska", "serbian"]),
    ("sl", &["slovenska", "slovenian"]),
    ("mk", &["makedonska", "macedonian"]),
    ("sq", &["albanska", "albanian", "shqip"]),
    ("et", &["estniska", "estonian"]),
    ("lv", &["lettiska", "latvian"]),
    ("lt", &["litauiska", "lithuanian"]),
    ("ka", &["georgiska", "georgian"]),
    ("hy", &["armeniska", "armenian"]),
    ("th", &["thailandska", "thai"]),
    ("vi", &["vietnamesiska", "vietnamese"]),
    ("tl", &["tagalog", "filippinska"]),
    ("zh", &["kinesiska", "mandarin", "chinese"]),
    ("ja", &["japanska", "japanese"]),
];

/// The code of the language that `text` names by code or name, in Swedish, English or the language itself.
#[must_use]
pub fn code_of(text: &str) -> Option<&'static str> {
    let name = fold_plain(text);
    CODES.iter().find(|(code, names)| *code == name || names.contains(&name.as_str())).map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_code_and_by_name() {
        for (text, code) in [
            ("svenska", Some("sv")),
            ("SV", Some("sv")),
            ("norsk", Some("nb")),
            ("nb", Some("nb")),
            (" Engelska ", Some("en")),
            ("suomi", Some("fi")),
            ("Bokmål", Some("nb")),
            ("sma", Some("sma")),
            ("xx", None),
            ("", None),
        ] {
            assert_eq!(code_of(text), code, "{text}");
        }
    }

    #[test]
    fn every_name_belongs_to_one_language() {
        let mut seen = std::collections::BTreeSet::new();
        for name in CODES.iter().flat_map(|(code, names)| names.iter().chain([code])) {
            assert_eq!(fold_plain(name), **name);
            assert!(seen.insert(*name), "{name}");
        }
    }
}
