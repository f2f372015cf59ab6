//! Latency histograms through the count engine: "how many requests are slower than stable's own p50, p90, p99, p99.9".
//! The bounds are bucket edges, chosen from history before the data that are tested, so choosing costs no error.

use std::collections::BTreeSet;

use super::count::Events;
use super::interval::{Bound, Counts};
use super::verdict::Reason;

/// Stable requests that the choice of the bounds needs.
pub const HISTORY: f64 = 200.0;

/// Finite bucket bounds that both arms have.
pub fn common_bounds(candidate: &Counts, stable: &Counts) -> Vec<f64> {
    let other: BTreeSet<Bound> = stable.buckets.keys().copied().collect();
    let both = candidate.buckets.keys().filter(|bound| bound.0.is_finite() && other.contains(bound));
    both.map(|bound| bound.0).collect()
}

/// L*(q) for each quantile: the largest common bound whose cumulative share in `history` is below q, or the smallest
/// common bound when none is.
///
/// # Errors
/// [`Reason::NoBounds`] with fewer than 200 requests in history, [`Reason::BucketMismatch`] without a common bound.
pub fn choose_bounds(history: &Counts, common: &[f64], quantiles: &[f64]) -> Result<Vec<f64>, Reason> {
    if history.n < HISTORY {
        return Err(Reason::NoBounds);
    }
    let Some(smallest) = common.first() else {
        return Err(Reason::BucketMismatch);
    };
    let up_to = |bound: f64| history.up_to(bound).unwrap_or(0.0);
    let chosen = quantiles.iter().map(|q| {
        let below = common.iter().rev().find(|bound| up_to(**bound) < q * history.n);
        *below.unwrap_or(smallest)
    });
    Ok(chosen.collect())
}

/// The bounds as they are to be expected while only stable's buckets are known.
///
/// # Errors
/// As [`choose_bounds`].
pub fn own_bounds(history: &Counts, quantiles: &[f64]) -> Result<Vec<f64>, Reason> {
    choose_bounds(history, &common_bounds(history, history), quantiles)
}

/// Upper edge of the bucket that contains the quantile: what a warm-up of twice stable's p99 is reckoned from. `None`
/// without requests, or when the quantile is beyond the last finite bucket.
pub fn upper_edge(history: &Counts, quantile: f64) -> Option<f64> {
    let wanted = quantile * history.n;
    let edge = history.buckets.iter().find(|(_, up_to)| up_to.0 >= wanted && history.n > 0.0)?.0;
    edge.0.is_finite().then_some(edge.0)
}

/// Requests slower than `bound` as bad events; `None` when an arm lost that bucket.
pub fn slow(candidate: &Counts, stable: &Counts, bound: f64) -> Option<Events> {
    Some(Events {
        x_c: candidate.n - candidate.up_to(bound)?,
        n_c: candidate.n,
        x_b: stable.n - stable.up_to(bound)?,
        n_b: stable.n,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::interval::Counter;

    fn histogram(buckets: &[(f64, f64)]) -> Counts {
        let mut counts = Counts::default();
        for (bound, up_to) in buckets {
            counts.gain(Counter::Bucket(Bound(*bound)), *up_to);
        }
        counts.n = buckets.last().map_or(0.0, |(_, up_to)| *up_to);
        counts
    }

    #[test]
    fn a_bound_is_the_lower_edge_of_the_bucket_with_the_quantile() {
        let stable =
            histogram(&[(0.1, 400.0), (0.25, 890.0), (0.5, 985.0), (1.0, 1000.0), (f64::INFINITY, 1000.0)]);
        let common = common_bounds(&stable, &stable);
        assert_eq!(common, [0.1, 0.25, 0.5, 1.0]);
        let bounds = choose_bounds(&stable, &common, &[0.3, 0.5, 0.9, 0.99]).unwrap();
        assert_eq!(bounds, [0.1, 0.1, 0.25, 0.5]);
        assert_eq!(upper_edge(&stable, 0.99), Some(1.0));
        assert_eq!(upper_edge(&Counts::default(), 0.99), None);
    }

    #[test]
    fn different_buckets_are_compared_at_the_common_ones_only() {
        let a = histogram(&[(0.1, 100.0), (0.3, 200.0), (f64::INFINITY, 300.0)]);
        let b = histogram(&[(0.2, 100.0), (0.3, 200.0), (f64::INFINITY, 300.0)]);
        assert_eq!(common_bounds(&a, &b), [0.3]);
        let c = histogram(&[(0.7, 1.0), (f64::INFINITY, 300.0)]);
        assert_eq!(choose_bounds(&a, &common_bounds(&a, &c), &[0.5]), Err(Reason::BucketMismatch));
        assert_eq!(slow(&a, &c, 0.1), None);
    }

    #[test]
    fn little_history_chooses_nothing() {
        let few = histogram(&[(0.1, 50.0), (f64::INFINITY, 199.0)]);
        assert_eq!(choose_bounds(&few, &[0.1], &[0.5]), Err(Reason::NoBounds));
    }
}
