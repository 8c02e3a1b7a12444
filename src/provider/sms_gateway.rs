//! Owns the choice between kinds of SMS gateways, and what is the same for all of them: listing a whole window.
//!
//! It knows no protocol. Invariant: [`Listing::complete`] is true only when the gateway itself ended the list and every
//! row of it could be read.

use std::collections::HashSet;

use jiff::Timestamp;

use super::elks::{self, ElksGateway};
use super::{
    Accepted, Balance, DecodeError, HandOverError, HistoryPage, HistoryRow, HistoryWindow, InboundSms, IncomingListing,
    Listing, LookUpError, OutgoingSms, Receipt, SetupError,
};
use crate::config::{self, GatewayKind};

/// Pages asked for at most; a window with more is not complete.
const MAX_PAGES: usize = 1_000;

/// An SMS gateway of any kind.
#[derive(Debug, Clone)]
pub enum SmsGateway {
    /// 46elks.
    Elks(ElksGateway),
}

impl SmsGateway {
    /// The gateway `[sms.gateways.NAME]` as configured; opens no connection.
    ///
    /// # Errors
    /// [`SetupError`] when its client cannot be made.
    pub fn new(name: &str, config: &config::Gateway, egress_proxy: &str) -> Result<Self, SetupError> {
        match config.kind {
            GatewayKind::Elks => ElksGateway::new(name, config, egress_proxy).map(Self::Elks),
        }
    }

    /// Its name in the configuration and in stored attempts.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Elks(gateway) => gateway.name(),
        }
    }

    /// Whether its history may be asked about a lost answer.
    #[must_use]
    pub fn has_history(&self) -> bool {
        match self {
            Self::Elks(gateway) => gateway.has_history(),
        }
    }

    /// Hands one SMS over, once. `now` is the time by our clock, for a wish given as a date.
    ///
    /// # Errors
    /// [`HandOverError`] says what happened and what comes next.
    pub async fn send(&self, sms: &OutgoingSms, now: Timestamp) -> Result<Accepted, HandOverError> {
        match self {
            Self::Elks(gateway) => gateway.send(sms, now).await,
        }
    }

    /// One page of the history, newest first; `page` is the `next` of the page before.
    ///
    /// # Errors
    /// [`LookUpError`] proves nothing.
    pub async fn history(&self, window: &HistoryWindow, page: Option<&str>) -> Result<HistoryPage, LookUpError> {
        match self {
            Self::Elks(gateway) => gateway.history(window, page).await,
        }
    }

    /// Everything the gateway lists for `window`, page by page.
    ///
    /// # Errors
    /// [`LookUpError`] when not even the first page came. A later failure gives what there is, not complete.
    pub async fn list(&self, window: &HistoryWindow) -> Result<Listing, LookUpError> {
        let mut listing = Listing { rows: Vec::new(), complete: true };
        let mut seen = HashSet::new();
        let mut page = self.history(window, None).await?;
        for _ in 0..MAX_PAGES {
            listing.complete &= page.unreadable == 0;
            let ended_by_age = !page.rows.is_empty() && page.rows.iter().all(|row| row.created_at < window.newer_than);
            for row in page.rows.into_iter().filter(|row| contains(window, row)) {
                if seen.insert(row.gateway_ref.clone()) {
                    listing.rows.push(row);
                }
            }
            let Some(next) = page.next else { return Ok(listing) };
            if ended_by_age {
                // A gateway that ignores the lower end of the window would list its whole past.
                listing.complete &= is_newest_first(&listing.rows);
                return Ok(listing);
            }
            let older = self.history(window, Some(&next)).await.ok();
            match older.filter(|older| older.next.as_ref() != Some(&next)) {
                Some(older) => page = older,
                None => break,
            }
        }
        listing.complete = false;
        Ok(listing)
    }

    /// Every incoming SMS that the gateway lists for `window`, page by page.
    ///
    /// # Errors
    /// [`LookUpError`] when not even the first page came. A later failure gives what there is, not complete.
    pub async fn incoming(&self, window: &HistoryWindow) -> Result<IncomingListing, LookUpError> {
        let mut listing = IncomingListing::default();
        let mut seen = HashSet::new();
        let is_within = |at: Option<Timestamp>| at.is_none_or(|at| at >= window.newer_than);
        let mut page = self.history(window, None).await?;
        for _ in 0..MAX_PAGES {
            let is_older = |row: &HistoryRow| row.created_at < window.newer_than;
            // A gateway that ignores the lower end of the window would list its whole past.
            let ended_by_age = !(page.rows.is_empty() && page.incoming.is_empty())
                && page.rows.iter().all(is_older)
                && !page.incoming.iter().any(|sms| is_within(sms.created_at));
            for sms in page.incoming.into_iter().filter(|sms| is_within(sms.created_at)) {
                if seen.insert(sms.gateway_ref.clone()) {
                    listing.sms.push(sms);
                }
            }
            listing.complete = page.next.is_none() || ended_by_age;
            let Some(next) = page.next.filter(|_| !ended_by_age) else { break };
            let older = self.history(window, Some(&next)).await.ok();
            match older.filter(|older| older.next.as_ref() != Some(&next)) {
                Some(older) => page = older,
                None => break,
            }
        }
        listing.sms.sort_by_key(|sms| sms.created_at);
        Ok(listing)
    }

    /// One message by the gateway's id.
    ///
    /// # Errors
    /// [`LookUpError`] proves nothing, not even when the gateway says that it does not know the id.
    pub async fn look_up(&self, gateway_ref: &str) -> Result<HistoryRow, LookUpError> {
        match self {
            Self::Elks(gateway) => gateway.look_up(gateway_ref).await,
        }
    }

    /// Balance of the account.
    ///
    /// # Errors
    /// [`LookUpError`] when it cannot be asked or read.
    pub async fn balance(&self) -> Result<Balance, LookUpError> {
        match self {
            Self::Elks(gateway) => gateway.balance().await,
        }
    }

    /// A delivery report out of the body of a call of our hook.
    ///
    /// # Errors
    /// [`DecodeError`] when it cannot be understood.
    pub fn decode_receipt(&self, body: &[u8]) -> Result<Receipt, DecodeError> {
        match self {
            Self::Elks(_) => elks::decode_receipt(body),
        }
    }

    /// An incoming SMS out of the body of a call of our hook.
    ///
    /// # Errors
    /// [`DecodeError`] when it cannot be understood.
    pub fn decode_inbound(&self, body: &[u8]) -> Result<InboundSms, DecodeError> {
        match self {
            Self::Elks(_) => elks::decode_inbound(body),
        }
    }

    /// The body that a call of our hook would bring this SMS in.
    #[must_use]
    pub fn encode_inbound(&self, sms: &InboundSms) -> Vec<u8> {
        match self {
            Self::Elks(_) => elks::encode_inbound(sms),
        }
    }
}

fn contains(window: &HistoryWindow, row: &HistoryRow) -> bool {
    row.created_at >= window.newer_than
        && window.older_than.is_none_or(|end| row.created_at <= end)
        && window.to.as_ref().is_none_or(|to| *to == row.to)
}

fn is_newest_first(rows: &[HistoryRow]) -> bool {
    rows.windows(2).all(|pair| pair[0].created_at >= pair[1].created_at)
}
