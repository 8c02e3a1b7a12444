//! Owns `simulate`: the simulator as a process of its own, whose journals outlive a daemon that is killed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Failure, Outcome};
use crate::ambient::Clock;
use crate::simulator::{self, GatewayBehaviour, MailBehaviour, ProcessOptions};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Gatewayens adress.
    #[arg(long, default_value = "127.0.0.1:0")]
    gateway_listen: SocketAddr,
    /// E-postmottagarens adress.
    #[arg(long, default_value = "127.0.0.1:0")]
    mail_listen: SocketAddr,
    /// Fil för mottagna sms, ett JSON-objekt per rad.
    #[arg(long)]
    sms_journal: Option<PathBuf>,
    /// Fil för mottagna brev, ett JSON-objekt per rad.
    #[arg(long)]
    mail_journal: Option<PathBuf>,
    /// Bestämmer alla slumpval.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Gatewayens beteende som JSON.
    #[arg(long, default_value = "{}")]
    gateway: String,
    /// E-postmottagarens beteende som JSON.
    #[arg(long, default_value = "{}")]
    mail: String,
}

pub(super) async fn run(args: Args) -> Outcome {
    let wrong = |name: &str, error: serde_json::Error| Failure::Usage(format!("--{name}: {error}"));
    let gateway: GatewayBehaviour = serde_json::from_str(&args.gateway).map_err(|error| wrong("gateway", error))?;
    let mail: MailBehaviour = serde_json::from_str(&args.mail).map_err(|error| wrong("mail", error))?;
    let clock = Clock::System;
    let options = ProcessOptions {
        gateway_listen: args.gateway_listen,
        mail_listen: args.mail_listen,
        sms_journal: args.sms_journal,
        mail_journal: args.mail_journal,
        account: ("simulator".to_owned(), "simulator".to_owned()),
        seed: args.seed,
        gateway,
        mail,
        wall_clock: Arc::new(move || clock.now()),
    };
    Ok(simulator::run(options).await?)
}
