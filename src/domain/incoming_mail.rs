//! Owns what is read out of an incoming mail, whatever parsed it: headers, the text for people, machine-readable reports.
//!
//! It holds no attachment and does not decide what the mail means (`bounce`). Invariant: everything here is bounded by whoever
//! fills it in; nothing here grows with the size of the mail.

/// Header fields in order, names in lower case, values decoded and unfolded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The first value with this lower-case name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// All values with this lower-case name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The first value with this name, in lower case; empty when there is none.
    #[must_use]
    pub fn lower(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().trim().to_lowercase()
    }
}

/// A delivery report (RFC 3464): a block about the message, then one for each recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Fields about the message.
    pub message: Fields,
    /// Fields about each recipient.
    pub recipients: Vec<Fields>,
}

/// An incoming mail as far as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncomingMail {
    /// Headers of the mail.
    pub headers: Fields,
    /// The first text for people; HTML turned into text.
    pub text: String,
    /// The machine-readable delivery report.
    pub report: Option<DeliveryReport>,
    /// A complaint's machine-readable part (RFC 5965).
    pub feedback: Option<Fields>,
    /// Whether it tells that somebody opened a mail (RFC 8098).
    pub is_disposition: bool,
    /// Headers of the mail that came back.
    pub returned: Fields,
    /// Whether it was sent to a return path, where only servers and programs write; whoever knows the envelope says so.
    pub is_to_return_path: bool,
}

impl IncomingMail {
    /// The headers that may name the mail this one is about, the surest first: the report's envelope id, then what came back,
    /// then what it answers to.
    #[must_use]
    pub fn references(&self) -> Vec<&str> {
        let report = self.report.iter().flat_map(|report| report.message.all("original-envelope-id"));
        let feedback = self
            .feedback
            .iter()
            .flat_map(|feedback| feedback.all("original-envelope-id").chain(feedback.all("original-mail-from")));
        let returned = ["return-path", "x-original-return-path", "message-id"];
        let returned = returned.into_iter().flat_map(|name| self.returned.all(name));
        let answered = ["in-reply-to", "references", "x-original-message-id", "original-message-id"];
        let answered = answered.into_iter().flat_map(|name| self.headers.all(name));
        report.chain(feedback).chain(returned).chain(answered).collect()
    }

    /// Whether a program sent it as far as its headers tell (RFC 3834 and its forerunners). A list, a firm's wish not to be
    /// answered by programs, or bulk say nothing about that: persons' answers carry them too.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        let submitted = self.headers.lower("auto-submitted");
        let submitted = submitted.split(|c: char| c == ';' || c == '(' || c.is_whitespace()).next().unwrap_or_default();
        (!submitted.is_empty() && submitted != "no")
            || self.headers.lower("precedence") == "junk"
            || self.is_away()
            || self.has_empty_return_path()
            || self.is_disposition
    }

    /// Whether somebody's own program says that they are away, rather than a server that it cannot deliver.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let says = |name: &str| self.headers.get(name).is_some();
        ["x-autoreply", "x-autorespond", "x-autoresponder", "x-mail-autoreply"].into_iter().any(says)
            || self.headers.lower("precedence").starts_with("auto")
            || tells_of_absence(&self.headers.lower("subject"))
    }

    /// Whether nobody is to be answered (RFC 5321 4.5.5).
    #[must_use]
    pub fn has_empty_return_path(&self) -> bool {
        self.headers.get("return-path").is_some_and(|path| path.trim() == "<>")
    }
}

/// The address in `Name <address>` or `address`; empty when there is none.
#[must_use]
pub fn address_in(from: &str) -> &str {
    let address = from.rsplit_once('<').map_or(from, |(_, rest)| rest.split('>').next().unwrap_or_default());
    let address = address.trim();
    if address.contains('@') && !address.contains(char::is_whitespace) { address } else { "" }
}

/// What somebody wrote themselves: without the letter they answer to.
#[must_use]
pub fn without_quotes(text: &str) -> String {
    let mut own = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim();
        let next = lines.get(at + 1).map_or("", |next| next.trim());
        // The words that lead a quotation in may go over two lines.
        if begins_quotation(trimmed) || begins_quotation(&format!("{trimmed} {next}")) && !own.is_empty() {
            break;
        }
        if !trimmed.starts_with('>') {
            own.push(line.trim_end());
        }
    }
    let own = own.join("\n").trim().to_owned();
    // Who writes below what they quote, or nothing at all, is shown whole.
    if own.is_empty() { text.trim().to_owned() } else { own }
}

/// Whether a line leads in what is answered, as mail programs write it.
fn begins_quotation(line: &str) -> bool {
    let lower = line.to_lowercase();
    let is_rule = lower.starts_with("-----") || lower.starts_with("_____");
    let named = ["ursprungligt meddelande", "original message", "vidarebefordrat", "forwarded message"];
    let is_lead = |begin: &str, verb: &str| lower.starts_with(begin) && lower.contains(verb) && lower.ends_with(':');
    (is_rule && (named.iter().any(|name| lower.contains(name)) || lower.trim_matches(['_', '-']).is_empty()))
        || is_lead("den ", " skrev")
        || is_lead("on ", " wrote")
        || is_lead("am ", " schrieb")
        || (lower.starts_with("från:") && lower.contains('@'))
        || (lower.starts_with("from:") && lower.contains('@'))
}

/// Beginnings of subjects of automatic replies: the last resort.
const AWAY: &[&str] = &[
    "autosvar",
    "automatiskt svar",
    "frånvaromeddelande",
    "frånvarosvar",
    "out of office",
    "out-of-office",
    "automatic reply",
    "autoreply",
    "auto-reply",
    "auto reply",
    "auto response",
    "auto-response",
    "automatische antwort",
    "abwesenheit",
    "automatisk svar",
    "automatisk svarmelding",
    "réponse automatique",
    "respuesta automática",
    "risposta automatica",
    "automaattinen vastaus",
    "poissaolo",
];

/// Words that begin such a subject and many another: they count only where they stand alone.
const AWAY_ALONE: &[&str] = &["frånvaro", "semester"];

/// Prefixes of an answer to a mail, in the languages of those who may write to us.
const ANSWERS: &[&str] = &["re", "sv", "aw", "vs", "antw"];

/// Whether a lower-case subject is an automatic reply's. An answer's subject is our own letter's, whatever that is about.
fn tells_of_absence(subject: &str) -> bool {
    let subject = subject.trim_start();
    let prefix = subject.split_once(':').map_or("", |(prefix, _)| prefix);
    // "Re[2]:" and "Sv :" are written by some.
    if ANSWERS.contains(&prefix.split('[').next().unwrap_or_default().trim()) {
        return false;
    }
    let stands_alone = |word: &&str| {
        subject.strip_prefix(*word).is_some_and(|rest| {
            let rest = rest.trim_start();
            rest.is_empty() || rest.starts_with([':', ',', '-', '–', '.', '!'])
        })
    };
    AWAY.iter().any(|beginning| subject.starts_with(beginning)) || AWAY_ALONE.iter().any(stands_alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> IncomingMail {
        let headers = Fields(vec![(name.to_owned(), value.to_owned())]);
        IncomingMail { headers, ..IncomingMail::default() }
    }

    #[test]
    fn an_answer_is_shown_without_the_letter_it_answers() {
        for (text, own) in [
            (
                "Jag såg en bil.\n\nDen fre 20 nov. 2026 kl 09:00 skrev Polisen <a@example.org>:\n> Hej",
                "Jag såg en bil.",
            ),
            ("Ja.\n\nDen fre 20 nov. 2026 kl 09:00 skrev Polisområde Jämtland\n<a@example.org> skrev:\n> Hej", "Ja."),
            ("Nej\n-----Ursprungligt meddelande-----\nFrån: x", "Nej"),
            ("Röd bil\n\nFrån: Polisen <a@example.org>\nSkickat: i går", "Röd bil"),
            ("> Hej\n\nSvar under", "Svar under"),
            ("> bara citat", "> bara citat"),
        ] {
            assert_eq!(without_quotes(text), own, "{text}");
        }
        assert_eq!(address_in("Anna <anna@example.se>"), "anna@example.se");
        assert_eq!(address_in("Anna"), "");
    }

    #[test]
    fn a_program_is_known_by_its_headers_or_by_its_subject() {
        for (name, value) in [
            ("auto-submitted", "auto-replied (vacation)"),
            ("auto-submitted", "auto-generated"),
            ("precedence", "junk"),
            ("precedence", "auto_reply"),
            ("x-autoreply", "yes"),
            ("x-autorespond", "Höstens brev"),
            ("return-path", "<>"),
            ("subject", "Autosvar: Höstens brev"),
            ("subject", "Frånvaro"),
            ("subject", "Frånvaro: Höstens brev"),
            ("subject", "Frånvaromeddelande: Höstens brev"),
            ("subject", "Semester - åter 12 augusti"),
            ("subject", "Semester, åter 12 augusti"),
            ("subject", "Out of Office: Brev"),
            ("subject", "Automatiskt svar: Semestertider – tips mot inbrott"),
        ] {
            assert!(with(name, value).is_automatic(), "{name}: {value}");
        }
        for (name, value) in [
            ("auto-submitted", "no"),
            ("auto-submitted", "No; type=person"),
            ("precedence", "first-class"),
            ("precedence", "bulk"),
            ("precedence", "list"),
            ("list-id", "<grannar.example.org>"),
            ("x-auto-response-suppress", "All"),
            ("subject", "Svar på brevet"),
            ("subject", "SV: Semestertider – tips mot inbrott"),
            ("subject", "Re: Semester: tips mot inbrott"),
            ("subject", "SV: Frånvaro"),
            ("subject", "Antw: Semester"),
            ("subject", "Re[2]: Automatiskt svar från larmet"),
            ("subject", "Semestertider – jag såg en vit skåpbil"),
            ("subject", "Semester i Åre och en vit skåpbil"),
            ("subject", "Frånvarande ägare, öppen dörr"),
        ] {
            assert!(!with(name, value).is_automatic(), "{name}: {value}");
        }
    }
}
