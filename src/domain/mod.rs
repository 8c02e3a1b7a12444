//! Owns the pure types and rules: no input or output, no clock, no database.
//!
//! Invariant: imports nothing from the other rings, and a value that exists is valid.

pub mod area;
pub mod letter;
pub mod lint;
pub mod personal_number;
pub mod place_name;
pub mod sms_character;
pub mod sms_text;
