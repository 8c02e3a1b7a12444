//! Owns an SMPP 3.4 gateway: binding, handing over in parts, and what comes over the session by itself.
//!
//! It does not decide when to bind or try again, and stores nothing: what comes in is [`News`], answered only once somebody has
//! said that it is on disk. Invariant: an SMS of which a part may have left is never told as one that can be sent again
//! (`docs/adr/0018-own-smpp-session.md`).

mod answer_code;
mod incoming;
mod session;
mod text;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusmpp::pdus::{BindTransceiver, SubmitSm};
use rusmpp::types::{COctetString, EmptyOrFullCOctetString, OctetString};
use rusmpp::values::{DataCoding, EsmClass, InterfaceVersion, Npi, RegisteredDelivery, Ton};
use rusmpp::{CommandStatus, Pdu};
use rustls::ClientConfig;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

use super::smtp::{Endpoint, Wire, read_proxy, tls_config};
use super::{Accepted, HandOverError, OutgoingSms, Reason, SetupError};
use crate::config;
use crate::domain::delivery_token::DeliveryToken;
pub use incoming::{InboundPart, PartReport, Place, as_kept, decode_kept, keep};
use incoming::{Incoming, answered_id};
use session::{Arrival, Lost, Reply, Session};
use text::TextPart;

/// The gateway refuses to let us in with our account.
pub const BIND_REFUSED: &str = "gateway.bind_refused";
/// Things that may wait to be stored.
const WAITING: usize = 1_024;
/// A part behind the first that the gateway is too busy for is tried this often, once a second: the phone has the first.
const PATIENCE: u32 = 10;
/// esm_class of a text that begins with a header.
const HAS_HEADER: u8 = 0x40;
/// registered_delivery: a receipt when it has arrived, and when it has not.
const WANTS_RECEIPT: u8 = 0x01;

/// An SMPP gateway. Clones speak over the same session.
#[derive(Debug, Clone)]
pub struct SmppGateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    endpoint: Endpoint,
    tls: Option<Arc<ClientConfig>>,
    config: config::Gateway,
    limit: Duration,
    standing: watch::Sender<Standing>,
    wanted: Notify,
    reference: AtomicU8,
    news: mpsc::Sender<News>,
    news_for: Mutex<Option<mpsc::Receiver<News>>>,
}

/// Whether there is a session.
#[derive(Debug, Clone)]
enum Standing {
    /// None, and the last try to make one did not fail.
    None,
    Bound(Session),
    Failed(BindError),
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Out of reach, or in trouble.
    #[error("no session: {}", .0.code)]
    Unreachable(Reason),
    /// It refuses our account or settings.
    #[error("bind refused: {}", .0.code)]
    Refused(Reason),
}

impl BindError {
    /// Stable code, safe in logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(reason) | Self::Refused(reason) => reason.code,
        }
    }

    /// What it means for a hand-over: nothing has left.
    #[must_use]
    pub fn for_hand_over(self) -> HandOverError {
        match self {
            Self::Unreachable(reason) => HandOverError::Retry { after: None, reason, provider_down: true },
            Self::Refused(reason) => HandOverError::Misconfigured { reason },
        }
    }
}

/// A part that the gateway has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenPart {
    /// The attempt it belongs to.
    pub token: DeliveryToken,
    /// Which part, from 1.
    pub part: u8,
    /// How many there are.
    pub parts: u8,
    /// Whom it went to, E.164.
    pub number: String,
    /// The gateway's id for it.
    pub gateway_ref: String,
    /// Whether the answer came after we had stopped waiting for it.
    pub is_late: bool,
}

/// What came over a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewsItem {
    /// The gateway took a part.
    Taken(TakenPart),
    /// A receipt.
    Report(PartReport),
    /// A receipt that cannot be read.
    UnreadableReport,
    /// An SMS or a part of one.
    Sms(InboundPart),
    /// A delivery that cannot be read, as it came.
    Unreadable(Vec<u8>),
}

/// Something to be stored; whoever brought it is told afterwards.
#[derive(Debug)]
pub struct News {
    /// What it is.
    pub item: NewsItem,
    stored: oneshot::Sender<bool>,
}

impl News {
    /// Says whether it is on disk. What is not, the gateway brings again.
    pub fn is_stored(self, stored: bool) {
        let _ = self.stored.send(stored);
    }
}

impl SmppGateway {
    /// The gateway `[sms.gateways.NAME]` as configured; opens no connection.
    ///
    /// # Errors
    /// [`SetupError`] when its URL, TLS or the proxy cannot be used.
    pub fn new(name: &str, config: &config::Gateway, egress_proxy: &str) -> Result<Self, SetupError> {
        let unusable =
            || SetupError::new("gateway.url_unusable", &format!("sms.gateways.{name}.url: smpp://HOST:PORT"));
        let url = url::Url::parse(&config.url).map_err(|_| unusable())?;
        let host = url.host_str().ok_or_else(unusable)?.trim_matches(['[', ']']).to_owned();
        let is_tls = url.scheme() == "smpps";
        let endpoint = Endpoint {
            host,
            port: url.port().unwrap_or(if is_tls { 3550 } else { 2775 }),
            proxy: read_proxy(egress_proxy)?,
        };
        let (news, news_for) = mpsc::channel(WAITING);
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            endpoint,
            tls: if is_tls { Some(tls_config(&[])?) } else { None },
            config: config.clone(),
            limit: Duration::from_secs(config.timeout_seconds),
            standing: watch::Sender::new(Standing::None),
            wanted: Notify::new(),
            reference: AtomicU8::new(0),
            news,
            news_for: Mutex::new(Some(news_for)),
        })))
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where its news come out; `None` from the second call on.
    #[must_use]
    pub fn news(&self) -> Option<mpsc::Receiver<News>> {
        self.0.news_for.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Connects and binds as a transceiver, and keeps the session until it breaks. `first_reference` is where the references
    /// of long texts begin: two daemons that begin alike would have a phone join the parts of two texts.
    ///
    /// # Errors
    /// [`BindError`] says whose fault it is.
    pub async fn bind(&self, first_reference: u8) -> Result<Bound, BindError> {
        self.0.reference.store(first_reference, Ordering::Relaxed);
        let opened = tokio::time::timeout(self.0.limit * 4, self.open()).await;
        let opened = opened.unwrap_or_else(|_| Err(BindError::Unreachable(Reason::new("gateway.timeout"))));
        match opened {
            Ok(session) => {
                self.0.standing.send_replace(Standing::Bound(session.clone()));
                Ok(Bound { gateway: self.clone(), session })
            }
            Err(error) => {
                self.0.standing.send_replace(Standing::Failed(error.clone()));
                Err(error)
            }
        }
    }

    /// Returns when somebody wants to hand over and there is no session.
    pub async fn wanted(&self) {
        self.0.wanted.notified().await;
    }

    /// Whether there is a session and the gateway answers on it.
    pub async fn answers(&self) -> bool {
        let standing = self.0.standing.borrow().clone();
        match standing {
            Standing::Bound(session) => session.is_alive(self.0.limit).await,
            _ => false,
        }
    }

    /// Ends the session, if there is one.
    pub async fn unbind(&self) {
        if let Standing::Bound(session) = self.0.standing.send_replace(Standing::None) {
            session.unbind(Duration::from_secs(1)).await;
        }
    }

    /// Hands one SMS over, part by part, once. `turn` is waited for before each part behind the first.
    ///
    /// # Errors
    /// [`HandOverError`]. From the moment a part may have left, [`HandOverError::InDoubt`], or [`HandOverError::Rejected`]
    /// when the gateway refused the rest for good.
    pub async fn send<F, T>(&self, sms: &OutgoingSms, seconds_left: i64, turn: F) -> Result<Accepted, HandOverError>
    where
        F: Fn() -> T + Send,
        T: Future<Output = ()> + Send,
    {
        let reference = self.0.reference.fetch_add(1, Ordering::Relaxed);
        let Some(parts) = text::parts(&sms.text, reference) else {
            return Err(HandOverError::Rejected { reason: Reason::new("gateway.text_unusable") });
        };
        let session = self.session().await.map_err(BindError::for_hand_over)?;
        let total = u8::try_from(parts.len()).unwrap_or(u8::MAX);
        let mut first = None;
        for (part, number) in parts.iter().zip(1_u8..) {
            let place = TakenPart {
                token: sms.token.unwrap_or(DeliveryToken { delivery_id: 0, attempt: 0 }),
                part: number,
                parts: total,
                number: sms.to.clone(),
                gateway_ref: String::new(),
                is_late: false,
            };
            let pdu = self.submission(sms, part, seconds_left)?;
            let answered = if number == 1 {
                self.submit(&session, pdu, place).await
            } else {
                turn().await;
                self.submit_patiently(&session, pdu, place).await.map_err(partly)
            };
            let gateway_ref = answered?;
            first.get_or_insert(gateway_ref);
        }
        Ok(Accepted { gateway_ref: first.filter(|id| !id.is_empty()), parts: Some(i64::from(total)) })
    }

    /// The session, waiting for the next try to make one where there is none.
    async fn session(&self) -> Result<Session, BindError> {
        let mut standing = self.0.standing.subscribe();
        if let Standing::Bound(session) = &*standing.borrow_and_update()
            && !session.has_ended()
        {
            return Ok(session.clone());
        }
        self.0.wanted.notify_one();
        let next = async {
            loop {
                if standing.changed().await.is_err() {
                    return Err(BindError::Unreachable(Reason::new("gateway.unreachable")));
                }
                match &*standing.borrow_and_update() {
                    Standing::Bound(session) => return Ok(session.clone()),
                    Standing::Failed(error) => return Err(error.clone()),
                    Standing::None => {}
                }
            }
        };
        let late = || Err(BindError::Unreachable(Reason::new("gateway.unreachable")));
        tokio::time::timeout(self.0.limit, next).await.unwrap_or_else(|_| late())
    }

    fn submission(&self, sms: &OutgoingSms, part: &TextPart, seconds_left: i64) -> Result<Pdu, HandOverError> {
        let unusable = |code: &'static str| move |_| HandOverError::Rejected { reason: Reason::new(code) };
        let (ton, npi, sender) = text::address(sms.from.as_deref().unwrap_or(&self.0.config.sender));
        let sender = COctetString::from_string(sender.to_owned());
        let number = COctetString::from_string(sms.to.trim_start_matches('+').to_owned());
        let octets = OctetString::from_slice(&part.octets).map_err(|_| ());
        let validity = EmptyOrFullCOctetString::from_string(text::validity(seconds_left));
        let submission = SubmitSm::builder()
            .source_addr_ton(ton)
            .source_addr_npi(npi)
            .source_addr(
                sender.map_err(|_| HandOverError::Misconfigured { reason: Reason::new("gateway.sender_refused") })?,
            )
            .dest_addr_ton(Ton::International)
            .dest_addr_npi(Npi::Isdn)
            .destination_addr(number.map_err(|_| ()).map_err(unusable("gateway.number_invalid"))?)
            // Never `default()`: the crate's default has a bit set that says the text is an acknowledgement.
            .esm_class(EsmClass::from(if part.has_header { HAS_HEADER } else { 0 }))
            .validity_period(validity.map_err(|_| ()).map_err(unusable("gateway.text_unusable"))?)
            .registered_delivery(RegisteredDelivery::from(WANTS_RECEIPT))
            .data_coding(DataCoding::from(part.coding))
            .short_message(octets.map_err(unusable("gateway.text_too_long"))?)
            .build();
        Ok(Pdu::SubmitSm(submission))
    }

    /// Hands over one part; the gateway's id for it, which is on disk then.
    async fn submit(&self, session: &Session, pdu: Pdu, place: TakenPart) -> Result<String, HandOverError> {
        let doubt = |code| HandOverError::InDoubt { reason: Reason::new(code) };
        let reply = match session.ask_noting(pdu, self.0.limit, Some(Box::new(place.clone()))).await {
            Ok(reply) => reply,
            Err(Lost::Unwritten) => return Err(away("gateway.connection_lost")),
            Err(Lost::Unanswered) => {
                let code = if session.has_ended() { "gateway.connection_lost" } else { "gateway.timeout" };
                return Err(doubt(code));
            }
        };
        if reply.code == CommandStatus::EsmeRinvbndsts {
            // It has forgotten us: only a new bind helps.
            session.end();
        }
        if reply.code != CommandStatus::EsmeRok {
            return Err(answer_code::refusal(reply.code));
        }
        let Some(gateway_ref) = self.id_in(&reply) else { return Err(doubt("gateway.answer_unreadable")) };
        if !gateway_ref.is_empty() {
            self.tell_taken(TakenPart { gateway_ref: gateway_ref.clone(), ..place }).await;
        }
        Ok(gateway_ref)
    }

    /// As [`Self::submit`], for a part without which those before it are worth nothing.
    async fn submit_patiently(&self, session: &Session, pdu: Pdu, place: TakenPart) -> Result<String, HandOverError> {
        for _ in 1..PATIENCE {
            match self.submit(session, pdu.clone(), place.clone()).await {
                Err(HandOverError::Throttled { .. }) => tokio::time::sleep(Duration::from_secs(1)).await,
                answered => return answered,
            }
        }
        self.submit(session, pdu, place).await
    }

    /// The id in an answer, empty where the gateway gives none; `None` for an answer that cannot be read.
    fn id_in(&self, reply: &Reply) -> Option<String> {
        match &reply.pdu {
            Some(Pdu::SubmitSmResp(taken)) => Some(answered_id(taken.message_id().as_str(), self.0.config.receipt_ids)),
            _ => None,
        }
    }

    /// Waits until the part is on disk: its receipts are known by its id alone.
    async fn tell_taken(&self, taken: TakenPart) {
        let _ = self.tell(NewsItem::Taken(taken)).await;
    }

    /// Says whether it is on disk now.
    async fn tell(&self, item: NewsItem) -> bool {
        let (stored, is_stored) = oneshot::channel();
        match self.0.news.send(News { item, stored }).await {
            Ok(()) => is_stored.await.unwrap_or(false),
            Err(_) => false,
        }
    }

    async fn open(&self) -> Result<Session, BindError> {
        let limit = self.0.limit;
        let away = |code| BindError::Unreachable(Reason::new(code));
        let mut wire = Wire::open(&self.0.endpoint, limit).await.map_err(|_| away("gateway.unreachable"))?;
        if let Some(tls) = &self.0.tls {
            let encrypted = wire.encrypt(&self.0.endpoint.host, Arc::clone(tls), limit).await;
            wire = encrypted.map_err(|_| away("gateway.tls_failed"))?;
        }
        let stream = wire.into_stream().ok_or_else(|| away("gateway.answer_unreadable"))?;
        let (arrivals, arrived) = mpsc::channel(WAITING);
        let session = Session::start(stream, arrivals);
        tokio::spawn(self.clone().take_arrivals(session.clone(), arrived));
        let refused = match session.ask(self.login(), limit).await {
            Ok(Reply { code: CommandStatus::EsmeRok, .. }) => return Ok(session),
            Ok(Reply { code, .. }) => match answer_code::refusal(code) {
                HandOverError::Misconfigured { reason } => BindError::Refused(Reason { code: BIND_REFUSED, ..reason }),
                refusal => BindError::Unreachable(refusal.reason().clone()),
            },
            Err(_) => away("gateway.bind_unanswered"),
        };
        session.end();
        Err(refused)
    }

    fn login(&self) -> Pdu {
        let config = &self.0.config;
        let login = BindTransceiver::builder()
            .system_id(COctetString::from_string(config.system_id.clone()).unwrap_or_default())
            .password(COctetString::from_string(config.password.expose().to_owned()).unwrap_or_default())
            .system_type(COctetString::from_string(config.system_type.clone()).unwrap_or_default())
            .interface_version(InterfaceVersion::Smpp3_4)
            .build();
        Pdu::BindTransceiver(login)
    }

    async fn take_arrivals(self, session: Session, mut arrived: mpsc::Receiver<Arrival>) {
        let turns = Arc::new(Semaphore::new(WAITING));
        while let Some(arrival) = arrived.recv().await {
            let (number, item) = match arrival {
                Arrival::Late(place, reply) => {
                    self.take_late(*place, &reply);
                    continue;
                }
                Arrival::Unreadable(number, octets) => (number, NewsItem::Unreadable(octets)),
                Arrival::Deliver(number, deliver) => match incoming::read(&deliver, self.0.config.receipt_ids) {
                    Incoming::Report(report) => (number, NewsItem::Report(report)),
                    Incoming::UnreadableReport => (number, NewsItem::UnreadableReport),
                    Incoming::Sms(sms) => (number, NewsItem::Sms(sms)),
                },
            };
            let (gateway, session) = (self.clone(), session.clone());
            let turn = Arc::clone(&turns).acquire_owned().await.expect("nobody closes the semaphore");
            // Side by side, so that many are written in one transaction.
            tokio::spawn(async move {
                let _turn = turn;
                let code = if gateway.tell(item).await { CommandStatus::EsmeRok } else { CommandStatus::EsmeRxTAppn };
                session.answer_delivery(number, code);
            });
        }
    }

    /// An answer that nobody waited for any more proves that the part was taken.
    fn take_late(&self, place: TakenPart, reply: &Reply) {
        let taken = (reply.code == CommandStatus::EsmeRok).then(|| self.id_in(reply)).flatten();
        if let Some(gateway_ref) = taken.filter(|id| !id.is_empty()) {
            let (gateway, taken) = (self.clone(), TakenPart { gateway_ref, is_late: true, ..place });
            tokio::spawn(async move { gateway.tell_taken(taken).await });
        }
    }
}

/// A session as long as it lasts.
#[derive(Debug)]
pub struct Bound {
    gateway: SmppGateway,
    session: Session,
}

impl Bound {
    /// Looks now and then whether the other side is there; returns when the session has ended.
    pub async fn keep(&self) {
        let inner = &self.gateway.0;
        let every = Duration::from_secs(inner.config.enquire_link_seconds);
        while tokio::time::timeout(every, self.session.ended()).await.is_err() {
            if !self.session.is_alive(inner.limit).await {
                self.session.end();
            }
        }
        inner.standing.send_if_modified(|standing| {
            let is_ours = matches!(standing, Standing::Bound(session) if session.has_ended());
            if is_ours {
                *standing = Standing::None;
            }
            is_ours
        });
    }
}

fn away(code: &'static str) -> HandOverError {
    HandOverError::Retry { after: None, reason: Reason::new(code), provider_down: true }
}

/// What becomes of an SMS whose first part has left, when a later one has not: it is never begun again.
fn partly(error: HandOverError) -> HandOverError {
    let detail = error.reason().detail.clone();
    match error {
        HandOverError::Rejected { .. } => {
            HandOverError::Rejected { reason: Reason { code: "gateway.partly_refused", detail } }
        }
        _ => HandOverError::InDoubt { reason: Reason { code: "gateway.partly_sent", detail } },
    }
}
