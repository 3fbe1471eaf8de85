//! Remapping: sparse weights from the cells of one grid to the cells of another, built once, stored, and applied as a product.

use std::fs;
use std::path::PathBuf;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{GridError, GridSpec, LonLat};
use crate::sys;

/// Radius of the sphere that distances are measured on, km.
const EARTH_RADIUS_KM: f64 = 6371.228;

/// How much longer than the true distance a distance on a source grid may be. The polar grids in use reach 1.13 at 45 degrees
/// north; the margin keeps every neighbour of any of their cells inside the search window.
const LARGEST_MAP_SCALE: f64 = 1.25;

/// First bytes of a stored weights file; the digit is the version of the layout.
const MAGIC: &[u8; 8] = b"NILASW1\n";

/// How a target cell weighs the source cells around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kernel {
    /// exp(-d^2/s^2) over every cell within a great-circle distance.
    Gaussian {
        /// s, km.
        scale_km: f64,
        /// Largest distance, km.
        radius_km: f64,
    },
    /// The four surrounding cells, bilinear on the source grid.
    Bilinear,
}

/// Sparse weights from a source grid to the wanted cells of a target grid (compressed rows).
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    source_shape: (usize, usize),
    target_shape: (usize, usize),
    /// Flat index of each target cell that has neighbours.
    targets: Vec<u32>,
    /// Where the neighbours of each target begin; one longer than `targets`.
    starts: Vec<u32>,
    /// Flat index of each neighbour on the source grid.
    sources: Vec<u32>,
    /// The weight of each neighbour.
    values: Vec<f32>,
}

impl Weights {
    /// Builds the weights for the cells of `target` where `wanted` is true.
    ///
    /// # Errors
    /// [`GridError::Unprojectable`] when a target cell has no place on the source grid's projection.
    pub fn build(
        source: &GridSpec,
        target: &GridSpec,
        wanted: &Array2<bool>,
        kernel: Kernel,
    ) -> Result<Self, GridError> {
        let source_vectors = match kernel {
            Kernel::Gaussian { .. } => source.lonlat()?.mapv(LonLat::unit_vector),
            Kernel::Bilinear => Array2::from_elem((0, 0), [0.0; 3]),
        };
        let rows = (0..target.rows)
            .into_par_iter()
            .map(|row| {
                let mut out = Row::default();
                for column in (0..target.columns).filter(|&column| wanted[[row, column]]) {
                    let place = target.projection.to_lonlat(target.x_m(column), target.y_m(row))?;
                    let (x_m, y_m) = source.projection.from_lonlat(place)?;
                    let position = source.position(x_m, y_m);
                    let before = out.sources.len();
                    match kernel {
                        Kernel::Gaussian { scale_km, radius_km } => {
                            let reach = Reach { scale_km, radius_km, centre: place.unit_vector() };
                            reach.gather(source, &source_vectors, position, &mut out);
                        }
                        Kernel::Bilinear => gather_bilinear(source, position, &mut out),
                    }
                    if out.sources.len() > before {
                        out.targets.push((row * target.columns + column) as u32);
                        out.lengths.push((out.sources.len() - before) as u32);
                    }
                }
                Ok(out)
            })
            .collect::<Result<Vec<Row>, GridError>>()?;
        Ok(Self::join(source.shape(), target.shape(), rows))
    }

    fn join(source_shape: (usize, usize), target_shape: (usize, usize), rows: Vec<Row>) -> Self {
        let mut joined = Self {
            source_shape,
            target_shape,
            targets: Vec::with_capacity(rows.iter().map(|row| row.targets.len()).sum()),
            starts: vec![0],
            sources: Vec::with_capacity(rows.iter().map(|row| row.sources.len()).sum()),
            values: Vec::with_capacity(rows.iter().map(|row| row.weights.len()).sum()),
        };
        let mut end = 0;
        for row in rows {
            joined.targets.extend(row.targets);
            joined.sources.extend(row.sources);
            joined.values.extend(row.weights);
            for length in row.lengths {
                end += length;
                joined.starts.push(end);
            }
        }
        joined
    }

    /// Remaps `values` of the source grid. A target cell is valid where the weights of its valid neighbours
    /// (those not NaN) are at least half of the weights of all its neighbours; it is NaN elsewhere.
    ///
    /// # Panics
    /// Never for an array of the source grid's shape.
    #[must_use]
    pub fn apply(&self, values: ArrayView2<'_, f32>) -> Array2<f32> {
        assert_eq!(values.dim(), self.source_shape, "the values must lie on the source grid of the weights");
        let values = values.as_standard_layout();
        let flat: Vec<f32> = values.iter().copied().collect();
        let results: Vec<f32> = (0..self.targets.len())
            .into_par_iter()
            .map(|target| {
                let neighbours = self.starts[target] as usize..self.starts[target + 1] as usize;
                let (mut sum, mut valid, mut all) = (0.0_f64, 0.0_f64, 0.0_f64);
                for (&source, &weight) in
                    self.sources[neighbours.clone()].iter().zip(&self.values[neighbours])
                {
                    let (value, weight) = (flat[source as usize], f64::from(weight));
                    all += weight;
                    if !value.is_nan() {
                        valid += weight;
                        sum += weight * f64::from(value);
                    }
                }
                if valid > 0.0 && valid >= 0.5 * all { (sum / valid) as f32 } else { f32::NAN }
            })
            .collect();
        let mut out = Array2::from_elem(self.target_shape, f32::NAN);
        for (&target, result) in self.targets.iter().zip(results) {
            out[[target as usize / self.target_shape.1, target as usize % self.target_shape.1]] = result;
        }
        out
    }

    /// The value of the source cell that weighs most, which for a Gaussian kernel is the nearest one; `None` where the source grid
    /// does not reach.
    ///
    /// # Panics
    /// Never for an array of the source grid's shape.
    #[must_use]
    pub fn heaviest<T: Copy>(&self, values: ArrayView2<'_, T>) -> Array2<Option<T>> {
        assert_eq!(values.dim(), self.source_shape, "the values must lie on the source grid of the weights");
        let columns = (self.source_shape.1, self.target_shape.1);
        let mut out = Array2::from_elem(self.target_shape, None);
        for (&target, bounds) in self.targets.iter().zip(self.starts.windows(2)) {
            let neighbours = bounds[0] as usize..bounds[1] as usize;
            let heaviest = neighbours.max_by(|&a, &b| self.values[a].total_cmp(&self.values[b]));
            let source = heaviest.map(|neighbour| self.sources[neighbour] as usize);
            out[[target as usize / columns.1, target as usize % columns.1]] =
                source.map(|source| values[[source / columns.0, source % columns.0]]);
        }
        out
    }

    fn to_bytes(&self) -> Vec<u8> {
        let shapes = [self.source_shape.0, self.source_shape.1, self.target_shape.0, self.target_shape.1];
        let lengths = [self.targets.len(), self.sources.len()];
        let mut bytes = Vec::with_capacity(128 + 4 * (2 * self.targets.len() + 2 * self.sources.len()));
        bytes.extend_from_slice(MAGIC);
        for number in shapes.into_iter().chain(lengths) {
            bytes.extend_from_slice(&(number as u64).to_le_bytes());
        }
        for numbers in [&self.targets, &self.starts, &self.sources] {
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
        bytes.extend(self.values.iter().flat_map(|weight| weight.to_le_bytes()));
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        bytes
    }

    /// The weights in `bytes`, or `None` where these are not a whole, unharmed weights file.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        if Sha256::digest(body).as_slice() != digest {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let mut number = || {
            let (head, tail) = rest.split_at_checked(8)?;
            rest = tail;
            usize::try_from(u64::from_le_bytes(head.try_into().ok()?)).ok()
        };
        let source_shape = (number()?, number()?);
        let target_shape = (number()?, number()?);
        let (targets, entries) = (number()?, number()?);
        let mut words = rest.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]);
        let mut take =
            |count: usize| words.by_ref().take(count).map(u32::from_le_bytes).collect::<Vec<u32>>();
        Some(Self {
            source_shape,
            target_shape,
            targets: take(targets),
            starts: take(targets + 1),
            sources: take(entries),
            values: take(entries).into_iter().map(f32::from_bits).collect(),
        })
    }
}

/// The neighbours found for the cells of one target row.
#[derive(Default)]
struct Row {
    targets: Vec<u32>,
    lengths: Vec<u32>,
    sources: Vec<u32>,
    weights: Vec<f32>,
}

impl Row {
    fn push(&mut self, source: usize, weight: f64) {
        self.sources.push(source as u32);
        self.weights.push(weight as f32);
    }
}

/// The disc that a Gaussian weight reaches around one target cell.
struct Reach {
    scale_km: f64,
    radius_km: f64,
    centre: [f64; 3],
}

impl Reach {
    fn gather(
        &self,
        source: &GridSpec,
        vectors: &Array2<[f64; 3]>,
        (row, column): (f64, f64),
        out: &mut Row,
    ) {
        let half_width = self.radius_km * 1000.0 * LARGEST_MAP_SCALE / source.cell_size_m;
        for r in cells_between(row - half_width, row + half_width, source.rows) {
            for c in cells_between(column - half_width, column + half_width, source.columns) {
                let distance_km = self.distance_km(vectors[[r, c]]);
                if distance_km <= self.radius_km {
                    out.push(r * source.columns + c, (-(distance_km / self.scale_km).powi(2)).exp());
                }
            }
        }
    }

    fn distance_km(&self, other: [f64; 3]) -> f64 {
        let chord = self.centre.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        2.0 * EARTH_RADIUS_KM * (0.5 * chord).asin()
    }
}

fn gather_bilinear(source: &GridSpec, (row, column): (f64, f64), out: &mut Row) {
    for r in cells_between(row.floor(), row.floor() + 1.0, source.rows) {
        for c in cells_between(column.floor(), column.floor() + 1.0, source.columns) {
            let weight = (1.0 - (row - r as f64).abs()) * (1.0 - (column - c as f64).abs());
            if weight > 0.0 {
                out.push(r * source.columns + c, weight);
            }
        }
    }
}

/// The whole numbers from `first` to `last` that are indices below `length`.
fn cells_between(first: f64, last: f64, length: usize) -> std::ops::Range<usize> {
    let start = first.ceil().max(0.0) as usize;
    let end = (last.floor() + 1.0).clamp(0.0, length as f64) as usize;
    start..end.max(start)
}

/// A folder of stored weights, so that each pair of grids is worked out once.
#[derive(Debug, Clone)]
pub struct RemapCache {
    folder: PathBuf,
}

impl RemapCache {
    /// Keeps weights in `folder`, which is made when first needed.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The weights from `source` to the `wanted` cells of `target`: read from the folder, or built and stored there.
    /// A stored file that is damaged is reported and built again; a folder that cannot be written costs only time and is reported.
    ///
    /// # Errors
    /// [`GridError::Unprojectable`] as in [`Weights::build`].
    pub fn weights(
        &self,
        source: &GridSpec,
        target: &GridSpec,
        wanted: &Array2<bool>,
        kernel: Kernel,
    ) -> Result<Weights, GridError> {
        let path = self.folder.join(format!(
            "{}-to-{}-{}.weights",
            source.name,
            target.name,
            &fingerprint(source, target, wanted, kernel)[..16]
        ));
        if let Ok(bytes) = fs::read(&path) {
            match Weights::from_bytes(&bytes) {
                Some(weights) => return Ok(weights),
                None => {
                    tracing::warn!(path = %path.display(), "stored remap weights are damaged; building them again");
                }
            }
        }
        let weights = Weights::build(source, target, wanted, kernel)?;
        if let Err(error) = sys::replace_file(&path, &weights.to_bytes()) {
            tracing::warn!(path = %path.display(), %error, "remap weights could not be stored; the next run builds them again");
        }
        Ok(weights)
    }
}

/// Everything that the weights depend on, as one hexadecimal number.
fn fingerprint(source: &GridSpec, target: &GridSpec, wanted: &Array2<bool>, kernel: Kernel) -> String {
    let cells = wanted.iter().map(|&cell| u8::from(cell));
    let mut text = format!("{source:?}|{target:?}|{kernel:?}|").into_bytes();
    text.extend(cells);
    sys::sha256(text)
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    use super::*;

    const GAUSSIAN: Kernel = Kernel::Gaussian { scale_km: 10.0, radius_km: 20.0 };

    fn everywhere(grid: &GridSpec) -> Array2<bool> {
        Array2::from_elem(grid.shape(), true)
    }

    /// Nine cells of 3 km in the middle of the 10 km test grid.
    fn fine() -> GridSpec {
        GridSpec {
            rows: 3,
            columns: 3,
            cell_size_m: 3_000.0,
            first_cell_centre_x_m: -3_000.0,
            first_cell_centre_y_m: 3_000.0,
            ..GridSpec::test_square(1)
        }
    }

    fn weights(kernel: Kernel) -> Weights {
        Weights::build(&GridSpec::test_square(9), &fine(), &everywhere(&fine()), kernel).unwrap()
    }

    #[test]
    fn only_cells_within_the_radius_count() {
        let weights = weights(GAUSSIAN);
        let centre = weights.starts[4] as usize..weights.starts[5] as usize;
        // Map scale is 0.97 at the pole: cells of 10 km are 10.3 km apart there, so two steps along an axis are out of reach.
        assert_eq!(weights.sources[centre.clone()].len(), 9);
        let nearest = weights.values[centre].iter().copied().fold(0.0, f32::max);
        assert_abs_diff_eq!(nearest, 1.0, epsilon = 1e-6);
    }

    #[test]
    fn a_cell_with_less_than_half_of_its_weights_valid_is_not_valid() {
        let weights = weights(Kernel::Bilinear);
        let mut values = Array2::from_elem((9, 9), 1.0);
        values[[4, 4]] = f32::NAN;
        let out = weights.apply(values.view());
        assert!(out[[1, 1]].is_nan());
        let mut values = Array2::from_elem((9, 9), f32::NAN);
        values[[4, 4]] = 1.0;
        let out = weights.apply(values.view());
        // Seven tenths of the weight are on the centre.
        assert_abs_diff_eq!(out[[1, 0]], 1.0, epsilon = 1e-6);
        assert!(out[[0, 0]].is_nan(), "only 0.49 of the weight is on the centre");
    }

    #[test]
    fn the_heaviest_source_cell_is_the_nearest() {
        let (source, target) = (GridSpec::test_square(6), GridSpec::test_square(6));
        let kernel = Kernel::Gaussian { scale_km: 10.0, radius_km: 15.0 };
        let weights = Weights::build(&source, &target, &everywhere(&target), kernel).unwrap();
        let numbers = Array2::from_shape_fn((6, 6), |(row, column)| 6 * row + column);
        assert_eq!(weights.heaviest(numbers.view()), numbers.mapv(Some));
        let far = GridSpec { first_cell_centre_x_m: 2e6, ..source.clone() };
        let weights = Weights::build(&far, &target, &everywhere(&target), kernel).unwrap();
        assert!(weights.heaviest(numbers.view()).iter().all(Option::is_none));
    }

    #[test]
    fn unwanted_cells_get_nothing() {
        let mut wanted = everywhere(&fine());
        wanted[[0, 2]] = false;
        let weights = Weights::build(&GridSpec::test_square(9), &fine(), &wanted, GAUSSIAN).unwrap();
        assert!(weights.apply(Array2::zeros((9, 9)).view())[[0, 2]].is_nan());
    }

    #[test]
    fn stored_weights_are_read_again_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RemapCache::new(folder.path().join("weights"));
        let build =
            || cache.weights(&GridSpec::test_square(9), &fine(), &everywhere(&fine()), GAUSSIAN).unwrap();
        let first = build();
        assert_eq!(first, build());
        let path = fs::read_dir(folder.path().join("weights")).unwrap().next().unwrap().unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        assert_eq!(Weights::from_bytes(&bytes).as_ref(), Some(&first));
        bytes[100] ^= 1;
        assert_eq!(Weights::from_bytes(&bytes), None);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(first, build());
    }

    proptest! {
        #[test]
        fn a_remapped_value_lies_between_its_neighbours(values in prop::collection::vec(-5.0_f32..5.0, 81), gaussian: bool) {
            let weights = weights(if gaussian { GAUSSIAN } else { Kernel::Bilinear });
            let values = Array2::from_shape_vec((9, 9), values).unwrap();
            let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
            for value in weights.apply(values.view()) {
                prop_assert!(value >= low - 1e-5 && value <= high + 1e-5);
            }
        }

        #[test]
        fn a_constant_stays_the_constant_whatever_is_missing(constant in -3.0_f32..3.0, holes in prop::collection::vec(any::<bool>(), 81)) {
            let values = Array2::from_shape_fn((9, 9), |(r, c)| if holes[r * 9 + c] { f32::NAN } else { constant });
            for value in weights(GAUSSIAN).apply(values.view()).into_iter().filter(|value| !value.is_nan()) {
                prop_assert!((value - constant).abs() < 1e-5);
            }
        }

        #[test]
        fn reading_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Weights::from_bytes(&bytes), None);
        }
    }
}
