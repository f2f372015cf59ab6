//! The A/B test of an attempt: how far it is, and how it ended.

use chrono::{DateTime, Utc};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An A/B test under way, or ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct AbTestStatus {
    /// The metric that is compared.
    pub metric: String,
    /// Sessions that each version must have.
    pub wanted: i64,
    /// Sessions of the stable version so far.
    pub stable: i64,
    /// Sessions of the candidate so far.
    pub candidate: i64,
    /// How it ended; nothing while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<AbTestResult>,
}

/// How an A/B test ended. Numbers are in the unit of the metric.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AbTestResult {
    /// When it was reckoned.
    pub at: DateTime<Utc>,
    /// Mean of a session with the stable version.
    pub stable: String,
    /// Mean of a session with the candidate.
    pub candidate: String,
    /// Candidate minus stable.
    pub effect: String,
    /// Lower end of the effect's interval.
    pub low: String,
    /// Upper end.
    pub high: String,
    /// Confidence of the interval in percent.
    pub confidence: i32,
    /// Who won.
    pub winner: AbWinner,
    /// All of it in a sentence.
    pub message: String,
}

/// Who won.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum AbWinner {
    /// The candidate.
    Candidate,
    /// The stable version.
    Stable,
    /// A person says so.
    Person,
}
