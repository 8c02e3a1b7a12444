//! Owns `serve`: the daemon until it is told to stop.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Outcome, say};
use crate::ambient::Clock;
use crate::app::{self, Daemon};
use crate::config::Loaded;
use crate::domain::daemon_role::Roles;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Vägra att starta om databasändringar väntar, i stället för att lägga på dem.
    #[arg(long)]
    no_migrate: bool,
    /// Vad den här processen gör, åtskilt med komman: web (sidor, API), dispatch (utskick), inbound (det som kommer in), upkeep (underhåll).
    #[arg(long, value_name = "ROLLER", default_value_t = Roles::ALL, value_parser = Roles::parse)]
    roles: Roles,
}

pub(super) async fn run(args: &Args, loaded: Loaded) -> Outcome {
    let desk = app::open(Arc::new(loaded.config), Clock::System, !args.no_migrate).await?;
    // Before anything is under way: a signal that nobody listens to ends the process at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut daemon = Daemon::start_as(&desk, args.roles).await?;
    let address = daemon.listen().await?;
    say(&format!("listening on http://{address}"));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: no new claims, work in flight is settled");
    tokio::select! {
        ended = daemon.stop() => {
            if !ended {
                // A mail server may take ten minutes after the last dot; the next start finds such a letter in doubt.
                tracing::warn!("work in flight did not settle in time; it is found again at the next start");
            }
            Ok(())
        }
        _ = terminate.recv() => Err(Failure::Failed(anyhow::anyhow!("stopped at once by a second signal"))),
        _ = interrupt.recv() => Err(Failure::Failed(anyhow::anyhow!("stopped at once by a second signal"))),
    }
}
