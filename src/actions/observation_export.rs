//! Owns handing observations to an investigator: an archive with all that was said, and a list of digests.
//!
//! Invariants: it says who exported and why, and so does the log; without the informant nothing in it names or numbers them
//! but what they wrote themselves.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::observation_view::{ObservationView, seen, views};
use super::{ActionError, Desk, FieldProblem, Result, require};
use crate::domain::observation::tag_name;
use crate::domain::operator::{Actor, Right};
use crate::domain::plain_text::clean_line;
use crate::render::archive::{self, TooLarge};
use crate::store::{self, Session};

/// Observations in one archive.
pub const MOST: usize = 500;
/// Octets of mails in one archive, which is made in memory.
const MOST_OCTETS_OF_MAILS: usize = 50 << 20;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct ExportWish {
    /// Which observations.
    pub ids: Vec<String>,
    /// What for; in the archive and in the log.
    pub reason: String,
    /// Whether the archive says who sent them.
    pub with_informant: bool,
}

/// Makes the archive.
///
/// # Errors
/// [`ActionError::Invalid`] when nothing is chosen or no reason is given; [`ActionError::NotFound`] for what is not the actor's.
pub async fn export(desk: &Desk, session: &mut Session, actor: &Actor, wish: &ExportWish) -> Result<Vec<u8>> {
    require(actor, Right::WorkInbox)?;
    let reason = checked(wish)?;
    let tree = store::area::tree(session).await?;
    let mut rows = Vec::with_capacity(wish.ids.len());
    for id in &wish.ids {
        let row = seen(session, actor, &tree, id).await?;
        if rows.iter().all(|other: &store::observation::Observation| other.id != row.id) {
            rows.push(row);
        }
    }
    let views = views(session, actor, &tree, rows).await?;
    let entries: Vec<Value> = views.iter().map(|view| entry(view, wish.with_informant)).collect();
    let head = json!({
        "exported_at": time(Some(desk.now())),
        "exported_by": actor.id,
        "reason": reason,
        "with_informant": wish.with_informant,
        "observations": entries,
    });
    let mut files = vec![("observations.json".to_owned(), pretty(&head))];
    let mut octets_of_mails = 0;
    for (number, view) in (1..).zip(&views) {
        let name = format!("observation-{number:03}-{}", view.observation.id);
        // Only whether there is one is told without the informant.
        let pieces = if wish.with_informant { i64::MAX } else { 1 };
        let mail = mail_of(session, &view.observation.id, pieces).await?;
        let mail_name = format!("{name}.eml");
        let about_mail = match (&mail, wish.with_informant) {
            (None, _) => None,
            (Some(_), true) => Some(format!("Mejlet som det kom, med bilagor: {mail_name}")),
            (Some(_), false) => {
                Some("Mejlet, med bilagor om det hade några: utelämnat, det namnger avsändaren".to_owned())
            }
        };
        files.push((format!("{name}.txt"), sheet(view, wish.with_informant, about_mail).into_bytes()));
        if let Some(mail) = mail.filter(|_| wish.with_informant) {
            octets_of_mails += mail.len();
            if octets_of_mails > MOST_OCTETS_OF_MAILS {
                return Err(too_large());
            }
            files.push((mail_name, mail));
        }
    }
    let bytes = archive::with_digests(&files).map_err(|TooLarge| too_large())?;
    let ids: Vec<&str> = views.iter().map(|view| view.observation.id.as_str()).collect();
    let detail =
        json!({ "persons": views.len(), "observations": ids, "with_informant": wish.with_informant, "reason": reason });
    desk.audit(session, actor, "observations.exported", ("observations", ""), detail).await?;
    Ok(bytes)
}

fn too_large() -> ActionError {
    ActionError::field("ids", "field.too_long", "Arkivet blir för stort. Välj färre iakttagelser.")
}

/// The first pieces of the mail that an observation came as; `None` when it came otherwise, or is kept no longer.
async fn mail_of(session: &mut Session, observation_id: &str, pieces: i64) -> Result<Option<Vec<u8>>> {
    let Some(id) = store::inbound_mail::of_observation(session, observation_id).await? else { return Ok(None) };
    let octets = store::inbound_mail::octets(&store::inbound_mail::parts(session, &id, pieces).await?);
    Ok((!octets.is_empty()).then_some(octets))
}

fn checked(wish: &ExportWish) -> Result<String> {
    let reason = clean_line(&wish.reason);
    let mut problems = Vec::new();
    if wish.ids.is_empty() || wish.ids.len() > MOST {
        let detail = format!("Välj 1 till {MOST} iakttagelser.");
        problems.push(FieldProblem::new("ids", "field.required", detail));
    }
    if reason.is_empty() || reason.chars().count() > 500 {
        problems.push(FieldProblem::new("reason", "field.required", "Ange varför de lämnas ut, högst 500 tecken."));
    }
    if problems.is_empty() { Ok(reason) } else { Err(ActionError::Invalid(problems)) }
}

fn entry(view: &ObservationView, with_informant: bool) -> Value {
    let o = &view.observation;
    let mut entry = json!({
        "id": o.id,
        "channel": o.came_by(),
        "received_at": time(Some(o.received_at)),
        "text": o.text,
        "state": o.state,
        "tags": view.tags,
        "area": view.sender.area,
        "place": o.place,
        "seen_at": time(o.seen_at),
        "message_id": o.message_id,
        "replies": view.replies.iter().filter(|reply| reply.kind != "duty").map(|reply| json!({
            "kind": reply.kind, "text": reply.body, "at": time(Some(reply.created_at)), "state": reply.state,
        })).collect::<Vec<_>>(),
    });
    if with_informant {
        entry["informant"] = json!({
            "contact_person_id": o.contact_person_id, "name": view.sender.name, "address": view.sender.address,
        });
    }
    entry
}

/// An observation to read and print.
fn sheet(view: &ObservationView, with_informant: bool, about_mail: Option<String>) -> String {
    let o = &view.observation;
    let mut lines = vec![
        format!("Iakttagelse {}", o.id),
        format!("Kom in: {} ({})", time(Some(o.received_at)).unwrap_or_default(), o.came_by()),
        format!("Område: {}", if view.sender.area.is_empty() { "okänt" } else { &view.sender.area }),
    ];
    if with_informant {
        let name = if view.sender.name.is_empty() { "okänd" } else { &view.sender.name };
        lines.push(format!("Lämnad av: {name}, {}", view.sender.address));
    } else {
        lines.push("Lämnad av: utelämnat".to_owned());
    }
    if !o.place.is_empty() {
        lines.push(format!("Plats: {}", o.place));
    }
    if let Some(seen_at) = time(o.seen_at) {
        lines.push(format!("Tid: {seen_at}"));
    }
    if !view.tags.is_empty() {
        let tags: Vec<&str> = view.tags.iter().map(|tag| tag_name(tag)).collect();
        lines.push(format!("Etiketter: {}", tags.join(", ")));
    }
    lines.extend(about_mail);
    lines.push(String::new());
    lines.push(o.text.clone());
    for reply in view.replies.iter().filter(|reply| reply.kind != "duty") {
        lines.push(String::new());
        lines.push(format!("Svar från polisen {}:", time(Some(reply.created_at)).unwrap_or_default()));
        lines.push(reply.body.clone());
    }
    lines.push(String::new());
    lines.join("\n")
}

fn pretty(value: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("values of texts and numbers always serialise")
}

fn time(ms: Option<i64>) -> Option<String> {
    ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).map(|at| at.to_string())
}
