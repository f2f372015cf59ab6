//! An A/B test: a canary step that is held until enough sessions of both versions are counted, and then has a winner.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Amount;
use super::rules::model_rollout;

/// An A/B test of the step at which it stands. The step is held until its hold is over and both versions have their sessions;
/// then the difference between the versions is reckoned once, with its interval, and a winner is chosen.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = model_rollout::margin_goes_with_not_worse())]
#[serde(rename_all = "camelCase")]
pub struct AbTest {
    /// Name of the metric in analysis.metrics that is compared: a `ratio`, or a `mean` of pass/fail results or with `sumOfSquares`.
    /// What it counts are the sessions, each once.
    #[schemars(length(min = 1, max = 63))]
    pub metric: String,
    /// Sessions that each version must have.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 100, max = 1000000000))]
    pub sessions: i64,
    /// Confidence of the interval, in percent.
    #[serde(default = "ninety_five")]
    #[schemars(range(min = 50, max = 99))]
    pub confidence: i32,
    /// When the candidate wins; else the stable version does, and the candidate is rolled back.
    #[serde(default)]
    pub winner: Winner,
    /// For `NotWorse`: by how much the candidate may be worse, in the unit of the metric (a share of 0.01 is one percent point).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Amount>,
    /// Who has seen one version keeps seeing it. Left out: each request is given out anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
}

/// When the candidate wins.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum Winner {
    /// When the whole interval says that it is better.
    #[default]
    Better,
    /// When the whole interval says that it is not worse by more than `margin`.
    NotWorse,
    /// When a person says so, after the test, with a Promote decision; Abort or Rollback choose the stable version.
    Decision,
}

/// Where a request says to which session it belongs: one of both. The last two characters of the value decide, which must be
/// hexadecimal digits and evenly spread, as in a random UUID. Requests without it are given out one by one in the same proportion.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = model_rollout::header_or_cookie())]
#[serde(rename_all = "camelCase")]
pub struct Sticky {
    /// Name of a header whose value ends in the session's digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), pattern("^[A-Za-z0-9-]+$"))]
    pub header: Option<String>,
    /// Name of a cookie whose value ends in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), pattern("^[A-Za-z0-9_-]+$"))]
    pub cookie: Option<String>,
}

fn ten_thousand() -> i64 {
    10_000
}
fn ninety_five() -> i32 {
    95
}
