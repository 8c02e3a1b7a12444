//! Owns why an action was not done.
//!
//! Invariant: a variant exists only where callers act differently; every one has a stable code and Swedish words.

use crate::store::StoreError;

/// Result of an action.
pub type Result<T> = std::result::Result<T, ActionError>;

/// What is wrong with one field of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field's name in the API.
    pub name: String,
    /// Stable code such as `area.unknown`.
    pub code: &'static str,
    /// What is wrong and what is allowed, in Swedish.
    pub detail: String,
}

impl FieldProblem {
    /// A problem with the field `name`.
    pub fn new(name: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { name: name.into(), code, detail: detail.into() }
    }
}

/// Why an action was not done; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The role does not grant it, or the area is not the actor's.
    #[error("forbidden")]
    Forbidden,
    /// The actor may do such things, but not this one: who wrote a revision does not approve it.
    #[error("{code}")]
    NotYou {
        /// Stable code.
        code: &'static str,
        /// Why, in Swedish.
        detail: String,
    },
    /// There is no such thing in the actor's areas.
    #[error("not found")]
    NotFound,
    /// The input is wrong.
    #[error("invalid input")]
    Invalid(Vec<FieldProblem>),
    /// It does not fit the state things are in now.
    #[error("{code}")]
    Conflict {
        /// Stable code such as `alert.audience_changed`.
        code: &'static str,
        /// What is the case now and what can be done, in Swedish.
        detail: String,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ActionError {
    /// One wrong field.
    pub fn field(name: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldProblem::new(name, code, detail)])
    }

    /// A state that does not fit.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Forbidden => "auth.forbidden",
            Self::NotFound => "not_found",
            Self::Invalid(_) => "validation.failed",
            Self::NotYou { code, .. } | Self::Conflict { code, .. } => code,
            Self::Store(error) => error.code(),
        }
    }
}
