//! Samplers against what they must give in closed form.

use tch::{Device, Kind};

use super::*;

/// The exact prediction for Gaussian data of one variance in every cell.
struct Exact {
    variance: f64,
}

impl NoisePredictor for Exact {
    fn predict(&self, noisy: &Tensor, _context: &Tensor, noise_variance: f64) -> Result<Tensor, ModelError> {
        let signal_variance = 1.0 - noise_variance;
        Ok(noisy * (noise_variance.sqrt() / (signal_variance * self.variance + noise_variance)))
    }
}

fn one(value: f64) -> Tensor {
    Tensor::from(value).to_kind(Kind::Double).to_device(Device::Cpu).reshape([1, 1, 1, 1])
}

/// A schedule for networks that were trained down to a noise rate.
fn down_to(lowest_noise_rate: f64) -> Schedule {
    Schedule { max_signal_rate: (1.0 - lowest_noise_rate.powi(2)).sqrt(), ..Schedule::default() }
}

fn sampler(kind: SamplerKind, steps: usize, schedule: Schedule) -> Sampler {
    let wanted = SamplerChoice { kind: Some(kind), steps: Some(steps), ..SamplerChoice::default() };
    Sampler::resolve(wanted, SamplerChoice::default(), schedule).unwrap()
}

fn power_ratio(variance: f64, sampler: Sampler, schedule: Schedule) -> f64 {
    let noise = one(1.0);
    let clean = sampler.sample(&Exact { variance }, schedule, &Unconstrained, &noise, &noise, || {}).unwrap();
    clean.double_value(&[0, 0, 0, 0]).powi(2) / variance
}

/// Variances of a Fourier mode: from a fine scale of little power to a large one.
const VARIANCES: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

fn expect_powers(kind: SamplerKind, steps: usize, schedule: Schedule, expected: [f64; 9]) {
    let sampler = sampler(kind, steps, schedule);
    for (variance, expected) in VARIANCES.into_iter().zip(expected) {
        let ratio = power_ratio(variance, sampler, schedule);
        assert!(
            (ratio - expected).abs() < 1e-3,
            "{sampler:?}, variance {variance}: {ratio} instead of {expected}"
        );
    }
}

#[test]
fn ddim_gives_the_closed_form_share_of_power() {
    let up_to = |max_signal_rate| Schedule { max_signal_rate, ..Schedule::default() };
    for (steps, schedule, expected) in [
        (40, up_to(0.95), [0.008, 0.022, 0.070, 0.184, 0.424, 0.676, 0.851, 0.910, 0.911]),
        (500, up_to(0.95), [0.009, 0.027, 0.083, 0.214, 0.476, 0.731, 0.898, 0.960, 0.980]),
        (40, up_to(0.99), [0.030, 0.085, 0.235, 0.470, 0.726, 0.864, 0.923, 0.931, 0.909]),
        (40, up_to(0.9998), [0.217, 0.429, 0.663, 0.805, 0.891, 0.928, 0.941, 0.934, 0.904]),
    ] {
        expect_powers(SamplerKind::Ddim, steps, schedule, expected);
    }
}

#[test]
fn dpm_solver_gives_the_closed_form_share_of_power() {
    for (steps, lowest, expected) in [
        (6, 0.02, [0.495, 0.629, 0.767, 0.830, 0.912, 0.967, 0.978, 1.024, 1.025]),
        (8, 0.02, [0.594, 0.764, 0.892, 0.970, 1.019, 1.049, 1.063, 1.073, 1.070]),
        (10, 0.02, [0.643, 0.823, 0.946, 1.007, 1.041, 1.055, 1.062, 1.064, 1.061]),
        (20, 0.02, [0.703, 0.880, 0.972, 1.003, 1.015, 1.019, 1.019, 1.019, 1.016]),
        (10, 0.05, [0.271, 0.503, 0.747, 0.897, 0.987, 1.026, 1.045, 1.051, 1.050]),
    ] {
        expect_powers(SamplerKind::DpmSolverPlusPlus, steps, down_to(lowest), expected);
    }
}

#[test]
fn the_usual_time_grid_keeps_the_power_best() {
    let schedule = down_to(0.02);
    let worst = |steps, time_grid| {
        let sampler = Sampler { time_grid, ..sampler(SamplerKind::DpmSolverPlusPlus, steps, schedule) };
        VARIANCES[1..]
            .iter()
            .map(|&variance| (power_ratio(variance, sampler, schedule) - 1.0).abs())
            .fold(0.0, f64::max)
    };
    for steps in [6, 10, 20] {
        let usual = worst(steps, TimeGrid::LogSnr);
        for other in [TimeGrid::Angle, TimeGrid::Edm] {
            assert!(usual < worst(steps, other), "{other:?} with {steps} calls");
        }
    }
}

#[test]
fn every_number_of_calls_is_that_number_and_many_calls_are_exact() {
    let schedule = down_to(0.02);
    for kind in [SamplerKind::Ddim, SamplerKind::DpmSolverPlusPlus] {
        for steps in [1, 2, 3, 7, 40, 500] {
            let sampler = sampler(kind, steps, schedule);
            let mut calls = 0;
            let clean = sampler
                .sample(&Exact { variance: 1.0 }, schedule, &Unconstrained, &one(1.0), &one(1.0), || {
                    calls += 1;
                })
                .unwrap();
            assert_eq!(calls, steps, "{kind:?}");
            assert!(clean.double_value(&[0, 0, 0, 0]).is_finite());
        }
    }
    let ratio = power_ratio(0.1, sampler(SamplerKind::DpmSolverPlusPlus, 500, schedule), schedule);
    assert!((ratio - 1.0).abs() < 0.02, "{ratio}");
}

#[test]
fn what_is_left_open_comes_from_the_checkpoint_and_then_from_what_is_usual() {
    let schedule = down_to(0.05);
    let resolve = |wanted, usual| Sampler::resolve(wanted, usual, schedule).unwrap();
    let (open, trained) = (SamplerChoice::default(), schedule.lowest_noise_rate());
    let ddim = Sampler {
        kind: SamplerKind::Ddim,
        steps: 40,
        time_grid: TimeGrid::Angle,
        lowest_noise_rate: trained,
    };
    assert_eq!(resolve(open, open), ddim);
    let checkpoint = SamplerChoice {
        kind: Some(SamplerKind::DpmSolverPlusPlus),
        steps: Some(8),
        ..SamplerChoice::default()
    };
    let eight = resolve(open, checkpoint);
    assert_eq!(
        (eight.kind, eight.steps, eight.time_grid),
        (SamplerKind::DpmSolverPlusPlus, 8, TimeGrid::LogSnr)
    );
    assert_eq!(resolve(SamplerChoice { steps: Some(9), ..open }, checkpoint), Sampler { steps: 9, ..eight });
    let named = SamplerChoice { kind: Some(SamplerKind::Ddim), ..open };
    assert_eq!(
        resolve(named, checkpoint),
        ddim,
        "what the checkpoint says of another sampler does not count"
    );
    assert!((resolve(checkpoint, open).lowest_noise_rate - trained).abs() < 1e-12);
    let deeper = Sampler::resolve(checkpoint, open, down_to(0.001)).unwrap();
    assert!((deeper.lowest_noise_rate - 0.02).abs() < 1e-12);
}

#[test]
fn what_a_network_knows_says_which_sampler_is_usual_for_it() {
    for (lowest, kind) in [(0.02, SamplerKind::DpmSolverPlusPlus), (0.34, SamplerKind::Ddim)] {
        let schedule = down_to(lowest);
        let sampler = Sampler::resolve(SamplerChoice::default(), Sampler::usual(schedule), schedule).unwrap();
        assert_eq!(sampler.kind, kind);
        let again = Sampler::resolve(SamplerChoice::default(), sampler.choice(), schedule).unwrap();
        assert_eq!(again, sampler, "a full choice leaves nothing open");
    }
}

#[test]
fn a_sampler_that_cannot_be_is_refused() {
    let refused = |wanted: SamplerChoice, schedule| {
        Sampler::resolve(wanted, SamplerChoice::default(), schedule).unwrap_err().to_string()
    };
    let down = |rate| SamplerChoice { lowest_noise_rate: Some(rate), ..SamplerChoice::default() };
    let message = refused(down(0.02), Schedule::default());
    for word in ["ddim", "0.02", "0.3122", "0.95"] {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    assert!(refused(down(1.0), Schedule::default()).contains("below 0.9998"));
    assert!(refused(down(f64::NAN), Schedule::default()).contains("NaN"));
    for steps in [0, 501] {
        let wanted = SamplerChoice { steps: Some(steps), ..SamplerChoice::default() };
        assert!(refused(wanted, Schedule::default()).contains("1 to 500"));
    }
    let known = down(Schedule::default().lowest_noise_rate());
    assert!(Sampler::resolve(known, SamplerChoice::default(), Schedule::default()).is_ok());
}

#[test]
fn a_bound_holds_at_the_end_and_moves_nothing_that_keeps_it() {
    let schedule = down_to(0.02);
    for kind in [SamplerKind::Ddim, SamplerKind::DpmSolverPlusPlus] {
        let sampler = sampler(kind, 10, schedule);
        let sample = |constraint: &dyn Constraint| {
            let noise = Tensor::from_slice(&[2.0, -2.0]).reshape([1, 1, 1, 2]);
            sampler.sample(&Exact { variance: 0.5 }, schedule, constraint, &noise, &noise, || {}).unwrap()
        };
        let at_least = AtLeast { least: one(-0.3), below_noise_rate: 0.5 };
        let (free, held) = (sample(&Unconstrained), sample(&at_least));
        assert!(free.double_value(&[0, 0, 0, 1]) < -0.5, "{kind:?}");
        assert!((held.double_value(&[0, 0, 0, 1]) + 0.3).abs() < 1e-9, "{kind:?}");
        let (above, untouched) = (held.double_value(&[0, 0, 0, 0]), free.double_value(&[0, 0, 0, 0]));
        assert!((above - untouched).abs() < 1e-9, "{kind:?}");
    }
    assert!(AtLeast { least: one(0.0), below_noise_rate: 0.5 }.hold(&one(-1.0), 0.5).is_none());
}

/// Says that there is no noise at all, anywhere.
struct Blind;

impl NoisePredictor for Blind {
    fn predict(&self, noisy: &Tensor, _context: &Tensor, _noise_variance: f64) -> Result<Tensor, ModelError> {
        Ok(noisy.zeros_like())
    }
}

#[test]
fn outside_the_mask_the_field_stays_what_training_showed() {
    let noise = Tensor::from_slice(&[1.0_f32, -2.0]).reshape([1, 1, 1, 2]);
    let context = Tensor::from_slice(&[0.0_f32, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]).reshape([1, 4, 1, 2]);
    for kind in [SamplerKind::Ddim, SamplerKind::DpmSolverPlusPlus] {
        let sampler = sampler(kind, 5, Schedule::default());
        let predictor = WithinMask(&Blind);
        let clean =
            sampler.sample(&predictor, Schedule::default(), &Unconstrained, &noise, &context, || {}).unwrap();
        assert!(clean.double_value(&[0, 0, 0, 0]).abs() > 1.0, "inside, the answer of the predictor counts");
        assert!(clean.double_value(&[0, 0, 0, 1]).abs() < 1e-4, "outside, the clean field is 0");
    }
}
