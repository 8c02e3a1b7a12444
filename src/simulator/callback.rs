//! Owns the calls the simulated gateway makes to the product: receipts and incoming SMS, over real HTTP, with retries.
//!
//! It is a client of its own, so that the product is tested by something that shares no code with it. Invariant: a
//! callback is retried until it is answered 2xx or its tries are used up, and every end is recorded.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Connections used at once.
const CONCURRENCY: usize = 64;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of an answer that are looked at.
const MAX_ANSWER: usize = 64 * 1024;

/// How one callback ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallbackRecord {
    /// Id of the message it was about.
    pub id: String,
    /// `sent`, `delivered`, `failed` or `incoming`.
    pub word: String,
    /// HTTP status of the last try; `None` when nothing answered.
    pub code: Option<u16>,
    /// Whether the body of the last answer was empty: anything else would be an SMS to the sender.
    pub empty_body: bool,
    /// How often it was tried.
    pub tries: u32,
}

impl CallbackRecord {
    /// Whether it was taken.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.code.is_some_and(|code| (200..=204).contains(&code))
    }
}

/// One call to make.
#[derive(Debug, Clone)]
pub(super) struct Callback {
    pub(super) url: String,
    pub(super) form: String,
    pub(super) id: String,
    pub(super) word: &'static str,
}

/// When a call that is not taken is made again.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    pub(super) retries_ms: Vec<u64>,
    pub(super) stop: CancellationToken,
}

/// A call that was made.
#[derive(Debug)]
pub(super) enum Posted {
    /// Taken, or not to be tried again.
    Ended(CallbackRecord),
    /// Not taken yet; `None` when the gateway stops first.
    Retrying(JoinHandle<Option<CallbackRecord>>),
}

impl Posted {
    /// Waits for the end of all tries.
    pub(super) async fn end(self) -> Option<CallbackRecord> {
        match self {
            Self::Ended(record) => Some(record),
            Self::Retrying(end) => end.await.ok().flatten(),
        }
    }
}

/// Makes the calls.
#[derive(Debug)]
pub(super) struct CallbackPoster {
    turns: Semaphore,
    timeout: Duration,
    idle: Mutex<HashMap<String, Vec<BufReader<TcpStream>>>>,
    records: Mutex<Vec<CallbackRecord>>,
    changed: Notify,
}

impl CallbackPoster {
    pub(super) fn new() -> Arc<Self> {
        Self::with(CONCURRENCY, TIMEOUT)
    }

    fn with(concurrency: usize, timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            turns: Semaphore::new(concurrency),
            timeout,
            idle: Mutex::default(),
            records: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Posts once, and in the background again and again until it is taken, the retries are used up or `stop` comes.
    /// The answer is there at once when the first try was taken.
    pub(super) async fn post(self: &Arc<Self>, callback: Callback, schedule: Schedule) -> Posted {
        let record = CallbackRecord {
            id: callback.id.clone(),
            word: callback.word.to_owned(),
            code: None,
            empty_body: true,
            tries: 0,
        };
        let record = self.try_once(&callback, record).await;
        if record.is_taken() || schedule.retries_ms.is_empty() {
            self.file(record.clone());
            return Posted::Ended(record);
        }
        let poster = Arc::clone(self);
        Posted::Retrying(tokio::spawn(async move {
            let stop = schedule.stop.clone();
            stop.run_until_cancelled(poster.retry(callback, record, schedule)).await
        }))
    }

    async fn retry(&self, callback: Callback, mut record: CallbackRecord, schedule: Schedule) -> CallbackRecord {
        for wait in schedule.retries_ms {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            record = self.try_once(&callback, record).await;
            if record.is_taken() {
                break;
            }
        }
        self.file(record.clone());
        record
    }

    async fn try_once(&self, callback: &Callback, record: CallbackRecord) -> CallbackRecord {
        // Waiting for a turn is not waiting for an answer, however long the queue.
        let _turn = self.turns.acquire().await;
        let answer = tokio::time::timeout(self.timeout, self.try_post(&callback.url, &callback.form)).await;
        let (code, empty_body) = match answer {
            Ok(Ok((code, empty))) => (Some(code), empty),
            _ => (None, true),
        };
        CallbackRecord { code, empty_body, tries: record.tries + 1, ..record }
    }

    fn file(&self, record: CallbackRecord) {
        lock(&self.records).push(record);
        self.changed.notify_waiters();
    }

    pub(super) fn records(&self) -> Vec<CallbackRecord> {
        lock(&self.records).clone()
    }

    pub(super) async fn wait_for(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if lock(&self.records).len() >= count {
                return;
            }
            changed.await;
        }
    }

    async fn try_post(&self, url: &str, form: &str) -> io::Result<(u16, bool)> {
        let unusable = || io::Error::from(io::ErrorKind::InvalidInput);
        let url = url::Url::parse(url).map_err(|_| unusable())?;
        let (Some(host), Some(port), "http") = (url.host_str(), url.port_or_known_default(), url.scheme()) else {
            return Err(unusable());
        };
        let authority = format!("{host}:{port}");
        let target = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: 46elks-simulator\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let idle = lock(&self.idle).get_mut(&authority).and_then(Vec::pop);
        if let Some(mut stream) = idle
            && let Ok((code, empty, keep)) = exchange(&mut stream, &request).await
        {
            self.keep(keep, authority, stream);
            return Ok((code, empty));
        }
        let stream = TcpStream::connect(&authority).await?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let (code, empty, keep) = exchange(&mut stream, &request).await?;
        self.keep(keep, authority, stream);
        Ok((code, empty))
    }

    fn keep(&self, keep: bool, authority: String, stream: BufReader<TcpStream>) {
        if keep {
            lock(&self.idle).entry(authority).or_default().push(stream);
        }
    }
}

/// Status, whether the body is empty, and whether the connection can be used again.
async fn exchange(stream: &mut BufReader<TcpStream>, request: &str) -> io::Result<(u16, bool, bool)> {
    stream.get_mut().write_all(request.as_bytes()).await?;
    let code = read_line(stream).await?;
    let code: u16 = code.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let (mut length, mut chunked, mut keep) = (None, false, true);
    loop {
        let line = read_line(stream).await?.to_ascii_lowercase();
        match line.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("content-length", value)) => length = value.parse::<usize>().ok(),
            Some(("transfer-encoding", value)) => chunked = value.contains("chunked"),
            Some(("connection", "close")) => keep = false,
            _ if line.is_empty() => break,
            _ => {}
        }
    }
    let mut body = Vec::new();
    match (code, length) {
        (204 | 304, _) => {}
        (_, Some(length)) => {
            body.resize(length.min(MAX_ANSWER), 0);
            stream.read_exact(&mut body).await?;
            keep &= length <= MAX_ANSWER;
        }
        _ if chunked => {
            let size = read_line(stream).await?;
            body.extend((size.trim() != "0").then_some(b'x'));
            keep = false;
        }
        _ => {
            keep = false;
            stream.take(MAX_ANSWER as u64).read_to_end(&mut body).await?;
        }
    }
    Ok((code, body.is_empty(), keep))
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = Vec::new();
    stream.take(MAX_ANSWER as u64).read_until(b'\n', &mut line).await?;
    if !line.ends_with(b"\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::net::TcpListener;

    use super::*;

    /// Takes every call of one connection at a time after a while.
    async fn slow_hook(listener: TcpListener, after: Duration) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                tokio::time::sleep(after).await;
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_long_queue_is_not_an_answer_that_never_came() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(slow_hook(listener, Duration::from_millis(100)));
        let poster = CallbackPoster::with(1, Duration::from_secs(1));
        let post = |number: usize| {
            let callback =
                Callback { url: url.clone(), form: String::new(), id: number.to_string(), word: "delivered" };
            let schedule = Schedule { retries_ms: vec![0], stop: CancellationToken::new() };
            poster.post(callback, schedule)
        };
        let began = std::time::Instant::now();
        join_all((0..20).map(post)).await;
        assert!(began.elapsed() > poster.timeout, "the last one waited longer for its turn than an answer may take");
        let tries: Vec<(u32, bool)> = poster.records().iter().map(|made| (made.tries, made.is_taken())).collect();
        assert_eq!(tries, vec![(1, true); 20]);
    }
}
