//! Owns the blocks of a large audience that is frozen and not yet written out as rows.
//!
//! It does not know when a block is written out (`store::freezing`). Invariants: a delivery and the persons it covers are in
//! one block; whoever deletes a block writes its rows in the same transaction, or takes the whole audience back.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::coverage::{Freeze, Rows, delivery_rows, recipient_rows};
use super::deputy::StandIn;
use super::{Result, Session, json};
use crate::domain::coverage::{Coverage, NotReached, PlannedDelivery, PlannedRecipient};
use crate::domain::delivery::Channel;

/// Deliveries, or persons whom none covers, in one block.
pub const BLOCK: usize = 1_000;

/// Deliveries of the first block, which is written out in the transaction that publishes: nobody waits for it.
const FIRST_BLOCK: usize = 200;

/// A block on its way into the database.
#[derive(Debug)]
pub struct Block {
    deliveries: i64,
    content: String,
}

#[derive(Serialize, Deserialize, Default)]
struct Content<'a> {
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    deliveries: Vec<SealedDelivery<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    not_reached: Vec<SealedUnreached<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stand_ins: Vec<StandIn>,
}

/// Position, channel, address, area, place, persons.
#[derive(Serialize, Deserialize)]
struct SealedDelivery<'a>(
    i64,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    Option<String>,
    i64,
    #[serde(borrow)] Vec<SealedPerson<'a>>,
);

/// Id, households; the area where it is not the delivery's.
#[derive(Serialize, Deserialize)]
struct SealedPerson<'a>(#[serde(borrow)] Cow<'a, str>, i64, Option<String>);

/// Id, channel, area, households, why.
#[derive(Serialize, Deserialize)]
struct SealedUnreached<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    i64,
    Option<Cow<'a, str>>,
);

/// The blocks of an audience, of `size` each and the first smaller; made one by one, as they are asked for.
pub fn blocks(coverage: &Coverage, size: usize) -> impl Iterator<Item = Block> + '_ {
    let mut covered = coverage.covered().map(|(delivery, members)| seal(delivery, members)).peekable();
    let mut not_reached = coverage.not_reached().map(seal_unreached).peekable();
    let mut next = size.min(FIRST_BLOCK);
    std::iter::from_fn(move || {
        let content = if covered.peek().is_some() {
            let size = std::mem::replace(&mut next, size);
            Content { deliveries: covered.by_ref().take(size).collect(), ..Content::default() }
        } else if not_reached.peek().is_some() {
            Content { not_reached: not_reached.by_ref().take(size).collect(), ..Content::default() }
        } else {
            return None;
        };
        Some(block(&content))
    })
}

/// A block of deliveries that cover nobody, and in whose place they are made.
pub fn block_of_deputies<'a>(deliveries: impl Iterator<Item = PlannedDelivery<'a>>, stand_ins: Vec<StandIn>) -> Block {
    let deliveries = deliveries.map(|delivery| seal(delivery, std::iter::empty())).collect();
    block(&Content { deliveries, stand_ins, ..Content::default() })
}

fn block(content: &Content<'_>) -> Block {
    Block { deliveries: i64::try_from(content.deliveries.len()).unwrap_or(i64::MAX), content: json(content) }
}

fn seal<'a>(delivery: PlannedDelivery<'a>, members: impl Iterator<Item = PlannedRecipient<'a>>) -> SealedDelivery<'a> {
    let person = |member: PlannedRecipient<'a>| {
        let area = (Some(member.area_code) != delivery.area_code).then(|| member.area_code.to_owned());
        SealedPerson(member.contact_person_id, member.households, area)
    };
    let persons = members.map(person).collect();
    let area = delivery.area_code.map(str::to_owned);
    SealedDelivery(delivery.position, delivery.channel.code().into(), delivery.address, area, delivery.place, persons)
}

fn seal_unreached(person: PlannedRecipient<'_>) -> SealedUnreached<'_> {
    SealedUnreached(
        person.contact_person_id,
        person.channel.code().into(),
        person.area_code.into(),
        person.households,
        person.not_reached.map(|why| why.code().into()),
    )
}

const ADD: &str = "INSERT INTO sealed_audience (message_id, block, deliveries, expires_at, queued_at, content)
 VALUES ($1, $2, $3, $4, $5, $6)";

/// Adds blocks, the first of them with this number; says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add(session: &mut Session, freeze: &Freeze<'_>, first: i64, blocks: &[Block]) -> Result<u64> {
    for (number, block) in (first..).zip(blocks) {
        let statement = session
            .sql(ADD)
            .bind(freeze.message_id.to_owned())
            .bind(number)
            .bind(block.deliveries)
            .bind(freeze.expires_at)
            .bind(freeze.now)
            .bind(block.content.clone());
        session.execute(statement).await?;
    }
    Ok(blocks.len() as u64)
}

/// A block as it was sealed, ready to be written out.
#[derive(Debug)]
pub struct Opened {
    /// Its number within its message.
    pub number: i64,
    /// When its deliveries expire, Unix ms.
    pub expires_at: i64,
    /// When they were frozen, Unix ms.
    pub queued_at: i64,
    /// The position of its last delivery; `None` when it has none.
    pub last_position: Option<i64>,
    /// Its deliveries.
    pub deliveries: Rows,
    /// The persons they cover, or those whom none covers.
    pub recipients: Rows,
    /// For whom deputies are in it.
    pub stand_ins: Vec<StandIn>,
}

#[derive(sqlx::FromRow)]
struct BlockRow {
    block: i64,
    expires_at: i64,
    queued_at: i64,
    content: String,
}

const NEXT: &str = "SELECT block, expires_at, queued_at, content
 FROM sealed_audience
 WHERE message_id = $1
 ORDER BY block
 LIMIT 1";

/// The first block left of a message with this number.
///
/// # Errors
/// [`super::StoreError`]; [`super::StoreError::Schema`] for a block that cannot be read.
pub async fn next(session: &mut Session, message_id: &str, message_number: i64) -> Result<Option<Opened>> {
    let row: Option<BlockRow> = session.one(session.sql(NEXT).bind(message_id.to_owned())).await?;
    row.map(|row| open(&row, message_number)).transpose()
}

fn open(row: &BlockRow, message_number: i64) -> Result<Opened> {
    let content: Content<'_> = serde_json::from_str(&row.content).map_err(|_| {
        super::StoreError::Schema(format!("block {} of message {message_number} cannot be read", row.block))
    })?;
    let mut recipients: Vec<PlannedRecipient<'_>> = content.deliveries.iter().flat_map(recipients_of).collect();
    recipients.extend(content.not_reached.iter().map(unreached));
    // In the order in which the table keeps them: neighbours are written together.
    recipients.sort_unstable_by(|a, b| a.contact_person_id.cmp(&b.contact_person_id));
    Ok(Opened {
        number: row.block,
        expires_at: row.expires_at,
        queued_at: row.queued_at,
        last_position: content.deliveries.last().map(|delivery| delivery.0),
        deliveries: delivery_rows(message_number, content.deliveries.iter().map(planned)),
        recipients: recipient_rows(message_number, recipients.into_iter()),
        stand_ins: content.stand_ins,
    })
}

fn planned<'a>(sealed: &'a SealedDelivery<'a>) -> PlannedDelivery<'a> {
    let SealedDelivery(position, channel, address, area, place, persons) = sealed;
    PlannedDelivery {
        position: *position,
        channel: channel_of(channel),
        address: Cow::Borrowed(address.as_ref()),
        contact_person_id: persons.first().map(|person| Cow::Borrowed(person.0.as_ref())),
        area_code: area.as_deref(),
        persons: i64::try_from(persons.len()).unwrap_or(i64::MAX),
        households: persons.iter().map(|person| person.1).sum(),
        place: *place,
    }
}

fn recipients_of<'a>(sealed: &'a SealedDelivery<'a>) -> impl Iterator<Item = PlannedRecipient<'a>> {
    let SealedDelivery(position, channel, _, area, _, persons) = sealed;
    persons.iter().map(move |SealedPerson(id, households, own_area)| PlannedRecipient {
        contact_person_id: Cow::Borrowed(id.as_ref()),
        channel: channel_of(channel),
        position: Some(*position),
        area_code: own_area.as_deref().or(area.as_deref()).unwrap_or_default(),
        households: *households,
        not_reached: None,
    })
}

fn unreached<'a>(sealed: &'a SealedUnreached<'a>) -> PlannedRecipient<'a> {
    let SealedUnreached(id, channel, area, households, why) = sealed;
    PlannedRecipient {
        contact_person_id: Cow::Borrowed(id.as_ref()),
        channel: channel_of(channel),
        position: None,
        area_code: area,
        households: *households,
        not_reached: why.as_deref().and_then(NotReached::from_code),
    }
}

fn channel_of(code: &str) -> Channel {
    match code {
        "email" => Channel::Email,
        "paper" => Channel::Paper,
        _ => Channel::Sms,
    }
}

const REMOVE: &str = "DELETE FROM sealed_audience
 WHERE message_id = $1
   AND block = $2";

/// Deletes a block; `false` when somebody else did. Its rows are written in the same transaction.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(session: &mut Session, message_id: &str, block: i64) -> Result<bool> {
    let statement = session.sql(REMOVE).bind(message_id.to_owned()).bind(block);
    Ok(session.execute(statement).await? > 0)
}

const THAW: &str = "DELETE FROM sealed_audience
 WHERE message_id = $1
   AND block IN (
     SELECT s.block
     FROM sealed_audience s
     WHERE s.message_id = $1
     ORDER BY s.block
     LIMIT $2)";

/// Takes back up to so many blocks of an audience; says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn thaw(session: &mut Session, message_id: &str, limit: i64) -> Result<u64> {
    session.execute(session.sql(THAW).bind(message_id.to_owned()).bind(limit)).await
}

const IS_LEFT: &str = "SELECT message_id
 FROM sealed_audience
 WHERE $1 = '' OR message_id = $1
 LIMIT 1";

/// Whether a block of a message is left; with an empty id, of any.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_left(session: &mut Session, message_id: &str) -> Result<bool> {
    let row: Option<(String,)> = session.one(session.sql(IS_LEFT).bind(message_id.to_owned())).await?;
    Ok(row.is_some())
}

const COUNT: &str = "SELECT CAST(COALESCE(SUM(deliveries), 0) AS BIGINT) AS deliveries
 FROM sealed_audience
 WHERE message_id = $1";

/// How many deliveries of a message are in blocks.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count(session: &mut Session, message_id: &str) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(COUNT).bind(message_id.to_owned())).await?;
    Ok(row.unwrap_or_default().0)
}
