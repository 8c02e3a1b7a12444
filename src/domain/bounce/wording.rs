//! Owns the words of mail servers: how a text is made comparable, and the phrases that tell whose fault it is.
//!
//! It weighs nothing (`weigh`). Invariant: names of hosts, addresses and links never count as words: `mx.antispam.example`
//! says nothing about spam.

/// A text with single blanks, in lower case, without punctuation, addresses, hosts and links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording(String);

/// Characters read of one text; what matters stands at its beginning.
const MOST: usize = 16_384;

impl Wording {
    /// The comparable form of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut words = String::with_capacity(text.len().min(MOST) + 2);
        words.push(' ');
        let bounded = text.char_indices().nth(MOST).map_or(text, |(end, _)| &text[..end]);
        let is_between =
            |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | '"');
        let whole = bounded.split(is_between).filter(|word| !word.contains("://"));
        for word in whole.flat_map(|word| word.split(':')) {
            if word.contains('@') || is_host(word) {
                continue;
            }
            for c in word.chars() {
                match c {
                    '’' | '`' | '´' => words.push('\''),
                    c if c.is_alphanumeric() || c == '\'' => words.extend(c.to_lowercase()),
                    _ if words.ends_with(' ') => {}
                    _ => words.push(' '),
                }
            }
            if !words.ends_with(' ') {
                words.push(' ');
            }
        }
        Self(words)
    }

    /// Whether one of these phrases, one a line, stands in it from the beginning of a word.
    #[must_use]
    pub fn has(&self, phrases: &str) -> bool {
        phrases.lines().any(|phrase| self.says(phrase))
    }

    fn says(&self, phrase: &str) -> bool {
        self.0.match_indices(phrase).any(|(at, _)| self.0[..at].ends_with(' '))
    }

    /// Whether one of `nouns` is followed by one of `ends`, with at most three words between them, such as a name.
    #[must_use]
    pub fn tells_of(&self, nouns: &str, ends: &str) -> bool {
        nouns.lines().any(|noun| {
            self.0.match_indices(noun).any(|(at, _)| {
                let after = &self.0[at + noun.len()..];
                let is_word = self.0[..at].ends_with(' ') && after.starts_with([' ', '\'']);
                let near = after.match_indices(' ').nth(6).map_or(after, |(end, _)| &after[..end]);
                is_word && ends.lines().any(|end| near.find(end).is_some_and(|at| near[..at].matches(' ').count() <= 4))
            })
        })
    }

    /// Whether it says nothing beside numbers and the names of protocols.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.0
            .split(' ')
            .all(|word| !word.contains(char::is_alphabetic) || matches!(word, "smtp" | "x" | "x400" | "lmtp"))
    }

    /// The same without these phrases.
    #[must_use]
    pub fn without(&self, phrases: &str) -> Self {
        Self(phrases.lines().fold(self.0.clone(), |text, phrase| text.replace(phrase, " ")))
    }
}

/// Whether a word is a host's name, and not two sentences without a blank between them.
fn is_host(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    let mut labels = word.split('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
    };
    let letters = |label: &str| label.chars().any(char::is_alphabetic);
    let is_upper_host = word.matches('.').count() >= 2 && !word.contains("RESOLVER") && !word.contains("ADR.");
    labels.clone().count() >= 2
        && (labels.clone().all(is_label) || is_upper_host)
        && labels.next_back().is_some_and(letters)
        && labels.all(|label| !label.is_empty())
}

/// About our own address, whatever else is said.
pub const SENDER: &str = include_str!("wording/sender.txt");

/// Our reputation, our signatures, our content, our pace; or a rule of theirs that has nothing to do with the address.
pub const OURS: &str = include_str!("wording/ours.txt");

/// What passes: full, busy, out of reach, on its way round.
pub const PASSING: &str = include_str!("wording/passing.txt");

/// The recipient is not there, or not any more: about a person, a mailbox or an account.
pub const GONE: &str = include_str!("wording/gone.txt");

/// What a recipient is called.
pub const NOUNS: &str = "user\nrecipient\nmailbox\naccount\naddressee\ncustomer\nmail address\nemail address\nmottagaren\nanvändaren\nkontot";

/// What is said of one that is not there.
pub const ENDS: &str = " not found\n does not exist\n doesn't exist\n doesnt exist\n not exist\n no longer exists\n is unknown\n unknown\n is disabled\n has been disabled\n is inactive\n not active\n is invalid\n not valid\n has been closed\n has been deleted\n been deactivated\n not known\n nonexistent\n not recogni\n finns inte\n hittades inte\n är okänd";

/// Something is not there: a domain, a host, or what was meant in another language. Weaker, since a policy can be meant too.
pub const ABSENT: &str = include_str!("wording/absent.txt");

/// A 550 that says no more than RFC 5321 does.
pub const UNAVAILABLE: &str = "mailbox unavailable\nmailbox is unavailable\nmailbox not available";

/// What Exchange Online says of an address that its directory lacks, together with 5.4.1.
pub const EDGE_BLOCKED: &str = "recipient address rejected access denied";

/// What is taken out before weighing: wrappers around another server's words, and words whose parts mean something else.
pub const WRAPPERS: &str = "unknown address error\nrelay recipient table\nthe following address had permanent\ncontent type\ncontent transfer encoding\nmailbox size limit";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_addresses_and_links_are_no_words() {
        let said = Wording::of(
            "mx.antispam.example.net said: 550 <nospam@example.org> User unknown.Please see https://spam.example/x",
        );
        assert!(!said.has("spam\nantispam"));
        assert!(said.has(GONE));
        assert!(Wording::of("RESOLVER.ADR.RecipNotFound; not found").has(GONE));
        assert!(Wording::of("The mailbox is unavailable.The server said no").has(UNAVAILABLE));
        assert!(Wording::of("This account’s user doesn’t exist").has(ABSENT));
    }

    #[test]
    fn phrases_begin_with_a_word() {
        assert!(!Wording::of("superuser unknown").has("user unknown"));
        assert!(Wording::of("User-unknown").has("user unknown"));
    }
}
