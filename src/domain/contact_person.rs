//! Owns what is held on a contact person: its fields and what each may hold.
//!
//! It knows nothing of opt-outs, pauses or messages, which have their own lives. Invariant: a [`ContactPerson`] has
//! passed [`validate`], the one place where import and API check the fields.

use std::ops::{Index, IndexMut, RangeInclusive};

use super::area::{AreaKind, AreaTree};
use super::email_address::EmailAddress;
use super::language;
use super::personal_number::contains_personal_number;
use super::phone::PhoneNumber;
use super::plain_text::{clean_line, clean_lines, fold, is_forbidden_control};

/// Households one contact person usually stands for. Where none are told, 1 is assumed: the person's own.
pub const USUAL_HOUSEHOLDS: RangeInclusive<u32> = 1..=200;
/// Households that an operator may confirm.
pub const CONFIRMED_HOUSEHOLDS: RangeInclusive<u32> = 0..=10_000;
/// Characters of a note.
pub const MAX_NOTE: usize = 1_000;

/// A field of a contact person; the columns of a register file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// First name and surname.
    Name,
    /// Number that gets SMS.
    Mobile,
    /// Another number, of any kind.
    Phone2,
    /// Address that gets letters.
    Email,
    /// Another address.
    Email2,
    /// Street and number, farm, c/o.
    Address,
    /// Postcode.
    Postcode,
    /// Postal place.
    Place,
    /// Municipality, by code or name.
    Municipality,
    /// Watch area, by name within its municipality.
    WatchArea,
    /// How many households the person stands for.
    Households,
    /// Language of texts to the person.
    Language,
    /// Wants letters.
    Letters,
    /// Wants alerts.
    Alerts,
    /// Free note.
    Note,
    /// Personal data are protected.
    ProtectedIdentity,
}

impl Field {
    /// All fields, in the order in which they are shown.
    pub const ALL: [Self; 16] = [
        Self::Name,
        Self::Mobile,
        Self::Phone2,
        Self::Email,
        Self::Email2,
        Self::Address,
        Self::Postcode,
        Self::Place,
        Self::Municipality,
        Self::WatchArea,
        Self::Households,
        Self::Language,
        Self::Letters,
        Self::Alerts,
        Self::Note,
        Self::ProtectedIdentity,
    ];

    /// The name in files and in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// The name in Swedish, lower case.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.words().1
    }

    /// The field with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// Whether it holds several lines.
    #[must_use]
    pub fn has_lines(self) -> bool {
        matches!(self, Self::Address | Self::Note)
    }

    /// Characters it may hold.
    #[must_use]
    pub fn max_length(self) -> usize {
        match self {
            Self::Note => MAX_NOTE,
            Self::Address => 300,
            Self::Email | Self::Email2 => 254,
            Self::Name => 200,
            _ => 100,
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Name => ("name", "namn"),
            Self::Mobile => ("mobile", "mobil"),
            Self::Phone2 => ("phone2", "telefon 2"),
            Self::Email => ("email", "e-post"),
            Self::Email2 => ("email2", "e-post 2"),
            Self::Address => ("address", "adress"),
            Self::Postcode => ("postcode", "postnummer"),
            Self::Place => ("place", "ort"),
            Self::Municipality => ("municipality", "kommun"),
            Self::WatchArea => ("watch_area", "område"),
            Self::Households => ("households", "antal hushåll"),
            Self::Language => ("language", "språk"),
            Self::Letters => ("letters", "brev"),
            Self::Alerts => ("alerts", "sms"),
            Self::Note => ("note", "anteckning"),
            Self::ProtectedIdentity => ("protected_identity", "skyddade personuppgifter"),
        }
    }
}

/// The fields as text, empty where nothing is known. In canonical values numbers are E.164, the municipality stands by
/// name, and what is true or false is `yes` or `no`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values([String; 16]);

impl Index<Field> for Values {
    type Output = String;

    fn index(&self, field: Field) -> &String {
        &self.0[field as usize]
    }
}

impl IndexMut<Field> for Values {
    fn index_mut(&mut self, field: Field) -> &mut String {
        &mut self.0[field as usize]
    }
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field.
    pub field: Field,
    /// Stable code, such as `phone.too_short` or `field.required`.
    pub code: &'static str,
    /// What is wrong, in Swedish.
    pub detail: String,
}

/// A contact person whose fields are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactPerson {
    /// First name and surname.
    pub name: String,
    /// Can get SMS.
    pub mobile: Option<PhoneNumber>,
    /// Any number; never gets SMS.
    pub phone2: Option<PhoneNumber>,
    /// Gets letters.
    pub email: Option<EmailAddress>,
    /// Kept, not written to.
    pub email2: Option<EmailAddress>,
    /// Street and number, may hold several lines.
    pub address: String,
    /// Swedish: `831 41`; foreign as written.
    pub postcode: String,
    /// Postal place.
    pub place: String,
    /// Code of the municipality in the area tree.
    pub municipality: String,
    /// Name of the watch area within the municipality.
    pub watch_area: String,
    /// How many households the person stands for.
    pub households: u32,
    /// ISO 639 code, one of [`language::CODES`].
    pub language: String,
    /// Wants letters.
    pub letters: bool,
    /// Wants alerts.
    pub alerts: bool,
    /// At most [`MAX_NOTE`] characters.
    pub note: String,
    /// Shown to administrators only, never in lists or logs.
    pub protected_identity: bool,
}

impl ContactPerson {
    /// The canonical values; the municipality by its name in `tree`.
    #[must_use]
    pub fn values(&self, tree: &AreaTree) -> Values {
        let mut values = Values::default();
        let number = |number: &Option<PhoneNumber>| number.as_ref().map_or("", PhoneNumber::e164).to_owned();
        let email = |email: &Option<EmailAddress>| email.as_ref().map_or("", EmailAddress::as_str).to_owned();
        values[Field::Name] = self.name.clone();
        values[Field::Mobile] = number(&self.mobile);
        values[Field::Phone2] = number(&self.phone2);
        values[Field::Email] = email(&self.email);
        values[Field::Email2] = email(&self.email2);
        values[Field::Address] = self.address.clone();
        values[Field::Postcode] = self.postcode.clone();
        values[Field::Place] = self.place.clone();
        values[Field::Municipality] =
            tree.get(&self.municipality).map_or_else(|| self.municipality.clone(), |area| area.name.clone());
        values[Field::WatchArea] = self.watch_area.clone();
        values[Field::Households] = self.households.to_string();
        values[Field::Language] = self.language.clone();
        values[Field::Letters] = yes_no(self.letters).to_owned();
        values[Field::Alerts] = yes_no(self.alerts).to_owned();
        values[Field::Note] = self.note.clone();
        values[Field::ProtectedIdentity] = yes_no(self.protected_identity).to_owned();
        values
    }
}

/// How a truth stands in [`Values`].
#[must_use]
pub fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Checks all fields. `households` is the range allowed: [`USUAL_HOUSEHOLDS`], or [`CONFIRMED_HOUSEHOLDS`] where an
/// operator has confirmed the number. Empty `households` means 1, empty `language` Swedish, empty `letters` and
/// `alerts` yes.
///
/// # Errors
/// Every field that cannot be stored, each once.
pub fn validate(
    values: &Values,
    tree: &AreaTree,
    households: &RangeInclusive<u32>,
) -> Result<ContactPerson, Vec<FieldError>> {
    let mut check = Check { values, errors: Vec::new() };
    check.texts();
    let municipality = check.municipality(tree);
    let person = ContactPerson {
        name: check.required(Field::Name),
        mobile: check.mobile(),
        phone2: check.number(Field::Phone2),
        email: check.email(Field::Email),
        email2: check.email(Field::Email2),
        address: clean_lines(&values[Field::Address]),
        postcode: clean_line(&values[Field::Postcode]),
        place: clean_line(&values[Field::Place]),
        municipality,
        watch_area: check.required(Field::WatchArea),
        households: check.households(households),
        language: check.language(),
        letters: check.truth(Field::Letters, true),
        alerts: check.truth(Field::Alerts, true),
        note: clean_lines(&values[Field::Note]),
        protected_identity: check.truth(Field::ProtectedIdentity, false),
    };
    if check.errors.is_empty() { Ok(person) } else { Err(check.errors) }
}

/// The code of the municipality that `text` names by code or name.
#[must_use]
pub fn municipality_code<'a>(text: &str, tree: &'a AreaTree) -> Option<&'a str> {
    let name = fold(text);
    tree.iter()
        .filter(|area| area.kind == AreaKind::Municipality)
        .find(|area| area.code == name || fold(&area.name) == name)
        .map(|area| area.code.as_str())
}

struct Check<'a> {
    values: &'a Values,
    errors: Vec<FieldError>,
}

impl Check<'_> {
    fn texts(&mut self) {
        for field in Field::ALL {
            let text = &self.values[field];
            if text.chars().any(is_forbidden_control) {
                self.refuse(field, "field.control_character", "Styrtecken får inte förekomma");
            } else if text.chars().count() > field.max_length() {
                self.refuse(field, "field.too_long", format!("Högst {} tecken", field.max_length()));
            } else if !is_number_field(field) && contains_personal_number(text) {
                self.refuse(field, "field.personal_number", "Personnummer får inte sparas i registret");
            }
        }
    }

    fn refuse(&mut self, field: Field, code: &'static str, detail: impl Into<String>) {
        if self.errors.iter().all(|error| error.field != field) {
            self.errors.push(FieldError { field, code, detail: detail.into() });
        }
    }

    fn required(&mut self, field: Field) -> String {
        let text = clean_line(&self.values[field]);
        if text.is_empty() {
            self.refuse(field, "field.required", format!("{} saknas", capitalised(field.label())));
        }
        text
    }

    fn municipality(&mut self, tree: &AreaTree) -> String {
        let text = self.required(Field::Municipality);
        if let Some(code) = municipality_code(&text, tree) {
            return code.to_owned();
        }
        self.refuse(Field::Municipality, "field.unknown", "Kommunen finns inte i polisområdet");
        String::new()
    }

    fn number(&mut self, field: Field) -> Option<PhoneNumber> {
        let text = self.values[field].trim();
        if text.is_empty() {
            return None;
        }
        PhoneNumber::parse(text).map_err(|error| self.refuse(field, error.code(), error.detail())).ok()
    }

    fn mobile(&mut self) -> Option<PhoneNumber> {
        let number = self.number(Field::Mobile)?;
        if !number.can_get_sms() {
            self.refuse(Field::Mobile, "phone.not_mobile", "Fast telefon: kan inte få sms. Skriv numret i telefon 2.");
        }
        Some(number)
    }

    fn email(&mut self, field: Field) -> Option<EmailAddress> {
        let text = self.values[field].trim();
        if text.is_empty() {
            return None;
        }
        EmailAddress::parse(text).map_err(|error| self.refuse(field, error.code(), error.detail())).ok()
    }

    fn households(&mut self, range: &RangeInclusive<u32>) -> u32 {
        let text = self.values[Field::Households].trim();
        let households = if text.is_empty() { Ok(1) } else { text.parse::<u32>() };
        match households {
            Ok(households) if range.contains(&households) => households,
            Ok(_) => {
                let detail = format!("Antal hushåll ska vara {} till {}", range.start(), range.end());
                self.refuse(Field::Households, "field.range", detail);
                0
            }
            Err(_) => {
                self.refuse(Field::Households, "field.invalid", "Antal hushåll ska vara ett heltal");
                0
            }
        }
    }

    fn language(&mut self) -> String {
        let text = self.values[Field::Language].trim();
        if text.is_empty() {
            return language::DEFAULT.to_owned();
        }
        let code = language::code_of(text);
        if code.is_none() {
            self.refuse(Field::Language, "field.unknown", "Okänt språk");
        }
        code.unwrap_or(language::DEFAULT).to_owned()
    }

    fn truth(&mut self, field: Field, when_empty: bool) -> bool {
        match self.values[field].trim() {
            "" => when_empty,
            "yes" | "true" => true,
            "no" | "false" => false,
            _ => {
                self.refuse(field, "field.invalid", "Ska vara ja eller nej");
                false
            }
        }
    }
}

fn is_number_field(field: Field) -> bool {
    matches!(field, Field::Mobile | Field::Phone2)
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
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
            area("jamtland", "Jämtland", AreaKind::PoliceArea, None),
            area("2380", "Östersund", AreaKind::Municipality, Some("jamtland")),
        ])
        .unwrap()
    }

    fn values(pairs: &[(Field, &str)]) -> Values {
        let mut values = Values::default();
        values[Field::Name] = "Åsa Myhr".into();
        values[Field::Municipality] = "Östersund".into();
        values[Field::WatchArea] = "Odensala Norra".into();
        for (field, text) in pairs {
            values[*field] = (*text).to_owned();
        }
        values
    }

    #[test]
    fn a_person_needs_a_name_and_an_area_and_nothing_else() {
        let person = validate(&values(&[]), &tree(), &USUAL_HOUSEHOLDS).unwrap();
        assert_eq!((person.households, person.language.as_str(), person.letters, person.alerts), (1, "sv", true, true));
        assert_eq!(person.municipality, "2380");
        let errors = validate(&Values::default(), &tree(), &USUAL_HOUSEHOLDS).unwrap_err();
        let refused: Vec<_> = errors.iter().map(|error| (error.field, error.code)).collect();
        assert_eq!(
            refused,
            [Field::Municipality, Field::Name, Field::WatchArea].map(|field| (field, "field.required"))
        );
        assert_eq!(errors[1].detail, "Namn saknas");
    }

    #[test]
    fn canonical_values_pass_and_stay() {
        let entered = values(&[
            (Field::Name, "  Åsa   Myhr "),
            (Field::Mobile, "070-174 50 01"),
            (Field::Phone2, "0980-31 92 12"),
            (Field::Email, "Asa.Myhr@Example.org"),
            (Field::Municipality, "2380"),
            (Field::Households, "12"),
            (Field::Language, "norsk"),
            (Field::Alerts, "no"),
            (Field::Note, " Ring först\r\nhunden är snäll "),
        ]);
        let canonical = validate(&entered, &tree(), &USUAL_HOUSEHOLDS).unwrap().values(&tree());
        assert_eq!(canonical[Field::Mobile], "+46701745001");
        assert_eq!(canonical[Field::Municipality], "Östersund");
        assert_eq!(canonical[Field::Language], "nb");
        assert_eq!(canonical[Field::Note], "Ring först\nhunden är snäll");
        let again = validate(&canonical, &tree(), &USUAL_HOUSEHOLDS).unwrap().values(&tree());
        assert_eq!(canonical, again);
    }

    #[test]
    fn each_field_says_what_it_refuses() {
        let long_name = "a".repeat(201);
        let long_note = "a".repeat(1_001);
        for (field, text, code) in [
            (Field::Name, " \u{200b} ", "field.required"),
            (Field::Name, "An\u{0}na", "field.control_character"),
            (Field::Name, "An\u{1b}na", "field.control_character"),
            (Field::Name, long_name.as_str(), "field.too_long"),
            (Field::Name, "Jan 121212-1212", "field.personal_number"),
            (Field::Note, "pnr 121212-1212, ring först", "field.personal_number"),
            (Field::Note, long_note.as_str(), "field.too_long"),
            (Field::Mobile, "070-174 50", "phone.too_short"),
            (Field::Mobile, "0980-31 92 13", "phone.not_mobile"),
            (Field::Phone2, "hem", "phone.letters"),
            (Field::Email, "eva..ek@@example.org", "email.invalid"),
            (Field::Email2, "eva@example.org\r\nBcc: x@example.org", "email.invalid"),
            (Field::Municipality, "Sundsvall", "field.unknown"),
            (Field::Households, "0", "field.range"),
            (Field::Households, "201", "field.range"),
            (Field::Households, "-1", "field.invalid"),
            (Field::Households, "tolv", "field.invalid"),
            (Field::Language, "xx", "field.unknown"),
            (Field::Letters, "kanske", "field.invalid"),
        ] {
            let errors = validate(&values(&[(field, text)]), &tree(), &USUAL_HOUSEHOLDS).unwrap_err();
            let refused: Vec<_> = errors.iter().map(|error| (error.field, error.code)).collect();
            assert_eq!(refused, [(field, code)], "{text}");
        }
    }

    #[test]
    fn an_operator_may_confirm_many_households() {
        let many = values(&[(Field::Households, "1200")]);
        assert!(validate(&many, &tree(), &USUAL_HOUSEHOLDS).is_err());
        assert_eq!(validate(&many, &tree(), &CONFIRMED_HOUSEHOLDS).unwrap().households, 1_200);
    }
}
