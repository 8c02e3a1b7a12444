//! Owns what the program takes from its surroundings: the wall clock and random identifiers.
//!
//! Everything else gets them as parameters, so that tests can move time and replay a seed.
//! Invariant: no other module reads the system clock or the system's randomness for a value that is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use rand::Rng;

/// Wall clock: the system's, or one that a test moves by hand.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// A clock that stands still until it is moved; Unix milliseconds.
    Fake(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at` until [`Clock::advance_ms`] moves it.
    #[must_use]
    pub fn fake(at: Timestamp) -> Self {
        Self::Fake(Arc::new(AtomicI64::new(at.as_millisecond())))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The time now as Unix milliseconds UTC, the form times are stored in.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => Timestamp::now().as_millisecond(),
            Self::Fake(at) => at.load(Ordering::SeqCst),
        }
    }

    /// Moves a fake clock by `ms` milliseconds; the system's clock is left alone.
    pub fn advance_ms(&self, ms: i64) {
        if let Self::Fake(at) = self {
            at.fetch_add(ms, Ordering::SeqCst);
        }
    }

    /// Whether this clock is moved by hand.
    #[must_use]
    pub fn is_fake(&self) -> bool {
        matches!(self, Self::Fake(_))
    }
}

/// A new identifier: UUID version 7 (RFC 9562), so that ids sort by the time they were made.
#[must_use]
pub fn new_id(clock: &Clock) -> String {
    let millis = u64::try_from(clock.now_ms()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random_bytes::<10>()).into_uuid().to_string()
}

/// `N` bytes from the operating system's seeded generator, for keys and tokens.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A random fraction in `0.0..1.0`, for jitter.
#[must_use]
pub fn random_fraction() -> f64 {
    rand::random()
}

/// A bell that shortens waits: whoever made something due rings it, whoever waits may miss it and looks again anyway.
#[derive(Debug, Clone, Default)]
pub struct Wakeup(Arc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    here: tokio::sync::Notify,
    elsewhere: tokio::sync::Notify,
}

impl Wakeup {
    /// Wakes everybody who waits now, here and, where somebody carries it on, in other daemons.
    pub fn ring(&self) {
        self.ring_here();
        self.0.elsewhere.notify_one();
    }

    /// Wakes everybody who waits in this process: the bell was rung elsewhere.
    pub fn ring_here(&self) {
        self.0.here.notify_waiters();
    }

    /// Waits for the next ring, at most `limit`.
    pub async fn wait(&self, limit: std::time::Duration) {
        let _ = tokio::time::timeout(limit, self.0.here.notified()).await;
    }

    /// Waits until the bell was rung in this process. For the one who carries it on: a ring meanwhile is kept for them.
    pub async fn rung(&self) {
        self.0.elsewhere.notified().await;
    }
}
