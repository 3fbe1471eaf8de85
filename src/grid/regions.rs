//! The seas of a grid: which cell belongs to which.

use std::fs;
use std::path::Path;

use ndarray::Array2;
use serde::Deserialize;

use super::{GridError, GridSpec, LonLat};

/// One sea.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Short name for machines, such as `laptev-sea`.
    pub id: String,
    /// Name for people.
    pub title: String,
}

/// The seas of a grid.
#[derive(Debug, Clone)]
pub struct Regions {
    /// Where their limits come from, in a sentence.
    pub source: String,
    /// The seas.
    pub list: Vec<Region>,
    /// For each cell, land or not, which of them it belongs to, `[row, column]`; None where to none.
    pub index: Array2<Option<u8>>,
}

/// A file of regions as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionFile {
    source: String,
    #[serde(rename = "region")]
    regions: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    title: String,
    /// Longitude and latitude of the corners, degrees; without it the region is what the others leave.
    ring: Option<Vec<[f64; 2]>>,
}

impl Regions {
    /// Reads the regions of a file and finds the cells of `grid` that lie in each. The sides of a region are straight in the plane of
    /// the grid's projection; where regions overlap, the first in the file has the cell.
    ///
    /// # Errors
    /// [`GridError::Regions`], [`GridError::File`], [`GridError::Unprojectable`].
    pub fn load(path: &Path, grid: &GridSpec) -> Result<Self, GridError> {
        let text =
            fs::read_to_string(path).map_err(|source| GridError::File { path: path.to_owned(), source })?;
        let refuse = |reason: String| GridError::Regions { path: path.to_owned(), reason };
        let file: RegionFile = toml::from_str(&text).map_err(|error| refuse(error.message().to_owned()))?;
        if file.regions.is_empty() || file.regions.len() > usize::from(u8::MAX) {
            return Err(refuse(format!("it has {} regions, not 1 to 255", file.regions.len())));
        }
        let mut index = Array2::from_elem(grid.shape(), None);
        for (number, entry) in file.regions.iter().enumerate() {
            match &entry.ring {
                Some(ring) if ring.len() < 3 => {
                    return Err(refuse(format!("the ring of {} has less than three corners", entry.id)));
                }
                Some(ring) => fill(&mut index, &corners(ring, grid)?, number as u8),
                None => index.mapv_inplace(|cell| cell.or(Some(number as u8))),
            }
        }
        let list = file.regions.into_iter().map(|Entry { id, title, .. }| Region { id, title }).collect();
        Ok(Self { source: file.source, list, index })
    }
}

/// Row and column of each corner of a ring; whole numbers are cell centres.
fn corners(ring: &[[f64; 2]], grid: &GridSpec) -> Result<Vec<(f64, f64)>, GridError> {
    let corner = |&[lon, lat]: &[f64; 2]| {
        let (x_m, y_m) = grid.projection.from_lonlat(LonLat { lon, lat })?;
        Ok(grid.position(x_m, y_m))
    };
    ring.iter().map(corner).collect()
}

/// Gives the cells inside a ring that belong to no region yet to `number`, row by row: between an odd crossing of the ring and the
/// next one a row is inside.
fn fill(index: &mut Array2<Option<u8>>, ring: &[(f64, f64)], number: u8) {
    for (row, mut cells) in index.rows_mut().into_iter().enumerate() {
        let row = row as f64;
        let sides = ring.iter().zip(ring.iter().cycle().skip(1));
        let crosses = |&(&(from, _), &(to, _)): &(&(f64, f64), &(f64, f64))| (from <= row) != (to <= row);
        let mut crossings: Vec<f64> = sides
            .filter(crosses)
            .map(|(from, to)| from.1 + (row - from.0) / (to.0 - from.0) * (to.1 - from.1))
            .collect();
        crossings.sort_by(f64::total_cmp);
        for inside in crossings.chunks_exact(2) {
            let end = (inside[1].floor() + 1.0).clamp(0.0, cells.len() as f64) as usize;
            let start = (inside[0].ceil().max(0.0) as usize).min(end);
            cells.iter_mut().take(end).skip(start).for_each(|cell| {
                cell.get_or_insert(number);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On the test grid the pole lies in the middle.
    fn load(text: &str) -> Result<Regions, GridError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regions.toml");
        fs::write(&path, text).unwrap();
        Regions::load(&path, &GridSpec::test_square(40))
    }

    const TWO: &str = r#"
        source = "test"
        [[region]]
        id = "east"
        title = "East"
        ring = [[0.0, 90.0], [0.0, 80.0], [90.0, 80.0], [180.0, 80.0], [180.0, 90.0]]
        [[region]]
        id = "rest"
        title = "Rest"
    "#;

    #[test]
    fn a_cell_belongs_to_the_ring_around_it_and_what_is_left_to_the_rest() {
        let (regions, grid) = (load(TWO).unwrap(), GridSpec::test_square(40));
        let places = grid.lonlat().unwrap();
        for (place, index) in places.iter().zip(&regions.index) {
            let inside_for_sure = place.lat > 88.2 && (5.0..175.0).contains(&place.lon);
            let outside_for_sure = (-175.0..-5.0).contains(&place.lon);
            assert!(!inside_for_sure || *index == Some(0), "{place:?}");
            assert!(!outside_for_sure || *index == Some(1), "{place:?}");
        }
        assert_eq!(regions.list[0].title, "East");
    }

    #[test]
    fn a_file_that_cannot_be_meant_is_refused_with_its_name_and_the_reason() {
        for (text, word) in [
            ("source = 1", "expected a string"),
            ("source = \"x\"\nregion = []", "0 regions"),
            ("source = \"x\"\n[[region]]\nid = \"a\"\ntitle = \"A\"\nring = [[0.0, 80.0]]", "three corners"),
        ] {
            let message = load(text).unwrap_err().to_string();
            assert!(message.contains(word) && message.contains("regions.toml"), "{message}");
        }
    }
}
