//! `ModelRollout`: one serving workload in one environment, and the version it shall serve.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{Analysis, ModelRolloutStatus, RollbackOrHold, Strategy, Traffic, Workload};

/// One serving workload in one environment. Naming another version here releases it: shadow, canary, watch, active.
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
    doc = "One serving workload in one environment and the version it shall serve. A change of spec.version releases that version step by step and takes it back when it is worse."
)]
#[serde(rename_all = "camelCase")]
pub struct ModelRolloutSpec {
    /// Logical name of the model.
    pub model: String,
    /// The version that shall serve: the one line that GitOps edits.
    pub version: String,
    /// Name of the environment, such as `production`.
    #[serde(default = "default_environment")]
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

fn default_environment() -> String {
    "default".to_owned()
}
