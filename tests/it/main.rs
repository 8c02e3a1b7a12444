//! The integration binary: stories over real HTTP and SMTP, on both databases.

mod alert;
mod import;
mod support;
