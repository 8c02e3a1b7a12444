//! Owns the 46elks SMS API: sending, history, balance, and what each of its answers means, as one table.
//!
//! It does not decide when to send, ask or try again. Invariant: an answer that could come from a gateway which has
//! taken the message is never an error that lets it be sent again (`facts`: no idempotency key, one POST per recipient).

mod wire;

use std::time::Duration;

use jiff::Timestamp;

use super::http::{self, Answer, ClientSettings};
use super::{
    Accepted, Balance, HandOverError, HistoryPage, HistoryRow, HistoryWindow, LookUpError, OutgoingSms, Reason,
    SetupError,
};
use crate::config;

pub use wire::{decode_inbound, decode_receipt, encode_inbound};

/// Rows a page of the history may hold.
const PAGE: &str = "100";

/// An account at 46elks, or at something that speaks its API.
#[derive(Debug, Clone)]
pub struct ElksGateway {
    name: String,
    http: reqwest::Client,
    base_url: String,
    username: String,
    password: config::Secret,
    sender: String,
    history: bool,
}

impl ElksGateway {
    /// The gateway `[sms.gateways.NAME]` as configured; opens no connection.
    ///
    /// # Errors
    /// [`SetupError`] when no HTTP client can be made.
    pub fn new(name: &str, config: &config::Gateway, egress_proxy: &str) -> Result<Self, SetupError> {
        let http = http::client(ClientSettings {
            timeout: Duration::from_secs(config.timeout_seconds),
            concurrency: usize::try_from(config.concurrency).unwrap_or(usize::MAX),
            egress_proxy,
        })?;
        Ok(Self {
            name: name.to_owned(),
            http,
            base_url: config.base_url.trim_end_matches('/').to_owned(),
            username: config.username.clone(),
            password: config.password.clone(),
            sender: config.sender.clone(),
            history: config.history,
        })
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its history may be asked.
    #[must_use]
    pub fn has_history(&self) -> bool {
        self.history
    }

    /// `POST /a1/sms`. `now` is what a `Retry-After` date is measured from when the answer has no `Date`.
    ///
    /// # Errors
    /// [`HandOverError`], by the table in this file.
    pub async fn send(&self, sms: &OutgoingSms, now: Timestamp) -> Result<Accepted, HandOverError> {
        let mut form = vec![
            ("from", sms.from.as_deref().unwrap_or(&self.sender)),
            ("to", sms.to.as_str()),
            ("message", sms.text.as_str()),
            ("dontlog", "message"),
        ];
        if let Some(url) = &sms.receipt_url {
            form.push(("whendelivered", url));
        }
        let request = self.with_account(self.http.post(self.url("/a1/sms"))).form(&form);
        outcome(&http::exchange(request, http::MAX_BODY).await?, now)
    }

    /// One page of `GET /a1/sms`, newest first; `page` is the `next` of the page before.
    ///
    /// # Errors
    /// [`LookUpError`] when the history is off, out of reach or unreadable: it proves nothing then.
    pub async fn history(&self, window: &HistoryWindow, page: Option<&str>) -> Result<HistoryPage, LookUpError> {
        if !self.history {
            return Err(LookUpError { code: "gateway.history_off" });
        }
        // The API's names are the reverse of what one expects: `start` = older than, `end` = newer than.
        let start = page.map(str::to_owned).or_else(|| window.older_than.map(wire::format_time));
        let mut query = vec![("end", wire::format_time(window.newer_than)), ("limit", PAGE.to_owned())];
        query.extend(start.map(|start| ("start", start)));
        query.extend(window.to.clone().map(|to| ("to", to)));
        let answer = self.look("/a1/sms", &query).await?;
        wire::decode_history(&answer.body).ok_or(LookUpError { code: "gateway.history_unreadable" })
    }

    /// `GET /a1/sms/{id}`.
    ///
    /// # Errors
    /// [`LookUpError`], also when the gateway does not know the id: that proves nothing.
    pub async fn look_up(&self, gateway_ref: &str) -> Result<HistoryRow, LookUpError> {
        if !wire::is_id(gateway_ref) || !gateway_ref.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(LookUpError { code: "gateway.id_unusable" });
        }
        let answer = self.look(&format!("/a1/sms/{gateway_ref}"), &[]).await?;
        wire::decode_row(&answer.body).ok_or(LookUpError { code: "gateway.history_unreadable" })
    }

    /// Balance of the account, `GET /a1/me`.
    ///
    /// # Errors
    /// [`LookUpError`] when it cannot be asked or read.
    pub async fn balance(&self) -> Result<Balance, LookUpError> {
        let answer = self.look("/a1/me", &[]).await?;
        wire::decode_balance(&answer.body).ok_or(LookUpError { code: "gateway.balance_unreadable" })
    }

    async fn look(&self, path: &str, query: &[(&str, String)]) -> Result<Answer, LookUpError> {
        let request = self.with_account(self.http.get(self.url(path))).query(query);
        let answer =
            http::exchange(request, http::MAX_LISTING).await.map_err(|error| LookUpError { code: error.code() })?;
        let code = match answer.code {
            200 if answer.complete => return Ok(answer),
            200 => "gateway.history_unreadable",
            401 | 403 => "gateway.unauthorized",
            404 => "gateway.history_missing",
            429 | 503 => "gateway.throttled",
            _ => "gateway.history_failed",
        };
        Err(LookUpError { code })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn with_account(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.basic_auth(&self.username, Some(self.password.expose()))
    }
}

/// What an answer without acceptance means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Wrong for this recipient or text.
    Recipient,
    /// Wrong for every recipient.
    Account,
    /// Too fast.
    Slower,
    /// Not taken, try again.
    Again,
    /// May have been taken.
    Unknown,
}

/// The code table, first by HTTP status code. Codes that stand in no line: 4xx is `Recipient`, everything else `Unknown`.
///
/// A redirect is never followed: 301, 302, 307 and 308 say that the address is wrong, 303 that the message was handled.
const CODES: &[(&[u16], Class, &str)] = &[
    (&[400, 404, 422], Class::Recipient, "gateway.rejected"),
    (&[401, 403], Class::Account, "gateway.unauthorized"),
    (&[402], Class::Account, "gateway.no_credit"),
    (&[301, 302, 307, 308, 405, 407, 410, 415, 426], Class::Account, "gateway.address_wrong"),
    (&[408, 421, 425], Class::Again, "gateway.busy"),
    (&[429, 503], Class::Slower, "gateway.throttled"),
];

/// The code table, then by known wordings of the plain-text body. Each of them says that the message was not taken, so
/// it also settles a 5xx; what [`CODES`] calls an account's fault stays one.
const WORDINGS: &[(&str, Class, &str)] = &[
    ("not enough credit", Class::Account, "gateway.no_credit"),
    ("invalid to number", Class::Recipient, "gateway.number_invalid"),
    ("invalid from number", Class::Account, "gateway.sender_refused"),
    ("too long", Class::Recipient, "gateway.text_too_long"),
    ("missing key", Class::Recipient, "gateway.request_refused"),
];

/// What an answer to `POST /a1/sms` says about the message.
fn outcome(answer: &Answer, now: Timestamp) -> Result<Accepted, HandOverError> {
    if (200..300).contains(&answer.code) {
        return wire::decode_accepted(answer)
            .ok_or_else(|| HandOverError::InDoubt { reason: Reason::new("gateway.answer_unreadable") });
    }
    let (class, code) = class_of(answer);
    let reason = Reason::with_detail(code, &format!("{} {}", answer.code, wire::plain_text(&answer.body)));
    Err(match class {
        Class::Recipient => HandOverError::Rejected { reason },
        Class::Account => HandOverError::Misconfigured { reason },
        Class::Slower => HandOverError::Throttled { after: answer.retry_after(now), reason },
        Class::Again => HandOverError::Retry { after: answer.retry_after(now), reason, provider_down: true },
        Class::Unknown => HandOverError::InDoubt { reason },
    })
}

fn class_of(answer: &Answer) -> (Class, &'static str) {
    let by_code = CODES
        .iter()
        .find(|(codes, ..)| codes.contains(&answer.code))
        .map(|(_, class, code)| (*class, *code))
        .unwrap_or(match answer.code {
            400..500 => (Class::Recipient, "gateway.rejected"),
            500..600 => (Class::Unknown, "gateway.failed"),
            _ => (Class::Unknown, "gateway.answer_unreadable"),
        });
    if matches!(by_code.0, Class::Slower | Class::Again) || answer.code < 400 {
        return by_code;
    }
    let words = wire::plain_text(&answer.body).to_lowercase();
    let by_wording = WORDINGS.iter().find(|(wording, ..)| words.contains(wording));
    match (by_code.0, by_wording) {
        (Class::Account, Some((_, Class::Account, code))) => (Class::Account, code),
        (Class::Account, _) | (_, None) => by_code,
        (_, Some((_, class, code))) => (*class, code),
    }
}

#[cfg(test)]
mod tests;
