//! Owns the fields of an alert and what they may be.
//!
//! It does not count parts (`sms_text`) nor write the frame (`render::sms`). Invariant: an [`AlertKind`] that asks
//! for replies always has the numeric sender.

/// What an alert is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// Asks for observations.
    Observation,
    /// Informs.
    Information,
}

impl AlertKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Observation => "observation",
            Self::Information => "information",
        }
    }

    /// The kind with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Observation, Self::Information].into_iter().find(|kind| kind.code() == code)
    }
}

/// Whether contact persons may pass the text on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// To their households.
    Households,
    /// Not at all.
    ContactPersonOnly,
}

impl Spread {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Households => "households",
            Self::ContactPersonOnly => "contact_person_only",
        }
    }

    /// The choice with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Households, Self::ContactPersonOnly].into_iter().find(|spread| spread.code() == code)
    }
}

/// Longest validity, in minutes: a week.
pub const LONGEST_VALIDITY_MINUTES: i64 = 7 * 24 * 60;

/// Most SMS parts an alert may have (`facts/sms.md`: phones and gateways stop far below the theoretical 255).
pub const MOST_PARTS: i64 = 6;
