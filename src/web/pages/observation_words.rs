//! Owns what observations are called on pages: states, kinds, marks and the rows of lists.
//!
//! It reads nothing. Invariant: what may not be shown of a sender is not in what it is given.

use super::time::Wall;
use crate::actions::observation_view::ObservationView;
use crate::domain::observation::{FOCUS_AREAS, Mark, ObservationState, tag_name};
use crate::domain::phone;

/// An observation in a list.
#[derive(Debug)]
pub struct ObservationRow {
    /// Its id.
    pub id: String,
    /// Who sent it, in words.
    pub from: String,
    /// The beginning of the text.
    pub text: String,
    /// When it came.
    pub at: String,
    /// For the pill.
    pub pill: (&'static str, &'static str),
    /// Whether it may be urgent.
    pub is_urgent: bool,
    /// Names of its tags.
    pub tags: Vec<String>,
    /// Codes of the focus areas among them, with blanks between.
    pub focus_areas: String,
    /// Who has taken it: their id, or `nobody`.
    pub owner: String,
    /// Whether it is put away.
    pub is_archived: bool,
    /// Until when it should be answered, and whether that is past.
    pub answer_by: Option<(String, bool)>,
    /// What else is worth knowing, such as that the program has dealt with it.
    pub note: &'static str,
}

/// Characters of a text in a list.
const SHORT: usize = 160;

/// An observation in a list.
#[must_use]
pub fn row(wall: &Wall, now: i64, view: &ObservationView) -> ObservationRow {
    let o = &view.observation;
    let is_waiting = o.kind == "observation" && o.answered_at.is_none() && o.archived_at.is_none();
    ObservationRow {
        id: o.id.clone(),
        from: from_words(view),
        text: if o.text.is_empty() { "(tomt meddelande)".to_owned() } else { beginning(&o.text, SHORT) },
        at: wall.short(o.received_at),
        pill: state_words(&o.state),
        is_urgent: o.is_urgent == 1,
        tags: view.tags.iter().map(|tag| tag_name(tag).to_owned()).collect(),
        focus_areas: {
            let codes = FOCUS_AREAS.iter().map(|(code, _)| *code);
            codes.filter(|code| view.tags.iter().any(|tag| tag == code)).collect::<Vec<_>>().join(" ")
        },
        owner: o.owner.clone().unwrap_or_else(|| "nobody".to_owned()),
        is_archived: o.archived_at.is_some(),
        answer_by: o.answer_by_at.filter(|_| is_waiting).map(|at| (wall.short(at), at <= now)),
        note: kind_note(&o.kind),
    }
}

/// The first `most` characters of a text.
#[must_use]
pub fn beginning(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Who sent an observation: name and area, or the number of somebody unknown.
#[must_use]
pub fn from_words(view: &ObservationView) -> String {
    let sender = &view.sender;
    if sender.is_withheld {
        return "Skyddade personuppgifter".to_owned();
    }
    match (sender.name.is_empty(), sender.area.is_empty()) {
        (false, false) => format!("{}, {}", sender.name, sender.area),
        (false, true) => sender.name.clone(),
        (true, _) => format!("Okänd: {}", address_words(view)),
    }
}

/// Number or address as people write it.
#[must_use]
pub fn address_words(view: &ObservationView) -> String {
    match view.observation.channel.as_str() {
        "sms" => phone::display(&view.sender.address),
        _ => view.sender.address.clone(),
    }
}

/// The state for a pill: its style and its words.
#[must_use]
pub fn state_words(code: &str) -> (&'static str, &'static str) {
    match ObservationState::from_code(code) {
        Some(ObservationState::Received) | None => ("warn", "Ny"),
        Some(ObservationState::Assessed) => ("info", "Bedömd"),
        Some(ObservationState::Acted) => ("info", "Åtgärdad"),
        Some(ObservationState::FedBack) => ("ok", "Återkopplad"),
    }
}

/// What the program has made of what is no observation.
#[must_use]
pub fn kind_note(kind: &str) -> &'static str {
    match kind {
        "command" => "Önskemål om utskick, utfört",
        "spread" => "Säger sig ha spridit vidare",
        "automatic" => "Automatiskt svar",
        _ => "",
    }
}

/// A word of ours, by why it was written.
#[must_use]
pub fn reply_words(kind: &str) -> &'static str {
    match kind {
        "feedback" => "Återkoppling",
        "automatic" => "Automatiskt svar",
        "confirmation" => "Bekräftelse",
        "duty" => "Sms till jourtelefonen",
        _ => "Svar",
    }
}

/// The state of a delivery of ours.
#[must_use]
pub fn delivery_words(state: &str) -> (&'static str, &'static str) {
    match state {
        "queued" | "sending" => ("info", "Väntar"),
        "accepted" => ("info", "På väg"),
        "in_doubt" => ("warn", "Osäkert"),
        "delivered" => ("ok", "Levererat"),
        "unconfirmed" => ("", "Inget besked"),
        "expired" => ("bad", "För sent, inte skickat"),
        "stopped" => ("", "Stoppat"),
        _ => ("bad", "Inte levererat"),
    }
}

/// A piece of a text, and why it stands out.
#[derive(Debug)]
pub struct Piece {
    /// The piece.
    pub text: String,
    /// What it is, for those who hear the page; empty for plain text.
    pub why: &'static str,
}

/// A text in pieces.
#[must_use]
pub fn pieces(text: &str, marks: &[Mark]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for mark in marks {
        if mark.start > from {
            pieces.push(Piece { text: text[from..mark.start].to_owned(), why: "" });
        }
        let why = match mark.kind.code() {
            "registration_number" => "registreringsnummer",
            "time" => "tid",
            "place" => "plats",
            _ => "kan vara akut",
        };
        pieces.push(Piece { text: text[mark.start..mark.end].to_owned(), why });
        from = mark.end;
    }
    if from < text.len() {
        pieces.push(Piece { text: text[from..].to_owned(), why: "" });
    }
    pieces
}
