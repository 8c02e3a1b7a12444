//! Owns settings out of the environment: `GRANNPOST__TABLE__KEY`.
//!
//! Invariant: what is a text by its key stays one, also when it looks like a number: a password of digits, `+46…`.

use figment::providers::Env;
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

/// The environment's settings, by dotted key.
#[derive(Debug)]
pub(super) struct Environment(Vec<(String, String)>);

impl Environment {
    /// Every variable that begins with `GRANNPOST__`.
    pub(super) fn read() -> Self {
        let variables = Env::prefixed("GRANNPOST__").split("__");
        Self(variables.iter().map(|(key, value)| (key.to_string(), value)).collect())
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment variables")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut settings = Dict::new();
        for (key, text) in &self.0 {
            let parsed = if is_text(key) { None } else { text.parse().ok() };
            let value = parsed.unwrap_or_else(|| Value::from(text.as_str()));
            if let Some(nested) = nest(key, value).into_dict() {
                merge(&mut settings, nested);
            }
        }
        Ok(Map::from([(Profile::Default, settings)]))
    }
}

/// Keys whose value is a text that may look like something else.
fn is_text(key: &str) -> bool {
    let name = key.rsplit('.').next().unwrap_or(key);
    name.ends_with("_file")
        || matches!(
            name,
            "password"
                | "username"
                | "sender"
                | "system_id"
                | "system_type"
                | "callback_secret"
                | "inbound_reply_to"
                | "url"
                | "base_url"
                | "dkim_key"
                | "dkim_domain"
                | "dkim_selector"
                | "signing_key"
                | "listen"
                | "quiet_hours"
        )
}

fn merge(into: &mut Dict, from: Dict) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Dict(_, below)), Value::Dict(_, more)) => merge(below, more),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use figment::Figment;

    fn figment(variables: &[(&str, &str)]) -> Figment {
        let owned = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Figment::from(Environment(owned))
    }

    #[test]
    fn a_password_of_digits_and_a_number_with_its_plus_stay_texts() {
        let found = figment(&[("sms.gateways.elks.password", "0123456"), ("sms.gateways.elks.sender", "+46766860000")]);
        assert_eq!(found.extract_inner::<String>("sms.gateways.elks.password").unwrap(), "0123456");
        assert_eq!(found.extract_inner::<String>("sms.gateways.elks.sender").unwrap(), "+46766860000");
    }

    #[test]
    fn numbers_truths_and_lists_are_read_as_such() {
        let found = figment(&[
            ("alerts.undo_seconds", "3"),
            ("sms.gateways.elks.simulator", "true"),
            ("sms.route", "[\"elks\"]"),
            ("alerts.approval", "{above=300}"),
        ]);
        assert_eq!(found.extract_inner::<u32>("alerts.undo_seconds").unwrap(), 3);
        assert!(found.extract_inner::<bool>("sms.gateways.elks.simulator").unwrap());
        assert_eq!(found.extract_inner::<Vec<String>>("sms.route").unwrap(), ["elks"]);
        assert_eq!(found.extract_inner::<u32>("alerts.approval.above").unwrap(), 300);
    }
}
