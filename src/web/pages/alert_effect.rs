//! Owns how it is shown what an alert would be: the text on a phone, whom it reaches, what to look at before it goes.
//!
//! It counts nothing; the figures come from `actions::alert_preview`.

use super::alert_areas::in_words;
use super::time::{Wall, number};
use crate::actions::alert_preview::{Alive, Preview};
use crate::actions::alert_view::Warning;
use crate::domain::area::AreaTree;
use crate::domain::sms_text::{Encoding, Offending, SmsText, gsm7_code};
use crate::store::deputy::DeputyCount;

/// Letters in a row that are, or are not, outside the short alphabet.
#[derive(Debug)]
pub struct Run {
    /// The letters.
    pub text: String,
    /// Whether they make the text longer than it would be.
    pub is_marked: bool,
}

/// A text as a phone shows it.
#[derive(Debug, Default)]
pub struct Phone {
    /// Its parts.
    pub parts: Vec<Vec<Run>>,
    /// Length and parts, in words.
    pub counter: String,
    /// Parts.
    pub part_count: usize,
}

/// A character that makes the text longer.
#[derive(Debug)]
pub struct Spoiler {
    /// It.
    pub character: String,
    /// What it is, and where.
    pub words: String,
    /// What the button says; nothing where there is nothing to put instead.
    pub offer: Option<String>,
    /// What is put instead.
    pub replacement: String,
}

/// An alert that is valid where this one would go.
#[derive(Debug)]
pub struct AliveShown {
    /// Its id.
    pub id: String,
    /// Where and when.
    pub words: String,
    /// What it says.
    pub text: String,
}

/// What an alert would be, in words.
#[derive(Debug, Default)]
pub struct Effect {
    /// The text on a phone; nothing before something is typed.
    pub phone: Option<Phone>,
    /// Characters that make it longer.
    pub spoilers: Vec<Spoiler>,
    /// Whether any area is chosen.
    pub has_areas: bool,
    /// Where it goes, in words.
    pub areas: String,
    /// Contact persons that get an SMS.
    pub by_sms: String,
    /// The same as a number.
    pub recipients: i64,
    /// Households behind them.
    pub households: String,
    /// How many are not reached.
    pub not_reached: String,
    /// Why not.
    pub reasons: Vec<String>,
    /// How many are proven to get SMS, in words.
    pub proven: Option<String>,
    /// Cost, in words.
    pub cost: String,
    /// When everything is handed over, in words.
    pub ready: String,
    /// Until when it is valid.
    pub until: String,
    /// What to look at.
    pub warnings: Vec<Warning>,
    /// Alerts alive there.
    pub alive: Vec<AliveShown>,
    /// Whether a colleague must approve it.
    pub needs_approval: bool,
    /// Whether it informs in the middle of the night and goes at once.
    pub wakes_people: bool,
}

impl Effect {
    /// In words, for people at the wall clock `wall`.
    #[must_use]
    pub fn of(preview: &Preview, tree: &AreaTree, areas: &[String], wall: &Wall) -> Self {
        let audience = preview.audience;
        let ready_at = preview.sends_at + seconds_ms(preview.seconds);
        Self {
            phone: preview.has_text.then(|| phone(&preview.sms)),
            spoilers: spoilers(&preview.offending),
            has_areas: !areas.is_empty(),
            areas: in_words(tree, areas),
            by_sms: number(audience.by_sms),
            recipients: audience.by_sms,
            households: number(audience.households_by_sms),
            not_reached: number(audience.not_reached),
            reasons: {
                let reasons = preview.not_reached.iter().map(|(reason, n)| because(reason, *n));
                let DeputyCount { instead, also } = preview.deputies;
                let deputies = [
                    (instead, "ersättare får sms i stället"),
                    (also, "ersättare får också sms, för någon som de senaste sms:en inte har nått"),
                ];
                let deputies = deputies.into_iter().filter(|(n, _)| *n > 0);
                reasons.chain(deputies.map(|(n, words)| format!("{} {words}", number(n)))).collect()
            },
            proven: preview.proven.map(|proven| {
                let of = number(audience.by_sms);
                format!("{} av {of} har levererat besked senaste 90 dagarna", number(proven))
            }),
            cost: format!("ca {} kr", number(rounded(preview.cost))),
            ready: format!("Klart ca {}", wall.text(ready_at)),
            until: wall.text(preview.expires_at),
            warnings: preview.warnings.clone(),
            alive: preview.alive.iter().map(|alive| alive_shown(alive, tree, wall)).collect(),
            needs_approval: preview.needs_approval,
            wakes_people: false,
        }
    }
}

/// A text as a phone shows it.
#[must_use]
pub fn phone(sms: &SmsText) -> Phone {
    let segmentation = sms.segmentation();
    let marks = segmentation.encoding == Encoding::Ucs2;
    let unit = if marks { "tecken, långt alfabet" } else { "tecken" };
    Phone {
        parts: sms.part_texts().into_iter().map(|part| runs(part, marks)).collect(),
        counter: format!("{} {unit} · {} sms", number(as_i64(segmentation.units)), segmentation.parts),
        part_count: segmentation.parts,
    }
}

fn runs(text: &str, marks: bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for c in text.chars() {
        let is_marked = marks && gsm7_code(c).is_none();
        match runs.last_mut().filter(|run| run.is_marked == is_marked) {
            Some(run) => run.text.push(c),
            None => runs.push(Run { text: c.to_string(), is_marked }),
        }
    }
    runs
}

/// Every character once, with how often it stands in the text.
fn spoilers(offending: &[Offending]) -> Vec<Spoiler> {
    let mut found: Vec<Spoiler> = Vec::new();
    for one in offending {
        let character = one.character.to_string();
        if found.iter().any(|known| known.character == character) {
            continue;
        }
        let times = offending.iter().filter(|other| other.character == one.character).count();
        let often = if times > 1 { format!(", {times} gånger") } else { String::new() };
        found.push(Spoiler {
            words: format!("({}), tecken {}{often}", one.name, one.index + 1),
            offer: one.replacement.as_ref().map(|replacement| match replacement.as_str() {
                "" => "Ta bort".to_owned(),
                " " => "Byt mot mellanslag".to_owned(),
                replacement => format!("Byt mot {replacement}"),
            }),
            replacement: one.replacement.clone().unwrap_or_default(),
            character,
        });
    }
    found
}

fn because(reason: &str, persons: i64) -> String {
    let words = match reason {
        "no_mobile" => "har inget mobilnummer",
        "opted_out" => "har sagt nej till sms",
        "alerts_off" => "ska inte ha sms enligt registret",
        _ => "har pausat just nu",
    };
    format!("{} {words}", number(persons))
}

fn alive_shown(alive: &Alive, tree: &AreaTree, wall: &Wall) -> AliveShown {
    AliveShown {
        id: alive.message.id.clone(),
        words: format!(
            "Skickat till {} för {} sedan",
            in_words(tree, &alive.areas),
            wall.ago(alive.message.created_at)
        ),
        text: alive.alert.text.clone(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a sum of money or seconds of one alert")]
fn rounded(amount: f64) -> i64 {
    amount.round() as i64
}

fn seconds_ms(seconds: f64) -> i64 {
    rounded(seconds * 1000.0)
}

fn as_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
