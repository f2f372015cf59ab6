//! How the operator's series are made and taken away.

use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

const FAST: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

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

pub(super) fn counters(r: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(r, IntCounterVec::new(named(name, help), labels))
}

pub(super) fn busy(r: &Registry) -> CounterVec {
    register(r, CounterVec::new(named("reconcile_seconds_total", "Time spent in passes."), &["kind"]))
}

pub(super) fn gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register(r, GaugeVec::new(named(name, help), labels))
}

pub(super) fn seconds(r: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let opts = HistogramOpts::from(named(name, help)).buckets(FAST.to_vec());
    register(r, HistogramVec::new(opts, labels))
}

/// Removes every series of a rollout.
pub(super) fn forget(gauges: &GaugeVec, namespace: &str, rollout: &str) {
    use prometheus::core::Collector;
    for family in gauges.collect() {
        for metric in family.get_metric() {
            let labels: std::collections::HashMap<&str, &str> =
                metric.get_label().iter().map(|l| (l.name(), l.value())).collect();
            if labels.get("namespace") == Some(&namespace) && labels.get("rollout") == Some(&rollout) {
                // It was there a moment ago; gone is what is wanted.
                let _ = gauges.remove(&labels);
            }
        }
    }
}

/// With a bucket at 1 s and one at 60 s: the two promises about it.
pub(super) fn rollback_seconds(r: &Registry) -> HistogramVec {
    let help = "From the look that decided to the route at stable.";
    let opts = HistogramOpts::from(named("rollback_duration_seconds", help))
        .buckets(vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0]);
    register(r, HistogramVec::new(opts, &["namespace", "rollout"]))
}
