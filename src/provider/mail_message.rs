//! Owns what one letter is on the wire: RFC 5322 headers, a multipart body, and the addresses of its envelope.
//!
//! lettre encodes; what the text says is made elsewhere. Invariant: bytes that leave here conform: lines of at most 998
//! octets ending in CRLF, no NUL, exactly one of each header, ASCII unless an address itself is not; and a value with a
//! control character never reaches a header.

use std::time::SystemTime;

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Message, MultiPart, MultiPartKind, SinglePart};
use memchr::{memchr_iter, memchr2};
use sha2::{Digest, Sha256};

use super::dkim::Signer;
use super::{HandOverError, Reason};

/// Octets of a line without its CRLF (RFC 5322 2.1.1).
const MAX_LINE: usize = 998;

/// Characters of a subject, a name or a list's name.
const MAX_HEADER_TEXT: usize = 400;

/// Octets of one unbreakable header word, such as a link.
const MAX_HEADER_WORD: usize = 900;

/// A name and an address as people see them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// Shown name, if any.
    pub name: Option<String>,
    /// `local@domain`; the domain may hold å ä ö.
    pub address: String,
}

impl Mailbox {
    /// Reads `Name <address>`, `"Name" <address>` or a bare address; does not check the address.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            Some((name, address)) => {
                let name = name.trim().trim_matches('"').trim();
                Self { name: (!name.is_empty()).then(|| name.to_owned()), address: address.trim().to_owned() }
            }
            None => Self { name: None, address: text.to_owned() },
        }
    }
}

/// What ties a letter to its mailing list (RFC 2369, RFC 2919, RFC 8058).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListHeaders {
    /// The list's name for people.
    pub name: String,
    /// Its stable identifier, such as `grannsamverkan.example.org`.
    pub id: String,
    /// Where a POST unsubscribes this one person; https in earnest use.
    pub unsubscribe_url: String,
    /// Address that unsubscribes this one person, if there is one.
    pub unsubscribe_address: Option<String>,
    /// Address of the people behind the list.
    pub owner_address: Option<String>,
}

/// One letter to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMail {
    /// `left@right` without angle brackets, unique per message and recipient, the same on every try.
    pub message_id: String,
    /// Time of sending, with the zone that is shown.
    pub date: jiff::Zoned,
    /// Sender shown.
    pub from: Mailbox,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<Mailbox>,
    /// The one recipient.
    pub to: Mailbox,
    /// Envelope sender, one per recipient (VERP).
    pub return_path: String,
    /// `ENVID` for the relay's reports (RFC 3461), if it takes one.
    pub envelope_id: Option<String>,
    /// Subject.
    pub subject: String,
    /// The whole content as plain text.
    pub text: String,
    /// The whole content as HTML; `None` = plain text only.
    pub html: Option<String>,
    /// List headers; `None` for mail that is no letter to a list.
    pub list: Option<ListHeaders>,
    /// Whether a program wrote it (RFC 3834): receipts and alarms, not letters.
    pub auto_submitted: bool,
}

/// A letter that cannot be put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("letter not composed: {field}: {code}")]
pub struct ComposeError {
    code: &'static str,
    field: &'static str,
}

impl ComposeError {
    /// Stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.code
    }

    /// Name of the field of [`OutgoingMail`] that is wrong.
    #[must_use]
    pub fn field(self) -> &'static str {
        self.field
    }
}

impl From<ComposeError> for HandOverError {
    fn from(error: ComposeError) -> Self {
        let reason = Reason::with_detail(error.code, error.field);
        match error.field {
            "to" | "subject" | "text" | "html" => Self::Rejected { reason },
            _ => Self::Misconfigured { reason },
        }
    }
}

/// A letter ready for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The message, ending in CRLF, dots not yet doubled.
    pub message: Vec<u8>,
    /// Envelope sender.
    pub return_path: EnvelopeAddress,
    /// Envelope recipient.
    pub to: EnvelopeAddress,
    /// `ENVID`, if any.
    pub envelope_id: Option<String>,
}

impl Composed {
    /// Whether every hop must offer SMTPUTF8 (RFC 6531): an address or a header is not ASCII.
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.return_path.is_ascii() || !self.to.is_ascii() || !self.message.is_ascii()
    }
}

/// An address as the envelope has it: the domain in A-labels (RFC 5890).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeAddress(lettre::Address);

impl EnvelopeAddress {
    /// Reads `local@domain` and turns the domain into A-labels. `None` when it is no address (RFC 5321 4.5.3.1).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.rsplit_once('@')?;
        let domain = if domain.is_ascii() { domain.to_owned() } else { idna::domain_to_ascii(domain).ok()? };
        let unsafe_char = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>');
        if local.len() > 64 || domain.len() > 253 || local.contains(unsafe_char) || domain.contains(unsafe_char) {
            return None;
        }
        lettre::Address::new(local, domain).ok().map(Self)
    }

    /// `local@domain`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }

    /// The domain in A-labels.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.domain()
    }

    /// Whether it needs no SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.as_str().is_ascii()
    }
}

/// The letter as it goes on the wire, signed when there is a signer. The same letter gives the same bytes every time,
/// but for the time in the signature.
///
/// # Errors
/// [`ComposeError`] names the field that cannot be sent.
pub fn compose(mail: &OutgoingMail, signer: Option<&Signer>) -> Result<Composed, ComposeError> {
    let to = mailbox("to", &mail.to)?;
    let return_path = EnvelopeAddress::parse(&mail.return_path).ok_or(address_invalid("return_path"))?;
    let mut builder = Message::builder()
        .from(mailbox("from", &mail.from)?)
        .to(to.clone())
        .subject(header_text("subject", mail.subject.trim_matches(' '))?)
        .message_id(Some(message_id(&mail.message_id)?))
        // Only a stand-in, so that lettre does not read the clock: its own form knows no zone.
        .date(SystemTime::UNIX_EPOCH);
    if let Some(reply_to) = &mail.reply_to {
        builder = builder.reply_to(mailbox("reply_to", reply_to)?);
    }
    for (name, value) in mail.list.iter().map(list_headers).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        builder = builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
    }
    if mail.auto_submitted {
        builder = builder.raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    }
    let (content_type, body) = content(mail);
    let mut message = builder
        .header(lettre::message::header::MIME_VERSION_1_0)
        .header(content_type)
        .body(body)
        .map_err(|_| ComposeError { code: "mail.unusable", field: "from" })?;
    let date = jiff::fmt::rfc2822::to_string(&mail.date)
        .map_err(|_| ComposeError { code: "mail.date_invalid", field: "date" })?;
    message.headers_mut().insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str("Date"), date));
    if let Some(signer) = signer {
        signer.sign(&mut message);
    }
    let composed = Composed {
        message: with_final_line_break(message.formatted()),
        return_path,
        to: EnvelopeAddress(to.email),
        envelope_id: mail.envelope_id.clone(),
    };
    check(&composed)?;
    Ok(composed)
}

fn address_invalid(field: &'static str) -> ComposeError {
    ComposeError { code: "mail.address_invalid", field }
}

fn mailbox(field: &'static str, mailbox: &Mailbox) -> Result<lettre::message::Mailbox, ComposeError> {
    let address = EnvelopeAddress::parse(&mailbox.address).ok_or(address_invalid(field))?;
    let name = mailbox.name.as_deref().map(|name| name.trim_matches(' ')).filter(|name| !name.is_empty());
    let name = name.map(|name| header_text(field, name)).transpose()?;
    Ok(lettre::message::Mailbox::new(name, address.0))
}

/// A value that may stand in a header: no control character, not endless.
fn header_text(field: &'static str, text: &str) -> Result<String, ComposeError> {
    let unbreakable = text.split(' ').any(|word| word.len() > MAX_HEADER_WORD);
    if text.chars().any(char::is_control) {
        return Err(ComposeError { code: "mail.control_character", field });
    }
    if text.chars().count() > MAX_HEADER_TEXT || unbreakable {
        return Err(ComposeError { code: "mail.header_too_long", field });
    }
    Ok(text.to_owned())
}

fn message_id(id: &str) -> Result<String, ComposeError> {
    let valid = id.len() <= 250
        && id.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>'))
        && id.matches('@').count() == 1;
    valid.then(|| format!("<{id}>")).ok_or(ComposeError { code: "mail.message_id_invalid", field: "message_id" })
}

fn list_headers(list: &ListHeaders) -> Result<Vec<(&'static str, String)>, ComposeError> {
    let name: String =
        header_text("list", &list.name)?.chars().map(|c| if "()<>[]:;@\\,.\"".contains(c) { ' ' } else { c }).collect();
    let mut unsubscribe = format!("<{}>", link(&list.unsubscribe_url)?);
    if let Some(address) = &list.unsubscribe_address {
        unsubscribe = format!("{unsubscribe}, <mailto:{}>", link(address)?);
    }
    let mut headers = vec![
        ("List-Id", format!("{} <{}>", name.trim(), link(&list.id)?).trim_start().to_owned()),
        ("List-Unsubscribe", unsubscribe),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()),
    ];
    if let Some(address) = &list.owner_address {
        headers.push(("List-Owner", format!("<mailto:{}>", link(address)?)));
    }
    Ok(headers)
}

/// A link, address or identifier that may stand between angle brackets.
fn link(text: &str) -> Result<&str, ComposeError> {
    let valid = (1..=MAX_HEADER_WORD).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b','));
    if valid { Ok(text) } else { Err(ComposeError { code: "mail.link_invalid", field: "list" }) }
}

/// The body and its type: text first, HTML last.
fn content(mail: &OutgoingMail) -> (ContentType, Body) {
    let text = part(ContentType::TEXT_PLAIN, &mail.text);
    let Some(html) = &mail.html else {
        let encoding = text.headers().get().unwrap_or(ContentTransferEncoding::QuotedPrintable);
        return (ContentType::TEXT_PLAIN, Body::dangerous_pre_encoded(text.raw_body().to_vec(), encoding));
    };
    // "=_" stands in no quoted-printable and no base64 text, so the boundary cannot occur in a part (RFC 2045 6.7).
    let digest = Sha256::digest(mail.message_id.as_bytes());
    let boundary = format!("=_{}", data_encoding::HEXLOWER.encode(&digest[..16]));
    let multipart = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        .boundary(boundary)
        .singlepart(text)
        .singlepart(part(ContentType::TEXT_HTML, html));
    let content_type = multipart.headers().get::<ContentType>().unwrap_or(ContentType::TEXT_PLAIN);
    // The type must be a header of the message, not of the part, for the signature to cover it.
    let inside = multipart.headers().to_string().len() + "\r\n".len();
    let bytes = multipart.formatted().split_off(inside);
    (content_type, Body::dangerous_pre_encoded(bytes, ContentTransferEncoding::SevenBit))
}

fn part(content_type: ContentType, text: &str) -> SinglePart {
    let text = without_control(text);
    SinglePart::builder().header(content_type).header(encoding_for(&text)).body(text)
}

/// The text with line breaks of one kind, and no other control character but tabs.
fn without_control(text: &str) -> String {
    // An octet of a control character, or the first of one above ASCII. Looked at one after the other to the end, they are many at once.
    let may_be_control = |octet: u8| (octet < b' ' && octet != b'\n' && octet != b'\t') || matches!(octet, 0x7f | 0xc2);
    if !text.bytes().fold(false, |found, octet| found | may_be_control(octet)) {
        return text.to_owned();
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// Quoted-printable for Latin text, so that it stays readable in the raw; base64 for other scripts.
fn encoding_for(text: &str) -> ContentTransferEncoding {
    let wide = text.bytes().filter(|byte| !byte.is_ascii()).count();
    if wide * 4 > text.len() { ContentTransferEncoding::Base64 } else { ContentTransferEncoding::QuotedPrintable }
}

fn with_final_line_break(mut message: Vec<u8>) -> Vec<u8> {
    if !message.ends_with(b"\r\n") {
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// The last look before the wire.
fn check(composed: &Composed) -> Result<(), ComposeError> {
    let unusable = |field| Err(ComposeError { code: "mail.malformed", field });
    if !lines_conform(&composed.message) {
        return unusable("subject");
    }
    let addresses_are_ascii = composed.to.is_ascii() && composed.return_path.is_ascii();
    if addresses_are_ascii && !composed.message.is_ascii() {
        return unusable("from");
    }
    Ok(())
}

/// Whether it consists of lines of at most 998 octets ending in CRLF, without NUL and with no CR or LF of their own (RFC 5322 2.3).
fn lines_conform(message: &[u8]) -> bool {
    let mut begin = 0;
    for end in memchr_iter(b'\n', message) {
        let line = &message[begin..end];
        if line.len() > MAX_LINE + 1 || !line.ends_with(b"\r") || memchr2(b'\r', 0, &line[..line.len() - 1]).is_some() {
            return false;
        }
        begin = end + 1;
    }
    begin == message.len()
}

#[cfg(test)]
pub(in crate::provider) mod tests;
