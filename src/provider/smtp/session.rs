//! Owns one SMTP session: greeting, EHLO, STARTTLS, AUTH, and one letter after the other (RFC 5321).
//!
//! It keeps no pool and does not say what a failure means. Invariant: a failure tells at which stage it came, and every
//! stage before [`Stage::FinalDot`] is one at which the relay cannot have taken the letter.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use rustls::ClientConfig;

use super::super::mail_message::Composed;
use super::relay_url::{RelayUrl, Tls};
use super::wire::{Endpoint, Reply, Wire, WireError};
use crate::config::Secret;

/// Longest time for connecting; the time-out of answers is made for a relay that is thinking.
const MAX_CONNECT: Duration = Duration::from_secs(30);

/// How far a session had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Connect,
    Tls,
    Greeting,
    Hello,
    Login,
    Sender,
    Recipient,
    Data,
    Body,
    FinalDot,
    Reset,
}

/// Why a letter or a session came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The relay said no.
    Refused(Stage, Reply),
    /// The connection or its time ran out, or the relay said something that is no reply.
    Lost(Stage, WireError),
    /// We do not go on: what the relay offers is not what the settings ask for.
    Unfit(&'static str),
    /// This letter cannot go through this relay.
    LetterUnfit(&'static str),
}

/// What a session needs besides the relay's address.
#[derive(Debug)]
pub(super) struct SessionSettings {
    pub(super) url: RelayUrl,
    pub(super) endpoint: Endpoint,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) answer_limit: Duration,
    pub(super) final_dot_limit: Duration,
}

/// What the relay offers (RFC 1869); keywords in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Offers {
    starttls: bool,
    pipelining: bool,
    eight_bit: bool,
    smtputf8: bool,
    dsn: bool,
    size: Option<Option<usize>>,
    logins: Vec<String>,
}

/// An open session.
#[derive(Debug)]
pub(super) struct Session {
    wire: Wire,
    offers: Offers,
    limit: Duration,
    final_dot_limit: Duration,
    /// Letters it has carried.
    pub(super) carried: u32,
}

impl Session {
    /// Connects, says hello, and has TLS and a login where they are asked for.
    pub(super) async fn open(settings: &SessionSettings) -> Result<Self, Failure> {
        let limit = settings.answer_limit;
        let connect_limit = limit.min(MAX_CONNECT);
        let lost = |stage| move |code| Failure::Lost(stage, code);
        let mut wire = Wire::open(&settings.endpoint, connect_limit).await.map_err(lost(Stage::Connect))?;
        if settings.url.tls == Tls::Implicit {
            let tls = Arc::clone(&settings.tls);
            wire = wire.encrypt(&settings.url.host, tls, connect_limit).await.map_err(lost(Stage::Tls))?;
        }
        let mut session =
            Self { wire, offers: Offers::default(), limit, final_dot_limit: settings.final_dot_limit, carried: 0 };
        session.positive(Stage::Greeting).await?;
        session.hello().await?;
        if session.wants_starttls(&settings.url)? {
            session = session.starttls(settings, connect_limit).await?;
        }
        if let Some((name, password)) = &settings.url.login {
            session.login(name, password, settings.url.is_loopback()).await?;
        }
        Ok(session)
    }

    /// Hands over one letter; the reply is the one to the final dot.
    pub(super) async fn submit(&mut self, letter: &Composed) -> Result<Reply, Failure> {
        let (sender, recipient) = self.envelope_commands(letter)?;
        if self.offers.pipelining {
            self.write(Stage::Sender, &format!("{sender}{recipient}")).await?;
            let sender_reply = self.positive(Stage::Sender).await;
            if let Err(refused @ Failure::Refused(..)) = sender_reply {
                // The answer to RCPT comes all the same and must not be taken for the next command's.
                let _ = self.positive(Stage::Recipient).await;
                return Err(refused);
            }
            sender_reply?;
        } else {
            self.write(Stage::Sender, &sender).await?;
            self.positive(Stage::Sender).await?;
            self.write(Stage::Recipient, &recipient).await?;
        }
        self.positive(Stage::Recipient).await?;
        self.write(Stage::Data, "DATA\r\n").await?;
        match self.reply(Stage::Data, self.limit).await? {
            Reply { code: 354, .. } => {}
            reply if reply.code >= 400 => return Err(Failure::Refused(Stage::Data, reply)),
            _ => return Err(Failure::Lost(Stage::Data, "relay.reply_unreadable")),
        }
        self.body(&letter.message).await?;
        let reply = self.reply(Stage::FinalDot, self.final_dot_limit).await?;
        match reply.code {
            200..300 => {
                self.carried += 1;
                Ok(reply)
            }
            400.. => Err(Failure::Refused(Stage::FinalDot, reply)),
            _ => Err(Failure::Lost(Stage::FinalDot, "relay.reply_unreadable")),
        }
    }

    /// Clears a transaction that was refused, so that the session can carry the next letter.
    pub(super) async fn reset(&mut self) -> Result<(), Failure> {
        self.write(Stage::Reset, "RSET\r\n").await?;
        self.positive(Stage::Reset).await.map(drop)
    }

    /// Says good-bye and hangs up; nobody waits long for the answer.
    pub(super) async fn quit(mut self) {
        let limit = Duration::from_secs(2);
        if self.wire.write(b"QUIT\r\n", limit).await.is_ok() {
            let _ = self.wire.reply(limit).await;
        }
    }

    async fn hello(&mut self) -> Result<(), Failure> {
        let name = match self.wire.local {
            Some(IpAddr::V4(address)) => format!("[{address}]"),
            Some(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
            None => "[127.0.0.1]".to_owned(),
        };
        self.write(Stage::Hello, &format!("EHLO {name}\r\n")).await?;
        match self.positive(Stage::Hello).await {
            Ok(reply) => {
                self.offers = read_offers(&reply);
                Ok(())
            }
            Err(Failure::Refused(_, Reply { code: 500 | 502 | 504, .. })) => {
                self.write(Stage::Hello, &format!("HELO {name}\r\n")).await?;
                self.offers = Offers::default();
                self.positive(Stage::Hello).await.map(drop)
            }
            Err(failure) => Err(failure),
        }
    }

    fn wants_starttls(&self, url: &RelayUrl) -> Result<bool, Failure> {
        match url.tls {
            Tls::Implicit | Tls::Never => Ok(false),
            Tls::Required if !self.offers.starttls => Err(Failure::Unfit("relay.no_starttls")),
            Tls::Required => Ok(true),
            Tls::WhenOffered => Ok(self.offers.starttls && !url.is_loopback()),
        }
    }

    async fn starttls(mut self, settings: &SessionSettings, limit: Duration) -> Result<Self, Failure> {
        self.write(Stage::Tls, "STARTTLS\r\n").await?;
        self.positive(Stage::Tls).await?;
        let tls = Arc::clone(&settings.tls);
        self.wire =
            self.wire.encrypt(&settings.url.host, tls, limit).await.map_err(|code| Failure::Lost(Stage::Tls, code))?;
        self.hello().await?;
        Ok(self)
    }

    async fn login(&mut self, name: &str, password: &Secret, loopback: bool) -> Result<(), Failure> {
        if !self.wire.encrypted && !loopback {
            return Err(Failure::Unfit("relay.login_needs_tls"));
        }
        let offered = |mechanism: &str| self.offers.logins.iter().any(|offer| offer == mechanism);
        if offered("PLAIN") {
            let token = BASE64.encode(format!("\0{name}\0{}", password.expose()).as_bytes());
            self.write(Stage::Login, &format!("AUTH PLAIN {token}\r\n")).await?;
        } else if offered("LOGIN") {
            for line in ["AUTH LOGIN".to_owned(), BASE64.encode(name.as_bytes())] {
                self.write(Stage::Login, &format!("{line}\r\n")).await?;
                self.positive(Stage::Login).await?;
            }
            self.write(Stage::Login, &format!("{}\r\n", BASE64.encode(password.expose().as_bytes()))).await?;
        } else {
            return Err(Failure::Unfit("relay.no_login"));
        }
        match self.positive(Stage::Login).await? {
            Reply { code: 200..300, .. } => Ok(()),
            _ => Err(Failure::Lost(Stage::Login, "relay.reply_unreadable")),
        }
    }

    /// `MAIL` and `RCPT` with the parameters this relay takes.
    fn envelope_commands(&self, letter: &Composed) -> Result<(String, String), Failure> {
        let (offers, size) = (&self.offers, letter.message.len());
        let mut sender = format!("MAIL FROM:<{}>", letter.return_path.as_str());
        if let Some(limit) = offers.size {
            if limit.is_some_and(|limit| size > limit) {
                return Err(Failure::LetterUnfit("relay.too_large"));
            }
            sender.push_str(&format!(" SIZE={size}"));
        }
        if letter.needs_smtputf8() {
            if !offers.smtputf8 {
                return Err(Failure::LetterUnfit("relay.no_smtputf8"));
            }
            sender.push_str(" SMTPUTF8");
            if offers.eight_bit {
                sender.push_str(" BODY=8BITMIME");
            }
        }
        let mut recipient = format!("RCPT TO:<{}>", letter.to.as_str());
        if offers.dsn {
            sender.push_str(" RET=HDRS");
            if let Some(id) = &letter.envelope_id {
                sender.push_str(&format!(" ENVID={}", xtext(id)));
            }
            recipient.push_str(" NOTIFY=FAILURE,DELAY");
            if letter.to.is_ascii() {
                recipient.push_str(&format!(" ORCPT=rfc822;{}", xtext(letter.to.as_str())));
            }
        }
        Ok((sender + "\r\n", recipient + "\r\n"))
    }

    async fn body(&mut self, message: &[u8]) -> Result<(), Failure> {
        let bytes = with_dots(message);
        let Err(code) = self.wire.write(&bytes, self.limit).await else { return Ok(()) };
        // A relay that has had enough says why before it hangs up.
        match self.wire.reply(self.limit.min(Duration::from_secs(5))).await {
            Ok(reply) if reply.code >= 400 => Err(Failure::Refused(Stage::FinalDot, reply)),
            _ => Err(Failure::Lost(Stage::Body, code)),
        }
    }

    async fn write(&mut self, stage: Stage, command: &str) -> Result<(), Failure> {
        self.wire.write(command.as_bytes(), self.limit).await.map_err(|code| Failure::Lost(stage, code))
    }

    async fn reply(&mut self, stage: Stage, limit: Duration) -> Result<Reply, Failure> {
        self.wire.reply(limit).await.map_err(|code| Failure::Lost(stage, code))
    }

    async fn positive(&mut self, stage: Stage) -> Result<Reply, Failure> {
        let reply = self.reply(stage, self.limit).await?;
        if reply.code < 400 { Ok(reply) } else { Err(Failure::Refused(stage, reply)) }
    }
}

/// The message with its dots doubled (RFC 5321 4.5.2) and the final one, as one stream of bytes: as two writes the second
/// would wait for the first to be acknowledged. `message` ends in CRLF.
fn with_dots(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + message.len() / 64 + 8);
    if message.first() == Some(&b'.') {
        bytes.push(b'.');
    }
    let mut begin = 0;
    for at in memchr::memmem::find_iter(message, b"\n.") {
        bytes.extend_from_slice(&message[begin..=at]);
        bytes.push(b'.');
        begin = at + 1;
    }
    bytes.extend_from_slice(&message[begin..]);
    bytes.extend_from_slice(b".\r\n");
    bytes
}

fn read_offers(reply: &Reply) -> Offers {
    let mut offers = Offers::default();
    for line in reply.lines.iter().skip(1) {
        // Old servers write AUTH=PLAIN.
        let line = line.to_ascii_uppercase().replace('=', " ");
        let mut words = line.split_whitespace();
        match words.next().unwrap_or_default() {
            "STARTTLS" => offers.starttls = true,
            "PIPELINING" => offers.pipelining = true,
            "8BITMIME" => offers.eight_bit = true,
            "SMTPUTF8" => offers.smtputf8 = true,
            "DSN" => offers.dsn = true,
            "SIZE" => {
                offers.size = Some(words.next().and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0));
            }
            "AUTH" => offers.logins.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    offers
}

/// `xtext` of RFC 3461 4: everything but visible ASCII without `+` and `=` as `+HH`.
fn xtext(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'+' | b'=') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("+{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read_in_any_case_and_order() {
        let lines = ["relay at your service", "size 1000", "Auth=PLAIN LOGIN", "AUTH CRAM-MD5", " ", "dsn", "X-ODD"];
        let reply = Reply { code: 250, lines: lines.iter().map(|line| (*line).to_owned()).collect() };
        let offers = read_offers(&reply);
        assert_eq!((offers.size, offers.dsn, offers.starttls), (Some(Some(1000)), true, false));
        assert_eq!(offers.logins, ["PLAIN", "LOGIN", "CRAM-MD5"]);
        for (line, size) in [("SIZE", Some(None)), ("SIZE 0", Some(None)), ("SIZE x", Some(None)), ("8BITMIME", None)] {
            let reply = Reply { code: 250, lines: vec!["relay".to_owned(), line.to_owned()] };
            assert_eq!(read_offers(&reply).size, size, "{line}");
        }
    }

    #[test]
    fn xtext_hides_plus_equals_space_and_everything_that_is_not_ascii() {
        assert_eq!(xtext("bounce+a=b c@example.org"), "bounce+2Ba+3Db+20c@example.org");
        assert_eq!(xtext("å\r\n"), "+C3+A5+0D+0A");
    }

    proptest::proptest! {
        #[test]
        fn the_final_dot_is_the_only_one_and_the_others_come_back(lines in proptest::collection::vec("[.]{0,3}[a.]{0,3}", 0..20)) {
            let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let bytes = with_dots(message.as_bytes());
            let text = String::from_utf8(bytes).unwrap();
            let framed = format!("\r\n{text}");
            proptest::prop_assert_eq!(framed.matches("\r\n.\r\n").count(), 1);
            let content = text.strip_suffix(".\r\n").unwrap();
            let undone: String = content.split_inclusive('\n').map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
            proptest::prop_assert_eq!(undone, message);
        }
    }
}
