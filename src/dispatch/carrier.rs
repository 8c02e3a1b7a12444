//! Owns what a lane needs to know of a provider: one trait, with an SMS gateway and the mail relay behind it.

use std::future::Future;
use std::time::Duration;

use super::pace::Pacer;
use crate::domain::delivery::Channel;
use crate::domain::delivery_token::DeliveryToken;
use crate::provider::{Accepted, HandOverError};

/// One stamped delivery, ready to be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The delivery and its attempt.
    pub token: DeliveryToken,
    /// Its message.
    pub message_id: String,
    /// Where it goes.
    pub address: String,
    /// The person it is for; `None` for copies and tests.
    pub contact_person_id: Option<String>,
    /// Until when it is worth delivering, Unix ms.
    pub expires_at: i64,
}

/// A way to hand deliveries over: one SMS gateway, or the mail relay.
pub trait Carrier: Send + Sync + 'static {
    /// Its name in configuration, metrics and the database.
    fn name(&self) -> &str;

    /// The lane it serves.
    fn channel(&self) -> Channel;

    /// Why this address may never be handed to this provider, if so.
    fn refuses(&self, address: &str) -> Option<&'static str>;

    /// What may go at this time, most urgent first, of [`crate::domain::message::priority::ALL`]: less in quiet hours.
    fn priorities_at(&self, now: jiff::Timestamp) -> &'static [i64];

    /// Waits until the recipient's side may be bothered, such as a mail domain's own pace.
    fn ready_for(&self, address: &str) -> impl Future<Output = ()> + Send;

    /// How long a delivery waits after its attempt number `attempt` was surely not taken.
    fn back_off(&self, attempt: i64) -> Duration;

    /// Whether the provider answers, found out without handing anything over.
    fn answers(&self) -> impl Future<Output = bool> + Send;

    /// Hands over, once. `pacer` has let the first call through; what needs more than one takes a slot for each.
    fn hand_over(&self, parcel: &Parcel, pacer: &Pacer)
    -> impl Future<Output = Result<Accepted, HandOverError>> + Send;
}
