//! The random traffic of one run.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution as _, Poisson};

use crate::analysis::Counts;

use super::law::Law;

/// The law of a metric in both arms, by phase of the drift (one phase without drift).
#[derive(Clone, Debug)]
pub struct Laws {
    /// Stable.
    pub stable: Vec<Law>,
    /// The candidate once it is as its settings say.
    pub candidate: Vec<Law>,
}

/// The random numbers of one run.
#[derive(Clone, Debug)]
pub struct Draw {
    rng: ChaCha8Rng,
    /// Where in the drift's period the run begins, 0 to 1.
    offset: f64,
}

impl Draw {
    /// Run `number` of a study: each has a stream of its own, so that it does not matter who draws when.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let offset = rand::Rng::random(&mut rng);
        Self { rng, offset }
    }

    /// Requests of a time in which `mean` are expected.
    pub fn requests(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        Poisson::new(mean).map_or(0.0, |law| law.sample(&mut self.rng)) as u64
    }

    /// How many of `n` requests go where a share of all goes.
    pub fn share(&mut self, n: u64, share: f64) -> u64 {
        Binomial::new(n, share.clamp(0.0, 1.0)).map_or(0, |law| law.sample(&mut self.rng))
    }

    /// Gains of both arms, stable first, `turn` periods of the drift after the begin. `bad`: the candidate is as its settings
    /// say, and not as stable.
    pub fn gains(&mut self, laws: &Laws, turn: f64, bad: bool, n_b: u64, n_c: u64) -> (Counts, Counts) {
        let phases = laws.stable.len();
        let phase = ((self.offset + turn).rem_euclid(1.0) * phases as f64) as usize % phases;
        let candidate = if bad { &laws.candidate } else { &laws.stable };
        let stable = laws.stable[phase].draw(n_b, &mut self.rng);
        (stable, candidate[phase].draw(n_c, &mut self.rng))
    }
}
