//! Owns who is covered by which delivery, and which delivery is handed over first.
//!
//! It knows neither texts nor the database. Invariants: each address of a channel gets one delivery, each person is covered
//! by one or has a reason why not; the order depends on nothing but the people themselves.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use super::delivery::Channel;
use super::email_address;

mod crowd;

pub use crowd::Crowd;
use crowd::Person;

/// Positions that one message has room for; a delivery's id is its message's number times this, plus its position.
pub const POSITIONS: i64 = 10_000_000;
/// Positions of deputies begin here: behind everybody of the audience and all copies.
pub const FIRST_DEPUTY: i64 = 9_000_000;
/// Positions of deputies who take over later begin here; a follow-up has both.
pub const FIRST_TAKEOVER: i64 = 9_500_000;
/// Positions of paper begin here, those of copies at twice that.
const POSITIONS_PER_CHANNEL: u32 = 4_000_000;
/// Copies go after everybody in the register.
const PLACE_OF_COPIES: i64 = 1_000_000;
/// No delivery covers the person.
const NONE: u32 = u32::MAX;

/// Why a person in the areas is not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReached {
    /// No number that can get an SMS.
    NoMobile,
    /// Neither an e-mail address nor a postal one.
    NoAddress,
    /// Letters do not reach the e-mail address, and there is no postal one.
    EmailUnusable,
    /// Has opted out.
    OptedOut,
    /// Does not want alerts.
    AlertsOff,
    /// Does not want letters.
    LettersOff,
    /// Wants nothing for a while.
    Paused,
}

impl NotReached {
    const ALL: [Self; 7] = [
        Self::NoMobile,
        Self::NoAddress,
        Self::EmailUnusable,
        Self::OptedOut,
        Self::AlertsOff,
        Self::LettersOff,
        Self::Paused,
    ];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoMobile => "no_mobile",
            Self::NoAddress => "no_address",
            Self::EmailUnusable => "email_unusable",
            Self::OptedOut => "opted_out",
            Self::AlertsOff => "alerts_off",
            Self::LettersOff => "letters_off",
            Self::Paused => "paused",
        }
    }

    /// The reason with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

/// A person in the areas of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Who.
    pub contact_person_id: &'a str,
    /// Of which watch area.
    pub area_code: &'a str,
    /// Households behind the person.
    pub households: i64,
    /// How the person would be reached.
    pub channel: Channel,
    /// Where, or why not.
    pub address: Result<&'a str, NotReached>,
}

/// A delivery to be frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedDelivery<'a> {
    /// Its position within its message, in the order of hand-over.
    pub position: i64,
    /// How it goes.
    pub channel: Channel,
    /// Where.
    pub address: Cow<'a, str>,
    /// The first of those it covers; `None` for a copy or test.
    pub contact_person_id: Option<Cow<'a, str>>,
    /// The area it counts for.
    pub area_code: Option<&'a str>,
    /// Persons it covers.
    pub persons: i64,
    /// Households behind them.
    pub households: i64,
    /// Its rank within its area: 1 goes before every 2.
    pub place: i64,
}

/// A person to be written down with the delivery that covers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRecipient<'a> {
    /// Who.
    pub contact_person_id: Cow<'a, str>,
    /// On which channel.
    pub channel: Channel,
    /// The position of the delivery; `None` for those not reached.
    pub position: Option<i64>,
    /// Of which watch area.
    pub area_code: &'a str,
    /// Households behind the person.
    pub households: i64,
    /// Why not, if so.
    pub not_reached: Option<NotReached>,
}

/// Who is covered by which delivery, in the order of hand-over: first one of each watch area, those with most households
/// before others, then the second of each, and so on.
#[derive(Debug, Default)]
pub struct Coverage {
    /// Everybody, in order of id: who comes first here has the lower id.
    crowd: Crowd,
    /// Area codes in their order; persons and groups name them by their number.
    areas: Vec<String>,
    /// Those who are reached, group by group, each in order of id.
    members: Vec<u32>,
    /// In order of position.
    deliveries: Vec<Group>,
    /// How many of the deliveries are handed over; paper comes after them.
    handed_over: usize,
    /// Addresses of copies with their positions.
    copies: Vec<(u32, String)>,
}

/// Persons with one address.
#[derive(Debug)]
struct Group {
    /// Where its members begin.
    first: u32,
    persons: u32,
    /// The member with the lowest id.
    leader: u32,
    /// The member whose way of writing the address is used.
    addressee: u32,
    area: u32,
    households: u32,
    place: u32,
    channel: Channel,
}

impl Coverage {
    /// Covers a crowd, and sends copies to `copies` unless their address has one already.
    #[must_use]
    pub fn of(crowd: Crowd, copies: &[&str]) -> Self {
        let mut coverage = Self { crowd, ..Self::default() };
        coverage.name_areas();
        coverage.group();
        coverage.copy(copies);
        coverage.rank();
        coverage.place();
        coverage
    }

    /// How many deliveries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.deliveries.len() + self.copies.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many persons are written down, reached or not.
    #[must_use]
    pub fn persons(&self) -> usize {
        self.crowd.persons.len()
    }

    /// The deliveries, by position; copies last.
    pub fn deliveries(&self) -> impl Iterator<Item = PlannedDelivery<'_>> {
        self.covered().map(|(delivery, _)| delivery)
    }

    /// The deliveries, by position, each with the persons it covers in order of id; copies last, which cover nobody.
    pub fn covered(&self) -> impl Iterator<Item = (PlannedDelivery<'_>, impl Iterator<Item = PlannedRecipient<'_>>)> {
        let to_persons = (0..self.deliveries.len()).map(|at| (self.planned(at), self.members_of(Some(at))));
        let copies = self.copies.iter().map(|(position, address)| PlannedDelivery {
            position: i64::from(*position),
            channel: Channel::Email,
            address: Cow::Borrowed(address),
            contact_person_id: None,
            area_code: None,
            persons: 0,
            households: 0,
            place: PLACE_OF_COPIES,
        });
        to_persons.chain(copies.map(|copy| (copy, self.members_of(None))))
    }

    /// The persons: those of the first delivery, of the second, and so on; last those whom none covers.
    pub fn recipients(&self) -> impl Iterator<Item = PlannedRecipient<'_>> {
        (0..self.deliveries.len()).flat_map(|at| self.members_of(Some(at))).chain(self.not_reached())
    }

    /// The persons whom no delivery covers, in order of id.
    pub fn not_reached(&self) -> impl Iterator<Item = PlannedRecipient<'_>> {
        let persons = self.crowd.persons.iter();
        persons.filter(|person| person.not_reached.is_some()).map(|person| self.recipient(person, None))
    }

    /// Whether a person is written down, and if so, why they are not reached where they are not.
    #[must_use]
    pub fn find(&self, contact_person_id: &str) -> Option<Option<NotReached>> {
        self.crowd.find(contact_person_id).map(|person| person.not_reached)
    }

    /// Those of `numbers` that get an SMS. It looks at every delivery.
    #[must_use]
    pub fn numbers_among<'n>(&self, numbers: impl IntoIterator<Item = &'n str>) -> HashSet<String> {
        let asked: HashSet<&str> = numbers.into_iter().collect();
        let by_sms = self.deliveries.iter().filter(|group| group.channel == Channel::Sms);
        let addresses = by_sms.map(|group| self.crowd.address(self.person(group.addressee)));
        addresses.filter(|address| asked.contains(address.as_ref())).map(Cow::into_owned).collect()
    }

    fn planned(&self, at: usize) -> PlannedDelivery<'_> {
        let group = &self.deliveries[at];
        PlannedDelivery {
            position: self.position(at),
            channel: group.channel,
            address: self.crowd.address(self.person(group.addressee)),
            contact_person_id: Some(self.crowd.id(self.person(group.leader))),
            area_code: Some(&self.areas[group.area as usize]),
            persons: i64::from(group.persons),
            households: i64::from(group.households),
            place: i64::from(group.place),
        }
    }

    fn members_of(&self, at: Option<usize>) -> impl Iterator<Item = PlannedRecipient<'_>> {
        let members = at.map_or_else(Default::default, |at| {
            let group = &self.deliveries[at];
            &self.members[group.first as usize..][..group.persons as usize]
        });
        let position = at.map(|at| self.position(at));
        members.iter().map(move |member| self.recipient(self.person(*member), position))
    }

    fn recipient(&self, person: &Person, position: Option<i64>) -> PlannedRecipient<'_> {
        PlannedRecipient {
            contact_person_id: self.crowd.id(person),
            channel: person.channel,
            position,
            area_code: &self.areas[person.area as usize],
            households: i64::from(person.households),
            not_reached: person.not_reached,
        }
    }

    fn person(&self, at: u32) -> &Person {
        &self.crowd.persons[at as usize]
    }

    fn position(&self, at: usize) -> i64 {
        let before = if at < self.handed_over { 0 } else { POSITIONS_PER_CHANNEL as usize - self.handed_over };
        i64::try_from(before + at + 1).unwrap_or(POSITIONS)
    }

    /// Numbers the areas in the order of their codes.
    fn name_areas(&mut self) {
        let mut renamed = vec![NONE; self.crowd.areas.len()];
        for (to, (code, from)) in (0..).zip(std::mem::take(&mut self.crowd.areas)) {
            renamed[from as usize] = to;
            self.areas.push(code);
        }
        for person in &mut self.crowd.persons {
            person.area = renamed[person.area as usize];
        }
    }

    /// Puts persons with one address together.
    fn group(&mut self) {
        self.crowd.sort();
        let crowd = &self.crowd;
        let person = |at: u32| &crowd.persons[at as usize];
        let everybody = 0..u32::try_from(crowd.persons.len()).unwrap_or(NONE);
        let reached = crowd.persons.iter().filter(|person| person.not_reached.is_none()).count();
        let mut members = Vec::with_capacity(reached);
        members.extend(everybody.filter(|at| person(*at).not_reached.is_none()));
        members.sort_unstable_by(|a, b| crowd.by_address(person(*a), person(*b)).then(a.cmp(b)));
        let groups = || members.chunk_by(|a, b| crowd.by_address(person(*a), person(*b)).is_eq());
        self.deliveries.reserve_exact(groups().count());
        let mut first = 0;
        for same in groups() {
            let persons = u32::try_from(same.len()).unwrap_or(NONE);
            // Only e-mail addresses can be written in several ways.
            let addressee = match same {
                [alone] => Some(*alone),
                _ => same.iter().copied().min_by_key(|at| (crowd.address(person(*at)), *at)),
            };
            self.deliveries.push(Group {
                first,
                persons,
                leader: same[0],
                addressee: addressee.unwrap_or(same[0]),
                area: same.iter().map(|at| person(*at).area).min().unwrap_or(NONE),
                households: same.iter().map(|at| person(*at).households).fold(0, u32::saturating_add),
                place: 0,
                channel: person(same[0]).channel,
            });
            first += persons;
        }
        self.members = members;
    }

    /// Takes in those copies whose address has no delivery by e-mail yet.
    fn copy(&mut self, copies: &[&str]) {
        if copies.is_empty() {
            return;
        }
        let by_email = self.deliveries.iter().filter(|group| group.channel == Channel::Email);
        let mut taken: BTreeSet<String> =
            by_email.map(|group| email_address::key(&self.crowd.address(self.person(group.addressee)))).collect();
        for (at, address) in (1..).zip(copies) {
            if taken.insert(email_address::key(address)) {
                self.copies.push((2 * POSITIONS_PER_CHANNEL + at, (*address).to_owned()));
            }
        }
    }

    /// Ranks the deliveries of each area: most households first. Paper is printed, not handed over, and has no rank.
    fn rank(&mut self) {
        self.deliveries
            .sort_unstable_by_key(|group| (group.channel as u8, group.area, Reverse(group.households), group.leader));
        let mut before: Option<(Channel, u32)> = None;
        let mut place = 0;
        for group in &mut self.deliveries {
            let lane = (group.channel, group.area);
            place = if before == Some(lane) { place + 1 } else { 1 };
            before = Some(lane);
            group.place = if group.channel == Channel::Paper { 0 } else { place };
        }
    }

    /// Puts the deliveries in order: by rank, those with most households first; paper by area, since it is sorted by hand.
    fn place(&mut self) {
        self.deliveries.sort_unstable_by_key(|group| {
            let (area, weight) = match group.channel {
                Channel::Paper => (group.area, Reverse(0)),
                Channel::Sms | Channel::Email => (0, Reverse(group.households)),
            };
            (group.channel as u8, group.place, area, weight, group.leader)
        });
        self.handed_over = self.deliveries.partition_point(|group| group.channel != Channel::Paper);
    }
}

#[cfg(test)]
mod tests;
