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

/// Defines the codes with their stable words.
macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $word:literal,)*) => {
        /// What was found in a row. The doc of each variant is what an operator would be told.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// The stable code.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $word,)*
                }
            }

            /// The code that is written so; what follows a colon is left out.
            #[must_use]
            pub fn from_written(text: &str) -> Option<Self> {
                match text.split(':').next().unwrap_or_default() {
                    $($word => Some(Self::$code),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// The row is empty.
    BlankRow = "blank_row",
    /// The headings stand here again.
    RepeatedHeader = "repeated_header",
    /// A line of totals.
    TotalRow = "total_row",
    /// No name.
    NoName = "no_name",
    /// Personal data are protected.
    ProtectedIdentity = "protected_identity",
    /// The person has asked to leave, or is on the suppression list.
    OptedOut = "opted_out",
    /// More cells than headings.
    TooManyColumns = "too_many_columns",
    /// Fewer cells than headings.
    TooFewColumns = "too_few_columns",
    /// Wrongly decoded text was repaired.
    Mojibake = "mojibake",
    /// Control characters were taken away.
    ControlCharacter = "control_character",
    /// `saknas`, `-` and the like were read as empty.
    Placeholder = "placeholder",
    /// An error value of a spreadsheet was read as empty.
    CellError = "cell_error",
    /// A cell holds a formula.
    Formula = "formula",
    /// The name was turned round.
    NameOrder = "name_order",
    /// The name was set in normal case.
    NameCase = "name_case",
    /// Two people in one row.
    TwoPeople = "two_people",
    /// A spreadsheet has destroyed the number.
    NumberDestroyed = "number_destroyed",
    /// Letters among the digits.
    LetterInNumber = "letter_in_number",
    /// Too few digits.
    TooShort = "too_short",
    /// Too many digits.
    TooLong = "too_long",
    /// No such number.
    NumberInvalid = "number_invalid",
    /// Two numbers in one cell.
    TwoNumbers = "two_numbers",
    /// The leading zero was put back.
    LeadingZero = "leading_zero",
    /// The plus was put back.
    PlusAdded = "plus_added",
    /// A fixed line: no SMS.
    Landline = "landline",
    /// A foreign number.
    ForeignNumber = "foreign_number",
    /// A slip in the e-mail address.
    EmailTypo = "email_typo",
    /// No e-mail address.
    EmailInvalid = "email_invalid",
    /// The domain looks misspelt.
    EmailDomain = "email_domain",
    /// Letters outside ASCII before the at-sign.
    EmailNonascii = "email_nonascii",
    /// The address was taken out of a text.
    EmailUnwrapped = "email_unwrapped",
    /// Two addresses in one cell.
    TwoEmails = "two_emails",
    /// A personal identity number.
    PersonalNumber = "personal_number",
    /// The postcode was left out.
    Postcode = "postcode",
    /// The place was corrected.
    PlaceSpelling = "place_spelling",
    /// The municipality was written in another form.
    MunicipalityForm = "municipality_form",
    /// Place and municipality contradict each other.
    PlaceMunicipality = "place_municipality",
    /// An address in another country.
    ForeignAddress = "foreign_address",
    /// Outside the police area.
    OutsideArea = "outside_area",
    /// The municipality was filled in.
    MunicipalityDerived = "municipality_derived",
    /// The municipality is missing.
    MunicipalityMissing = "municipality_missing",
    /// The watch area does not exist.
    NewArea = "new_area",
    /// The watch area is missing.
    AreaMissing = "area_missing",
    /// Households were read out of a text.
    HouseholdsText = "households_text",
    /// Households have become a date.
    HouseholdsDate = "households_date",
    /// Unusually many or few households.
    HouseholdsRange = "households_range",
    /// Households cannot be read.
    HouseholdsUnclear = "households_unclear",
    /// Households are missing and count as one.
    HouseholdsDefault = "households_default",
    /// Yes or no was written in another form.
    YesNo = "yes_no",
    /// Neither yes nor no.
    YesNoUnclear = "yes_no_unclear",
    /// Unknown language.
    LanguageDefault = "language_default",
    /// The note was shortened.
    NoteTooLong = "note_too_long",
    /// Reached on paper only.
    Unreachable = "unreachable",
    /// Letters were lost before the file came here.
    LostLetter = "lost_letter",
    /// A field cannot be stored.
    Invalid = "invalid",
    /// The same as an earlier row.
    Duplicate = "duplicate",
    /// The same person as in an earlier row, with other values.
    Conflict = "conflict",
    /// Probably the same person as another.
    PossibleDuplicate = "possible_duplicate",
    /// Shares the mobile with another person.
    SharedNumber = "shared_number",
    /// Shares the e-mail address with another person.
    SharedEmail = "shared_email",
    /// In the register already.
    InRegister = "in_register",
    /// Fields that change.
    Changed = "changed",
    /// An opt-out in the register stays although the file says yes.
    OptOutKept = "opt_out_kept",
}

impl Code {
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
