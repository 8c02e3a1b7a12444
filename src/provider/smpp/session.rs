//! Owns one connection to an SMPP gateway: frames, the window of questions that wait for their answers, and the keep-alive.
//!
//! It binds, reconnects and decides nothing. Invariants: a question counts as written from just before its first octet goes
//! out, so that one told as unwritten surely never left; a frame that cannot be read ends neither the connection nor the reader.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use rusmpp::decode::DecodeWithLength as _;
use rusmpp::encode::{Encode as _, Length as _};
use rusmpp::pdus::{DeliverSm, DeliverSmResp};
use rusmpp::{Command, CommandId, CommandStatus, Pdu};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::TakenPart;

/// Octets of one frame, its length included; a receipt has some hundred.
const MAX_FRAME: usize = 64 * 1024;
/// Octets before a frame's body: length, id, code, sequence number.
const HEAD: usize = 16;
/// Set in the id of every answer.
const IS_ANSWER: u32 = 0x8000_0000;
/// Frames that may wait to be written.
const OUTGOING: usize = 1_024;
/// A frame that cannot be written within this time ends the connection.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// Questions whose answer may still come after we have stopped waiting for it.
const MOST_LATE: usize = 4_096;
/// The highest sequence number (SMPP 3.4, 3.2).
const LAST_SEQUENCE: u32 = 0x7fff_ffff;

/// What came in that is no answer.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A receipt or an SMS; to be answered under this sequence number.
    Deliver(u32, Box<DeliverSm>),
    /// One that cannot be read, as it came; to be answered likewise.
    Unreadable(u32, Vec<u8>),
    /// The answer to a question that nobody waits for any more, with what was noted of it.
    Late(Box<TakenPart>, Box<Reply>),
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) code: CommandStatus,
    /// What it carries; `None` when there is nothing or it cannot be read.
    pub(super) pdu: Option<Pdu>,
}

/// A question without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// It surely never left.
    Unwritten,
    /// It may have arrived.
    Unanswered,
}

/// One connection. Clones speak over the same one.
#[derive(Debug, Clone)]
pub(super) struct Session {
    outgoing: mpsc::Sender<Frame>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    open: Mutex<HashMap<u32, Question>>,
    next: AtomicU32,
    ended: CancellationToken,
}

#[derive(Debug)]
enum Question {
    Waits { answer: oneshot::Sender<Result<Reply, Lost>>, is_written: bool, note: Option<Box<TakenPart>> },
    Late(Box<TakenPart>),
}

#[derive(Debug)]
struct Frame {
    octets: Vec<u8>,
    /// The question it is, if it is one.
    question: Option<u32>,
}

impl Session {
    /// Speaks over `stream` until it breaks or [`Session::end`] is called; what comes in goes to `arrivals`.
    pub(super) fn start<S>(stream: S, arrivals: mpsc::Sender<Arrival>) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (outgoing, frames) = mpsc::channel(OUTGOING);
        let shared =
            Arc::new(Shared { open: Mutex::default(), next: AtomicU32::new(1), ended: CancellationToken::new() });
        let session = Self { outgoing, shared };
        let (reading, writing) = tokio::io::split(stream);
        tokio::spawn(read_all(session.clone(), reading, arrivals));
        tokio::spawn(write_all(Arc::clone(&session.shared), writing, frames));
        session
    }

    /// Asks and waits at most `limit` for the answer.
    pub(super) async fn ask(&self, pdu: Pdu, limit: Duration) -> Result<Reply, Lost> {
        self.ask_noting(pdu, limit, None).await
    }

    /// As [`Session::ask`]; an answer that comes later still is an [`Arrival::Late`] with the note.
    pub(super) async fn ask_noting(
        &self,
        pdu: Pdu,
        limit: Duration,
        note: Option<Box<TakenPart>>,
    ) -> Result<Reply, Lost> {
        let number = self.shared.number();
        let (answer, answered) = oneshot::channel();
        self.shared.open().insert(number, Question::Waits { answer, is_written: false, note });
        let waiting = async {
            let frame = Frame { octets: encode(CommandStatus::EsmeRok, number, pdu), question: Some(number) };
            tokio::select! {
                sent = self.outgoing.send(frame) => sent.map_err(|_| Lost::Unwritten)?,
                () = self.shared.ended.cancelled() => return Err(Lost::Unwritten),
            }
            if self.shared.ended.is_cancelled() {
                self.shared.drop_all();
            }
            answered.await.unwrap_or(Err(Lost::Unanswered))
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(answer) => answer,
            Err(_) => Err(self.shared.give_up(number)),
        }
    }

    /// Answers a delivery.
    pub(super) fn answer_delivery(&self, number: u32, code: CommandStatus) {
        self.tell(code, number, Pdu::DeliverSmResp(DeliverSmResp::default()));
    }

    /// Whether the other side is there.
    pub(super) async fn is_alive(&self, limit: Duration) -> bool {
        !self.has_ended() && self.ask(Pdu::EnquireLink, limit).await.is_ok()
    }

    /// Says good-bye and ends.
    pub(super) async fn unbind(&self, limit: Duration) {
        if !self.has_ended() {
            let _ = self.ask(Pdu::Unbind, limit).await;
        }
        self.end();
    }

    /// Ends; who waits for an answer is told.
    pub(super) fn end(&self) {
        self.shared.ended.cancel();
        self.shared.drop_all();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.shared.ended.is_cancelled()
    }

    /// Returns once it has ended.
    pub(super) async fn ended(&self) {
        self.shared.ended.cancelled().await;
    }

    /// Writes what is no question. A peer that reads so slowly that a thousand frames wait has gone.
    fn tell(&self, code: CommandStatus, number: u32, pdu: Pdu) {
        if self.outgoing.try_send(Frame { octets: encode(code, number, pdu), question: None }).is_err() {
            self.end();
        }
    }
}

impl Shared {
    fn number(&self) -> u32 {
        let next = |last: u32| Some(if last >= LAST_SEQUENCE { 1 } else { last + 1 });
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).expect("there is always a next one")
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Question>> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether a question may still be written; from now on it may have arrived.
    fn begin_to_write(&self, number: u32) -> bool {
        match self.open().get_mut(&number) {
            Some(Question::Waits { is_written, .. }) => {
                *is_written = true;
                true
            }
            _ => false,
        }
    }

    /// Stops waiting for an answer.
    fn give_up(&self, number: u32) -> Lost {
        let mut open = self.open();
        match open.remove(&number) {
            Some(Question::Waits { is_written: false, .. }) => Lost::Unwritten,
            Some(Question::Waits { note: Some(note), .. }) if open.len() < MOST_LATE => {
                open.insert(number, Question::Late(note));
                Lost::Unanswered
            }
            _ => Lost::Unanswered,
        }
    }

    /// Tells everybody who waits that no answer will come.
    fn drop_all(&self) {
        for (_, question) in self.open().drain() {
            if let Question::Waits { answer, is_written, .. } = question {
                let _ = answer.send(Err(if is_written { Lost::Unanswered } else { Lost::Unwritten }));
            }
        }
    }
}

fn encode(code: CommandStatus, number: u32, pdu: Pdu) -> Vec<u8> {
    let command = Command::new(code, number, pdu);
    let length = 4 + command.length();
    let mut octets = vec![0; length];
    octets[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    command.encode(&mut octets[4..]);
    octets
}

async fn write_all<W: AsyncWrite + Unpin>(shared: Arc<Shared>, mut stream: W, mut frames: mpsc::Receiver<Frame>) {
    let stop = shared.ended.clone();
    while let Some(Some(frame)) = stop.run_until_cancelled(frames.recv()).await {
        if frame.question.is_some_and(|number| !shared.begin_to_write(number)) {
            continue;
        }
        let written = async {
            stream.write_all(&frame.octets).await?;
            stream.flush().await
        };
        if !matches!(tokio::time::timeout(WRITE_LIMIT, written).await, Ok(Ok(()))) {
            break;
        }
    }
    shared.ended.cancel();
    shared.drop_all();
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.shutdown()).await;
}

async fn read_all<R: AsyncRead + Unpin>(session: Session, mut stream: R, arrivals: mpsc::Sender<Arrival>) {
    let stop = session.shared.ended.clone();
    while let Some(Ok(frame)) = stop.run_until_cancelled(read_frame(&mut stream)).await {
        if !take(&session, frame, &arrivals) {
            break;
        }
    }
    session.end();
}

/// One frame without its length.
async fn read_frame<R: AsyncRead + Unpin>(stream: &mut R) -> std::io::Result<BytesMut> {
    let length = stream.read_u32().await? as usize;
    if !(HEAD..=MAX_FRAME).contains(&length) {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut frame = BytesMut::zeroed(length - 4);
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

/// Deals with one frame; says whether the connection goes on.
fn take(session: &Session, frame: BytesMut, arrivals: &mpsc::Sender<Arrival>) -> bool {
    let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().expect("a frame has its head"));
    let (id, code, number) = (word(0), CommandStatus::from(word(4)), word(8));
    let as_it_came = frame.to_vec();
    let length = frame.len();
    let command = Command::decode(&mut { frame }, length).ok().map(|(command, _)| command);
    let pdu = command.and_then(|command| command.pdu().cloned());
    if id & IS_ANSWER != 0 {
        take_answer(session, number, Reply { code, pdu }, arrivals);
        return true;
    }
    match (CommandId::from(id), pdu) {
        (CommandId::EnquireLink, _) => session.tell(CommandStatus::EsmeRok, number, Pdu::EnquireLinkResp),
        (CommandId::Unbind, _) => {
            session.tell(CommandStatus::EsmeRok, number, Pdu::UnbindResp);
            return false;
        }
        (CommandId::DeliverSm, pdu) => {
            let arrival = match pdu {
                Some(Pdu::DeliverSm(deliver)) => Arrival::Deliver(number, Box::new(deliver)),
                _ => Arrival::Unreadable(number, as_it_came),
            };
            // Never waited for: answers to hand-overs come on the same wire, and the gateway brings this one again.
            if arrivals.try_send(arrival).is_err() {
                session.answer_delivery(number, CommandStatus::EsmeRxTAppn);
            }
        }
        (CommandId::AlertNotification, _) => {}
        _ => session.tell(CommandStatus::EsmeRinvcmdid, number, Pdu::GenericNack),
    }
    true
}

fn take_answer(session: &Session, number: u32, reply: Reply, arrivals: &mpsc::Sender<Arrival>) {
    let question = session.shared.open().remove(&number);
    match question {
        Some(Question::Waits { answer, .. }) => {
            let _ = answer.send(Ok(reply));
        }
        Some(Question::Late(note)) => {
            let _ = arrivals.try_send(Arrival::Late(note, Box::new(reply)));
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery_token::DeliveryToken;
    use proptest::prelude::*;

    const LIMIT: Duration = Duration::from_millis(200);

    fn pair() -> (Session, tokio::io::DuplexStream, mpsc::Receiver<Arrival>) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (arrivals, arrived) = mpsc::channel(8);
        (Session::start(ours, arrivals), theirs, arrived)
    }

    fn head(id: u32, number: u32) -> Vec<u8> {
        [16_u32, id, 0, number].into_iter().flat_map(u32::to_be_bytes).collect()
    }

    #[tokio::test]
    async fn a_question_that_was_written_and_lost_its_connection_may_have_arrived() {
        let (session, mut theirs, _arrived) = pair();
        let asking = tokio::spawn({
            let session = session.clone();
            async move { session.ask(Pdu::EnquireLink, Duration::from_secs(10)).await }
        });
        let mut octets = [0; 16];
        theirs.read_exact(&mut octets).await.unwrap();
        drop(theirs);
        assert!(matches!(asking.await.unwrap(), Err(Lost::Unanswered)));
        assert!(matches!(session.ask(Pdu::EnquireLink, LIMIT).await, Err(Lost::Unwritten)), "nothing leaves any more");
    }

    #[tokio::test]
    async fn an_answer_after_we_stopped_waiting_is_told_with_what_was_noted_of_the_question() {
        let (session, mut theirs, mut arrived) = pair();
        let note = TakenPart {
            token: DeliveryToken { delivery_id: 7, attempt: 1 },
            part: 1,
            parts: 1,
            number: String::new(),
            gateway_ref: String::new(),
            is_late: false,
        };
        let asked = session.ask_noting(Pdu::EnquireLink, LIMIT, Some(Box::new(note.clone()))).await;
        assert!(matches!(asked, Err(Lost::Unanswered)));
        theirs.write_all(&head(0x8000_0015, 1)).await.unwrap();
        let Some(Arrival::Late(told, _)) = arrived.recv().await else { panic!("it is told") };
        assert_eq!(*told, note);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told_as_it_came_and_the_connection_goes_on() {
        let (session, mut theirs, mut arrived) = pair();
        let mut odd = head(5, 7);
        odd[3] = 20;
        theirs.write_all(&odd).await.unwrap();
        theirs.write_all(b"\xff\xff\xff\xff").await.unwrap();
        assert!(matches!(arrived.recv().await, Some(Arrival::Unreadable(7, _))));
        theirs.write_all(&head(0x15, 8)).await.unwrap();
        let mut octets = [0; 16];
        theirs.read_exact(&mut octets).await.unwrap();
        assert_eq!(octets[4..8], 0x8000_0015_u32.to_be_bytes());
        assert!(!session.has_ended());
    }

    #[tokio::test]
    async fn a_frame_of_an_impossible_length_ends_the_connection() {
        for length in [0_u32, 15, 65_537, u32::MAX] {
            let (session, mut theirs, _arrived) = pair();
            theirs.write_all(&length.to_be_bytes()).await.unwrap();
            tokio::time::timeout(LIMIT, session.ended()).await.expect("it ends");
        }
    }

    proptest! {
        #[test]
        fn no_frame_stops_the_reader(id in prop::sample::select(vec![5_u32, 0x8000_0004, 0x8000_0009, 0x103, 0x102, 0x0b, 4]),
            body in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut frame = BytesMut::from(&head(id, 3)[4..]);
            frame.extend_from_slice(&body);
            let length = frame.len();
            let _ = Command::decode(&mut frame, length);
        }
    }
}
