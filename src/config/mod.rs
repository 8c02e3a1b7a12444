//! Owns the settings: the compiled-in defaults, the file, the environment, and their validation.
//!
//! It does not decide what a setting does; each table has a file of its own. Invariant: an unknown
//! key, a wrong type or a risky pair of values is found at start and named.

pub mod alerts;
pub mod audit;
pub mod database;
pub mod dispatch;
mod environment;
pub mod letters;
pub mod log;
pub mod mail;
pub mod mail_in;
pub mod opt_outs;
pub mod region;
pub mod replies;
pub mod retention;
pub mod secret;
pub mod server;
pub mod sign_in;
pub mod sms;

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Toml};
use serde::Deserialize;

pub use alerts::{Alerts, Approval, RegistrationNumbers};
pub use audit::Audit;
pub use database::Database;
pub use dispatch::{Dispatch, ResendInDoubt};
pub use letters::{Letters, QuietHours};
pub use log::{Log, LogFormat};
pub use mail::Mail;
pub use mail_in::{AfterReading, MailIn, MailboxAddress};
pub use opt_outs::OptOuts;
pub use region::Region;
pub use replies::{AnswerTemplate, Replies};
pub use retention::{Retention, Term};
pub use secret::Secret;
pub use server::{Environment, Server};
pub use sign_in::SignIn;
pub use sms::{Gateway, GatewayKind, ReceiptIds, Receipts, Sms};

/// The documented defaults, `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// All settings, validated.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses, links and proxies.
    pub server: Server,
    /// Where the data is.
    pub database: Database,
    /// The area tree.
    pub region: Region,
    /// SMS gateways.
    pub sms: Sms,
    /// The mail relay.
    pub mail: Mail,
    /// Incoming mail.
    pub mail_in: MailIn,
    /// Rules for alerts.
    pub alerts: Alerts,
    /// Rules for letters.
    pub letters: Letters,
    /// Rules for what contact persons answer.
    pub replies: Replies,
    /// How long what is personal is kept.
    pub retention: Retention,
    /// The journal of opt-outs and erasures.
    pub opt_outs: OptOuts,
    /// The audit chain's anchor.
    pub audit: Audit,
    /// The engine.
    pub dispatch: Dispatch,
    /// How people sign in.
    pub sign_in: SignIn,
    /// Log format and level.
    pub log: Log,
}

/// What is wrong with a configuration; the text names the key and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read, a key is unknown, or a value has the wrong type.
    #[error("configuration: {0}")]
    Load(Box<figment::Error>),
    /// A value is of the right type but not allowed.
    #[error("configuration: {key}: {problem}")]
    Invalid {
        /// The key, such as `sms.gateways.elks.callback_secret`.
        key: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
}

impl ConfigError {
    /// A value that is not allowed.
    pub fn invalid(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { key: key.into(), problem: problem.into() }
    }
}

/// One setting as `grannpost check` shows it.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Dotted key.
    pub key: String,
    /// The value; `***` for a secret that is set.
    pub value: String,
    /// Where it comes from: `default`, a file's name or `environment`.
    pub source: String,
}

/// A configuration and where each of its values came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The validated settings.
    pub config: Config,
    /// Every setting with its source, in order of key.
    pub settings: Vec<Setting>,
}

/// Reads defaults, then `file` (or `grannpost.toml` in the working folder), then the environment.
///
/// # Errors
/// [`ConfigError`] names the key or file and what is allowed.
pub fn load(file: Option<&Path>) -> Result<Loaded, ConfigError> {
    let mut figment = Figment::from(Toml::string(DEFAULTS));
    if let Some(file) = file {
        figment = figment.merge(Toml::file_exact(file));
    } else if Path::new("grannpost.toml").exists() {
        figment = figment.merge(Toml::file_exact("grannpost.toml"));
    }
    load_from(figment.merge(environment::Environment::read()))
}

/// Validates a configuration given as TOML texts on top of the defaults, the last one first in rank; for the demo and tests.
///
/// # Errors
/// As [`load`].
pub fn from_toml(texts: &[&str]) -> Result<Config, ConfigError> {
    let defaults = Figment::from(Toml::string(DEFAULTS));
    Ok(load_from(texts.iter().fold(defaults, |figment, text| figment.merge(Toml::string(text))))?.config)
}

fn load_from(figment: Figment) -> Result<Loaded, ConfigError> {
    let mut config: Config = figment.extract().map_err(|error| ConfigError::Load(Box::new(error)))?;
    config.resolve_secrets()?;
    config.validate()?;
    Ok(Loaded { settings: settings_of(&figment), config })
}

impl Config {
    /// Whether what is sent here reaches anybody: `live`, unless a setting or the gateways say otherwise.
    #[must_use]
    pub fn environment(&self) -> Environment {
        let is_simulated = |name: &String| self.sms.gateways.get(name).is_some_and(|gateway| gateway.simulator);
        match self.server.environment {
            Environment::Auto if !self.sms.route.is_empty() && self.sms.route.iter().all(is_simulated) => {
                Environment::Demo
            }
            Environment::Auto => Environment::Live,
            environment => environment,
        }
    }

    /// The most hand-overs in a second, of every gateway on the route and the mail relay together.
    #[must_use]
    pub fn hand_overs_per_second(&self) -> f64 {
        let gateways = self.sms.route.iter().filter_map(|name| self.sms.gateways.get(name));
        gateways.map(|gateway| gateway.rate_per_second).sum::<f64>() + self.mail.rate_per_second
    }

    /// Reads every `NAME_file` into its `NAME`.
    fn resolve_secrets(&mut self) -> Result<(), ConfigError> {
        for (name, gateway) in &mut self.sms.gateways {
            let key = |field: &str| format!("sms.gateways.{name}.{field}");
            secret::resolve(&key("password"), &mut gateway.password, gateway.password_file.as_deref())?;
            secret::resolve(
                &key("callback_secret"),
                &mut gateway.callback_secret,
                gateway.callback_secret_file.as_deref(),
            )?;
        }
        secret::resolve("mail.password", &mut self.mail.password, self.mail.password_file.as_deref())?;
        secret::resolve(
            "mail_in.imap_password",
            &mut self.mail_in.imap_password,
            self.mail_in.imap_password_file.as_deref(),
        )?;
        secret::resolve("mail.dkim_key", &mut self.mail.dkim_key, self.mail.dkim_key_file.as_deref())?;
        let OptOuts { journal_key, journal_key_file, .. } = &mut self.opt_outs;
        secret::resolve("opt_outs.journal_key", journal_key, journal_key_file.as_deref())?;
        secret::resolve("audit.signing_key", &mut self.audit.signing_key, self.audit.signing_key_file.as_deref())?;
        secret::resolve(
            "sign_in.oidc_client_secret",
            &mut self.sign_in.oidc_client_secret,
            self.sign_in.oidc_client_secret_file.as_deref(),
        )?;
        secret::resolve("database.url", &mut self.database.url, self.database.url_file.as_deref())
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.server.validate()?;
        self.database.validate()?;
        self.sms.validate()?;
        self.mail.validate()?;
        self.mail_in.validate()?;
        self.alerts.validate()?;
        self.letters.validate()?;
        self.replies.validate()?;
        self.retention.validate()?;
        self.opt_outs.validate()?;
        self.dispatch.validate()?;
        self.sign_in.validate()
    }
}

/// Every leaf of the merged configuration with its source, secrets masked.
fn settings_of(figment: &Figment) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Ok(root) = figment.extract::<figment::value::Value>() {
        collect_settings(figment, "", &root, &mut settings);
    }
    settings
}

fn collect_settings(figment: &Figment, prefix: &str, value: &figment::value::Value, into: &mut Vec<Setting>) {
    use figment::value::Value;
    if let Value::Dict(_, dict) = value {
        for (name, child) in dict {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            collect_settings(figment, &key, child, into);
        }
        return;
    }
    let text = show_value(value);
    let source = figment.find_metadata(prefix).map_or_else(String::new, |metadata| match &metadata.source {
        Some(figment::Source::File(path)) => path.display().to_string(),
        _ if metadata.name.contains("environment") => "environment".to_owned(),
        _ => "default".to_owned(),
    });
    let value = if secret::is_secret_key(prefix) { secret::mask(prefix, &text) } else { text };
    into.push(Setting { key: prefix.to_owned(), value, source });
}

fn show_value(value: &figment::value::Value) -> String {
    use figment::value::Value;
    match value {
        Value::String(_, text) => text.clone(),
        Value::Num(_, number) => number.to_i128().map_or_else(
            || number.to_f64().map_or_else(String::new, |float| float.to_string()),
            |whole| whole.to_string(),
        ),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Array(_, items) => {
            format!("[{}]", items.iter().map(show_value).collect::<Vec<_>>().join(", "))
        }
        Value::Dict(_, dict) => {
            let items = dict.iter().map(|(name, value)| format!("{name}: {}", show_value(value)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
        _ => String::new(),
    }
}

/// A path that is unset when empty.
fn optional_path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_as_they_stand() {
        let config = from_toml(&[]).expect("defaults");
        assert_eq!(config.alerts.undo_seconds, 10);
        assert!(config.sms.route.is_empty());
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = from_toml(&["[server]\nlisten_on = \"x\""]).expect_err("unknown key").to_string();
        assert!(error.contains("listen_on"), "{error}");
    }

    #[test]
    fn a_short_callback_secret_is_refused_with_its_key() {
        let text = "[sms]\nroute=[\"elks\"]\n[sms.gateways.elks]\nkind=\"46elks\"\nbase_url=\"http://127.0.0.1:1\"\nsender=\"+46766860000\"\ncallback_secret=\"short\"";
        let error = from_toml(&[text]).expect_err("short secret").to_string();
        assert!(error.contains("sms.gateways.elks.callback_secret"), "{error}");
        assert!(error.contains("32"), "{error}");
    }

    #[test]
    fn a_text_sender_on_the_route_needs_a_number_to_answer_to() {
        let gateway = "[sms]\nroute=[\"elks\"]\n[sms.gateways.elks]\nkind=\"46elks\"\nsender=\"Polisen\"\ncallback_secret=\"0123456789abcdef0123456789abcdef\"";
        for (number, is_right) in [("", false), ("Polisen", false), ("0766860000", false), ("+46766860000", true)] {
            let loaded = from_toml(&[gateway, &format!("[sms]\ninbound_reply_to = \"{number}\"")]);
            assert_eq!(loaded.is_ok(), is_right, "{number}");
            if let Err(error) = loaded {
                assert!(error.to_string().contains("sms.inbound_reply_to"), "{error}");
            }
        }
    }

    #[test]
    fn receipts_are_polled_only_where_the_history_may_be_asked() {
        let gateway = "[sms.gateways.elks]\nkind=\"46elks\"\nsender=\"+46766860000\"\ncallback_secret=\"0123456789abcdef0123456789abcdef\"\nreceipts=\"poll\"\nhistory=false";
        let error = from_toml(&[gateway]).expect_err("cannot be polled").to_string();
        assert!(error.contains("sms.gateways.elks.receipts"), "{error}");
    }

    #[test]
    fn an_smpp_gateway_says_which_of_its_keys_is_wrong() {
        let right = "kind=\"smpp\"\nurl=\"smpp://127.0.0.1:2775\"\nsystem_id=\"grann\"\nsender=\"+46766860000\"";
        let loaded = |text: &str| from_toml(&[&format!("[sms.gateways.second]\n{text}")]);
        let config = loaded(right).expect("no callback secret is needed");
        assert!(!config.sms.gateways["second"].may_ask_history());
        let table = [
            ("url", right.replace("smpp://", "http://")),
            ("url", right.replace("smpp://", "smpp://login:hemligt@")),
            ("system_id", right.replace("\"grann\"", "\"sexton-tecken-xx\"")),
            ("system_id", right.replace("\"grann\"", "\"\"")),
            ("password", format!("{right}\npassword=\"nio-tecke\"")),
            ("system_type", format!("{right}\nsystem_type=\"å\"")),
            ("receipts", format!("{right}\nreceipts=\"poll\"")),
            ("enquire_link_seconds", format!("{right}\nenquire_link_seconds=0")),
        ];
        for (key, text) in table {
            let error = loaded(&text).expect_err(key).to_string();
            assert!(error.contains(&format!("sms.gateways.second.{key}")), "{key}: {error}");
        }
    }

    #[test]
    fn a_secret_never_prints() {
        let config = from_toml(&["[mail]\npassword = \"hunter2\""]).expect("valid");
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn a_ready_answer_that_could_not_be_sent_is_refused_with_its_name() {
        assert_eq!(from_toml(&[]).expect("defaults").replies.templates.len(), 3);
        let loaded = |template: &str| from_toml(&[&format!("[replies]\ntemplates = [{template}]")]);
        assert_eq!(loaded("").expect("none is right").replies.templates.len(), 0);
        let right = "{ name = \"Tack\", text = \"Tack för hjälpen.\" }";
        assert_eq!(loaded(right).expect("one").replies.templates[0].text, "Tack för hjälpen.");
        let table = [
            ("{ text = \"Tack\" }".to_owned(), "number 1 must have a name"),
            ("{ name = \"Rad\\nrad\", text = \"Tack\" }".to_owned(), "on one line"),
            ("{ name = \"Tack\" }".to_owned(), "\"Tack\" must have a text"),
            ("{ name = \"Tack\", text = \" \" }".to_owned(), "\"Tack\" must have a text"),
            ("{ name = \"Tack\", text = \"Läs mer på polisen.se\" }".to_owned(), "must not hold a link"),
            ("{ name = \"Tack\", text = \"Du är 19121212-1212\" }".to_owned(), "text.personal_number"),
            (format!("{{ name = \"Tack\", text = \"{}\" }}", "x".repeat(2_000)), "text.too_long"),
            (format!("{right}, {right}"), "only once"),
            ([right; 21].join(","), "at most 20"),
        ];
        for (template, words) in table {
            let error = loaded(&template).expect_err(words).to_string();
            assert!(error.contains("replies.templates") && error.contains(words), "{words}: {error}");
        }
    }
}
