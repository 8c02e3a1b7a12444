//! Owns who is in an audience: counting it, and reading everybody in it.
//!
//! It does not know texts, nor who is covered by which delivery (`domain::coverage`). Invariant: what is counted and what is
//! read use the same conditions, word for word.

use std::borrow::Cow;

use futures_util::future::try_join_all;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::area::codes_json;
use super::{Result, Session, StoreError};
use crate::domain::audience::{AlertAudience, LetterAudience};
use crate::domain::coverage::{Candidate, Crowd, NotReached};
use crate::domain::delivery::Channel;

/// Persons `p` in the areas `$1`.
macro_rules! in_areas {
    () => {
        "p.erased_at IS NULL
   AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})"
    };
}

/// Why person `p` gets no alert at a time, `$2` unless another is named; NULL when nothing is in the way.
macro_rules! no_alert {
    () => {
        no_alert!("$2")
    };
    ($now:literal) => {
        concat!(
            "CASE WHEN p.mobile IS NULL THEN 'no_mobile'
     WHEN p.alerts_opt_out_at IS NOT NULL THEN 'opted_out'
     WHEN p.alerts = 0 THEN 'alerts_off'
     WHEN p.paused_until_at > ",
            $now,
            " THEN 'paused' END"
        )
    };
}

/// Whether person `p` has an e-mail address that letters reach.
macro_rules! email_works {
    () => {
        "(p.email IS NOT NULL AND (p.email_unusable IS NULL OR p.email_unusable <> p.email))"
    };
}

/// Why person `p` gets no letter at `$2`; NULL when nothing is in the way. Paper needs an address that a postman finds.
macro_rules! no_letter {
    () => {
        concat!(
            "CASE WHEN p.letters_opt_out_at IS NOT NULL THEN 'opted_out'
     WHEN p.letters = 0 THEN 'letters_off'
     WHEN p.paused_until_at > $2 THEN 'paused'
     WHEN NOT ",
            email_works!(),
            " AND (p.address = '' OR p.place = '') THEN CASE WHEN p.email IS NULL THEN 'no_address' ELSE 'email_unusable' END END"
        )
    };
}

const COUNT_SMS: &str = concat!(
    "SELECT CAST(COUNT(*) AS BIGINT) AS contact_persons,
   CAST(COALESCE(SUM(q.households), 0) AS BIGINT) AS households,
   CAST(COALESCE(SUM(CASE WHEN q.why IS NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS by_sms,
   CAST(COALESCE(SUM(CASE WHEN q.why IS NULL THEN q.households ELSE 0 END), 0) AS BIGINT) AS households_by_sms
 FROM (SELECT p.households, ",
    no_alert!(),
    " AS why
 FROM contact_person p
 WHERE ",
    in_areas!(),
    ") q"
);

#[derive(sqlx::FromRow)]
struct SmsCounts {
    contact_persons: i64,
    households: i64,
    by_sms: i64,
    households_by_sms: i64,
}

impl From<SmsCounts> for AlertAudience {
    fn from(counts: SmsCounts) -> Self {
        Self {
            contact_persons: counts.contact_persons,
            households: counts.households,
            by_sms: counts.by_sms,
            households_by_sms: counts.households_by_sms,
            not_reached: counts.contact_persons - counts.by_sms,
        }
    }
}

/// Whom an alert to these areas (with all below them, expanded by the caller) would reach at `now`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_sms<'a>(
    session: &mut Session,
    areas: impl IntoIterator<Item = &'a str>,
    now: i64,
) -> Result<AlertAudience> {
    let counts: Option<SmsCounts> = session.one(session.sql(COUNT_SMS).bind(codes_json(areas)).bind(now)).await?;
    Ok(counts.expect("an aggregate returns a row").into())
}

const PROVEN: &str = concat!(
    "SELECT CAST(COUNT(*) AS BIGINT) AS contact_persons
 FROM contact_person p
 WHERE ",
    in_areas!(),
    "
   AND ",
    no_alert!(),
    " IS NULL
   AND EXISTS (
     SELECT 1
     FROM message_recipient r
     JOIN delivery d ON d.id = r.delivery_id
     WHERE r.contact_person_id = p.id
       AND d.channel = 'sms'
       AND d.address = p.mobile
       AND d.state = 'delivered'
       AND d.final_at >= $3)"
);

/// How many of those whom an alert to these areas (with all below them, expanded by the caller) would reach at `now` have
/// been proven to get SMS since `since`; Unix ms. It asks for every person: not for large audiences.
///
/// # Errors
/// [`super::StoreError`].
pub async fn proven<'a>(
    session: &mut Session,
    areas: impl IntoIterator<Item = &'a str>,
    (now, since): (i64, i64),
) -> Result<i64> {
    let statement = session.sql(PROVEN).bind(codes_json(areas)).bind(now).bind(since);
    let row: Option<(i64,)> = session.one(statement).await?;
    Ok(row.map_or(0, |(persons,)| persons))
}

const CENSUS: &str = concat!(
    "SELECT q.area_code, q.why, CAST(COUNT(*) AS BIGINT) AS contact_persons, CAST(SUM(q.households) AS BIGINT) AS households
 FROM (SELECT p.area_code, p.households, ",
    no_alert!("$1"),
    " AS why
 FROM contact_person p
 WHERE p.erased_at IS NULL) q
 GROUP BY q.area_code, q.why
 ORDER BY q.area_code, q.why"
);

/// Persons of one area itself, without what lies below it, who are alike in whether an alert would reach them.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct CensusRow {
    /// The area.
    pub area_code: String,
    /// Why none would: `no_mobile`, `opted_out`, `alerts_off` or `paused`, as it is kept when an audience is frozen; `None`
    /// when one would.
    pub why: Option<String>,
    /// Contact persons.
    pub contact_persons: i64,
    /// Households behind them.
    pub households: i64,
}

/// The whole register by area, and whether an alert would reach people there at `now`, Unix ms. It reads every person.
///
/// # Errors
/// [`super::StoreError`].
pub async fn census(session: &mut Session, now: i64) -> Result<Vec<CensusRow>> {
    session.list(session.sql(CENSUS).bind(now)).await
}

const COUNT_LETTER: &str = concat!(
    "SELECT CAST(COUNT(*) AS BIGINT) AS contact_persons,
   CAST(COALESCE(SUM(q.households), 0) AS BIGINT) AS households,
   CAST(COALESCE(SUM(CASE WHEN q.why IS NULL AND q.email IS NOT NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS by_email,
   CAST(COALESCE(SUM(CASE WHEN q.why IS NULL AND q.email IS NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS on_paper
 FROM (SELECT p.households, CASE WHEN ",
    email_works!(),
    " THEN p.email END AS email, ",
    no_letter!(),
    " AS why
 FROM contact_person p
 WHERE ",
    in_areas!(),
    ") q"
);

#[derive(sqlx::FromRow)]
struct LetterCounts {
    contact_persons: i64,
    households: i64,
    by_email: i64,
    on_paper: i64,
}

/// Whom a letter to these areas (with all below them, expanded by the caller) would reach at `now`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_letter<'a>(
    session: &mut Session,
    areas: impl IntoIterator<Item = &'a str>,
    now: i64,
) -> Result<LetterAudience> {
    let counts: Option<LetterCounts> = session.one(session.sql(COUNT_LETTER).bind(codes_json(areas)).bind(now)).await?;
    let counts = counts.expect("an aggregate returns a row");
    Ok(LetterAudience {
        contact_persons: counts.contact_persons,
        households: counts.households,
        by_email: counts.by_email,
        on_paper: counts.on_paper,
        not_reached: counts.contact_persons - counts.by_email - counts.on_paper,
    })
}

const COUNT_TO: &str = concat!(
    "SELECT CAST(COUNT(*) AS BIGINT) AS persons
 FROM (SELECT p.id
 FROM contact_person p
 WHERE ",
    in_areas!(),
    "
 LIMIT $2) q"
);

/// Whether more than `limit` persons are in these areas. It looks at no more than that many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_larger_than<'a>(
    session: &mut Session,
    areas: impl IntoIterator<Item = &'a str>,
    limit: i64,
) -> Result<bool> {
    let statement = session.sql(COUNT_TO).bind(codes_json(areas)).bind(limit.saturating_add(1));
    let row: Option<(i64,)> = session.one(statement).await?;
    Ok(row.is_some_and(|(persons,)| persons > limit))
}

/// Whose audience is read.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Area codes with all below them, as JSON rows.
    pub areas_json: &'a str,
    /// Unix ms.
    pub now: i64,
}

/// Persons of the register that are read as one row.
const CHUNK: i64 = 5_000;
/// More than any register has.
const EVERYBODY: i64 = 1 << 40;

/// What is asked of a person: id, area, households, channel, address, why not.
macro_rules! sms_person {
    () => {
        concat!("p.id, p.area_code, p.households, 'sms' AS channel, p.mobile AS address, ", no_alert!(), " AS why")
    };
}

macro_rules! letter_person {
    () => {
        concat!(
            "p.id, p.area_code, p.households, CASE WHEN ",
            email_works!(),
            " THEN 'email' ELSE 'paper' END AS channel,
   CASE WHEN ",
            email_works!(),
            " THEN p.email
     ELSE p.name || '\n' || p.address || '\n' || TRIM(p.postcode || ' ' || p.place) END AS address, ",
            no_letter!(),
            " AS why"
        )
    };
}

/// All persons who are in the areas, as one row.
macro_rules! crowd {
    ($person:expr) => {
        concat!(
            "SELECT {array of q.id, q.area_code, q.households, q.channel, q.address, q.why} AS persons
 FROM (SELECT ",
            $person,
            "
 FROM contact_person p
 WHERE ",
            in_areas!(),
            ") q"
        )
    };
}

/// Of the persons after the key `$3` up to the key `$4` those who are in the areas, as one row. They are found before anything else
/// is asked of them, which a limit that nobody reaches sees to: PostgreSQL may else begin with the areas, for every row.
macro_rules! chunk {
    ($person:expr) => {
        concat!(
            "SELECT {array of q.id, q.area_code, q.households, q.channel, q.address, q.why} AS persons
 FROM (SELECT ",
            $person,
            "
 FROM (SELECT p.* FROM contact_person p WHERE {key of p} > {key $3} AND {key of p} <= {key $4} LIMIT $5) p
 WHERE ",
            in_areas!(),
            ") q"
        )
    };
}

/// The last of the next `$2` persons after the key `$1`.
const CHUNK_END: &str = "SELECT {text of key} AS last
 FROM (SELECT {key of p} AS key
   FROM contact_person p
   WHERE {key of p} > {key $1}
   ORDER BY {key of p}
   LIMIT $2) q";

const SMS_CROWD: &str = crowd!(sms_person!());
const SMS_CHUNK: &str = chunk!(sms_person!());
const LETTER_CROWD: &str = crowd!(letter_person!());
const LETTER_CHUNK: &str = chunk!(letter_person!());

/// Everybody in the areas of an alert, reached or not.
///
/// # Errors
/// [`super::StoreError`].
pub async fn sms_crowd(session: &mut Session, asked: Asked<'_>) -> Result<Crowd> {
    crowd(session, SMS_CROWD, asked).await
}

/// The same of a large part of the register, over all of `sessions` at once: each reads what the others have not begun with.
///
/// # Errors
/// [`super::StoreError`].
pub async fn large_sms_crowd(sessions: &mut [Session], asked: Asked<'_>) -> Result<Crowd> {
    large_crowd(sessions, SMS_CHUNK, asked).await
}

/// Everybody in the areas of a letter, reached by e-mail, on paper under name and address as an envelope has them, or not.
///
/// # Errors
/// [`super::StoreError`].
pub async fn letter_crowd(session: &mut Session, asked: Asked<'_>) -> Result<Crowd> {
    crowd(session, LETTER_CROWD, asked).await
}

/// The same of a large part of the register, over all of `sessions` at once.
///
/// # Errors
/// [`super::StoreError`].
pub async fn large_letter_crowd(sessions: &mut [Session], asked: Asked<'_>) -> Result<Crowd> {
    large_crowd(sessions, LETTER_CHUNK, asked).await
}

async fn crowd(session: &mut Session, sql: &'static str, asked: Asked<'_>) -> Result<Crowd> {
    let statement = session.sql(sql).bind(asked.areas_json.to_owned()).bind(asked.now);
    let mut crowd = Crowd::default();
    let persons: Option<(Option<String>,)> = session.one(statement).await?;
    take(&mut crowd, persons.and_then(|(persons,)| persons).as_deref())?;
    Ok(crowd)
}

const REGISTER: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS persons FROM contact_person";

/// As [`crowd`], some thousand persons to a row: a million rows one by one cost more than what stands in them. Each person is
/// read once, at the time their chunk is.
async fn large_crowd(sessions: &mut [Session], sql: &'static str, asked: Asked<'_>) -> Result<Crowd> {
    let Some(first) = sessions.first_mut() else { return Ok(Crowd::default()) };
    let register: Option<(i64,)> = first.one(first.sql(REGISTER)).await?;
    let persons = register.map_or(0, |(persons,)| usize::try_from(persons).unwrap_or(0));
    // And for those who come meanwhile.
    let crowd = Mutex::new(Crowd::with_room_for(persons + persons / 64 + 1_024));
    let read_to = Mutex::new(String::new());
    let readers = sessions.iter_mut().map(|session| read_chunks(session, sql, asked, (&read_to, &crowd)));
    try_join_all(readers).await?;
    Ok(crowd.into_inner())
}

/// Reads chunks that nobody has begun with, until there is none.
async fn read_chunks(
    session: &mut Session,
    sql: &'static str,
    asked: Asked<'_>,
    (read_to, crowd): (&Mutex<String>, &Mutex<Crowd>),
) -> Result<()> {
    loop {
        let (after, last) = {
            let mut read_to = read_to.lock().await;
            let statement = session.sql(CHUNK_END).bind(read_to.clone()).bind(CHUNK);
            let end: Option<(Option<String>,)> = session.one(statement).await?;
            let Some((Some(last),)) = end else { return Ok(()) };
            (std::mem::replace(&mut *read_to, last.clone()), last)
        };
        let statement = session.sql(sql).bind(asked.areas_json.to_owned()).bind(asked.now);
        let chunk: Option<(Option<String>,)> = session.one(statement.bind(after).bind(last).bind(EVERYBODY)).await?;
        take(&mut *crowd.lock().await, chunk.and_then(|(persons,)| persons).as_deref())?;
    }
}

#[derive(Deserialize)]
struct PersonRow<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    i64,
    #[serde(borrow)] Cow<'a, str>,
    Option<Cow<'a, str>>,
    Option<String>,
);

fn take(crowd: &mut Crowd, chunk: Option<&str>) -> Result<()> {
    let Some(chunk) = chunk else { return Ok(()) };
    let persons: Vec<PersonRow<'_>> = serde_json::from_str(chunk)
        .map_err(|_| StoreError::Schema("persons that the database put together cannot be read".to_owned()))?;
    for PersonRow(id, area_code, households, channel, address, why) in &persons {
        crowd.push(&person((id, area_code, *households), channel, address.as_deref(), why.as_deref()));
    }
    Ok(())
}

fn person<'a>(
    (contact_person_id, area_code, households): (&'a str, &'a str, i64),
    channel: &str,
    address: Option<&'a str>,
    why: Option<&str>,
) -> Candidate<'a> {
    let channel = match channel {
        "sms" => Channel::Sms,
        "paper" if why.is_none() => Channel::Paper,
        _ => Channel::Email,
    };
    let address = match why.and_then(NotReached::from_code) {
        Some(reason) => Err(reason),
        None => address.ok_or(NotReached::NoAddress),
    };
    Candidate { contact_person_id, area_code, households, channel, address }
}

const COUNT_FOLLOW_UP: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS deliveries
 FROM delivery d
 WHERE d.message_id = $1
   AND (d.state IN ('accepted', 'in_doubt', 'delivered', 'unconfirmed')
     OR (d.state = 'sending' AND d.stamped_at IS NOT NULL)
     OR (d.state = 'failed' AND d.reason = 'in_doubt.given_up'))";

/// How many phones may have message `first`: whom a follow-up would go to now.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_follow_up(session: &mut Session, first: &str) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(COUNT_FOLLOW_UP).bind(first.to_owned())).await?;
    Ok(row.unwrap_or_default().0)
}
