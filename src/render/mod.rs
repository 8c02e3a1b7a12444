//! Owns the text one recipient gets: the SMS in its frame.
//!
//! Pages preview with it and dispatch sends with it. Invariant: what is previewed is, byte for byte, what is sent.

pub mod sms;
