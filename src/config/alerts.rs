//! Owns `[alerts]`: rules for alerts.

use serde::Deserialize;

use super::ConfigError;

/// Rules for alerts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// Validity when none is given.
    pub expires_in_minutes: u32,
    /// Time in which an alert can be taken back.
    pub undo_seconds: u32,
    /// When a colleague must approve.
    pub approval: Approval,
    /// How long after hand-over a receipt is awaited.
    pub receipt_window_hours: u32,
    /// Decision makers offered first.
    pub decision_makers: Vec<String>,
    /// Frame of an alert that asks for observations; holds `{sent}`, `{text}`, `{until}`.
    pub frame_observation: String,
    /// Frame of an alert that informs.
    pub frame_information: String,
    /// How long it must be known that an SMS has not arrived until the alert goes by e-mail instead, by itself; 0 = never.
    pub email_instead_after_seconds: u32,
    /// What is done about vehicle registration numbers in a text.
    pub registration_numbers: RegistrationNumbers,
}

/// When a colleague must approve a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Never.
    Never,
    /// Always.
    Always,
    /// When it goes to more recipients than this.
    Above(u32),
}

impl Approval {
    /// Whether a message to `recipients` must be approved.
    #[must_use]
    pub fn is_needed_for(self, recipients: i64) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Above(limit) => recipients > i64::from(limit),
        }
    }
}

/// What is done about vehicle registration numbers in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationNumbers {
    /// A warning.
    Warn,
    /// Nothing.
    Allow,
    /// The text is refused.
    Refuse,
}

impl Alerts {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, frame) in [
            ("alerts.frame_observation", &self.frame_observation),
            ("alerts.frame_information", &self.frame_information),
        ] {
            for slot in ["{sent}", "{text}", "{until}"] {
                if !frame.contains(slot) {
                    return Err(ConfigError::invalid(key, format!("must hold {slot}")));
                }
            }
        }
        if self.expires_in_minutes == 0 || self.expires_in_minutes > 7 * 24 * 60 {
            return Err(ConfigError::invalid("alerts.expires_in_minutes", "must be 1 to 10080"));
        }
        if self.undo_seconds > 3600 {
            return Err(ConfigError::invalid("alerts.undo_seconds", "must be at most 3600"));
        }
        if self.email_instead_after_seconds > 7 * 24 * 3600 {
            let allowed = "must be at most 604800, or 0 for never";
            return Err(ConfigError::invalid("alerts.email_instead_after_seconds", allowed));
        }
        if self.receipt_window_hours == 0 {
            return Err(ConfigError::invalid("alerts.receipt_window_hours", "must be at least 1"));
        }
        Ok(())
    }
}
