//! Owns the order in which stamped deliveries are called: that in which they were queued, whichever processor gets to which first.
//!
//! Otherwise neighbours would change places, and a watch area could be reached twice before another is reached.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::unconstrained;

/// Those that wait for their call, first come first.
#[derive(Debug, Default)]
pub struct Turns(Arc<Mutex<()>>);

/// A delivery's place among them.
#[must_use = "those behind it wait until it has had its turn or is dropped"]
pub enum Turn {
    /// It waits in its place.
    Coming(BoxFuture<'static, OwnedMutexGuard<()>>),
    /// Nobody was before it.
    Come(OwnedMutexGuard<()>),
}

impl Turns {
    /// Takes a place behind all that have one: at once if `ready` is, otherwise when it is.
    pub async fn queue(&self, ready: impl Future<Output = ()> + Send + 'static) -> Turn {
        let turns = Arc::clone(&self.0);
        let mut turn: BoxFuture<'_, _> = Box::pin(async move {
            ready.await;
            turns.lock_owned().await
        });
        // Asked once, which takes the place; unconstrained, since the runtime puts off whoever asks too often in a row.
        let asked = poll_fn(|context| Poll::Ready(Pin::new(&mut unconstrained(turn.as_mut())).poll(context))).await;
        match asked {
            Poll::Ready(come) => Turn::Come(come),
            Poll::Pending => Turn::Coming(turn),
        }
    }
}

impl Turn {
    /// Waits until it is this one's turn. The next one's comes when what is returned is dropped.
    pub async fn come(self) -> OwnedMutexGuard<()> {
        match self {
            Self::Coming(turn) => turn.await,
            Self::Come(turn) => turn,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Shared;

    use tokio::task::JoinSet;

    use super::*;

    /// More than the runtime lets one task ask for in a row.
    const MANY: usize = 1_000;

    #[tokio::test(flavor = "multi_thread")]
    async fn turns_come_in_the_order_they_were_queued_whoever_is_awake_first() {
        let (turns, order) = (Turns::default(), Arc::new(Shared::new(Vec::new())));
        let mut queued = Vec::new();
        for number in 0..MANY {
            queued.push((number, turns.queue(std::future::ready(())).await));
        }
        let mut calls = JoinSet::new();
        for (number, turn) in queued.into_iter().rev() {
            let order = Arc::clone(&order);
            calls.spawn(async move {
                let _turn = turn.come().await;
                order.lock().unwrap().push(number);
            });
        }
        calls.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..MANY).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn one_that_is_not_ready_holds_up_nobody_and_one_that_goes_away_leaves_no_gap() {
        let turns = Turns::default();
        let unready = turns.queue(std::future::pending()).await;
        let first = turns.queue(std::future::ready(())).await;
        let gone = turns.queue(std::future::ready(())).await;
        let last = turns.queue(std::future::ready(())).await;
        drop((first.come().await, gone));
        drop(last.come().await);
        drop(unready);
    }
}
