//! The paired anytime-valid t-test, for scores of which only sum and count are known. Asymptotic: only the spread
//! between intervals is used, so bursts inside an interval are absorbed.
//!
//! ```text
//! y = d (m S_b/n_b - slack - S_c/n_c),  w = 1 / (m^2/n_b + 1/n_c),  A = sum w,  B = sum w y,  Q = sum w y^2
//! s = tau^2 / (1 + tau^2 A),  Q1 = Q - B^2 s
//! log E = -ln(1 + tau^2 A)/2 + (K/2)(ln Q - ln Q1) + ln(2 T_K(B s / sqrt(Q1 s / K)))
//! ```

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::beta::ln_beta;

use super::interval::Counts;
use super::ledger::Side;
use super::mean::directed_sum;
use super::plan::{Limit, MetricPlan};

/// Scores per arm before an interval is used; pooling looks at numbers only, never at values.
pub const POOL: f64 = 30.0;

/// Scale of the half-normal prior on effect / standard deviation.
const TAU: f64 = 0.1;

/// The approximation is good from the tenth pooled interval on; before it there is no evidence either way.
const FIRST: u32 = 10;

/// Sums below this are no spread at all.
const TINY: f64 = 1e-300;

/// Four numbers of state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedT {
    side: Side,
    k: u32,
    #[serde(with = "super::text::float")]
    a: f64,
    #[serde(with = "super::text::float")]
    b: f64,
    #[serde(with = "super::text::float")]
    q: f64,
}

impl PairedT {
    /// No evidence yet.
    pub fn new(side: Side) -> Self {
        Self { side, k: 0, a: 0.0, b: 0.0, q: 0.0 }
    }

    /// Pooled intervals so far.
    pub fn looks(&self) -> u32 {
        self.k
    }

    /// One pooled interval.
    pub fn update(&mut self, plan: &MetricPlan, limit: Limit, candidate: &Counts, stable: &Counts) {
        let m = limit.ratio;
        let lost = m * directed_sum(plan, stable) / stable.n
            - limit.plus
            - directed_sum(plan, candidate) / candidate.n;
        let y = match self.side {
            Side::Bad => lost,
            Side::Ok => -lost,
        };
        let w = 1.0 / (m * m / stable.n + 1.0 / candidate.n);
        self.k += 1;
        self.a += w;
        self.b += w * y;
        self.q += w * y * y;
    }

    /// Natural logarithm of the evidence.
    pub fn log_e(&self) -> f64 {
        self.log_e_after(1.0)
    }

    /// The same after `times` as many intervals, were they like those so far.
    pub fn log_e_after(&self, times: f64) -> f64 {
        let [k, a, b, q] = [f64::from(self.k), self.a, self.b, self.q].map(|sum| sum * times);
        if k < f64::from(FIRST) || q <= TINY {
            return 0.0;
        }
        let t2 = TAU * TAU;
        let shrink = t2 / (1.0 + t2 * a);
        let q1 = (q - b * b * shrink).max(TINY);
        let two_sided = -0.5 * (t2 * a).ln_1p() + 0.5 * k * (q.ln() - q1.ln());
        let scale = (q1 / k * shrink).sqrt();
        two_sided + std::f64::consts::LN_2 + ln_student_t_cdf(k, b * shrink / scale)
    }
}

/// Below this the distribution itself is about to underflow.
const FAR: f64 = 1e-250;

/// Logarithm of the cumulative distribution of Student's t with `k` degrees of freedom. It must not be cut off where the
/// distribution underflows: a candidate that is clearly better goes far into that tail, and the two-sided part of the
/// evidence grows with it. Only their sum says that nothing is wrong.
fn ln_student_t_cdf(k: f64, z: f64) -> f64 {
    let near = StudentsT::new(0.0, 1.0, k).map_or(0.5, |t| t.cdf(z));
    if near > FAR || z >= 0.0 { near.max(TINY).ln() } else { ln_tail(k, z) }
}

/// The same by the continued fraction of the incomplete beta function, in logarithms: T(z) = I_x(k/2, 1/2) / 2 with
/// x = k / (k + z^2), for z far below 0.
fn ln_tail(k: f64, z: f64) -> f64 {
    let (a, b, x) = (k / 2.0, 0.5, k / (k + z * z));
    let front = a * x.ln() + b * (z * z / (k + z * z)).ln() - a.ln() - ln_beta(a, b);
    front + fraction(a, b, x).ln() - std::f64::consts::LN_2
}

/// Lentz's evaluation; it converges fast where x < (a + 1) / (a + b + 2), which the far tail is.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let whole = |v: f64| if v.abs() < TINY { TINY } else { v };
    let (mut c, mut d) = (1.0, 1.0 / whole(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = value;
        for term in [even, odd] {
            d = 1.0 / whole(1.0 + term * d);
            c = whole(1.0 + term / c);
            value *= d * c;
        }
        if (value / before - 1.0).abs() < 1e-14 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values: scipy.special.stdtr.
    #[test]
    fn the_distribution_is_right_far_into_both_tails() {
        for (k, z, want) in STUDENT {
            let got = ln_student_t_cdf(k, z);
            assert!((got - f64::ln(want)).abs() < 1e-10, "k {k} z {z}: {got} for {want}");
        }
    }

    #[test]
    fn the_far_tail_goes_on_where_the_distribution_underflows() {
        for (k, z, want) in STUDENT.into_iter().filter(|(_, z, _)| *z < -4.0) {
            let got = ln_tail(k, z);
            assert!((got - f64::ln(want)).abs() < 1e-9, "k {k} z {z}: {got} for {want}");
        }
        let (at, beyond) = (ln_student_t_cdf(3000.0, -38.0), ln_student_t_cdf(3000.0, -80.0));
        assert!(beyond < at - 1000.0 && beyond.is_finite(), "{at} {beyond}");
    }

    /// Found by `understudy simulate`: where the tail was cut off, every healthy candidate was rolled back within a day.
    #[test]
    fn a_clearly_better_candidate_never_becomes_worse_by_more_data() {
        let looks =
            super::super::budget::PlannedLooks { shadow: 0, canary: 9000, watch: 0, paired_watch: true };
        let claim = super::super::budget::Claim { weight: 1.0, ratio: false, observe_only: false };
        let budget = super::super::budget::split(0.01, looks, &[claim])[0];
        let plan = MetricPlan::new("score", "v2", super::super::Kind::MeanSumCount, budget);
        let mut bad = PairedT::new(Side::Bad);
        let counts = |n: f64, mean: f64| Counts { n, sum: n * mean, ..Counts::default() };
        for i in 0..6000 {
            let noise = if i % 2 == 0 { 0.022 } else { -0.022 };
            bad.update(&plan, plan.worse, &counts(3000.0, 0.9), &counts(30.0, 0.9 + noise));
            assert!(bad.log_e() < 1.0, "after {i}: {}", bad.log_e());
        }
    }

    const STUDENT: [(f64, f64, f64); 20] = [
        (10.0, -30.0, 1.9808961710156623e-11),
        (10.0, -4.5, 0.0005715525434020328),
        (10.0, 0.25, 0.596175897131693),
        (10.0, 6.0, 0.9999339455698226),
        (11.0, -30.0, 3.3334656106825253e-12),
        (11.0, -4.5, 0.00045060450493689347),
        (11.0, 0.25, 0.5964025917235356),
        (11.0, 6.0, 0.9999553693539797),
        (57.0, -30.0, 6.612730349939844e-37),
        (57.0, -4.5, 1.6997418170328314e-05),
        (57.0, 0.25, 0.5982569042243481),
        (57.0, 6.0, 0.9999999280808356),
        (400.0, -30.0, 1.0053285717889933e-104),
        (400.0, -4.5, 4.460642689024771e-06),
        (400.0, 0.25, 0.5986421538078883),
        (400.0, 6.0, 0.9999999977887997),
        (3000.0, -30.0, 1.8416832496624512e-173),
        (3000.0, -4.5, 3.5268813903224304e-06),
        (3000.0, 0.25, 0.5986977669967781),
        (3000.0, 6.0, 0.9999999988953409),
    ];
}
