//! Owns the answer to "what do you hold on me": everything on one contact person (GDPR article 15).
//!
//! Invariant: what it reads is logged as one reading of one person.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::contact_person::values_of;
use super::import::allowed;
use super::{ActionError, Desk, Result};
use crate::domain::area::AreaTree;
use crate::domain::contact_person::Field;
use crate::domain::operator::Actor;
use crate::store::contact_person::ContactPerson;
use crate::store::extract::MessageRow;
use crate::store::{self, Session};

/// Everything held on the person with this id, as one JSON document.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn of_person(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<Value> {
    let tree = allowed(session, actor).await?;
    let person = store::contact_person::get(session, id).await?.filter(|person| person.erased_at.is_none());
    let person = person.ok_or(ActionError::NotFound)?;
    let messages = store::extract::messages(session, id).await?;
    gather(desk, session, actor, (&tree, person, messages)).await
}

/// Everything held on a person whom the actor may know all about.
pub(super) async fn gather(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (tree, person, messages): (&AreaTree, ContactPerson, Vec<MessageRow>),
) -> Result<Value> {
    let id = person.id.as_str();
    let values = values_of(&person, tree);
    let fields: serde_json::Map<String, Value> =
        Field::ALL.into_iter().map(|field| (field.name().to_owned(), json!(values[field]))).collect();
    let observations = store::extract::observations(session, id).await?;
    let replies = store::reply::of_person(session, id).await?;
    let confirmed = store::spread::of_person(session, id).await?;
    let mail = store::extract::mail(session, id).await?;
    let health = store::channel_health::of_person(session, id).await?;
    let log = store::extract::log(session, id).await?;
    let file_rows = store::extract::file_rows(session, id).await?;
    let links = store::own_page::links(session, id, 0).await?;
    let sessions = store::own_page::of_person(session, id).await?;
    let deputy = store::deputy::of(session, id).await?;
    let stands_for = store::deputy::stands_for(session, id).await?;
    let stand_ins = store::deputy::of_person(session, id).await?;
    let phone_calls = store::phone_call::of_person(session, id).await?;
    desk.audit(session, actor, "contact_person.extracted", ("contact_person", id), json!({ "persons": 1 })).await?;
    Ok(json!({
        "contact_person": {
            "id": person.id,
            "fields": fields,
            "area": person.area_code,
            "paused_until": time(person.paused_until_at),
            "opt_outs": {
                "sms": { "at": time(person.alerts_opt_out_at), "source": person.alerts_opt_out_source },
                "email": { "at": time(person.letters_opt_out_at), "source": person.letters_opt_out_source },
            },
            "import_id": person.import_id,
            "created_at": time(Some(person.created_at)),
            "updated_at": time(Some(person.updated_at)),
        },
        "messages": messages.into_iter().map(|row| json!({
            "message_id": row.message_id,
            "kind": row.kind,
            "text": row.body,
            "created_at": time(Some(row.created_at)),
            "channel": row.channel,
            "not_reached": row.not_reached,
            "delivery_id": row.delivery_id.map(|id| id.to_string()),
            "address": row.address,
            "state": row.state,
            "reason": row.reason,
            "attempts": row.attempts,
            "final_at": time(row.final_at),
        })).collect::<Vec<_>>(),
        "observations": observations.into_iter().map(|row| json!({
            "id": row.id,
            "channel": row.channel,
            "sender": row.sender,
            "kind": row.kind,
            "text": row.text,
            "state": row.state,
            "place": row.place,
            "message_id": row.message_id,
            "received_at": time(Some(row.received_at)),
        })).collect::<Vec<_>>(),
        "replies": replies.into_iter().map(|row| json!({
            "observation_id": row.observation_id,
            "kind": row.kind,
            "channel": row.channel,
            "text": row.body,
            "state": row.state,
            "created_at": time(Some(row.created_at)),
        })).collect::<Vec<_>>(),
        "spread_confirmations": confirmed.into_iter().map(|row| json!({
            "alert_id": row.message_id,
            "households": row.households,
            "source": row.source,
            "at": time(Some(row.confirmed_at)),
        })).collect::<Vec<_>>(),
        "channel_health": health.into_iter().map(|row| json!({
            "channel": row.channel,
            "delivered": row.delivered,
            "undelivered": row.undelivered,
            "hard": row.hard,
            "soft": row.soft,
            "ours": row.ours,
            "delivered_at": time(row.delivered_at),
            "undelivered_at": time(row.undelivered_at),
            "reason": row.reason,
        })).collect::<Vec<_>>(),
        "email_unusable": person.email_unusable_at.map(|at| json!({
            "address": person.email_unusable, "at": time(Some(at)), "reason": person.email_unusable_reason,
        })),
        "mail": mail.into_iter().map(|row| json!({
            "id": row.id,
            "received_at": time(Some(row.received_at)),
            "kind": row.kind,
            "verdict": row.verdict,
            "delivery_id": row.delivery_id.map(|id| id.to_string()),
            "code": row.code,
            "sender": row.sender,
            "subject": row.subject,
            "diagnostic": row.diagnostic,
        })).collect::<Vec<_>>(),
        "file_rows": file_rows.into_iter().map(|row| json!({
            "import_id": row.import_id,
            "imported_at": time(Some(row.created_at)),
            "row": row.number,
            "action": row.action,
            "item": serde_json::from_str::<Value>(&row.item).unwrap_or(Value::Null),
        })).collect::<Vec<_>>(),
        "own_page_links": links.into_iter().map(|row| json!({
            "created_at": time(Some(row.created_at)), "asked_by": row.asked_by, "used_at": time(row.used_at),
        })).collect::<Vec<_>>(),
        "own_page_sessions": sessions.into_iter().map(|row| json!({
            "created_at": time(Some(row.created_at)),
            "seen_at": time(Some(row.seen_at)),
            "expires_at": time(Some(row.expires_at)),
        })).collect::<Vec<_>>(),
        "deputy": deputy.map(|one| json!({ "id": one.contact_person_id, "set_by": one.set_by, "at": time(Some(one.set_at)) })),
        "stands_in_for": stands_for.into_iter().map(|(id, _)| json!({ "id": id })).collect::<Vec<_>>(),
        "stand_ins": stand_ins.into_iter().map(|(message_id, at)| json!({
            "message_id": message_id, "at": time(Some(at)),
        })).collect::<Vec<_>>(),
        "phone_calls": phone_calls.into_iter().map(|row| json!({
            "at": time(Some(row.called_at)), "outcome": row.outcome, "note": row.note, "called_by": row.called_by,
        })).collect::<Vec<_>>(),
        "log": log.into_iter().map(|row| json!({
            "at": time(Some(row.at)), "actor": row.actor, "action": row.action,
        })).collect::<Vec<_>>(),
    }))
}

fn time(ms: Option<i64>) -> Option<String> {
    ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).map(|at| at.to_string())
}
