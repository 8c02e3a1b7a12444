//! Owns headings: which field a column holds, by its heading in Swedish or English, and where the heading row is; and what is
//! known of columns that have none.
//!
//! Invariant: a field has at most one column; further columns with its heading are left out and told.

use super::mojibake;
use crate::domain::contact_person::Field;
use crate::domain::email_address::EmailAddress;
use crate::domain::phone::PhoneNumber;
use crate::domain::plain_text::{clean_line, fold_plain};

/// Rows looked at for headings: titles and `sep=;` may stand above them.
pub const HEADING_ROWS: usize = 20;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// A field.
    Field(Field),
    /// First name; joined with the surname to the name.
    FirstName,
    /// Surname.
    LastName,
}

impl Column {
    /// The name that is asked for and stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Field(field) => field.name(),
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
        }
    }

    /// The column with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "first_name" => Some(Self::FirstName),
            "last_name" => Some(Self::LastName),
            name => Field::from_name(name).map(Self::Field),
        }
    }
}

/// One column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundColumn {
    /// The heading as it stands.
    pub heading: String,
    /// What the column holds, `None` when it is left out.
    pub column: Option<Column>,
}

/// The columns of a file, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headings {
    /// One for each column; empty headings at the end are left out.
    pub columns: Vec<FoundColumn>,
}

impl Headings {
    /// Reads a row as headings.
    #[must_use]
    pub fn of(cells: &[String]) -> Self {
        let used = cells.iter().rposition(|cell| !cell.trim().is_empty()).map_or(0, |last| last + 1);
        let texts: Vec<String> = cells[..used].iter().map(|cell| heading_text(cell)).collect();
        let mut columns = Vec::with_capacity(used);
        let has_mobile = texts.iter().any(|text| column_of(text) == Some(Column::Field(Field::Mobile)));
        for text in texts {
            let column = column_of(&text).or_else(|| plain_phone(&text, has_mobile));
            let is_free = |column: &Column| columns.iter().all(|found: &FoundColumn| found.column != Some(*column));
            let column = column.filter(is_free);
            columns.push(FoundColumn { heading: text, column });
        }
        Self { columns }
    }

    /// Columns of a file without headings, by what stands in its first rows: e-mail addresses and mobile numbers are known by
    /// themselves, everything else is for a person to say.
    #[must_use]
    pub fn guessed(rows: &[Vec<String>]) -> Self {
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut columns: Vec<FoundColumn> = Vec::with_capacity(width);
        for at in 0..width {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.trim());
            let column = guess(cells.filter(|cell| !cell.is_empty()));
            let is_free = columns.iter().all(|found| found.column != column);
            columns.push(FoundColumn { heading: String::new(), column: column.filter(|_| is_free) });
        }
        Self { columns }
    }

    /// Which of the columns holds `column`.
    #[must_use]
    pub fn position(&self, column: Column) -> Option<usize> {
        self.columns.iter().position(|found| found.column == Some(column))
    }

    /// Whether there is a column for `field`.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        self.position(Column::Field(field)).is_some()
    }

    /// How many columns are understood.
    #[must_use]
    pub fn understood(&self) -> usize {
        self.columns.iter().filter(|found| found.column.is_some()).count()
    }

    /// Whether this can be the heading row of a register: a name and something else.
    #[must_use]
    pub fn is_register(&self) -> bool {
        let has_name = self.has(Field::Name) || self.position(Column::FirstName).is_some();
        has_name && self.understood() >= 2
    }

    /// Whether `cells` are these headings again.
    #[must_use]
    pub fn is_repeated_in(&self, cells: &[String]) -> bool {
        let same =
            |(cell, found): (&String, &FoundColumn)| fold_plain(&heading_text(cell)) == fold_plain(&found.heading);
        let filled = cells.iter().zip(&self.columns).filter(|(cell, _)| !cell.trim().is_empty());
        let (all, equal) = filled.fold((0, 0), |(all, equal), pair| (all + 1, equal + usize::from(same(pair))));
        all >= 2 && equal * 4 >= all * 3
    }
}

/// What most of the cells are.
fn guess<'a>(cells: impl Iterator<Item = &'a str>) -> Option<Column> {
    let (mut all, mut emails, mut mobiles) = (0, 0, 0);
    for cell in cells {
        all += 1;
        emails += usize::from(EmailAddress::parse(cell).is_ok());
        mobiles += usize::from(PhoneNumber::parse(cell).is_ok_and(|number| number.can_get_sms()));
    }
    match all {
        0 => None,
        all if emails * 2 > all => Some(Column::Field(Field::Email)),
        all if mobiles * 2 > all => Some(Column::Field(Field::Mobile)),
        _ => None,
    }
}

fn heading_text(cell: &str) -> String {
    clean_line(&mojibake::repaired(cell).unwrap_or_else(|| cell.to_owned()))
}

/// A column headed just "Telefon" is the mobile when there is no other, else the second number.
fn plain_phone(text: &str, has_mobile: bool) -> Option<Column> {
    let is_phone = matches!(
        key(text).as_str(),
        "telefon" | "tel" | "telefonnr" | "telefonnummer" | "telnr" | "phone" | "phonenumber" | "nummer"
    );
    is_phone.then_some(Column::Field(if has_mobile { Field::Phone2 } else { Field::Mobile }))
}

fn key(text: &str) -> String {
    fold_plain(text).replace(' ', "")
}

fn column_of(text: &str) -> Option<Column> {
    let key = key(text);
    HEADINGS.iter().find(|(_, names)| names.contains(&key.as_str())).map(|(column, _)| *column)
}

const HEADINGS: [(Column, &[&str]); 18] = [
    (
        Column::Field(Field::Name),
        &[
            "namn",
            "name",
            "fullname",
            "fullstandigtnamn",
            "kontaktombud",
            "kontaktombudetsnamn",
            "kontaktperson",
            "ombud",
            "ombudetsnamn",
            "forochefternamn",
            "fornamnochefternamn",
            "fornamnefternamn",
            "contactperson",
            "contact",
            "personnamn",
        ],
    ),
    (Column::FirstName, &["fornamn", "firstname", "givenname", "tilltalsnamn"]),
    (Column::LastName, &["efternamn", "lastname", "surname", "familyname"]),
    (
        Column::Field(Field::Mobile),
        &[
            "mobil",
            "mobile",
            "mobilnr",
            "mobilnummer",
            "mobiltelefon",
            "mobiltel",
            "mobiltelefonnummer",
            "mobilephone",
            "mobilenumber",
            "mobiltelefonnr",
            "cell",
            "cellphone",
            "smsnummer",
            "smsnr",
            "telefonmobil",
            "telmobil",
            "mobil1",
        ],
    ),
    (
        Column::Field(Field::Phone2),
        &[
            "telefon2",
            "phone2",
            "tel2",
            "mobil2",
            "hemtelefon",
            "hemtel",
            "fasttelefon",
            "telefonhem",
            "telhem",
            "bostad",
            "annantelefon",
            "ovrigtelefon",
            "homephone",
            "landline",
            "telefonbostad",
            "fasttel",
        ],
    ),
    (
        Column::Field(Field::Email),
        &[
            "epost",
            "email",
            "mail",
            "mejl",
            "epostadress",
            "mailadress",
            "mejladress",
            "emailaddress",
            "emailadress",
            "epost1",
            "email1",
        ],
    ),
    (Column::Field(Field::Email2), &["epost2", "email2", "mail2", "annanepost", "ovrigepost", "secondaryemail"]),
    (
        Column::Field(Field::Address),
        &[
            "adress",
            "address",
            "gatuadress",
            "gata",
            "street",
            "streetaddress",
            "postadress",
            "utdelningsadress",
            "bostadsadress",
        ],
    ),
    (Column::Field(Field::Postcode), &["postnr", "postnummer", "postcode", "zip", "zipcode", "postalcode", "postkod"]),
    (Column::Field(Field::Place), &["ort", "postort", "place", "city", "town", "stad", "by", "bostadsort"]),
    (
        Column::Field(Field::Municipality),
        &["kommun", "municipality", "kommunkod", "kommunnamn", "kommunnr", "municipalitycode"],
    ),
    (
        Column::Field(Field::WatchArea),
        &[
            "omrade",
            "watcharea",
            "area",
            "grannsamverkansomrade",
            "samverkansomrade",
            "omradesnamn",
            "bevakningsomrade",
            "grannsamverkan",
            "kvarter",
            "bostadsomrade",
            "omradenamn",
        ],
    ),
    (
        Column::Field(Field::Households),
        &[
            "antalhushall",
            "hushall",
            "households",
            "antalhus",
            "hus",
            "antalfastigheter",
            "numberofhouseholds",
            "household",
            "anthushall",
        ],
    ),
    (Column::Field(Field::Language), &["sprak", "language", "lang", "modersmal", "kontaktsprak"]),
    (
        Column::Field(Field::Letters),
        &["brev", "letters", "letter", "informationsbrev", "nyhetsbrev", "newsletter", "brevutskick", "villhabrev"],
    ),
    (
        Column::Field(Field::Alerts),
        &["sms", "alerts", "alert", "larm", "smslarm", "smsutskick", "larmsms", "villhasms", "smsavisering"],
    ),
    (
        Column::Field(Field::Note),
        &[
            "anteckning",
            "anteckningar",
            "note",
            "notes",
            "kommentar",
            "kommentarer",
            "ovrigt",
            "notering",
            "noteringar",
            "anmarkning",
            "comment",
            "comments",
            "ovriginformation",
        ],
    ),
    (
        Column::Field(Field::ProtectedIdentity),
        &[
            "skyddadidentitet",
            "protectedidentity",
            "skyddadepersonuppgifter",
            "sekretess",
            "sekretessmarkering",
            "skyddad",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Vec<Option<Column>> {
        let cells: Vec<String> = line.split(';').map(str::to_owned).collect();
        Headings::of(&cells).columns.into_iter().map(|found| found.column).collect()
    }

    #[test]
    fn swedish_and_english_headings_mean_the_same() {
        let swedish =
            fields("Namn;Mobil ;E-post;Adress;Postnr;Ort;Kommun;Område;Antal hushåll;Språk;Brev;SMS;Anteckning");
        let english = fields(
            "name;mobile;email;address;postcode;place;municipality;watch_area;households;language;letters;alerts;note",
        );
        assert_eq!(swedish, english);
        assert!(swedish.iter().all(Option::is_some));
        assert_eq!(
            fields("namn;OMRA\u{30a}DE;OmrÃ¥de"),
            [Some(Column::Field(Field::Name)), Some(Column::Field(Field::WatchArea)), None]
        );
    }

    #[test]
    fn a_column_headed_telefon_is_the_mobile_only_when_there_is_no_other() {
        assert_eq!(fields("Namn;Telefon")[1], Some(Column::Field(Field::Mobile)));
        assert_eq!(
            fields("Namn;Telefon;Mobil")[1..],
            [Some(Column::Field(Field::Phone2)), Some(Column::Field(Field::Mobile))]
        );
    }

    #[test]
    fn a_personal_number_column_is_never_read() {
        assert_eq!(fields("Namn;Personnummer;Ort")[1], None);
    }

    #[test]
    fn only_a_row_with_a_name_and_more_is_a_heading_row() {
        let is_register =
            |line: &str| Headings::of(&line.split(';').map(str::to_owned).collect::<Vec<_>>()).is_register();
        assert!(is_register("Förnamn;Efternamn;Mobil"));
        assert!(!is_register("Kontaktombud 2026;;;"));
        assert!(!is_register("Anna Hedin;070-174 31 68;Storgatan"));
        assert!(!is_register("Namn"));
    }
}
