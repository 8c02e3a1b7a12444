//! Owns likeness of words: what counts as one slip of the hand.

use crate::domain::plain_text::fold_plain;

/// Whether `a` becomes `b` by one letter added, left out or changed, or two neighbours swapped; short words never.
pub(super) fn is_one_slip(a: &str, b: &str) -> bool {
    is_one_slip_folded(&fold_plain(a), &fold_plain(b))
}

/// [`is_one_slip`] of words that are folded already.
pub(super) fn is_one_slip_folded(a: &str, b: &str) -> bool {
    let (longer, shorter) = (a.len().max(b.len()), a.len().min(b.len()));
    // A letter that folding leaves outside ASCII has up to four bytes.
    shorter >= 4
        && longer - shorter <= 4
        && a.chars().count().min(b.chars().count()) >= 4
        && strsim::osa_distance(a, b) == 1
}

/// How like two names are, 0 to 1.
pub(super) fn likeness(a: &str, b: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(&fold_plain(a), &fold_plain(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_one_letter_or_two_swapped() {
        for (a, b, expected) in [
            ("Östresund", "Östersund", true),
            ("östersun", "Östersund", true),
            ("Östersunds", "Östersund", true),
            ("Östersund", "Östersund", false),
            ("Åre", "Ås", false),
            ("Lid", "Lit", false),
            ("Järpen", "Jämtön", false),
        ] {
            assert_eq!(is_one_slip(a, b), expected, "{a} {b}");
        }
    }
}
