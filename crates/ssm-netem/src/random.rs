//! Draws that every simulation needs.

use std::time::Duration;

use fastrand::Rng;

/// True with this probability, from 0 to 1. A probability of 0 takes nothing from the generator.
pub fn happens(random: &mut Rng, probability: f64) -> bool {
    probability > 0.0 && random.f64() < probability
}

/// A time from zero to `longest`.
pub fn up_to(random: &mut Rng, longest: Duration) -> Duration {
    longest.mul_f64(random.f64())
}

/// A size from `least` to `most`, both at least 1, whose logarithm is uniformly distributed.
pub fn size(random: &mut Rng, least: usize, most: usize) -> usize {
    let (least, most) = (least as f64, most as f64);
    (least * (most / least).powf(random.f64())) as usize
}
