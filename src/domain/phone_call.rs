//! Owns what can become of ringing a person whom nothing reaches.

/// Longest note about a call, in characters.
pub const LONGEST_NOTE: usize = 200;

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// They answered, and what the register says of them is right.
    Confirmed,
    /// They answered, and have another number or address.
    NewDetails,
    /// Nobody answered.
    NotReached,
    /// They are no contact person any more.
    Ended,
}

impl CallOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Confirmed, Self::NewDetails, Self::NotReached, Self::Ended];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::NewDetails => "new_details",
            Self::NotReached => "not_reached",
            Self::Ended => "ended",
        }
    }

    /// The outcome with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
}
