//! Owns `[letters]`: rules for letters.

use jiff::civil::Time;
use serde::Deserialize;

use super::ConfigError;
use super::alerts::Approval;

/// Rules for letters.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letters {
    /// Time in which a letter can be taken back.
    pub undo_seconds: u32,
    /// When a colleague must approve; recipients are those by e-mail and on paper together.
    pub approval: Approval,
    /// `HH:MM-HH:MM` local time in which nothing is handed over; empty = none.
    pub quiet_hours: String,
    /// How long delivery is tried.
    pub give_up_hours: u32,
    /// How long after hand-over a bounce is awaited.
    pub receipt_window_hours: u32,
    /// Our goal: a letter at least every so many days; 0 = none.
    pub goal_every_days: u32,
    /// Name of the list in `List-Id` (RFC 2919).
    pub list_name: String,
    /// Stable identifier of the list.
    pub list_id: String,
}

/// A daily span in local time; may pass midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    /// First quiet minute.
    pub from: Time,
    /// First minute that is not quiet any more.
    pub until: Time,
}

impl Letters {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !self.quiet_hours.is_empty() && self.quiet().is_none() {
            return Err(ConfigError::invalid(
                "letters.quiet_hours",
                "must be HH:MM-HH:MM, such as 21:00-07:00, or empty",
            ));
        }
        if self.give_up_hours == 0 || self.receipt_window_hours == 0 {
            return Err(ConfigError::invalid(
                "letters.give_up_hours",
                "give_up_hours and receipt_window_hours must be at least 1",
            ));
        }
        Ok(())
    }

    /// The quiet hours, if any are set.
    #[must_use]
    pub fn quiet(&self) -> Option<QuietHours> {
        QuietHours::parse(&self.quiet_hours)
    }
}

impl QuietHours {
    /// Reads `HH:MM-HH:MM`; `None` for anything else and for a span of no length.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (from, until) = text.split_once('-')?;
        let parse = |text: &str| Time::strptime("%H:%M", text.trim()).ok();
        let hours = Self { from: parse(from)?, until: parse(until)? };
        (hours.from != hours.until).then_some(hours)
    }

    /// Whether the local time `at` is quiet.
    #[must_use]
    pub fn contains(self, at: Time) -> bool {
        if self.from < self.until { (self.from..self.until).contains(&at) } else { at >= self.from || at < self.until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_may_pass_midnight() {
        let hours = QuietHours { from: Time::constant(21, 0, 0, 0), until: Time::constant(7, 0, 0, 0) };
        assert!(hours.contains(Time::constant(23, 0, 0, 0)));
        assert!(hours.contains(Time::constant(6, 59, 0, 0)));
        assert!(!hours.contains(Time::constant(7, 0, 0, 0)));
        assert!(!hours.contains(Time::constant(20, 59, 0, 0)));
    }
}
