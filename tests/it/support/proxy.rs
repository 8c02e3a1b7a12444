//! A TCP proxy whose targets a test changes: the balancer before several daemons, or the one address of a PostgreSQL that
//! moves from a lost server to the promoted one, or that loses the answer to a commit.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

/// Where connections are led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `HOST:PORT`.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// How a commit ends whose answer the client never sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostCommit {
    /// The server has committed.
    Done,
    /// The server was never asked, and rolls back.
    NotDone,
}

#[derive(Debug, Default)]
struct Ways {
    targets: Vec<Target>,
    /// What becomes of the next commit of a transaction that wrote this, once.
    lost_commit: Option<(&'static str, LostCommit)>,
    /// Cancelled to cut what is connected.
    open: CancellationToken,
}

/// A running proxy; it ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    ways: Arc<Mutex<Ways>>,
    end: CancellationToken,
}

impl Proxy {
    pub async fn start(targets: Vec<Target>) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), targets).await
    }

    /// At an address, such as that of one that was dropped.
    pub async fn start_at(address: SocketAddr, targets: Vec<Target>) -> Self {
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                // The one before has not let go of it yet.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        };
        let address = listener.local_addr().unwrap();
        let ways = Arc::new(Mutex::new(Ways { targets, ..Ways::default() }));
        let end = CancellationToken::new();
        let (of_task, until) = (Arc::clone(&ways), end.clone());
        tokio::spawn(until.run_until_cancelled_owned(async move {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            while let Ok((stream, _)) = listener.accept().await {
                let first = NEXT.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(lead(stream, Arc::clone(&of_task), first));
            }
        }));
        Self { address, ways, end }
    }

    /// New connections go to these; those that are open stay.
    pub fn point_to(&self, targets: Vec<Target>) {
        self.ways.lock().unwrap().targets = targets;
    }

    /// The next commit of a client of PostgreSQL that wrote `written` before is not answered: its connection is cut.
    pub fn lose_a_commit(&self, written: &'static str, how: LostCommit) {
        self.ways.lock().unwrap().lost_commit = Some((written, how));
    }

    /// Whether the commit that was to be lost has been asked for.
    pub fn has_lost_it(&self) -> bool {
        self.ways.lock().unwrap().lost_commit.is_none()
    }

    /// Cuts every connection that is open.
    pub fn cut(&self) {
        std::mem::take(&mut self.ways.lock().unwrap().open).cancel();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.end.cancel();
    }
}

async fn lead(stream: TcpStream, ways: Arc<Mutex<Ways>>, first: usize) {
    let (targets, open) = {
        let ways = ways.lock().unwrap();
        (ways.targets.clone(), ways.open.clone())
    };
    let _ = stream.set_nodelay(true);
    // One that does not answer is passed over, as a balancer does.
    for at in 0..targets.len() {
        match &targets[(first + at) % targets.len()] {
            Target::Tcp(address) => {
                let Ok(other) = TcpStream::connect(address).await else { continue };
                let _ = other.set_nodelay(true);
                join(stream, other, &open).await;
            }
            Target::Unix(path) => {
                let Ok(other) = UnixStream::connect(path).await else { continue };
                let _ = open.run_until_cancelled(speak_for(stream, other, &ways)).await;
            }
        }
        return;
    }
}

async fn join(mut one: TcpStream, mut other: impl AsyncRead + AsyncWrite + Unpin, open: &CancellationToken) {
    let _ = open.run_until_cancelled(copy_bidirectional(&mut one, &mut other)).await;
}

/// Leads a client of PostgreSQL to it, until a commit is to be lost.
async fn speak_for(client: TcpStream, server: UnixStream, ways: &Mutex<Ways>) {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    let answers = tokio::io::copy(&mut from_server, &mut to_client);
    let asks = async {
        let mut piece = vec![0; 64 << 10];
        let mut is_meant = false;
        while let Ok(length @ 1..) = from_client.read(&mut piece).await {
            let has = |words: &str| piece[..length].windows(words.len()).any(|bytes| bytes == words.as_bytes());
            let wanted = ways.lock().unwrap().lost_commit;
            is_meant |= wanted.is_some_and(|(written, _)| has(written));
            let ends = has("COMMIT\0");
            let lost = wanted.filter(|_| ends && is_meant).map(|(_, how)| how);
            if lost.is_some() {
                ways.lock().unwrap().lost_commit = None;
            }
            if lost != Some(LostCommit::NotDone) && to_server.write_all(&piece[..length]).await.is_err() {
                return None;
            }
            if lost.is_some() {
                return lost;
            }
            is_meant &= !ends;
        }
        None
    };
    let lost = tokio::select! {
        lost = asks => lost,
        _ = answers => None,
    };
    if lost == Some(LostCommit::Done) {
        // Its answer is waited for, so that it is surely done, and goes no further.
        let _ = from_server.read(&mut [0; 64]).await;
    }
}
