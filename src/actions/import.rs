//! Owns importing a register file: looking what it would do, and doing it, all or nothing.
//!
//! Up to [`ONE_TRANSACTION`] rows are one transaction. Larger files are written in pieces that nobody sees, and
//! published in one; a crash before that leaves nothing but what the next import clears away. Invariants: a row that
//! needs an answer stores nothing; an opt-out is never brought back.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::contact_person::{fill, values_of};
use super::import_plan::{self, Areas, cells_json, field_change, field_names, geography, item, record};
use super::{ActionError, Desk, Result, require};
use crate::domain::area::AreaTree;
use crate::domain::contact_person::{CONFIRMED_HOUSEHOLDS, Field, validate};
use crate::domain::operator::{Actor, Right};
use crate::register_file::FileError;
use crate::register_file::finding::Action;
use crate::register_file::heading::Column;
use crate::register_file::planner::{PlannedRow, Planner};
use crate::register_file::survey::Survey;
use crate::register_file::table::RawRow;
use crate::store::contact_person::ContactPerson as Row;
use crate::store::import::{FieldChange, Import, ImportRow, Item};
use crate::store::{self, Session};

/// Rows of a file that is imported in one transaction.
pub const ONE_TRANSACTION: u64 = 20_000;
/// Bytes of a file.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Rows planned and written at a time.
const CHUNK: usize = 500;
/// An import that was not worked on for this long has died.
const DEAD_AFTER: Duration = Duration::from_secs(15);
/// Held while an import is stored, so that two never plan against each other.
const LOCK: &str = "import_lock";

/// A file that was surveyed.
#[derive(Debug, Clone, Copy)]
pub struct RegisterFile<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// What was found out about it.
    pub survey: &'a Survey,
}

impl RegisterFile<'_> {
    /// Whether it is imported in pieces.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.survey.rows > ONE_TRANSACTION
    }
}

/// Told how many rows are done.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);

/// One row as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemView {
    /// Number of the row, from 1 after the heading.
    pub row: i64,
    /// Physical line it begins on.
    pub line: i64,
    /// What was or would be done.
    pub action: String,
    /// Why, and with which values.
    pub item: Item,
    /// The contact person it made or is about.
    pub contact_person_id: Option<String>,
}

/// An import, or what one would do.
#[derive(Debug, Clone, Default)]
pub struct ImportView {
    /// The import; `None` when nothing was stored.
    pub import: Option<Import>,
    /// Rows after the headings.
    pub rows: u64,
    /// Rows by action, in the order of [`Action::ALL`].
    pub counts: [u64; 8],
    /// The rows, in order.
    pub items: Vec<ItemView>,
    /// Rows that need no look and are left out of `items`, where there are very many.
    pub left_out: u64,
    /// Contact persons in the register that are in no row; `None` where it was not counted.
    pub missing: Option<u64>,
    /// What was found out about the file.
    pub file: Value,
    /// The rows that cannot be imported, as they stood, with the reason.
    pub rejected: Vec<(crate::domain::contact_person::Values, String)>,
}

impl ImportView {
    /// Rows with this action.
    #[must_use]
    pub fn count(&self, action: Action) -> u64 {
        self.counts[action as usize]
    }

    fn add(&mut self, planned: &PlannedRow, contact_person_id: Option<String>, is_large: bool) {
        self.counts[planned.action as usize] += 1;
        if planned.action == Action::Reject {
            self.rejected.push((planned.cells.cells.clone(), planned.message.clone()));
        }
        let is_plain = matches!(planned.action, Action::New | Action::Same | Action::Dup);
        if is_large && (is_plain || self.items.len() as u64 >= ONE_TRANSACTION) {
            self.left_out += 1;
            return;
        }
        self.items.push(ItemView {
            row: number(planned.row),
            line: number(planned.line),
            action: planned.action.code().to_owned(),
            item: item(planned),
            contact_person_id,
        });
    }
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// What is wrong with a file, as an error of the field `file`.
#[must_use]
pub fn file_problem(error: &FileError) -> ActionError {
    ActionError::field("file", error.code(), error.detail())
}

/// Says what importing a file would do, and stores nothing of it.
///
/// # Errors
/// [`ActionError`].
pub async fn preview(desk: &Desk, actor: &Actor, file: RegisterFile<'_>, progress: Progress<'_>) -> Result<ImportView> {
    let mut session = desk.store.begin().await?;
    allowed(&mut session, actor).await?;
    clear_dead(desk, &mut session).await?;
    session.commit().await?;
    let mut session = desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    let mut run = Run::begin(desk, &mut session, &tree, file).await?;
    for chunk in chunks(file) {
        let planned = run.plan(desk, &mut session, &chunk?).await?;
        for row in &planned {
            run.note(row, row.known_id.clone());
        }
        progress(run.done);
        tokio::task::yield_now().await;
    }
    drop(session);
    let view = run.view;
    let mut session = desk.store.begin().await?;
    let detail = json!({ "rows": view.rows, "persons": view.count(Action::Same) + view.count(Action::Update) });
    desk.audit(&mut session, actor, "import.previewed", ("import", ""), detail).await?;
    session.commit().await?;
    Ok(view)
}

/// Imports a file of at most [`ONE_TRANSACTION`] rows in the transaction of `session`.
///
/// # Errors
/// [`ActionError`]; nothing is stored when the transaction is not committed.
pub async fn store(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    file: RegisterFile<'_>,
    progress: Progress<'_>,
) -> Result<ImportView> {
    let (import, tree) = begin(desk, session, actor, file).await?;
    let mut run = Run::begin(desk, session, &tree, file).await?;
    for chunk in chunks(file) {
        run.write(desk, session, &chunk?, &import.id).await?;
        progress(run.done);
        tokio::task::yield_now().await;
    }
    publish(desk, session, actor, (import, run.view)).await
}

/// Writes a file of more than [`ONE_TRANSACTION`] rows in pieces that nobody sees. [`publish`] makes them seen.
///
/// # Errors
/// [`ActionError`]; what was written is cleared away.
pub async fn write_unseen(
    desk: &Desk,
    actor: &Actor,
    file: RegisterFile<'_>,
    progress: Progress<'_>,
) -> Result<(Import, ImportView)> {
    let mut session = desk.store.begin().await?;
    let (import, tree) = begin(desk, &mut session, actor, file).await?;
    let run = Run::begin(desk, &mut session, &tree, file).await?;
    session.commit().await?;
    match write_chunks(desk, run, file, &import, progress).await {
        Ok(view) => Ok((import, view)),
        Err(error) => {
            discard(desk, &import.id).await?;
            Err(error)
        }
    }
}

async fn write_chunks(
    desk: &Desk,
    mut run: Run<'_>,
    file: RegisterFile<'_>,
    import: &Import,
    progress: Progress<'_>,
) -> Result<ImportView> {
    for chunk in chunks(file) {
        let chunk = chunk?;
        let mut session = desk.store.begin().await?;
        run.write(desk, &mut session, &chunk, &import.id).await?;
        store::import::put(&mut session, &Import { seen_at: desk.now(), ..import.clone() }).await?;
        session.commit().await?;
        progress(run.done);
        tokio::task::yield_now().await;
    }
    Ok(run.view)
}

/// Clears away an import that was not published.
///
/// # Errors
/// [`ActionError::Store`].
pub async fn discard(desk: &Desk, id: &str) -> Result<()> {
    let mut session = desk.store.begin().await?;
    store::import::remove(&mut session, id).await?;
    Ok(session.commit().await?)
}

/// Makes an import seen: its new people, and what it changes of others.
///
/// # Errors
/// [`ActionError`].
pub async fn publish(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (import, mut view): (Import, ImportView),
) -> Result<ImportView> {
    let tree = store::area::tree(session).await?;
    let mut areas = Areas::of(&tree);
    let mut after = 0;
    loop {
        let rows = store::import::rows(session, &import.id, Action::Update.code(), (after, 500)).await?;
        let Some(last) = rows.last() else { break };
        after = last.number;
        for row in &rows {
            let changes: Vec<FieldChange> = parsed(row.updates.as_deref());
            change_person(desk, session, (&tree, &mut areas, &import.id), row, &changes).await?;
        }
    }
    store::import::publish(session, &import.id).await?;
    let now = desk.now();
    let import = Import { state: "stored".to_owned(), rows_read: number(view.rows), seen_at: now, ..import };
    store::import::put(session, &import).await?;
    let counts: serde_json::Map<String, Value> =
        Action::ALL.into_iter().map(|action| (action.code().to_owned(), json!(view.count(action)))).collect();
    let detail = json!({ "rows": view.rows, "counts": counts });
    desk.audit(session, actor, "import.stored", ("import", &import.id), detail).await?;
    view.import = Some(import);
    Ok(view)
}

/// An import with a page of its rows after row number `after`.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn get(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    id: &str,
    (after, limit): (i64, i64),
) -> Result<(ImportView, Option<i64>)> {
    allowed(session, actor).await?;
    let import = store::import::get(session, id).await?.filter(|import| import.state != "running");
    let import = import.ok_or(ActionError::NotFound)?;
    let mut rows = store::import::rows(session, id, "", (after, limit.saturating_add(1))).await?;
    let has_more = number(rows.len() as u64) > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = rows.last().map(|row| row.number).filter(|_| has_more);
    let mut view = ImportView {
        rows: u64::try_from(import.rows_read).unwrap_or(0),
        file: serde_json::from_str(&import.file).unwrap_or_default(),
        ..ImportView::default()
    };
    for (action, n) in store::import::counts(session, id).await? {
        if let Some(action) = Action::from_code(&action) {
            view.counts[action as usize] = u64::try_from(n).unwrap_or(0);
        }
    }
    view.items = rows.into_iter().map(item_view).collect();
    view.import = Some(import);
    desk.audit(session, actor, "import.read", ("import", id), json!({ "persons": view.items.len() })).await?;
    Ok((view, next))
}

/// A page of the contact persons that an import did not mention, in order of id.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn missing(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    id: &str,
    (after, limit): (&str, i64),
) -> Result<Vec<Row>> {
    allowed(session, actor).await?;
    let import = store::import::get(session, id).await?.ok_or(ActionError::NotFound)?;
    let persons = store::import::missing(session, &import, (after, limit)).await?;
    let detail = json!({ "persons": persons.len() });
    desk.audit(session, actor, "import.missing_read", ("import", id), detail).await?;
    Ok(persons)
}

/// Whether the actor may import: administrators of the whole police area.
pub(super) async fn allowed(session: &mut Session, actor: &Actor) -> Result<AreaTree> {
    require(actor, Right::MoveRegister)?;
    let tree = store::area::tree(session).await?;
    match tree.root() {
        Some(root) if root.code != actor.area => Err(ActionError::Forbidden),
        _ => Ok(tree),
    }
}

pub(super) fn item_view(row: ImportRow) -> ItemView {
    ItemView {
        row: row.number,
        line: row.line,
        action: row.action,
        item: serde_json::from_str(&row.item).unwrap_or_default(),
        contact_person_id: row.contact_person_id,
    }
}

/// The changes that a stored row holds.
pub(super) fn parsed(updates: Option<&str>) -> Vec<FieldChange> {
    updates.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

/// Changes fields of a person in the register, if the person is still there.
pub(super) async fn change_person(
    desk: &Desk,
    session: &mut Session,
    (tree, areas, import_id): (&AreaTree, &mut Areas, &str),
    row: &ImportRow,
    changes: &[FieldChange],
) -> Result<()> {
    let Some(id) = &row.contact_person_id else { return Ok(()) };
    let Some(mut person) = store::contact_person::get(session, id).await?.filter(|person| person.erased_at.is_none())
    else {
        return Ok(());
    };
    let mut values = values_of(&person, tree);
    for change in changes {
        if let Some(field) = Field::from_name(&change.name) {
            values[field].clone_from(&change.after);
        }
    }
    let Ok(valid) = validate(&values, tree, &CONFIRMED_HOUSEHOLDS) else { return Ok(()) };
    let now = desk.now();
    let area = areas.code_of(session, &valid, (import_id, now)).await?;
    fill(&mut person, &valid, &area, now);
    Ok(store::contact_person::put(session, &person).await?)
}

/// Notes that an import runs, after clearing away what one that died has left; gives the tree as it is then.
async fn begin(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    file: RegisterFile<'_>,
) -> Result<(Import, AreaTree)> {
    allowed(session, actor).await?;
    let now = desk.now();
    let id = desk.id();
    store::setting::set(session, LOCK, id.clone()).await?;
    if clear_dead(desk, session).await? > 0 {
        return Err(ActionError::conflict("import.running", "En annan import pågår. Vänta tills den är klar."));
    }
    let import = Import {
        id,
        state: "running".to_owned(),
        file: file_json(file.survey).to_string(),
        created_by: actor.id.clone(),
        created_at: now,
        seen_at: now,
        ..Import::default()
    };
    store::import::put(session, &import).await?;
    Ok((import, store::area::tree(session).await?))
}

/// Clears away imports that died before they were published; says how many are alive.
async fn clear_dead(desk: &Desk, session: &mut Session) -> Result<usize> {
    let mut alive = 0;
    for import in store::import::running(session).await? {
        if desk.now() - import.seen_at < i64::try_from(DEAD_AFTER.as_millis()).unwrap_or(i64::MAX) {
            alive += 1;
        } else {
            store::import::remove(session, &import.id).await?;
        }
    }
    Ok(alive)
}

/// What was found out about a file.
fn file_json(survey: &Survey) -> Value {
    let columns: Vec<Value> = survey
        .headings
        .columns
        .iter()
        .map(|found| {
            let field = found.column.map(Column::name);
            json!({ "heading": found.heading, "field": field })
        })
        .collect();
    json!({
        "encoding": survey.encoding.encoding.name(),
        "byte_order_mark": survey.encoding.bom,
        "delimiter": survey.delimiter.to_string(),
        "rows_above": survey.skipped_rows.saturating_sub(1),
        "columns": columns,
        "empty_means_no": field_names(survey.blank_is_no),
    })
}

/// The rows of a file, [`CHUNK`] at a time.
fn chunks(file: RegisterFile<'_>) -> impl Iterator<Item = Result<Vec<(u64, RawRow)>>> {
    let mut rows = file.survey.rows_of(file.bytes);
    std::iter::from_fn(move || {
        let chunk: std::result::Result<Vec<_>, FileError> = rows.by_ref().take(CHUNK).collect();
        match chunk {
            Ok(chunk) if chunk.is_empty() => None,
            chunk => Some(chunk.map_err(|error| file_problem(&error))),
        }
    })
}

/// An import under way.
struct Run<'a> {
    tree: &'a AreaTree,
    planner: Planner<'a>,
    areas: Areas,
    view: ImportView,
    mentioned: HashSet<String>,
    persons_before: u64,
    is_large: bool,
    done: u64,
}

impl<'a> Run<'a> {
    async fn begin(desk: &Desk, session: &mut Session, tree: &'a AreaTree, file: RegisterFile<'_>) -> Result<Self> {
        let geography = geography(desk, session, tree).await?;
        let persons_before = u64::try_from(store::import::persons(session).await?).unwrap_or(0);
        Ok(Self {
            tree,
            planner: Planner::new(tree, file.survey.clone(), geography),
            areas: Areas::of(tree),
            view: ImportView {
                rows: file.survey.rows,
                file: file_json(file.survey),
                missing: Some(persons_before),
                ..ImportView::default()
            },
            mentioned: HashSet::new(),
            persons_before,
            is_large: file.is_large(),
            done: 0,
        })
    }

    async fn plan(&mut self, desk: &Desk, session: &mut Session, chunk: &[(u64, RawRow)]) -> Result<Vec<PlannedRow>> {
        let prepared = chunk.iter().map(|(number, row)| self.planner.prepare(*number, row)).collect();
        import_plan::plan(desk, session, self.tree, &mut self.planner, prepared).await
    }

    /// Plans a chunk and writes what it stores, unseen.
    async fn write(
        &mut self,
        desk: &Desk,
        session: &mut Session,
        chunk: &[(u64, RawRow)],
        import_id: &str,
    ) -> Result<()> {
        let planned = self.plan(desk, session, chunk).await?;
        let (mut persons, mut rows) = (Vec::new(), Vec::with_capacity(planned.len()));
        for row in &planned {
            let mut contact_person_id = row.known_id.clone();
            if let (Action::New | Action::Warn, Some(person)) = (row.action, &row.person) {
                let area = self.areas.code_of(session, person, (import_id, desk.now())).await?;
                let record = record(desk, person, &area, import_id);
                contact_person_id = Some(record.id.clone());
                persons.push(record);
            }
            rows.push(stored_row(row, contact_person_id.clone()));
            self.note(row, contact_person_id);
        }
        store::import::add_persons(session, &persons).await?;
        Ok(store::import::add_rows(session, import_id, &rows).await?)
    }

    fn note(&mut self, row: &PlannedRow, contact_person_id: Option<String>) {
        self.done = row.row;
        if let Some(known) = &row.known_id {
            self.mentioned.insert(known.clone());
        }
        self.view.missing = Some(self.persons_before.saturating_sub(self.mentioned.len() as u64));
        self.view.add(row, contact_person_id, self.is_large);
    }
}

/// A planned row as it is stored. What stands in rows that are folded or no persons is not kept.
pub(super) fn stored_row(planned: &PlannedRow, contact_person_id: Option<String>) -> ImportRow {
    let mut item = item(planned);
    if matches!(planned.action, Action::Dup | Action::Skip | Action::Reject) {
        item.fields.clear();
        item.changes.clear();
    }
    let updates: Vec<FieldChange> = planned.updates.iter().map(field_change).collect();
    ImportRow {
        number: number(planned.row),
        line: number(planned.line),
        action: planned.action.code().to_owned(),
        item: serde_json::to_string(&item).unwrap_or_default(),
        cells: (planned.action == Action::Ask).then(|| cells_json(&planned.cells).to_string()),
        updates: (planned.action == Action::Update).then(|| serde_json::to_string(&updates).unwrap_or_default()),
        contact_person_id,
    }
}
