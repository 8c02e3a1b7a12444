//! Owns how often one may ask for a link to an own page, try one, and tell something there.
//!
//! The pace is the same for an address that is in the register and one that is not, so that it tells nothing. Invariant:
//! nothing is ever locked, it is slowed.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::error::Problem;
use super::limits::network_of;

/// Entries that are told apart before old ones are let go.
const MOST_ENTRIES: usize = 20_000;

/// How often one may do what costs somebody something.
#[derive(Debug)]
pub struct OwnPageLimits {
    asked_for_address: DefaultKeyedRateLimiter<String>,
    asked_from_network: DefaultKeyedRateLimiter<IpAddr>,
    links_from_network: DefaultKeyedRateLimiter<IpAddr>,
    told_by_person: DefaultKeyedRateLimiter<String>,
    extracts_by_person: DefaultKeyedRateLimiter<String>,
}

impl Default for OwnPageLimits {
    fn default() -> Self {
        Self {
            asked_for_address: RateLimiter::keyed(one_each(600, 3)),
            asked_from_network: RateLimiter::keyed(one_each(30, 20)),
            links_from_network: RateLimiter::keyed(one_each(2, 60)),
            told_by_person: RateLimiter::keyed(one_each(30, 20)),
            extracts_by_person: RateLimiter::keyed(one_each(20, 10)),
        }
    }
}

/// One in so many seconds, and so many at once after a pause.
fn one_each(seconds: u64, at_once: u32) -> Quota {
    Quota::with_period(Duration::from_secs(seconds))
        .expect("a pace is not zero")
        .allow_burst(NonZeroU32::new(at_once).unwrap_or(NonZeroU32::MIN))
}

impl OwnPageLimits {
    /// Notes that somebody asks for a link to be sent to an e-mail address (as a fingerprint), known or not.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub fn note_asking(&self, address: &str, from: IpAddr) -> Result<(), Problem> {
        note(&self.asked_from_network, &network_of(from))?;
        note(&self.asked_for_address, &address.to_owned())
    }

    /// Notes that somebody tries a link.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub fn note_link(&self, from: IpAddr) -> Result<(), Problem> {
        note(&self.links_from_network, &network_of(from))
    }

    /// Notes that a person does something on their page.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub fn note_act(&self, contact_person_id: &str) -> Result<(), Problem> {
        note(&self.told_by_person, &contact_person_id.to_owned())
    }

    /// Notes that a person asks for all that is held on them: gathering it reads much, and each look is logged.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub fn note_extract(&self, contact_person_id: &str) -> Result<(), Problem> {
        note(&self.extracts_by_person, &contact_person_id.to_owned())
    }
}

fn note<K: Clone + std::hash::Hash + Eq>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Problem> {
    if limiter.len() > MOST_ENTRIES {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|until| Problem::too_many(until.wait_time_from(DefaultClock::default().now())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_one_address_and_from_one_network_are_few() {
        let limits = OwnPageLimits::default();
        let address = |n: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits((10 << 24) + n));
        let to_one = (0..100).filter(|n| limits.note_asking("one", address(*n)).is_ok()).count();
        assert_eq!(to_one, 3);
        let from_one = (0..100).filter(|n| limits.note_asking(&n.to_string(), address(1_000)).is_ok()).count();
        assert_eq!(from_one, 20);
        assert!(limits.note_asking("another", address(2_000)).is_ok());
    }
}
