//! Owns the simulated 46elks gateway: starting and stopping it, and the handle that tests and the demo hold.
//!
//! It is spoken to over real HTTP only, and shares no code with `provider`. Invariant: what it has taken is in its journal
//! before anybody hears of it.

mod api;
mod control;
mod plain;
mod receipts;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::WallClock;
use super::behaviour::{Answer, Fate, GatewayBehaviour};
use super::callback::{Callback, CallbackPoster, CallbackRecord, Posted, Schedule};
use super::journal::SmsJournal;
use super::journal_file::JournalFile;
use super::socket::Sockets;

pub use receipts::InboundMessage;

/// How a simulated gateway is started.
#[derive(Clone)]
pub struct GatewayOptions {
    /// API user name it believes in.
    pub username: String,
    /// API password it believes in.
    pub password: String,
    /// Decides every draw, so that a run can be repeated.
    pub seed: u64,
    /// File that every message taken is appended to as well, one JSON object a line.
    pub journal_file: Option<PathBuf>,
    /// Clock of its `created` times.
    pub wall_clock: WallClock,
    /// What it does from the start.
    pub behaviour: GatewayBehaviour,
}

impl GatewayOptions {
    /// User `simulator`, password `simulator`, seed 1, no file, the behaviour that never fails.
    #[must_use]
    pub fn new(wall_clock: WallClock) -> Self {
        Self {
            username: "simulator".to_owned(),
            password: "simulator".to_owned(),
            seed: 1,
            journal_file: None,
            wall_clock,
            behaviour: GatewayBehaviour::default(),
        }
    }
}

impl std::fmt::Debug for GatewayOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayOptions").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// A running simulated gateway; it stops when this is dropped.
#[derive(Debug)]
pub struct SimulatedGateway {
    state: Arc<GatewayState>,
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

/// What the handlers share.
#[derive(Debug)]
struct GatewayState {
    options: GatewayOptions,
    behaviour: RwLock<Arc<GatewayBehaviour>>,
    /// Answers for the next calls, used up one by one.
    next_answers: Mutex<VecDeque<Answer>>,
    recent: Mutex<VecDeque<Instant>>,
    spent: AtomicU64,
    calls: AtomicU64,
    history_calls: AtomicU64,
    journal: SmsJournal,
    callbacks: Arc<CallbackPoster>,
    stop: CancellationToken,
}

impl SimulatedGateway {
    /// Listens on `address` (port 0 = any) and answers from then on.
    ///
    /// # Errors
    /// When the address is taken or the journal's file cannot be opened.
    pub async fn start(address: SocketAddr, options: GatewayOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let file = JournalFile::open(options.journal_file.as_deref()).await?;
        let stop = CancellationToken::new();
        // A gateway that is started again never gives an id a second time.
        let run = options.seed ^ (options.wall_clock)().as_microsecond().cast_unsigned();
        let state = Arc::new(GatewayState {
            behaviour: RwLock::new(Arc::new(options.behaviour.clone())),
            next_answers: Mutex::default(),
            recent: Mutex::default(),
            spent: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            history_calls: AtomicU64::new(0),
            journal: SmsJournal::new(run, file),
            callbacks: CallbackPoster::new(),
            stop: stop.clone(),
            options,
        });
        let sockets = Sockets { listener, stop: stop.clone() };
        let server = axum::serve(sockets, api::routes(Arc::clone(&state)))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let server = tokio::spawn(async move {
            let _ = server.await;
        });
        Ok(Self { state, address, stop, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `base_url` of a gateway's configuration.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has taken.
    #[must_use]
    pub fn journal(&self) -> &SmsJournal {
        &self.state.journal
    }

    /// Changes what it does from now on.
    pub fn change(&self, change: impl FnOnce(&mut GatewayBehaviour)) {
        self.state.change(change);
    }

    /// Answers the next calls of `POST /a1/sms` like this, before everything else that is set.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state.next_answers).extend(answers);
    }

    /// Calls of `POST /a1/sms` so far, refused ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// Calls of the history and of single messages so far.
    #[must_use]
    pub fn history_calls(&self) -> u64 {
        self.state.history_calls.load(Ordering::Relaxed)
    }

    /// Every callback that came to its end, in that order.
    #[must_use]
    pub fn callbacks(&self) -> Vec<CallbackRecord> {
        self.state.callbacks.records()
    }

    /// Waits until at least `count` callbacks came to their end.
    pub async fn wait_for_callbacks(&self, count: usize) {
        self.state.callbacks.wait_for(count).await;
    }

    /// Reports by hand on the message with this id, as its fate would, and waits for the end of the callbacks.
    pub async fn report(&self, id: &str, fate: Fate) -> Vec<CallbackRecord> {
        receipts::report(&self.state, id, fate).await
    }

    /// Posts an incoming SMS to `sms_url` and waits for the end of the callback.
    pub async fn post_inbound(&self, message: InboundMessage) -> CallbackRecord {
        receipts::post_inbound(&self.state, message).await
    }

    /// Cuts every connection and gives the port back. What it has taken stays readable on disk only.
    pub async fn shut_down(mut self) {
        self.stop.cancel();
        // A connection whose handler waits for ever has nobody to tell it.
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.server).await;
        self.state.journal.flush().await;
    }
}

impl Drop for SimulatedGateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl GatewayState {
    fn behaviour(&self) -> Arc<GatewayBehaviour> {
        Arc::clone(&self.behaviour.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut GatewayBehaviour)) {
        let mut behaviour = self.behaviour.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut behaviour));
    }

    /// Posts a callback, retried as it is set now.
    async fn post(&self, callback: Callback) -> Posted {
        let schedule = Schedule { retries_ms: self.behaviour().callback_retries_ms.clone(), stop: self.stop.clone() };
        self.callbacks.post(callback, schedule).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
