//! Owns the text one phone gets: the frame with its date and times, the drill's mark, the spreading rule.
//!
//! It neither counts (`domain::sms_text`) nor judges (`domain::lint`). Invariant: every slot of a frame is filled once,
//! in one pass, so braces and slots in the author's own text stay what they are.
//!
//! Frames never use the words of VMA, the public warning system, such as "faran över": an SMS from the police to
//! contact persons must not look like one.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Frame of a follow-up that ends an alert. `{original}` is when the first SMS was dated.
pub const FRAME_ALL_CLEAR: &str = "Polisen {sent}: Vårt sms {original} gäller inte längre. {text}";

/// Frame of a follow-up that corrects an alert.
pub const FRAME_CORRECTION: &str = "Polisen {sent}: Rättelse av vårt sms {original}. {text} Gäller till {until}.";

/// Frame of a follow-up that adds to an alert.
pub const FRAME_UPDATE: &str =
    "Polisen {sent}: Ny information till vårt sms {original}. {text} Pågår brott: ring 112. Gäller till {until}.";

/// The mark a drill begins and ends with.
pub const DRILL_MARK: &str = "ÖVNING";

/// The sentence for those who must keep the text to themselves.
pub const KEEP_TO_YOURSELF: &str = "Sprid inte vidare.";

/// What a frame is filled with besides the author's text.
#[derive(Debug, Clone)]
pub struct Framing<'a> {
    /// Frame with the slots `{sent}`, `{text}`, `{until}` and, for follow-ups, `{original}`.
    pub frame: &'a str,
    /// Local time zone of everything shown.
    pub zone: &'a TimeZone,
    /// When the alert was frozen.
    pub sent: Timestamp,
    /// When it stops being valid.
    pub until: Timestamp,
    /// The date of the alert this one follows up; fills `{original}`.
    pub original: Option<Timestamp>,
    /// Whether only contact persons may have the text; adds [`KEEP_TO_YOURSELF`].
    pub contact_person_only: bool,
    /// Whether it is a drill; adds [`DRILL_MARK`] first and last.
    pub drill: bool,
}

/// The whole text of an alert.
///
/// `{sent}` becomes `20/11 kl. 02.31`; `{until}` and `{original}` become `kl. 06.00`, with the date before it when that is
/// not the local day of `{sent}`. A text that ends without a mark gets a full stop, unless the frame has one there.
/// "Sprid inte vidare." follows directly on the text: in the first part, before what must be done and the time limit,
/// and in the same place whatever the frame looks like.
#[must_use]
pub fn alert_text(framing: &Framing<'_>, text: &str) -> String {
    let sent = framing.sent.to_zoned(framing.zone.clone());
    let mut filled = String::with_capacity(framing.frame.len() + text.len() + 64);
    let mut rest = framing.frame;
    while let Some((before, slot, after)) = next_slot(rest) {
        filled.push_str(before);
        rest = after;
        match slot {
            Slot::Sent => filled.push_str(&day_and_time(&sent)),
            Slot::Until => filled.push_str(&time_near(framing.until, &sent)),
            Slot::Original => filled.push_str(&time_near(framing.original.unwrap_or(framing.sent), &sent)),
            Slot::Text => {
                filled.push_str(&sentences(text, framing.contact_person_only));
                rest = end_sentence(&mut filled, rest);
            }
        }
    }
    filled.push_str(rest);
    if framing.drill { format!("{DRILL_MARK}. {filled} {DRILL_MARK}") } else { filled }
}

/// A time as texts show it, `20/11 kl. 02.31`.
#[must_use]
pub fn day_and_time(at: &Zoned) -> String {
    format!("{}/{} {}", at.day(), at.month(), time_of_day(at))
}

/// `kl. 06.00`, or `21/11 kl. 06.00` when `at` is not on the local day of `sent`.
#[must_use]
pub fn time_near(at: Timestamp, sent: &Zoned) -> String {
    let at = at.to_zoned(sent.time_zone().clone());
    if at.date() == sent.date() { time_of_day(&at) } else { day_and_time(&at) }
}

#[derive(Clone, Copy)]
enum Slot {
    Sent,
    Text,
    Until,
    Original,
}

const SLOTS: [(&str, Slot); 4] =
    [("{sent}", Slot::Sent), ("{text}", Slot::Text), ("{until}", Slot::Until), ("{original}", Slot::Original)];

fn next_slot(frame: &str) -> Option<(&str, Slot, &str)> {
    SLOTS
        .iter()
        .filter_map(|&(name, slot)| Some((frame.find(name)?, name, slot)))
        .min_by_key(|&(at, ..)| at)
        .map(|(at, name, slot)| (&frame[..at], slot, &frame[at + name.len()..]))
}

fn time_of_day(at: &Zoned) -> String {
    format!("kl. {:02}.{:02}", at.hour(), at.minute())
}

/// The author's text and what is added to it, as whole sentences but for the last full stop.
fn sentences(text: &str, contact_person_only: bool) -> String {
    let mut whole = text.trim_end().to_owned();
    if contact_person_only {
        if !ends_a_sentence(&whole) {
            whole.push('.');
        }
        whole.push(' ');
        whole.push_str(KEEP_TO_YOURSELF);
    }
    whole
}

/// Sees to it that exactly one mark ends `filled`, the text's own or the frame's; returns what is left of the frame.
fn end_sentence<'a>(filled: &mut String, frame: &'a str) -> &'a str {
    match (ends_a_sentence(filled), frame.strip_prefix('.')) {
        (true, Some(rest)) => return rest,
        (false, None) if !frame.starts_with(['!', '?']) => filled.push('.'),
        _ => {}
    }
    frame
}

fn ends_a_sentence(text: &str) -> bool {
    text.trim_end_matches(['"', '\'', '”', '’', '»', ')', ']']).ends_with(['.', '!', '?', '…', ':', ';'])
        || text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBSERVATION: &str =
        "Polisen {sent}: {text} Svara med vad du sett. Pågår brott: ring 112. Gäller till {until}.";

    fn framing<'a>(frame: &'a str, zone: &'a TimeZone) -> Framing<'a> {
        Framing {
            frame,
            zone,
            sent: "2026-11-20T01:31:40Z".parse().unwrap(),
            until: "2026-11-20T05:00:00Z".parse().unwrap(),
            original: None,
            contact_person_only: false,
            drill: false,
        }
    }

    fn stockholm() -> TimeZone {
        TimeZone::get("Europe/Stockholm").unwrap()
    }

    #[test]
    fn a_frame_shows_local_date_and_times() {
        let zone = stockholm();
        assert_eq!(
            alert_text(&framing(OBSERVATION, &zone), "Inbrott i Järpen."),
            "Polisen 20/11 kl. 02.31: Inbrott i Järpen. Svara med vad du sett. Pågår brott: ring 112. \
             Gäller till kl. 06.00."
        );
    }

    #[test]
    fn an_end_on_another_local_day_has_its_date() {
        let zone = stockholm();
        let table = [
            ("2026-11-20T22:59:00Z", "kl. 23.59"),
            ("2026-11-20T23:00:00Z", "21/11 kl. 00.00"),
            ("2026-11-21T01:30:00Z", "21/11 kl. 02.30"),
            ("2027-01-05T08:05:00Z", "5/1 kl. 09.05"),
        ];
        for (until, expected) in table {
            let framing = Framing { until: until.parse().unwrap(), ..framing("{text} {until}", &zone) };
            assert_eq!(alert_text(&framing, "x."), format!("x. {expected}"));
        }
    }

    #[test]
    fn summer_time_is_shown_in_summer() {
        let zone = stockholm();
        let framing = Framing { sent: "2026-07-01T22:30:00Z".parse().unwrap(), ..framing("{sent}", &zone) };
        assert_eq!(alert_text(&framing, ""), "2/7 kl. 00.30");
    }

    #[test]
    fn sentences_join_well() {
        let zone = stockholm();
        let table = [
            ("{text} Slut.", "Inbrott", "Inbrott. Slut."),
            ("{text} Slut.", "Inbrott!", "Inbrott! Slut."),
            ("{text} Slut.", "Sett något?", "Sett något? Slut."),
            ("{text} Slut.", "Han sa \"hej.\"", "Han sa \"hej.\" Slut."),
            ("{text} Slut.", "Skåpbil (grå)", "Skåpbil (grå). Slut."),
            ("{text}. Slut.", "Inbrott.", "Inbrott. Slut."),
            ("{text}. Slut.", "Inbrott", "Inbrott. Slut."),
            ("{text}. Slut.", "Vänta...", "Vänta... Slut."),
            ("{text}. Slut.", "Inbrott!", "Inbrott! Slut."),
            ("Slut. {text}", "Inbrott", "Slut. Inbrott."),
        ];
        for (frame, text, expected) in table {
            assert_eq!(alert_text(&framing(frame, &zone), text), expected, "{frame} / {text}");
        }
    }

    #[test]
    fn slots_in_the_text_are_inert_and_unknown_ones_in_the_frame_stay() {
        let zone = stockholm();
        assert_eq!(
            alert_text(&framing("{sent} {text} {other} {until}", &zone), "{until} {text} {sent}"),
            "20/11 kl. 02.31 {until} {text} {sent}. {other} kl. 06.00"
        );
    }

    #[test]
    fn what_must_not_be_spread_says_so_directly_after_the_text() {
        let zone = stockholm();
        let framing = Framing { contact_person_only: true, ..framing(OBSERVATION, &zone) };
        assert!(alert_text(&framing, "Spaning på E14").contains("Spaning på E14. Sprid inte vidare. Svara med"));
        let framing = Framing { frame: "{text}.", ..framing };
        assert_eq!(alert_text(&framing, "Spaning"), "Spaning. Sprid inte vidare.");
    }

    #[test]
    fn a_drill_says_so_first_and_last() {
        let zone = stockholm();
        let text = alert_text(&Framing { drill: true, ..framing(OBSERVATION, &zone) }, "Inbrott");
        assert!(text.starts_with("ÖVNING. Polisen 20/11") && text.ends_with("Gäller till kl. 06.00. ÖVNING"), "{text}");
    }

    #[test]
    fn follow_ups_name_the_sms_they_are_about_in_plain_words() {
        let zone = stockholm();
        let table = [
            (FRAME_ALL_CLEAR, "Polisen 20/11 kl. 02.31: Vårt sms kl. 01.10 gäller inte längre. Tack."),
            (FRAME_CORRECTION, "Polisen 20/11 kl. 02.31: Rättelse av vårt sms kl. 01.10. Tack. Gäller till kl. 06.00."),
            (
                FRAME_UPDATE,
                "Polisen 20/11 kl. 02.31: Ny information till vårt sms kl. 01.10. Tack. Pågår brott: ring 112. \
                 Gäller till kl. 06.00.",
            ),
        ];
        for (frame, expected) in table {
            let original = Some("2026-11-20T00:10:00Z".parse().unwrap());
            let text = alert_text(&Framing { original, ..framing(frame, &zone) }, "Tack");
            assert_eq!(text, expected);
            assert!(!text.to_lowercase().contains("faran över") && !text.contains("VMA"));
        }
        let yesterday = Some("2026-11-19T20:10:00Z".parse().unwrap());
        let text = alert_text(&Framing { original: yesterday, ..framing(FRAME_ALL_CLEAR, &zone) }, "Tack");
        assert!(text.contains("Vårt sms 19/11 kl. 21.10 gäller inte längre."), "{text}");
    }
}
