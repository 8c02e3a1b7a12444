//! Owns the lines of the journal of opt-outs: how one is written and read, and what many of them come to.
//!
//! It knows no file and no database (`store::opt_out_journal`, ADR 0017). Invariants: a line holds no number, address, name or id, only
//! digests under a key that is not in the database; a line that was cut or changed is no line; at one and the same time, no wins over yes.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The key that lines are made with; kept beside the journal, never in the database.
#[derive(Clone)]
pub struct JournalKey([u8; 32]);

impl std::fmt::Debug for JournalKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JournalKey(***)")
    }
}

/// What a person, or somebody for them, has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// No alerts.
    AlertsOff,
    /// Alerts again.
    AlertsOn,
    /// No letters.
    LettersOff,
    /// Letters again.
    LettersOn,
    /// Nothing before this time, Unix ms; 0 = the pause is over.
    Paused(i64),
    /// The person is erased.
    Erased,
}

/// An address, by its fingerprint in the database, that must not come back or may again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `sms`, `email` or `person`.
    pub channel: String,
    /// Its fingerprint (`domain::delivery_token`), hex of 32 octets.
    pub fingerprint: String,
    /// Why it must not come back; `None` when it may.
    pub kept_out: Option<String>,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A journal was begun.
    Begun,
    /// A word about the person with this digest.
    Person(String, Word),
    /// The record with the first digest went into the one with the second.
    Merged(String, String),
    /// A word about an address.
    Address(Address),
}

/// A line, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was said, Unix ms.
    pub at: i64,
    /// What.
    pub entry: Entry,
    /// What the line is known by.
    pub mac: String,
    /// The line itself.
    pub text: String,
}

const NAME: &str = "grannpost-opt-outs 1";

impl JournalKey {
    /// A key of 32 random octets.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first line of a journal, which says whose key it is made with.
    #[must_use]
    pub fn heading(&self) -> String {
        format!("{NAME} {}", self.digest("key", ""))
    }

    /// Whether `heading` is of a journal made with this key; `None` when it is of no journal.
    #[must_use]
    pub fn fits(&self, heading: &str) -> Option<bool> {
        let check = heading.strip_prefix(NAME)?.trim();
        Some(check == self.digest("key", ""))
    }

    /// What stands in a line for the person with this id.
    #[must_use]
    pub fn person(&self, id: &str) -> String {
        self.digest("person", id)
    }

    /// The line that says that a journal was begun; `id` tells it from others.
    #[must_use]
    pub fn begun(&self, at: i64, id: &str) -> String {
        self.close(&format!("{at} begun {} -", self.digest("journal", id)))
    }

    /// The line of a word about a person.
    #[must_use]
    pub fn word(&self, at: i64, id: &str, word: Word) -> String {
        let (code, value) = match word {
            Word::AlertsOff => ("alerts_off", "-".to_owned()),
            Word::AlertsOn => ("alerts_on", "-".to_owned()),
            Word::LettersOff => ("letters_off", "-".to_owned()),
            Word::LettersOn => ("letters_on", "-".to_owned()),
            Word::Paused(until) => ("paused", until.to_string()),
            Word::Erased => ("erased", "-".to_owned()),
        };
        self.close(&format!("{at} {code} {} {value}", self.person(id)))
    }

    /// The line of two records that became one.
    #[must_use]
    pub fn merged(&self, at: i64, gone: &str, kept: &str) -> String {
        self.close(&format!("{at} merged {} {}", self.person(gone), self.person(kept)))
    }

    /// The line of an address; `None` when its fingerprint is none of ours.
    #[must_use]
    pub fn address(&self, at: i64, address: &Address) -> Option<String> {
        let Address { channel, fingerprint, kept_out } = address;
        let code = if kept_out.is_some() { "kept_out" } else { "let_in" };
        let about = self.digest("address", &format!("{channel}\n{fingerprint}"));
        let sealed = self.seal(&about, fingerprint)?;
        let why = kept_out.as_deref().unwrap_or("-");
        Some(self.close(&format!("{at} {code} {about} {channel}:{why}:{sealed}")))
    }

    /// Reads a line; `None` for one that this key has not made, or not all of it.
    #[must_use]
    pub fn read(&self, line: &str) -> Option<Line> {
        let (said, mac) = line.rsplit_once(' ')?;
        if self.digest("line", said) != mac {
            return None;
        }
        let mut words = said.split(' ');
        let at = words.next()?.parse().ok()?;
        let (code, about, value) = (words.next()?, words.next()?, words.next()?);
        let of_person = |word| Some(Entry::Person(about.to_owned(), word));
        let entry = match code {
            "begun" => Some(Entry::Begun),
            "alerts_off" => of_person(Word::AlertsOff),
            "alerts_on" => of_person(Word::AlertsOn),
            "letters_off" => of_person(Word::LettersOff),
            "letters_on" => of_person(Word::LettersOn),
            "paused" => of_person(Word::Paused(value.parse().ok()?)),
            "erased" => of_person(Word::Erased),
            "merged" => Some(Entry::Merged(about.to_owned(), value.to_owned())),
            "kept_out" | "let_in" => self.read_address(code, about, value).map(Entry::Address),
            _ => None,
        };
        Some(Line { at, entry: entry?, mac: mac.to_owned(), text: line.to_owned() })
    }

    fn read_address(&self, code: &str, about: &str, value: &str) -> Option<Address> {
        let mut parts = value.split(':');
        let (channel, why, sealed) = (parts.next()?, parts.next()?, parts.next()?);
        let fingerprint = self.seal(about, sealed)?;
        Some(Address {
            channel: channel.to_owned(),
            fingerprint,
            kept_out: (code == "kept_out").then(|| why.to_owned()),
        })
    }

    /// Covers a fingerprint, or uncovers it: the journal alone must not say whose addresses are in a copy of the database. `about`
    /// differs with the fingerprint, so no cover is used twice.
    fn seal(&self, about: &str, hex: &str) -> Option<String> {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok().filter(|bytes| bytes.len() == 32)?;
        let cover = self.mac("seal", about);
        let sealed: Vec<u8> = bytes.iter().zip(cover).map(|(byte, cover)| byte ^ cover).collect();
        Some(data_encoding::HEXLOWER.encode(&sealed))
    }

    fn close(&self, said: &str) -> String {
        format!("{said} {}", self.digest("line", said))
    }

    fn digest(&self, purpose: &str, text: &str) -> String {
        data_encoding::HEXLOWER.encode(&self.mac(purpose, text))
    }

    fn mac(&self, purpose: &str, text: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// What a line is known by.
#[must_use]
pub fn mac_of(line: &str) -> &str {
    line.rsplit_once(' ').map_or("", |(_, mac)| mac)
}

/// The last words about one person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Whether alerts are wanted, and since when, Unix ms.
    pub alerts: Option<(i64, bool)>,
    /// Whether letters are wanted, and since when.
    pub letters: Option<(i64, bool)>,
    /// Until when nothing shall come; 0 = a pause was ended.
    pub paused_until: Option<i64>,
    /// Whether the person was erased.
    pub is_erased: bool,
}

/// What all lines come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastWords {
    /// By digest of the person.
    pub persons: BTreeMap<String, Wishes>,
    /// The last word about each address, with its time.
    pub addresses: Vec<(i64, Address)>,
}

/// The last word about each person and address; the order of `lines` does not matter. Where it is one that the database knows
/// (`is_known`) there is nothing to do again, whatever was said before it.
#[must_use]
pub fn last_words(mut lines: Vec<Line>, is_known: impl Fn(&Line) -> bool) -> LastWords {
    lines.sort_by_key(|line| (line.at, is_no(&line.entry)));
    let mut last = LastWords::default();
    let mut went_into: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut addresses: BTreeMap<(String, String), (i64, Address)> = BTreeMap::new();
    for line in lines {
        let is_known = is_known(&line);
        let Line { at, entry, .. } = line;
        match entry {
            Entry::Begun => {}
            Entry::Merged(gone, kept) => went_into.entry(kept).or_default().push(gone),
            Entry::Address(address) if is_known => {
                addresses.remove(&(address.channel, address.fingerprint));
            }
            Entry::Address(address) => {
                addresses.insert((address.channel.clone(), address.fingerprint.clone()), (at, address));
            }
            Entry::Person(about, word) => {
                for one in with_those_within(&went_into, about) {
                    let wishes = last.persons.entry(one).or_default();
                    if is_known { forget(wishes, word) } else { heed(wishes, at, word) }
                }
            }
        }
    }
    last.addresses = addresses.into_values().collect();
    last
}

/// A record, and those that have gone into it: they are the same person.
fn with_those_within(went_into: &BTreeMap<String, Vec<String>>, about: String) -> Vec<String> {
    let mut all = vec![about];
    let mut at = 0;
    while let Some(one) = all.get(at) {
        let within = went_into.get(one).cloned().unwrap_or_default();
        all.extend(within.into_iter().filter(|gone| !all.contains(gone)).collect::<Vec<_>>());
        at += 1;
    }
    all
}

/// What was said before a word that the database knows is no longer wished.
fn forget(wishes: &mut Wishes, known: Word) {
    match known {
        Word::AlertsOff | Word::AlertsOn => wishes.alerts = None,
        Word::LettersOff | Word::LettersOn => wishes.letters = None,
        Word::Paused(_) => wishes.paused_until = None,
        Word::Erased => {}
    }
}

fn heed(wishes: &mut Wishes, at: i64, word: Word) {
    match word {
        Word::AlertsOff => wishes.alerts = Some((at, false)),
        Word::AlertsOn => wishes.alerts = Some((at, true)),
        Word::LettersOff => wishes.letters = Some((at, false)),
        Word::LettersOn => wishes.letters = Some((at, true)),
        Word::Paused(until) => wishes.paused_until = Some(until),
        Word::Erased => wishes.is_erased = true,
    }
}

/// Whether a word ends something: such a word comes last among those of one time.
fn is_no(entry: &Entry) -> bool {
    match entry {
        Entry::Begun | Entry::Merged(..) => false,
        Entry::Address(address) => address.kept_out.is_some(),
        Entry::Person(_, word) => !matches!(word, Word::AlertsOn | Word::LettersOn | Word::Paused(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> JournalKey {
        JournalKey::new([7; 32])
    }

    fn said(lines: &[String]) -> LastWords {
        said_besides(lines, &[])
    }

    fn said_besides(lines: &[String], known: &[String]) -> LastWords {
        last_words(lines.iter().map(|line| key().read(line).unwrap()).collect(), |line| known.contains(&line.text))
    }

    #[test]
    fn a_word_that_the_database_knows_ends_what_was_said_before_it_and_not_what_came_after() {
        let address = |at, kept_out: Option<&str>| {
            let address =
                Address { channel: "sms".into(), fingerprint: "ab".repeat(32), kept_out: kept_out.map(str::to_owned) };
            key().address(at, &address).unwrap()
        };
        let lines = [
            key().word(10, "p", Word::AlertsOn),
            key().word(20, "p", Word::AlertsOff),
            key().word(10, "p", Word::Paused(500)),
            key().word(20, "p", Word::Paused(900)),
            address(10, None),
            address(20, Some("opted_out")),
        ];
        let of_p = |words: &LastWords| words.persons.get(&key().person("p")).cloned().unwrap_or_default();
        let later = [lines[1].clone(), lines[3].clone(), lines[5].clone()];
        let words = said_besides(&lines, &later);
        assert_eq!((of_p(&words), words.addresses.len()), (Wishes::default(), 0), "the database has the last words");
        let earlier = [lines[0].clone(), lines[2].clone(), lines[4].clone()];
        let words = said_besides(&lines, &earlier);
        assert_eq!((of_p(&words).alerts, of_p(&words).paused_until), (Some((20, false)), Some(900)));
        assert_eq!(words.addresses.len(), 1);
    }

    #[test]
    fn a_line_comes_back_and_a_cut_or_changed_one_or_another_keys_does_not() {
        let address =
            Address { channel: "sms".into(), fingerprint: "ab".repeat(32), kept_out: Some("opted_out".into()) };
        let lines = [
            key().begun(1, "j"),
            key().word(2, "p1", Word::Paused(77)),
            key().word(2, "p1", Word::Erased),
            key().merged(3, "p1", "p2"),
            key().address(4, &address).unwrap(),
        ];
        for line in &lines {
            assert_eq!(key().read(line).unwrap().mac, mac_of(line));
            assert_eq!(JournalKey::new([8; 32]).read(line), None);
            for cut in 0..line.len() {
                assert_eq!(key().read(&line[..cut]), None, "{line} cut at {cut}");
            }
            assert_eq!(key().read(&line.replacen('2', "3", 1).replacen('4', "5", 1).replacen('1', "2", 1)), None);
        }
        assert_eq!(key().read(&lines[4]).unwrap().entry, Entry::Address(address));
        assert!(!lines[4].contains(&"ab".repeat(32)), "a fingerprint is covered");
        assert!(!lines[1].contains("p1"));
        assert_eq!(key().fits(&key().heading()), Some(true));
        assert_eq!(JournalKey::new([8; 32]).fits(&key().heading()), Some(false));
        assert_eq!(key().fits("ID;Namn"), None);
    }

    #[test]
    fn the_last_word_wins_whatever_order_the_lines_come_in_and_no_wins_at_the_same_time() {
        let mut lines = vec![
            key().word(10, "p", Word::AlertsOff),
            key().word(20, "p", Word::AlertsOn),
            key().word(20, "p", Word::LettersOff),
            key().word(20, "p", Word::LettersOn),
            key().word(30, "q", Word::AlertsOn),
            key().word(40, "q", Word::AlertsOff),
        ];
        for _ in 0..lines.len() {
            lines.rotate_left(1);
            let last = said(&lines);
            assert_eq!(last.persons[&key().person("p")].alerts, Some((20, true)));
            assert_eq!(last.persons[&key().person("p")].letters, Some((20, false)));
            assert_eq!(last.persons[&key().person("q")].alerts, Some((40, false)));
        }
    }

    #[test]
    fn what_is_said_of_a_merged_record_holds_for_those_within_it_but_not_what_was_said_before() {
        let last = said(&[
            key().word(10, "kept", Word::LettersOff),
            key().merged(20, "gone", "kept"),
            key().merged(25, "kept", "third"),
            key().word(30, "third", Word::Erased),
        ]);
        assert!(last.persons[&key().person("gone")].is_erased);
        assert!(last.persons[&key().person("kept")].is_erased);
        assert_eq!(last.persons[&key().person("gone")].letters, None);
    }
}
