//! Owns what the page of a new alert sends: its fields become the alert that somebody wants, and stand on the page again.
//!
//! It checks only what the page adds: that spreading was chosen, and times as people write them. Invariant: a time once
//! shown for confirmation is kept as a moment, so that it never becomes tomorrow's while somebody reads.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::form::Fields;
use crate::actions::FieldProblem;
use crate::actions::alert::NewAlert;
use crate::actions::alert_view::AlertView;

/// What is sent for "another decision maker".
pub const OTHER: &str = "other";
/// What is sent for "until the next 06.00".
pub const DAWN: &str = "06:00";
/// What is sent for "until the time beside".
pub const TIME: &str = "time";

/// The fields as typed.
#[derive(Debug, Clone, Default)]
pub struct AlertForm {
    /// Area codes.
    pub areas: Vec<String>,
    /// Text.
    pub text: String,
    /// The situation whose slots make the text; empty when it is written freely.
    pub situation: String,
    /// What stands in its slots, in order.
    pub slots: Vec<String>,
    /// Kind's code.
    pub kind: String,
    /// Code of the choice about spreading; empty before it is made.
    pub spread: String,
    /// A decision maker of the list, or [`OTHER`].
    pub decided_by: String,
    /// Another decision maker.
    pub decided_by_other: String,
    /// Who watches the replies; empty = as configured.
    pub watched_by: String,
    /// Number for acute replies; empty = as configured.
    pub duty_number: String,
    /// Minutes, [`DAWN`] or [`TIME`].
    pub validity: String,
    /// `HH:MM` for [`TIME`].
    pub until: String,
    /// `HH:MM` when it shall go later.
    pub send_time: String,
    /// Whether it is a drill.
    pub is_drill: bool,
    /// The alert that this is a new revision of.
    pub revises: String,
    /// The draft that it is kept in; empty before the first save.
    pub draft: String,
    /// The draft's revision that the page shows.
    pub draft_revision: i64,
    /// Confirmed: when it goes, Unix ms.
    pub send_at_ms: Option<i64>,
    /// Confirmed: until when it is valid, Unix ms.
    pub until_ms: Option<i64>,
}

impl AlertForm {
    /// A form that nobody has filled in.
    #[must_use]
    pub fn blank(minutes: u32, is_drill: bool) -> Self {
        Self { kind: "observation".to_owned(), validity: minutes.to_string(), is_drill, ..Self::default() }
    }

    /// The form of a page.
    #[must_use]
    pub fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).to_owned();
        Self {
            areas: fields.all("areas"),
            text: text("text"),
            situation: text("situation"),
            slots: fields.all("slot"),
            kind: fields.filled("kind").unwrap_or("observation").to_owned(),
            spread: text("spread"),
            decided_by: text("decided_by"),
            decided_by_other: text("decided_by_other"),
            watched_by: text("watched_by"),
            duty_number: text("duty_number"),
            validity: text("validity"),
            until: text("until"),
            send_time: text("send_time"),
            is_drill: fields.text("drill") == "yes",
            revises: text("revises"),
            draft: text("draft"),
            draft_revision: fields.text("draft_revision").parse().unwrap_or(0),
            send_at_ms: fields.filled("send_at_ms").and_then(|ms| ms.parse().ok()),
            until_ms: fields.filled("until_ms").and_then(|ms| ms.parse().ok()),
        }
    }

    /// The form of an alert that was made before.
    #[must_use]
    pub fn of(view: &AlertView, decision_makers: &[String]) -> Self {
        let alert = &view.alert;
        let is_listed = decision_makers.contains(&alert.decided_by);
        Self {
            areas: view.areas.clone(),
            text: alert.text.clone(),
            kind: alert.kind.clone(),
            spread: alert.spread.clone(),
            decided_by: if is_listed { alert.decided_by.clone() } else { OTHER.to_owned() },
            decided_by_other: if is_listed { String::new() } else { alert.decided_by.clone() },
            watched_by: alert.watched_by.clone(),
            duty_number: alert.duty_number.clone(),
            validity: alert.expires_in_minutes.to_string(),
            is_drill: alert.drill == 1,
            ..Self::default()
        }
    }

    /// Whether nothing is chosen or typed that would be missed.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.areas.is_empty() && self.text.trim().is_empty() && self.slots.iter().all(|slot| slot.trim().is_empty())
    }

    /// Who decided.
    #[must_use]
    pub fn decision_maker(&self) -> &str {
        if self.decided_by == OTHER || self.decided_by.is_empty() {
            self.decided_by_other.trim()
        } else {
            &self.decided_by
        }
    }

    /// The alert that is wanted, with what is wrong with the fields that only the page has.
    #[must_use]
    pub fn wanted(&self, zone: &TimeZone, now: Timestamp) -> (NewAlert, Vec<FieldProblem>) {
        let mut problems = Vec::new();
        if self.spread.is_empty() {
            problems.push(FieldProblem::new("spread", "field.required", "Välj om texten får spridas vidare."));
        }
        let send_at = self.send_at(zone, now, &mut problems);
        let start = send_at.unwrap_or(now);
        let minutes = self.minutes(&start.to_zoned(zone.clone()), &mut problems);
        let wanted = NewAlert {
            text: self.text.clone(),
            areas: self.areas.clone(),
            decided_by: self.decision_maker().to_owned(),
            kind: Some(self.kind.clone()),
            spread: Some(self.spread.clone()).filter(|spread| !spread.is_empty()),
            expires_in_minutes: minutes,
            send_at,
            undo_seconds: None,
            drill: self.is_drill,
            expected_recipients: None,
            watched_by: Some(self.watched_by.clone()),
            duty_number: Some(self.duty_number.clone()),
        };
        (wanted, problems)
    }

    fn send_at(&self, zone: &TimeZone, now: Timestamp, problems: &mut Vec<FieldProblem>) -> Option<Timestamp> {
        if let Some(ms) = self.send_at_ms {
            return Timestamp::from_millisecond(ms).ok();
        }
        let time = self.send_time.trim();
        if time.is_empty() {
            return None;
        }
        let at = next(&now.to_zoned(zone.clone()), time);
        if at.is_none() {
            problems.push(FieldProblem::new("send_time", "field.invalid", "Skriv tiden så här: 07.00."));
        }
        at
    }

    fn minutes(&self, start: &Zoned, problems: &mut Vec<FieldProblem>) -> Option<i64> {
        let until = match (self.until_ms, self.validity.as_str()) {
            (Some(ms), _) => Timestamp::from_millisecond(ms).ok(),
            (None, DAWN) => next(start, DAWN),
            (None, TIME) => next(start, self.until.trim()),
            (None, minutes) => return minutes.parse().ok(),
        };
        if until.is_none() {
            problems.push(FieldProblem::new("until", "field.invalid", "Skriv sluttiden så här: 06.30."));
        }
        // Rounded up: what shall end at 06.00 must not say 05.59.
        until.map(|until| (until.as_millisecond() - start.timestamp().as_millisecond() + 59_999).div_euclid(60_000))
    }

    /// Whether it ends at a moment rather than after a while.
    #[must_use]
    pub fn ends_at_a_time(&self) -> bool {
        matches!(self.validity.as_str(), DAWN | TIME)
    }
}

/// The next time that the clock shows `time`, `07.00` or `07:00`.
fn next(from: &Zoned, time: &str) -> Option<Timestamp> {
    let (hour, minute) = time.split_once([':', '.'])?;
    let (hour, minute) = (hour.parse().ok()?, minute.parse().ok()?);
    let time = jiff::civil::Time::new(hour, minute, 0, 0).ok()?;
    let zone = from.time_zone().clone();
    let today = from.date().to_datetime(time).to_zoned(zone.clone()).ok()?;
    if today > *from {
        return Some(today.timestamp());
    }
    let tomorrow = from.date().tomorrow().ok()?;
    Some(tomorrow.to_datetime(time).to_zoned(zone).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(form: &AlertForm) -> (NewAlert, Vec<FieldProblem>) {
        let zone = TimeZone::get("Europe/Stockholm").unwrap();
        form.wanted(&zone, "2026-11-20T01:31:40Z".parse().unwrap())
    }

    fn form(validity: &str, until: &str, send_time: &str) -> AlertForm {
        AlertForm {
            validity: validity.into(),
            until: until.into(),
            send_time: send_time.into(),
            spread: "households".into(),
            ..AlertForm::default()
        }
    }

    #[test]
    fn times_become_minutes_from_when_it_goes() {
        for (validity, until, send_time, minutes) in [
            ("240", "", "", Some(240)),
            ("06:00", "", "", Some(209)),
            ("time", "02.30", "", Some(24 * 60 - 1)),
            ("time", "02:33", "", Some(2)),
            ("06:00", "", "07.00", Some(23 * 60)),
            ("120", "", "07:00", Some(120)),
        ] {
            let (new, problems) = wanted(&form(validity, until, send_time));
            assert_eq!((new.expires_in_minutes, problems.len()), (minutes, 0), "{validity} {until} {send_time}");
        }
    }

    #[test]
    fn a_time_that_is_none_and_spreading_that_was_not_chosen_are_said() {
        for (form, name) in [
            (form("time", "25:00", ""), "until"),
            (form("time", "", ""), "until"),
            (form("240", "", "snart"), "send_time"),
            (AlertForm { spread: String::new(), ..form("240", "", "") }, "spread"),
        ] {
            let (_, problems) = wanted(&form);
            assert_eq!(problems.len(), 1);
            assert_eq!(problems[0].name, name);
        }
    }

    #[test]
    fn what_was_shown_for_confirmation_is_what_goes() {
        let shown = AlertForm { until_ms: Some(1_795_154_400_000), ..form("06:00", "", "") };
        let zone = TimeZone::get("Europe/Stockholm").unwrap();
        let (new, _) = shown.wanted(&zone, Timestamp::from_millisecond(1_795_154_400_001).unwrap());
        assert!(new.expires_in_minutes.unwrap() < 1, "not until tomorrow: {new:?}");
    }
}
