//! Owns the mailbox that is read over IMAP (RFC 3501) with its news (RFC 2177): which mails are new, and their octets in pieces.
//!
//! It keeps nothing; `inbound` does. Invariants: a mail is marked as taken only when the caller says so; its octets come in
//! pieces, so that a long one takes no more memory than a short one; a password in the clear goes to this machine only.

use std::future::Future;
use std::time::Duration;

use async_imap::Session;
use async_imap::types::{Flag, UnsolicitedResponse};
use futures_util::TryStreamExt as _;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::MailboxAddress;

/// Longest wait for one answer: a minute.
const LIMIT: Duration = Duration::from_secs(60);
/// Mark of what is taken, where the server lets us have one of our own: people may read the mailbox too.
const TAKEN: &str = "$GrannpostTaken";

trait Wire: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug> Wire for T {}

/// Why a mailbox cannot be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// Out of reach, or gone in the middle.
    #[error("the mailbox is out of reach")]
    Unreachable,
    /// It does not let us in.
    #[error("the mailbox refuses the login")]
    Refused,
    /// It answered what we cannot use.
    #[error("the mailbox refuses a command")]
    Unusable,
}

impl MailboxError {
    /// Stable code, safe to log.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "mailbox.unreachable",
            Self::Refused => "mailbox.refused",
            Self::Unusable => "mailbox.unusable",
        }
    }
}

impl From<async_imap::error::Error> for MailboxError {
    fn from(error: async_imap::error::Error) -> Self {
        use async_imap::error::Error;
        match error {
            Error::Io(_) | Error::ConnectionLost => Self::Unreachable,
            _ => Self::Unusable,
        }
    }
}

/// An open mailbox.
#[derive(Debug)]
pub struct OpenMailbox {
    session: Session<Box<dyn Wire>>,
    has_marks: bool,
    has_news: bool,
    /// Whether one mail can be removed without all that others have marked (RFC 4315).
    removes_one: bool,
}

impl OpenMailbox {
    /// Opens a mailbox.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn open(address: &MailboxAddress) -> Result<Self, MailboxError> {
        let connected = within(async { Ok(TcpStream::connect((address.host.as_str(), address.port)).await) }).await?;
        let stream = connected.map_err(|_| MailboxError::Unreachable)?;
        let wire: Box<dyn Wire> = if address.is_tls {
            let config = super::smtp::tls_config(&[]).map_err(|_| MailboxError::Unusable)?;
            let name = ServerName::try_from(address.host.clone()).map_err(|_| MailboxError::Unusable)?;
            let encrypted = within(async { Ok(TlsConnector::from(config).connect(name, stream).await) }).await?;
            Box::new(encrypted.map_err(|_| MailboxError::Unreachable)?)
        } else {
            Box::new(stream)
        };
        let mut client = async_imap::Client::new(wire);
        let greeting = within(async { Ok(client.read_response().await) }).await?;
        greeting.ok().flatten().ok_or(MailboxError::Unreachable)?;
        let login = client.login(&address.login, address.password.expose());
        let mut session = within(async { Ok(login.await) }).await?.map_err(|_| MailboxError::Refused)?;
        let capabilities = within(session.capabilities()).await?;
        let mailbox = within(session.select(&address.folder)).await?;
        let has_marks = mailbox.permanent_flags.contains(&Flag::MayCreate);
        let (has_news, removes_one) = (capabilities.has_str("IDLE"), capabilities.has_str("UIDPLUS"));
        Ok(Self { session, has_marks, has_news, removes_one })
    }

    /// The mails that are not taken yet, oldest first.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn untaken(&mut self) -> Result<Vec<u32>, MailboxError> {
        let question =
            if self.has_marks { format!("UNDELETED UNKEYWORD {TAKEN}") } else { "UNDELETED UNSEEN".to_owned() };
        let mut found: Vec<u32> = within(self.session.uid_search(question)).await?.into_iter().collect();
        found.sort_unstable();
        Ok(found)
    }

    /// At most `most` octets of a mail, from the octet `from`; none at its end, and `None` when the mail is not there any more.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn piece(&mut self, uid: u32, (from, most): (u64, usize)) -> Result<Option<Vec<u8>>, MailboxError> {
        let wanted = format!("(BODY.PEEK[]<{from}.{most}>)");
        within(async {
            let answers: Vec<_> = self.session.uid_fetch(uid.to_string(), wanted).await?.try_collect().await?;
            Ok(answers.iter().find_map(|answer| answer.body()).map(<[u8]>::to_vec))
        })
        .await
    }

    /// Marks a mail as taken, or deletes it. Where the server cannot remove one mail alone it is only marked as deleted: what
    /// others have marked is theirs to remove.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn take(&mut self, uid: u32, is_deleted: bool) -> Result<(), MailboxError> {
        let marks = match (is_deleted, self.has_marks) {
            (true, _) => "(\\Deleted)".to_owned(),
            (false, true) => format!("(\\Seen {TAKEN})"),
            (false, false) => "(\\Seen)".to_owned(),
        };
        within(async {
            let marked = self.session.uid_store(uid.to_string(), format!("+FLAGS.SILENT {marks}")).await?;
            marked.try_for_each(|_| async { Ok(()) }).await?;
            if is_deleted && self.removes_one {
                self.session.uid_expunge(uid.to_string()).await?.try_for_each(|_| async { Ok(()) }).await?;
            }
            Ok(())
        })
        .await
    }

    /// Waits for news, at most `limit`.
    ///
    /// # Errors
    /// [`MailboxError`]; the mailbox is closed then.
    pub async fn wait(mut self, limit: Duration) -> Result<Self, MailboxError> {
        // What came while we looked is told with the answer to that question, and not again.
        let mut has_come = false;
        while let Ok(told) = self.session.unsolicited_responses.try_recv() {
            has_come |= matches!(told, UnsolicitedResponse::Exists(_) | UnsolicitedResponse::Recent(_));
        }
        if has_come {
            return Ok(self);
        }
        let (has_marks, has_news, removes_one) = (self.has_marks, self.has_news, self.removes_one);
        if !has_news {
            tokio::time::sleep(limit.min(LIMIT)).await;
            within(self.session.noop()).await?;
            return Ok(self);
        }
        let mut idle = self.session.idle();
        within(idle.init()).await?;
        // A server that only says that it is still there shall not keep us from looking.
        let news = tokio::time::timeout(limit, idle.wait_with_timeout(limit).0).await;
        if let Ok(news) = news {
            news?;
        }
        let session = within(idle.done()).await?;
        Ok(Self { session, has_marks, has_news, removes_one })
    }

    /// Says good-bye.
    pub async fn close(mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(2), self.session.logout()).await;
    }
}

async fn within<T>(answer: impl Future<Output = async_imap::error::Result<T>>) -> Result<T, MailboxError> {
    match tokio::time::timeout(LIMIT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(MailboxError::Unreachable),
    }
}
