//! Random numbers that belong to a key.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// The random numbers that belong to a key: the same key gives the same.
pub(crate) fn dice(key: &str) -> ChaCha20Rng {
    ChaCha20Rng::from_seed(Sha256::digest(key).into())
}

/// A number in 0..1.
pub(crate) fn share(dice: &mut ChaCha20Rng) -> f64 {
    (dice.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A number between two others, evenly.
pub(crate) fn uniform(dice: &mut ChaCha20Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * share(dice)
}

/// A whole number from 0 to `limit` - 1.
pub(crate) fn below(dice: &mut ChaCha20Rng, limit: usize) -> usize {
    ((share(dice) * limit as f64) as usize).min(limit - 1)
}

/// A standard normal number (Box-Muller).
pub(crate) fn normal(dice: &mut ChaCha20Rng) -> f64 {
    (-2.0 * (1.0 - share(dice)).ln()).sqrt() * (std::f64::consts::TAU * share(dice)).cos()
}
