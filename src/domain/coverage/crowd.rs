//! Owns everybody in the areas of a message, kept small: a million of them take some 40 MB.
//!
//! It decides nothing about them. Invariant: what comes out, texts and order, is what went in; that ids which are UUIDs and
//! addresses which are phone numbers stand as numbers is nobody else's business.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Candidate, NONE};
use crate::domain::audience::{AlertAudience, LetterAudience};
use crate::domain::coverage::NotReached;
use crate::domain::delivery::Channel;

/// Everybody in the areas of a message.
#[derive(Debug, Default)]
pub struct Crowd {
    /// Texts that are neither UUIDs nor phone numbers, each ended by NUL, which no text holds.
    texts: String,
    pub(super) areas: BTreeMap<String, u32>,
    pub(super) persons: Vec<Person>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    id: Id,
    address: Address,
    pub(super) area: u32,
    pub(super) households: u32,
    pub(super) channel: Channel,
    pub(super) not_reached: Option<NotReached>,
}

/// The bytes of a UUID; or, behind bytes that no UUID of ours begins with, where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Id([u8; 16]);

const TEXT_ID: [u8; 12] = [0xff; 12];

impl Id {
    fn at(self) -> Option<u32> {
        let (mark, at) = self.0.split_at(12);
        let at = <[u8; 4]>::try_from(at).map(u32::from_be_bytes).unwrap_or(NONE);
        (mark == TEXT_ID).then_some(at)
    }

    fn of_text(at: u32) -> Self {
        let mut bytes = [0xff; 16];
        bytes[12..].copy_from_slice(&at.to_be_bytes());
        Self(bytes)
    }
}

/// The digits of a phone number; or, with the highest bit set, where a text stands. All numbers come before all texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Address(u64);

const TEXT_ADDRESS: u64 = 1 << 63;

impl Address {
    fn at(self) -> Option<u32> {
        (self.0 & TEXT_ADDRESS != 0).then(|| u32::try_from(self.0 & !TEXT_ADDRESS).unwrap_or(NONE))
    }
}

impl Crowd {
    /// An empty one with room for so many. Room that nobody takes costs nothing: it is memory only when it is written to; but a
    /// large crowd that is moved to where it has more room takes twice its size meanwhile.
    #[must_use]
    pub fn with_room_for(persons: usize) -> Self {
        Self { persons: Vec::with_capacity(persons), ..Self::default() }
    }

    /// Adds a person. Only the first 4 GiB of texts are taken in; a register is far smaller.
    pub fn push(&mut self, candidate: &Candidate<'_>) {
        let next = u32::try_from(self.areas.len()).unwrap_or(NONE);
        let area = match self.areas.get(candidate.area_code) {
            Some(area) => *area,
            None => *self.areas.entry(candidate.area_code.to_owned()).or_insert(next),
        };
        let id = match uuid(candidate.contact_person_id) {
            Some(bytes) => Id(bytes),
            None => Id::of_text(self.keep(candidate.contact_person_id)),
        };
        let address = match candidate.address {
            Ok(address) => {
                Address(phone_digits(address).unwrap_or_else(|| TEXT_ADDRESS | u64::from(self.keep(address))))
            }
            Err(_) => Address(0),
        };
        self.persons.push(Person {
            id,
            address,
            area,
            households: u32::try_from(candidate.households).unwrap_or_default(),
            channel: candidate.channel,
            not_reached: candidate.address.err(),
        });
    }

    fn keep(&mut self, text: &str) -> u32 {
        let at = u32::try_from(self.texts.len()).unwrap_or(NONE);
        if self.texts.capacity() - self.texts.len() <= text.len() {
            self.texts.reserve_exact(self.texts.len() / 8 + text.len() + 16_384);
        }
        self.texts.push_str(text);
        self.texts.push('\0');
        at
    }

    fn text(&self, at: u32) -> &str {
        let rest = &self.texts[at as usize..];
        rest.split_once('\0').map_or(rest, |(text, _)| text)
    }

    pub(super) fn id(&self, person: &Person) -> Cow<'_, str> {
        match person.id.at() {
            Some(at) => Cow::Borrowed(self.text(at)),
            None => Cow::Owned(Uuid::from_bytes(person.id.0).to_string()),
        }
    }

    pub(super) fn address(&self, person: &Person) -> Cow<'_, str> {
        match person.address.at() {
            Some(at) => Cow::Borrowed(self.text(at)),
            None => Cow::Owned(format!("+{}", person.address.0)),
        }
    }

    /// Puts everybody in order of their id.
    pub(super) fn sort(&mut self) {
        let mut persons = std::mem::take(&mut self.persons);
        persons.sort_unstable_by(|a, b| match (a.id.at(), b.id.at()) {
            (None, None) => a.id.cmp(&b.id),
            _ => self.id(a).cmp(&self.id(b)),
        });
        self.persons = persons;
    }

    /// The person with this id, once everybody is in order.
    pub(super) fn find(&self, id: &str) -> Option<&Person> {
        let at = self.persons.binary_search_by(|person| self.id(person).as_ref().cmp(id)).ok()?;
        self.persons.get(at)
    }

    /// Orders persons by channel and address; equal are those that one delivery covers.
    pub(super) fn by_address(&self, a: &Person, b: &Person) -> Ordering {
        (a.channel as u8).cmp(&(b.channel as u8)).then_with(|| match (a.address.at(), b.address.at()) {
            (Some(one), Some(other)) => self.by_text(a.channel, one, other),
            _ => a.address.cmp(&b.address),
        })
    }

    fn by_text(&self, channel: Channel, a: u32, b: u32) -> Ordering {
        let folded = |at: u32| self.text(at).chars().flat_map(char::to_lowercase);
        match channel {
            Channel::Email => folded(a).cmp(folded(b)),
            Channel::Sms | Channel::Paper => self.text(a).cmp(self.text(b)),
        }
    }

    /// The figures of an alert to this crowd.
    #[must_use]
    pub fn alert_audience(&self) -> AlertAudience {
        let mut audience = AlertAudience::default();
        for person in &self.persons {
            audience.contact_persons += 1;
            audience.households += i64::from(person.households);
            if person.not_reached.is_none() {
                audience.by_sms += 1;
                audience.households_by_sms += i64::from(person.households);
            }
        }
        audience.not_reached = audience.contact_persons - audience.by_sms;
        audience
    }

    /// The figures of a letter to this crowd.
    #[must_use]
    pub fn letter_audience(&self) -> LetterAudience {
        let mut audience = LetterAudience::default();
        for person in &self.persons {
            audience.contact_persons += 1;
            audience.households += i64::from(person.households);
            match (person.not_reached, person.channel) {
                (Some(_), _) => audience.not_reached += 1,
                (None, Channel::Paper) => audience.on_paper += 1,
                (None, _) => audience.by_email += 1,
            }
        }
        audience
    }
}

/// The bytes of a UUID in the one way we write it: what is written in another could not be written again from them.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let uuid = Uuid::try_parse(text).ok()?;
    let is_ours = uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
    (is_ours && uuid.as_bytes()[..12] != TEXT_ID).then(|| uuid.into_bytes())
}

/// The digits of a phone number with its plus sign; `None` for what could not be written again from them.
fn phone_digits(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+')?;
    let is_number = !digits.starts_with('0') && digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_as_they_went_in_whether_they_are_uuids_and_numbers_or_not() {
        let ids = [
            "0190a5e2-7c1b-7def-8123-0123456789ab",
            "0190A5E2-7c1b-7def-8123-0123456789ab",
            "ffffffff-ffff-ffff-ffff-ffff00000001",
            "p1",
            "0190a5e2x7c1b-7def-8123-0123456789ab",
        ];
        let addresses = ["+46702100001", "+0702100001", "+", "+46-70", "a@example.org", "+1234567890123456789", ""];
        let mut crowd = Crowd::default();
        for (contact_person_id, address) in ids.into_iter().cycle().zip(addresses) {
            crowd.push(&Candidate {
                contact_person_id,
                area_code: "a",
                households: 1,
                channel: Channel::Sms,
                address: Ok(address),
            });
        }
        for ((person, id), address) in crowd.persons.iter().zip(ids.into_iter().cycle()).zip(addresses) {
            assert_eq!((crowd.id(person).as_ref(), crowd.address(person).as_ref()), (id, address));
        }
        assert_eq!(size_of::<Person>(), 40, "a million of them are counted with");
    }

    #[test]
    fn the_order_of_ids_is_that_of_their_texts_and_each_is_found() {
        let ids = ["b", "0190a5e2-7c1b-7def-8123-0123456789ab", "a", "0190a5e2-7c1b-7def-8123-0123456789aa", "0"];
        let mut crowd = Crowd::default();
        for contact_person_id in ids {
            let address = Err(NotReached::Paused);
            crowd.push(&Candidate { contact_person_id, area_code: "a", households: 1, channel: Channel::Sms, address });
        }
        crowd.sort();
        let mut sorted = ids;
        sorted.sort_unstable();
        assert_eq!(crowd.persons.iter().map(|person| crowd.id(person)).collect::<Vec<_>>(), sorted);
        assert!(ids.into_iter().all(|id| crowd.find(id).is_some_and(|person| crowd.id(person) == id)));
        assert!(crowd.find("c").is_none());
    }
}
