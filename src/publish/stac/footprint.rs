//! Where a grid lies, in longitude and latitude, as `GeoJSON` (RFC 7946) wants it: no ring crosses the antimeridian, and a grid around
//! the pole is a cap that reaches it.

use serde_json::{Value, json};

use crate::grid::{GridError, GridSpec};

/// Corners of the outline are taken this many cells apart.
const STEP: usize = 24;

/// The outline of a grid.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Footprint {
    /// Rings of longitude and latitude, degrees, counterclockwise, the last corner being the first.
    rings: Vec<Vec<[f64; 2]>>,
    /// West, south, east, north, degrees; west is larger than east where the antimeridian lies between them.
    pub(super) bbox: [f64; 4],
}

impl Footprint {
    pub(super) fn of(grid: &GridSpec) -> Result<Self, GridError> {
        let mut outline = unwrapped(outline(grid)?);
        let round = outline[outline.len() - 1][0] - outline[0][0];
        if round.abs() > 180.0 {
            if round < 0.0 {
                outline.reverse();
            }
            return Ok(Self::cap(&outline));
        }
        if signed_area(&outline) < 0.0 {
            outline.reverse();
        }
        Ok(Self::patch(&outline))
    }

    /// What lies between an outline that goes once around the pole, eastwards, and the pole.
    fn cap(outline: &[[f64; 2]]) -> Self {
        let south = outline.iter().map(|corner| corner[1]).fold(f64::INFINITY, f64::min);
        // The outline begins anew at the antimeridian.
        let start = 360.0 * (outline[0][0] / 360.0).floor() + 180.0;
        let start = if start < outline[0][0] { start + 360.0 } else { start };
        let twice = outline.iter().copied().chain(outline[1..].iter().map(|[lon, lat]| [lon + 360.0, *lat]));
        let twice: Vec<_> = twice.collect();
        let at_start = latitude_at(&twice, start);
        let between = twice.iter().filter(|corner| corner[0] > start && corner[0] < start + 360.0);
        let corners = between.map(|[lon, lat]| [lon - start - 180.0, *lat]);
        let ring = [[-180.0, at_start]].into_iter().chain(corners).chain([
            [180.0, at_start],
            [180.0, 90.0],
            [-180.0, 90.0],
            [-180.0, at_start],
        ]);
        Self { rings: vec![ring.collect()], bbox: [-180.0, south, 180.0, 90.0] }
    }

    /// What lies inside an outline that does not go around the pole.
    fn patch(outline: &[[f64; 2]]) -> Self {
        let range = |axis: usize| {
            let values = outline.iter().map(|corner| corner[axis]);
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let ((west, east), (south, north)) = (range(0), range(1));
        // Longitudes were counted on from the first corner, so one antimeridian at most lies inside.
        let shift = 360.0 * ((west + 180.0) / 360.0).floor();
        let moved: Vec<_> = outline.iter().map(|[lon, lat]| [lon - shift, *lat]).collect();
        let (west, east) = (west - shift, east - shift);
        if east <= 180.0 {
            return Self { rings: vec![moved], bbox: [west, south, east, north] };
        }
        let beyond = cut(&moved, |lon| lon - 180.0).into_iter().map(|[lon, lat]| [lon - 360.0, lat]);
        Self {
            rings: vec![cut(&moved, |lon| 180.0 - lon), beyond.collect()],
            bbox: [west, south, east - 360.0, north],
        }
    }

    pub(super) fn geometry(&self) -> Value {
        let rings: Vec<Vec<_>> =
            self.rings.iter().map(|ring| ring.iter().map(|corner| corner.map(rounded)).collect()).collect();
        match rings.as_slice() {
            [one] => json!({ "type": "Polygon", "coordinates": [one] }),
            several => {
                let polygons: Vec<_> = several.iter().map(|ring| [ring]).collect();
                json!({ "type": "MultiPolygon", "coordinates": polygons })
            }
        }
    }
}

/// Corners along the edge of a grid, all the way round: the last is the first.
fn outline(grid: &GridSpec) -> Result<Vec<[f64; 2]>, GridError> {
    let half = grid.cell_size_m / 2.0;
    let (rows, columns) = (grid.rows, grid.columns);
    let along = |length: usize| (0..length).step_by(STEP);
    let top = along(columns).map(|column| (0, column));
    let right = along(rows).map(|row| (row, columns));
    let bottom = along(columns).map(|column| (rows, columns - column));
    let left = along(rows).map(|row| (rows - row, 0));
    let corner = |(row, column): (usize, usize)| {
        let place = grid.projection.to_lonlat(grid.x_m(column) - half, grid.y_m(row) + half)?;
        Ok([place.lon, place.lat])
    };
    top.chain(right).chain(bottom).chain(left).chain([(0, 0)]).map(corner).collect()
}

/// To ten thousandths of a degree, some 10 m.
pub(super) fn rounded(degrees: f64) -> f64 {
    (degrees * 1e4).round() / 1e4
}

/// The same corners with longitudes that never jump: they may leave -180..180.
fn unwrapped(mut corners: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    for index in 1..corners.len() {
        let before = corners[index - 1][0];
        let turns = ((corners[index][0] - before) / 360.0).round();
        corners[index][0] -= 360.0 * turns;
    }
    corners
}

/// Twice the area of a ring; above 0 where it goes round counterclockwise.
fn signed_area(ring: &[[f64; 2]]) -> f64 {
    ring.windows(2).map(|side| side[0][0] * side[1][1] - side[1][0] * side[0][1]).sum()
}

/// The latitude of a line of corners that go east, at a longitude.
fn latitude_at(line: &[[f64; 2]], lon: f64) -> f64 {
    let side = line.windows(2).find(|side| side[0][0] <= lon && lon <= side[1][0]);
    side.map_or(line[0][1], |side| crossing(side[0], side[1], lon))
}

/// The latitude at which the side between two corners has a longitude.
fn crossing(from: [f64; 2], to: [f64; 2], lon: f64) -> f64 {
    let length = to[0] - from[0];
    if length == 0.0 { from[1] } else { from[1] + (to[1] - from[1]) * (lon - from[0]) / length }
}

/// The part of a closed ring in which `side` of the longitude, 0 on the cut, is not below 0 (Sutherland and Hodgman 1974).
fn cut(ring: &[[f64; 2]], side: impl Fn(f64) -> f64) -> Vec<[f64; 2]> {
    let mut kept = Vec::new();
    for pair in ring.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        if side(from[0]) >= 0.0 {
            kept.push(from);
        }
        if side(from[0]) * side(to[0]) < 0.0 {
            kept.push([180.0, crossing(from, to, 180.0)]);
        }
    }
    kept.extend(kept.first().copied());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x_m: f64, y_m: f64, size: usize) -> Footprint {
        let middle = 5000.0 * (size as f64 - 1.0);
        let grid = GridSpec {
            first_cell_centre_x_m: x_m - middle,
            first_cell_centre_y_m: y_m + middle,
            ..GridSpec::test_square(size)
        };
        Footprint::of(&grid).unwrap()
    }

    /// Every side is short in longitude, so that none runs around the Earth, but for the one along the pole.
    fn is_sound(footprint: &Footprint) -> bool {
        footprint.rings.iter().all(|ring| {
            let closed = ring.first() == ring.last() && ring.len() > 3;
            let inside = ring.iter().all(|[lon, lat]| lon.abs() <= 180.0 && lat.abs() <= 90.0);
            let sides = ring
                .windows(2)
                .all(|side| (side[0][0] - side[1][0]).abs() < 180.0 || side[0][1].min(side[1][1]) >= 90.0);
            closed && inside && sides && signed_area(ring) > 0.0
        })
    }

    #[test]
    fn a_grid_around_the_pole_is_a_cap() {
        for offset in [0.0, 3e5, -3e5] {
            let footprint = at(offset, 0.5 * offset, 100);
            assert!(is_sound(&footprint), "{footprint:?}");
            assert_eq!((footprint.rings.len(), footprint.bbox[0], footprint.bbox[3]), (1, -180.0, 90.0));
            assert!(footprint.bbox[1] > 79.0 && footprint.bbox[1] < 85.0, "{:?}", footprint.bbox);
        }
    }

    #[test]
    fn a_grid_across_the_antimeridian_is_two_patches() {
        // Straight up from the pole at longitude -45 + 180 lies 135 east; the antimeridian lies 45 degrees from it.
        let footprint = at(-1.2e6, 1.2e6, 60);
        assert!(is_sound(&footprint), "{footprint:?}");
        assert_eq!(footprint.geometry()["type"], "MultiPolygon");
        assert!(footprint.bbox[0] > 0.0 && footprint.bbox[2] < 0.0, "{:?}", footprint.bbox);
    }

    #[test]
    fn any_other_grid_is_one_patch() {
        let footprint = at(1.5e6, -1.5e6, 40);
        assert!(is_sound(&footprint), "{footprint:?}");
        assert_eq!(footprint.geometry()["type"], "Polygon");
        assert!(footprint.bbox[0] < footprint.bbox[2], "{:?}", footprint.bbox);
    }
}
