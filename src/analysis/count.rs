//! The count engine: failed or slow requests against all requests, both arms, per interval.
//!
//! ```text
//! o = rho * n_c / n_b
//! log e(r) = x_c ln r - (x_c + x_b) ln((1 + r o) / (1 + o)) - eps n_c (r - 1) / (1 + r o)
//! ```
//! For independent requests with any individual probabilities the expectation of e is at most 1 while
//! `p_c <= rho p_b + eps` (r > 1), or `p_c >= rho p_b + eps` (r < 1); nothing is estimated. With rho = 0 the baseline
//! drops out and the bound is absolute: `x_c ln r - eps n_c (r - 1)`.

use serde::{Deserialize, Serialize};

use super::ledger::{BETS, Ledger, Side};
use super::plan::Limit;
use super::text::exp_beside_one;

/// Alternatives as multiples of the bound; reciprocals on the ok side.
const GRID: [f64; BETS] = [1.1, 1.3, 1.8, 3.0, 7.0, 25.0];

/// Their logarithms: what every look needs.
const LN_GRID: [f64; BETS] = [
    0.09531017980432493,
    0.26236426446749106,
    0.5877866649021191,
    1.0986122886681098,
    1.9459101490553132,
    3.2188758248682006,
];

/// The logarithm of the number of bets.
const LN_BETS: f64 = 1.791759469228055;

/// From this share of bad events on the engine wastes evidence, and a score engine is better.
pub const FREQUENT: f64 = 0.20;

/// Bad events and requests of both arms in an interval, or in many. Saved as one text, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Saved", from = "Saved")]
pub struct Events {
    /// Bad events of the candidate.
    pub x_c: f64,
    /// Requests of the candidate.
    pub n_c: f64,
    /// Bad events of stable.
    pub x_b: f64,
    /// Requests of stable.
    pub n_b: f64,
}

#[derive(Serialize, Deserialize)]
struct Saved(#[serde(with = "super::text::floats")] [f64; 4]);

impl From<Events> for Saved {
    fn from(Events { x_c, n_c, x_b, n_b }: Events) -> Self {
        Self([x_c, n_c, x_b, n_b])
    }
}

impl From<Saved> for Events {
    fn from(Saved([x_c, n_c, x_b, n_b]): Saved) -> Self {
        Self { x_c, n_c, x_b, n_b }
    }
}

impl std::ops::AddAssign for Events {
    fn add_assign(&mut self, other: Self) {
        self.x_c += other.x_c;
        self.n_c += other.n_c;
        self.x_b += other.x_b;
        self.n_b += other.n_b;
    }
}

/// log e of one interval for each of the six bets. Without candidate requests, or without stable requests while the bound is
/// relative, they are 0: no information.
pub fn bets(events: Events, limit: Limit, side: Side) -> [f64; BETS] {
    let Events { x_c, n_c, x_b, n_b } = events;
    let relative = limit.ratio != 0.0;
    if n_c <= 0.0 || (relative && n_b <= 0.0) {
        return [0.0; BETS];
    }
    let o = if relative { limit.ratio * n_c / n_b } else { 0.0 };
    std::array::from_fn(|j| {
        let (r, ln_r) = match side {
            Side::Bad => (GRID[j], LN_GRID[j]),
            Side::Ok => (1.0 / GRID[j], -LN_GRID[j]),
        };
        let share = if relative { (x_c + x_b) * ((1.0 + r * o) / (1.0 + o)).ln() } else { 0.0 };
        let price = limit.plus * n_c * (r - 1.0) / (1.0 + r * o);
        x_c * ln_r - share - price
    })
}

/// Candidate requests still needed until `ledger` reaches `bar`, if the rates in `sums` are the truth; `None` when
/// they would never get there. Order of magnitude only.
pub fn requests_needed(
    ledger: &Ledger,
    sums: Events,
    limit: Limit,
    side: Side,
    phi: f64,
    bar: f64,
) -> Option<f64> {
    if sums.n_c <= 0.0 || (sums.n_b <= 0.0 && limit.ratio > 0.0) {
        return None;
    }
    let s = sums.n_b / sums.n_c;
    let p_b = if sums.n_b > 0.0 { sums.x_b / sums.n_b } else { 0.0 };
    let one = Events { x_c: sums.x_c / sums.n_c, n_c: 1.0, x_b: p_b * s, n_b: s };
    let gain = bets(one, limit, side).map(|g| g / phi);
    let log_w = ledger.log_w();
    let parts: [(f64, f64); BETS] = std::array::from_fn(|j| (log_w[j] - LN_BETS, gain[j]));
    when(&parts, bar)
}

/// The smallest h from 0 to 1e15, if any g is positive, at which the logarithm of the sum of all exp(w + h g) is at least `bar`.
///
/// It is convex in h, so from below the bar at 0 it crosses the bar once. Where the first single part reaches the bar the sum
/// is not below it; from there Newton's steps go down to the crossing and never beyond.
fn when(parts: &[(f64, f64)], bar: f64) -> Option<f64> {
    const MOST: f64 = 1e15;
    // How far above the bar it is at h, and its slope there.
    let at = |h: f64| {
        let top = parts.iter().fold(f64::NEG_INFINITY, |top, (w, g)| top.max(w + h * g));
        let (sum, slope) = parts.iter().fold((0.0, 0.0), |(sum, slope), (w, g)| {
            let e = exp_beside_one(w + h * g - top);
            (sum + e, slope + g * e)
        });
        (top + sum.ln() - bar, slope / sum)
    };
    // At rates that speak for no bet even evidence that is there goes away again.
    let rising = parts.iter().filter(|(w, g)| *g > 0.0 && *w > f64::NEG_INFINITY);
    let mut h = rising.map(|(w, g)| (bar - w) / g).reduce(f64::min)?;
    if at(0.0).0 >= 0.0 {
        return Some(0.0);
    }
    for _ in 0..100 {
        let (above, slope) = at(h);
        let step = above / slope;
        h -= step;
        // Each step squares what is missing.
        if step <= 1e-9 * h {
            break;
        }
    }
    (h <= MOST).then_some(h)
}

/// The smallest number, at most about `most`, from which on `reached` holds; it does not at 0.
pub fn smallest(reached: impl Fn(f64) -> bool, most: f64) -> Option<f64> {
    let (mut low, mut high) = (0.0, 1.0);
    while !reached(high) {
        high *= 2.0;
        if high > most {
            return None;
        }
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if reached(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORSE: Limit = Limit::ratio(1.25, 0.0005);
    const PROOF: Limit = Limit::ratio(1.5, 0.001);

    fn events(x_c: f64, n_c: f64, x_b: f64, n_b: f64) -> Events {
        Events { x_c, n_c, x_b, n_b }
    }

    #[test]
    fn the_six_bets_match_the_published_vector() {
        let got = bets(events(3.0, 75.0, 14.0, 1425.0), WORSE, Side::Bad);
        let want = [0.177818, 0.464794, 0.917101, 1.254224, 0.327299, -6.134219];
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() < 1e-6, "{got:?}");
        }
    }

    #[test]
    fn both_ledgers_match_the_published_vector() {
        let mut bad = Ledger::new(Side::Bad, 2000);
        let mut ok = Ledger::new(Side::Ok, 2000);
        let looks = [
            (events(3.0, 75.0, 14.0, 1425.0), 0.299043, -1.162573),
            (events(1.0, 70.0, 15.0, 1430.0), 0.055597, -1.181674),
            (events(4.0, 80.0, 13.0, 1420.0), 1.109037, -1.771430),
        ];
        for (interval, want_bad, want_ok) in looks {
            bad.add(bets(interval, WORSE, Side::Bad), 1.0);
            let got = bad.log_e();
            assert!((got - want_bad).abs() < 1e-6, "{got}");
            ok.add(bets(interval, PROOF, Side::Ok), 1.0);
            let got = ok.log_e();
            assert!((got - want_ok).abs() < 1e-6, "{got}");
        }
    }

    #[test]
    fn the_crossing_is_where_halving_finds_it() {
        let mut seed = 1u64;
        let mut draw = |low: f64, high: f64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            low + (high - low) * ((seed >> 11) as f64 / (1u64 << 53) as f64)
        };
        for _ in 0..2_000 {
            let parts: Vec<(f64, f64)> = (0..BETS).map(|_| (draw(-40.0, 4.0), draw(-1.0, 0.3))).collect();
            let bar = draw(1.0, 9.0);
            let value = |h: f64| {
                let all: Vec<f64> = parts.iter().map(|(w, g)| w + h * g).collect();
                crate::analysis::text::log_sum_exp(&all) - bar
            };
            let halved = match (parts.iter().any(|(_, g)| *g > 0.0), value(0.0) >= 0.0) {
                (false, _) => None,
                (true, true) => Some(0.0),
                (true, false) => smallest(|h| value(h) >= 0.0, 1e15),
            };
            match (when(&parts, bar), halved) {
                (Some(found), Some(wanted)) => {
                    assert!((found - wanted).abs() <= 1e-9 * wanted.max(1.0), "{parts:?}")
                }
                (found, wanted) => assert_eq!(found, wanted, "{parts:?}"),
            }
        }
    }

    #[test]
    fn an_absolute_bound_needs_no_baseline() {
        let absolute = Limit::ratio(0.0, 0.16);
        let value = bets(events(9.0, 30.0, 0.0, 0.0), absolute, Side::Bad)[3];
        assert!((value - (9.0 * 3f64.ln() - 0.16 * 30.0 * 2.0)).abs() < 1e-12);
        assert_eq!(bets(events(9.0, 30.0, 0.0, 0.0), WORSE, Side::Bad), [0.0; BETS]);
    }

    #[test]
    fn the_logarithms_are_those_of_the_grid() {
        for (r, ln_r) in GRID.into_iter().zip(LN_GRID) {
            assert!((r.ln() - ln_r).abs() < 1e-15);
        }
        assert!(((BETS as f64).ln() - LN_BETS).abs() < 1e-15);
    }

    /// Exact summation over both binomials: under the null the expectation never exceeds 1.
    #[test]
    fn the_expected_bet_is_at_most_one_on_the_bound() {
        let binomial = |n: i32, p: f64| -> Vec<f64> {
            let mut row = vec![0.0; n as usize + 1];
            row[0] = (1.0 - p).powi(n);
            for x in 1..=n {
                row[x as usize] = row[x as usize - 1] * f64::from(n - x + 1) / f64::from(x) * p / (1.0 - p);
            }
            row
        };
        for (n_c, n_b, p_b) in [(10, 40, 0.01), (30, 30, 0.05), (5, 100, 0.2)] {
            let (c, b) = (binomial(n_c, 1.25 * p_b + 0.0005), binomial(n_b, p_b));
            for (j, r) in GRID.into_iter().enumerate() {
                let mut expected = 0.0;
                for (x_c, p) in c.iter().enumerate() {
                    for (x_b, q) in b.iter().enumerate() {
                        let e = events(x_c as f64, f64::from(n_c), x_b as f64, f64::from(n_b));
                        expected += p * q * bets(e, WORSE, Side::Bad)[j].exp();
                    }
                }
                assert!(expected <= 1.0 + 1e-9, "r {r}: {expected}");
            }
        }
    }
}
