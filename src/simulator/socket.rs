//! Owns the sockets of the simulated gateway, so that a handler can break the connection it is answering on.
//!
//! It knows no HTTP. Invariant: what is set on a [`SocketControl`] acts on that connection only, from its next write on.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

const NORMAL: u64 = 0;
const RESET: u64 = u64::MAX;
const CLOSE: u64 = u64::MAX - 1;

/// What the handler of a request may do to its connection.
#[derive(Debug, Clone, Default)]
pub(super) struct SocketControl(Arc<AtomicU64>);

impl SocketControl {
    /// RST instead of the answer.
    pub(super) fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }

    /// FIN instead of the answer.
    pub(super) fn close(&self) {
        self.0.store(CLOSE, Ordering::Release);
    }

    /// One byte each so many milliseconds.
    pub(super) fn trickle(&self, pause_ms: u64) {
        self.0.store(pause_ms.clamp(1, CLOSE - 1), Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Sockets>> for SocketControl {
    fn connect_info(stream: IncomingStream<'_, Sockets>) -> Self {
        stream.io().control.clone()
    }
}

/// A listener whose connections can be broken one by one, and all at once by its token.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) listener: TcpListener,
    pub(super) stop: CancellationToken,
}

impl Listener for Sockets {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let _ = stream.set_nodelay(true);
        let stopped = Box::pin(self.stop.clone().cancelled_owned());
        (Socket { stream, control: SocketControl::default(), stopped, pause: None }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    control: SocketControl,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        match self.control.0.load(Ordering::Acquire) {
            NORMAL => Pin::new(&mut self.stream).poll_write(cx, buf),
            CLOSE => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            RESET => {
                let _ = self.stream.set_zero_linger();
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            pause_ms => {
                if let Some(pause) = &mut self.pause {
                    ready!(pause.as_mut().poll(cx));
                }
                self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(pause_ms))));
                Pin::new(&mut self.stream).poll_write(cx, &buf[..buf.len().min(1)])
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
