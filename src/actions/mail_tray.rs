//! Owns incoming mail that is nobody's answer, as people see it: the tray of what the program does not understand, and automatic
//! answers; reading it, and putting it aside.
//!
//! It decides nothing about deliveries or addresses. Invariant: who looked at somebody's mail stands in the log.

use serde_json::json;

use super::{ActionError, Desk, Result, require};
use crate::domain::operator::{Actor, Right};
use crate::store::inbound_mail::InboundMail;
use crate::store::{self, Session};

/// Mails shown at once.
const MOST: i64 = 100;
/// A place where people find mail that is nobody's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// What the program does not understand: it waits for people.
    Tray,
    /// What machines answered by themselves, such as that somebody is on holiday: nobody has to read it.
    Automatic,
}

impl Folder {
    const ALL: [Self; 2] = [Self::Tray, Self::Automatic];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Tray => "tray",
            Self::Automatic => "automatic",
        }
    }

    /// The folder with this code; the tray for any other.
    #[must_use]
    pub fn from_code(code: &str) -> Self {
        Self::ALL.into_iter().find(|folder| folder.code() == code).unwrap_or(Self::Tray)
    }
}

/// What lies in a folder, newest first; the look is logged. A mail belongs to no area, so this is for those who have them all.
///
/// # Errors
/// [`ActionError::Forbidden`].
pub async fn list(desk: &Desk, session: &mut Session, actor: &Actor, folder: Folder) -> Result<Vec<InboundMail>> {
    Ok(page(desk, session, actor, folder, ("", MOST)).await?.0)
}

/// A page of a folder after the mail with the id `after`, and the id to go on after; the look is logged.
///
/// # Errors
/// [`ActionError::Forbidden`].
pub async fn page(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    folder: Folder,
    (after, limit): (&str, i64),
) -> Result<(Vec<InboundMail>, Option<String>)> {
    allowed(session, actor).await?;
    let mut mails = store::inbound_mail::page(session, folder.code(), (after, limit + 1)).await?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = mails.len() > shown;
    mails.truncate(shown);
    desk.audit(session, actor, "mail.tray_read", ("mail", ""), json!({ "mails": mails.len() })).await?;
    let next = mails.last().filter(|_| has_more).map(|mail| mail.id.clone());
    Ok((mails, next))
}

/// A mail of a folder and the beginning of its octets; the look is logged.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn open(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<(InboundMail, Vec<u8>)> {
    allowed(session, actor).await?;
    let is_shown = |mail: &InboundMail| Folder::ALL.iter().any(|folder| mail.folder.as_deref() == Some(folder.code()));
    let mail = store::inbound_mail::get(session, id).await?.filter(is_shown);
    let mail = mail.ok_or(ActionError::NotFound)?;
    let raw = store::inbound_mail::octets(&store::inbound_mail::parts(session, id, 1).await?);
    desk.audit(session, actor, "mail.read", ("mail", id), json!({})).await?;
    Ok((mail, raw))
}

/// Puts a mail of the tray aside, and gives it as it is then. Doing it twice changes nothing more.
///
/// # Errors
/// [`ActionError::NotFound`].
pub async fn put_aside(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<InboundMail> {
    allowed(session, actor).await?;
    let is_in_tray = |mail: &InboundMail| mail.folder.as_deref() == Some(Folder::Tray.code());
    let mail = store::inbound_mail::get(session, id).await?.filter(is_in_tray).ok_or(ActionError::NotFound)?;
    let now = desk.now();
    if store::inbound_mail::handle(session, id, &actor.id, now).await? {
        desk.audit(session, actor, "mail.put_aside", ("mail", id), json!({})).await?;
    }
    Ok(InboundMail { handled_at: mail.handled_at.or(Some(now)), ..mail })
}

async fn allowed(session: &mut Session, actor: &Actor) -> Result<()> {
    require(actor, Right::ChangeRegister)?;
    let tree = store::area::tree(session).await?;
    let has_all = tree.root().is_some_and(|root| root.code == actor.area);
    if has_all { Ok(()) } else { Err(ActionError::Forbidden) }
}
