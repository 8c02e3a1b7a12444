//! Owns making one record of two that are about the same person, and noting that they are about two.
//!
//! It does not find such pairs; `actions::register` does. Invariants: what one of the two has said no to is said no to; the
//! record that goes leaves a pseudonym, so that no figure of the past changes.

use serde_json::json;

use super::contact_person::{Edit, PersonView, held, opt_outs_of, values_of, write};
use super::{ActionError, Desk, Result, require};
use crate::domain::operator::{Actor, Right};
use crate::store::contact_person::ContactPerson as Row;
use crate::store::{self, Session};

/// Makes one record of two: `kept` gets the fields of `edit` and both records' opt-outs and pauses, `gone` is erased. No
/// address is put on the suppression list: the person stays.
///
/// # Errors
/// [`ActionError::NotFound`] when either is not the actor's; a conflict while something is on its way to one of them.
pub async fn merge(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (kept, gone): (&str, &str),
    edit: &Edit,
) -> Result<PersonView> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    if kept == gone {
        return Err(ActionError::NotFound);
    }
    let mut row = held(session, actor, &tree, kept).await?;
    let other = held(session, actor, &tree, gone).await?;
    refuse_while_under_way(session, [kept, gone]).await?;
    let mut values = values_of(&row, &tree);
    for (field, value) in &edit.fields {
        values[*field].clone_from(value);
    }
    take_wishes(&mut row, &other);
    let wishes = Edit { opt_outs: Some(opt_outs_of(&row)), ..Edit::default() };
    let now = desk.now();
    let view = write(desk, session, actor, (row, &values), &wishes).await?;
    store::register::keep(session, kept).await?;
    store::observation::hand_over(session, gone, kept).await?;
    store::deputy::hand_over(session, gone, kept).await?;
    store::phone_call::hand_over(session, gone, kept).await?;
    store::contact_person::erase(session, &other, Some(kept), now).await?;
    store::import::forget_person(session, gone).await?;
    let detail =
        json!({ "gone": gone, "fields": edit.fields.iter().map(|(field, _)| field.name()).collect::<Vec<_>>() });
    desk.audit(session, actor, "contact_person.merged", ("contact_person", kept), detail).await?;
    Ok(view)
}

/// Notes that two records are of two persons: they are not shown as a pair any more.
///
/// # Errors
/// [`ActionError::NotFound`] when either is not the actor's.
pub async fn tell_apart(desk: &Desk, session: &mut Session, actor: &Actor, ids: (&str, &str)) -> Result<()> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    if ids.0 == ids.1 {
        return Err(ActionError::NotFound);
    }
    held(session, actor, &tree, ids.0).await?;
    held(session, actor, &tree, ids.1).await?;
    if store::register::tell_apart(session, [ids.0, ids.1], (&actor.id, desk.now())).await? {
        let detail = json!({ "other": ids.1 });
        desk.audit(session, actor, "contact_person.told_apart", ("contact_person", ids.0), detail).await?;
    }
    Ok(())
}

/// What is on its way to a number would be held back at the gate when its person is gone.
async fn refuse_while_under_way(session: &mut Session, ids: [&str; 2]) -> Result<()> {
    let mut under_way = 0;
    for id in ids {
        under_way += store::register::under_way(session, id).await?;
    }
    if under_way > 0 || super::freezing::holds_people(session).await? {
        let detail = "Ett utskick är på väg till någon av dem. Vänta tills det är klart och försök igen.";
        return Err(ActionError::conflict("contact_person.under_way", detail));
    }
    Ok(())
}

/// The earlier opt-out of each channel, and the longer pause.
fn take_wishes(row: &mut Row, other: &Row) {
    let earlier = |mine: (Option<i64>, Option<String>), theirs: (Option<i64>, Option<String>)| match (mine.0, theirs.0)
    {
        (Some(my_time), Some(their_time)) if their_time < my_time => theirs,
        (None, Some(_)) => theirs,
        _ => mine,
    };
    (row.alerts_opt_out_at, row.alerts_opt_out_source) = earlier(
        (row.alerts_opt_out_at, row.alerts_opt_out_source.take()),
        (other.alerts_opt_out_at, other.alerts_opt_out_source.clone()),
    );
    (row.letters_opt_out_at, row.letters_opt_out_source) = earlier(
        (row.letters_opt_out_at, row.letters_opt_out_source.take()),
        (other.letters_opt_out_at, other.letters_opt_out_source.clone()),
    );
    row.paused_until_at = row.paused_until_at.max(other.paused_until_at);
}
