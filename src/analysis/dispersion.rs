//! Bursts: how much more stable's bad events vary from look to look than independent ones would.
//!
//! ```text
//! phi_hat = sum_k (x_k - x_{k-1} n_k / n_{k-1})^2 / sum_k (x_k + x_{k-1} (n_k / n_{k-1})^2)
//! ```
//! Differences of successive looks leave a slow drift of the rate out. If no burst has more than phi events, evidence
//! divided by phi is still exact, so phi is `1.5 phi_hat` at most 50, and 1 where phi_hat is not clearly above 1. It is
//! taken from stable before the attempt alone: what is tested later has no part in it.

use super::interval::Counts;
use super::latency;
use super::mean;
use super::plan::{Kind, MetricPlan};

/// Up to here independent events reach, over a long history.
const CLEAR: f64 = 0.2;
/// Differences over which `CLEAR` was found; with fewer the estimate scatters more, and the bar rises as its deviation.
const LONG: f64 = 480.0;
/// Fewer tell nothing: a chance cluster would look like a burst.
const FEWEST: f64 = 20.0;
/// Bursts are larger than their mean size.
const LARGER: f64 = 1.5;
/// Beyond it a test would decide nothing.
const LARGEST: f64 = 50.0;

/// The burst factor of a metric from stable's history by look; `hour` is what latency bounds are chosen from. 1 for scores
/// with a spread of their own, whose engines measure it themselves.
pub fn phi(plan: &MetricPlan, hour: &Counts, looks: &[Counts]) -> f64 {
    let of = |bad: &dyn Fn(&Counts) -> f64| {
        let pairs: Vec<(f64, f64)> = looks.iter().map(|counts| (bad(counts), counts.n)).collect();
        factor(&pairs)
    };
    let slow = |bound: f64| of(&|counts| counts.n - counts.up_to(bound).unwrap_or(counts.n));
    match plan.kind {
        Kind::Ratio => of(&|counts| counts.bad),
        Kind::Slo => slow(plan.bound),
        Kind::Latency => {
            let bounds = latency::own_bounds(hour, &plan.quantiles).unwrap_or_default();
            bounds.into_iter().map(slow).fold(1.0, f64::max)
        }
        // The rarer of the two outcomes.
        Kind::MeanPassFail if 2.0 * hour.sum > hour.n => of(&|counts| counts.n - counts.sum),
        Kind::MeanPassFail => of(&|counts| counts.sum),
        Kind::MeanCounted => of(&|counts| mean::lacking(plan, counts)),
        Kind::MeanHistogram | Kind::MeanSumSquares | Kind::MeanSumCount | Kind::Value => 1.0,
    }
}

/// phi from events and requests by look.
fn factor(looks: &[(f64, f64)]) -> f64 {
    let (mut above, mut below, mut pairs) = (0.0, 0.0, 0.0_f64);
    for pair in looks.windows(2) {
        let [(x, n), (y, m)] = pair else { continue };
        if *n <= 0.0 || *m <= 0.0 {
            continue;
        }
        let scale = m / n;
        above += (y - x * scale).powi(2);
        below += y + x * scale * scale;
        pairs += 1.0;
    }
    let events: f64 = looks.iter().map(|(x, _)| x).sum();
    let known = pairs.min(events);
    if known < FEWEST || below <= 0.0 {
        return 1.0;
    }
    let found = above / below;
    let clear = 1.0 + CLEAR * (LONG / known).sqrt().max(1.0);
    if found <= clear { 1.0 } else { (LARGER * found).min(LARGEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed sequence that looks like chance: a linear congruential generator.
    fn chance(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// Looks of 100 requests in which bursts of `size` events begin with the given probability per request.
    fn bursts(size: f64, probability: f64, looks: usize, seed: u64) -> Vec<(f64, f64)> {
        let mut next = chance(seed);
        let mut look = || (0..100).filter(|_| next() < probability).count() as f64 * size;
        (0..looks).map(|_| (look(), 100.0)).collect()
    }

    #[test]
    fn independent_events_cost_nothing_over_long_and_short_histories() {
        let burst_less =
            |looks: usize| (1..=200).filter(|seed| factor(&bursts(1.0, 0.01, looks, *seed)) > 1.0).count();
        for looks in [10, 30, 100, 480, 720] {
            let costly = burst_less(looks);
            assert!(costly <= 8, "{costly} of 200 histories of {looks} looks were taken for bursts");
        }
    }

    #[test]
    fn bursts_are_found_by_their_size() {
        for (size, least, most) in [(3.0, 3.0, 7.0), (8.0, 8.0, 18.0)] {
            let found = factor(&bursts(size, 0.004, 720, 7));
            assert!((least..=most).contains(&found), "bursts of {size} gave {found}");
        }
        assert_eq!(factor(&bursts(200.0, 0.01, 720, 7)), LARGEST);
    }

    #[test]
    fn a_drift_of_the_rate_or_of_the_traffic_is_no_burst() {
        let mut next = chance(3);
        let look = |k: usize| {
            let requests = 100 + k;
            let rate = 0.01 + 0.03 * k as f64 / 720.0;
            (0..requests).filter(|_| next() < rate).count() as f64
        };
        let looks: Vec<(f64, f64)> =
            (0..720).map(look).enumerate().map(|(k, x)| (x, (100 + k) as f64)).collect();
        assert_eq!(factor(&looks), 1.0);
    }

    #[test]
    fn nothing_known_is_no_burst() {
        assert_eq!(factor(&[]), 1.0);
        assert_eq!(factor(&[(5.0, 100.0)]), 1.0);
        assert_eq!(factor(&[(0.0, 100.0), (0.0, 0.0), (0.0, 100.0)]), 1.0);
    }
}
