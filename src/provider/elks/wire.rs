//! Owns the bytes of the 46elks API: JSON answers, forms of its calls to us, and its times.
//!
//! It gives no answer a meaning. Invariant: no input makes it panic, and every field but the id is optional, because
//! 46elks' own samples differ.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::super::http::Answer;
use super::super::{Accepted, Balance, DecodeError, HistoryPage, HistoryRow, InboundSms, Receipt, ReceiptState};

/// Longest id that is believed; the real ones have 33 characters.
const MAX_ID: usize = 100;

/// Characters kept of a state's name or an address.
const MAX_WORD: usize = 64;

/// Whether `text` can be an id of theirs: short, printable ASCII.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The id and parts out of a 2xx; `None` when no id can be read.
pub fn decode_accepted(answer: &Answer) -> Option<Accepted> {
    if !answer.complete {
        return None;
    }
    let value: Value = serde_json::from_slice(&answer.body).ok()?;
    let id = value.get("id")?.as_str().filter(|id| is_id(id))?;
    Some(Accepted { gateway_ref: Some(id.to_owned()), parts: value.get("parts").and_then(Value::as_i64) })
}

/// A page of `GET /a1/sms`; `None` when it is no listing at all.
pub fn decode_history(body: &[u8]) -> Option<HistoryPage> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let mut page = HistoryPage::default();
    for row in value.get("data")?.as_array()? {
        if row.get("direction").and_then(Value::as_str) == Some("incoming") {
            page.incoming.extend(read_incoming(row));
            continue;
        }
        match read_row(row) {
            Some(row) => page.rows.push(row),
            None => page.unreadable += 1,
        }
    }
    page.next = match value.get("next") {
        None | Some(Value::Null) => None,
        Some(Value::String(next)) if next.is_empty() => None,
        Some(Value::String(next)) => Some(next.clone()),
        Some(_) => return None,
    };
    Some(page)
}

/// The message of `GET /a1/sms/{id}`.
pub fn decode_row(body: &[u8]) -> Option<HistoryRow> {
    read_row(&serde_json::from_slice(body).ok()?)
}

/// The balance of `GET /a1/me`, which is told in ten-thousandths.
pub fn decode_balance(body: &[u8]) -> Option<Balance> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let amount = value.get("balance")?.as_f64().filter(|amount| amount.is_finite())? / 10_000.0;
    Some(Balance { amount })
}

fn read_row(row: &Value) -> Option<HistoryRow> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    Some(HistoryRow {
        gateway_ref: text("id").filter(|id| is_id(id))?.to_owned(),
        to: text("to")?.to_owned(),
        from: text("from").unwrap_or_default().to_owned(),
        created_at: parse_time(text("created")?)?,
        receipt: text("status").and_then(state_of),
    })
}

/// An incoming SMS of the history; one without a time or a text cannot be told apart from what is not there.
fn read_incoming(row: &Value) -> Option<InboundSms> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    Some(InboundSms {
        gateway_ref: text("id").filter(|id| is_id(id))?.to_owned(),
        from: text("from").map(shorten).filter(|from| !from.is_empty())?,
        to: text("to").map(shorten).unwrap_or_default(),
        text: text("message").unwrap_or_default().replace('\0', ""),
        created_at: text("created").and_then(parse_time),
    })
}

/// The form that a hook would have brought an incoming SMS in.
pub fn encode_inbound(sms: &InboundSms) -> Vec<u8> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("direction", "incoming").append_pair("id", &sms.gateway_ref);
    form.append_pair("from", &sms.from).append_pair("to", &sms.to);
    if let Some(at) = sms.created_at {
        form.append_pair("created", &format_time(at));
    }
    form.append_pair("message", &sms.text);
    form.finish().into_bytes()
}

/// A delivery report: form with `id`, `status` and, when delivered, `delivered`.
///
/// # Errors
/// [`DecodeError`] when there is no usable id or no state.
pub fn decode_receipt(body: &[u8]) -> Result<Receipt, DecodeError> {
    let form = Form::read(body);
    let word = form.get("status").ok_or(DecodeError { code: "receipt.state_missing" })?;
    Ok(Receipt {
        gateway_ref: form.id().ok_or(DecodeError { code: "receipt.id_missing" })?,
        state: state_of(word),
        word: shorten(word),
        delivered_at: form.get("delivered").and_then(parse_time),
    })
}

/// An incoming SMS: form with `direction`, `id`, `from`, `to`, `created`, `message`.
///
/// # Errors
/// [`DecodeError`] when there is no usable id or sender, or it is not an incoming one. An empty text is none.
pub fn decode_inbound(body: &[u8]) -> Result<InboundSms, DecodeError> {
    let form = Form::read(body);
    if form.get("direction").is_some_and(|direction| direction != "incoming") {
        return Err(DecodeError { code: "inbound.direction_wrong" });
    }
    let from = form.get("from").map(shorten).filter(|from| !from.is_empty());
    Ok(InboundSms {
        gateway_ref: form.id().ok_or(DecodeError { code: "inbound.id_missing" })?,
        from: from.ok_or(DecodeError { code: "inbound.sender_missing" })?,
        to: form.get("to").map(shorten).unwrap_or_default(),
        text: form.get("message").unwrap_or_default().replace('\0', ""),
        created_at: form.get("created").and_then(parse_time),
    })
}

/// An urlencoded form; of a key that stands twice the first is taken, bytes that are no UTF-8 become U+FFFD.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn id(&self) -> Option<String> {
        self.get("id").filter(|id| is_id(id)).map(str::to_owned)
    }
}

/// `created < sent < delivered|failed`; any other word is unknown, not an error.
fn state_of(word: &str) -> Option<ReceiptState> {
    match word {
        "created" | "sent" => Some(ReceiptState::Sent),
        "delivered" => Some(ReceiptState::Delivered),
        "failed" => Some(ReceiptState::Failed),
        _ => None,
    }
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_WORD).collect()
}

/// A body as words on one line.
pub fn plain_text(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(1024)]).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// UTC without a zone and with microseconds, as the API writes its own times.
pub fn format_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// Their times: UTC without a zone, a fraction of 0 to 6 digits, sometimes `Z`, in one sample a stray `:00` before it.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let seconds: DateTime = text.get(..19)?.parse().ok()?;
    let mut rest = text.get(19..)?.trim_end_matches('Z');
    if let Some(stray) = rest.strip_prefix(':') {
        rest = stray.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let fraction = rest.strip_prefix('.').unwrap_or(rest);
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: i32 = format!("{fraction:0<9}").parse().ok()?;
    let whole = seconds.to_zoned(TimeZone::UTC).ok()?.timestamp();
    whole.checked_add(jiff::SignedDuration::from_nanos(i64::from(nanoseconds))).ok()
}
