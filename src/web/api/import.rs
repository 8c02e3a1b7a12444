//! Owns `/imports` and the register as a file.

use std::time::Duration;

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, http::HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::List;
use super::time::{shown, shown_option};
use crate::actions::export::{self, ExportError};
use crate::actions::import::{self, ImportView, ItemView, MAX_BYTES, ONE_TRANSACTION, RegisterFile, file_problem};
use crate::actions::import_answer::{self, RowAnswer};
use crate::actions::import_undo;
use crate::domain::contact_person::Field;
use crate::domain::operator::Actor;
use crate::register_file::encoding::TextEncoding;
use crate::register_file::finding::Action;
use crate::register_file::heading::Column;
use crate::register_file::survey::{Overrides, Survey};
use crate::store::Session;
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::{JsonBody, Page, Params, read_whole};
use crate::web::error::Problem;
use crate::web::transact::{Repeatable, Turn, act, done, look};

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    let file = OpenApiRouter::new().routes(routes!(create)).layer(DefaultBodyLimit::max(MAX_BYTES));
    OpenApiRouter::new()
        .merge(file)
        .routes(routes!(get))
        .routes(routes!(answer))
        .routes(routes!(undo))
        .routes(routes!(missing))
        .routes(routes!(export_register))
}

/// How a file is imported.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Only say what would be done.
    dry_run: Option<bool>,
    /// `utf-8`, `utf-16le`, `utf-16be`, `windows-1252` or `macintosh`; found out when missing.
    encoding: Option<String>,
    /// The delimiter, or `tab`; found out when missing.
    delimiter: Option<String>,
    /// Field names of the columns in order, commas between, empty for a column to leave out; found out when missing.
    columns: Option<String>,
    /// The first row is no heading row; say with `columns` what each column is.
    #[serde(default)]
    without_headings: bool,
}

impl ImportQuery {
    fn overrides(&self) -> Result<Overrides, Problem> {
        let mut overrides = Overrides { without_headings: self.without_headings, ..Overrides::default() };
        if let Some(name) = &self.encoding {
            let known = TextEncoding::from_name(name);
            let names = TextEncoding::ALL.map(TextEncoding::name).join(", ");
            overrides.encoding = Some(
                known.ok_or_else(|| Problem::field("encoding", "import.encoding", &format!("Välj en av {names}.")))?,
            );
        }
        if let Some(text) = &self.delimiter {
            let text = if text.eq_ignore_ascii_case("tab") { "\t" } else { text };
            let mut chars = text.chars();
            overrides.delimiter = match (chars.next(), chars.next()) {
                (Some(c), None) if c != '"' && !c.is_alphanumeric() => Some(c),
                _ => return Err(Problem::field("delimiter", "import.delimiter", "Välj ett tecken, eller tab.")),
            };
        }
        for name in self.columns.iter().flat_map(|columns| columns.split(',')).map(str::trim) {
            let unknown = || Problem::field("columns", "import.column", "Okänt fältnamn bland kolumnerna.");
            let column = if name.is_empty() { None } else { Some(Column::from_name(name).ok_or_else(unknown)?) };
            overrides.columns.push(column);
        }
        Ok(overrides)
    }
}

/// The bytes of a register file.
struct FileBody(Bytes);

/// How long a file of at most 64 MiB may take to come.
const PATIENCE: Duration = Duration::from_secs(600);

impl<S: Send + Sync> FromRequest<S> for FileBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !may_be_csv(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "request.type",
                "Skicka filens innehåll med Content-Type: text/csv.",
            ));
        }
        let bytes = read_whole(request, state, PATIENCE).await?;
        Ok(Self(bytes))
    }
}

/// CSV has many names, and programs that send bytes often say nothing of them.
fn may_be_csv(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("text/csv");
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = [
        "",
        "application/csv",
        "application/octet-stream",
        "application/vnd.ms-excel",
        "application/x-www-form-urlencoded",
    ];
    kind.starts_with("text/") && kind != "text/html" || known.contains(&kind.as_str())
}

/// The fields of a row as they are, or would be, stored; null where nothing is known or it is not shown.
#[derive(Debug, Serialize, ToSchema)]
struct Fields {
    name: Option<String>,
    mobile: Option<String>,
    phone2: Option<String>,
    email: Option<String>,
    email2: Option<String>,
    address: Option<String>,
    postcode: Option<String>,
    place: Option<String>,
    municipality: Option<String>,
    watch_area: Option<String>,
    households: Option<i64>,
    language: Option<String>,
    letters: Option<bool>,
    alerts: Option<bool>,
    note: Option<String>,
    protected_identity: Option<bool>,
}

impl Fields {
    fn of(fields: Vec<(String, String)>) -> Self {
        let mut by_name: BTreeMap<String, String> = fields.into_iter().collect();
        let mut text = |field: Field| by_name.remove(field.name());
        let truth = |text: Option<String>| text.map(|text| text == "yes");
        Self {
            name: text(Field::Name),
            mobile: text(Field::Mobile),
            phone2: text(Field::Phone2),
            email: text(Field::Email),
            email2: text(Field::Email2),
            address: text(Field::Address),
            postcode: text(Field::Postcode),
            place: text(Field::Place),
            municipality: text(Field::Municipality),
            watch_area: text(Field::WatchArea),
            households: text(Field::Households).and_then(|text| text.parse().ok()),
            language: text(Field::Language),
            letters: truth(text(Field::Letters)),
            alerts: truth(text(Field::Alerts)),
            note: text(Field::Note),
            protected_identity: truth(text(Field::ProtectedIdentity)),
        }
    }
}

/// A field before and after.
#[derive(Debug, Serialize, ToSchema)]
struct Change {
    field: String,
    before: String,
    after: String,
}

/// A repaired value that is offered.
#[derive(Debug, Serialize, ToSchema)]
struct Offer {
    field: String,
    value: String,
}

/// A row of a file, and what is done with it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportItem {
    row: i64,
    line: i64,
    action: String,
    codes: Vec<String>,
    message: String,
    messages: Vec<String>,
    fields: Fields,
    changes: Vec<Change>,
    offers: Vec<Offer>,
    contact_person_id: Option<String>,
    answered: bool,
}

impl From<ItemView> for ImportItem {
    fn from(view: ItemView) -> Self {
        let item = view.item;
        Self {
            row: view.row,
            line: view.line,
            action: view.action,
            codes: item.codes,
            message: item.message,
            messages: item.messages,
            fields: Fields::of(item.fields),
            changes: item
                .changes
                .into_iter()
                .map(|change| Change { field: change.name, before: change.before, after: change.after })
                .collect(),
            offers: item.offers.into_iter().map(|(field, value)| Offer { field, value }).collect(),
            contact_person_id: view.contact_person_id,
            answered: item.answered,
        }
    }
}

/// Rows by action.
#[derive(Debug, Serialize, ToSchema)]
struct Counts {
    new: u64,
    warn: u64,
    ask: u64,
    reject: u64,
    skip: u64,
    dup: u64,
    same: u64,
    update: u64,
}

/// An import, or what one would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportAnswer {
    /// Only when something was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// `stored` or `undone`; only when something was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Rows after the headings.
    rows: u64,
    counts: Counts,
    items: Vec<ImportItem>,
    /// Rows of very large files that need no look and are left out of `items`.
    left_out: u64,
    /// Contact persons in the register that are in no row; `GET /imports/{id}/missing` lists them.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<u64>,
    /// What was found out about the file.
    file: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undone_at: Option<String>,
    /// Row to go on after, when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

impl From<ImportView> for ImportAnswer {
    fn from(view: ImportView) -> Self {
        let count = |action| view.count(action);
        Self {
            counts: Counts {
                new: count(Action::New),
                warn: count(Action::Warn),
                ask: count(Action::Ask),
                reject: count(Action::Reject),
                skip: count(Action::Skip),
                dup: count(Action::Dup),
                same: count(Action::Same),
                update: count(Action::Update),
            },
            id: view.import.as_ref().map(|import| import.id.clone()),
            state: view.import.as_ref().map(|import| import.state.clone()),
            created_at: view.import.as_ref().map(|import| shown(import.created_at)),
            undone_at: view.import.as_ref().and_then(|import| shown_option(import.undone_at)),
            rows: view.rows,
            items: view.items.into_iter().map(ImportItem::from).collect(),
            left_out: view.left_out,
            missing: view.missing,
            file: view.file,
            next: None,
        }
    }
}

/// Imports a register file, all or nothing. Rows that need an answer are held. The body is the file itself.
#[utoipa::path(post, path = "/imports", tag = "register", params(ImportQuery),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = ImportAnswer, description = "A dry run"), (status = 201, body = ImportAnswer),
        (status = 413, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(web): State<Web>,
    Caller(actor): Caller,
    Params(query): Params<ImportQuery>,
    request: Repeatable,
    FileBody(bytes): FileBody,
) -> Result<Response, Problem> {
    let overrides = query.overrides()?;
    let survey = {
        let bytes = bytes.clone();
        let surveyed = tokio::task::spawn_blocking(move || Survey::of(&bytes, &overrides)).await;
        surveyed.map_err(|_| Problem::internal("import.survey"))?.map_err(|error| file_problem(&error))?
    };
    let file = RegisterFile { bytes: &bytes, survey: &survey };
    if query.dry_run.unwrap_or(false) {
        let view = import::preview(&web.desk, &actor, file, &|_| {}).await?;
        return Ok(Json(ImportAnswer::from(view)).into_response());
    }
    let turn = request.turn(&web, &actor, &bytes)?;
    if file.is_large() {
        return create_large(&web, &actor, &turn, file).await;
    }
    act!(turn, StatusCode::CREATED, |session| {
        let view = import::store(&web.desk, session, &actor, file, &|_| {}).await?;
        ImportAnswer::from(view)
    })
}

/// Writes without a transaction around it, and publishes in the one that keeps the answer.
async fn create_large(web: &Web, actor: &Actor, turn: &Turn<'_>, file: RegisterFile<'_>) -> Result<Response, Problem> {
    if let Some(response) = turn.earlier().await? {
        return Ok(response);
    }
    let unseen = import::write_unseen(&web.desk, actor, file, &|_| {}).await?;
    let done = done!(turn, StatusCode::CREATED, |session| {
        ImportAnswer::from(import::publish(&web.desk, session, actor, unseen.clone()).await?)
    });
    if !done.as_ref().is_ok_and(|done| done.is_new) {
        import::discard(&web.desk, &unseen.0.id).await?;
    }
    Ok(done?.response)
}

/// Which rows of an import are shown.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RowsQuery {
    /// At most so many; all of them up to 20,000 when missing.
    limit: Option<i64>,
    /// After this row.
    after: Option<i64>,
}

/// An import and its rows.
#[utoipa::path(get, path = "/imports/{id}", tag = "register", params(RowsQuery),
    responses((status = 200, body = ImportAnswer), (status = 404, body = Problem)))]
async fn get(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(query): Params<RowsQuery>,
) -> Result<Json<ImportAnswer>, Problem> {
    let most = i64::try_from(ONE_TRANSACTION).unwrap_or(i64::MAX);
    let limit = query.limit.unwrap_or(most);
    if !(1..=most).contains(&limit) {
        return Err(Problem::field("limit", "field.invalid", "Välj 1 till 20000."));
    }
    let page = (query.after.unwrap_or(0), limit);
    let (view, next) = look!(web, |session| import::get(&web.desk, session, &actor, &id, page).await?)?;
    Ok(Json(ImportAnswer { next, ..ImportAnswer::from(view) }))
}

/// Answers to rows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnswersRequest {
    answers: Vec<AnswerRequest>,
}

/// An answer to one row.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnswerRequest {
    row: i64,
    /// `import` says yes to what was asked; `skip` leaves the row out.
    action: String,
    /// Values put in place of the row's, by field name; null empties a field.
    #[serde(default)]
    fields: BTreeMap<String, Value>,
}

impl AnswerRequest {
    fn read(self, at: usize) -> Result<RowAnswer, Problem> {
        let import = match self.action.as_str() {
            "import" => true,
            "skip" => false,
            _ => {
                let name = format!("answers.{at}.action");
                return Err(Problem::field(&name, "field.invalid", "Välj import eller skip."));
            }
        };
        let mut fields = Vec::new();
        for (name, value) in self.fields {
            let wrong = |code, detail| Problem::field(&format!("answers.{at}.fields.{name}"), code, detail);
            let field = Field::from_name(&name).ok_or_else(|| wrong("field.unknown", "Fältet finns inte."))?;
            let text = match value {
                Value::Null => String::new(),
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(value) => if value { "yes" } else { "no" }.to_owned(),
                _ => return Err(wrong("field.invalid", "Ange text, tal, sant eller falskt.")),
            };
            fields.push((field, text));
        }
        Ok(RowAnswer { row: self.row, import, fields })
    }
}

/// Answers the questions of rows. A question that an answer brings up is asked in turn.
#[utoipa::path(post, path = "/imports/{id}/answers", tag = "register", request_body = AnswersRequest,
    responses((status = 200, body = ImportAnswer), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn answer(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<AnswersRequest>,
) -> Result<Response, Problem> {
    let answers = body.value.answers.into_iter().enumerate().map(|(at, answer)| answer.read(at));
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::OK, |session| {
        import_answer::answer(&web.desk, session, &actor, &id, &answers).await?;
        whole(&web, session, &actor, &id).await?
    })
}

/// Takes a whole import back; possible until something was sent to anybody in it.
#[utoipa::path(post, path = "/imports/{id}/undo", tag = "register",
    responses((status = 200, body = ImportAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn undo(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &[])?;
    act!(turn, StatusCode::OK, |session| {
        import_undo::undo(&web.desk, session, &actor, &id).await?;
        whole(&web, session, &actor, &id).await?
    })
}

async fn whole(web: &Web, session: &mut Session, actor: &Actor, id: &str) -> Result<ImportAnswer, Problem> {
    let page = (0, i64::try_from(ONE_TRANSACTION).unwrap_or(i64::MAX));
    let (view, next) = import::get(&web.desk, session, actor, id, page).await?;
    Ok(ImportAnswer { next, ..ImportAnswer::from(view) })
}

/// Somebody who was in the register and is in no row of the file.
#[derive(Debug, Serialize, ToSchema)]
struct MissingPerson {
    id: String,
    name: String,
    area: String,
}

/// Contact persons that an import did not mention.
#[utoipa::path(get, path = "/imports/{id}/missing", tag = "register", params(Page),
    responses((status = 200, body = List<MissingPerson>), (status = 404, body = Problem)))]
async fn missing(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(page): Params<Page>,
) -> Result<Json<List<MissingPerson>>, Problem> {
    let limit = page.limit()?;
    let page = (page.after(), limit + 1);
    let mut rows = look!(web, |session| import::missing(&web.desk, session, &actor, &id, page).await?)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(|row| row.id.clone()).filter(|_| has_more);
    let items = rows.into_iter().map(|row| MissingPerson { id: row.id, name: row.name, area: row.area_code }).collect();
    Ok(Json(List { items, next }))
}

/// The whole register as CSV that no spreadsheet evaluates, UTF-8 with byte order mark.
#[utoipa::path(get, path = "/contact-persons/export", tag = "register",
    responses((status = 200, body = String, content_type = "text/csv")))]
async fn export_register(State(web): State<Web>, Caller(actor): Caller) -> Result<Response, Problem> {
    let file = look!(web, |session| {
        let mut file = Vec::new();
        export::write(&web.desk, session, &actor, &mut file).await.map_err(|error| match error {
            ExportError::Action(error) => Problem::from(error),
            error @ ExportError::Write(_) => Problem::internal(error.code()),
        })?;
        file
    })?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"kontaktombud.csv\"")),
    ];
    Ok((headers, file).into_response())
}

/// The report of an import as one JSON document: what the API answers and the command line prints.
#[must_use]
pub fn report(view: ImportView) -> Value {
    serde_json::to_value(ImportAnswer::from(view)).unwrap_or_else(|_| json!({}))
}
