//! Owns the text one recipient gets: the SMS in its frame, the letter's parts.
//!
//! Pages preview with it and dispatch sends with it. Invariant: what is previewed is, byte for byte, what is sent.

pub mod archive;
pub mod front_matter;
pub mod letter;
pub mod markdown;
pub mod plain_text;
pub mod sms;
