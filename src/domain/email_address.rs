//! Owns e-mail addresses: what is one (RFC 5321, RFC 6531), how it is stored, compared and written on the wire.
//!
//! It does not repair slips; import offers repairs. Invariant: an [`EmailAddress`] holds no blank or control character
//! and has a domain with at least two labels that converts to A-labels (RFC 5891).

use unicode_normalization::UnicodeNormalization;

/// Octets of a local part, RFC 5321 4.5.3.1.1.
const MAX_LOCAL: usize = 64;
/// Octets of a whole address, RFC 5321 4.5.3.1.3 less the angle brackets.
const MAX_ADDRESS: usize = 254;

/// A valid address. Its local part is kept as written, its domain in lower case with U-labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress {
    address: String,
    at: usize,
    wire_domain: String,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Nothing there.
    #[error("the address is empty")]
    Empty,
    /// More than 64 octets before the at-sign or 254 in all.
    #[error("the address is too long")]
    TooLong,
    /// No, or more than one, at-sign; a character that may not stand there; a domain that cannot exist.
    #[error("the address is not valid")]
    Invalid,
}

impl EmailError {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "email.empty",
            Self::TooLong => "email.too_long",
            Self::Invalid => "email.invalid",
        }
    }

    /// What is wrong, in Swedish.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::Empty => "E-postadressen saknas",
            Self::TooLong => "E-postadressen är för lång",
            Self::Invalid => "Ogiltig e-postadress",
        }
    }
}

impl EmailAddress {
    /// Reads one address, blanks around it trimmed.
    ///
    /// # Errors
    /// [`EmailError`] says why the text is no address.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text: String = text.trim().nfc().collect();
        if text.is_empty() {
            return Err(EmailError::Empty);
        }
        let (local, domain) = text.split_once('@').ok_or(EmailError::Invalid)?;
        if !is_dot_atom(local) {
            return Err(EmailError::Invalid);
        }
        let wire_domain = wire_domain(domain)?;
        let shown = idna::domain_to_unicode(&wire_domain).0;
        if local.len() > MAX_LOCAL || local.len() + 1 + wire_domain.len() > MAX_ADDRESS {
            return Err(EmailError::TooLong);
        }
        Ok(Self { address: format!("{local}@{shown}"), at: local.len(), wire_domain })
    }

    /// The stored and shown form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// The part before the at-sign.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.address[..self.at]
    }

    /// The domain, lower case, U-labels.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.address[self.at + 1..]
    }

    /// The form in which addresses are compared: without regard to case.
    #[must_use]
    pub fn key(&self) -> String {
        key(&self.address)
    }

    /// The address for `RCPT TO` and header fields: the domain in A-labels (RFC 5890).
    #[must_use]
    pub fn wire(&self) -> String {
        format!("{}@{}", self.local(), self.wire_domain)
    }

    /// Whether the local part needs the SMTPUTF8 extension (RFC 6531): few relays take it.
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.local().is_ascii()
    }
}

/// The form in which stored addresses are compared: without regard to case.
#[must_use]
pub fn key(address: &str) -> String {
    address.to_lowercase()
}

/// RFC 5321 Dot-string with the additions of RFC 6531; quoted local parts are not taken.
fn is_dot_atom(local: &str) -> bool {
    let is_atext = |c: char| {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && c.is_alphanumeric())
    };
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn wire_domain(domain: &str) -> Result<String, EmailError> {
    let wire = idna::domain_to_ascii_strict(domain).map_err(|_| EmailError::Invalid)?;
    let labels: Vec<&str> = wire.split('.').collect();
    let is_named = labels.last().is_some_and(|top| top.len() >= 2 && top.chars().any(|c| c.is_ascii_alphabetic()));
    if labels.len() >= 2 && is_named && labels.iter().all(|label| !label.is_empty()) {
        Ok(wire)
    } else {
        Err(EmailError::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_is_lowered_and_the_local_part_kept() {
        let address = EmailAddress::parse(" Karin.Aslund@Example.ORG ").unwrap();
        assert_eq!(address.as_str(), "Karin.Aslund@example.org");
        assert_eq!((address.local(), address.domain()), ("Karin.Aslund", "example.org"));
        assert_eq!(address.key(), "karin.aslund@example.org");
        assert_eq!(address.wire(), address.as_str());
        assert!(!address.needs_smtputf8());
    }

    #[test]
    fn international_domains_go_out_as_a_labels() {
        for text in
            ["anna@räksmörgås.example.org", "anna@RÄKSMÖRGÅS.example.org", "anna@xn--rksmrgs-5wao1o.example.org"]
        {
            let address = EmailAddress::parse(text).unwrap();
            assert_eq!(address.as_str(), "anna@räksmörgås.example.org");
            assert_eq!(address.wire(), "anna@xn--rksmrgs-5wao1o.example.org");
            assert!(!address.needs_smtputf8());
        }
    }

    #[test]
    fn letters_outside_ascii_before_the_at_sign_are_told() {
        let address = EmailAddress::parse("a\u{30a}sa.öberg@example.org").unwrap();
        assert_eq!(address.as_str(), "åsa.öberg@example.org");
        assert!(address.needs_smtputf8());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long = format!("a@{}example.org", "b23456789.".repeat(25));
        for (text, error) in [
            ("", EmailError::Empty),
            (" \t", EmailError::Empty),
            ("anna", EmailError::Invalid),
            ("anna@", EmailError::Invalid),
            ("@example.org", EmailError::Invalid),
            ("anna@example", EmailError::Invalid),
            ("anna@192.0.2.1", EmailError::Invalid),
            ("anna@[192.0.2.1]", EmailError::Invalid),
            ("anna@example,org", EmailError::Invalid),
            ("anna@@example.org", EmailError::Invalid),
            ("anna..ek@example.org", EmailError::Invalid),
            (".anna@example.org", EmailError::Invalid),
            ("anna@example..org", EmailError::Invalid),
            ("anna@example.org.", EmailError::Invalid),
            ("anna@-example.org", EmailError::Invalid),
            ("anna ek@example.org", EmailError::Invalid),
            ("anna@exam ple.org", EmailError::Invalid),
            ("anna@example.org\r\nBcc: b@example.org", EmailError::Invalid),
            ("an\u{0}na@example.org", EmailError::Invalid),
            ("anna\u{202e}@example.org", EmailError::Invalid),
            ("\"anna ek\"@example.org", EmailError::Invalid),
            ("Anna <anna@example.org>", EmailError::Invalid),
            (long_local.as_str(), EmailError::TooLong),
        ] {
            assert_eq!(EmailAddress::parse(text), Err(error), "{text}");
        }
        assert!(EmailAddress::parse(&long).is_err());
    }
}
