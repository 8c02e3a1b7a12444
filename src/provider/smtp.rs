//! Owns the mail relay: a bounded pool of sessions, and what each way of failing means for one letter.
//!
//! It does not look up MX records or talk to recipients' servers: the relay does. Invariant: a letter is in doubt exactly
//! when its final dot was written and no reply came; at every earlier failure the relay does not have it.

mod relay_url;
mod session;
mod wire;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;
use tokio::sync::Semaphore;

use self::relay_url::{RelayUrl, percent_decode};
use self::session::{Failure, Session, SessionSettings, Stage};
use self::wire::Reply;
pub(super) use self::wire::{Endpoint, Wire};
use super::dkim::Signer;
use super::mail_message::{self, ComposeError, Composed, OutgoingMail};
use super::{Accepted, HandOverError, Reason, SetupError, http};
use crate::config;

/// How long an unused session is kept: long enough for a lane at its own pace, too short for the relay to hang up first.
const IDLE_LIMIT: Duration = Duration::from_secs(4);

/// The mail relay. Clones share the pool.
#[derive(Debug, Clone)]
pub struct MailRelay(Arc<Relay>);

#[derive(Debug)]
struct Relay {
    settings: SessionSettings,
    signer: Option<Signer>,
    letters_per_session: u32,
    turns: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    session: Session,
    since: Instant,
}

impl MailRelay {
    /// The relay as configured; opens no connection. `egress_proxy` (an `http://` URL) is used unless `mail.url` says
    /// `?proxy=none`.
    ///
    /// # Errors
    /// [`SetupError`] names the key of `[mail]` that cannot be used, the signing key included.
    pub fn new(config: &config::Mail, egress_proxy: &str) -> Result<Self, SetupError> {
        Self::trusting(config, egress_proxy, &[])
    }

    /// As [`MailRelay::new`], believing in `roots` besides the system's certificates.
    ///
    /// # Errors
    /// As [`MailRelay::new`].
    pub fn trusting(
        config: &config::Mail,
        egress_proxy: &str,
        roots: &[CertificateDer<'static>],
    ) -> Result<Self, SetupError> {
        let url = RelayUrl::read(config)?;
        let proxy = if url.direct { None } else { read_proxy(egress_proxy)? };
        let settings = SessionSettings {
            endpoint: Endpoint { host: url.host.clone(), port: url.port, proxy },
            url,
            tls: tls_config(roots)?,
            answer_limit: Duration::from_secs(config.timeout_seconds),
            final_dot_limit: Duration::from_secs(config.final_dot_timeout_seconds),
        };
        Ok(Self(Arc::new(Relay {
            settings,
            signer: Signer::new(config)?,
            letters_per_session: config.messages_per_connection,
            turns: Semaphore::new(usize::try_from(config.concurrency).unwrap_or(1)),
            idle: Mutex::default(),
        })))
    }

    /// The bytes that [`MailRelay::send`] puts on the wire, for a preview.
    ///
    /// # Errors
    /// [`ComposeError`] names the field that cannot be sent.
    pub fn compose(&self, mail: &OutgoingMail) -> Result<Composed, ComposeError> {
        mail_message::compose(mail, self.0.signer.as_ref())
    }

    /// Hands one letter to the relay, once. Waits for its turn when all sessions are busy.
    ///
    /// # Errors
    /// [`HandOverError`] says what happened and what comes next.
    pub async fn send(&self, mail: &OutgoingMail) -> Result<Accepted, HandOverError> {
        let letter = self.compose(mail)?;
        let Ok(_turn) = self.0.turns.acquire().await else {
            return Err(retry("relay.closed", None, true));
        };
        loop {
            let idle = self.0.take_idle();
            let reused = idle.is_some();
            let mut session = match idle {
                Some(session) => session,
                None => Session::open(&self.0.settings).await.map_err(outcome)?,
            };
            match session.submit(&letter).await {
                Ok(reply) => {
                    put_back(&self.0, session);
                    return Ok(Accepted { gateway_ref: super::one_line(&reply.text()), parts: None });
                }
                // The relay had hung up on an idle session and knows nothing of this letter.
                Err(failure) if reused && was_stale(&failure) => {}
                Err(failure) => {
                    if can_go_on(&failure) && session.reset().await.is_ok() {
                        put_back(&self.0, session);
                    }
                    return Err(outcome(failure));
                }
            }
        }
    }

    /// Says good-bye on every session that waits for a letter; later letters open new ones.
    pub async fn close(&self) {
        let idle = std::mem::take(&mut *self.0.lock_idle());
        for Idle { session, .. } in idle {
            session.quit().await;
        }
    }

    /// Sessions that wait for a letter.
    #[must_use]
    pub fn idle_sessions(&self) -> usize {
        self.0.lock_idle().len()
    }
}

impl Relay {
    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Session> {
        let idle = self.lock_idle().pop()?;
        (idle.since.elapsed() < IDLE_LIMIT).then_some(idle.session)
    }

    fn take_expired(&self) -> Vec<Session> {
        let mut idle = self.lock_idle();
        let expired = idle.iter().take_while(|idle| idle.since.elapsed() >= IDLE_LIMIT).count();
        idle.drain(..expired).map(|idle| idle.session).collect()
    }
}

fn put_back(relay: &Arc<Relay>, session: Session) {
    if session.carried >= relay.letters_per_session {
        tokio::spawn(session.quit());
        return;
    }
    let mut idle = relay.lock_idle();
    idle.push(Idle { session, since: Instant::now() });
    if idle.len() == 1 {
        tokio::spawn(close_idle(Arc::downgrade(relay)));
    }
}

/// Says good-bye to sessions nobody needed for a while; ends with the last of them.
async fn close_idle(relay: Weak<Relay>) {
    loop {
        tokio::time::sleep(IDLE_LIMIT / 4).await;
        let Some(relay) = relay.upgrade() else { return };
        for session in relay.take_expired() {
            session.quit().await;
        }
        if relay.lock_idle().is_empty() {
            return;
        }
    }
}

fn was_stale(failure: &Failure) -> bool {
    match failure {
        Failure::Lost(stage, code) => {
            matches!(stage, Stage::Sender | Stage::Recipient) && *code == "relay.connection_lost"
        }
        Failure::Refused(stage, reply) => *stage == Stage::Sender && reply.code == 421,
        _ => false,
    }
}

fn can_go_on(failure: &Failure) -> bool {
    match failure {
        Failure::Refused(_, reply) => reply.code != 421,
        Failure::LetterUnfit(_) => true,
        _ => false,
    }
}

/// What a failure means for the letter.
fn outcome(failure: Failure) -> HandOverError {
    match failure {
        Failure::Lost(Stage::FinalDot, code) => HandOverError::InDoubt { reason: Reason::new(code) },
        Failure::Lost(_, code) => retry(code, None, true),
        Failure::Unfit(code) => HandOverError::Misconfigured { reason: Reason::new(code) },
        Failure::LetterUnfit(code) => HandOverError::Rejected { reason: Reason::new(code) },
        Failure::Refused(stage, reply) if reply.code < 500 => {
            let about_recipient = matches!(stage, Stage::Recipient | Stage::Data | Stage::FinalDot);
            if about_recipient && reply.code != 421 {
                retry("relay.deferred", Some(&reply), false)
            } else {
                retry("relay.busy", Some(&reply), true)
            }
        }
        Failure::Refused(stage, reply) => refused(stage, &reply),
    }
}

/// What a 5xx means: before the envelope it is about us, at MAIL about our sender, from RCPT on about this recipient.
fn refused(stage: Stage, reply: &Reply) -> HandOverError {
    let reason = |code| Reason::with_detail(code, &reply.text());
    let too_large = reply.code == 552 || reply.enhanced() == Some("5.3.4");
    match stage {
        _ if matches!(reply.code, 530 | 534 | 535 | 538) => {
            HandOverError::Misconfigured { reason: reason("relay.unauthorized") }
        }
        Stage::Login => HandOverError::Misconfigured { reason: reason("relay.unauthorized") },
        Stage::Sender if too_large => HandOverError::Rejected { reason: reason("relay.too_large") },
        Stage::Sender => HandOverError::Misconfigured { reason: reason("relay.sender_refused") },
        Stage::Recipient | Stage::Data | Stage::Body | Stage::FinalDot => {
            HandOverError::Rejected { reason: reason(refusal_code(reply)) }
        }
        Stage::Connect | Stage::Tls | Stage::Greeting | Stage::Hello | Stage::Reset => {
            retry("relay.refuses_us", Some(reply), true)
        }
    }
}

/// The code table of refusals by enhanced code (RFC 3463); the text may contradict it, so both are kept.
const REFUSALS: &[(&str, &str)] = &[
    ("5.1.", "relay.address_unknown"),
    ("5.2.1", "relay.address_unknown"),
    ("5.2.2", "relay.mailbox_full"),
    ("5.2.3", "relay.too_large"),
    ("5.3.4", "relay.too_large"),
    ("5.4.", "relay.domain_unreachable"),
    ("5.6.", "relay.content_refused"),
    ("5.7.", "relay.policy"),
];

fn refusal_code(reply: &Reply) -> &'static str {
    let enhanced = reply.enhanced().unwrap_or_default();
    match REFUSALS.iter().find(|(prefix, _)| !enhanced.is_empty() && enhanced.starts_with(prefix)) {
        Some((_, code)) => code,
        None if reply.code == 552 => "relay.too_large",
        None => "relay.rejected",
    }
}

fn retry(code: &'static str, reply: Option<&Reply>, provider_down: bool) -> HandOverError {
    let reason = reply.map_or_else(|| Reason::new(code), |reply| Reason::with_detail(code, &reply.text()));
    HandOverError::Retry { after: None, reason, provider_down }
}

pub(super) fn tls_config(roots: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, SetupError> {
    http::install_tls_provider();
    let unusable = |error: rustls::Error| SetupError::new("mail.tls_unusable", &format!("mail.url: TLS: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots.iter().cloned(), Arc::clone(&provider)).map_err(unusable)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Host, port and login of an HTTP proxy.
pub(super) fn read_proxy(url: &str) -> Result<Option<(String, u16, Option<String>)>, SetupError> {
    if url.is_empty() {
        return Ok(None);
    }
    let unusable = || {
        SetupError::new(
            "mail.proxy_unusable",
            "server.egress_proxy: mail and SMPP can go through http://HOST:PORT only",
        )
    };
    let url = url::Url::parse(url).ok().filter(|url| url.scheme() == "http").ok_or_else(unusable)?;
    let host = url.host_str().ok_or_else(unusable)?.trim_matches(['[', ']']).to_owned();
    let login = (!url.username().is_empty()).then(|| {
        let pair = format!("{}:{}", percent_decode(url.username()), percent_decode(url.password().unwrap_or_default()));
        format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()))
    });
    Ok(Some((host, url.port_or_known_default().unwrap_or(80), login)))
}

#[cfg(test)]
mod tests;
