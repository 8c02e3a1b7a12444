//! Owns the contact person table: the register itself.

use super::{Result, Session, opt_out, setting};
use crate::domain::opt_out_journal::{Address, Word};

/// A contact person as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct ContactPerson {
    /// UUIDv7.
    pub id: String,
    /// Name; a pseudonym once erased.
    pub name: String,
    /// E.164 number that can get SMS.
    pub mobile: Option<String>,
    /// Another number, E.164.
    pub phone2: Option<String>,
    /// E-mail for letters.
    pub email: Option<String>,
    /// Another e-mail.
    pub email2: Option<String>,
    /// Street address.
    pub address: String,
    /// Five digits, `NNN NN`.
    pub postcode: String,
    /// Post town.
    pub place: String,
    /// The watch area, or the municipality when there is none.
    pub area_code: String,
    /// Households behind the person.
    pub households: i64,
    /// Language tag.
    pub language: String,
    /// 1 when letters are wanted.
    pub letters: i64,
    /// 1 when alerts are wanted.
    pub alerts: i64,
    /// Free text.
    pub note: String,
    /// 1 for a protected identity.
    pub protected: i64,
    /// Nothing is sent before this time, Unix ms.
    pub paused_until_at: Option<i64>,
    /// When alerts were opted out of, Unix ms.
    pub alerts_opt_out_at: Option<i64>,
    /// How.
    pub alerts_opt_out_source: Option<String>,
    /// When letters were opted out of, Unix ms.
    pub letters_opt_out_at: Option<i64>,
    /// How.
    pub letters_opt_out_source: Option<String>,
    /// Name folded for search and matching.
    pub name_key: String,
    /// E-mail folded for matching.
    pub email_key: Option<String>,
    /// Street address folded for matching.
    pub address_key: String,
    /// The import that made it.
    pub import_id: Option<String>,
    /// Unix ms.
    pub created_at: i64,
    /// Unix ms.
    pub updated_at: i64,
    /// When erased, Unix ms; a pseudonym is left.
    pub erased_at: Option<i64>,
    /// The address that letters do not reach, as it stood when that was found; written by `channel_health` only.
    pub email_unusable: Option<String>,
    /// When that was found, Unix ms.
    pub email_unusable_at: Option<i64>,
    /// Why, as a stable code.
    pub email_unusable_reason: Option<String>,
    /// The number that alerts do not arrive at, as it stood when that was found; written by `channel_health` only.
    pub mobile_doubtful: Option<String>,
    /// When that was found, Unix ms.
    pub mobile_doubtful_at: Option<i64>,
}

const PUT: &str =
    "INSERT INTO contact_person (id, name, mobile, phone2, email, email2, address, postcode, place, area_code,
   households, language, letters, alerts, note, protected, paused_until_at,
   alerts_opt_out_at, alerts_opt_out_source, letters_opt_out_at, letters_opt_out_source,
   name_key, email_key, address_key, import_id, created_at, updated_at, erased_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
   $25, $26, $27, $28)
 ON CONFLICT (id) DO UPDATE SET name = excluded.name, mobile = excluded.mobile, phone2 = excluded.phone2,
   email = excluded.email, email2 = excluded.email2, address = excluded.address, postcode = excluded.postcode,
   place = excluded.place, area_code = excluded.area_code, households = excluded.households,
   language = excluded.language, letters = excluded.letters, alerts = excluded.alerts, note = excluded.note,
   protected = excluded.protected, paused_until_at = excluded.paused_until_at,
   alerts_opt_out_at = excluded.alerts_opt_out_at, alerts_opt_out_source = excluded.alerts_opt_out_source,
   letters_opt_out_at = excluded.letters_opt_out_at, letters_opt_out_source = excluded.letters_opt_out_source,
   name_key = excluded.name_key, email_key = excluded.email_key, address_key = excluded.address_key,
   updated_at = excluded.updated_at, erased_at = excluded.erased_at";

/// Adds a contact person, or writes all fields of one that exists.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put(session: &mut Session, person: &ContactPerson) -> Result<()> {
    opt_out::note_change(session, person).await?;
    let p = person.clone();
    let statement = session
        .sql(PUT)
        .bind(p.id)
        .bind(p.name)
        .bind(p.mobile)
        .bind(p.phone2)
        .bind(p.email)
        .bind(p.email2)
        .bind(p.address)
        .bind(p.postcode)
        .bind(p.place)
        .bind(p.area_code)
        .bind(p.households)
        .bind(p.language)
        .bind(p.letters)
        .bind(p.alerts)
        .bind(p.note)
        .bind(p.protected)
        .bind(p.paused_until_at)
        .bind(p.alerts_opt_out_at)
        .bind(p.alerts_opt_out_source)
        .bind(p.letters_opt_out_at)
        .bind(p.letters_opt_out_source)
        .bind(p.name_key)
        .bind(p.email_key)
        .bind(p.address_key)
        .bind(p.import_id)
        .bind(p.created_at)
        .bind(p.updated_at)
        .bind(p.erased_at);
    session.execute(statement).await.map(drop)
}

const GET: &str = "SELECT *
 FROM contact_person
 WHERE id = $1";

/// The contact person with this id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, id: &str) -> Result<Option<ContactPerson>> {
    session.one(session.sql(GET).bind(id.to_owned())).await
}

const LOCKED: &str = "SELECT *
 FROM contact_person
 WHERE id = $1
 {for update}";

/// The contact person with this id, held until the transaction ends: what is written back must not undo what others wrote meanwhile.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get_locked(session: &mut Session, id: &str) -> Result<Option<ContactPerson>> {
    session.one(session.sql(LOCKED).bind(id.to_owned())).await
}

const BY_MOBILE: &str = "SELECT *
 FROM contact_person
 WHERE mobile = $1
   AND erased_at IS NULL
 ORDER BY id
 LIMIT 10";

/// Up to ten contact persons with this number.
///
/// # Errors
/// [`super::StoreError`].
pub async fn by_mobile(session: &mut Session, mobile: &str) -> Result<Vec<ContactPerson>> {
    session.list(session.sql(BY_MOBILE).bind(mobile.to_owned())).await
}

const BY_PHONE2: &str = "SELECT *
 FROM contact_person
 WHERE phone2 = $1
   AND erased_at IS NULL
 ORDER BY id
 LIMIT 10";

/// Up to ten contact persons with this other number.
///
/// # Errors
/// [`super::StoreError`].
pub async fn by_phone2(session: &mut Session, number: &str) -> Result<Vec<ContactPerson>> {
    session.list(session.sql(BY_PHONE2).bind(number.to_owned())).await
}

const BY_EMAIL: &str = "SELECT *
 FROM contact_person
 WHERE email_key = $1
   AND erased_at IS NULL
 ORDER BY id
 LIMIT 10";

/// Up to ten contact persons with this e-mail address, folded for matching.
///
/// # Errors
/// [`super::StoreError`].
pub async fn by_email_key(session: &mut Session, key: &str) -> Result<Vec<ContactPerson>> {
    session.list(session.sql(BY_EMAIL).bind(key.to_owned())).await
}

/// What a search looks for; each part empty = not looked for.
#[derive(Debug, Clone, Default)]
pub struct Search {
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
    /// After this id.
    pub after: String,
    /// Records looked among, as JSON rows; all when there is no such list.
    pub among: Option<String>,
}

macro_rules! fitting {
    ($from:literal) => {
        concat!(
            "SELECT p.*",
            $from,
            " p.erased_at IS NULL
   AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})
   AND p.id > $2
   AND (($3 = '' AND $4 = '')
     OR ($3 <> '' AND (p.name_key LIKE $3 ESCAPE '\\' OR p.email_key LIKE $6 ESCAPE '\\'
       OR p.area_code IN (SELECT v.code FROM {rows $7: code TEXT})))
     OR ($4 <> '' AND (p.mobile LIKE $4 OR p.phone2 LIKE $4)))
 ORDER BY p.id
 LIMIT $5"
        )
    };
}

const SEARCH: &str = fitting!("\n FROM contact_person p\n WHERE");
const SEARCH_AMONG: &str =
    fitting!("\n FROM {rows $8: id TEXT} CROSS JOIN contact_person p\n WHERE p.id = v.id\n   AND");

/// A page of contact persons that match, in order of id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn search(session: &mut Session, search: &Search, limit: i64) -> Result<Vec<ContactPerson>> {
    let mut statement = session
        .sql(if search.among.is_some() { SEARCH_AMONG } else { SEARCH })
        .bind(search.areas_json.clone())
        .bind(search.after.clone())
        .bind(search.words.clone())
        .bind(search.number.clone())
        .bind(limit)
        .bind(search.email.clone())
        .bind(search.named_json.clone());
    if let Some(among) = &search.among {
        statement = statement.bind(among.clone());
    }
    session.list(statement).await
}

const SUPPRESS: &str = "INSERT INTO suppression (fingerprint, channel, source, created_at)
 VALUES ($1, $2, $3, $4)
 ON CONFLICT (fingerprint, channel) DO NOTHING";

/// Remembers, by keyed digest, an address that must not come back.
///
/// # Errors
/// [`super::StoreError`].
pub async fn suppress(
    session: &mut Session,
    (fingerprint, channel): (String, &'static str),
    source: &'static str,
    now: i64,
) -> Result<()> {
    let statement = session.sql(SUPPRESS).bind(fingerprint.clone()).bind(channel).bind(source).bind(now);
    let is_new = session.execute(statement).await? > 0;
    // A restored database may know of it while its journal has let the address in since.
    if is_new || setting::get(session, setting::RESTORED_SINCE).await?.is_some() {
        let address = Address { channel: channel.to_owned(), fingerprint, kept_out: Some(source.to_owned()) };
        opt_out::note_address(session, now, address).await?;
    }
    Ok(())
}

const IS_SUPPRESSED: &str = "SELECT source
 FROM suppression
 WHERE fingerprint = $1
   AND channel = $2";

/// Why an address must not come back, if so.
///
/// # Errors
/// [`super::StoreError`].
pub async fn suppressed(session: &mut Session, fingerprint: &str, channel: &'static str) -> Result<Option<String>> {
    let row: Option<(String,)> =
        session.one(session.sql(IS_SUPPRESSED).bind(fingerprint.to_owned()).bind(channel)).await?;
    Ok(row.map(|(source,)| source))
}

const UNSUPPRESS: &str = "DELETE FROM suppression
 WHERE fingerprint = $1
   AND channel = $2
   AND source = 'opted_out'";

/// Forgets an opt-out that was taken back; what was erased stays remembered.
///
/// # Errors
/// [`super::StoreError`].
pub async fn unsuppress(session: &mut Session, (fingerprint, channel): (&str, &'static str), now: i64) -> Result<()> {
    let statement = session.sql(UNSUPPRESS).bind(fingerprint.to_owned()).bind(channel);
    if session.execute(statement).await? > 0 {
        let address = Address { channel: channel.to_owned(), fingerprint: fingerprint.to_owned(), kept_out: None };
        opt_out::note_address(session, now, address).await?;
    }
    Ok(())
}

const ERASE_ADDRESSES: &str = "UPDATE delivery
 SET address = 'erased-' || CAST(id AS TEXT), detail = NULL
 WHERE contact_person_id = $1
   AND persons = 1";

const ERASE_ATTEMPTS: &str = "UPDATE attempt
 SET detail = NULL
 WHERE delivery_id IN (SELECT d.id FROM delivery d WHERE d.contact_person_id = $1 AND d.persons = 1)";

/// Erases a person's fields, addresses and the providers' words about them; counts, states and the pseudonym stay. `into` is the
/// record that a merged one goes into.
///
/// # Errors
/// [`super::StoreError`].
pub async fn erase(session: &mut Session, person: &ContactPerson, into: Option<&str>, now: i64) -> Result<()> {
    let pseudonym = ContactPerson {
        id: person.id.clone(),
        name: "Raderad".to_owned(),
        area_code: person.area_code.clone(),
        households: person.households,
        language: "sv".to_owned(),
        created_at: person.created_at,
        updated_at: now,
        erased_at: Some(now),
        ..ContactPerson::default()
    };
    match into {
        None => opt_out::note_word(session, &person.id, now, Word::Erased).await?,
        Some(kept) => opt_out::note(session, now, |key| Some(key.merged(now, &person.id, kept))).await?,
    }
    put(session, &pseudonym).await?;
    super::channel_health::clear(session, &person.id, now).await?;
    super::channel_health::trust_mobile(session, &person.id, now).await?;
    super::register_word::forget(session, &person.id).await?;
    super::inbound_mail::erase(session, &person.id).await?;
    super::own_page::erase(session, &person.id).await?;
    super::deputy::erase(session, &person.id).await?;
    super::phone_call::erase(session, &person.id).await?;
    session.execute(session.sql(ERASE_ATTEMPTS).bind(person.id.clone())).await?;
    session.execute(session.sql(ERASE_ADDRESSES).bind(person.id.clone())).await.map(drop)
}
