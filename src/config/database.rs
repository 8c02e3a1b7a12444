//! Owns `[database]`.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, Secret};

/// Where the data is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite:FILE` or `postgres://USER:PW@HOST/DB`.
    pub url: Secret,
    /// File that holds the URL.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// Connections per pool.
    pub max_connections: u32,
    /// Rows written in one transaction; a larger audience is frozen in pieces.
    pub rows_at_once: u32,
}

/// More people than this are never frozen in one transaction: it would hold up everybody else for too long.
const MOST_AT_ONCE: u32 = 200_000;

impl Database {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let url = self.url.expose();
        if !url.starts_with("sqlite:") && !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(ConfigError::invalid("database.url", "must begin with sqlite: or postgres://"));
        }
        if self.max_connections < 2 {
            return Err(ConfigError::invalid("database.max_connections", "must be at least 2"));
        }
        if !(1..=MOST_AT_ONCE).contains(&self.rows_at_once) {
            return Err(ConfigError::invalid("database.rows_at_once", "must be 1 to 200000"));
        }
        Ok(())
    }

    /// The file of an SQLite database; `None` for PostgreSQL.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        let rest = self.url.expose().strip_prefix("sqlite:")?;
        let path = rest.strip_prefix("//").unwrap_or(rest);
        Some(PathBuf::from(path.split('?').next().unwrap_or(path)))
    }
}
