//! Owns `[audit]`: where the head of the chain is anchored and how it is signed.

use std::path::PathBuf;

use serde::Deserialize;

use super::Secret;

/// The audit chain's anchor.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// File or named pipe that signed heads are appended to; empty = none.
    pub anchor_file: String,
    /// Base64 of a 32-byte Ed25519 seed (RFC 8032); empty = one kept in the database.
    pub signing_key: Secret,
    /// File that holds the seed.
    #[serde(default)]
    pub signing_key_file: Option<PathBuf>,
}

impl Audit {
    /// The anchor file, if one is set.
    #[must_use]
    pub fn anchor(&self) -> Option<PathBuf> {
        super::optional_path(&self.anchor_file)
    }
}
