//! Owns saving an alert while it is written, going on with one, and throwing it away.
//!
//! Invariant: whoever writes is told when it was saved, and by whom it was written over.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::post;

use super::actor_names::ActorNames;
use super::alert_areas::in_words;
use super::alert_form::AlertForm;
use super::form::{Fields, SignedForm};
use super::frame::show;
use super::time::Wall;
use crate::actions::alert_draft::{self, Saved, Saving};
use crate::actions::require;
use crate::domain::area::AreaTree;
use crate::domain::operator::Right;
use crate::store::Session;
use crate::store::alert_draft::AlertDraft;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::again_when_busy;

/// Fields of the page that are no part of what is written.
const NOT_KEPT: [&str; 5] = ["form_token", "draft", "draft_revision", "key", "take_over"];
/// Somebody who wrote so recently may still be writing: two minutes, in milliseconds.
const RECENT_MS: i64 = 120_000;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/alerts/draft", post(save))
        .route("/alerts/draft/keep", post(keep))
        .route("/alerts/draft/discard", post(discard))
}

/// What the page says about its draft.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DraftShown {
    /// Its id; empty before the first save.
    pub id: String,
    /// The revision that the page shows.
    pub revision: i64,
    /// When it was saved, or that it was sent.
    pub words: String,
    /// Who else writes, and when they did.
    pub theirs: Option<String>,
    /// Whether what is typed here is not saved because of that.
    pub is_held: bool,
}

#[derive(Template)]
#[template(path = "pages/parts/alert_draft.html")]
struct DraftPart {
    draft: DraftShown,
}

/// The fields of a page as a draft keeps them.
fn kept(fields: &Fields) -> String {
    let pairs: Vec<(&str, &str)> = fields.iter().filter(|(name, _)| !NOT_KEPT.contains(name)).collect();
    serde_json::json!(pairs).to_string()
}

/// The form that a draft holds.
#[must_use]
pub fn form_of(draft: &AlertDraft) -> AlertForm {
    let pairs: Vec<(String, String)> = serde_json::from_str(&draft.form).unwrap_or_default();
    AlertForm { draft: draft.id.clone(), draft_revision: draft.revision, ..AlertForm::read(&Fields::of(pairs)) }
}

async fn saved(web: &Web, form: &SignedForm, takes_over: bool) -> Result<(AlertForm, Saved), Problem> {
    let typed = AlertForm::read(&form.fields);
    let of = Some((typed.draft.as_str(), typed.draft_revision)).filter(|(id, _)| !id.is_empty());
    let text = kept(&form.fields);
    let saving = Saving { of, form: &text, areas: &typed.areas, takes_over };
    let saved = again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        let saved = alert_draft::save(&web.desk, &mut session, form.who.actor(), saving).await?;
        session.commit().await?;
        saved
    })?;
    Ok((typed, saved))
}

/// Saves what is typed, and says so; the page asks by itself while somebody writes.
async fn save(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    require(form.who.actor(), Right::SendAlerts)?;
    let wall = Wall::new(web.desk.config.server.zone(), web.desk.now());
    let typed = AlertForm::read(&form.fields);
    if typed.draft.is_empty() && typed.is_untouched() {
        return show(StatusCode::OK, &DraftPart { draft: DraftShown::default() });
    }
    let (typed, saved) = saved(&web, &form, false).await?;
    let draft = match saved {
        Saved::Kept { id, revision } => {
            let words = format!("Utkastet sparades kl. {}", wall.clock(web.desk.now()));
            DraftShown { id, revision, words, ..DraftShown::default() }
        }
        Saved::Theirs(theirs) => {
            let mut session = web.desk.store.read().await?;
            let words = theirs_in_words(&mut session, &wall, &theirs).await?;
            DraftShown {
                id: typed.draft,
                revision: typed.draft_revision,
                words: "Det du skriver sparas inte just nu.".to_owned(),
                theirs: Some(words),
                is_held: true,
            }
        }
        Saved::Gone => DraftShown {
            words: "Utkastet är redan skickat eller slängt, och sparas inte längre.".to_owned(),
            id: typed.draft,
            revision: typed.draft_revision,
            ..DraftShown::default()
        },
    };
    show(StatusCode::OK, &DraftPart { draft })
}

/// Saves and comes back to the page: without scripts, or to take over what somebody else has written in.
async fn keep(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let takes_over = form.fields.text("take_over") == "yes";
    let (typed, saved) = saved(&web, &form, takes_over).await?;
    let id = match saved {
        Saved::Kept { id, .. } => id,
        Saved::Theirs(theirs) => theirs.id,
        Saved::Gone => {
            let detail = "Utkastet är redan skickat eller slängt. Gå tillbaka och kopiera det du skrev till ett nytt.";
            return Err(Problem::new(StatusCode::CONFLICT, "alert_draft.gone", detail).with_kept(form.fields.shown()));
        }
    };
    debug_assert!(typed.draft.is_empty() || typed.draft == id);
    Ok(Redirect::to(&format!("/alerts/new?draft={id}")).into_response())
}

async fn discard(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    alert_draft::discard(&web.desk, &mut session, form.who.actor(), form.fields.text("draft")).await?;
    session.commit().await?;
    Ok(Redirect::to("/").into_response())
}

/// What the page says of a draft as it opens.
///
/// # Errors
/// [`Problem`] when the database does not answer.
pub async fn shown(web: &Web, session: &mut Session, (who, id): (&str, &str)) -> Result<DraftShown, Problem> {
    let Some(draft) = crate::store::alert_draft::get(session, id).await? else { return Ok(DraftShown::default()) };
    let wall = Wall::new(web.desk.config.server.zone(), web.desk.now());
    let is_theirs = draft.written_by != who && web.desk.now() - draft.written_at < RECENT_MS;
    let theirs = if is_theirs { Some(theirs_in_words(session, &wall, &draft).await?) } else { None };
    let words = format!("Utkastet sparades {}", wall.text(draft.written_at));
    Ok(DraftShown { id: draft.id, revision: draft.revision, words, theirs, is_held: false })
}

async fn theirs_in_words(session: &mut Session, wall: &Wall, draft: &AlertDraft) -> Result<String, Problem> {
    let names = ActorNames::load(session).await?;
    Ok(format!("{} skrev i utkastet kl. {}", names.of(&draft.written_by), wall.clock(draft.written_at)))
}

/// A draft in a list.
#[derive(Debug, Clone)]
pub struct DraftRow {
    /// Its id.
    pub id: String,
    /// How it begins.
    pub title: String,
    /// Where it would go, in words.
    pub areas: String,
    /// Who wrote last.
    pub by: String,
    /// When.
    pub at: String,
    /// Whether it is a drill.
    pub is_drill: bool,
}

/// Drafts as a list shows them.
#[must_use]
pub fn rows(drafts: &[AlertDraft], (tree, names, wall): (&AreaTree, &ActorNames, &Wall)) -> Vec<DraftRow> {
    let row = |draft: &AlertDraft| {
        let form = form_of(draft);
        let text = if form.text.trim().is_empty() { form.slots.join(", ") } else { form.text.clone() };
        let begin: String = text.trim().chars().take(80).collect();
        DraftRow {
            id: draft.id.clone(),
            title: if begin.is_empty() { "Utan text".to_owned() } else { begin },
            areas: if form.areas.is_empty() { "Inga områden valda".to_owned() } else { in_words(tree, &form.areas) },
            by: names.of(&draft.written_by),
            at: wall.short(draft.written_at),
            is_drill: form.is_drill,
        }
    };
    drafts.iter().map(row).collect()
}
