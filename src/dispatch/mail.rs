//! Owns the e-mail lane's carrier: the mail relay, with each letter's parts filled in for one recipient.
//!
//! It decides nothing about what a letter says (`render::letter`) and encodes nothing (`provider::mail_message`).
//! Invariants: what a letter's recipients share is rendered once; a delivery keeps its Message-ID on every try, and its
//! return path names the attempt.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use jiff::tz::TimeZone;

use super::Engine;
use super::carrier::{Carrier, Parcel};
use super::pace::Pacer;
use super::retry::BackOff;
use crate::ambient::{self, Clock};
use crate::config::{Config, QuietHours};
use crate::domain::delivery::Channel;
use crate::domain::delivery_token::{DeliveryToken, TokenKey};
use crate::domain::email_address::EmailAddress;
use crate::domain::letter::Letter;
use crate::domain::message::priority;
use crate::domain::own_page_token::{self, OWN_PAGE};
use crate::domain::unsubscribe_token;
use crate::provider::mail_message::{ListHeaders, Mailbox, OutgoingMail};
use crate::provider::smtp::MailRelay;
use crate::provider::{Accepted, HandOverError, Reason};
use crate::render::letter::{LetterParts, Letterhead, PreparedLetter, prepare};
use crate::store::{self, Store};

/// Greylisting wants 5 to 15 minutes (`facts/email.md`); what passes sooner is tried sooner.
const BACK_OFF: BackOff = BackOff { first: Duration::from_secs(60), most: Duration::from_secs(3600) };
/// Letters kept rendered; they never change once they are in dispatch.
const LETTERS: usize = 16;
/// The one mail relay's name in metrics and the database.
pub const NAME: &str = crate::config::mail::RELAY;

/// Hands letters over to the mail relay.
#[derive(Debug)]
pub struct MailCarrier {
    relay: MailRelay,
    store: Store,
    clock: Clock,
    config: Arc<Config>,
    token_key: Arc<TokenKey>,
    zone: TimeZone,
    quiet: Option<QuietHours>,
    domains: DefaultKeyedRateLimiter<String>,
    letters: Mutex<HashMap<String, Arc<Rendered>>>,
}

/// What all mails of a message share.
#[derive(Debug)]
enum Rendered {
    Letter {
        letter: PreparedLetter,
        is_test: bool,
    },
    /// A message with a text of its own, written by the program.
    Notice {
        subject: String,
        text: String,
    },
}

impl MailCarrier {
    /// The carrier of the configured relay.
    #[must_use]
    pub fn new(engine: &Engine, relay: MailRelay) -> Self {
        Self {
            relay,
            store: engine.store.clone(),
            clock: engine.clock.clone(),
            config: Arc::clone(&engine.config),
            token_key: Arc::clone(&engine.token_key),
            zone: engine.config.server.zone(),
            quiet: engine.config.letters.quiet(),
            domains: RateLimiter::keyed(domain_quota(engine.config.mail.per_domain_per_second)),
            letters: Mutex::default(),
        }
    }

    /// The letter `message_id` with all but the recipients' own parts rendered; `None` when there is none.
    async fn letter(&self, message_id: &str) -> store::Result<Option<Arc<Rendered>>> {
        if let Some(letter) = self.letters().get(message_id) {
            return Ok(Some(Arc::clone(letter)));
        }
        let mut session = self.store.read_dispatch().await?;
        let Some(message) = store::message::get(&mut session, message_id).await? else { return Ok(None) };
        let Some(row) = store::letter::get(&mut session, message_id).await? else { return Ok(notice(&message.body)) };
        let Ok(letter) = Letter::parse(&row.fields()) else { return Ok(None) };
        let today = self.clock.now().to_zoned(self.zone.clone()).date();
        let letterhead = letterhead(&self.config);
        // Rendering may take a while for a long letter, and this thread serves others.
        let prepared = tokio::task::spawn_blocking(move || prepare(&letter, &letterhead, today)).await;
        let Ok(letter) = prepared else { return Ok(None) };
        let rendered = Arc::new(Rendered::Letter { letter, is_test: message.kind == "test" });
        let mut letters = self.letters();
        if letters.len() >= LETTERS {
            letters.clear();
        }
        letters.insert(message_id.to_owned(), Arc::clone(&rendered));
        Ok(Some(rendered))
    }

    fn letters(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Rendered>>> {
        self.letters.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn mail(&self, parcel: &Parcel, rendered: &Rendered) -> OutgoingMail {
        let mail = &self.config.mail;
        let link = |token: &str| self.config.server.public_link(&format!("/u/{token}"));
        let (parts, list) = match (rendered, &parcel.contact_person_id) {
            (Rendered::Letter { letter, .. }, Some(id)) => {
                let url = link(&unsubscribe_token::encode(&self.token_key, id));
                (letter.for_contact_person(&url), Some(self.list_headers(url)))
            }
            (Rendered::Letter { letter, is_test: true }, None) => {
                (letter.for_contact_person(&link(unsubscribe_token::PREVIEW)), None)
            }
            (Rendered::Letter { letter, .. }, None) => (letter.for_copy_recipient(), None),
            (Rendered::Notice { subject, text }, _) => {
                // Of a text of the program's own, only this mail holds the token of the link.
                let token = own_page_token::encode(&self.token_key, parcel.token.delivery_id);
                let text = text.replace(
                    own_page_token::PLACE,
                    &self.config.server.public_link(&format!("{OWN_PAGE}/lank/{token}")),
                );
                (LetterParts { subject: subject.clone(), text, html: String::new() }, None)
            }
        };
        let token = self.token_key.encode(parcel.token);
        // Attempt 0 stands for the delivery itself: the same on every try, and a bounce can be matched by it.
        let stable = self.token_key.encode(DeliveryToken { attempt: 0, ..parcel.token });
        let from = Mailbox::parse(&mail.from);
        OutgoingMail {
            message_id: format!("{stable}@{}", domain_of(&from.address)),
            date: self.clock.now().to_zoned(self.zone.clone()),
            from,
            reply_to: (!mail.reply_to.is_empty()).then(|| Mailbox::parse(&mail.reply_to)),
            to: Mailbox { name: None, address: parcel.address.clone() },
            return_path: format!("bounce+{token}@{}", mail.bounce_domain),
            envelope_id: Some(token),
            subject: parts.subject,
            text: parts.text,
            html: Some(parts.html).filter(|html| !html.is_empty()),
            list,
            auto_submitted: matches!(rendered, Rendered::Notice { .. }),
        }
    }

    fn list_headers(&self, unsubscribe_url: String) -> ListHeaders {
        ListHeaders {
            name: self.config.letters.list_name.clone(),
            id: self.config.letters.list_id.clone(),
            unsubscribe_url,
            unsubscribe_address: None,
            owner_address: Some(self.config.mail.contact_address().to_owned()),
        }
    }
}

impl Carrier for MailCarrier {
    fn name(&self) -> &str {
        NAME
    }

    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn refuses(&self, address: &str) -> Option<&'static str> {
        EmailAddress::parse(address).is_err().then_some("address.invalid")
    }

    /// Quiet hours are for letters: what the program itself has to tell an administrator goes at once.
    fn priorities_at(&self, now: jiff::Timestamp) -> &'static [i64] {
        let is_quiet = self.quiet.is_some_and(|quiet| quiet.contains(now.to_zoned(self.zone.clone()).time()));
        if is_quiet { &[priority::CLOSING, priority::ALERT] } else { &priority::ALL }
    }

    async fn ready_for(&self, address: &str) {
        self.domains.until_key_ready(&domain_of(address).to_lowercase()).await;
    }

    fn back_off(&self, attempt: i64) -> Duration {
        BACK_OFF.wait(attempt, ambient::random_fraction())
    }

    /// A relay is probed with letters: it greets also while it refuses them.
    async fn answers(&self) -> bool {
        true
    }

    async fn hand_over(&self, parcel: &Parcel, _pacer: &Pacer) -> Result<Accepted, HandOverError> {
        match self.letter(&parcel.message_id).await {
            Ok(Some(rendered)) => self.relay.send(&self.mail(parcel, &rendered)).await,
            Ok(None) => Err(HandOverError::Rejected { reason: Reason::new("message.no_text") }),
            Err(error) => {
                Err(HandOverError::Retry { after: None, reason: Reason::new(error.code()), provider_down: false })
            }
        }
    }
}

/// A text of the program's own: its first line is the subject.
fn notice(body: &str) -> Option<Arc<Rendered>> {
    let (subject, text) = body.split_once('\n')?;
    Some(Arc::new(Rendered::Notice { subject: subject.to_owned(), text: text.to_owned() }))
}

/// Who sends letters, as configured.
#[must_use]
pub fn letterhead(config: &Config) -> Letterhead {
    Letterhead {
        sender: config.mail.sender_name().to_owned(),
        list_name: config.letters.list_name.clone(),
        contact: config.mail.contact_address().to_owned(),
        own_page: config.server.public_link(OWN_PAGE),
    }
}

fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}

/// One letter each `1 / per_second` seconds, and a second's worth at once after a pause.
fn domain_quota(per_second: f64) -> Quota {
    let gap = Duration::from_secs_f64((1.0 / per_second.max(0.001)).max(1e-6));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a u32 holds")]
    let burst = NonZeroU32::new(per_second.clamp(1.0, 1e6) as u32).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(gap).map_or(Quota::per_second(burst), |quota| quota.allow_burst(burst))
}
