//! Owns who may do what: roles, their rights, and the actor behind a call.
//!
//! It does not know keys or passwords. Invariant: what is not granted here is denied.

/// What a person or key may do (contract section 3). A role is held for an area and what lies below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Alerts, and the observations of its areas.
    Operator,
    /// Letters, statistics, approvals.
    Chief,
    /// The inbox.
    Officer,
    /// Everything.
    Admin,
    /// Reads log and reports.
    Auditor,
}

/// One thing that can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// See areas and count audiences.
    ReadAreas,
    /// Make, stop and follow up alerts.
    SendAlerts,
    /// See alerts, their counts and the decision ledger.
    ReadAlerts,
    /// See who a message went to.
    ReadDeliveries,
    /// Approve or return what a colleague wrote.
    Approve,
    /// Write and send letters.
    SendLetters,
    /// See letters and their counts.
    ReadLetters,
    /// See contact persons.
    ReadRegister,
    /// Add, change and erase contact persons.
    ChangeRegister,
    /// Import and export the register.
    MoveRegister,
    /// Read, judge and answer observations.
    WorkInbox,
    /// Read the audit log.
    ReadAudit,
    /// Operators, keys, gateways, pause and resume.
    Administer,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Operator, Self::Chief, Self::Officer, Self::Admin, Self::Auditor];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Chief => "chief",
            Self::Officer => "officer",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }

    /// The role with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.code() == code)
    }

    /// Whether the role may do this within its area.
    #[must_use]
    pub fn may(self, right: Right) -> bool {
        use Right as R;
        match self {
            Self::Admin => true,
            Self::Operator => matches!(
                right,
                R::ReadAreas
                    | R::SendAlerts
                    | R::ReadAlerts
                    | R::ReadDeliveries
                    | R::Approve
                    | R::ReadRegister
                    | R::WorkInbox
            ),
            Self::Chief => matches!(
                right,
                R::ReadAreas
                    | R::ReadAlerts
                    | R::ReadDeliveries
                    | R::Approve
                    | R::SendLetters
                    | R::ReadLetters
                    | R::ReadRegister
                    | R::ChangeRegister
            ),
            Self::Officer => matches!(right, R::ReadAreas | R::WorkInbox),
            Self::Auditor => matches!(right, R::ReadAreas | R::ReadAlerts | R::ReadLetters | R::ReadAudit),
        }
    }
}

/// Who does something: a signed-in operator, an API key, the command line or the program itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Stable id such as `key:019…`, `operator:019…`, `cli` or `grannpost`; what the audit log holds.
    pub id: String,
    /// What it may do.
    pub role: Role,
    /// The area it may do it in, and all below.
    pub area: String,
    /// Whether it acts for another program and not for a person in front of a page.
    pub is_key: bool,
}

/// Whom the authority's identity provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Issuer and subject: never given to another person (OpenID Connect Core 2).
    pub subject: String,
    /// E-mail, when the provider has made sure of it.
    pub email: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_operators_and_administrators_send_alerts() {
        let who: Vec<_> = Role::ALL.into_iter().filter(|role| role.may(Right::SendAlerts)).collect();
        assert_eq!(who, [Role::Operator, Role::Admin]);
    }

    #[test]
    fn an_auditor_sees_no_contact_persons_and_no_addresses() {
        assert!(!Role::Auditor.may(Right::ReadRegister));
        assert!(!Role::Auditor.may(Right::ReadDeliveries));
    }
}
