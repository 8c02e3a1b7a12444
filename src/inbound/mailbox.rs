//! Owns fetching mail from a mailbox, for those whose mail server cannot pipe it in.
//!
//! It reads nothing out of a mail (`mail_reader`). Invariant: a mail is marked as taken there only once it is on disk here; one
//! that is fetched twice is one mail.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::mail::{NotKept, Spool};
use crate::actions::Desk;
use crate::config::{AfterReading, MailboxAddress};
use crate::provider::imap::{MailboxError, OpenMailbox};

/// Octets fetched at once.
const PIECE: usize = 256 * 1024;
/// After a failure, and the longest of those waits.
const AFTER_FAILURE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// How often each mail could not be fetched. One that the server always refuses is asked for last, so that it holds up nobody.
type Refused = BTreeMap<u32, u32>;

/// What stops a round.
enum Stopped {
    Mailbox(MailboxError),
    Kept(NotKept),
}

impl From<MailboxError> for Stopped {
    fn from(error: MailboxError) -> Self {
        Self::Mailbox(error)
    }
}

impl From<NotKept> for Stopped {
    fn from(error: NotKept) -> Self {
        Self::Kept(error)
    }
}

/// Fetches what comes into the mailbox until `stop`.
pub async fn run(desk: Desk, address: MailboxAddress, stop: CancellationToken) {
    let (first, longest) = AFTER_FAILURE;
    let mut pause = first;
    let mut refused = Refused::new();
    loop {
        let mut has_fetched = false;
        let followed = follow(&desk, &address, (&mut has_fetched, &mut refused));
        let Some(stopped) = stop.run_until_cancelled(followed).await else { return };
        metrics::gauge!("grannpost_mailbox_up").set(0.0);
        let code = match stopped {
            Stopped::Mailbox(error) => error.code(),
            Stopped::Kept(error) => error.code(),
        };
        tracing::warn!(code, "the mailbox cannot be read; trying again");
        pause = if has_fetched { first } else { (pause * 2).min(longest) };
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Fetches until something fails.
async fn follow(desk: &Desk, address: &MailboxAddress, (has_fetched, refused): (&mut bool, &mut Refused)) -> Stopped {
    let opened = OpenMailbox::open(address).await;
    let mut mailbox = match opened {
        Ok(mailbox) => mailbox,
        Err(error) => return error.into(),
    };
    loop {
        if let Err(stopped) = fetch(desk, &mut mailbox, refused).await {
            mailbox.close().await;
            return stopped;
        }
        *has_fetched = true;
        metrics::gauge!("grannpost_mailbox_up").set(1.0);
        mailbox = match mailbox.wait(desk.config.mail_in.idle()).await {
            Ok(mailbox) => mailbox,
            Err(error) => return error.into(),
        };
    }
}

async fn fetch(desk: &Desk, mailbox: &mut OpenMailbox, refused: &mut Refused) -> Result<(), Stopped> {
    let settings = &desk.config.mail_in;
    let mut waiting = mailbox.untaken().await?;
    refused.retain(|uid, _| waiting.contains(uid));
    waiting.sort_by_key(|uid| (refused.get(uid).copied().unwrap_or(0), *uid));
    'mails: for uid in waiting {
        // Taken back once it is here.
        *refused.entry(uid).or_default() += 1;
        // The envelope's recipient is not told by IMAP; the headers name it where the server writes them.
        let mut spool = Spool::new("", settings.max_bytes);
        let mut from = 0;
        loop {
            // Somebody else took it away meanwhile: what came of it is no mail.
            let Some(piece) = mailbox.piece(uid, (from, PIECE)).await? else { continue 'mails };
            from += piece.len() as u64;
            spool.add(&piece).map_err(NotKept::from)?;
            if piece.len() < PIECE || from > settings.max_bytes {
                break;
            }
        }
        spool.keep(&desk.store, &desk.clock, "mailbox").await?;
        mailbox.take(uid, settings.imap_after == AfterReading::Delete).await?;
        refused.remove(&uid);
    }
    Ok(())
}
