//! Owns small Swedish word forms that several messages need.

use crate::domain::contact_person::Field;
use crate::domain::phone;

/// `8` as it stands, `1200` as `1 200`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `tre`, `fyra`; digits above twelve.
pub(super) fn count_word(count: usize) -> String {
    const WORDS: [&str; 13] =
        ["inga", "en", "två", "tre", "fyra", "fem", "sex", "sju", "åtta", "nio", "tio", "elva", "tolv"];
    WORDS.get(count).map_or_else(|| count.to_string(), |word| (*word).to_owned())
}

/// `Åre kommun`, `Östersunds kommun`.
pub(super) fn municipality_in_genitive(name: &str) -> String {
    let ends_open = name.chars().last().is_some_and(|c| "aeiouyåäösxz".contains(c));
    if ends_open { format!("{name} kommun") } else { format!("{name}s kommun") }
}

/// `a`, `a och b`, `a, b och c`.
pub(super) fn listed(parts: &[String], last: &str) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

/// A stored value as people read it.
pub(super) fn shown(field: Field, value: &str) -> String {
    match (field, value) {
        (_, "") => "saknas".to_owned(),
        (Field::Mobile | Field::Phone2, _) => phone::display(value),
        (Field::Letters | Field::Alerts | Field::ProtectedIdentity, "yes") => "ja".to_owned(),
        (Field::Letters | Field::Alerts | Field::ProtectedIdentity, "no") => "nej".to_owned(),
        _ => value.replace('\n', ", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_formed_as_in_swedish() {
        assert_eq!([grouped(8), grouped(1_200), grouped(1_000_000)], ["8", "1 200", "1 000 000"]);
        assert_eq!(municipality_in_genitive("Åre"), "Åre kommun");
        assert_eq!(municipality_in_genitive("Östersund"), "Östersunds kommun");
        assert_eq!(listed(&["a".into(), "b".into(), "c".into()], "och"), "a, b och c");
        assert_eq!(shown(Field::Mobile, "+46701745003"), "070-174 50 03");
    }
}
