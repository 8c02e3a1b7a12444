//! Owns records that may be of one person: the pairs, saying that they are of two, and choosing field by field what the one
//! record shall hold.
//!
//! It merges nothing itself; `actions::person_merge` does. Invariant: nothing is merged without a person having seen both.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use super::form::{Faults, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::register_words::{Tabs, area_words, capitalised, language_name};
use super::visit::SignedIn;
use crate::actions::contact_person::{self, Edit, PersonView, values_of};
use crate::actions::{ActionError, person_merge, register, require};
use crate::domain::area::AreaTree;
use crate::domain::contact_person::Field;
use crate::domain::operator::Right;
use crate::domain::phone;
use crate::store;
use crate::store::register::Pair;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{Begun, Repeatable, again_when_busy, look};

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/register/duplicates", get(list))
        .route("/register/duplicates/{id}/{other}", get(ask).post(merge))
        .route("/register/duplicates/{id}/{other}/different", post(tell_apart))
}

/// Two records side by side.
#[derive(Debug)]
struct PairRow {
    first: (String, String, String),
    second: (String, String, String),
    pill: (&'static str, &'static str),
    causes: String,
}

#[derive(Template)]
#[template(path = "pages/register_duplicates.html")]
struct PairsPage {
    frame: Frame,
    tabs: Tabs,
    rows: Vec<PairRow>,
}

async fn list(State(web): State<Web>, headers: HeaderMap, who: SignedIn) -> Result<Response, Problem> {
    let (pairs, tree) = look!(web, |session| {
        let pairs = register::pairs(&web.desk, session, who.actor()).await?;
        (pairs, store::area::tree(session).await?)
    })?;
    let frame = Frame::of(&web, &headers, &who, (Section::Register, "Dubbletter")).await;
    let named = |view: &PersonView| {
        (view.person.id.clone(), view.person.name.clone(), area_words(&tree, &view.person.area_code))
    };
    let row = |(pair, first, second): &(Pair, PersonView, PersonView)| PairRow {
        first: named(first),
        second: named(second),
        pill: likelihood(pair),
        causes: causes(pair),
    };
    let rows = pairs.iter().map(row).collect();
    show(StatusCode::OK, &PairsPage { tabs: Tabs::of(who.actor(), &tree, "duplicates"), rows, frame })
}

fn likelihood(pair: &Pair) -> (&'static str, &'static str) {
    match pair.same_name + pair.same_mobile + pair.same_email + pair.same_address {
        ..=2 => ("warn", "Troligen"),
        _ => ("bad", "Nästan säkert"),
    }
}

fn causes(pair: &Pair) -> String {
    let same = [
        (pair.same_name, "namn"),
        (pair.same_mobile, "mobil"),
        (pair.same_email, "e-post"),
        (pair.same_address, "adress"),
    ];
    let same: Vec<&str> = same.into_iter().filter(|(is_same, _)| *is_same == 1).map(|(_, words)| words).collect();
    match same.as_slice() {
        [] => String::new(),
        [one] => format!("Samma {one}"),
        [first @ .., last] => format!("Samma {} och {last}", first.join(", ")),
    }
}

/// A field of both records.
#[derive(Debug)]
struct BothFields {
    name: &'static str,
    label: String,
    first: String,
    second: String,
    is_same: bool,
    /// Whether the second's is offered: the first has none.
    takes_second: bool,
}

#[derive(Template)]
#[template(path = "pages/register_merge.html")]
struct MergePage {
    frame: Frame,
    faults: Faults,
    first: (String, String),
    second: (String, String),
    added: (String, String),
    fields: Vec<BothFields>,
    wishes: Vec<String>,
    key: String,
}

/// Both records, the one that stays first: the older one.
async fn both(web: &Web, who: &SignedIn, ids: (&str, &str)) -> Result<(PersonView, PersonView, AreaTree), Problem> {
    let (one, other, tree) = look!(web, |session| {
        let one = contact_person::get(&web.desk, session, who.actor(), ids.0).await?;
        let other = contact_person::get(&web.desk, session, who.actor(), ids.1).await?;
        (one, other, store::area::tree(session).await?)
    })?;
    let is_older = (one.person.created_at, &one.person.id) <= (other.person.created_at, &other.person.id);
    Ok(if is_older { (one, other, tree) } else { (other, one, tree) })
}

async fn ask(
    State(web): State<Web>,
    headers: HeaderMap,
    Path((id, other)): Path<(String, String)>,
    who: SignedIn,
) -> Result<Response, Problem> {
    require(who.actor(), Right::ChangeRegister)?;
    page(&web, (&headers, &who), (&id, &other), Faults::default()).await
}

async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    ids: (&str, &str),
    faults: Faults,
) -> Result<Response, Problem> {
    if ids.0 == ids.1 {
        return Err(ActionError::NotFound.into());
    }
    let (first, second, tree) = both(web, who, ids).await?;
    let frame = Frame::of(web, headers, who, (Section::Register, "Slå ihop")).await;
    let (mine, theirs) = (values_of(&first.person, &tree), values_of(&second.person, &tree));
    let fields = Field::ALL.into_iter().filter(|field| !mine[*field].is_empty() || !theirs[*field].is_empty());
    let fields = fields.map(|field| BothFields {
        name: field.name(),
        label: capitalised(field.label()),
        first: value_words(field, &mine[field]),
        second: value_words(field, &theirs[field]),
        is_same: mine[field] == theirs[field],
        takes_second: mine[field].is_empty(),
    });
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = MergePage {
        fields: fields.collect(),
        wishes: wishes(&first, &second),
        added: (frame.wall.short(first.person.created_at), frame.wall.short(second.person.created_at)),
        first: (first.person.id, first.person.name),
        second: (second.person.id, second.person.name),
        key: web.desk.id(),
        frame: frame.with_faults(!faults.is_empty()),
        faults,
    };
    show(status, &page)
}

/// A field's value as people read it.
#[must_use]
pub fn value_words(field: Field, value: &str) -> String {
    match (field, value) {
        (_, "") => String::new(),
        (Field::Mobile | Field::Phone2, number) => phone::display(number),
        (Field::Letters | Field::Alerts | Field::ProtectedIdentity, "yes") => "ja".to_owned(),
        (Field::Letters | Field::Alerts | Field::ProtectedIdentity, "no") => "nej".to_owned(),
        (Field::Language, code) => language_name(code),
        (_, text) => text.to_owned(),
    }
}

/// What follows along whatever is chosen.
fn wishes(first: &PersonView, second: &PersonView) -> Vec<String> {
    let either = |at: fn(&PersonView) -> Option<i64>| at(first).or(at(second)).is_some();
    let told = [
        (either(|view| view.person.alerts_opt_out_at), "Den ena har sagt nej till sms. Det gäller även efteråt."),
        (either(|view| view.person.letters_opt_out_at), "Den ena har sagt nej till brev. Det gäller även efteråt."),
        (either(|view| view.person.paused_until_at), "Den längsta pausen gäller."),
    ];
    told.into_iter().filter(|(holds, _)| *holds).map(|(_, words)| words.to_owned()).collect()
}

async fn merge(
    State(web): State<Web>,
    Path((id, other)): Path<(String, String)>,
    form: SignedForm,
) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::ChangeRegister)?;
    let repeatable = Repeatable::of_form(form.fields.text("key"), &format!("/register/duplicates/{id}/{other}"))?;
    let chosen = Field::ALL.map(|field| form.fields.text(field.name()).to_owned());
    let turn = repeatable.turn_in_line(&web, actor, serde_json::json!(chosen).to_string().as_bytes()).await?;
    if let Some(response) = turn.earlier().await? {
        return Ok(response);
    }
    let (kept, gone, tree) = both(&web, &form.who, (&id, &other)).await?;
    let theirs = values_of(&gone.person, &tree);
    let taken = Field::ALL.into_iter().filter(|field| form.fields.text(field.name()) == "second");
    let edit = Edit { fields: taken.map(|field| (field, theirs[field].clone())).collect(), ..Edit::default() };
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    let ids = (kept.person.id.as_str(), gone.person.id.as_str());
    match person_merge::merge(&web.desk, work.session(), actor, ids, &edit).await {
        Ok(view) => work.finish_at(&format!("/register/persons/{}?done=merged", view.person.id)).await,
        Err(ActionError::Invalid(problems)) => {
            drop(work);
            page(&web, (&form.headers, &form.who), (&id, &other), Faults::new(problems)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn tell_apart(
    State(web): State<Web>,
    Path((id, other)): Path<(String, String)>,
    form: SignedForm,
) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        person_merge::tell_apart(&web.desk, &mut session, form.who.actor(), (&id, &other)).await?;
        session.commit().await?;
    })?;
    Ok(Redirect::to("/register/duplicates").into_response())
}
