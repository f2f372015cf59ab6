//! The operator's own metrics, in the names and units that Prometheus asks for. Labels name rollouts, kinds and reasons,
//! never pods.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{Encoder, Gauge, Registry, TextEncoder};

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
    leader: Gauge,
    /// Rollouts by namespace and name.
    known: Mutex<HashMap<(String, String), Known>>,
    api: ApiSeries,
    passes: PassSeries,
    rollouts: RolloutSeries,
}

/// How a rollout was shown last.
#[derive(Default)]
struct Known {
    /// The last pass went through and wants no other: nothing is due.
    rests: bool,
    /// Names of the compared metrics.
    compared: Vec<String>,
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
        let leads = "1 where this process leads, 0 where it follows.";
        let leader = gauges(&registry, "leader", leads, &[]).with_label_values(&[] as &[&str]);
        let api = ApiSeries::new(&registry);
        let passes = PassSeries::new(&registry);
        let rollouts = RolloutSeries::new(&registry);
        Self { inner: Arc::new(Inner { registry, leader, known: Mutex::default(), api, passes, rollouts }) }
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

    /// A rollback has begun: its intent is on record.
    pub fn rollback(&self, namespace: &str, rollout: &str, reason: &str) {
        self.inner.rollouts.rollbacks.with_label_values(&[namespace, rollout, reason]).inc();
    }

    /// The route of a rollback was written, so long after the look that decided.
    pub fn rolled_back(&self, namespace: &str, rollout: &str, took: Duration) {
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

    /// Whether this process leads.
    pub fn leader(&self, leads: bool) {
        self.inner.leader.set(f64::from(u8::from(leads)));
    }

    /// A pass over a rollout begins: until it has gone through, something is due.
    pub fn moves(&self, namespace: &str, rollout: &str) {
        if let Some(known) = self.known().get_mut(&(namespace.to_owned(), rollout.to_owned())) {
            known.rests = false;
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, String), Known>> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a rollout stands after a pass that went through; `rests` when nothing is due any more.
    pub fn stands(&self, namespace: &str, rollout: &str, status: &ModelRolloutStatus, rests: bool) {
        let i = &self.inner.rollouts;
        let compared = status.analysis.iter().map(|m| m.metric.clone()).collect();
        let key = (namespace.to_owned(), rollout.to_owned());
        let before = self.known().insert(key, Known { rests, compared }).unwrap_or_default();
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
        i.last_success.with_label_values(&[namespace, rollout]).set(now());
        for old in before.compared.iter().filter(|old| !status.analysis.iter().any(|m| m.metric == **old)) {
            for arm in ["stable", "candidate"] {
                // Without a value there is no series of it.
                let _ = i.evidence.remove_label_values(&[namespace, rollout, old, arm]);
                let _ = i.samples.remove_label_values(&[namespace, rollout, old, arm]);
            }
        }
        for metric in &status.analysis {
            for (arm, numbers) in [("stable", &metric.stable), ("candidate", &metric.candidate)] {
                let labels = [namespace, rollout, metric.metric.as_str(), arm];
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a gauge is a float; counts stay far below 2^53"
                )]
                i.samples.with_label_values(&labels).set(numbers.n as f64);
                match numbers.value.as_deref().and_then(|v| v.parse().ok()) {
                    Some(value) => i.evidence.with_label_values(&labels).set(value),
                    // There may have been one at an earlier look.
                    None => drop(i.evidence.remove_label_values(&labels)),
                }
            }
        }
    }

    /// A rollout is gone: its series go too.
    pub fn forget(&self, namespace: &str, rollout: &str) {
        let i = &self.inner.rollouts;
        let of = (namespace, rollout);
        self.known().remove(&(namespace.to_owned(), rollout.to_owned()));
        for gauges in [&i.phase, &i.weight, &i.last_success, &i.evidence, &i.samples] {
            forget(gauges, of);
        }
        for counters in [&i.rollbacks, &i.transitions, &self.inner.passes.violations] {
            forget(counters, of);
        }
        forget(&i.rollback_seconds, of);
    }

    /// Everything, in Prometheus's text format.
    ///
    /// # Errors
    /// When a series cannot be written as text.
    pub fn text(&self) -> prometheus::Result<String> {
        let known = self.known();
        for ((namespace, rollout), _) in known.iter().filter(|(_, known)| known.rests) {
            self.inner.rollouts.last_success.with_label_values(&[namespace, rollout]).set(now());
        }
        drop(known);
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.inner.registry.gather(), &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

/// Unix time in seconds.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_is_shown_and_goes() {
        let metrics = Metrics::new();
        let status = ModelRolloutStatus { phase: Some(Phase::Canary), ..ModelRolloutStatus::default() };
        metrics.stands("shop", "m", &status, false);
        metrics.rollback("shop", "m", "Breach");
        metrics.rolled_back("shop", "m", Duration::from_millis(40));
        metrics.transition("shop", "m", "Canary", "RollingBack");
        metrics.violation("shop", "m");
        let text = metrics.text().unwrap();
        assert!(
            text.contains(r#"understudy_rollout_phase{namespace="shop",phase="Canary",rollout="m"} 1"#),
            "{text}"
        );
        assert!(text.contains("understudy_rollback_duration_seconds_bucket"));
        metrics.forget("shop", "m");
        let text = metrics.text().unwrap();
        assert!(!text.contains(r#"rollout="m""#), "{text}");
    }

    #[test]
    fn a_metric_that_is_not_compared_any_more_is_not_shown() {
        let metrics = Metrics::new();
        let of = |names: &[&str], value: Option<&str>| {
            let one = |name: &&str| -> crate::api::MetricStatus {
                let stable = serde_json::json!({"n": 7, "value": value});
                let m = serde_json::json!({"metric": name, "verdict": "Pass", "stable": stable});
                serde_json::from_value(m).unwrap()
            };
            ModelRolloutStatus { analysis: names.iter().map(one).collect(), ..ModelRolloutStatus::default() }
        };
        metrics.stands("shop", "m", &of(&["errors", "old"], Some("0.5")), false);
        metrics.stands("shop", "other", &of(&["old"], Some("0.5")), false);
        metrics.stands("shop", "m", &of(&["errors"], Some("0.5")), false);
        let text = metrics.text().unwrap();
        assert!(!text.contains(r#"metric="old",namespace="shop",rollout="m""#), "{text}");
        assert!(text.contains(r#"metric="old",namespace="shop",rollout="other""#), "{text}");
        let value =
            r#"understudy_metric_value{arm="stable",metric="errors",namespace="shop",rollout="m"} 0.5"#;
        assert!(text.contains(value), "{text}");
        metrics.stands("shop", "m", &of(&["errors"], None), false);
        assert!(!metrics.text().unwrap().contains(value), "a value of an earlier look");
    }

    #[test]
    fn at_rest_the_last_success_is_now_and_while_a_pass_is_due_it_is_not() {
        let metrics = Metrics::new();
        let shown = || {
            let text = metrics.text().unwrap();
            let line = text.lines().find(|l| l.starts_with("understudy_last_success_timestamp_seconds{"));
            line.and_then(|l| l.rsplit(' ').next()).unwrap().parse::<f64>().unwrap()
        };
        metrics.stands("shop", "m", &ModelRolloutStatus::default(), true);
        let first = shown();
        std::thread::sleep(Duration::from_millis(5));
        let second = shown();
        assert!(second > first);
        metrics.moves("shop", "m");
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(shown().to_bits(), second.to_bits());
    }
}
