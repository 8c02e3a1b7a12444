//! Owns what the register knows of the people in a chunk of rows: the answer to the keys a prepared row asks for.
//!
//! It does not look anything up; the caller does. Invariant: a person is matched by name together with something else,
//! never by name alone.

use std::collections::{HashMap, HashSet};

use crate::domain::contact_person::{Field, Values};
use crate::domain::email_address;
use crate::domain::plain_text::{fold, fold_plain};

/// What to look a row up by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatchKeys {
    /// E.164 numbers, mobile first.
    pub numbers: Vec<String>,
    /// E-mail addresses without regard to case.
    pub emails: Vec<String>,
    /// Folded name; never a key by itself.
    pub name: String,
    /// Folded address.
    pub address: String,
    /// Folded municipality and watch area: the home of somebody without an address.
    watch_area: String,
}

impl MatchKeys {
    /// The keys of canonical values.
    #[must_use]
    pub fn of(values: &Values) -> Self {
        let filled =
            |fields: [Field; 2]| fields.map(|field| &values[field]).into_iter().filter(|text| !text.is_empty());
        let watch_area = fold(&values[Field::WatchArea]);
        Self {
            numbers: filled([Field::Mobile, Field::Phone2]).cloned().collect(),
            emails: filled([Field::Email, Field::Email2]).map(|email| email_address::key(email)).collect(),
            name: fold(&values[Field::Name]),
            address: fold(&values[Field::Address]),
            watch_area: if watch_area.is_empty() {
                watch_area
            } else {
                format!("{}/{watch_area}", fold(&values[Field::Municipality]))
            },
        }
    }

    /// Name and home together: who the person is when number and e-mail are new.
    pub(super) fn person(&self) -> Option<String> {
        let home = if self.address.is_empty() { &self.watch_area } else { &self.address };
        (!self.name.is_empty() && !home.is_empty()).then(|| format!("{}|{home}", self.name))
    }

    /// What a fingerprint of the person is made of; see the suppression list.
    #[must_use]
    pub fn fingerprinted(&self) -> Vec<(&'static str, String)> {
        let numbers = self.numbers.iter().map(|number| ("sms", number.clone()));
        let emails = self.emails.iter().map(|email| ("email", email.clone()));
        let has_person = !self.name.is_empty() && !self.address.is_empty();
        let person = has_person.then(|| ("person", format!("{}\n{}", self.name, self.address)));
        numbers.chain(emails).chain(person).collect()
    }
}

/// A person in the register.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownPerson {
    /// Its id.
    pub id: String,
    /// Its canonical values, the municipality by name.
    pub values: Values,
    /// Has opted out of SMS.
    pub opted_out_of_sms: bool,
    /// Has opted out of e-mail.
    pub opted_out_of_email: bool,
}

/// The people of the register that one of a chunk's keys fits, and the keys that are on the suppression list.
#[derive(Debug, Clone, Default)]
pub struct Known {
    persons: Vec<KnownPerson>,
    by_number: HashMap<String, Vec<usize>>,
    by_email: HashMap<String, Vec<usize>>,
    by_person: HashMap<String, Vec<usize>>,
    suppressed: HashSet<String>,
}

impl Known {
    /// Sorts what was found. `suppressed` are those of the chunk's [`MatchKeys::fingerprinted`] texts that are on the
    /// suppression list.
    #[must_use]
    pub fn new(mut persons: Vec<KnownPerson>, suppressed: HashSet<String>) -> Self {
        persons.sort_by(|a, b| a.id.cmp(&b.id));
        let mut known = Self { suppressed, ..Self::default() };
        for (at, person) in persons.iter().enumerate() {
            let keys = MatchKeys::of(&person.values);
            if let Some(key) = keys.person() {
                known.by_person.entry(key).or_default().push(at);
            }
            for number in keys.numbers {
                known.by_number.entry(number).or_default().push(at);
            }
            for email in keys.emails {
                known.by_email.entry(email).or_default().push(at);
            }
        }
        known.persons = persons;
        known
    }

    /// Whether one of the keys is on the suppression list.
    #[must_use]
    pub fn is_suppressed(&self, keys: &MatchKeys) -> bool {
        keys.fingerprinted().iter().any(|(_, text)| self.suppressed.contains(text))
    }

    /// The person that a row with these values is: the same name with a number or e-mail in common, unless the other of
    /// the two and the home both differ; or the same name and home where the row brings no contact detail that the
    /// person lacks.
    #[must_use]
    pub fn same_person<'a>(&'a self, keys: &'a MatchKeys, values: &Values) -> Option<&'a KnownPerson> {
        let has_name = |person: &&KnownPerson| fold(&person.values[Field::Name]) == keys.name;
        let by_contact = self.sharing(keys).filter(has_name).find(|person| !is_elsewhere(values, &person.values));
        by_contact.or_else(|| self.at_home(keys).find(|person| brings_nothing_new(values, &person.values)))
    }

    /// A person of the same name and home, or sharing a contact detail and much of the name: probably the same.
    #[must_use]
    pub fn probable_person<'a>(&'a self, keys: &'a MatchKeys, values: &Values) -> Option<&'a KnownPerson> {
        let is_alike = |person: &&KnownPerson| is_probably_same(&person.values[Field::Name], &values[Field::Name]);
        self.at_home(keys).next().or_else(|| self.sharing(keys).find(is_alike))
    }

    /// Another person with this mobile.
    #[must_use]
    pub fn with_mobile(&self, mobile: &str) -> Option<&KnownPerson> {
        let is_mobile = |person: &&KnownPerson| person.values[Field::Mobile] == mobile;
        find(&self.by_number, mobile).map(|at| &self.persons[at]).find(is_mobile)
    }

    /// Another person with this e-mail address.
    #[must_use]
    pub fn with_email(&self, email: &str) -> Option<&KnownPerson> {
        let key = email_address::key(email);
        let is_email = |person: &&KnownPerson| email_address::key(&person.values[Field::Email]) == key;
        find(&self.by_email, &key).map(|at| &self.persons[at]).find(is_email)
    }

    fn sharing<'a>(&'a self, keys: &'a MatchKeys) -> impl Iterator<Item = &'a KnownPerson> {
        let numbers = keys.numbers.iter().flat_map(|number| find(&self.by_number, number));
        let emails = keys.emails.iter().flat_map(|email| find(&self.by_email, email));
        numbers.chain(emails).map(|at| &self.persons[at])
    }

    fn at_home<'a>(&'a self, keys: &'a MatchKeys) -> impl Iterator<Item = &'a KnownPerson> {
        keys.person().into_iter().flat_map(|key| find(&self.by_person, &key)).map(|at| &self.persons[at])
    }
}

fn find<'a>(index: &'a HashMap<String, Vec<usize>>, key: &str) -> impl Iterator<Item = usize> + use<'a> {
    index.get(key).into_iter().flatten().copied()
}

/// Whether two records of one name, with a number or an e-mail in common, contradict each other in all else: the other
/// contact detail and the home. Then they are probably the same, and not surely.
pub(super) fn is_elsewhere(row: &Values, other: &Values) -> bool {
    let differs = |field: Field, same: fn(&str, &str) -> bool| {
        !row[field].is_empty() && !other[field].is_empty() && !same(&row[field], &other[field])
    };
    let folded = |a: &str, b: &str| fold(a) == fold(b);
    let has_other_contact = differs(Field::Mobile, |a, b| a == b)
        || differs(Field::Email, |a, b| email_address::key(a) == email_address::key(b));
    has_other_contact && (differs(Field::Address, folded) || differs(Field::Municipality, folded))
}

/// Whether every contact detail of `row` is one that `other` has.
pub(super) fn brings_nothing_new(row: &Values, other: &Values) -> bool {
    let (row, other) = (MatchKeys::of(row), MatchKeys::of(other));
    row.numbers.iter().all(|number| other.numbers.contains(number))
        && row.emails.iter().all(|email| other.emails.contains(email))
}

/// Whether two people who share a number or address have names that one person could have: the same first name, the
/// same words in another order, or the same but for diacritics.
pub(super) fn is_probably_same(a: &str, b: &str) -> bool {
    let words = |name: &str| fold_plain(name).split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (mut a, mut b) = (words(a), words(b));
    let same_first = a.first() == b.first() && a[0].chars().count() > 1;
    a.sort();
    b.sort();
    same_first || a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str, mobile: &str, email: &str, address: &str) -> Values {
        let mut values = Values::default();
        values[Field::Name] = name.to_owned();
        values[Field::Mobile] = mobile.to_owned();
        values[Field::Email] = email.to_owned();
        values[Field::Address] = address.to_owned();
        values
    }

    #[test]
    fn a_person_is_never_matched_by_name_alone() {
        let person = KnownPerson {
            id: "1".into(),
            values: values("Anna Hedin", "+46701743168", "anna.hedin@example.org", "Fäbodvägen 30"),
            ..KnownPerson::default()
        };
        let known = Known::new(vec![person], HashSet::new());
        for (row, same, probable) in [
            (values("ANNA HEDIN", "+46701743168", "", ""), true, true),
            (values("Anna Hedin", "", "Anna.Hedin@example.org", "Nyvägen 1"), true, true),
            (values("Anna Hedin", "+46701743169", "anna.hedin@example.org", "Fäbodvägen 30"), true, true),
            (values("Anna Hedin", "+46701743169", "anna.hedin@example.org", "Nyvägen 1"), false, true),
            (values("Anna Hedin", "", "", "Fäbodvägen 30"), true, true),
            (values("Anna Hedin", "+46701743169", "", "Fäbodvägen 30"), false, true),
            (values("Anna Lund", "+46701743168", "", "Nyvägen 1"), false, true),
            (values("Per Hedin", "+46701743168", "", "Fäbodvägen 30"), false, false),
            (values("Anna Hedin", "+46701743169", "", "Nyvägen 1"), false, false),
        ] {
            let keys = MatchKeys::of(&row);
            assert_eq!(known.same_person(&keys, &row).is_some(), same, "{row:?}");
            assert_eq!(known.probable_person(&keys, &row).is_some(), probable, "{row:?}");
        }
    }
}
