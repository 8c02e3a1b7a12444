//! Somebody who is told of reports and does nothing but count them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Takes every call, counts it and answers 200 with nothing.
pub struct CallCounter {
    /// Address and port.
    pub authority: String,
    count: Arc<AtomicUsize>,
}

impl CallCounter {
    /// Answers from now on until the runtime ends.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(count_calls(stream, Arc::clone(&counted)));
            }
        });
        Self { authority, count }
    }

    /// Waits until so many came; `false` when none came for ten seconds.
    pub async fn wait_for(&self, count: usize) -> bool {
        let mut quiet = (0, 0);
        loop {
            let now = self.count.load(Ordering::Relaxed);
            if now >= count {
                return true;
            }
            quiet = if now == quiet.0 { (now, quiet.1 + 1) } else { (now, 0) };
            if quiet.1 > 2_000 {
                eprintln!("{now} of {count} came, and then none for ten seconds");
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// No body of these calls holds an empty line, so each of those is the end of one call's head.
async fn count_calls(mut stream: TcpStream, count: Arc<AtomicUsize>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(8192);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        let mut answers = 0;
        while let Some(at) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            buffer.drain(..at + 4);
            answers += 1;
        }
        count.fetch_add(answers, Ordering::Relaxed);
        if answers > 0
            && stream
                .write_all("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(answers).as_bytes())
                .await
                .is_err()
        {
            return;
        }
    }
}
