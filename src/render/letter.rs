//! Owns the parts of a letter as one recipient gets them: subject, plain text, HTML, and the sheet of paper.
//!
//! It makes no mail headers (`provider::mail_message`) and knows no addresses. Invariant: the parts of two recipients
//! differ only in the unsubscribe link, so a preview is what is sent, byte for byte but for that link.
//!
//! The shared part is rendered once for each letter ([`prepare`]); a recipient costs a few copies of memory.

use askama::Template;
use jiff::civil::Date;

use super::markdown;
use crate::domain::letter::{CopyRecipient, Letter, Signature};

/// Who sends letters, the same for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letterhead {
    /// Name of the sender, such as `Polisområde Jämtland`.
    pub sender: String,
    /// Name of the list, such as `Grannsamverkan Jämtland`.
    pub list_name: String,
    /// Address that replies go to; empty = none is shown.
    pub contact: String,
    /// Where contact persons ask for a link to their own page.
    pub own_page: String,
}

/// The parts of one recipient's mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterParts {
    /// Subject, one line.
    pub subject: String,
    /// The whole letter as plain text, LF line ends.
    pub text: String,
    /// The whole letter as HTML.
    pub html: String,
}

/// Somebody who gets the letter on paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaperRecipient {
    /// Name.
    pub name: String,
    /// Lines of the address below the name.
    pub lines: Vec<String>,
}

/// A letter of which only the recipients' own parts are missing.
#[derive(Debug, Clone)]
pub struct PreparedLetter {
    subject: String,
    content: String,
    letterhead: Letterhead,
    /// For contact persons: what stands before, between and after the places of the link.
    text: Vec<String>,
    html: Vec<String>,
    /// For those on the list of copies, who have nothing to unsubscribe from.
    copy_text: String,
    copy_html: String,
}

/// The style sheet of [`PreparedLetter::print_page`], which stands inline in it: a content security policy that allows
/// its hash lets the page have it.
pub const PRINT_STYLE: &str = include_str!("../../templates/letter/print.css");

/// Renders what all recipients share. `dated` stands in the head when the letter has no date of its own.
#[must_use]
pub fn prepare(letter: &Letter, letterhead: &Letterhead, dated: Date) -> PreparedLetter {
    let body = markdown::render(letter.body_markdown());
    let shared = Shared {
        letterhead,
        facts: facts(letter, letter.dated().unwrap_or(dated)),
        subject: letter.subject(),
        signature: letter.signature(),
        copies: letter.copy_recipients(),
    };
    let content = rendered(&Content { shared: &shared, body: &body.html });
    let text = |unsubscribe_url| rendered(&PlainLetter { shared: &shared, body: &body.text, unsubscribe_url });
    let html =
        |unsubscribe_url| in_shell(letter.subject(), &content, &rendered(&Footer { letterhead, unsubscribe_url }));
    PreparedLetter {
        subject: letter.subject().to_owned(),
        text: around_links(&text(Some(LINK))),
        html: around_links(&html(Some(LINK))),
        copy_text: text(None),
        copy_html: html(None),
        letterhead: letterhead.clone(),
        content,
    }
}

impl PreparedLetter {
    /// Subject, one line.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The parts for a contact person, whose own unsubscribe link this is.
    #[must_use]
    pub fn for_contact_person(&self, unsubscribe_url: &str) -> LetterParts {
        LetterParts {
            subject: self.subject.clone(),
            text: self.text.join(unsubscribe_url),
            html: self.html.join(&escaped(unsubscribe_url)),
        }
    }

    /// The parts for somebody on the list of copies.
    #[must_use]
    pub fn for_copy_recipient(&self) -> LetterParts {
        LetterParts { subject: self.subject.clone(), text: self.copy_text.clone(), html: self.copy_html.clone() }
    }

    /// One HTML page with a sheet for each recipient, ready to be printed: address block, letter, page break.
    #[must_use]
    pub fn print_page(&self, recipients: &[PaperRecipient]) -> String {
        rendered(&PrintPage {
            letterhead: &self.letterhead,
            subject: &self.subject,
            style: PRINT_STYLE,
            content: &self.content,
            sheets: recipients,
        })
    }
}

/// Stands where the unsubscribe link will stand; no letter can hold it, since none holds a control character.
const LINK: &str = "\u{1}";

const SHELL: &str = include_str!("../../templates/mail/shell.mjml");

struct Shared<'a> {
    letterhead: &'a Letterhead,
    facts: Vec<(&'static str, String)>,
    subject: &'a str,
    signature: Option<&'a Signature>,
    copies: &'a [CopyRecipient],
}

impl Shared<'_> {
    fn underline(&self) -> String {
        "=".repeat(self.subject.chars().count())
    }
}

#[derive(Template)]
#[template(path = "mail/content.html")]
struct Content<'a> {
    shared: &'a Shared<'a>,
    body: &'a str,
}

#[derive(Template)]
#[template(path = "mail/footer.html")]
struct Footer<'a> {
    letterhead: &'a Letterhead,
    unsubscribe_url: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct PlainLetter<'a> {
    shared: &'a Shared<'a>,
    body: &'a str,
    unsubscribe_url: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "letter/print.html")]
struct PrintPage<'a> {
    letterhead: &'a Letterhead,
    subject: &'a str,
    style: &'a str,
    content: &'a str,
    sheets: &'a [PaperRecipient],
}

fn facts(letter: &Letter, dated: Date) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Datum", long_date(dated))];
    facts.extend(letter.registry_number().map(|number| ("Diarienummer", number.to_owned())));
    facts.extend(letter.subject_code().map(|code| ("Saknummer", code.to_owned())));
    facts
}

/// `20 november 2026`.
fn long_date(date: Date) -> String {
    const MONTHS: [&str; 12] = [
        "januari",
        "februari",
        "mars",
        "april",
        "maj",
        "juni",
        "juli",
        "augusti",
        "september",
        "oktober",
        "november",
        "december",
    ];
    let month = usize::try_from(date.month()).ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    format!("{} {} {}", date.day(), month.copied().unwrap_or_default(), date.year())
}

fn rendered(template: &impl Template) -> String {
    template.render().expect("writing to a string cannot fail")
}

/// The mail's HTML: the MJML shell with its three slots filled. Only the shell goes through the MJML renderer, so nothing
/// that an author writes can become a component or a conditional comment of it.
fn in_shell(subject: &str, content: &str, footer: &str) -> String {
    let shell = mrml::parse(SHELL).expect("the shell is a valid MJML document");
    let html = shell.element.render(&mrml::prelude::render::RenderOptions::default()).expect("the shell has a body");
    let subject = escaped(subject);
    let mut filled = String::with_capacity(html.len() + content.len() + footer.len() + 2 * subject.len());
    let mut rest = html.as_str();
    while let Some((at, slot, value)) = [("{subject}", subject.as_str()), ("{content}", content), ("{footer}", footer)]
        .into_iter()
        .filter_map(|(slot, value)| Some((rest.find(slot)?, slot, value)))
        .min_by_key(|&(at, ..)| at)
    {
        filled.push_str(&rest[..at]);
        filled.push_str(value);
        rest = &rest[at + slot.len()..];
    }
    filled.push_str(rest);
    filled
}

fn around_links(text: &str) -> Vec<String> {
    text.split(LINK).map(str::to_owned).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::letter::{CopyRecipientFields, LetterFields, SignatureFields};

    fn letterhead() -> Letterhead {
        Letterhead {
            sender: "Polisområde Jämtland".into(),
            list_name: "Grannsamverkan Jämtland".into(),
            contact: "grannsamverkan@example.org".into(),
            own_page: "https://grannpost.example.org/min-sida".into(),
        }
    }

    fn fields() -> LetterFields {
        LetterFields {
            subject: "Höstens inbrott & rån".into(),
            body_markdown: "Vi har *inte* glömt dig.\n\n## Så gör du\n\n- lås\n- ring 112".into(),
            registry_number: Some("A378.812/2016".into()),
            subject_code: Some("742".into()),
            signature: Some(SignatureFields { name: "Anna Hedin".into(), title: "Tf områdeschef".into() }),
            copy_recipients: vec![CopyRecipientFields { name: "Krokoms kommun".into(), email: "k@example.org".into() }],
            ..LetterFields::default()
        }
    }

    fn prepared(fields: &LetterFields) -> PreparedLetter {
        prepare(&Letter::parse(fields).unwrap(), &letterhead(), Date::constant(2026, 11, 20))
    }

    const URL: &str = "https://example.org/u/abc?x=1&y=2";

    #[test]
    fn the_text_part_holds_the_whole_letter() {
        assert_eq!(
            prepared(&fields()).for_contact_person(URL).text,
            "Polisområde Jämtland\nGrannsamverkan Jämtland\n\nDatum: 20 november 2026\nDiarienummer: A378.812/2016\n\
             Saknummer: 742\n\nHöstens inbrott & rån\n=====================\n\nVi har inte glömt dig.\n\nSå gör du\n\
             ---------\n\n- lås\n- ring 112\n\nAnna Hedin\nTf områdeschef\n\nSändlista\n---------\n- Krokoms kommun\n\n\
             ----------\n\nAvsändare: Polisområde Jämtland. Svara på brevet om du vill nå oss, eller skriv till \
             grannsamverkan@example.org.\n\nDu får brevet för att du är kontaktombud i Grannsamverkan Jämtland. Sms från \
             polisen påverkas inte om du slutar få brev.\nSluta få brev: https://example.org/u/abc?x=1&y=2\nDin egen sida med larm, svar och uppgifter: https://grannpost.example.org/min-sida"
        );
    }

    #[test]
    fn the_html_part_has_language_headings_lists_and_the_link() {
        let html = prepared(&fields()).for_contact_person(URL).html;
        for expected in [
            "<html lang=\"sv\"",
            "aria-label=\"Höstens inbrott &amp; rån\"",
            "<title>Höstens inbrott &amp; rån</title>",
            "<h1>Höstens inbrott &#38; rån</h1>",
            "<h2>Så gör du</h2>",
            "<li>ring 112</li>",
            "Diarienummer: A378.812/2016",
            "Tf områdeschef",
            "<li>Krokoms kommun</li>",
            "href=\"https://example.org/u/abc?x=1&amp;y=2\"",
        ] {
            assert!(html.contains(expected), "{expected} is missing in {html}");
        }
        for unwanted in [
            "<img",
            "<script",
            "@import",
            "<link",
            "fonts.googleapis",
            "url(",
            "{content}",
            "{footer}",
            "{subject}",
            LINK,
        ] {
            assert!(!html.contains(unwanted), "{unwanted} stands in {html}");
        }
    }

    #[test]
    fn two_recipients_get_the_same_bytes_but_for_the_link() {
        let prepared = prepared(&fields());
        let (one, other) =
            (prepared.for_contact_person("https://a.example/1"), prepared.for_contact_person("https://b.example/2"));
        assert_ne!(one, other);
        assert_eq!(one.html.replace("https://a.example/1", "https://b.example/2"), other.html);
        assert_eq!(one.text.replace("https://a.example/1", "https://b.example/2"), other.text);
    }

    #[test]
    fn a_copy_has_nothing_to_unsubscribe_from() {
        let parts = prepared(&fields()).for_copy_recipient();
        assert!(parts.text.contains("du står på sändlistan") && !parts.text.contains("Sluta få brev"));
        assert!(parts.html.contains("du står på sändlistan") && !parts.html.contains("Sluta få brev"));
    }

    #[test]
    fn hostile_fields_are_inert() {
        let hostile = "<script>x</script><!--[if mso]>{content}{footer}{subject}\"'&<![endif]--></title>";
        let fields = LetterFields {
            subject: hostile.into(),
            body_markdown: hostile.into(),
            registry_number: Some(hostile.into()),
            signature: Some(SignatureFields { name: hostile.into(), title: hostile.into() }),
            ..fields()
        };
        let plain = prepared(&super::tests::fields());
        let prepared = prepared(&fields);
        let html = prepared.for_contact_person(URL).html;
        let page = prepared.print_page(&[PaperRecipient { name: hostile.into(), lines: vec![hostile.into()] }]);
        assert!(!html.contains("<script") && !page.contains("<script"));
        let comments = |html: &str| html.matches("<!--").count();
        assert_eq!(comments(&html), comments(&plain.for_contact_person(URL).html));
        assert_eq!(html.matches("</title>").count(), 1);
        assert_eq!(html.matches("Sluta få brev").count(), 1);
        assert!(prepared.for_contact_person(URL).text.contains(hostile));
    }

    #[test]
    fn every_paper_recipient_gets_a_sheet_with_address_and_letter() {
        let recipient = |name: &str| PaperRecipient {
            name: name.into(),
            lines: vec!["Fäbodvägen 30".into(), "844 41 Bispgården".into()],
        };
        let page = prepared(&fields()).print_page(&[recipient("Anna Hedin"), recipient("Bo Ek")]);
        assert_eq!(page.matches("<section class=\"sheet\">").count(), 2);
        assert_eq!(page.matches("<h1>").count(), 2);
        assert!(page.contains("<address>Bo Ek<br>Fäbodvägen 30<br>844 41 Bispgården</address>"), "{page}");
        assert!(page.contains(PRINT_STYLE) && page.contains("lang=\"sv\""));
    }

    #[test]
    fn dates_are_written_out_in_swedish() {
        assert_eq!(long_date(Date::constant(2026, 1, 5)), "5 januari 2026");
        assert_eq!(long_date(Date::constant(2026, 12, 31)), "31 december 2026");
        let dated = LetterFields { dated: Some("2016-02-29".into()), ..fields() };
        assert!(prepared(&dated).for_copy_recipient().text.contains("Datum: 29 februari 2016"));
    }
}
