//! Owns how it is said in words whom a letter reaches, and where a letter stands.

use super::time::number;
use crate::actions::letter_view::LetterView;
use crate::domain::audience::LetterAudience;
use crate::domain::message::MessageState;

/// Whom a letter reaches, in words.
#[derive(Debug, Default)]
pub struct LetterEffect {
    /// Whether any area is chosen.
    pub has_areas: bool,
    /// Contact persons that get it by e-mail.
    pub by_email: String,
    /// Contact persons that get it on paper.
    pub on_paper: String,
    /// Contact persons that get none.
    pub not_reached: String,
    /// Households behind all of them.
    pub households: String,
    /// Those by e-mail and on paper, as a number.
    pub recipients: i64,
    /// Whether somebody gets it on paper.
    pub has_paper: bool,
}

impl LetterEffect {
    /// In words.
    #[must_use]
    pub fn of(audience: LetterAudience) -> Self {
        Self {
            has_areas: true,
            by_email: number(audience.by_email),
            on_paper: number(audience.on_paper),
            not_reached: number(audience.not_reached),
            households: number(audience.households),
            recipients: audience.by_email + audience.on_paper,
            has_paper: audience.on_paper > 0,
        }
    }

    /// What sending does: `Skicka till 944 e-postadresser och skapa 128 utskrifter`.
    #[must_use]
    pub fn does(&self) -> String {
        let mails = if self.by_email == "1" { "e-postadress" } else { "e-postadresser" };
        match (self.by_email.as_str(), self.has_paper) {
            (by_email, false) => format!("Skicka till {by_email} {mails}"),
            ("0", true) => format!("Skapa {} utskrifter", self.on_paper),
            (by_email, true) => format!("Skicka till {by_email} {mails} och skapa {} utskrifter", self.on_paper),
        }
    }
}

/// That all that a letter still waits for is a printer, for a pill.
pub const PAPER_LEFT: (&str, &str) = ("warn", "Utskrifter kvar");

/// Where a letter stands, for a pill: its style and its words. `now` is Unix ms.
#[must_use]
pub fn state_words(view: &LetterView, now: i64) -> (&'static str, &'static str) {
    match view.message.state() {
        MessageState::Draft => ("", "Utkast"),
        MessageState::AwaitingApproval => ("warn", "Granskas av kollega"),
        MessageState::Queued if is_timed(view, now) => ("info", "Tidsinställt"),
        MessageState::Queued if view.message.sends_at.is_some_and(|at| at > now) => ("info", "Skickas strax"),
        MessageState::Queued | MessageState::Sending => ("info", "Skickas"),
        MessageState::HandedOver | MessageState::Done => ("ok", "Skickat"),
        MessageState::Stopped => ("bad", "Stoppat"),
    }
}

/// Whether a letter on its way waits for a time that somebody chose, rather than for the end of the undo window.
#[must_use]
pub fn is_timed(view: &LetterView, now: i64) -> bool {
    let message = &view.message;
    message.send_at.is_some() && message.sends_at.is_some_and(|at| at - now > message.undo_seconds.max(60) * 1000)
}
