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
    /// Base URL of its API.
    #[serde(default = "elks_base_url")]
    pub base_url: String,
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
        let invalid =
            |field: &str, problem: &str| Err(ConfigError::invalid(format!("sms.gateways.{name}.{field}"), problem));
        if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-') {
            return Err(ConfigError::invalid(
                format!("sms.gateways.{name}"),
                "a gateway's name may hold a-z, 0-9, - and _ only: it is part of the callback paths",
            ));
        }
        match url::Url::parse(&self.base_url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => return invalid("base_url", "must be http://HOST or https://HOST"),
        }
        if self.callback_secret.expose().chars().count() < 32 {
            return invalid("callback_secret", "must have at least 32 characters");
        }
        if !self.callback_secret.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return invalid("callback_secret", "may hold letters, digits, - and _ only: it is part of a path");
        }
        if !is_e164(&self.sender) && !is_text_sender(&self.sender) {
            return invalid(
                "sender",
                "must be a number such as +46766860000, or 3-11 of A-Z a-z 0-9 beginning with a letter",
            );
        }
        if self.receipts == Receipts::Poll && !self.history {
            return invalid("receipts", "\"poll\" asks the gateway's history, so history must be true");
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

    /// Whether contact persons can answer to the sender.
    #[must_use]
    pub fn has_numeric_sender(&self) -> bool {
        is_e164(&self.sender)
    }
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
