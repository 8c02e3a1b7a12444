//! Owns `verify`: shows what the accounts and the audit chain say.

use serde_json::json;

use super::{Failure, Outcome, open, say, say_json};
use crate::config::Loaded;

pub(super) async fn run(loaded: Loaded, as_json: bool) -> Outcome {
    let desk = open(loaded).await?;
    let report = crate::upkeep::verify::run(&desk.store, &desk.config, &desk.clock).await?;
    if as_json {
        let rows: Vec<_> = report
            .iter()
            .map(|check| json!({ "invariant": check.number, "what": check.what, "ok": check.broken.is_empty(), "broken": check.broken }))
            .collect();
        say_json(&json!({ "ok": report.iter().all(|check| check.broken.is_empty()), "invariants": rows }));
    } else {
        for check in &report {
            say(&format!("{}  {}. {}", if check.broken.is_empty() { "ok " } else { "FEL" }, check.number, check.what));
            for line in &check.broken {
                say(&format!("       {line}"));
            }
        }
    }
    if report.iter().all(|check| check.broken.is_empty()) { Ok(()) } else { Err(Failure::Reported) }
}
