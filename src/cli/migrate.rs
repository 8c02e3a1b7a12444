//! Owns `migrate`.

use serde_json::json;

use super::{Outcome, say, say_json};
use crate::config::Loaded;
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Visa ändringarna i stället för att lägga på dem.
    #[arg(long)]
    show: bool,
}

pub(super) async fn run(args: &Args, loaded: Loaded, as_json: bool) -> Outcome {
    let database = &loaded.config.database;
    let store = Store::open(database.url.expose(), database.max_connections).await?;
    let applied = if args.show { 0 } else { store.migrate().await? };
    let migrations = store.migrations().await?;
    store.close().await;
    if as_json {
        let rows: Vec<_> = migrations
            .iter()
            .map(|m| json!({ "version": m.version, "description": m.description, "applied": m.applied }))
            .collect();
        say_json(&json!({ "migrations": rows, "applied_now": applied }));
    } else if args.show {
        for migration in migrations {
            let state = if migration.applied { "pålagd" } else { "väntar" };
            say(&format!("{:04}  {state}  {}", migration.version, migration.description));
        }
    } else {
        say(&format!("{applied} databasändringar pålagda, {} totalt", migrations.len()));
    }
    Ok(())
}
