//! Owns the vocabulary of an import: actions, codes, and what one row's findings add up to.
//!
//! It does not find anything itself. Invariant: codes are stable; the order of [`Code`]'s variants is the order in which
//! they are listed.

use crate::domain::contact_person::Field;

/// What is done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Imported, nothing to say.
    New,
    /// Imported, the automatic change is listed.
    Warn,
    /// Held until an operator answers.
    Ask,
    /// Cannot be imported.
    Reject,
    /// Not a person.
    Skip,
    /// Folded into an earlier row.
    Dup,
    /// In the register already, unchanged.
    Same,
    /// In the register already, fields change.
    Update,
}

impl Action {
    /// All, in the order in which counts are listed.
    pub const ALL: [Self; 8] =
        [Self::New, Self::Warn, Self::Ask, Self::Reject, Self::Skip, Self::Dup, Self::Same, Self::Update];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Warn => "warn",
            Self::Ask => "ask",
            Self::Reject => "reject",
            Self::Skip => "skip",
            Self::Dup => "dup",
            Self::Same => "same",
            Self::Update => "update",
        }
    }

    /// The action with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.code() == code)
    }

    /// What it is called in a summary: `Nya 32 · Ändrade 1`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::New => "Nya",
            Self::Warn => "Nya med anmärkning",
            Self::Ask => "Behöver svar",
            Self::Reject => "Avvisade",
            Self::Skip => "Överhoppade",
            Self::Dup => "Hopslagna",
            Self::Same => "Oförändrade",
            Self::Update => "Ändrade",
        }
    }
}

/// What was found in a row. The doc of each variant is what an operator would be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The row is empty.
    BlankRow,
    /// The headings stand here again.
    RepeatedHeader,
    /// A line of totals.
    TotalRow,
    /// No name.
    NoName,
    /// Personal data are protected.
    ProtectedIdentity,
    /// The person has asked to leave, or is on the suppression list.
    OptedOut,
    /// More cells than headings.
    TooManyColumns,
    /// Fewer cells than headings.
    TooFewColumns,
    /// Wrongly decoded text was repaired.
    Mojibake,
    /// Control characters were taken away.
    ControlCharacter,
    /// `saknas`, `-` and the like were read as empty.
    Placeholder,
    /// An error value of a spreadsheet was read as empty.
    CellError,
    /// A cell holds a formula.
    Formula,
    /// The name was turned round.
    NameOrder,
    /// The name was set in normal case.
    NameCase,
    /// Two people in one row.
    TwoPeople,
    /// A spreadsheet has destroyed the number.
    NumberDestroyed,
    /// Letters among the digits.
    LetterInNumber,
    /// Too few digits.
    TooShort,
    /// Too many digits.
    TooLong,
    /// No such number.
    NumberInvalid,
    /// Two numbers in one cell.
    TwoNumbers,
    /// The leading zero was put back.
    LeadingZero,
    /// The plus was put back.
    PlusAdded,
    /// A fixed line: no SMS.
    Landline,
    /// A foreign number.
    ForeignNumber,
    /// A slip in the e-mail address.
    EmailTypo,
    /// No e-mail address.
    EmailInvalid,
    /// The domain looks misspelt.
    EmailDomain,
    /// Letters outside ASCII before the at-sign.
    EmailNonascii,
    /// The address was taken out of a text.
    EmailUnwrapped,
    /// Two addresses in one cell.
    TwoEmails,
    /// A personal identity number.
    PersonalNumber,
    /// The postcode was left out.
    Postcode,
    /// The place was corrected.
    PlaceSpelling,
    /// The municipality was written in another form.
    MunicipalityForm,
    /// Place and municipality contradict each other.
    PlaceMunicipality,
    /// An address in another country.
    ForeignAddress,
    /// Outside the police area.
    OutsideArea,
    /// The municipality was filled in.
    MunicipalityDerived,
    /// The municipality is missing.
    MunicipalityMissing,
    /// The watch area does not exist.
    NewArea,
    /// The watch area is missing.
    AreaMissing,
    /// Households were read out of a text.
    HouseholdsText,
    /// Households have become a date.
    HouseholdsDate,
    /// Unusually many or few households.
    HouseholdsRange,
    /// Households cannot be read.
    HouseholdsUnclear,
    /// Households are missing and count as one.
    HouseholdsDefault,
    /// Yes or no was written in another form.
    YesNo,
    /// Neither yes nor no.
    YesNoUnclear,
    /// Unknown language.
    LanguageDefault,
    /// The note was shortened.
    NoteTooLong,
    /// Reached on paper only.
    Unreachable,
    /// Letters were lost before the file came here.
    LostLetter,
    /// A field cannot be stored.
    Invalid,
    /// The same as an earlier row.
    Duplicate,
    /// The same person as in an earlier row, with other values.
    Conflict,
    /// Probably the same person as another.
    PossibleDuplicate,
    /// Shares the mobile with another person.
    SharedNumber,
    /// Shares the e-mail address with another person.
    SharedEmail,
    /// In the register already.
    InRegister,
    /// Fields that change.
    Changed,
    /// An opt-out in the register stays although the file says yes.
    OptOutKept,
}

impl Code {
    /// The stable code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlankRow => "blank_row",
            Self::RepeatedHeader => "repeated_header",
            Self::TotalRow => "total_row",
            Self::NoName => "no_name",
            Self::ProtectedIdentity => "protected_identity",
            Self::OptedOut => "opted_out",
            Self::TooManyColumns => "too_many_columns",
            Self::TooFewColumns => "too_few_columns",
            Self::Mojibake => "mojibake",
            Self::ControlCharacter => "control_character",
            Self::Placeholder => "placeholder",
            Self::CellError => "cell_error",
            Self::Formula => "formula",
            Self::NameOrder => "name_order",
            Self::NameCase => "name_case",
            Self::TwoPeople => "two_people",
            Self::NumberDestroyed => "number_destroyed",
            Self::LetterInNumber => "letter_in_number",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::NumberInvalid => "number_invalid",
            Self::TwoNumbers => "two_numbers",
            Self::LeadingZero => "leading_zero",
            Self::PlusAdded => "plus_added",
            Self::Landline => "landline",
            Self::ForeignNumber => "foreign_number",
            Self::EmailTypo => "email_typo",
            Self::EmailInvalid => "email_invalid",
            Self::EmailDomain => "email_domain",
            Self::EmailNonascii => "email_nonascii",
            Self::EmailUnwrapped => "email_unwrapped",
            Self::TwoEmails => "two_emails",
            Self::PersonalNumber => "personal_number",
            Self::Postcode => "postcode",
            Self::PlaceSpelling => "place_spelling",
            Self::MunicipalityForm => "municipality_form",
            Self::PlaceMunicipality => "place_municipality",
            Self::ForeignAddress => "foreign_address",
            Self::OutsideArea => "outside_area",
            Self::MunicipalityDerived => "municipality_derived",
            Self::MunicipalityMissing => "municipality_missing",
            Self::NewArea => "new_area",
            Self::AreaMissing => "area_missing",
            Self::HouseholdsText => "households_text",
            Self::HouseholdsDate => "households_date",
            Self::HouseholdsRange => "households_range",
            Self::HouseholdsUnclear => "households_unclear",
            Self::HouseholdsDefault => "households_default",
            Self::YesNo => "yes_no",
            Self::YesNoUnclear => "yes_no_unclear",
            Self::LanguageDefault => "language_default",
            Self::NoteTooLong => "note_too_long",
            Self::Unreachable => "unreachable",
            Self::LostLetter => "lost_letter",
            Self::Invalid => "invalid",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::PossibleDuplicate => "possible_duplicate",
            Self::SharedNumber => "shared_number",
            Self::SharedEmail => "shared_email",
            Self::InRegister => "in_register",
            Self::Changed => "changed",
            Self::OptOutKept => "opt_out_kept",
        }
    }

    /// Which of several messages of the same weight a row shows: the one that says most about what happens.
    fn prominence(self) -> u8 {
        match self {
            Self::Placeholder | Self::CellError | Self::YesNo | Self::InRegister | Self::Duplicate => 1,
            Self::MunicipalityForm | Self::ControlCharacter => 2,
            Self::Unreachable | Self::Changed | Self::OptOutKept => 9,
            _ => 5,
        }
    }
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Told, changes nothing.
    Told,
    /// The row is imported; the change is listed.
    Warn,
    /// The row is held.
    Ask,
}

/// One thing found in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub code: Code,
    /// What stands after the code's colon: a row number, or fields.
    pub argument: String,
    /// What the operator is told, in Swedish; may be empty.
    pub message: String,
    /// How much it weighs.
    pub weight: Weight,
}

impl Finding {
    /// The code with its argument: `shared_number:7`.
    #[must_use]
    pub fn full_code(&self) -> String {
        if self.argument.is_empty() {
            self.code.as_str().to_owned()
        } else {
            format!("{}:{}", self.code.as_str(), self.argument)
        }
    }
}

/// A field before and after an automatic change or an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The field.
    pub field: Field,
    /// As it stood.
    pub before: String,
    /// As it is stored.
    pub after: String,
}

/// The findings of one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    /// Adds a finding; a code that stands there already keeps its first message.
    pub fn add(&mut self, finding: Finding) {
        if self.list.iter().all(|found| found.code != finding.code) {
            self.list.push(finding);
        }
    }

    /// Whether `code` was found.
    #[must_use]
    pub fn has(&self, code: Code) -> bool {
        self.list.iter().any(|found| found.code == code)
    }

    /// Takes a code away again.
    pub fn remove(&mut self, code: Code) {
        self.list.retain(|found| found.code != code);
    }

    /// The greatest weight, `None` without findings.
    #[must_use]
    pub fn weight(&self) -> Option<Weight> {
        self.list.iter().map(|found| found.weight).max()
    }

    /// The codes in their order.
    #[must_use]
    pub fn codes(&self) -> Vec<String> {
        let mut list: Vec<&Finding> = self.list.iter().collect();
        list.sort_by_key(|found| found.code);
        list.into_iter().map(Finding::full_code).collect()
    }

    /// What the operator is told first: the question if there is one, else the most prominent change.
    #[must_use]
    pub fn message(&self) -> String {
        let told = self.list.iter().filter(|found| !found.message.is_empty());
        let first = told.max_by_key(|found| (found.weight, found.code.prominence(), std::cmp::Reverse(found.code)));
        first.map_or_else(String::new, |found| found.message.clone())
    }

    /// Everything the operator is told, the first message first.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let mut told: Vec<&Finding> = self.list.iter().filter(|found| !found.message.is_empty()).collect();
        told.sort_by_key(|found| {
            std::cmp::Reverse((found.weight, found.code.prominence(), std::cmp::Reverse(found.code)))
        });
        told.into_iter().map(|found| found.message.clone()).collect()
    }
}
