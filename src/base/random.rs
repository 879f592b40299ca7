//! Unguessable numbers from a seed.
//!
//! ChaCha with 20 rounds, seeded once by `net` from the system's random
//! device; in tests and the simulator from a number, so that a run can be
//! repeated. No device is read here. Called by the hub and the server.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random bits that cannot be told from the bits before.
pub struct Random(ChaCha20Rng);

impl Random {
    /// The stream that `seed` gives, always the same.
    pub fn new(seed: [u8; 32]) -> Random {
        Random(ChaCha20Rng::from_seed(seed))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 128 random bits, as a session id needs them.
    pub fn bits_128(&mut self) -> u128 {
        (u128::from(self.bits()) << 64) | u128::from(self.bits())
    }

    /// An even choice from `0..bound`; 0 for a bound of 0. The bias is below bound/2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A stream of its own for another part of the server.
    pub fn fork(&mut self) -> Random {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Random::new(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_stream_again() {
        let (mut one, mut two) = (Random::new([7; 32]), Random::new([7; 32]));
        assert_eq!(one.bits_128(), two.bits_128());
        assert_eq!(one.fork().bits(), two.fork().bits());
        assert!((0..1000).all(|_| one.below(10) < 10));
    }
}
