//! Owns the talk with the outside: one file per SMS gateway, and the mail relay.
//!
//! It decides nothing about retries or states; it says what happened to one hand-over in the closed
//! list of [`HandOverError`]. Invariant: when a provider may have taken a message, the answer is never
//! one that lets it be sent again.

pub mod dkim;
pub mod elks;
pub mod http;
pub mod imap;
pub mod mail_message;
pub mod oidc;
pub mod smpp;
mod sms_gateway;
pub mod smtp;

use std::time::Duration;

use crate::domain::delivery_token::DeliveryToken;
pub use mail_message::{Mailbox, OutgoingMail};
pub use sms_gateway::SmsGateway;
pub use smtp::MailRelay;

/// One SMS to one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingSms {
    /// Recipient, E.164.
    pub to: String,
    /// Sender; `None` = the gateway's configured one.
    pub from: Option<String>,
    /// The whole text as the phone gets it.
    pub text: String,
    /// Where the gateway reports delivery; `None` when receipts are polled.
    pub receipt_url: Option<String>,
    /// The attempt it belongs to, for a gateway that has no room for an address.
    pub token: Option<DeliveryToken>,
    /// Until when the gateway may try to deliver it, where it can be told.
    pub expires_at: Option<jiff::Timestamp>,
}

/// A provider has taken responsibility for a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The provider's own id.
    pub gateway_ref: Option<String>,
    /// SMS parts it counted, if it says.
    pub parts: Option<i64>,
}

/// Why something happened: a code safe to log and the provider's words, which are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Stable code such as `gateway.invalid_number`, safe in logs and metrics.
    pub code: &'static str,
    /// The provider's words, at most [`Reason::MAX_DETAIL`] characters; may hold personal data.
    pub detail: Option<String>,
}

impl Reason {
    /// Characters kept of a provider's words.
    pub const MAX_DETAIL: usize = 200;

    /// A reason without the provider's words.
    #[must_use]
    pub fn new(code: &'static str) -> Self {
        Self { code, detail: None }
    }

    /// A reason with the provider's words, shortened and without control characters.
    #[must_use]
    pub fn with_detail(code: &'static str, detail: &str) -> Self {
        Self { code, detail: one_line(detail) }
    }
}

/// A provider's words, shortened and without control characters; `None` when nothing is left.
fn one_line(text: &str) -> Option<String> {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(Reason::MAX_DETAIL).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// What happened to a hand-over that was not accepted, named by what comes next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// Surely not taken; try again, not before `after`.
    #[error("not taken, try again: {}", .reason.code)]
    Retry {
        /// The provider's own wish, if it stated one.
        after: Option<Duration>,
        /// Why.
        reason: Reason,
        /// Whether the provider itself is in trouble (counts towards opening its circuit) or only this recipient
        /// must wait, as with greylisting.
        provider_down: bool,
    },
    /// Surely not taken: we are too fast.
    #[error("too fast: {}", .reason.code)]
    Throttled {
        /// The provider's own wish (`Retry-After`).
        after: Option<Duration>,
        /// Why.
        reason: Reason,
    },
    /// Surely not taken and never will be, for this recipient or this text.
    #[error("rejected: {}", .reason.code)]
    Rejected {
        /// Why.
        reason: Reason,
    },
    /// Surely not taken: our account or settings are wrong, for every recipient.
    #[error("account or settings: {}", .reason.code)]
    Misconfigured {
        /// Why.
        reason: Reason,
    },
    /// May have been taken: the answer is lost or unreadable.
    #[error("outcome unknown: {}", .reason.code)]
    InDoubt {
        /// Why.
        reason: Reason,
    },
}

impl HandOverError {
    /// Stable code of the reason, safe in logs and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.reason().code
    }

    /// Why, whichever it is.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Retry { reason, .. }
            | Self::Throttled { reason, .. }
            | Self::Rejected { reason }
            | Self::Misconfigured { reason }
            | Self::InDoubt { reason } => reason,
        }
    }
}

/// A provider that cannot be used as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SetupError {
    code: &'static str,
    problem: String,
}

impl SetupError {
    /// `problem` names the configuration key and what is allowed, and holds no secret.
    #[must_use]
    pub fn new(code: &'static str, problem: &str) -> Self {
        Self { code, problem: problem.to_owned() }
    }

    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }
}

/// The span of a gateway's history that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryWindow {
    /// Only what the gateway took after this time.
    pub newer_than: jiff::Timestamp,
    /// Only what it took before this time; `None` = up to now.
    pub older_than: Option<jiff::Timestamp>,
    /// Only to this number, E.164; `None` = to anybody.
    pub to: Option<String>,
}

/// One row of a gateway's own history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The gateway's id.
    pub gateway_ref: String,
    /// Recipient, E.164.
    pub to: String,
    /// Sender as sent.
    pub from: String,
    /// When the gateway took it, by its own clock.
    pub created_at: jiff::Timestamp,
    /// How far it has come, if the word is known.
    pub receipt: Option<ReceiptState>,
}

/// One page of a gateway's history, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// The outgoing messages on the page.
    pub rows: Vec<HistoryRow>,
    /// Where the next, older page begins; `None` on the last one.
    pub next: Option<String>,
    /// Rows that could not be read: with any, the page proves no absence.
    pub unreadable: usize,
    /// The incoming SMS on the page.
    pub incoming: Vec<InboundSms>,
}

/// Every incoming SMS that a gateway lists for a [`HistoryWindow`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncomingListing {
    /// The SMS, oldest first, each id once.
    pub sms: Vec<InboundSms>,
    /// Whether the whole window was listed.
    pub complete: bool,
}

/// Everything a gateway lists for a [`HistoryWindow`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The outgoing messages inside the window, newest first, each id once.
    pub rows: Vec<HistoryRow>,
    /// Whether the whole window was listed and read. Only then does a missing row prove anything.
    pub complete: bool,
}

/// What a gateway says of a message it has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptState {
    /// Taken or passed on to the operator; not final.
    Sent,
    /// On the phone.
    Delivered,
    /// The operator says no.
    Failed,
}

/// A look-up that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("history look-up failed: {code}")]
pub struct LookUpError {
    /// Stable code, safe to log.
    pub code: &'static str,
}

impl LookUpError {
    /// Stable code, safe to log.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.code
    }
}

/// A delivery report as a gateway sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The gateway's id for the message.
    pub gateway_ref: String,
    /// Its meaning, `None` for a word we do not know.
    pub state: Option<ReceiptState>,
    /// The gateway's own word, shortened.
    pub word: String,
    /// When it reached the phone, by the gateway's clock, if it says.
    pub delivered_at: Option<jiff::Timestamp>,
}

/// An SMS that somebody sent to our number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundSms {
    /// The gateway's id; the same SMS may be brought more than once.
    pub gateway_ref: String,
    /// Who sent it: a number, or a text sender.
    pub from: String,
    /// Our number.
    pub to: String,
    /// The text as it came, without NUL characters.
    pub text: String,
    /// When the gateway got it, by its own clock, if it says.
    pub created_at: Option<jiff::Timestamp>,
}

/// A call of a hook that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hook not understood: {code}")]
pub struct DecodeError {
    /// Stable code, safe to log.
    pub code: &'static str,
}

impl DecodeError {
    /// Stable code, safe to log.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.code
    }
}

/// Balance of the account at a gateway.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Balance {
    /// In the account's currency, whole units.
    pub amount: f64,
}
