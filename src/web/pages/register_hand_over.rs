//! Owns handing over a contact person's mission: choosing who takes over, seeing in words what will happen, and doing it.
//!
//! It decides nothing; `actions::hand_over` does. Invariant: what is shown is what the act itself says when it is tried and rolled
//! back, and nothing is handed over without having been shown.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};

use super::form::{Faults, Fields, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::register_form::TextField;
use super::register_words::area_words;
use super::time::number;
use super::visit::SignedIn;
use crate::actions::contact_person::{self, PersonView};
use crate::actions::hand_over::{self, HandedOver, Successor};
use crate::actions::{ActionError, FieldProblem, require};
use crate::domain::area::AreaTree;
use crate::domain::contact_person::Field;
use crate::domain::operator::Right;
use crate::domain::phone;
use crate::store;
use crate::store::contact_person::ContactPerson;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{Begun, Repeatable, again_when_busy, look};

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/register/persons/{id}/hand-over", get(ask).post(act))
        .route("/register/persons/{id}/hand-over/preview", post(preview))
}

/// The fields of somebody new, in the order of the form.
const NEW: [(Field, &str, &str, &str); 4] = [
    (Field::Name, "Namn", "Förnamn och efternamn.", "text"),
    (Field::Mobile, "Mobil", "Får sms. Skriv numret hur du vill.", "tel"),
    (Field::Email, "E-post", "Får brev.", "email"),
    (Field::Households, "Antal hushåll", "Så många som personen uppger sig nå, med det egna.", "text"),
];

/// What was filled in.
#[derive(Debug, Clone, Default)]
struct Typed {
    is_existing: bool,
    existing: String,
    /// Of somebody new, in the order of [`NEW`].
    fields: [String; 4],
}

impl Typed {
    fn of(fields: &Fields) -> Self {
        Self {
            is_existing: fields.text("successor") == "existing",
            existing: fields.text("existing").to_owned(),
            fields: NEW.map(|(field, ..)| fields.text(field.name()).to_owned()),
        }
    }

    fn successor(&self) -> Successor {
        if self.is_existing {
            return Successor::Existing(self.existing.clone());
        }
        Successor::New(NEW.iter().zip(&self.fields).map(|((field, ..), value)| (*field, value.clone())).collect())
    }

    fn body(&self) -> String {
        serde_json::json!([self.is_existing, self.existing, self.fields]).to_string()
    }
}

#[derive(Template)]
#[template(path = "pages/register_hand_over.html")]
struct FormPage {
    frame: Frame,
    faults: Faults,
    id: String,
    name: String,
    area: String,
    is_existing: bool,
    existing: String,
    fields: Vec<TextField>,
}

#[derive(Template)]
#[template(path = "pages/register_hand_over_preview.html")]
struct PreviewPage {
    frame: Frame,
    id: String,
    name: String,
    successor: String,
    lines: Vec<String>,
    key: String,
    /// Id of a successor who stands in the register, and what was typed about them.
    existing: (String, String),
    /// What else was filled in, to be sent along: name and value.
    hidden: Vec<(&'static str, String)>,
}

/// The person, with the areas; the look is logged.
async fn person(web: &Web, who: &SignedIn, id: &str) -> Result<(PersonView, AreaTree), Problem> {
    require(who.actor(), Right::ChangeRegister)?;
    look!(web, |session| {
        let view = contact_person::get(&web.desk, session, who.actor(), id).await?;
        (view, store::area::tree(session).await?)
    })
}

async fn ask(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    page(&web, (&headers, &who), &id, None, Faults::default()).await
}

async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    id: &str,
    typed: Option<Typed>,
    faults: Faults,
) -> Result<Response, Problem> {
    let (view, tree) = person(web, who, id).await?;
    let typed = typed.unwrap_or_else(|| {
        let fields = NEW.map(|(field, ..)| match field {
            Field::Households => view.person.households.to_string(),
            _ => String::new(),
        });
        Typed { fields, ..Typed::default() }
    });
    let frame = Frame::of(web, headers, who, (Section::Register, "Lämna över uppdraget")).await;
    let field = |(&(field, label, hint, kind), value): (&(Field, &'static str, &'static str, &'static str), String)| {
        let fault = faults.of(field.name()).map(str::to_owned);
        TextField { name: field.name(), label, hint, kind, value, fault, list: "" }
    };
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = FormPage {
        frame: frame.with_width("narrow").with_faults(!faults.is_empty()),
        area: area_words(&tree, &view.person.area_code),
        name: view.person.name,
        id: id.to_owned(),
        is_existing: typed.is_existing,
        existing: typed.existing,
        fields: NEW.iter().zip(typed.fields).map(field).collect(),
        faults,
    };
    show(status, &page)
}

/// What came of trying or doing it: the act's words, or what is wrong with what was filled in.
type Tried = Result<HandedOver, Vec<FieldProblem>>;

/// Does it and takes it back, to see what would happen.
async fn tried(web: &Web, who: &SignedIn, id: &str, typed: &Typed) -> Result<Tried, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        match hand_over::hand_over(&web.desk, &mut session, who.actor(), id, &typed.successor()).await {
            Ok(done) => Ok(done),
            Err(ActionError::Invalid(problems)) => Err(problems),
            Err(error) => return Err(error.into()),
        }
    })
}

async fn preview(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    require(form.who.actor(), Right::ChangeRegister)?;
    let at = (&form.headers, &form.who);
    let typed = Typed::of(&form.fields);
    if form.fields.has("change") {
        return page(&web, at, &id, Some(typed), Faults::default()).await;
    }
    let (view, tree) = person(&web, &form.who, &id).await?;
    let done = match tried(&web, &form.who, &id, &typed).await? {
        Ok(done) => done,
        Err(problems) => return page(&web, at, &id, Some(typed), Faults::new(problems)).await,
    };
    let mut existing = (String::new(), typed.existing);
    if typed.is_existing {
        // Who was shown takes over, whoever has the number by then. That they were is logged.
        existing.0.clone_from(&done.successor.person.id);
        person(&web, &form.who, &existing.0).await?;
    }
    let frame = Frame::of(&web, &form.headers, &form.who, (Section::Register, "Lämna över uppdraget")).await;
    let successor = if typed.is_existing { "existing" } else { "new" };
    let mut hidden = vec![("successor", successor.to_owned())];
    hidden.extend(NEW.iter().zip(typed.fields).map(|((field, ..), value)| (field.name(), value)));
    let page = PreviewPage {
        frame: frame.with_width("narrow"),
        lines: lines(&view.person, &done, &area_words(&tree, &view.person.area_code)),
        name: view.person.name,
        successor: done.successor.person.name,
        key: web.desk.id(),
        existing,
        hidden,
        id,
    };
    show(StatusCode::OK, &page)
}

/// What will happen, in words.
fn lines(old: &ContactPerson, done: &HandedOver, area: &str) -> Vec<String> {
    let (new, name) = (&done.successor.person, &old.name);
    let mut lines = Vec::new();
    lines.push(match done.is_new {
        true => format!("{} läggs till som kontaktombud i {area} med {} hushåll.", new.name, number(new.households)),
        false => format!(
            "{} tar över {} hushåll i {area} och har sedan {}.",
            new.name,
            number(done.households),
            number(new.households)
        ),
    });
    lines.push(reached(new));
    if new.alerts_opt_out_at.is_some() || new.letters_opt_out_at.is_some() {
        let what = match (new.alerts_opt_out_at, new.letters_opt_out_at) {
            (Some(_), Some(_)) => "sms och brev",
            (Some(_), None) => "sms",
            _ => "brev",
        };
        lines.push(format!("{} har sagt nej till {what}. Det gäller även efteråt.", new.name));
    }
    lines.extend(done.successor.warnings.iter().map(|(_, words)| words.clone()));
    lines.push(format!(
        "Uppdraget för {name} avslutas: namn, nummer, adresser och anteckning raderas genast. Det går inte att ångra."
    ));
    if old.alerts_opt_out_at.is_some() || old.letters_opt_out_at.is_some() {
        lines.push(format!("Det {name} har sagt nej till följer inte med till {}.", new.name));
    }
    for other in &done.without_deputy {
        lines.push(format!("{} får ingen ersättare: det var {name}. Fråga någon ny.", other.name));
    }
    match done.wishes {
        0 => {}
        1 => lines.push("Önskemålet i inkorgen stängs.".to_owned()),
        wishes => lines.push(format!("{wishes} önskemål i inkorgen stängs.")),
    }
    lines
}

/// How the successor will be reached.
fn reached(new: &ContactPerson) -> String {
    let by_sms = new.mobile.as_ref().filter(|_| new.alerts == 1 && new.alerts_opt_out_at.is_none());
    let by_email = new.email.as_ref().filter(|_| new.letters == 1 && new.letters_opt_out_at.is_none());
    match (by_sms, by_email) {
        (Some(mobile), Some(email)) => {
            format!("{} får sms på {} och brev på {email}.", new.name, phone::display(mobile))
        }
        (Some(mobile), None) => {
            format!("{} får sms på {}, men inga brev med e-post.", new.name, phone::display(mobile))
        }
        (None, Some(email)) => format!("{} får brev på {email}, men inga sms.", new.name),
        (None, None) => format!("Varken sms eller brev med e-post når {}.", new.name),
    }
}

async fn act(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::ChangeRegister)?;
    let typed = Typed::of(&form.fields);
    let target = format!("/register/persons/{id}/hand-over");
    let repeatable = Repeatable::of_form(form.fields.text("key"), &target)?;
    let turn = repeatable.turn_in_line(&web, actor, typed.body().as_bytes()).await?;
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    match hand_over::hand_over(&web.desk, work.session(), actor, &id, &typed.successor()).await {
        Ok(done) => {
            let person = format!("/register/persons/{}?done=took_over", done.successor.person.id);
            work.finish_at(&person).await
        }
        Err(ActionError::Invalid(problems)) => {
            drop(work);
            page(&web, (&form.headers, &form.who), &id, Some(typed), Faults::new(problems)).await
        }
        Err(error) => Err(error.into()),
    }
}
