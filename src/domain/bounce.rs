//! Owns what an incoming mail means: a delivery report, an old-style bounce, a complaint, an automatic reply, or a person.
//!
//! It does not know which delivery is meant, nor what follows (`inbound`). Invariants: only a clear word that the address is
//! not there is hard ([`weigh`]); what is not understood is said to be so, for a person to read.

pub mod code;
pub mod weigh;
mod wording;

use self::code::{Codes, EnhancedCode};
use self::weigh::weigh;
pub use self::weigh::{Finding, Verdict};
use super::incoming_mail::{Fields, IncomingMail};

/// What an incoming mail means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// A letter did not arrive and is not tried any more.
    Failed {
        /// Whose fault.
        finding: Finding,
        /// What the server said, or the beginning of the text.
        diagnostic: String,
    },
    /// A letter has not arrived yet and is still tried.
    Delayed,
    /// A letter arrived.
    Delivered,
    /// A letter went on to where no reports come from.
    Relayed,
    /// A reader told their provider that a letter is unwanted.
    Complaint,
    /// A program answered: away, read, received.
    Automatic,
    /// A person wrote.
    Reply,
    /// A program's mail that is not understood.
    Unknown,
}

impl Meaning {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Complaint => "complaint",
            Self::Automatic => "automatic",
            Self::Reply => "reply",
            Self::Unknown => "unknown",
        }
    }
}

/// Characters kept of what a server said.
const DIAGNOSTIC: usize = 500;

/// What `mail` means.
#[must_use]
pub fn read(mail: &IncomingMail) -> Meaning {
    if let Some(feedback) = &mail.feedback {
        // Reports of failed signatures and of mail that is no spam after all come in the same form (RFC 6591, RFC 6430).
        let kind = feedback.lower("feedback-type");
        let is_complaint =
            matches!(kind.as_str(), "abuse" | "fraud" | "opt-out" | "opt-out-list" | "miscategorized" | "other");
        return if is_complaint { Meaning::Complaint } else { Meaning::Unknown };
    }
    let told = mail.report.as_ref().and_then(|report| of_recipients(mail, &report.recipients));
    if let Some(meaning) = told {
        return meaning;
    }
    if mail.is_disposition {
        return Meaning::Automatic;
    }
    if is_bounce(mail) {
        return of_text(mail);
    }
    match (mail.is_automatic(), is_from_daemon(mail)) {
        (true, false) => Meaning::Automatic,
        (_, true) => Meaning::Unknown,
        (false, false) => Meaning::Reply,
    }
}

/// What a report's blocks tell together. One letter has one recipient; behind it may be several.
fn of_recipients(mail: &IncomingMail, recipients: &[Fields]) -> Option<Meaning> {
    let mut failures = Vec::new();
    let mut others = Vec::new();
    for recipient in recipients {
        match action(recipient)? {
            Action::Failed => failures.push(failure(mail, recipient)),
            Action::Delivered => others.push(Meaning::Delivered),
            Action::Relayed => others.push(Meaning::Relayed),
            Action::Delayed => others.push(Meaning::Delayed),
        }
    }
    // Where one of several got it, the letter arrived.
    if let Some(at) = [Meaning::Delivered, Meaning::Relayed, Meaning::Delayed].into_iter().find(|m| others.contains(m))
    {
        return Some(at);
    }
    let is_hard = |finding: &Finding| finding.verdict == Verdict::Hard;
    let at = failures.iter().position(|(finding, _)| !is_hard(finding)).unwrap_or(0);
    let (finding, diagnostic) = failures.into_iter().nth(at)?;
    Some(Meaning::Failed { finding, diagnostic })
}

enum Action {
    Failed,
    Delayed,
    Delivered,
    Relayed,
}

/// A block's action (RFC 3464 2.3.3); by its status where it is missing or misspelt.
fn action(recipient: &Fields) -> Option<Action> {
    let action = recipient.lower("action");
    let word = action.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    Some(match word {
        "failed" | "failure" | "fail" => Action::Failed,
        "delayed" | "delay" => Action::Delayed,
        "delivered" => Action::Delivered,
        // Expanded to a list: who of them got it is not told.
        "relayed" | "expanded" => Action::Relayed,
        _ => match EnhancedCode::parse(recipient.get("status")?)?.class {
            5 => Action::Failed,
            4 => Action::Delayed,
            _ => Action::Delivered,
        },
    })
}

fn failure(mail: &IncomingMail, recipient: &Fields) -> (Finding, String) {
    let status_field = recipient.get("status").and_then(EnhancedCode::parse);
    let said = recipient.all("diagnostic-code").collect::<Vec<_>>().join(" ");
    let finding = weigh(status_field, &said);
    let text = told_text(&mail.text);
    // A code without words is believed only where the text for people does not speak against it.
    let is_silent = !said.chars().any(char::is_alphabetic) || said.len() < 12;
    if text.is_empty() || !(finding.verdict == Verdict::Unclear || is_silent) {
        return (finding, cut(&said));
    }
    let of_text = weigh(status_field, &text);
    if of_text.verdict == Verdict::Unclear || (finding.verdict != Verdict::Unclear && of_text.verdict == Verdict::Hard)
    {
        return (finding, cut(if said.is_empty() { &text } else { &said }));
    }
    (of_text, cut(if said.is_empty() { &text } else { &said }))
}

/// What a bounce without a readable report tells.
fn of_text(mail: &IncomingMail) -> Meaning {
    let text = told_text(&mail.text);
    let subject = mail.headers.lower("subject");
    let lower = text.to_lowercase();
    let is_given_up = GIVEN_UP.iter().any(|sign| lower.contains(sign));
    if !is_given_up && DELAYED.iter().any(|sign| lower.contains(sign) || subject.contains(sign)) {
        return Meaning::Delayed;
    }
    let finding = weigh(None, &text);
    Meaning::Failed { finding, diagnostic: cut(&text) }
}

/// Whether it is a bounce: a server's own mark, or a server's name or silence together with its usual subject or words.
fn is_bounce(mail: &IncomingMail) -> bool {
    let subject = mail.headers.lower("subject");
    let has_subject = SUBJECTS.iter().any(|words| subject.contains(words));
    let content_type = mail.headers.lower("content-type");
    if mail.headers.get("x-failed-recipients").is_some() || mail.report.is_some() {
        return true;
    }
    if content_type.starts_with("multipart/report") && content_type.contains("delivery-status") {
        return true;
    }
    let lower = mail.text.chars().take(4_000).collect::<String>().to_lowercase();
    let has_words = OPENINGS.iter().any(|words| lower.contains(words));
    let has_code = Codes::of(&told_text(&mail.text)).is_permanent().is_some();
    if is_from_daemon(mail) {
        return has_subject || has_words || has_code || GONE_WORDS.iter().any(|words| lower.contains(words));
    }
    // A person's program answers with an empty return path too, in the person's own words; a server that marks its bounce so
    // brings a report or says whom it could not reach.
    if mail.headers.lower("auto-submitted").starts_with("auto-replied") {
        return false;
    }
    let is_servers = mail.has_empty_return_path() && !mail.is_away() && (has_subject || has_words);
    // Some servers write under a person's or a firm's name, and not all who pass mail on keep its return path.
    let is_programs = mail.is_to_return_path && !mail.is_away() && (has_subject || (has_words && has_code));
    is_servers || is_programs
}

/// Whether a mail server wrote it, by the name it gives itself.
fn is_from_daemon(mail: &IncomingMail) -> bool {
    let from = mail.headers.lower("from");
    let address = from.rsplit_once('<').map_or(from.as_str(), |(_, address)| address);
    let local = address.split('@').next().unwrap_or_default().trim();
    DAEMONS.iter().any(|name| local.starts_with(name)) || DAEMON_NAMES.iter().any(|name| from.contains(name))
}

/// The text up to where the letter itself comes back, without what is quoted.
fn told_text(text: &str) -> String {
    let mut told = String::new();
    for line in text.lines() {
        if told.len() > 8_000 || begins_the_letter(line) {
            break;
        }
        if !line.trim_start().starts_with("> ") {
            told.push_str(line.trim());
            told.push('\n');
        }
    }
    told.truncate(told.trim_end().len());
    told
}

fn begins_the_letter(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    if LETTER_HEADERS.iter().any(|header| line.starts_with(header)) {
        return true;
    }
    let is_rule = line.starts_with("--") || line.starts_with("==") || line.starts_with("**") || line.starts_with("__");
    (is_rule && RULES.iter().any(|words| line.contains(words)))
        || (line.ends_with(':') && HEADINGS.iter().any(|words| line.contains(words)))
}

fn cut(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(DIAGNOSTIC).collect()
}

/// Local parts that mail servers write from.
const DAEMONS: &[&str] = &[
    "mailer-daemon",
    "mailerdaemon",
    "daemon",
    "mail-administrator",
    "mail-daemon",
    "maildaemon",
    "postmaster",
    "microsoftexchange",
];

/// Names that mail servers give themselves.
const DAEMON_NAMES: &[&str] = &[
    "mailer-daemon",
    "mail delivery",
    "mail administrator",
    "mail router",
    "mail system",
    "delivery subsystem",
    "system administrator",
    "systemadministratör",
    "courier mail server",
    "post office",
    "mail server",
    "mailserver",
    "postmaster",
    "mdaemon",
];

/// Subjects of bounces.
const SUBJECTS: &[&str] = &[
    "undeliver",
    "delivery status notification",
    "delivery failure",
    "delivery failed",
    "delivery has failed",
    "delivery report",
    "delivery notification",
    "delivery error",
    "delivery problem",
    "delivery incomplete",
    "delivery delayed",
    "delayed mail",
    "failure notice",
    "failure delivery",
    "failed mail",
    "returned mail",
    "returned to sender",
    "returning message to sender",
    "mail delivery",
    "mail system error",
    "mail failure",
    "mail error",
    "failed delivery",
    "failure delivering",
    "problem delivering",
    "error delivering",
    "error sending",
    "transmission failure",
    "rejected mail",
    "mail rejected",
    "email returned",
    "nondelivery",
    "user unknown",
    "unknown user",
    "unknown recipient",
    "invalid recipient",
    "rückläufer",
    "avis de non",
    "notification d'échec",
    "error de entrega",
    "devuelto",
    "message status",
    "message you sent",
    "non-deliver",
    "nondeliver",
    "non delivery",
    "not delivered",
    "not be delivered",
    "couldn't be delivered",
    "unable to deliver",
    "could not send message",
    "oleverer",
    "ej leverer",
    "inte att leverera",
    "inte levereras",
    "inte levererat",
    "leveransfel",
    "leveransmisslyckande",
    "fördröjd leverans",
    "unzustellbar",
    "nicht zugestellt",
    "zustellung fehlgeschlagen",
    "non remis",
    "échec de la remise",
    "échec de livraison",
    "no se puede entregar",
    "no entregado",
    "ikke leveres",
    "ikke levert",
    "ikke leveret",
    "ei voitu toimittaa",
    "toimitus epäonnistui",
    "niet bezorgd",
    "niet worden bezorgd",
    "onbestelbaar",
    "mancato recapito",
    "non recapitabile",
    "não entregue",
    "falha na entrega",
    "niedostarczal",
];

/// How bounces begin.
const OPENINGS: &[&str] = &[
    "this is the qmail-send program",
    "unable to deliver your message",
    "wasn't able to deliver your message",
    "could not be delivered",
    "couldn't be delivered",
    "cannot be delivered",
    "can't be delivered",
    "was not delivered",
    "wasn't delivered",
    "not been delivered",
    "not yet been delivered",
    "has failed to these recipients",
    "delivery to the following recipient",
    "failed to deliver",
    "could not deliver",
    "unable to deliver",
    "delivery failed",
    "delivery error",
    "delivery problem",
    "not deliverable",
    "following address",
    "following recipient",
    "did not reach the following recipient",
    "permanent fatal errors",
    "permanent error",
    "undeliverable",
    "returned to you",
    "this message was created automatically by mail delivery software",
    "gick inte att leverera",
    "kunde inte levereras",
    "levererades inte",
    "konnte nicht zugestellt",
    "fehler bei der nachrichtenzustellung",
    "n'a pas pu être remis",
    "no se pudo entregar",
    "kunne ikke leveres",
];

/// Words that make a server's mail a bounce; a person's program may use them too.
const GONE_WORDS: &[&str] = &["user unknown", "unknown user", "no such user", "mailbox full", "quota"];

/// Signs that it is still tried.
const DELAYED: &[&str] = &[
    "warning message only",
    "not yet been delivered",
    "will be retried",
    "will keep trying",
    "will continue to try",
    "will continue trying",
    "will try again",
    "attempts will continue",
    "is delayed",
    "been delayed",
    "delivery delayed",
    "delayed mail",
    "(delay)",
    "delivery incomplete",
    "will be attempted again",
    "still trying",
    "do not need to resend",
    "don't need to resend",
    "could not send message for",
    "fördröj",
    "försöker igen",
    "verzögert",
    "retardé",
];

/// Signs that it is not.
const GIVEN_UP: &[&str] =
    &["given up", "giving up", "permanent error", "permanent fatal", "permanently", "no longer be tried"];

/// Headers that a returned letter begins with.
const LETTER_HEADERS: &[&str] =
    &["return-path:", "received: from", "received: by", "dkim-signature:", "message-id: <", "mime-version:"];

/// Rules between the bounce and the letter.
const RULES: &[&str] = &[
    "copy of",
    "original message",
    "original mail",
    "returned message",
    "returned mail",
    "unsent message",
    "message follows",
    "message header",
    "message text",
    "forwarded message",
    "ursprungligt",
    "nachricht",
    "undelivered message",
    "your message",
];

/// Headings before the letter.
const HEADINGS: &[&str] = &[
    "original message header",
    "original message",
    "message headers",
    "ursprungliga meddelandehuvuden",
    "meddelandehuvuden",
    "ursprungligt meddelande",
    "kopfzeilen",
    "copy of your message",
    "copy of the message",
    "message follows",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incoming_mail::DeliveryReport;

    fn fields(of: &[(&str, &str)]) -> Fields {
        Fields(of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn report(blocks: &[&[(&str, &str)]]) -> IncomingMail {
        let recipients = blocks.iter().map(|block| fields(block)).collect();
        IncomingMail {
            report: Some(DeliveryReport { message: Fields::default(), recipients }),
            ..IncomingMail::default()
        }
    }

    fn verdict(meaning: &Meaning) -> &'static str {
        match meaning {
            Meaning::Failed { finding, .. } => finding.verdict.code(),
            other => other.code(),
        }
    }

    #[test]
    fn actions_are_told_apart_and_a_missing_one_is_read_from_the_code() {
        for (block, expected) in [
            (&[("action", "failed"), ("status", "5.1.1")][..], "hard"),
            (&[("action", "Delayed"), ("status", "4.4.1")], "delayed"),
            (&[("action", "delivered"), ("status", "2.0.0")], "delivered"),
            (&[("action", "relayed"), ("status", "2.0.0")], "relayed"),
            (&[("action", "expanded (to 3)"), ("status", "2.0.0")], "relayed"),
            (&[("status", "5.2.2")], "soft"),
            (&[("status", "4.2.2")], "delayed"),
            (&[("action", "failed"), ("status", "4.4.7")], "soft"),
        ] {
            assert_eq!(verdict(&read(&report(&[block]))), expected, "{block:?}");
        }
    }

    #[test]
    fn a_letter_that_one_of_several_got_has_arrived_and_one_doubt_keeps_the_person() {
        let hard = &[("action", "failed"), ("status", "5.1.1")][..];
        let full = &[("action", "failed"), ("status", "5.2.2")][..];
        let got = &[("action", "delivered"), ("status", "2.0.0")][..];
        assert_eq!(verdict(&read(&report(&[hard, got]))), "delivered");
        assert_eq!(verdict(&read(&report(&[hard, full]))), "soft");
        assert_eq!(verdict(&read(&report(&[hard, hard]))), "hard");
    }

    #[test]
    fn a_code_without_words_gives_way_to_the_text_beside_it() {
        let mut mail = report(&[&[("action", "failed"), ("status", "5.1.1")]]);
        mail.text = "Your message was rejected as spam.".to_owned();
        assert_eq!(verdict(&read(&mail)), "ours");
        mail.text = "The user was not found.\n\n-- Original message follows --\nspam spam spam".to_owned();
        assert_eq!(verdict(&read(&mail)), "hard");
    }

    #[test]
    fn somebody_who_forwards_a_bounce_or_is_away_is_no_bounce() {
        let mut mail = IncomingMail {
            headers: fields(&[
                ("from", "Anna <anna@example.org>"),
                ("subject", "VB: Undelivered Mail Returned to Sender"),
            ]),
            text: "Detta fick jag. user unknown".to_owned(),
            ..IncomingMail::default()
        };
        assert_eq!(read(&mail), Meaning::Reply);
        mail.headers =
            fields(&[("from", "anna@example.org"), ("subject", "Autosvar"), ("auto-submitted", "auto-replied")]);
        mail.text = "Min adress finns inte längre, mottagaren är okänd".to_owned();
        mail.is_to_return_path = true;
        assert_eq!(read(&mail), Meaning::Automatic);
        mail.headers = fields(&[
            ("return-path", "<>"),
            ("from", "Anna <anna@example.org>"),
            ("auto-submitted", "auto-replied"),
            ("subject", "Re: Höstbrev"),
        ]);
        mail.text = "Please use the following address: anna@example.net, my old one is no longer in use".to_owned();
        for is_to_return_path in [true, false] {
            mail.is_to_return_path = is_to_return_path;
            assert_eq!(read(&mail), Meaning::Automatic);
        }
        mail.headers.0.push(("x-failed-recipients".to_owned(), "anna@example.org".to_owned()));
        mail.text = "550 5.1.1 user unknown".to_owned();
        assert_eq!(verdict(&read(&mail)), "hard", "a server that names whom it could not reach");
        mail.is_to_return_path = true;
        mail.headers = fields(&[("from", "Firman AB <info@example.org>"), ("subject", "Undeliverable: Brev")]);
        mail.text = "550 5.1.1 user unknown".to_owned();
        assert_eq!(verdict(&read(&mail)), "hard", "a server that writes under a firm's name");
    }
}
