//! Owns the letter table: what a letter has beyond a message; and its deliveries on paper.
//!
//! Invariant: a letter's row is written only while its message is a draft, and once more when it is sent, to fix its date.

use serde::{Deserialize, Serialize};

use super::{Result, Session, json};
use crate::domain::letter::{CopyRecipientFields, Letter, LetterFields, SignatureFields};
use crate::domain::opt_out_journal::Word;

/// A letter's own fields as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct LetterRow {
    /// The message.
    pub message_id: String,
    /// Subject.
    pub subject: String,
    /// Body, Markdown.
    pub body_markdown: String,
    /// Diarienummer; `None` when the author has said that there is none.
    pub registry_number: Option<String>,
    /// Saknummer.
    pub subject_code: Option<String>,
    /// Date in the head, `YYYY-MM-DD`; `None` until sent = the day it is sent.
    pub dated: Option<String>,
    /// Who signs.
    pub signature_name: Option<String>,
    /// Title of who signs.
    pub signature_title: String,
    /// Who gets a copy, as a JSON array of `{name, email}`.
    pub copy_recipients: String,
}

#[derive(Serialize, Deserialize)]
struct CopyRow {
    name: String,
    email: String,
}

impl LetterRow {
    /// The row of `letter`.
    #[must_use]
    pub fn new(message_id: &str, letter: &Letter) -> Self {
        let copies: Vec<CopyRow> = letter
            .copy_recipients()
            .iter()
            .map(|copy| CopyRow { name: copy.name.clone(), email: copy.email.clone() })
            .collect();
        Self {
            message_id: message_id.to_owned(),
            subject: letter.subject().to_owned(),
            body_markdown: letter.body_markdown().to_owned(),
            registry_number: letter.registry_number().map(str::to_owned),
            subject_code: letter.subject_code().map(str::to_owned),
            dated: letter.dated().map(|date| date.to_string()),
            signature_name: letter.signature().map(|signature| signature.name.clone()),
            signature_title: letter.signature().map(|signature| signature.title.clone()).unwrap_or_default(),
            copy_recipients: json(&copies),
        }
    }

    /// The fields of the letter.
    #[must_use]
    pub fn fields(&self) -> LetterFields {
        let copies: Vec<CopyRow> = serde_json::from_str(&self.copy_recipients).unwrap_or_default();
        LetterFields {
            subject: self.subject.clone(),
            body_markdown: self.body_markdown.clone(),
            registry_number: self.registry_number.clone(),
            no_registry_number: self.registry_number.is_none(),
            subject_code: self.subject_code.clone(),
            dated: self.dated.clone(),
            signature: self
                .signature_name
                .clone()
                .map(|name| SignatureFields { name, title: self.signature_title.clone() }),
            copy_recipients: copies
                .into_iter()
                .map(|copy| CopyRecipientFields { name: copy.name, email: copy.email })
                .collect(),
        }
    }
}

const PUT: &str = "INSERT INTO letter (message_id, subject, body_markdown, registry_number, subject_code, dated,
   signature_name, signature_title, copy_recipients)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
 ON CONFLICT (message_id) DO UPDATE SET subject = excluded.subject, body_markdown = excluded.body_markdown,
   registry_number = excluded.registry_number, subject_code = excluded.subject_code, dated = excluded.dated,
   signature_name = excluded.signature_name, signature_title = excluded.signature_title,
   copy_recipients = excluded.copy_recipients";

/// Writes a letter's own fields.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put(session: &mut Session, letter: &LetterRow) -> Result<()> {
    let l = letter.clone();
    let statement = session
        .sql(PUT)
        .bind(l.message_id)
        .bind(l.subject)
        .bind(l.body_markdown)
        .bind(l.registry_number)
        .bind(l.subject_code)
        .bind(l.dated)
        .bind(l.signature_name)
        .bind(l.signature_title)
        .bind(l.copy_recipients);
    session.execute(statement).await.map(drop)
}

const GET: &str = "SELECT message_id, subject, body_markdown, registry_number, subject_code, dated, signature_name,
   signature_title, copy_recipients
 FROM letter
 WHERE message_id = $1";

/// The own fields of a letter.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, message_id: &str) -> Result<Option<LetterRow>> {
    session.one(session.sql(GET).bind(message_id.to_owned())).await
}

/// A delivery on paper.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PaperDelivery {
    /// The delivery.
    pub id: i64,
    /// Name and address as frozen, one line each.
    pub address: String,
    /// A delivery state's code.
    pub state: String,
    /// 1 while the person still wants letters and belongs to the area.
    pub wanted: i64,
}

const PAPER: &str = "SELECT d.id, d.address, d.state,
   CASE WHEN EXISTS (
     SELECT 1
     FROM message_recipient r
     JOIN contact_person p ON p.id = r.contact_person_id
     WHERE r.delivery_id = d.id
       AND p.erased_at IS NULL
       AND p.letters = 1
       AND p.letters_opt_out_at IS NULL
       AND (p.paused_until_at IS NULL OR p.paused_until_at <= $2)
       AND p.area_code IN (SELECT a.area_code FROM message_area a WHERE a.message_id = d.message_id))
     THEN 1 ELSE 0 END AS wanted
 FROM delivery d
 WHERE d.message_id = $1
   AND d.channel = 'paper'
   AND d.state IN ('queued', 'accepted', 'unconfirmed')
 ORDER BY d.id";

/// The deliveries on paper that are to be printed or have been, in order, and whether each is still wanted at `now`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn paper(session: &mut Session, message_id: &str, now: i64) -> Result<Vec<PaperDelivery>> {
    session.list(session.sql(PAPER).bind(message_id.to_owned()).bind(now)).await
}

const OPT_OUT: &str = "UPDATE contact_person
 SET letters_opt_out_at = $2, letters_opt_out_source = $3, updated_at = $2
 WHERE id = $1
   AND letters_opt_out_at IS NULL
   AND erased_at IS NULL";

/// Ends letters to one person, alerts untouched; says whether anything changed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn opt_out(session: &mut Session, contact_person_id: &str, source: &'static str, now: i64) -> Result<bool> {
    let statement = session.sql(OPT_OUT).bind(contact_person_id.to_owned()).bind(now).bind(source);
    let has_changed = session.execute(statement).await? > 0;
    if has_changed {
        super::opt_out::note_word(session, contact_person_id, now, Word::LettersOff).await?;
    }
    Ok(has_changed)
}

const LAST_SENT: &str = "SELECT a.code, CAST(MAX(m.sends_at) AS BIGINT) AS sent_at
 FROM message m
 JOIN message_area ma ON ma.message_id = m.id
 JOIN area a ON a.code = ma.area_code
 WHERE m.kind = 'letter'
   AND m.state IN ('sending', 'handed_over', 'done')
   AND a.kind = 'municipality'
 GROUP BY a.code";

/// When the last letter to each municipality as a whole began to go out, Unix ms; those never written to are missing.
///
/// # Errors
/// [`super::StoreError`].
pub async fn last_sent(session: &mut Session) -> Result<Vec<(String, i64)>> {
    session.list(session.sql(LAST_SENT)).await
}

const NEXT_PLANNED: &str = "SELECT a.code, CAST(MIN(m.sends_at) AS BIGINT) AS sends_at
 FROM message m
 JOIN message_area ma ON ma.message_id = m.id
 JOIN area a ON a.code = ma.area_code
 WHERE m.kind = 'letter'
   AND m.state = 'queued'
   AND a.kind = 'municipality'
 GROUP BY a.code";

/// When the next letter to each municipality as a whole begins to go out, Unix ms; those with none on its way are missing.
///
/// # Errors
/// [`super::StoreError`].
pub async fn next_planned(session: &mut Session) -> Result<Vec<(String, i64)>> {
    session.list(session.sql(NEXT_PLANNED)).await
}

/// Deliveries of a letter that stand alike.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Standing {
    /// A channel's code.
    pub channel: String,
    /// A delivery state's code.
    pub state: String,
    /// Stable code of the reason.
    pub reason: Option<String>,
    /// How many.
    pub deliveries: i64,
}

const STANDINGS: &str = "SELECT channel, state, reason, CAST(COUNT(*) AS BIGINT) AS deliveries
 FROM delivery
 WHERE message_id = $1
 GROUP BY channel, state, reason
 ORDER BY channel, state, reason";

/// How the deliveries of a letter stand, by channel, state and reason.
///
/// # Errors
/// [`super::StoreError`].
pub async fn standings(session: &mut Session, message_id: &str) -> Result<Vec<Standing>> {
    session.list(session.sql(STANDINGS).bind(message_id.to_owned())).await
}
