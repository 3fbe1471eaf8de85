//! The noise of each member: the same whatever the ensemble's size, batch, device or order.

use std::f64::consts::TAU;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::time::ProductDay;

/// Standard normal noise of member `member` on a grid of `cells` cells, row-major.
#[must_use]
pub fn member_noise(seed: u64, day: ProductDay, member: usize, cells: usize) -> Vec<f32> {
    standard_normal(&format!("{seed}|{day}|{member}"), cells)
}

/// `count` standard normal numbers that depend on `key` alone: SHA-256 of its text keys a `ChaCha20` stream; Box-Muller in
/// f64, cosine then sine.
#[must_use]
pub fn standard_normal(key: &str, count: usize) -> Vec<f32> {
    let mut stream = ChaCha20Rng::from_seed(Sha256::digest(key).into());
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = (-2.0 * uniform(&mut stream).ln()).sqrt();
        let (sine, cosine) = (TAU * uniform(&mut stream)).sin_cos();
        values.push((radius * cosine) as f32);
        values.push((radius * sine) as f32);
    }
    values.truncate(count);
    values
}

/// A number in (0, 1] with 53 bits.
fn uniform(stream: &mut ChaCha20Rng) -> f64 {
    ((stream.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_is_standard_normal() {
        let values = standard_normal("moments", 200_000);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / 2e5;
        let fourth = values.iter().map(|&v| f64::from(v).powi(4)).sum::<f64>() / 2e5;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((fourth - 3.0).abs() < 0.1, "{fourth}");
    }

    #[test]
    fn a_longer_draw_begins_like_a_shorter_one() {
        assert_eq!(standard_normal("key", 7), standard_normal("key", 12)[..7]);
    }

    #[test]
    fn members_days_and_seeds_differ() {
        let day: ProductDay = "2022-04-15".parse().unwrap();
        let first = member_noise(1, day, 0, 4);
        for other in
            [member_noise(1, day, 1, 4), member_noise(2, day, 0, 4), member_noise(1, day.plus_days(1), 0, 4)]
        {
            assert_ne!(first, other);
        }
    }
}
