//! Owns the situations on the page of a new alert: which there are to choose from, and the slots of the chosen one.
//!
//! Invariant: while a situation is chosen, the alert's text is what its slots make, whatever the form says it is.

use super::alert_form::AlertForm;
use super::form::Fields;
use super::visit::SignedIn;
use crate::actions::situation::{self, FilledSituation};
use crate::web::Web;
use crate::web::error::Problem;

/// What is sent for "no situation, I write myself".
const FREE: &str = "free";

/// A situation to choose.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Its id, or the word for none.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Whether it is the chosen one.
    pub is_chosen: bool,
}

/// The situations on the page.
#[derive(Debug, Clone)]
pub struct Situations {
    /// All of them, and free text last.
    pub choices: Vec<Choice>,
    /// The chosen one with its slots.
    pub filled: Option<FilledSituation>,
}

/// The form as a button for another situation leaves it, if one was pressed: its slots begin anew, and the text that was there
/// stays where somebody goes on writing freely.
///
/// # Errors
/// [`Problem`] when the database does not answer.
pub async fn chosen(web: &Web, who: &SignedIn, fields: &Fields, mut form: AlertForm) -> Result<AlertForm, Problem> {
    let Some(code) = fields.filled("situation_to") else { return Ok(form) };
    if code == FREE {
        (form, _) = written(web, who, form).await?;
        form.situation.clear();
        form.slots.clear();
        return Ok(form);
    }
    let mut session = web.desk.store.read().await?;
    let Some(filled) = situation::fill(&mut session, who.actor(), code, None).await? else { return Ok(form) };
    form.slots = filled.slots.iter().map(|slot| slot.value.clone()).collect();
    form.kind.clone_from(&filled.situation.kind);
    form.validity = filled.situation.minutes.to_string();
    code.clone_into(&mut form.situation);
    Ok(form)
}

/// The form with the text that its slots make, and those slots.
///
/// # Errors
/// [`Problem`] when the database does not answer.
pub async fn written(
    web: &Web,
    who: &SignedIn,
    mut form: AlertForm,
) -> Result<(AlertForm, Option<FilledSituation>), Problem> {
    if form.situation.is_empty() {
        return Ok((form, None));
    }
    let mut session = web.desk.store.read().await?;
    let filled = situation::fill(&mut session, who.actor(), &form.situation, Some(&form.slots)).await?;
    match &filled {
        Some(filled) => form.text.clone_from(&filled.text),
        // Taken out of use while somebody filled it in: what it had become can be written on.
        None => form.situation.clear(),
    }
    Ok((form, filled))
}

/// The situations to choose from, and the slots of the chosen one.
///
/// # Errors
/// [`Problem`] when the database does not answer.
pub async fn on_page(web: &Web, who: &SignedIn, filled: Option<FilledSituation>) -> Result<Situations, Problem> {
    let mut session = web.desk.store.read().await?;
    let is_chosen = |id: &str| filled.as_ref().is_some_and(|filled| filled.situation.id == id);
    let mut choices: Vec<Choice> = situation::list(&mut session, who.actor())
        .await?
        .into_iter()
        .map(|one| Choice { is_chosen: is_chosen(&one.id), code: one.id, name: one.name })
        .collect();
    if !choices.is_empty() {
        choices.push(Choice { code: FREE.to_owned(), name: "Fri text".to_owned(), is_chosen: filled.is_none() });
    }
    Ok(Situations { choices, filled })
}
