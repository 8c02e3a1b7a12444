//! Owns taking an incoming mail apart: headers, the text for people, the machine-readable reports.
//!
//! It decides nothing (`domain::bounce`) and unpacks no attachment. Invariant: whatever the mail is, reading it takes memory
//! and time bounded by the limits below, and ends with something.

use std::borrow::Cow;

use mail_parser::MessageParser;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::html_to_text;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;

use crate::domain::incoming_mail::{DeliveryReport, Fields, IncomingMail};

/// Octets of a mail that are looked at. Reports and what people write stand first; what comes after is photographs.
pub const WINDOW: usize = 512 * 1024;
/// Parts within parts.
const DEPTH: usize = 8;
/// Parts of one mail, whatever their depth.
const PARTS: usize = 64;
/// Fields of one block of headers.
const FIELDS: usize = 300;
/// Octets of one field.
const FIELD: usize = 8 * 1024;
/// Octets of one block of headers.
const BLOCK: usize = 128 * 1024;
/// Octets of the text for people.
const TEXT: usize = 64 * 1024;
/// Octets of HTML that are turned into text.
const HTML: usize = 128 * 1024;
/// Recipients of a report.
const RECIPIENTS: usize = 100;

/// Takes the beginning of a mail apart.
#[must_use]
pub fn read(raw: &[u8]) -> IncomingMail {
    let window = with_line_feeds(&raw[..raw.len().min(WINDOW)]);
    let (headers, body) = split(&window);
    let mut found = Found::default();
    found.part(&headers, body, 0);
    let mut mail = found.mail;
    mail.text = if found.text.trim().is_empty() { found.html } else { found.text };
    let is_report =
        headers.lower("content-type").starts_with("multipart/report") || headers.get("content-type").is_none();
    if mail.report.is_none() && is_report {
        mail.report = report_in_text(&mail.text);
    }
    if mail.returned == Fields::default() {
        mail.returned = identifiers_in_text(&mail.text);
    }
    mail.headers = headers;
    mail
}

#[derive(Default)]
struct Found {
    mail: IncomingMail,
    text: String,
    html: String,
    parts: usize,
}

impl Found {
    fn part(&mut self, headers: &Fields, body: &[u8], depth: usize) {
        self.parts += 1;
        let content = ContentType::of(headers.get("content-type").unwrap_or("text/plain"));
        let kind = content.kind.as_str();
        if kind.starts_with("multipart/")
            && let Some(boundary) = content.parameter("boundary")
            && depth < DEPTH
        {
            let parts = parts(body, boundary.as_bytes());
            if !parts.is_empty() {
                for part in parts {
                    if self.parts >= PARTS {
                        return;
                    }
                    let (headers, body) = split(part);
                    self.part(&headers, body, depth + 1);
                }
                return;
            }
        }
        match kind {
            "message/delivery-status" | "message/global-delivery-status" if self.mail.report.is_none() => {
                self.mail.report = report(&decoded(headers, body));
            }
            "message/feedback-report" if self.mail.feedback.is_none() => {
                self.mail.feedback = Some(fields(&decoded(headers, body)));
            }
            "message/disposition-notification" => self.mail.is_disposition = true,
            "message/rfc822"
            | "message/global"
            | "text/rfc822-headers"
            | "message/rfc822-headers"
            | "message/global-headers"
                if self.mail.returned == Fields::default() =>
            {
                self.mail.returned = split(&decoded(headers, body)).0;
            }
            "text/html" if self.html.is_empty() && depth <= DEPTH => {
                let html = text(&content, &decoded(headers, body), HTML);
                self.html = bounded(&html_to_text(&html), TEXT).to_owned();
            }
            _ if is_attachment(headers) => {}
            _ if (kind.starts_with("text/plain") || kind.starts_with("multipart/") || kind.is_empty())
                && self.text.trim().is_empty() =>
            {
                self.text = text(&content, &decoded(headers, body), TEXT);
            }
            _ => {}
        }
    }
}

fn is_attachment(headers: &Fields) -> bool {
    headers.lower("content-disposition").starts_with("attachment")
}

/// A type and its parameters (RFC 2045 5.1).
struct ContentType {
    kind: String,
    parameters: Vec<(String, String)>,
}

impl ContentType {
    fn of(value: &str) -> Self {
        let mut parts = quoted_split(value);
        let kind = parts.next().unwrap_or_default().trim().to_lowercase();
        let parameters = parts
            .filter_map(|part| {
                let (name, value) = part.split_once('=')?;
                let value = value.trim();
                let value = value.strip_prefix('"').map_or(value, |rest| rest.strip_suffix('"').unwrap_or(rest));
                Some((name.trim().to_lowercase(), value.replace('\\', "")))
            })
            .take(16)
            .collect();
        Self { kind, parameters }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let of_name = |(key, _): &&(String, String)| key == name;
        self.parameters.iter().find(of_name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Splits at semicolons that stand outside quotation marks.
fn quoted_split(value: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    value.split(move |c| {
        is_quoted ^= c == '"';
        c == ';' && !is_quoted
    })
}

/// Old systems end lines with CR alone.
fn with_line_feeds(raw: &[u8]) -> Cow<'_, [u8]> {
    if raw.contains(&b'\n') || !raw.contains(&b'\r') {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(raw.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect())
}

/// Headers and what follows the empty line after them.
fn split(part: &[u8]) -> (Fields, &[u8]) {
    let mut at = 0;
    for line in part.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            return (fields(&part[..at]), &part[at + line.len()..]);
        }
        // A mailbox file's first line is no header; what is no header at all is text.
        let is_header = at > 0 || line.starts_with(b"From ") || line.contains(&b':');
        if !is_header {
            return (Fields::default(), part);
        }
        at += line.len();
    }
    (fields(part), &[])
}

/// A block of fields, unfolded.
fn fields(block: &[u8]) -> Fields {
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    for line in block[..block.len().min(BLOCK)].split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.first().is_some_and(|first| matches!(first, b' ' | b'\t')) {
            if let Some((_, value)) = fields.last_mut()
                && value.len() + line.len() < FIELD
            {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
            continue;
        }
        if fields.len() >= FIELDS {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = String::from_utf8_lossy(line[..colon.min(FIELD)].trim_ascii()).to_lowercase();
        let value = line[colon + 1..].trim_ascii();
        fields.push((name, value[..value.len().min(FIELD)].to_vec()));
    }
    Fields(fields.into_iter().map(|(name, value)| (name, header_text(&value))).collect())
}

/// A field's value for people: encoded words decoded (RFC 2047), whatever octets made into text.
fn header_text(value: &[u8]) -> String {
    let plain = plain(value);
    if !plain.contains("=?") {
        return plain;
    }
    let line = format!("Subject: {}\r\n\r\n", plain.replace(['\r', '\n'], " "));
    let parsed = MessageParser::new().parse_headers(line.as_bytes());
    parsed.and_then(|parsed| parsed.subject().map(clean)).unwrap_or(plain)
}

/// Octets as text: UTF-8, or else as Western Europe used to write. Nothing is refused.
fn plain(bytes: &[u8]) -> String {
    clean(&match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => charset_decoder(b"windows-1252")
            .map_or_else(|| String::from_utf8_lossy(bytes), |decode| decode(bytes).into()),
    })
}

/// NUL would stop the database.
fn clean(text: &str) -> String {
    text.replace('\0', " ")
}

fn bounded(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most.min(text.len()))]
}

/// A part's text, at most `most` octets.
fn text(content: &ContentType, bytes: &[u8], most: usize) -> String {
    let bytes = &bytes[..bytes.len().min(most)];
    let named = content.parameter("charset").and_then(|charset| charset_decoder(charset.as_bytes()));
    let is_unicode = content.parameter("charset").is_some_and(|charset| charset.to_lowercase().starts_with("utf-8"));
    let text = match named {
        Some(decode) if !is_unicode => clean(&decode(bytes)),
        _ => plain(bytes),
    };
    bounded(&text.replace('\r', ""), most).to_owned()
}

/// A part's content without its transfer encoding (RFC 2045 6); as it came where that is broken.
fn decoded<'a>(headers: &Fields, body: &'a [u8]) -> Cow<'a, [u8]> {
    let made = match headers.lower("content-transfer-encoding").as_str() {
        "base64" => base64_decode(body),
        "quoted-printable" => quoted_printable_decode(body),
        _ => None,
    };
    made.map_or(Cow::Borrowed(body), Cow::Owned)
}

/// The parts between delimiter lines (RFC 2046 5.1.1); the last may lack its end.
fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let (mut at, mut from) = (0, None);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let after = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary));
        if let Some(after) = after.map(<[u8]>::trim_ascii).filter(|after| after.is_empty() || *after == b"--") {
            if let Some(from) = from {
                parts.push(&body[from..at]);
            }
            from = Some(at + line.len());
            if !after.is_empty() || parts.len() >= PARTS {
                return parts;
            }
        }
        at += line.len();
    }
    if let Some(from) = from {
        parts.push(&body[from..]);
    }
    parts
}

/// A delivery report: blocks between empty lines (RFC 3464 2.1).
fn report(bytes: &[u8]) -> Option<DeliveryReport> {
    let mut report = DeliveryReport::default();
    let mut block = Vec::new();
    let lines = bytes.split(|byte| *byte == b'\n').chain(std::iter::once(&b""[..]));
    for line in lines {
        if !line.trim_ascii().is_empty() {
            block.extend_from_slice(line);
            block.push(b'\n');
            continue;
        }
        let read = fields(&std::mem::take(&mut block));
        if ["action", "status", "final-recipient", "original-recipient"].iter().any(|name| read.get(name).is_some()) {
            report.recipients.push(read);
        } else {
            report.message.0.extend(read.0);
        }
        if report.recipients.len() >= RECIPIENTS || report.message.0.len() >= FIELDS {
            break;
        }
    }
    // Some put the fields of one recipient into several blocks.
    let has_action = |fields: &Fields| fields.get("action").is_some() || fields.get("status").is_some();
    if report.recipients.len() == 2 && report.recipients.iter().filter(|fields| has_action(fields)).count() == 1 {
        let second = report.recipients.pop().unwrap_or_default();
        if let Some(first) = report.recipients.first_mut() {
            first.0.extend(second.0);
        }
    }
    (!report.recipients.is_empty()).then_some(report)
}

/// A report whose parts could not be told apart.
fn report_in_text(text: &str) -> Option<DeliveryReport> {
    let begins = |line: &str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("final-recipient:") || line.starts_with("original-recipient:")
    };
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if begins(line) {
            let end = text[at..].find("\n\n").map_or(text.len(), |end| at + end);
            return report(&text.as_bytes()[at..end]);
        }
        at += line.len();
    }
    None
}

/// What names the returned letter where it stands in the text itself.
fn identifiers_in_text(text: &str) -> Fields {
    let named = text.lines().take(4_000).filter_map(|line| {
        let (name, value) = line.trim_start_matches(['>', ' ', '\t']).split_once(':')?;
        let name = name.to_ascii_lowercase();
        matches!(name.as_str(), "message-id" | "return-path").then(|| (name, bounded(value.trim(), FIELD).to_owned()))
    });
    Fields(named.take(8).collect())
}

#[cfg(test)]
mod tests;
