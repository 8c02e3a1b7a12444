use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
struct Known {
    id: String,
    area: String,
    households: i64,
    channel: Channel,
    address: Result<String, NotReached>,
}

fn known(id: &str, area: &str, households: i64, address: &str) -> Known {
    let address = if address.is_empty() { Err(NotReached::NoMobile) } else { Ok(address.to_owned()) };
    Known { id: id.to_owned(), area: area.to_owned(), households, channel: Channel::Sms, address }
}

fn covered(people: &[Known], copies: &[&str]) -> Coverage {
    Coverage::of(crowd(people), copies)
}

fn crowd(people: &[Known]) -> Crowd {
    let mut crowd = Crowd::default();
    for person in people {
        crowd.push(&Candidate {
            contact_person_id: &person.id,
            area_code: &person.area,
            households: person.households,
            channel: person.channel,
            address: person.address.as_deref().map_err(|reason| *reason),
        });
    }
    crowd
}

fn addresses(coverage: &Coverage) -> Vec<String> {
    coverage.deliveries().map(|delivery| delivery.address.into_owned()).collect()
}

#[test]
fn one_of_each_area_goes_first_and_most_households_before_others() {
    let people = [
        known("a", "vik", 3, "+461"),
        known("b", "vik", 9, "+462"),
        known("c", "vik", 1, "+463"),
        known("d", "ås", 2, "+464"),
        known("e", "ås", 5, "+465"),
        known("f", "ås", 7, ""),
    ];
    let coverage = covered(&people, &[]);
    assert_eq!(addresses(&coverage), ["+462", "+465", "+461", "+464", "+463"]);
    assert_eq!(coverage.deliveries().map(|delivery| delivery.place).collect::<Vec<_>>(), [1, 1, 2, 2, 3]);
    assert_eq!(coverage.deliveries().map(|delivery| delivery.position).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let missed: Vec<_> = coverage.recipients().filter(|recipient| recipient.position.is_none()).collect();
    assert_eq!(
        (missed.len(), missed[0].contact_person_id.as_ref(), missed[0].not_reached),
        (1, "f", Some(NotReached::NoMobile))
    );
}

#[test]
fn two_persons_with_one_number_get_one_delivery_that_counts_for_both() {
    let people = [known("b", "ås", 2, "+461"), known("a", "vik", 3, "+461"), known("c", "vik", 4, "+462")];
    let coverage = covered(&people, &[]);
    let first = coverage.deliveries().next().unwrap();
    assert_eq!(
        (first.contact_person_id.as_deref(), first.area_code, first.persons, first.households),
        (Some("a"), Some("vik"), 2, 5)
    );
    assert_eq!(
        coverage.recipients().map(|recipient| recipient.position).collect::<Vec<_>>(),
        [Some(1), Some(1), Some(2)]
    );
}

#[test]
fn a_letter_goes_by_email_without_regard_to_case_then_on_paper_and_to_copies_that_have_none_yet() {
    let by = |id: &str, channel: Channel, address: &str| Known { channel, ..known(id, "vik", 1, address) };
    let people = [
        by("a", Channel::Email, "Anna@example.org"),
        by("b", Channel::Paper, "B\nVägen 1\n830 05 Järpen"),
        by("c", Channel::Email, "anna@EXAMPLE.org"),
        Known { address: Err(NotReached::OptedOut), ..by("d", Channel::Email, "") },
    ];
    let coverage = covered(&people, &["ANNA@example.org", "chef@example.org", "Chef@example.org"]);
    let deliveries: Vec<_> =
        coverage.deliveries().map(|d| (d.position, d.channel, d.address.into_owned(), d.persons)).collect();
    assert_eq!(
        deliveries,
        [
            (1, Channel::Email, "Anna@example.org".to_owned(), 2),
            (4_000_001, Channel::Paper, "B\nVägen 1\n830 05 Järpen".to_owned(), 1),
            (8_000_002, Channel::Email, "chef@example.org".to_owned(), 0),
        ]
    );
    let audience = crowd(&people).letter_audience();
    assert_eq!((audience.contact_persons, audience.by_email, audience.on_paper, audience.not_reached), (4, 2, 1, 1));
}

/// The rules of the contract written down once more, slowly and without any of the tricks.
fn by_the_book(people: &[Known]) -> Vec<(String, String, i64, i64)> {
    let mut by_address: BTreeMap<&str, Vec<&Known>> = BTreeMap::new();
    for person in people {
        if let Ok(address) = &person.address {
            by_address.entry(address).or_default().push(person);
        }
    }
    let mut left: Vec<(String, String, String, i64)> = by_address
        .into_iter()
        .map(|(address, members)| {
            let id = members.iter().map(|member| member.id.clone()).min().unwrap();
            let area = members.iter().map(|member| member.area.clone()).min().unwrap();
            (address.to_owned(), id, area, members.iter().map(|member| member.households).sum())
        })
        .collect();
    left.sort_by(|a, b| b.3.cmp(&a.3).then_with(|| a.1.cmp(&b.1)));
    let mut ordered = Vec::new();
    for place in 1.. {
        let mut round = BTreeSet::new();
        let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|row| round.insert(row.2.clone()));
        if now.is_empty() {
            return ordered;
        }
        ordered.extend(now.into_iter().map(|(address, id, _, households)| (address, id, households, place)));
        left = later;
    }
    ordered
}

fn anybody() -> impl Strategy<Value = Vec<Known>> {
    let one = (0..6_usize, 0..5_i64, proptest::option::weighted(0.9, 0..30_u32));
    proptest::collection::vec(one, 0..60).prop_map(|rows| {
        let person = |(at, (area, households, number)): (usize, (usize, i64, Option<u32>))| {
            // Ids out of the order they come in.
            let id = format!("{:02}", (at * 37) % 61);
            known(&id, &format!("area-{area}"), households, &number.map(|n| format!("+46{n}")).unwrap_or_default())
        };
        rows.into_iter().enumerate().map(person).collect()
    })
}

proptest! {
    #[test]
    fn the_order_is_that_of_the_contract_and_everybody_is_covered_once(people in anybody()) {
        let coverage = covered(&people, &[]);
        let found: Vec<_> = coverage
            .deliveries()
            .map(|d| (d.address.into_owned(), d.contact_person_id.unwrap().into_owned(), d.households, d.place))
            .collect();
        prop_assert_eq!(&found, &by_the_book(&people));
        let positions: Vec<i64> = coverage.deliveries().map(|delivery| delivery.position).collect();
        prop_assert_eq!(positions, (1..).take(coverage.len()).collect::<Vec<i64>>());
        for recipient in coverage.recipients() {
            let person = people.iter().find(|person| person.id == recipient.contact_person_id).unwrap();
            let covering = recipient.position.map(|position| found[usize::try_from(position).unwrap() - 1].0.clone());
            prop_assert_eq!(covering, person.address.clone().ok());
        }
        prop_assert_eq!(coverage.persons(), people.len());
        prop_assert_eq!(coverage.recipients().count(), people.len());
        let asked = people.iter().map(|person| person.id.as_str()).chain(["nobody"]);
        let standing = coverage.find(asked);
        let known = |person: &Known| (person.id.clone(), person.address.as_ref().err().copied());
        let standing: BTreeMap<_, _> = standing.into_iter().map(|(id, reason)| (id.to_owned(), reason)).collect();
        prop_assert_eq!(standing, people.iter().map(known).collect::<BTreeMap<_, _>>());
        let audience = crowd(&people).alert_audience();
        let covered: i64 = coverage.deliveries().map(|delivery| delivery.persons).sum();
        prop_assert_eq!((audience.by_sms, audience.contact_persons), (covered, i64::try_from(people.len()).unwrap()));
    }
}
