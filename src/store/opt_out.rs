//! Owns the words about consent on their way from the database to the journal of opt-outs, and finding again whom they are about.
//!
//! The file is `store::opt_out_journal`. Invariants: a word is noted in the transaction that makes it true; the notes hold digests only;
//! a note is never removed, so that a journal with more words than the table is newer than the database (ADR 0017).

use serde::Serialize;

use super::contact_person::ContactPerson;
use super::{Result, Session, json, setting};
use crate::domain::opt_out_journal::{Address, JournalKey, Line, Word, mac_of};

const NOTE: &str = "INSERT INTO opt_out_word (mac, line, noted_at)
 VALUES ($1, $2, $3)
 ON CONFLICT (mac) DO NOTHING";

/// Notes a line; it is in the journal before the commit returns.
pub(super) async fn note(
    session: &mut Session,
    at: i64,
    line: impl FnOnce(&JournalKey) -> Option<String>,
) -> Result<()> {
    let Some(line) = session.journal_key().and_then(line) else { return Ok(()) };
    let statement = session.sql(NOTE).bind(mac_of(&line).to_owned()).bind(line.clone()).bind(at);
    if session.execute(statement).await? > 0 {
        session.noted.push(line);
    }
    Ok(())
}

/// Notes a word about a person.
pub(super) async fn note_word(session: &mut Session, id: &str, at: i64, word: Word) -> Result<()> {
    note(session, at, |key| Some(key.word(at, id, word))).await
}

/// Notes a word about an address.
pub(super) async fn note_address(session: &mut Session, at: i64, address: Address) -> Result<()> {
    note(session, at, |key| key.address(at, &address)).await
}

#[derive(sqlx::FromRow)]
struct Stood {
    alerts: i64,
    letters: i64,
    alerts_opt_out_at: Option<i64>,
    letters_opt_out_at: Option<i64>,
    paused_until_at: Option<i64>,
}

const STOOD: &str = "SELECT alerts, letters, alerts_opt_out_at, letters_opt_out_at, paused_until_at
 FROM contact_person
 WHERE id = $1";

/// Notes what a record that is about to be written says otherwise than the one that stands.
pub(super) async fn note_change(session: &mut Session, person: &ContactPerson) -> Result<()> {
    if session.journal_key().is_none() || person.erased_at.is_some() {
        return Ok(());
    }
    let stood: Option<Stood> = session.one(session.sql(STOOD).bind(person.id.clone())).await?;
    let wants = |flag: i64, opt_out_at: Option<i64>| flag == 1 && opt_out_at.is_none();
    let alerts = wants(person.alerts, person.alerts_opt_out_at);
    let letters = wants(person.letters, person.letters_opt_out_at);
    // What nobody has said yet is what a new record is taken to say.
    let (had_alerts, had_letters, paused_until) = stood.map_or((true, true, None), |stood| {
        let alerts = wants(stood.alerts, stood.alerts_opt_out_at);
        (alerts, wants(stood.letters, stood.letters_opt_out_at), stood.paused_until_at)
    });
    let at = person.updated_at;
    if alerts != had_alerts {
        note_word(session, &person.id, at, if alerts { Word::AlertsOn } else { Word::AlertsOff }).await?;
    }
    if letters != had_letters {
        note_word(session, &person.id, at, if letters { Word::LettersOn } else { Word::LettersOff }).await?;
    }
    if person.paused_until_at != paused_until {
        note_word(session, &person.id, at, Word::Paused(person.paused_until_at.unwrap_or(0))).await?;
    }
    Ok(())
}

/// Notes a no to alerts or letters that changes nothing, while the database has not caught up with its journal: there may be a yes in
/// the journal that this no takes back.
///
/// # Errors
/// [`super::StoreError`].
pub async fn note_repeated(session: &mut Session, id: &str, at: i64, (alerts, letters): (bool, bool)) -> Result<()> {
    if setting::get(session, setting::RESTORED_SINCE).await?.is_none() {
        return Ok(());
    }
    if alerts {
        note_word(session, id, at, Word::AlertsOff).await?;
    }
    if letters {
        note_word(session, id, at, Word::LettersOff).await?;
    }
    Ok(())
}

const STANDING: &str = "SELECT id, alerts, letters, alerts_opt_out_at, letters_opt_out_at, erased_at, updated_at
 FROM contact_person
 WHERE erased_at IS NOT NULL OR alerts <> 1 OR letters <> 1 OR alerts_opt_out_at IS NOT NULL OR letters_opt_out_at IS NOT NULL
 ORDER BY id";

#[derive(sqlx::FromRow)]
struct Standing {
    id: String,
    alerts: i64,
    letters: i64,
    alerts_opt_out_at: Option<i64>,
    letters_opt_out_at: Option<i64>,
    erased_at: Option<i64>,
    updated_at: i64,
}

const KEPT_OUT: &str = "SELECT channel, fingerprint, source, created_at
 FROM suppression
 ORDER BY channel, fingerprint";

/// Notes every no that stands: a journal that has just been begun, or was not written for a while, knows of none of them.
///
/// # Errors
/// [`super::StoreError`].
pub async fn note_standing(session: &mut Session) -> Result<()> {
    let standing: Vec<Standing> = session.list(session.sql(STANDING)).await?;
    for row in standing {
        if let Some(at) = row.erased_at {
            note_word(session, &row.id, at, Word::Erased).await?;
            continue;
        }
        if row.alerts != 1 || row.alerts_opt_out_at.is_some() {
            note_word(session, &row.id, row.alerts_opt_out_at.unwrap_or(row.updated_at), Word::AlertsOff).await?;
        }
        if row.letters != 1 || row.letters_opt_out_at.is_some() {
            note_word(session, &row.id, row.letters_opt_out_at.unwrap_or(row.updated_at), Word::LettersOff).await?;
        }
    }
    let kept_out: Vec<(String, String, String, i64)> = session.list(session.sql(KEPT_OUT)).await?;
    for (channel, fingerprint, source, at) in kept_out {
        note_address(session, at, Address { channel, fingerprint, kept_out: Some(source) }).await?;
    }
    Ok(())
}

/// Notes that a journal was begun; `id` tells it from others.
///
/// # Errors
/// [`super::StoreError`].
pub async fn begin(session: &mut Session, id: &str, now: i64) -> Result<()> {
    note(session, now, |key| Some(key.begun(now, id))).await
}

/// A line as noted.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Noted {
    /// What it is known by.
    pub mac: String,
    /// The line.
    pub line: String,
    /// When it was noted, Unix ms.
    pub noted_at: i64,
}

const WAITING: &str = "SELECT mac, line, noted_at
 FROM opt_out_word
 WHERE written_at IS NULL
 ORDER BY noted_at, mac
 LIMIT $1";

/// The oldest lines that are not known to be in the journal.
///
/// # Errors
/// [`super::StoreError`].
pub async fn waiting(session: &mut Session, limit: i64) -> Result<Vec<Noted>> {
    session.list(session.sql(WAITING).bind(limit)).await
}

const WRITTEN: &str = "SELECT mac, line, noted_at
 FROM opt_out_word
 WHERE written_at IS NOT NULL
   AND mac > $1
 ORDER BY mac
 LIMIT $2";

/// Lines that are known to be in a journal, in order of what they are known by, after `after`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn written(session: &mut Session, after: &str, limit: i64) -> Result<Vec<Noted>> {
    session.list(session.sql(WRITTEN).bind(after.to_owned()).bind(limit)).await
}

#[derive(Serialize)]
struct MacRow<'a> {
    mac: &'a str,
}

fn rows(macs: &[String]) -> String {
    json(&macs.iter().map(|mac| MacRow { mac }).collect::<Vec<_>>())
}

const SETTLE: &str = "UPDATE opt_out_word
 SET written_at = $2
 WHERE written_at IS NULL
   AND mac IN (SELECT v.mac FROM {rows $1: mac TEXT})";

/// Notes that lines are in the journal.
///
/// # Errors
/// [`super::StoreError`].
pub async fn settle(session: &mut Session, macs: &[String], now: i64) -> Result<()> {
    session.execute(session.sql(SETTLE).bind(rows(macs)).bind(now)).await.map(drop)
}

const UNKNOWN: &str = "SELECT v.mac
 FROM {rows $1: mac TEXT}
 WHERE NOT EXISTS (SELECT 1 FROM opt_out_word w WHERE w.mac = v.mac)";

/// Those of the lines, by what they are known by, that were noted in no transaction of this database.
///
/// # Errors
/// [`super::StoreError`].
pub async fn unknown(session: &mut Session, macs: &[String]) -> Result<Vec<String>> {
    let found: Vec<(String,)> = session.list(session.sql(UNKNOWN).bind(rows(macs))).await?;
    Ok(found.into_iter().map(|(mac,)| mac).collect())
}

#[derive(Serialize)]
struct LineRow<'a> {
    mac: &'a str,
    line: &'a str,
}

const HEED: &str = "INSERT INTO opt_out_word (mac, line, noted_at, written_at)
 SELECT v.mac, v.line, $2, $2
 FROM {rows $1: mac TEXT, line TEXT}
 WHERE 1 = 1
 ON CONFLICT (mac) DO NOTHING";

/// Notes that what a journal's lines say has been done here, too.
///
/// # Errors
/// [`super::StoreError`].
pub async fn heed(session: &mut Session, lines: &[Line], now: i64) -> Result<()> {
    let rows = json(&lines.iter().map(|line| LineRow { mac: &line.mac, line: &line.text }).collect::<Vec<_>>());
    session.execute(session.sql(HEED).bind(rows).bind(now)).await.map(drop)
}

const FORGET: &str = "DELETE FROM opt_out_word
 WHERE mac IN (SELECT v.mac FROM {rows $1: mac TEXT})";

/// Forgets lines whose journal is gone for good.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget(session: &mut Session, macs: &[String]) -> Result<()> {
    session.execute(session.sql(FORGET).bind(rows(macs))).await.map(drop)
}

/// Somebody in the register, as far as words can be about them.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Somebody {
    /// The record.
    pub id: String,
    /// E.164 number.
    pub mobile: Option<String>,
    /// E-mail folded for matching.
    pub email_key: Option<String>,
}

const SOMEBODY: &str = "SELECT id, mobile, email_key
 FROM contact_person
 WHERE erased_at IS NULL
   AND id > $1
 ORDER BY id
 LIMIT $2";

/// A page of those who are in the register, in order of id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn persons(session: &mut Session, after: &str, limit: i64) -> Result<Vec<Somebody>> {
    session.list(session.sql(SOMEBODY).bind(after.to_owned()).bind(limit)).await
}
