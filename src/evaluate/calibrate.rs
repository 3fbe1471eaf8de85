//! Fits the spread of a checkpoint's members to held-out truth.

use ndarray::Array2;

use super::scenes::{self, SceneFields};
use super::{EvaluateError, EvaluateOptions};
use crate::archive::Archive;
use crate::ensemble::{self, InMemory, Plan};
use crate::model::{Calibration, Checkpoint, Objective, Sampler, SpreadFactor, TargetScale};
use crate::progress::{Bar, Stages};
use crate::score::{CLASSES_M, class_of};

/// A class with fewer cells says nothing sure about its spread.
const LEAST_CELLS: f64 = 2000.0;
/// A spread that would have to change by more than this factor, or its inverse, shows that something else is wrong.
const MOST: f64 = 2.0;
/// Times that members are drawn at most to find the temperature.
const MOST_DRAWS: usize = 6;
/// The temperature is found when the spread is right to this share; worse than the second after all draws is a failure.
const NEAR: f64 = 0.02;
const NEAR_ENOUGH: f64 = 0.1;

/// The stretches that are tried beside none: ranks do not tell finer ones apart.
const STRETCHES: [f32; 8] = [0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2];

/// How steeply the logarithm of what is lacking falls with that of the temperature: 1 for Gaussian fields; networks take more noise for
/// rougher ice, and make 3 to 5 of it. The first step takes the first, later ones what they find, within the second.
const FIRST_SLOPE: f64 = -3.0;
const SLOPES: (f64, f64) = (-10.0, -0.5);

/// Fits a calibration of `checkpoint` with `sampler` to the days of an archive, none of which it may have been trained on. First the
/// temperature of the noise, so that over all ice the members' spread is the error of their mean. Then, with members drawn at that
/// temperature, the stretch of far anomalies with which the truth has every rank among them as often, and for each stretch what is left
/// in each class of thickness. All are in the checkpoint afterwards, with the sampler, which they are for.
///
/// The members of all scenes are held in memory.
///
/// # Errors
/// [`EvaluateError`], also when what is wrong with the spread is not for a calibration to mend; the checkpoint then has none.
pub fn calibrate(
    archive: &Archive,
    checkpoint: &mut Checkpoint,
    sampler: Sampler,
    options: &EvaluateOptions,
    stages: &mut Stages<'_>,
) -> Result<Calibration, EvaluateError> {
    checkpoint.info.refuse_unless(Objective::Noise)?;
    let places = stages.run("look", archive.days().len(), |bar| scenes::choose(archive, options, bar))?;
    let fitted_on = format!(
        "{} scenes, {} members, {} in {} calls; {}",
        places.len(),
        options.members,
        sampler.kind.name(),
        sampler.steps,
        archive.read(0)?.1.origin
    );
    let at = |noise_temperature| Calibration {
        noise_temperature,
        stretch: 0.0,
        spread_factors: Vec::new(),
        fitted_on: fitted_on.clone(),
    };
    let scale = checkpoint.info.target_scale;
    let calls = MOST_DRAWS * places.len() * options.members * sampler.steps;
    let found = stages.run("spread", calls, |bar| {
        let mut last = Vec::new();
        let temperature = fit_temperature(|temperature| {
            checkpoint.info.calibration = Some(at(temperature));
            let draw = |place| {
                let scene = scenes::read(archive, place)?;
                let members = members(checkpoint, sampler, options, &scene, bar)?;
                Ok(Drawn { scene, members })
            };
            last = places.iter().map(draw).collect::<Result<_, EvaluateError>>()?;
            Spreads::of(&last, &at(temperature), scale).all.too_little().ok_or_else(|| {
                EvaluateError::Option(
                    "the scenes have too little ice to fit a spread; give more --days".into(),
                )
            })
        })?;
        fit_shape(&last, &at(temperature), scale)
    });
    checkpoint.info.calibration = None;
    let calibration = found?;
    checkpoint.info.calibration = Some(calibration.clone());
    checkpoint.info.sampler = sampler.choice();
    Ok(calibration)
}

/// The temperature at which `too_little` gives 1: the factor that the spread at a temperature lacks. Secants of the logarithms,
/// which are one line for Gaussian fields; those of a network bend.
fn fit_temperature(
    mut too_little: impl FnMut(f64) -> Result<f64, EvaluateError>,
) -> Result<f64, EvaluateError> {
    let mut temperature = 1.0_f64;
    let mut before: Option<(f64, f64)> = None;
    for draw in 1..=MOST_DRAWS {
        if !(1.0 / MOST..=MOST).contains(&temperature) {
            break;
        }
        let lacking = too_little(temperature)?.ln();
        if lacking.abs() < NEAR || draw == MOST_DRAWS && lacking.abs() < NEAR_ENOUGH {
            return Ok(temperature);
        }
        let at = temperature.ln();
        let slope = before.map_or(FIRST_SLOPE, |(other, lacked)| {
            ((lacking - lacked) / (at - other)).clamp(SLOPES.0, SLOPES.1)
        });
        before = Some((at, lacking));
        temperature = (at - lacking / slope).exp();
    }
    Err(EvaluateError::Calibration(format!(
        "no noise temperature from {} to {MOST} makes the members' spread the error of their mean; the search ended at {temperature:.3}",
        1.0 / MOST
    )))
}

/// The stretch with which ranks are the evenest, and the factors that belong to it.
fn fit_shape(drawn: &[Drawn], plain: &Calibration, scale: TargetScale) -> Result<Calibration, EvaluateError> {
    let with = |stretch: f32| {
        let stretched = Calibration { stretch, ..plain.clone() };
        let spread_factors = Spreads::of(drawn, &stretched, scale).factors()?;
        let fitted = Calibration { spread_factors, ..stretched };
        Ok::<_, EvaluateError>((unevenness(drawn, &fitted, scale), fitted))
    };
    let mut best = with(0.0)?;
    for stretch in STRETCHES {
        // The farther it stretches, the smaller factors get, up to what is refused.
        let Ok(next) = with(stretch) else { break };
        if next.0 < best.0 {
            best = next;
        }
    }
    Ok(best.1)
}

/// How far the shares of the truth's ranks among calibrated members are from being equal: their variance in units of a rank's due.
fn unevenness(drawn: &[Drawn], fitted: &Calibration, scale: TargetScale) -> f64 {
    let mut ranks: Vec<f64> = Vec::new();
    for Drawn { scene, members } in drawn {
        ranks.resize(members.len() + 1, 0.0);
        for cell in scene.cells() {
            let (low, truth) = (scene.low_m[cell], scene.truth_m[cell]);
            let values = members.iter().map(|member| {
                let anomaly = fitted.anomaly(member[cell] - low, low, scale.at(low));
                (low + anomaly).max(0.0)
            });
            let (mut below, mut equal) = (0, 0);
            for value in values {
                below += usize::from(value < truth);
                equal += usize::from(value.total_cmp(&truth).is_eq());
            }
            // Where several have the truth's own value, such as 0 m, it may be at each rank among them.
            for rank in &mut ranks[below..=below + equal] {
                *rank += 1.0 / (equal + 1) as f64;
            }
        }
    }
    let due = ranks.iter().sum::<f64>() / ranks.len() as f64;
    ranks.iter().map(|count| (count / due - 1.0).powi(2)).sum::<f64>() / ranks.len() as f64
}

/// A scene with the members that were drawn on it, m.
struct Drawn {
    scene: SceneFields,
    members: Vec<Array2<f32>>,
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

/// Sums over some cells of how far members are from each other, and their mean from the truth; anomalies from the
/// low-resolution thickness, m^2.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Spread {
    cells: f64,
    /// The low-resolution effective thickness, m.
    low_m: f64,
    /// Squares of the mean's anomaly, its products with the truth's, and the squares of that.
    means: f64,
    products: f64,
    truths: f64,
    /// Variances of the members.
    variances: f64,
    /// Variances of the mean, which is one of few members.
    of_mean: f64,
}

impl Spread {
    fn add(&mut self, low_m: f64, mean: f64, truth: f64, variance: f64, members: f64) {
        self.cells += 1.0;
        self.low_m += low_m;
        self.means += mean * mean;
        self.products += mean * truth;
        self.truths += truth * truth;
        self.variances += variance;
        self.of_mean += variance / members;
    }

    fn is_enough(&self) -> bool {
        self.cells >= LEAST_CELLS && self.variances > 0.0
    }

    /// What the members' deviations from their mean lack as a factor, so that the truth could be one of them: then the squared error
    /// of the mean is their variance, and on top what a mean of few members errs by itself.
    fn too_little(&self) -> Option<f64> {
        let errors = self.means - 2.0 * self.products + self.truths - self.of_mean;
        self.is_enough().then(|| (errors.max(0.0) / self.variances).sqrt())
    }

    /// The factor on the members' anomalies after which they lack nothing. It moves their mean as well, so that it solves
    /// `f^2 means - 2 f products + truths = f^2 (variances + of_mean)`.
    fn factor(&self) -> Option<f64> {
        let rest = self.variances + self.of_mean - self.means;
        let root = self.products.powi(2) + self.truths * rest;
        self.is_enough().then(|| self.truths / (self.products + root.max(0.0).sqrt()))
    }
}

/// All ice, and each class of thickness.
#[derive(Debug, Clone, Copy, Default)]
struct Spreads {
    all: Spread,
    classes: [Spread; CLASSES_M.len() - 1],
}

impl Spreads {
    /// Of all scenes, with what a calibration makes of the anomalies that were drawn.
    fn of(drawn: &[Drawn], calibration: &Calibration, scale: TargetScale) -> Self {
        let mut spreads = Self::default();
        for scene in drawn {
            spreads.add(scene, calibration, scale);
        }
        spreads
    }

    fn add(&mut self, Drawn { scene, members }: &Drawn, calibration: &Calibration, scale: TargetScale) {
        let count = members.len() as f64;
        for cell in scene.cells() {
            let low = scene.low_m[cell];
            let values = || {
                let anomalies = members.iter().map(|member| member[cell] - low);
                anomalies.map(|drawn| f64::from(calibration.anomaly(drawn, low, scale.at(low))))
            };
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
            let truth = f64::from(scene.truth_m[cell] - low);
            let class = class_of(low).and_then(|class| self.classes.get_mut(class));
            for spread in [Some(&mut self.all), class].into_iter().flatten() {
                spread.add(f64::from(low), mean, truth, variance, count);
            }
        }
    }

    /// The factors of the classes that have enough cells, at their mean thickness.
    fn factors(&self) -> Result<Vec<SpreadFactor>, EvaluateError> {
        let known =
            self.classes.iter().filter_map(|class| Some((class.low_m / class.cells, class.factor()?)));
        known
            .map(|(thickness_m, factor)| {
                if !(1.0 / MOST..=MOST).contains(&factor) {
                    return Err(EvaluateError::Calibration(format!(
                        "where ice is about {thickness_m:.1} m thick, members' anomalies would have to be multiplied by {factor:.2}"
                    )));
                }
                Ok(SpreadFactor { thickness_m: thickness_m as f32, factor: factor as f32 })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Zip;

    use super::*;
    use crate::ensemble::standard_normal;

    const SIDE: usize = 160;
    const SCALE: TargetScale = TargetScale { constant_m: 0.1, per_metre: 0.0 };

    fn plain() -> Calibration {
        Calibration {
            noise_temperature: 1.0,
            stretch: 0.0,
            spread_factors: Vec::new(),
            fitted_on: "numbers".into(),
        }
    }

    /// Truth and members that deviate from one mean, the members `too_little` times as much, twice that in thick ice.
    fn scene(too_little: f32) -> Drawn {
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
        Drawn { scene, members }
    }

    #[test]
    fn factors_make_the_truth_one_of_the_members() {
        let spreads = Spreads::of(&[scene(0.8)], &plain(), SCALE);
        let factors = spreads.factors().unwrap();
        assert_eq!(factors.len(), 2, "{factors:?}");
        for (found, (thickness, factor)) in factors.iter().zip([(1.0, 1.0 / 0.8), (2.5, 1.0 / 0.64)]) {
            assert!((found.thickness_m - thickness).abs() < 1e-3, "{found:?}");
            assert!((found.factor / factor - 1.0).abs() < 0.03, "{found:?} instead of {factor}");
        }
        let all = spreads.all.too_little().unwrap();
        assert!(all > 1.0 / 0.8 && all < 1.0 / 0.64, "{all}");
    }

    #[test]
    fn a_factor_moves_the_mean_too_and_makes_the_spread_its_error_all_the_same() {
        let before = Spread {
            cells: 5000.0,
            low_m: 5000.0,
            means: 120.0,
            products: 150.0,
            truths: 400.0,
            variances: 100.0,
            of_mean: 10.0,
        };
        let factor = before.factor().unwrap();
        let square = factor * factor;
        let after = Spread {
            means: square * before.means,
            products: factor * before.products,
            variances: square * before.variances,
            of_mean: square * before.of_mean,
            ..before
        };
        assert!(factor > 1.0 && (after.too_little().unwrap() - 1.0).abs() < 1e-9, "{factor} {after:?}");
        let right = Spread { means: 120.0, products: 120.0, truths: 230.0, variances: 100.0, ..before };
        assert!((right.factor().unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn too_few_cells_fit_nothing_and_too_much_to_change_is_refused() {
        let spreads = Spreads::of(&[scene(0.1)], &plain(), SCALE);
        assert_eq!(Spread { cells: 10.0, ..spreads.all }.factor(), None);
        let error = spreads.factors().unwrap_err().to_string();
        assert!(error.contains("multiplied") && error.contains("train"), "{error}");
    }

    /// A truth whose far anomalies are farther out than those of members with the same variance, which even ranks betray.
    #[test]
    fn a_stretch_is_found_where_the_truth_has_one_and_makes_ranks_even() {
        let mut drawn = scene(1.0);
        for stretch in [0.0, 0.1] {
            Zip::from(&mut drawn.scene.truth_m).and(&drawn.scene.low_m).for_each(|truth, low| {
                let anomaly = *truth - low;
                *truth = low + 0.8 * anomaly * (1.0 + stretch * anomaly.abs() / 0.1);
            });
            let drawn = std::slice::from_ref(&drawn);
            let fitted = fit_shape(drawn, &plain(), SCALE).unwrap();
            assert!((fitted.stretch - stretch).abs() < 0.06, "{stretch} is found as {}", fitted.stretch);
            let factors = Spreads::of(drawn, &plain(), SCALE).factors().unwrap();
            let before = Calibration { spread_factors: factors, ..plain() };
            let [before, after] = [&before, &fitted].map(|calibration| unevenness(drawn, calibration, SCALE));
            assert!(after < 0.002 && after <= before, "{stretch}: {before} became {after}");
        }
    }

    #[test]
    fn the_temperature_is_found_where_spread_bends_and_refused_where_it_does_not_follow() {
        for power in [0.6, 1.0, 2.5, 5.0] {
            let found = fit_temperature(|temperature| Ok(0.8 / temperature.powf(power))).unwrap();
            assert!((0.8 / found.powf(power) - 1.0).abs() < NEAR, "{found} at {power}");
        }
        let error = fit_temperature(|_| Ok(1.7)).unwrap_err().to_string();
        assert!(error.contains("no noise temperature"), "{error}");
    }
}
