//! Owns the drawing of the municipalities: their outlines as paths of one picture.
//!
//! It is a second view of the checkboxes, never the only way to choose. Invariant: what cannot be drawn is left out, and
//! can be chosen all the same.

use std::sync::LazyLock;

use serde_json::Value;

/// Outlines by SCB's codes; `data/README` of the source: simplified, WGS 84.
const OUTLINES: &str = include_str!("../../../data/jamtland-municipalities.geojson");
/// Width of the picture in its own units; the height follows.
const WIDTH: f64 = 300.0;

/// One municipality of the drawing.
#[derive(Debug, Clone)]
pub struct Outline {
    /// SCB code.
    pub code: String,
    /// Path data.
    pub path: String,
    /// Where its name stands.
    pub label: (String, String),
}

/// The whole drawing.
#[derive(Debug, Default)]
pub struct Drawing {
    /// Width and height.
    pub size: (String, String),
    /// Every municipality.
    pub outlines: Vec<Outline>,
}

static DRAWING: LazyLock<Drawing> = LazyLock::new(|| draw(OUTLINES).unwrap_or_default());

/// The drawing of the municipalities.
#[must_use]
pub fn drawing() -> &'static Drawing {
    &DRAWING
}

/// How degrees become units: at this size of area a plain shrinking of longitudes is enough.
struct Scale {
    west: f64,
    north: f64,
    by: f64,
    shrink: f64,
}

impl Scale {
    fn at(&self, point: &Value) -> Option<(f64, f64)> {
        let (longitude, latitude) = (point.get(0)?.as_f64()?, point.get(1)?.as_f64()?);
        Some(((longitude - self.west) * self.shrink * self.by + 4.0, (self.north - latitude) * self.by + 4.0))
    }
}

fn draw(text: &str) -> Option<Drawing> {
    let all: Value = serde_json::from_str(text).ok()?;
    let corner = |at: usize| all["bbox"].get(at)?.as_f64();
    let (west, south, east, north) = (corner(0)?, corner(1)?, corner(2)?, corner(3)?);
    let shrink = ((south + north) / 2.0).to_radians().cos();
    let scale = Scale { west, north, shrink, by: (WIDTH - 8.0) / ((east - west) * shrink) };
    let outlines = all["features"].as_array()?.iter().filter_map(|feature| outline(&scale, feature)).collect();
    let height = (north - south) * scale.by + 8.0;
    Some(Drawing { size: (format!("{WIDTH:.0}"), format!("{height:.0}")), outlines })
}

fn outline(scale: &Scale, feature: &Value) -> Option<Outline> {
    let mut path = String::new();
    for ring in feature["geometry"]["coordinates"].as_array()? {
        for (place, point) in ring.as_array()?.iter().enumerate() {
            let (x, y) = scale.at(point)?;
            path.push_str(&format!("{}{x:.1} {y:.1}", if place == 0 { "M" } else { "L" }));
        }
        path.push('Z');
    }
    let (x, y) = scale.at(&feature["properties"]["label"])?;
    let code = feature["properties"]["code"].as_str()?.to_owned();
    Some(Outline { code, path, label: (format!("{x:.1}"), format!("{y:.1}")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eight_municipalities_are_drawn() {
        let codes: Vec<&str> = drawing().outlines.iter().map(|outline| outline.code.as_str()).collect();
        assert_eq!(codes, ["2303", "2305", "2309", "2313", "2321", "2326", "2361", "2380"]);
        assert!(drawing().outlines.iter().all(|one| one.path.starts_with('M') && one.path.ends_with('Z')));
        assert!(draw("{}").is_none());
    }
}
