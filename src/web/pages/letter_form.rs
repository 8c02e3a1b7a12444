//! Owns what the page of a letter being written sends: its fields become the letter that somebody wants, and stand on the
//! page again.
//!
//! It checks nothing; `domain::letter` does. Invariant: whatever was typed stands on the page again as it was typed.

use super::form::Fields;
use crate::actions::FieldProblem;
use crate::actions::letter::{LetterChange, NewLetter};
use crate::actions::letter_view::LetterView;
use crate::domain::letter::{CopyRecipientFields, LetterFields, SignatureFields};

/// What a letter from the template begins with: what area chiefs use to tell.
const TEMPLATE: &str = "Hej!\n\n## Problembild just nu\n\nSkriv vad som har hänt den senaste tiden, och var.\n\n\
## Så gick det med era tips\n\nSkriv vad tipsen ledde till.\n\n\
## Medborgarlöften\n\nSkriv vad vi har lovat och vad som är gjort.\n\n\
## Mobilt poliskontor\n\nSkriv när och var vi finns.\n\n\
## Kontakt\n\n- Pågår brott: ring 112.\n- Tips och frågor: ring 114 14.\n";

/// The fields as typed.
#[derive(Debug, Clone, Default)]
pub struct LetterForm {
    /// Area codes.
    pub areas: Vec<String>,
    /// Heading.
    pub subject: String,
    /// Body, Markdown.
    pub body: String,
    /// Diarienummer.
    pub registry_number: String,
    /// That there is none.
    pub no_registry_number: bool,
    /// Saknummer.
    pub subject_code: String,
    /// `YYYY-MM-DD`, or empty for the day it is sent.
    pub dated: String,
    /// Who signs.
    pub signature_name: String,
    /// Title of who signs.
    pub signature_title: String,
    /// Who gets a copy, one a line.
    pub copies: String,
    /// The revision that the page showed; 0 for a new letter.
    pub revision: i64,
}

impl LetterForm {
    /// A letter that nobody has written anything of, to be signed by `name`.
    #[must_use]
    pub fn blank(name: &str) -> Self {
        Self { signature_name: name.to_owned(), ..Self::default() }
    }

    /// The same with the headings that a letter usually has.
    #[must_use]
    pub fn from_template(name: &str) -> Self {
        Self { body: TEMPLATE.to_owned(), ..Self::blank(name) }
    }

    /// The form of a letter that stands.
    #[must_use]
    pub fn of(view: &LetterView) -> Self {
        let fields = view.letter.fields();
        let signature = fields.signature.unwrap_or_default();
        let copies = fields.copy_recipients.iter().map(|copy| format!("{} <{}>\n", copy.name, copy.email));
        Self {
            areas: view.areas.clone(),
            subject: fields.subject,
            body: fields.body_markdown,
            registry_number: fields.registry_number.unwrap_or_default(),
            no_registry_number: fields.no_registry_number,
            subject_code: fields.subject_code.unwrap_or_default(),
            dated: fields.dated.unwrap_or_default(),
            signature_name: signature.name,
            signature_title: signature.title,
            copies: copies.collect(),
            revision: view.message.revision,
        }
    }

    /// A new letter that begins as another. Date and diarienummer are its own.
    #[must_use]
    pub fn copy_of(view: &LetterView) -> Self {
        Self { registry_number: String::new(), dated: String::new(), revision: 0, ..Self::of(view) }
    }

    /// The form of a page.
    #[must_use]
    pub fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).to_owned();
        Self {
            areas: fields.all("areas"),
            subject: text("subject"),
            body: text("body_markdown"),
            registry_number: text("registry_number"),
            no_registry_number: fields.has("no_registry_number"),
            subject_code: text("subject_code"),
            dated: text("dated"),
            signature_name: text("signature_name"),
            signature_title: text("signature_title"),
            copies: text("copy_recipients"),
            revision: text("revision").parse().unwrap_or(0),
        }
    }

    fn fields(&self) -> LetterFields {
        let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let is_signed = filled(&self.signature_name).is_some() || filled(&self.signature_title).is_some();
        LetterFields {
            subject: self.subject.clone(),
            body_markdown: self.body.clone(),
            registry_number: filled(&self.registry_number),
            no_registry_number: self.no_registry_number,
            subject_code: filled(&self.subject_code),
            dated: filled(&self.dated),
            signature: is_signed
                .then(|| SignatureFields { name: self.signature_name.clone(), title: self.signature_title.clone() }),
            copy_recipients: self.copies.lines().filter_map(copy_recipient).collect(),
        }
    }

    /// The letter that is wanted.
    #[must_use]
    pub fn wanted(&self) -> NewLetter {
        NewLetter { fields: self.fields(), areas: self.areas.clone(), send_at: None }
    }

    /// What becomes different of the letter that the page showed. When it goes stays as it is.
    #[must_use]
    pub fn change(&self) -> LetterChange {
        let fields = self.fields();
        LetterChange {
            subject: Some(fields.subject),
            body_markdown: Some(fields.body_markdown),
            areas: Some(self.areas.clone()),
            registry_number: Some(fields.registry_number),
            no_registry_number: Some(fields.no_registry_number),
            subject_code: Some(fields.subject_code),
            dated: Some(fields.dated),
            signature: Some(fields.signature),
            copy_recipients: Some(fields.copy_recipients),
            send_at: None,
            expected_revision: Some(self.revision),
        }
    }

    /// Everything of it in one text, to tell one sending from another.
    #[must_use]
    pub fn digest_text(&self) -> String {
        serde_json::json!([
            self.areas,
            self.subject,
            self.body,
            self.registry_number,
            self.no_registry_number,
            self.subject_code,
            self.dated,
            self.signature_name,
            self.signature_title,
            self.copies,
            self.revision
        ])
        .to_string()
    }
}

/// `Krokoms kommun <kommun@example.org>`, or a name and an address with a blank or comma between them.
fn copy_recipient(line: &str) -> Option<CopyRecipientFields> {
    let line = line.trim();
    if line.is_empty() {
        return None;
    }
    let apart = |c: char| c.is_whitespace() || matches!(c, ',' | ';');
    let (name, email) = match line.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some(parts) => parts,
        None => match line.rsplit_once(apart) {
            Some((name, email)) if email.contains('@') => (name, email),
            _ if line.contains('@') => ("", line),
            _ => (line, ""),
        },
    };
    let name = name.trim_matches(apart).to_owned();
    Some(CopyRecipientFields { name, email: email.trim().to_owned() })
}

/// Problems as the page has its fields: their names, and words that do not speak of the API.
#[must_use]
pub fn on_page(problems: Vec<FieldProblem>) -> Vec<FieldProblem> {
    problems.into_iter().map(one_on_page).collect()
}

fn one_on_page(mut problem: FieldProblem) -> FieldProblem {
    if problem.code == "letter.registry_number_missing" {
        problem.detail = "Ange diarienummer, eller kryssa i att brevet inte har något.".to_owned();
    }
    if let Some((_, rest)) = problem.name.split_once("copy_recipients[") {
        let (at, field) = rest.split_once("].").unwrap_or((rest, ""));
        let line = at.parse::<usize>().map_or(1, |at| at + 1);
        let what = if field == "name" { "Skriv namnet först, sedan adressen." } else { &problem.detail };
        problem.detail = format!("Sändlistan, mottagare {line}: {what}");
        problem.name = "copy_recipients".to_owned();
    }
    problem.name = problem.name.replace('.', "_");
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_read_as_people_write_them() {
        for (line, name, email) in [
            ("Krokoms kommun <k@example.org>", "Krokoms kommun", "k@example.org"),
            ("  Krokoms kommun, k@example.org ", "Krokoms kommun", "k@example.org"),
            ("Krokoms kommun\tk@example.org", "Krokoms kommun", "k@example.org"),
            ("Krokoms kommun; k@example.org", "Krokoms kommun", "k@example.org"),
            ("k@example.org", "", "k@example.org"),
            ("Krokoms kommun", "Krokoms kommun", ""),
            ("A < B <k@example.org>", "A < B", "k@example.org"),
        ] {
            let copy = copy_recipient(line).unwrap();
            assert_eq!((copy.name.as_str(), copy.email.as_str()), (name, email), "{line}");
        }
        assert_eq!(copy_recipient("   "), None);
    }

    #[test]
    fn problems_stand_at_fields_of_the_page() {
        let problem = |name: &str, code| FieldProblem::new(name, code, "Fel.");
        let shown = on_page(vec![
            problem("signature.name", "letter.missing"),
            problem("copy_recipients[2].email", "email.invalid"),
            problem("registry_number", "letter.registry_number_missing"),
        ]);
        let names: Vec<&str> = shown.iter().map(|problem| problem.name.as_str()).collect();
        assert_eq!(names, ["signature_name", "copy_recipients", "registry_number"]);
        assert_eq!(shown[1].detail, "Sändlistan, mottagare 3: Fel.");
        assert!(!shown[2].detail.contains("no_registry_number"));
    }

    #[test]
    fn what_is_left_empty_is_left_out() {
        let fields = Fields::default();
        let form = LetterForm { revision: 4, registry_number: "A1".into(), ..LetterForm::read(&fields) };
        assert_eq!(form.change().expected_revision, Some(4));
        assert_eq!(form.wanted().fields.registry_number.as_deref(), Some("A1"));
        assert!(form.wanted().fields.signature.is_none());
    }
}
