//! Owns what is disposed of, and when its time is over (gallring).
//!
//! It removes nothing. Invariant: nothing is disposed of on the day its time ends, only after it.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// A kind of personal data that has a time of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// What people answered: text, sender, place, the mail or SMS as it came, and what was written back.
    Observations,
    /// Whom a message went to: addresses, persons, what providers said.
    Recipients,
    /// What stood in the rows of imported files.
    Imports,
    /// Mail that is nobody's answer: reports, automatic answers, what nobody understood.
    Mail,
    /// What was noted about calls to those whom nothing reaches.
    Calls,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Observations, Self::Recipients, Self::Imports, Self::Mail, Self::Calls];

    /// The stable code: the rule's name in the configuration and in the log.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Observations => "observations",
            Self::Recipients => "recipients",
            Self::Imports => "imports",
            Self::Mail => "mail",
            Self::Calls => "calls",
        }
    }
}

/// What came before this time, Unix ms, has been kept for `days`: from the day it came, or from the end of that calendar year.
/// Days are those of the calendar in `zone`.
#[must_use]
pub fn cutoff(now: Timestamp, zone: &TimeZone, (days, from_year_end): (u32, bool)) -> i64 {
    let today = now.to_zoned(zone.clone()).date();
    let before = |date: Date, days: u32| date.checked_sub(Span::new().days(i64::from(days))).unwrap_or(Date::MIN);
    let begun = before(today, days);
    let first_kept = if from_year_end { Date::new(begun.year(), 1, 1).unwrap_or(Date::MIN) } else { begun };
    let start = first_kept.to_zoned(zone.clone()).map(|zoned| zoned.timestamp());
    start.unwrap_or(Timestamp::MIN).as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn days_are_those_of_the_calendar_and_a_year_counts_from_its_end() {
        let zone = TimeZone::get("Europe/Stockholm").unwrap();
        let cut = |now: &str, term| Timestamp::from_millisecond(cutoff(at(now), &zone, term)).unwrap();
        assert_eq!(
            cut("2026-11-21T11:00:00Z", (30, false)),
            at("2026-10-21T22:00:00Z"),
            "the hour of summer time does not count"
        );
        assert_eq!(cut("2026-11-21T11:00:00Z", (365, true)), at("2024-12-31T23:00:00Z"));
        assert_eq!(
            cut("2026-12-31T22:59:00Z", (365, true)),
            at("2024-12-31T23:00:00Z"),
            "the last day of a whole year after the end of 2025"
        );
        assert_eq!(cut("2026-12-31T23:00:00Z", (365, true)), at("2025-12-31T23:00:00Z"));
    }
}
