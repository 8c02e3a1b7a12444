//! Owns `[mail_in]`: mail that comes in, and when an address counts as one that letters do not reach.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, Secret};

/// Incoming mail.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailIn {
    /// Octets of a mail that are kept; of a longer one the end is not.
    pub max_bytes: u64,
    /// Letters that come back with a clear word that the address is not there, before it is left alone.
    pub hard_bounces: u32,
    /// Letters that come back for a reason that passes, before the address is left alone; 0 = never for that.
    pub soft_bounces: u32,
    /// Days within which those are counted.
    pub soft_days: u32,
    /// Mailbox that is read besides what `receive-mail` brings: `imaps://USER@HOST/INBOX`, or `imap://` on this machine; empty = none.
    pub imap_url: Secret,
    /// Password, instead of one in the URL.
    pub imap_password: Secret,
    /// File that holds the password.
    #[serde(default)]
    pub imap_password_file: Option<PathBuf>,
    /// What becomes of a mail in the mailbox when it is on disk here.
    pub imap_after: AfterReading,
    /// Longest wait for news before the mailbox is looked into anyway (RFC 2177 wants less than 29 minutes).
    pub imap_idle_seconds: u64,
}

/// What becomes of a mail in the mailbox when it is on disk here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterReading {
    /// Marked as seen, and left.
    Seen,
    /// Deleted.
    Delete,
}

/// Where a mailbox is.
#[derive(Debug, Clone)]
pub struct MailboxAddress {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS from the first octet.
    pub is_tls: bool,
    /// Login name.
    pub login: String,
    /// Password.
    pub password: Secret,
    /// Folder.
    pub folder: String,
}

impl MailIn {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(65_536..=268_435_456).contains(&self.max_bytes) {
            return Err(ConfigError::invalid("mail_in.max_bytes", "must be 65536 to 268435456"));
        }
        if self.hard_bounces == 0 || self.soft_days == 0 {
            return Err(ConfigError::invalid("mail_in.hard_bounces", "hard_bounces and soft_days must be at least 1"));
        }
        if !(10..=1_700).contains(&self.imap_idle_seconds) {
            return Err(ConfigError::invalid("mail_in.imap_idle_seconds", "must be 10 to 1700"));
        }
        if !self.imap_url.is_empty() && self.mailbox().is_none() {
            return Err(ConfigError::invalid(
                "mail_in.imap_url",
                "must be imaps://USER@HOST[:PORT]/FOLDER with a password, or imap:// to this machine",
            ));
        }
        Ok(())
    }

    /// The longest wait for news.
    #[must_use]
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.imap_idle_seconds)
    }

    /// The mailbox that is read, if one is set. A password in the clear goes to this machine only.
    #[must_use]
    pub fn mailbox(&self) -> Option<MailboxAddress> {
        let url = url::Url::parse(self.imap_url.expose()).ok()?;
        let is_tls = url.scheme() == "imaps";
        let host = url.host_str()?.to_owned();
        let is_here = matches!(host.as_str(), "127.0.0.1" | "localhost" | "[::1]");
        if !(is_tls || (url.scheme() == "imap" && is_here)) {
            return None;
        }
        let decoded = |text: &str| percent_decoded(text).filter(|text| !text.is_empty());
        let password =
            decoded(url.password().unwrap_or_default()).map_or_else(|| self.imap_password.clone(), Secret::new);
        let login = decoded(url.username())?;
        let folder = decoded(url.path().trim_matches('/')).unwrap_or_else(|| "INBOX".to_owned());
        let is_clean = |text: &str| !text.contains(|c: char| c.is_control());
        let port = url.port().unwrap_or(if is_tls { 993 } else { 143 });
        (!password.is_empty() && is_clean(&login) && is_clean(&folder) && is_clean(password.expose()))
            .then_some(MailboxAddress { host, port, is_tls, login, password, folder })
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use crate::config::from_toml;

    #[test]
    fn a_password_in_the_clear_goes_to_this_machine_only() {
        for (url, is_right) in [
            ("imaps://anna:hemligt@mail.example.org/INBOX", true),
            ("imap://anna:hemligt@127.0.0.1:1143", true),
            ("imap://anna:hemligt@mail.example.org", false),
            ("imaps://anna@mail.example.org", false),
            ("https://mail.example.org", false),
        ] {
            let loaded = from_toml(&[&format!("[mail_in]\nimap_url = \"{url}\"")]);
            assert_eq!(loaded.is_ok(), is_right, "{url}");
        }
        let loaded =
            from_toml(&["[mail_in]\nimap_url = \"imaps://anna%40example.org:a%2Fb@mail.example.org/Studsar\""]);
        let mailbox = loaded.unwrap().mail_in.mailbox().unwrap();
        assert_eq!(
            (mailbox.login.as_str(), mailbox.folder.as_str(), mailbox.port),
            ("anna@example.org", "Studsar", 993)
        );
        assert_eq!(mailbox.password.expose(), "a/b");
    }
}
