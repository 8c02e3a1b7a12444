//! Owns how the pages of the register write about contact persons: where they are, how they are reached, in which language.
//!
//! It reads nothing and decides nothing.

use super::administration::Choosable;
use crate::actions::contact_person::PersonView;
use crate::actions::register::TRAITS;
use crate::domain::area::AreaTree;
use crate::domain::language;
use crate::domain::operator::{Actor, Right};
use crate::domain::phone;
use crate::store::contact_person::ContactPerson;

/// The tabs of the register: which is open, and which there are for whom.
#[derive(Debug, Clone, Copy)]
pub struct Tabs {
    /// The open one.
    pub current: &'static str,
    /// Whether persons may be added and changed.
    pub may_change: bool,
    /// Whether the register may be imported and exported.
    pub may_move: bool,
    /// Whether mail that is not understood may be read.
    pub may_read_mail: bool,
    /// Whether protected identities may be seen.
    pub may_see_protected: bool,
}

impl Tabs {
    /// Those of the actor.
    #[must_use]
    pub fn of(actor: &Actor, tree: &AreaTree, current: &'static str) -> Self {
        let is_of_all = tree.root().is_some_and(|root| root.code == actor.area);
        Self {
            current,
            may_change: actor.role.may(Right::ChangeRegister),
            may_move: actor.role.may(Right::MoveRegister) && is_of_all,
            may_read_mail: actor.role.may(Right::ChangeRegister) && is_of_all,
            may_see_protected: actor.role.may(Right::Administer),
        }
    }
}

/// A contact person in a list.
#[derive(Debug)]
pub struct PersonRow {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Where.
    pub area: String,
    /// Numbers as people write them.
    pub numbers: Vec<String>,
    /// E-mail.
    pub email: String,
    /// Street, postcode and place in one line.
    pub address: String,
    /// Households.
    pub households: i64,
    /// Why somebody is to ring them, where that is so.
    pub why: &'static str,
    /// How they are reached, as pills: style and words.
    pub reach: Vec<(&'static str, &'static str)>,
}

impl PersonRow {
    /// A row at the time `now`.
    #[must_use]
    pub fn of(tree: &AreaTree, view: PersonView, now: i64) -> Self {
        let reach = reach(&view.person, now);
        let person = view.person;
        let numbers = [&person.mobile, &person.phone2].into_iter().flatten();
        Self {
            area: area_words(tree, &person.area_code),
            numbers: numbers.map(|number| phone::display(number)).collect(),
            email: person.email.clone().unwrap_or_default(),
            address: address_line(&person),
            households: person.households,
            why: why_ring(&person),
            reach,
            id: person.id,
            name: person.name,
        }
    }
}

/// Street, postcode and place in one line.
#[must_use]
pub fn address_line(person: &ContactPerson) -> String {
    let town = format!("{} {}", person.postcode, person.place);
    let street = person.address.replace('\n', ", ");
    let parts: Vec<&str> = [street.trim(), town.trim()].into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// How a person is reached at the time `now`: style and words.
#[must_use]
pub fn reach(person: &ContactPerson, now: i64) -> Vec<(&'static str, &'static str)> {
    let is_paused = person.paused_until_at.is_some_and(|until| until > now);
    let by_sms = person.mobile.is_some() && person.alerts == 1 && person.alerts_opt_out_at.is_none();
    let wants_letters = person.email.is_some() && person.letters == 1 && person.letters_opt_out_at.is_none();
    let by_email = wants_letters && !is_email_lost(person);
    let mut pills = Vec::new();
    if person.protected == 1 {
        pills.push(("warn", "skyddad"));
    }
    if is_paused {
        pills.push(("warn", "pausad"));
    } else {
        if by_sms {
            pills.push(("ok", "sms"));
        }
        if by_email {
            pills.push(("ok", "e-post"));
        }
        if !by_sms && !by_email {
            pills.push(("bad", "nås inte"));
        }
    }
    if by_sms && is_mobile_doubtful(person) {
        pills.push(("warn", "numret är tveksamt"));
    }
    if wants_letters && !by_email {
        pills.push(("bad", "e-posten fungerar inte"));
    }
    if person.alerts_opt_out_at.is_some() || person.letters_opt_out_at.is_some() {
        pills.push(("", "har sagt nej"));
    }
    pills
}

/// Whether letters come back from the person's e-mail address.
#[must_use]
pub fn is_email_lost(person: &ContactPerson) -> bool {
    person.email.is_some() && person.email == person.email_unusable
}

/// Whether alerts are known not to have arrived at the person's number.
#[must_use]
pub fn is_mobile_doubtful(person: &ContactPerson) -> bool {
    person.mobile.is_some() && person.mobile == person.mobile_doubtful
}

/// Why a person is rung.
fn why_ring(person: &ContactPerson) -> &'static str {
    match (is_email_lost(person), is_mobile_doubtful(person)) {
        (true, true) => "sms kommer inte fram, och brev kommer tillbaka från e-postadressen",
        (true, false) => "brev kommer tillbaka från e-postadressen",
        (false, true) => "sms kommer inte fram till numret",
        (false, false) => "varken mobil eller e-post",
    }
}

/// `Åre, Duved`, or the name alone where an area is no watch area.
#[must_use]
pub fn area_words(tree: &AreaTree, code: &str) -> String {
    match (tree.get(code), tree.municipality_of(code)) {
        (Some(area), Some(municipality)) if area.code != municipality.code => {
            format!("{}, {}", municipality.name, area.name)
        }
        (Some(area), _) => area.name.clone(),
        _ => code.to_owned(),
    }
}

/// What a language is called; its code when it is not known.
#[must_use]
pub fn language_name(code: &str) -> String {
    let names = language::CODES.iter().find(|(known, _)| *known == code).map(|(_, names)| *names);
    capitalised(names.and_then(|names| names.first()).copied().unwrap_or(code))
}

/// Every language to choose from, Swedish first.
#[must_use]
pub fn languages(chosen: &str) -> Vec<Choosable> {
    let choosable =
        |code: &str| Choosable { code: code.to_owned(), text: language_name(code), is_chosen: code == chosen };
    let mut all: Vec<Choosable> = language::CODES.iter().skip(1).map(|(code, _)| choosable(code)).collect();
    all.sort_by(|a, b| a.text.cmp(&b.text));
    all.insert(0, choosable(language::DEFAULT));
    all
}

/// What persons can be filtered by.
#[must_use]
pub fn traits(chosen: &str) -> Vec<Choosable> {
    let words = |code: &str| match code {
        "sms" => "Nås av sms",
        "email" => "Nås av e-post",
        "none" => "Nås varken av sms eller e-post",
        "unreachable" => "Saknar både mobil och e-post",
        "email_unusable" => "E-posten fungerar inte",
        "mobile_doubtful" => "Sms kommer inte fram",
        "alone" => "Ensamma i sitt område",
        "paused" => "Pausade",
        _ => "Har sagt nej till sms eller brev",
    };
    let choosable =
        |code: &&str| Choosable { code: (*code).to_owned(), text: words(code).to_owned(), is_chosen: *code == chosen };
    TRAITS.iter().map(choosable).collect()
}

/// The first letter large.
#[must_use]
pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
