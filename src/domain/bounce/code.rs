//! Owns the numbers in what mail servers say: reply codes (RFC 5321) and enhanced codes (RFC 3463).
//!
//! It does not know what they mean for a person (`weigh`). Invariant: an IP address, a version or a date is no code.

/// An enhanced code: class, subject and detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnhancedCode {
    /// 2 done, 4 temporary, 5 permanent.
    pub class: u8,
    /// 1 address, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// What exactly.
    pub detail: u16,
}

impl std::fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl EnhancedCode {
    /// Reads one that stands alone, such as a `Status` field, whatever follows it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('#');
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut parts = text[..end].split('.');
        let class = parts.next()?.parse().ok().filter(|class| matches!(class, 2 | 4 | 5))?;
        let mut number = || parts.next().filter(|part| part.len() <= 3)?.parse::<u16>().ok();
        let (subject, detail) = (number()?, number()?);
        (parts.next().is_none_or(str::is_empty) && subject <= 99).then_some(Self { class, subject, detail })
    }
}

/// The codes in a text, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codes {
    /// Enhanced codes.
    pub enhanced: Vec<EnhancedCode>,
    /// Reply codes from 400.
    pub replies: Vec<u16>,
}

impl Codes {
    /// The codes in what a server said.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut codes = Self::default();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            let begins = rest[..at].chars().next_back().is_none_or(|before| !is_part(before) && before != '@');
            let end = rest[at..].find(|c: char| !is_part(c)).map_or(rest.len(), |end| at + end);
            let word = rest[at..end].trim_end_matches('.');
            let after = rest[end..].chars().next();
            if begins {
                codes.take(word, after);
            }
            rest = &rest[end..];
        }
        codes
    }

    fn take(&mut self, word: &str, after: Option<char>) {
        // "[550.5.1.1]" and "550.5.1.1" are written by some.
        if let Some((reply, enhanced)) = word.split_once('.')
            && reply.len() == 3
            && word.matches('.').count() == 3
            && let (Some(reply), Some(enhanced)) = (reply_code(reply), EnhancedCode::parse(enhanced))
        {
            self.replies.push(reply);
            self.enhanced.push(enhanced);
            return;
        }
        if word.contains('.') {
            if word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
                self.enhanced.extend(EnhancedCode::parse(word));
            }
        } else if !matches!(after, Some('/' | '@' | '%' | '+')) {
            self.replies.extend(reply_code(word));
        }
    }

    /// Whether what was said is final: `None` when no code tells.
    #[must_use]
    pub fn is_permanent(&self) -> Option<bool> {
        if self.replies.iter().any(|reply| *reply >= 500) || self.enhanced.iter().any(|code| code.class == 5) {
            return Some(true);
        }
        let is_passing = !self.replies.is_empty() || self.enhanced.iter().any(|code| code.class == 4);
        is_passing.then_some(false)
    }
}

fn reply_code(word: &str) -> Option<u16> {
    let code = (word.len() == 3).then(|| word.parse().ok())??;
    matches!(code, 421 | 422 | 431 | 432 | 441..=455 | 471 | 472 | 500..=505 | 510..=559 | 571..=577).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_as_servers_write_them() {
        for (text, replies, enhanced) in [
            ("smtp; 550 5.1.1 <a@example.org>: User unknown", vec![550], vec!["5.1.1"]),
            ("550-5.1.1 The email account 550-5.1.1 that", vec![550, 550], vec!["5.1.1", "5.1.1"]),
            ("Sorry, no mailbox here by that name. (#5.1.1)", vec![], vec!["5.1.1"]),
            ("#550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient 5.1.10.", vec![550], vec!["5.1.10", "5.1.10"]),
            ("host mx.example.org[192.0.2.55] said: 554 5.7.1", vec![554], vec!["5.7.1"]),
            ("<mx.example.org #5.1.2 smtp;550>", vec![550], vec!["5.1.2"]),
            ("550.5.1.1 gone", vec![550], vec!["5.1.1"]),
        ] {
            let codes = Codes::of(text);
            let shown: Vec<String> = codes.enhanced.iter().map(ToString::to_string).collect();
            assert_eq!((codes.replies, shown), (replies, enhanced.iter().map(|c| (*c).to_owned()).collect()), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_code_is_none() {
        for text in [
            "10.5.1.1",
            "192.0.2.5",
            "2026-11-20",
            "v5.1.1b",
            "Exim 4.96.2-550a",
            "user550@example.org",
            "100%",
            "1.2.3",
        ] {
            let codes = Codes::of(text);
            assert_eq!(codes.is_permanent().filter(|permanent| *permanent), None, "{text}: {codes:?}");
        }
        assert_eq!(EnhancedCode::parse("5.1.1.1"), None);
        assert_eq!(EnhancedCode::parse("5.1.1 (bad mailbox)").unwrap().to_string(), "5.1.1");
    }
}
