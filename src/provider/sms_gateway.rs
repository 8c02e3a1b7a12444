//! Owns the choice between kinds of SMS gateways, and what is the same for all of them: listing a whole window.
//!
//! It knows no protocol. Invariant: [`Listing::complete`] is true only when the gateway itself ended the list and every
//! row of it could be read.

use std::collections::HashSet;

use jiff::Timestamp;

use super::elks::{self, ElksGateway};
use super::smpp::{self, SmppGateway};
use super::{
    Accepted, Balance, DecodeError, HandOverError, HistoryPage, HistoryRow, HistoryWindow, InboundSms, IncomingListing,
    Listing, LookUpError, OutgoingSms, Receipt, SetupError,
};
use crate::config::{self, GatewayKind};

/// Pages asked for at most; a window with more is not complete.
const MAX_PAGES: usize = 1_000;

/// SMPP's own question about a message (query_sm) is answered for ids only, and a lost answer is a lost id.
const NO_HISTORY: LookUpError = LookUpError { code: "gateway.history_off" };

/// An SMS gateway of any kind.
#[derive(Debug, Clone)]
pub enum SmsGateway {
    /// 46elks.
    Elks(ElksGateway),
    /// SMPP 3.4.
    Smpp(SmppGateway),
}

impl SmsGateway {
    /// The gateway `[sms.gateways.NAME]` as configured; opens no connection.
    ///
    /// # Errors
    /// [`SetupError`] when its client cannot be made.
    pub fn new(name: &str, config: &config::Gateway, egress_proxy: &str) -> Result<Self, SetupError> {
        match config.kind {
            GatewayKind::Elks => ElksGateway::new(name, config, egress_proxy).map(Self::Elks),
            GatewayKind::Smpp => SmppGateway::new(name, config, egress_proxy).map(Self::Smpp),
        }
    }

    /// Its name in the configuration and in stored attempts.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Elks(gateway) => gateway.name(),
            Self::Smpp(gateway) => gateway.name(),
        }
    }

    /// Whether its history may be asked about a lost answer.
    #[must_use]
    pub fn has_history(&self) -> bool {
        match self {
            Self::Elks(gateway) => gateway.has_history(),
            Self::Smpp(_) => false,
        }
    }

    /// Hands one SMS over, once. `now` is the time by our clock, for a wish given as a date.
    ///
    /// # Errors
    /// [`HandOverError`] says what happened and what comes next.
    pub async fn send(&self, sms: &OutgoingSms, now: Timestamp) -> Result<Accepted, HandOverError> {
        self.send_in_turn(sms, now, || async {}).await
    }

    /// As [`SmsGateway::send`]; a gateway that takes each part of a long SMS by itself waits for `turn` before every part
    /// behind the first.
    ///
    /// # Errors
    /// As [`SmsGateway::send`].
    pub async fn send_in_turn<F, T>(
        &self,
        sms: &OutgoingSms,
        now: Timestamp,
        turn: F,
    ) -> Result<Accepted, HandOverError>
    where
        F: Fn() -> T + Send,
        T: Future<Output = ()> + Send,
    {
        match self {
            Self::Elks(gateway) => gateway.send(sms, now).await,
            Self::Smpp(gateway) => {
                let left = sms.expires_at.map_or(i64::MAX, |end| end.duration_since(now).as_secs());
                gateway.send(sms, left, turn).await
            }
        }
    }

    /// Whether the gateway answers, found out without handing anything over.
    pub async fn answers(&self) -> bool {
        match self {
            Self::Elks(gateway) => gateway.balance().await.is_ok(),
            Self::Smpp(gateway) => gateway.answers().await,
        }
    }

    /// Ends what is kept open with it.
    pub async fn close(&self) {
        if let Self::Smpp(gateway) = self {
            gateway.unbind().await;
        }
    }

    /// Whether it lets us in, for who wants to know before a daemon is started; the balance where there is one.
    ///
    /// # Errors
    /// [`LookUpError`] says why not.
    pub async fn try_account(&self) -> Result<Option<Balance>, LookUpError> {
        match self {
            Self::Elks(gateway) => gateway.balance().await.map(Some),
            Self::Smpp(gateway) => {
                let bound = gateway.bind(0).await.map_err(|error| LookUpError { code: error.code() });
                gateway.unbind().await;
                bound.map(|_| None)
            }
        }
    }

    /// Whether it tells what is left on the account.
    #[must_use]
    pub fn has_balance(&self) -> bool {
        matches!(self, Self::Elks(_))
    }

    /// One page of the history, newest first; `page` is the `next` of the page before.
    ///
    /// # Errors
    /// [`LookUpError`] proves nothing.
    pub async fn history(&self, window: &HistoryWindow, page: Option<&str>) -> Result<HistoryPage, LookUpError> {
        match self {
            Self::Elks(gateway) => gateway.history(window, page).await,
            Self::Smpp(_) => Err(NO_HISTORY),
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
            Self::Smpp(_) => Err(NO_HISTORY),
        }
    }

    /// Balance of the account.
    ///
    /// # Errors
    /// [`LookUpError`] when it cannot be asked or read.
    pub async fn balance(&self) -> Result<Balance, LookUpError> {
        match self {
            Self::Elks(gateway) => gateway.balance().await,
            Self::Smpp(_) => Err(LookUpError { code: "gateway.no_balance" }),
        }
    }

    /// A delivery report out of the body of a call of our hook.
    ///
    /// # Errors
    /// [`DecodeError`] when it cannot be understood.
    pub fn decode_receipt(&self, body: &[u8]) -> Result<Receipt, DecodeError> {
        match self {
            Self::Elks(_) => elks::decode_receipt(body),
            Self::Smpp(_) => Err(DecodeError { code: "gateway.no_hook" }),
        }
    }

    /// An incoming SMS as it is kept: the body of a call of our hook, or what an SMPP session brought.
    ///
    /// # Errors
    /// [`DecodeError`] when it cannot be understood.
    pub fn decode_inbound(&self, body: &[u8]) -> Result<InboundSms, DecodeError> {
        match self {
            Self::Elks(_) => elks::decode_inbound(body),
            Self::Smpp(_) => smpp::decode_kept(body),
        }
    }

    /// The body that a call of our hook would bring this SMS in.
    #[must_use]
    pub fn encode_inbound(&self, sms: &InboundSms) -> Vec<u8> {
        match self {
            Self::Elks(_) => elks::encode_inbound(sms),
            // SMPP has no history to fetch one from; what is kept reads the same whoever brought it.
            Self::Smpp(_) => smpp::keep(sms),
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
