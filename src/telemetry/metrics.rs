//! The operator's own metrics, in the names and units that Prometheus asks for. Labels name rollouts, kinds and reasons,
//! never pods.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    CounterVec, Encoder, GaugeVec, HistogramVec, IntCounter, IntCounterVec, Registry, TextEncoder,
};

use super::series::{busy, counters, forget, gauges, rollback_seconds, seconds};
use crate::api::{ModelRolloutStatus, Phase};

/// All phases: the phase of a rollout is shown as one series for each, with 1 at the present one.
const PHASES: [Phase; 10] = [
    Phase::Pending,
    Phase::Preparing,
    Phase::Shadow,
    Phase::Canary,
    Phase::Watching,
    Phase::Settling,
    Phase::Active,
    Phase::RollingBack,
    Phase::RolledBack,
    Phase::Deleting,
];

/// The metrics.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    api_calls: IntCounterVec,
    api_seconds: HistogramVec,
    watch_failures: IntCounterVec,
    unreadable: IntCounterVec,
    events_dropped: IntCounter,
    passes: IntCounterVec,
    pass_seconds: HistogramVec,
    panics: IntCounter,
    violations: IntCounterVec,
    queries: IntCounterVec,
    query_seconds: HistogramVec,
    rollbacks: IntCounterVec,
    rollback_seconds: HistogramVec,
    transitions: IntCounterVec,
    phase: GaugeVec,
    weight: GaugeVec,
    last_success: GaugeVec,
    evidence: GaugeVec,
    samples: GaugeVec,
    busy_seconds: CounterVec,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics with a registry of their own.
    pub fn new() -> Self {
        let r = Registry::new();
        let inner = Inner {
            api_calls: counters(
                &r,
                "api_requests_total",
                "Calls to the API server.",
                &["verb", "resource", "code"],
            ),
            api_seconds: seconds(
                &r,
                "api_request_duration_seconds",
                "Time until the API server's answer began.",
                &["verb"],
            ),
            watch_failures: counters(
                &r,
                "watch_failures_total",
                "Watches that broke and were begun again.",
                &["kind"],
            ),
            unreadable: counters(
                &r,
                "unreadable_objects_total",
                "Objects that could not be read.",
                &["kind"],
            ),
            events_dropped: counters(
                &r,
                "events_dropped_total",
                "Events not published: too many waited.",
                &[],
            )
            .with_label_values(&[] as &[&str]),
            passes: counters(&r, "reconcile_total", "Passes over an object.", &["kind", "outcome"]),
            pass_seconds: seconds(&r, "reconcile_duration_seconds", "Length of a pass.", &["kind"]),
            panics: counters(&r, "reconcile_panics_total", "Passes that ended in a panic.", &[])
                .with_label_values(&[] as &[&str]),
            violations: counters(
                &r,
                "plan_violations_total",
                "Plans that broke a promise and were not carried out.",
                &["namespace", "rollout"],
            ),
            queries: counters(&r, "queries_total", "Queries of metrics, by what came.", &["outcome"]),
            query_seconds: seconds(&r, "query_duration_seconds", "Time for all queries of a pass.", &[]),
            rollbacks: counters(&r, "rollbacks_total", "Rollbacks.", &["namespace", "rollout", "reason"]),
            rollback_seconds: rollback_seconds(&r),
            transitions: counters(
                &r,
                "transitions_total",
                "Changes of phase.",
                &["namespace", "rollout", "from", "to"],
            ),
            phase: gauges(
                &r,
                "rollout_phase",
                "1 for the present phase.",
                &["namespace", "rollout", "phase"],
            ),
            weight: gauges(
                &r,
                "rollout_weight_ratio",
                "Share of the traffic, read back.",
                &["namespace", "rollout", "arm"],
            ),
            last_success: gauges(
                &r,
                "last_success_timestamp_seconds",
                "When a pass last went through.",
                &["namespace", "rollout"],
            ),
            evidence: gauges(
                &r,
                "metric_value",
                "Value of a compared metric at the last look.",
                &["namespace", "rollout", "metric", "arm"],
            ),
            samples: gauges(
                &r,
                "metric_samples",
                "Samples of a compared metric at the last look.",
                &["namespace", "rollout", "metric", "arm"],
            ),
            busy_seconds: busy(&r),
            registry: r,
        };
        let info = gauges(&inner.registry, "build_info", "The version that runs.", &["version"]);
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        Self { inner: Arc::new(inner) }
    }

    /// A call to the API server; code 0: no answer.
    pub fn api_call(&self, verb: &'static str, resource: &str, code: u16, took: Duration) {
        self.inner.api_calls.with_label_values(&[verb, resource, &code.to_string()]).inc();
        self.inner.api_seconds.with_label_values(&[verb]).observe(took.as_secs_f64());
    }

    /// A watch broke.
    pub fn watch_failed(&self, kind: &str) {
        self.inner.watch_failures.with_label_values(&[kind]).inc();
    }

    /// An object could not be read.
    pub fn unreadable(&self, kind: &str) {
        self.inner.unreadable.with_label_values(&[kind]).inc();
    }

    /// An Event was not published.
    pub fn event_dropped(&self) {
        self.inner.events_dropped.inc();
    }

    /// A pass over an object of a kind.
    pub fn pass(&self, kind: &str, outcome: &str, took: Duration) {
        self.inner.passes.with_label_values(&[kind, outcome]).inc();
        self.inner.pass_seconds.with_label_values(&[kind]).observe(took.as_secs_f64());
        self.inner.busy_seconds.with_label_values(&[kind]).inc_by(took.as_secs_f64());
    }

    /// A pass panicked.
    pub fn panicked(&self) {
        self.inner.panics.inc();
    }

    /// A plan broke a promise.
    pub fn violation(&self, namespace: &str, rollout: &str) {
        self.inner.violations.with_label_values(&[namespace, rollout]).inc();
    }

    /// One query, by what came of it: `value`, `empty`, `error` and so on.
    pub fn query(&self, outcome: &str) {
        self.inner.queries.with_label_values(&[outcome]).inc();
    }

    /// All queries of one pass.
    pub fn queried(&self, took: Duration) {
        self.inner.query_seconds.with_label_values(&[] as &[&str]).observe(took.as_secs_f64());
    }

    /// The route of a rollback was written, so long after the look that decided.
    pub fn rolled_back(&self, namespace: &str, rollout: &str, reason: &str, took: Duration) {
        self.inner.rollbacks.with_label_values(&[namespace, rollout, reason]).inc();
        self.inner.rollback_seconds.with_label_values(&[namespace, rollout]).observe(took.as_secs_f64());
    }

    /// The phase changed.
    pub fn transition(&self, namespace: &str, rollout: &str, from: &str, to: &str) {
        self.inner.transitions.with_label_values(&[namespace, rollout, from, to]).inc();
    }

    /// How a rollout stands after a pass that went through, at a Unix time in seconds.
    pub fn stands(&self, namespace: &str, rollout: &str, status: &ModelRolloutStatus, at: f64) {
        let i = &self.inner;
        for phase in PHASES {
            let is = f64::from(u8::from(status.phase == Some(phase)));
            i.phase.with_label_values(&[namespace, rollout, &phase.to_string()]).set(is);
        }
        let weights = status.weights.unwrap_or_default();
        for (arm, percent) in
            [("stable", weights.stable), ("candidate", weights.candidate), ("mirror", weights.mirror)]
        {
            i.weight.with_label_values(&[namespace, rollout, arm]).set(f64::from(percent) / 100.0);
        }
        i.last_success.with_label_values(&[namespace, rollout]).set(at);
        for metric in &status.analysis {
            for (arm, numbers) in [("stable", &metric.stable), ("candidate", &metric.candidate)] {
                let labels = [namespace, rollout, metric.metric.as_str(), arm];
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a gauge is a float; counts stay far below 2^53"
                )]
                i.samples.with_label_values(&labels).set(numbers.n as f64);
                if let Some(value) = numbers.value.as_deref().and_then(|v| v.parse().ok()) {
                    i.evidence.with_label_values(&labels).set(value);
                }
            }
        }
    }

    /// A rollout is gone: its series go too.
    pub fn forget(&self, namespace: &str, rollout: &str) {
        let i = &self.inner;
        for gauges in [&i.phase, &i.weight, &i.last_success, &i.evidence, &i.samples] {
            forget(gauges, namespace, rollout);
        }
    }

    /// Everything, in Prometheus's text format.
    ///
    /// # Errors
    /// When a series cannot be written as text.
    pub fn text(&self) -> prometheus::Result<String> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.inner.registry.gather(), &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_is_shown_and_goes() {
        let metrics = Metrics::new();
        let status = ModelRolloutStatus { phase: Some(Phase::Canary), ..ModelRolloutStatus::default() };
        metrics.stands("shop", "m", &status, 1.0);
        metrics.rolled_back("shop", "m", "Breach", Duration::from_millis(40));
        let text = metrics.text().unwrap();
        assert!(
            text.contains(r#"understudy_rollout_phase{namespace="shop",phase="Canary",rollout="m"} 1"#),
            "{text}"
        );
        assert!(text.contains("understudy_rollback_duration_seconds_bucket"));
        metrics.forget("shop", "m");
        assert!(!metrics.text().unwrap().contains("understudy_rollout_phase{"));
    }
}
