//! Native histograms as the API of Prometheus gives them, turned into the cumulative buckets of classic ones at fixed bounds, so
//! that the analysis has one form. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::source::Series;

/// Bounds are 2^(i/2) for i of this range: every exponential schema from 1 on has them all, whatever buckets are empty; a
/// coarser one has every second or fourth. 61 microseconds to 4.5 hours, in seconds. Finer ones would cost room in status.
const STEPS: std::ops::RangeInclusive<i32> = -28..=28;

/// Two bounds this close are the same: they come as text.
const CLOSE: f64 = 1e-9;

/// One sample of a native histogram.
#[derive(Deserialize)]
pub struct Histogram {
    count: String,
    /// Rule of the bounds, lower, upper and count; those without observations are left out.
    #[serde(default)]
    buckets: Vec<(u8, String, String, String)>,
}

/// A bucket in numbers.
struct Bucket {
    lower: f64,
    upper: f64,
    count: f64,
}

/// The series of a native histogram as buckets with the label `le`; the one without a bound is its count. A bound that does not
/// separate the buckets of every sample is left out. `None` for what is not a number.
pub fn buckets(labels: &BTreeMap<String, String>, samples: &[(i64, Histogram)]) -> Option<Vec<Series>> {
    let mut all: Vec<(i64, f64, Vec<Bucket>)> = Vec::with_capacity(samples.len());
    for (at, histogram) in samples {
        let bucket = |(_, lower, upper, count): &(u8, String, String, String)| {
            Some(Bucket {
                lower: lower.parse().ok()?,
                upper: upper.parse().ok()?,
                count: count.parse().ok()?,
            })
        };
        let of: Option<Vec<Bucket>> = histogram.buckets.iter().map(bucket).collect();
        all.push((*at, histogram.count.parse().ok()?, of?));
    }
    let series = |le: String, samples: Vec<(i64, f64)>| {
        let mut labels = labels.clone();
        labels.insert("le".into(), le);
        Series { labels, samples }
    };
    let bounds = STEPS.map(|step| (f64::from(step) / 2.0).exp2());
    let mut out: Vec<Series> = bounds
        .filter_map(|bound| {
            let up_to: Option<Vec<(i64, f64)>> =
                all.iter().map(|(at, _, of)| Some((*at, cumulative(of, bound)?))).collect();
            Some(series(bound.to_string(), up_to?))
        })
        .collect();
    out.push(series("+Inf".into(), all.iter().map(|(at, count, _)| (*at, *count)).collect()));
    Some(out)
}

/// Observations up to a bound; `None` when a bucket lies on both sides of it.
fn cumulative(buckets: &[Bucket], bound: f64) -> Option<f64> {
    let mut sum = 0.0;
    for bucket in buckets {
        if bucket.upper <= bound * (1.0 + CLOSE) {
            sum += bucket.count;
        } else if bucket.lower < bound * (1.0 - CLOSE) {
            return None;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(count: &str, buckets: &[(f64, f64, f64)]) -> Histogram {
        let text =
            |(lower, upper, n): &(f64, f64, f64)| (0, lower.to_string(), upper.to_string(), n.to_string());
        Histogram { count: count.into(), buckets: buckets.iter().map(text).collect() }
    }

    fn read(samples: &[(i64, Histogram)]) -> BTreeMap<String, Vec<f64>> {
        let labels = BTreeMap::from([("__name__".to_owned(), "h".to_owned())]);
        let series = buckets(&labels, samples).unwrap();
        assert!(series.iter().all(|s| s.labels["__name__"] == "h"));
        series
            .into_iter()
            .map(|s| (s.labels["le"].clone(), s.samples.iter().map(|x| x.1).collect()))
            .collect()
    }

    #[test]
    fn buckets_are_cumulative_at_the_same_bounds_whatever_is_empty() {
        let fine = 2f64.powf(-0.875);
        let first = histogram("7", &[(-1e-128, 1e-128, 1.0), (0.5, fine, 2.0), (1.0, 2f64.powf(0.125), 4.0)]);
        let second =
            histogram("9", &[(-1e-128, 1e-128, 1.0), (0.5, fine, 4.0), (1.0, 2f64.powf(0.125), 4.0)]);
        let read = read(&[(0, first), (1000, second)]);
        assert_eq!(read.len(), 58);
        assert_eq!(
            (&read["0.25"], &read["0.5"], &read["1"]),
            (&vec![1.0, 1.0], &vec![1.0, 1.0], &vec![3.0, 5.0])
        );
        assert_eq!(
            (&read["2"], &read["16384"], &read["+Inf"]),
            (&vec![7.0, 9.0], &vec![7.0, 9.0], &vec![7.0, 9.0])
        );
        assert!(read.contains_key(&2f64.powf(0.5).to_string()));
    }

    #[test]
    fn a_bound_inside_a_bucket_is_left_out() {
        // Factor 2: only whole powers of two separate its buckets.
        let read = read(&[(0, histogram("3", &[(0.25, 0.5, 1.0), (0.5, 1.0, 2.0)]))]);
        assert_eq!((&read["0.5"], &read["1"]), (&vec![1.0], &vec![3.0]));
        assert!(!read.contains_key(&2f64.powf(-0.5).to_string()));
        assert!(read.contains_key(&2f64.powf(0.5).to_string()), "nothing lies on both sides of it");
    }

    #[test]
    fn what_is_not_a_number_is_no_histogram() {
        let labels = BTreeMap::new();
        assert!(buckets(&labels, &[(0, histogram("many", &[]))]).is_none());
    }
}
