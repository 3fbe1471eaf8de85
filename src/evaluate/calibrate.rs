//! Fits the spread of a checkpoint's members to held-out truth.

use ndarray::Array2;

use super::scenes::{self, SceneFields};
use super::{EvaluateError, EvaluateOptions};
use crate::archive::Archive;
use crate::ensemble::{self, InMemory, Plan};
use crate::model::{Calibration, Checkpoint, Objective, Sampler, SpreadFactor};
use crate::progress::{Bar, Stages};
use crate::score::{CLASSES_M, class_of};

/// A class with fewer cells says nothing sure about its spread.
const LEAST_CELLS: f64 = 2000.0;
/// A fit that would change a spread by more than this factor, or its inverse, shows that something else is wrong.
const MOST: f64 = 2.0;

/// Fits a calibration of `checkpoint` with `sampler` to the days of an archive, none of which it may have been trained on. First the
/// temperature of the noise, so that over all ice the members' spread is the error of their mean; then, with members drawn at that
/// temperature, what is left in each class of thickness. It is in the checkpoint afterwards.
///
/// # Errors
/// [`EvaluateError`]; the checkpoint then has no calibration.
pub fn calibrate(
    archive: &Archive,
    checkpoint: &mut Checkpoint,
    sampler: Sampler,
    options: &EvaluateOptions,
    stages: &mut Stages<'_>,
) -> Result<Calibration, EvaluateError> {
    checkpoint.info.refuse_unless(Objective::Noise)?;
    checkpoint.info.calibration = None;
    let places = stages.run("look", archive.days().len(), |bar| scenes::choose(archive, options, bar))?;
    let calls = places.len() * options.members * sampler.steps;
    let draw = |checkpoint: &Checkpoint, bar: &Bar| {
        let mut spreads = Spreads::default();
        for place in &places {
            let scene = scenes::read(archive, place)?;
            let members = members(checkpoint, sampler, options, &scene, bar)?;
            spreads.add(&scene, &members);
        }
        Ok::<_, EvaluateError>(spreads)
    };
    let spreads = stages.run("temperature", calls, |bar| draw(checkpoint, bar))?;
    let noise_temperature = spreads.all.factor().ok_or_else(|| {
        EvaluateError::Option("the scenes have too little ice to fit a spread; give more --days".into())
    })?;
    let fitted_on = format!(
        "{} scenes, {} members, {} in {} calls; {}",
        places.len(),
        options.members,
        sampler.kind.name(),
        sampler.steps,
        archive.read(0)?.1.origin
    );
    let first = Calibration { noise_temperature, spread_factors: Vec::new(), fitted_on };
    checkpoint.info.calibration = Some(first.clone());
    let rest = stages.run("thickness classes", calls, |bar| draw(checkpoint, bar)).inspect_err(|_| {
        checkpoint.info.calibration = None;
    })?;
    let calibration = Calibration { spread_factors: rest.factors(), ..first };
    checkpoint.info.calibration = Some(calibration.clone());
    Ok(calibration)
}

fn members(
    checkpoint: &Checkpoint,
    sampler: Sampler,
    options: &EvaluateOptions,
    scene: &SceneFields,
    bar: &Bar,
) -> Result<Vec<Array2<f32>>, EvaluateError> {
    let plan = Plan { batch: options.batch, ..Plan::new(scene.day, options.members, sampler, options.seed) };
    let mut members = InMemory::default();
    ensemble::draw(checkpoint, &scene.context, plan, &mut members, bar)
        .map_err(|source| EvaluateError::Ensemble { row: "calibration".into(), day: scene.day, source })?;
    Ok(members.into_members())
}

/// How far members are from each other, and their mean from the truth, over some cells.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Spread {
    cells: f64,
    /// Sum of the low-resolution effective thickness, m.
    low_m: f64,
    /// Sum of the squared errors of the mean, m^2.
    errors: f64,
    /// Sum of the variances of the members, m^2.
    variances: f64,
    /// Sum of the variances of the mean, which is one of few members, m^2.
    of_mean: f64,
}

impl Spread {
    fn add(&mut self, low_m: f64, error: f64, variance: f64, members: f64) {
        self.cells += 1.0;
        self.low_m += low_m;
        self.errors += error * error;
        self.variances += variance;
        self.of_mean += variance / members;
    }

    /// What the members' deviations are to be multiplied with, so that the truth could be one of them: then the squared error of
    /// the mean is their variance, and on top what a mean of few members errs by itself.
    fn factor(&self) -> Option<f64> {
        let enough = self.cells >= LEAST_CELLS && self.variances > 0.0;
        enough
            .then(|| ((self.errors - self.of_mean).max(0.0) / self.variances).sqrt().clamp(1.0 / MOST, MOST))
    }
}

/// All ice, and each class of thickness.
#[derive(Debug, Clone, Copy, Default)]
struct Spreads {
    all: Spread,
    classes: [Spread; CLASSES_M.len() - 1],
}

impl Spreads {
    fn add(&mut self, scene: &SceneFields, members: &[Array2<f32>]) {
        let count = members.len() as f64;
        for (cell, &inside) in scene.mask.indexed_iter() {
            if !inside {
                continue;
            }
            let values = || members.iter().map(|member| f64::from(member[cell]));
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
            let (low, error) = (scene.low_m[cell], mean - f64::from(scene.truth_m[cell]));
            let class = class_of(low).and_then(|class| self.classes.get_mut(class));
            for spread in [Some(&mut self.all), class].into_iter().flatten() {
                spread.add(f64::from(low), error, variance, count);
            }
        }
    }

    /// The factors of the classes that have enough cells, at their mean thickness.
    fn factors(&self) -> Vec<SpreadFactor> {
        let factor = |class: &Spread| {
            let factor = class.factor()? as f32;
            Some(SpreadFactor { thickness_m: (class.low_m / class.cells) as f32, factor })
        };
        self.classes.iter().filter_map(factor).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Zip;

    use super::*;
    use crate::ensemble::standard_normal;

    const SIDE: usize = 160;

    /// Truth and members that deviate from one mean, the members `too_little` times as much, twice that in thick ice.
    fn scene(too_little: f32) -> (SceneFields, Vec<Array2<f32>>) {
        let thick = |column: usize| column >= SIDE / 2;
        let low_m = Array2::from_shape_fn((SIDE, SIDE), |(_, column)| if thick(column) { 2.5 } else { 1.0 });
        let field = |key: &str, narrow: f32| {
            let noise = Array2::from_shape_vec((SIDE, SIDE), standard_normal(key, SIDE * SIDE)).unwrap();
            let mut field = low_m.clone();
            Zip::indexed(&mut field).and(&noise).for_each(|(_, column), value, noise| {
                *value += 0.1 * noise * if thick(column) { narrow * narrow } else { narrow };
            });
            field
        };
        let members = (0..8).map(|member| field(&format!("member {member}"), too_little)).collect();
        let scene = SceneFields {
            day: "2022-01-02".parse().unwrap(),
            context: ndarray::Array3::zeros((4, SIDE, SIDE)),
            truth_m: field("truth", 1.0),
            low_m,
            mask: Array2::from_elem((SIDE, SIDE), true),
        };
        (scene, members)
    }

    #[test]
    fn factors_make_the_truth_one_of_the_members() {
        let (scene, members) = scene(0.8);
        let mut spreads = Spreads::default();
        spreads.add(&scene, &members);
        let factors = spreads.factors();
        assert_eq!(factors.len(), 2, "{factors:?}");
        for (found, (thickness, factor)) in factors.iter().zip([(1.0, 1.0 / 0.8), (2.5, 1.0 / 0.64)]) {
            assert!((found.thickness_m - thickness).abs() < 1e-3, "{found:?}");
            assert!((found.factor / factor - 1.0).abs() < 0.03, "{found:?} instead of {factor}");
        }
        let all = spreads.all.factor().unwrap();
        assert!(all > 1.0 / 0.8 && all < 1.0 / 0.64, "{all}");
    }

    #[test]
    fn too_few_cells_and_too_much_to_change_give_no_wild_factor() {
        let (scene, members) = scene(0.1);
        let mut spreads = Spreads::default();
        spreads.add(&scene, &members);
        assert!((spreads.all.factor().unwrap() - MOST).abs() < 1e-9);
        assert_eq!(Spread { cells: 10.0, ..spreads.all }.factor(), None);
    }
}
