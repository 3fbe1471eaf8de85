//! Batches: random windows of an archive's days, turned and mirrored, as the network sees them.

use ndarray::{Array2, Array3, Axis, s};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use tch::{Device, Tensor};

use super::TrainError;
use crate::archive::{Archive, Provenance, Sample};
use crate::model::{FeatureStatistics, TargetScale};
use crate::prepare;

/// A window with less ice than this teaches little.
const SMALLEST_ICE_SHARE: f32 = 0.1;
/// Draws until a window with enough ice is found; then the last one is taken.
const DRAWS: usize = 20;

/// How samples are drawn.
#[derive(Debug, Clone, Copy)]
pub struct BatchOptions {
    /// Samples in a batch.
    pub batch: usize,
    /// Cells along a side of a sample.
    pub window: usize,
    /// Share of samples whose deformation is taken away, so that a day without drift needs no other network.
    pub drop_deformation: f64,
    /// Seed.
    pub seed: u64,
}

/// One day, ready to be cut: context before standardising `[4, row, column]`, truth minus low resolution, m.
#[derive(Debug)]
struct Day {
    context: Array3<f32>,
    anomaly_m: Array2<f32>,
}

/// The days of an archive in memory; the last tenth (at least one day) is held out for validation.
#[derive(Debug)]
pub struct TrainingSet {
    training: Vec<Day>,
    validation: Vec<Day>,
    /// Standardisation of the features over the training days.
    pub statistics: FeatureStatistics,
    /// What the archive says of its data; the origin with the number of days.
    pub provenance: Provenance,
}

/// A batch on a device; `[sample, channel, row, column]`.
#[derive(Debug)]
pub struct Batch {
    /// Standardised context, 4 channels.
    pub context: Tensor,
    /// Anomaly divided by its scale, 1 channel, 0 outside the mask.
    pub target: Tensor,
    /// 1 inside the mask.
    pub mask: Tensor,
}

impl TrainingSet {
    /// Reads an archive.
    ///
    /// # Errors
    /// [`TrainError`] when a day cannot be read, a field is smaller than a window, or there are fewer than two days.
    pub fn read(archive: &Archive, window: usize) -> Result<Self, TrainError> {
        let (mut days, provenance) = read_days(archive, window)?;
        if days.len() < 2 {
            return Err(TrainError::Option(
                "training needs at least 2 days, one of them for validation".into(),
            ));
        }
        let validation = days.split_off(days.len() - (days.len() / 10).max(1));
        if days.iter().all(|day| day.cells_with_anomaly().next().is_none()) {
            return Err(TrainError::Option(
                "no training day has a cell of ice with every field; there is nothing to learn".into(),
            ));
        }
        let statistics = statistics(&days);
        let count = format!("{} days for training, {} held out", days.len(), validation.len());
        let provenance = Provenance { origin: format!("{}; {count}", provenance.origin), ..provenance };
        Ok(Self { training: days, validation, statistics, provenance })
    }

    /// Number of training days.
    #[must_use]
    pub fn training_days(&self) -> usize {
        self.training.len()
    }

    /// The scale of the anomaly over the training days: one standard deviation, or a standard deviation that grows with the
    /// low-resolution thickness.
    #[must_use]
    pub fn target_scale(&self, grows_with_thickness: bool) -> TargetScale {
        let cells = || self.training.iter().flat_map(Day::cells_with_anomaly);
        if !grows_with_thickness {
            let (sum, count) = cells().fold((0.0, 0.0), |(sum, count), (_, a)| (sum + a * a, count + 1.0));
            return TargetScale { constant_m: f64::sqrt(sum / count) as f32, per_metre: 0.0 };
        }
        // Least squares of |anomaly| on the thickness; the mean magnitude of a normal number is sqrt(2/pi) of its deviation.
        let [n, h, hh, a, ha] = cells().fold([0.0; 5], |[n, sh, shh, sa, sha], (h, a)| {
            [n + 1.0, sh + h, shh + h * h, sa + a.abs(), sha + h * a.abs()]
        });
        let slope = (n * ha - h * a) / (n * hh - h * h);
        let factor = (std::f64::consts::PI / 2.0).sqrt();
        let constant = ((a - slope * h) / n).max(0.01);
        TargetScale { constant_m: (constant * factor) as f32, per_metre: (slope.max(0.0) * factor) as f32 }
    }

    /// The batch of a training step: the same step gives the same batch.
    #[must_use]
    pub fn training_batch(
        &self,
        options: BatchOptions,
        scale: TargetScale,
        step: u64,
        device: Device,
    ) -> Batch {
        let mut dice = dice(&format!("train|{}|{step}", options.seed));
        self.draw(&self.training, &mut dice, options, scale, device)
    }

    /// A batch of held-out days, always the same for a number.
    #[must_use]
    pub fn validation_batch(
        &self,
        options: BatchOptions,
        scale: TargetScale,
        number: u64,
        device: Device,
    ) -> Batch {
        let mut dice = dice(&format!("validate|{number}"));
        self.draw(
            &self.validation,
            &mut dice,
            BatchOptions { drop_deformation: 0.0, ..options },
            scale,
            device,
        )
    }

    fn draw(
        &self,
        days: &[Day],
        dice: &mut ChaCha20Rng,
        options: BatchOptions,
        scale: TargetScale,
        device: Device,
    ) -> Batch {
        let side = options.window;
        let mut contexts = Array3::zeros((4 * options.batch, side, side));
        let mut targets = Array3::zeros((options.batch, side, side));
        for sample in 0..options.batch {
            let (mut context, anomaly_m) = draw_window(days, dice, side);
            let target = ndarray::Zip::from(&anomaly_m)
                .and(&context.index_axis(Axis(0), 1))
                .and(&context.index_axis(Axis(0), 3))
                .map_collect(|&anomaly, &low, &inside| inside * anomaly / scale.at(low));
            prepare::standardise(&mut context, self.statistics.mean, self.statistics.standard_deviation);
            if share(dice) < options.drop_deformation {
                context.index_axis_mut(Axis(0), 2).fill(0.0);
            }
            contexts.slice_mut(s![4 * sample..4 * sample + 4, .., ..]).assign(&context);
            targets.index_axis_mut(Axis(0), sample).assign(&target);
        }
        let size = [options.batch as i64, -1, side as i64, side as i64];
        let tensor = |array: Array3<f32>| {
            Tensor::from_slice(&array.into_raw_vec_and_offset().0).reshape(size).to_device(device)
        };
        let context = tensor(contexts);
        let mask = context.narrow(1, 3, 1);
        Batch { context, target: tensor(targets), mask }
    }
}

impl Day {
    fn of(sample: &Sample) -> Self {
        let anomaly_m = &sample.effective_thickness_m - &sample.low_effective_thickness_m;
        let deformation = ndarray::Zip::from(&sample.low_divergence_per_day)
            .and(&sample.low_shear_per_day)
            .map_collect(|divergence, shear| divergence.hypot(*shear));
        let mask = ndarray::Zip::from(&sample.low_concentration)
            .and(&anomaly_m)
            .and(&deformation)
            .map_collect(|&c, a, d| c >= prepare::ICE_EDGE && !a.is_nan() && !d.is_nan());
        let context = prepare::context(
            &sample.low_concentration,
            &sample.low_effective_thickness_m,
            &deformation,
            &mask,
        );
        let anomaly_m =
            ndarray::Zip::from(&anomaly_m).and(&mask).map_collect(|&a, &inside| if inside { a } else { 0.0 });
        Self { context, anomaly_m }
    }

    /// Low-resolution thickness and anomaly of the cells inside the mask, m.
    fn cells_with_anomaly(&self) -> impl Iterator<Item = (f64, f64)> {
        let (low, mask) = (self.context.index_axis(Axis(0), 1), self.context.index_axis(Axis(0), 3));
        let cells = self.anomaly_m.iter().zip(low).zip(mask);
        cells
            .filter(|(_, inside)| **inside > 0.5)
            .map(|((&anomaly, &low), _)| (f64::from(low), f64::from(anomaly)))
    }
}

/// Every day of an archive, and what they say together of their data.
fn read_days(archive: &Archive, window: usize) -> Result<(Vec<Day>, Provenance), TrainError> {
    let mut days = Vec::new();
    let mut all: Option<Provenance> = None;
    for (index, day) in archive.days().enumerate() {
        let (sample, stated) = archive.read(index)?;
        let (rows, columns) = sample.effective_thickness_m.dim();
        if rows.min(columns) < window {
            return Err(TrainError::Option(format!(
                "day {day} has {rows} x {columns} cells, fewer than the window of {window}; give a smaller --window"
            )));
        }
        let so_far = all.get_or_insert_with(|| stated.clone());
        if (&so_far.thickness_definition, &so_far.degradation)
            != (&stated.thickness_definition, &stated.degradation)
        {
            return Err(TrainError::Option(format!(
                "day {day} has another thickness definition or degradation than the days before it; train on one kind of archive"
            )));
        }
        if !so_far.origin.contains(&stated.origin) {
            so_far.origin = format!("{}; {}", so_far.origin, stated.origin);
        }
        days.push(Day::of(&sample));
    }
    let empty = || TrainError::Option("the archive has no day; make one with `nilas synth`".into());
    Ok((days, all.ok_or_else(empty)?))
}

fn statistics(days: &[Day]) -> FeatureStatistics {
    let (mut mean, mut standard_deviation) = ([0.0; 3], [1.0; 3]);
    for channel in 0..3 {
        let (mut count, mut sum, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
        for day in days {
            let values = day.context.index_axis(Axis(0), channel);
            for (&value, _) in
                values.iter().zip(day.context.index_axis(Axis(0), 3)).filter(|(_, inside)| **inside > 0.5)
            {
                count += 1.0;
                sum += f64::from(value);
                squares += f64::from(value).powi(2);
            }
        }
        let average = sum / count;
        mean[channel] = average as f32;
        standard_deviation[channel] = (squares / count - average * average).max(1e-12).sqrt() as f32;
    }
    FeatureStatistics { mean, standard_deviation }
}

/// A window with ice in it, turned by a random number of quarters and mirrored half of the time.
fn draw_window(days: &[Day], dice: &mut ChaCha20Rng, side: usize) -> (Array3<f32>, Array2<f32>) {
    let mut drawn = None;
    for _ in 0..DRAWS {
        let day = &days[below(dice, days.len())];
        let (rows, columns) = day.anomaly_m.dim();
        let (row, column) = (below(dice, rows - side + 1), below(dice, columns - side + 1));
        let context = day.context.slice(s![.., row..row + side, column..column + side]);
        let enough = context.index_axis(Axis(0), 3).mean().unwrap_or(0.0) >= SMALLEST_ICE_SHARE;
        drawn = Some((context, day.anomaly_m.slice(s![row..row + side, column..column + side])));
        if enough {
            break;
        }
    }
    let (quarters, mirror) = (below(dice, 4), below(dice, 2) == 1);
    drawn.map_or_else(Default::default, |(context, anomaly)| {
        let turned = (
            turn(context.insert_axis(Axis(0)), quarters, mirror),
            turn(anomaly.insert_axis(Axis(0)).insert_axis(Axis(0)), quarters, mirror),
        );
        (
            turned.0.index_axis_move(Axis(0), 0),
            turned.1.index_axis_move(Axis(0), 0).index_axis_move(Axis(0), 0),
        )
    })
}

/// Turns square fields `[_, _, row, column]`.
fn turn(fields: ndarray::ArrayView4<'_, f32>, quarters: usize, mirror: bool) -> ndarray::Array4<f32> {
    let mut view = fields;
    if quarters % 2 == 1 {
        view = view.permuted_axes([0, 1, 3, 2]);
        view.invert_axis(Axis(2));
    }
    if quarters >= 2 {
        view.invert_axis(Axis(2));
        view.invert_axis(Axis(3));
    }
    if mirror {
        view.invert_axis(Axis(3));
    }
    view.as_standard_layout().into_owned()
}

/// The random numbers that belong to a key.
pub(super) fn dice(key: &str) -> ChaCha20Rng {
    ChaCha20Rng::from_seed(Sha256::digest(key).into())
}

/// A number in 0..1.
pub(super) fn share(dice: &mut ChaCha20Rng) -> f64 {
    (dice.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn below(dice: &mut ChaCha20Rng, limit: usize) -> usize {
    ((share(dice) * limit as f64) as usize).min(limit - 1)
}
