//! Owns `[sms]`: the route and its gateways.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, Secret};

/// SMS gateways and the order in which they are used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    /// Names in `gateways`, in order of preference.
    pub route: Vec<String>,
    /// E.164 number that contact persons answer to.
    pub inbound_reply_to: String,
    /// SMS in a row that did not arrive at a number, after which somebody is to ring; 0 = never.
    pub doubtful_after: u32,
    /// The gateways by name.
    #[serde(default)]
    pub gateways: BTreeMap<String, Gateway>,
}

/// Which protocol a gateway speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum GatewayKind {
    /// The 46elks SMS API.
    #[serde(rename = "46elks")]
    Elks,
    /// SMPP 3.4, over a connection that is kept open.
    #[serde(rename = "smpp")]
    Smpp,
}

/// How an SMPP gateway writes a message's id in receipts, where that differs from its answer to the hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptIds {
    /// The same text.
    #[default]
    AsGiven,
    /// The answer is hexadecimal, the receipt decimal.
    Decimal,
    /// The answer is decimal, the receipt hexadecimal.
    Hexadecimal,
}

/// How delivery reports come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipts {
    /// The gateway calls our hook.
    #[default]
    Callback,
    /// We ask the gateway's history.
    Poll,
}

/// One SMS gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Protocol.
    pub kind: GatewayKind,
    /// Base URL of its API (46elks).
    #[serde(default = "elks_base_url")]
    pub base_url: String,
    /// `smpp://HOST:PORT`, or `smpps://HOST:PORT` with TLS (SMPP).
    #[serde(default)]
    pub url: String,
    /// Who we are to it (SMPP).
    #[serde(default)]
    pub system_id: String,
    /// What kind of system we are to it, where it wants to know (SMPP).
    #[serde(default)]
    pub system_type: String,
    /// How message ids are written in receipts (SMPP).
    #[serde(default)]
    pub receipt_ids: ReceiptIds,
    /// Between two looks whether the connection is alive (SMPP).
    #[serde(default = "enquire_link_seconds")]
    pub enquire_link_seconds: u64,
    /// API user name.
    #[serde(default)]
    pub username: String,
    /// API password.
    #[serde(default)]
    pub password: Secret,
    /// File that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// E.164 number or text sender.
    pub sender: String,
    /// Part of the callback paths, at least 32 characters.
    #[serde(default)]
    pub callback_secret: Secret,
    /// File that holds the callback secret.
    #[serde(default)]
    pub callback_secret_file: Option<PathBuf>,
    /// How delivery reports come.
    #[serde(default)]
    pub receipts: Receipts,
    /// True only for test gateways: fictitious numbers are refused otherwise.
    #[serde(default)]
    pub simulator: bool,
    /// SEK per SMS part.
    #[serde(default = "cost_per_part")]
    pub cost_per_part: f64,
    /// Hand-overs a second.
    #[serde(default = "rate_per_second")]
    pub rate_per_second: f64,
    /// Hand-overs that may come at once after a pause.
    #[serde(default = "burst")]
    pub burst: u32,
    /// Hand-overs under way at once.
    #[serde(default = "concurrency")]
    pub concurrency: u32,
    /// Time-out of one call.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u64,
    /// Whether the gateway's history may be asked about a lost answer.
    #[serde(default = "history")]
    pub history: bool,
    /// Warn when the account's balance is below this, in its currency.
    #[serde(default = "low_balance")]
    pub low_balance: f64,
    /// Source addresses that may call the hooks; empty = any with the secret.
    #[serde(default)]
    pub callback_addresses: Vec<IpAddr>,
}

fn elks_base_url() -> String {
    "https://api.46elks.com".to_owned()
}
fn enquire_link_seconds() -> u64 {
    30
}
fn cost_per_part() -> f64 {
    0.52
}
fn rate_per_second() -> f64 {
    10.0
}
fn burst() -> u32 {
    1
}
fn concurrency() -> u32 {
    16
}
fn timeout_seconds() -> u64 {
    10
}
fn history() -> bool {
    true
}
fn low_balance() -> f64 {
    500.0
}

impl Sms {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.gateways.iter().try_for_each(|(name, gateway)| gateway.validate(name))?;
        for name in &self.route {
            if !self.gateways.contains_key(name) {
                return Err(ConfigError::invalid(
                    "sms.route",
                    format!("names \"{name}\", but there is no table [sms.gateways.{name}]"),
                ));
            }
            if !self.gateways[name].has_numeric_sender() && !is_e164(&self.inbound_reply_to) {
                return Err(ConfigError::invalid(
                    "sms.inbound_reply_to",
                    format!(
                        "must be a number such as +46766860000: the sender of gateway \"{name}\" is a text, and an alert \
                         that asks for observations goes from a number"
                    ),
                ));
            }
        }
        Ok(())
    }
}

impl Gateway {
    fn validate(&self, name: &str) -> Result<(), ConfigError> {
        let invalid = |field: &str, problem: &str| invalid(name, field, problem);
        if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-') {
            return Err(ConfigError::invalid(
                format!("sms.gateways.{name}"),
                "a gateway's name may hold a-z, 0-9, - and _ only: it is part of the callback paths",
            ));
        }
        match self.kind {
            GatewayKind::Elks => self.validate_elks(name)?,
            GatewayKind::Smpp => self.validate_smpp(name)?,
        }
        if !is_e164(&self.sender) && !is_text_sender(&self.sender) {
            return invalid(
                "sender",
                "must be a number such as +46766860000, or 3-11 of A-Z a-z 0-9 beginning with a letter",
            );
        }
        if !(self.rate_per_second > 0.0 && self.rate_per_second <= 100_000.0) {
            return invalid("rate_per_second", "must be above 0 and at most 100000");
        }
        if self.burst == 0 || self.concurrency == 0 || self.concurrency > 1024 {
            return invalid("concurrency", "burst must be at least 1 and concurrency 1 to 1024");
        }
        if self.timeout_seconds == 0 || self.timeout_seconds > 120 {
            return invalid("timeout_seconds", "must be 1 to 120");
        }
        Ok(())
    }

    fn validate_elks(&self, name: &str) -> Result<(), ConfigError> {
        match url::Url::parse(&self.base_url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => return invalid(name, "base_url", "must be http://HOST or https://HOST"),
        }
        if self.callback_secret.expose().chars().count() < 32 {
            return invalid(name, "callback_secret", "must have at least 32 characters");
        }
        if !self.callback_secret.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return invalid(name, "callback_secret", "may hold letters, digits, - and _ only: it is part of a path");
        }
        if self.receipts == Receipts::Poll && !self.history {
            return invalid(name, "receipts", "\"poll\" asks the gateway's history, so history must be true");
        }
        Ok(())
    }

    fn validate_smpp(&self, name: &str) -> Result<(), ConfigError> {
        let is_bare = |url: &url::Url| url.username().is_empty() && url.password().is_none() && url.query().is_none();
        match url::Url::parse(&self.url) {
            Ok(url) if matches!(url.scheme(), "smpp" | "smpps") && url.has_host() && is_bare(&url) => {}
            _ => return invalid(name, "url", "must be smpp://HOST:PORT or smpps://HOST:PORT, without a login in it"),
        }
        // The lengths are the protocol's own, without the octet that ends each field.
        if self.system_id.is_empty() || !is_smpp_text(&self.system_id, 15) {
            return invalid(name, "system_id", "must have 1 to 15 characters of ASCII");
        }
        if !is_smpp_text(self.password.expose(), 8) {
            return invalid(name, "password", "may have at most 8 characters of ASCII: SMPP has no room for more");
        }
        if !is_smpp_text(&self.system_type, 12) {
            return invalid(name, "system_type", "may have at most 12 characters of ASCII");
        }
        if self.receipts == Receipts::Poll {
            return invalid(name, "receipts", "an SMPP gateway has no history that could be asked; leave it out");
        }
        if self.enquire_link_seconds == 0 || self.enquire_link_seconds > 3_600 {
            return invalid(name, "enquire_link_seconds", "must be 1 to 3600");
        }
        Ok(())
    }

    /// Whether its history may be asked about a lost answer; an SMPP gateway has none.
    #[must_use]
    pub fn may_ask_history(&self) -> bool {
        self.history && self.kind == GatewayKind::Elks
    }

    /// Whether contact persons can answer to the sender.
    #[must_use]
    pub fn has_numeric_sender(&self) -> bool {
        is_e164(&self.sender)
    }
}

fn invalid(gateway: &str, field: &str, problem: &str) -> Result<(), ConfigError> {
    Err(ConfigError::invalid(format!("sms.gateways.{gateway}.{field}"), problem))
}

fn is_smpp_text(text: &str, most: usize) -> bool {
    text.len() <= most && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_e164(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn is_text_sender(text: &str) -> bool {
    (3..=11).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
}
