//! Owns `[mail]`: the relay and how letters are signed.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, Secret};

/// What the relay is called beside the SMS gateways, in metrics and in the database.
pub const RELAY: &str = "mail";

/// The mail relay.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// `smtp://HOST:PORT`, `smtp://HOST?tls=required`, `smtps://USER:PW@HOST`; empty = no mail.
    pub url: Secret,
    /// Password, instead of one in the URL.
    pub password: Secret,
    /// File that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Sender shown to people: `Name <address>`.
    pub from: String,
    /// Where replies go; empty = `from`.
    pub reply_to: String,
    /// Domain of the return path `bounce+TOKEN@`.
    pub bounce_domain: String,
    /// Letters a second.
    pub rate_per_second: f64,
    /// Letters that may go at once after a pause.
    pub burst: u32,
    /// Letters a second to one recipient domain.
    pub per_domain_per_second: f64,
    /// Connections at once.
    pub concurrency: u32,
    /// Time-out of every answer but the one after the last dot.
    pub timeout_seconds: u64,
    /// Time-out of the answer after the last dot (RFC 5321 4.5.3.2.6).
    pub final_dot_timeout_seconds: u64,
    /// Letters on one connection before it is closed.
    pub messages_per_connection: u32,
    /// Signing domain; empty = letters are not signed here.
    pub dkim_domain: String,
    /// Selector below `_domainkey`.
    pub dkim_selector: String,
    /// PEM (RSA) or base64 (Ed25519) private key.
    pub dkim_key: Secret,
    /// File that holds the key.
    #[serde(default)]
    pub dkim_key_file: Option<PathBuf>,
}

impl Mail {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !self.url.is_empty() {
            match url::Url::parse(self.url.expose()) {
                Ok(url) if matches!(url.scheme(), "smtp" | "smtps") && url.has_host() => {}
                _ => return Err(ConfigError::invalid("mail.url", "must be smtp://HOST:PORT or smtps://HOST:PORT")),
            }
        }
        for (key, value) in
            [("mail.from", &self.from), ("mail.reply_to", &self.reply_to), ("mail.bounce_domain", &self.bounce_domain)]
        {
            if value.contains(['\r', '\n', '\0']) {
                return Err(ConfigError::invalid(key, "may not hold line breaks"));
            }
        }
        if !self.from.contains('@') {
            return Err(ConfigError::invalid("mail.from", "must be an address, such as Name <name@example.org>"));
        }
        if !(self.rate_per_second > 0.0 && self.per_domain_per_second > 0.0) {
            return Err(ConfigError::invalid("mail.rate_per_second", "rates must be above 0"));
        }
        if self.burst == 0 || self.concurrency == 0 || self.messages_per_connection == 0 {
            return Err(ConfigError::invalid(
                "mail.concurrency",
                "burst, concurrency and messages_per_connection must be at least 1",
            ));
        }
        let dkim = [self.dkim_domain.is_empty(), self.dkim_selector.is_empty(), self.dkim_key.is_empty()];
        if dkim.contains(&true) && dkim.contains(&false) {
            return Err(ConfigError::invalid(
                "mail.dkim_domain",
                "dkim_domain, dkim_selector and dkim_key go together: set all three or none",
            ));
        }
        Ok(())
    }

    /// The sender's name as people see it; the address when there is none.
    #[must_use]
    pub fn sender_name(&self) -> &str {
        let name = self.from.split('<').next().unwrap_or_default().trim().trim_matches('"').trim();
        if name.is_empty() || name.contains('@') { address_in(&self.from) } else { name }
    }

    /// The address that people write to.
    #[must_use]
    pub fn contact_address(&self) -> &str {
        address_in(if self.reply_to.trim().is_empty() { &self.from } else { &self.reply_to })
    }

    /// Whether letters are signed here.
    #[must_use]
    pub fn signs(&self) -> bool {
        !self.dkim_domain.is_empty()
    }
}

/// The address in `Name <address>` or `address`.
fn address_in(text: &str) -> &str {
    let address = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end().trim_end_matches('>'));
    address.trim()
}
