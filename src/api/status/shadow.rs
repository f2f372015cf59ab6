//! What the shadow stage has mirrored, and what it costs.

use chrono::{DateTime, Utc};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The shadow stage of an attempt.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ShadowStatus {
    /// Percent of the requests that the operator has decided to mirror; 0 before the stage.
    pub percent: i32,
    /// Mirrored requests, as counted up to the last look. A time in which the candidate's are not counted counts by stable's.
    pub requests: i64,
    /// What these cost; nothing without a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// What they may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What the stage was reckoned to cost before it began, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast: Option<String>,
    /// The mirror was switched off for the sake of the budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off: Option<MirrorOff>,
}

/// Why and since when nothing is mirrored.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MirrorOff {
    /// Why.
    pub reason: OffReason,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Why nothing is mirrored.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum OffReason {
    /// The limit of the budget is reached.
    BudgetSpent,
    /// What is mirrored cannot be counted.
    Uncounted,
}
