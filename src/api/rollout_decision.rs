//! `RolloutDecision`: a person's decision about a rollout, on record.

use chrono::{DateTime, Utc};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::time::Moment;

/// A person's decision about a rollout. Created once, never changed: it is the audit record.
#[expect(
    clippy::duplicated_attributes,
    reason = "the columns are a list; the lint takes their parts for repetitions"
)]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "understudy.dev",
    version = "v1alpha1",
    kind = "RolloutDecision",
    namespaced,
    status = "RolloutDecisionStatus",
    derive = "PartialEq",
    shortname = "rd",
    category = "models",
    selectable = ".spec.rollout",
    selectable = ".spec.action",
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.action"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.by"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    doc = "A person's decision about a ModelRollout: who decided what and why, and what came of it. Create-only."
)]
#[x_kube(validation = rules::decision::unchanged())]
#[x_kube(validation = rules::decision::plan_hash_where_needed())]
#[x_kube(validation = rules::decision::version_where_needed())]
#[serde(rename_all = "camelCase")]
pub struct RolloutDecisionSpec {
    /// Name of the ModelRollout.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::subdomain("rollout"))]
    pub rollout: String,
    /// What is decided.
    pub action: DecisionAction,
    /// The plan that is decided about, from the rollout's status. Needed for Approve, Promote and Resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::decision::plan_hash())]
    pub plan_hash: Option<String>,
    /// The version that is meant: for Rollback the one to go to, for Retry the rejected one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::decision::version())]
    pub version: Option<String>,
    /// Who decides. Recorded as a claim until the policies that check it are installed.
    #[schemars(length(min = 1, max = 256))]
    pub by: String,
    /// Why.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Not applied after this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Moment>,
}

/// What can be decided.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum DecisionAction {
    /// Let a gate that asks for approval pass.
    Approve,
    /// End the present hold (Canary) or the watch as verified (Watching); the evidence is still asked for.
    Promote,
    /// Stay at the present weight; a breach still rolls back.
    Pause,
    /// Go on after a pause or after a foreign edit.
    Resume,
    /// Bring traffic back and turn the candidate down.
    Abort,
    /// Bring traffic back; with a version: release that earlier version again, at once.
    Rollback,
    /// Try a rejected version again.
    Retry,
}

/// What came of a decision.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RolloutDecisionStatus {
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<DecisionOutcome>,
    /// Why, in plain words.
    #[serde(default)]
    pub message: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// The plan that was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    /// Who decided, as claimed in the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<String>,
}

/// What can come of a decision.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum DecisionOutcome {
    /// It was carried out.
    Applied,
    /// It was not; the message says why.
    Refused,
    /// It came too late, or is older than the rollout.
    Expired,
}
