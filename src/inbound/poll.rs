//! Owns asking a gateway for receipts (`receipts = "poll"`), so that nothing needs to reach us from outside.
//!
//! It moves no delivery itself: what the history tells goes the way of the reports that a hook brings. Invariant: a row
//! counts only when its id is the one our accepted attempt was given; a row that is missing says nothing.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::receipt::ReceiptDesk;
use crate::ambient::Clock;
use crate::domain::delivery_token::DeliveryToken;
use crate::provider::{HistoryRow, HistoryWindow, Receipt, ReceiptState, SmsGateway};
use crate::store::{self, Store, StoreError};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// After a look that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// Hand-overs this young are asked about at every look: 15 minutes. A phone that is off for a night must not make us
/// list the whole night every other second.
const RECENT_MS: i64 = 15 * 60_000;
/// Older ones are asked about this often: 5 minutes.
const ALL_EVERY_MS: i64 = 5 * 60_000;
/// How far a gateway's clock may be from ours.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// What one gateway is asked with.
#[derive(Debug)]
pub struct Poll {
    /// The database.
    pub store: Store,
    /// Wall clock.
    pub clock: Clock,
    /// Who is asked.
    pub gateway: SmsGateway,
    /// Where its receipts are handed in.
    pub receipts: ReceiptDesk,
}

/// Asks a gateway every few seconds, while anything of it awaits a receipt, until `stop`.
pub async fn run(poll: Poll, stop: CancellationToken) {
    let mut all_asked_at = None;
    loop {
        let Some(asked) = stop.run_until_cancelled(poll.round(&mut all_asked_at)).await else { return };
        let pause = asked.unwrap_or_else(|error| {
            tracing::warn!(code = error.code(), "a look for receipts failed; trying again");
            AFTER_FAILURE
        });
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

impl Poll {
    async fn round(&self, all_asked_at: &mut Option<i64>) -> Result<Duration, StoreError> {
        let name = self.gateway.name();
        let since = store::receipt::awaited_since(&mut self.store.read().await?, name).await?;
        let Some((oldest_at, newest_at)) = since else { return Ok(EVERY) };
        let now = self.clock.now_ms();
        let asks_all = all_asked_at.is_none_or(|at| now - at >= ALL_EVERY_MS);
        let recent = now - RECENT_MS;
        if !asks_all && newest_at < recent {
            return Ok(EVERY);
        }
        let from = if asks_all { oldest_at } else { oldest_at.max(recent) };
        let newer_than = Timestamp::from_millisecond(from).unwrap_or(Timestamp::UNIX_EPOCH) - SKEW;
        let listing = match self.gateway.list(&HistoryWindow { newer_than, older_than: None, to: None }).await {
            Ok(listing) => listing,
            Err(error) => {
                tracing::warn!(gateway = name, code = error.code(), "a look for receipts failed; trying again");
                return Ok(AFTER_FAILURE);
            }
        };
        if asks_all && listing.complete {
            *all_asked_at = Some(now);
        }
        self.hand_in(&listing.rows).await
    }

    /// Hands in what is final now.
    async fn hand_in(&self, rows: &[HistoryRow]) -> Result<Duration, StoreError> {
        let told: HashMap<&str, (ReceiptState, &str)> = rows.iter().filter_map(told).collect();
        let awaited = if told.is_empty() {
            Vec::new()
        } else {
            let mut session = self.store.read().await?;
            store::receipt::awaited(&mut session, self.gateway.name(), told.keys().copied()).await?
        };
        let reports = awaited.into_iter().filter_map(|awaited| {
            let (state, word) = told.get(awaited.gateway_ref.as_str())?;
            let token = DeliveryToken { delivery_id: awaited.delivery_id, attempt: awaited.attempt };
            let gateway_ref = awaited.gateway_ref;
            Some((token, Receipt { gateway_ref, state: Some(*state), word: (*word).to_owned(), delivered_at: None }))
        });
        let stored = self.receipts.take_all(self.gateway.name(), reports).await;
        Ok(if stored.is_ok() { EVERY } else { AFTER_FAILURE })
    }
}

/// What a row tells, when it is final.
fn told(row: &HistoryRow) -> Option<(&str, (ReceiptState, &'static str))> {
    match row.receipt? {
        ReceiptState::Sent => None,
        ReceiptState::Delivered => Some((&row.gateway_ref, (ReceiptState::Delivered, "delivered"))),
        ReceiptState::Failed => Some((&row.gateway_ref, (ReceiptState::Failed, "failed"))),
    }
}
