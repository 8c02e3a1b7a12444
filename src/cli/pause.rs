//! Owns `pause` and `resume`.

use std::sync::Arc;

use super::{Failure, Outcome, actor, open, say};
use crate::actions::{ActionError, pause as action};
use crate::app;
use crate::config::Loaded;
use crate::inbound::restored::{self, Without};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Varför; visas för den som släpper på utskicken igen.
    #[arg(long, default_value = "cli")]
    reason: String,
}

pub(super) async fn pause(args: &Args, loaded: Loaded) -> Outcome {
    let desk = open(loaded).await?;
    let cli = actor(&desk).await?;
    let mut session = desk.store.begin().await?;
    action::pause(&desk, &mut session, &cli, &args.reason).await?;
    session.commit().await?;
    say("Alla utskick är stoppade. Släpp på dem igen med grannpost resume.");
    Ok(())
}

#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// Efter en återläsning: släpp på fast journalen över avanmälningar och raderingar saknas. Står i loggen.
    #[arg(long)]
    without_journal: bool,
    /// Efter en återläsning: släpp på fast sms-tjänstens historik inte går att läsa. Står i loggen.
    #[arg(long)]
    without_history: bool,
}

pub(super) async fn resume(args: &ResumeArgs, loaded: Loaded) -> Outcome {
    let desk = open(loaded).await?;
    let cli = actor(&desk).await?;
    let hooks = Arc::new(app::gateway_hooks(&desk.config)?);
    let without = Without { journal: args.without_journal, history: args.without_history };
    let caught_up = restored::catch_up(&desk, &hooks, &cli, without).await.map_err(with_the_way_out)?;
    if let Some(caught_up) = caught_up {
        say(&caught_up.words());
    }
    let mut session = desk.store.begin().await?;
    let reason = action::resume(&desk, &mut session, &cli).await?;
    session.commit().await?;
    match reason {
        Some(reason) => say(&format!("Utskicken går igen. De var stoppade: {reason}.")),
        None => say("Utskicken var inte stoppade. Gateways som hade stannat prövas igen."),
    }
    Ok(())
}

/// Says how it is done all the same.
fn with_the_way_out(error: ActionError) -> Failure {
    let flag = match &error {
        ActionError::Conflict { code: "restored.history_unread", .. } => "--without-history",
        ActionError::Conflict { code: "restored.journal_missing" | "restored.journal_broken", .. } => {
            "--without-journal"
        }
        _ => return error.into(),
    };
    let ActionError::Conflict { detail, .. } = error else { return error.into() };
    Failure::Failed(anyhow::anyhow!("{detail} (grannpost resume {flag})"))
}
