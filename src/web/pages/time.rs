//! Owns how pages write times and numbers: 24 hours, with the date when it is not today, a thin space between thousands.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Between thousands: a narrow space that does not break.
const THIN_SPACE: char = '\u{202f}';
const MONTHS: [&str; 12] = ["jan", "feb", "mars", "apr", "maj", "juni", "juli", "aug", "sep", "okt", "nov", "dec"];

/// Times as people at one place read them.
#[derive(Debug, Clone)]
pub struct Wall {
    zone: TimeZone,
    now: i64,
}

impl Wall {
    /// The wall clock of `zone`, `now` in Unix ms.
    #[must_use]
    pub fn new(zone: TimeZone, now: i64) -> Self {
        Self { zone, now }
    }

    fn local(&self, at: i64) -> jiff::Zoned {
        Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(self.zone.clone())
    }

    /// With seconds: `02:31:07`.
    #[must_use]
    pub fn clock(&self, at: i64) -> String {
        let local = self.local(at);
        format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second())
    }

    /// For tables: `02:31`, `20 nov 02:31`, or with the year when it is another.
    #[must_use]
    pub fn short(&self, at: i64) -> String {
        let local = self.local(at);
        self.dated(&local, &format!("{:02}:{:02}", local.hour(), local.minute()))
    }

    /// For running text: `kl. 02.31`, `20 nov kl. 02.31`.
    #[must_use]
    pub fn text(&self, at: i64) -> String {
        let local = self.local(at);
        self.dated(&local, &format!("kl. {:02}.{:02}", local.hour(), local.minute()))
    }

    fn dated(&self, local: &jiff::Zoned, time: &str) -> String {
        let today = self.local(self.now).date();
        let month = MONTHS[usize::try_from(local.month() - 1).unwrap_or(0) % 12];
        match local.date() {
            date if date == today => time.to_owned(),
            date if date.year() == today.year() => format!("{} {month} {time}", date.day()),
            date => format!("{} {month} {} {time}", date.day(), date.year()),
        }
    }

    /// As fields of a form have them: `2026-11-20` and `02:31`.
    #[must_use]
    pub fn fields(&self, at: i64) -> (String, String) {
        let local = self.local(at);
        (local.date().to_string(), format!("{:02}:{:02}", local.hour(), local.minute()))
    }

    /// How long ago: `2 s`, `5 min`, `3 h`, `4 dygn`.
    #[must_use]
    pub fn ago(&self, at: i64) -> String {
        match (self.now - at).max(0) / 1000 {
            seconds @ ..60 => format!("{seconds} s"),
            seconds @ ..3_600 => format!("{} min", seconds / 60),
            seconds @ ..172_800 => format!("{} h", seconds / 3_600),
            seconds => format!("{} dygn", seconds / 86_400),
        }
    }

    /// The hour now, 0 to 23.
    #[must_use]
    pub fn hour(&self) -> i8 {
        self.local(self.now).hour()
    }
}

/// `1 030`, with a space that neither breaks nor is wide.
#[must_use]
pub fn number(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(THIN_SPACE);
        }
        text.push(digit);
    }
    if n < 0 { format!("\u{2212}{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_say_their_date_when_it_is_not_today() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let wall = Wall::new(TimeZone::get("Europe/Stockholm").unwrap(), at("2026-11-20T01:31:07Z"));
        assert_eq!(wall.clock(at("2026-11-20T01:31:07Z")), "02:31:07");
        for (then, short, text) in [
            ("2026-11-20T05:00:00Z", "06:00", "kl. 06.00"),
            ("2026-11-19T22:59:59Z", "19 nov 23:59", "19 nov kl. 23.59"),
            ("2026-11-19T23:00:00Z", "00:00", "kl. 00.00"),
            ("2025-07-01T10:00:00Z", "1 juli 2025 12:00", "1 juli 2025 kl. 12.00"),
        ] {
            assert_eq!((wall.short(at(then)).as_str(), wall.text(at(then)).as_str()), (short, text));
        }
        for (then, ago) in [
            ("2026-11-20T01:31:05Z", "2 s"),
            ("2026-11-20T01:31:09Z", "0 s"),
            ("2026-11-20T01:26:00Z", "5 min"),
            ("2026-11-19T22:31:00Z", "3 h"),
            ("2026-11-16T01:31:00Z", "4 dygn"),
        ] {
            assert_eq!(wall.ago(at(then)), ago);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        let plain = |n| number(n).replace(THIN_SPACE, " ");
        assert_eq!(
            [0, 999, 1_030, 10_050, 1_234_567, -4_000].map(plain),
            ["0", "999", "1 030", "10 050", "1 234 567", "\u{2212}4 000"]
        );
    }
}
