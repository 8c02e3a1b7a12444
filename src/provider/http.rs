//! Owns the HTTP client for gateways and the one classification of what can go wrong on the wire.
//!
//! It knows no gateway and no code of theirs. Invariant: [`TransportError::NotSent`] is said only when no byte of the
//! request can have reached anybody; and one call of [`exchange`] puts the request on the wire at most once: redirects,
//! HTTP/2 and its retries are off, and the pool's own retry takes back a request that was never written.

use std::error::Error as _;
use std::sync::Once;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::{HandOverError, Reason, SetupError};

/// Bytes kept of an ordinary answer's body; the rest is never read.
pub const MAX_BODY: usize = 64 * 1024;

/// Bytes kept of a listing: a page of 100 rows, each with a text of six parts in its longest escape.
pub const MAX_LISTING: usize = 1024 * 1024;

/// How long an unused connection is kept. Shorter than any gateway's own limit, so that the first send after a pause
/// opens a connection instead of meeting one that the other side has just closed.
const IDLE_LIMIT: Duration = Duration::from_secs(3);

/// Longest wait believed from a `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What an HTTP client of a gateway needs to know.
#[derive(Debug, Clone, Copy)]
pub struct ClientSettings<'a> {
    /// Time-out of a whole call, body included.
    pub timeout: Duration,
    /// Calls under way at once, which is how many connections are kept.
    pub concurrency: usize,
    /// Proxy for everything, loopback included; empty = none.
    pub egress_proxy: &'a str,
}

/// Makes ring the TLS provider of the process. Safe to call often; a provider that is already installed stays.
pub fn install_tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// A client that sends every request once.
///
/// # Errors
/// [`SetupError`] when the proxy's URL is unusable or the system's certificates cannot be read.
pub fn client(settings: ClientSettings<'_>) -> Result<reqwest::Client, SetupError> {
    install_tls_provider();
    // A connection is given at most half the call, so that a time-out while connecting is known as one.
    let connect_timeout = (settings.timeout / 2).min(Duration::from_secs(5));
    let builder = reqwest::Client::builder()
        .user_agent(concat!("grannpost/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .http1_only()
        .referer(false)
        .timeout(settings.timeout)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE_LIMIT)
        .pool_max_idle_per_host(settings.concurrency);
    let builder = if settings.egress_proxy.is_empty() {
        builder.no_proxy()
    } else {
        let proxy = reqwest::Proxy::all(settings.egress_proxy)
            .map_err(|_| SetupError::new("http.proxy_unusable", "server.egress_proxy: not a proxy's URL"))?;
        builder.proxy(proxy)
    };
    builder.build().map_err(|error| SetupError::new("http.client_unusable", &without_url(error)))
}

/// An answer as far as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status code.
    pub code: u16,
    /// `Retry-After` as sent.
    pub retry_after: Option<String>,
    /// `Date` as sent.
    pub date: Option<String>,
    /// The body, as far as it was allowed to go.
    pub body: Vec<u8>,
    /// Whether that is all of it.
    pub complete: bool,
}

/// A call that brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No byte of the request has left: no address, no connection or no TLS.
    #[error("not sent: {0}")]
    NotSent(&'static str),
    /// The request may have arrived; its answer is lost.
    #[error("answer lost: {0}")]
    AnswerLost(&'static str),
}

impl TransportError {
    /// Stable code, safe to log.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotSent(code) | Self::AnswerLost(code) => code,
        }
    }
}

impl From<TransportError> for HandOverError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::NotSent(code) => {
                Self::Retry { after: None, reason: Reason::new(code), provider_down: true }
            }
            TransportError::AnswerLost(code) => Self::InDoubt { reason: Reason::new(code) },
        }
    }
}

/// Sends `request` once and reads its answer, of the body at most `max_body` bytes.
///
/// A body that breaks off is still an answer: its code says whether the request was taken.
///
/// # Errors
/// [`TransportError`] when there is no status line.
pub async fn exchange(request: reqwest::RequestBuilder, max_body: usize) -> Result<Answer, TransportError> {
    let mut response = request.send().await.map_err(|error| classify(&error))?;
    let mut answer = Answer {
        code: response.status().as_u16(),
        retry_after: header(response.headers(), &RETRY_AFTER),
        date: header(response.headers(), &DATE),
        ..Answer::default()
    };
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = max_body - answer.body.len();
                answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return Ok(answer);
                }
            }
            Ok(None) => {
                answer.complete = true;
                return Ok(answer);
            }
            Err(_) => return Ok(answer),
        }
    }
}

impl Answer {
    /// How long to wait by `Retry-After`: seconds, or a date (RFC 9110 10.2.3).
    ///
    /// A date is measured from the answer's own `Date`, so that the two clocks need not agree, else from `now`.
    /// Nonsense is no wish; at most a day is believed.
    #[must_use]
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let seconds = text.parse().unwrap_or(u64::MAX);
            return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
        }
        let until = parse_http_date(text)?;
        let from = self.date.as_deref().and_then(parse_http_date).unwrap_or(now);
        let wait = Duration::try_from(until.duration_since(from)).unwrap_or(Duration::ZERO);
        Some(wait.min(MAX_RETRY_AFTER))
    }
}

/// The three forms of an HTTP date (RFC 9110 5.6.7).
fn parse_http_date(text: &str) -> Option<Timestamp> {
    if let Ok(zoned) = jiff::fmt::rfc2822::parse(text) {
        return Some(zoned.timestamp());
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| jiff::civil::DateTime::strptime(form, text).ok())
        .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .map(|zoned| zoned.timestamp())
}

fn classify(error: &reqwest::Error) -> TransportError {
    if error.is_builder() {
        return TransportError::NotSent("http.request_unusable");
    }
    if error.is_connect() {
        return TransportError::NotSent(if error.is_timeout() {
            "http.connect_timeout"
        } else if error.is_dns() {
            "http.name_unknown"
        } else if is_tls(error) {
            "http.tls_failed"
        } else {
            "http.connect_failed"
        });
    }
    TransportError::AnswerLost(if error.is_timeout() { "http.timeout" } else { "http.connection_lost" })
}

fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    // An io::Error does not name what is inside it as its source.
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inside.is_some_and(|inner| is_tls(inner)) || error.source().is_some_and(is_tls)
}

fn header(headers: &HeaderMap, name: &reqwest::header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// An error's words and its causes without the URL, which may hold a proxy's password.
fn without_url(error: reqwest::Error) -> String {
    let error = error.without_url();
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_as_any_http_date_and_never_as_nonsense() {
        let now: Timestamp = "2026-11-20T02:31:00Z".parse().unwrap();
        let seconds = |value: &str, date: Option<&str>| {
            let answer =
                Answer { retry_after: Some(value.to_owned()), date: date.map(str::to_owned), ..Answer::default() };
            answer.retry_after(now).map(|wait| wait.as_secs())
        };
        assert_eq!(seconds("7", None), Some(7));
        assert_eq!(seconds(" 0 ", None), Some(0));
        assert_eq!(seconds("99999999999999999999999999", None), Some(86_400));
        assert_eq!(seconds("Fri, 20 Nov 2026 02:31:30 GMT", None), Some(30));
        assert_eq!(seconds("Friday, 20-Nov-26 02:31:30 GMT", None), Some(30));
        assert_eq!(seconds("Fri Nov 20 02:31:30 2026", None), Some(30));
        assert_eq!(seconds("Fri, 20 Nov 2026 02:31:30 GMT", Some("Fri, 20 Nov 2026 02:31:20 GMT")), Some(10));
        assert_eq!(seconds("Fri, 20 Nov 2026 02:30:00 GMT", None), Some(0));
        for nonsense in ["", "soon", "-5", "1.5", "7 seconds", "Fri, 99 Nov 2026 02:31:30 GMT"] {
            assert_eq!(seconds(nonsense, None), None, "{nonsense}");
        }
        assert_eq!(Answer::default().retry_after(now), None);
    }

    #[test]
    fn an_unusable_proxy_is_an_error_that_names_its_key() {
        let settings = ClientSettings { timeout: Duration::from_secs(1), concurrency: 1, egress_proxy: "::::" };
        let error = client(settings).unwrap_err();
        assert_eq!(error.code(), "http.proxy_unusable");
        assert!(error.to_string().contains("server.egress_proxy"));
    }
}
