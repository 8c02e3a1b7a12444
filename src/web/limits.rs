//! Owns what every request and answer goes through: hostile paths out, security headers on, hooks without a body, and
//! how often one may call.
//!
//! Invariant: nobody is locked out. A good key has a pace of its own, whatever else comes from its address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Web;
use super::error::Problem;
use crate::config::Server;

/// Wrong keys an address may show in a second.
const WRONG_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");
/// Wrong keys it may show at once: a program with an old key is told so, every time, before it is held back.
const WRONG_AT_ONCE: NonZeroU32 = NonZeroU32::new(300).expect("300 is not 0");
/// Addresses that are told apart; beyond that strangers share one pace.
const MOST_ADDRESSES: usize = 10_000;
/// Whose pace strangers share when there are too many.
const ANYBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How often one may call.
#[derive(Debug)]
pub struct Limits {
    by_key: DefaultKeyedRateLimiter<String>,
    wrong_by_address: DefaultKeyedRateLimiter<IpAddr>,
}

impl Limits {
    /// The limits as configured.
    #[must_use]
    pub fn new(server: &Server) -> Self {
        let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let of_a_key =
            Quota::per_second(at_least_one(server.calls_per_second)).allow_burst(at_least_one(server.call_burst));
        Self {
            by_key: RateLimiter::keyed(of_a_key),
            wrong_by_address: RateLimiter::keyed(Quota::per_second(WRONG_PER_SECOND).allow_burst(WRONG_AT_ONCE)),
        }
    }

    /// Notes a call with a good key.
    ///
    /// # Errors
    /// 429 when the key calls too often.
    pub fn note_call(&self, key_id: &str) -> Result<(), Problem> {
        // As many entries as there are keys: they are made by administrators only.
        self.by_key
            .check_key(&key_id.to_owned())
            .map_err(|until| Problem::too_many(until.wait_time_from(DefaultClock::default().now())))
    }

    /// Notes a call with a wrong key. It is asked only after the key was found wrong, so that an address which others
    /// share with an attacker stays open for good keys.
    ///
    /// # Errors
    /// 429 when the address shows wrong keys too often.
    pub fn note_wrong_key(&self, address: IpAddr) -> Result<(), Problem> {
        if self.wrong_by_address.len() >= MOST_ADDRESSES {
            self.wrong_by_address.retain_recent();
        }
        let is_crowded = self.wrong_by_address.len() >= MOST_ADDRESSES;
        let address = if is_crowded { ANYBODY } else { network_of(address) };
        self.wrong_by_address
            .check_key(&address)
            .map_err(|until| Problem::too_many(until.wait_time_from(DefaultClock::default().now())))
    }
}

/// What one stranger has: an IPv4 address, or an IPv6 network of 64 bits.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

/// Where a request comes from, as far as it can be known.
#[must_use]
pub fn address_of(web: &Web, parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(ANYBODY, |ConnectInfo(peer)| peer.ip());
    source_address(&web.desk.config.server.trusted_proxies, peer, &parts.headers)
}

/// Where a request comes from: the peer, or what a trusted proxy says.
#[must_use]
pub fn source_address(trusted: &[IpAddr], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !trusted.contains(&peer) {
        return peer;
    }
    let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<IpAddr> =
        forwarded.flat_map(|value| value.split(',')).filter_map(|hop| hop.trim().parse().ok()).collect();
    hops.into_iter().rev().find(|hop| !trusted.contains(hop)).unwrap_or(peer)
}

/// Refuses a path or query that holds NUL: no database takes it.
pub async fn refuse_nul(request: Request, next: Next) -> Response {
    let uri = request.uri();
    if uri.path().contains("%00") || uri.query().is_some_and(|query| query.contains("%00")) {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "request.nul", "Adressen innehåller ett NUL-tecken.");
        return problem.into_response();
    }
    next.run(request).await
}

/// The answer of a hook without its body: a gateway sends what stands in it to a citizen.
pub fn emptied<B>(response: axum::http::Response<B>) -> Response {
    let mut response = response.map(|_| Body::empty());
    response.headers_mut().remove(CONTENT_TYPE);
    response.headers_mut().remove(CONTENT_LENGTH);
    response
}

/// Sets the headers of `ux.md` section 3 where a handler has not set its own.
pub fn with_security_headers(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                          frame-ancestors 'none'; form-action 'self'";
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::new(&crate::config::from_toml(&["server.calls_per_second = 1\nserver.call_burst = 3"]).unwrap().server)
    }

    #[test]
    fn one_key_that_calls_too_often_does_not_slow_another() {
        let limits = limits();
        let passed = (0..10).filter(|_| limits.note_call("key:1").is_ok()).count();
        assert_eq!(passed, 3);
        assert!(limits.note_call("key:2").is_ok());
    }

    #[test]
    fn wrong_keys_are_counted_by_address_and_in_ipv6_by_network() {
        let limits = limits();
        for (first, same, other) in
            [("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2:3", "2001:db8:0:1::1")]
        {
            let tries = |address: &str| limits.note_wrong_key(address.parse().unwrap()).is_ok();
            let passed = (0..1_000).filter(|_| tries(first)).count();
            assert!((300..320).contains(&passed), "{first}: {passed}");
            assert!(!tries(same), "{same} is {first}");
            assert!(tries(other), "{other} is another");
        }
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory() {
        let limits = limits();
        for n in 0..30_000_u32 {
            let _ = limits.note_wrong_key(IpAddr::V4(Ipv4Addr::from_bits(n + (10 << 24))));
        }
        assert!(limits.wrong_by_address.len() <= MOST_ADDRESSES + 1);
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_about_the_source() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("198.51.100.7, 203.0.113.9, 10.0.0.2"));
        let (proxy, inner): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        assert_eq!(source_address(&[], proxy, &headers), proxy);
        assert_eq!(source_address(&[proxy, inner], proxy, &headers).to_string(), "203.0.113.9");
    }
}
