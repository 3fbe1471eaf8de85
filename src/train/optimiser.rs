//! Adam with averaged weights, its state in plain tensors so that a training can be stopped and resumed to the bit.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use crate::config::Precision;
use crate::model::Network;

const FIRST_DECAY: f64 = 0.9;
const SECOND_DECAY: f64 = 0.999;
const EPSILON: f64 = 1e-7;

/// Adam (Kingma and Ba 2015) and an exponential average of every tensor of the network, running statistics included.
#[derive(Debug)]
pub(super) struct Optimiser {
    /// Trainable tensors with their first and second moments.
    moments: Vec<(String, Tensor, Tensor, Tensor)>,
    /// Every tensor and its average.
    averages: Vec<(String, Tensor, Tensor)>,
    ema_decay: f64,
    /// The gradient of all weights together is cut to this length.
    clip: Option<f64>,
}

impl Optimiser {
    pub(super) fn new(network: &Network, ema_decay: f64, clip: Option<f64>) -> Self {
        let moments = network
            .trainable()
            .into_iter()
            .map(|(name, tensor)| (name, tensor.zeros_like(), tensor.zeros_like(), tensor))
            .map(|(name, first, second, tensor)| (name, tensor, first, second))
            .collect();
        let averages = network
            .tensors()
            .into_iter()
            .map(|(name, tensor)| {
                let average = tensor.detach().copy();
                (name, tensor, average)
            })
            .collect();
        Self { moments, averages, ema_decay, clip }
    }

    /// Moves the weights against their gradients, which are cleared; `step` counts from 1.
    pub(super) fn step(&mut self, learning_rate: f64, step: u64) {
        let first_correction = 1.0 - FIRST_DECAY.powf(step as f64);
        let second_correction = 1.0 - SECOND_DECAY.powf(step as f64);
        // The average starts as the weights themselves; early on a long memory would only remember the random start.
        let decay = self.ema_decay.min((1.0 + step as f64) / (10.0 + step as f64));
        tch::no_grad(|| {
            let factor = self.clip.map(|clip| (clip / (self.gradient_norm() + EPSILON)).min(1.0));
            for (_, tensor, first, second) in &mut self.moments {
                let mut gradient = tensor.grad();
                if let Some(factor) = factor {
                    let _ = gradient.g_mul_scalar_(factor);
                }
                let _ = first.g_mul_scalar_(FIRST_DECAY).g_add_(&(&gradient * (1.0 - FIRST_DECAY)));
                let _ =
                    second.g_mul_scalar_(SECOND_DECAY).g_add_(&(gradient.square() * (1.0 - SECOND_DECAY)));
                let scale = (&*second / second_correction).sqrt() + EPSILON;
                let _ = tensor.g_sub_(&(&*first * (learning_rate / first_correction) / scale));
                let _ = gradient.zero_();
            }
            for (_, tensor, average) in &mut self.averages {
                let _ = average.g_mul_scalar_(decay).g_add_(&(&*tensor * (1.0 - decay)));
            }
        });
    }

    /// The length of the gradient of all weights together.
    fn gradient_norm(&self) -> f64 {
        let squares: Vec<Tensor> =
            self.moments.iter().map(|(_, tensor, ..)| tensor.grad().square().sum(Kind::Float)).collect();
        Tensor::stack(&squares, 0).sum(Kind::Double).double_value(&[]).sqrt()
    }

    /// The averaged tensors by name.
    pub(super) fn averages(&self) -> Vec<(String, Tensor)> {
        self.averages.iter().map(|(name, _, average)| (name.clone(), average.shallow_clone())).collect()
    }

    /// Everything that a resumed training needs, the moments in the given number format.
    pub(super) fn state(&self, moments: Precision) -> Vec<(String, Tensor)> {
        let kind = if moments == Precision::Bf16 { Kind::BFloat16 } else { Kind::Float };
        let mut state = Vec::new();
        for (name, _, first, second) in &self.moments {
            state.push((format!("first_moment.{name}"), first.to_kind(kind)));
            state.push((format!("second_moment.{name}"), second.to_kind(kind)));
        }
        for (name, tensor, average) in &self.averages {
            state.push((format!("weight.{name}"), tensor.detach()));
            state.push((format!("average.{name}"), average.shallow_clone()));
        }
        state
    }

    /// Takes a state over; gives the name of the first tensor that does not fit.
    pub(super) fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<(), String> {
        // In f32 these are the tensors themselves.
        for (name, mut target) in self.state(Precision::F32) {
            let value = state.get(&name).filter(|value| value.size() == target.size());
            let value = value.ok_or_else(|| format!("{name} is missing or has another shape"))?;
            tch::no_grad(|| target.copy_(value));
        }
        Ok(())
    }
}
