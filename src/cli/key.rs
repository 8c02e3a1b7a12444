//! Owns `key`.

use serde_json::json;

use super::{Outcome, actor, open, say, say_json};
use crate::actions::key;
use crate::config::Loaded;
use crate::store;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Skapa en nyckel; den skrivs ut en gång.
    Add {
        /// Vad nyckeln är till.
        #[arg(long)]
        name: String,
        /// operator, chief, officer, admin eller auditor.
        #[arg(long)]
        role: String,
        /// Områdeskod; utan den gäller rollen hela polisområdet.
        #[arg(long, default_value = "")]
        area: String,
    },
    /// Visa nycklarna, utan själva nyckeln.
    List,
    /// Spärra en nyckel.
    Revoke {
        /// Nyckelns id eller namn.
        key: String,
    },
}

pub(super) async fn run(args: Args, loaded: Loaded, as_json: bool) -> Outcome {
    let desk = open(loaded).await?;
    let cli = actor(&desk).await?;
    let mut session = desk.store.begin().await?;
    match args {
        Args::Add { name, role, area } => {
            let new = key::add(&desk, &mut session, &cli, (&name, &role, &area)).await?;
            session.commit().await?;
            if as_json {
                say_json(&json!({ "id": new.key.id, "key": new.secret }));
            } else {
                say(&new.secret);
            }
        }
        Args::List => {
            let keys = store::api_key::list(&mut session).await?;
            if as_json {
                let rows: Vec<_> = keys
                    .iter()
                    .map(|k| json!({ "id": k.id, "name": k.name, "role": k.role, "area": k.area_code, "revoked": k.revoked_at.is_some() }))
                    .collect();
                say_json(&json!({ "items": rows }));
            } else {
                for key in keys {
                    let state = if key.revoked_at.is_some() { "spärrad" } else { "gäller" };
                    say(&format!("{}  {state:<7}  {:<8}  {:<20}  {}", key.id, key.role, key.area_code, key.name));
                }
            }
        }
        Args::Revoke { key } => {
            key::revoke(&desk, &mut session, &cli, &key).await?;
            session.commit().await?;
            say("Nyckeln är spärrad.");
        }
    }
    Ok(())
}
