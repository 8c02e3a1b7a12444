//! Owns the pure types and rules: no input or output, no clock, no database.
//!
//! Invariant: imports nothing from the other rings, and a value that exists is valid.

pub mod area;
pub mod contact_person;
pub mod email_address;
pub mod language;
pub mod personal_number;
pub mod phone;
pub mod plain_text;
