//! Owns what the simulated gateway reports by itself: delivery reports by plan or by hand, and incoming SMS.
//!
//! Invariant: the history tells the state that the last report told.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use url::form_urlencoded::Serializer;

use super::super::behaviour::{Fate, GatewayBehaviour, ReceiptPlan, draw};
use super::super::callback::{Callback, CallbackRecord, Posted};
use super::super::journal::{AcceptedSms, SmsState};
use super::GatewayState;

/// An SMS that somebody sends to the number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundMessage {
    /// The gateway's id; the same one twice is the same SMS brought again.
    pub id: String,
    /// Number or text sender.
    pub from: String,
    /// Our number.
    pub to: String,
    /// Text.
    pub text: String,
}

/// Does what the plan says about a message that was just taken; returns at once unless the plan is early.
pub(super) async fn plan(gateway: &Arc<GatewayState>, behaviour: &GatewayBehaviour, sms: &AcceptedSms) {
    let plan = behaviour.receipts.clone();
    let number = u64::try_from(sms.position).unwrap_or_default();
    let fate = plan.fate(&sms.to, draw(gateway.options.seed.rotate_left(32), number));
    if fate == Fate::Never {
        return;
    }
    if plan.early {
        run(gateway, &plan, fate, sms).await;
        return;
    }
    let (gateway, sms) = (Arc::clone(gateway), sms.clone());
    let stop = gateway.stop.clone();
    tokio::spawn(async move {
        let reports = async {
            tokio::time::sleep(Duration::from_millis(plan.delay_ms)).await;
            run(&gateway, &plan, fate, &sms).await;
        };
        stop.run_until_cancelled(reports).await;
    });
}

/// Reports on one message by hand: the reports that belong to `fate`, each once, to the end of their tries.
pub(super) async fn report(gateway: &GatewayState, id: &str, fate: Fate) -> Vec<CallbackRecord> {
    let Some((sms, _)) = gateway.journal.find(id) else { return Vec::new() };
    let plan = ReceiptPlan { spacing_ms: 0, ..ReceiptPlan::default() };
    let mut records = Vec::new();
    for posted in run(gateway, &plan, fate, &sms).await {
        records.extend(posted.end().await);
    }
    records
}

pub(super) async fn post_inbound(gateway: &GatewayState, message: InboundMessage) -> CallbackRecord {
    super::lock(&gateway.incoming).push((message.clone(), (gateway.options.wall_clock)()));
    let form = encode(&[
        ("direction", "incoming"),
        ("id", &message.id),
        ("from", &message.from),
        ("to", &message.to),
        ("created", &now(gateway)),
        ("message", &message.text),
    ]);
    let lost =
        CallbackRecord { id: message.id.clone(), word: "incoming".to_owned(), code: None, empty_body: true, tries: 0 };
    let Some(url) = gateway.behaviour().sms_url.clone() else { return lost };
    let posted = gateway.post(Callback { url, form, id: message.id, word: "incoming" }).await;
    posted.end().await.unwrap_or(lost)
}

async fn run(gateway: &GatewayState, plan: &ReceiptPlan, fate: Fate, sms: &AcceptedSms) -> Vec<Posted> {
    let mut states = match fate {
        Fate::Delivered => vec![SmsState::Delivered],
        Fate::Failed => vec![SmsState::Failed],
        Fate::SentOnly => vec![SmsState::Sent],
        Fate::Never => vec![],
    };
    if (plan.sent_first || plan.reversed) && !matches!(fate, Fate::SentOnly | Fate::Never) {
        states.insert(0, SmsState::Sent);
    }
    let last = states.last().copied();
    if plan.reversed {
        states.reverse();
    }
    let mut posted = Vec::new();
    for (number, state) in states.into_iter().enumerate() {
        if number > 0 {
            tokio::time::sleep(Duration::from_millis(plan.spacing_ms)).await;
        }
        // Out of order is what happens to reports on their way, not to the message.
        gateway.journal.set_state(sms.position, if plan.reversed { last.unwrap_or(state) } else { state });
        posted.extend(post_report(gateway, plan, state, sms).await);
    }
    posted
}

async fn post_report(gateway: &GatewayState, plan: &ReceiptPlan, state: SmsState, sms: &AcceptedSms) -> Vec<Posted> {
    let Some(url) = &sms.receipt_url else { return Vec::new() };
    let mut posted = Vec::new();
    let unknown = plan.unknown_ids.then(|| format!("s{:032x}", !sms.position));
    for id in (0..plan.copies).map(|_| sms.id.clone()).chain(unknown) {
        let at = now(gateway);
        let mut fields = vec![("id", id.as_str()), ("status", state.word())];
        if state == SmsState::Delivered {
            fields.push(("delivered", &at));
        }
        let form = encode(&fields);
        posted.push(gateway.post(Callback { url: url.clone(), form, id, word: state.word() }).await);
    }
    posted
}

fn encode(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn now(gateway: &GatewayState) -> String {
    let now = (gateway.options.wall_clock)().to_zoned(TimeZone::UTC);
    now.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}
