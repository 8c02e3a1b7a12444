//! Owns the area tree: police area, local police areas, municipalities, watch areas, and the places in them.
//!
//! It does not know contact persons. Invariant: every area but the root has a parent in the tree.

use std::collections::{BTreeMap, BTreeSet};

/// What an area is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AreaKind {
    /// The whole police area.
    PoliceArea,
    /// A local police area within it.
    LocalPoliceArea,
    /// A municipality, by its four-digit code.
    Municipality,
    /// A watch area, the leaf that contact persons belong to.
    WatchArea,
    /// A group of staff that drills go to.
    DrillGroup,
}

impl AreaKind {
    /// The stable code, as stored and as the API shows it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::PoliceArea => "police_area",
            Self::LocalPoliceArea => "local_police_area",
            Self::Municipality => "municipality",
            Self::WatchArea => "watch_area",
            Self::DrillGroup => "drill_group",
        }
    }

    /// The kind with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::PoliceArea, Self::LocalPoliceArea, Self::Municipality, Self::WatchArea, Self::DrillGroup]
            .into_iter()
            .find(|kind| kind.code() == code)
    }

    /// Whether contact persons belong to areas of this kind.
    #[must_use]
    pub fn is_leaf(self) -> bool {
        matches!(self, Self::WatchArea | Self::DrillGroup)
    }
}

/// One area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Unique code: `jamtland`, `2380`, `2380-odensala-norra`.
    pub code: String,
    /// Name shown to people.
    pub name: String,
    /// What it is.
    pub kind: AreaKind,
    /// Code of the area above; `None` for the root.
    pub parent: Option<String>,
}

/// A named place and the municipality it lies in.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Name, such as `Järpen`.
    pub name: String,
    /// Four-digit code of the municipality.
    pub municipality: String,
}

/// What is wrong with a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Two areas have one code.
    #[error("area code {0} stands twice")]
    Duplicate(String),
    /// An area names a parent that does not exist.
    #[error("area {code} has the parent {parent}, which does not exist")]
    NoParent {
        /// The area.
        code: String,
        /// Its missing parent.
        parent: String,
    },
    /// There must be exactly one area without a parent.
    #[error("there must be exactly one area without a parent, the police area; found {0}")]
    Roots(usize),
}

/// All areas, by code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AreaTree {
    areas: BTreeMap<String, Area>,
    children: BTreeMap<String, BTreeSet<String>>,
}

impl AreaTree {
    /// Builds a tree.
    ///
    /// # Errors
    /// [`TreeError`] when a code stands twice, a parent is missing or there is not exactly one root.
    pub fn new(areas: impl IntoIterator<Item = Area>) -> Result<Self, TreeError> {
        let mut tree = Self::default();
        for area in areas {
            if let Some(parent) = &area.parent {
                tree.children.entry(parent.clone()).or_default().insert(area.code.clone());
            }
            let code = area.code.clone();
            if tree.areas.insert(code.clone(), area).is_some() {
                return Err(TreeError::Duplicate(code));
            }
        }
        for area in tree.areas.values() {
            if let Some(parent) = area.parent.as_ref().filter(|parent| !tree.areas.contains_key(*parent)) {
                return Err(TreeError::NoParent { code: area.code.clone(), parent: parent.clone() });
            }
        }
        let roots = tree.areas.values().filter(|area| area.parent.is_none()).count();
        if roots == 1 { Ok(tree) } else { Err(TreeError::Roots(roots)) }
    }

    /// The area with this code.
    #[must_use]
    pub fn get(&self, code: &str) -> Option<&Area> {
        self.areas.get(code)
    }

    /// The whole police area.
    #[must_use]
    pub fn root(&self) -> Option<&Area> {
        self.areas.values().find(|area| area.parent.is_none())
    }

    /// All areas in order of code.
    pub fn iter(&self) -> impl Iterator<Item = &Area> {
        self.areas.values()
    }

    /// The areas directly below `code`, in order of code.
    pub fn children(&self, code: &str) -> impl Iterator<Item = &Area> {
        self.children.get(code).into_iter().flatten().filter_map(|child| self.areas.get(child))
    }

    /// Whether `code` is `above` or lies below it.
    #[must_use]
    pub fn is_within(&self, code: &str, above: &str) -> bool {
        let mut at = self.areas.get(code);
        while let Some(area) = at {
            if area.code == above {
                return true;
            }
            at = area.parent.as_deref().and_then(|parent| self.areas.get(parent));
        }
        false
    }

    /// `codes` and all areas below them, each once. A drill group is in it only when it is named itself: what goes to
    /// an area goes to its contact persons, not to staff.
    #[must_use]
    pub fn subtree<'a>(&self, codes: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut stack: Vec<&str> = codes.into_iter().collect();
        while let Some(code) = stack.pop() {
            let Some(area) = self.areas.get(code) else { continue };
            if found.insert(area.code.clone()) {
                let below = self.children(code).filter(|child| child.kind != AreaKind::DrillGroup);
                stack.extend(below.map(|child| child.code.as_str()));
            }
        }
        found
    }

    /// The municipality `code` is or lies in.
    #[must_use]
    pub fn municipality_of(&self, code: &str) -> Option<&Area> {
        let mut at = self.areas.get(code);
        while let Some(area) = at {
            if area.kind == AreaKind::Municipality {
                return Some(area);
            }
            at = area.parent.as_deref().and_then(|parent| self.areas.get(parent));
        }
        None
    }
}

/// The code of a watch area: the municipality's code and the name in a-z, 0-9 and hyphens.
#[must_use]
pub fn watch_area_code(municipality: &str, name: &str) -> String {
    format!("{municipality}-{}", slug(name))
}

/// `name` in a-z, 0-9 and single hyphens; å and ä become a, ö becomes o.
#[must_use]
pub fn slug(name: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    let mut slug = String::new();
    for c in name.nfd().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            'ø' => slug.push('o'),
            'æ' => slug.push_str("ae"),
            '\u{300}'..='\u{36f}' => {}
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(code: &str, kind: AreaKind, parent: Option<&str>) -> Area {
        Area { code: code.into(), name: code.into(), kind, parent: parent.map(Into::into) }
    }

    fn tree() -> AreaTree {
        AreaTree::new([
            area("j", AreaKind::PoliceArea, None),
            area("2380", AreaKind::Municipality, Some("j")),
            area("2321", AreaKind::Municipality, Some("j")),
            area("2380-a", AreaKind::WatchArea, Some("2380")),
            area("2380-b", AreaKind::WatchArea, Some("2380")),
        ])
        .expect("a valid tree")
    }

    #[test]
    fn overlapping_areas_are_counted_once() {
        assert_eq!(tree().subtree(["j", "2380", "2380-a"]).len(), 5);
        assert_eq!(tree().subtree(["2321"]).len(), 1);
        assert!(tree().subtree(["9999"]).is_empty());
    }

    #[test]
    fn a_drill_group_gets_only_what_names_it() {
        let mut areas: Vec<Area> = tree().iter().cloned().collect();
        areas.push(area("staff", AreaKind::DrillGroup, Some("j")));
        let tree = AreaTree::new(areas).unwrap();
        assert!(!tree.subtree(["j"]).contains("staff"));
        assert!(tree.subtree(["staff"]).contains("staff"));
    }

    #[test]
    fn an_area_lies_within_itself_and_what_is_above() {
        assert!(tree().is_within("2380-a", "j"));
        assert!(tree().is_within("2380", "2380"));
        assert!(!tree().is_within("2380-a", "2321"));
    }

    #[test]
    fn a_parent_that_does_not_exist_is_refused() {
        let lost = AreaTree::new([area("j", AreaKind::PoliceArea, None), area("x", AreaKind::WatchArea, Some("y"))]);
        assert_eq!(lost, Err(TreeError::NoParent { code: "x".into(), parent: "y".into() }));
    }

    #[test]
    fn watch_area_codes_are_plain_letters() {
        assert_eq!(watch_area_code("2380", "Frösön Öneberget"), "2380-froson-oneberget");
        assert_eq!(watch_area_code("2380", "Lugnvik Östra (ny)"), "2380-lugnvik-ostra-ny");
    }
}
