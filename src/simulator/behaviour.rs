//! Owns what the simulated gateway is told to do: answers, receipts, history, limits. Changeable while it runs.
//!
//! It does nothing itself. Invariant: whether a message is taken ([`Answer::accept`]) and what the caller hears of it
//! ([`Answer::reply`]) are set apart, because every fault worth testing is a difference between the two.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Everything that can be set, as one JSON document for the control API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayBehaviour {
    /// Time from acceptance to answer, milliseconds.
    pub latency_ms: u64,
    /// The answer where nothing below applies.
    pub answer: Answer,
    /// Answers for single numbers, E.164.
    pub answer_by_number: HashMap<String, Answer>,
    /// Answers for a share of the calls, drawn by the seed: the first share that the draw falls into.
    pub shares: Vec<Share>,
    /// Most messages taken in any second; the rest hears 429.
    pub rate_limit: Option<RateLimit>,
    /// Delivery reports.
    pub receipts: ReceiptPlan,
    /// `GET /a1/sms` and `GET /a1/sms/{id}`.
    pub history: HistoryMode,
    /// Credit in ten-thousandths; `None` = never runs out.
    pub balance: Option<i64>,
    /// Price of a part in ten-thousandths.
    pub cost_per_part: i64,
    /// Where incoming SMS are posted: the number's `sms_url`.
    pub sms_url: Option<String>,
    /// Waits between tries of a callback that is not answered 2xx, milliseconds; their number is the number of retries.
    pub callback_retries_ms: Vec<u64>,
}

impl Default for GatewayBehaviour {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            answer: Answer::default(),
            answer_by_number: HashMap::new(),
            shares: Vec::new(),
            rate_limit: None,
            receipts: ReceiptPlan::default(),
            history: HistoryMode::On,
            balance: None,
            cost_per_part: 5_200,
            sms_url: None,
            callback_retries_ms: vec![50, 200, 1_000, 5_000, 20_000],
        }
    }
}

/// What happens to one call of `POST /a1/sms` that is valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether the message is taken: journalled, charged, reported on.
    pub accept: bool,
    /// What the caller hears.
    pub reply: Reply,
}

impl Default for Answer {
    fn default() -> Self {
        Self { accept: true, reply: Reply::Proper }
    }
}

impl Answer {
    /// Taken, and then `reply` instead of a proper answer.
    #[must_use]
    pub fn accept_then(reply: Reply) -> Self {
        Self { accept: true, reply }
    }

    /// Not taken, with this code and plain text.
    #[must_use]
    pub fn refuse(code: u16, text: &str) -> Self {
        Self { accept: false, reply: Reply::PlainText { code, text: text.to_owned(), retry_after: None } }
    }

    /// Not taken, and `reply`, such as a connection that breaks before anything was read.
    #[must_use]
    pub fn drop_then(reply: Reply) -> Self {
        Self { accept: false, reply }
    }
}

/// What the caller hears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// 200 with the JSON object.
    Proper,
    /// This code with plain text.
    PlainText {
        /// HTTP status code.
        code: u16,
        /// Body.
        text: String,
        /// `Retry-After`, as it stands here.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// 200 with something else.
    Rubbish(Rubbish),
    /// The connection is reset (RST).
    Reset,
    /// The connection is closed (FIN).
    Close,
    /// Nothing at all, connection open.
    Silence,
    /// Headers and half of the body, then nothing.
    StallInBody,
    /// A proper answer at one byte each so many milliseconds, from the first byte of the headers.
    TrickleHeaders(u64),
    /// A proper answer with its body at one byte each so many milliseconds.
    TrickleBody(u64),
}

/// A body with status 200 that is not the JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rubbish {
    /// No body.
    Empty,
    /// A web page.
    Html,
    /// Ten megabytes of JSON that never ends.
    Huge,
    /// Bytes that are no UTF-8.
    InvalidUtf8,
    /// An object whose `id` is null.
    NullId,
    /// An object without `id`.
    NoId,
    /// JSON that breaks off, as a whole body.
    CutJson,
    /// A proper object with the id of the first message ever taken.
    DuplicateId,
}

/// An answer for a share of the calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// 0.0 to 1.0.
    pub share: f64,
    /// The answer.
    pub answer: Answer,
}

/// A limit on messages taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Most messages in any second.
    pub per_second: u32,
    /// `Retry-After` of the 429, as it stands here.
    #[serde(default)]
    pub retry_after: Option<String>,
}

/// How a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// `sent`, then `delivered`.
    Delivered,
    /// `sent`, then `failed`.
    Failed,
    /// `sent`, and nothing more.
    SentOnly,
    /// No report at all; it stays `created`.
    Never,
}

/// When which delivery reports are posted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiptPlan {
    /// Share that ends `delivered`.
    pub delivered: f64,
    /// Share that ends `failed`.
    pub failed: f64,
    /// Share that only hears `sent`; what is left over never hears anything.
    pub sent_only: f64,
    /// Fates of single numbers, E.164.
    pub fate_by_number: HashMap<String, Fate>,
    /// From acceptance to the first report, milliseconds.
    pub delay_ms: u64,
    /// From the first report to the last, milliseconds.
    pub spacing_ms: u64,
    /// Whether a report `sent` goes before the last one.
    pub sent_first: bool,
    /// Reports are posted, and waited for, before the send is answered.
    pub early: bool,
    /// How often each report is posted.
    pub copies: u32,
    /// The last report comes before `sent`.
    pub reversed: bool,
    /// Each report is followed by one for an id that nobody has.
    pub unknown_ids: bool,
}

impl Default for ReceiptPlan {
    fn default() -> Self {
        Self {
            delivered: 1.0,
            failed: 0.0,
            sent_only: 0.0,
            fate_by_number: HashMap::new(),
            delay_ms: 300,
            spacing_ms: 100,
            sent_first: false,
            early: false,
            copies: 1,
            reversed: false,
            unknown_ids: false,
        }
    }
}

impl ReceiptPlan {
    /// A plan that reports nothing by itself; tests report by hand.
    #[must_use]
    pub fn silent() -> Self {
        Self { delivered: 0.0, ..Self::default() }
    }

    /// A plan that reports without any delay.
    #[must_use]
    pub fn at_once() -> Self {
        Self { delay_ms: 0, spacing_ms: 0, ..Self::default() }
    }

    /// The fate of a message to `to`; `draw` is 0.0 to 1.0.
    #[must_use]
    pub(super) fn fate(&self, to: &str, draw: f64) -> Fate {
        if let Some(fate) = self.fate_by_number.get(to) {
            return *fate;
        }
        if draw < self.delivered {
            Fate::Delivered
        } else if draw < self.delivered + self.failed {
            Fate::Failed
        } else if draw < self.delivered + self.failed + self.sent_only {
            Fate::SentOnly
        } else {
            Fate::Never
        }
    }
}

/// Whether the history can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryMode {
    /// It tells the truth.
    On,
    /// This HTTP status code for every question, 404 for a gateway without a history.
    Code(u16),
    /// 200 with something that is no listing.
    Rubbish,
    /// The truth up to the second page, which hears 500.
    FirstPageOnly,
    /// Nothing answers.
    Silence,
}

/// A draw from 0.0 to 1.0 that is the same for the same seed and number (splitmix64).
pub(super) fn draw(seed: u64, number: u64) -> f64 {
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
    let fraction = (z >> 11) as f64 / (1_u64 << 53) as f64;
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_plan_come_out_as_set_and_the_same_for_the_same_seed() {
        let plan = ReceiptPlan { delivered: 0.7, failed: 0.2, sent_only: 0.05, ..ReceiptPlan::default() };
        let count = |fate| (0..10_000).filter(|n| plan.fate("+46", draw(7, *n)) == fate).count();
        for (fate, expected) in
            [(Fate::Delivered, 7_000), (Fate::Failed, 2_000), (Fate::SentOnly, 500), (Fate::Never, 500)]
        {
            assert!(count(fate).abs_diff(expected) < 150, "{fate:?} {}", count(fate));
        }
        assert!((draw(7, 1) - draw(8, 1)).abs() > 0.0);
    }

    #[test]
    fn a_partial_document_is_enough_and_an_unknown_key_is_refused() {
        let behaviour: GatewayBehaviour = serde_json::from_str(
            r#"{"latency_ms":50,"answer":{"accept":true,"reply":"reset"},"shares":[{"share":0.05,
                "answer":{"accept":false,"reply":{"plain_text":{"code":503,"text":"later"}}}}],"history":{"code":404}}"#,
        )
        .unwrap();
        assert_eq!(behaviour.answer, Answer::accept_then(Reply::Reset));
        assert_eq!(behaviour.shares[0].answer, Answer::refuse(503, "later"));
        assert!(serde_json::from_str::<GatewayBehaviour>(r#"{"latency":50}"#).is_err());
    }
}
