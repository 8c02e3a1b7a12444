//! Owns what becomes of a row about a person who is there already: in an earlier row, or in the register.
//!
//! Invariants: an empty cell never erases a value; an opt-out in the register stays, whatever the file says.

use super::finding::{Change, Code, Findings};
use super::known::KnownPerson;
use super::row::Draft;
use super::seen::SeenRow;
use super::wording;
use crate::domain::contact_person::{Field, Values};

/// How a row relates to others.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An earlier row was about the same person.
    Repeated,
    /// The first row about this person, who may be in the register.
    Fresh(Option<Box<Update>>),
}

/// What a row changes in the register.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Update {
    /// The person's id.
    pub id: String,
    /// The person's values after the change.
    pub merged: Values,
    /// What changes.
    pub changes: Vec<Change>,
}

/// Folds a row into an earlier one about the same person, or asks where they differ.
pub(super) fn fold_into(draft: &mut Draft, earlier: &SeenRow) -> Outcome {
    let row = earlier.row;
    let before = earlier.values();
    let conflicts: Vec<Field> = differing(draft, &before);
    if conflicts.is_empty() {
        draft.findings = Findings::default();
        draft.tell(Code::Duplicate, row.to_string(), format!("Samma som rad {row}"));
        return Outcome::Repeated;
    }
    let told: Vec<String> = conflicts
        .iter()
        .map(|field| {
            let (was, is) = (wording::shown(*field, &before[*field]), wording::shown(*field, &draft.values[*field]));
            format!("{} ({was} eller {is})", field.label())
        })
        .collect();
    let names: Vec<&str> = conflicts.iter().map(|field| field.name()).collect();
    draft.tell(Code::Duplicate, row.to_string(), "");
    let message = format!("Samma person som rad {row}, olika {}", wording::listed(&told, "och"));
    draft.ask_about(Code::Conflict, names.join(","), message);
    Outcome::Repeated
}

/// The fields about which the row says something else than `before`. An empty cell says nothing.
fn differing(draft: &Draft, before: &Values) -> Vec<Field> {
    let differs = |field: &Field| {
        let says = draft.given.has(*field) && !draft.values[*field].is_empty();
        (says || draft.answered.has(*field)) && draft.values[*field] != before[*field]
    };
    Field::ALL.into_iter().filter(differs).collect()
}

/// What the row changes about a person in the register. An opt-out stays, whatever the file says.
pub(super) fn update(draft: &mut Draft, person: &KnownPerson) -> Update {
    // What the row leaves out, the register has.
    for code in [Code::AreaMissing, Code::MunicipalityMissing, Code::HouseholdsDefault, Code::Unreachable] {
        draft.findings.remove(code);
    }
    let mut merged = person.values.clone();
    let mut changes = Vec::new();
    let mut keeps_opt_out = false;
    for field in differing(draft, &person.values) {
        let opted_out = match field {
            Field::Alerts => person.opted_out_of_sms,
            Field::Letters => person.opted_out_of_email,
            _ => false,
        };
        if opted_out && draft.values[field] == "yes" {
            keeps_opt_out = true;
            continue;
        }
        if field == Field::Alerts && draft.alerts_switched_off && !person.values[Field::Mobile].is_empty() {
            continue;
        }
        merged[field].clone_from(&draft.values[field]);
        changes.push(Change { field, before: person.values[field].clone(), after: draft.values[field].clone() });
    }
    draft.tell(Code::InRegister, "", if changes.is_empty() { "Oförändrad" } else { "" });
    if keeps_opt_out {
        draft.tell(Code::OptOutKept, "", "Har tackat nej: ändras inte av filen");
    }
    if !changes.is_empty() {
        let names: Vec<&str> = changes.iter().map(|change| change.field.name()).collect();
        let labels: Vec<&str> = changes.iter().map(|change| change.field.label()).collect();
        draft.tell(Code::Changed, names.join(","), format!("Ändrad: {}", labels.join(", ")));
    }
    Update { id: person.id.clone(), merged, changes }
}
