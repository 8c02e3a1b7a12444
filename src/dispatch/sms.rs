//! Owns the SMS lane's carrier: one gateway, with the text of each message and the address its receipts come to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Engine;
use super::carrier::{Carrier, Parcel};
use super::pace::Pacer;
use super::retry::BackOff;
use crate::ambient::{self, Clock};
use crate::config::{Gateway, GatewayKind, Receipts};
use crate::domain::delivery::Channel;
use crate::domain::delivery_token::TokenKey;
use crate::domain::message::priority;
use crate::domain::phone;
use crate::provider::{Accepted, HandOverError, OutgoingSms, Reason, SmsGateway};
use crate::store::{self, Store};

const BACK_OFF: BackOff = BackOff { first: Duration::from_secs(1), most: Duration::from_secs(60) };
/// Texts kept in memory; they never change once a message is in dispatch.
const TEXTS: usize = 64;

/// Hands SMS over to one gateway.
#[derive(Debug)]
pub struct SmsCarrier {
    name: String,
    gateway: SmsGateway,
    simulator: bool,
    /// Sender of what must come from a number, where the gateway's own is a text.
    numeric_sender: Option<String>,
    /// Base of the receipt addresses, token to follow; `None` when receipts are polled.
    receipt_base: Option<String>,
    store: Store,
    clock: Clock,
    token_key: Arc<TokenKey>,
    texts: Mutex<HashMap<String, Arc<Text>>>,
}

/// What all SMS of a message share.
#[derive(Debug)]
struct Text {
    body: String,
    needs_number: bool,
}

impl SmsCarrier {
    /// The carrier of the gateway `name`.
    #[must_use]
    pub fn new(engine: &Engine, name: &str, config: &Gateway, gateway: SmsGateway) -> Self {
        let secret = config.callback_secret.expose();
        let path = format!("/hooks/sms/{name}/{secret}/receipt/");
        Self {
            name: name.to_owned(),
            gateway,
            simulator: config.simulator,
            numeric_sender: (!config.has_numeric_sender()).then(|| engine.config.sms.inbound_reply_to.clone()),
            receipt_base: (config.receipts == Receipts::Callback && config.kind == GatewayKind::Elks)
                .then(|| engine.config.server.public_link(&path)),
            store: engine.store.clone(),
            clock: engine.clock.clone(),
            token_key: Arc::clone(&engine.token_key),
            texts: Mutex::default(),
        }
    }

    async fn text(&self, message_id: &str) -> store::Result<Option<Arc<Text>>> {
        if let Some(text) = self.texts().get(message_id) {
            return Ok(Some(Arc::clone(text)));
        }
        let mut session = self.store.read_dispatch().await?;
        let Some(message) = store::message::get(&mut session, message_id).await? else { return Ok(None) };
        let text = Arc::new(Text { body: message.body, needs_number: message.numeric_sender == 1 });
        let mut texts = self.texts();
        if texts.len() >= TEXTS {
            texts.clear();
        }
        texts.insert(message_id.to_owned(), Arc::clone(&text));
        Ok(Some(text))
    }

    fn texts(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Text>>> {
        self.texts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Carrier for SmsCarrier {
    fn name(&self) -> &str {
        &self.name
    }

    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn refuses(&self, address: &str) -> Option<&'static str> {
        (!self.simulator && phone::is_fictitious(address)).then_some("address.fictitious")
    }

    fn priorities_at(&self, _now: jiff::Timestamp) -> &'static [i64] {
        &priority::ALL
    }

    async fn ready_for(&self, _address: &str) {}

    fn back_off(&self, attempt: i64) -> Duration {
        BACK_OFF.wait(attempt, ambient::random_fraction())
    }

    async fn answers(&self) -> bool {
        self.gateway.answers().await
    }

    async fn hand_over(&self, parcel: &Parcel, pacer: &Pacer) -> Result<Accepted, HandOverError> {
        let later = |code| HandOverError::Retry { after: None, reason: Reason::new(code), provider_down: false };
        let text = match self.text(&parcel.message_id).await {
            Ok(Some(text)) if !text.body.is_empty() => text,
            Ok(_) => return Err(HandOverError::Rejected { reason: Reason::new("message.no_text") }),
            Err(error) => return Err(later(error.code())),
        };
        let token = self.token_key.encode(parcel.token);
        let sms = OutgoingSms {
            to: parcel.address.clone(),
            from: self.numeric_sender.clone().filter(|_| text.needs_number),
            text: text.body.clone(),
            receipt_url: self.receipt_base.as_ref().map(|base| format!("{base}{token}")),
            token: Some(parcel.token),
            expires_at: jiff::Timestamp::from_millisecond(parcel.expires_at).ok(),
        };
        let turn = || async { drop(pacer.slot().await) };
        self.gateway.send_in_turn(&sms, self.clock.now(), turn).await
    }
}
