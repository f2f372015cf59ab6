//! How a candidate is brought on: shadow, canary steps, watch, and the deadlines.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::model_rollout;
use super::{AbTest, Amount, Span};

/// How a candidate is brought on.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = model_rollout::last_step_leaves_control())]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// First the candidate gets a mirrored copy of the traffic, whose answers nobody sees. Left out: no shadow stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    /// Then it gets a rising share of the traffic, step by step.
    #[serde(default)]
    pub canary: Canary,
    /// Then it gets nearly all of it, while the version before stays warm and keeps a share to compare with.
    #[serde(default)]
    pub watch: Watch,
    /// When non-inferiority must be proven for every metric that counts: before the promotion, or before every step.
    #[serde(default)]
    pub require_proof: RequireProof,
    /// When a canary step ends: not before its hold is over, or as soon as every metric that counts is proven.
    #[serde(default)]
    pub advance: Advance,
    /// How long is waited for pods and for evidence.
    #[serde(default)]
    pub deadlines: Deadlines,
}

/// The shadow stage.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Shadow {
    /// Percent of the requests that are mirrored, 1 to 100. Other than 100 only where the gateway says that it can.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 100))]
    pub percent: i32,
    /// How long the stage lasts at least.
    #[serde(default = "shadow_duration")]
    pub duration: Span,
    /// Mirrored requests that the candidate must have answered before the stage ends.
    #[serde(default = "thousand")]
    #[schemars(range(min = 0, max = 1000000000))]
    pub min_requests: i64,
    /// What the mirrored requests may cost. Left out: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<ShadowBudget>,
}

/// What the shadow stage may cost. Both amounts are in a unit of your own. Before the stage begins its cost is reckoned from
/// stable's requests of the hour before, and a stage that would cost more than the limit is not begun. When the limit is
/// reached, the mirror is switched off.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ShadowBudget {
    /// What a thousand mirrored requests cost, such as '0.40'.
    pub cost_per_thousand_requests: Amount,
    /// What all mirrored requests of an attempt may cost together, such as '50.00'.
    pub limit: Amount,
}

/// The canary stage.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// Shares of the traffic, 1 to 20 of them, rising, the last at most 100 - watch.controlWeight.
    #[serde(default = "default_steps")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = model_rollout::steps_rise())]
    #[x_kube(validation = model_rollout::one_ab_test())]
    pub steps: Vec<Step>,
}

impl Default for Canary {
    fn default() -> Self {
        Self { steps: default_steps() }
    }
}

/// One canary step.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Percent of the traffic that the candidate gets.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// How long the step is held at least. Counted only while the weight is as planned and both arms have fresh evidence.
    pub hold: Span,
    /// Beyond that until an A/B test at this weight has a winner. Left out: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ab_test: Option<AbTest>,
}

/// The watch after the promotion.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// How long the version before stays warm and the new one is compared with it; `0s`: not at all.
    #[serde(default = "day")]
    pub duration: Span,
    /// Percent of the traffic that stays with the version before, so that both can be compared; 0: no comparison (`Unpaired`).
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 50))]
    pub control_weight: i32,
    /// What a newer version does while watching: wait for its end, or end it at once as verified.
    #[serde(default)]
    pub on_new_version: OnNewVersion,
}

impl Default for Watch {
    fn default() -> Self {
        Self { duration: day(), control_weight: one(), on_new_version: OnNewVersion::default() }
    }
}

/// What a newer version does while the present one is watched.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum OnNewVersion {
    /// It waits until the watch has ended.
    #[default]
    Wait,
    /// It ends the watch as verified.
    EndWatch,
}

/// When non-inferiority must be proven.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum RequireProof {
    /// Once, before the promotion.
    #[default]
    BeforePromotion,
    /// Before every step.
    EveryStep,
}

/// When a canary step ends.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum Advance {
    /// When its hold is over and the evidence does not speak against the candidate.
    #[default]
    AfterHold,
    /// As soon as non-inferiority is proven for every metric that counts, with the samples of this step; else after its hold.
    WhenProven,
}

/// How long is waited.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Deadlines {
    /// For the candidate's pods to become ready; then the candidate is turned down.
    #[serde(default = "ready_deadline")]
    pub ready: Span,
    /// For enough evidence, per step, from the end of its hold.
    #[serde(default = "evidence_deadline")]
    pub evidence: Span,
    /// What happens when the evidence did not come in time.
    #[serde(default)]
    pub on_evidence: HoldOrRollback,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { ready: ready_deadline(), evidence: evidence_deadline(), on_evidence: HoldOrRollback::Hold }
    }
}

/// Stay where the rollout is, or bring traffic back.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum HoldOrRollback {
    /// Stay and say so.
    #[default]
    Hold,
    /// Bring traffic back to the stable version.
    Rollback,
}

/// Bring traffic back, or stay where the rollout is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum RollbackOrHold {
    /// Bring traffic back to the stable version.
    #[default]
    Rollback,
    /// Stay and say so.
    Hold,
}

fn hundred() -> i32 {
    100
}
fn thousand() -> i64 {
    1000
}
fn one() -> i32 {
    1
}
fn day() -> Span {
    "24h".into()
}
fn shadow_duration() -> Span {
    "30m".into()
}
fn ready_deadline() -> Span {
    "15m".into()
}
fn evidence_deadline() -> Span {
    "2h".into()
}
fn default_steps() -> Vec<Step> {
    [(1, "10m"), (5, "1h"), (25, "1h"), (50, "1h")]
        .into_iter()
        .map(|(weight, hold)| Step { weight, hold: hold.into(), ab_test: None })
        .collect()
}
