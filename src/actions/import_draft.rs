//! Owns register files between the upload and the import: kept in the database, so that any daemon can go on, and a day
//! at most.
//!
//! It reads no row; `actions::import` does. Invariant: a draft is seen by whom it belongs to and by nobody else.

use serde_json::{Value, json};

use super::import::{allowed, file_problem};
use super::{ActionError, Desk, Result};
use crate::domain::operator::Actor;
use crate::register_file::encoding::TextEncoding;
use crate::register_file::heading::Column;
use crate::register_file::survey::{Overrides, Survey};
use crate::store::import_draft::ImportDraft;
use crate::store::{self, Session};

/// How long a draft is kept: a working day and the night after it.
pub const KEPT_MS: i64 = 24 * 3_600_000;
/// Bytes in one piece: each is a short transaction, so that an alert never waits for a file.
const PART: usize = 384 * 1024;

/// A draft with its bytes.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The draft.
    pub draft: ImportDraft,
    /// The file.
    pub bytes: Vec<u8>,
    /// What was set instead of what is found.
    pub overrides: Overrides,
}

/// Keeps a file; says the id of its draft. Columns that were set for a file with the same headings before are set again.
///
/// # Errors
/// [`ActionError::Invalid`] for a file that cannot be read as a register.
pub async fn keep(desk: &Desk, actor: &Actor, bytes: &[u8]) -> Result<String> {
    let mut session = desk.store.begin().await?;
    allowed(&mut session, actor).await?;
    store::import_draft::forget(&mut session, desk.now() - KEPT_MS).await?;
    let survey = Survey::of(bytes, &Overrides::default());
    let remembered = match &survey {
        Ok(survey) => remembered_columns(&mut session, survey).await?,
        // With another delimiter it may have headings after all.
        Err(error) if error.may_be_set_right() => Vec::new(),
        Err(error) => return Err(file_problem(error)),
    };
    let overrides = Overrides { columns: remembered, ..Overrides::default() };
    let mut draft = ImportDraft {
        id: desk.id(),
        created_by: actor.id.clone(),
        overrides: overrides_json(&overrides).to_string(),
        created_at: desk.now(),
        ..ImportDraft::default()
    };
    store::import_draft::put(&mut session, &draft).await?;
    session.commit().await?;
    for (number, piece) in (0..).zip(bytes.chunks(PART)) {
        let mut session = desk.store.begin().await?;
        let text = data_encoding::BASE64.encode(piece);
        store::import_draft::add_part(&mut session, &draft.id, (number, text)).await?;
        session.commit().await?;
        draft.parts = number + 1;
    }
    let mut session = desk.store.begin().await?;
    store::import_draft::put(&mut session, &draft).await?;
    session.commit().await?;
    Ok(draft.id)
}

/// The columns of the newest import, when its file had the same headings and somebody had set another field for one.
async fn remembered_columns(session: &mut Session, survey: &Survey) -> Result<Vec<Option<Column>>> {
    let Some(latest) = store::import::latest(session, 1).await?.pop() else { return Ok(Vec::new()) };
    let file: Value = serde_json::from_str(&latest.file).unwrap_or_default();
    let before = file["columns"].as_array().cloned().unwrap_or_default();
    let headings: Vec<&str> = before.iter().filter_map(|column| column["heading"].as_str()).collect();
    let now: Vec<&str> = survey.headings.columns.iter().map(|column| column.heading.as_str()).collect();
    if headings != now {
        return Ok(Vec::new());
    }
    let columns: Vec<Option<Column>> =
        before.iter().map(|column| column["field"].as_str().and_then(Column::from_name)).collect();
    let is_found = survey.headings.columns.iter().map(|column| column.column).eq(columns.iter().copied());
    Ok(if is_found { Vec::new() } else { columns })
}

/// The actor's own draft with its bytes.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn open(session: &mut Session, actor: &Actor, id: &str) -> Result<Opened> {
    let draft = own(session, actor, id).await?;
    let mut bytes = Vec::new();
    for number in 0..draft.parts {
        let text = store::import_draft::part(session, id, number).await?.ok_or(ActionError::NotFound)?;
        bytes.extend(data_encoding::BASE64.decode(text.as_bytes()).map_err(|_| ActionError::NotFound)?);
    }
    let overrides = overrides_of(&draft.overrides);
    Ok(Opened { draft, bytes, overrides })
}

/// Sets how the file is read.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn set(session: &mut Session, actor: &Actor, id: &str, overrides: &Overrides) -> Result<()> {
    let draft = own(session, actor, id).await?;
    let changed = ImportDraft { overrides: overrides_json(overrides).to_string(), ..draft };
    Ok(store::import_draft::put(session, &changed).await?)
}

/// Notes which import a draft became. It is kept for the file of rejected rows.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn became(session: &mut Session, actor: &Actor, (id, import_id): (&str, &str)) -> Result<()> {
    let draft = own(session, actor, id).await?;
    Ok(store::import_draft::put(session, &ImportDraft { import_id: Some(import_id.to_owned()), ..draft }).await?)
}

/// Throws a draft away.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn drop_it(session: &mut Session, actor: &Actor, id: &str) -> Result<()> {
    let draft = own(session, actor, id).await?;
    Ok(store::import_draft::remove(session, &draft.id).await?)
}

async fn own(session: &mut Session, actor: &Actor, id: &str) -> Result<ImportDraft> {
    allowed(session, actor).await?;
    let draft = store::import_draft::get(session, id).await?;
    draft.filter(|draft| draft.created_by == actor.id).ok_or(ActionError::NotFound)
}

fn overrides_json(overrides: &Overrides) -> Value {
    let columns: Vec<Option<&str>> = overrides.columns.iter().map(|column| column.map(Column::name)).collect();
    json!({
        "encoding": overrides.encoding.map(TextEncoding::name),
        "delimiter": overrides.delimiter.map(String::from),
        "without_headings": overrides.without_headings,
        "columns": columns,
    })
}

fn overrides_of(text: &str) -> Overrides {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let columns = value["columns"].as_array().into_iter().flatten();
    Overrides {
        encoding: value["encoding"].as_str().and_then(TextEncoding::from_name),
        delimiter: value["delimiter"].as_str().and_then(|text| text.chars().next()),
        without_headings: value["without_headings"].as_bool().unwrap_or_default(),
        columns: columns.map(|name| name.as_str().and_then(Column::from_name)).collect(),
    }
}
