//! Work to measure a network with: random questions, and networks that nobody has trained.

use ndarray::Array3;
use tch::{Cuda, Device, Kind, Tensor};

use super::{
    CONTEXT_CHANNELS, Checkpoint, CheckpointInfo, FeatureStatistics, Features, ModelError, Network,
    NetworkConfiguration, NoisePredictor, Objective, Placement, Schedule, Target, TargetScale,
    TrainingRecord,
};
use crate::config::SamplerChoice;

/// How much noise a question holds; a call takes as long whatever it is.
const NOISE_VARIANCE: f64 = 0.37;

/// A question of random numbers.
#[derive(Debug)]
pub struct Workload {
    noisy: Tensor,
    context: Tensor,
}

impl Workload {
    /// So many samples of so many cells, all of them ice.
    #[must_use]
    pub fn random(samples: usize, (rows, columns): (usize, usize), device: Device) -> Self {
        tch::manual_seed(1);
        let of = |channels: i64| {
            Tensor::randn([samples as i64, channels, rows as i64, columns as i64], (Kind::Float, device))
        };
        Self { noisy: of(1), context: of(CONTEXT_CHANNELS) }
    }

    /// Asks the network, and waits for the answer.
    ///
    /// # Errors
    /// [`ModelError::Torch`] when the network fails.
    pub fn ask(&self, checkpoint: &Checkpoint) -> Result<(), ModelError> {
        let answer = checkpoint.network.predict(&self.noisy, &self.context, NOISE_VARIANCE)?;
        if let Device::Cuda(index) = answer.device() {
            Cuda::synchronize(index as i64);
        }
        Ok(())
    }
}

/// The inputs of a network before standardising, `[4, row, column]`: closed ice of 2 m everywhere.
#[must_use]
pub fn closed_ice(rows: usize, columns: usize) -> Array3<f32> {
    let channels = [0.95, 2.0, -4.0, 1.0];
    Array3::from_shape_fn((channels.len(), rows, columns), |(channel, ..)| channels[channel])
}

impl Checkpoint {
    /// A network of random weights, which answers as fast as a trained one.
    #[must_use]
    pub fn untrained(network: &NetworkConfiguration, placement: Placement) -> Self {
        tch::manual_seed(1);
        let info = CheckpointInfo {
            name: "untrained".into(),
            network: network.clone(),
            channels: 1 + CONTEXT_CHANNELS,
            statistics: FeatureStatistics { mean: [0.95, 2.0, -4.0], standard_deviation: [1.0; 3] },
            target_scale: TargetScale { constant_m: 0.3, per_metre: 0.0 },
            schedule: Schedule::default(),
            sampler: SamplerChoice::default(),
            calibration: None,
            objective: Objective::Noise,
            target: Target::Anomaly,
            features: Features::default(),
            thickness_definition: super::checkpoint::EFFECTIVE.into(),
            degradation: "none".into(),
            training: TrainingRecord {
                data: "none: random weights".into(),
                steps: 0,
                batch: 0,
                window: 0,
                learning_rate: 0.0,
                ema_decay: 0.0,
                seed: 1,
                validation_noise_loss: f64::NAN,
                device: placement.device_name(),
                code_version: env!("CARGO_PKG_VERSION").into(),
            },
        };
        let network = Network::new(network, placement.device).for_inference(placement.precision);
        Self { network, info, sha256: String::new() }
    }
}
