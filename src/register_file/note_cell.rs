//! Owns what a row's words tell about the person: protected identity, a wish to leave, a personal number; and the
//! length of the note.
//!
//! Invariant: no personal number leaves this module in any value.

use super::cell;
use super::finding::Code;
use super::row::Draft;
use crate::domain::contact_person::{Field, MAX_NOTE};
use crate::domain::personal_number::contains_personal_number;
use crate::domain::plain_text::fold_plain;

/// Whether the row says that the person's data are protected. The name is left out: it may be anything.
pub(super) fn says_protected(draft: &Draft) -> bool {
    const PHRASES: [&str; 16] = [
        "skyddade personuppgift",
        "skyddad personuppgift",
        "skyddad identitet",
        "skyddad id",
        "skyddad adress",
        "skyddat nummer",
        "skyddad folkbokforing",
        "skyddad person",
        "sekretessmark",
        "sekretesskydd",
        "sparrmark",
        "kvarskriv",
        "hemlig adress",
        "hemlig identitet",
        "fingerade personuppgifter",
        "protected identity",
    ];
    let fields = Field::ALL.into_iter().filter(|field| !matches!(field, Field::Name | Field::ProtectedIdentity));
    let says = fields
        .map(|field| fold_plain(draft.text(field)))
        .any(|text| PHRASES.iter().any(|phrase| text.contains(phrase)));
    let flagged = cell::truth(draft.text(Field::ProtectedIdentity)).is_some_and(|truth| truth.value);
    says || flagged || CONTACTS.into_iter().chain([Field::Note]).any(|field| begins_protected(draft.text(field)))
}

/// Fields that are read for words such as `hemligt nr` instead of a value.
const CONTACTS: [Field; 5] = [Field::Mobile, Field::Phone2, Field::Email, Field::Email2, Field::Address];

fn begins_protected(text: &str) -> bool {
    let text = fold_plain(text);
    ["hemlig", "skyddad", "skyddat", "sekretess"].iter().any(|word| text.starts_with(word))
}

/// Empties contact fields that only say that they are secret.
pub(super) fn clear_protected_words(draft: &mut Draft) {
    for field in CONTACTS {
        if begins_protected(draft.text(field)) {
            draft.clear(field);
        }
    }
}

/// Whether the row says that the person has left or wants to.
pub(super) fn says_opted_out(draft: &Draft) -> bool {
    const PHRASES: [&str; 30] = [
        "vill inte vara med",
        "vill ej vara med",
        "vill inte langre vara",
        "vill ej langre",
        "inte vara med langre",
        "vill inte vara kvar",
        "vill inte vara kontaktombud",
        "vill inte vara ombud",
        "vill sluta",
        "vill avsluta",
        "vill bli struken",
        "vill strykas",
        "vill tas bort",
        "ska tas bort",
        "ska strykas",
        "onskar utga",
        "har tackat nej",
        "tackat nej",
        "tackar nej",
        "har avbojt",
        "avbojer",
        "har avsagt sig",
        "avsagt sig",
        "avregistrer",
        "har hoppat av",
        "hoppat av",
        "har slutat",
        "har avslutat uppdraget",
        "inte kontaktas",
        "unsubscribe",
    ];
    let note = fold_plain(draft.text(Field::Note));
    let says_no_thanks = |field| fold_plain(draft.text(field)).starts_with("nej tack");
    let is_no = |field| cell::truth(draft.text(field)).is_some_and(|truth| !truth.value);
    let wishes = [Field::Letters, Field::Alerts];
    let refuses_both = wishes.into_iter().all(is_no) && wishes.into_iter().any(says_no_thanks);
    refuses_both || PHRASES.iter().any(|phrase| note.contains(phrase))
}

/// Cuts personal numbers out of every cell. A yes of the operator means that the rest is stored.
pub(super) fn cut_personal_numbers(draft: &mut Draft) {
    for field in Field::ALL {
        if matches!(field, Field::Mobile | Field::Phone2) || !holds_personal_number(draft.text(field)) {
            continue;
        }
        draft.texts[field] = without_personal_numbers(draft.text(field));
        draft.ask(Code::PersonalNumber, "Personnummer får inte sparas i registret");
    }
    // What was noted before is shown before and after, and must not show it either.
    for change in &mut draft.changes {
        if holds_personal_number(&change.before) || holds_personal_number(&change.after) {
            change.before = without_personal_numbers(&change.before);
            change.after = without_personal_numbers(&change.after);
        }
    }
}

/// `text` without its personal numbers and the words that announce them.
#[must_use]
pub(super) fn without_personal_numbers(text: &str) -> String {
    if !holds_personal_number(text) {
        return text.to_owned();
    }
    let mut chars: Vec<char> = text.chars().collect();
    while let Some((start, end)) = personal_number_span(&chars) {
        let before: String = chars[..start].iter().collect();
        let after: String = chars[end..].iter().collect();
        let before = without_label(before.trim_end());
        let after = after.trim_start_matches([' ', ',', ';', '.', ':', ')']);
        chars = match (before.is_empty(), after.is_empty()) {
            (true, _) => after.chars().collect(),
            (_, true) => before.chars().collect(),
            _ => format!("{before} {after}").chars().collect(),
        };
    }
    chars.into_iter().collect()
}

/// [`contains_personal_number`], for the price of counting digits in nearly every cell.
fn holds_personal_number(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() >= 10 && contains_personal_number(text)
}

/// The first personal number: the shortest stretch that is one, ending where digits end.
fn personal_number_span(chars: &[char]) -> Option<(usize, usize)> {
    let holds = |part: &[char]| contains_personal_number(&part.iter().collect::<String>());
    if !holds(chars) {
        return None;
    }
    let ends_digits = |end: &usize| chars.get(*end).is_none_or(|c| !c.is_ascii_digit());
    let end = (1..=chars.len()).filter(ends_digits).find(|end| holds(&chars[..*end]))?;
    let start = (0..end).rev().find(|start| {
        let begins_digits = *start == 0 || !chars[*start - 1].is_ascii_digit();
        begins_digits && holds(&chars[*start..end])
    })?;
    Some((start, end))
}

fn without_label(text: &str) -> &str {
    const LABELS: [&str; 8] = ["personnummer", "personnr", "pers nr", "persnr", "pnr", "p nr", "född", "id"];
    let trimmed = text.trim_end_matches([' ', ':', '.', '(', ',', '-']);
    let lower = trimmed.to_lowercase();
    let label = LABELS
        .into_iter()
        .find(|label| lower.strip_suffix(label).is_some_and(|before| !before.ends_with(char::is_alphanumeric)));
    match label {
        Some(label) => {
            let cut = trimmed.char_indices().rev().nth(label.chars().count() - 1).map_or(0, |(at, _)| at);
            trimmed[..cut].trim_end_matches([' ', ',', ';', '('])
        }
        None => trimmed,
    }
}

/// Settles the note, shortened to [`MAX_NOTE`] characters with a mark at its end.
pub(super) fn read(draft: &mut Draft) {
    let text = draft.text(Field::Note).to_owned();
    if text.chars().count() <= MAX_NOTE {
        return draft.settle(Field::Note, text);
    }
    let mut short: String = text.chars().take(MAX_NOTE - 1).collect();
    short.push('…');
    draft.change(Field::Note, text, short.as_str());
    draft.settle(Field::Note, short);
    draft.warn(Code::NoteTooLong, "Anteckningen kortades till 1 000 tecken");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register_file::row::{Answer, RowCells};

    fn draft(pairs: &[(Field, &str)]) -> Draft {
        let mut cells = RowCells::default();
        for (field, text) in pairs {
            cells.cells[*field] = (*text).to_owned();
        }
        Draft::new(&cells, &Answer::default())
    }

    #[test]
    fn protected_identity_is_seen_wherever_it_stands_but_in_the_name() {
        for (field, text) in [
            (Field::Note, "SKYDDADE PERSONUPPGIFTER"),
            (Field::Note, "OBS! Skyddad identitet, ring växeln"),
            (Field::Note, "sekretessmarkerad"),
            (Field::Mobile, "hemligt nr"),
            (Field::Address, "Skyddad adress"),
            (Field::ProtectedIdentity, "ja"),
        ] {
            assert!(says_protected(&draft(&[(Field::Name, "Maria Lund"), (field, text)])), "{text}");
        }
        for (field, text) in [
            (Field::Name, "Maria Sekretess"),
            (Field::Note, "Har nyckel till bygdegården"),
            (Field::ProtectedIdentity, "nej"),
        ] {
            assert!(!says_protected(&draft(&[(field, text)])), "{text}");
        }
    }

    #[test]
    fn a_wish_to_leave_is_not_a_wish_for_less() {
        for pairs in [
            vec![(Field::Note, "Vill inte vara med längre, ringde 12/3")],
            vec![(Field::Letters, "nej tack"), (Field::Alerts, "nej")],
            vec![(Field::Note, "Har tackat nej till uppdraget")],
            vec![(Field::Note, "Avregistrerad 2024")],
        ] {
            assert!(says_opted_out(&draft(&pairs)), "{pairs:?}");
        }
        for pairs in [
            vec![(Field::Letters, "nej"), (Field::Alerts, "nej")],
            vec![(Field::Letters, "nej tack"), (Field::Alerts, "ja")],
            vec![(Field::Note, "Slutar till årsskiftet, efterträdare söks")],
            vec![(Field::Note, "Ring inte efter kl. 21")],
            vec![(Field::Note, "Vill ha brevet på papper")],
        ] {
            assert!(!says_opted_out(&draft(&pairs)), "{pairs:?}");
        }
    }

    #[test]
    fn personal_numbers_are_cut_with_the_word_that_announces_them() {
        for (text, rest) in [
            ("pnr 121212-1212, ring först", "ring först"),
            ("Ring först. Personnummer: 19121212-1212", "Ring först."),
            ("121212-1212", ""),
            ("ring (pnr 121212-1212) först", "ring först"),
            ("121212-1212 och 8112189876", "och"),
            ("ring 070-174 50 01", "ring 070-174 50 01"),
        ] {
            assert_eq!(without_personal_numbers(text), rest, "{text}");
        }
    }

    #[test]
    fn a_long_note_is_shortened_with_a_mark() {
        let mut long = draft(&[(Field::Note, &"å".repeat(1_500))]);
        read(&mut long);
        assert_eq!(long.values[Field::Note].chars().count(), MAX_NOTE);
        assert!(long.values[Field::Note].ends_with('…'));
        assert_eq!(long.changes[0].before.chars().count(), 1_500);
        let mut whole = draft(&[(Field::Note, &"å".repeat(1_000))]);
        read(&mut whole);
        assert!(whole.findings.codes().is_empty());
    }
}
