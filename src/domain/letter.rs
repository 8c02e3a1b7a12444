//! Owns what a letter is: its head, its body and the limits of each field.
//!
//! It knows neither Markdown nor mail (`render::letter`), and not to whom the letter goes. Invariant: no field of a
//! [`Letter`] holds a control character, so none can break out of a mail header; the body alone has line breaks.

use jiff::civil::Date;
use unicode_normalization::UnicodeNormalization;

use super::email_address::EmailAddress;

/// Characters of a subject at most.
pub const MAX_SUBJECT: usize = 200;
/// Characters of a body at most.
pub const MAX_BODY: usize = 100_000;
/// Characters of a registry number, subject code, name or title at most.
pub const MAX_LINE: usize = 100;
/// Addresses on the list of copies at most.
pub const MAX_COPIES: usize = 100;

/// The fields of a letter as somebody wrote them, nothing checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFields {
    /// Subject, also the heading of the letter.
    pub subject: String,
    /// Body, Markdown (CommonMark with tables and strikethrough).
    pub body_markdown: String,
    /// Diarienummer, such as `A378.812/2016`.
    pub registry_number: Option<String>,
    /// That the letter has no registry number, said outright.
    pub no_registry_number: bool,
    /// Saknummer, such as `742`.
    pub subject_code: Option<String>,
    /// Date in the head, `2026-11-20`; `None` = the day it is sent.
    pub dated: Option<String>,
    /// Who signs.
    pub signature: Option<SignatureFields>,
    /// Who gets a copy (sändlista).
    pub copy_recipients: Vec<CopyRecipientFields>,
}

/// A signature as somebody wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignatureFields {
    /// Name.
    pub name: String,
    /// Title, such as `Tf områdeschef`.
    pub title: String,
}

/// Somebody on the list of copies, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyRecipientFields {
    /// Name of the person or organisation.
    pub name: String,
    /// Address.
    pub email: String,
}

/// A valid letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    subject: String,
    body_markdown: String,
    registry_number: Option<String>,
    subject_code: Option<String>,
    dated: Option<Date>,
    signature: Option<Signature>,
    copy_recipients: Vec<CopyRecipient>,
}

/// Who signs a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Name.
    pub name: String,
    /// Title; may be empty.
    pub title: String,
}

/// Somebody who gets a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRecipient {
    /// Name of the person or organisation.
    pub name: String,
    /// Address.
    pub email: String,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field as the API names it: `subject`, `copy_recipients[2].email`.
    pub field: String,
    /// Stable code, such as `letter.subject_too_long`.
    pub code: &'static str,
    /// What is wrong and what to do, in Swedish.
    pub detail: String,
}

impl Letter {
    /// Checks the fields and brings them into one form: NFC, no blanks around single lines, line breaks of the body LF.
    ///
    /// # Errors
    /// Every field that is wrong, in the order of the fields.
    pub fn parse(fields: &LetterFields) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let letter = Self {
            subject: required_line("subject", &fields.subject, MAX_SUBJECT, &mut errors),
            body_markdown: body(&fields.body_markdown, &mut errors),
            registry_number: registry_number(fields, &mut errors),
            subject_code: optional_line("subject_code", fields.subject_code.as_deref(), &mut errors),
            dated: date(fields.dated.as_deref(), &mut errors),
            signature: fields.signature.as_ref().map(|signature| Signature {
                name: required_line("signature.name", &signature.name, MAX_LINE, &mut errors),
                title: line("signature.title", &signature.title, MAX_LINE, &mut errors),
            }),
            copy_recipients: copy_recipients(&fields.copy_recipients, &mut errors),
        };
        if errors.is_empty() { Ok(letter) } else { Err(errors) }
    }

    /// The fields again, as they can be stored and edited.
    #[must_use]
    pub fn fields(&self) -> LetterFields {
        LetterFields {
            subject: self.subject.clone(),
            body_markdown: self.body_markdown.clone(),
            registry_number: self.registry_number.clone(),
            no_registry_number: self.registry_number.is_none(),
            subject_code: self.subject_code.clone(),
            dated: self.dated.map(|date| date.to_string()),
            signature: self
                .signature
                .clone()
                .map(|signature| SignatureFields { name: signature.name, title: signature.title }),
            copy_recipients: self
                .copy_recipients
                .iter()
                .map(|copy| CopyRecipientFields { name: copy.name.clone(), email: copy.email.clone() })
                .collect(),
        }
    }

    /// Subject and heading.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Body, Markdown.
    #[must_use]
    pub fn body_markdown(&self) -> &str {
        &self.body_markdown
    }

    /// Diarienummer; `None` when the author has said that there is none.
    #[must_use]
    pub fn registry_number(&self) -> Option<&str> {
        self.registry_number.as_deref()
    }

    /// Saknummer.
    #[must_use]
    pub fn subject_code(&self) -> Option<&str> {
        self.subject_code.as_deref()
    }

    /// Date in the head; `None` = the day it is sent.
    #[must_use]
    pub fn dated(&self) -> Option<Date> {
        self.dated
    }

    /// Who signs.
    #[must_use]
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    /// Who gets a copy.
    #[must_use]
    pub fn copy_recipients(&self) -> &[CopyRecipient] {
        &self.copy_recipients
    }
}

fn error(field: &str, code: &'static str, detail: impl Into<String>) -> FieldError {
    FieldError { field: field.to_owned(), code, detail: detail.into() }
}

/// One line in NFC without blanks around it; control characters and excess length are errors.
fn line(field: &str, given: &str, longest: usize, errors: &mut Vec<FieldError>) -> String {
    let line: String = given.nfc().collect();
    let line = line.trim();
    if line.contains(char::is_control) {
        errors.push(error(field, "letter.control_character", "Skriv på en rad, utan styrtecken."));
    } else if line.chars().count() > longest {
        errors.push(error(field, "letter.too_long", format!("Skriv högst {longest} tecken.")));
    }
    line.to_owned()
}

fn required_line(field: &str, given: &str, longest: usize, errors: &mut Vec<FieldError>) -> String {
    let line = line(field, given, longest, errors);
    if line.is_empty() {
        let detail = match field {
            "subject" => "Ange en rubrik.",
            "signature.name" => "Ange vem som skriver under.",
            _ => "Ange ett namn.",
        };
        errors.push(error(field, "letter.missing", detail));
    }
    line
}

fn optional_line(field: &str, given: Option<&str>, errors: &mut Vec<FieldError>) -> Option<String> {
    let line = line(field, given?, MAX_LINE, errors);
    (!line.is_empty()).then_some(line)
}

fn body(given: &str, errors: &mut Vec<FieldError>) -> String {
    let lines: String = given.replace("\r\n", "\n").replace('\r', "\n").nfc().collect();
    let body = lines.trim_end();
    if body.trim().is_empty() {
        errors.push(error("body_markdown", "letter.missing", "Skriv brevets text."));
    } else if body.contains(|c: char| c.is_control() && c != '\n' && c != '\t') {
        errors.push(error(
            "body_markdown",
            "letter.control_character",
            "Texten innehåller ett styrtecken. Klistra in den som ren text.",
        ));
    } else if body.chars().count() > MAX_BODY {
        errors.push(error("body_markdown", "letter.too_long", format!("Skriv högst {MAX_BODY} tecken.")));
    }
    body.to_owned()
}

fn registry_number(fields: &LetterFields, errors: &mut Vec<FieldError>) -> Option<String> {
    let number = optional_line("registry_number", fields.registry_number.as_deref(), errors);
    if number.is_none() && !fields.no_registry_number {
        errors.push(error(
            "registry_number",
            "letter.registry_number_missing",
            "Ange diarienummer, eller att brevet inte har något (no_registry_number).",
        ));
    }
    number
}

fn date(given: Option<&str>, errors: &mut Vec<FieldError>) -> Option<Date> {
    let given = given.map(str::trim).filter(|given| !given.is_empty())?;
    let date = Date::strptime("%Y-%m-%d", given).ok().filter(|date| (1900..=2999).contains(&date.year()));
    if date.is_none() {
        errors.push(error("dated", "letter.date_invalid", "Skriv datumet som 2026-11-20."));
    }
    date
}

fn copy_recipients(given: &[CopyRecipientFields], errors: &mut Vec<FieldError>) -> Vec<CopyRecipient> {
    if given.len() > MAX_COPIES {
        errors.push(error("copy_recipients", "letter.too_many_copies", format!("Ange högst {MAX_COPIES} mottagare.")));
        return Vec::new();
    }
    given
        .iter()
        .enumerate()
        .map(|(at, copy)| CopyRecipient {
            name: required_line(&format!("copy_recipients[{at}].name"), &copy.name, MAX_LINE, errors),
            email: address(&format!("copy_recipients[{at}].email"), &copy.email, errors),
        })
        .collect()
}

fn address(field: &str, given: &str, errors: &mut Vec<FieldError>) -> String {
    match EmailAddress::parse(given) {
        Ok(address) => address.as_str().to_owned(),
        Err(invalid) => {
            errors.push(error(field, invalid.code(), invalid.detail()));
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> LetterFields {
        LetterFields {
            subject: "Höstens arbete".into(),
            body_markdown: "Hej!".into(),
            no_registry_number: true,
            ..LetterFields::default()
        }
    }

    fn refused(fields: LetterFields) -> Vec<(String, &'static str)> {
        Letter::parse(&fields).unwrap_err().into_iter().map(|error| (error.field, error.code)).collect()
    }

    #[test]
    fn a_full_letter_is_kept_as_written() {
        let full = LetterFields {
            registry_number: Some(" A378.812/2016 ".into()),
            no_registry_number: false,
            subject_code: Some("742".into()),
            dated: Some("2026-11-20".into()),
            signature: Some(SignatureFields { name: "Anna Hedin".into(), title: "Tf områdeschef".into() }),
            copy_recipients: vec![CopyRecipientFields { name: "Krokoms kommun".into(), email: "k@example.org".into() }],
            ..fields()
        };
        let letter = Letter::parse(&full).unwrap();
        assert_eq!(letter.registry_number(), Some("A378.812/2016"));
        assert_eq!(letter.dated(), Some(Date::constant(2026, 11, 20)));
        assert_eq!(Letter::parse(&letter.fields()).unwrap(), letter);
    }

    #[test]
    fn texts_are_brought_into_one_form() {
        let letter = Letter::parse(&LetterFields {
            subject: "  A\u{30a}rets brev ".into(),
            body_markdown: "rad 1\r\nrad 2\rrad 3 \n\n".into(),
            ..fields()
        })
        .unwrap();
        assert_eq!(letter.subject(), "Årets brev");
        assert_eq!(letter.body_markdown(), "rad 1\nrad 2\nrad 3");
    }

    #[test]
    fn every_wrong_field_is_named() {
        let given = LetterFields {
            subject: " ".into(),
            body_markdown: "\n".into(),
            no_registry_number: false,
            dated: Some("20/11".into()),
            signature: Some(SignatureFields::default()),
            copy_recipients: vec![CopyRecipientFields { name: "x".into(), email: "x".into() }],
            ..LetterFields::default()
        };
        let expected = [
            ("subject", "letter.missing"),
            ("body_markdown", "letter.missing"),
            ("registry_number", "letter.registry_number_missing"),
            ("dated", "letter.date_invalid"),
            ("signature.name", "letter.missing"),
            ("copy_recipients[0].email", "email.invalid"),
        ];
        assert_eq!(refused(given), expected.map(|(field, code)| (field.to_owned(), code)));
    }

    #[test]
    fn nothing_that_could_begin_a_new_header_line_gets_in() {
        for hostile in ["a\r\nBcc: x@example.org", "a\nb", "a\rb", "a\0b", "a\u{85}b", "a\tb", "a\u{1b}b"] {
            let subject = LetterFields { subject: hostile.into(), ..fields() };
            assert_eq!(refused(subject), [("subject".to_owned(), "letter.control_character")], "{hostile:?}");
            let number = LetterFields { registry_number: Some(hostile.into()), ..fields() };
            assert_eq!(refused(number), [("registry_number".to_owned(), "letter.control_character")], "{hostile:?}");
            let copy = CopyRecipientFields { name: hostile.into(), email: format!("{hostile}@example.org") };
            assert_eq!(refused(LetterFields { copy_recipients: vec![copy], ..fields() }).len(), 2, "{hostile:?}");
        }
        assert_eq!(refused(LetterFields { body_markdown: "a\0b".into(), ..fields() }).len(), 1);
        assert!(Letter::parse(&LetterFields { body_markdown: "a\tb\nc".into(), ..fields() }).is_ok());
    }

    #[test]
    fn lengths_are_limited_in_characters() {
        assert!(Letter::parse(&LetterFields { subject: "å".repeat(200), ..fields() }).is_ok());
        assert_eq!(refused(LetterFields { subject: "å".repeat(201), ..fields() })[0].1, "letter.too_long");
        assert!(Letter::parse(&LetterFields { body_markdown: "å".repeat(MAX_BODY), ..fields() }).is_ok());
        assert_eq!(
            refused(LetterFields { body_markdown: "å".repeat(MAX_BODY + 1), ..fields() })[0].1,
            "letter.too_long"
        );
        let copies = vec![CopyRecipientFields::default(); MAX_COPIES + 1];
        assert_eq!(refused(LetterFields { copy_recipients: copies, ..fields() })[0].1, "letter.too_many_copies");
    }
}
