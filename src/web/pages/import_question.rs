//! Owns how a row of an import is shown on a page: what was found, what changes, and the question with its answers.
//!
//! It decides nothing about rows. Invariant: what somebody leaves as it stood is not sent on as theirs.

use super::form::Fields;
use super::register_merge::value_words;
use super::register_words::capitalised;
use crate::actions::FieldProblem;
use crate::actions::import::ItemView;
use crate::actions::import_answer::RowAnswer;
use crate::domain::contact_person::Field;
use crate::register_file::finding::{Action, Code};

/// Questions on a page.
pub const MOST_QUESTIONS: usize = 200;

/// Fields that are typed over in a question.
const TYPED: [Field; 12] = [
    Field::Name,
    Field::Mobile,
    Field::Phone2,
    Field::Email,
    Field::Email2,
    Field::Address,
    Field::Postcode,
    Field::Place,
    Field::Municipality,
    Field::WatchArea,
    Field::Households,
    Field::Note,
];

/// What is asked, the heaviest first: what the questions of that kind are called, and the fields they are about.
const KINDS: &[(Code, &str, &[Field])] = &[
    (Code::ProtectedIdentity, "Skyddade personuppgifter", &[]),
    (Code::OptedOut, "Har tackat nej", &[]),
    (Code::TooManyColumns, "Fel antal kolumner", &TYPED),
    (Code::TooFewColumns, "Fel antal kolumner", &TYPED),
    (Code::PersonalNumber, "Personnummer i en cell", &[Field::Note]),
    (Code::Formula, "Formel i en cell", &[Field::Name]),
    (Code::TwoPeople, "Två personer i samma rad", &[Field::Name]),
    (Code::NumberDestroyed, "Numret är förstört", &[Field::Mobile]),
    (Code::LetterInNumber, "Bokstav i numret", &[Field::Mobile]),
    (Code::TooShort, "Numret är för kort", &[Field::Mobile]),
    (Code::TooLong, "Numret är för långt", &[Field::Mobile]),
    (Code::NumberInvalid, "Numret finns inte", &[Field::Mobile]),
    (Code::EmailTypo, "Troligt skrivfel i e-post", &[Field::Email]),
    (Code::EmailInvalid, "Ogiltig e-post", &[Field::Email]),
    (Code::EmailDomain, "Troligt skrivfel i e-post", &[Field::Email]),
    (Code::EmailNonascii, "Troligt skrivfel i e-post", &[Field::Email]),
    (Code::PlaceMunicipality, "Ort och kommun går inte ihop", &[Field::Municipality, Field::WatchArea]),
    (Code::ForeignAddress, "Adress utanför Sverige", &[Field::Municipality, Field::WatchArea]),
    (Code::OutsideArea, "Utanför polisområdet", &[Field::Municipality, Field::WatchArea]),
    (Code::MunicipalityMissing, "Kommun saknas", &[Field::Municipality, Field::WatchArea]),
    (Code::NewArea, "Området finns inte", &[Field::WatchArea]),
    (Code::AreaMissing, "Område saknas", &[Field::WatchArea]),
    (Code::HouseholdsDate, "Antal hushåll", &[Field::Households]),
    (Code::HouseholdsRange, "Antal hushåll", &[Field::Households]),
    (Code::HouseholdsUnclear, "Antal hushåll", &[Field::Households]),
    (Code::LostLetter, "Bokstäver har försvunnit", &[Field::Name]),
    (Code::Conflict, "Samma person, olika uppgifter", &[Field::Households]),
    (Code::PossibleDuplicate, "Troligen samma person", &[]),
];

/// A field that can be typed over.
#[derive(Debug)]
pub struct TypedField {
    /// Name of the input.
    pub name: String,
    /// What it says.
    pub label: String,
    /// What stands in it.
    pub value: String,
}

/// A question about a row.
#[derive(Debug)]
pub struct Question {
    /// The row's number.
    pub row: i64,
    /// Where it begins in the file.
    pub line: i64,
    /// Whom it is about; empty where that is withheld.
    pub title: String,
    /// Code of what is asked.
    pub kind: &'static str,
    /// Everything that is told.
    pub messages: Vec<String>,
    /// Fields that the question is about.
    pub fields: Vec<TypedField>,
    /// The other fields.
    pub more: Vec<TypedField>,
    /// What yes and no say.
    pub words: (&'static str, &'static str),
    /// `import`, `skip` or `later`.
    pub choice: String,
    /// What is wrong with the answer.
    pub fault: Option<String>,
}

/// One answer for all questions of a kind.
#[derive(Debug)]
pub struct Kind {
    /// Its code.
    pub code: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// How many questions.
    pub count: usize,
    /// What was chosen for all of them.
    pub choice: String,
}

/// What is said of a row that is not asked about.
#[derive(Debug)]
pub struct Told {
    /// The row's number.
    pub row: i64,
    /// Whom it is about.
    pub title: String,
    /// What is told.
    pub messages: Vec<String>,
    /// Fields that change: what they are called, before, after.
    pub changes: Vec<(String, String, String)>,
    /// The page of the person, when there is one.
    pub person: Option<String>,
}

/// The questions among the rows, the first [`MOST_QUESTIONS`] of them, with what was answered in `sent`.
#[must_use]
pub fn questions(items: &[ItemView], sent: &Fields) -> Vec<Question> {
    let asked = items.iter().filter(|item| item.action == Action::Ask.code());
    asked.take(MOST_QUESTIONS).map(|item| question(item, sent)).collect()
}

fn question(item: &ItemView, sent: &Fields) -> Question {
    let (code, about) = kind_of(item);
    let typed = |field: Field| {
        let name = input_name(item.row, field);
        let typed = if sent.has(&name) { sent.text(&name).to_owned() } else { shown_value(item, field) };
        let label = capitalised(field.label());
        let label = if offered(item, field).is_some() { format!("{label} (förslag)") } else { label };
        TypedField { label, value: typed, name }
    };
    let is_about = |field: &Field| about.contains(field) || offered(item, *field).is_some();
    let (fields, more): (Vec<Field>, Vec<Field>) = TYPED.into_iter().partition(is_about);
    let chosen = sent.text(&format!("answer.{}", item.row));
    Question {
        row: item.row,
        line: item.line,
        title: value_of(item, Field::Name).unwrap_or_default().to_owned(),
        kind: group_of(code),
        messages: messages(item),
        fields: fields.into_iter().map(typed).collect(),
        more: more.into_iter().map(typed).collect(),
        words: match code {
            Some(Code::OptedOut) => ("Ta med personen ändå", "Ta inte med, och spärra personen"),
            Some(Code::PossibleDuplicate | Code::Conflict) => {
                ("Ja, samma person: använd den här raden", "Hoppa över raden")
            }
            _ => ("Ta med raden så här", "Hoppa över raden"),
        },
        choice: if chosen.is_empty() { "later".to_owned() } else { chosen.to_owned() },
        fault: None,
    }
}

/// What is asked of a row, and the fields it is about.
fn kind_of(item: &ItemView) -> (Option<Code>, &'static [Field]) {
    let codes: Vec<Code> = item.item.codes.iter().filter_map(|code| Code::from_written(code)).collect();
    let found = KINDS.iter().find(|(code, _, _)| codes.contains(code));
    found.map_or((None, &[]), |(code, _, fields)| (Some(*code), *fields))
}

/// Questions with one name are answered together, under the first code of that name.
fn group_of(code: Option<Code>) -> &'static str {
    let named = code.and_then(|code| KINDS.iter().find(|(known, _, _)| *known == code));
    let first = named.and_then(|(_, name, _)| KINDS.iter().find(|(_, other, _)| other == name));
    first.map_or("other", |(code, _, _)| code.as_str())
}

/// The kinds of the questions that more than one has.
#[must_use]
pub fn kinds(questions: &[Question], sent: &Fields) -> Vec<Kind> {
    let of = |code: &'static str, name: &'static str| Kind {
        code,
        name,
        count: questions.iter().filter(|question| question.kind == code).count(),
        choice: sent.text(&format!("all.{code}")).to_owned(),
    };
    let known = KINDS.iter().map(|(code, name, _)| of(code.as_str(), name));
    known.chain([of("other", "Övriga frågor")]).filter(|kind| kind.count > 1).collect()
}

fn input_name(row: i64, field: Field) -> String {
    format!("field.{row}.{}", field.name())
}

fn value_of(item: &ItemView, field: Field) -> Option<&str> {
    item.item.fields.iter().find(|(name, _)| name == field.name()).map(|(_, value)| value.as_str())
}

fn offered(item: &ItemView, field: Field) -> Option<&str> {
    item.item.offers.iter().find(|(name, _)| name == field.name()).map(|(_, value)| value.as_str())
}

/// What stands in an input at first: what is offered, or what the row holds, on one line.
fn shown_value(item: &ItemView, field: Field) -> String {
    let value = offered(item, field).or_else(|| value_of(item, field)).unwrap_or_default();
    value_words(field, value).replace('\n', " ")
}

fn messages(item: &ItemView) -> Vec<String> {
    if item.item.messages.is_empty() && !item.item.message.is_empty() {
        return vec![item.item.message.clone()];
    }
    item.item.messages.clone()
}

/// The answers that a form holds to the questions among the rows. A row's own answer goes before the one for all.
#[must_use]
pub fn answers(items: &[ItemView], sent: &Fields) -> Vec<RowAnswer> {
    let asked = items.iter().filter(|item| item.action == Action::Ask.code()).take(MOST_QUESTIONS);
    asked.filter_map(|item| answer(item, sent)).collect()
}

fn answer(item: &ItemView, sent: &Fields) -> Option<RowAnswer> {
    let kind = group_of(kind_of(item).0);
    let own = sent.text(&format!("answer.{}", item.row));
    let for_all = sent.text(&format!("all.{kind}"));
    let import = match (own, for_all) {
        ("import", _) | ("later" | "", "import") => true,
        ("skip", _) | ("later" | "", "skip") => false,
        _ => return None,
    };
    let is_changed = |field: &Field| {
        let name = input_name(item.row, *field);
        sent.has(&name) && sent.text(&name).trim() != shown_value(item, *field).trim()
    };
    let changed = TYPED.into_iter().filter(is_changed);
    let fields = changed.map(|field| (field, sent.text(&input_name(item.row, field)).to_owned())).collect();
    Some(RowAnswer { row: item.row, import, fields })
}

/// Problems with answers, as problems with the questions on the page.
pub fn mark(questions: &mut [Question], answers: &[RowAnswer], problems: &[FieldProblem]) -> Vec<FieldProblem> {
    let mut marked = Vec::new();
    for problem in problems {
        let row = answer_at(&problem.name).and_then(|at| answers.get(at)).map(|answer| answer.row);
        let Some(row) = row else { continue };
        if let Some(question) = questions.iter_mut().find(|question| question.row == row) {
            question.fault = Some(problem.detail.clone());
        }
        let detail = format!("Rad {row}: {}", problem.detail);
        marked.push(FieldProblem { name: format!("row-{row}"), code: problem.code, detail });
    }
    marked
}

/// The place in `answers.3.fields.mobile`.
fn answer_at(name: &str) -> Option<usize> {
    name.strip_prefix("answers.")?.split('.').next()?.parse().ok()
}

/// Rows with one of the actions, the first `most` of them.
#[must_use]
pub fn told(items: &[ItemView], actions: &[Action], most: usize) -> Vec<Told> {
    let fits = |item: &&ItemView| actions.iter().any(|action| item.action == action.code());
    items.iter().filter(fits).take(most).map(one_told).collect()
}

fn one_told(item: &ItemView) -> Told {
    let changes = item.item.changes.iter().filter_map(|change| {
        let field = Field::from_name(&change.name)?;
        let (before, after) = (value_words(field, &change.before), value_words(field, &change.after));
        // What is only stored in another form reads the same.
        (before != after).then(|| (capitalised(field.label()), before, after))
    });
    Told {
        row: item.row,
        title: value_of(item, Field::Name).unwrap_or_default().to_owned(),
        messages: messages(item),
        changes: changes.collect(),
        person: item.contact_person_id.clone(),
    }
}
