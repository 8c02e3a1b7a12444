//! Owns the reading of the two e-mail columns: one address, two, one wrapped in text, one with a slip.
//!
//! What an address is belongs to `domain::email_address`. Invariant: a repaired address is offered, never applied,
//! unless the repair only takes text away from around it.

use super::finding::Code;
use super::row::Draft;
use super::spelling;
use super::survey::Survey;
use crate::domain::contact_person::Field;
use crate::domain::email_address::EmailAddress;
use crate::domain::plain_text::without_diacritics;

/// Mail providers that registers are full of: a domain one slip from these is a slip.
const PROVIDERS: [&str; 24] = [
    "gmail.com",
    "hotmail.com",
    "hotmail.se",
    "outlook.com",
    "live.se",
    "live.com",
    "telia.com",
    "icloud.com",
    "me.com",
    "yahoo.com",
    "yahoo.se",
    "bredband.net",
    "bredbandsbolaget.se",
    "comhem.se",
    "tele2.se",
    "spray.se",
    "home.se",
    "msn.com",
    "passagen.se",
    "swipnet.se",
    "algonet.se",
    "jamtport.se",
    "protonmail.com",
    "online.no",
];

/// Top-level domains of organisations and uses; those of countries have two letters.
const TOP_LEVEL: [&str; 22] = [
    "com", "org", "net", "edu", "gov", "mil", "int", "info", "biz", "name", "pro", "eu", "nu", "email", "mail",
    "online", "app", "dev", "site", "cloud", "me", "tech",
];

/// Reads address and second address.
pub(super) fn read(draft: &mut Draft, survey: &Survey) {
    read_second(draft);
    let text = draft.text(Field::Email).to_owned();
    if text.is_empty() {
        return;
    }
    let (parts, was_wrapped) = parts_of(&text);
    let addresses: Vec<EmailAddress> = parts.iter().filter_map(|part| EmailAddress::parse(part).ok()).collect();
    match addresses.as_slice() {
        [] => ask_about(draft, &text, survey),
        [one] if parts.len() == 1 => {
            if was_wrapped {
                draft.change(Field::Email, text.as_str(), one.as_str());
                draft.warn(Code::EmailUnwrapped, "E-postadressen plockades ut ur texten");
            }
            settle(draft, one, survey);
        }
        [first, second] if parts.len() == 2 && draft.text(Field::Email2).is_empty() => {
            settle_pair(draft, &text, first, second, survey);
        }
        _ => draft.ask(Code::EmailInvalid, "Flera e-postadresser i samma cell. Vilken gäller?"),
    }
}

fn read_second(draft: &mut Draft) {
    let text = draft.text(Field::Email2).to_owned();
    if text.is_empty() {
        return;
    }
    match EmailAddress::parse(&text) {
        Ok(address) => draft.settle(Field::Email2, lowered(&address)),
        Err(error) => draft.ask(Code::EmailInvalid, format!("E-post 2: {}", error.detail())),
    }
}

fn settle_pair(draft: &mut Draft, text: &str, first: &EmailAddress, second: &EmailAddress, survey: &Survey) {
    settle(draft, first, survey);
    if first.key() == second.key() {
        return;
    }
    draft.settle(Field::Email2, lowered(second));
    draft.given.insert(Field::Email2);
    draft.change(Field::Email, text, first.as_str());
    draft.change(Field::Email2, "", second.as_str());
    draft.warn(Code::TwoEmails, "Två e-postadresser: den första används");
}

fn settle(draft: &mut Draft, address: &EmailAddress, survey: &Survey) {
    if address.needs_smtputf8() {
        return ask_nonascii(draft, address);
    }
    if let Some(domain) = likelier_domain(address.domain(), survey) {
        let offered = format!("{}@{domain}", address.local());
        return draft.ask_whether(Code::EmailDomain, Field::Email, &offered);
    }
    draft.settle(Field::Email, lowered(address));
}

/// An address typed with the capitals lock on: the local part is kept as written only where its case says something.
fn lowered(address: &EmailAddress) -> String {
    let local = address.local();
    let is_shouted = local.chars().any(char::is_uppercase) && !local.chars().any(char::is_lowercase);
    if is_shouted { format!("{}@{}", local.to_lowercase(), address.domain()) } else { address.as_str().to_owned() }
}

fn ask_nonascii(draft: &mut Draft, address: &EmailAddress) {
    let plain = format!("{}@{}", without_diacritics(address.local()), address.domain());
    match EmailAddress::parse(&plain) {
        Ok(plain) if !plain.needs_smtputf8() => draft.ask_whether(Code::EmailNonascii, Field::Email, plain.as_str()),
        _ => draft.ask(Code::EmailNonascii, "E-postadressen har bokstäver som få e-posttjänster tar emot"),
    }
}

/// The domain that was meant, when this one cannot be right: its last label is unknown, or it stands alone beside a far
/// more common one.
fn likelier_domain(domain: &str, survey: &Survey) -> Option<String> {
    let own = survey.domain_count(domain);
    if own > 2 || PROVIDERS.contains(&domain) {
        return None;
    }
    let is_known_top = top_is_known(domain);
    let enough = |count: u32| if is_known_top { count >= 3 * own.max(1) && count >= 3 } else { count > 0 };
    let in_file = survey.domains().filter(|(other, count)| enough(*count) && top_is_known(other));
    let others = in_file.map(|(other, count)| (count, other)).chain(PROVIDERS.map(|provider| (1, provider)));
    let near = others.filter(|(_, other)| *other != domain && spelling::is_one_slip(domain, other));
    near.max().map(|(_, other)| other.to_owned())
}

fn top_is_known(domain: &str) -> bool {
    let top = domain.rsplit('.').next().unwrap_or_default();
    top.len() == 2 || TOP_LEVEL.contains(&top)
}

/// What could be addresses in the cell, and whether text around them was left out.
fn parts_of(text: &str) -> (Vec<String>, bool) {
    if EmailAddress::parse(text).is_ok() {
        return (vec![text.to_owned()], false);
    }
    let unwrapped = text.replace("mailto:", " ").replace("Mailto:", " ").replace("MAILTO:", " ");
    let marked = unwrapped.replace(" och ", ";").replace(" eller ", ";");
    let mut parts = Vec::new();
    let mut was_wrapped = unwrapped.len() != text.len();
    for part in marked.split([';', '/', ',', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
        let inner = part.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(inner, _)| inner.trim());
        match inner {
            Some(inner) => {
                was_wrapped = true;
                parts.push(inner.to_owned());
            }
            None => was_wrapped |= push_words(part, &mut parts),
        }
    }
    (parts, was_wrapped)
}

/// Addresses among words, where it is plain that the other words are no part of them: the address stands first, after
/// another, or after a colon. Says whether words were left out. Without any the part stays whole.
fn push_words(part: &str, parts: &mut Vec<String>) -> bool {
    let bare = |word: &str| word.trim_matches(['(', ')', '[', ']', '"', '\'', '.', ':', '<', '>']).to_owned();
    let words: Vec<&str> = part.split_whitespace().collect();
    let mut found = Vec::new();
    let mut is_plain = true;
    for word in &words {
        let address = bare(word);
        if is_plain && EmailAddress::parse(&address).is_ok() {
            found.push(address);
        } else {
            is_plain = word.ends_with(':') || (is_plain && !found.is_empty());
        }
    }
    if found.is_empty() {
        parts.push(part.to_owned());
        return false;
    }
    let was_wrapped = found.len() < words.len() || found.iter().zip(&words).any(|(bare, word)| bare != word);
    parts.extend(found);
    was_wrapped
}

fn ask_about(draft: &mut Draft, text: &str, survey: &Survey) {
    match repaired(text) {
        Some(address) if !address.needs_smtputf8() => {
            let domain = likelier_domain(address.domain(), survey).unwrap_or_else(|| address.domain().to_owned());
            let offered = format!("{}@{domain}", address.local());
            draft.ask_whether(Code::EmailTypo, Field::Email, &offered);
        }
        _ => draft.ask(Code::EmailInvalid, "Ogiltig e-postadress"),
    }
}

/// The address when exactly one kind of slip makes it one: comma for dot, a blank inside, `(at)` for the at-sign, a
/// stray character at the end. Doubled characters may hide something that is missing between them.
fn repaired(text: &str) -> Option<EmailAddress> {
    let commas = text.replace(',', ".");
    let blanks: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let at = ["(at)", "[at]", "{at}", " at ", "(a)", "(snabel-a)"]
        .iter()
        .fold(text.to_owned(), |text, at| text.replace(at, "@"));
    let at: String = at.chars().filter(|c| !c.is_whitespace()).collect();
    let end = text.trim_end_matches(|c: char| !c.is_alphanumeric()).to_owned();
    let mut found: Vec<EmailAddress> =
        [commas, blanks, at, end].iter().filter_map(|text| EmailAddress::parse(text).ok()).collect();
    found.dedup();
    match found.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register_file::row::{Answer, RowCells};
    use crate::register_file::survey::Overrides;

    fn read_cell(email: &str) -> Draft {
        let mut file = "Namn;E-post\n".to_owned();
        for at in 0..6 {
            file.push_str(&format!("Anna;a{at}@example.org\nPer;p{at}@post.example.org\n"));
        }
        file.push_str(&format!("Eva;\"{email}\"\n"));
        let survey = Survey::of(file.as_bytes(), &Overrides::default()).unwrap();
        let mut cells = RowCells::default();
        cells.cells[Field::Email] = email.to_owned();
        let mut draft = Draft::new(&cells, &Answer::default());
        read(&mut draft, &survey);
        draft
    }

    #[test]
    fn good_addresses_pass_in_silence() {
        for (text, expected) in [
            (" Karin.Aslund@Example.ORG ", "Karin.Aslund@example.org"),
            ("KARIN.ASLUND@example.org", "karin.aslund@example.org"),
            ("anna@räksmörgås.example.org", "anna@räksmörgås.example.org"),
            ("a.b+c@post.example.org", "a.b+c@post.example.org"),
            ("anna@gmail.com", "anna@gmail.com"),
            ("anna@foretag.example.org", "anna@foretag.example.org"),
        ] {
            let draft = read_cell(text);
            assert_eq!(draft.findings.codes(), Vec::<String>::new(), "{text}");
            assert_eq!(draft.values[Field::Email], expected);
        }
    }

    #[test]
    fn addresses_are_taken_out_of_text() {
        for text in [
            "mailto:Lena Wiklund <lena.wiklund@example.org>",
            "Lena Wiklund <lena.wiklund@example.org>",
            "mailto:lena.wiklund@example.org",
            "lena.wiklund@example.org (jobb)",
            "e-post: lena.wiklund@example.org",
            "<lena.wiklund@example.org>",
        ] {
            let draft = read_cell(text);
            assert_eq!(draft.findings.codes(), ["email_unwrapped"], "{text}");
            assert_eq!(draft.values[Field::Email], "lena.wiklund@example.org", "{text}");
        }
    }

    #[test]
    fn of_two_addresses_the_first_is_used_and_the_second_kept() {
        for text in [
            "ruta.k@example.org; ruta.jobb@foretag.example.org",
            "ruta.k@example.org, ruta.jobb@foretag.example.org",
            "ruta.k@example.org ruta.jobb@foretag.example.org",
            "ruta.k@example.org / ruta.jobb@foretag.example.org",
            "ruta.k@example.org eller ruta.jobb@foretag.example.org",
        ] {
            let draft = read_cell(text);
            assert_eq!(draft.findings.codes(), ["two_emails"], "{text}");
            assert_eq!(draft.values[Field::Email], "ruta.k@example.org", "{text}");
            assert_eq!(draft.values[Field::Email2], "ruta.jobb@foretag.example.org", "{text}");
        }
    }

    #[test]
    fn slips_are_asked_about() {
        for (text, code, message) in [
            ("per.strom@example,org", "email_typo", "Menade du per.strom@example.org?"),
            ("per strom@example.org", "email_typo", "Menade du perstrom@example.org?"),
            ("per.strom @example.org", "email_typo", "Menade du per.strom@example.org?"),
            ("per.strom(at)example.org", "email_typo", "Menade du per.strom@example.org?"),
            ("annika.modig@example.ogr", "email_domain", "Menade du annika.modig@example.org?"),
            ("annika.modig@exmaple.org", "email_domain", "Menade du annika.modig@example.org?"),
            ("annika.modig@gmial.com", "email_domain", "Menade du annika.modig@gmail.com?"),
            ("åsa.öberg@example.org", "email_nonascii", "Menade du asa.oberg@example.org?"),
            ("eva..ek@@example.org", "email_invalid", "Ogiltig e-postadress"),
            ("eva.ek@@example.org", "email_invalid", "Ogiltig e-postadress"),
            ("eva.ek", "email_invalid", "Ogiltig e-postadress"),
            ("eva.ek@example", "email_invalid", "Ogiltig e-postadress"),
        ] {
            let draft = read_cell(text);
            assert_eq!(
                (draft.findings.codes(), draft.findings.message()),
                (vec![code.into()], message.into()),
                "{text}"
            );
        }
    }
}
