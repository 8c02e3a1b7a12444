//! Owns the areas to choose from on a page: one set of checkboxes, as a list and as a map; and areas in running text.
//!
//! Invariant: only areas that the actor may send to stand here, with the figures they would be counted with.

use std::collections::BTreeMap;

use super::alert_map::{Outline, drawing};
use super::time::number;
use crate::domain::area::{AreaKind, AreaTree};
use crate::domain::audience::Population;
use crate::domain::operator::{Actor, Right};

/// An area with a checkbox.
#[derive(Debug, Clone)]
pub struct AreaChoice {
    /// What is sent.
    pub code: String,
    /// What it is called.
    pub name: String,
    /// Contact persons by SMS and households, in words.
    pub figures: String,
    /// Whether it is chosen.
    pub is_chosen: bool,
    /// What lies below it.
    pub parts: Vec<AreaChoice>,
    /// How many of those are chosen.
    pub chosen_parts: usize,
}

/// A municipality on the map.
#[derive(Debug)]
pub struct MapArea {
    /// How it is drawn.
    pub outline: &'static Outline,
    /// What it is called.
    pub name: String,
    /// `all`, `part` or empty.
    pub chosen: &'static str,
}

/// Everything to choose from.
#[derive(Debug, Default)]
pub struct AreaChoices {
    /// The whole of what the actor may send to, when that is more than one municipality.
    pub whole: Option<AreaChoice>,
    /// Municipalities, or the groups that drills go to.
    pub areas: Vec<AreaChoice>,
    /// The map.
    pub map: Vec<MapArea>,
    /// Width and height of the map.
    pub map_size: (String, String),
    /// Watch areas in all.
    pub watch_areas: usize,
}

/// Whom the figures beside an area count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Those who get an SMS.
    BySms,
    /// Every contact person.
    Persons,
}

/// What is chosen, and whether it is a drill.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// Codes.
    pub codes: &'a [String],
    /// Whether it is a drill.
    pub is_drill: bool,
    /// Whom the figures count.
    pub counted: Counted,
}

/// What the actor may choose from.
#[must_use]
pub fn choices(
    tree: &AreaTree,
    populations: &BTreeMap<String, Population>,
    actor: &Actor,
    chosen: Chosen<'_>,
) -> AreaChoices {
    let below = |kind: AreaKind| tree.iter().filter(move |area| area.kind == kind);
    let mine = |code: &str| tree.is_within(code, &actor.area);
    let choice = |code: &str| choice(tree, populations, code, chosen);
    let groups = below(AreaKind::DrillGroup).filter(|area| mine(&area.code));
    let groups: Vec<AreaChoice> = groups.filter_map(|area| choice(&area.code)).collect();
    if chosen.is_drill && !actor.role.may(Right::Administer) {
        return AreaChoices { areas: groups, ..AreaChoices::default() };
    }
    let municipalities = below(AreaKind::Municipality).filter(|area| mine(&area.code));
    let mut areas: Vec<AreaChoice> = municipalities.filter_map(|area| choice(&area.code)).collect();
    areas.sort_by_key(|area| sorted(&area.name));
    let whole = choice(&actor.area).filter(|_| areas.len() > 1);
    if areas.is_empty() {
        areas.extend(choice(&actor.area));
    }
    let is_all = |code: &String| chosen.codes.contains(code);
    let covers = whole.as_ref().is_some_and(|whole| is_all(&whole.code));
    let state = |code: &str| match areas.iter().find(|area| area.code == code) {
        Some(area) if area.is_chosen || covers => "all",
        Some(area) if area.chosen_parts > 0 => "part",
        _ => "",
    };
    let outlines = drawing().outlines.iter().filter(|outline| areas.iter().any(|area| area.code == outline.code));
    let map: Vec<MapArea> = outlines
        .map(|outline| MapArea {
            outline,
            name: tree.get(&outline.code).map_or_else(String::new, |area| area.name.clone()),
            chosen: state(&outline.code),
        })
        .collect();
    let watch_areas = areas.iter().map(|area| area.parts.len()).sum();
    if chosen.is_drill {
        areas.splice(0..0, groups);
    }
    AreaChoices {
        whole,
        map: if map.len() > 1 { map } else { Vec::new() },
        map_size: drawing().size.clone(),
        areas,
        watch_areas,
    }
}

fn choice(
    tree: &AreaTree,
    populations: &BTreeMap<String, Population>,
    code: &str,
    chosen: Chosen<'_>,
) -> Option<AreaChoice> {
    let area = tree.get(code)?;
    let (mut by_sms, mut persons, mut households) = (0, 0, 0);
    for one in tree.subtree([code]) {
        if let Some(population) = populations.get(&one) {
            by_sms += population.by_sms;
            persons += population.contact_persons;
            households += population.households;
        }
    }
    let mut parts: Vec<AreaChoice> = match area.kind {
        AreaKind::Municipality => tree
            .children(code)
            .filter(|child| child.kind == AreaKind::WatchArea)
            .filter_map(|child| choice(tree, populations, &child.code, chosen))
            .collect(),
        _ => Vec::new(),
    };
    parts.sort_by_key(|part| sorted(&part.name));
    Some(AreaChoice {
        code: code.to_owned(),
        name: area.name.clone(),
        figures: match chosen.counted {
            Counted::BySms => format!("{} får sms · {} hushåll", number(by_sms), number(households)),
            Counted::Persons => format!("{} kontaktombud · {} hushåll", number(persons), number(households)),
        },
        is_chosen: chosen.codes.iter().any(|one| one == code),
        chosen_parts: parts.iter().filter(|part| part.is_chosen).count(),
        parts,
    })
}

/// What names are sorted by: å, ä and ö last, as in Swedish.
#[must_use]
pub fn sorted(name: &str) -> String {
    let place = |c: char| match c {
        'å' => "{a".to_owned(),
        'ä' => "{b".to_owned(),
        'ö' => "{c".to_owned(),
        c => c.to_string(),
    };
    name.to_lowercase().chars().map(place).collect()
}

/// Areas in running text: `Åre och Krokom`, `Åre, Krokom och 3 områden till`, `hela Jämtland`. What lies within another
/// of them is not named.
#[must_use]
pub fn in_words(tree: &AreaTree, codes: &[String]) -> String {
    if let Some(root) = tree.root().filter(|root| codes.contains(&root.code)) {
        return format!("hela {}", root.name);
    }
    let covered = |code: &String| codes.iter().any(|other| other != code && tree.is_within(code, other));
    let mut areas: Vec<_> = codes.iter().filter(|code| !covered(code)).filter_map(|code| tree.get(code)).collect();
    areas.sort_by_key(|area| (area.kind, sorted(&area.name)));
    let names: Vec<&str> = areas.iter().map(|area| area.name.as_str()).collect();
    match names.as_slice() {
        [] => "inget område".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] if names.len() <= 4 => format!("{} och {last}", first.join(", ")),
        many => format!("{} och {} områden till", many[..3].join(", "), many.len() - 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::area::Area;

    #[test]
    fn areas_are_named_as_people_say_them() {
        let area = |code: &str, name: &str, kind, parent: Option<&str>| Area {
            code: code.into(),
            name: name.into(),
            kind,
            parent: parent.map(Into::into),
        };
        let mut areas = vec![area("j", "Jämtland", AreaKind::PoliceArea, None)];
        for (code, name) in [("1", "Åre"), ("2", "Krokom"), ("3", "Berg"), ("4", "Östersund"), ("5", "Bräcke")] {
            areas.push(area(code, name, AreaKind::Municipality, Some("j")));
        }
        areas.push(area("1-a", "Duved", AreaKind::WatchArea, Some("1")));
        let tree = AreaTree::new(areas).unwrap();
        for (codes, words) in [
            ("", "inget område"),
            ("1", "Åre"),
            ("1 2", "Krokom och Åre"),
            ("1 1-a", "Åre"),
            ("2 1-a", "Krokom och Duved"),
            ("1 2 3 4", "Berg, Krokom, Åre och Östersund"),
            ("1 2 3 4 5", "Berg, Bräcke, Krokom och 2 områden till"),
            ("j 1", "hela Jämtland"),
        ] {
            let codes: Vec<String> = codes.split_whitespace().map(str::to_owned).collect();
            assert_eq!(in_words(&tree, &codes), words);
        }
    }
}
