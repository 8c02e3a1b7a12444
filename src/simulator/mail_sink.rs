//! Owns the mail sink: a small SMTP server that takes letters, misbehaves as told, and keeps a journal.
//!
//! It delivers nothing. Invariant: a letter is in the journal before its final dot is answered, and a letter that was
//! refused or cut before its final dot never is.

mod journal;
mod session;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::WallClock;
use super::journal_file::JournalFile;

pub use journal::{MailJournal, ReceivedMail};

/// What the sink offers in its answer to EHLO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Extensions {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// SIZE (RFC 1870) with this limit, which is enforced.
    pub size: Option<usize>,
    /// STARTTLS (RFC 3207); works only with a certificate.
    pub starttls: bool,
    /// AUTH PLAIN LOGIN (RFC 4954).
    pub auth: bool,
}

impl Default for Extensions {
    fn default() -> Self {
        Self {
            pipelining: true,
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            size: Some(50 * 1024 * 1024),
            starttls: false,
            auth: false,
        }
    }
}

/// What happens after the final dot of a letter that is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterDot {
    /// 250.
    #[default]
    Answer,
    /// The connection is reset.
    Reset,
    /// The connection is closed.
    Close,
    /// Nothing.
    Silence,
}

/// Everything that can be set. Replies are whole lines such as `451 4.7.1 Greylisted`; `None` = the good answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailBehaviour {
    /// What EHLO offers.
    pub extensions: Extensions,
    /// Instead of the greeting; the connection is closed after a 4xx or 5xx.
    pub greeting: Option<String>,
    /// To EHLO and HELO.
    pub hello: Option<String>,
    /// To MAIL.
    pub mail: Option<String>,
    /// To RCPT.
    pub rcpt: Option<String>,
    /// To RCPT for single addresses.
    pub rcpt_by_address: HashMap<String, String>,
    /// To DATA.
    pub data: Option<String>,
    /// To the final dot; the letter is not taken.
    pub final_dot: Option<String>,
    /// To the final dot for single addresses; the letter is not taken.
    pub final_dot_by_address: HashMap<String, String>,
    /// How often an address hears 451 at RCPT before it is taken.
    pub greylist: u32,
    /// After the final dot of a letter that is taken.
    pub after_dot: AfterDot,
    /// Share of letters that `after_dot` happens to; 0 = all of them.
    pub after_dot_share: f64,
    /// The connection is reset in the middle of the message, which is not taken.
    pub reset_in_data: bool,
    /// Letters on one connection before it hears 421 and is closed; 0 = any number.
    pub letters_per_connection: u32,
    /// The connection is closed, without a word, right after a letter was answered.
    pub hang_up_when_idle: bool,
    /// Wait before every answer, milliseconds.
    pub answer_delay_ms: u64,
    /// Wait before the answer to the final dot, milliseconds.
    pub final_dot_delay_ms: u64,
    /// Only count letters, keep none: for benches.
    pub count_only: bool,
}

/// How a sink is started.
#[derive(Clone)]
pub struct MailSinkOptions {
    /// Certificate for STARTTLS or TLS from the first byte; `None` = plain text only.
    pub tls: Option<Arc<ServerConfig>>,
    /// TLS from the first byte.
    pub implicit_tls: bool,
    /// Name and password that AUTH believes in; with one, MAIL before AUTH hears 530.
    pub login: Option<(String, String)>,
    /// Decides every draw.
    pub seed: u64,
    /// File that every letter taken is appended to as well, one JSON object a line.
    pub journal_file: Option<PathBuf>,
    /// Clock of the journal.
    pub wall_clock: WallClock,
    /// What it does from the start.
    pub behaviour: MailBehaviour,
}

impl MailSinkOptions {
    /// Plain text, no login, seed 1, no file, the behaviour that never fails.
    #[must_use]
    pub fn new(wall_clock: WallClock) -> Self {
        Self {
            tls: None,
            implicit_tls: false,
            login: None,
            seed: 1,
            journal_file: None,
            wall_clock,
            behaviour: MailBehaviour::default(),
        }
    }
}

impl std::fmt::Debug for MailSinkOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailSinkOptions").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// A running mail sink; it stops when this is dropped.
#[derive(Debug)]
pub struct MailSink {
    state: Arc<SinkState>,
    address: SocketAddr,
    listener: JoinHandle<()>,
}

/// What the sessions share.
#[derive(Debug)]
struct SinkState {
    options: MailSinkOptions,
    behaviour: RwLock<Arc<MailBehaviour>>,
    /// Refusals by greylisting so far, by address.
    greylisted: Mutex<HashMap<String, u32>>,
    connections: AtomicU64,
    open: AtomicU64,
    most_open: AtomicU64,
    closed: Notify,
    journal: MailJournal,
    stop: CancellationToken,
}

impl MailSink {
    /// Listens on `address` (port 0 = any) and answers from then on.
    ///
    /// # Errors
    /// When the address is taken or the journal's file cannot be opened.
    pub async fn start(address: SocketAddr, options: MailSinkOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let file = JournalFile::open(options.journal_file.as_deref()).await?;
        let state = Arc::new(SinkState {
            behaviour: RwLock::new(Arc::new(options.behaviour.clone())),
            greylisted: Mutex::default(),
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            most_open: AtomicU64::new(0),
            closed: Notify::new(),
            journal: MailJournal::new(file),
            stop: CancellationToken::new(),
            options,
        });
        let listener = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { state, address, listener })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `mail.url` of a configuration, without login.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.state.options.implicit_tls { "smtps" } else { "smtp" };
        format!("{scheme}://{}", self.address)
    }

    /// What it has taken.
    #[must_use]
    pub fn journal(&self) -> &MailJournal {
        &self.state.journal
    }

    /// Changes what it does from now on.
    pub fn change(&self, change: impl FnOnce(&mut MailBehaviour)) {
        let mut behaviour = self.state.behaviour.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut behaviour));
    }

    /// Connections opened so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Connections open now.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.state.open.load(Ordering::Relaxed)
    }

    /// Waits until no connection is open.
    pub async fn wait_until_alone(&self) {
        loop {
            let closed = self.state.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            if self.open_connections() == 0 {
                return;
            }
            closed.await;
        }
    }

    /// Most connections open at once.
    #[must_use]
    pub fn most_open_connections(&self) -> u64 {
        self.state.most_open.load(Ordering::Relaxed)
    }

    /// Cuts every connection and gives the port back.
    pub async fn shut_down(mut self) {
        self.state.stop.cancel();
        // A connection whose handler waits for ever has nobody to tell it.
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.listener).await;
        self.state.journal.flush().await;
    }
}

impl Drop for MailSink {
    fn drop(&mut self) {
        self.state.stop.cancel();
    }
}

async fn accept(listener: TcpListener, state: Arc<SinkState>) {
    let stop = state.stop.clone();
    let connections = tokio_util::task::TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else { continue };
        let number = state.connections.fetch_add(1, Ordering::Relaxed);
        let (state, stop) = (Arc::clone(&state), stop.clone());
        connections.spawn(async move {
            let open = state.open.fetch_add(1, Ordering::Relaxed) + 1;
            state.most_open.fetch_max(open, Ordering::Relaxed);
            stop.run_until_cancelled(session::serve(stream, &state, number)).await;
            state.open.fetch_sub(1, Ordering::Relaxed);
            state.closed.notify_waiters();
        });
    }
    connections.close();
    connections.wait().await;
}

impl SinkState {
    fn behaviour(&self) -> Arc<MailBehaviour> {
        Arc::clone(&self.behaviour.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether greylisting still refuses this address; counts the refusal.
    fn is_greylisted(&self, address: &str, limit: u32) -> bool {
        if limit == 0 {
            return false;
        }
        let mut greylisted = self.greylisted.lock().unwrap_or_else(PoisonError::into_inner);
        let refusals = greylisted.entry(address.to_owned()).or_default();
        *refusals += 1;
        *refusals <= limit
    }
}
