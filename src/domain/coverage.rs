//! Owns who is covered by which delivery, and which delivery is handed over first.
//!
//! It knows neither texts nor the database. Invariants: each address of a channel gets one delivery, each person is covered
//! by one or has a reason why not; the order depends on nothing but the people themselves.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::audience::{AlertAudience, LetterAudience};
use super::delivery::Channel;
use super::email_address;

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

/// Everybody in the areas of a message. A million of them take some 80 MB: texts lie in one buffer, areas stand once.
#[derive(Debug, Default)]
pub struct Crowd {
    /// Texts, each ended by NUL, which no text holds.
    texts: String,
    areas: BTreeMap<String, u32>,
    persons: Vec<Person>,
}

#[derive(Debug)]
struct Person {
    id: u32,
    address: u32,
    area: u32,
    /// The delivery that covers the person, as an index.
    delivery: u32,
    households: i64,
    channel: Channel,
    not_reached: Option<NotReached>,
}

impl Crowd {
    /// Adds a person. Only the first 4 GiB of texts are taken in; a register is far smaller.
    pub fn push(&mut self, candidate: &Candidate<'_>) {
        let next = u32::try_from(self.areas.len()).unwrap_or(NONE);
        let area = match self.areas.get(candidate.area_code) {
            Some(area) => *area,
            None => *self.areas.entry(candidate.area_code.to_owned()).or_insert(next),
        };
        // Grown by an eighth: doubled, a large crowd would take almost twice its size.
        if self.persons.len() == self.persons.capacity() {
            self.persons.reserve_exact(self.persons.len() / 8 + 1_024);
        }
        let id = self.keep(candidate.contact_person_id);
        let address = candidate.address.map_or(id, |address| self.keep(address));
        self.persons.push(Person {
            id,
            address,
            area,
            delivery: NONE,
            households: candidate.households,
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

    /// Orders persons by channel and address; equal are those that one delivery covers.
    fn by_address(&self, a: &Person, b: &Person) -> Ordering {
        let folded = |at: u32| self.text(at).chars().flat_map(char::to_lowercase);
        (a.channel as u8).cmp(&(b.channel as u8)).then_with(|| match a.channel {
            Channel::Email => folded(a.address).cmp(folded(b.address)),
            Channel::Sms | Channel::Paper => self.text(a.address).cmp(self.text(b.address)),
        })
    }

    /// The figures of an alert to this crowd.
    #[must_use]
    pub fn alert_audience(&self) -> AlertAudience {
        let mut audience = AlertAudience::default();
        for person in &self.persons {
            audience.contact_persons += 1;
            audience.households += person.households;
            if person.not_reached.is_none() {
                audience.by_sms += 1;
                audience.households_by_sms += person.households;
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
            audience.households += person.households;
            match (person.not_reached, person.channel) {
                (Some(_), _) => audience.not_reached += 1,
                (None, Channel::Paper) => audience.on_paper += 1,
                (None, _) => audience.by_email += 1,
            }
        }
        audience
    }
}

/// A delivery to be frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedDelivery<'a> {
    /// Its position within its message, in the order of hand-over.
    pub position: i64,
    /// How it goes.
    pub channel: Channel,
    /// Where.
    pub address: &'a str,
    /// The first of those it covers; `None` for a copy or test.
    pub contact_person_id: Option<&'a str>,
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
    pub contact_person_id: &'a str,
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
    crowd: Crowd,
    /// Area codes by number.
    areas: Vec<String>,
    deliveries: Vec<Group>,
    /// Persons in order of id.
    recipients: Vec<u32>,
    /// Addresses of copies with their positions.
    copies: Vec<(u32, String)>,
}

/// Persons with one address.
#[derive(Debug)]
struct Group {
    /// Within its message.
    position: u32,
    leader: u32,
    address: u32,
    area: u32,
    persons: u32,
    place: u32,
    households: i64,
}

impl Coverage {
    /// Covers a crowd, and sends copies to `copies` unless their address has one already.
    #[must_use]
    pub fn of(crowd: Crowd, copies: &[&str]) -> Self {
        let mut areas = vec![String::new(); crowd.areas.len()];
        for (code, at) in &crowd.areas {
            areas[*at as usize].clone_from(code);
        }
        let mut coverage = Self { crowd, areas, ..Self::default() };
        coverage.group();
        coverage.copy(copies);
        coverage.rank();
        coverage.place();
        coverage.assign();
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
        self.recipients.len()
    }

    /// The deliveries, by channel and position; copies last.
    pub fn deliveries(&self) -> impl Iterator<Item = PlannedDelivery<'_>> {
        let to_persons = self.deliveries.iter().map(|group| {
            let leader = &self.crowd.persons[group.leader as usize];
            PlannedDelivery {
                position: i64::from(group.position),
                channel: leader.channel,
                address: self.crowd.text(group.address),
                contact_person_id: Some(self.crowd.text(leader.id)),
                area_code: Some(&self.areas[group.area as usize]),
                persons: i64::from(group.persons),
                households: group.households,
                place: i64::from(group.place),
            }
        });
        to_persons.chain(self.copies.iter().map(|(position, address)| PlannedDelivery {
            position: i64::from(*position),
            channel: Channel::Email,
            address,
            contact_person_id: None,
            area_code: None,
            persons: 0,
            households: 0,
            place: PLACE_OF_COPIES,
        }))
    }

    /// The persons, in order of id.
    pub fn recipients(&self) -> impl Iterator<Item = PlannedRecipient<'_>> {
        self.recipients.iter().map(|at| {
            let person = &self.crowd.persons[*at as usize];
            PlannedRecipient {
                contact_person_id: self.crowd.text(person.id),
                channel: person.channel,
                position: self.deliveries.get(person.delivery as usize).map(|group| i64::from(group.position)),
                area_code: &self.areas[person.area as usize],
                households: person.households,
                not_reached: person.not_reached,
            }
        })
    }

    /// Puts persons with one address together.
    fn group(&mut self) {
        let crowd = &self.crowd;
        let person = |at: u32| &crowd.persons[at as usize];
        self.recipients = (0..u32::try_from(crowd.persons.len()).unwrap_or(NONE)).collect();
        self.recipients.sort_unstable_by(|a, b| crowd.text(person(*a).id).cmp(crowd.text(person(*b).id)));
        let mut reached: Vec<u32> =
            self.recipients.iter().copied().filter(|at| person(*at).not_reached.is_none()).collect();
        // Stable: the first person of a group is the one with the lowest id.
        reached.sort_by(|a, b| crowd.by_address(person(*a), person(*b)));
        let groups = || reached.chunk_by(|a, b| crowd.by_address(person(*a), person(*b)).is_eq());
        self.deliveries.reserve_exact(groups().count());
        for same in groups() {
            let members = || same.iter().map(|at| person(*at));
            let address = members().map(|member| member.address).min_by_key(|at| crowd.text(*at));
            let area = members().map(|member| member.area).min_by_key(|area| &self.areas[*area as usize]);
            self.deliveries.push(Group {
                leader: same[0],
                address: address.unwrap_or_default(),
                area: area.unwrap_or_default(),
                persons: u32::try_from(same.len()).unwrap_or(NONE),
                households: members().map(|member| member.households).sum(),
                position: 0,
                place: 0,
            });
        }
        let mut members = reached.into_iter();
        for (at, group) in (0..).zip(&self.deliveries) {
            for member in members.by_ref().take(group.persons as usize) {
                self.crowd.persons[member as usize].delivery = at;
            }
        }
    }

    /// Takes in those copies whose address has no delivery by e-mail yet.
    fn copy(&mut self, copies: &[&str]) {
        if copies.is_empty() {
            return;
        }
        let by_email = self.deliveries.iter().filter(|group| self.channel(group) == Channel::Email);
        let mut taken: BTreeSet<String> =
            by_email.map(|group| email_address::key(self.crowd.text(group.address))).collect();
        for (at, address) in (1..).zip(copies) {
            if taken.insert(email_address::key(address)) {
                self.copies.push((2 * POSITIONS_PER_CHANNEL + at, (*address).to_owned()));
            }
        }
    }

    /// Ranks the deliveries of each area: most households first. Paper is printed, not handed over, and has no rank.
    fn rank(&mut self) {
        let mut order = self.order();
        order.sort_unstable_by(|a, b| {
            let (a, b) = (&self.deliveries[*a as usize], &self.deliveries[*b as usize]);
            (self.lane(a), self.area(a)).cmp(&(self.lane(b), self.area(b))).then_with(|| self.weight(a, b))
        });
        let mut before: Option<(Channel, u32)> = None;
        let mut place = 0;
        for at in order {
            let channel = self.channel(&self.deliveries[at as usize]);
            let group = &mut self.deliveries[at as usize];
            place = if before == Some((channel, group.area)) { place + 1 } else { 1 };
            before = Some((channel, group.area));
            group.place = if channel == Channel::Paper { 0 } else { place };
        }
    }

    /// Gives each delivery its position, and puts them in that order.
    fn place(&mut self) {
        let mut order = self.order();
        order.sort_unstable_by(|a, b| {
            let (a, b) = (&self.deliveries[*a as usize], &self.deliveries[*b as usize]);
            let by_lane = (self.lane(a), a.place).cmp(&(self.lane(b), b.place));
            by_lane.then_with(|| match self.channel(a) {
                Channel::Paper => (self.area(a), self.id(a)).cmp(&(self.area(b), self.id(b))),
                Channel::Sms | Channel::Email => self.weight(a, b),
            })
        });
        let mut next = [1, 1, 1 + POSITIONS_PER_CHANNEL];
        for at in order {
            let lane = usize::from(self.lane(&self.deliveries[at as usize]));
            self.deliveries[at as usize].position = next[lane];
            next[lane] += 1;
        }
    }

    /// Puts the deliveries in order of position, and lets their persons know.
    fn assign(&mut self) {
        let mut order = self.order();
        order.sort_unstable_by_key(|at| self.deliveries[*at as usize].position);
        let mut moved = vec![NONE; order.len()];
        for (to, from) in (0..).zip(&order) {
            moved[*from as usize] = to;
        }
        for person in &mut self.crowd.persons {
            person.delivery = moved.get(person.delivery as usize).copied().unwrap_or(NONE);
        }
        self.deliveries.sort_unstable_by_key(|group| group.position);
    }

    fn order(&self) -> Vec<u32> {
        (0..u32::try_from(self.deliveries.len()).unwrap_or(NONE)).collect()
    }

    fn channel(&self, group: &Group) -> Channel {
        self.crowd.persons[group.leader as usize].channel
    }

    fn lane(&self, group: &Group) -> u8 {
        self.channel(group) as u8
    }

    fn area(&self, group: &Group) -> &str {
        &self.areas[group.area as usize]
    }

    fn id(&self, group: &Group) -> &str {
        self.crowd.text(self.crowd.persons[group.leader as usize].id)
    }

    /// Most households first, then the lower id.
    fn weight(&self, a: &Group, b: &Group) -> Ordering {
        b.households.cmp(&a.households).then_with(|| self.id(a).cmp(self.id(b)))
    }
}

#[cfg(test)]
mod tests;
