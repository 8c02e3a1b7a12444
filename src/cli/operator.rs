//! Owns `operator`.

use serde_json::json;

use super::{Outcome, actor, open, say, say_json};
use crate::actions::operator::{self, Invited, NewOperator};
use crate::config::Loaded;
use crate::store;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Lägg till en handläggare; en engångslänk för inloggning skrivs ut.
    Add {
        /// Namn.
        #[arg(long)]
        name: String,
        /// E-postadress.
        #[arg(long)]
        email: String,
        /// operator, chief, officer, admin eller auditor.
        #[arg(long)]
        role: String,
        /// Områdeskod; utan den gäller rollen hela polisområdet.
        #[arg(long, default_value = "")]
        area: String,
    },
    /// Visa handläggarna.
    List,
    /// Stäng av en handläggare.
    Disable {
        /// Id eller e-postadress.
        operator: String,
    },
    /// Ge en handläggare en ny engångslänk.
    Reset {
        /// Id eller e-postadress.
        operator: String,
    },
}

pub(super) async fn run(args: Args, loaded: Loaded, as_json: bool) -> Outcome {
    let desk = open(loaded).await?;
    let cli = actor(&desk).await?;
    let mut session = desk.store.begin().await?;
    match args {
        Args::Add { name, email, role, area } => {
            let new = NewOperator { name, email, role, area };
            let invited = operator::add(&desk, &mut session, &cli, &new).await?;
            session.commit().await?;
            show_link(&invited, as_json);
        }
        Args::Reset { operator } => {
            let invited = operator::reset(&desk, &mut session, &cli, &operator).await?;
            session.commit().await?;
            show_link(&invited, as_json);
        }
        Args::Disable { operator } => {
            operator::disable(&desk, &mut session, &cli, &operator).await?;
            session.commit().await?;
            say("Handläggaren är avstängd.");
        }
        Args::List => list(&store::operator::list(&mut session).await?, as_json),
    }
    Ok(())
}

fn list(operators: &[store::operator::Operator], as_json: bool) {
    if as_json {
        let rows: Vec<_> = operators
            .iter()
            .map(|o| {
                json!({ "id": o.id, "name": o.name, "email": o.email, "role": o.role, "area": o.area_code,
                "disabled": o.disabled_at.is_some() })
            })
            .collect();
        return say_json(&json!({ "items": rows }));
    }
    for operator in operators {
        let state = if operator.disabled_at.is_some() { "avstängd" } else { "aktiv" };
        say(&format!(
            "{}  {state:<8}  {:<8}  {:<20}  {} <{}>",
            operator.id, operator.role, operator.area_code, operator.name, operator.email
        ));
    }
}

fn show_link(invited: &Invited, as_json: bool) {
    if as_json {
        say_json(&json!({ "id": invited.operator.id, "link": invited.link }));
    } else {
        say(&invited.link);
    }
}
