//! Owns times on the wire: RFC 3339 in UTC.

use jiff::Timestamp;

/// A stored time (Unix ms) as RFC 3339.
#[must_use]
pub fn shown(ms: i64) -> String {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A stored time that may be missing.
#[must_use]
pub fn shown_option(ms: Option<i64>) -> Option<String> {
    ms.map(shown)
}
