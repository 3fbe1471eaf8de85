//! What formulas hold for: a number, or a field of numbers on any device.

use std::ops::{Add, Div, Mul, Sub};

use tch::Tensor;

/// A number or a tensor of numbers, 32-bit floats. The formulas between the units of a network and metres are written for both: a fit
/// counts cells, members are made where the network is.
pub trait Quantity:
    From<f32> + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// The same once more; a tensor's numbers are shared.
    #[must_use]
    fn again(&self) -> Self;

    /// Without its sign.
    #[must_use]
    fn size(&self) -> Self;

    /// The square root.
    #[must_use]
    fn root(&self) -> Self;

    /// What is left of it between two bounds.
    #[must_use]
    fn between(&self, least: f32, most: f32) -> Self;
}

impl Quantity for f32 {
    fn again(&self) -> Self {
        *self
    }

    fn size(&self) -> Self {
        self.abs()
    }

    fn root(&self) -> Self {
        self.sqrt()
    }

    fn between(&self, least: f32, most: f32) -> Self {
        self.clamp(least, most)
    }
}

impl Quantity for Tensor {
    fn again(&self) -> Self {
        self.shallow_clone()
    }

    fn size(&self) -> Self {
        self.abs()
    }

    fn root(&self) -> Self {
        self.sqrt()
    }

    fn between(&self, least: f32, most: f32) -> Self {
        self.clamp(f64::from(least), f64::from(most))
    }
}
