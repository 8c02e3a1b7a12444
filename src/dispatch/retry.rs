//! Owns how long to wait before the next try: exponential back-off with jitter.
//!
//! Tries are not counted: a delivery is tried until its message's own expiry.

use std::time::Duration;

/// A growing wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// After the first try.
    pub first: Duration,
    /// At most.
    pub most: Duration,
}

impl BackOff {
    /// The wait after try number `attempt` (from 1); `fraction` in `0.0..1.0` spreads it over its upper half.
    #[must_use]
    pub fn wait(self, attempt: i64, fraction: f64) -> Duration {
        let doublings = u32::try_from(attempt.clamp(1, 31) - 1).unwrap_or(0);
        let full = self.first.saturating_mul(1 << doublings.min(30)).min(self.most);
        full.mul_f64(0.5 + fraction.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_are_spread_over_their_upper_half() {
        let back_off = BackOff { first: Duration::from_secs(1), most: Duration::from_secs(60) };
        for (attempt, full) in [(1, 1), (2, 2), (3, 4), (7, 60), (500, 60), (0, 1)] {
            assert_eq!(back_off.wait(attempt, 1.0), Duration::from_secs(full), "attempt {attempt}");
            assert_eq!(back_off.wait(attempt, 0.0), Duration::from_secs(full) / 2, "attempt {attempt}");
        }
    }
}
