//! The integration binary: stories over real HTTP and SMTP, on both databases.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed, and says where")]

mod accessibility;
mod alert;
mod alert_pages;
mod backup;
mod browser;
mod browser_work;
mod console;
mod crash;
mod daemons;
mod database_faults;
mod deputies;
mod disk_faults;
mod elks_gateway;
mod faults;
mod freezing;
mod gateway_faults;
mod hooks;
mod hostile;
mod import;
mod import_pages;
mod letter;
mod letter_pages;
mod logs;
mod mail_in;
mod mail_relay;
mod observations;
mod own_page;
mod pages;
mod passkey;
mod planted_mistakes;
mod register_pages;
mod retention;
mod roles;
mod sign_in;
mod sign_in_elsewhere;
mod simulator;
mod situations;
mod soak;
mod store_conformance;
mod support;
mod transact;
mod verify;
mod watch;
mod wire;
