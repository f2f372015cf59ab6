//! `ModelRollout`: one serving workload in one environment, and the version it shall serve.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::rules::{self, model_rollout};
use super::{Analysis, ModelRolloutStatus, RollbackOrHold, Strategy, Traffic, Workload};

/// One serving workload in one environment. Naming another version here releases it: shadow, canary, watch, active.
#[expect(
    clippy::duplicated_attributes,
    reason = "the columns are a list; the lint takes their parts for repetitions"
)]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "understudy.dev",
    version = "v1alpha1",
    kind = "ModelRollout",
    namespaced,
    status = "ModelRolloutStatus",
    derive = "PartialEq",
    shortname = "mr",
    category = "models",
    selectable = ".spec.model",
    selectable = ".spec.version",
    selectable = ".spec.environment",
    selectable = ".status.phase",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "integer", json_path = ".status.step.index"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".status.weights.candidate"),
    printcolumn(name = "Candidate", type_ = "string", json_path = ".status.candidate.version"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.active.version"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "WaitingFor", type_ = "string", json_path = ".status.waitingFor", priority = 1),
    doc = "One serving workload in one environment and the version it shall serve. A change of spec.version releases that version step by step and takes it back when it is worse."
)]
#[x_kube(validation = model_rollout::holds_long_enough())]
#[x_kube(validation = model_rollout::watch_long_enough())]
#[x_kube(validation = model_rollout::no_shadow_without_gateway())]
#[x_kube(validation = model_rollout::ab_test_has_its_metric())]
#[x_kube(validation = model_rollout::sticky_needs_a_gateway())]
#[serde(rename_all = "camelCase")]
pub struct ModelRolloutSpec {
    /// Logical name of the model.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label("model"))]
    #[x_kube(validation = rules::immutable("model"))]
    pub model: String,
    /// The version that shall serve: the one line that GitOps edits.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::semver())]
    pub version: String,
    /// Name of the environment, such as `production`.
    #[serde(default = "default_environment")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label("environment"))]
    #[x_kube(validation = rules::immutable("environment"))]
    pub environment: String,
    /// Raise to try a rejected version again.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000000))]
    pub retry: i32,
    /// Do not advance; a breach still rolls back.
    #[serde(default)]
    pub suspend: bool,
    /// The workload that serves.
    pub workload: Workload,
    /// How traffic reaches it.
    pub traffic: Traffic,
    /// How a candidate is brought on.
    #[serde(default)]
    pub strategy: Strategy,
    /// What is compared between candidate and stable.
    #[serde(default)]
    pub analysis: Analysis,
    /// What a breach does.
    #[serde(default)]
    pub on_breach: RollbackOrHold,
}

impl ModelRollout {
    /// The HTTPRoute that is split: while a rollout is under way the one that it began with, else the spec's.
    pub fn route_name(&self) -> Option<&str> {
        let in_use = self.status.as_ref().and_then(|s| s.route.as_deref());
        in_use.or_else(|| self.spec.route_name())
    }
}

impl ModelRolloutSpec {
    /// The HTTPRoute that the spec names.
    pub fn route_name(&self) -> Option<&str> {
        self.traffic.gateway_api.as_ref().map(|g| g.http_route.as_str())
    }
}

fn default_environment() -> String {
    "default".to_owned()
}
