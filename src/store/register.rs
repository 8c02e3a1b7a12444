//! Owns reading the register as a whole: who fits what is looked for, how well each area is covered, who stands twice.
//!
//! Invariant: people with a protected identity are counted, and listed nowhere but in the one list that is theirs.

use super::contact_person::ContactPerson;
use super::{Result, Session};

/// Whether person `p` gets alerts at a time, the next bound value.
macro_rules! by_sms {
    ($now:literal) => {
        concat!(
            "(p.mobile IS NOT NULL AND p.alerts = 1 AND p.alerts_opt_out_at IS NULL AND (p.paused_until_at IS NULL OR p.paused_until_at <= ",
            $now,
            "))"
        )
    };
}

/// Whether person `p` gets letters by e-mail at a time, the next bound value.
macro_rules! by_email {
    ($now:literal) => {
        concat!(
            "(p.email IS NOT NULL AND (p.email_unusable IS NULL OR p.email_unusable <> p.email) AND p.letters = 1 AND p.letters_opt_out_at IS NULL AND (p.paused_until_at IS NULL OR p.paused_until_at <= ",
            $now,
            "))"
        )
    };
}

/// Whether there is no way to reach person `p`, who has not said no to it.
macro_rules! out_of_reach {
    () => {
        "(p.mobile IS NULL AND (p.email IS NULL OR p.email_unusable = p.email) AND (p.alerts_opt_out_at IS NULL OR p.letters_opt_out_at IS NULL))"
    };
}

/// Whether somebody has said by telephone, since the record of person `p` last changed, that there is no other way to them.
macro_rules! confirmed_since {
    () => {
        "EXISTS (
     SELECT 1
     FROM phone_call c
     WHERE c.contact_person_id = p.id
       AND c.outcome = 'confirmed'
       AND c.called_at >= p.updated_at
       AND c.called_at >= COALESCE(p.email_unusable_at, 0))"
    };
}

/// Whether letters come back from the e-mail address of person `p`, who wants them.
macro_rules! email_lost {
    () => {
        "(p.email_unusable = p.email AND p.letters = 1 AND p.letters_opt_out_at IS NULL)"
    };
}

/// Whether alerts are known not to have arrived at the number of person `p`, who wants them.
macro_rules! mobile_doubtful {
    () => {
        "(p.mobile_doubtful = p.mobile AND p.alerts = 1 AND p.alerts_opt_out_at IS NULL)"
    };
}

/// Persons `p` that fit what is looked for, page apart.
macro_rules! wanted {
    ($from:literal) => {
        concat!(
            $from,
            " p.erased_at IS NULL
   AND p.protected = 0
   AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})
   AND (($2 = '' AND $3 = '')
     OR ($2 <> '' AND (p.name_key LIKE $2 ESCAPE '\\' OR p.email_key LIKE $7 ESCAPE '\\'
       OR p.area_code IN (SELECT v.code FROM {rows $8: code TEXT})))
     OR ($3 <> '' AND (p.mobile LIKE $3 OR p.phone2 LIKE $3)))
   AND ($4 = '' OR p.language = $4)
   AND CASE $5 WHEN 'sms' THEN ",
            by_sms!("$6"),
            " WHEN 'email' THEN ",
            by_email!("$6"),
            " WHEN 'none' THEN NOT ",
            by_sms!("$6"),
            " AND NOT ",
            by_email!("$6"),
            " WHEN 'unreachable' THEN ",
            out_of_reach!(),
            " WHEN 'email_unusable' THEN ",
            email_lost!(),
            " WHEN 'mobile_doubtful' THEN ",
            mobile_doubtful!(),
            " WHEN 'paused' THEN p.paused_until_at > $6",
            " WHEN 'opted_out' THEN p.alerts_opt_out_at IS NOT NULL OR p.letters_opt_out_at IS NOT NULL",
            " WHEN 'alone' THEN (SELECT COUNT(*) FROM contact_person o WHERE o.area_code = p.area_code AND o.erased_at IS NULL) = 1",
            " ELSE p.id <> '' END"
        )
    };
}

/// What is looked for; a part that is empty is not looked for.
#[derive(Debug, Clone, Default)]
pub struct Find {
    /// Folded words of a name, as a `LIKE` pattern with `\` as escape.
    pub words: String,
    /// The same as typed, in lower case: a part of an e-mail address.
    pub email: String,
    /// Areas that the words name, as JSON rows.
    pub named_json: String,
    /// Digits of a number, as a `LIKE` pattern.
    pub number: String,
    /// Areas looked in, as JSON rows.
    pub areas_json: String,
    /// Language tag.
    pub language: String,
    /// `sms`, `email`, `none`, `unreachable`, `email_unusable`, `mobile_doubtful`, `paused`, `opted_out` or `alone`.
    pub trait_code: String,
    /// Unix ms.
    pub now: i64,
    /// Records looked among, as JSON rows; all when there is no such list.
    pub among: Option<String>,
}

macro_rules! page_of {
    ($from:literal) => {
        concat!(
            "SELECT p.*",
            wanted!($from),
            "
   AND ($9 = '' OR (p.name_key, p.id) > (SELECT l.name_key, l.id FROM contact_person l WHERE l.id = $9))
 ORDER BY p.name_key, p.id
 LIMIT $10"
        )
    };
}

const PAGE: &str = page_of!(" FROM contact_person p\n WHERE");
const PAGE_AMONG: &str = page_of!(" FROM {rows $11: id TEXT} CROSS JOIN contact_person p\n WHERE p.id = v.id\n   AND");

/// A page of those who fit, in order of name, after the person with the id `after`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn page(session: &mut Session, find: &Find, (after, limit): (&str, i64)) -> Result<Vec<ContactPerson>> {
    let f = find.clone();
    let mut statement = session
        .sql(if f.among.is_some() { PAGE_AMONG } else { PAGE })
        .bind(f.areas_json)
        .bind(f.words)
        .bind(f.number)
        .bind(f.language)
        .bind(f.trait_code)
        .bind(f.now)
        .bind(f.email)
        .bind(f.named_json)
        .bind(after.to_owned())
        .bind(limit);
    if let Some(among) = f.among {
        statement = statement.bind(among);
    }
    session.list(statement).await
}

macro_rules! count_of {
    ($from:literal) => {
        concat!("SELECT CAST(COUNT(*) AS BIGINT) AS n FROM (SELECT 1 AS one", wanted!($from), " LIMIT $9) q")
    };
}

const COUNT: &str = count_of!(" FROM contact_person p\n WHERE");
const COUNT_AMONG: &str =
    count_of!(" FROM {rows $10: id TEXT} CROSS JOIN contact_person p\n WHERE p.id = v.id\n   AND");

/// How many fit, counted no further than `most`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count(session: &mut Session, find: &Find, most: i64) -> Result<i64> {
    let f = find.clone();
    let mut statement = session
        .sql(if f.among.is_some() { COUNT_AMONG } else { COUNT })
        .bind(f.areas_json)
        .bind(f.words)
        .bind(f.number)
        .bind(f.language)
        .bind(f.trait_code)
        .bind(f.now)
        .bind(f.email)
        .bind(f.named_json)
        .bind(most);
    if let Some(among) = f.among {
        statement = statement.bind(among);
    }
    let row: Option<(i64,)> = session.one(statement).await?;
    Ok(row.map_or(0, |(n,)| n))
}

/// How well one area itself is covered, without what lies below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct AreaCover {
    /// The area.
    pub area_code: String,
    /// Contact persons.
    pub contact_persons: i64,
    /// Households behind them.
    pub households: i64,
    /// Persons who get alerts.
    pub by_sms: i64,
    /// Households behind those.
    pub households_by_sms: i64,
    /// Persons who get letters by e-mail.
    pub by_email: i64,
    /// No alerts: no number that can get an SMS.
    pub no_mobile: i64,
    /// No alerts: opted out, or never wanted them.
    pub unwilling: i64,
    /// No alerts: paused.
    pub paused: i64,
    /// No way to reach them at all.
    pub out_of_reach: i64,
    /// Protected identities, which stand in no list.
    pub protected: i64,
}

const COVER: &str = concat!(
    "SELECT p.area_code,
   CAST(COUNT(*) AS BIGINT) AS contact_persons,
   CAST(SUM(p.households) AS BIGINT) AS households,
   CAST(SUM(CASE WHEN ",
    by_sms!("$2"),
    " THEN 1 ELSE 0 END) AS BIGINT) AS by_sms,
   CAST(SUM(CASE WHEN ",
    by_sms!("$2"),
    " THEN p.households ELSE 0 END) AS BIGINT) AS households_by_sms,
   CAST(SUM(CASE WHEN ",
    by_email!("$2"),
    " THEN 1 ELSE 0 END) AS BIGINT) AS by_email,
   CAST(SUM(CASE WHEN p.mobile IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS no_mobile,
   CAST(SUM(CASE WHEN p.mobile IS NOT NULL AND (p.alerts_opt_out_at IS NOT NULL OR p.alerts = 0)
     THEN 1 ELSE 0 END) AS BIGINT) AS unwilling,
   CAST(SUM(CASE WHEN p.mobile IS NOT NULL AND p.alerts_opt_out_at IS NULL AND p.alerts = 1 AND p.paused_until_at > $2
     THEN 1 ELSE 0 END) AS BIGINT) AS paused,
   CAST(SUM(CASE WHEN ",
    out_of_reach!(),
    " THEN 1 ELSE 0 END) AS BIGINT) AS out_of_reach,
   CAST(SUM(p.protected) AS BIGINT) AS protected
 FROM contact_person p
 WHERE p.erased_at IS NULL
   AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})
 GROUP BY p.area_code"
);

/// How well those of the areas are covered that anybody is in.
///
/// # Errors
/// [`super::StoreError`].
pub async fn cover(session: &mut Session, areas_json: String, now: i64) -> Result<Vec<AreaCover>> {
    session.list(session.sql(COVER).bind(areas_json).bind(now)).await
}

const OUT_OF_REACH: &str = concat!(
    "SELECT p.*
 FROM contact_person p
 WHERE p.erased_at IS NULL
   AND p.protected = 0
   AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})
   AND (",
    email_lost!(),
    " OR ",
    mobile_doubtful!(),
    " OR (",
    out_of_reach!(),
    " AND NOT ",
    confirmed_since!(),
    "))
 ORDER BY p.area_code, p.name_key, p.id
 LIMIT $2"
);

/// Those whom nothing reaches, unless they have said by telephone that it is so, and those whose letters come back or whose number is
/// doubtful, by area.
///
/// # Errors
/// [`super::StoreError`].
pub async fn out_of_reach(session: &mut Session, areas_json: String, limit: i64) -> Result<Vec<ContactPerson>> {
    session.list(session.sql(OUT_OF_REACH).bind(areas_json).bind(limit)).await
}

/// Two records that may be of one person.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Pair {
    /// The older record.
    pub first_id: String,
    /// The younger one.
    pub second_id: String,
    /// 1 when both have the same name.
    pub same_name: i64,
    /// 1 when both have the same number.
    pub same_mobile: i64,
    /// 1 when both have the same e-mail address.
    pub same_email: i64,
    /// 1 when both have the same street address.
    pub same_address: i64,
}

macro_rules! pairs {
    ($on:literal) => {
        concat!(
            "SELECT a.id AS first_id, b.id AS second_id,
   CASE WHEN a.name_key = b.name_key THEN 1 ELSE 0 END AS same_name,
   CASE WHEN a.mobile = b.mobile THEN 1 ELSE 0 END AS same_mobile,
   CASE WHEN a.email_key = b.email_key THEN 1 ELSE 0 END AS same_email,
   CASE WHEN a.address_key <> '' AND a.address_key = b.address_key THEN 1 ELSE 0 END AS same_address
 FROM contact_person a
 JOIN contact_person b ON b.id > a.id AND ",
            $on,
            "
 WHERE a.erased_at IS NULL AND b.erased_at IS NULL
   AND a.protected = 0 AND b.protected = 0
   AND a.area_code IN (SELECT v.code FROM {rows $1: code TEXT})
   AND b.area_code IN (SELECT v.code FROM {rows $1: code TEXT})
   AND NOT EXISTS (SELECT 1 FROM different_persons k WHERE k.first_id = a.id AND k.second_id = b.id)"
        )
    };
}

const PAIRS: &str = concat!(
    "SELECT q.first_id, q.second_id, CAST(q.same_name AS BIGINT) AS same_name, CAST(q.same_mobile AS BIGINT) AS same_mobile,
   CAST(q.same_email AS BIGINT) AS same_email, CAST(q.same_address AS BIGINT) AS same_address
 FROM (",
    pairs!("b.mobile = a.mobile AND b.name_key = a.name_key"),
    "
 UNION ",
    pairs!("b.email_key = a.email_key AND b.name_key = a.name_key"),
    "
 UNION ",
    pairs!("b.name_key = a.name_key AND b.address_key = a.address_key AND a.address_key <> ''"),
    "
 UNION ",
    pairs!("b.mobile = a.mobile AND b.email_key = a.email_key"),
    ") q
 ORDER BY q.same_name + q.same_mobile + q.same_email + q.same_address DESC, q.first_id, q.second_id
 LIMIT $2"
);

/// Pairs that may be one person each, the likeliest first: the same name with the same number, e-mail or street address, or
/// the same number and e-mail under two names.
///
/// # Errors
/// [`super::StoreError`].
pub async fn pairs(session: &mut Session, areas_json: String, limit: i64) -> Result<Vec<Pair>> {
    session.list(session.sql(PAIRS).bind(areas_json).bind(limit)).await
}

const TELL_APART: &str = "INSERT INTO different_persons (first_id, second_id, said_by, said_at)
 VALUES ($1, $2, $3, $4)
 ON CONFLICT (first_id, second_id) DO NOTHING";

/// Remembers that two records are of two persons, the one with the lower id first; [`pairs`] leaves them out from now on.
/// `said` is by whom and when, Unix ms. Says whether that is new.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tell_apart(session: &mut Session, ids: [&str; 2], said: (&str, i64)) -> Result<bool> {
    let [one, other] = ids;
    let statement = session
        .sql(TELL_APART)
        .bind(one.min(other).to_owned())
        .bind(one.max(other).to_owned())
        .bind(said.0.to_owned())
        .bind(said.1);
    Ok(session.execute(statement).await? > 0)
}

const UNDER_WAY: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS n
 FROM (SELECT r.delivery_id FROM message_recipient r WHERE r.contact_person_id = $1
   UNION ALL
   SELECT t.delivery_id FROM stand_in t WHERE t.contact_person_id = $1) q
 JOIN delivery d ON d.id = q.delivery_id
 WHERE d.channel <> 'paper'
   AND d.state IN ('queued', 'sending', 'in_doubt')";

/// How many deliveries to a person have not left yet, or may not have.
///
/// # Errors
/// [`super::StoreError`].
pub async fn under_way(session: &mut Session, contact_person_id: &str) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(UNDER_WAY).bind(contact_person_id.to_owned())).await?;
    Ok(row.map_or(0, |(n,)| n))
}

const KEEP: &str = "UPDATE contact_person
 SET import_id = NULL
 WHERE id = $1";

/// Makes a person more than what an import has made: undoing that import leaves them.
///
/// # Errors
/// [`super::StoreError`].
pub async fn keep(session: &mut Session, contact_person_id: &str) -> Result<()> {
    session.execute(session.sql(KEEP).bind(contact_person_id.to_owned())).await.map(drop)
}

const PROTECTED: &str = "SELECT *
 FROM contact_person p
 WHERE p.erased_at IS NULL
   AND p.protected = 1
   AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})
 ORDER BY p.area_code, p.id
 LIMIT $2";

/// Those with a protected identity, by area; for administrators only.
///
/// # Errors
/// [`super::StoreError`].
pub async fn protected(session: &mut Session, areas_json: String, limit: i64) -> Result<Vec<ContactPerson>> {
    session.list(session.sql(PROTECTED).bind(areas_json).bind(limit)).await
}
