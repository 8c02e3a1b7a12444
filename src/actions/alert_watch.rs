//! Owns who watches the replies to an alert that asks for observations, and the number that is told when an acute one waits.
//!
//! It tells nobody itself; `duty` does. Invariant: an alert that only informs names nobody.

use super::alert::NewAlert;
use super::alert_view::Warning;
use super::{Desk, FieldProblem};
use crate::domain::alert::AlertKind;
use crate::domain::phone::PhoneNumber;
use crate::domain::plain_text::{clean_line, is_forbidden_control};

/// Longest name of who watches, in characters.
const LONGEST: usize = 200;
/// Code of the warning that nobody is named.
pub const NOBODY: &str = "alert.nobody_watches";
/// Code of the warning that no number is told of an acute reply that nobody takes.
pub const NO_NUMBER: &str = "alert.no_duty_number";

/// Who watches the replies to one alert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// By function; empty = nobody.
    pub watched_by: String,
    /// E.164; empty = none.
    pub duty_number: String,
}

impl Watch {
    /// What somebody wants, or what is configured where they want nothing else.
    pub(super) fn of(desk: &Desk, kind: AlertKind, new: &NewAlert, problems: &mut Vec<FieldProblem>) -> Self {
        if kind != AlertKind::Observation {
            return Self::default();
        }
        let rules = &desk.config.replies;
        let given =
            |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let watched_by = given(&new.watched_by).unwrap_or_else(|| rules.watched_by.clone());
        if watched_by.chars().count() > LONGEST || watched_by.chars().any(is_forbidden_control) {
            problems.push(FieldProblem::new("watched_by", "field.invalid", "Högst 200 tecken och inga styrtecken."));
        }
        let duty_number = match given(&new.duty_number) {
            None => rules.duty_number.clone(),
            Some(typed) => match PhoneNumber::parse(&typed) {
                Ok(number) if number.can_get_sms() => number.e164().to_owned(),
                _ => {
                    let detail = "Ange ett mobilnummer som kan få sms, eller lämna fältet tomt.";
                    problems.push(FieldProblem::new("duty_number", "field.invalid", detail));
                    String::new()
                }
            },
        };
        Self { watched_by: clean_line(&watched_by), duty_number }
    }
}

/// What is missing where an alert asks for replies: somebody who watches them, and a number for the acute ones, neither its own
/// nor the configured one.
pub(super) fn warnings(desk: &Desk, asks_for_replies: bool, watched_by: &str, duty_number: &str) -> Vec<Warning> {
    let warning = |code, detail: &str| Warning { code, detail: detail.to_owned(), area_code: None };
    let is_watched = !watched_by.is_empty();
    let has_number = !duty_number.is_empty() || !desk.config.replies.duty_number.is_empty();
    let mut warnings = Vec::new();
    if asks_for_replies && !is_watched {
        let detail = "Utskicket ber om iakttagelser, men ingen är utsedd att läsa svaren. Ange vem som gör det.";
        warnings.push(warning(NOBODY, detail));
    }
    if asks_for_replies && !has_number {
        let detail = "Utskicket ber om iakttagelser, men inget nummer får sms när ett akut svar ligger och väntar. \
                      Ange ett nummer, eller håll inkorgen öppen.";
        warnings.push(warning(NO_NUMBER, detail));
    }
    warnings
}
