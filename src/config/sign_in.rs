//! Owns `[sign_in]`: how long a session lasts, and the authority's own ways in.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, Secret};

/// How people sign in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// A session ends after this time without a page asked for.
    pub idle_minutes: u32,
    /// A session ends after this time whatever happens.
    pub absolute_hours: u32,
    /// For administrative acts the person must have proved who they are within this time.
    pub proof_minutes: u32,
    /// Whether a password and a code let people in.
    pub passwords: bool,
    /// Name of the header in which a proxy says who is signed in, by e-mail; empty = none.
    pub proxy_header: String,
    /// Addresses of the proxies that are believed about it.
    pub proxy_addresses: Vec<IpAddr>,
    /// The authority's identity provider (OpenID Connect), by its issuer; empty = none.
    pub oidc_issuer: String,
    /// What we are called there.
    pub oidc_client_id: String,
    /// Our secret there.
    #[serde(default)]
    pub oidc_client_secret: Secret,
    /// File with the secret.
    #[serde(default)]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// Whether its e-mail addresses are right though it does not say that they are verified.
    pub oidc_email_is_verified: bool,
    /// What the button says.
    pub oidc_name: String,
}

impl SignIn {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, value, most) in [
            ("sign_in.idle_minutes", self.idle_minutes, 24 * 60),
            ("sign_in.absolute_hours", self.absolute_hours, 24 * 7),
            ("sign_in.proof_minutes", self.proof_minutes, 24 * 60),
        ] {
            if value == 0 || value > most {
                return Err(ConfigError::invalid(key, format!("must be 1 to {most}")));
            }
        }
        if !self.proxy_header.is_empty() {
            let is_name = self.proxy_header.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if !is_name {
                return Err(ConfigError::invalid(
                    "sign_in.proxy_header",
                    "must be a header's name, such as X-Remote-User",
                ));
            }
            if self.proxy_addresses.is_empty() {
                return Err(ConfigError::invalid(
                    "sign_in.proxy_addresses",
                    "must name the proxies that are believed: anybody can send a header",
                ));
            }
        }
        self.validate_oidc()
    }

    fn validate_oidc(&self) -> Result<(), ConfigError> {
        if self.oidc_issuer.is_empty() {
            return Ok(());
        }
        match url::Url::parse(&self.oidc_issuer) {
            Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => {}
            _ => return Err(ConfigError::invalid("sign_in.oidc_issuer", "must be https://HOST or below it")),
        }
        if self.oidc_client_id.is_empty() || self.oidc_client_secret.is_empty() {
            return Err(ConfigError::invalid(
                "sign_in.oidc_client_id",
                "and oidc_client_secret must be set with oidc_issuer",
            ));
        }
        Ok(())
    }
}
