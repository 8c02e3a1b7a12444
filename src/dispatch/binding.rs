//! Owns the session with an SMPP gateway: bound as long as the daemon hands over, made again with growing waits when it breaks.
//!
//! Every daemon has a session of its own. It hands nothing over. Invariant: no two tries to bind within a second, and no more
//! than one a minute to a gateway that refuses our account, unless somebody has resumed it and a delivery wants it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use super::outlet::Outlet;
use super::retry::BackOff;
use super::sms::SmsCarrier;
use crate::ambient;
use crate::provider::smpp::{BindError, SmppGateway};

/// After a session broke, or could not be made.
const RETRIES: BackOff = BackOff { first: Duration::from_secs(1), most: Duration::from_secs(30) };
/// After our account was refused.
const REFUSED: BackOff = BackOff { first: Duration::from_secs(60), most: Duration::from_secs(600) };
/// Also when somebody waits for it.
const LEAST: Duration = Duration::from_millis(500);

/// Keeps a session with `gateway` until the engine stops; `outlet` is how its health is known, where it is on the route. The
/// session itself stays until what is under way has settled.
pub async fn run(engine: Engine, gateway: SmppGateway, outlet: Option<Arc<Outlet<SmsCarrier>>>, has_alternative: bool) {
    let stop = engine.stop.clone();
    let mut failures = 0;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        let [first_reference] = ambient::random_bytes::<1>();
        let Some(bound) = stop.run_until_cancelled(gateway.bind(first_reference)).await else { return };
        let back_off = match bound {
            Ok(session) => {
                tracing::info!(gateway = gateway.name(), "bound");
                if let Some(outlet) = &outlet {
                    outlet.circuit().reached();
                }
                if stop.run_until_cancelled(session.keep()).await.is_none() {
                    return;
                }
                failures = 0;
                tracing::warn!(gateway = gateway.name(), "the session with the gateway has ended; binding again");
                RETRIES
            }
            Err(error) => {
                tracing::warn!(gateway = gateway.name(), code = error.code(), "no session with the gateway");
                let back_off = if matches!(error, BindError::Refused(_)) { REFUSED } else { RETRIES };
                if let Some(outlet) = &outlet {
                    outlet.circuit().note(&Err(error.for_hand_over()), has_alternative);
                }
                back_off
            }
        };
        failures += 1;
        let wait = back_off.wait(failures, ambient::random_fraction());
        let pause = async {
            let _ = tokio::time::timeout(wait, gateway.wanted()).await;
            tokio::time::sleep_until(begun + LEAST).await;
        };
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}
