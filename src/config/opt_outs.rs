//! Owns `[opt_outs]`: where the journal of opt-outs and erasures is kept, and under which key.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, Database, Secret};

/// The journal of opt-outs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptOuts {
    /// `auto`, a path, or empty for none.
    pub journal_file: String,
    /// Base64 of 32 octets; empty = in a file beside the journal.
    pub journal_key: Secret,
    /// File that holds the key.
    #[serde(default)]
    pub journal_key_file: Option<PathBuf>,
    /// Journals of other daemons, read when a restored database is resumed.
    pub also_read: Vec<PathBuf>,
}

impl OptOuts {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !self.journal_key.is_empty() && self.key().is_none() {
            return Err(ConfigError::invalid("opt_outs.journal_key", "must be base64 of 32 bytes"));
        }
        Ok(())
    }

    /// The configured key, if one is.
    #[must_use]
    pub fn key(&self) -> Option<[u8; 32]> {
        data_encoding::BASE64.decode(self.journal_key.expose().trim().as_bytes()).ok()?.try_into().ok()
    }

    /// The journal's file, where one is kept.
    #[must_use]
    pub fn file(&self, database: &Database) -> Option<PathBuf> {
        if self.journal_file != "auto" {
            return super::optional_path(&self.journal_file);
        }
        // A database in memory is gone with its process.
        let beside = database.sqlite_file().filter(|file| !file.to_string_lossy().contains(":memory:"))?;
        Some(PathBuf::from(format!("{}.opt-outs", beside.display())))
    }
}
