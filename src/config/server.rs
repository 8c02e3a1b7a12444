//! Owns `[server]`: addresses, links and proxies.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::ConfigError;

/// Addresses, links and proxies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address of pages, API and hooks.
    pub listen: String,
    /// Base of links and of callbacks given to gateways, without a trailing slash.
    pub public_url: String,
    /// Address of its own for hooks and public pages; empty = the same as `listen`.
    pub public_listen: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// HTTP proxy for outgoing calls; empty = none.
    pub egress_proxy: String,
    /// Calls of the API that one key may make in a second, over time.
    pub calls_per_second: u32,
    /// Calls that one key may make at once after a pause.
    pub call_burst: u32,
    /// What the pages say that this installation is.
    pub environment: Environment,
    /// IANA name of the time zone shown to people.
    pub time_zone: String,
}

/// What an installation is to those who look at its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// `Demo` when every gateway on the route is a simulator, otherwise `Live`.
    Auto,
    /// What is sent reaches people.
    Live,
    /// For practice.
    Drill,
    /// Nothing reaches anybody.
    Demo,
}

impl Server {
    /// Whether browsers reach the pages over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let address = |key: &str, text: &str| {
            text.parse::<SocketAddr>().map_err(|_| {
                ConfigError::invalid(key, format!("\"{text}\" is no address; write IP:PORT, such as 127.0.0.1:8080"))
            })
        };
        address("server.listen", &self.listen)?;
        if !self.public_listen.is_empty() {
            address("server.public_listen", &self.public_listen)?;
        }
        match url::Url::parse(&self.public_url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => return Err(ConfigError::invalid("server.public_url", "must be http://HOST or https://HOST")),
        }
        if !self.egress_proxy.is_empty() && url::Url::parse(&self.egress_proxy).is_err() {
            return Err(ConfigError::invalid(
                "server.egress_proxy",
                "must be a URL such as http://proxy.example.org:3128",
            ));
        }
        if self.calls_per_second == 0 || self.call_burst == 0 {
            return Err(ConfigError::invalid("server.calls_per_second", "and call_burst must be at least 1"));
        }
        jiff::tz::TimeZone::get(&self.time_zone)
            .map(drop)
            .map_err(|_| ConfigError::invalid("server.time_zone", "must be an IANA name such as Europe/Stockholm"))
    }

    /// The time zone shown to people.
    #[must_use]
    pub fn zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::get(&self.time_zone).unwrap_or(jiff::tz::TimeZone::UTC)
    }

    /// `path` (beginning with `/`) under the public address.
    #[must_use]
    pub fn public_link(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.trim_end_matches('/'))
    }
}
