//! Owns what a daemon may be told to do: all of it, or some, so that several can share the work.
//!
//! It starts nothing. Invariant: a daemon has at least one role, and roles are written in one order.

use std::fmt;

/// Every role, in the order in which they are written.
const NAMES: [&str; 4] = ["web", "dispatch", "inbound", "upkeep"];

/// The roles of one daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Serves pages, API, hooks and public pages.
    pub web: bool,
    /// Hands over, and proves lost answers.
    pub dispatch: bool,
    /// Serves hooks, follows the mailbox, asks gateways for receipts, and reads what was kept.
    pub inbound: bool,
    /// Takes its turn at what only one daemon does at a time: rescue, expiry, sealing, reminders.
    pub upkeep: bool,
}

/// What was asked for is no list of roles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolesError {
    /// A word that is no role.
    #[error("unknown role {0:?}; allowed are web, dispatch, inbound and upkeep, separated by commas")]
    Unknown(String),
    /// No role at all.
    #[error("no role given; allowed are web, dispatch, inbound and upkeep, separated by commas")]
    None,
}

impl RolesError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "daemon.role_unknown",
            Self::None => "daemon.role_missing",
        }
    }
}

impl Roles {
    /// All of them, as one daemon alone has.
    pub const ALL: Self = Self { web: true, dispatch: true, inbound: true, upkeep: true };

    /// Reads roles separated by commas, in any order.
    ///
    /// # Errors
    /// [`RolesError`] names the word that is no role, and those that are.
    pub fn parse(text: &str) -> Result<Self, RolesError> {
        let mut roles = Self { web: false, dispatch: false, inbound: false, upkeep: false };
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "web" => roles.web = true,
                "dispatch" => roles.dispatch = true,
                "inbound" => roles.inbound = true,
                "upkeep" => roles.upkeep = true,
                other => return Err(RolesError::Unknown(other.to_owned())),
            }
        }
        if roles.names().is_empty() { Err(RolesError::None) } else { Ok(roles) }
    }

    /// Their names.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let has = [self.web, self.dispatch, self.inbound, self.upkeep];
        NAMES.into_iter().zip(has).filter_map(|(name, has)| has.then_some(name)).collect()
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_in_any_order_and_written_in_one() {
        assert_eq!(Roles::parse("upkeep, web").unwrap().to_string(), "web,upkeep");
        assert_eq!(Roles::parse(&Roles::ALL.to_string()), Ok(Roles::ALL));
    }

    #[test]
    fn what_is_no_role_is_named_with_what_is_allowed() {
        let error = Roles::parse("web,mail").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown role \"mail\"; allowed are web, dispatch, inbound and upkeep, separated by commas"
        );
        assert_eq!(Roles::parse(" , "), Err(RolesError::None));
    }
}
