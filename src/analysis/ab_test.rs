//! What an A/B test is decided on: sessions, sums and squares of both arms since the step began, and the interval of the
//! difference.
//!
//! The difference is reckoned once, when both arms have the number of sessions that was fixed beforehand. When that is hangs on
//! the traffic alone and not on what the sessions bring, so an ordinary interval holds what it says.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::interval::Counts;
use super::plan::{Kind, MetricPlan};

/// Sessions of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moments {
    /// How many.
    #[serde(with = "super::text::float")]
    pub n: f64,
    /// Sum of what they brought; for a ratio the bad ones.
    #[serde(with = "super::text::float")]
    pub sum: f64,
    /// Sum of its squares; 0 where each brings 0 or 1 and a square says nothing new.
    #[serde(with = "super::text::float")]
    pub squares: f64,
}

impl Moments {
    /// Mean of a session.
    pub fn mean(self) -> f64 {
        self.sum / self.n
    }
}

/// Sessions of both arms since the step began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sessions {
    /// Stable's.
    pub stable: Moments,
    /// The candidate's.
    pub candidate: Moments,
}

impl Sessions {
    /// For a metric of this kind; nothing where the spread of a session cannot be told.
    pub fn of(plan: &MetricPlan) -> Option<Self> {
        match plan.kind {
            Kind::Ratio | Kind::MeanSumSquares | Kind::MeanPassFail | Kind::MeanSumCount => {
                Some(Self::default())
            }
            Kind::Latency | Kind::Slo | Kind::MeanHistogram | Kind::MeanCounted | Kind::Value => None,
        }
    }

    /// One judged interval of the step.
    pub fn look(&mut self, plan: &MetricPlan, candidate: &Counts, stable: &Counts) {
        for (arm, gained) in [(&mut self.candidate, candidate), (&mut self.stable, stable)] {
            arm.n += gained.n;
            arm.sum += if plan.kind == Kind::Ratio { gained.bad } else { gained.sum };
            arm.squares += gained.sum_squares;
        }
    }
}

/// The difference between the arms, with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Stable's mean.
    pub stable: f64,
    /// The candidate's mean.
    pub candidate: f64,
    /// Lower end of the interval of candidate - stable.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Difference {
    /// candidate - stable.
    pub fn effect(&self) -> f64 {
        self.candidate - self.stable
    }
}

/// How far apart the arms are.
///
/// Shares (a ratio, or pass/fail results): Newcombe's interval from the two Wilson score intervals, which is right for rare events
/// too (Statistics in Medicine 17, 1998, method 10). Means: Welch's, with the normal quantile, since there are 100 sessions at least.
/// `confidence` is between 0 and 1.
///
/// # Errors
/// Why the sums cannot be those of sessions.
pub fn difference(plan: &MetricPlan, of: &Sessions, confidence: f64) -> Result<Difference, &'static str> {
    let z = z(confidence);
    let (stable, candidate) = (of.stable, of.candidate);
    let (b, c) = (stable.mean(), candidate.mean());
    let effect = c - b;
    let (below, above) = if is_share(plan) {
        if [stable, candidate].iter().any(|arm| arm.sum < 0.0 || arm.sum > arm.n) {
            return Err(
                "more events than sessions were counted: each session must count once, and bring 0 or 1",
            );
        }
        let ((b_low, b_high), (c_low, c_high)) =
            (wilson(stable.sum, stable.n, z), wilson(candidate.sum, candidate.n, z));
        ((c - c_low).hypot(b_high - b), (c_high - c).hypot(b - b_low))
    } else {
        let half = z * (variance(stable)? / stable.n + variance(candidate)? / candidate.n).sqrt();
        (half, half)
    };
    Ok(Difference { stable: b, candidate: c, low: effect - below, high: effect + above })
}

/// Half the width that the interval will have with `n` sessions of each arm, from the spread so far; nothing while there is none.
pub fn half_width(plan: &MetricPlan, of: &Sessions, confidence: f64, n: f64) -> Option<f64> {
    let spread = |arm: Moments| {
        let m = arm.mean();
        if is_share(plan) { Ok(m * (1.0 - m)) } else { variance(arm) }
    };
    let both = spread(of.stable).ok()? + spread(of.candidate).ok()?;
    let half = z(confidence) * (both / n).sqrt();
    (half > 0.0).then_some(half)
}

fn is_share(plan: &MetricPlan) -> bool {
    matches!(plan.kind, Kind::Ratio | Kind::MeanPassFail)
}

/// Wilson's score interval of the share of `hits` in `n`, at so many standard deviations.
pub fn wilson(hits: f64, n: f64, z: f64) -> (f64, f64) {
    let p = hits / n;
    let centre = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    // Without a hit it begins at 0 exactly, which rounding would miss.
    let low = if hits == 0.0 { 0.0 } else { ((centre - half) / scale).max(0.0) };
    (low, ((centre + half) / scale).min(1.0))
}

fn variance(arm: Moments) -> Result<f64, &'static str> {
    let within = arm.squares - arm.sum * arm.sum / arm.n;
    // Sums of squares below what equal values would have; rounding is let pass.
    if within < -1e-9 * arm.squares.abs().max(1.0) {
        return Err(
            "the sum of squares is too small for the sum: it must grow by the square of each session's value",
        );
    }
    Ok(within.max(0.0) / (arm.n - 1.0).max(1.0))
}

fn z(confidence: f64) -> f64 {
    Normal::standard().inverse_cdf(0.5 + confidence / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::budget::{Claim, PlannedLooks, Shares, split_by};

    fn plan(kind: Kind) -> MetricPlan {
        let claim = Claim { weight: 1.0, ratio: kind == Kind::Ratio, observe_only: true };
        let looks = PlannedLooks { shadow: 0, canary: 100, watch: 0, paired_watch: false };
        MetricPlan::new("checkout", "1.1.0", kind, split_by(0.01, Shares::default(), looks, &[claim])[0])
    }

    fn arm(n: f64, sum: f64, squares: f64) -> Moments {
        Moments { n, sum, squares }
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 5e-5, "{a} is not {b}");
    }

    #[test]
    fn shares_have_newcombes_interval() {
        // The paper's examples of method 10: 56/70 and 48/80; 9/10 and 3/10; 10/10 and 0/10.
        let of = |c: (f64, f64), b: (f64, f64)| {
            let sums = Sessions { candidate: arm(c.1, c.0, 0.0), stable: arm(b.1, b.0, 0.0) };
            difference(&plan(Kind::Ratio), &sums, 0.95).unwrap()
        };
        let first = of((56.0, 70.0), (48.0, 80.0));
        near(first.effect(), 0.2);
        near(first.low, 0.0524);
        near(first.high, 0.3339);
        let second = of((9.0, 10.0), (3.0, 10.0));
        near(second.low, 0.1705);
        near(second.high, 0.8090);
        let third = of((10.0, 10.0), (0.0, 10.0));
        near(third.low, 0.6075);
        near(third.high, 1.0);
    }

    #[test]
    fn means_have_welchs_interval() {
        // 200 times 1 and 3 against 400 times 0 and 3: means 2 and 1.5, variances 200/199 and 900/399.
        let sums = Sessions { candidate: arm(200.0, 400.0, 1000.0), stable: arm(400.0, 600.0, 1800.0) };
        let found = difference(&plan(Kind::MeanSumSquares), &sums, 0.95).unwrap();
        let half = 1.959_964 * (200.0f64 / 199.0 / 200.0 + 900.0 / 399.0 / 400.0).sqrt();
        near(found.effect(), 0.5);
        near(found.low, 0.5 - half);
        near(found.high, 0.5 + half);
        near(
            half_width(&plan(Kind::MeanSumSquares), &sums, 0.95, 400.0).unwrap(),
            1.959_964 * (3.260_67f64 / 400.0).sqrt(),
        );
    }

    #[test]
    fn sums_that_cannot_be_are_named() {
        let sums = Sessions { candidate: arm(100.0, 101.0, 0.0), stable: arm(100.0, 50.0, 0.0) };
        assert!(difference(&plan(Kind::MeanPassFail), &sums, 0.95).unwrap_err().contains("more events"));
        assert!(difference(&plan(Kind::MeanSumCount), &sums, 0.95).unwrap_err().contains("squares"));
    }

    /// Of 1,000 tests of two equal versions 93 to 97 % have an interval around 0, and of as many with a true difference of one
    /// point around that.
    #[test]
    fn an_interval_holds_the_truth_as_often_as_it_says() {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let mut draw = |p: f64| (0..2_000).filter(|_| random.random::<f64>() < p).count() as f64;
        for truth in [0.0, 0.01] {
            let mut around = 0;
            for _ in 0..1_000 {
                let sums = Sessions {
                    candidate: arm(2e3, draw(0.03 + truth), 0.0),
                    stable: arm(2e3, draw(0.03), 0.0),
                };
                let found = difference(&plan(Kind::MeanPassFail), &sums, 0.95).unwrap();
                around += u32::from(found.low <= truth && truth <= found.high);
            }
            assert!((930..=970).contains(&around), "{around} of 1,000 for a difference of {truth}");
        }
    }
}
