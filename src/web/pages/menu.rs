//! Owns the menu: which parts there are, in which order, and who sees them.
//!
//! It grants nothing; every page asks for its right itself. Invariant: only parts that exist stand here.

use crate::domain::operator::{Right, Role};

/// A part of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What is the case now.
    Start,
    /// An alert being written.
    NewAlert,
    /// Alerts on their way, and those before.
    Alerts,
    /// What people have answered.
    Inbox,
    /// Letters.
    Letters,
    /// Contact persons.
    Register,
    /// The ledger of decisions.
    Decisions,
    /// The audit log.
    Audit,
    /// Operators, keys, gateways.
    Administration,
    /// The person themselves; not in the menu proper.
    Account,
    /// None of them.
    None,
}

/// A line of the menu.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it leads.
    pub href: &'static str,
    /// What it says.
    pub text: &'static str,
    /// Whether the page is in this part.
    pub is_current: bool,
}

/// Every part, in the order of the menu, with the right that it takes.
const PARTS: &[(Section, &str, &str, Option<Right>)] = &[
    (Section::Start, "/", "Läget nu", None),
    (Section::NewAlert, "/alerts/new", "Nytt sms-utskick", Some(Right::SendAlerts)),
    (Section::Alerts, "/alerts", "Pågående", Some(Right::ReadAlerts)),
    (Section::Inbox, "/observations", "Inkorg", Some(Right::WorkInbox)),
    (Section::Letters, "/letters", "Brev", Some(Right::ReadLetters)),
    (Section::Register, "/register", "Register", Some(Right::ReadRegister)),
    (Section::Decisions, "/decisions", "Beslut", Some(Right::ReadAlerts)),
    (Section::Audit, "/audit", "Logg", Some(Right::ReadAudit)),
    (Section::Administration, "/admin", "Administration", Some(Right::Administer)),
];

/// The lines that a role sees.
#[must_use]
pub fn entries(role: Role, current: Section) -> Vec<Entry> {
    let seen = PARTS.iter().filter(|(_, _, _, right)| right.is_none_or(|right| role.may(right)));
    seen.map(|(section, href, text, _)| Entry { href, text, is_current: *section == current }).collect()
}
