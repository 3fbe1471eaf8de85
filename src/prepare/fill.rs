//! Filling holes inside the ice by harmonic interpolation, so that the product reaches the coast.

use ndarray::Array2;
use rayon::prelude::*;

use super::laplace::{Laplace, NO_CELL};

/// The holes of a field: cells of `ice` without a value that have data within reach.
pub(super) struct Holes {
    shape: (usize, usize),
    /// Flat index of each cell to fill.
    cells: Vec<u32>,
    /// For each cell to fill: up, down, left, right, as flat indices of cells that are data or to fill.
    neighbours: Vec<[u32; 4]>,
    /// For each cell of the grid its number among the cells to fill.
    numbers: Vec<u32>,
}

impl Holes {
    /// Finds the holes of `values` that have data at most `reach` cells away.
    /// Groups of cells that touch no data are no holes: nothing could be filled in there.
    pub(super) fn find(values: &Array2<f32>, ice: &Array2<bool>, reach: f64) -> Self {
        let (rows, columns) = values.dim();
        let flat: Vec<f32> = values.iter().copied().collect();
        let nearest = distance_to_data(values);
        let to_fill: Vec<bool> = flat
            .iter()
            .zip(ice)
            .zip(&nearest)
            .map(|((value, &ice), &distance)| value.is_nan() && ice && distance <= reach)
            .collect();
        let around = |cell: usize| {
            let (row, column) = (cell / columns, cell % columns);
            [
                (row > 0).then(|| cell - columns),
                (row + 1 < rows).then(|| cell + columns),
                (column > 0).then(|| cell - 1),
                (column + 1 < columns).then(|| cell + 1),
            ]
        };
        let reached = reached_from_data(&flat, &to_fill, around);
        let cells: Vec<u32> = (0..flat.len()).filter(|&cell| reached[cell]).map(|cell| cell as u32).collect();
        let mut numbers = vec![NO_CELL; flat.len()];
        for (number, &cell) in cells.iter().enumerate() {
            numbers[cell as usize] = number as u32;
        }
        let passes = |cell: usize| reached[cell] || !flat[cell].is_nan();
        let neighbours = cells
            .iter()
            .map(|&cell| {
                around(cell as usize)
                    .map(|near| near.filter(|&near| passes(near)).map_or(NO_CELL, |near| near as u32))
            })
            .collect();
        Self { shape: (rows, columns), cells, neighbours, numbers }
    }

    /// True in the cells that are filled.
    pub(super) fn filled(&self) -> Array2<bool> {
        let mut filled = Array2::from_elem(self.shape, false);
        for &cell in &self.cells {
            filled[self.place(cell)] = true;
        }
        filled
    }

    /// Fills the holes of fields: each cell is the mean of its neighbours that are data or filled (Laplace's equation; nothing flows
    /// through land, open water or cells beyond reach). The fields must have the same valid cells as the one that was searched.
    pub(super) fn fill(&self, fields: &mut [&mut Array2<f32>]) {
        if self.cells.is_empty() {
            return;
        }
        let laplace = self.laplace();
        fields.par_iter_mut().for_each(|values| {
            let (right, mean) = self.right_side(values);
            for (&cell, value) in self.cells.iter().zip(laplace.solve(&right, mean)) {
                values[self.place(cell)] = value as f32;
            }
        });
    }

    fn place(&self, cell: u32) -> (usize, usize) {
        (cell as usize / self.shape.1, cell as usize % self.shape.1)
    }

    /// The equations: degree * x - sum of neighbours to fill = sum of neighbours that are data.
    fn laplace(&self) -> Laplace {
        let place = |&cell: &u32| {
            let (row, column) = self.place(cell);
            (row as u32, column as u32)
        };
        let unknown = |&cell: &u32| if cell == NO_CELL { NO_CELL } else { self.numbers[cell as usize] };
        Laplace::new(
            self.cells.iter().map(place).collect(),
            self.neighbours.iter().map(|near| near.each_ref().map(unknown)).collect(),
            self.neighbours.iter().map(degree).collect(),
        )
    }

    /// The sums over neighbours that are data, and the mean of these.
    fn right_side(&self, values: &Array2<f32>) -> (Vec<f64>, f64) {
        let (mut total, mut count) = (0.0, 0_usize);
        let right = self.neighbours.iter().map(|near| {
            let known = self.known(near).map(|cell| f64::from(values[self.place(cell as u32)]));
            let (sum, number) = known.fold((0.0, 0), |(sum, number), value| (sum + value, number + 1));
            (total, count) = (total + sum, count + number);
            sum
        });
        (right.collect(), total / count.max(1) as f64)
    }

    /// The neighbours that are data.
    fn known<'a>(&'a self, near: &'a [u32; 4]) -> impl Iterator<Item = usize> + 'a {
        near.iter()
            .filter(|&&cell| cell != NO_CELL && self.numbers[cell as usize] == NO_CELL)
            .map(|&cell| cell as usize)
    }
}

fn degree(near: &[u32; 4]) -> f64 {
    near.iter().filter(|&&cell| cell != NO_CELL).count() as f64
}

/// The cells to fill that are connected with data through cells to fill.
fn reached_from_data(
    values: &[f32],
    to_fill: &[bool],
    around: impl Fn(usize) -> [Option<usize>; 4],
) -> Vec<bool> {
    let touches_data = |cell: usize| around(cell).into_iter().flatten().any(|near| !values[near].is_nan());
    let mut reached = vec![false; values.len()];
    let mut open: Vec<usize> =
        (0..values.len()).filter(|&cell| to_fill[cell] && touches_data(cell)).collect();
    for &cell in &open {
        reached[cell] = true;
    }
    while let Some(cell) = open.pop() {
        for near in around(cell).into_iter().flatten() {
            if to_fill[near] && !reached[near] {
                reached[near] = true;
                open.push(near);
            }
        }
    }
    reached
}

/// Euclidean distance from each cell to the nearest one with a value, in cells; infinite where there is none. Row-major.
fn distance_to_data(values: &Array2<f32>) -> Vec<f64> {
    distance_to(&values.mapv(|value| !value.is_nan()))
}

/// Euclidean distance from each cell to the nearest one that is true, in cells; infinite where there is none. Row-major.
/// Exact, by lower envelopes of parabolas (Felzenszwalb and Huttenlocher 2012): along the columns, then along the rows.
pub(super) fn distance_to(to: &Array2<bool>) -> Vec<f64> {
    let mut squares = to.mapv(|there| if there { 0.0 } else { f64::INFINITY });
    for axis in [0, 1] {
        ndarray::Zip::from(squares.lanes_mut(ndarray::Axis(axis))).par_for_each(|mut lane| {
            let transformed = lower_envelope(&lane.to_vec());
            lane.iter_mut().zip(transformed).for_each(|(cell, square)| *cell = square);
        });
    }
    squares.iter().map(|square| square.sqrt()).collect()
}

/// For each position the least of `heights[i] + (position - i)^2`.
fn lower_envelope(heights: &[f64]) -> Vec<f64> {
    let mut parabolas: Vec<(usize, f64)> = Vec::new();
    for (position, &height) in heights.iter().enumerate().filter(|(_, height)| height.is_finite()) {
        let lifted = |index: usize, height: f64| height + (index * index) as f64;
        loop {
            let Some(&(last, begins)) = parabolas.last() else {
                parabolas.push((position, f64::NEG_INFINITY));
                break;
            };
            let crossing =
                (lifted(position, height) - lifted(last, heights[last])) / (2.0 * (position - last) as f64);
            if crossing > begins {
                parabolas.push((position, crossing));
                break;
            }
            parabolas.pop();
        }
    }
    let mut current = 0;
    (0..heights.len())
        .map(|position| {
            while current + 1 < parabolas.len() && parabolas[current + 1].1 < position as f64 {
                current += 1;
            }
            parabolas.get(current).map_or(f64::INFINITY, |&(centre, _)| {
                heights[centre] + (position as f64 - centre as f64).powi(2)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    use super::*;

    const NAN: f32 = f32::NAN;

    fn everywhere(shape: (usize, usize)) -> Array2<bool> {
        Array2::from_elem(shape, true)
    }

    #[test]
    fn a_hole_between_two_values_is_filled_by_a_straight_line() {
        let mut values = ndarray::array![[1.0, NAN, NAN, NAN, 5.0]];
        let holes = Holes::find(&values, &everywhere((1, 5)), 50.0);
        holes.fill(&mut [&mut values]);
        for (value, expected) in values.iter().zip([1.0, 2.0, 3.0, 4.0, 5.0]) {
            assert_abs_diff_eq!(*value, expected, epsilon = 1e-5);
        }
        assert_eq!(holes.filled(), ndarray::array![[false, true, true, true, false]]);
    }

    #[test]
    fn nothing_passes_through_land_and_nothing_is_filled_out_of_reach() {
        // The last column is beyond a wall of land; the fourth is too far from data.
        let values = ndarray::array![[2.0, NAN, NAN, NAN, NAN, NAN]];
        let mut ice = everywhere((1, 6));
        ice[[0, 4]] = false;
        let holes = Holes::find(&values, &ice, 2.0);
        assert_eq!(holes.filled(), ndarray::array![[false, true, true, false, false, false]]);
        let mut filled = values.clone();
        holes.fill(&mut [&mut filled]);
        assert_abs_diff_eq!(filled[[0, 2]], 2.0, epsilon = 1e-6);
        assert!(filled[[0, 3]].is_nan() && filled[[0, 5]].is_nan());
    }

    proptest! {
        #[test]
        fn filled_values_are_harmonic(
            cells in prop::collection::vec((any::<bool>(), 0.0_f32..5.0, prop::bool::weighted(0.85)), 64)
        ) {
            let shape = (8, 8);
            let values = Array2::from_shape_fn(shape, |(r, c)| { let (hole, value, _) = cells[8 * r + c]; if hole { NAN } else { value } });
            let ice = Array2::from_shape_fn(shape, |(r, c)| cells[8 * r + c].2);
            let holes = Holes::find(&values, &ice, 3.0);
            let mut filled = values.clone();
            holes.fill(&mut [&mut filled]);
            let mask = holes.filled();
            for ((r, c), &is_filled) in mask.indexed_iter() {
                if !is_filled {
                    prop_assert_eq!(filled[[r, c]].to_bits(), values[[r, c]].to_bits());
                    continue;
                }
                prop_assert!(ice[[r, c]] && values[[r, c]].is_nan());
                let near: Vec<f32> = [(r.wrapping_sub(1), c), (r + 1, c), (r, c.wrapping_sub(1)), (r, c + 1)]
                    .into_iter()
                    .filter_map(|cell| filled.get(cell).copied().filter(|value| !value.is_nan()))
                    .collect();
                let mean = near.iter().sum::<f32>() / near.len() as f32;
                prop_assert!((filled[[r, c]] - mean).abs() < 1e-4, "{} against {}", filled[[r, c]], mean);
            }
        }

        #[test]
        fn distances_are_those_to_the_nearest_data(data in prop::collection::vec(prop::bool::weighted(0.1), 7 * 9)) {
            let values = Array2::from_shape_fn((7, 9), |(r, c)| if data[9 * r + c] { 1.0 } else { NAN });
            let found = distance_to_data(&values);
            for r in 0..7 {
                for c in 0..9 {
                    let nearest = (0..63).filter(|&cell| data[cell])
                        .map(|cell| ((cell / 9) as f64 - r as f64).hypot((cell % 9) as f64 - c as f64))
                        .fold(f64::INFINITY, f64::min);
                    prop_assert!(found[9 * r + c].total_cmp(&nearest).is_eq() || (found[9 * r + c] - nearest).abs() < 1e-9);
                }
            }
        }
    }
}
