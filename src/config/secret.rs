//! Owns values that must never print: their type, their `NAME_file` form and how they are masked.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::ConfigError;

/// A secret text; its `Debug` shows nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(SecretString);

impl Secret {
    /// A secret made from `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

/// Replaces `secret` by the content of `file`, without its last line break.
pub(super) fn resolve(key: &str, secret: &mut Secret, file: Option<&Path>) -> Result<(), ConfigError> {
    let Some(file) = file else { return Ok(()) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| ConfigError::invalid(format!("{key}_file"), format!("{}: {error}", file.display())))?;
    *secret = Secret::new(text.trim_end_matches(['\r', '\n']).to_owned());
    Ok(())
}

/// Whether the value of `key` must be masked.
pub(super) fn is_secret_key(key: &str) -> bool {
    let name = key.rsplit('.').next().unwrap_or(key);
    matches!(
        name,
        "password"
            | "imap_password"
            | "imap_url"
            | "callback_secret"
            | "dkim_key"
            | "signing_key"
            | "journal_key"
            | "oidc_client_secret"
            | "url"
    )
}

/// What is shown for a secret: nothing, `***`, or a URL without its password.
pub(super) fn mask(key: &str, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    if !key.ends_with("url") {
        return "***".to_owned();
    }
    match url::Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            let _ = url.set_password(Some("***"));
            url.to_string()
        }
        _ => text.to_owned(),
    }
}
