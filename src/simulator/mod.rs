//! Owns the outside world of demo, tests and benches: a 46elks gateway and a mail sink, spoken to over real sockets.
//!
//! Nothing of the product is decided here, and no code is shared with `provider`, so that the two check each other.
//! Invariant: what a simulator has taken stands in its journal, which the product can neither read nor change.

mod behaviour;
mod callback;
mod gateway;
mod journal;
mod journal_file;
mod mail_sink;
mod process;
mod socket;

use std::sync::Arc;

pub use behaviour::{Answer, Fate, GatewayBehaviour, HistoryMode, RateLimit, ReceiptPlan, Reply, Rubbish, Share};
pub use callback::CallbackRecord;
pub use gateway::{GatewayOptions, InboundMessage, SimulatedGateway};
pub use journal::{AcceptedSms, SmsJournal, worst_window};
pub use mail_sink::{AfterDot, Extensions, MailBehaviour, MailJournal, MailSink, MailSinkOptions, ReceivedMail};
pub use process::{ProcessOptions, run};

/// Where a simulator takes the wall time from: `ambient` gives the system's clock or a test's own.
pub type WallClock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;
