//! Owns the words of names in the register, and finding by them who may fit a search without reading a large register.
//!
//! It does not decide who fits; `register` and `contact_person` do, among those found here. Invariant: whoever fits by how a word,
//! number or address begins is found here, also while their words are behind.

use serde_json::json;

use super::{Result, Session};

/// Sorts after every text that begins with what it is put behind.
const LAST: char = '\u{10FFFF}';

const IS_LARGE: &str = "SELECT 1 AS one
 FROM contact_person
 LIMIT 1 OFFSET $1";

/// Whether the register holds more than so many records.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_larger(session: &mut Session, than: i64) -> Result<bool> {
    let row: Option<(i32,)> = session.one(session.sql(IS_LARGE).bind(than)).await?;
    Ok(row.is_some())
}

/// How what is looked for begins; a part that is empty is not looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Begins {
    /// A word of a name, folded.
    pub word: String,
    /// Other words that the name holds whole.
    pub whole: Vec<String>,
    /// An e-mail address in lower case.
    pub email: String,
    /// A number, E.164.
    pub number: String,
}

const HOLDERS: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS holders
 FROM (SELECT 1 AS one
   FROM contact_person_word
   WHERE word >= $1 AND word <= $2
   ORDER BY word
   LIMIT $3) q";

/// Holders of a word that are counted to find the rarest; those of a more frequent one are many.
const MANY: i64 = 20_000;

/// Which of the words typed is looked up first; of its holders the others are asked for.
struct First<'a> {
    from: &'a str,
    to: String,
    /// Other words that the name holds whole.
    whole: Vec<&'a str>,
    /// How another word of the name begins; empty for none.
    begin: &'a str,
}

impl<'a> First<'a> {
    fn begin(begins: &'a Begins) -> Self {
        let whole = begins.whole.iter().map(String::as_str).collect();
        Self { from: &begins.word, to: last(&begins.word), whole, begin: "" }
    }

    fn whole(begins: &'a Begins, at: usize) -> Self {
        let others = begins.whole.iter().enumerate().filter(|(other, _)| *other != at);
        let whole = others.map(|(_, word)| word.as_str()).collect();
        Self { from: &begins.whole[at], to: begins.whole[at].clone(), whole, begin: &begins.word }
    }

    /// The one with the fewest holders: half a surname may fit everybody, and the name before it a thousand.
    async fn rarest(session: &mut Session, begins: &'a Begins) -> Result<Self> {
        let mut rarest = (i64::MAX, Self::begin(begins));
        if begins.whole.is_empty() {
            return Ok(rarest.1);
        }
        let whole = (0..begins.whole.len()).map(|at| Self::whole(begins, at));
        // Whole words first: they have fewer holders, and what may have more need not be counted further.
        for first in whole.chain(std::iter::once(Self::begin(begins))) {
            let most = rarest.0.min(MANY);
            let statement = session.sql(HOLDERS).bind(first.from.to_owned()).bind(first.to.clone()).bind(most);
            let holders: Option<(i64,)> = session.one(statement).await?;
            let holders = holders.map_or(0, |(count,)| count);
            if holders < rarest.0 {
                rarest = (holders, first);
            }
        }
        Ok(rarest.1)
    }
}

/// Sorts behind every text that begins so.
fn last(begin: &str) -> String {
    format!("{begin}{LAST}")
}

// Each in the order of its index: PostgreSQL, which does not know how much a word or number is the beginning of, would else look
// through the register for the first few, or through all that begins so.

const BY_WORD: &str = "SELECT w.contact_person_id AS id
 FROM contact_person_word w
 WHERE w.word >= $4 AND w.word <= $5
   AND ($6 = '' OR EXISTS (SELECT 1
     FROM contact_person p
     WHERE p.id = w.contact_person_id AND ' ' || p.name_key LIKE '% ' || $6 || '%'))
   AND ($2 = 1 OR w.area_code IN (SELECT v.code FROM {rows $3: code TEXT}))
   AND NOT EXISTS (SELECT 1
     FROM {rows $7: word TEXT}
     WHERE NOT EXISTS (SELECT 1
       FROM contact_person_word o
       WHERE o.word = v.word AND o.contact_person_id = w.contact_person_id))
 ORDER BY w.word, w.contact_person_id
 LIMIT $1";

const BY_NAME: &str = "SELECT p.id
 FROM contact_person p
 WHERE p.word_key <> p.name_key || ' ' || p.area_code
   AND ' ' || p.name_key LIKE '% ' || $4 || '%'
   AND ($2 = 1 OR p.area_code IN (SELECT v.code FROM {rows $3: code TEXT}))
 ORDER BY p.id
 LIMIT $1";

macro_rules! by_begin_of {
    ($column:literal) => {
        concat!(
            "SELECT p.id\n FROM contact_person p\n WHERE p.",
            $column,
            " {as bytes} >= $4 AND p.",
            $column,
            " {as bytes} < $5\n   AND ($2 = 1 OR p.area_code IN (SELECT v.code FROM {rows $3: code TEXT}))\n ORDER BY p.",
            $column,
            " {as bytes}\n LIMIT $1"
        )
    };
}

const BY_EMAIL: &str = by_begin_of!("email_key");
const BY_MOBILE: &str = by_begin_of!("mobile");
const BY_PHONE2: &str = by_begin_of!("phone2");

const BY_AREA: &str = "SELECT p.id
 FROM contact_person p
 WHERE p.area_code {one of $4: code TEXT}
   AND ($2 = 1 OR p.area_code IN (SELECT v.code FROM {rows $3: code TEXT}))
 ORDER BY p.area_code
 LIMIT $1";

/// Where is looked: areas as JSON rows, and whether those are all there are.
#[derive(Debug, Clone, Copy)]
pub struct Within<'a> {
    /// Areas looked in.
    pub areas_json: &'a str,
    /// Whether that is everywhere.
    pub is_everywhere: bool,
    /// Areas that are named by what is looked for.
    pub named_json: &'a str,
}

/// Ids of at most `limit` records that may fit, each once, and whether there may be more.
///
/// # Errors
/// [`super::StoreError`].
pub async fn candidates(
    session: &mut Session,
    begins: &Begins,
    within: Within<'_>,
    limit: i64,
) -> Result<(Vec<String>, bool)> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = Found { ids: Vec::new(), limit, within };
    if !begins.word.is_empty() || !begins.whole.is_empty() {
        let first = First::rarest(session, begins).await?;
        let whole: Vec<_> = first.whole.iter().map(|word| json!({ "word": word })).collect();
        let (from, begin) = (first.from.to_owned(), first.begin.to_owned());
        found.add(session, BY_WORD, [from.clone(), first.to, begin, json!(whole).to_string()]).await?;
        if is_behind(session).await? {
            found.add(session, BY_NAME, [from]).await?;
        }
    }
    if !begins.email.is_empty() {
        found.add(session, BY_EMAIL, [begins.email.clone(), last(&begins.email)]).await?;
    }
    if !begins.number.is_empty() {
        for by in [BY_MOBILE, BY_PHONE2] {
            found.add(session, by, [begins.number.clone(), last(&begins.number)]).await?;
        }
    }
    found.add(session, BY_AREA, [within.named_json.to_owned()]).await?;
    let mut ids = found.ids;
    // One record may be found several ways: what was cut off is told before those are made one.
    let is_cut = ids.len() > most;
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(most);
    Ok((ids, is_cut))
}

/// Who was found one way and another, no more than one beyond the limit.
struct Found<'a> {
    ids: Vec<String>,
    limit: i64,
    within: Within<'a>,
}

impl Found<'_> {
    /// Adds those found by `sql`, whose first values are the limit and where is looked, as long as there is room.
    async fn add<const N: usize>(
        &mut self,
        session: &mut Session,
        sql: &'static str,
        values: [String; N],
    ) -> Result<()> {
        let room = self.limit + 1 - i64::try_from(self.ids.len()).unwrap_or(i64::MAX);
        if room <= 0 {
            return Ok(());
        }
        let mut statement = session
            .sql(sql)
            .bind(room)
            .bind(i64::from(self.within.is_everywhere))
            .bind(self.within.areas_json.to_owned());
        for value in values {
            statement = statement.bind(value);
        }
        let rows: Vec<(String,)> = session.list(statement).await?;
        self.ids.extend(rows.into_iter().map(|(id,)| id));
        Ok(())
    }
}

/// A record whose words are behind.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Behind {
    id: String,
    name_key: String,
    area_code: String,
    word_key: String,
}

const BEHIND: &str = "SELECT id, name_key, area_code, word_key
 FROM contact_person
 WHERE word_key <> name_key || ' ' || area_code
 ORDER BY id
 LIMIT $1
 {for update}";

/// At most `limit` records whose words are behind, held while somebody writes.
///
/// # Errors
/// [`super::StoreError`].
pub async fn behind(session: &mut Session, limit: i64) -> Result<Vec<Behind>> {
    session.list(session.sql(BEHIND).bind(limit)).await
}

// The order is asked for so that PostgreSQL takes the index, which holds nobody else: it takes nearly everybody for one of those, and
// would look through the register for the first.
const IS_BEHIND: &str = "SELECT 1 AS one
 FROM contact_person
 WHERE word_key <> name_key || ' ' || area_code
 ORDER BY id
 LIMIT 1";

/// Whether the words of any record are behind.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_behind(session: &mut Session) -> Result<bool> {
    let row: Option<(i32,)> = session.one(session.sql(IS_BEHIND)).await?;
    Ok(row.is_some())
}

const REMOVE: &str = "DELETE FROM contact_person_word
 WHERE (word, contact_person_id) IN (SELECT v.word, v.id FROM {rows $1: word TEXT, id TEXT})";

const ADD: &str = "INSERT INTO contact_person_word (word, contact_person_id, area_code)
 SELECT v.word, v.id, v.area
 FROM {rows $1: word TEXT, id TEXT, area TEXT}
 WHERE v.id <> ''
 ON CONFLICT (word, contact_person_id) DO UPDATE SET area_code = excluded.area_code";

const CATCH_UP: &str = "UPDATE contact_person
 SET word_key = v.key
 FROM {rows $1: id TEXT, key TEXT}
 WHERE contact_person.id = v.id";

/// Writes the words of records that were [`behind`] within the same transaction.
///
/// # Errors
/// [`super::StoreError`].
pub async fn catch_up(session: &mut Session, behind: &[Behind]) -> Result<()> {
    remove(session, behind.iter().map(|one| (one.id.as_str(), one.word_key.as_str()))).await?;
    let mut added = Vec::new();
    for one in behind {
        let words = words_of(&one.name_key);
        added.extend(words.into_iter().map(|word| json!({ "word": word, "id": one.id, "area": one.area_code })));
    }
    session.execute(session.sql(ADD).bind(json!(added).to_string())).await?;
    let key = |one: &Behind| json!({ "id": one.id, "key": format!("{} {}", one.name_key, one.area_code) });
    let keys: Vec<_> = behind.iter().map(key).collect();
    session.execute(session.sql(CATCH_UP).bind(json!(keys).to_string())).await.map(drop)
}

const KEY_OF: &str = "SELECT id, word_key
 FROM contact_person
 WHERE id = $1";

/// Takes out the words of a record that is erased.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget(session: &mut Session, id: &str) -> Result<()> {
    let keys: Vec<(String, String)> = session.list(session.sql(KEY_OF).bind(id.to_owned())).await?;
    remove(session, keys.iter().map(|(id, key)| (id.as_str(), key.as_str()))).await
}

const KEYS_OF_IMPORT: &str = "SELECT id, word_key
 FROM contact_person
 WHERE import_id = $1
   AND id > $2
 ORDER BY id
 LIMIT 5000";

/// Takes out the words of everybody whom an import has made; it is being undone.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget_import(session: &mut Session, import_id: &str) -> Result<()> {
    let mut after = String::new();
    loop {
        let statement = session.sql(KEYS_OF_IMPORT).bind(import_id.to_owned()).bind(after);
        let keys: Vec<(String, String)> = session.list(statement).await?;
        let Some((last, _)) = keys.last() else { return Ok(()) };
        after = last.clone();
        remove(session, keys.iter().map(|(id, key)| (id.as_str(), key.as_str()))).await?;
    }
}

async fn remove(session: &mut Session, keys: impl Iterator<Item = (&str, &str)>) -> Result<()> {
    let mut gone = Vec::new();
    for (id, key) in keys {
        // The area stands behind the last blank.
        let name = key.rsplit_once(' ').map_or("", |(name, _)| name);
        gone.extend(words_of(name).into_iter().map(|word| json!({ "word": word, "id": id })));
    }
    if gone.is_empty() {
        return Ok(());
    }
    session.execute(session.sql(REMOVE).bind(json!(gone).to_string())).await.map(drop)
}

/// The words of a folded name, each once: a batch must not meet the same row twice.
fn words_of(name_key: &str) -> Vec<&str> {
    let mut words: Vec<&str> = name_key.split(' ').filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words.dedup();
    words
}
