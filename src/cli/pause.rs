//! Owns `pause` and `resume`.

use super::{Outcome, actor, open, say};
use crate::actions::pause as action;
use crate::config::Loaded;

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

pub(super) async fn resume(loaded: Loaded) -> Outcome {
    let desk = open(loaded).await?;
    let cli = actor(&desk).await?;
    let mut session = desk.store.begin().await?;
    let reason = action::resume(&desk, &mut session, &cli).await?;
    session.commit().await?;
    match reason {
        Some(reason) => say(&format!("Utskicken går igen. De var stoppade: {reason}.")),
        None => say("Utskicken var inte stoppade. Gateways som hade stannat prövas igen."),
    }
    Ok(())
}
