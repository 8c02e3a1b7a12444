//! Owns the page of a new alert and the one that asks before it goes.
//!
//! It decides nothing: what it shows comes from `actions::alert_preview`, what must be typed from
//! `actions::alert_confirmation`; sending is `alert_send`. Invariant: nothing is made here but a decision not to send.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;

use super::alert_areas::{self, AreaChoices, Chosen, Counted};
use super::alert_draft::{self, DraftShown};
use super::alert_effect::Effect;
use super::alert_form::{self, AlertForm};
use super::alert_situation::{self, Situations};
use super::form::{Faults, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::visit::SignedIn;
use crate::actions::alert::NewAlert;
use crate::actions::alert_preview::{self, Preview};
use crate::actions::alert_view::Warning;
use crate::actions::decision::{self, NotSent};
use crate::actions::{self, ActionError, FieldProblem, alert_confirmation, alert_view, census, require, situation};
use crate::domain::area::AreaTree;
use crate::domain::mix_up;
use crate::domain::operator::Right;
use crate::domain::phone;
use crate::store::{self, Session};
use crate::web::Web;
use crate::web::error::Problem;

/// Why an alert was considered and not sent; offered as buttons.
const NOT_SENT: [&str; 4] = ["För osäkert", "Kan störa insatsen", "För få mottagare", "Annat skäl"];

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/alerts/new", get(blank).post(again))
        .route("/alerts/preview", post(preview))
        .route("/alerts/confirm", post(confirm))
        .route("/alerts/considered", post(considered))
}

#[derive(Template)]
#[template(path = "pages/alert_new.html")]
struct ComposePage {
    frame: Frame,
    faults: Faults,
    form: AlertForm,
    situations: Situations,
    choices: AreaChoices,
    effect: Effect,
    decision_makers: Vec<String>,
    not_sent: [&'static str; 4],
    draft: DraftShown,
    /// Who watches the replies, and the number for acute ones, where the alert says nothing else.
    watch: (String, String),
}

#[derive(Template)]
#[template(path = "pages/alert_effect.html")]
struct EffectPart {
    effect: Effect,
}

#[derive(Template)]
#[template(path = "pages/alert_confirm.html")]
struct ConfirmPage {
    frame: Frame,
    faults: Faults,
    form: AlertForm,
    effect: Effect,
    decided_by: String,
    parts: usize,
    goes: String,
    asks: Option<String>,
    undo_seconds: u32,
    send_at_ms: Option<i64>,
    until_ms: Option<i64>,
    key: String,
    /// Who watches the replies, and the number for acute ones.
    watch: (String, String),
}

/// Where a form begins.
#[derive(Debug, Default, Deserialize)]
struct BeginQuery {
    #[serde(default)]
    drill: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    revise: String,
    /// A draft to go on with.
    #[serde(default)]
    draft: String,
}

async fn blank(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(query): Query<BeginQuery>,
    who: SignedIn,
) -> Result<Response, Problem> {
    require(who.actor(), Right::SendAlerts)?;
    let alerts = &web.desk.config.alerts;
    let known = if query.revise.is_empty() { &query.from } else { &query.revise };
    let mut form = AlertForm::blank(alerts.expires_in_minutes, query.drill == "yes");
    if !known.is_empty() {
        let mut session = web.desk.store.read().await?;
        let view = alert_view::get(&web.desk, &mut session, who.actor(), known).await?;
        form = AlertForm { revises: query.revise.clone(), ..AlertForm::of(&view, &alerts.decision_makers) };
    }
    if !query.draft.is_empty() {
        let mut session = web.desk.store.read().await?;
        form = alert_draft::form_of(&actions::alert_draft::open(&mut session, who.actor(), &query.draft).await?);
    }
    compose(&web, (&headers, &who), form, Faults::default()).await
}

/// The page again with what was typed, after a button that changes it: without scripts this is how figures are counted anew.
async fn again(State(web): State<Web>, sent: SignedForm) -> Result<Response, Problem> {
    require(sent.who.actor(), Right::SendAlerts)?;
    let form = AlertForm { send_at_ms: None, until_ms: None, ..AlertForm::read(&sent.fields) };
    let form = alert_situation::chosen(&web, &sent.who, &sent.fields, form).await?;
    let (mut form, _) = alert_situation::written(&web, &sent.who, form).await?;
    if let Some(code) = sent.fields.filled("add_area") {
        form.areas.push(code.to_owned());
    }
    if let Some(time) = sent.fields.filled("later") {
        time.clone_into(&mut form.send_time);
    }
    let character = sent.fields.text("replace");
    if !character.is_empty() {
        let (_, preview, _) = look(&web, &sent.who, &form).await?;
        let known = preview.offending.iter().find(|one| one.character.to_string() == character);
        if let Some(replacement) = known.and_then(|one| one.replacement.as_deref()) {
            form.text = form.text.replace(character, replacement);
            form.slots = form.slots.iter().map(|value| value.replace(character, replacement)).collect();
        }
    }
    compose(&web, (&sent.headers, &sent.who), form, Faults::default()).await
}

/// What the form so far would be, for the page that shows it while one types.
async fn preview(State(web): State<Web>, sent: SignedForm) -> Result<Response, Problem> {
    let (form, _) = alert_situation::written(&web, &sent.who, AlertForm::read(&sent.fields)).await?;
    let (tree, preview, _) = look(&web, &sent.who, &form).await?;
    let frame = Frame::of(&web, &sent.headers, &sent.who, (Section::NewAlert, "")).await;
    show(StatusCode::OK, &EffectPart { effect: effect(&frame, &tree, &form, &preview) })
}

/// The tree, what the form would become, and all that is wrong with it.
async fn look(web: &Web, who: &SignedIn, form: &AlertForm) -> Result<(AreaTree, Preview, NewAlert), Problem> {
    let now = Timestamp::from_millisecond(web.desk.now()).unwrap_or(Timestamp::UNIX_EPOCH);
    let (new, mut problems) = form.wanted(&web.desk.config.server.zone(), now);
    let mut session = web.desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    let mut preview = alert_preview::preview(&web.desk, &mut session, who.actor(), &new).await?;
    preview.warnings.extend(form_warnings(&mut session, who, form, &new).await?);
    problems.extend(preview.problems);
    preview.problems = in_order(problems);
    Ok((tree, preview, new))
}

/// What only the page's own fields can show to be mixed up: the situation, and a time of day that is tomorrow's.
async fn form_warnings(
    session: &mut Session,
    who: &SignedIn,
    form: &AlertForm,
    new: &NewAlert,
) -> Result<Vec<Warning>, Problem> {
    let mut warnings = Vec::new();
    if !form.situation.is_empty() {
        let values = (form.situation.as_str(), form.slots.as_slice());
        warnings.extend(situation::meant_instead(session, who.actor(), values).await?.map(|name| Warning {
            code: "text.other_situation",
            detail: format!("Du har valt en annan mall, men skriver om {}. Är det rätt mall?", name.to_lowercase()),
            area_code: None,
        }));
    }
    let late = new.expires_in_minutes.filter(|_| form.ends_at_a_time()).and_then(mix_up::long_validity);
    warnings.extend(late.map(Warning::from));
    Ok(warnings)
}

/// As the fields stand on the page, each once.
pub(super) fn in_order(mut problems: Vec<FieldProblem>) -> Vec<FieldProblem> {
    const ORDER: [&str; 11] = [
        "areas",
        "slot",
        "text",
        "kind",
        "spread",
        "until",
        "expires_in_minutes",
        "decided_by",
        "watched_by",
        "duty_number",
        "send_time",
    ];
    let place = |problem: &FieldProblem| {
        let name = if problem.name.starts_with("slot-") { "slot" } else { &problem.name };
        ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len())
    };
    problems.sort_by_key(place);
    problems.dedup_by(|one, before| one.name == before.name);
    problems
}

fn effect(frame: &Frame, tree: &AreaTree, form: &AlertForm, preview: &Preview) -> Effect {
    let mut effect = Effect::of(preview, tree, &form.areas, &frame.wall);
    let is_night = !(6..22).contains(&frame.wall.hour());
    effect.wakes_people = is_night && form.kind == "information" && form.send_time.is_empty() && !form.is_drill;
    effect
}

/// The page of a new alert with what was typed and what is wrong with it.
///
/// # Errors
/// [`Problem`].
pub(super) async fn compose(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    form: AlertForm,
    faults: Faults,
) -> Result<Response, Problem> {
    let (form, filled) = alert_situation::written(web, who, form).await?;
    let (tree, preview, _) = look(web, who, &form).await?;
    let situations = alert_situation::on_page(web, who, filled).await?;
    let mut session = web.desk.store.read().await?;
    let populations = census::of(&web.desk, &mut session).await?.populations();
    let draft = alert_draft::shown(web, &mut session, (&who.actor().id, &form.draft)).await?;
    // Without scripts, what the page showed last is what is written over.
    let draft =
        DraftShown { revision: if form.draft_revision > 0 { form.draft_revision } else { draft.revision }, ..draft };
    drop(session);
    let title = if form.is_drill { "Ny övning" } else { "Nytt sms-utskick" };
    let frame = Frame::of(web, headers, who, (Section::NewAlert, title)).await;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let chosen = Chosen { codes: &form.areas, is_drill: form.is_drill, counted: Counted::BySms };
    let page = ComposePage {
        situations,
        choices: alert_areas::choices(&tree, &populations, who.actor(), chosen),
        effect: effect(&frame, &tree, &form, &preview),
        decision_makers: web.desk.config.alerts.decision_makers.clone(),
        not_sent: NOT_SENT,
        watch: watch_of(web, &AlertForm::default()),
        draft,
        frame: frame.with_width("wide").with_faults(!faults.is_empty()).as_drill(form.is_drill),
        faults,
        form,
    };
    show(status, &page)
}

async fn confirm(State(web): State<Web>, sent: SignedForm) -> Result<Response, Problem> {
    require(sent.who.actor(), Right::SendAlerts)?;
    let (form, filled) = alert_situation::written(&web, &sent.who, AlertForm::read(&sent.fields)).await?;
    match filled {
        Some(filled) if !filled.problems.is_empty() => {
            let (_, preview, _) = look(&web, &sent.who, &form).await?;
            let problems = in_order([filled.problems, preview.problems].concat());
            compose(&web, (&sent.headers, &sent.who), form, Faults::new(problems)).await
        }
        _ => ask(&web, &sent, form, Vec::new()).await,
    }
}

/// Who watches the replies, and the number for acute ones as people write it.
fn watch_of(web: &Web, form: &AlertForm) -> (String, String) {
    let rules = &web.desk.config.replies;
    let or = |typed: &str, configured: &str| match typed.trim() {
        "" => configured.to_owned(),
        typed => typed.to_owned(),
    };
    (or(&form.watched_by, &rules.watched_by), phone::display(&or(&form.duty_number, &rules.duty_number)))
}

/// The page that asks; the one before it when something is wrong there.
///
/// # Errors
/// [`Problem`].
pub(super) async fn ask(
    web: &Web,
    sent: &SignedForm,
    form: AlertForm,
    more: Vec<FieldProblem>,
) -> Result<Response, Problem> {
    let (tree, preview, new) = look(web, &sent.who, &form).await?;
    if !preview.problems.is_empty() {
        let form = AlertForm { send_at_ms: None, until_ms: None, ..form };
        return compose(web, (&sent.headers, &sent.who), form, Faults::new(preview.problems)).await;
    }
    let proof = alert_confirmation::proof(&tree, &form.areas, preview.audience.by_sms);
    let title = if form.is_drill { "Bekräfta övningen" } else { "Bekräfta och skicka" };
    let frame = Frame::of(web, &sent.headers, &sent.who, (Section::NewAlert, title)).await;
    let faults = Faults::new(more);
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let send_at_ms = new.send_at.map(Timestamp::as_millisecond);
    let page = ConfirmPage {
        effect: effect(&frame, &tree, &form, &preview),
        decided_by: form.decision_maker().to_owned(),
        parts: preview.sms.segmentation().parts,
        goes: send_at_ms.map_or_else(|| "nu".to_owned(), |at| frame.wall.text(at)),
        asks: Some(proof.asks()).filter(|text| !text.is_empty()),
        undo_seconds: web.desk.config.alerts.undo_seconds,
        until_ms: form.ends_at_a_time().then_some(preview.expires_at),
        send_at_ms,
        key: web.desk.id(),
        watch: watch_of(web, &form),
        frame: frame.with_faults(!faults.is_empty()).as_drill(form.is_drill),
        faults,
        form,
    };
    show(status, &page)
}

async fn considered(State(web): State<Web>, sent: SignedForm) -> Result<Response, Problem> {
    let actor = sent.who.actor();
    let form = AlertForm::read(&sent.fields);
    let reason = sent.fields.text("reason").to_owned();
    let new = NotSent { decided_by: form.decision_maker().to_owned(), reason, areas: form.areas.clone() };
    let mut session = web.desk.store.begin().await?;
    match decision::not_sent(&web.desk, &mut session, actor, &new).await {
        Ok(_) => {
            actions::alert_draft::became(&mut session, &form.draft).await?;
            session.commit().await?;
            Ok(Redirect::to("/decisions").into_response())
        }
        Err(ActionError::Invalid(problems)) => {
            drop(session);
            compose(&web, (&sent.headers, &sent.who), form, Faults::new(problems)).await
        }
        Err(error) => Err(error.into()),
    }
}

impl ComposePage {
    /// Whether one of the quick keys says how long it is valid; otherwise it is the time beside or something unusual.
    fn validity_is(&self, value: &str) -> bool {
        self.form.validity == value
    }

    fn is_unusual_validity(&self) -> bool {
        let known = ["120", "240", alert_form::DAWN, alert_form::TIME];
        !known.contains(&self.form.validity.as_str()) && !self.form.validity.is_empty()
    }

    /// How long an unusual validity is, in words.
    fn unusual_validity(&self) -> String {
        match self.form.validity.parse::<i64>() {
            Ok(minutes) if minutes % 60 == 0 => format!("{} h", minutes / 60),
            _ => format!("{} min", self.form.validity),
        }
    }
}
