//! Owns what a situation's pattern is: lines of text with slots that a person fills in.
//!
//! It does not judge the text that comes out (`lint`). Invariant: a filled text holds nothing of the pattern's own marks,
//! and nothing that was typed is read as a pattern.

use super::plain_text::clean_line;

/// Most slots a pattern may have: more would take longer to fill in than to write the text.
pub const MOST_SLOTS: usize = 8;
/// Longest label of a slot, in characters.
const LONGEST_LABEL: usize = 60;
/// Stands for a slot that is empty still.
const GAP: &str = "___";

/// Something to fill in: `{Plats}`, `{Kännetecken?}` when it may stay empty, `{Gör så här=Ring 112.}` with what stands there first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// What is asked for.
    pub label: String,
    /// Whether it may not stay empty.
    pub is_required: bool,
    /// What stands in it from the start.
    pub preset: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Slot(usize),
}

/// A pattern: what was written by an administrator, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    lines: Vec<Vec<Piece>>,
    slots: Vec<Slot>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing stands in it.
    #[error("the pattern is empty")]
    Empty,
    /// A brace without its other half.
    #[error("a brace has no other half")]
    Brace,
    /// A slot without a label, or with too long a one.
    #[error("a slot has no label, or one that is too long")]
    Label,
    /// Two slots with one label.
    #[error("two slots have the same label")]
    Twice,
    /// More than [`MOST_SLOTS`].
    #[error("the pattern has too many slots")]
    Slots,
}

impl PatternError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "field.required",
            Self::Brace => "situation.brace",
            Self::Label => "situation.label",
            Self::Twice => "situation.label_twice",
            Self::Slots => "situation.slots",
        }
    }

    /// What is wrong and what is allowed, in Swedish.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Empty => "Skriv mallens text.".to_owned(),
            Self::Brace => "En klammer saknar sin andra halva. En lucka skrivs så här: {Plats}.".to_owned(),
            Self::Label => format!("Varje lucka behöver en rubrik på högst {LONGEST_LABEL} tecken: {{Plats}}."),
            Self::Twice => "Två luckor har samma rubrik. Ge dem olika.".to_owned(),
            Self::Slots => format!("Högst {MOST_SLOTS} luckor i en mall."),
        }
    }
}

impl Pattern {
    /// Reads a pattern: every line is a sentence of its own, and one whose optional slot stays empty is left out.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut pattern = Self { lines: Vec::new(), slots: Vec::new() };
        for line in text.lines().map(clean_line).filter(|line| !line.is_empty()) {
            let pieces = pattern.read_line(&line)?;
            pattern.lines.push(pieces);
        }
        if pattern.lines.is_empty() {
            return Err(PatternError::Empty);
        }
        if pattern.slots.len() > MOST_SLOTS {
            return Err(PatternError::Slots);
        }
        Ok(pattern)
    }

    /// Its slots, in order.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The text with `values` in the slots, in their order, and the places of required slots that are empty; those show as a gap.
    #[must_use]
    pub fn fill(&self, values: &[String]) -> (String, Vec<usize>) {
        let values: Vec<String> = (0..self.slots.len())
            .map(|place| values.get(place).map(|value| clean_line(value)).unwrap_or_default())
            .collect();
        let stays_out = |line: &&Vec<Piece>| {
            line.iter().any(|piece| {
                matches!(piece, Piece::Slot(place) if values[*place].is_empty() && !self.slots[*place].is_required)
            })
        };
        let lines: Vec<String> =
            self.lines.iter().filter(|line| !stays_out(line)).map(|line| fill_line(line, &values)).collect();
        let is_missing = |place: &usize| self.slots[*place].is_required && values[*place].is_empty();
        (lines.join(" "), (0..values.len()).filter(is_missing).collect())
    }

    fn read_line(&mut self, line: &str) -> Result<Vec<Piece>, PatternError> {
        let mut pieces = Vec::new();
        let mut rest = line;
        while let Some((text, after)) = rest.split_once('{') {
            let (inside, after) = after.split_once('}').ok_or(PatternError::Brace)?;
            if text.contains('}') || inside.contains('{') {
                return Err(PatternError::Brace);
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            pieces.push(Piece::Slot(self.add_slot(inside)?));
            rest = after;
        }
        if rest.contains('}') {
            return Err(PatternError::Brace);
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(pieces)
    }

    fn add_slot(&mut self, inside: &str) -> Result<usize, PatternError> {
        let (label, preset) = inside.split_once('=').unwrap_or((inside, ""));
        let (label, is_required) = label.strip_suffix('?').map_or((label, true), |label| (label, false));
        let label = clean_line(label);
        if label.is_empty() || label.chars().count() > LONGEST_LABEL {
            return Err(PatternError::Label);
        }
        if self.slots.iter().any(|slot| slot.label.to_lowercase() == label.to_lowercase()) {
            return Err(PatternError::Twice);
        }
        self.slots.push(Slot { label, is_required, preset: clean_line(preset) });
        Ok(self.slots.len() - 1)
    }
}

fn fill_line(line: &[Piece], values: &[String]) -> String {
    let mut text = String::new();
    for (at, piece) in line.iter().enumerate() {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Slot(place) if values[*place].is_empty() => text.push_str(GAP),
            Piece::Slot(place) => {
                let ends_sentence = matches!(line.get(at + 1), Some(Piece::Text(next)) if next.starts_with('.'));
                let value = values[*place].as_str();
                // People end what they type with a full stop, and the pattern has one.
                text.push_str(if ends_sentence { value.trim_end_matches('.') } else { value });
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BURGLARY: &str =
        "Inbrott vid {Plats}.\nKännetecken: {Kännetecken?}.\n\n{Gör så här=Håll avstånd och ingrip inte.}";

    fn values(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn slots_are_filled_and_an_optional_line_without_its_slot_is_left_out() {
        let pattern = Pattern::parse(BURGLARY).unwrap();
        let labels: Vec<_> = pattern.slots().iter().map(|slot| (slot.label.as_str(), slot.is_required)).collect();
        assert_eq!(labels, [("Plats", true), ("Kännetecken", false), ("Gör så här", true)]);
        assert_eq!(pattern.slots()[2].preset, "Håll avstånd och ingrip inte.");
        let (text, missing) = pattern.fill(&values(&["Storgatan i Järpen.", "", "Ring 112."]));
        assert_eq!((text.as_str(), missing), ("Inbrott vid Storgatan i Järpen. Ring 112.", vec![]));
        let (text, _) = pattern.fill(&values(&["Duved", "släp", "Ingrip inte."]));
        assert_eq!(text, "Inbrott vid Duved. Kännetecken: släp. Ingrip inte.");
    }

    #[test]
    fn a_required_slot_that_is_empty_shows_as_a_gap_and_is_named() {
        let pattern = Pattern::parse(BURGLARY).unwrap();
        let (text, missing) = pattern.fill(&values(&["  "]));
        assert_eq!((text.as_str(), missing), ("Inbrott vid ___. ___", vec![0, 2]));
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        let many: String = (0..=MOST_SLOTS).map(|n| format!("{{Lucka {n}}} ")).collect();
        for (text, error) in [
            (" \n ", PatternError::Empty),
            ("Vid {Plats", PatternError::Brace),
            ("Vid Plats}", PatternError::Brace),
            ("Vid {Pl{ats}", PatternError::Brace),
            ("Vid {?}", PatternError::Label),
            ("Vid {Plats} och {plats?}", PatternError::Twice),
            (many.as_str(), PatternError::Slots),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_typed_stands_in_the_text_and_is_never_read_as_a_pattern(typed in "[a-zåäö{}?= ]{0,40}") {
            let pattern = Pattern::parse("Vid {Plats}, {När}!").unwrap();
            let clean = clean_line(&typed);
            let (text, missing) = pattern.fill(&[typed, "nu".to_owned()]);
            let shown = if clean.is_empty() { GAP } else { clean.as_str() };
            prop_assert_eq!(text, format!("Vid {shown}, nu!"));
            prop_assert_eq!(missing.is_empty(), !clean.is_empty());
        }
    }
}
