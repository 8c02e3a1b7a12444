//! Owns `[retention]`: how long what is personal is kept, and the decision that each rule rests on.

use serde::Deserialize;

use super::ConfigError;
use crate::domain::retention::Rule;

/// How long what is personal is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// What people answered.
    pub observations: Term,
    /// Whom a message went to.
    pub recipients: Term,
    /// What stood in imported files.
    pub imports: Term,
    /// Mail that is nobody's answer.
    pub mail: Term,
    /// Notes about calls.
    pub calls: Term,
}

/// One rule. A state authority may destroy documents only with support in a decision (arkivförordningen 1991:446, 14 §), so a
/// rule without one removes nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// The decision it rests on; empty = the rule is off.
    pub decision: String,
    /// Days that it is kept.
    pub days: u32,
    /// Whether the days begin when the calendar year has ended.
    pub from_year_end: bool,
}

impl Retention {
    /// The term of a rule.
    #[must_use]
    pub fn term(&self, rule: Rule) -> &Term {
        match rule {
            Rule::Observations => &self.observations,
            Rule::Recipients => &self.recipients,
            Rule::Imports => &self.imports,
            Rule::Mail => &self.mail,
            Rule::Calls => &self.calls,
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for rule in Rule::ALL {
            let key = format!("retention.{}.days", rule.code());
            match self.term(rule).days {
                0 => return Err(ConfigError::invalid(key, "must be at least 1")),
                days if days > 36_500 => return Err(ConfigError::invalid(key, "must be at most 36500")),
                days if rule == Rule::Recipients && days < 30 => {
                    return Err(ConfigError::invalid(key, "must be at least 30: receipts and replies still come"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
