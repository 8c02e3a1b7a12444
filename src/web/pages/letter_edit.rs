//! Owns the page on which a letter is written, new or a draft, and what a second writer meets.
//!
//! It decides nothing; `actions::letter` does. Invariants: nothing typed is lost, whatever is wrong with it; a draft that
//! somebody else has changed meanwhile is written over only by a second, knowing press.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

use super::actor_names::ActorNames;
use super::alert_areas::{self, AreaChoices, Chosen, Counted};
use super::form::{Faults, SignedForm};
use super::frame::{Frame, show};
use super::letter_effect::LetterEffect;
use super::letter_form::{LetterForm, on_page};
use super::menu::Section;
use super::visit::SignedIn;
use crate::actions::{ActionError, census, letter, letter_view, require};
use crate::domain::message::MessageState;
use crate::domain::operator::Right;
use crate::store::{self, Session};
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::{Begun, Repeatable};

/// Among so many letters the last one is looked for.
const LATEST: i64 = 20;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/letters/new", get(blank).post(create))
        .route("/letters/audience", post(count))
        .route("/letters/{id}/edit", get(edit).post(save))
}

/// Somebody else's revision that stands in the way.
#[derive(Debug)]
struct Met {
    who: String,
    at: String,
}

#[derive(Template)]
#[template(path = "pages/letter_edit.html")]
struct EditPage {
    frame: Frame,
    faults: Faults,
    form: LetterForm,
    choices: AreaChoices,
    effect: LetterEffect,
    id: Option<String>,
    awaits: bool,
    met: Option<Met>,
    contact: String,
    key: String,
}

#[derive(Template)]
#[template(path = "pages/letter_effect.html")]
struct EffectPart {
    effect: LetterEffect,
}

/// What a letter begins as.
#[derive(Debug, Default, Deserialize)]
struct BeginQuery {
    #[serde(default)]
    from: String,
}

/// A page to be shown.
#[derive(Debug, Default)]
struct Shown {
    form: LetterForm,
    faults: Faults,
    id: Option<String>,
    awaits: bool,
    met: Option<Met>,
}

async fn blank(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<BeginQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    require(who.actor(), Right::SendLetters)?;
    let name = &who.visitor.operator.name;
    let mut session = web.desk.store.read().await?;
    let form = match query.from.as_str() {
        "" => LetterForm::blank(name),
        "template" => LetterForm::from_template(name),
        "last" => {
            let latest = letter_view::page(&web.desk, &mut session, who.actor(), ("", LATEST)).await?.0;
            latest.first().map_or_else(|| LetterForm::from_template(name), LetterForm::copy_of)
        }
        id => LetterForm::copy_of(&letter_view::get(&web.desk, &mut session, who.actor(), id).await?),
    };
    drop(session);
    page(&web, (&headers, &who), Shown { form, ..Shown::default() }).await
}

async fn create(State(web): State<Web>, sent: SignedForm) -> Result<Response, Problem> {
    let actor = sent.who.actor();
    require(actor, Right::SendLetters)?;
    let form = LetterForm::read(&sent.fields);
    let repeatable = Repeatable::of_form(sent.fields.text("key"), "/letters/new")?;
    let turn = repeatable.turn_in_line(&web, actor, form.digest_text().as_bytes()).await?;
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    match letter::create(&web.desk, work.session(), actor, &form.wanted()).await {
        Ok(made) => work.finish_at(&format!("/letters/{}", made.message.id)).await,
        Err(ActionError::Invalid(problems)) => {
            drop(work);
            let faults = Faults::new(on_page(problems));
            page(&web, (&sent.headers, &sent.who), Shown { form, faults, ..Shown::default() }).await
        }
        Err(error) => Err(Problem::from(error).with_kept(sent.fields.shown())),
    }
}

async fn edit(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    require(who.actor(), Right::SendLetters)?;
    let mut session = web.desk.store.read().await?;
    let view = letter_view::get(&web.desk, &mut session, who.actor(), &id).await?;
    drop(session);
    if !view.message.state().is_editable() {
        let detail = "Brevet är redan skickat eller stoppat. Kopiera det till ett nytt utkast i stället.";
        return Err(Problem::new(StatusCode::CONFLICT, "letter.not_a_draft", detail));
    }
    let awaits = view.message.state() == MessageState::AwaitingApproval;
    let shown = Shown { form: LetterForm::of(&view), id: Some(id), awaits, ..Shown::default() };
    page(&web, (&headers, &who), shown).await
}

async fn save(State(web): State<Web>, Path(id): Path<String>, sent: SignedForm) -> Result<Response, Problem> {
    let actor = sent.who.actor();
    require(actor, Right::SendLetters)?;
    let form = LetterForm::read(&sent.fields);
    let repeatable = Repeatable::of_form(sent.fields.text("key"), &format!("/letters/{id}/edit"))?;
    let turn = repeatable.turn_in_line(&web, actor, form.digest_text().as_bytes()).await?;
    let mut work = match turn.begin().await? {
        Begun::New(work) => work,
        Begun::Earlier(response) => return Ok(response),
    };
    let error = match letter::revise(&web.desk, work.session(), actor, &id, &form.change()).await {
        Ok(_) => return work.finish_at(&format!("/letters/{id}")).await,
        Err(error) => error,
    };
    drop(work);
    let shown = match error {
        ActionError::Invalid(problems) => Shown { faults: Faults::new(on_page(problems)), form, ..Shown::default() },
        ActionError::Conflict { code: "letter.revision_changed", .. } => met(&web, &sent.who, &id, form).await?,
        error => return Err(Problem::from(error).with_kept(sent.fields.shown())),
    };
    page(&web, (&sent.headers, &sent.who), Shown { id: Some(id), ..shown }).await
}

/// What was typed, to be saved upon the revision of whoever came first if one still wants to.
async fn met(web: &Web, who: &SignedIn, id: &str, form: LetterForm) -> Result<Shown, Problem> {
    let mut session = web.desk.store.read().await?;
    let view = letter_view::get(&web.desk, &mut session, who.actor(), id).await?;
    let reviews = store::message::reviews(&mut session, id).await?;
    let names = ActorNames::load(&mut session).await?;
    drop(session);
    let wall = super::time::Wall::new(web.desk.config.server.zone(), web.desk.now());
    let written = reviews.iter().rev().find(|review| review.act == "written");
    let met = written.map(|review| Met {
        who: if review.actor == who.actor().id { "Du själv".to_owned() } else { names.of(&review.actor) },
        at: wall.text(review.at),
    });
    let form = LetterForm { revision: view.message.revision, ..form };
    Ok(Shown { form, met, awaits: view.message.state() == MessageState::AwaitingApproval, ..Shown::default() })
}

/// Whom the chosen areas would reach, for the page that shows it while one chooses.
async fn count(State(web): State<Web>, sent: SignedForm) -> Result<Response, Problem> {
    require(sent.who.actor(), Right::SendLetters)?;
    let areas = sent.fields.all("areas");
    let mut session = web.desk.store.read().await?;
    let effect = effect(&web, &mut session, &sent.who, &areas).await?;
    show(StatusCode::OK, &EffectPart { effect })
}

async fn effect(web: &Web, session: &mut Session, who: &SignedIn, areas: &[String]) -> Result<LetterEffect, Problem> {
    match letter::audience(&web.desk, session, who.actor(), areas).await {
        Ok(audience) => Ok(LetterEffect::of(audience)),
        // What is wrong with the areas is said at them; here is nothing to count then.
        Err(ActionError::Invalid(_)) => Ok(LetterEffect::default()),
        Err(error) => Err(error.into()),
    }
}

async fn page(web: &Web, (headers, who): (&HeaderMap, &SignedIn), shown: Shown) -> Result<Response, Problem> {
    let mut session = web.desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    let populations = census::of(&web.desk, &mut session).await?.populations();
    let held = crate::actions::holds_areas(who.actor(), &tree, &shown.form.areas);
    let areas: &[String] = if held { &shown.form.areas } else { &[] };
    let effect = effect(web, &mut session, who, areas).await?;
    drop(session);
    let title = if shown.id.is_some() { "Ändra brevet" } else { "Nytt brev" };
    let frame = Frame::of(web, headers, who, (Section::Letters, title)).await;
    let status = match (&shown.met, shown.faults.is_empty()) {
        (Some(_), _) => StatusCode::CONFLICT,
        (None, false) => StatusCode::UNPROCESSABLE_ENTITY,
        (None, true) => StatusCode::OK,
    };
    let chosen = Chosen { codes: &shown.form.areas, is_drill: false, counted: Counted::Persons };
    let page = EditPage {
        choices: alert_areas::choices(&tree, &populations, who.actor(), chosen),
        effect,
        frame: frame.with_width("wide").with_faults(!shown.faults.is_empty()),
        faults: shown.faults,
        form: shown.form,
        id: shown.id,
        awaits: shown.awaits,
        met: shown.met,
        contact: web.desk.config.mail.contact_address().to_owned(),
        key: web.desk.id(),
    };
    show(status, &page)
}
