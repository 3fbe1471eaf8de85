//! Remapping: sparse weights from the cells of one grid to the cells of another, built once, stored, and applied as a product.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{GridError, GridSpec, LonLat};
use crate::sys::{self, FileMap};

/// Radius of the sphere that distances are measured on, km.
const EARTH_RADIUS_KM: f64 = 6371.228;

/// How much longer than the true distance a distance on a source grid may be. The polar grids in use reach 1.13 at 45 degrees
/// north; the margin keeps every neighbour of any of their cells inside the search window.
const LARGEST_MAP_SCALE: f64 = 1.25;

/// First bytes of a stored weights file; the digit is the version of the layout.
const MAGIC: &[u8; 8] = b"NILASW2\n";

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

/// A run of neighbours that follow each other in a row of the source grid: in the low bits how many, above them the flat index of
/// the first.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Run(u32);

impl Run {
    const LENGTH_BITS: u32 = 6;
    const LONGEST: u32 = (1 << Self::LENGTH_BITS) - 1;
    /// A source grid has at most so many cells.
    const MOST_CELLS: usize = 1 << (u32::BITS - Self::LENGTH_BITS);

    fn new(first: usize) -> Self {
        Self((first as u32) << Self::LENGTH_BITS | 1)
    }

    fn sources(self) -> std::ops::Range<usize> {
        let first = (self.0 >> Self::LENGTH_BITS) as usize;
        first..first + (self.0 & Self::LONGEST) as usize
    }

    /// Takes one cell more if it is the next one; false where that cannot be.
    fn take(&mut self, source: usize) -> bool {
        let next = self.sources();
        let fits = next.end == source && next.len() < Self::LONGEST as usize;
        self.0 += u32::from(fits);
        fits
    }
}

/// Sparse weights from a source grid to the wanted cells of a target grid (compressed rows of runs).
#[derive(Debug)]
pub struct Weights {
    layout: Layout,
    words: Words,
}

/// The grids of some weights, and how many numbers there are of each kind. They follow each other: the flat indices of the target
/// cells that have neighbours, where the runs of each begin and where its weights (each with one more for the end), the runs, and the
/// weights of the neighbours.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    source_shape: (usize, usize),
    target_shape: (usize, usize),
    targets: usize,
    runs: usize,
    values: usize,
}

/// The numbers of some weights.
#[derive(Debug)]
enum Words {
    /// Just worked out.
    Built(Vec<u32>),
    /// Those of a stored file, which are read where the system has them: copying them would take longer than using them.
    Stored(FileMap),
}

impl Words {
    fn all(&self) -> &[u32] {
        match self {
            Self::Built(words) => words,
            Self::Stored(map) => bytemuck::cast_slice(&map[HEAD_BYTES..map.len() - SUM_BYTES]),
        }
    }
}

impl Weights {
    /// Builds the weights for the cells of `target` where `wanted` is true.
    ///
    /// # Errors
    /// [`GridError::Unprojectable`] when a target cell has no place on the source grid's projection, [`GridError::TooLarge`] when
    /// the source grid has more cells than runs can name.
    pub fn build(
        source: &GridSpec,
        target: &GridSpec,
        wanted: &Array2<bool>,
        kernel: Kernel,
    ) -> Result<Self, GridError> {
        if source.rows * source.columns > Run::MOST_CELLS {
            return Err(GridError::TooLarge { grid: source.name.clone(), most_cells: Run::MOST_CELLS });
        }
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
                    let (runs, weights) = (out.runs.len(), out.weights.len());
                    match kernel {
                        Kernel::Gaussian { scale_km, radius_km } => {
                            let reach = Reach { scale_km, radius_km, centre: place.unit_vector() };
                            reach.gather(source, &source_vectors, position, &mut out);
                        }
                        Kernel::Bilinear => gather_bilinear(source, position, &mut out),
                    }
                    if out.weights.len() > weights {
                        out.targets.push((row * target.columns + column) as u32);
                        out.lengths
                            .push(((out.runs.len() - runs) as u32, (out.weights.len() - weights) as u32));
                    }
                }
                Ok(out)
            })
            .collect::<Result<Vec<Row>, GridError>>()?;
        Ok(Self::join(source.shape(), target.shape(), &rows))
    }

    fn join(source_shape: (usize, usize), target_shape: (usize, usize), rows: &[Row]) -> Self {
        let count = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>();
        let layout = Layout {
            source_shape,
            target_shape,
            targets: count(|row| row.targets.len()),
            runs: count(|row| row.runs.len()),
            values: count(|row| row.weights.len()),
        };
        let mut words = Vec::with_capacity(layout.words());
        words.extend(rows.iter().flat_map(|row| &row.targets));
        for length in [|lengths: &(u32, u32)| lengths.0, |lengths: &(u32, u32)| lengths.1] {
            let mut end = 0;
            words.push(end);
            words.extend(rows.iter().flat_map(|row| &row.lengths).map(|lengths| {
                end += length(lengths);
                end
            }));
        }
        words.extend(rows.iter().flat_map(|row| &row.runs).map(|run| run.0));
        words.extend(rows.iter().flat_map(|row| &row.weights).map(|weight| weight.to_bits()));
        Self { layout, words: Words::Built(words) }
    }

    fn numbers(&self) -> Numbers<'_> {
        let Layout { targets, runs, .. } = self.layout;
        let (target_cells, rest) = self.words.all().split_at(targets);
        let (first_runs, rest) = rest.split_at(targets + 1);
        let (first_weights, rest) = rest.split_at(targets + 1);
        let (runs, values) = rest.split_at(runs);
        Numbers {
            targets: target_cells,
            first_runs,
            first_weights,
            runs,
            values: bytemuck::cast_slice(values),
        }
    }

    /// What `of` makes of each target, put in its place; `outside` elsewhere.
    fn map_targets<T: Copy + Send>(
        &self,
        outside: T,
        of: impl Fn(&Numbers<'_>, usize) -> T + Send + Sync,
    ) -> Array2<T> {
        let numbers = self.numbers();
        let results: Vec<T> =
            (0..numbers.targets.len()).into_par_iter().map(|target| of(&numbers, target)).collect();
        let mut out = Array2::from_elem(self.layout.target_shape, outside);
        // A new array lies row by row.
        let cells = out.as_slice_mut().unwrap_or_default();
        for (&target, result) in numbers.targets.iter().zip(results) {
            cells[target as usize] = result;
        }
        out
    }

    /// Remaps `values` of the source grid. A target cell is valid where the weights of its valid neighbours
    /// (those not NaN) are at least half of the weights of all its neighbours; it is NaN elsewhere.
    ///
    /// # Panics
    /// Never for an array of the source grid's shape.
    #[must_use]
    pub fn apply(&self, values: ArrayView2<'_, f32>) -> Array2<f32> {
        assert_eq!(
            values.dim(),
            self.layout.source_shape,
            "the values must lie on the source grid of the weights"
        );
        let flat: Vec<f32> = values.iter().copied().collect();
        self.map_targets(f32::NAN, |numbers, target| {
            let (mut sum, mut valid, mut all) = (0.0_f64, 0.0_f64, 0.0_f64);
            for (sources, weights) in numbers.runs(target) {
                for (&value, &weight) in flat[sources].iter().zip(weights) {
                    let (known, weight) = (!value.is_nan(), f64::from(weight));
                    all += weight;
                    valid += if known { weight } else { 0.0 };
                    sum += if known { weight * f64::from(value) } else { 0.0 };
                }
            }
            if valid > 0.0 && valid >= 0.5 * all { (sum / valid) as f32 } else { f32::NAN }
        })
    }

    /// The value of the source cell that weighs most, which for a Gaussian kernel is the nearest one; `None` where the source grid
    /// does not reach.
    ///
    /// # Panics
    /// Never for an array of the source grid's shape.
    #[must_use]
    pub fn heaviest<T: Copy + Send + Sync>(&self, values: ArrayView2<'_, T>) -> Array2<Option<T>> {
        assert_eq!(
            values.dim(),
            self.layout.source_shape,
            "the values must lie on the source grid of the weights"
        );
        let flat: Vec<T> = values.iter().copied().collect();
        self.map_targets(None, |numbers, target| {
            let mut heaviest: Option<(f32, usize)> = None;
            for (sources, weights) in numbers.runs(target) {
                for (source, &weight) in sources.zip(weights) {
                    if heaviest.is_none_or(|(most, _)| weight >= most) {
                        heaviest = Some((weight, source));
                    }
                }
            }
            heaviest.map(|(_, source)| flat[source])
        })
    }

    /// The weights as a file has them: numbers little-endian, a checksum behind them.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + SUM_BYTES + size_of::<u32>() * self.layout.words());
        bytes.extend_from_slice(MAGIC);
        bytes.extend(self.layout.numbers().into_iter().flat_map(|number| (number as u64).to_le_bytes()));
        bytes.extend_from_slice(bytemuck::cast_slice(self.words.all()));
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The weights of a stored file; `InvalidData` where it is not a whole, unharmed weights file.
    fn stored(map: FileMap) -> io::Result<Self> {
        let layout = Layout::of_file(&map).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { layout, words: Words::Stored(map) })
    }
}

impl PartialEq for Weights {
    fn eq(&self, other: &Self) -> bool {
        self.layout == other.layout && self.words.all() == other.words.all()
    }
}

// Numbers are written and read as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"));
const HEAD_BYTES: usize = MAGIC.len() + 7 * size_of::<u64>();
const SUM_BYTES: usize = size_of::<u32>();

impl Layout {
    fn numbers(&self) -> [usize; 7] {
        let (source, target) = (self.source_shape, self.target_shape);
        [source.0, source.1, target.0, target.1, self.targets, self.runs, self.values]
    }

    fn words(&self) -> usize {
        3 * self.targets + 2 + self.runs + self.values
    }

    /// The layout that a whole, unharmed weights file states.
    fn of_file(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM_BYTES)?)?;
        let (head, words) = body.split_at_checked(HEAD_BYTES)?;
        let mut numbers = head.strip_prefix(MAGIC)?.as_chunks::<8>().0.iter();
        let mut number = || usize::try_from(u64::from_le_bytes(*numbers.next()?)).ok();
        let layout = Self {
            source_shape: (number()?, number()?),
            target_shape: (number()?, number()?),
            targets: number()?,
            runs: number()?,
            values: number()?,
        };
        let whole = [layout.targets, layout.runs, layout.values].iter().all(|count| *count <= words.len())
            && size_of::<u32>() * layout.words() == words.len();
        (whole && crc32fast::hash(body).to_le_bytes() == sum).then_some(layout)
    }
}

/// The numbers of some weights, kind by kind; see [`Layout`].
struct Numbers<'a> {
    targets: &'a [u32],
    first_runs: &'a [u32],
    first_weights: &'a [u32],
    runs: &'a [u32],
    values: &'a [f32],
}

impl<'a> Numbers<'a> {
    /// The runs of a target, by its number, each with its weights.
    fn runs(&self, target: usize) -> impl Iterator<Item = (std::ops::Range<usize>, &'a [f32])> + use<'a> {
        let bounds = |firsts: &[u32]| firsts[target] as usize..firsts[target + 1] as usize;
        let mut weights = &self.values[bounds(self.first_weights)];
        self.runs[bounds(self.first_runs)].iter().map(move |&run| {
            let sources = Run(run).sources();
            let (own, others) = weights.split_at(sources.len());
            weights = others;
            (sources, own)
        })
    }
}

/// The neighbours found for the cells of one target row.
#[derive(Default)]
struct Row {
    targets: Vec<u32>,
    /// Runs and weights of each target.
    lengths: Vec<(u32, u32)>,
    runs: Vec<Run>,
    weights: Vec<f32>,
}

impl Row {
    /// Takes a neighbour; `begins` says whether it may not go on with the run before.
    fn push(&mut self, source: usize, weight: f64, begins: bool) {
        let goes_on = !begins && self.runs.last_mut().is_some_and(|run| run.take(source));
        if !goes_on {
            self.runs.push(Run::new(source));
        }
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
            let mut begins = true;
            for c in cells_between(column - half_width, column + half_width, source.columns) {
                let distance_km = self.distance_km(vectors[[r, c]]);
                if distance_km <= self.radius_km {
                    let weight = (-(distance_km / self.scale_km).powi(2)).exp();
                    out.push(r * source.columns + c, weight, begins);
                    begins = false;
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
        let mut begins = true;
        for c in cells_between(column.floor(), column.floor() + 1.0, source.columns) {
            let weight = (1.0 - (row - r as f64).abs()) * (1.0 - (column - c as f64).abs());
            if weight > 0.0 {
                out.push(r * source.columns + c, weight, begins);
                begins = false;
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
        let pair = format!("{}-to-{}-", source.name, target.name);
        let path =
            self.folder.join(format!("{pair}{}.weights", &fingerprint(source, target, wanted, kernel)[..16]));
        match FileMap::open(&path).and_then(Weights::stored) {
            Ok(weights) => return Ok(weights),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "stored remap weights are damaged; building them again");
            }
        }
        let weights = Weights::build(source, target, wanted, kernel)?;
        if let Err(error) = sys::replace_file(&path, &weights.to_bytes()) {
            tracing::warn!(path = %path.display(), %error, "remap weights could not be stored; the next run builds them again");
        }
        self.give_up_others(&pair, &path);
        Ok(weights)
    }

    /// Removes what is stored of the same pair of grids for another kernel or land mask, or in another layout: it is not asked for any
    /// more. Where it cannot be removed it only takes space.
    fn give_up_others(&self, pair: &str, current: &Path) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with(pair) && path != current {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Everything that the weights depend on, as one hexadecimal number.
fn fingerprint(source: &GridSpec, target: &GridSpec, wanted: &Array2<bool>, kernel: Kernel) -> String {
    let cells = wanted.iter().map(|&cell| u8::from(cell));
    let mut text = format!("{MAGIC:?}|{source:?}|{target:?}|{kernel:?}|").into_bytes();
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
        let numbers = weights.numbers();
        let runs = numbers.runs(4).flat_map(|(sources, weights)| sources.zip(weights.iter().copied()));
        let centre: Vec<(usize, f32)> = runs.collect();
        // Map scale is 0.97 at the pole: cells of 10 km are 10.3 km apart there, so two steps along an axis are out of reach.
        let rows = [30..33, 39..42, 48..51];
        assert!(centre.iter().map(|(source, _)| *source).eq(rows.into_iter().flatten()), "{centre:?}");
        let nearest = centre.iter().map(|(_, weight)| *weight).fold(0.0, f32::max);
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
        let whole = fs::read(&path).unwrap();
        assert_eq!(whole, first.to_bytes());
        for damaged in [8, 100, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[damaged] ^= 1;
            assert_eq!(Layout::of_file(&bytes), None, "byte {damaged}");
            assert_eq!(Layout::of_file(&whole[..damaged]), None, "cut at {damaged}");
            fs::write(&path, &bytes).unwrap();
            assert_eq!(first, build());
        }
    }

    #[test]
    fn of_a_pair_of_grids_the_last_weights_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RemapCache::new(folder.path().to_owned());
        let stored = || fs::read_dir(folder.path()).unwrap().count();
        for kernel in [GAUSSIAN, Kernel::Bilinear, GAUSSIAN] {
            cache.weights(&GridSpec::test_square(9), &fine(), &everywhere(&fine()), kernel).unwrap();
            assert_eq!(stored(), 1);
        }
        let other = GridSpec { name: "other".into(), ..GridSpec::test_square(9) };
        cache.weights(&other, &fine(), &everywhere(&fine()), GAUSSIAN).unwrap();
        assert_eq!(stored(), 2);
    }

    #[test]
    fn a_run_ends_where_it_is_full_or_a_cell_is_left_out() {
        let mut row = Row::default();
        let sources: Vec<usize> = (100..230).chain([231, 232]).collect();
        for (number, &source) in sources.iter().enumerate() {
            row.push(source, 1.0, number == 0);
        }
        assert_eq!(row.runs.len(), 4);
        assert!(row.runs.iter().flat_map(|run| run.sources()).eq(sources));
        row.push(233, 1.0, true);
        assert_eq!(row.runs.len(), 5, "a target's runs are its own");
    }

    #[test]
    fn a_source_grid_that_runs_cannot_name_is_refused() {
        let huge = GridSpec { rows: 1 << 14, columns: 1 << 13, ..GridSpec::test_square(1) };
        let error = Weights::build(&huge, &fine(), &everywhere(&fine()), Kernel::Bilinear).unwrap_err();
        assert!(error.to_string().contains("67108864"), "{error}");
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
            prop_assert_eq!(Layout::of_file(&bytes), None);
        }
    }
}
