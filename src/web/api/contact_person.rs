//! Owns `/contact-persons`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::List;
use super::time::{shown, shown_option};
use crate::actions::contact_person::{self, Edit, OptOut, PersonView};
use crate::actions::own_page;
use crate::domain::contact_person::{Field, yes_no};
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::{JsonBody, Page, Params};
use crate::web::error::Problem;
use crate::web::transact::{Repeatable, act, look};

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, erase)).routes(routes!(end_own_page))
}

/// An opt-out from one channel.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
struct OptOutEntry {
    /// `sms` or `email`.
    channel: String,
    /// How it was said.
    #[serde(default)]
    source: String,
    /// When; set by the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
}

/// A contact person.
#[derive(Debug, Serialize, ToSchema)]
struct ContactPerson {
    id: String,
    name: String,
    mobile: Option<String>,
    phone2: Option<String>,
    email: Option<String>,
    email2: Option<String>,
    address: String,
    postcode: String,
    place: String,
    municipality: String,
    watch_area: String,
    area: String,
    households: i64,
    language: String,
    letters: bool,
    alerts: bool,
    note: String,
    protected_identity: bool,
    paused_until: Option<String>,
    opt_outs: Vec<OptOutEntry>,
    created_at: String,
    updated_at: String,
    warnings: Vec<PersonWarning>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PersonWarning {
    code: &'static str,
    detail: String,
}

impl From<PersonView> for ContactPerson {
    fn from(view: PersonView) -> Self {
        let p = view.person;
        let opt_outs = [
            ("sms", p.alerts_opt_out_at, p.alerts_opt_out_source),
            ("email", p.letters_opt_out_at, p.letters_opt_out_source),
        ];
        Self {
            id: p.id,
            name: p.name,
            mobile: p.mobile,
            phone2: p.phone2,
            email: p.email,
            email2: p.email2,
            address: p.address,
            postcode: p.postcode,
            place: p.place,
            municipality: view.municipality,
            watch_area: view.watch_area,
            area: p.area_code,
            households: p.households,
            language: p.language,
            letters: p.letters == 1,
            alerts: p.alerts == 1,
            note: p.note,
            protected_identity: p.protected == 1,
            paused_until: shown_option(p.paused_until_at),
            opt_outs: opt_outs
                .into_iter()
                .filter_map(|(channel, at, source)| {
                    let at = Some(shown(at?));
                    Some(OptOutEntry { channel: channel.to_owned(), source: source.unwrap_or_default(), at })
                })
                .collect(),
            created_at: shown(p.created_at),
            updated_at: shown(p.updated_at),
            warnings: view.warnings.into_iter().map(|(code, detail)| PersonWarning { code, detail }).collect(),
        }
    }
}

/// Fields to be set; what is left out stays, null empties. Numbers in any notation, municipality by code or name,
/// watch area by name within it (made when missing).
#[derive(Debug, Deserialize, ToSchema)]
#[schema(value_type = Object)]
struct PersonRequest(serde_json::Map<String, Value>);

impl PersonRequest {
    fn edit(&self) -> Result<Edit, Problem> {
        let mut edit = Edit::default();
        for (name, value) in &self.0 {
            match (name.as_str(), Field::from_name(name)) {
                (_, Some(field)) => edit.fields.push((field, text_of(name, value)?)),
                ("paused_until", None) => edit.paused_until = Some(time_of(name, value)?),
                ("opt_outs", None) => edit.opt_outs = Some(opt_outs_of(name, value)?),
                _ => return Err(Problem::field(name, "field.unknown", "Fältet finns inte.")),
            }
        }
        Ok(edit)
    }
}

fn text_of(name: &str, value: &Value) -> Result<String, Problem> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(yes_no(*flag).to_owned()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        _ => Err(Problem::field(name, "field.invalid", "Fältet har fel typ.")),
    }
}

fn time_of(name: &str, value: &Value) -> Result<Option<jiff::Timestamp>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(|_| invalid_time(name)),
        _ => Err(invalid_time(name)),
    }
}

fn invalid_time(name: &str) -> Problem {
    Problem::field(name, "field.invalid", "Ange en tid som 2026-11-20T02:31:00Z, eller null.")
}

fn opt_outs_of(name: &str, value: &Value) -> Result<Vec<OptOut>, Problem> {
    let entries: Vec<OptOutEntry> = serde_json::from_value(value.clone())
        .map_err(|_| Problem::field(name, "field.invalid", "Ange en lista av {\"channel\", \"source\"}."))?;
    if entries.iter().any(|entry| entry.source.chars().count() > 200 || entry.source.chars().any(char::is_control)) {
        return Err(Problem::field(name, "field.invalid", "source får ha högst 200 tecken och inga styrtecken."));
    }
    Ok(entries.into_iter().map(|entry| OptOut { channel: entry.channel, source: entry.source }).collect())
}

/// What is looked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PersonQuery {
    /// Name, number in any notation, e-mail or area.
    q: Option<String>,
    /// How many, 1 to 1000; 100 when missing.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Contact persons that match.
#[utoipa::path(get, path = "/contact-persons", tag = "register", params(PersonQuery),
    responses((status = 200, body = List<ContactPerson>)))]
async fn list(
    State(web): State<Web>,
    Caller(actor): Caller,
    Params(query): Params<PersonQuery>,
) -> Result<Json<List<ContactPerson>>, Problem> {
    let page = Page { limit: query.limit, after: query.after };
    let limit = page.limit()?;
    let (wanted, page) = (query.q.unwrap_or_default(), (page.after(), limit));
    let (views, next) =
        look!(web, |session| contact_person::search(&web.desk, session, &actor, &wanted, page).await?)?;
    Ok(Json(List { items: views.into_iter().map(ContactPerson::from).collect(), next }))
}

/// Adds a contact person. A number that another person has is no conflict but a warning.
#[utoipa::path(post, path = "/contact-persons", tag = "register", request_body = PersonRequest,
    responses((status = 201, body = ContactPerson), (status = 422, body = Problem)))]
async fn create(
    State(web): State<Web>,
    Caller(actor): Caller,
    request: Repeatable,
    body: JsonBody<PersonRequest>,
) -> Result<Response, Problem> {
    let edit = body.value.edit()?;
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::CREATED, |session| {
        let view = contact_person::create(&web.desk, session, &actor, &edit).await?;
        ContactPerson::from(view)
    })
}

/// One contact person.
#[utoipa::path(get, path = "/contact-persons/{id}", tag = "register",
    responses((status = 200, body = ContactPerson), (status = 404, body = Problem)))]
async fn get(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<ContactPerson>, Problem> {
    let view = look!(web, |session| contact_person::get(&web.desk, session, &actor, &id).await?)?;
    Ok(Json(view.into()))
}

/// Changes a contact person.
#[utoipa::path(patch, path = "/contact-persons/{id}", tag = "register", request_body = PersonRequest,
    responses((status = 200, body = ContactPerson), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn update(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
    body: JsonBody<PersonRequest>,
) -> Result<Response, Problem> {
    let edit = body.value.edit()?;
    let turn = request.turn(&web, &actor, &body.bytes)?;
    act!(turn, StatusCode::OK, |session| {
        let view = contact_person::update(&web.desk, session, &actor, &id, &edit).await?;
        ContactPerson::from(view)
    })
}

/// What was ended.
#[derive(Debug, Serialize, ToSchema)]
struct EndedSessions {
    /// Browsers that were in at the own page.
    ended: usize,
}

/// Ends whatever lets anybody into the person's own page: sessions, and links that nobody has used.
#[utoipa::path(post, path = "/contact-persons/{id}/end-own-page", tag = "register",
    responses((status = 200, body = EndedSessions), (status = 404, body = Problem)))]
async fn end_own_page(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &[])?;
    act!(turn, StatusCode::OK, |session| {
        EndedSessions { ended: own_page::end_all(&web.desk, session, &actor, &id).await? }
    })
}

/// Erases a contact person; a pseudonym is left.
#[utoipa::path(delete, path = "/contact-persons/{id}", tag = "register",
    responses((status = 204), (status = 404, body = Problem)))]
async fn erase(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    request: Repeatable,
) -> Result<Response, Problem> {
    let turn = request.turn(&web, &actor, &[])?;
    act!(turn, StatusCode::NO_CONTENT, |session| {
        contact_person::erase(&web.desk, session, &actor, &id).await?;
    })
}
