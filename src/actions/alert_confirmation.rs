//! Owns how much a person must do before an alert goes: the more it reaches, the more.
//!
//! It is asked of people in front of a page, not of keys: a program would type anything. Invariant: what must be typed is
//! wrong when the areas are wrong, and never stands ready to be copied as a number would.

use super::alert::{self, NewAlert};
use super::alert_view::AlertView;
use super::{ActionError, Desk, Result};
use crate::domain::area::{AreaKind, AreaTree};
use crate::domain::operator::Actor;
use crate::store::{self, Session};

/// More recipients than this ask for a name.
const RECIPIENTS: i64 = 300;
/// More municipalities than this ask for a name.
const MUNICIPALITIES: usize = 2;

/// What must be typed before an alert goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: one button.
    None,
    /// The name of any of these municipalities.
    Municipality(Vec<String>),
    /// These words: it goes to the whole area.
    Whole(String),
}

impl Proof {
    /// Whether `typed` is it, in whatever case.
    #[must_use]
    pub fn is_given_by(&self, typed: &str) -> bool {
        let same = |name: &String| name.to_lowercase() == typed.trim().to_lowercase();
        match self {
            Self::None => true,
            Self::Municipality(names) => names.iter().any(same),
            Self::Whole(words) => same(words),
        }
    }

    /// What to write, in Swedish.
    #[must_use]
    pub fn asks(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Municipality(_) => "Skriv namnet på en kommun som får sms".to_owned(),
            Self::Whole(words) => format!("Skriv {words} för att bekräfta"),
        }
    }
}

/// What must be typed before an alert goes to `areas` and so many recipients.
#[must_use]
pub fn proof(tree: &AreaTree, areas: &[String], recipients: i64) -> Proof {
    if let Some(root) = tree.root().filter(|root| areas.contains(&root.code)) {
        return Proof::Whole(format!("HELA {}", root.name.to_uppercase()));
    }
    let mut codes: Vec<&str> = Vec::new();
    for code in areas {
        match tree.municipality_of(code) {
            Some(municipality) => codes.push(&municipality.code),
            None => codes.extend(
                tree.iter()
                    .filter(|one| one.kind == AreaKind::Municipality && tree.is_within(&one.code, code))
                    .map(|one| one.code.as_str()),
            ),
        }
    }
    codes.sort_unstable();
    codes.dedup();
    if recipients <= RECIPIENTS && codes.len() <= MUNICIPALITIES {
        return Proof::None;
    }
    Proof::Municipality(codes.iter().filter_map(|code| tree.get(code)).map(|one| one.name.clone()).collect())
}

/// Makes an alert that a person has confirmed by what they typed, or a new revision of the one it `revises`.
///
/// # Errors
/// [`ActionError::Invalid`] on `proof` when something else was typed; otherwise as [`alert::create`].
pub async fn create(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (revises, new, typed): (Option<&str>, &NewAlert, &str),
) -> Result<AlertView> {
    let made = match revises {
        Some(id) => alert::revise(desk, session, actor, id, new).await?,
        None => alert::create(desk, session, actor, new).await?,
    };
    let tree = store::area::tree(session).await?;
    let proof = proof(&tree, &made.areas, made.audience.by_sms);
    if proof.is_given_by(typed) {
        return Ok(made);
    }
    // What was made is rolled back with its transaction, as for every error.
    Err(ActionError::field("proof", "alert.not_confirmed", format!("{}.", proof.asks())))
}

/// Refuses an alert to these areas that was not confirmed by what was typed, before anything is made of it.
///
/// # Errors
/// [`ActionError::Invalid`] on `proof`.
pub async fn require_proof(desk: &Desk, areas: &[String], typed: &str) -> Result<()> {
    let mut session = desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    let audience = alert::count(desk, &mut session, &tree, areas).await?;
    let proof = proof(&tree, areas, audience.by_sms);
    if proof.is_given_by(typed) {
        return Ok(());
    }
    Err(ActionError::field("proof", "alert.not_confirmed", format!("{}.", proof.asks())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::area::Area;

    fn tree() -> AreaTree {
        let area = |code: &str, name: &str, kind, parent: Option<&str>| Area {
            code: code.into(),
            name: name.into(),
            kind,
            parent: parent.map(Into::into),
        };
        AreaTree::new([
            area("j", "Jämtland", AreaKind::PoliceArea, None),
            area("lokal", "Jämtland/Härjedalen", AreaKind::LocalPoliceArea, Some("j")),
            area("1", "Åre", AreaKind::Municipality, Some("lokal")),
            area("2", "Krokom", AreaKind::Municipality, Some("lokal")),
            area("3", "Berg", AreaKind::Municipality, Some("lokal")),
            area("1-a", "Duved", AreaKind::WatchArea, Some("1")),
        ])
        .unwrap()
    }

    #[test]
    fn what_must_be_typed_follows_the_reach() {
        let names = |names: &[&str]| Proof::Municipality(names.iter().map(|name| (*name).to_owned()).collect());
        let table: [(&[&str], i64, Proof); 6] = [
            (&["1", "2"], 300, Proof::None),
            (&["1", "2"], 301, names(&["Åre", "Krokom"])),
            (&["1", "2", "3"], 5, names(&["Åre", "Krokom", "Berg"])),
            (&["1-a"], 301, names(&["Åre"])),
            (&["lokal"], 5, names(&["Åre", "Krokom", "Berg"])),
            (&["j", "1"], 5, Proof::Whole("HELA JÄMTLAND".into())),
        ];
        for (areas, recipients, expected) in table {
            let areas: Vec<String> = areas.iter().map(|code| (*code).to_owned()).collect();
            assert_eq!(proof(&tree(), &areas, recipients), expected, "{areas:?} {recipients}");
        }
    }

    #[test]
    fn a_name_is_taken_in_any_case_and_nothing_else_is() {
        let proof = Proof::Municipality(vec!["Åre".into(), "Krokom".into()]);
        assert!(proof.is_given_by(" åre ") && proof.is_given_by("KROKOM"));
        assert!(!proof.is_given_by("") && !proof.is_given_by("Berg") && !proof.is_given_by("1030"));
        assert!(!Proof::Whole("HELA JÄMTLAND".into()).is_given_by("Jämtland"));
    }
}
