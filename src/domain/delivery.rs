//! Owns the state machine of a delivery: one message on its way to one address.
//!
//! It does not know gateways. Invariants: a final state is never left, and a state never moves back, but for
//! the one way from `sending` or `in_doubt` to `queued`, which is taken only when the provider surely has nothing.

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Text message.
    Sms,
    /// E-mail.
    Email,
    /// Printed and posted.
    Paper,
}

impl Channel {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
            Self::Paper => "paper",
        }
    }
}

/// Where a delivery stands (contract section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeliveryState {
    /// Waits for its turn.
    Queued,
    /// Leased by a daemon.
    Sending,
    /// The gateway or relay has it, no receipt yet.
    Accepted,
    /// Handed over, answer lost.
    InDoubt,
    /// A receipt says yes.
    Delivered,
    /// A receipt or bounce says no.
    Undelivered,
    /// Refused, or retries used up.
    Failed,
    /// Its time ran out before hand-over.
    Expired,
    /// Stopped by an operator before hand-over.
    Stopped,
    /// Opted out, paused, moved or unusable at the moment of hand-over.
    Suppressed,
    /// Accepted, and the receipt window closed.
    Unconfirmed,
}

impl DeliveryState {
    /// All states, in the order they are shown.
    pub const ALL: [Self; 11] = [
        Self::Queued,
        Self::Sending,
        Self::Accepted,
        Self::InDoubt,
        Self::Delivered,
        Self::Undelivered,
        Self::Failed,
        Self::Expired,
        Self::Stopped,
        Self::Suppressed,
        Self::Unconfirmed,
    ];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::InDoubt => "in_doubt",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Stopped => "stopped",
            Self::Suppressed => "suppressed",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    /// The state with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Whether nothing can change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Sending | Self::Accepted | Self::InDoubt)
    }

    /// Whether it still waits to be handed over.
    #[must_use]
    pub fn waits(self) -> bool {
        matches!(self, Self::Queued | Self::Sending)
    }

    /// Whether the recipient may have the message: handed over and not known to have failed.
    #[must_use]
    pub fn may_have_arrived(self) -> bool {
        matches!(self, Self::Accepted | Self::InDoubt | Self::Delivered | Self::Unconfirmed)
    }

    /// Whether a delivery in this state may become `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use DeliveryState as S;
        match self {
            S::Queued => next != S::Queued && next != S::Unconfirmed,
            S::Sending => next != S::Sending && next != S::Unconfirmed,
            S::Accepted => matches!(next, S::Delivered | S::Undelivered | S::Unconfirmed),
            S::InDoubt => matches!(
                next,
                S::Queued | S::Accepted | S::Delivered | S::Undelivered | S::Failed | S::Expired | S::Stopped
            ),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DeliveryState as S;

    #[test]
    fn the_state_machine_allows_exactly_these_ways() {
        // Rows are from, columns to, both in the order of ALL; x = allowed.
        let table = [
            (S::Queued, "-xxxxxxxxx-"),
            (S::Sending, "x-xxxxxxxx-"),
            (S::Accepted, "----xx----x"),
            (S::InDoubt, "x-x-xxxxx--"),
            (S::Delivered, "-----------"),
            (S::Undelivered, "-----------"),
            (S::Failed, "-----------"),
            (S::Expired, "-----------"),
            (S::Stopped, "-----------"),
            (S::Suppressed, "-----------"),
            (S::Unconfirmed, "-----------"),
        ];
        for (from, allowed) in table {
            for (to, mark) in S::ALL.into_iter().zip(allowed.chars()) {
                assert_eq!(from.may_become(to), mark == 'x', "{} -> {}", from.code(), to.code());
            }
        }
    }

    #[test]
    fn every_state_has_a_code_of_its_own() {
        for state in S::ALL {
            assert_eq!(S::from_code(state.code()), Some(state));
        }
        assert_eq!(S::from_code("sent"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_sequence_leaves_a_final_state_or_an_acceptance(steps in proptest::collection::vec(0_usize..11, 0..40)) {
            let mut at = S::Queued;
            let mut accepted = false;
            for next in steps.into_iter().map(|step| S::ALL[step]) {
                let before = at;
                if at.may_become(next) {
                    at = next;
                }
                proptest::prop_assert!(!before.is_final() || at == before);
                accepted |= at == S::Accepted;
                proptest::prop_assert!(!(accepted && at.waits()));
            }
        }
    }
}
