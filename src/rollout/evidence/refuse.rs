//! What the statistics cannot use is refused before any traffic moves, and the message says what to write instead
//! (`statistics`, section 10).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::analysis::count::FREQUENT;
use crate::analysis::{Arm, Counter, Counts, Cursor, RawSeries, Window, intervals, latency, sample};
use crate::api::Metric;
use crate::rollout::questions::HISTORY;

/// Reason and message of a refusal.
pub type Refusal = (&'static str, String);

/// Counts that a scrape may tear apart are let pass up to here.
const FEW: f64 = 10.0;

/// Stable's requests in each half of the hour from which it can be told how frequent an event is.
const ENOUGH: f64 = 200.0;

/// Why a metric cannot be tested, by stable's series and what they gained in the hour that ended at `until`. `accepted` says
/// whether the user accepts a finding.
pub fn refusal(
    metric: &Metric,
    series: &[RawSeries],
    past: &Counts,
    until: DateTime<Utc>,
    accepted: impl Fn(&str) -> bool,
) -> Option<Refusal> {
    let found = summary(series)
        .or_else(|| buckets(metric, series))
        .or_else(|| bound(metric, series))
        .or_else(|| range(metric, past))
        .or_else(|| frequent(metric, series, past, until).filter(|_| !accepted(&accept(metric))));
    found.map(|(reason, message)| (reason, format!("metric {}: {message}", metric.name)))
}

/// How a finding about a metric is accepted.
fn accept(metric: &Metric) -> String {
    format!("EventFrequent/{}", metric.name)
}

/// The hint where a histogram's buckets are not there: it may be a summary.
pub fn histogram_hint(metric: &Metric) -> &'static str {
    let histogram = metric.latency.is_some()
        || metric.slo.is_some()
        || metric.mean.as_ref().is_some_and(|m| m.histogram.is_some());
    if histogram {
        " (a summary has no buckets and cannot be compared: export a histogram; of a native one say native: true)"
    } else {
        ""
    }
}

/// An expression must give one number for stable.
pub fn several(metric: &Metric, series: &[RawSeries]) -> Option<Refusal> {
    let found = series.iter().filter(|s| s.arm == Arm::Stable).count();
    (found > 1).then(|| {
        let message = format!(
            "metric {}: the expression gives {found} numbers for the stable version; aggregate it to one, such as avg(...) or \
             max(...)",
            metric.name
        );
        ("ValueAmbiguous", message)
    })
}

fn summary(series: &[RawSeries]) -> Option<Refusal> {
    let quantile = |s: &&RawSeries| s.labels.split(',').any(|label| label.starts_with("quantile="));
    let found = series.iter().find(quantile)?;
    let message = format!(
        "{{{}}} is the quantile of a summary, which can be neither compared nor added up over pods: export a histogram",
        found.labels
    );
    Some(("SummaryNotComparable", message))
}

/// Finite bucket edges of stable, in order.
fn edges(series: &[RawSeries]) -> Vec<f64> {
    let stable = series.iter().filter(|s| s.arm == Arm::Stable);
    let mut edges: Vec<f64> = stable
        .filter_map(|s| match s.counter {
            Counter::Bucket(bound) if bound.0.is_finite() => Some(bound.0),
            Counter::Bucket(_)
            | Counter::Total
            | Counter::Bad
            | Counter::Sum
            | Counter::SumSquares
            | Counter::Value => None,
        })
        .collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    edges
}

fn buckets(metric: &Metric, series: &[RawSeries]) -> Option<Refusal> {
    let needs = metric.latency.is_some() || metric.slo.is_some();
    (needs && edges(series).is_empty()).then(|| {
        let message = "its histogram has no bucket with a finite bound: export it with buckets".to_owned();
        ("NoFiniteBuckets", message)
    })
}

fn bound(metric: &Metric, series: &[RawSeries]) -> Option<Refusal> {
    let slo = metric.slo.as_ref()?;
    let (wanted, edges) = (slo.edge(), edges(series));
    if edges.contains(&wanted) {
        return None;
    }
    let below = edges.iter().rev().find(|edge| **edge < wanted);
    let above = edges.iter().find(|edge| **edge > wanted);
    let name = |edge: &f64| in_words(edge * slo.unit.milliseconds());
    let near = match (below, above) {
        (Some(a), Some(b)) => format!("{} and {}", name(a), name(b)),
        (Some(one), None) | (None, Some(one)) => name(one),
        (None, None) => return None,
    };
    let message = format!(
        "slo.bound {} is not the edge of a bucket of {}, so what is slower cannot be counted; the nearest edges are {near}: name \
         one of them, or give the histogram a bucket there",
        slo.bound, slo.histogram
    );
    Some(("BoundNotABucket", message))
}

/// An edge as the field `bound` takes it, where it is whole milliseconds.
fn in_words(ms: f64) -> String {
    let whole = ms.round();
    if (ms - whole).abs() > 1e-6 * ms.abs().max(1.0) {
        return format!("{ms} ms (which bound cannot say)");
    }
    let (s, ms) = ((whole / 1000.0).floor(), whole % 1000.0);
    match (s > 0.0, ms > 0.0) {
        (true, true) => format!("{s:.0}s{ms:.0}ms"),
        (true, false) => format!("{s:.0}s"),
        (false, _) => format!("{ms:.0}ms"),
    }
}

/// The engines for scores are exact for values from 0 to 1 only.
fn range(metric: &Metric, past: &Counts) -> Option<Refusal> {
    let mean = metric.mean.as_ref().filter(|m| !m.unbounded)?;
    let above = past.buckets.range(crate::analysis::Bound(1.0)..).next();
    let beyond_one = above.map_or(0.0, |(_, up_to)| past.n - up_to.0);
    let square = if mean.sum_of_squares.is_some() { past.sum_squares - past.sum } else { 0.0 };
    let outside = past.sum > past.n + FEW || past.sum < -FEW || beyond_one > FEW || square > FEW;
    outside.then(|| {
        let also = if mean.histogram.is_none() && mean.sum_of_squares.is_none() && !mean.pass_fail && mean.guarantee.is_asymptotic() {
            ", or say unbounded: true (times, tokens, costs): then it can bring traffic back and proves nothing"
        } else {
            ""
        };
        let message = format!("stable's scores are not between 0 and 1; rescale them{also}");
        ("ScoreOutOfRange", message)
    })
}

/// An event that is frequent by nature. A stable version that broke within the hour is no reason to refuse its fix: both
/// halves of the hour must be alike.
fn frequent(metric: &Metric, series: &[RawSeries], past: &Counts, until: DateTime<Utc>) -> Option<Refusal> {
    let often = |c: &Counts| c.n >= ENOUGH && c.bad >= FREQUENT * c.n;
    if metric.ratio.is_none() || metric.observe_only || !often(past) {
        return None;
    }
    let half = HISTORY / 2;
    let started = BTreeMap::new();
    let window = Window {
        interval: half,
        until,
        lookback: sample::lookback(half, half),
        series,
        started: &started,
        discarded: &[],
        birth: Default::default(),
    };
    let halves = intervals(&Cursor::start(until - HISTORY), &window).intervals;
    (halves.len() == 2 && halves.iter().all(|i| often(&i.stable))).then(|| {
        let message = format!(
            "{:.0} % of stable's events are bad, all through the last hour: from 20 % on the test for counts needs many times the \
             samples. Measure it as mean {{sum: <the bad ones>, count: <all>, passFail: true, better: Lower}}; or, when stable \
             is broken, accept it by the annotation understudy.dev/accept: {}",
            100.0 * past.bad / past.n,
            accept(metric)
        );
        ("EventFrequent", message)
    })
}

/// Upper edge of stable's p99 in milliseconds, for a warm-up of twice that: of a latency or slo metric.
pub fn p99_ms(metric: &Metric, past: &Counts) -> Option<f64> {
    let unit = match (&metric.latency, &metric.slo) {
        (Some(latency), _) => latency.unit.milliseconds(),
        (None, Some(slo)) => slo.unit.milliseconds(),
        (None, None) => return None,
    };
    latency::upper_edge(past, 0.99).map(|edge| edge * unit)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::analysis::Bound;

    fn metric(kind: Value) -> Metric {
        let mut all = json!({"name": "m"});
        all.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn series(counter: Counter, labels: &str, samples: Vec<(i64, f64)>) -> RawSeries {
        let text = |t: &str| t.to_owned();
        RawSeries {
            arm: Arm::Stable,
            target: text("s-1"),
            scrape: text("m"),
            counter,
            labels: text(labels),
            samples,
        }
    }

    fn bucket(bound: f64) -> RawSeries {
        series(Counter::Bucket(Bound(bound)), "", Vec::new())
    }

    fn hour() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_003_600, 0).unwrap()
    }

    fn said(kind: Value, series: &[RawSeries], past: &Counts) -> Option<Refusal> {
        refusal(&metric(kind), series, past, hour(), |_| false)
    }

    fn slo(bound: &str, edges: &[f64]) -> Option<Refusal> {
        let buckets: Vec<_> = edges.iter().copied().chain([f64::INFINITY]).map(bucket).collect();
        said(json!({"slo": {"histogram": "h", "bound": bound}}), &buckets, &Counts::default())
    }

    #[test]
    fn a_bound_that_is_no_bucket_edge_is_refused_with_the_nearest_ones() {
        assert_eq!(slo("500ms", &[0.1, 0.5, 1.0]), None);
        let (reason, message) = slo("400ms", &[0.1, 0.25, 0.5, 2.5]).unwrap();
        assert_eq!(reason, "BoundNotABucket");
        assert!(message.contains("the nearest edges are 250ms and 500ms:"), "{message}");
        assert!(slo("3s", &[0.1, 2.5]).unwrap().1.contains("edges are 2s500ms:"));
        assert!(slo("1ms", &[0.0025, 1.0]).unwrap().1.contains("edges are 2.5 ms (which bound cannot say):"));
    }

    #[test]
    fn a_histogram_without_finite_buckets_is_refused() {
        assert_eq!(slo("500ms", &[]).unwrap().0, "NoFiniteBuckets");
        let latency = json!({"latency": {"histogram": "h"}});
        assert_eq!(said(latency, &[bucket(f64::INFINITY)], &Counts::default()).unwrap().0, "NoFiniteBuckets");
    }

    #[test]
    fn a_summary_is_refused_whatever_the_metric() {
        let summary = series(Counter::Total, "__name__=\"d\",quantile=\"0.99\"", Vec::new());
        let ratio = json!({"ratio": {"bad": "b", "total": "d"}});
        let (reason, message) = said(ratio, &[summary], &Counts::default()).unwrap();
        assert_eq!(reason, "SummaryNotComparable");
        assert!(message.contains("export a histogram"), "{message}");
    }

    #[test]
    fn scores_outside_0_to_1_are_refused_with_the_way_out() {
        let past = |n, sum, sum_squares| Counts { n, sum, sum_squares, ..Counts::default() };
        let counters = |more: Value| {
            let mut mean = json!({"sum": "s", "count": "c"});
            mean.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "mean": mean })
        };
        assert_eq!(said(counters(json!({})), &[], &past(100.0, 80.0, 0.0)), None);
        let (reason, message) = said(counters(json!({})), &[], &past(100.0, 30_000.0, 0.0)).unwrap();
        assert_eq!(reason, "ScoreOutOfRange");
        assert!(message.contains("rescale them, or say unbounded: true"), "{message}");
        assert_eq!(said(counters(json!({"unbounded": true})), &[], &past(100.0, 30_000.0, 0.0)), None);
        // A mean within 0 to 1 with squares above the scores: some of them are beyond 1.
        let squares = json!({"sumOfSquares": "q"});
        assert_eq!(said(counters(squares.clone()), &[], &past(100.0, 80.0, 79.0)), None);
        let (_, message) = said(counters(squares), &[], &past(100.0, 80.0, 120.0)).unwrap();
        assert!(message.ends_with("rescale them"), "{message}");
        let mut spread = past(100.0, 60.0, 0.0);
        spread.gain(Counter::Bucket(Bound(0.5)), 60.0);
        spread.gain(Counter::Bucket(Bound(1.0)), 80.0);
        let histogram = json!({"mean": {"histogram": "h"}});
        assert_eq!(said(histogram, &[], &spread).unwrap().0, "ScoreOutOfRange");
    }

    /// An hour of stable: 10 events each 10 s, of which a share is bad from a minute on.
    fn failing(share: f64, from_minute: i64) -> (Vec<RawSeries>, Counts) {
        let start = (hour() - HISTORY).timestamp_millis();
        let ticks = 0..=360_i64;
        let total = ticks.clone().map(|k| (start + 10_000 * k, 10.0 * k as f64)).collect();
        let bad =
            ticks.map(|k| (start + 10_000 * k, share * 10.0 * (k - 6 * from_minute).max(0) as f64)).collect();
        let all = vec![series(Counter::Total, "t", total), series(Counter::Bad, "b", bad)];
        let past = sample::history(&all, hour() - HISTORY, hour());
        (all, past)
    }

    #[test]
    fn an_event_that_is_frequent_by_nature_is_refused_and_a_stable_that_broke_is_not() {
        let ratio = json!({"ratio": {"bad": "b", "total": "t"}});
        let (all, past) = failing(0.25, 0);
        let (reason, message) = said(ratio.clone(), &all, &past).unwrap();
        assert_eq!(reason, "EventFrequent");
        assert!(
            message.contains("25 % of stable's events") && message.contains("passFail: true"),
            "{message}"
        );
        let accepted = |finding: &str| finding == "EventFrequent/m";
        assert_eq!(refusal(&metric(ratio.clone()), &all, &past, hour(), accepted), None);
        let (all, past) = failing(0.15, 0);
        assert_eq!(said(ratio.clone(), &all, &past), None);
        // 90 % of the last twenty minutes: the share of the hour is above 20 %, and a fix must be let through.
        let (all, past) = failing(0.9, 40);
        assert!(past.bad > 0.2 * past.n);
        assert_eq!(said(ratio, &all, &past), None);
    }
}
