//! Owns who gets a letter and how: counting an audience and freezing it as deliveries by e-mail and on paper.
//!
//! It does not know what the letter says. Invariant: what is counted and what is frozen use the same conditions, word for
//! word, and no person is in both channels.

use serde::Serialize;

use super::area::codes_json;
use super::audience::{Freeze, IDS_PER_MESSAGE};
use super::{Result, Session, json};
use crate::domain::audience::LetterAudience;

/// A contact person who wants letters at `$2`.
macro_rules! wants_letters {
    () => {
        "p.letters = 1 AND p.letters_opt_out_at IS NULL AND (p.paused_until_at IS NULL OR p.paused_until_at <= $2)"
    };
}

macro_rules! by_email {
    () => {
        concat!(wants_letters!(), " AND p.email IS NOT NULL")
    };
}

/// Without e-mail but with an address that a postman finds.
macro_rules! on_paper {
    () => {
        concat!(wants_letters!(), " AND p.email IS NULL AND p.address <> '' AND p.place <> ''")
    };
}

/// Name and address as an envelope has them.
macro_rules! paper_address {
    () => {
        "p.name || '\n' || p.address || '\n' || TRIM(p.postcode || ' ' || p.place)"
    };
}

macro_rules! in_areas {
    () => {
        "p.erased_at IS NULL
     AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})"
    };
}

const COUNT: &str = concat!(
    "SELECT CAST(COUNT(*) AS BIGINT) AS contact_persons,
   CAST(COALESCE(SUM(p.households), 0) AS BIGINT) AS households,
   CAST(COALESCE(SUM(CASE WHEN ",
    by_email!(),
    " THEN 1 ELSE 0 END), 0) AS BIGINT) AS by_email,
   CAST(COALESCE(SUM(CASE WHEN ",
    on_paper!(),
    " THEN 1 ELSE 0 END), 0) AS BIGINT) AS on_paper
 FROM contact_person p
 WHERE ",
    in_areas!()
);

#[derive(sqlx::FromRow)]
struct Counts {
    contact_persons: i64,
    households: i64,
    by_email: i64,
    on_paper: i64,
}

impl From<Counts> for LetterAudience {
    fn from(counts: Counts) -> Self {
        Self {
            contact_persons: counts.contact_persons,
            households: counts.households,
            by_email: counts.by_email,
            on_paper: counts.on_paper,
            not_reached: counts.contact_persons - counts.by_email - counts.on_paper,
        }
    }
}

/// Whom a letter to these areas (with all below them, expanded by the caller) would reach at `now`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count<'a>(
    session: &mut Session,
    areas: impl IntoIterator<Item = &'a str>,
    now: i64,
) -> Result<LetterAudience> {
    let counts: Option<Counts> = session.one(session.sql(COUNT).bind(codes_json(areas)).bind(now)).await?;
    Ok(counts.expect("an aggregate returns a row").into())
}

const FREEZE_EMAIL: &str = concat!(
    "WITH audience AS (
   SELECT p.id, p.email AS address, p.area_code, p.households
   FROM contact_person p
   WHERE ",
    in_areas!(),
    "
     AND ",
    by_email!(),
    "),
 addressed AS (
   SELECT MIN(address) AS address, MIN(id) AS contact_person_id, MIN(area_code) AS area_code,
     CAST(COUNT(*) AS BIGINT) AS persons, CAST(SUM(households) AS BIGINT) AS households
   FROM audience
   GROUP BY LOWER(address)),
 ranked AS (
   SELECT address, contact_person_id, area_code, persons, households,
     ROW_NUMBER() OVER (PARTITION BY area_code ORDER BY households DESC, contact_person_id) AS place
   FROM addressed)
 INSERT INTO delivery (id, message_id, channel, address, contact_person_id, area_code, persons, households,
   state, priority, due_at, place, expires_at, queued_at)
 SELECT $3 + ROW_NUMBER() OVER (ORDER BY place, households DESC, contact_person_id),
   $4, 'email', address, contact_person_id, area_code, persons, households,
   'queued', $5, $6, place, $7, $8
 FROM ranked"
);

const FREEZE_PAPER: &str = concat!(
    "WITH audience AS (
   SELECT p.id, ",
    paper_address!(),
    " AS address, p.area_code, p.households
   FROM contact_person p
   WHERE ",
    in_areas!(),
    "
     AND ",
    on_paper!(),
    "),
 addressed AS (
   SELECT address, MIN(id) AS contact_person_id, MIN(area_code) AS area_code,
     CAST(COUNT(*) AS BIGINT) AS persons, CAST(SUM(households) AS BIGINT) AS households
   FROM audience
   GROUP BY address)
 INSERT INTO delivery (id, message_id, channel, address, contact_person_id, area_code, persons, households,
   state, priority, due_at, place, expires_at, queued_at)
 SELECT $3 + ROW_NUMBER() OVER (ORDER BY area_code, contact_person_id),
   $4, 'paper', address, contact_person_id, area_code, persons, households,
   'queued', $5, $6, 0, $7, $8
 FROM addressed"
);

const FREEZE_RECIPIENTS: &str = concat!(
    "WITH addressed AS MATERIALIZED (
   SELECT p.id, 'email' AS channel, LOWER(p.email) AS address
   FROM contact_person p
   WHERE ",
    in_areas!(),
    "
     AND ",
    by_email!(),
    "
   UNION ALL
   SELECT p.id, 'paper', ",
    paper_address!(),
    "
   FROM contact_person p
   WHERE ",
    in_areas!(),
    "
     AND ",
    on_paper!(),
    "),
 frozen AS MATERIALIZED (
   SELECT id, channel, CASE WHEN channel = 'email' THEN LOWER(address) ELSE address END AS address
   FROM delivery
   WHERE message_id = $3)
 INSERT INTO message_recipient (message_id, contact_person_id, channel, delivery_id, area_code, households, not_reached)
 SELECT $3, p.id, COALESCE(a.channel, 'email'), d.id, p.area_code, p.households,
   CASE WHEN d.id IS NOT NULL THEN NULL
     WHEN p.letters_opt_out_at IS NOT NULL THEN 'opted_out'
     WHEN p.letters = 0 THEN 'letters_off'
     WHEN p.paused_until_at IS NOT NULL AND p.paused_until_at > $2 THEN 'paused'
     ELSE 'no_address' END
 FROM contact_person p
 LEFT JOIN addressed a ON a.id = p.id
 LEFT JOIN frozen d ON d.channel = a.channel AND d.address = a.address
 WHERE ",
    in_areas!()
);

#[derive(Serialize)]
struct CopyRow<'a> {
    place: usize,
    address: &'a str,
}

const FREEZE_COPIES: &str =
    "INSERT INTO delivery (id, message_id, channel, address, contact_person_id, area_code, persons,
   households, state, priority, due_at, place, expires_at, queued_at)
 SELECT $2 + v.place, $3, 'email', v.address, NULL, NULL, 0, 0, 'queued', $4, $5, 1000000, $6, $7
 FROM {rows $1: place BIGINT, address TEXT}
 WHERE NOT EXISTS (
   SELECT 1 FROM delivery d WHERE d.message_id = $3 AND d.channel = 'email' AND LOWER(d.address) = LOWER(v.address))";

/// Ids of paper deliveries begin so far into a message's span, those of copies at twice that.
const IDS_PER_CHANNEL: i64 = IDS_PER_MESSAGE * 4 / 10;

/// When paper expires: never. It lies until somebody prints it or stops the letter.
const NEVER: i64 = 253_402_300_799_000;

/// How many deliveries a letter was frozen into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Frozen {
    /// By e-mail, copies included.
    pub by_email: u64,
    /// On paper.
    pub on_paper: u64,
}

/// Freezes the audience of a letter: one delivery for each e-mail address, compared without case, and one on paper for
/// each person without; those on the list of copies (`copies`, addresses in lower or upper case, each once) get one by
/// e-mail unless they have it already.
///
/// # Errors
/// [`super::StoreError`].
pub async fn freeze(session: &mut Session, areas_json: &str, freeze: &Freeze<'_>, copies: &[&str]) -> Result<Frozen> {
    let first_id = freeze.number * IDS_PER_MESSAGE;
    let bound = |session: &Session, sql: &'static str, first_id: i64, expires_at: i64| {
        session
            .sql(sql)
            .bind(areas_json.to_owned())
            .bind(freeze.now)
            .bind(first_id)
            .bind(freeze.message_id.to_owned())
            .bind(freeze.priority)
            .bind(freeze.due_at)
            .bind(expires_at)
            .bind(freeze.now)
    };
    let emails = session.execute(bound(session, FREEZE_EMAIL, first_id, freeze.expires_at)).await?;
    let on_paper = session.execute(bound(session, FREEZE_PAPER, first_id + IDS_PER_CHANNEL, NEVER)).await?;
    let statement =
        session.sql(FREEZE_RECIPIENTS).bind(areas_json.to_owned()).bind(freeze.now).bind(freeze.message_id.to_owned());
    session.execute(statement).await?;
    let copied = freeze_copies(session, freeze, copies).await?;
    Ok(Frozen { by_email: emails + copied, on_paper })
}

/// Freezes deliveries by e-mail to addresses of nobody in the register: copies and tests.
///
/// # Errors
/// [`super::StoreError`].
pub async fn freeze_copies(session: &mut Session, freeze: &Freeze<'_>, addresses: &[&str]) -> Result<u64> {
    if addresses.is_empty() {
        return Ok(0);
    }
    let rows: Vec<CopyRow<'_>> =
        addresses.iter().enumerate().map(|(at, address)| CopyRow { place: at + 1, address }).collect();
    let statement = session
        .sql(FREEZE_COPIES)
        .bind(json(&rows))
        .bind(freeze.number * IDS_PER_MESSAGE + 2 * IDS_PER_CHANNEL)
        .bind(freeze.message_id.to_owned())
        .bind(freeze.priority)
        .bind(freeze.due_at)
        .bind(freeze.expires_at)
        .bind(freeze.now);
    session.execute(statement).await
}

const FROZEN_COUNTS: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS contact_persons,
   CAST(COALESCE(SUM(households), 0) AS BIGINT) AS households,
   CAST(COALESCE(SUM(CASE WHEN delivery_id IS NOT NULL AND channel = 'email' THEN 1 ELSE 0 END), 0) AS BIGINT) AS by_email,
   CAST(COALESCE(SUM(CASE WHEN delivery_id IS NOT NULL AND channel = 'paper' THEN 1 ELSE 0 END), 0) AS BIGINT) AS on_paper
 FROM message_recipient
 WHERE message_id = $1";

/// The audience of a letter as it was frozen.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_frozen(session: &mut Session, message_id: &str) -> Result<LetterAudience> {
    let counts: Option<Counts> = session.one(session.sql(FROZEN_COUNTS).bind(message_id.to_owned())).await?;
    Ok(counts.expect("an aggregate returns a row").into())
}
