//! The bounded-mean engine for scores from 0 to 1: exact, and it adapts to the spread.
//!
//! ```text
//! lc = lam min(1, n_b / (m n_c)),  lb = m lc n_c / n_b,  psi(x) = -ln(1 - x) - x
//! log e = lc n_c d (m S_b/n_b - slack - S_c/n_c) - psi(lc) V_c - psi(lb) V_b
//! ```
//! d = +1 on the bad side, -1 on the ok side; V is the sum of squared distances from a centre that is fixed before
//! the interval. Each observation has expectation at most 1 (Fan, Grama and Liu's inequality), and the bets are
//! balanced so that stable's mean cancels.

use serde::{Deserialize, Serialize};

use super::interval::Counts;
use super::ledger::{BETS, Ledger, Side};
use super::plan::{Kind, Limit, MetricPlan};

/// Bets of the engine.
const LAMBDA: [f64; BETS] = [0.03, 0.08, 0.2, 0.4, 0.6, 0.85];

/// Scores of one arm in an interval, already turned so that higher is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Number of scores.
    pub n: f64,
    /// Their sum.
    pub sum: f64,
    /// Sum of squared distances from the centre.
    pub spread: f64,
}

/// log e of one interval for one bet.
pub fn log_e(candidate: Scores, stable: Scores, limit: Limit, side: Side, lambda: f64) -> f64 {
    let m = limit.ratio;
    let towards = match side {
        Side::Bad => 1.0,
        Side::Ok => -1.0,
    };
    let psi = |x: f64| -(-x).ln_1p() - x;
    let l_c = lambda * (stable.n / (m * candidate.n)).min(1.0);
    let l_b = m * l_c * candidate.n / stable.n;
    let lost = m * stable.sum / stable.n - limit.plus - candidate.sum / candidate.n;
    l_c * candidate.n * towards * lost - psi(l_c) * candidate.spread - psi(l_b) * stable.spread
}

/// The six bets of one interval.
pub fn bets(candidate: Scores, stable: Scores, plan: &MetricPlan, side: Side) -> [f64; BETS] {
    let limit = match side {
        Side::Bad => plan.worse,
        Side::Ok => plan.proof,
    };
    LAMBDA.map(|lambda| log_e(candidate, stable, limit, side, lambda))
}

/// Mean of an arm so far, starting at one imagined score of 0.5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Centre {
    #[serde(with = "super::text::float")]
    sum: f64,
    #[serde(with = "super::text::float")]
    n: f64,
}

impl Centre {
    const START: Centre = Centre { sum: 0.5, n: 1.0 };

    fn value(self) -> f64 {
        self.sum / self.n
    }

    fn add(&mut self, scores: Scores) {
        self.sum += scores.sum;
        self.n += scores.n;
    }
}

/// Two ledgers and two centres.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BoundedMean {
    /// Evidence for "worse".
    pub bad: Ledger,
    /// Evidence for "within the promotion bound".
    pub ok: Ledger,
    candidate: Centre,
    stable: Centre,
}

impl BoundedMean {
    /// No evidence yet.
    pub fn new(horizon: u32) -> Self {
        Self {
            bad: Ledger::new(Side::Bad, horizon),
            ok: Ledger::new(Side::Ok, horizon),
            candidate: Centre::START,
            stable: Centre::START,
        }
    }

    /// One interval in which both arms have scores.
    pub fn update(&mut self, plan: &MetricPlan, candidate: &Counts, stable: &Counts) {
        let c = scores(plan, candidate, self.candidate.value());
        let b = scores(plan, stable, self.stable.value());
        self.bad.add(bets(c, b, plan, Side::Bad), plan.phi);
        self.ok.add(bets(c, b, plan, Side::Ok), plan.phi);
        self.candidate.add(c);
        self.stable.add(b);
    }
}

/// Turns counts into scores where higher is better.
pub fn scores(plan: &MetricPlan, counts: &Counts, centre: f64) -> Scores {
    let sum = directed_sum(plan, counts);
    // In the direction of the plan a score x counts as 1 - x; its distance from `centre` is that of x from 1 - centre.
    let raw_centre = if plan.higher_is_better() { centre } else { 1.0 - centre };
    let spread = match plan.kind {
        Kind::MeanHistogram => spread_of_buckets(counts, raw_centre),
        Kind::MeanSumSquares => spread_of_sums(counts.sum_squares, counts, raw_centre),
        Kind::MeanPassFail => spread_of_sums(counts.sum, counts, raw_centre),
        Kind::Ratio | Kind::Latency | Kind::Slo | Kind::MeanSumCount | Kind::MeanCounted | Kind::Value => 0.0,
    };
    Scores { n: counts.n, sum, spread }
}

/// The sum of the scores in the direction of the plan.
pub fn directed_sum(plan: &MetricPlan, counts: &Counts) -> f64 {
    if plan.higher_is_better() { counts.sum } else { counts.n - counts.sum }
}

/// What the scores lack of the best: bad events in fractions, for the count engine, whose proof covers any badness from 0 to 1
/// because r^x is convex.
pub fn lacking(plan: &MetricPlan, counts: &Counts) -> f64 {
    counts.n - directed_sum(plan, counts)
}

fn spread_of_sums(sum_squares: f64, counts: &Counts, centre: f64) -> f64 {
    sum_squares - 2.0 * centre * counts.sum + counts.n * centre * centre
}

/// An upper bound of the spread: every score at the far edge of its bucket. Still valid, a little slower.
fn spread_of_buckets(counts: &Counts, centre: f64) -> f64 {
    let (mut spread, mut low, mut below) = (0.0, 0.0, 0.0);
    for (bound, up_to) in &counts.buckets {
        let high = bound.0.min(1.0);
        let far = f64::max((low - centre).abs(), (high - centre).abs());
        spread += (up_to.0 - below) * far * far;
        (low, below) = (high, up_to.0);
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::budget::{Claim, PlannedLooks, split};
    use crate::analysis::plan::Better;

    fn plan(kind: Kind) -> MetricPlan {
        let looks = PlannedLooks { shadow: 0, canary: 100, watch: 0, paired_watch: true };
        let claim = Claim { weight: 1.0, ratio: false, observe_only: false };
        MetricPlan::new("accuracy", "v7", kind, split(0.01, looks, &[claim])[0])
    }

    /// Exact expectation over one binary score per arm: at most 1 on the bound.
    #[test]
    fn the_expected_bet_is_at_most_one_on_the_bound() {
        for mu_b in [0.1, 0.5, 0.9] {
            for lambda in LAMBDA {
                let mu_c: f64 = mu_b - 0.02;
                let mut expected = 0.0;
                for (c, p) in [(0.0, 1.0 - mu_c), (1.0, mu_c)] {
                    for (b, q) in [(0.0, 1.0 - mu_b), (1.0, mu_b)] {
                        let score = |x: f64| Scores { n: 1.0, sum: x, spread: (x - 0.5) * (x - 0.5) };
                        let e = log_e(score(c), score(b), Limit::by(0.02), Side::Bad, lambda);
                        expected += p * q * e.exp();
                    }
                }
                assert!(expected <= 1.0 + 1e-12, "mu {mu_b} lambda {lambda}: {expected}");
            }
        }
    }

    /// Exact expectation over three scores of 0, 1/2 or 1 in each arm: fractions are as valid as whole events, on both sides.
    #[test]
    fn the_expected_bet_on_what_is_lacking_is_at_most_one_on_the_bound() {
        let sums = |mean: f64, wide: f64| -> Vec<(f64, f64)> {
            let half = 2.0 * mean.min(1.0 - mean) * (1.0 - wide);
            let one = [(0.0, 1.0 - mean - half / 2.0), (0.5, half), (1.0, mean - half / 2.0)];
            let mut all = vec![(0.0, 1.0)];
            for _ in 0..3 {
                all = all.iter().flat_map(|(s, p)| one.map(|(t, q)| (s + t, p * q))).collect();
            }
            all
        };
        let mut plan = plan(Kind::MeanCounted);
        (plan.worse, plan.proof) = (Limit::ratio(0.98, 0.03), Limit::ratio(0.98, 0.03));
        for (mu_b, wide) in [(0.6, 0.0), (0.6, 0.5), (0.9, 0.3), (0.97, 1.0)] {
            for side in [Side::Bad, Side::Ok] {
                let limit = plan.bound_on_bad(side);
                let mut expected = [0.0; BETS];
                for (c, p) in sums(0.98 * mu_b - 0.03, wide) {
                    for (b, q) in sums(mu_b, wide) {
                        let counts = |sum: f64| Counts { n: 3.0, sum, ..Counts::default() };
                        let (x_c, x_b) = (lacking(&plan, &counts(c)), lacking(&plan, &counts(b)));
                        let events = crate::analysis::count::Events { x_c, n_c: 3.0, x_b, n_b: 3.0 };
                        let bets = crate::analysis::count::bets(events, limit, side);
                        expected.iter_mut().zip(bets).for_each(|(e, bet)| *e += p * q * bet.exp());
                    }
                }
                assert!(expected.iter().all(|e| *e <= 1.0 + 1e-9), "mu {mu_b} {side:?}: {expected:?}");
            }
        }
    }

    #[test]
    fn a_limit_of_a_mean_is_the_same_limit_on_what_the_scores_lack() {
        for limit in [Limit::by(0.02), Limit::ratio(0.9, 0.03), Limit::ratio(1.0, 0.0)] {
            for mu_b in [0.0, 0.4, 0.95, 1.0] {
                let lowest = limit.ratio * mu_b - limit.plus;
                let most_lacking = limit.on_what_is_lacking().of(1.0 - mu_b);
                assert!((1.0 - lowest - most_lacking).abs() < 1e-12, "{limit:?} at {mu_b}");
            }
        }
    }

    #[test]
    fn lower_is_better_is_the_mirror_image_of_higher_is_better() {
        let higher = plan(Kind::MeanPassFail);
        let lower = MetricPlan { better: Better::Lower, ..higher.clone() };
        let counts = |n: f64, sum: f64| Counts { n, sum, ..Counts::default() };
        let (mut a, mut b) = (BoundedMean::new(100), BoundedMean::new(100));
        for _ in 0..5 {
            a.update(&higher, &counts(50.0, 40.0), &counts(60.0, 54.0));
            b.update(&lower, &counts(50.0, 10.0), &counts(60.0, 6.0));
        }
        assert!((a.bad.log_e() - b.bad.log_e()).abs() < 1e-9);
        assert!(a.bad.log_e() > 0.0);
    }
}
