//! Holes cut into training samples, shaped like those of the satellites: strips along coasts, a disc around the pole, missing
//! vectors of the drift grid, missing pieces of concentration.

use ndarray::{Array2, ArrayView2, Zip};
use rand_chacha::ChaCha20Rng;

use crate::ensemble::dice::{below, share};

/// Side of a cell, km.
const CELL_KM: f64 = 3.0;
/// Side of a cell of the drift product, km.
const DRIFT_CELL_KM: f64 = 62.5;
/// Width of a strip along the coast in which drift, and in two of three strips thickness, too, is missing, km.
const STRIP_KM: [f64; 2] = [10.0, 60.0];
/// Radius of a disc around a pole, km. The widest of the altimeters in use leave some 220 km.
const DISC_KM: [f64; 2] = [40.0, 200.0];
/// Half axes of a hole in the concentration, km.
const PATCH_KM: [f64; 2] = [10.0, 80.0];
/// Most cells of the drift grid that are missing together.
const DRIFT_CELLS: usize = 8;
/// Most holes in a sample.
const HOLES: usize = 3;

/// What is missing in a sample, `[row, column]`.
#[derive(Debug)]
pub(super) struct Holes {
    /// Cells without drift.
    pub(super) drift: Array2<bool>,
    /// Cells without thickness.
    pub(super) thickness: Array2<bool>,
    /// Cells without concentration.
    pub(super) concentration: Array2<bool>,
}

impl Holes {
    /// Draws one to three holes, which may overlap, for a sample with the given distances to land, km.
    pub(super) fn draw(dice: &mut ChaCha20Rng, coast_km: ArrayView2<'_, f32>) -> Self {
        let shape = coast_km.dim();
        let none = || Array2::from_elem(shape, false);
        let mut holes = Self { drift: none(), thickness: none(), concentration: none() };
        for _ in 0..=below(dice, HOLES) {
            match below(dice, 4) {
                0 => holes.cut_strip(dice, coast_km),
                1 => {
                    let disc = disc(dice, shape);
                    holes.cut(&disc, dice);
                }
                2 => add(&mut holes.drift, &drift_cells(dice, shape)),
                _ => add(&mut holes.concentration, &patch(dice, shape)),
            }
        }
        holes
    }

    fn cut_strip(&mut self, dice: &mut ChaCha20Rng, coast_km: ArrayView2<'_, f32>) {
        let width_km = between(dice, STRIP_KM) as f32;
        self.cut(&coast_km.mapv(|distance| distance <= width_km), dice);
        // Deformation needs neighbouring vectors, and so ends a cell of the drift grid before the other inputs.
        let width_km = width_km + (DRIFT_CELL_KM * share(dice)) as f32;
        add(&mut self.drift, &coast_km.mapv(|distance| distance <= width_km));
    }

    /// Takes away the thickness, or the drift, or both.
    fn cut(&mut self, hole: &Array2<bool>, dice: &mut ChaCha20Rng) {
        let which = below(dice, 3);
        if which != 0 {
            add(&mut self.drift, hole);
        }
        if which != 1 {
            add(&mut self.thickness, hole);
        }
    }
}

fn add(holes: &mut Array2<bool>, more: &Array2<bool>) {
    Zip::from(holes).and(more).for_each(|hole, more| *hole |= more);
}

/// A disc whose centre lies in the sample or close to it.
fn disc(dice: &mut ChaCha20Rng, (rows, columns): (usize, usize)) -> Array2<bool> {
    let centre = [rows, columns].map(|side| side as f64 * (1.5 * share(dice) - 0.25));
    let radius = between(dice, DISC_KM) / CELL_KM;
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        (row as f64 - centre[0]).hypot(column as f64 - centre[1]) <= radius
    })
}

/// An ellipse along the axes.
fn patch(dice: &mut ChaCha20Rng, (rows, columns): (usize, usize)) -> Array2<bool> {
    let centre = [rows, columns].map(|side| side as f64 * share(dice));
    let axes = [(); 2].map(|()| between(dice, PATCH_KM) / CELL_KM);
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        ((row as f64 - centre[0]) / axes[0]).hypot((column as f64 - centre[1]) / axes[1]) <= 1.0
    })
}

/// Cells of a grid of 62.5 km that touch each other: a random walk from a random place.
fn drift_cells(dice: &mut ChaCha20Rng, (rows, columns): (usize, usize)) -> Array2<bool> {
    let side = DRIFT_CELL_KM / CELL_KM;
    let offset = [(); 2].map(|()| side * share(dice));
    let block = |index: usize, offset: f64| ((index as f64 + offset) / side) as i64;
    let mut place = [block(below(dice, rows), offset[0]), block(below(dice, columns), offset[1])];
    let mut missing = vec![place];
    for _ in 0..below(dice, DRIFT_CELLS) {
        place[below(dice, 2)] += if below(dice, 2) == 0 { 1 } else { -1 };
        missing.push(place);
    }
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        missing.contains(&[block(row, offset[0]), block(column, offset[1])])
    })
}

fn between(dice: &mut ChaCha20Rng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * share(dice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::dice::dice;

    fn cells(hole: &Array2<bool>) -> usize {
        hole.iter().filter(|&&hole| hole).count()
    }

    #[test]
    fn every_kind_of_hole_comes_and_none_takes_everything_always() {
        let coast_km = Array2::from_shape_fn((64, 64), |(row, _)| 3.0 * row as f32);
        let (mut drift, mut thickness, mut concentration, mut whole) = (0, 0, 0, 0);
        for number in 0..200 {
            let holes = Holes::draw(&mut dice(&format!("holes {number}")), coast_km.view());
            drift += usize::from(cells(&holes.drift) > 0);
            thickness += usize::from(cells(&holes.thickness) > 0);
            concentration += usize::from(cells(&holes.concentration) > 0);
            whole += usize::from(cells(&holes.thickness) == 64 * 64);
        }
        assert!(drift > 100 && thickness > 60 && concentration > 60, "{drift} {thickness} {concentration}");
        assert!(whole < 40, "{whole} of 200 samples lost all thickness");
    }

    #[test]
    fn a_strip_follows_the_coast_and_the_drift_ends_before_the_thickness() {
        let coast_km = Array2::from_shape_fn((64, 8), |(row, _)| 3.0 * row as f32);
        for number in 0..50 {
            let none = || Array2::from_elem((64, 8), false);
            let mut holes = Holes { drift: none(), thickness: none(), concentration: none() };
            holes.cut_strip(&mut dice(&format!("strip {number}")), coast_km.view());
            let width_km = |hole: &Array2<bool>| 3.0 * (cells(hole) as f64 / 8.0 - 1.0);
            assert!(width_km(&holes.thickness) <= STRIP_KM[1]);
            assert!(width_km(&holes.drift) >= width_km(&holes.thickness));
            let deepest = holes.drift.column(0).iter().rposition(|&hole| hole).unwrap();
            assert!(holes.drift.column(0).iter().take(deepest).all(|&hole| hole), "the strip has gaps");
        }
    }

    #[test]
    fn missing_drift_comes_in_cells_of_its_grid() {
        for number in 0..50 {
            let hole = drift_cells(&mut dice(&format!("drift {number}")), (128, 128));
            let count = cells(&hole);
            // A whole cell has 20 to 21 cells a side; one at the border of the sample may be cut to a single row and column.
            assert!((1..=DRIFT_CELLS * 21 * 21).contains(&count), "{count}");
        }
    }
}
