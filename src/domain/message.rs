//! Owns what alerts and letters have in common: their states and how these follow from the deliveries.
//!
//! It does not know texts. Invariant: the state shown is computed from the counts, never set by hand.

use std::collections::BTreeMap;

use super::delivery::DeliveryState;

/// Where a message stands (contract section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// Being written, or returned by a reviewer.
    Draft,
    /// A colleague must approve it.
    AwaitingApproval,
    /// Nothing is handed over yet.
    Queued,
    /// Some are handed over, some wait.
    Sending,
    /// Nothing waits any more; receipts are awaited.
    HandedOver,
    /// Every delivery is final.
    Done,
    /// An operator stopped it.
    Stopped,
}

impl MessageState {
    /// All states.
    pub const ALL: [Self; 7] =
        [Self::Draft, Self::AwaitingApproval, Self::Queued, Self::Sending, Self::HandedOver, Self::Done, Self::Stopped];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::HandedOver => "handed_over",
            Self::Done => "done",
            Self::Stopped => "stopped",
        }
    }

    /// The state with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Whether it is still being written or reviewed, so that it may be changed.
    #[must_use]
    pub fn is_editable(self) -> bool {
        matches!(self, Self::Draft | Self::AwaitingApproval)
    }

    /// Whether a stop changes anything.
    #[must_use]
    pub fn can_be_stopped(self) -> bool {
        matches!(self, Self::Draft | Self::AwaitingApproval | Self::Queued | Self::Sending)
    }
}

/// How many deliveries are in each state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<DeliveryState, i64>);

impl Counts {
    /// Counts made of pairs; a state that stands twice is added up.
    pub fn new(pairs: impl IntoIterator<Item = (DeliveryState, i64)>) -> Self {
        let mut counts = Self::default();
        for (state, deliveries) in pairs {
            *counts.0.entry(state).or_default() += deliveries;
        }
        counts
    }

    /// Deliveries in `state`.
    #[must_use]
    pub fn get(&self, state: DeliveryState) -> i64 {
        self.0.get(&state).copied().unwrap_or(0)
    }

    /// All deliveries.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    /// Deliveries that are still to be handed over.
    #[must_use]
    pub fn waiting(&self) -> i64 {
        self.sum(DeliveryState::waits)
    }

    /// Deliveries that are not final.
    #[must_use]
    pub fn open(&self) -> i64 {
        self.sum(|state| !state.is_final())
    }

    fn sum(&self, which: impl Fn(DeliveryState) -> bool) -> i64 {
        self.0.iter().filter(|(state, _)| which(**state)).map(|(_, deliveries)| deliveries).sum()
    }

    /// The state of a message in dispatch that has these counts and has not been stopped.
    #[must_use]
    pub fn message_state(&self) -> MessageState {
        match (self.waiting(), self.open()) {
            (0, 0) => MessageState::Done,
            (0, _) => MessageState::HandedOver,
            (waiting, _) if waiting == self.total() && self.get(DeliveryState::Sending) == 0 => MessageState::Queued,
            _ => MessageState::Sending,
        }
    }
}

/// How a follow-up relates to the message it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowUpKind {
    /// The danger is over; the first is stopped.
    AllClear,
    /// The first was wrong; it is stopped.
    Correction,
    /// More is known; the first goes on.
    Update,
}

impl FollowUpKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::AllClear => "all_clear",
            Self::Correction => "correction",
            Self::Update => "update",
        }
    }

    /// The kind with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::AllClear, Self::Correction, Self::Update].into_iter().find(|kind| kind.code() == code)
    }

    /// Whether it stops what is left of the first, and therefore needs no approval.
    #[must_use]
    pub fn closes(self) -> bool {
        !matches!(self, Self::Update)
    }
}

/// Order among messages on one channel: lower goes first.
pub mod priority {
    /// Follow-ups that close or correct an alert.
    pub const CLOSING: i64 = 0;
    /// Alerts.
    pub const ALERT: i64 = 1;
    /// Letters and tests.
    pub const LETTER: i64 = 2;
    /// All of them, in order.
    pub const ALL: [i64; 3] = [CLOSING, ALERT, LETTER];
}

#[cfg(test)]
mod tests {
    use super::*;
    use DeliveryState as S;

    #[test]
    fn the_state_of_a_message_follows_from_its_counts() {
        let table: [(&[(S, i64)], MessageState); 7] = [
            (&[(S::Queued, 3)], MessageState::Queued),
            (&[(S::Queued, 2), (S::Sending, 1)], MessageState::Sending),
            (&[(S::Queued, 2), (S::Accepted, 1)], MessageState::Sending),
            (&[(S::Accepted, 2), (S::Delivered, 1)], MessageState::HandedOver),
            (&[(S::InDoubt, 1), (S::Delivered, 1)], MessageState::HandedOver),
            (&[(S::Delivered, 2), (S::Failed, 1)], MessageState::Done),
            (&[], MessageState::Done),
        ];
        for (pairs, expected) in table {
            assert_eq!(Counts::new(pairs.iter().copied()).message_state(), expected, "{pairs:?}");
        }
    }
}
