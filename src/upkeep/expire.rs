//! Owns what time does to deliveries: what was not handed over in time expires, what no receipt came for is unconfirmed.

use super::Upkeep;
use crate::ambient;
use crate::domain::delivery::{Channel, DeliveryState};
use crate::store::delivery::{self, Locked, Step, Which};
use crate::store::settle::Batch;
use crate::store::{self, StoreError};

const BATCH: i64 = 2_000;
const HOUR_MS: i64 = 3_600_000;
/// Links to own pages are told of in an extract for a week after they ran out.
const LINKS_MS: i64 = 7 * 24 * HOUR_MS;
/// Ids of parts and receipts about unknown ones are kept for eight days: a receipt may come a week late.
const PARTS_MS: i64 = 8 * 24 * HOUR_MS;
/// Answers to idempotency keys are kept for a day.
const IDEMPOTENCY_MS: i64 = 24 * HOUR_MS;

/// Register files that were uploaded and not thrown away are kept for a day.
const IMPORT_DRAFT_MS: i64 = crate::actions::import_draft::KEPT_MS;

/// Ends what has run out of time.
pub(super) async fn round(upkeep: Upkeep) -> Result<(), StoreError> {
    let now = upkeep.clock.now_ms();
    let window = |hours: u32| now - i64::from(hours) * HOUR_MS;
    let sets = [
        Which::Expired(now),
        Which::AcceptedBefore(Channel::Sms, window(upkeep.config.alerts.receipt_window_hours)),
        Which::AcceptedBefore(Channel::Email, window(upkeep.config.letters.receipt_window_hours)),
    ];
    for which in sets {
        while end_some(&upkeep, which, now).await? {}
    }
    let mut session = upkeep.store.begin().await?;
    store::idempotency::forget(&mut session, now - IDEMPOTENCY_MS).await?;
    let idle_since = now - i64::from(upkeep.config.sign_in.idle_minutes) * 60_000;
    store::import_draft::forget(&mut session, now - IMPORT_DRAFT_MS).await?;
    store::passkey::forget_questions(&mut session, now - HOUR_MS).await?;
    store::own_page::forget_links(&mut session, now - LINKS_MS).await?;
    store::sms_part::forget(&mut session, window(upkeep.config.alerts.receipt_window_hours).min(now - PARTS_MS))
        .await?;
    store::sign_in_session::forget(&mut session, now, idle_since).await?;
    store::own_page::forget(&mut session, now).await?;
    session.commit().await
}

/// Ends a batch; says whether there may be more.
async fn end_some(upkeep: &Upkeep, which: Which<'_>, now: i64) -> Result<bool, StoreError> {
    let is_work = {
        let mut session = upkeep.store.read().await?;
        !delivery::lock_set(&mut session, which, 1).await?.is_empty()
    };
    if !is_work {
        return Ok(false);
    }
    let mut session = upkeep.store.begin().await?;
    let held = delivery::lock_set(&mut session, which, BATCH).await?;
    let may_be_more = i64::try_from(held.len()).unwrap_or(0) == BATCH;
    let steps = held.into_iter().map(end).collect();
    let id = ambient::new_id(&upkeep.clock);
    let batch = Batch { id: &id, actor: "grannpost", action: "deliveries.timed_out", now };
    let changes = delivery::apply(&mut session, &batch, steps).await?;
    session.commit().await?;
    crate::telemetry::count_changes(&changes);
    Ok(may_be_more)
}

fn end(held: Locked) -> Step {
    if held.state() == DeliveryState::Accepted {
        return Step::new(held, DeliveryState::Unconfirmed, Some("receipt.window_closed"));
    }
    // A letter that was tried until its time ran out has failed; one that never had its turn has expired.
    if held.channel == Channel::Email.code() && held.attempts > 0 {
        return Step::new(held, DeliveryState::Failed, Some("mail.retries_used_up"));
    }
    Step::new(held, DeliveryState::Expired, Some("message.expired"))
}
