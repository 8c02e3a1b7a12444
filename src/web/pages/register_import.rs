//! Owns the first two steps of an import: the file, and how it is read.
//!
//! Nothing of the register is read or changed here. Invariant: a file is kept for whom it belongs to, a day at most.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use super::actor_names::ActorNames;
use super::administration::Choosable;
use super::form::{Faults, Fields, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::register_words::{Tabs, capitalised};
use super::time::number;
use super::upload::Upload;
use super::visit::SignedIn;
use crate::actions::import::{MAX_BYTES, file_problem};
use crate::actions::import_draft::{self, Opened};
use crate::actions::{ActionError, FieldProblem, require};
use crate::domain::contact_person::Field;
use crate::domain::operator::Right;
use crate::register_file::FileError;
use crate::register_file::encoding::TextEncoding;
use crate::register_file::heading::Column;
use crate::register_file::survey::{Overrides, Survey};
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::again_when_busy;

/// A form holds a little beside the file.
const FORM_BYTES: usize = MAX_BYTES + 64 * 1024;
/// Imports shown.
const LATEST: i64 = 10;
/// Rows of the file that are shown.
const SAMPLE: usize = 3;
/// Characters of a cell that are shown.
const CELL: usize = 60;
/// Delimiters to choose from: what is sent, and what it is called.
const DELIMITERS: [(&str, &str); 5] =
    [(";", "Semikolon ;"), (",", "Komma ,"), ("tab", "Tabb"), ("|", "Lodstreck |"), (":", "Kolon :")];

/// The routes.
pub fn router() -> Router<Web> {
    let file = Router::new().route("/register/import", get(ask).post(upload)).layer(DefaultBodyLimit::max(FORM_BYTES));
    Router::new()
        .merge(file)
        .route("/register/import/{id}", get(look).post(set))
        .route("/register/import/{id}/drop", post(drop_it))
}

/// An import that was made.
#[derive(Debug)]
struct ImportRow {
    id: String,
    at: String,
    by: String,
    rows: String,
    is_undone: bool,
}

#[derive(Template)]
#[template(path = "pages/register_import.html")]
struct ImportPage {
    frame: Frame,
    tabs: Tabs,
    faults: Faults,
    imports: Vec<ImportRow>,
}

async fn ask(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    upload_page(&web, (&headers, &who), Faults::default()).await
}

async fn upload_page(web: &Web, (headers, who): (&HeaderMap, &SignedIn), faults: Faults) -> Result<Response, Problem> {
    require(who.actor(), Right::MoveRegister)?;
    let mut session = web.desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    let imports = store::import::latest(&mut session, LATEST).await?;
    let names = ActorNames::load(&mut session).await?;
    drop(session);
    let tabs = Tabs::of(who.actor(), &tree, "import");
    if !tabs.may_move {
        return Err(ActionError::Forbidden.into());
    }
    let frame = Frame::of(web, headers, who, (Section::Register, "Importera")).await;
    let row = |import: store::import::Import| ImportRow {
        at: frame.wall.short(import.created_at),
        by: names.of(&import.created_by),
        rows: number(import.rows_read),
        is_undone: import.state == "undone",
        id: import.id,
    };
    let imports = imports.into_iter().map(row).collect();
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = frame.with_faults(!faults.is_empty());
    show(status, &ImportPage { tabs, faults, imports, frame })
}

async fn upload(State(web): State<Web>, request: Request) -> Result<Response, Problem> {
    let sent = Upload::read(&web, request, Right::MoveRegister).await?;
    let at = (&sent.headers, &sent.who);
    if sent.file.is_empty() {
        let faults = Faults::one("file", "import.no_file", "Välj en fil som inte är tom.");
        return upload_page(&web, at, faults).await;
    }
    match import_draft::keep(&web.desk, sent.who.actor(), &sent.file).await {
        Ok(id) => Ok(Redirect::to(&format!("/register/import/{id}")).into_response()),
        Err(ActionError::Invalid(problems)) => upload_page(&web, at, Faults::new(problems)).await,
        Err(error) => Err(error.into()),
    }
}

/// A file that was uploaded, and what was found out about it.
#[derive(Debug)]
pub struct Read {
    /// The file.
    pub opened: Arc<Opened>,
    /// What was found, or why it is no register.
    pub survey: Result<Survey, FileError>,
}

/// Opens and surveys a file of the actor's.
///
/// # Errors
/// [`Problem`] when there is none.
pub async fn read(web: &Web, who: &SignedIn, id: &str) -> Result<Read, Problem> {
    let mut session = web.desk.store.read().await?;
    let opened = Arc::new(import_draft::open(&mut session, who.actor(), id).await?);
    drop(session);
    let file = Arc::clone(&opened);
    let surveyed = tokio::task::spawn_blocking(move || Survey::of(&file.bytes, &file.overrides)).await;
    Ok(Read { opened, survey: surveyed.map_err(|_| Problem::internal("import.survey"))? })
}

/// A column of the file.
#[derive(Debug)]
struct ColumnRow {
    at: usize,
    heading: String,
    cells: Vec<String>,
    fields: Vec<Choosable>,
    fault: bool,
}

#[derive(Template)]
#[template(path = "pages/register_import_file.html")]
struct FilePage {
    frame: Frame,
    faults: Faults,
    id: String,
    found: String,
    encodings: Vec<Choosable>,
    delimiters: Vec<Choosable>,
    shown: (String, String),
    columns: Vec<ColumnRow>,
    unused: usize,
    is_readable: bool,
    without_headings: bool,
}

async fn look(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    file_page(&web, (&headers, &who), &id, Faults::default()).await
}

async fn file_page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    id: &str,
    mut faults: Faults,
) -> Result<Response, Problem> {
    let Read { opened, survey } = read(web, who, id).await?;
    if let Err(error) = &survey
        && let ActionError::Invalid(problems) = file_problem(error)
    {
        let field = if *error == FileError::NoHeadings { "without_headings" } else { "delimiter" };
        let at_delimiter = |problem: FieldProblem| FieldProblem { name: field.to_owned(), ..problem };
        faults = Faults::new(problems.into_iter().map(at_delimiter).collect());
    }
    let encoding = match &survey {
        Ok(survey) => survey.encoding.encoding.name(),
        Err(_) => opened.overrides.encoding.map_or("", TextEncoding::name),
    };
    let delimiter = match &survey {
        Ok(survey) => delimiter_code(survey.delimiter),
        Err(_) => opened.overrides.delimiter.map(delimiter_code).unwrap_or_default(),
    };
    let columns = survey.as_ref().map(|survey| columns(survey, &opened.bytes, &faults)).unwrap_or_default();
    let frame = Frame::of(web, headers, who, (Section::Register, "Importera: filen")).await;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = FilePage {
        found: survey.as_ref().map(file_words).unwrap_or_default(),
        encodings: encodings(encoding),
        delimiters: delimiters(&delimiter),
        shown: (encoding.to_owned(), delimiter),
        unused: columns.iter().filter(|column| column.fields.iter().all(|field| !field.is_chosen)).count(),
        columns,
        is_readable: survey.is_ok(),
        without_headings: opened.overrides.without_headings,
        id: id.to_owned(),
        frame: frame.with_faults(!faults.is_empty()),
        faults,
    };
    show(status, &page)
}

/// What was found out about a file, in a line: `UTF-8 med BOM, semikolon, 60 rader`.
#[must_use]
pub fn file_words(survey: &Survey) -> String {
    let encoding = encoding_words(survey.encoding.encoding);
    let mark = if survey.encoding.bom { " med BOM" } else { "" };
    let code = delimiter_code(survey.delimiter);
    let delimiter = match code.as_str() {
        ";" => "semikolon",
        "," => "komma",
        "tab" => "tabb",
        "|" => "lodstreck",
        other => other,
    };
    format!("{encoding}{mark}, {delimiter}, {} rader", number(i64::try_from(survey.rows).unwrap_or(i64::MAX)))
}

fn encoding_words(encoding: TextEncoding) -> &'static str {
    match encoding {
        TextEncoding::Utf8 => "UTF-8",
        TextEncoding::Utf16Le => "UTF-16 LE",
        TextEncoding::Utf16Be => "UTF-16 BE",
        TextEncoding::Windows1252 => "Windows-1252",
        TextEncoding::Macintosh => "Mac OS Roman",
    }
}

fn encodings(chosen: &str) -> Vec<Choosable> {
    let choosable = |encoding: TextEncoding| Choosable {
        code: encoding.name().to_owned(),
        text: encoding_words(encoding).to_owned(),
        is_chosen: encoding.name() == chosen,
    };
    TextEncoding::ALL.map(choosable).into_iter().collect()
}

fn delimiter_code(delimiter: char) -> String {
    if delimiter == '\t' { "tab".to_owned() } else { delimiter.to_string() }
}

fn delimiters(chosen: &str) -> Vec<Choosable> {
    let choosable = |(code, text): (&str, &str)| Choosable {
        code: code.to_owned(),
        text: text.to_owned(),
        is_chosen: code == chosen,
    };
    let mut all: Vec<Choosable> = DELIMITERS.map(choosable).into_iter().collect();
    if !chosen.is_empty() && all.iter().all(|one| !one.is_chosen) {
        all.push(Choosable { code: chosen.to_owned(), text: chosen.to_owned(), is_chosen: true });
    }
    all
}

fn columns(survey: &Survey, bytes: &[u8], faults: &Faults) -> Vec<ColumnRow> {
    let rows: Vec<Vec<String>> = survey.rows_of(bytes).take(SAMPLE).filter_map(|row| Some(row.ok()?.1.cells)).collect();
    let column = |(at, found): (usize, &crate::register_file::heading::FoundColumn)| ColumnRow {
        at,
        heading: found.heading.clone(),
        cells: rows.iter().map(|cells| shortened(cells.get(at).map_or("", String::as_str))).collect(),
        fields: fields(found.column),
        fault: faults.of(&format!("column.{at}")).is_some(),
    };
    survey.headings.columns.iter().enumerate().map(column).collect()
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(CELL).collect();
    if text.chars().nth(CELL).is_some() {
        short.push('…');
    }
    short
}

fn fields(chosen: Option<Column>) -> Vec<Choosable> {
    let named = [(Column::FirstName, "Förnamn"), (Column::LastName, "Efternamn")];
    let fields = Field::ALL.into_iter().map(|field| (Column::Field(field), capitalised(field.label())));
    let named = named.into_iter().map(|(column, text)| (column, text.to_owned()));
    let choosable = |(column, text): (Column, String)| Choosable {
        code: column.name().to_owned(),
        text,
        is_chosen: chosen == Some(column),
    };
    fields.chain(named).map(choosable).collect()
}

async fn set(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    require(form.who.actor(), Right::MoveRegister)?;
    let (overrides, problems) = overrides_in(&form.fields);
    if !problems.is_empty() {
        return file_page(&web, (&form.headers, &form.who), &id, Faults::new(problems)).await;
    }
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        import_draft::set(&mut session, form.who.actor(), &id, &overrides).await?;
        session.commit().await?;
    })?;
    let goes_on = form.fields.text("go") == "preview";
    let to = if goes_on { format!("/register/import/{id}/preview") } else { format!("/register/import/{id}") };
    Ok(Redirect::to(&to).into_response())
}

/// What was set; columns only while they are those that were shown.
fn overrides_in(fields: &Fields) -> (Overrides, Vec<FieldProblem>) {
    let (encoding, delimiter) = (fields.text("encoding"), fields.text("delimiter"));
    let mut overrides = Overrides {
        encoding: TextEncoding::from_name(encoding),
        delimiter: if delimiter == "tab" { Some('\t') } else { delimiter.chars().next().filter(|c| *c != '"') },
        without_headings: fields.has("without_headings"),
        columns: Vec::new(),
    };
    let mut problems = Vec::new();
    let is_shown = encoding == fields.text("shown_encoding")
        && delimiter == fields.text("shown_delimiter")
        && overrides.without_headings == fields.has("shown_without_headings");
    if !is_shown {
        return (overrides, problems);
    }
    for at in 0.. {
        let name = format!("column.{at}");
        if !fields.has(&name) {
            break;
        }
        let column = Column::from_name(fields.text(&name));
        if column.is_some() && overrides.columns.contains(&column) {
            let detail =
                format!("Kolumn {} har samma uppgift som en tidigare kolumn. Välj en annan eller ingen.", at + 1);
            problems.push(FieldProblem::new(name, "import.column_twice", detail));
        }
        overrides.columns.push(column);
    }
    let has_name = [Column::Field(Field::Name), Column::FirstName, Column::LastName]
        .iter()
        .any(|column| overrides.columns.contains(&Some(*column)));
    if fields.text("go") == "preview" && !overrides.columns.is_empty() && !has_name {
        let detail = "Välj vilken kolumn som är namnet. Utan namn går ingen rad att läsa in.";
        problems.push(FieldProblem::new("column.0", "import.no_name_column", detail));
    }
    (overrides, problems)
}

async fn drop_it(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        import_draft::drop_it(&mut session, form.who.actor(), &id).await?;
        session.commit().await?;
    })?;
    Ok(Redirect::to("/register/import").into_response())
}
