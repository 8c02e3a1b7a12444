//! Owns one SMTP session of the sink, from greeting to the end of the connection.
//!
//! Invariant: answers are written only when the next command must be waited for, so that pipelined commands cost one write.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::super::behaviour::draw;
use super::journal::ReceivedMail;
use super::{AfterDot, MailBehaviour, SinkState};

/// Longest command line; RFC 5321 4.5.3.1.4 wants 512.
const MAX_LINE: usize = 8 * 1024;

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, state: &SinkState, number: u64) {
    let _ = stream.set_nodelay(true);
    let mut session = Session {
        state,
        stream: Some(Either::Left(stream)),
        unread: Vec::with_capacity(16 * 1024),
        answers: Vec::with_capacity(1024),
        letter: ReceivedMail { connection: number, ..ReceivedMail::default() },
        login: None,
        carried: 0,
    };
    // A client that hangs up is no fault of the sink.
    let _ = session.run().await;
}

struct Session<'a> {
    state: &'a SinkState,
    /// `None` only while TLS is being put on top.
    stream: Option<Either<TcpStream, TlsStream<TcpStream>>>,
    unread: Vec<u8>,
    answers: Vec<u8>,
    letter: ReceivedMail,
    login: Option<String>,
    carried: u32,
}

impl Session<'_> {
    async fn run(&mut self) -> io::Result<()> {
        if self.state.options.implicit_tls {
            self.encrypt().await?;
        }
        let greeting = self.state.behaviour().greeting.clone();
        self.answer(greeting.as_deref().unwrap_or("220 sink.example.org ESMTP")).await;
        if greeting.is_some_and(|line| line.starts_with(['4', '5'])) {
            return self.flush().await;
        }
        loop {
            let line = self.read_line().await?;
            let behaviour = self.state.behaviour();
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "HELO" => self.hello(&behaviour, verb == "EHLO").await,
                "STARTTLS" => self.starttls(&behaviour).await?,
                "AUTH" => self.auth(&line).await?,
                "MAIL" => self.mail(&behaviour, &line).await,
                "RCPT" => self.rcpt(&behaviour, &line).await,
                "DATA" => self.data(&behaviour).await?,
                "RSET" => {
                    self.clear();
                    self.answer("250 2.0.0 OK").await;
                }
                "NOOP" => self.answer("250 2.0.0 OK").await,
                "QUIT" => {
                    self.answer("221 2.0.0 Bye").await;
                    return self.flush().await;
                }
                _ => self.answer("500 5.5.2 Unknown command").await,
            }
        }
    }

    async fn hello(&mut self, behaviour: &MailBehaviour, extended: bool) {
        if let Some(reply) = &behaviour.hello {
            self.answer(reply).await;
            return;
        }
        let offers = &behaviour.extensions;
        let encrypted = self.is_encrypted();
        let mut lines = vec!["sink.example.org".to_owned()];
        if extended {
            let flags = [
                (offers.pipelining, "PIPELINING"),
                (offers.eight_bit_mime, "8BITMIME"),
                (offers.smtputf8, "SMTPUTF8"),
                (offers.dsn, "DSN"),
                (offers.starttls && !encrypted, "STARTTLS"),
                (offers.auth, "AUTH PLAIN LOGIN"),
            ];
            lines.extend(flags.iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_owned()));
            lines.extend(offers.size.map(|size| format!("SIZE {size}")));
        }
        let last = lines.len() - 1;
        let text: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| format!("250{}{line}", if n == last { ' ' } else { '-' }))
            .collect();
        self.answer(&text.join("\r\n")).await;
    }

    async fn starttls(&mut self, behaviour: &MailBehaviour) -> io::Result<()> {
        if !behaviour.extensions.starttls || self.state.options.tls.is_none() || self.is_encrypted() {
            self.answer("454 4.7.0 TLS not available").await;
            return Ok(());
        }
        self.answer("220 2.0.0 Ready").await;
        self.flush().await?;
        self.encrypt().await?;
        self.clear();
        Ok(())
    }

    async fn auth(&mut self, line: &str) -> io::Result<()> {
        let mut words = line.split_whitespace().skip(1);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        let given = if mechanism == "LOGIN" {
            let mut pair = Vec::new();
            for prompt in ["Username:", "Password:"] {
                self.answer(&format!("334 {}", BASE64.encode(prompt.as_bytes()))).await;
                pair.push(decode(&self.read_line().await?));
            }
            pair.join("\0")
        } else {
            decode(words.next().unwrap_or_default()).trim_start_matches('\0').to_owned()
        };
        let login = self.state.options.login.as_ref();
        match login.filter(|(name, password)| given == format!("{name}\0{password}")) {
            Some((name, _)) => {
                self.login = Some(name.clone());
                self.answer("235 2.7.0 Accepted").await;
            }
            None => self.answer("535 5.7.8 Wrong name or password").await,
        }
        Ok(())
    }

    async fn mail(&mut self, behaviour: &MailBehaviour, line: &str) {
        if let Some(reply) = &behaviour.mail {
            self.answer(reply).await;
            return;
        }
        if self.state.options.login.is_some() && self.login.is_none() {
            self.answer("530 5.7.0 Authentication required").await;
            return;
        }
        let full = behaviour.letters_per_connection;
        if full > 0 && self.carried >= full {
            self.answer("421 4.7.0 Too many letters on this connection").await;
            return;
        }
        let Some((address, parameters)) = read_path(line) else {
            self.answer("501 5.5.4 Syntax: MAIL FROM:<address>").await;
            return;
        };
        let size = parameters
            .to_ascii_uppercase()
            .split(' ')
            .find_map(|word| word.strip_prefix("SIZE=")?.parse::<usize>().ok());
        if behaviour.extensions.size.zip(size).is_some_and(|(limit, size)| size > limit) {
            self.answer("552 5.3.4 Too large").await;
            return;
        }
        self.clear();
        (self.letter.from, self.letter.from_parameters) = (address, parameters);
        self.answer("250 2.1.0 OK").await;
    }

    async fn rcpt(&mut self, behaviour: &MailBehaviour, line: &str) {
        let Some((address, parameters)) = read_path(line) else {
            self.answer("501 5.5.4 Syntax: RCPT TO:<address>").await;
            return;
        };
        if self.letter.from.is_empty() {
            self.answer("503 5.5.1 MAIL first").await;
        } else if !self.letter.to.is_empty() {
            self.answer("452 4.5.3 One recipient a letter").await;
        } else if let Some(reply) = behaviour.rcpt_by_address.get(&address).or(behaviour.rcpt.as_ref()) {
            self.answer(reply).await;
        } else if self.state.is_greylisted(&address, behaviour.greylist) {
            self.answer("451 4.7.1 Greylisted, try again later").await;
        } else {
            (self.letter.to, self.letter.to_parameters) = (address, parameters);
            self.answer("250 2.1.5 OK").await;
        }
    }

    async fn data(&mut self, behaviour: &MailBehaviour) -> io::Result<()> {
        if self.letter.to.is_empty() {
            self.answer("503 5.5.1 RCPT first").await;
            return Ok(());
        }
        if let Some(reply) = &behaviour.data {
            self.answer(reply).await;
            return Ok(());
        }
        self.answer("354 End with a dot").await;
        self.flush().await?;
        if behaviour.reset_in_data {
            self.fill().await?;
            return self.reset();
        }
        let length = self.read_message().await?;
        let refusal = behaviour.final_dot_by_address.get(&self.letter.to).or(behaviour.final_dot.as_ref());
        if let Some(reply) = refusal {
            self.unread.drain(..length);
            self.answer(reply).await;
            self.clear();
            return Ok(());
        }
        self.take(behaviour, length);
        self.pause(behaviour.final_dot_delay_ms).await;
        self.after_dot(behaviour).await
    }

    /// Enters the letter that stands at the front of what was read.
    fn take(&mut self, behaviour: &MailBehaviour, length: usize) {
        let letter = (!behaviour.count_only).then(|| {
            let mut letter = std::mem::take(&mut self.letter);
            letter.message = undouble_dots(&self.unread[..length]);
            letter.encrypted = self.is_encrypted();
            letter.login.clone_from(&self.login);
            self.letter.connection = letter.connection;
            letter
        });
        self.unread.drain(..length);
        self.clear();
        self.carried += 1;
        self.state.journal.enter(letter, (self.state.options.wall_clock)());
    }

    async fn after_dot(&mut self, behaviour: &MailBehaviour) -> io::Result<()> {
        let number = u64::try_from(self.state.journal.len()).unwrap_or_default();
        let share = behaviour.after_dot_share;
        let hit = share <= 0.0 || draw(self.state.options.seed, number) < share;
        match behaviour.after_dot {
            AfterDot::Reset if hit => self.reset(),
            AfterDot::Close if hit => Err(io::ErrorKind::ConnectionAborted.into()),
            AfterDot::Silence if hit => std::future::pending().await,
            _ => {
                self.answer("250 2.0.0 OK: queued as 4F2A").await;
                if behaviour.hang_up_when_idle {
                    self.flush().await?;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Ok(())
            }
        }
    }

    fn clear(&mut self) {
        self.letter = ReceivedMail { connection: self.letter.connection, ..ReceivedMail::default() };
    }

    async fn answer(&mut self, line: &str) {
        self.pause(self.state.behaviour().answer_delay_ms).await;
        self.answers.extend_from_slice(line.as_bytes());
        self.answers.extend_from_slice(b"\r\n");
    }

    async fn pause(&self, milliseconds: u64) {
        if milliseconds > 0 {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
    }

    async fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.unread[..end]).trim_end_matches('\r').to_owned();
                self.unread.drain(..=end);
                return Ok(line);
            }
            if self.unread.len() > MAX_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.flush().await?;
            self.fill().await?;
        }
    }

    /// Reads up to and with the final dot; returns the length with it.
    async fn read_message(&mut self) -> io::Result<usize> {
        let mut looked_at = 0;
        loop {
            if self.unread.starts_with(b".\r\n") {
                return Ok(3);
            }
            // Nearly always the dot is the last that was sent, as the client waits for the answer.
            if self.unread.ends_with(b"\r\n.\r\n") {
                return Ok(self.unread.len());
            }
            let from = looked_at;
            if let Some(at) = self.unread[from..].windows(5).position(|window| window == b"\r\n.\r\n") {
                return Ok(from + at + 5);
            }
            looked_at = self.unread.len().saturating_sub(4);
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        match stream.read_buf(&mut self.unread).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.answers.is_empty() {
            return Ok(());
        }
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(&self.answers).await?;
        self.answers.clear();
        stream.flush().await
    }

    async fn encrypt(&mut self) -> io::Result<()> {
        let (Some(Either::Left(stream)), Some(tls)) = (self.stream.take(), &self.state.options.tls) else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let stream = TlsAcceptor::from(Arc::clone(tls)).accept(stream).await?;
        self.stream = Some(Either::Right(stream));
        Ok(())
    }

    fn is_encrypted(&self) -> bool {
        matches!(self.stream, Some(Either::Right(_)))
    }

    fn reset(&self) -> io::Result<()> {
        match &self.stream {
            Some(Either::Left(stream)) => stream.set_zero_linger()?,
            Some(Either::Right(stream)) => stream.get_ref().0.set_zero_linger()?,
            None => {}
        }
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

/// Address and parameters of `MAIL FROM:<address> parameters`. The null sender is `<>` here, so that it is not empty.
fn read_path(line: &str) -> Option<(String, String)> {
    let (_, rest) = line.split_once(":<")?;
    let (address, parameters) = rest.rsplit_once('>')?;
    let address = if address.is_empty() { "<>" } else { address };
    Some((address.to_owned(), parameters.trim().to_owned()))
}

fn undouble_dots(bytes: &[u8]) -> Vec<u8> {
    let content = bytes.strip_suffix(b".\r\n").unwrap_or(bytes);
    let mut message = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    message
}

fn decode(base64: &str) -> String {
    let bytes = BASE64.decode(base64.trim().as_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
