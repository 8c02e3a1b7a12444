//! Owns what we write to somebody because of what they sent: one message, a delivery for each of those it goes to.
//!
//! It goes the way of every message, so that pace, retries and outcome are the engine's. It does not decide whether anything
//! is written. Invariants: an SMS holds no link; what the program writes by itself goes after alerts.

use super::{Desk, Result, message};
use crate::domain::coverage::{POSITIONS, PlannedDelivery};
use crate::domain::delivery::{Channel, DeliveryState};
use crate::domain::message::priority;
use crate::domain::operator::{Actor, Role};
use crate::store::coverage::{Freeze, add_deliveries, delivery_rows};
use crate::store::message::Message;
use crate::store::reply::NewReply;
use crate::store::{self, Session};

/// Subject of what goes by mail.
const SUBJECT: &str = "Svar från polisen om grannsamverkan";

/// Why something is written to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// A person answers.
    Answer,
    /// A person tells what came of it.
    Feedback,
    /// The program says that the answer has come in.
    Automatic,
    /// The program says that a command was done.
    Confirmation,
    /// The program tells the duty number.
    Duty,
}

impl ReplyKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Feedback => "feedback",
            Self::Automatic => "automatic",
            Self::Confirmation => "confirmation",
            Self::Duty => "duty",
        }
    }

    /// What a thousand people get at once must not hold up an alert; a word that somebody may be in danger goes before it.
    fn priority(self) -> i64 {
        match self {
            Self::Duty => priority::CLOSING,
            Self::Answer | Self::Feedback => priority::ALERT,
            Self::Automatic | Self::Confirmation => priority::LETTER,
        }
    }

    /// How long it is worth handing over, in ms.
    fn lasts_ms(self) -> i64 {
        const HOUR: i64 = 3_600_000;
        match self {
            Self::Duty | Self::Automatic => HOUR,
            Self::Answer | Self::Feedback | Self::Confirmation => 24 * HOUR,
        }
    }
}

/// One of those a word goes to.
#[derive(Debug, Clone)]
pub(super) struct Addressee {
    /// Number or address.
    pub address: String,
    /// Whose it is, if known.
    pub contact_person_id: Option<String>,
    /// What is answered.
    pub observations: Vec<String>,
}

/// A word to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    pub kind: ReplyKind,
    pub channel: Channel,
    pub text: &'a str,
}

/// The program itself.
#[must_use]
pub(super) fn program() -> Actor {
    Actor { id: "grannpost".to_owned(), role: Role::Officer, area: String::new(), is_key: false }
}

/// Queues a word to these addresses, each named once. Returns the message's id.
pub(super) async fn queue(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    word: Word<'_>,
    to: &[Addressee],
) -> Result<String> {
    let message = message(desk, actor, store::setting::next_message_number(session).await?, word);
    store::message::insert(session, &message).await?;
    let freeze = Freeze {
        message_id: &message.id,
        number: message.number,
        priority: message.priority,
        due_at: message.created_at,
        expires_at: message.created_at + word.kind.lasts_ms(),
        now: message.created_at,
    };
    // Nobody's opt-out or pause is asked: they wrote, and this is the answer.
    let planned = (1..).zip(to).map(|(position, one)| PlannedDelivery {
        position,
        channel: word.channel,
        address: one.address.as_str().into(),
        contact_person_id: None,
        area_code: None,
        persons: 0,
        households: 0,
        place: position,
    });
    let deliveries = add_deliveries(session, &freeze, &delivery_rows(message.number, planned)).await?;
    store::settle::start_counting(session, &message.id, DeliveryState::Queued, deliveries).await?;
    for (position, one) in (1..).zip(to) {
        for observation in &one.observations {
            let reply = NewReply {
                message_id: &message.id,
                observation_id: observation,
                delivery_id: message.number * POSITIONS + position,
                contact_person_id: one.contact_person_id.as_deref(),
                kind: word.kind.code(),
                created_at: message.created_at,
            };
            store::reply::insert(session, &reply).await?;
        }
    }
    let detail =
        serde_json::json!({ "kind": word.kind.code(), "channel": word.channel.code(), "recipients": deliveries });
    desk.audit(session, actor, "reply.queued", ("reply", &message.id), detail).await?;
    Ok(message.id)
}

/// A message of kind `test`: it belongs to no area and is in no list.
fn message(desk: &Desk, actor: &Actor, number: i64, word: Word<'_>) -> Message {
    let body = match word.channel {
        Channel::Email => format!("{SUBJECT}\n{}", word.text),
        Channel::Sms | Channel::Paper => word.text.to_owned(),
    };
    let own = message::own(desk, actor, number, (body, desk.now() + word.kind.lasts_ms()));
    Message { priority: word.kind.priority(), numeric_sender: 1, ..own }
}
