//! Owns the bytes between us and the relay: opening the socket (directly or through the egress proxy), TLS, reading
//! replies, writing with a time limit.
//!
//! It knows no command. Invariant: a reply is bounded in size and time, and no byte that came before TLS is believed
//! after it.

use std::fmt::Debug;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes of one reply, all lines together.
const MAX_REPLY: usize = 64 * 1024;

/// Bytes written under one time limit.
const BLOCK: usize = 64 * 1024;

pub(in crate::provider) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug> Stream for S {}

/// Code of what went wrong on the wire, such as `relay.timeout`.
pub(in crate::provider) type WireError = &'static str;

/// One reply of the relay (RFC 5321 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// Three digits, the first 2 to 5.
    pub(super) code: u16,
    /// The text of each line; bytes that are no UTF-8 become U+FFFD.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// Code and text on one line.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.join(" "))
    }

    /// The enhanced code at the front of the text, such as `5.1.1` (RFC 3463), if its class is that of the code.
    pub(super) fn enhanced(&self) -> Option<&str> {
        let word = self.lines.first()?.split_whitespace().next()?;
        let mut numbers = word.split('.');
        let class = numbers.next()?.parse::<u16>().ok()?;
        let rest: Vec<_> = numbers.collect();
        let shaped = rest.len() == 2 && rest.iter().all(|n| (1..=3).contains(&n.len()) && n.parse::<u16>().is_ok());
        (shaped && class == self.code / 100).then_some(word)
    }
}

/// Where to connect to.
#[derive(Debug, Clone)]
pub(in crate::provider) struct Endpoint {
    /// Host name or address.
    pub(in crate::provider) host: String,
    /// TCP port.
    pub(in crate::provider) port: u16,
    /// HTTP proxy to ask for a tunnel: host, port, `Proxy-Authorization`.
    pub(in crate::provider) proxy: Option<(String, u16, Option<String>)>,
}

/// A connection with what has been read from it and not used yet.
#[derive(Debug)]
pub(in crate::provider) struct Wire {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
    /// Our own address on it, for the greeting.
    pub(super) local: Option<IpAddr>,
    /// Whether it is encrypted.
    pub(super) encrypted: bool,
}

impl Wire {
    /// Opens a TCP connection without Nagle's delay: with it every letter waits 40 ms for the relay's delayed ACK.
    pub(in crate::provider) async fn open(endpoint: &Endpoint, limit: Duration) -> Result<Self, WireError> {
        let (host, port) =
            endpoint.proxy.as_ref().map_or((&endpoint.host, endpoint.port), |(host, port, _)| (host, *port));
        let stream = within(limit, TcpStream::connect((host.as_str(), port))).await.map_err(|lost| match lost {
            "relay.timeout" => "relay.connect_timeout",
            _ => "relay.connect_failed",
        })?;
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().ok().map(|address| address.ip());
        let mut wire = Self { stream: Box::new(stream), unread: Vec::new(), local, encrypted: false };
        if let Some((_, _, authorization)) = &endpoint.proxy {
            wire.ask_for_tunnel(endpoint, authorization.as_deref(), limit).await?;
        }
        Ok(wire)
    }

    async fn ask_for_tunnel(
        &mut self,
        endpoint: &Endpoint,
        authorization: Option<&str>,
        limit: Duration,
    ) -> Result<(), WireError> {
        let host = if endpoint.host.contains(':') { format!("[{}]", endpoint.host) } else { endpoint.host.clone() };
        let target = format!("{host}:{}", endpoint.port);
        let authorization = authorization.map(|text| format!("Proxy-Authorization: {text}\r\n")).unwrap_or_default();
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
        self.write(request.as_bytes(), limit).await?;
        let refused = "relay.proxy_refused";
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill(limit).await.map_err(|_| refused)?;
        };
        // The relay may greet in the same packet: only the proxy's own head is taken.
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let code = head.split(|byte| *byte == b' ').nth(1);
        if code.is_some_and(|code| code.first() == Some(&b'2')) { Ok(()) } else { Err(refused) }
    }

    /// Puts TLS on top. Whatever was read in plain text and not asked for is an attack or a fault: it ends here.
    pub(in crate::provider) async fn encrypt(
        self,
        host: &str,
        config: Arc<ClientConfig>,
        limit: Duration,
    ) -> Result<Self, WireError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| "relay.tls_failed")?;
        if !self.unread.is_empty() {
            return Err("relay.tls_failed");
        }
        let stream = within(limit, TlsConnector::from(config).connect(name, self.stream))
            .await
            .map_err(|lost| if lost == "relay.timeout" { lost } else { "relay.tls_failed" })?;
        Ok(Self { stream: Box::new(stream), unread: Vec::new(), local: self.local, encrypted: true })
    }

    /// The connection itself, for a protocol of its own; `None` when the other side has spoken already.
    pub(in crate::provider) fn into_stream(self) -> Option<Box<dyn Stream>> {
        self.unread.is_empty().then_some(self.stream)
    }

    /// Writes all of `bytes`, each block of it within `limit`.
    pub(super) async fn write(&mut self, bytes: &[u8], limit: Duration) -> Result<(), WireError> {
        for block in bytes.chunks(BLOCK) {
            within(limit, self.stream.write_all(block)).await?;
        }
        within(limit, self.stream.flush()).await
    }

    /// Reads one whole reply within `limit`.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Reply, WireError> {
        tokio::time::timeout(limit, self.read_reply(limit)).await.unwrap_or(Err("relay.timeout"))
    }

    async fn read_reply(&mut self, limit: Duration) -> Result<Reply, WireError> {
        let mut reply = Reply { code: 0, lines: Vec::new() };
        let mut taken = 0;
        loop {
            let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') else {
                if taken + self.unread.len() > MAX_REPLY {
                    return Err("relay.reply_unreadable");
                }
                self.fill(limit).await?;
                continue;
            };
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            taken += line.len();
            let (code, text, last) = read_line(&line).ok_or("relay.reply_unreadable")?;
            if taken > MAX_REPLY || (!reply.lines.is_empty() && reply.code != code) {
                return Err("relay.reply_unreadable");
            }
            reply.code = code;
            reply.lines.push(text);
            if last {
                return Ok(reply);
            }
        }
    }

    async fn fill(&mut self, limit: Duration) -> Result<(), WireError> {
        if self.unread.len() > MAX_REPLY {
            return Err("relay.reply_unreadable");
        }
        let read = within(limit, self.stream.read_buf(&mut self.unread)).await?;
        if read == 0 { Err("relay.connection_lost") } else { Ok(()) }
    }
}

/// Code, text and whether it is the last line.
fn read_line(line: &[u8]) -> Option<(u16, String, bool)> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, rest) = line.split_at_checked(3)?;
    let code: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    (200..600).contains(&code).then(|| (code, String::from_utf8_lossy(text).trim().to_owned(), last))
}

async fn within<T>(limit: Duration, io: impl Future<Output = io::Result<T>>) -> Result<T, WireError> {
    match tokio::time::timeout(limit, io).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => Err("relay.connection_lost"),
        Err(_) => Err("relay.timeout"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_lines_are_read_as_relays_really_write_them() {
        type Line<'a> = Option<(u16, &'a str, bool)>;
        let table: &[(&[u8], Line<'_>)] = &[
            (b"250 OK\r\n", Some((250, "OK", true))),
            (b"250-SIZE 10\r\n", Some((250, "SIZE 10", false))),
            (b"250\r\n", Some((250, "", true))),
            (b"250 \n", Some((250, "", true))),
            (b"550 5.1.1 ok\xe4nd\r\n", Some((550, "5.1.1 ok\u{fffd}nd", true))),
            (b"25 OK\r\n", None),
            (b"+250 OK\r\n", None),
            (b"150 OK\r\n", None),
            (b"650 OK\r\n", None),
            (b"250OK\r\n", None),
            (b"\r\n", None),
        ];
        for (line, expected) in table {
            let expected = expected.map(|(code, text, last)| (code, text.to_owned(), last));
            assert_eq!(read_line(line), expected, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn an_enhanced_code_counts_only_when_it_fits_its_reply() {
        let enhanced = |code, text: &str| Reply { code, lines: vec![text.to_owned()] }.enhanced().map(str::to_owned);
        assert_eq!(enhanced(550, "5.1.1 no such user").as_deref(), Some("5.1.1"));
        assert_eq!(enhanced(550, "4.1.1 no such user"), None);
        assert_eq!(enhanced(550, "5.1 no such user"), None);
        assert_eq!(enhanced(550, "no such user"), None);
        assert_eq!(enhanced(550, ""), None);
    }
}
