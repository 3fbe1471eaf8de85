//! Batches: random windows of an archive's days, with holes, turned and mirrored, as the network sees them.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, Zip, s};
use rand_chacha::ChaCha20Rng;
use tch::{Device, Tensor};

use super::TrainError;
use super::held_out::HeldOut;
use super::holes::Holes;
use crate::archive::{Archive, Provenance, Sample};
use crate::ensemble::dice::{below, dice, share};
use crate::ensemble::standard_normal;
use crate::model::{FeatureStatistics, Features, Schedule, Target, TargetScale};
use crate::prepare;
use crate::time::ProductDay;

/// A window with less ice than this teaches little.
const SMALLEST_ICE_SHARE: f32 = 0.1;
/// No anomaly that is worth drawing is smaller, m.
const LEAST_SCALE_M: f64 = 0.01;
/// Draws until a window with enough ice is found; then the last one is taken.
const DRAWS: usize = 20;
/// Side of a cell, km.
const CELL_KM: f32 = 3.0;
/// How far from data holes are filled, in cells: the 150 km of a production.
const REACH_CELLS: f64 = 50.0;

/// How samples are drawn.
#[derive(Debug, Clone, Copy)]
pub struct BatchOptions {
    /// Samples in a batch.
    pub batch: usize,
    /// Cells along a side of a sample.
    pub window: usize,
    /// Share of samples whose deformation is taken away, so that a day without drift needs no other network.
    pub drop_deformation: f64,
    /// Share of samples with holes in their inputs.
    pub holes: f64,
    /// Share of the samples with holes whose thickness and drift are filled as a production does it; in the others the deformation is
    /// hidden where it is missing, and the mask is 0 where another input is.
    pub fill_holes: f64,
    /// What the network draws.
    pub target: Target,
    /// What the network is shown beside the thickness and the mask.
    pub features: Features,
    /// The noise of the samples.
    pub schedule: Schedule,
    /// Share of the samples of each batch, rounded, whose diffusion times are even in the logarithm of signal over noise; those of the
    /// others are even.
    pub log_snr_share: f64,
    /// Seed.
    pub seed: u64,
}

impl BatchOptions {
    /// The diffusion times of a batch, of either kind one in each of as many equal parts as there are samples of it: evenly drawn, with
    /// less noise in the loss.
    fn times(&self, dice: &mut ChaCha20Rng) -> Vec<f64> {
        let in_log_snr = (self.log_snr_share * self.batch as f64).round() as usize;
        let mut parts = |count: usize| -> Vec<f64> {
            (0..count).map(|index| (index as f64 + share(dice)) / count as f64).collect()
        };
        let even = parts(self.batch - in_log_snr);
        let in_log_snr = parts(in_log_snr).into_iter().map(|share| self.schedule.time_of_log_snr(share));
        even.into_iter().chain(in_log_snr).collect()
    }
}

/// One day, ready to be cut: `[field, row, column]`, fields as numbered below. All but the distance to land are NaN outside the ice mask.
#[derive(Debug)]
struct Day {
    fields: Array3<f32>,
}

/// Low-resolution concentration, fraction.
const CONCENTRATION: usize = 0;
/// Low-resolution effective thickness, m.
const THICKNESS: usize = 1;
/// Low-resolution divergence, 1/day.
const DIVERGENCE: usize = 2;
/// Low-resolution shear, 1/day.
const SHEAR: usize = 3;
/// High-resolution effective thickness, m.
const TRUTH: usize = 4;
/// Distance to land, km.
const COAST: usize = 5;
const FIELDS: usize = 6;

/// The days of an archive in memory, some of them held out for validation.
#[derive(Debug)]
pub struct TrainingSet {
    training: Vec<Day>,
    validation: Vec<Day>,
    /// Standardisation of the features: over the training days, or that of the checkpoint which the training begins with.
    pub statistics: FeatureStatistics,
    /// The same as the training days have it: by it an archive is known again.
    pub measured: FeatureStatistics,
    /// The same as the days have it that are held out.
    pub measured_held_out: FeatureStatistics,
    /// All days of the archive, oldest first.
    pub days: Vec<ProductDay>,
    /// What the archive says of its data; the origin with the number of days.
    pub provenance: Provenance,
}

/// The samples of one step with all that is random in it, in the process's own memory: they can be drawn on another thread.
#[derive(Debug)]
pub struct Drawn {
    size: [i64; 4],
    context: Vec<f32>,
    target: Vec<f32>,
    noise: Vec<f32>,
    times: Vec<f64>,
}

/// A batch on a device; `[sample, channel, row, column]`.
#[derive(Debug)]
pub struct Batch {
    /// Standardised context, 4 channels.
    pub context: Tensor,
    /// Target divided by its scale, 1 channel, 0 outside the mask.
    pub target: Tensor,
    /// 1 inside the mask.
    pub mask: Tensor,
    /// Standard normal numbers of the target's shape.
    pub noise: Tensor,
    /// Diffusion time of each sample, in 0..1.
    pub times: Vec<f64>,
}

impl Drawn {
    /// The batch on a device.
    #[must_use]
    pub fn on(&self, device: Device) -> Batch {
        let tensor = |values: &[f32]| Tensor::from_slice(values).reshape(self.size).to_device(device);
        let context = tensor(&self.context);
        let mask = context.narrow(1, 3, 1);
        let (target, noise) = (tensor(&self.target), tensor(&self.noise));
        Batch { context, target, mask, noise, times: self.times.clone() }
    }
}

impl TrainingSet {
    /// Reads an archive.
    ///
    /// # Errors
    /// [`TrainError`] when a day cannot be read, a field is smaller than a window, or no day is left for training or validation.
    pub fn read(archive: &Archive, window: usize, held_out: &HeldOut) -> Result<Self, TrainError> {
        let names: Vec<ProductDay> = archive.days().collect();
        let held_out = held_out.of(&names)?;
        let (read, provenance) = read_days(archive, window)?;
        let (mut days, mut validation) = (Vec::new(), Vec::new());
        for (name, day) in names.iter().zip(read) {
            if held_out.contains(name) { validation.push(day) } else { days.push(day) }
        }
        if !days.iter().any(Day::has_every_field) {
            return Err(TrainError::Option(
                "no training day has a cell of ice with every field; there is nothing to learn".into(),
            ));
        }
        let measured_held_out = statistics(&validation);
        let statistics = statistics(&days);
        let count = format!("{} days for training, {} held out", days.len(), validation.len());
        let provenance = Provenance { origin: format!("{}; {count}", provenance.origin), ..provenance };
        Ok(Self {
            training: days,
            validation,
            statistics,
            measured: statistics,
            measured_held_out,
            days: names,
            provenance,
        })
    }

    /// Number of training days.
    #[must_use]
    pub fn training_days(&self) -> usize {
        self.training.len()
    }

    /// The scale of the target over the training days, which makes its root mean square 1: one for all ice, or for the anomaly one that
    /// grows with the low-resolution thickness as the mean magnitude of anomalies does.
    #[must_use]
    pub fn target_scale(&self, target: Target, grows_with_thickness: bool) -> TargetScale {
        let cells = || {
            self.training
                .iter()
                .flat_map(Day::cells)
                .map(|(low, truth)| (f64::from(low), f64::from(truth - target.base_m(&self.statistics, low))))
        };
        if !grows_with_thickness {
            let (sum, count) = cells().fold((0.0, 0.0), |(sum, count), (_, a)| (sum + a * a, count + 1.0));
            return TargetScale {
                constant_m: f64::sqrt(sum / count).max(LEAST_SCALE_M) as f32,
                per_metre: 0.0,
            };
        }
        // Least squares of |anomaly| on the thickness, which few large anomalies do not decide; then what makes its root mean square 1.
        let [n, h, hh, a, ha] = cells().fold([0.0; 5], |[n, sh, shh, sa, sha], (h, a)| {
            [n + 1.0, sh + h, shh + h * h, sa + a.abs(), sha + h * a.abs()]
        });
        let slope = ((n * ha - h * a) / (n * hh - h * h)).max(0.0);
        let constant = ((a - slope * h) / n).max(LEAST_SCALE_M);
        let squares: f64 = cells().map(|(h, a)| (a / (constant + slope * h)).powi(2)).sum();
        let factor = (squares / n).sqrt();
        TargetScale {
            constant_m: (constant * factor).max(LEAST_SCALE_M) as f32,
            per_metre: (slope * factor) as f32,
        }
    }

    /// What is drawn for a training step: the same step gives the same.
    #[must_use]
    pub fn training_batch(&self, options: BatchOptions, scale: TargetScale, step: u64) -> Drawn {
        self.draw(&self.training, options, scale, &format!("train|{}|{step}", options.seed))
    }

    /// A batch of held-out days, always the same for a number, with or without holes in every sample.
    #[must_use]
    pub fn validation_batch(
        &self,
        options: BatchOptions,
        scale: TargetScale,
        number: u64,
        with_holes: bool,
    ) -> Drawn {
        let holes = f64::from(u8::from(with_holes));
        let options = BatchOptions { drop_deformation: 0.0, holes, log_snr_share: 0.0, ..options };
        self.draw(&self.validation, options, scale, &format!("validate|{number}"))
    }

    /// Windows, holes, times and noise have keys of their own: none tells of another.
    fn draw(&self, days: &[Day], options: BatchOptions, scale: TargetScale, key: &str) -> Drawn {
        let (count, side) = (options.batch, options.window);
        let size = [count as i64, -1, side as i64, side as i64];
        let mut windows = dice(&format!("{key}|windows"));
        let mut holes = dice(&format!("{key}|holes"));
        let (mut context, mut target) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let mut window = draw_window(days, &mut windows, side);
            let dropped = share(&mut windows) < options.drop_deformation;
            if share(&mut holes) < options.holes {
                window.cut(
                    &Holes::draw(&mut holes, window.field(COAST)),
                    share(&mut holes) < options.fill_holes,
                );
            }
            let mut shown = window.context();
            target.extend(window.target(&self.statistics, options.target, scale));
            prepare::standardise(&mut shown, self.statistics.mean, self.statistics.standard_deviation);
            options.features.hide_unused(&mut shown);
            if dropped {
                Features { deformation: false, ..options.features }.hide_unused(&mut shown);
            }
            context.extend(shown);
        }
        let times = options.times(&mut dice(&format!("{key}|times")));
        let noise = standard_normal(&format!("{key}|noise"), target.len());
        Drawn { size, context, target, noise, times }
    }
}

impl Day {
    fn of(sample: &Sample, coast_km: &Array2<f32>) -> Self {
        let mut fields = Array3::zeros((FIELDS, coast_km.nrows(), coast_km.ncols()));
        let parts = [
            (CONCENTRATION, &sample.low_concentration),
            (THICKNESS, &sample.low_effective_thickness_m),
            (DIVERGENCE, &sample.low_divergence_per_day),
            (SHEAR, &sample.low_shear_per_day),
            (TRUTH, &sample.effective_thickness_m),
            (COAST, coast_km),
        ];
        for (index, values) in parts {
            fields.index_axis_mut(Axis(0), index).assign(values);
        }
        let mut day = Self { fields };
        day.hide_outside_mask();
        day
    }

    fn field(&self, index: usize) -> ArrayView2<'_, f32> {
        self.fields.index_axis(Axis(0), index)
    }

    /// Makes every field but the distance to land NaN where there is no ice or no thickness. The deformation may be missing inside
    /// the mask, as in a production.
    fn hide_outside_mask(&mut self) {
        for mut cell in self.fields.lanes_mut(Axis(0)) {
            let known = [CONCENTRATION, THICKNESS, TRUTH].iter().all(|&index| !cell[index].is_nan());
            if !(known && cell[CONCENTRATION] >= prepare::ICE_EDGE) {
                cell.slice_mut(s![..COAST]).fill(f32::NAN);
            }
        }
    }

    fn mask(&self) -> Array2<bool> {
        self.field(TRUTH).mapv(|value| !value.is_nan())
    }

    fn has_every_field(&self) -> bool {
        self.fields.lanes(Axis(0)).into_iter().any(|cell| !cell.iter().any(|value| value.is_nan()))
    }

    /// The context of the network before standardising.
    fn context(&self) -> Array3<f32> {
        let deformation = Zip::from(self.field(DIVERGENCE))
            .and(self.field(SHEAR))
            .map_collect(|divergence, shear| divergence.hypot(*shear));
        prepare::context(
            &self.field(CONCENTRATION).to_owned(),
            &self.field(THICKNESS).to_owned(),
            &deformation,
            &self.mask(),
        )
    }

    /// The target, 0 outside the mask, row-major.
    fn target(
        &self,
        statistics: &FeatureStatistics,
        target: Target,
        scale: TargetScale,
    ) -> impl Iterator<Item = f32> {
        self.field(THICKNESS).into_iter().zip(self.field(TRUTH)).map(move |(&low, &truth)| {
            if truth.is_nan() { 0.0 } else { (truth - target.base_m(statistics, low)) / scale.at(low) }
        })
    }

    /// Low- and high-resolution thickness of the cells inside the mask, m.
    fn cells(&self) -> impl Iterator<Item = (f32, f32)> {
        let cells = self.field(THICKNESS).into_iter().copied().zip(self.field(TRUTH).into_iter().copied());
        cells.filter(|(_, truth)| !truth.is_nan())
    }

    /// Takes the inputs in holes away. With `fill`, thickness over the ice and drift are filled from around as a production does
    /// it. The mask ends where concentration or thickness are still missing.
    fn cut(&mut self, holes: &Holes, fill: bool) {
        let ice = Zip::from(self.field(CONCENTRATION))
            .and(&holes.concentration)
            .map_collect(|concentration, hole| !concentration.is_nan() && !hole);
        let with_hole = |values: ArrayView2<'_, f32>, hole: &Array2<bool>| {
            Zip::from(values).and(hole).map_collect(|&value, &hole| if hole { f32::NAN } else { value })
        };
        let concentration = with_hole(self.field(CONCENTRATION), &holes.concentration);
        let over_ice = &self.field(THICKNESS) / &self.field(CONCENTRATION);
        let mut thickness = with_hole(over_ice.view(), &holes.thickness);
        let mut divergence = with_hole(self.field(DIVERGENCE), &holes.drift);
        let mut shear = with_hole(self.field(SHEAR), &holes.drift);
        if fill {
            prepare::fill(&mut [&mut thickness], &ice, REACH_CELLS);
            prepare::fill(&mut [&mut divergence, &mut shear], &ice, REACH_CELLS);
        }
        // Where nothing is missing the thickness is left to the bit.
        let low = Zip::from(self.field(THICKNESS)).and(&holes.thickness).and(&thickness).and(&concentration);
        let low = low.map_collect(
            |&low, &hole, filled, concentration| if hole { filled * concentration } else { low },
        );
        let parts =
            [(CONCENTRATION, concentration), (THICKNESS, low), (DIVERGENCE, divergence), (SHEAR, shear)];
        for (index, values) in parts {
            self.fields.index_axis_mut(Axis(0), index).assign(&values);
        }
        self.hide_outside_mask();
    }
}

/// Every day of an archive, and what they say together of their data.
fn read_days(archive: &Archive, window: usize) -> Result<(Vec<Day>, Provenance), TrainError> {
    let mut days = Vec::new();
    let mut all: Option<Provenance> = None;
    let mut coast = Coast::default();
    for (index, day) in archive.days().enumerate() {
        let (sample, stated) = archive.read(index)?;
        let (rows, columns) = sample.effective_thickness_m.dim();
        if rows.min(columns) < window {
            return Err(TrainError::Option(format!(
                "day {day} has {rows} x {columns} cells, fewer than the window of {window}; give a smaller --window"
            )));
        }
        let so_far = all.get_or_insert_with(|| stated.clone());
        if so_far.degradation != stated.degradation {
            return Err(TrainError::Option(format!(
                "day {day} has another degradation than the days before it; train on one kind of archive"
            )));
        }
        if !so_far.origin.contains(&stated.origin) {
            so_far.origin = format!("{}; {}", so_far.origin, stated.origin);
        }
        days.push(Day::of(&sample, coast.distance_km(&sample)));
    }
    let empty = || TrainError::Option("the archive has no day; make one with `nilas synth`".into());
    Ok((days, all.ok_or_else(empty)?))
}

/// The distance to land. Days of one archive mostly share their land, so it is found once for all of them.
#[derive(Default)]
struct Coast {
    land: Array2<bool>,
    distance_km: Array2<f32>,
}

impl Coast {
    fn distance_km(&mut self, sample: &Sample) -> &Array2<f32> {
        let land = sample.concentration.mapv(f32::is_nan);
        if land != self.land {
            self.distance_km = prepare::distance_cells(&land).mapv(|cells| CELL_KM * cells);
            self.land = land;
        }
        &self.distance_km
    }
}

fn statistics(days: &[Day]) -> FeatureStatistics {
    let mut sums = [[0.0_f64; 3]; 3];
    for context in days.iter().map(Day::context) {
        for cell in context.lanes(Axis(0)).into_iter().filter(|cell| cell[3] > 0.5) {
            for (channel, [count, sum, squares]) in sums.iter_mut().enumerate() {
                let value = f64::from(cell[channel]);
                if !value.is_nan() {
                    *count += 1.0;
                    *sum += value;
                    *squares += value * value;
                }
            }
        }
    }
    let mean = sums.map(|[count, sum, _]| sum / count);
    let deviation =
        sums.map(|[count, sum, squares]| (squares / count - (sum / count).powi(2)).max(1e-12).sqrt());
    FeatureStatistics {
        mean: mean.map(|value| value as f32),
        standard_deviation: deviation.map(|value| value as f32),
    }
}

/// A window with ice in it, turned by a random number of quarters and mirrored half of the time.
fn draw_window(days: &[Day], dice: &mut ChaCha20Rng, side: usize) -> Day {
    let mut drawn = None;
    for _ in 0..DRAWS {
        let day = &days[below(dice, days.len())];
        let (_, rows, columns) = day.fields.dim();
        let (row, column) = (below(dice, rows - side + 1), below(dice, columns - side + 1));
        let fields = day.fields.slice(s![.., row..row + side, column..column + side]);
        let ice = fields.index_axis(Axis(0), TRUTH).iter().filter(|value| !value.is_nan()).count();
        drawn = Some(fields);
        if ice as f32 >= SMALLEST_ICE_SHARE * (side * side) as f32 {
            break;
        }
    }
    let (quarters, mirror) = (below(dice, 4), below(dice, 2) == 1);
    let fields = drawn.map_or_else(Default::default, |fields| turn(fields, quarters, mirror));
    Day { fields }
}

/// Turns square fields `[_, row, column]`.
fn turn(fields: ArrayView3<'_, f32>, quarters: usize, mirror: bool) -> Array3<f32> {
    let mut view = fields;
    if quarters % 2 == 1 {
        view = view.permuted_axes([0, 2, 1]);
        view.invert_axis(Axis(1));
    }
    if quarters >= 2 {
        view.invert_axis(Axis(1));
        view.invert_axis(Axis(2));
    }
    if mirror {
        view.invert_axis(Axis(2));
    }
    view.as_standard_layout().into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SIDE: usize = 48;

    pub(in crate::train) fn options() -> BatchOptions {
        BatchOptions {
            batch: 4,
            window: 32,
            drop_deformation: 0.0,
            holes: 0.0,
            fill_holes: 0.0,
            target: Target::Anomaly,
            features: Features::default(),
            schedule: Schedule::default(),
            log_snr_share: 0.0,
            seed: 1,
        }
    }

    const SCALE: TargetScale = TargetScale { constant_m: 0.5, per_metre: 0.0 };

    /// A day of ice with land along its first rows; the anomaly is 0.1 m everywhere.
    fn day() -> Day {
        let field = |base: f32| {
            Array2::from_shape_fn((SIDE, SIDE), |(row, column)| {
                if row < 8 {
                    f32::NAN
                } else {
                    base + 0.01 * (row as f32 * 0.7).sin() + 0.01 * (column as f32 * 0.3).cos()
                }
            })
        };
        let sample = Sample {
            concentration: field(0.9),
            effective_thickness_m: field(1.6),
            divergence_per_day: field(0.01),
            shear_per_day: field(0.02),
            low_concentration: field(0.9),
            low_effective_thickness_m: field(1.5),
            low_divergence_per_day: field(0.01),
            low_shear_per_day: field(0.02),
        };
        Day::of(&sample, Coast::default().distance_km(&sample))
    }

    pub(in crate::train) fn set() -> TrainingSet {
        let training = vec![day()];
        let statistics = statistics(&training);
        let text = String::new;
        let provenance = Provenance { origin: text(), thickness_definition: text(), degradation: text() };
        TrainingSet {
            training,
            validation: vec![day()],
            statistics,
            measured: statistics,
            measured_held_out: statistics,
            days: Vec::new(),
            provenance,
        }
    }

    #[test]
    fn a_step_is_drawn_again_and_another_step_is_not_the_same() {
        let set = set();
        let draw = |step| set.training_batch(options(), SCALE, step);
        let (once, again, other) = (draw(3), draw(3), draw(4));
        assert_eq!((&once.context, &once.target, &once.noise), (&again.context, &again.target, &again.noise));
        assert_eq!(once.times, again.times);
        assert!(once.noise != other.noise && once.times != other.times && once.context != other.context);
    }

    #[test]
    fn each_part_of_the_diffusion_times_has_a_sample() {
        let set = set();
        for step in 0..20 {
            let times = set.training_batch(options(), SCALE, step).times;
            assert!(times.iter().enumerate().all(|(part, &time)| (4.0 * time) as usize == part), "{times:?}");
        }
        let all = BatchOptions { log_snr_share: 1.0, ..options() };
        let half = BatchOptions { log_snr_share: 0.5, ..options() };
        let limits = [0.25, 0.5, 0.75].map(|share| all.schedule.time_of_log_snr(share));
        for step in 0..20 {
            let times = set.training_batch(all, SCALE, step).times;
            let parts: Vec<usize> =
                times.iter().map(|time| limits.partition_point(|limit| limit <= time)).collect();
            assert_eq!(parts, [0, 1, 2, 3], "{times:?}");
            let times = set.training_batch(half, SCALE, step).times;
            let parts = [times[0] < 0.5, times[1] >= 0.5, times[2] < limits[1], times[3] >= limits[1]];
            assert_eq!(parts, [true; 4], "{times:?}");
        }
    }

    #[test]
    fn in_a_hole_the_network_is_asked_nothing_and_in_one_of_the_drift_shown_nothing() {
        let set = set();
        let with = BatchOptions { holes: 1.0, ..options() };
        let (mut whole_cells, mut cells, mut hidden) = (0.0, 0.0, 0.0);
        for step in 0..20 {
            let (whole, drawn) =
                (set.training_batch(options(), SCALE, step), set.training_batch(with, SCALE, step));
            let (batch, whole) = (drawn.on(Device::Cpu), whole.on(Device::Cpu));
            cells += batch.mask.sum(tch::Kind::Float).double_value(&[]);
            whole_cells += whole.mask.sum(tch::Kind::Float).double_value(&[]);
            let outside = 1.0 - &batch.mask;
            let shown = (&batch.context * &outside).abs().sum(tch::Kind::Float)
                + (&batch.target * &outside).abs().sum(tch::Kind::Float);
            assert!(shown.double_value(&[]) <= 0.0, "something is shown or asked in a hole");
            // Where there is no hole the sample is the same; only the deformation may be hidden where the ice goes on.
            let difference = (&batch.context - &whole.context) * &batch.mask;
            let unhidden = batch.context.narrow(1, 2, 1).not_equal(0.0);
            let of_deformation = difference.narrow(1, 2, 1) * unhidden.to_kind(tch::Kind::Float);
            for difference in [difference.narrow(1, 0, 2), difference.narrow(1, 3, 1), of_deformation] {
                let most = difference.abs().max().double_value(&[]);
                assert!(most < 1e-6, "{most}");
            }
            let is_hidden = unhidden.logical_not().to_kind(tch::Kind::Float) * &batch.mask;
            hidden += is_hidden.sum(tch::Kind::Float).double_value(&[]);
        }
        assert!((0.05..0.9).contains(&(hidden / cells)), "{}", hidden / cells);
        assert!((0.2..0.95).contains(&(cells / whole_cells)), "{}", cells / whole_cells);
    }

    #[test]
    fn a_filled_hole_stays_inside_the_mask_and_the_target_is_what_the_filling_missed() {
        let plain = day();
        let mut cut = day();
        let hole = Array2::from_shape_fn((SIDE, SIDE), |(row, column)| {
            row > 20 && row < 30 && column > 10 && column < 30
        });
        let none = Array2::from_elem((SIDE, SIDE), false);
        cut.cut(&Holes { drift: hole.clone(), thickness: hole.clone(), concentration: none }, true);
        assert_eq!(cut.mask(), plain.mask());
        let statistics = set().statistics;
        let target = |day: &Day| day.target(&statistics, Target::Anomaly, SCALE).collect::<Vec<_>>();
        for ((cell, after), before) in hole.indexed_iter().zip(target(&cut)).zip(target(&plain)) {
            let low = cut.field(THICKNESS)[cell.0];
            if *cell.1 {
                assert!((low - 1.5).abs() < 0.05, "{low}");
                let truth = plain.field(TRUTH)[cell.0];
                assert!((after - (truth - low) / 0.5).abs() < 1e-6);
            } else {
                assert!((after - before).abs() <= 0.0, "{after} instead of {before}");
            }
        }
    }

    #[test]
    fn the_scale_makes_the_root_mean_square_of_the_target_1() {
        let mut day = day();
        // Larger anomalies in thicker ice, a few of them very large; NaN on land stays NaN.
        for row in 0..SIDE {
            for column in 0..SIDE {
                let low = 0.5 + 0.05 * row as f32 + 0.0 * day.fields[[THICKNESS, row, column]];
                let share = if (row + column) % 4 == 0 { 0.4 } else { -0.05 };
                day.fields[[THICKNESS, row, column]] = low;
                day.fields[[TRUTH, row, column]] = low * (1.0 + share);
            }
        }
        let set = TrainingSet { training: vec![day], ..set() };
        for grows in [false, true] {
            let scale = set.target_scale(Target::Anomaly, grows);
            assert!(grows == (scale.per_metre > 0.0), "{scale:?}");
            let (mut squares, mut cells) = (0.0, 0.0);
            for (low, truth) in set.training[0].cells() {
                squares += f64::from((truth - low) / scale.at(low)).powi(2);
                cells += 1.0;
            }
            assert!((squares / cells - 1.0_f64).abs() < 1e-3, "{} with {scale:?}", squares / cells);
        }
    }

    #[test]
    fn the_full_field_comes_back_from_its_base_and_scale() {
        let set = set();
        let scale = set.target_scale(Target::Full, false);
        let day = day();
        let values = day.target(&set.statistics, Target::Full, scale);
        for ((value, &low), &truth) in values.zip(day.field(THICKNESS)).zip(day.field(TRUTH)) {
            if truth.is_nan() {
                assert!(value.abs() <= 0.0, "{value}");
            } else {
                let back = Target::Full.base_m(&set.statistics, low) + scale.at(low) * value;
                assert!((back - truth).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn what_is_not_used_is_not_shown() {
        let set = set();
        let features = Features { concentration: false, deformation: true };
        let drawn = set.training_batch(BatchOptions { features, ..options() }, SCALE, 1).on(Device::Cpu);
        let shown =
            |channel: i64| drawn.context.narrow(1, channel, 1).abs().sum(tch::Kind::Float).double_value(&[]);
        assert!(shown(0) <= 0.0 && shown(1) > 0.0 && shown(2) > 0.0);
    }
}
