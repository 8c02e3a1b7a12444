//! Owns `[region]`: which area tree is used.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;
use crate::domain::area::{Area, AreaKind, AreaTree, Place};

/// The tree above the watch areas as shipped, `config/areas/jamtland.toml`.
pub const JAMTLAND: &str = include_str!("../../config/areas/jamtland.toml");

/// Which area tree is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// TOML file with the tree; empty = [`JAMTLAND`].
    pub areas: String,
}

impl Region {
    /// The file to read, `None` for the compiled-in tree.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        super::optional_path(&self.areas)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TreeFile {
    areas: Vec<AreaEntry>,
    #[serde(default)]
    places: Vec<PlaceEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AreaEntry {
    code: String,
    name: String,
    kind: String,
    parent: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "position and precision are for the map; the keys must be accepted here")]
struct PlaceEntry {
    name: String,
    municipality: String,
    lon: Option<f64>,
    lat: Option<f64>,
    precision: Option<String>,
}

impl Region {
    /// The tree above the watch areas and the places in it.
    ///
    /// # Errors
    /// [`ConfigError`] when the file cannot be read or its tree is broken.
    pub fn tree(&self) -> Result<(AreaTree, Vec<Place>), ConfigError> {
        let invalid = |problem: String| ConfigError::invalid("region.areas", problem);
        let text = match self.file() {
            Some(file) => {
                std::fs::read_to_string(&file).map_err(|error| invalid(format!("{}: {error}", file.display())))?
            }
            None => JAMTLAND.to_owned(),
        };
        let file: TreeFile = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        let areas = file
            .areas
            .into_iter()
            .map(|entry| {
                let kind = AreaKind::from_code(&entry.kind)
                    .ok_or_else(|| invalid(format!("area {} has the unknown kind \"{}\"", entry.code, entry.kind)))?;
                Ok(Area { code: entry.code, name: entry.name, kind, parent: entry.parent })
            })
            .collect::<Result<Vec<_>, ConfigError>>()?;
        let tree = AreaTree::new(areas).map_err(|error| invalid(error.to_string()))?;
        let places =
            file.places.into_iter().map(|entry| Place { name: entry.name, municipality: entry.municipality }).collect();
        Ok((tree, places))
    }
}
