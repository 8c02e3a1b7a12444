//! Owns how often one may try to sign in.
//!
//! Tries are counted for an account from one network, for a network and for an account, each at a pace of its own: whoever
//! guesses from one place uses up their own tries and nobody else's. A browser that the person has signed in from before is
//! counted by itself, so that a whole net of guessers cannot keep them out. Invariant: nothing is ever locked, it is slowed.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::Problem;
use super::limits::network_of;

/// Passwords hashed at once: each takes 19 MiB and a core.
const HASHED_AT_ONCE: usize = 4;
/// Entries that are told apart before old ones are let go.
const MOST_ENTRIES: usize = 20_000;

/// How often one may try to sign in.
#[derive(Debug)]
pub struct SignInLimits {
    by_account_and_network: DefaultKeyedRateLimiter<(String, IpAddr)>,
    by_network: DefaultKeyedRateLimiter<IpAddr>,
    by_account: DefaultKeyedRateLimiter<String>,
    by_known_browser: DefaultKeyedRateLimiter<String>,
    hashing: Semaphore,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self {
            by_account_and_network: RateLimiter::keyed(one_each(15, 8)),
            by_network: RateLimiter::keyed(one_each(2, 60)),
            by_account: RateLimiter::keyed(one_each(3, 100)),
            by_known_browser: RateLimiter::keyed(one_each(10, 10)),
            hashing: Semaphore::new(HASHED_AT_ONCE),
        }
    }
}

/// One try in so many seconds, and so many at once after a pause.
fn one_each(seconds: u64, at_once: u32) -> Quota {
    Quota::with_period(Duration::from_secs(seconds))
        .expect("a pace is not zero")
        .allow_burst(NonZeroU32::new(at_once).unwrap_or(NonZeroU32::MIN))
}

impl SignInLimits {
    /// Notes a try for an account, known or not, from an address. `known_browser` names a browser that has signed in to
    /// this account before.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub fn note_try(&self, account: &str, address: IpAddr, known_browser: Option<&str>) -> Result<(), Problem> {
        self.let_old_ones_go();
        if let Some(browser) = known_browser {
            return check(&self.by_known_browser, &format!("{account} {browser}"));
        }
        let network = network_of(address);
        check(&self.by_account_and_network, &(account.to_owned(), network))?;
        check(&self.by_network, &network)?;
        check(&self.by_account, &account.to_owned())
    }

    /// Notes a try that names no account.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub fn note_network(&self, address: IpAddr) -> Result<(), Problem> {
        self.let_old_ones_go();
        check(&self.by_network, &network_of(address))
    }

    /// Waits for a turn to hash a password.
    pub async fn turn_to_hash(&self) -> SemaphorePermit<'_> {
        self.hashing.acquire().await.expect("the semaphore is never closed")
    }

    fn let_old_ones_go(&self) {
        if self.by_account_and_network.len() > MOST_ENTRIES {
            self.by_account_and_network.retain_recent();
        }
        if self.by_network.len() > MOST_ENTRIES {
            self.by_network.retain_recent();
        }
        if self.by_account.len() > MOST_ENTRIES {
            self.by_account.retain_recent();
        }
    }
}

fn check<K: Clone + std::hash::Hash + Eq>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Problem> {
    limiter.check_key(key).map_err(|until| Problem::too_many(until.wait_time_from(DefaultClock::default().now())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(tries: impl Iterator<Item = Result<(), Problem>>) -> usize {
        tries.filter(Result::is_ok).count()
    }

    #[test]
    fn a_guesser_uses_up_their_own_tries_and_nobody_elses() {
        let limits = SignInLimits::default();
        let (guesser, person): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "198.51.100.7".parse().unwrap());
        let guesses = passed((0..1_000).map(|_| limits.note_try("kim", guesser, None)));
        assert!((8..10).contains(&guesses), "{guesses}");
        assert!(limits.note_try("kim", person, None).is_ok(), "the person from another address");
        assert!(limits.note_try("eva", guesser, None).is_ok(), "a colleague at the guesser's address");
    }

    #[test]
    fn one_address_that_guesses_at_many_accounts_is_slowed() {
        let limits = SignInLimits::default();
        let guesser = "192.0.2.1".parse().unwrap();
        let guesses = passed((0..1_000).map(|n| limits.note_try(&format!("account {n}"), guesser, None)));
        assert!((60..63).contains(&guesses), "{guesses}");
    }

    #[test]
    fn a_net_of_guessers_cannot_keep_out_a_browser_that_is_known() {
        let limits = SignInLimits::default();
        let address = |n: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits((10 << 24) + n));
        let guesses = passed((0..1_000).map(|n| limits.note_try("kim", address(n), None)));
        assert!((100..103).contains(&guesses), "{guesses}");
        assert!(limits.note_try("kim", address(5_000), None).is_err(), "a new browser has to wait");
        assert!(limits.note_try("kim", address(5_000), Some("mine")).is_ok());
        let tries = passed((0..100).map(|_| limits.note_try("kim", address(5_000), Some("mine"))));
        assert!(tries < 12, "a stolen cookie gives few tries: {tries}");
    }
}
