//! grannpost: alerts by SMS and letters by e-mail to the contact persons of neighbourhood watch.
//!
//! The crate is a house of rings (`docs/architecture.md`); `tests/architecture.rs` enforces who may
//! import whom. One noun has one file name in every ring: to follow an alert, read
//! `web/api/alert.rs`, `actions/alert.rs`, `store/alert.rs`, `domain/alert.rs`.
//!
//! | ring | owns |
//! |---|---|
//! | [`domain`] | pure types and rules |
//! | [`render`], [`register_file`] | the text one recipient gets; CSV in and out |
//! | [`ambient`], [`config`] | clock, ids, randomness; settings |
//! | [`store`] | all SQL |
//! | [`provider`] | SMS gateways and the mail relay |
//! | [`actions`] | one operator action = one transaction = one audit row |
//! | [`dispatch`] | claim, stamp, pace, hand over, settle |
//! | [`inbound`] | receipts |
//! | [`upkeep`] | rescue, expiry, sealing of the audit chain |
//! | [`simulator`] | a gateway and a mail sink for demo and tests |
//! | [`web`] | API, hooks, public pages |
//! | [`app`], [`cli`] | the wiring and the verbs |

pub mod actions;
pub mod ambient;
pub mod app;
pub mod cli;
pub mod config;
pub mod dispatch;
pub mod domain;
pub mod inbound;
pub mod provider;
pub mod register_file;
pub mod render;
pub mod simulator;
pub mod store;
pub mod telemetry;
pub mod upkeep;
pub mod web;
