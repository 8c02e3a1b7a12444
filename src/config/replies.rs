//! Owns `[replies]`: rules for what contact persons answer.

use serde::Deserialize;

use super::ConfigError;
use super::letters::QuietHours;
use crate::domain::alert::LONGEST_VALIDITY_MINUTES;
use crate::domain::lint::contains_link;

/// Rules for what contact persons answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replies {
    /// Whether an SMS is answered by itself, once per person and alert.
    pub automatic: bool,
    /// What the automatic answer says.
    pub automatic_text: String,
    /// `HH:MM-HH:MM` local time in which somebody watches the inbox; empty = the automatic answer goes at any time.
    pub staffed_hours: String,
    /// How long after an alert's end an answer still belongs to it.
    pub window_hours: u32,
    /// Working days within which an observation should be answered.
    pub answer_within_days: u32,
    /// Words and phrases that mean that something is happening now.
    pub urgent_words: Vec<String>,
    /// Who watches the replies, by function, where an alert names nobody; empty = nobody.
    pub watched_by: String,
    /// E.164 number that is told of an urgent answer nobody has taken; empty = none.
    pub duty_number: String,
    /// How long an urgent answer may lie before that.
    pub duty_after_seconds: u32,
    /// How long after an alert to be passed on has gone to a person their deputy gets it, too, unless the person has said that
    /// it is passed on; 0 = never.
    pub deputy_after_minutes: u32,
}

impl Replies {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !self.staffed_hours.is_empty() && self.staffed().is_none() {
            return Err(ConfigError::invalid(
                "replies.staffed_hours",
                "must be HH:MM-HH:MM, such as 07:00-16:00, or empty",
            ));
        }
        if self.automatic && self.automatic_text.trim().is_empty() {
            return Err(ConfigError::invalid(
                "replies.automatic_text",
                "must say something while replies.automatic is on",
            ));
        }
        if contains_link(&self.automatic_text) {
            return Err(ConfigError::invalid("replies.automatic_text", "must not hold a link: no SMS of ours does"));
        }
        let is_number = |text: &str| {
            text.strip_prefix('+').is_some_and(|digits| {
                (8..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        if !self.duty_number.is_empty() && !is_number(&self.duty_number) {
            return Err(ConfigError::invalid("replies.duty_number", "must be E.164, such as +46701740601, or empty"));
        }
        if self.watched_by.chars().count() > 200 || self.watched_by.chars().any(char::is_control) {
            return Err(ConfigError::invalid("replies.watched_by", "must be at most 200 characters on one line"));
        }
        if self.duty_after_seconds == 0 || self.duty_after_seconds > 3_600 {
            return Err(ConfigError::invalid("replies.duty_after_seconds", "must be 1 to 3600"));
        }
        if i64::from(self.deputy_after_minutes) > LONGEST_VALIDITY_MINUTES {
            return Err(ConfigError::invalid("replies.deputy_after_minutes", "must be at most 10080, or 0 for never"));
        }
        if self.window_hours > 30 * 24 {
            return Err(ConfigError::invalid("replies.window_hours", "must be at most 720"));
        }
        if self.answer_within_days == 0 || self.answer_within_days > 365 {
            return Err(ConfigError::invalid("replies.answer_within_days", "must be 1 to 365"));
        }
        Ok(())
    }

    /// The hours in which somebody watches, if they are set.
    #[must_use]
    pub fn staffed(&self) -> Option<QuietHours> {
        QuietHours::parse(&self.staffed_hours)
    }
}
