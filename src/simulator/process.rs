//! Owns the simulator as a process of its own, so that its journals outlive the daemon that a crash test kills.
//!
//! It reads no configuration file. Invariant: the line on stdout comes after both servers answer.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};

use super::{GatewayBehaviour, GatewayOptions, MailBehaviour, MailSink, MailSinkOptions, SimulatedGateway, WallClock};

/// How the simulator is run as a process.
#[derive(Clone)]
pub struct ProcessOptions {
    /// Where the gateway listens; port 0 = any.
    pub gateway_listen: SocketAddr,
    /// Where the mail sink listens; port 0 = any.
    pub mail_listen: SocketAddr,
    /// File for the messages taken, one JSON object a line.
    pub sms_journal: Option<PathBuf>,
    /// File for the letters taken, one JSON object a line.
    pub mail_journal: Option<PathBuf>,
    /// API user name and password of the gateway.
    pub account: (String, String),
    /// Decides every draw.
    pub seed: u64,
    /// What the gateway does until the control API says otherwise.
    pub gateway: GatewayBehaviour,
    /// What the mail sink does.
    pub mail: MailBehaviour,
    /// Clock of both.
    pub wall_clock: WallClock,
}

impl std::fmt::Debug for ProcessOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessOptions")
            .field("gateway_listen", &self.gateway_listen)
            .field("mail_listen", &self.mail_listen)
            .finish_non_exhaustive()
    }
}

/// Starts both servers, prints `{"gateway", "mail", "sms_journal", "mail_journal"}` as one line on stdout and runs until
/// SIGTERM or Ctrl-C. The control API is `PUT GATEWAY/control/behaviour` and so on.
///
/// # Errors
/// When an address is taken or a journal cannot be opened.
pub async fn run(options: ProcessOptions) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut gateway = GatewayOptions::new(options.wall_clock.clone());
    (gateway.username, gateway.password) = options.account;
    (gateway.seed, gateway.behaviour) = (options.seed, options.gateway);
    gateway.journal_file.clone_from(&options.sms_journal);
    let mut mail = MailSinkOptions::new(options.wall_clock);
    (mail.seed, mail.behaviour) = (options.seed, options.mail);
    mail.journal_file.clone_from(&options.mail_journal);
    let gateway = SimulatedGateway::start(options.gateway_listen, gateway).await?;
    let mail = MailSink::start(options.mail_listen, mail).await?;
    let line = json!({
        "gateway": gateway.base_url(),
        "mail": mail.url(),
        "sms_journal": options.sms_journal,
        "mail_journal": options.mail_journal,
    });
    let mut stdout = tokio::io::stdout();
    stdout.write_all(format!("{line}\n").as_bytes()).await?;
    stdout.flush().await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    gateway.shut_down().await;
    mail.shut_down().await;
    Ok(())
}
