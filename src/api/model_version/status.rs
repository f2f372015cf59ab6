//! What the operator knows of a version.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a version stands, derived from the rollouts that name it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(transform = crate::api::schema::words)]
pub enum Stage {
    /// Registered and used nowhere.
    Staging,
    /// Turned down by every rollout that tried it and used nowhere.
    Rejected,
    /// Was active once and is used nowhere.
    Deprecated,
    /// Gets a mirrored copy of traffic.
    Shadow,
    /// Gets a share of traffic.
    Canary,
    /// Gets almost all traffic and is still watched.
    Watching,
    /// Serves.
    Active,
}

/// What the operator knows of a version.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ModelVersionStatus {
    /// SHA-256 over the canonical JSON of weights, prompt, tools and parameters: the identity of this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_digest: Option<String>,
    /// Where the version stands: the furthest of all rollouts that name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Rollouts that use the version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<UsedBy>,
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions: `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::api::schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// One use of a version.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UsedBy {
    /// Name of the ModelRollout.
    pub rollout: String,
    /// Its environment.
    #[serde(default)]
    pub environment: String,
    /// Where the version stands there.
    pub stage: Stage,
    /// Since when.
    pub since: DateTime<Utc>,
}
