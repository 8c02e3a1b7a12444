//! Owns the journal on disk: one JSON object a line, appended, so that it outlives the process under test.
//!
//! Invariant: an entry is handed to the file before the call that made it is answered; writing never holds a call up.

use std::io;
use std::path::Path;

use serde::Serialize;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};

/// A file that entries are appended to.
#[derive(Debug)]
pub(super) struct JournalFile {
    orders: mpsc::UnboundedSender<Order>,
}

#[derive(Debug)]
enum Order {
    Append(String),
    Tell(oneshot::Sender<()>),
}

impl JournalFile {
    /// Opens or makes the file at `path`; `None` = no file.
    pub(super) async fn open(path: Option<&Path>) -> io::Result<Option<Self>> {
        let Some(path) = path else { return Ok(None) };
        let file = OpenOptions::new().create(true).append(true).open(path).await?;
        let (orders, waiting) = mpsc::unbounded_channel();
        tokio::spawn(write(file, waiting));
        Ok(Some(Self { orders }))
    }

    /// Appends one entry.
    pub(super) fn append(&self, entry: &impl Serialize) {
        if let Ok(mut line) = serde_json::to_string(entry) {
            line.push('\n');
            let _ = self.orders.send(Order::Append(line));
        }
    }

    /// Waits until everything appended so far is in the file.
    pub(super) async fn flush(&self) {
        let (written, told) = oneshot::channel();
        if self.orders.send(Order::Tell(written)).is_ok() {
            let _ = told.await;
        }
    }
}

async fn write(mut file: File, mut waiting: mpsc::UnboundedReceiver<Order>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, 1_000).await > 0 {
        let (mut text, mut told) = (String::new(), Vec::new());
        for order in batch.drain(..) {
            match order {
                Order::Append(line) => text.push_str(&line),
                Order::Tell(written) => told.push(written),
            }
        }
        if file.write_all(text.as_bytes()).await.is_err() || file.flush().await.is_err() {
            tracing::error!("the simulator's journal cannot be written");
        }
        for written in told {
            let _ = written.send(());
        }
    }
}
