//! The operator's own metrics, in the names and units that Prometheus asks for. Labels name rollouts, kinds and reasons,
//! never pods.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Encoder, Registry, TextEncoder};

use super::series::{ApiSeries, PassSeries, RolloutSeries, forget, gauges};
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
    api: ApiSeries,
    passes: PassSeries,
    rollouts: RolloutSeries,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics with a registry of their own.
    pub fn new() -> Self {
        let registry = Registry::new();
        let info = gauges(&registry, "build_info", "The version that runs.", &["version"]);
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        let api = ApiSeries::new(&registry);
        let passes = PassSeries::new(&registry);
        let rollouts = RolloutSeries::new(&registry);
        Self { inner: Arc::new(Inner { registry, api, passes, rollouts }) }
    }

    /// A call to the API server; code 0: no answer.
    pub fn api_call(&self, verb: &'static str, resource: &str, code: u16, took: Duration) {
        self.inner.api.calls.with_label_values(&[verb, resource, &code.to_string()]).inc();
        self.inner.api.seconds.with_label_values(&[verb]).observe(took.as_secs_f64());
    }

    /// A watch broke.
    pub fn watch_failed(&self, kind: &str) {
        self.inner.api.watch_failures.with_label_values(&[kind]).inc();
    }

    /// An object could not be read.
    pub fn unreadable(&self, kind: &str) {
        self.inner.api.unreadable.with_label_values(&[kind]).inc();
    }

    /// An Event was not published.
    pub fn event_dropped(&self) {
        self.inner.api.events_dropped.inc();
    }

    /// A pass over an object of a kind.
    pub fn pass(&self, kind: &str, outcome: &str, took: Duration) {
        self.inner.passes.passes.with_label_values(&[kind, outcome]).inc();
        self.inner.passes.seconds.with_label_values(&[kind]).observe(took.as_secs_f64());
    }

    /// A pass panicked.
    pub fn panicked(&self) {
        self.inner.passes.panics.inc();
    }

    /// A plan broke a promise.
    pub fn violation(&self, namespace: &str, rollout: &str) {
        self.inner.passes.violations.with_label_values(&[namespace, rollout]).inc();
    }

    /// One query, by what came of it: `value`, `empty`, `error` and so on.
    pub fn query(&self, outcome: &str) {
        self.inner.passes.queries.with_label_values(&[outcome]).inc();
    }

    /// All queries of one pass.
    pub fn queried(&self, took: Duration) {
        self.inner.passes.query_seconds.with_label_values(&[] as &[&str]).observe(took.as_secs_f64());
    }

    /// The route of a rollback was written, so long after the look that decided.
    pub fn rolled_back(&self, namespace: &str, rollout: &str, reason: &str, took: Duration) {
        self.inner.rollouts.rollbacks.with_label_values(&[namespace, rollout, reason]).inc();
        self.inner
            .rollouts
            .rollback_seconds
            .with_label_values(&[namespace, rollout])
            .observe(took.as_secs_f64());
    }

    /// The phase changed.
    pub fn transition(&self, namespace: &str, rollout: &str, from: &str, to: &str) {
        self.inner.rollouts.transitions.with_label_values(&[namespace, rollout, from, to]).inc();
    }

    /// How a rollout stands after a pass that went through, at a Unix time in seconds.
    pub fn stands(&self, namespace: &str, rollout: &str, status: &ModelRolloutStatus, at: f64) {
        let i = &self.inner.rollouts;
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
        let i = &self.inner.rollouts;
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
