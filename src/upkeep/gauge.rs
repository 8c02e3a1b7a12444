//! Owns the gauges that are counted from the database every few seconds.

use std::time::Instant;

use super::Upkeep;
use crate::domain::delivery::Channel;
use crate::domain::message::priority;
use crate::store::{self, StoreError};

const DAY_MS: f64 = 24.0 * 3_600_000.0;
/// It rests for so many times as long as it looked: what waits is counted row by row, and that may be millions.
const RESTS: u32 = 20;

/// Sets the gauges, and rests.
pub(super) async fn round(upkeep: Upkeep) -> Result<(), StoreError> {
    let begun = Instant::now();
    set(&upkeep).await?;
    let _ = upkeep.stop.run_until_cancelled(tokio::time::sleep(begun.elapsed() * RESTS)).await;
    Ok(())
}

async fn set(upkeep: &Upkeep) -> Result<(), StoreError> {
    let now = upkeep.clock.now_ms();
    let mut session = upkeep.store.read().await?;
    let depths = store::queue::depths(&mut session, now).await?;
    let (in_doubt, overdue) = store::queue::open_figures(&mut session, now).await?;
    for channel in [Channel::Sms, Channel::Email] {
        let mut oldest = 0.0_f64;
        for priority in priority::ALL {
            let depth = depths.iter().find(|depth| depth.channel == channel.code() && depth.priority == priority);
            let deliveries = depth.map_or(0, |depth| depth.deliveries);
            let at = depth.and_then(|depth| depth.oldest_at).unwrap_or(now);
            #[expect(clippy::cast_precision_loss, reason = "a gauge")]
            let (deliveries, age) = (deliveries as f64, (now - at).max(0) as f64 / 1000.0);
            oldest = oldest.max(age);
            metrics::gauge!("grannpost_queue_depth", "channel" => channel.code(), "priority" => priority.to_string())
                .set(deliveries);
        }
        metrics::gauge!("grannpost_queue_oldest_seconds", "channel" => channel.code()).set(oldest);
    }
    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    let (in_doubt, overdue) = (in_doubt as f64, overdue as f64);
    metrics::gauge!("grannpost_in_doubt").set(in_doubt);
    metrics::gauge!("grannpost_leases_overdue").set(overdue);
    let inbox = store::observation::figures(&mut session, "", (now, now)).await?;
    let urgent = store::observation::untaken(&mut session, (now - 24 * 3_600_000, now), false, 1_000).await?.len();
    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    let (unanswered, overdue, urgent) = (inbox.unanswered as f64, inbox.overdue as f64, urgent as f64);
    metrics::gauge!("grannpost_observations_unanswered").set(unanswered);
    metrics::gauge!("grannpost_observations_overdue").set(overdue);
    metrics::gauge!("grannpost_observations_urgent").set(urgent);
    let (unread, in_tray) = store::inbound_mail::waiting(&mut session).await?;
    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    let (unread, in_tray) = (unread as f64, in_tray as f64);
    metrics::gauge!("grannpost_mail_unread").set(unread);
    metrics::gauge!("grannpost_mail_tray").set(in_tray);
    for (area, sent_at) in store::letter::last_sent(&mut session).await? {
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        let days = (now - sent_at).max(0) as f64 / DAY_MS;
        metrics::gauge!("grannpost_days_since_letter", "area" => area).set(days);
    }
    Ok(())
}
