//! What the tests apply: the demo's workload under a host name of its own, and rollouts with short times.

use lab::models::Models;
use serde_json::{Value, json};
use understudy::api::ModelRollout;

/// The user's objects on day one, in a namespace and under a host name of their own.
pub fn serving(models: &Models, namespace: &str) -> anyhow::Result<String> {
    let text = lab::scenario::serving(models, namespace)?;
    // One gateway for all tests: the host name tells them apart. The pods take a moment to load, as models do.
    let text =
        text.replace("  parentRefs:\n", &format!("  hostnames: [{}]\n  parentRefs:\n", host(namespace)));
    let text = text.replace("terminationGracePeriodSeconds: 5", "terminationGracePeriodSeconds: 3");
    let variables = "        - {name: MODEL_LOAD_MILLIS, value: \"700\"}\n        - {name: DRAIN_MILLIS, value: \"1000\"}\n        - name: POD_NAME\n";
    Ok(text.replace("        - name: POD_NAME\n", variables))
}

/// The host name of a namespace's route.
pub fn host(namespace: &str) -> String {
    format!("{namespace}.lab")
}

/// The rollout of `digits` at 1.0.0: no shadow, two steps, a short watch; judged by errors, accuracy and what the
/// gateway sees. No latency: that is judged where it is what a test is about.
pub fn rollout(namespace: &str) -> Value {
    json!({
        "apiVersion": "understudy.dev/v1alpha1", "kind": "ModelRollout",
        "metadata": {"name": "digits", "namespace": namespace},
        "spec": {
            "model": "digits", "version": "1.0.0", "environment": "test",
            "workload": {"deployment": "digits"},
            "traffic": {"service": "digits", "gatewayAPI": {"httpRoute": "digits"}, "drain": "3s"},
            "strategy": {
                "canary": {"steps": [{"weight": 20, "hold": "3s"}, {"weight": 50, "hold": "3s"}]},
                "watch": {"duration": "4s", "controlWeight": 10},
                "deadlines": {"ready": "60s", "evidence": "120s"},
            },
            "analysis": {
                "interval": "1s", "warmUp": "1s", "falseRollbackRate": 0.01,
                "metrics": [errors(), accuracy(), gateway()],
            },
        },
    })
}

/// Failed requests, as the pods count them.
pub fn errors() -> Value {
    json!({"name": "errors", "minSamples": 30,
        "ratio": {"bad": "http_requests_total{code=~\"5..\"}", "total": "http_requests_total"},
        "worse": {"ratio": 1.25, "plus": 0.002}, "proof": {"ratio": 2, "plus": 0.1}})
}

/// Right predictions, by the true labels that callers send back.
pub fn accuracy() -> Value {
    json!({"name": "accuracy", "minSamples": 30,
        "mean": {"sum": "feedback_correct_total", "count": "feedback_total", "better": "Higher", "passFail": true},
        "worse": {"by": 0.02}, "proof": {"by": 0.15}})
}

/// Failed requests, as the gateway counts them.
pub fn gateway() -> Value {
    json!({"name": "gateway", "minSamples": 30,
        "ratio": {"bad": "envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"5\"}",
                  "total": "envoy_cluster_upstream_rq_xx"},
        "arms": {"gateway": {"label": "envoy_cluster_name", "value": "$(NAMESPACE)_$(SERVICE)_$(PORT)"}},
        "worse": {"ratio": 1.25, "plus": 0.002}, "proof": {"ratio": 2, "plus": 0.1}})
}

/// Latency, with limits wide enough for a machine that does other things too.
pub fn latency() -> Value {
    json!({"name": "latency", "minSamples": 30, "latency": {"histogram": "http_request_duration_seconds"},
        "worse": {"ratio": 2, "plus": 0.03}, "proof": {"ratio": 4, "plus": 0.2}})
}

/// Whether the version is active, the rollout rests and what it says is about its present spec.
pub fn active(rollout: &ModelRollout, version: &str) -> Option<()> {
    let status = rollout.status.as_ref()?;
    let active = status.active.as_ref()?.version == version;
    let rests = status.phase == Some(understudy::api::Phase::Active) && status.candidate.is_none();
    (active && rests && rollout.metadata.generation == status.observed_generation).then_some(())
}

/// Whether the version was turned down and the rollout rests.
pub fn rejected(rollout: &ModelRollout, version: &str) -> Option<()> {
    let status = rollout.status.as_ref()?;
    let rejected = status.rejected.iter().any(|one| one.version == version);
    let rests = status.phase == Some(understudy::api::Phase::RolledBack) && status.candidate.is_none();
    (rejected && rests && rollout.metadata.generation == status.observed_generation).then_some(())
}
