//! How the operator's series are made and taken away.

use std::collections::HashMap;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

const FAST: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// About the API server.
pub(super) struct ApiSeries {
    pub calls: IntCounterVec,
    pub seconds: HistogramVec,
    pub watch_failures: IntCounterVec,
    pub unreadable: IntCounterVec,
    pub events_dropped: IntCounter,
}

impl ApiSeries {
    pub fn new(r: &Registry) -> Self {
        let call = &["verb", "resource", "code"];
        let began = "Time until the API server's answer began.";
        Self {
            calls: counters(r, "api_requests_total", "Calls to the API server.", call),
            seconds: seconds(r, "api_request_duration_seconds", began, &["verb"]),
            watch_failures: counters(
                r,
                "watch_failures_total",
                "Watches that broke and were begun again.",
                &["kind"],
            ),
            unreadable: counters(r, "unreadable_objects_total", "Objects that could not be read.", &["kind"]),
            events_dropped: counter(r, "events_dropped_total", "Events not published: too many waited."),
        }
    }
}

/// About passes and the queries in them.
pub(super) struct PassSeries {
    pub passes: IntCounterVec,
    pub seconds: HistogramVec,
    pub panics: IntCounter,
    pub violations: IntCounterVec,
    pub queries: IntCounterVec,
    pub query_seconds: HistogramVec,
}

impl PassSeries {
    pub fn new(r: &Registry) -> Self {
        let broken = "Plans that broke a promise and were not carried out.";
        Self {
            passes: counters(r, "reconcile_total", "Passes over an object.", &["kind", "outcome"]),
            seconds: seconds(r, "reconcile_duration_seconds", "Length of a pass.", &["kind"]),
            panics: counter(r, "reconcile_panics_total", "Passes that ended in a panic."),
            violations: counters(r, "plan_violations_total", broken, &["namespace", "rollout"]),
            queries: counters(r, "queries_total", "Queries of metrics, by what came.", &["outcome"]),
            query_seconds: seconds(r, "query_duration_seconds", "Time for all queries of a pass.", &[]),
        }
    }
}

/// About rollouts.
pub(super) struct RolloutSeries {
    pub rollbacks: IntCounterVec,
    pub rollback_seconds: HistogramVec,
    pub transitions: IntCounterVec,
    pub phase: GaugeVec,
    pub weight: GaugeVec,
    pub last_success: GaugeVec,
    pub evidence: GaugeVec,
    pub samples: GaugeVec,
}

impl RolloutSeries {
    pub fn new(r: &Registry) -> Self {
        let metric = &["namespace", "rollout", "metric", "arm"];
        let of = |label| ["namespace", "rollout", label];
        let through = "When a pass last went through; at rest, now: nothing is due.";
        Self {
            rollbacks: counters(r, "rollbacks_total", "Rollbacks.", &of("reason")),
            rollback_seconds: rollback_seconds(r),
            transitions: counters(
                r,
                "transitions_total",
                "Changes of phase.",
                &["namespace", "rollout", "from", "to"],
            ),
            phase: gauges(r, "rollout_phase", "1 for the present phase.", &of("phase")),
            weight: gauges(r, "rollout_weight_ratio", "Share of the traffic, read back.", &of("arm")),
            last_success: gauges(r, "last_success_timestamp_seconds", through, &["namespace", "rollout"]),
            evidence: gauges(r, "metric_value", "Value of a compared metric at the last look.", metric),
            samples: gauges(r, "metric_samples", "Samples of a compared metric at the last look.", metric),
        }
    }
}

fn counter(r: &Registry, name: &str, help: &str) -> IntCounter {
    counters(r, name, help, &[]).with_label_values(&[] as &[&str])
}

const PROOF: &str = "the names and labels above are fixed, valid and used once";

fn named(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("understudy")
}

fn register<C: prometheus::core::Collector + Clone + 'static>(
    r: &Registry,
    collector: prometheus::Result<C>,
) -> C {
    let collector = collector.expect(PROOF);
    r.register(Box::new(collector.clone())).expect(PROOF);
    collector
}

fn counters(r: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(r, IntCounterVec::new(named(name, help), labels))
}

pub(super) fn gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register(r, GaugeVec::new(named(name, help), labels))
}

fn seconds(r: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let opts = HistogramOpts::from(named(name, help)).buckets(FAST.to_vec());
    register(r, HistogramVec::new(opts, labels))
}

/// Removes a rollout's series. Goes through the series of all: not for every pass.
pub(super) fn forget<T: MetricVecBuilder>(series: &MetricVec<T>, (namespace, rollout): (&str, &str)) {
    for family in series.collect() {
        for metric in family.get_metric() {
            let labels: HashMap<&str, &str> =
                metric.get_label().iter().map(|l| (l.name(), l.value())).collect();
            let of = |label: &str| labels.get(label).copied();
            if of("namespace") == Some(namespace) && of("rollout") == Some(rollout) {
                // It was there a moment ago; gone is what is wanted.
                let _ = series.remove(&labels);
            }
        }
    }
}

/// With a bucket at 1 s and one at 60 s: the two promises about it.
fn rollback_seconds(r: &Registry) -> HistogramVec {
    let help = "From the look that decided to the route at stable.";
    let opts = HistogramOpts::from(named("rollback_duration_seconds", help))
        .buckets(vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0]);
    register(r, HistogramVec::new(opts, &["namespace", "rollout"]))
}
