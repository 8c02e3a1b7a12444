//! Owns everybody in the areas of a message, kept small: a million of them take some 36 MB.
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
    /// Those who have an address.
    pub(super) reached: Vec<Person>,
    /// Those who have none.
    pub(super) not_reached: Vec<Person>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    pub(super) id: Id,
    address: Address,
    pub(super) area: u32,
    pub(super) households: u32,
    /// Rank among those of the area, once there is one.
    pub(super) place: u32,
}

impl Person {
    pub(super) fn channel(&self) -> Channel {
        self.address.channel()
    }

    pub(super) fn not_reached(&self) -> Option<NotReached> {
        self.address.not_reached()
    }

    /// Whether others share the address; they stand elsewhere.
    pub(super) fn is_shared(&self) -> bool {
        self.address.word() & SHARED != 0
    }

    /// This one with an address that others share, written as `written` has it.
    pub(super) fn sharing(self, written: &Self) -> Self {
        Self { address: Address::of_word(written.address.word() | SHARED), ..self }
    }
}

/// The bytes of a UUID; or, behind bytes that no UUID of ours begins with, where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id([u8; 16]);

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

/// From the highest bit: the channel, whether a text follows, whether others share it, whether there is none. Then the digits of a
/// phone number, where a text stands, or why there is none. In two halves, so that a person needs no room to be aligned.
#[derive(Debug, Clone, Copy)]
struct Address([u32; 2]);

const CHANNEL: u32 = 62;
const TEXT: u64 = 1 << 61;
const SHARED: u64 = 1 << 60;
/// Bits for digits: 18 of them take 60.
const VALUE: u64 = SHARED - 1;
/// No number of ours is as large: why there is no address stands above it.
const MISSING: u64 = VALUE - 255;

impl Address {
    fn new(channel: Channel, value: u64) -> Self {
        Self::of_word((channel as u64) << CHANNEL | value)
    }

    fn missing(channel: Channel, reason: NotReached) -> Self {
        Self::new(channel, MISSING + reason as u64)
    }

    fn of_word(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_be_bytes();
        Self([u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])])
    }

    fn word(self) -> u64 {
        u64::from(self.0[0]) << 32 | u64::from(self.0[1])
    }

    fn value(self) -> u64 {
        self.word() & VALUE
    }

    fn channel(self) -> Channel {
        match self.word() >> CHANNEL {
            0 => Channel::Sms,
            1 => Channel::Email,
            _ => Channel::Paper,
        }
    }

    /// Where its text stands.
    fn at(self) -> Option<u32> {
        (self.word() & TEXT != 0).then(|| u32::try_from(self.value()).unwrap_or(NONE))
    }

    fn not_reached(self) -> Option<NotReached> {
        let reason = self.value().checked_sub(MISSING)?;
        NotReached::ALL.into_iter().find(|one| *one as u64 == reason)
    }
}

impl Crowd {
    /// An empty one with room for so many. Room that nobody takes costs nothing: it is memory only when it is written to; but a
    /// large crowd that is moved to where it has more room takes twice its size meanwhile.
    #[must_use]
    pub fn with_room_for(persons: usize) -> Self {
        Self { reached: Vec::with_capacity(persons), ..Self::default() }
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
        let channel = candidate.channel;
        let (persons, address) = match candidate.address {
            Ok(address) => {
                let value = phone_digits(address).unwrap_or_else(|| TEXT | u64::from(self.keep(address)));
                (&mut self.reached, Address::new(channel, value))
            }
            Err(reason) => (&mut self.not_reached, Address::missing(channel, reason)),
        };
        let households = u32::try_from(candidate.households).unwrap_or_default();
        persons.push(Person { id, address, area, households, place: 0 });
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
            None => Cow::Owned(format!("+{}", person.address.value())),
        }
    }

    /// Orders persons by the text of their id.
    pub(super) fn by_id(&self, a: &Person, b: &Person) -> Ordering {
        match (a.id.at(), b.id.at()) {
            (None, None) => a.id.cmp(&b.id),
            _ => self.id(a).cmp(&self.id(b)),
        }
    }

    /// Orders persons by channel and address; equal are those that one delivery covers.
    pub(super) fn by_address(&self, a: &Person, b: &Person) -> Ordering {
        let (one, other) = (a.address, b.address);
        match (one.at(), other.at()) {
            (Some(text), Some(other_text)) if one.channel() == other.channel() => {
                self.by_text(one.channel(), text, other_text)
            }
            _ => (one.word() & !SHARED).cmp(&(other.word() & !SHARED)),
        }
    }

    fn by_text(&self, channel: Channel, a: u32, b: u32) -> Ordering {
        let folded = |at: u32| self.text(at).chars().flat_map(char::to_lowercase);
        match channel {
            Channel::Email => folded(a).cmp(folded(b)),
            Channel::Sms | Channel::Paper => self.text(a).cmp(self.text(b)),
        }
    }

    fn everybody(&self) -> impl Iterator<Item = &Person> {
        self.reached.iter().chain(&self.not_reached)
    }

    /// The figures of an alert to this crowd.
    #[must_use]
    pub fn alert_audience(&self) -> AlertAudience {
        let mut audience = AlertAudience::default();
        for person in self.everybody() {
            audience.contact_persons += 1;
            audience.households += i64::from(person.households);
            if person.not_reached().is_none() {
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
        for person in self.everybody() {
            audience.contact_persons += 1;
            audience.households += i64::from(person.households);
            match (person.not_reached(), person.channel()) {
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
        for ((person, id), address) in crowd.reached.iter().zip(ids.into_iter().cycle()).zip(addresses) {
            assert_eq!((crowd.id(person).as_ref(), crowd.address(person).as_ref()), (id, address));
        }
        assert_eq!(size_of::<Person>(), 36, "a million of them are counted with");
    }

    #[test]
    fn the_order_of_ids_is_that_of_their_texts() {
        let ids = ["b", "0190a5e2-7c1b-7def-8123-0123456789ab", "a", "0190a5e2-7c1b-7def-8123-0123456789aa", "0"];
        let mut crowd = Crowd::default();
        for contact_person_id in ids {
            let address = Err(NotReached::Paused);
            crowd.push(&Candidate { contact_person_id, area_code: "a", households: 1, channel: Channel::Sms, address });
        }
        let mut persons = crowd.not_reached.clone();
        persons.sort_by(|a, b| crowd.by_id(a, b));
        let mut sorted = ids;
        sorted.sort_unstable();
        assert_eq!(persons.iter().map(|person| crowd.id(person)).collect::<Vec<_>>(), sorted);
    }

    #[test]
    fn channel_and_reason_stand_beside_the_address() {
        let mut crowd = Crowd::default();
        for channel in [Channel::Sms, Channel::Email, Channel::Paper] {
            let addresses = NotReached::ALL.into_iter().map(Err).chain([Ok("+46702100001"), Ok("a@example.org")]);
            for address in addresses {
                crowd.push(&Candidate { contact_person_id: "p", area_code: "a", households: 1, channel, address });
                let person = if address.is_ok() { crowd.reached.last() } else { crowd.not_reached.last() };
                let person = person.unwrap();
                assert_eq!(
                    (person.channel(), person.not_reached(), person.is_shared()),
                    (channel, address.err(), false)
                );
                if let Ok(address) = address {
                    let sharing = person.sharing(person);
                    assert_eq!(crowd.address(&sharing), address);
                    assert!(sharing.is_shared() && crowd.by_address(person, &sharing).is_eq());
                }
            }
        }
    }
}
