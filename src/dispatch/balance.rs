//! Owns the watch over the credit at a gateway: without credit nothing goes, and the warning must come before that.
//!
//! It stops nothing; the gateway's own refusal does that. Invariant: a low balance is logged once until it has been
//! above its limit again.

use std::time::Duration;

use super::Engine;
use crate::config::Gateway;
use crate::provider::{Balance, LookUpError, SmsGateway};
use crate::store;

const EVERY: Duration = Duration::from_secs(60);

/// Asks for a gateway's balance every minute until the engine stops.
pub async fn run(engine: Engine, name: String, config: Gateway, gateway: SmsGateway) {
    let mut alarm = LowAlarm::default();
    let stop = engine.stop.clone();
    loop {
        // Only the asking is cut short: what writes ends what it has begun.
        let Some(balance) = stop.run_until_cancelled(gateway.balance()).await else { return };
        note(&engine, (&name, &config), balance, &mut alarm).await;
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

async fn note(
    engine: &Engine,
    (name, config): (&str, &Gateway),
    balance: Result<Balance, LookUpError>,
    alarm: &mut LowAlarm,
) {
    let amount = match balance {
        Ok(balance) => balance.amount,
        Err(error) => {
            tracing::warn!(gateway = name, code = error.code(), "the credit balance could not be read");
            return;
        }
    };
    metrics::gauge!("grannpost_gateway_balance", "gateway" => name.to_owned()).set(amount);
    if alarm.rings_at(amount, config.low_balance) {
        tracing::error!(gateway = name, balance = amount, limit = config.low_balance, "the credit balance is low");
    }
    if let Err(error) = put(engine, name, amount).await {
        tracing::warn!(gateway = name, code = error.code(), "the credit balance could not be written");
    }
}

async fn put(engine: &Engine, name: &str, amount: f64) -> store::Result<()> {
    let mut session = engine.store.begin_dispatch().await?;
    store::gateway::put_balance(&mut session, name, format!("{amount:.2}"), engine.clock.now_ms()).await?;
    session.commit().await
}

/// Rings when a balance falls below its limit, once.
#[derive(Debug, Default)]
struct LowAlarm {
    is_low: bool,
}

impl LowAlarm {
    fn rings_at(&mut self, amount: f64, limit: f64) -> bool {
        let was_low = std::mem::replace(&mut self.is_low, amount < limit);
        self.is_low && !was_low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_balance_rings_once_until_it_was_above_again() {
        let mut alarm = LowAlarm::default();
        let rings: Vec<bool> =
            [600.0, 499.0, 400.0, 500.0, 10.0, 0.0].into_iter().map(|amount| alarm.rings_at(amount, 500.0)).collect();
        assert_eq!(rings, [false, true, false, false, true, false]);
    }
}
