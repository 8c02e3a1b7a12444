//! Owns `retention`: shows what is disposed of today, and does it when asked to.

use clap::Args as ClapArgs;
use serde_json::json;

use super::{Outcome, actor, open, say, say_json};
use crate::actions::{ActionError, retention};
use crate::config::Loaded;
use crate::web::pages::retention::words;

/// Arguments.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Gallra nu, i stället för när dygnet är slut.
    #[arg(long)]
    remove: bool,
}

pub(super) async fn run(args: &Args, loaded: Loaded, as_json: bool) -> Outcome {
    let desk = open(loaded).await?;
    if args.remove {
        let removed = retention::run(&desk, || true).await?;
        if as_json {
            let rows = removed.iter().map(|(rule, things)| json!({ "rule": rule.code(), "removed": things }));
            say_json(&json!({ "removed": rows.collect::<Vec<_>>() }));
            return Ok(());
        }
        for (rule, things) in &removed {
            say(&format!("{}: {things} gallrade", words(*rule).0));
        }
        if removed.is_empty() {
            say("Inget att gallra under de regler som har ett beslut.");
        }
        return Ok(());
    }
    let cli = actor(&desk).await?;
    let mut session = desk.store.read().await.map_err(ActionError::from)?;
    let standings = retention::look(&desk, &mut session, &cli).await?;
    if as_json {
        let row = |one: &retention::Standing| json!({ "rule": one.rule.code(), "decision": one.decision, "days": one.days, "from_year_end": one.from_year_end, "waiting": one.waiting });
        say_json(&json!({ "rules": standings.iter().map(row).collect::<Vec<_>>() }));
        return Ok(());
    }
    for one in &standings {
        let decision = if one.decision.is_empty() { "avstängd, inget beslut" } else { &one.decision };
        say(&format!("{}: {} att gallra ({} dagar; {decision})", words(one.rule).0, one.waiting, one.days));
    }
    Ok(())
}
