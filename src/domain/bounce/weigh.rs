//! Owns the verdict on a bounce: codes and words weighed together.
//!
//! Invariant: nothing that speaks of us, of their rules or of something that passes is ever hard, whatever else is said with
//! it: a person is kept in doubt rather than lost.

use super::code::{Codes, EnhancedCode};
use super::wording::{ABSENT, EDGE_BLOCKED, ENDS, GONE, NOUNS, OURS, PASSING, SENDER, UNAVAILABLE, WRAPPERS, Wording};

/// Whose fault it is that a letter did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The address does not exist, is closed, or its domain is gone.
    Hard,
    /// It passes: full, busy, out of reach, greylisted.
    Soft,
    /// Our reputation, signatures, content or pace, or a rule of theirs; says nothing about the address.
    Ours,
    /// It did not arrive, and why is not understood.
    Unclear,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hard, Self::Soft, Self::Ours, Self::Unclear];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Ours => "ours",
            Self::Unclear => "unclear",
        }
    }

    /// The verdict with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.code() == code)
    }
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The verdict.
    pub verdict: Verdict,
    /// The enhanced code that was said, the most telling one.
    pub code: Option<EnhancedCode>,
    /// The reply code that was said.
    pub reply: Option<u16>,
}

/// What a server said, with the `Status` field of its report if there was one.
#[must_use]
pub fn weigh(status_field: Option<EnhancedCode>, said: &str) -> Finding {
    let mut codes = Codes::of(said);
    // Who hands a report on often writes x.0.0 around a telling code, so what was said comes first.
    codes.enhanced.retain(|code| code.class != 2);
    let of_words = codes.is_permanent();
    let is_permanent = of_words.or(status_field.map(|code| code.class == 5));
    if let Some(status_field) = status_field.filter(|code| code.class != 2) {
        codes.enhanced.push(status_field);
    }
    let words = Wording::of(said).without(WRAPPERS);
    let verdict = verdict(&codes, &words, is_permanent.unwrap_or(true));
    let telling = codes.enhanced.iter().copied().find(|code| code.subject != 0);
    Finding {
        verdict,
        code: telling.or_else(|| codes.enhanced.first().copied()),
        reply: codes.replies.iter().copied().max(),
    }
}

fn verdict(codes: &Codes, words: &Wording, is_permanent: bool) -> Verdict {
    let said = |classes: fn(EnhancedCode) -> bool| codes.enhanced.iter().copied().any(classes);
    if words.has(SENDER) {
        return Verdict::Ours;
    }
    let is_edge_blocked = words.has(EDGE_BLOCKED) && said(|code| (code.subject, code.detail) == (4, 1));
    if is_edge_blocked && is_permanent {
        return Verdict::Hard;
    }
    if words.has(OURS) {
        return Verdict::Ours;
    }
    if !is_permanent || words.has(PASSING) || said(is_full) {
        return Verdict::Soft;
    }
    if said(is_never_the_address) {
        return Verdict::Ours;
    }
    if words.has(GONE) || words.tells_of(NOUNS, ENDS) {
        return Verdict::Hard;
    }
    if said(is_ours) {
        return Verdict::Ours;
    }
    if words.has(ABSENT) || said(is_gone) || (said(is_closed) && words.is_silent()) {
        return Verdict::Hard;
    }
    if words.has(UNAVAILABLE) && codes.replies.contains(&550) {
        return Verdict::Hard;
    }
    if words.has("address rejected\nrecipient rejected") && said(|code| (code.subject, code.detail) == (1, 0)) {
        return Verdict::Hard;
    }
    if said(|code| code.subject == 4 || (code.subject == 3 && code.detail != 0)) {
        Verdict::Soft
    } else {
        Verdict::Unclear
    }
}

/// Codes that tell of an address or a mailbox that is not there (RFC 3463, RFC 7505).
fn is_gone(code: EnhancedCode) -> bool {
    matches!((code.subject, code.detail), (1, 1 | 2 | 3 | 6 | 10) | (4, 310))
}

/// A mailbox that is closed, or only not to be had now: the words that come with the code decide.
fn is_closed(code: EnhancedCode) -> bool {
    (code.subject, code.detail) == (2, 1)
}

/// Codes that tell of a mailbox that takes nothing now.
fn is_full(code: EnhancedCode) -> bool {
    matches!((code.subject, code.detail), (2, 2 | 3 | 121 | 122))
}

/// Codes that tell of the sender's address, size or content: no word makes them speak of the recipient.
fn is_never_the_address(code: EnhancedCode) -> bool {
    matches!((code.subject, code.detail), (1, 7 | 8 | 90) | (3, 4) | (6, _))
}

/// Codes that tell of a rule; some servers say so of an unknown recipient too, in words that are clear.
fn is_ours(code: EnhancedCode) -> bool {
    matches!((code.subject, code.detail), (5, 3) | (7, _))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of `VERDICT<tab>STATUS or -<tab>TEXT`.
    const SAID: &str = include_str!("../../../tests/fixtures/bounces/said.tsv");

    #[test]
    fn what_servers_say_is_weighed_as_a_person_would() {
        let mut wrong = Vec::new();
        for line in SAID.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut fields = line.splitn(3, '\t');
            let [expected, status, said] = std::array::from_fn(|_| fields.next().unwrap());
            let found = weigh(EnhancedCode::parse(status), said).verdict;
            if found.code() != expected {
                wrong.push(format!("{expected}, not {}: {status} {said}", found.code()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    proptest::proptest! {
        #[test]
        fn a_word_about_us_or_about_time_is_enough_to_keep_a_person(
            gone in proptest::sample::select(GONE.lines().collect::<Vec<_>>()),
            other in proptest::sample::select([SENDER, OURS, PASSING].into_iter().flat_map(str::lines).collect::<Vec<_>>()),
            code in proptest::sample::select(vec!["550 5.1.1", "550", "5.1.1", "", "554 5.7.1", "550 5.2.1"]),
            is_first in proptest::bool::ANY,
        ) {
            let words = if is_first { format!("{other} {gone}") } else { format!("{gone} {other}") };
            let found = weigh(EnhancedCode::parse("5.1.1"), &format!("{code} {words}"));
            proptest::prop_assert_ne!(found.verdict, Verdict::Hard);
        }

        #[test]
        fn any_text_is_weighed(said in ".{0,400}") {
            let _ = weigh(None, &said);
        }
    }
}
