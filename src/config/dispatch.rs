//! Owns `[dispatch]`: the engine's times.

use serde::Deserialize;

use super::ConfigError;

/// The engine's times and what it does with lost answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// How long a daemon holds a claimed delivery without renewing it.
    pub lease_seconds: u32,
    /// How long a lost answer may be proven before a person is asked.
    pub in_doubt_grace_seconds: u32,
    /// What happens when nothing proves it.
    pub resend_in_doubt: ResendInDoubt,
}

/// Which in-doubt deliveries are handed over again when nothing proves what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResendInDoubt {
    /// None: a person decides.
    Never,
    /// Letters only; they keep their Message-ID.
    Letters,
    /// Alerts only.
    Alerts,
    /// Both.
    All,
}

impl Dispatch {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.lease_seconds == 0 || self.lease_seconds > 3600 {
            return Err(ConfigError::invalid("dispatch.lease_seconds", "must be 1 to 3600"));
        }
        Ok(())
    }
}
