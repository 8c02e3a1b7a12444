//! HTTP with next to nothing around it, so that a bench that makes many calls leaves the machine to what it measures.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection that is kept and makes one call after the other.
pub struct Caller {
    authority: String,
    stream: TcpStream,
    read: Vec<u8>,
}

impl Caller {
    /// `authority` is an address and port.
    pub async fn connect(authority: &str) -> Self {
        let stream = TcpStream::connect(authority).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { authority: authority.to_owned(), stream, read: Vec::with_capacity(4096) }
    }

    /// A whole request with its head; the status of the answer. A connection that the server closed is made anew after it.
    pub async fn call(&mut self, request: &str) -> u16 {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.read.clear();
        let head = loop {
            if let Some(at) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.stream.read_buf(&mut self.read).await.unwrap() > 0, "an answer came");
        };
        let text = String::from_utf8_lossy(&self.read[..head]).to_ascii_lowercase();
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("an answer has a status");
        let length =
            text.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next()?.trim().parse().ok());
        let length: usize = length.unwrap_or(0);
        while self.read.len() < head + length {
            assert!(self.stream.read_buf(&mut self.read).await.unwrap() > 0, "the answer came whole");
        }
        if text.contains("connection: close") {
            *self = Self::connect(&self.authority).await;
        }
        status
    }
}
