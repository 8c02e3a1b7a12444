//! Owns `verify`: the six things that must hold (contract section 6), checked from the rows alone.
//!
//! It changes nothing. Invariant: a check that cannot be made is reported as broken, never as fine.

use crate::actions::audit_chain;
use crate::ambient::Clock;
use crate::config::Config;
use crate::store::verify as rows;
use crate::store::{Session, Store, StoreError};

/// One invariant and what breaks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its number in the contract.
    pub number: u8,
    /// What it says, in Swedish.
    pub what: &'static str,
    /// What breaks it; ids only.
    pub broken: Vec<String>,
}

/// Checks all six.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn run(store: &Store, config: &Config, clock: &Clock) -> Result<Vec<Check>, StoreError> {
    let mut session = store.read().await?;
    let grace = i64::from(config.dispatch.lease_seconds).max(5) * 1000;
    let mut chain = audit_chain::walk(&mut session, config).await?.broken;
    chain.extend(all(&mut session, &rows::LOGGED).await?);
    chain.extend(rows::unknown_batches(&mut session).await?);
    let check = |number, what, broken| Check { number, what, broken };
    Ok(vec![
        check(1, "Varje person täcks av en leverans per kanal", all(&mut session, &rows::COVERED_ONCE).await?),
        check(2, "Siffrorna är lika med raderna", all(&mut session, &rows::COUNTS_EQUAL_ROWS).await?),
        check(
            3,
            "Inget försök efter sluttid, stopp eller avregistrering eller före godkännande",
            all(&mut session, &rows::NO_ATTEMPT_TOO_LATE_OR_EARLY).await?,
        ),
        check(4, "Historiken går bara framåt", all(&mut session, &rows::HISTORY_IS_MONOTONE).await?),
        check(5, "Loggkedjan är hel och har allt", chain),
        check(6, "Inget lån är äldre än sin tid", rows::overdue_leases(&mut session, clock.now_ms() - grace).await?),
    ])
}

async fn all(session: &mut Session, statements: &[&'static str]) -> Result<Vec<String>, StoreError> {
    let mut broken = Vec::new();
    for statement in statements {
        broken.extend(rows::lines(session, statement).await?);
    }
    Ok(broken)
}
