//! The laws that requests are drawn from: how a metric's counters grow with each request.

use rand::Rng;
use rand_distr::{Binomial, Distribution as _, Geometric};
use statrs::distribution::{Beta, ContinuousCDF, Normal};

use crate::analysis::{Better, Bound, Counter, Counts, Kind, MetricPlan};

use super::arms::{Arm, Z99};

/// Bucket bounds of latency histograms, in seconds: what Prometheus clients have when nothing else is said.
pub const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Buckets of a score histogram, of equal width.
const SCORE_BUCKETS: usize = 20;

/// Standard deviation of scores that are not 0 or 1, where their mean leaves room for it.
const SCORE_SPREAD: f64 = 0.12;

/// One value with its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Atom {
    /// Bound of the bucket that it falls into.
    bound: f64,
    /// What it adds to a sum.
    value: f64,
    /// Probability.
    p: f64,
}

/// How one metric's counters grow.
#[derive(Clone, Debug, PartialEq)]
pub enum Law {
    /// Failed requests.
    Failures {
        /// Share of requests.
        p: f64,
        /// Mean number that come together.
        burst: f64,
    },
    /// Requests fall into buckets.
    Buckets(Vec<Atom>),
    /// Each score is 0 or 1: the share of ones.
    PassFail(f64),
    /// Scores: each falls into a bucket and adds its value.
    Scores(Vec<Atom>),
}

impl Law {
    /// The law of a metric in such an arm. `buckets` are bounds of latency in seconds, `unit` the length of the histogram's own
    /// unit in seconds. `drift` multiplies failures, latencies and lost score.
    pub fn new(plan: &MetricPlan, arm: &Arm, buckets: &[f64], unit: f64, drift: f64) -> Self {
        let lost = |share: f64| (share * drift).clamp(0.01, 0.99);
        let mean = match plan.better {
            Better::Higher if drift != 1.0 => 1.0 - lost(1.0 - arm.score),
            Better::Lower if drift != 1.0 => lost(arm.score),
            Better::Higher | Better::Lower => arm.score,
        };
        let latency = |bounds: &[f64]| lognormal(arm.p50 * drift / unit, arm.p99 * drift / unit, bounds);
        let in_unit = || buckets.iter().map(|bound| bound / unit);
        match plan.kind {
            Kind::Ratio => Law::Failures { p: (arm.error * drift).min(1.0), burst: arm.burst },
            Kind::Latency => Law::Buckets(latency(&in_unit().collect::<Vec<_>>())),
            Kind::Slo => {
                // A bound that is no edge of a bucket is refused at the start, so it is one here.
                let mut bounds: Vec<f64> =
                    in_unit().filter(|b| *b != plan.bound).chain([plan.bound]).collect();
                bounds.sort_by(f64::total_cmp);
                Law::Buckets(latency(&bounds))
            }
            Kind::MeanPassFail => Law::PassFail(mean),
            // Left out of studies: what an expression of the user's gives cannot be drawn.
            Kind::Value => Law::PassFail(0.0),
            Kind::MeanHistogram | Kind::MeanSumSquares | Kind::MeanSumCount | Kind::MeanCounted => {
                Law::Scores(beta(mean))
            }
        }
    }

    /// The gains of `n` requests.
    pub fn draw(&self, n: u64, rng: &mut impl Rng) -> Counts {
        let mut counts = Counts { n: n as f64, ..Counts::default() };
        match self {
            Law::Failures { p, burst } => counts.bad = failures(n, *p, *burst, rng),
            Law::PassFail(mean) => {
                counts.sum = binomial(n, *mean, rng) as f64;
                counts.sum_squares = counts.sum;
            }
            Law::Buckets(atoms) | Law::Scores(atoms) => fall(atoms, n, &mut counts, rng),
        }
        counts
    }
}

/// Failures one by one, or in bursts whose lengths are geometric.
fn failures(n: u64, p: f64, burst: f64, rng: &mut impl Rng) -> f64 {
    if burst <= 1.0 {
        return binomial(n, p, rng) as f64;
    }
    let Ok(more) = Geometric::new(1.0 / burst) else { return 0.0 };
    let bursts = binomial(n, p / burst, rng);
    let all: u64 = (0..bursts).map(|_| 1 + more.sample(rng)).sum();
    all.min(n) as f64
}

/// Each request falls into one bucket: binomials one after the other.
fn fall(atoms: &[Atom], n: u64, counts: &mut Counts, rng: &mut impl Rng) {
    let (mut left, mut p_left, mut below) = (n, 1.0, 0);
    for atom in atoms {
        let here = if p_left > 0.0 { binomial(left, (atom.p / p_left).min(1.0), rng) } else { 0 };
        left -= here;
        p_left -= atom.p;
        below += here;
        counts.sum += here as f64 * atom.value;
        counts.sum_squares += here as f64 * atom.value * atom.value;
        counts.gain(Counter::Bucket(Bound(atom.bound)), below as f64);
    }
    // What rounding of the probabilities left over has fallen beyond the last bound.
    if let Some(last) = atoms.last() {
        counts.sum += left as f64 * last.value;
        counts.sum_squares += left as f64 * last.value * last.value;
        counts.gain(Counter::Bucket(Bound(last.bound)), left as f64);
    }
}

fn binomial(n: u64, p: f64, rng: &mut impl Rng) -> u64 {
    if n == 0 || p <= 0.0 {
        return 0;
    }
    if p >= 1.0 {
        return n;
    }
    Binomial::new(n, p).map_or(0, |law| law.sample(rng))
}

/// Shares of a lognormal latency in buckets, the last without bound.
fn lognormal(p50: f64, p99: f64, buckets: &[f64]) -> Vec<Atom> {
    let sigma = (p99 / p50).ln() / Z99;
    let cdf = |bound: f64| {
        Normal::new(p50.ln(), sigma).map_or(f64::from(u8::from(bound >= p50)), |law| law.cdf(bound.ln()))
    };
    let mut below = 0.0;
    let bounds = buckets.iter().copied().chain([f64::INFINITY]);
    let atoms = bounds.map(|bound| {
        let up_to = if bound.is_finite() { cdf(bound) } else { 1.0 };
        let p = up_to - below;
        below = up_to;
        Atom { bound, value: 0.0, p }
    });
    atoms.collect()
}

/// Scores of a beta law with this mean. Within a bucket all have the same value, so that mean and spread of what is drawn are
/// known exactly.
fn beta(mean: f64) -> Vec<Atom> {
    let spread = SCORE_SPREAD.min(0.6 * (mean * (1.0 - mean)).sqrt());
    let size = mean * (1.0 - mean) / (spread * spread) - 1.0;
    let law = |a: f64| Beta::new(a, (1.0 - mean) * size);
    let cdf = |a: f64, x: f64| law(a).map_or(x, |law| law.cdf(x));
    let edge = |i: usize| i as f64 / SCORE_BUCKETS as f64;
    let (a, mut atoms) = (mean * size, Vec::with_capacity(SCORE_BUCKETS));
    for i in 0..SCORE_BUCKETS {
        let p = cdf(a, edge(i + 1)) - cdf(a, edge(i));
        // The mean within a bucket: x times the density is the density with a + 1, times the mean.
        let part = mean * (cdf(a + 1.0, edge(i + 1)) - cdf(a + 1.0, edge(i)));
        let value = if p > 1e-12 { part / p } else { edge(i) };
        atoms.push(Atom { bound: edge(i + 1), value: value.clamp(edge(i), edge(i + 1)), p });
    }
    atoms
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::analysis::budget::{Claim, PlannedLooks, split};

    fn law(kind: Kind, arm: &Arm) -> Law {
        let looks = PlannedLooks { shadow: 0, canary: 100, watch: 0, paired_watch: true };
        let claim = Claim { weight: 1.0, ratio: false, observe_only: false };
        let plan = MetricPlan::new("m", "2", kind, split(0.01, looks, &[claim])[0]);
        Law::new(
            &MetricPlan { bound: 300.0, ..plan },
            arm,
            &BUCKETS,
            if kind == Kind::Slo { 0.001 } else { 1.0 },
            1.0,
        )
    }

    #[test]
    fn each_law_has_the_mean_that_was_asked_for() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let arm = Arm { error: 0.02, burst: 3.0, p50: 0.1, p99: 0.5, score: 0.85 };
        let n = 400_000;
        let errors = law(Kind::Ratio, &arm).draw(n, &mut rng);
        assert!((errors.bad / errors.n - 0.02).abs() < 0.001, "{errors:?}");
        for kind in [Kind::MeanHistogram, Kind::MeanSumCount, Kind::MeanPassFail] {
            let scores = law(kind, &arm).draw(n, &mut rng);
            assert!((scores.sum / scores.n - 0.85).abs() < 0.003, "{kind:?} {}", scores.sum / scores.n);
        }
        let latency = law(Kind::Latency, &arm).draw(n, &mut rng);
        assert!((latency.up_to(0.5).unwrap() / latency.n - 0.99).abs() < 0.001);
        assert!((latency.up_to(0.1).unwrap() / latency.n - 0.5).abs() < 0.005);
        assert_eq!(latency.up_to(f64::INFINITY), Some(latency.n));
        let slo = law(Kind::Slo, &arm).draw(n, &mut rng);
        let sigma = (0.5f64 / 0.1).ln() / Z99;
        let wanted = Normal::new(0.1f64.ln(), sigma).unwrap().cdf(0.3f64.ln());
        assert!((slo.up_to(300.0).unwrap() / slo.n - wanted).abs() < 0.002, "a histogram in milliseconds");
    }

    #[test]
    fn bursts_make_failures_come_together_and_not_more_often() {
        let spread = |burst: f64| {
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let law = law(Kind::Ratio, &Arm { burst, ..Arm::default() });
            let x: Vec<f64> = (0..4000).map(|_| law.draw(1000, &mut rng).bad).collect();
            let mean = x.iter().sum::<f64>() / 4000.0;
            (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 4000.0 / mean)
        };
        let ((one, alone), (same, together)) = (spread(1.0), spread(3.0));
        assert!((one - 10.0).abs() < 0.3 && (same - 10.0).abs() < 0.5, "{one} {same}");
        // Geometric bursts of mean b spread 2 b - 1 times as much.
        assert!((alone - 1.0).abs() < 0.1 && (together - 5.0).abs() < 0.6, "{alone} {together}");
    }
}
