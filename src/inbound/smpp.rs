//! Owns what comes over SMPP sessions: ids of parts and receipts stored before they are answered, receipts matched to parts
//! afterwards, and parts of incoming SMS put together.
//!
//! It moves no delivery itself: what the parts of an attempt say together goes the way of the reports that a hook brings.
//! Invariants: receipts that come before the part they are about is on disk wait for it; a receipt about an id that nobody knows
//! proves an attempt in doubt only where no other SMS to that number could be meant (ADR 0009, 0018).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::gateway_hook::GatewayHook;
use super::receipt::ReceiptDesk;
use super::sms::SmsDesk;
use crate::ambient::{self, Clock, Wakeup};
use crate::domain::delivery_token::{DeliveryToken, TokenKey};
use crate::domain::reply;
use crate::domain::sms_text::SmsText;
use crate::provider::smpp::{self, InboundPart, News, NewsItem, PartReport, TakenPart};
use crate::provider::{Receipt, ReceiptState};
use crate::store::attempt::Doubted;
use crate::store::sms_part::{self, Loose, Matched, NewPart, NewReport, Standing};
use crate::store::{self, Session, Store, StoreError};

/// Things stored in one transaction.
const BATCH: usize = 500;
/// Receipts matched at a time.
const MATCHED: i64 = 1_000;
/// Between two looks when nothing rings.
const EVERY: Duration = Duration::from_millis(500);
/// After the database was away.
const AFTER_FAILURE: Duration = Duration::from_millis(250);
/// The rest of a long incoming SMS is waited for this long: 2 minutes.
const WHOLE_WITHIN_MS: i64 = 2 * 60_000;
/// The same SMS brought again within about this time is one: 5 minutes. An SMPP gateway gives incoming SMS no id.
const AGAIN_MS: i64 = 5 * 60_000;
/// A receipt about an earlier SMS to the same number may come this late: 7 days.
const RIVAL_MS: i64 = 7 * 86_400_000;
/// Beside a gateway's time-out, this long until an answer under way must have been stored.
const SETTLED_AFTER_MS: i64 = 2_000;
/// Receipts about unknown ids older than this are shown to whoever watches.
const LOOSE_MS: i64 = 60_000;

/// Numbers whose last text is remembered.
const MOST_SENDERS: usize = 10_000;

/// What one gateway's sessions bring is taken in here.
#[derive(Debug, Clone)]
pub struct SmppDesk {
    /// The database.
    pub store: Store,
    /// Wall clock.
    pub clock: Clock,
    /// Key of the digests of numbers.
    pub token_key: Arc<TokenKey>,
    /// The gateway's name.
    pub name: String,
    /// The gateway, as the readers of incoming SMS know it.
    pub hook: GatewayHook,
    /// Where what becomes of attempts is handed in.
    pub receipts: ReceiptDesk,
    /// Where incoming SMS are handed in.
    pub sms: SmsDesk,
    /// Rung when something was stored.
    pub stored: Wakeup,
    /// What each number sent last.
    pub last_texts: LastTexts,
}

/// The last text of each number, as a digest, with what it is known by besides: brought again it is the same, and said again after
/// something else it is another.
pub type LastTexts = Arc<Mutex<HashMap<String, (String, String)>>>;

impl SmppDesk {
    /// Stores what comes until the gateway is gone: also while the daemon stops, since hand-overs under way wait for it.
    pub async fn take_in(self, mut news: mpsc::Receiver<News>) {
        let mut waiting = Vec::with_capacity(BATCH);
        // What is taken stays until it is on disk, however long the database is away.
        let mut taken: Vec<News> = Vec::new();
        loop {
            if taken.is_empty() {
                if news.recv_many(&mut waiting, BATCH).await == 0 {
                    return;
                }
            } else {
                tokio::time::sleep(AFTER_FAILURE).await;
                while waiting.len() < BATCH
                    && let Ok(more) = news.try_recv()
                {
                    waiting.push(more);
                }
            }
            let mut batch = std::mem::take(&mut taken);
            batch.extend(waiting.drain(..).filter_map(|news| self.pass_on(news)));
            let written = self.write(&batch).await;
            if let Err(error) = &written {
                tracing::warn!(code = error.code(), news = batch.len(), "news of a gateway could not be stored");
            }
            for news in batch {
                match (&written, &news.item) {
                    (Ok(()), _) => news.is_stored(true),
                    (Err(_), NewsItem::Taken(_)) => taken.push(news),
                    (Err(_), _) => news.is_stored(false),
                }
            }
            self.stored.ring();
        }
    }

    /// Hands on what is stored elsewhere; the rest comes back.
    fn pass_on(&self, news: News) -> Option<News> {
        let body = match &news.item {
            NewsItem::UnreadableReport => {
                metrics::counter!("grannpost_unreadable_receipts_total", "gateway" => self.name.clone()).increment(1);
                news.is_stored(true);
                return None;
            }
            NewsItem::Unreadable(octets) => octets.clone(),
            NewsItem::Sms(part) if part.place.is_none() => self.whole(part),
            _ => return Some(news),
        };
        let desk = self.clone();
        tokio::spawn(async move {
            let kept = desk.sms.keep(&desk.hook, &desk.name, &body).await;
            news.is_stored(kept.is_ok());
        });
        None
    }

    fn whole(&self, part: &InboundPart) -> Vec<u8> {
        let about_when = self.clock.now_ms() / AGAIN_MS;
        let mut digest =
            Sha256::new_with_prefix(format!("{}\n{}\n{}\n{about_when}\n", part.from, part.to, part.coding));
        digest.update(&part.octets);
        let pieces = [(part.coding, part.octets.clone())];
        let keep = |key: &str| smpp::as_kept(key, (&part.from, &part.to), &pieces);
        let key = data_encoding::HEXLOWER.encode(&digest.finalize());
        let turn = self.turn(&part.from, &key);
        // A command that is read twice does no harm; the last of STOP, START, STOP taken for a copy of the first would.
        match smpp::decode_kept(&keep("")).is_ok_and(|sms| reply::command(&sms.text, true).is_some()) {
            true => keep(&format!("{key}-{turn}")),
            false => keep(&key),
        }
    }

    /// What a text is known by besides, as long as its sender sends nothing else.
    fn turn(&self, from: &str, key: &str) -> String {
        let mut last = self.last_texts.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= MOST_SENDERS {
            last.clear();
        }
        let known = last.get(from).filter(|(text, _)| text == key).map(|(_, turn)| turn.clone());
        let turn = known.unwrap_or_else(|| ambient::new_id(&self.clock));
        last.insert(from.to_owned(), (key.to_owned(), turn.clone()));
        turn
    }

    async fn write(&self, news: &[News]) -> Result<(), StoreError> {
        let (mut parts, mut reports, mut inbound) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for news in news {
            match &news.item {
                NewsItem::Taken(taken) => {
                    let part = self.part(taken);
                    if taken.is_late {
                        let report = self.late(taken);
                        reports.insert((report.gateway_ref.clone(), report.word.clone()), report);
                    }
                    parts.insert(part.gateway_ref.clone(), part);
                }
                NewsItem::Report(report) => {
                    let report = self.report(report);
                    reports.insert((report.gateway_ref.clone(), report.word.clone()), report);
                }
                NewsItem::Sms(part) => {
                    let part = kept(part, self.clock.now_ms());
                    inbound.insert((part.whole.clone(), part.part), part);
                }
                NewsItem::UnreadableReport | NewsItem::Unreadable(_) => {}
            }
        }
        if parts.is_empty() && reports.is_empty() && inbound.is_empty() {
            return Ok(());
        }
        let mut session = self.store.begin_dispatch().await?;
        let now = self.clock.now_ms();
        sms_part::put(&mut session, &self.name, &parts.into_values().collect::<Vec<_>>(), now).await?;
        sms_part::keep_reports(&mut session, &self.name, &reports.into_values().collect::<Vec<_>>(), now).await?;
        sms_part::keep_inbound(&mut session, &self.name, &inbound.into_values().collect::<Vec<_>>()).await?;
        session.commit().await
    }

    fn part(&self, taken: &TakenPart) -> NewPart {
        NewPart {
            gateway_ref: taken.gateway_ref.clone(),
            delivery_id: taken.token.delivery_id,
            attempt: taken.token.attempt,
            part: i64::from(taken.part),
            parts: i64::from(taken.parts),
            addressee: self.addressee(&taken.number),
        }
    }

    /// An answer that came late is a word of the gateway like any other.
    fn late(&self, taken: &TakenPart) -> NewReport {
        NewReport {
            gateway_ref: taken.gateway_ref.clone(),
            word: "answered late".to_owned(),
            state: Some("sent"),
            addressee: self.addressee(&taken.number),
        }
    }

    fn report(&self, report: &PartReport) -> NewReport {
        NewReport {
            gateway_ref: report.gateway_ref.clone(),
            word: report.word.clone(),
            state: report.state.map(|state| match state {
                ReceiptState::Sent => "sent",
                ReceiptState::Delivered => "delivered",
                ReceiptState::Failed => "failed",
            }),
            addressee: self.addressee(&report.number),
        }
    }

    fn addressee(&self, number: &str) -> String {
        self.token_key.fingerprint("sms_part", number)
    }

    /// Matches receipts, proves what is in doubt and joins what came in, until `stop`.
    pub async fn work(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.round().await {
                Ok(true) => Duration::ZERO,
                Ok(false) => EVERY,
                Err(error) => {
                    tracing::warn!(code = error.code(), "receipts of parts could not be matched; trying again");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                () = self.stored.wait(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// One look at everything; says whether there may be more.
    async fn round(&self) -> Result<bool, StoreError> {
        self.join().await?;
        self.prove().await?;
        let mut session = self.store.read_dispatch().await?;
        let matched = sms_part::matched(&mut session, &self.name, MATCHED).await?;
        let loose = sms_part::count_loose(&mut session, &self.name, self.clock.now_ms() - LOOSE_MS).await?;
        drop(session);
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("grannpost_unmatched_receipts", "gateway" => self.name.clone()).set(loose as f64);
        if matched.is_empty() {
            return Ok(false);
        }
        self.settle(&matched).await?;
        Ok(i64::try_from(matched.len()).unwrap_or(0) == MATCHED)
    }

    /// Puts what receipts say on their parts, and what the parts say together on their deliveries.
    async fn settle(&self, matched: &[Matched]) -> Result<(), StoreError> {
        // Oldest first, and the first final word about a part stays.
        let mut finals: BTreeMap<&str, &str> = BTreeMap::new();
        for report in matched {
            if let Some(state @ ("delivered" | "failed")) = report.state.as_deref() {
                finals.entry(&report.gateway_ref).or_insert(state);
            }
        }
        let mut session = self.store.begin_dispatch().await?;
        sms_part::note_states(&mut session, &self.name, &finals.into_iter().collect::<Vec<_>>()).await?;
        session.commit().await?;
        let ids: BTreeSet<i64> = matched.iter().map(|report| report.delivery_id).collect();
        let mut session = self.store.read_dispatch().await?;
        let standing = sms_part::standing(&mut session, &ids.into_iter().collect::<Vec<_>>()).await?;
        drop(session);
        let standing: HashMap<(i64, i64), Standing> =
            standing.into_iter().map(|standing| ((standing.delivery_id, standing.attempt), standing)).collect();
        let mut reports = Vec::with_capacity(matched.len());
        for report in matched {
            if let Some(standing) = standing.get(&(report.delivery_id, report.attempt)) {
                let token = DeliveryToken { delivery_id: report.delivery_id, attempt: report.attempt };
                reports.push((token, receipt(report, standing)));
            }
        }
        if self.receipts.take_all(&self.name, reports).await.is_err() {
            // They stay and are matched again.
            return Ok(());
        }
        let done: Vec<(&str, &str)> =
            matched.iter().map(|report| (report.gateway_ref.as_str(), report.word.as_str())).collect();
        let mut session = self.store.begin_dispatch().await?;
        sms_part::drop_reports(&mut session, &self.name, &done).await?;
        session.commit().await
    }

    /// Gives attempts in doubt the ids of receipts that can be about nothing else.
    async fn prove(&self) -> Result<(), StoreError> {
        let mut session = self.store.read_dispatch().await?;
        let doubted = store::attempt::doubted(&mut session, &self.name, MATCHED).await?;
        if doubted.is_empty() {
            return Ok(());
        }
        let now = self.clock.now_ms();
        let mut by_addressee: BTreeMap<String, Vec<&Doubted>> = BTreeMap::new();
        for doubt in &doubted {
            by_addressee.entry(self.addressee(&doubt.address)).or_default().push(doubt);
        }
        let asked: Vec<String> = by_addressee.keys().cloned().collect();
        let loose = sms_part::loose(&mut session, &self.name, &asked).await?;
        if loose.is_empty() {
            return Ok(());
        }
        let rivals = sms_part::unreported(&mut session, &self.name, &asked, now - RIVAL_MS).await?;
        let mut parts = Vec::new();
        for (addressee, doubts) in &by_addressee {
            let [doubt] = doubts.as_slice() else { continue };
            let has_rival = rivals.iter().any(|(whose, delivery)| whose == addressee && *delivery != doubt.delivery_id);
            let about: Vec<&Loose> = loose.iter().filter(|loose| loose.addressee == *addressee).collect();
            if has_rival || about.is_empty() || about.iter().any(|loose| !self.may_prove(doubt, loose, now)) {
                continue;
            }
            let total = parts_of(&mut session, doubt.delivery_id).await?;
            let known = sms_part::standing(&mut session, &[doubt.delivery_id]).await?;
            let known = known.iter().find(|standing| standing.attempt == doubt.number);
            parts.extend(adopted(doubt, &about, known, total));
        }
        drop(session);
        if parts.is_empty() {
            return Ok(());
        }
        let mut session = self.store.begin_dispatch().await?;
        sms_part::put(&mut session, &self.name, &parts, now).await?;
        session.commit().await
    }

    /// Whether a receipt may be about an attempt: it came after it, and every answer that was under way then is stored by now.
    fn may_prove(&self, doubt: &Doubted, loose: &Loose, now: i64) -> bool {
        let under_way = i64::try_from(self.hook.config.timeout_seconds * 1_000).unwrap_or(i64::MAX / 4);
        loose.received_at >= doubt.stamped_at && now - loose.received_at >= under_way + SETTLED_AFTER_MS
    }

    /// Puts together the parts of incoming SMS that are all there, or will not be.
    async fn join(&self) -> Result<(), StoreError> {
        let mut session = self.store.read_dispatch().await?;
        let parts = sms_part::joinable(&mut session, &self.name, self.clock.now_ms() - WHOLE_WITHIN_MS).await?;
        drop(session);
        for whole in parts.chunk_by(|a, b| a.whole == b.whole) {
            let first = &whole[0];
            let pieces: Vec<(u8, Vec<u8>)> = whole.iter().filter_map(piece).collect();
            let body = smpp::as_kept(&key_of(whole), (&first.sender, &first.recipient), &pieces);
            if self.sms.keep(&self.hook, &self.name, &body).await.is_err() {
                return Ok(());
            }
            // Killed before this, the whole is kept again, and is the same row.
            let mut session = self.store.begin_dispatch().await?;
            let read: Vec<i64> = whole.iter().map(|part| part.part).collect();
            sms_part::drop_inbound(&mut session, &self.name, &first.whole, &read).await?;
            session.commit().await?;
        }
        Ok(())
    }
}

/// What a receipt about a part says of its SMS: arrived when all parts have, not when one has not, and otherwise taken, once the
/// gateway is known to have every part.
fn receipt(report: &Matched, standing: &Standing) -> Receipt {
    let state = if standing.failed > 0 {
        Some(ReceiptState::Failed)
    } else if standing.delivered >= standing.parts {
        Some(ReceiptState::Delivered)
    } else {
        (standing.known >= standing.parts && report.state.is_some()).then_some(ReceiptState::Sent)
    };
    let word = if report.parts > 1 {
        format!("{} {}/{}", report.word, report.part, report.parts)
    } else {
        report.word.clone()
    };
    let gateway_ref = standing.first_ref.clone().unwrap_or_else(|| report.gateway_ref.clone());
    Receipt { gateway_ref, state, word, delivered_at: None }
}

/// How many parts the SMS of a delivery has.
async fn parts_of(session: &mut Session, delivery_id: i64) -> Result<i64, StoreError> {
    let Some(delivery) = store::delivery::get(session, delivery_id).await? else { return Ok(0) };
    let message = store::message::get(session, &delivery.message_id).await?;
    let parts =
        message.and_then(|message| SmsText::parse(&message.body).ok()).map_or(0, |text| text.segmentation().parts);
    Ok(i64::try_from(parts).unwrap_or(0))
}

/// The parts that receipts show an attempt in doubt to have had; none when there are more of them than it can have.
fn adopted(doubt: &Doubted, about: &[&Loose], known: Option<&Standing>, total: i64) -> Vec<NewPart> {
    let taken = known.map_or(0, |known| known.known);
    let total = known.map_or(total, |known| known.parts);
    if i64::try_from(about.len()).unwrap_or(i64::MAX) > total - taken {
        return Vec::new();
    }
    let parts = about.iter().zip(taken + 1..).map(|(loose, part)| NewPart {
        gateway_ref: loose.gateway_ref.clone(),
        delivery_id: doubt.delivery_id,
        attempt: doubt.number,
        part,
        parts: total,
        addressee: loose.addressee.clone(),
    });
    parts.collect()
}

fn kept(part: &InboundPart, received_at: i64) -> sms_part::InboundPart {
    let place = part.place.unwrap_or(smpp::Place { reference: 0, total: 1, number: 1 });
    let whole = Sha256::digest(format!("{}\n{}\n{}\n{}", part.from, part.to, place.reference, place.total));
    sms_part::InboundPart {
        whole: data_encoding::HEXLOWER.encode(&whole),
        part: i64::from(place.number),
        parts: i64::from(place.total),
        sender: part.from.clone(),
        recipient: part.to.clone(),
        coding: i64::from(part.coding),
        body: data_encoding::BASE64.encode(&part.octets),
        received_at,
    }
}

/// What a whole is known by. A sender's references come again after some hundred SMS, so the time goes with it.
fn key_of(whole: &[sms_part::InboundPart]) -> String {
    let came_at = whole.iter().map(|part| part.received_at).min().unwrap_or(0);
    data_encoding::HEXLOWER.encode(&Sha256::digest(format!("{}\n{came_at}", whole[0].whole)))
}

fn piece(part: &sms_part::InboundPart) -> Option<(u8, Vec<u8>)> {
    Some((u8::try_from(part.coding).ok()?, data_encoding::BASE64.decode(part.body.as_bytes()).ok()?))
}
