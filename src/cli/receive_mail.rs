//! Owns `receive-mail`: what a mail server pipes in, one mail a call.
//!
//! It reads nothing out of the mail; the daemon does. Invariant: exit code 0 only once the mail is on disk; whatever is in the
//! way, also in the configuration, is 75, so that the mail server keeps the mail and brings it again.

use std::path::Path;
use std::sync::Arc;

use super::{Failure, Outcome};
use crate::ambient::Clock;
use crate::inbound::mail::Spool;
use crate::store::Store;
use crate::{app, config, telemetry};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Kuvertets mottagare, så som e-postservern fick den: bounce+TOKEN@…
    #[arg(long, default_value = "", value_name = "ADRESS")]
    recipient: String,
}

pub(super) async fn run(args: &Args, file: Option<&Path>) -> Outcome {
    keep(args, file).await.map_err(Failure::TryAgain)
}

/// Runs the verb on one thread; whatever goes wrong, a panic too, is a reason to try again and never to bounce the mail.
pub(super) fn on_its_own(run: impl FnOnce() -> Outcome) -> Outcome {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Failure::TryAgain(error) | Failure::Failed(error))) => Err(Failure::TryAgain(error)),
        Ok(Err(Failure::Usage(text))) => Err(Failure::TryAgain(anyhow::anyhow!(text))),
        Ok(Err(Failure::Reported)) | Err(_) => Err(Failure::TryAgain(anyhow::anyhow!("the mail could not be kept"))),
    }
}

async fn keep(args: &Args, file: Option<&Path>) -> anyhow::Result<()> {
    let config = config::load(file)?.config;
    telemetry::init_logs(&config.log);
    let mut spool = Spool::new(&args.recipient, config.mail_in.max_bytes);
    spool.add_all(tokio::io::stdin()).await?;
    let mut store = Store::open(config.database.url.expose(), 1).await?;
    if store.migrations().await?.iter().any(|migration| !migration.applied) {
        store.close().await;
        store = app::open(Arc::new(config), Clock::System, true).await?.store;
    }
    spool.keep(&store, &Clock::System, "pipe").await?;
    store.close().await;
    Ok(())
}
