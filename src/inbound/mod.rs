//! Owns what comes back from providers and moves deliveries by it.
//!
//! It decodes with `provider` and decides by `domain`. Invariant: what came is stored before it is answered.

pub mod gateway_hook;
pub mod identity;
pub mod mail;
pub mod mail_reader;
pub mod mailbox;
pub mod mime;
pub mod poll;
pub mod receipt;
pub mod restored;
pub mod smpp;
pub mod sms;
