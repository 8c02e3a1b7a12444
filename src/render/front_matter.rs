//! Owns the reading of a letter file: front matter between two lines `---`, then the body in Markdown.
//!
//! It checks no values (`domain::letter` does). Invariant: every line of the front matter is either understood or an
//! error that names its number; nothing is skipped in silence.
//!
//! The front matter is a small part of YAML: `key: value`, lists as `[a, b]` or as `- item` lines, and one level of keys
//! below `signature` and the items of `copy_recipients`. A value runs to the end of its line and may be quoted.

use crate::domain::letter::{CopyRecipientFields, LetterFields, SignatureFields};

/// A letter as a file holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFile {
    /// Head and body.
    pub fields: LetterFields,
    /// Codes of the areas it goes to.
    pub areas: Vec<String>,
    /// When to send it, as written.
    pub send_at: Option<String>,
}

/// What is wrong with a letter file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrontMatterError {
    /// The file does not begin with front matter.
    #[error("the file must begin with a line --- and the letter's head, ended by another line ---")]
    Missing,
    /// A key that no letter has.
    #[error("line {line}: unknown key \"{key}\"; allowed are {}", KEYS.map(|(key, _)| key).join(", "))]
    UnknownKey {
        /// Line number from 1.
        line: usize,
        /// The key as written.
        key: String,
    },
    /// A line of another form.
    #[error("line {line}: write \"key: value\"")]
    NotUnderstood {
        /// Line number from 1.
        line: usize,
    },
}

/// Reads a letter file.
///
/// # Errors
/// [`FrontMatterError`] with the line that is wrong.
pub fn parse(file: &str) -> Result<LetterFile, FrontMatterError> {
    let file = file.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut lines = file.split('\n').enumerate();
    match lines.by_ref().find(|(_, line)| !line.trim().is_empty()) {
        Some((_, line)) if line.trim_end() == FENCE => {}
        _ => return Err(FrontMatterError::Missing),
    }
    let mut reader = Reader::default();
    for (at, line) in lines.by_ref() {
        if line.trim_end() == FENCE {
            reader.letter.fields.body_markdown =
                lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned();
            return Ok(reader.letter);
        }
        reader.take(at + 1, line)?;
    }
    Err(FrontMatterError::Missing)
}

const FENCE: &str = "---";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Subject,
    Areas,
    RegistryNumber,
    NoRegistryNumber,
    SubjectCode,
    Dated,
    Signature,
    CopyRecipients,
    SendAt,
}

const KEYS: [(&str, Key); 9] = [
    ("subject", Key::Subject),
    ("areas", Key::Areas),
    ("registry_number", Key::RegistryNumber),
    ("no_registry_number", Key::NoRegistryNumber),
    ("subject_code", Key::SubjectCode),
    ("dated", Key::Dated),
    ("signature", Key::Signature),
    ("copy_recipients", Key::CopyRecipients),
    ("send_at", Key::SendAt),
];

#[derive(Default)]
struct Reader {
    letter: LetterFile,
    /// The key whose indented lines may follow.
    open: Option<Key>,
}

impl Reader {
    fn take(&mut self, number: usize, line: &str) -> Result<(), FrontMatterError> {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            return Ok(());
        }
        let not_understood = FrontMatterError::NotUnderstood { line: number };
        if line.starts_with([' ', '\t']) || content.starts_with("- ") {
            return self.take_nested(content).ok_or(not_understood);
        }
        let (key, value) = content.split_once(':').ok_or(not_understood.clone())?;
        let key = key.trim();
        let (_, key) = KEYS
            .into_iter()
            .find(|(name, _)| *name == key)
            .ok_or_else(|| FrontMatterError::UnknownKey { line: number, key: key.to_owned() })?;
        self.open = Some(key);
        self.set(key, value.trim()).ok_or(not_understood)
    }

    fn set(&mut self, key: Key, value: &str) -> Option<()> {
        let fields = &mut self.letter.fields;
        let text = || (!value.is_empty()).then(|| unquoted(value).to_owned());
        match key {
            Key::Subject => fields.subject = text().unwrap_or_default(),
            Key::Areas => self.letter.areas.extend(items(value)),
            Key::RegistryNumber => fields.registry_number = text(),
            Key::NoRegistryNumber => fields.no_registry_number = truth(value)?,
            Key::SubjectCode => fields.subject_code = text(),
            Key::Dated => fields.dated = text(),
            Key::Signature if !value.is_empty() => fields.signature = Some(signature(unquoted(value))),
            Key::Signature => {}
            Key::CopyRecipients => fields.copy_recipients.extend(items(value).map(|item| copy_recipient(&item))),
            Key::SendAt => self.letter.send_at = text(),
        }
        Some(())
    }

    /// A line below a key: `- item`, or `name: value` of a signature or copy recipient.
    fn take_nested(&mut self, content: &str) -> Option<()> {
        let fields = &mut self.letter.fields;
        let (begins_item, content) = match content.strip_prefix("- ") {
            Some(item) => (true, item.trim()),
            None => (false, content),
        };
        match self.open? {
            Key::Areas if begins_item => self.letter.areas.push(unquoted(content).to_owned()),
            Key::CopyRecipients => {
                if begins_item {
                    fields.copy_recipients.push(copy_recipient(unquoted(content)));
                }
                let last = fields.copy_recipients.last_mut()?;
                match property(content) {
                    Some(("name", value)) if begins_item => {
                        *last = CopyRecipientFields { name: value.to_owned(), email: String::new() };
                    }
                    Some(("email", value)) if begins_item => {
                        *last = CopyRecipientFields { name: String::new(), email: value.to_owned() };
                    }
                    Some(("name", value)) => value.clone_into(&mut last.name),
                    Some(("email", value)) => value.clone_into(&mut last.email),
                    _ if begins_item => {}
                    _ => return None,
                }
            }
            Key::Signature if !begins_item => {
                let signature = fields.signature.get_or_insert_default();
                match property(content)? {
                    ("name", value) => value.clone_into(&mut signature.name),
                    ("title", value) => value.clone_into(&mut signature.title),
                    _ => return None,
                }
            }
            _ => return None,
        }
        Some(())
    }
}

fn property(content: &str) -> Option<(&str, &str)> {
    let (key, value) = content.split_once(':')?;
    Some((key.trim(), unquoted(value.trim())))
}

fn unquoted(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

/// `[a, b]` or `a, b`.
fn items(value: &str) -> impl Iterator<Item = String> {
    let inner = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')).unwrap_or(value);
    inner.split(',').map(|item| unquoted(item.trim()).to_owned()).filter(|item| !item.is_empty())
}

fn truth(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "true" | "yes" | "ja" => Some(true),
        "false" | "no" | "nej" | "" => Some(false),
        _ => None,
    }
}

/// `Anna Hedin, Tf områdeschef`.
fn signature(value: &str) -> SignatureFields {
    let (name, title) = value.split_once(',').unwrap_or((value, ""));
    SignatureFields { name: name.trim().to_owned(), title: title.trim().to_owned() }
}

/// `Krokoms kommun <kommun@example.org>` or an address alone, which then is the name too.
fn copy_recipient(value: &str) -> CopyRecipientFields {
    match value.strip_suffix('>').and_then(|value| value.rsplit_once('<')) {
        Some((name, email)) => {
            CopyRecipientFields { name: unquoted(name.trim()).to_owned(), email: email.trim().to_owned() }
        }
        None => CopyRecipientFields { name: value.to_owned(), email: value.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(name: &str, email: &str) -> CopyRecipientFields {
        CopyRecipientFields { name: name.into(), email: email.into() }
    }

    #[test]
    fn the_short_and_the_long_form_mean_the_same() {
        let short = "---\nsubject: Höstens brev: läget\nareas: [jamtland, 2380]\nregistry_number: A378.812/2016\n\
                     subject_code: \"742\"\ndated: 2026-11-20\nsignature: Anna Hedin, Tf områdeschef\n\
                     copy_recipients: Krokoms kommun <k@example.org>, b@example.org\n\
                     send_at: 2026-11-21T07:00:00+01:00\n---\n\n# Hej\n\n---\nslut\n";
        let long = "\u{feff}---\r\n# brevets huvud\r\nsubject: 'Höstens brev: läget'\r\n\r\nareas:\r\n  - jamtland\r\n  - 2380\r\n\
                    registry_number: A378.812/2016\r\nno_registry_number: false\r\nsubject_code: 742\r\ndated: 2026-11-20\r\n\
                    signature:\r\n  name: Anna Hedin\r\n  title: Tf områdeschef\r\ncopy_recipients:\r\n- name: Krokoms kommun\r\n\
                    \u{20} email: k@example.org\r\n- b@example.org\r\nsend_at: 2026-11-21T07:00:00+01:00\r\n---\r\n# Hej\r\n\r\n\
                    ---\r\nslut";
        let expected = LetterFile {
            fields: LetterFields {
                subject: "Höstens brev: läget".into(),
                body_markdown: "# Hej\n\n---\nslut".into(),
                registry_number: Some("A378.812/2016".into()),
                no_registry_number: false,
                subject_code: Some("742".into()),
                dated: Some("2026-11-20".into()),
                signature: Some(SignatureFields { name: "Anna Hedin".into(), title: "Tf områdeschef".into() }),
                copy_recipients: vec![copy("Krokoms kommun", "k@example.org"), copy("b@example.org", "b@example.org")],
            },
            areas: vec!["jamtland".into(), "2380".into()],
            send_at: Some("2026-11-21T07:00:00+01:00".into()),
        };
        assert_eq!(parse(short).unwrap(), expected);
        assert_eq!(parse(long).unwrap(), expected);
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        let table = [
            ("", FrontMatterError::Missing),
            ("# Hej", FrontMatterError::Missing),
            ("---\nsubject: x\n", FrontMatterError::Missing),
            ("---\nrubrik: x\n---\n", FrontMatterError::UnknownKey { line: 2, key: "rubrik".into() }),
            ("---\n\nsubject\n---\n", FrontMatterError::NotUnderstood { line: 3 }),
            ("---\n- x\n---\n", FrontMatterError::NotUnderstood { line: 2 }),
            ("---\nsubject: x\n  y: z\n---\n", FrontMatterError::NotUnderstood { line: 3 }),
            ("---\nno_registry_number: kanske\n---\n", FrontMatterError::NotUnderstood { line: 2 }),
            ("---\nsignature:\n  namn: x\n---\n", FrontMatterError::NotUnderstood { line: 3 }),
            ("---\ncopy_recipients:\n  email: x\n---\n", FrontMatterError::NotUnderstood { line: 3 }),
        ];
        for (file, expected) in table {
            assert_eq!(parse(file), Err(expected), "{file:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_answered_with_those_that_exist() {
        let error = parse("---\nrubrik: x\n---\n").unwrap_err().to_string();
        assert!(error.contains("\"rubrik\"") && error.contains("subject, areas, registry_number"), "{error}");
    }
}
