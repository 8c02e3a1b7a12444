//! Owns `[replies]`: rules for what contact persons answer.

use serde::Deserialize;

use super::ConfigError;
use super::letters::QuietHours;
use crate::domain::alert::LONGEST_VALIDITY_MINUTES;
use crate::domain::lint::{contains_link, refusals};
use crate::domain::sms_text::SmsText;

/// Most ready answers: more than fit beside an observation are no help.
const MOST_TEMPLATES: usize = 20;
/// Longest name of one, in characters.
const LONGEST_NAME: usize = 40;

/// An answer that is ready to be used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerTemplate {
    /// What the button says.
    #[serde(default)]
    pub name: String,
    /// What is put into the field.
    #[serde(default)]
    pub text: String,
}

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
    /// Answers that are ready, in the order they are offered.
    pub templates: Vec<AnswerTemplate>,
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
        self.validate_templates()
    }

    fn validate_templates(&self) -> Result<(), ConfigError> {
        let wrong = |problem: String| Err(ConfigError::invalid("replies.templates", problem));
        if self.templates.len() > MOST_TEMPLATES {
            return wrong(format!("must be at most {MOST_TEMPLATES}"));
        }
        for (number, AnswerTemplate { name, text }) in (1..).zip(&self.templates) {
            if name.trim().is_empty() {
                return wrong(format!("number {number} must have a name"));
            }
            if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
                return wrong(format!(
                    "the name of number {number} must be at most {LONGEST_NAME} characters on one line"
                ));
            }
            if self.templates.iter().filter(|other| other.name == *name).count() > 1 {
                return wrong(format!("\"{name}\" must stand there only once"));
            }
            if text.trim().is_empty() {
                return wrong(format!("\"{name}\" must have a text"));
            }
            if contains_link(text) {
                return wrong(format!("\"{name}\" must not hold a link: no SMS of ours does"));
            }
            let refused = match SmsText::parse(text) {
                Ok(sms) => refusals(&sms, &sms).first().map(|finding| finding.code),
                Err(error) => Some(error.code()),
            };
            if let Some(code) = refused {
                return wrong(format!("\"{name}\" could not be sent as it stands: {code}"));
            }
        }
        Ok(())
    }

    /// The hours in which somebody watches, if they are set.
    #[must_use]
    pub fn staffed(&self) -> Option<QuietHours> {
        QuietHours::parse(&self.staffed_hours)
    }
}
