//! Owns who is covered by which delivery, and which delivery is handed over first.
//!
//! It knows neither texts nor the database. Invariants: each address of a channel gets one delivery, each person is covered
//! by one or has a reason why not; the order depends on nothing but the people themselves.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::delivery::Channel;
use super::email_address;

mod crowd;

pub use crowd::Crowd;
use crowd::{Id, Person};

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
    /// Those who are reached stand in order of position, one for each delivery: the one with the lowest id, who stands for all that
    /// share the address, with its area and the households of all. The others stand in order of id.
    crowd: Crowd,
    /// Area codes in their order; persons name them by their number.
    areas: Vec<String>,
    /// Those who share an address, each behind the id of the one who stands for them, by that and by their own.
    sharing: Vec<(Id, Person)>,
    /// How many persons are written down.
    persons: usize,
    /// How many of the deliveries are handed over; paper comes after them.
    handed_over: usize,
    /// Addresses of copies with their positions.
    copies: Vec<(u32, String)>,
}

impl Coverage {
    /// Covers a crowd, and sends copies to `copies` unless their address has one already.
    #[must_use]
    pub fn of(crowd: Crowd, copies: &[&str]) -> Self {
        let persons = crowd.reached.len() + crowd.not_reached.len();
        let mut coverage = Self { crowd, persons, ..Self::default() };
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
        self.crowd.reached.len() + self.copies.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many persons are written down, reached or not.
    #[must_use]
    pub fn persons(&self) -> usize {
        self.persons
    }

    /// The deliveries, by position; copies last.
    pub fn deliveries(&self) -> impl Iterator<Item = PlannedDelivery<'_>> {
        self.covered().map(|(delivery, _)| delivery)
    }

    /// The deliveries, by position, each with the persons it covers in order of id; copies last, which cover nobody.
    pub fn covered(&self) -> impl Iterator<Item = (PlannedDelivery<'_>, impl Iterator<Item = PlannedRecipient<'_>>)> {
        let to_persons = (0..self.crowd.reached.len()).map(|at| (self.planned(at), self.members_of(Some(at))));
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
        (0..self.crowd.reached.len()).flat_map(|at| self.members_of(Some(at))).chain(self.not_reached())
    }

    /// The persons whom no delivery covers, in order of id.
    pub fn not_reached(&self) -> impl Iterator<Item = PlannedRecipient<'_>> {
        self.crowd.not_reached.iter().map(|person| self.recipient(person, None))
    }

    /// Those of `ids` who are written down, and why they are not reached where they are not. It looks at everybody unless all of
    /// them are not reached.
    #[must_use]
    pub fn find<'n>(&self, ids: impl IntoIterator<Item = &'n str>) -> BTreeMap<&'n str, Option<NotReached>> {
        let mut asked: BTreeSet<&str> = ids.into_iter().collect();
        let mut found = BTreeMap::new();
        let not_reached = &self.crowd.not_reached;
        asked.retain(|id| {
            let Ok(at) = not_reached.binary_search_by(|person| self.crowd.id(person).as_ref().cmp(*id)) else {
                return true;
            };
            found.insert(*id, not_reached[at].not_reached());
            false
        });
        if asked.is_empty() {
            return found;
        }
        let sharing = self.sharing.iter().map(|(_, person)| person);
        for person in self.crowd.reached.iter().chain(sharing) {
            if let Some(id) = asked.get(self.crowd.id(person).as_ref()) {
                found.insert(*id, None);
            }
        }
        found
    }

    /// Those of `numbers` that get an SMS. It looks at every delivery.
    #[must_use]
    pub fn numbers_among<'n>(&self, numbers: impl IntoIterator<Item = &'n str>) -> HashSet<String> {
        let asked: HashSet<&str> = numbers.into_iter().collect();
        let by_sms = self.crowd.reached.iter().filter(|person| person.channel() == Channel::Sms);
        let addresses = by_sms.map(|person| self.crowd.address(person));
        addresses.filter(|address| asked.contains(address.as_ref())).map(Cow::into_owned).collect()
    }

    fn planned(&self, at: usize) -> PlannedDelivery<'_> {
        let person = &self.crowd.reached[at];
        let persons = if person.is_shared() { self.sharing_with(person).len() } else { 1 };
        PlannedDelivery {
            position: self.position(at),
            channel: person.channel(),
            address: self.crowd.address(person),
            contact_person_id: Some(self.crowd.id(person)),
            area_code: Some(&self.areas[person.area as usize]),
            persons: i64::try_from(persons).unwrap_or(i64::MAX),
            households: i64::from(person.households),
            place: i64::from(person.place),
        }
    }

    fn members_of(&self, at: Option<usize>) -> impl Iterator<Item = PlannedRecipient<'_>> {
        let person = at.map(|at| &self.crowd.reached[at]);
        let (alone, sharing) = match person {
            Some(person) if person.is_shared() => (None, self.sharing_with(person)),
            other => (other, Default::default()),
        };
        let position = at.map(|at| self.position(at));
        let members = alone.into_iter().chain(sharing.iter().map(|(_, member)| member));
        members.map(move |member| self.recipient(member, position))
    }

    /// All who share the address of the one who stands for them.
    fn sharing_with(&self, person: &Person) -> &[(Id, Person)] {
        let first = self.sharing.partition_point(|(id, _)| *id < person.id);
        let members = self.sharing[first..].partition_point(|(id, _)| *id == person.id);
        &self.sharing[first..][..members]
    }

    fn recipient(&self, person: &Person, position: Option<i64>) -> PlannedRecipient<'_> {
        PlannedRecipient {
            contact_person_id: self.crowd.id(person),
            channel: person.channel(),
            position,
            area_code: &self.areas[person.area as usize],
            households: i64::from(person.households),
            not_reached: person.not_reached(),
        }
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
        for person in self.crowd.reached.iter_mut().chain(&mut self.crowd.not_reached) {
            person.area = renamed[person.area as usize];
        }
    }

    /// Lets one of those with the same address stand for all of them.
    fn group(&mut self) {
        let mut persons = std::mem::take(&mut self.crowd.reached);
        let crowd = &self.crowd;
        persons.sort_unstable_by(|a, b| crowd.by_address(a, b).then_with(|| crowd.by_id(a, b)));
        let (mut kept, mut at) = (0, 0);
        while let Some(first) = persons.get(at).copied() {
            let after = persons[at..].iter().take_while(|other| crowd.by_address(&first, other).is_eq()).count();
            persons[kept] = match &persons[at..at + after] {
                [alone] => *alone,
                same => {
                    self.sharing.extend(same.iter().map(|member| (first.id, *member)));
                    standing_for(crowd, first, same)
                }
            };
            (kept, at) = (kept + 1, at + after);
        }
        persons.truncate(kept);
        self.sharing.sort_by_key(|(id, _)| *id);
        let mut not_reached = std::mem::take(&mut self.crowd.not_reached);
        not_reached.sort_unstable_by(|a, b| self.crowd.by_id(a, b));
        (self.crowd.reached, self.crowd.not_reached) = (persons, not_reached);
    }

    /// Takes in those copies whose address has no delivery by e-mail yet.
    fn copy(&mut self, copies: &[&str]) {
        if copies.is_empty() {
            return;
        }
        let by_email = self.crowd.reached.iter().filter(|person| person.channel() == Channel::Email);
        let mut taken: BTreeSet<String> =
            by_email.map(|person| email_address::key(&self.crowd.address(person))).collect();
        for (at, address) in (1..).zip(copies) {
            if taken.insert(email_address::key(address)) {
                self.copies.push((2 * POSITIONS_PER_CHANNEL + at, (*address).to_owned()));
            }
        }
    }

    /// Ranks the deliveries of each area: most households first. Paper is printed, not handed over, and has no rank.
    fn rank(&mut self) {
        self.order(|person| key([person.channel() as u32, person.area, !person.households, 0]));
        let mut before: Option<(Channel, u32)> = None;
        let mut place = 0;
        for person in &mut self.crowd.reached {
            let lane = (person.channel(), person.area);
            place = if before == Some(lane) { place + 1 } else { 1 };
            before = Some(lane);
            person.place = if person.channel() == Channel::Paper { 0 } else { place };
        }
    }

    /// Puts the deliveries in order: by rank, those with most households first; paper by area, since it is sorted by hand.
    fn place(&mut self) {
        self.order(|person| {
            let (area, weight) = match person.channel() {
                Channel::Paper => (person.area, 0),
                Channel::Sms | Channel::Email => (0, !person.households),
            };
            key([person.channel() as u32, person.place, area, weight])
        });
        self.handed_over = self.crowd.reached.partition_point(|person| person.channel() != Channel::Paper);
    }

    /// Puts the deliveries in order of a key, and of ids where it is the same.
    fn order(&mut self, key: impl Fn(&Person) -> u128) {
        let mut persons = std::mem::take(&mut self.crowd.reached);
        persons.sort_unstable_by(|a, b| key(a).cmp(&key(b)).then_with(|| self.crowd.by_id(a, b)));
        self.crowd.reached = persons;
    }
}

/// What comes first weighs most, in one number: that is compared a million times twenty.
fn key([first, second, third, fourth]: [u32; 4]) -> u128 {
    u128::from(first) << 96 | u128::from(second) << 64 | u128::from(third) << 32 | u128::from(fourth)
}

/// The one of `same`, who share an address, that stands for them: `first` has the lowest id. Only e-mail addresses can be written
/// in several ways.
fn standing_for(crowd: &Crowd, first: Person, same: &[Person]) -> Person {
    let ways = same.iter().min_by(|a, b| crowd.address(a).cmp(&crowd.address(b)).then_with(|| crowd.by_id(a, b)));
    let mut one = first.sharing(ways.unwrap_or(&first));
    one.area = same.iter().map(|person| person.area).min().unwrap_or(first.area);
    one.households = same.iter().map(|person| person.households).fold(0, u32::saturating_add);
    one
}

#[cfg(test)]
mod tests;
