//! Owns the decision: what is to be done with each row, given the file so far and what the register knows.
//!
//! It does not look anything up and stores nothing. A caller feeds rows in chunks: [`Planner::prepare`] each, look the
//! [`PreparedRow::keys`] of the chunk up, then [`Planner::plan`] each in order. Invariant: a row that is to be stored has
//! a [`ContactPerson`] that passed validation; a row of any other action has none.

use super::finding::{Action, Change, Code, Findings, Weight};
use super::geography::{self, Geography};
use super::known::{Known, KnownPerson, MatchKeys};
use super::row::{Answer, Draft, RowCells};
use super::seen::{Seen, SeenRow};
use super::survey::Survey;
use super::table::RawRow;
use super::{cell, email_cell, name_cell, note_cell, number_cell, small_cells, wording};
use crate::domain::area::AreaTree;
use crate::domain::contact_person::{CONFIRMED_HOUSEHOLDS, ContactPerson, Field, Values, validate};
use crate::domain::plain_text::fold_plain;

/// Plans the rows of one file, in order.
pub struct Planner<'a> {
    tree: &'a AreaTree,
    survey: Survey,
    geography: Geography,
    seen: Seen,
}

/// A row that is read, and not yet compared with others.
#[derive(Debug, Clone)]
pub struct PreparedRow {
    draft: Draft,
    cells: RowCells,
    verdict: Verdict,
    keys: MatchKeys,
}

/// What is to be done with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRow {
    /// Number of the row, from 1 after the heading.
    pub row: u64,
    /// Physical line it begins on.
    pub line: u64,
    /// What is to be done.
    pub action: Action,
    /// Why, in the order of `Code`.
    pub codes: Vec<String>,
    /// What the operator is told first; may be empty.
    pub message: String,
    /// Everything the operator is told.
    pub messages: Vec<String>,
    /// The values as they may be shown: canonical, and without contact details where these are withheld.
    pub values: Values,
    /// Fields changed, by the importer or in the register.
    pub changes: Vec<Change>,
    /// Repaired values that are offered; a field may have several.
    pub offers: Vec<(Field, String)>,
    /// What is to be stored with `new`, `warn` and `update`.
    pub person: Option<ContactPerson>,
    /// The person in the register that the row is.
    pub known_id: Option<String>,
    /// The row as it stood, to be planned again when it is answered. Personal numbers are cut out.
    pub cells: RowCells,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// A person, to be compared with others.
    Person,
    /// A person about whom nothing is compared, because it is open whether or what may be stored.
    Held,
    /// Decided.
    Final(Action),
}

impl PreparedRow {
    /// What the register must be asked for.
    #[must_use]
    pub fn keys(&self) -> &MatchKeys {
        &self.keys
    }
}

impl<'a> Planner<'a> {
    /// A planner for the file that was surveyed.
    #[must_use]
    pub fn new(tree: &'a AreaTree, survey: Survey, geography: Geography) -> Self {
        Self { tree, survey, geography, seen: Seen::default() }
    }

    /// What the first reading found out.
    #[must_use]
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Reads a row.
    #[must_use]
    pub fn prepare(&self, row: u64, raw: &RawRow) -> PreparedRow {
        let cells = RowCells::of(row, raw, &self.survey.headings);
        match self.no_person(raw, &cells) {
            Some((code, message)) => {
                let mut draft = Draft { row, line: raw.line, ..Draft::default() };
                draft.tell(code, "", message);
                let keys = MatchKeys::default();
                PreparedRow { draft, cells, verdict: Verdict::Final(Action::Skip), keys }
            }
            None => self.prepare_cells(cells, &Answer::default()),
        }
    }

    /// Reads a row again about which an operator has answered. Questions that were not asked before are still asked.
    #[must_use]
    pub fn prepare_answered(&self, cells: RowCells, answer: &Answer) -> PreparedRow {
        self.prepare_cells(cells, answer)
    }

    /// Decides about a row, given what `known` of the register its keys have found.
    pub fn plan(&mut self, prepared: PreparedRow, known: &Known) -> PlannedRow {
        let PreparedRow { mut draft, cells, verdict, keys } = prepared;
        if let Verdict::Final(action) = verdict {
            return planned(draft, cells, action);
        }
        if let Some(row) = self.seen.with_same_cells(&cells.cells) {
            draft.findings = Findings::default();
            draft.tell(Code::Duplicate, row.to_string(), format!("Samma som rad {row}"));
            return planned(draft, cells, Action::Dup);
        }
        self.seen.remember_cells(cells.row, &cells.cells);
        if verdict == Verdict::Held {
            return planned(draft, cells, Action::Ask);
        }
        geography::read_area(&mut draft, &self.geography);
        // The watch area may be part of the key, and is settled only now.
        let keys = MatchKeys { person: MatchKeys::of(&draft.values).person, ..keys };
        let outcome = self.compare(&mut draft, &keys, known);
        if outcome != Outcome::Repeated {
            self.seen.remember(draft.row, &keys, &draft.values);
        }
        let planned = self.conclude(draft, cells, outcome);
        if let Some(person) = &planned.person {
            let values = person.values(self.tree);
            self.geography.make_area(&values[Field::Municipality], &values[Field::WatchArea]);
        }
        planned
    }

    fn no_person(&self, raw: &RawRow, cells: &RowCells) -> Option<(Code, &'static str)> {
        if raw.cells.iter().all(|text| cell::clean(text, false).text.is_empty()) {
            Some((Code::BlankRow, "Tom rad"))
        } else if self.survey.headings.is_repeated_in(&raw.cells) {
            Some((Code::RepeatedHeader, "Upprepad rubrikrad"))
        } else if is_total(raw, cells) {
            Some((Code::TotalRow, "Summarad"))
        } else {
            None
        }
    }

    fn prepare_cells(&self, mut cells: RowCells, answer: &Answer) -> PreparedRow {
        let mut draft = Draft::new(&cells, answer);
        for field in Field::ALL {
            cells.cells[field] = note_cell::without_personal_numbers(&cells.cells[field]);
        }
        let verdict = self.read(&mut draft, &cells);
        let keys = if verdict == Verdict::Person { MatchKeys::of(&draft.values) } else { MatchKeys::default() };
        PreparedRow { draft, cells, verdict, keys }
    }

    fn read(&self, draft: &mut Draft, cells: &RowCells) -> Verdict {
        if let Some(held) = hold(draft) {
            return held;
        }
        note_cell::cut_personal_numbers(draft);
        empty_what_means_nothing(draft);
        if name_cell::is_missing(draft) && !draft.open.has(Field::Name) {
            draft.findings = Findings::default();
            draft.is_withheld = true;
            draft.tell(Code::NoName, "", "Namn saknas");
            return Verdict::Final(Action::Reject);
        }
        if let Some((found, expected)) = cells.wrong_width {
            let code = if found > expected { Code::TooManyColumns } else { Code::TooFewColumns };
            draft.ask(code, format!("Raden har {found} kolumner, {expected} väntades"));
        }
        if !draft.open.has(Field::Name) {
            name_cell::read(draft);
        }
        draft.settle(Field::Address, draft.text(Field::Address).to_owned());
        draft.settle(Field::ProtectedIdentity, if draft.is_protected { "yes" } else { "no" });
        small_cells::read_wishes(draft, &self.survey);
        small_cells::read_language(draft);
        small_cells::read_households(draft);
        note_cell::read(draft);
        number_cell::read(draft);
        email_cell::read(draft, &self.survey);
        geography::read(draft, &self.geography, &self.survey);
        number_cell::tell_unreachable(draft);
        Verdict::Person
    }

    /// Compares a row with the rows before it and with the register.
    fn compare(&self, draft: &mut Draft, keys: &MatchKeys, known: &Known) -> Outcome {
        if draft.values[Field::Name].is_empty() {
            return Outcome::Fresh(None);
        }
        let is_in_register = known.same_person(keys, &draft.values).is_some();
        if known.is_suppressed(keys) && !is_in_register && !draft.confirms(Code::OptedOut) {
            draft.is_withheld = true;
            draft.ask(Code::OptedOut, "Har tackat nej tidigare och är spärrad. Ska personen läggas in igen?");
            return Outcome::Fresh(None);
        }
        if let Some(earlier) = self.seen.same_person(keys, &draft.values) {
            return fold_into(draft, earlier);
        }
        if let Some(person) = known.same_person(keys, &draft.values) {
            return Outcome::Fresh(Some(Box::new(update(draft, person))));
        }
        if let Some(person) = known.probable_person(keys, &draft.values) {
            let name = &person.values[Field::Name];
            draft.ask_about(
                Code::PossibleDuplicate,
                "register",
                format!("Troligen samma person som {name} i registret. Slå ihop?"),
            );
            let merged = draft.confirms(Code::PossibleDuplicate).then(|| Box::new(update(draft, person)));
            return Outcome::Fresh(merged);
        }
        if let Some(earlier) = self.seen.probable_person(keys, &draft.values) {
            let row = earlier.row;
            draft.ask_about(
                Code::PossibleDuplicate,
                row.to_string(),
                format!("Troligen samma person som rad {row}. Slå ihop?"),
            );
            return Outcome::Fresh(None);
        }
        self.tell_shared(draft, known);
        Outcome::Fresh(None)
    }

    fn tell_shared(&self, draft: &mut Draft, known: &Known) {
        let in_row = |row: &SeenRow| (row.row.to_string(), row.values()[Field::Name].clone());
        let in_register = |person: &KnownPerson| ("register".to_owned(), person.values[Field::Name].clone());
        let mobile = draft.values[Field::Mobile].clone();
        let other = self.seen.with_mobile(&mobile).map(in_row).or_else(|| known.with_mobile(&mobile).map(in_register));
        if let (Some((argument, name)), false) = (other, mobile.is_empty()) {
            draft.warn_about(Code::SharedNumber, argument, format!("Delar mobil med {name}: får ett sms tillsammans"));
        }
        let email = draft.values[Field::Email].clone();
        let other = self.seen.with_email(&email).map(in_row).or_else(|| known.with_email(&email).map(in_register));
        if let (Some((argument, name)), false) = (other, email.is_empty()) {
            draft.warn_about(Code::SharedEmail, argument, format!("Delar e-post med {name}"));
        }
    }

    fn conclude(&self, mut draft: Draft, cells: RowCells, outcome: Outcome) -> PlannedRow {
        let Outcome::Fresh(update) = outcome else {
            let action = if draft.findings.weight() == Some(Weight::Ask) { Action::Ask } else { Action::Dup };
            return planned(draft, cells, action);
        };
        let to_store = update.as_ref().map_or(&draft.values, |update| &update.merged);
        let mut person = None;
        if draft.findings.weight() != Some(Weight::Ask) {
            match validate(to_store, self.tree, &CONFIRMED_HOUSEHOLDS) {
                Ok(valid) => person = Some(valid),
                Err(errors) => {
                    let fields: Vec<&str> = errors.iter().map(|error| error.field.name()).collect();
                    let message = errors
                        .first()
                        .map_or_else(String::new, |error| format!("{}: {}", error.field.label(), error.detail));
                    draft.ask_for_fields(Code::Invalid, fields.join(","), message);
                }
            }
        }
        let action = match (draft.findings.weight(), &update) {
            (Some(Weight::Ask), _) => Action::Ask,
            (_, Some(update)) if update.changes.is_empty() => Action::Same,
            (_, Some(_)) => Action::Update,
            (Some(Weight::Warn), None) => Action::Warn,
            _ => Action::New,
        };
        let known_id = update.as_ref().map(|update| update.id.clone());
        if let Some(update) = update {
            draft.values = update.merged;
            draft.changes.extend(update.changes);
        }
        let person = person.filter(|_| action != Action::Same);
        PlannedRow { person, known_id, ..planned(draft, cells, action) }
    }
}

/// How a row relates to others.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// An earlier row was about the same person.
    Repeated,
    /// The first row about this person, who may be in the register.
    Fresh(Option<Box<Update>>),
}

/// What a row changes in the register.
#[derive(Debug, PartialEq, Eq)]
struct Update {
    id: String,
    merged: Values,
    changes: Vec<Change>,
}

/// Holds rows about people who may not be stored as they are. After an operator's yes they are read on.
fn hold(draft: &mut Draft) -> Option<Verdict> {
    if note_cell::says_protected(draft) {
        if !draft.confirms(Code::ProtectedIdentity) {
            return Some(held(
                draft,
                Code::ProtectedIdentity,
                "Skyddade personuppgifter: bara administratör kan gå vidare",
            ));
        }
        draft.is_protected = true;
        note_cell::clear_protected_words(draft);
    }
    if note_cell::says_opted_out(draft) {
        if !draft.confirms(Code::OptedOut) {
            return Some(held(draft, Code::OptedOut, "Har tackat nej. Ska personen spärras?"));
        }
        for wish in [Field::Letters, Field::Alerts] {
            if !draft.answered.has(wish) {
                draft.texts[wish] = "nej".to_owned();
            }
        }
    }
    None
}

/// Nothing but the name is shown, nothing else is said.
fn held(draft: &mut Draft, code: Code, question: &str) -> Verdict {
    let name = draft.text(Field::Name).to_owned();
    draft.findings = Findings::default();
    draft.changes.clear();
    draft.is_withheld = true;
    draft.settle(Field::Name, note_cell::without_personal_numbers(&name));
    draft.ask(code, question);
    Verdict::Held
}

/// Placeholders, spreadsheet errors and formulas are no values.
fn empty_what_means_nothing(draft: &mut Draft) {
    for field in Field::ALL {
        let text = draft.text(field).to_owned();
        if text.is_empty() || draft.literal.has(field) {
            continue;
        }
        if let Some(formula) = cell::formula(&text) {
            take_formula(draft, field, formula.shown);
        } else if field != Field::Name && cell::is_cell_error(&text) {
            draft.change(field, text.as_str(), "");
            draft.warn(Code::CellError, format!("”{text}” tolkat som tomt"));
            draft.clear(field);
        } else if may_be_placeholder(field, &text) {
            draft.change(field, text.as_str(), "");
            draft.warn(Code::Placeholder, format!("”{text}” tolkat som tomt"));
            draft.clear(field);
        }
        let is_name =
            matches!(field, Field::Name | Field::Address | Field::Place | Field::Municipality | Field::WatchArea);
        if cell::has_lost_letter(draft.text(field), is_name) {
            let message = format!("Bokstäver har gått förlorade: {text}. Skriv in texten igen.");
            draft.ask(Code::LostLetter, message);
        }
    }
}

fn may_be_placeholder(field: Field, text: &str) -> bool {
    let has_no_nothing =
        matches!(field, Field::Name | Field::Letters | Field::Alerts | Field::Note | Field::ProtectedIdentity);
    let is_count = field == Field::Households && text.chars().all(|c| c == '0');
    let is_language = field == Field::Language && text.chars().any(char::is_alphabetic);
    !has_no_nothing && !is_count && !is_language && cell::is_placeholder(text)
}

fn take_formula(draft: &mut Draft, field: Field, shown: Option<String>) {
    let message = match &shown {
        Some(shown) => format!("Cellen innehåller en formel. Menade du {shown}?"),
        None => "Cellen innehåller en formel. Skriv in värdet i stället.".to_owned(),
    };
    match shown {
        Some(shown) if draft.confirms(Code::Formula) => {
            draft.ask(Code::Formula, message);
            draft.texts[field] = shown;
        }
        shown => {
            draft.ask_for(Code::Formula, message);
            draft.clear(field);
            draft.open.insert(field);
            draft.is_withheld |= field == Field::Name;
            draft.offers.extend(shown.map(|shown| (field, shown)));
        }
    }
}

/// A line of totals: it says so first, and has nothing to reach a person by.
fn is_total(raw: &RawRow, cells: &RowCells) -> bool {
    const WORDS: [&str; 10] =
        ["summa", "summering", "totalt", "total", "totalsumma", "delsumma", "sum", "s a", "antal", "grand total"];
    let says_total = |text: &str| {
        let text = fold_plain(text);
        WORDS.iter().any(|word| text == *word || text.strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')))
    };
    let first = raw.cells.iter().find(|text| !text.trim().is_empty());
    let contacts = [Field::Mobile, Field::Phone2, Field::Email, Field::Email2, Field::Address, Field::Postcode];
    let has_contact = contacts.iter().any(|field| {
        let text = cells.cells[*field].trim();
        // A total of the column "mobile" is a short number.
        !text.is_empty() && (text.len() > 6 || text.chars().any(|c| !c.is_ascii_digit()))
    });
    first.is_some_and(|text| says_total(text)) && !has_contact
}

/// Folds a row into an earlier one about the same person, or asks where they differ.
fn fold_into(draft: &mut Draft, earlier: &SeenRow) -> Outcome {
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
fn update(draft: &mut Draft, person: &KnownPerson) -> Update {
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

fn planned(draft: Draft, cells: RowCells, action: Action) -> PlannedRow {
    let mut row = PlannedRow {
        row: draft.row,
        line: draft.line,
        action,
        codes: draft.findings.codes(),
        message: draft.findings.message(),
        messages: draft.findings.messages(),
        values: draft.values,
        changes: draft.changes,
        offers: draft.offers,
        person: None,
        known_id: None,
        cells,
    };
    if draft.is_withheld {
        let contacts = [Field::Mobile, Field::Phone2, Field::Email, Field::Email2];
        for field in contacts {
            row.values[field].clear();
        }
        row.changes.retain(|change| !contacts.contains(&change.field));
        row.offers.retain(|(field, _)| !contacts.contains(field));
    }
    row
}
