//! Owns incoming SMS: kept raw, once, before they are answered, and read afterwards.
//!
//! What an answer means is `actions::observation`. Invariants: the same SMS brought twice is one row; what is kept and not yet
//! marked as read is read again, also after a crash, and the mark is set in the transaction that makes something of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::gateway_hook::GatewayHook;
use crate::actions::observation::{Incoming, receive};
use crate::actions::{ActionError, Desk};
use crate::ambient::{Clock, Wakeup};
use crate::domain::delivery::Channel;
use crate::provider::InboundSms;
use crate::store::inbound_sms::{FetchedSms, NewSms, UnreadSms};
use crate::store::{Session, Store, StoreError, inbound_sms};

/// SMS kept in one transaction.
const BATCH: usize = 500;
/// SMS read in one transaction: short, so that an alert's hand-overs do not wait for it.
const READ_AT_ONCE: i64 = 20;
/// Between two looks when nothing rings.
const EVERY: Duration = Duration::from_millis(500);
/// Rest between two batches, in which others come to write.
const BREATH: Duration = Duration::from_millis(10);
/// After a look that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// The SMS is not kept; the gateway must bring it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the SMS could not be stored")]
pub struct Unstored;

/// An SMS on its way to the database.
struct Brought {
    sms: NewSms,
    stored: oneshot::Sender<Result<(), Unstored>>,
}

/// Where the hook hands incoming SMS in.
#[derive(Debug, Clone)]
pub struct SmsDesk {
    sender: mpsc::Sender<Brought>,
}

impl SmsDesk {
    /// Starts keeping what comes; ends when every desk is gone. `kept` is rung after each commit.
    #[must_use]
    pub fn start(store: Store, clock: Clock, kept: Wakeup) -> Self {
        let (sender, receiver) = mpsc::channel(4 * BATCH);
        tokio::spawn(keep_all(store, clock, kept, receiver));
        Self { sender }
    }

    /// Keeps an SMS as it came.
    ///
    /// # Errors
    /// [`Unstored`] when the database could not take it.
    pub async fn keep(&self, hook: &GatewayHook, name: &str, body: &[u8]) -> Result<(), Unstored> {
        let (stored, done) = oneshot::channel();
        let sms =
            NewSms { gateway: name.to_owned(), digest: digest(hook, body), raw: data_encoding::BASE64.encode(body) };
        self.sender.send(Brought { sms, stored }).await.map_err(|_| Unstored)?;
        done.await.map_err(|_| Unstored)?
    }
}

/// What an SMS is known by: the gateway's id, which is the same when it comes again; without one, the whole body.
fn digest(hook: &GatewayHook, body: &[u8]) -> String {
    let known_by = match hook.gateway.decode_inbound(body) {
        Ok(sms) => Sha256::digest(format!("id\n{}", sms.gateway_ref)),
        Err(_) => Sha256::digest(body),
    };
    data_encoding::HEXLOWER.encode(&known_by)
}

async fn keep_all(store: Store, clock: Clock, kept: Wakeup, mut receiver: mpsc::Receiver<Brought>) {
    let mut waiting = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut waiting, BATCH).await > 0 {
        let written = keep_some(&store, &clock, &waiting).await;
        if let Err(error) = &written {
            tracing::warn!(
                code = error.code(),
                sms = waiting.len(),
                "incoming SMS could not be stored; the gateway brings them again"
            );
        }
        for brought in waiting.drain(..) {
            let _ = brought.stored.send(written.as_ref().map(|_| ()).map_err(|_| Unstored));
        }
        kept.ring();
    }
}

async fn keep_some(store: &Store, clock: &Clock, waiting: &[Brought]) -> Result<(), StoreError> {
    let mut sms: Vec<NewSms> = waiting.iter().map(|brought| brought.sms.clone()).collect();
    sms.sort_by(|a, b| (&a.gateway, &a.digest).cmp(&(&b.gateway, &b.digest)));
    sms.dedup_by(|a, b| (&a.gateway, &a.digest) == (&b.gateway, &b.digest));
    let mut session = store.begin().await?;
    inbound_sms::keep(&mut session, &sms, clock.now_ms()).await?;
    session.commit().await
}

/// Keeps what a gateway's history holds of SMS that came, known by the same id as when a hook brings them; says how many were new.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn keep_fetched(
    desk: &Desk,
    hook: &GatewayHook,
    name: &str,
    sms: &[InboundSms],
) -> Result<u64, StoreError> {
    let mut kept = 0;
    for piece in sms.chunks(BATCH) {
        let mut rows: Vec<FetchedSms> = piece.iter().map(|sms| fetched(desk, hook, name, sms)).collect();
        rows.sort_by(|a, b| a.digest.cmp(&b.digest));
        let mut session = desk.store.begin().await?;
        kept += inbound_sms::keep_fetched(&mut session, &rows).await?;
        session.commit().await?;
    }
    Ok(kept)
}

fn fetched(desk: &Desk, hook: &GatewayHook, name: &str, sms: &InboundSms) -> FetchedSms {
    let body = hook.gateway.encode_inbound(sms);
    FetchedSms {
        gateway: name.to_owned(),
        digest: digest(hook, &body),
        raw: data_encoding::BASE64.encode(&body),
        received_at: sms.created_at.map_or_else(|| desk.now(), jiff::Timestamp::as_millisecond),
    }
}

/// A number that two daemons make alike of a sender.
fn sender_key(sender: &str) -> i64 {
    let digest = Sha256::digest(format!("sender\n{}", sender.trim()));
    i64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 octets"))
}

/// Reads what is kept.
#[derive(Debug, Clone)]
pub struct SmsReader {
    /// What actions work with.
    pub desk: Desk,
    /// Who decodes, by name.
    pub hooks: Arc<BTreeMap<String, GatewayHook>>,
    /// Rung when something was kept.
    pub kept: Wakeup,
}

impl SmsReader {
    /// Reads until `stop`; begins with what a daemon before left unread.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.read_some().await {
                Ok(0) => None,
                Ok(_) => Some(BREATH),
                Err(error) => {
                    tracing::warn!(code = error.code(), "incoming SMS could not be read; trying again");
                    Some(AFTER_FAILURE)
                }
            };
            tokio::select! {
                () = async { match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => self.kept.wait(EVERY).await,
                } } => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Reads a batch; says how many. A batch that fails is read one by one, so that what nobody can read holds up nothing.
    pub(super) async fn read_some(&self) -> Result<usize, ActionError> {
        if !inbound_sms::is_any_unread(&mut self.desk.store.read().await?).await? {
            return Ok(0);
        }
        match self.read_batch(READ_AT_ONCE).await {
            Err(ActionError::Store(error)) if error.is_passing() => Err(error.into()),
            Err(_) => self.read_one().await,
            Ok(read) => Ok(read),
        }
    }

    async fn read_batch(&self, limit: i64) -> Result<usize, ActionError> {
        let mut session = self.desk.store.begin().await?;
        let unread = inbound_sms::unread(&mut session, limit, self.gateways()).await?;
        if !self.desk.store.has_one_writer() {
            let senders = unread.iter().filter_map(|sms| Some(sender_key(&self.decode(sms)?.sender)));
            inbound_sms::hold(&mut session, &senders.collect()).await?;
        }
        for sms in &unread {
            self.read(&mut session, sms).await?;
        }
        session.commit().await?;
        self.desk.wakeup.ring();
        Ok(unread.len())
    }

    /// Reads the first of those that wait; when that cannot be done, it goes behind the others.
    async fn read_one(&self) -> Result<usize, ActionError> {
        let Err(error) = self.read_batch(1).await else { return Ok(1) };
        if matches!(&error, ActionError::Store(error) if error.is_passing()) {
            return Err(error);
        }
        let mut session = self.desk.store.begin().await?;
        for sms in inbound_sms::unread(&mut session, 1, self.gateways()).await? {
            tracing::error!(
                code = error.code(),
                tries = sms.tries + 1,
                "an incoming SMS could not be read; it is kept"
            );
            inbound_sms::count_try(&mut session, (&sms.gateway, &sms.digest)).await?;
        }
        session.commit().await?;
        Err(error)
    }

    async fn read(&self, session: &mut Session, sms: &UnreadSms) -> Result<(), ActionError> {
        let made = match self.decode(sms) {
            Some(incoming) => Some(receive(&self.desk, session, &incoming).await?.observation.id),
            None => {
                metrics::counter!("grannpost_unreadable_sms_total", "gateway" => sms.gateway.clone()).increment(1);
                tracing::warn!(gateway = sms.gateway, "an incoming SMS is not understood; it is kept as it came");
                None
            }
        };
        let now = self.desk.now();
        Ok(inbound_sms::mark_read(session, (&sms.gateway, &sms.digest), made.as_deref(), now).await?)
    }

    /// Those that this daemon knows: what came from others waits for a daemon that knows them.
    fn gateways(&self) -> String {
        inbound_sms::names(self.hooks.keys().map(String::as_str))
    }

    /// What a kept SMS says; `None` when it is none.
    fn decode(&self, sms: &UnreadSms) -> Option<Incoming> {
        let body = data_encoding::BASE64.decode(sms.raw.as_bytes()).ok()?;
        let decoded = self.hooks.get(&sms.gateway)?.gateway.decode_inbound(&body).ok()?;
        Some(Incoming {
            channel: Channel::Sms,
            sender: decoded.from,
            reference: format!("{}:{}", sms.gateway, decoded.gateway_ref),
            text: decoded.text,
            sent_at: decoded.created_at.map(jiff::Timestamp::as_millisecond),
            received_at: sms.received_at,
            contact_person_id: None,
            message_id: None,
            is_automatic: false,
            is_fetched: sms.fetched == 1,
            via_page: None,
        })
    }
}
