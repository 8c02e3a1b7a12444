//! Owns the pure types and rules: no input or output, no clock, no database.
//!
//! Invariant: imports nothing from the other rings, and a value that exists is valid.

pub mod alert;
pub mod area;
pub mod audience;
pub mod bounce;
pub mod contact_person;
pub mod coverage;
pub mod daemon_role;
pub mod delivery;
pub mod delivery_token;
pub mod email_address;
pub mod incoming_mail;
pub mod language;
pub mod letter;
pub mod letter_cadence;
pub mod lint;
pub mod message;
pub mod mix_up;
pub mod observation;
pub mod one_time_code;
pub mod operator;
pub mod opt_out_journal;
pub mod own_page_token;
pub mod password;
pub mod personal_number;
pub mod phone;
pub mod phone_call;
pub mod place_name;
pub mod plain_text;
pub mod reply;
pub mod retention;
pub mod situation;
pub mod sms_character;
pub mod sms_text;
pub mod unsubscribe_token;
