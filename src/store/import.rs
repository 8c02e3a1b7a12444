//! Owns the import tables, and the look-ups and bulk writes an import makes in the register.
//!
//! It decides nothing about rows. Invariant: a contact person that an import has written but not published has
//! `erased_at = 0`, so that no query that leaves out erased people sees it.

use serde::{Deserialize, Serialize};

use super::contact_person::ContactPerson;
use super::{Result, Session, json};

/// `erased_at` of a contact person that is not published yet.
pub const UNPUBLISHED: i64 = 0;

/// An import as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Import {
    /// UUIDv7.
    pub id: String,
    /// `running`, `stored` or `undone`.
    pub state: String,
    /// Rows of the file after its headings.
    pub rows_read: i64,
    /// What was found out about the file, JSON.
    pub file: String,
    /// Who imported.
    pub created_by: String,
    /// Unix ms.
    pub created_at: i64,
    /// When it was last worked on while running, Unix ms.
    pub seen_at: i64,
    /// Unix ms.
    pub undone_at: Option<i64>,
}

/// A row of an import as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct ImportRow {
    /// Number of the row, from 1 after the heading.
    pub number: i64,
    /// Physical line it begins on.
    pub line: i64,
    /// What was done.
    pub action: String,
    /// What is shown, JSON of [`Item`].
    pub item: String,
    /// The row as it stood, JSON, while it waits for an answer.
    pub cells: Option<String>,
    /// What it changed in the register, JSON of [`FieldChange`]s.
    pub updates: Option<String>,
    /// The contact person it made or is about.
    pub contact_person_id: Option<String>,
}

/// What is shown of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Why, as codes.
    pub codes: Vec<String>,
    /// What the operator is told first.
    pub message: String,
    /// Everything the operator is told.
    pub messages: Vec<String>,
    /// Canonical values by field name; empty ones are left out.
    pub fields: Vec<(String, String)>,
    /// What was changed.
    pub changes: Vec<FieldChange>,
    /// What is offered, by field name.
    pub offers: Vec<(String, String)>,
    /// Whether an operator has answered.
    #[serde(default)]
    pub answered: bool,
}

/// A field before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field's name.
    pub name: String,
    /// As it stood.
    pub before: String,
    /// As it is now.
    pub after: String,
}

const PUT: &str = "INSERT INTO import (id, state, rows_read, file, created_by, created_at, seen_at, undone_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
 ON CONFLICT (id) DO UPDATE SET state = excluded.state, rows_read = excluded.rows_read, seen_at = excluded.seen_at,
   undone_at = excluded.undone_at";

/// Adds an import, or writes what changes of one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put(session: &mut Session, import: &Import) -> Result<()> {
    let i = import.clone();
    let statement = session
        .sql(PUT)
        .bind(i.id)
        .bind(i.state)
        .bind(i.rows_read)
        .bind(i.file)
        .bind(i.created_by)
        .bind(i.created_at)
        .bind(i.seen_at)
        .bind(i.undone_at);
    session.execute(statement).await.map(drop)
}

const GET: &str = "SELECT id, state, rows_read, file, created_by, created_at, seen_at, undone_at
 FROM import
 WHERE id = $1";

/// The import with this id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, id: &str) -> Result<Option<Import>> {
    session.one(session.sql(GET).bind(id.to_owned())).await
}

const RUNNING: &str = "SELECT id, state, rows_read, file, created_by, created_at, seen_at, undone_at
 FROM import
 WHERE state = 'running'
 ORDER BY id";

/// Imports that run, or ended before they were published.
///
/// # Errors
/// [`super::StoreError`].
pub async fn running(session: &mut Session) -> Result<Vec<Import>> {
    session.list(session.sql(RUNNING)).await
}

const LATEST: &str = "SELECT id, state, rows_read, file, created_by, created_at, seen_at, undone_at
 FROM import
 WHERE state <> 'running'
 ORDER BY id DESC
 LIMIT $1";

/// The newest imports that were published, the newest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn latest(session: &mut Session, limit: i64) -> Result<Vec<Import>> {
    session.list(session.sql(LATEST).bind(limit)).await
}

const ADD_ROWS: &str =
    "INSERT INTO import_row (import_id, number, line, action, item, cells, updates, contact_person_id)
 SELECT $2, v.number, v.line, v.action, v.item, v.cells, v.updates, v.contact_person_id
 FROM {rows $1: number BIGINT, line BIGINT, action TEXT, item TEXT, cells TEXT, updates TEXT, contact_person_id TEXT}";

/// Adds rows to an import.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_rows(session: &mut Session, import_id: &str, rows: &[ImportRow]) -> Result<()> {
    session.execute(session.sql(ADD_ROWS).bind(json(&rows)).bind(import_id.to_owned())).await.map(drop)
}

const PUT_ROW: &str = "UPDATE import_row
 SET action = $3, item = $4, cells = $5, updates = $6, contact_person_id = $7
 WHERE import_id = $1
   AND number = $2";

/// Writes a row that was answered.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put_row(session: &mut Session, import_id: &str, row: &ImportRow) -> Result<()> {
    let r = row.clone();
    let statement = session
        .sql(PUT_ROW)
        .bind(import_id.to_owned())
        .bind(r.number)
        .bind(r.action)
        .bind(r.item)
        .bind(r.cells)
        .bind(r.updates)
        .bind(r.contact_person_id);
    session.execute(statement).await.map(drop)
}

const ROWS: &str = "SELECT number, line, action, item, cells, updates, contact_person_id
 FROM import_row
 WHERE import_id = $1
   AND number > $2
   AND ($3 = '' OR action = $3)
 ORDER BY number
 LIMIT $4";

/// A page of rows in their order; `action` empty = all.
///
/// # Errors
/// [`super::StoreError`].
pub async fn rows(
    session: &mut Session,
    import_id: &str,
    action: &'static str,
    (after, limit): (i64, i64),
) -> Result<Vec<ImportRow>> {
    session.list(session.sql(ROWS).bind(import_id.to_owned()).bind(after).bind(action).bind(limit)).await
}

const ROW: &str = "SELECT number, line, action, item, cells, updates, contact_person_id
 FROM import_row
 WHERE import_id = $1
   AND number = $2
 {for update}";

/// One row, held until the transaction ends.
///
/// # Errors
/// [`super::StoreError`].
pub async fn row(session: &mut Session, import_id: &str, number: i64) -> Result<Option<ImportRow>> {
    session.one(session.sql(ROW).bind(import_id.to_owned()).bind(number)).await
}

const COUNTS: &str = "SELECT action, CAST(COUNT(*) AS BIGINT) AS n
 FROM import_row
 WHERE import_id = $1
 GROUP BY action";

/// How many rows have each action.
///
/// # Errors
/// [`super::StoreError`].
pub async fn counts(session: &mut Session, import_id: &str) -> Result<Vec<(String, i64)>> {
    session.list(session.sql(COUNTS).bind(import_id.to_owned())).await
}

const ADD_PERSONS: &str =
    "INSERT INTO contact_person (id, name, mobile, phone2, email, email2, address, postcode, place, area_code,
   households, language, letters, alerts, note, protected, alerts_opt_out_at, alerts_opt_out_source,
   letters_opt_out_at, letters_opt_out_source, name_key, email_key, address_key, import_id, created_at, updated_at,
   erased_at)
 SELECT v.id, v.name, v.mobile, v.phone2, v.email, v.email2, v.address, v.postcode, v.place, v.area_code,
   v.households, v.language, v.letters, v.alerts, v.note, v.protected, v.alerts_opt_out_at, v.alerts_opt_out_source,
   v.letters_opt_out_at, v.letters_opt_out_source, v.name_key, v.email_key, v.address_key, v.import_id, v.created_at,
   v.updated_at, v.erased_at
 FROM {rows $1: id TEXT, name TEXT, mobile TEXT, phone2 TEXT, email TEXT, email2 TEXT, address TEXT, postcode TEXT,
   place TEXT, area_code TEXT, households BIGINT, language TEXT, letters BIGINT, alerts BIGINT, note TEXT,
   protected BIGINT, alerts_opt_out_at BIGINT, alerts_opt_out_source TEXT, letters_opt_out_at BIGINT,
   letters_opt_out_source TEXT, name_key TEXT, email_key TEXT, address_key TEXT, import_id TEXT, created_at BIGINT,
   updated_at BIGINT, erased_at BIGINT}";

#[derive(Serialize)]
struct PersonRow<'a> {
    id: &'a str,
    name: &'a str,
    mobile: Option<&'a str>,
    phone2: Option<&'a str>,
    email: Option<&'a str>,
    email2: Option<&'a str>,
    address: &'a str,
    postcode: &'a str,
    place: &'a str,
    area_code: &'a str,
    households: i64,
    language: &'a str,
    letters: i64,
    alerts: i64,
    note: &'a str,
    protected: i64,
    alerts_opt_out_at: Option<i64>,
    alerts_opt_out_source: Option<&'a str>,
    letters_opt_out_at: Option<i64>,
    letters_opt_out_source: Option<&'a str>,
    name_key: &'a str,
    email_key: Option<&'a str>,
    address_key: &'a str,
    import_id: Option<&'a str>,
    created_at: i64,
    updated_at: i64,
    erased_at: Option<i64>,
}

impl<'a> From<&'a ContactPerson> for PersonRow<'a> {
    fn from(p: &'a ContactPerson) -> Self {
        Self {
            id: &p.id,
            name: &p.name,
            mobile: p.mobile.as_deref(),
            phone2: p.phone2.as_deref(),
            email: p.email.as_deref(),
            email2: p.email2.as_deref(),
            address: &p.address,
            postcode: &p.postcode,
            place: &p.place,
            area_code: &p.area_code,
            households: p.households,
            language: &p.language,
            letters: p.letters,
            alerts: p.alerts,
            note: &p.note,
            protected: p.protected,
            alerts_opt_out_at: p.alerts_opt_out_at,
            alerts_opt_out_source: p.alerts_opt_out_source.as_deref(),
            letters_opt_out_at: p.letters_opt_out_at,
            letters_opt_out_source: p.letters_opt_out_source.as_deref(),
            name_key: &p.name_key,
            email_key: p.email_key.as_deref(),
            address_key: &p.address_key,
            import_id: p.import_id.as_deref(),
            created_at: p.created_at,
            updated_at: p.updated_at,
            erased_at: p.erased_at,
        }
    }
}

/// Adds contact persons, many in one statement.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_persons(session: &mut Session, persons: &[ContactPerson]) -> Result<()> {
    let rows: Vec<PersonRow<'_>> = persons.iter().map(PersonRow::from).collect();
    session.execute(session.sql(ADD_PERSONS).bind(json(&rows))).await.map(drop)
}

const PUBLISH: &str = "UPDATE contact_person
 SET erased_at = NULL
 WHERE import_id = $1
   AND erased_at = 0";

/// Lets the contact persons of an import be seen; says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn publish(session: &mut Session, import_id: &str) -> Result<u64> {
    session.execute(session.sql(PUBLISH).bind(import_id.to_owned())).await
}

const ADD_AREA: &str = "INSERT INTO area (code, name, kind, parent, created_at, import_id)
 VALUES ($1, $2, 'watch_area', $3, $4, $5)";

/// Adds a watch area that an import has made: `(code, name, municipality)`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_area(session: &mut Session, area: (&str, &str, &str), import_id: &str, now: i64) -> Result<()> {
    let statement = session
        .sql(ADD_AREA)
        .bind(area.0.to_owned())
        .bind(area.1.to_owned())
        .bind(area.2.to_owned())
        .bind(now)
        .bind(import_id.to_owned());
    session.execute(statement).await.map(drop)
}

const BY_MOBILE: &str = "SELECT p.*
 FROM {rows $1: k TEXT}
 JOIN contact_person p ON p.mobile = v.k
 WHERE p.erased_at IS NULL";

const BY_PHONE2: &str = "SELECT p.*
 FROM {rows $1: k TEXT}
 JOIN contact_person p ON p.phone2 = v.k
 WHERE p.erased_at IS NULL";

const BY_EMAIL: &str = "SELECT p.*
 FROM {rows $1: k TEXT}
 JOIN contact_person p ON p.email_key = v.k
 WHERE p.erased_at IS NULL";

const BY_NAME: &str = "SELECT p.*
 FROM {rows $1: n TEXT, a TEXT}
 JOIN contact_person p ON p.name_key = v.n AND p.address_key = v.a
 WHERE p.erased_at IS NULL";

#[derive(Serialize)]
struct Key<'a> {
    k: &'a str,
}

#[derive(Serialize)]
struct NameKey<'a> {
    n: &'a str,
    a: &'a str,
}

/// What to look contact persons up by.
#[derive(Debug, Clone, Default)]
pub struct LookUp {
    /// E.164.
    pub numbers: Vec<String>,
    /// Folded e-mail addresses.
    pub emails: Vec<String>,
    /// Folded names with folded addresses.
    pub names: Vec<(String, String)>,
}

/// Contact persons that any of the keys fits; one may come more than once.
///
/// # Errors
/// [`super::StoreError`].
pub async fn matching(session: &mut Session, keys: &LookUp) -> Result<Vec<ContactPerson>> {
    let of = |keys: &[String]| json(&keys.iter().map(|k| Key { k }).collect::<Vec<_>>());
    let names = json(&keys.names.iter().map(|(n, a)| NameKey { n, a }).collect::<Vec<_>>());
    let mut found = Vec::new();
    for (statement, keys, is_empty) in [
        (BY_MOBILE, of(&keys.numbers), keys.numbers.is_empty()),
        (BY_PHONE2, of(&keys.numbers), keys.numbers.is_empty()),
        (BY_EMAIL, of(&keys.emails), keys.emails.is_empty()),
        (BY_NAME, names, keys.names.is_empty()),
    ] {
        if !is_empty {
            found.extend(session.list::<ContactPerson>(session.sql(statement).bind(keys)).await?);
        }
    }
    Ok(found)
}

const SUPPRESSED: &str = "SELECT s.fingerprint, s.channel
 FROM {rows $1: k TEXT}
 JOIN suppression s ON s.fingerprint = v.k";

/// Those of the fingerprints that are on the suppression list, with their channels.
///
/// # Errors
/// [`super::StoreError`].
pub async fn suppressed(session: &mut Session, fingerprints: &[String]) -> Result<Vec<(String, String)>> {
    let keys = json(&fingerprints.iter().map(|k| Key { k }).collect::<Vec<_>>());
    session.list(session.sql(SUPPRESSED).bind(keys)).await
}

const POSTCODES: &str = "SELECT DISTINCT postcode, place
 FROM contact_person
 WHERE erased_at IS NULL
   AND postcode <> ''
   AND place <> ''
 LIMIT 20000";

/// Pairs of postcode and place that stand in the register.
///
/// # Errors
/// [`super::StoreError`].
pub async fn postcodes(session: &mut Session) -> Result<Vec<(String, String)>> {
    session.list(session.sql(POSTCODES)).await
}

const MISSING: &str = "SELECT p.*
 FROM contact_person p
 WHERE p.erased_at IS NULL
   AND p.created_at <= $2
   AND (p.import_id IS NULL OR p.import_id <> $1)
   AND p.id > $3
   AND NOT EXISTS (SELECT 1 FROM import_row r WHERE r.contact_person_id = p.id AND r.import_id = $1)
 ORDER BY p.id
 LIMIT $4";

/// A page of the contact persons that were in the register before an import and are in none of its rows.
///
/// # Errors
/// [`super::StoreError`].
pub async fn missing(
    session: &mut Session,
    import: &Import,
    (after, limit): (&str, i64),
) -> Result<Vec<ContactPerson>> {
    let statement =
        session.sql(MISSING).bind(import.id.clone()).bind(import.created_at).bind(after.to_owned()).bind(limit);
    session.list(statement).await
}

const PERSONS: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS n
 FROM contact_person
 WHERE erased_at IS NULL";

/// How many contact persons there are.
///
/// # Errors
/// [`super::StoreError`].
pub async fn persons(session: &mut Session) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(PERSONS)).await?;
    Ok(row.map_or(0, |(n,)| n))
}

const SENT: &str = "SELECT CAST(q.n + s.n + g.n AS BIGINT) AS n
 FROM (SELECT COUNT(*) AS n
 FROM import_row i
 JOIN message_recipient r ON r.contact_person_id = i.contact_person_id
 JOIN delivery d ON d.id = r.delivery_id
 WHERE i.import_id = $1
   AND i.action IN ('new', 'warn', 'update')
   AND (d.stamped_at >= $2 OR d.final_at >= $2)) q,
 (SELECT COUNT(*) AS n
 FROM import_row i
 JOIN stand_in t ON t.contact_person_id = i.contact_person_id
 JOIN delivery d ON d.id = t.delivery_id
 WHERE i.import_id = $1
   AND (d.stamped_at >= $2 OR d.final_at >= $2)) s,
 (SELECT (SELECT COUNT(*) FROM message m WHERE m.disposed_at IS NOT NULL AND m.created_at >= $2)
   + (SELECT COUNT(*) FROM import j WHERE j.id = $1 AND j.disposed_at IS NOT NULL) AS n) g";

/// How many deliveries to people of an import, or to their deputies, have been handed over, or have ended, since it was stored. What has
/// been disposed of since may have been one, and counts.
///
/// # Errors
/// [`super::StoreError`].
pub async fn sent(session: &mut Session, import: &Import) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(SENT).bind(import.id.clone()).bind(import.created_at)).await?;
    Ok(row.map_or(0, |(n,)| n))
}

const REMOVE_PERSONS: &str = "DELETE FROM contact_person
 WHERE import_id = $1";

const REMOVE_AREAS: &str = "DELETE FROM area
 WHERE import_id = $1
   AND NOT EXISTS (SELECT 1 FROM contact_person p WHERE p.area_code = area.code)
   AND NOT EXISTS (SELECT 1 FROM operator o WHERE o.area_code = area.code)
   AND NOT EXISTS (SELECT 1 FROM api_key k WHERE k.area_code = area.code)";

/// Removes the contact persons an import has made, and its watch areas that nobody is in; says how many persons.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove_made(session: &mut Session, import_id: &str) -> Result<u64> {
    super::register_word::forget_import(session, import_id).await?;
    let removed = session.execute(session.sql(REMOVE_PERSONS).bind(import_id.to_owned())).await?;
    session.execute(session.sql(REMOVE_AREAS).bind(import_id.to_owned())).await?;
    Ok(removed)
}

/// An item that says nothing; bound, because a brace in a statement is a mark.
const NOTHING: &str = "{}";

const FORGET_ROWS: &str = "UPDATE import_row
 SET item = $2, cells = NULL, updates = NULL
 WHERE import_id = $1";

/// Forgets what stood in the rows of an import; their numbers and actions stay.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget_rows(session: &mut Session, import_id: &str) -> Result<()> {
    session.execute(session.sql(FORGET_ROWS).bind(import_id.to_owned()).bind(NOTHING)).await.map(drop)
}

const FORGET_PERSON: &str = "UPDATE import_row
 SET item = $2, cells = NULL, updates = NULL
 WHERE contact_person_id = $1";

/// Forgets what rows of imports said about a contact person who is erased.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget_person(session: &mut Session, id: &str) -> Result<()> {
    session.execute(session.sql(FORGET_PERSON).bind(id.to_owned()).bind(NOTHING)).await.map(drop)
}

const REMOVE_ROWS: &str = "DELETE FROM import_row
 WHERE import_id = $1";

const REMOVE: &str = "DELETE FROM import
 WHERE id = $1";

/// Removes an import that was never published, with all it wrote.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(session: &mut Session, import_id: &str) -> Result<()> {
    remove_made(session, import_id).await?;
    session.execute(session.sql(REMOVE_ROWS).bind(import_id.to_owned())).await?;
    session.execute(session.sql(REMOVE).bind(import_id.to_owned())).await.map(drop)
}

const EXPORTED: &str = "SELECT *
 FROM contact_person
 WHERE erased_at IS NULL
   AND id > $1
 ORDER BY id
 LIMIT $2";

/// A page of all contact persons in order of id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn page(session: &mut Session, after: &str, limit: i64) -> Result<Vec<ContactPerson>> {
    session.list(session.sql(EXPORTED).bind(after.to_owned()).bind(limit)).await
}
