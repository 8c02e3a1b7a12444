//! Owns the form of a contact person's fields: a new person, or one who changes.
//!
//! It checks no field; `domain::contact_person` does. Invariant: a watch area that does not exist is made only when somebody
//! has said so: a slip of the pen would make one that nobody sends to.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

use super::administration::Choosable;
use super::form::{Faults, Fields, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::register_words::languages;
use super::visit::SignedIn;
use crate::actions::contact_person::{self, Edit, values_of};
use crate::actions::{ActionError, FieldProblem, require};
use crate::domain::area::{AreaKind, AreaTree};
use crate::domain::contact_person::{Field, Values, municipality_code, yes_no};
use crate::domain::operator::{Actor, Right};
use crate::domain::phone;
use crate::domain::plain_text::fold;
use crate::store;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{Begun, Repeatable, again_when_busy, look};

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/register/persons/new", get(ask_new).post(add))
        .route("/register/persons/{id}/edit", get(ask_edit).post(change))
}

/// A field of one line.
#[derive(Debug)]
pub struct TextField {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub label: &'static str,
    /// Help; may be empty.
    pub hint: &'static str,
    /// `text`, `tel` or `email`.
    pub kind: &'static str,
    /// What stands in it.
    pub value: String,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// The list it offers, if any.
    pub list: &'static str,
}

#[derive(Template)]
#[template(path = "pages/register_form.html")]
struct FormPage {
    frame: Frame,
    faults: Faults,
    heading: &'static str,
    action: String,
    back: String,
    key: String,
    who: Vec<TextField>,
    home: Vec<TextField>,
    address: String,
    note: String,
    municipalities: Vec<Choosable>,
    watch_areas: Vec<String>,
    asks_for_area: bool,
    languages: Vec<Choosable>,
    letters: bool,
    alerts: bool,
    protected: bool,
}

/// What the form is about.
#[derive(Debug)]
struct Draft {
    /// The person; `None` for a new one.
    id: Option<String>,
    values: Values,
    key: String,
}

async fn ask_new(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    require(who.actor(), Right::ChangeRegister)?;
    let mut values = Values::default();
    for field in [Field::Letters, Field::Alerts] {
        yes_no(true).clone_into(&mut values[field]);
    }
    "1".clone_into(&mut values[Field::Households]);
    page(&web, (&headers, &who), Draft { id: None, values, key: web.desk.id() }, Faults::default()).await
}

async fn ask_edit(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    require(who.actor(), Right::ChangeRegister)?;
    let (view, tree) = look!(web, |session| {
        let view = contact_person::get(&web.desk, session, who.actor(), &id).await?;
        (view, store::area::tree(session).await?)
    })?;
    let mut values = values_of(&view.person, &tree);
    for field in [Field::Mobile, Field::Phone2] {
        if !values[field].is_empty() {
            values[field] = phone::display(&values[field]);
        }
    }
    page(&web, (&headers, &who), Draft { id: Some(id), values, key: String::new() }, Faults::default()).await
}

async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    draft: Draft,
    faults: Faults,
) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    drop(session);
    let heading = if draft.id.is_some() { "Ändra kontaktombud" } else { "Nytt kontaktombud" };
    let frame = Frame::of(web, headers, who, (Section::Register, heading)).await;
    let values = &draft.values;
    let field = |(field, label, hint, kind): (Field, &'static str, &'static str, &'static str)| TextField {
        name: field.name(),
        label,
        hint,
        kind,
        value: values[field].clone(),
        fault: faults.of(field.name()).map(str::to_owned),
        list: if field == Field::WatchArea { "watch-areas" } else { "" },
    };
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = FormPage {
        frame: frame.with_width("narrow").with_faults(!faults.is_empty()),
        heading,
        action: draft
            .id
            .as_ref()
            .map_or_else(|| "/register/persons/new".to_owned(), |id| format!("/register/persons/{id}/edit")),
        back: draft.id.as_ref().map_or_else(|| "/register".to_owned(), |id| format!("/register/persons/{id}")),
        who: [
            (Field::Name, "Namn", "Förnamn och efternamn.", "text"),
            (Field::Mobile, "Mobil", "Får sms. Skriv numret hur du vill.", "tel"),
            (Field::Phone2, "Telefon 2", "Får aldrig sms.", "tel"),
            (Field::Email, "E-post", "Får brev.", "email"),
            (Field::Email2, "E-post 2", "Sparas, men får inga brev.", "email"),
        ]
        .map(field)
        .into_iter()
        .collect(),
        home: [
            (Field::WatchArea, "Område", "Grannsamverkansområdet inom kommunen.", "text"),
            (Field::Households, "Antal hushåll", "Så många som personen uppger sig nå, med det egna.", "text"),
            (Field::Postcode, "Postnummer", "", "text"),
            (Field::Place, "Ort", "", "text"),
        ]
        .map(field)
        .into_iter()
        .collect(),
        address: values[Field::Address].clone(),
        note: values[Field::Note].clone(),
        municipalities: municipalities(&tree, who.actor(), &values[Field::Municipality]),
        watch_areas: watch_areas(&tree, who.actor()),
        asks_for_area: faults.all().iter().any(|fault| fault.code == "area.new"),
        languages: languages(if values[Field::Language].is_empty() { "sv" } else { &values[Field::Language] }),
        letters: values[Field::Letters] == yes_no(true),
        alerts: values[Field::Alerts] == yes_no(true),
        protected: values[Field::ProtectedIdentity] == yes_no(true),
        key: draft.key,
        faults,
    };
    show(status, &page)
}

fn municipalities(tree: &AreaTree, actor: &Actor, chosen: &str) -> Vec<Choosable> {
    let chosen = municipality_code(chosen, tree).unwrap_or_default();
    let is_mine = |code: &str| tree.is_within(code, &actor.area) || tree.is_within(&actor.area, code);
    let mine = tree.iter().filter(|area| area.kind == AreaKind::Municipality && is_mine(&area.code));
    let mut all: Vec<Choosable> = mine
        .map(|area| Choosable { code: area.code.clone(), text: area.name.clone(), is_chosen: area.code == chosen })
        .collect();
    all.sort_by(|a, b| a.text.cmp(&b.text));
    all
}

fn watch_areas(tree: &AreaTree, actor: &Actor) -> Vec<String> {
    let mine = tree.iter().filter(|area| area.kind == AreaKind::WatchArea && tree.is_within(&area.code, &actor.area));
    let mut names: Vec<String> = mine.map(|area| area.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// The fields as they were filled in.
fn values_in(fields: &Fields) -> Values {
    let mut values = Values::default();
    for field in Field::ALL {
        values[field] = match field {
            Field::Letters | Field::Alerts | Field::ProtectedIdentity => yes_no(fields.has(field.name())).to_owned(),
            _ => fields.text(field.name()).to_owned(),
        };
    }
    values
}

fn edit_of(values: &Values) -> Edit {
    Edit { fields: Field::ALL.into_iter().map(|field| (field, values[field].clone())).collect(), ..Edit::default() }
}

/// Asks before a watch area is made.
async fn new_area(web: &Web, fields: &Fields, values: &Values) -> Result<Vec<FieldProblem>, Problem> {
    let name = &values[Field::WatchArea];
    let mut session = web.desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    let Some(municipality) = municipality_code(&values[Field::Municipality], &tree) else { return Ok(Vec::new()) };
    let is_known = tree.children(municipality).any(|area| fold(&area.name) == fold(name));
    if is_known || name.trim().is_empty() || fields.has("make_area") {
        return Ok(Vec::new());
    }
    let detail = "Området finns inte i kommunen. Rätta namnet, eller kryssa i att det ska skapas.";
    Ok(vec![FieldProblem::new(Field::WatchArea.name(), "area.new", detail)])
}

async fn add(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::ChangeRegister)?;
    let values = values_in(&form.fields);
    let key = form.fields.text("key").to_owned();
    let at = (&form.headers, &form.who);
    let unsure = new_area(&web, &form.fields, &values).await?;
    if !unsure.is_empty() {
        return page(&web, at, Draft { id: None, values, key }, Faults::new(unsure)).await;
    }
    let repeatable = Repeatable::of_form(&key, "/register/persons/new")?;
    let body = serde_json::json!(Field::ALL.map(|field| values[field].clone())).to_string();
    let turn = repeatable.turn_in_line(&web, actor, body.as_bytes()).await?;
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    match contact_person::create(&web.desk, work.session(), actor, &edit_of(&values)).await {
        Ok(made) => work.finish_at(&after(actor, &made.person, "added")).await,
        Err(ActionError::Invalid(problems)) => {
            drop(work);
            page(&web, at, Draft { id: None, values, key }, Faults::new(problems)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn change(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::ChangeRegister)?;
    let values = values_in(&form.fields);
    let mut problems = new_area(&web, &form.fields, &values).await?;
    let mut changed = None;
    if problems.is_empty() {
        let edit = edit_of(&values);
        again_when_busy!({
            let mut session = web.desk.store.begin().await?;
            match contact_person::update(&web.desk, &mut session, actor, &id, &edit).await {
                Ok(view) => {
                    session.commit().await?;
                    changed = Some(view.person);
                }
                Err(ActionError::Invalid(found)) => problems = found,
                Err(error) => return Err(error.into()),
            }
        })?;
    }
    match changed {
        Some(person) => Ok(Redirect::to(&after(actor, &person, "changed")).into_response()),
        None => {
            let draft = Draft { id: Some(id), values, key: String::new() };
            page(&web, (&form.headers, &form.who), draft, Faults::new(problems)).await
        }
    }
}

/// Where to go on: a person whom the actor may not see any more has no page for them.
fn after(actor: &Actor, person: &store::contact_person::ContactPerson, done: &str) -> String {
    if person.protected == 1 && !actor.role.may(Right::Administer) {
        return "/register?done=protected".to_owned();
    }
    format!("/register/persons/{}?done={done}", person.id)
}
