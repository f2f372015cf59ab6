//! What happened: rejections, rollbacks, decisions, history.

use chrono::{DateTime, Utc};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::DecisionOutcome;

/// What was turned down.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// The version.
    pub version: String,
    /// Its bundle; for a change of the template only, empty.
    #[serde(default)]
    pub bundle_digest: String,
    /// For a change of the template only: the template's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_hash: Option<String>,
    /// Reason in CamelCase.
    pub reason: String,
    /// The numbers, in a sentence.
    #[serde(default)]
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
    /// `spec.retry` at that time; a higher one tries again.
    #[serde(default)]
    pub retry: i32,
    /// Which try it was.
    #[serde(default)]
    pub attempt: i32,
    /// A Retry decision or a raised `spec.retry` lets it be tried again.
    #[serde(default)]
    pub retried: bool,
}

/// Times of the last rollback.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastRollback {
    /// The version that was taken back.
    pub version: String,
    /// Why, in CamelCase.
    pub reason: String,
    /// End of the interval that showed the breach, or when the decision was made.
    pub breach_at: DateTime<Utc>,
    /// When the operator decided.
    pub decided_at: DateTime<Utc>,
    /// When the API server had the route at stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_written_at: Option<DateTime<Utc>>,
    /// When the gateway had taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_accepted_at: Option<DateTime<Utc>>,
}

/// A decision that has been taken up.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// UID of the RolloutDecision.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// What came of it.
    pub outcome: DecisionOutcome,
    /// Why.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The plan that was in force.
    #[serde(default)]
    pub plan_hash: String,
}

/// Something that happened.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Deterministic id: plan, attempt, transition.
    pub id: String,
    /// When.
    pub at: DateTime<Utc>,
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// The version that it is about.
    pub version: String,
    /// Digest of that version's bundle, its first twelve hexadecimal digits.
    #[serde(default)]
    pub bundle_digest: String,
    /// Reason in CamelCase.
    pub reason: String,
    /// On which numbers, or by whom.
    #[serde(default)]
    pub message: String,
}
