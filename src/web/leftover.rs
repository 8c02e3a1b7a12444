//! Owns what is left of a request body when the answer is ready before it was read: refused for its key, size or type.
//!
//! Closing on a caller that still writes makes its system throw the answer away. So the rest is read and forgotten, within
//! bounds. Invariant: no more than [`MOST`] bytes and [`LONGEST`] are spent on it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// Bytes that are read and forgotten.
const MOST: usize = 8 << 20;
/// How long that may take.
const LONGEST: Duration = Duration::from_secs(2);

/// Reads what a handler left of the body before the answer goes out.
pub async fn read_to_end(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (give_back, left) = oneshot::channel();
    let request = request.map(|body| Body::new(Lent { body: Some(body), give_back: Some(give_back) }));
    let response = next.run(request).await;
    if let Ok(body) = left.await {
        forget(body.into_data_stream()).await;
    }
    response
}

/// Reads what is left of a body, within bounds.
pub async fn forget(mut rest: BodyDataStream) {
    let read = async {
        let mut forgotten = 0;
        while let Some(Ok(bytes)) = rest.next().await {
            forgotten += bytes.len();
            if forgotten > MOST {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(LONGEST, read).await;
}

/// A body that comes back when its reader drops it before its end.
struct Lent {
    body: Option<Body>,
    give_back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take())
            && !body.is_end_stream()
        {
            let _ = give_back.send(body);
        }
    }
}
